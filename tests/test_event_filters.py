"""The rules of a mapping's filters.

guide: https://docs.aws.amazon.com/lambda/latest/dg/, EventBridge: https://docs.aws.amazon.com/eventbridge/latest/userguide/
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.localaws.event_sources import filters
from helpers.localaws.types import AwsError


def wanted(data: str | bytes, *patterns: str, key: str = "data", plain: bool = False) -> bool:
    criteria = {"FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in patterns]}}
    passes = filters.wanted(criteria, key, plain=plain)
    assert passes
    return passes(data)


@pytest.mark.parametrize(
    ("rules", "yes", "no"),
    [
        ('{"UserID": [null]}', ['{"UserID": null}'], ['{"UserID": ""}', "{}", '{"UserID": "null"}']),
        ('{"LastName": [""]}', ['{"LastName": ""}'], ['{"LastName": null}', "{}", '{"LastName": " "}']),
        ('{"Name": ["Alice"]}', ['{"Name": "Alice", "x": 1}'], ['{"Name": "alice"}', '{"name": "Alice"}']),
        ('{"Name": [{"equals-ignore-case": "Alice"}]}', ['{"Name": "aLICE"}'], ['{"Name": "Alicia"}', '{"Name": 1}']),
        (
            '{"Location": ["New York"], "Day": ["Monday"]}',
            ['{"Location": "New York", "Day": "Monday"}'],
            ['{"Location": "New York"}', '{"Location": "New York", "Day": "Tuesday"}'],
        ),
        ('{"PaymentType": ["Credit", "Debit"]}', ['{"PaymentType": "Debit"}'], ['{"PaymentType": "Cash"}']),
        (
            '{"$or": [{"Location": ["New York"]}, {"Day": ["Monday"]}], "Year": [2026]}',
            ['{"Location": "New York", "Year": 2026}', '{"Day": "Monday", "Year": 2026}'],
            ['{"Day": "Monday"}', '{"Day": "Tuesday", "Year": 2026}'],
        ),
        (
            '{"Weather": [{"anything-but": ["Raining"]}]}',
            ['{"Weather": "Sunny"}', '{"Weather": 1}'],
            ['{"Weather": "Raining"}', "{}"],
        ),
        ('{"Weather": [{"anything-but": "Raining"}]}', ['{"Weather": "Sunny"}'], ['{"Weather": "Raining"}']),
        (
            '{"Price": [{"numeric": ["=", 100]}]}',
            ['{"Price": 100}', '{"Price": 100.0}', '{"Price": 1e2}'],
            ['{"Price": "100"}', '{"Price": 101}'],
        ),
        (
            '{"Price": [{"numeric": [">", 10, "<=", 20]}]}',
            ['{"Price": 10.01}', '{"Price": 20}'],
            ['{"Price": 10}', '{"Price": 20.5}', '{"Price": true}', "{}"],
        ),
        ('{"n": [300]}', ['{"n": 300}'], ['{"n": 300.0}', '{"n": 3.0e2}', '{"n": "300"}']),
        ('{"n": [true]}', ['{"n": true}'], ['{"n": 1}', '{"n": "true"}']),
        (
            '{"ProductName": [{"exists": true}]}',
            ['{"ProductName": null}', '{"ProductName": ""}'],
            ["{}", '{"ProductName": {"a": 1}}'],
        ),
        (
            '{"a": {"b": [{"exists": false}]}}',
            ["{}", '{"a": 1}', '{"a": {"c": 1}}', '{"a": {"b": {"c": 1}}}'],
            ['{"a": {"b": null}}', '{"a": [{"c": 1}, {"b": 1}]}'],
        ),
        ('{"Region": [{"prefix": "us-"}]}', ['{"Region": "us-east-1"}'], ['{"Region": "eu-us-1"}', '{"Region": 1}']),
        ('{"FileName": [{"suffix": ".png"}]}', ['{"FileName": "a.png"}'], ['{"FileName": "a.png.gz"}']),
        ('{"tags": ["a", "b"]}', ['{"tags": ["x", "b"]}'], ['{"tags": ["x"]}', '{"tags": []}']),
        (
            '{"rows": {"a": [1], "b": [2]}}',
            ['{"rows": [{"a": 3}, {"a": 1, "b": 2}]}'],
            ['{"rows": [{"a": 1}, {"b": 2}]}'],
        ),
        ('{"order": {"type": ["buy"]}}', ['{"order": {"type": "buy"}}'], ['{"order": "buy"}', '{"type": "buy"}', "[]"]),
    ],
)
def test_rules(rules: str, yes: list[str], no: list[str]) -> None:
    """guide: invocation-eventfiltering.html#filtering-syntax, the table of operators and the notes below it
    EventBridge: eb-event-patterns-arrays.html, eb-event-patterns-null-values.html"""
    pattern = f'{{"data": {rules}}}'
    assert [wanted(data.encode(), pattern) for data in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


def test_one_filter_of_several_is_enough() -> None:
    """guide: invocation-eventfiltering.html: filters are logically ORed"""
    patterns = ['{"data": {"a": [1]}}', '{"data": {"b": [2]}}']
    assert [wanted(data, *patterns) for data in ('{"b": 2}', '{"a": 1}', '{"a": 2, "b": 1}')] == [True, True, False]
    assert filters.wanted({"FilterCriteria": None}, "data") is None


@pytest.mark.parametrize(
    ("pattern", "data", "expected"),
    [
        ('{"body": [{"prefix": "Result: "}]}', "Result: 5", True),
        ('{"body": [{"prefix": "Result: "}]}', "No result", False),
        ('{"body": [{"prefix": "{"}]}', '{"a": 1}', False),
        ('{"body": {"a": [1]}}', "a plain text", False),
        ('{"body": {"a": [{"exists": false}]}}', "a plain text", False),
        ('{"body": {"a": [1]}}', '{"a": 1}', True),
    ],
)
def test_a_text_and_a_document_are_different(pattern: str, data: str, expected: bool) -> None:
    """guide: with-sqs-filtering.html, the table: where pattern and body are of different formats, Lambda drops the
    message; with-kinesis-filtering.html: data that is no JSON is dropped"""
    assert wanted(data, pattern, key="body", plain=True) is expected
    assert not wanted(b"\xff\xfe", '{"data": {"a": [{"exists": false}]}}')


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        *((text, "Invalid filter pattern definition") for text in ("", "{", "[]", "{}", '{"data": {}}', '{"data": 1}')),
        *(
            (json.dumps({"data": {"a": rules}}), "Invalid filter pattern definition")
            for rules in (
                [], "x", [["x"]], [{"prefix": 1}], [{"exists": "yes"}], [{"numeric": [">"]}], [{"numeric": ["~", 1]}],
                [{"numeric": ["<", 6_000_000_000]}], [{}], [{"prefix": "a", "suffix": "b"}],
            )
        ),
        ('{"data": ["a text"]}', "must be a JSON object"),
        ('{"partitionKey": ["1"]}', "filters by data only"),
        ('{"data": {"a": [{"cidr": "10.0.0.0/24"}]}}', "does not have this rule"),
        ('{"data": {"a": [{"anything-but": {"prefix": "b"}}]}}', "does not have this rule"),
    ],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str, words: str) -> None:
    """guide: invocation-eventfiltering.html; with-kinesis-filtering.html: filtering on the data key only, in JSON"""
    with pytest.raises(AwsError, match=words) as caught:
        wanted("{}", pattern)
    assert caught.value.code == "InvalidParameterValueException"


def test_a_mapping_has_five_filters() -> None:
    """guide: invocation-eventfiltering.html"""
    filters_of: Any = lambda n: [{"Pattern": '{"data": {"a": [1]}}'}] * n  # noqa: E731
    assert filters.wanted({"FilterCriteria": {"Filters": filters_of(5)}}, "data")
    with pytest.raises(AwsError, match="5 filters"):
        filters.wanted({"FilterCriteria": {"Filters": filters_of(6)}}, "data")
