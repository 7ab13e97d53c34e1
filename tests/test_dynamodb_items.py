"""Single items of DynamoDB, as suites that run against the real one have recorded them.

A source is a file below tests/ of github.com/nubo-db/dynamodb-conformance; of its newer home
github.com/paritysuite/dynamodb-conformance after "parity:", of github.com/ExtendDB/extenddb after "extenddb:". The
facts are theirs: which answer, which error. Messages are compared as far as AWS's regions agree on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conformance.lab import world

TYPES = {"S", "N", "B", "SS", "NS", "BS", "L", "M", "NULL", "BOOL"}
WORDS = {"update": "UpdateExpression", "if": "ConditionExpression", "show": "ProjectionExpression"}
TABLES = {
    "hash": {"pk": "S"}, "numbers": {"pk": "N"}, "bytes": {"pk": "B"}, "pairs": {"pk": "S", "sk": "S"},
    "indexed": {"pk": "S", "sk": "S", "g": "S", "l": "S"},
}  # fmt: skip
KEYS: dict[str, dict[str, Any]] = {table: {k: "k" for k in list(kinds)[:2]} for table, kinds in TABLES.items()}
CHECK = "The conditional request failed"
CODES = {CHECK: "ConditionalCheckFailedException", "Requested resource not found": "ResourceNotFoundException"}
EXTENDED = "extenddb:"
MOST_BYTES = 409_600


@dataclass(frozen=True)
class Case:
    """One call on the item with the key "k", unless `asks` names another.

    Values are Python's, or as DynamoDB has them ({"N": "1"}). In `asks` :v and #n are an expression's values and names,
    and WORDS stand for the expressions. `before` and `after` are the item without its key (None: there is none; "any"
    after: not looked at), `gets` members of the answer (None: absent), `refused` a part of the refusal's message.
    """

    source: str
    call: str
    asks: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | str | None = "any"
    gets: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    table: str = "hash"


def typed(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        raw = len(value) == 1 and value.keys() <= TYPES
        return value if raw else {"M": {name: typed(member) for name, member in value.items()}}
    if isinstance(value, list):
        return {"L": [typed(member) for member in value]}
    kind = {str: "S", bytes: "B", bool: "BOOL", int: "N", float: "N"}[type(value)]
    return {kind: str(value) if kind == "N" else value}


def item(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: typed(value) for name, value in attributes.items()}


def below(folder: str, source: str) -> str:
    """The source in a folder, unless it is one of its own."""
    return source if ":" in source else folder + source


def deep(levels: int) -> Any:
    return {"x": deep(levels - 1)} if levels else "leaf"


def padded(size: int, **more: Any) -> dict[str, Any]:
    """An item of so many bytes, all of which texts have."""
    taken = sum(len(name) + len(value) for name, value in more.items()) + len("pk" + "k" + "p")
    return {"pk": "k", **more, "p": "x" * (size - taken)}


# fmt: off

# Conditions

PUT, DELETE, UPDATE = "tier1/putItem/", "tier1/deleteItem/", "tier1/updateItem/"
ANN = {"status": "active", "count": 5, "name": "ann", "map": {"inner": "deep"}}
HOLD = [
    ("conditions", {"if": "attribute_exists(#s)", "#s": "status"}, ANN),
    ("conditions", {"if": "#c > :v", "#c": "count", ":v": 3}, ANN),
    ("expressions", {"if": "size(#n) < :v", "#n": "name", ":v": 10}, ANN),
    ("expressions", {"if": "contains(#n, :v)", "#n": "name", ":v": "nn"}, ANN),
    ("expressions", {"if": "attribute_type(#s, :v)", "#s": "status", ":v": "S"}, ANN),
    ("expressions", {"if": "#n = :n AND #c = :c", "#n": "name", "#c": "count", ":n": "ann", ":c": 5}, ANN),
    ("expressions", {"if": "#n = :n OR #c = :c", "#n": "name", "#c": "count", ":n": "bob", ":c": 5}, ANN),
    ("expressions", {"if": "#m.#i = :v", "#m": "map", "#i": "inner", ":v": "deep"}, ANN),
    ("expressions", {"if": "attribute_exists(#m.#i)", "#m": "map", "#i": "inner"}, ANN),
    ("expressions", {"if": "attribute_not_exists(#m.x)", "#m": "map"}, ANN),
    ("expressions", {"if": "NOT attribute_exists(pk)"}, None),
    ("conditions", {"if": "attribute_not_exists(pk)"}, None),
    ("conditions", {"if": "#s <> :v", "#s": "status", ":v": "working"}, None),
    *(
        (EXTENDED + "test_expr_operand_type_and_size.py", {"if": text, ":v": 0}, {"flag": True, "num": 9, "s": "x"})
        for text in ("size(num) <> :v", "size(s) > :v", "NOT size(flag) > :v", "NOT flag > :v", "NOT absent > :v")
    ),
    ("conditions", {"if": "#s <> :v OR a < :t", "#s": "status", ":v": "working", ":t": "2099"}, None),
    ("conditionExpressionParens", {"if": "(attribute_not_exists(pk)) AND (attribute_not_exists(a))"}, None),
    ("conditionExpressionParens", {"if": "(attribute_not_exists(pk) AND attribute_not_exists(a))"}, None),
    ("conditionExpressionParens", {"if": "(attribute_not_exists(pk) AND (attribute_not_exists(a)))"}, None),
]
FAIL = [
    ("conditions", {"if": "attribute_not_exists(pk)"}, ANN),
    ("conditions", {"if": "#c > :v", "#c": "count", ":v": 100}, ANN),
    ("conditions", {"if": "#s = :v", "#s": "status", ":v": "working"}, None),
    ("conditionExpressionParens", {"if": "(attribute_exists(pk)) AND (#s = :v)", "#s": "status", ":v": "x"}, ANN),
]
CONDITIONS = [
    *(Case(below(PUT, source), "put_item", asks, before, {}) for source, asks, before in HOLD),
    *(Case(below(PUT, source), "put_item", asks, before, refused=CHECK) for source, asks, before in FAIL),
    *(
        Case(DELETE + source, "delete_item", {"if": text, "#s": "status", ":v": value}, ANN, after, {}, refused)
        for source, text in (
            ("basic", "#s = :v"), ("conditionExpressionParens", "(attribute_exists(pk)) AND (#s = :v)"),
            ("conditionExpressionParens", "(attribute_exists(pk) AND #s = :v)"),
            ("conditionExpressionParens", "(attribute_exists(pk) AND (#s = :v))"),
        )
        for value, after, refused in (("active", None, None), ("pending", ANN, CHECK))
    ),
    *(
        Case(source, call, {"if": "attribute_not_exists(a)", "ReturnValuesOnConditionCheckFailure": asked,
                            "ReturnConsumedCapacity": "TOTAL"},
             before, gets={"Item": shown, "ConsumedCapacity": None}, refused=CHECK)
        for call, source in (("put_item", "tier3/error-messages/conditionalCheck"), ("delete_item", EXTENDED +
                             "test_conditional_writes.py"), ("update_item", UPDATE + "conditions"))
        for asked, before, shown in (("ALL_OLD", {"a": 1}, {"pk": "k", "a": 1}), ("NONE", {"a": 1}, None))
    ),
    *(
        Case(UPDATE + "conditions", "update_item", {"update": "SET d = :d", ":d": 1, "if": text, **values}, before,
             {"a": 50, "d": 1}, {}, refused)
        for text, values, before, refused in (
            ("a = :v", {":v": 50}, {"a": 50}, None), ("a = :v", {":v": 51}, {"a": 50}, CHECK),
            ("attribute_not_exists(d)", {}, {"a": 50}, None), ("attribute_not_exists(a)", {}, {"a": 50}, CHECK),
            ("a > :v", {":v": 10}, {"a": 50}, None), ("a > :v", {":v": 200}, {"a": 50}, CHECK),
            ("a = :v AND a > :w", {":v": 50, ":w": 10}, {"a": 50}, None),
            ("a = :v AND a > :w", {":v": 50, ":w": 100}, {"a": 50}, CHECK),
            ("attribute_exists(pk)", {}, None, CHECK),
        )
    ),
]

# What is stored, and what comes back

NINES = "9" * 38
STORED: list[tuple[str, Any, Any]] = [
    ("tier1/putItem/dataTypes", deep(3), deep(3)),
    ("tier1/putItem/dataTypes", ["a", 1, True, {"NULL": True}, {"x": "y"}], ["a", 1, True, {"NULL": True}, {"x": "y"}]),
    ("tier1/putItem/dataTypes", "x" * 102_400, "x" * 102_400),
    ("tier1/putItem/binaryKeys", b"\x00\x01\x7f\x80\xfe\xff", b"\x00\x01\x7f\x80\xfe\xff"),
    ("tier3/limits/emptyValues", "", ""),
    (EXTENDED + "test_nul_strings.py", {"k\0": "\0", "l": ["\1\0\1"]}, {"k\0": "\0", "l": ["\1\0\1"]}),
    ("tier3/limits/emptyValues", b"", b""),
    ("tier3/limits/emptyValues", ["", "hello"], ["", "hello"]),
    ("tier3/limits/numberPrecision", {"N": "9." + NINES[1:] + "E+125"}, {"N": NINES + "0" * 88}),
    ("tier3/limits/numberPrecision", {"N": "-9." + NINES[1:] + "E+125"}, {"N": "-" + NINES + "0" * 88}),
    ("tier3/limits/numberPrecision", {"N": "1E-130"}, {"N": "0." + "0" * 129 + "1"}),
    ("tier3/limits/numberPrecision", {"N": "00042"}, 42),
    ("tier3/limits/numberPrecision", {"N": "1.5E2"}, 150),
    ("tier3/limits/numberPrecision", {"N": "-0"}, 0),
    ("tier3/limits/numberPrecision", {"N": "3.1400"}, 3.14),
    ("tier3/limits/numberByteSize", {"N": "0042.1200"}, 42.12),
    ("tier3/limits/numberByteSize", {"N": "1E125"}, {"N": "1" + "0" * 125}),
    ("parity:tier3/limits/numberExponent", {"N": "0e125"}, 0),
    ("parity:tier3/limits/nestingDepth", deep(31), deep(31)),
    ("parity:tier1/updateItem/basic", {"SS": ["b", "", "a", "B", "é"]}, {"SS": ["", "B", "a", "b", "é"]}),
    ("parity:tier1/updateItem/basic", {"NS": ["10", "9", "-1", "1E2"]}, {"NS": ["-1", "9", "10", "100"]}),
    ("parity:tier1/updateItem/basic", {"BS": [b"\xff", b"", b"\x01"]}, {"BS": [b"", b"\x01", b"\xff"]}),
]
OLD = {"ReturnValues": "ALL_OLD"}
SHOWN = {"m": {"a": 1, "b": 2, "c": 3}, "l": ["0", "1", "2"]}
ITEMS = [
    *(Case(source, "put_item", {"Item": {"pk": "k", "v": value}}, None, {"v": kept}) for source, value, kept in STORED),
    Case(PUT + "basic", "put_item", OLD | {"Item": {"pk": "k", "b": 2}}, {"a": 1}, {"b": 2},
         {"Attributes": {"pk": "k", "a": 1}}),
    Case(PUT + "basic", "put_item", OLD, None, {}, {"Attributes": None}),
    Case(DELETE + "basic", "delete_item", OLD, {"a": 1}, None, {"Attributes": {"pk": "k", "a": 1}}),
    Case(DELETE + "basic", "delete_item", OLD, None, None, {"Attributes": None}),
    Case("tier1/getItem/basic", "get_item", gets={"Item": None}),
    *(
        Case(below("tier1/getItem/", source), "get_item", {"show": text}, SHOWN, gets={"Item": found})
        for source, text, found in (
            ("basic", "m", {"m": SHOWN["m"]}), ("projection", "m.a", {"m": {"a": 1}}),
            ("projection", "l[0]", {"l": ["0"]}), ("projection", "m.a, l[1]", {"m": {"a": 1}, "l": ["1"]}),
            ("projection", "m.a, m.b", {"m": {"a": 1, "b": 2}}),
            ("projectionValidation", "l[2], l[0]", {"l": ["0", "2"]}),
            ("parity:tier3/limits/expressionSize", "absent", {}),
        )
    ),
]

# Updates: (what is asked, the item before, the item after)

BASIC: list[tuple[dict[str, Any], Any, Any]] = [
    ({"update": "SET d = :v", ":v": "x"}, None, {"d": "x"}),
    ({"update": "SET d = :v", ":v": "x"}, {"d": "o", "e": 1}, {"d": "x", "e": 1}),
    ({"update": "SET c = c + :v", ":v": 5}, {"c": 10}, {"c": 15}),
    ({"update": "SET a = if_not_exists(a, :v), b = if_not_exists(b, :v)", ":v": 2}, {"a": 1}, {"a": 1, "b": 2}),
    ({"update": "SET b = if_not_exists(b, a)"}, {"a": 1}, {"a": 1, "b": 1}),
    ({"update": "SET l = list_append(l, :v)", ":v": ["b"]}, {"l": ["a"]}, {"l": ["a", "b"]}),
    ({"update": "SET l = list_append(:v, l)", ":v": ["a"]}, {"l": ["b"]}, {"l": ["a", "b"]}),
    ({"update": "SET l = list_append(if_not_exists(l, :e), :v)", ":e": [], ":v": ["x"]}, {}, {"l": ["x"]}),
    ({"update": "SET t = :v", ":v": {"SS": [""]}}, None, {"t": {"SS": [""]}}),
    ({"update": "SET w.t = :v", ":v": {"SS": [""]}}, {"w": {}}, {"w": {"t": {"SS": [""]}}}),
    ({"update": "SET a = :v, b = a", ":v": "new"}, {"a": "old"}, {"a": "new", "b": "old"}),
    ({"update": "SET c = (c - :v)", ":v": 3}, {"c": 10}, {"c": 7}),
    ({"update": "SET v = if_not_exists(v, :d) - :a", ":d": 0, ":a": 3}, {"v": 10}, {"v": 7}),
    ({"update": "REMOVE b"}, {"a": 1, "b": 2}, {"a": 1}),
    ({"update": "REMOVE g"}, {"a": 1}, {"a": 1}),
    ({"update": "REMOVE a.b"}, {"a": {"c": 1}}, {"a": {"c": 1}}),
    ({"update": "ADD c :v", ":v": 3}, {"c": 10}, {"c": 13}),
    ({"update": "ADD c :v", ":v": 3}, {}, {"c": 3}),
    ({"update": "ADD t :v", ":v": {"SS": ["d", "a"]}}, {"t": {"SS": ["b", "c"]}}, {"t": {"SS": ["a", "b", "c", "d"]}}),
    ({"update": "ADD t :v", ":v": {"SS": [""]}}, {"t": {"SS": ["a"]}}, {"t": {"SS": ["", "a"]}}),
    ({"update": "ADD t :v", ":v": {"SS": [""]}}, {}, {"t": {"SS": [""]}}),
    ({"update": "ADD t :v", ":v": {"SS": [""]}}, {"t": {"SS": [""]}}, {"t": {"SS": [""]}}),
    ({"update": "ADD m.t :v", ":v": {"NS": ["2"]}}, {"m": {"t": {"NS": ["10"]}}}, {"m": {"t": {"NS": ["2", "10"]}}}),
    ({"update": "ADD b :v", ":v": {"BS": [b""]}}, {"b": {"BS": [b"\x01"]}}, {"b": {"BS": [b"", b"\x01"]}}),
    ({"update": "DELETE t :v", ":v": {"SS": ["a", "b"]}}, {"t": {"SS": ["a", "b"]}}, {}),
    ({"update": "DELETE t :v", ":v": {"SS": ["b"]}}, {"t": {"SS": ["a", "b", "c"]}}, {"t": {"SS": ["a", "c"]}}),
    ({"update": "DELETE t :v", ":v": {"SS": [""]}}, {"t": {"SS": ["", "a"]}}, {"t": {"SS": ["a"]}}),
    ({"update": "DELETE t :v", ":v": {"SS": [""]}}, {"t": {"SS": [""]}}, {}),
    ({"update": "DELETE t :v", ":v": {"SS": ["a"]}}, {"t": {"SS": ["", "a"]}}, {"t": {"SS": [""]}}),
    ({}, None, {}),
]
PATHS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"update": "SET a.b = :v", ":v": 2}, {"a": {"b": 1}}, {"a": {"b": 2}}),
    ({"update": "SET l[5] = :v", ":v": "d"}, {"l": ["a", "b", "c"]}, {"l": ["a", "b", "c", "d"]}),
    ({"update": "SET l[0] = :v", ":v": "d"}, {"l": []}, {"l": ["d"]}),
    ({"update": "SET a.b.c = :v", ":v": 2}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}),
    ({"update": "SET a.b = a.b + :v", ":v": 5}, {"a": {"b": 10}}, {"a": {"b": 15}}),
    ({"update": "REMOVE a.b"}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
    ({"update": "REMOVE l[1]"}, {"l": ["a", "b", "c"]}, {"l": ["a", "c"]}),
    ({"update": "REMOVE l[1]"}, {"l": ["x", "y"]}, {"l": ["x"]}),
    ({"update": "SET p.c = :v", ":v": 2}, {"p": {"k": 1}}, {"p": {"k": 1, "c": 2}}),
]
CHANGED: list[tuple[str, dict[str, Any], Any, str, Any]] = [
    ("basic", {"update": "SET x = :v", ":v": 3}, {"x": 1, "y": 2}, "ALL_NEW", {"pk": "k", "x": 3, "y": 2}),
    ("basic", {"update": "SET x = :v", ":v": 3}, {"x": 1, "y": 2}, "UPDATED_OLD", {"x": 1}),
    ("basic", {"update": "SET x = :v", ":v": 3}, {"x": 1, "y": 2}, "UPDATED_NEW", {"x": 3}),
    ("basic", {"update": "SET x = :v", ":v": 3}, None, "UPDATED_NEW", {"x": 3}),
    ("basic", {"update": "SET p.c = :v", ":v": 3}, {"p": {"k": 1, "c": 2}}, "UPDATED_NEW", {"p": {"c": 3}}),
    ("basic", {"update": "REMOVE y"}, {"x": 1, "y": 2}, "UPDATED_NEW", None),
    *(
        (EXTENDED + "test_item_operations.py", {"update": text, ":v": 9} if ":v" in text else {"update": text},
         {"a": {"b": {"c": 1, "d": 2}}, "l": [1, 2, 3]}, returned, found)
        for text, returned, found in (
            ("SET a.b.c = :v", "UPDATED_NEW", {"a": {"b": {"c": 9}}}),
            ("SET a.b.c = :v", "UPDATED_OLD", {"a": {"b": {"c": 1}}}), ("SET l[1] = :v", "UPDATED_NEW", {"l": [9]}),
            ("SET fresh = :v", "UPDATED_OLD", None), ("REMOVE l", "UPDATED_OLD", {"l": [1, 2, 3]}),
        )
    ),
    ("paths", {"update": "SET a.b = :x, a.c = :y", ":x": 1, ":y": 2}, {"a": {"d": 0}}, "UPDATED_NEW",
     {"a": {"b": 1, "c": 2}}),
]
UPDATES = [
    *(Case("parity:" + UPDATE + "basic", "update_item", *row, {"Attributes": None}) for row in BASIC),
    *(Case("parity:" + UPDATE + "paths", "update_item", *row) for row in PATHS),
    *(
        Case(below("parity:" + UPDATE, source), "update_item", asks | {"ReturnValues": returned}, before, "any",
             {"Attributes": found})
        for source, asks, before, returned, found in CHANGED
    ),
]

# The parameters that expressions have replaced

LEGACY_API = "tier3/legacy-api/"
ACTIVE = {"status": {"ComparisonOperator": "EQ", "AttributeValueList": ["active"]}}
BOB = {"name": {"ComparisonOperator": "EQ", "AttributeValueList": ["bob"]}}
A_WORD = {"name": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": ["an"]}}
LEGACY = [
    *(
        Case(LEGACY_API + "expected", call, asks, before, {} if call == "put_item" else None, {}, refused)
        for call, asks, before, refused in (
            ("put_item", {"Expected": {"pk": {"Exists": False}}}, None, None),
            ("put_item", {"Expected": {"pk": {"Exists": False}}}, {}, CHECK),
            ("put_item", {"Expected": ACTIVE}, ANN, None),
            ("put_item", {"Expected": BOB}, ANN, CHECK),
            ("put_item", {"Expected": ACTIVE | BOB, "ConditionalOperator": "AND"}, ANN, CHECK),
            ("put_item", {"Expected": ACTIVE | BOB, "ConditionalOperator": "OR"}, ANN, None),
            ("put_item", {"Expected": A_WORD}, ANN, None),
            ("delete_item", {"Expected": {"count": {"Exists": True, "Value": 5}}}, ANN, None),
            ("delete_item", {"Expected": {"count": {"Exists": False}}}, ANN, CHECK),
        )
    ),
    *(
        Case(LEGACY_API + "attributeUpdates", "update_item", {"AttributeUpdates": updates}, before, after)
        for updates, before, after in (
            ({"d": {"Action": "PUT", "Value": 1}}, {}, {"d": 1}),
            ({"d": {"Value": 1}}, None, {"d": 1}),
            ({"t": {"Action": "DELETE", "Value": {"SS": ["b"]}}}, {"t": {"SS": ["a", "b"]}}, {"t": {"SS": ["a"]}}),
            ({"t": {"Action": "ADD", "Value": {"SS": ["a"]}}}, {"t": {"SS": ["c"]}}, {"t": {"SS": ["a", "c"]}}),
            ({"name": {"Action": "PUT", "Value": "new"}, "count": {"Action": "ADD", "Value": 9},
              "extra": {"Action": "DELETE"}}, {"name": "old", "count": 1, "extra": "x"}, {"name": "new", "count": 10}),
        )
    ),
    *(
        Case(EXTENDED + "test_conditional_operator.py", "query", {"Key": None, "KeyConditions": {"pk": K}} | asks, ANN,
             gets={"Count": count})
        for K in [{"ComparisonOperator": "EQ", "AttributeValueList": ["k"]}]
        for asks, count in (
            ({"FilterExpression": "#c = :v", "#c": "count", ":v": 5}, 1),
            ({"FilterExpression": "#c = :v", "#c": "count", ":v": 6}, 0),
            ({"show": "pk"}, 1),
            ({"QueryFilter": ACTIVE | BOB, "ConditionalOperator": "OR"}, 1),
            ({"QueryFilter": ACTIVE | BOB, "ConditionalOperator": "AND"}, 0),
        )
    ),
    *(
        Case(LEGACY_API + "attributesToGet", "get_item", {"AttributesToGet": names}, ANN, gets={"Item": found})
        for names, found in ((["name", "count"], {"name": "ann", "count": 5}), (["name", "absent"], {"name": "ann"}))
    ),
]

# Sizes

TOO_LARGE = "Item size has exceeded the maximum allowed size"
NUMBER_BYTES = {
    "0": 1, "1": 2, "12": 2, "123": 3, "1234": 3, "12345678901234567890123456789012345678": 20, "0042": 2, "100": 2,
    "1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2, "1.5": 3, "15": 2, "1.2": 3, "1.200": 3, "1.234": 4,
    "3.14159": 5, "123456": 4, "100.5": 4, "0.15": 2, "-42": 3, "-0": 1,
}
LARGE: list[tuple[str, dict[str, Any], str | None]] = [
    ("tier3/limits/itemSize", padded(MOST_BYTES), None),
    ("tier3/limits/itemSize", padded(MOST_BYTES + 1), TOO_LARGE),
    ("tier3/limits/itemSize", padded(MOST_BYTES, **{f"a{i}": "y" * 10 for i in range(9)}), None),
    ("tier3/limits/itemSize", padded(MOST_BYTES + 1, **{f"a{i}": "y" * 10 for i in range(9)}), TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", **{f"a{'a' * 200}{i:03}": "x" * 3_900 for i in range(100)}}, TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", "v": {"a": {"b": "x" * 410_000}}}, TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", "v": {"SS": [f"{'x' * 4_200}{i}" for i in range(100)]}}, TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", "v": [f"{'x' * 4_200}{i}" for i in range(100)]}, TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", "v": b"\0" * 350_000}, None),
    ("tier3/limits/itemSize", {"pk": "k", "v": b"\0" * 410_000}, TOO_LARGE),
    ("tier3/limits/itemSize", {"pk": "k", "v": [{"N": NINES}] * 15_000}, None),
    ("tier3/limits/itemSize", {"pk": "k", "v": [{"N": NINES}] * 21_000}, TOO_LARGE),
    ("tier3/limits/keyLength", {"pk": "k" * 2_048}, None),
    *(
        ("tier3/limits/numberByteSize", padded(MOST_BYTES + over - 1 - size) | {"n": {"N": number}}, refused)
        for number, size in NUMBER_BYTES.items()
        for over, refused in ((0, None), (1, TOO_LARGE))
    ),
]
SIZES = [
    *(Case(source, "put_item", {"Item": attributes}, refused=refused) for source, attributes, refused in LARGE),
    Case("tier3/limits/itemSizeBySurface", "update_item", {"update": "SET p = :v", ":v": "x" * MOST_BYTES}, {},
         refused="Item size to update has exceeded the maximum allowed size"),
]

# Capacity, and item collections

WRITES = ("put_item", "update_item", "delete_item")
FULL = {"g": "1", "l": "1", "proj": "p", "o": "o"}
INDEXED: list[tuple[str, dict[str, Any], Any, tuple[int, int, int]]] = [  # units of table, global and local index
    ("put_item", {"g": "1", "proj": "p"}, None, (1, 1, 0)),
    ("put_item", {"o": "o"}, None, (1, 0, 0)),
    ("put_item", {"l": "1"}, None, (1, 0, 1)),
    ("put_item", FULL, None, (1, 1, 1)),
    ("put_item", FULL, FULL, (1, 0, 0)),
    ("update_item", {"update": "SET o = :v", ":v": "new"}, FULL, (1, 0, 1)),
    ("update_item", {"update": "SET proj = :v", ":v": "new"}, FULL, (1, 1, 1)),
    ("update_item", {"update": "SET g = :v", ":v": "new"}, FULL, (1, 2, 1)),
    ("update_item", {"update": "REMOVE g"}, FULL, (1, 1, 1)),
    ("update_item", {"update": "SET l = :v", ":v": "new"}, FULL, (1, 0, 2)),
    ("delete_item", {}, FULL, (1, 1, 1)),
    ("delete_item", {}, {"o": "o"}, (1, 0, 0)),
]


def consumed(table: float, gsi: float = 0, lsi: float = 0) -> dict[str, Any]:
    told: dict[str, Any] = {"CapacityUnits": table + gsi + lsi, "Table": {"CapacityUnits": table}}
    told |= {"GlobalSecondaryIndexes": {"gsi": {"CapacityUnits": gsi}}} if gsi else {}
    return told | ({"LocalSecondaryIndexes": {"lsi": {"CapacityUnits": lsi}}} if lsi else {})


LISTS: list[tuple[Any, float]] = [
    (["aa"] * 500, 2), (["aa"] * 1_500, 5), (["aa"] * 3_000, 9), ({f"k{i}": "v" for i in range(800)}, 5),
    ([{"a": "b"}] * 500, 4), ({f"k{i}": ["b"] for i in range(500)}, 5), (["aa"] * 130_000, 381),
]
CAPACITY = [
    *(
        Case(EXTENDED + "test_list_map_item_size.py", "put_item",
             {"Item": {"pk": "k", "data": value}, "ReturnConsumedCapacity": "TOTAL"},
             gets={"ConsumedCapacity": {"TableName": "hash", "CapacityUnits": units}})
        for value, units in LISTS
    ),
    *(
        Case(source, call, asks | {"ReturnConsumedCapacity": "TOTAL"}, before,
             gets={"ConsumedCapacity": {"TableName": "hash", "CapacityUnits": units}})
        for source, call, asks, before, units in (
            ("tier1/putItem/consumedCapacity", "put_item", {}, None, 1),
            ("tier1/getItem/consumedCapacity", "get_item", {"ConsistentRead": True}, {"a": 1}, 1),
            ("tier1/getItem/consumedCapacity", "get_item", {}, {"a": 1}, 0.5),
            ("tier1/getItem/consumedCapacity", "update_item", {"update": "REMOVE a"}, {"a": 1}, 1),
            ("tier1/getItem/consumedCapacity", "delete_item", {}, {"a": 1}, 1),
        )
    ),
    Case("tier1/putItem/consumedCapacity", "put_item", {"ReturnConsumedCapacity": "INDEXES"},
         gets={"ConsumedCapacity": {"TableName": "hash", **consumed(1)}}),
    Case("tier1/putItem/consumedCapacity", "put_item", {"ReturnConsumedCapacity": "NONE"},
         gets={"ConsumedCapacity": None}),
    *(
        Case("tier1/putItem/indexConsumedCapacity", call,
             ({"Item": KEYS["indexed"] | asks} if call == "put_item" else asks) | {"ReturnConsumedCapacity": "INDEXES"},
             before, gets={"ConsumedCapacity": {"TableName": "indexed", **consumed(*units)}}, table="indexed")
        for call, asks, before, units in INDEXED
    ),
    *(
        Case("parity:tier1/putItem/itemCollectionMetrics", call, {"ReturnItemCollectionMetrics": asked}, FULL,
             gets={"ItemCollectionMetrics": told}, table=table)
        for call in WRITES
        for table, asked, told in (
            ("indexed", "SIZE", {"ItemCollectionKey": {"pk": {"S": "k"}}, "SizeEstimateRangeGB": [0, 1]}),
            ("indexed", "NONE", None), ("hash", "SIZE", None),
        )
    ),
]
# fmt: on


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with world(tmp_path_factory.mktemp("items") / "lab") as lab:
        plain = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        made = lab.client("dynamodb", lab.session, config=plain)
        for table, kinds in TABLES.items():
            keys = [{"AttributeName": k, "KeyType": t} for k, t in zip(kinds, ("HASH", "RANGE"), strict=False)]
            gsi = {"IndexName": "gsi", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}
            lsi = {"IndexName": "lsi", "KeySchema": [keys[0], {"AttributeName": "l", "KeyType": "RANGE"}]}
            included = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["proj"]}
            indexes: dict[str, Any] = {
                "GlobalSecondaryIndexes": [gsi | {"Projection": included}],
                "LocalSecondaryIndexes": [lsi | {"Projection": {"ProjectionType": "ALL"}}],
            }
            made.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=keys,
                AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, t in kinds.items()],
                **(indexes if table == "indexed" else {}),
            )
        yield made


def request(case: Case) -> dict[str, Any]:
    """The parameters of a case's call, as boto3 takes them."""
    asks: dict[str, Any] = {"TableName": case.table, "Item" if case.call == "put_item" else "Key": KEYS[case.table]}
    for name, given in case.asks.items():
        kind = {":": "ExpressionAttributeValues", "#": "ExpressionAttributeNames"}.get(name[0])
        if kind:
            asks.setdefault(kind, {})[name] = typed(given) if name[0] == ":" else given
        else:
            asks[WORDS.get(name, name)] = given
    asks = {name: given for name, given in asks.items() if given is not None}
    for name in asks.keys() & {"Item", "Key"}:
        asks[name] = item(asks[name])
    for name in asks.keys() & {"Expected", "AttributeUpdates", "KeyConditions", "QueryFilter"}:
        asks[name] = {attribute: legacy(given) for attribute, given in asks[name].items()}
    return asks


def legacy(given: dict[str, Any]) -> dict[str, Any]:
    lists = {name: list(map(typed, given[name])) for name in given.keys() & {"AttributeValueList"}}
    return given | lists | {name: typed(given[name]) for name in given.keys() & {"Value"}}


ALL = [*CONDITIONS, *ITEMS, *UPDATES, *LEGACY, *SIZES, *CAPACITY]


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.source} {case.call}")
def test_an_item_as_on_aws(client: Any, case: Case) -> None:
    where = {"TableName": case.table, "Key": item(KEYS[case.table])}
    known = case.table not in ("numbers", "bytes")
    if known:
        client.delete_item(**where)
    if case.before is not None:
        client.put_item(TableName=case.table, Item=where["Key"] | item(case.before))
    refusal = None
    try:
        answer = getattr(client, case.call)(**request(case))
    except ClientError as error:
        answer, refusal = error.response, error.response["Error"]
    if case.refused is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert (refusal["Code"], case.refused in refusal["Message"]) == (
            CODES.get(case.refused, "ValidationException"),
            True,
        ), refusal
        assert "local AWS" not in refusal["Message"]
    for name, value in case.gets.items():
        shown = item(value) if value is not None and name in ("Item", "Attributes") else value
        assert answer.get(name) == shown, name
    after = case.before if case.refused is not None else case.after
    if after != "any" and known:
        found = client.get_item(**where, ConsistentRead=True).get("Item")
        assert found == (None if after is None else where["Key"] | item(dict(after)))


def compared(operator: str, *values: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(map(typed, values))}


@pytest.mark.parametrize(
    ("asks", "found"),
    [
        ({}, "abdeg"),
        ({"ScanIndexForward": False}, "gedba"),
        ({"KeyConditions": {"sk": compared("BEGINS_WITH", "al")}}, "a"),
        ({"KeyConditions": {"sk": compared("BETWEEN", "beta", "epsilon")}}, "bde"),
        ({"KeyConditions": {"sk": compared("GT", "delta")}}, "eg"),
        ({"QueryFilter": {"val": compared("EQ", 3)}}, "g"),
        ({"QueryFilter": {"tag": compared("CONTAINS", "hello")}}, "abd"),
        ({"QueryFilter": {"flag": compared("EQ", True)}}, "b"),
        ({"ScanFilter": {"val": compared("EQ", 2)}}, "b"),
        ({"ScanFilter": {"val": compared("GT", 3)}}, "de"),
        ({"ScanFilter": {"tag": compared("BEGINS_WITH", "hello")}}, "abd"),
        ({"ScanFilter": {"tag": compared("BEGINS_WITH", "hello"), "val": compared("GT", 1)},
          "ConditionalOperator": "AND"}, "bd"),
        ({"KeyConditions": {"sk": compared("GT", "a")}, "KeyConditionExpression": "pk = :v"}, None),
        ({"ScanFilter": {"val": compared("EQ", 2)}, "FilterExpression": "val = :v"}, None),
    ],
)  # fmt: skip
def test_queries_and_scans_with_the_old_parameters(client: Any, asks: dict[str, Any], found: str | None) -> None:
    """tier3/legacy-api/queryFilter.test.ts and scanFilter.test.ts: the first letters of what is found, in order."""
    tags = dict(alpha="hello-world", beta="hello-there", gamma="goodbye", delta="hello-again", epsilon="world")
    for number, (key, tag) in enumerate(tags.items(), 1):
        attributes = {"pk": "old", "sk": key, "val": number, "tag": tag, "flag": number == 2}
        client.put_item(TableName="pairs", Item=item(attributes))
    scan = "ScanFilter" in asks
    keys = {} if scan else {"KeyConditions": {"pk": compared("EQ", "old"), **asks.get("KeyConditions", {})}}
    values = {"ExpressionAttributeValues": {":v": {"S": "old"}}} if found is None else {}
    ask = {"TableName": "pairs", **asks, **keys, **values}
    if found is None:
        with pytest.raises(ClientError, match="Can not use both expression and non-expression parameters"):
            client.scan(**ask) if scan else client.query(**ask)
    else:
        answer = client.scan(**ask) if scan else client.query(**ask)
        assert "".join(one["sk"]["S"][0] for one in answer["Items"] if one["pk"] == {"S": "old"}) == found
