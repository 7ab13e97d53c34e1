"""Redshift's queries as DuckDB's (a first version: sqlglot's translation)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

from .catalog import Catalog, Column, Relation
from .sqltypes import BOOL, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, TIMESTAMP, SqlError, Type, numeric, varchar


@dataclass
class Compiled:
    sql: str
    columns: list[tuple[str, Type]]
    into: tuple[str, str, bool] | None = None
    relations: list[Relation] = field(default_factory=list)


_TYPES = {
    "SMALLINT": INT2, "INTEGER": INT4, "BIGINT": INT8, "HUGEINT": numeric(38, 0), "DOUBLE": FLOAT8, "FLOAT": FLOAT4,
    "BOOLEAN": BOOL, "DATE": DATE, "TIMESTAMP": TIMESTAMP, "VARCHAR": varchar(),
}  # fmt: skip


class Compiler:
    def __init__(self, catalog: Catalog, parameters: list[dict[str, str]], settings: dict[str, Any]) -> None:
        self.catalog, self.settings = catalog, settings
        self.parameters = {p["name"]: p["value"] for p in parameters}

    def _parse(self, sql: str) -> Any:
        try:
            tree = sqlglot.parse_one(sql, read="redshift")
        except sqlglot.errors.SqlglotError as error:
            raise SqlError(f"syntax error: {str(error).splitlines()[0]}") from None
        for mark in list(tree.find_all(exp.Placeholder)):
            if mark.this in self.parameters:
                mark.replace(exp.Literal.string(self.parameters[mark.this]))
        ctes = {c.alias for c in tree.find_all(exp.CTE)}
        for node in list(tree.find_all(exp.Table)):
            if node.name in ctes:
                continue
            relation = self.catalog.get(node.db, node.name)
            self.catalog.need(relation, "select")
            if relation.kind == "v":
                inner = self._parse(relation.sql)
                node.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(node.alias_or_name))))
            elif not relation.temporary:
                node.set("db", exp.to_identifier(relation.schema))
        return tree

    def _text(self, tree: Any) -> str:
        sql = tree.sql(dialect="duckdb")
        return re.sub(r"\b(GETDATE|SYSDATE)\(\)", "CAST(now() AS TIMESTAMP)", sql, flags=re.I)

    def query(self, sql: str, late: bool = False) -> Compiled:
        text = self._text(self._parse(sql))
        described = self.catalog.connection.execute(f"DESCRIBE {text}").fetchall()
        columns = []
        for name, kind, *_ in described:
            match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
            columns.append(
                (name.lower(), numeric(int(match[1]), int(match[2])) if match else _TYPES.get(kind, varchar()))
            )
        return Compiled(text, columns)

    def change(self, sql: str) -> list[str]:
        return [self._text(self._parse(sql))]

    def insert_from(self, relation: Relation, columns: list[Column], source: str, ctas: bool = False) -> str:
        named = [f'"{c.name}"' for c in columns]
        rest = [c for c in relation.columns if c.name not in {x.name for x in columns} and (c.identity or c.default)]
        values = [*named, *(self.default(c) for c in rest)]
        if source.startswith("("):
            fields = ", ".join(named)
            source = f"{source}({fields})"
        target = ", ".join([*named, *(f'"{c.name}"' for c in rest)])
        return f"INSERT INTO {relation.engine_name} ({target}) SELECT {', '.join(values)} FROM {source}"

    def default(self, column: Column) -> str:
        if column.identity:
            return "0"
        return self._text(sqlglot.parse_one(column.default, read="redshift"))

    def sequence(self, relation: Relation, column: Column) -> str:
        place = "temp." if relation.temporary else "_rs."
        return f'{place}"id_{relation.oid}_{column.name}"'

    def stands_on(self, view: Relation, relation: Relation) -> bool:
        tables = self._parse(view.sql).find_all(exp.Table)
        return any(t.name.lower() == relation.name and (t.db or "public").lower() == relation.schema for t in tables)
