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
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,255}")
_RETURNED = frozenset(("ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW", "NONE"))
_WORDS = {
    "ReturnConsumedCapacity": ("INDEXES", "TOTAL", "NONE"), "ReturnItemCollectionMetrics": ("SIZE", "NONE"),
    "ReturnValuesOnConditionCheckFailure": ("ALL_OLD", "NONE"),
}  # fmt: skip
_INVALID = "One or more parameter values were invalid: "
_SCHEMA = "The provided key element does not match the schema"
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
_EXPRESSION_BYTES = 4096
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
                    raise _invalid(
                        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
                        "supported datatypes"
                    )
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
        raise _invalid(
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            f"{{{', '.join(old)}}} Expression parameters: {{{', '.join(new)}}}"
        )
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
        if (size := len(body[parameter].encode())) > _EXPRESSION_BYTES:
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
    elif isinstance(name, str) and not name.startswith("arn:") and not _TABLE_NAME.fullmatch(name):
        rule = "have length less than or equal to 255"
        if not _TABLE_NAME.fullmatch(name[:255]):
            rule = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        faults = [f"Value '{name}' at 'tableName' {fails} {rule}"]
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


def _types(table: Any) -> dict[str, str]:
    return {a["AttributeName"]: a["AttributeType"] for a in table.attr}


def _fits(table: Any, key: Any) -> bool:
    types = _types(table)
    return set(key) == set(table.table_key_attrs) and all(types[name] in value for name, value in key.items())


def _check_not_empty(name: str, value: dict[str, Any]) -> None:
    if value in ({"S": ""}, {"B": ""}, {"B": b""}):
        raise _invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty {'string' if 'S' in value else 'binary'} value. Key: {name}"
        )


def _check_item(table: Any, item: dict[str, Any]) -> None:
    types = _types(table)
    _check_values(item)
    for name in table.table_key_attrs:
        if name not in item:
            raise _invalid(f"{_INVALID}Missing the key {name} in the item")
        if types[name] not in item[name]:
            actual = next(iter(item[name]))
            raise _invalid(f"{_INVALID}Type mismatch for key {name} expected: {types[name]} actual: {actual}")
        _check_not_empty(name, item[name])
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
            return None

    def check_key(name: str, key: Any) -> None:
        if found := table(name):
            if not _fits(found, key):
                raise _invalid(_SCHEMA)
            for part in found.schema:
                _check_not_empty(part["AttributeName"], key[part["AttributeName"]])
                _check_key_size(part["KeyType"], key[part["AttributeName"]])

    if operation == "CreateTable":
        _check_table(body, None)
    elif operation == "UpdateTable" and (found := table(body["TableName"])):
        _check_table(body, found)
    elif operation == "UpdateTimeToLive" and (found := table(body["TableName"])):
        _check_time_to_live(found.ttl, body["TimeToLiveSpecification"])
    elif operation in ("GetItem", "DeleteItem", "UpdateItem"):
        check_key(body["TableName"], body["Key"])
    elif operation == "PutItem" and (found := table(body["TableName"])):
        _check_item(found, body["Item"])
    elif operation in ("Query", "Scan") and (start := body.get("ExclusiveStartKey")):
        if found := table(body["TableName"]):
            index = {k for i, _, k in _index_keys(found) if i == body.get("IndexName")}
            if set(start) != {*found.table_key_attrs, *index}:
                raise _invalid(f"The provided starting key is invalid: {_SCHEMA}")
    elif operation == "BatchGetItem":
        for name, request in body["RequestItems"].items():
            for key in request["Keys"]:
                check_key(name, key)
    elif operation == "TransactGetItems":
        for item in body["TransactItems"]:
            check_key(item["Get"]["TableName"], item["Get"]["Key"])
    elif operation == "BatchWriteItem":
        if sum(map(len, body["RequestItems"].values())) > 25:
            raise _invalid("Too many items requested for the BatchWriteItem call")
        for name, requests in body["RequestItems"].items():
            if found := table(name):
                _check_batch(found, requests)


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
    for request in requests:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        if delete and not _fits(table, delete["Key"]):
            raise _invalid(_SCHEMA)
        if put:  # all of them before the first is written
            _check_item(table, put["Item"])
            for part in table.schema:
                _check_key_size(part["KeyType"], put["Item"][part["AttributeName"]])
            if len(orjson.dumps(put["Item"], default=repr)) > dynamodb_store.MOST_BYTES:  # as JSON it has more
                dynamodb_store.check_size(put["Item"])
        item = put["Item"] if put else delete["Key"] if delete else {}
        key = repr([item.get(name) for name in table.table_key_attrs])
        if key in seen:
            raise _invalid("Provided list of item keys contains duplicates")
        seen.add(key)


def _check_table(body: dict[str, Any], table: Any) -> None:
    """CreateTable and, of a table that is there, UpdateTable: keys, indexes and capacity that AWS would not take.

    Below https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/: API_CreateTable.html, API_UpdateTable.html.
    """
    if table and body.keys() == {"TableName"}:
        raise _invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    updates = body.get("GlobalSecondaryIndexUpdates") or ()
    if sum(not update.keys() <= {"Update"} for update in updates) > 1:
        text = "Only 1 online index can be created or deleted simultaneously per table"
        raise AwsError("LimitExceededException", f"Subscriber limit exceeded: {text}")
    local = body.get("LocalSecondaryIndexes") or ()
    made = [*(body.get("GlobalSecondaryIndexes") or ()), *(u["Create"] for u in updates if "Create" in u)]
    keys = body["KeySchema"] if table is None else table.schema
    for schema in (keys, *(index["KeySchema"] for index in (*local, *made))):
        _check_schema(schema)
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


def _check_schema(schema: list[dict[str, str]]) -> None:
    kinds, names = [key["KeyType"] for key in schema], [key["AttributeName"] for key in schema]
    if kinds[0] != "HASH":
        raise _invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(kinds) == 2 and kinds[1] != "RANGE":
        raise _invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    if len(set(names)) < len(names):
        raise _invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")


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
    get_all = handler.transact_get_items
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
            for request in (body.get("RequestItems") or {}).values() if operation == "BatchGetItem" else ():
                modernize(request)
                _check_placeholders(request)
            _check(operation, self.dynamodb_backend, body)
        return act(self)

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        reasons: list[tuple[Any, Any, Any]] = []
        for operation in (op for item in transact_items for op in item.values()):
            table, problem = self.tables.get(operation.get("TableName")), None
            try:
                if table and "Item" in operation:
                    _check_item(table, operation["Item"])
                elif table and not _fits(table, operation["Key"]):
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

    def checked_query(self: Any, table_name: str, *args: Any, **rest: Any) -> Any:
        types = _types(self.get_table(table_name))
        conditions = [(name, "=", [value]) for name, value in rest.get("hash_key_conditions") or ()]
        for name, _, values in (*conditions, *(rest.get("range_key_conditions") or ())):
            if any(types[name] not in value for value in values):
                raise MockValidationException(f"{_INVALID}Condition parameter type does not match schema type")
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
        return *validate_schema(found, schema), list(names or ())

    def once(self: Any) -> Any:
        """A transaction whose token was used for the same in the last ten minutes has been done already."""
        token, now = self.body.get("ClientRequestToken"), time.monotonic()
        kept = self.dynamodb_backend.__dict__.setdefault("tokens", {})
        for old in list(kept):
            if kept[old][1] > now - _TOKEN_SECONDS:
                break
            del kept[old]
        content = hash(orjson.dumps(self.body["TransactItems"], default=repr))
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
        if not metrics and dynamodb_transactions.done(self.dynamodb_backend, self.body["TransactItems"]):
            answer = ActionResult({})
        else:
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
            },
        ),
        (backend, {"transact_write_items": transact_write_items, "update_item": update_item, "query": checked_query}),
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
