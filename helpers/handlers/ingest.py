"""Lambda `test`, behind API Gateway: puts rows into a Kinesis stream.

The event is what the mapping template "Method Request passthrough" makes: `context.http-method` says what
is asked, `body-json` is the request's body. The integration is not a proxy, so what the function returns is
the body of the answer.

GET   returns a greeting
POST  one row, a JSON object                -> {"accepted": 1}
PUT   a list of rows, a JSON array of 1-500 -> {"accepted": n}

It raises "Throttled: ..." when the stream is too busy for as long as the function may run, and "Invalid
request body: ..." for what is no row; the API's integration responses turn these into 429 and 400. After a
429 the client sends the whole request again, so a row may arrive twice: RowId tells which.

STREAM in the environment names the stream. The role needs kinesis:PutRecord and kinesis:PutRecords on it.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

STREAM = os.environ.get("STREAM", "APIdata")

# PutRecords takes 500 records a call and 10 MiB, of which we use half:
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
MOST_RECORDS = 500
MOST_BYTES = 5 * 1024 * 1024

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds
RESERVE = 1.5  # seconds kept back: for the next call, with its one repetition, and to say what happened

BUSY = {"ProvisionedThroughputExceededException", "KMSThrottlingException"}

# Made once, when the container starts, and used by every call it serves. A broken connection is tried once
# more by boto3; a stream that is too busy is dealt with below, where the time that is left is known.
kinesis = boto3.client(
    "kinesis",
    config=Config(retries={"mode": "standard", "total_max_attempts": 2}, parameter_validation=False),
)
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    method = event["context"]["http-method"]
    if method == "GET":
        return {"message": "Hello from Lambda!", "stream": STREAM}
    body = event["body-json"]
    if method == "POST":
        put_one(record(body), context)
        return {"accepted": 1}
    if method == "PUT" and isinstance(body, list) and body:
        for chunk in chunks([record(row) for row in body]):
            put_many(chunk, context)
        return {"accepted": len(body)}
    raise ValueError("Invalid request body: PUT takes a list of one row or more")


def record(row: dict[str, Any]) -> dict[str, Any]:
    """The Kinesis record of a row. An invoice's rows share a key, so they lie on one shard, in order."""
    try:
        return {"Data": to_json(row).encode(), "PartitionKey": row["InvoiceNo"]}
    except (KeyError, TypeError):
        raise ValueError("Invalid request body: a row is a JSON object with an InvoiceNo") from None


def chunks(records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The records in order, cut where one call could not take more."""
    result: list[list[dict[str, Any]]] = [[]]
    size = 0
    for entry in records:
        size += len(entry["Data"]) + len(entry["PartitionKey"].encode())
        if len(result[-1]) == MOST_RECORDS or (size > MOST_BYTES and result[-1]):
            result.append([])
            size = len(entry["Data"]) + len(entry["PartitionKey"].encode())
        result[-1].append(entry)
    return result


def put_one(entry: dict[str, Any], context: Any) -> None:
    attempt = 0
    while True:
        try:
            kinesis.put_record(StreamName=STREAM, **entry)
            return
        except ClientError as error:
            if error.response["Error"]["Code"] not in BUSY:
                raise
            pause(attempt, context, error.response["Error"]["Message"])
            attempt += 1


def put_many(entries: list[dict[str, Any]], context: Any) -> None:
    """Put them all. PutRecords answers 200 also when it took only some: only the others are sent again."""
    attempt = 0
    while True:
        try:
            answer = kinesis.put_records(StreamName=STREAM, Records=entries)
        except ClientError as error:
            if error.response["Error"]["Code"] not in BUSY:
                raise
            reason = error.response["Error"]["Message"]
        else:
            if not answer["FailedRecordCount"]:
                return
            results = answer["Records"]
            entries = [entry for entry, result in zip(entries, results, strict=True) if "ErrorCode" in result]
            reason = next(result["ErrorMessage"] for result in results if "ErrorCode" in result)
        pause(attempt, context, f"{len(entries)} rows not taken, {reason}")
        attempt += 1


def pause(attempt: int, context: Any, reason: str) -> None:
    """Wait a random while, up to twice as long after each attempt; give up before the time is up.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    seconds = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
    if context.get_remaining_time_in_millis() / 1000 - seconds < RESERVE:
        raise RuntimeError(f"Throttled: {reason}")
    time.sleep(seconds)
