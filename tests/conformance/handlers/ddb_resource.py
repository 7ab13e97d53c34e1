import os
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

dynamodb = boto3.resource("dynamodb")
table = dynamodb.Table(os.environ["TABLE_NAME"])
events = dynamodb.Table(os.environ["EVENTS_TABLE"])


def decimals(event, context):
    table.put_item(Item={"pk": "decimals", "price": Decimal("2.550"), "count": 3, "rate": Decimal("1E+2")})
    item = table.get_item(Key={"pk": "decimals"})["Item"]
    return {name: str(item[name]) for name in ("price", "count", "rate")}


def floats(event, context):
    table.put_item(Item={"pk": "floats", "price": 2.55})


def fill(event, context):
    with events.batch_writer() as batch:
        for i in range(60):  # more than one BatchWriteItem takes
            batch.put_item(Item={"pk": event["pk"], "sk": i, "kind": "even" if i % 2 == 0 else "odd", "what": f"e{i}"})
    with events.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as batch:
        batch.put_item(Item={"pk": event["pk"], "sk": 59, "what": "again"})
        batch.delete_item(Key={"pk": event["pk"], "sk": 59})  # takes the place of the put
    answer = {"all": events.query(KeyConditionExpression=Key("pk").eq(event["pk"]), Select="COUNT")["Count"]}
    found = events.query(
        KeyConditionExpression=Key("pk").eq(event["pk"]) & Key("sk").between(10, 14),
        FilterExpression=Attr("kind").eq("even"),
        ProjectionExpression="sk, what",
    )
    answer["between"] = [int(i["sk"]) for i in found["Items"]]
    answer["counts"] = [found["Count"], found["ScannedCount"]]
    last = events.query(KeyConditionExpression=Key("pk").eq(event["pk"]), ScanIndexForward=False, Limit=2)
    answer["last"] = [int(i["sk"]) for i in last["Items"]]
    answer["from"] = int(last["LastEvaluatedKey"]["sk"])
    by_kind = events.query(IndexName="by-kind", KeyConditionExpression=Key("kind").eq("odd"))
    answer["index"] = sum(i["pk"] == event["pk"] for i in by_kind["Items"])
    paginator = events.meta.client.get_paginator("query")
    pages = paginator.paginate(
        TableName=events.name, KeyConditionExpression=Key("pk").eq(event["pk"]), PaginationConfig={"PageSize": 25}
    )
    answer["pages"] = [len(page["Items"]) for page in pages]
    return answer


def expressions(event, context):
    key = {"pk": "expressions"}
    table.put_item(Item={**key, "seen": 1, "trail": ["made"], "draft": True, "tags": {"a", "b"}, "m": {}})
    response = table.update_item(
        Key=key,
        UpdateExpression=(
            "SET seen = seen + :one, #n = if_not_exists(#n, :name), trail = list_append(trail, :entry), m.#k = :name "
            "REMOVE draft ADD likes :one DELETE tags :gone"
        ),
        ExpressionAttributeNames={"#n": "name", "#k": "key with blank"},
        ExpressionAttributeValues={":one": 1, ":name": "Ann", ":entry": ["seen"], ":gone": {"a"}},
        ReturnValues="ALL_NEW",
    )
    item = response["Attributes"]
    return {k: sorted(v) if isinstance(v, set) else v for k, v in item.items()}


def money(event, context):
    """Exact sums: DynamoDB adds decimals, not floats."""
    for amount in ("0.1", "0.2", "0.30"):
        answer = table.update_item(
            Key={"pk": "money"},
            UpdateExpression="ADD amount :a SET updates = if_not_exists(updates, :zero) + :one",
            ExpressionAttributeValues={":a": Decimal(amount), ":zero": 0, ":one": 1},
            ReturnValues="UPDATED_NEW",
        )
    return {name: str(value) for name, value in answer["Attributes"].items()}


def optimistic_lock(event, context):
    table.put_item(Item={"pk": "versioned", "version": 1})
    answers = []
    for expected in (1, 1, 2):
        try:
            table.update_item(
                Key={"pk": "versioned"},
                UpdateExpression="SET version = :new",
                ConditionExpression=Attr("version").eq(expected),
                ExpressionAttributeValues={":new": expected + 1},
            )
            answers.append("updated")
        except ClientError as e:
            if e.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            answers.append(e.response["Error"]["Message"])
    return answers


def insert_once(event, context):
    """Idempotent by a condition; the old item comes with the error."""
    answers = []
    for attempt in (1, 2):
        try:
            table.put_item(
                Item={"pk": event["id"], "attempt": attempt},
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
            answers.append("inserted")
        except dynamodb.meta.client.exceptions.ConditionalCheckFailedException as e:
            answers.append(e.response["Item"]["attempt"])
    return answers


def old_values(event, context):
    key = {"pk": "old"}
    table.put_item(Item={**key, "n": 1})
    put = table.put_item(Item={**key, "n": 2}, ReturnValues="ALL_OLD")
    deleted = table.delete_item(Key=key, ReturnValues="ALL_OLD")
    again = table.delete_item(Key=key, ReturnValues="ALL_OLD")
    return [put["Attributes"]["n"], deleted["Attributes"]["n"], "Attributes" in again]


def same_again(event, context):
    """A repeated update changes nothing and still says what was updated; an update of nothing makes the item."""
    answers = []
    for _ in range(2):
        response = table.update_item(
            Key={"pk": "again"},
            UpdateExpression="SET #s = :s, tags = list_append(if_not_exists(tags, :none), :none)",
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues={":s": "done", ":none": []},
            ReturnValues="UPDATED_NEW",
        )
        answers.append(response["Attributes"])
    made = table.update_item(Key={"pk": "bare"}, ReturnValues="ALL_NEW")["Attributes"]
    return [*answers, made]
