"""What AWS's SQS and SNS refuse and moto takes; each rule names its page."""

from __future__ import annotations

import json
import re
from typing import Any

from ..permissions import check_policy
from ..protocols import Call
from ..types import AwsError, Request
from . import stores, topics

_NO_MESSAGE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUEUE_NUMBERS = {
    "DelaySeconds": (0, 900), "MaximumMessageSize": (1024, 1_048_576), "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20), "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}  # fmt: skip
_QUEUE_ATTRIBUTES = {
    *_QUEUE_NUMBERS, "Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled",
    "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit",
}  # fmt: skip
_OF_FIFO = {"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}


def _queue(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html

    The words are those that localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json recorded.
    """
    attributes, name = parameters.get("Attributes") or {}, str(parameters.get("QueueName", ""))
    fifo = (str(parameters["QueueUrl"]) if call.operation == "SetQueueAttributes" else name).endswith(".fifo")
    for attribute, value in attributes.items():
        made = call.operation == "CreateQueue" and attribute == "FifoQueue" and value != "false"
        if attribute not in _QUEUE_ATTRIBUTES or (attribute in _OF_FIFO and not fifo and not made):
            raise AwsError("InvalidAttributeName", f"Unknown Attribute {attribute}.")
        if attribute == "FifoQueue" and value == "false":
            text = "Invalid value for the parameter FifoQueue."
            if call.operation == "CreateQueue":
                raise AwsError("InvalidAttributeName", "Unknown Attribute FifoQueue.")
            raise AwsError("InvalidAttributeValue", f"{text} Reason: Modifying queue type is not supported.")
        low, high = _QUEUE_NUMBERS.get(attribute, (0, 0))
        if high and not (re.fullmatch(r"\d{1,9}", value) and low <= int(value) <= high):
            raise AwsError("InvalidAttributeValue", f"Invalid value for the parameter {attribute}.")
    if attributes.get("KmsMasterKeyId") and attributes.get("SqsManagedSseEnabled") == "true":
        text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS"
        raise AwsError("InvalidAttributeName", f"{text} SSE.")
    if name.endswith(".fifo") and attributes.get("FifoQueue") != "true":
        text = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise AwsError("InvalidParameterValue", text)
    if policy := attributes.get("RedrivePolicy"):
        if wrong := _redrive(policy, fifo):
            text = f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {wrong}"
            raise AwsError("InvalidParameterValue", text)
    _policy(parameters, call, request)


def _redrive(policy: str, fifo: bool) -> str:
    """What is wrong with a redrive policy: the queue that it names has to be there, and be of the same kind."""
    try:
        given = json.loads(policy)
    except ValueError:
        return "Redrive policy is not a valid JSON map."
    most, target = given.get("maxReceiveCount", 1), str(given.get("deadLetterTargetArn", "arn:aws:sqs:::"))
    if not target.startswith("arn:aws:sqs:"):
        return "Invalid value for deadLetterTargetArn."
    if not 1 <= int(most) <= 1000:
        return f"Invalid value for maxReceiveCount: {most}, valid values are from 1 to 1000 both inclusive."
    if "deadLetterTargetArn" not in given:
        return ""  # which moto says
    try:
        stores.queue(target)
    except (AwsError, LookupError):
        return "Dead letter target does not exist."
    return "" if fifo == target.endswith(".fifo") else ("Dead-letter queue must be same type of queue as the source..")


def _sent(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """Below https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/: sqs-message-metadata.html"""
    _message(parameters, call, request)
    attributes = parameters.get("MessageAttributes") or {}
    wrong = None
    if len(attributes) > 10:
        wrong = f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10]."
    for name, value in attributes.items():
        kind = value["DataType"].partition(".")[0]
        content = value.get("BinaryValue" if kind == "Binary" else "StringValue")
        if not content:
            wrong = f"Message (user) attribute '{name}' must contain a non-empty value of type '{value['DataType']}'."
        elif kind == "Number" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", content):
            wrong = f"Can't cast the value of message (user) attribute '{name}' to a number."
    token = parameters.get("MessageDeduplicationId")
    if token is not None and not str(parameters["QueueUrl"]).endswith(".fifo"):
        reason = "The request include parameter that is not valid for this queue type."
        wrong = f"Value {token} for parameter MessageDeduplicationId is invalid. Reason: {reason}"
    if wrong:
        raise AwsError("InvalidParameterValue", wrong)


def _batch(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html"""
    names = [str(entry["Id"]) for entry in parameters["Entries"]]
    code = text = ""
    if not names:
        code, text = "EmptyBatchRequest", f"There should be at least one {call.operation}RequestEntry in the request."
    elif len(names) > 10:
        code = "TooManyEntriesInBatchRequest"
        text = f"Maximum number of entries per request are 10. You have sent {len(names)}."
    elif not all(re.fullmatch(r"[\w-]{1,80}", name, re.ASCII) for name in names):
        code = "InvalidBatchEntryId"
        text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        text += "It can be at most 80 letters long."
    elif twice := next((name for name in names if names.count(name) > 1), None):
        code, text = "BatchEntryIdsNotDistinct", f"Id {twice} repeated."
    if code:
        raise AwsError(f"AWS.SimpleQueueService.{code}", text)


def _received(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    if not 1 <= (most := int(parameters.get("MaxNumberOfMessages", 1))) <= 10:
        text = f"Value {most} for parameter MaxNumberOfMessages is invalid."
        raise AwsError("InvalidParameterValue", f"{text} Reason: Must be between 1 and 10, if provided.")


def _message(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    for entry in parameters["Entries"] if "Entries" in parameters else [parameters]:
        if not entry.get("MessageBody"):
            raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
        if found := _NO_MESSAGE.search(entry["MessageBody"]):
            text = f"Invalid binary character '#x{ord(found[0]):X}' was found in the message body, the set of allowed"
            allowed = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
            raise AwsError("InvalidMessageContents", f"{text} characters is {allowed}")
        if "Entries" in parameters and str(parameters["QueueUrl"]).endswith(".fifo") and "MessageGroupId" not in entry:
            raise AwsError("InvalidParameterValue", "The request must contain the parameter MessageGroupId.")


def _publish(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
    message, topic = parameters.get("Message", ""), parameters.get("TopicArn", parameters.get("TargetArn"))
    if topic is not None and ":endpoint/" not in topic:
        topics.topic(topic)
    topics.check_message(topic or "", parameters)
    if parameters.get("MessageStructure") == "json":
        try:
            known = json.loads(message)
        except ValueError:
            raise _structure("JSON message body failed to parse") from None
        if not isinstance(known, dict) or "default" not in known:
            raise _structure("No default entry in JSON message body")


def _structure(reason: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: Message Structure - {reason}")


def _subscribe(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html"""
    if (protocol := parameters.get("Protocol")) != "sqs":
        raise AwsError("InvalidParameter", f"Invalid parameter: the local AWS delivers to SQS, not to {protocol}.")
    topics.check_subscription(parameters.get("TopicArn", ""), parameters.get("Endpoint", ""), _pairs(parameters))


def _subscription(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html"""
    topics.check_attributes(_pairs(parameters))


def _policy(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html"""
    code = "InvalidAttributeValue" if call.service == "sqs" else "InvalidParameter"
    if (given := _pairs(parameters)).get("Policy"):
        check_policy(given["Policy"], code)


def _pairs(parameters: dict[str, Any]) -> dict[str, Any]:
    """Attributes, however they are written; the query protocol has two ways for a pair."""
    given = dict(parameters.get("Attributes") or {})
    for key, name in parameters.items():
        if key.endswith((".Name", ".key", "AttributeName")):
            value = key.replace(".Name", ".Value").replace(".key", ".value").replace("AttributeName", "AttributeValue")
            given[name] = parameters.get(value)
    return given


RULES = {
    ("sqs", "CreateQueue"): _queue,
    ("sqs", "SetQueueAttributes"): _queue,
    ("sqs", "SendMessage"): _sent,
    ("sqs", "DeleteMessageBatch"): _batch,
    ("sqs", "ChangeMessageVisibilityBatch"): _batch,
    ("sqs", "ReceiveMessage"): _received,
    ("sqs", "SendMessageBatch"): _message,
    ("sns", "Publish"): _publish,
    ("sns", "Subscribe"): _subscribe,
    ("sns", "SetSubscriptionAttributes"): _subscription,
    ("sns", "CreateTopic"): _policy,
    ("sns", "SetTopicAttributes"): _policy,
}
