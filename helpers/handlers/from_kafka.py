"""Lambda with a trigger on a Kafka topic: hands what it gets to a function that was written for Kinesis.

Both events say the same in other words: a batch of bytes from one ordered log, with their places in it. So this file
puts Kafka's words into Kinesis' and calls the other file of its zip, which stays as it is:

    Kafka                              Kinesis
    records: {"topic-0": [...]}        Records: [...], one shard's
    partition, offset                  eventID "topic-0:<offset>", kinesis.sequenceNumber (with leading noughts)
    timestamp, milliseconds            kinesis.approximateArrivalTimestamp, seconds
    key, value                         kinesis.partitionKey, kinesis.data

A partial batch response goes the other way: a sequence number becomes a partition and an offset.

HANDLER in the environment names the other function: raw_storage.lambda_handler.
https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html#msk-sample-event
"""

from __future__ import annotations

import importlib
import os
from binascii import a2b_base64
from typing import Any

MODULE, _, NAME = os.environ.get("HANDLER", "raw_storage.lambda_handler").rpartition(".")
handler = getattr(importlib.import_module(MODULE), NAME)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answers, failed = {}, []
    for partition, records in event["records"].items():
        answer = handler({"Records": [as_kinesis(partition, record, event) for record in records]}, context)
        answers[partition] = answer
        for failure in (answer or {}).get("batchItemFailures", []):
            offset = int(failure["itemIdentifier"])
            failed.append({"itemIdentifier": {"partition": partition, "offset": offset}})
    return {"batchItemFailures": failed, "answers": answers}


def as_kinesis(partition: str, record: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    number = f"{record['offset']:020d}"
    return {
        "eventID": f"{partition}:{number}",
        "eventSource": event["eventSource"],
        "eventSourceARN": event.get("eventSourceArn", event["bootstrapServers"]),
        "kinesis": {
            "partitionKey": a2b_base64(record.get("key") or "").decode("utf-8", "replace"),
            "sequenceNumber": number,
            "data": record.get("value") or "",
            "approximateArrivalTimestamp": record["timestamp"] / 1000,
        },
    }
