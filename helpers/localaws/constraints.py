"""What a service's own model says of a text: its enumerations, patterns and lengths, which boto3 leaves to AWS.

The words are AWS's, as in https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html (ValidationError) and,
for API Gateway, in localstack/localstack tests/aws/services/apigateway/*.snapshot.json, recorded against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .protocols import Call, model
from .types import AwsError

_CODES = {"apigateway": "ValidationException", "iam": "ValidationError", "sts": "ValidationError"}
_CODES |= {"lambda": "ValidationException"}
_OF_LAMBDA = {"AddPermission"}  # the others are checked where they are answered


def check(call: Call, parameters: dict[str, Any]) -> None:
    """Raises AwsError for texts that the model does not allow, all of them in one message."""
    operation = model(call.service)["operations"][call.operation]
    if call.service not in _CODES or (call.service == "lambda" and call.operation not in _OF_LAMBDA):
        return
    if "input" not in operation:
        return
    faults = list[str]()
    members = _shape(call.service, operation["input"]["shape"])["members"].items()
    for name, member in sorted(members, key=lambda item: item[1].get("location") == "uri"):  # the body's come first
        sent, place = member.get("locationName", name), member.get("location")
        if place == "uri":
            faults += _faults(call.service, member["shape"], call.uri.get(sent), name)
        elif place is None:
            root = f"{_lower(call.operation)}Input.{sent}" if call.service == "apigateway" else _lower(name)
            faults += _faults(call.service, member["shape"], parameters.get(sent), root)
    if faults:
        count = f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected"
        raise AwsError(_CODES[call.service], f"{count}: {'; '.join(faults)}")


def _shape(service: str, name: str) -> dict[str, Any]:
    shape: dict[str, Any] = model(service)["shapes"][name]
    return shape


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _faults(service: str, name: str, value: Any, at: str) -> Iterator[str]:
    shape = _shape(service, name)
    if shape["type"] == "string" and isinstance(value, str):
        if broken := _broken(shape, value):
            yield f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {broken}"
    elif shape["type"] == "structure" and isinstance(value, dict):
        for key, member in shape["members"].items():
            sent = member.get("locationName", key)
            yield from _faults(service, member["shape"], value.get(sent), f"{at}.{sent}")
    elif shape["type"] == "list" and isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield from _faults(service, shape["member"]["shape"], item, f"{at}.{number}.member")


def _broken(shape: dict[str, Any], value: str) -> str | None:
    if "enum" in shape and value not in shape["enum"]:
        return f"satisfy enum value set: [{', '.join(shape['enum'])}]"
    if len(value) > shape.get("max", len(value)):
        return f"have length less than or equal to {shape['max']}"
    if len(value) < shape.get("min", 0):
        return f"have length greater than or equal to {shape['min']}"
    pattern = _pattern(shape.get("pattern", ""))
    return (
        None
        if pattern is None or pattern.fullmatch(value)
        else f"satisfy regular expression pattern: {shape['pattern']}"
    )


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str] | None:
    """None where the model says nothing, or says it in Java's words (`\\p{L}`)."""
    try:
        return re.compile(text, re.ASCII) if text else None
    except re.error:
        return None
