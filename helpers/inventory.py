"""What stands in the account, asked of each service: before a notebook, after it, and after its clean-up.

On an account of your own it shows everything there is of these kinds, not only what the workbook made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import boto3
import pandas as pd
from botocore.exceptions import ClientError

from helpers.lab import LabError
from helpers.provision import NOT_FOUND, error_code, tag_list, tags

MOST_NAMES = 6  # names that a line of the table shows


def inventory() -> dict[str, list[str]]:
    """The names of what exists, by service and kind, sorted."""
    client = boto3.client
    return {
        "IAM roles": _names("iam", "list_roles", "RoleName", keep=_made_by_hand),
        "IAM policies": _names("iam", "list_policies", "PolicyName", Scope="Local"),
        "Lambda functions": _names("lambda", "list_functions", "FunctionName"),
        "Lambda triggers": _names("lambda", "list_event_source_mappings", "FunctionArn"),
        "API Gateway APIs": _names("apigateway", "get_rest_apis", "name"),
        "API Gateway usage plans": _names("apigateway", "get_usage_plans", "name"),
        "API Gateway keys": _names("apigateway", "get_api_keys", "name"),
        "Kinesis streams": sorted(_pages("kinesis", "list_streams", "StreamNames")),
        "MSK clusters": _names("kafka", "list_clusters_v2", "ClusterName"),
        "SQS queues": sorted(url.rpartition("/")[2] for url in _pages("sqs", "list_queues", "QueueUrls")),
        "DynamoDB tables": sorted(_pages("dynamodb", "list_tables", "TableNames")),
        "Firehose streams": _delivery_streams(),
        "Redshift clusters": _names("redshift", "describe_clusters", "ClusterIdentifier"),
        "S3 buckets": sorted(bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]),
        "EventBridge rules": _names("events", "list_rules", "Name"),
        "CloudWatch alarms": _names("cloudwatch", "describe_alarms", "AlarmName"),
        "CloudWatch log groups": _names("logs", "describe_log_groups", "logGroupName"),
        "SSM parameters": sorted({_folder(p["Name"]) for p in _pages("ssm", "describe_parameters", "Parameters")}),
    }


def standing() -> pd.DataFrame:
    """The same as a table, one line for each kind of which there is something: how many, and what they are called."""
    lines = {kind: {"how many": len(names), "names": _some(names)} for kind, names in inventory().items() if names}
    return pd.DataFrame.from_dict(lines or {"of all kinds asked for": {"how many": 0, "names": ""}}, orient="index")


def _pages(service: str, operation: str, key: str, **arguments: Any) -> Iterable[Any]:
    for page in boto3.client(service).get_paginator(operation).paginate(**arguments):
        yield from page.get(key, ())  # SQS leaves out a list that is empty


def _delivery_streams() -> list[str]:
    """Firehose lists ten at a time, and has no paginator."""
    names: list[str] = []
    more = True
    while more:
        after = {"ExclusiveStartDeliveryStreamName": names[-1]} if names else {}
        page = boto3.client("firehose").list_delivery_streams(**after)
        names, more = names + page["DeliveryStreamNames"], page["HasMoreDeliveryStreams"]
    return names


def _names(
    service: str, operation: str, name: str, keep: Callable[[Any], bool] = lambda _: True, **arguments: Any
) -> list[str]:
    pages = boto3.client(service).get_paginator(operation)
    (key, *_) = pages.result_keys  # where the operation's answer holds its list
    found = (item for page in pages.paginate(**arguments) for item in key.search(page) or ())
    return sorted(str(item[name]).rpartition(":")[2] for item in found if keep(item))


def _made_by_hand(role: Any) -> bool:
    return not str(role["Path"]).startswith("/aws-service-role/")  # those belong to AWS's services


def _folder(parameter: str) -> str:
    """A stage's outputs count as one: /workbook/02."""
    return "/".join(parameter.split("/")[:3])


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def _cluster_tags(name: str) -> Any:
    return boto3.client("redshift").describe_clusters(ClusterIdentifier=name)["Clusters"][0]["Tags"]


def _delivery_stream_tags(name: str) -> Any:
    return boto3.client("firehose").list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"]


def _kafka_cluster_tags(name: str) -> Any:
    found = boto3.client("kafka").list_clusters_v2(ClusterNameFilter=name)["ClusterInfoList"]
    return next((c.get("Tags", {}) for c in found if c["ClusterName"] == name), None)


def refuse_foreign(
    notebook: str,
    *,
    roles: Iterable[str] = (),
    policies: Iterable[str] = (),
    functions: Iterable[str] = (),
    streams: Iterable[str] = (),
    tables: Iterable[str] = (),
    queues: Iterable[str] = (),
    clusters: Iterable[str] = (),
    kafka_clusters: Iterable[str] = (),
    delivery_streams: Iterable[str] = (),
) -> None:
    """Raise LabError when something of these names is there that the notebook ("02") did not make.

    A notebook's names are short (`test`), and what it makes it changes and deletes; what else has such a name in an
    account of your own must not be touched. What a notebook makes carries the tag workbook=<notebook>.
    """
    iam, kinesis, sqs, dynamodb = map(boto3.client, ("iam", "kinesis", "sqs", "dynamodb"))
    account, region = boto3.client("sts").get_caller_identity()["Account"], dynamodb.meta.region_name
    looks: list[tuple[str, str, Callable[[str], Any]]] = [
        *(("role", name, lambda name: iam.list_role_tags(RoleName=name)["Tags"]) for name in roles),
        *(
            (
                "policy",
                name,
                lambda name: iam.list_policy_tags(PolicyArn=f"arn:aws:iam::{account}:policy/{name}")["Tags"],
            )
            for name in policies
        ),
        *(
            ("function", name, lambda name: boto3.client("lambda").get_function(FunctionName=name).get("Tags", {}))
            for name in functions
        ),
        *(("stream", name, lambda name: kinesis.list_tags_for_stream(StreamName=name)["Tags"]) for name in streams),
        *(
            (
                "table",
                name,
                lambda name: dynamodb.list_tags_of_resource(
                    ResourceArn=f"arn:aws:dynamodb:{region}:{account}:table/{name}"
                )["Tags"],
            )
            for name in tables
        ),
        *(
            (
                "queue",
                name,
                lambda name: sqs.list_queue_tags(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"]).get("Tags"),
            )
            for name in queues
        ),
        *(("cluster", name, _cluster_tags) for name in clusters),
        *(("Kafka cluster", name, _kafka_cluster_tags) for name in kafka_clusters),
        *(("delivery stream", name, _delivery_stream_tags) for name in delivery_streams),
    ]
    for kind, name, look in looks:
        try:
            found = look(name)
        except ClientError as error:
            if error_code(error) in NOT_FOUND:
                continue
            raise
        if found not in (tags(notebook), tag_list(notebook), None):
            raise LabError(
                f"this account has a {kind} {name} that notebook {notebook} did not make: rename one of them"
            )
