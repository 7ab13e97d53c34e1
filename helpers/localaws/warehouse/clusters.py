"""boto3's `redshift`: clusters as things that are created, paused and deleted. Their SQL is the engine's business.

https://docs.aws.amazon.com/redshift/latest/APIReference/Welcome.html
What changes a cluster answers with the state on the way ("creating"), and the next look finds it arrived: nothing has
to be started, and boto3's waiters would otherwise sleep for a minute.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from .. import protocols
from ..types import ACCOUNT_ID, AwsError, Response

# Node type -> slices of a node: https://docs.aws.amazon.com/redshift/latest/mgmt/working-with-clusters.html
SLICES = {"ra3.large": 2, "ra3.xlplus": 2, "ra3.4xlarge": 4, "ra3.16xlarge": 16, "dc2.large": 2, "dc2.8xlarge": 16}
_OPTIONS = (
    "Port", "PubliclyAccessible", "Encrypted", "AvailabilityZone", "AllowVersionUpgrade",
    "AutomatedSnapshotRetentionPeriod",
)  # fmt: skip
# What CreateCluster takes: another member would be taken without an effect, and be described as if it was not given.
_HERE = {
    "Action", "Version", "ClusterIdentifier", "NodeType", "NumberOfNodes", "ClusterType", "MasterUsername",
    "MasterUserPassword", "DBName", "IamRoles", "DefaultIamRoleArn", "Tags", *_OPTIONS,
}  # fmt: skip
_XML = 'xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"'


@dataclass
class Cluster:
    """A cluster; `status` is what the next look at it finds."""

    name: str
    region: str
    node_type: str
    nodes: int
    database: str
    admin: str
    password: str
    created: datetime
    roles: list[str]
    default_role: str
    tags: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    status: str = "available"
    namespace: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def arn(self) -> str:
        return f"arn:aws:redshift:{self.region}:{ACCOUNT_ID}:cluster:{self.name}"

    @property
    def slices(self) -> int:
        return self.nodes * SLICES[self.node_type]


def _flag(text: str | None, default: bool = False) -> bool:
    return default if text is None else text.lower() == "true"


class Clusters:
    """The room for `redshift`. `retire(cluster, delete)` ends a cluster's engine; `trusts(role)` asks IAM."""

    def __init__(
        self,
        retire: Callable[[Cluster, bool], Awaitable[None]],
        trusts: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._retire, self._trusts = retire, trusts
        self._clusters: dict[tuple[str, str], Cluster] = {}

    def find(self, name: str, region: str) -> Cluster | None:
        return self._clusters.get((region, name.lower()))

    async def call(self, operation: str, form: dict[str, str], region: str) -> Response:
        """Answers one call, in the query protocol's XML; raises AwsError."""
        act = getattr(self, re.sub("([A-Z])", r"_\1", operation).lower(), None)
        if act is None:
            raise AwsError("UnknownOperationException", f"The local AWS does not have redshift:{operation}.", 404)
        return _xml(operation, await act(form, region))

    def _get(self, form: dict[str, str], region: str) -> Cluster:
        name = form.get("ClusterIdentifier", "")
        if found := self.find(name, region):
            return found
        raise AwsError("ClusterNotFound", f"Cluster {name} not found.", 404)

    async def _create_cluster(self, form: dict[str, str], region: str) -> dict[str, Any]:
        name = form.get("ClusterIdentifier", "").lower()
        password, node_type = form.get("MasterUserPassword", ""), form.get("NodeType", "")
        if not re.fullmatch("[a-z](?!.*--)[a-z0-9-]{0,61}[a-z0-9]|[a-z]", name):
            text = "The parameter ClusterIdentifier must begin with a letter, hold letters, digits and hyphens only"
            raise _invalid(f"{text}, and neither end with a hyphen nor hold two in a row.")
        if self.find(name, region):
            raise AwsError("ClusterAlreadyExists", "Cluster already exists")
        if refused := [k for k in form if k.partition(".")[0] not in _HERE and form[k].lower() != "false"]:
            raise _invalid(f"The local AWS has no {refused[0].partition('.')[0]} for a cluster.")
        if node_type not in SLICES:
            raise _invalid(f"Invalid node type: {node_type}")
        classes = ("[A-Z]", "[a-z]", "[0-9]", """^[^'"/@\\\\ ]{8,64}$""")
        if not all(re.search(c, password) for c in classes):
            text = "The parameter MasterUserPassword is not a valid password: 8 to 64 characters, with an uppercase and"
            raise _invalid(f"{text} a lowercase letter and a digit, and without ' \" / @ \\ and space.")
        if not re.fullmatch("[a-z][a-z0-9_+.@-]{0,127}", form.get("MasterUsername", "")):
            raise _invalid("The parameter MasterUsername is not a valid user name.")
        if not re.fullmatch("[a-z][a-z0-9_]{0,63}", form.get("DBName", "dev")):
            raise _invalid("The parameter DBName must hold 1 to 64 lowercase letters, digits and underscores.")
        nodes = int(form.get("NumberOfNodes") or 1)
        kind = form.get("ClusterType") or ("multi-node" if nodes > 1 else "single-node")
        if (kind == "single-node") != (nodes == 1):
            raise _invalid("Number of nodes must be greater than or equal to 2 for a multi-node cluster.")
        roles = _members(form, "IamRoles")
        default = form.get("DefaultIamRoleArn", "")
        for role in {*roles, *filter(None, [default])}:
            await self._check_role(role)
        cluster = self._clusters[region, name] = Cluster(
            name, region, node_type, nodes, form.get("DBName") or "dev", form["MasterUsername"], password,
            datetime.now(UTC),
            list(dict.fromkeys([*roles, *filter(None, [default])])), default, _tags(form),
            {k: form[k] for k in _OPTIONS if k in form},
        )  # fmt: skip
        return {"Cluster": _described(cluster, "creating")}

    async def _check_role(self, role: str) -> None:
        if not await self._trusts(role):
            raise AwsError(
                "InvalidParameterValue", f"The IAM role {role} is not valid or cannot be assumed by Redshift."
            )

    async def _describe_clusters(self, form: dict[str, str], region: str) -> dict[str, Any]:
        if "ClusterIdentifier" in form:
            return {"Clusters": [_described(self._get(form, region))]}
        keys, values = set(_members(form, "TagKeys")), set(_members(form, "TagValues"))
        found = [c for (where, _), c in sorted(self._clusters.items()) if where == region]
        if keys or values:
            found = [c for c in found if keys & c.tags.keys() or values & set(c.tags.values())]
        return {"Clusters": [_described(c) for c in found]}

    async def _delete_cluster(self, form: dict[str, str], region: str) -> dict[str, Any]:
        cluster = self._get(form, region)
        if not _flag(form.get("SkipFinalClusterSnapshot")):
            text = "The local AWS keeps no snapshots: set SkipFinalClusterSnapshot"
            raise AwsError("InvalidParameterCombination", f"{text} to true.")
        self._need(cluster, "available")
        del self._clusters[region, cluster.name]
        await self._retire(cluster, True)
        return {"Cluster": _described(cluster, "deleting")}

    @staticmethod
    def _need(cluster: Cluster, status: str) -> None:
        if cluster.status != status:
            text = f"You can't perform this operation on cluster {cluster.name}: it is not in the {status} state"
            raise AwsError("InvalidClusterState", f"{text} but {cluster.status}.")

    async def _pause_cluster(self, form: dict[str, str], region: str) -> dict[str, Any]:
        cluster = self._get(form, region)
        self._need(cluster, "available")
        cluster.status = "paused"
        await self._retire(cluster, False)
        return {"Cluster": _described(cluster, "pausing")}

    async def _resume_cluster(self, form: dict[str, str], region: str) -> dict[str, Any]:
        cluster = self._get(form, region)
        self._need(cluster, "paused")
        cluster.status = "available"
        return {"Cluster": _described(cluster, "resuming")}

    async def _reboot_cluster(self, form: dict[str, str], region: str) -> dict[str, Any]:
        cluster = self._get(form, region)
        self._need(cluster, "available")
        await self._retire(cluster, False)
        return {"Cluster": _described(cluster, "rebooting")}

    async def _modify_cluster_iam_roles(self, form: dict[str, str], region: str) -> dict[str, Any]:
        cluster = self._get(form, region)
        added, removed = _members(form, "AddIamRoles"), _members(form, "RemoveIamRoles")
        default = form.get("DefaultIamRoleArn")
        for role in {*added, *filter(None, [default])}:
            await self._check_role(role)
        cluster.roles = [r for r in dict.fromkeys([*cluster.roles, *added]) if r not in removed]
        if default is not None:
            cluster.default_role = default
        if cluster.default_role not in cluster.roles:
            cluster.default_role = ""
        return {"Cluster": _described(cluster)}

    async def _create_tags(self, form: dict[str, str], region: str) -> None:
        self._tagged(form).tags.update(_tags(form))

    async def _delete_tags(self, form: dict[str, str], region: str) -> None:
        tags = self._tagged(form).tags
        for key in _members(form, "TagKeys"):
            tags.pop(key, None)

    async def _describe_tags(self, form: dict[str, str], region: str) -> dict[str, Any]:
        found = [self._tagged(form)] if "ResourceName" in form else self._clusters.values()
        return {
            "TaggedResources": [
                {"Tag": {"Key": k, "Value": v}, "ResourceName": c.arn, "ResourceType": "Cluster"}
                for c in found
                for k, v in c.tags.items()
            ]
        }

    def _tagged(self, form: dict[str, str]) -> Cluster:
        arn = form.get("ResourceName", "")
        for cluster in self._clusters.values():
            if cluster.arn == arn:
                return cluster
        raise AwsError("ResourceNotFoundFault", f"The resource {arn} could not be found.", 404)

    async def _get_cluster_credentials(self, form: dict[str, str], region: str) -> dict[str, Any]:
        """A name and a password as AWS hands them out; the local warehouse itself has no port that would ask for it."""
        cluster = self._get(form, region)
        seconds = int(form.get("DurationSeconds") or 900)
        if not 900 <= seconds <= 3600:
            raise _invalid("DurationSeconds must be between 900 and 3600.")
        self._need(cluster, "available")
        auto = "A" if _flag(form.get("AutoCreate")) else ""
        return {
            "DbUser": f"IAM{auto}:{form.get('DbUser', '')}",
            "DbPassword": secrets.token_urlsafe(48),
            "Expiration": datetime.now(UTC) + timedelta(seconds=seconds),
        }


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidParameterValue", text)


def _members(form: dict[str, str], name: str) -> list[str]:
    """A list in the query protocol: `IamRoles.IamRoleArn.1` and so on."""
    found = [(int(m[1]), v) for k, v in form.items() if (m := re.fullmatch(rf"{name}\.\w+\.(\d+)", k))]
    return [v for _, v in sorted(found)]


def _tags(form: dict[str, str]) -> dict[str, str]:
    keys = {m[1]: v for k, v in form.items() if (m := re.fullmatch(r"(Tags\.\w+\.\d+)\.Key", k))}
    return {v: form.get(f"{k}.Value", "") for k, v in keys.items()}


def _described(cluster: Cluster, status: str = "") -> dict[str, Any]:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html"""
    port = int(cluster.options.get("Port") or 5439)
    roles = ["LEADER", *(f"COMPUTE-{n}" for n in range(cluster.nodes))] if cluster.nodes > 1 else ["SHARED"]
    named = f"{cluster.name}.local.{cluster.region}.redshift.amazonaws.com"
    return {
        "ClusterIdentifier": cluster.name,
        "NodeType": cluster.node_type,
        "ClusterStatus": status or cluster.status,
        "ClusterAvailabilityStatus": "Available" if (status or cluster.status) == "available" else "Paused"
        if cluster.status == "paused" else "Modifying",
        "MasterUsername": cluster.admin,
        "DBName": cluster.database,
        **({} if status == "creating" else {"Endpoint": {"Address": named, "Port": port}}),
        "ClusterCreateTime": cluster.created,
        "AutomatedSnapshotRetentionPeriod": int(cluster.options.get("AutomatedSnapshotRetentionPeriod") or 1),
        "ClusterParameterGroups": [{"ParameterGroupName": "default.redshift-1.0", "ParameterApplyStatus": "in-sync"}],
        "AvailabilityZone": cluster.options.get("AvailabilityZone") or f"{cluster.region}a",
        "ClusterVersion": "1.0",
        "AllowVersionUpgrade": _flag(cluster.options.get("AllowVersionUpgrade"), True),
        "NumberOfNodes": cluster.nodes,
        "PubliclyAccessible": _flag(cluster.options.get("PubliclyAccessible")),
        "Encrypted": _flag(cluster.options.get("Encrypted"), True),
        "ClusterNodes": [{"NodeRole": role} for role in roles],
        "Tags": [{"Key": k, "Value": v} for k, v in cluster.tags.items()],
        "IamRoles": [{"IamRoleArn": r, "ApplyStatus": "in-sync"} for r in cluster.roles],
        **({"DefaultIamRoleArn": cluster.default_role} if cluster.default_role else {}),
        "ClusterNamespaceArn": f"arn:aws:redshift:{cluster.region}:{ACCOUNT_ID}:namespace:{cluster.namespace}",
    }  # fmt: skip


def _xml(operation: str, answer: dict[str, Any] | None) -> Response:
    """An answer in the query protocol, as the service's own model lays it out."""
    described = protocols.model("redshift")["operations"][operation]
    body = ""
    if output := described.get("output"):
        wrapper = output.get("resultWrapper") or f"{operation}Result"
        body = f"<{wrapper}>{_element(output['shape'], answer or {})}</{wrapper}>"
    tail = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    xml = f"<{operation}Response {_XML}>{body}{tail}</{operation}Response>"
    return Response(200, xml.encode(), {"Content-Type": "text/xml"})


def _element(name: str, value: Any) -> str:
    shape = protocols.model("redshift")["shapes"][name]
    if shape["type"] == "structure":
        return "".join(
            f"<{k}>{_element(member['shape'], value[k])}</{k}>" for k, member in shape["members"].items() if k in value
        )
    if shape["type"] == "list":
        tag = shape["member"].get("locationName", "member")
        return "".join(f"<{tag}>{_element(shape['member']['shape'], v)}</{tag}>" for v in value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return escape(str(value).lower() if isinstance(value, bool) else str(value))
