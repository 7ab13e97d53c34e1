"""A stream's records into a function."""

from __future__ import annotations

import statistics
import time
from typing import Any

import boto3

from ..rows import Selection, read_rows, to_json
from .ground import Ground, make_function

NOTHING = """
import os

def handler(event, context):
    with open(os.environ["COUNTS"], "a") as file:
        file.write(f"{len(event.get('Records', []))}\\n")
    return {}
"""


def measure(ground: Ground) -> dict[str, Any]:
    """Records a second from a stream into a function that does nothing, in batches of 10,000."""
    count, shards, rates = 6_000 if ground.quick else 60_000, 64, []
    with ground.lab():
        kinesis, functions = boto3.client("kinesis"), boto3.client("lambda")
        counts = ground.scratch / "counts"
        make_function("nothing", NOTHING, ["kinesis:*"], COUNTS=str(counts))
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
