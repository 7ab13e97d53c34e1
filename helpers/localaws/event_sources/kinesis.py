"""A Kinesis stream as an event source.

One task a shard keeps a shard's records in order, one batch at a time; with a ParallelizationFactor they are dealt by
partition key to as many lanes, each in order. A mapping's shards run side by side, and each mapping reads the stream
for itself. Pages under https://docs.aws.amazon.com/lambda/latest/dg/: with-kinesis.html,
services-kinesis-parameters.html. Otherwise than on AWS a mapping has no share in the shard's read limits, and is woken
by a record instead of asking every second. Refused: tumbling windows.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any
from zlib import crc32

import orjson

from .. import limits
from ..kinesis import Record, Shard, Stream, start_index
from ..types import AwsError, Function
from . import filters
from .mappings import EventSources, Mapping, Source, end_if_cancelled, invalid
from .ordered import Batch, Part, check_record_age, deliver, iso, starting_position

_GATHER = 0.05  # seconds for which a burst of records is let come before a waiting batch is looked at again
_AHEAD = 1_000  # records that wait in a lane, before a failing batch of it keeps the other lanes waiting, too
_NEEDED = ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards")


class KinesisSource(Source):
    defaults = {
        "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1, "ParallelizationFactor": 1, "BisectBatchOnFunctionError": False,
        "FunctionResponseTypes": [], "DestinationConfig": {"OnFailure": {}}, "FilterCriteria": None,
    }  # fmt: skip
    stream: Stream  # since `open`

    def __init__(self, sources: EventSources, p: dict[str, Any], region: str) -> None:
        self.sources, self.kinesis, self.region, self.arn = sources, sources.needs.kinesis, region, p["EventSourceArn"]
        self.where, self.at = starting_position(p, self.kinesis.clock())
        self.shown = {"EventSourceArn": self.arn, "StartingPosition": self.where, "TumblingWindowInSeconds": 0}
        if self.at is not None:
            self.shown["StartingPositionTimestamp"] = self.at
        self.positions: dict[str, int] = {}  # shard id -> index of the next record
        self.lanes: dict[str, list[_Lane]] = {}  # of a shard; they hold what is read and not yet processed
        self.done: set[str] = set()  # closed shards, read to the end

    @classmethod
    def settings(cls, p: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        settings = super().settings(p, old)
        check_record_age(settings)
        filters.wanted(settings, "data")
        return settings

    async def open(self) -> None:
        try:
            self.stream = self.kinesis.find({"StreamARN": self.arn}, self.region)
        except AwsError:
            raise invalid(f"Stream not found: {self.arn}") from None

    async def authorize(self, function: Function) -> None:
        if not all(self.sources.needs.allowed(function.role, f"kinesis:{action}", self.arn) for action in _NEEDED):
            text = f"Cannot access stream {self.arn}. Please ensure the role can perform the GetRecords, "
            text += "GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
            raise invalid(text)

    def start(self, mapping: Mapping) -> None:
        if self.where != "TRIM_HORIZON":  # where the stream stands; shards yet to come are read from their beginning
            for shard in self.stream.shards.values():
                self.positions[shard.id] = start_index(shard, self.where, None, self.at, self.kinesis.clock())

    async def follow(self, mapping: Mapping) -> None:
        """Keeps a task for each shard that is due: a child's turn comes when its parents are read to the end."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while not self.stream.deleted:
                shards = self.stream.shards
                for shard in shards.values():
                    parents = {x for x in shard.parents if x in shards}
                    if shard.id not in tasks and shard.id not in self.done and parents <= self.done:
                        tasks[shard.id] = asyncio.ensure_future(self._read(mapping, shard))
                finished, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                for shard_id in [k for k, t in tasks.items() if t in finished]:
                    tasks.pop(shard_id).result()
                    self.done.add(shard_id)
            mapping.config["LastProcessingResult"] = "PROBLEM: Stream not found"
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _read(self, mapping: Mapping, shard: Shard) -> None:
        """Delivers a shard's records from the mapping's position on; returns at the end of a closed shard."""
        window, stream, part = mapping.config["MaximumBatchingWindowInSeconds"], self.stream, _Part(self, shard)
        until: float | None = None  # when the window closes that the first record of a batch has opened
        self.positions.setdefault(shard.id, shard.trimmed)
        wanted, held = filters.wanted(mapping.config, "data"), any(lane.held for lane in self.lanes.get(shard.id, ()))
        if wanted or held or mapping.config["ParallelizationFactor"] > 1:
            return await self._deal(mapping, shard, wanted)
        while not stream.deleted:
            end_if_cancelled()
            first, records, full = self._take(mapping, shard)
            if not records:
                if shard.closed:
                    return
                await _news(shard, None)
                continue
            if window and not full and not shard.closed:
                until = until or time.monotonic() + window
                if (left := until - time.monotonic()) > 0:
                    await _news(shard, left)
                    await asyncio.sleep(min(_GATHER, max(0.0, until - time.monotonic())))
                    continue
            until = None
            behind = self.kinesis.clock() - records[-1].arrival if first + len(records) < shard.end_index else 0
            stream.count_read(len(records), sum(len(r.data) for r in records), behind)
            await deliver(self.sources, mapping, part, Batch(first, records))

    async def _deal(self, mapping: Mapping, shard: Shard, wanted: filters.Wanted | None) -> None:
        """As `_read`, with a lane for each batch that may be in flight: a key's records are all in one lane.

        What no filter wants is passed by: batches are made up of the others.
        """
        factor, stream = mapping.config["ParallelizationFactor"], self.stream
        old = [held for lane in self.lanes.get(shard.id, ()) for held in lane.held]
        lanes = self.lanes[shard.id] = [_Lane(self, shard) for _ in range(factor)]
        for place, record in sorted(old, key=lambda held: held[0]):  # what a change of the mapping has interrupted
            lanes[crc32(record.partition_key.encode()) % factor].add(place, record)
        tasks = [asyncio.ensure_future(self._run(mapping, lane)) for lane in lanes]
        try:
            while not stream.deleted:
                end_if_cancelled()
                for task in tasks:
                    if task.done():
                        task.result()
                first, records, _ = shard.read(self.positions[shard.id], mapping.config["BatchSize"])
                taken = 0
                for taken, record in enumerate(records, 1):
                    if wanted and not wanted(record.data):
                        continue
                    lane = lanes[crc32(record.partition_key.encode()) % factor]
                    if len(lane.held) >= max(_AHEAD, 2 * mapping.config["BatchSize"]):  # all wait for it
                        taken -= 1
                        break
                    lane.add(first + taken - 1, record)
                self.positions[shard.id] = first + taken
                if taken:
                    behind = self.kinesis.clock() - records[taken - 1].arrival if first + taken < shard.end_index else 0
                    stream.count_read(taken, sum(len(r.data) for r in records[:taken]), behind)
                    await asyncio.sleep(0)
                    continue
                if shard.closed and not records:
                    if not any(lane.held for lane in lanes):
                        del self.lanes[shard.id]
                        return
                    for lane in lanes:
                        lane.more.set()
                await _news(shard, None)  # of the shard, or of a lane
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, mapping: Mapping, lane: _Lane) -> None:
        """Delivers what comes into a lane, one batch at a time."""
        window, size = mapping.config["MaximumBatchingWindowInSeconds"], mapping.config["BatchSize"]
        until: float | None = None
        try:
            while True:
                end_if_cancelled()
                lane.more.clear()
                records, full = self._fitting(mapping, [record for _, record in islice(lane.held, size)])
                if not records:
                    await lane.more.wait()
                    continue
                if window and not full and not lane.shard.closed:
                    until = until or time.monotonic() + window
                    if (left := until - time.monotonic()) > 0:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(lane.more.wait(), left)
                        await asyncio.sleep(min(_GATHER, max(0.0, until - time.monotonic())))
                        continue
                until = None
                await deliver(self.sources, mapping, lane, Batch(lane.base, records))
                lane.shard.news.set()
        finally:
            lane.shard.news.set()

    def _take(self, mapping: Mapping, shard: Shard) -> tuple[int, list[Record], bool]:
        """The next batch: (first index, records, whether it is full)."""
        first, records, _ = shard.read(self.positions[shard.id], mapping.config["BatchSize"])
        return first, *self._fitting(mapping, records)

    def _fitting(self, mapping: Mapping, records: list[Record]) -> tuple[list[Record], bool]:
        """What of at most BatchSize records fits into the 6 MB of a payload, and whether the batch is full."""
        around = 440 + len(self.arn) + len(mapping.function.role)  # what an event has besides data and key
        left = limits.LAMBDA_PAYLOAD
        for n, (data, key, _) in enumerate(records):
            left -= len(data) * 4 // 3 + len(key) + around
            if left < 0 and n:
                return records[:n], True
        return records, len(records) == mapping.config["BatchSize"] or left < 0


class _Part(Part[Record]):
    def __init__(self, source: KinesisSource, shard: Shard) -> None:
        self.source, self.shard, self.stream, self.id = source, shard, source.stream, shard.id

    def gone(self) -> bool:
        return self.stream.deleted

    def reached(self, batch: Batch[Record]) -> None:
        self.source.positions[self.id] = batch.first

    def places(self, batch: Batch[Record]) -> Sequence[int]:
        """The indexes of a batch's records in the shard."""
        return range(batch.first, batch.first + len(batch.records))

    def now(self) -> float:
        return self.source.kinesis.clock()

    def arrival(self, record: Record) -> float:
        return record.arrival

    def oldest(self, settings: dict[str, Any]) -> float:
        kept, allowed = self.stream.retention_hours * 3600, settings["MaximumRecordAgeInSeconds"]
        return self.now() - (kept if allowed == -1 else min(kept, allowed))

    def told(self, batch: Batch[Record]) -> dict[str, Any]:
        places = self.places(batch)
        return {
            "KinesisBatchInfo": {
                "shardId": self.id, "startSequenceNumber": self.shard.sequence(places[0]),
                "endSequenceNumber": self.shard.sequence(places[-1]),
                "approximateArrivalOfFirstRecord": iso(batch.records[0].arrival),
                "approximateArrivalOfLastRecord": iso(batch.records[-1].arrival),
                "batchSize": len(batch.records), "streamArn": self.stream.arn,
            },
        }  # fmt: skip

    def index(self, identifier: Any, batch: Batch[Record]) -> int:
        return self.places(batch).index(int(identifier) - self.shard.base - 1)

    def event(self, function: Function, batch: Batch[Record]) -> bytes:
        """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html#kinesis-example-event"""
        base, encode, shard_id = self.shard.base + 1, binascii.b2a_base64, self.id
        fixed = {
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
            "invokeIdentityArn": function.role, "awsRegion": self.stream.region, "eventSourceARN": self.stream.arn,
        }  # fmt: skip
        records = []
        for place, (data, key, arrival) in zip(self.places(batch), batch.records, strict=True):
            number = base + place
            record = {
                "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": str(number),
                "data": encode(data, newline=False).decode("ascii"), "approximateArrivalTimestamp": arrival,
            }  # fmt: skip
            records.append({"kinesis": record, "eventID": f"{shard_id}:{number}", **fixed})
        return orjson.dumps({"Records": records})


class _Lane(_Part):
    """Records of a shard whose keys go together, counted by themselves: `base` is the number of the first one held."""

    def __init__(self, source: KinesisSource, shard: Shard) -> None:
        super().__init__(source, shard)
        self.held, self.base, self.more = deque[tuple[int, Record]](), 0, asyncio.Event()

    def add(self, place: int, record: Record) -> None:
        self.held.append((place, record))
        self.more.set()

    def reached(self, batch: Batch[Record]) -> None:
        for _ in range(batch.first - self.base):
            self.held.popleft()
        self.base = batch.first

    def places(self, batch: Batch[Record]) -> Sequence[int]:
        start = batch.first - self.base
        return [place for place, _ in islice(self.held, start, start + len(batch.records))]


async def _news(shard: Shard, timeout: float | None) -> None:
    """Returns when a record has come, the shard was closed or its stream deleted, or after `timeout` seconds."""
    shard.news.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(shard.news.wait(), timeout)
