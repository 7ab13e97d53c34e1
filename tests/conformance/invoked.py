"""Handlers that are invoked by boto3 or the CLI, one after the other and on purpose."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from unittest.mock import ANY

from .cases import BUCKET, CLOSED_ROLE, LAMBDA, LAMBDA_API, OTHER_ROLE, S3, S3_API, STS_API, TABLE, Invoke
from .match import UUID, Between, Has, Text

RUNTIME_CLIENT = "https://github.com/aws/aws-lambda-python-runtime-interface-client"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


def fault(kind: str, message: str) -> Has:
    return Has({"errorType": kind, "errorMessage": Text(message)})


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LOG_EVENTS = {
    "logEvents": [{"id": "1", "timestamp": 1, "message": "first line"}, {"id": "2", "message": "zweite Zeile"}]
}
FIREHOSE = [
    {"Quantity": 6, "Country": "France"},
    {"Quantity": -1, "Country": "Spain"},
    "not json",
]


def _sqs(identifier: str, body: Any) -> dict[str, Any]:
    return {
        "messageId": identifier,
        "receiptHandle": "AQEB",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
        "awsRegion": "us-east-1",
    }


def _s3(key: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "us-east-1",
                "eventTime": "2010-12-01T08:26:00.000Z",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 20}},
            }
        ]
    }


HANDLER, CONTEXT, LOGGING = (
    LAMBDA + "python-handler.html",
    LAMBDA + "python-context.html",
    LAMBDA + "python-logging.html",
)
EXCEPTIONS = LAMBDA + "python-exceptions.html"
ENVIRONMENT = LAMBDA + "lambda-runtime-environment.html"
VARIABLES = LAMBDA + "configuration-envvars.html#configuration-envvars-runtime"

CASES = [
    # What a handler is and what it returns
    Invoke(
        "a value of the event comes back as JSON",
        "hello_world.lambda_handler",
        {"customer": "17850", "country": "France"},
        "17850",
        HANDLER,
        log=(
            r"START RequestId: \S+ Version: \$LATEST\n",
            "\ncustomer = 17850\ncountry = France\n",
            "END RequestId",
            "Billed",
        ),
    ),
    Invoke("a string", "hello_world.greeting", {}, "Hello from Lambda!", HANDLER),
    Invoke("no return is null", "hello_world.nothing", {}, None, HANDLER),
    Invoke(
        "a dict for API Gateway is nothing special to Lambda",
        "hello_world.api_style",
        {},
        {"statusCode": 200, "body": '"Hello from Lambda!"'},
        HANDLER,
    ),
    Invoke("an event may be a list", "shapes.varargs", [1, 2], [2, []], HANDLER),
    Invoke(
        "a handler in a package, with a slash",
        "orders_pkg/api.handler",
        {"lines": [{"code": "85123A", "quantity": 6}]},
        {"total": "15.30", "known": 1, "module": "orders_pkg.api"},
        HANDLER + "#naming",
    ),
    Invoke(
        "a handler in a package, with a dot",
        "orders_pkg.api.handler",
        {"lines": []},
        {"total": "0", "known": 1, "module": "orders_pkg.api"},
        HANDLER + "#naming",
    ),
    Invoke(
        "an object with __call__ keeps its state",
        "shapes.instance",
        {"amount": 5},
        "5 GBP (1)",
        ENVIRONMENT,
        again=(({"amount": 7}, "7 GBP (2)"),),
    ),
    Invoke("a bound method", "shapes.bound", {"amount": 5}, "5 EUR (1)", HANDLER),
    Invoke("a static method", "shapes.static", {}, "static", HANDLER),
    Invoke("a lambda that was given a name", "shapes.arrow", {"amount": 21}, 42, HANDLER),
    Invoke("functools.partial", "shapes.partial", {"amount": 3}, "GBP 3", HANDLER),
    Invoke(
        "a decorator",
        "shapes.decorated",
        {"amount": 1},
        2,
        HANDLER,
        log=("calling decorated\ncalled decorated\n",),
    ),
    Invoke("asyncio.run within a handler", "shapes.run_async", {"numbers": [1, 2, 3]}, [1, 4, 9], HANDLER),
    Invoke(
        "a generator cannot be marshalled",
        "shapes.generator",
        {},
        fault("Runtime.MarshalError", "Unable to marshal response: .*generator is not JSON serializable"),
        HANDLER + "#python-handler-return",
        error="Unhandled",
    ),
    Invoke(
        "nobody awaits an async handler",
        "shapes.coroutine",
        {},
        fault("Runtime.MarshalError", "Unable to marshal response: .*coroutine is not JSON serializable"),
        HANDLER + "#python-handler-return",
        error="Unhandled",
    ),
    Invoke(
        "a handler that takes no arguments",
        "shapes.no_arguments",
        {},
        fault("TypeError", r"no_arguments\(\) takes 0 positional arguments but 2 were given"),
        HANDLER,
        error="Unhandled",
    ),
    Invoke(
        "a datetime cannot be marshalled",
        "returns.a_datetime",
        {},
        fault("Runtime.MarshalError", "Unable to marshal response: .*datetime is not JSON serializable"),
        HANDLER + "#python-handler-return",
        error="Unhandled",
        log=(r"\[ERROR\] Runtime.MarshalError: Unable to marshal response",),
    ),
    Invoke(
        "a set cannot be marshalled",
        "returns.a_set",
        {},
        fault("Runtime.MarshalError", "Unable to marshal response: .*set is not JSON serializable"),
        HANDLER + "#python-handler-return",
        error="Unhandled",
    ),
    Invoke(
        "the context cannot be marshalled",
        "returns.an_object",
        {},
        fault("Runtime.MarshalError", "Unable to marshal response: .*LambdaContext is not JSON serializable"),
        HANDLER + "#python-handler-return",
        error="Unhandled",
    ),
    Invoke(
        "Decimals become numbers",
        "returns.a_decimal",
        {},
        {"price": 2.55, "total": 15.3},
        RUNTIME_CLIENT + "/blob/main/awslambdaric/lambda_runtime_marshaller.py",
    ),
    Invoke(
        "bytes are the payload as they are",
        "returns.some_bytes",
        {},
        {"raw": True},
        RUNTIME_CLIENT + "/blob/main/awslambdaric/bootstrap.py",
    ),
    Invoke(
        "bytes inside a result are text",
        "returns.bytes_inside",
        {},
        {"body": "café"},
        RUNTIME_CLIENT + "/blob/main/awslambdaric/lambda_runtime_marshaller.py",
    ),
    Invoke("a tuple is a list", "returns.a_tuple", {}, [1, "two", None], HANDLER + "#python-handler-return"),
    Invoke(
        "keys become strings",
        "returns.number_keys",
        {},
        {"1": "one", "null": "none"},
        HANDLER + "#python-handler-return",
    ),
    Invoke(
        "an answer that is too large",
        "returns.big",
        {"size": 6_291_557},
        fault(
            "Function.ResponseSizeTooLarge",
            r"Response payload size (\(\d+ bytes\) )?exceeded maximum allowed payload size \(6291556 bytes\)\.",
        ),
        LAMBDA + "gettingstarted-limits.html#function-configuration-deployment-and-execution",
        error="Unhandled",
    ),
    Invoke(
        "an answer that just fits",
        "returns.big",
        {"size": 6_291_000},
        "x" * 6_291_000,
        LAMBDA + "gettingstarted-limits.html#function-configuration-deployment-and-execution",
    ),
    # Errors and ends
    Invoke(
        "an exception of the handler's own",
        "raises.handler",
        {"id": "536365", "quantity": 0},
        {
            "errorType": "OrderRejected",
            "errorMessage": "Order 536365 rejected: quantity must be positive",
            "requestId": UUID,
            "stackTrace": [
                Text(r'  File "/var/task/raises.py", line \d+, in handler\n    validate\(event\)\n'),
                Text(r'  File "/var/task/raises.py", line \d+, in validate\n    raise OrderRejected\(.*'),
            ],
        },
        EXCEPTIONS,
        error="Unhandled",
        log=(r"\[ERROR\] OrderRejected: Order 536365 rejected: quantity must be positive\r?\n?Traceback",),
    ),
    Invoke(
        "a missing key",
        "raises.handler",
        {"quantity": 0},
        fault("KeyError", "'id'"),
        EXCEPTIONS,
        error="Unhandled",
        again=(({"id": 1, "quantity": 1}, {"accepted": 1}),),
    ),
    Invoke(
        "sys.exit ends the runtime",
        "exits.handler",
        {"code": 1},
        fault("Runtime.ExitError", r"RequestId: \S+ Error: Runtime exited with error: exit status 1"),
        LAMBDA + "lambda-runtime-environment.html#runtimes-lifecycle-invoke-with-errors",
        error="Unhandled",
        log=("nothing to do",),
    ),
    Invoke(
        "sys.exit without a status",
        "exits.handler",
        {},
        fault("Runtime.ExitError", r"RequestId: \S+ Error: Runtime exited without providing a reason"),
        LAMBDA + "troubleshooting-invocation.html",
        error="Unhandled",
    ),
    Invoke(
        "os._exit",
        "exits.at_once",
        {},
        fault("Runtime.ExitError", r"RequestId: \S+ Error: Runtime exited with error: exit status 3"),
        LAMBDA + "lambda-runtime-environment.html#runtimes-lifecycle-invoke-with-errors",
        error="Unhandled",
    ),
    Invoke(
        "a library that is not in the zip",
        "missing_module.handler",
        {"rows": []},
        fault("Runtime.ImportModuleError", "Unable to import module 'missing_module': No module named 'pandas'"),
        LAMBDA + "python-package.html",
        error="Unhandled",
    ),
    Invoke(
        "a handler that is not in the module",
        "hello_world.handler",
        {},
        fault("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'hello_world'"),
        LAMBDA + "troubleshooting-invocation.html",
        error="Unhandled",
    ),
    Invoke(
        "a module that is not in the zip",
        "lambda_function.lambda_handler",
        {},
        fault(
            "Runtime.ImportModuleError", "Unable to import module 'lambda_function': No module named 'lambda_function'"
        ),
        LAMBDA + "troubleshooting-invocation.html",
        error="Unhandled",
    ),
    Invoke(
        "a timeout",
        "deadline.too_slow",
        {},
        fault("Sandbox.Timedout", r"RequestId: \S+ Error: Task timed out after 1\.00 seconds"),
        LAMBDA + "configuration-timeout.html",
        error="Unhandled",
        log=("starting",),
        settings={"Timeout": 1},
    ),
    Invoke(
        "a handler that watches the clock",
        "deadline.handler",
        {"items": list(range(30))},
        {"done": Between(1, 14), "next": Between(1, 14)},
        CONTEXT,
        settings={"Timeout": 2},
    ),
    # What the environment holds
    Invoke(
        "a warm environment keeps globals, caches and default arguments",
        "counter.handler",
        {"id": "a"},
        {"count": 1, "seen": ["a"], "warm": False, "container": UUID},
        ENVIRONMENT + "#runtimes-lifecycle-ib",
        again=(
            ({"id": "b"}, Has({"count": 2, "seen": ["a", "b"], "warm": True})),
            ({"id": "c"}, Has({"count": 3, "seen": ["a", "b", "c"], "warm": True})),
        ),
    ),
    Invoke(
        "files in the temporary folder outlive the call",
        "tmp_cache.handler",
        {},
        Has({"cached": False}),
        ENVIRONMENT + "#runtimes-lifecycle-ib",
        again=(({}, Has({"cached": True})),),
    ),
    Invoke("/tmp can be written", "tmp_cache.fixed_path", {}, 2, LAMBDA + "configuration-ephemeral-storage.html"),
    Invoke(
        "environment variables, given and defined",
        "env_config.handler",
        {},
        {
            "stage": "prod",
            "table": TABLE,
            "region": "us-east-1",
            "function": Text("env_config-handler-.*"),
            "memory": 512,
            "root": True,
            "key": "ASIA",
            "token": True,
        },
        VARIABLES,
        settings={"MemorySize": 512, "environment": {"STAGE": "prod"}},
    ),
    Invoke(
        "the context",
        "context_info.lambda_handler",
        {},
        {
            "name": "context_info-lambda_handler",
            "version": "$LATEST",
            "arn": ARN + "context_info-lambda_handler",
            "memory": "256",
            "request": UUID,
            "group": "/aws/lambda/context_info-lambda_handler",
            "stream": Text(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}"),
            "left": Between(25_000, 30_000),
            "cognito": None,
            "custom": None,
        },
        CONTEXT,
    ),
    # Logs
    Invoke(
        "the root logger at INFO",
        "root_logger.lambda_handler",
        {"stock": 0},
        20,
        LOGGING,
        log=(
            r"\[INFO\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t[0-9a-f-]{36}\t## EVENT\r?\n?\{",
            r"\[WARNING\]\t\S+\t[0-9a-f-]{36}\tstock is 0",
            r"\[ERROR\]\t\S+\t[0-9a-f-]{36}\tdivision failed\r?\n?Traceback \(most recent call last\):",
            r"ZeroDivisionError: division by zero",
            r"\[ERROR\]\t\S+\t[0-9a-f-]{36}\tgiving up",
            r"(?s)\A(?!.*not shown)",
        ),
    ),
    Invoke(
        "basicConfig has no effect",
        "basic_config.handler",
        {},
        None,
        LOGGING,
        log=(r"\[WARNING\]\t\S+\t[0-9a-f-]{36}\tan order is late", r"(?s)\A(?!.*came in)"),
    ),
    Invoke("basicConfig with force", "basic_config.forced", {}, None, LOGGING, log=("\nINFO:an order came in\n",)),
    Invoke(
        "text of all the world in prints and results",
        "unicode_print.handler",
        {"country": "Österreich"},
        {"message": "¡Olé! 你好 ☕"},
        LOGGING,
        log=("Prix: 12 €, 数量: 3, ☕\n", r'\{"country": "\\u00d6sterreich"\}\n', "first\nsecond\n", "to stderr\n"),
    ),
    # Events of other services, as their pages show them
    Invoke(
        "CloudWatch Logs: base64 around gzip",
        "cloudwatch_logs_decoder.lambda_handler",
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(LOG_EVENTS).encode())).decode()}},
        ["FIRST LINE", "ZWEITE ZEILE"],
        LAMBDA + "services-cloudwatchlogs.html",
    ),
    Invoke(
        "Firehose: base64 both ways",
        "firehose_transform.lambda_handler",
        {
            "invocationId": "i",
            "deliveryStreamArn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/x",
            "records": [
                {"recordId": str(i), "data": b64(r if isinstance(r, str) else json.dumps(r))}
                for i, r in enumerate(FIREHOSE)
            ],
        },
        {
            "records": [
                {"recordId": "0", "result": "Ok", "data": b64('{"Quantity": 6, "Country": "FRANCE"}\n')},
                {"recordId": "1", "result": "Dropped", "data": ANY},
                {"recordId": "2", "result": "ProcessingFailed", "data": b64("not json")},
            ]
        },
        "https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html",
        log=("Successfully processed 3 records.",),
    ),
    Invoke(
        "SQS: which messages failed",
        "sqs_batch.lambda_handler",
        {"Records": [_sqs("a", {"quantity": 1}), _sqs("b", {"quantity": 0}), _sqs("c", "not json")]},
        {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]},
        LAMBDA + "services-sqs-errorhandling.html",
        log=(r"b: ValueError\('nothing ordered'\)",),
    ),
    Invoke(
        "EventBridge: a schedule",
        "scheduled.handler",
        {
            "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "123456789012",
            "time": "2015-10-08T16:53:06Z",
            "region": "us-east-1",
            "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"],
            "detail": {},
        },
        {"rule": "nightly", "prefix": "raw/2015/10/07/"},
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html",
    ),
    Invoke(
        "S3: an object was created",
        "s3_object_created.lambda_handler",
        _s3("in/new+orders%2B1.csv"),
        {"type": "text/csv", "rows": 2, "first": {"id": "1", "country": "Österreich"}},
        LAMBDA + "with-s3.html",
    ),
    Invoke(
        "S3: an object that is not there",
        "s3_object_created.lambda_handler",
        _s3("in/gone.csv"),
        fault(
            "NoSuchKey",
            r"An error occurred \(NoSuchKey\) when calling the GetObject operation: The specified key does not exist\.",
        ),
        S3_API + "API_GetObject.html",
        error="Unhandled",
        log=("Error getting object in/gone.csv from bucket strangers-data",),
    ),
    # Files
    Invoke(
        "S3: written by client, resource, copy and upload_file",
        "s3_files.write_csv",
        {"prefix": "files/", "rows": [["1", "2.55"], ["2", "3.39"]]},
        {"before": False, "after": True, "metadata": {"rows": "2"}},
        S3_API + "API_HeadObject.html",
        again=(({"prefix": "files/", "rows": []}, {"before": True, "after": True, "metadata": {"rows": "0"}}),),
    ),
    Invoke(
        "S3: listed in order and read back",
        "s3_files.read_back",
        {"prefix": "files/"},
        {
            "keys": ["copy.csv", "rows.csv", "rows.csv.gz", "uploaded.txt"],
            "lines": ["id,price"],
        },
        S3 + "ListingKeysUsingAPIs.html",
    ),
    Invoke(
        "S3: pages, folders, delete_objects",
        "s3_files.pages",
        {"prefix": "paged/", "count": 10},
        {"sizes": [4, 4, 2], "folders": ["paged/0/", "paged/1/", "paged/2/"], "deleted": 10},
        S3_API + "API_ListObjectsV2.html",
    ),
    Invoke(
        "S3: NoSuchKey is an exception of its own",
        "s3_files.missing",
        {},
        ["NoSuchKey", 404],
        S3_API + "API_GetObject.html",
    ),
    Invoke(
        "S3: If-None-Match as a lock",
        "s3_files.first_writer_wins",
        {"key": "lock"},
        ["written", "PreconditionFailed", "first"],
        S3 + "conditional-writes.html",
    ),
    Invoke(
        "threads share a client",
        "threads.lambda_handler",
        {"prefix": "threads/", "count": 20},
        {"uploaded": 20, "listed": 20},
        "https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html",
    ),
    # Who a function is
    Invoke(
        "the caller is a session of the role, named as the function",
        "whoami.lambda_handler",
        {},
        {
            "Account": "123456789012",
            "Arn": "arn:aws:sts::123456789012:assumed-role/strangers-role/whoami-lambda_handler",
            "UserId": Text("AROA[A-Z0-9]{12,}:whoami-lambda_handler"),
        },
        STS_API + "API_GetCallerIdentity.html",
    ),
    Invoke(
        "another role is assumed, with that role's permissions",
        "whoami.assume",
        {"role": OTHER_ROLE},
        {
            "arn": "arn:aws:sts::123456789012:assumed-role/other-reader/cross-account",
            "put": "AccessDenied",
            "message": "User: arn:aws:sts::123456789012:assumed-role/other-reader/cross-account is not authorized to "
            'perform: s3:PutObject on resource: "arn:aws:s3:::strangers-data/assumed.txt" because no identity-based '
            "policy allows the s3:PutObject action",
            "buckets": True,
        },
        STS_API + "API_AssumeRole.html",
    ),
    Invoke(
        "a role that does not trust this account",
        "whoami.assume",
        {"role": CLOSED_ROLE},
        fault(
            "ClientError",
            r"An error occurred \(AccessDenied\) when calling the AssumeRole operation: User: "
            r"arn:aws:sts::123456789012:assumed-role/strangers-role/whoami-assume is not authorized to perform: "
            r"sts:AssumeRole on resource: arn:aws:iam::123456789012:role/other-closed",
        ),
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html",
        error="Unhandled",
    ),
    # Parameters, metrics, messages, other functions: what they leave behind is looked at in test_conformance.py
    Invoke(
        "SSM: a tree of parameters, kept for the next call",
        "ssm_config.handler",
        {"path": "/shop"},
        {"db/host": "db.local", "db/password": "s3cret", "name": "shop", "regions": "eu,us"},
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html",
        again=(({"path": "/other"}, Has({"name": "shop"})),),
    ),
    Invoke(
        "SSM: a secret, and a parameter that is not there",
        "ssm_config.by_name",
        {"name": "/shop/db/password"},
        "s3cret",
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html",
        again=(({"name": "/shop/none"}, "no such parameter"),),
    ),
    Invoke(
        "SSM: several at once",
        "ssm_config.several",
        {"names": ["/shop/name", "/shop/none"]},
        {"found": ["/shop/name"], "invalid": ["/shop/none"]},
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html",
    ),
    Invoke(
        "a function calls a function",
        "invoke_other.lambda_handler",
        {"id": 1, "quantity": 1},
        {"status": 200, "version": "$LATEST", "result": {"accepted": 1}},
        LAMBDA_API + "API_Invoke.html",
        again=(({"id": 2, "quantity": 0}, Has({"status": 200, "failed": "OrderRejected"})),),
        settings={"environment": {"TARGET": "raises-handler"}},
    ),
    Invoke(
        "SQS: the MD5 of a message, and a batch",
        "notify.to_queue",
        {"id": 1},
        {"md5": "f3e56c602771e9541aef61d502562b89", "sent": ["0", "1", "2"]},
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html",
    ),
    # Writing to Kinesis
    Invoke(
        "Kinesis: record by record",
        "kinesis_producer.one_by_one",
        {"rows": [{"id": "a"}, {"id": "b"}]},
        ["shardId-000000000000", "shardId-000000000000"],
        "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html",
    ),
    Invoke(
        "Kinesis: in one go, encoded twice",
        "kinesis_producer.in_one_go",
        {"rows": [{"id": "a"}]},
        [["SequenceNumber", "ShardId"]],
        "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html",
    ),
]
