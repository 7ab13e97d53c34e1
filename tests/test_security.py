"""The running lab, from outside: who is let in, who may do what, and what malformed calls get."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest
from test_protocols import SESSION, minimal, serialized

from helpers.localaws import protocols, server
from helpers.localaws.types import ACCOUNT_ID, Request
from tests.seeded import SEED, SOAK

LAMBDA_TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ACCOUNT_TRUST = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ID}, "Action": "sts:AssumeRole"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[server.LabInfo]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        info = server.start(folder, idle_exit=600)
        yield info
        server.stop(folder)


def client(lab: server.LabInfo, service: str, keys: dict[str, str] | None = None, version: str | None = None) -> Any:
    """A boto3 client that does not retry; `keys` as STS or IAM give them, the learner's by default."""
    given = keys or {"AccessKeyId": lab.access_key, "SecretAccessKey": lab.secret_key}
    return boto3.client(
        service,
        endpoint_url=lab.endpoint,
        region_name="us-east-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given.get("SessionToken"),
        config=botocore.config.Config(retries={"total_max_attempts": 1}, signature_version=version),
    )


def denied(call: Callable[..., Any], /, **parameters: Any) -> tuple[str, int, str]:
    """(code, HTTP status, message) of the error that a call gets."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"].get("Message", "")


@pytest.fixture
def as_role(lab: server.LabInfo) -> Iterator[Callable[..., dict[str, str]]]:
    """as_role(*statements, policy="", path="/"): credentials of a new role that has these permissions."""
    iam, made = client(lab, "iam"), []

    def make(*statements: dict[str, Any], path: str = "/", **more: Any) -> dict[str, str]:
        name = f"role{len(made)}"
        made.append(name)
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document(ACCOUNT_TRUST))["Role"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        got = client(lab, "sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me", **more)
        return dict(got["Credentials"])

    yield make
    for name in made:
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)


# The door


def fetch(lab: server.LabInfo, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_host_name_that_is_not_the_labs_is_refused(lab: server.LabInfo) -> None:
    """A page whose name resolves to 127.0.0.1 (DNS rebinding) is of that name's origin, and could read every answer."""
    assert fetch(lab, "/_aws/health")[0] == 200
    assert fetch(lab, "/_aws/health", Host=f"localhost:{lab.port}")[0] == 200
    for host in ("evil.example", f"evil.example:{lab.port}", "127.0.0.1", f"127.0.0.1:{lab.port}.evil.example", ""):
        assert fetch(lab, "/_aws/health", Host=host)[0] in (400, 421), host
    for request in (
        f"GET /_aws/health HTTP/1.1\r\nHost: 127.0.0.1:{lab.port}\r\nHost: evil.example\r\n\r\n",
        f"GET http://evil.example/_aws/health HTTP/1.1\r\nHost: 127.0.0.1:{lab.port}\r\n\r\n",
        "GET /_aws/health HTTP/1.0\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", lab.port), timeout=60) as raw:
            raw.sendall(request.encode())
            assert raw.recv(100).split()[1] in (b"400", b"421")


def test_a_page_from_another_origin_is_refused(lab: server.LabInfo) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "file://"):
        assert fetch(lab, "/_aws/health", Origin=origin)[0] == 403, origin
    assert fetch(lab, "/_aws/health", Origin="http://localhost:8888")[0] == 200


def test_the_lab_listens_on_this_machine_only_and_keeps_its_key_to_its_owner(lab: server.LabInfo, folder: Path) -> None:
    assert stat.S_IMODE((folder / "lab.json").stat().st_mode) == 0o600
    assert lab.secret_key not in (folder / "lab.log").read_text()
    own = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in own:
        if not address.startswith("127."):
            with pytest.raises(OSError), socket.create_connection((address, lab.port), timeout=2):
                pass


@pytest.mark.parametrize(
    ("service", "operation", "code", "status"),
    [
        # https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, DynamoDB's Programming.Errors,
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        ("iam", "list_roles", ("InvalidClientTokenId", "SignatureDoesNotMatch"), 403),
        ("kinesis", "list_streams", ("UnrecognizedClientException", "InvalidSignatureException"), 400),
        ("dynamodb", "list_tables", ("UnrecognizedClientException", "InvalidSignatureException"), 400),
        ("lambda", "list_functions", ("UnrecognizedClientException", "InvalidSignatureException"), 403),
        ("s3", "list_buckets", ("InvalidAccessKeyId", "SignatureDoesNotMatch"), 403),
        ("cloudwatch", "list_metrics", ("UnrecognizedClientException", "InvalidSignatureException"), 400),
    ],
)
def test_unknown_keys_and_wrong_secrets(
    lab: server.LabInfo, service: str, operation: str, code: tuple[str, str], status: int
) -> None:
    for keys, expected in zip(
        (
            {"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA", "SecretAccessKey": "x"},
            {"AccessKeyId": lab.access_key, "SecretAccessKey": "x"},
        ),
        code,
        strict=True,
    ):
        assert denied(getattr(client(lab, service, keys), operation))[:2] == (expected, status)


def test_unsigned_requests_are_refused(lab: server.LabInfo) -> None:
    status, body = fetch(lab, "/bucket/key")
    assert status == 403 and b"<Code>AccessDenied</Code><Message>Access Denied</Message>" in body
    target = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Length": "0"}
    status, body = fetch(lab, "/", "POST", **target)
    assert status == 400 and json.loads(body)["__type"] == "MissingAuthenticationTokenException"


def test_a_replay_is_refused_when_its_minutes_are_over(lab: server.LabInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://repost.aws/knowledge-center/lambda-sdk-signature"""
    for late, words in (
        (timedelta(minutes=-6), "Signature expired"),
        (timedelta(minutes=6), "Signature not yet current"),
    ):
        then = (datetime.now(UTC) + late).replace(tzinfo=None)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda then=then: then)
        code, status, message = denied(client(lab, "kinesis").list_streams)
        assert (code, status) == ("InvalidSignatureException", 400) and message.startswith(words)
        assert denied(client(lab, "sts").get_caller_identity)[:2] == ("SignatureDoesNotMatch", 403)


def test_presigned_urls_work_until_they_are_changed(lab: server.LabInfo) -> None:
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="a b/ü", Body=b"abc")
    old = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a b/ü"}, ExpiresIn=60)
    status, body = fetch(lab, old.removeprefix(lab.endpoint))  # Signature Version 2, which boto3 still makes
    assert status == 400 and b"Please use AWS4-HMAC-SHA256." in body
    s3 = client(lab, "s3", version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a b/ü"}, ExpiresIn=60)
    path = url.removeprefix(lab.endpoint)
    assert fetch(lab, path) == (200, b"abc")
    for changed in (path.replace("a%20b", "a%20c"), path.replace("Expires=60", "Expires=6000"), path + "&versionId=1"):
        assert fetch(lab, changed)[0] == 403, changed
    assert fetch(lab, path, "DELETE")[0] == 403
    url = client(lab, "sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    assert b":root</Arn>" in fetch(lab, url.removeprefix(lab.endpoint))[1]


# Permissions


def test_a_role_may_what_its_policy_says_from_one_call_to_the_next(lab: server.LabInfo, as_role: Any) -> None:
    kinesis, iam = client(lab, "kinesis"), client(lab, "iam")
    kinesis.create_stream(StreamName="APIdata", ShardCount=1)
    kinesis.create_stream(StreamName="other", ShardCount=1)
    keys = as_role(path="/service-role/")
    mine = client(lab, "kinesis", keys)
    record = {"StreamName": "APIdata", "Data": b"x", "PartitionKey": "k"}
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT_ID}:stream/APIdata"
    assert denied(mine.put_record, **record) == (
        "AccessDeniedException", 400,
        f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/role0/me is not authorized to perform: kinesis:PutRecord on "
        f"resource: {arn} because no identity-based policy allows the kinesis:PutRecord action",
    )  # fmt: skip
    allow = {"Effect": "Allow", "Action": ["kinesis:PutRecord"], "Resource": arn}
    iam.put_role_policy(RoleName="role0", PolicyName="p", PolicyDocument=document(allow))
    mine.put_record(**record)
    assert denied(mine.put_record, **{**record, "StreamName": "other"})[0] == "AccessDeniedException"
    assert (
        denied(mine.put_records, StreamName="APIdata", Records=[{"Data": b"x", "PartitionKey": "k"}])[0]
        == "AccessDeniedException"
    )
    iam.put_role_policy(
        RoleName="role0", PolicyName="no", PolicyDocument=document(allow | {"Effect": "Deny", "Resource": "*"})
    )
    assert "with an explicit deny in an identity-based policy" in denied(mine.put_record, **record)[2]
    iam.delete_role_policy(RoleName="role0", PolicyName="no")
    mine.put_record(**record)
    iam.delete_role_policy(RoleName="role0", PolicyName="p")
    assert denied(mine.put_record, **record)[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "call", "parameters", "code", "status"),
    [
        ("s3", "list_buckets", {}, "AccessDenied", 403),
        ("s3", "get_object", {"Bucket": "b", "Key": "k"}, "AccessDenied", 403),
        ("s3", "head_object", {"Bucket": "b", "Key": "k"}, "403", 403),  # an answer to HEAD has no body
        ("lambda", "list_functions", {}, "AccessDeniedException", 403),
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"a": {"S": "x"}}}, "AccessDeniedException", 400),
        ("logs", "describe_log_groups", {}, "AccessDeniedException", 400),
        ("ssm", "get_parameter", {"Name": "/a"}, "AccessDeniedException", 400),
        ("sqs", "list_queues", {}, "AccessDeniedException", 400),
        ("sns", "list_topics", {}, "AccessDenied", 403),
        ("iam", "list_users", {}, "AccessDenied", 403),
        ("apigateway", "get_rest_apis", {}, "AccessDeniedException", 403),
        ("cloudwatch", "list_metrics", {}, "AccessDeniedException", 400),
        (
            "sts",
            "assume_role",
            {"RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/none", "RoleSessionName": "me"},
            "AccessDenied",
            403,
        ),
    ],
)
def test_a_denial_in_each_services_words(
    lab: server.LabInfo, as_role: Any, service: str, call: str, parameters: dict[str, Any], code: str, status: int
) -> None:
    got = denied(getattr(client(lab, service, as_role()), call), **parameters)
    assert got[:2] == (code, status)
    if code != "403":
        assert f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/role0/me is not authorized to perform: " in got[2]


def test_a_role_is_assumed_only_by_whom_it_trusts(lab: server.LabInfo) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
    iam, sts = client(lab, "iam"), client(lab, "sts")
    arn = iam.create_role(RoleName="for-lambda", AssumeRolePolicyDocument=document(LAMBDA_TRUST))["Role"]["Arn"]
    for role in (arn, arn + "-not-there", "arn:aws:iam::999999999999:role/other"):
        assert denied(sts.assume_role, RoleArn=role, RoleSessionName="me") == (
            "AccessDenied", 403,
            f"User: arn:aws:iam::{ACCOUNT_ID}:root is not authorized to perform: sts:AssumeRole on resource: {role}",
        )  # fmt: skip
    external = ACCOUNT_TRUST | {"Condition": {"StringEquals": {"sts:ExternalId": "x1"}}}
    iam.update_assume_role_policy(RoleName="for-lambda", PolicyDocument=document(external))
    assert denied(sts.assume_role, RoleArn=arn, RoleSessionName="me")[0] == "AccessDenied"
    got = sts.assume_role(RoleArn=arn, RoleSessionName="me", ExternalId="x1")["Credentials"]
    assert client(lab, "sts", got).get_caller_identity()["Arn"].endswith("assumed-role/for-lambda/me")
    iam.delete_role(RoleName="for-lambda")
    assert (
        denied(client(lab, "s3", got).list_buckets)[0] == "AccessDenied"
    )  # the session outlives its role, to no avail
    for operation, parameters in (
        ("get_session_token", {}),
        ("get_federation_token", {"Name": "me"}),
        ("assume_role_with_web_identity", {"RoleArn": arn, "RoleSessionName": "me", "WebIdentityToken": "abcd"}),
    ):
        denied(getattr(sts, operation), **parameters)


def test_a_session_policy_narrows_a_session(lab: server.LabInfo, as_role: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session"""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    keys = as_role(everything, Policy=document({"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}))
    client(lab, "s3", keys).list_buckets()
    assert (
        "because no session policy allows the kinesis:ListStreams action"
        in denied(client(lab, "kinesis", keys).list_streams)[2]
    )


def test_a_user_and_its_key(lab: server.LabInfo) -> None:
    iam = client(lab, "iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    mine = client(lab, "s3", key)
    assert f"User: arn:aws:iam::{ACCOUNT_ID}:user/u is not" in denied(mine.list_buckets)[2]
    iam.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    mine.list_buckets()
    assert denied(mine.create_bucket, Bucket="users-own")[0] == "AccessDenied"
    iam.update_access_key(UserName="u", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert denied(mine.list_buckets)[0] == "InvalidAccessKeyId"
    assert (
        denied(
            iam.put_user_permissions_boundary,
            UserName="u",
            PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess",
        )[1]
        == 400
    )


def test_a_bucket_policy_lets_in_and_keeps_out(lab: server.LabInfo, as_role: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="k", Body=b"abc")
    mine = client(lab, "s3", as_role())
    grant = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:role/role0"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::shared/*",
    }
    s3.put_bucket_policy(Bucket="shared", Policy=document(grant))
    assert mine.get_object(Bucket="shared", Key="k")["Body"].read() == b"abc"
    s3.put_bucket_policy(Bucket="shared", Policy=document(grant, grant | {"Effect": "Deny"}))
    assert "with an explicit deny in a resource-based policy" in denied(mine.get_object, Bucket="shared", Key="k")[2]
    s3.delete_bucket_policy(Bucket="shared")
    assert denied(mine.get_object, Bucket="shared", Key="k")[0] == "AccessDenied"
    assert denied(s3.put_bucket_policy, Bucket="shared", Policy="{")[:2] == ("MalformedPolicy", 400)


def test_a_queues_and_a_topics_policies_let_in_and_keep_out(lab: server.LabInfo, as_role: Any) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-creating-custom-policies.html"""
    sqs, sns = client(lab, "sqs"), client(lab, "sns")
    url, topic = sqs.create_queue(QueueName="guarded")["QueueUrl"], sns.create_topic(Name="guarded")["TopicArn"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may = [{"Effect": "Allow", "Action": ["sqs:SendMessage", "sns:Publish"], "Resource": "*"}]
    allowed, stranger = as_role(*may), as_role()
    role = client(lab, "sts", stranger).get_caller_identity()["Arn"].split("/")[1]
    grant = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:role/{role}"}}

    def send(keys: dict[str, str]) -> None:
        client(lab, "sqs", keys).send_message(QueueUrl=url, MessageBody="m")

    def publish(keys: dict[str, str]) -> None:
        client(lab, "sns", keys).publish(TopicArn=topic, Message="m")

    send(allowed)
    publish(allowed)
    assert "no identity-based policy" in denied(send, keys=stranger)[2]
    for effect in ("Allow", "Deny"):
        here = grant if effect == "Allow" else {"Effect": "Deny", "Principal": "*"}
        on_queue = document(here | {"Action": "SQS:SendMessage", "Resource": queue})
        on_topic = document(here | {"Action": "SNS:Publish", "Resource": topic})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": on_queue})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=on_topic)
        if effect == "Allow":
            send(stranger)
            publish(stranger)
    for call in (send, publish):
        assert "with an explicit deny in a resource-based policy" in denied(call, keys=allowed)[2]
    unknown = document(
        grant | {"Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    )
    assert denied(sqs.set_queue_attributes, QueueUrl=url, Attributes={"Policy": unknown})[0] == "InvalidAttributeValue"
    asked = {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": unknown}
    assert denied(sns.set_topic_attributes, **asked)[0] == "InvalidParameter"


def test_a_prefix_condition(lab: server.LabInfo, as_role: Any) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/walkthrough1.html"""
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="prefixed")
    only = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::prefixed",
        "Condition": {"StringLike": {"s3:prefix": "mine/*"}},
    }
    mine = client(lab, "s3", as_role(only))
    mine.list_objects_v2(Bucket="prefixed", Prefix="mine/x")
    for prefix in ({"Prefix": "other/"}, {}):
        assert denied(mine.list_objects_v2, Bucket="prefixed", **prefix)[0] == "AccessDenied"


# Calls that one reading makes harmless


def signed(lab: server.LabInfo, keys: dict[str, str], service: str, request: Request) -> tuple[int, bytes]:
    """Sends a request as it is, signed for these keys."""
    url = f"{lab.endpoint}{request.path}" + (f"?{request.query}" if request.query else "")
    made = botocore.awsrequest.AWSRequest(request.method, url, headers=request.headers, data=request.body)
    credentials = botocore.credentials.Credentials(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken")
    )
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer(credentials, service, "us-east-1").add_auth(made)
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=30)
    path = urllib.parse.urlsplit(made.url)
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in made.headers.items()}
    connection.request(request.method, path.path + (f"?{path.query}" if path.query else ""), request.body, headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_call_is_not_allowed_as_one_thing_and_done_as_another(lab: server.LabInfo, as_role: Any) -> None:
    s3, dynamodb = client(lab, "s3"), client(lab, "dynamodb")
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="secret", Body=b"secret")
    s3.put_bucket_policy(
        Bucket="guarded",
        Policy=document(
            {"Effect": "Deny", "Principal": {"Service": "x.amazonaws.com"}, "Action": "s3:*", "Resource": "*"}
        ),
    )
    dynamodb.create_table(
        TableName="guarded",
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
    )
    keys = as_role({"Effect": "Allow", "Action": ["*:List*", "s3:GetBucketAcl", "s3:PutObject"], "Resource": "*"})
    json_type, form = (
        {"Content-Type": "application/x-amz-json-1.0"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    listing = json_type | {"X-Amz-Target": "DynamoDB_20120810.ListTables"}
    attempts = [
        ("dynamodb", Request("POST", "/", "Action=DeleteTable", listing, b'{"TableName":"guarded"}')),
        (
            "dynamodb",
            Request(
                "POST",
                "/",
                "",
                {**form, "X-Amz-Target": "DynamoDB_20120810.ListTables"},
                b"Action=DeleteTable&TableName=guarded",
            ),
        ),
        (
            "dynamodb",
            Request(
                "POST", "/", "", listing | {"x_amz_target": "DynamoDB_20120810.DeleteTable"}, b'{"TableName":"guarded"}'
            ),
        ),
        ("s3", Request("GET", "/guarded%2Fsecret", "", {})),
        ("s3", Request("GET", "/guarded", "acl&policy", {})),
        ("s3", Request("GET", "/guarded", "policy&acl", {})),
        ("s3", Request("PUT", "/guarded/copy", "", {"x_amz_copy_source": "guarded/secret"})),
        ("s3", Request("PUT", "/guarded/copy", "", {"x-amz-copy-source": "guarded/secret"})),
        ("s3", Request("DELETE", "/guarded/secret", "", {"X-Amz-Target": "S3.ListBuckets"})),
        ("s3", Request("POST", "/moto-api/reset", "", {})),
        ("iam", Request("POST", "/", "Action=ListUsers", form, b"Action=CreateUser&UserName=evil")),
        ("iam", Request("POST", "/", "", form, b"Action=CreateUser&Action=ListUsers&UserName=evil")),
        (
            "lambda",
            Request(
                "DELETE", "/2015-03-31/functions/f", "Action=ListFunctions", {"X-Amz-Target": "AWSLambda.ListFunctions"}
            ),
        ),
    ]
    for service, request in attempts:
        status, body = signed(lab, keys, service, request)
        assert b"secret" not in body.replace(b"/secret", b""), request
        assert status < 500, (request, body)
    assert dynamodb.list_tables()["TableNames"] == ["guarded"]
    assert s3.get_object(Bucket="guarded", Key="secret")["Body"].read() == b"secret"
    assert {o["Key"] for o in s3.list_objects_v2(Bucket="guarded")["Contents"]} <= {"secret", "copy"}
    if len(s3.list_objects_v2(Bucket="guarded")["Contents"]) == 2:
        assert s3.get_object(Bucket="guarded", Key="copy")["Body"].read() == b""
    assert [u["UserName"] for u in client(lab, "iam").list_users()["Users"] if u["UserName"] == "evil"] == []


# Malformed calls

ODD: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1,
        2**63,
        1.5,
        "",
        "x",
        "a" * 3000,
        "ü\n\u2028",
        "*",
        "{",
        "../..",
        "arn:aws:s3:::b",
        "$LATEST",
    ),
    *("arn:", [], {}, [[]], {"a": {}}, ["x"], [None], {"N": "x"}, {"S": 1}, "999999999999999999999", "%00", "\x00"),
]


def mutated(value: Any, chance: random.Random) -> Any:
    """A value with something wrong in it: of another type, missing, too long, repeated."""
    if chance.random() < 0.2:
        return chance.choice(ODD)
    if isinstance(value, dict):
        made = {k: mutated(v, chance) for k, v in value.items() if chance.random() > 0.1}
        return (
            made if chance.random() > 0.1 else {**made, chance.choice(["Name", "TableName", "x"]): chance.choice(ODD)}
        )
    if isinstance(value, list):
        return [mutated(v, chance) for v in value] * chance.choice([1, 1, 1, 0, 2, 30])
    return value


def malformed(chance: random.Random) -> tuple[str, str, Request]:
    """(service, operation, request): what botocore sends for a call, with something wrong in it."""
    service = chance.choice([s for s in protocols.SERVICES])
    model = SESSION.get_service_model(protocols.SERVICES[service])
    operation = chance.choice(model.operation_names)
    shape = model.operation_model(operation).input_shape
    request = serialized(model, operation, minimal(shape) if shape else {})
    if model.resolved_protocol == "json":
        request.body = json.dumps(mutated(json.loads(request.body or b"{}"), chance)).encode()
    elif model.resolved_protocol == "query":
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        form |= {k: str(chance.choice(ODD)) for k in form if k not in ("Action", "Version") and chance.random() < 0.4}
        request.body = urllib.parse.urlencode(form).encode()
    elif request.body[:1] == b"{":
        request.body = json.dumps(mutated(json.loads(request.body), chance)).encode()
    elif chance.random() < 0.5:
        request.body = chance.choice(
            [b"", b"<", b"<a/>", b"<Delete><Object/></Delete>", b"\xff\xfe", b"{}", request.body * 2]
        )
    if chance.random() < 0.15:
        cut = chance.randrange(len(request.body) + 1)
        request.body = request.body[:cut] + chance.randbytes(chance.randrange(3)) + request.body[cut:]
    if chance.random() < 0.2:
        request.path = request.path.replace(
            "xxx", chance.choice(["a%2Fb", "%00", "%E4", "a" * 300, "arn%3Aaws", "%2E%2E", "x:y:z"])
        )
    if chance.random() < 0.1:
        request.query += chance.choice(["&", "&x=%zz", "&Action=x", "&versionId=", "&max-keys=x", "&limit=-1", "&acl"])
    return service, operation, request


def test_a_document_that_is_neither_json_nor_yaml_is_the_callers_fault(lab: server.LabInfo) -> None:
    keys = {"AccessKeyId": lab.access_key, "SecretAccessKey": lab.secret_key}
    rest = client(lab, "apigateway").create_rest_api(name="documents")["id"]
    for body in (b"xx\x08", b"{", b"a: [", b""):
        for request in (Request("PUT", f"/restapis/{rest}", "", {}, body), Request("POST", "/restapis", "", {}, body)):
            assert 400 <= signed(lab, keys, "apigateway", request)[0] < 500, (request, body)


def test_malformed_calls_get_an_error_of_awss_kind(lab: server.LabInfo) -> None:
    """No 5xx: AWS answers the caller's faults with 4xx. What is not there is 501 in S3's words, NotImplemented."""
    print(f"WORKBOOK_SEED={SEED}")
    chance, keys = random.Random(SEED), {"AccessKeyId": lab.access_key, "SecretAccessKey": lab.secret_key}
    failed: dict[str, str] = {}
    for i in range(100_000 if SOAK else 1_500):
        service, operation, request = malformed(random.Random(f"{SEED}.{i}"))
        if service == "lambda" and operation.startswith("Invoke"):
            continue
        status, body = signed(lab, keys, service, request)
        if status >= 500 and status != 501:
            failed.setdefault(
                f"{service}:{operation}",
                f"case {i}: {request.path}?{request.query} {request.body[:300]!r}: {body[:300]!r}",
            )
    assert not failed, json.dumps(failed, indent=1)
    assert chance and fetch(lab, "/_aws/health")[0] == 200
    assert client(lab, "sts").get_caller_identity()["Account"] == ACCOUNT_ID
