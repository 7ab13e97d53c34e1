import json


def process(message):
    body = json.loads(message["body"])
    if body["quantity"] == 0:
        raise ValueError("nothing ordered")
    return body


def lambda_handler(event, context):
    batch_item_failures = []
    for record in event["Records"]:
        try:
            process(record)
        except Exception as e:
            print(f"{record['messageId']}: {e!r}")
            batch_item_failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": batch_item_failures}
