import json
import os

import boto3
from boto3.dynamodb.conditions import Key

table = boto3.resource("dynamodb").Table(os.environ["EVENTS_TABLE"])


class NotFound(Exception):
    pass


def list_events(customer, **_):
    found = table.query(KeyConditionExpression=Key("pk").eq(customer), ScanIndexForward=False, Limit=2)
    return 200, [item["what"] for item in found["Items"]]


def add_event(customer, body, **_):
    table.put_item(Item={"pk": customer, "sk": body["at"], "what": body["what"]})
    return 201, {"added": body["what"]}


def get_event(customer, at, **_):
    item = table.get_item(Key={"pk": customer, "sk": int(at)}).get("Item")
    if item is None:
        raise NotFound(f"{customer}/{at}")
    return 200, item


ROUTES = {
    ("GET", "/customers/{customer}/events"): list_events,
    ("POST", "/customers/{customer}/events"): add_event,
    ("GET", "/customers/{customer}/events/{at}"): get_event,
}


def handler(event, context):
    route = ROUTES.get((event["httpMethod"], event["resource"]))
    body = json.loads(event["body"]) if event.get("body") else None
    try:
        status, result = route(**event["pathParameters"], body=body)
    except NotFound as missing:
        status, result = 404, {"message": f"not found: {missing}"}
    return {"statusCode": status, "body": json.dumps(result, default=str)}
