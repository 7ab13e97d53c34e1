"""The continuous process on Kafka: a worker that is a member of a consumer group.

    python -m helpers.continuous.kafka_worker --topic APIdata --application workbook-continuous-kafka

Who reads which partition, the group's coordinator decides, on the broker; there is nothing to renew and nothing to
steal. What has been computed still lies in DynamoDB, and **with** it, in the same transaction, the partition's offset:
Kafka's own committed offset is a copy, for whoever looks at the lag. So output and position cannot part, as with
Kafka's transactions when the output is a topic. A partition's lease is taken when the group assigns it; a member that
the group has given up on has lost it, and can write nothing any more.

Partitions must keep their number while duplicates may come (another number sends keys elsewhere), and a topic that was
deleted and made anew begins at offset 0 again: give it an application of its own.

Where the broker asks for a name: KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, KAFKA_USERNAME, KAFKA_PASSWORD and
KAFKA_CA_FILE. https://kafka.apache.org/documentation/#consumerconfigs
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from kafka import TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from helpers.handlers.kafka_security import security
from helpers.kafka_group import GroupConsumer

from .leases import TRIM_HORIZON, LeaseLost, LeaseTable
from .store import Record, Shard
from .worker import PAGE, arguments_of, run_until_told

_POLL = 200  # milliseconds that a poll waits for records


def connection(bootstrap: str) -> dict[str, Any]:
    """How kafka-python reaches the brokers, from the environment."""
    return {"bootstrap_servers": bootstrap.split(","), **security()}


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what the group has given us, also when it has been ours before; called in kafka-python's own thread."""

    def __init__(self) -> None:
        self._partitions: set[Any] = set()
        self._lock = threading.Lock()

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass  # whoever is next takes the lease

    def on_partitions_assigned(self, assigned: Any) -> None:
        with self._lock:
            self._partitions |= set(assigned)

    def take(self) -> set[Any]:
        """Those since the last call."""
        with self._lock:
            taken, self._partitions = self._partitions, set()
        return taken


class KafkaWorker:
    """Reads the partitions that its group gives it. `failover`: the group's session timeout, in seconds.

    Brokers refuse a session of less than 6 seconds unless their group.min.session.timeout.ms allows it.
    """

    def __init__(
        self,
        topic: str,
        application: str,
        name: str,
        *,
        bootstrap: str,
        delay: dt.timedelta = dt.timedelta(minutes=2),
        failover: float = 10.0,
        remember: float = 86_400.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        settings = Config(retries={"mode": "standard", "total_max_attempts": 5})
        self.leases = LeaseTable(boto3.client("dynamodb", config=settings), application, name)
        self.topic, self.bootstrap, self.delay, self.remember = topic, bootstrap, delay, remember
        self.failover, self.say = failover, say
        self.shards: dict[TopicPartition, Shard] = {}
        self.lost: dict[TopicPartition, float] = {}  # whose lease another one took, and when
        self.stopping = threading.Event()

    def run(self) -> None:
        """Until `stopping` is set. Raises KafkaError when no broker answers at the start; later it waits for them."""
        consumer = self.member()
        while True:
            try:
                self.read(consumer)
                return
            except KafkaError as error:
                self.shards.clear()  # what is not committed is read again
                self.say(f"no records come ({type(error).__name__}: {error}); trying again")
            finally:
                consumer.close(autocommit=False, timeout_ms=2_000)
            while not self.stopping.wait(1):
                try:
                    consumer = self.member()
                    break
                except KafkaError:
                    continue
            else:
                return

    def member(self) -> Any:
        """A consumer that is going to join the group. Raises KafkaError when no broker answers."""
        session = int(self.failover * 1000)
        return GroupConsumer(
            **connection(self.bootstrap),
            group_id=self.leases.table,
            client_id=self.leases.worker,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 4,
            max_poll_records=PAGE,
            bootstrap_timeout_ms=10_000,
            metadata_max_age_ms=5_000,
            reconnect_backoff_max_ms=500,
        )

    def read(self, consumer: Any) -> None:
        """Reads what the group gives us until `stopping` is set, and gives the leases back then."""
        assigned = _Assigned()
        consumer.subscribe([self.topic], listener=assigned)
        while not self.stopping.is_set():
            pages = consumer.poll(timeout_ms=_POLL)
            fresh = assigned.take()
            self.follow(consumer, fresh)
            for partition, records in pages.items():
                # A page of a partition that is new may begin anywhere: it has been told where to begin only now.
                if partition in self.shards and partition not in fresh and not self.stopping.is_set():
                    self.count(consumer, partition, records)
        for shard in self.shards.values():
            self.give_back(shard)
        self.say("stopped; its partitions are free")

    def follow(self, consumer: Any, fresh: set[Any]) -> None:
        """Leaves the partitions that the group has taken away, and takes up those that it has given us.

        One that we lost to another member is most likely no longer ours: the group has gone on without us, and we are
        the last to hear of it. Taking it back at once would be taken for the group's word, and the two would fight. So
        it is taken when the group gives it to us anew, or when we have stayed a member for as long as a session: then
        it was the other one that was late.
        """
        ours = consumer.assignment()
        self.lost = {p: since for p, since in self.lost.items() if p in ours and p not in fresh}
        for partition in [p for p in self.shards if p not in ours]:
            self.give_back(self.shards.pop(partition))
            self.say(f"left {partition.topic}-{partition.partition}")
        for partition in ours:
            lost = self.lost.get(partition)
            if lost is not None and time.monotonic() - lost < self.failover:
                continue
            if partition in fresh or partition not in self.shards:
                self.lost.pop(partition, None)
                self.open(consumer, partition)

    def open(self, consumer: Any, partition: Any) -> None:
        """Takes a partition's lease, whoever has it: it is the group that decides. Then reads on where it stands."""
        key = f"{partition.topic}-{partition.partition}"
        self.leases.create(key)
        for _ in range(10):
            try:
                lease = self.leases.take(self.leases.all()[key])
                break
            except LeaseLost:
                continue  # it was written in between, by who had it
        else:
            raise KafkaError(f"the lease of {key} could not be taken: does another group write to {self.leases.table}?")
        self.shards[partition] = Shard(
            self.leases, lease, delay=self.delay, remember=self.remember, patience=self.failover
        )
        if lease.checkpoint == TRIM_HORIZON:
            consumer.seek_to_beginning(partition)
        else:
            consumer.seek(partition, int(lease.checkpoint) + 1)
        self.say(f"took {key} at {lease.checkpoint}")

    def count(self, consumer: Any, partition: Any, records: list[Any]) -> None:
        """Counts some records of a partition, and commits; what has been counted already is left out."""
        shard = self.shards[partition]
        done = -1 if shard.lease.checkpoint == TRIM_HORIZON else int(shard.lease.checkpoint)
        try:
            for record in records:
                if record.offset > done:
                    shard.add(Record(str(record.offset), record.timestamp / 1000, record.value or b""))
            shard.commit()
        except LeaseLost:  # the group gave it to another one while we were away
            self.say(f"lost {shard.lease.key}")
            del self.shards[partition]
            self.lost[partition] = time.monotonic()
            return
        if shard.lease.checkpoint != TRIM_HORIZON:
            consumer.commit_async({partition: OffsetAndMetadata(int(shard.lease.checkpoint) + 1, "", -1)})

    def give_back(self, shard: Shard) -> None:
        try:
            self.leases.release(shard.lease)
        except LeaseLost:
            pass  # it has been taken already


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.continuous.kafka_worker", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--topic", required=True, help="the topic")
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    parser.add_argument("--bootstrap", default=bootstrap, help="the brokers; default: KAFKA_BOOTSTRAP_SERVERS")
    options = arguments_of(parser).parse_args(arguments)
    if not options.bootstrap:
        parser.error("no brokers: give --bootstrap, or set KAFKA_BOOTSTRAP_SERVERS")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it tells of broken connections, it mends itself
    worker = KafkaWorker(
        options.topic,
        options.application,
        options.name,
        bootstrap=options.bootstrap,
        delay=dt.timedelta(seconds=options.delay),
        failover=options.failover,
        remember=options.remember,
        say=lambda line: print(f"{options.name}: {line}", flush=True),
    )
    failures = (ClientError, BotoCoreError, KafkaError)
    return run_until_told(options.name, worker.stopping, worker.run, options.with_parent, failures)


if __name__ == "__main__":
    sys.exit(main())
