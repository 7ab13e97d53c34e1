"""A function that cannot answer before others have: it asks them all at once, each by its URL or its name."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3

functions = boto3.client("lambda")


def answer_of(question):
    target, asks = question
    body = json.dumps({"asks": asks})
    if target.startswith("http"):
        request = urllib.request.Request(target, body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=29) as answer:
            return json.load(answer)["functions"]
    result = functions.invoke(FunctionName=target, Payload=json.dumps({"body": body}))
    return json.loads(json.load(result["Payload"])["body"])["functions"]


def handler(event, context):
    asks = json.loads(event["body"])["asks"]
    names = [context.function_name]
    with ThreadPoolExecutor(max(1, len(asks))) as pool:
        for found in pool.map(answer_of, asks):
            names += found
    return {"statusCode": 200, "body": json.dumps({"functions": names})}
