"""moto's SNS: a message is published whoever can take it, and what is there already is not changed by making it again.

The words are those that localstack/localstack tests/aws/services/sns/test_sns.snapshot.json recorded on AWS.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

from ..types import ACCOUNT_ID, AwsError

_LOG = logging.getLogger("localaws")


def install() -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and API_PublishBatch, API_CreateTopic"""
    from moto.core.exceptions import ServiceException
    from moto.sns.exceptions import BatchEntryIdsNotDistinct, TooManyEntriesInBatchRequest
    from moto.sns.models import SNSBackend, Subscription
    from moto.sqs.exceptions import SQSException

    deliver, create = Subscription.publish, SNSBackend.create_topic

    def publish(self: Any, *args: Any, **kwargs: Any) -> None:
        """Who published hears nothing of a queue that is gone; nor do the other queues."""
        try:
            deliver(self, *args, **kwargs)
        except (SQSException, AwsError) as error:
            _LOG.warning("%s did not take a message of %s: %s", self.endpoint, self.topic.arn, error)

    def publish_batch(self: Any, topic_arn: str, publish_batch_request_entries: list[dict[str, Any]]) -> Any:
        """Each entry is answered; moto forgets those that fail in another way than it expects."""
        self.get_topic(topic_arn)
        names = [entry["Id"] for entry in publish_batch_request_entries]
        if not names:
            raise AwsError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
        if len(names) > 10:
            raise TooManyEntriesInBatchRequest
        if len(set(names)) < len(names):
            raise BatchEntryIdsNotDistinct
        done, failed = [], []
        for entry in publish_batch_request_entries:
            try:
                check_message(topic_arn, entry)
                message_id = self.publish(
                    message=entry["Message"], arn=topic_arn, subject=entry.get("Subject"),
                    message_attributes=entry.get("MessageAttributes", {}), group_id=entry.get("MessageGroupId"),
                    deduplication_id=entry.get("MessageDeduplicationId"),
                    message_structure=entry.get("MessageStructure"),
                )  # fmt: skip
                done.append({"MessageId": message_id, "Id": entry["Id"]})
            except (AwsError, ServiceException) as error:
                failed.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
        return done, failed

    def create_topic(self: Any, name: str, attributes: Any = None, tags: dict[str, str] | None = None) -> Any:
        known = self.topics.get(f"arn:aws:sns:{self.region_name}:{ACCOUNT_ID}:{name}")
        if known and not (tags or {}).items() <= (known._tags or {}).items():
            text = "Invalid parameter: Tags Reason: Topic already exists with different tags"
            raise AwsError("InvalidParameter", text)
        return create(self, name, attributes, tags)

    setattr(Subscription, "publish", publish)  # noqa: B010
    setattr(SNSBackend, "publish_batch", publish_batch)  # noqa: B010
    setattr(SNSBackend, "create_topic", create_topic)  # noqa: B010


def topic(arn: str) -> Any:
    """A topic; AwsError when it is not there, or when this is no ARN."""
    from moto.sns.models import sns_backends

    if (count := len(arn.split(":"))) < 6:
        text = f"Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not {count}"
        raise AwsError("InvalidParameter", text)
    found = sns_backends[ACCOUNT_ID][arn.split(":")[3]].topics.get(arn)
    if found is None:
        raise AwsError("NotFound", "Topic does not exist", 404)
    return found


def check_message(topic_arn: str, message: dict[str, Any]) -> None:
    """Raises AwsError for a message that this topic does not take."""
    text = str(message.get("Message", ""))
    if not text:
        raise AwsError("InvalidParameter", "Invalid parameter: Empty message")
    if len(text.encode()) > 262_144:
        raise AwsError("InvalidParameter", "Invalid parameter: Message too long")
    if topic_arn.endswith(".fifo") and not message.get("MessageGroupId"):
        wrong = "The MessageGroupId parameter is required for FIFO topics"
        raise AwsError("InvalidParameter", f"Invalid parameter: {wrong}")


def check_attributes(attributes: dict[str, str]) -> None:
    """Raises AwsError for attributes that no subscription has; moto subscribes first and complains then."""
    raw = attributes.get("RawMessageDelivery", "true")
    if raw.lower() not in ("true", "false"):
        text = f"RawMessageDelivery: Invalid value [{raw}]. Must be true or false."
        raise AwsError("InvalidParameter", f"Invalid parameter: Attributes Reason: {text}")
    if set(attributes) - _ATTRIBUTES:
        raise AwsError("InvalidParameter", "Invalid parameter: AttributeName")
    with contextlib.suppress(ValueError):
        json.loads(attributes.get("FilterPolicy") or "{}")
        return
    raise AwsError("InvalidParameter", "Invalid parameter: FilterPolicy: failed to parse JSON.")


_ATTRIBUTES = {"RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy", "DeliveryPolicy"}


def check_subscription(topic_arn: str, endpoint: str, attributes: dict[str, str]) -> None:
    """Raises AwsError for a subscription that is there with other attributes; moto changes them."""
    from moto.sns.models import sns_backends

    topic(topic_arn)
    check_attributes(attributes)
    for known in list(sns_backends[ACCOUNT_ID][topic_arn.split(":")[3]].subscriptions.values()):
        if known.topic.arn == topic_arn and known.endpoint == endpoint:
            has = {name: str(value).lower() for name, value in known.attributes.items()}
            if any(has.get(name, "") != value.lower() for name, value in attributes.items()):
                text = "Subscription already exists with different attributes"
                raise AwsError("InvalidParameter", f"Invalid parameter: Attributes Reason: {text}")
