"""The data plane of API Gateway: each case names the page of AWS's documentation that its expectation rests on."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_vtl import PASSTHROUGH, best

from helpers.localaws import types as t
from helpers.localaws.gateway import MAX_PAYLOAD, Gateway
from tests.seeded import seeded

DOCS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
KINDS = DOCS + "supported-gateway-response-types.html"
ERRORS = DOCS + "handle-errors-in-lambda-integration.html"
MAPPINGS = DOCS + "request-response-data-mappings.html"
PASSING = DOCS + "integration-passthrough-behaviors.html"
PLANS = DOCS + "api-gateway-api-usage-plans.html"
PROXY = DOCS + "set-up-lambda-proxy-integrations.html"
VALIDATION = DOCS + "api-gateway-method-request-validation.html"
REFERENCE = DOCS + "api-gateway-mapping-template-reference.html"
OVERRIDE = DOCS + "apigateway-override-request-response-parameters.html"
CUSTOM = DOCS + "api-gateway-gatewayResponse-definition.html"
MOCK = DOCS + "how-to-mock-integration.html"
CORS = DOCS + "how-to-cors.html"
ISSUES = DOCS + "api-gateway-known-issues.html"
BINARY = DOCS + "lambda-proxy-binary-media.html"
LIMITS = DOCS + "limits.html"
IAM = DOCS + "api-gateway-control-access-using-iam-policies-to-invoke-api.html"
FAULTS = "https://repost.aws/knowledge-center/api-gateway-internal-server-error"
THROTTLED = "https://repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ (a throttled Lambda is 500 to the client)"
RECORDED = "localstack/localstack tests/aws/services/apigateway/*.snapshot.json, recorded against API Gateway"

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:test"
DEFAULT = {"200": t.IntegrationResponse("200", None, {}, {})}
INTERNAL = {"message": "Internal server error"}
FORBIDDEN = {"message": "Forbidden"}
NO_TOKEN = {"message": "Missing Authentication Token"}
KEY = "k" * 20


def integration(kind: str = "AWS", **fields: Any) -> t.Integration:
    given = {
        "function_arn": LAMBDA, "request_templates": {}, "passthrough": "WHEN_NO_MATCH", "request_parameters": {},
        "responses": DEFAULT,
    }  # fmt: skip
    return t.Integration(kind, **(given | fields))


def method(to: t.Integration | None = None, **fields: Any) -> t.Method:
    given = {
        "http_method": "POST", "api_key_required": False, "authorization": "NONE", "validate_body": False,
        "validate_parameters": False, "models": {}, "request_parameters": {}, "responses": {"200": {}},
    }  # fmt: skip
    return t.Method(integration=to or integration(), **(given | fields))


def mock(status: str = "200", template: str = '{"statusCode": 200}', **fields: Any) -> t.Method:
    answer = t.IntegrationResponse(status, None, fields.pop("templates", {}), fields.pop("parameters", {}))
    to = integration("MOCK", request_templates={"application/json": template}, responses={status: answer}, **fields)
    return method(to, responses={status: {}})


def respond(status: str, pattern: str | None = None, template: str = "", **parameters: str) -> t.IntegrationResponse:
    headers = {f"method.response.header.{name.replace('_', '-')}": value for name, value in parameters.items()}
    return t.IntegrationResponse(status, pattern, {"application/json": template} if template else {}, headers)


class Lab:
    """A gateway whose stage `P` of the API `abc123` has these resources, and what it asked of the rest."""

    def __init__(self, resources: dict[str, dict[str, t.Method]] | t.Method, **fields: Any) -> None:
        if isinstance(resources, t.Method):
            resources = {"/hello": {"ANY": resources}}
        self.payloads: list[Any] = []
        self.sources: list[str] = []
        self.waited: list[float] = []
        self.asked: list[str] = []
        self.lines: list[str] = []
        self.answer: Callable[[], Any] = lambda: t.Invocation(b'{"accepted": 1}')
        self.seconds, self.date = 0.0, 1_763_855_640.0
        api = t.ApiSnapshot(
            "abc123", "test", "us-east-1",
            tuple(t.Resource(f"r{n}", path, methods) for n, (path, methods) in enumerate(resources.items())),
            fields.pop("gateway_responses", {}), fields.pop("binary_media_types", ()),
        )  # fmt: skip
        given = {
            "keys": {KEY: t.ApiKey("kid", KEY, True), "off" * 7: t.ApiKey("off", "off" * 7, False)},
            "plans": (plan(),), "variables": {},
        }  # fmt: skip
        self.stage = t.Stage("P", api, "d1", **(given | fields))
        self.gateway = Gateway(
            self.find, self.invoke, self.authorize, lambda: self.seconds, lambda: self.date, self.lines.append
        )

    async def find(self, api_id: str, name: str) -> t.Stage | None:
        return self.stage if (api_id, name) == ("abc123", "P") else None

    async def invoke(self, arn: str, payload: bytes, source: str, seconds: float) -> t.Invocation:
        self.payloads.append(json.loads(payload))
        self.sources.append(source)
        self.waited.append(seconds)
        result = self.answer()
        return await result if asyncio.iscoroutine(result) else result

    def authorize(self, request: t.Request, arn: str) -> dict[str, str]:
        self.asked.append(arn)
        if (given := request.headers.get("authorization", "")) != "good":
            raise t.AwsError(given or "MissingAuthenticationToken", "Missing Authentication Token", 403)
        return {"userArn": "arn:aws:iam::123456789012:user/alice", "caller": "AIDA", "accessKey": "AKIA"}

    async def send(
        self, body: bytes | str = b"", path: str = "/hello", verb: str = "POST", stage: str = "P", **headers: str
    ) -> t.Response:
        path, _, query = path.partition("?")
        named = [(name.replace("_", "-"), value) for name, value in {"Host": "127.0.0.1:4566", **headers}.items()]
        lower = {name.lower(): value for name, value in named}
        raw = body.encode() if isinstance(body, str) else body
        request = t.Request(verb, f"/{stage}{path}", query, lower, raw, named)
        return await self.gateway.handle(request, "abc123", stage, path)

    def __call__(self, *args: Any, **kwargs: Any) -> t.Response:
        return asyncio.run(self.send(*args, **kwargs))


def plan(**fields: Any) -> t.UsagePlan:
    given = {"rate": None, "burst": None, "quota": None, "quota_period": None}
    stages = fields.pop("stages", frozenset({("abc123", "P")}))
    return t.UsagePlan("plan", stages, fields.pop("keys", frozenset({"kid", "off"})), **(given | fields))


def check(response: t.Response, status: int, body: Any, error: str, page: str) -> None:
    assert (response.status, json.loads(response.body)) == (status, body), page
    assert response.headers.get("x-amzn-ErrorType", "") == error, page
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["x-amzn-RequestId"])
    assert response.headers["x-amz-apigw-id"].endswith("=") and response.headers["Content-Type"] == "application/json"


# Routing ------------------------------------------------------------------------------------------------

ROUTES = {
    "/": ("GET",), "/hello": ("GET", "POST"), "/hello/{name}": ("GET",), "/hello/world": ("POST",),
    "/hello/{name}/x": ("ANY",), "/any": ("ANY", "PUT"), "/{proxy+}": ("OPTIONS",), "/deep/{rest+}": ("GET",),
}  # fmt: skip
ROUTED = [
    ("GET", "/", "/"), ("GET", "", "/"), ("GET", "/hello", "/hello"), ("GET", "/hello/", "/hello"),
    ("GET", "/hello/ann", "/hello/{name}"), ("POST", "/hello/world", "/hello/world"),
    ("GET", "/hello/world", "/hello/{name}"), ("OPTIONS", "/hello/world", "/{proxy+}"),
    ("DELETE", "/hello/a%2Fb/x", "/hello/{name}/x"), ("PUT", "/any", "/any"), ("DELETE", "/any", "/any"),
    ("OPTIONS", "/hello", "/{proxy+}"), ("OPTIONS", "/a/b/c", "/{proxy+}"), ("GET", "/deep/a//b", "/deep/{rest+}"),
    ("GET", "//hello", "/hello"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path", "expected"), ROUTED)
def test_a_request_finds_its_resource(verb: str, path: str, expected: str) -> None:
    template = '{"to": "$context.resourcePath", "id": "$context.resourceId"}'
    resources = {
        p: {v: mock(templates={"application/json": template.replace("}", f', "verb": "{v}"}}')}) for v in verbs}
        for p, verbs in ROUTES.items()
    }
    found = json.loads(Lab(resources)(path=path, verb=verb).body)
    assert found["to"] == expected, PROXY + " and " + RECORDED
    assert found["verb"] == verb or found["verb"] == "ANY" and verb not in ROUTES[expected]


@pytest.mark.parametrize(
    ("verb", "path"),
    [("GET", "/nowhere"), ("PATCH", "/hello"), ("GET", "/hello/a/b"), ("GET", "/deep"), ("POST", "/")],
)
def test_what_is_not_there_is_a_missing_token(verb: str, path: str) -> None:
    lab = Lab({p: {v: mock() for v in verbs} for p, verbs in ROUTES.items()})
    check(lab(path=path, verb=verb), 403, NO_TOKEN, "MissingAuthenticationTokenException", KINDS)


def test_a_stage_that_is_not_there_is_forbidden() -> None:
    lab = Lab({"/hello": {"GET": mock()}})
    seen = "https://github.com/OWASP/Serverless-Goat/issues/13"
    check(lab(path="/hello", verb="GET", stage="Q"), 403, FORBIDDEN, "ForbiddenException", seen)


# Refusals -----------------------------------------------------------------------------------------------

PET = {
    "type": "object", "required": ["type"], "additionalProperties": False,
    "properties": {
        "type": {"enum": ["dog", "cat"]}, "age": {"$ref": "#/definitions/n"},
        "price": {"type": "number", "maximum": 500, "exclusiveMinimum": True, "minimum": 0},
    },
    "definitions": {"n": {"type": "integer", "format": "int32"}},
}  # fmt: skip
MODELLED = method(validate_body=True, models={"application/json": PET})
REQUIRED = method(
    validate_parameters=True,
    request_parameters={
        "method.request.querystring.q1": True, "method.request.header.h1": True, "method.request.path.p1": True,
        "method.request.header.optional": False,
    },
)  # fmt: skip
KEYED = method(api_key_required=True)
TEMPLATE = {"application/json": "{}"}
REFUSED: list[tuple[str, t.Method, dict[str, Any], int, Any, str]] = [
    (PLANS, KEYED, {}, 403, FORBIDDEN, "ForbiddenException"),
    (PLANS, KEYED, {"x_api_key": "unknown"}, 403, FORBIDDEN, "ForbiddenException"),
    (PLANS, KEYED, {"x_api_key": "off" * 7}, 403, FORBIDDEN, "ForbiddenException"),
    (KINDS, method(authorization="AWS_IAM"), {}, 403, NO_TOKEN, "MissingAuthenticationTokenException"),
    (IAM, method(authorization="AWS_IAM"), {"Authorization": "AccessDeniedException"}, 403,
     {"Message": "Missing Authentication Token"}, "AccessDeniedException"),
    (KINDS, method(authorization="AWS_IAM"), {"Authorization": "ExpiredTokenException"}, 403, NO_TOKEN,
     "ExpiredTokenException"),
    (KINDS, method(authorization="AWS_IAM"), {"Authorization": "InvalidSignatureException"}, 403, NO_TOKEN,
     "InvalidSignatureException"),
    (KINDS, method(authorization="AWS_IAM"), {"Authorization": "SignatureDoesNotMatch"}, 403, NO_TOKEN,
     "InvalidSignatureException"),
    (KINDS, method(authorization="AWS_IAM"), {"Authorization": "InvalidClientTokenId"}, 403, NO_TOKEN,
     "UnrecognizedClientException"),
    (KINDS, method(authorization="CUSTOM"), {}, 500, INTERNAL, "InternalServerErrorException"),
    (VALIDATION, REQUIRED, {}, 400, {"message": "Missing required request parameters: [h1, p1, q1]"},
     "BadRequestException"),
    (VALIDATION, REQUIRED, {"h1": "v", "path": "/hello?q1="}, 400,
     {"message": "Missing required request parameters: [p1, q1]"}, "BadRequestException"),
    (ISSUES, REQUIRED, {"H1": "v", "path": "/hello?q1=2"}, 400,
     {"message": "Missing required request parameters: [h1, p1]"}, "BadRequestException"),
    *[
        (VALIDATION, MODELLED, {"body": body}, 400, {"message": "Invalid request body"}, "BadRequestException")
        for body in ("", "{}", "[]", "x", '{"type": "bird"}', '{"type": "dog", "price": 501}',
                     '{"type": "dog", "a": 1}', '{"type": "dog", "price": 0}', '{"type": "dog", "age": 1.5}',
                     '{"type": "dog"', "[" * 5000)
    ],
    (LIMITS, method(), {"body": b" " * (MAX_PAYLOAD + 1)}, 413, {"message": "Request Too Long"},
     "RequestTooLargeException"),
    (KINDS, method(validate_body=True, models={"application/json": {"$ref": "https://127.0.0.1:1/models/x"}}), {}, 500,
     INTERNAL, "InternalServerErrorException"),
    (KINDS, method(integration("HTTP")), {}, 500, INTERNAL, "InternalServerErrorException"),
    (KINDS, method(integration(function_arn=None)), {}, 500, INTERNAL, "InternalServerErrorException"),
    (KINDS, method(integration(request_parameters={
        "integration.request.header.X-Amz-Invocation-Type": "'Event'"})), {}, 500, INTERNAL,
     "InternalServerErrorException"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "to", "request_", "status", "body", "error"), REFUSED)
def test_refusals(page: str, to: t.Method, request_: dict[str, Any], status: int, body: Any, error: str) -> None:
    lab = Lab(to)
    check(lab(**request_), status, body, error, page)
    assert lab.payloads == [] and len(lab.lines) == 1


ACCEPTED = [
    (VALIDATION, MODELLED, {"body": '{"type": "dog", "price": 260, "age": 3}'}),
    (VALIDATION, MODELLED, {"body": '{"type": "cat"}', "Content_Type": "application/json; charset=utf-8"}),
    (VALIDATION + " (no model for the content type)", MODELLED, {"body": '{"x": 1}', "Content_Type": "text/plain"}),
    (VALIDATION, method(validate_body=True, models={"$default": {"type": "array"}}),
     {"body": "[1]", "Content_Type": "text/plain"}),
    (RECORDED + " (an empty body is validated as {})", method(validate_body=True, models={"application/json": {}}), {}),
    (PLANS, KEYED, {"X_Api_Key": KEY}),
    (IAM, method(authorization="AWS_IAM"), {"Authorization": "good"}),
]  # fmt: skip


@pytest.mark.parametrize(("page", "to", "request_"), ACCEPTED)
def test_what_passes_the_checks(page: str, to: t.Method, request_: dict[str, Any]) -> None:
    response = Lab(to)(**request_)
    assert (response.status, response.body) == (200, b'{"accepted": 1}'), page


def test_a_required_parameter_of_the_path_counts() -> None:
    to = method(validate_parameters=True, request_parameters={"method.request.path.p1": True})
    assert Lab({"/{p1}": {"POST": to}})(path="/x").status == 200, VALIDATION


def test_iam_is_asked_about_the_path_and_tells_who_called() -> None:
    template = {"application/json": '{"who": "$context.identity.userArn $context.identity.caller"}'}
    lab = Lab({"/a/{b}": {"ANY": method(integration(request_templates=template), authorization="AWS_IAM")}})
    assert lab(path="/a/c%20d", Authorization="good").status == 200
    assert lab.asked == ["arn:aws:execute-api:us-east-1:123456789012:abc123/P/POST/a/c%20d"], IAM
    assert lab.payloads == [{"who": "arn:aws:iam::123456789012:user/alice AIDA"}], REFERENCE
    assert lab.sources == ["arn:aws:execute-api:us-east-1:123456789012:abc123/P/POST/a/{b}"]


@pytest.mark.parametrize("fields", [{"stages": frozenset({("abc123", "Q")})}, {"keys": frozenset({"other"})}])
def test_a_key_needs_a_plan_of_this_stage(fields: dict[str, Any]) -> None:
    lab = Lab(KEYED, plans=(plan(**fields),))
    check(lab(x_api_key=KEY), 403, FORBIDDEN, "ForbiddenException", PLANS)


def test_a_plan_throttles_by_rate_and_burst() -> None:
    lab = Lab(KEYED, plans=(plan(rate=2.0, burst=3),))
    assert [lab(x_api_key=KEY).status for _ in range(4)] == [200, 200, 200, 429], PLANS
    check(lab(x_api_key=KEY), 429, {"message": "Too Many Requests"}, "TooManyRequestsException", KINDS)
    lab.seconds += 1.0
    assert [lab(x_api_key=KEY).status for _ in range(3)] == [200, 200, 429], PLANS
    lab.seconds += 100.0
    assert [lab(x_api_key=KEY).status for _ in range(4)] == [200, 200, 200, 429], PLANS


@pytest.mark.parametrize(("period", "days"), [("DAY", 1), ("WEEK", 7), ("MONTH", 31)])
def test_a_quota_lasts_its_period(period: str, days: int) -> None:
    lab = Lab(KEYED, plans=(plan(quota=2, quota_period=period),))
    assert [lab(x_api_key=KEY).status for _ in range(2)] == [200, 200]
    check(lab(x_api_key=KEY), 429, {"message": "Limit Exceeded"}, "LimitExceededException", PLANS)
    lab.date += days * 86_400
    assert [lab(x_api_key=KEY).status for _ in range(3)] == [200, 200, 429], PLANS


# The integration request --------------------------------------------------------------------------------

PASSED = [
    # content type, behaviour, templates for; what reaches the function: "template", the body, or nothing (415)
    (None, "WHEN_NO_MATCH", "json", "template"), (None, "WHEN_NO_TEMPLATES", "json", "template"),
    (None, "NEVER", "json", "template"), ("application/json", "WHEN_NO_MATCH", "json", "template"),
    ("application/json;charset=utf-8", "NEVER", "json", "template"), ("Application/JSON", "NEVER", "json", "template"),
    ("application/xml", "WHEN_NO_MATCH", "json", "body"), ("application/xml", "WHEN_NO_TEMPLATES", "json", None),
    ("application/xml", "NEVER", "json", None), (None, "WHEN_NO_MATCH", "xml", "body"),
    (None, "WHEN_NO_TEMPLATES", "xml", None), (None, "NEVER", "xml", None),
    ("application/xml", "NEVER", "xml", "template"), ("application/json", "WHEN_NO_TEMPLATES", "", "body"),
    ("application/xml", "WHEN_NO_TEMPLATES", "", "body"), ("application/json", "NEVER", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("content", "behaviour", "templates", "expected"), PASSED)
def test_passthrough(content: str | None, behaviour: str, templates: str, expected: str | None) -> None:
    known = {f"application/{templates}": '{"by": "template"}'} if templates else {}
    lab = Lab(method(integration(request_templates=known, passthrough=behaviour)))
    response = lab('{"by": "body"}', **({"Content_Type": content} if content else {}))
    if expected:
        assert lab.payloads == [{"by": expected}], PASSING
    else:
        check(response, 415, {"message": "Unsupported Media Type"}, "BadRequestException", PASSING)


def test_an_empty_body_reaches_the_function_as_an_empty_object() -> None:
    lab = Lab(method())
    assert lab("").status == 200 and lab(" \n").status == 200 and lab.payloads == [{}, {}], REFERENCE


@pytest.mark.parametrize("body", ["x", "{", '{"a": NaN}', b"\xff{}", "[" * 50_000, "1 2"])
@pytest.mark.parametrize("template", [None, "$input.body", '{"a": $input.json("$")', "#set($a = 1)no"])
def test_what_is_not_json_is_lambdas_400(body: bytes | str, template: str | None) -> None:
    lab = Lab(method(integration(request_templates={"application/json": template} if template else {})))
    response = lab(body)
    message = json.loads(response.body)["message"]
    assert response.status == 400 and message.startswith("Could not parse request body into json: "), RECORDED
    assert lab.payloads == []


@pytest.mark.parametrize("template", ["#if($x)", "$input.json('$..a')", "$util.parseJson('x')", "#set($a.b = 1)"])
def test_a_faulty_template_is_500(template: str) -> None:
    lab = Lab(method(integration(request_templates={"application/json": template})))
    check(lab("{}"), 500, INTERNAL, "InternalServerErrorException", FAULTS)
    assert "Unable to transform request" in lab.lines[0]


def test_the_passthrough_template_carries_everything() -> None:
    to = method(integration(request_templates={"application/json": PASSTHROUGH}), api_key_required=True)
    lab = Lab({"/hello/{name}": {"POST": to}}, variables={"table": "T"})
    path = "/hello/a%2Bb?x=1&x=2&e=&plus=a+b%2B"
    assert lab('{"n": 1.50, "é": "ü"}', path, X_Api_Key=KEY, User_Agent="u", tEsT="a").status == 200
    event = lab.payloads[0]
    assert event["body-json"] == {"n": 1.5, "é": "ü"} and event["stage-variables"] == {"table": "T"}, REFERENCE
    assert event["params"]["path"] == {"name": "a%2Bb"}, RECORDED
    assert event["params"]["querystring"] == {"x": "2", "e": "", "plus": "a b+"}, RECORDED
    sent = event["params"]["header"]
    assert sent["X-Api-Key"] == KEY and sent["X-Forwarded-Port"] == "4566" and "X-Amzn-Trace-Id" in sent, RECORDED
    context = event["context"]
    assert context.pop("request-id") and context["api-key"] == KEY and context["http-method"] == "POST", REFERENCE
    assert context["resource-path"] == "/hello/{name}" and context["resource-id"] == "r0", REFERENCE
    assert context["user-agent"] == "u" and context["source-ip"] == "127.0.0.1" and context["caller"] == "", REFERENCE


def test_a_single_quote_must_be_turned_back_to_be_json() -> None:
    lab = Lab(method(integration(request_templates={"application/json": PASSTHROUGH})))
    assert lab("{}", X_Name="it's").status == 400, REFERENCE


def test_a_batch_keeps_its_numbers_as_sent() -> None:
    to = integration(request_templates={"application/json": '{"rows": $input.json("$"), "big": $input.json("$[0].n")}'})
    lab = Lab(method(to, validate_body=True, models={"application/json": {"type": "array"}}))
    seen: list[bytes] = []

    async def invoke(arn: str, payload: bytes, source: str, seconds: float) -> t.Invocation:
        seen.append(payload)
        return t.Invocation(b"{}")

    lab.gateway.invoke = invoke
    assert lab('[{"p": 2.550, "n": 123456789012345678901234567890}]').status == 200
    assert seen[0].count(b"123456789012345678901234567890") == 2 and b"2.550" in seen[0], REFERENCE


# The integration response -------------------------------------------------------------------------------

FAILED = t.Invocation(b'{"errorMessage": "Invalid row: 7", "errorType": "ValueError"}', "Unhandled")
CHOICES = [
    # what the function gave, integration responses, declared statuses; the client's status and body
    (FAILED, DEFAULT, ("200",), 200, FAILED.payload),
    (FAILED, DEFAULT | {"400": respond("400", "Invalid.*")}, ("200", "400"), 400, FAILED.payload),
    (FAILED, DEFAULT | {"400": respond("400", "Invalid*")}, ("200", "400"), 200, FAILED.payload),
    (FAILED, DEFAULT | {"400": respond("400", ".*row.*", '{"why": $input.json("$.errorMessage")}')}, ("200", "400"),
     400, b'{"why": "Invalid row: 7"}'),
    (t.Invocation(b'{"errorMessage": "a\\nInvalid"}', "Unhandled"), DEFAULT | {"400": respond("400", ".*Invalid.*")},
     ("200", "400"), 200, b'{"errorMessage": "a\\nInvalid"}'),
    (t.Invocation(b'{"errorMessage": "Invalid row"}'), DEFAULT | {"400": respond("400", "Invalid.*")}, ("200", "400"),
     200, b'{"errorMessage": "Invalid row"}'),
    (t.Invocation(b'"ok"'), DEFAULT | {"201": respond("201", ".*")}, ("200", "201"), 201, b'"ok"'),
    (t.Invocation(b'{"statusCode": 500, "body": "x"}'), DEFAULT, ("200",), 200, b'{"statusCode": 500, "body": "x"}'),
    (t.Invocation(b"null"), DEFAULT, ("200",), 200, b"null"),
    (FAILED, {"400": respond("400", "no.*")}, ("400",), 500, None),
    (FAILED, {}, ("200",), 500, None),
    (FAILED, DEFAULT, (), 500, None),
    (FAILED, DEFAULT | {"400": respond("400", "(")}, ("200", "400"), 200, FAILED.payload),
    (t.Invocation(b'{"errorMessage": {"a": 1}}', "Unhandled"), DEFAULT, ("200",), 200, b'{"errorMessage": {"a": 1}}'),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "responses", "declared", "status", "body"), CHOICES)
def test_the_error_message_chooses_the_answer(
    given_: t.Invocation, responses: Any, declared: tuple[str, ...], status: int, body: bytes | None
) -> None:
    lab = Lab(method(integration(responses=responses), responses={s: {} for s in declared}))
    lab.answer = lambda: given_
    response = lab("{}")
    if body is None:
        check(response, 500, INTERNAL, "InternalServerErrorException", ERRORS)
    else:
        assert (response.status, response.body) == (status, body), ERRORS


def test_response_parameters_become_headers() -> None:
    parameters = {
        "literal": "'*'", "deep": "integration.response.body.errorMessage.trace.function",
        "whole": "integration.response.body.n", "missing": "integration.response.body.x.y", "ctx": "context.stage",
        "var": "stageVariables.v", "req": "method.request.header.X-Req", "list": "integration.response.body.l",
        "kind": "integration.response.header.X-Amz-Function-Error", "Content_Type": "'text/html'",
        "WWW_Authenticate": "'Basic'", "split": "integration.response.body.crlf", "Transfer_Encoding": "'chunked'",
    }  # fmt: skip
    to = integration(responses={"200": respond("200", None, "<p>", **parameters)})
    lab = Lab(method(to), variables={"v": "1"})
    payload = {
        "errorMessage": '{"trace": {"function": "abc()"}}',
        "n": {"a": 1},
        "crlf": "a\r\nX: y",
        "l": [1, {"b": 2}],
    }
    lab.answer = lambda: t.Invocation(json.dumps(payload).encode(), "Unhandled")
    response = lab("{}", X_Req="q")
    given_ = {k: v for k, v in response.headers.items() if not k.lower().startswith(("x-amzn-r", "x-amz-", "x-amzn-t"))}
    assert given_ == {
        "Content-Type": "text/html", "literal": "*", "deep": "abc()", "whole": '{"a":1}', "ctx": "P", "var": "1",
        "req": "q", "kind": "Unhandled", "split": "a  X: y", "list": '[1,{"b":2}]',
    }, MAPPINGS + " and " + ERRORS  # fmt: skip
    assert response.headers["x-amzn-Remapped-WWW-Authenticate"] == "Basic" and response.body == b"<p>", ISSUES


@pytest.mark.parametrize(("accept", "expected"), [("", b"json"), ("application/xml", b"xml"), ("text/css", b"json")])
def test_accept_chooses_the_response_template(accept: str, expected: bytes) -> None:
    answer = t.IntegrationResponse("200", "", {"application/xml": "xml", "application/json": "json"}, {})
    assert Lab(method(integration(responses={"200": answer})))("{}", Accept=accept).body == expected, MAPPINGS


def test_a_template_overrides_status_and_headers() -> None:
    template = (
        "#set($context.responseOverride.status = $status){}"
        "#set($context.responseOverride.header.X-A = $input.path('$.a'))"
    )
    for given_, expected in (("418", 418), ("'418'", 200), ("99", 200)):
        answers = {"200": respond("200", None, template.replace("$status", given_), X_A="'mapped'")}
        lab = Lab(method(integration(responses=answers)))
        lab.answer = lambda: t.Invocation(b'{"a": "over"}')
        response = lab("{}")
        assert (response.status, response.headers["X-A"]) == (expected, "over"), OVERRIDE


# The function cannot be called --------------------------------------------------------------------------

UNCALLED = [
    (FAULTS, t.AwsError("AccessDeniedException", "no resource policy", 403), 500, INTERNAL,
     "InternalServerErrorException"),
    (FAULTS, t.AwsError("ResourceNotFoundException", "Function not found", 404), 500, INTERNAL,
     "InternalServerErrorException"),
    (THROTTLED, t.AwsError("TooManyRequestsException", "Rate Exceeded.", 429), 500, INTERNAL,
     "InternalServerErrorException"),
    (LIMITS, t.AwsError("RequestEntityTooLargeException", "6291456", 413), 413, {"message": "Request Too Long"},
     "RequestTooLargeException"),
    (FAULTS, ValueError("a fault of the lab"), 500, INTERNAL, "InternalServerErrorException"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
@pytest.mark.parametrize(("page", "error", "status", "body", "kind_of_error"), UNCALLED)
def test_a_function_that_cannot_be_called(
    page: str, error: Exception, status: int, body: Any, kind_of_error: str, kind: str
) -> None:
    async def fail() -> t.Invocation:
        raise error

    lab = Lab(method(integration(kind)))
    lab.answer = fail
    check(lab("{}"), status, body, kind_of_error, page)


@pytest.mark.parametrize("kind", ["AWS", "AWS_PROXY"])
def test_a_slow_function_is_504(kind: str) -> None:
    lab = Lab(method(integration(kind, timeout_ms=50)))

    def too_slow() -> t.Invocation:
        raise TimeoutError

    lab.answer = too_slow
    check(lab("{}"), 504, {"message": "Endpoint request timed out"}, "InternalServerErrorException", KINDS)
    assert lab.waited == [0.05]


def test_a_stage_variable_names_the_function() -> None:
    """.../developerguide/aws-api-gateway-stage-variables-reference.html: in the URI of a Lambda integration"""
    lab, called = (
        Lab(method(integration(function_arn=LAMBDA + ":${stageVariables.alias}")), variables={"alias": "live"}),
        [],
    )

    async def invoke(arn: str, payload: bytes, source: str, seconds: float) -> t.Invocation:
        called.append(arn)
        return t.Invocation(b"{}")

    lab.gateway.invoke = invoke
    assert lab("{}").status == 200 and called == [LAMBDA + ":live"]


# Proxy integration --------------------------------------------------------------------------------------


def test_the_proxy_event_is_aws_s() -> None:
    lab = Lab({"/{proxy+}": {"ANY": method(integration("AWS_PROXY"))}})
    lab.answer = lambda: t.Invocation(b'{"statusCode": 201, "body": "done"}')
    path = "//a//b%2Bc/?category=el&price=10&price=20&plus=a+b%2B"
    response = lab('{"message": "hi"}', path, tEsT_Header="a", Content_Length="17", Connection="close")
    assert (response.status, response.body) == (201, b"done")
    event = lab.payloads[0]
    context = event.pop("requestContext")
    headers = event.pop("headers")
    assert event.pop("multiValueHeaders") == {name: [value] for name, value in headers.items()}
    trace = headers.pop("X-Amzn-Trace-Id")
    assert headers == {
        "Host": "127.0.0.1:4566", "tEsT-Header": "a", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Port": "4566",
        "X-Forwarded-Proto": "http",
    }, RECORDED  # fmt: skip
    assert event == {
        "resource": "/{proxy+}", "path": "/a//b%2Bc/", "httpMethod": "POST", "body": '{"message": "hi"}',
        "queryStringParameters": {"category": "el", "price": "20", "plus": "a b+"},
        "multiValueQueryStringParameters": {"category": ["el"], "price": ["10", "20"], "plus": ["a b+"]},
        "pathParameters": {"proxy": "a//b%2Bc"}, "stageVariables": None, "isBase64Encoded": False,
    }, RECORDED  # fmt: skip
    assert response.headers["X-Amzn-Trace-Id"] == trace and re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", trace)
    assert context["requestId"] == response.headers["x-amzn-RequestId"]
    assert context["extendedRequestId"] == response.headers["x-amz-apigw-id"]
    assert context["requestTime"] == "22/Nov/2025:23:54:00 +0000" and context["requestTimeEpoch"] == 1_763_855_640_000
    assert context["path"] == "/P//a//b%2Bc/" and context["protocol"] == "HTTP/1.1", RECORDED
    assert set(context) == {
        "accountId", "apiId", "deploymentId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod",
        "identity", "path", "protocol", "requestId", "requestTime", "requestTimeEpoch", "resourceId", "resourcePath",
        "stage",
    }, RECORDED  # fmt: skip
    assert context["identity"].pop("sourceIp") == "127.0.0.1" and set(context["identity"].values()) == {None}
    assert len(context["identity"]) == 11, RECORDED


def test_repeated_headers_stay_apart_for_a_proxy() -> None:
    lab = Lab(method(integration("AWS_PROXY")))
    lab.answer = lambda: t.Invocation(b"{}")
    sent = [("Host", "h"), ("X-A", "1"), ("X-A", "2")]
    request = t.Request("POST", "/P/hello", "", {"host": "h", "x-a": "1,2"}, b"", sent)
    asyncio.run(lab.gateway.handle(request, "abc123", "P", "/hello"))
    event = lab.payloads[0]
    assert event["multiValueHeaders"]["X-A"] == ["1", "2"] and event["headers"]["X-A"] == "2", PROXY
    assert event["body"] is None and event["queryStringParameters"] is None and event["pathParameters"] is None


PROXIED: list[tuple[Any, int, bytes, dict[str, str]]] = [
    ({}, 200, b"", {}), ({"statusCode": "404", "body": None, "headers": None}, 404, b"", {}),
    ({"statusCode": 200, "body": "é", "headers": {"X-A": "b", "Content-Type": "text/plain"}}, 200, "é".encode(),
     {"X-A": "b", "Content-Type": "text/plain"}),
    ({"headers": {"A": "1", "B": True}, "multiValueHeaders": {"A": ["2", "3"]}}, 200, b"", {"A": "2, 3", "B": "true"}),
    ({"multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}, 200, b"", {"set-cookie": "a=1", "set-Cookie": "b=2"}),
    ({"headers": {"Content-Length": "9", "Transfer-Encoding": "x", "a b": "c", "X-U": "é"}}, 200, b"",
     {"x-amzn-Remapped-Content-Length": "9", "X-U": "é".encode().decode("latin-1")}),
    *[(bad, 502, b'{"message":"Internal server error"}', {}) for bad in (
        None, [], "ok", 5, {"status": 200}, {"statusCode": "x"}, {"statusCode": 99}, {"statusCode": [200]},
        {"body": {}}, {"body": 1}, {"headers": []}, {"headers": {"A": 1}}, {"multiValueHeaders": {"A": "b"}},
        {"statusCode": 200, "message": "extra"}, b"{", b"")],
]  # fmt: skip


@pytest.mark.parametrize(("given_", "status", "body", "headers"), PROXIED)
def test_a_proxied_answer(given_: Any, status: int, body: bytes, headers: dict[str, str]) -> None:
    lab = Lab(method(integration("AWS_PROXY")))
    lab.answer = lambda: t.Invocation(given_ if isinstance(given_, bytes) else json.dumps(given_).encode())
    response = lab("x")
    assert (response.status, response.body) == (status, body), PROXY + " and " + RECORDED
    own = {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id", "x-amzn-errortype"}
    rest = {name: value for name, value in response.headers.items() if name.lower() not in own}
    assert rest == {"Content-Type": "application/json"} | headers


def test_a_failing_proxy_is_502() -> None:
    lab = Lab(method(integration("AWS_PROXY")))
    lab.answer = lambda: FAILED
    check(lab("{}"), 502, INTERNAL, "InternalServerErrorException", PROXY)


def test_binary_travels_as_base64() -> None:
    lab = Lab(method(integration("AWS_PROXY")), binary_media_types=("image/png", "application/*"))
    data = bytes(range(256))
    answer = {"body": base64.b64encode(data).decode(), "isBase64Encoded": True}
    lab.answer = lambda: t.Invocation(json.dumps(answer).encode())
    assert lab(data, Content_Type="image/png", Accept="image/png").body == data, BINARY
    assert base64.b64decode(lab.payloads[0]["body"]) == data and lab.payloads[0]["isBase64Encoded"] is True, BINARY
    assert lab(data, Content_Type="text/plain", Accept="text/html").body == answer["body"].encode(), BINARY
    assert lab.payloads[1]["isBase64Encoded"] is False
    answer["body"] = "!"
    check(lab("", Accept="application/zip"), 500, INTERNAL, "InternalServerErrorException", KINDS)


# MOCK, CORS, customised gateway responses ---------------------------------------------------------------


def test_a_preflight_is_answered_by_a_mock() -> None:
    allow = "Access-Control-Allow-"
    headers = {
        f"method.response.header.{allow}Headers": "'Content-Type,X-Api-Key'",
        f"method.response.header.{allow}Methods": "'GET,POST,OPTIONS'", f"method.response.header.{allow}Origin": "'*'",
    }  # fmt: skip
    lab = Lab({"/hello": {"OPTIONS": mock(parameters=headers, passthrough="WHEN_NO_MATCH"), "POST": KEYED}})
    asked = {"Origin": "http://site.localhost", "Access_Control_Request_Method": "POST"}
    response = lab(verb="OPTIONS", **asked)
    assert (response.status, response.body) == (200, b""), CORS
    assert response.headers[f"{allow}Origin"] == "*" and response.headers[f"{allow}Methods"] == "GET,POST,OPTIONS"


MOCKED = [
    ('{"statusCode": 200}', 200), ("{statusCode: 200}", 200), ('{ "statusCode": 404, }', 404),
    ('{"statusCode": 503}', 200), ("{}", 500), ("", 500), ('{"statusCode": "x"}', 500),
    ('{"statusCode": $input.params("s")}', 404),
]  # fmt: skip


@pytest.mark.parametrize(("template", "status"), MOCKED)
def test_a_mock_s_template_chooses_the_answer(template: str, status: int) -> None:
    answers = DEFAULT | {"404": respond("404", "4\\d\\d", '{"at": "$context.path"}')}
    to = integration("MOCK", request_templates={"application/json": template}, responses=answers)
    response = Lab(method(to, responses={"200": {}, "404": {}}))(path="/hello?s=404")
    expected = {200: b"", 404: b'{"at": "/P/hello"}', 500: b'{"message":"Internal server error"}'}[status]
    assert (response.status, response.body) == (status, expected), MOCK


def test_an_api_customises_its_refusals() -> None:
    own = {
        "MISSING_AUTHENTICATION_TOKEN": {
            "statusCode": "404",
            "responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
                                   "gatewayresponse.header.X-Path": "context.path"},
            "responseTemplates": {"application/json": '{"why": $context.error.messageString, "hint": "$context.stage '
                                                      '$stageVariables.v $method.request.header.X-H"}'},
        },
        "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.X-Default": "'4'"}},
        "DEFAULT_5XX": {"statusCode": "503", "responseTemplates": {"text/plain": "$context.error.responseType"}},
    }  # fmt: skip
    faulty = method(integration(responses={}))
    lab = Lab({"/hello": {"POST": KEYED}, "/faulty": {"POST": faulty}}, gateway_responses=own, variables={"v": "1"})
    response = lab(path="/nowhere", X_H="h")
    assert (response.status, json.loads(response.body)["why"]) == (404, NO_TOKEN["message"]), CUSTOM
    assert response.headers["Access-Control-Allow-Origin"] == "*" and response.headers["X-Path"] == "/P/nowhere"
    assert response.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    response = lab()
    assert (response.status, json.loads(response.body), response.headers["X-Default"]) == (403, FORBIDDEN, "4"), CUSTOM
    response = lab(path="/faulty")
    assert (response.status, response.body) == (503, b"API_CONFIGURATION_ERROR"), KINDS
    assert response.headers["Content-Type"] == "text/plain"


# Cost and robustness ------------------------------------------------------------------------------------


def test_a_stage_measures_itself() -> None:
    """The names, units and dimensions of DOCS + "api-gateway-metrics-and-dimensions.html"."""
    lab = Lab({"/hello": {"POST": method()}, "/key": {"POST": method(api_key_required=True)}})

    def slow() -> t.Invocation:
        lab.seconds += 0.25
        return t.Invocation(b"{}")

    lab.answer = slow
    assert [lab().status, lab(path="/key").status, lab(path="/hello", stage="Q").status] == [200, 403, 403]
    lab.answer = lambda: 1 / 0
    assert lab().status == 500
    (region, by_api), (_, by_stage) = lab.gateway.drain_metrics()
    api, stage = {"Name": "ApiName", "Value": "test"}, {"Name": "Stage", "Value": "P"}
    assert region == "us-east-1"
    assert [m["Dimensions"] for m in by_api] == [[api]] * 5
    assert [m["Dimensions"] for m in by_stage] == [[api, stage]] * 5
    units, measured = ({m["MetricName"]: m[of] for m in by_stage} for of in ("Unit", "StatisticValues"))
    assert {m["MetricName"]: m["StatisticValues"] for m in by_api} == measured
    assert {n: (m["SampleCount"], m["Sum"]) for n, m in measured.items()} == {
        "Count": (3, 3), "4XXError": (3, 1), "5XXError": (3, 1), "Latency": (3, 250), "IntegrationLatency": (2, 250),
    }  # fmt: skip
    assert units["Count"] == units["4XXError"] == units["5XXError"] == "Count"
    assert units["Latency"] == units["IntegrationLatency"] == "Milliseconds"
    assert not list(lab.gateway.drain_metrics())


def test_a_redeployed_api_is_seen_at_once() -> None:
    lab = Lab({"/old": {"GET": mock()}})
    assert lab(path="/old", verb="GET").status == 200
    lab.stage = Lab({"/new": {"GET": mock()}}).stage
    assert lab(path="/old", verb="GET").status == 403 and lab(path="/new", verb="GET").status == 200


def test_a_request_costs_little() -> None:
    row = json.dumps(
        {"RowId": "online-retail:000142", "Description": "WHITE HANGING HEART T-LIGHT HOLDER", "UnitPrice": "2.55"}
    )
    to = integration(request_templates={"application/json": PASSTHROUGH}, passthrough="WHEN_NO_TEMPLATES")
    model = {"type": "object", "required": ["RowId"], "properties": {"UnitPrice": {"type": "string"}}}
    lab = Lab(method(to, api_key_required=True, validate_body=True, models={"application/json": model}))
    runner = asyncio.Runner()
    send = {"X_Api_Key": KEY, "Content_Type": "application/json", "User_Agent": "u", "Accept": "*/*"}
    runner.run(lab.send(row, **send))

    async def several() -> None:
        for _ in range(20):
            await lab.send(row, **send)

    cost = best(lambda: runner.run(several()), 15) / 20
    runner.close()
    assert cost < 0.25e-3, f"{cost * 1e6:.0f} µs"


pieces = st.sampled_from(
    ["$input.json('$')", "$input.json('$.a[0]')", "$input.path('$').a", "$input.body", "$input.params()", "$context",
     "$util.escapeJavaScript($input.body)", "$context.identity.apiKey", "#foreach($x in $input.path('$'))", "#end",
     "#if($x)", "${", "#set($context.responseOverride.status = 500)", "#set($context.x.y = 1)", "$input.path('$.a').b(",
     '"', "{", "}", ":", '{"statusCode": 200}', "$util.parseJson($input.body)", "#set($x = [1..3])",
     "$input.params('h').replaceAll('(','$9')"]
)  # fmt: skip
raw = st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "type", "statusCode", "body",
                                                                                "headers", "errorMessage"]), inner),
    max_leaves=6).map(lambda value: json.dumps(value).encode()))  # fmt: skip
latin = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12)


@seeded(1_000, 100_000)
@given(
    st.lists(pieces | st.text(max_size=4), max_size=5).map("".join), st.lists(pieces, max_size=3).map("".join),
    raw, raw, st.sampled_from(["AWS", "AWS_PROXY", "MOCK"]), st.sampled_from([None, "Unhandled"]), latin, latin,
    st.text(st.sampled_from("/helo%2F?&=+{}. é"), max_size=12), st.sampled_from([None, ".*", "(", "[a-z]*"]),
)  # fmt: skip
def test_nothing_raises_and_no_5xx_is_ours(
    asked: str, answered: str, body: bytes, payload: bytes, kind: str, error: str | None, header: str, content: str,
    path: str, pattern: str | None,
) -> None:  # fmt: skip
    answers = DEFAULT | {
        "400": respond("400", pattern, answered, X_A="integration.response.body.a", X_B="method.request.body.a")
    }
    to = integration(kind, request_templates={"application/json": asked} if asked else {}, responses=answers)
    lab = Lab({"/hello": {"ANY": method(to, validate_body=body[:1] == b"{", models={"application/json": PET},
                                       responses={"200": {}, "400": {}})}, "/{proxy+}": {"ANY": method(to)}},
              gateway_responses={"DEFAULT_4XX": {"responseTemplates": {"a/b": asked}}})  # fmt: skip

    async def invoke(arn: str, event: bytes, source: str, seconds: float) -> t.Invocation:
        json.loads(event)  # what reaches a function is JSON
        return t.Invocation(payload, error)

    lab.gateway.invoke = invoke
    response = lab(body, "/hello" + path, h=header, Content_Type=content if len(content) > 6 else "application/json")
    assert isinstance(response.body, bytes) and 100 <= response.status < 600
    for name, value in response.headers.items():
        assert not re.search(r"[\r\n\0]", name + value) and value.encode("latin-1") is not None
    line = lab.lines[-1] if lab.lines else ""
    if response.headers.get("x-amzn-ErrorType", "").startswith("InternalServerError"):
        known = "transform request|statusCode|output mapping|Output mapping|Malformed Lambda proxy response"
        assert re.search(known, line), line
