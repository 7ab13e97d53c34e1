"""From a record to its object."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ..lab import ROOT
from ..rows import Selection, read_rows, to_json
from .ground import Ground, make_function


def measure(ground: Ground) -> dict[str, Any]:
    """From put_record to the object in S3, one record at a time, with no batching window."""
    count, found = 20 if ground.quick else 300, []
    with ground.lab():
        kinesis, s3 = boto3.client("kinesis"), boto3.client("s3")
        s3.create_bucket(Bucket="bench")
        code = (ROOT / "helpers" / "handlers" / "raw_storage.py").read_text() + "\n\nhandler = lambda_handler\n"
        make_function("store", code, ["kinesis:*", "s3:*"], BUCKET="bench")
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
