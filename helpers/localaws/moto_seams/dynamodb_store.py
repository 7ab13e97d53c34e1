"""moto's DynamoDB, its store: small items, and a query that looks only where its key says.

moto makes an object of every value, copies what it reads in full, and goes through the whole table, sorted, for every
query, page and index. Here equal short values are one object, which nobody changes; an index knows its partitions; and
a page begins where the last one ended. Answers are the same, at a cost that does not grow with the table.
"""

from __future__ import annotations

import base64
import copy
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import orjson

from . import dynamodb_expressions
from .replace import replace

_SCALARS = frozenset(("S", "N", "B", "BOOL", "NULL"))
_PLAIN = frozenset(("S", "N", "BOOL", "NULL"))
# Sorting all of a table's items is faster than moving those that came or went between two pages, when they are more
# than this many, and more than one in so many.
_MOVED, _ONE_IN = 1_000, 100
_SHORT = 64  # characters of a value of which one object is kept for all items
SHORT_KEY = 256  # characters: what is longer may be too long
MOST_BYTES = 409_600  # of an item: 400 KB
# Calls that move items: their parameters and answers are JSON as it stands, but for binary values.
_HOT = {
    "Query", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem",
    "TransactGetItems", "TransactWriteItems",
}  # fmt: skip
_NOT_PLAIN = (b'"B"', b'"BS"', b"null")
Key = tuple[Any, Any]  # (hash value, range value or None), moto's DynamoTypes


class _Index:
    """The items of a table's index by its partition, kept up when it is asked and not at every write."""

    def __init__(self, table: Any, index: Any) -> None:
        self.table, self.index = table, index
        self.names = [key["AttributeName"] for key in index.schema]
        self.hashes = [key["AttributeName"] for key in index.schema if key["KeyType"] == "HASH"]
        self.where: dict[Key, tuple[Any, ...]] = {}
        self.partitions: dict[tuple[Any, ...], dict[Key, Any]] = {}
        self.stale: set[Key] = set()
        for item in _items(table):
            self.note(_key(item))

    def note(self, key: Key) -> None:
        """To be called after every change of an item; most have nothing to do with most indexes."""
        item = found_item(self.table, key)
        if key in self.where or (item is not None and all(name in item.attrs for name in self.names)):
            self.stale.add(key)

    def fresh(self) -> dict[tuple[Any, ...], dict[Key, Any]]:
        for key in self.stale:
            if (old := self.where.pop(key, None)) is not None:
                del self.partitions[old][key]
                if not self.partitions[old]:
                    del self.partitions[old]
            item = found_item(self.table, key)
            if item is not None and all(name in item.attrs for name in self.names):
                place = self.where[key] = tuple(item.attrs[name] for name in self.hashes)
                self.partitions.setdefault(place, {})[key] = item
        self.stale.clear()
        return self.partitions


def _items(table: Any) -> Iterator[Any]:
    for held in table.items.values():
        if table.has_range_key:
            yield from held.values()
        else:
            yield held


def found_item(table: Any, key: Key) -> Any:
    held = table.items.get(key[0])
    return held if key[1] is None or held is None else held.get(key[1])


def changed(table: Any, key: Key) -> None:
    """To be called after every change of an item: indexes, and the order in which a scan reads, look at it again."""
    for index in table.__dict__.get("found_by", {}).values():
        index.note(key)
    if (moved := table.__dict__.get("moved")) is not None:
        moved.add(key)
        if len(moved) > max(_MOVED, len(table.__dict__["order"]) // _ONE_IN):
            del table.__dict__["moved"], table.__dict__["order"]


def _index(table: Any, name: str) -> _Index:
    known: dict[str, _Index] = table.__dict__.setdefault("found_by", {})
    index = table.get_index(name)
    if name not in known or known[name].index is not index:
        known[name] = _Index(table, index)
    return known[name]


def _key(item: Any) -> Key:
    return item.hash_key, item.range_key


def _order(key: Key) -> tuple[Any, ...]:
    return tuple(part.cast_value for part in key if part is not None)


def _place(item: Any) -> tuple[Any, ...]:
    return _order(_key(item))


def _scanned(table: Any, start: dict[str, Any] | None) -> Iterator[Any]:
    """Items in the order of their keys, from behind `start` on; sorted again only when items came or went."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    order: list[Any] | None = table.__dict__.get("order")
    if order is None:
        order = table.__dict__["order"] = sorted(_items(table), key=_place)
        table.__dict__["moved"] = set()  # what changes from now on
    else:
        moved: set[Key] = table.__dict__["moved"]
        for key in moved:
            sort, item = _order(key), found_item(table, key)
            at = bisect_left(order, sort, key=_place)
            there = at < len(order) and _place(order[at]) == sort
            order[at : at + there] = [item] if item is not None else []
        moved.clear()
    begin = 0
    if start:
        behind = tuple(DynamoType(start[name]).cast_value for name in table.table_key_attrs)
        begin = bisect_right(order, behind, key=_place)
    for place in range(begin, len(order)):
        # Looked up, because an update may have put another object in this one's place.
        if (item := found_item(table, _key(order[place]))) is not None:
            yield item


def _sizes(attrs: dict[str, Any]) -> int:
    """An item's size in bytes; a number that is too large when all values are short."""
    values = [value.value for value in attrs.values()]
    if all(type(value) is str for value in values):
        most = 4 * (sum(map(len, values)) + sum(map(len, attrs)))
        if most <= MOST_BYTES:
            return most
    return sum(_bytes(name) + value.size() for name, value in attrs.items())


def _bytes(text: str | bytes) -> int:
    return len(text.encode()) if type(text) is str else len(text)


def _size(self: Any) -> int:
    """A value's size in bytes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html; a number's, which is
    approximate there, as paritysuite/dynamodb-conformance tests/tier3/limits/numberByteSize.test.ts measured it on AWS.
    """
    kind, value, members = self.type, self.value, 0
    if kind == "N":
        whole, _, part = str(value).lstrip("-").partition(".")
        digits = len(whole if part else whole.rstrip("0")) if whole != "0" else 0
        decimals = len(part if digits else part.lstrip("0"))
        return 1 + (digits + 1) // 2 + (decimals + 1) // 2 + int(value[0] == "-")
    if kind == "L":
        members = sum(1 + member.size() for member in value)
        return 3 + members
    if kind == "M":
        members = sum(1 + _bytes(name) + member.size() for name, member in value.items())
        return 3 + members
    if len(kind) == 2:  # a set
        return sum(_size(SimpleNamespace(type=kind[0], value=member)) for member in value)
    return 1 if kind in ("BOOL", "NULL") else _bytes(value)


def checked_size(attrs: dict[str, Any]) -> int:
    """An item's size in bytes; raises moto's ItemSizeTooLarge for one that would be."""
    from moto.dynamodb.models.dynamo_type import DynamoType, Item

    size: int = Item(DynamoType({"S": ""}), None, attrs).size()
    return size


_NAME, _VALUE = r"(#?[A-Za-z_]\w*)", r"(:\w+)"
_SET = rf"{_NAME}\s*=\s*(?:if_not_exists\(\s*{_NAME}\s*,\s*{_VALUE}\s*\)|{_VALUE})"
_ADD = rf"{_NAME}\s+{_VALUE}"
_SECTION = re.compile(r"(?<![#:\w])(?=(?:SET|ADD|REMOVE|DELETE)\s)", re.IGNORECASE)


@lru_cache(256)
def plain_steps(expression: str) -> list[tuple[str, str, str]]:
    """The (kind, name, value) of an update that only sets values or adds numbers; nothing for any other.

    Kinds are "=", "default" (if_not_exists of the same attribute) and "+".
    """
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

    steps, seen = [], set()
    for section in filter(None, map(str.strip, _SECTION.split(expression))):
        word, clauses = section[:3].upper(), section[3:]
        clause = {"SET": _SET, "ADD": _ADD}.get(word)
        if word in seen or not clause or not re.fullmatch(rf"\s+{clause}(?:\s*,\s*{clause})*", clauses):
            return []
        seen.add(word)
        for found in re.finditer(clause, clauses):
            name, *_, value = [part for part in found.groups() if part]
            if word == "SET" and found[2] not in (None, name):
                return []
            steps.append(("+" if word == "ADD" else "default" if found[2] else "=", name, value))
    reserved = ReservedKeywords.get_reserved_keywords()
    return [] if any(name.upper() in reserved for _, name, _ in steps) else steps


def after_steps(table: Any, before: Any, steps: list[tuple[str, str, str]], names: Any, values: Any) -> Any:
    """The attributes after such an update; None when something is amiss, which moto then finds."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    attrs = dict(before.attrs) if before else {}
    done = set(table.table_key_attrs)
    for kind, name, value in steps:
        name = (names or {}).get(name, "") if name[0] == "#" else name
        given = (values or {}).get(value)
        if not name or given is None or name in done:
            return None
        done.add(name)
        old = attrs.get(name)
        if kind == "=" or (kind == "default" and old is None):
            attrs[name] = DynamoType(given)
        elif kind == "+":
            if given.keys() != {"N"} or (old is not None and old.type != "N"):
                return None
            attrs[name] = DynamoType({"N": "0"} if old is None else old) + DynamoType(given)
    types = {key["AttributeName"]: key["AttributeType"] for key in table.attr}  # of the keys of table and indexes
    keys = [(attrs[name], kind) for name, kind in types.items() if name in attrs]
    fits = all(value.type == kind and 0 < len(value.value) <= SHORT_KEY for value, kind in keys)
    return attrs if fits and _sizes(attrs) <= MOST_BYTES else None


def _binary(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} in an answer of DynamoDB")


def install() -> None:
    """Puts this in moto's place."""
    import moto.dynamodb.comparisons as comparisons
    import moto.dynamodb.models as models
    import moto.dynamodb.models.dynamo_type as values
    import moto.dynamodb.models.utilities as utilities
    import moto.dynamodb.parsing.expressions as expressions
    import moto.dynamodb.responses as responses
    from moto.dynamodb.exceptions import ItemSizeTooLarge
    from moto.dynamodb.models.table import Table

    table_class: Any = Table
    value_class, item_class, attributes = values.DynamoType, values.Item, values.LimitedSizeDict
    handler: Any = responses.DynamoHandler
    update_parser: Any = vars(expressions)["UpdateExpressionParser"]
    update, retable = models.DynamoDBBackend.update_item, models.DynamoDBBackend.update_table
    copy_value = value_class.__deepcopy__
    put, delete, query, scan, all_items = (
        table_class.put_item, table_class.delete_item, table_class.query, table_class.scan, table_class.all_items,
    )  # fmt: skip
    parse_parameters, serialized, to_dict = (
        handler.parse_parameters,
        handler.serialized,
        utilities.dynamo_to_dict,
    )

    # Values and items

    @lru_cache(1 << 16, typed=True)
    def short(kind: str, value: Any) -> Any:
        return value_class({kind: value})

    def valued(value: Any) -> Any:
        if type(value) is value_class:
            return value
        if len(value) == 1:
            ((kind, given),) = value.items()
            if kind in _SCALARS and type(given) in (str, bytes) and len(given) <= _SHORT:
                return short(kind, given)
        return value_class(value)

    def make(attrs: dict[str, Any]) -> Any:
        made = attributes.__new__(attributes)
        dict.update(made, attrs)
        return made

    def item(self: Any, hash_key: Any, range_key: Any, attrs: dict[str, Any]) -> None:
        """The objects that are keys of the table stand in the item, too."""
        self.hash_key, self.range_key = hash_key if range_key is None else valued(hash_key.to_json()), range_key
        last = hash_key if range_key is None else range_key
        unique = {last.type: last.value}
        self.attrs = make({n: last if type(v) is dict and v == unique else valued(v) for n, v in attrs.items()})
        if _sizes(self.attrs) > MOST_BYTES:
            raise ItemSizeTooLarge

    def copied_value(self: Any, memo: dict[int, Any]) -> Any:
        return self if self.type in _SCALARS else copy_value(self, memo)

    def copied_item(self: Any, memo: dict[int, Any]) -> Any:
        made: Any = item_class.__new__(item_class)
        made.hash_key, made.range_key = self.hash_key, self.range_key
        made.attrs = make({name: v if v.type in _SCALARS else copy.deepcopy(v, memo) for name, v in self.attrs.items()})
        return made

    def projected(self: Any, expressions: list[Any]) -> Any:
        made: Any = item_class.__new__(item_class)
        made.hash_key, made.range_key = self.hash_key, self.range_key
        made.attrs = make(dynamodb_expressions.projected(self.attrs, expressions))
        return made

    # What is parsed once need not be parsed for every update

    setattr(update_parser, "make", lru_cache(256)(update_parser.make))  # noqa: B010

    # Where to look

    def put_item(self: Any, *args: Any, **rest: Any) -> Any:
        made = put(self, *args, **rest)
        changed(self, _key(made))
        return made

    def delete_item(self: Any, hash_key: Any, range_key: Any) -> Any:
        gone = delete(self, hash_key, range_key)
        if not self.items.get(hash_key, True):
            del self.items[hash_key]  # an empty partition, which moto leaves
        changed(self, (hash_key, range_key))
        return gone

    def update_item(self: Any, table_name: str, key: Any, update_expression: Any, *args: Any, **rest: Any) -> Any:
        """Sets and additions in one go; all else by moto."""
        names, values = rest.get("expression_attribute_names"), rest.get("expression_attribute_values")
        others = any(rest[name] for name in rest if not name.startswith("expression_attribute"))
        steps = plain_steps(update_expression) if update_expression and not args and not others else []
        table = self.get_table(table_name)
        if steps and table.stream_shard is None:
            hash_key, range_key = self.get_keys_value(table, key)
            before = found_item(table, (hash_key, range_key))
            attrs = after_steps(table, before, steps, names, values)
            if attrs is not None:
                made = item_class(hash_key, range_key, {**key, **attrs})
                if range_key:
                    table.items[hash_key][range_key] = made
                else:
                    table.items[hash_key] = made
                return made
        return update(self, table_name, key, update_expression, *args, **rest)

    def update_table(self: Any, name: str, attr_definitions: Any, *args: Any, **rest: Any) -> Any:
        """A new index comes with its own attributes' types; moto would forget those of all others.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
        """
        before = self.get_table(name).attr
        table: Any = retable(self, name, attr_definitions, *args, **rest)
        keys = {key["AttributeName"] for part in (table, *table.all_indexes()) for key in part.schema}
        types = {a["AttributeName"]: a for a in (*before, *(attr_definitions or ())) if a["AttributeName"] in keys}
        table.attr = list(types.values())
        return table

    def get_item(self: Any, hash_key: Any, range_key: Any = None, projection_expression: Any = None) -> Any:
        """moto's would make a partition of every key that is asked for."""
        if self.has_range_key and not range_key:
            return found(self, hash_key, range_key, projection_expression)
        got = found_item(self, (hash_key, range_key))
        return got.project(projection_expression) if got and projection_expression else got

    found = table_class.get_item

    def last(self: Any, page: Any, name: str | None) -> Any:
        """The place at which a page ends that is full: whether more comes is not known, on AWS, until it is asked for.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
        """
        return page[2] or self._get_last_evaluated_key(page[0][-1], name)

    def queried(self: Any, hash_key: Any, *args: Any, **rest: Any) -> Any:
        name: Any = args[6] if len(args) > 6 else rest.get("index_name")
        names = {index.name for index in self.all_indexes()}
        conditions = dict(rest.get("hash_key_conditions") or ())
        if name in names and set(_index(self, name).hashes) == conditions.keys():
            index = _index(self, name)
            partition = index.fresh().get(tuple(conditions[part] for part in index.hashes), {})
            self.looked_up = list(partition.values())
        elif not name and hash_key is not None:
            held = self.items.get(hash_key, {})
            self.looked_up = list(held.values()) if self.has_range_key else [held] if held else []
        try:
            page = query(self, hash_key, *args, **rest)
            if page[1] and page[1] == args[2] and page[2] is None:
                page = *page[:2], last(self, query(self, hash_key, *args[:5], None, *args[6:8], **rest), name)
            return page
        finally:
            self.looked_up = None

    def scanned(self: Any, filters: Any, limit: Any, exclusive_start_key: Any, *args: Any, **rest: Any) -> Any:
        name = args[1] if len(args) > 1 else rest.get("index_name")
        segments = args[4] if len(args) > 4 else rest.get("segments", (None, None))

        def read(*args: Any, **rest: Any) -> Any:
            self.looked_up = None if name else _scanned(self, exclusive_start_key)
            return scan(self, filters, limit, exclusive_start_key, *args, **rest)

        try:
            page = read(*args, **rest)
            if page[1] and page[1] == limit and page[2] is None:
                page = *page[:2], last(self, read(None, name, segments=segments), name)
            return page
        finally:
            self.looked_up = None

    def has_idx_items(self: Any, index_name: str) -> list[Any]:
        return [item for partition in _index(self, index_name).fresh().values() for item in partition.values()]

    def sorted_items(self: Any, hashes: list[str], ranges: list[str | None], items: list[Any]) -> list[Any]:
        names = self._generate_attr_to_sort_by(hashes, ranges)
        items.sort(key=lambda item: tuple(item.attrs[name].cast_value for name in names))
        return items

    def looked_up(self: Any) -> Any:
        return all_items(self) if getattr(self, "looked_up", None) is None else self.looked_up

    # JSON as it stands

    def as_dict(value: Any) -> Any:
        """Copies of moto's objects as JSON has them."""
        kind = type(value)
        if kind is value_class and value.type in _PLAIN:
            return {value.type: value.value}
        if kind is dict or kind is attributes:
            return {name: as_dict(part) for name, part in value.items()}
        return [as_dict(part) for part in value] if kind is list else to_dict(value)

    def parameters(self: Any, request: Any) -> None:
        if self._get_action() == "TransactWriteItems" and not any(word in request.data for word in _NOT_PLAIN):
            self.params = request.environ["localaws.parameters"]  # as they were read when the call was allowed
        else:
            parse_parameters(self, request)

    def answered(self: Any, action_result: Any) -> Any:
        if self._get_action() not in _HOT or isinstance(action_result.result, Exception):
            return serialized(self, action_result)
        result = {name: value for name, value in (action_result.result or {}).items() if value is not None}
        headers = {"Content-Type": "application/x-amz-json-1.0", **self.response_headers}
        return 200, headers, orjson.dumps(result, default=_binary).decode()

    replace(
        (value_class, {"__deepcopy__": copied_value, "size": _size}),
        (attributes, {"__setitem__": dict.__setitem__}),  # moto measures each step of an update: dynamodb_updates
        (item_class, {"__init__": item, "__deepcopy__": copied_item, "project": projected}),
        (
            table_class,
            {
                "put_item": put_item, "delete_item": delete_item, "get_item": get_item, "query": queried,
                "scan": scanned, "has_idx_items": has_idx_items, "sorted_items": sorted_items, "all_items": looked_up,
            },
        ),
        (models.DynamoDBBackend, {"update_item": update_item, "update_table": update_table}),
        (handler, {"parse_parameters": parameters, "serialized": answered}),
        (responses, {"create_condition_expression_parser": dynamodb_expressions.Condition}),
        (responses, {"dynamo_to_dict": as_dict}),
        (models, {"create_condition_expression_parser": dynamodb_expressions.Condition}),
        (comparisons, {"create_condition_expression_parser": dynamodb_expressions.Condition}),
    )  # fmt: skip
