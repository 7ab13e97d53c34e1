"""The simplest Lambda that puts a row into a Kinesis stream; ingest.py is what becomes of it."""

import json
from typing import Any

import boto3


def lambda_handler(event: Any, context: Any) -> Any:
    method = event["context"]["http-method"]
    if method == "GET":
        return {"message": "Hello from Lambda!"}
    if method == "POST":
        row = event["body-json"]
        kinesis = boto3.client("kinesis")
        kinesis.put_record(StreamName="APIdata", Data=json.dumps(row), PartitionKey=row["InvoiceNo"])
        return {"accepted": 1}
