import base64
import json
import os

import boto3

client = boto3.client("dynamodb")


def lambda_handler(event, context):
    for record in event["Records"]:
        raw = base64.b64decode(record["kinesis"]["data"])
        row = json.loads(str(raw, "utf-8"))

        # one item a customer: an attribute for each invoice
        buys = {}
        buys[str(row["InvoiceNo"])] = {"Value": {"S": "x"}, "Action": "PUT"}
        buys["orders"] = {"Value": {"N": "1"}, "Action": "ADD"}
        client.update_item(
            TableName=os.environ["TABLE_NAME"],
            Key={"pk": {"S": "customer#" + str(row["CustomerID"])}},
            AttributeUpdates=buys,
        )

        # one item an invoice: an attribute for each article, JSON in a string
        article = row.pop("StockCode")
        invoice = row.pop("InvoiceNo")
        client.update_item(
            TableName=os.environ["TABLE_NAME"],
            Key={"pk": {"S": "invoice#" + invoice}},
            AttributeUpdates={article: {"Value": {"S": json.dumps(row)}, "Action": "PUT"}},
        )

    return "updated {} customers".format(len(event["Records"]))
