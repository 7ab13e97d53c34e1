"""The exercises of notebook 02: each is tried out on the cloud, and what the trial needs is removed again."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import boto3
import urllib3
from botocore.exceptions import ClientError

from helpers.checks import Wrong, exercise, published
from helpers.lab import SAMPLE
from helpers.provision import delete_quietly, ensure, error_code, until_propagated, wait_for
from helpers.rows import Row, Selection, read_rows, to_json

_STREAM = "workbook-orders"


@exercise("02-1", hint="It has Version and Statement, and the Statement an Effect, an Action and a Resource.")
def least_policy(answer: dict[str, Any]) -> str:
    """A role with the policy may put single records into that stream, and may do nothing else."""
    if not isinstance(answer, dict):
        raise Wrong("give the policy as a dict, such as write_only above.")
    with _stream(_STREAM, shards=1), _role_with(answer) as session:
        kinesis = session.client("kinesis")
        record = {"Data": b"{}", "PartitionKey": "1"}

        def may_put(stream: str) -> bool:
            # A hash key that Kinesis refuses, after it has looked at the permission: nothing is written.
            return _may(lambda: kinesis.put_record(StreamName=stream, ExplicitHashKey="none", **record))

        if not _soon(lambda: may_put(_STREAM)):
            raise Wrong(f"PutRecord to the stream {_STREAM} is still denied. Which ARN does it have?")
        if may_put("APIdata") or may_put(f"{_STREAM}-of-others"):
            raise Wrong(f"it also lets the function write to other streams: name the ARN of {_STREAM}, no pattern.")
        if _may(lambda: kinesis.put_records(StreamName=_STREAM, Records=[record])):
            raise Wrong("it also allows PutRecords: the function sends single records only.")
        if _may(lambda: kinesis.describe_stream_summary(StreamName=_STREAM)):
            raise Wrong("it also allows what is no writing, such as DescribeStreamSummary: name the one action.")
        if _may(lambda: session.client("s3").list_buckets()):
            raise Wrong("it also allows other services' calls: name the one action of Kinesis.")
    return "the role puts single records into its stream, and every other call that was tried is denied."


@exercise("02-2", hint="Give a function: answer = lambda row: …")
def customer_key(answer: Callable[[Row], str]) -> str:
    """All rows of a customer on one shard, the rows without a customer on several."""
    rows = list(read_rows(SAMPLE, Selection(first=500)))
    records = []
    for row in rows:
        key = answer(row)
        if not isinstance(key, str) or not 1 <= len(key) <= 256:
            customer = row["CustomerID"]
            raise Wrong(f"for a row with CustomerID {customer!r} the key is {key!r}; Kinesis takes a text of 1-256.")
        records.append({"Data": to_json(row).encode(), "PartitionKey": key})
    with _stream("workbook-customers", shards=4) as kinesis:
        taken = kinesis.put_records(StreamName="workbook-customers", Records=records)["Records"]
    shards = defaultdict[str | None, set[str]](set)
    for row, record in zip(rows, taken, strict=True):
        shards[row["CustomerID"]].add(record["ShardId"])
    if torn := sorted(c for c, where in shards.items() if c and len(where) > 1):
        raise Wrong(f"customer {torn[0]} lies on {len(shards[torn[0]])} shards: rows of a customer need one key.")
    if len(shards[None]) == 1:
        raise Wrong("all rows without a customer lie on one shard: give them keys that differ.")
    return "each customer lies on one shard, and the rows without one are spread."


@exercise("02-3", hint='Make the calls, then set answer to "done"; the check asks the API itself.')
def explained_refusal(answer: object) -> str:
    """The API `test` tells callers why a body was refused."""
    outputs = published("02")
    api = boto3.client("apigateway")
    key = api.get_api_key(apiKey=outputs["api_key_id"], includeValue=True)["value"]
    responses = api.get_gateway_responses(restApiId=outputs["api_id"])["items"]
    own = [r for r in responses if r["responseType"] == "BAD_REQUEST_BODY" and not r.get("defaultResponse")]
    if not own:
        raise Wrong("the API has no gateway response of its own for BAD_REQUEST_BODY yet.")

    def refusal() -> tuple[int, str]:
        headers = {"Content-Type": "application/json", "x-api-key": key}
        reply = urllib3.request("POST", outputs["url"], body=b'{"Quantity": "six"}', headers=headers)
        return reply.status, reply.data.decode()

    status, text = refusal()
    if text.strip() == '{"message":"Invalid request body"}':
        raise Wrong("the response is there, but callers still see the old one. What did you forget in part 2?")
    if status != 400:
        raise Wrong(f"the status is {status} now: it must stay 400, or clients will send the row again and again.")
    try:
        told = json.loads(text)
    except ValueError:
        raise Wrong(f"what callers get is no JSON: {text[:80]}") from None
    if "RowId" not in str(told) and "Quantity" not in str(told):
        raise Wrong(f"it does not say what is wrong with the body: {text[:80]}")
    return "a refused caller now reads what is wrong."


@contextmanager
def _stream(name: str, shards: int) -> Generator[Any]:
    """A stream for the time of a trial."""
    kinesis = boto3.client("kinesis")
    mode = {"StreamMode": "PROVISIONED"}
    ensure(kinesis.create_stream, StreamName=name, ShardCount=shards, StreamModeDetails=mode)
    try:
        kinesis.get_waiter("stream_exists").wait(StreamName=name)
        yield kinesis
    finally:
        delete_quietly(kinesis.delete_stream, StreamName=name)


@contextmanager
def _role_with(policy: dict[str, Any]) -> Generator[boto3.Session]:
    """A session that acts as a role with this policy and no other."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    me = sts.get_caller_identity()
    name = f"exercise-{uuid.uuid4().hex[:8]}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{me['Account']}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    try:
        iam.put_role_policy(RoleName=name, PolicyName="answer", PolicyDocument=json.dumps(policy))
        assume = until_propagated(
            sts.assume_role, saying="not authorized to perform: sts:AssumeRole", RoleArn=role, RoleSessionName="try"
        )["Credentials"]
        yield boto3.Session(assume["AccessKeyId"], assume["SecretAccessKey"], assume["SessionToken"])
    finally:
        delete_quietly(iam.delete_role_policy, RoleName=name, PolicyName="answer")
        delete_quietly(iam.delete_role, RoleName=name)


def _may(call: Callable[[], Any]) -> bool:
    """Whether a call is allowed; one that fails otherwise (no such stream) was allowed to try."""
    try:
        call()
    except ClientError as error:
        return not error_code(error).startswith("AccessDenied")
    return True


def _soon(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true; a new permission needs some seconds on AWS, and none in the lab."""
    patience = 0.0 if boto3.client("sts").meta.endpoint_url.startswith("http://") else 20.0
    try:
        return wait_for(condition, timeout=patience, what="the permission")
    except TimeoutError:
        return False
