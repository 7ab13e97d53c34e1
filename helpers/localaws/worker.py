"""Runs one Lambda function: the process behind an execution environment. Standard library only.

It speaks the Lambda Runtime API and does for a handler what AWS's runtime client does: import it, make its context,
read and write JSON, report errors, preset `logging`. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
(beside it: python-handler.html, python-context.html, python-logging.html, python-exceptions.html)

Started as `python -I -S worker.py <socket> <lifeline>`, two inherited file descriptors; the rest is in the environment.
"""

from __future__ import annotations

import _thread
import importlib
import json
import logging
import os
import signal
import site
import sys
import time
import traceback
from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time `typing` would cost every cold start some milliseconds
    from collections.abc import Callable
    from typing import Any, NoReturn

API = b"/2018-06-01/runtime/"
NEXT = b"GET " + API + b"invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n"
CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
DECIMAL = os.urandom(16).hex()  # marks a number on its way through the JSON encoder, which knows no Decimal
# From python3.12 on results keep their characters; the older runtimes escape what is not ASCII.
ASCII = os.environ["AWS_EXECUTION_ENV"] in [f"AWS_Lambda_python3.{minor}" for minor in range(12)]

request_id = ""  # of the running invocation; "" during init


class Fault(Exception):
    """An error of the runtime itself: AWS's type name ("Runtime.…") stands where the Python class would."""

    def __init__(self, kind: str, message: str, *trace: str) -> None:
        super().__init__(message)
        self.kind, self.trace = f"Runtime.{kind}", list(trace)


class LambdaContext(SimpleNamespace):
    """A handler's second argument; its memory limit is a string, as on AWS."""

    def __init__(self, headers: dict[str, str]) -> None:
        for name in ("function_name", "function_version", "log_group_name", "log_stream_name"):
            setattr(self, name, os.environ[f"AWS_LAMBDA_{name.upper()}"])
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.aws_request_id, self.tenant_id = request_id, None
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None
        if text := headers.get("Lambda-Runtime-Client-Context"):
            given = json.loads(text)
            client = given.get("client")
            client = client if client is None else SimpleNamespace(**{name: client.get(name) for name in CLIENT})
            self.client_context = SimpleNamespace(custom=given.get("custom"), env=given.get("env"), client=client)
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


class RuntimeApi:
    """The worker's end of the Runtime API: requests are pipelined, every answer is read to its end."""

    def __init__(self, fd: int) -> None:
        self.fd, self.received = fd, bytearray()

    def post(self, path: str, body: bytes, then: bytes = b"") -> None:
        self.send(b"POST %s%s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (API, path.encode(), len(body)) + body + then)

    def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self.fd, left) :]

    def receive(self) -> None:
        self.received += os.read(self.fd, 65536) or os._exit(0)  # the lab has hung up

    def answer(self) -> tuple[str, dict[str, str], bytearray]:
        """Status line, headers and body of the next answer."""
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            self.receive()
        status, *lines = self.received[:end].decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        stop = end + 4 + int(headers["Content-Length"])
        while len(self.received) < stop:
            self.receive()
        body = self.received[end + 4 : stop]
        del self.received[:stop]
        return status, headers, body


def load(name: str) -> Callable[[Any, LambdaContext], Any]:
    """The function that the handler setting ("file.function", "folder/file.function") names."""
    try:
        module, function = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("MalformedHandlerName", f"Bad handler '{name}': {error}") from None
    if module.split(".")[0] in sys.builtin_module_names:
        raise Fault("BuiltInModuleConflict", f"Cannot use built-in module {module} as a handler module")
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise Fault("ImportModuleError", f"Unable to import module '{module}': {error}") from None
    except SyntaxError as error:
        trace = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", trace) from None
    if not hasattr(loaded, function):
        raise Fault("HandlerNotFound", f"Handler '{function}' missing on module '{module}'")
    return getattr(loaded, function)  # type: ignore[no-any-return]


def encode(value: object) -> object:
    """What JSON does not know: within a result AWS writes bytes as text and Decimals as numbers."""
    if isinstance(value, bytes):
        return value.decode()
    decimal = sys.modules.get("decimal")
    if decimal is None or not isinstance(value, decimal.Decimal):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return float("nan") if value.is_nan() else f"{DECIMAL}{value}{DECIMAL}"


def marshal(result: object) -> bytes:
    if isinstance(result, bytes):
        return result
    try:
        text = json.dumps(result, default=encode, ensure_ascii=ASCII)
        return text.replace(f'"{DECIMAL}', "").replace(f'{DECIMAL}"', "").encode()
    except Exception as error:
        raise Fault("MarshalError", f"Unable to marshal response: {error}") from None


def failure(error: Exception) -> bytes:
    """Log an error as AWS does; return the document that the caller gets."""
    kind, message = getattr(error, "kind", type(error).__name__), str(error)
    if isinstance(error, Fault):
        trace = error.trace
    else:  # from the function's own code on, without marks below the lines
        frames = [tuple(frame) for frame in traceback.extract_tb(error.__traceback__)]
        own = next((place for place, frame in enumerate(frames) if frame[0] != __file__), 0)
        trace = traceback.format_list(frames[own:])
    lines = [f"[ERROR] {kind}: {message}" if message else f"[ERROR] {kind}", "Traceback (most recent call last):"]
    for line in "".join(trace).splitlines():
        text = line.lstrip(" ")
        lines.append("\u00a0" * (len(line) - len(text)) + text)  # no-break spaces, which no viewer trims
    write("\n".join(lines))
    found = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    return json.dumps(found).encode()


def write(message: str) -> None:
    """Write one log event; a carriage return keeps its lines together."""
    sys.stdout.write(message.replace("\n", "\r") + "\n")


class LogHandler(logging.Handler):
    """The root handler that functions find in place."""

    def filter(self, record: logging.LogRecord) -> Any:
        record.aws_request_id = request_id
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        write(self.format(record))


def watch(lifeline: int) -> None:
    """End this process and its children when the lab, which holds the other end, is gone."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main() -> NoReturn:
    global request_id
    fd, lifeline = map(int, sys.argv[1:])
    for inherited in (fd, lifeline):
        os.set_inheritable(inherited, False)
    _thread.start_new_thread(watch, (lifeline,))
    site.setquit()  # exit() and quit(), which -S leaves out
    del sys.argv[1:]
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], os.environ["LAMBDA_RUNTIME_DIR"]]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.Formatter.converter = time.gmtime
    log = LogHandler()
    line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    log.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(log)
    api = RuntimeApi(fd)
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:
        api.post("init/error", failure(error))
        sys.exit(1)
    sys.stdout.flush()
    api.send(NEXT)
    while True:
        status, headers, event = api.answer()
        if not status.startswith("HTTP/1.1 200"):
            continue  # the receipt of what was posted
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
        kind = "response"
        try:
            result = marshal(handler(json.loads(event), LambdaContext(headers)))
        except Exception as error:
            kind, result = "error", failure(error)
        sys.stdout.flush()
        api.post(f"invocation/{request_id}/{kind}", result, NEXT)


if __name__ == "__main__":
    main()
