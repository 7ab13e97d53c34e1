import json

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Content-Type,X-Api-Key",
    "Access-Control-Allow-Methods": "OPTIONS,POST,GET",
}


def lambda_handler(event, context):
    if event["httpMethod"] == "OPTIONS":
        return {"statusCode": 200, "headers": CORS, "body": ""}
    try:
        body = json.loads(event["body"])
        result = {"total": sum(line["quantity"] for line in body["lines"])}
        return {"statusCode": 200, "headers": CORS, "body": json.dumps(result)}
    except (TypeError, KeyError, ValueError) as e:
        return {"statusCode": 400, "headers": CORS, "body": json.dumps({"error": type(e).__name__})}
