"""moto's DynamoDB: a transaction of plain actions, in one go.

moto looks at each action five times, and finds, copies and parses for each anew. Here a transaction that puts items of
texts and numbers (if they are not there yet) and that sets attributes or adds to them is looked at as a whole; when
nothing stands in its way it is done. All others, and above all those that are refused, are for moto and for
dynamodb_transactions, which know the words.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .dynamodb_store import SHORT_KEY, Key, after_steps, changed, found_item, plain_steps

MOST_ACTIONS = 100
_IF_ABSENT = re.compile(r"attribute_not_exists\s*\(\s*([A-Za-z_]\w*)\s*\)")
_PUT = {"TableName", "Item", "ConditionExpression", "ReturnValuesOnConditionCheckFailure"}
_UPDATE = {"TableName", "Key", "UpdateExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"}


def done(backend: Any, actions: list[dict[str, dict[str, Any]]]) -> bool:
    """Whether the transaction has been done; if not, nothing has changed. Its numbers and placeholders are checked."""
    made: dict[tuple[str, str, str | None], tuple[Any, Any]] = {}
    if not 0 < len(actions) <= MOST_ACTIONS:
        return False
    try:
        for action in actions:
            ((kind, what),) = action.items()
            table = backend.tables[what["TableName"]]
            if table.stream_shard is not None:
                return False
            item = _put(table, what) if kind == "Put" else _update(table, what) if kind == "Update" else None
            if item is None:
                return False
            made[table.name, item.hash_key.value, item.range_key and item.range_key.value] = table, item
    except Exception:  # something is amiss; moto meets it again and says what
        return False
    if len(made) < len(actions):  # two actions on one item
        return False
    for table, item in made.values():
        if table.has_range_key:
            table.items[item.hash_key][item.range_key] = item
        else:
            table.items[item.hash_key] = item
        changed(table, (item.hash_key, item.range_key))
    return True


def _put(table: Any, what: dict[str, Any]) -> Any:
    """The item that such a Put makes; None for any other, and for one whose condition does not hold."""
    attrs, absent = what["Item"], None
    if not what.keys() <= _PUT or not _plain(attrs) or "" in attrs or (key := _key(table, attrs)) is None:
        return None
    if "ConditionExpression" in what and not (absent := _absent(what["ConditionExpression"])):
        return None
    if absent and (there := found_item(table, key)) is not None and absent in there.attrs:
        return None
    return _item(key, attrs)


def _update(table: Any, what: dict[str, Any]) -> Any:
    """The item after such an Update; None for any other."""
    given, values = what["Key"], what["ExpressionAttributeValues"]
    steps = plain_steps(what["UpdateExpression"])
    if not steps or not what.keys() <= _UPDATE or not _plain(values) or len(given) != len(table.table_key_attrs):
        return None
    if not all(next(iter(value.values())) for value in values.values()) or (key := _key(table, given)) is None:
        return None
    attrs = after_steps(table, found_item(table, key), steps, what.get("ExpressionAttributeNames"), values)
    return None if attrs is None else _item(key, {**given, **attrs})


@lru_cache(256)
def _absent(condition: str) -> str | None:
    """The attribute of a condition that asks for nothing but that it is not there."""
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

    found = _IF_ABSENT.fullmatch(condition.strip())
    return found[1] if found and found[1].upper() not in ReservedKeywords.get_reserved_keywords() else None


def _plain(attrs: dict[str, dict[str, Any]]) -> bool:
    """Whether all values are texts and numbers."""
    for value in attrs.values():
        ((kind, content),) = value.items()
        if (kind != "S" and kind != "N") or type(content) is not str:
            return False
    return True


def _key(table: Any, attrs: dict[str, Any]) -> Key | None:
    """The table's key among the attributes, as moto keeps it; None when it, or an index's, is not as it must be."""
    for defined in table.attr:
        name, kind = defined["AttributeName"], defined["AttributeType"]
        value = attrs.get(name)
        if value is None:
            if name == table.hash_key_attr or name == table.range_key_attr:
                return None
        elif not 0 < len(value.get(kind, "")) <= SHORT_KEY:
            return None
    value, ranged = _value(attrs[table.hash_key_attr]), table.range_key_attr
    return value, _value(attrs[ranged]) if ranged else None


def _value(value: dict[str, str]) -> Any:
    from moto.dynamodb.models.dynamo_type import DynamoType

    return DynamoType(value)


def _item(key: Key, attrs: dict[str, Any]) -> Any:
    from moto.dynamodb.models.dynamo_type import Item

    return Item(*key, attrs)
