"""Making resources so that a cell is safe to run again."""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from helpers import provision
from helpers.provision import (
    bucket_location,
    delete_quietly,
    empty_bucket,
    ensure,
    find_by,
    package,
    source,
    tag_list,
    tags,
    until_propagated,
    wait_for,
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that only moves when somebody sleeps; yields the pauses."""
    pauses: list[float] = []
    monkeypatch.setattr(provision.time, "sleep", pauses.append)
    monkeypatch.setattr(provision.time, "monotonic", lambda: sum(pauses))
    yield pauses


def stubbed(service: str, *steps: tuple[str, dict[str, Any] | str, dict[str, Any] | None]) -> Any:
    """A client that gives these answers (a dict) or errors (a code), in this order, and nothing else."""
    client = boto3.client(service)
    stubber = Stubber(client)
    for operation, answer, expected in steps:
        if isinstance(answer, dict):
            stubber.add_response(operation, answer, expected)
        else:
            code, _, message = answer.partition(": ")
            stubber.add_client_error(operation, code, message, expected_params=expected)
    stubber.activate()
    client.done = stubber.assert_no_pending_responses
    return client


ROLE = {"Role": {"Path": "/", "RoleName": "test-role", "RoleId": "A" * 16, "Arn": "arn:aws:iam::1:role/test-role"}}
ROLE["Role"]["CreateDate"] = "2026-11-22T00:00:00Z"
NAMED = {"RoleName": "test-role", "AssumeRolePolicyDocument": "{}"}


def test_creates_what_is_not_there() -> None:
    iam = stubbed("iam", ("create_role", ROLE, NAMED))
    assert ensure(iam.create_role, **NAMED)["Role"]["Arn"] == ROLE["Role"]["Arn"]
    iam.done()


def test_returns_what_exists_in_the_shape_of_create() -> None:
    iam = stubbed(
        "iam",
        ("create_role", "EntityAlreadyExists: Role with name test-role already exists.", NAMED),
        ("get_role", ROLE, {"RoleName": "test-role"}),
    )
    assert ensure(iam.create_role, **NAMED)["Role"]["Arn"] == ROLE["Role"]["Arn"]
    iam.done()


def test_a_policy_that_exists_is_found_by_its_name() -> None:
    listed = {"Policies": [{"PolicyName": "other", "Arn": "arn:" + "x" * 20}, {"PolicyName": "P", "Arn": "y" * 20}]}
    iam = stubbed(
        "iam",
        ("create_policy", "EntityAlreadyExists: there", None),
        ("list_policies", listed, {"Scope": "Local"}),
    )
    assert ensure(iam.create_policy, PolicyName="P", PolicyDocument="{}")["Policy"]["Arn"] == "y" * 20


@pytest.mark.parametrize(
    ("service", "call", "code", "kwargs"),
    [
        ("kinesis", "create_stream", "ResourceInUseException", {"StreamName": "APIdata", "ShardCount": 1}),
        ("s3", "create_bucket", "BucketAlreadyOwnedByYou", {"Bucket": "mine"}),
        ("logs", "create_log_group", "ResourceAlreadyExistsException", {"logGroupName": "/aws/lambda/test"}),
        (
            "lambda",
            "add_permission",
            "ResourceConflictException",
            {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "p"},
        ),
    ],
)
def test_what_exists_and_has_nothing_to_say_is_empty(service: str, call: str, code: str, kwargs: Any) -> None:
    client = stubbed(service, (call, f"{code}: it exists", kwargs))
    assert ensure(getattr(client, call), **kwargs) == {}


@pytest.mark.parametrize(
    "error",
    [
        "BucketAlreadyExists: The requested bucket name is not available",  # somebody else's
        "AccessDenied: no",
    ],
)
def test_other_errors_are_raised(error: str) -> None:
    s3 = stubbed("s3", ("create_bucket", error, None))
    with pytest.raises(ClientError, match=error.partition(":")[0]):
        ensure(s3.create_bucket, Bucket="taken")


def test_two_changes_at_once_are_no_thing_that_exists() -> None:
    message = "Unable to complete operation due to concurrent modification. Please try again later."
    api = stubbed("apigateway", ("create_resource", f"ConflictException: {message}", None))
    with pytest.raises(ClientError, match="concurrent modification"):
        ensure(api.create_resource, restApiId="a", parentId="r", pathPart="hello")


def test_looks_first_where_names_are_not_unique() -> None:
    apis = {"items": [{"id": "1", "name": "other"}, {"id": "2", "name": "test"}]}
    api = stubbed("apigateway", ("get_rest_apis", apis, {}))
    found = ensure(api.create_rest_api, find=lambda: find_by(api.get_rest_apis, name="test"), name="test")
    assert found["id"] == "2"
    api.done()


def test_creates_when_the_look_finds_nothing() -> None:
    api = stubbed(
        "apigateway", ("get_rest_apis", {"items": []}, {}), ("create_rest_api", {"id": "3"}, {"name": "test"})
    )
    assert ensure(api.create_rest_api, find=lambda: find_by(api.get_rest_apis, name="test"), name="test")["id"] == "3"
    api.done()


def test_a_look_may_end_in_not_found() -> None:
    api = stubbed("apigateway", ("get_model", "NotFoundException: no", None), ("create_model", {"id": "m"}, None))
    made = ensure(
        api.create_model,
        find=lambda: api.get_model(restApiId="a", modelName="Row"),
        restApiId="a",
        name="Row",
        contentType="application/json",
    )
    assert made["id"] == "m"


def test_every_describing_call_exists_and_takes_these_arguments() -> None:
    clients = [boto3.client(name) for name in ("iam", "lambda", "apigateway")]
    for create, (describe, names) in provision._DESCRIBE.items():
        (client,) = [c for c in clients if hasattr(c, create)]
        model = client.meta.service_model
        made = model.operation_model(client.meta.method_to_api_mapping[create])
        told = model.operation_model(client.meta.method_to_api_mapping[describe])
        assert set(names) <= set(made.input_shape.members) and set(names.values()) <= set(told.input_shape.members)
        assert made.output_shape.members.keys() & told.output_shape.members.keys(), "not the same shape"


def test_find_by_goes_through_all_pages() -> None:
    first = {"Functions": [{"FunctionName": "a"}], "NextMarker": "more"}
    client = stubbed(
        "lambda",
        ("list_functions", first, {}),
        ("list_functions", {"Functions": [{"FunctionName": "b"}]}, {"Marker": "more"}),
    )
    assert find_by(client.list_functions, FunctionName="b") == {"FunctionName": "b"}
    client.done()


def test_find_by_hands_the_call_its_own_arguments() -> None:
    items = {"items": [{"id": "1", "path": "/"}, {"id": "2", "path": "/hello", "pathPart": "hello"}]}
    api = stubbed("apigateway", ("get_resources", items, {"restApiId": "a"}), ("get_resources", items, None))
    assert find_by(api.get_resources, restApiId="a", pathPart="hello")["id"] == "2"
    assert find_by(api.get_resources, restApiId="a", pathPart="nothing") is None


ASSUME = "InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda."


def test_a_new_role_is_waited_for(no_pauses: list[float]) -> None:
    function = {"FunctionName": "f", "Role": "arn:aws:iam::1:role/r", "Code": {"ZipFile": b"x"}}
    client = stubbed(
        "lambda", *[("create_function", ASSUME, None)] * 3, ("create_function", {"FunctionName": "f"}, None)
    )
    assert ensure(client.create_function, **function)["FunctionName"] == "f"
    assert len(no_pauses) == 3 and no_pauses[0] < no_pauses[1] < no_pauses[2]


def test_a_bucket_that_is_still_being_deleted_is_made_again(no_pauses: list[float]) -> None:
    told = "OperationAborted: A conflicting conditional operation is currently in progress against this resource. "
    client = stubbed("s3", ("create_bucket", told + "Please try again.", None), ("create_bucket", {}, None))
    ensure(client.create_bucket, Bucket="raw")
    assert len(no_pauses) == 1


def test_a_queue_that_was_deleted_a_moment_ago_is_made_again(no_pauses: list[float]) -> None:
    told = "AWS.SimpleQueueService.QueueDeletedRecently: You must wait 60 seconds after deleting a queue before you can"
    told += " create another with the same name."
    client = stubbed("sqs", *[("create_queue", told, None)] * 10, ("create_queue", {"QueueUrl": "q"}, None))
    assert ensure(client.create_queue, QueueName="days")["QueueUrl"] == "q"
    assert sum(no_pauses) > 40


def test_a_role_that_never_works_ends_in_its_error(no_pauses: list[float]) -> None:
    function = {"FunctionName": "f", "Role": "arn:aws:iam::1:role/r", "Code": {"ZipFile": b"x"}}
    client = stubbed("lambda", *[("create_function", ASSUME, None)] * 40)
    with pytest.raises(ClientError, match="cannot be assumed"):
        until_propagated(client.create_function, timeout=20, **function)
    assert 10 < sum(no_pauses) <= 20


def test_wait_for_returns_the_value(no_pauses: list[float]) -> None:
    answers = iter([None, 0, [], "ready"])
    assert wait_for(lambda: next(answers), timeout=10, what="it") == "ready"
    assert len(no_pauses) == 3


def test_wait_for_names_what_it_waited_for(no_pauses: list[float]) -> None:
    with pytest.raises(TimeoutError, match=r"^after 5 s still waiting for two records; the last answer was \[\]$"):
        wait_for(list, timeout=5, what="two records")
    assert sum(no_pauses) == pytest.approx(5)


def test_delete_quietly_hides_not_found_only() -> None:
    kinesis = stubbed(
        "kinesis",
        ("delete_stream", {}, {"StreamName": "a"}),
        ("delete_stream", "ResourceNotFoundException: no", {"StreamName": "a"}),
        ("delete_stream", "AccessDeniedException: no", {"StreamName": "a"}),
    )
    assert delete_quietly(kinesis.delete_stream, StreamName="a") is True
    assert delete_quietly(kinesis.delete_stream, StreamName="a") is False
    with pytest.raises(ClientError, match="AccessDenied"):
        delete_quietly(kinesis.delete_stream, StreamName="a")


def test_a_bucket_is_emptied_with_all_versions() -> None:
    versions = {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [{"Key": "b", "VersionId": "2"}]}
    deleted = {"Objects": [{"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "2"}], "Quiet": True}
    s3 = stubbed(
        "s3",
        ("list_object_versions", versions, {"Bucket": "raw"}),
        ("delete_objects", {}, {"Bucket": "raw", "Delete": deleted}),
    )
    assert empty_bucket(s3, "raw") == 2
    s3.done()


def test_a_bucket_that_is_not_there_is_empty() -> None:
    assert empty_bucket(stubbed("s3", ("list_object_versions", "NoSuchBucket: no", None)), "raw") == 0


def test_an_object_that_stays_is_said() -> None:
    s3 = stubbed(
        "s3",
        ("list_object_versions", {"Versions": [{"Key": "a", "VersionId": "1"}]}, None),
        ("delete_objects", {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}]}, None),
    )
    with pytest.raises(RuntimeError, match="raw: a was not deleted: Access Denied"):
        empty_bucket(s3, "raw")


def test_bucket_location_is_said_outside_us_east_1() -> None:
    assert bucket_location("us-east-1") == {}
    assert bucket_location("eu-central-1") == {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}


def test_tags() -> None:
    assert tags("02") == {"workbook": "02"} and tag_list("02") == [{"Key": "workbook", "Value": "02"}]


def test_the_same_files_give_the_same_zip(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "f.py", tmp_path / "two" / "f.py"
    for path, mode in ((one, 0o600), (two, 0o755)):
        path.parent.mkdir()
        path.write_text("x = 1\n")
        path.chmod(mode)
    assert package(one) == package(two)
    with zipfile.ZipFile(io.BytesIO(package(one))) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.external_attr >> 16, archive.read(entry)) == ("f.py", 0o644, b"x = 1\n")


def test_a_handler_is_found_by_its_name() -> None:
    assert package("ingest") == package(provision.HANDLERS / "ingest.py")
    assert "def lambda_handler" in source("ingest")
    with pytest.raises(FileNotFoundError, match=r"helpers/handlers has .*ingest.*raw_storage"):
        package("injest")


def test_a_pure_python_requirement_is_vendored() -> None:
    with zipfile.ZipFile(io.BytesIO(package("ingest", ["jmespath"]))) as archive:
        names = archive.namelist()
    assert {"ingest.py", "jmespath/__init__.py", "jmespath/parser.py"} <= set(names)
    assert names == sorted(names) and not [n for n in names if "dist-info" in n or n.endswith(".pyc") or ".." in n]


@pytest.mark.parametrize(
    ("requirement", "problem"), [("orjson", "compiled code"), ("no-such-package-here", "not installed")]
)
def test_what_cannot_go_into_a_zip_is_refused(requirement: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{requirement}.*{problem}"):
        package("ingest", [requirement])


# What a handler needs besides, and has in its zip: a pure-Python package, or another handler.
ZIPPED = {"ingest_kafka": {"kafka", "kafka_security"}, "bulk_import": {"batch_job", "dynamodb_writer"}}


@pytest.mark.parametrize("name", [p.stem for p in provision.HANDLERS.glob("[a-z]*.py")])
def test_handlers_need_only_the_standard_library_and_boto3(name: str) -> None:
    modules = set()
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            modules.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    assert modules <= set(sys.stdlib_module_names) | {"boto3", "botocore"} | ZIPPED.get(name, set())
