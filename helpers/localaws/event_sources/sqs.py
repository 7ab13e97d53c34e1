"""An SQS queue as an event source.

Pages under https://docs.aws.amazon.com/lambda/latest/dg/: with-sqs.html, services-sqs-configure.html,
services-sqs-errorhandling.html, services-sqs-scaling.html.
A batch whose function fails is not deleted: its messages are visible again after the queue's visibility timeout, and
go to its dead-letter queue after as many receives as its redrive policy says.
Otherwise than on AWS at most five batches are in flight at a time unless MaximumConcurrency says more: AWS begins with
five, and adds up to 300 a minute. Refused: FIFO queues, provisioned pollers.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson

from .. import limits
from ..moto_seams import queues
from ..types import AwsError, Function, Invocation
from . import filters
from .mappings import EventSources, Mapping, Source, end_if_cancelled, invalid

_NEEDED = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_FIRST_CONCURRENCY = 5
_LONGEST_PAUSE = 0.25  # seconds between two looks into an empty queue
_GATHER = 0.02  # seconds for which a burst of messages is let come, when more than one makes a batch


class SqsSource(Source):
    defaults = {
        "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [], "ScalingConfig": None,
        "FilterCriteria": None,
    }  # fmt: skip
    duplicate = 'An event source mapping with SQS arn (" {arn} ") and function (" {name} ") already exists.'

    def __init__(self, sources: EventSources, p: dict[str, Any], region: str) -> None:
        self.sources, self.region, self.arn = sources, region, p["EventSourceArn"]
        # https://docs.aws.amazon.com/cli/latest/reference/lambda/get-event-source-mapping.html: it tells no result
        self.shown = {"EventSourceArn": self.arn, "StateTransitionReason": "USER_INITIATED"}
        self.shown |= {"LastProcessingResult": None}
        if p.get("StartingPosition"):
            raise invalid("StartingPosition is not valid for SQS event sources.")
        if self.arn.endswith(".fifo"):
            raise invalid("The local AWS maps standard queues to functions, no FIFO queues.")
        if self.arn.split(":")[3] != region:
            raise invalid(f"The queue {self.arn} is in another region than the function.")

    @classmethod
    def settings(cls, p: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        settings = super().settings(p, old)
        if settings["BatchSize"] > 10 and settings["MaximumBatchingWindowInSeconds"] < 1:
            raise invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        filters.wanted(settings, "body", plain=True)
        return settings

    async def open(self) -> None:
        try:
            self.visible_after: int = await self.sources.needs.on_moto(queues.visibility_timeout, self.arn)
        except AwsError:
            raise invalid(f"The queue {self.arn} does not exist.") from None

    async def authorize(self, function: Function) -> None:
        for action in _NEEDED:
            if not self.sources.needs.allowed(function.role, f"sqs:{action}", self.arn):
                raise invalid(f"The provided execution role does not have permissions to call {action} on SQS")
        if self.visible_after < function.timeout:
            text = f"Queue visibility timeout: {self.visible_after} seconds is less than Function timeout: "
            raise invalid(f"{text}{function.timeout} seconds")

    async def follow(self, mapping: Mapping) -> None:
        """Receives as long as there is room for one more batch in flight."""
        most = (mapping.config["ScalingConfig"] or {}).get("MaximumConcurrency", _FIRST_CONCURRENCY)
        flying: set[asyncio.Task[None]] = set()
        try:
            while True:
                batch = await self._batch(mapping)
                if batch is None:
                    return
                task = asyncio.ensure_future(self._deliver(mapping, batch))
                flying.add(task)
                task.add_done_callback(flying.discard)
                while len(flying) >= most:
                    await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                    end_if_cancelled()
        finally:
            if self.sources.closing:
                for task in flying:
                    task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _batch(self, mapping: Mapping) -> list[dict[str, Any]] | None:
        """The next messages, as soon as BatchSize are there or the window of the first is over; None: no queue."""
        size, window = mapping.config["BatchSize"], mapping.config["MaximumBatchingWindowInSeconds"]
        wanted = filters.wanted(mapping.config, "body", plain=True)
        batch: list[dict[str, Any]] = []
        until, pause, left = 0.0, 0.02, limits.LAMBDA_PAYLOAD
        while True:
            try:
                found = await self.sources.needs.on_moto(queues.receive, self.arn, min(10, size - len(batch)))
                if wanted and (others := [m["receiptHandle"] for m in found if not wanted(m["body"])]):
                    await self.sources.needs.on_moto(queues.delete, self.arn, others)
                    found = [m for m in found if m["receiptHandle"] not in others]
            except AwsError:
                return None
            if found and not batch:
                until = time.monotonic() + max(window, _GATHER * (size > 1))
            batch += found
            left -= sum(len(m["body"]) * 2 + 1000 for m in found)  # as JSON, with what surrounds it
            if batch and (len(batch) >= size or left < 3_000_000 or time.monotonic() >= until):
                return batch
            if found:
                pause = 0.02
                continue
            wait = min(pause, max(0.0, until - time.monotonic())) if batch else pause
            await asyncio.sleep(wait)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _deliver(self, mapping: Mapping, batch: list[dict[str, Any]]) -> None:
        event = orjson.dumps({"Records": batch})
        try:
            result = await self.sources.invoke(mapping, lambda _: event)
        except AwsError:  # it did not run: throttled, or gone; the messages come again
            return
        if done := _processed(mapping, result, batch):
            await self.sources.needs.on_moto(queues.delete, self.arn, done)


def _processed(mapping: Mapping, result: Invocation, batch: list[dict[str, Any]]) -> list[str]:
    """The receipt handles of what may be deleted: all, none, or what a partial batch response does not call failed."""
    handles = {m["messageId"]: m["receiptHandle"] for m in batch}
    if result.error:
        return []
    if "ReportBatchItemFailures" not in mapping.config["FunctionResponseTypes"]:
        return list(handles.values())
    try:
        answer = orjson.loads(result.payload or b"null")
        failed = {f["itemIdentifier"] for f in (answer or {}).get("batchItemFailures") or ()}
    except (AttributeError, LookupError, TypeError, ValueError):
        return []
    return [] if failed - handles.keys() else [handle for key, handle in handles.items() if key not in failed]
