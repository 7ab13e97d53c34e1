"""moto's DynamoDB: numbers as AWS takes them, and transactions that do not copy their tables."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from ..protocols import Call
from ..types import AwsError
from . import dynamodb_store

_NUMBER = re.compile(r"[+-]?(\d*)\.?(\d*)([eE][+-]?\d{1,30})?", re.ASCII)
_LONG = 2**63  # an exponent that Java's long does not hold is no number


def check(call: Call, parameters: dict[str, Any]) -> None:
    """Refuses numbers that AWS refuses, anywhere in a call; raises AwsError ValidationException.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html; exponents,
    of zero as well, as paritysuite/dynamodb-conformance tests/tier3/limits/numberExponent.test.ts has them from AWS.
    """
    waiting: list[Any] = [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            number = value.get("N") if len(value) == 1 else None
            if isinstance(number, str):
                _check_number(number)
            elif len(value) == 1 and isinstance(value.get("NS"), list):
                for number in value["NS"]:
                    _check_number(str(number))
            else:
                waiting += value.values()


def _check_number(text: str) -> None:
    if len(text) <= 38 and text.isascii() and text.isdigit():
        return
    found = _NUMBER.fullmatch(text)
    exponent = int((found[3] or "e0")[1:]) if found else 0
    if not found or not (found[1] or found[2]) or not -_LONG <= exponent < _LONG:
        raise _invalid("The parameter cannot be converted to a numeric value" + (f": {text}" if text else ""))
    digits = (found[1] + found[2]).lstrip("0")
    if len(digits.rstrip("0")) > 38:
        raise _invalid("Attempting to store more than 38 significant digits in a Number")
    magnitude = len(digits) - len(found[2]) - 1 + exponent if digits else exponent
    if magnitude > 125:
        raise _invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if magnitude < -130:
        raise _invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def install() -> None:
    """Replaces the copies of whole tables that a transaction takes by an undo log of the items it touches."""
    import moto.dynamodb.models as models
    from moto.dynamodb.models.table import Table

    backend = models.DynamoDBBackend
    original = backend.transact_write_items

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        undo = list(_touched(self, transact_items)) if len(transact_items) <= 100 else []
        try:
            original(self, transact_items)
        except BaseException:
            for restore in reversed(undo):
                restore()
            raise

    setattr(backend, "transact_write_items", transact_write_items)  # noqa: B010
    # moto puts the "copies" back when a transaction fails: each is the table itself.
    shim = SimpleNamespace(copy=copy.copy, deepcopy=lambda x: x if isinstance(x, Table) else copy.deepcopy(x))
    setattr(models, "copy", shim)  # noqa: B010


def _touched(backend: Any, transact_items: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """For each item that a transaction names: what puts it back as it is now."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    for operation in (op for item in transact_items for op in item.values()):
        try:
            table = backend.get_table(operation.get("TableName"))  # by its name or its ARN
        except Exception:
            table = None
        attributes = operation.get("Key") or operation.get("Item") or {}
        keys: list[Any] = [
            attributes.get(k) for k in (getattr(table, "hash_key_attr", ""), getattr(table, "range_key_attr", ""))
        ]
        if table is None or keys[0] is None or (table.has_range_key and keys[1] is None):
            continue  # moto refuses this one, and the whole transaction with it
        place, key, parent = table.items, DynamoType(keys[0]), None
        fits = key.type == table.hash_key_type
        if table.has_range_key:
            parent, place, key = (table.items, key), table.items.get(key, {}) if fits else {}, DynamoType(keys[1])
            fits = fits and key.type == table.range_key_type
        if not fits:
            continue  # nor is there such an item, which a scan would look for
        yield _restorer(table, parent, place, key)


def _restorer(table: Any, parent: Any, place: Any, key: Any) -> Callable[[], None]:
    stream = table.stream_shard
    before = copy.deepcopy(place.get(key))
    in_stream = len(stream.items) if stream else 0

    def restore() -> None:
        holder = parent[0][parent[1]] if parent else place
        if before is not None:
            holder[key] = before
        else:
            holder.pop(key, None)
            if parent and not holder:
                parent[0].pop(parent[1])
        if stream:
            del stream.items[in_stream:]
        dynamodb_store.changed(table, (parent[1], key) if parent else (key, None))

    return restore
