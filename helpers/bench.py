"""`make bench`: what the platform does on this machine, written as a table and to data/bench.json.

Machines differ and are noisy, so what can be compared is measured in one run, in turns, and given as a ratio; CPU time
is what depends least on the neighbours. The floor of the way of a single row is what it cannot do without: the same
client on a server that does nothing, and boto3's put_record on a server that does nothing.

`--only rows,batches` measures these groups and leaves the others' figures as they are.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import reconcile
from .client import Report, send
from .lab import ROOT, Lab, open_lab
from .localaws import server
from .rows import Selection, read_rows, source_name, to_json

TARGET = ROOT / "data" / "bench.json"
PEER = "ministack==1.5.33"  # the nearest project of its kind (MIT), as it comes from PyPI
NOOP_ANSWER = (
    b'{"ShardId":"shardId-000000000000","SequenceNumber":"49600000000000000000000000000000000000000000000000000000"}'
)


def bench_figures() -> dict[str, Any]:
    """The figures of data/bench.json, for a notebook that shows them."""
    figures: dict[str, Any] = json.loads(TARGET.read_text())
    return figures


@contextmanager
def _helper_process(*arguments: str) -> Iterator[str]:
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


def _noop_server() -> None:
    """Answers every request as a successful put_record, at once."""
    import asyncio

    from .localaws import front_door
    from .localaws.types import Response

    async def serve() -> None:
        answer = Response(200, NOOP_ANSWER, {"Content-Type": "application/x-amz-json-1.1"})
        listening, _ = await front_door.listen(lambda _: answer)
        print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


def _memory_mb(pid: int) -> float | None:
    """The most memory that a process has used, in MB; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def _rate(count: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


class _Platform:
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


def _whole_file(csv: Path, first: int | None, shards: int, folder: Path) -> dict[str, Any]:
    """Batches of 500 over 4 connections through everything, in a lab of its own.

    As in the notebooks, the trigger comes when the rows are in the stream: each part has the machine to itself.
    """
    stage = _Platform(folder, shards, csv)
    pid = server.find(folder)
    assert pid is not None
    before = stage.stored_bytes()
    # Row 1 has gone through with the notebooks; it is left out here, so that every row is stored once.
    expected = sum(len(to_json(r).encode()) + 1 for r in read_rows(csv, Selection(first=first and first - 1, offset=1)))
    stage.trigger(enabled=False)
    started, cpu = time.perf_counter(), _Cpu(pid.pid)
    report = stage.send(csv, first and first - 1, 500, 4, offset=1)
    ingested, spent = time.perf_counter() - started, cpu.spent(report.accepted)
    stage.trigger(enabled=True)
    while stage.stored_bytes() < before + expected and time.perf_counter() - started < 600:
        time.sleep(0.25)
    stored = time.perf_counter() - started
    in_s3 = reconcile.tally(reconcile.object_rows(stage.bucket, stage.prefix))
    result = {
        "rows": report.accepted,
        "shards": shards,
        "ingestion_seconds": round(ingested, 2),
        "all_in_s3_seconds": round(stored, 2),
        "rows_per_second": round(report.accepted / ingested),
        "rows_per_second_into_s3": round(report.accepted / stored),
        "requests_sent_again": report.retried,
        "rows_in_s3": in_s3.rows,
        "revenue_in_s3": format(in_s3.revenue, "f"),
        "lab_memory_mb": _memory_mb(pid.pid),
        "cpu_microseconds_a_row": spent,
    }
    server.stop(folder)
    return result


class _Cpu:
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


class _Ground:
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
            os.environ.clear()
            os.environ.update(before)
            boto3.setup_default_session()


def _batches(ground: _Ground) -> dict[str, Any]:
    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    part = min(total, 2_000 if ground.quick else 50_000)
    shards = max(1, min(64, -(-total // 8_500)))
    some = _whole_file(ground.csv, part, shards, ground.scratch / "part")
    if total == part or ground.quick:
        return {"batches_part": some}
    whole = _whole_file(ground.csv, total, shards, ground.scratch / "all")
    ratio = whole["rows_per_second"] / some["rows_per_second"]
    return {"batches_part": some, "batches_all": whole, "all_to_part_rate": round(ratio, 3)}


def _rows(ground: _Ground) -> dict[str, Any]:
    """One row a request, in turns with its floors; medians. The trigger is off, so that nothing else is at work."""
    count, pairs = (200, 2) if ground.quick else (1_500, 5)
    folder = ground.scratch / "rows"
    stage = _Platform(folder, 4, ground.csv)
    info = server.find(folder)
    assert info is not None
    stage.trigger(enabled=False)
    kinesis_rows = [(to_json(r).encode(), r["InvoiceNo"]) for r in read_rows(ground.csv, Selection(first=count))]
    samples: dict[str, list[float]] = {k: [] for k in ("platform_1", "platform_8", "echo_1", "echo_8", "put_record")}
    cpu: dict[str, list[int]] = {}
    with _helper_process("helpers.echo") as echo, _helper_process("helpers.bench", "--noop") as noop:
        bare = boto3.client("kinesis", endpoint_url=noop, config=Config(retries={"total_max_attempts": 1}))

        def put_all() -> None:
            for data, key in kinesis_rows:
                bare.put_record(StreamName=stage.stream, Data=data, PartitionKey=key)

        def client(url: str, connections: int) -> Callable[[], Report]:
            key, rows = stage.api_key if url == stage.url else None, Selection(first=count)
            return lambda: send(read_rows(ground.csv, rows), url, api_key=key, connections=connections, progress=False)

        client(stage.url, 8)()  # every worker is warm before anything is counted
        put_all()
        for _ in range(pairs):
            spent = _Cpu(info.pid)
            samples["platform_1"].append(_rate(count, client(stage.url, 1)))
            for who, microseconds in spent.spent(count).items():
                cpu.setdefault(who, []).append(microseconds)
            spent = _Cpu(info.pid)
            samples["put_record"].append(_rate(count, put_all))
            cpu.setdefault("put_record", []).append(spent.spent(count)["client"])
            samples["echo_1"].append(_rate(count, client(echo, 1)))
            samples["platform_8"].append(_rate(count, client(stage.url, 8)))
            samples["echo_8"].append(_rate(count, client(echo, 8)))
    server.stop(folder)
    result = {
        "rows": count,
        "pairs": pairs,
        **{f"{k}_rows_per_second": round(statistics.median(v)) for k, v in samples.items()},
        "platform_1_to_put_record": _ratio(samples["platform_1"], samples["put_record"], 3),
        "echo_1_to_platform_1": _ratio(samples["echo_1"], samples["platform_1"], 2),
        "cpu_microseconds_a_row": {who: round(statistics.median(found)) for who, found in cpu.items()},
    }
    return {"row_by_row": result}


def _ratio(above: list[float], below: list[float], digits: int) -> float:
    """The median of the pairs' ratios."""
    return round(statistics.median(a / b for a, b in zip(above, below, strict=True)), digits)


# A small pipeline in plain boto3: on an empty lab, and on the peer.

NOTHING = """
import os

def handler(event, context):
    with open(os.environ["COUNTS"], "a") as file:
        file.write(f"{len(event.get('Records', []))}\\n")
    return {}
"""
ROW_BY_ROW = """
import boto3, json, os

kinesis = boto3.client("kinesis")

def handler(event, context):
    {say}
    row = json.loads(event["body"])
    kinesis.put_record(StreamName="APIdata", Data=event["body"], PartitionKey=row["InvoiceNo"])
    return {{"statusCode": 200, "body": '{{"accepted": 1}}'}}
"""


def _function(name: str, code: str, actions: list[str], endpoint: str | None = None, **variables: str) -> str:
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


def _deploy(endpoint: str, say: str) -> str:
    """API Gateway → Lambda → Kinesis, by proxy integration; returns the API's address. `say`: a line in the handler."""
    boto3.client("kinesis", endpoint_url=endpoint).create_stream(StreamName="APIdata", ShardCount=4)
    function = _function("test", ROW_BY_ROW.format(say=say), ["kinesis:PutRecord"], endpoint)
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


def _invoke(ground: _Ground) -> dict[str, Any]:
    """Lambda by boto3, of a function that imports boto3: a warm call, and a cold one."""
    count, warm, cold = 50 if ground.quick else 300, [], []
    with ground.lab():
        _function("test", "import boto3\nclient = boto3.client('kinesis')\ndef handler(*_): return 1", [])
        client = boto3.client("lambda")
        for n in range(5):
            client.update_function_configuration(FunctionName="test", Description=f"cold start {n}")
            cold.append(1 / _rate(1, lambda: client.invoke(FunctionName="test")))
        for _ in range(count):
            warm.append(1 / _rate(1, lambda: client.invoke(FunctionName="test")))
    result = {"warm_ms": round(statistics.median(warm) * 1000, 2), "cold_ms": round(statistics.median(cold) * 1000)}
    return {"lambda": result}


def _trigger(ground: _Ground) -> dict[str, Any]:
    """Records a second from a stream into a function that does nothing, in batches of 10,000."""
    count, shards, rates = 6_000 if ground.quick else 60_000, 64, []
    with ground.lab():
        kinesis, functions = boto3.client("kinesis"), boto3.client("lambda")
        counts = ground.scratch / "counts"
        _function("nothing", NOTHING, ["kinesis:*"], COUNTS=str(counts))
        kinesis.create_stream(StreamName="many", ShardCount=shards)
        stream = kinesis.describe_stream_summary(StreamName="many")["StreamDescriptionSummary"]["StreamARN"]
        rows = [to_json(r).encode() for r in read_rows(ground.csv, Selection(first=500))]
        for start in range(0, count, 500):
            records = [{"Data": r, "PartitionKey": f"{start}-{n}"} for n, r in enumerate(rows)][: count - start]
            answer = kinesis.put_records(StreamName="many", Records=records)
            assert not answer["FailedRecordCount"]
        for _ in range(1 if ground.quick else 3):
            counts.write_text("")
            functions.invoke(FunctionName="nothing", Payload="{}")  # warm

            def consume() -> None:
                while sum(map(int, counts.read_text().split())) < count:
                    time.sleep(0.002)

            started = time.perf_counter()
            mapping = functions.create_event_source_mapping(
                EventSourceArn=stream, FunctionName="nothing", StartingPosition="TRIM_HORIZON", BatchSize=10_000
            )["UUID"]
            consume()
            rates.append(count / (time.perf_counter() - started))
            functions.delete_event_source_mapping(UUID=mapping)
            while functions.list_event_source_mappings()["EventSourceMappings"]:
                time.sleep(0.02)
    result = {"records": count, "shards": shards, "records_per_second": round(statistics.median(rates))}
    return {"trigger": result}


def _latency(ground: _Ground) -> dict[str, Any]:
    """From put_record to the object in S3, one record at a time, with no batching window."""
    count, found = 20 if ground.quick else 300, []
    with ground.lab():
        kinesis, s3 = boto3.client("kinesis"), boto3.client("s3")
        s3.create_bucket(Bucket="bench")
        code = (ROOT / "helpers" / "handlers" / "raw_storage.py").read_text() + "\n\nhandler = lambda_handler\n"
        _function("store", code, ["kinesis:*", "s3:*"], BUCKET="bench")
        kinesis.create_stream(StreamName="one", ShardCount=1)
        stream = kinesis.describe_stream_summary(StreamName="one")["StreamDescriptionSummary"]["StreamARN"]
        boto3.client("lambda").create_event_source_mapping(
            EventSourceArn=stream, FunctionName="store", StartingPosition="TRIM_HORIZON", BatchSize=100
        )
        for n, row in enumerate(read_rows(ground.csv, Selection(first=count + 5))):
            started = time.perf_counter()
            put = kinesis.put_record(StreamName="one", Data=to_json(row), PartitionKey="x")
            name = f"raw/{time.strftime('%Y/%m/%d/%H', time.gmtime())}/{put['ShardId']}-"
            key = f"{name}{put['SequenceNumber']}-{put['SequenceNumber']}.jsonl"
            while time.perf_counter() - started < 30:
                with suppress(ClientError):
                    s3.head_object(Bucket="bench", Key=key)
                    break
                time.sleep(0.002)
            if n >= 5:  # the first ones are the function's cold start
                found.append((time.perf_counter() - started) * 1000)
            time.sleep(0.02)
    found.sort()
    return {"put_to_s3": {"records": count, **{f"p{p}_ms": round(found[count * p // 100], 1) for p in (50, 95, 99)}}}


def _start(ground: _Ground) -> dict[str, Any]:
    """From nothing to a lab that answers, and what one costs that has a function, a stream and nothing to do."""
    seconds = []
    for n in range(2 if ground.quick else 5):
        folder = ground.scratch / f"start{n}"
        seconds.append(1 / _rate(1, lambda at=folder: server.start(at, idle_exit=60)))  # type: ignore[misc]
        server.stop(folder)
    with ground.lab() as info:
        _deploy(info.endpoint, "pass")
        boto3.client("lambda").invoke(FunctionName="test", Payload='{"body": "{\\"InvoiceNo\\": \\"1\\"}"}')
        time.sleep(1.5)  # what was begun is done
        process, rest = psutil.Process(info.pid), 3 if ground.quick else 15
        before = sum(process.cpu_times()[:2])
        time.sleep(rest)
        idle = (sum(process.cpu_times()[:2]) - before) / rest * 100
    return {"start": {"ready_seconds": round(statistics.median(seconds), 2), "idle_cpu_percent": round(idle, 2)}}


def _transactions(ground: _Ground) -> dict[str, Any]:
    """What an item in a transaction costs, with more and more items in the table."""
    result: dict[str, Any] = {}
    with ground.lab():
        db, held = boto3.client("dynamodb"), 0
        key = [{"AttributeName": "id", "KeyType": "HASH"}]
        kinds = [{"AttributeName": "id", "AttributeType": "S"}]
        db.create_table(TableName="t", KeySchema=key, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST")

        def item(name: str) -> dict[str, Any]:
            return {"id": {"S": name}, "Quantity": {"N": "6"}, "Country": {"S": "United Kingdom"}}

        for size in (1_000, 3_000) if ground.quick else (1_000, 10_000, 100_000, 500_000):
            while held < size:
                requests = [{"PutRequest": {"Item": item(f"{held + n}")}} for n in range(25)]
                db.batch_write_item(RequestItems={"t": requests})
                held += 25
            times = []
            for n in range(40):
                puts = [{"Put": {"TableName": "t", "Item": item(f"{n}-{m}")}} for m in range(25)]
                times.append(1 / _rate(25, lambda of=puts: db.transact_write_items(TransactItems=of)))  # type: ignore[misc]
            result[f"ms_an_item_at_{size}"] = round(statistics.median(times) * 1000, 3)
    values = list(result.values())
    return {"transactions": {**result, "last_to_first": round(values[-1] / values[0], 2)}}


@contextmanager
def _peer(scratch: Path, port: int) -> Iterator[str]:
    """MiniStack in an environment of its own, made here, with AUTH on."""
    home = scratch / "peer"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", PEER, "boto3"], check=True)
    keys = {"AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCH1", "AWS_SECRET_ACCESS_KEY": "bench"}
    region = {"AWS_DEFAULT_REGION": server.REGION}
    os.environ.update(keys | region)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    boto3.setup_default_session()
    with (scratch / "peer.log").open("wb") as log:
        path = f"{home / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "GATEWAY_PORT": str(port), "AUTH": "true", "PATH": path}
        process = subprocess.Popen([home / "bin" / "ministack"], env=environment, cwd=scratch, stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise server.LabError(f"{PEER} did not start: {(scratch / 'peer.log').read_text()[-300:]}")
            with suppress(BotoCoreError):
                boto3.client("sts", endpoint_url=endpoint).get_caller_identity()
                break
            time.sleep(0.1)
        yield endpoint
    finally:
        process.terminate()
        process.wait(20)


def _against_the_peer(ground: _Ground) -> dict[str, Any]:
    """The same pipeline on this lab and on MiniStack, in turns. Its handler prints a line: without one it waits."""
    count, pairs = (50, 2) if ground.quick else (300, 5)
    rates: dict[str, list[float]] = {f"{who}_{n}": [] for who in ("lab", "peer") for n in (1, 8)}
    before = dict(os.environ)
    try:
        with ground.lab() as info:
            ours = _deploy(info.endpoint, "pass")
            with _peer(ground.scratch, info.port + 1 if info.port < 65_000 else 4_566) as endpoint:
                theirs = _deploy(endpoint, "print('a row')")
                for turn in range(pairs + 1):
                    for who, url in (("lab", ours), ("peer", theirs)):
                        for n in (1, 8):
                            rows = Selection(first=count)
                            report = send(read_rows(ground.csv, rows), url, connections=n, progress=False)
                            if turn:  # the first one starts the workers
                                rates[f"{who}_{n}"].append(report.rows_per_second)
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()
    result = {f"{name}_rows_per_second": round(statistics.median(found)) for name, found in rates.items()}
    ratios = {f"lab_to_peer_{n}": _ratio(rates[f"lab_{n}"], rates[f"peer_{n}"], 2) for n in (1, 8)}
    return {"peer": {"peer": PEER, "rows": count, **result, **ratios}}


def _items(ground: _Ground) -> dict[str, Any]:
    """The file's rows from the stream into DynamoDB, by notebook 04's function and trigger, without a second reader."""
    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    first = min(total, 2_000) if ground.quick else total
    folder, before = ground.scratch / "items", dict(os.environ)
    stage = _Platform(folder, max(1, min(64, -(-first // 8_500))), ground.csv)
    try:
        pid = server.find(folder)
        assert pid is not None
        stage.trigger(enabled=False)
        stage.lab.require("04")
        outputs = stage.lab.outputs("04")
        stage.mapping = outputs["mapping"]
        stage.trigger(enabled=False)
        report, group = stage.send(ground.csv, first, 500, 4), f"/aws/lambda/{outputs['function']}"

        def counted() -> int:
            pages = boto3.client("logs").get_paginator("filter_log_events")
            found = pages.paginate(logGroupName=group, filterPattern='"records"')
            return sum(json.loads(event["message"])["records"] for page in found for event in page["events"])

        wanted, started, cpu = counted() + report.accepted, time.perf_counter(), _Cpu(pid.pid)
        stage.trigger(enabled=True)
        while counted() < wanted and time.perf_counter() - started < 1_800:
            time.sleep(0.5)
        seconds, spent = time.perf_counter() - started, cpu.spent(report.accepted)
        kept = reconcile.tally(reconcile.table_rows(outputs["invoices_table"], source_name(ground.csv)))
        return {
            "items": {
                "rows": kept.rows,
                "seconds": round(seconds, 1),
                "rows_per_second": round(report.accepted / seconds),
                "revenue": format(kept.revenue, "f"),
                "lab_memory_mb": _memory_mb(pid.pid),
                "cpu_microseconds_a_row": spent,
            }
        }
    finally:
        server.stop(folder)
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


def _api(ground: _Ground) -> dict[str, Any]:
    """Notebook 05's API: how long a question takes at 1, 8 and 32 connections, and every invoice read through it."""
    from .fetch import fetch, latency

    folder, before = ground.scratch / "api", dict(os.environ)
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="1800")
    try:
        lab = open_lab("local")
        lab.require("02", "04", "05", csv=str(ground.csv), rows=1_000 if ground.quick else 0)
        sent, url = lab.outputs("02"), lab.outputs("05")["url"]
        key = boto3.client("apigateway").get_api_key(apiKey=sent["api_key_id"], includeValue=True)["value"]
        rows = reconcile.sent_rows(sent["csv"], int(sent["rows"]), sent["refused"])
        paths = [f"/invoices/{number}" for number in dict.fromkeys(row["InvoiceNo"] for row in rows)]
        some = [paths[n * len(paths) // 1000] for n in range(100 if ground.quick else 1000)]
        list(fetch(url, some[:100], api_key=key, connections=32))  # every worker is warm before anything is counted
        figures = {str(n): latency(url, some, api_key=key, connections=n) for n in (1, 8, 32)}
        started = time.perf_counter()
        lines = sum(len(answer.json()["Items"]) for answer in fetch(url, paths, api_key=key, connections=8))
        seconds = time.perf_counter() - started
        whole = {"invoices": len(paths), "lines": lines, "seconds": round(seconds, 1)}
        return {"api": {"connections": figures, "all": whole | {"lines_per_second": round(lines / seconds)}}}
    finally:
        server.stop(folder)
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


def _kafka(ground: _Ground) -> dict[str, Any]:
    from . import bench_kafka

    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    return {"kafka": bench_kafka.measure(ground.csv, min(total, 2_000 if ground.quick else total))}


def _warehouse(ground: _Ground) -> dict[str, Any]:
    """Notebook 06's warehouse: one COPY of all files of Firehose's, the MERGE of all lines, the ten questions.

    Each three times, in turns; the medians, in seconds by the clock and of the engine's processor time.
    """
    from .warehouse import question, questions, run, run_all, statements

    folder, before = ground.scratch / "warehouse", dict(os.environ)
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="1800")
    try:
        lab = open_lab("local")
        lab.require("02", "06", csv=str(ground.csv), rows=1_000 if ground.quick else 0)
        out, info = lab.outputs("06"), server.find(folder)
        assert info is not None
        engine = next(
            child
            for child in psutil.Process(info.pid).children()
            if any("warehouse.engine" in part for part in child.cmdline())
        )
        run("CREATE TABLE bench_copy (LIKE staging_sales)")
        files = f"FROM 's3://{out['bucket']}/{out['prefix']}' IAM_ROLE '{out['role_arn']}'"
        load = f"COPY bench_copy {files} JSON 's3://{out['bucket']}/jsonpaths/sales.json' GZIP"
        work: dict[str, Callable[[], Any]] = {
            "copy": lambda: run(load),
            "merge": lambda: run_all(statements("merge_sales")),
            "ten_questions": lambda: [run(question(name)) for name in questions()],
        }
        samples: dict[str, list[float]] = {f"{name}_{kind}": [] for name in work for kind in ("seconds", "cpu_seconds")}
        for _ in range(3):
            run("DELETE FROM bench_copy")
            for name, step in work.items():
                started, used = time.perf_counter(), sum(engine.cpu_times()[:2])
                step()
                samples[f"{name}_seconds"].append(time.perf_counter() - started)
                samples[f"{name}_cpu_seconds"].append(sum(engine.cpu_times()[:2]) - used)
        staged = int(run("SELECT COUNT(*) AS n FROM bench_copy")["n"][0])
        found = reconcile.stages(lab, "client", "redshift")
        return {
            "warehouse": {
                "lines_copied": staged,
                **{name: round(statistics.median(values), 2) for name, values in samples.items()},
                "rows_in_fact": found["redshift"]["rows"],
                "revenue_in_fact": found["redshift"]["revenue"],
                "equal_to_the_file": found["redshift"] == found["client"],
                "engine_memory_mb": _memory_mb(engine.pid),
            }
        }
    finally:
        server.stop(folder)
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


def _batch(ground: _Ground) -> dict[str, Any]:
    """The batch job's transformation by itself: rows a second of a processor's time, memory for each row of a day."""
    os.environ.setdefault("AWS_DEFAULT_REGION", server.REGION)  # the handler makes its clients when it is imported
    spec = importlib.util.spec_from_file_location("batch_job", ROOT / "helpers" / "handlers" / "batch_job.py")
    assert spec and spec.loader
    batch_job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(batch_job)
    days: dict[str, list[bytes]] = {}
    for row in read_rows(ground.csv, Selection(first=2_000 if ground.quick else None), on_refused=lambda _: None):
        line = to_json(row).encode()
        days.setdefault(batch_job.day_of(line), []).append(line)
    rows, began = 0, time.process_time()
    for lines in days.values():
        rows += len(batch_job.transform(lines)["rows"])
    took = time.process_time() - began
    tracemalloc.start()
    largest = max(days.values(), key=len)
    made = batch_job.transform(largest)
    memory = tracemalloc.get_traced_memory()[1] / len(made["rows"]) + sum(map(len, largest)) / len(largest)
    tracemalloc.stop()
    found = {"rows": rows, "days": len(days), "rows_per_second": round(rows / took), "bytes_a_row": round(memory)}
    return {"batch": found}


GROUPS: dict[str, Callable[[_Ground], dict[str, Any]]] = {
    "batches": _batches,
    "rows": _rows,
    "invoke": _invoke,
    "trigger": _trigger,
    "latency": _latency,
    "start": _start,
    "transactions": _transactions,
    "batch": _batch,
    "items": _items,
    "api": _api,
    "kafka": _kafka,
    "warehouse": _warehouse,
    "peer": _against_the_peer,
}


def measure(csv: Path, groups: list[str], *, quick: bool = False) -> dict[str, Any]:
    """The figures of these groups; `quick` with few rows, to see that it works."""
    machine = {"system": platform.system(), "python": platform.python_version(), "cores": os.cpu_count()}
    results: dict[str, Any] = {"machine": machine, "file": csv.name}
    with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
        for name in groups:
            print(f"{name} …", flush=True)
            results |= GROUPS[name](_Ground(csv, Path(scratch), quick))
    return results


def table(results: dict[str, Any]) -> str:
    """The figures as lines of two columns."""
    lines = []
    for group, values in results.items():
        for name, value in values.items() if isinstance(values, dict) else [("", values)]:
            lines.append(f"{(group + '.' + name).rstrip('.'):<50} {value}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workbook bench", description=__doc__)
    parser.add_argument("--csv", type=Path, help="the file to send (default: 541,909 generated rows)")
    parser.add_argument("--only", default="", metavar="GROUPS", help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--peer", action="store_true", help=f"also {PEER}, installed into a folder that goes again")
    parser.add_argument("--quick", action="store_true", help="few rows, nothing written")
    parser.add_argument("--noop", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.noop:
        _noop_server()
        return 0
    groups = [g for g in options.only.split(",") if g] or [g for g in GROUPS if g != "peer"]
    groups += ["peer"] * (options.peer and "peer" not in groups)
    if unknown := set(groups) - GROUPS.keys():
        parser.error(f"--only knows {', '.join(GROUPS)}, not {', '.join(sorted(unknown))}")
    before = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
            csv = options.csv
            if csv is None:
                csv = Path(scratch) / "generated.csv"
                rows = "20000" if options.quick else "541909"
                subprocess.run(
                    [sys.executable, ROOT / "data" / "generate.py", "--rows", rows, "--out", csv],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            results = measure(csv.resolve(), groups, quick=options.quick)
    finally:
        os.environ.clear()
        os.environ.update(before)
    print(table(results))
    if not options.quick:
        known = json.loads(TARGET.read_text()) if TARGET.exists() else {}
        TARGET.write_text(json.dumps(known | results, indent=2) + "\n")
        print(f"Written to {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
