"""Starts, finds and stops the lab process: one folder, one process, one port on 127.0.0.1.

The folder holds `lab.json` (port, pid, keys; readable by its owner only), `lab.log` and what the lab needs on disk. All
else is in memory: a lab that ended has lost its cloud.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import logging
import os
import secrets
import shutil
import signal
import string
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

REGION = "us-east-1"
# glibc keeps what was freed for the next large request, and more so with each thread; other systems ignore these.
# https://man7.org/linux/man-pages/man3/mallopt.3.html
_THRIFT = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "1048576"}


class LabError(Exception):
    """The lab cannot do what was asked; the message is one line for the reader."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the line, without the way through our code."""
        return [f"{type(self).__name__}: {self}"]


class DeadLab(LabError):
    """The lab process ended by itself, and its cloud with it."""


@dataclass(frozen=True, slots=True)
class LabInfo:
    """Where a lab runs and with which key it is reached."""

    port: int
    pid: int
    access_key: str
    secret_key: str
    started: float = 0.0  # epoch seconds

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The AWS_* variables under which boto3, the AWS CLI and others find this lab."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }


def _alive(info: LabInfo) -> bool:
    """Whether the process that answers on the port is this lab (pids and ports are used again)."""
    connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=10)
    try:
        connection.request("GET", f"/_aws/health?pid={info.pid}")
        return connection.getresponse().getheader("x-lab-pid") == str(info.pid)
    except OSError:
        return False
    finally:
        connection.close()


def find(folder: Path) -> LabInfo | None:
    """The lab of a folder; None when it never started or was stopped; raises DeadLab when its process has died."""
    try:
        info = LabInfo(**json.loads((folder / "lab.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if _alive(info):
        return info
    raise DeadLab(f"the lab process {info.pid} has ended, and its cloud is lost (log: {folder / 'lab.log'})")


def start(folder: Path, *, idle_exit: float | None = None, port: int = 0) -> LabInfo:
    """Finds the folder's lab or starts one; what a dead one left is cleared away.

    idle_exit: seconds without a request after which the lab ends by itself. port: 0 takes a free one.
    Raises LabError when it does not come up, say because the port is taken.
    """
    with contextlib.suppress(DeadLab):
        if info := find(folder):
            return info
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lab.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "helpers.localaws.server", str(folder.resolve()), "--port", str(port)]
    if idle_exit is not None:
        command += ["--idle-exit", str(idle_exit)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))} | _THRIFT
    with (folder / "lab.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
        )
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                lines = (folder / "lab.log").read_text(errors="replace").strip().splitlines() or ["no output"]
                raise LabError(f"the lab did not start: {lines[-1]}")
            with contextlib.suppress(DeadLab):
                if info := find(folder):
                    return info
            time.sleep(0.02)
    except BaseException:  # interrupted: what was begun is not left behind
        process.kill()
        raise
    process.kill()
    raise LabError(f"the lab did not start within 60 s (log: {folder / 'lab.log'})")


def stop(folder: Path) -> bool:
    """Ends the folder's lab and everything it started; False when none ran."""
    try:
        info = find(folder)
    except DeadLab:
        _clear(folder)
        return False
    if info is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(info.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while _running(info.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    if _running(info.pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(info.pid, signal.SIGKILL)
    _clear(folder)
    return True


def _running(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # when it is our own child, it must be reaped to be gone
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _clear(folder: Path) -> None:
    (folder / "lab.json").unlink(missing_ok=True)
    for room in ("lambda", "warehouse"):
        shutil.rmtree(folder / room, ignore_errors=True)


async def serve(folder: Path, port: int, idle_exit: float | None) -> None:
    """The lab process itself: runs until SIGTERM, SIGINT or idleness."""
    from . import front_door
    from .types import Request, Response

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    letters = string.ascii_uppercase + string.digits
    access_key = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
    secret_key = secrets.token_urlsafe(30)
    door: list[front_door.Handler] = []
    identity = {"x-lab-pid": str(os.getpid())}

    def handle(request: Request) -> Response | asyncio.Future[Response]:
        answer = door[0](request)
        if request.path == "/_aws/health" and isinstance(answer, Response):
            answer.headers.update(identity)
        return answer  # type: ignore[return-value]

    try:
        server, connections = await front_door.listen(handle, port)
    except OSError as error:
        raise SystemExit(f"port {port} on 127.0.0.1 is in use: {error.strerror}") from None
    port = server.sockets[0].getsockname()[1]

    from .cloud import Cloud

    cloud = Cloud(folder, port, access_key, secret_key)
    door.append(cloud.handle)
    info = LabInfo(port, os.getpid(), access_key, secret_key, time.time())
    target = folder / "lab.json"
    temporary = folder / ".lab.json"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(asdict(info)))
    temporary.replace(target)
    try:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), None if idle_exit is None else max(1.0, idle_exit / 10))
            if idle_exit is not None and time.monotonic() - cloud.last_used > idle_exit:
                break
    finally:
        server.close()
        for connection in list(connections):
            if connection.transport:
                connection.transport.close()
        await cloud.close()
        _clear(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="the lab process of the workbook")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--idle-exit", type=float, default=None)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(serve(arguments.folder, arguments.port, arguments.idle_exit))


if __name__ == "__main__":
    main()
