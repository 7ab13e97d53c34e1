"""moto's DynamoDB: what AWS refuses and moto takes, or stores otherwise than AWS.

Below https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ : HowItWorks.NamingRulesDataTypes.html (numbers
are trimmed, a set has no member twice), LegacyConditionalParameters.html (the expression for each old parameter),
Query.html, GSI.html; below .../latest/APIReference/ : API_BatchWriteItem.html, API_UpdateItem.html,
API_TransactWriteItems.html (cancellation reasons, tokens). The grammar of values in an update:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

import copy
import decimal
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from ..types import AwsError
from . import dynamodb_expressions, dynamodb_store, dynamodb_transactions
from .dynamodb import _check_number, _touched

_TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"))
_EXPRESSIONS = (
    "ProjectionExpression", "UpdateExpression", "ConditionExpression", "FilterExpression", "KeyConditionExpression",
)  # fmt: skip
_CONDITIONS = {
    "EQ": "{0} = {1}", "NE": "{0} <> {1}", "LE": "{0} <= {1}", "LT": "{0} < {1}", "GE": "{0} >= {1}", "GT": "{0} > {1}",
    "NULL": "attribute_not_exists({0})", "NOT_NULL": "attribute_exists({0})", "BETWEEN": "{0} BETWEEN {1} AND {2}",
    "CONTAINS": "contains({0}, {1})", "NOT_CONTAINS": "NOT contains({0}, {1})", "BEGINS_WITH": "begins_with({0}, {1})",
}  # fmt: skip
_OPERANDS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2}  # IN has any number, all others have one
_OLD = {
    "AttributesToGet": "ProjectionExpression", "AttributeUpdates": "UpdateExpression",
    "Expected": "ConditionExpression", "QueryFilter": "FilterExpression", "ScanFilter": "FilterExpression",
    "ConditionalOperator": "", "KeyConditions": "KeyConditionExpression",
}  # fmt: skip
_SINGLE = frozenset(("GetItem", "PutItem", "UpdateItem", "DeleteItem"))
_RETURNED = frozenset(("ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW", "NONE"))
_WORDS = {
    "ReturnConsumedCapacity": ("INDEXES", "TOTAL", "NONE"), "ReturnItemCollectionMetrics": ("SIZE", "NONE"),
    "ReturnValuesOnConditionCheckFailure": ("ALL_OLD", "NONE"),
}  # fmt: skip
_MIXED = (
    "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} "
    "Expression parameters: {{{}}}"
)
_MANY_TYPES = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
_ONE = "1 validation error detected: "
_INVALID = "One or more parameter values were invalid: "
_SCHEMA = "The provided key element does not match the schema"
_TWICE = "Transaction request cannot include multiple operations on one item"
_EMPTY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {} "
    "value. Key: {}"
)
_EMPTY_BATCH = (
    "1 validation error detected: Value '{{{}=[]}}' at 'requestItems' failed to satisfy constraint: Map value must "
    "satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or "
    "equal to 1]"
)
_TABLE_NAME = re.compile("[a-zA-Z0-9_.-]+")
_TABLE_ARN = re.compile(r"arn:aws[\w-]*:dynamodb:[\w-]+:\d{12}:table/[\w.-]+", re.ASCII)
# What an update meets only when it looks at the item; within a transaction it is a reason to cancel.
_UPDATE_FAILURES = re.compile(
    "An operand in the update expression|Item size to update|The document path provided|The provided expression refers"
    "|The update expression attempted"
)
_MAKES = re.compile(r"(?<![#:.\w])(?:SET|ADD)\s", re.IGNORECASE)  # an item that is not there; others only take away
_EMPTY_INDEX_KEY = (
    "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a "
    "value that is not supported. The AttributeValue for a key attribute cannot contain an empty string value. "
    "IndexName: {}, IndexKey: {}"
)
_TOKEN_SECONDS = 600
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: bytes of a key, levels of an item,
# bytes of an expression as it is sent
_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}
_LEVELS = 32
_MOST_EXPRESSION = 4096  # bytes, as it was sent
_MOST_TRANSACTION = 4 * 1024 * 1024  # bytes of all items
_EXACT = decimal.Context(prec=300, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def trimmed(text: str) -> str:
    """A number as DynamoDB gives it back: without leading and trailing zeros, sign of zero or exponent."""
    if text.isascii() and text.isdigit() and (text[0] != "0" or len(text) == 1):
        return text
    number = _EXACT.create_decimal(text)
    return format(number.normalize(_EXACT), "f") if number else "0"


def clean(parameters: Any) -> None:
    """Trims the numbers of a call in place; raises AwsError for values of two types and sets with a member twice."""
    waiting = [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if value.keys() <= _TYPES:
                if len(value) > 1 and not all(isinstance(v, dict) for v in value.values()):
                    raise _invalid(_MANY_TYPES)
                if isinstance(value.get("N"), str):
                    value["N"] = trimmed(value["N"])
                for kind in value.keys() & {"SS", "NS", "BS"}:
                    if isinstance(value[kind], list):
                        _clean_set(value, kind)
            waiting += value.values()


def _clean_set(value: dict[str, Any], kind: str) -> None:
    if not value[kind]:
        texts = {"SS": "An string set  may not be empty", "NS": "An number set  may not be empty"}
        raise _invalid(_INVALID + texts.get(kind, "Binary sets should not be empty"))
    if None in value[kind]:
        raise _invalid(f"{_INVALID}An string set may not have a null string as a member")
    sent, members = value[kind], [trimmed(m) for m in value[kind]] if kind == "NS" else value[kind]
    if len(set(members)) < len(sent):
        texts = {"SS": f"[{', '.join(map(str, sent))}] ", "NS": ""}
        shown = texts[kind] if kind in texts else f"[{', '.join(b64encode(m).decode() for m in sent)}]of type BS "
        raise _invalid(f"{_INVALID}Input collection {shown}contains duplicates.")
    value[kind] = _in_order(kind, members)


def _in_order(kind: str, members: list[Any]) -> list[Any]:
    """A set's members as DynamoDB gives them back: texts and bytes by their bytes, numbers by their value.

    As paritysuite/dynamodb-conformance tests/tier1/updateItem/basic.test.ts has it from AWS.
    """
    return sorted(members, key=decimal.Decimal if kind == "NS" else None)


def modernize(body: dict[str, Any]) -> None:
    """Puts the expressions in place of the old parameters that they replaced, as AWS's pages translate them.

    What is refused, AWS refused for paritysuite/dynamodb-conformance (tests/tier3/error-messages/deleteItem.test.ts),
    ExtendDB/extenddb (tests/test_conditional_operator.py) or architect/dynalite.
    """
    old = [name for name in _OLD if name in body]
    if not old:
        return
    new = [name for name in _EXPRESSIONS if name in body]
    if new and (old != ["KeyConditions"] or "KeyConditionExpression" in body):
        raise _invalid(_MIXED.format(", ".join(old), ", ".join(new)))
    if "ConditionalOperator" in body:
        conditions = max(len(body.get(name) or ()) for name in ("Expected", "QueryFilter", "ScanFilter"))
        if conditions < 2:
            text = "can only be used when Filter or Expected has two or more elements"
            raise _invalid(f"ConditionalOperator {text if conditions else 'cannot be used without Filter or Expected'}")
    for kind in ("Names", "Values"):
        if f"ExpressionAttribute{kind}" in body and not new:
            raise _invalid(f"ExpressionAttribute{kind} can only be specified when using expressions")
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def name(attribute: str) -> str:
        names[key := f"#old{len(names)}"] = attribute
        return key

    def value(given: Any) -> str:
        values[key := f":old{len(values)}"] = given
        return key

    def condition(attribute: str, given: dict[str, Any]) -> str:
        operator = given.get("ComparisonOperator") or ("EQ" if "Value" in given else "NULL")
        operands = given.get("AttributeValueList") or [given[k] for k in ("Value",) if k in given]
        wanted, problem = _OPERANDS.get(operator, 1), ""
        if {"Value", "AttributeValueList"} <= given.keys():
            problem = "Value and AttributeValueList cannot be used together"
        elif "ComparisonOperator" not in given and "AttributeValueList" in given:
            problem = "AttributeValueList can only be used with a ComparisonOperator"
        elif {"Exists", "ComparisonOperator"} <= given.keys():
            problem = "Exists and ComparisonOperator cannot be used together"
        elif given.get("Exists") is False and operands:
            problem = "Value cannot be used when Exists is false"
        elif "ComparisonOperator" not in given and given.get("Exists") is not False and not operands:
            problem = f"Value must be provided when Exists is {'true' if 'Exists' in given else 'null'}"
        elif wanted and not operands:
            problem = f"Value or AttributeValueList must be used with ComparisonOperator: {operator}"
        if problem:
            raise _invalid(f"{_INVALID}{problem} for Attribute: {attribute}")
        if operator != "IN" and len(operands) != wanted:
            raise _invalid(f"{_INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator")
        keys = [value(operand) for operand in operands]
        if operator == "IN":
            return f"{name(attribute)} IN ({', '.join(keys)})"
        return _CONDITIONS[operator].format(name(attribute), *keys)

    def update(updates: dict[str, dict[str, Any]]) -> str:
        sections: dict[str, list[str]] = {}
        for attribute, given in updates.items():
            action, operand = given.get("Action", "PUT"), given.get("Value")
            kind = next(iter(operand), "") if operand else ""
            if not operand and action != "DELETE":
                raise _invalid(f"{_INVALID}Only DELETE action is allowed when no attribute value is specified")
            if action == "ADD" and kind not in ("N", "SS", "NS", "BS", "L"):
                raise _invalid(f"{_INVALID}ADD action is not supported for the type {kind}")
            if action == "DELETE" and operand and kind not in ("SS", "NS", "BS"):
                raise _invalid(f"{_INVALID}DELETE action with value is not supported for the type {kind}")
            key = name(attribute)
            if not operand:
                sections.setdefault("REMOVE", []).append(key)
            elif action == "PUT":
                sections.setdefault("SET", []).append(f"{key} = {value(operand)}")
            elif kind == "L":
                empty = value({"L": []})
                text = f"{key} = list_append(if_not_exists({key}, {empty}), {value(operand)})"
                sections.setdefault("SET", []).append(text)
            else:
                sections.setdefault(action, []).append(f"{key} {value(operand)}")
        return " ".join(f"{section} {', '.join(parts)}" for section, parts in sections.items())

    glue = f" {body.pop('ConditionalOperator', 'AND')} "
    for parameter in filter(_OLD.get, old):
        if not (given := body.pop(parameter)):
            continue
        if parameter == "AttributesToGet":
            text = ", ".join(map(name, given))
        elif parameter == "AttributeUpdates":
            text = update(given)
        else:
            between = " AND " if parameter == "KeyConditions" else glue
            text = between.join(condition(attribute, c) for attribute, c in given.items())
        body[_OLD[parameter]] = text
    for parameter, made in (("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)):
        if made:
            body[parameter] = body.get(parameter, {}) | made


@lru_cache(256)
def _tokens(expression: str) -> list[str]:
    return re.findall(r"[#:]\w+", expression)


def _check_placeholders(body: dict[str, Any]) -> None:
    """Every #name and :value of an expression must be given, and every one that is given must be used.

    AWS's words and what comes first: ExtendDB/extenddb tests/test_expression_size_limit.py,
    test_expression_attribute_map_validation.py and test_projection_overlapping_paths.py.
    """
    used, expressions = set(), [name for name in _EXPRESSIONS if body.get(name) is not None]
    for parameter in expressions:
        text = body[parameter]
        if not text:
            raise _invalid(f"Invalid {parameter}: The expression can not be empty;")
        if len(text) > _MOST_EXPRESSION // 4 and (size := len(text.encode())) > _MOST_EXPRESSION:
            told = f" expression size: {size}" if parameter in ("ConditionExpression", "FilterExpression") else ""
            raise _invalid(f"Invalid {parameter}: Expression size has exceeded the maximum allowed size;{told}")
        for token in _tokens(body[parameter]):
            kind = "Names" if token[0] == "#" else "Values"
            if token not in (body.get(f"ExpressionAttribute{kind}") or {}):
                _check_keys(body)
                text = "name used in the document path" if kind == "Names" else "value used in expression"
                what = kind[:-1].lower()
                raise _invalid(
                    f"Invalid {parameter}: An expression attribute {text} is not defined; attribute {what}: {token}"
                )
            used.add(token)
    for kind in ("Names", "Values"):
        given = body.get(f"ExpressionAttribute{kind}")
        if given is not None and not expressions:
            raise _invalid(f"ExpressionAttribute{kind} can only be specified when using expressions")
        if given == {}:
            raise _invalid(f"ExpressionAttribute{kind} must not be empty")
        if given and not given.keys() <= used:
            _check_keys(body)
            dynamodb_expressions.check(body)
            rest = ", ".join(sorted(given.keys() - used))
            raise _invalid(f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{rest}}}")
    if "" in (body.get("ExpressionAttributeNames") or {}).values():
        _check_keys(body)
    dynamodb_expressions.check(body)


def _check_keys(body: dict[str, Any]) -> None:
    """The placeholders by themselves, and the names that they stand for."""
    for kind, sign in (("Names", "#"), ("Values", ":")):
        for key, value in (body.get(f"ExpressionAttribute{kind}") or {}).items():
            text = f"ExpressionAttribute{kind} contains invalid "
            if (size := len(key.encode())) > 255:
                told = f" size of key: {size}" if kind == "Names" else ""
                raise _invalid(f"{text}key: The expression attribute map contains a key that is too long;{told}")
            if not re.fullmatch(rf"{sign}[A-Za-z0-9_]+", key):
                raise _invalid(f'{text}key: Syntax error; key: "{key}"')
            if value == "":
                raise _invalid(f"{text}value: Empty attribute name for key {key}")


def _check_members(operation: str, body: dict[str, Any]) -> None:
    """The table's name and the words that a call on one item takes.

    AWS's words as paritysuite/dynamodb-conformance has them (registry/splits.json, us-east-1).
    """
    name, fails, faults = body.get("TableName"), "failed to satisfy constraint: Member must", []
    if name == "":
        faults = [f"Value at 'TableName' {fails} have length greater than or equal to 1"]
    elif isinstance(name, str) and (wrong := _problem_of_name(name)):
        faults = [f"Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}"]
    returned = body.get("ReturnValues", "NONE")
    if not faults and returned not in _RETURNED:
        faults = [f"F{fails[1:]} satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"]
    for member, words in _WORDS.items() if name and not (faults and operation == "UpdateItem") else ():
        if (given := body.get(member, "NONE")) not in words:
            where = f"'{given}' at '{member[0].lower()}{member[1:]}'"
            faults.append(f"Value {where} {fails} satisfy enum value set: [{', '.join(words)}]")
    if faults:
        raise _invalid(f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: {'; '.join(faults)}")
    if operation != "UpdateItem" and returned not in ("ALL_OLD", "NONE"):
        raise _invalid("ReturnValues can only be ALL_OLD or NONE")


def _check_values(values: dict[str, Any]) -> None:
    """An item's attributes, or the values of an expression: each has a name, a type, and few levels.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    if "" in values:
        raise _invalid("Empty attribute name")
    waiting = [(value, 1) for value in values.values()]
    while waiting:
        value, level = waiting.pop()
        if not value:
            raise _invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        if level > _LEVELS:
            text = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
            raise _invalid(text + "supported limit")
        ((kind, content),) = value.items()
        if kind == "NULL" and content is not True:
            raise _invalid(f"{_INVALID}Null attribute value types must have the value of true")
        if kind == "M" and "" in content:
            raise _invalid("Empty attribute name")
        if kind in ("L", "M"):
            waiting += [(inner, level + 1) for inner in (content.values() if kind == "M" else content)]


def _check_key_size(kind: str, value: dict[str, Any]) -> None:
    limit, content = _KEY_BYTES[kind], value.get("S", value.get("B", ""))
    size = len(content.encode()) if "S" in value else len(content) * 3 // 4 if type(content) is str else len(content)
    if size > limit:
        raise _invalid(
            f"{_INVALID}Size of hashkey has exceeded the maximum size limit of{limit} bytes"
            if kind == "HASH"
            else f"{_INVALID}Aggregated size of all range keys has exceeded the size limit of {limit} bytes"
        )


def _check_filled(name: str, value: Any) -> None:
    """A key has a value that is not empty."""
    if value in ({"S": ""}, {"B": ""}, {"B": b""}):
        raise _invalid(_EMPTY.format("string" if "S" in value else "binary", name))


def _types(table: Any) -> dict[str, str]:
    return {a["AttributeName"]: a["AttributeType"] for a in table.attr}


def _fits(table: Any, key: Any) -> bool:
    types = _types(table)
    return set(key) == set(table.table_key_attrs) and all(types[name] in value for name, value in key.items())


def _check_item(table: Any, item: dict[str, Any]) -> None:
    types = _types(table)
    _check_values(item)
    for name in table.table_key_attrs:
        if name not in item:
            raise _invalid(f"{_INVALID}Missing the key {name} in the item")
        if types[name] not in item[name]:
            actual = next(iter(item[name]))
            raise _invalid(f"{_INVALID}Type mismatch for key {name} expected: {types[name]} actual: {actual}")
        _check_filled(name, item[name])
    for index, kind, name in _index_keys(table):
        if name in item and types[name] not in item[name]:
            raise _invalid(
                f"{_INVALID}Type mismatch for Index Key {name} Expected: {types[name]} "
                f"Actual: {next(iter(item[name]), '')} IndexName: {index}"
            )
        if name in item:
            _check_key_size(kind, item[name])


def _index_keys(table: Any) -> Iterator[tuple[str, str, str]]:
    """Index, kind of key and attribute of each key of an index that is none of the table."""
    for index in table.all_indexes():
        for key in index.schema:
            if key["AttributeName"] not in table.table_key_attrs:
                yield index.name, key["KeyType"], key["AttributeName"]


def _fetched(table: Any, body: dict[str, Any]) -> Any:
    """The index that a query or scan reads, if it is a local one and what is asked for must come from the table.

    Raises AwsError for attributes that a global one does not have, and for a filter on attributes that are not in it.
    On AWS each item that is fetched costs as much as a read of its own.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.Projections
    """
    if (name := body.get("IndexName")) is None:
        return None
    index = next((i for i in table.all_indexes() if i.name == name), None)
    if index is None:
        raise _invalid(f"The table does not have the specified index: {name}")
    projection = index.projection or {}
    if projection.get("ProjectionType", "ALL") == "ALL":
        return None
    held = {*table.table_key_attrs, *index.schema_key_attrs, *projection.get("NonKeyAttributes", ())}
    asked, filtered = (
        sorted(dynamodb_expressions.attributes(kind, body.get(kind), body.get("ExpressionAttributeNames")) - held)
        for kind in ("ProjectionExpression", "FilterExpression")
    )
    if filtered:
        text = "does not project one or more filter attributes: "
        raise _invalid(f"{_INVALID}Secondary index {name} {text}[{', '.join(filtered)}]")
    if index in table.global_indexes:
        if asked:
            raise _invalid(f"{_INVALID}Global secondary index {name} does not project [{', '.join(asked)}]")
        return None
    return index if asked or body.get("Select") == "ALL_ATTRIBUTES" else None


def _check(operation: str, backend: Any, body: dict[str, Any]) -> None:
    """What can be told from a call and its tables' schemas; a table that is not there is moto's to refuse."""

    def table(name: str) -> Any:
        try:
            return backend.get_table(name)
        except Exception:
            if wrong := _problem_of_name(name):
                text = f"{_ONE}Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}"
                raise _invalid(text) from None
            return None

    def check_key(name: str, key: Any) -> None:
        if found := table(name):
            if not _fits(found, key):
                raise _invalid(_SCHEMA)
            _check_key(found, key)

    if operation == "CreateTable":
        _check_table(body, None)
    elif operation == "UpdateTable" and (found := table(body["TableName"])):
        _check_table(body, found)
    elif operation in ("UpdateTimeToLive", "DescribeTimeToLive"):
        if (found := table(body["TableName"])) is None:
            raise AwsError(
                "ResourceNotFoundException", f"Requested resource not found: Table: {body['TableName']} not found"
            )
        if operation == "UpdateTimeToLive":
            _check_time_to_live(found.ttl, body["TimeToLiveSpecification"])
    elif operation in ("TagResource", "UntagResource", "ListTagsOfResource"):
        if not _TABLE_ARN.fullmatch(arn := body["ResourceArn"]):
            raise _invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    elif operation == "DeleteTable" and (found := table(body["TableName"])) and found.deletion_protection_enabled:
        text = "Resource cannot be deleted as it is currently protected against deletion. "
        raise _invalid(text + "Disable deletion protection first.")
    elif operation in ("GetItem", "DeleteItem", "UpdateItem"):
        check_key(body["TableName"], body["Key"])
    elif operation == "PutItem" and (found := table(body["TableName"])):
        _check_item(found, body["Item"])
    elif operation in ("Query", "Scan") and (found := table(body["TableName"])):
        segment, total = body.get("Segment"), body.get("TotalSegments")
        if segment is not None and total is not None and segment >= total:
            text = "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            raise _invalid(f"{text}Segment: {segment} is not less than TotalSegments: {total}")
        if start := body.get("ExclusiveStartKey"):
            index = {k for i, _, k in _index_keys(found) if i == body.get("IndexName")}
            types = _types(found)
            fits = set(start) == {*found.table_key_attrs, *index}
            if not fits or not all(types[name] in value for name, value in start.items()):
                raise _invalid(f"The provided starting key is invalid: {_SCHEMA}")
    elif operation == "BatchGetItem":
        for name, request in body["RequestItems"].items():
            _check_length(f"RequestItems.{name}.member.Keys", request["Keys"], 100)
            for key in request["Keys"]:
                check_key(name, key)
    elif operation == "TransactGetItems":
        _check_reads([item["Get"] for item in body["TransactItems"]], table)
    elif operation == "BatchWriteItem":
        for name, requests in body["RequestItems"].items():
            if not requests:
                raise _invalid(_EMPTY_BATCH.format(name))
            _check_length(f"RequestItems.{name}.member", requests, 25)
        if sum(map(len, body["RequestItems"].values())) > 25:
            raise _invalid("Too many items requested for the BatchWriteItem call")
        for name, requests in body["RequestItems"].items():
            if found := table(name):
                _check_batch(found, requests)


def _problem_of_name(name: str) -> str:
    """What AWS says of a table's name that no table can have; nothing of an ARN.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    if name.startswith("arn:"):
        return ""
    if len(name) < 3:
        return "Member must have length greater than or equal to 3"
    if not _TABLE_NAME.fullmatch(name):
        return f"Member must satisfy regular expression pattern: {_TABLE_NAME.pattern}"
    return "" if len(name) <= 255 else "Member must have length less than or equal to 255"


def _check_length(what: str, items: list[Any], most: int) -> None:
    if not 0 < len(items) <= most:
        limit = f"less than or equal to {most}" if items else "greater than or equal to 1"
        raise _invalid(f"{_ONE}Value at '{what}' failed to satisfy constraint: Member must have length {limit}")


def _check_key(table: Any, key: dict[str, Any]) -> None:
    """A key that fits its table: not empty, and not too long."""
    for part in table.schema:
        name = part["AttributeName"]
        _check_filled(name, key[name])
        _check_key_size(part["KeyType"], key[name])


def _check_reads(reads: list[dict[str, Any]], table: Any) -> None:
    """The Gets of a transaction; keys that do not fit are reasons to cancel it."""
    from moto.dynamodb.exceptions import TransactionCanceledException

    reasons: list[tuple[Any, Any, Any]] = []
    items = set()
    for read in reads:
        if (found := table(read["TableName"])) is None:
            return
        fits = _fits(found, read["Key"])
        if fits:
            _check_key(found, read["Key"])
        reasons.append((None, None, None) if fits else ("ValidationError", _SCHEMA, None))
        items.add((found.name, repr(sorted(read["Key"].items()))))
    if any(code for code, _, _ in reasons):
        raise TransactionCanceledException(reasons)
    if len(items) < len(reads):
        raise _invalid(_TWICE)


def _check_actions(backend: Any, actions: list[dict[str, Any]], size: int) -> None:
    """What of a transaction's writes is refused before any is looked at: values, tables, empty keys; `size` as JSON.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    for action in actions:
        if "" in (attributes := action.get("Item") or action["Key"]):
            raise _invalid("Empty attribute name")
        _check_values(attributes)
    items = set()
    for action in actions:
        table, attributes = backend.get_table(action["TableName"]), action.get("Item") or action["Key"]
        key = [attributes.get(name) for name in table.table_key_attrs]
        for name, value in zip(table.table_key_attrs, key, strict=True):
            _check_filled(name, value)
        items.add((table.name, repr(key) if None not in key else object()))
    if len(items) < len(actions):  # moto does not know that a table's name and its ARN are the same
        raise _invalid(_TWICE)
    if size > _MOST_TRANSACTION:  # as JSON they have more
        sizes = (dynamodb_store.checked_size(action["Item"]) for action in actions if "Item" in action)
        if sum(sizes) > _MOST_TRANSACTION:
            raise _invalid("The aggregate size of the items in the transaction exceeds 4 MB")


def _check_time_to_live(now: dict[str, Any], wanted: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html

    AWS's words as https://github.com/go-to-k/cdkd/pull/932 quotes them.
    """
    on = now["TimeToLiveStatus"] == "ENABLED"
    if on and wanted["Enabled"] and now["AttributeName"] != wanted["AttributeName"]:
        text = f"TimeToLive is active on a different AttributeName: current AttributeName is {now['AttributeName']}"
        raise _invalid(text)
    if on == wanted["Enabled"]:
        raise _invalid(f"TimeToLive is already {'enabled' if on else 'disabled'}")


def _check_batch(table: Any, requests: list[dict[str, Any]]) -> None:
    seen = set()
    types = _types(table)
    for request in requests:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        if len(request) != 1:
            raise _invalid(_MANY_TYPES)
        if delete:
            if not _fits(table, delete["Key"]):
                raise _invalid(_SCHEMA)
            _check_key(table, delete["Key"])
        if put:  # all of them before the first is written
            if not all(types[name] in put["Item"].get(name, ()) for name in table.table_key_attrs):
                raise _invalid(_SCHEMA)
            _check_item(table, put["Item"])
            for part in table.schema:
                _check_key_size(part["KeyType"], put["Item"][part["AttributeName"]])
            if len(orjson.dumps(put["Item"], default=repr)) > dynamodb_store.MOST_BYTES:  # as JSON it has more
                dynamodb_store.checked_size(put["Item"])
        item = put["Item"] if put else delete["Key"] if delete else {}
        key = repr([item.get(name) for name in table.table_key_attrs])
        if key in seen:
            raise _invalid("Provided list of item keys contains duplicates")
        seen.add(key)


def _check_table(body: dict[str, Any], table: Any) -> None:
    """CreateTable and, of a table that is there, UpdateTable: keys, indexes and capacity that AWS would not take.

    Below https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/: API_CreateTable.html, API_UpdateTable.html.
    """
    if table is None and (wrong := _problem_of_name(name := body["TableName"])):
        raise _invalid(f"{_ONE}Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}")
    if body.get("ReplicaUpdates"):
        raise _invalid("The local AWS has one region only: a table has no replicas here.")
    stream = body.get("StreamSpecification") or {}
    if not stream.get("StreamEnabled") and stream.get("StreamViewType"):
        raise _invalid(f"{_INVALID}StreamViewType is for a stream that is enabled")
    if table and body.keys() == {"TableName"}:
        raise _invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    updates = body.get("GlobalSecondaryIndexUpdates") or ()
    if sum(not update.keys() <= {"Update"} for update in updates) > 1:
        text = "Only 1 online index can be created or deleted simultaneously per table"
        raise AwsError("LimitExceededException", f"Subscriber limit exceeded: {text}")
    there = {index.name for index in table.global_indexes} if table else set()
    if not there.issuperset(update["Delete"]["IndexName"] for update in updates if "Delete" in update):
        raise AwsError("ResourceNotFoundException", "Requested resource not found")
    local = body.get("LocalSecondaryIndexes") or ()
    made = [*(body.get("GlobalSecondaryIndexes") or ()), *(u["Create"] for u in updates if "Create" in u)]
    keys = body["KeySchema"] if table is None else table.schema
    if table is None and len(body["AttributeDefinitions"]) < len(keys):
        raise _invalid("Invalid KeySchema: Some index key attribute have no definition")
    for schema in (keys, *(index["KeySchema"] for index in local)):
        _check_schema(schema)
    for index in made:
        _check_schema(index["KeySchema"], many=True)
    types = {a["AttributeName"] for a in (*(body.get("AttributeDefinitions") or ()), *(table.attr if table else ()))}
    names: set[str] = set()
    for index in (*local, *made):
        name, projection = index["IndexName"], index["Projection"]
        kind = projection.get("ProjectionType")
        indexed = [key["AttributeName"] for key in index["KeySchema"]]
        if not types.issuperset(indexed):
            text = "Some index key attributes are not defined in AttributeDefinitions. "
            raise _invalid(f"{_INVALID}{text}Keys: [{', '.join(indexed)}], AttributeDefinitions: [{', '.join(types)}]")
        if kind is None:
            raise _invalid(f"{_INVALID}Unknown ProjectionType: null")
        if kind != "INCLUDE" and "NonKeyAttributes" in projection:
            raise _invalid(f"{_INVALID}ProjectionType is {kind}, but NonKeyAttributes is specified")
        if kind == "INCLUDE" and "NonKeyAttributes" not in projection:
            raise _invalid(f"{_INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        if name in names:
            raise _invalid(f"{_INVALID}Duplicate index name: {name}")
        names.add(name)
    for index in local:
        _check_local(index, keys)
    if len(local) > 5:
        raise _invalid(f"{_INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5")
    if len(made) > 20:
        raise _invalid(f"{_INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20")
    _check_throughput(body, table, made)


def _check_schema(schema: list[dict[str, str]], many: bool = False) -> None:
    """A table's keys or an index's; a global one may have `many`, those of its partitions first.

    https://docs.aws.amazon.com/cdk/api/v2/python/aws_cdk.aws_dynamodb/GlobalSecondaryIndexPropsV2.html (partition_keys)
    """
    kinds, names = [key["KeyType"] for key in schema], [key["AttributeName"] for key in schema]
    if kinds[0] != "HASH":
        raise _invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(kinds) == 2 and kinds[1] != "RANGE" and not many:
        raise _invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    if len(set(names)) < len(names):
        raise _invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")


def _check_order(conditions: list[tuple[str, str, list[Any]]], schema: list[dict[str, str]]) -> None:
    """Of several sort keys only the last that a query names may have a range."""
    asked = {name: comparison for name, comparison, _ in conditions}
    named = [k["AttributeName"] for k in schema if k["KeyType"] == "RANGE" and k["AttributeName"] in asked]
    for one, following in zip(named, named[1:], strict=False):
        if asked[one] != "=":
            text = (
                f"RANGE key attributes {one} must have equality conditions specified in the query because a condition "
            )
            raise _invalid(f"{text}is present on key attribute {following}")


def _check_local(index: dict[str, Any], keys: list[dict[str, str]]) -> None:
    name = index["IndexName"]
    if len(keys) < 2:
        text = "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        raise _invalid(_INVALID + text)
    if len(index["KeySchema"]) < 2:
        raise _invalid(f"{_INVALID}Index KeySchema does not have a range key for index: {name}")
    mine, tables = index["KeySchema"][0]["AttributeName"], keys[0]["AttributeName"]
    if mine != tables:
        text = "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
        raise _invalid(f"{_INVALID}{text}{name}. index hash key: {mine}, table hash key: {tables}")


def _check_throughput(body: dict[str, Any], table: Any, made: list[dict[str, Any]]) -> None:
    """Capacity goes with PROVISIONED, and with nothing else; and is asked for only to be changed."""
    before = table.billing_mode if table else "PROVISIONED"
    mode, asked = body.get("BillingMode") or before, body.get("ProvisionedThroughput")
    if mode == "PAY_PER_REQUEST":
        if asked:
            text = (
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
            raise _invalid(_INVALID + text)
        for index in made:
            if "ProvisionedThroughput" in index:
                text = f"ProvisionedThroughput should not be specified for index: {index['IndexName']} when "
                raise _invalid(f"{_INVALID}{text}BillingMode is {mode}")
        return
    bare = [index["IndexName"] for index in made if "ProvisionedThroughput" not in index]
    if table and before == "PAY_PER_REQUEST":
        if not asked:
            raise _invalid(f"{_INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
        updated = {u["Update"]["IndexName"] for u in body.get("GlobalSecondaryIndexUpdates") or () if "Update" in u}
        bare += [index.name for index in table.global_indexes if index.name not in updated]
    if bare and (table or asked):
        raise _invalid(f"{_INVALID}ProvisionedThroughput must be specified for index: {','.join(bare)}")
    units = ("ReadCapacityUnits", "WriteCapacityUnits")
    if table and asked and before == mode and all(table.throughput[unit] == asked[unit] for unit in units):
        text = (
            "The provisioned throughput for the table will not change. The requested value equals the current value. "
        )
        for unit in units:
            text += f"Current {unit} provisioned for the table: {asked[unit]}. Requested {unit}: {asked[unit]}. "
        guide = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        raise _invalid(text + guide)


class ValidationError(Exception):
    """A reason to cancel a transaction; moto takes the name of the class for the reason's code."""


def install() -> None:
    """Puts the rules in front of moto's handler and store."""
    import moto.dynamodb.models as models
    import moto.dynamodb.parsing.ast_nodes as nodes
    import moto.dynamodb.parsing.executors as executors
    import moto.dynamodb.parsing.expressions as expressions
    import moto.dynamodb.responses as responses
    from moto.core.responses import ActionResult
    from moto.dynamodb.exceptions import (
        IncorrectDataType,
        IncorrectOperandType,
        ItemSizeToUpdateTooLarge,
        MockValidationException,
        TransactionCanceledException,
    )
    from moto.dynamodb.models.dynamo_type import DynamoType
    from moto.dynamodb.models.table import Table
    from moto.dynamodb.parsing.key_condition_expression import validate_schema

    handler: Any = responses.DynamoHandler
    node, removal, selector = (
        vars(nodes)[name] for name in ("Node", "UpdateExpressionRemoveAction", "ExpressionSelector")
    )
    backend: Any = models.DynamoDBBackend
    act, transact, update, query = (
        handler.call_action,
        backend.transact_write_items,
        backend.update_item,
        backend.query,
    )
    get_all, describe = handler.transact_get_items, Table.describe
    setattr(responses, "TRANSACTION_MAX_ITEMS", 100)  # noqa: B010

    def call_action(self: Any) -> Any:
        body, operation = getattr(self, "params", None), self._get_action()
        if isinstance(body, dict):
            if operation in _SINGLE:
                _check_members(operation, body)
            clean(body)
            modernize(body)
            inner = [op for item in body.get("TransactItems") or () for op in item.values()]
            for part in (body, *inner):
                _check_values(part.get("ExpressionAttributeValues") or {})
                _check_placeholders(part)
            if operation == "Query" and not body.get("KeyConditionExpression"):
                text = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
                raise _invalid(text)
            requests = (body.get("RequestItems") or {}).values() if operation == "BatchGetItem" else ()
            kinds = {n for request in requests for n in ("AttributesToGet", "ProjectionExpression") if n in request}
            if len(kinds) > 1:  # also when they are different tables'
                raise _invalid(_MIXED.format("AttributesToGet", "ProjectionExpression"))
            for request in requests:
                modernize(request)
                _check_placeholders(request)
            _check(operation, self.dynamodb_backend, body)
        return act(self)

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        reasons: list[tuple[Any, Any, Any]] = []
        for operation in (op for item in transact_items for op in item.values()):
            table, problem = self.get_table(operation["TableName"]), None
            try:
                if "Item" in operation:
                    _check_item(table, operation["Item"])
                elif not _fits(table, operation["Key"]):
                    problem = _SCHEMA
            except AwsError as error:
                problem = error.message
            reasons.append(("ValidationError", problem, None) if problem else (None, None, None))
        if any(code for code, _, _ in reasons):
            raise TransactionCanceledException(reasons)
        self.in_transaction = True
        try:
            transact(self, transact_items)
        finally:
            self.in_transaction = False

    def check_paths(store: Any, table_name: str, key: dict[str, Any], rest: dict[str, Any]) -> None:
        """Paths of an update within something that has no such parts: moto would do nothing."""
        names, values = rest.get("expression_attribute_names"), rest.get("expression_attribute_values")
        part = {"UpdateExpression": rest.get("update_expression"), "ExpressionAttributeNames": names}
        if paths := [path for path in dynamodb_expressions.updated(part) if len(path) > 1]:
            item, condition = store.get_item(table_name, key), rest.get("condition_expression")
            holds = dynamodb_expressions.Condition(condition, names, values).expr(item)
            if holds and not all(dynamodb_expressions.leads(item, path) for path in paths):
                text = "The document path provided in the update expression is invalid for update"
                raise MockValidationException(text)

    def update_item(self: Any, table_name: str, key: dict[str, Any], **rest: Any) -> Any:
        """As a whole or not at all: moto makes the item first and leaves it when the update fails."""
        inside, expression = getattr(self, "in_transaction", False), rest.get("update_expression") or ""
        removes = bool(expression) and not _MAKES.search(expression) and self.get_item(table_name, key) is None
        undo = []
        if removes or not inside:
            undo = list(_touched(self, [{"Update": {"TableName": table_name, "Key": key}}]))
        if not expression:
            rest["attribute_updates"] = {}  # an item of the key alone
        try:
            check_paths(self, table_name, key, rest)
            item = update(self, table_name, key, **rest)
            table = self.get_table(table_name)
            dynamodb_store.changed(table, (item.hash_key, item.range_key))
            for index, kind, name in _index_keys(table):
                if name in item.attrs:
                    value = item.attrs[name]
                    if value.type != _types(table)[name]:
                        text = "The update expression attempted to update the secondary index key to unsupported type"
                        raise MockValidationException(_INVALID + text)
                    if value.type != "N" and not value.value:
                        raise MockValidationException(_EMPTY_INDEX_KEY.format(index, name))
                    try:
                        _check_key_size(kind, {value.type: value.value})
                    except AwsError as error:
                        raise MockValidationException(error.message) from None
            if item.size() > dynamodb_store.MOST_BYTES:  # the new item: moto measures each step on the way there
                raise ItemSizeToUpdateTooLarge
            if removes:  # from an item that is not there, which does not make it
                for restore in undo:
                    restore()
            return item
        except Exception as error:
            for restore in undo:
                restore()
            if isinstance(error, IncorrectOperandType):  # of what lies at a path: those of values are known by now
                error = IncorrectDataType()
            message = str(getattr(error, "message", error))
            if inside and isinstance(error, MockValidationException) and _UPDATE_FAILURES.match(message):
                raise ValidationError(message) from None
            raise error from None

    def check_start(start: Any, hashes: list[Any], ranges: Any) -> None:
        """A page begins within what the query asks for; the words are those of architect/dynalite."""

        def within(conditions: Any) -> bool:
            return all(DynamoType(start[n]).compare(c, [DynamoType(v) for v in values]) for n, c, values in conditions)

        if not within(ranges):
            raise MockValidationException("The provided starting key does not match the range key predicate")
        if not within(hashes):
            raise MockValidationException(
                "The query can return at most one row and cannot be restarted"
                if ranges
                else "The provided starting key is outside query boundaries based on provided conditions"
            )

    def checked_query(self: Any, table_name: str, *args: Any, **rest: Any) -> Any:
        types = _types(self.get_table(table_name))
        conditions = [(name, "=", [value]) for name, value in rest.get("hash_key_conditions") or ()]
        for name, _, values in (*conditions, *(rest.get("range_key_conditions") or ())):
            if any(types[name] not in value for value in values):
                raise MockValidationException(f"{_INVALID}Condition parameter type does not match schema type")
        if start := args[4]:
            check_start(start, conditions, rest.get("range_key_conditions") or ())
        schema = self.get_schema(table_name=table_name, index_name=rest.get("index_name"))
        looked_at = dynamodb_expressions.attributes(
            "FilterExpression", rest.get("filter_expression"), rest.get("expr_names")
        )
        for name in sorted(looked_at & {key["AttributeName"] for key in schema}):
            text = "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
            raise MockValidationException(text + name)
        return query(self, table_name, *args, **rest)

    def key_conditions(
        key_condition_expression: str, expression_attribute_names: Any, expression_attribute_values: Any, schema: Any
    ) -> Any:
        names, values = expression_attribute_names, expression_attribute_values
        found = dynamodb_expressions.key_conditions(key_condition_expression, names, values)
        if len(found) > len(schema):
            text = f"The number of query conditions ({len(found)}) exceeds the number of key attributes defined in the "
            raise _invalid(f"{text}schema ({len(schema)})")
        _check_order(found, schema)
        return *validate_schema(found, schema), list(names or ())

    def once(self: Any) -> Any:
        """A transaction whose token was used for the same in the last ten minutes has been done already."""
        token, now = self.body.get("ClientRequestToken"), time.monotonic()
        kept = self.dynamodb_backend.__dict__.setdefault("tokens", {})
        for old in list(kept):
            if kept[old][1] > now - _TOKEN_SECONDS:
                break
            del kept[old]
        sent = orjson.dumps(self.body["TransactItems"], default=repr)
        content = hash(sent)
        if token in kept:
            if kept[token][0] != content:
                raise AwsError(
                    "IdempotentParameterMismatchException",
                    "DynamoDB rejected the request because you retried a request with a different payload but with an "
                    "idempotent token that was already used.",
                )
            self.replayed = True  # which costs what reading the items does
            return ActionResult({})
        metrics = self.body.get("ReturnItemCollectionMetrics", "NONE") != "NONE"
        plain = not metrics and len(sent) <= _MOST_TRANSACTION
        if plain and dynamodb_transactions.done(self.dynamodb_backend, self.body["TransactItems"]):
            answer = ActionResult({})
        else:
            actions = [action for item in self.body["TransactItems"] for action in item.values()]
            _check_actions(self.dynamodb_backend, actions, len(sent))
            answer = as_asked["transact_write_items"](self)
        if token:
            kept[token] = content, now
        return answer

    def transact_get_items(self: Any) -> Any:
        """moto would give whole items."""
        answer = get_all(self)
        for got, (request,) in zip(
            answer.result["Responses"], map(dict.values, self.body["TransactItems"]), strict=True
        ):
            if "Item" in got and "ProjectionExpression" in request:
                names = request.get("ExpressionAttributeNames")
                paths = responses.ProjectionExpressionParser(request["ProjectionExpression"], names).parse()
                item = self.dynamodb_backend.get_item(request["TableName"], request["Key"], paths)
                got["Item"] = responses.DynamoResult(item.attrs).result
        return answer

    def collection(table: Any, body: dict[str, Any]) -> dict[str, Any]:
        """The item collection that was written to, if there are any: a table without local indexes has none.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ItemCollectionMetrics.html
        """
        key = {table.hash_key_attr: body["Item" if "Item" in body else "Key"][table.hash_key_attr]}
        told = {"ItemCollectionKey": key, "SizeEstimateRangeGB": [0.0, 1.0]}  # from, to
        return {"ItemCollectionMetrics": told} if table.indexes else {}

    def wrapped(name: str) -> Any:
        original = getattr(handler, name)

        def answer(self: Any) -> Any:
            asked, before = self.body.get("ReturnValues", "NONE"), None
            if name == "update_item" and asked == "UPDATED_OLD":
                before = copy.deepcopy(self.dynamodb_backend.get_item(self.body["TableName"], self.body["Key"]))
            index = None
            if name in ("query", "scan"):
                index = _fetched(self.dynamodb_backend.get_table(self.body["TableName"]), self.body)
            if index is None:
                result = original(self)
            else:
                projection, index.projection = index.projection, None
                try:
                    result = original(self)
                finally:
                    index.projection = projection
            if name == "update_item" and asked != "NONE":
                now = self.dynamodb_backend.get_item(self.body["TableName"], self.body["Key"])
                if asked.startswith("UPDATED"):  # moto: whole attributes, and only those that differ
                    item, paths = (now if asked == "UPDATED_NEW" else before), dynamodb_expressions.updated(self.body)
                    found = dynamodb_expressions.projected(item.attrs, paths) if item else {}
                    result.result["Attributes"] = responses.DynamoResult(found).result
                if not result.result.get("Attributes") or (asked == "ALL_NEW" and not now):
                    result.result.pop("Attributes", None)
            for member in ("ConsumedCapacity", "ItemCollectionMetrics"):  # only for those who ask
                if self.body.get(f"Return{member}", "NONE") == "NONE" and isinstance(result.result, dict):
                    result.result.pop(member, None)
            if name in ("put_item", "update_item", "delete_item"):
                result.result.pop("ConsumedCapacityUnits", None)
                if self.body.get("ReturnItemCollectionMetrics") == "SIZE":
                    result.result.update(collection(self.dynamodb_backend.get_table(self.body["TableName"]), self.body))
            return result

        return answer

    def list_tables(self: Any, limit: int, exclusive_start_table_name: str | None) -> tuple[list[str], str | None]:
        """By name, as AWS does it: moto lists them as they were made."""
        names = sorted(name for name in self.tables if name > (exclusive_start_table_name or ""))
        return names[:limit], names[limit - 1] if len(names) > limit else None

    def tag_resource(self: Any, arn: str, tags: dict[str, str]) -> None:
        """A tag whose key is there has a new value; moto would have it twice."""
        table = self.get_table(arn)
        kept = {tag["Key"]: tag["Value"] for tag in table.tags} | tags
        table.tags = [{"Key": key, "Value": value} for key, value in kept.items()]

    def untag_resource(self: Any, arn: str, tag_keys: list[str]) -> None:
        """moto would say nothing of a table that is not there."""
        table = self.get_table(arn)
        table.tags = [tag for tag in table.tags if tag["Key"] not in tag_keys]

    def with_settings(name: str) -> Any:
        """CreateTable and UpdateTable, with what moto leaves out of a table's description."""
        original = getattr(handler, name)

        def answer(self: Any) -> Any:
            original(self)
            table, body = self.dynamodb_backend.get_table(self.body["TableName"]), self.body
            settings = table.__dict__.setdefault("settings", {"TableId": str(uuid.uuid4())})
            if "TableClass" in body:
                settings["TableClassSummary"] = {"TableClass": body["TableClass"]}
            if "OnDemandThroughput" in body:
                settings["OnDemandThroughput"] = settings.get("OnDemandThroughput", {}) | body["OnDemandThroughput"]
            if body.get("BillingMode") == "PAY_PER_REQUEST":  # API_ProvisionedThroughput.html: then they are 0
                table.throughput = dict.fromkeys(
                    ("ReadCapacityUnits", "WriteCapacityUnits", "NumberOfDecreasesToday"), 0
                )
            return responses.DynamoResult(table.describe())

        return answer

    def described(self: Any, base_key: str = "TableDescription") -> Any:
        description = describe(self, base_key)
        description[base_key] |= self.__dict__.get("settings", {})
        return description

    def number(of: str) -> Any:
        original = getattr(DynamoType, of)

        def exact(self: Any, other: Any) -> Any:
            if self.type != "N" or other.type != "N":
                return original(self, other)
            left, right = decimal.Decimal(self.value), decimal.Decimal(other.value)
            total = trimmed(str(_EXACT.add(left, right) if of == "__add__" else _EXACT.subtract(left, right)))
            try:
                _check_number(total)
            except AwsError as error:
                raise MockValidationException(error.message) from None
            return DynamoType({"N": total})

        return exact

    def one_operator(self: Any) -> Any:
        """`value` is one operand, or two with + or - between them; moto takes any number."""
        for following in (False, True):
            if following:
                self._parse_target_clause(self._binop_factory_class())
                if not self._operand_factory_class().is_possible_start(self.get_next_token()):
                    self.raise_unexpected_token()
            self._parse_target_clause(self._operand_factory_class())
            if not self._binop_factory_class().is_possible_start(self.get_next_token()):
                return self._create_node()
        return self.raise_unexpected_token()

    def normalize(self: Any) -> None:
        """All actions are on the item as it was: what is removed from a list goes last, from its end, and what is added
        to one is added in the order of the elements' numbers; moto does one after the other.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
        """
        in_order(self)
        if self.type == "UpdateExpression":
            removed = [a for a in self.children if isinstance(a, removal)]
            others = [a for a in self.children if a not in removed]
            self.children = sorted(others, key=element) + sorted(removed, reverse=True)

    def element(action: Any) -> int:
        last = action.children[0].children[-1]
        return int(last.get_index()) if isinstance(last, selector) else -1

    def add(self: Any, item: Any) -> None:
        """What is added to a set finds its place there; moto appends it."""
        appended(self, item)
        held = self.get_item_at_end_of_path(item)
        if held.is_set():
            held.value = _in_order(held.type, held.value)

    adder: Any = vars(executors)["AddExecutor"]
    appended = adder.execute
    in_order = node.normalize
    as_asked = {
        name: wrapped(name)
        for name in (
            "query", "scan", "put_item", "update_item", "delete_item", "batch_write_item", "batch_get_item",
            "transact_write_items",
        )
    }  # fmt: skip
    replaced: list[tuple[Any, dict[str, Any]]] = [
        (
            handler,
            {
                "call_action": call_action,
                **as_asked,
                "transact_write_items": once,
                "transact_get_items": transact_get_items,
                "create_table": with_settings("create_table"),
                "update_table": with_settings("update_table"),
            },
        ),
        (
            backend,
            {
                "transact_write_items": transact_write_items,
                "update_item": update_item,
                "query": checked_query,
                "list_tables": list_tables,
                "tag_resource": tag_resource,
                "untag_resource": untag_resource,
            },
        ),
        (Table, {"describe": described}),
        (responses, {"ProjectionExpressionParser": dynamodb_expressions.Projection}),
        (responses, {"parse_expression": key_conditions}),
        (vars(expressions)["UpdateExpressionValueParser"], {"_parse": one_operator}),
        (node, {"normalize": normalize}),
        (adder, {"execute": add}),
        (expressions, {"UpdateExpressionGroupedValue": lambda children: children}),  # moto fails on parentheses
        (DynamoType, {of: number(of) for of in ("__add__", "__sub__")}),
    ]
    for owner, functions in replaced:
        for name, function in functions.items():
            setattr(owner, name, function)
