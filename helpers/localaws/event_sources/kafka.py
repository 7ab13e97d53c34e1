"""A Kafka topic as an event source: MSK's by its cluster's ARN, any other by its bootstrap servers.

Pages under https://docs.aws.amazon.com/lambda/latest/dg/: with-msk.html, with-kafka.html, msk-esm-parameters.html,
kafka-retry-configurations.html, kafka-on-failure.md, kafka-consumer-group-id.html. A mapping is one member of its
consumer group. A batch holds records of one partition; partitions run side by side, each in order, and a partition's
offset is committed after each batch. Refused: credentials of any kind (SourceAccessConfigurations other than a VPC's),
schema registries, filters, Kafka as a destination, and on the lab's own broker LATEST and AT_TIMESTAMP, which it
answers wrongly.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from helpers.kafka_group import GroupConsumer

from .. import limits
from ..broker import EMBEDDED, client_settings, real
from ..types import Function
from .mappings import EventSources, Mapping, Source, destination, end_if_cancelled, invalid
from .ordered import Batch, Part, check_record_age, deliver, iso, starting_position

MAX_RETRIES = 10  # with an on-failure destination and no other number: kafka-retry-configurations.html
_DEFAULT_WINDOW = 0.5  # seconds, when none is given
_POLL = 0.05  # seconds for which the reader waits for records before it looks for something else to do
_AT_ONCE = 20_000  # records that the reader hands over at a time
_EC2 = (
    *("CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeVpcs", "DeleteNetworkInterface"),
    *("DescribeSubnets", "DescribeSecurityGroups"),
)
_PROVISIONED_ONLY: dict[str, Any] = {
    "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False, "FunctionResponseTypes": [],
}  # fmt: skip
_LOG = logging.getLogger("localaws")
logging.getLogger("kafka").setLevel(logging.ERROR)
_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_GROUP = {True: "AmazonManagedKafkaEventSourceConfig", False: "SelfManagedKafkaEventSourceConfig"}


class KafkaSource(Source):
    defaults = {
        "BatchSize": 100, "MaximumBatchingWindowInSeconds": None, "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1, "BisectBatchOnFunctionError": False, "FunctionResponseTypes": [],
        "DestinationConfig": {}, "SourceAccessConfigurations": [], "ProvisionedPollerConfig": None,
    }  # fmt: skip
    parameters = frozenset({"Topics", "SelfManagedEventSource", *_GROUP.values()})

    def __init__(self, sources: EventSources, p: dict[str, Any], region: str) -> None:
        self.sources, self.region, self.arn = sources, region, p.get("EventSourceArn", "")
        self.where, self.at = starting_position(p, time.time())
        if not p.get("Topics"):
            raise invalid("Topics is required for a Kafka event source: give the name of one topic.")
        self.topic: str = p["Topics"][0]
        self.bootstrap: str = ",".join(p.get("SelfManagedEventSource", {}).get("Endpoints", {}).get(_SERVERS, []))
        if bool(self.arn) == bool(self.bootstrap):
            raise invalid("Give either EventSourceArn or SelfManagedEventSource with KAFKA_BOOTSTRAP_SERVERS.")
        self.shown = {"Topics": [self.topic], "StartingPosition": self.where}
        self.shown |= (
            {"EventSourceArn": self.arn} if self.arn else {"SelfManagedEventSource": p["SelfManagedEventSource"]}
        )
        if self.at is not None:
            self.shown["StartingPositionTimestamp"] = self.at
        if p.get(_GROUP[not self.arn]):
            raise invalid(f"{_GROUP[not self.arn]} does not belong to this kind of Kafka event source.")
        self.group: str = p.get(_GROUP[bool(self.arn)], {}).get("ConsumerGroupId", "")
        self.embedded = False
        self.initial: dict[int, int] = {}  # partition -> where a group without a committed offset begins

    @classmethod
    def settings(cls, p: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        settings = super().settings(p, old)
        check_record_age(settings)
        if settings["ProvisionedPollerConfig"] is None and any(settings[k] != v for k, v in _PROVISIONED_ONLY.items()):
            names = ", ".join(_PROVISIONED_ONLY)
            raise invalid(f"{names} are for event source mappings in provisioned mode: give ProvisionedPollerConfig.")
        for access in settings["SourceAccessConfigurations"]:
            if access.get("Type") not in ("VPC_SUBNET", "VPC_SECURITY_GROUP"):
                raise invalid(f"The local AWS reads Kafka without credentials: {access.get('Type')} is not here.")
        return settings

    async def open(self) -> None:
        if self.arn:
            cluster = self.sources.needs.cluster(self.arn)
            if cluster is None or cluster.state != "ACTIVE":
                raise invalid(f"The cluster {self.arn} does not exist, or is not ACTIVE.")
            self.bootstrap = cluster.bootstrap
        try:
            self.embedded, self.initial = await asyncio.to_thread(self._look)
        except KafkaError:  # the mapping is made, and tells its problem: as on AWS
            pass
        if self.embedded and self.where != "TRIM_HORIZON":
            text = f"The lab's own broker does not tell where {self.where} is: use TRIM_HORIZON, or a genuine Kafka."
            raise invalid(text)

    def _look(self) -> tuple[bool, dict[int, int]]:
        """Whether it is the lab's own broker, and where the partitions stand by LATEST or AT_TIMESTAMP."""
        with contextlib.closing(KafkaConsumer(**self.connection(), bootstrap_timeout_ms=5_000)) as consumer:
            found = consumer.partitions_for_topic(self.topic) or set()
            partitions = [TopicPartition(self.topic, n) for n in found]
            embedded = consumer._client.cluster.cluster_id == EMBEDDED
            if self.where == "TRIM_HORIZON" or embedded or not partitions:
                return embedded, {}
            ends = consumer.end_offsets(partitions)
            if self.where == "AT_TIMESTAMP":
                times = consumer.offsets_for_times(dict.fromkeys(partitions, int((self.at or 0) * 1000)))
                ends |= {tp: at.offset for tp, at in times.items() if at is not None}
            return embedded, {tp.partition: offset for tp, offset in ends.items()}

    def connection(self) -> dict[str, Any]:
        own = self.bootstrap == real()
        settings = client_settings() if own else {}
        return {"bootstrap_servers": self.bootstrap.split(","), **settings}

    async def authorize(self, function: Function) -> None:
        def need(action: str, resource: str, *others: str) -> None:
            service, _, name = action.partition(":")
            if not any(self.sources.needs.allowed(function.role, f"{service}:{a}", resource) for a in (name, *others)):
                raise invalid(f"The provided execution role does not have permissions to call {name} on {service}")

        if self.arn:
            need("kafka:DescribeClusterV2", self.arn, "DescribeCluster")
            need("kafka:GetBootstrapBrokers", "*")
            for name in _EC2:
                need(f"ec2:{name}", "*")

    def same(self, other: Source) -> bool:
        known = isinstance(other, KafkaSource) and (other.arn, other.bootstrap) == (self.arn, self.bootstrap)
        return known and isinstance(other, KafkaSource) and other.topic == self.topic

    def start(self, mapping: Mapping) -> None:
        self.group = self.group or mapping.config["UUID"]
        mapping.config[_GROUP[bool(self.arn)]] = {"ConsumerGroupId": self.group}

    async def follow(self, mapping: Mapping) -> None:
        """Reads as a member of the group; when the broker fails it tells so, and begins again at what is committed."""
        while True:
            reader = _Reader(self, mapping, asyncio.get_running_loop())
            try:
                await reader.run()
            except KafkaError as error:
                _LOG.warning("event source mapping %s: %s", mapping.config["UUID"], error)
                mapping.config["LastProcessingResult"] = "PROBLEM: Connection error. Please check your event source "
                mapping.config["LastProcessingResult"] += "connection configuration."
                await asyncio.sleep(1)
            end_if_cancelled()


class _Reader(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """A consumer in a thread of its own, and on the loop a task for each partition that it has been given."""

    def __init__(self, source: KafkaSource, mapping: Mapping, loop: asyncio.AbstractEventLoop) -> None:
        self.source, self.mapping, self.loop = source, mapping, loop
        self.parts: dict[TopicPartition, _Partition] = {}
        self.commits: queue.SimpleQueue[tuple[TopicPartition, int]] = queue.SimpleQueue()
        self.rewind: dict[TopicPartition, int] = {}  # where partitions stood that were given up in a rebalance
        self.stopping = threading.Event()
        self.failed: asyncio.Future[None] = loop.create_future()

    # On the loop

    async def run(self) -> None:
        """Until it is cancelled; raises KafkaError when the broker does not answer."""
        thread = threading.Thread(target=self._poll, name=f"kafka {self.source.topic}", daemon=True)
        thread.start()
        try:
            await asyncio.shield(self.failed)
        finally:
            await self.release(list(self.parts))
            self.stopping.set()
            while thread.is_alive():
                await asyncio.sleep(0.005)

    def arrived(self, tp: TopicPartition, records: list[ConsumerRecord], end: int | None) -> None:
        if part := self.parts.get(tp):
            part.waiting.extend(records)
            part.end = end or records[-1].offset + 1
            part.news.set()

    async def acquire(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            part = self.parts[tp] = _Partition(self, tp)
            part.task = asyncio.ensure_future(part.read())
            part.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    async def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Returns when the batches in flight are done and their offsets are on the way."""
        given_up = [self.parts.pop(tp) for tp in partitions if tp in self.parts]
        tasks = [part.task for part in given_up if part.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.rewind |= {part.tp: at for part in given_up if (at := part.next()) is not None}

    # In Kafka's threads

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for tp in assigned & self.rewind.keys():  # a partition that stays is read on from where it was read ahead to
            self.consumer.seek(tp, self.rewind[tp])
        self.rewind.clear()
        await self._on_loop(self.acquire(assigned))

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        """The group has gone on without this member: where its partitions stand now, others have said."""
        await self._on_loop(self.release(lost))
        self.rewind.clear()
        self._due()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Lets the batches in flight finish, and commits them, before another member gets their partitions."""
        await self._on_loop(self.release(revoked))
        if offsets := self._due():
            commit, until = self.consumer.commit_async(offsets), time.monotonic() + 2
            while not commit.is_done and time.monotonic() < until:
                await self.consumer._net.sleep(0.005)

    async def _on_loop(self, work: Any) -> None:
        """Waits, without holding up the heartbeats, for what the lab's loop is to do."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        while not future.done():
            await self.consumer._net.sleep(0.005)

    def _due(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The offsets to commit, the newest of each partition."""
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        with contextlib.suppress(queue.Empty):
            while True:
                tp, offset = self.commits.get_nowait()
                offsets[tp] = OffsetAndMetadata(offset, "", -1)
        return offsets

    def _poll(self) -> None:
        try:
            session = 3_000 if self.source.embedded else 6_000  # Tansu lets a group wait for nearly as long
            self.consumer = GroupConsumer(
                **self.source.connection(), group_id=self.source.group, enable_auto_commit=False,
                auto_offset_reset="earliest", session_timeout_ms=session, heartbeat_interval_ms=session // 4,
                bootstrap_timeout_ms=5_000, metadata_max_age_ms=2_000,
                max_poll_records=_AT_ONCE, max_partition_fetch_bytes=4 * 1024 * 1024, reconnect_backoff_max_ms=500,
            )  # fmt: skip
            with contextlib.closing(self.consumer):
                self._begin()
                while not self.stopping.is_set():
                    self._turn()
                if offsets := self._due():
                    with contextlib.suppress(KafkaError):  # they will be delivered again
                        self.consumer.commit(offsets, timeout_ms=5_000)
        except BaseException as error:
            failure = error if isinstance(error, KafkaError) else KafkaError(f"{type(error).__name__}: {error}")
            self.loop.call_soon_threadsafe(self._fail, failure)

    def _fail(self, error: KafkaError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _begin(self) -> None:
        """Joins the group, which begins where the mapping says if nothing is committed yet."""
        if partitions := [TopicPartition(self.source.topic, n) for n in self.source.initial]:
            self.consumer.assign(partitions)
            new = [tp for tp in partitions if self.consumer.committed(tp) is None]
            with contextlib.suppress(KafkaError):  # the group has members, so it is they who say where it stands
                at = {tp: OffsetAndMetadata(self.source.initial[tp.partition], "", -1) for tp in new}
                self.consumer.commit(at, 5_000)
            self.consumer.unsubscribe()
        self.consumer.subscribe([self.source.topic], listener=self)

    def _turn(self) -> None:
        """Hands over what has come, and commits what is done.

        What a slow function has not taken yet waits in memory: a partition that kafka-python 3.0.12 pauses does not
        always go on when it is resumed.
        """
        if offsets := self._due():
            self.consumer.commit_async(offsets, callback=self._committed)
        for tp, records in self.consumer.poll(timeout_ms=int(_POLL * 1000)).items():
            self.loop.call_soon_threadsafe(self.arrived, tp, records, self.consumer.highwater(tp))

    def _committed(self, offsets: dict[TopicPartition, OffsetAndMetadata], answer: Any) -> None:
        if isinstance(
            answer, Exception
        ):  # its records are delivered again, if the group's next owner gets no later one
            _LOG.warning("%s was not committed: %s", offsets, answer)


class _Partition(Part[ConsumerRecord]):
    def __init__(self, reader: _Reader, tp: TopicPartition) -> None:
        self.reader, self.tp, self.source = reader, tp, reader.source
        self.id = f"{tp.topic}-{tp.partition}"
        self.waiting: deque[ConsumerRecord] = deque()
        self.news = asyncio.Event()
        self.end = self.after = 0  # of the partition, and of the batch in flight
        self.committed: int | None = None
        self.task: asyncio.Task[None] | None = None

    async def read(self) -> None:
        """Delivers what comes, until it is cancelled."""
        sources, mapping, until = self.source.sources, self.reader.mapping, 0.0
        given = mapping.config["MaximumBatchingWindowInSeconds"]
        window = _DEFAULT_WINDOW if given is None else given
        while True:
            end_if_cancelled()
            records, full = self._take()
            left = (until or time.monotonic() + window) - time.monotonic()
            if not records or (left > 0 and not full):
                until = time.monotonic() + left if records else 0.0
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), left if records else None)
                continue
            until = 0.0
            for _ in records:
                self.waiting.popleft()
            self.after = records[-1].offset + 1
            await deliver(sources, mapping, self, Batch(records[0].offset, records))

    def _take(self) -> tuple[list[ConsumerRecord], bool]:
        """The next batch and whether it is full: within BatchSize and the 6 MB of a payload."""
        size, left = self.reader.mapping.config["BatchSize"], limits.LAMBDA_PAYLOAD - 1_000
        records: list[ConsumerRecord] = []
        for record in self.waiting:
            left -= (len(record.value or b"") + len(record.key or b"")) * 4 // 3 + 180 + len(self.tp.topic)
            left -= sum(len(k) + 4 * len(v) + 10 for k, v in record.headers)
            if records and left < 0:
                return records, True
            records.append(record)
            if len(records) == size:
                return records, True
        return records, left < 0

    def gone(self) -> bool:
        return False

    def next(self) -> int | None:
        """The offset of the first record that is not processed or set aside; None when none has come."""
        return self.waiting[0].offset if self.committed is None and self.waiting else self.committed

    def reached(self, batch: Batch[ConsumerRecord]) -> None:
        offset = batch.records[0].offset if batch.records else self.after
        if self.committed is not None and offset != self.committed:
            self.reader.commits.put((self.tp, offset))
        self.committed = offset

    def now(self) -> float:
        return time.time()

    def arrival(self, record: ConsumerRecord) -> float:
        return float(record.timestamp) / 1000

    def oldest(self, settings: dict[str, Any]) -> float:
        allowed = settings["MaximumRecordAgeInSeconds"]
        return float("-inf") if allowed == -1 else self.now() - allowed

    def retries(self, settings: dict[str, Any]) -> int:
        given = int(settings["MaximumRetryAttempts"])
        return MAX_RETRIES if given == -1 and destination(settings) else given

    def behind(self, batch: Batch[ConsumerRecord]) -> tuple[str, float]:
        """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html: OffsetLag"""
        return "OffsetLag", float(max(0, self.end - self.after))

    def told(self, batch: Batch[ConsumerRecord]) -> dict[str, Any]:
        first, last = batch.records[0], batch.records[-1]
        origin = {"eventSourceArn": self.source.arn} if self.source.arn else {}
        return {
            "KafkaBatchInfo": {
                "batchSize": len(batch.records), **origin, "bootstrapServers": self.source.bootstrap,
                "payloadSize": len(self.event(self.reader.mapping.function, batch)),
                "recordsInfo": {
                    self.id: {
                        "firstRecordOffset": str(first.offset), "lastRecordOffset": str(last.offset),
                        "firstRecordTimestamp": iso(self.arrival(first)),
                        "lastRecordTimestamp": iso(self.arrival(last)),
                    },
                },
            },
        }  # fmt: skip

    def index(self, identifier: Any, batch: Batch[ConsumerRecord]) -> int:
        if identifier["partition"] != self.id:
            raise ValueError(f"{identifier['partition']} is not in the batch")
        return [record.offset for record in batch.records].index(identifier["offset"])

    def event(self, function: Function, batch: Batch[ConsumerRecord]) -> bytes:
        """https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html#msk-sample-event, and with-kafka.html's"""
        managed = {"eventSource": "aws:kafka", "eventSourceArn": self.source.arn}
        records: list[dict[str, Any]] = []
        for r in batch.records:
            record = {
                "topic": r.topic, "partition": r.partition, "offset": r.offset, "timestamp": r.timestamp,
                "timestampType": "LOG_APPEND_TIME" if r.timestamp_type else "CREATE_TIME",
            }  # fmt: skip
            if r.key is not None:
                record["key"] = _base64(r.key)
            if r.value is not None:
                record["value"] = _base64(r.value)
            record["headers"] = [{k: list(v)} for k, v in r.headers]
            records.append(record)
        event = managed if self.source.arn else {"eventSource": "SelfManagedKafka"}
        return orjson.dumps({**event, "bootstrapServers": self.source.bootstrap, "records": {self.id: records}})


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
