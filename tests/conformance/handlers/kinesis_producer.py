import base64
import json
import os
import random

import boto3

STREAM_NAME = os.environ["STREAM"]
client = boto3.client("kinesis")


def one_by_one(event, context):
    shards = []
    for row in event["rows"]:
        response = client.put_record(StreamName=STREAM_NAME, Data=json.dumps(row) + "\n", PartitionKey=row["id"])
        shards.append(response["ShardId"])
    return shards


def in_one_go(event, context):
    """Old producers encode by themselves what boto3 encodes again."""
    records = [
        {"Data": base64.b64encode(json.dumps(row).encode("utf-8")), "PartitionKey": str(random.random())}
        for row in event["rows"]
    ]
    response = client.put_records(StreamName=STREAM_NAME, Records=records)
    if response["FailedRecordCount"]:
        raise RuntimeError(f"{response['FailedRecordCount']} failed")
    return [sorted(r) for r in response["Records"]]
