"""moto's API Gateway: an API frozen at its deployment, and a stage with the keys and plans that hold for it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from ..types import (
    ACCOUNT_ID,
    ApiKey,
    ApiSnapshot,
    AwsError,
    Integration,
    IntegrationResponse,
    Method,
    Resource,
    Stage,
    UsagePlan,
)

_DRAFT = "http://json-schema.org/draft-04/schema#"
# .../developerguide/supported-gateway-response-types.html, in the order and with the template that the API gives:
# localstack/localstack tests/aws/services/apigateway/test_apigateway_api.snapshot.json, recorded against AWS
_GATEWAY_RESPONSES: dict[str, str | None] = {
    "ACCESS_DENIED": "403", "API_CONFIGURATION_ERROR": "500", "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500", "BAD_REQUEST_BODY": "400", "BAD_REQUEST_PARAMETERS": "400", "DEFAULT_4XX": None,
    "DEFAULT_5XX": None, "EXPIRED_TOKEN": "403", "INTEGRATION_FAILURE": "504", "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403", "INVALID_SIGNATURE": "403", "MISSING_AUTHENTICATION_TOKEN": "403",
    "QUOTA_EXCEEDED": "429", "REQUEST_TOO_LARGE": "413", "RESOURCE_NOT_FOUND": "404", "THROTTLED": "429",
    "UNAUTHORIZED": "401", "UNSUPPORTED_MEDIA_TYPE": "415", "WAF_FILTERED": "403",
}  # fmt: skip
_MESSAGE = '{"message":$context.error.messageString}'
_FUNCTION = re.compile(r":path/+2015-03-31/functions/(.+)/invocations$")


def _backend(region: str) -> Any:
    from moto.apigateway.models import apigateway_backends

    return apigateway_backends[ACCOUNT_ID][region]


def install() -> None:
    """Puts right seven of moto's answers.

    A deployment to a stage that exists changes what it serves and nothing else; moto makes the stage anew.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-deployments.html
    An API keeps the binaryMediaTypes that it is made with; moto takes them only from an update.
    https://docs.aws.amazon.com/apigateway/latest/api/API_CreateRestApi.html
    A resource is deleted with all below it; moto leaves the children, and then fails to list any resource.
    https://docs.aws.amazon.com/apigateway/latest/api/API_DeleteResource.html
    An API has two models from the start.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
    A patch names a binary media type in its path, and a plan's rate need not be an integer; moto reads the type from
    the value, which is not given, and cannot read such a rate.
    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
    A gateway response that nobody has defined is there, as AWS defines it; moto lists those that were put.
    https://docs.aws.amazon.com/apigateway/latest/api/API_GetGatewayResponses.html
    """
    from moto.apigateway.models import APIGatewayBackend, GatewayResponse, RestAPI, UsagePlan
    from moto.apigateway.responses import APIGatewayResponse

    original, made = RestAPI.create_deployment, APIGatewayResponse.create_rest_api
    deleted, new = APIGatewayBackend.delete_resource, APIGatewayBackend.create_rest_api

    def create_deployment(self: Any, name: str, description: str, stage_variables: Any = None) -> Any:
        stage = self.stages.get(name)
        deployment = original(self, name, description, stage_variables)
        if stage is not None:
            stage.deployment_id = deployment.id
            stage.variables = stage_variables or stage.variables
            self.stages[name] = stage
        return deployment

    def create_rest_api(self: Any) -> Any:
        status, headers, body = made(self)
        if status == 200 and (types := json.loads(self.body or "{}").get("binaryMediaTypes")):
            api = self.backend.get_rest_api(json.loads(body)["id"])
            api.binaryMediaTypes = types
            body = json.dumps(api.to_dict())
        return status, headers, body

    def create_api(self: Any, *args: Any, **named: Any) -> Any:
        api = new(self, *args, **named)
        for name, properties in (("Empty", {}), ("Error", {"properties": {"message": {"type": "string"}}})):
            schema = {"$schema": _DRAFT, "title": f"{name} Schema", "type": "object", **properties}
            text = f"This is a default {name.lower()} schema model"
            api.add_model(name, text, json.dumps(schema), "application/json")
        return api

    def delete_resource(self: Any, function_id: str, resource_id: str) -> Any:
        resource = deleted(self, function_id, resource_id)
        resources = self.get_rest_api(function_id).resources
        for below in [key for key, found in resources.items() if found.parent_id == resource_id]:
            delete_resource(self, function_id, below)
        return resource

    patched, planned = RestAPI.apply_patch_operations, UsagePlan.apply_patch_operations

    def patch_api(self: Any, patches: list[dict[str, Any]]) -> None:
        types = list(self.binaryMediaTypes)
        for patch in patches:
            if not patch["path"].startswith("/binaryMediaTypes/"):
                continue
            name = patch["path"].removeprefix("/binaryMediaTypes/").replace("~1", "/").replace("~0", "~")
            if patch["op"] != "add" and name not in types:
                raise AwsError("NotFoundException", "Invalid binary media type specified", 404)
            types = [known for known in types if known != name]
            if patch["op"] != "remove":
                types.append(patch.get("value") or name if patch["op"] == "replace" else name)
        patched(self, [p for p in patches if not p["path"].startswith("/binaryMediaTypes/")])
        self.binaryMediaTypes = types

    def patch_plan(self: Any, patches: list[dict[str, Any]]) -> None:
        planned(self, [p for p in patches if p["path"] != "/throttle/rateLimit"])
        for patch in [p for p in patches if p["path"] == "/throttle/rateLimit"]:
            self.throttle["rateLimit"] = float(patch["value"])

    def gateway_response(self: Any, kind: str) -> Any:
        if not (found := self.gateway_responses.get(kind)):
            found = GatewayResponse(kind, _GATEWAY_RESPONSES[kind], {}, {"application/json": _MESSAGE})  # type: ignore[arg-type]
            found.default_response = True
        return found

    def gateway_responses(self: Any) -> list[Any]:
        return [gateway_response(self, kind) for kind in _GATEWAY_RESPONSES]

    def delete_gateway_response(self: Any, kind: str) -> None:
        if self.gateway_responses.pop(kind, None) is None:
            raise AwsError("NotFoundException", "Gateway response type not defined on api", 404)

    setattr(RestAPI, "delete_gateway_response", delete_gateway_response)  # noqa: B010
    setattr(RestAPI, "get_gateway_response", gateway_response)  # noqa: B010
    setattr(RestAPI, "get_gateway_responses", gateway_responses)  # noqa: B010
    setattr(RestAPI, "apply_patch_operations", patch_api)  # noqa: B010
    setattr(UsagePlan, "apply_patch_operations", patch_plan)  # noqa: B010
    setattr(APIGatewayBackend, "create_rest_api", create_api)  # noqa: B010
    setattr(APIGatewayBackend, "delete_resource", delete_resource)  # noqa: B010
    setattr(APIGatewayResponse, "create_rest_api", create_rest_api)  # noqa: B010
    setattr(RestAPI, "create_deployment", create_deployment)  # noqa: B010


def find(api_id: str) -> str | None:
    """The region in which an API lives."""
    from moto.apigateway.models import apigateway_backends

    for region, backend in apigateway_backends[ACCOUNT_ID].items():
        if api_id in backend.apis:
            return str(region)
    return None


def rest_api(api_id: str) -> Any:
    """moto's API; None when there is none."""
    region = find(api_id)
    return _backend(region).apis[api_id] if region else None


def _integration(stored: Any) -> Integration | None:
    if stored is None:
        return None
    # Lambda is invoked by POST: https://repost.aws/knowledge-center/api-gateway-lambda-template-invoke-error
    function = _FUNCTION.search(stored.uri or "") if stored.http_method == "POST" else None
    responses = {
        str(status): IntegrationResponse(
            str(status),
            r.selection_pattern,
            {k: v or "" for k, v in (r.response_templates or {}).items()},
            dict(r.response_parameters or {}),
        )
        for status, r in (stored.integration_responses or {}).items()
    }
    return Integration(
        stored.integration_type,
        function.group(1) if function else None,
        {k: v or "" for k, v in (stored.request_templates or {}).items()},
        stored.passthrough_behaviour or "WHEN_NO_MATCH",
        dict(stored.request_parameters or {}),
        responses,
        int(stored.timeout_in_millis or 29_000),
    )


def _method(api: Any, stored: Any) -> Method:
    validator = api.request_validators.get(stored.request_validator_id)
    models = {}
    for content_type, name in (stored.request_models or {}).items():
        if name in api.models and api.models[name].schema:
            models[content_type] = json.loads(api.models[name].schema)
    return Method(
        stored.http_method,
        str(stored.api_key_required).lower() == "true",
        stored.authorization_type or "NONE",
        bool(validator and validator.validate_request_body),
        bool(validator and validator.validate_request_parameters),
        models,
        {k: str(v).lower() == "true" for k, v in (stored.request_parameters or {}).items()},
        _integration(stored.method_integration),
        {str(k): dict(r.response_parameters or {}) for k, r in stored.method_responses.items()},
        dict(stored.request_models or {}),
        {str(k): dict(r.response_models or {}) for k, r in stored.method_responses.items()},
    )


def snapshot(api_id: str, region: str) -> ApiSnapshot:
    """The API as it stands at this moment, for a deployment to keep."""
    api = _backend(region).get_rest_api(api_id)
    resources = tuple(
        Resource(r.id, r.get_path() or "/", {name: _method(api, m) for name, m in r.resource_methods.items()})
        for r in api.resources.values()
    )
    answers = {
        kind: {
            "statusCode": r.status_code,
            "responseParameters": dict(r.response_parameters or {}),
            "responseTemplates": dict(r.response_templates or {}),
        }
        for kind, r in api.gateway_responses.items()
    }
    models = {model.name: json.loads(model.schema) for model in api.models.values() if model.schema}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return ApiSnapshot(api_id, api.name, region, resources, answers, tuple(api.binaryMediaTypes), models, now)


def stage(api_id: str, region: str, name: str, deployments: dict[str, ApiSnapshot]) -> Stage | None:
    """A stage as it stands now, serving the snapshot of its deployment; None when there is none."""
    backend = _backend(region)
    api = backend.apis.get(api_id)
    stored = api.stages.get(name) if api else None
    if stored is None or stored.deployment_id not in deployments:
        return None
    keys = {k.value: ApiKey(k.id, k.value, bool(k.enabled)) for k in backend.get_api_keys()}
    plans = []
    for plan in backend.get_usage_plans():
        stages = frozenset((s["apiId"], s["stage"]) for s in plan.api_stages)
        if (api_id, name) in stages:
            plans.append(
                UsagePlan(
                    plan.id,
                    stages,
                    frozenset(backend.usage_plan_keys.get(plan.id, {})),
                    _number(plan.throttle.get("rateLimit")),
                    int(plan.throttle["burstLimit"]) if "burstLimit" in plan.throttle else None,
                    int(plan.quota["limit"]) if "limit" in plan.quota else None,
                    plan.quota.get("period"),
                )
            )
    return Stage(
        name, deployments[stored.deployment_id], stored.deployment_id, dict(stored.variables or {}), keys, tuple(plans)
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
