from __future__ import print_function  # noqa: UP010

import base64
import json
import os
from datetime import datetime

import boto3

print("Loading function")

s3_client = boto3.client("s3")


def lambda_handler(event, context):
    now = datetime.now()
    stamp = now.strftime("%d-%b-%Y-%H%M%S%f")

    rows = [base64.b64decode(record["kinesis"]["data"]).decode("utf-8") for record in event["Records"]]
    text = str("\n".join(rows))

    fileName = os.environ.get("PREFIX", "rows-") + stamp + ".txt"
    s3_client.put_object(Bucket=os.environ["BUCKET"], Key=fileName, Body=text)

    return "wrote {} records".format(len(event["Records"]))


def describe(event, context):
    """Writes down what each record carries besides its data."""
    for record in event["Records"]:
        kinesis = record["kinesis"]
        s3_client.put_object(
            Bucket=os.environ["BUCKET"],
            Key=f"described/{kinesis['partitionKey']}.json",
            Body=json.dumps({**record, "function": context.function_name}),
        )
