"""Lambda functions run as on AWS: the same cases on our bootstrap and, on Linux, on AWS's own awslambdaric."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.localaws.lambda_runtime import LambdaRuntime
from helpers.localaws.types import AwsError, Function, Invocation

CASES = Path(__file__).with_name("lambda_cases")
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"
ROLE = "arn:aws:iam::123456789012:role/test-role"
ENDPOINT = "http://127.0.0.1:9"
BOOTSTRAPS = [
    "own",
    pytest.param(
        "awslambdaric",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="AWS publishes awslambdaric for Linux only"),
    ),
]
both = pytest.mark.parametrize("bootstrap", BOOTSTRAPS)


def package(**files: str | bytes) -> bytes:
    """A zip of all Python cases and of these further files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(CASES.rglob("*.py")):
            archive.writestr(str(path.relative_to(CASES)), path.read_bytes())
        for name, content in files.items():
            archive.writestr(f"{name}.py", content)
    return out.getvalue()


PACKAGE = package(syntax_error=(CASES / "syntax_error.txt").read_bytes())


def function(handler: str, name: str = "test", code: bytes = PACKAGE, **changes: Any) -> Function:
    values = {
        "name": name,
        "arn": ARN + name,
        "version": "$LATEST",
        "region": "eu-west-1",
        "handler": handler,
        "runtime": "python3.13",
        "role": ROLE,
        "timeout": 20,
        "memory": 512,
        "environment": {},
        "code": code,
        "code_sha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        "log_group": f"/aws/lambda/{name}",
    }
    return Function(**(values | changes))


class Lab(LambdaRuntime):
    """A runtime that keeps what it logs."""

    logs: list[tuple[str, str, str]]

    def places(self) -> int:
        """How many workers there are, but for those that are ending, beside which the next may start."""
        return sum(not known.doomed for known in self._environments)

    def lines(self, name: str = "test") -> list[str]:
        """What a function has logged so far, without awslambdaric's own warning about a failed init."""
        self.flush()
        found = [text for group, _, text in self.logs if group == f"/aws/lambda/{name}"]
        return [text for text in found if "LAMBDA_WARNING" not in text and text != "\n"]


@contextlib.asynccontextmanager
async def open_lab(folder: Path, bootstrap: str = "own", **options: Any) -> AsyncIterator[Lab]:
    """A runtime that must leave no process, no file and no file descriptor behind."""
    await asyncio.to_thread(int)  # the loop's thread pool is up: it is not counted
    before, children = len(os.listdir("/dev/fd")), set(psutil.Process().children(recursive=True))
    logs: list[tuple[str, str, str]] = []

    def write(group: str, stream: str, events: list[tuple[int, str]]) -> None:
        assert events and all(abs(stamp / 1000 - time.time()) < 60 for stamp, _ in events)
        logs.extend((group, stream, text) for _, text in events)

    def credentials(role: str, session: str) -> dict[str, str]:
        assert role == ROLE
        keys = {"AWS_ACCESS_KEY_ID": f"ASIA-{session}", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
        return keys | {"Expiration": str(time.time() + 3600)}

    values: dict[str, Any] = {"credentials": credentials, "write_logs": write, "bootstrap": bootstrap}
    lab = Lab(folder=folder / "lambda", endpoint=ENDPOINT, **(values | options))
    lab.logs = logs
    try:
        yield lab
    finally:
        await lab.close()
    assert not (folder / "lambda").exists()
    assert set(psutil.Process().children(recursive=True)) <= children
    assert len(os.listdir("/dev/fd")) <= before  # an earlier test's connection may have been let go meanwhile


def run(folder: Path, work: Callable[[Lab], Any], bootstrap: str = "own", **options: Any) -> Any:
    async def main() -> Any:
        async with open_lab(folder, bootstrap, **options) as lab:
            return await work(lab)

    return asyncio.run(main())


def invoke(
    folder: Path, bootstrap: str, handler: str, event: Any = None, **changes: Any
) -> tuple[Invocation, list[str]]:
    """One invocation in a lab of its own: its answer and the log."""

    async def work(lab: Lab) -> tuple[Invocation, list[str]]:
        answer = await lab.invoke(function(handler, **changes), json.dumps(event).encode())
        return answer, lab.lines()

    return run(folder, work, bootstrap)


async def appears(path: Path) -> str:
    """Wait until a handler has written the file, and return its text."""
    async with asyncio.timeout(20):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.005)
    return path.read_text()


async def gone(pid: int) -> None:
    """Wait until the process is over."""
    async with asyncio.timeout(20):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.005)


# Results and the context. https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html


@both
@pytest.mark.parametrize(
    ("handler", "event", "expected"),
    [
        ("echo.handler", {"InvoiceNo": "536365", "Description": "prix £ \U0001f381", "x": [1, 2.5, None]}, None),
        ("echo.handler", "a string", None),
        ("shop/orders.handler", {"code": "85123A"}, "2.55"),
        ("shop.orders.handler", {"code": "85123A"}, "2.55"),
        ("results.nothing", {}, b"null"),
        ("results.text", {}, '"a \\"quoted\\" £ text"'.encode()),
        ("results.numbers", {}, b"[1, 2.5, true, Infinity, [3, 4]]"),
        ("results.decimals", {}, b'{"price": 2.550, "all": [1E+3, 0], "none": NaN}'),
        ("results.bytes_within", {}, '{"body": "prix £"}'.encode()),
        ("results.plain_bytes", {}, b"\x00 not JSON \xff"),
        ("about.client", {}, b"null"),
    ],
)
def test_results(tmp_path: Path, bootstrap: str, handler: str, event: Any, expected: Any) -> None:
    answer, _ = invoke(tmp_path, bootstrap, handler, event)
    assert answer.error is None, answer
    if isinstance(expected, bytes):
        assert answer.payload == expected
    else:
        assert json.loads(answer.payload) == (event if expected is None else expected)
    assert answer.version == "$LATEST"


@both
def test_older_runtimes_escape_what_is_not_ascii(tmp_path: Path, bootstrap: str) -> None:
    answer, _ = invoke(tmp_path, bootstrap, "results.text", runtime="python3.11")
    assert answer.payload == rb'"a \"quoted\" \u00a3 text"'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=5)
    ),
    max_leaves=20,
)


@both
def test_any_json_passes_unchanged(tmp_path: Path, bootstrap: str) -> None:
    values: list[Any] = []

    @settings(max_examples=150, database=None)
    @given(json_values)
    def collect(value: Any) -> None:
        values.append(value)

    collect()

    async def work(lab: Lab) -> None:
        for value in values:
            answer = await lab.invoke(function("echo.handler"), json.dumps(value).encode())
            assert json.loads(answer.payload) == value

    run(tmp_path, work, bootstrap)


@both
def test_context(tmp_path: Path, bootstrap: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""
    changes = {"version": "3", "arn": f"{ARN}test:live", "timeout": 9}
    answer, _ = invoke(tmp_path, bootstrap, "about.context", **changes)
    found = json.loads(answer.payload)
    assert 8000 < found.pop("remaining") <= 9000
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[3\][0-9a-f]{32}", found.pop("log_stream_name"))
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", found["aws_request_id"])
    assert found.pop("aws_request_id") == answer.request_id
    assert found == {
        "function_name": "test",
        "function_version": "3",
        "invoked_function_arn": f"{ARN}test:live",
        "memory_limit_in_mb": "512",
        "log_group_name": "/aws/lambda/test",
        "identity": [None, None],
        "shown": True,
    }


@both
def test_client_context(tmp_path: Path, bootstrap: str) -> None:
    custom = {"shop": "prix £\r\nX: y"}
    given_context = {"custom": custom, "env": {"a": "b"}, "client": {"app_title": "till", "more": 1}, "w3c": {}}
    header = base64.b64encode(json.dumps(given_context).encode()).decode()

    async def work(lab: Lab) -> None:
        answer = await lab.invoke(function("about.client"), b"{}", client_context=header)
        expected = {"custom": custom, "env": {"a": "b"}, "title": "till", "version": None, "w3c": False}
        assert json.loads(answer.payload) == expected
        for bad in ("not base64!", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()):
            with pytest.raises(AwsError, match="InvalidRequestContentException"):
                await lab.invoke(function("about.client"), b"{}", client_context=bad)

    run(tmp_path, work, bootstrap)


# Errors. https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html

FRAME = re.compile(r'  File "/var/task/(?P<file>[a-z_/]+\.py)", line \d+, in (?P<function>[\w<>]+)\n')


@both
@pytest.mark.parametrize(
    ("handler", "kind", "message", "frames"),
    [
        ("errors.missing_key", "KeyError", "'context'", ["missing_key"]),
        ("errors.own_error", "OutOfStock", "no 85123A left", ["own_error", "check"]),
        ("errors.no_message", "ValueError", "", ["no_message"]),
        ("errors.chained", "RuntimeError", "two\nlines", ["chained"]),
        ("results.a_set", "Runtime.MarshalError", "Unable to marshal response: Object of type set ", []),
        ("results.a_date", "Runtime.MarshalError", "Unable to marshal response: Object of type date ", []),
        ("results.broken_bytes", "Runtime.MarshalError", "Unable to marshal response: 'utf-8' codec can't", []),
        ("shop.orders.attribute", "TypeError", "'str' object is not callable", []),
        ("output.bad_format", "TypeError", "%d format: a real number is required, not str", ["bad_format"]),
    ],
)
def test_errors(tmp_path: Path, bootstrap: str, handler: str, kind: str, message: str, frames: list[str]) -> None:
    answer, log = invoke(tmp_path, bootstrap, handler, {})
    assert answer.error == "Unhandled"
    document = json.loads(answer.payload)
    assert set(document) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert document["errorType"] == kind
    assert document["errorMessage"].startswith(message) and bool(document["errorMessage"]) == bool(message)
    assert document["requestId"] == answer.request_id
    own = [match["function"] for frame in document["stackTrace"] if (match := FRAME.match(frame))]
    assert own == frames
    events = [text for text in log if text.startswith("[ERROR]")]
    assert len(events) == 1
    if bootstrap == "own":  # one event; what awslambdaric writes to a plain pipe falls apart at the message's new line
        assert document["errorMessage"] in events[0]
    line = "".join(log[log.index(events[0]) :])
    first = f"[ERROR] {kind}: {document['errorMessage']}" if message else f"[ERROR] {kind}"
    assert line.startswith(f"{first}\nTraceback (most recent call last):\n")
    if frames:
        assert f'\n\u00a0\u00a0File "/var/task/{handler.partition(".")[0]}.py", line ' in line


@both
@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("errors.exit_one", "with error: exit status 1"),
        ("errors.exit_zero", "without providing a reason"),
        ("errors.exit_text", "with error: exit status 1"),
        ("errors.hard_exit", "with error: exit status 3"),
        ("errors.killed", "with error: signal: killed"),
        ("errors.segmentation_fault", "with error: signal: segmentation fault"),
        ("errors.interrupted", "with error: signal: interrupt"),
    ],
)
def test_exits(tmp_path: Path, bootstrap: str, handler: str, reason: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html"""

    async def work(lab: Lab) -> None:
        for _ in range(2):  # the second call finds a new environment
            answer = await lab.invoke(function(handler), b"{}")
            message = f"RequestId: {answer.request_id} Error: Runtime exited {reason}"
            assert answer.error == "Unhandled"
            assert json.loads(answer.payload) == {"errorType": "Runtime.ExitError", "errorMessage": message}
            tail = answer.log_tail.decode()
            assert f"{message}\nRuntime.ExitError\nEND RequestId" in tail
            assert tail.endswith("Status: error\tError Type: Runtime.ExitError\n")
        assert sum("INIT_START" in text for text in lab.lines()) == 2
        if handler == "errors.exit_text":
            assert "out of here\n" in lab.lines()

    run(tmp_path, work, bootstrap)


def test_exit_is_there_without_site(tmp_path: Path) -> None:
    answer, _ = invoke(tmp_path, "own", "errors.plain_exit")
    assert json.loads(answer.payload)["errorMessage"].endswith("exit status 4")


@both
@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        ("import_missing.handler", "Runtime.ImportModuleError", "Unable to import module 'import_missing': No module"),
        ("absent.handler", "Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'"),
        ("echo.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'echo'"),
        ("echo", "Runtime.MalformedHandlerName", "Bad handler 'echo': not enough values to unpack"),
        ("sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("syntax_error.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'syntax_error': "),
        ("init_raises.handler", "KeyError", "'TABLE'"),
        ("init_exits.handler", "Runtime.ExitError", "RequestId: "),
    ],
)
def test_init_errors(tmp_path: Path, bootstrap: str, handler: str, kind: str, message: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
    answer, log = invoke(tmp_path, bootstrap, handler)
    assert answer.error == "Unhandled"
    document = json.loads(answer.payload)
    assert document["errorType"] == kind
    assert document["errorMessage"].startswith(message)
    reports = [text for text in log if text.startswith("INIT_REPORT")]
    assert [re.sub(r"[\d.]+ ms", "", text) for text in reports] == [
        f"INIT_REPORT Init Duration: \tPhase: {phase}\tStatus: error\tError Type: {kind}\n"
        for phase in ("init", "invoke")
    ]
    assert sum(text.startswith("INIT_START") for text in log) == 1
    assert [text.split()[0] for text in log[-2:]] == ["END", "REPORT"]
    if kind != "Runtime.ExitError":
        assert sum(text.startswith(f"[ERROR] {kind}: {document['errorMessage']}") for text in log) == 2
        assert document["requestId"] == ""
    if handler == "syntax_error.handler":
        assert 'File "/var/task/syntax_error.py" Line 5' in document["stackTrace"][0]
    if handler == "init_raises.handler":
        assert FRAME.match(document["stackTrace"][-1])


@both
def test_failed_init_is_repeated_in_the_call_and_then_by_the_next(tmp_path: Path, bootstrap: str) -> None:
    left = tmp_path / "failures"
    left.write_text("3\n2\n1")
    flaky = function("init_flaky.handler", environment={"FAILURES": str(left)})

    async def work(lab: Lab) -> None:
        first = await lab.invoke(flaky, b"{}")
        assert json.loads(first.payload)["errorMessage"] == "2 failures left"
        second = await lab.invoke(flaky, b"{}")
        assert (second.payload, second.error) == (b'"up"', None)
        phases = [text.split("\t")[1] for text in lab.lines() if text.startswith("INIT_REPORT")]
        assert phases == ["Phase: init", "Phase: invoke", "Phase: init"]

    run(tmp_path, work, bootstrap)


def test_init_has_a_time_limit_of_its_own(tmp_path: Path) -> None:
    """Over it, the init is repeated under the function's own time limit: here enough, there not."""
    delays = tmp_path / "delays"

    async def work(lab: Lab) -> None:
        lab.init_seconds = 0.5
        delays.write_text("600 0.7")
        slow = function("init_slow.handler", environment={"DELAYS": str(delays)}, timeout=20)
        answer = await lab.invoke(slow, b"{}")
        assert (answer.payload, answer.error) == (b'"up"', None)
        assert any("Phase: init\tStatus: timeout\n" in text for text in lab.lines())
        delays.write_text("600 600")
        answer = await lab.invoke(function("init_slow.handler", environment=slow.environment, timeout=1), b"{}")
        assert json.loads(answer.payload)["errorType"] == "Sandbox.Timedout"
        assert "Task timed out after 1.00 seconds" in answer.log_tail.decode()
        assert "Phase: invoke\tStatus: timeout\n" in answer.log_tail.decode()

    run(tmp_path, work)


def test_what_is_refused_before_it_runs(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""

    async def work(lab: Lab) -> None:
        for payload in (b"{", b"{'a': 1}", b"\xff", b"NaN"):
            with pytest.raises(AwsError) as caught:
                await lab.invoke(function("echo.handler"), payload)
            assert (caught.value.code, caught.value.status) == ("InvalidRequestContentException", 400)
            assert caught.value.message.startswith("Could not parse request body into json: ")
        for call, size in ((lab.invoke, 6_291_456), (lab.invoke_async, 1_048_576)):
            with pytest.raises(AwsError) as caught:
                result = call(function("echo.handler"), b'"' + b"x" * (size - 1) + b'"')
                await result  # type: ignore[misc]
            assert (caught.value.code, caught.value.status) == ("RequestEntityTooLargeException", 413)
            assert str(size) in caught.value.message
        with pytest.raises(AwsError, match="ServiceException"):
            await lab.invoke(function("echo.handler", code=b"not a zip"), b"{}")
        assert (await lab.invoke(function("echo.handler"), b"")).payload == b"{}"

    run(tmp_path, work)


def test_role_that_cannot_be_assumed(tmp_path: Path) -> None:
    def refuse(role: str, session: str) -> dict[str, str]:
        raise AwsError("AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.", 403)

    async def work(lab: Lab) -> None:
        for _ in range(2):
            with pytest.raises(AwsError, match="cannot be assumed by Lambda"):
                await lab.invoke(function("echo.handler"), b"{}")

    run(tmp_path, work, credentials=refuse)


@both
def test_sizes(tmp_path: Path, bootstrap: str) -> None:
    """6 MB in and out. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

    async def work(lab: Lab) -> None:
        event = b'"' + b"x" * (6_291_456 - 2) + b'"'
        assert (await lab.invoke(function("echo.handler"), event)).payload == event
        large = function("results.large", name="large")
        answer = await lab.invoke(large, b'{"size": 6291556}')
        assert (len(answer.payload), answer.error) == (6_291_556, None)
        answer = await lab.invoke(large, b'{"size": 6291557}')
        assert (answer.error, json.loads(answer.payload)) == (
            "Unhandled",
            {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            },
        )
        assert (await lab.invoke(large, b'{"size": 10}')).payload == b'"xxxxxxxx"'

    run(tmp_path, work, bootstrap)


# The environment. https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

VARIABLES = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "HOME",
    "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "LANG", "PATH", "PWD", "PYTHONPATH", "TMPDIR", "TZ",
}  # fmt: skip


@both
def test_environment_is_what_aws_documents(tmp_path: Path, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "http://elsewhere")
    monkeypatch.setenv("WORKBOOK_LAB", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    own = {"TABLE": "Invoices", "AWS_REGION": "mars-1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "TZ": "CET"}
    answer, _ = invoke(tmp_path, bootstrap, "about.environment", environment=own)
    found = json.loads(answer.payload)
    variables = found["variables"]
    extra = {"AWS_LAMBDA_RUNTIME_API"} if bootstrap == "awslambdaric" else set()
    system = {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}  # Python's where en_US.UTF-8 is not installed, and macOS's
    assert set(variables) - system == VARIABLES | extra | {"TABLE"}
    expected = {
        "TABLE": "Invoices", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "LANG": "en_US.UTF-8",
        "TZ": "CET", "AWS_ENDPOINT_URL": ENDPOINT, "AWS_ACCESS_KEY_ID": "ASIA-test", "AWS_SESSION_TOKEN": "t",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13", "_HANDLER": "about.environment",
    }  # fmt: skip
    assert expected.items() <= variables.items()
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", variables["_X_AMZN_TRACE_ID"])
    task, runtime, *rest = found["path"]
    assert (task, runtime) == (variables["LAMBDA_TASK_ROOT"], variables["LAMBDA_RUNTIME_DIR"])
    assert os.path.realpath(found["folder"]) == os.path.realpath(task) == os.path.realpath(variables["PWD"])
    rest = [path for path in rest if not path.endswith("/ric")]
    assert rest and all(path.startswith(sys.base_prefix) and "site-packages" not in path for path in rest)


@both
def test_a_function_sees_its_zip_boto3_and_the_standard_library(tmp_path: Path, bootstrap: str) -> None:
    there = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "sqlite3", "shop.orders"]
    not_there = ["moto", "helpers", "orjson", "httptools", "flask", "pytest", "psutil", "worker", "pip"]
    answer, _ = invoke(tmp_path, bootstrap, "about.importable", there + not_there)
    found = json.loads(answer.payload)
    assert [name for name, file in found.items() if file] == there
    assert "/runtime/boto3/" in found["boto3"]


@both
def test_boto3_finds_the_lab_and_the_role(tmp_path: Path, bootstrap: str) -> None:
    answer, _ = invoke(tmp_path, bootstrap, "about.endpoint")
    assert json.loads(answer.payload) == [ENDPOINT, "eu-west-1", "ASIA-test", "t"]


@both
def test_temporary_files_are_private_to_an_environment(tmp_path: Path, bootstrap: str) -> None:
    answer, _ = invoke(tmp_path, bootstrap, "about.private_folder")
    file, home = json.loads(answer.payload)
    assert Path(file).parent == Path(home)
    assert Path(home).is_relative_to((tmp_path / "lambda").resolve())


# Logs. https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html


@both
def test_log_of_a_call(tmp_path: Path, bootstrap: str) -> None:
    async def work(lab: Lab) -> None:
        answer = await lab.invoke(function("output.lines"), b"{}")
        again = await lab.invoke(function("output.lines"), b"{}")
        log = [re.sub(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", "TIME", text) for text in lab.lines()]
        python = ".".join(map(str, sys.version_info[:3]))
        assert log[0] == f"INIT_START Runtime Version: python:{python}\tStands in for: python3.13\n"
        assert log[1] == "[WARNING]\tTIME\t\tat import\n"
        for one, first in ((answer, 2), (again, 11)):
            assert log[first : first + 8] == [
                f"START RequestId: {one.request_id} Version: $LATEST\n",
                "one\n",
                "two\n",
                "three\n",
                "four\n",
                f"[INFO]\tTIME\t{one.request_id}\tfive 5\n",
                "six £\n",
                f"END RequestId: {one.request_id}\n",
            ]
            report = log[first + 8]
            match = re.fullmatch(
                rf"REPORT RequestId: {one.request_id}\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t"
                r"Memory Size: 512 MB\tMax Memory Used: (\d+) MB\t(?:Init Duration: ([\d.]+) ms\t)?\n",
                report,
            )
            assert match, report
            took, billed, used = float(match[1]), int(match[2]), int(match[3])
            assert bool(match[4]) == (one is answer)
            assert 0 <= billed - took - float(match[4] or 0) < 1.01
            assert 5 < used < 200
            assert one.log_tail.decode().endswith(f"END RequestId: {one.request_id}\n{report}")
            assert one.log_tail.decode().startswith(f"START RequestId: {one.request_id}")
        assert len(log) == 20
        assert {group for group, _, _ in lab.logs} == {"/aws/lambda/test"}
        (stream,) = {stream for _, stream, _ in lab.logs}
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)

    run(tmp_path, work, bootstrap)


def test_a_logged_trace_is_one_event(tmp_path: Path) -> None:
    _, log = invoke(tmp_path, "own", "output.trace")
    (event,) = [text for text in log if "no row" in text]
    assert event.startswith("[ERROR]\t") and event.endswith("KeyError: 'row'\n")
    assert '\n  File "/var/task/output.py", line ' in event


@both
def test_log_formats_of_the_function_itself(tmp_path: Path, bootstrap: str) -> None:
    answer, log = invoke(tmp_path, bootstrap, "output.plain")
    assert any(text.startswith(f"{answer.request_id} bare") for text in log)


@both
def test_ten_megabytes_of_output(tmp_path: Path, bootstrap: str) -> None:
    async def work(lab: Lab) -> None:
        flood = {"lines": 1000, "width": 10_000}
        answer = await lab.invoke(function("output.flood"), json.dumps(flood).encode())
        assert answer.payload == b'"written"'
        written = [text for text in lab.lines() if "xxx" in text]
        assert [int(text.split()[0]) for text in written] == list(range(1000))
        assert len(answer.log_tail) == 4096
        assert answer.log_tail.endswith(b" MB\t\n") or b"Init Duration" in answer.log_tail[-100:]
        answer = await lab.invoke(function("output.one_line", name="long"), b'{"width": 10000000}')
        assert answer.payload == b'"written"'
        written = [text.rstrip("\n") for text in lab.lines("long") if "xxx" in text]
        assert "".join(written) == "y" * 10 + "x" * 10_000_000
        assert all(len(text.encode()) <= 262_118 for text in written)

    run(tmp_path, work, bootstrap)


def test_logs_are_written_without_being_asked_for(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.invoke(function("echo.handler"), b"{}")
        async with asyncio.timeout(10):
            while len(lab.logs) < 4:
                await asyncio.sleep(0.01)
        assert [text.split()[0] for _, _, text in lab.logs] == ["INIT_START", "START", "END", "REPORT"]

    run(tmp_path, work)


# Life and death of workers.


@both
def test_state_lives_from_call_to_call(tmp_path: Path, bootstrap: str) -> None:
    async def work(lab: Lab) -> None:
        answers = [json.loads((await lab.invoke(function("state.handler"), b"1")).payload) for _ in range(5)]
        assert [answer["calls"] for answer in answers] == [1, 2, 3, 4, 5]
        assert lab.workers() == {"test": [answers[0]["pid"]]}

    run(tmp_path, work, bootstrap)


@both
def test_time_out(tmp_path: Path, bootstrap: str) -> None:
    """The worker ends with what it has started; the next call finds a new one."""
    begun = tmp_path / "begun"
    event = json.dumps({"begun": str(begun), "seconds": 600}).encode()

    async def work(lab: Lab) -> None:
        slow = function("slow.handler", timeout=1)
        started = time.monotonic()
        answer = await lab.invoke(slow, event)
        text = f"RequestId: {answer.request_id} Error: Task timed out after 1.00 seconds"
        assert answer.error == "Unhandled"
        assert json.loads(answer.payload) == {"errorType": "Sandbox.Timedout", "errorMessage": text}
        assert 1 <= time.monotonic() - started < 15
        log = lab.lines()
        assert log[2] == "before\n"
        assert re.fullmatch(rf"\d{{4}}-\S+Z {answer.request_id} Task timed out after 1.00 seconds\n\n", log[3])
        assert "\tDuration: 1000.00 ms\t" in log[5] and log[5].endswith("\tStatus: timeout\n")
        quick = await lab.invoke(slow, json.dumps({"begun": str(begun), "seconds": 0}).encode())
        assert quick.payload == b'"done"'
        begun.unlink()
        answer = await lab.invoke(function("slow.with_child", name="child", timeout=1), event)
        assert json.loads(answer.payload)["errorType"] == "Sandbox.Timedout"
        await gone(int(begun.read_text()))

    run(tmp_path, work, bootstrap)


def test_a_caller_that_gives_up_leaves_the_function_running(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    event = json.dumps({"begun": str(begun), "go": str(go)}).encode()

    async def work(lab: Lab) -> None:
        with pytest.raises(TimeoutError):
            await lab.invoke(function("slow.until"), event, patience=0.05)
        await appears(begun)
        (pid,) = lab.workers()["test"]
        go.write_text("")
        assert (await lab.invoke(function("slow.until"), event, patience=20)).payload == b'"done"'
        assert pid in lab.workers()["test"]

    run(tmp_path, work)


@both
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_worker_killed_while_it_works(tmp_path: Path, bootstrap: str, number: signal.Signals) -> None:
    begun = tmp_path / "begun"

    async def work(lab: Lab) -> None:
        slow = function("slow.handler")
        call = asyncio.create_task(lab.invoke(slow, json.dumps({"begun": str(begun), "seconds": 600}).encode()))
        await appears(begun)
        (pid,) = lab.workers()["test"]
        os.kill(pid, number)
        answer = await call
        name = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated"}[number]
        message = f"RequestId: {answer.request_id} Error: Runtime exited with error: signal: {name}"
        assert json.loads(answer.payload) == {"errorType": "Runtime.ExitError", "errorMessage": message}
        assert answer.error == "Unhandled"
        assert b"before\n" in answer.log_tail
        answer = await lab.invoke(slow, json.dumps({"begun": str(begun), "seconds": 0}).encode())
        assert answer.payload == b'"done"'
        assert lab.workers()["test"] != [pid]

    run(tmp_path, work, bootstrap)


@both
def test_worker_killed_while_idle_costs_no_call(tmp_path: Path, bootstrap: str) -> None:
    async def work(lab: Lab) -> None:
        first = json.loads((await lab.invoke(function("state.handler"), b"1")).payload)
        os.kill(first["pid"], signal.SIGKILL)
        await gone(first["pid"])
        second = await lab.invoke(function("state.handler"), b"1")
        assert second.error is None
        assert json.loads(second.payload)["pid"] != first["pid"]

    run(tmp_path, work, bootstrap)


def test_an_idle_worker_killed_without_the_loop_having_heard_of_it(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        first = json.loads((await lab.invoke(function("state.handler"), b"1")).payload)
        os.kill(first["pid"], signal.SIGKILL)
        while psutil.pid_exists(first["pid"]):  # without a turn of the loop
            time.sleep(0.001)
        second = await lab.invoke(function("state.handler"), b"1")
        assert second.error is None

    run(tmp_path, work)


@both
def test_memory_setting(tmp_path: Path, bootstrap: str) -> None:
    async def work(lab: Lab) -> None:
        small = function("memory.handler", memory=128)
        assert (await lab.invoke(small, b'{"mb": 10}')).payload == b"10"
        answer = await lab.invoke(small, b'{"mb": 400}')
        assert json.loads(answer.payload)["errorMessage"].endswith("Runtime exited with error: signal: killed")
        assert "Memory Size: 128 MB\tMax Memory Used: 128 MB\t" in answer.log_tail.decode()
        assert (await lab.invoke(small, b'{"mb": 10}')).payload == b"10"
        assert (await lab.invoke(function("memory.handler", memory=1024), b'{"mb": 400}')).payload == b"400"

    run(tmp_path, work, bootstrap)


@both
def test_update_while_a_call_runs(tmp_path: Path, bootstrap: str) -> None:
    """The old code finishes its call; calls that come after the update run the new code."""
    begun, go = tmp_path / "begun", tmp_path / "go"

    async def work(lab: Lab) -> None:
        old = function("slow.until")
        call = asyncio.create_task(lab.invoke(old, json.dumps({"begun": str(begun), "go": str(go)}).encode()))
        await appears(begun)
        (pid,) = lab.workers()["test"]
        await lab.retire("test")
        new = function("fresh.handler", code=package(fresh="def handler(event, context):\n    return 'new'\n"))
        assert (await lab.invoke(new, b"{}")).payload == b'"new"'
        assert pid in lab.workers()["test"]
        go.write_text("")
        assert (await call).payload == b'"done"'
        await gone(pid)
        assert (await lab.invoke(new, b"{}")).payload == b'"new"'
        changed = function("about.environment", code=new.code, environment={"A": "B"})
        variables = json.loads((await lab.invoke(changed, b"{}")).payload)["variables"]
        assert variables["A"] == "B"  # a changed configuration finds no old worker, whether or not it was told of
        await lab.retire("test")
        for known in [pid for pids in lab.workers().values() for pid in pids]:
            await gone(known)

    run(tmp_path, work, bootstrap)


def test_credentials_outlast_a_call(tmp_path: Path) -> None:
    lifetimes = [30.0, 3600.0]

    def credentials(role: str, session: str) -> dict[str, Any]:
        return {"AWS_ACCESS_KEY_ID": "A", "Expiration": time.time() + lifetimes.pop(0)}

    async def work(lab: Lab) -> None:
        pids = [json.loads((await lab.invoke(function("state.handler"), b"1")).payload)["pid"] for _ in range(3)]
        assert pids[0] != pids[1] == pids[2]

    run(tmp_path, work, credentials=credentials)


def test_idle_workers_are_reaped(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        lab.idle_seconds = 0.2
        await lab.invoke(function("state.handler"), b"1")
        (pid,) = lab.workers()["test"]
        await gone(pid)
        assert json.loads((await lab.invoke(function("state.handler"), b"1")).payload)["calls"] == 1

    run(tmp_path, work)


def test_workers_end_with_a_lab_that_is_killed(tmp_path: Path) -> None:
    """Also one that is busy and holds on to its interpreter, and one that is idle."""
    program = textwrap.dedent(f"""
        import asyncio, json, sys
        sys.path[:0] = {[str(CASES.parent), str(CASES.parents[1])]}
        from pathlib import Path
        from test_lambda_runtime import appears, function, open_lab

        async def main():
            folder = Path({str(tmp_path)!r})
            async with open_lab(folder) as lab:
                await lab.invoke(function("echo.handler", name="idle"), b"1")
                event = json.dumps({{"begun": str(folder / "begun")}}).encode()
                call = asyncio.create_task(lab.invoke(function("slow.stubborn", timeout=900), event))
                await appears(folder / "begun")
                print(json.dumps(lab.workers()), flush=True)
                await call

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as lab:
        assert lab.stdout
        workers = json.loads(lab.stdout.readline())
        processes = [psutil.Process(pid) for pids in workers.values() for pid in pids]
        assert set(workers) == {"idle", "test"} and all(process.is_running() for process in processes)
        lab.kill()
    for process in processes:
        process.wait(20)


@both
def test_close_while_calls_run_wait_and_start(tmp_path: Path, bootstrap: str) -> None:
    begun = tmp_path / "begun"

    async def work(lab: Lab) -> list[Any]:
        event = json.dumps({"begun": str(begun), "seconds": 600}).encode()
        calls = [asyncio.create_task(lab.invoke(function("slow.handler"), event)) for _ in range(2)]
        await appears(begun)
        calls.append(asyncio.create_task(lab.invoke(function("echo.handler", name="starting"), b"1")))
        lab.invoke_async(function("slow.handler"), event)
        await asyncio.sleep(0)
        return calls

    async def main() -> None:
        async with open_lab(tmp_path, bootstrap, max_workers=2) as lab:
            calls = await work(lab)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            assert isinstance(answer, (AwsError, Invocation))
        assert json.loads(answers[0].payload)["errorMessage"].endswith("signal: killed")
        with pytest.raises(AwsError, match="closing"):
            await lab.invoke(function("echo.handler"), b"1")

    asyncio.run(main())


# Concurrency. https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html


def test_throttles(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    async def work(lab: Lab) -> None:
        async def refused(target: Function, reason: str) -> None:
            with pytest.raises(AwsError) as caught:
                await lab.invoke(target, b"{}")
            assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
            assert caught.value.members["Reason"] == reason

        await refused(
            function("echo.handler", reserved_concurrency=0), "ReservedFunctionConcurrentInvocationLimitExceeded"
        )
        reserved = function("slow.until", reserved_concurrency=1)
        event = json.dumps({"begun": str(begun), "go": str(tmp_path / "go")}).encode()
        call = asyncio.create_task(lab.invoke(reserved, event))
        await appears(begun)
        await refused(reserved, "ReservedFunctionConcurrentInvocationLimitExceeded")
        begun.unlink()
        other = asyncio.create_task(lab.invoke(function("slow.until", name="other"), event))
        await appears(begun)
        await refused(function("echo.handler", name="third"), "ConcurrentInvocationLimitExceeded")
        (tmp_path / "go").write_text("")
        assert [(await one).payload for one in (call, other)] == [b'"done"', b'"done"']
        assert (await lab.invoke(reserved, event)).payload == b'"done"'
        assert (await lab.invoke(function("echo.handler", name="third"), b"3")).payload == b"3"

    run(tmp_path, work, account_concurrency=1)


def test_calls_run_side_by_side_and_then_wait_in_line(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        files = [tmp_path / f"begun{number}" for number in range(3)]
        events = [json.dumps({"begun": str(file), "go": str(tmp_path / "go")}).encode() for file in files]
        calls = [asyncio.create_task(lab.invoke(function("slow.until"), event)) for event in events]
        await appears(files[0])
        await appears(files[1])
        assert len(lab.workers()["test"]) == 2
        waiting = [
            asyncio.create_task(lab.invoke(function("echo.handler", name="other"), b"%d" % number))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        assert not files[2].exists() and set(lab.workers()) == {"test"}
        (tmp_path / "go").write_text("")
        assert [(await call).payload for call in calls] == [b'"done"'] * 3
        assert [(await call).payload for call in waiting] == [b"%d" % number for number in range(20)]
        assert lab.places() <= 2

    run(tmp_path, work, max_workers=2)


def test_workers_that_only_wait_leave_room_for_more(tmp_path: Path) -> None:
    """Each waits for what the next one does: without more room than one place, for ever."""
    code = package(
        link="import pathlib, time\n"
        "def handler(event, context):\n"
        "    folder, number, count = event\n"
        "    while number < count and not pathlib.Path(folder, str(number + 1)).exists():\n"
        "        time.sleep(0.02)\n"
        "    pathlib.Path(folder, str(number)).touch()\n"
        "    return number\n"
    )

    async def work(lab: Lab) -> None:
        lab.stall_seconds, lab.idle_seconds = 0.3, 0.5
        calls = []
        for number in range(7):
            target = function("link.handler", name=f"link{number}", code=code)
            calls.append(asyncio.create_task(lab.invoke(target, json.dumps([str(tmp_path), number, 6]).encode())))
            await asyncio.sleep(0)
        async with asyncio.timeout(25):
            assert [(await call).payload for call in calls] == [b"%d" % number for number in range(7)]
            while lab.workers():  # and what is idle ends, as ever
                await asyncio.sleep(0.05)

    run(tmp_path, work, max_workers=1)


def test_workers_that_work_leave_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = package(
        spin="import time\ndef handler(event, context):\n"
        "    while time.process_time() < 1.5:\n        pass\n    return 'done'\n"
    )

    async def work(lab: Lab) -> None:
        lab.stall_seconds, most = 0.3, 0
        used, measured = list[float](), lab._processor_time

        def processor_time() -> float:
            used.append(measured())
            return 60.0 * len(used)  # they have always worked, however little a busy machine lets them

        monkeypatch.setattr(lab, "_processor_time", processor_time)
        calls = [
            asyncio.create_task(lab.invoke(function("spin.handler", name=name, code=code), b"{}")) for name in "ab"
        ]
        while not all(call.done() for call in calls):
            most = max(most, lab.places())
            await asyncio.sleep(0.02)
        assert [(await call).payload for call in calls] == [b'"done"'] * 2 and most == 1
        assert max(used) > 0.2, "what they have used is read from the system"

    run(tmp_path, work, max_workers=1)


def test_workers_that_wait_for_a_busy_lab_leave_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them would only take memory: the lab answers as fast as it can."""
    worked = itertools.count(step=60)  # the lab has always worked, however little a busy machine lets it
    monkeypatch.setattr(time, "process_time", lambda: next(worked))
    code = package(nap="import time\ndef handler(event, context):\n    time.sleep(1.5)\n    return 'done'\n")

    async def work(lab: Lab) -> None:
        lab.stall_seconds, most = 0.3, 0
        calls = [asyncio.create_task(lab.invoke(function("nap.handler", name=name, code=code), b"{}")) for name in "ab"]
        while not all(call.done() for call in calls):
            most = max(most, lab.places())
            await asyncio.sleep(0.02)
        assert [(await call).payload for call in calls] == [b'"done"'] * 2 and most == 1

    run(tmp_path, work, max_workers=1)


def test_waiting_calls_are_served_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        async def call(number: int) -> int:
            answer = await lab.invoke(function("state.handler"), b"%d" % number)
            return int(json.loads(answer.payload)["calls"])

        assert await asyncio.gather(*(call(number) for number in range(30))) == list(range(1, 31))

    run(tmp_path, work, max_workers=1)


def test_two_functions_share_one_process_place(tmp_path: Path) -> None:
    """Neither starves, though one place must serve both."""

    async def work(lab: Lab) -> None:
        async def client(name: str) -> None:
            for number in range(30):
                assert (await lab.invoke(function("echo.handler", name=name), b"%d" % number)).payload == b"%d" % number

        await asyncio.gather(*(client(name) for name in ("a", "b", "a", "b")))

    run(tmp_path, work, max_workers=1)


def test_functions_that_are_all_busy_keep_their_processes(tmp_path: Path) -> None:
    """An environment that is idle for a moment, between two batches, is not ended for another function's call."""
    code = package(nap="import time\ndef handler(event, context):\n    time.sleep(0.01)\n")

    async def work(lab: Lab) -> None:
        async def client(name: str) -> None:
            for _ in range(100):
                await lab.invoke(function("nap.handler", name=name, code=code), b"{}")
                await asyncio.sleep(0.005)  # until its next batch is there

        await asyncio.gather(*(client(name) for name in "abc" * 2))
        lab.flush()
        started = {(group, stream) for group, stream, _ in lab.logs}
        assert {group[-1] for group, _ in started} == set("abc")
        assert len(started) < 4 + 3 * 2, f"{len(started)} processes were started for four places"

    run(tmp_path, work, max_workers=4)


def test_workers_killed_at_random_lose_no_call(tmp_path: Path) -> None:
    """Every call is answered, by its result or by the error that its worker was killed."""

    async def work(lab: Lab) -> None:
        done = killed = 0

        async def client() -> None:
            nonlocal done, killed
            for number in range(40):
                answer = await lab.invoke(function("echo.handler"), b"%d" % number)
                if answer.error:
                    assert json.loads(answer.payload)["errorMessage"].endswith("signal: killed")
                    killed += 1
                else:
                    assert answer.payload == b"%d" % number
                    done += 1

        async def killer() -> None:
            while True:
                for pid in lab.workers().get("test", [])[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(killer())
        await asyncio.gather(*(client() for _ in range(4)))
        task.cancel()
        assert done + killed == 160 and done

    run(tmp_path, work)


# Asynchronous invocation. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html


def deliver(
    folder: Path, target: Function, event: bytes, *, concurrency: int = 1_000, **options: Any
) -> tuple[dict[str, Any], list[str], str]:
    """Queue one event and wait for its record."""

    async def work(lab: Lab) -> tuple[dict[str, Any], list[str], str]:
        lab.retry_delays, lab.throttle_delays = (0.01, 0.02), (0.01, 0.05)
        lab.account_concurrency = concurrency
        record: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        request_id = lab.invoke_async(target, event, on_done=record.set_result, **options)
        async with asyncio.timeout(20):
            return await record, lab.lines(), request_id

    return run(folder, work)  # type: ignore[no-any-return]


def test_event_that_succeeds(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    record, _, request_id = deliver(tmp_path, function("echo.handler"), b'{"InvoiceNo": "536365"}')
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", record.pop("timestamp"))
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}test:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"InvoiceNo": "536365"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"InvoiceNo": "536365"},
    }


def test_event_that_fails_is_tried_three_times_in_all(tmp_path: Path) -> None:
    record, log, request_id = deliver(tmp_path, function("errors.own_error"), b"{}")
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "no 85123A left"
    assert log.count(f"START RequestId: {request_id} Version: $LATEST\n") == 3
    record, log, _ = deliver(tmp_path, function("errors.own_error"), b"{}", retries=0)
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert sum(text.startswith("START") for text in log) == 1


def test_event_is_retried_with_the_function_as_it_is_then(tmp_path: Path) -> None:
    async def refresh() -> Function:
        return function("echo.handler")

    record, _, _ = deliver(tmp_path, function("errors.own_error"), b"[1]", refresh=refresh)
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", [1])
    assert record["requestContext"]["approximateInvokeCount"] == 2


def test_event_that_grows_too_old(tmp_path: Path) -> None:
    record, _, _ = deliver(tmp_path, function("echo.handler"), b"[1]", concurrency=0, max_age=0.2)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == [1] and "responseContext" not in record


def test_event_of_a_function_that_may_not_run_is_given_up_at_once(tmp_path: Path) -> None:
    """The condition is called as localstack/localstack calls it: event_manager.py."""
    record, _, _ = deliver(tmp_path, function("echo.handler", reserved_concurrency=0), b"[1]")
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0


def test_throttled_events_are_all_delivered(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        lab.throttle_delays = (0.01, 0.05)
        done: list[Any] = []
        all_done = asyncio.Event()

        async def on_done(record: dict[str, Any]) -> None:
            done.append(record["responsePayload"])
            if len(done) == 50:
                all_done.set()

        for number in range(50):
            lab.invoke_async(function("echo.handler", reserved_concurrency=2), b"%d" % number, on_done=on_done)
        async with asyncio.timeout(30):
            await all_done.wait()
        assert sorted(done) == list(range(50))
        assert len(lab.workers()["test"]) <= 2

    run(tmp_path, work)


def measure() -> None:
    """Print what the machinery costs: `python -c "from tests.test_lambda_runtime import measure; measure()"`."""
    import tempfile

    async def work(lab: Lab) -> None:
        async def timed(target: Function, event: bytes, count: int) -> list[float]:
            found = []
            for _ in range(count):
                started = time.perf_counter()
                answer = await lab.invoke(target, event)
                found.append((time.perf_counter() - started) * 1000)
                assert answer.error is None, answer
            return found

        boto = package(imports="import boto3\ndef handler(event, context):\n    return len(event)\n")
        client = package(client="import boto3\nc = boto3.client('kinesis')\ndef handler(event, context):\n    pass\n")
        for title, handler, code in (
            ("bare", "echo.handler", PACKAGE),
            ("with boto3", "imports.handler", boto),
            ("with a boto3 client", "client.handler", client),
        ):
            cold = []
            for number in range(5):
                cold += await timed(function(handler, name=f"{title}{number}", code=code), b"{}", 1)
            print(f"cold start, {title}: median {statistics.median(cold):.0f} ms, best {min(cold):.0f} ms")
        warm = await timed(function("echo.handler"), b'{"InvoiceNo": "536365"}', 4000)
        deciles = statistics.quantiles(warm, n=10)
        print(f"warm call: median {deciles[4]:.3f} ms, 90 % below {deciles[8]:.3f} ms, best {min(warm):.3f} ms")
        event = json.dumps("x" * 5_000_000).encode()
        large = await timed(function("imports.handler", code=boto), event, 5)
        print(f"5 MB event: median {statistics.median(large[1:]):.1f} ms")

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), work, max_workers=20)
