"""The parameters from before expressions."""

import os

import boto3

client = boto3.client("dynamodb")
TABLE, EVENTS = os.environ["TABLE_NAME"], os.environ["EVENTS_TABLE"]


def attribute_updates(event, context):
    key = {"pk": {"S": "legacy"}}
    client.put_item(TableName=TABLE, Item={**key, "views": {"N": "1"}, "tags": {"SS": ["a", "b"]}, "draft": {"S": "x"}})
    response = client.update_item(
        TableName=TABLE,
        Key=key,
        AttributeUpdates={
            "title": {"Value": {"S": "plain"}},
            "sold": {"Value": {"BOOL": True}, "Action": "PUT"},
            "cover": {"Value": {"B": b"\x01"}, "Action": "PUT"},
            "views": {"Value": {"N": "2.5"}, "Action": "ADD"},
            "likes": {"Value": {"N": "1"}, "Action": "ADD"},
            "tags": {"Value": {"SS": ["a"]}, "Action": "DELETE"},
            "draft": {"Action": "DELETE"},
        },
        ReturnValues="ALL_NEW",
    )
    return {name: [*value][0] + "=" + str([*value.values()][0]) for name, value in response["Attributes"].items()}


def expected(event, context):
    key = {"pk": {"S": "expected"}}
    client.put_item(TableName=TABLE, Item={**key, "state": {"S": "open"}})
    answers = []
    for state in ("open", "open"):
        try:
            client.update_item(
                TableName=TABLE,
                Key=key,
                Expected={"state": {"Value": {"S": state}}},
                AttributeUpdates={"state": {"Value": {"S": "closed"}, "Action": "PUT"}},
            )
            answers.append("closed")
        except client.exceptions.ConditionalCheckFailedException as e:
            answers.append(e.response["Error"]["Code"])
    return answers


def key_conditions(event, context):
    for i in range(5):
        client.put_item(TableName=EVENTS, Item={"pk": {"S": "kc"}, "sk": {"N": str(i)}, "v": {"N": str(i * 10)}})
    response = client.query(
        TableName=EVENTS,
        KeyConditions={
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "kc"}]},
            "sk": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "2"}]},
        },
        QueryFilter={"v": {"ComparisonOperator": "LT", "AttributeValueList": [{"N": "40"}]}},
        AttributesToGet=["v"],
    )
    return response["Items"]


def attributes_to_get(event, context):
    client.put_item(TableName=TABLE, Item={"pk": {"S": "atg"}, "a": {"S": "1"}, "b": {"S": "2"}})
    return client.get_item(TableName=TABLE, Key={"pk": {"S": "atg"}}, AttributesToGet=["b"])["Item"]
