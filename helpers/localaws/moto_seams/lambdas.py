"""moto's Lambda: what is stored about a function, as the runtime needs it."""

from __future__ import annotations

import io
import re
import zipfile
from functools import partial
from typing import Any

from ..types import ACCOUNT_ID, AwsError, Function

_MOST_UNZIPPED = 262_144_000  # bytes


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


def event_settings(name: str, region: str) -> dict[str, Any]:
    """What holds for a function's asynchronous events: EventInvokeConfig's members, and `DeadLetter`, a queue or topic.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
    """
    stored = _backend(region).get_function(name)
    config = dict(stored.event_invoke_config[-1].config) if stored.event_invoke_config else {}
    return {**config, "DeadLetter": (getattr(stored, "dead_letter", None) or {}).get("TargetArn")}


def check_zip(code: bytes) -> None:
    """Raises AwsError InvalidParameterValueException for what cannot be unpacked, or is too much.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    refused = partial(AwsError, "InvalidParameterValueException")
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > _MOST_UNZIPPED:
                raise refused(f"Unzipped size must be smaller than {_MOST_UNZIPPED} bytes")
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
        raise refused("Could not unzip uploaded file. Please check your file, then try to upload again.")
    if not entries:
        raise refused("Uploaded file must be a non-empty zip")


def install() -> None:
    """Lets moto keep a function's DeadLetterConfig, which it would drop without a word, and refuse what is no zip."""
    import moto.awslambda.models as models
    from moto.awslambda.models import LambdaFunction

    def checked(name: str) -> Any:
        original = getattr(models, name)

        def content(given: Any) -> Any:
            found = original(given)
            check_zip(found[0])
            return found

        return content

    for name in ("_zipfile_content", "_s3_content"):
        setattr(models, name, checked(name))

    first, update, shown = (
        LambdaFunction.__init__,
        LambdaFunction.update_configuration,
        LambdaFunction.get_configuration,
    )

    def __init__(self: Any, account_id: str, spec: dict[str, Any], *rest: Any, **more: Any) -> None:
        self.dead_letter = spec.get("DeadLetterConfig")
        first(self, account_id, spec, *rest, **more)

    def update_configuration(self: Any, config_updates: dict[str, Any]) -> Any:
        self.dead_letter = config_updates.get("DeadLetterConfig", self.dead_letter)
        return update(self, config_updates)

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        config: dict[str, Any] = shown(self, on_create)
        if self.dead_letter:
            config["DeadLetterConfig"] = self.dead_letter
        return config

    for function in (__init__, update_configuration, get_configuration):
        setattr(LambdaFunction, function.__name__, function)
