"""What a case of the conformance suite consists of. Every `page` is the one of AWS's that the expectation rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/"
LAMBDA_API = "https://docs.aws.amazon.com/lambda/latest/api/"
APIGATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
DYNAMODB_API = "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
S3_API = "https://docs.aws.amazon.com/AmazonS3/latest/API/"
IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
STS_API = "https://docs.aws.amazon.com/STS/latest/APIReference/"
KINESIS = "https://docs.aws.amazon.com/streams/latest/dev/"
KINESIS_API = "https://docs.aws.amazon.com/kinesis/latest/APIReference/"

# Stand in tables for what the lab gives names to only when it runs; see lab.World.fill.
BUCKET, TABLE, EVENTS, STREAM, OTHER_ROLE, CLOSED_ROLE = (
    "{bucket}", "{table}", "{events}", "{stream}", "{other_role}", "{closed_role}",
)  # fmt: skip


@dataclass(frozen=True)
class Invoke:
    """A synchronous invocation by boto3. `handler` is "file.function" below handlers/, `settings` go to CreateFunction.

    `error` is X-Amz-Function-Error; `log` are patterns, each of which the tail of the log must hold; `again` are
    further events with their results, sent to the same execution environment.
    """

    name: str
    handler: str
    event: Any
    returns: Any
    page: str
    error: str | None = None
    log: tuple[str, ...] = ()
    again: tuple[tuple[Any, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Web:
    """A request to a stage URL whose method leads to the handler, by a proxy integration unless `integration` is given.

    `path` is what is asked for, `resource` the resource's path if it is another. `body` is compared with the parsed
    JSON of the answer where it has a JSON content type, else with its text or bytes.
    """

    name: str
    handler: str
    method: str
    path: str
    status: int
    answer: Any
    page: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: str = ""
    answer_headers: Mapping[str, Any] = field(default_factory=dict)
    integration: Mapping[str, Any] | None = None  # members of PutIntegration
    responses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # status -> PutIntegrationResponse


@dataclass(frozen=True)
class Refusal:
    """A call of a client that AWS refuses: code, and a pattern that the message must match in full."""

    name: str
    call: str  # "dynamodb.put_item"
    arguments: Mapping[str, Any]
    code: str
    message: str
    page: str


@dataclass(frozen=True)
class Policy:
    """A role's policy as somebody wrote it, and what it lets its holder do: (call, arguments) -> allowed or not."""

    name: str
    document: Mapping[str, Any]
    allowed: tuple[tuple[str, Mapping[str, Any]], ...]
    denied: tuple[tuple[str, Mapping[str, Any]], ...]
    page: str
    words: str = ""  # a pattern within each denial
