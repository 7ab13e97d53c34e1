"""moto's Lambda: what is stored about a function, as the runtime needs it, and what AWS refuses to store.

Refused besides: layers and images (in cloud.py), JSON logs and log groups of one's own, SnapStart, weights of aliases,
and what belongs to other kinds of functions than those that run from a zip.
"""

from __future__ import annotations

import contextlib
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
from ..protocols import Call, page
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
_OF_ONE = ("State", "StateReason", "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason")
_refused = partial(AwsError, "InvalidParameterValueException")


def _backend(region: str) -> Any:
    from moto.awslambda.models import lambda_backends

    return lambda_backends[ACCOUNT_ID][region]


_NAME = re.compile(
    r"(?:arn:aws:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)
_NAME_ON_AWS = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)


def split(name_or_arn: str, region: str) -> tuple[str, str, str | None]:
    """(region, function name, qualifier) of a name, a partial or a full ARN; `region` "" takes the ARN's.

    Raises AwsError ValidationException for what is none of them, ResourceNotFoundException for another region's,
    AccessDeniedException for another account's.
    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters
    """
    found = _NAME.fullmatch(name_or_arn)
    text = f"1 validation error detected: Value '{name_or_arn}' at 'functionName' failed to satisfy constraint: Member"
    if not found:
        raise AwsError("ValidationException", f"{text} must satisfy regular expression pattern: {_NAME_ON_AWS}")
    if len(found["name"]) > 64:
        raise _refused(f"{text} must have length less than or equal to 64")
    where = found["region"] or region
    if region and where != region:
        text = f"Functions from '{where}' are not reachable in this region ('{region}')"
        raise AwsError("ResourceNotFoundException", text, 404)
    if found["account"] not in (None, ACCOUNT_ID):
        raise AwsError("AccessDeniedException", f"{name_or_arn} is another account's, which lets nobody in.", 403)
    return where, found["name"], found["qualifier"]


def _one(in_name: str | None, qualifier: str | None) -> str | None:
    """The qualifier of a call; raises AwsError if the function's name has another one than the parameter says."""
    if in_name and qualifier and in_name != qualifier:
        raise _refused("The derived qualifier from the function name does not match the specified qualifier.")
    return qualifier or in_name


def lookup(name_or_arn: str, qualifier: str | None, region: str) -> Function:
    """The function as it stands now; raises AwsError ResourceNotFoundException."""
    region, name, in_name = split(name_or_arn, region)
    qualifier = _one(in_name, qualifier)
    arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}" + (f":{qualifier}" if qualifier else "")
    try:
        stored = _backend(region).get_function(name, qualifier)
    except Exception:
        missing = arn if qualifier else f"{arn}:$LATEST"
        raise AwsError("ResourceNotFoundException", f"Function not found: {missing}", 404) from None
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
    """The permissions of a function, its versions and its aliases, each for its own ARN, or None."""
    region, name, _ = split(arn, "")
    try:
        statements = _backend(region).get_function(name).policy.statements
    except Exception:
        return None
    return {"Statement": [*statements]} if statements else None


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


def account(region: str) -> dict[str, Any]:
    """What GetAccountSettings says: the quotas of which some of the lab's refusals tell, and what is used of them.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    known = list(_backend(region)._lambdas._functions.values())
    reserved = sum(int(group["latest"].reserved_concurrency or 0) for group in known)
    size = sum(version.code_size for group in known for version in (group["latest"], *group["versions"]))
    return {
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800, "CodeSizeUnzipped": _MOST_UNZIPPED, "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000 - reserved,
        },
        "AccountUsage": {"TotalCodeSize": size, "FunctionCount": len(known)},
    }  # fmt: skip


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
    if (p.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        raise _refused("The local AWS has no weights for aliases: an alias names one version.")
    if call.operation in ("CreateAlias", "UpdateAlias"):
        constraints.check("lambda", call.operation, p)
    if call.operation in ("TagResource", "UntagResource"):
        _check_tags(call.uri["Resource"], p.get("Tags"), region)
    if call.operation == "PutFunctionConcurrency":
        if split(call.uri["FunctionName"], region)[2]:
            text = "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            text += "operation. Please specify either a function name or an unqualified function ARN."
            raise _refused(text)
        lookup(call.uri["FunctionName"], None, region)


def _check_tags(arn: str, tags: dict[str, str] | None, region: str) -> None:
    """Tags are a function's, fifty at most. https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html

    `tags` is None when some are taken away.
    """
    _, name, qualifier = split(arn, region)
    if qualifier:
        raise _refused("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    if tags == {}:
        raise _refused("An error occurred and the request cannot be processed.")
    try:
        known = _backend(region).get_function(name).tags
    except Exception:
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404) from None
    if tags and len({**known, **tags}) > 50:
        raise _refused("Number of tags exceeds resource tag limit.")


def _principal(principal: str) -> Any:
    """Whom a permission is for. https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    kind = "Service" if re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", principal) else "AWS"
    if not may_be_named(kind, principal, identities.exists):
        raise _refused("The provided principal was invalid. Please check the principal and try again.")
    arn = f"arn:aws:iam::{principal}:root" if principal.isdigit() else principal
    return principal if principal == "*" else {kind: arn}


def _check_event_config(call: Call, p: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    if call.operation.startswith(("Put", "Update")):
        p = constraints.check("lambda", call.operation, p)
        if call.operation.startswith("Put") and not p:
            raise _refused("You must specify at least one of error handling or destination setting.")
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
    _check_revision(latest, p.get("RevisionId"))
    if call.operation == "PublishVersion" and p.get("CodeSha256") not in (None, latest.code_sha_256):
        text = (
            f"CodeSHA256 ({p['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({latest.code_sha_256})."
        )
        raise _refused(f"{text} Please try again with the CodeSHA256 in $LATEST.")


def _check_revision(target: Any, given: str | None) -> None:
    """Raises AwsError if a function, a version or an alias has changed since its caller has seen it."""
    if given not in (None, target.revision_id):
        text = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
        raise AwsError("PreconditionFailedException", f"{text}retrieve the latest Revision Id", 412)


def by_name(call: Call, p: dict[str, Any], request: Request, region: str) -> Request:
    """The request with the function's bare name, and a qualifier if there is one: moto reads few of the other forms.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html#API_CreateFunction_RequestBody
    """
    if "FunctionName" in call.uri:
        _, name, qualifier = split(call.uri["FunctionName"], region)
        _one(qualifier, dict(urllib.parse.parse_qsl(request.query)).get("Qualifier"))
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

    def checked(name: str) -> Any:
        original = getattr(models, name)

        def content(given: Any) -> Any:
            found = original(given)
            check_zip(found[0])
            return found

        return content

    for name in ("_zipfile_content", "_s3_content"):
        setattr(models, name, checked(name))

    first, update, update_code, numbered, shown, code = (
        LambdaFunction.__init__,
        LambdaFunction.update_configuration,
        LambdaFunction.update_function_code,
        LambdaFunction.set_version,
        LambdaFunction.get_configuration,
        LambdaFunction.get_code,
    )

    def changed(self: Any) -> dict[str, Any]:
        self.last_modified = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        self.revision_id = str(uuid.uuid4())
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
            "RevisionId": self.revision_id,
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": self.logs_group_name},
        }
        if self.dead_letter:
            config["DeadLetterConfig"] = self.dead_letter
        return {name: value for name, value in config.items() if name != "Layers"}

    def get_code(self: Any) -> dict[str, Any]:
        reserved = self.reserved_concurrency
        return code(self) | ({} if reserved is None else {"Concurrency": {"ReservedConcurrentExecutions": reserved}})

    for function in (
        __init__, update_configuration, update_function_code, set_version, get_configuration, get_code,
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
        latest.revision_id = str(uuid.uuid4())
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
        latest = self.get_function_by_name_forbid_qualifier(name)
        if qualifier and not qualifier.isdigit():
            raise _refused("Deletion of aliases is not currently supported.")
        named = self.list_aliases(name) if qualifier else ()
        if used := [alias.name for alias in named if qualifier == alias.function_version]:
            text = f"Version {qualifier} of {name} is what an alias refers to: {', '.join(used)}."
            raise AwsError("ResourceConflictException", text, 409)
        if not qualifier or self._get_version(latest.function_name, qualifier):  # a version that is gone is gone
            del_function(self, name_or_arn, qualifier)

    list_versions = LambdaStorage.list_versions_by_function

    def list_versions_by_function(self: Any, name: str) -> Any:
        """Of a function by its name or ARN, which must be there; moto takes a name, and tells of none otherwise."""
        name = split(urllib.parse.unquote(name), self.region_name)[1]
        return list_versions(self, self.get_function_by_name_forbid_qualifier(name).function_name)

    setattr(LambdaStorage, "publish_version", publish_version)  # noqa: B010
    setattr(LambdaStorage, "del_function", del_unused)  # noqa: B010
    setattr(LambdaStorage, "list_versions_by_function", list_versions_by_function)  # noqa: B010
    _install_aliases()
    _install_permissions()
    _install_event_configs()
    _install_lists()


def _named(response: Any) -> tuple[str, str | None]:
    """(function name, qualifier) that a call to moto is about: see `by_name`."""
    _, name, qualifier = split(urllib.parse.unquote(response.path.split("/")[3]), response.region)
    return name, qualifier or response.querystring.get("Qualifier", [None])[0]


def _install_aliases() -> None:
    """An alias has a revision for each of its states, and is what a function is shown by when it is asked for by it.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
    """
    import moto.awslambda.models as models
    from moto.awslambda.models import LambdaAlias
    from moto.awslambda.responses import LambdaResponse

    update, shown, update_alias, get_alias = (
        LambdaAlias.update, LambdaAlias.to_json, LambdaResponse.update_alias, LambdaResponse.get_alias,
    )  # fmt: skip

    def update_with_revision(self: Any, *changes: Any) -> None:
        update(self, *changes)
        self.revision_id = str(uuid.uuid4())

    def checked(self: Any) -> tuple[int, dict[str, Any], str]:
        alias = self.backend.get_alias(urllib.parse.unquote(self.path.split("/")[5]), _named(self)[0])
        _check_revision(alias, self.json_body.get("RevisionId"))
        return 200, {}, update_alias(self)[2]  # type: ignore[return-value]

    def qualified(configuration: dict[str, Any], name: str, qualifier: str | None) -> dict[str, Any]:
        if qualifier := name.partition(":")[2] or qualifier:
            bare = ":".join(configuration["FunctionArn"].split(":")[:7])
            configuration["FunctionArn"] = f"{bare}:{qualifier}"
        return configuration

    for owner, name, function in (
        (LambdaAlias, "update", update_with_revision),
        (LambdaAlias, "to_json", lambda self: {k: v for k, v in shown(self).items() if k != "RoutingConfig"}),
        (LambdaResponse, "update_alias", checked),
        (LambdaResponse, "get_alias", lambda self: (200, {}, get_alias(self)[2])),
        (LambdaResponse, "_set_configuration_qualifier", staticmethod(qualified)),
        (models, "ConflictException", lambda text: AwsError("ResourceConflictException", text, 409)),
    ):
        setattr(owner, name, function)


def _install_permissions() -> None:
    """A function, a version and an alias have a policy each, which has their revision; moto has one for all of them.

    https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html: what becomes a condition
    """
    from moto.awslambda.exceptions import GenericResourcNotFound, UnknownFunctionException, UnknownPolicyException
    from moto.awslambda.responses import LambdaResponse

    conditions = {
        "FunctionUrlAuthType": "lambda:FunctionUrlAuthType", "PrincipalOrgID": "aws:PrincipalOrgID",
        "SourceAccount": "AWS:SourceAccount", "EventSourceToken": "lambda:EventSourceToken",
    }  # fmt: skip

    def found(self: Any) -> tuple[list[dict[str, Any]], Any, str]:
        """(the statements of all the function's policies, what the call is about, its ARN); moto's error if none."""
        name, qualifier = _named(self)
        latest = self.backend.get_function(name)
        alias = qualifier and re.fullmatch(r"(?!\d+$)[\w-]+", qualifier)
        target = self.backend.get_alias(qualifier, name) if alias else self.backend.get_function(name, qualifier)
        return latest.policy.statements, target, latest.function_arn + (f":{qualifier}" if qualifier else "")

    def add_permission(self: Any) -> str:
        p = self.json_body
        principal = _principal(str(p.get("Principal")))
        statements, target, arn = found(self)
        if arn.endswith(":$LATEST"):
            raise _refused("We currently do not support adding policies for $LATEST.")
        if p.get("InvokedViaFunctionUrl"):
            raise _refused("The local AWS has no function URLs.")
        _check_revision(target, p.get("RevisionId"))
        if any((known["Sid"], known["Resource"]) == (p["StatementId"], arn) for known in statements):
            text = f"The statement id ({p['StatementId']}) provided already exists. Please provide a new statement id, "
            raise AwsError("ResourceConflictException", f"{text}or remove the existing statement.", 409)
        equal = {key: p[name] for name, key in conditions.items() if p.get(name)}
        like = {"AWS:SourceArn": p["SourceArn"]} if p.get("SourceArn") else {}
        tests = {name: test for name, test in (("StringEquals", equal), ("ArnLike", like)) if test}
        statement = {
            "Sid": p["StatementId"], "Effect": "Allow", "Principal": principal, "Action": p["Action"], "Resource": arn,
            **({"Condition": tests} if tests else {}),
        }  # fmt: skip
        statements.append(statement)
        target.revision_id = str(uuid.uuid4())
        return json.dumps({"Statement": json.dumps(statement)})

    def get_policy(self: Any) -> str:
        name, qualifier = _named(self)
        latest = self.backend.get_function(name)
        arn = latest.function_arn + (f":{qualifier}" if qualifier else "")
        of_this = [statement for statement in latest.policy.statements if statement["Resource"] == arn]
        if not of_this:
            raise GenericResourcNotFound()
        document = {"Version": "2012-10-17", "Id": "default", "Statement": of_this}
        return json.dumps({"Policy": json.dumps(document), "RevisionId": found(self)[1].revision_id})

    def remove_permission(self: Any) -> tuple[int, dict[str, Any], str]:
        try:
            statements, target, arn = found(self)
        except UnknownFunctionException as error:
            text = error.message.replace("Function not found", "No policy found for")
            raise AwsError("ResourceNotFoundException", text, 404) from None
        _check_revision(target, self.querystring.get("RevisionId", [None])[0])
        sid = urllib.parse.unquote(self.path.split("/")[5])
        of_this = [statement for statement in statements if statement["Resource"] == arn]
        if not of_this:
            raise UnknownPolicyException()
        if sid not in [statement["Sid"] for statement in of_this]:
            raise AwsError("ResourceNotFoundException", f"Statement {sid} is not found in resource policy.", 404)
        statements[:] = [known for known in statements if (known["Sid"], known["Resource"]) != (sid, arn)]
        target.revision_id = str(uuid.uuid4())
        return 204, {"status": 204}, ""

    for method in (add_permission, get_policy, remove_permission):
        setattr(LambdaResponse, method.__name__, method)


def _install_event_configs() -> None:
    """EventInvokeConfig of a function, a version or an alias: moto has one for all, and answers with its first.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionEventInvokeConfig.html: an update keeps the rest.
    """
    from moto.awslambda.responses import LambdaResponse

    def found(self: Any) -> tuple[dict[str, Any], str, str]:
        """(the function's configurations, the qualifier, its ARN)"""
        name, qualifier = _named(self)
        try:
            self.backend.get_function(name, qualifier)
            latest = self.backend.get_function(name)
        except Exception:
            raise AwsError("ResourceNotFoundException", "The function doesn't exist.", 404) from None
        return latest.event_configs, qualifier or "$LATEST", f"{latest.function_arn}:{qualifier or '$LATEST'}"

    def known(self: Any) -> tuple[dict[str, Any], str]:
        """The same; of a function that is not there AWS says that it has no configuration."""
        name, given = _named(self)
        configs, qualifier = dict[str, Any](), given or "$LATEST"
        with contextlib.suppress(AwsError):
            configs, qualifier, _ = found(self)
        if qualifier not in configs:
            arn = f"arn:aws:lambda:{self.region}:{ACCOUNT_ID}:function:{name}:{qualifier}"
            text = f"The function {arn} doesn't have an EventInvokeConfig"
            raise AwsError("ResourceNotFoundException", text, 404)
        return configs, qualifier

    def put(self: Any) -> str:
        configs, qualifier, arn = found(self)
        given = {k: v for k, v in self.json_body.items() if v is not None}
        given["DestinationConfig"] = {"OnSuccess": {}, "OnFailure": {}, **given.get("DestinationConfig", {})}
        configs[qualifier] = {**given, "FunctionArn": arn, "LastModified": round(time.time(), 3)}
        return json.dumps(configs[qualifier])

    def update(self: Any) -> str:
        found(self)
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


def _install_lists() -> None:
    """Lists come in pages. In those of functions and versions the state is missing, as on AWS.

    https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
    """
    from moto.awslambda.responses import LambdaResponse

    def paged(method: str, name: str, key: str, most: int) -> Any:
        original = getattr(LambdaResponse, method)

        def listed(self: Any) -> str:
            asked = {name: values[0] for name, values in self.querystring.items()}
            version = asked.get("FunctionVersion")
            if method == "list_functions" and version not in (None, "ALL"):
                text = f"1 validation error detected: Value '{version}' at 'functionVersion' failed to satisfy "
                raise AwsError("ValidationException", f"{text}constraint: Member must satisfy enum value set: [ALL]")
            answer = original(self)
            found = json.loads(answer if isinstance(answer, str) else answer[2])[name]
            if method == "list_aliases" and version:
                found = [alias for alias in found if alias["FunctionVersion"] == version]
            items, more = page(found, key, asked, most)
            return json.dumps({name: [{k: v for k, v in i.items() if k not in _OF_ONE} for i in items], **more})

        return listed

    for method, name, key, most in (
        ("list_functions", "Functions", "FunctionArn", 50),
        ("list_versions_by_function", "Versions", "FunctionArn", 50),
        ("list_aliases", "Aliases", "AliasArn", 10_000),
        ("list_function_event_invoke_configs", "FunctionEventInvokeConfigs", "FunctionArn", 50),
    ):
        setattr(LambdaResponse, method, paged(method, name, key, most))
