"""`make bench`: what the platform does on this machine, written as a table and to data/bench.json.

Machines differ and are noisy, so what can be compared is measured in one run, in turns, and given as a ratio. The floor
of the way of a single row is what it cannot do without: the same client on a server that does nothing, and boto3's
put_record on a server that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from . import reconcile
from .client import Report, send
from .lab import ROOT, Lab, lab_folder, open_lab
from .localaws import server
from .rows import Selection, read_rows, to_json

TARGET = ROOT / "data" / "bench.json"
NOOP_ANSWER = (
    b'{"ShardId":"shardId-000000000000","SequenceNumber":"49600000000000000000000000000000000000000000000000000000"}'
)


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
    started = time.perf_counter()
    report = stage.send(csv, first and first - 1, 500, 4, offset=1)
    ingested = time.perf_counter() - started
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
    }
    server.stop(folder)
    return result


def _row_by_row(csv: Path, stage: _Platform, count: int, pairs: int) -> dict[str, Any]:
    """One row a request, in turns with its floors; medians of `pairs` turns."""
    kinesis_rows = [(to_json(r).encode(), r["InvoiceNo"]) for r in read_rows(csv, Selection(first=count))]
    samples: dict[str, list[float]] = {k: [] for k in ("platform_1", "platform_8", "echo_1", "echo_8", "put_record")}
    with _helper_process("helpers.echo") as echo, _helper_process("helpers.bench", "--noop") as noop:
        bare = boto3.client("kinesis", endpoint_url=noop, config=Config(retries={"total_max_attempts": 1}))

        def put_all() -> None:
            for data, key in kinesis_rows:
                bare.put_record(StreamName=stage.stream, Data=data, PartitionKey=key)

        def client(url: str, connections: int) -> Callable[[], Report]:
            key = stage.api_key if url == stage.url else None
            return lambda: send(
                read_rows(csv, Selection(first=count)),
                url,
                api_key=key,
                connections=connections,
                progress=False,
            )

        client(stage.url, 8)()  # every worker is warm before anything is counted
        put_all()
        for _ in range(pairs):
            samples["platform_1"].append(_rate(count, client(stage.url, 1)))
            samples["put_record"].append(_rate(count, put_all))
            samples["echo_1"].append(_rate(count, client(echo, 1)))
            samples["platform_8"].append(_rate(count, client(stage.url, 8)))
            samples["echo_8"].append(_rate(count, client(echo, 8)))
    ratios = [p / f for p, f in zip(samples["platform_1"], samples["put_record"], strict=True)]
    return {
        "rows": count,
        "pairs": pairs,
        **{f"{k}_rows_per_second": round(statistics.median(v)) for k, v in samples.items()},
        "platform_1_to_put_record": round(statistics.median(ratios), 3),
        "echo_1_to_platform_1": round(
            statistics.median(e / p for e, p in zip(samples["echo_1"], samples["platform_1"], strict=True)), 2
        ),
    }


def _invocations(stage: _Platform, count: int = 300) -> dict[str, Any]:
    """Lambda by boto3: a warm call, and a cold one."""
    del stage
    client = boto3.client("lambda")
    event = json.dumps({"context": {"http-method": "GET"}})
    warm, cold = [], []
    for n in range(3):
        client.update_function_configuration(FunctionName="test", Description=f"cold start {n}")
        started = time.perf_counter()
        client.invoke(FunctionName="test", Payload=event)
        cold.append(time.perf_counter() - started)
    for _ in range(count):
        started = time.perf_counter()
        client.invoke(FunctionName="test", Payload=event)
        warm.append(time.perf_counter() - started)
    return {
        "warm_ms": round(statistics.median(warm) * 1000, 2),
        "cold_ms": round(statistics.median(cold) * 1000),
    }


def measure(csv: Path, *, quick: bool = False) -> dict[str, Any]:
    """All measurements; `quick` with few rows, to see that it works."""
    results: dict[str, Any] = {
        "machine": {
            "system": platform.system(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        },
        "file": csv.name,
    }
    total = sum(1 for _ in read_rows(csv, on_refused=lambda _: None))
    part = min(total, 2_000 if quick else 50_000)
    shards = max(1, min(64, -(-total // 8_500)))
    with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
        folder = Path(scratch) / "part"
        print(f"{part} rows in batches …", flush=True)
        results["batches_part"] = _whole_file(csv, part, shards, folder)
        if total > part and not quick:
            print(f"{total} rows in batches …", flush=True)
            results["batches_all"] = _whole_file(csv, total, shards, Path(scratch) / "all")
            whole, some = (
                results["batches_all"]["rows_per_second"],
                results["batches_part"]["rows_per_second"],
            )
            results["all_to_part_rate"] = round(whole / some, 3)
        print("row by row, in turns with its floors …", flush=True)
        folder = Path(scratch) / "rows"
        stage = _Platform(folder, 4, csv)
        try:
            results["row_by_row"] = _row_by_row(csv, stage, 200 if quick else 1_500, 2 if quick else 5)
            results["lambda"] = _invocations(stage, 50 if quick else 300)
        finally:
            server.stop(folder)
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
    parser.add_argument("--quick", action="store_true", help="few rows, nothing written")
    parser.add_argument("--noop", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.noop:
        _noop_server()
        return 0
    before = lab_folder()
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
        results = measure(csv.resolve(), quick=options.quick)
    os.environ["WORKBOOK_LAB"] = str(before)
    print(table(results))
    if not options.quick:
        TARGET.write_text(json.dumps(results, indent=2) + "\n")
        print(f"Written to {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
