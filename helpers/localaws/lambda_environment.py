"""One Lambda execution environment: a process that runs one call at a time, its log stream, its limits.

The process speaks the Lambda Runtime API with the lab: our worker.py on a socket that it inherits, AWS's own
`awslambdaric` on a port. Its life, the init phase's time limit and the repeated init are AWS's:
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httptools
import psutil

from helpers.localaws.types import AwsError, Function, Invocation

if TYPE_CHECKING:
    from helpers.localaws.lambda_runtime import LambdaRuntime

MAX_RESPONSE = 6_291_556  # bytes; the number in AWS's message
LOG_EVENT = 262_118  # bytes of one log event: 256 KiB less the 26 that CloudWatch adds
PIPE = 65_536  # what a pipe holds: one read takes all that was written before a response
NEXT, INIT_ERROR = b"/2018-06-01/runtime/invocation/next", b"/2018-06-01/runtime/init/error"
RECEIPT = b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
UNKNOWN_ID, TOO_LARGE = (b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status for status in (b"400 No", b"413 No"))
RIC = "import sys; sys.path[:0] = sys.argv[2:]; from awslambdaric.__main__ import main; main(sys.argv)"


class InitFailed(Exception):
    """The process ended before it asked for its first event."""


@dataclass(slots=True, eq=False)
class Call:
    function: Function
    payload: bytes
    header: str  # "Lambda-Runtime-Client-Context: …\r\n" or ""
    request_id: str
    future: asyncio.Future[Invocation]
    since: float
    chain: tuple[str, ...] = ()  # the ARNs of the functions whose calls wait for this one's answer


@dataclass(slots=True, eq=False)
class Pool:
    """The environments of one version of a function as it is configured now, and the calls that wait for one."""

    key: object
    idle: list[Environment] = field(default_factory=list)
    waiting: deque[Call] = field(default_factory=deque)
    coming: int = 0  # environments that start, or that have answered and not yet asked for the next event


class _Connection(asyncio.Protocol):
    """A connection to the Runtime API. The receipt of a response waits for the event when `next` was pipelined."""

    transport: asyncio.Transport

    def __init__(self, owner: Environment) -> None:
        self.owner, self.parser = owner, httptools.HttpRequestParser(self)
        self.url, self.body, self.out = b"", bytearray(), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.owner.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.connections.discard(self)
        self.owner.end()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.owner.kill()
        if self.out and self.owner.parked is not self:
            self.write()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        url, body = self.url, bytes(self.body)
        self.url, self.body = b"", bytearray()
        self.out += self.owner.asked(self, url, body)

    def write(self, event: bytes = b"") -> None:
        self.transport.write(self.out + event)
        self.out = b""


class Environment:
    """One process with its connections, its log stream and the call that it runs.

    `call` is None while it starts or is idle. A failed init is repeated, in the same log stream, by a second
    environment that has the call from the beginning: the function's time limit holds for its init and call together.
    """

    def __init__(self, runtime: LambdaRuntime, function: Function, pool: Pool, stream: str = "") -> None:
        self.runtime, self.function, self.pool = runtime, function, pool
        self.loop = loop = asyncio.get_running_loop()
        self.repeated = bool(stream)
        self.stream = stream or f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self.home = runtime.folder / "tmp" / uuid.uuid4().hex
        self.task_root = runtime.task_root(function)
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.connections: set[_Connection] = set()
        self.parked: _Connection | None = None  # the connection on which a `next` waits for an event
        self.process: subprocess.Popen[bytes] | None = None
        self.outcome: int | AwsError | None = None  # the exit status, or why there is no process
        self.server: asyncio.Server | None = None
        self.socket: socket.socket | None = None
        self.call: Call | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.initialised = self.answered = False  # answered: a call is done, the next not yet asked for
        self.doomed = False  # to take no further call
        self.init_error: bytes | None = None
        self.init_ms = self.began = self.since = 0.0  # began: the call; since: idle
        self.created = loop.time()
        self.expires, self.peak, self.access_key = math.inf, 0.0, ""  # credentials, epoch seconds; memory, MB
        self.pipe = self.memory = -1  # file descriptors of the log and of the kernel's account of the memory
        self.partial, self.tail = b"", bytearray()  # a line not yet ended; the running call's log
        self.lines: list[tuple[int, str]] = []  # not yet written

    # The process, from its start to its end.

    async def start(self) -> None:
        """Start the process. `ready` tells when it asks for its first event, or raises what kept it from that."""
        runtime, env = self.runtime, self._variables()
        command = [sys.executable, "-I", "-S", "-X", "utf8"]
        inherited: list[int] = []
        try:
            self.pipe, out = os.pipe()
            inherited.append(out)
            os.set_blocking(self.pipe, False)
            self.loop.add_reader(self.pipe, self._read_log)
            if runtime.bootstrap == "own":
                self.socket, theirs = socket.socketpair()
                for end in (self.socket, theirs):  # room for large events in few turns, above all on macOS
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                inherited += [theirs.detach(), os.dup(runtime.lifeline[0])]
                await self.loop.connect_accepted_socket(lambda: _Connection(self), self.socket)
                command += [runtime.script, *map(str, inherited[1:])]
            else:
                self.server = await self.loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
                env["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
                paths = [env["LAMBDA_TASK_ROOT"], env["LAMBDA_RUNTIME_DIR"], str(runtime.folder / "ric")]
                command += ["-c", RIC, self.function.handler, *paths]
        except OSError as error:  # no file descriptor is left, say
            _close(*inherited)
            return self._over(_not_started(error))
        if not self.repeated:
            real = ".".join(map(str, sys.version_info[:3]))
            self.log(f"INIT_START Runtime Version: python:{real}\tStands in for: {self.function.runtime}\n")
        threading.Thread(target=self._live, args=(command, env, inherited), daemon=True).start()

    def _variables(self) -> dict[str, str]:
        """Which ones AWS sets: localstack/localstack, tests/aws/services/lambda_/test_lambda_common.snapshot.json.

        Nobody is at X-Ray's address here, and no call is sampled: X-Ray's SDK keeps its words to itself.
        """
        f, modules = self.function, str(self.runtime.folder / "runtime")
        refused = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",)  # it would let boto3 leave this lab
        return {
            "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": modules, "TZ": ":UTC",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
            **{name: value for name, value in f.environment.items() if name not in refused},
            "HOME": str(self.home), "TMPDIR": str(self.home), "PWD": str(self.task_root),
            "LAMBDA_TASK_ROOT": str(self.task_root), "LAMBDA_RUNTIME_DIR": modules, "_HANDLER": f.handler,
            "AWS_REGION": f.region, "AWS_DEFAULT_REGION": f.region, "AWS_ENDPOINT_URL": self.runtime.endpoint,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{f.runtime}", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": f.name, "AWS_LAMBDA_FUNCTION_VERSION": f.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(f.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f.log_group, "AWS_LAMBDA_LOG_STREAM_NAME": self.stream,
        }  # fmt: skip

    def _live(self, command: list[str], env: dict[str, str], inherited: list[int]) -> None:
        """The thread of this environment: start the process, wait for its end, clean up after it."""
        outcome: int | AwsError
        try:
            given = self.runtime.credentials(self.function.role, self.function.name)
            self.expires = float(given.get("Expiration", math.inf))
            self.access_key = given.get("AWS_ACCESS_KEY_ID", "")
            env |= {name: value for name, value in given.items() if name != "Expiration"}
            self.runtime.unpack(self.function)
            self.home.mkdir(parents=True)
            process = subprocess.Popen(
                command, env=env, cwd=self.task_root, stdin=subprocess.DEVNULL, stdout=inherited[0],
                stderr=inherited[0], pass_fds=inherited[1:], process_group=0,
            )  # fmt: skip
        except Exception as error:
            outcome = error if isinstance(error, AwsError) else _not_started(error)
            _close(*inherited)
        else:
            _close(*inherited)
            self._tell(self._started, process)
            outcome = process.wait()
            kill_group(process.pid)  # what the handler has started goes with it
        shutil.rmtree(self.home, ignore_errors=True)
        self._tell(self._over, outcome)

    def _tell(self, what: Callable[[Any], None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.loop.call_soon_threadsafe(what, value)

    def _started(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        if sys.platform == "linux":
            with contextlib.suppress(FileNotFoundError):  # it is over already
                self.memory = os.open(f"/proc/{process.pid}/status", os.O_RDONLY)
        if self.doomed:
            self.kill()

    def _over(self, outcome: int | AwsError) -> None:
        self.outcome = outcome
        self.end()
        self.loop.call_later(1, self.end, True)  # a child that left the group may hold the connection open

    def end(self, now: bool = False) -> None:
        """Close the books once the process is over and all that it sent is read."""
        if self.outcome is None or (self.connections and not now) or self.ended.done():
            return
        self._read_log()
        if isinstance(self.outcome, int):
            kind, document, text = self._fault(self.outcome)
            if not (self.initialised or self.doomed):
                self.init_report("error", kind)
            if self.call:
                self.finish(document, f"Status: error\tError Type: {kind}", text)
        elif self.call:
            self.runtime.done(self.call, self.outcome)
        if not self.ready.done():
            self.ready.set_exception(self.outcome if isinstance(self.outcome, AwsError) else InitFailed())
            self.ready.exception()  # a repeated init has nobody who waits for it
        self._settle()
        if self.pipe >= 0:
            self.loop.remove_reader(self.pipe)
        _close(self.pipe, self.memory)
        if self.server:
            self.server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()
        self.runtime.leave(self)
        self.ended.set_result(None)

    def _fault(self, status: int) -> tuple[str, bytes, str]:
        """What an ended process leaves behind: error type, document and log text."""
        if self.init_error:
            return str(json.loads(self.init_error).get("errorType")), self.init_error, ""
        reason = "without providing a reason"
        if status:
            name = (signal.strsignal(-status) or "").split(":")[0].lower() if status < 0 else ""
            reason = "with error: " + (f"signal: {name}" if name else f"exit status {status}")
        message = f"RequestId: {self.call.request_id if self.call else ''} Error: Runtime exited {reason}"
        kind = "Runtime.ExitError"
        return kind, _document(kind, message), f"{message}\n{kind}\n"

    def kill(self) -> None:
        if self.process and self.outcome is None:
            kill_group(self.process.pid)

    def doom(self) -> None:
        """End now, or after the running call."""
        self.doomed = True
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        if self.call is None:
            self.kill()

    # Its calls.

    def usable(self) -> bool:
        """Whether it can take a call now: it is alive, and its credentials outlast the call."""
        if self.doomed or self.expires < time.time() + self.function.timeout + 60:
            return False
        if self.socket is None or not self.connections:
            return bool(self.connections)
        try:  # it may have been killed, and the loop has not heard of it yet
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        return False

    def begin(self, call: Call) -> None:
        """Take a call and let its time run."""
        self.call, self.began = call, self.loop.time()
        self.tail.clear()
        self.timer = self.loop.call_later(self.function.timeout, self._timed_out)

    def take(self, call: Call) -> None:
        self.begin(call)
        self._send()

    def _send(self) -> None:
        """Hand the event of the call to the process, which waits for one."""
        call, connection, timer = self.call, self.parked, self.timer
        assert call and connection and timer
        self.parked = None
        deadline = int((time.time() + timer.when() - self.loop.time()) * 1000)
        trace = call.request_id.replace("-", "")
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(call.payload)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {call.request_id}\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {call.function.arn}\r\nLambda-Runtime-Trace-Id: "
            f"Root=1-{deadline // 1000:08x}-{trace[:24]};Parent={trace[:16]};Sampled=0\r\n{call.header}\r\n"
        )
        connection.write(head.encode() + call.payload)
        self.log(f"START RequestId: {call.request_id} Version: {self.function.version}\n")

    def asked(self, connection: _Connection, url: bytes, body: bytes) -> bytes:
        """Serve a request of the process; returns the answer, b"" when it comes later or never."""
        if url == NEXT:
            self.parked = connection
            if self.initialised:
                self._settle()
                self.runtime.free(self)
                return b""
            self.initialised = True
            if self.call:
                self._send()
            elif not self.ready.done():
                self.init_ms = (self.loop.time() - self.created) * 1000
                self.ready.set_result(None)
            return b""
        if self.measure():
            self.kill()
            return b""
        if url == INIT_ERROR:
            self.init_error = self._shown(body.decode()).encode()
            return RECEIPT
        if self.call is None or url.split(b"/")[-2] != self.call.request_id.encode():
            return UNKNOWN_ID
        if len(body) > MAX_RESPONSE:
            text = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
            kind = "Function.ResponseSizeTooLarge"
            self.finish(_document(kind, text), f"Status: error\tError Type: {kind}")
            return TOO_LARGE
        if url.endswith(b"/error"):
            self.finish(self._shown(body.decode()).encode(), "")
        else:
            self.finish(body)
        return RECEIPT

    def _settle(self) -> None:
        self.pool.coming -= self.answered
        self.answered = False

    def _timed_out(self) -> None:
        assert self.call
        self.doomed = True
        self.kill()
        if not self.initialised:
            self.init_report("timeout")
        text, request_id = f"Task timed out after {self.function.timeout:.2f} seconds", self.call.request_id
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6]
        document = _document("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
        self.finish(document, "Status: timeout", f"{stamp}Z {request_id} {text}\n\n")

    def finish(self, payload: bytes, failed: str | None = None, text: str = "") -> None:
        """Answer the call. `failed` is None for success; for an error, what the REPORT line says of it, or ""."""
        call, timer, function = self.call, self.timer, self.function
        assert call and timer
        self.call = None
        timer.cancel()
        self._read_log()
        if self.partial:
            self._take(b"\n")
        if not self.initialised:
            self.log(f"START RequestId: {call.request_id} Version: {function.version}\n")
        took = min((self.loop.time() - self.began) * 1000, function.timeout * 1000)
        init = f"Init Duration: {self.init_ms:.2f} ms\t" if self.init_ms else ""
        self.runtime.measured(function, took, failed is not None)
        billed, used = math.ceil(took + self.init_ms), min(math.ceil(self.peak), function.memory)
        self.init_ms = 0.0
        for line in (
            text,
            f"END RequestId: {call.request_id}\n",
            f"REPORT RequestId: {call.request_id}\tDuration: {took:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {function.memory} MB\tMax Memory Used: {used} MB\t{init}{failed or ''}\n",
        ):
            if line:
                self.log(line)
        if self.doomed:
            self.kill()
        elif self.outcome is None:
            self.pool.coming += 1
            self.answered = True
        error = None if failed is None else "Unhandled"
        tail = bytes(self.tail[-4096:])
        self.runtime.done(call, Invocation(payload, error, tail, function.version, call.request_id))

    def measure(self) -> bool:
        """Whether the process has outgrown its memory. Linux knows its peak; elsewhere, what it holds now."""
        try:
            if self.memory >= 0:
                peak = int(os.pread(self.memory, 2048, 0).split(b"VmHWM:")[1].split(None, 1)[0]) / 1024
            elif sys.platform != "linux" and self.process and self.outcome is None:
                peak = psutil.Process(self.process.pid).memory_info().rss / 2**20
            else:
                return False
        except (OSError, IndexError, psutil.Error):  # the process is over
            return False
        self.peak = max(self.peak, peak)
        return self.peak > self.function.memory

    # Its log: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html

    def init_report(self, status: str, kind: str = "") -> None:
        self._read_log()
        took, phase = (self.loop.time() - self.created) * 1000, "invoke" if self.repeated else "init"
        kind = f"\tError Type: {kind}" if kind else ""
        self.log(f"INIT_REPORT Init Duration: {took:.2f} ms\tPhase: {phase}\tStatus: {status}{kind}\n")

    def _read_log(self) -> None:
        """Take what lies in the pipe. Whoever writes has written all of it before it answers."""
        try:
            data = os.read(self.pipe, PIPE)
        except OSError:  # nothing there
            return
        if data:
            self._take(data)
        else:
            self.loop.remove_reader(self.pipe)

    def _take(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\n")
        if len(self.partial) >= LOG_EVENT:
            lines, self.partial = [*lines, self.partial[:LOG_EVENT]], self.partial[LOG_EVENT:]
        for line in lines:
            for start in range(0, len(line) or 1, LOG_EVENT):
                text = line[start : start + LOG_EVENT].decode("utf-8", "replace").replace("\r", "\n")
                self.log(self._shown(text) + "\n")

    def log(self, text: str) -> None:
        if not self.lines:
            self.runtime.written(self)
        self.lines.append((int(time.time() * 1000), text))
        self.tail += text.encode()
        if len(self.tail) > PIPE:
            del self.tail[:-4096]

    def _shown(self, text: str) -> str:
        """The text with the folders' names on AWS."""
        if self.runtime.root in text:
            text = text.replace(str(self.task_root), "/var/task").replace(str(self.home), "/tmp")
            text = text.replace(str(self.runtime.folder / "runtime"), "/var/runtime")
        return text


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone
        os.killpg(pid, signal.SIGKILL)


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def _not_started(error: Exception) -> AwsError:
    return AwsError("ServiceException", f"The function's environment could not be started: {error}", 500)


def _document(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
