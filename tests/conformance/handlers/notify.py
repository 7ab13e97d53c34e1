import json
import os

import boto3

sns = boto3.client("sns")
sqs = boto3.resource("sqs")


def lambda_handler(event, context):
    response = sns.publish(
        TopicArn=os.environ["TOPIC_ARN"],
        Subject="New order",
        Message=json.dumps({"default": json.dumps(event), "email": f"Order {event['id']}"}),
        MessageStructure="json",
        MessageAttributes={"country": {"DataType": "String", "StringValue": event["country"]}},
    )
    return {"messageId": response["MessageId"]}


def to_queue(event, context):
    queue = sqs.get_queue_by_name(QueueName=os.environ["QUEUE"])
    single = queue.send_message(MessageBody=json.dumps(event), DelaySeconds=0)
    entries = [{"Id": str(i), "MessageBody": f"line {i}", "MessageAttributes": {
        "index": {"DataType": "Number", "StringValue": str(i)}}} for i in range(3)]  # fmt: skip
    batch = queue.send_messages(Entries=entries)
    return {"md5": single["MD5OfMessageBody"], "sent": sorted(m["Id"] for m in batch["Successful"])}
