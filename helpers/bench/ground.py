"""What the groups stand on: labs, processes beside them, processor time, medians."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import psutil

from ..client import Report, send
from ..lab import Lab, open_lab
from ..localaws import server
from ..rows import Selection, read_rows

ROW_BY_ROW = """
import boto3, json, os

kinesis = boto3.client("kinesis")

def handler(event, context):
    {say}
    row = json.loads(event["body"])
    kinesis.put_record(StreamName="APIdata", Data=event["body"], PartitionKey=row["InvoiceNo"])
    return {{"statusCode": 200, "body": '{{"accepted": 1}}'}}
"""


@contextmanager
def helper_process(*arguments: str) -> Iterator[str]:
    """A server in a process of its own, which prints its address and ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdin
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


def memory_mb(pid: int) -> float | None:
    """The most memory that a process has used, in MB; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def rate(count: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def ratio(above: list[float], below: list[float], digits: int) -> float:
    """The median of the pairs' ratios."""
    return round(statistics.median(a / b for a, b in zip(above, below, strict=True)), digits)


def put_back(environment: dict[str, str]) -> None:
    """The environment as it was, for boto3's default session, too."""
    os.environ.clear()
    os.environ.update(environment)
    boto3.setup_default_session()


class Cpu:
    """Processor time of the lab, its Lambda workers and this process, from here on, in µs for each of `count`."""

    def __init__(self, lab: int) -> None:
        self.lab = psutil.Process(lab)
        self.before = self._now()

    def _now(self) -> dict[str, float]:
        times = {"lab": sum(self.lab.cpu_times()[:2]), "workers": 0.0, "client": sum(os.times()[:2])}
        for worker in self.lab.children(recursive=True):
            with suppress(psutil.Error):
                times["workers"] += sum(worker.cpu_times()[:2])
        return times

    def spent(self, count: int) -> dict[str, int]:
        return {who: round((now - self.before[who]) / count * 1e6) for who, now in self._now().items()}


class Ground:
    """Where the groups are measured: the file, a scratch folder, and whether few repetitions will do."""

    def __init__(self, csv: Path, scratch: Path, quick: bool) -> None:
        self.csv, self.scratch, self.quick = csv, scratch, quick

    @contextmanager
    def lab(self) -> Iterator[server.LabInfo]:
        """An empty lab, to which boto3's default session leads."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        before = dict(os.environ)
        info = server.start(folder, idle_exit=900)
        os.environ.update(info.environment())
        boto3.setup_default_session()
        try:
            yield info
        finally:
            server.stop(folder)
            put_back(before)


class Platform:
    """A fresh lab in which notebooks 02 and 03 have built the platform, with its key at hand."""

    def __init__(self, folder: Path, shards: int, csv: Path) -> None:
        os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="900")
        self.lab: Lab = open_lab("local")
        self.lab.require("02", "03", csv=str(csv), rows=1, shards=shards)
        ingest, storage = self.lab.outputs("02"), self.lab.outputs("03")
        self.stream, self.bucket, self.prefix = ingest["stream"], storage["bucket"], storage["prefix"]
        self.url, self.mapping = ingest["url"], storage["mapping"]
        key = boto3.client("apigateway").get_api_key(apiKey=ingest["api_key_id"], includeValue=True)
        self.api_key = key["value"]

    def send(self, csv: Path, first: int | None, batch: int, connections: int, offset: int = 0) -> Report:
        rows = read_rows(csv, Selection(first=first, offset=offset))
        return send(rows, self.url, api_key=self.api_key, batch=batch, connections=connections, progress=False)

    def trigger(self, enabled: bool) -> None:
        """Switches the raw storage's trigger, and waits until it is so."""
        client, wanted = boto3.client("lambda"), "Enabled" if enabled else "Disabled"
        client.update_event_source_mapping(UUID=self.mapping, Enabled=enabled)
        while client.get_event_source_mapping(UUID=self.mapping)["State"] != wanted:
            time.sleep(0.02)

    def stored_bytes(self) -> int:
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return sum(o["Size"] for page in pages for o in page.get("Contents", []))


def make_function(name: str, code: str, actions: list[str], endpoint: str | None = None, **variables: str) -> str:
    """Deploys a function and returns its ARN. Its role may do the actions on everything."""
    iam, functions = (boto3.client(service, endpoint_url=endpoint) for service in ("iam", "lambda"))
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Effect": "Allow", "Action": [*actions, "logs:*"], "Resource": "*"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [part]}) for part in (trust, policy)]
    role = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=documents[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName=f"{name}-role", PolicyName="all", PolicyDocument=documents[1])
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("bench.py", code)
    arn: str = functions.create_function(
        FunctionName=name, Role=role, Handler="bench.handler", Runtime="python3.13", Timeout=60, MemorySize=512,
        Code={"ZipFile": zipped.getvalue()}, Environment={"Variables": variables},
    )["FunctionArn"]  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return arn


def deploy(endpoint: str, say: str) -> str:
    """API Gateway → Lambda → Kinesis, by proxy integration; returns the API's address. `say`: a line in the handler."""
    boto3.client("kinesis", endpoint_url=endpoint).create_stream(StreamName="APIdata", ShardCount=4)
    function = make_function("test", ROW_BY_ROW.format(say=say), ["kinesis:PutRecord"], endpoint)
    api, region = boto3.client("apigateway", endpoint_url=endpoint), server.REGION
    rest = api.create_rest_api(name="bench")["id"]
    root = api.get_resources(restApiId=rest)["items"][0]["id"]
    hello = api.create_resource(restApiId=rest, parentId=root, pathPart="hello")["id"]
    place = {"restApiId": rest, "resourceId": hello, "httpMethod": "POST"}
    api.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations"
    api.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    api.create_deployment(restApiId=rest, stageName="P")
    source = f"arn:aws:execute-api:{region}:{function.split(':')[4]}:{rest}/*/*"
    boto3.client("lambda", endpoint_url=endpoint).add_permission(
        FunctionName="test", StatementId="api", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com", SourceArn=source,
    )  # fmt: skip
    return f"{endpoint}/_aws/execute-api/{rest}/P/hello"
