"""Handlers behind API Gateway: Lambda proxy and non-proxy integrations of a REST API."""

from __future__ import annotations

import base64
import json
from typing import Any

from .cases import APIGATEWAY, TABLE, Web
from .match import Has, HasItem, Text

PROXY = APIGATEWAY + "set-up-lambda-proxy-integrations.html"
PROXY_INPUT = PROXY + "#api-gateway-simple-proxy-for-lambda-input-format"
PROXY_OUTPUT = PROXY + "#api-gateway-simple-proxy-for-lambda-output-format"
CUSTOM = APIGATEWAY + "set-up-lambda-custom-integrations.html"
ERRORS = APIGATEWAY + "handle-errors-in-lambda-integration.html"
MAPPING = APIGATEWAY + "api-gateway-mapping-template-reference.html"
PASSTHROUGH_BEHAVIOUR = APIGATEWAY + "integration-passthrough-behaviors.html"
BINARY = APIGATEWAY + "lambda-proxy-binary-media.html"
CORS = APIGATEWAY + "how-to-cors.html"

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
JSON = {"Content-Type": "application/json"}
BAD_GATEWAY = {"message": "Internal server error"}

# The template that the console offers as "Method request passthrough", shortened to what the handlers here read.
PASSTHROUGH = """#set($allParams = $input.params())
{
"body-json" : $input.json('$'),
"params" : {
#foreach($type in $allParams.keySet())
    #set($params = $allParams.get($type))
"$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
        #if($foreach.hasNext),#end
    #end
}
    #if($foreach.hasNext),#end
#end
},
"stage-variables" : {
#foreach($key in $stageVariables.keySet())
"$key" : "$util.escapeJavaScript($stageVariables.get($key))"
    #if($foreach.hasNext),#end
#end
},
"context" : {
    "http-method" : "$context.httpMethod",
    "stage" : "$context.stage",
    "request-id" : "$context.requestId",
    "resource-path" : "$context.resourcePath"
    }
}
"""
DEFAULT: dict[str, dict[str, Any]] = {"200": {}}
INGEST: dict[str, Any] = {
    "integration": {"requestTemplates": {"application/json": PASSTHROUGH}, "passthroughBehavior": "WHEN_NO_TEMPLATES"},
    "responses": DEFAULT,
}
FAILURES: dict[str, Any] = {
    "integration": {"requestTemplates": {"application/json": "$input.json('$')"}},
    "responses": {
        "200": {},
        "400": {
            "selectionPattern": r"\[BadRequest\].*",
            "responseTemplates": {
                "application/json": '{"error": "$input.path(\'$.errorMessage\')", "type": $input.json(\'$.errorType\')}'
            },
        },
        "404": {
            "selectionPattern": '.*"errorCode": "NotFound".*',
            "responseParameters": {"method.response.header.X-Error": "'not-found'"},
            "responseTemplates": {
                "application/json": "#set($error = $util.parseJson($input.path('$.errorMessage')))"
                '{"id": "$error.orderId", "code": "$error.errorCode"}'
            },
        },
    },
}


def crud(name: str, method: str, body: Any, status: int, answer: Any, path: str = "/crud") -> Web:
    encoded = json.dumps(body).encode() if body is not None else None
    return Web(name, "api_crud.lambda_handler", method, path, status, answer, PROXY_OUTPUT, encoded, JSON, "/crud")


def events(name: str, method: str, path: str, status: int, answer: Any, body: Any = None) -> Web:
    resource = "/customers/{customer}/events" + ("/{at}" if path.count("/") == 4 else "")
    encoded = json.dumps(body).encode() if body is not None else None
    return Web(name, "api_router.handler", method, path, status, answer, PROXY_INPUT, encoded, JSON, resource)


CASES = [
    # Proxy: the answer
    Web(
        "a greeting",
        "api_basics.hello",
        "GET",
        "/hello?name=Ann",
        200,
        "Hello, Ann!",
        PROXY_INPUT,
        answer_headers={"content-type": "text/plain"},
    ),
    Web(
        "no query string is null, not an empty dict",
        "api_basics.hello",
        "GET",
        "/hello",
        200,
        "Hello, World!",
        PROXY_INPUT,
    ),
    Web(
        "and a handler that forgot it fails", "api_basics.careless", "GET", "/careless", 502, BAD_GATEWAY, PROXY_OUTPUT
    ),
    Web("a status without a body", "api_basics.no_content", "DELETE", "/nothing", 204, "", PROXY_OUTPUT),
    Web(
        "without a type it is JSON",
        "api_basics.body_only",
        "GET",
        "/only",
        200,
        {"ok": True},
        PROXY_OUTPUT,
        answer_headers={"content-type": "application/json"},
    ),
    Web("a body that is no string", "api_basics.body_as_dict", "GET", "/dict", 502, BAD_GATEWAY, PROXY_OUTPUT),
    Web("a body that is a number", "api_basics.body_as_number", "GET", "/number", 502, BAD_GATEWAY, PROXY_OUTPUT),
    Web("an answer that is a string", "api_basics.just_a_string", "GET", "/string", 502, BAD_GATEWAY, PROXY_OUTPUT),
    Web("an answer that is a list", "api_basics.a_list", "GET", "/list", 502, BAD_GATEWAY, PROXY_OUTPUT),
    Web("an exception shows nothing of itself", "api_basics.crash", "GET", "/crash", 502, BAD_GATEWAY, PROXY_OUTPUT),
    Web(
        "cookies and other repeated headers",
        "api_basics.cookies",
        "GET",
        "/cookies",
        302,
        "",
        PROXY_OUTPUT,
        answer_headers={
            "location": "/home",
            "x-single": "one",
            "x-many": Text("a, ?b"),
            "set-cookie": Text("session=abc; HttpOnly, theme=dark"),
        },
    ),
    Web(
        "a picture as base64, to a client that accepts it",
        "api_basics.picture",
        "GET",
        "/picture",
        200,
        PNG,
        BINARY,
        headers={"Accept": "image/png"},
        answer_headers={"content-type": "image/png"},
    ),
    Web(
        "a binary body reaches the handler as base64",
        "api_basics.upload",
        "POST",
        "/upload",
        201,
        {"bytes": len(PNG), "png": True},
        BINARY,
        PNG,
        {"Content-Type": "image/png"},
    ),
    Web(
        "a text body does not",
        "api_basics.upload",
        "POST",
        "/upload",
        201,
        {"bytes": 5, "png": False},
        BINARY,
        b"caf\xc3\xa9",
        {"Content-Type": "text/plain"},
    ),
    Web(
        "a form",
        "api_basics.form",
        "POST",
        "/form",
        200,
        {"name": "Ann Li", "city": "Köln"},
        PROXY_INPUT,
        b"name=Ann+Li&city=K%C3%B6ln",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    # Proxy: the event
    Web(
        "the whole event",
        "api_basics.echo",
        "POST",
        "/shops/42/orders/a%20b?tag=x&tag=y&empty=",
        200,
        {
            "resource": "/shops/{shop}/{rest+}",
            "path": "/shops/42/orders/a%20b",
            "httpMethod": "POST",
            "queryStringParameters": {"tag": "y", "empty": ""},
            "multiValueQueryStringParameters": {"tag": ["x", "y"], "empty": [""]},
            "pathParameters": {"shop": "42", "rest": Text("orders/a(%20| )b")},
            "stageVariables": {"colour": "blue"},
            "body": '{"a": 1}',
            "isBase64Encoded": False,
            "agent": "curl/8",
            "type": "application/json",
            "stage": "v1",
            "account": "123456789012",
            "ip": "127.0.0.1",
            "request": 36,
            "method": "POST",
            "resourcePath": "/shops/{shop}/{rest+}",
        },
        PROXY_INPUT,
        b'{"a": 1}',
        {**JSON, "User-Agent": "curl/8"},
        "/shops/{shop}/{rest+}",
        {"x-count": "3", "x-flag": "true"},
    ),
    Web(
        "a GET has no body and no queries",
        "api_basics.echo",
        "GET",
        "/shops/1/x",
        200,
        Has(
            {
                "body": None,
                "isBase64Encoded": False,
                "queryStringParameters": None,
                "multiValueQueryStringParameters": None,
                "pathParameters": {"shop": "1", "rest": "x"},
            }
        ),
        PROXY_INPUT,
        resource="/shops/{shop}/{rest+}",
    ),
    # Proxy: CORS is the handler's own business
    Web(
        "a preflight that the handler answers",
        "api_cors.lambda_handler",
        "OPTIONS",
        "/cors",
        200,
        "",
        CORS,
        answer_headers={"access-control-allow-origin": "*", "access-control-allow-methods": "OPTIONS,POST,GET"},
    ),
    Web(
        "a POST from a page",
        "api_cors.lambda_handler",
        "POST",
        "/cors",
        200,
        {"total": 5},
        CORS,
        b'{"lines": [{"quantity": 2}, {"quantity": 3}]}',
        JSON,
        answer_headers={"access-control-allow-origin": "*"},
    ),
    Web("an empty body is null", "api_cors.lambda_handler", "POST", "/cors", 400, {"error": "TypeError"}, PROXY_INPUT),
    Web(
        "a body that is no JSON reaches the handler all the same",
        "api_cors.lambda_handler",
        "POST",
        "/cors",
        400,
        {"error": "JSONDecodeError"},
        PROXY_INPUT,
        b"{",
        JSON,
    ),
    # Proxy: a small service on DynamoDB
    crud(
        "a status that is a string; put",
        "POST",
        {"TableName": TABLE, "Item": {"pk": "crud", "crud_price": 2.55}},
        200,
        {},
    ),
    crud(
        "update with AttributeUpdates",
        "PUT",
        {
            "TableName": TABLE,
            "Key": {"pk": "crud"},
            "AttributeUpdates": {"sold": {"Value": 3, "Action": "ADD"}},
        },
        200,
        {},
    ),
    Web(
        "scan",
        "api_crud.lambda_handler",
        "GET",
        "/crud?TableName={table}&FilterExpression=attribute_exists(crud_price)",
        200,
        HasItem({"pk": "crud", "crud_price": 2.55, "sold": 3}),
        PROXY_OUTPUT,
        resource="/crud",
    ),
    crud("delete", "DELETE", {"TableName": TABLE, "Key": {"pk": "crud"}}, 200, {}),
    Web(
        "a verb that it does not have",
        "api_crud.lambda_handler",
        "PATCH",
        "/crud",
        400,
        'Unsupported method "PATCH"',
        PROXY_OUTPUT,
        b"{}",
        JSON,
    ),
    events(
        "path parameters and a route by resource",
        "POST",
        "/customers/17850/events",
        201,
        {"added": "login"},
        {"at": 1, "what": "login"},
    ),
    events("a second event", "POST", "/customers/17850/events", 201, {"added": "order"}, {"at": 2, "what": "order"}),
    events("the newest first", "GET", "/customers/17850/events", 200, ["order", "login"]),
    events("one of them", "GET", "/customers/17850/events/2", 200, {"pk": "17850", "sk": "2", "what": "order"}),
    events("none such", "GET", "/customers/17850/events/9", 404, {"message": "not found: 17850/9"}),
    # Non-proxy
    Web(
        "a string is a JSON string",
        "nonproxy.plain",
        "GET",
        "/np/plain",
        200,
        "Hello from Lambda!",
        CUSTOM,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "what looks like a proxy's answer is a body",
        "nonproxy.looks_like_proxy",
        "GET",
        "/np/looks",
        200,
        {"statusCode": 500, "body": '"this is no error"'},
        CUSTOM,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "a list",
        "nonproxy.numbers",
        "GET",
        "/np/numbers",
        200,
        [1, 2.5, None, True, "five"],
        CUSTOM,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "a list as body is a list as event",
        "nonproxy.sum_of_list",
        "PUT",
        "/np/list",
        200,
        {"rows": 2, "quantity": 9},
        PASSTHROUGH_BEHAVIOUR,
        b'[{"Quantity": 6}, {"Quantity": 3}]',
        JSON,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "without a body the event is an empty object",
        "nonproxy.empty_event",
        "POST",
        "/np/empty",
        200,
        {"event": {}},
        PASSTHROUGH_BEHAVIOUR,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "a template makes the event",
        "nonproxy.mapped",
        "GET",
        "/np/mapped/536365?first=85123A",
        200,
        {"order": "536365", "count": 2},
        MAPPING,
        resource="/np/mapped/{id}",
        integration={
            "requestTemplates": {
                "application/json": """{"id": "$input.params('id')",
                    "lines": ["$input.params('first')", "$context.stage"]}"""
            }
        },
        responses={
            "200": {
                "responseTemplates": {
                    "application/json": "#set($order = $input.path('$.order'))"
                    '{"order": "$order.id", "count": $order.lines.size()}'
                }
            }
        },
    ),
    Web(
        "an error is 200 without a pattern",
        "nonproxy.fails",
        "GET",
        "/np/unmapped",
        200,
        Has({"errorType": "BadRequest", "errorMessage": "[BadRequest] quantity is missing"}),
        ERRORS,
        integration={},
        responses=DEFAULT,
    ),
    Web(
        "a pattern makes it 400",
        "nonproxy.fails",
        "GET",
        "/np/fails",
        400,
        {"error": "[BadRequest] quantity is missing", "type": "BadRequest"},
        ERRORS,
        **FAILURES,
    ),
    Web(
        "an error that is JSON in a string",
        "nonproxy.fails_in_json",
        "POST",
        "/np/json",
        404,
        {"id": "536365", "code": "NotFound"},
        ERRORS,
        b'{"id": "536365"}',
        JSON,
        answer_headers={"x-error": "not-found"},
        **FAILURES,
    ),
    Web(
        "a type without a template",
        "nonproxy.empty_event",
        "POST",
        "/np/never",
        415,
        {"message": "Unsupported Media Type"},
        PASSTHROUGH_BEHAVIOUR,
        b"<a/>",
        {"Content-Type": "text/xml"},
        integration={"requestTemplates": {"application/json": "{}"}, "passthroughBehavior": "NEVER"},
        responses=DEFAULT,
    ),
    Web(
        "the passthrough template: a query and a header",
        "nonproxy_ingest.lambda_handler",
        "GET",
        "/ingest?CustomerID=17850",
        200,
        {"statusCode": 200, "body": '{"customer": "17850", "agent": "curl/8"}'},
        MAPPING,
        headers={"User-Agent": "curl/8"},
        **INGEST,
    ),
    Web(
        "the passthrough template: a row goes on to Kinesis",
        "nonproxy_ingest.lambda_handler",
        "POST",
        "/ingest",
        200,
        {"statusCode": 200, "body": '{"InvoiceNo": "536365", "Quantity": 6}', "shard": "shardId-000000000000"},
        MAPPING,
        b'{"InvoiceNo": "536365", "Quantity": 6}',
        JSON,
        **INGEST,
    ),
    Web(
        "the passthrough template: another verb",
        "nonproxy_ingest.lambda_handler",
        "DELETE",
        "/ingest",
        200,
        {"statusCode": 501, "body": '"not supported: DELETE"'},
        MAPPING,
        **INGEST,
    ),
]
