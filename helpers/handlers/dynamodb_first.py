"""The simplest Lambda that writes rows into DynamoDB, with keys that are numbers; dynamodb_writer.py is what becomes
of it."""

import base64
import json
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def lambda_handler(event: Any, context: Any) -> Any:
    for record in event["Records"]:
        row = json.loads(base64.b64decode(record["kinesis"]["data"]))
        put("workbook-first-customers", {"CustomerID": {"N": row["CustomerID"] or ""}}, row["InvoiceNo"], "")
        put("workbook-first-invoices", {"InvoiceNo": {"N": row["InvoiceNo"]}}, row["StockCode"], json.dumps(row))
    return len(event["Records"])


def put(table: str, key: Any, attribute: str, value: str) -> None:
    """One more attribute of the key's item."""
    dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #attribute = :value",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":value": {"S": value}},
    )
