"""moto's DynamoDB: a query looks at its own partition; moto sorts and looks through every item of the table."""

from __future__ import annotations

from typing import Any

_INDEXES = "_by_index"  # the attribute of a table that holds its indexes, once one has been queried
_FOUND = "_candidates"  # ... and what the query under way looks through


class _Index:
    """A secondary index: items by the value of their index key, without those that lack it."""

    def __init__(self, table: Any, names: tuple[str, ...]) -> None:
        self.names = names
        self.partitions: dict[tuple[Any, ...], dict[Any, Any]] = {}
        self.places: dict[Any, tuple[Any, ...]] = {}
        for held in table.items.values():
            for item in held.values() if table.has_range_key else [held]:
                self.put(item)

    def put(self, item: Any) -> None:
        """Takes an item, or moves it to where it belongs now."""
        key = (item.hash_key, item.range_key)
        place = tuple(item.attrs[name] for name in self.names if name in item.attrs)
        if self.places.get(key) != place:
            self.remove(key)
        if len(place) == len(self.names):
            self.places[key] = place
            self.partitions.setdefault(place, {})[key] = item

    def remove(self, key: Any) -> None:
        if (place := self.places.pop(key, None)) is not None:
            partition = self.partitions[place]
            del partition[key]
            if not partition:
                del self.partitions[place]


def changed(table: Any, hash_key: Any, range_key: Any) -> None:
    """Brings the indexes of a table up to date with one of its items, put, changed or gone."""
    for index in table.__dict__.get(_INDEXES, {}).values():
        held = table.items.get(hash_key)
        item = (held or {}).get(range_key) if table.has_range_key else held
        if item is not None:
            index.put(item)
        else:
            index.remove((hash_key, range_key))


def _partition(table: Any, hash_key: Any, index_name: str | None, conditions: list[tuple[str, Any]] | None) -> Any:
    """What a query has to look through; None: everything."""
    names: tuple[str, ...] = (table.hash_key_attr,)
    values = (hash_key,)
    if index_name:
        wanted = dict(conditions or [])
        index = next((i for i in table.all_indexes() if i.name == index_name), None)
        names = tuple(k["AttributeName"] for k in index.schema if k["KeyType"] == "HASH") if index else ()
        if not names or set(names) - wanted.keys():
            return None  # for moto to refuse
        values = tuple(wanted[name] for name in names)
    if names == (table.hash_key_attr,):
        held = table.items.get(values[0])
        return [] if not held else list(held.values()) if table.has_range_key else [held]
    indexes = table.__dict__.setdefault(_INDEXES, {})
    if names not in indexes:
        indexes[names] = _Index(table, names)
    return list(indexes[names].partitions.get(values, {}).values())


def install() -> None:
    """Gives every table's queries their partition; what writes keeps the indexes up to date."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.table import Table

    everything, queried = Table.all_items, Table.query
    put, deleted, updated = Table.put_item, Table.delete_item, DynamoDBBackend.update_item

    def all_items(self: Any) -> Any:
        found = self.__dict__.get(_FOUND)
        return everything(self) if found is None else found

    def query(self: Any, hash_key: Any, *args: Any, **kwargs: Any) -> Any:
        index_name = kwargs.get("index_name") or (args[6] if len(args) > 6 else None)
        self.__dict__[_FOUND] = _partition(self, hash_key, index_name, kwargs.get("hash_key_conditions"))
        try:
            return queried(self, hash_key, *args, **kwargs)
        finally:
            del self.__dict__[_FOUND]

    def put_item(self: Any, *args: Any, **kwargs: Any) -> Any:
        item = put(self, *args, **kwargs)
        changed(self, item.hash_key, item.range_key)
        return item

    def delete_item(self: Any, hash_key: Any, range_key: Any) -> Any:
        item = deleted(self, hash_key, range_key)
        changed(self, hash_key, range_key)
        return item

    def update_item(self: Any, table_name: str, *args: Any, **kwargs: Any) -> Any:
        item = updated(self, table_name, *args, **kwargs)
        changed(self.get_table(table_name), item.hash_key, item.range_key)
        return item

    for owner, name, function in (
        (Table, "all_items", all_items),
        (Table, "query", query),
        (Table, "put_item", put_item),
        (Table, "delete_item", delete_item),
        (DynamoDBBackend, "update_item", update_item),
    ):
        setattr(owner, name, function)
