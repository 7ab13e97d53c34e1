"""GetExport: a deployed API as an OpenAPI document, in the form in which API Gateway writes it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html, the form as in the example
on https://docs.aws.amazon.com/apigateway/latest/developerguide/api-as-s3-proxy-export-swagger-with-extensions.html
Only what was declared is in it: parameters and models of the methods, and no path parameter that no method names.
Extensions (integrations, authorizers, Postman) and YAML are refused.
"""

from __future__ import annotations

from typing import Any

from .types import ApiSnapshot, AwsError, Method, Stage

_PLACES = {"path": "path", "querystring": "query", "header": "header"}
_ERROR = "BadRequestException"


def export(stage: Stage, kind: str, accept: str, extensions: str | None = None) -> dict[str, Any]:
    """The document; `kind` is oas30 or swagger. Raises AwsError BadRequestException."""
    if kind not in ("oas30", "swagger"):
        raise AwsError(_ERROR, f"No API exporter for type '{kind}'")
    if extensions or accept not in ("", "*/*", "application/json"):
        what = f"the extensions {extensions!r}" if extensions else accept
        raise AwsError(_ERROR, f"The local AWS exports application/json without extensions, not {what}.")
    api, old = stage.api, kind == "swagger"
    used: dict[str, Any] = {}
    paths = {
        resource.path: {_verb(verb): _operation(api, method, old, used) for verb, method in resource.methods.items()}
        for resource in sorted(api.resources, key=lambda r: r.path)
        if resource.methods
    }
    host = f"{api.api_id}.execute-api.{api.region}.amazonaws.com"
    key = {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
    secured = any(method.api_key_required for resource in api.resources for method in resource.methods.values())
    info = {"title": api.name, "version": api.deployed}
    if old:
        place = {"host": host, "basePath": f"/{stage.name}", "schemes": ["https"]}
        security = {"securityDefinitions": key} if secured else {}
        return {"swagger": "2.0", "info": info, **place, "paths": paths, **security, "definitions": used}
    base = {"basePath": {"default": stage.name}}
    return {
        "openapi": "3.0.1",
        "info": info,
        "servers": [{"url": f"https://{host}/{{basePath}}", "variables": base}],
        "paths": paths,
        "components": {"schemas": used, **({"securitySchemes": key} if secured else {})},
    }


def _verb(verb: str) -> str:
    return "x-amazon-apigateway-any-method" if verb == "ANY" else verb.lower()


def _operation(api: ApiSnapshot, method: Method, old: bool, used: dict[str, Any]) -> dict[str, Any]:
    def reference(name: str) -> dict[str, str]:
        schema = api.models.get(name, {})
        used[name] = {k: v for k, v in schema.items() if k not in ("$schema", "id")} or {"type": "object"}
        return {"$ref": f"#/{'definitions' if old else 'components/schemas'}/{name}"}

    named = [(*full.split(".", 3)[2:], needed) for full, needed in method.request_parameters.items()]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": _PLACES[str(place)], "required": needed}
        | ({"type": "string"} if old else {"schema": {"type": "string"}})
        for place, name, needed in named
    ]
    operation: dict[str, Any] = {}
    if old and method.request_models:
        operation["consumes"] = list(method.request_models)
        name = next(iter(method.request_models.values()))
        parameters.append({"in": "body", "name": name, "required": True, "schema": reference(name)})
    if old:
        operation["produces"] = sorted({t for types in method.response_models.values() for t in types}) or [
            "application/json"
        ]
    if parameters:
        operation["parameters"] = parameters
    if not old and method.request_models:
        content = {kind: {"schema": reference(name)} for kind, name in method.request_models.items()}
        operation["requestBody"] = {"content": content, "required": True}
    operation["responses"] = {}
    for status, headers in method.responses.items():
        answer: dict[str, Any] = {"description": f"{status} response"}
        names = [name.removeprefix("method.response.header.") for name in headers]
        if names:
            text = {"type": "string"}
            answer["headers"] = {name: text if old else {"schema": text} for name in names}
        models = method.response_models.get(status, {})
        if models and old:
            answer["schema"] = reference(next(iter(models.values())))
        elif models:
            answer["content"] = {kind: {"schema": reference(name)} for kind, name in models.items()}
        operation["responses"][status] = answer
    if method.api_key_required:
        operation["security"] = [{"api_key": []}]
    return operation
