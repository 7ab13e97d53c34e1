"""SQS triggers: batches, what failed, the dead-letter queue, concurrency."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from platform_lab import own_lab

from helpers.lab import Lab
from helpers.provision import wait_for

HANDLER = """
import json, time
def handler(event, context):
    failed = []
    print("BATCH", json.dumps([r["messageId"] for r in event["Records"]]))
    for record in event["Records"]:
        body = json.loads(record["body"])
        print("GOT", json.dumps(record | {"began": time.time()}))
        time.sleep(body.get("seconds", 0))
        if body.get("raise"):
            raise ValueError("as asked")
        if body.get("fail"):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
"""
ALLOW = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]


def allow(role: str, actions: list[str]) -> None:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    boto3.client("iam").put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=document)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("sqs") / "lab"
    with own_lab(folder) as found:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = boto3.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        allow("reader", ["logs:*"])
        boto3.client("logs").create_log_group(logGroupName="/aws/lambda/reader")
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("reader.py", HANDLER)
        boto3.client("lambda").create_function(
            FunctionName="reader", Runtime="python3.13", Handler="reader.handler", Role=role, Timeout=2,
            Code={"ZipFile": zipped.getvalue()},
        )  # fmt: skip
        yield found


class Queue:
    """A queue with a dead-letter queue behind it, and the function's trigger on it."""

    def __init__(self, name: str, visibility: int = 2, receives: int = 2) -> None:
        self.sqs, self.functions = boto3.client("sqs"), boto3.client("lambda")
        self.dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        redrive = {
            "deadLetterTargetArn": f"arn:aws:sqs:us-east-1:123456789012:{name}-dead",
            "maxReceiveCount": str(receives),
        }
        attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": json.dumps(redrive)}
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        self.since = int(time.time() * 1000)
        self.key = ""

    def map(self, **settings: Any) -> dict[str, Any]:
        settings = {"FunctionResponseTypes": ["ReportBatchItemFailures"]} | settings
        made: dict[str, Any] = self.functions.create_event_source_mapping(
            EventSourceArn=self.arn, FunctionName="reader", **settings
        )
        self.key = made["UUID"]
        return made

    def send(self, *bodies: dict[str, Any]) -> list[str]:
        found = []
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": json.dumps(b)} for n, b in enumerate(bodies[start : start + 10])]
            answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            found += [entry["MessageId"] for entry in answer["Successful"]]
        return found

    def log(self, word: str) -> list[Any]:
        pages = boto3.client("logs").get_paginator("filter_log_events")
        found = []
        for page in pages.paginate(logGroupName="/aws/lambda/reader", filterPattern=word, startTime=self.since):
            found += [json.loads(event["message"].removeprefix(word)) for event in page["events"]]
        return found

    def got(self) -> Counter[str]:
        return Counter(r["messageId"] for r in self.log("GOT") if r["eventSourceARN"] == self.arn)

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def in_dead(self) -> list[str]:
        return [m["Body"] for m in self.sqs.receive_message(QueueUrl=self.dead).get("Messages", ())]

    def end(self) -> None:
        if self.key:
            self.functions.delete_event_source_mapping(UUID=self.key)


@pytest.fixture
def queue(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Queue]:
    made = Queue(f"q{abs(hash(request.node.name)) % 10**8}")
    allow("reader", ["logs:*", *ALLOW])
    yield made
    made.end()


def test_the_event_is_aws_own_and_success_deletes(queue: Queue) -> None:
    shown = queue.map()
    assert shown["BatchSize"] == 10 and "StartingPosition" not in shown
    attributes = {"Day": {"DataType": "String", "StringValue": "2011-12-08"}}
    sent = queue.sqs.send_message(QueueUrl=queue.url, MessageBody="{}", MessageAttributes=attributes)
    wait_for(lambda: queue.got(), timeout=60, what="the message")
    wait_for(lambda: queue.left() == 0, timeout=60, what="the message to be deleted")
    (record,) = queue.log("GOT")
    assert record.pop("receiptHandle") and record.pop("began")
    timestamps = {k: v for k, v in record.pop("attributes").items() if k != "SenderId"}
    assert timestamps.pop("ApproximateReceiveCount") == "1"
    assert set(timestamps) == {"SentTimestamp", "ApproximateFirstReceiveTimestamp"}
    value = {"stringValue": "2011-12-08", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    assert record == {
        "messageId": sent["MessageId"],
        "body": "{}",
        "messageAttributes": {"Day": value},
        "md5OfBody": sent["MD5OfMessageBody"],
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": "us-east-1",
    }
    shown = queue.functions.get_event_source_mapping(UUID=queue.key)
    assert (shown["State"], shown["StateTransitionReason"]) == ("Enabled", "USER_INITIATED")
    assert not {"LastProcessingResult", "StartingPosition", "FilterCriteria"} & shown.keys()
    elsewhere = boto3.client("lambda", region_name="eu-west-1")
    for ask in (elsewhere.get_event_source_mapping, elsewhere.delete_event_source_mapping):
        with pytest.raises(ClientError, match="does not exist"):
            ask(UUID=queue.key)
    assert elsewhere.list_event_source_mappings()["EventSourceMappings"] == []


def test_only_what_failed_comes_again_and_ends_in_the_dead_letter_queue(queue: Queue) -> None:
    queue.map()
    good = queue.send({}, {}, {})
    (bad,) = queue.send({"fail": True})
    dead = wait_for(queue.in_dead, timeout=60, what="the message in the dead-letter queue")
    assert dead == ['{"fail": true}']
    assert queue.got() == Counter({**dict.fromkeys(good, 1), bad: 2})
    assert queue.left() == 0


def test_a_batch_that_raises_comes_again_as_a_whole(queue: Queue) -> None:
    queue.map(BatchSize=2, FunctionResponseTypes=[])
    sent = queue.send({}, {"raise": True})
    wait_for(lambda: len(queue.in_dead()) > 0, timeout=60, what="the dead-letter queue")
    times = queue.got()
    assert times[sent[1]] == 2 and times[sent[0]] in (1, 2)


def test_batches_fill_within_their_window(queue: Queue) -> None:
    queue.send(*[{"n": n} for n in range(25)])
    queue.map(BatchSize=20, MaximumBatchingWindowInSeconds=1)
    wait_for(lambda: queue.left() == 0, timeout=60, what="the queue to be empty")
    wait_for(lambda: len(queue.got()) == 25, timeout=60, what="the log")
    assert sorted(len(batch) for batch in queue.log("BATCH"))[-1] == 20


@pytest.mark.parametrize("most", [2, 4])
def test_at_most_so_many_run_at_a_time(queue: Queue, most: int) -> None:
    queue.send(*[{"seconds": 0.4} for _ in range(8)])
    queue.map(BatchSize=1, ScalingConfig={"MaximumConcurrency": most})
    wait_for(lambda: queue.left() == 0, timeout=60, what="the queue to be empty")
    wait_for(lambda: len(queue.got()) == 8, timeout=60, what="the log")
    began = sorted(record["began"] for record in queue.log("GOT"))
    together = max(sum(start <= other < start + 0.4 for other in began) for start in began)
    assert 2 <= together <= most


def test_nothing_is_lost_or_doubled_when_the_trigger_is_switched_off_and_on(queue: Queue) -> None:
    queue.map(BatchSize=5)
    sent: list[str] = []
    for switched_on in (False, True, False, True):
        sent += queue.send(*[{"seconds": 0.01} for _ in range(25)])
        queue.functions.update_event_source_mapping(UUID=queue.key, Enabled=switched_on)
    wait_for(lambda: queue.left() == 0, timeout=60, what="the queue to be empty")
    wait_for(lambda: len(queue.got()) >= 100, timeout=60, what="the log")
    assert set(queue.got()) == set(sent)
    assert queue.in_dead() == []


def test_what_no_filter_wants_is_deleted_unseen(queue: Queue) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html"""
    queue.map(
        BatchSize=10, FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"n": [{"numeric": [">=", 15]}]}})}]}
    )
    sent = queue.send(*[{"n": n} for n in range(20)])
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="no JSON")
    wait_for(lambda: queue.left() == 0, timeout=60, what="the queue to be empty")
    wait_for(lambda: len(queue.got()) >= 5, timeout=60, what="the log")
    assert set(queue.got()) == set(sent[15:]) and queue.in_dead() == []
    queue.functions.update_event_source_mapping(UUID=queue.key, FilterCriteria={})
    more = queue.send({"n": 1})
    wait_for(lambda: len(queue.got()) >= 6, timeout=60, what="the log")
    assert set(queue.got()) == {*sent[15:], *more}


def test_events_that_fail_go_where_the_functions_role_may_write(queue: Queue) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html: the role needs SendMessage
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html: what nobody took is counted
    The attributes of the dead letter: localstack/localstack, tests/aws/services/lambda_/, test_lambda_destinations
    """
    functions, target = queue.functions, f"{queue.arn}-dead"
    settings = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": target}}}
    dead = {"DeadLetterConfig": {"TargetArn": target}}
    with pytest.raises(ClientError, match="The function's .* permissions to call SendMessage on arn:aws:sqs:us-east-1"):
        functions.put_function_event_invoke_config(FunctionName="reader", **settings)
    for missing in (
        f"{target}x",
        target.replace(":sqs:", ":sns:"),
        "arn:aws:lambda:us-east-1:123456789012:function:none",
    ):
        with pytest.raises(ClientError, match=f"The destination ARN {missing} is invalid"):
            wrong = {"OnFailure": {"Destination": missing}}
            functions.put_function_event_invoke_config(FunctionName="reader", DestinationConfig=wrong)
    with pytest.raises(ClientError, match="The provided .* permissions to call SendMessage on SQS"):
        functions.update_function_configuration(FunctionName="reader", **dead)
    allow("reader", ["logs:*", *ALLOW, "sqs:SendMessage"])
    functions.put_function_event_invoke_config(FunctionName="reader", **settings)
    functions.update_function_configuration(FunctionName="reader", **dead)
    event = {"Records": [{"messageId": "m", "body": '{"raise": true}'}]}
    functions.invoke(FunctionName="reader", InvocationType="Event", Payload=json.dumps(event))
    found, attributes = list[Any](), dict[str, Any]()

    def received() -> int:
        answer = queue.sqs.receive_message(
            QueueUrl=queue.dead, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", ()):
            found.append(json.loads(message["Body"]))
            attributes.update(message.get("MessageAttributes", {}))
        return len(found)

    wait_for(lambda: received() >= 2, timeout=60, what="the record and the event")
    [record] = [body for body in found if "requestContext" in body]
    assert record["requestPayload"] == event and event in found and len(found) == 2
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert attributes == {
        "RequestID": {"DataType": "String", "StringValue": record["requestContext"]["requestId"]},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": record["responsePayload"]["errorMessage"]},
    }
    assert record["requestContext"]["functionArn"].endswith(":function:reader:$LATEST")
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    allow("reader", ["logs:*", *ALLOW])  # the right is taken away again
    functions.invoke(FunctionName="reader", InvocationType="Event", Payload=json.dumps(event))

    def lost(name: str) -> float:
        now = time.time()
        answer = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=name, Dimensions=[{"Name": "FunctionName", "Value": "reader"}],
            StartTime=now - 600, EndTime=now + 60, Period=3600, Statistics=["Sum"],
        )  # fmt: skip
        return sum(point["Sum"] for point in answer["Datapoints"])

    wait_for(lambda: lost("DestinationDeliveryFailures") == 1, timeout=60, what="the destination's metric")
    wait_for(lambda: lost("DeadLetterErrors") == 1, timeout=60, what="the dead-letter queue's metric")
    assert received() == 2
    functions.delete_function_event_invoke_config(FunctionName="reader")
    functions.update_function_configuration(FunctionName="reader", DeadLetterConfig={"TargetArn": ""})


def test_what_aws_refuses_is_refused(lab: Lab, queue: Queue) -> None:
    for settings, words in (
        ({"StartingPosition": "LATEST"}, "StartingPosition"),
        ({"BatchSize": 100}, "batch window"),
        ({"BisectBatchOnFunctionError": True}, "Bisect"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "Invalid filter pattern definition"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"messageId": ["m"]}'}]}}, "filters by body only"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"eventSource": "aws:sqs"}'}]}}, "Invalid filter pattern"),
    ):
        with pytest.raises(ClientError, match=words):
            queue.map(**settings)
    with pytest.raises(ClientError, match="visibility timeout: 1 seconds is less than Function timeout: 2"):
        Queue("short", visibility=1).map()
    with pytest.raises(ClientError, match="does not exist"):
        queue.functions.create_event_source_mapping(EventSourceArn=queue.arn + "x", FunctionName="reader")
    allow("reader", ["logs:*", *ALLOW[:2]])
    with pytest.raises(ClientError, match="GetQueueAttributes on SQS"):
        queue.map()


def test_who_waits_for_a_message_holds_nobody_up(lab: Lab) -> None:
    """Long polling: two receivers wait, other calls are answered at once, and a message wakes one of them."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="waited", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=1),
            pool.submit(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=1),
        ]
        s3 = boto3.client("s3")
        for _ in range(20):
            s3.list_buckets()
        assert not any(future.done() for future in waiting)
        for _ in waiting:
            sqs.send_message(QueueUrl=url, MessageBody="x")
        assert all(len(future.result(timeout=60)["Messages"]) == 1 for future in waiting)
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    with pytest.raises(ClientError, match="Must be >= 0 and <= 20, if provided"):
        sqs.receive_message(QueueUrl=url, WaitTimeSeconds=21)
    assert 0.9 <= time.monotonic() - began < 15


def test_a_bucket_tells_only_a_queue_that_lets_it_in(lab: Lab) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html"""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket="tells")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def notify(queue: str) -> None:
        configuration = {"QueueConfigurations": [{"QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}]}
        s3.put_bucket_notification_configuration(Bucket="tells", NotificationConfiguration=configuration)

    def let_in(bucket: str) -> None:
        statement = {
            "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    for queue in (arn, arn + "-not-there"):
        with pytest.raises(ClientError, match="Unable to validate the following destination configurations"):
            notify(queue)
    let_in("another")
    with pytest.raises(ClientError, match="InvalidArgument"):
        notify(arn)
    let_in("tells")
    notify(arn)
    s3.put_object(Bucket="tells", Key="key", Body=b"")
    bodies = [json.loads(m["Body"]) for _ in range(2) for m in _received(sqs, url)]
    assert [b.get("Event") or b["Records"][0]["s3"]["object"]["key"] for b in bodies] == ["s3:TestEvent", "key"]


def _received(sqs: Any, url: str) -> list[Any]:
    found: list[Any] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", [])
    return found
