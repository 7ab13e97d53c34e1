"""What is special to notebooks 02 and 03: their exercises on the cloud, a second run, the clean-up, and 429."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import urllib3
from platform_lab import own_lab

from helpers import reconcile
from helpers.inventory import inventory, refuse_foreign
from helpers.lab import SAMPLE, Lab, LabError
from helpers.provision import wait_for
from helpers.rows import Selection, read_rows
from tests.notebooks import allowed_actions, execute, said

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which both notebooks have run with their defaults."""
    folder = tmp_path_factory.mktemp("pipeline") / "lab"
    with own_lab(folder) as opened_lab:
        opened_lab.require("02", "03", csv="", rows=1000)
        yield opened_lab


# --- notebook 02


def policy(action: Any, resource: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (policy("kinesis:PutRecord", ARN + "APIdata"), "PutRecord to the stream workbook-orders is still denied"),
        (policy("kinesis:PutRecord", "*"), "it also lets the function write to other streams"),
        (policy("kinesis:PutRecord", [ARN + "workbook-orders", ARN + "APIdata"]), "write to other streams"),
        (policy("kinesis:PutRecord", ARN + "workbook-orders*"), "write to other streams"),
        (policy(["kinesis:PutRecord", "kinesis:PutRecords"], ARN + "workbook-orders"), "it also allows PutRecords"),
        (
            policy(["kinesis:PutRecord", "kinesis:Describe*"], ARN + "workbook-orders"),
            "it also allows what is no writing",
        ),
        ({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}, "MalformedPolicyDocument"),
        ("kinesis:PutRecord", "give the policy as a dict"),
    ],
)
def test_a_policy_that_is_not_the_least_gets_its_hint(lab: Lab, answer: Any, hint: str) -> None:
    assert said("02-1", answer).startswith("Not yet (02-1): ")
    assert hint in said("02-1", answer)
    assert not [role for role in inventory()["IAM roles"] if role.startswith("exercise")]
    assert inventory()["Kinesis streams"] == ["APIdata"]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda row: row["CustomerID"], "for a row with CustomerID None the key is None"),
        (lambda row: row["CustomerID"] or "none", "all rows without a customer lie on one shard"),
        (lambda row: row["InvoiceNo"], "rows of a customer need one key"),
        (lambda row: "row", "all rows without a customer lie on one shard"),
        ("CustomerID", "cannot use this str"),
    ],
)
def test_a_key_that_does_not_fit_gets_its_hint(lab: Lab, answer: Any, hint: str) -> None:
    assert hint in said("02-2", answer)
    assert said("02-2", answer).startswith("Not yet")
    assert inventory()["Kinesis streams"] == ["APIdata"]


@pytest.mark.parametrize(
    ("template", "status", "deployed", "hint"),
    [
        (None, None, True, "no gateway response of its own"),
        ('{"why": "$context.error.validationErrorString"}', None, False, "What did you forget"),
        ('{"why": "$context.error.validationErrorString"}', "200", True, "it must stay 400"),
        ("$context.error.validationErrorString", None, True, "no JSON"),
        ('{"message": "wrong"}', None, True, "does not say what is wrong"),
    ],
)
def test_a_refusal_that_explains_nothing_gets_its_hint(
    lab: Lab, template: str | None, status: str | None, deployed: bool, hint: str
) -> None:
    api, rest = boto3.client("apigateway"), lab.outputs("02")["api_id"]
    place: dict[str, Any] = {"restApiId": rest, "responseType": "BAD_REQUEST_BODY"}
    if template:
        changed = {"statusCode": status} if status else {}
        api.put_gateway_response(**place, responseTemplates={"application/json": template}, **changed)
    if deployed:
        api.create_deployment(restApiId=rest, stageName="P")
    try:
        assert hint in said("02-3", "done")
    finally:
        if template:
            api.delete_gateway_response(**place)
        api.create_deployment(restApiId=rest, stageName="P")


def test_a_busy_shard_becomes_429_and_no_row_is_counted_as_accepted(lab: Lab) -> None:
    """The function gives up before its time is up; the API turns that into what a client retries."""
    outputs, functions = lab.outputs("02"), boto3.client("lambda")
    key = boto3.client("apigateway").get_api_key(apiKey=outputs["api_key_id"], includeValue=True)["value"]
    row = next(iter(read_rows(SAMPLE, Selection(first=1))))
    body = json.dumps([row] * 500)

    def put(_: int) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "x-api-key": key}
        answer = urllib3.request("PUT", outputs["url"], body=body, headers=headers, retries=False)
        return answer.status, answer.json()

    functions.update_function_configuration(FunctionName=outputs["function"], Timeout=1)
    try:
        with ThreadPoolExecutor(8) as senders:
            answers = list(senders.map(put, range(16)))
    finally:
        functions.update_function_configuration(FunctionName=outputs["function"], Timeout=25)
    assert {status for status, _ in answers} <= {200, 429, 500}
    assert (429, {"message": "Too Many Requests"}) in answers, answers
    assert all(content == {"accepted": 500} for status, content in answers if status == 200)


# --- notebook 03


@pytest.fixture
def trigger(lab: Lab) -> Iterator[str]:
    """The trigger of the notebook, with its settings put back afterwards."""
    functions, key = boto3.client("lambda"), lab.outputs("03")["mapping"]
    yield key
    functions.update_event_source_mapping(UUID=key, BatchSize=10_000, MaximumBatchingWindowInSeconds=2, Enabled=True)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({}, "the batch size is 10,000 records and the window 2 seconds"),
        ({"MaximumBatchingWindowInSeconds": 60}, "the batch size is 10,000 records and the window 60 seconds"),
        ({"BatchSize": 5_000, "MaximumBatchingWindowInSeconds": 300}, "the window 300 seconds"),
        ({"BatchSize": 5_000, "MaximumBatchingWindowInSeconds": 60, "Enabled": False}, "it reads nothing"),
    ],
)
def test_a_trigger_that_was_not_changed_so_gets_its_hint(trigger: str, settings: Any, hint: str) -> None:
    if settings:
        boto3.client("lambda").update_event_source_mapping(UUID=trigger, **settings)
    assert hint in said("03-1", "done")


def test_a_second_trigger_and_a_new_one_are_noticed(lab: Lab, trigger: str) -> None:
    functions, kinesis = boto3.client("lambda"), boto3.client("kinesis")
    kinesis.create_stream(StreamName="other", ShardCount=1, Tags={"workbook": "test"})
    read = policy("kinesis:*", ARN + "other")
    iam, role = boto3.client("iam"), "raw-storage-role"
    iam.put_role_policy(RoleName=role, PolicyName="other", PolicyDocument=json.dumps(read))
    wanted = {"BatchSize": 5_000, "MaximumBatchingWindowInSeconds": 60, "StartingPosition": "LATEST"}
    second = functions.create_event_source_mapping(EventSourceArn=ARN + "other", FunctionName="raw-storage", **wanted)
    try:
        assert "has 2 triggers now" in said("03-1", "done")
        lab.publish("03", {"mapping": "00000000-0000-0000-0000-000000000000"})
        assert "is gone: a new one has its own place" in said("03-1", "done")
    finally:
        lab.publish("03", {"mapping": trigger})
        functions.delete_event_source_mapping(UUID=second["UUID"])
        iam.delete_role_policy(RoleName=role, PolicyName="other")
        kinesis.delete_stream(StreamName="other")


def hour_of(lab: Lab, wanted: Callable[[Any], bool]) -> list[Any]:
    bucket = lab.outputs("03")["bucket"]
    keys = [entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="raw/")["Contents"]]
    newest = max(key.rpartition("/")[0] for key in keys)
    return [row for row in reconcile.object_rows(bucket, newest + "/") if wanted(row)]


def test_other_numbers_than_the_cancellations_get_their_hint(lab: Lab) -> None:
    cancelled = hour_of(lab, lambda row: row["InvoiceNo"].startswith("C"))
    rows = {row["RowId"] for row in cancelled}
    assert said("03-2", len(rows)) == f"Right (03-2): {len(rows)} cancellations came in that hour."
    negative = {row["RowId"] for row in hour_of(lab, lambda row: row["Quantity"] < 0)}
    assert "negative Quantity" in said("03-2", len(negative))
    assert "an invoice has several rows" in said("03-2", len({row["InvoiceNo"] for row in cancelled}))
    assert "every row of the hour" in said("03-2", len(hour_of(lab, lambda row: True)))
    assert "another number" in said("03-2", len(rows) + 100_000)
    assert "not a str" in said("03-2", str(len(rows)))


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        (None, "has no lifecycle yet"),
        ({"Status": "Disabled"}, "not Enabled"),
        ({"Filter": {"Prefix": ""}}, "it moves the whole bucket to STANDARD_IA after 30 days"),
        ({"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}, "raw/ to GLACIER after 30 days"),
        ({"Transitions": [{"Days": 90, "StorageClass": "STANDARD_IA"}]}, "raw/ to STANDARD_IA after 90 days"),
        ({"Expiration": {"Days": 365}}, "it also deletes files"),
    ],
)
def test_another_lifecycle_gets_its_hint(lab: Lab, rule: Any, hint: str) -> None:
    s3, bucket = boto3.client("s3"), lab.outputs("03")["bucket"]
    if rule is not None:
        move = {"Days": 30, "StorageClass": "STANDARD_IA"}
        rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "raw/"}, "Transitions": [move], **rule}
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    try:
        assert hint in said("03-3", "done")
    finally:
        s3.delete_bucket_lifecycle(Bucket=bucket)


# --- both


def test_what_a_notebook_did_not_make_is_not_touched(lab: Lab) -> None:
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="payroll", ShardCount=1)
    try:
        with pytest.raises(LabError, match="has a stream payroll that notebook 02 did not make"):
            refuse_foreign("02", streams=["payroll"])
    finally:
        kinesis.delete_stream(StreamName="payroll")
    refuse_foreign(
        "02", roles=["test-role"], policies=["MyKinesisWriteAPIData"], functions=["test"], streams=["APIdata"]
    )
    with pytest.raises(LabError, match="has a function test that notebook 03 did not make"):
        refuse_foreign("03", functions=["test"])


def test_every_policy_names_actions_that_aws_has_and_no_resource_at_large(lab: Lab) -> None:
    assert {"kinesis:PutRecord", "kinesis:PutRecords", "kinesis:GetRecords", "s3:PutObject"} <= allowed_actions()


def test_a_second_run_works_and_the_clean_up_leaves_nothing(lab: Lab) -> None:
    """Last in this file: it ends with an empty account."""
    standing = inventory()
    execute("02")  # its rows are in the stream twice now, and the notebook's own reconciliation counts them once
    assert inventory() == standing
    stages = reconcile.stages(lab)
    assert stages["client"] == stages["kinesis"]
    assert stages["client"]["rows"] == 1000
    execute("03", cleanup=True)
    assert "raw-storage" not in str(inventory())
    execute("02", cleanup=True)
    assert {kind: names for kind, names in inventory().items() if names} == {}
    wait_for(lambda: not boto3.client("logs").describe_log_groups()["logGroups"], timeout=60, what="no log group")
