"""Leases: which worker reads which shard, and how far it has come, in a DynamoDB table as the KCL keeps it.

The Kinesis Client Library is AWS's own, in Java; its lease table is the whole of its coordination, and here is the
same in Python, with the same names of attributes:

| attribute | what it says |
| --- | --- |
| leaseKey | the shard's id: the table's key |
| leaseOwner | the worker that reads it; absent when nobody does |
| leaseCounter | grows with everything that the owner writes: who sees it stand still knows that the owner is gone |
| checkpoint | sequence number of the last record that is done; TRIM_HORIZON before the first, SHARD_END at the end |
| checkpointSubSequenceNumber | for records within records; 0 here |
| ownerSwitchesSinceCheckpoint | how often the lease has moved and nothing came of it |
| parentShardId | the shards that it came from: they are read to their end before it |

Every write has a condition: the lease is as the writer knows it. So two workers may both believe that a shard is
theirs, for a moment, but only one can write. No clocks are compared, only the counter is watched.

https://docs.aws.amazon.com/streams/latest/dev/kcl-dynamoDB.html
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

TRIM_HORIZON, SHARD_END = "TRIM_HORIZON", "SHARD_END"


class LeaseLost(Exception):
    """Another worker has the lease now: what is not checkpointed yet is that worker's to do again."""


@dataclass(slots=True)
class Lease:
    """One item of the table. `numbers` are ours, not the KCL's: what was counted up to the checkpoint."""

    key: str
    owner: str | None = None
    counter: int = 0
    checkpoint: str = TRIM_HORIZON
    switches: int = 0
    parents: tuple[str, ...] = ()
    watermark: str = ""  # ISO 8601; empty before the first row
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the shard is closed, and read to its last record."""
        return self.checkpoint == SHARD_END


NUMBERS = ("rows", "late", "duplicates", "unreadable")


class LeaseTable:
    """The leases of one application (a table each) as one worker sees and writes them."""

    def __init__(self, dynamodb: Any, table: str, worker: str) -> None:
        self.dynamodb, self.table, self.worker = dynamodb, table, worker

    def all(self) -> dict[str, Lease]:
        """Every lease, by key, as it is now."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        leases = [from_item(item) for page in pages for item in page["Items"]]
        return {lease.key: lease for lease in sorted(leases, key=lambda lease: lease.key)}

    def create(self, key: str, parents: Iterable[str] = ()) -> None:
        """A lease for a shard that has none yet; one that exists stays as it is."""
        item = {
            "leaseKey": {"S": key},
            "leaseCounter": {"N": "0"},
            "checkpoint": {"S": TRIM_HORIZON},
            "checkpointSubSequenceNumber": {"N": "0"},
            "ownerSwitchesSinceCheckpoint": {"N": "0"},
        }
        if known := sorted(parents):
            item["parentShardId"] = {"SS": known}  # type: ignore[dict-item]
        try:
            self.dynamodb.put_item(
                TableName=self.table, Item=item, ConditionExpression="attribute_not_exists(leaseKey)"
            )
        except ClientError as error:
            _only(error, "ConditionalCheckFailedException")

    def take(self, lease: Lease) -> Lease:
        """The lease, now ours. Raises LeaseLost when it has changed since it was read: somebody was faster."""
        moved = lease.owner not in (None, self.worker)
        return self._update(
            lease,
            "SET leaseOwner = :me, leaseCounter = :next" + (" ADD ownerSwitchesSinceCheckpoint :one" if moved else ""),
            {":me": {"S": self.worker}, **({":one": {"N": "1"}} if moved else {})},
        )

    def renew(self, lease: Lease) -> Lease:
        """Says that we are alive. Raises LeaseLost."""
        return self._update(lease, "SET leaseCounter = :next", {})

    def release(self, lease: Lease) -> None:
        """Gives the lease back, so that nobody has to wait until it expires. Raises LeaseLost."""
        self._update(lease, "SET leaseCounter = :next REMOVE leaseOwner", {})

    def checkpoint(self, lease: Lease, position: str, watermark: str, **numbers: int) -> dict[str, Any]:
        """The update that moves the checkpoint, for a transaction with whatever was computed up to it."""
        values = {
            ":position": {"S": position},
            ":zero": {"N": "0"},
            ":watermark": {"S": watermark},
            **{f":{name}": {"N": str(numbers.get(name, 0))} for name in NUMBERS},
        }
        text = (
            "SET #checkpoint = :position, leaseCounter = :next, ownerSwitchesSinceCheckpoint = :zero, "
            "watermark = :watermark ADD " + ", ".join(f"#{name} :{name}" for name in NUMBERS)
        )
        names = {"#checkpoint": "checkpoint", **{f"#{name}": name for name in NUMBERS}}
        return {"Update": {**self._guarded(lease, text, values), "ExpressionAttributeNames": names}}

    def _guarded(self, lease: Lease, text: str, values: dict[str, Any]) -> dict[str, Any]:
        """An update that holds only while the lease is as we know it."""
        owner = "leaseOwner = :owner" if lease.owner else "attribute_not_exists(leaseOwner)"
        known = {":known": {"N": str(lease.counter)}, ":next": {"N": str(lease.counter + 1)}}
        return {
            "TableName": self.table,
            "Key": {"leaseKey": {"S": lease.key}},
            "UpdateExpression": text,
            "ConditionExpression": f"leaseCounter = :known AND {owner}",
            "ExpressionAttributeValues": {
                **values,
                **known,
                **({":owner": {"S": lease.owner}} if lease.owner else {}),
            },
        }

    def _update(self, lease: Lease, text: str, values: dict[str, Any]) -> Lease:
        try:
            answer = self.dynamodb.update_item(**self._guarded(lease, text, values), ReturnValues="ALL_NEW")
        except ClientError as error:
            _only(error, "ConditionalCheckFailedException")
            raise LeaseLost(lease.key) from None
        return from_item(answer["Attributes"])


class Taker:
    """Decides which leases a worker takes: nobody's, those whose owner is silent, and others' when it has too few."""

    def __init__(
        self, worker: str, failover: float, clock: Callable[[], float] = time.monotonic, chance: Any = random
    ) -> None:
        self.worker, self.failover, self.clock, self.chance = worker, failover, clock, chance
        self._watched: dict[str, tuple[int, str | None, float]] = {}  # counter and owner, and since when

    def wanted(self, leases: dict[str, Lease], holding: Container[str]) -> list[Lease]:
        """What to take now, of the leases as they are: call it again and again, for time is measured between calls.

        `holding` are the leases that the worker knows to be its own. Others in its name are from an earlier life.
        """
        now = self.clock()
        for lease in leases.values():
            if self._watched.get(lease.key, (None, None))[:2] != (lease.counter, lease.owner):
                self._watched[lease.key] = (lease.counter, lease.owner, now)
        ready = [lease for lease in leases.values() if not lease.ended and parents_ended(lease, leases)]
        silent = [k.key for k in ready if k.owner and now - self._watched[k.key][2] > self.failover]
        mine = [k for k in ready if k.key in holding]
        gone = [k for k in ready if k.owner == self.worker and k.key not in holding]
        free = [k for k in ready if k not in mine and (k.owner is None or k.key in silent or k in gone)]
        held = Counter(k.owner for k in ready if k.owner and k not in free)
        held[self.worker] += 0
        fair = -(-len(ready) // len(held))
        missing = fair - held[self.worker]
        if free:
            self.chance.shuffle(free)  # so that workers that start at the same moment do not all want the same one
            return free[: max(0, missing)]
        owner, most = held.most_common(1)[0]
        if owner == self.worker or most - held[self.worker] < 2:
            return []
        return [self.chance.choice([k for k in ready if k.owner == owner])]  # one at a time: stolen, for balance


def parents_ended(lease: Lease, leases: dict[str, Lease]) -> bool:
    """Whether all that came before on these keys has been read; parents without a lease have left by retention."""
    return all(leases[parent].ended for parent in lease.parents if parent in leases)


def from_item(item: dict[str, Any]) -> Lease:
    """An item of the table as a Lease."""
    return Lease(
        item["leaseKey"]["S"],
        item.get("leaseOwner", {}).get("S"),
        int(item["leaseCounter"]["N"]),
        item["checkpoint"]["S"],
        int(item.get("ownerSwitchesSinceCheckpoint", {}).get("N", 0)),
        tuple(item.get("parentShardId", {}).get("SS", ())),
        item.get("watermark", {}).get("S", ""),
        {name: int(item.get(name, {}).get("N", 0)) for name in NUMBERS},
    )


def _only(error: ClientError, code: str) -> None:
    if error.response["Error"]["Code"] != code:
        raise error
