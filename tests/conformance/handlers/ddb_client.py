"""The low-level client, with its type descriptors."""

import os

import boto3
from boto3.dynamodb.types import TypeDeserializer

client = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]
deserialize = TypeDeserializer().deserialize


def put_and_get(event, context):
    client.put_item(
        TableName=TABLE,
        Item={
            "pk": {"S": event["id"]},
            "price": {"N": event["price"]},
            "paid": {"BOOL": True},
            "note": {"NULL": True},
            "tags": {"SS": ["gift", "express"]},
            "raw": {"B": b"\x00\x01"},
            "lines": {"L": [{"M": {"code": {"S": "85123A"}, "quantity": {"N": "6"}}}]},
            "empty": {"S": ""},
        },
    )
    item = client.get_item(TableName=TABLE, Key={"pk": {"S": event["id"]}}, ConsistentRead=True)["Item"]
    item["tags"]["SS"].sort()
    item["raw"]["B"] = list(item["raw"]["B"])
    return item


def absent(event, context):
    response = client.get_item(TableName=TABLE, Key={"pk": {"S": "nobody"}})
    return sorted(response)


def projected(event, context):
    client.put_item(TableName=TABLE, Item={"pk": {"S": "proj"}, "name": {"S": "Ann"}, "m": {"M": {"a": {"N": "1"}}}})
    response = client.get_item(
        TableName=TABLE,
        Key={"pk": {"S": "proj"}},
        ProjectionExpression="#n, m.a",
        ExpressionAttributeNames={"#n": "name"},
    )
    return {k: str(deserialize(v)) for k, v in response["Item"].items()}


def scan_all(event, context):
    """A loop over LastEvaluatedKey, as it is written everywhere."""
    for i in range(5):
        client.put_item(TableName=TABLE, Item={"pk": {"S": f"scan{i}"}, "scanned": {"N": str(i)}})
    kwargs = {
        "TableName": TABLE,
        "FilterExpression": "scanned >= :two",
        "ExpressionAttributeValues": {":two": {"N": "2"}},
        "Limit": 3,
    }
    found, pages = [], 0
    while True:
        response = client.scan(**kwargs)
        pages += 1
        found += [item["pk"]["S"] for item in response["Items"]]
        if "LastEvaluatedKey" not in response:
            return {"found": sorted(found), "several": pages > 1}
        kwargs["ExclusiveStartKey"] = response["LastEvaluatedKey"]


def consumed(event, context):
    """What calls cost, as people print it while they size a table."""
    key, asked = {"pk": {"S": "units"}}, {"TableName": TABLE, "ReturnConsumedCapacity": "TOTAL"}
    put = client.put_item(Item={**key, "text": {"S": "x" * 2500}}, **asked)
    eventually = client.get_item(Key=key, **asked)
    strongly = client.get_item(Key=key, ConsistentRead=True, **asked)
    deleted = client.delete_item(Key=key, **asked)
    nothing = client.delete_item(Key=key, **asked)
    written = client.transact_write_items(
        TransactItems=[{"Put": {"TableName": TABLE, "Item": key}}], ReturnConsumedCapacity="TOTAL"
    )
    unasked = client.update_item(TableName=TABLE, Key=key)
    answers = [put, eventually, strongly, deleted, nothing]
    return {
        "single": [answer["ConsumedCapacity"]["CapacityUnits"] for answer in answers],
        "transaction": written["ConsumedCapacity"][0]["CapacityUnits"],
        "unasked": "ConsumedCapacity" in unasked,
    }
