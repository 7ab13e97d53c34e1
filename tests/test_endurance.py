"""An hour's worth of a learner's doings in fast motion: what is deleted is gone from the lab's process, too.

Streams, functions, triggers, tables, buckets and APIs are made, used and deleted, over and over, and Lambda workers are
killed at random through it all. Afterwards the lab has the memory, the threads, the processes and the file descriptors
of its first rounds, and every record that a stream has accepted was handed to the function.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from platform_lab import wait_until

from helpers.localaws import server
from tests.seeded import SEED, SOAK

ROUNDS = 1_500 if SOAK else 12
WARM = 100 if SOAK else 5  # rounds until the caches and the allocator have found their size
# MB that the lab's memory may grow after them. CloudWatch keeps each round's metrics, as on AWS: some 20 kB.
GROWTH = 10.0 + 0.03 * ROUNDS
CODE = """
import json, os
def handler(event, context):
    with open(os.environ["SEEN"], "a") as file:
        for record in event.get("Records", []):
            file.write(record["kinesis"]["sequenceNumber"] + "\\n")
    return {"version": VERSION, "size": len(json.dumps(event))}
"""
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ALL = {"Effect": "Allow", "Action": ["kinesis:*", "logs:*"], "Resource": "*"}


def zipped(version: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("code.py", f"VERSION = {version}\n{CODE}")
    return buffer.getvalue()


class Learner:
    """One lab, and a round of everything in it."""

    def __init__(self, info: server.LabInfo, seen: Path) -> None:
        self.info, self.seen, self.process = info, seen, psutil.Process(info.pid)
        session = boto3.Session(info.access_key, info.secret_key, region_name="us-east-1")
        services = ("kinesis", "lambda", "iam", "s3", "dynamodb", "apigateway", "logs")
        once = Config(retries={"total_max_attempts": 2})
        self.aws = {s: session.client(s, endpoint_url=info.endpoint, config=once) for s in services}
        documents = [json.dumps({"Version": "2012-10-17", "Statement": [part]}) for part in (TRUST, ALL)]
        iam = self.aws["iam"]
        self.role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=documents[0])["Role"]["Arn"]
        iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=documents[1])

    def round(self, n: int, chance: random.Random) -> None:
        kinesis, functions, logs = self.aws["kinesis"], self.aws["lambda"], self.aws["logs"]
        name = f"round-{n}"
        seen = self.seen / name
        kinesis.create_stream(StreamName=name, ShardCount=2)
        stream = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
        functions.create_function(
            FunctionName=name, Role=self.role, Handler="code.handler", Runtime="python3.13", Timeout=20,
            Code={"ZipFile": zipped(1)}, Environment={"Variables": {"SEEN": str(seen)}},
        )  # fmt: skip
        mapping = functions.create_event_source_mapping(
            EventSourceArn=stream, FunctionName=name, StartingPosition="TRIM_HORIZON", BatchSize=50
        )["UUID"]
        accepted: set[str] = set()
        for start in range(0, 200, 50):
            records = [{"Data": b"x" * 500, "PartitionKey": str(start + i)} for i in range(50)]
            answer = kinesis.put_records(StreamName=name, Records=records)
            accepted |= {r["SequenceNumber"] for r in answer["Records"] if "SequenceNumber" in r}
            if chance.random() < 0.7:
                self.kill_a_worker(chance)
        if chance.random() < 0.5:
            functions.update_function_code(FunctionName=name, ZipFile=zipped(2))
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"x": "y" * 1000}))
        assert "FunctionError" in answer or json.load(answer["Payload"])["size"] == 1009
        wait_until(lambda: seen.exists() and accepted <= set(seen.read_text().split()), f"all of {name}")
        self.others(name)
        functions.delete_event_source_mapping(UUID=mapping)
        wait_until(lambda: not functions.list_event_source_mappings()["EventSourceMappings"], "the trigger to be gone")
        functions.delete_function(FunctionName=name)
        kinesis.delete_stream(StreamName=name)
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")

    def others(self, name: str) -> None:
        s3, dynamodb, api = self.aws["s3"], self.aws["dynamodb"], self.aws["apigateway"]
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="a", Body=os.urandom(200_000))
        assert len(s3.get_object(Bucket=name, Key="a")["Body"].read()) == 200_000
        s3.delete_object(Bucket=name, Key="a")
        s3.delete_bucket(Bucket=name)
        dynamodb.create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        )  # fmt: skip
        puts = [{"PutRequest": {"Item": {"k": {"S": f"{i}"}, "v": {"S": "v" * 2000}}}} for i in range(25)]
        assert not dynamodb.batch_write_item(RequestItems={name: puts})["UnprocessedItems"]
        dynamodb.delete_table(TableName=name)
        rest = api.create_rest_api(name=name)["id"]
        root = api.get_resources(restApiId=rest)["items"][0]["id"]
        place = {"restApiId": rest, "resourceId": root, "httpMethod": "GET"}
        api.put_method(**place, authorizationType="NONE")
        api.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
        api.put_method_response(**place, statusCode="200")
        api.put_integration_response(**place, statusCode="200", responseTemplates={"application/json": f'"{name}"'})
        api.create_deployment(restApiId=rest, stageName="P")
        with urllib.request.urlopen(f"{self.info.endpoint}/_aws/execute-api/{rest}/P/") as answer:
            assert json.load(answer) == name
        api.delete_rest_api(restApiId=rest)

    def kill_a_worker(self, chance: random.Random) -> None:
        with contextlib.suppress(psutil.Error, IndexError):
            workers = [c for c in self.process.children() if any("worker.py" in part for part in c.cmdline())]
            chance.choice(workers).send_signal(signal.SIGKILL)

    def size(self) -> dict[str, float]:
        """What the lab's process holds, once it has come to rest."""
        wait_until(lambda: not self.workers(), "the deleted functions' workers to be gone")
        return {
            "MB": self.process.memory_info().rss / 2**20,
            "threads": self.process.num_threads(),
            "files": self.process.num_fds() if hasattr(self.process, "num_fds") else 0,
        }

    def workers(self) -> list[psutil.Process]:
        found = []
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has just ended
                found += [child] * (child.status() != psutil.STATUS_ZOMBIE)
        return found


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    info = server.start(tmp_path / "lab", idle_exit=600)
    (tmp_path / "seen").mkdir()
    try:
        yield Learner(info, tmp_path / "seen")
    finally:
        server.stop(tmp_path / "lab")


def test_what_is_deleted_is_gone(learner: Learner) -> None:
    print(f"WORKBOOK_SEED={SEED}")
    chance, sizes = random.Random(SEED), list[dict[str, float]]()
    for n in range(ROUNDS):
        learner.round(n, chance)
        if n + 1 >= WARM and (n + 1 - WARM) % max(1, ROUNDS // 20) == 0:
            sizes.append(learner.size())
            print(n + 1, {k: round(v, 1) for k, v in sizes[-1].items()}, flush=True)
    first = sizes[0]

    def at_rest() -> bool:  # the thread that cleans up after a worker ends a moment after it
        sizes.append(learner.size())
        return sizes[-1]["threads"] <= first["threads"] + 1 and sizes[-1]["files"] <= first["files"] + 2

    wait_until(at_rest, f"no more threads and files than {first}", 20)
    assert sizes[-1]["MB"] < first["MB"] + GROWTH, sizes


def test_many_calls_at_once_leave_nothing_behind(learner: Learner) -> None:
    """A function is called from many sides while its workers are killed: every call is answered."""
    functions, done = learner.aws["lambda"], list[Any]()
    chance = random.Random(SEED)
    functions.create_function(
        FunctionName="busy", Role=learner.role, Handler="code.handler", Runtime="python3.13",
        Code={"ZipFile": zipped(1)}, Environment={"Variables": {"SEEN": os.devnull}},
    )  # fmt: skip
    functions.invoke(FunctionName="busy", Payload="{}")
    before = learner.process.num_threads()

    def call() -> None:
        for _ in range(500 if SOAK else 25):
            done.append(functions.invoke(FunctionName="busy", Payload="{}").get("FunctionError"))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        learner.kill_a_worker(chance)
        threads[0].join(0.05)
    assert len(done) == 6 * (500 if SOAK else 25) and set(done) <= {None, "Unhandled"} and None in done
    functions.delete_function(FunctionName="busy")
    wait_until(lambda: not learner.workers(), "the workers to be gone")
    wait_until(lambda: learner.process.num_threads() <= before + 1, "their threads to be gone", 20)
