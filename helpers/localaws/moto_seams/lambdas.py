"""moto's Lambda: what is stored about a function, as the runtime needs it, and what AWS refuses to store.

Refused besides: layers and images (in cloud.py), JSON logs and log groups of one's own, SnapStart, weights of aliases,
and what belongs to other kinds of functions than those that run from a zip.
"""

from __future__ import annotations

import copy
import io
import json
import re
import time
import urllib.parse
import uuid
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from .. import constraints
from ..permissions import may_be_named
from ..protocols import Call
from ..types import ACCOUNT_ID, AwsError, Function, Request
from . import identities

_MOST_UNZIPPED = 262_144_000  # bytes
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MOST = {"Timeout": 900, "MemorySize": 10_240}  # seconds, MB; botocore's model has the numbers of managed instances
_ENVIRONMENT_BYTES = 4096  # of all variables, as JSON
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_RESERVED = {
    "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
_BEYOND = (
    "CodeSigningConfigArn", "TenancyConfig", "CapacityProviderConfig", "DurableConfig", "RuntimeConfig",
    "AcceleratorConfig", "PublishTo",
)  # fmt: skip
_refused = partial(AwsError, "InvalidParameterValueException")


def _backend(region: str) -> Any:
    from moto.awslambda.models import lambda_backends

    return lambda_backends[ACCOUNT_ID][region]


_NAME = re.compile(
    r"(?:arn:aws:lambda:(?P<region>[a-z0-9-]+):)?(?:\d{12}:)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)


def split(name_or_arn: str, region: str) -> tuple[str, str, str | None]:
    """(region, function name, qualifier) of a name, a partial or a full ARN; `region` "" takes the ARN's.

    Raises AwsError ValidationException for what is none of them, ResourceNotFoundException for another region's.
    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters
    """
    found = _NAME.fullmatch(name_or_arn)
    if not found:
        text = f"1 validation error detected: Value '{name_or_arn}' at 'functionName' failed to satisfy constraint:"
        raise AwsError("ValidationException", f"{text} Member must satisfy regular expression pattern: {_NAME.pattern}")
    where = found["region"] or region
    if region and where != region:
        text = f"Functions from '{where}' are not reachable in this region ('{region}')"
        raise AwsError("ResourceNotFoundException", text, 404)
    return where, found["name"], found["qualifier"]


def lookup(name_or_arn: str, qualifier: str | None, region: str) -> Function:
    """The function as it stands now; raises AwsError ResourceNotFoundException."""
    region, name, in_name = split(name_or_arn, region)
    qualifier = qualifier or in_name
    arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}" + (f":{qualifier}" if qualifier else "")
    try:
        stored = _backend(region).get_function(name, qualifier)
    except Exception:
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404) from None
    latest = _backend(region).get_function(name)
    reserved = latest.reserved_concurrency
    return Function(
        name=name,
        arn=arn,
        version="$LATEST" if stored is latest else str(stored.version),
        region=region,
        handler=stored.handler,
        runtime=stored.run_time,
        role=stored.role,
        timeout=int(stored.timeout),
        memory=int(stored.memory_size),
        environment=dict(stored.environment_vars),
        code=stored.code_bytes,
        code_sha256=stored.code_sha_256,
        log_group=stored.logs_group_name,
        reserved_concurrency=None if reserved is None else int(reserved),
    )


def policy(arn: str) -> dict[str, Any] | None:
    """A function's resource policy, or None.

    moto writes `arn…:$LATEST` as the resource of a permission given without a qualifier; on AWS it is the bare ARN.
    """
    region, name, _ = split(arn, "")
    try:
        statements = _backend(region).get_function(name).policy.statements
    except Exception:
        return None
    fixed = [s | {"Resource": s["Resource"].rstrip(":").removesuffix(":$LATEST")} for s in statements]
    return {"Statement": fixed} if fixed else None


def event_settings(arn: str) -> dict[str, Any]:
    """What holds for the asynchronous events of a function, a version or an alias, as it was invoked.

    EventInvokeConfig's members, and `DeadLetter`, a queue or topic.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
    """
    region, name, qualifier = split(arn, "")
    backend = _backend(region)
    dead_letter = backend.get_function(name, qualifier).dead_letter or {}
    found = backend.get_function(name).event_configs.get(qualifier or "$LATEST", {})
    return {**found, "DeadLetter": dead_letter.get("TargetArn")}


def check(call: Call, p: dict[str, Any], region: str) -> None:
    """Raises AwsError for what must not reach moto."""
    if call.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
        _check_settings(call.operation, p)
    if call.operation in ("CreateFunction", "UpdateFunctionCode"):
        code = p.get("Code") or p
        if beyond := [name for name in ("S3ObjectVersion", "ImageUri") if code.get(name)]:
            text = "The local AWS takes a function's code from a zip, or from an object in S3 as it is now"
            raise _refused(f"{text}: it has no {beyond[0]}.")
        if not code.get("ZipFile") and not code.get("S3Key"):
            raise _refused("Please provide a source for function code.")
    if call.operation in ("UpdateFunctionConfiguration", "UpdateFunctionCode", "PublishVersion"):
        _check_latest(call, p, region)
    if call.operation.endswith("FunctionEventInvokeConfig"):
        _check_event_config(call, p)
    if call.operation == "AddPermission":
        _check_principal(str(p.get("Principal")))
    if p.get("RoutingConfig", {}).get("AdditionalVersionWeights"):
        raise _refused("The local AWS has no weights for aliases: an alias names one version.")


def _check_principal(principal: str) -> None:
    """A permission is for somebody. https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    kind = "Service" if re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", principal) else "AWS"
    if not may_be_named(kind, principal, identities.exists):
        raise _refused("The provided principal was invalid. Please check the principal and try again.")


def _check_event_config(call: Call, p: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    if call.operation.startswith(("Put", "Update")):
        p = constraints.check("lambda", call.operation, p)
        for when, given in p.get("DestinationConfig", {}).items():
            kind = (given.get("Destination", "").split(":") + ["", "", ""])[2]
            if kind == "s3" and when == "OnSuccess":
                raise _refused("An S3 bucket is a destination for events that fail only.")
            if kind not in ("", "sqs", "sns", "s3", "lambda"):
                raise _refused(
                    f"The local AWS sends records to SQS, SNS, S3 and Lambda, not to {given['Destination']}."
                )


def _check_latest(call: Call, p: dict[str, Any], region: str) -> None:
    """What only the unpublished version takes, and only in the state in which its caller has seen it.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
    """
    region, name, qualifier = split(call.uri["FunctionName"], region)
    if qualifier not in (None, "$LATEST"):
        raise _refused(f"{call.operation} is not for {qualifier}: a published version cannot be changed.")
    try:
        latest = _backend(region).get_function(name)
    except Exception:
        return  # moto says that it is not there
    if p.get("RevisionId") not in (None, latest.revision):
        text = "The RevisionId provided does not match the latest RevisionId. Call the GetFunction API to retrieve the "
        raise AwsError("PreconditionFailedException", f"{text}latest RevisionId for your resource.", 412)
    if call.operation == "PublishVersion" and p.get("CodeSha256") not in (None, latest.code_sha_256):
        text = (
            f"CodeSHA256 ({p['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({latest.code_sha_256})."
        )
        raise _refused(f"{text} Please try again with the CodeSHA256 in $LATEST.")


def by_name(call: Call, p: dict[str, Any], request: Request, region: str) -> Request:
    """The request with the function's bare name, and a qualifier if there is one: moto reads few of the other forms.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html#API_CreateFunction_RequestBody
    """
    if "FunctionName" in call.uri:
        _, name, qualifier = split(call.uri["FunctionName"], region)
        place = name if qualifier in (None, "$LATEST") else f"{name}:{qualifier}"
        parts = request.path.split("/")  # /2015-03-31/functions/<name>/…
        return replace(request, path="/".join([*parts[:3], place, *parts[4:]]))
    if call.operation == "CreateFunction" and ":" in str(p.get("FunctionName")):
        return replace(request, body=json.dumps(p | {"FunctionName": split(p["FunctionName"], region)[1]}).encode())
    return request


def _check_settings(operation: str, p: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""
    p = constraints.check("lambda", operation, p)
    for name, most in _MOST.items():
        if p.get(name, 0) > most:
            text = f"1 validation error detected: Value '{p[name]}' at '{name[0].lower()}{name[1:]}' failed to satisfy "
            raise AwsError(
                "ValidationException", f"{text}constraint: Member must have value less than or equal to {most}"
            )
    if operation == "CreateFunction" and not (p.get("Runtime") and p.get("Handler")):
        raise _refused("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    variables = p.get("Environment", {}).get("Variables") or {}
    text = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
    )
    if reserved := [name for name in variables if name in _RESERVED]:
        text += "contains reserved keys that are currently not supported for modification. Reserved keys used in this "
        raise _refused(f"{text}request: {', '.join(reserved)}")
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > _ENVIRONMENT_BYTES:
        raise _refused(f"{text}exceeded the 4KB limit. String measured: {measured}")
    if beyond := [name for name in _BEYOND if p.get(name)]:
        raise _refused(f"The local AWS does not have {beyond[0]} for a function.")
    if p.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise _refused("The local AWS has no SnapStart: give ApplyOn None.")
    logs = p.get("LoggingConfig", {})
    if {*logs} - {"LogFormat"} or logs.get("LogFormat", "Text") != "Text":
        raise _refused("The local AWS writes a function's logs as Text to /aws/lambda/<function name>, and no others.")


def check_zip(code: bytes) -> None:
    """Raises AwsError InvalidParameterValueException for what cannot be unpacked, or is too much.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > _MOST_UNZIPPED:
                raise _refused(f"Unzipped size must be smaller than {_MOST_UNZIPPED} bytes")
            sound = all(entry.filename for entry in entries)
            for entry in entries:  # testzip looks at one of several entries of the same name
                with archive.open(entry) as file:
                    while file.read(1 << 20):
                        pass
    except AwsError:
        raise
    except Exception:  # zipfile's many kinds: of zlib, struct, encryption, …
        sound = False
    if not sound:
        raise _refused("Could not unzip uploaded file. Please check your file, then try to upload again.")
    if not entries:
        raise _refused("Uploaded file must be a non-empty zip")


def install() -> None:
    """Lets moto keep what it would drop without a word (DeadLetterConfig, most of an update), give each state of a
    function its RevisionId, publish versions as AWS does, and refuse what is no zip."""
    import moto.awslambda.models as models
    from moto.awslambda.models import LambdaFunction, LambdaStorage
    from moto.awslambda.policy import Policy

    def checked(name: str) -> Any:
        original = getattr(models, name)

        def content(given: Any) -> Any:
            found = original(given)
            check_zip(found[0])
            return found

        return content

    for name in ("_zipfile_content", "_s3_content"):
        setattr(models, name, checked(name))

    first, update, update_code, numbered, shown = (
        LambdaFunction.__init__,
        LambdaFunction.update_configuration,
        LambdaFunction.update_function_code,
        LambdaFunction.set_version,
        LambdaFunction.get_configuration,
    )

    def changed(self: Any) -> dict[str, Any]:
        self.last_modified = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        self.revision = str(uuid.uuid4())
        return get_configuration(self)

    def __init__(self: Any, account_id: str, spec: dict[str, Any], *rest: Any, **more: Any) -> None:
        self.dead_letter = spec.get("DeadLetterConfig")
        first(self, account_id, spec, *rest, **more)
        self.event_configs = {}  # by qualifier
        self.versions, self.published = 0, ({}, None)  # how many there were; the last, and as what it was published
        changed(self)

    def update_configuration(self: Any, config_updates: dict[str, Any]) -> Any:
        self.dead_letter = config_updates.get("DeadLetterConfig", self.dead_letter)
        self.tracing_config = config_updates.get("TracingConfig", self.tracing_config)
        self.kms_key_arn = config_updates.get("KMSKeyArn", self.kms_key_arn)
        self.ephemeral_storage = config_updates.get("EphemeralStorage", {}).get("Size", self.ephemeral_storage)
        update(self, config_updates)
        return changed(self)

    def update_function_code(self: Any, updated_spec: dict[str, Any]) -> Any:
        if updated_spec.get("DryRun") or self.version != "$LATEST":  # moto's second call, for what it has published
            return get_configuration(self)
        self.architectures = updated_spec.get("Architectures", self.architectures)
        update_code(self, updated_spec)
        return changed(self)

    def set_version(self: Any, version: int) -> None:
        numbered(self, version)
        changed(self)

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        config: dict[str, Any] = shown(self, on_create)
        config |= {
            "RevisionId": self.revision,
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": self.logs_group_name},
        }
        if self.dead_letter:
            config["DeadLetterConfig"] = self.dead_letter
        return config

    for function in (
        __init__, update_configuration, update_function_code, set_version, get_configuration,
    ):  # fmt: skip
        setattr(LambdaFunction, function.__name__, function)

    def publish_version(self: Any, name_or_arn: str, description: str = "") -> Any:
        """Only what has changed since the last version becomes one, and no number comes twice.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
        """
        latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
        kept = self._functions[latest.function_name]["versions"]
        state = {k: v for k, v in get_configuration(latest).items() if k not in ("LastModified", "RevisionId")}
        if latest.published[0] == state and latest.published[1] in kept:
            return latest.published[1]
        made = copy.copy(latest)
        latest.versions += 1
        made.set_version(latest.versions)
        made.description = description or made.description
        latest.published = state, made
        kept.append(made)
        self._arns[made.function_arn] = made
        return made

    del_function = LambdaStorage.del_function

    def del_unused(self: Any, name_or_arn: str, qualifier: str | None = None) -> None:
        """https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html"""
        _, name, in_name = split(name_or_arn, self.region_name)
        qualifier = qualifier or in_name
        if qualifier == "$LATEST":
            raise _refused("$LATEST version cannot be deleted without deleting the function.")
        named = self.list_aliases(name) if qualifier else ()
        if used := [alias.name for alias in named if qualifier == alias.function_version]:
            text = f"Version {qualifier} of {name} is what an alias refers to: {', '.join(used)}."
            raise AwsError("ResourceConflictException", text, 409)
        del_function(self, name_or_arn, qualifier)

    list_versions = LambdaStorage.list_versions_by_function

    def list_versions_by_function(self: Any, name: str) -> Any:
        """Of a function by its name or ARN, which must be there; moto takes a name, and tells of none otherwise."""
        name = lookup(urllib.parse.unquote(name), None, self.region_name).name
        return list_versions(self, name)

    setattr(LambdaStorage, "publish_version", publish_version)  # noqa: B010
    setattr(LambdaStorage, "del_function", del_unused)  # noqa: B010
    setattr(LambdaStorage, "list_versions_by_function", list_versions_by_function)  # noqa: B010
    add_statement = Policy.add_statement

    def add_new_statement(self: Any, raw: str, qualifier: str | None = None) -> Any:
        """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
        sid = json.loads(raw).get("StatementId")
        arn = self.parent.function_arn + (f":{qualifier}" if qualifier else "")
        if any((statement.get("Sid"), statement.get("Resource")) == (sid, arn) for statement in self.statements):
            text = (
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the "
            )
            raise AwsError("ResourceConflictException", f"{text}existing statement.", 409)
        return add_statement(self, raw, qualifier)

    setattr(Policy, "add_statement", add_new_statement)  # noqa: B010
    _install_event_configs()


def _install_event_configs() -> None:
    """EventInvokeConfig of a function, a version or an alias: moto has one for all, and answers with its first.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionEventInvokeConfig.html: an update keeps the rest.
    """
    from moto.awslambda.responses import LambdaResponse

    def found(self: Any) -> tuple[dict[str, Any], str, str]:
        """(the function's configurations, the qualifier, its ARN); moto's error if there is no such function."""
        _, name, qualifier = split(urllib.parse.unquote(self.path.split("/")[3]), self.region)
        qualifier = qualifier or self._get_param("Qualifier") or "$LATEST"
        self.backend.get_function(name, qualifier)
        latest = self.backend.get_function(name)
        return latest.event_configs, qualifier, f"{latest.function_arn}:{qualifier}"

    def known(self: Any) -> tuple[dict[str, Any], str]:
        configs, qualifier, arn = found(self)
        if qualifier not in configs:
            text = f"The function {arn} doesn't have an EventInvokeConfig"
            raise AwsError("ResourceNotFoundException", text, 404)
        return configs, qualifier

    def put(self: Any) -> str:
        configs, qualifier, arn = found(self)
        given = {k: v for k, v in self.json_body.items() if v is not None}
        empty: dict[str, Any] = {"DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}}
        configs[qualifier] = {**empty, **given, "FunctionArn": arn, "LastModified": round(time.time(), 3)}
        return json.dumps(configs[qualifier])

    def update(self: Any) -> str:
        configs, qualifier = known(self)
        given = {k: v for k, v in self.json_body.items() if v is not None}
        configs[qualifier] = {**configs[qualifier], **given, "LastModified": round(time.time(), 3)}
        return json.dumps(configs[qualifier])

    def get(self: Any) -> str:
        configs, qualifier = known(self)
        return json.dumps(configs[qualifier])

    def delete(self: Any) -> tuple[int, dict[str, Any], str]:
        configs, qualifier = known(self)
        del configs[qualifier]
        return 204, {"status": 204}, ""

    for method in (put, update, get, delete):
        setattr(LambdaResponse, f"{method.__name__}_function_event_invoke_config", method)
    listed = lambda self: json.dumps({"FunctionEventInvokeConfigs": list(found(self)[0].values())})  # noqa: E731
    setattr(LambdaResponse, "list_function_event_invoke_configs", listed)  # noqa: B010
