"""Handlers behind non-proxy integrations: what they return is the body, whatever it looks like."""

import json


class BadRequest(Exception):
    pass


def plain(event, context):
    return "Hello from Lambda!"


def looks_like_proxy(event, context):
    return {"statusCode": 500, "body": json.dumps("this is no error")}


def sum_of_list(event, context):
    print(type(event))
    return {"rows": len(event), "quantity": sum(row["Quantity"] for row in event)}


def numbers(event, context):
    return [1, 2.5, None, True, "five"]


def empty_event(event, context):
    return {"event": event}


def fails(event, context):
    raise BadRequest("[BadRequest] quantity is missing")


def fails_in_json(event, context):
    raise Exception(json.dumps({"errorCode": "NotFound", "orderId": event.get("id"), "retry": False}))


def mapped(event, context):
    return {"order": {"id": event["id"], "lines": event["lines"]}, "secret": "not for the client"}
