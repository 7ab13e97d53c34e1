from __future__ import print_function  # noqa: UP010

import base64
import json
import os
from datetime import datetime

import boto3

print("Loading function")

s3_client = boto3.client("s3")


def lambda_handler(event, context):
    dateTimeObj = datetime.now()
    timestampStr = dateTimeObj.strftime("%d-%b-%Y-%H%M%S%f")

    kinesisRecords = [base64.b64decode(record["kinesis"]["data"]).decode("utf-8") for record in event["Records"]]
    asString = str("\n".join(kinesisRecords))

    key = os.environ.get("PREFIX", "output-") + timestampStr + ".txt"
    s3_client.put_object(Body=asString, Bucket=os.environ["BUCKET"], Key=key)

    return "Successfully processed {} records.".format(len(event["Records"]))


def describe(event, context):
    """Writes down what each record carries besides its data."""
    for record in event["Records"]:
        kinesis = record["kinesis"]
        s3_client.put_object(
            Bucket=os.environ["BUCKET"],
            Key=f"described/{kinesis['partitionKey']}.json",
            Body=json.dumps({**record, "function": context.function_name}),
        )
