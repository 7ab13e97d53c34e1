"""Handlers, clients and policies in the styles in which people write them for AWS, run as they stand.

Each case names the page of AWS's documentation that its expectation rests on; the tables are in conformance/.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from conformance import dynamo, invoked, policies, refusals, web
from conformance.cases import Invoke, Policy, Refusal, Web
from conformance.lab import ACCOUNT, HANDLERS, World, until, world
from conformance.match import Has, Text


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("conformance") / "lab") as made:
        made.function("raises.handler")
        s3, ssm = made.client("s3"), made.client("ssm")
        bucket = made.names["{bucket}"]
        csv = "id,country\n1,Österreich\n2,France\n".encode()
        s3.put_object(Bucket=bucket, Key="in/new orders+1.csv", Body=csv, ContentType="text/csv")
        s3.put_object(Bucket=bucket, Key="policies/seed.txt", Body=b"x")
        for name, value, kind in (
            ("/shop/name", "shop", "String"),
            ("/shop/regions", "eu,us", "StringList"),
            ("/shop/db/host", "db.local", "String"),
            ("/shop/db/password", "s3cret", "SecureString"),
        ):
            ssm.put_parameter(Name=name, Value=value, Type=kind)
        yield made


def names(cases: list[Any]) -> list[str]:
    return [case.name for case in cases]


# Invoked


@pytest.mark.parametrize("case", invoked.CASES + dynamo.CASES, ids=names(invoked.CASES + dynamo.CASES))
def test_an_invoked_handler(lab: World, case: Invoke) -> None:
    returned, error, log = lab.invoke(case, case.event)
    assert returned == lab.fill(case.returns), log
    assert error == case.error
    for pattern in case.log:
        assert re.search(pattern, log), (pattern, log)
    for event, returns in case.again:
        returned, _, log = lab.invoke(case, event)
        assert returned == lab.fill(returns), log


# Behind API Gateway


@pytest.fixture(scope="module")
def stage(lab: World) -> str:
    return lab.deploy_api(web.CASES)


def asked(request: urllib.request.Request) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (repeated ones joined) and body; a redirect is an answer."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    try:
        answer: Any = urllib.request.build_opener(Stay).open(request, timeout=40)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        headers: dict[str, str] = {}
        for name, value in answer.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        return answer.status, headers, answer.read()


@pytest.mark.parametrize("case", web.CASES, ids=names(web.CASES))
def test_a_handler_behind_a_stage_url(lab: World, stage: str, case: Web) -> None:
    # urllib would name a type of its own for a body; a client that names none leaves the field empty
    headers = {"Content-Type": "", **case.headers} if case.body is not None else dict(case.headers)
    request = urllib.request.Request(stage + lab.fill(case.path), case.body, headers, method=case.method)
    if case.body is not None:
        request.data = lab.fill(case.body.decode()).encode() if case.body.isascii() else case.body
    status, sent, body = asked(request)
    shown: Any = body
    if isinstance(case.answer, bytes):
        pass
    elif sent.get("content-type", "").startswith("application/json") and body:
        try:
            shown = json.loads(body)
        except ValueError:
            shown = body.decode()
    else:
        shown = body.decode()
    assert (status, shown) == (case.status, lab.fill(case.answer)), body
    assert sent == Has(case.answer_headers)
