"""The data plane of API Gateway's REST APIs: one request of a stage through method and integration and back.

Behaviour is that of these pages below https://docs.aws.amazon.com/apigateway/latest/developerguide/ :
supported-gateway-response-types, api-gateway-api-usage-plans, api-gateway-method-request-validation,
integration-passthrough-behaviors, request-response-data-mappings, handle-errors-in-lambda-integration,
set-up-lambda-proxy-integrations, how-to-mock-integration, api-gateway-known-issues, limits.

What the lab does not have is answered like a faulty configuration, 500 {"message": "Internal server error"},
and the log says why: HTTP, HTTP_PROXY and VPC link integrations, AWS services other than Lambda, authorizers
(Lambda, Cognito), asynchronous invocation (X-Amz-Invocation-Type: 'Event'). Resource policies, caching, canaries,
throttling by stage or method, compression, `contentHandling` and `credentials` are refused by the calls that ask for
them (moto_seams/api_rules.py). Not looked at: client certificates, WAF, streaming, logs of a stage. Mapped
request parameters go to Lambda's own API, where none but the invocation type would change what is seen here.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import fastjsonschema
import orjson

from helpers.localaws import types as t
from helpers.localaws import vtl
from helpers.localaws.metrics import Metrics

MAX_PAYLOAD = 10 * 1024 * 1024
_JSON, _FAULT = "application/json", "Internal server error"
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
# Gateway responses: status, x-amzn-ErrorType, message (supported-gateway-response-types).
_KINDS = {
    "ACCESS_DENIED": (403, "AccessDeniedException", "Forbidden"),
    "API_CONFIGURATION_ERROR": (500, "InternalServerErrorException", _FAULT),
    "BAD_REQUEST_BODY": (400, "BadRequestException", "Invalid request body"),
    "BAD_REQUEST_PARAMETERS": (400, "BadRequestException", "Missing required request parameters: [{}]"),
    "DEFAULT_4XX": (400, "BadRequestException", "Could not parse request body into json: {}"),
    "DEFAULT_5XX": (502, "InternalServerErrorException", _FAULT),
    "EXPIRED_TOKEN": (403, "ExpiredTokenException", "The security token included in the request is expired"),
    "INTEGRATION_FAILURE": (500, "InternalServerErrorException", _FAULT),
    "INTEGRATION_TIMEOUT": (504, "InternalServerErrorException", "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "ForbiddenException", "Forbidden"),
    "INVALID_SIGNATURE": (403, "InvalidSignatureException", "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "QUOTA_EXCEEDED": (429, "LimitExceededException", "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "RequestTooLargeException", "Request Too Long"),
    "THROTTLED": (429, "TooManyRequestsException", "Too Many Requests"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "BadRequestException", "Unsupported Media Type"),
}
_SPELLED = {"InvalidClientTokenId": "UnrecognizedClient", "SignatureDoesNotMatch": "InvalidSignature"}
# Headers that do not reach a function, and those that come back renamed (api-gateway-known-issues).
_KEPT_BACK = {
    "connection", "content-length", "content-md5", "expect", "max-forwards", "proxy-authenticate", "server", "te",
    "trailer", "transfer-encoding", "upgrade", "www-authenticate",
}  # fmt: skip
_RENAMED = _KEPT_BACK - {"te", "transfer-encoding"} | {"authorization", "date", "host", "user-agent"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"\$\{?((?:context|stageVariables|method\.request)(?:\.[\w-]+)+)\}?")
_MOCK_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})\b""")


class _Refused(Exception):
    """The request ends in a gateway response of this kind; `reason` is for the log."""

    def __init__(self, kind: str, reason: str = "", message: str = "", error: str = "") -> None:
        self.kind, (self.status, default, text) = kind, _KINDS[kind]
        self.message, self.error = message or text.format(reason), error or default
        super().__init__(f"{self.status} {kind}: {reason or self.message}")


def _misconfigured(reason: str) -> _Refused:
    return _Refused("API_CONFIGURATION_ERROR", reason)


class _Call:
    """One request under way: its parameters, `$context`, and what of the API it has come to."""

    stage: t.Stage
    resource: t.Resource
    method: t.Method
    integration: t.Integration

    def __init__(self, request: t.Request, api_id: str, stage: str, path: str, now: float) -> None:
        noise, utc, host = os.urandom(39).hex(), time.gmtime(now), request.headers.get("host", "")
        self.request, self.api_id, self.path, self.is_json = request, api_id, path, False
        self.mime = _mime(request.headers.get("content-type", "")) or _JSON
        self.trace = request.headers.get("x-amzn-trace-id") or f"Root=1-{int(now):08x}-{noise[32:56]}"
        self.sent = request.header_list or list(request.headers.items())
        headers = {name: value for name, value in self.sent if name.lower() not in _KEPT_BACK} | {
            "X-Amzn-Trace-Id": self.trace, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
            "X-Forwarded-Port": host.rpartition(":")[2] if ":" in host else "80",
        }  # fmt: skip
        self.queries = parse_qsl(request.query, keep_blank_values=True) if request.query else []
        self.integration_seconds: float | None = None  # how long it took, if it came to it
        self.params: dict[str, dict[str, str]] = {"path": {}, "querystring": dict(self.queries), "header": headers}
        self.variables: dict[str, str] = {}
        self.context: dict[str, Any] = {
            "accountId": t.ACCOUNT_ID, "apiId": api_id, "domainName": host, "domainPrefix": host.partition(".")[0],
            "extendedRequestId": base64.b64encode(bytes.fromhex(noise[56:])).decode(), "httpMethod": request.method,
            "identity": dict.fromkeys((
                "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
                "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn",
            )) | {"sourceIp": "127.0.0.1", "userAgent": request.headers.get("user-agent")},
            "path": f"/{stage}{path}", "protocol": "HTTP/1.1", "stage": stage, "requestTimeEpoch": int(now * 1000),
            "requestId": f"{noise[:8]}-{noise[8:12]}-4{noise[13:16]}-a{noise[17:20]}-{noise[20:32]}",
            "requestTime": f"{utc.tm_mday:02}/{_MONTHS[utc.tm_mon - 1]}/{utc.tm_year}:"
            f"{utc.tm_hour:02}:{utc.tm_min:02}:{utc.tm_sec:02} +0000",
        }  # fmt: skip

    def render(self, template: str, payload: str) -> str:
        """A mapping template over a payload; overrides that it sets stay in `context`."""
        given = vtl.Input(payload, self.params, self.is_json)
        names = {"input": given, "util": vtl.UTIL, "context": self.context, "stageVariables": self.variables}
        try:
            return vtl.compile_template(template)(names)
        except vtl.TemplateError as error:
            raise _misconfigured(f"Unable to transform request: {error}") from error
        except vtl.PayloadError as error:
            raise _Refused("DEFAULT_4XX", str(error)) from error

    def mapped(self, source: str, text: str = "", headers: Mapping[str, str] = {}) -> str | None:  # noqa: B006
        """A mapping expression's value (request-response-data-mappings); `text`, `headers`: the integration's."""
        if source[:1] == "'":
            return source[1:-1]
        root, _, rest = source.partition(".")
        if root in ("context", "stageVariables"):
            value = vtl.find(self.context if root == "context" else self.variables, tuple(rest.split(".")))
        else:  # method.request.… or integration.response.…
            place, _, name = rest.partition(".")[2].partition(".")
            if root == "method":
                text, headers = self.request.body.decode("utf-8", "replace"), self.params["header"]
            if place == "body":
                value = _of_body(text, name)
            else:
                value = (headers if place == "header" else self.params.get(place, {})).get(name)
        if value is None or value is vtl.NOTHING:
            return None
        return vtl.to_json(value) if isinstance(value, dict) else vtl.to_text(value)

    def arn(self, path: str) -> str:
        """.../developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html"""
        place = f"{self.api_id}/{self.stage.name}/{self.request.method}"
        return f"arn:aws:execute-api:{self.stage.api.region}:{t.ACCOUNT_ID}:{place}{path}"

    def event(self) -> dict[str, Any]:
        """The event of a proxy integration, version 1.0 (set-up-lambda-proxy-integrations)."""
        body, headers, lists = self.request.body, self.params["header"], _lists(self.sent)
        binary = bool(body) and _is_binary(self.mime, self.stage.api.binary_media_types)
        return {
            "resource": self.resource.path, "path": "/" + self.path.lstrip("/"), "httpMethod": self.request.method,
            "headers": headers, "queryStringParameters": self.params["querystring"] or None,
            "multiValueHeaders": {name: lists.get(name, [value]) for name, value in headers.items()},
            "multiValueQueryStringParameters": _lists(self.queries) or None,
            "pathParameters": self.params["path"] or None,
            "stageVariables": self.variables or None, "requestContext": self.context,
            "body": (base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")) or None,
            "isBase64Encoded": binary,
        }  # fmt: skip


def _lists(pairs: Any) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    return lists


def _mime(header: str) -> str:
    return header.partition(";")[0].partition(",")[0].strip().lower()


def _is_binary(mime: str, types: tuple[str, ...]) -> bool:
    return any(known in ("*/*", mime) or known == mime.partition("/")[0] + "/*" for known in types)


def _matches(pattern: str | None, text: str) -> bool:
    try:
        return bool(pattern and re.fullmatch(pattern, text))
    except re.error:
        return False


def _of_body(text: str, path: str) -> Any:
    """`body`, `body.a.b[0]`; an `errorMessage` that itself is JSON is read as such (handle-errors-…)."""
    try:
        data: Any = vtl.parse_json(text or "{}") if path else text
        if path.startswith("errorMessage.") and isinstance(data.get("errorMessage"), str):
            data["errorMessage"] = vtl.parse_json(data["errorMessage"])
        return vtl.find(data, vtl.steps_of(path and "$." + path))
    except (ValueError, AttributeError, RecursionError, vtl.TemplateError):
        return None


def _headers(given: Mapping[str, Any]) -> dict[str, str]:
    """Response headers as API Gateway lets them out; application/json is the type of what names none."""
    headers = {"Content-Type": _JSON}
    for name, value in given.items():
        lower, text = name.lower(), re.sub(r"[\r\n\0]", " ", vtl.to_text(value))
        if lower == "content-type":
            headers["Content-Type"] = text
        elif lower != "transfer-encoding" and _TOKEN.fullmatch(name):
            text = text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")  # UTF-8 on the wire
            headers[f"x-amzn-Remapped-{name}" if lower in _RENAMED else name] = text
    return headers


class _Routes:
    """A deployed API, made ready: static resources before {param} before {proxy+}; models, once compiled."""

    def __init__(self, api: t.ApiSnapshot) -> None:
        self.api, self.models = api, dict[int, Callable[[Any], Any]]()
        ranked = list[tuple[list[int], re.Pattern[str], list[str], t.Resource]]()
        for resource in api.resources:
            parts = resource.path.strip("/").split("/")
            ranks = [part.startswith("{") + part.endswith("+}") for part in parts]
            forms = [(re.escape(part), "([^/]+)", "(.+)")[rank] for part, rank in zip(parts, ranks, strict=True)]
            names = [part.strip("{}+") for part in parts if part.startswith("{")]
            ranked.append((ranks, re.compile("/".join(forms), re.S), names, resource))
        self.ranked = sorted(ranked, key=lambda entry: entry[0])

    def match(self, path: str, verb: str) -> tuple[t.Resource, t.Method, dict[str, str]]:
        """A resource without the method leaves the request to the next one that fits, as AWS does."""
        path = path.strip("/")
        for _, pattern, names, resource in self.ranked:
            method = resource.methods.get(verb) or resource.methods.get("ANY")
            if method and (found := pattern.fullmatch(path)):
                return resource, method, dict(zip(names, found.groups(), strict=True))
        raise _Refused("MISSING_AUTHENTICATION_TOKEN", f"no {verb} here")

    def refuses(self, schema: dict[str, Any], body: bytes) -> str | None:
        """Why the body does not fit the model, a draft-04 schema, or None; an empty body is `{}`."""
        if not (validate := self.models.get(id(schema))):
            draft = schema | {"$schema": "http://json-schema.org/draft-04/schema#"}
            offline: dict[str, Any] = {"http": None, "https": None}  # a reference to elsewhere fails, unfetched
            try:
                validate = fastjsonschema.compile(draft, handlers=offline, use_default=False)
            except Exception as error:
                raise _misconfigured(f"the model cannot be used: {error}") from error
            self.models[id(schema)] = validate
        try:
            validate(vtl.load_json(body.strip() or b"{}"))
        except (ValueError, RecursionError, TypeError) as error:
            return str(error)
        return None


@dataclass(eq=False)
class Gateway:
    """Serves `/{stage}/{path}` of any API; `log` gets a line for each request that ends in a gateway response."""

    stage: t.StageLookup
    invoke: t.Invoker
    authorize: t.Authorizer
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    log: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        self._routes: dict[tuple[str, str], _Routes] = {}
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # (plan, key) -> tokens, when
        self._used: dict[tuple[str, str], tuple[object, int]] = {}  # (plan, key) -> period, requests
        self._metrics: dict[tuple[str, str, str], Metrics] = {}  # region, API's name, stage

    async def handle(self, request: t.Request, api_id: str, stage_name: str, path: str) -> t.Response:
        """`path` is what follows the stage, percent-encoded, with its leading slash. Raises nothing."""
        call, stage, begun = _Call(request, api_id, stage_name, path, self.now()), None, self.clock()
        try:
            if not (stage := await self.stage(api_id, stage_name)):
                # "Forbidden", as for a wrong key: seen in github.com/OWASP/Serverless-Goat/issues/13 and 14. The other
                # 403 is for "an unsupported API method or resource" only (supported-gateway-response-types.html).
                raise _Refused("INVALID_API_KEY", "no such stage")
            call.stage = stage
            response = await self._serve(call)
            response.headers["X-Amzn-Trace-Id"] = call.trace
        except Exception as error:  # what is not _Refused is a fault of the lab; AWS answers its own so too
            fault = error if isinstance(error, _Refused) else _misconfigured(f"{type(error).__name__}: {error}")
            response = self._refusal(call, stage, fault)
            response.headers["x-amzn-ErrorType"] = fault.error
        response.headers["x-amzn-RequestId"] = call.context["requestId"]
        response.headers["x-amz-apigw-id"] = call.context["extendedRequestId"]
        if stage:
            self._measure(call, response.status, self.clock() - begun)
        return response

    def _measure(self, call: _Call, status: int, seconds: float) -> None:
        """.../developerguide/api-gateway-metrics-and-dimensions.html: the average of an error is its rate."""
        api = call.stage.api
        metrics = self._metrics.setdefault((api.region, api.name, call.stage.name), Metrics())
        metrics.add("Count", 1)
        metrics.add("4XXError", 400 <= status < 500)
        metrics.add("5XXError", status >= 500)
        metrics.add("Latency", round(seconds * 1000))
        if call.integration_seconds is not None:
            metrics.add("IntegrationLatency", round(call.integration_seconds * 1000))

    def drain_metrics(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """(region, metric data of AWS/ApiGateway): each by API, and by API and stage."""
        for (region, name, stage), metrics in self._metrics.items():
            if metrics:
                yield region, Metrics(metrics).drain(ApiName=name)
                yield region, metrics.drain(ApiName=name, Stage=stage)

    async def _serve(self, call: _Call) -> t.Response:
        api, verb = call.stage.api, call.request.method
        if len(call.request.body) > MAX_PAYLOAD:
            raise _Refused("REQUEST_TOO_LARGE")
        routes = self._routes.get((call.api_id, call.stage.name))
        if routes is None or routes.api is not api:
            if len(self._routes) > 200:  # of stages that are gone
                self._routes.clear()
            routes = self._routes[call.api_id, call.stage.name] = _Routes(api)
        call.resource, call.method, call.params["path"] = routes.match(call.path, verb)
        call.variables = dict(call.stage.variables)
        call.context |= {
            "resourceId": call.resource.id, "resourcePath": call.resource.path,
            "deploymentId": call.stage.deployment_id,
        }  # fmt: skip
        if call.method.authorization != "NONE":
            self._authenticate(call)
        if call.method.api_key_required:
            self._admit(call)
        self._validate(call, routes)
        kind = call.method.integration.kind if call.method.integration else "absent"
        if not call.method.integration or kind not in ("AWS", "AWS_PROXY", "MOCK"):
            raise _misconfigured(f"the lab has no {kind} integration")
        call.integration = call.method.integration
        if kind == "AWS_PROXY":
            return await self._proxy(call)
        payload = self._payload(call)
        if kind == "MOCK":
            if not (status := _MOCK_STATUS.search(payload.decode("utf-8", "replace"))):
                raise _misconfigured("Unable to parse statusCode: the request template must give an integer")
            return self._answer(call, status[1], "", {})
        try:
            vtl.load_json(payload)
        except (ValueError, RecursionError) as error:
            raise _Refused("DEFAULT_4XX", str(error)) from error
        ran = await self._run(call, payload)
        text, headers = ran.payload.decode("utf-8", "replace"), {"Content-Type": _JSON}
        if not ran.error:
            return self._answer(call, "", text, headers)
        message = _of_body(text, "errorMessage")
        headers["X-Amz-Function-Error"] = ran.error
        return self._answer(call, message if isinstance(message, str) else "", text, headers)

    def _authenticate(self, call: _Call) -> None:
        if call.method.authorization != "AWS_IAM":
            raise _misconfigured(f"the lab has no {call.method.authorization} authorizer")
        try:
            call.context["identity"] |= self.authorize(call.request, call.arn("/" + call.path.lstrip("/")))
        except t.AwsError as error:
            code = error.code.removesuffix("Exception")
            kinds = {"MissingAuthenticationToken": "MISSING_AUTHENTICATION_TOKEN", "ExpiredToken": "EXPIRED_TOKEN"}
            kind = kinds.get(code, "ACCESS_DENIED" if code == "AccessDenied" else "INVALID_SIGNATURE")
            raise _Refused(kind, message=error.message, error=f"{_SPELLED.get(code, code)}Exception") from error

    def _admit(self, call: _Call) -> None:
        """The API key, then its usage plan's rate, then its quota (api-gateway-api-usage-plans)."""
        stage, here = call.stage, (call.api_id, call.stage.name)
        key = stage.keys.get(call.request.headers.get("x-api-key", ""))
        plans = [plan for plan in stage.plans if key and here in plan.api_stages and key.id in plan.key_ids]
        if not key or not key.enabled or not plans:
            raise _Refused("INVALID_API_KEY")
        call.context["identity"] |= {"apiKey": key.value, "apiKeyId": key.id}
        plan, account, now = plans[0], (plans[0].id, key.id), self.clock()
        if plan.rate is not None:  # a bucket of `burst` tokens, filled by `rate` a second
            size = max(plan.rate if plan.burst is None else plan.burst, 1)
            tokens, since = self._buckets.get(account, (size, now))
            tokens = min(size, tokens + (now - since) * plan.rate)
            self._buckets[account] = (tokens if tokens < 1 else tokens - 1), now
            if tokens < 1 or not plan.rate:
                raise _Refused("THROTTLED")
        if plan.quota is not None:
            period = _period(plan.quota_period, self.now())
            before, count = self._used.get(account, (period, 0))
            count = count if before == period else 0
            if count >= plan.quota:
                raise _Refused("QUOTA_EXCEEDED")
            self._used[account] = period, count + 1

    def _validate(self, call: _Call, routes: _Routes) -> None:
        """Required parameters, then the body by the model of its content type, if there is one."""
        method = call.method
        if method.validate_parameters:
            needed = [name.split(".", 3)[2:] for name, need in sorted(method.request_parameters.items()) if need]
            if missing := [name for place, name in needed if not call.params.get(place, {}).get(name)]:
                raise _Refused("BAD_REQUEST_PARAMETERS", ", ".join(missing))
        schema = method.models.get(call.mime, method.models.get("$default")) if method.validate_body else None
        if schema is not None:
            if (reason := routes.refuses(schema, call.request.body)) is not None:
                raise _Refused("BAD_REQUEST_BODY", reason)
            call.is_json = True

    def _payload(self, call: _Call) -> bytes:
        """The integration request's body, by template or passed through (integration-passthrough-behaviors)."""
        templates, body = call.integration.request_templates, call.request.body
        template = templates.get(call.mime, templates.get("$default"))
        passes = {"WHEN_NO_MATCH": True, "WHEN_NO_TEMPLATES": not templates}
        if template is None and not passes.get(call.integration.passthrough):
            raise _Refused("UNSUPPORTED_MEDIA_TYPE", call.mime)
        call.context["requestOverride"] = {"header": {}, "path": {}, "querystring": {}}
        call.context["responseOverride"] = {"header": {}}
        if template:
            body = call.render(template, body.decode("utf-8", "replace")).encode("utf-8", "replace")
        return body if body.strip() else b"{}"

    async def _run(self, call: _Call, payload: bytes) -> t.Invocation:
        """Lambda's answer. A function that takes too long runs on; only its answer is no longer awaited."""
        integration, kind = call.integration, "integration.request.header.X-Amz-Invocation-Type"
        if not integration.function_arn or call.mapped(integration.request_parameters.get(kind, "''")) == "Event":
            raise _misconfigured("the lab integrates with Lambda functions only, called by POST, and waits for them")
        function = _VARIABLE.sub(lambda found: call.mapped(found[1]) or "", integration.function_arn)
        source, seconds = call.arn(call.resource.path), integration.timeout_ms / 1000
        begun = self.clock()
        try:
            return await self.invoke(function, payload, source, seconds)
        except TimeoutError as error:
            raise _Refused("INTEGRATION_TIMEOUT") from error
        except t.AwsError as error:
            if error.status == 413:
                raise _Refused("REQUEST_TOO_LARGE", str(error)) from error
            if error.code.startswith("InvalidRequestContent"):
                raise _Refused("DEFAULT_4XX", message=error.message) from error
            throttled = error.code.startswith("TooManyRequests")  # to the client 500, not 429
            raise _Refused("INTEGRATION_FAILURE" if throttled else "API_CONFIGURATION_ERROR", str(error)) from error
        finally:
            call.integration_seconds = self.clock() - begun

    def _answer(self, call: _Call, selector: str, text: str, headers: dict[str, str]) -> t.Response:
        """By the integration response whose pattern matches the whole selector, else the one without a pattern."""
        known = list(call.integration.responses.values())
        fitting = [r for r in known if _matches(r.selection_pattern, selector)]
        if not (fitting := fitting or [r for r in known if not r.selection_pattern]):
            raise _misconfigured("No match for output mapping and no default output mapping configured")
        chosen, call.is_json = fitting[0], False
        if chosen.status not in call.method.responses:
            raise _misconfigured(f"Output mapping refers to an invalid method response: {chosen.status}")
        mapped = {
            target.removeprefix("method.response.header."): value
            for target, source in chosen.parameters.items()
            if (value := call.mapped(source, text, headers)) is not None
        }
        if template := _by_accept(call, chosen.templates)[1]:
            text = call.render(template, text)
        override = call.context["responseOverride"]
        status = override.get("status")
        status = status if type(status) is int and 100 <= status < 600 else int(chosen.status)
        return t.Response(status, text.encode("utf-8", "replace"), _headers(mapped | override["header"]))

    async def _proxy(self, call: _Call) -> t.Response:
        """The function gets the whole request and gives the whole response, or the client gets 502."""
        ran = await self._run(call, orjson.dumps(call.event()))
        try:
            if ran.error:
                raise ValueError("the function failed")
            status, headers, body, encoded = _proxy_result(vtl.parse_json(ran.payload))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = f"Malformed Lambda proxy response: {error}: {ran.payload[:300]!r}"
            raise _Refused("DEFAULT_5XX", reason) from error
        accept = _mime(call.request.headers.get("accept", ""))
        if encoded and _is_binary(accept, call.stage.api.binary_media_types):
            return t.Response(status, base64.b64decode(body, validate=True), _headers(headers))
        return t.Response(status, body.encode("utf-8", "replace"), _headers(headers))

    def _refusal(self, call: _Call, stage: t.Stage | None, refused: _Refused) -> t.Response:
        """The gateway response, as the API customises it (api-gateway-gatewayResponse-definition)."""
        quoted = vtl.to_json(refused.message)
        call.context["error"] = {
            "message": refused.message, "messageString": quoted, "responseType": refused.kind,
            "validationErrorString": str(refused),
        }  # fmt: skip
        self.log(f"{call.context['requestId']} {call.request.method} {call.context['path']}: {refused}")
        key = "Message" if refused.kind == "ACCESS_DENIED" else "message"
        plain = t.Response(refused.status, f'{{"{key}":{quoted}}}'.encode(), {"Content-Type": _JSON})
        custom = stage.api.gateway_responses if stage else {}
        own = custom.get(refused.kind) or custom.get("DEFAULT_5XX" if refused.status >= 500 else "DEFAULT_4XX")
        if not own:
            return plain
        mime, template = _by_accept(call, own.get("responseTemplates") or {})
        body = _VARIABLE.sub(lambda found: call.mapped(found[1]) or "", template).encode() if template else plain.body
        headers = {"Content-Type": mime}
        for target, source in (own.get("responseParameters") or {}).items():
            headers[target.removeprefix("gatewayresponse.header.")] = call.mapped(source) or ""
        status = re.fullmatch(r"[1-5]\d\d", str(own.get("statusCode")))
        return t.Response(int(status[0]) if status else refused.status, body, _headers(headers))


def _proxy_result(result: Any) -> tuple[int, dict[str, str], str, bool]:
    """Status, headers, body and whether it is base64; ValueError or its like for what is not of that form."""
    if extra := result.keys() - {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}:
        raise ValueError(f"unknown members {sorted(extra)}")
    status, body, headers = int(result.get("statusCode") or 200), result.get("body"), dict[str, str]()
    if not 100 <= status < 600 or not isinstance(body, str | None):
        raise ValueError(f"statusCode {status}, body a {type(body).__name__}")
    single, multiple = ({} if (given := result.get(key)) is None else given for key in ("headers", "multiValueHeaders"))
    for name, values in ({name: [value] for name, value in single.items()} | multiple).items():
        if not isinstance(values, list) or not all(isinstance(value, str | bool) for value in values):
            raise ValueError(f"header {name}")
        if name.lower() == "set-cookie":  # cookies cannot share a line: each gets a spelling of its own
            for at, value in enumerate(values):
                name = "".join(c.upper() if at >> i & 1 else c for i, c in enumerate("cookie"))
                headers[f"set-{name}"] = value
        else:
            headers[name] = ", ".join(map(vtl.to_text, values))
    return status, headers, body or "", result.get("isBase64Encoded") is True


def _by_accept(call: _Call, templates: dict[str, str]) -> tuple[str, str]:
    """Type and text of the template for the Accept header, else of application/json's, else of the first."""
    accept = _mime(call.request.headers.get("accept", ""))
    mime = next((known for known in (accept, _JSON, *templates) if known in templates), _JSON)
    return mime, templates.get(mime, "")


def _period(name: str | None, now: float) -> object:
    """The day, ISO week or month (UTC) that a quota counts in."""
    utc = time.gmtime(now)
    days = {"WEEK": int(now // 86_400 + 3) // 7, "MONTH": (utc.tm_year, utc.tm_mon)}
    return days.get(name or "", (utc.tm_year, utc.tm_yday))
