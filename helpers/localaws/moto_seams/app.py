"""moto as one function from a signed call to its response, without a socket."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import types
import urllib.parse
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from xml.parsers.expat import ExpatError

import botocore.model
import botocore.validate

from .. import constraints
from ..auth import Signed
from ..protocols import SERVICES, Call, model
from ..types import ACCOUNT_ID, AwsError, Request, Response
from . import (
    alarms,
    api_patches,
    api_rules,
    apis,
    dynamodb_capacity,
    dynamodb_queries,
    dynamodb_rules,
    dynamodb_store,
    dynamodb_tables,
    dynamodb_transactions,
    dynamodb_undo,
    dynamodb_updates,
    dynamodb_values,
    identities,
    lambdas,
    logs,
    objects,
    queues,
    refused,
    stores,
    topics,
)

# moto reads these while it is imported: AWS's managed policies exist (AWSLambdaBasicExecutionRole …), it opens every
# cross-origin door by default, which is this lab's own business, and a header may name another account.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT_ID
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html: 100 of them stay unreserved.
os.environ["MOTO_LAMBDA_CONCURRENCY_QUOTA"] = "1000"

_LOG = logging.getLogger("localaws")
Moto = Callable[[Call, dict[str, Any], Request, Signed], Response]
_CHECKS = {
    "apigateway": api_rules.check,
    "iam": identities.check,
    "sts": identities.check,
    "dynamodb": dynamodb_values.check,
}


@lru_cache
def load() -> Moto:
    """Imports moto (about half a second) and returns `answer(call, parameters, request, signed)`.

    `answer` raises AwsError UnknownOperationException for what moto does not have, InternalFailure when it fails.
    """
    _leave_out()
    import moto.core.common_models as core_models
    import moto.core.responses as core
    from moto.moto_server.werkzeug_app import create_backend_app

    alarms.install()
    apis.install()
    api_patches.install()
    dynamodb_store.install()
    dynamodb_tables.install()
    dynamodb_undo.install()
    dynamodb_rules.install()
    dynamodb_queries.install()
    dynamodb_updates.install()
    dynamodb_transactions.install()
    dynamodb_capacity.install()
    lambdas.install()
    logs.install()
    objects.install()
    queues.install()
    stores.install()
    topics.install()
    identities.install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Left to itself moto reads operation and region from several places (query string, header, user agent, URL), and
    # a request could be allowed as one thing and done as another. What was signed and allowed is what is done.
    current: list[tuple[Call, Signed]] = []
    of_request = core.BaseResponse._get_action

    def action(self: Any) -> str:
        call = current[-1][0]
        if call.protocol == "s3":
            return of_request(self)
        if call.protocol == "rest-json" and self._get_action_from_method_and_request_uri(
            self.normalized_request
        ) not in (call.operation, None):
            raise NotImplementedError(call.operation)
        return call.operation

    replaced: dict[str, Callable[..., Any]] = {
        "_get_action": action,
        "get_region_from_url": lambda self, request, full_url: current[-1][1].region,
    }
    for name, function in replaced.items():
        setattr(core.BaseResponse, name, function)
    # moto keeps every object that it ever made in a list, for a page that nobody sees here: nothing would be freed.
    setattr(core_models.BaseModel, "__new__", lambda cls, *_, **__: object.__new__(cls))  # noqa: B010
    # moto inspects the class for this on every request.
    setattr(core, "method_names_from_class", lru_cache(getattr(core, "method_names_from_class")))  # noqa: B009, B010

    @lru_cache
    def application(service: str) -> Any:
        flask_app = create_backend_app(SERVICES[service])  # type: ignore[arg-type]
        flask_app.debug = False
        if service == "s3":  # an object whose type is a form's is an object all the same
            raw = type("Raw", (flask_app.request_class,), {"want_form_data_parsed": False})
            flask_app.request_class = raw
        flask_app.config["PROPAGATE_EXCEPTIONS"] = True
        return flask_app

    def answer(call: Call, parameters: dict[str, Any], request: Request, signed: Signed) -> Response:
        constraints.check_texts(call, parameters)
        refused.check(call, parameters, request)
        if check := _CHECKS.get(call.service):
            check(call, parameters)
        head: list[Any] = []
        current.append((call, signed))
        try:
            if call.service == "lambda":
                if call.operation == "GetAccountSettings":
                    found = json.dumps(lambdas.account(signed.region)).encode()
                    return Response(200, found, {"Content-Type": "application/json"})
                lambdas.check(call, parameters, signed.region)
                request = lambdas.by_name(call, parameters, request, signed.region)
            body = b"".join(application(call.service)(_environ(call, request, parameters), lambda *a: head.extend(a)))
        except (NotImplementedError, ImportError):
            raise _unknown(call) from None
        except AwsError:
            raise
        except Exception as error:  # moto's own failure must reach the caller in AWS's shape, whatever it was
            _LOG.exception("moto failed on %s %s", call.service, call.operation)
            raise _stumbled(call, parameters, error) from None
        finally:
            current.pop()
        status = int(head[0].split()[0])
        headers: dict[str, str] = {}
        if status in (404, 405) and body[:15].lower() == b"<!doctype html>":  # werkzeug's: moto has no such path
            raise _unknown(call)
        for name, value in head[1]:
            key = name.title() if name.lower() in ("content-length", "content-type") else name
            headers[key] = f"{headers[key]}\n{value}" if key in headers else value
        for name in ("Connection", *(["Content-Length"] if request.method != "HEAD" else [])):
            headers.pop(name, None)
        return Response(status, body, headers)

    return answer


def _leave_out() -> None:
    """Keeps two modules out that cost three seconds of processor time at the first call and do nothing here.

    A grammar of international addresses, which jsonschema takes only if it is there; and EC2, which moto's SSM looks
    at only to run commands on machines.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    if "moto.ec2" not in sys.modules:
        sys.modules["moto.ec2"] = types.ModuleType("moto.ec2")
        setattr(sys.modules["moto.ec2"], "ec2_backends", {})  # noqa: B010


def _stumbled(call: Call, parameters: dict[str, Any], error: Exception) -> AwsError:
    """What the caller is told when moto raised. These kinds come of parameters that AWS would refuse: a key that is
    missing, a text that is no number, a broken document, a time beyond the calendar (botocore's RuntimeError); so they
    are refused, too, and boto3 does not try again."""
    what = f"The local AWS cannot take this: {type(error).__name__}: {error}"
    kinds = LookupError | ValueError | TypeError | AttributeError | ExpatError | RuntimeError
    if not isinstance(error, kinds) and not type(error).__module__.startswith("yaml."):  # an API that is imported
        return AwsError("InternalFailure", what, 500)
    if call.service == "dynamodb":
        try:
            constraints.check(call.service, call.operation, parameters)
        except AwsError as refusal:
            return refusal
    elif call.protocol == "json":
        operation = botocore.model.ServiceModel(model(call.service)).operation_model(call.operation)
        with contextlib.suppress(RuntimeError):  # which botocore raises for a time that is none
            what = (
                botocore.validate.ParamValidator().validate(parameters, operation.input_shape).generate_report() or what
            )
    codes = {"query": "ValidationError", "s3": "MalformedXML", "lambda": "InvalidParameterValueException"}
    codes |= {"apigateway": "BadRequestException"}
    return AwsError(codes.get(call.service) or codes.get(call.protocol, "ValidationException"), what)


def _unknown(call: Call) -> AwsError:
    return AwsError("UnknownOperationException", f"The local AWS does not have {call.service}:{call.operation}.", 404)


def _environ(call: Call, request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request, with nothing in it that was not asked about."""
    path, query, body = request.path, request.query, request.body
    content_type = request.headers.get("content-type", "")
    if call.protocol == "query":
        path, query, body = "/", "", urllib.parse.urlencode(call.uri).encode()
        content_type = "application/x-www-form-urlencoded; charset=utf-8"
    elif call.protocol == "json":
        path, query, content_type = "/", "", "application/x-amz-json-1.1"
    elif call.protocol == "rest-json":
        content_type = "application/json"
    host, _, port = request.headers.get("host", "localhost").partition(":")
    uri = path + (f"?{query}" if query else "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": urllib.parse.unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": uri,
        "REQUEST_URI": uri,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        # The body is in memory in full, also when it came in chunks.
        "wsgi.input_terminated": True,
        "moto.preserved_header_names": {},
        "localaws.parameters": parameters,
    }
    for name, value in request.headers.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        if "_" in name:  # WSGI cannot tell X_Amz_Target from X-Amz-Target; S3's metadata may hold it
            if not name.startswith("x-amz-meta-") or name.replace("_", "-") in request.headers:
                continue
            environ["moto.preserved_header_names"][key] = name
        if name not in ("content-type", "content-length", "transfer-encoding") and not (
            name == "content-encoding" and call.protocol == "query"  # which has been read, and written anew
        ):
            environ[key] = value
    return environ
