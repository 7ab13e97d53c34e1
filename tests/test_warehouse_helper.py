"""The SQL files, and the helper that asks the warehouse: how texts are split, and how answers become tables."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlglot

from helpers import warehouse
from helpers.warehouse import SQL, QueryFailed, question, questions, split, statements

FILES = sorted(path.relative_to(SQL).with_suffix("").as_posix() for path in SQL.rglob("*.sql"))


class FakeData:
    """redshift-data as far as `rows` and `wait` use it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def describe_statement(self, Id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.answers["described"].pop(0)
        return answer

    def get_paginator(self, operation: str) -> FakeData:
        assert operation == "get_statement_result"
        return self

    def paginate(self, Id: str) -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = self.answers["pages"]
        return pages


@pytest.mark.parametrize("name", FILES)
def test_every_statement_is_one_that_redshift_parses(name: str) -> None:
    found = statements(name)
    assert found
    for statement in found:
        assert len([s for s in sqlglot.parse(statement, read="redshift") if s]) == 1


def test_ten_questions_of_one_statement_each() -> None:
    assert [name[:2] for name in questions()] == [f"{n:02}" for n in range(1, 11)]
    for name in questions():
        assert question(name).startswith("-- ") and "ORDER BY" in question(name), "an answer has an order"


def test_a_text_is_split_at_its_own_semicolons_only() -> None:
    text = "-- one; of many\nSELECT ';', \"a;b\" /* ; */ FROM t; ;\n\nSELECT 2;\n-- the end; really\n"
    assert split(text) == ["-- one; of many\nSELECT ';', \"a;b\" /* ; */ FROM t", "SELECT 2"]


def test_an_unknown_file_is_named_with_those_that_exist() -> None:
    with pytest.raises(FileNotFoundError, match=r"no mirge_sales.sql in helpers/sql, which has .*merge_sales"):
        statements("mirge_sales")


def test_results_have_exact_types_on_all_pages() -> None:
    columns = [
        {"label": label, "typeName": kind}
        for label, kind in (
            ("n", "int8"), ("m", "int4"), ("revenue", "numeric"), ("day", "date"), ("at", "timestamp"),
            ("name", "varchar"), ("yes", "bool"), ("share", "float8"),
        )
    ]  # fmt: skip
    first = [
        {"longValue": 1}, {"isNull": True}, {"stringValue": "9747747.934"}, {"stringValue": "2011-12-09"},
        {"stringValue": "2011-12-09 12:50:00"}, {"stringValue": "£"}, {"booleanValue": False}, {"doubleValue": 0.5},
    ]  # fmt: skip
    second = [{"longValue": 2}, {"longValue": 3}, *[{"isNull": True}] * 6]
    pages = [{"ColumnMetadata": columns, "Records": [first]}, {"ColumnMetadata": columns, "Records": [second]}]
    table = warehouse.rows(FakeData(pages=pages), "id")
    assert table["n"].tolist() == [1, 2] and table["n"].dtype == "int64"
    assert table.iloc[0].tolist() == [
        1, None, Decimal("9747747.934"), dt.date(2011, 12, 9), dt.datetime(2011, 12, 9, 12, 50), "£", False, 0.5,
    ]  # fmt: skip
    assert table.iloc[1].tolist() == [2, 3, None, None, None, None, None, None]


def test_a_failure_says_what_redshift_said_and_where() -> None:
    described = [
        {"Status": "STARTED"},
        {
            "Status": "FAILED",
            "Error": "ERROR: batch failed",
            "SubStatements": [
                {"Status": "FINISHED", "QueryString": "SELECT 1"},
                {"Status": "FAILED", "Error": 'ERROR: relation "x" does not exist', "QueryString": "SELECT *\nFROM x"},
                {"Status": "ABORTED", "QueryString": "SELECT 3"},
            ],
        },
    ]
    with pytest.raises(QueryFailed, match=r'^ERROR: relation "x" does not exist \(in: SELECT \* FROM x …\)$'):
        warehouse.wait(FakeData(described=described), "id")
