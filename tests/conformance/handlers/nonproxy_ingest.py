import json
import os

import boto3


def lambda_handler(event, context):
    print("event:")
    print(event)

    verb = event["context"]["http-method"]

    if verb == "GET":
        customer = event["params"]["querystring"]["CustomerID"]
        agent = event["params"]["header"].get("User-Agent")
        return {"statusCode": 200, "body": json.dumps({"customer": customer, "agent": agent})}

    elif verb == "POST":
        row = event["body-json"]
        client = boto3.client("kinesis")
        response = client.put_record(StreamName=os.environ["STREAM"], Data=json.dumps(row), PartitionKey="string")
        return {"statusCode": 200, "body": json.dumps(row), "shard": response["ShardId"]}

    else:
        return {"statusCode": 501, "body": json.dumps("not supported: " + verb)}
