"""What AWS refuses: rates and sizes, and members that its own models do not allow."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .protocols import model
from .types import AwsError

# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
SHARD_RECORDS_PER_SECOND = 1_000
SHARD_BYTES_PER_SECOND = 1024 * 1024
SHARD_READS_PER_SECOND = 5  # GetRecords, and as many GetShardIterator
SHARD_READ_BYTES_PER_SECOND = 2 * 1024 * 1024
GET_RECORDS_BYTES = 10 * 1024 * 1024
SHARD_QUOTA = 500  # of a region, by default
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html; a stream takes records of 1 MiB until
# UpdateMaxRecordSize raises it, which this AWS refuses.
PUT_RECORDS_BYTES = 10 * 1024 * 1024
RECORD_BYTES = 1024 * 1024
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
ITERATOR_SECONDS = 300
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the payload of an invocation
LAMBDA_PAYLOAD = 6 * 1024 * 1024


@dataclass(slots=True)
class Bucket:
    """A rate per second that lets a second's worth through at once. Times are seconds of any one clock."""

    rate: float
    level: float = 0.0
    at: float = float("-inf")

    def take(self, now: float) -> bool:
        """Takes one if one is there."""
        self.refill(now)
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def refill(self, now: float) -> None:
        self.level = min(self.rate, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now


@dataclass(slots=True)
class WriteLimit:
    """What a shard takes in a second, records and bytes; what it refuses uses up neither."""

    records: float = SHARD_RECORDS_PER_SECOND
    bytes: float = SHARD_BYTES_PER_SECOND
    at: float = float("-inf")

    def take(self, size: int, now: float) -> bool:
        if now != self.at:
            passed = max(0.0, now - self.at)
            self.records = min(SHARD_RECORDS_PER_SECOND, self.records + passed * SHARD_RECORDS_PER_SECOND)
            self.bytes = min(SHARD_BYTES_PER_SECOND, self.bytes + passed * SHARD_BYTES_PER_SECOND)
            self.at = now
        if self.records < 1 or self.bytes < size:
            return False
        self.records -= 1
        self.bytes -= size
        return True


class ReadLimit:
    """What GetRecords gives from a shard in a second: five calls and 2 MiB.

    A call is answered in full, up to 10 MiB; it may use up more than is left, and then the shard refuses until it has
    made up for it: a second after 2 MiB, five seconds after 10 MiB.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
    """

    def __init__(self) -> None:
        self.calls, self.bytes = Bucket(SHARD_READS_PER_SECOND), Bucket(SHARD_READ_BYTES_PER_SECOND)
        self.closed_until = float("-inf")

    def take(self, now: float) -> bool:
        """Whether a call may read now."""
        return now >= self.closed_until and self.calls.take(now)

    def spend(self, size: int, now: float) -> None:
        """Says how many bytes a call that was let through has returned."""
        self.bytes.refill(now)
        self.bytes.level -= size
        if self.bytes.level <= 0:
            self.closed_until = now + (self.bytes.rate - self.bytes.level) / self.bytes.rate


_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict, "map": dict, "list": list, "string": str, "blob": str, "boolean": bool,
    "integer": int, "long": int, "timestamp": (int, float), "float": (int, float), "double": (int, float),
}  # fmt: skip


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
        for problem in _problems(shape, kind, value):
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
                if wrong := _problems(shapes[shape["key"]["shape"]], "string", key):
                    rule = ", ".join(f"Member must {problem}" for problem in wrong)
                    found.append(
                        f"Value at '{at}' failed to satisfy constraint: Map keys must satisfy constraint: [{rule}]"
                    )
                look(shapes[shape["value"]["shape"]], item, f"{at}.{key}.member")

    look(shapes[model(service)["operations"][operation]["input"]["shape"]], parameters, "")
    if found:
        many = "s" if len(found) > 1 else ""
        raise AwsError("ValidationException", f"{len(found)} validation error{many} detected: {'; '.join(found)}")
    return {name: value for name, value in parameters.items() if value is not None}


@lru_cache(256)
def _regex(pattern: str) -> re.Pattern[str] | None:
    """A pattern of a model, which is Java's; Python names its letters, digits and blanks otherwise.

    None for one that says more in Java's words: it is not checked.
    """
    with contextlib.suppress(re.error):
        return re.compile(pattern.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s"))
    return None


def _problems(shape: dict[str, Any], kind: str, value: Any) -> list[str]:
    """What is wrong with a value by itself, as AWS puts it after "Member must"."""
    problems = []
    if (pattern := shape.get("pattern")) and (expression := _regex(pattern)):
        if not expression.fullmatch(value):
            problems.append(f"satisfy regular expression pattern: {pattern}")
    if kind in ("integer", "long", "string", "list", "map") and ("min" in shape or "max" in shape):
        what, size = ("value", value) if kind in ("integer", "long") else ("length", len(value))
        if size < shape.get("min", size):
            problems.append(f"have {what} greater than or equal to {shape['min']}")
        if size > shape.get("max", size):
            problems.append(f"have {what} less than or equal to {shape['max']}")
    if "enum" in shape and value not in shape["enum"]:
        problems.append(f"satisfy enum value set: [{', '.join(shape['enum'])}]")
    return problems
