"""MSK: clusters and topics, as far as a platform on one machine needs them.

https://docs.aws.amazon.com/msk/1.0/apireference/. A cluster is one broker on this machine, whatever number it was made
with, and its topics have one copy, whatever replication factor they were made with; it is ACTIVE once the broker
answers. Its clients connect in plain text and without a name. With KAFKA_BOOTSTRAP_SERVERS in the lab's environment
the cluster stands for that broker, and there is only one. Refused: serverless clusters, configurations, TLS, SASL and
IAM between clients and broker, changes of a cluster.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
import urllib.parse
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from . import constraints
from .auth import Signed
from .broker import Broker, client_settings, reachable, real
from .protocols import Call
from .types import ACCOUNT_ID, AwsError, Request, Response

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_LOG = logging.getLogger("localaws")
_bad = partial(AwsError, "BadRequestException")
_missing = partial(AwsError, "NotFoundException", status=404)
_conflict = partial(AwsError, "ConflictException", status=409)


@dataclass
class Cluster:
    arn: str
    name: str
    region: str
    provisioned: dict[str, Any]  # as it was asked for
    tags: dict[str, str]
    created: str
    state: str = "CREATING"
    broker: Broker | None = None  # None: the real one
    replicas: dict[str, int] = field(default_factory=dict)  # of topics, as they were asked for

    @property
    def bootstrap(self) -> str:
        return self.broker.address if self.broker else real()

    def topic_arn(self, name: str) -> str:
        return f"{self.arn.replace(':cluster/', ':topic/')}/{name}"

    def describe(self) -> dict[str, Any]:
        asked = {k: v for k, v in self.provisioned.items() if k != "kafkaVersion"}
        software = {"kafkaVersion": self.provisioned["kafkaVersion"]}
        return {
            "clusterArn": self.arn, "clusterName": self.name, "clusterType": "PROVISIONED", "state": self.state,
            "creationTime": self.created, "currentVersion": "K3P5ROKL5A1OLE", "tags": self.tags,
            "provisioned": {**asked, "currentBrokerSoftwareInfo": software, "enhancedMonitoring": "DEFAULT"},
        }  # fmt: skip


class Msk:
    """The service; `call` answers the operations that this AWS has."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clusters = folder, dict[str, Cluster]()
        self._starting: set[asyncio.Task[None]] = set()

    def call(self, call: Call, params: dict[str, Any], request: Request, signed: Signed) -> Awaitable[Response]:
        handler = getattr(self, call.operation, None) if call.operation[:1].isupper() else None
        if handler is None:
            raise AwsError("UnknownOperationException", f"The local AWS does not have kafka:{call.operation}.")
        return self._answer(call, params, request, signed.region)

    async def _answer(self, call: Call, params: dict[str, Any], request: Request, region: str) -> Response:
        try:
            params = constraints.check("kafka", call.operation, params)
        except AwsError as error:
            raise _bad(error.message) from None
        query = {k: v if k == "tagKeys" else v[0] for k, v in urllib.parse.parse_qs(request.query).items()}
        found = await getattr(self, call.operation)({**query, **call.uri, **params}, region)
        if found is None:
            return Response(204)
        return Response(200, orjson.dumps(found), {"Content-Type": "application/json"})

    def find(self, arn: str) -> Cluster:
        if arn not in self.clusters:
            raise _missing("The requested cluster does not exist.")
        return self.clusters[arn]

    async def close(self) -> None:
        for task in self._starting:
            task.cancel()
        for cluster in self.clusters.values():
            if cluster.broker:
                await asyncio.to_thread(cluster.broker.stop)

    # Clusters

    async def CreateClusterV2(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        name, asked = p["clusterName"], p.get("provisioned")
        if not asked:
            raise _bad("The local AWS has provisioned clusters only: give Provisioned.")
        if beyond := asked.keys() & {"configurationInfo", "openMonitoring", "loggingInfo", "rebalancing"}:
            raise _bad(f"The local AWS does not have {sorted(beyond)[0]} for a cluster.")
        transit = asked.get("encryptionInfo", {}).get("encryptionInTransit", {}).get("clientBroker", "TLS")
        if transit == "TLS" or not asked.get("clientAuthentication", {}).get("unauthenticated", {}).get("enabled"):
            text = "The local AWS's brokers are reached in plain text and without a name: give EncryptionInfo with "
            raise _bad(f"{text}ClientBroker TLS_PLAINTEXT or PLAINTEXT, and ClientAuthentication Unauthenticated.")
        if len(asked["brokerNodeGroupInfo"]["clientSubnets"]) not in (2, 3):
            raise _bad("Specify either two or three client subnets.")
        if asked["numberOfBrokerNodes"] % len(asked["brokerNodeGroupInfo"]["clientSubnets"]):
            raise _bad("The number of broker nodes must be a multiple of Availability Zones in the ClientSubnets.")
        if any(c.name == name and c.region == region for c in self.clusters.values()):
            raise _conflict("A resource with this name already exists.")
        if real() and self.clusters:
            raise _bad("The broker that KAFKA_BOOTSTRAP_SERVERS names stands for one cluster, and there is one.")
        arn = f"arn:aws:kafka:{region}:{ACCOUNT_ID}:cluster/{name}/{uuid.uuid4()}-{random.randint(1, 25)}"
        created = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        cluster = Cluster(arn, name, region, asked, dict(p.get("tags", {})), created)
        cluster.broker = None if real() else Broker(self.folder)
        self.clusters[arn] = cluster
        task = asyncio.ensure_future(self._start(cluster))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return {"clusterArn": arn, "clusterName": name, "state": "CREATING", "clusterType": "PROVISIONED"}

    async def _start(self, cluster: Cluster) -> None:
        try:
            if cluster.broker:
                await cluster.broker.start()
            elif not await reachable(real(), 10):
                raise OSError(f"{real()} does not answer")
        except OSError as error:
            _LOG.error("cluster %s: %s", cluster.name, error)
            cluster.state = "FAILED"
            return
        if cluster.arn in self.clusters:
            cluster.state = "ACTIVE"
        elif cluster.broker:  # deleted meanwhile
            await asyncio.to_thread(cluster.broker.stop)

    async def DescribeClusterV2(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return {"clusterInfo": self.find(p["clusterArn"]).describe()}

    async def ListClustersV2(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        here = [c for c in self.clusters.values() if c.region == region]
        named = [c for c in here if c.name.startswith(p.get("clusterNameFilter", ""))]
        wanted = [] if p.get("clusterTypeFilter") == "SERVERLESS" else named  # there are none
        return _page("clusterInfoList", [c.describe() for c in wanted], p)

    async def DeleteCluster(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        cluster = self.find(p["clusterArn"])
        del self.clusters[cluster.arn]
        if cluster.broker:
            await asyncio.to_thread(cluster.broker.stop)
        return {"clusterArn": cluster.arn, "state": "DELETING"}

    async def GetBootstrapBrokers(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return {"bootstrapBrokerString": self._active(p).bootstrap}

    def _active(self, p: dict[str, Any]) -> Cluster:
        cluster = self.find(p["clusterArn"])
        if cluster.state != "ACTIVE":
            raise _bad(f"The cluster is in the state {cluster.state}: it must be ACTIVE.")
        return cluster

    async def TagResource(self, p: dict[str, Any], region: str) -> None:
        self.find(p["resourceArn"]).tags.update(p["tags"])

    async def UntagResource(self, p: dict[str, Any], region: str) -> None:
        tags = self.find(p["resourceArn"]).tags
        for key in p["tagKeys"]:
            tags.pop(key, None)

    async def ListTagsForResource(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return {"tags": self.find(p["resourceArn"]).tags}

    # Topics: asked of the broker, because clients make them there, too.

    async def CreateTopic(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        cluster, name, replicas = self._active(p), p["topicName"], p["replicationFactor"]
        if p.get("configs"):
            raise _bad("The local AWS does not take configurations of a topic.")
        if replicas > cluster.provisioned["numberOfBrokerNodes"]:
            raise _bad("Replication factor is larger than the number of brokers.")
        if not _TOPIC.fullmatch(name):
            raise _bad("A topic's name has letters, digits, '.', '_' and '-', at most 249.")
        if name in await self._topics(cluster):
            raise _conflict("The topic already exists.")

        def create(admin: Any) -> Any:
            from kafka.admin import NewTopic

            return admin.create_topics([NewTopic(name, p["partitionCount"], 1)])

        await self._ask(cluster, create)
        cluster.replicas[name] = replicas
        return {"topicArn": cluster.topic_arn(name), "topicName": name, "status": "ACTIVE"}

    async def DescribeTopic(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        cluster = self._active(p)
        name, partitions = p["topicName"], await self._partitions(cluster, p)
        return {
            "topicArn": cluster.topic_arn(name), "topicName": name, "status": "ACTIVE",
            "partitionCount": len(partitions), "replicationFactor": cluster.replicas.get(name, 1),
        }  # fmt: skip

    async def DescribeTopicPartitions(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        found = await self._partitions(self._active(p), p)
        return _page("partitions", [{"partition": n, "leader": 1, "replicas": [1], "isr": [1]} for n in found], p)

    async def ListTopics(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        cluster, prefix = self._active(p), p.get("topicNameFilter", "")
        found = {n: t for n, t in (await self._topics(cluster)).items() if n.startswith(prefix)}
        topics = [
            {
                "topicArn": cluster.topic_arn(name), "topicName": name, "partitionCount": len(partitions),
                "replicationFactor": cluster.replicas.get(name, 1), "outOfSyncReplicaCount": 0,
            }
            for name, partitions in sorted(found.items())
        ]  # fmt: skip
        return _page("topics", topics, p)

    async def DeleteTopic(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        cluster, name = self._active(p), p["topicName"]
        await self._partitions(cluster, p)
        await self._ask(cluster, lambda admin: admin.delete_topics([name]))
        cluster.replicas.pop(name, None)
        return {"topicArn": cluster.topic_arn(name), "topicName": name, "status": "DELETING"}

    async def _partitions(self, cluster: Cluster, p: dict[str, Any]) -> list[int]:
        found = (await self._topics(cluster)).get(p["topicName"])
        if found is None:
            raise _missing("The requested topic does not exist.")
        return found

    async def _topics(self, cluster: Cluster) -> dict[str, list[int]]:
        """The partitions of each topic that is not Kafka's own."""
        found = await self._ask(cluster, lambda admin: admin.describe_topics())
        return {
            t["name"]: sorted(p["partition_index"] for p in t["partitions"])
            for t in found
            if not t["is_internal"] and not t["error_code"]
        }

    async def _ask(self, cluster: Cluster, question: Any) -> Any:
        """Asks the broker in a thread of its own; raises AwsError when it refuses or does not answer."""
        from kafka import KafkaAdminClient
        from kafka.errors import BrokerResponseError, KafkaError

        def ask() -> Any:
            admin = KafkaAdminClient(
                bootstrap_servers=cluster.bootstrap, bootstrap_timeout_ms=5_000, **client_settings()
            )
            try:
                return question(admin)
            finally:
                admin.close()

        try:
            return await asyncio.to_thread(ask)
        except BrokerResponseError as error:
            raise _bad(f"{type(error).__name__}: {error.description}") from error
        except KafkaError as error:
            raise AwsError("ServiceUnavailableException", f"The cluster does not answer: {error}", 503) from error


def _page(name: str, found: list[dict[str, Any]], p: dict[str, Any]) -> dict[str, Any]:
    """Of a list what maxResults and nextToken ask for; 100 at a time by default."""
    start, size = str(p.get("nextToken", "0")), str(p.get("maxResults", "100"))
    if not (start + size).isdecimal() or not 1 <= int(size) <= 100:
        raise _bad("One or more of the parameters are not valid: maxResults is 1 to 100.")
    stop = int(start) + int(size)
    return {name: found[int(start) : stop], **({"nextToken": str(stop)} if stop < len(found) else {})}
