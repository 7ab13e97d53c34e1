"""What a service's own model says of what it takes, which boto3 leaves to AWS: lengths, patterns, enumerations.

The words are AWS's, as in https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html (ValidationError) and,
for API Gateway, in localstack/localstack tests/aws/services/apigateway/*.snapshot.json, recorded against AWS.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .protocols import Call, model
from .types import AwsError

_CODES = {"apigateway": "ValidationException", "iam": "ValidationError", "sts": "ValidationError"}
_CODES |= {"lambda": "ValidationException"}
_OF_LAMBDA = {"AddPermission"}  # the others are checked where they are answered
_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict, "map": dict, "list": list, "string": str, "blob": str, "boolean": bool,
    "integer": int, "long": int, "timestamp": (int, float), "float": (int, float), "double": (int, float),
}  # fmt: skip


_SIZED = {"integer": False, "long": False, "string": True, "list": True, "map": True}  # whether by a length


def check(service: str, operation: str, parameters: dict[str, Any], skip: str = "") -> dict[str, Any]:
    """The parameters, without those that are null.

    Raises ValidationException in AWS's words for members that are missing or not what AWS's model allows. `skip` names
    a list whose items the caller checks itself. Of a REST call only what its body holds is checked.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html
    """
    shapes = model(service)["shapes"]
    found: list[str] = []

    def look(shape: dict[str, Any], given: Any, at: str) -> None:
        kind, value = shape["type"], given
        if not isinstance(given, _TYPES[kind]) or isinstance(given, bool) != (kind == "boolean"):
            raise AwsError("SerializationException", f"{at or 'The request'} is not a {kind}.")
        for problem in _problems(shape, value):
            shown = "[...]" if value and isinstance(value, (list, dict)) else value
            found.append(f"Value '{shown}' at '{at}' failed to satisfy constraint: Member must {problem}")
        if kind == "structure":
            for name, member in shape["members"].items():
                path, sent_as = f"{at}.{name[0].lower()}{name[1:]}".lstrip("."), member.get("locationName", name)
                if value.get(sent_as) is not None:
                    look(shapes[member["shape"]], value[sent_as], path)
                elif name in shape.get("required", ()) and "location" not in member:
                    found.append(f"Value null at '{path}' failed to satisfy constraint: Member must not be null")
        elif kind == "list" and at != skip:
            for n, item in enumerate(value):
                look(shapes[shape["member"]["shape"]], item, f"{at}.{n + 1}.member")
        elif kind == "map":
            for key, item in value.items():
                if wrong := _problems(shapes[shape["key"]["shape"]], key):
                    rule = ", ".join(f"Member must {problem}" for problem in wrong)
                    found.append(
                        f"Value at '{at}' failed to satisfy constraint: Map keys must satisfy constraint: [{rule}]"
                    )
                look(shapes[shape["value"]["shape"]], item, f"{at}.{key}.member")

    look(shapes[model(service)["operations"][operation]["input"]["shape"]], parameters, "")
    _refuse(found, "ValidationException")
    return {name: value for name, value in parameters.items() if value is not None}


def check_members(service: str, operation: str, parameters: dict[str, Any], skip: str = "") -> None:
    """The same for a call that is made often: of its own members only, not of what is in them, and not of `skip`.

    AWS shows a list as it came, and of a map only its name.
    """
    found: list[str] = []
    for name, shape in _limited(service, operation):
        value = parameters.get(name)
        if value is None or name == skip or not isinstance(value, _TYPES[shape["type"]]):
            continue
        for problem in _problems(shape, value):
            shown = "[...]" if value and isinstance(value, list) else value
            where = f"Value at '{name}'" if isinstance(value, dict) else f"Value '{shown}' at '{_lower(name)}'"
            found.append(f"{where} failed to satisfy constraint: Member must {problem}")
    _refuse(found, "ValidationException")


@lru_cache(64)
def _limited(service: str, operation: str) -> list[tuple[str, dict[str, Any]]]:
    """The members of a call that the model limits."""
    members = _shape(service, model(service)["operations"][operation]["input"]["shape"])["members"]
    shapes = [(name, _shape(service, member["shape"])) for name, member in members.items()]
    return [(name, shape) for name, shape in shapes if shape.keys() & {"min", "max", "enum", "pattern"}]


def check_texts(call: Call, parameters: dict[str, Any]) -> None:
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
    _refuse(faults, _CODES[call.service])


def _shape(service: str, name: str) -> dict[str, Any]:
    shape: dict[str, Any] = model(service)["shapes"][name]
    return shape


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _faults(service: str, name: str, value: Any, at: str) -> Iterator[str]:
    shape = _shape(service, name)
    if shape["type"] == "string" and isinstance(value, str):
        for problem in _problems(shape, value):
            yield f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {problem}"
    elif shape["type"] == "structure" and isinstance(value, dict):
        for key, member in shape["members"].items():
            sent = member.get("locationName", key)
            yield from _faults(service, member["shape"], value.get(sent), f"{at}.{sent}")
    elif shape["type"] == "list" and isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield from _faults(service, shape["member"]["shape"], item, f"{at}.{number}.member")


def _refuse(faults: list[str], code: str) -> None:
    if faults:
        many = "s" if len(faults) > 1 else ""
        raise AwsError(code, f"{len(faults)} validation error{many} detected: {'; '.join(faults)}")


def _problems(shape: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value by itself, as AWS puts it after "Member must"."""
    problems = []
    if (pattern := shape.get("pattern")) and (expression := _regex(pattern)):
        if not expression.fullmatch(value):
            problems.append(f"satisfy regular expression pattern: {pattern}")
    if shape["type"] in _SIZED and ("min" in shape or "max" in shape):
        what, size = ("length", len(value)) if _SIZED[shape["type"]] else ("value", value)
        if size < shape.get("min", size):
            problems.append(f"have {what} greater than or equal to {shape['min']}")
        if size > shape.get("max", size):
            problems.append(f"have {what} less than or equal to {shape['max']}")
    if "enum" in shape and value not in shape["enum"]:
        problems.append(f"satisfy enum value set: [{', '.join(shape['enum'])}]")
    return problems


@lru_cache(256)
def _regex(pattern: str) -> re.Pattern[str] | None:
    """A pattern of a model, which is Java's: its `\\w` and `\\d` are ASCII's, unlike its letters `\\p{L}`.

    None for one that says more in Java's words than Python reads: it is not checked.
    """
    text = pattern.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s")
    with contextlib.suppress(re.error):
        return re.compile(text, re.ASCII if text == pattern else 0)
    return None
