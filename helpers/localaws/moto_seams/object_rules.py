"""What AWS's S3 refuses and moto takes; each rule names its page."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
import urllib.parse
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

from ..protocols import Call
from ..types import AwsError, Request
from . import stores

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_VERSION = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as moto makes them
_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html; Python has no others
_SUMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


def check(call: Call, request: Request) -> None:
    """What no call on a bucket or an object may have."""
    _object(call, request)
    _grants(call, request)


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


def _grants(call: Call, request: Request) -> None:
    """A bucket's owner owns its objects and access lists are off, as for every new bucket on AWS.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    acl = request.headers.get("x-amz-acl", "")
    if acl.startswith(("public", "authenticated")) or any(h.startswith("x-amz-grant-") for h in request.headers):
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    if call.operation in ("PutBucketAcl", "PutObjectAcl") and b"/groups/global/" in request.body:
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")


def _bucket(parameters: dict[str, Any], call: Call, request: Request) -> None:
    name = call.uri.get("Bucket", "")
    if not _BUCKET.fullmatch(name):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)


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


RULES = {
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
}
