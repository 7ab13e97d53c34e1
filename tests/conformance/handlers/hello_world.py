import json

print("Loading function")


def lambda_handler(event, context):
    # print("Received event: " + json.dumps(event, indent=2))
    print("value1 = " + event["key1"])
    print("value2 = " + event["key2"])
    print("value3 = " + event["key3"])
    return event["key1"]  # Echo back the first key value


def greeting(event, context):
    return "Hello from Lambda!"


def api_style(event, context):
    return {"statusCode": 200, "body": json.dumps("Hello from Lambda!")}


def nothing(event, context):
    pass
