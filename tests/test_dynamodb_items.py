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
INVALID = "One or more parameter values were invalid: "
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


def lengthy(call: str, size: int) -> dict[str, Any]:
    """A call with an expression of so many bytes."""
    word, form, glue, begin = {
        "update_item": ("update", "{} = :v", ", ", "SET "), "get_item": ("show", "{}", ", ", ""),
        "put_item": ("if", "attribute_not_exists({})", " AND ", ""),
    }[call]  # fmt: skip
    text = begin + glue.join(form.format(f"{'a' * 46}x{i:03}") for i in range(40))
    asks = {word: text.replace("x039", "x039" + "b" * (size - len(text)))}
    return asks | ({":v": 1} if word == "update" else {})


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

# Refused, and nothing is written

OVER = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDER = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
NO_NUMBER = "The parameter cannot be converted to a numeric value"
NESTED = "Nesting Levels have exceeded supported limits"
TOO_LONG = "Expression size has exceeded the maximum allowed size"
EMPTY_KEY = "The AttributeValue for a key attribute cannot contain an empty {} value. Key: "
MIXED = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
HUGE = {"N": "1e99999999999"}
CALLS = ("put_item", "get_item", "update_item", "delete_item")
WRITES = ("put_item", "update_item", "delete_item")
MESSAGES = "parity:tier3/error-messages/"
VALUES: list[tuple[Any, str]] = [
    ({"SS": []}, INVALID + "An string set  may not be empty"),
    ({"NS": []}, INVALID + "An number set  may not be empty"),
    ({"BS": []}, INVALID + "Binary sets should not be empty"), ({"x": {"SS": []}}, "An string set  may not be empty"),
    ([{"SS": []}], "An string set  may not be empty"), ({"SS": ["a", "a"]}, INVALID + "Input collection"),
    ({"SS": ["", ""]}, " contains duplicates"), ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
    ({"BS": [b"", b""]}, "of type BS contains duplicates"), (deep(32), NESTED),
    ({"": "x"}, "Empty attribute name"), ([{"": "x"}], "Empty attribute name"),
    ({"SS": ["a", None]}, INVALID + "An string set may not have a null string as a member"),
    ({"NULL": False}, INVALID + "Null attribute value types must have the value of true"),
]
NUMBERS = {
    "1e99999999999": OVER, "-1e99999999999": OVER, "1e-99999999999": UNDER, "1e126": OVER, "-1E+126": OVER,
    "1e-131": UNDER, "1e2147483648": OVER, "1e-2147483648": UNDER, "0e126": OVER, "0e-131": UNDER,
    "1e9223372036854775808": NO_NUMBER, "abc": NO_NUMBER + ": abc", "1.2.3": NO_NUMBER + ": 1.2.3", "": NO_NUMBER,
    " 1": NO_NUMBER + ":  1", "1 ": NO_NUMBER, "0x10": NO_NUMBER, "1e": NO_NUMBER, "NaN": NO_NUMBER,
    "Infinity": NO_NUMBER, "1" * 40: "Attempting to store more than 38 significant digits in a Number",
}
EXPECTED: list[tuple[dict[str, Any], str]] = [
    ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
    ({"Exists": False, "Value": 1}, "Value cannot be used when Exists is false for Attribute: a"),
    ({"Value": 1, "ComparisonOperator": "EQ", "AttributeValueList": [1]},
     "Value and AttributeValueList cannot be used together for Attribute: a"),
    ({"ComparisonOperator": "EQ"},
     "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"),
    ({"ComparisonOperator": "BETWEEN", "AttributeValueList": [1]},
     "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
]
NO_EXPRESSION = "can only be specified when using expressions"
CONDITIONAL = EXTENDED + "test_conditional_operator.py"
ASKED: list[tuple[str, dict[str, Any], str]] = [  # of each operation that writes
    *((MESSAGES + "deleteItem", {"Expected": {"a": given}}, INVALID + text) for given, text in EXPECTED),
    (MESSAGES + "deleteItem", {":v": 1}, f"ExpressionAttributeValues {NO_EXPRESSION}"),
    (MESSAGES + "deleteItem", {"#a": "a"}, f"ExpressionAttributeNames {NO_EXPRESSION}"),
    (MESSAGES + "deleteItem", {"Expected": {"a": {"Exists": False}}, "#a": "a"}, NO_EXPRESSION),
    (MESSAGES + "deleteItem", {"if": "attribute_exists(a)", "ExpressionAttributeValues": {}},
     "ExpressionAttributeValues must not be empty"),
    (MESSAGES + "deleteItem", {"if": "attribute_exists(a)", "ExpressionAttributeNames": {}},
     "ExpressionAttributeNames must not be empty"),
    (MESSAGES + "deleteItem", {"if": ""}, "Invalid ConditionExpression: The expression can not be empty;"),
    (MESSAGES + "deleteItem", {"Expected": {"pk": {"Exists": False}}, "if": "attribute_exists(pk)"},
     MIXED + "{Expected} Expression parameters: {ConditionExpression}"),
    (MESSAGES + "putItem", {"if": "((attribute_not_exists(pk)))"},
     "Invalid ConditionExpression: The expression has redundant parentheses;"),
    (MESSAGES + "putItem", {"if": "contains(#a, #a)", "#a": "data"},
     "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator or "
     "function; operator: contains, first operand: [data]"),
    (MESSAGES + "valueLayers", {"Expected": {"n": {"Value": {"N": "abc"}}}}, NO_NUMBER + ": abc"),
    ("tier3/limits/reservedWords", {"if": "status = :v", ":v": 1}, "reserved keyword"),
    ("parity:tier3/limits/numberExponent", {"if": "attribute_exists(a) OR a = :v", ":v": HUGE}, OVER),
    ("parity:tier3/limits/nestingDepth", {"if": "a = :v", ":v": deep(32)}, NESTED),
    ("parity:tier3/validation-ordering/deepRequests", {"if": "a = = b"},
     'Invalid ConditionExpression: Syntax error; token: "=", near: "= = b"'),
    (CONDITIONAL, {"ConditionalOperator": "AND"}, "ConditionalOperator cannot be used without Filter or Expected"),
    (CONDITIONAL, {"Expected": ACTIVE, "ConditionalOperator": "AND"},
     "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
    (CONDITIONAL, {"Expected": ACTIVE, "ConditionalOperator": "AND", "if": "attribute_exists(pk)"},
     MIXED + "{Expected, ConditionalOperator} Expression parameters: {ConditionExpression}"),
]
PLACEHOLDERS = EXTENDED + "test_expression_attribute_map_validation.py"
OPERANDS = EXTENDED + "test_expr_operand_type_and_size.py"
for kind, operand in (("BOOL", True), ("NULL", {"NULL": True}), ("SS", {"SS": ["a"]}), ("L", ["a"]), ("M", {"k": "a"})):
    ASKED += [
        (OPERANDS, {"if": f"{left} {sign} :v", ":v": operand},
         f"Incorrect operand type for operator or function; operator or function: {sign}, operand type: {kind}")
        for left, sign in (("n", "<"), ("absent", "<="), ("attribute_not_exists(z) OR n", ">"), ("size(s)", ">="))
    ]
ASKED += [
    (OPERANDS, {"if": "n BETWEEN :v AND :w", ":v": True, ":w": False},
     "operator or function: BETWEEN, operand type: BOOL"),
    (PLACEHOLDERS, {"if": "attribute_exists(#)", "#": "a"},
     'ExpressionAttributeNames contains invalid key: Syntax error; key: "#"'),
    (PLACEHOLDERS, {"if": "attribute_exists(#a)", "#a-b": "a"},
     'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"'),
    (PLACEHOLDERS, {"if": "attribute_exists(#a)", "#" + "a" * 255: "a"}, "ExpressionAttributeNames contains invalid "
     "key: The expression attribute map contains a key that is too long; size of key: 256"),
    (PLACEHOLDERS, {"if": "attribute_exists(#a)", "#" + "a" * 255 + "-x": "a"}, "size of key: 258"),
    (PLACEHOLDERS, {"if": "attribute_exists(#a)", "#a": ""},
     "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"),
    (PLACEHOLDERS, {"if": "a = :v", ":a-b": 1},
     'ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b"'),
    (PLACEHOLDERS, {"if": "a = :v", ":" + "a" * 255: 1}, "ExpressionAttributeValues contains invalid key: The "
     "expression attribute map contains a key that is too long;"),
]
UPDATED: list[tuple[str, dict[str, Any], str]] = [
    (MESSAGES + "updateItem", {"update": "SET pk = :v", ":v": "x"},
     INVALID + "Cannot update attribute pk. This attribute is part of the key"),
    (MESSAGES + "updateItem", {"update": "INVALID SYNTAX HERE", ":v": 1},
     'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
    (MESSAGES + "updateItem", {"update": "SET a = :v", "#u": "u", ":v": 1},
     "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}"),
    (MESSAGES + "updateItem", {"update": "SET a = :v", ":u": 1, ":v": 1},
     "Value provided in ExpressionAttributeValues unused in expressions: keys: {:u}"),
    (MESSAGES + "updateItem", {"update": "SET a = :v"}, "Invalid UpdateExpression: An expression attribute value used "
     "in expression is not defined; attribute value: :v"),
    (MESSAGES + "updateItem", {"update": "SET b = :w", ":w": 1, "if": "a = :v"}, "Invalid ConditionExpression: An "
     "expression attribute value used in expression is not defined; attribute value: :v"),
    (MESSAGES + "updateItem", {"update": ""}, "Invalid UpdateExpression: The expression can not be empty;"),
    (MESSAGES + "updateItem", {"update": "SET a = :v", ":v": 1, "AttributeUpdates": {"a": {"Value": 1}}},
     MIXED + "{AttributeUpdates} Expression parameters: {UpdateExpression}"),
    (MESSAGES + "valueLayers", {"AttributeUpdates": {"n": {"Value": {"N": "abc"}}}}, NO_NUMBER + ": abc"),
    (LEGACY_API + "attributeUpdates", {"AttributeUpdates": {"pk": {"Value": "x"}}}, "Cannot update attribute pk"),
    (UPDATE + "expressionHygiene", {"update": "SET #s = :v", "ExpressionAttributeNames": {"s": "s"}, ":v": 1},
     'ExpressionAttributeNames contains invalid key: Syntax error; key: "s"'),
    (UPDATE + "expressionHygiene", {"update": "SET #s = :v", "#s": "s",
                                    "ExpressionAttributeValues": {"v": {"N": "1"}}},
     'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"'),
    ("baopham/laravel-dynamodb#284: ", {"update": "SET s = s + :v", ":v": 1},
     "An operand in the update expression has an incorrect data type"),
    ("baopham/laravel-dynamodb#284: ", {"update": "SET s = list_append(s, :v)", ":v": ["x"]},
     "An operand in the update expression has an incorrect data type"),
    ("dynamoose/dynamoose#388: ", {"update": "ADD n :v", ":v": "5"},
     "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING"),
    ("serverless/serverless#7184: ", {"update": "ADD n :v", ":v": ["test"]},
     "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: LIST"),
    ("aws/aws-sdk-js-v3#7171: ", {"update": "SET l = list_append(l, :v)", ":v": {"a": 1}}, "Invalid UpdateExpression: "
     "Incorrect operand type for operator or function; operator or function: list_append, operand type: M"),
    (UPDATE + "paths", {"update": "SET a.b.c = :v", ":v": 1}, ""),
    (UPDATE + "paths", {"update": "SET v = :a, v = :b", ":a": 1, ":b": 2}, ""),
    ("tier3/limits/reservedWords", {"update": "SET status = :v", ":v": 1}, "reserved keyword"),
    (EXTENDED + "test_item_operations.py",
     {"update": "SET a = :w - :v", ":v": {"N": "9.9e125"}, ":w": {"N": "-9.9e125"}}, "Number overflow"),
    ("tier3/limits/numberPrecision", {"update": "SET a = :v + :v", ":v": {"N": "9.9e125"}}, "Number overflow"),
    ("parity:tier3/limits/numberExponent", {"update": "SET a = :v", ":v": HUGE}, OVER),
    ("parity:tier3/limits/nestingDepth", {"update": "SET a = :v", ":v": deep(32)}, NESTED),
]
READ: list[tuple[str, dict[str, Any], str]] = [
    (MESSAGES + "getItem", {"show": "!!! INVALID !!!"},
     'Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"'),
    (LEGACY_API + "attributesToGet", {"AttributesToGet": ["a"], "show": "a"}, MIXED),
    ("tier1/getItem/projectionValidation", {"show": "a, a.b"}, "Two document paths overlap"),
    ("tier1/getItem/projectionValidation", {"show": "a, a"}, "Two document paths overlap"),
    ("tier3/limits/reservedWords", {"show": "pk, status"}, "reserved keyword"),
    (EXTENDED + "test_projection_overlapping_paths.py", {"show": "x, a.b, a", "#z": "z"},
     "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these "
     "paths; path one: [a, b], path two: [a]"),
    (EXTENDED + "test_projection_overlapping_paths.py", {"show": "a[0], a"}, "path one: [a, [0]], path two: [a]"),
]
ABSENT: list[tuple[str, dict[str, Any], str]] = [  # of a table that is not there
    ("put_item", {"Expected": {"a": {"ComparisonOperator": "EQ"}}}, INVALID),
    ("get_item", {"show": ""}, "Invalid ProjectionExpression:"),
    ("get_item", {"show": "a..b"}, "Invalid ProjectionExpression:"),
    ("get_item", {"show": "a, a.b"}, "Invalid ProjectionExpression:"),
    ("delete_item", {"Expected": {"a": {"ComparisonOperator": "EQ"}}}, INVALID),
    ("update_item", {"update": ""}, "Invalid UpdateExpression:"),
    ("update_item", {"update": "SET"}, "Invalid UpdateExpression:"),
    ("update_item", {"update": "SET status = :v", ":v": 1}, "Invalid UpdateExpression:"),
    ("update_item", {"update": "SET #x = :v", ":v": 1}, "not defined"),
    ("put_item", {"Item": padded(400_001)}, "Requested resource not found"),
]
KEYED: list[tuple[str, str, dict[str, Any], str]] = [
    ("tier3/error-messages/*", "pairs", {"pk": "k"}, ""),
    ("tier3/error-messages/*", "bytes", {"pk": b""}, EMPTY_KEY.format("binary") + "pk"),
    ("tier3/limits/emptyValues", "hash", {"pk": ""}, EMPTY_KEY.format("string") + "pk"),
    ("tier3/limits/emptyValues", "pairs", {"pk": "k", "sk": ""}, EMPTY_KEY.format("string") + "sk"),
    ("tier3/limits/keyLength", "hash", {"pk": "k" * 2049}, "has exceeded the maximum size limit of2048 bytes"),
    (EXTENDED + "test_item_operations.py", "pairs", {"pk": "k", "sk": "k" * 1_025},
     "Aggregated size of all range keys has exceeded the size limit"),
    (EXTENDED + "test_item_operations.py", "bytes", {"pk": b"k" * 2_049}, "Size of hashkey has exceeded"),
    (EXTENDED + "test_item_operations.py", "hash", {"pk": 1}, ""),
    ("tier1/putItem/validation", "hash", {"a": "x"}, ""),
    ("parity:tier3/limits/numberExponent", "numbers", {"pk": HUGE}, OVER),
]
NAMED: list[tuple[str, str, str]] = [
    ("tier1/*/validation", "absent", "Requested resource not found"),
    ("parity:registry/splits", "", "1 validation error detected: Value at 'TableName' failed to satisfy constraint: "
     "Member must have length greater than or equal to 1"),
    ("tier3/error-messages/putItem", "a" * 256, f"1 validation error detected: Value '{'a' * 256}' at 'tableName' "
     "failed to satisfy constraint: Member must have length less than or equal to 255"),
    ("tier3/error-messages/putItem", "bad table!@#", "1 validation error detected: Value 'bad table!@#' at 'tableName' "
     "failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ("tier3/validation-ordering/*", "x!", "at 'tableName'"),
]
BAD = dict.fromkeys(("ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "ReturnValues"), "INVALID")
REFUSED = [
    *(Case(MESSAGES + "putItem", "put_item", {"Item": {"pk": "k", "v": v}}, refused=text) for v, text in VALUES),
    *(
        Case(MESSAGES + "valueLayers", "put_item", {"Item": {"pk": "k", "v": value}}, refused=text)
        for number, text in NUMBERS.items()
        for value in ({"N": number}, {"NS": ["1", number]}, {"x": [{"N": number}]})
    ),
    *(Case(source, call, asks, ANN, refused=text) for source, asks, text in ASKED for call in WRITES),
    *(Case(source, "update_item", asks, {"s": "x"}, refused=text) for source, asks, text in UPDATED),
    *(Case(source, "get_item", asks, refused=text) for source, asks, text in READ),
    Case("parity:tier3/validation-ordering/deepRequests", "put_item", {"Item": {"pk": "k", "": "x", "v": deep(40)}},
         refused="Empty attribute name"),
    *(
        Case("the service's model, botocore", call, {"ReturnValuesOnConditionCheckFailure": "ALL_NEW"}, ANN, refused=(
            "Value 'ALL_NEW' at 'returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must "
            "satisfy enum value set: [ALL_OLD, NONE]"))
        for call in WRITES
    ),
    *(
        Case(source, call, {"Item" if call == "put_item" else "Key": key}, refused=text, table=table)
        for source, table, key, text in KEYED
        for call in CALLS
    ),
    Case(MESSAGES + "updateItem", "update_item", {"update": "SET sk = :v", ":v": "x"}, {}, table="pairs",
         refused=INVALID + "Cannot update attribute sk. This attribute is part of the key"),
    *(Case(source, call, {"TableName": name}, refused=text) for source, name, text in NAMED for call in CALLS),
    *(
        Case(EXTENDED + "test_validation_precedence.py", call, {"TableName": "absent"} | asks, refused=text)
        for call, asks, text in ABSENT
    ),
    Case("tier3/validation-ordering/putItem", "put_item", {"TableName": "", "Item": {}, "ReturnValues": "INVALID"},
         refused="1 validation error detected: Value at 'TableName'"),
    Case("tier3/error-messages/putItem", "put_item", {"TableName": None}, refused="1 validation error detected: Value "
         "null at 'tableName' failed to satisfy constraint: Member must not be null"),
    Case("tier3/validation-ordering/putItem", "put_item", BAD, refused="3 validation errors detected: "),
    Case("tier3/validation-ordering/deleteItem", "delete_item", BAD, refused="3 validation errors detected: "),
    Case("parity:registry/splits", "update_item", BAD, refused="1 validation error detected: Failed to satisfy "
         "constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"),
    *(
        Case(MESSAGES + "deleteItem", call, {"ReturnValues": asked}, ANN,
             refused="ReturnValues can only be ALL_OLD or NONE")
        for call in ("put_item", "delete_item")
        for asked in ("ALL_NEW", "UPDATED_NEW")
    ),
    *(
        Case("parity:tier3/limits/expressionSize", call, lengthy(call, size), refused=refused)
        for call in ("put_item", "get_item", "update_item")
        for size, refused in ((4_096, None), (4_097, TOO_LONG))
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


ALL = [*CONDITIONS, *ITEMS, *UPDATES, *LEGACY, *REFUSED, *SIZES, *CAPACITY]


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


def test_a_transaction_is_cancelled_for_what_an_update_meets_in_the_item(client: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html: ValidationError"""
    client.put_item(TableName="hash", Item=item({"pk": "text", "s": "x"}))
    change = {"UpdateExpression": "SET s = s + :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        update = {"TableName": "hash", "Key": {"pk": {"S": "text"}}, **change}
        client.transact_write_items(TransactItems=[{"Update": update}])
    (reason,) = cancelled.value.response["CancellationReasons"]
    text = "An operand in the update expression has an incorrect data type"
    assert (reason["Code"], text in reason["Message"]) == ("ValidationError", True)
