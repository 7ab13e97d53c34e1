"""moto's DynamoDB: the capacity units that a call consumes, and what a provisioned table refuses.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html (units)
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html (unused capacity is kept
for five minutes). Otherwise than on AWS a table begins with all of its burst, its capacity is not divided among
partitions, and indexes do not throttle.
"""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

BURST_SECONDS = 300
_EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)
Units = defaultdict[str, float]  # by index name; "" is the table itself
Work = tuple[str, dict[str, Any]]  # (table name, key or item)


def _writes(operation: str, body: dict[str, Any]) -> Iterator[Work]:
    if operation == "batch_write_item":
        for table, requests in body["RequestItems"].items():
            for request in requests:
                for what in request.values():
                    yield table, what.get("Item") or what["Key"]
    elif operation == "transact_write_items":
        for what in (what for item in body["TransactItems"] for what in item.values()):
            yield what["TableName"], what.get("Item") or what["Key"]
    elif operation in ("put_item", "update_item", "delete_item"):
        yield body["TableName"], body["Item" if operation == "put_item" else "Key"]


def _reads(operation: str, body: dict[str, Any]) -> Iterator[tuple[Work, float]]:
    """What is read by its key, and the units of each 4 KB: half for an eventually consistent read."""
    if operation == "get_item":
        yield (body["TableName"], body["Key"]), 1 if body.get("ConsistentRead") else 0.5
    elif operation == "batch_get_item":
        for table, request in body["RequestItems"].items():
            for key in request["Keys"]:
                yield (table, key), 1 if request.get("ConsistentRead") else 0.5
    elif operation == "transact_get_items":
        for item in body["TransactItems"]:
            yield (item["Get"]["TableName"], item["Get"]["Key"]), 2


def _units(size: int, block: int) -> int:
    return max(1, math.ceil(size / block))


def _written(table: Any, before: Any, after: Any, units: Units) -> None:
    """Adds a write's units: the larger of the two items counts; an index's when what it holds of the item changes."""
    units[""] += _units(max(item.size() if item else 0 for item in (before, after)), 1024)
    for index in table.all_indexes():
        names = [key["AttributeName"] for key in index.schema]
        held = [item if item and all(name in item.attrs for name in names) else None for item in (before, after)]
        keys = [item and [item.attrs[name] for name in names] for item in held]
        parts: list[Any] = [item and index.project(copy.deepcopy(item)) for item in held]
        if keys[0] == keys[1]:
            if parts[0] and parts[0].attrs != parts[1].attrs:
                units[index.name] += _units(max(part.size() for part in parts), 1024)
        else:
            units[index.name] += sum(_units(part.size(), 1024) for part in parts if part)


class _Meter:
    """One call's consumption, table by table."""

    def __init__(self, backend: Any, operation: str, body: dict[str, Any]) -> None:
        self.backend, self.operation, self.body = backend, operation, body
        self.writes, self.reads = list(_writes(operation, body)), list(_reads(operation, body))
        names = {name for name, _ in (*self.writes, *(work for work, _ in self.reads))}
        names |= {body["TableName"]} if operation in ("query", "scan") else set()
        self.tables = {name: found for name in names if (found := self._table(name))}
        self.used: defaultdict[str, Units] = defaultdict(lambda: defaultdict(float))
        self.kind = "write" if self.writes else "read"

    def _table(self, name: str) -> Any:
        try:
            return self.backend.get_table(name)
        except Exception:
            return None  # which moto will say

    def needed(self) -> bool:
        asked = self.body.get("ReturnConsumedCapacity", "NONE") != "NONE"
        return asked or any(table.billing_mode == "PROVISIONED" for table in self.tables.values())

    def level(self, table: Any) -> float:
        """What is left of a provisioned table's capacity now, in units; of another one, more than anyone uses."""
        if table.billing_mode != "PROVISIONED":
            return math.inf
        rate, now = float(table.throughput[f"{self.kind.title()}CapacityUnits"]), time.monotonic()
        levels = table.__dict__.setdefault("capacity_left", {})
        left, at = levels.get(self.kind, (rate * BURST_SECONDS, now))
        level: float = min(rate * BURST_SECONDS, left + (now - at) * rate)
        levels[self.kind] = level, now
        return level

    def spend(self) -> None:
        for name, units in self.used.items():
            if math.isfinite(left := self.level(self.tables[name])):
                self.tables[name].capacity_left[self.kind] = left - units[""], time.monotonic()

    def item(self, work: Work) -> Any:
        table: Any = self.tables.get(work[0])
        try:
            key = {name: work[1][name] for name in table.table_key_attrs}
            return self.backend.get_item(work[0], key)
        except Exception:
            return None

    def count(self, before: list[Any]) -> None:
        """Looks at the items as they are now; `before` are those that were there when the writes began."""
        twice = 2 if self.operation.startswith("transact") else 1
        for work, old in zip(self.writes, before, strict=True):
            if work[0] in self.tables:
                units: Units = defaultdict(float)
                _written(self.tables[work[0]], old, self.item(work), units)
                for index, number in units.items():
                    self.used[work[0]][index] += number * twice
        for work, factor in self.reads:
            if work[0] in self.tables:
                item = self.item(work)
                self.used[work[0]][""] += factor * _units(item.size() if item else 0, 4096)

    def shown(self) -> Any:
        """ConsumedCapacity's value."""
        answers = []
        for name, units in self.used.items():
            total = sum(units.values())
            answer: dict[str, Any] = {"TableName": name, "CapacityUnits": total}
            if self.operation.startswith("transact"):
                answer[f"{self.kind.title()}CapacityUnits"] = total
            if self.body["ReturnConsumedCapacity"] == "INDEXES":
                answer["Table"] = {"CapacityUnits": units[""]}
                if self.operation.startswith("transact"):
                    answer["Table"][f"{self.kind.title()}CapacityUnits"] = units[""]
                for kind in ("Global", "Local"):
                    indexes = self.tables[name].global_indexes if kind == "Global" else self.tables[name].indexes
                    if found := {i.name: {"CapacityUnits": units[i.name]} for i in indexes if units.get(i.name)}:
                        answer[f"{kind}SecondaryIndexes"] = found
            answers.append(answer)
        many = self.operation.startswith(("batch", "transact"))
        return answers if many else answers[0]


def install() -> None:
    """Meters moto's handler; a call on a table that is not provisioned costs nothing when nobody asks what it uses."""
    import moto.dynamodb.models as models
    import moto.dynamodb.responses as responses
    from moto.dynamodb.exceptions import DynamodbException, TransactionCanceledException

    handler: Any = responses.DynamoHandler
    backend: Any = models.DynamoDBBackend

    def exceeded() -> Exception:
        return DynamodbException("ProvisionedThroughputExceededException", _EXCEEDED)

    def metered(operation: str) -> Callable[[Any], Any]:
        original = getattr(handler, operation)

        def answer(self: Any) -> Any:
            meter = _Meter(self.dynamodb_backend, operation, self.body)
            if not meter.needed():
                return original(self)
            empty = {name for name, table in meter.tables.items() if meter.level(table) <= 0}
            if empty and operation == "transact_write_items":
                code = "ProvisionedThroughputExceeded"
                raise TransactionCanceledException(
                    [(code, _EXCEEDED, None) if work[0] in empty else (None, None, None) for work in meter.writes]
                )
            held = {}
            if operation.startswith("batch"):
                requests = self.body["RequestItems"]
                held = {name: requests.pop(name) for name in list(requests) if name in empty}
                if held and not requests:
                    raise exceeded()
                meter = _Meter(self.dynamodb_backend, operation, self.body)
            elif empty:
                raise exceeded()
            before = [copy.deepcopy(meter.item(work)) for work in meter.writes]
            self.dynamodb_backend.evaluated = 0
            try:
                result = original(self)
            finally:
                if getattr(self, "replayed", False):
                    meter.reads, meter.writes, meter.kind, before = [(work, 2) for work in meter.writes], [], "read", []
                meter.count(before)
                if operation in ("query", "scan") and meter.tables:
                    factor = 1 if self.body.get("ConsistentRead") else 0.5
                    index = self.body.get("IndexName", "")
                    meter.used[self.body["TableName"]][index] += factor * _units(self.dynamodb_backend.evaluated, 4096)
                self.dynamodb_backend.evaluated = None
                meter.spend()
            if self.body.get("ReturnConsumedCapacity", "NONE") != "NONE":
                result.result["ConsumedCapacity"] = meter.shown()
            if held:
                result.result["UnprocessedItems" if meter.writes else "UnprocessedKeys"] = held
            return result

        return answer

    def evaluating(name: str, whole: dict[str, None]) -> Callable[..., Any]:
        """A query or scan that adds up the sizes of what it looks at, before filter and projection."""
        original = getattr(backend, name)

        def found(self: Any, *args: Any, **rest: Any) -> Any:
            if getattr(self, "evaluated", None) is not None:
                positional = [*args[:7], None] if name == "query" else list(args)  # query's projection is its eighth
                items, *more = original(self, *positional, **{**rest, **whole})
                self.evaluated = sum(item.size() for item in items)
                if not any(args[7:]) and not any(rest.get(k) for k in whole):
                    return items, *more
            return original(self, *args, **rest)

        return found

    operations = (
        "put_item", "update_item", "delete_item", "get_item", "query", "scan", "batch_get_item", "batch_write_item",
        "transact_get_items", "transact_write_items",
    )  # fmt: skip
    for operation in operations:
        setattr(handler, operation, metered(operation))
    setattr(backend, "query", evaluating("query", {"filter_expression": None}))  # noqa: B010
    whole = {"filter_expression": None, "projection_expression": None}
    setattr(backend, "scan", evaluating("scan", whole))  # noqa: B010
