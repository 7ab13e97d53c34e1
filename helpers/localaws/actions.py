"""The IAM actions and resource ARNs that a call needs, as AWS's service authorization reference lists them.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from .moto_seams import identities
from .moto_seams.lambdas import split
from .protocols import Call
from .types import ACCOUNT_ID, AwsError, Request

Needed = Iterator[tuple[str, str, dict[str, str]]]  # (action, resource ARN, condition keys)

# Service -> parameter -> ARN of what it names ({here} is region:account). The first that a call has is what the
# service takes, too. A call that names nothing is asked about "*", which only a policy for "*" allows.
_QUEUE, _ALARM = "arn:aws:sqs:{here}:{name}", "arn:aws:cloudwatch:{here}:alarm:{name}"
_ARNS = {
    "kinesis": {
        **dict.fromkeys(("ConsumerARN", "StreamARN", "ResourceARN"), "{name}"),
        "StreamName": "arn:aws:kinesis:{here}:stream/{name}",
    },
    "sqs": {"QueueUrl": _QUEUE, "QueueName": _QUEUE, "SourceArn": "{name}"},
    "sns": {
        **dict.fromkeys(("TargetArn", "TopicArn", "ResourceArn"), "{name}"),
        "Name": "arn:aws:sns:{here}:{name}",
    },
    "ssm": dict.fromkeys(("Name", "Names", "Path", "ResourceId"), "arn:aws:ssm:{here}:parameter/{name}"),
    "monitoring": {
        "AlarmName": _ALARM,
        "AlarmNames": _ALARM,
        "DashboardName": f"arn:aws:cloudwatch::{ACCOUNT_ID}:dashboard/{{name}}",
        "DashboardNames": f"arn:aws:cloudwatch::{ACCOUNT_ID}:dashboard/{{name}}",
        "ResourceARN": "{name}",
    },
    "sts": {"RoleArn": "{name}"},
    "redshift-data": {"ClusterIdentifier": "arn:aws:redshift:{here}:cluster:{name}"},
    "events": {
        **dict.fromkeys(("Name", "Rule"), "arn:aws:events:{here}:rule/{name}"),
        "ResourceARN": "{name}",
    },
}
# The reference gives these no resource, although they name one.
_ANY = {
    *("DisableEnhancedMonitoring", "EnableEnhancedMonitoring", "UpdateShardCount", "UpdateStreamMode"),
    *("CreatePlatformApplication", "CreateEventSourceMapping", "ListEventSourceMappings", "ListLayerVersions"),
    "ListStatements",
    *("ListBackups", "ListContributorInsights", "ListExports", "ListImports", "ListCommands", "ListAssociations"),
}
_NOT_PARAMETERS = re.compile("Document|Association|Command|Patch|Window|Ops|Inventory|Session|Automation|Activation")
_FREE = {"GetCallerIdentity"}  # what AWS lets every signed caller do


def needed(call: Call, params: dict[str, Any], request: Request, region: str, stream_arn: str | None = None) -> Needed:
    """What the caller must be allowed, all of it; nothing for a free action. `params` is the parsed body or form.

    Raises AwsError SerializationException when the parameters are of other types than AWS's.
    """
    if call.operation in _FREE:
        return
    try:
        found = list(_needed(call, params, request, region, stream_arn))
    except (AttributeError, TypeError, IndexError, KeyError):
        raise AwsError(
            "SerializationException", "The parameters are not of the types that the service takes."
        ) from None
    yield from found or [(f"{call.service}:{call.operation}", "*", {})]


def _needed(call: Call, params: dict[str, Any], request: Request, region: str, stream_arn: str | None) -> Needed:
    service, operation, here = call.service, call.operation, f"{region}:{ACCOUNT_ID}"
    query = dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True)) if request.query else {}
    if service == "lambda":
        yield f"lambda:{_lambda_action(operation)}", _lambda(call, params, query, region), {}
        if operation in ("CreateFunction", "UpdateFunctionConfiguration") and "Role" in params:
            yield "iam:PassRole", str(params["Role"]), {"iam:passedtoservice": "lambda.amazonaws.com"}
    elif service == "dynamodb":
        yield from _dynamodb(operation, params, here)
    elif service == "s3":
        yield from _s3(call, request, query)
    elif service == "logs":
        named = [
            params[k] for k in ("logGroupName", "logGroupIdentifier", "logGroupArn", "resourceArn") if params.get(k)
        ]
        # AWS's own denials show the empty log stream of an action on a group; so "log-group:name:*" matches.
        tail = "" if operation.endswith("Resource") else f":log-stream:{params.get('logStreamName') or ''}"
        for name in named or params.get("logGroupNames") or []:
            yield f"logs:{operation}", f"arn:aws:logs:{here}:log-group:{name.rpartition(':log-group:')[2]}{tail}", {}
    elif service == "iam":
        context = {"iam:awsservicename": params["AWSServiceName"]} if "AWSServiceName" in params else {}
        yield f"iam:{operation}", _iam(params), context
    elif service == "firehose":
        stream = params.get("DeliveryStreamName")
        yield f"firehose:{operation}", f"arn:aws:firehose:{here}:deliverystream/{stream}" if stream else "*", {}
        for role in _roles(params):
            yield "iam:PassRole", role, {"iam:passedtoservice": "firehose.amazonaws.com"}
    elif service == "redshift":
        yield from _redshift(operation, params, f"arn:aws:redshift:{here}:")
    elif service == "kafka":
        yield f"kafka:{operation}", _kafka(call, params), {}
    elif service == "apigateway":
        yield f"apigateway:{request.method}", f"arn:aws:apigateway:{region}::{request.path}", {}
    else:
        prefix = {"monitoring": "cloudwatch", "tagging": "tag"}.get(service, service)
        context = {"sts:externalid": params["ExternalId"]} if service == "sts" and "ExternalId" in params else {}
        if service == "redshift-data":  # what is another's does not exist for the caller: so each is the caller's own
            own = ("statement-owner-iam-userid", "session-owner-iam-userid")
            context = dict.fromkeys((f"redshift-data:{key}" for key in own), "${aws:userid}")
        for name in [stream_arn] if stream_arn else _names(call, params):
            action = operation.removesuffix("Batch") if service in ("sqs", "sns") else operation
            yield f"{prefix}:{action}", name.format(here=here) if name else "*", context


def _roles(value: Any) -> set[str]:
    """The roles that a configuration names, wherever it does."""
    if not isinstance(value, dict):
        return set()
    found = {role for part in value.values() for role in _roles(part)}
    return found | {str(value["RoleARN"])} if "RoleARN" in value else found


def _members(params: dict[str, Any], key: str) -> list[Any]:
    return [v for k, v in params.items() if k.startswith(f"{key}.member.")]  # a list in the query protocol


def _names(call: Call, params: dict[str, Any]) -> list[str]:
    """Templates of the ARNs that a call names."""
    service, operation = call.service, call.operation
    if operation in _ANY or (service == "ssm" and _NOT_PARAMETERS.search(operation)):
        return [""]
    if service == "events" and not re.search("Rule$|Targets|Resource$", operation):  # buses, archives, connections
        return [""]
    for key, template in _ARNS.get(service, {}).items():
        if value := params.get(key) or (call.protocol == "query" and _members(params, key)):
            return [_arn(service, template, v) for v in (value if isinstance(value, list) else [value])]
    return [""]


def _arn(service: str, template: str, name: str) -> str:
    if service == "sqs" and not name.startswith("arn:"):
        name = name.rpartition("/")[2]  # a queue's URL
    elif service == "ssm":  # a name, or an ARN, and behind it a version or label
        name = name.rpartition(":parameter/")[2].lstrip("/").partition(":")[0]
    return template.replace("{name}", name.replace("{", "{{").replace("}", "}}"))


def _lambda_action(operation: str) -> str:
    if operation in ("Invoke", "InvokeWithResponseStream"):
        return "InvokeFunction"
    return "GetLayerVersion" if operation == "GetLayerVersionByArn" else re.sub(r"\d{8}$", "", operation)


def _lambda(call: Call, params: dict[str, Any], query: dict[str, str], region: str) -> str:
    root, uri = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:", call.uri
    named = uri.get("FunctionName") or (params.get("FunctionName") if call.operation == "CreateFunction" else None)
    if call.operation in _ANY:
        return "*"
    if named:
        _, name, qualifier = split(named, region)
        qualifier = qualifier or query.get("Qualifier")
        return f"{root}function:{name}" + (f":{qualifier}" if qualifier else "")
    if "LayerName" in uri:
        version = f":{uri['VersionNumber']}" if "VersionNumber" in uri else ""
        return f"{root}layer:{uri['LayerName'].rpartition(':layer:')[2]}{version}"
    if "UUID" in uri:
        return f"{root}event-source-mapping:{uri['UUID']}"
    return uri.get("Resource") or "*"


_IAM = {"RoleName": "role", "UserName": "user", "GroupName": "group", "InstanceProfileName": "instance-profile"}


def _iam(params: dict[str, Any]) -> str:
    """Instance profiles and groups come before the role or user that is put into them."""
    for key in ("InstanceProfileName", "GroupName", "RoleName", "UserName"):
        if key in params:
            return identities.arn(_IAM[key], params[key], params.get("Path", "/"))
    if "PolicyName" in params:
        return identities.arn("policy", params["PolicyName"], params.get("Path", "/"))
    return str(params.get("PolicyArn") or params.get("PolicySourceArn") or "*")


def _kafka(call: Call, params: dict[str, Any]) -> str:
    """A topic's ARN is its cluster's with the topic's name; some actions name no resource."""
    cluster, topic = call.uri.get("clusterArn"), call.uri.get("topicName") or params.get("topicName")
    if not cluster or call.operation == "GetBootstrapBrokers":
        return call.uri.get("resourceArn") or "*"
    return f"{cluster.replace(':cluster/', ':topic/')}/{topic}" if topic else cluster


_TRANSACTION = {"ConditionCheck": "ConditionCheckItem", "Delete": "DeleteItem", "Get": "GetItem", "Put": "PutItem"}


def _dynamodb(operation: str, params: dict[str, Any], here: str) -> Needed:
    def table(name: str) -> str:  # a name or an ARN
        return f"arn:aws:dynamodb:{here}:table/{name.rpartition(':table/')[2]}"

    if operation in ("BatchWriteItem", "BatchGetItem"):
        for name in params.get("RequestItems", {}):
            yield f"dynamodb:{operation}", table(name), {}
    elif operation in ("TransactWriteItems", "TransactGetItems"):
        pairs = [(k, body["TableName"]) for item in params.get("TransactItems", []) for k, body in item.items()]
        for kind, name in dict.fromkeys(pairs):  # each once, however many actions there are
            yield f"dynamodb:{_TRANSACTION.get(kind, 'UpdateItem')}", table(name), {}
    elif operation not in _ANY:
        keys = ("TableName", "SourceTableName", "ResourceArn", "TableArn", "BackupArn", "ExportArn", "ImportArn")
        for key in [k for k in (*keys, "TargetTableName") if params.get(k)]:
            index = f"/index/{params['IndexName']}" if params.get("IndexName") else ""
            yield f"dynamodb:{operation}", table(params[key]) + index, {}


def _redshift(operation: str, params: dict[str, Any], root: str) -> Needed:
    cluster = str(params.get("ClusterIdentifier"))
    if operation == "GetClusterCredentials":
        yield f"redshift:{operation}", f"{root}dbuser:{cluster}/{params.get('DbUser')}", {}
        if params.get("DbName"):
            yield f"redshift:{operation}", f"{root}dbname:{cluster}/{params['DbName']}", {}
        return
    named = params.get("ResourceName") or (f"{root}cluster:{cluster}" if "ClusterIdentifier" in params else "*")
    yield f"redshift:{operation}", named, {}
    for key, role in params.items():
        if key.startswith(("IamRoles.", "AddIamRoles.")) or key == "DefaultIamRoleArn":
            yield "iam:PassRole", role, {"iam:passedtoservice": "redshift.amazonaws.com"}


# S3's actions where they are called otherwise than the operation.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_S3 = {
    "ListBuckets": "ListAllMyBuckets",
    **dict.fromkeys(("ListObjects", "ListObjectsV2", "HeadBucket"), "ListBucket"),
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    **dict.fromkeys(
        ("CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"), "PutObject"
    ),
}
_S3_CONFIGURATION = re.compile(
    "(Get|List|Put|Delete)Bucket"
    "(Accelerate|Analytics|Encryption|IntelligentTiering|Inventory|Lifecycle|Metrics|Replication)(?:Configurations?)?"
)


def _s3_action(operation: str, version: bool) -> str:
    action = _S3.get(operation, operation)
    if found := _S3_CONFIGURATION.fullmatch(action):
        action = f"{'Get' if found[1] in ('Get', 'List') else 'Put'}{found[2]}Configuration"
    action = re.sub("^Delete(Bucket(?:Cors|Tagging|OwnershipControls)|PublicAccessBlock)$", r"Put\1", action)
    action = action.replace("BucketCors", "BucketCORS").replace("PublicAccess", "BucketPublicAccess")
    if version:
        action = re.sub("^((?:Get|Put|Delete)Object)(Acl|Attributes|Tagging|Torrent|)$", r"\1Version\2", action)
    return "s3:" + action.replace("NotificationConfiguration", "Notification")


def _s3(call: Call, request: Request, query: dict[str, str]) -> Needed:
    bucket, key, headers = call.uri.get("Bucket"), call.uri.get("Key"), request.headers
    arn = f"arn:aws:s3:::{bucket}" if bucket else "*"
    if call.operation == "DeleteObjects":
        yield from ((a, f"{arn}/{k}", {}) for a, k in _deleted(request.body))
        return
    context = {"s3:prefix": query["prefix"]} if "prefix" in query else {}
    yield _s3_action(call.operation, "versionId" in query), f"{arn}/{key}" if key else arn, context
    if source := headers.get("x-amz-copy-source"):
        path, _, version = urllib.parse.unquote(source.partition("?")[0]), "", source.partition("?")[2]
        yield _s3_action("GetObject", bool(version)), f"arn:aws:s3:::{path.lstrip('/')}", {}
    if "x-amz-tagging" in headers and call.operation != "PutObjectTagging":
        yield "s3:PutObjectTagging", f"{arn}/{key}", {}
    if "x-amz-acl" in headers and "Acl" not in call.operation:
        yield ("s3:PutObjectAcl", f"{arn}/{key}", {}) if key else ("s3:PutBucketAcl", arn, {})


def _deleted(body: bytes) -> Iterator[tuple[str, str]]:
    """(action, key) of each object that a DeleteObjects names; nothing when it is no XML, which S3 refuses."""
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError):
        return
    for item in root:
        fields = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
        if "Key" in fields:
            yield _s3_action("DeleteObject", "VersionId" in fields), fields["Key"]
