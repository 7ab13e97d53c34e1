"""The continuous process by itself: one worker, a buffer that is full already, windows of minutes and hours.

Read from Kinesis, and from the lab's own broker as the only member of a group. The patience is long enough for nothing
to be late: the file's rows are months apart.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from ..continuous.fleet import Fleet
from ..continuous.replay import put
from ..continuous.store import Results
from ..provision import wait_for
from ..rows import read_rows, to_json
from .ground import Ground

_KEYS = {"": ("leaseKey",), "-windows": ("Kind", "Part"), "-seen": ("Shard", "Chunk")}
_DELAY = ["--delay", str(400 * 86_400)]
_SHARDS = 16  # a shard takes 1,000 records a second
_PARTITIONS = 4


def measure(ground: Ground) -> dict[str, Any]:
    """Rows a second that the worker counts, and what its windows hold at the end."""
    rows = list(itertools.islice(read_rows(ground.csv, on_refused=lambda _: None), 2_000 if ground.quick else None))
    with ground.lab():
        kinesis = boto3.client("kinesis")
        kinesis.create_stream(StreamName="bench", ShardCount=_SHARDS)
        kinesis.get_waiter("stream_exists").wait(StreamName="bench")
        for start in range(0, len(rows), 50_000):
            put(kinesis, "bench", rows[start : start + 50_000])
        arguments = ["--stream", "bench", "--idle", "0.25"]
        figures = {"kinesis": _read(ground.scratch / "kinesis.log", "from-kinesis", arguments, len(rows))}
    with ground.lab(), _topic() as bootstrap:
        _produce(bootstrap, rows)
        arguments, module = ["--topic", "bench", "--bootstrap", bootstrap], "helpers.continuous.kafka_worker"
        figures["kafka"] = _read(ground.scratch / "kafka.log", "from-kafka", arguments, len(rows), module)
    return {"continuous": {"file": ground.csv.name, "rows": len(rows), **figures}}


def _read(log: Path, name: str, arguments: list[str], rows: int, module: str = "helpers.continuous.worker") -> Any:
    dynamodb = boto3.client("dynamodb")
    for suffix, keys in _KEYS.items():
        dynamodb.create_table(
            TableName=name + suffix,
            KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
            AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    results = Results(dynamodb, name)
    with Fleet(*arguments, "--application", name, *_DELAY, log=log, module=module) as fleet:

        def counted(number: int) -> Callable[[], bool]:
            def condition() -> bool:
                if not fleet.running():
                    raise RuntimeError(f"the worker has ended: {fleet.said()[-500:]}")
                return results.records() >= number

            return condition

        fleet.start("bench")
        wait_for(counted(1), timeout=120, what="the worker to begin")
        before, started = results.records(), time.perf_counter()
        wait_for(counted(rows), timeout=3_000, what="the worker to have counted all rows")
        seconds = time.perf_counter() - started
    found, revenue = results.totals()
    figure: dict[str, Any] = {"rows_per_second": round((rows - before) / seconds), "seconds": round(seconds, 1)}
    return figure | {"rows": found, "revenue": format(revenue.normalize(), "f"), **results.numbers()}


@contextmanager
def _topic() -> Iterator[str]:
    """The bootstrap servers of a broker of the lab's own, with an empty topic."""
    kafka = boto3.client("kafka")
    group = {"ClientSubnets": ["subnet-a", "subnet-b"], "InstanceType": "kafka.t3.small"}
    wanted = {
        "KafkaVersion": "3.9.x",
        "NumberOfBrokerNodes": 2,
        "BrokerNodeGroupInfo": group,
        "ClientAuthentication": {"Unauthenticated": {"Enabled": True}},
        "EncryptionInfo": {"EncryptionInTransit": {"ClientBroker": "TLS_PLAINTEXT", "InCluster": True}},
    }
    cluster = kafka.create_cluster_v2(ClusterName="bench", Provisioned=wanted)["ClusterArn"]

    def state() -> str:
        return str(kafka.describe_cluster_v2(ClusterArn=cluster)["ClusterInfo"]["State"])

    wait_for(lambda: state() == "ACTIVE", timeout=60, what="the cluster")
    kafka.create_topic(ClusterArn=cluster, TopicName="bench", PartitionCount=_PARTITIONS, ReplicationFactor=1)
    yield str(kafka.get_bootstrap_brokers(ClusterArn=cluster)["BootstrapBrokerString"])
    kafka.delete_cluster(ClusterArn=cluster)


def _produce(bootstrap: str, rows: list[Any]) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, batch_size=128 * 1024)
    for row in rows:
        producer.send("bench", to_json(row).encode(), row["InvoiceNo"].encode())
    producer.close()
