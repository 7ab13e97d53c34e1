"""Lambda with a trigger on a Kinesis stream: stores what it got, as it came, as one file of JSON lines in S3.

The file's name is made of what it holds, raw/YYYY/MM/DD/HH/<shard>-<first sequence number>-<last>.jsonl, by
the UTC hour in which the first record arrived. Kinesis hands a batch over again when anything failed; it
then has the same name, S3 is asked to write only what is not there (If-None-Match: *), and nothing changes.
Nothing is ever overwritten.

What is there already is believed only when it is the same: the object carries the SHA-256 of its content,
and one that differs raises an error. Otherwise a stream that was deleted and made anew, and counts from the
start again, could lose rows without a word. (ETag would not do: it is no MD5 once the bucket encrypts with
KMS.)

BUCKET in the environment names the bucket. The role needs s3:PutObject and, for that comparison,
s3:GetObject on arn:aws:s3:::<bucket>/raw/*, besides AWSLambdaKinesisExecutionRole's rights on the stream.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from binascii import a2b_base64
from typing import Any

import boto3
from botocore.exceptions import ClientError

BUCKET = os.environ.get("BUCKET", "")

s3 = boto3.client("s3")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The event has 1-10,000 records of one shard.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    records = event["Records"]
    lines = [line_of(record) for record in records]
    lines.append(b"")  # every line ends, the last one too
    return {"rows": len(records), "key": store(key_of(records), b"\n".join(lines), len(records))}


def line_of(record: dict[str, Any]) -> bytes:
    """The row's bytes as the client's row left the API; they are read only to see that they are one."""
    data = a2b_base64(record["kinesis"]["data"])
    try:
        row = json.loads(data.decode())
        row["RowId"]
    except (ValueError, KeyError, TypeError):
        number, shown = record["kinesis"]["sequenceNumber"], data[:80].decode("utf-8", "replace")
        raise ValueError(f"record {number} is no JSON row with a RowId: {shown}") from None
    # A line break is no harm in JSON, but it would make two lines of one row.
    return data if b"\n" not in data else json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def key_of(records: list[dict[str, Any]]) -> str:
    first, last = records[0], records[-1]
    arrival = dt.datetime.fromtimestamp(first["kinesis"]["approximateArrivalTimestamp"], dt.UTC)
    shard = first["eventID"].split(":")[0]
    numbers = f"{first['kinesis']['sequenceNumber']}-{last['kinesis']['sequenceNumber']}"
    return f"raw/{arrival:%Y/%m/%d/%H}/{shard}-{numbers}.jsonl"


def store(key: str, body: bytes, rows: int) -> str:
    digest = hashlib.sha256(body).hexdigest()
    try:
        s3.put_object(
            Bucket=BUCKET,
            Key=key,
            Body=body,
            ContentType="application/x-ndjson",
            IfNoneMatch="*",  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            Metadata={"sha256": digest, "rows": str(rows)},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        there = s3.head_object(Bucket=BUCKET, Key=key)["Metadata"].get("sha256")
        if there != digest:
            raise RuntimeError(f"s3://{BUCKET}/{key} is there already, with other content: move it away") from None
    return key
