"""What AWS refuses and moto takes, and what moto would only store; each rule names its page.

S3, SQS, SNS, Systems Manager, CloudWatch, Logs; the rules of IAM, API Gateway and DynamoDB are in `identities`,
`api_rules` and `dynamodb_rules`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import time
import urllib.parse
import zlib
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

from .. import constraints
from ..permissions import check_policy
from ..protocols import Call
from ..types import AwsError, Request
from . import alarms, stores, topics

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NO_MESSAGE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TWO_WEEKS = 14 * 24 * 3600


# Services that are held to AWS's own model of their calls (lengths, patterns, values), with their code for it.
_MODELLED = {
    "dynamodb": "ValidationException", "logs": "InvalidParameterException", "monitoring": "ValidationError",
}  # fmt: skip
_UNCHECKED = {  # calls that are made often, or that write what may be long
    "Query", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem",
    "TransactGetItems", "TransactWriteItems", "PutLogEvents",
}  # fmt: skip
_MEMBERS_CHECKED = {
    "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems",
}  # fmt: skip


def check(call: Call, parameters: dict[str, Any], request: Request) -> None:
    """Raises AwsError for what must not reach moto; members of wrong types are moto's to find."""
    if call.protocol == "json" and (code := _MODELLED.get(call.service)) and call.operation not in _UNCHECKED:
        try:
            constraints.check(call.service, call.operation, parameters)
        except AwsError as error:
            if error.code == "ValidationException":
                raise AwsError(code, error.message) from None
    elif call.service == "dynamodb" and call.operation in _MEMBERS_CHECKED:
        constraints.check_members("dynamodb", call.operation, parameters, skip="Select")  # which moto checks
    if rule := _RULES.get((call.service, call.operation)):
        with contextlib.suppress(AttributeError, TypeError, ValueError, KeyError):
            rule(parameters, call, request)
    if call.service == "s3":
        _object(call, request)
        _grants(call, request)


def _bucket(parameters: dict[str, Any], call: Call, request: Request) -> None:
    name = call.uri.get("Bucket", "")
    if not _BUCKET.fullmatch(name):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)


def _object(call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList"""
    size = len(call.uri.get("Key", "").encode())
    if size > 1024:
        raise AwsError("KeyTooLongError", "Your key is too long", Size=size, MaxSizeAllowed=1024)
    given = request.headers.get("content-md5")
    if given is not None and "aws-chunked" not in request.headers.get("content-encoding", ""):
        try:
            digest = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if len(digest) != 16:
            raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
        if digest != hashlib.md5(request.body, usedforsecurity=False).digest():
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html; Python has no others
_SUMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


def _put(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html

    Also for the parts of an upload.
    """
    _conditions(request)
    metadata = {k.removeprefix("x-amz-meta-"): v for k, v in request.headers.items() if k.startswith("x-amz-meta-")}
    size = sum(len(f"{name}{value}".encode()) for name, value in metadata.items())
    if size > 2048:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        raise AwsError("MetadataTooLarge", text, Size=size, MaxSizeAllowed=2048)
    if "aws-chunked" in request.headers.get("content-encoding", ""):
        return
    for name, digest in _SUMS.items():
        given = request.headers.get(f"x-amz-checksum-{name}")
        if given is None:
            continue
        if given != base64.b64encode(digest(request.body)).decode():
            text = f"The {name.upper()} you specified did not match the calculated checksum."
            raise AwsError("BadDigest", text)
        request.headers.setdefault("x-amz-sdk-checksum-algorithm", name.upper())  # by which moto finds it


def _conditions(request: Request) -> None:
    """Which conditions a write may have: localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json."""
    match, none_match = (request.headers.get(name) for name in ("if-match", "if-none-match"))
    wrong = "If-Match,If-None-Match" if None not in (match, none_match) else ""
    wrong = wrong or ("If-Match" if match == "*" else "") or ("If-None-Match" if none_match not in (None, "*") else "")
    if wrong:
        text = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", text, 501, Header=wrong)


def _written_if(call: Call, request: Request) -> None:
    """The conditions of CopyObject and CompleteMultipartUpload on what is in their place, which moto does not read."""
    _conditions(request)
    match, found = request.headers.get("if-match"), stores.found(call.uri["Bucket"], call.uri["Key"], None)
    failed = "If-None-Match" if found and "if-none-match" in request.headers else None
    if match is not None:
        if not found:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=call.uri["Key"])
        failed = "If-Match" if match.strip('"') != found[0] else None
    if failed:
        text = "At least one of the pre-conditions you specified did not hold"
        raise AwsError("PreconditionFailed", text, 412, Condition=failed)


def _version(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """A version that no object can have; moto deletes, or gives, another one instead.

    localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json: recorded on AWS
    """
    version, bucket = dict(urllib.parse.parse_qsl(request.query)).get("versionId"), call.uri["Bucket"]
    versioning = stores.versioning(bucket)
    if version is None or versioning is None:
        return
    if version == "null" and not versioning:
        request.query = re.sub(r"(?<![^&])versionId=null&?", "", request.query)
    elif not versioning or not (version == "null" or _VERSION.fullmatch(version)):
        text = "Invalid version id specified"
        raise AwsError("InvalidArgument", text, ArgumentName="versionId", ArgumentValue=version)
    elif call.operation == "GetObject" and stores.is_marker(bucket, call.uri["Key"], version):
        text = "The specified method is not allowed against this resource."
        raise AwsError("MethodNotAllowed", text, 405, Method="GET", ResourceType="DeleteMarker")


_VERSION = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as moto makes them


def _xml(request: Request) -> list[ElementTree.Element]:
    """The elements of a body; raises MalformedXML."""
    try:
        return list(ElementTree.fromstring(request.body).iter())
    except ElementTree.ParseError:
        raise AwsError("MalformedXML", "The XML you provided was not well-formed.") from None


def _versioning(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html; moto takes any word for a status.

    Suspended, moto would drop all of an object's versions with its next deletion. The words are those that
    localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json recorded.
    """
    status = next((e.text for e in _xml(request) if e.tag.endswith("Status")), None)
    if status is None:
        raise AwsError("IllegalVersioningConfigurationException", "The Versioning element must be specified")
    if status not in ("Enabled", "Suspended"):
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise AwsError("MalformedXML", text)
    if status == "Suspended" and stores.versioning(call.uri["Bucket"]) == "Enabled":
        raise AwsError("NotImplemented", "The local AWS does not suspend versioning once it is enabled.", 501)


def _completed(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
    upload = dict(urllib.parse.parse_qsl(request.query))["uploadId"]
    if stores.made_by(call.uri["Bucket"], call.uri["Key"], upload):
        return
    _uploading(call, upload)
    numbers = [int(e.text or "") for e in _xml(request) if e.tag.endswith("PartNumber")]
    if numbers != sorted(set(numbers)):
        text = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise AwsError("InvalidPartOrder", text)
    _written_if(call, request)


def _uploading(call: Call, upload: str) -> None:
    if not stores.has_upload(call.uri["Bucket"], upload, call.uri["Key"]):
        text = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
        raise AwsError("NoSuchUpload", text + "or completed.", 404, UploadId=upload)


def _part(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"""
    asked = dict(urllib.parse.parse_qsl(request.query))
    if not 1 <= int(asked["partNumber"]) <= 10_000:
        text = "Part number must be an integer between 1 and 10000, inclusive"
        raise AwsError("InvalidArgument", text, ArgumentName="partNumber", ArgumentValue=asked["partNumber"])
    _uploading(call, asked["uploadId"])
    if call.operation == "UploadPart":
        _put(parameters, call, request)
    else:
        _copy(parameters, call, request)


def _copy(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html: x-amz-copy-source-if-…

    A moment in the future is no condition (localstack/localstack tests/aws/services/s3/test_s3_preconditions.py).
    """
    for kind in ("metadata", "tagging"):
        directive = request.headers.get(f"x-amz-{kind}-directive", "COPY")
        if directive not in ("COPY", "REPLACE"):
            name = f"x-amz-{kind}-directive"
            raise AwsError("InvalidArgument", f"Unknown {kind} directive.", ArgumentName=name, ArgumentValue=directive)
    if call.operation == "CopyObject":
        _written_if(call, request)
    source, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    bucket, _, key = urllib.parse.unquote(source).lstrip("/").partition("/")
    if (found := stores.found(bucket, key, version or None)) is None:
        return  # which moto says
    etag, modified, size = found
    asked = {name: request.headers.get(f"x-amz-copy-source-{name}") for name in _CONDITIONS}
    match, none_match = (
        {tag.strip().strip('"') for tag in (asked[name] or "").split(",")} for name in ("if-match", "if-none-match")
    )
    failed = None
    if asked["if-match"] is not None:
        failed = None if match & {etag, "*"} else "If-Match"
    elif (since := asked["if-unmodified-since"]) is not None:
        failed = "If-Unmodified-Since" if modified > parsedate_to_datetime(since).timestamp() else None
    if asked["if-none-match"] is not None:
        failed = "If-None-Match" if none_match & {etag, "*"} else failed
    elif (since := asked["if-modified-since"]) is not None:
        changed = not modified <= parsedate_to_datetime(since).timestamp() <= time.time()
        failed = failed if changed else "If-Modified-Since"
    if failed:
        text = "At least one of the pre-conditions you specified did not hold"
        raise AwsError("PreconditionFailed", text, 412, Condition=f"x-amz-copy-source-{failed}")
    if part := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("x-amz-copy-source-range", "")):
        if not int(part[1]) <= int(part[2]) < size:
            text = f"Range specified is not valid for source object of size: {size}"
            raise AwsError("InvalidArgument", text, ArgumentName="x-amz-copy-source-range", ArgumentValue=part[0])


_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def _get(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html: moto would give all parts for each.

    A range in other units than bytes is none: https://www.rfc-editor.org/rfc/rfc9110#name-range
    """
    if call.operation == "GetObject" and "partNumber=" in request.query:
        raise AwsError("NotImplemented", "The local AWS gives objects whole, or a Range of them, and not a part.", 501)
    if not request.headers.get("range", "bytes=").startswith("bytes="):
        del request.headers["range"]
    _version(parameters, call, request)


def _listing(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html: never more than 1,000 keys"""
    given = dict(urllib.parse.parse_qsl(request.query))
    if "version-id-marker" in given and "key-marker" not in given:
        name, text = "version-id-marker", "A version-id marker cannot be specified without a key marker."
        raise AwsError("InvalidArgument", text, ArgumentName=name, ArgumentValue=given[name])
    asked = given.get("max-keys", "1000")
    if not asked.isdigit():
        text = "Argument maxKeys must be an integer between 0 and 2147483647"
        raise AwsError("InvalidArgument", text, ArgumentName="maxKeys", ArgumentValue=asked)
    if int(asked) > 1000:
        request.query = re.sub(r"(?<![^&])max-keys=\d+", "max-keys=1000", request.query)


def _objects(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
    if sum(e.tag.endswith("Key") for e in _xml(request)) > 1000:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise AwsError("MalformedXML", text)


def _tags(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html: keys must be unique"""
    keys = [e.text for e in _xml(request) if e.tag.endswith("Key")]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise AwsError("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=twice)


def _website(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html"""
    elements = _xml(request)
    tags = [element.tag.rpartition("}")[2] for element in elements]
    suffix = next((e.text or "" for e in elements if e.tag.endswith("Suffix")), "x")
    if "RoutingRules" in tags:
        raise AwsError("NotImplemented", "The local AWS has no routing rules for websites.", 501)
    if not {"IndexDocument", "RedirectAllRequestsTo"} & set(tags):
        text = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise AwsError("InvalidArgument", text, ArgumentName="IndexDocument", ArgumentValue="null")
    if not suffix or "/" in suffix:
        raise AwsError("InvalidArgument", "The IndexDocument Suffix is not well formed", ArgumentValue=suffix)


def _grants(call: Call, request: Request) -> None:
    """A bucket's owner owns its objects and access lists are off, as for every new bucket on AWS.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    acl = request.headers.get("x-amz-acl", "")
    if acl.startswith(("public", "authenticated")) or any(h.startswith("x-amz-grant-") for h in request.headers):
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    if call.operation in ("PutBucketAcl", "PutObjectAcl") and b"/groups/global/" in request.body:
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")


def _notification(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"""
    if b"CloudFunction" in request.body or b"EventBridgeConfiguration" in request.body:
        raise AwsError("NotImplemented", "The local AWS sends a bucket's events to SQS and SNS only.", 501)
    request.body = re.sub(
        rb"<Name>(Pre|Suf)fix</Name>", lambda found: found[0].lower().replace(b"name", b"Name"), request.body
    )
    for element in _xml(request):
        if element.tag.endswith("Name") and element.text not in ("prefix", "suffix"):
            text = "filter rule name must be either prefix or suffix"
            raise AwsError("InvalidArgument", text, ArgumentName="FilterRule.Name", ArgumentValue=element.text or "")


_QUEUE_NUMBERS = {
    "DelaySeconds": (0, 900), "MaximumMessageSize": (1024, 1_048_576), "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20), "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}  # fmt: skip
_QUEUE_ATTRIBUTES = {
    *_QUEUE_NUMBERS, "Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled",
    "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit",
}  # fmt: skip


_OF_FIFO = {"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}


def _queue(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html

    The words are those that localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json recorded.
    """
    attributes, name = parameters.get("Attributes") or {}, str(parameters.get("QueueName", ""))
    fifo = (str(parameters["QueueUrl"]) if call.operation == "SetQueueAttributes" else name).endswith(".fifo")
    for attribute, value in attributes.items():
        made = call.operation == "CreateQueue" and attribute == "FifoQueue" and value != "false"
        if attribute not in _QUEUE_ATTRIBUTES or (attribute in _OF_FIFO and not fifo and not made):
            raise AwsError("InvalidAttributeName", f"Unknown Attribute {attribute}.")
        if attribute == "FifoQueue" and value == "false":
            text = "Invalid value for the parameter FifoQueue."
            if call.operation == "CreateQueue":
                raise AwsError("InvalidAttributeName", "Unknown Attribute FifoQueue.")
            raise AwsError("InvalidAttributeValue", f"{text} Reason: Modifying queue type is not supported.")
        low, high = _QUEUE_NUMBERS.get(attribute, (0, 0))
        if high and not (re.fullmatch(r"\d{1,9}", value) and low <= int(value) <= high):
            raise AwsError("InvalidAttributeValue", f"Invalid value for the parameter {attribute}.")
    if attributes.get("KmsMasterKeyId") and attributes.get("SqsManagedSseEnabled") == "true":
        text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS"
        raise AwsError("InvalidAttributeName", f"{text} SSE.")
    if name.endswith(".fifo") and attributes.get("FifoQueue") != "true":
        text = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise AwsError("InvalidParameterValue", text)
    if policy := attributes.get("RedrivePolicy"):
        if wrong := _redrive(policy, fifo):
            text = f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {wrong}"
            raise AwsError("InvalidParameterValue", text)
    _policy(parameters, call, request)


def _redrive(policy: str, fifo: bool) -> str:
    """What is wrong with a redrive policy: the queue that it names has to be there, and be of the same kind."""
    try:
        given = json.loads(policy)
    except ValueError:
        return "Redrive policy is not a valid JSON map."
    most, target = given.get("maxReceiveCount", 1), str(given.get("deadLetterTargetArn", "arn:aws:sqs:::"))
    if not target.startswith("arn:aws:sqs:"):
        return "Invalid value for deadLetterTargetArn."
    if not 1 <= int(most) <= 1000:
        return f"Invalid value for maxReceiveCount: {most}, valid values are from 1 to 1000 both inclusive."
    if "deadLetterTargetArn" not in given:
        return ""  # which moto says
    try:
        stores.queue(target)
    except (AwsError, LookupError):
        return "Dead letter target does not exist."
    return "" if fifo == target.endswith(".fifo") else ("Dead-letter queue must be same type of queue as the source..")


def _sent(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """Below https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/: sqs-message-metadata.html"""
    _message(parameters, call, request)
    attributes = parameters.get("MessageAttributes") or {}
    wrong = None
    if len(attributes) > 10:
        wrong = f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10]."
    for name, value in attributes.items():
        kind = value["DataType"].partition(".")[0]
        content = value.get("BinaryValue" if kind == "Binary" else "StringValue")
        if not content:
            wrong = f"Message (user) attribute '{name}' must contain a non-empty value of type '{value['DataType']}'."
        elif kind == "Number" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", content):
            wrong = f"Can't cast the value of message (user) attribute '{name}' to a number."
    token = parameters.get("MessageDeduplicationId")
    if token is not None and not str(parameters["QueueUrl"]).endswith(".fifo"):
        reason = "The request include parameter that is not valid for this queue type."
        wrong = f"Value {token} for parameter MessageDeduplicationId is invalid. Reason: {reason}"
    if wrong:
        raise AwsError("InvalidParameterValue", wrong)


def _batch(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html"""
    names = [str(entry["Id"]) for entry in parameters["Entries"]]
    code = text = ""
    if not names:
        code, text = "EmptyBatchRequest", f"There should be at least one {call.operation}RequestEntry in the request."
    elif len(names) > 10:
        code = "TooManyEntriesInBatchRequest"
        text = f"Maximum number of entries per request are 10. You have sent {len(names)}."
    elif not all(re.fullmatch(r"[\w-]{1,80}", name, re.ASCII) for name in names):
        code = "InvalidBatchEntryId"
        text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        text += "It can be at most 80 letters long."
    elif twice := next((name for name in names if names.count(name) > 1), None):
        code, text = "BatchEntryIdsNotDistinct", f"Id {twice} repeated."
    if code:
        raise AwsError(f"AWS.SimpleQueueService.{code}", text)


def _received(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    if not 1 <= (most := int(parameters.get("MaxNumberOfMessages", 1))) <= 10:
        text = f"Value {most} for parameter MaxNumberOfMessages is invalid."
        raise AwsError("InvalidParameterValue", f"{text} Reason: Must be between 1 and 10, if provided.")


def _message(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    for entry in parameters["Entries"] if "Entries" in parameters else [parameters]:
        if not entry.get("MessageBody"):
            raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
        if found := _NO_MESSAGE.search(entry["MessageBody"]):
            text = f"Invalid binary character '#x{ord(found[0]):X}' was found in the message body, the set of allowed"
            allowed = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
            raise AwsError("InvalidMessageContents", f"{text} characters is {allowed}")
        if "Entries" in parameters and str(parameters["QueueUrl"]).endswith(".fifo") and "MessageGroupId" not in entry:
            raise AwsError("InvalidParameterValue", "The request must contain the parameter MessageGroupId.")


def _publish(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
    message, topic = parameters.get("Message", ""), parameters.get("TopicArn", parameters.get("TargetArn"))
    if topic is not None and ":endpoint/" not in topic:
        topics.topic(topic)
    topics.check_message(topic or "", parameters)
    if parameters.get("MessageStructure") == "json":
        try:
            known = json.loads(message)
        except ValueError:
            raise _structure("JSON message body failed to parse") from None
        if not isinstance(known, dict) or "default" not in known:
            raise _structure("No default entry in JSON message body")


def _structure(reason: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: Message Structure - {reason}")


def _subscribe(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html"""
    if (protocol := parameters.get("Protocol")) != "sqs":
        raise AwsError("InvalidParameter", f"Invalid parameter: the local AWS delivers to SQS, not to {protocol}.")
    topics.check_subscription(parameters.get("TopicArn", ""), parameters.get("Endpoint", ""), _pairs(parameters))


def _subscription(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html"""
    topics.check_attributes(_pairs(parameters))


def _parameter(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"""
    large = len(str(parameters.get("Value", "")).encode()) > 4096
    if large and parameters.get("Tier", "Standard") == "Standard":
        raise AwsError(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier.",
        )


def _metrics(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html"""
    if str(parameters.get("Namespace", "")).startswith("AWS/"):
        raise AwsError("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.")
    for number, metric in enumerate(parameters.get("MetricData") or (), 1):
        where = f"MetricData.member.{number}"
        if not metric.keys() & {"Value", "Values", "StatisticValues"}:
            text = f"At least one of the parameters {where}.Value, {where}.Values and {where}.StatisticValues must be "
            raise AwsError("InvalidParameterCombination", text + "specified.")
        for value in (metric.get("Value", 0), *metric.get("Values", ())):
            if abs(float(value)) > 2.0**360:  # infinite ones, too
                raise AwsError("InvalidParameterValue", f"The value {value} for parameter {where}.Value is invalid.")
        at = None if metric.get("Timestamp") is None else _seconds(metric["Timestamp"])
        if at is not None and not time.time() - _TWO_WEEKS <= at <= time.time() + 7200:
            text = "must specify a time within the past two weeks and no more than two hours in the future"
            raise AwsError("InvalidParameterValue", f"The parameter MetricData.member.{number}.Timestamp {text}.")


def _statistics(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html; moto would answer with
    nothing for an expression that it cannot work out."""
    asked = parameters.get("MetricDataQueries") or ()
    statistics = [query["MetricStat"]["Stat"] for query in asked if "MetricStat" in query]
    if parameters.get("ExtendedStatistics") or any("Expression" in query for query in asked):
        raise AwsError("ValidationError", "The local AWS has no metric math and no percentiles.")
    if unknown := [statistic for statistic in statistics if statistic not in alarms.STATISTICS]:
        raise AwsError("ValidationError", f"The local AWS has no metric math and no percentiles: {unknown[0]}.")
    names = [query["Id"] for query in asked]
    for number, name in enumerate(names, 1):
        if not re.fullmatch("[a-z][a-zA-Z0-9_]*", name):
            text = f"The value {name} for parameter MetricDataQueries.member.{number}.Id is not matching the expected"
            raise AwsError("ValidationError", f"{text} pattern ^[a-z][a-zA-Z0-9_]*$.")
    if len(set(names)) < len(names):
        raise AwsError("ValidationError", "The values for parameter Id in MetricDataQueries are not unique.")
    for period in (parameters.get("Period", 60), *(q["MetricStat"]["Period"] for q in asked if "MetricStat" in q)):
        if period not in (1, 5, 10, 20, 30) and period % 60:
            text = "must be 1, 5, 10, 20, 30 or a multiple of 60"
            raise AwsError("InvalidParameterValue", f"The parameter Period {text}.")
    if call.operation == "GetMetricStatistics":
        points = (_seconds(parameters["EndTime"]) - _seconds(parameters["StartTime"])) / parameters["Period"]
        if points > 1440:
            text = (
                f"You have requested up to {int(points):,} datapoints, which exceeds the limit of 1,440. You may reduce"
            )
            text += " the datapoints requested by increasing Period, or decreasing the time range."
            raise AwsError("InvalidParameterCombination", text)


def _seconds(moment: float | str) -> float:
    return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else float(moment)


def _alarm(parameters: dict[str, Any], call: Call, request: Request) -> None:
    alarms.check(parameters)


def _pattern(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"""
    if parameters.get("startFromHead") is False:
        raise AwsError("InvalidParameterException", "The local AWS filters log events from the head only.")
    pattern = parameters.get("filterPattern", "").strip()
    if pattern and not re.fullmatch(r'"[^"]*"|[A-Za-z]\w*(\s+\w+)*', pattern):
        text = "The local AWS filters log events by words, or by one text in double quotes"
        raise AwsError("InvalidParameterException", f"{text}, not by {pattern!r}.")


def _events(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    events = parameters["logEvents"]
    empty = next((f"logEvents.{n}.member.message" for n, e in enumerate(events, 1) if e["message"] == ""), "")
    if not events or empty:
        at, shown = (empty, "") if events else ("logEvents", "[]")
        text = f"1 validation error detected: Value '{shown}' at '{at}' failed to satisfy constraint: Member must have"
        raise AwsError("InvalidParameterException", f"{text} length greater than or equal to 1")


def _policy(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html"""
    code = "InvalidAttributeValue" if call.service == "sqs" else "InvalidParameter"
    if (given := _pairs(parameters)).get("Policy"):
        check_policy(given["Policy"], code)


def _pairs(parameters: dict[str, Any]) -> dict[str, Any]:
    """Attributes, however they are written; the query protocol has two ways for a pair."""
    given = dict(parameters.get("Attributes") or {})
    for key, name in parameters.items():
        if key.endswith((".Name", ".key", "AttributeName")):
            value = key.replace(".Name", ".Value").replace(".key", ".value").replace("AttributeName", "AttributeValue")
            given[name] = parameters.get(value)
    return given


_RULES = {
    ("s3", "CreateBucket"): _bucket,
    ("s3", "PutObject"): _put,
    ("s3", "UploadPart"): _part,
    ("s3", "UploadPartCopy"): _part,
    ("s3", "CopyObject"): _copy,
    ("s3", "GetObject"): _get,
    ("s3", "HeadObject"): _get,
    ("s3", "DeleteObject"): _version,
    ("s3", "CompleteMultipartUpload"): _completed,
    ("s3", "PutBucketVersioning"): _versioning,
    ("s3", "PutObjectTagging"): _tags,
    ("s3", "PutBucketTagging"): _tags,
    ("s3", "ListObjects"): _listing,
    ("s3", "ListObjectsV2"): _listing,
    ("s3", "ListObjectVersions"): _listing,
    ("s3", "DeleteObjects"): _objects,
    ("s3", "PutBucketNotificationConfiguration"): _notification,
    ("s3", "PutBucketWebsite"): _website,
    ("sqs", "CreateQueue"): _queue,
    ("sqs", "SetQueueAttributes"): _queue,
    ("sqs", "SendMessage"): _sent,
    ("sqs", "DeleteMessageBatch"): _batch,
    ("sqs", "ChangeMessageVisibilityBatch"): _batch,
    ("sqs", "ReceiveMessage"): _received,
    ("sqs", "SendMessageBatch"): _message,
    ("sns", "Publish"): _publish,
    ("sns", "Subscribe"): _subscribe,
    ("sns", "SetSubscriptionAttributes"): _subscription,
    ("ssm", "PutParameter"): _parameter,
    ("monitoring", "PutMetricData"): _metrics,
    ("monitoring", "PutMetricAlarm"): _alarm,
    ("monitoring", "GetMetricData"): _statistics,
    ("monitoring", "GetMetricStatistics"): _statistics,
    ("logs", "FilterLogEvents"): _pattern,
    ("logs", "PutLogEvents"): _events,
    **dict.fromkeys((("sns", "CreateTopic"), ("sns", "SetTopicAttributes")), _policy),
}
