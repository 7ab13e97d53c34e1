"""moto's DynamoDB: what an update or a transaction has begun is undone, without copies of whole tables."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from . import dynamodb_store


def install() -> None:
    """Replaces the copies of whole tables that a transaction takes by an undo log of the items it touches."""
    import moto.dynamodb.models as models
    from moto.dynamodb.models.table import Table

    backend = models.DynamoDBBackend
    original = backend.transact_write_items

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        undo = list(touched(self, transact_items)) if len(transact_items) <= 100 else []
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


def touched(backend: Any, transact_items: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
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
