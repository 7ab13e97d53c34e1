"""Lambda: runs functions in execution environments, one call at a time in each, as many as AWS's limits allow.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

Otherwise than on AWS: the file system is this machine's (`/tmp` is shared; HOME and TMPDIR are private folders, shown
as /tmp in logs and errors, as the unpacked zip is as /var/task); environments are not frozen between calls; a child
that leaves its process group outlives the call; the memory setting binds the function's process but not its children
(off Linux a sample every 0.1 s decides) and gives no share of a CPU; a log line has the time at which the lab read
it; when `max_workers` processes are busy, calls wait until one has ended, or until all are seen to do nothing but wait
themselves: functions that ask each other through an API's URL, say, for which there is then more room. With
`bootstrap="awslambdaric"` a busy worker outlives a lab that is killed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import shutil
import threading
import time
import uuid
import zipfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import orjson
import psutil

from helpers.localaws.lambda_environment import Call, Environment, InitFailed, Pool
from helpers.localaws.metrics import Metrics
from helpers.localaws.types import AwsError, Function, Invocation, LogWriter

# Bytes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_REQUEST, MAX_EVENT = 6_291_456, 1_048_576
RECURSION = 16  # invocations of a function within one chain
BOTO3 = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
AWSLAMBDARIC = ("awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client")
OnDone = Callable[[dict[str, Any]], Awaitable[None] | None]


class LambdaRuntime:
    """The execution environments of all functions; it lives on one event loop.

    `folder` is the runtime's own: made at the start, removed by `close`. `credentials(role ARN, session name)` gives
    the environment variables of the role's credentials and "Expiration" in epoch seconds; it is called in a thread and
    may block; an AwsError that it raises is what the function's caller gets. `write_logs` is called on the loop, for
    each log stream at most five times a second. `account_concurrency` is what functions without a reservation share.
    """

    init_seconds = 10.0
    idle_seconds = 300.0
    kept_seconds = 0.5  # that an idle environment stays at least while others' calls wait
    stall_seconds = 0.5  # in which no call ends and no worker works, before there is room for more of them
    retry_delays = (60.0, 120.0)  # of an asynchronous event that failed, in seconds
    throttle_delays = (1.0, 300.0)  # of one that was throttled: the first, then twice as long up to the second

    def __init__(
        self,
        *,
        folder: Path,
        endpoint: str,
        credentials: Callable[[str, str], dict[str, Any]],
        write_logs: LogWriter,
        account_concurrency: int = 1000,
        max_workers: int = max(8, 2 * (os.cpu_count() or 1)),
        bootstrap: Literal["own", "awslambdaric"] = "own",
    ) -> None:
        self.endpoint, self.credentials, self.write_logs = endpoint, credentials, write_logs
        self.account_concurrency, self.max_workers, self.bootstrap = account_concurrency, max_workers, bootstrap
        _remove(folder)
        folder.mkdir(parents=True)
        self.folder = folder.resolve()
        self.root, self.script = str(self.folder), str(Path(__file__).with_name("worker.py"))
        _link(BOTO3, self.folder / "runtime")
        if bootstrap == "awslambdaric":
            _link(AWSLAMBDARIC, self.folder / "ric")
        self.lifeline = os.pipe()  # workers watch the reading end: the writing end goes with the lab
        self._closed = False
        self._environments: set[Environment] = set()
        self._pools: dict[object, Pool] = {}
        self._running: Counter[tuple[str, str]] = Counter()  # calls by region and function, waiting ones included
        self._unreserved = self._starting = self._waiting = 0
        self._lent = 0  # places of workers that wait for another's answer
        self._spare = 0  # more places, because those that are busy do nothing
        self._ends = 0  # calls that have ended, processes that have started
        self._still: tuple[int, float, float, float] | None = None  # `_ends`, when, the workers' and the lab's time
        self._unwritten: dict[Environment, None] = {}  # in the order of their first lines
        self.metrics: defaultdict[tuple[str, str], Metrics] = defaultdict(Metrics)  # by region and function name
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._events: set[asyncio.Task[None]] = set()  # asynchronous ones, queued or running
        self._unpacking = threading.Lock()

    async def invoke(
        self,
        function: Function,
        payload: bytes,
        *,
        client_context: str | None = None,
        trusted: bool = False,
        patience: float | None = None,
        caller: str = "",
    ) -> Invocation:
        """Invoke synchronously. `client_context` is base64; `trusted` says that the payload is known to be JSON.

        After `patience` seconds it raises TimeoutError, and the function runs on. `caller` is the access key that
        asks: a function that waits for another one leaves its place among the local workers.
        A function that fails is an Invocation with an error. Raised is what keeps it from running, all as AwsError:
        TooManyRequestsException, RequestEntityTooLargeException, InvalidRequestContentException, ServiceException,
        RecursiveInvocationException (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html).
        https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """
        if len(payload) > MAX_REQUEST:
            text = f"Request must be smaller than {MAX_REQUEST} bytes for the InvokeFunction operation"
            raise AwsError("RequestEntityTooLargeException", text, 413)
        if payload and not trusted:
            _check_json(payload)
        header = _context_header(client_context) if client_context else ""
        chain, timer = self._chain(caller, function) if caller else (), None
        try:
            answer = self._submit(function, payload or b"{}", str(uuid.uuid4()), header, chain)
            if patience:
                timer = asyncio.get_running_loop().call_later(patience, _give_up, answer)
            return await answer
        finally:
            self._lent -= bool(chain)
            if timer:
                timer.cancel()

    def _chain(self, caller: str, function: Function) -> tuple[str, ...]:
        """The functions that wait, when one of them calls another."""
        running = next((e.call for e in self._environments if e.access_key == caller and e.call), None)
        if running is None:
            return ()
        chain = (*running.chain, running.function.arn)
        if chain.count(function.arn) >= RECURSION:
            text = "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
            raise AwsError("RecursiveInvocationException", text + "resources and stopped your function's invocation.")
        self._lent += 1
        return chain

    def invoke_async(
        self,
        function: Function,
        payload: bytes,
        *,
        on_done: OnDone | None = None,
        refresh: Callable[[], Awaitable[Function]] | None = None,
        retries: int = 2,
        max_age: float = 21_600,
        tried: asyncio.Future[None] | None = None,
    ) -> str:
        """Queue an event and return its request id; AWS's refusals are raised at once.

        `on_done` gets AWS's invocation record as a dict when the event has succeeded or is given up. `refresh` looks
        the function up again before another attempt, as AWS does. `max_age` is in seconds. `tried` is set when the
        first attempt has ended, however it did. While a function's reserved concurrency is 0, its events are given up
        at once.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        if len(payload) > MAX_EVENT:
            text = f"{len(payload)} byte payload is too large for the Event invocation type (limit {MAX_EVENT} bytes)"
            raise AwsError("RequestEntityTooLargeException", text, 413)
        payload, request_id = payload or b"{}", str(uuid.uuid4())
        _check_json(payload)

        async def deliver() -> None:
            target, arrived, attempts, throttled = function, time.monotonic(), 0, 0
            result: Invocation | None = None
            while True:
                try:
                    result = await self._submit(target, payload, request_id, "")
                except AwsError:
                    if target.reserved_concurrency == 0:
                        condition = "ZeroReservedConcurrency"
                        break
                    delay = min(self.throttle_delays[0] * 2**throttled, self.throttle_delays[1])
                    throttled = min(throttled + 1, 20)
                else:
                    attempts += 1
                    if tried and not tried.done():
                        tried.set_result(None)
                    if result.error is None or attempts > retries:
                        condition = "RetriesExhausted" if result.error else "Success"
                        break
                    delay = self.retry_delays[min(attempts, len(self.retry_delays)) - 1]
                if time.monotonic() + delay - arrived > max_age:
                    condition = "EventAgeExceeded"
                    break
                await asyncio.sleep(delay)
                target = await refresh() if refresh else target
            if on_done and (told := on_done(_record(target, payload, request_id, condition, attempts, result))):
                await told

        self._task(deliver(), self._events)
        return request_id

    def drain_metrics(self) -> Iterator[tuple[str, Any]]:
        """(region, metric data of AWS/Lambda): https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
        for (region, name), metrics in self.metrics.items():
            if metrics:
                yield region, metrics.drain(FunctionName=name)

    async def retire(self, name: str) -> None:
        """The function's code or configuration changed: busy workers end after their call, the others now."""
        for environment in [known for known in self._environments if known.function.name == name]:
            environment.doom()

    def workers(self) -> dict[str, list[int]]:
        """The process ids of the live workers, by function name."""
        found: dict[str, list[int]] = {}
        for known in self._environments:
            if known.process and known.outcome is None:
                found.setdefault(known.function.name, []).append(known.process.pid)
        return found

    def flush(self) -> None:
        """Hand all log lines over to `write_logs`; a timer does it 0.2 s after the first line."""
        waiting, self._unwritten = self._unwritten, {}
        for environment in waiting:
            lines, environment.lines = environment.lines, []
            self.write_logs(environment.function.log_group, environment.stream, lines)

    async def close(self) -> None:
        """Drop queued events, fail waiting calls, kill what runs. No process and no file stays behind."""
        self._closed = True
        for pool in self._pools.values():
            while pool.waiting:
                self.done(self._next(pool), AwsError("ServiceException", "The lab is closing.", 500))
        while self._environments or self._events or self._tasks:
            for environment in tuple(self._environments):
                environment.doom()
                environment.kill()
            for task in self._events:
                task.cancel()
            ends = [known.ended for known in self._environments]
            await asyncio.gather(*self._events, *self._tasks, *ends, return_exceptions=True)
            await asyncio.sleep(0)  # what is done already takes itself off the lists in the loop's next turn
        self.flush()
        for timer in self._timers.values():
            timer.cancel()
        for fd in self.lifeline:
            os.close(fd)
        await asyncio.to_thread(_remove, self.folder)

    # Calls and environments.

    def _submit(
        self, function: Function, payload: bytes, request_id: str, header: str, chain: tuple[str, ...] = ()
    ) -> asyncio.Future[Invocation]:
        """Admit a call and hand it to an idle environment, or let it wait for one. AWS's throttles are raised."""
        f, key = function, (function.region, function.name)
        if self._closed:
            raise AwsError("ServiceException", "The lab is closing.", 500)
        free = f.reserved_concurrency is None  # of a reservation
        used, limit = (
            (self._unreserved, self.account_concurrency) if free else (self._running[key], f.reserved_concurrency)
        )
        if used >= (limit or 0):
            self.metrics[key].add("Throttles", 1)
            reason = f"{'' if free else 'ReservedFunction'}ConcurrentInvocationLimitExceeded"
            raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason, Type="User")
        self._running[key] += 1
        self._unreserved += free
        loop = asyncio.get_running_loop()
        call = Call(function, payload, header, request_id, loop.create_future(), loop.time(), chain)
        settings = (f.code_sha256, f.handler, f.runtime, f.role, f.timeout, f.memory, f.log_group)
        same = (*key, f.version, *settings, *sorted(f.environment.items()))
        pool = self._pools.get(same) or self._pools.setdefault(same, Pool(same))
        environment = None if pool.waiting else self._idle(pool)
        if environment:
            environment.take(call)
        else:
            pool.waiting.append(call)
            self._waiting += 1
            self._pump()
        return call.future

    def _idle(self, pool: Pool) -> Environment | None:
        while pool.idle:
            environment = pool.idle.pop()  # the one last used: the others may be reaped
            if environment.usable():
                return environment
            environment.doom()
        return None

    def _next(self, pool: Pool) -> Call:
        self._waiting -= 1
        return pool.waiting.popleft()

    def _pump(self) -> None:
        """Bring waiting calls and environments together; the function whose call waits longest comes first."""
        for pool in sorted((pool for pool in self._pools.values() if pool.waiting), key=lambda p: p.waiting[0].since):
            while pool.waiting and (environment := self._idle(pool)):
                environment.take(self._next(pool))
            while len(pool.waiting) > pool.coming and self._room(pool):
                self._starting += 1
                pool.coming += 1
                self._task(self._grow(self._environment(pool.waiting[0].function, pool)), self._tasks)

    def _environment(self, function: Function, pool: Pool, stream: str = "") -> Environment:
        environment = Environment(self, function, pool, stream)
        self._environments.add(environment)
        self._later(0.1, self._look_after)
        return environment

    def _room(self, pool: Pool) -> bool:
        """Whether one more process may start for this pool; an idle environment of another one may make room.

        Not one that was at work a moment ago, as its next call is as near: starting costs more than most calls. Unless
        its function has two more than this one, or this one has none and has waited for a second.
        """
        if self._closed or self._starting >= max(2, os.cpu_count() or 1):
            return False
        held = Counter(id(known.pool) for known in self._environments if not known.doomed)
        if held.total() < self.max_workers + self._lent + self._spare:
            return True
        now, mine = asyncio.get_running_loop().time(), held[id(pool)]
        starving = not mine and pool.waiting[0].since < now - 1
        ends = [
            environment
            for other in self._pools.values()
            for environment in other.idle
            if starving or environment.since < now - self.kept_seconds or held[id(other)] > mine + 1
        ]
        if ends:
            min(ends, key=lambda environment: environment.since).doom()
        else:
            self._later(0.1, self._look_after)
        return bool(ends)

    async def _grow(self, environment: Environment) -> None:
        """Start an environment. AWS repeats an init that fails within the first call, and reports that one's error."""
        pool, failure = environment.pool, None
        try:
            await environment.start()
            await asyncio.wait_for(environment.ready, self.init_seconds)
        except (InitFailed, TimeoutError, AwsError) as error:
            failure = error
        self._starting -= 1
        self._ends += 1
        pool.coming -= 1
        retired = environment.doomed
        if isinstance(failure, TimeoutError):
            environment.init_report("timeout")
            environment.doom()
        if failure is None:
            self.free(environment)
        elif isinstance(failure, AwsError) and pool.waiting:
            self.done(self._next(pool), failure)
        elif pool.waiting and not retired:
            self.flush()  # both write into the same log stream
            again = self._environment(environment.function, pool, environment.stream)
            again.begin(self._next(pool))
            await again.start()
        self._pump()

    def free(self, environment: Environment) -> None:
        """An environment asks for its next call: its own function's, unless another has waited for a second."""
        pool, now = environment.pool, environment.loop.time()
        if environment.doomed or environment.ended.done():
            environment.kill()
        elif pool.waiting and not self._overdue(pool, now - 1):
            environment.take(self._next(pool))
        else:
            environment.since = now
            pool.idle.append(environment)
            if self._waiting:
                self._pump()

    def _overdue(self, pool: Pool, since: float) -> bool:
        """Whether another function's call waits since then, and longer than this one's."""
        since = min(since, pool.waiting[0].since)
        others = self._waiting > len(pool.waiting)
        return others and any(other.waiting and other.waiting[0].since < since for other in self._pools.values())

    def measured(self, function: Function, milliseconds: float, failed: bool) -> None:
        """A call has ended, and took so long in the function."""
        metrics = self.metrics[function.region, function.name]
        metrics.add("Invocations", 1)
        metrics.add("Errors", int(failed))
        metrics.add("Duration", milliseconds)

    def done(self, call: Call, outcome: Invocation | AwsError) -> None:
        """Answer a call and give back its share of the concurrency."""
        key = (call.function.region, call.function.name)
        self._ends += 1
        self._running[key] -= 1
        self._unreserved -= call.function.reserved_concurrency is None
        if not call.future.done():  # else the caller has gone away
            if isinstance(outcome, Invocation):
                call.future.set_result(outcome)
            else:
                call.future.set_exception(outcome)

    def leave(self, environment: Environment) -> None:
        """An environment has ended."""
        pool = environment.pool
        self._environments.discard(environment)
        if environment in pool.idle:
            pool.idle.remove(environment)
        if not pool.waiting and not any(known.pool is pool for known in self._environments):
            self._pools.pop(pool.key, None)
        if self._waiting:
            self._pump()

    def written(self, environment: Environment) -> None:
        """An environment has a first line for the log."""
        self._unwritten[environment] = None
        self._later(0.2, self.flush)

    def _look_after(self) -> None:
        """End what uses more memory than it may, and what nobody has called for long."""
        now = asyncio.get_running_loop().time()
        for environment in tuple(self._environments):
            if environment.call and environment.measure():
                environment.kill()
            elif environment in environment.pool.idle and now - environment.since > self.idle_seconds:
                environment.doom()
        if self._waiting:
            self._pump()
            self._relieve(now)
        elif self._spare and sum(not known.doomed for known in self._environments) <= self.max_workers:
            self._spare = 0
        if self._environments:
            self._later(0.1, self._look_after)

    def _relieve(self, now: float) -> None:
        """Make room when calls wait and the busy workers only wait, too: perhaps for just these calls' answers.

        It doubles each time, so that a chain of any length is through in few steps; idle workers are ended as ever.
        """
        if self._still is None or self._still[0] != self._ends or self._starting:
            self._still = self._ends, now, self._processor_time(), time.process_time()
        elif (span := now - self._still[1]) >= self.stall_seconds:
            resting = self._processor_time() - self._still[2] < span / 10
            if resting and time.process_time() - self._still[3] < span / 4:  # else it is the lab that they wait for
                self._spare += max(1, self._spare)
            self._still = None
            self._pump()

    def _processor_time(self) -> float:
        """Seconds that the busy workers have used so far."""
        total = 0.0
        for known in self._environments:
            if known.call and known.process:
                with contextlib.suppress(psutil.Error):
                    total += sum(psutil.Process(known.process.pid).cpu_times()[:2])
        return total

    def _later(self, delay: float, what: Callable[[], None]) -> None:
        """Call it once after the delay, however often that is asked for meanwhile."""
        if what not in self._timers:

            def now() -> None:
                del self._timers[what]
                what()

            self._timers[what] = asyncio.get_running_loop().call_later(delay, now)

    def _task(self, work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)

    # The files.

    def task_root(self, function: Function) -> Path:
        return self.folder / "task" / function.code_sha256.translate(str.maketrans("/+", "_-", "="))

    def unpack(self, function: Function) -> None:
        """Unpack the zip, once for all its environments; as on AWS, a function cannot write beside its code."""
        place = self.task_root(function)
        with self._unpacking:
            if place.exists():
                return
            half = place.with_name("half")
            _remove(half)
            half.mkdir(parents=True)
            extract(function.code, half)
            half.rename(place)
            for folder, _, _ in os.walk(place):
                os.chmod(folder, 0o555)


def extract(code: bytes, place: Path) -> None:
    """Unpack a zip below a folder, whatever paths it names; a symbolic link becomes a file that holds its target."""
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        found = [(entry, Path(archive.extract(entry, place))) for entry in archive.infolist()]
    for entry, path in found:
        mode = entry.external_attr >> 16 & 0o777
        if mode and path.is_file():
            path.chmod(mode)


def _give_up(answer: asyncio.Future[Invocation]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _check_json(payload: bytes) -> None:
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        text = f"Could not parse request body into json: Could not parse payload into json: {error}"
        raise AwsError("InvalidRequestContentException", text, 400) from None


def _context_header(text: str) -> str:
    try:
        context = json.loads(base64.b64decode(text, validate=True))
        if not isinstance(context, dict):
            raise ValueError("not an object")
    except ValueError:
        text = "Client context must be a valid Base64-encoded JSON object."
        raise AwsError("InvalidRequestContentException", text, 400) from None
    return f"Lambda-Runtime-Client-Context: {json.dumps(context)}\r\n"


def _record(
    function: Function, payload: bytes, request_id: str, condition: str, attempts: int, result: Invocation | None
) -> dict[str, Any]:
    """What AWS sends to a destination. The response's part is missing when the function never ran."""
    arn = function.arn if function.arn.count(":") > 6 else f"{function.arn}:{function.version}"
    context = {"requestId": request_id, "functionArn": arn, "condition": condition, "approximateInvokeCount": attempts}
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, Any] = {"version": "1.0", "timestamp": stamp, "requestContext": context}
    record["requestPayload"] = json.loads(payload)
    if result:
        failed = {"functionError": result.error} if result.error else {}
        record["responseContext"] = {"statusCode": 200, "executedVersion": result.version, **failed}
        try:
            record["responsePayload"] = json.loads(result.payload)
        except ValueError:  # a handler may return bytes
            record["responsePayload"] = result.payload.decode("utf-8", "replace")
    return record


def _link(modules: tuple[str, ...], folder: Path) -> None:
    """Make a folder that holds these installed modules and nothing else."""
    folder.mkdir()
    for name in modules:
        found = find_spec(name)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"Lambda functions need the package {name}, which is not installed.", name=name)
        origin = Path(found.origin)
        origin = origin.parent if found.submodule_search_locations else origin
        (folder / origin.name).symlink_to(origin)


def _remove(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder, ignore_errors=True)
