"""moto's SQS, as far as the lab reads queues for its triggers."""

from __future__ import annotations

import base64
import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Any

from .stores import queue, queue_backend


def install() -> None:
    """Setting one attribute leaves the others as they are (moto forgets the policy), and moments are whole seconds.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
    The rest is as localstack/localstack tests/aws/services/sqs/test_sqs.snapshot.json recorded it on AWS.
    """
    import moto.sqs.models as models
    from moto.sqs.constants import MAXIMUM_MESSAGE_LENGTH
    from moto.sqs.exceptions import (
        BatchRequestTooLong,
        InvalidParameterValue,
        QueueAlreadyExists,
        ReceiptHandleIsInvalid,
    )

    queue_class, backend = models.Queue, models.SQSBackend
    change, remove, create = queue_class._set_attributes, queue_class.delete_message, backend.create_queue
    send, send_batch, chosen = backend.send_message, backend.send_message_batch, models._filter_message_attributes
    numbers = itertools.count(18_000_000_000_000_000_000 + time.time_ns())

    def set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(self, "policy", None)
        change(self, attributes, now)
        if "Policy" not in attributes:
            self.policy = policy
        if attributes.get("KmsMasterKeyId"):
            self.sqs_managed_sse_enabled = "false"
        self.last_modified_timestamp = int(self.last_modified_timestamp)
        if hasattr(self, "created_timestamp"):
            self.created_timestamp = int(self.created_timestamp)

    def create_queue(self: Any, name: str, tags: dict[str, str] | None = None, **given: Any) -> Any:
        """One that is there already says which attribute differs."""
        known = self.queues[name].attributes if name in self.queues else {}
        for attribute, value in given.items():
            if (
                known
                and attribute in known
                and not attribute.endswith("Policy")
                and str(known[attribute]) != str(value)
            ):
                text = "A queue already exists with the same name and a different value for attribute"
                raise QueueAlreadyExists(f"{text} {attribute}")
        return create(self, name, tags, **given)

    def delete_message(self: Any, receipt_handle: str) -> None:
        """With a FIFO queue's handle only until the message is visible again."""
        late = (m.visible for m in self._messages if m.had_receipt_handle(receipt_handle))
        if self.fifo_queue and any(late):
            error = ReceiptHandleIsInvalid()
            error.code = "InvalidParameterValue"
            text = f"Value {receipt_handle} for parameter ReceiptHandle is invalid."
            error.message = f"{text} Reason: The receipt handle has expired."
            raise error
        remove(self, receipt_handle)

    def too_long(self: Any, queue_name: str, size: int) -> None:
        if size > (most := self.get_queue(queue_name).maximum_message_size):
            text = f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            raise InvalidParameterValue(text)

    def send_message(self: Any, queue_name: str, message_body: str, *args: Any, **rest: Any) -> Any:
        """Attributes count as well, and a FIFO queue's numbers only grow."""
        attributes = args[0] if args else rest.get("message_attributes")
        too_long(self, queue_name, _size(message_body, attributes))
        message = send(self, queue_name, message_body, *args, **rest)
        if self.get_queue(queue_name).fifo_queue:
            message.sequence_number = str(next(numbers))
        return message

    def send_message_batch(self: Any, queue_name: str, entries: dict[str, dict[str, Any]]) -> Any:
        sizes = [_size(entry["MessageBody"], entry.get("MessageAttributes")) for entry in entries.values()]
        if sum(sizes) > MAXIMUM_MESSAGE_LENGTH:
            raise BatchRequestTooLong(sum(sizes))
        for size in sizes:
            too_long(self, queue_name, size)
        return send_batch(self, queue_name, entries)

    def filter_message_attributes(message: Any, names: list[str]) -> None:
        chosen(message, ["All"] if "*" in names else names)

    setattr(queue_class, "_set_attributes", set_attributes)  # noqa: B010
    setattr(queue_class, "delete_message", delete_message)  # noqa: B010
    setattr(models, "_filter_message_attributes", filter_message_attributes)  # noqa: B010
    for function in (create_queue, send_message, send_message_batch):
        setattr(backend, function.__name__, function)


def _size(body: str, attributes: dict[str, Any] | None) -> int:
    """A message's bytes: its body and its attributes' names, types and values."""
    size = len(body.encode())
    for name, attribute in (attributes or {}).items():
        binary = attribute.get("BinaryValue") or b""
        content = base64.b64decode(binary) if isinstance(binary, str) else binary
        text = attribute.get("StringValue") or ""
        size += len(f"{name}{attribute.get('DataType', '')}{text}".encode()) + len(content)
    return size


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
