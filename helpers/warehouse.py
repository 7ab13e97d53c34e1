"""Ask the warehouse: plain boto3's `redshift-data` in three lines, and its answer as a table.

    run("SELECT country, SUM(revenue) AS revenue FROM fact_sales GROUP BY country")
    run(question("01_revenue_by_month"))
    run_all(statements("merge_sales"))      # several statements, one transaction

The statements are those of helpers/sql/*.sql. The Data API answers at once with an id; the statement runs on its own,
and is asked for until it has finished: https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-calling.html.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import sqlglot

SQL = Path(__file__).parent / "sql"
WHERE = {"ClusterIdentifier": "workbook", "Database": "retail", "DbUser": "admin"}  # of notebook 06


class QueryFailed(Exception):
    """Redshift refused a statement. The message is Redshift's own, and then the statement's beginning."""

    def __init__(self, error: str, sql: str) -> None:
        super().__init__(f"{error} (in: {' '.join(sql.split())[:80]} …)")
        self.error, self.sql = error, sql

    def _render_traceback_(self) -> list[str]:
        """IPython prints this instead of a stack trace."""
        return [f"{type(self).__name__}: {self}"]


def run(sql: str, parameters: Mapping[str, Any] | None = None, **where: str) -> pd.DataFrame:
    """Run one statement, wait for it, and return its rows: numbers as int, float or exact Decimal, dates as dates.

    `parameters` fill `:name` in the statement. `where` overrides WHERE (`DbUser="analyst"`). A statement without rows
    gives an empty table. Raises QueryFailed with Redshift's own message.
    """
    data = boto3.client("redshift-data")
    given = [{"name": name, "value": str(value)} for name, value in (parameters or {}).items()]
    more = {"Parameters": given} if given else {}
    done = wait(data, data.execute_statement(Sql=sql, **more, **{**WHERE, **where})["Id"], sql)
    return rows(data, done["Id"]) if done["HasResultSet"] else pd.DataFrame()


def run_all(sqls: Iterable[str], **where: str) -> dict[str, Any]:
    """Run statements as one transaction: all of them, or none. Returns what describe_statement says at the end.

    Raises QueryFailed with the message and the statement that Redshift stopped at.
    """
    data, sqls = boto3.client("redshift-data"), list(sqls)
    started = data.batch_execute_statement(Sqls=sqls, **{**WHERE, **where})
    return wait(data, started["Id"], sqls[0])


def wait(data: Any, statement: str, sql: str = "") -> dict[str, Any]:
    """What describe_statement says once a statement has finished; QueryFailed when it FAILED or was ABORTED."""
    pause = 0.005
    while (done := data.describe_statement(Id=statement))["Status"] not in ("FINISHED", "FAILED", "ABORTED"):
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    if done["Status"] == "FINISHED":
        return dict(done)
    stopped = [part for part in done.get("SubStatements", ()) if part["Status"] in ("FAILED", "ABORTED")]
    part = next((part for part in stopped if part.get("Error")), done)
    raise QueryFailed(part.get("Error") or done.get("Error", done["Status"]), part.get("QueryString", sql))


def rows(data: Any, statement: str) -> pd.DataFrame:
    """The result of a finished statement, all its pages, as a table of exact types."""
    columns: list[Any] = []
    found: list[list[Any]] = []
    for page in data.get_paginator("get_statement_result").paginate(Id=statement):
        columns = page["ColumnMetadata"]
        read = [_READ.get(column["typeName"], _same) for column in columns]
        for record in page["Records"]:
            found.append(
                [None if field.get("isNull") else r(_value(field)) for r, field in zip(read, record, strict=True)]
            )
    names = [column["label"] for column in columns]
    table = pd.DataFrame(found, columns=pd.Index(names), dtype=object)
    whole = [c["label"] for c in columns if c["typeName"] in _WHOLE]
    return table.astype({n: "int64" for n in whole if names.count(n) == 1 and not table[n].isna().any()})


def _value(field: dict[str, Any]) -> Any:
    return next(iter(field.values()))


def _same(value: Any) -> Any:
    return value


# What the Data API sends as text, by Redshift's name of the type.
_READ: dict[str, Callable[[Any], Any]] = {
    "numeric": Decimal,
    "date": lambda value: dt.date.fromisoformat(value),
    "timestamp": lambda value: dt.datetime.fromisoformat(value),
}
_WHOLE = {"int2", "int4", "int8"}


def statements(name: str) -> list[str]:
    """The statements of helpers/sql/<name>.sql, in order: the Data API takes one at a time, or a list of them."""
    path = SQL / f"{name}.sql"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SQL.glob("*.sql")))
        raise FileNotFoundError(f"there is no {path.name} in helpers/sql, which has {known}")
    return split(path.read_text(encoding="utf-8"))


def split(text: str) -> list[str]:
    """The statements of a text, at its semicolons, but not at those in quotes or comments."""
    ends = [t.start for t in sqlglot.tokenize(text, read="redshift") if t.token_type.name == "SEMICOLON"]
    parts = [text[start:end].strip() for start, end in zip([0, *(e + 1 for e in ends)], [*ends, None], strict=True)]
    return [part for part in parts if part and sqlglot.tokenize(part, read="redshift")]


def question(name: str) -> str:
    """The text of a business question, helpers/sql/questions/<name>.sql."""
    (sql,) = statements(f"questions/{name}")
    return sql


def questions() -> list[str]:
    """The names of the business questions, in order."""
    return sorted(path.stem for path in (SQL / "questions").glob("*.sql"))
