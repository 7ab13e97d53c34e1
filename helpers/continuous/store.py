"""What the continuous process knows, in DynamoDB: three tables of one application, written in one transaction.

| table | key | holds |
| --- | --- | --- |
| `<application>` | leaseKey | the leases, see `leases` |
| `<application>-windows` | Kind, Part | the windows, and the rows that were set aside |
| `<application>-seen` | Shard, Chunk | which rows have been counted, see `seen` |

A shard adds to windows of its own (`Part` ends with its id), so workers never wait for each other; whoever reads adds
up the shards. A commit moves the checkpoint and writes all that was computed up to it, or does neither:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html (100 items at most). That is
why a worker can be killed at any moment, and nothing is lost or counted twice.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

from botocore.exceptions import ClientError

from helpers.rows import EXACT

from .leases import Lease, LeaseLost, LeaseTable
from .seen import Chunk, Key, Seen, union
from .windows import Sum, Unreadable, Windows, read_event

MOST_ITEMS = 100  # of a transaction
MOST_BYTES = 50_000  # of a record, so that a transaction of those that are set aside stays far below its 4 MB
SHOWN_BYTES = 1_000  # what is kept of a record that is set aside as unreadable
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_BUSY = {
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TransactionInProgressException",
    "InternalServerError",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream or a topic: where it stands there, when it arrived (epoch seconds), its bytes."""

    position: str
    arrived: float
    data: bytes


@dataclass(slots=True)
class Unread:
    """A record that is no row."""

    record: Record
    reason: str


class Shard:
    """One shard in the hands of one worker: what has been computed since the checkpoint, and its commit."""

    def __init__(
        self,
        leases: LeaseTable,
        lease: Lease,
        *,
        delay: dt.timedelta,
        remember: float,
        ancestors: Iterable[Lease] = (),
        patience: float = 10.0,
    ) -> None:
        """`ancestors`: the leases of the shards it came from, all of them. `patience`: seconds that a commit tries."""
        self.leases, self.lease, self.patience = leases, lease, patience
        self.dynamodb, self.application = leases.dynamodb, leases.table
        self._ancestors = [parent.key for parent in ancestors]
        marks = [parent.watermark for parent in ancestors if parent.key in lease.parents and parent.watermark]
        # A shard of its own begins where the slower of its parents has ended: nothing it may still get is late.
        mark = lease.watermark or min(marks, default="")
        self.windows = Windows(delay, dt.datetime.fromisoformat(mark) if mark else None)
        self.seen = Seen(self._load, remember)
        self._remember = remember
        self._unread: list[Unread] = []
        self._duplicates = 0
        self._position = lease.checkpoint

    def add(self, record: Record) -> None:
        """Counts a record. Commits by itself when a transaction would take no more. Raises LeaseLost."""
        try:
            if len(record.data) > MOST_BYTES:
                raise Unreadable(f"{len(record.data)} bytes")
            event = read_event(_json(record.data))
            if self.seen.add(event.row["RowId"], record.arrived):
                self.windows.add(event)
            else:
                self._duplicates += 1
        except Unreadable as reason:
            self._unread.append(Unread(record, str(reason)))
        self._position = record.position
        # The lease is an item, too, and the next record may touch three more.
        if self.items > MOST_ITEMS - 4:
            self.commit()

    @property
    def items(self) -> int:
        """How many items the next commit writes besides the lease."""
        return self.windows.changes.items + self.seen.items + len(self._unread)

    def commit(self, position: str | None = None) -> None:
        """Writes what has changed, and the checkpoint behind it, in one transaction; nothing when nothing has.

        `position` is SHARD_END when there is nothing more to come. Raises LeaseLost: then nothing was written, and
        this object has to be thrown away.
        """
        position = position or self._position
        if position == self.lease.checkpoint:
            return
        changes, chunks = self.windows.take(), self.seen.take()
        unread, self._unread = self._unread, []
        duplicates, self._duplicates = self._duplicates, 0
        mark = self.windows.watermark.isoformat() if self.windows.watermark else ""
        numbers = {
            "rows": changes.rows,
            "late": len(changes.late),
            "duplicates": duplicates,
            "unreadable": len(unread),
        }
        shard, table = self.lease.key, f"{self.application}-windows"
        items = [self.leases.checkpoint(self.lease, position, mark, **numbers)]
        for (minute, country), window in changes.revenue.items():
            key = _key(f"revenue#{minute:%Y-%m-%d}", f"{minute:%H:%M}#{country}#{shard}")
            items.append(_add_revenue(table, key, country, window))
        for pane, invoices in changes.orders.items():
            key = _key(f"orders#{pane:%Y-%m-%d}", f"{pane:%H:%M}#{shard}")
            items.append(_unite(table, key, sorted(invoices)))
        for event in changes.late:
            key = _key("late", event.row["RowId"])
            fields = {"Row": {"S": _text(event.row)}, "Watermark": {"S": mark}, "Shard": {"S": shard}}
            items.append({"Put": {"TableName": table, "Item": {**key, **fields}}})
        for each in unread:
            key = _key("unreadable", f"{shard}#{each.record.position}")
            shown = {"B": each.record.data[:SHOWN_BYTES]} if each.record.data else {"NULL": True}
            items.append({"Put": {"TableName": table, "Item": {**key, "Reason": {"S": each.reason}, "Data": shown}}})
        items += [self._chunk_item(key, chunk) for key, chunk in chunks.items()]
        self._write(items)
        self.lease.counter += 1
        self.lease.checkpoint, self.lease.watermark = position, mark
        for name, number in numbers.items():
            self.lease.numbers[name] = self.lease.numbers.get(name, 0) + number

    def _write(self, items: list[dict[str, Any]]) -> None:
        deadline, pause = time.monotonic() + self.patience, 0.05
        while True:
            try:
                self.dynamodb.transact_write_items(TransactItems=items)
                return
            except ClientError as error:
                if not _passing(error):
                    if _lost(error):
                        raise LeaseLost(self.lease.key) from None
                    raise
                if time.monotonic() + pause > deadline:  # by now somebody else may have the shard
                    raise LeaseLost(self.lease.key) from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 1.0)

    def _load(self, source: str, number: int) -> Chunk | None:
        """A chunk as this shard has stored it, or else what those before it have seen."""
        own = self._stored(self.lease.key, source, number)
        if own is not None:
            return own
        before = (self._stored(key, source, number) for key in self._ancestors)
        return union([chunk for chunk in before if chunk is not None])

    def _stored(self, shard: str, source: str, number: int) -> Chunk | None:
        key = {"Shard": {"S": shard}, "Chunk": {"S": f"{source}#{number}"}}
        item = self.dynamodb.get_item(TableName=f"{self.application}-seen", Key=key, ConsistentRead=True).get("Item")
        return item and Chunk(bytearray(item["Bits"]["B"]), float(item["Arrived"]["N"]))

    def _chunk_item(self, key: Key, chunk: Chunk) -> dict[str, Any]:
        item = {
            "Shard": {"S": self.lease.key},
            "Chunk": {"S": f"{key[0]}#{key[1]}"},
            "Bits": {"B": bytes(chunk.bits)},
            "Arrived": {"N": f"{chunk.arrived:.3f}"},
            # When DynamoDB may delete it by itself (time to live): it goes by the clock, and days late at times.
            "Expires": {"N": str(int(time.time() + 2 * self._remember))},
        }
        return {"Put": {"TableName": f"{self.application}-seen", "Item": item}}


def _key(kind: str, part: str) -> dict[str, Any]:
    return {"Kind": {"S": kind}, "Part": {"S": part}}


def _add_revenue(table: str, key: dict[str, Any], country: str, window: Sum) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "SET Country = :country ADD Revenue :revenue, #rows :rows",
            "ExpressionAttributeNames": {"#rows": "Rows"},
            "ExpressionAttributeValues": {
                ":country": {"S": country},
                ":revenue": {"N": format(window.revenue, "f")},
                ":rows": {"N": str(window.rows)},
            },
        }
    }


def _unite(table: str, key: dict[str, Any], invoices: list[str]) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "ADD Invoices :invoices",
            "ExpressionAttributeValues": {":invoices": {"SS": invoices}},
        }
    }


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise Unreadable(f"no JSON: {error}") from None
    except RecursionError:
        raise Unreadable("no JSON that can be read: too deep") from None


def _text(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _reasons(error: ClientError) -> list[str]:
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", ())]


def _passing(error: ClientError) -> bool:
    code = error.response["Error"]["Code"]
    if code != "TransactionCanceledException":
        return code in _BUSY
    return {"None"} < set(_reasons(error)) <= _PASSING | {"None"} or set(_reasons(error)) <= _PASSING


def _lost(error: ClientError) -> bool:
    """Whether the lease, the transaction's first item, was not as we know it."""
    return _reasons(error)[:1] == ["ConditionalCheckFailed"]


class Results:
    """What an application has computed, read from its tables and added up over its shards."""

    def __init__(self, dynamodb: Any, application: str) -> None:
        self.dynamodb, self.application = dynamodb, application

    def leases(self) -> dict[str, Lease]:
        return LeaseTable(self.dynamodb, self.application, "").all()

    def watermark(self) -> dt.datetime | None:
        """Up to where windows are final: the slowest shard's, of those that are open and have had a row."""
        marks = [lease.watermark for lease in self.leases().values() if lease.watermark and not lease.ended]
        return dt.datetime.fromisoformat(min(marks)) if marks else None

    def numbers(self) -> dict[str, int]:
        """Rows counted (late ones too), late, duplicates and unreadable, in all shards."""
        total: dict[str, int] = defaultdict(int)
        for lease in self.leases().values():
            for name, number in lease.numbers.items():
                total[name] += number
        return dict(total)

    def records(self) -> int:
        """How many records of the stream have been dealt with."""
        numbers = self.numbers()
        return sum(numbers.get(name, 0) for name in ("rows", "duplicates", "unreadable"))

    def revenue(self, day: dt.date | None = None) -> dict[tuple[dt.datetime, str], Sum]:
        """Revenue and rows by minute and country, of one day or of all, in order."""
        found: dict[tuple[dt.datetime, str], Sum] = defaultdict(Sum)
        for item in self._items("revenue", day):
            window = found[_moment(item), item["Country"]["S"]]
            window.revenue = EXACT.add(window.revenue, Decimal(item["Revenue"]["N"]))
            window.rows += int(item["Rows"]["N"])
        return dict(sorted(found.items()))

    def orders(self, day: dt.date | None = None) -> dict[dt.datetime, set[str]]:
        """The invoices of each ten minutes, of one day or of all: what `orders_by_hour` makes sliding hours of."""
        found: dict[dt.datetime, set[str]] = defaultdict(set)
        for item in self._items("orders", day):
            found[_moment(item)] |= set(item["Invoices"]["SS"])
        return dict(sorted(found.items()))

    def late(self) -> list[dict[str, Any]]:
        """The rows that came too late, by RowId."""
        return [json.loads(item["Row"]["S"]) for item in self._query("late")]

    def unreadable(self) -> list[tuple[str, str, bytes]]:
        """Where a record stands that is no row, why it is none, and how it begins."""
        return [
            (item["Part"]["S"], item["Reason"]["S"], bytes(item["Data"].get("B", b"")))
            for item in self._query("unreadable")
        ]

    def totals(self) -> tuple[int, Decimal]:
        """Rows and revenue over all windows and the late rows."""
        windows, late = self.revenue().values(), [read_event(row) for row in self.late()]
        amounts = [*(window.revenue for window in windows), *(event.amount for event in late)]
        return sum(window.rows for window in windows) + len(late), reduce(EXACT.add, amounts, Decimal(0))

    def _items(self, kind: str, day: dt.date | None) -> Iterator[dict[str, Any]]:
        if day is not None:
            yield from self._query(f"{kind}#{day}")
            return
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=f"{self.application}-windows",
            FilterExpression="begins_with(Kind, :kind)",
            ExpressionAttributeValues={":kind": {"S": f"{kind}#"}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _query(self, kind: str) -> Iterator[dict[str, Any]]:
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=f"{self.application}-windows",
            KeyConditionExpression="Kind = :kind",
            ExpressionAttributeValues={":kind": {"S": kind}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _moment(item: dict[str, Any]) -> dt.datetime:
    """When a window begins, of its two keys: `revenue#2010-12-01` and `08:26#…`."""
    return dt.datetime.fromisoformat(f"{item['Kind']['S'].partition('#')[2]}T{item['Part']['S'][:5]}")
