"""moto's DynamoDB: what AWS refuses in a call before it looks at an item, and what an answer holds for those who ask.

Below https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/ : API_BatchWriteItem.html, API_UpdateItem.html,
API_PutItem.html.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any

from . import dynamodb_expressions
from .dynamodb_items import SCHEMA, check_batch, check_item, check_key, fits, index_keys, types_of
from .dynamodb_legacy import EXPRESSIONS, MIXED, modernize
from .dynamodb_queries import fetched
from .dynamodb_tables import ONE_FAULT, check_name, check_table, problem_of_name
from .dynamodb_transactions import check_reads
from .dynamodb_values import check_values, clean, invalid

_SINGLE = frozenset(("GetItem", "PutItem", "UpdateItem", "DeleteItem"))
_RETURNED = frozenset(("ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW", "NONE"))
_WORDS = {
    "ReturnConsumedCapacity": ("INDEXES", "TOTAL", "NONE"), "ReturnItemCollectionMetrics": ("SIZE", "NONE"),
    "ReturnValuesOnConditionCheckFailure": ("ALL_OLD", "NONE"),
}  # fmt: skip
_FILLED_BATCH = (
    "failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to "
    "25, Member must have length greater than or equal to 1]"
)
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MOST_EXPRESSION = 4096  # bytes, as it was sent


@lru_cache(256)
def _tokens(expression: str) -> list[str]:
    return re.findall(r"[#:]\w+", expression)


def _check_placeholders(body: dict[str, Any]) -> None:
    """Every #name and :value of an expression must be given, and every one that is given must be used.

    AWS's words and what comes first: ExtendDB/extenddb tests/test_expression_size_limit.py,
    test_expression_attribute_map_validation.py and test_projection_overlapping_paths.py.
    """
    used, expressions = set(), [name for name in EXPRESSIONS if body.get(name) is not None]
    for parameter in expressions:
        text = body[parameter]
        if not text:
            raise invalid(f"Invalid {parameter}: The expression can not be empty;")
        if len(text) > _MOST_EXPRESSION // 4 and (size := len(text.encode())) > _MOST_EXPRESSION:
            told = f" expression size: {size}" if parameter in ("ConditionExpression", "FilterExpression") else ""
            raise invalid(f"Invalid {parameter}: Expression size has exceeded the maximum allowed size;{told}")
        for token in _tokens(body[parameter]):
            kind = "Names" if token[0] == "#" else "Values"
            if token not in (body.get(f"ExpressionAttribute{kind}") or {}):
                _check_keys(body)
                text = "name used in the document path" if kind == "Names" else "value used in expression"
                what = kind[:-1].lower()
                raise invalid(
                    f"Invalid {parameter}: An expression attribute {text} is not defined; attribute {what}: {token}"
                )
            used.add(token)
    for kind in ("Names", "Values"):
        given = body.get(f"ExpressionAttribute{kind}")
        if given is not None and not expressions:
            raise invalid(f"ExpressionAttribute{kind} can only be specified when using expressions")
        if given == {}:
            raise invalid(f"ExpressionAttribute{kind} must not be empty")
        if given and not given.keys() <= used:
            _check_keys(body)
            dynamodb_expressions.check(body)
            rest = ", ".join(sorted(given.keys() - used))
            raise invalid(f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{rest}}}")
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
                raise invalid(f"{text}key: The expression attribute map contains a key that is too long;{told}")
            if not re.fullmatch(rf"{sign}[A-Za-z0-9_]+", key):
                raise invalid(f'{text}key: Syntax error; key: "{key}"')
            if value == "":
                raise invalid(f"{text}value: Empty attribute name for key {key}")


def _check_members(operation: str, body: dict[str, Any]) -> None:
    """The table's name and the words that a call on one item takes.

    AWS's words as paritysuite/dynamodb-conformance has them (registry/splits.json, us-east-1).
    """
    name, fails, faults = body.get("TableName"), "failed to satisfy constraint: Member must", []
    if name == "":
        faults = [f"Value at 'TableName' {fails} have length greater than or equal to 1"]
    elif isinstance(name, str) and (wrong := problem_of_name(name)):
        faults = [f"Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}"]
    returned = body.get("ReturnValues", "NONE")
    if not faults and returned not in _RETURNED:
        faults = [f"F{fails[1:]} satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"]
    for member, words in _WORDS.items() if name and not (faults and operation == "UpdateItem") else ():
        if (given := body.get(member, "NONE")) not in words:
            where = f"'{given}' at '{member[0].lower()}{member[1:]}'"
            faults.append(f"Value {where} {fails} satisfy enum value set: [{', '.join(words)}]")
    if faults:
        raise invalid(f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: {'; '.join(faults)}")
    if operation != "UpdateItem" and returned not in ("ALL_OLD", "NONE"):
        raise invalid("ReturnValues can only be ALL_OLD or NONE")


def _check(operation: str, backend: Any, body: dict[str, Any]) -> None:
    """What can be told from a call and its tables' schemas; a table that is not there is moto's to refuse."""

    def table(name: str) -> Any:
        try:
            return backend.get_table(name)
        except Exception:
            check_name(name)
            return None

    def check_key_of(name: str, key: Any) -> None:
        if found := table(name):
            if not fits(found, key):
                raise invalid(SCHEMA)
            check_key(found, key)

    check_table(operation, body, table)
    if operation in ("GetItem", "DeleteItem", "UpdateItem"):
        check_key_of(body["TableName"], body["Key"])
    elif operation == "PutItem" and (found := table(body["TableName"])):
        check_item(found, body["Item"])
    elif operation in ("Query", "Scan") and (found := table(body["TableName"])):
        segment, total = body.get("Segment"), body.get("TotalSegments")
        if segment is not None and total is not None and segment >= total:
            text = "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            raise invalid(f"{text}Segment: {segment} is not less than TotalSegments: {total}")
        if start := body.get("ExclusiveStartKey"):
            index = {k for i, _, k in index_keys(found) if i == body.get("IndexName")}
            types = types_of(found)
            whole = set(start) == {*found.table_key_attrs, *index}
            if not whole or not all(types[name] in value for name, value in start.items()):
                raise invalid(f"The provided starting key is invalid: {SCHEMA}")
    elif operation == "BatchGetItem":
        for name, request in body["RequestItems"].items():
            _check_length(f"RequestItems.{name}.member.Keys", request["Keys"], 100)
            for key in request["Keys"]:
                check_key_of(name, key)
    elif operation == "TransactGetItems":
        check_reads([item["Get"] for item in body["TransactItems"]], table)
    elif operation == "BatchWriteItem":
        for name, requests in body["RequestItems"].items():
            if not requests:
                raise invalid(f"{ONE_FAULT}Value '{{{name}=[]}}' at 'requestItems' {_FILLED_BATCH}")
            _check_length(f"RequestItems.{name}.member", requests, 25)
        if sum(map(len, body["RequestItems"].values())) > 25:
            raise invalid("Too many items requested for the BatchWriteItem call")
        for name, requests in body["RequestItems"].items():
            if found := table(name):
                check_batch(found, requests)


def _check_length(what: str, items: list[Any], most: int) -> None:
    if not 0 < len(items) <= most:
        limit = f"less than or equal to {most}" if items else "greater than or equal to 1"
        raise invalid(f"{ONE_FAULT}Value at '{what}' failed to satisfy constraint: Member must have length {limit}")


def install() -> None:
    """Puts the rules in front of moto's handler."""
    import moto.dynamodb.responses as responses

    handler: Any = responses.DynamoHandler
    act = handler.call_action

    def call_action(self: Any) -> Any:
        body, operation = getattr(self, "params", None), self._get_action()
        if isinstance(body, dict):
            if operation in _SINGLE:
                _check_members(operation, body)
            clean(body)
            modernize(body)
            inner = [op for item in body.get("TransactItems") or () for op in item.values()]
            for part in (body, *inner):
                check_values(part.get("ExpressionAttributeValues") or {})
                _check_placeholders(part)
            if operation == "Query" and not body.get("KeyConditionExpression"):
                text = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
                raise invalid(text)
            requests = (body.get("RequestItems") or {}).values() if operation == "BatchGetItem" else ()
            kinds = {n for request in requests for n in ("AttributesToGet", "ProjectionExpression") if n in request}
            if len(kinds) > 1:  # also when they are different tables'
                raise invalid(MIXED.format("AttributesToGet", "ProjectionExpression"))
            for request in requests:
                modernize(request)
                _check_placeholders(request)
            _check(operation, self.dynamodb_backend, body)
        return act(self)

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
                index = fetched(self.dynamodb_backend.get_table(self.body["TableName"]), self.body)
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

    setattr(handler, "call_action", call_action)  # noqa: B010
    for name in (
        "query", "scan", "put_item", "update_item", "delete_item", "batch_write_item", "batch_get_item",
        "transact_write_items",
    ):  # fmt: skip
        setattr(handler, name, wrapped(name))
