import json
import os

import boto3

client = boto3.client("lambda")
TARGET = os.environ["TARGET"]


def lambda_handler(event, context):
    response = client.invoke(
        FunctionName=TARGET,
        InvocationType="RequestResponse",
        Payload=bytes(json.dumps(event), encoding="utf8"),
    )
    result = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        return {"status": response["StatusCode"], "failed": result["errorType"], "why": result["errorMessage"]}
    return {"status": response["StatusCode"], "version": response["ExecutedVersion"], "result": result}


def fire_and_forget(event, context):
    response = client.invoke(FunctionName=TARGET, InvocationType="Event", Payload=json.dumps(event))
    return [response["StatusCode"], response["Payload"].read().decode()]


def write_marker(event, context):
    boto3.resource("s3").Object(os.environ["BUCKET"], event["key"]).put(Body=json.dumps(event).encode())


def count_down(event, context):
    if event["left"] == 0:
        return {"bottom": True}
    try:
        answer = client.invoke(FunctionName=context.function_name, Payload=json.dumps({"left": event["left"] - 1}))
    except client.exceptions.RecursiveInvocationException as error:
        return {"stopped": error.response["Error"]["Code"], "left": event["left"]}
    return json.loads(answer["Payload"].read())
