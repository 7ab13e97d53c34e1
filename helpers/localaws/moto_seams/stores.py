"""moto's CloudWatch Logs, CloudWatch, S3, SQS and SNS, as far as the lab itself writes to them on AWS's behalf."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from ..types import ACCOUNT_ID, AwsError
from ..website import Site
from . import topics


def install() -> None:
    """Who may do what with a bucket is decided before moto is asked; it would apply every denial to everyone.

    A new bucket blocks all public access and owns its objects, as on AWS since April 2023, and encrypts them with
    S3's own keys, as since January 2023; moto's has no such settings.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket, PublicAccessBlock

    made = FakeBucket.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.public_access_block = PublicAccessBlock("true", "true", "true", "true")
        self.ownership_rule = "BucketOwnerEnforced"
        self.encryption = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}}

    setattr(FakeBucket, "__init__", init)  # noqa: B010
    setattr(FakeBucket, "get_permission", lambda self, action, resource: PermissionResult.PERMITTED)  # noqa: B010


def write_logs(region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
    """Appends log events (ms since epoch, message), making group and stream when they are missing.

    On AWS the function's role needs logs:CreateLogGroup, CreateLogStream and PutLogEvents for that; the caller asks.
    """
    from moto.logs.models import logs_backends

    backend = logs_backends[ACCOUNT_ID][region]
    if group not in backend.groups:
        backend.create_log_group(group, {})
    streams = backend.groups[group].streams
    if stream not in streams:
        backend.create_log_stream(group, stream)
    newest = max((at for at, _ in events), default=0)
    ordered = sorted(((min(at, newest), text) for at, text in events), key=lambda e: e[0])
    backend.put_log_events(group, stream, [{"timestamp": at, "message": text} for at, text in ordered])


def has_log_stream(region: str, group: str, stream: str) -> bool:
    """Whether a log group is there, and has that stream."""
    from moto.logs.models import logs_backends

    found = logs_backends[ACCOUNT_ID][region].groups.get(group)
    return found is not None and stream in found.streams


def has_log_group(region: str, group: str) -> bool:
    """Whether a log group is there."""
    from moto.logs.models import logs_backends

    return group in logs_backends[ACCOUNT_ID][region].groups


def bucket_policy(bucket: str) -> dict[str, Any] | None:
    """A bucket's policy document, or None."""
    from moto.s3.models import s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket)
    if stored is None or not stored.policy:
        return None
    document: dict[str, Any] = json.loads(stored.policy)
    return document


def blocks_public(bucket: str, setting: str) -> bool:
    """Whether a bucket's public access block has this setting on: "block_public_policy", "restrict_public_buckets"."""
    from moto.s3.models import s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket)
    block = stored.public_access_block if stored else None
    return block is not None and str(getattr(block, setting)).lower() == "true"


def site(bucket: str) -> Site:
    """A bucket as a website; raises AwsError NoSuchBucket or NoSuchWebsiteConfiguration."""
    from moto.s3.models import s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket)
    if stored is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=bucket)
    if not stored.website_configuration:
        text = "The specified bucket does not have a website configuration"
        raise AwsError("NoSuchWebsiteConfiguration", text, 404, BucketName=bucket)
    told = {e.tag.rpartition("}")[2]: e.text or "" for e in ElementTree.fromstring(stored.website_configuration).iter()}
    redirect = (
        f"{told['Protocol'] + ':' if 'Protocol' in told else ''}//{told['HostName']}" if "HostName" in told else None
    )
    restricted = blocks_public(bucket, "restrict_public_buckets")
    return Site(told.get("Suffix", ""), told.get("Key"), redirect, bucket_policy(bucket), restricted)


def found(bucket: str, key: str, version: str | None) -> tuple[str, float, int] | None:
    """An object's ETag (without quotes), when it was modified (whole epoch seconds) and its bytes, or None."""
    from moto.s3.models import s3_backends

    backend = s3_backends[ACCOUNT_ID]["aws"]
    stored = backend.get_object(bucket, key, version_id=version) if bucket in backend.buckets else None
    if stored is None:
        return None
    return stored.etag.strip('"'), stored.last_modified.replace(tzinfo=UTC, microsecond=0).timestamp(), stored.size


def has_upload(bucket: str, upload: str, key: str) -> bool:
    """Whether this upload in parts of a key is under way; of a bucket that is not there moto knows more."""
    from moto.s3.models import s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket)
    return stored is None or (upload in stored.multiparts and stored.multiparts[upload].key_name == key)


def made_by(bucket: str, key: str, upload: str) -> bool:
    """Whether an object has come of this upload in parts."""
    from moto.s3.models import s3_backends

    backend = s3_backends[ACCOUNT_ID]["aws"]
    stored = backend.get_object(bucket, key) if bucket in backend.buckets else None
    return stored is not None and stored.multipart is not None and stored.multipart.id == upload


def versioning(bucket: str) -> str | None:
    """Whether a bucket keeps versions: "Enabled", or "" if it never did; None when it is not there."""
    from moto.s3.models import s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket)
    return (stored.versioning_status or "") if stored else None


def is_marker(bucket: str, key: str, version: str) -> bool | None:
    """Whether a version of a key is a delete marker; None when there is no such version."""
    from moto.s3.models import FakeDeleteMarker, s3_backends

    stored = s3_backends[ACCOUNT_ID]["aws"].buckets[bucket].keys.getlist(key, [])
    return next((isinstance(v, FakeDeleteMarker) for v in stored if str(v.version_id) == version), None)


def put_object(bucket: str, key: str, body: bytes) -> None:
    """Stores an object, as a service does in its customer's bucket; raises AwsError NoSuchBucket."""
    from moto.s3.exceptions import MissingBucket
    from moto.s3.models import s3_backends

    try:
        s3_backends[ACCOUNT_ID]["aws"].put_object(bucket, key, body)
    except MissingBucket:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404) from None


Attributes = dict[str, Any]  # of a message: texts and whole numbers


def _attributes(given: Attributes | None) -> dict[str, dict[str, str]]:
    kinds = {name: "Number" if isinstance(value, int) else "String" for name, value in (given or {}).items()}
    return {name: {"DataType": kind, "StringValue": str((given or {})[name])} for name, kind in kinds.items()}


def send_message(queue_arn: str, body: str, attributes: Attributes | None = None) -> None:
    """Sends a message to an SQS queue; AwsError when there is no such queue."""
    found = queue(queue_arn)
    queue_backend(queue_arn).send_message(found.name, body, message_attributes=_attributes(attributes))


def queue_backend(queue_arn: str) -> Any:
    """moto's SQS of the queue's region."""
    from moto.sqs.models import sqs_backends

    return sqs_backends[ACCOUNT_ID][queue_arn.split(":")[3]]


def queue(arn: str) -> Any:
    """A queue of moto's; raises AwsError when it is not there."""
    found = queue_backend(arn).queues.get(arn.split(":")[5])
    if found is None:
        raise AwsError("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
    return found


def policy(arn: str) -> dict[str, Any] | None:
    """The policy of a queue or a topic, or None; AwsError when it is not there."""
    if arn.split(":")[2] == "sqs":
        text = queue(arn).policy
        return json.loads(text) if text else None
    document: dict[str, Any] = json.loads(topics.topic(arn).policy)
    return document


def publish(topic_arn: str, message: str, attributes: Attributes | None = None) -> None:
    """Publishes to an SNS topic."""
    from moto.sns.models import sns_backends

    given = {name: {"Type": v["DataType"], "Value": v["StringValue"]} for name, v in _attributes(attributes).items()}
    sns_backends[ACCOUNT_ID][topic_arn.split(":")[3]].publish(message, arn=topic_arn, message_attributes=given)


def put_metrics(region: str, namespace: str, data: list[dict[str, Any]]) -> None:
    """Stores CloudWatch metric data (the entries of PutMetricData's `MetricData`)."""
    from moto.cloudwatch.models import cloudwatch_backends

    cloudwatch_backends[ACCOUNT_ID][region].put_metric_data(namespace, data)


@lru_cache
def _streams() -> Any:
    """A backend of moto's that holds nothing but the names and tags of streams, for its tagging API."""
    from moto.core.base_backend import BackendDict, BaseBackend
    from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

    class Streams(BaseBackend, TaggableResourcesMixin):
        SERVICE_NAMESPACE = "kinesis"

        def __init__(self, region_name: str, account_id: str) -> None:
            super().__init__(region_name, account_id)
            self.tags: dict[str, dict[str, str]] = {}

        def iter_tagged_resources(self) -> Iterator[TaggedResource]:
            for name, tags in self.tags.items():
                arn = f"arn:aws:kinesis:{self.region_name}:{ACCOUNT_ID}:stream/{name}"
                yield TaggedResource(arn, tags, "kinesis:stream")

    return BackendDict(Streams, "kinesis")


def mirror_stream(region: str, name: str, tags: dict[str, str] | None) -> None:
    """Lets moto's tagging API see a stream of the lab's own Kinesis (None: it is gone)."""
    streams = _streams()[ACCOUNT_ID][region].tags
    streams.pop(name, None)
    if tags is not None:
        streams[name] = dict(tags)
