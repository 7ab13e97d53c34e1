"""Three ways to treat a record that cannot be processed."""

import base64
import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def process(record):
    row = json.loads(base64.b64decode(record["kinesis"]["data"]))
    table.update_item(
        Key={"pk": row["id"]},
        UpdateExpression="ADD attempts :one",
        ExpressionAttributeValues={":one": 1},
    )
    if row.get("poison"):
        raise ValueError(f"cannot process {row['id']}")
    table.update_item(
        Key={"pk": row["id"]}, UpdateExpression="SET #s = :done",
        ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues={":done": "done"},
    )  # fmt: skip


def partial_response(event, context):
    records = event.get("Records")
    cur_record_sequence_number = ""

    for record in records:
        try:
            cur_record_sequence_number = record["kinesis"]["sequenceNumber"]
            process(record)
        except Exception as e:
            print(e)
            return {"batchItemFailures": [{"itemIdentifier": cur_record_sequence_number}]}

    return {"batchItemFailures": []}


def raising(event, context):
    for record in event["Records"]:
        process(record)


def swallowing(event, context):
    for record in event["Records"]:
        try:
            process(record)
        except ValueError as e:
            print(f"An error occurred {e}")
            continue
