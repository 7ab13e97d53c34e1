"""Workers as processes of the notebook that starts them: none of them outlives it.

    fleet = Fleet("--stream", "APIdata", "--application", "workbook-continuous", log=folder / "workers.log")
    fleet.start("ann")
    fleet.kill("ann")   # as hard as a power cut
    fleet.stop()        # all that are left, in order

A worker holds the other end of a pipe. When this process is gone, however it went, the pipe ends, and so does the
worker. When a cell is interrupted, Jupyter sends the same signal to them, and they end as well.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self


class Fleet:
    """Workers by name. `arguments` are those of each; `environment` is added to this process's own."""

    def __init__(
        self,
        *arguments: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        module: str = "helpers.continuous.worker",
    ) -> None:
        self.arguments, self.log, self.module = arguments, log, module
        self.environment = environment or {}
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        log.parent.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)

    def start(self, *names: str) -> None:
        """Starts workers; one that runs already is left alone."""
        for name in names:
            if name in self.running():
                continue
            command = [sys.executable, "-m", self.module, *self.arguments, "--name", name, "--with-parent"]
            with self.log.open("ab") as log:
                self.workers[name] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **self.environment}
                )

    def running(self) -> list[str]:
        """The names of those that live."""
        return [name for name, process in self.workers.items() if process.poll() is None]

    def signal(self, name: str, number: int) -> None:
        """Sends a worker a signal: SIGSTOP makes it sleep."""
        self.workers[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Ends a worker without asking it, in the middle of whatever it does."""
        self.workers[name].kill()
        self._gone(name)

    def stop(self, *names: str, timeout: float = 20.0) -> None:
        """Asks workers to end, all when none is named, and waits until they have."""
        for name in names or self.running():
            self.workers[name].send_signal(signal.SIGCONT)
            self.workers[name].terminate()
        for name in names or list(self.workers):
            try:
                self.workers[name].wait(timeout)
            except subprocess.TimeoutExpired:
                self.workers[name].kill()
            self._gone(name)

    def said(self) -> str:
        """What the workers have written so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def _gone(self, name: str) -> None:
        process = self.workers.pop(name)
        process.wait()
        if process.stdin:
            process.stdin.close()
