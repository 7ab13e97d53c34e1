"""moto's SQS, as far as the lab reads queues for its triggers."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from typing import Any

from .stores import queue, queue_backend


def install() -> None:
    """Setting one attribute leaves the others as they are (moto forgets the policy), and moments are whole seconds.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
    """
    from moto.sqs.models import Queue

    change = Queue._set_attributes

    def set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(self, "policy", None)
        change(self, attributes, now)
        if "Policy" not in attributes:
            self.policy = policy
        self.last_modified_timestamp = int(self.last_modified_timestamp)
        if hasattr(self, "created_timestamp"):
            self.created_timestamp = int(self.created_timestamp)

    setattr(Queue, "_set_attributes", set_attributes)  # noqa: B010


def visibility_timeout(arn: str) -> int:
    """A queue's visibility timeout in seconds; raises AwsError when it is not there."""
    return int(queue(arn).visibility_timeout)


def wait_seconds(name: str, region: str) -> int:
    """How long a queue's receivers wait when they do not say; 0 when there is no such queue."""
    found = queue_backend(f"arn:aws:sqs:{region}:").queues.get(name)
    return int(found.receive_message_wait_time_seconds or 0) if found else 0


def receive(arn: str, count: int) -> list[dict[str, Any]]:
    """Up to `count` (at most 10) messages that are visible, as a function's event shows them; no waiting.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
    """
    source = queue(arn)
    found = queue_backend(arn).receive_message(source.name, count, 0, source.visibility_timeout, ["All"])
    return [_record(message, arn) for message in found]


def delete(arn: str, handles: Sequence[str]) -> None:
    """Deletes messages by their receipt handles; one that is gone already is no matter."""
    from moto.sqs.exceptions import ReceiptHandleIsInvalid

    source = queue(arn)
    for handle in handles:
        with contextlib.suppress(ReceiptHandleIsInvalid):
            source.delete_message(handle)


def _record(message: Any, arn: str) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    shown = {}
    for name, value in message.message_attributes.items():
        entry: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
        if value.get("StringValue") is not None:
            entry["stringValue"] = value["StringValue"]
        if (binary := value.get("BinaryValue")) is not None:
            entry["binaryValue"] = binary if isinstance(binary, str) else base64.b64encode(binary).decode()
        shown[name] = entry
    return {
        "messageId": message.id, "receiptHandle": message.receipt_handle, "body": message.body,
        "attributes": attributes, "messageAttributes": shown, "md5OfBody": message.body_md5,
        **({"md5OfMessageAttributes": message.attribute_md5} if shown else {}),
        "eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": arn.split(":")[3],
    }  # fmt: skip
