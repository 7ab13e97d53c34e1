"""Kafka as an event source, on the lab's own broker and on a genuine Apache Kafka; the test plays the function.

Guide: https://docs.aws.amazon.com/lambda/latest/dg/: with-msk.html, with-kafka.html, kafka-retry-configurations.html,
kafka-on-failure.md, kafka-consumer-group-id.html.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.partitioner.default import murmur2

from helpers import genuine_kafka, kafka_group
from helpers.kafka_group import GroupConsumer, Silent
from helpers.localaws.event_sources import EventSources, Needs, ordered
from helpers.localaws.kinesis import Kinesis
from helpers.localaws.types import AwsError, Invocation
from helpers.provision import wait_for
from tests.kafka_brokers import (
    bootstrap,
    broker_kind,
    committed,
    embedded,
    genuine,
    is_genuine,
    make_topic,
    produce,
)
from tests.played_lab import FAILED, OK, QUEUE, REGION, Answer, Event, Played
from tests.seeded import SEED, SOAK

__all__ = ["bootstrap", "broker_kind", "embedded", "genuine"]
CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/w/4f1ac3b4-6fd5-421d-8d13-c8355681acef-11"
PROVISIONED = {"ProvisionedPollerConfig": {"MinimumPollers": 1}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "MAX_BACKOFF", 0.002)


class Lab(Played):
    """A topic, mappings on it, and a function whose answers the test gives: `play(event)` is called for each batch."""

    def __init__(
        self, servers: str, partitions: int = 1, play: Callable[[Event], Answer | Awaitable[Answer]] = lambda _: None
    ) -> None:
        super().__init__(play)
        self.servers, self.topic = servers, make_topic(servers, partitions)
        self.cluster = SimpleNamespace(state="ACTIVE", bootstrap=servers)
        clusters: Any = {CLUSTER: self.cluster}
        needs = Needs(Kinesis(), self.lookup, self.invoke, self.allowed, self.deliver, cluster=clusters.get)
        self.sources = EventSources(needs)

    def put(self, *values: str, **more: Any) -> None:
        produce(self.servers, self.topic, *values, **more)

    async def map(self, group: str = "", **parameters: Any) -> str:
        wanted: dict[str, Any] = {"FunctionName": "f", "StartingPosition": "TRIM_HORIZON", "Topics": [self.topic]}
        if parameters.get("EventSourceArn"):
            kind = "AmazonManagedKafkaEventSourceConfig"
        else:
            kind = "SelfManagedKafkaEventSourceConfig"
            servers = self.servers.split(",")
            wanted["SelfManagedEventSource"] = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}}
        wanted |= {kind: {"ConsumerGroupId": group}} if group else {}
        return str((await self.sources.create({**wanted, **parameters}, REGION))["UUID"])

    def got(self) -> list[str]:
        return [v for e in self.events for v in values(e)]

    def seen(self) -> list[Any]:
        return [values(e)[:9] for e in self.events]

    def config(self, key: str) -> dict[str, Any]:
        return self.sources.get(key).config


def values(event: Event) -> list[str]:
    return [base64.b64decode(r["value"]).decode() for records in event["records"].values() for r in records]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


# What the function gets


@pytest.mark.parametrize("managed", [True, False])
def test_the_event_is_awss(bootstrap: str, managed: bool) -> None:
    """guide: with-msk.html#msk-sample-event, with-kafka.html"""

    async def test() -> None:
        lab = Lab(bootstrap)
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        producer.send(lab.topic, b"Hello", key=b"k", headers=[("h", b"\x01\xff")], timestamp_ms=1_545_084_650_987)
        producer.send(lab.topic, b"no key")
        producer.flush()
        await lab.map(**({"EventSourceArn": CLUSTER} if managed else {}))
        await lab.until(lambda: len(lab.got()) == 2)
        event = lab.events[0]
        del event["function"]
        second = event["records"][f"{lab.topic}-0"].pop()
        assert "key" not in second and second["offset"] == 1 and second["headers"] == []
        origin = {"eventSource": "SelfManagedKafka"}
        if managed:
            origin = {"eventSource": "aws:kafka", "eventSourceArn": CLUSTER}
        assert event == {
            **origin,
            "bootstrapServers": bootstrap,
            "records": {
                f"{lab.topic}-0": [
                    {
                        "topic": lab.topic,
                        "partition": 0,
                        "offset": 0,
                        "timestamp": 1_545_084_650_987,
                        "timestampType": "CREATE_TIME",
                        "key": "aw==",
                        "value": "SGVsbG8=",
                        "headers": [{"h": [1, 255]}],
                    }
                ]
            },
        }
        await lab.sources.close()

    run(test())


def test_partitions_run_side_by_side_each_in_order_and_full_batches_do_not_wait(bootstrap: str) -> None:
    """guide: with-msk.html: BatchSize, window; concurrency is by partition, and each is processed in order"""

    async def test() -> None:
        running: Counter[str] = Counter()
        most: list[int] = []

        async def play(event: Event) -> Answer:
            (part,) = event["records"]
            running[part] += 1
            most.append(sum(running.values()))
            assert running[part] == 1, "one batch of a partition at a time"
            await asyncio.sleep(0.02)
            running[part] -= 1
            return OK

        lab = Lab(bootstrap, 4, play)
        lab.put(*(f"key {n % 40}/{n}" for n in range(2_000)))
        key = await lab.map(BatchSize=50)
        await lab.until(lambda: len(lab.got()) == 2_000)
        assert Counter(lab.got()) == Counter(f"key {n % 40}/{n}" for n in range(2_000))
        for part in range(4):
            offsets = [r["offset"] for e in lab.events for r in e["records"].get(f"{lab.topic}-{part}", [])]
            assert offsets == list(range(len(offsets)))
        assert max(most) > 1 and max(len(values(e)) for e in lab.events) == 50
        await lab.until(lambda: lab.config(key)["LastProcessingResult"] == "OK")
        await lab.sources.close()

    run(test())


def test_a_window_gathers_and_half_a_second_is_the_default(bootstrap: str) -> None:
    """guide: invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching"""

    async def test() -> None:
        for window, least, most in ((None, 0.3, 10.0), (2, 1.5, 20.0)):
            lab = Lab(bootstrap)
            await lab.map(**({"MaximumBatchingWindowInSeconds": window} if window else {}))
            lab.put("first")
            await lab.until(lambda lab=lab: lab.events)
            start = time.monotonic()
            for n in range(5):
                lab.put(str(n))
            await lab.until(lambda lab=lab: len(lab.events) == 2)
            assert least < time.monotonic() - start < most and len(values(lab.events[1])) == 5
            await lab.sources.close()

    run(test())


def test_a_batch_keeps_to_the_payload_limit(bootstrap: str) -> None:
    """guide: with-msk.html: a batch is at most 6 MB as the function gets it"""

    async def test() -> None:
        lab = Lab(bootstrap)
        lab.put(*(f"{n:02d}/" + "x" * 500_000 for n in range(20)))
        sizes: list[int] = []
        lab.play = lambda event: sizes.append(len(json.dumps(event)))  # type: ignore[func-returns-value]
        await lab.map(BatchSize=10_000)
        await lab.until(lambda: len(lab.got()) == 20)
        assert [v[:2] for v in lab.got()] == [f"{n:02d}" for n in range(20)]
        assert max(sizes) <= 6 * 1024 * 1024 and len(sizes) <= 5
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize(("key", "number"), [(b"21", -973932308), (b"foobar", -790332482)])
def test_the_client_hashes_keys_as_javas_does(key: bytes, number: int) -> None:
    """Two of the cases of Kafka's own test: testMurmur2 in clients/src/test/java/org/apache/kafka/common/utils"""
    assert murmur2(key) & 0xFFFFFFFF == number & 0xFFFFFFFF


def test_what_goes_in_comes_out_in_order_without_gaps(bootstrap: str) -> None:
    """Of the broker itself, several producers at once: a key's partition is murmur2's, its offsets have no gaps."""
    topic, partitions = make_topic(bootstrap, 4), range(4)
    producers = [KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2, batch_size=2_000) for _ in "abc"]
    sent: dict[tuple[int, int], bytes] = {}

    def send(name: int) -> list[Any]:
        numbers = range(2_000)
        return [(n, producers[name].send(topic, b"%d/%d" % (name, n), b"%d-%d" % (name, n % 50))) for n in numbers]

    with ThreadPoolExecutor(3) as pool:
        for name, futures in enumerate(pool.map(send, range(3))):
            for n, future in futures:
                said = future.get(timeout=60)
                assert said.partition == (murmur2(b"%d-%d" % (name, n % 50)) & 0x7FFFFFFF) % 4
                sent[said.partition, said.offset] = b"%d/%d" % (name, n)
    for producer in producers:
        producer.close()
    assert len(sent) == 6_000, "no offset is given twice"
    with contextlib.closing(KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=2_000)) as consumer:
        consumer.assign([TopicPartition(topic, n) for n in partitions])
        consumer.seek_to_beginning()
        found = list(consumer)
    for partition in partitions:
        records = [record for record in found if record.partition == partition]
        assert [record.offset for record in records] == list(range(sum(p == partition for p, _ in sent)))
        assert all(record.value == sent[partition, record.offset] for record in records), "where it was acknowledged"
        for name in range(3):
            numbers = [int(r.value.partition(b"/")[2]) for r in records if r.value.startswith(b"%d/" % name)]
            assert numbers == sorted(numbers), "what one producer sends stays in order"


# Where it starts, and what is committed


def test_offsets_are_committed_after_each_batch_and_the_group_goes_on_there(bootstrap: str) -> None:
    """guide: kafka-consumer-group-id.html: a group with offsets goes on there, whatever StartingPosition says"""

    async def test() -> None:
        group, gate = f"g-{random.random()}", asyncio.Event()

        async def play(event: Event) -> Answer:
            if "30" in values(event):
                await gate.wait()
            return OK

        lab = Lab(bootstrap, 1, play)
        lab.put(*map(str, range(60)))
        key = await lab.map(group, BatchSize=10)
        await lab.until(lambda: len(lab.events) == 4)
        got = None
        while got != 30:  # three are done, the fourth is in flight
            got = await asyncio.to_thread(committed, bootstrap, lab.topic, group)
            assert got in (None, 10, 20, 30)
        gate.set()
        await lab.until(lambda: len(lab.got()) == 60)
        await lab.sources.delete(key)
        await lab.until(lambda: not lab.sources._tasks)
        assert await asyncio.to_thread(committed, bootstrap, lab.topic, group) == 60
        lab.put("after")
        await lab.map(group)
        await lab.until(lambda: "after" in lab.got())
        assert len(lab.got()) == 61
        await lab.sources.close()

    run(test())


def test_the_group_is_the_mappings_own_unless_one_is_named(bootstrap: str) -> None:
    """API: AmazonManagedKafkaEventSourceConfig.ConsumerGroupId: a unique value by default"""

    async def test() -> None:
        lab = Lab(bootstrap)
        lab.put("a")
        one, other = await lab.map(), await lab.map("named", FunctionName="g", EventSourceArn=CLUSTER)
        assert lab.config(one)["SelfManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": one}
        assert lab.config(other)["AmazonManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": "named"}
        await lab.until(lambda: len(lab.got()) == 2)
        assert {e["function"] for e in lab.events} == {"f", "g"}
        await lab.sources.close()

    run(test())


def test_latest_and_at_timestamp(bootstrap: str, request: pytest.FixtureRequest) -> None:
    """API: API_CreateEventSourceMapping.html; the lab's own broker answers both wrongly, so there they are refused"""

    async def test() -> None:
        lab = Lab(bootstrap, 2)
        lab.put(*(f"{n}/old" for n in range(20)))
        await asyncio.sleep(0.05)
        moment = time.time()
        await asyncio.sleep(0.05)
        lab.put(*(f"{n}/newer" for n in range(20)))
        wanted = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": moment}
        if not is_genuine(request):
            for refused in (wanted, {"StartingPosition": "LATEST"}):
                with pytest.raises(AwsError, match="own broker does not tell where"):
                    await lab.map(**refused)
            assert not lab.sources.mappings
            return
        await lab.map(FunctionName="since", **wanted)
        await lab.map(FunctionName="latest", StartingPosition="LATEST")
        lab.put(*(f"{n}/newest" for n in range(20)))  # the position is that of the call, not of the first fetch
        await lab.until(lambda: len(lab.got()) == 60)
        got: dict[str, Counter[str]] = defaultdict(Counter)
        for event in lab.events:
            got[event["function"]].update(v.partition("/")[2] for v in values(event))
        assert got == {"since": {"newer": 20, "newest": 20}, "latest": {"newest": 20}}
        await lab.sources.close()

    run(test())


def test_a_topic_that_comes_later(bootstrap: str, caplog: pytest.LogCaptureFixture) -> None:
    """The trigger asks about the topic before it is there, and that does not make it."""

    async def test() -> None:
        lab = Lab(bootstrap)
        later = f"{lab.topic}-later"
        await lab.map(Topics=[later])
        await lab.until(lambda: f"{later} not found" in caplog.text, "the trigger to have asked about it")
        make_topic(bootstrap, 2, later)  # fails when it exists
        produce(bootstrap, later, "a", "b", "c")
        await lab.until(lambda: len(lab.got()) == 3)
        await lab.sources.close()

    run(test())


# Failures


@pytest.mark.parametrize("kind", ["error", "throttled", "crash"])
def test_a_failing_batch_is_retried_as_a_whole_and_blocks_its_partition_only(bootstrap: str, kind: str) -> None:
    """guide: kafka-retry-configurations.html: for ever, by default"""

    async def test() -> None:
        failing = True

        def play(event: Event) -> Answer:
            if not failing or "bad" not in values(event):
                return OK
            if kind == "crash":
                raise RuntimeError("the lab itself")
            return FAILED if kind == "error" else AwsError("TooManyRequestsException", "Rate Exceeded.", 429)

        lab = Lab(bootstrap, 2, play)
        lab.put("a", "bad", "b", partition=0)
        key = await lab.map(BatchSize=3)
        await lab.until(lambda: len(lab.events) > 4)
        lab.put("c", "d", partition=1)
        await lab.until(lambda: "d" in lab.got())
        blocked = [values(e) for e in lab.events if f"{lab.topic}-0" in e["records"]]
        assert all(b == ["a", "bad", "b"] for b in blocked)
        failing = False
        lab.put("e", partition=0)
        await lab.until(lambda: "e" in lab.got())
        assert lab.config(key)["LastProcessingResult"] == "OK"
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize(("target", "retries"), [(QUEUE, 2), ("arn:aws:s3:::failed", 0), (QUEUE, None)])
def test_a_batch_is_set_aside_when_its_retries_are_used_up(bootstrap: str, target: str, retries: int | None) -> None:
    """guide: kafka-on-failure.md, the example invocation record; with a destination and no number ten retries"""

    async def test() -> None:
        lab = Lab(bootstrap, 1, lambda e: FAILED if "bad" in values(e) else OK)
        lab.put("a", "bad", "c", "d")
        given = {"MaximumRetryAttempts": retries} if retries is not None else {}
        key = await lab.map(
            BatchSize=2, EventSourceArn=CLUSTER, DestinationConfig={"OnFailure": {"Destination": target}},
            **given, **PROVISIONED,
        )  # fmt: skip
        await lab.until(lambda: lab.sent and "d" in lab.got())
        assert sum("bad" in values(e) for e in lab.events) == 1 + (10 if retries is None else retries)
        (where, record, name) = lab.sent[0]
        info = record.pop("KafkaBatchInfo")
        times = info["recordsInfo"][f"{lab.topic}-0"]
        for stamp in (times.pop("firstRecordTimestamp"), times.pop("lastRecordTimestamp"), record.pop("timestamp")):
            assert len(stamp) == 24 and stamp.endswith("Z")
        assert info.pop("payloadSize") > 100
        assert info == {
            "batchSize": 2,
            "eventSourceArn": CLUSTER,
            "bootstrapServers": bootstrap,
            "recordsInfo": {f"{lab.topic}-0": {"firstRecordOffset": "0", "lastRecordOffset": "1"}},
        }
        assert where == target and record["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert name.startswith(f"aws/lambda/{key}/{lab.topic}-0/")
        assert ("payload" in record) == (target != QUEUE)
        await lab.sources.close()

    run(test())


def test_bisecting_isolates_a_poison_record_and_old_records_are_set_aside(bootstrap: str) -> None:
    async def test() -> None:
        lab = Lab(bootstrap, 1, lambda e: FAILED if "bad" in values(e) else OK)
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        producer.send(lab.topic, b"old", timestamp_ms=int((time.time() - 120) * 1000))
        producer.flush()
        lab.put(*"abc", "bad", *"defg")
        aside = {"DestinationConfig": {"OnFailure": {"Destination": QUEUE}}}
        settings = {"BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1, "MaximumRecordAgeInSeconds": 60}
        await lab.map(**settings, **aside, **PROVISIONED)
        await lab.until(lambda: len(lab.sent) == 2 and "g" in lab.got())
        why = [record["requestContext"]["condition"] for _, record, _ in lab.sent]
        sizes = [record["KafkaBatchInfo"]["batchSize"] for _, record, _ in lab.sent]
        assert why == ["RecordAgeExceeded", "RetryAttemptsExhausted"] and sizes == [1, 1]
        assert [v for e in lab.events if "bad" not in values(e) for v in values(e)] == list("abcdefg")
        assert "old" not in lab.got()
        await lab.sources.close()

    run(test())


def test_records_from_the_lowest_failure_on_are_retried(bootstrap: str) -> None:
    """guide: kafka-retry-configurations.html: itemIdentifier is {"partition": "topic-0", "offset": n}"""

    async def test() -> None:
        lab = Lab(bootstrap)

        def play(event: Event) -> Answer:
            if len(lab.events) > 1:
                return OK
            failed = [{"itemIdentifier": {"partition": f"{lab.topic}-0", "offset": n}} for n in (4, 2)]
            return Invocation(json.dumps({"batchItemFailures": failed}).encode())

        lab.play = play
        lab.put(*map(str, range(6)))
        await lab.map(FunctionResponseTypes=["ReportBatchItemFailures"], **PROVISIONED)
        await lab.until(lambda: len(lab.events) == 2)
        assert [values(e) for e in lab.events] == [list("012345"), list("2345")]
        await lab.sources.close()

    run(test())


# Changes, rebalancing, restarts


def test_polls_that_are_shorter_than_a_join_do_not_forget_it(genuine: genuine_kafka.Kafka) -> None:
    """kafka-python's own consumer stays without partitions nearly each time: see kafka_group.py"""
    for _ in range(3):
        topic = make_topic(genuine.bootstrap, 4)
        settings = {"bootstrap_servers": genuine.bootstrap, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_500}
        with contextlib.closing(GroupConsumer(group_id=topic, **settings)) as consumer:
            consumer.subscribe([topic])
            until = time.monotonic() + 20
            while len(consumer.assignment()) < 4:
                consumer.poll(timeout_ms=1)
                assert time.monotonic() < until, "it has not become a member"


def test_a_member_that_gets_nothing_of_what_is_there_says_so(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that has read all, or whose topic is empty, waits: see kafka_group.py"""
    monkeypatch.setattr(kafka_group, "_SILENCE", 0.3)
    topic = make_topic(bootstrap, 2)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(topic, b"one", partition=0).get(timeout=30)

    def poll(seconds: float) -> int:
        """The records of the first poll that has some, within that time."""
        until, got = time.monotonic() + seconds, 0
        while not got and time.monotonic() < until:
            got = sum(map(len, consumer.poll(timeout_ms=50).values()))
        return got

    settings = {"bootstrap_servers": bootstrap, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_500}
    with contextlib.closing(GroupConsumer(group_id=topic, auto_offset_reset="earliest", **settings)) as consumer:
        consumer.subscribe([topic])
        assert poll(60) == 1
        assert poll(1.5) == 0
        monkeypatch.setattr(consumer._fetcher, "send_fetches", lambda: None)
        wait_for(lambda: not consumer._fetcher.in_flight_fetches(), timeout=60, what="the last fetch to end")
        producer.send(topic, b"two", partition=0).get(timeout=30)
        with pytest.raises(Silent, match=f"{topic}-0 stands at 1 of 2"):
            poll(30)
    producer.close()


def test_a_change_lets_the_batch_in_flight_finish_and_delivers_nothing_twice(bootstrap: str) -> None:
    async def test() -> None:
        gate, begun = asyncio.Event(), asyncio.Event()

        async def play(event: Event) -> Answer:
            begun.set()
            await gate.wait()
            return OK

        lab = Lab(bootstrap, 1, play)
        lab.put(*map(str, range(10)))
        key = await lab.map(BatchSize=5)
        await begun.wait()
        await lab.sources.update(key, {"BatchSize": 2, "Enabled": False}, REGION)
        await asyncio.sleep(0.05)
        assert lab.config(key)["State"] == "Disabling"
        gate.set()
        await lab.until(lambda: lab.config(key)["State"] == "Disabled")
        assert len(lab.events) == 1
        await lab.sources.update(key, {"Enabled": True}, REGION)
        await lab.until(lambda: len(lab.got()) == 10)
        assert [len(values(e)) for e in lab.events] == [5, 2, 2, 1]
        await lab.sources.close()

    run(test())


def test_closing_in_the_middle_of_a_batch_loses_nothing(bootstrap: str) -> None:
    """What was in flight is not committed: the group's next member gets it again."""

    async def test() -> None:
        group = f"g-{random.random()}"
        lab = Lab(bootstrap, 2)
        lab.put(*(f"{n % 10}/{n}" for n in range(200)))
        hold = True

        async def play(event: Event) -> Answer:
            if hold and len(lab.events) > 6:
                await asyncio.sleep(60)
            return OK

        lab.play = play
        await lab.map(group, BatchSize=10)
        await lab.until(lambda: len(lab.events) > 6)
        done = len(lab.got())
        await asyncio.wait_for(lab.sources.close(), 10)
        hold, lab.sources = False, EventSources(lab.sources.needs)
        await lab.map(group, BatchSize=10)
        await lab.until(lambda: len(set(lab.got())) == 200)
        print(f"{done} records were begun, {len(lab.got()) - 200} came again")
        assert 0 < len(lab.got()) - 200 <= 20
        await lab.sources.close()

    run(test())


def test_a_second_consumer_gets_its_share_and_nothing_comes_twice(bootstrap: str) -> None:
    """The group is rebalanced with batches in flight: they are finished and committed before their partition moves."""

    async def test() -> None:
        group, running = f"g-{random.random()}", Counter[str]()
        by: dict[str, set[str]] = defaultdict(set)
        at_rebalance: list[int] = []

        async def play(event: Event) -> Answer:
            (part,) = event["records"]
            by[event["function"]].add(part)
            running[part] += 1
            assert running[part] == 1, "two members at work on one partition"
            await asyncio.sleep(0.03)
            running[part] -= 1
            return OK

        lab = Lab(bootstrap, 4, play)
        count = 6_000
        lab.put(*(f"{n % 97}/{n}" for n in range(count)))
        await lab.map(group, BatchSize=10)
        await lab.until(lambda: len(lab.events) > 20)
        await lab.map(group, FunctionName="g", BatchSize=10)
        await lab.until(lambda: by["g"] or len(lab.got()) >= count, seconds=90)
        at_rebalance.append(len(lab.got()))
        await lab.until(lambda: len(set(lab.got())) == count, seconds=90)
        assert at_rebalance[0] < count, "all was done before the second member came"
        print(f"{at_rebalance[0]} of {count} records were delivered when the second member began with {by['g']}")
        assert len(lab.got()) == count, "some came twice"
        late = [e for e in lab.events if e["function"] == "g"]
        assert late and by["g"] and by["g"] < by["f"]
        await lab.sources.close()

    run(test())


def test_nothing_is_lost_and_a_keys_order_is_kept_whatever_happens(bootstrap: str) -> None:
    """Failures, throttles, changes and restarts of the mapping at random moments."""

    async def test(seed: int) -> None:
        chance, last = random.Random(seed), defaultdict(lambda: -1)
        lab = Lab(bootstrap, 3)
        done: set[str] = set()

        async def play(event: Event) -> Answer:
            await asyncio.sleep(chance.random() * 0.004)
            if chance.random() < 0.2:
                return chance.choice([FAILED, AwsError("TooManyRequestsException", "", 429)])
            for value in values(event):
                key, _, number = value.partition("/")
                if value not in done:
                    assert last[key] < int(number), f"{value} after {last[key]}"
                    last[key] = int(number)
                done.add(value)
            return OK

        lab.play = play
        key = await lab.map(BatchSize=20)
        for step in range(6):
            lab.put(*(f"{n % 20}/{n}" for n in range(step * 200, step * 200 + 200)))
            await lab.until(lambda step=step: len(done) > step * 200 + 50)
            if step % 2:
                await lab.sources.update(key, {"BatchSize": 20 + step, "Enabled": step != 3}, REGION)
            if step == 3:
                await lab.sources.update(key, {"Enabled": True}, REGION)
        await lab.until(lambda: len(done) == 1_200)
        await lab.sources.close()

    for seed in range(SEED, SEED + (5 if SOAK else 1)):
        print(f"WORKBOOK_SEED={seed}")
        run(test(seed))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM] if SOAK else [signal.SIGKILL])
def test_a_broker_that_is_restarted_loses_nothing(genuine: genuine_kafka.Kafka, how: signal.Signals) -> None:
    """Genuine Kafka ends, orderly or not, with batches in flight, and comes back with what it held."""

    async def test() -> None:
        async def play(event: Event) -> Answer:
            await asyncio.sleep(0.02)
            return OK

        lab = Lab(genuine.bootstrap, 3, play)
        lab.put(*(f"{n % 30}/{n}" for n in range(3_000)))
        await lab.map(BatchSize=10)
        await lab.until(lambda: len(lab.events) > 30)
        await asyncio.to_thread(genuine.stop, how)
        begun = len(lab.got())
        await asyncio.to_thread(genuine.start)
        await asyncio.to_thread(lab.put, *(f"{n % 30}/{n}" for n in range(3_000, 4_000)))
        await lab.until(lambda: len(set(lab.got())) == 4_000, seconds=90)
        print(f"{begun} of 3000 records had been delivered; {len(lab.got()) - 4_000} came again")
        assert begun < 3_000
        await lab.sources.close()

    run(test())


def test_the_offset_lag_is_measured(bootstrap: str) -> None:
    """guide: monitoring-metrics-types.html: OffsetLag"""

    async def test() -> None:
        lab = Lab(bootstrap)
        lab.put(*map(str, range(95)))
        await lab.map(BatchSize=10)
        await lab.until(lambda: len(lab.got()) == 95)
        await asyncio.sleep(0.05)
        [(_, [lag])] = list(lab.sources.drain_metrics())
        assert (lag["MetricName"], lag["Unit"]) == ("OffsetLag", "Count")
        assert lag["StatisticValues"] == {"SampleCount": 10, "Sum": 405, "Minimum": 0, "Maximum": 85}
        await lab.sources.close()

    run(test())


def test_a_slow_function_gets_everything_that_was_read_ahead(bootstrap: str) -> None:
    async def test() -> None:
        lab, taken = Lab(bootstrap, 2), [0]

        async def play(event: Event) -> Answer:
            await asyncio.sleep(0.002)
            taken[0] += len(values(event))
            return OK

        lab.play = play
        lab.put(*(f"{n % 97}/{n}" for n in range(40_000)))
        await lab.map(BatchSize=200)
        await lab.until(lambda: taken[0] == 40_000)
        await lab.sources.close()

    run(test())


def test_reading_does_not_hold_up_the_loop(bootstrap: str) -> None:
    """100,000 records pass while the loop answers others: half of its turns come within some milliseconds."""

    async def test() -> None:
        lab = Lab(bootstrap, 4)
        for _ in range(2):
            lab.put(*(f"{n}/" + "x" * 150 for n in range(25_000)))
        started, waits, seen = time.perf_counter(), [], [0]
        lab.play = lambda event: seen.__setitem__(0, seen[0] + len(values(event)))  # type: ignore[func-returns-value]
        await lab.map(BatchSize=500, MaximumBatchingWindowInSeconds=1)
        while seen[0] < 50_000:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - before)
            assert before - started < 60
        took, median = time.perf_counter() - started, sorted(waits)[len(waits) // 2]
        print(f"{50_000 / took:.0f} records/s, joining included; median wait {median * 1e3:.1f} ms")
        assert median < 0.05
        await lab.sources.close()

    run(test())


# What is refused


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"Topics": []}, "Validation", "'topics'"),
        ({"Topics": None}, "InvalidParameterValue", "Topics is required"),
        ({"EventSourceArn": CLUSTER[:-1] + "2", "SelfManagedEventSource": None}, "InvalidParameterValue", "not exist"),
        ({"EventSourceArn": CLUSTER}, "InvalidParameterValue", "either EventSourceArn or SelfManagedEventSource"),
        ({"StartingPosition": None}, "InvalidParameterValue", "'startingPosition'"),
        ({"MaximumRetryAttempts": 3}, "InvalidParameterValue", "provisioned mode"),
        ({"BisectBatchOnFunctionError": True}, "InvalidParameterValue", "provisioned mode"),
        (
            {"SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": "arn:aws:secretsmanager:x"}]},
            "InvalidParameterValue",
            "without credentials",
        ),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "InvalidParameterValue", "FilterCriteria"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "kafka://t"}}}, "InvalidParameterValue", "SQS, SNS"),
        ({"ParallelizationFactor": 2}, "InvalidParameterValue", "ParallelizationFactor"),
        ({"AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"}}, "InvalidParameterValue", "not belong"),
    ],
)
def test_mappings_that_are_refused(embedded: str, parameters: dict[str, Any], code: str, words: str) -> None:
    async def test() -> None:
        lab = Lab(embedded)
        servers = {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": embedded.split(",")}}}
        with pytest.raises(AwsError) as caught:
            await lab.map(**{**servers, **parameters})
        assert caught.value.code == f"{code}Exception" and words in caught.value.message
        assert not lab.sources.mappings

    run(test())


@pytest.mark.parametrize(
    "action", ["kafka:GetBootstrapBrokers", "ec2:CreateNetworkInterface", "ec2:DescribeSecurityGroups", "both"]
)
def test_a_role_that_cannot_reach_the_cluster(embedded: str, action: str) -> None:
    """guide: with-msk-permissions.html; one of DescribeCluster and DescribeClusterV2 is enough"""

    async def test() -> None:
        lab = Lab(embedded)
        lab.denied = {action} if action != "both" else {"kafka:DescribeClusterV2", "kafka:DescribeCluster"}
        with pytest.raises(AwsError, match="execution role does not have permissions to call"):
            await lab.map(EventSourceArn=CLUSTER)
        lab.denied = {"kafka:DescribeCluster"}
        await lab.map(EventSourceArn=CLUSTER)
        with pytest.raises(AwsError, match="already exists"):
            await lab.map(EventSourceArn=CLUSTER)
        await lab.sources.close()

    run(test())


def test_a_broker_that_is_not_there_is_told_and_tried_again(embedded: str) -> None:
    """The mapping is made, and says what is wrong: guide: with-kafka-troubleshoot.html"""

    async def test() -> None:
        lab = Lab(embedded)
        lab.servers = "127.0.0.1:1"
        key = await lab.map()
        await lab.until(lambda: lab.config(key)["LastProcessingResult"].startswith("PROBLEM: Connection error"))
        await lab.sources.close()

    run(test())
