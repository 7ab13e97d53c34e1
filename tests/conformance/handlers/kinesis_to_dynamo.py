import base64
import json
import os
from decimal import Decimal

import boto3

dynamodb = boto3.resource("dynamodb")
table = dynamodb.Table(os.environ["TABLE_NAME"])


def lambda_handler(event, context):
    with table.batch_writer(overwrite_by_pkeys=["pk"]) as batch:
        for record in event["Records"]:
            # Kinesis data is base64 encoded so decode here
            payload = base64.b64decode(record["kinesis"]["data"])
            row = json.loads(payload, parse_float=Decimal)
            batch.put_item(Item={"pk": row["id"], "price": row["price"], "seq": record["kinesis"]["sequenceNumber"]})
    return len(event["Records"])


def with_floats(event, context):
    for record in event["Records"]:
        row = json.loads(base64.b64decode(record["kinesis"]["data"]))
        table.put_item(Item={"pk": row["id"], "price": row["price"]})  # boto3 refuses floats
