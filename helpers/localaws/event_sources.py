"""Event source mappings: a Kinesis stream triggers a Lambda.

One task a shard keeps a shard's records in order, one batch at a time; a mapping's shards run side by side, and each
mapping reads the stream for itself. Pages under https://docs.aws.amazon.com/lambda/latest/dg/: with-kinesis.html,
services-kinesis-parameters.html, kinesis-on-failure-destination.html, services-kinesis-batchfailurereporting.html.
Otherwise than on AWS a mapping is at work at once, has no share in the shard's read limits, and is woken by a record
instead of asking every second. Refused at creation: sources other than Kinesis, filters, tumbling windows,
parallelisation factors above 1, Lambda and Kafka as destinations.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
import random
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from . import limits
from .kinesis import Kinesis, Metrics, Record, Shard, Stream, start_index
from .types import AwsError, Function, Invocation

MAX_BACKOFF = 5.0  # seconds between two tries of a batch; AWS does not document its own
_GATHER = 0.05  # seconds for which a burst of records is let come before a waiting batch is looked at again
_NEEDED = ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards")
_DESTINATIONS = {"sqs": "SendMessage", "sns": "Publish", "s3": "PutObject"}
_DEFAULTS: dict[str, Any] = {
    "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1,
    "ParallelizationFactor": 1, "BisectBatchOnFunctionError": False, "FunctionResponseTypes": [],
    "DestinationConfig": {},
}  # fmt: skip
_OTHERS = {"EventSourceArn", "FunctionName", "Enabled", "StartingPosition", "StartingPositionTimestamp", "Tags", "UUID"}
_LOG = logging.getLogger("localaws")
_invalid = partial(AwsError, "InvalidParameterValueException")


@dataclass
class Mapping:
    """One mapping; `config` holds it as GetEventSourceMapping shows it."""

    config: dict[str, Any]
    stream: Stream
    function: Function  # as it was last looked up
    enabled: bool
    positions: dict[str, int] = field(default_factory=dict)  # shard id -> index of the next record
    done: set[str] = field(default_factory=set)  # closed shards, read to the end
    task: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the one task that may deliver


@dataclass(slots=True)
class _Batch:
    first: int
    records: list[Record]
    failures: int = 0  # that count against MaximumRetryAttempts
    invocations: int = 0
    last: Invocation | None = None

    def cut(self, n: int) -> tuple[_Batch, _Batch]:
        return replace(self, records=self.records[:n]), replace(self, first=self.first + n, records=self.records[n:])


@dataclass(frozen=True, slots=True)
class Needs:
    """What the mappings ask of the lab."""

    kinesis: Kinesis
    lookup: Callable[[str, str | None, str], Awaitable[Function]]
    invoke: Callable[[Function, bytes], Awaitable[Invocation]]
    allowed: Callable[[str, str, str], bool]  # (role ARN, action, resource)
    deliver: Callable[[str, bytes, str], Awaitable[None]]  # (destination ARN, body, S3 key)


class EventSources:
    """The control calls of Lambda's event source mappings, and the tasks that run them."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.mappings: dict[str, Mapping] = {}
        self.metrics: defaultdict[tuple[str, str], Metrics] = defaultdict(Metrics)  # by region and function name
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # Control calls

    async def create(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        p = limits.check("lambda", "CreateEventSourceMapping", p)
        source, start, at = p.get("EventSourceArn", ""), p.get("StartingPosition"), p.get("StartingPositionTimestamp")
        if ":kinesis:" not in source:
            raise _invalid(f"The local AWS maps Kinesis streams to functions, not {source or 'an unnamed source'}.")
        settings = self._settings(p, {})
        if start is None:
            text = "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint:"
            raise _invalid(f"{text} Member must not be null.")
        if (start == "AT_TIMESTAMP") != (at is not None):
            raise _invalid("StartingPositionTimestamp must be given with StartingPosition AT_TIMESTAMP, and no other.")
        if at is not None and at > self.needs.kinesis.clock():
            raise _invalid("StartingPositionTimestamp cannot be in the future.")
        function = await self.needs.lookup(p["FunctionName"], None, region)
        try:
            stream = self.needs.kinesis.find({"StreamARN": source}, region)
        except AwsError:
            raise _invalid(f"Stream not found: {source}") from None
        self._authorize(function, source, settings)
        for other in self.mappings.values():
            if other.config["EventSourceArn"] == source and other.config["FunctionArn"] == function.arn:
                text = f'The event source arn (" {source} ") and function (" {function.name} ") provided mapping'
                text += (
                    f" already exists. Please update or delete the existing mapping with UUID {other.config['UUID']}"
                )
                raise AwsError("ResourceConflictException", text, 409)
        key, prefix = str(uuid.uuid4()), function.arn.partition(":function:")[0]
        config = {
            "UUID": key, "EventSourceMappingArn": f"{prefix}:event-source-mapping:{key}", "EventSourceArn": source,
            "FunctionArn": function.arn, "StartingPosition": start, "State": "Creating",
            "StateTransitionReason": "User action", "LastModified": round(time.time(), 3),
            "LastProcessingResult": "No records processed", **settings,
        }  # fmt: skip
        if at is not None:
            config["StartingPositionTimestamp"] = at
        mapping = self.mappings[key] = Mapping(config, stream, function, p.get("Enabled", True))
        if start != "TRIM_HORIZON":  # where the stream stands now; shards yet to come are read from their beginning
            for shard in stream.shards.values():
                mapping.positions[shard.id] = start_index(shard, start, None, at, self.needs.kinesis.clock())
        return self._switch(mapping, "Creating")

    def _settings(self, p: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        if beyond := [name for name in p.keys() - _DEFAULTS.keys() - _OTHERS if p[name]]:
            raise _invalid(f"The local AWS does not have {beyond[0]} for an event source mapping.")
        settings = {name: p.get(name, old.get(name, default)) for name, default in _DEFAULTS.items()}
        if settings["ParallelizationFactor"] != 1:
            raise _invalid("The local AWS runs one batch a shard at a time: ParallelizationFactor must be 1.")
        if -1 < settings["MaximumRecordAgeInSeconds"] < 60:
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-eventsourcemapping.html
            raise _invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.")
        return settings

    def _authorize(self, function: Function, source: str, settings: dict[str, Any]) -> None:
        """Raises what AWS answers when the function's role cannot read the source or write to the destination."""
        if not all(self.needs.allowed(function.role, f"kinesis:{action}", source) for action in _NEEDED):
            text = f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, "
            text += "GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
            raise _invalid(text)
        if target := _destination(settings):
            service = (target.split(":") + ["", "", ""])[2]
            if service not in _DESTINATIONS:
                raise _invalid(f"The local AWS sends what failed to SQS, SNS or S3, not to {target}.")
            action, resource = _DESTINATIONS[service], f"{target}/aws/lambda/*" if service == "s3" else target
            if not self.needs.allowed(function.role, f"{service}:{action}", resource):
                raise _invalid(f"The provided execution role does not have permissions to call {action} on {service}")

    def get(self, key: str) -> Mapping:
        if key not in self.mappings:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return self.mappings[key]

    async def update(self, key: str, p: dict[str, Any], region: str) -> dict[str, Any]:
        """Takes effect when the batch in flight is done; a batch that waits for another try begins anew."""
        p = limits.check("lambda", "UpdateEventSourceMapping", p)
        function, settings = self.get(key).function, self._settings(p, self.get(key).config)
        if p.get("FunctionName") or _destination(settings):
            function = await self.needs.lookup(p.get("FunctionName") or function.arn, None, region)
            self._authorize(function, self.get(key).stream.arn, settings)
        mapping = self.get(key)
        mapping.config.update(settings, FunctionArn=function.arn, LastModified=round(time.time(), 3))
        mapping.enabled = p.get("Enabled", mapping.enabled)
        return self._switch(mapping, "Updating")

    async def delete(self, key: str) -> dict[str, Any]:
        mapping = self.get(key)
        del self.mappings[key]
        mapping.enabled = False
        return self._switch(mapping, "Deleting")

    def list(self, source: str | None, function: str | None) -> dict[str, Any]:
        found = [m.config for m in self.mappings.values() if source in (None, m.config["EventSourceArn"])]
        if function:
            found = [c for c in found if function in (c["FunctionArn"], c["FunctionArn"].split(":")[6])]
        return {"EventSourceMappings": found}

    async def close(self) -> None:
        """Ends all mappings, batches in flight included."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drain_metrics(self) -> Iterator[tuple[str, Any]]:
        """(region, metric data of AWS/Lambda): https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
        for (region, name), metrics in self.metrics.items():
            if metrics:
                yield region, metrics.drain("FunctionName", name)

    def _switch(self, mapping: Mapping, state: str) -> dict[str, Any]:
        """Stops what the mapping does, and lets it go on as it is to be now once the batch in flight is done."""
        if mapping.task:
            mapping.task.cancel()
        mapping.config["State"] = state
        mapping.task = asyncio.ensure_future(self._run(mapping))
        self._tasks.add(mapping.task)
        mapping.task.add_done_callback(self._tasks.discard)
        return dict(mapping.config)

    # Delivery

    async def _run(self, mapping: Mapping) -> None:
        async with mapping.turn:
            mapping.config["State"] = "Enabled" if mapping.enabled else "Disabled"
            if mapping.enabled:
                try:
                    await self._follow(mapping)
                except Exception:
                    _LOG.exception("event source mapping %s failed", mapping.config["UUID"])
                    mapping.config["LastProcessingResult"] = "PROBLEM: internal error"

    async def _follow(self, mapping: Mapping) -> None:
        """Keeps a task for each shard that is due: a child's turn comes when its parents are read to the end."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while not mapping.stream.deleted:
                shards = mapping.stream.shards
                for shard in shards.values():
                    parents = {x for x in shard.parents if x in shards}
                    if shard.id not in tasks and shard.id not in mapping.done and parents <= mapping.done:
                        tasks[shard.id] = asyncio.ensure_future(self._read(mapping, shard))
                finished, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                for shard_id in [k for k, t in tasks.items() if t in finished]:
                    tasks.pop(shard_id).result()
                    mapping.done.add(shard_id)
            mapping.config["LastProcessingResult"] = "PROBLEM: Stream not found"
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _read(self, mapping: Mapping, shard: Shard) -> None:
        """Delivers a shard's records from the mapping's position on; returns at the end of a closed shard."""
        window, stream = mapping.config["MaximumBatchingWindowInSeconds"], mapping.stream
        until: float | None = None  # when the window closes that the first record of a batch has opened
        mapping.positions.setdefault(shard.id, shard.trimmed)
        while not stream.deleted:
            _end_if_cancelled()
            first, records, full = _take(mapping, shard)
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
            behind = self.needs.kinesis.clock() - records[-1].arrival if first + len(records) < shard.end_index else 0
            stream.count_read(len(records), sum(len(r.data) for r in records), behind)
            await self._deliver(mapping, shard, _Batch(first, records))

    async def _deliver(self, mapping: Mapping, shard: Shard, batch: _Batch) -> None:
        """One batch until it is processed or set aside: retries, bisection, partial responses, what is too old."""
        config, queue, end = mapping.config, deque([batch]), batch.first + len(batch.records)
        bisect, retries = config["BisectBatchOnFunctionError"], config["MaximumRetryAttempts"]
        delay, tries = 0.0, 0
        while queue and not mapping.stream.deleted:
            mapping.positions[shard.id] = queue[0].first
            _end_if_cancelled()
            await asyncio.sleep(delay * (0.5 + random.random() / 2))
            batch, delay = queue.popleft(), 0.0
            if old := self._expired(mapping, batch):
                gone, batch = batch.cut(old)
                await self._set_aside(mapping, shard, gone, "RecordAgeExceeded")
                if not batch.records:
                    continue
            try:
                done = await self._invoke(mapping, shard, batch)
            except AwsError as error:  # it did not run: throttled, over the payload's limit, or the function is gone
                if error.code.startswith("RequestEntityTooLarge") and len(batch.records) > 1:
                    queue.extendleft(reversed(batch.cut(len(batch.records) // 2)))
                else:
                    queue.appendleft(batch)
                    tries, delay = tries + 1, min(MAX_BACKOFF, 0.1 * 2 ** min(tries, 10))
                continue
            if done == len(batch.records):
                config["LastProcessingResult"], tries = "OK", 0
                continue
            config["LastProcessingResult"] = "PROBLEM: Function call failed"
            batch = batch.cut(done)[1]
            if bisect and done:  # split where the function said; a split does not use up a retry
                queue.appendleft(batch)
            elif bisect and len(batch.records) > 1:
                queue.extendleft(reversed(batch.cut(len(batch.records) // 2)))
            elif retries != -1 and batch.failures >= retries:
                await self._set_aside(mapping, shard, batch, "RetryAttemptsExhausted")
            else:
                queue.appendleft(replace(batch, failures=batch.failures + 1))
                tries, delay = tries + 1, 0.0 if done else min(MAX_BACKOFF, 0.1 * 2 ** min(tries, 10))
        mapping.positions[shard.id] = end

    def _expired(self, mapping: Mapping, batch: _Batch) -> int:
        """How many of a batch's records are too old: for the mapping, or for the stream, which has lost them then."""
        seconds, allowed = mapping.stream.retention_hours * 3600, mapping.config["MaximumRecordAgeInSeconds"]
        oldest = self.needs.kinesis.clock() - (seconds if allowed == -1 else min(seconds, allowed))
        return sum(r.arrival < oldest for r in batch.records) if batch.records[0].arrival < oldest else 0

    async def _invoke(self, mapping: Mapping, shard: Shard, batch: _Batch) -> int:
        """How many records the function has processed, from the first on; raises AwsError when it did not run."""
        arn, region = mapping.config["FunctionArn"], mapping.stream.region
        mapping.function = function = await self.needs.lookup(arn, None, region)
        age = self.needs.kinesis.clock() - batch.records[-1].arrival
        call = asyncio.ensure_future(self.needs.invoke(function, _event(mapping, shard, batch)))
        try:
            result = await asyncio.shield(call)
        except asyncio.CancelledError:  # the mapping is stopped: what the function is doing is let finish
            if self._closing:
                call.cancel()
                raise
            result = await call
        except AwsError:
            raise
        except Exception as error:
            _LOG.exception("invoking %s failed", function.arn)
            raise AwsError("ServiceException", str(error), 500) from error
        self.metrics[function.region, function.name].add("IteratorAge", max(0.0, age) * 1000)
        batch.last, batch.invocations = result, batch.invocations + 1
        if result.error:
            return 0
        if "ReportBatchItemFailures" in mapping.config["FunctionResponseTypes"]:
            return _processed(result.payload, shard, batch)
        return len(batch.records)

    async def _set_aside(self, mapping: Mapping, shard: Shard, batch: _Batch, why: str) -> None:
        """Sends AWS's record of a discarded batch to the on-failure destination, if there is one."""
        target, now = _destination(mapping.config), datetime.now(UTC)
        if not target:
            return
        last = batch.last or Invocation(b"", version=mapping.function.version, request_id=str(uuid.uuid4()))
        body: dict[str, Any] = {
            "requestContext": {
                "requestId": last.request_id, "functionArn": mapping.function.arn,
                "condition": why, "approximateInvokeCount": batch.invocations,
            },
            "responseContext": {"statusCode": 200, "executedVersion": last.version, "functionError": last.error},
            "version": "1.0", "timestamp": _iso(now.timestamp()),
            "KinesisBatchInfo": {
                "shardId": shard.id, "startSequenceNumber": shard.sequence(batch.first),
                "endSequenceNumber": shard.sequence(batch.first + len(batch.records) - 1),
                "approximateArrivalOfFirstRecord": _iso(batch.records[0].arrival),
                "approximateArrivalOfLastRecord": _iso(batch.records[-1].arrival),
                "batchSize": len(batch.records), "streamArn": mapping.stream.arn,
            },
        }  # fmt: skip
        if ":s3:::" in target:  # S3 gets the records too; queues and topics only where they stand
            body["payload"] = _event(mapping, shard, batch).decode()
        key = f"aws/lambda/{mapping.config['UUID']}/{shard.id}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        try:
            await self.needs.deliver(target, orjson.dumps(body), key)
        except Exception:  # the queue is gone: AWS counts that, and goes on
            _LOG.exception("%s did not take the record of a batch that failed: %s", target, body["KinesisBatchInfo"])
            self.metrics[mapping.function.region, mapping.function.name].add("DestinationDeliveryFailures", 1)


def _destination(settings: dict[str, Any]) -> str:
    return str((settings["DestinationConfig"].get("OnFailure") or {}).get("Destination") or "")


def _end_if_cancelled() -> None:
    """Ends a task that was cancelled while it waited for a function's answer, which it was let have."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


async def _news(shard: Shard, timeout: float | None) -> None:
    """Returns when a record has come, the shard was closed or its stream deleted, or after `timeout` seconds."""
    shard.news.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(shard.news.wait(), timeout)


def _take(mapping: Mapping, shard: Shard) -> tuple[int, list[Record], bool]:
    """The next batch: (first index, records, whether it is full) within BatchSize and the 6 MB of a payload."""
    first, records, _ = shard.read(mapping.positions[shard.id], mapping.config["BatchSize"])
    around = 440 + len(mapping.stream.arn) + len(mapping.function.role)  # what an event has besides data and key
    left = limits.LAMBDA_PAYLOAD
    for n, (data, key, _) in enumerate(records):
        left -= len(data) * 4 // 3 + len(key) + around
        if left < 0 and n:
            return first, records[:n], True
    return first, records, len(records) == mapping.config["BatchSize"] or left < 0


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _event(mapping: Mapping, shard: Shard, batch: _Batch) -> bytes:
    """What the function gets: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html#kinesis-example-event."""
    base, encode, shard_id = shard.base + 1 + batch.first, binascii.b2a_base64, shard.id
    fixed = {
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "invokeIdentityArn": mapping.function.role, "awsRegion": mapping.stream.region,
        "eventSourceARN": mapping.stream.arn,
    }  # fmt: skip
    records = []
    for number, (data, key, arrival) in enumerate(batch.records, base):
        record = {
            "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": str(number),
            "data": encode(data, newline=False).decode("ascii"), "approximateArrivalTimestamp": arrival,
        }  # fmt: skip
        records.append({"kinesis": record, "eventID": f"{shard_id}:{number}", **fixed})
    return orjson.dumps({"Records": records})


def _processed(payload: bytes, shard: Shard, batch: _Batch) -> int:
    """How many records a partial batch response calls done: those before the lowest failure; none if it is invalid."""
    try:
        answer = orjson.loads(payload or b"null")
        if not answer or not answer.get("batchItemFailures"):
            return len(batch.records)
        failed = [int(f["itemIdentifier"]) - shard.base - 1 - batch.first for f in answer["batchItemFailures"]]
    except (AttributeError, LookupError, TypeError, ValueError):
        return 0
    return min(failed) if all(0 <= n < len(batch.records) for n in failed) else 0
