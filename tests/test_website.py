"""Static websites in the lab: what S3's website endpoints answer, to a caller who is nobody."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from helpers.localaws import permissions, server

OPEN = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
CLOSED = dict.fromkeys(OPEN, True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.LabInfo]:
    folder = tmp_path_factory.mktemp("website")
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        yield server.start(folder, idle_exit=300)
        server.stop(folder)


@pytest.fixture(scope="module")
def s3(lab: server.LabInfo) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=lab.endpoint,
        region_name="us-east-1",
        aws_access_key_id=lab.access_key,
        aws_secret_access_key=lab.secret_key,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def policy(bucket: str, *actions: str, **fields: Any) -> str:
    resources = [f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": list(actions), "Resource": resources} | fields
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def site(s3: Any) -> str:
    """A bucket that everyone may read, with a page, a folder and an error document."""
    bucket = "a.site"
    s3.create_bucket(Bucket=bucket)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject"))
    s3.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}},
    )
    pages = {"index.html": "<h1>home</h1>", "error.html": "<h1>sorry</h1>", "docs/index.html": "<h1>docs</h1>"}
    for key, text in pages.items():
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/html; charset=utf-8")
    s3.put_object(Bucket=bucket, Key="übung & mehr.js", Body=b"let a = 1", ContentType="text/javascript")
    s3.put_object(Bucket=bucket, Key="untyped", Body=b"0123456789")
    s3.put_object(Bucket=bucket, Key="old", Body=b"", WebsiteRedirectLocation="/docs/")
    return bucket


Answer = tuple[int, dict[str, str], bytes]


def fetch(lab: server.LabInfo, bucket: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
    host = {"Host": f"{bucket}.localhost:{lab.port}"}
    connection.request(method, path, headers=host | {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    got = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return got


def told(answer: Answer) -> tuple[int, str | None]:
    return answer[0], answer[1].get("x-amz-error-code")


def test_serves_index_documents_types_and_conditions(lab: server.LabInfo, site: str) -> None:
    status, headers, body = fetch(lab, site)
    assert (status, body, headers["content-type"]) == (200, b"<h1>home</h1>", "text/html; charset=utf-8")
    assert fetch(lab, site, "/docs/")[2] == b"<h1>docs</h1>"
    status, redirect, _ = fetch(lab, site, "/docs")
    assert (status, redirect["location"]) == (302, "/docs/")
    status, redirect, _ = fetch(lab, site, "/old")
    assert (status, redirect["location"]) == (301, "/docs/")
    script = fetch(lab, site, "/%C3%BCbung%20%26%20mehr.js?v=2")
    assert (script[0], script[1]["content-type"], script[2]) == (200, "text/javascript", b"let a = 1")
    assert fetch(lab, site, "/untyped")[1]["content-type"] == "binary/octet-stream"  # which a browser saves to disk
    assert fetch(lab, site, "/", If_None_Match=headers["etag"])[0] == 304
    part = fetch(lab, site, "/untyped", Range="bytes=2-4")
    assert (part[0], part[2], part[1]["content-range"]) == (206, b"234", "bytes 2-4/10")
    status, headers, body = fetch(lab, site, method="HEAD")
    assert (status, headers["content-length"], body) == (200, "13", b"")


def test_what_is_missing_is_403_for_who_may_not_list_and_404_for_who_may(
    lab: server.LabInfo, s3: Any, site: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/CustomErrorDocSupport.html"""
    status, headers, body = fetch(lab, site, "/none")
    assert (status, headers["x-amz-error-code"], body) == (403, "AccessDenied", b"<h1>sorry</h1>")
    s3.put_bucket_policy(Bucket=site, Policy=policy(site, "s3:GetObject", "s3:ListBucket"))
    try:
        status, headers, body = fetch(lab, site, "/none")
        assert (status, headers["x-amz-error-code"], body) == (404, "NoSuchKey", b"<h1>sorry</h1>")
        assert fetch(lab, site, "/none", method="HEAD")[0] == 404
    finally:
        s3.put_bucket_policy(Bucket=site, Policy=policy(site, "s3:GetObject"))


def test_errors_are_html_in_s3s_form(lab: server.LabInfo, s3: Any, site: str) -> None:
    status, headers, body = fetch(lab, "no-such-bucket")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    text = body.decode()
    assert text.startswith("<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>\n")
    assert "<li>Code: NoSuchBucket</li>" in text and "<li>BucketName: no-such-bucket</li>" in text
    s3.create_bucket(Bucket="plain")
    assert told(fetch(lab, "plain")) == (404, "NoSuchWebsiteConfiguration")
    assert told(fetch(lab, site, method="POST")) == (405, "MethodNotAllowed")
    assert told(fetch(lab, site, method="OPTIONS")) == (403, "AccessForbidden")
    s3.put_bucket_website(
        Bucket="plain",
        WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "<b>.html"}},
    )
    s3.put_object(Bucket="plain", Key="index.html", Body=b"x")
    status, _, body = fetch(lab, "plain")
    assert status == 403 and body.count(b"<li>Code: AccessDenied</li>") == 2
    assert b"An Error Occurred While Attempting to Retrieve a Custom Error Document" in body


def test_redirects_everything(lab: server.LabInfo, s3: Any) -> None:
    s3.create_bucket(Bucket="moved")
    to = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    s3.put_bucket_website(Bucket="moved", WebsiteConfiguration=to)
    status, headers, _ = fetch(lab, "moved", "/a?b=c")
    assert (status, headers["location"]) == (301, "https://example.com/a?b=c")


def test_a_new_bucket_is_closed_and_says_why(lab: server.LabInfo, s3: Any) -> None:
    s3.create_bucket(Bucket="closed")
    assert s3.get_public_access_block(Bucket="closed")["PublicAccessBlockConfiguration"] == CLOSED
    with pytest.raises(botocore.exceptions.ClientError, match="BlockPublicPolicy setting in S3 Block Public Access"):
        s3.put_bucket_policy(Bucket="closed", Policy=policy("closed", "s3:GetObject"))
    narrow = policy("closed", "s3:GetObject", Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}})
    s3.put_bucket_policy(Bucket="closed", Policy=narrow)  # not public
    for write in (s3.put_object, s3.put_object_acl):
        body = {"Body": b"x"} if write == s3.put_object else {}
        s3.put_object(Bucket="closed", Key="index.html", Body=b"x")
        with pytest.raises(botocore.exceptions.ClientError, match="does not allow ACLs"):
            write(Bucket="closed", Key="index.html", ACL="public-read", **body)


def test_a_block_put_on_later_closes_an_open_site(lab: server.LabInfo, s3: Any, site: str) -> None:
    s3.put_public_access_block(Bucket=site, PublicAccessBlockConfiguration=OPEN | {"RestrictPublicBuckets": True})
    try:
        assert told(fetch(lab, site)) == (403, "AccessDenied")
    finally:
        s3.put_public_access_block(Bucket=site, PublicAccessBlockConfiguration=OPEN)
    assert fetch(lab, site)[0] == 200


def test_a_deny_is_honoured(lab: server.LabInfo, s3: Any, site: str) -> None:
    allow = json.loads(policy(site, "s3:GetObject"))["Statement"]
    deny = allow[0] | {"Effect": "Deny", "Resource": f"arn:aws:s3:::{site}/docs/*"}
    s3.put_bucket_policy(Bucket=site, Policy=json.dumps({"Version": "2012-10-17", "Statement": [*allow, deny]}))
    try:
        assert (fetch(lab, site)[0], fetch(lab, site, "/docs/")[0]) == (200, 403)
    finally:
        s3.put_bucket_policy(Bucket=site, Policy=policy(site, "s3:GetObject"))


@pytest.mark.parametrize(
    "configuration",
    [
        {"IndexDocument": {"Suffix": "a/b"}},
        {"ErrorDocument": {"Key": "error.html"}},
        {
            "IndexDocument": {"Suffix": "index.html"},
            "RoutingRules": [{"Redirect": {"HostName": "example.com"}}],
        },
    ],
)
def test_a_configuration_that_would_not_be_served_is_refused(s3: Any, site: str, configuration: Any) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidArgument|NotImplemented"):
        s3.put_bucket_website(Bucket=site, WebsiteConfiguration=configuration)


def test_nothing_else_is_served_under_a_buckets_name(lab: server.LabInfo, site: str) -> None:
    """The website's host name reaches no API of the lab; other names reach nothing; pages from elsewhere neither."""
    assert fetch(lab, site, server_path := "/_aws/health")[0] == 403, server_path
    assert told(fetch(lab, site, "/_aws/execute-api/x/P/hello"))[0] == 403
    assert fetch(lab, site, Origin="http://evil.example")[0] == 403
    for host in (
        f"{site}.localhost.evil.example:{lab.port}",
        f"{site}.localhost:1",
        "evil.example",
        f"{site}.localhost",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
        connection.request("GET", "/", headers={"Host": host})
        assert connection.getresponse().status == 421, host
        connection.close()


@pytest.mark.parametrize(
    ("fields", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}}, False),
        ({"Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
    ],
)
def test_what_counts_as_public(fields: Any, public: bool) -> None:
    assert permissions.is_public(json.loads(policy("b", "s3:GetObject", **fields))) is public
