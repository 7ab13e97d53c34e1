"""The continuous process on Kafka: a consumer group under faults, next to a member that nobody disturbs."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kafka import KafkaProducer, TopicPartition

from data.generate import write
from helpers.continuous.fleet import Fleet
from helpers.continuous.kafka_worker import KafkaWorker
from helpers.continuous.store import Results
from helpers.lab import SAMPLE
from helpers.provision import wait_for
from helpers.rows import read_rows, to_json
from tests.continuous_lab import Desk, desk, disordered, same
from tests.kafka_brokers import embedded, genuine, make_topic  # noqa: F401 (two are fixtures)
from tests.seeded import SEED, SOAK

YEAR = 373 * 86_400  # seconds, of an invented shop


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("continuous")) as opened:
        yield opened


@pytest.fixture(
    params=[
        "embedded",
        pytest.param(
            "genuine",
            marks=pytest.mark.skipif(
                not SOAK, reason="here on the embedded broker, and the genuine one below; in `make soak` all on both"
            ),
        ),
    ]
)
def bootstrap(request: pytest.FixtureRequest) -> str:
    broker = request.getfixturevalue(request.param)
    return str(getattr(broker, "bootstrap", broker))


class Group:
    """A topic of four partitions, and the members of a group that read it."""

    def __init__(self, place: Desk, bootstrap: str, name: str, rows: int, own: bool) -> None:
        self.own = own  # the lab's own broker
        self.place, self.bootstrap, self.topic = place, bootstrap, make_topic(bootstrap, 4)
        path = place.folder / f"{name}.csv"
        write(path, rows, SEED % 1000)
        self.rows = disordered(read_rows(path), SEED)
        self.delay = YEAR * 150 / rows
        self.application = f"{name}-{os.urandom(3).hex()}"
        self.sent, self._enough = 0, threading.Event()
        self._producing = threading.Thread(target=self._produce, args=(0.25,))

    def fleet(self, application: str) -> Fleet:
        """Members whose session is as short as the broker grants it."""
        words = ["--topic", self.topic, "--application", application, "--bootstrap", self.bootstrap]
        # A genuine broker grants no session of less than six seconds (group.min.session.timeout.ms).
        words += ["--failover", "3" if self.own else "6", "--delay", str(self.delay)]
        log = self.place.folder / f"{application}.log"
        return Fleet(*words, log=log, module="helpers.continuous.kafka_worker")

    def _produce(self, pause: float) -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", retries=50, linger_ms=2)
        while self.sent < len(self.rows) and not self._enough.wait(pause):
            batch = self.rows[self.sent : self.sent + 100]
            futures = [producer.send(self.topic, to_json(r).encode(), r["InvoiceNo"].encode()) for r in batch]
            for future in futures:
                future.get(timeout=60)
            self.sent += len(batch)
        producer.close()

    def produce(self) -> None:
        self._producing.start()

    def all(self, enough: bool = False) -> int:
        """Waits for the rest, or lets it be; how many records the topic has at least."""
        if enough:
            self._enough.set()
        self._producing.join()
        return self.sent

    def equals_calm(self, results: Results) -> dict[str, int]:
        """Compares with what one member makes of the same topic that nobody disturbs."""
        calm = self.place.tables(self.application + "-calm")
        with self.fleet(self.application + "-calm") as fleet:
            fleet.start("calm")
            self.wait(calm, fleet, results.records())
        same(results, calm)
        assert results.numbers()["rows"] == len({row["RowId"] for row in self.rows[: self.sent]})
        return results.numbers()

    @staticmethod
    def wait(results: Results, fleet: Fleet, records: int, timeout: float = 120) -> None:
        counted = 0

        def done() -> bool:
            nonlocal counted
            assert fleet.running(), f"no worker lives: {fleet.said()[-2000:]}"
            counted = results.records()
            return counted >= records

        try:
            wait_for(done, timeout=timeout, what=f"{records} records")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {counted} are counted; {fleet.said()[-1500:]}") from None


def owners(results: Results) -> dict[str, int]:
    found: dict[str, int] = {}
    for lease in results.leases().values():
        found[str(lease.owner)] = found.get(str(lease.owner), 0) + 1
    return found


def test_members_come_are_killed_and_sleep(place: Desk, bootstrap: str, request: pytest.FixtureRequest) -> None:
    """A rebalance in the middle, kills with records in flight, and a member that wakes up after its group went on."""
    group = Group(place, bootstrap, "kafka", 200_000 if SOAK else 50_000, "embedded" in request.node.name)
    kills, chance = (12 if SOAK else 1), random.Random(SEED)
    results, born, points = place.tables(group.application), iter(range(1000)), []
    with group.fleet(group.application) as fleet:
        fleet.start("ann")
        wait_for(lambda: owners(results) == {"ann": 4}, timeout=60, what="one member to have all partitions")
        group.produce()
        fleet.start("bob")
        wait_for(lambda: owners(results) == {"ann": 2, "bob": 2}, timeout=60, what="a second one to have half")
        for _ in range(kills):
            in_flight = wait_for(lambda: max(0, group.sent - results.records()), timeout=60, what="records in flight")
            victim = chance.choice(fleet.running())
            points.append(f"{victim}, {in_flight} of {group.sent} in flight")
            fleet.kill(victim)
            fleet.start(f"w{next(born)}")
            wait_for(lambda gone=victim: gone not in owners(results), timeout=60, what=f"{victim} to be replaced")
        sleeper = next(name for name in fleet.running() if name in owners(results))
        fleet.signal(sleeper, signal.SIGSTOP)
        wait_for(lambda: sleeper not in owners(results), timeout=60, what="the sleeper's partitions to move")
        fleet.signal(sleeper, signal.SIGCONT)
        wait_for(lambda: sleeper in owners(results), timeout=60, what="the sleeper to be a member again")
        sent = group.all(enough=True)
        group.wait(results, fleet, sent)
    print(f"WORKBOOK_SEED={SEED}, killed: ", *points, sep="\n  ")
    print(group.equals_calm(results))


class Assigned:
    """A consumer that has been given one partition, and hears nothing of the group any more."""

    def __init__(self, partition: TopicPartition) -> None:
        self.partitions = {partition}

    def assignment(self) -> set[TopicPartition]:
        return self.partitions

    def seek_to_beginning(self, *_: object) -> None: ...

    seek = commit_async = seek_to_beginning


def test_the_last_to_hear_of_a_rebalance_does_not_take_its_partition_back(place: Desk) -> None:
    """Nor is it lost when it was the other one that was late."""
    place.tables("steal")
    late, now = (
        KafkaWorker("t", "steal", name, bootstrap="", failover=failover)
        for name, failover in (("late", 1.0), ("now", 60.0))
    )
    partition = TopicPartition("t", 0)
    consumer, value = Assigned(partition), to_json(next(read_rows(SAMPLE))).encode()

    def count(worker: KafkaWorker, offset: int) -> None:
        record = SimpleNamespace(offset=offset, timestamp=0, value=value)
        worker.count(consumer, partition, [record])

    def owner() -> str | None:
        return late.leases.all()["t-0"].owner

    late.follow(consumer, {partition})
    count(late, 0)
    now.follow(consumer, {partition})  # the group gave it away
    count(late, 1)
    assert partition not in late.shards
    late.follow(consumer, set())
    assert owner() == "now"
    late.follow(consumer, {partition})  # the group gave it back
    assert owner() == "late"
    count(now, 1)
    now.follow(consumer, set())
    assert owner() == "late"
    now.follow(consumer, {partition})
    count(late, 2)
    wait_for(
        lambda: (late.follow(consumer, set()), owner() == "late")[1], timeout=60, what="a session without other news"
    )


def test_the_broker_starts_again_in_the_middle(place: Desk, request: pytest.FixtureRequest) -> None:
    """Genuine Kafka, killed while rows are written and read, and started again with what it has on disk."""
    broker = request.getfixturevalue("genuine")
    group = Group(place, broker.bootstrap, "restart", 20_000 if SOAK else 3_000, own=False)
    results = place.tables(group.application)
    with group.fleet(group.application) as fleet:
        fleet.start("ann", "bob")
        wait_for(lambda: owners(results) == {"ann": 2, "bob": 2}, timeout=60, what="both members at work")
        group.produce()
        for number in range(3 if SOAK else 1):
            wait_for(lambda n=number: group.sent > 500 * (n + 1), timeout=60, what="rows to come")
            for name in fleet.running():  # a worker is often done with a batch before the producer's next look at it
                fleet.signal(name, signal.SIGSTOP)
            in_flight = wait_for(lambda: max(0, group.sent - results.records()), timeout=60, what="records in flight")
            broker.stop(signal.SIGKILL)
            for name in fleet.running():
                fleet.signal(name, signal.SIGCONT)
            print(f"WORKBOOK_SEED={SEED}: broker killed with {in_flight} of {group.sent} in flight")
            broker.start()
        sent = group.all()
        group.wait(results, fleet, sent)
        wait_for(lambda: group_is_still(results), timeout=60, what="what the producer had sent twice to be read")
    print(group.equals_calm(results))


def group_is_still(results: Results) -> bool:
    before = results.records()
    time.sleep(2)
    return results.records() == before
