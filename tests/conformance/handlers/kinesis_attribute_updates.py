import base64
import json
import os

import boto3

client = boto3.client("dynamodb")


def lambda_handler(event, context):
    for record in event["Records"]:
        t_record = base64.b64decode(record["kinesis"]["data"])
        str_record = str(t_record, "utf-8")
        dict_record = json.loads(str_record)

        customer_key = {"pk": {"S": "customer#" + str(dict_record["CustomerID"])}}
        ex_customer = {}
        ex_customer[str(dict_record["InvoiceNo"])] = {"Value": {"S": "x"}, "Action": "PUT"}
        ex_customer["orders"] = {"Value": {"N": "1"}, "Action": "ADD"}
        client.update_item(TableName=os.environ["TABLE_NAME"], Key=customer_key, AttributeUpdates=ex_customer)

        inventory_key = {"pk": {"S": "invoice#" + dict_record["InvoiceNo"]}}
        stock_dict = dict(dict_record)
        stock_dict.pop("InvoiceNo", None)
        stock_dict.pop("StockCode", None)
        stock_json = json.dumps(stock_dict)
        ex_dynamo_record = {}
        ex_dynamo_record[str(dict_record["StockCode"])] = {"Value": {"S": stock_json}, "Action": "PUT"}
        client.update_item(TableName=os.environ["TABLE_NAME"], Key=inventory_key, AttributeUpdates=ex_dynamo_record)

    return "Successfully processed {} records.".format(len(event["Records"]))
