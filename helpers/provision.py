"""Make AWS resources from a notebook: plain boto3, and cells that are safe to run again.

role = ensure(iam.create_role, RoleName="test-role", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
"""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError

HANDLERS = Path(__file__).parent / "handlers"
PAGE = Path(__file__).parent / "page"  # the files of the web page: HTML, CSS, JavaScript

T = TypeVar("T")

# What AWS says when the thing is there already. BucketAlreadyExists is missing on purpose: that bucket is
# somebody else's. ConflictException is API Gateway's word, also for two changes at the same moment.
_PASSING = (
    "cannot be assumed",
    "You must wait 60 seconds after deleting a queue",
    "A conflicting conditional operation is currently in progress against this resource",
)
_EXISTS = {
    "BucketAlreadyOwnedByYou",  # S3
    "ClusterAlreadyExists",  # Redshift
    "ConflictException",  # API Gateway
    "EntityAlreadyExists",  # IAM
    "ResourceAlreadyExistsException",  # CloudWatch Logs
    "ResourceConflictException",  # Lambda
    "ResourceInUseException",  # Kinesis, DynamoDB, Firehose
}
NOT_FOUND = {
    "404",  # S3, where the answer has no body
    "AWS.SimpleQueueService.NonExistentQueue",
    "ClusterNotFound",  # Redshift
    "InvalidPermission.NotFound",  # EC2's security groups
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchKey",
    "NotFoundException",
    "ResourceNotFoundException",
}
# For these calls the service has one that answers in the same shape what exists; which arguments it takes.
_DESCRIBE: dict[str, tuple[str, dict[str, str]]] = {
    "create_function": ("get_function_configuration", {"FunctionName": "FunctionName"}),
    "create_model": ("get_model", {"restApiId": "restApiId", "name": "modelName"}),
    "create_role": ("get_role", {"RoleName": "RoleName"}),
    "create_stage": ("get_stage", {"restApiId": "restApiId", "stageName": "stageName"}),
    "create_usage_plan_key": ("get_usage_plan_key", {"usagePlanId": "usagePlanId", "keyId": "keyId"}),
    "put_method": (
        "get_method",
        {"restApiId": "restApiId", "resourceId": "resourceId", "httpMethod": "httpMethod"},
    ),
    "put_method_response": (
        "get_method_response",
        {
            "restApiId": "restApiId",
            "resourceId": "resourceId",
            "httpMethod": "httpMethod",
            "statusCode": "statusCode",
        },
    ),
}


def ensure(create: Callable[..., Any], *, find: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
    """Call `create(**kwargs)`; when AWS says that the thing exists already, return what exists instead.

    It compares nothing: a thing of that name with other settings is returned as it is. What comes back has
    the shape of `create`'s answer where the service can describe it so; otherwise it is `find`'s, or `{}`.

    `find` looks before anything is made, and is needed where names are not unique, so that AWS would simply
    make another one (`create_rest_api`, `create_usage_plan`, ...). It returns None, or raises a not-found
    error, when there is nothing: `find=lambda: find_by(apigateway.get_rest_apis, name="test")`.

    A role that was made a moment ago is not known everywhere at once on AWS: while Lambda says that it
    "cannot be assumed", the call is repeated, for up to a minute; and so it is while a queue or a bucket of that name
    is still being deleted. Every other error is raised as it came.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html (QueueDeletedRecently)
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList (OperationAborted)
    """
    if find and (found := _look(find)) is not None:
        return found
    try:
        return until_propagated(create, saying=_PASSING, timeout=75, **kwargs)
    except ClientError as error:
        if error_code(error) not in _EXISTS or "concurrent" in str(error).lower():
            raise
        found = _look(find or (lambda: _described(create, kwargs)))
        if found is None:
            raise
        return found


def _look(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except ClientError as error:
        if error_code(error) in NOT_FOUND:
            return None
        raise


def _described(create: Callable[..., Any], kwargs: Mapping[str, Any]) -> Any:
    client: Any = getattr(create, "__self__", None)
    name = getattr(create, "__name__", "")
    if name == "create_policy":  # IAM finds a policy by its ARN only
        policy = find_by(client.list_policies, Scope="Local", PolicyName=kwargs["PolicyName"])
        return policy and {"Policy": policy}
    if name not in _DESCRIBE:
        return {}
    describe, names = _DESCRIBE[name]
    return getattr(client, describe)(**{theirs: kwargs[ours] for ours, theirs in names.items()})


def find_by(list_call: Callable[..., Any], **match: Any) -> Any:
    """The first of what a list call answers, on all its pages, that has these values; None when none has.

    Arguments that the call itself takes go to the call, all others are compared with each item:
    `find_by(apigateway.get_resources, restApiId=api, pathPart="hello")`.
    """
    client = list_call.__self__  # type: ignore[attr-defined]
    operation = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[list_call.__name__])
    members = operation.input_shape.members if operation.input_shape else {}
    arguments = {name: value for name, value in match.items() if name in members}
    wanted = {name: value for name, value in match.items() if name not in members}
    if client.can_paginate(list_call.__name__):
        pages = client.get_paginator(list_call.__name__).paginate(**arguments)
        (key, *_) = pages.result_keys
        items: Iterable[Any] = (item for page in pages for item in key.search(page) or ())
    else:
        answer = list_call(**arguments)
        items = next((value for value in answer.values() if isinstance(value, list)), [])
    return next((item for item in items if all(item.get(name) == value for name, value in wanted.items())), None)


def until_propagated(
    call: Callable[..., T], *, saying: str | tuple[str, ...] = "cannot be assumed", timeout: float = 60, **kwargs: Any
) -> T:
    """`call(**kwargs)`, repeated while AWS refuses it with (one of) these words: IAM is eventually consistent.

    A change of a role or policy takes some seconds to reach every service:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    Raises the last error when it still says so after `timeout` seconds.
    """
    deadline, pause = time.monotonic() + timeout, 0.5
    expected = (saying,) if isinstance(saying, str) else saying
    while True:
        try:
            return call(**kwargs)
        except ClientError as error:
            told = str(error)
            if not any(words in told for words in expected) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause * random.uniform(0.8, 1))
        pause = min(pause * 2, 8)


def wait_for(condition: Callable[[], T], *, timeout: float, what: str) -> T:
    """Ask until `condition()` is true, and return its value. Raises TimeoutError, which names `what`.

    For states that no boto3 waiter knows (`kinesis.get_waiter("stream_exists")` and the like are better where
    they exist). It asks at once, then after 50 ms, then less and less often, down to once a second; and a question
    that itself takes long (many pages of a log) rests three times as long, but ten seconds at most.
    """
    deadline, pause = time.monotonic() + timeout, 0.05
    while True:
        asked = time.monotonic()
        value = condition()
        took = time.monotonic() - asked
        if value:
            return value
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"after {timeout:g} s still waiting for {what}; the last answer was {value!r}")
        time.sleep(min(max(pause, min(3 * took, 10)), left))
        pause = min(pause * 1.5, 1)


def delete_quietly(delete: Callable[..., Any], **kwargs: Any) -> bool:
    """Call `delete(**kwargs)`: True when it deleted, False when AWS says that there was nothing to delete.

    Every other error is raised: a clean-up that hides them leaves things behind that cost money.
    """
    try:
        delete(**kwargs)
    except ClientError as error:
        if error_code(error) not in NOT_FOUND:
            raise
        return False
    return True


def empty_bucket(s3: Any, bucket: str, prefix: str = "") -> int:
    """Delete every object of a bucket, or those below a prefix, all versions too, and return how many.

    0 when there is no such bucket.

    S3 refuses to delete a bucket that is not empty:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/delete-bucket.html
    """
    deleted, where = 0, {"Bucket": bucket, **({"Prefix": prefix} if prefix else {})}
    try:
        for page in s3.get_paginator("list_object_versions").paginate(**where):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            if objects:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise RuntimeError(f"{bucket}: {errors[0]['Key']} was not deleted: {errors[0]['Message']}")
                deleted += len(objects)
    except ClientError as error:
        if error_code(error) not in NOT_FOUND:
            raise
    return deleted


def error_code(error: ClientError) -> str:
    """AWS's name of the error: `ResourceInUseException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def bucket_location(region: str) -> dict[str, Any]:
    """What `create_bucket` needs besides the name: S3 wants the region said, except for us-east-1.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    """
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


def tags(name: str) -> dict[str, str]:
    """The tag of everything here, {"workbook": name}, as Lambda, Kinesis, API Gateway and Logs want it."""
    return {"workbook": name}


def tag_list(name: str) -> list[dict[str, str]]:
    """The same as the list that IAM, S3 and DynamoDB want: [{"Key": "workbook", "Value": name}]."""
    return [{"Key": key, "Value": value} for key, value in tags(name).items()]


def source(handler: str | Path) -> str:
    """The text of a handler, to read in a notebook: `print(source("ingest"))`."""
    return _path(handler).read_text(encoding="utf-8")


def package(handler_file: str | Path, requirements: Iterable[str] = (), also: Iterable[str | Path] = ()) -> bytes:
    """The zip that Lambda wants: one handler file, and pure-Python packages that it needs besides boto3.

    `handler_file` is a path or the name of a file in helpers/handlers: `package("ingest")`, whose function is
    then `Handler="ingest.lambda_handler"`; `also` are further files of its kind, which it calls, or paths of what
    it reads. `requirements` are names of installed packages; name also what they need themselves. The same files
    give the same bytes on every machine, so that `CodeSha256` says whether the code changed.

    https://docs.aws.amazon.com/lambda/latest/dg/python-package.html. Raises FileNotFoundError for the
    handler, ValueError for a package that is not installed or holds compiled code, which would fit this
    machine only.
    """
    path = _path(handler_file)
    files = {other.name: other.read_bytes() for other in (path, *map(_path, also))}
    for requirement in requirements:
        files.update(_vendored(requirement))
    zipped = io.BytesIO()
    # Stored, not compressed: zlib's bytes differ from build to build.
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix: readable for Lambda's user
            archive.writestr(entry, files[name])
    return zipped.getvalue()


def _path(handler: str | Path) -> Path:
    path = Path(handler)
    if not path.suffix:
        path = HANDLERS / f"{handler}.py"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in HANDLERS.glob("[a-z]*.py")))
        raise FileNotFoundError(f"there is no handler {path}; helpers/handlers has {known}")
    return path


def _vendored(requirement: str) -> dict[str, bytes]:
    try:
        found = distribution(requirement).files or []
    except PackageNotFoundError:
        raise ValueError(f"{requirement} is not installed, so it cannot go into the zip") from None
    files = {}
    for file in found:
        if file.suffix in {".so", ".pyd", ".dylib"}:
            raise ValueError(f"{requirement} holds compiled code ({file}): only pure Python can go into the zip")
        if ".." in file.parts or file.suffix == ".pyc" or file.parts[0].endswith(".dist-info"):
            continue  # scripts, caches, and what the installer wrote about itself
        files[file.as_posix()] = Path(str(file.locate())).read_bytes()
    if not files:
        raise ValueError(f"{requirement} has no files of its own here (an editable install?)")
    return files
