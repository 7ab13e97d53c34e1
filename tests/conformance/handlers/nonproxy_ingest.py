import json
import os

import boto3


def lambda_handler(event, context):
    print("MyEvent:")
    print(event)

    method = event["context"]["http-method"]

    if method == "GET":
        customer = event["params"]["querystring"]["CustomerID"]
        agent = event["params"]["header"].get("User-Agent")
        return {"statusCode": 200, "body": json.dumps({"customer": customer, "agent": agent})}

    elif method == "POST":
        record = event["body-json"]
        recordstring = json.dumps(record)

        client = boto3.client("kinesis")
        response = client.put_record(StreamName=os.environ["STREAM"], Data=recordstring, PartitionKey="string")
        return {
            "statusCode": 200,
            "body": json.dumps(record),
            "shard": response["ShardId"],
        }
    else:
        return {"statusCode": 501, "body": json.dumps("Server Error")}
