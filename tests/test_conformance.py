"""Handlers, clients and policies in the styles in which people write them for AWS, run as they stand.

Each case names the page of AWS's documentation that its expectation rests on; the tables are in conformance/.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from conformance import dynamo, invoked, policies, refusals, web
from conformance.cases import Invoke, Policy, Refusal, Web
from conformance.lab import ACCOUNT, HANDLERS, World, until, world, zipped
from conformance.match import Between, Has, Text

from helpers.localaws.code_links import CodeLinks
from helpers.localaws.types import AwsError, Request


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("conformance") / "lab") as made:
        made.function("raises.handler")
        s3, ssm = made.client("s3"), made.client("ssm")
        bucket = made.names["{bucket}"]
        csv = "id,country\n1,Österreich\n2,France\n".encode()
        s3.put_object(Bucket=bucket, Key="in/new orders+1.csv", Body=csv, ContentType="text/csv")
        s3.put_object(Bucket=bucket, Key="policies/seed.txt", Body=b"x")
        for name, value, kind in (
            ("/shop/name", "shop", "String"),
            ("/shop/regions", "eu,us", "StringList"),
            ("/shop/db/host", "db.local", "String"),
            ("/shop/db/password", "s3cret", "SecureString"),
        ):
            ssm.put_parameter(Name=name, Value=value, Type=kind)
        yield made


def names(cases: list[Any]) -> list[str]:
    return [case.name for case in cases]


# Invoked


@pytest.mark.parametrize("case", invoked.CASES + dynamo.CASES, ids=names(invoked.CASES + dynamo.CASES))
def test_an_invoked_handler(lab: World, case: Invoke) -> None:
    returned, error, log = lab.invoke(case, case.event)
    assert returned == lab.fill(case.returns), log
    assert error == case.error
    for pattern in case.log:
        assert re.search(pattern, log), (pattern, log)
    for event, returns in case.again:
        returned, _, log = lab.invoke(case, event)
        assert returned == lab.fill(returns), log


# Behind API Gateway


@pytest.fixture(scope="module")
def stage(lab: World) -> str:
    return lab.deploy_api(web.CASES)


def asked(request: urllib.request.Request) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (repeated ones joined) and body; a redirect is an answer."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    try:
        answer: Any = urllib.request.build_opener(Stay).open(request, timeout=40)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        headers: dict[str, str] = {}
        for name, value in answer.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        return answer.status, headers, answer.read()


@pytest.mark.parametrize("case", web.CASES, ids=names(web.CASES))
def test_a_handler_behind_a_stage_url(lab: World, stage: str, case: Web) -> None:
    # urllib would name a type of its own for a body; a client that names none leaves the field empty
    headers = {"Content-Type": "", **case.headers} if case.body is not None else dict(case.headers)
    request = urllib.request.Request(stage + lab.fill(case.path), case.body, headers, method=case.method)
    if case.body is not None:
        request.data = lab.fill(case.body.decode()).encode() if case.body.isascii() else case.body
    status, sent, body = asked(request)
    shown: Any = body
    if isinstance(case.answer, bytes):
        pass
    elif sent.get("content-type", "").startswith("application/json") and body:
        try:
            shown = json.loads(body)
        except ValueError:
            shown = body.decode()
    else:
        shown = body.decode()
    assert (status, shown) == (case.status, lab.fill(case.answer)), body
    assert sent == Has(case.answer_headers)


# What handlers leave behind


def run(lab: World, handler: str, event: Any, **settings: Any) -> Any:
    case = Invoke("", handler, event, None, "", settings=settings)
    returned, error, log = lab.invoke(case, event)
    assert error is None, log
    return returned


def test_metrics_put_by_a_handler(lab: World) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html"""
    run(lab, "metrics.lambda_handler", {"country": "France", "orders": 3})
    assert statistics(lab, "Shop/Orders", "Orders", Country="France") == Has({"Sum": 3.0, "SampleCount": 1.0})
    assert statistics(lab, "Shop/Orders", "Latency") == Has({"Sum": 80.0, "SampleCount": 4.0, "Maximum": 30.0})


def test_metrics_printed_by_a_handler(lab: World) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    run(lab, "metrics.embedded", {"country": "France", "revenue": 15.3})
    found = until(lambda: statistics(lab, "Shop/Embedded", "Revenue", Country="France"), "the metric")
    assert found == Has({"Sum": 15.3, "SampleCount": 1.0})


def statistics(lab: World, namespace: str, name: str, **dimensions: str) -> Any:
    now = datetime.now(UTC)
    answer = lab.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": k, "Value": v} for k, v in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=5),
        Period=7200,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )
    return answer["Datapoints"][0] if answer["Datapoints"] else None


def test_a_published_message_reaches_its_queues(lab: World) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html"""
    sns, sqs = lab.client("sns"), lab.client("sqs")
    queues = {}
    for name, raw in (("wrapped", "false"), ("raw", "true")):
        queues[name] = sqs.create_queue(QueueName=f"from-topic-{name}")["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:from-topic-{name}"
        sns.subscribe(
            TopicArn=lab.names["{topic}"], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": raw}
        )
    sent = run(lab, "notify.lambda_handler", {"id": 1, "country": "France"})
    received = {
        name: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"])["Messages"][0]
        for name, url in queues.items()
    }
    assert json.loads(received["wrapped"]["Body"]) == Has(
        {
            "Type": "Notification",
            "MessageId": sent["messageId"],
            "TopicArn": lab.names["{topic}"],
            "Subject": "New order",
            "Message": '{"id": 1, "country": "France"}',
            "MessageAttributes": {"country": {"Type": "String", "Value": "France"}},
        }
    )
    assert received["raw"]["Body"] == '{"id": 1, "country": "France"}'
    assert received["raw"]["MessageAttributes"]["country"] == {"StringValue": "France", "DataType": "String"}


def test_a_function_starts_another_and_does_not_wait(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html: 202 and no payload"""
    target = lab.function("invoke_other.write_marker", {"environment": {"TARGET": "none"}})
    event = {"key": "markers/one.json"}
    assert run(lab, "invoke_other.fire_and_forget", event, environment={"TARGET": target}) == [202, ""]
    assert until(lambda: lab.objects("markers/"), "the marker") == {"markers/one.json": json.dumps(event).encode()}


def test_functions_that_wait_for_each_other(lab: World) -> None:
    """A chain may be longer than there are workers on this machine; a loop ends after sixteen invocations.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    settings = {"environment": {"TARGET": "itself"}, "Timeout": 60}
    assert run(lab, "invoke_other.count_down", {"left": 14}, **settings) == {"bottom": True}
    stopped = run(lab, "invoke_other.count_down", {"left": 30}, **settings)
    assert stopped == {"stopped": "RecursiveInvocationException", "left": 15}


@pytest.fixture(scope="module")
def askers(lab: World) -> tuple[list[str], list[str]]:
    """Twelve functions, each behind a path of an API: their names and their URLs."""
    gateway, region = lab.client("apigateway"), "us-east-1"
    api = gateway.create_rest_api(name="askers")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    made = [
        lab.function("asks_others.handler", {"Description": f"number {n}", "MemorySize": 512, "Timeout": 29})
        for n in range(12)
    ]
    for name in made:
        resource = gateway.create_resource(restApiId=api, parentId=root, pathPart=name)["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
        gateway.put_method(**where, authorizationType="NONE")
        function = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
        uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations"
        gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        lab.client("lambda").add_permission(
            FunctionName=name, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
        )
    gateway.create_deployment(restApiId=api, stageName="v1")
    return made, [f"{lab.info.endpoint}/_aws/execute-api/{api}/v1/{name}" for name in made]


@pytest.mark.parametrize(
    ("shape", "way"),
    [("chain", "by URL"), ("chain", "in turns"), ("fan-in", "by name"), ("fan-in of pairs", "by URL")],
)
def test_more_functions_wait_for_each_other_than_run_at_once(
    lab: World, askers: tuple[list[str], list[str]], shape: str, way: str
) -> None:
    """Within the integration's 29 seconds, however few processes this machine runs at a time.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
    """
    made, urls = askers
    for name in made:  # each of them starts anew, so that room is scarce each time
        lab.client("lambda").update_function_configuration(FunctionName=name, Description=f"{shape} {way}")
    targets = {"by URL": urls, "by name": made, "in turns": [(made, urls)[n % 2][n] for n in range(12)]}[way]
    asks: list[Any] = []
    if shape == "chain":
        for target in reversed(targets[1:]):
            asks = [[target, asks]]
        expected = made
    elif shape == "fan-in":
        asks, expected = [[target, []] for target in targets[1:]], made
    else:  # each of six asks the one that has asked them
        asks = [[target, [[targets[0], []]]] for target in targets[1:7]]
        expected = [made[0], *(name for target in made[1:7] for name in (target, made[0]))]
    request = urllib.request.Request(urls[0], json.dumps({"asks": asks}).encode(), {"Content-Type": "application/json"})
    status, _, body = asked(request)
    assert (status, json.loads(body)) == (200, {"functions": expected})


def test_invocation_types_and_the_clients_context(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

    The answer's request id is the one that the function's log has:
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
    """
    client, name = lab.client("lambda"), lab.function("context_info.lambda_handler")
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    event = client.invoke(FunctionName=name, InvocationType="Event")
    logged = client.invoke(FunctionName=name, LogType="Tail")
    log = base64.b64decode(logged["LogResult"]).decode()
    assert f"START RequestId: {logged['ResponseMetadata']['RequestId']}" in log
    group = {"logGroupName": f"/aws/lambda/{name}", "filterPattern": f'"{event["ResponseMetadata"]["RequestId"]}"'}
    until(lambda: quietly(lambda: lab.client("logs").filter_log_events(**group)["events"]), "the event's log")
    for service, operation in (
        ("kinesis", "list_streams"),
        ("lambda", "get_account_settings"),
        ("sts", "get_caller_identity"),
    ):
        assert getattr(lab.client(service), operation)()["ResponseMetadata"]["RequestId"]
    assert event["StatusCode"] == 202
    with pytest.raises(ClientError, match="'Asynchronous' at 'invocationType' failed to satisfy constraint"):
        client.invoke(FunctionName=name, InvocationType="Asynchronous")
    context = base64.b64encode(json.dumps({"custom": {"tenant": "a"}}).encode()).decode()
    answer = client.invoke(FunctionName=f"{ACCOUNT}:function:{name}:$LATEST", ClientContext=context)
    returned = json.loads(answer["Payload"].read())
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert returned["custom"] == {"tenant": "a"} and returned["arn"].endswith(f":{name}:$LATEST")


def test_prints_are_log_events(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html: an event for each line of a print"""
    run(lab, "unicode_print.handler", {"marker": "m1"})
    group = "/aws/lambda/unicode_print-handler"

    def messages() -> list[str]:
        pages = lab.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        found = [event["message"] for page in pages for event in page["events"]]
        return found if any('{"marker": "m1"}' in m for m in found) and found[-1].startswith("REPORT") else []

    found = until(lambda: quietly(messages), "the log")
    lines = [message.rstrip("\n") for message in found]
    at = lines.index('{"marker": "m1"}')
    assert lines[at - 1 : at + 4] == [
        "Prix: 12 €, 数量: 3, ☕", '{"marker": "m1"}', "first", "second", "to stderr",
    ]  # fmt: skip


def quietly(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except ClientError:
        return None


# Triggered by Kinesis


def test_a_batch_becomes_an_object(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-example.html"""
    lab.trigger("kinesis_to_s3.lambda_handler", "to-s3", BatchSize=10)
    rows = [json.dumps({"row": i, "text": "naïve ☕"}) for i in range(5)]
    lab.put_rows("to-s3", [row.encode() for row in rows])
    stored = until(lambda: len(b"".join(lab.objects("rows-").values())) >= 100 and lab.objects("rows-"), "the object")
    assert until(
        lambda: sorted(line for body in lab.objects("rows-").values() for line in body.decode().split("\n")) == rows,
        f"all rows, not {stored}",
    )


def test_what_a_record_carries(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html#services-kinesis-event-example"""
    lab.trigger("kinesis_to_s3.describe", "described")
    lab.put_rows("described", [b"one"])
    found = until(lambda: lab.objects("described/"), "the description")
    assert json.loads(found["described/0.json"]) == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "0",
            "sequenceNumber": Text(r"\d{56}"),
            "data": "b25l",
            "approximateArrivalTimestamp": Between(time.time() - 300, time.time() + 5),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": Text(r"shardId-000000000000:\d{56}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/strangers-role",
        "awsRegion": "us-east-1",
        "eventSourceARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/described",
        "function": "kinesis_to_s3-describe",
    }


def test_a_customer_item_grows_by_attribute_updates(lab: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html"""
    lab.trigger("kinesis_attribute_updates.lambda_handler", "customers")
    rows = [
        {"InvoiceNo": "536365", "StockCode": "85123A", "Quantity": 6, "UnitPrice": "2.55", "CustomerID": "17850"},
        {"InvoiceNo": "536365", "StockCode": "71053", "Quantity": 6, "UnitPrice": "3.39", "CustomerID": "17850"},
        {"InvoiceNo": "536366", "StockCode": "22633", "Quantity": 1, "UnitPrice": "1.85", "CustomerID": "17850"},
    ]
    lab.put_rows("customers", rows)
    until(lambda: lab.item("invoice#536366"), "the last invoice")
    assert lab.item("customer#17850") == {
        "pk": {"S": "customer#17850"}, "536365": {"S": "x"}, "536366": {"S": "x"}, "orders": {"N": "3"},
    }  # fmt: skip
    articles = lab.item("invoice#536365")
    assert set(articles) == {"pk", "85123A", "71053"}
    assert json.loads(articles["71053"]["S"]) == {"Quantity": 6, "UnitPrice": "3.39", "CustomerID": "17850"}


def test_rows_become_items_with_decimals(lab: World) -> None:
    """https://docs.aws.amazon.com/boto3/latest/guide/dynamodb.html#batch-writing"""
    lab.trigger("kinesis_to_dynamo.lambda_handler", "decimals")
    lab.put_rows(
        "decimals", [{"id": "dec-1", "price": 2.5}, {"id": "dec-2", "price": 0.10}, {"id": "dec-1", "price": 3}]
    )
    until(lambda: lab.item("dec-2") and lab.item("dec-1").get("price") == {"N": "3"}, "both items")
    assert lab.item("dec-2")["price"] == {"N": "0.1"}


FAILING = [{"id": "{}-1"}, {"id": "{}-2"}, {"id": "{}-3", "poison": True}, {"id": "{}-4"}]


def failing(name: str) -> list[dict[str, Any]]:
    return [{**row, "id": str(row["id"]).format(name)} for row in FAILING]


def attempts(lab: World, name: str) -> list[int]:
    return [int(lab.item(f"{name}-{i}").get("attempts", {"N": "0"})["N"]) for i in (1, 2, 3, 4)]


def done(lab: World, name: str) -> list[bool]:
    return [lab.item(f"{name}-{i}").get("status") == {"S": "done"} for i in (1, 2, 3, 4)]


def test_a_partial_batch_response_repeats_from_the_failed_record(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html"""
    queue = lab.client("sqs").create_queue(QueueName="poison")["QueueUrl"]
    lab.client("kinesis").create_stream(StreamName="partial", ShardCount=1)
    lab.put_rows("partial", failing("partial"))
    lab.map_stream(
        "kinesis_failures.partial_response",
        "partial",
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{ACCOUNT}:poison"}},
    )
    until(lambda: done(lab, "partial")[3], "the record after the poison")
    tried = attempts(lab, "partial")
    assert done(lab, "partial") == [True, True, False, True]
    assert tried[:2] == [1, 1] and tried[2] >= 2 and tried[3] >= 1, tried
    message = lab.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
    record = json.loads(message["Body"])
    assert record["requestContext"] == Has({"condition": "RetryAttemptsExhausted"})
    assert record["KinesisBatchInfo"] == Has({"shardId": "shardId-000000000000", "batchSize": 1})


def test_a_raised_error_repeats_the_whole_batch_and_bisects(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html, services-kinesis-create.html"""
    lab.client("kinesis").create_stream(StreamName="raising", ShardCount=1)
    lab.put_rows("raising", failing("raising"))
    lab.map_stream("kinesis_failures.raising", "raising", MaximumRetryAttempts=2, BisectBatchOnFunctionError=True)
    until(lambda: done(lab, "raising")[3], "the record after the poison")
    tried = attempts(lab, "raising")
    assert done(lab, "raising") == [True, True, False, True]
    assert tried[0] >= 2 and tried[2] >= 3, tried


def test_without_limits_a_raised_error_blocks_the_shard(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html: tried until it expires"""
    lab.client("kinesis").create_stream(StreamName="blocked", ShardCount=1)
    lab.put_rows("blocked", failing("blocked"))
    mapping = lab.map_stream("kinesis_failures.raising", "blocked")
    until(lambda: attempts(lab, "blocked")[2] >= 3, "three attempts")
    assert done(lab, "blocked") == [True, True, False, False] and attempts(lab, "blocked")[3] == 0
    lab.client("lambda").delete_event_source_mapping(UUID=mapping)


def test_a_swallowed_error_loses_the_record(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html: a batch succeeds when the function returns"""
    lab.client("kinesis").create_stream(StreamName="swallowed", ShardCount=1)
    lab.put_rows("swallowed", failing("swallowed"))
    lab.map_stream("kinesis_failures.swallowing", "swallowed")
    until(lambda: done(lab, "swallowed")[3], "the last record")
    assert (done(lab, "swallowed"), attempts(lab, "swallowed")) == ([True, True, False, True], [1, 1, 1, 1])


# Clients


@pytest.mark.parametrize("case", refusals.CASES, ids=names(refusals.CASES))
def test_a_call_that_aws_refuses(lab: World, case: Refusal) -> None:
    with pytest.raises(ClientError) as refused:
        lab.call(case.call, case.arguments)
    error = refused.value.response["Error"]
    assert error["Code"] == case.code
    assert re.fullmatch(case.message, error["Message"], re.DOTALL), error["Message"]


def test_a_provisioned_table_says_when_it_has_had_enough(lab: World) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html: 300 seconds' worth

    and https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html: what then comes
    """
    client = lab.client("dynamodb", config=Config(retries={"max_attempts": 0}))
    client.create_table(
        TableName="provisioned",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    large, small = {"pk": {"S": "a"}, "text": {"S": "x" * 390_000}}, {"pk": {"S": "b"}}
    client.put_item(TableName="provisioned", Item=large)
    with pytest.raises(client.exceptions.ProvisionedThroughputExceededException, match="Consider increasing"):
        client.put_item(TableName="provisioned", Item=small)
    requests = [{"PutRequest": {"Item": small}}]
    answer = client.batch_write_item(RequestItems={"provisioned": requests, lab.names["{table}"]: requests})
    assert answer["UnprocessedItems"] == {"provisioned": requests}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(TransactItems=[{"Put": {"TableName": "provisioned", "Item": small}}])
    assert cancelled.value.response["CancellationReasons"][0]["Code"] == "ProvisionedThroughputExceeded"
    assert client.get_item(TableName="provisioned", Key={"pk": {"S": "a"}})["Item"] == large  # reads have their own


def test_an_api_is_changed_by_patches(lab: World) -> None:
    """As a script or the console changes one: by paths, with no effect on a stage before the next deployment.

    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
    """
    gateway = lab.client("apigateway")
    api = gateway.create_rest_api(name="patched")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    where = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=True)
    gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    gateway.put_method_response(**where, statusCode="200")
    template = {"application/json": '"first"'}
    gateway.put_integration_response(**where, statusCode="200", responseTemplates=template)
    gateway.create_deployment(restApiId=api, stageName="v1")

    def get() -> tuple[int, Any, str | None]:
        status, headers, body = asked(
            urllib.request.Request(f"{lab.info.endpoint}/_aws/execute-api/{api}/v1/", headers={"X": "y"})
        )
        return status, json.loads(body), headers.get("x-colour")

    def patch(call: str, *operations: tuple[str, ...], **more: str) -> Any:
        names = ("op", "path", "value")
        given = [dict(zip(names, operation, strict=False)) for operation in operations]
        return getattr(gateway, call)(**where, **more, patchOperations=given)

    assert get() == (403, {"message": "Forbidden"}, None)
    patch("update_method", ("replace", "/apiKeyRequired", "false"))
    colour = "Parameters/method.response.header.X-Colour"
    patch("update_method_response", ("add", f"/response{colour}", "false"), statusCode="200")
    patch(
        "update_integration_response", ("add", f"/response{colour}", "'blue'"),
        ("replace", "/responseTemplates/application~1json", '"second"'), statusCode="200",
    )  # fmt: skip
    changed = patch("update_integration", ("replace", "/passthroughBehavior", "NEVER"))
    assert changed["passthroughBehavior"] == "NEVER" and changed["type"] == "MOCK"
    assert changed["integrationResponses"]["200"]["responseTemplates"] == {"application/json": '"second"'}
    assert get() == (403, {"message": "Forbidden"}, None)  # the stage serves what was deployed
    gateway.create_deployment(restApiId=api, stageName="v1")
    assert until(lambda: get()[0] == 200, "the new deployment") and get() == (200, "second", "blue")
    with pytest.raises(ClientError, match="Invalid patch path  '/type' specified for op 'replace'"):
        patch("update_integration", ("replace", "/type", "HTTP"))
    origin = "method.response.header.Access-Control-Allow-Origin"  # whoever has set up CORS by hand knows the error
    undeclared = (
        "Validation Result: warnings : \\[\\], errors : \\[Invalid mapping expression parameter specified: " + origin
    )
    with pytest.raises(gateway.exceptions.BadRequestException, match=undeclared):
        gateway.put_integration_response(**where, statusCode="200", responseParameters={origin: "'*'"})
    with pytest.raises(gateway.exceptions.BadRequestException, match=undeclared):
        patch("update_integration_response", ("add", f"/responseParameters/{origin}", "'*'"), statusCode="200")
    patch("update_method_response", ("add", f"/responseParameters/{origin}", "false"), statusCode="200")
    gateway.put_integration_response(**where, statusCode="200", responseParameters={origin: "'*'"})


def test_a_consumer_without_a_library_reads_a_stream(lab: World) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/developing-consumers-with-sdk.html"""
    kinesis = lab.client("kinesis")
    kinesis.create_stream(StreamName="read", ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName="read")
    lab.put_rows("read", [{"row": i} for i in range(50)])
    rows = []
    for shard in kinesis.list_shards(StreamName="read")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="read", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=20)
            rows += [json.loads(record["Data"])["row"] for record in answer["Records"]]
            iterator = answer["NextShardIterator"]
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
    assert sorted(rows) == list(range(50))


def test_presigned_urls(lab: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html"""
    client = lab.client("s3", config=Config(signature_version="s3v4"))
    where = {"Bucket": lab.names["{bucket}"], "Key": "presigned/ä b.txt"}
    upload = client.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    assert asked(urllib.request.Request(upload, b"hello", {"Content-Type": ""}, method="PUT"))[0] == 200
    download = client.generate_presigned_url("get_object", Params=where)
    assert asked(urllib.request.Request(download))[::2] == (200, b"hello")
    status, _, body = asked(urllib.request.Request(download.replace("presigned/", "other/")))
    assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in body


def test_a_functions_zip_is_downloaded(lab: World) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html: a presigned URL, for ten minutes"""
    client, name = lab.client("lambda"), lab.function("raises.handler", {"Timeout": 31})

    def location(**more: str) -> str:
        found: str = client.get_function(FunctionName=name, **more)["Code"]["Location"]
        return found

    def status(url: str, **headers: str) -> int:
        return asked(urllib.request.Request(url, headers=headers))[0]

    client.publish_version(FunctionName=name)
    now, first = location(), location(Qualifier="1")
    body = asked(urllib.request.Request(now))[2]
    listed = client.get_function_configuration(FunctionName=name)["CodeSha256"]
    assert base64.b64encode(hashlib.sha256(body).digest()).decode() == listed
    assert asked(urllib.request.Request(first))[2] == body
    soon = now.replace("/_aws/code/", "/_aws/code/1")
    assert (status(soon), status(now[:-1]), status(now, Host="example.com")) == (403, 403, 421)
    client.update_function_code(FunctionName=name, ZipFile=zipped("counter.handler"))
    assert (status(now), status(first), status(location())) == (404, 200, 200)


def test_a_functions_zip_is_downloaded_for_ten_minutes() -> None:
    clock = [1_000.0]
    links = CodeLinks(now=lambda: clock[0])
    url = urllib.parse.urlsplit(links.sign("127.0.0.1:4566", "arn:aws:lambda:eu-west-1:1:function:f:2", "a+/b="))
    request = Request("GET", url.path, url.query, {})
    clock[0] += 600
    assert links.read(request) == ("arn:aws:lambda:eu-west-1:1:function:f:2", "a+/b=")
    for wrong in (Request("HEAD", url.path, url.query, {}), Request("GET", url.path, "", {})):
        with pytest.raises(AwsError, match="signature"):
            links.read(wrong)
    with pytest.raises(AwsError, match="signature"):
        CodeLinks(now=lambda: clock[0]).read(request)
    clock[0] += 1
    with pytest.raises(AwsError, match="Request has expired"):
        links.read(request)


def test_large_files_go_up_in_parts(lab: World) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html: the ETag counts the parts"""
    data = os.urandom(1024 * 1024) * 6
    settings = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    bucket, client = lab.names["{bucket}"], lab.client("s3")
    client.upload_fileobj(io.BytesIO(data), bucket, "large.bin", Config=settings)
    head = client.head_object(Bucket=bucket, Key="large.bin")
    assert head["ContentLength"] == len(data) and re.fullmatch(r'"[0-9a-f]{32}-2"', head["ETag"])
    back = io.BytesIO()
    client.download_fileobj(bucket, "large.bin", back, Config=settings)
    assert back.getvalue() == data
    part = client.get_object(Bucket=bucket, Key="large.bin", Range="bytes=10-19")
    assert (part["ContentRange"], part["Body"].read()) == (f"bytes 10-19/{len(data)}", data[10:20])


def mock_api(lab: World, name: str, authorization: str = "NONE", template: str = "") -> str:
    """The address of an API's stage whose GET / answers 200 by itself, with this response template."""
    gateway = lab.client("apigateway")
    api: str = gateway.create_rest_api(name=name)["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    where = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType=authorization)
    gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    gateway.put_method_response(**where, statusCode="200")
    templates = {"application/json": template} if template else {}
    gateway.put_integration_response(**where, statusCode="200", responseTemplates=templates)
    gateway.create_deployment(restApiId=api, stageName="v1")
    return f"{lab.info.endpoint}/_aws/execute-api/{api}/v1/"


def test_a_request_signed_by_hand_calls_an_api_with_iam(lab: World) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html"""
    told = ", ".join(f'"{name}": "$context.identity.{name}"' for name in ("userArn", "caller", "user", "accessKey"))
    url = mock_api(lab, "signed", "AWS_IAM", f"{{{told}}}")
    assert asked(urllib.request.Request(url))[::2] == (403, b'{"message":"Missing Authentication Token"}')
    request = AWSRequest("GET", url)
    SigV4Auth(lab.session.get_credentials(), "execute-api", "us-east-1").add_auth(request)
    status, _, body = asked(urllib.request.Request(url, headers=dict(request.headers)))
    key = lab.session.get_credentials().access_key
    root = {"userArn": f"arn:aws:iam::{ACCOUNT}:root", "caller": ACCOUNT, "user": ACCOUNT, "accessKey": key}
    assert (status, json.loads(body)) == (200, root)


def test_a_stage_is_measured(lab: World) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html"""
    url = mock_api(lab, "measured")
    for path in ("", "nowhere", "nowhere"):
        asked(urllib.request.Request(url + path))
    for of in ({"ApiName": "measured"}, {"ApiName": "measured", "Stage": "v1"}):

        def counted(of: dict[str, str] = of) -> Any:
            found = statistics(lab, "AWS/ApiGateway", "4XXError", **of)
            return found if found and found["SampleCount"] >= 3 else None

        assert until(counted, "the metric") == Has({"Sum": 2.0, "SampleCount": 3.0})


# Policies


@pytest.mark.parametrize("case", policies.CASES, ids=names(policies.CASES))
def test_a_policy_allows_and_denies(lab: World, case: Policy) -> None:
    iam, name = lab.client("iam"), f"policy-{policies.CASES.index(case)}"
    lab.names  # noqa: B018 (makes the resources that the policies are about)
    trust = policies.version(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    )
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(lab.fill(case.document)))
    given = lab.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    session = boto3.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="us-east-1"
    )
    for call, arguments in case.allowed:
        try:
            lab.call(call, arguments, session)
        except ClientError as error:
            assert "AccessDenied" not in error.response["Error"]["Code"], (call, error)
    for call, arguments in case.denied:
        with pytest.raises(ClientError) as refused:
            lab.call(call, arguments, session)
        denied = refused.value.response["Error"]
        assert denied["Code"] in ("AccessDenied", "AccessDeniedException"), (call, denied)
        assert denied["Message"].startswith(f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me is not authorized")
        assert re.search(case.words, denied["Message"]), denied["Message"]


# The suite itself


def test_each_handler_has_a_case_and_each_case_a_page() -> None:
    cases = [*invoked.CASES, *dynamo.CASES, *web.CASES, *refusals.CASES, *policies.CASES]
    for case in cases:
        assert re.match(r"https://(docs\.aws\.amazon\.com|boto3\.amazonaws\.com|github\.com/aws)/\S+$", case.page), case
    used = {case.handler.replace("/", ".").split(".")[0] for case in cases if hasattr(case, "handler")}
    used |= set(re.findall(r'"(\w+)\.\w+"', Path(__file__).read_text()))
    files = {file.stem for file in HANDLERS.glob("*.py")} | {file.parent.name for file in HANDLERS.glob("*/api.py")}
    assert files <= used and len(files) >= 30
