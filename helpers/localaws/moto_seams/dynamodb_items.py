"""moto's DynamoDB: what AWS asks of an item, or of a key, of this very table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from . import dynamodb_store
from .dynamodb_values import INVALID, MANY_TYPES, check_values, invalid

SCHEMA = "The provided key element does not match the schema"
_EMPTY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {} "
    "value. Key: {}"
)
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: bytes of a key
_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}


def types_of(table: Any) -> dict[str, str]:
    return {a["AttributeName"]: a["AttributeType"] for a in table.attr}


def index_keys(table: Any) -> Iterator[tuple[str, str, str]]:
    """Index, kind of key and attribute of each key of an index that is none of the table."""
    for index in table.all_indexes():
        for key in index.schema:
            if key["AttributeName"] not in table.table_key_attrs:
                yield index.name, key["KeyType"], key["AttributeName"]


def fits(table: Any, key: Any) -> bool:
    types = types_of(table)
    return set(key) == set(table.table_key_attrs) and all(types[name] in value for name, value in key.items())


def check_filled(name: str, value: Any) -> None:
    """A key has a value that is not empty."""
    if value in ({"S": ""}, {"B": ""}, {"B": b""}):
        raise invalid(_EMPTY.format("string" if "S" in value else "binary", name))


def check_key_size(kind: str, value: dict[str, Any]) -> None:
    limit, content = _KEY_BYTES[kind], value.get("S", value.get("B", ""))
    size = len(content.encode()) if "S" in value else len(content) * 3 // 4 if type(content) is str else len(content)
    if size > limit:
        raise invalid(
            f"{INVALID}Size of hashkey has exceeded the maximum size limit of{limit} bytes"
            if kind == "HASH"
            else f"{INVALID}Aggregated size of all range keys has exceeded the size limit of {limit} bytes"
        )


def check_key(table: Any, key: dict[str, Any]) -> None:
    """A key that fits its table: not empty, and not too long."""
    for part in table.schema:
        name = part["AttributeName"]
        check_filled(name, key[name])
        check_key_size(part["KeyType"], key[name])


def check_item(table: Any, item: dict[str, Any]) -> None:
    types = types_of(table)
    check_values(item)
    for name in table.table_key_attrs:
        if name not in item:
            raise invalid(f"{INVALID}Missing the key {name} in the item")
        if types[name] not in item[name]:
            actual = next(iter(item[name]))
            raise invalid(f"{INVALID}Type mismatch for key {name} expected: {types[name]} actual: {actual}")
        check_filled(name, item[name])
    for index, kind, name in index_keys(table):
        if name in item and types[name] not in item[name]:
            raise invalid(
                f"{INVALID}Type mismatch for Index Key {name} Expected: {types[name]} "
                f"Actual: {next(iter(item[name]), '')} IndexName: {index}"
            )
        if name in item:
            check_key_size(kind, item[name])


def check_batch(table: Any, requests: list[dict[str, Any]]) -> None:
    seen = set()
    types = types_of(table)
    for request in requests:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        if len(request) != 1:
            raise invalid(MANY_TYPES)
        if delete:
            if not fits(table, delete["Key"]):
                raise invalid(SCHEMA)
            check_key(table, delete["Key"])
        if put:  # all of them before the first is written
            if not all(types[name] in put["Item"].get(name, ()) for name in table.table_key_attrs):
                raise invalid(SCHEMA)
            check_item(table, put["Item"])
            for part in table.schema:
                check_key_size(part["KeyType"], put["Item"][part["AttributeName"]])
            if len(orjson.dumps(put["Item"], default=repr)) > dynamodb_store.MOST_BYTES:  # as JSON it has more
                dynamodb_store.checked_size(put["Item"])
        item = put["Item"] if put else delete["Key"] if delete else {}
        key = repr([item.get(name) for name in table.table_key_attrs])
        if key in seen:
            raise invalid("Provided list of item keys contains duplicates")
        seen.add(key)
