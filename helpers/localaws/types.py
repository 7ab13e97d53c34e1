"""The plain shapes that the rooms of the local AWS hand to each other; no behaviour, no moto."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

ACCOUNT_ID = "123456789012"


@dataclass(slots=True)
class Request:
    """One HTTP request. `path` is still percent-encoded, `query` has no leading "?", header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    header_list: Sequence[tuple[str, str]] = ()  # as sent: names in the client's case, repeated ones apart


@dataclass(slots=True)
class Response:
    """One HTTP response; Content-Length and Connection are the front door's business."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Prompt:
    """An answer that the front door begins at once, not in the loop's next turn: up to its first wait it has no task,
    and so may not use what asks for one (asyncio.timeout)."""

    __slots__ = ("work",)

    def __init__(self, work: Coroutine[Any, Any, Response]) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, Any, Response]:
        return self.work.__await__()


class AwsError(Exception):
    """An error as AWS answers it: `code` is AWS's exception name, `members` its further fields.

    The front door writes it in the form of the caller's protocol (JSON, query XML, S3 XML, REST JSON).
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.members = code, message, status, members


@dataclass(frozen=True, slots=True)
class Function:
    """One version of a Lambda function, as it stood when it was looked up. `code` is the zip."""

    name: str
    arn: str  # the ARN that was invoked, qualifier included
    version: str
    region: str
    handler: str
    runtime: str
    role: str
    timeout: int  # seconds
    memory: int  # MB
    environment: dict[str, str]
    code: bytes
    code_sha256: str
    log_group: str
    reserved_concurrency: int | None = None


@dataclass(slots=True)
class Invocation:
    """What an invocation gave. `error` is None, "Handled" or "Unhandled"; `log_tail` the last 4 KB of its log."""

    payload: bytes
    error: str | None = None
    log_tail: bytes = b""
    version: str = "$LATEST"
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Integration:
    """How a method reaches its backend: `kind` is AWS, AWS_PROXY or MOCK; the first two have a `function_arn`."""

    kind: str
    function_arn: str | None
    request_templates: dict[str, str]  # content type -> VTL
    passthrough: str  # WHEN_NO_MATCH | WHEN_NO_TEMPLATES | NEVER
    request_parameters: dict[str, str]  # "integration.request.header.x" -> "method.request.header.y"
    responses: dict[str, IntegrationResponse]  # by status code
    timeout_ms: int = 29_000


@dataclass(frozen=True, slots=True)
class IntegrationResponse:
    """`selection_pattern` None or "" marks the default answer."""

    status: str
    selection_pattern: str | None
    templates: dict[str, str]
    parameters: dict[str, str]  # "method.response.header.x" -> "'literal'" or "integration.response.header.y"


@dataclass(frozen=True, slots=True)
class Method:
    """One HTTP method of a resource as deployed. `models`: content type -> JSON Schema (parsed)."""

    http_method: str
    api_key_required: bool
    authorization: str  # NONE | AWS_IAM | ...
    validate_body: bool
    validate_parameters: bool
    models: dict[str, dict[str, Any]]
    request_parameters: dict[str, bool]  # "method.request.querystring.x" -> required
    integration: Integration | None
    responses: dict[str, dict[str, bool]]  # status code -> response parameters
    request_models: dict[str, str] = field(default_factory=dict)  # content type -> the model's name
    response_models: dict[str, dict[str, str]] = field(default_factory=dict)  # status code -> the same


@dataclass(frozen=True, slots=True)
class Resource:
    """`path` as in the console: "/", "/hello", "/customers/{customerId}", "/{proxy+}"."""

    id: str
    path: str
    methods: dict[str, Method]  # GET, POST, ..., ANY


@dataclass(frozen=True, slots=True)
class ApiSnapshot:
    """An API as it stood when it was deployed: on AWS later edits show only after the next deployment."""

    api_id: str
    name: str
    region: str
    resources: tuple[Resource, ...]
    gateway_responses: dict[str, dict[str, Any]]
    binary_media_types: tuple[str, ...] = ()
    models: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> JSON Schema (parsed)
    deployed: str = ""  # when: 2026-11-25T19:02:00Z


@dataclass(frozen=True, slots=True)
class UsagePlan:
    """Rate in requests per second, burst in requests, quota per period; None: unlimited."""

    id: str
    api_stages: frozenset[tuple[str, str]]  # (api id, stage)
    key_ids: frozenset[str]
    rate: float | None
    burst: int | None
    quota: int | None
    quota_period: str | None  # DAY | WEEK | MONTH


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    value: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with the deployment it serves, its variables and the keys and plans that hold for it now."""

    name: str
    api: ApiSnapshot
    deployment_id: str
    variables: dict[str, str]
    keys: dict[str, ApiKey]  # by value
    plans: tuple[UsagePlan, ...]


# What the gateway asks of the rest of the lab.
StageLookup = Callable[[str, str], Awaitable["Stage | None"]]  # (api id, stage name)
# (function ARN, payload, source ARN, seconds); raises AwsError, and TimeoutError after so many seconds
Invoker = Callable[[str, bytes, str, float], Awaitable[Invocation]]
# (request, execute-api ARN) -> what $context.identity says of the caller; raises AwsError
Authorizer = Callable[[Request, str], dict[str, str]]
LogWriter = Callable[[str, str, list[tuple[int, str]]], None]  # (group, stream, [(ms since epoch, message)])
