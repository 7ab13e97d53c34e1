import json

print("Loading function")


def lambda_handler(event, context):
    # print("Received event: " + json.dumps(event, indent=2))
    print("customer = " + event["customer"])
    print("country = " + event["country"])
    return event["customer"]  # the first one goes back to the caller


def greeting(event, context):
    return "Hello from Lambda!"


def api_style(event, context):
    return {"statusCode": 200, "body": json.dumps("Hello from Lambda!")}


def nothing(event, context):
    pass
