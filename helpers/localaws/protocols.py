"""Which AWS operation a request asks for, with which parameters, and how an error looks in that service's protocol.

All of it is read from botocore's own service models, so that the names are AWS's. The protocols are described at
https://smithy.io/2.0/aws/protocols/index.html.
"""

from __future__ import annotations

import re
import urllib.parse
import uuid
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.loaders
import orjson

from .types import AwsError, Request, Response

# The signing name of a request -> the name of the model in botocore, for every service that this AWS has.
# What is not here is refused: a service that only stores what it is told would answer wrongly without a word.
SERVICES = {
    "apigateway": "apigateway",
    "dynamodb": "dynamodb",
    "firehose": "firehose",
    "events": "events",
    "iam": "iam",
    "kafka": "kafka",
    "kinesis": "kinesis",
    "lambda": "lambda",
    "logs": "logs",
    "monitoring": "cloudwatch",
    "redshift": "redshift",
    "redshift-data": "redshift-data",
    "s3": "s3",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "sts": "sts",
    "tagging": "resourcegroupstaggingapi",
}
MAX_INFLATED = 16 * 1024 * 1024  # bytes of a compressed body


@dataclass(frozen=True, slots=True)
class Call:
    """An operation of a service; `protocol` is json, query, rest-json or s3, `uri` the path's parameters, decoded."""

    service: str  # signing name
    operation: str
    protocol: str
    uri: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    keys: dict[str, str | None]  # what the query must hold: S3's sub-resources, and members that tell operations apart
    optional: frozenset[str]
    headers: frozenset[str]
    operation: str


@lru_cache
def model(service: str) -> dict[str, Any]:
    """botocore's model of a service (by signing name)."""
    loaded: dict[str, Any] = botocore.loaders.Loader().load_service_model(SERVICES[service], "service-2")
    return loaded


@lru_cache
def _routes(service: str) -> dict[str, list[_Route]]:
    """The routes of a REST service by HTTP method, the more particular first."""
    weighed: dict[str, list[tuple[tuple[int, int, int, int], _Route]]] = {}
    shapes = model(service)["shapes"]
    for name, operation in model(service)["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        keys: dict[str, str | None] = {k: v or None for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True)}
        shape = shapes[operation["input"]["shape"]] if "input" in operation else {"members": {}}
        places = {m: (v.get("location"), v.get("locationName", m)) for m, v in shape["members"].items()}
        needed = [places[m] for m in shape.get("required", ())] if service == "s3" else []
        keys |= {at: None for location, at in needed if location == "querystring"}
        headers = frozenset(at.lower() for location, at in needed if location == "header")
        optional = frozenset(at for location, at in places.values() if location == "querystring")
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", pattern)
        route = _Route(re.compile(pattern + "/?", re.DOTALL), keys, optional, headers, name)
        # Of two names for one route botocore keeps the old one for compatibility and marks it as deprecated.
        weight = (path.count("/"), -path.count("{"), len(keys) + len(headers), -operation.get("deprecated", 0))
        weighed.setdefault(operation["http"]["method"], []).append((weight, route))
    return {
        method: [route for _, route in sorted(found, key=lambda f: f[0], reverse=True)]
        for method, found in weighed.items()
    }


@lru_cache
def _protocols(service: str) -> tuple[str, ...]:
    told = model(service)["metadata"]  # older models have only the one
    return tuple("s3" if p == "rest-xml" else p for p in told.get("protocols") or [told["protocol"]])


def hint(request: Request) -> str:
    """The protocol for the error of a request that could not be read: told by its headers and credential scope."""
    where = request.headers.get("authorization") or urllib.parse.unquote(request.query)
    scope = re.search(r"Credential=[^/,&]*/[^/]*/[^/]*/([^/]*)/", where)
    known = _protocols(scope.group(1)) if scope and scope.group(1) in SERVICES else ()
    if "x-amz-target" in request.headers:
        return "json"
    if known:
        return next(p for p in ("s3", "rest-json", "query", "json") if p in known)
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return "query" if form else "rest-json" if scope else "s3"


def identify(service: str, request: Request) -> Call:
    """The operation that a signed request asks for.

    Raises AwsError UnknownOperationException (in each protocol's words) for one that AWS does not know, and for a
    service that this AWS does not have.
    """
    if service not in SERVICES:
        raise AwsError("UnknownOperationException", f"The local AWS has no service {service!r}.", 404)
    known, operations = _protocols(service), model(service)["operations"]
    target = request.headers.get("x-amz-target")
    if target is not None or ("json" in known and "query" not in known):
        prefix, _, operation = (target or "").rpartition(".")
        if "json" not in known or prefix != model(service)["metadata"]["targetPrefix"] or operation not in operations:
            raise AwsError("UnknownOperationException", f"{target!r} is no operation of {service}.")
        return Call(service, operation, "json", {})
    if "query" in known:
        form = _form(request)
        if form.get("Action") not in operations:
            raise AwsError("InvalidAction", f"The action {form.get('Action')} is not valid for this web service.")
        return Call(service, form["Action"], "query", form)
    path, given = request.path, dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
    if service == "s3":
        path = urllib.parse.unquote(path)
    elif (
        "%2f" in path.lower() and "/tags/" not in path and service != "kafka"
    ):  # would stand for one segment here and for two in moto
        path = ""
    for route in _routes(service).get(request.method, ()):
        if (
            (match := route.pattern.fullmatch(path))
            and all(k in given and v in (None, given[k]) for k, v in route.keys.items())
            and route.headers <= request.headers.keys()
        ):
            if service == "s3":
                _check_s3(given, route)
                return Call(service, route.operation, "s3", match.groupdict())
            uri = {k: urllib.parse.unquote(v) for k, v in match.groupdict().items()}
            return Call(service, route.operation, "rest-json", uri)
    if service == "s3":
        raise AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    raise AwsError("UnknownOperationException", f"{request.method} {request.path} is no operation of {service}.", 404)


@lru_cache
def _s3_keys() -> frozenset[str]:
    return frozenset(key for routes in _routes("s3").values() for route in routes for key in route.keys)


def _check_s3(given: dict[str, str], route: _Route) -> None:
    """A query that names two sub-resources must not be allowed as the one and answered as the other."""
    other = sorted(_s3_keys() & given.keys() - route.keys.keys() - route.optional)
    if other:
        names = ", ".join(sorted({*other, *route.keys}))
        raise AwsError("InvalidArgument", f"Conflicting query string parameters: {names}")


def _inflated(request: Request) -> bytes:
    if request.headers.get("content-encoding") != "gzip":
        return request.body
    try:
        return zlib.decompressobj(wbits=31).decompress(request.body, MAX_INFLATED)
    except zlib.error:
        raise AwsError("MalformedHttpRequestException", "The body is not gzip, as its header says.") from None


def _form(request: Request) -> dict[str, str]:
    try:
        text = (_inflated(request) or request.query.encode()).decode()
        return dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    except ValueError:
        raise AwsError("MalformedQueryString", "The query string contains a syntax error.", 404) from None


@lru_cache
def _is_payload(service: str, operation: str) -> bool:
    """Whether the body is no JSON of the service's own: an Invoke's event, an imported API."""
    shapes, called = model(service)["shapes"], model(service)["operations"][operation]
    shape = shapes[called["input"]["shape"]] if "input" in called else {}
    return "payload" in shape and shapes[shape["members"][shape["payload"]]["shape"]]["type"] == "blob"


def parameters(call: Call, request: Request) -> dict[str, Any]:
    """The parameters in a request's body: a query's form, JSON's members; none where the body is a payload."""
    if call.protocol == "query":
        return dict(call.uri)
    if call.protocol == "s3" or (call.protocol == "rest-json" and _is_payload(call.service, call.operation)):
        return {}
    try:
        parsed = orjson.loads(_inflated(request) or b"{}")
    except orjson.JSONDecodeError:
        raise AwsError("SerializationException", "The request body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object.")
    return parsed


# Errors that every service has: the query protocol's name -> (JSON's, S3's, S3's status).
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_SPELLED = {
    "AccessDenied": ("AccessDeniedException", "AccessDenied", 403),
    "ExpiredToken": ("ExpiredTokenException", "ExpiredToken", 400),
    "IncompleteSignature": ("IncompleteSignatureException", "AuthorizationHeaderMalformed", 400),
    "InvalidClientTokenId": ("UnrecognizedClientException", "InvalidAccessKeyId", 403),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", "AccessDenied", 403),
    "SignatureDoesNotMatch": ("InvalidSignatureException", "SignatureDoesNotMatch", 403),
}


def error_response(error: AwsError, protocol: str) -> Response:
    """The error in the form in which botocore's parser for `protocol` finds code, message and members again.

    Errors of signature and permission are raised under their query names and get their protocol's own here.
    """
    code, status, request_id = error.code, error.status, str(uuid.uuid4())
    json_code, s3_code, s3_status = _SPELLED.get(code, (code, code, status))
    if protocol == "s3":
        code, status = s3_code, s3_status
        if code == "UnknownOperationException":
            code, status = "NotImplemented", 501
        if error.code == "MissingAuthenticationToken":  # who does not sign is nobody in particular, and may not
            error = AwsError(code, "Access Denied", status)
    elif protocol != "query":
        # The JSON services answer 400 where Lambda and API Gateway answer 403.
        code, status = json_code, 400 if protocol == "json" and status < 500 else status
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": code}
    if protocol in ("query", "s3"):
        fields = {"Code": code, "Message": error.message, **error.members}
        inner = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in fields.items())
        if protocol == "s3":
            xml = f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
        else:
            kind = "Sender" if status < 500 else "Receiver"
            inner = f"<Error><Type>{kind}</Type>{inner}</Error>"
            xml = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        xml = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", xml)  # what XML 1.0 can hold
        headers["Content-Type"] = "text/xml"
        return Response(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode(), headers)
    fields = {"message": error.message, **error.members}
    if protocol == "rest-json":
        fields["Type"] = "User" if status < 500 else "Service"
    else:
        fields["__type"] = code
        if code.startswith(
            "AWS.SimpleQueueService."
        ):  # as the query protocol named it; boto3 has classes for the others
            headers["x-amzn-query-error"] = f"{code};Sender"
            fields["__type"] = code.rpartition(".")[2].replace("NonExistentQueue", "QueueDoesNotExist")
    headers["Content-Type"] = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    return Response(status, orjson.dumps(fields, default=str), headers)


def page(
    found: list[dict[str, Any]], key: str, asked: dict[str, str], most: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One page of a REST list, by MaxItems and Marker: (its items, {"NextMarker": …} if there are more).

    A marker is the next item's `key`, so that what was on a page may be deleted before the next one is asked for.
    """
    count, marker = asked.get("MaxItems", str(most)), asked.get("Marker")
    if not re.fullmatch(r"[1-9]\d{0,3}|10000", count):
        text = f"1 validation error detected: Value '{count}' at 'maxItems' failed to satisfy constraint: Member must "
        raise AwsError("ValidationException", f"{text}have value between 1 and 10000")
    keys, size = [item[key] for item in found], min(int(count), most)
    if marker and marker not in keys:
        raise AwsError("InvalidParameterValueException", f"Invalid marker: {marker}")
    start = keys.index(marker) if marker else 0
    return found[start : start + size], {"NextMarker": keys[start + size]} if len(keys) > start + size else {}
