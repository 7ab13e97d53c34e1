"""The four updates by patch that moto's API Gateway lacks: of a method, an integration and their responses.

And what API Gateway asks of an integration response, by whichever call it comes: its headers must be declared by the
method response of the same status. https://docs.aws.amazon.com/apigateway/latest/api/API_IntegrationResponse.html

https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html says which operation each path takes; in
https://docs.aws.amazon.com/apigateway/latest/api/API_PatchOperation.html a slash within a name is written ~1.
A list of patches is done as a whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..types import AwsError

_MEMBER = ("add", "replace", "remove")
_REPLACE, _LIST = ("replace",), ("add", "remove")
# What a path may name, and by which operations it changes; `{}` stands for the name of a member.
_PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "UpdateMethod": {
        "/apiKeyRequired": _REPLACE, "/authorizationScopes": _LIST, "/authorizationType": _REPLACE,
        "/authorizerId": _REPLACE, "/operationName": _REPLACE, "/requestModels/{}": _MEMBER,
        "/requestParameters/{}": _MEMBER, "/requestValidatorId": _REPLACE,
    },
    "UpdateMethodResponse": {"/responseModels/{}": _MEMBER, "/responseParameters/{}": _MEMBER},
    "UpdateIntegration": {
        "/cacheKeyParameters/{}": _LIST, "/cacheNamespace": _REPLACE, "/connectionType": _REPLACE,
        "/contentHandling": _REPLACE, "/credentials": _REPLACE, "/httpMethod": _REPLACE,
        "/passthroughBehavior": _REPLACE, "/requestParameters/{}": _MEMBER, "/requestTemplates/{}": _MEMBER,
        "/timeoutInMillis": _REPLACE, "/uri": _REPLACE,
    },
    "UpdateIntegrationResponse": {
        "/contentHandling": _REPLACE, "/responseParameters/{}": _MEMBER, "/responseTemplates/{}": _MEMBER,
        "/selectionPattern": _REPLACE,
    },
}  # fmt: skip
_VALUES = {
    "authorizationType": ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS"),
    "connectionType": ("INTERNET", "VPC_LINK"),
    "contentHandling": ("CONVERT_TO_BINARY", "CONVERT_TO_TEXT"),
    "passthroughBehavior": ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"),
    "httpMethod": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"),
}
_EMPTIED = ("contentHandling", "authorizerId", "requestValidatorId", "operationName", "selectionPattern", "credentials")
_BOOLEANS = {
    ("UpdateMethod", "apiKeyRequired"), ("UpdateMethod", "requestParameters"),
    ("UpdateMethodResponse", "responseParameters"),
}  # fmt: skip


def install() -> None:
    """Gives moto's handler the four operations, and its integration responses the check."""
    from moto.apigateway.models import APIGatewayBackend
    from moto.apigateway.responses import APIGatewayResponse
    from moto.core.utils import camelcase_to_underscores

    put = APIGatewayBackend.put_integration_response

    def put_integration_response(
        self: Any,
        api: str,
        resource: str,
        verb: str,
        status: str,
        pattern: Any,
        templates: Any,
        parameters: Any,
        *rest: Any,
        **named: Any,
    ) -> Any:
        declared(self.get_method(api, resource, verb), status, parameters or ())
        return put(self, api, resource, verb, status, pattern, templates, parameters, *rest, **named)

    setattr(APIGatewayBackend, "put_integration_response", put_integration_response)  # noqa: B010

    def update(operation: str) -> Any:
        def answer(self: Any) -> Any:
            parts = self.path.split("/")
            patches = json.loads(self.body or "{}").get("patchOperations") or []
            where = (parts[2], parts[4], parts[6])
            method = self.backend.get_method(*where)
            target = _target(operation, method, parts[-1])
            new = _patched(operation, target.to_json(), patches)
            if operation == "UpdateIntegration":  # moto's own checks of an integration
                target = _put(self.backend, where, target, new)
            else:
                if operation == "UpdateIntegrationResponse":
                    held = target.response_parameters or {}
                    declared(method, parts[-1], [n for n in new.get("responseParameters", ()) if n not in held])
                for name, value in new.items():
                    setattr(target, camelcase_to_underscores(name), value)
            return 200, {}, json.dumps(target.to_json())

        return answer

    for operation in _PATHS:
        setattr(APIGatewayResponse, camelcase_to_underscores(operation), update(operation))


def declared(method: Any, status: str, names: Iterable[str]) -> None:
    """Raises AwsError BadRequestException for headers that the method response does not declare."""
    response = method.method_responses.get(status)
    known = (response.response_parameters if response else None) or {}
    unknown = [name for name in names if name not in known]
    if unknown:
        errors = ", ".join(f"Invalid mapping expression parameter specified: {name}" for name in unknown)
        errors = (
            errors if response else "No method response exists for method."
        )  # as aws-apigateway-importer#121 has it
        raise _bad(f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{errors}]")


def _target(operation: str, method: Any, status: str) -> Any:
    if operation == "UpdateMethod":
        return method
    if operation == "UpdateMethodResponse":
        found = method.method_responses.get(status)
    else:
        if not (integration := method.method_integration):
            raise AwsError("NotFoundException", "No integration defined for method", 404)
        if operation == "UpdateIntegration":
            return integration
        found = (integration.integration_responses or {}).get(status)
    if found is None:
        raise AwsError("NotFoundException", "Invalid Response status code specified", 404)
    return found


def _patched(operation: str, held: dict[str, Any], patches: list[dict[str, Any]]) -> dict[str, Any]:
    """The members that the patches change, as they are to be."""
    known = _PATHS[operation]
    new: dict[str, Any] = {}
    for patch in patches:
        op, path, value = patch.get("op", ""), patch.get("path") or "", patch.get("value")
        member, _, name = path.removeprefix("/").partition("/")
        allowed = [p for p, ops in known.items() if op in ops]
        wanted = f"/{member}/{{}}" if name else f"/{member}"
        if wanted not in allowed or not path.startswith("/"):
            these = f"Must be one of: [{', '.join(p.removesuffix('/{}') for p in allowed)}]"
            text = these if allowed else "Please choose supported operations"
            raise _bad(f"Invalid patch path  '{path}' specified for op '{op}'. {text}")
        if op != "remove":
            value = checked(operation, member, value)
        name = name.replace("~1", "/").replace("~0", "~")
        now = new.get(member, held.get(member))
        if wanted not in ("/authorizationScopes", "/cacheKeyParameters/{}"):
            new[member] = _member(dict(now or {}), op, name, value) if name else value
        elif op == "add":
            new[member] = list(dict.fromkeys([*(now or []), name or value]))
        else:
            new[member] = [item for item in now or [] if item != (name or value)]
    return new


def _member(members: dict[str, Any], op: str, name: str, value: Any) -> dict[str, Any]:
    if op != "add" and name not in members:
        kind = "content type" if "/" in name else "parameter name"
        raise AwsError("NotFoundException", f"Invalid {kind} specified", 404)
    members.pop(name, None) if op == "remove" else members.update({name: value})
    return members


def checked(operation: str, member: str, value: Any) -> Any:
    """A member's new value; raises AwsError BadRequestException for one that it cannot have."""
    if value is not None and not isinstance(value, str):
        raise _bad("Invalid request input")
    if not value and member in _EMPTIED:
        return None
    if member in ("contentHandling", "credentials"):  # as `api_rules` refuses them in an integration that is put
        raise _bad(f"The local AWS does not do what {member} asks for.")
    if (operation, member) in _BOOLEANS:
        if str(value).lower() not in ("true", "false"):
            raise _bad(f"Invalid boolean value {value or ''}. Must be true or false")
        return str(value).lower() == "true"
    if member == "timeoutInMillis":
        if not (value or "").isdecimal() or not 50 <= int(value or 0) <= 29_000:
            raise _bad("Timeout should be between 50 ms and 29000 ms")
        return int(value or 0)
    if member in _VALUES and value not in _VALUES[member]:
        raise _bad(f"Invalid value for {member}: {value}. Must be one of: [{', '.join(_VALUES[member])}]")
    return value or ""


def _put(backend: Any, where: tuple[str, ...], old: Any, new: dict[str, Any]) -> Any:
    given = {**old.to_json(), **new}
    made = backend.put_integration(
        *where, given["type"], given["uri"] or "", given["httpMethod"],
        credentials=given["credentials"], request_templates=given["requestTemplates"],
        passthrough_behavior=given["passthroughBehavior"], tls_config=given["tlsConfig"],
        cache_namespace=given["cacheNamespace"], timeout_in_millis=given["timeoutInMillis"],
        request_parameters=given["requestParameters"], content_handling=given["contentHandling"],
        connection_type=given["connectionType"],
    )  # fmt: skip
    made.integration_responses, made.cache_key_parameters = old.integration_responses, given["cacheKeyParameters"]
    return made


def _bad(message: str) -> AwsError:
    return AwsError("BadRequestException", message)
