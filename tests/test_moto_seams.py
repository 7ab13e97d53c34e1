"""A contract for each seam: when moto is raised, these say what moved.

moto runs in this process here, without a lab: calls go through the same function that the lab uses.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import botocore.awsrequest
import botocore.parsers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_protocols import SESSION, serialized

from helpers.localaws import auth, permissions, protocols, website
from helpers.localaws.moto_seams import (
    alarms,
    apis,
    app,
    dynamodb_plain,
    dynamodb_store,
    dynamodb_values,
    identities,
    lambdas,
    queues,
    stores,
)
from helpers.localaws.types import ACCOUNT_ID, ApiKey, AwsError, Request, Response
from tests.seeded import SEED, seeded

REGION = "us-east-1"
ROOT = auth.Principal(f"arn:aws:iam::{ACCOUNT_ID}:root", "")
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


class Refusal(Exception):
    """An error answer: `args` is (status, code, message)."""


@pytest.fixture(scope="module")
def moto() -> app.Moto:
    return app.load()


@pytest.fixture(autouse=True)
def fresh(moto: app.Moto) -> Iterator[None]:
    """Every backend that a test touches is empty before it."""
    from moto.core.base_backend import BackendDict

    for backends in list(BackendDict._instances):
        if backends.service_name in {"iam", "sts", *protocols.SERVICES.values()}:
            backends.reset()
    yield


Do = Callable[..., Any]


@pytest.fixture
def do(moto: app.Moto) -> Do:
    """do(service, operation, **parameters): the parsed answer; raises Refusal."""

    def call(service: str, operation: str, /, *, region: str = REGION, **parameters: Any) -> Any:
        model = SESSION.get_service_model(protocols.SERVICES[service])
        request = serialized(model, operation, parameters)
        answer = raw(moto, service, request, region)
        protocol = {"json": "json", "rest-json": "rest-json", "query": "query"}.get(model.resolved_protocol, "rest-xml")
        headers = botocore.awsrequest.HeadersDict(answer.headers)
        shape = model.operation_model(operation).output_shape
        if answer.status >= 300:
            got = botocore.parsers.create_parser(protocol).parse(
                {"status_code": answer.status, "headers": headers, "body": answer.body}, None
            )
            raise Refusal(answer.status, got["Error"]["Code"], got["Error"]["Message"])
        got = botocore.parsers.create_parser(protocol).parse(
            {"status_code": answer.status, "headers": headers, "body": answer.body}, shape
        )
        return got | {"Body": answer.body} if operation == "GetObject" else got

    return call


def raw(moto: app.Moto, service: str, request: Request, region: str = REGION) -> Response:
    request.headers.setdefault("host", "127.0.0.1:4566")
    scope = f"AKIA0000000000000000/20260101/{region}/{service}/aws4_request"
    request.headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    call = protocols.identify(service, request)
    signed = auth.Signed(ROOT, "AKIA0000000000000000", region, service)
    return moto(call, protocols.parameters(call, request), request, signed)


def archive(text: str = "def f(e, c): return e") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(zipfile.ZipInfo("a.py"), text)  # with no time of its own: the same text is the same zip
    return file.getvalue()


# app: what was signed and allowed is what is done


def test_the_operation_is_the_one_that_was_identified(moto: app.Moto, do: Do) -> None:
    """moto would rather believe the query string: a caller who may list tables could delete one."""
    table(do)
    request = serialized(SESSION.get_service_model("dynamodb"), "ListTables", {})
    request.query = "Action=DeleteTable&TableName=t"
    assert b'"TableNames"' in raw(moto, "dynamodb", request).body
    request = serialized(SESSION.get_service_model("lambda"), "ListFunctions", {})
    request.query = "Action=DeleteFunction"
    assert b'"Functions"' in raw(moto, "lambda", request).body
    assert do("dynamodb", "ListTables")["TableNames"] == ["tab"]


def test_the_region_is_the_one_that_was_signed(moto: app.Moto, do: Do) -> None:
    request = serialized(SESSION.get_service_model("sqs"), "CreateQueue", {"QueueName": "q"})
    request.headers |= {"user-agent": "x region/eu-west-1", "host": "sqs.eu-west-1.amazonaws.com"}
    raw(moto, "sqs", request, "ap-south-1")
    assert "QueueUrls" in do("sqs", "ListQueues", region="ap-south-1")
    assert "QueueUrls" not in do("sqs", "ListQueues", region="eu-west-1")


def test_every_region_that_a_signature_may_name_exists_in_moto(do: Do) -> None:
    for region in sorted(auth._regions()):
        do("sqs", "ListQueues", region=region)
        do("dynamodb", "ListTables", region=region)
        do("logs", "DescribeLogGroups", region=region)


def test_a_header_does_not_choose_the_account(moto: app.Moto) -> None:
    request = serialized(SESSION.get_service_model("sqs"), "CreateQueue", {"QueueName": "q"})
    request.headers["x-moto-account-id"] = "999999999999"
    assert b"/123456789012/q" in raw(moto, "sqs", request).body


def test_a_content_type_does_not_change_how_parameters_are_read(moto: app.Moto, do: Do) -> None:
    request = serialized(SESSION.get_service_model("sqs"), "CreateQueue", {"QueueName": "q"})
    request.headers["content-type"] = "application/x-www-form-urlencoded"
    raw(moto, "sqs", request)
    assert "QueueUrls" in do("sqs", "ListQueues")


def test_a_parameter_given_twice_is_read_once(moto: app.Moto, do: Do) -> None:
    request = Request("POST", "/", "", {}, b"Action=CreateUser&UserName=a&UserName=b")
    raw(moto, "iam", request)
    assert [u["UserName"] for u in do("iam", "ListUsers")["Users"]] == ["b"]  # as actions.needed reads it


def test_a_header_with_underscores_does_not_pass_for_one_with_dashes(moto: app.Moto, do: Do) -> None:
    do("s3", "CreateBucket", Bucket="bkt")
    do("s3", "PutObject", Bucket="bkt", Key="secret", Body=b"secret")
    request = serialized(SESSION.get_service_model("s3"), "PutObject", {"Bucket": "bkt", "Key": "k", "Body": b"mine"})
    request.headers |= {"x_amz_copy_source": "bkt/secret", "x-amz-meta-a_b": "kept"}
    raw(moto, "s3", request)
    got = do("s3", "GetObject", Bucket="bkt", Key="k")
    assert got["Body"] == b"mine"
    assert got["Metadata"] == {"a_b": "kept"}


def test_paths_of_motos_own_are_objects_here(moto: app.Moto, do: Do) -> None:
    """moto has an interface of its own under /moto-api, which can reset it."""
    do("s3", "CreateBucket", Bucket="moto-api")
    table(do)
    answer = raw(moto, "s3", Request("PUT", "/moto-api/reset", "", {"content-length": "1"}, b"x"))
    assert answer.status == 200
    assert do("dynamodb", "ListTables")["TableNames"] == ["tab"]
    assert [o["Key"] for o in do("s3", "ListObjectsV2", Bucket="moto-api")["Contents"]] == ["reset"]


def test_what_moto_does_not_have_is_refused_in_words(do: Do) -> None:
    for service, operation, parameters in (
        ("dynamodb", "ListGlobalTables", {}),
        ("ssm", "DescribeSessions", {"State": "Active"}),
        ("s3", "PutObject", {"Bucket": "bkt", "Key": "a line\nbreak", "Body": b""}),
        ("apigateway", "GetSdkTypes", {}),
        ("iam", "GetOrganizationsAccessReport", {"JobId": "x" * 36}),
    ):
        with pytest.raises(AwsError, match=f"The local AWS does not have {service}:{operation}") as caught:
            print(do(service, operation, **parameters))
        assert caught.value.code == "UnknownOperationException"


def test_what_moto_stumbles_over_is_the_callers_fault_if_it_is(
    moto: app.Moto, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AwsError, match="'tableName' failed to satisfy constraint: Member must not be null") as caught:
        do("dynamodb", "PutItem", Item={})
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    from moto.sqs.responses import SQSResponse

    for error, code, status in (
        (ZeroDivisionError(), "InternalFailure", 500),
        (KeyError("a"), "ValidationException", 400),
        (ModuleNotFoundError("a"), "UnknownOperationException", 404),
    ):
        monkeypatch.setattr(SQSResponse, "list_queues", lambda self, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(AwsError) as caught:
            do("sqs", "ListQueues")
        assert (caught.value.code, caught.value.status) == (code, status)
    with pytest.raises(AwsError) as caught:
        raw(moto, "s3", Request("PUT", "/b", "tagging", {}, b"<"))
    assert (caught.value.code, caught.value.status) == ("MalformedXML", 400)


@pytest.mark.parametrize("key", ["a b", "ä/ö", "//a//b/", "a/../b", "a+b%2Fc%", "?#;&=", "x/.", "😀"])
def test_s3_keys_of_any_kind(do: Do, key: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
    do("s3", "CreateBucket", Bucket="bkt")
    do("s3", "PutObject", Bucket="bkt", Key=key, Body=b"x")
    assert [o["Key"] for o in do("s3", "ListObjectsV2", Bucket="bkt")["Contents"]] == [key]
    assert do("s3", "HeadObject", Bucket="bkt", Key=key)["ContentLength"] == 1


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_s3_stores_bodies_of_any_content_type_as_they_are(do: Do, kind: str) -> None:
    do("s3", "CreateBucket", Bucket="bkt")
    body = b"key=1&file=abc\r\n--x\r\n"
    do("s3", "PutObject", Bucket="bkt", Key="k", Body=body, ContentType=kind)
    got = do("s3", "GetObject", Bucket="bkt", Key="k")
    assert (got["Body"], got["ContentType"]) == (body, kind)


def test_no_other_origin_is_let_in(moto: app.Moto, do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html: a bucket names none that is not configured"""
    do("s3", "CreateBucket", Bucket="bkt")
    do("s3", "PutObject", Bucket="bkt", Key="k", Body=b"x")
    request = serialized(SESSION.get_service_model("s3"), "GetObject", {"Bucket": "bkt", "Key": "k"})
    request.headers["origin"] = "http://page.localhost"
    assert not [name for name in raw(moto, "s3", request).headers if name.lower().startswith("access-control")]


def test_s3_takes_the_chunks_out_of_a_chunked_body(moto: app.Moto, do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    do("s3", "CreateBucket", Bucket="bkt")
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "7",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    body = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-amz-checksum-crc32:MSpqpg==\r\n\r\n"
    assert raw(moto, "s3", Request("PUT", "/bkt/k", "", headers, body)).status == 200
    got = do("s3", "GetObject", Bucket="bkt", Key="k")
    assert got["Body"] == b"abcdefg" and "ContentEncoding" not in got


@pytest.mark.parametrize("service", ["monitoring", "iam"])
def test_a_compressed_call(moto: app.Moto, do: Do, service: str) -> None:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-compression.html"""
    if service == "monitoring":
        request = serialized(
            SESSION.get_service_model("cloudwatch"), "PutMetricData", {"Namespace": "n", "MetricData": []}
        )
        request.body = b'{"Namespace":"n","MetricData":[{"MetricName":"m","Value":1}]}'
    else:
        request = Request("POST", "/", "", {}, b"Action=CreateUser&UserName=u")
    request.headers["content-encoding"], request.body = "gzip", gzip.compress(request.body)
    assert raw(moto, service, request).status == 200
    if service == "iam":
        assert do("iam", "GetUser", UserName="u")["User"]["UserName"] == "u"
    else:
        assert [m["MetricName"] for m in do("monitoring", "ListMetrics")["Metrics"]] == ["m"]


def test_the_environ_holds_what_moto_reads() -> None:
    call = protocols.Call("s3", "PutObject", "s3", {})
    headers = {"host": "h:1", "content-type": "t", "content-length": "3", "transfer-encoding": "chunked", "x-a": "b"}
    environ = app._environ(call, Request("PUT", "/a%20b", "c=d", headers, b"abc"), {})
    assert environ["RAW_URI"] == "/a%20b?c=d" and environ["PATH_INFO"] == "/a b"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"], environ["HTTP_X_A"]) == ("t", "3", "b")
    assert "HTTP_TRANSFER_ENCODING" not in environ and environ["SERVER_PORT"] == "1"


# identities


def test_keys_and_sessions_are_found(do: Do) -> None:
    do("iam", "CreateUser", UserName="u", Path="/team/")
    made = do("iam", "CreateAccessKey", UserName="u")["AccessKey"]
    found = identities.find(made["AccessKeyId"])
    assert found == auth.Principal(f"arn:aws:iam::{ACCOUNT_ID}:user/team/u", made["SecretAccessKey"], user="u")
    do("iam", "UpdateAccessKey", UserName="u", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert identities.find(made["AccessKeyId"]) is None
    do("iam", "CreateRole", RoleName="r", Path="/service-role/", AssumeRolePolicyDocument=TRUST)
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/r"
    got = do("sts", "AssumeRole", RoleArn=arn, RoleSessionName="me", Policy=ALLOW, DurationSeconds=900)["Credentials"]
    found = identities.find(got["AccessKeyId"])
    assert found is not None and found.expires is not None
    assert (found.arn, found.role) == (f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/r/me", arn)
    assert (found.secret, found.token) == (got["SecretAccessKey"], got["SessionToken"])
    assert found.session_policy == ALLOW and abs(found.expires - time.time() - 900) < 30
    assert identities.find("AKIA1111111111111111") is None


def test_the_policies_of_a_role_and_of_a_user_with_its_groups(do: Do) -> None:
    do("iam", "CreateRole", RoleName="r", Path="/service-role/", AssumeRolePolicyDocument=TRUST)
    do("iam", "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=ALLOW)
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    do("iam", "AttachRolePolicy", RoleName="r", PolicyArn=basic)
    role = auth.Principal.of_role(f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/r", "s")
    inline, managed = identities.policies(role)
    assert inline == json.loads(ALLOW)
    assert "logs:PutLogEvents" in managed["Statement"][0]["Action"]
    assert list(identities.policies(auth.Principal.of_role(f"arn:aws:iam::{ACCOUNT_ID}:role/r", "s"))) == []
    do("iam", "CreateUser", UserName="u")
    do("iam", "CreateGroup", GroupName="g")
    do("iam", "AddUserToGroup", GroupName="g", UserName="u")
    do("iam", "PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=ALLOW)
    own = do("iam", "CreatePolicy", PolicyName="own", PolicyDocument=ALLOW)["Policy"]["Arn"]
    do("iam", "AttachUserPolicy", UserName="u", PolicyArn=own)
    changed = ALLOW.replace("s3:*", "sqs:*")
    do("iam", "CreatePolicyVersion", PolicyArn=own, PolicyDocument=changed, SetAsDefault=True)
    user = auth.Principal(f"arn:aws:iam::{ACCOUNT_ID}:user/u", "", user="u")
    assert list(identities.policies(user)) == [json.loads(changed), json.loads(ALLOW)]
    assert list(identities.policies(auth.Principal("x", "", user="gone"))) == []


def test_arns_of_what_is_and_of_what_would_be(do: Do) -> None:
    do("iam", "CreateRole", RoleName="r", Path="/service-role/", AssumeRolePolicyDocument=TRUST)
    do("iam", "CreateInstanceProfile", InstanceProfileName="p", Path="/a/")
    assert identities.arn("role", "r", "/") == f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/r"
    assert identities.arn("instance-profile", "p", "/") == f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/a/p"
    for kind in ("role", "user", "group", "policy", "instance-profile"):
        assert identities.arn(kind, "new", "/x/") == f"arn:aws:iam::{ACCOUNT_ID}:{kind}/x/new"


def test_trust(do: Do) -> None:
    arn = do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    assert identities.trust_policy(arn) == json.loads(TRUST) and identities.trust_policy(arn + "x") is None
    assert identities.trusts(arn, "lambda.amazonaws.com") and not identities.trusts(arn, "ec2.amazonaws.com")
    assert not identities.trusts(arn + "x", "lambda.amazonaws.com")
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    limited = json.loads(TRUST)
    limited["Statement"][0]["Condition"] = {"ArnLike": {"aws:SourceArn": "arn:aws:lambda:*:*:function:f"}}
    do("iam", "UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=json.dumps(limited))
    function = "arn:aws:lambda:us-east-1:123456789012:function:"
    assert identities.trusts(arn, "lambda.amazonaws.com", function + "f")
    assert not identities.trusts(arn, "lambda.amazonaws.com", function + "g")


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code", "words"),
    [
        (
            "iam",
            "PutRolePolicy",
            {"RoleName": "r", "PolicyName": "p", "PolicyDocument": "{"},
            "MalformedPolicyDocument",
            "Syntax",
        ),
        ("iam", "CreateRole", {"RoleName": "x", "AssumeRolePolicyDocument": "[]"}, "MalformedPolicyDocument", "Syntax"),
        (
            "iam",
            "CreateRole",
            {
                "RoleName": "x",
                "AssumeRolePolicyDocument": TRUST,
                "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
            },
            "InvalidInput",
            "permissions boundaries",
        ),
        # its policy has a condition that is not evaluated here
        (
            "iam",
            "AttachRolePolicy",
            {"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/CloudWatchFullAccessV2"},
            "MalformedPolicyDocument",
            "condition",
        ),
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        ("sts", "AssumeRole", {"DurationSeconds": 899}, "ValidationError", "between 900 and 43200"),
        (
            "sts",
            "AssumeRole",
            {"DurationSeconds": 7200},
            "ValidationError",
            "exceeds the MaxSessionDuration set for this role",
        ),
        ("sts", "AssumeRole", {"Policy": "{"}, "MalformedPolicyDocument", "Syntax"),
        (
            "sts",
            "AssumeRole",
            {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]},
            "ValidationError",
            "PolicyArns",
        ),
        ("sts", "AssumeRole", {"DurationSeconds": 3600}, "", ""),
    ],
)
def test_what_would_not_hold_is_refused(
    do: Do, service: str, operation: str, parameters: dict[str, Any], code: str, words: str
) -> None:
    arn = do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    if operation == "AssumeRole":
        parameters = {"RoleArn": arn, "RoleSessionName": "me"} | parameters
    if not code:
        do(service, operation, **parameters)
        return
    with pytest.raises(AwsError, match=words) as caught:
        do(service, operation, **parameters)
    assert caught.value.code == code and caught.value.status == 400


# localstack/localstack tests/aws/services/apigateway/test_apigateway_api.snapshot.json, recorded against API Gateway;
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html and .../STS/latest/APIReference/API_AssumeRole
UNFIT = [
    ("iam", "CreateRole", {"RoleName": "a b", "AssumeRolePolicyDocument": TRUST}, "ValidationError",
     r"1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy "
     r"regular expression pattern: [\w+=,.@-]+"),
    ("iam", "CreateRole", {"RoleName": "a" * 65, "AssumeRolePolicyDocument": TRUST}, "ValidationError",
     "at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"),
    ("sts", "AssumeRole", {"RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/r", "RoleSessionName": "für"}, "ValidationError",
     r"Value 'für' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
    ("apigateway", "PutIntegration", {"restApiId": "a", "resourceId": "r", "httpMethod": "GET", "type": "HTTPS_PROXY"},
     "ValidationException", "1 validation error detected: Value 'HTTPS_PROXY' at 'putIntegrationInput.type' failed to "
     "satisfy constraint: Member must satisfy enum value set: ["),
    ("apigateway", "UpdateMethodResponse",
     {"restApiId": "a", "resourceId": "r", "httpMethod": "GET", "statusCode": "wrong",
      "patchOperations": [{"op": "add", "path": "/a"}, {"op": "wrong_op", "path": "/a"}]},
     "ValidationException", "2 validation errors detected: Value 'wrong_op' at "
     "'updateMethodResponseInput.patchOperations.2.member.op' failed to satisfy constraint: Member must satisfy enum "
     "value set: [add, remove, replace, move, copy, test]; Value 'wrong' at 'statusCode' failed to satisfy constraint: "
     r"Member must satisfy regular expression pattern: [1-5]\d\d"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters", "code", "words"), UNFIT)
def test_texts_that_a_services_model_does_not_allow(
    do: Do, service: str, operation: str, parameters: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(AwsError) as caught:
        do(service, operation, **parameters)
    assert (caught.value.code, caught.value.status) == (code, 400) and words in caught.value.message


def test_policies_and_users_that_are_needed_are_not_deleted(do: Do) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html, API_DeleteUser"""
    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    policy = do("iam", "CreatePolicy", PolicyName="p", PolicyDocument=ALLOW)["Policy"]["Arn"]
    do("iam", "AttachRolePolicy", RoleName="r", PolicyArn=policy)
    do("iam", "AttachRolePolicy", RoleName="r", PolicyArn=policy)  # which is no second attachment
    made = do("iam", "CreatePolicyVersion", PolicyArn=policy, PolicyDocument=ALLOW)["PolicyVersion"]
    version = made["VersionId"]
    assert "Document" not in made and made["IsDefaultVersion"] is False
    listed = do("iam", "ListPolicyVersions", PolicyArn=policy)["Versions"]
    assert [(v["VersionId"], v["IsDefaultVersion"], "Document" in v) for v in listed] == [
        ("v2", False, False), ("v1", True, False),
    ]  # fmt: skip
    document = do("iam", "GetPolicyVersion", PolicyArn=policy, VersionId="v2")["PolicyVersion"]["Document"]
    assert json.loads(document) == json.loads(ALLOW)
    with pytest.raises(AwsError, match="DeleteConflict: Cannot delete a policy attached to entities"):
        do("iam", "DeletePolicy", PolicyArn=policy)
    do("iam", "DetachRolePolicy", RoleName="r", PolicyArn=policy)
    with pytest.raises(AwsError, match="DeleteConflict: This policy has more than one version"):
        do("iam", "DeletePolicy", PolicyArn=policy)
    do("iam", "DeletePolicyVersion", PolicyArn=policy, VersionId=version)
    do("iam", "DeletePolicy", PolicyArn=policy)
    do("iam", "CreateUser", UserName="u")
    key = do("iam", "CreateAccessKey", UserName="u")["AccessKey"]["AccessKeyId"]
    with pytest.raises(AwsError, match="DeleteConflict: Cannot delete entity, must delete access keys first"):
        do("iam", "DeleteUser", UserName="u")
    do("iam", "DeleteAccessKey", UserName="u", AccessKeyId=key)
    do("iam", "DeleteUser", UserName="u")


def test_a_policy_has_its_length(do: Do) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length"""

    def long(characters: int) -> str:
        document = json.loads(ALLOW)
        rest = characters - len("".join(json.dumps(document | {"Id": ""}).split()))
        return json.dumps(document | {"Id": "a" * rest}, indent=9)

    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    do("iam", "CreatePolicy", PolicyName="p", PolicyDocument=long(6144))
    do("iam", "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=long(10_240))
    do("iam", "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=long(10_000))  # in the other's place
    for operation, parameters, words in (
        ("CreatePolicy", {"PolicyName": "q", "PolicyDocument": long(6145)}, "PolicySize: 6144"),
        ("PutRolePolicy", {"RoleName": "r", "PolicyName": "q", "PolicyDocument": long(241)},
         "Maximum policy size of 10240 bytes exceeded for role r"),
        ("UpdateAssumeRolePolicy", {"RoleName": "r", "PolicyDocument": TRUST
         .replace("lambda.amazonaws.com", "a" * 2048 + ".amazonaws.com")}, "ACLSizePerRole: 2048"),
    ):  # fmt: skip
        with pytest.raises(AwsError, match="LimitExceeded: .*" + words):
            do("iam", operation, **parameters)


def test_the_managed_policies_that_lessons_attach_can_be_evaluated(do: Do) -> None:
    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    for name in (
        *(
            "service-role/AWSLambdaBasicExecutionRole",
            "service-role/AWSLambdaKinesisExecutionRole",
            "AmazonS3FullAccess",
        ),
        *("AmazonKinesisFullAccess", "AmazonS3ReadOnlyAccess", "CloudWatchLogsFullAccess", "AdministratorAccess"),
        *(
            "AWSLambda_FullAccess",
            "AmazonDynamoDBFullAccess",
            "AmazonSQSFullAccess",
            "AmazonSNSFullAccess",
            "ReadOnlyAccess",
        ),
        *("service-role/AWSLambdaSQSQueueExecutionRole", "AmazonKinesisReadOnlyAccess", "PowerUserAccess"),
    ):
        do("iam", "AttachRolePolicy", RoleName="r", PolicyArn=f"arn:aws:iam::aws:policy/{name}")


def test_policies_may_be_read_while_they_are_changed(do: Do) -> None:
    """They are read on the loop while the moto thread changes them: a dict that grows under a loop raises."""
    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    role = auth.Principal.of_role(f"arn:aws:iam::{ACCOUNT_ID}:role/r", "s")
    stop = False

    def read() -> int:
        count = 0
        while not stop:
            list(identities.policies(role))
            identities.find("AKIA1111111111111111")
            identities.trust_policy("arn:aws:iam::123456789012:role/none")
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for i in range(150):
            do("iam", "CreateRole", RoleName=f"r{i}", AssumeRolePolicyDocument=TRUST)
            name = f"p{i % 90}"  # a role has no room for more
            do("iam", "PutRolePolicy", RoleName="r", PolicyName=name, PolicyDocument=ALLOW)
            do("iam", "CreateUser", UserName=f"u{i}")
        stop = True
        assert reading.result() > 10


# lambdas

PARAMETER = "InvalidParameterValueException"


def function(do: Do, **more: Any) -> str:
    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    made = do(
        "lambda",
        "CreateFunction",
        **{
            "FunctionName": "f",
            "Runtime": "python3.13",
            "Role": f"arn:aws:iam::{ACCOUNT_ID}:role/r",
            "Handler": "a.f",
            "Code": {"ZipFile": archive()},
            **more,
        },
    )
    return str(made["FunctionArn"])


def test_a_function_as_it_was_made_and_as_it_became(do: Do) -> None:
    arn = function(do, Timeout=7, MemorySize=256, Environment={"Variables": {"AB": "b"}})
    found = lambdas.lookup("f", None, REGION)
    assert (found.name, found.arn, found.version, found.region) == ("f", arn, "$LATEST", REGION)
    assert (found.handler, found.runtime, found.role) == ("a.f", "python3.13", f"arn:aws:iam::{ACCOUNT_ID}:role/r")
    assert (found.timeout, found.memory, found.environment) == (7, 256, {"AB": "b"})
    assert found.code == archive() and found.log_group == "/aws/lambda/f" and found.reserved_concurrency is None
    do("lambda", "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=3)
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "UpdateFunctionCode", FunctionName="f", ZipFile=archive("x = 1"))
    do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    latest, first, live = (lambdas.lookup("f", q, REGION) for q in (None, "1", "live"))
    assert latest.code_sha256 != first.code_sha256 == live.code_sha256
    assert (first.version, live.version, live.arn) == ("1", "1", arn + ":live")
    assert latest.reserved_concurrency == live.reserved_concurrency == 3
    assert lambdas.lookup(arn + ":1", None, REGION).version == "1"


def test_a_function_that_is_not_there(do: Do) -> None:
    for name, qualifier in (("none", None), ("none", "1")):
        with pytest.raises(AwsError) as caught:
            lambdas.lookup(name, qualifier, REGION)
        assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
    function(do)
    with pytest.raises(AwsError, match="Function not found: .*:function:f:9"):
        lambdas.lookup("f", "9", REGION)


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"Timeout": 901}, "ValidationException", "Value '901' at 'timeout' failed to satisfy constraint: Member must"),
        ({"MemorySize": 10_241}, "ValidationException", "'memorySize' .* less than or equal to 10240"),
        ({"Handler": "a b"}, "ValidationException", r"'handler' .* regular expression pattern: \[\^\\s\]\+"),
        ({"Environment": {"Variables": {"A": "b"}}}, "ValidationException", r"Map keys must satisfy .*\[a-zA-Z0-9_\]"),
        ({"Environment": {"Variables": {"AWS_REGION": "x", "OK": ""}}}, PARAMETER, "used in this request: AWS_REGION$"),
        ({"Environment": {"Variables": {"AB": "é" * 2044}}}, PARAMETER, "exceeded the 4KB limit. String measured: {"),
        ({"LoggingConfig": {"LogFormat": "JSON"}}, PARAMETER, "logs as Text to /aws/lambda"),
        ({"LoggingConfig": {"LogGroup": "/my/logs"}}, PARAMETER, "logs as Text to /aws/lambda"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, PARAMETER, "no SnapStart"),
    ],
)
def test_settings_that_a_function_cannot_have(do: Do, settings: dict[str, Any], code: str, words: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 900 s, 10,240 MB, 4 KB of variables
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html: names of two letters, none of Lambda's own
    """
    function(do, Environment={"Variables": {"AB": "é" * 2043}}, LoggingConfig={"LogFormat": "Text"})
    made = {"Runtime": "python3.13", "Role": f"arn:aws:iam::{ACCOUNT_ID}:role/r", "Code": {"ZipFile": archive()}}
    for operation, name, more in (
        ("UpdateFunctionConfiguration", "f", settings),
        ("CreateFunction", "g", {"Handler": "a.f", **made, **settings}),
    ):
        with pytest.raises(AwsError, match=words) as caught:
            do("lambda", operation, FunctionName=name, **more)
        assert (caught.value.status, caught.value.code) == (400, code)
    [kept] = do("lambda", "ListFunctions")["Functions"]
    assert (kept["FunctionName"], kept["Timeout"], kept["Handler"]) == ("f", 3, "a.f")


def test_a_function_names_its_runtime_and_its_handler(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html: required for a .zip file archive"""
    role = do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    for one in ({"Runtime": "python3.13"}, {"Handler": "a.f"}):
        with pytest.raises(AwsError, match="Runtime and Handler are mandatory parameters"):
            do("lambda", "CreateFunction", FunctionName="f", Role=role, Code={"ZipFile": archive()}, **one)


def test_a_change_of_a_function_is_kept_and_has_a_revision(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html"""
    function(do)
    first = do("lambda", "GetFunctionConfiguration", FunctionName="f")
    assert first["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    settings = {"EphemeralStorage": {"Size": 1024}, "TracingConfig": {"Mode": "Active"}, "Timeout": 4}
    second = do("lambda", "UpdateFunctionConfiguration", FunctionName="f", **settings, RevisionId=first["RevisionId"])
    assert {name: second[name] for name in settings} == settings and second["LastModified"] > first["LastModified"]
    assert second["RevisionId"] != first["RevisionId"]
    for operation, more in (("UpdateFunctionCode", {"ZipFile": archive("x = 1")}), ("PublishVersion", {})):
        with pytest.raises(AwsError, match="does not match the latest Revision Id") as caught:
            do("lambda", operation, FunctionName="f", RevisionId=first["RevisionId"], **more)
        assert (caught.value.status, caught.value.code) == (412, "PreconditionFailedException")
    assert do("lambda", "GetFunctionConfiguration", FunctionName="f")["RevisionId"] == second["RevisionId"]
    third = do("lambda", "UpdateFunctionCode", FunctionName="f", ZipFile=archive("x = 1"), Architectures=["arm64"])
    assert third["Architectures"] == ["arm64"] and third["RevisionId"] != second["RevisionId"]
    stored = {"S3Bucket": "bkt", "S3Key": "f.zip", "S3ObjectVersion": "1"}
    for code in (stored, {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/f:1"}):
        with pytest.raises(AwsError, match="it has no (S3ObjectVersion|ImageUri)"):
            do("lambda", "UpdateFunctionCode", FunctionName="f", **code)
    assert do("lambda", "GetFunctionConfiguration", FunctionName="f")["CodeSha256"] == third["CodeSha256"]


def test_versions(moto: app.Moto, do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html: a version does not change, and one that
    is identical to the last is not made
    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    arn = function(do, Timeout=4)

    def publish(**more: Any) -> str:
        return str(do("lambda", "PublishVersion", FunctionName="f", **more)["Version"])

    do("lambda", "UpdateFunctionConfiguration", FunctionName="f", Timeout=5)
    assert (publish(), publish()) == ("1", "1")
    for operation, more in (
        ("UpdateFunctionConfiguration", {"Timeout": 6}),
        ("UpdateFunctionCode", {"ZipFile": archive("x = 1")}),
    ):
        with pytest.raises(AwsError, match="a published version cannot be changed"):
            do("lambda", operation, FunctionName="f:1", **more)
    with pytest.raises(AwsError, match=r"CodeSHA256 \(no\) is different from current CodeSHA256 in \$LATEST"):
        publish(CodeSha256="no")
    do("lambda", "UpdateFunctionCode", FunctionName="f", ZipFile=archive("x = 1"), Publish=True)
    do("lambda", "UpdateFunctionCode", FunctionName="f", ZipFile=archive("x = 1"))
    assert publish() == "2"
    do("lambda", "DeleteFunction", FunctionName="f", Qualifier="2")
    do("lambda", "UpdateFunctionCode", FunctionName="f", ZipFile=archive("x = 2"), DryRun=True)
    do("lambda", "UpdateFunctionConfiguration", FunctionName="f", Timeout=7)
    assert publish(Description="the third") == "3"
    found = {v["Version"]: v for v in do("lambda", "ListVersionsByFunction", FunctionName=arn)["Versions"]}
    with pytest.raises(Refusal, match="Function not found: .*:function:none"):
        do("lambda", "ListVersionsByFunction", FunctionName="none")
    assert {n: v["Timeout"] for n, v in found.items()} == {"$LATEST": 7, "1": 5, "3": 7}
    assert (found["3"]["Description"], found["$LATEST"]["Description"]) == ("the third", "")
    assert found["3"]["CodeSha256"] == found["$LATEST"]["CodeSha256"] != found["1"]["CodeSha256"]
    with pytest.raises(AwsError, match="cannot take this"):
        raw(moto, "lambda", Request("POST", "/2015-03-31/functions/f/aliases", "", {}, b'{"RoutingConfig": [1]}'))
    with pytest.raises(AwsError, match="no weights for aliases"):
        weights = {"AdditionalVersionWeights": {"3": 0.5}}
        do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=weights)


def test_a_function_is_called_by_every_form_of_its_name(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html, FunctionName: name, ARN, partial ARN"""
    role = do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    arn, code = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:f", {"ZipFile": archive()}
    given = {"Runtime": "python3.13", "Role": role, "Handler": "a.f"}
    made = do("lambda", "CreateFunction", FunctionName=arn, Code=code, **given)
    assert (made["FunctionName"], made["FunctionArn"]) == ("f", arn)
    do("lambda", "PublishVersion", FunctionName=arn)
    do("lambda", "CreateAlias", FunctionName=f"{ACCOUNT_ID}:function:f", Name="live", FunctionVersion="1")
    for name in ("f", f"{ACCOUNT_ID}:function:f", arn, "f:$LATEST", f"{arn}:$LATEST"):
        assert do("lambda", "GetFunctionConfiguration", FunctionName=name)["Version"] == "$LATEST"
        assert do("lambda", "UpdateFunctionConfiguration", FunctionName=name, Timeout=4)["Timeout"] == 4
        if "$LATEST" not in name:
            do("lambda", "PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=2)
        assert [a["Name"] for a in do("lambda", "ListAliases", FunctionName=name)["Aliases"]] == ["live"]
    for name in ("f:live", f"{ACCOUNT_ID}:function:f:1", f"{arn}:live"):
        assert do("lambda", "GetFunction", FunctionName=name)["Configuration"]["Version"] == "1"
    for operation, more in (("UpdateFunctionCode", {}), ("CreateFunction", {**given, "Code": {}})):
        with pytest.raises(AwsError, match="Please provide a source for function code"):
            do("lambda", operation, FunctionName="f", **more)


def test_what_an_alias_refers_to_is_not_deleted(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html"""
    function(do)
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    with pytest.raises(AwsError, match="what an alias refers to: live") as caught:
        do("lambda", "DeleteFunction", FunctionName="f", Qualifier="1")
    assert (caught.value.status, caught.value.code) == (409, "ResourceConflictException")
    with pytest.raises(AwsError, match=r"\$LATEST version cannot be deleted") as caught:
        do("lambda", "DeleteFunction", FunctionName="f", Qualifier="$LATEST")
    assert caught.value.code == PARAMETER and lambdas.lookup("f", "live", REGION).version == "1"
    do("lambda", "DeleteAlias", FunctionName="f", Name="live")
    do("lambda", "DeleteFunction", FunctionName="f:1")
    assert [v["Version"] for v in do("lambda", "ListVersionsByFunction", FunctionName="f")["Versions"]] == ["$LATEST"]
    do("lambda", "DeleteFunction", FunctionName="f")
    assert do("lambda", "ListFunctions")["Functions"] == []


def test_settings_of_asynchronous_events(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html: it replaces all settings;
    API_UpdateFunctionEventInvokeConfig.html: it keeps the rest; both for a function, a version or an alias
    """
    arn, queue = function(do), "arn:aws:sqs:us-east-1:123456789012:failed"
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    with pytest.raises(AwsError, match=r"function:f:\$LATEST doesn't have an EventInvokeConfig"):
        do("lambda", "UpdateFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1)
    failed = {"OnFailure": {"Destination": queue}}
    do("lambda", "PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1, DestinationConfig=failed)
    do("lambda", "UpdateFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=0)
    do("lambda", "PutFunctionEventInvokeConfig", FunctionName="f", Qualifier="live", MaximumEventAgeInSeconds=60)
    found = do("lambda", "GetFunctionEventInvokeConfig", FunctionName=arn)
    assert (found["MaximumRetryAttempts"], found["DestinationConfig"]) == (0, {"OnSuccess": {}, **failed})
    assert found["FunctionArn"] == f"{arn}:$LATEST"
    listed = do("lambda", "ListFunctionEventInvokeConfigs", FunctionName="f")["FunctionEventInvokeConfigs"]
    assert [c["FunctionArn"] for c in listed] == [f"{arn}:$LATEST", f"{arn}:live"]
    assert lambdas.event_settings(arn)["MaximumRetryAttempts"] == 0
    assert lambdas.event_settings(f"{arn}:live")["MaximumEventAgeInSeconds"] == 60
    assert "MaximumRetryAttempts" not in lambdas.event_settings(f"{arn}:live")
    assert lambdas.event_settings(f"{arn}:1") == {"DeadLetter": None}
    do("lambda", "PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=2)
    again = do("lambda", "GetFunctionEventInvokeConfig", FunctionName="f")
    assert again["MaximumRetryAttempts"] == 2 and again["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    do("lambda", "DeleteFunctionEventInvokeConfig", FunctionName="f")
    with pytest.raises(AwsError, match="doesn't have an EventInvokeConfig"):
        do("lambda", "GetFunctionEventInvokeConfig", FunctionName="f")
    for when, target in (
        ("OnSuccess", "arn:aws:s3:::b"),
        ("OnFailure", "arn:aws:events:us-east-1:123456789012:event-bus/b"),
    ):
        with pytest.raises(AwsError) as caught:
            config = {when: {"Destination": target}}
            do("lambda", "PutFunctionEventInvokeConfig", FunctionName="f", DestinationConfig=config)
        assert caught.value.code == PARAMETER


def test_a_hundred_concurrent_executions_stay_unreserved(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
    function(do)
    do("lambda", "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=900)
    with pytest.raises(Refusal, match=r"below its minimum value of \[100\]"):
        do("lambda", "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=901)
    size = do("lambda", "PublishVersion", FunctionName="f")["CodeSize"]
    found = do("lambda", "GetAccountSettings")
    assert found["AccountLimit"]["UnreservedConcurrentExecutions"] == 100
    assert found["AccountUsage"] == {"TotalCodeSize": 2 * size, "FunctionCount": 1}


def test_a_functions_policy(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    arn = function(do)
    assert lambdas.policy(arn) is None and lambdas.policy(arn + "x") is None
    do(
        "lambda",
        "AddPermission",
        FunctionName="f",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn="arn:aws:execute-api:us-east-1:123456789012:a/*/GET/x",
    )
    policy = lambdas.policy(arn)
    assert policy is not None and policy["Statement"][0]["Resource"] == arn
    for source, may in (("a/P/GET/x", True), ("b/P/GET/x", False)):
        source = f"arn:aws:execute-api:us-east-1:123456789012:{source}"
        assert (
            permissions.service_allowed(policy, "apigateway.amazonaws.com", "lambda:InvokeFunction", arn, source) is may
        )
    again = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    with pytest.raises(AwsError, match=r"The statement id \(s\) provided already exists") as caught:
        do("lambda", "AddPermission", FunctionName="f", **again)
    assert (caught.value.status, caught.value.code) == (409, "ResourceConflictException")
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "AddPermission", FunctionName="f", Qualifier="1", **again)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"StatementId": "s"}, "ResourceConflictException",
         "The statement id (s) provided already exists. Please provide a new statement id, or remove the existing "
         "statement."),
        ({"Principal": "apigateway.amazonaw.com"}, "InvalidParameterValueException",
         "The provided principal was invalid. Please check the principal and try again."),
        ({"Principal": f"arn:aws:iam::{ACCOUNT_ID}:role/nobody"}, "InvalidParameterValueException", "principal"),
        ({"Action": "InvokeFunction"}, "ValidationException",
         "1 validation error detected: Value 'InvokeFunction' at 'action' failed to satisfy constraint: Member must "
         "satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])"),
        ({"StatementId": "a b"}, "ValidationException", "at 'statementId'"),
        ({"Principal": ACCOUNT_ID}, "", ""), ({"Principal": "*"}, "", ""),
        ({"Qualifier": "1", "StatementId": "s"}, "", ""),
    ],
)  # fmt: skip
def test_a_permission_is_given_once_and_to_somebody(do: Do, fields: dict[str, Any], code: str, words: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    arn = function(do)
    do("lambda", "PublishVersion", FunctionName="f")
    given_ = {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    do("lambda", "AddPermission", **given_, StatementId="s")
    before = lambdas.policy(arn)
    if not code:
        do("lambda", "AddPermission", **{**given_, "StatementId": "t", **fields})
        return
    with pytest.raises(AwsError, match=re.escape(words)) as caught:
        do("lambda", "AddPermission", **{**given_, "StatementId": "t", **fields})
    assert (caught.value.code, caught.value.status) == (code, 409 if "Conflict" in code else 400)
    assert lambdas.policy(arn) == before
    do("lambda", "RemovePermission", FunctionName="f", StatementId="s")
    assert lambdas.policy(arn) is None


F = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:"
MISSING = "ResourceNotFoundException"
MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."
REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the "
    "latest Revision Id"
)
NO_TAGS = "Tags on function aliases and versions are not supported. Please specify a function ARN."
INVOKE = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
TOO_MANY = "Number of tags exceeds resource tag limit."


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "words"),
    [
        ("GetFunction", {"FunctionName": f"{F}none:1", "Qualifier": "$LATEST"}, PARAMETER, MISMATCH),
        ("DeleteFunction", {"FunctionName": "f:1", "Qualifier": "$LATEST"}, PARAMETER, MISMATCH),
        ("GetFunction", {"FunctionName": "f", "Qualifier": "9"}, MISSING, f"Function not found: {F}f:9"),
        ("DeleteFunction", {"FunctionName": "none", "Qualifier": "9"}, MISSING, f"Function not found: {F}none"),
        ("DeleteFunction", {"FunctionName": "f", "Qualifier": "live"}, PARAMETER,
         "Deletion of aliases is not currently supported."),
        ("GetFunction", {"FunctionName": F.replace(ACCOUNT_ID, "1" * 12) + "f"}, "AccessDeniedException",
         F.replace(ACCOUNT_ID, "1" * 12) + "f is another account's, which lets nobody in."),
        ("ListFunctions", {"FunctionVersion": "invalid"}, "ValidationException",
         "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must "
         "satisfy enum value set: [ALL]"),
        ("PutFunctionConcurrency", {"FunctionName": f"{F}f:$LATEST", "ReservedConcurrentExecutions": 0}, PARAMETER,
         "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
         "Please specify either a function name or an unqualified function ARN."),
        ("PutFunctionConcurrency", {"FunctionName": "none", "ReservedConcurrentExecutions": 1}, MISSING,
         f"Function not found: {F}none:$LATEST"),
        ("PublishVersion", {"FunctionName": "f", "RevisionId": "wrong"}, "PreconditionFailedException", REVISION),
        # aliases
        ("CreateAlias", {"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}, "ResourceConflictException",
         f"Alias already exists: {F}f:live"),
        ("CreateAlias", {"FunctionName": "f", "Name": "2024", "FunctionVersion": "1"}, "ValidationException",
         "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy "
         "regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        ("CreateAlias", {"FunctionName": "f", "Name": "x", "FunctionVersion": "9"}, MISSING,
         f"Function not found: {F}f:9"),
        ("GetAlias", {"FunctionName": "f", "Name": "none"}, MISSING, f"Cannot find alias arn: {F}f:none"),
        ("UpdateAlias", {"FunctionName": "f", "Name": "live", "RevisionId": "wrong"}, "PreconditionFailedException",
         REVISION),
        # permissions
        ("AddPermission", {"FunctionName": "f:none", "Qualifier": "9", "StatementId": "t", **INVOKE}, PARAMETER,
         MISMATCH),
        ("AddPermission", {"FunctionName": "f", "Qualifier": "$LATEST", "StatementId": "t", **INVOKE}, PARAMETER,
         "We currently do not support adding policies for $LATEST."),
        ("AddPermission", {"FunctionName": "f:none", "StatementId": "t", **INVOKE}, MISSING,
         f"Cannot find alias arn: {F}f:none"),
        ("AddPermission", {"FunctionName": "f", "Qualifier": "9", "StatementId": "t", **INVOKE}, MISSING,
         f"Function not found: {F}f:9"),
        ("AddPermission", {"FunctionName": "f", "RevisionId": "wrong", "StatementId": "t", **INVOKE},
         "PreconditionFailedException", REVISION),
        ("GetPolicy", {"FunctionName": "none"}, MISSING, f"Function not found: {F}none"),
        ("GetPolicy", {"FunctionName": "f", "Qualifier": "1"}, MISSING, "The resource you requested does not exist."),
        ("GetPolicy", {"FunctionName": "f", "Qualifier": "9"}, MISSING, "The resource you requested does not exist."),
        ("RemovePermission", {"FunctionName": "none", "StatementId": "s"}, MISSING, f"No policy found for: {F}none"),
        ("RemovePermission", {"FunctionName": "f", "Qualifier": "none", "StatementId": "s"}, MISSING,
         f"Cannot find alias arn: {F}f:none"),
        ("RemovePermission", {"FunctionName": "f", "StatementId": "none"}, MISSING,
         "Statement none is not found in resource policy."),
        ("RemovePermission", {"FunctionName": "f:1", "StatementId": "s"}, MISSING,
         "No policy is associated with the given resource."),
        ("RemovePermission", {"FunctionName": "f", "StatementId": "s", "RevisionId": "wrong"},
         "PreconditionFailedException", REVISION),
        # tags
        ("TagResource", {"Resource": f"{F}none", "Tags": {"a": "b"}}, MISSING, f"Function not found: {F}none"),
        ("UntagResource", {"Resource": f"{F}none", "TagKeys": ["a"]}, MISSING, f"Function not found: {F}none"),
        ("ListTags", {"Resource": f"{F}none"}, MISSING, f"Function not found: {F}none"),
        ("TagResource", {"Resource": f"{F}f:1", "Tags": {"a": "b"}}, PARAMETER, NO_TAGS),
        ("TagResource", {"Resource": f"{F}f:$LATEST", "Tags": {"a": "b"}}, PARAMETER, NO_TAGS),
        ("TagResource", {"Resource": f"{F}f", "Tags": {}}, PARAMETER,
         "An error occurred and the request cannot be processed."),
        ("TagResource", {"Resource": f"{F}f", "Tags": {f"k{n}": "v" for n in range(50)}}, PARAMETER, TOO_MANY),
        # asynchronous events
        ("PutFunctionEventInvokeConfig", {"FunctionName": "none"}, PARAMETER,
         "You must specify at least one of error handling or destination setting."),
        ("PutFunctionEventInvokeConfig", {"FunctionName": "none", "MaximumRetryAttempts": 1}, MISSING,
         "The function doesn't exist."),
        ("PutFunctionEventInvokeConfig", {"FunctionName": "f", "Qualifier": "none", "MaximumRetryAttempts": 1}, MISSING,
         "The function doesn't exist."),
        ("UpdateFunctionEventInvokeConfig", {"FunctionName": "none", "MaximumRetryAttempts": 1}, MISSING,
         "The function doesn't exist."),
        ("ListFunctionEventInvokeConfigs", {"FunctionName": "none"}, MISSING, "The function doesn't exist."),
        ("GetFunctionEventInvokeConfig", {"FunctionName": "none"}, MISSING,
         f"The function {F}none:$LATEST doesn't have an EventInvokeConfig"),
        ("DeleteFunctionEventInvokeConfig", {"FunctionName": "f", "Qualifier": "9"}, MISSING,
         f"The function {F}f:9 doesn't have an EventInvokeConfig"),
    ],
)  # fmt: skip
def test_calls_that_lambda_refuses(do: Do, operation: str, parameters: dict[str, Any], code: str, words: str) -> None:
    """Recorded against AWS: localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json"""
    function(do, Tags={"a": "b"})
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    do("lambda", "AddPermission", FunctionName="f", StatementId="s", **INVOKE)
    before = lambdas.policy(f"{F}f")
    with pytest.raises((AwsError, Refusal)) as caught:
        do("lambda", operation, **parameters)
    error = caught.value
    assert ((error.code, error.message) if isinstance(error, AwsError) else error.args[1:]) == (code, words)
    assert lambdas.policy(f"{F}f") == before and do("lambda", "ListTags", Resource=f"{F}f")["Tags"] == {"a": "b"}
    assert [a["Name"] for a in do("lambda", "ListAliases", FunctionName="f")["Aliases"]] == ["live"]


def test_a_version_and_an_alias_have_a_policy_of_their_own(do: Do) -> None:
    """Recorded against AWS: localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json,
    test_lambda_permission_fn_versioning, test_function_revisions_permissions
    """
    arn = function(do)
    do("lambda", "PublishVersion", FunctionName="f")
    do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    for more in ({}, {"Qualifier": "1"}, {"Qualifier": "live"}):
        do("lambda", "AddPermission", FunctionName="f", StatementId="s", SourceArn="arn:aws:s3:::b", **INVOKE, **more)

    def policy(**more: str) -> list[str]:
        found = do("lambda", "GetPolicy", FunctionName="f", **more)
        shown = do("lambda", "GetFunctionConfiguration", FunctionName="f", **more)
        if more.get("Qualifier") == "live":
            shown = do("lambda", "GetAlias", FunctionName="f", Name="live")
        assert found["RevisionId"] == shown["RevisionId"]
        return [statement["Resource"] for statement in json.loads(found["Policy"])["Statement"]]

    assert (policy(), policy(Qualifier="1"), policy(Qualifier="live")) == ([arn], [f"{arn}:1"], [f"{arn}:live"])
    seen = do("lambda", "GetFunction", FunctionName="f")["Configuration"]["RevisionId"]
    do("lambda", "RemovePermission", FunctionName="f", StatementId="s", RevisionId=seen)
    assert do("lambda", "GetFunction", FunctionName="f")["Configuration"]["RevisionId"] != seen
    assert (policy(Qualifier="1"), policy(Qualifier="live")) == ([f"{arn}:1"], [f"{arn}:live"])


@pytest.mark.parametrize(
    ("fields", "principal", "condition"),
    [
        ({"Principal": "*", "SourceAccount": ACCOUNT_ID}, "*", {"StringEquals": {"AWS:SourceAccount": ACCOUNT_ID}}),
        ({"Principal": ACCOUNT_ID}, {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}, None),
        ({"Principal": f"arn:aws:iam::{ACCOUNT_ID}:role/r"}, {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:role/r"}, None),
        ({"Principal": "*", "EventSourceToken": "amzn1.ask.skill.x"}, "*",
         {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.x"}}),
        ({"Principal": "*", "SourceArn": "arn:aws:s3:::b", "SourceAccount": ACCOUNT_ID,
          "PrincipalOrgID": "o-1234567890"}, "*",
         {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890", "AWS:SourceAccount": ACCOUNT_ID},
          "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}}),
    ],
)  # fmt: skip
def test_what_a_permission_says(do: Do, fields: dict[str, str], principal: Any, condition: Any) -> None:
    """Recorded against AWS: localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json,
    test_add_lambda_permission_fields
    """
    arn, given_ = function(do), {"StatementId": "s", "Action": "lambda:InvokeFunction", **fields}
    statement = json.loads(do("lambda", "AddPermission", FunctionName="f", **given_)["Statement"])
    assert statement == {
        "Sid": "s", "Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction", "Resource": arn,
        **({"Condition": condition} if condition else {}),
    }  # fmt: skip


def test_lists_of_lambda_come_in_pages(do: Do) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html: fifty at most, without their state;
    test_list_functions and test_alias_lifecycle, recorded against AWS in localstack/localstack,
    tests/aws/services/lambda_/test_lambda_api.snapshot.json
    """
    function(do)
    role = f"arn:aws:iam::{ACCOUNT_ID}:role/r"
    for name in [f"f{n:02}" for n in range(50)]:
        code = {"Runtime": "python3.13", "Role": role, "Handler": "a.f", "Code": {"ZipFile": archive()}}
        do("lambda", "CreateFunction", FunctionName=name, **code)
    for version in ("1", "2"):
        do("lambda", "UpdateFunctionConfiguration", FunctionName="f", Timeout=int(version) + 3)
        do("lambda", "PublishVersion", FunctionName="f")
        do("lambda", "CreateAlias", FunctionName="f", Name=f"live{version}", FunctionVersion=version)
        do("lambda", "PutFunctionEventInvokeConfig", FunctionName="f", Qualifier=version, MaximumRetryAttempts=1)

    def pages(operation: str, **more: Any) -> list[list[str]]:
        found, marker = list[list[str]](), {}
        while not found or marker:
            answer = do("lambda", operation, **more, **marker)
            [items] = [value for value in answer.values() if isinstance(value, list)]
            assert not any("State" in item for item in items)
            found.append([(i.get("FunctionArn") or i["AliasArn"]).partition(":function:")[2] for i in items])
            marker = {"Marker": answer["NextMarker"]} if answer.get("NextMarker") else {}
        return found

    assert [len(names) for names in pages("ListFunctions", MaxItems=1000)] == [50, 1]
    assert [len(names) for names in pages("ListFunctions", MaxItems=20)] == [20, 20, 11]
    assert pages("ListVersionsByFunction", FunctionName="f", MaxItems=2) == [["f:$LATEST", "f:1"], ["f:2"]]
    assert pages("ListAliases", FunctionName="f", MaxItems=1) == [["f:live1"], ["f:live2"]]
    assert pages("ListAliases", FunctionName="f", FunctionVersion="2") == [["f:live2"]]
    assert pages("ListFunctionEventInvokeConfigs", FunctionName="f", MaxItems=1) == [["f:1"], ["f:2"]]


def test_what_is_shown_of_an_alias_and_a_version_that_is_gone(do: Do) -> None:
    """Recorded against AWS: localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json,
    test_alias_lifecycle, test_delete_on_nonexisting_version, test_function_revisions_version_and_alias; test_lambda's
    test_lambda_concurrency_update
    """
    arn, shown = function(do), list[str]()
    for _ in range(2):
        shown.append(do("lambda", "GetFunction", FunctionName="f")["Configuration"]["RevisionId"])
        do("lambda", "PublishVersion", FunctionName="f")
    assert shown[0] != shown[1] and "Layers" not in do("lambda", "GetFunction", FunctionName="f")["Configuration"]
    made = do("lambda", "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    for given_ in ({"FunctionName": "f", "Qualifier": "live"}, {"FunctionName": f"{arn}:live"}):
        assert do("lambda", "GetFunction", **given_)["Configuration"]["FunctionArn"] == f"{arn}:live"
    changed = do("lambda", "UpdateAlias", FunctionName="f", Name="live", RevisionId=made["RevisionId"], Description="x")
    assert changed["RevisionId"] != made["RevisionId"]
    again = do("lambda", "GetAlias", FunctionName="f", Name="live")
    assert changed["RevisionId"] == again["RevisionId"] and "RoutingConfig" not in again
    do("lambda", "DeleteFunction", FunctionName="f", Qualifier="9")
    for reserved in (0, 3):
        do("lambda", "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=reserved)
        shown_ = do("lambda", "GetFunction", FunctionName="f")["Concurrency"]
        assert shown_ == {"ReservedConcurrentExecutions": reserved}


def test_names_of_functions() -> None:
    assert lambdas.split("f", REGION) == (REGION, "f", None)
    assert lambdas.split("f:$LATEST", REGION) == (REGION, "f", "$LATEST")
    assert lambdas.split("arn:aws:lambda:eu-west-1:123456789012:function:f:2", "") == ("eu-west-1", "f", "2")


# apis


def api(do: Do) -> tuple[str, str]:
    """A REST API with the one resource /hello; (api id, resource id)."""
    api_id = do("apigateway", "CreateRestApi", name="test", binaryMediaTypes=["image/png"])["id"]
    (root,) = do("apigateway", "GetResources", restApiId=api_id)["items"]
    resource = do("apigateway", "CreateResource", restApiId=api_id, parentId=root["id"], pathPart="hello")["id"]
    return api_id, resource


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"


def method(do: Do, api_id: str, resource: str, **more: Any) -> None:
    where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "POST"}
    declared = {"method.request.header.b": False} | more.pop("requestParameters", {})
    do("apigateway", "PutMethod", **where, authorizationType="NONE", requestParameters=declared, **more)
    do(
        "apigateway",
        "PutMethodResponse",
        **where,
        statusCode="200",
        responseParameters={"method.response.header.X": True},
    )
    do(
        "apigateway",
        "PutIntegration",
        **where,
        type="AWS",
        integrationHttpMethod="POST",
        uri=URI,
        requestTemplates={"application/json": "{}"},
        passthroughBehavior="NEVER",
        timeoutInMillis=5000,
        requestParameters={"integration.request.header.a": "method.request.header.b"},
    )
    do(
        "apigateway",
        "PutIntegrationResponse",
        **where,
        statusCode="200",
        selectionPattern=".*x.*",
        responseTemplates={"application/json": "t"},
        responseParameters={"method.response.header.X": "'1'"},
    )


def test_an_api_is_frozen_as_it_stands(do: Do) -> None:
    api_id, resource = api(do)
    schema = {"type": "object"}
    do(
        "apigateway",
        "CreateModel",
        restApiId=api_id,
        name="Row",
        contentType="application/json",
        schema=json.dumps(schema),
    )
    validator = do("apigateway", "CreateRequestValidator", restApiId=api_id, name="v", validateRequestBody=True)["id"]
    method(
        do,
        api_id,
        resource,
        apiKeyRequired=True,
        requestValidatorId=validator,
        requestModels={"application/json": "Row"},
        requestParameters={"method.request.querystring.q": True},
    )
    do(
        "apigateway",
        "PutGatewayResponse",
        restApiId=api_id,
        responseType="DEFAULT_4XX",
        statusCode="418",
        responseParameters={"gatewayresponse.header.A": "'b'"},
        responseTemplates={"application/json": "{}"},
    )
    shown = do("apigateway", "GetGatewayResponses", restApiId=api_id)["items"]
    assert [r["responseType"] for r in shown if not r["defaultResponse"]] == ["DEFAULT_4XX"] and len(shown) == 21
    usual = {"restApiId": api_id, "responseType": "INVALID_API_KEY"}
    found = do("apigateway", "GetGatewayResponse", **usual)
    assert found["defaultResponse"] and found["statusCode"] == "403" and not found["responseParameters"]
    assert found["responseTemplates"] == {"application/json": '{"message":$context.error.messageString}'}
    with pytest.raises(AwsError, match="Gateway response type not defined on api"):
        do("apigateway", "DeleteGatewayResponse", **usual)
    frozen = apis.snapshot(api_id, REGION)
    assert list(frozen.gateway_responses) == ["DEFAULT_4XX"]
    assert apis.find(api_id) == REGION and apis.find("none") is None
    assert (frozen.name, frozen.region, frozen.binary_media_types) == ("test", REGION, ("image/png",))
    assert [r.path for r in frozen.resources] == ["/", "/hello"]
    made = frozen.resources[1].methods["POST"]
    assert (made.api_key_required, made.authorization) == (True, "NONE")
    assert (made.validate_body, made.validate_parameters, made.models) == (True, False, {"application/json": schema})
    assert made.request_parameters == {"method.request.querystring.q": True, "method.request.header.b": False}
    assert made.responses["200"].keys() == {"method.response.header.X"}
    wired = made.integration
    assert wired is not None and wired.kind == "AWS" and wired.timeout_ms == 5000 and wired.passthrough == "NEVER"
    assert wired.function_arn == FUNCTION
    assert wired.request_templates == {"application/json": "{}"}
    assert wired.request_parameters == {"integration.request.header.a": "method.request.header.b"}
    answer = wired.responses["200"]
    assert (answer.selection_pattern, answer.templates) == (".*x.*", {"application/json": "t"})
    assert answer.parameters == {"method.response.header.X": "'1'"}
    told = frozen.gateway_responses["DEFAULT_4XX"]
    assert (str(told["statusCode"]), told["responseParameters"]) == ("418", {"gatewayresponse.header.A": "'b'"})
    do("apigateway", "DeleteMethod", restApiId=api_id, resourceId=resource, httpMethod="POST")
    assert "POST" in frozen.resources[1].methods and "POST" not in apis.snapshot(api_id, REGION).resources[1].methods


# Words from localstack/localstack tests/aws/services/apigateway/test_apigateway_api.snapshot.json, recorded against API
# Gateway, where no other page is named.
MAPPING = "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
MODEL = {"name": "Row", "contentType": "application/json", "schema": "{}"}
REFUSED_PARTS = [
    ("CreateResource", {"parentId": "{root}", "pathPart": "hello"}, "ConflictException",
     "Another resource with the same parent already has this name: hello"),
    ("CreateResource", {"parentId": "{root}", "pathPart": "{name}"}, "BadRequestException",
     "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"),
    ("CreateResource", {"parentId": "{proxy}", "pathPart": "x"}, "BadRequestException",
     "Cannot create a child of a resource with a greedy path variable: {proxy+}"),
    ("CreateResource", {"parentId": "none", "pathPart": "x"}, "NotFoundException",
     "Invalid Resource identifier specified"),
    ("PutMethod", {"httpMethod": "FETCH"}, "BadRequestException",
     "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"),
    # https://github.com/aws/aws-cli/issues/3992
    ("PutMethod", {"httpMethod": "POST"}, "ConflictException", "Method already exists for this resource"),
    ("PutMethod", {"authorizationType": "CUSTOM"}, "BadRequestException",
     "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid "
     "authorizer."),
    ("PutMethod", {"authorizationType": "none"}, "BadRequestException", "Invalid value for authorizationType: none."),
    ("PutMethod", {"requestValidatorId": "v"}, "BadRequestException",
     "Invalid Request Validator identifier specified"),
    ("PutMethod", {"requestModels": {"application/json": "Pet"}}, "BadRequestException",
     "Invalid model identifier specified: Pet"),
    ("PutMethod", {"requestParameters": {"method.request.query.q": True}}, "BadRequestException",
     MAPPING + "[Invalid mapping expression specified: method.request.query.q]"),
    ("PutMethod", {"requestParameters": {"method.request.header.q": True, "method.request.querystring.q": True}},
     "BadRequestException", "Parameter names must be unique across querystring, header and path"),
    ("PutMethodResponse", {"statusCode": "200"}, "ConflictException", "Response already exists for this resource"),
    ("PutMethodResponse", {"statusCode": "201", "responseModels": {"application/json": "Pet"}}, "BadRequestException",
     "Invalid model identifier specified: Pet"),
    ("PutIntegration", {"type": "MOCK", "timeoutInMillis": 30_000}, "BadRequestException",
     "Timeout should be between 50 ms and 29000 ms"),
    ("PutIntegration", {"type": "MOCK", "passthroughBehavior": "ALWAYS"}, "BadRequestException",
     "Invalid value for passthroughBehavior"),
    # https://github.com/aws/aws-cdk/issues/17318
    ("PutIntegration", {"type": "MOCK", "requestParameters": {"integration.request.path.a": "method.request.path.a"}},
     "BadRequestException", MAPPING + "[Invalid mapping expression parameter specified: method.request.path.a]"),
    # https://github.com/hashicorp/terraform/pull/5893 and https://github.com/amazon-archives/aws-apigateway-importer/issues/121
    ("PutIntegrationResponse", {"statusCode": "400", "selectionPattern": ".*x.*"}, "ConflictException",
     "Integration response with selection pattern .*x.* already exists"),
    ("PutIntegrationResponse", {"statusCode": "400", "responseParameters": {"method.response.header.X": "'1'"}},
     "BadRequestException", MAPPING + "[No method response exists for method.]"),
    ("GetMethodResponse", {"statusCode": "418"}, "NotFoundException", "Invalid Response status code specified"),
    ("DeleteIntegrationResponse", {"statusCode": "418"}, "NotFoundException", "Invalid Response status code specified"),
    ("DeleteMethod", {"httpMethod": "PUT"}, "NotFoundException", "Invalid Method identifier specified"),
    ("CreateModel", MODEL, "ConflictException", "Model name already exists for this REST API"),
    ("CreateModel", MODEL | {"name": "Empty"}, "ConflictException", "Model name already exists for this REST API"),
    ("CreateModel", MODEL | {"name": "a-b"}, "BadRequestException", "Model name must be alphanumeric"),
    ("CreateModel", MODEL | {"name": "B", "schema": "{"}, "BadRequestException", "Invalid model schema specified"),
    ("CreateModel", {"name": "B", "contentType": "application/json"}, "BadRequestException",
     "Model schema must have at least 1 property or array items defined"),
    # https://github.com/klothoplatform/klotho/issues/235 and https://github.com/aws/chalice/pull/1839
    ("CreateDeployment", {"stageName": "$default"}, "BadRequestException", "Stage name only allows a-zA-Z0-9_"),
    ("CreateStage", {"stageName": "Q", "deploymentId": "none"}, "BadRequestException",
     "Deployment id does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "parameters", "code", "words"), REFUSED_PARTS)
def test_parts_of_an_api_that_do_not_fit_are_refused(
    do: Do, operation: str, parameters: dict[str, Any], code: str, words: str
) -> None:
    api_id, resource = api(do)
    method(do, api_id, resource)
    do("apigateway", "CreateModel", restApiId=api_id, **MODEL)
    root = next(r["id"] for r in do("apigateway", "GetResources", restApiId=api_id)["items"] if r["path"] == "/")
    proxy = do("apigateway", "CreateResource", restApiId=api_id, parentId=root, pathPart="{proxy+}")["id"]
    before = apis.snapshot(api_id, REGION)
    given_ = {k: {"{root}": root, "{proxy}": proxy}.get(str(v), v) for k, v in parameters.items()}
    if operation.endswith(("Method", "Response", "Integration")):
        verb = "GET" if operation == "PutMethod" else "POST"
        given_ = {"resourceId": resource, "httpMethod": verb} | given_
    if operation == "PutMethod":
        given_ = {"authorizationType": "NONE"} | given_
    with pytest.raises(AwsError) as caught:
        do("apigateway", operation, restApiId=api_id, **given_)
    status = {"ConflictException": 409, "NotFoundException": 404}.get(code, 400)
    assert (caught.value.code, caught.value.status) == (code, status) and words in caught.value.message
    assert apis.snapshot(api_id, REGION).resources == before.resources


def test_an_integration_response_may_come_before_its_method_response(do: Do) -> None:
    """Recorded as TestApigatewayIntegrationResponse::test_lifecycle_integration_response; it fails when it is used:
    .../developerguide/handle-errors-in-lambda-integration.html (see the gateway's tests)."""
    api_id, resource = api(do)
    method(do, api_id, resource)
    where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "POST"}
    assert do("apigateway", "PutIntegrationResponse", **where, statusCode="404")["statusCode"] == "404"


@pytest.mark.parametrize(
    ("verb", "uri", "function"),
    [
        ("POST", URI.replace("path/", "path//"), FUNCTION),  # as recorded: AWS does not mind
        ("POST", URI.replace(":f/", ":${stageVariables.f}/"), FUNCTION[:-1] + "${stageVariables.f}"),
        # https://repost.aws/knowledge-center/api-gateway-lambda-template-invoke-error: 500 for any other verb
        ("GET", URI, None),
        ("ANY", URI, None),
        ("POST", URI.replace("lambda:path/2015-03-31/functions", "sqs:path"), None),
    ],
)
def test_an_integration_finds_its_function(do: Do, verb: str, uri: str, function: str | None) -> None:
    api_id, resource = api(do)
    where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "GET"}
    do("apigateway", "PutMethod", **where, authorizationType="NONE")
    do("apigateway", "PutIntegration", **where, type="AWS_PROXY", integrationHttpMethod=verb, uri=uri)
    made = apis.snapshot(api_id, REGION).resources[1].methods["GET"].integration
    assert made is not None and made.function_arn == function


def test_a_deployment_needs_an_integration_for_every_method(do: Do) -> None:
    """https://github.com/serverless/serverless/issues/993: one that is broken blocks the whole API."""
    api_id, resource = api(do)
    method(do, api_id, resource)
    where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "GET"}
    do("apigateway", "PutMethod", **where, authorizationType="NONE")
    with pytest.raises(AwsError, match="BadRequestException: No integration defined for method"):
        do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P")
    do("apigateway", "DeleteMethod", **where)
    do("apigateway", "CreateDeployment", restApiId=api_id, stageName="blue-green_1")


def test_methods_and_integrations_are_updated_by_patches(do: Do) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html"""
    api_id, resource = api(do)
    method(do, api_id, resource)
    frozen = apis.snapshot(api_id, REGION)
    where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "POST"}

    def patch(what: str, *operations: str, **more: Any) -> Any:
        """`operations`: "op path value", with + for a space in the value."""
        parts = [(*operation.split(" "), "")[:3] for operation in operations]
        given = [
            {"op": op, "path": path} | ({"value": value.replace("+", " ")} if value else {})
            for op, path, value in parts
        ]
        return do("apigateway", f"Update{what}", **where, **more, patchOperations=given)

    validator = do("apigateway", "CreateRequestValidator", restApiId=api_id, name="v", validateRequestBody=True)["id"]
    changed = patch(
        "Method", "replace /apiKeyRequired true", "replace /authorizationType AWS_IAM",
        f"replace /requestValidatorId {validator}", "add /requestParameters/method.request.querystring.q true",
        "add /requestModels/application~1json Empty", "replace /operationName say",
    )  # fmt: skip
    assert changed["apiKeyRequired"] is True and changed["requestParameters"]["method.request.querystring.q"] is True
    assert changed["requestModels"] == {"application/json": "Empty"} and changed["operationName"] == "say"
    assert changed["methodIntegration"]["integrationResponses"]["200"]["selectionPattern"] == ".*x.*"
    changed = patch("Method", "replace /requestParameters/method.request.querystring.q false")
    assert changed["requestParameters"]["method.request.querystring.q"] is False
    assert not patch("Method", "remove /requestModels/application~1json").get("requestModels")
    answer = {"statusCode": "200"}
    changed = patch(
        "MethodResponse", "add /responseParameters/method.response.header.Y true", "add /responseModels/a~1b Empty",
        "remove /responseParameters/method.response.header.X", **answer,
    )  # fmt: skip
    assert changed["responseParameters"] == {"method.response.header.Y": True}
    assert changed["responseModels"] == {"a/b": "Empty"}
    changed = patch(
        "Integration", "replace /timeoutInMillis 7000", "replace /passthroughBehavior WHEN_NO_TEMPLATES",
        "replace /requestTemplates/application~1json $input.body", "add /requestTemplates/text~1csv c,+d",
        "remove /requestParameters/integration.request.header.a", f"replace /uri {URI.replace(':f/', ':g/')}",
        "add /cacheKeyParameters/method.request.querystring.q",
    )  # fmt: skip
    assert (changed["timeoutInMillis"], changed["passthroughBehavior"]) == (7000, "WHEN_NO_TEMPLATES")
    assert changed["requestTemplates"] == {"application/json": "$input.body", "text/csv": "c, d"}
    assert changed["cacheKeyParameters"] == ["method.request.querystring.q"] and not changed["requestParameters"]
    assert changed["integrationResponses"]["200"]["responseTemplates"] == {"application/json": "t"}
    changed = patch(
        "IntegrationResponse", "replace /selectionPattern 5..", "replace /responseTemplates/application~1json u",
        "add /responseParameters/method.response.header.Y 'y'", **answer,
    )  # fmt: skip
    assert (changed["selectionPattern"], changed["responseTemplates"]) == ("5..", {"application/json": "u"})
    assert changed["responseParameters"] == {"method.response.header.X": "'1'", "method.response.header.Y": "'y'"}

    now = apis.snapshot(api_id, REGION).resources[1].methods["POST"]
    assert now.api_key_required and now.authorization == "AWS_IAM" and now.validate_body
    assert not any(now.request_parameters.values()) and now.integration
    assert now.integration.function_arn == FUNCTION[:-1] + "g" and now.integration.timeout_ms == 7000
    assert now.integration.responses["200"].templates == {"application/json": "u"}
    before = frozen.resources[1].methods["POST"]  # and a deployment keeps what it was made of
    assert not before.api_key_required and before.integration and before.integration.timeout_ms == 5000

    path = "Invalid patch path  '{}' specified for op '{}'. "
    for what, operations, code, words in [
        ("Method", ["replace /httpMethod GET"], "BadRequestException", path.format("/httpMethod", "replace")),
        ("Method", ["copy /apiKeyRequired true"], "BadRequestException", path.format("/apiKeyRequired", "copy")
         + "Please choose supported operations"),
        ("Method", ["replace /apiKeyRequired maybe"], "BadRequestException", "Invalid boolean value"),
        ("Method", ["remove /requestParameters/none"], "NotFoundException", "Invalid parameter name specified"),
        ("Integration", ["add /uri x"], "BadRequestException", path.format("/uri", "add")
         + "Must be one of: [/cacheKeyParameters, /requestParameters, /requestTemplates]"),
        ("Integration", ["replace /timeoutInMillis 9"], "BadRequestException", "Timeout should be between 50 ms"),
        ("Integration", ["replace /timeoutInMillis 99", "replace /type HTTP"], "BadRequestException", "Invalid patch"),
        ("Integration", ["replace /uri arn:aws:nothing"], "BadRequestException", ""),
    ]:  # fmt: skip
        with pytest.raises((AwsError, Refusal)) as refused:
            patch(what, *operations)
        assert code in str(refused.value) and words in str(refused.value)
    with pytest.raises(AwsError, match="Invalid Response status code specified"):
        patch("IntegrationResponse", "replace /selectionPattern x", statusCode="418")
    assert do("apigateway", "GetIntegration", **where)["timeoutInMillis"] == 7000  # all patches of a call or none


def test_a_stage_with_its_keys_and_plans(do: Do) -> None:
    api_id, resource = api(do)
    method(do, api_id, resource)
    made = do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P", variables={"a": "b"})["id"]
    key = do("apigateway", "CreateApiKey", name="k", enabled=True)
    plan = do("apigateway", "CreateUsagePlan", name="p", apiStages=[{"apiId": api_id, "stage": "P"}],
              throttle={"rateLimit": 2.5, "burstLimit": 4}, quota={"limit": 100, "period": "DAY"})["id"]  # fmt: skip
    do("apigateway", "CreateUsagePlanKey", usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    other, unlike = api(do)
    method(do, other, unlike)
    do("apigateway", "CreateDeployment", restApiId=other, stageName="P")
    do("apigateway", "CreateUsagePlan", name="other", apiStages=[{"apiId": other, "stage": "P"}])
    frozen = apis.snapshot(api_id, REGION)
    stage = apis.stage(api_id, REGION, "P", {made: frozen})
    assert stage is not None and stage.api is frozen and stage.deployment_id == made and stage.variables == {"a": "b"}
    assert stage.keys == {key["value"]: ApiKey(key["id"], key["value"], True)}
    (found,) = stage.plans
    assert (found.rate, found.burst, found.quota, found.quota_period) == (2.5, 4, 100, "DAY")
    assert found.key_ids == {key["id"]} and found.api_stages == {(api_id, "P")}
    assert apis.stage(api_id, REGION, "Q", {made: frozen}) is None
    assert apis.stage(api_id, REGION, "P", {}) is None and apis.stage("none", REGION, "P", {}) is None


def test_a_deployment_to_a_stage_that_exists_keeps_the_stages_settings(do: Do) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-deployments.html: deploymentId is updated."""
    api_id, resource = api(do)
    method(do, api_id, resource)
    first = do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P", variables={"a": "b"})["id"]
    patch = [
        {"op": "replace", "path": "/*/*/metrics/enabled", "value": "true"},
        {"op": "replace", "path": "/description", "value": "mine"},
    ]
    do("apigateway", "UpdateStage", restApiId=api_id, stageName="P", patchOperations=patch)
    second = do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P")["id"]
    stage = do("apigateway", "GetStage", restApiId=api_id, stageName="P")
    assert first != second == stage["deploymentId"]
    assert (stage["variables"], stage["description"]) == ({"a": "b"}, "mine")
    assert stage["methodSettings"]["*/*"]["metricsEnabled"] is True
    do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P", variables={"c": "d"})
    assert do("apigateway", "GetStage", restApiId=api_id, stageName="P")["variables"] == {"c": "d"}
    do("apigateway", "CreateDeployment", restApiId=api_id, stageName="Q")
    assert not do("apigateway", "GetStage", restApiId=api_id, stageName="Q")["description"]


# stores


NOT_DONE = [
    ("CreateRestApi", {"name": "b", "policy": "{}"}, "resource policies"),
    ("CreateRestApi", {"name": "b", "disableExecuteApiEndpoint": True}, "domain names"),
    ("CreateRestApi", {"name": "b", "apiKeySource": "AUTHORIZER"}, "authorizers"),
    ("CreateRestApi", {"name": "b", "endpointConfiguration": {"types": ["PRIVATE"]}}, "private APIs"),
    ("CreateDeployment", {"restApiId": "{api}", "stageName": "P", "canarySettings": {"percentTraffic": 1.0}}, "canary"),
    ("CreateDeployment", {"restApiId": "{api}", "stageName": "P", "cacheClusterEnabled": True}, "caches"),
    ("PutIntegration", {"type": "MOCK", "contentHandling": "CONVERT_TO_TEXT"}, "conversions of content"),
    ("PutIntegration", {"type": "MOCK", "credentials": "arn:aws:iam::123456789012:role/r"}, "by a role"),
    ("PutIntegration", {"type": "MOCK", "responseTransferMode": "STREAM"}, "streamed answers"),
    ("UpdateIntegration", {"path": "/credentials"}, "credentials"),
    ("UpdateRestApi", {"path": "/policy"}, "Invalid patch path /policy"),
    ("UpdateRestApi", {"path": "/minimumCompressionSize"}, "Invalid patch path"),
    ("UpdateStage", {"stageName": "P", "path": "/*/*/throttling/rateLimit"}, "Invalid patch path"),
    ("UpdateStage", {"stageName": "P", "path": "/~1hello/POST/caching/enabled"}, "Invalid patch path"),
    ("UpdateStage", {"stageName": "P", "path": "/deploymentId"}, "Deployment id does not exist"),
    ("UpdateUsagePlan", {"usagePlanId": "p", "path": "/apiStages/a:P/throttle/~1hello~1POST/rateLimit"}, "patch path"),
    ("CreateUsagePlan", {"name": "p", "quota": {"limit": 2, "offset": 1, "period": "DAY"}}, "offset"),
    ("CreateUsagePlan", {"name": "p", "apiStages": [{"apiId": "{api}", "stage": "Q"}]}, "API Stage not found: {api}:Q"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "parameters", "words"), NOT_DONE)
def test_what_an_api_would_not_do_here_is_refused(
    do: Do, operation: str, parameters: dict[str, Any], words: str
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/API_CreateRestApi.html and the other calls' pages: each
    of these changes what an API answers, and would otherwise only be stored."""
    api_id, resource = api(do)
    method(do, api_id, resource)
    do("apigateway", "CreateDeployment", restApiId=api_id, stageName="P")
    given_ = json.loads(json.dumps(parameters).replace("{api}", api_id))
    if operation in ("PutIntegration", "UpdateIntegration"):
        given_ |= {"resourceId": resource, "httpMethod": "POST"}
    if "path" in given_:
        given_["patchOperations"] = [{"op": "replace", "path": given_.pop("path"), "value": "1"}]
    if operation not in ("CreateRestApi", "CreateUsagePlan", "UpdateUsagePlan"):
        given_["restApiId"] = api_id
    with pytest.raises(AwsError) as caught:
        do("apigateway", operation, **given_)
    assert caught.value.status in (400, 404) and words.replace("{api}", api_id) in caught.value.message


def test_binary_media_types_are_patched_by_their_paths(do: Do) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html; as recorded in localstack/localstack
    TestApiGatewayApiRestApi::test_update_rest_api_operation_add_remove"""
    api_id, _ = api(do)

    def patch(op: str, name: str, **value: str) -> tuple[str, ...]:
        path = f"/binaryMediaTypes/{name.replace('/', '~1')}"
        do("apigateway", "UpdateRestApi", restApiId=api_id, patchOperations=[{"op": op, "path": path, **value}])
        return apis.snapshot(api_id, REGION).binary_media_types

    assert patch("add", "image/jpeg") == ("image/png", "image/jpeg")
    assert patch("replace", "image/png", value="image/gif") == ("image/jpeg", "image/gif")
    assert patch("remove", "image/gif") == ("image/jpeg",)
    with pytest.raises(AwsError, match="NotFoundException"):
        patch("remove", "*/*")


def test_a_plans_rate_may_be_a_fraction(do: Do) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/API_ThrottleSettings.html: rateLimit is a double"""
    plan = do("apigateway", "CreateUsagePlan", name="p")["id"]
    patch = [{"op": "replace", "path": "/throttle/rateLimit", "value": "0.5"}]
    assert do("apigateway", "UpdateUsagePlan", usagePlanId=plan, patchOperations=patch)["throttle"]["rateLimit"] == 0.5


def test_logs_are_written_in_order(do: Do) -> None:
    assert not stores.has_log_group(REGION, "/g")
    now = int(time.time() * 1000)
    stores.write_logs(REGION, "/g", "s", [(now, "b"), (now - 5, "a")])
    stores.write_logs(REGION, "/g", "s", [(now + 1, "c")])
    assert stores.has_log_group(REGION, "/g")
    assert stores.has_log_stream(REGION, "/g", "s")
    assert not stores.has_log_stream(REGION, "/g", "t") and not stores.has_log_stream(REGION, "/h", "s")
    events = do("logs", "GetLogEvents", logGroupName="/g", logStreamName="s", startFromHead=True)["events"]
    assert [(e["message"], e["timestamp"] - now) for e in events] == [("a", -5), ("b", 0), ("c", 1)]


def test_buckets(do: Do) -> None:
    do("s3", "CreateBucket", Bucket="bkt")
    assert stores.bucket_policy("bkt") is None and stores.bucket_policy("none") is None
    do("s3", "PutBucketPolicy", Bucket="bkt", Policy=ALLOW)
    assert stores.bucket_policy("bkt") == json.loads(ALLOW)
    stores.put_object("bkt", "a/b", b"abc")
    with pytest.raises(AwsError, match="NoSuchBucket"):
        stores.put_object("none", "a/b", b"abc")
    assert do("s3", "GetObject", Bucket="bkt", Key="a/b")["Body"] == b"abc"


def test_moto_does_not_decide_who_may_read_an_object(do: Do) -> None:
    """It would turn everyone away for a policy that denies one; permissions.Policies has decided already."""
    do("s3", "CreateBucket", Bucket="bkt")
    do("s3", "PutObject", Bucket="bkt", Key="k", Body=b"x")
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:user/u"},
        "Action": "s3:*",
        "Resource": "*",
    }
    do("s3", "PutBucketPolicy", Bucket="bkt", Policy=json.dumps({"Version": "2012-10-17", "Statement": deny}))
    assert do("s3", "GetObject", Bucket="bkt", Key="k")["Body"] == b"x"
    assert do("s3", "DeleteObjects", Bucket="bkt", Delete={"Objects": [{"Key": "k"}]})["Deleted"] == [{"Key": "k"}]


def test_queues_topics_and_metrics(do: Do) -> None:
    url = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    stores.send_message(f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:q", "m")
    (message,) = do("sqs", "ReceiveMessage", QueueUrl=url)["Messages"]
    assert message["Body"] == "m"
    topic = do("sns", "CreateTopic", Name="t")["TopicArn"]
    do(
        "sns",
        "Subscribe",
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:q",
        Attributes={"RawMessageDelivery": "true"},
    )
    stores.publish(topic, "n")
    assert [m["Body"] for m in do("sqs", "ReceiveMessage", QueueUrl=url)["Messages"]] == ["n"]
    stores.put_metrics(
        REGION,
        "AWS/Kinesis",
        [
            {
                "MetricName": "IncomingRecords",
                "Value": 2.0,
                "Unit": "Count",
                "Dimensions": [{"Name": "StreamName", "Value": "s"}],
            }
        ],
    )
    (metric,) = do("monitoring", "ListMetrics", Namespace="AWS/Kinesis")["Metrics"]
    assert metric["MetricName"] == "IncomingRecords"


def test_a_streams_tags_show_in_the_tagging_api(do: Do) -> None:
    stores.mirror_stream(REGION, "s", {"workbook": "x"})
    tagged = do("tagging", "GetResources", TagFilters=[{"Key": "workbook", "Values": ["x"]}])["ResourceTagMappingList"]
    assert [t["ResourceARN"] for t in tagged] == [f"arn:aws:kinesis:{REGION}:{ACCOUNT_ID}:stream/s"]
    stores.mirror_stream(REGION, "s", None)
    assert do("tagging", "GetResources")["ResourceTagMappingList"] == []


# dynamodb


def table(do: Do, *, sort: bool = False, stream: bool = False) -> None:
    keys, kinds = [("a", "HASH")], [("a", "S")]
    if sort:
        keys, kinds = [*keys, ("n", "RANGE")], [*kinds, ("n", "N")]
    do(
        "dynamodb",
        "CreateTable",
        TableName="tab",
        KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in keys],
        AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, t in kinds],
        BillingMode="PAY_PER_REQUEST",
        **({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}} if stream else {}),
    )


def put(a: str, n: str | None = None, **more: str) -> dict[str, Any]:
    item: dict[str, Any] = {"a": {"S": a}, **({"n": {"N": n}} if n else {}), **{k: {"S": v} for k, v in more.items()}}
    return {"Put": {"TableName": "tab", "Item": item}}


def everything(do: Do) -> list[Any]:
    return sorted(do("dynamodb", "Scan", TableName="tab")["Items"], key=json.dumps)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
        ("C536379", "The parameter cannot be converted to a numeric value: C536379"),
        ("NaN", "numeric value: NaN"),
        ("Infinity", "numeric value"),
        ("", "numeric value"),
        (" 1", "numeric value"),
        ("1,5", "numeric value"),
        ("1_000", "numeric value"),
        ("٣", "numeric value"),
        (".", "numeric value"),
        ("1e", "numeric value"),
        ("1" * 39, "more than 38 significant digits"),
        ("0.1" + "0" * 36 + "1", None),
        ("0." + "1" * 39, "more than 38 significant digits"),
        ("1" + "0" * 60, None),
        ("9.9999999999999999999999999999999999999E+125", None),
        ("1E126", "Number overflow"),
        ("-1E126", "Number overflow"),
        ("1E-130", None),
        ("1E-131", "Number underflow"),
        ("0E125", None),
        ("0E126", "Number overflow"),
        ("-0.00", None),
        ("+.5", None),
    ],
)
def test_numbers(do: Do, number: str, words: str | None) -> None:
    table(do)
    places: list[Any] = [{"N": number}, {"NS": [number]}, {"L": [{"M": {"N": {"N": number}}}]}]
    for value in places:
        if words is None:
            do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "x"}, "v": value})
            continue
        with pytest.raises(AwsError, match=words) as caught:
            do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "x"}, "v": value})
        assert caught.value.code == "ValidationException"


def test_a_number_in_a_key_or_an_expression_is_checked_too(do: Do) -> None:
    table(do, sort=True)
    bad = {"N": "C536379"}
    for operation, parameters in (
        ("GetItem", {"Key": {"a": {"S": "x"}, "n": bad}}),
        ("DeleteItem", {"Key": {"a": {"S": "x"}, "n": bad}}),
        (
            "Query",
            {"KeyConditionExpression": "a = :a AND n = :n", "ExpressionAttributeValues": {":a": {"S": "x"}, ":n": bad}},
        ),
    ):
        with pytest.raises(AwsError, match="numeric value: C536379"):
            do("dynamodb", operation, TableName="tab", **parameters)
    with pytest.raises(AwsError, match="numeric value: C536379"):
        do("dynamodb", "BatchWriteItem", RequestItems={"tab": [{"PutRequest": {"Item": {"a": {"S": "x"}, "n": bad}}}]})
    assert everything(do) == []


CANCEL = {
    "ConditionCheck": {"TableName": "tab", "Key": {"a": {"S": "none"}}, "ConditionExpression": "attribute_exists(a)"}
}


@pytest.mark.parametrize("sort", [False, True])
def test_a_cancelled_transaction_leaves_everything_as_it_was(do: Do, sort: bool) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html: all or nothing"""
    table(do, sort=sort)
    n = "1" if sort else None
    for name in ("changed", "replaced", "deleted"):
        do("dynamodb", "TransactWriteItems", TransactItems=[put(name, n, v="old")])
    before = everything(do)

    def key(name: str) -> dict[str, Any]:
        return {"a": {"S": name}} | ({"n": {"N": "1"}} if sort else {})

    change = {
        "Update": {
            "TableName": "tab",
            "Key": key("changed"),
            "UpdateExpression": "SET v = :v",
            "ExpressionAttributeValues": {":v": {"S": "new"}},
        }
    }
    upsert = {
        "Update": {
            "TableName": "tab",
            "Key": key("made"),
            "UpdateExpression": "SET v = :v",
            "ExpressionAttributeValues": {":v": {"S": "new"}},
        }
    }
    items = [
        change,
        upsert,
        put("replaced", n, v="new"),
        put("new", n),
        {"Delete": {"TableName": "tab", "Key": key("deleted")}},
    ]
    cancel = {"ConditionCheck": CANCEL["ConditionCheck"] | {"Key": key("none")}}
    with pytest.raises(Refusal, match="TransactionCanceledException"):
        do("dynamodb", "TransactWriteItems", TransactItems=[*items, cancel])
    assert everything(do) == before
    assert do("dynamodb", "DescribeTable", TableName="tab")["Table"]["ItemCount"] == 3
    do("dynamodb", "TransactWriteItems", TransactItems=items)
    assert sorted(i["a"]["S"] + i.get("v", {}).get("S", "") for i in everything(do)) == [
        "changednew",
        "madenew",
        "new",
        "replacednew",
    ]


def test_a_cancelled_transaction_says_why_for_each_item(do: Do) -> None:
    table(do)
    with pytest.raises(Refusal) as caught:
        do("dynamodb", "TransactWriteItems", TransactItems=[put("x"), CANCEL])
    assert caught.value.args[1] == "TransactionCanceledException"
    assert "[None, ConditionalCheckFailed]" in caught.value.args[2]


def test_two_operations_on_one_item_are_refused_and_undone(do: Do) -> None:
    table(do)
    with pytest.raises(AwsError, match="multiple operations on one item"):
        do("dynamodb", "TransactWriteItems", TransactItems=[put("x"), put("y"), put("x", v="2")])
    assert everything(do) == []


def test_a_cancelled_transaction_leaves_nothing_in_the_tables_stream(do: Do) -> None:
    table(do, stream=True)
    do("dynamodb", "TransactWriteItems", TransactItems=[put("x")])
    with pytest.raises(Refusal):
        do("dynamodb", "TransactWriteItems", TransactItems=[put("y"), CANCEL])
    from moto.dynamodb.models import dynamodb_backends

    shard = dynamodb_backends[ACCOUNT_ID][REGION].tables["tab"].stream_shard
    assert shard is not None and [r.to_json()["eventName"] for r in shard.items] == ["INSERT"]


def test_transactions_cost_the_same_in_a_large_table(do: Do) -> None:
    """moto copied the whole table for every item."""
    table(do)

    def cost() -> float:
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            do("dynamodb", "TransactWriteItems", TransactItems=[put(f"cost{i}") for i in range(50)])
            with pytest.raises(Refusal):
                do("dynamodb", "TransactWriteItems", TransactItems=[*(put(f"other{i}") for i in range(50)), CANCEL])
            best = min(best, time.process_time() - start)
        return best

    small = cost()
    for start in range(0, 10_000, 25):
        batch = [{"PutRequest": put(f"fill{start + i}")["Put"] | {}} for i in range(25)]
        for each in batch:
            each["PutRequest"].pop("TableName")
        do("dynamodb", "BatchWriteItem", RequestItems={"tab": batch})
    assert cost() < 3 * small


keys_ = st.sampled_from("abc")
operations = st.lists(
    st.tuples(st.sampled_from(["Put", "Update", "Delete", "ConditionCheck"]), keys_, st.booleans()),
    min_size=1,
    max_size=4,
)


def test_transactions_do_what_a_dict_with_a_copy_would(moto: app.Moto, do: Do) -> None:
    """All or nothing, whatever is in it, in any order."""
    table(do)
    model: dict[str, str] = {}

    @seeded(150, 10_000)
    @given(operations)
    def check(steps: list[tuple[str, str, bool]]) -> None:
        after, fails, items = dict(model), len({k for _, k, _ in steps}) < len(steps), []
        for i, (kind, key, conditional) in enumerate(steps):
            body: dict[str, Any] = {"TableName": "tab"}
            if kind == "Put":
                body["Item"] = {"a": {"S": key}, "v": {"S": str(i)}}
            else:
                body["Key"] = {"a": {"S": key}}
            if kind == "Update":
                body |= {"UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"S": str(i)}}}
            if conditional or kind == "ConditionCheck":
                body["ConditionExpression"] = "attribute_exists(a)"
                fails = fails or key not in after
            if kind in ("Put", "Update"):
                after[key] = str(i)
            elif kind == "Delete":
                after.pop(key, None)
            items.append({kind: body})
        if fails:
            with pytest.raises((AwsError, Refusal)):
                do("dynamodb", "TransactWriteItems", TransactItems=items)
        else:
            do("dynamodb", "TransactWriteItems", TransactItems=items)
            model.clear()
            model.update(after)
        assert {i["a"]["S"]: i["v"]["S"] for i in everything(do)} == model

    check()


_ODD = [
    {"S": ""}, {"N": "9" * 38}, {"N": "-0"}, {"BOOL": True}, {"L": [{"N": "1"}]}, {"SS": ["x"]}, {"S": "x" * 300},
    {"S": "x" * 1_030}, {"S": "x" * 409_500},
]  # fmt: skip
_VALUES: Any = st.sampled_from([*[{"S": "x"}, {"S": "y"}, {"N": "2.50"}] * 9, *_ODD])
_KEYS: Any = st.fixed_dictionaries(
    {
        "a": st.sampled_from([*[{"S": "x"}, {"S": "y"}] * 16, {"S": ""}, {"N": "1"}, {"S": "x" * 2_050}]),
        "n": st.sampled_from([*[{"N": "1"}, {"N": "1.0"}, {"N": "2"}] * 16, {"S": "1"}, {"N": "x"}]),
    }
)
_ACTIONS: Any = st.one_of(
    st.fixed_dictionaries(
        {"Put": st.fixed_dictionaries(
            {"Item": st.tuples(_KEYS, st.dictionaries(st.sampled_from(["v", "w", "At"]), _VALUES)).map(
                lambda parts: parts[0] | parts[1]
            )},
            optional={
                "ConditionExpression": st.sampled_from(
                    ["attribute_not_exists(a)", " attribute_not_exists ( w ) ", "attribute_not_exists(At)",
                     "attribute_not_exists(#w)", "attribute_exists(a)", "attribute_not_exists(a) OR v = v",
                     "nonsense", ""]
                ),
                "ReturnValuesOnConditionCheckFailure": st.sampled_from(["ALL_OLD", "NONE"]),
            },
        )}
    ),
    st.fixed_dictionaries(
        {"Update": st.fixed_dictionaries(
            {
                "Key": _KEYS,
                "UpdateExpression": st.sampled_from(
                    ["ADD v :v", "SET v = :v", "SET w = if_not_exists(w, :v)", "ADD #w :v SET v = :w", "SET At = :v",
                     "SET a = :v", "REMOVE v", "SET v = v + :v", "nonsense"]
                ),
                "ExpressionAttributeValues": st.dictionaries(st.sampled_from([":v", ":v", ":w"]), _VALUES, min_size=1),
            },
            optional={
                "ExpressionAttributeNames": st.sampled_from([{"#w": "w"}, {"#w": "At"}, {"#x": "x"}]),
                "ConditionExpression": st.sampled_from(["attribute_exists(a)", "attribute_not_exists(a)"]),
            },
        )}
    ),
    st.fixed_dictionaries({"Delete": st.fixed_dictionaries({"Key": _KEYS})}),
)  # fmt: skip


def test_transactions_in_one_go_do_what_the_longer_way_does(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transactions on two tables, on the second without the short way: answers, items and index are equal."""
    for name in ("short", "long"):
        do(
            "dynamodb",
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, t in ("aS", "nN", "vS")],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-i",
                    "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    really, taken = dynamodb_plain.done, [0, 0]

    def result(name: str, actions: list[dict[str, Any]]) -> Any:
        items = [{kind: {"TableName": name} | what} for action in actions for kind, what in action.items()]
        try:
            told: Any = do("dynamodb", "TransactWriteItems", TransactItems=items)
        except (AwsError, Refusal) as error:
            told = str(error)
        index = do("dynamodb", "Scan", TableName=name, IndexName="by-i")["Items"]
        found = {
            k: sorted(v, key=str)
            for k, v in (("items", do("dynamodb", "Scan", TableName=name)["Items"]), ("index", index))
        }
        if isinstance(told, dict):
            del told["ResponseMetadata"]
        return told, found

    def short(backend: Any, actions: Any) -> bool:
        was = really(backend, actions)
        taken[was] += 1
        return was

    @seeded(300, 20_000)
    @given(st.lists(_ACTIONS, min_size=1, max_size=3))
    def check(actions: list[dict[str, Any]]) -> None:
        monkeypatch.setattr(dynamodb_plain, "done", short)
        quickly = result("short", json.loads(json.dumps(actions)))
        monkeypatch.setattr(dynamodb_plain, "done", lambda *_: False)
        assert quickly == result("long", json.loads(json.dumps(actions)))

    check()
    print(f"{taken[True]} transactions in one go, {taken[False]} the longer way")
    assert min(taken) > 5


@seeded(500, 50_000)
@given(st.text(st.sampled_from("0123456789.eE+-_ xN"), max_size=45))
def test_any_number_is_taken_by_boto3_or_refused(text: str) -> None:
    """What passes is a number to boto3's own deserializer, in full."""
    try:
        dynamodb_values.check(protocols.Call("dynamodb", "PutItem", "json", {}), {"Item": {"a": {"N": text}}})
    except AwsError as error:
        assert error.code == "ValidationException"
        return
    from boto3.dynamodb.types import TypeDeserializer

    if not Decimal(text):
        return  # a zero with any exponent is kept as 0
    value = TypeDeserializer().deserialize({"N": text})
    assert value.is_finite() and len(value.as_tuple().digits) <= 200


# dynamodb_store: the same answers as moto's, at a cost that does not grow with the table


def indexed_table(do: Do) -> None:
    names = ("a", "n", "g", "h")
    do(
        "dynamodb",
        "CreateTable",
        TableName="tab",
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": k, "AttributeType": "N" if k == "n" else "S"} for k in names],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-i",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "h", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def paged(do: Do, operation: str, limit: int | None, **parameters: Any) -> list[Any]:
    """All items of a query or scan, page by page."""
    found: list[Any] = []
    start: dict[str, Any] = {}
    while True:
        page = do("dynamodb", operation, TableName="tab", **({"Limit": limit} if limit else {}), **start, **parameters)
        assert limit is None or len(page["Items"]) <= limit
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.mark.parametrize("moved", [1000, 3])
def test_queries_scans_and_indexes_find_what_a_dict_would(
    moto: app.Moto, do: Do, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After puts, updates, deletes and transactions, cancelled ones too; in both directions, in pages of any size."""
    monkeypatch.setattr(dynamodb_store, "_MOVED", moved)  # more changes than that, and a scan sorts anew
    indexed_table(do)
    model: dict[tuple[str, int], dict[str, Any]] = {}
    small = st.sampled_from("xyz")
    change = st.tuples(
        st.sampled_from(["put", "update", "delete", "transact", "cancelled"]), small, st.integers(-2, 12), small, small
    )

    def item(a: str, n: int, g: str, h: str) -> dict[str, Any]:
        made = {"a": {"S": a}, "n": {"N": str(n)}, "g": {"S": g}, "h": {"S": h}, "l": {"L": [{"S": h}]}}
        return {k: v for k, v in made.items() if not (k == "g" and g == "z")}  # not all are in the index

    def make(kind: str, a: str, n: int, g: str, h: str) -> None:
        key, made = {"a": {"S": a}, "n": {"N": str(n)}}, item(a, n, g, h)
        if kind == "put":
            do("dynamodb", "PutItem", TableName="tab", Item=made)
        elif kind == "delete":
            do("dynamodb", "DeleteItem", TableName="tab", Key=key)
            model.pop((a, n), None)
            return
        elif kind == "update":
            changes = {"UpdateExpression": "SET h = :h ADD c :c"}
            values = {":h": {"S": h}, ":c": {"N": "2"}}
            do("dynamodb", "UpdateItem", TableName="tab", Key=key, ExpressionAttributeValues=values, **changes)
            made = model.get((a, n), key) | {"h": {"S": h}}
            made["c"] = {"N": str(int(made.get("c", {"N": "0"})["N"]) + 2)}
        elif kind == "transact":
            do("dynamodb", "TransactWriteItems", TransactItems=[{"Put": {"TableName": "tab", "Item": made}}])
        else:
            check = {"TableName": "tab", "Key": {"a": {"S": "none"}, "n": {"N": "0"}}}
            check["ConditionExpression"] = "attribute_exists(a)"
            change = (
                {"Delete": {"TableName": "tab", "Key": key}} if n % 2 else {"Put": {"TableName": "tab", "Item": made}}
            )
            with pytest.raises(Refusal):
                do("dynamodb", "TransactWriteItems", TransactItems=[change, {"ConditionCheck": check}])
            return
        model[a, n] = made

    @seeded(15, 3_000)
    @given(st.lists(change, min_size=1, max_size=12), st.sampled_from([None, 1, 2, 5]), st.booleans())
    def check(changes: list[tuple[str, str, int, str, str]], limit: int | None, forward: bool) -> None:
        for each in changes:
            make(*each)
        kept = [model[key] for key in sorted(model)]
        assert paged(do, "Scan", limit) == kept
        assert do("dynamodb", "Scan", TableName="tab", ProjectionExpression="c")["Items"] == [
            {k: i[k] for k in ("c",) if k in i} for i in kept
        ]
        in_index = sorted((i for i in kept if "g" in i and "h" in i), key=lambda i: (i["g"]["S"], i["h"]["S"]))
        assert paged(do, "Scan", limit, IndexName="by-i") == in_index
        for name in "xyz":
            values = {":v": {"S": name}}
            ask = {"ExpressionAttributeValues": values, "ScanIndexForward": forward}
            own, found = [i for i in kept if i["a"]["S"] == name], [i for i in in_index if i["g"]["S"] == name]
            if not forward:
                own, found = own[::-1], found[::-1]
            assert paged(do, "Query", limit, KeyConditionExpression="a = :v", **ask) == own
            assert paged(do, "Query", limit, KeyConditionExpression="g = :v", IndexName="by-i", **ask) == found

    check()


def test_a_new_index_leaves_the_others_as_they_are(do: Do) -> None:
    """moto kept the types of the new index's attributes only; an item with another index's key was then refused."""
    indexed_table(do)
    made = {
        "IndexName": "by-j",
        "KeySchema": [{"AttributeName": "s", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    one = [{"AttributeName": "s", "AttributeType": "S"}]
    for update, kept in (
        ({"Create": made}, {"a", "n", "g", "h", "s"}),
        ({"Delete": {"IndexName": "by-j"}}, set("angh")),
    ):
        definitions = {"AttributeDefinitions": one} if "Create" in update else {}
        do("dynamodb", "UpdateTable", TableName="tab", GlobalSecondaryIndexUpdates=[update], **definitions)
        described = do("dynamodb", "DescribeTable", TableName="tab")["Table"]["AttributeDefinitions"]
        assert {a["AttributeName"] for a in described} == kept
        item = {"a": {"S": "x"}, "n": {"N": "1"}, "g": {"S": "y"}, "h": {"S": "z"}, "s": {"S": "s"}}
        do("dynamodb", "TransactWriteItems", TransactItems=[{"Put": {"TableName": "tab", "Item": item}}])
        change = {"UpdateExpression": "SET c = :c", "ExpressionAttributeValues": {":c": {"S": "c"}}}
        do("dynamodb", "UpdateItem", TableName="tab", Key={"a": {"S": "x"}, "n": {"N": "1"}}, **change)


def test_an_index_that_is_made_later_knows_the_items_that_are_there(do: Do) -> None:
    table(do)
    for a in "xyz":
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": a}, "g": {"S": "one"}})
    index = {"IndexName": "by-i", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}
    for _ in range(2):  # another one of the same name, too
        do(
            "dynamodb",
            "UpdateTable",
            TableName="tab",
            AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in "ag"],
            GlobalSecondaryIndexUpdates=[{"Create": {**index, "Projection": {"ProjectionType": "KEYS_ONLY"}}}],
        )
        ask = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "one"}}}
        found = do("dynamodb", "Query", TableName="tab", IndexName="by-i", **ask)["Items"]
        assert sorted(i["a"]["S"] for i in found) == ["x", "y", "z"]
        do("dynamodb", "UpdateTable", TableName="tab", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-i"}}])


def test_what_is_read_can_be_changed_without_changing_the_table(do: Do) -> None:
    table(do)
    item = {"a": {"S": "x"}, "m": {"M": {"l": {"L": [{"N": "1"}]}, "s": {"SS": ["p"]}}}, "b": {"B": b"\x00\xff"}}
    do("dynamodb", "PutItem", TableName="tab", Item=item)
    do(
        "dynamodb",
        "PutItem",
        TableName="tab",
        Item={**item, "a": {"S": "y"}, "big": {"S": "ü" * 1000}, "no": {"NULL": True}, "yes": {"BOOL": True}},
    )
    do(
        "dynamodb",
        "UpdateItem",
        TableName="tab",
        Key={"a": {"S": "x"}},
        UpdateExpression="SET m.l[0] = :n ADD m.s :s",
        ExpressionAttributeValues={":n": {"N": "2"}, ":s": {"SS": ["q"]}},
    )
    x, y = (do("dynamodb", "GetItem", TableName="tab", Key={"a": {"S": a}})["Item"] for a in "xy")
    assert x["m"]["M"]["l"] == {"L": [{"N": "2"}]} and sorted(x["m"]["M"]["s"]["SS"]) == ["p", "q"]
    assert y["m"] == item["m"] and y["b"] == x["b"] == item["b"] and y["big"] == {"S": "ü" * 1000}
    assert (y["no"], y["yes"]) == ({"NULL": True}, {"BOOL": True})
    with pytest.raises(Refusal, match="Item size"):
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "z"}, "big": {"S": "ü" * 205_000}})


def test_a_short_update_does_what_a_long_one_does(moto: app.Moto, do: Do) -> None:
    """Updates that only set and add go their own way; a condition that always holds sends the same one through moto."""
    indexed_table(do)
    names = st.sampled_from(["p", "q", "#p", "#no", "n", "size", "g", "name"])
    values = st.sampled_from([":n", ":s", ":set", ":no"])
    one_set = st.tuples(names, values).map("{0[0]} = {0[1]}".format)
    default = st.tuples(names, values).map("{0[0]} = if_not_exists({0[0]}, {0[1]})".format)
    sets = st.lists(st.one_of(one_set, default), max_size=3).map(lambda c: f"SET {', '.join(c)}" if c else "")
    adds = st.lists(st.tuples(names, values).map(" ".join), max_size=3).map(
        lambda c: f"ADD {', '.join(c)}" if c else ""
    )
    given_values = {":n": {"N": "1.50"}, ":s": {"S": "text"}, ":set": {"SS": ["one"]}}

    def update(a: str, expression: str, **more: Any) -> Any:
        used = {k: v for k, v in given_values.items() if re.search(rf"{k}\b", expression)}
        named = {"ExpressionAttributeNames": {"#p": "p"}} if "#p" in expression else {}
        key = {"a": {"S": a}, "n": {"N": "1"}}
        try:
            do(
                "dynamodb", "UpdateItem", TableName="tab", Key=key, UpdateExpression=expression, **named, **more,
                **({"ExpressionAttributeValues": used} if used else {}),
            )  # fmt: skip
        except (Refusal, AwsError) as error:
            return str(error)
        return {k: v for k, v in do("dynamodb", "GetItem", TableName="tab", Key=key)["Item"].items() if k != "a"}

    @seeded(120, 20_000)
    @given(st.tuples(sets, adds).map(" ".join).filter(str.strip), st.booleans())
    def check(expression: str, again: bool) -> None:
        for key in "xy":
            do("dynamodb", "DeleteItem", TableName="tab", Key={"a": {"S": key}, "n": {"N": "1"}})
        always = {"ConditionExpression": "attribute_exists(a) OR attribute_not_exists(a)"}
        for _ in range(1 + again):
            assert update("x", expression) == update("y", expression, **always), expression

    check()


def test_a_table_of_any_size_is_asked_at_the_same_cost(do: Do) -> None:
    """What moto would look at is counted, not timed: the items that a query, a page and a transaction go through."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    indexed_table(do)
    reads = [0]
    cast = DynamoType.cast_value.fget  # type: ignore[attr-defined]

    def counted(self: Any) -> Any:
        reads[0] += 1
        return cast(self)

    def cost() -> list[int]:
        found = []
        asks: list[tuple[str, dict[str, Any]]] = [
            ("Query", {"KeyConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"S": "0"}}}),
            (
                "Query",
                {
                    "IndexName": "by-i",
                    "KeyConditionExpression": "g = :v",
                    "ExpressionAttributeValues": {":v": {"S": "0"}},
                },
            ),
            ("Scan", {"Limit": 5, "ExclusiveStartKey": {"a": {"S": "0"}, "n": {"N": "2"}}}),
        ]
        for operation, parameters in asks:
            do("dynamodb", operation, TableName="tab", **parameters)
            reads[0] = 0
            do("dynamodb", operation, TableName="tab", **parameters)
            found.append(reads[0])
        return found

    def fill(partitions: range) -> None:
        for a in partitions:
            items = [
                {"a": {"S": str(a)}, "n": {"N": str(n)}, "g": {"S": str(a)}, "h": {"S": str(n)}} for n in range(10)
            ]
            do("dynamodb", "BatchWriteItem", RequestItems={"tab": [{"PutRequest": {"Item": i}} for i in items]})

    setattr(DynamoType, "cast_value", property(counted))  # noqa: B010
    try:
        fill(range(10))
        small = cost()
        fill(range(10, 200))
        *queries, page = cost()
        assert queries == small[:-1]
        halvings = 5  # more of them find the page's beginning among twenty times as many items; a key has two values
        assert small[-1] <= page <= small[-1] + 2 * halvings
    finally:
        setattr(DynamoType, "cast_value", property(cast))  # noqa: B010


def test_what_is_deleted_is_gone(do: Do) -> None:
    """moto kept every object that it ever made."""
    import gc
    import weakref

    from moto.dynamodb.models import dynamodb_backends

    table(do)
    do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "x"}})
    (item,) = dynamodb_backends[ACCOUNT_ID][REGION].tables["tab"].items.values()
    kept = weakref.ref(item)
    del item
    do("dynamodb", "DeleteItem", TableName="tab", Key={"a": {"S": "x"}})
    gc.collect()
    assert kept() is None


def test_the_seams_change_moto_once(moto: app.Moto) -> None:
    """Loading twice, as tests do, must not wrap what is wrapped."""
    assert app.load() is moto


# a query looks at its partition, and answers as if it had looked at everything


def test_queries_find_what_is_there_whatever_was_written_before(do: Do) -> None:
    """Puts, updates that move an item in the index, deletes, cancelled transactions; the index is asked all along."""
    import random

    names = {"AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("a", "b", "x", "y")]}
    keys = [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}]
    index = {
        "IndexName": "by-i",
        "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}, {"AttributeName": "y", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    table = {"TableName": "tab", "KeySchema": keys, "BillingMode": "PAY_PER_REQUEST", "GlobalSecondaryIndexes": [index]}
    do("dynamodb", "CreateTable", **table, **names)
    chance = random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")

    def put(**item: str) -> dict[str, Any]:
        return {"Put": {"TableName": "tab", "Item": {name: {"S": value} for name, value in item.items()}}}

    def query(**parameters: Any) -> list[Any]:
        found: list[Any] = []
        start: dict[str, Any] = {}
        while True:
            page = do("dynamodb", "Query", TableName="tab", Limit=3, **parameters, **start)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    for step in range(120):
        key = {"a": chance.choice("123"), "b": chance.choice("1234")}
        where = {name: {"S": value} for name, value in key.items()}
        place = chance.choice([{}, {"x": chance.choice("uvw"), "y": chance.choice("123")}, {"x": chance.choice("uvw")}])
        kind = chance.randrange(4)
        if kind == 0:
            do("dynamodb", "PutItem", TableName="tab", Item=put(**key, **place)["Put"]["Item"])
        elif kind == 1:
            do("dynamodb", "DeleteItem", TableName="tab", Key=where)
        elif kind == 2:
            given = {
                "ExpressionAttributeValues": {":x": {"S": chance.choice("uvw")}, ":y": {"S": chance.choice("123")}}
            }
            change = {"UpdateExpression": "SET x = :x, y = :y", **given} if place else {"UpdateExpression": "REMOVE x"}
            do("dynamodb", "UpdateItem", TableName="tab", Key=where, **change)
        else:
            never = {
                "TableName": "tab",
                "Key": where | {"a": {"S": "none"}},
                "ConditionExpression": "attribute_exists(a)",
            }
            with pytest.raises(Refusal, match="TransactionCanceled"):
                do("dynamodb", "TransactWriteItems", TransactItems=[put(**key, **place), {"ConditionCheck": never}])
        there = do("dynamodb", "Scan", TableName="tab")["Items"]
        for a in "123":
            wanted = sorted((i for i in there if i["a"]["S"] == a), key=lambda i: i["b"]["S"])
            by_table = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": a}}}
            assert query(**by_table) == wanted, step
        for x in "uvw":
            wanted = sorted((i for i in there if i.get("x") == {"S": x} and "y" in i), key=lambda i: i["y"]["S"])
            by_index = {"KeyConditionExpression": "x = :x", "ExpressionAttributeValues": {":x": {"S": x}}}
            found = query(IndexName="by-i", ScanIndexForward=False, **by_index)
            assert [i["y"] for i in found] == [i["y"] for i in reversed(wanted)], step
            assert sorted(map(str, found)) == sorted(map(str, wanted)), step


def test_a_query_costs_the_same_in_a_large_table(do: Do) -> None:
    table(do)

    def cost() -> float:
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            for i in range(20):
                condition = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": f"x{i}"}}}
                do("dynamodb", "Query", TableName="tab", **condition)
            best = min(best, time.process_time() - start)
        return best

    for i in range(20):
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": f"x{i}"}})
    small = cost()
    for i in range(1500):
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": f"more{i}"}})
    assert cost() < 3 * small


# stores: what a website is, and what a new bucket is


def test_a_website_is_what_the_bucket_was_told(do: Do) -> None:
    do("s3", "CreateBucket", Bucket="bkt")
    with pytest.raises(AwsError, match="NoSuchWebsiteConfiguration"):
        stores.site("bkt")
    with pytest.raises(AwsError, match="NoSuchBucket"):
        stores.site("none")
    do(
        "s3",
        "PutBucketWebsite",
        Bucket="bkt",
        WebsiteConfiguration={"IndexDocument": {"Suffix": "i.html"}, "ErrorDocument": {"Key": "e.html"}},
    )
    assert stores.site("bkt") == website.Site("i.html", "e.html", None, None, True)
    to = {"RedirectAllRequestsTo": {"HostName": "example.com"}}
    do("s3", "PutBucketWebsite", Bucket="bkt", WebsiteConfiguration=to)
    assert stores.site("bkt").redirect == "//example.com"


def test_a_new_bucket_blocks_public_access(do: Do) -> None:
    do("s3", "CreateBucket", Bucket="bkt")
    assert stores.blocks_public("bkt", "block_public_policy") and stores.blocks_public("bkt", "restrict_public_buckets")
    do("s3", "DeletePublicAccessBlock", Bucket="bkt")
    assert not stores.blocks_public("bkt", "block_public_policy")


def test_a_resource_is_deleted_with_all_below_it(do: Do) -> None:
    api = do("apigateway", "CreateRestApi", name="a")["id"]
    parent = do("apigateway", "GetResources", restApiId=api)["items"][0]["id"]
    made = []
    for part in ("a", "b", "c"):
        parent = do("apigateway", "CreateResource", restApiId=api, parentId=parent, pathPart=part)["id"]
        made.append(parent)
    do("apigateway", "DeleteResource", restApiId=api, resourceId=made[0])
    assert [r["path"] for r in do("apigateway", "GetResources", restApiId=api)["items"]] == ["/"]


# alarms and queues


def test_an_alarm_has_the_state_of_its_metric(do: Do) -> None:
    topic, url = do("sns", "CreateTopic", Name="t")["TopicArn"], do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    do("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:q")
    alarm = {
        "AlarmName": "a", "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 2.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Dimensions": [{"Name": "FunctionName", "Value": "f"}], "AlarmActions": [topic],
    }  # fmt: skip
    do("monitoring", "PutMetricAlarm", **alarm)

    def state() -> str:
        alarms.evaluate()
        return str(do("monitoring", "DescribeAlarms")["MetricAlarms"][0]["StateValue"])

    def errors(function: str, count: float) -> None:
        dimensions = [{"Name": "FunctionName", "Value": function}]
        datum = {"MetricName": "Errors", "Value": count, "Unit": "Count", "Dimensions": dimensions}
        stores.put_metrics(REGION, "AWS/Lambda", [datum])

    assert state() == "INSUFFICIENT_DATA"
    errors("f", 1.0)
    errors("another", 9.0)
    assert state() == "OK"
    errors("f", 1.0)
    assert state() == "ALARM"
    do("monitoring", "PutMetricAlarm", **{**alarm, "AlarmDescription": "d"})
    assert do("monitoring", "DescribeAlarms")["MetricAlarms"][0]["StateValue"] == "ALARM"
    (told,) = do("sqs", "ReceiveMessage", QueueUrl=url)["Messages"]
    assert json.loads(json.loads(told["Body"])["Message"])["NewStateValue"] == "ALARM"
    with pytest.raises(AwsError, match="no metric math"):
        alarms.check({**alarm, "Statistic": None, "ExtendedStatistic": "p99"})


def test_a_queues_messages_as_a_trigger_reads_them(do: Do) -> None:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:q"
    url = do("sqs", "CreateQueue", QueueName="q", Attributes={"VisibilityTimeout": "40"})["QueueUrl"]
    number = {"DataType": "Number", "StringValue": "7"}
    do("sqs", "SendMessage", QueueUrl=url, MessageBody="m", MessageAttributes={"n": number})
    assert queues.visibility_timeout(arn) == 40
    (record,) = queues.receive(arn, 10)
    assert (record["body"], record["eventSource"], record["eventSourceARN"]) == ("m", "aws:sqs", arn)
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["n"]["stringValue"] == "7"
    assert queues.receive(arn, 10) == []  # it is out of sight
    queues.delete(arn, [record["receiptHandle"]])
    queues.delete(arn, [record["receiptHandle"]])  # gone already: no matter
    attributes = do("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]) == (
        "0",
        "0",
    )
    with pytest.raises(AwsError):
        queues.visibility_timeout(arn + "x")
    assert queues.wait_seconds("nothing", REGION) == 0


# Sizes of items


def _item(size: int) -> dict[str, Any]:
    """An item of exactly so many bytes by AWS's rules, with a value of every type."""
    kinds: list[tuple[dict[str, Any], int]] = [
        ({"N": "0"}, 1), ({"N": "-12.50"}, 1 + 1 + 1 + 1), ({"N": "1200"}, 1 + 1), ({"N": "1234567"}, 1 + 4),
        ({"BOOL": True}, 1), ({"NULL": True}, 1), ({"B": b"\0" * 10}, 10), ({"S": "ü€"}, 5), ({"S": ""}, 0),
        ({"SS": ["a", "ü"]}, 3), ({"NS": ["1", "100.5"]}, 2 + 4), ({"BS": [b"abc"]}, 3),
        ({"L": []}, 3), ({"M": {}}, 3), ({"L": [{"S": "ab"}, {"N": "5"}]}, 3 + (1 + 2) + (1 + 2)),
        ({"M": {"ü": {"S": "ab"}, "l": {"L": [{"NULL": True}]}}}, 3 + (1 + 2 + 2) + (1 + 1 + 3 + 1 + 1)),
    ]  # fmt: skip
    item: dict[str, Any] = {"a": {"S": "k"}}
    used = 2
    for number, (value, bytes_) in enumerate(kinds, 10):
        item[f"{number}"] = value
        used += 2 + bytes_
    return item | {"big": {"S": "x" * (size - used - 3)}}


def test_an_item_may_have_409600_bytes_and_not_one_more(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    key = [{"AttributeName": "a", "KeyType": "HASH"}]
    kinds = [{"AttributeName": "a", "AttributeType": "S"}]
    do("dynamodb", "CreateTable", TableName="tab", KeySchema=key, AttributeDefinitions=kinds,
       BillingMode="PAY_PER_REQUEST")  # fmt: skip
    most, one_more = _item(409_600), _item(409_601)
    too_large = "Item size has exceeded the maximum allowed size"
    for operation, parameters in (
        ("PutItem", lambda item: {"TableName": "tab", "Item": item}),
        ("BatchWriteItem", lambda item: {"RequestItems": {"tab": [{"PutRequest": {"Item": item}}]}}),
        ("TransactWriteItems", lambda item: {"TransactItems": [{"Put": {"TableName": "tab", "Item": item}}]}),
    ):
        do("dynamodb", operation, **parameters(most))
        with pytest.raises((Refusal, AwsError), match=too_large):
            do("dynamodb", operation, **parameters(one_more))
    got = do("dynamodb", "PutItem", TableName="tab", Item=most, ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"]["CapacityUnits"] == 400

    change: dict[str, Any] = {"TableName": "tab", "Key": {"a": {"S": "k"}}}
    # The whole item as it will be counts, and nothing of what it was: a large value may take a large one's place.
    for expression, fits in (
        ("SET big = :v", len(most["big"]["S"])),
        ("SET big2 = :v REMOVE big", len(most["big"]["S"]) - 1),
    ):
        for extra, refused in ((0, False), (1, True)):
            values = {":v": {"S": "y" * (fits + extra)}}
            update = {**change, "UpdateExpression": expression, "ExpressionAttributeValues": values}
            if refused:
                with pytest.raises(Refusal, match="Item size to update has exceeded the maximum allowed size"):
                    do("dynamodb", "UpdateItem", **update)
                with pytest.raises(Refusal, match=r"\[ValidationError\]"):
                    do("dynamodb", "TransactWriteItems", TransactItems=[{"Update": update}])
            else:
                do("dynamodb", "UpdateItem", **update)
    nested = {**change, "UpdateExpression": "SET #m.#u = :v", "ExpressionAttributeNames": {"#m": "25", "#u": "ü"}}
    with pytest.raises(Refusal, match="Item size to update"):  # one byte more within a map
        do("dynamodb", "UpdateItem", **nested, ExpressionAttributeValues={":v": {"S": "abc"}})
    do("dynamodb", "UpdateItem", **nested, ExpressionAttributeValues={":v": {"S": "ba"}})
    got = do("dynamodb", "GetItem", **change)["Item"]
    assert got["25"]["M"]["ü"] == {"S": "ba"} and set(got["big2"]["S"]) == {"y"} and "big" not in got


def test_a_value_in_an_update_has_one_operator(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html"""
    key = [{"AttributeName": "a", "KeyType": "HASH"}]
    kinds = [{"AttributeName": "a", "AttributeType": "S"}]
    do("dynamodb", "CreateTable", TableName="tab", KeySchema=key, AttributeDefinitions=kinds,
       BillingMode="PAY_PER_REQUEST")  # fmt: skip
    change: dict[str, Any] = {"TableName": "tab", "Key": {"a": {"S": "k"}}}
    values: dict[str, Any] = {":x": {"N": "5"}, ":y": {"N": "2"}}

    def update(expression: str) -> None:
        do("dynamodb", "UpdateItem", **change, UpdateExpression=expression, ExpressionAttributeValues=values)

    update("SET n = :x - :y, m = if_not_exists(m, :x) + :y")
    for expression, near in (
        ("SET n = n + :x + :y", ":x + :y"),
        ("SET n = n - :x+:y", ":x+:y"),
        ("SET n = :y + if_not_exists(n, :x) - :y, m = :x", ") - :y"),
    ):
        token = near.strip(":xy) ")
        text = f'Invalid UpdateExpression: Syntax error; token: "{token}", near: "{near}"'
        with pytest.raises(AwsError, match=re.escape(text)):
            update(expression)
    got = do("dynamodb", "GetItem", **change)["Item"]
    assert (got["n"], got["m"]) == ({"N": "3"}, {"N": "7"})


# dynamodb_expressions: conditions, filters, keys and projections as DynamoDB reads them


DOCUMENT: dict[str, Any] = {
    "n": {"N": "5"}, "s": {"S": "hello"}, "b": {"B": b"abc"}, "yes": {"BOOL": True}, "nothing": {"NULL": True},
    "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]},
    "l": {"L": [{"S": "x"}, {"M": {"xs": {"NS": ["7"]}}}, {"N": "2"}]},
    "m": {"M": {"a": {"N": "1"}, "b c": {"S": "z"}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        # What is of another type, or not there, is not equal, and neither less nor greater.
        ("n = :v", {"N": "5.0"}, True),
        ("n > :v", {"S": "4"}, False),
        ("n < :v", {"S": "6"}, False),
        ("n <> :v", {"S": "5"}, True),
        ("absent <> :v", {"S": "5"}, True),
        ("absent = :v", {"S": "5"}, False),
        ("NOT absent = :v", {"S": "5"}, True),
        ("absent = gone", None, False),
        ("absent <> gone", None, True),
        ("absent >= gone", None, False),
        (":v < n", {"N": "4"}, True),
        ("ss = :v", {"SS": ["b", "a"]}, True),
        ("m = :v", {"M": {"b c": {"S": "z"}, "a": {"N": "1.0"}}}, True),
        ("b > :v", {"B": b"abb"}, True),
        ("n BETWEEN m.a AND :v", {"N": "5"}, True),
        ("n BETWEEN l[0] AND :v", {"N": "5"}, False),
        ("s IN (:v, n, l[0])", {"N": "5"}, False),
        ("l[2] IN (:v, n)", {"N": "2.0"}, True),
        # Functions
        ("begins_with(b, :v)", {"B": b"ab"}, True),
        ("begins_with(n, :v)", {"S": "5"}, False),
        ("contains(b, :v)", {"B": b"bc"}, True),
        ("contains(l[1].xs, :v)", {"N": "7"}, True),
        ("contains(l, :v)", {"N": "2"}, True),
        ("contains(l, :v)", {"M": {"xs": {"NS": ["7.0"]}}}, True),
        ("contains(ns, :v)", {"S": "1"}, False),
        ("contains(n, :v)", {"N": "5"}, False),
        ("contains(:v, s)", {"S": "hello, world"}, True),
        ("attribute_type(nothing, :v)", {"S": "NULL"}, True),
        ("attribute_exists(l[9]) OR attribute_not_exists(m.absent.deeper)", None, True),
        ("size(s) > size(ss) AND size(m) = :v", {"N": "2"}, True),
        ("size(n) = :v", {"N": "1"}, False),
        ("size(absent) < :v", {"N": "1"}, False),
        ("n = :v OR s = :v AND yes = :v", {"N": "5"}, True),
        ("not (n = :v or s = :v)", {"N": "5"}, False),
        ("(n) = :v AND ((s <> :v) OR (yes = :v))", {"N": "5"}, True),
        # What a value in the call must not be is refused, and so is what makes no sense.
        ("yes > :v", {"BOOL": False}, "Incorrect operand type for operator or function; operator or function: >, ope"),
        ("begins_with(s, :v)", {"N": "5"}, "operator or function: begins_with, operand type: N"),
        ("n BETWEEN :v AND :w", ({"N": "6"}, {"N": "1"}), "requires upper bound to be greater than or equal to lower"),
        ("n BETWEEN :v AND :w", ({"N": "6"}, {"S": "9"}), "requires same data type for lower and upper bounds; lower"),
        ("attribute_type(s, :v)", {"S": "STRING"}, "Invalid attribute type name found; type: STRING, valid types: {B"),
        ("attribute_exists(:v)", {"S": "s"}, "requires a document path; operator or function: attribute_exists"),
        ("n = n", None, "must be distinct from the remaining operands for this operator or function; operator: =, fir"),
        ("size(s)", None, "The function is not allowed to be used this way in an expression; function: size"),
        ("contains(s, attribute_exists(n))", None, "this way in an expression; function: attribute_exists"),
        ("begins_with(s)", None, "operator or function: begins_with, number of operands: 1"),
        ("Contains(s, :v)", {"S": "h"}, "Invalid function name; function: Contains"),
        ("((n = :v))", {"N": "5"}, "The expression has redundant parentheses;"),
        ("n == :v", {"N": "5"}, 'Syntax error; token: "=", near: "== :v"'),
        ("n != :v", {"N": "5"}, 'Syntax error; token: "!"'),
        ("n = :v AND", {"N": "5"}, 'Syntax error; token: "<EOF>", near: "AND"'),
        ("name = :v", {"N": "5"}, "Attribute name is a reserved keyword; reserved keyword: name"),
        ("", None, "The expression can not be empty;"),
    ],
)
def test_what_a_condition_says_of_an_item(do: Do, condition: str, values: Any, holds: bool | str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html

    What the page leaves open, and the words, are from tests that ran on DynamoDB: scylladb/scylladb test/alternator,
    architect/dynalite.
    """
    table(do)
    do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "k"}, **DOCUMENT})
    given = {f":{'vw'[i]}": v for i, v in enumerate(values if isinstance(values, tuple) else (values,)) if v}
    more = {"ExpressionAttributeValues": given} if given else {}
    for operation, member in (("Scan", "FilterExpression"), ("DeleteItem", "ConditionExpression")):
        asked = {
            "TableName": "tab",
            member: condition,
            **more,
            **({"Key": {"a": {"S": "k"}}} if member[0] == "C" else {}),
        }
        if isinstance(holds, str):
            with pytest.raises(AwsError, match=re.escape(holds)) as caught:
                do("dynamodb", operation, **asked)
            assert caught.value.message.startswith(f"Invalid {member}: ")
        elif operation == "Scan":
            assert do("dynamodb", "Scan", **asked)["Count"] == holds
        elif holds:
            do("dynamodb", operation, **asked)
            assert everything(do) == []
        else:
            with pytest.raises(Refusal, match="ConditionalCheckFailedException"):
                do("dynamodb", operation, **asked)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("l[0], l[2]", {"l": {"L": [{"S": "x"}, {"N": "2"}]}}),
        ("l[2], l[0]", {"l": {"L": [{"S": "x"}, {"N": "2"}]}}),
        ("l[1].xs, m.#b", {"l": {"L": [{"M": {"xs": {"NS": ["7"]}}}]}, "m": {"M": {"b c": {"S": "z"}}}}),
        ("m.a.deeper, n[0], l.x, absent, s", {"s": {"S": "hello"}}),
        ("m, m.a", "Two document paths overlap with each other; must remove or rewrite one of these paths"),
        ("l[1], l.x", "Two document paths conflict with each other; must remove or rewrite one of these paths"),
        ("n,", 'Syntax error; token: "<EOF>"'),
        ("n s", 'Syntax error; token: "s", near: "n s"'),
    ],
)  # fmt: skip
def test_a_projection_shows_what_it_names(do: Do, expression: str, found: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ProjectionExpressions.html"""
    table(do)
    do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "k"}, **DOCUMENT})
    asked: dict[str, Any] = {"ProjectionExpression": expression}
    asked |= {"ExpressionAttributeNames": {"#b": "b c"}} if "#b" in expression else {}
    get = {"TableName": "tab", "Key": {"a": {"S": "k"}}, **asked}
    if isinstance(found, str):
        with pytest.raises(AwsError, match=re.escape(f"Invalid ProjectionExpression: {found}")):
            do("dynamodb", "GetItem", **get)
        return
    assert do("dynamodb", "GetItem", **get)["Item"] == found
    assert do("dynamodb", "Scan", TableName="tab", **asked)["Items"] == [found]
    assert do("dynamodb", "TransactGetItems", TransactItems=[{"Get": get}])["Responses"] == [{"Item": found}]


def test_a_key_has_one_condition(do: Do) -> None:
    """A range is asked for with BETWEEN; of two conditions one would be forgotten.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
    """
    table(do, sort=True)
    for number in range(6):
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "k"}, "n": {"N": str(number)}})

    def query(condition: str) -> list[str]:
        given = {k: v for k, v in {":a": {"S": "k"}, ":v": {"N": "1"}, ":w": {"N": "3"}}.items() if k in condition}
        got = do(
            "dynamodb", "Query", TableName="tab", KeyConditionExpression=condition, ExpressionAttributeValues=given
        )
        return [item["n"]["N"] for item in got["Items"]]

    for condition in ("a = :a AND n BETWEEN :v AND :w", "((n between :v and :w) and (a = :a))"):
        assert query(condition) == ["1", "2", "3"]
    assert query("a = :a AND :v < n") == ["2", "3", "4", "5"]
    for condition, words in (
        ("a = :a AND n >= :v AND n <= :w", "KeyConditionExpressions must only contain one condition per key"),
        ("a = :a AND a = :a", "KeyConditionExpressions must only contain one condition per key"),
        ("a = :a AND", "Invalid KeyConditionExpression: Syntax error"),
        ("a = :a OR n = :v", "Invalid operator used in KeyConditionExpression: OR"),
        ("a = :a AND n IN (:v)", "Invalid operator used in KeyConditionExpression: IN"),
        ("a = :a AND n.x = :v", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("a = :a AND begins_with(n, :v)", "operator or function: begins_with, operand type: N"),
        ("a = :a AND m = :v", "Query condition missed key schema element: n"),
    ):
        with pytest.raises((AwsError, Refusal), match=re.escape(words)):
            query(condition)


@pytest.mark.parametrize(
    ("expression", "old", "new"),
    [
        ("SET n = n", {"n": {"N": "5"}}, {"n": {"N": "5"}}),
        ("SET m.a = :v", {"m": {"M": {"a": {"N": "1"}}}}, {"m": {"M": {"a": {"N": "9"}}}}),
        ("SET l[2] = :v, fresh = :v", {"l": {"L": [{"N": "2"}]}}, {"l": {"L": [{"N": "9"}]}, "fresh": {"N": "9"}}),
        ("REMOVE s SET n = if_not_exists(absent, :v)", {"s": {"S": "hello"}, "n": {"N": "5"}}, {"n": {"N": "9"}}),
        ("ADD ns :set", {"ns": {"NS": ["1", "2"]}}, {"ns": {"NS": ["1", "2", "9"]}}),
        ("REMOVE absent", None, None),
    ],
)
def test_an_update_gives_back_what_it_changed(do: Do, expression: str, old: Any, new: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html: UPDATED_OLD and UPDATED_NEW

    As scylladb/scylladb test/alternator/test_returnvalues.py, which ran on DynamoDB: of a nested attribute, that only.
    """
    table(do)
    given = {k: v for k, v in {":v": {"N": "9"}, ":set": {"NS": ["9"]}}.items() if k in expression}
    for asked, found in (("UPDATED_OLD", old), ("UPDATED_NEW", new)):
        do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "k"}, **DOCUMENT})
        got = do(
            "dynamodb", "UpdateItem", TableName="tab", Key={"a": {"S": "k"}}, UpdateExpression=expression,
            ReturnValues=asked, **({"ExpressionAttributeValues": given} if given else {}),
        )  # fmt: skip
        assert got.get("Attributes") == found


def test_what_dynamodb_does_not_take_is_refused_as_a_whole(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

    Levels are counted as architect/dynalite and tests on DynamoDB count them: the attribute is the first, a leaf may
    be the 32nd.
    """
    indexed_table(do)
    key = {"a": {"S": "k"}, "n": {"N": "1"}}

    def nested(levels: int) -> dict[str, Any]:
        return {"S": "leaf"} if levels == 1 else {"M": {"m": nested(levels - 1)}}

    def write(*items: dict[str, Any]) -> None:
        do("dynamodb", "BatchWriteItem", RequestItems={"tab": [{"PutRequest": {"Item": item}} for item in items]})

    refused: list[tuple[dict[str, Any], str]] = [
        ({"a": {"S": "k"}}, "Missing the key n in the item"),
        ({"a": {"S": "k"}, "n": {"S": "1"}}, "Type mismatch for key n expected: N actual: S"),
        ({**key, "a": {"S": "k" * 2049}}, "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ({**key, "g": {"S": "é" * 1025}}, "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ({**key, "h": {"S": "k" * 1025}}, "Aggregated size of all range keys has exceeded the size limit of 1024"),
        ({**key, "x": {"S": "x" * 409_600}}, "Item size has exceeded the maximum allowed size"),
        ({**key, "x": nested(33)}, "Nesting Levels have exceeded supported limits"),
        ({**key, "x": {"L": [{"SS": []}]}}, "An string set  may not be empty"),
        ({**key, "x": {}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
    ]
    for item, words in refused:
        in_batch = "The provided key element does not match the schema" if " key n " in words else words
        with pytest.raises((AwsError, Refusal), match=re.escape(in_batch)):
            write({"a": {"S": "first"}, "n": {"N": "1"}}, item)
        assert everything(do) == []  # not the first one either
        with pytest.raises((AwsError, Refusal), match=re.escape(words)):
            do("dynamodb", "PutItem", TableName="tab", Item=item)
    with pytest.raises(AwsError, match="Size of hashkey"):
        do("dynamodb", "GetItem", TableName="tab", Key={**key, "a": {"S": "k" * 2049}})
    write({**key, "x": nested(32)})


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("SET s.x = :v", "The document path provided in the update expression is invalid for update"),
        ("SET l.x = :v", "The document path provided in the update expression is invalid for update"),
        (
            "SET g = :empty",
            "attempted to update a secondary index key to a value that is not supported. The AttributeV",
        ),
        ("SET g = :long", "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ("SET x = :none", "An string set  may not be empty"),
        ("SET l[0] = :v, l.x = :v", "Two document paths conflict with each other"),
    ],
)
def test_an_update_that_dynamodb_refuses_changes_nothing(do: Do, expression: str, words: str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html"""
    indexed_table(do)
    item: dict[str, Any] = {"a": {"S": "k"}, **DOCUMENT}
    do("dynamodb", "PutItem", TableName="tab", Item=item)
    values: dict[str, Any] = {
        ":v": {"N": "1"}, ":empty": {"S": ""}, ":long": {"S": "g" * 2049}, ":none": {"SS": []},
    }  # fmt: skip
    given = {name: value for name, value in values.items() if name in expression}
    update: dict[str, Any] = {
        "TableName": "tab", "Key": {"a": {"S": "k"}, "n": {"N": "5"}}, "UpdateExpression": expression,
        "ExpressionAttributeValues": given,
    }  # fmt: skip
    with pytest.raises((AwsError, Refusal), match=re.escape(words)):
        do("dynamodb", "UpdateItem", **update)
    with pytest.raises((AwsError, Refusal)):
        do("dynamodb", "TransactWriteItems", TransactItems=[{"Update": update}])
    assert do("dynamodb", "GetItem", TableName="tab", Key=update["Key"])["Item"]["l"] == DOCUMENT["l"]
    if "document path provided" in words:  # a condition is looked at first
        with pytest.raises(Refusal, match="ConditionalCheckFailedException"):
            do("dynamodb", "UpdateItem", **update, ConditionExpression="attribute_exists(absent)")


def test_removing_makes_no_item(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html (AttributeUpdates: DELETE)"""
    table(do)
    change: dict[str, Any] = {"TableName": "tab", "Key": {"a": {"S": "k"}}}
    one = {"ExpressionAttributeValues": {":one": {"SS": ["x"]}}}
    for more in ({"UpdateExpression": "REMOVE x"}, {"UpdateExpression": "DELETE x :one REMOVE y", **one}):
        assert "Attributes" not in do("dynamodb", "UpdateItem", **change, **more, ReturnValues="ALL_NEW")
        do("dynamodb", "TransactWriteItems", TransactItems=[{"Update": {**change, **more}}])
        assert everything(do) == []
    do("dynamodb", "UpdateItem", **change, UpdateExpression="ADD x :one REMOVE y", **one)
    do("dynamodb", "UpdateItem", **change, UpdateExpression="REMOVE x")
    assert everything(do) == [{"a": {"S": "k"}}]


def test_an_index_gives_what_it_holds_and_a_local_one_the_rest_of_the_item(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.Projections

    It is fetched from the table. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html: not here.
    """
    keys = [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]
    second = [keys[0], {"AttributeName": "s", "KeyType": "RANGE"}]
    index = {"KeySchema": second, "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["held"]}}
    do("dynamodb", "CreateTable", TableName="tab", KeySchema=keys, BillingMode="PAY_PER_REQUEST",
       AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in ("aS", "nN", "sS")],
       LocalSecondaryIndexes=[{"IndexName": "local", **index}],
       GlobalSecondaryIndexes=[{"IndexName": "global", **index}])  # fmt: skip
    texts = {"s": {"S": "s"}, "held": {"S": "h"}, "rest": {"S": "r"}}
    item = {"a": {"S": "k"}, "n": {"N": "1"}, **texts}
    do("dynamodb", "PutItem", TableName="tab", Item=item)

    def query(index: str, **more: Any) -> Any:
        values = {":a": {"S": "k"}} | ({":r": {"S": "r"}} if "FilterExpression" in more else {})
        return do("dynamodb", "Query", TableName="tab", IndexName=index, KeyConditionExpression="a = :a",
                  ExpressionAttributeValues=values, **more)["Items"]  # fmt: skip

    held = {name: value for name, value in item.items() if name != "rest"}
    assert query("local") == query("global") == [held]
    assert query("local", Select="ALL_ATTRIBUTES") == [item] == query("local", ProjectionExpression="a,n,s,held,rest")
    assert do("dynamodb", "Scan", TableName="tab", IndexName="local", ProjectionExpression="rest")["Items"] == [
        {"rest": {"S": "r"}}
    ]
    assert query("local") == [held]
    with pytest.raises(AwsError, match=re.escape("Global secondary index global does not project [rest]")):
        query("global", ProjectionExpression="held, rest")
    for name in ("local", "global"):
        with pytest.raises(AwsError, match=f"Secondary index {name} does not project one or more filter attributes"):
            query(name, FilterExpression="rest = :r")
    with pytest.raises(AwsError, match="The table does not have the specified index: another"):
        query("another")


def test_a_transaction_that_was_done_before_costs_what_reading_costs(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html (token)"""
    table(do)
    asked = {"TransactItems": [put("k")], "ClientRequestToken": "once", "ReturnConsumedCapacity": "TOTAL"}
    for kind in ("WriteCapacityUnits", "ReadCapacityUnits", "ReadCapacityUnits"):
        (used,) = do("dynamodb", "TransactWriteItems", **asked)["ConsumedCapacity"]
        assert used == {"TableName": "tab", "CapacityUnits": 2.0, kind: 2.0}


# refused: what S3 takes only as it is written


def test_an_objects_checksum_is_held_against_what_came(do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html"""
    do("s3", "CreateBucket", Bucket="bucket")
    right = {
        "ChecksumCRC32": base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode(),
        "ChecksumSHA1": base64.b64encode(hashlib.sha1(b"body").digest()).decode(),
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(b"body").digest()).decode(),
    }
    upload = {"UploadId": do("s3", "CreateMultipartUpload", Bucket="bucket", Key="parts")["UploadId"], "PartNumber": 1}
    for member, value in right.items():
        do("s3", "PutObject", Bucket="bucket", Key="key", Body=b"body", **{member: value})
        got = do("s3", "HeadObject", Bucket="bucket", Key="key", ChecksumMode="ENABLED")
        assert got[member] == value
        words = f"The {member.removeprefix('Checksum')} you specified did not match the calculated checksum."
        for operation, more in (("PutObject", {"Key": "key"}), ("UploadPart", {"Key": "parts", **upload})):
            with pytest.raises(AwsError, match=words) as caught:
                do("s3", operation, Bucket="bucket", Body=b"other", **{member: value}, **more)
            assert caught.value.code == "BadDigest"
    assert do("s3", "GetObject", Bucket="bucket", Key="key")["Body"] == b"body"


def test_a_copy_is_made_on_its_conditions(do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html

    A moment in the future is none: localstack/localstack tests/aws/services/s3/test_s3_preconditions.py
    """
    do("s3", "CreateBucket", Bucket="bucket")
    tag = do("s3", "PutObject", Bucket="bucket", Key="a+b ü", Body=b"body")["ETag"]
    before, after = (datetime.now(UTC) + timedelta(hours=h) for h in (-1, 1))
    upload = {"UploadId": do("s3", "CreateMultipartUpload", Bucket="bucket", Key="c")["UploadId"], "PartNumber": 1}

    def copy(**conditions: Any) -> bool:
        made = set()
        for operation, more in (("CopyObject", {}), ("UploadPartCopy", upload)):
            source, given = "bucket/a%2Bb%20%C3%BC", {f"CopySource{n}": v for n, v in conditions.items()}
            try:
                do("s3", operation, Bucket="bucket", Key="c", CopySource=source, **given, **more)
                made.add(True)
            except AwsError as error:
                assert (error.code, error.status) == ("PreconditionFailed", 412)
                made.add(False)
        return made.pop() if len(made) == 1 else pytest.fail(f"{conditions} depend on the operation")

    assert copy(IfMatch=tag) and not copy(IfMatch='"another"')
    assert copy(IfNoneMatch='"another"') and not copy(IfNoneMatch=tag)
    assert copy(IfModifiedSince=before) and not copy(IfModifiedSince=datetime.now(UTC)) and copy(IfModifiedSince=after)
    assert copy(IfUnmodifiedSince=after) and not copy(IfUnmodifiedSince=before)
    assert copy(IfMatch=tag, IfUnmodifiedSince=before) and not copy(IfNoneMatch=tag, IfModifiedSince=before)
    part = {"Bucket": "bucket", "Key": "c", "CopySource": "bucket/a%2Bb%20%C3%BC", **upload}
    do("s3", "UploadPartCopy", **part, CopySourceRange="bytes=0-3")
    with pytest.raises(AwsError, match="Range specified is not valid for source object of size: 4"):
        do("s3", "UploadPartCopy", **part, CopySourceRange="bytes=0-4")


def test_what_s3_would_not_take_or_give(do: Do) -> None:
    """Below https://docs.aws.amazon.com/AmazonS3/latest/API/: API_PutObject.html, API_UploadPart.html,
    API_ListObjectsV2.html, API_GetObject.html"""
    do("s3", "CreateBucket", Bucket="bucket")
    here: dict[str, Any] = {"Bucket": "bucket", "Key": "key"}
    do("s3", "PutObject", **here, Body=b"body", Metadata={"ü": "x" * 2046})
    for parameters, code in (
        ({"Metadata": {"name": "x" * 2045}}, "MetadataTooLarge"),
        ({"IfNoneMatch": '"5eb63bbbe01eeed093cb22bb8f5acdc3"'}, "NotImplemented"),
    ):
        with pytest.raises(AwsError) as caught:
            do("s3", "PutObject", **here, Body=b"other", **parameters)
        assert caught.value.code == code
    upload = do("s3", "CreateMultipartUpload", **here)["UploadId"]
    for number, name, code in ((0, upload, "InvalidArgument"), (1, "ended", "NoSuchUpload")):
        with pytest.raises(AwsError) as caught:
            do("s3", "UploadPart", **here, PartNumber=number, UploadId=name, Body=b"part")
        assert caught.value.code == code
    with pytest.raises(AwsError, match="gives objects whole, or a Range of them"):
        do("s3", "GetObject", **here, PartNumber=1)
    for number in range(1001):
        do("s3", "PutObject", Bucket="bucket", Key=f"many/{number}", Body=b"")
    for operation, member in (("ListObjectsV2", "Contents"), ("ListObjects", "Contents")):
        got = do("s3", operation, Bucket="bucket", MaxKeys=5000)
        assert (len(got[member]), got["MaxKeys"], got["IsTruncated"]) == (1000, 1000, True)


@pytest.mark.parametrize(
    ("name", "attributes", "words"),
    [
        ("q", {"VisibilityTimeout": "43201"}, "Invalid value for the parameter VisibilityTimeout."),
        ("q", {"VisibilityTimeout": "30.5"}, "Invalid value for the parameter VisibilityTimeout."),
        ("q", {"DelaySeconds": "901"}, "Invalid value for the parameter DelaySeconds."),
        ("q", {"MessageRetentionPeriod": "59"}, "Invalid value for the parameter MessageRetentionPeriod."),
        ("q", {"ReceiveMessageWaitTimeSeconds": "21"}, "parameter ReceiveMessageWaitTimeSeconds."),
        ("q", {"Visibility": "30"}, "Unknown Attribute Visibility."),
        ("q", {"RedrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:1:d", "maxReceiveCount": 0}'},
         "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."),
        ("q.fifo", {}, "Can only include alphanumeric characters, hyphens, or underscores."),
        ("q", {"ContentBasedDeduplication": "true"}, "Unknown Attribute ContentBasedDeduplication."),
        ("q", {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}, "one type of server-side encryption (SSE) at"),
        ("q", {"RedrivePolicy": '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}'},
         'Value {"deadLetterTargetArn": "dummy", "maxReceiveCount": 42} for parameter RedrivePolicy is invalid. '
         "Reason: Invalid value for deadLetterTargetArn."),
        ("q", {"RedrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:1:d", "maxReceiveCount": 1}'},
         "Reason: Dead letter target does not exist."),
    ],
)  # fmt: skip
def test_a_queue_that_sqs_would_not_make(do: Do, name: str, attributes: dict[str, str], words: str) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html

    The words: localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json, recorded on AWS.
    """
    with pytest.raises(AwsError, match=re.escape(words)):
        do("sqs", "CreateQueue", QueueName=name, Attributes=attributes)
    if attributes:
        url = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
        with pytest.raises(AwsError, match=re.escape(words)):
            do("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=attributes)


def test_a_queue_keeps_what_is_not_changed(do: Do) -> None:
    """A new visibility timeout does not take the policy away, by which topics and rules are let in."""
    url = do("sqs", "CreateQueue", QueueName="q", Attributes={"Policy": ALLOW})["QueueUrl"]
    do("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    got = do("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (got["Policy"], got["VisibilityTimeout"]) == (ALLOW, "7")
    assert got["CreatedTimestamp"].isdigit() and got["LastModifiedTimestamp"].isdigit()
    do("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": ""})
    assert "Policy" not in do("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_a_message_that_sqs_would_not_take(do: Do) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
    url = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    text = {"DataType": "String", "StringValue": "x"}
    for more, words in (
        ({"MessageAttributes": {"a": {**text, "StringValue": ""}}}, "must contain a non-empty value of type 'String'"),
        ({"MessageAttributes": {"a": {**text, "DataType": "Number"}}}, "Can't cast the value of message (user) attri"),
        ({"MessageAttributes": {f"a{n}": text for n in range(11)}}, "Number of message attributes [11] exceeds the"),
        ({"MessageDeduplicationId": "d"}, "Value d for parameter MessageDeduplicationId is invalid."),
    ):  # fmt: skip
        with pytest.raises(AwsError, match=re.escape(words)):
            do("sqs", "SendMessage", QueueUrl=url, MessageBody="x", **more)
    number = {"DataType": "Number.int", "StringValue": "-1.5e3"}
    do("sqs", "SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={"a": number})
    with pytest.raises(AwsError, match="You have sent 11") as caught:
        entries = [{"Id": str(n), "ReceiptHandle": "same"} for n in range(11)]
        do("sqs", "DeleteMessageBatch", QueueUrl=url, Entries=entries)
    assert caught.value.code == "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
    with pytest.raises(Refusal, match="at least one SendMessageBatchRequestEntry"):
        do("sqs", "SendMessageBatch", QueueUrl=url, Entries=[])


def test_a_metric_is_its_dimensions_too(do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension

    Periods begin with the start: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
    GetSingleMetricAllDimensions.html has periods of an hour that begin at 18 minutes past.
    """
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    here, there = ([{"Name": "Shop", "Value": value}] for value in ("here", "there"))
    for minute, dimensions, value in (
        (7, here, 1.0),
        (21, here, 2.0),
        (38, here, 4.0),
        (39, there, 8.0),
        (40, [], 16.0),
    ):
        datum = {"MetricName": "m", "Dimensions": dimensions, "Value": value, "Unit": "Count"}
        moment = noon + timedelta(minutes=minute, seconds=30)
        do("monitoring", "PutMetricData", Namespace="n", MetricData=[{**datum, "Timestamp": moment}])
    do(
        "monitoring",
        "PutMetricData",
        Namespace="other",
        MetricData=[{**datum, "Dimensions": here, "Timestamp": moment}],
    )

    def statistics(dimensions: Any, period: int, start: int = 18) -> list[tuple[int, float]]:
        got = do("monitoring", "GetMetricStatistics", Namespace="n", MetricName="m", Dimensions=dimensions,
                 StartTime=noon + timedelta(minutes=start, seconds=20), EndTime=noon + timedelta(hours=2),
                 Period=period, Statistics=["Sum"])["Datapoints"]  # fmt: skip
        return [(round((point["Timestamp"] - noon).total_seconds() / 60), point["Sum"]) for point in got]

    assert statistics(here, 3600) == [(18, 6.0)]
    assert statistics(here, 1200) == [(18, 2.0), (38, 4.0)]
    assert statistics(here, 300, 5) == [(5, 1.0), (20, 2.0), (35, 4.0)]
    assert statistics(there, 3600) == [(18, 8.0)]
    assert statistics([], 3600) == [(18, 16.0)]

    def data(dimensions: Any) -> list[float]:
        metric = {"Namespace": "n", "MetricName": "m", "Dimensions": dimensions}
        query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 86400, "Stat": "Sum"}}
        span = {"StartTime": noon, "EndTime": noon + timedelta(hours=3)}
        (found,) = do("monitoring", "GetMetricData", MetricDataQueries=[query], **span)["MetricDataResults"]
        return list(found["Values"])

    assert (data(here), data(there), data([]), data([{"Name": "Shop", "Value": "x"}])) == ([7.0], [8.0], [16.0], [])
    assert len(do("monitoring", "ListMetrics", Namespace="n")["Metrics"]) == 3
    functions = [[{"Name": "FunctionName", "Value": name}] for name in ("f", "g")]
    stores.put_metrics(
        REGION, "AWS/Lambda", [{"MetricName": "Errors", "Value": 1.0, "Dimensions": d} for d in functions]
    )
    now = datetime.now(UTC)
    got = do("monitoring", "GetMetricStatistics", Namespace="AWS/Lambda", MetricName="Errors", Statistics=["Sum"],
             StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Period=7200)  # fmt: skip
    assert [point["Sum"] for point in got["Datapoints"]] == [2.0]  # across all functions


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("monitoring", "PutMetricData", {"MetricData": [{"MetricName": "m"}]}, "InvalidParameterCombination"),
        ("monitoring", "PutMetricData", {"MetricData": [{"MetricName": "m", "Value": 1e200}]}, "InvalidParameterValue"),
        ("monitoring", "PutMetricData", {"MetricData": [{"MetricName": "m", "Unit": "s"}]}, "ValidationError"),
        ("monitoring", "GetMetricData", {"MetricDataQueries": [{"Id": "e", "Expression": "m * 2"}]}, "ValidationError"),
        ("monitoring", "GetMetricStatistics", {"Statistics": ["p50"]}, "ValidationError"),
        ("monitoring", "GetMetricStatistics", {"ExtendedStatistics": ["p50"]}, "ValidationError"),
        ("monitoring", "GetMetricStatistics", {"Period": 90, "Statistics": ["Sum"]}, "InvalidParameterValue"),
        ("monitoring", "PutMetricAlarm", {"EvaluationPeriods": 1, "DatapointsToAlarm": 2}, "ValidationError"),
        ("monitoring", "PutMetricAlarm", {"TreatMissingData": "no"}, "ValidationError"),
        ("logs", "CreateLogGroup", {"logGroupName": "a group"}, "InvalidParameterException"),
        ("logs", "CreateLogStream", {"logGroupName": "g", "logStreamName": "a:b"}, "InvalidParameterException"),
        ("dynamodb", "UpdateTable", {"TableName": "tab", "BillingMode": "ON_DEMAND"}, "ValidationException"),
    ],
)  # fmt: skip
def test_what_awss_models_and_pages_do_not_allow(
    do: Do, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    """Below https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/: API_MetricDatum.html,
    API_GetMetricStatistics.html, API_PutMetricAlarm.html; AmazonCloudWatchLogs's and DynamoDB's API references."""
    defaults: dict[str, dict[str, Any]] = {
        "PutMetricData": {"Namespace": "n"},
        "GetMetricData": {"StartTime": 1, "EndTime": 2},
        "GetMetricStatistics": {"Namespace": "n", "MetricName": "m", "StartTime": 1, "EndTime": 2, "Period": 60},
        "PutMetricAlarm": {
            "AlarmName": "a", "Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "Threshold": 1,
            "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
        },
    }  # fmt: skip
    with pytest.raises(AwsError) as caught:
        do(service, operation, **{**defaults.get(operation, {}), **parameters})
    assert caught.value.code == code


UNITS = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 1}


def _second(*keys: str, **more: Any) -> dict[str, Any]:
    """An index on these attributes."""
    schema = [{"AttributeName": a, "KeyType": k} for a, k in zip(keys, ("HASH", "RANGE"), strict=False)]
    return {"IndexName": "second", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}, **more}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"KeySchema": [{"AttributeName": "a", "KeyType": "RANGE"}]}, "The first KeySchemaElement is not a HASH key"),
        ({"KeySchema": [{"AttributeName": n, "KeyType": "HASH"} for n in "ab"]}, "The second KeySchemaElement is"),
        ({"KeySchema": _second("a", "a")["KeySchema"]}, "Both the Hash Key and the Range Key element in the KeySchema"),
        ({"GlobalSecondaryIndexes": [_second("c", Projection={})]}, "Unknown ProjectionType: null"),
        ({"GlobalSecondaryIndexes": [_second("c"), _second("b")]}, "Duplicate index name: second"),
        ({"GlobalSecondaryIndexes": [_second("d")]}, "Some index key attributes are not defined in Attri"),
        ({"GlobalSecondaryIndexes": [_second("c", Projection={"ProjectionType": "ALL", "NonKeyAttributes": ["x"]})]},
         "ProjectionType is ALL, but NonKeyAttributes is specified"),
        ({"GlobalSecondaryIndexes": [_second("c", ProvisionedThroughput=UNITS)]},
         "ProvisionedThroughput should not be specified for index: second when BillingMode is PAY_PER_REQUEST"),
        ({"GlobalSecondaryIndexes": [_second("c")], "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS},
         "ProvisionedThroughput must be specified for index: second"),
        ({"LocalSecondaryIndexes": [_second("c", "b")]}, "Index KeySchema does not have the same leading hash key"),
        ({"LocalSecondaryIndexes": [_second("a")]}, "Index KeySchema does not have a range key for index: second"),
        ({"LocalSecondaryIndexes": [_second("a", "c")], "KeySchema": _second("a")["KeySchema"]},
         "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"),
    ],
)  # fmt: skip
def test_a_table_that_dynamodb_would_not_make(do: Do, change: dict[str, Any], words: str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html; the words are those of
    architect/dynalite, whose tests were written against DynamoDB."""
    types = [{"AttributeName": name, "AttributeType": "S"} for name in "abc"]
    wanted = {"TableName": "tab", "KeySchema": _second("a", "b")["KeySchema"], "AttributeDefinitions": types,
              "BillingMode": "PAY_PER_REQUEST"}  # fmt: skip
    with pytest.raises(AwsError, match=re.escape(words)) as caught:
        do("dynamodb", "CreateTable", **{**wanted, **change})
    assert caught.value.code == "ValidationException"


def test_time_to_live_is_turned_on_and_off_once(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html"""
    table(do)

    def update(enabled: bool, attribute: str = "Expires") -> None:
        wanted = {"Enabled": enabled, "AttributeName": attribute}
        do("dynamodb", "UpdateTimeToLive", TableName="tab", TimeToLiveSpecification=wanted)

    with pytest.raises(AwsError, match="TimeToLive is already disabled"):
        update(False)
    update(True)
    with pytest.raises(AwsError, match="TimeToLive is already enabled"):
        update(True)
    with pytest.raises(AwsError, match="active on a different AttributeName: current AttributeName is Expires"):
        update(True, "Until")
    update(False)
    update(True, "Until")


def test_a_table_is_changed_as_dynamodb_changes_it(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
    table(do)

    def update(**change: Any) -> None:
        do("dynamodb", "UpdateTable", TableName="tab", **change)

    def refused(words: str, **change: Any) -> None:
        with pytest.raises(AwsError, match=re.escape(words)):
            update(**change)

    provisioned: dict[str, Any] = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    types = [{"AttributeName": "g", "AttributeType": "S"}]
    refused("At least one of ProvisionedThroughput, BillingMode")
    refused("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified", ProvisionedThroughput=UNITS)
    refused("ProvisionedThroughput must be specified when BillingMode is PROVISIONED", BillingMode="PROVISIONED")
    made = [{"Create": _second("g")}]
    refused("Keys: [g], AttributeDefinitions: [a]", GlobalSecondaryIndexUpdates=made)
    two = [*made, {"Create": {**_second("g"), "IndexName": "third"}}]
    refused("Only 1 online index can be created", AttributeDefinitions=types, GlobalSecondaryIndexUpdates=two)
    update(AttributeDefinitions=types, GlobalSecondaryIndexUpdates=made)
    refused("ProvisionedThroughput must be specified for index: second", **provisioned)
    units = [{"Update": {"IndexName": "second", "ProvisionedThroughput": UNITS}}]
    update(**provisioned, GlobalSecondaryIndexUpdates=units)
    refused("The provisioned throughput for the table will not change", ProvisionedThroughput=UNITS)
    update(ProvisionedThroughput={**UNITS, "WriteCapacityUnits": 2})
    update(BillingMode="PAY_PER_REQUEST")


def test_a_full_page_may_be_the_last_one(do: Do) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html: a key at the end does not
    mean that more comes. DynamoDB stops at the limit, and gives the key of the item at which it stopped."""
    indexed_table(do)
    for number in range(4):
        text = {"S": str(number)}
        do("dynamodb", "PutItem", TableName="tab",
           Item={"a": {"S": "k"}, "n": {"N": str(number)}, "g": {"S": "g"}, "h": text, "x": text})  # fmt: skip
    query = {"KeyConditionExpression": "a = :k", "ExpressionAttributeValues": {":k": {"S": "k"}}}
    by_index = {
        "KeyConditionExpression": "g = :k",
        "ExpressionAttributeValues": {":k": {"S": "g"}},
        "IndexName": "by-i",
    }
    none = {"FilterExpression": "x = :x"}
    for operation, asked, newest in (
        ("Query", query, "3"), ("Query", {**query, "ScanIndexForward": False}, "0"), ("Query", by_index, "3"),
        ("Query", {**query, "ProjectionExpression": "x"}, "3"), ("Scan", {}, "3"), ("Scan", {"IndexName": "by-i"}, "3"),
        ("Query", {**query, **none, "ExpressionAttributeValues": {":k": {"S": "k"}, ":x": {"S": "1"}}}, "3"),
        ("Scan", {**none, "ExpressionAttributeValues": {":x": {"S": "1"}}, "Segment": 0, "TotalSegments": 1}, "3"),
    ):  # fmt: skip
        page = do("dynamodb", operation, TableName="tab", Limit=4, **asked)
        assert page["LastEvaluatedKey"]["n"] == {"N": newest} and page["ScannedCount"] == 4
        assert ("g" in page["LastEvaluatedKey"]) == ("IndexName" in asked)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        rest = do("dynamodb", operation, TableName="tab", Limit=4, **start, **asked)
        assert rest["Items"] == [] and "LastEvaluatedKey" not in rest
        assert "LastEvaluatedKey" not in do("dynamodb", operation, TableName="tab", Limit=5, **asked)
        assert "LastEvaluatedKey" not in do("dynamodb", operation, TableName="tab", **asked)


def test_a_quiet_deletion_tells_of_errors_only(do: Do) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
    do("s3", "CreateBucket", Bucket="bucket")
    for quiet, told in ((True, []), (False, ["a", "<b> & c"])):
        for key in ("a", "<b> & c"):
            do("s3", "PutObject", Bucket="bucket", Key=key, Body=b"")
        gone = {"Objects": [{"Key": "a"}, {"Key": "<b> & c"}], "Quiet": quiet}
        answer = do("s3", "DeleteObjects", Bucket="bucket", Delete=gone)
        assert [one["Key"] for one in answer.get("Deleted", [])] == told
        assert "Contents" not in do("s3", "ListObjectsV2", Bucket="bucket")


@pytest.mark.parametrize(
    ("expression", "after"),
    [
        ("REMOVE l[0] SET l[1] = :x", ["x", "c"]),
        ("SET l[1] = :x REMOVE l[0], l[2]", ["x"]),
        ("SET l[9] = :x, l[7] = :y", ["a", "b", "c", "y", "x"]),
        ("REMOVE l[0], l[1] SET l[9] = :x", ["c", "x"]),
        ("SET l[0] = l[1], l[1] = l[0]", ["b", "a", "c"]),
    ],
)
def test_an_update_is_of_the_item_as_it_was(do: Do, expression: str, after: list[str]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html"""
    table(do)
    do("dynamodb", "PutItem", TableName="tab", Item={"a": {"S": "k"}, "l": {"L": [{"S": text} for text in "abc"]}})
    given = {name: {"S": name[1]} for name in (":x", ":y") if name in expression}
    more = {"ExpressionAttributeValues": given} if given else {}
    update = {"TableName": "tab", "Key": {"a": {"S": "k"}}, "UpdateExpression": expression, **more}
    got = do("dynamodb", "UpdateItem", **update, ReturnValues="ALL_NEW")["Attributes"]
    assert [member["S"] for member in got["l"]["L"]] == after


def test_s3_refuses_what_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json, recorded on AWS.

    Of lists test_s3_list_operations.snapshot.json beside it, of copies test_s3_preconditions.py.
    """
    for bucket in ("bkt", "kept"):
        do("s3", "CreateBucket", Bucket=bucket)
    do("s3", "PutBucketVersioning", Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    key: dict[str, Any] = {"Bucket": "bkt", "Key": "k"}
    etag = do("s3", "PutObject", **key, Body=b"body")["ETag"]
    first = do("s3", "PutObject", Bucket="kept", Key="k", Body=b"body")["VersionId"]
    marker = do("s3", "DeleteObject", Bucket="kept", Key="k")["VersionId"]
    fake, source, upload = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD", {"CopySource": "bkt/k"}, {"Bucket": "bkt", "Key": "up"}
    upload["UploadId"] = do("s3", "CreateMultipartUpload", **upload)["UploadId"]
    part = {"ETag": do("s3", "UploadPart", **upload, PartNumber=1, Body=b"part")["ETag"], "PartNumber": 1}
    whole: dict[str, Any] = {**upload, "MultipartUpload": {"Parts": [part]}}
    turned = {**upload, "MultipartUpload": {"Parts": [{**part, "PartNumber": 2}, part]}}
    later = datetime.now(UTC) + timedelta(days=1)
    for operation, parameters, code in (
        ("PutObject", {**key, "IfMatch": "*"}, "NotImplemented"),
        ("PutObject", {**key, "IfMatch": etag, "IfNoneMatch": "*"}, "NotImplemented"),
        ("DeleteObject", {**key, "VersionId": fake}, "InvalidArgument"),
        ("GetObject", {**key, "VersionId": fake}, "InvalidArgument"),
        ("DeleteObject", {"Bucket": "kept", "Key": "k", "VersionId": first[:-4] + "ABCD"}, "InvalidArgument"),
        ("GetObject", {"Bucket": "kept", "Key": "k", "VersionId": marker}, "MethodNotAllowed"),
        ("PutBucketVersioning", {"Bucket": "bkt", "VersioningConfiguration": {"Status": "enabled"}}, "MalformedXML"),
        (
            "PutBucketVersioning",
            {"Bucket": "bkt", "VersioningConfiguration": {}},
            "IllegalVersioningConfigurationExcep",
        ),
        ("PutBucketVersioning", {"Bucket": "kept", "VersioningConfiguration": {"Status": "Suspended"}}, "NotImpl"),
        ("UploadPart", {**upload, "Key": "k", "PartNumber": 1}, "NoSuchUpload"),
        ("CompleteMultipartUpload", {**whole, "UploadId": "ended"}, "NoSuchUpload"),
        ("CompleteMultipartUpload", turned, "InvalidPartOrder"),
        ("CompleteMultipartUpload", {**whole, "IfMatch": etag}, "NoSuchKey"),
        ("CopyObject", {**key, **source, "IfNoneMatch": "*"}, "PreconditionFailed"),
        ("CopyObject", {**key, **source, "IfMatch": "other"}, "PreconditionFailed"),
        ("CopyObject", {**key, **source, "MetadataDirective": "fake"}, "InvalidArgument"),
        ("ListObjectVersions", {"Bucket": "kept", "VersionIdMarker": marker}, "InvalidArgument"),
        ("ListObjectsV2", {"Bucket": "bkt", "ContinuationToken": "other"}, "InvalidArgument"),
        ("PutObjectTagging", {**key, "Tagging": {"TagSet": [{"Key": "a", "Value": v} for v in "12"]}}, "InvalidTag"),
    ):
        with pytest.raises(AwsError) as caught:
            do("s3", operation, **parameters)
        assert caught.value.code.startswith(code), (operation, parameters)
    assert do("s3", "GetObject", **key, VersionId="null", Range="lines=0-1")["Body"] == b"body"
    do("s3", "CopyObject", Bucket="bkt", Key="copy", **source, CopySourceIfModifiedSince=later)
    do("s3", "CompleteMultipartUpload", **whole, IfNoneMatch="*")
    do("s3", "CompleteMultipartUpload", **whole, IfNoneMatch="*")  # the same again is no matter


def test_a_version_that_is_not_there_is_not_deleted(do: Do) -> None:
    """localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json (test_delete_objects…), recorded on AWS"""
    for bucket in ("bkt", "kept"):
        do("s3", "CreateBucket", Bucket=bucket)
        do("s3", "PutObject", Bucket=bucket, Key="k", Body=b"body")
    fake = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"
    got = do("s3", "DeleteObjects", Bucket="bkt", Delete={"Objects": [{"Key": "k", "VersionId": fake}]})
    text = "The specified version does not exist."
    assert got["Errors"] == [{"Code": "NoSuchVersion", "Key": "k", "Message": text, "VersionId": fake}]
    assert do("s3", "GetObject", Bucket="bkt", Key="k")["Body"] == b"body"
    do("s3", "PutBucketVersioning", Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    got = do("s3", "DeleteObjects", Bucket="kept", Delete={"Objects": [{"Key": "never was"}]})["Deleted"][0]
    assert got["DeleteMarker"] is True
    marker = got["DeleteMarkerVersionId"]
    gone = {"Key": "never was", "VersionId": marker}
    got = do("s3", "DeleteObjects", Bucket="kept", Delete={"Objects": [gone]})["Deleted"]
    assert got == [{**gone, "DeleteMarker": True, "DeleteMarkerVersionId": marker}]
    marker = do("s3", "DeleteObject", Bucket="kept", Key="k")["VersionId"]
    assert do("s3", "DeleteObject", Bucket="kept", Key="k", VersionId=marker)["DeleteMarker"] is True
    assert do("s3", "GetObject", Bucket="kept", Key="k")["Body"] == b"body"


def test_every_listing_pages_through_all_of_it(do: Do) -> None:
    """localstack/localstack tests/aws/services/s3/test_s3_list_operations.snapshot.json, recorded on AWS"""
    for bucket in ("bkt-b", "bkt-a"):
        do("s3", "CreateBucket", Bucket=bucket)
    page = do("s3", "ListBuckets", MaxBuckets=1)
    rest = do("s3", "ListBuckets", ContinuationToken=page["ContinuationToken"])
    assert [b["Name"] for b in page["Buckets"] + rest["Buckets"]] == ["bkt-a", "bkt-b"]
    do("s3", "PutBucketVersioning", Bucket="bkt-a", VersioningConfiguration={"Status": "Enabled"})
    for key in ("folder/a b/1", "folder/a b/2", "folder/file1", "folder/file2"):
        do("s3", "PutObject", Bucket="bkt-a", Key=key, Body=b"")
    asked: dict[str, Any] = {"Bucket": "bkt-a", "Prefix": "folder/", "Delimiter": "/", "MaxKeys": 1}
    for operation, sent, told, members in (
        ("ListObjects", "Marker", "NextMarker", "Contents"),
        ("ListObjectVersions", "KeyMarker", "NextKeyMarker", "Versions"),
    ):
        found, got = list[str](), do("s3", operation, **asked)
        for _ in range(3):
            found += [e["Prefix"] for e in got.get("CommonPrefixes", ())] + [e["Key"] for e in got.get(members, ())]
            if got["IsTruncated"]:
                got = do("s3", operation, **asked, **{sent: got[told]})
        assert found == ["folder/a b/", "folder/file1", "folder/file2"], operation
        assert not got["IsTruncated"] and told not in got
    assert "NextMarker" not in do("s3", "ListObjects", Bucket="bkt-a", MaxKeys=1)
    for key in ("folder/file1", "folder/file1", "folder/file2"):
        do("s3", "PutObject", Bucket="bkt-a", Key=key, Body=b"")
    got = do("s3", "ListObjectVersions", Bucket="bkt-a", KeyMarker="folder/file1")["Versions"]
    assert [(v["Key"], v["IsLatest"]) for v in got] == [("folder/file2", True), ("folder/file2", False)]


def test_a_new_bucket_is_as_s3_makes_them(do: Do) -> None:
    """localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json (test_s3_default_bucket_encryption)"""
    do("s3", "CreateBucket", Bucket="bkt")
    rules = do("s3", "GetBucketEncryption", Bucket="bkt")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules == [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    controls = do("s3", "GetBucketOwnershipControls", Bucket="bkt")["OwnershipControls"]
    assert controls == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert do("s3", "PutObject", Bucket="bkt", Key="k", Body=b"")["ServerSideEncryption"] == "AES256"


def test_sqs_answers_as_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json, recorded on AWS"""
    url = do("sqs", "CreateQueue", QueueName="q", Attributes={"DelaySeconds": "1"})["QueueUrl"]
    assert do("sqs", "CreateQueue", QueueName="q", Attributes={"DelaySeconds": "1"})["QueueUrl"] == url
    small = do("sqs", "CreateQueue", QueueName="small", Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    fifo = do("sqs", "CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    attribute = {"k": {"DataType": "String", "StringValue": "x"}}  # eight bytes
    dead = json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:q.fifo", "maxReceiveCount": 1})
    handles: dict[str, Any] = {"ReceiptHandle": "h", "VisibilityTimeout": 1}
    visible, batch = "ChangeMessageVisibilityBatch", "AWS.SimpleQueueService."
    for operation, parameters, code, words in (
        ("CreateQueue", {"QueueName": "q", "Attributes": {"DelaySeconds": "2"}}, "QueueAlreadyExists",
         "A queue already exists with the same name and a different value for attribute DelaySeconds"),
        ("SetQueueAttributes", {"QueueUrl": fifo, "Attributes": {"FifoQueue": "false"}}, "InvalidAttributeValue",
         "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."),
        ("SetQueueAttributes", {"QueueUrl": url, "Attributes": {"FifoQueue": "true"}}, "InvalidAttributeName",
         "Unknown Attribute FifoQueue."),
        ("SetQueueAttributes", {"QueueUrl": url, "Attributes": {"RedrivePolicy": dead}}, "InvalidParameterValue",
         "Dead-letter queue must be same type of queue as the source"),
        ("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 11}, "InvalidParameterValue",
         "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."),
        ("SendMessage", {"QueueUrl": small, "MessageBody": "a" * 1017, "MessageAttributes": attribute},
         "InvalidParameterValue", "Reason: Message must be shorter than 1024 bytes."),
        ("SendMessage", {"QueueUrl": small, "MessageBody": "é" * 513}, "InvalidParameterValue", "shorter than 1024"),
        ("SendMessageBatch", {"QueueUrl": fifo, "Entries": [{"Id": "1", "MessageBody": "x"}]},
         "InvalidParameterValue", "The request must contain the parameter MessageGroupId."),
        (visible, {"QueueUrl": url, "Entries": []}, batch + "EmptyBatchRequest", "There should be at least one"),
        (visible, {"QueueUrl": url, "Entries": [{"Id": str(n), **handles} for n in range(20)]},
         batch + "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 20."),
        ("DeleteMessageBatch", {"QueueUrl": url, "Entries": [{"Id": "invalid:id", "ReceiptHandle": "h"}]},
         batch + "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and under"),
    ):  # fmt: skip
        with pytest.raises((AwsError, Refusal)) as caught:
            do("sqs", operation, **parameters)
        error = caught.value
        found = (error.code, error.message) if isinstance(error, AwsError) else error.args[1:]
        assert found[0] == code and words in found[1], found
    do("sqs", "SendMessage", QueueUrl=small, MessageBody="a" * 1016, MessageAttributes=attribute)
    got = do("sqs", "ReceiveMessage", QueueUrl=small, MessageAttributeNames=["*"])["Messages"][0]
    assert got["MessageAttributes"] == attribute
    sent = [
        do("sqs", "SendMessage", QueueUrl=fifo, MessageBody=n, MessageGroupId="g", MessageDeduplicationId=n)
        for n in "12"
    ]
    assert int(sent[0]["SequenceNumber"]) < int(sent[1]["SequenceNumber"])
    handle = do("sqs", "ReceiveMessage", QueueUrl=fifo)["Messages"][0]["ReceiptHandle"]
    stores.queue(f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:q.fifo")._messages[0].visible_at = 0.0  # its time is over
    with pytest.raises(Refusal, match="Reason: The receipt handle has expired") as expired:
        do("sqs", "DeleteMessage", QueueUrl=fifo, ReceiptHandle=handle)
    assert expired.value.args[1] == "InvalidParameterValue"
    do("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"KmsMasterKeyId": "testKeyId"})
    got = do("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["SqsManagedSseEnabled"])
    assert got["Attributes"] == {"SqsManagedSseEnabled": "false"}


def test_logs_answer_as_they_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/logs/test_logs_{events,filter_events,groups,streams}.snapshot.json"""
    for name in ("one", "two", "other"):
        do("logs", "CreateLogGroup", logGroupName=name)
    for group, stream in (("one", "a"), ("one", "b"), ("two", "a")):
        do("logs", "CreateLogStream", logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    for group, stream, at in (("one", "b", 0), ("one", "a", 1), ("one", "b", 2), ("two", "a", 3)):
        events = [{"timestamp": now + at, "message": f"{group} {stream} {at}"}]
        do("logs", "PutLogEvents", logGroupName=group, logStreamName=stream, logEvents=events)
    one = {"logGroupName": "one"}
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT_ID}:log-group:one"
    for parameters, messages in (
        (one, ["one b 0", "one a 1", "one b 2"]),  # by time, not by stream
        ({"logGroupIdentifier": "one"}, ["one b 0", "one a 1", "one b 2"]),
        ({"logGroupIdentifier": arn, "logStreamNamePrefix": "b"}, ["one b 0", "one b 2"]),
        ({**one, "logStreamNamePrefix": "c"}, []),
        ({**one, "startTime": now + 1, "endTime": now + 2}, ["one a 1", "one b 2"]),
    ):
        got = do("logs", "FilterLogEvents", **parameters)["events"]
        assert [event["message"] for event in got] == messages, parameters
    page = do("logs", "FilterLogEvents", **one, limit=2)
    rest = do("logs", "FilterLogEvents", **one, nextToken=page["nextToken"])["events"]
    assert [event["message"] for event in page["events"] + rest] == ["one b 0", "one a 1", "one b 2"]
    got = do("logs", "GetLogEvents", logGroupIdentifier=arn, logStreamName="b", endTime=now + 2)["events"]
    assert [event["message"] for event in got] == ["one b 0"]
    got = do("logs", "DescribeLogGroups", logGroupNamePattern="t")["logGroups"]
    assert [group["logGroupName"] for group in got] == ["other", "two"]
    days = [-20, -15, 0, 1, 2]
    events = [{"timestamp": now + day * 86_400_000, "message": "x"} for day in days]
    put = do("logs", "PutLogEvents", **one, logStreamName="a", logEvents=events)
    assert put["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3}
    for operation, parameters, code, words in (
        ("CreateLogStream", {**one, "logStreamName": "a"}, "ResourceAlreadyExists", "The specified log stream already"),
        ("DeleteLogStream", {**one, "logStreamName": "c"}, "ResourceNotFound", "The specified log stream does not"),
        ("GetLogEvents", {**one, "logStreamName": "c"}, "ResourceNotFound", "The specified log stream does not exist."),
        ("FilterLogEvents", {**one, "nextToken": "unknown"}, "InvalidParameter", "The specified nextToken is invalid."),
        ("DescribeLogGroups", {"logGroupNamePattern": "o", "logGroupNamePrefix": "o"}, "InvalidParameter", "exclusive"),
        (
            "DescribeLogStreams",
            {**one, "logGroupIdentifier": "one"},
            "Validation",
            "LogGroup name and LogGroup ARN are",
        ),
        (
            "PutLogEvents",
            {**one, "logStreamName": "a", "logEvents": []},
            "InvalidParameter",
            "'[]' at 'logEvents' fail",
        ),
        ("FilterLogEvents", {**one, "startFromHead": False}, "InvalidParameter", "from the head only"),
    ):
        with pytest.raises(AwsError, match=re.escape(words)) as caught:
            do("logs", operation, **parameters)
        assert caught.value.code == f"{code}Exception"


def test_cloudwatch_answers_as_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json, recorded on AWS"""
    begin = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    data = [
        {"MetricName": "m", "Timestamp": begin + timedelta(seconds=7), "Value": value} | unit
        for value, unit in ((10, {}), (5, {"Unit": "Count"}), (1, {"Unit": "Seconds"}))
    ]
    do("monitoring", "PutMetricData", Namespace="ns", MetricData=data)
    when = {"StartTime": begin + timedelta(seconds=3), "EndTime": begin + timedelta(minutes=3)}
    asked: dict[str, Any] = {"Namespace": "ns", "MetricName": "m", **when, "Statistics": ["Average"]}
    got = do("monitoring", "GetMetricStatistics", **asked, Period=60)["Datapoints"]
    assert {point["Unit"]: point["Average"] for point in got} == {"None": 10.0, "Count": 5.0, "Seconds": 1.0}

    def metric(name: str, stat: str, period: int, **more: Any) -> dict[str, Any]:
        return {"Id": name, "MetricStat": {"Metric": {"Namespace": "ns", "MetricName": "m"}, "Stat": stat,
                                           "Period": period, **more}}  # fmt: skip

    one, *_ = do("monitoring", "GetMetricData", MetricDataQueries=[metric("a", "Sum", 60)], **when)["MetricDataResults"]
    assert (one["Label"], one["Values"], one["Timestamps"]) == ("m", [5.0], [begin])
    text = "Multiple units returned: '[Count, None, Seconds]'"
    assert one["Messages"] == [{"Code": "MultipleUnits", "Value": text}]
    for queries, labels in (
        ([metric("a", "Sum", 60), metric("b", "Minimum", 30)], ["m Sum 60", "m Minimum 30"]),
        ([metric("a", "Sum", 60), metric("b", "Minimum", 60)], ["m Sum", "m Minimum"]),
        ([metric("a", "Sum", 60), metric("b", "Sum", 30)], ["m 60", "m 30"]),
        ([metric("a", "Sum", 60, Unit="Seconds"), metric("b", "Sum", 60, Unit="Bits")], ["m", "m"]),
    ):
        found = do("monitoring", "GetMetricData", MetricDataQueries=queries, **when)["MetricDataResults"]
        assert [result["Label"] for result in found] == labels
    for operation, parameters, code in (
        ("GetMetricData", {"MetricDataQueries": [metric("A", "Sum", 60)], **when}, "ValidationError"),
        ("GetMetricData", {"MetricDataQueries": [metric("a", "Sum", 60)] * 2, **when}, "ValidationError"),
        ("GetMetricStatistics", {**asked, "EndTime": begin + timedelta(days=2), "Period": 60}, "InvalidParameterComb"),
    ):
        with pytest.raises(AwsError) as caught:
            do("monitoring", operation, **parameters)
        assert caught.value.code.startswith(code)


def test_an_alarm_tells_its_topic_what_cloudwatch_does(do: Do) -> None:
    """The message and the reasons: localstack/localstack tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json
    (test_put_metric_alarm, test_breaching_alarm_actions, test_enable_disable_alarm_actions), recorded on AWS
    """
    topic = do("sns", "CreateTopic", Name="t")["TopicArn"]
    queue = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    do("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:q")
    alarm = {
        "AlarmName": "a", "AlarmDescription": "d", "MetricName": "m", "Namespace": "ns", "Statistic": "Average",
        "Period": 60, "EvaluationPeriods": 2, "Threshold": 2.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "breaching", "Unit": "Seconds", "AlarmActions": [topic], "OKActions": [topic],
        "Dimensions": [{"Name": "InstanceId", "Value": "abc"}],
    }  # fmt: skip
    do("monitoring", "PutMetricAlarm", **alarm)

    def told() -> dict[str, Any]:
        (message,) = do("sqs", "ReceiveMessage", QueueUrl=queue)["Messages"]
        do("sqs", "DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        text: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
        return text

    do("monitoring", "SetAlarmState", AlarmName="a", StateValue="OK", StateReason="testing alarm")
    got = told()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", got.pop("AlarmConfigurationUpdatedTimestamp"))
    assert got.pop("StateChangeTime") and got.pop("AlarmArn").endswith(":alarm:a")
    assert got == {
        "AWSAccountId": ACCOUNT_ID, "AlarmActions": [topic], "AlarmDescription": "d", "AlarmName": "a",
        "InsufficientDataActions": [], "NewStateReason": "testing alarm", "NewStateValue": "OK", "OKActions": [topic],
        "OldStateValue": "INSUFFICIENT_DATA", "Region": "US East (N. Virginia)",
        "Trigger": {
            "ComparisonOperator": "GreaterThanThreshold", "Dimensions": [{"name": "InstanceId", "value": "abc"}],
            "EvaluateLowSampleCountPercentile": "", "EvaluationPeriods": 2, "MetricName": "m", "Namespace": "ns",
            "Period": 60, "Statistic": "AVERAGE", "StatisticType": "Statistic", "Threshold": 2.0,
            "TreatMissingData": "breaching", "Unit": "Seconds",
        },
    }  # fmt: skip
    now = datetime(2026, 10, 26, 16, 42, tzinfo=UTC)
    alarms.evaluate(now.timestamp())
    none = "Threshold Crossed: no datapoints were received for"
    assert told()["NewStateReason"] == f"{none} 2 periods and 2 missing datapoints were treated as [Breaching]."
    do("monitoring", "PutMetricAlarm", **{**alarm, "EvaluationPeriods": 1, "TreatMissingData": "notBreaching"})
    alarms.evaluate(now.timestamp())
    assert told()["NewStateReason"] == f"{none} 1 period and 1 missing datapoint was treated as [NonBreaching]."
    at = time.time()
    measured = {"MetricName": "m", "Dimensions": alarm["Dimensions"], "Value": 21.5, "Unit": "Seconds", "Timestamp": at}
    do("monitoring", "PutMetricData", Namespace="ns", MetricData=[measured])
    alarms.evaluate(at)
    minute = f"{datetime.fromtimestamp(at // 60 * 60, UTC):%d/%m/%y %H:%M:%S}"
    words = f"1 datapoint [21.5 ({minute})] was greater than the threshold (2.0)."
    assert told()["NewStateReason"] == f"Threshold Crossed: {words}"


def test_iam_refuses_what_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/iam/test_iam_{roles,groups,users}.snapshot.json, recorded on AWS.

    What has to be removed before a group or user: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html
    """
    do("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    for name in ("members", "inline", "attached"):
        do("iam", "CreateGroup", GroupName=name)
    do("iam", "CreateUser", UserName="u")
    do("iam", "AddUserToGroup", GroupName="members", UserName="u")
    do("iam", "PutGroupPolicy", GroupName="inline", PolicyName="p", PolicyDocument=ALLOW)
    do("iam", "AttachGroupPolicy", GroupName="attached", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    create: dict[str, Any] = {"RoleName": "other", "AssumeRolePolicyDocument": TRUST}
    assume: dict[str, Any] = {"RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/r", "RoleSessionName": "session"}
    for service, operation, parameters, code, words in (
        ("iam", "GetRole", {"RoleName": "no"}, "NoSuchEntity", "The role with name no cannot be found."),
        ("iam", "DeleteRole", {"RoleName": "no"}, "NoSuchEntity", "The role with name no cannot be found."),
        ("iam", "GetRolePolicy", {"RoleName": "r", "PolicyName": "p"}, "NoSuchEntity",
         "The role policy with name p cannot be found."),
        ("iam", "GetGroup", {"GroupName": "no"}, "NoSuchEntity", "The group with name no cannot be found."),
        ("iam", "CreateGroup", {"GroupName": "inline"}, "EntityAlreadyExists", "Group with name inline alread"),
        ("iam", "CreateUser", {"UserName": "u"}, "EntityAlreadyExists", "User with name u already exists."),
        ("iam", "DeleteGroup", {"GroupName": "members"}, "DeleteConflict", "must remove users from group first."),
        ("iam", "DeleteGroup", {"GroupName": "inline"}, "DeleteConflict", "must delete policies first."),
        ("iam", "DeleteGroup", {"GroupName": "attached"}, "DeleteConflict", "must detach all policies first."),
        ("iam", "DeleteUser", {"UserName": "u"}, "DeleteConflict", "must remove users from group first."),
        ("iam", "UpdateAssumeRolePolicy", {"RoleName": "r", "PolicyDocument": "{"}, "MalformedPolicyDocument",
         "This policy contains invalid Json"),
        ("iam", "UpdateRole", {"RoleName": "r", "MaxSessionDuration": 10}, "ValidationError",
         "Value '10' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or"),
        ("iam", "CreateRole", {**create, "MaxSessionDuration": 43201}, "ValidationError", "than or equal to 43200"),
        ("sts", "AssumeRole", {**assume, "Tags": [{"Key": "a", "Value": "b"}]}, "ValidationError", "no session tags"),
    ):  # fmt: skip
        with pytest.raises((AwsError, Refusal)) as caught:
            do(service, operation, **parameters)
        error = caught.value
        found = (error.code, error.message) if isinstance(error, AwsError) else error.args[1:]
        assert found[0] == code and words in found[1], found


def test_sns_publishes_and_refuses_as_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/sns/test_sns.snapshot.json, recorded on AWS"""
    topic = do("sns", "CreateTopic", Name="t", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])[
        "TopicArn"
    ]
    fifo = do("sns", "CreateTopic", Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:"
    wanted: dict[str, Any] = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": f"{arn}q"}
    raw = {"RawMessageDelivery": "true"}
    do("sns", "Subscribe", **{**wanted, "Endpoint": f"{arn}gone"})  # first, and nobody is there
    made = do("sns", "Subscribe", **wanted, Attributes=raw)["SubscriptionArn"]
    for again in ({}, {"Attributes": raw}):
        assert do("sns", "Subscribe", **wanted, **again)["SubscriptionArn"] == made
    assert do("sns", "CreateTopic", Name="t", Tags=[{"Key": "a", "Value": "1"}])["TopicArn"] == topic
    do("sns", "Publish", TopicArn=topic, Message="one")
    entries = [{"Id": "1", "Message": "two"}, {"Id": "2", "Message": ""}]
    got = do("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in got["Successful"]] == ["1"]
    text = "Invalid parameter: Empty message"
    assert got["Failed"] == [{"Id": "2", "Code": "InvalidParameter", "Message": text, "SenderFault": True}]
    messages = do("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in messages] == ["one", "two"]
    for operation, parameters, words in (
        ("CreateTopic", {"Name": "t", "Tags": [{"Key": "c", "Value": "3"}]}, "Topic already exists with"),
        ("Subscribe", {**wanted, "Attributes": {"RawMessageDelivery": "false"}}, "Subscription already exists with"),
        ("Subscribe", {**wanted, "Endpoint": f"{arn}other", "Attributes": {"Fake": "x"}}, "AttributeName"),
        ("SetSubscriptionAttributes", {"SubscriptionArn": made, "AttributeName": "RawMessageDelivery",
                                       "AttributeValue": "wrong"}, "Invalid value [wrong]. Must be true or false."),
        ("Publish", {"TopicArn": "randomstring", "Message": "m"}, "An ARN must have at least 6 elements, not 1"),
        ("Publish", {"TopicArn": topic + "x", "Message": "m"}, "Topic does not exist"),
        ("Publish", {"TopicArn": fifo, "Message": "m"}, "The MessageGroupId parameter is required for FIFO topics"),
        ("Publish", {"TopicArn": topic, "Message": "m" * 262_145}, "Invalid parameter: Message too long"),
    ):  # fmt: skip
        with pytest.raises(AwsError, match=re.escape(words)) as caught:
            do("sns", operation, **parameters)
        assert caught.value.code == ("NotFound" if "not exist" in words else "InvalidParameter")
    assert len(do("sns", "ListSubscriptionsByTopic", TopicArn=topic)["Subscriptions"]) == 2


def test_a_bucket_tells_of_its_objects_as_it_did_on_aws(do: Do) -> None:
    """localstack/localstack tests/aws/services/s3/test_s3_notifications_sqs.snapshot.json, recorded on AWS"""
    do("s3", "CreateBucket", Bucket="bkt")
    url = do("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
    rule = {"Name": "Prefix", "Value": "in/"}
    wanted = {
        "Id": "c", "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:q",
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], "Filter": {"Key": {"FilterRules": [rule]}},
    }  # fmt: skip

    def told() -> list[tuple[str, dict[str, Any]]]:
        messages = do("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        records = [r for m in messages for r in json.loads(m["Body"]).get("Records", [])]
        for message in messages:
            do("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        for record in records:
            assert record.keys() == {
                "awsRegion", "eventName", "eventSource", "eventTime", "eventVersion", "requestParameters",
                "responseElements", "s3", "userIdentity",
            }  # fmt: skip
            assert record["s3"]["bucket"].keys() == {"arn", "name", "ownerIdentity"}
        found = [(str(r["eventName"]), dict(r["s3"]["object"])) for r in records]
        orders = [o.pop("sequencer") for _, o in found]
        assert orders == sorted(orders)
        return found

    do("s3", "PutBucketNotificationConfiguration", Bucket="bkt",
       NotificationConfiguration={"QueueConfigurations": [wanted]})  # fmt: skip
    told()
    etag = hashlib.md5(b"body").hexdigest()
    do("s3", "PutObject", Bucket="bkt", Key="in/a@b c.csv", Body=b"body")
    do("s3", "PutObject", Bucket="bkt", Key="out/a", Body=b"body")
    do("s3", "CopyObject", Bucket="bkt", Key="in/copy", CopySource="bkt/out/a")
    do("s3", "DeleteObject", Bucket="bkt", Key="in/copy")
    upload = do("s3", "CreateMultipartUpload", Bucket="bkt", Key="in/parts")["UploadId"]
    at: dict[str, Any] = {"Bucket": "bkt", "Key": "in/parts", "UploadId": upload}
    part = {"PartNumber": 1, "ETag": do("s3", "UploadPart", **at, PartNumber=1, Body=b"part")["ETag"]}
    whole = do("s3", "CompleteMultipartUpload", **at, MultipartUpload={"Parts": [part]})["ETag"].strip('"')
    assert told() == [
        ("ObjectCreated:Put", {"key": "in/a%40b+c.csv", "size": 4, "eTag": etag}),
        ("ObjectCreated:Copy", {"key": "in/copy", "size": 4, "eTag": etag}),
        ("ObjectRemoved:Delete", {"key": "in/copy"}),
        ("ObjectCreated:CompleteMultipartUpload", {"key": "in/parts", "size": 4, "eTag": whole}),
    ]
    do("s3", "PutBucketVersioning", Bucket="bkt", VersioningConfiguration={"Status": "Enabled"})
    version = do("s3", "DeleteObject", Bucket="bkt", Key="in/parts")["VersionId"]
    assert told() == [("ObjectRemoved:DeleteMarkerCreated", {"key": "in/parts", "versionId": version})]
    with pytest.raises(AwsError, match="filter rule name must be either prefix or suffix"):
        rule["Name"] = "middle"
        do("s3", "PutBucketNotificationConfiguration", Bucket="bkt",
           NotificationConfiguration={"QueueConfigurations": [wanted]})  # fmt: skip
