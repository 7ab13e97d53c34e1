"""One lab with the resources that the handlers expect, and plain boto3 to deploy and call them."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from helpers.localaws import server

from .cases import Invoke, Web

HANDLERS = Path(__file__).parent / "handlers"
ACCOUNT = "123456789012"
# What most people give their function's role while they try things out.
ROLE_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Everything",
            "Effect": "Allow",
            "Action": ["s3:*", "dynamodb:*", "kinesis:*", "sqs:*", "sns:*", "ssm:*", "cloudwatch:*", "lambda:*"],
            "Resource": "*",
        },
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/other-*"},
    ],
}
BASIC_EXECUTION = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
LAMBDA_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def zipped(module: str) -> bytes:
    """The zip that people make of their function: a file, or a package's folder."""
    top = module.replace("/", ".").split(".")[0]
    files = sorted((HANDLERS / top).glob("*.py")) or list(HANDLERS.glob(f"{top}.py")) or [HANDLERS / "hello_world.py"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            archive.writestr(str(file.relative_to(HANDLERS)), file.read_bytes())
    return buffer.getvalue()


def until(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """Polls until the condition holds and returns its value."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what}")


@dataclass
class World:
    """The lab's cloud as the cases see it."""

    info: server.LabInfo
    _functions: dict[str, str] = field(default_factory=dict)

    _clients: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session(self.info.access_key, self.info.secret_key, region_name="us-east-1")

    def client(self, service: str, session: boto3.Session | None = None, **options: Any) -> Any:
        if session or options:
            return (session or self.session).client(service, endpoint_url=self.info.endpoint, **options)
        if service not in self._clients:
            self._clients[service] = self.session.client(service, endpoint_url=self.info.endpoint)
        return self._clients[service]

    def call(self, name: str, arguments: Mapping[str, Any], session: boto3.Session | None = None) -> Any:
        """Calls "service.operation" with the arguments, by the lab's owner or by another session."""
        service, _, operation = name.partition(".")
        return getattr(self.client(service, session), operation)(**self.fill(arguments))

    def fill(self, value: Any) -> Any:
        """The value with the names of this world in place of "{bucket}" and the like."""
        if isinstance(value, str):
            for name, known in self.names.items():
                value = value.replace(name, known)
            return value
        if isinstance(value, Mapping):
            return {self.fill(k): self.fill(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(v) for v in value]
        return value

    @cached_property
    def names(self) -> dict[str, str]:
        iam = self.client("iam")
        mine = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
        }
        for name, trusted in (
            ("other-reader", f"arn:aws:iam::{ACCOUNT}:root"),
            ("other-closed", "arn:aws:iam::999999999999:root"),
        ):
            trust = {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}],
            }
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
            iam.put_role_policy(RoleName=name, PolicyName="mine", PolicyDocument=json.dumps(mine))
        self.client("s3").create_bucket(Bucket="strangers-data")
        dynamodb = self.client("dynamodb")
        dynamodb.create_table(
            TableName="strangers",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        dynamodb.create_table(
            TableName="strangers-events",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "kind", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-kind",
                    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        self.client("kinesis").create_stream(StreamName="strangers", ShardCount=1)
        topic = self.client("sns").create_topic(Name="strangers")["TopicArn"]
        queue = self.client("sqs").create_queue(QueueName="strangers")["QueueUrl"]
        return {
            "{bucket}": "strangers-data",
            "{table}": "strangers",
            "{events}": "strangers-events",
            "{stream}": "strangers",
            "{topic}": topic,
            "{queue}": "strangers",
            "{queue_url}": queue,
            "{role}": self.role,
            "{other_role}": f"arn:aws:iam::{ACCOUNT}:role/other-reader",
            "{closed_role}": f"arn:aws:iam::{ACCOUNT}:role/other-closed",
        }

    @cached_property
    def role(self) -> str:
        iam = self.client("iam")
        arn: str = iam.create_role(RoleName="strangers-role", AssumeRolePolicyDocument=json.dumps(LAMBDA_TRUST))[
            "Role"
        ]["Arn"]
        iam.attach_role_policy(RoleName="strangers-role", PolicyArn=BASIC_EXECUTION)
        iam.put_role_policy(RoleName="strangers-role", PolicyName="inline", PolicyDocument=json.dumps(ROLE_POLICY))
        return arn

    def function(self, handler: str, settings: Mapping[str, Any] | None = None) -> str:
        """The name of the function that runs the handler; made when it is first asked for."""
        settings = dict(settings or {})
        key = handler + json.dumps(settings, sort_keys=True)
        if key not in self._functions:
            name = handler.replace("/", "_").replace(".", "-") + ("" if not settings else f"-{len(self._functions)}")
            names = self.names
            variables = {
                "BUCKET": names["{bucket}"],
                "TABLE_NAME": names["{table}"],
                "EVENTS_TABLE": names["{events}"],
                "STREAM": names["{stream}"],
                "TOPIC_ARN": names["{topic}"],
                "QUEUE": names["{queue}"],
                **self.fill(settings.pop("environment", {})),
            }
            self.client("lambda").create_function(
                FunctionName=name,
                Handler=handler,
                Role=self.role,
                Code={"ZipFile": zipped(handler)},
                Environment={"Variables": variables},
                **{"Runtime": "python3.12", "Timeout": 30, "MemorySize": 256, **settings},
            )
            self.client("lambda").get_waiter("function_active_v2").wait(FunctionName=name)
            self._functions[key] = name
        return self._functions[key]

    def invoke(self, case: Invoke, event: Any) -> tuple[Any, str | None, str]:
        """What comes back, X-Amz-Function-Error and the log's tail."""
        answer = self.client("lambda").invoke(
            FunctionName=self.function(case.handler, case.settings),
            Payload=json.dumps(self.fill(event)),
            LogType="Tail",
        )
        payload = answer["Payload"].read()
        log = base64.b64decode(answer["LogResult"]).decode()
        try:
            return json.loads(payload), answer.get("FunctionError"), log
        except ValueError:
            return payload, answer.get("FunctionError"), log

    def deploy_api(self, cases: list[Web]) -> str:
        """One REST API, a resource for each case's path, deployed to the stage "v1"; its URL."""
        gateway = self.client("apigateway")
        api = gateway.create_rest_api(
            name="strangers", endpointConfiguration={"types": ["REGIONAL"]}, binaryMediaTypes=["image/png"]
        )["id"]
        known = {"/": gateway.get_resources(restApiId=api)["items"][0]["id"]}
        made = set[tuple[str, str]]()
        for case in cases:
            resource = case.resource or case.path.partition("?")[0]
            at = ""
            for part in resource.strip("/").split("/"):
                parent, at = at or "/", f"{at}/{part}"
                if at not in known:
                    answer = gateway.create_resource(restApiId=api, parentId=known[parent], pathPart=part)
                    known[at] = answer["id"]
            verb = "ANY" if case.integration is None else case.method
            if (resource, verb) not in made:
                made.add((resource, verb))
                self._method({"restApiId": api, "resourceId": known[resource], "httpMethod": verb}, case)
        gateway.create_deployment(restApiId=api, stageName="v1", variables={"colour": "blue"})
        for handler in {case.handler for case in cases}:
            self.client("lambda").add_permission(
                FunctionName=self.function(handler),
                StatementId="api",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api}/*/*",
            )
        return f"{self.info.endpoint}/_aws/execute-api/{api}/v1"

    def _method(self, where: dict[str, str], case: Web) -> None:
        gateway = self.client("apigateway")
        gateway.put_method(**where, authorizationType="NONE")
        function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{self.function(case.handler)}"
        gateway.put_integration(
            **where,
            type="AWS_PROXY" if case.integration is None else "AWS",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
            **(case.integration or {}),
        )
        for status, response in case.responses.items():
            gateway.put_method_response(
                **where,
                statusCode=status,
                responseParameters=dict.fromkeys(response.get("responseParameters", {}), False),
            )
            gateway.put_integration_response(**where, statusCode=status, **response)

    def map_stream(self, handler: str, stream: str, **settings: Any) -> str:
        """Lets a stream trigger the handler's function, from its first record on; the mapping's id."""
        mapping: str = self.client("lambda").create_event_source_mapping(
            EventSourceArn=f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}",
            FunctionName=self.function(handler),
            StartingPosition="TRIM_HORIZON",
            **settings,
        )["UUID"]
        return mapping

    def trigger(self, handler: str, stream: str, **settings: Any) -> str:
        """The same with a new stream of one shard."""
        self.client("kinesis").create_stream(StreamName=stream, ShardCount=1)
        return self.map_stream(handler, stream, **settings)

    def put_rows(self, stream: str, rows: list[Any]) -> None:
        records = [
            {"Data": row if isinstance(row, bytes) else json.dumps(row).encode(), "PartitionKey": str(number)}
            for number, row in enumerate(rows)
        ]
        assert self.client("kinesis").put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0

    def objects(self, prefix: str) -> dict[str, bytes]:
        bucket = self.session.resource("s3", endpoint_url=self.info.endpoint).Bucket(self.names["{bucket}"])
        return {o.key: o.get()["Body"].read() for o in bucket.objects.filter(Prefix=prefix)}

    def item(self, key: str) -> dict[str, Any]:
        found = self.client("dynamodb").get_item(TableName=self.names["{table}"], Key={"pk": {"S": key}})
        return dict(found.get("Item", {}))


@contextmanager
def world(folder: Path) -> Iterator[World]:
    info = server.start(folder, idle_exit=600)
    try:
        yield World(info)
    finally:
        server.stop(folder)
