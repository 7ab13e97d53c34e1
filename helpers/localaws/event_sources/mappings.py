"""The control calls of Lambda's event source mappings, and the tasks that run them.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html. Otherwise than on AWS a mapping is at
work at once. Refused at creation: sources of other kinds than here, Lambda and Kafka as destinations.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from .. import constraints
from ..kinesis import Kinesis
from ..metrics import Metrics
from ..msk import Cluster
from ..protocols import page
from ..types import AwsError, Function, Invocation

_DESTINATIONS = {"sqs": "SendMessage", "sns": "Publish", "s3": "PutObject"}
_OTHERS = {"EventSourceArn", "FunctionName", "Enabled", "StartingPosition", "StartingPositionTimestamp", "Tags", "UUID"}
_LOG = logging.getLogger("localaws")
invalid = partial(AwsError, "InvalidParameterValueException")


@dataclass
class Mapping:
    """One mapping; `config` holds it as GetEventSourceMapping shows it."""

    config: dict[str, Any]
    source: Source
    function: Function  # as it was last looked up
    enabled: bool
    task: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the one task that may deliver


@dataclass(frozen=True, slots=True)
class Needs:
    """What the mappings ask of the lab."""

    kinesis: Kinesis
    lookup: Callable[[str, str | None, str], Awaitable[Function]]
    invoke: Callable[[Function, bytes], Awaitable[Invocation]]
    allowed: Callable[[str, str, str], bool]  # (role ARN, action, resource)
    deliver: Callable[[str, bytes, str], Awaitable[None]]  # (destination ARN, body, S3 key)
    on_moto: Callable[..., Awaitable[Any]] = asyncio.to_thread  # runs a seam's function where moto lives
    cluster: Callable[[str], Cluster | None] = lambda _: None  # MSK's, by ARN


class Source(ABC):
    """What a mapping reads: a kind of source each has its subclass, a mapping each its instance."""

    defaults: ClassVar[dict[str, Any]]  # the settings that this kind has, as AWS sets them; others are refused
    parameters: ClassVar[frozenset[str]] = frozenset()  # what else its CreateEventSourceMapping takes
    duplicate = 'The event source arn (" {arn} ") and function (" {name} ") provided mapping already exists.'
    arn: str
    region: str
    shown: dict[str, Any]  # what GetEventSourceMapping tells of it, EventSourceArn and StartingPosition say

    @abstractmethod
    def __init__(self, sources: EventSources, p: dict[str, Any], region: str) -> None:
        """Raises AwsError for parameters that are wrong whatever stands in the account."""

    @classmethod
    def settings(cls, p: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        """The settings after a create or an update: what is given, else the old, else AWS's default."""
        if beyond := [name for name in p.keys() - cls.defaults.keys() - cls.parameters - _OTHERS if p[name]]:
            raise invalid(f"The local AWS does not have {beyond[0]} for an event source mapping.")
        found = {name: p.get(name, old.get(name, default)) for name, default in cls.defaults.items()}
        criteria = found.get("FilterCriteria")
        if criteria is not None and not criteria.get("Filters"):  # an empty one takes the filters away
            found["FilterCriteria"] = None
        return found

    @abstractmethod
    async def open(self) -> None:
        """Finds what the parameters name; raises AwsError if it is not there."""

    @abstractmethod
    async def authorize(self, function: Function) -> None:
        """Raises what AWS answers when the function's role cannot read it."""

    def same(self, other: Source) -> bool:
        """Whether a second mapping of it to one function would be a duplicate."""
        return type(other) is type(self) and other.arn == self.arn

    def start(self, mapping: Mapping) -> None:  # noqa: B027
        """The mapping is made: whatever comes from now on is for it."""

    @abstractmethod
    async def follow(self, mapping: Mapping) -> None:
        """Delivers until it is cancelled, the batch in flight included, or the source is gone.

        It is called anew after each change of the mapping, and then goes on where it stood.
        """

    async def end(self) -> None:  # noqa: B027
        """The mapping was deleted, and its last batch is done."""


class EventSources:
    """All mappings of the lab."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.mappings: dict[str, Mapping] = {}
        self.metrics: defaultdict[tuple[str, str], Metrics] = defaultdict(Metrics)  # by region and function name
        self.closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Control calls

    async def create(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        p = constraints.check("lambda", "CreateEventSourceMapping", p)
        kind = _kind(p)
        settings, source = kind.settings(p, {}), kind(self, p, region)
        try:
            function = await self.needs.lookup(p["FunctionName"], None, region)
        except AwsError as error:
            raise invalid("Function does not exist") if error.status == 404 else error from None
        await source.open()
        await source.authorize(function)
        self._authorize(function, settings)
        for other in self.mappings.values():
            if other.source.same(source) and other.config["FunctionArn"] == function.arn:
                text = source.duplicate.format(arn=source.arn, name=function.name)
                text += f" Please update or delete the existing mapping with UUID {other.config['UUID']}"
                raise AwsError("ResourceConflictException", text, 409)
        key, prefix = str(uuid.uuid4()), function.arn.partition(":function:")[0]
        config = {
            "UUID": key, "EventSourceMappingArn": f"{prefix}:event-source-mapping:{key}",
            "FunctionArn": function.arn, "State": "Creating", "StateTransitionReason": "User action",
            "LastModified": round(time.time(), 3), "LastProcessingResult": "No records processed", **settings,
            **source.shown,
        }  # fmt: skip
        mapping = self.mappings[key] = Mapping(config, source, function, p.get("Enabled", True))
        source.start(mapping)
        return self._switch(mapping, "Creating" if mapping.enabled else "Disabled")

    def _authorize(self, function: Function, settings: dict[str, Any]) -> None:
        """Raises what AWS answers when the function's role cannot write to the destination."""
        if settings.get("DestinationConfig", {}).get("OnSuccess"):
            raise invalid("OnSuccess is not supported for event source mappings: only OnFailure is.")
        if target := destination(settings):
            service = (target.split(":") + ["", "", ""])[2]
            if service not in _DESTINATIONS:
                raise invalid(f"The local AWS sends what failed to SQS, SNS or S3, not to {target}.")
            action, resource = _DESTINATIONS[service], f"{target}/aws/lambda/*" if service == "s3" else target
            if not self.needs.allowed(function.role, f"{service}:{action}", resource):
                raise invalid(f"The provided execution role does not have permissions to call {action} on {service}")

    def get(self, key: str, region: str = "") -> Mapping:
        """A mapping by its UUID; raises ResourceNotFoundException, also for one of another region than the given."""
        found = self.mappings.get(key)
        if found is None or region not in ("", found.source.region):
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return found

    async def update(self, key: str, p: dict[str, Any], region: str) -> dict[str, Any]:
        """Takes effect when the batch in flight is done; a batch that waits for another try begins anew."""
        p = constraints.check("lambda", "UpdateEventSourceMapping", p)
        mapping = self.get(key)
        function, settings = mapping.function, mapping.source.settings(p, mapping.config)
        if p.get("FunctionName") or destination(settings):
            function = await self.needs.lookup(p.get("FunctionName") or function.arn, None, region)
            await mapping.source.authorize(function)
            self._authorize(function, settings)
        mapping = self.get(key)  # it may be deleted by now
        mapping.config.update(settings, FunctionArn=function.arn, LastModified=round(time.time(), 3))
        was, mapping.enabled = mapping.enabled, p.get("Enabled", mapping.enabled)
        state = "Updating" if was == mapping.enabled else "Enabling" if mapping.enabled else "Disabling"
        return self._switch(mapping, state)

    async def delete(self, key: str) -> dict[str, Any]:
        mapping = self.get(key)
        del self.mappings[key]
        mapping.enabled = False
        return self._switch(mapping, "Deleting")

    def list(self, asked: dict[str, str], region: str) -> dict[str, Any]:
        """Of a region, in pages of a hundred at most. FunctionName is a name, a partial or a full ARN, with a qualifier
        or without. https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html
        """
        source, function = asked.get("EventSourceArn"), asked.get("FunctionName")
        found = [m.config for m in self.mappings.values() if m.source.region == region]
        found = [c for c in found if source in (None, c.get("EventSourceArn"))]
        if function:
            tail = function if ":function:" in function else f":function:{function}"
            arns = [(c, str(c["FunctionArn"])) for c in found]
            found = [c for c, arn in arns if arn.endswith(tail) or arn.split(":")[6] == function]
        items, more = page(found, "UUID", asked, 100)
        return {"EventSourceMappings": items, **more}

    async def close(self) -> None:
        """Ends all mappings, batches in flight included."""
        self.closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drain_metrics(self) -> Iterator[tuple[str, Any]]:
        """(region, metric data of AWS/Lambda): https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
        for (region, name), metrics in self.metrics.items():
            if metrics:
                yield region, metrics.drain(FunctionName=name)

    # Delivery

    def _switch(self, mapping: Mapping, state: str) -> dict[str, Any]:
        """Stops what the mapping does, and lets it go on as it is to be now once the batch in flight is done."""
        if mapping.task:
            mapping.task.cancel()
        mapping.config["State"] = state
        mapping.task = asyncio.ensure_future(self._run(mapping))
        self._tasks.add(mapping.task)
        mapping.task.add_done_callback(self._tasks.discard)
        return dict(mapping.config)

    async def _run(self, mapping: Mapping) -> None:
        async with mapping.turn:
            gone = mapping.config["UUID"] not in self.mappings
            mapping.config["State"] = "Enabled" if mapping.enabled else "Disabled"
            try:
                if mapping.enabled:
                    await mapping.source.follow(mapping)
                elif gone:
                    await mapping.source.end()
            except Exception:
                _LOG.exception("event source mapping %s failed", mapping.config["UUID"])
                mapping.config["LastProcessingResult"] = "PROBLEM: internal error"

    async def invoke(self, mapping: Mapping, event: Callable[[Function], bytes]) -> Invocation:
        """The function's answer, which is waited for when the mapping is changed meanwhile; see `end_if_cancelled`.

        Raises AwsError when the function did not run. `event` makes the payload for the function as it stands now.
        """
        mapping.function = function = await self.needs.lookup(
            mapping.config["FunctionArn"], None, mapping.source.region
        )
        call = asyncio.ensure_future(self.needs.invoke(function, event(function)))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:  # the mapping is stopped: what the function is doing is let finish
            if self.closing:
                call.cancel()
                raise
            return await call
        except AwsError:
            raise
        except Exception as error:
            _LOG.exception("invoking %s failed", function.arn)
            raise AwsError("ServiceException", str(error), 500) from error

    def count(self, function: Function, metric: str, value: float) -> None:
        """Adds to a metric of AWS/Lambda."""
        self.metrics[function.region, function.name].add(metric, value)


def _kind(p: dict[str, Any]) -> type[Source]:
    from .kinesis import KinesisSource

    arn = p.get("EventSourceArn", "")
    if ":kinesis:" in arn:
        return KinesisSource
    if ":sqs:" in arn:
        from .sqs import SqsSource  # here, because it imports from us

        return SqsSource
    if ":kafka:" in arn or p.get("SelfManagedEventSource"):
        from .kafka import KafkaSource  # here, because few labs need it

        return KafkaSource
    if not arn:
        raise invalid("Unrecognized event source.")
    raise invalid(f"The local AWS maps Kinesis streams, SQS queues and Kafka topics to functions, not {arn}.")


def destination(settings: dict[str, Any]) -> str:
    """The ARN of the on-failure destination, or ""."""
    return str((settings.get("DestinationConfig", {}).get("OnFailure") or {}).get("Destination") or "")


def end_if_cancelled() -> None:
    """Ends a task that was cancelled while it waited for a function's answer, which it was let have."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
