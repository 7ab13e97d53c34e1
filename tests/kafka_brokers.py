"""The brokers that Kafka's tests run on: the lab's own, and a genuine Apache Kafka where Java and Maven are at hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from helpers import genuine_kafka
from helpers.localaws.broker import Broker

BROKERS = ["embedded", "genuine"]


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[genuine_kafka.Kafka]:
    """One for the whole session: it takes seconds to start."""
    if reason := genuine_kafka.why_not():
        pytest.skip(reason)
    kafka = genuine_kafka.Kafka(tmp_path_factory.mktemp("genuine"))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = Broker(tmp_path_factory.mktemp("embedded"))
    asyncio.run(broker.start())
    yield broker.address
    broker.stop()


@pytest.fixture(scope="module", params=BROKERS)
def broker_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bootstrap(broker_kind: str, request: pytest.FixtureRequest) -> str:
    """The bootstrap servers of the one, then of the other."""
    if broker_kind == "genuine":
        return str(request.getfixturevalue("genuine").bootstrap)
    return str(request.getfixturevalue("embedded"))


def is_genuine(request: pytest.FixtureRequest) -> bool:
    return "genuine" in request.node.callspec.id


def make_topic(bootstrap: str, partitions: int = 1, name: str = "") -> str:
    """A new topic of a name of its own."""
    name = name or f"t-{os.urandom(4).hex()}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, partitions, 1)])
    admin.close()
    return name


def produce(bootstrap: str, topic: str, *values: str, partition: int | None = None, **more: object) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2)
    for value in values:
        key = more.get("key", value.partition("/")[0])
        producer.send(topic, value.encode(), key=str(key).encode(), partition=partition)
    producer.flush()
    producer.close()


def committed(bootstrap: str, topic: str, group: str, partition: int = 0) -> int | None:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        found: int | None = consumer.committed(TopicPartition(topic, partition))
        return found
    finally:
        consumer.close()
