"""The microservice style: one function, a table, a switch over the HTTP methods, status codes as strings."""

import json
from decimal import Decimal

import boto3

print("Loading function")
dynamo = boto3.resource("dynamodb")


class DecimalEncoder(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, Decimal):
            return int(o) if o == o.to_integral_value() else float(o)
        return super().default(o)


def respond(err, res=None):
    return {
        "statusCode": "400" if err else "200",
        "body": str(err) if err else json.dumps(res, cls=DecimalEncoder),
        "headers": {
            "Content-Type": "application/json",
        },
    }


def lambda_handler(event, context):
    operations = {
        "DELETE": lambda table, x: table.delete_item(**x),
        "GET": lambda table, x: table.scan(**x),
        "POST": lambda table, x: table.put_item(**x),
        "PUT": lambda table, x: table.update_item(**x),
    }

    operation = event["httpMethod"]
    if operation not in operations:
        return respond(ValueError(f'Unsupported method "{operation}"'))
    if operation == "GET":
        payload = dict(event["queryStringParameters"])
    else:
        payload = json.loads(event["body"], parse_float=Decimal)
    table = dynamo.Table(payload.pop("TableName"))
    result = operations[operation](table, payload)
    return respond(None, result.get("Items", {}))
