"""The exported description of an API, next to the example that AWS's developer guide prints."""

from __future__ import annotations

from typing import Any

import openapi_spec_validator
import pytest

from helpers.localaws import types as t
from helpers.localaws.api_export import export

STREAM = {"type": "object", "title": "Stream", "properties": {"name": {"type": "string"}}}


def stage(*resources: t.Resource) -> t.Stage:
    models = {"Stream": STREAM | {"$schema": "http://json-schema.org/draft-04/schema#"}, "Unused": {"type": "object"}}
    api = t.ApiSnapshot("abc123", "shop", "eu-west-1", resources, {}, (), models, "2026-11-25T18:00:00Z")
    return t.Stage("P", api, "d1", {}, {}, ())


def method(verb: str, **fields: Any) -> t.Method:
    given = {"api_key_required": False, "authorization": "NONE", "validate_body": False, "validate_parameters": False}
    given |= {"models": {}, "request_parameters": {}, "integration": None, "responses": {}}
    return t.Method(http_method=verb, **(given | fields))


GET = method(
    "GET",
    api_key_required=True,
    request_parameters={"method.request.path.name": True, "method.request.querystring.limit": False},
    responses={"200": {"method.response.header.Timestamp": True}, "404": {}},
    response_models={"200": {"application/json": "Stream"}},
)
POST = method("POST", request_models={"application/json": "Stream"}, responses={"201": {}})
STAGE = stage(
    t.Resource("r0", "/", {}),
    t.Resource("r2", "/streams/{name}", {"GET": GET, "ANY": method("ANY")}),
    t.Resource("r1", "/streams", {"POST": POST}),
)


def test_openapi_3() -> None:
    document = export(STAGE, "oas30", "application/json")
    assert document["openapi"] == "3.0.1"
    assert document["info"] == {"title": "shop", "version": "2026-11-25T18:00:00Z"}
    assert document["servers"] == [
        {
            "url": "https://abc123.execute-api.eu-west-1.amazonaws.com/{basePath}",
            "variables": {"basePath": {"default": "P"}},
        }
    ]
    reference = {"application/json": {"schema": {"$ref": "#/components/schemas/Stream"}}}
    assert document["paths"]["/streams"] == {
        "post": {
            "requestBody": {"content": reference, "required": True},
            "responses": {"201": {"description": "201 response"}},
        }
    }
    assert document["paths"]["/streams/{name}"]["get"] == {
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "limit", "in": "query", "required": False, "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "200 response",
                "headers": {"Timestamp": {"schema": {"type": "string"}}},
                "content": reference,
            },
            "404": {"description": "404 response"},
        },
        "security": [{"api_key": []}],
    }
    assert "x-amazon-apigateway-any-method" in document["paths"]["/streams/{name}"]
    assert list(document["paths"]) == ["/streams", "/streams/{name}"]
    assert document["components"] == {
        "schemas": {"Stream": STREAM},
        "securitySchemes": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
    }


def test_swagger_2() -> None:
    document = export(STAGE, "swagger", "application/json")
    assert (document["swagger"], document["host"], document["basePath"], document["schemes"]) == (
        "2.0",
        "abc123.execute-api.eu-west-1.amazonaws.com",
        "/P",
        ["https"],
    )
    get = document["paths"]["/streams/{name}"]["get"]
    assert get["produces"] == ["application/json"]
    assert get["parameters"][0] == {"name": "name", "in": "path", "required": True, "type": "string"}
    assert get["responses"]["200"] == {
        "description": "200 response",
        "schema": {"$ref": "#/definitions/Stream"},
        "headers": {"Timestamp": {"type": "string"}},
    }
    post = document["paths"]["/streams"]["post"]
    assert post["consumes"] == ["application/json"]
    assert post["parameters"] == [
        {"in": "body", "name": "Stream", "required": True, "schema": {"$ref": "#/definitions/Stream"}}
    ]
    assert document["definitions"] == {"Stream": STREAM}


@pytest.mark.parametrize("kind", ["oas30", "swagger"])
def test_tools_take_it(kind: str) -> None:
    plain = stage(t.Resource("r1", "/streams", {"POST": POST}))
    openapi_spec_validator.validate(export(plain, kind, "application/json"))


@pytest.mark.parametrize(
    "arguments",
    [("raml", "application/json", None), ("oas30", "application/yaml", None), ("oas30", "", "integrations")],
)
def test_what_it_does_not_write_is_refused(arguments: Any) -> None:
    with pytest.raises(t.AwsError, match="BadRequestException"):
        export(STAGE, *arguments)
