"""The rooms wired together: one request in, one response out.

Kinesis, the stage URLs and Lambda invocations are answered on the loop; everything that moto serves goes to one thread
of its own, in the order in which it came. Nothing that waits for a Lambda runs on that thread.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import time
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from . import api_export, auth, code_links, constraints, embedded_metrics, firehose, permissions, protocols, website
from .actions import needed
from .code_links import CodeLinks
from .event_sources import EventSources, Needs
from .gateway import Gateway
from .kinesis import Kinesis
from .lambda_runtime import LambdaRuntime
from .moto_seams import alarms, apis, app, identities, lambdas, objects, queues, stores
from .msk import Msk
from .protocols import Call
from .scheduler import Scheduler
from .types import ACCOUNT_ID, ApiSnapshot, AwsError, Function, Invocation, Prompt, Request, Response, Stage
from .warehouse.api import Warehouse
from .warehouse.sqltypes import SqlError

EXECUTE_API = "/_aws/execute-api/"  # no bucket can be called so: names have no underscore
HEALTH = "/_aws/health"
CLOCK = "/_aws/clock"  # the rules' clock; a signed GET says what it shows, a signed POST {"seconds": n} moves it
_READ_ONLY = ("Get", "List", "Describe", "Head", "Simulate")
# Calls that moto would only store, or answer in a way that AWS does not.
REFUSED = {
    "lambda": {
        "CreateFunctionUrlConfig", "PublishLayerVersion", "InvokeAsync", "InvokeWithResponseStream",
        "CreateCodeSigningConfig", "PutProvisionedConcurrencyConfig",
    },
    "apigateway": {
        "CreateAuthorizer", "CreateVpcLink", "CreateDomainName", "TestInvokeMethod", "TestInvokeAuthorizer",
        "ImportRestApi", "PutRestApi",  # moto would leave a definition's API keys, models and validators out
    },
    "dynamodb": {
        "CreateGlobalTable", "ExportTableToPointInTime", "EnableKinesisStreamingDestination", "ExecuteStatement",
        "BatchExecuteStatement", "ExecuteTransaction", "PutResourcePolicy",
        "RestoreTableToPointInTime",  # moto would copy the table as it is now
    },
    "s3": {"PutBucketCors"},
    "sns": {"CreatePlatformApplication"},
    "monitoring": {"PutCompositeAlarm", "PutAnomalyDetector", "PutInsightRule", "PutMetricStream"},
    "logs": {"PutSubscriptionFilter", "PutMetricFilter", "CreateDelivery", "StartLiveTail", "StartQuery"},
    "iam": {"PutRolePermissionsBoundary", "PutUserPermissionsBoundary"},
    "sts": {
        "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetFederationToken", "GetSessionToken",
    },
}  # fmt: skip
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html: what may be created, and what no longer may.
RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
# How a function's role hands over an event, or what became of it.
_WRITES = {"sqs": "SendMessage", "sns": "Publish", "s3": "PutObject", "lambda": "InvokeFunction"}
# What, besides IAM's own calls, changes who may do what.
_POLICY_CHANGES = (
    "PutBucketPolicy", "DeleteBucketPolicy", "DeleteBucket", "AddPermission", "RemovePermission", "DeleteFunction",
    "CreateQueue", "SetQueueAttributes", "DeleteQueue", "CreateTopic", "SetTopicAttributes", "DeleteTopic",
)  # fmt: skip
_LOG = logging.getLogger("localaws")
T = TypeVar("T")
# Answers a service's calls, once they are verified and allowed: (call, parameters, request, who signed it).
Room = Callable[[Call, dict[str, Any], Request, auth.Signed], "Response | Awaitable[Response]"]


class Cloud:
    """All of the local AWS, for one lab process."""

    def __init__(self, folder: Path, port: int, access_key: str, secret_key: str) -> None:
        self.port = port
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._code_links = CodeLinks()
        self.keys = auth.Keys(identities.find)
        self.keys.issue_root(access_key, secret_key)
        self.policies = permissions.Policies(identities.policies, self._resource_policy)
        self.last_used = time.monotonic()
        objects.DISK.folder = folder
        self._moto_thread = ThreadPoolExecutor(1, thread_name_prefix="moto")
        self._loading = self._moto_thread.submit(app.load)
        self._loop = asyncio.get_running_loop()
        self.kinesis = Kinesis(lambda *a: self._in_background(stores.mirror_stream, *a))
        self.runtime = LambdaRuntime(
            folder=folder / "lambda",
            endpoint=f"http://127.0.0.1:{port}",
            credentials=self.keys.issue_for_role,
            write_logs=self._write_logs,
        )
        invoke = partial(self.runtime.invoke, trusted=True)  # the events that are made here are JSON
        self.msk = Msk(folder)
        needs = Needs(
            self.kinesis,
            self._function,
            invoke,
            self._role_allowed,
            self._deliver,
            on_moto=self.on_moto,
            cluster=self.msk.clusters.get,
        )
        self.sources = EventSources(needs)
        self.gateway = Gateway(self._stage, self._invoke_for_gateway, self._authorize_api, log=_LOG.info)
        self.firehose = firehose.Firehose(
            firehose.Needs(
                self.kinesis,
                lambda role, arn: self.on_moto(identities.trusts, role, "firehose.amazonaws.com", arn),
                self._role_allowed,
                partial(self.on_moto, stores.put_object),
                self._copy_for_firehose,
                self._log_for_firehose,
            )
        )
        self.warehouse = Warehouse(
            folder / "warehouse",
            f"http://127.0.0.1:{port}",
            self.keys.issue_for_role,
            self.policies.require,
            self._trusts_redshift,
        )
        self.scheduler = Scheduler(self._to_target, self._to_dead_letters)
        # Services that are answered neither by moto nor above, by signing name.
        self.rooms: dict[str, Room] = {
            "events": lambda call, params, _, who: _json(self.scheduler.call(call.operation, params, who.region)),
            "firehose": self._firehose,
            "kafka": self.msk.call,
            "redshift": lambda call, params, _, who: self.warehouse.redshift(call.operation, params, who),
            "redshift-data": lambda call, params, _, who: self.warehouse.redshift_data(call.operation, params, who),
        }
        self._deployments: dict[str, dict[str, ApiSnapshot]] = {}
        self._functions: dict[tuple[str, str | None, str], Function] = {}
        self._permissions: dict[tuple[str, str], bool] = {}
        self._stages: dict[tuple[str, str], Stage | None] = {}
        self._log_owners: dict[str, tuple[str, str]] = {}  # by log group: the function's region and role
        self._upkeep = asyncio.ensure_future(self._keep_up())

    # The way in

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        host = request.headers.get("host", "")
        bucket = host.removesuffix(f".localhost:{self.port}")
        if (
            host not in self.hosts and bucket == host
        ):  # a page that found this port through a name of its own (DNS rebinding)
            return Response(
                421,
                b'{"message": "This host name is not served here."}',
                {"Content-Type": "application/json"},
            )
        origin = request.headers.get("origin")
        if origin and not _is_loopback(origin):
            return Response(
                403,
                b'{"message": "Pages from elsewhere are not served."}',
                {"Content-Type": "application/json"},
            )
        if bucket != host:  # nothing but the website is served under its name
            self.last_used = time.monotonic()
            return self.on_moto(website.serve, bucket, request, stores.site, self._object)
        if request.path == HEALTH:
            return Response(200, b"{}", {"Content-Type": "application/json"})
        self.last_used = time.monotonic()
        if request.path.startswith(EXECUTE_API):
            api_id, _, rest = request.path[len(EXECUTE_API) :].partition("/")
            stage, slash, path = rest.partition("/")
            return Prompt(self.gateway.handle(request, api_id, stage, slash + path))
        if request.path.startswith(code_links.PATH):
            return self._guarded(self._code(request), "s3")
        protocol = protocols.hint(request)
        try:
            signed = auth.verify(request, self.keys)
            if request.path == CLOCK:
                protocol = "json"
                return self._guarded(self._clock(request, signed), protocol)
            call = protocols.identify(signed.service, request)
            protocol = call.protocol
            answer = self._dispatch(call, request, signed)
        except AwsError as error:
            return protocols.error_response(error, protocol)
        if isinstance(answer, Response):
            return _with_id(answer)
        guarded = self._guarded(answer, protocol)
        return Prompt(guarded) if isinstance(answer, Prompt) else guarded

    @staticmethod
    async def _guarded(answer: Awaitable[Response], protocol: str) -> Response:
        try:
            return _with_id(await answer)
        except AwsError as error:
            return protocols.error_response(error, protocol)
        except Exception as error:
            _LOG.exception("the lab failed")
            failure = AwsError("InternalFailure", f"The local AWS failed: {type(error).__name__}: {error}", 500)
            return protocols.error_response(failure, protocol)

    def _dispatch(self, call: Call, request: Request, signed: auth.Signed) -> Response | Awaitable[Response]:
        if call.operation in REFUSED.get(call.service, ()):
            raise AwsError("UnknownOperationException", f"The local AWS does not have {call.service}:{call.operation}.")
        params = protocols.parameters(call, request)
        region = signed.region
        if call.operation == "AssumeRole" and not re.fullmatch(
            "arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", params.get("RoleArn", "")
        ):
            # before anything else: localstack/localstack tests/aws/services/sts/test_sts.snapshot.json, recorded on AWS
            raise AwsError("ValidationError", f"{params.get('RoleArn')} is invalid")
        if not signed.principal.is_root or call.operation == "AssumeRole":
            stream_arn = self._stream_of_iterator(params) if call.operation == "GetRecords" else None
            for action, resource, context in needed(call, params, request, region, stream_arn):
                self.policies.require(signed.principal, action, resource, {"aws:requestedregion": region, **context})
        if call.service == "kinesis":
            return _json(self.kinesis.call(call.operation, params, region))
        if call.service == "lambda":
            if call.operation == "Invoke":
                return Prompt(self._invoke(call, request, signed))
            if "EventSourceMapping" in call.operation:
                return self._event_sources(call, params, request, region)
        if call.operation == "GetExport":
            return self._export(call, request)
        if call.service == "sts" and call.operation == "GetCallerIdentity":
            return _caller_identity(signed)
        if room := self.rooms.get(call.service):
            return room(call, params, request, signed)
        return self._moto(call, params, request, signed)

    # moto

    async def on_moto(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a seam's function on the moto thread."""
        return await self._loop.run_in_executor(self._moto_thread, function, *args)

    def _in_background(self, function: Callable[..., Any], *args: Any) -> None:
        self._moto_thread.submit(function, *args)

    async def _moto(self, call: Call, params: dict[str, Any], request: Request, signed: auth.Signed) -> Response:
        changes, region = not call.operation.startswith(_READ_ONLY), signed.region
        if call.operation == "PutBucketPolicy":
            permissions.check_bucket_policy(request.body, call.uri["Bucket"], identities.exists)
            await self._refuse_public(call, request, signed)
        if call.operation == "PutBucketNotificationConfiguration":
            await self._check_destinations(call, request)
        if call.service == "lambda" and call.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
            await self._check_function(call, params, region)
        if call.operation in ("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"):
            await self._check_event_config(call.uri["FunctionName"], params.get("DestinationConfig") or {}, region)
        if call.service == "logs":
            self.runtime.flush()
        if call.operation == "ReceiveMessage":
            return await self._receive(call, params, request, signed)
        response = await self.on_moto(lambda: self._loading.result()(call, params, request, signed))
        if changes and response.status < 300:
            await self._changed(call, response, region)
        if call.operation == "GetFunction" and response.status == 200:
            found = orjson.loads(response.body)
            made = found["Configuration"]
            host = f"127.0.0.1:{self.port}"
            found["Code"]["Location"] = self._code_links.sign(host, made["FunctionArn"], made["CodeSha256"])
            response.body = orjson.dumps(found)
        return response

    async def _receive(self, call: Call, params: dict[str, Any], request: Request, signed: auth.Signed) -> Response:
        """Long polling, on the loop: moto would wait on its one thread, and everybody with it.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
        """
        seconds = params.get("WaitTimeSeconds")
        if seconds is None:
            url = str(params.get("QueueUrl"))
            seconds = await self.on_moto(queues.wait_seconds, url.rpartition("/")[2], signed.region)
        elif not 0 <= float(seconds) <= 20:
            reason = "Reason: Must be >= 0 and <= 20, if provided."
            text = f"Value {seconds} for parameter WaitTimeSeconds is invalid. {reason}"
            raise AwsError("InvalidParameterValue", text)
        until = time.monotonic() + float(seconds or 0)
        if call.protocol == "json":
            params = params | {"WaitTimeSeconds": 0}
            request = replace(request, body=orjson.dumps(params))
        else:
            call = replace(call, uri=call.uri | {"WaitTimeSeconds": "0"})
        while True:
            response = await self.on_moto(lambda: self._loading.result()(call, params, request, signed))
            if response.status >= 300 or b"ReceiptHandle" in response.body or time.monotonic() >= until:
                return response
            await asyncio.sleep(min(0.1, max(0.0, until - time.monotonic())))

    async def _check_destinations(self, call: Call, request: Request) -> None:
        """Queues and topics must be there, and let the bucket in, before S3 takes them for its events.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
        """
        for found in re.findall(rb"<(?:Queue|Topic)>\s*([^<\s]+)\s*</", request.body):
            arn, policy = found.decode(), None
            action = "sqs:SendMessage" if arn.startswith("arn:aws:sqs:") else "sns:Publish"
            with contextlib.suppress(AwsError, LookupError):
                policy = await self.on_moto(stores.policy, arn)
            bucket = f"arn:aws:s3:::{call.uri['Bucket']}"
            if not permissions.service_allowed(policy, "s3.amazonaws.com", action, arn, bucket):
                text = "Unable to validate the following destination configurations"
                raise AwsError("InvalidArgument", text, ArgumentName=arn)

    async def _check_function(self, call: Call, params: dict[str, Any], region: str) -> None:
        runtime, role = params.get("Runtime"), params.get("Role")
        for name_of, given in (("layers", "Layers"), ("file systems", "FileSystemConfigs"), ("images", "ImageConfig")):
            if params.get(given):
                text = f"The local AWS runs functions from a zip: it has no {name_of}."
                raise AwsError("InvalidParameterValueException", text)
        if params.get("PackageType") == "Image" or params.get("VpcConfig", {}).get("SubnetIds"):
            text = "The local AWS runs functions from a zip, outside of any VPC."
            raise AwsError("InvalidParameterValueException", text)
        if runtime is not None and runtime not in RUNTIMES:
            text = (
                f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda "
                "functions. We recommend you use a newer runtime "
                f"({RUNTIMES[-2]}) while creating or updating functions."
            )
            if runtime not in protocols.model("lambda")["shapes"]["Runtime"]["enum"]:
                text = f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
                text += f"set: [{', '.join(RUNTIMES)}] or be a valid ARN"
            elif not runtime.startswith("python"):
                text = f"The local AWS runs Python only: {', '.join(RUNTIMES)}, not {runtime}."
            raise AwsError("InvalidParameterValueException", text)
        constraints.check("lambda", call.operation, params)
        _, name, _ = lambdas.split(call.uri.get("FunctionName") or params["FunctionName"], region)
        arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}"
        if role is not None and not await self.on_moto(identities.trusts, role, "lambda.amazonaws.com", arn):
            raise AwsError(
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
            )
        if target := (params.get("DeadLetterConfig") or {}).get("TargetArn"):
            role = role or (await self._function(name, None, region)).role
            self._check_target(role, target, "The provided", "{service}")

    async def _check_event_config(self, name: str, destinations: dict[str, Any], region: str) -> None:
        """https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html"""
        try:
            function = await self._function(name, None, region)
        except AwsError:
            return  # the seam says what is wrong, after the call's other faults
        for given in destinations.values():
            target = (given or {}).get("Destination")
            await self._check_destination(target, region)
            if target == ":".join(function.arn.split(":")[:7]):
                text = "You can't specify the function as a destination for itself."
                raise AwsError("InvalidParameterValueException", text)
            self._check_target(function.role, target, "The function's", "{target}")

    async def _check_destination(self, target: str | None, region: str) -> None:
        """Raises what AWS answers when a queue, a topic or a function is not there."""
        kind = ((target or "").split(":") + ["", "", ""])[2]
        try:
            if target and kind in ("sqs", "sns"):
                await self.on_moto(stores.policy, target)
            elif target and kind == "lambda":
                await self._function(target, None, region)
        except AwsError:
            text = f"The destination ARN {target} is invalid."
            raise AwsError("InvalidParameterValueException", text) from None

    def _check_target(self, role: str, target: str | None, whose: str, where: str) -> None:
        """Raises what AWS answers when a function's role may not write to where its events are to go.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        if target and not self._may_hand_over(role, target):
            service = target.split(":")[2]
            on = where.format(target=target, service=service.upper())
            text = f"{whose} execution role does not have permissions to call {_WRITES.get(service)} on {on}"
            raise AwsError("InvalidParameterValueException", text)

    def _may_hand_over(self, role: str, target: str) -> bool:
        service = (target.split(":") + ["", "", ""])[2]
        resource = f"{target}/*" if service == "s3" else target
        return service not in _WRITES or self._role_allowed(role, f"{service}:{_WRITES[service]}", resource)

    async def _changed(self, call: Call, response: Response, region: str) -> None:
        """Forgets what a successful change made stale."""
        if call.service == "iam" or call.operation in _POLICY_CHANGES:
            self.policies.forget()
        if call.service == "lambda":
            self._functions.clear()
            self._permissions.clear()
            if call.operation.startswith(("UpdateFunction", "DeleteFunction")) and "FunctionName" in call.uri:
                await self.runtime.retire(lambdas.split(call.uri["FunctionName"], region)[1])
        elif call.service == "apigateway":
            self._stages.clear()
            api_id = call.uri.get("restapi_id") or call.uri.get("restApiId") or ""
            if call.operation == "DeleteRestApi":
                self._deployments.pop(api_id, None)
            elif call.operation == "CreateDeployment":
                deployment = str(orjson.loads(response.body)["id"])
                kept = await self.on_moto(apis.snapshot, api_id, region)
                self._deployments.setdefault(api_id, {})[deployment] = kept

    # Lambda

    async def _code(self, request: Request) -> Response:
        arn, code = self._code_links.read(request)
        function = await self._function(arn, None, arn.split(":")[3])
        if function.code_sha256 != code:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404)  # the code is another one now
        return Response(200, function.code, {"Content-Type": "application/zip"})

    async def _function(self, name: str, qualifier: str | None, region: str) -> Function:
        key = (name, qualifier, region)
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = await self.on_moto(lambdas.lookup, name, qualifier, region)
            self._log_owners[found.log_group] = found.region, found.role
        return found

    async def _invoke(self, call: Call, request: Request, signed: auth.Signed) -> Response:
        """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
        query = dict(urllib.parse.parse_qsl(request.query))
        function = await self._function(call.uri["FunctionName"], query.get("Qualifier"), signed.region)
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        payload = request.body or b"{}"
        if kind not in ("RequestResponse", "Event", "DryRun"):
            text = (
                f"1 validation error detected: Value '{kind}' at 'invocationType' failed to satisfy constraint: Member"
            )
            text += " must satisfy enum value set: [Event, RequestResponse, DryRun]"
            raise AwsError("ValidationException", text)
        version = {"X-Amz-Executed-Version": function.version}
        if kind == "DryRun":
            return Response(204)
        if kind == "Event":
            request_id = await self._queue_event(function, payload)
            return Response(202, b"", {"Content-Type": "application/json", "x-amzn-RequestId": request_id})
        context = request.headers.get("x-amz-client-context")
        caller = "" if signed.principal.is_root else signed.access_key
        result = await self.runtime.invoke(function, payload, client_context=context, caller=caller)
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": result.request_id, **version}
        if result.error:
            headers["X-Amz-Function-Error"] = result.error
        if request.headers.get("x-amz-log-type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log_tail).decode()
        return Response(200, result.payload, headers)

    async def _queue_event(self, function: Function, payload: bytes, tried: asyncio.Future[None] | None = None) -> str:
        """An asynchronous invocation: retries, then destinations and the dead-letter queue. Returns its request id.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        settings = await self.on_moto(lambdas.event_settings, function.arn)
        destinations = settings.get("DestinationConfig", {})

        async def done(record: dict[str, Any]) -> None:
            failed = record["requestContext"]["condition"] != "Success"
            destination = destinations.get("OnFailure" if failed else "OnSuccess", {}).get("Destination")
            key = f"aws/lambda/async/{function.name}/{record['timestamp'][:10].replace('-', '/')}/"
            key += f"{record['timestamp'].replace(':', '.')}-{record['requestContext']['requestId']}"
            await hand_over(destination, orjson.dumps(record), key, "DestinationDeliveryFailures")
            if failed:
                await hand_over(settings["DeadLetter"], payload, "", "DeadLetterErrors", _dead_letter(record))

        async def hand_over(
            target: str | None, body: bytes, key: str, metric: str, attributes: dict[str, Any] | None = None
        ) -> None:
            """As the function's role; what nobody takes is lost, and counted."""
            try:
                if target and not self._may_hand_over(function.role, target):
                    raise AwsError("AccessDeniedException", f"{function.role} may not write to {target}.")
                if target and ":function:" in target:
                    self.runtime.invoke_async(await self._function(target, None, function.region), body)
                elif target:
                    await self._deliver(target, body, key, attributes)
            except Exception:
                _LOG.exception("%s did not take an event of %s", target, function.arn)
                self.runtime.metrics[function.region, function.name].add(metric, 1)

        qualifier = None if function.version == "$LATEST" else function.version
        return self.runtime.invoke_async(
            function,
            payload,
            on_done=done,
            refresh=lambda: self._function(function.name, qualifier, function.region),
            retries=settings.get("MaximumRetryAttempts", 2),
            max_age=settings.get("MaximumEventAgeInSeconds", 21_600),
            tried=tried,
        )

    async def _event_sources(self, call: Call, params: dict[str, Any], request: Request, region: str) -> Response:
        operation, key = call.operation, call.uri.get("UUID", "")
        if operation == "CreateEventSourceMapping":
            return _json(await self.sources.create(params, region), 202)
        if key:
            self.sources.get(key, region)
        if operation == "UpdateEventSourceMapping":
            return _json(await self.sources.update(key, params, region), 202)
        if operation == "DeleteEventSourceMapping":
            return _json(await self.sources.delete(key), 202)
        if operation == "GetEventSourceMapping":
            return _json(self.sources.get(key).config)
        return _json(self.sources.list(dict(urllib.parse.parse_qsl(request.query)), region))

    async def _trusts_redshift(self, role_arn: str) -> bool:
        return await self.on_moto(identities.trusts, role_arn, "redshift.amazonaws.com")

    def _role_allowed(self, role_arn: str, action: str, resource: str) -> bool:
        try:
            self.policies.require(auth.Principal.of_role(role_arn, "lambda"), action, resource)
        except AwsError:
            return False
        return True

    def _write_logs(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        """Logs arrive only where the function's role may write them, as on AWS.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-prereqs
        """
        if group not in self._log_owners:
            return
        region, role = self._log_owners[group]
        arn = f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{group}"

        def write() -> None:
            may = self._role_allowed(role, "logs:PutLogEvents", f"{arn}:log-stream:{stream}")
            may = may and self._role_allowed(role, "logs:CreateLogStream", f"{arn}:*")
            if may and not stores.has_log_group(region, group):
                may = self._role_allowed(role, "logs:CreateLogGroup", f"{arn}:*")
            if may:
                stores.write_logs(region, group, stream, events)
                for namespace, data in embedded_metrics.find(events):
                    stores.put_metrics(region, namespace, data)

        self._in_background(write)

    async def _deliver(self, destination: str, body: bytes, key: str, attributes: dict[str, Any] | None = None) -> None:
        """Hands a record of failure to its destination: an SQS queue, an SNS topic or an S3 bucket."""
        service = destination.split(":")[2]
        if service == "sqs":
            await self.on_moto(stores.send_message, destination, body.decode(), attributes)
        elif service == "sns":
            await self.on_moto(stores.publish, destination, body.decode(), attributes)
        elif service == "s3":
            await self.on_moto(stores.put_object, destination.rpartition(":")[2], key, body)

    # Firehose

    async def _firehose(self, call: Call, params: dict[str, Any], request: Request, signed: auth.Signed) -> Response:
        return _json(await self.firehose.call(call.operation, params, signed.region))

    def _log_for_firehose(self, region: str, group: str, stream: str, message: str) -> None:
        def write() -> None:
            if stores.has_log_stream(region, group, stream):
                stores.write_logs(region, group, stream, [(int(time.time() * 1000), message)])

        self._in_background(write)

    async def _copy_for_firehose(self, load: firehose.Load) -> None:
        host, _, database = load.jdbc_url.removeprefix("jdbc:redshift://").partition("/")
        cluster = self.warehouse.clusters.find(host.partition(".")[0], load.region)
        if cluster is None or cluster.status != "available":
            raise AwsError("Redshift.ConnectionFailed", "")
        role = load.sql.partition("aws_iam_role=")[2].partition("'")[0]
        try:
            await self.warehouse.sql(cluster, database, load.user, load.password, load.sql, role)
        except SqlError as error:
            raise AwsError(f"Redshift.{firehose.copy_failure(str(error))}", "") from None

    # Schedules

    async def _clock(self, request: Request, signed: auth.Signed) -> Response:
        if not signed.principal.is_root:
            raise AwsError("AccessDenied", "Only who opened the lab may move its clock.", 403)
        fired: dict[str, int] = {}
        if request.method == "POST":
            try:
                seconds = float(orjson.loads(request.body)["seconds"])
            except (ValueError, LookupError, TypeError):
                raise AwsError("ValidationException", "Give the number of seconds to move on.") from None
            if not 0 <= seconds <= 10 * 366 * 86400:
                raise AwsError("ValidationException", "The clock moves forward, by ten years at most.")
            fired = await self.scheduler.advance(seconds)
        return _json({"now": self.scheduler.now(), "fired": fired})

    async def _to_target(self, target: str, payload: bytes, rule: str) -> asyncio.Future[None] | None:
        """Delivers a rule's event where the target's own policy lets EventBridge in.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        """
        service = target.split(":")[2]
        if service == "lambda":
            policy, action = await self.on_moto(lambdas.policy, target), "lambda:InvokeFunction"
        else:
            action = "sqs:SendMessage" if service == "sqs" else "sns:Publish"
            policy = await self.on_moto(stores.policy, target)
        if not permissions.service_allowed(policy, "events.amazonaws.com", action, target, rule):
            raise AwsError("NO_PERMISSIONS", f"The policy of {target} does not let {rule} in.", 403)
        if service == "lambda":
            tried: asyncio.Future[None] = self._loop.create_future()
            await self._queue_event(await self._function(target, None, target.split(":")[3]), payload, tried)
            return tried
        await self.on_moto(stores.send_message if service == "sqs" else stores.publish, target, payload.decode())
        return None

    async def _to_dead_letters(self, queue: str, body: str, attributes: dict[str, str], rule: str) -> None:
        policy = await self.on_moto(stores.policy, queue)
        if not permissions.service_allowed(policy, "events.amazonaws.com", "sqs:SendMessage", queue, rule):
            raise AwsError("NO_PERMISSIONS", f"The policy of {queue} does not let {rule} in.", 403)
        await self.on_moto(stores.send_message, queue, body, attributes)

    # API Gateway

    async def _stage(self, api_id: str, name: str) -> Stage | None:
        key = (api_id, name)
        if key not in self._stages:
            region = await self.on_moto(apis.find, api_id)
            deployments = self._deployments.get(api_id, {})
            found = await self.on_moto(apis.stage, api_id, region, name, deployments) if region else None
            self._stages[key] = found
        return self._stages[key]

    async def _export(self, call: Call, request: Request) -> Response:
        """https://docs.aws.amazon.com/apigateway/latest/api/API_GetExport.html"""
        stage = await self._stage(call.uri["restapi_id"], call.uri["stage_name"])
        if stage is None:
            raise AwsError("NotFoundException", "Invalid stage identifier specified", 404)
        kind, query = call.uri["export_type"], dict(urllib.parse.parse_qsl(request.query))
        document = api_export.export(stage, kind, request.headers.get("accept", ""), query.get("extensions"))
        name = f"{kind}_{stage.api.deployed}.json"
        headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(200, orjson.dumps(document, option=orjson.OPT_INDENT_2), headers)

    async def _invoke_for_gateway(self, function_arn: str, payload: bytes, source: str, seconds: float) -> Invocation:
        key = (function_arn, source)
        if key not in self._permissions:
            policy = await self.on_moto(lambdas.policy, function_arn)
            self._permissions[key] = permissions.service_allowed(
                policy, "apigateway.amazonaws.com", "lambda:InvokeFunction", function_arn, source
            )
        if not self._permissions[key]:
            raise AwsError("AccessDeniedException", "Invalid permissions on Lambda function", 403)
        function = await self._function(function_arn, None, function_arn.split(":")[3])
        return await self.runtime.invoke(function, payload, trusted=True, patience=seconds)  # the gateway has looked

    def _authorize_api(self, request: Request, arn: str) -> dict[str, str]:
        signed = auth.verify(request, self.keys)
        self.policies.require(signed.principal, "execute-api:Invoke", arn)
        caller = identities.user_id(signed.principal)
        who = {"accessKey": signed.access_key, "accountId": ACCOUNT_ID, "userArn": signed.principal.arn}
        return who | {"caller": caller, "user": caller}

    # Policies

    @staticmethod
    def _resource_policy(service: str, arn: str) -> dict[str, Any] | None:
        if service == "s3" and arn.startswith("arn:aws:s3:::"):
            return stores.bucket_policy(arn[len("arn:aws:s3:::") :].partition("/")[0])
        if service == "lambda" and ":function:" in arn:
            return lambdas.policy(arn)
        if service == "sts":
            return identities.trust_policy(arn)
        if service in ("sqs", "sns") and arn.count(":") >= 5:
            with contextlib.suppress(AwsError):  # there is none such, as the service itself will say
                return stores.policy(arn)
        return None

    @staticmethod
    def _stream_of_iterator(params: dict[str, Any]) -> str | None:
        try:
            region, name, *_ = orjson.loads(base64.b64decode(params["ShardIterator"])[12:])
        except (KeyError, TypeError, ValueError):  # not an iterator of this lab: Kinesis will say so
            return None
        return f"arn:aws:kinesis:{region}:{ACCOUNT_ID}:stream/{name}"

    async def _refuse_public(self, call: Call, request: Request, signed: auth.Signed) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
        bucket = call.uri["Bucket"]
        if not permissions.is_public(orjson.loads(request.body)):
            return
        if await self.on_moto(stores.blocks_public, bucket, "block_public_policy"):
            why = "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
            what = f'perform: s3:PutBucketPolicy on resource: "arn:aws:s3:::{bucket}"'
            raise AwsError(
                "AccessDenied", f"User: {signed.principal.arn} is not authorized to {what} because {why}", 403
            )

    # Websites

    def _object(self, bucket: str, key: str, request: Request) -> Response:
        """S3's answer to GetObject or HeadObject; on the moto thread, when the website has seen that it may."""
        call = Call(
            "s3", "GetObject" if request.method == "GET" else "HeadObject", "s3", {"Bucket": bucket, "Key": key}
        )
        signed = auth.Signed(auth.Principal(auth.ROOT, ""), "", "us-east-1", "s3")
        headers = {"host": f"127.0.0.1:{self.port}", **request.headers}
        return self._loading.result()(call, {}, Request(request.method, request.path, "", headers), signed)

    # Upkeep

    async def _keep_up(self) -> None:
        """Once a second: metrics to CloudWatch; once a minute: retention."""
        tick = 0
        while True:
            await asyncio.sleep(1)
            tick += 1
            for namespace, measured in (
                ("AWS/Kinesis", self.kinesis), ("AWS/Lambda", self.sources), ("AWS/Firehose", self.firehose),
                ("AWS/Lambda", self.runtime), ("AWS/Events", self.scheduler), ("AWS/ApiGateway", self.gateway),
            ):  # fmt: skip
                for region, data in measured.drain_metrics():
                    self._in_background(stores.put_metrics, region, namespace, data)
            self._in_background(alarms.evaluate)
            if tick % 60 == 0:
                self.kinesis.trim()

    async def close(self) -> None:
        self._upkeep.cancel()
        await self.scheduler.close()
        await self.sources.close()
        await self.firehose.close()
        await self.runtime.close()
        await self.warehouse.close()
        await self.msk.close()
        self._moto_thread.shutdown(wait=True, cancel_futures=True)


def _is_loopback(origin: str) -> bool:
    host = urllib.parse.urlsplit(origin).hostname or ""
    return host in ("127.0.0.1", "localhost", "::1") or host.endswith(".localhost")


def _dead_letter(record: dict[str, Any]) -> dict[str, str | int]:
    """The attributes of a message in a function's dead-letter queue, of AWS's record of the invocation.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
    """
    found: dict[str, str | int] = {"RequestID": record["requestContext"]["requestId"]}
    answer = record.get("responsePayload")
    if "responseContext" in record:
        found["ErrorCode"] = record["responseContext"]["statusCode"]
    if isinstance(answer, dict) and answer.get("errorMessage"):
        found["ErrorMessage"] = str(answer["errorMessage"]).encode()[:1024].decode(errors="ignore")
    return found


def _with_id(response: Response) -> Response:
    """With the id of the request that every answer of AWS carries; boto3 shows it as ResponseMetadata's RequestId."""
    if "x-amzn-RequestId" not in response.headers and "x-amzn-requestid" not in response.headers:  # as moto writes it
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response


def _json(answer: dict[str, Any], status: int = 200) -> Response:
    return Response(status, orjson.dumps(answer), {"Content-Type": "application/x-amz-json-1.1"})


def _caller_identity(signed: auth.Signed) -> Response:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{signed.principal.arn}</Arn><UserId>{identities.user_id(signed.principal)}</UserId>"
        f"<Account>{ACCOUNT_ID}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
    return Response(200, body.encode(), {"Content-Type": "text/xml"})
