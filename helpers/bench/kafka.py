"""The same rows through the platform's buffers: Kinesis, the lab's own broker, and a genuine Apache Kafka.

`workbook bench --only kafka --csv FILE` measures it. Rows go through the API in batches of 500 over 4 connections, with
the triggers switched off; then the trigger of the writer into S3 is switched on, and on Kafka after it that of the
writer into DynamoDB. So each way has the machine to itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from .. import genuine_kafka, reconcile
from ..client import send
from ..lab import open_lab
from ..localaws import server
from ..rows import Selection, read_rows, source_name, to_json
from .ground import Ground

WAIT = 3_000  # seconds for the slowest part, DynamoDB


@contextlib.contextmanager
def _broker(kind: str) -> Iterator[None]:
    """What answers behind the cluster of a lab that is started in this block."""
    if kind != "genuine":
        yield
        return
    with genuine_kafka.running() as kafka:
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap
        try:
            yield
        finally:
            del os.environ["KAFKA_BOOTSTRAP_SERVERS"]


def _switch(trigger: str, on: bool) -> None:
    client, wanted = boto3.client("lambda"), "Enabled" if on else "Disabled"
    client.update_event_source_mapping(UUID=trigger, Enabled=on)
    while client.get_event_source_mapping(UUID=trigger)["State"] != wanted:
        time.sleep(0.02)


def _stored(bucket: str) -> int:
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/")
    return sum(o["Size"] for page in pages for o in page.get("Contents", []))


def _wait(done: Any, what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {WAIT} s still waiting for {what}")
        time.sleep(0.2)


def through(kind: str, csv: Path, rows: int, *, dynamodb: bool = False) -> dict[str, Any]:
    """One buffer ("kinesis", "embedded" or "genuine"), in a lab of its own; rows per second in and out."""
    with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch, _broker(kind):
        folder = Path(scratch) / "lab"
        os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="1800")
        try:
            return _through(kind, csv, rows, dynamodb)
        finally:
            server.stop(folder)


def _through(kind: str, csv: Path, rows: int, dynamodb: bool) -> dict[str, Any]:
    lab = open_lab("local")
    stages = ("02", "03") if kind == "kinesis" else ("02", "09")
    lab.require(*stages, csv=str(csv), rows=1, shards=max(1, min(64, -(-rows // 8_500))))
    ingestion, storage = lab.outputs("02"), lab.outputs(stages[1])
    url, trigger = (ingestion["url"], storage["mapping"]) if kind == "kinesis" else (storage["url"], storage["to_s3"])
    _switch(trigger, on=False)
    if kind != "kinesis":
        _switch(storage["to_dynamodb"], on=False)
    key = boto3.client("apigateway").get_api_key(apiKey=ingestion["api_key_id"], includeValue=True)["value"]
    # Row 1 has gone through with the notebooks.
    new = [*read_rows(csv, Selection(first=rows - 1, offset=1))]
    expected = _stored(storage["bucket"]) + sum(len(to_json(row).encode()) + 1 for row in new)
    started = time.perf_counter()
    report = send(iter(new), url, api_key=key, batch=500, connections=4, progress=False)
    ingested = time.perf_counter()
    _switch(trigger, on=True)
    _wait(lambda: _stored(storage["bucket"]) >= expected, "all rows in S3")
    out = time.perf_counter()
    in_s3 = reconcile.tally(reconcile.object_rows(storage["bucket"], "raw/"))
    result: dict[str, Any] = {
        "rows_per_second_in": round(report.accepted / (ingested - started)),
        "rows_per_second_out": round(report.accepted / (out - ingested)),
        "rows_in_s3": in_s3.rows,
        "revenue_in_s3": format(in_s3.revenue, "f"),
        "requests_sent_again": report.retried,
    }
    if kind == "genuine":
        result["broker"] = f"Apache Kafka {genuine_kafka.VERSION}"
    if dynamodb and kind != "kinesis":
        connection = lab.kafka(storage["bootstrap"])
        topic = reconcile.tally(reconcile.topic_rows(connection, storage["topic"]))
        started = time.perf_counter()
        _switch(storage["to_dynamodb"], on=True)
        group = (connection, storage["topic"], storage["to_dynamodb"])
        _wait(lambda: _committed(*group) >= topic.delivered, "all rows in DynamoDB")
        result["rows_per_second_into_dynamodb"] = round(len(new) / (time.perf_counter() - started))
        written = reconcile.tally(reconcile.table_rows(storage["invoices_table"], source_name(csv)))
        result |= {"rows_in_dynamodb": written.rows, "revenue_in_dynamodb": format(written.revenue, "f")}
        result |= {"rows_in_topic": topic.rows, "revenue_in_topic": format(topic.revenue, "f")}
        result |= {"records_in_topic": topic.delivered}
    return result


def _committed(connection: dict[str, Any], topic: str, group: str) -> int:
    """How many records a consumer group has done, from the first offset on."""
    from kafka import KafkaConsumer, TopicPartition

    with contextlib.closing(KafkaConsumer(**connection, group_id=group, enable_auto_commit=False)) as consumer:
        partitions = consumer.partitions_for_topic(topic) or ()
        return sum(consumer.committed(TopicPartition(topic, number)) or 0 for number in partitions)


def through_all(csv: Path, rows: int, *, dynamodb: bool = False) -> dict[str, Any]:
    """All three, one after the other; without the genuine one where Java or Maven is missing, which is then said."""
    results: dict[str, Any] = {"file": csv.name, "rows": rows, "partitions": 4}
    for kind in ("kinesis", "embedded", "genuine"):
        if kind == "genuine" and (reason := genuine_kafka.why_not()):
            print(f"left out: {reason}", file=sys.stderr)
            continue
        print(f"{rows} rows through {kind} …", flush=True)
        results[kind] = through(kind, csv, rows, dynamodb=dynamodb)
        print(json.dumps(results[kind]), flush=True)
    return results


def measure(ground: Ground) -> dict[str, Any]:
    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    return {"kafka": through_all(ground.csv, min(total, 2_000 if ground.quick else total), dynamodb=True)}
