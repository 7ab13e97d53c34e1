"""MSK through boto3 on a lab: clusters, topics, who may, triggers with real functions, and what a lab leaves behind.

https://docs.aws.amazon.com/msk/1.0/apireference/
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from kafka import KafkaConsumer, KafkaProducer

from helpers.localaws import server
from helpers.provision import wait_for

PROVISIONED: dict[str, Any] = {
    "KafkaVersion": "3.9.x",
    "NumberOfBrokerNodes": 2,
    "BrokerNodeGroupInfo": {"InstanceType": "kafka.t3.small", "ClientSubnets": ["subnet-a", "subnet-b"]},
    "ClientAuthentication": {"Unauthenticated": {"Enabled": True}},
    "EncryptionInfo": {"EncryptionInTransit": {"ClientBroker": "TLS_PLAINTEXT"}},
}


def session(info: server.LabInfo) -> boto3.Session:
    return boto3.Session(info.access_key, info.secret_key, region_name=server.REGION)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.LabInfo]:
    folder = tmp_path_factory.mktemp("msk") / "lab"
    yield server.start(folder, idle_exit=300)
    server.stop(folder)


@pytest.fixture
def client(lab: server.LabInfo) -> Any:
    return session(lab).client("kafka", endpoint_url=lab.endpoint)


def make(client: Any, name: str, **more: Any) -> str:
    """A cluster that is ACTIVE."""
    arn = client.create_cluster_v2(ClusterName=name, Provisioned=PROVISIONED, **more)["ClusterArn"]
    wait_for(lambda: describe(client, arn)["State"] == "ACTIVE", timeout=60, what="the cluster")
    return str(arn)


def describe(client: Any, arn: str) -> Any:
    return client.describe_cluster_v2(ClusterArn=arn)["ClusterInfo"]


def brokers(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if p.name() == "tansu"]


def test_a_clusters_life(lab: server.LabInfo, client: Any) -> None:
    """CREATING, ACTIVE once the broker answers, gone with its broker"""
    made = client.create_cluster_v2(ClusterName="life", Provisioned=PROVISIONED, Tags={"workbook": "test"})
    arn = made["ClusterArn"]
    assert (made["State"], made["ClusterType"]) == ("CREATING", "PROVISIONED")
    assert arn.startswith("arn:aws:kafka:us-east-1:123456789012:cluster/life/")
    wait_for(lambda: describe(client, arn)["State"] == "ACTIVE", timeout=60, what="the cluster")
    shown = describe(client, arn)
    assert shown["Tags"] == {"workbook": "test"} and shown["ClusterName"] == "life"
    assert shown["Provisioned"]["CurrentBrokerSoftwareInfo"] == {"KafkaVersion": "3.9.x"}
    assert shown["Provisioned"]["NumberOfBrokerNodes"] == 2
    servers = client.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerString"]
    assert servers.startswith("127.0.0.1:")
    producer = KafkaProducer(bootstrap_servers=servers)
    producer.send("t", b"x").get(10)
    producer.close()
    assert [c["ClusterName"] for c in client.list_clusters_v2(ClusterNameFilter="li")["ClusterInfoList"]] == ["life"]
    assert client.list_clusters_v2(ClusterTypeFilter="SERVERLESS")["ClusterInfoList"] == []
    client.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(ResourceArn=arn, TagKeys=["a", "workbook"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"b": "2"}
    there = len(brokers(lab.pid))
    assert client.delete_cluster(ClusterArn=arn)["State"] == "DELETING"
    assert len(brokers(lab.pid)) == there - 1
    with pytest.raises(client.exceptions.NotFoundException):
        client.describe_cluster_v2(ClusterArn=arn)


def test_topics(client: Any) -> None:
    arn = make(client, "topics")
    made = client.create_topic(ClusterArn=arn, TopicName="a.b-c_1", PartitionCount=3, ReplicationFactor=2)
    assert made["TopicArn"] == f"{arn.replace(':cluster/', ':topic/')}/a.b-c_1"
    shown = client.describe_topic(ClusterArn=arn, TopicName="a.b-c_1")
    assert (shown["PartitionCount"], shown["ReplicationFactor"], shown["Status"]) == (3, 2, "ACTIVE")
    found = client.describe_topic_partitions(ClusterArn=arn, TopicName="a.b-c_1")["Partitions"]
    assert [p["Partition"] for p in found] == [0, 1, 2]
    pages = client.get_paginator("describe_topic_partitions").paginate(
        ClusterArn=arn, TopicName="a.b-c_1", PaginationConfig={"PageSize": 2}
    )
    assert [[p["Partition"] for p in page["Partitions"]] for page in pages] == [[0, 1], [2]]
    with pytest.raises(client.exceptions.BadRequestException, match="maxResults is 1 to 100"):
        client.list_topics(ClusterArn=arn, MaxResults=101)
    assert [t["TopicName"] for t in client.list_topics(ClusterArn=arn)["Topics"]] == ["a.b-c_1"]
    with pytest.raises(client.exceptions.ConflictException, match="already exists"):
        client.create_topic(ClusterArn=arn, TopicName="a.b-c_1", PartitionCount=3, ReplicationFactor=2)
    for wrong in (
        {"TopicName": "a b"},
        {"TopicName": "x", "ReplicationFactor": 3},
        {"TopicName": "x", "Configs": "e30="},
    ):
        wanted: dict[str, Any] = {"ClusterArn": arn, "PartitionCount": 1, "ReplicationFactor": 1, **wrong}
        with pytest.raises(client.exceptions.BadRequestException):
            client.create_topic(**wanted)
    client.delete_topic(ClusterArn=arn, TopicName="a.b-c_1")
    with pytest.raises(client.exceptions.NotFoundException):
        client.describe_topic(ClusterArn=arn, TopicName="a.b-c_1")
    client.delete_cluster(ClusterArn=arn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EncryptionInfo": {"EncryptionInTransit": {"ClientBroker": "TLS"}}}, "plain text"),
        ({"EncryptionInfo": {}}, "plain text"),
        ({"ClientAuthentication": {"Sasl": {"Iam": {"Enabled": True}}}}, "without a name"),
        ({"NumberOfBrokerNodes": 3}, "multiple of Availability Zones"),
        ({"NumberOfBrokerNodes": 0}, "numberOfBrokerNodes"),
        ({"OpenMonitoring": {"Prometheus": {}}}, "does not have openMonitoring"),
    ],
)
def test_clusters_that_are_refused(lab: server.LabInfo, changes: Any, words: str) -> None:
    from botocore.config import Config

    config = Config(parameter_validation=False)
    client = session(lab).client("kafka", endpoint_url=lab.endpoint, config=config)
    with pytest.raises(client.exceptions.BadRequestException, match=words):
        client.create_cluster_v2(ClusterName="no", Provisioned={**PROVISIONED, **changes})
    with pytest.raises(client.exceptions.BadRequestException, match="provisioned clusters only"):
        client.create_cluster_v2(ClusterName="no", Serverless={"VpcConfigs": []})


def test_policies_hold_by_cluster_and_topic(lab: server.LabInfo, client: Any) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmanagedstreamingforapachekafka.html"""
    arn, other = make(client, "mine"), make(client, "other")
    iam = session(lab).client("iam", endpoint_url=lab.endpoint)
    iam.create_user(UserName="reader")
    topic = arn.replace(":cluster/", ":topic/")
    statements = [
        {"Effect": "Allow", "Action": "kafka:DescribeClusterV2", "Resource": arn},
        {"Effect": "Allow", "Action": "kafka:CreateTopic", "Resource": f"{topic}/allowed"},
        {"Effect": "Allow", "Action": "kafka:GetBootstrapBrokers", "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = boto3.client(
        "kafka", endpoint_url=lab.endpoint, region_name=server.REGION,
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
    )  # fmt: skip
    reader.describe_cluster_v2(ClusterArn=arn)
    reader.get_bootstrap_brokers(ClusterArn=other)
    reader.create_topic(ClusterArn=arn, TopicName="allowed", PartitionCount=1, ReplicationFactor=1)
    for call in (
        lambda: reader.describe_cluster_v2(ClusterArn=other),
        lambda: reader.create_topic(ClusterArn=arn, TopicName="not", PartitionCount=1, ReplicationFactor=1),
        lambda: reader.delete_topic(ClusterArn=arn, TopicName="allowed"),
        lambda: reader.list_clusters_v2(),
        lambda: reader.delete_cluster(ClusterArn=arn),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
    for name in (arn, other):
        client.delete_cluster(ClusterArn=name)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_broker_outlives_its_lab(tmp_path: Path, how: signal.Signals) -> None:
    folder = tmp_path / "lab"
    info = server.start(folder, idle_exit=300)
    make(session(info).client("kafka", endpoint_url=info.endpoint), "w")
    (broker,) = brokers(info.pid)
    os.kill(info.pid, how)
    gone, alive = psutil.wait_procs([broker], timeout=60)
    assert not alive, "the broker lives on without its lab"
    server.stop(folder)


def test_a_broker_that_ends_is_told(lab: server.LabInfo, client: Any) -> None:
    arn = make(client, "short")
    before = {p.pid for p in brokers(lab.pid)}
    client.delete_cluster(ClusterArn=arn)
    arn = make(client, "short")
    (broker,) = [p for p in brokers(lab.pid) if p.pid not in before]
    broker.kill()
    started = time.monotonic()
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        client.list_topics(ClusterArn=arn)
    assert time.monotonic() - started < 60
    client.delete_cluster(ClusterArn=arn)


def test_a_real_broker_stands_behind_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Any) -> None:
    """KAFKA_BOOTSTRAP_SERVERS in the lab's environment: no broker of its own, one cluster, and topics stay there."""
    owner = session(lab).client("kafka", endpoint_url=lab.endpoint)
    arn = make(owner, "real")
    servers = owner.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerString"]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    folder = tmp_path / "lab"
    info = server.start(folder, idle_exit=300)
    try:
        client = session(info).client("kafka", endpoint_url=info.endpoint)
        other = make(client, "w")
        assert client.get_bootstrap_brokers(ClusterArn=other)["BootstrapBrokerString"] == servers
        client.create_topic(ClusterArn=other, TopicName="t", PartitionCount=2, ReplicationFactor=1)
        assert [t["TopicName"] for t in owner.list_topics(ClusterArn=arn)["Topics"]] == ["t"]
        assert not brokers(info.pid)
        with pytest.raises(client.exceptions.BadRequestException, match="stands for one cluster"):
            client.create_cluster_v2(ClusterName="second", Provisioned=PROVISIONED)
        client.delete_cluster(ClusterArn=other)
        consumer = KafkaConsumer(bootstrap_servers=servers)
        assert "t" in consumer.topics()
        consumer.close()
    finally:
        server.stop(folder)
        owner.delete_cluster(ClusterArn=arn)
