"""The continuous process under faults, records in flight: its windows equal those of a run that nobody disturbed.

Seeds, points of each kill and what was in flight are printed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from data.generate import write
from helpers.continuous.store import Results
from helpers.provision import wait_for
from helpers.rows import read_rows
from tests.continuous_lab import Desk, desk, disordered, same
from tests.seeded import SEED, SOAK


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("continuous")) as opened:
        yield opened


def shop(place: Desk, name: str, rows: int, seed: int) -> list[Any]:
    """Rows of a file of its own, in bad order and some of them twice."""
    path = place.folder / f"{name}.csv"
    write(path, rows, seed)
    return disordered(read_rows(path), seed)


class Producer:
    """Puts rows into a stream, a hundred at a time with a pause between, until all are in or `enough` is called."""

    def __init__(self, place: Desk, stream: str, rows: list[Any], pause: float = 0.1) -> None:
        self.place, self.stream, self.rows, self.pause = place, stream, rows, pause
        self.sent, self._enough = 0, threading.Event()
        self._thread = threading.Thread(target=self._produce)
        self._thread.start()

    def _produce(self) -> None:
        while self.sent < len(self.rows) and not self._enough.wait(self.pause):
            batch = self.rows[self.sent : self.sent + 100]
            self.place.put(self.stream, batch)
            self.sent += len(batch)

    def enough(self) -> int:
        """Stops, and says how many records the stream holds."""
        self._enough.set()
        return self.all()

    def all(self) -> int:
        self._thread.join()
        return self.sent


@pytest.fixture
def stream(place: Desk, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name.replace("test_", "")[:80]
    place.kinesis.create_stream(StreamName=name, ShardCount=4)
    yield name
    place.kinesis.delete_stream(StreamName=name)


def patience(rows: int) -> float:
    """The watermark's delay in seconds: 150 rows' worth of a shop's year, so that rows that come later are late."""
    return 373 * 86_400 * 150 / rows


def test_workers_killed_with_records_in_flight(place: Desk, stream: str) -> None:
    """Again and again one of two workers is killed while its shards hold what it has not committed yet."""
    kills, chance = (50 if SOAK else 5), random.Random(SEED)
    count = 100_000 if SOAK else 12_000
    rows, delay = shop(place, "killed", count, SEED % 1000), patience(count)
    results, born, points = place.tables("killed"), iter(range(1000)), []
    with place.fleet(stream, "killed", delay=delay) as fleet:
        fleet.start(f"w{next(born)}", f"w{next(born)}")
        producer = Producer(place, stream, rows)
        began = time.monotonic()
        while len(points) < kills:
            time.sleep(chance.uniform(0.2, 1.0))
            victim = wait_for(lambda: busy(results, fleet, producer, chance), timeout=60, what="a worker at work")
            in_flight = producer.sent - results.records()
            fleet.kill(victim)
            fleet.start(f"w{next(born)}")
            if in_flight > 0:
                points.append(f"{time.monotonic() - began:.2f} s: {victim}, {in_flight} of {producer.sent} in flight")
        sent = producer.enough()
        place.wait(results, sent, fleet, 240)
    print(f"WORKBOOK_SEED={SEED}, {len(points)} kills", *points, sep="\n  ")
    same(results, place.calm(stream, "killed-calm", sent, delay=delay))
    numbers = results.numbers()
    print(numbers)
    assert numbers["late"] > 0 and numbers["duplicates"] > 0


def busy(results: Results, fleet: Any, producer: Producer, chance: random.Random) -> str | None:
    """A worker that has shards, while something waits in them."""
    owners = {lease.owner for lease in results.leases().values()} & set(fleet.running())
    return chance.choice(sorted(owners)) if owners and producer.sent > results.records() else None


def test_resharding_in_the_middle(place: Desk, stream: str) -> None:
    """Shards are split and merged while rows come; children wait for their parents, and know what these have seen."""
    count = 20_000 if SOAK else 5_000
    rows, delay = shop(place, "reshard", count, SEED % 1000), patience(count)
    results = place.tables("reshard")
    with place.fleet(stream, "reshard", delay=delay) as fleet:
        fleet.start("ann", "bob")
        producer = Producer(place, stream, rows, 0.05)
        for count in (8, 4, 5):
            wait_for(lambda sent=producer.sent: producer.sent > sent + 800, timeout=60, what="rows to come")
            place.kinesis.update_shard_count(StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        sent = producer.all()
        place.wait(results, sent, fleet)
    leases = results.leases()
    ended = [lease for lease in leases.values() if lease.ended]
    print(f"WORKBOOK_SEED={SEED}: {len(leases)} shards, {len(ended)} of them read to their end")
    assert len(ended) >= 10 and all(lease.owner is None for lease in ended)
    same(results, place.calm(stream, "reshard-calm", sent, delay=delay))
    assert results.numbers()["rows"] == len({row["RowId"] for row in rows[:sent]}), "no duplicate got past a border"


def test_rebalance_in_the_middle(place: Desk, stream: str) -> None:
    """Workers come and go in order while rows come; at the end the shards are shared."""
    count = 20_000 if SOAK else 5_000
    rows, delay = shop(place, "rebalance", count, SEED % 1000), patience(count)
    results = place.tables("rebalance")

    def shares() -> list[int]:
        owners = [lease.owner for lease in results.leases().values()]
        return sorted(owners.count(name) for name in fleet.running())

    with place.fleet(stream, "rebalance", delay=delay) as fleet:
        fleet.start("ann")
        producer = Producer(place, stream, rows)
        wait_for(lambda: shares() == [4], timeout=60, what="one worker to have all shards")
        fleet.start("bob")
        wait_for(lambda: shares() == [2, 2], timeout=60, what="a second worker to have half")
        fleet.start("cem")
        wait_for(lambda: shares() == [1, 1, 2], timeout=60, what="a third worker to have one")
        fleet.stop("ann")
        assert "ann" not in {lease.owner for lease in results.leases().values()}, "what is given back is free at once"
        wait_for(lambda: shares() == [2, 2], timeout=60, what="the others to have all")
        sent = producer.all()
        place.wait(results, sent, fleet)
    same(results, place.calm(stream, "rebalance-calm", sent, delay=delay))


def test_a_worker_that_slept_cannot_write(place: Desk, stream: str) -> None:
    """It is stopped with rows in its hands, others take its shards; when it wakes up, its writes are refused."""
    rows, delay = shop(place, "slept", 4_000, SEED % 1000), patience(4_000)
    results = place.tables("slept")
    with place.fleet(stream, "slept", delay=delay) as fleet:
        fleet.start("ann")
        wait_for(lambda: [k.owner for k in results.leases().values()] == ["ann"] * 4, timeout=60, what="ann's leases")
        producer = Producer(place, stream, rows, 0.01)
        wait_for(lambda: results.records() > 300, timeout=60, what="ann to be at work")
        fleet.signal("ann", signal.SIGSTOP)
        in_flight = producer.sent - results.records()
        fleet.start("bob")
        wait_for(lambda: {k.owner for k in results.leases().values()} == {"bob"}, timeout=60, what="bob to take over")
        fleet.signal("ann", signal.SIGCONT)
        sent = producer.all()
        place.wait(results, sent, fleet)
        wait_for(lambda: "ann: lost" in fleet.said(), timeout=60, what="ann to notice")
    print(f"WORKBOOK_SEED={SEED}: ann slept with {in_flight} records in flight")
    same(results, place.calm(stream, "slept-calm", sent, delay=delay))


PARENT = """
import sys, time
from pathlib import Path
from helpers.continuous.fleet import Fleet
fleet = Fleet("--stream", sys.argv[1], "--application", sys.argv[2], log=Path(sys.argv[3]))
fleet.start("child")
print(fleet.workers["child"].pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_no_worker_outlives_who_started_it(place: Desk, how: str) -> None:
    name = f"parent-{how}"
    place.kinesis.create_stream(StreamName=name, ShardCount=1)
    results = place.tables(name)
    command = [sys.executable, "-c", PARENT, name, name, str(place.folder / f"{name}.log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    assert parent.stdout
    worker = psutil.Process(int(parent.stdout.readline()))
    wait_for(lambda: [k.owner for k in results.leases().values()] == ["child"], timeout=60, what="the worker to work")
    if how == "killed":
        parent.kill()
    else:  # as Jupyter interrupts a kernel: the signal goes to its process group
        os.killpg(parent.pid, signal.SIGINT)
    parent.wait(30)
    wait_for(lambda: not worker.is_running(), timeout=60, what="the worker to end")
    assert [k.owner for k in results.leases().values()] == [None], "it gave its lease back"


def test_a_worker_without_a_cloud_ends_with_one_line(tmp_path: Path) -> None:
    environment = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    command = [sys.executable, "-m", "helpers.continuous.worker", "--stream", "s", "--application", "a"]
    done = subprocess.run([*command, "--name", "ann"], env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == 'ann: Could not connect to the endpoint URL: "http://127.0.0.1:9/"\n'
