"""What API Gateway asks of an API's parts, and moto does not; what of an API moto would only store is refused.

The words are AWS's, from localstack/localstack tests/aws/services/apigateway/test_apigateway_api.snapshot.json, which
was recorded against API Gateway. Where they come from elsewhere, the rule says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..protocols import Call
from ..types import AwsError
from . import api_patches, apis

_VERBS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
_PARAMETER = re.compile(r"method\.request\.(?:querystring|path|header)\.[\w.$-]+")
_HEADER = re.compile(r"method\.response\.header\.[\w.$-]+")
# What would change an API's answers, and is not done here: for each call what may not be asked for.
_UNDONE: dict[str, dict[str, str]] = {
    "CreateRestApi": {
        "policy": "resource policies of an API", "cloneFrom": "copies of an API",
        "minimumCompressionSize": "compression of answers",
        "disableExecuteApiEndpoint": "domain names, and so an API only has the address that this would disable",
    },
    "CreateStage": {"cacheClusterEnabled": "caches", "canarySettings": "canary releases"},
    "CreateDeployment": {"cacheClusterEnabled": "caches", "canarySettings": "canary releases"},
    "PutIntegration": {
        "contentHandling": "conversions of content",
        "credentials": "integrations by a role: a function's own policy lets an API in",
    },
    "PutIntegrationResponse": {"contentHandling": "conversions of content"},
}  # fmt: skip
_SETTING = r"/.+/(?:\*|[A-Z]+)/(?:metrics/enabled|logging/(?:loglevel|dataTrace))"
# The paths that an update may change; what is not here would only be stored.
_PATHS = {
    "UpdateRestApi": r"/(?:name|description|binaryMediaTypes/.+|endpointConfiguration/types/(?:EDGE|REGIONAL))",
    "UpdateStage": rf"/(?:description|deploymentId|tracingEnabled|variables/.+|accessLogSettings(?:/.+)?)|{_SETTING}",
    "UpdateUsagePlan": r"/(?:name|description|productCode|apiStages|quota(?:/(?:limit|period))?"
    r"|throttle(?:/(?:rate|burst)Limit)?)",
}
_MAPPING = "Invalid mapping expression specified: Validation Result: warnings : [], errors : "


def check(call: Call, parameters: dict[str, Any]) -> None:
    """Raises AwsError for what must not reach moto."""
    for member, what in _UNDONE.get(call.operation, {}).items():
        if parameters.get(member) not in (None, False):
            raise _absent(what)
    if form := _PATHS.get(call.operation):
        for path in [str(patch.get("path")) for patch in parameters.get("patchOperations") or ()]:
            if not re.fullmatch(form, path):
                raise _bad(f"Invalid patch path {path}: not one of AWS's, or not of those that the local AWS has")
    if call.operation == "CreateRestApi":
        _create_rest_api(parameters)
    if call.operation == "CreateUsagePlan":
        _create_usage_plan(parameters)
    rule, api = _RULES.get(call.operation), apis.rest_api(call.uri.get("restapi_id", ""))
    if rule and api:  # moto finds that there is no such API
        rule(api, call.uri, parameters)


def _bad(message: str) -> AwsError:
    return AwsError("BadRequestException", message)


def _absent(what: str) -> AwsError:
    return _bad(f"The local AWS has no {what}.")


def _missing(what: str) -> AwsError:
    return AwsError("NotFoundException", f"Invalid {what} specified", 404)


def _conflict(message: str) -> AwsError:
    return AwsError("ConflictException", message, 409)


def _resource(api: Any, key: str) -> Any:
    if key not in api.resources:
        raise _missing("Resource identifier")
    return api.resources[key]


def _method(api: Any, uri: dict[str, str]) -> Any:
    found = _resource(api, uri["resource_id"]).resource_methods.get(uri["http_method"])
    if found is None:
        raise _missing("Method identifier")
    return found


def _models(api: Any, names: dict[str, str] | None) -> None:
    for name in (names or {}).values():
        if name not in api.models:
            raise _bad(f"Invalid model identifier specified: {name}")


def _names(form: re.Pattern[str], names: Iterable[str]) -> None:
    for name in names:
        if not form.fullmatch(name):
            raise _bad(f"{_MAPPING}[Invalid mapping expression specified: {name}]")


def _create_rest_api(given: dict[str, Any]) -> None:
    if given.get("description") == "":
        raise _bad("Description cannot be an empty string")
    if given.get("apiKeySource") == "AUTHORIZER":
        raise _absent("authorizers, and so API keys come in the header")
    if "PRIVATE" in ((given.get("endpointConfiguration") or {}).get("types") or ()):
        raise _absent("private APIs")


def _create_usage_plan(given: dict[str, Any]) -> None:
    """A stage that is not there: https://github.com/serverless/serverless/issues/2831"""
    if (given.get("quota") or {}).get("offset"):
        raise _absent("offset of a quota")
    for stage in given.get("apiStages") or ():
        api = apis.rest_api(str(stage.get("apiId")))
        if not api or stage.get("stage") not in api.stages:
            text = f"API Stage not found: {stage.get('apiId')}:{stage.get('stage')}"
            raise AwsError("NotFoundException", text, 404)
        if stage.get("throttle"):
            raise _absent("throttling by method")


def _create_resource(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    parent, part = _resource(api, uri["parent_id"]), str(given.get("pathPart") or "")
    siblings = [r.path_part for r in api.resources.values() if r.parent_id == parent.id]
    if parent.path_part.endswith("+}"):
        raise _bad(f"Cannot create a child of a resource with a greedy path variable: {parent.path_part}")
    if part in siblings:
        raise _conflict(f"Another resource with the same parent already has this name: {part}")
    variable = next((s for s in siblings if s.startswith("{")), None)
    if variable and part.startswith("{"):
        text = f"A sibling ({variable}) of this resource already has a variable path part -- only one is allowed"
        raise _bad(text)


def _put_method(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    """That a method exists: https://github.com/aws/aws-cli/issues/3992"""
    resource, verb = _resource(api, uri["resource_id"]), uri["http_method"]
    if verb not in _VERBS:
        raise _bad(f"Invalid HttpMethod specified. Valid options are {','.join(_VERBS)}")
    if verb in resource.resource_methods:
        raise _conflict("Method already exists for this resource")
    if api_patches.checked("UpdateMethod", "authorizationType", given.get("authorizationType")) not in (
        "NONE",
        "AWS_IAM",
    ):
        raise _bad(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires "
            "a valid authorizer."
        )
    if given.get("requestValidatorId") and given["requestValidatorId"] not in api.request_validators:
        raise _bad("Invalid Request Validator identifier specified")
    _models(api, given.get("requestModels"))
    names = list(given.get("requestParameters") or ())
    _names(_PARAMETER, names)
    if len({name.split(".", 3)[3] for name in names}) < len(names):
        raise _bad("Parameter names must be unique across querystring, header and path")


def _put_method_response(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    """That one may exist already: https://docs.aws.amazon.com/apigateway/latest/api/API_PutMethodResponse.html"""
    if uri["status_code"] in _method(api, uri).method_responses:
        raise _conflict("Response already exists for this resource")
    _models(api, given.get("responseModels"))
    _names(_HEADER, given.get("responseParameters") or ())


def _put_integration(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    """What a mapping names must be a parameter of the method: .../developerguide/request-response-data-mappings.html"""
    method = _method(api, uri)
    if given.get("responseTransferMode") == "STREAM":
        raise _absent("streamed answers")
    for member in ("passthroughBehavior", "timeoutInMillis"):
        if given.get(member) is not None:
            api_patches.checked("UpdateIntegration", member, str(given[member]))
    sources = [s for s in (given.get("requestParameters") or {}).values() if _PARAMETER.fullmatch(str(s))]
    if unknown := [s for s in sources if s not in (method.request_parameters or {})]:
        errors = ", ".join(f"Invalid mapping expression parameter specified: {name}" for name in unknown)
        raise _bad(f"{_MAPPING}[{errors}]")


def _put_integration_response(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    """A pattern stands once: https://github.com/hashicorp/terraform/pull/5893. No method response need be there yet."""
    integration = _method(api, uri).method_integration
    if integration is None:
        raise AwsError("NotFoundException", "No integration defined for method", 404)
    pattern, held = given.get("selectionPattern") or "", integration.integration_responses or {}
    if any((r.selection_pattern or "") == pattern for status, r in held.items() if status != uri["status_code"]):
        raise _conflict(f"Integration response with selection pattern {pattern or 'default'} already exists")


def _method_response(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    if uri["status_code"] not in _method(api, uri).method_responses:
        raise _missing("Response status code")


def _integration(api: Any, uri: dict[str, str], given: dict[str, Any]) -> Any:
    if (found := _method(api, uri).method_integration) is None:
        raise _missing("Integration identifier")
    return found


def _integration_response(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    if uri["status_code"] not in (_integration(api, uri, given).integration_responses or {}):
        raise _missing("Response status code")


def _create_model(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    name, schema = str(given.get("name") or ""), given.get("schema")
    if not name:
        raise _bad("Model name must be non-empty")
    if not re.fullmatch("[a-zA-Z0-9]+", name):  # https://docs.aws.amazon.com/apigateway/latest/api/API_CreateModel.html
        raise _bad(f"Model name must be alphanumeric: {name}")
    if name in api.models:
        raise _conflict("Model name already exists for this REST API")
    if not schema:
        raise _bad("Model schema must have at least 1 property or array items defined")
    try:
        json.loads(schema)
    except ValueError:
        raise _bad("Invalid model schema specified") from None


def _deploy(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    """Methods without an integration: https://github.com/serverless/serverless/issues/993; names of stages, and that
    they may have hyphens: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-stages.html"""
    methods = [m for resource in api.resources.values() for m in resource.resource_methods.values()]
    if methods and not all(m.method_integration for m in methods):
        raise _bad("No integration defined for method")
    if not re.fullmatch("[a-zA-Z0-9_-]*", given.get("stageName") or ""):
        raise _bad("Stage name only allows a-zA-Z0-9_")


def _update_stage(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    for patch in given.get("patchOperations") or ():
        if patch.get("path") == "/deploymentId" and patch.get("value") not in api.deployments:
            raise _bad("Deployment id does not exist")


def _create_stage(api: Any, uri: dict[str, str], given: dict[str, Any]) -> None:
    if given.get("deploymentId") not in api.deployments:
        raise _bad("Deployment id does not exist")
    if not re.fullmatch("[a-zA-Z0-9_-]+", given.get("stageName") or ""):
        raise _bad("Stage name only allows a-zA-Z0-9_")


_RULES: dict[str, Callable[[Any, dict[str, str], dict[str, Any]], None]] = {
    **dict.fromkeys(("GetMethodResponse", "DeleteMethodResponse"), _method_response),
    **dict.fromkeys(("GetIntegration", "DeleteIntegration"), _integration),
    **dict.fromkeys(("GetIntegrationResponse", "DeleteIntegrationResponse"), _integration_response),
    "DeleteMethod": lambda api, uri, given: _method(api, uri),
    "CreateDeployment": _deploy,
    "CreateModel": _create_model,
    "CreateResource": _create_resource,
    "CreateStage": _create_stage,
    "UpdateStage": _update_stage,
    "PutIntegration": _put_integration,
    "PutIntegrationResponse": _put_integration_response,
    "PutMethod": _put_method,
    "PutMethodResponse": _put_method_response,
}
