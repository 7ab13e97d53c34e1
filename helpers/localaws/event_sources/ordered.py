"""Delivery in order: one batch at a time of a shard or a partition, until it is processed or set aside.

Pages under https://docs.aws.amazon.com/lambda/latest/dg/: services-kinesis-parameters.html,
kinesis-on-failure-destination.html, services-kinesis-batchfailurereporting.html.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson

from ..types import AwsError, Function, Invocation
from .mappings import EventSources, Mapping, destination, end_if_cancelled, invalid

MAX_BACKOFF = 5.0  # seconds between two tries of a batch; AWS does not document its own
_LOG = logging.getLogger("localaws")
R = TypeVar("R")


@dataclass(slots=True)
class Batch(Generic[R]):
    first: int  # the index of the first record in the shard
    records: list[R]
    failures: int = 0  # that count against MaximumRetryAttempts
    invocations: int = 0
    last: Invocation | None = None

    def cut(self, n: int) -> tuple[Batch[R], Batch[R]]:
        return replace(self, records=self.records[:n]), replace(self, first=self.first + n, records=self.records[n:])


class Part(ABC, Generic[R]):
    """A shard or a partition, as one mapping reads it. Times are epoch seconds of the source's clock."""

    id: str

    @abstractmethod
    def gone(self) -> bool:
        """Whether there is nothing to deliver from any more."""

    @abstractmethod
    def reached(self, batch: Batch[R]) -> None:
        """All before this batch is processed or set aside."""

    @abstractmethod
    def now(self) -> float: ...

    @abstractmethod
    def arrival(self, record: R) -> float: ...

    @abstractmethod
    def oldest(self, settings: dict[str, Any]) -> float:
        """What arrived earlier is too old: for the mapping, or for the source, which has lost it then."""

    def retries(self, settings: dict[str, Any]) -> int:
        """How often a failing batch is tried again; -1: for ever."""
        return int(settings["MaximumRetryAttempts"])

    def behind(self, batch: Batch[R]) -> tuple[str, float]:
        """The metric that tells how far behind this batch is."""
        return "IteratorAge", max(0.0, self.now() - self.arrival(batch.records[-1])) * 1000

    @abstractmethod
    def event(self, function: Function, batch: Batch[R]) -> bytes:
        """What the function gets."""

    @abstractmethod
    def told(self, batch: Batch[R]) -> dict[str, Any]:
        """What the on-failure destination is told of a batch."""

    @abstractmethod
    def index(self, identifier: Any, batch: Batch[R]) -> int:
        """Where in the batch the record is that a partial batch response names; raises ValueError and the like."""


async def deliver(sources: EventSources, mapping: Mapping, part: Part[R], batch: Batch[R]) -> None:
    """One batch until it is processed or set aside: retries, bisection, partial responses, what is too old."""
    config, queue = mapping.config, deque([batch])
    bisect, retries = config["BisectBatchOnFunctionError"], part.retries(config)
    delay, tries, end = 0.0, 0, batch.cut(len(batch.records))[1]
    while queue and not part.gone():
        part.reached(queue[0])
        end_if_cancelled()
        await asyncio.sleep(delay * (0.5 + random.random() / 2))
        batch, delay = queue.popleft(), 0.0
        oldest = part.oldest(config)
        if part.arrival(batch.records[0]) < oldest:
            gone, batch = batch.cut(sum(part.arrival(r) < oldest for r in batch.records))
            await _set_aside(sources, mapping, part, gone, "RecordAgeExceeded")
            if not batch.records:
                continue
        try:
            done = await _invoke(sources, mapping, part, batch)
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
            await _set_aside(sources, mapping, part, batch, "RetryAttemptsExhausted")
        else:
            queue.appendleft(replace(batch, failures=batch.failures + 1))
            tries, delay = tries + 1, 0.0 if done else min(MAX_BACKOFF, 0.1 * 2 ** min(tries, 10))
    part.reached(end)


async def _invoke(sources: EventSources, mapping: Mapping, part: Part[R], batch: Batch[R]) -> int:
    """How many records the function has processed, from the first on; raises AwsError when it did not run."""
    metric, value = part.behind(batch)
    batch.last = await sources.invoke(mapping, lambda function: part.event(function, batch))
    batch.invocations += 1
    sources.count(mapping.function, metric, value)
    if batch.last.error:
        return 0
    if "ReportBatchItemFailures" in mapping.config["FunctionResponseTypes"]:
        return _processed(batch.last.payload, part, batch)
    return len(batch.records)


def _processed(payload: bytes, part: Part[R], batch: Batch[R]) -> int:
    """How many records a partial batch response calls done: those before the lowest failure; none if it is invalid."""
    try:
        answer = orjson.loads(payload or b"null")
        if not answer or not answer.get("batchItemFailures"):
            return len(batch.records)
        failed = [part.index(f["itemIdentifier"], batch) for f in answer["batchItemFailures"]]
    except (AttributeError, LookupError, TypeError, ValueError):
        return 0
    return min(failed) if all(0 <= n < len(batch.records) for n in failed) else 0


async def _set_aside(sources: EventSources, mapping: Mapping, part: Part[R], batch: Batch[R], why: str) -> None:
    """Sends AWS's record of a discarded batch to the on-failure destination, if there is one.

    Of records that are too old it tells of one call and no answer, however often they were tried: so recorded in
    localstack/localstack, tests/aws/services/lambda_/event_source_mapping/, test_lambda_integration_kinesis.
    """
    target, now, function = destination(mapping.config), datetime.now(UTC), mapping.function
    if not target:
        return
    last = batch.last or Invocation(b"", version=function.version, request_id=str(uuid.uuid4()))
    answer = {"statusCode": 200, "executedVersion": last.version, "functionError": last.error}
    tried, answered = (1, {}) if why == "RecordAgeExceeded" else (batch.invocations, {"responseContext": answer})
    body: dict[str, Any] = {
        "requestContext": {
            "requestId": last.request_id, "functionArn": function.arn,
            "condition": why, "approximateInvokeCount": tried,
        },
        **answered, "version": "1.0", "timestamp": iso(now.timestamp()), **part.told(batch),
    }  # fmt: skip
    if ":s3:::" in target:  # S3 gets the records too; queues and topics only where they stand
        body["payload"] = part.event(function, batch).decode()
    key = f"aws/lambda/{mapping.config['UUID']}/{part.id}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
    try:
        await sources.needs.deliver(target, orjson.dumps(body), key)
    except Exception:  # the queue is gone: AWS counts that, and goes on
        _LOG.exception("%s did not take the record of a batch that failed: %s", target, part.told(batch))
        sources.count(function, "DestinationDeliveryFailures", 1)


def starting_position(p: dict[str, Any], now: float) -> tuple[str, float | None]:
    """StartingPosition and its timestamp, checked as AWS does for sources that are read from a position on."""
    start, at = p.get("StartingPosition"), p.get("StartingPositionTimestamp")
    if start is None:
        text = "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint:"
        raise invalid(f"{text} Member must not be null.")
    if start != "AT_TIMESTAMP" and at is not None:
        raise invalid("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    if start == "AT_TIMESTAMP" and at is None:
        raise invalid("StartingPositionTimestamp must be given with StartingPosition AT_TIMESTAMP.")
    if at is not None and at < 0:
        text = "Received Exception while reading from provided stream. "
        raise invalid(f"{text}class java.lang.Long can not be converted to a Timestamp")
    if at is not None and at > now:
        raise invalid("StartingPositionTimestamp cannot be in the future.")
    return start, at


def check_record_age(settings: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-eventsourcemapping.html"""
    if -1 < settings["MaximumRecordAgeInSeconds"] < 60:
        raise invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.")


def iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
