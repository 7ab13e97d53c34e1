"""A worker of the continuous process: reads its shards of a Kinesis stream for as long as it lives.

    python -m helpers.continuous.worker --stream APIdata --application workbook-continuous

Start as many as you like, on as many machines as you like: they share the shards by their leases. Plain boto3; the
credentials come from the environment, as they would from the machine's role. SIGTERM (or Ctrl-C) ends it between two
records: what is done is committed, the leases are given back. Anything harder does no harm.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .leases import SHARD_END, TRIM_HORIZON, Lease, LeaseLost, LeaseTable, Taker
from .store import Record, Shard

PAGE = 1000  # records a read; Kinesis gives up to 10,000
_THROTTLED = {"ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException"}


class Reader:
    """One shard: where in the stream it is read next, and what was computed of it."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.iterator: str | None = None
        self.not_before = 0.0


class Worker:
    """Reads the shards that it has leases for, one after the other, in one thread: nothing here runs at once.

    `failover`: seconds after which a silent worker's shards are taken by others. `idle`: seconds between two reads of a
    shard that had nothing new. https://docs.aws.amazon.com/streams/latest/dev/kcl-best-practices.html
    """

    def __init__(
        self,
        stream: str,
        application: str,
        name: str,
        *,
        delay: dt.timedelta = dt.timedelta(minutes=2),
        failover: float = 10.0,
        idle: float = 1.0,
        remember: float = 86_400.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        # A read that is refused is repeated here, between the other shards: boto3 would wait, and they with it.
        few, more = (Config(retries={"mode": "standard", "total_max_attempts": times}) for times in (2, 5))
        self.kinesis = boto3.client("kinesis", config=few)
        self.leases = LeaseTable(boto3.client("dynamodb", config=more), application, name)
        self.taker = Taker(name, failover)
        self.stream, self.delay, self.remember = stream, delay, remember
        self.failover, self.idle, self.say = failover, idle, say
        self.readers: dict[str, Reader] = {}
        self.stopping = threading.Event()
        self._renewed = self._looked = float("-inf")

    def run(self) -> None:
        """Until `stopping` is set."""
        self.find_shards()
        while not self.stopping.is_set():
            self.look_after_leases()
            if not any([self.read(key) for key in list(self.readers)]):
                self.stopping.wait(min(self.idle, self.failover / 4, 0.2))
        for reader in self.readers.values():
            try:
                reader.shard.commit()
                self.leases.release(reader.shard.lease)
            except LeaseLost:
                pass  # it has been taken already
        self.say("stopped; its leases are free")

    def find_shards(self) -> None:
        """Makes a lease for each shard of the stream that has none."""
        pages = self.kinesis.get_paginator("list_shards").paginate(StreamName=self.stream)
        known = self.leases.all()
        for shard in (s for page in pages for s in page["Shards"]):
            if shard["ShardId"] not in known:
                parents = [shard.get("ParentShardId"), shard.get("AdjacentParentShardId")]
                self.leases.create(shard["ShardId"], [parent for parent in parents if parent])

    def look_after_leases(self) -> None:
        """Renews ours, and takes what is to be taken: each as often as `failover` asks for."""
        now = time.monotonic()
        if now - self._renewed >= self.failover / 3:
            self._renewed = now
            for key, reader in list(self.readers.items()):
                try:
                    reader.shard.lease = self._same(reader.shard.lease, self.leases.renew(reader.shard.lease))
                except LeaseLost:
                    self.drop(key)
        if now - self._looked >= self.failover / 2 or not self.readers:
            self._looked = now
            leases = self.leases.all()
            for lease in self.taker.wanted(leases, self.readers):
                try:
                    mine = self.leases.take(lease)
                except LeaseLost:
                    continue  # somebody was faster
                self.readers[lease.key] = Reader(self._shard(mine, leases))
                self.say(f"took {lease.key} from {lease.owner or 'nobody'} at {mine.checkpoint}")

    @staticmethod
    def _same(before: Lease, after: Lease) -> Lease:
        assert before.checkpoint == after.checkpoint, "a lease that was ours has moved"
        return after

    def _shard(self, lease: Lease, leases: dict[str, Lease]) -> Shard:
        ancestors: dict[str, Lease] = {}
        waiting = list(lease.parents)
        while waiting:
            key = waiting.pop()
            if key in leases and key not in ancestors:
                ancestors[key] = leases[key]
                waiting += leases[key].parents
        return Shard(
            self.leases,
            lease,
            delay=self.delay,
            remember=self.remember,
            ancestors=ancestors.values(),
            patience=self.failover,
        )

    def drop(self, key: str) -> None:
        """Somebody else has the shard: what is not committed is theirs to do."""
        del self.readers[key]
        self.say(f"lost {key}")

    def read(self, key: str) -> bool:
        """Reads and counts one page of a shard; whether there was anything."""
        self.look_after_leases()  # others' shards must not wait for a renewal until this page is done
        reader, now = self.readers.get(key), time.monotonic()
        if reader is None or now < reader.not_before or self.stopping.is_set():
            return False
        try:
            page = self._page(reader)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _THROTTLED | {"ExpiredIteratorException"}:
                raise
            if code == "ExpiredIteratorException":
                reader.iterator = None  # the next one begins at the checkpoint
            else:  # a shard may be read five times and 2 MB a second, by all who read it together
                reader.not_before = now + 0.2
            return False
        try:
            for record in page["Records"]:
                arrived = record["ApproximateArrivalTimestamp"].timestamp()
                reader.shard.add(Record(record["SequenceNumber"], arrived, record["Data"]))
            reader.shard.commit()
            reader.iterator = page.get("NextShardIterator")
            if reader.iterator is None:  # closed, and read to its end
                self._finish(reader)
                return True
        except LeaseLost:
            self.drop(key)
            return True
        if not page["Records"] and not page.get("MillisBehindLatest"):
            reader.not_before = now + self.idle
        return bool(page["Records"])

    def _page(self, reader: Reader) -> dict[str, Any]:
        if reader.iterator is None:
            at = reader.shard.lease.checkpoint
            place = (
                {"ShardIteratorType": TRIM_HORIZON}
                if at == TRIM_HORIZON
                else {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": at}
            )
            reader.iterator = self.kinesis.get_shard_iterator(
                StreamName=self.stream, ShardId=reader.shard.lease.key, **place
            )["ShardIterator"]
        page: dict[str, Any] = self.kinesis.get_records(ShardIterator=reader.iterator, Limit=PAGE)
        return page

    def _finish(self, reader: Reader) -> None:
        """A shard that was split or merged: its children can be read now, by whoever takes them."""
        reader.shard.commit(SHARD_END)
        self.leases.release(reader.shard.lease)
        del self.readers[reader.shard.lease.key]
        self.say(f"read {reader.shard.lease.key} to its end")
        self.find_shards()
        self._looked = float("-inf")


def end_with_parent(stop: Callable[[], None]) -> None:
    """Calls `stop` when standard input ends, as a pipe does when the process that holds its other end is gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        stop()
        time.sleep(15)
        os._exit(1)  # whatever it hangs in

    threading.Thread(target=wait, daemon=True, name="parent").start()


def arguments_of(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What every worker can be told."""
    add: Callable[..., Any] = parser.add_argument
    add("--application", required=True, help="whose leases and windows: the first name of its three tables")
    add("--name", default=f"worker-{os.getpid()}", help="the leases' owner; no two that live may share one")
    add("--delay", type=float, default=120.0, metavar="S", help="seconds of disorder that are waited for; default 120")
    add("--failover", type=float, default=10.0, metavar="S", help="seconds until a silent worker counts as gone")
    add("--idle", type=float, default=1.0, metavar="S", help="seconds between two reads that find nothing; default 1")
    add("--remember", type=float, default=86_400.0, metavar="S", help="seconds that duplicates are known for")
    add("--with-parent", action="store_true", help="end when standard input ends")
    return parser


def run_until_told(
    name: str,
    stopping: threading.Event,
    run: Callable[[], None],
    with_parent: bool,
    errors: tuple[type[Exception], ...] = (ClientError, BotoCoreError),
) -> int:
    """Runs a worker until SIGTERM, SIGINT or its parent's end. Returns the exit code; one of `errors` is one line."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if with_parent:
        end_with_parent(stopping.set)
    try:
        run()
    except errors as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.continuous.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--stream", required=True, help="the Kinesis stream")
    options = arguments_of(parser).parse_args(arguments)
    worker = Worker(
        options.stream,
        options.application,
        options.name,
        delay=dt.timedelta(seconds=options.delay),
        failover=options.failover,
        idle=options.idle,
        remember=options.remember,
        say=lambda line: print(f"{options.name}: {line}", flush=True),
    )
    return run_until_told(options.name, worker.stopping, worker.run, options.with_parent)


if __name__ == "__main__":
    sys.exit(main())
