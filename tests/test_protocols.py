"""Operations told apart, and errors written so that botocore reads them back: https://smithy.io/2.0/aws/protocols/."""

from __future__ import annotations

import gzip
import re
import urllib.parse
from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.localaws import protocols
from helpers.localaws.types import AwsError, Request
from tests.seeded import seeded

SESSION = botocore.session.get_session()
FORM = {"content-type": "application/x-www-form-urlencoded"}
# Two names for one route, of which the older is deprecated; and S3 Express's, which is another endpoint.
SAME_ROUTE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def minimal(shape: Any, depth: int = 0) -> Any:
    """The smallest value that botocore's serializer takes for a shape."""
    kind = shape.type_name
    if kind == "structure":
        return {m: minimal(shape.members[m], depth + 1) for m in shape.required_members} if depth < 6 else {}
    if kind == "list":
        return [minimal(shape.member, depth + 1)] if depth < 6 else []
    if kind == "map":
        return {"k": minimal(shape.value, depth + 1)}
    if kind == "string":
        return shape.enum[0] if shape.enum else "xxx"
    return {
        "integer": 1, "long": 1, "double": 1.5, "float": 1.5, "boolean": True, "blob": b"x",
        "timestamp": "2026-01-01T00:00:00Z",
    }[kind]  # fmt: skip


def serialized(model: Any, operation: str, parameters: dict[str, Any], protocol: str = "") -> Request:
    """The request that botocore sends for a call, unsigned."""
    serializer = botocore.serialize.create_serializer(protocol or model.resolved_protocol, False)
    made = serializer.serialize_to_request(parameters, model.operation_model(operation))
    path, _, query = made["url_path"].partition("?")
    more = made.get("query_string") or ""
    query = "&".join(
        x for x in (query, more if isinstance(more, str) else urllib.parse.urlencode(more, doseq=True)) if x
    )
    body = made["body"] or b""
    if isinstance(body, dict):
        body = urllib.parse.urlencode(body)
    headers = {k.lower(): v if isinstance(v, str) else v.decode() for k, v in made["headers"].items()}
    return Request(made["method"], path, query, headers, body.encode() if isinstance(body, str) else body)


CASES = [
    (service, protocol) for service in protocols.SERVICES for protocol in ("", *(["query"] * (service == "monitoring")))
]


@pytest.mark.parametrize(("service", "protocol"), CASES)
def test_every_operation_is_told_from_every_other(service: str, protocol: str) -> None:
    model = SESSION.get_service_model(protocols.SERVICES[service])
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        request = serialized(model, operation, minimal(shape) if shape else {}, protocol)
        call = protocols.identify(service, request)
        assert call.operation == SAME_ROUTE.get(operation, operation), request
        assert call.service == service


def test_a_paths_parameters_are_decoded() -> None:
    uri = protocols.identify("s3", Request("GET", "/bkt/a%20b/%C3%BC//%2525", "", {})).uri
    assert uri == {"Bucket": "bkt", "Key": "a b/ü//%25"}
    arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af"
    call = protocols.identify("lambda", Request("POST", f"/2015-03-31/functions/{arn}/invocations", "", {}))
    assert (call.operation, call.uri["FunctionName"]) == ("Invoke", urllib.parse.unquote(arn))


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b/j"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {"x-amz-copy-source": "b/j"}, "UploadPartCopy"),
        ("GET", "/b/k", "uploadId=u", {}, "ListParts"),
        ("GET", "/b/k", "partNumber=1", {}, "GetObject"),
        ("GET", "/b/k/", "", {}, "GetObject"),
        ("GET", "/b/", "", {}, "ListObjects"),
        ("GET", "/b", "list-type=2&prefix=acl", {}, "ListObjectsV2"),
        ("GET", "/b", "versioning=", {}, "GetBucketVersioning"),
        ("HEAD", "/b/k\nl", "", {}, "HeadObject"),
    ],
)
def test_s3s_operations(method: str, path: str, query: str, headers: dict[str, str], operation: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html"""
    assert protocols.identify("s3", Request(method, path, query, headers)).operation == operation


@pytest.mark.parametrize(
    ("service", "request_", "code"),
    [
        # What one reading makes a harmless call of, and another a harmful one.
        (
            "lambda",
            Request("DELETE", "/2015-03-31/functions/f", "", {"x-amz-target": "AWSLambda.ListFunctions"}),
            "Unknown",
        ),
        ("s3", Request("DELETE", "/b", "", {"x-amz-target": "S3.ListBuckets"}), "Unknown"),
        ("dynamodb", Request("POST", "/", "", {"x-amz-target": "X.ListTables"}), "Unknown"),
        ("dynamodb", Request("POST", "/", "", {"x-amz-target": "DynamoDB_20120810.Nope"}), "Unknown"),
        ("dynamodb", Request("POST", "/", "Action=DeleteTable", {}), "Unknown"),
        ("tagging", Request("POST", "/", "", {}), "Unknown"),
        ("s3", Request("GET", "/b", "acl&policy", {}), "InvalidArgument"),
        ("s3", Request("PUT", "/b/k", "tagging&acl=", {}), "InvalidArgument"),
        ("s3", Request("POST", "/b/k", "", {}), "MethodNotAllowed"),
        ("lambda", Request("GET", "/2015-03-31/functions/a%2Fconfiguration", "", {}), "Unknown"),
        ("lambda", Request("GET", "/nowhere", "", {}), "Unknown"),
        ("iam", Request("POST", "/", "", FORM, b"Action=Nope"), "InvalidAction"),
        ("iam", Request("POST", "/", "", FORM, b""), "InvalidAction"),
        ("iam", Request("POST", "/", "", FORM, b"Action=\xff\xfe%"), "MalformedQueryString"),
        ("ec2", Request("POST", "/", "", FORM, b"Action=DescribeInstances"), "Unknown"),
    ],
)
def test_what_is_no_operation_is_refused(service: str, request_: Request, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        protocols.identify(service, request_)
    assert caught.value.code.startswith(code) and caught.value.status in (400, 404, 405)


def test_parameters() -> None:
    put = {"x-amz-target": "Kinesis_20131202.PutRecord"}
    call = protocols.identify("kinesis", Request("POST", "/", "", put))
    assert protocols.parameters(call, Request("POST", "/", "", put, b'{"StreamName":"s"}')) == {"StreamName": "s"}
    for body in (b"{", b"[]", b"\xff", b"1", b"NaN", b'"x"', b'{"a":' * 2000):
        with pytest.raises(AwsError, match="SerializationException"):
            protocols.parameters(call, Request("POST", "/", "", put, body))
    twice = Request("POST", "/", "", FORM, b"Action=GetRole&RoleName=a&RoleName=b&Path=")
    call = protocols.identify("iam", twice)
    assert protocols.parameters(call, twice) == {"Action": "GetRole", "RoleName": "b", "Path": ""}


def test_compressed_parameters() -> None:
    """botocore compresses PutMetricData of 10 KB and more.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-compression.html
    """
    headers = {"x-amz-target": "GraniteServiceVersion20100801.PutMetricData", "content-encoding": "gzip"}
    body = orjson.dumps({"Namespace": "x" * 20_000})
    call = protocols.identify("monitoring", Request("POST", "/", "", headers))
    assert protocols.parameters(call, Request("POST", "/", "", headers, gzip.compress(body))) == orjson.loads(body)
    for bad in (b"not gzip", gzip.compress(b"a" * (protocols.MAX_INFLATED + 10))):
        with pytest.raises(AwsError) as caught:
            protocols.parameters(call, Request("POST", "/", "", headers, bad))
        assert caught.value.status == 400


# Errors

PARSERS = {"json": "json", "rest-json": "rest-json", "query": "query", "s3": "rest-xml"}


def parsed(error: AwsError, protocol: str) -> tuple[int, dict[str, Any]]:
    """What botocore's parser makes of an error."""
    answer = protocols.error_response(error, protocol)
    parser = botocore.parsers.create_parser(PARSERS[protocol])
    headers = {k.lower(): v for k, v in answer.headers.items()}
    return answer.status, parser.parse({"status_code": answer.status, "headers": headers, "body": answer.body}, None)


@pytest.mark.parametrize("protocol", PARSERS)
def test_botocore_reads_errors_back(protocol: str) -> None:
    message = "a <b> & 'ü'\n\"c\" \x00\x1f\ufffe"
    status, got = parsed(AwsError("TheCode", message, 409, Extra="e<1>"), protocol)
    assert status == (400 if protocol == "json" else 409)
    assert got["Error"]["Code"] == "TheCode"
    kept = re.sub("[\x00\x1f\ufffe]", "?", message) if protocol in ("query", "s3") else message
    assert got["Error"]["Message"] == kept
    assert len(got["ResponseMetadata"]["RequestId"]) == 36
    if protocol in ("query", "s3"):
        assert got["Error"]["Extra"] == "e<1>"


def test_boto3_finds_its_class_for_an_error_of_sqs() -> None:
    """localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json (test_non_existent_queue), recorded on AWS"""
    code = "AWS.SimpleQueueService.NonExistentQueue"
    _, got = parsed(AwsError(code, "The specified queue does not exist."), "json")
    assert got["Error"]["Code"] == code and got["Error"]["Type"] == "Sender"
    assert got["Error"]["QueryErrorCode"] == "QueueDoesNotExist"


def test_an_errors_members_reach_the_caller() -> None:
    """CancellationReasons: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
    answer = protocols.error_response(
        AwsError("TransactionCanceledException", "m", CancellationReasons=[{"Code": "None"}]), "json"
    )
    model = SESSION.get_service_model("dynamodb")
    got = botocore.parsers.create_parser("json").parse(
        {"status_code": 400, "headers": {}, "body": answer.body}, model.shape_for("TransactionCanceledException")
    )
    assert got["CancellationReasons"] == [{"Code": "None"}]


@pytest.mark.parametrize(
    ("code", "json", "query", "s3", "statuses"),
    [
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html (JSON: all 400)
        # https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html (query)
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList (S3)
        ("AccessDenied", "AccessDeniedException", "AccessDenied", "AccessDenied", (400, 403, 403)),
        ("ExpiredToken", "ExpiredTokenException", "ExpiredToken", "ExpiredToken", (400, 403, 400)),
        (
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            (400, 403, 403),
        ),
        (
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "SignatureDoesNotMatch",
            (400, 403, 403),
        ),
    ],
)
def test_permission_and_signature_in_each_protocols_words(
    code: str, json: str, query: str, s3: str, statuses: tuple[int, int, int]
) -> None:
    for protocol, name, status in zip(("json", "query", "s3"), (json, query, s3), statuses, strict=True):
        got, body = parsed(AwsError(code, "m", 403), protocol)
        assert (body["Error"]["Code"], got) == (name, status)
    got, body = parsed(AwsError(code, "m", 403), "rest-json")
    assert (body["Error"]["Code"], got) == (
        json,
        403,
    )  # https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html


@pytest.mark.parametrize(
    ("request_", "protocol"),
    [
        (Request("POST", "/", "", {"x-amz-target": "X.Y"}), "json"),
        (Request("POST", "/", "", FORM), "query"),
        (Request("GET", "/b/k", "", {}), "s3"),
        (Request("GET", "/b/k", "X-Amz-Credential=A%2F20260101%2Fus-east-1%2Fs3%2Faws4_request", {}), "s3"),
        (
            Request("GET", "/x", "", {"authorization": "AWS4-HMAC-SHA256 Credential=A/d/r/lambda/aws4_request"}),
            "rest-json",
        ),
        (Request("POST", "/", "", {"authorization": "AWS4-HMAC-SHA256 Credential=A/d/r/iam/aws4_request"}), "query"),
        (Request("POST", "/", "", {"authorization": "AWS4-HMAC-SHA256 Credential=A/d/r/kinesis/aws4_request"}), "json"),
        (
            Request("GET", "/x", "", {"authorization": "AWS4-HMAC-SHA256 Credential=A/d/r/batch/aws4_request"}),
            "rest-json",
        ),
    ],
)
def test_the_error_of_what_could_not_be_read_is_in_its_callers_protocol(request_: Request, protocol: str) -> None:
    assert protocols.hint(request_) == protocol


text = st.text(st.characters(codec="utf-8"), max_size=40)
words = st.sampled_from(
    ["", "/", "acl", "uploads", "Action=GetRole", "X-Amz-Credential=//", "%", "%zz", "a=b&a=c", "&&==", "tagging"]
)


@seeded(1_500, 100_000)
@given(
    st.sampled_from([*protocols.SERVICES, "ec2", ""]),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    st.one_of(words, text),
    st.one_of(words, text),
    st.dictionaries(
        st.sampled_from(["x-amz-target", "authorization", "content-type", "content-encoding"]), st.one_of(words, text)
    ),
    st.binary(max_size=60),
)
def test_anything_is_identified_or_refused(
    service: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    request = Request(method, "/" + path, query, headers, body)
    assert protocols.hint(request) in PARSERS
    try:
        call = protocols.identify(service, request)
        assert isinstance(protocols.parameters(call, request), dict)
    except AwsError as error:
        assert 400 <= error.status < 500 or error.status == 501
        for protocol in PARSERS:
            assert parsed(error, protocol)[1]["Error"]["Code"]
