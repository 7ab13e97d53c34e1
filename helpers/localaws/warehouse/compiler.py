"""Redshift's queries as DuckDB's: parsed by sqlglot, typed and written anew here, node by node.

What is not in this file, in functions.py or values.py has no way to DuckDB: a construct that nobody has looked up is
refused. https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_synopsis.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift

from . import functions, system, values
from .catalog import Catalog, Column, Relation
from .functions import AGGREGATES, WINDOWS
from .sqltypes import BOOL, INTERVAL, UNKNOWN, SqlError, Type, parse_type, refuse, varchar
from .sqltypes import quoted as name
from .values import NULL, Typed, bare, cast, compared, quote


class _Parsed(Redshift):
    """sqlglot's Redshift, whose parser leaves every function as it was written."""

    class Parser(Redshift.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS: dict[str, Any] = {}
        FUNCTION_PARSERS = {
            k: v
            for k, v in Redshift.Parser.FUNCTION_PARSERS.items()
            if k in ("CAST", "CONVERT", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "TRY_CAST")
        }


Columns = list[tuple[str, Type]]


@dataclass
class Compiled:
    """A query in DuckDB's SQL, and the names and types of its columns."""

    sql: str
    columns: Columns
    into: tuple[str, str, bool] | None = None  # SELECT … INTO: schema, name, temporary


@dataclass
class Scope:
    """What names mean in one SELECT."""

    parent: Scope | None = None
    tables: dict[str, Columns] = field(default_factory=dict)  # alias -> columns
    ctes: dict[str, Columns] = field(default_factory=dict)
    merged: dict[str, Typed] = field(default_factory=dict)  # columns of a USING
    aliases: dict[str, Typed] = field(default_factory=dict)  # of the select list, as far as it has been read
    groups: dict[str, Typed] | None = None  # in a grouped query: key as DuckDB's SQL -> how it is shown
    in_aggregate: bool = False
    in_window: bool = False

    def cte(self, wanted: str) -> Columns | None:
        return self.ctes.get(wanted) or (self.parent.cte(wanted) if self.parent else None)


class Compiler:
    """Compiles the statements of one call; `parameters` are the Data API's."""

    def __init__(self, catalog: Catalog, parameters: list[dict[str, str]], settings: dict[str, Any]) -> None:
        self.catalog, self.settings = catalog, settings
        self.parameters = {p["name"]: p["value"] for p in parameters}
        self._reader = catalog.user  # whose rights count: within a view its owner's
        self._seen: list[Relation] = []

    # The ways in

    def parse(self, sql: str) -> Any:
        try:
            return sqlglot.parse_one(sql, read=_Parsed)
        except sqlglot.errors.ParseError as error:
            found = error.errors[0] if error.errors else {}
            near = found.get("highlight") or ""
            raise SqlError(f'syntax error at or near "{near}"' if near else "syntax error") from None
        except (sqlglot.errors.SqlglotError, RecursionError, ValueError) as error:
            raise SqlError(f"syntax error: {str(error).splitlines()[0]}") from None

    def query(self, sql: str, late: bool = False) -> Compiled:
        """A SELECT, WITH or a set of them; `late`: of a view that is not bound to what it names."""
        tree = self.parse(sql)
        own = {c.alias.lower() for c in tree.find_all(exp.CTE)}
        if late and any(not t.db and t.name.lower() not in own for t in tree.find_all(exp.Table)):
            raise SqlError("a view with no schema binding names each table with its schema")
        made = self._query(tree, None)
        if any(t == INTERVAL for _, t in made.columns):
            raise refuse("intervals as values: use DATEDIFF")
        return replace(made, columns=[(n, _stored(t)) for n, t in made.columns])

    def change(self, sql: str) -> list[str]:
        """INSERT, UPDATE, DELETE or MERGE as DuckDB's statements."""
        tree = self.parse(sql)
        found: dict[type, Callable[[Any], list[str]]] = {
            exp.Insert: self._insert, exp.Update: self._update, exp.Delete: self._delete, exp.Merge: self._merge,
        }  # fmt: skip
        for kind, method in found.items():
            if isinstance(tree, kind):
                return method(tree)
        raise self._unknown(tree)

    def insert_from(self, relation: Relation, columns: list[Column], source: str, ctas: bool = False) -> str:
        """An INSERT of values that are what the columns take, from DuckDB's SQL; the others get their defaults."""
        given = [name(c.name) for c in columns]
        if not given and not any(c.identity or c.default for c in relation.columns):
            return f"INSERT INTO {relation.engine_name} DEFAULT VALUES"
        rest = [c for c in relation.columns if c.name not in {x.name for x in columns} and (c.identity or c.default)]
        filled = [self.sequence_value(relation, c) if c.identity else self.default(c) for c in rest]
        target = ", ".join([*given, *(name(c.name) for c in rest)])
        if ctas:
            source += f"({', '.join(given)})"
        return f"INSERT INTO {relation.engine_name} ({target}) SELECT {', '.join([*given, *filled])} FROM {source}"

    def default(self, column: Column) -> str:
        """A column's DEFAULT, as a value of its type."""
        tree = self.parse(f"SELECT {column.default}").expressions[0]
        if tree.find(exp.Query):
            raise SqlError("cannot use a subquery in a DEFAULT expression")
        return cast(self._expression(tree, Scope()), column.type, True).sql

    def sequence(self, relation: Relation, column: Column) -> str:
        place = "temp" if relation.temporary else "_rs"
        return f"{place}.{name(f'identity_{relation.oid}_{column.name}')}"

    def sequence_value(self, relation: Relation, column: Column) -> str:
        return f"nextval({quote(self.sequence(relation, column))})"

    def stands_on(self, view: Relation, relation: Relation) -> bool:
        """Whether a view's query names a relation."""
        tables = self.parse(view.sql).find_all(exp.Table)
        return any(t.name.lower() == relation.name and (t.db.lower() or "public") == relation.schema for t in tables)

    @staticmethod
    def _unknown(node: Any) -> SqlError:
        text = node.sql(dialect="redshift") if isinstance(node, exp.Expression) else str(node)
        return refuse(f"this: {text[:120]}")

    # Queries

    def _query(self, node: Any, parent: Scope | None, ctes: dict[str, Columns] | None = None) -> Compiled:
        if isinstance(node, exp.Subquery) and not node.args.get("alias"):
            self._only(node, "this", "with_", "order", "limit", "offset")
            inner = self._query(node.this, parent, ctes)
            if node.args.get("order") or node.args.get("limit"):
                return self._arranged(inner, node, Scope(parent, ctes=ctes or {}))
            return inner
        scope = Scope(parent, ctes=dict(ctes or {}))
        prefix = self._with(node.args.get("with_"), scope)
        if isinstance(node, exp.Select):
            made = self._select(node, scope)
        elif isinstance(node, exp.SetOperation):
            made = self._set(node, scope)
        else:
            raise self._unknown(node)
        return replace(made, sql=prefix + made.sql)

    def _only(self, node: Any, *allowed: str) -> None:
        """Refuses a node that says more than what is read of it here."""
        for key, value in node.args.items():
            if value and key not in allowed:
                raise refuse(f"{key.strip('_').upper().replace('_', ' ')} in {type(node).__name__.upper()}")

    def _with(self, node: Any, scope: Scope) -> str:
        if node is None:
            return ""
        parts = []
        for cte in node.expressions:
            alias = cte.args["alias"]
            named = [c.name.lower() for c in alias.args.get("columns") or []]
            key, body = alias.name.lower(), cte.this
            if node.args.get("recursive") and isinstance(body, exp.Union):
                base = self._query(body.this, scope)
                kinds = [
                    (n, _stored(t))
                    for n, (_, t) in zip(named or [n for n, _ in base.columns], base.columns, strict=False)
                ]
                scope.ctes[key] = kinds
                step = self._query(body.expression, scope)
                if body.args.get("distinct"):
                    raise refuse("a recursive query with UNION: use UNION ALL")
                sql = f"{self._as(base, kinds)} UNION ALL {self._as(step, kinds)}"
                made = Compiled(sql, kinds)
            else:
                made = self._query(body, scope)
            names = named or [n for n, _ in made.columns]
            if len(names) != len(made.columns):
                raise SqlError(
                    f'WITH query "{key}" has {len(made.columns)} columns available but {len(names)} specified'
                )
            scope.ctes[key] = [(n, t) for n, (_, t) in zip(names, made.columns, strict=True)]
            parts.append(f"{name(key)}({', '.join(map(name, names))}) AS ({made.sql})")
        return f"WITH {'RECURSIVE ' if node.args.get('recursive') else ''}{', '.join(parts)} "

    @staticmethod
    def _as(made: Compiled, kinds: Columns) -> str:
        """A query whose columns have these names and types."""
        if len(made.columns) != len(kinds):
            raise SqlError("each UNION query must have the same number of columns")
        inner = [f"c{n}" for n in range(len(kinds))]
        shown = ", ".join(
            f"{cast(Typed(i, have), want, True).sql} AS {name(n)}"
            for i, (_, have), (n, want) in zip(inner, made.columns, kinds, strict=True)
        )
        return f"SELECT {shown} FROM ({made.sql}) AS s({', '.join(inner)})"

    def _set(self, node: Any, scope: Scope) -> Compiled:
        """UNION, INTERSECT, EXCEPT."""
        self._only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset", "side", "kind", "on")
        word = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}[type(node)]
        left, right = self._query(node.this, scope), self._query(node.expression, scope)
        if len(left.columns) != len(right.columns):
            raise SqlError(f"each {word} query must have the same number of columns")
        kinds: Columns = []
        for (n, a), (_, b) in zip(left.columns, right.columns, strict=True):
            kinds.append((n, a if b.name == "unknown" else b if a.name == "unknown" else values.common(a, b)))
        every = not node.args.get("distinct")
        if word != "UNION" and every:
            raise SqlError(f"{word} ALL is not supported")
        sides = [self._as(s, kinds) for s in (left, right)]
        if word == "UNION":
            made = Compiled(f"{sides[0]} UNION ALL {sides[1]}", kinds)
            made = made if every else self._distinct(made)
        else:
            keys = ", ".join(bare(Typed(name(n), t)) + f" AS {name(n)}" for n, t in kinds)
            made = Compiled(f"SELECT {keys} FROM ({sides[0]}) AS a {word} SELECT {keys} FROM ({sides[1]}) AS b", kinds)
        return self._arranged(made, node, scope)

    @staticmethod
    def _distinct(made: Compiled) -> Compiled:
        """Rows that differ in blanks at the end of a string are one."""
        inner = [f"c{n}" for n in range(len(made.columns))]
        shown, keys = [], []
        for i, (n, kind) in zip(inner, made.columns, strict=True):
            shown.append(f"{f'min({i})' if kind.is_text else i} AS {name(n)}")
            keys.append(bare(Typed(i, kind)))
        sql = f"SELECT {', '.join(shown)} FROM ({made.sql}) AS d({', '.join(inner)}) GROUP BY {', '.join(keys)}"
        return Compiled(sql, made.columns)

    def _arranged(self, made: Compiled, node: Any, scope: Scope, items: list[str] | None = None) -> Compiled:
        """ORDER BY and LIMIT of a result whose rows are already made: by its columns only."""
        order = node.args.get("order")
        limits = self._limits(node)
        if not order:
            return replace(made, sql=f"SELECT * FROM ({made.sql}) AS o{limits}") if limits else made
        keys = []
        for ordered in order.expressions:
            at = self._output(ordered.this, made.columns)
            if at is None and items is not None:
                sql = self._expression(ordered.this, scope).sql
                at = items.index(sql) if sql in items else None
            if at is None:
                text = "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
                raise SqlError(
                    text if items is not None else "ORDER BY on a UNION result must be on one of the result columns"
                )
            keys.append(bare(Typed(f"c{at}", made.columns[at][1])) + self._direction(ordered))
        inner = [f"c{n}" for n in range(len(made.columns))]
        shown = ", ".join(f"{i} AS {name(n)}" for i, (n, _) in zip(inner, made.columns, strict=True))
        sql = f"SELECT {shown} FROM ({made.sql}) AS o({', '.join(inner)}) ORDER BY {', '.join(keys)}{limits}"
        return replace(made, sql=sql)

    @staticmethod
    def _output(node: Any, columns: Columns) -> int | None:
        """Which column of the result an ORDER BY or GROUP BY names by position or by name."""
        if isinstance(node, exp.Literal) and not node.is_string:
            at = int(node.this) if node.this.isdigit() else 0
            if not 1 <= at <= len(columns):
                raise SqlError(f"ORDER BY position {node.this} is not in select list")
            return at - 1
        if isinstance(node, exp.Column) and not node.table:
            names = [n for n, _ in columns]
            return names.index(node.name.lower()) if node.name.lower() in names else None
        return None

    @staticmethod
    def _direction(ordered: Any) -> str:
        """NULLs are the largest values: https://docs.aws.amazon.com/redshift/latest/dg/r_ORDER_BY_clause.html"""
        nulls = " NULLS FIRST" if ordered.args.get("nulls_first") else " NULLS LAST"
        return (" DESC" if ordered.args.get("desc") else " ASC") + nulls

    def _limits(self, node: Any) -> str:
        made = ""
        for key, word in (("limit", "LIMIT"), ("offset", "OFFSET")):
            if found := node.args.get(key):
                if not isinstance(found, exp.Limit | exp.Offset) or not isinstance(found.expression, exp.Literal):
                    raise self._unknown(found)
                if not found.expression.this.isdigit():
                    raise self._unknown(found)
                made += f" {word} {int(found.expression.this)}"
        return made

    def _select(self, node: Any, scope: Scope) -> Compiled:
        self._only(node, "expressions", "from_", "joins", "where", "group", "having", "qualify", "order", "limit",
                   "offset", "distinct", "with_", "into")  # fmt: skip
        source = self._from(node, scope)
        where = f" WHERE {self._condition(node.args['where'].this, scope)}" if node.args.get("where") else ""
        group = node.args.get("group")
        items = [(i, i.this, i.alias.lower()) if isinstance(i, exp.Alias) else (i, i, "") for i in node.expressions]
        grouped = group is not None or node.args.get("having") or any(self._aggregates(i) for i, _, _ in items)
        group_sql = ""
        if grouped:
            group_sql = self._group(group, items, scope)
        columns, made = [], []
        for item, inner, alias in items:
            star = item if isinstance(item, exp.Star) else inner.this if isinstance(inner, exp.Column) else None
            if isinstance(star, exp.Star):
                self._only(star)
                for column, value in self._star(inner.table.lower() if star is not item else "", scope):
                    if scope.groups is not None:
                        value = self._grouped(value, column, scope)
                    columns.append((column, value.type))
                    made.append(value.sql)
                continue
            value = self._expression(inner, scope)
            label = alias or self._label(inner)
            columns.append((label, value.type))
            made.append(value.sql)
            if alias and alias not in scope.aliases:
                scope.aliases[alias] = value
        if not made:
            raise SqlError("a SELECT needs at least one column")
        having = ""
        if tested := node.args.get("having"):
            having = f" HAVING {self._condition(tested.this, replace(scope, aliases={}))}"
        if qualify := node.args.get("qualify"):
            if not scope.tables:
                raise SqlError("QUALIFY needs a FROM clause")
            having += f" QUALIFY {self._condition(qualify.this, scope)}"
        shown = ", ".join(f"{m} AS {name(n)}" for m, (n, _) in zip(made, columns, strict=True))
        sql = f"SELECT {shown}{source}{where}{group_sql}{having}"
        into = None
        if target := node.args.get("into"):
            into = (target.this.db.lower(), target.this.name.lower().lstrip("#"), bool(target.args.get("temporary")))
        if node.args.get("distinct"):
            if node.args["distinct"].args.get("on"):
                raise SqlError("SELECT DISTINCT ON is not supported")
            return replace(self._arranged(self._distinct(Compiled(sql, columns)), node, scope, made), into=into)
        if order := node.args.get("order"):
            keys = []
            for ordered in order.expressions:
                at = self._output(ordered.this, columns)
                key = Typed(made[at], columns[at][1]) if at is not None else self._expression(ordered.this, scope)
                keys.append(bare(key) + self._direction(ordered))
            sql += f" ORDER BY {', '.join(keys)}"
        return Compiled(sql + self._limits(node), columns, into)

    @staticmethod
    def _label(node: Any) -> str:
        """What Redshift calls a column that was given no name."""
        if isinstance(node, exp.Paren):
            return Compiler._label(node.this)
        if isinstance(node, exp.Column):
            return str(node.name).lower()
        if isinstance(node, exp.Anonymous):
            label = str(node.this).lower()
            return {
                "nvl": "coalesce",
                "dateadd": "date_add",
                "datediff": "date_diff",
                "date_part": "pgdate_part",
                "decode": "case",
                "nvl2": "case",
            }.get(label, label)
        if isinstance(node, exp.Window | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
            return Compiler._label(node.this)
        if isinstance(node, exp.Cast):
            inner = Compiler._label(node.this)
            return inner if inner != "?column?" else parse_type(node.to.sql(dialect="redshift")).name
        names = {exp.Case: "case", exp.Extract: "date_part", exp.CurrentDate: "date", exp.CurrentTimestamp: "timestamp",
                 exp.Substring: "substring", exp.Trim: "btrim", exp.StrPosition: "strpos", exp.Exists: "?column?",
                 exp.CurrentUser: "current_user", exp.Boolean: "bool"}  # fmt: skip
        return next((label for kind, label in names.items() if isinstance(node, kind)), "?column?")

    # FROM

    def _from(self, node: Any, scope: Scope) -> str:
        source = node.args.get("from_")
        if source is None:
            if node.args.get("joins"):
                raise self._unknown(node)
            return ""
        made = " FROM " + self._table(source.this, scope)
        for join in node.args.get("joins") or []:
            made += self._join(join, scope)
        return made

    def _join(self, join: Any, scope: Scope) -> str:
        self._only(join, "this", "side", "kind", "on", "using")
        before = {a: list(c) for a, c in scope.tables.items()}
        right = self._table(join.this, scope)
        side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
        if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise self._unknown(join)
        if using := join.args.get("using"):
            alias = join.this.alias_or_name.lower()
            tests = []
            for column in (u.name.lower() for u in using):
                left = next((a for a, c in before.items() if column in dict(c)), None)
                if left is None or column not in dict(scope.tables[alias]):
                    raise SqlError(f'column "{column}" specified in USING clause does not exist')
                a = scope.merged.get(column) or Typed(f"{name(left)}.{name(column)}", dict(before[left])[column])
                b = Typed(f"{name(alias)}.{name(column)}", dict(scope.tables[alias])[column])
                x, y = compared(a, b, "=")
                tests.append(f"{x} = {y}")
                shown = (
                    a
                    if side in ("", "LEFT")
                    else b
                    if side == "RIGHT"
                    else Typed(f"coalesce({a.sql}, {b.sql})", a.type)
                )
                scope.merged[column] = shown
            return f" {side} JOIN {right} ON {' AND '.join(tests)}"
        if join.args.get("on"):
            return f" {side} JOIN {right} ON {self._condition(join.args['on'], scope)}"
        if side:
            raise SqlError("syntax error: a join needs ON or USING")
        return f" CROSS JOIN {right}"

    def _table(self, node: Any, scope: Scope) -> str:
        alias_node = node.args.get("alias")
        if isinstance(node, exp.Subquery):
            self._only(node, "this", "alias", "with_", "order", "limit")
            if alias_node is None:
                raise SqlError("subquery in FROM must have an alias")
            made = self._query(node.this, scope)
            sql, columns, alias = f"({made.sql})", [(n, _stored(t)) for n, t in made.columns], node.alias.lower()
        elif isinstance(node, exp.Table):
            self._only(node, "this", "db", "alias")
            if not isinstance(node.this, exp.Identifier):
                raise self._unknown(node)
            alias = (node.alias or node.name).lower()
            sql, columns = self._named(node.db.lower(), node.name.lower().removeprefix("#"), scope)
        else:
            raise self._unknown(node)
        if alias in scope.tables:
            raise SqlError(f'table name "{alias}" specified more than once')
        given = [c.name.lower() for c in (alias_node.args.get("columns") if alias_node else None) or []]
        names = given + [n for n, _ in columns][len(given) :]
        if twice := {n for n in names if names.count(n) > 1}:
            raise SqlError(f'column reference "{min(twice)}" is ambiguous: "{alias}" has two of that name')
        scope.tables[alias] = [(n, t) for n, (_, t) in zip(names, columns, strict=True)]
        return f"{sql} AS {name(alias)}({', '.join(map(name, names))})"

    def _named(self, schema: str, wanted: str, scope: Scope) -> tuple[str, Columns]:
        """A table, a view, a WITH or a system view."""
        if not schema and (found := scope.cte(wanted)) is not None:
            return name(wanted), found
        relation = self.catalog.find(schema, wanted)
        if relation is None and (view := system.find(schema, wanted)):
            return view.table(self.catalog, self.settings), view.columns
        relation = relation or self.catalog.get(schema, wanted)
        self.catalog.need(relation, "select", self._reader)
        columns = [(c.name, c.type) for c in relation.columns]
        if relation.kind == "r":
            return relation.engine_name, columns
        if relation in self._seen:
            raise SqlError(f'infinite recursion detected in view "{relation.name}"')
        reader, self._reader = self._reader, relation.owner
        self._seen.append(relation)
        try:
            made = self._query(self.parse(relation.sql), None)
        finally:
            self._reader = reader
            self._seen.pop()
        if not relation.late and len(made.columns) != len(columns):
            raise SqlError(f'view "{relation.name}" does not fit its table any more')
        names = [n for n, _ in columns] if len(made.columns) == len(columns) else [n for n, _ in made.columns]
        return f"({made.sql})", [(n, _stored(t)) for n, (_, t) in zip(names, made.columns, strict=True)]

    def _star(self, table: str, scope: Scope) -> list[tuple[str, Typed]]:
        if not scope.tables:
            raise SqlError("SELECT * with no tables specified is not valid")
        if table and table not in scope.tables:
            raise SqlError(f'relation "{table}" does not exist')
        found, merged = [], set()
        for alias, columns in scope.tables.items():
            for column, kind in columns if table in ("", alias) else []:
                if not table and column in scope.merged:
                    if column not in merged:
                        found.append((column, scope.merged[column]))
                    merged.add(column)
                    continue
                found.append((column, Typed(f"{name(alias)}.{name(column)}", kind)))
        return found

    # GROUP BY

    @staticmethod
    def _aggregates(node: Any) -> bool:
        """Whether an expression holds an aggregate of this SELECT."""
        if isinstance(node, exp.Query):
            return False
        if isinstance(node, exp.Window):
            inner = node.this.this if isinstance(node.this, exp.IgnoreNulls | exp.RespectNulls) else node.this
            return any(Compiler._aggregates(c) for c in (*inner.iter_expressions(), *(
                c for key in ("partition_by", "order") for c in _listed(node.args.get(key)))))  # fmt: skip
        if isinstance(node, exp.Anonymous) and str(node.this).lower() in AGGREGATES:
            return True
        return any(Compiler._aggregates(c) for c in node.iter_expressions())

    def _group(self, group: Any, items: list[tuple[Any, Any, str]], scope: Scope) -> str:
        """Compiles the keys and remembers how each is shown. Returns the clause."""
        groups: dict[str, Typed] = {}

        def key(node: Any, exact: bool) -> str:
            chosen = node.this if isinstance(node, exp.Paren) else node
            if isinstance(chosen, exp.Literal) and not chosen.is_string:
                at = int(chosen.this) if chosen.this.isdigit() else 0
                if not 1 <= at <= len(items):
                    raise SqlError(f"GROUP BY position {chosen.this} is not in select list")
                chosen = items[at - 1][1]
            elif isinstance(chosen, exp.Column) and not chosen.table and not self._is_column(chosen, scope):
                chosen = next((inner for _, inner, alias in items if alias == chosen.name.lower()), chosen)
            if self._aggregates(chosen):
                raise SqlError("aggregates not allowed in GROUP BY clause")
            value = self._expression(chosen, scope)
            by = bare(value) if value.type.is_text and value.text is None else value.sql
            shown = value
            if value.type.is_text and value.text is None and not value.const:
                # One of the strings that are equal but for their blanks: the shortest.
                shown = Typed(by if exact else f"min({value.sql})", value.type)
            elif value.const:
                by = f"({by} IS NULL)"  # DuckDB would read a number as a position
            groups[value.sql] = shown
            return by

        clause: list[str] = []
        if group is not None:
            for node in group.expressions:
                if isinstance(node, exp.Rollup | exp.Cube):
                    word = "ROLLUP" if isinstance(node, exp.Rollup) else "CUBE"
                    clause.append(f"{word} ({', '.join(key(e, True) for e in node.expressions)})")
                elif isinstance(node, exp.GroupingSets):
                    raise refuse("GROUPING SETS")
                else:
                    clause.append(key(node, any(isinstance(n, exp.Rollup | exp.Cube) for n in group.expressions)))
            self._only(group, "expressions")
        scope.groups = groups
        return f" GROUP BY {', '.join(clause)}" if clause else ""

    def _is_column(self, node: Any, scope: Scope) -> bool:
        wanted = node.name.lower()
        return wanted in scope.merged or any(wanted in dict(c) for c in scope.tables.values())

    def _grouped(self, value: Typed, column: str, scope: Scope) -> Typed:
        """A column in a grouped query outside of an aggregate."""
        assert scope.groups is not None
        if value.sql in scope.groups:
            return scope.groups[value.sql]
        text = f'column "{column}" must appear in the GROUP BY clause or be used in an aggregate function'
        raise SqlError(text)

    # Expressions

    def _condition(self, node: Any, scope: Scope) -> str:
        value = self._expression(node, scope)
        if value.type.name == "unknown":
            value = cast(value, BOOL)
        if value.type.name != "bool":
            raise SqlError(f"argument of WHERE, ON or HAVING must be type boolean, not type {value.type}")
        return value.sql

    def _expression(self, node: Any, scope: Scope) -> Typed:
        if scope.groups and not scope.in_aggregate and not isinstance(node, exp.Column | exp.Literal | exp.Query):
            plain = not self._aggregates(node) and not node.find(exp.Window, exp.Query)
            if plain:  # a key of the GROUP BY, written out again
                found = self._compiled(node, replace(scope, groups=None, aliases={}), quietly=True)
                if found is not None and found.sql in scope.groups:
                    return scope.groups[found.sql]
        made = self._compiled(node, scope)
        assert made is not None
        return made

    def _compiled(self, node: Any, scope: Scope, quietly: bool = False) -> Typed | None:
        method = getattr(self, f"_on_{type(node).__name__.lower()}", None)
        if quietly:
            try:
                return method(node, scope) if method else None
            except SqlError:
                return None
        if method is None:
            raise self._unknown(node)
        found: Typed = method(node, scope)
        return found

    def _on_paren(self, node: Any, scope: Scope) -> Typed:
        value = self._expression(node.this, scope)
        return replace(value, sql=f"({value.sql})") if value.text is None and value.sql != "NULL" else value

    def _on_literal(self, node: Any, scope: Scope) -> Typed:
        return values.literal(node.this) if node.is_string else values.number(node.this)

    def _on_boolean(self, node: Any, scope: Scope) -> Typed:
        return Typed(str(bool(node.this)).lower(), BOOL, True)

    def _on_null(self, node: Any, scope: Scope) -> Typed:
        return NULL

    def _on_placeholder(self, node: Any, scope: Scope) -> Typed:
        if node.this not in self.parameters:
            raise SqlError(f"the parameter :{node.this} has no value")
        return values.literal(self.parameters[node.this])

    def _on_column(self, node: Any, scope: Scope) -> Typed:
        column, table = node.name.lower(), node.table.lower()
        if node.args.get("catalog") or isinstance(node.this, exp.Star):
            raise self._unknown(node)
        if node.args.get("join_mark"):
            raise refuse("outer joins by (+): use LEFT JOIN")
        if not table and column == "sysdate":
            return functions.call("sysdate", [])
        at: Scope | None = scope
        while at is not None:
            if (value := self._resolved(column, table, node.db.lower(), at, at is scope)) is not None:
                return value
            at = at.parent
        if table and not any(table in s.tables for s in _chain(scope)):
            raise SqlError(f'relation "{table}" does not exist')
        raise SqlError(f'column "{f"{table}." if table else ""}{column}" does not exist')

    def _resolved(self, column: str, table: str, schema: str, scope: Scope, here: bool) -> Typed | None:
        if not table and column in scope.merged:
            value = scope.merged[column]
        else:
            found = [a for a, c in scope.tables.items() if table in ("", a) and column in dict(c)]
            if len(found) > 1:
                raise SqlError(f'column reference "{column}" is ambiguous')
            if not found:
                return scope.aliases.get(column) if here and not table and not scope.in_aggregate else None
            value = Typed(f"{name(found[0])}.{name(column)}", dict(scope.tables[found[0]])[column])
        if scope.groups is not None and not scope.in_aggregate:
            return self._grouped(value, f"{table}.{column}" if table else column, scope)
        return value

    def _binary(self, node: Any, scope: Scope) -> tuple[Typed, Typed]:
        return self._expression(node.this, scope), self._expression(node.expression, scope)

    def _on_and(self, node: Any, scope: Scope) -> Typed:
        return Typed(f"({self._condition(node.this, scope)} AND {self._condition(node.expression, scope)})", BOOL)

    def _on_or(self, node: Any, scope: Scope) -> Typed:
        return Typed(f"({self._condition(node.this, scope)} OR {self._condition(node.expression, scope)})", BOOL)

    def _on_not(self, node: Any, scope: Scope) -> Typed:
        return Typed(f"(NOT {self._condition(node.this, scope)})", BOOL)

    def _compare(self, node: Any, scope: Scope, sign: str) -> Typed:
        if isinstance(node.expression, exp.Any | exp.All):
            raise refuse("comparisons with ANY and ALL: use IN or EXISTS")
        a, b = self._binary(node, scope)
        x, y = compared(a, b, sign)
        return Typed(f"({x} {sign} {y})", BOOL, a.const and b.const)

    def _on_eq(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, "=")

    def _on_neq(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, "<>")

    def _on_lt(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, "<")

    def _on_lte(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, "<=")

    def _on_gt(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, ">")

    def _on_gte(self, node: Any, scope: Scope) -> Typed:
        return self._compare(node, scope, ">=")

    def _on_between(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "low", "high")
        value, low, high = (self._expression(node.args[k], scope) for k in ("this", "low", "high"))
        (a, b), (c, d) = compared(value, low, ">="), compared(value, high, "<=")
        return Typed(f"({a} >= {b} AND {c} <= {d})", BOOL)

    def _on_is(self, node: Any, scope: Scope) -> Typed:
        value, what = self._expression(node.this, scope), node.expression
        if isinstance(what, exp.Null):
            return Typed(f"({value.sql} IS NULL)", BOOL)
        if isinstance(what, exp.Boolean) and value.type.name == "bool":
            return Typed(f"({value.sql} IS {str(bool(what.this)).upper()})", BOOL)
        raise self._unknown(node)

    def _on_in(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "expressions", "query")
        if isinstance(node.this, exp.Tuple):
            raise refuse("IN with several columns: use EXISTS")
        value = self._expression(node.this, scope)
        if query := node.args.get("query"):
            made = self._query(query, scope)
            if len(made.columns) != 1:
                raise SqlError("subquery has too many columns")
            x, y = compared(value, Typed("s.c0", _stored(made.columns[0][1])), "=")
            return Typed(f"({x} IN (SELECT {y} FROM ({made.sql}) AS s(c0)))", BOOL)
        tests = [compared(value, self._expression(e, scope), "=") for e in node.expressions]
        if len({x for x, _ in tests}) == 1:
            return Typed(f"({tests[0][0]} IN ({', '.join(y for _, y in tests)}))", BOOL)
        return Typed(f"({' OR '.join(f'{x} = {y}' for x, y in tests)})", BOOL)

    def _on_exists(self, node: Any, scope: Scope) -> Typed:
        return Typed(f"EXISTS ({self._query(node.this, scope).sql})", BOOL)

    def _on_subquery(self, node: Any, scope: Scope) -> Typed:
        made = self._query(node, scope)
        if len(made.columns) != 1:
            raise SqlError("subquery must return only one column")
        return Typed(f"({made.sql})", _stored(made.columns[0][1]))

    def _on_like(self, node: Any, scope: Scope, escape: str = "\\") -> Typed:
        """The blanks of a CHAR count, and ILIKE knows the case of ASCII's letters only.

        https://docs.aws.amazon.com/redshift/latest/dg/r_patternmatching_condition_like.html
        """
        text, wanted = (values.as_text(v) for v in self._binary(node, scope))
        x, y = (f"rpad({v.sql}, {v.type.length}, ' ')" if v.type.name == "bpchar" else v.sql for v in (text, wanted))
        if isinstance(node, exp.ILike):
            if escape.isalpha():
                raise refuse("ILIKE with a letter as its escape character")
            x, y = f"rs_ascii_lower({x})", f"rs_ascii_lower({y})"
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        end = f" ESCAPE {quote(escape)}" if wanted.text is None or escape in wanted.text else ""
        return Typed(f"({x} {word} {y}{end})", BOOL)

    _on_ilike = _on_like

    def _on_escape(self, node: Any, scope: Scope) -> Typed:
        sign = node.expression.this
        if not isinstance(node.this, exp.Like | exp.ILike) or len(sign) != 1:
            raise self._unknown(node)
        return self._on_like(node.this, scope, sign)

    def _on_regexplike(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "expression")
        text, wanted = self._binary(node, scope)
        return Typed(f"regexp_matches({values.as_text(text).sql}, {functions.pattern(wanted)}, 's')", BOOL)

    def _on_add(self, node: Any, scope: Scope) -> Typed:
        return values.arithmetic("+", *self._binary(node, scope))

    def _on_sub(self, node: Any, scope: Scope) -> Typed:
        return values.arithmetic("-", *self._binary(node, scope))

    def _on_mul(self, node: Any, scope: Scope) -> Typed:
        return values.arithmetic("*", *self._binary(node, scope))

    def _on_div(self, node: Any, scope: Scope) -> Typed:
        return values.arithmetic("/", *self._binary(node, scope))

    def _on_mod(self, node: Any, scope: Scope) -> Typed:
        return values.arithmetic("%", *self._binary(node, scope))

    def _on_pow(self, node: Any, scope: Scope) -> Typed:
        return functions.call("power", list(self._binary(node, scope)))

    def _on_neg(self, node: Any, scope: Scope) -> Typed:
        value = self._expression(node.this, scope)
        if not value.type.is_number:
            raise SqlError(f"operator does not exist: - {value.type}")
        return replace(value, sql=f"(- {value.sql})")

    def _on_dpipe(self, node: Any, scope: Scope) -> Typed:
        return functions.call("concat", list(self._binary(node, scope)))

    def _on_cast(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "to", "_type", "safe")
        if node.args.get("safe"):
            raise refuse("TRY_CAST")
        kind = parse_type(node.to.sql(dialect="redshift"))
        value = self._expression(node.this, scope)
        made = cast(value, kind)
        return replace(made, text=None)

    def _on_case(self, node: Any, scope: Scope) -> Typed:
        subject = self._expression(node.this, scope) if node.this else None
        tests, results = [], []
        for branch in node.args["ifs"]:
            if subject is None:
                tests.append(self._condition(branch.this, scope))
            else:
                x, y = compared(subject, self._expression(branch.this, scope), "=")
                tests.append(f"{x} = {y}")
            results.append(self._expression(branch.args["true"], scope))
        default = node.args.get("default")
        results.append(self._expression(default, scope) if default is not None else NULL)
        unified, kind = values.unify(results)
        whens = " ".join(f"WHEN {t} THEN {r.sql}" for t, r in zip(tests, unified, strict=False))
        return Typed(f"CASE {whens} ELSE {unified[-1].sql} END", kind, all(r.const for r in unified) and not tests)

    def _on_interval(self, node: Any, scope: Scope) -> Typed:
        unit = str(node.args["unit"].this).lower() if node.args.get("unit") else ""
        if not isinstance(node.this, exp.Literal) or not re.fullmatch(r"-?\d+", node.this.this):
            raise self._unknown(node)
        unit = functions.date_part(unit, functions._SPANS)
        return Typed(f"INTERVAL ({node.this.this}) {unit}", INTERVAL, True)

    def _on_extract(self, node: Any, scope: Scope) -> Typed:
        return functions.part_function("extract", node.this.name, [self._expression(node.expression, scope)])

    def _on_currentdate(self, node: Any, scope: Scope) -> Typed:
        """When the transaction began: https://docs.aws.amazon.com/redshift/latest/dg/r_CURRENT_DATE_function.html"""
        return cast(functions.call("sysdate", []), parse_type("date"))

    def _on_currenttimestamp(self, node: Any, scope: Scope) -> Typed:
        if not node.args.get("sysdate"):
            raise refuse("CURRENT_TIMESTAMP: use GETDATE() or SYSDATE")
        return functions.call("sysdate", [])

    def _on_currentuser(self, node: Any, scope: Scope) -> Typed:
        return Typed(quote(self.catalog.user), varchar(128))

    def _on_sessionuser(self, node: Any, scope: Scope) -> Typed:
        return self._on_currentuser(node, scope)

    def _on_substring(self, node: Any, scope: Scope) -> Typed:
        parts = [node.this, node.args.get("start"), node.args.get("length")]
        return functions.call("substring", [self._expression(p, scope) for p in parts if p is not None])

    def _on_trim(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "expression", "position")
        which = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "btrim")
        parts = [node.this, node.args.get("expression")]
        return functions.call(which, [self._expression(p, scope) for p in parts if p is not None])

    def _on_strposition(self, node: Any, scope: Scope) -> Typed:
        self._only(node, "this", "substr")
        return functions.call("strpos", [self._expression(node.args[k], scope) for k in ("this", "substr")])

    def _on_anonymous(self, node: Any, scope: Scope) -> Typed:
        function = str(node.this).lower()
        if function in AGGREGATES:
            return self._aggregate(node, scope, "", [])
        if function in WINDOWS:
            raise SqlError(f"window function call requires an OVER clause: {function}")
        given = list(node.expressions)
        words = {"dateadd": 3, "date_add": 3, "datediff": 3, "date_diff": 3, "date_part": 2, "date_trunc": 2}
        if function in words:
            if len(given) != words[function]:
                raise SqlError(f"function {function} takes {words[function]} arguments")
            part = given[0].this if isinstance(given[0], exp.Literal) else given[0].name
            return functions.part_function(function, str(part), [self._expression(g, scope) for g in given[1:]])
        if function == "grouping":
            keys = [self._expression(g, replace(scope, groups=None)) for g in given]
            return Typed(f"grouping({', '.join(bare(k) for k in keys)})", parse_type("int4"))
        known = {"current_database": self.settings["database"], "current_schema": "public",
                 "user": self.catalog.user}  # fmt: skip
        if function in known and not given:
            return Typed(quote(known[function]), varchar(128))
        if function == "version":
            return Typed(
                quote("The local warehouse of the workbook: DuckDB that answers as Amazon Redshift"), varchar(256)
            )
        return functions.call(function, [self._expression(g, scope) for g in given])

    def _aggregate(self, node: Any, scope: Scope, over: str, order: list[Any]) -> Typed:
        function = str(node.this).lower()
        if not over and scope.groups is None:
            raise SqlError("aggregates not allowed here")
        if scope.in_aggregate and not over:
            raise SqlError("aggregate function calls may not be nested")
        inner = scope if over else replace(scope, in_aggregate=True)
        given, distinct = list(node.expressions), False
        if len(given) == 1 and isinstance(given[0], exp.Distinct):
            given, distinct = list(given[0].expressions), True
            if over:
                raise SqlError("DISTINCT is not supported for window functions")
        if function == "count" and len(given) == 1 and isinstance(given[0], exp.Star):
            if distinct:
                raise SqlError('syntax error at or near "*"')
            given = []
        arguments = [self._expression(g, inner) for g in given]
        keys = [bare(self._expression(o.this, inner)) + self._direction(o) for o in order]
        return functions.aggregate(function, arguments, distinct, over, keys)

    def _on_withingroup(self, node: Any, scope: Scope) -> Typed:
        function = str(node.this.this).lower() if isinstance(node.this, exp.Anonymous) else ""
        if function not in ("listagg", "percentile_cont"):
            raise self._unknown(node)
        return self._aggregate(node.this, scope, "", list(node.expression.expressions))

    def _on_window(self, node: Any, scope: Scope) -> Typed:
        """https://docs.aws.amazon.com/redshift/latest/dg/r_Window_function_synopsis.html"""
        self._only(node, "this", "partition_by", "order", "spec", "over")
        if scope.in_aggregate:
            raise SqlError("window functions are not allowed in aggregates")
        call, nulls = node.this, ""
        if isinstance(call, exp.IgnoreNulls | exp.RespectNulls):
            nulls, call = (" IGNORE NULLS" if isinstance(call, exp.IgnoreNulls) else ""), call.this
        if not isinstance(call, exp.Anonymous):
            raise self._unknown(node)
        function, given = str(call.this).lower(), list(call.expressions)
        if given and isinstance(given[0], exp.IgnoreNulls | exp.RespectNulls):
            nulls, given[0] = (" IGNORE NULLS" if isinstance(given[0], exp.IgnoreNulls) else ""), given[0].this
        partition = [bare(self._expression(p, scope)) for p in node.args.get("partition_by") or []]
        order = node.args.get("order")
        sorts = [(self._expression(o.this, scope), self._direction(o)) for o in order.expressions] if order else []
        if any(value.const for value, _ in sorts):
            raise SqlError("constants cannot be used in the ORDER BY clause of a window")
        keys = [bare(value) + direction for value, direction in sorts]
        frame = self._frame(node.args.get("spec"))
        if function == "ratio_to_report" and (keys or frame):
            raise SqlError("RATIO_TO_REPORT takes neither an ORDER BY nor a frame clause")
        framed = (*AGGREGATES, "first_value", "last_value", "nth_value")
        if keys and not frame and function in framed:
            raise SqlError("Aggregate window functions with an ORDER BY clause require a frame clause")
        if frame and (not keys or function not in framed):
            raise SqlError(f"a frame clause is for aggregates in an order, not for {function.upper()} here")
        if function in ("lag", "lead") and not keys:
            raise SqlError(f"{function.upper()} requires an ORDER BY clause")
        parts = [
            f"PARTITION BY {', '.join(partition)}" if partition else "",
            f"ORDER BY {', '.join(keys)}" if keys else "",
        ]
        over = f" OVER ({' '.join(filter(None, [*parts, frame]))})"
        if function in AGGREGATES:
            return self._aggregate(call, scope, over, [])
        if function in WINDOWS:
            return functions.window(function, [self._expression(g, scope) for g in given], nulls, over)
        raise refuse(f"the window function {function.upper()}")

    def _frame(self, spec: Any) -> str:
        if spec is None:
            return ""
        if str(spec.args.get("kind")).upper() != "ROWS":
            raise SqlError("RANGE is not supported in a frame clause: use ROWS")

        def bound(which: str) -> tuple[float, str]:
            """Rows from the current one, and the words."""
            value, side = spec.args.get(which), str(spec.args.get(f"{which}_side") or "").upper()
            if value is None:
                return 0, "CURRENT ROW"
            text = str(
                value if isinstance(value, str) else value.this if isinstance(value, exp.Literal) else ""
            ).upper()
            if not re.fullmatch(r"UNBOUNDED|CURRENT ROW|\d+", text):
                raise self._unknown(spec)
            rows = float("inf") if text == "UNBOUNDED" else 0 if text == "CURRENT ROW" else int(text)
            return (-rows if side == "PRECEDING" else rows), f"{text} {side}".strip()

        start, end = bound("start"), bound("end")
        if spec.args.get("end") is None:  # bounded by the current row
            start, end = sorted((start, end))
        if start[0] > end[0]:
            raise SqlError("a frame cannot start behind its end")
        return f"ROWS BETWEEN {start[1]} AND {end[1]}"

    # INSERT, UPDATE, DELETE, MERGE

    def _target(self, node: Any, *privileges: str) -> Relation:
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise self._unknown(node)
        relation = self.catalog.get(node.db.lower(), node.name.lower().removeprefix("#"))
        if relation.kind != "r":
            raise SqlError(f'cannot change "{relation.name}": it is a view')
        for privilege in privileges:
            self.catalog.need(relation, privilege)
        return relation

    def _value(self, node: Any, relation: Relation, column: Column, scope: Scope) -> str:
        """What INSERT and UPDATE put into a column."""
        if isinstance(node, exp.Var | exp.Column) and node.sql().upper() == "DEFAULT":
            if column.identity:
                return self.sequence_value(relation, column)
            return self.default(column) if column.default else "NULL"
        if column.identity and not column.by_default:
            raise SqlError(f"cannot set an identity column to a value: {column.name}")
        return cast(self._expression(node, scope), column.type, True).sql

    def _insert(self, node: Any) -> list[str]:
        self._only(node, "this", "expression", "with_", "default")
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        relation = self._target(target, "insert")
        named = [i.name.lower() for i in node.this.expressions] if isinstance(node.this, exp.Schema) else []
        columns = [relation.column(n) for n in named] or list(relation.columns)
        query = node.expression
        if node.args.get("default"):
            return [f"{self.insert_from(relation, [], '(SELECT 1)')}"]
        if isinstance(query, exp.Values):
            rows = []
            for row in query.expressions:
                given = list(row.expressions)
                if len(given) > len(columns):
                    raise SqlError("INSERT has more expressions than target columns")
                if named and len(given) < len(columns):
                    raise SqlError("INSERT has more target columns than expressions")
                taken = columns[: len(given)]
                rows.append([self._value(g, relation, c, Scope()) for g, c in zip(given, taken, strict=True)])
            width = len(rows[0])
            if any(len(r) != width for r in rows):
                raise SqlError("VALUES lists must all be the same length")
            columns = columns[:width]
            cells = ", ".join(
                "(" + ", ".join(f"CAST({v} AS {c.type.engine})" for v, c in zip(r, columns, strict=True)) + ")"
                for r in rows
            )
            titles = ", ".join(name(c.name) for c in columns)
            return [self.insert_from(relation, columns, f"(VALUES {cells}) AS q({titles})")]
        if not named:
            columns = (
                [c for c in columns if not c.identity or c.by_default] if any(c.identity for c in columns) else columns
            )
        made = self._query(query, None) if not node.args.get("with_") else self._query_with(node)
        if len(made.columns) > len(columns):
            raise SqlError("INSERT has more expressions than target columns")
        if len(made.columns) < len(columns) and named:
            raise SqlError("INSERT has more target columns than expressions")
        columns = columns[: len(made.columns)]
        for column in columns:
            if column.identity and not column.by_default:
                raise SqlError(f"cannot set an identity column to a value: {column.name}")
        inner = [f"c{n}" for n in range(len(columns))]
        cells = ", ".join(
            f"{cast(Typed(i, t), c.type, True).sql} AS {name(c.name)}"
            for i, (_, t), c in zip(inner, made.columns, columns, strict=True)
        )
        source = f"(SELECT {cells} FROM ({made.sql}) AS s({', '.join(inner)})) AS q"
        return [self.insert_from(relation, columns, source)]

    def _query_with(self, node: Any) -> Compiled:
        query = node.expression.copy()
        query.set("with_", node.args["with_"])
        return self._query(query, None)

    def _update(self, node: Any) -> list[str]:
        self._only(node, "this", "expressions", "from_", "where", "with_")
        if node.args.get("with_"):
            raise refuse("UPDATE with WITH")
        relation = self._target(node.this, "update")
        scope = Scope()
        alias = (node.this.alias or relation.name).lower()
        scope.tables[alias] = [(c.name, c.type) for c in relation.columns]
        source = self._from(exp.Select(from_=node.args["from_"], joins=node.args["from_"].args.get("joins")
                                       or node.args["from_"].this.args.pop("joins", None)), scope
                            ) if node.args.get("from_") else ""  # fmt: skip
        sets = self._sets(node.expressions, relation, scope)
        where = f" WHERE {self._condition(node.args['where'].this, scope)}" if node.args.get("where") else ""
        return [f"UPDATE {relation.engine_name} AS {name(alias)} SET {sets}{source}{where}"]

    def _sets(self, nodes: list[Any], relation: Relation, scope: Scope) -> str:
        made = []
        for node in nodes:
            if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
                raise self._unknown(node)
            column = relation.column(node.this.name.lower())
            if column.identity:
                raise SqlError(f"cannot set an identity column to a value: {column.name}")
            made.append(f"{name(column.name)} = {self._value(node.expression, relation, column, scope)}")
        return ", ".join(made)

    def _delete(self, node: Any) -> list[str]:
        self._only(node, "this", "tables", "using", "where")
        target = node.this or node.args["tables"][0]
        relation = self._target(target, "delete")
        scope = Scope()
        alias = (target.alias or relation.name).lower()
        scope.tables[alias] = [(c.name, c.type) for c in relation.columns]
        using = ", ".join(self._table(t, scope) for t in node.args.get("using") or [])
        where = f" WHERE {self._condition(node.args['where'].this, scope)}" if node.args.get("where") else ""
        return [f"DELETE FROM {relation.engine_name} AS {name(alias)}{f' USING {using}' if using else ''}{where}"]

    def _merge(self, node: Any) -> list[str]:
        """One WHEN MATCHED and one WHEN NOT MATCHED, from a table: https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html"""
        self._only(node, "this", "using", "on", "whens")
        if node.this.alias:
            raise SqlError("syntax error: the target table of MERGE has no alias")
        relation = self._target(node.this, "select", "insert", "update", "delete")
        if not isinstance(node.args["using"], exp.Table):
            raise SqlError("syntax error: MERGE takes its rows from a table, not from a query")
        scope = Scope()
        scope.tables[relation.name] = [(c.name, c.type) for c in relation.columns]
        found = self.catalog.find(node.args["using"].db.lower(), node.args["using"].name.lower().removeprefix("#"))
        if found is not None and found.kind != "r":
            raise SqlError("MERGE takes its rows from a table, not from a view")
        if found is relation:
            raise SqlError("MERGE takes its rows from another table than it changes")
        source = self._table(node.args["using"], scope)
        on = self._condition(node.args["on"], scope)
        clauses: dict[bool, str] = {}
        for when in node.args["whens"].expressions:
            self._only(when, "matched", "then")
            matched, then = bool(when.args.get("matched")), when.args["then"]
            if matched in clauses:
                raise SqlError("syntax error: MERGE takes one WHEN MATCHED and one WHEN NOT MATCHED")
            clauses[matched] = f"WHEN {'' if matched else 'NOT '}MATCHED THEN {self._merged(then, relation, scope)}"
        if len(clauses) != 2:
            raise SqlError("syntax error: MERGE needs WHEN MATCHED and WHEN NOT MATCHED")
        target = f"{relation.engine_name} AS {name(relation.name)}"
        twice = (
            f"SELECT error('Found multiple matches to update the same tuple.') FROM (SELECT 1 FROM {target} "
            f"JOIN {source} ON {on} GROUP BY {name(relation.name)}.rowid HAVING count(*) > 1 LIMIT 1)"
        )
        return [twice, f"MERGE INTO {target} USING {source} ON ({on}) {clauses[True]} {clauses[False]}"]

    def _merged(self, then: Any, relation: Relation, scope: Scope) -> str:
        if isinstance(then, exp.Var) and then.name.upper() == "DELETE":
            return "DELETE"
        if isinstance(then, exp.Update):
            return f"UPDATE SET {self._sets(then.expressions, relation, scope)}"
        if not isinstance(then, exp.Insert):
            raise self._unknown(then)
        listed = list(then.this.expressions) if then.this else []
        if len(listed) == 1 and isinstance(listed[0], exp.Anonymous):  # INSERT VALUES (…), as the parser reads it
            given, listed = list(listed[0].expressions), []
        else:
            given = list(then.expression.expressions)
        named = [c.name.lower() for c in listed] or [c.name for c in relation.columns]
        if len(named) != len(given):
            raise SqlError("INSERT has another number of expressions than of target columns")
        columns = [relation.column(n) for n in named]
        made = [self._value(g, relation, c, scope) for g, c in zip(given, columns, strict=True)]
        for column in relation.columns:
            if column.name not in named and (column.identity or column.default):
                columns.append(column)
                made.append(self.sequence_value(relation, column) if column.identity else self.default(column))
        return f"INSERT ({', '.join(name(c.name) for c in columns)}) VALUES ({', '.join(made)})"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []


def _chain(scope: Scope | None) -> list[Scope]:
    found = []
    while scope is not None:
        found.append(scope)
        scope = scope.parent
    return found


def _stored(kind: Type) -> Type:
    return varchar() if kind == UNKNOWN else kind
