import os

import boto3
from botocore.exceptions import ClientError

client = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]


def setup(stock):
    client.put_item(TableName=TABLE, Item={"pk": {"S": "stock#1"}, "left": {"N": str(stock)}})
    client.delete_item(TableName=TABLE, Key={"pk": {"S": "order#1"}})


def place_order(quantity, token=None):
    extra = {"ClientRequestToken": token} if token else {}
    client.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": TABLE,
                    "Item": {"pk": {"S": "order#1"}, "quantity": {"N": str(quantity)}},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": {"pk": {"S": "stock#1"}},
                    "UpdateExpression": "SET #l = #l - :q",
                    "ConditionExpression": "#l >= :q",
                    "ExpressionAttributeNames": {"#l": "left"},
                    "ExpressionAttributeValues": {":q": {"N": str(quantity)}},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
        ],
        **extra,
    )


def state():
    answer = client.transact_get_items(
        TransactItems=[
            {"Get": {"TableName": TABLE, "Key": {"pk": {"S": "order#1"}}}},
            {"Get": {"TableName": TABLE, "Key": {"pk": {"S": "stock#1"}}}},
        ]
    )
    return [r.get("Item") for r in answer["Responses"]]


def all_or_nothing(event, context):
    setup(event["stock"])
    try:
        place_order(event["quantity"])
        reasons = None
    except client.exceptions.TransactionCanceledException as e:
        reasons = e.response["CancellationReasons"]
    return {"reasons": reasons, "state": state()}


def idempotent(event, context):
    setup(10)
    place_order(2, token="order-1")
    place_order(2, token="order-1")  # a retry after a lost answer
    answer = {"left": state()[1]["left"]["N"]}
    try:
        place_order(3, token="order-1")
    except ClientError as e:
        answer["other"] = e.response["Error"]["Code"]
    return answer


def bad_operand(event, context):
    """An update that cannot be done cancels the transaction, too."""
    setup(10)
    try:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": TABLE, "Item": {"pk": {"S": "order#1"}}}},
                {
                    "Update": {
                        "TableName": TABLE,
                        "Key": {"pk": {"S": "nobody"}},
                        "UpdateExpression": "SET visits = visits + :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
            ]
        )
    except ClientError as e:
        return {
            "code": e.response["Error"]["Code"],
            "reasons": [r["Code"] for r in e.response.get("CancellationReasons", [])],
            "message": e.response.get("CancellationReasons", [{}])[-1].get("Message"),
            "state": state()[0],
        }


def read_a_part(event, context):
    client.put_item(TableName=TABLE, Item={"pk": {"S": "part"}, "name": {"S": "Ann"}, "city": {"S": "York"}})
    answer = client.transact_get_items(
        TransactItems=[
            {
                "Get": {
                    "TableName": TABLE,
                    "Key": {"pk": {"S": "part"}},
                    "ProjectionExpression": "#n",
                    "ExpressionAttributeNames": {"#n": "name"},
                }
            }
        ]
    )
    return answer["Responses"]
