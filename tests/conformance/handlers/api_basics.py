"""Answers of Lambda proxy integrations, right and wrong."""

import base64
import json

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


def hello(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "World")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain"},
        "body": f"Hello, {name}!",
    }


def careless(event, context):
    # queryStringParameters is null when there are none
    name = event["queryStringParameters"]["name"]
    return {"statusCode": 200, "body": name}


def no_content(event, context):
    return {"statusCode": 204}


def body_only(event, context):
    return {"statusCode": 200, "body": json.dumps({"ok": True})}


def body_as_dict(event, context):
    return {"statusCode": 200, "body": {"ok": True}}


def body_as_number(event, context):
    return {"statusCode": 200, "body": 42}


def just_a_string(event, context):
    return "Hello from Lambda!"


def a_list(event, context):
    return [{"statusCode": 200, "body": "x"}]


def cookies(event, context):
    return {
        "statusCode": 302,
        "headers": {"Location": "/home", "X-Single": "one"},
        "multiValueHeaders": {"Set-Cookie": ["session=abc; HttpOnly", "theme=dark"], "X-Many": ["a", "b"]},
        "body": "",
    }


def picture(event, context):
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "image/png"},
        "body": base64.b64encode(PNG).decode("utf-8"),
        "isBase64Encoded": True,
    }


def upload(event, context):
    body = event["body"]
    data = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    return {"statusCode": 201, "body": json.dumps({"bytes": len(data), "png": data[:4] == b"\x89PNG"})}


def crash(event, context):
    raise RuntimeError("database is down")


def echo(event, context):
    wanted = ("resource", "path", "httpMethod", "queryStringParameters", "multiValueQueryStringParameters",
              "pathParameters", "stageVariables", "body", "isBase64Encoded")  # fmt: skip
    request = event["requestContext"]
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "X-Count": "3", "X-Flag": True},
        "body": json.dumps(
            {
                **{name: event[name] for name in wanted},
                "agent": event["headers"].get("User-Agent"),
                "type": event["headers"].get("Content-Type"),
                "stage": request["stage"],
                "account": request["accountId"],
                "ip": request["identity"]["sourceIp"],
                "request": len(request["requestId"]),
                "method": request["httpMethod"],
                "resourcePath": request["resourcePath"],
            }
        ),
    }


def form(event, context):
    from urllib.parse import parse_qs

    fields = parse_qs(event["body"])
    return {"statusCode": 200, "body": json.dumps({k: v[0] for k, v in fields.items()})}
