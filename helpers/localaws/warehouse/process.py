"""The engine's process as the lab sees it: started when the first statement comes, and again after its death.

Messages are JSON with their length before them (four bytes, big-endian): the lab sends jobs, the engine sends events,
and it asks for the credentials of a role. A process that dies takes the statement with it that ran, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

Message = dict[str, Any]
Ask = Callable[[Message], Awaitable[Message]]
LOST = (
    "The connection to the cluster was lost: the process of the local warehouse ended while the statement ran. What "
    "was not committed is rolled back; the next statement starts the process again."
)


def pack(message: Message) -> bytes:
    body = orjson.dumps(message)
    return struct.pack(">I", len(body)) + body


class Lost(Exception):
    """The process ended before it answered."""


class Process:
    """One cluster's engine. Jobs run one after the other, in the order in which they came."""

    def __init__(self, folder: Path, settings: Message, ask: Ask) -> None:
        self.folder, self.settings, self._ask = folder, settings, ask
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._running = ""
        self._questions: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    async def run(self, job: Message, on_event: Callable[[Message], None]) -> Message:
        """Runs a job and returns its last message; `on_event` gets those before. Raises Lost."""
        async with self._turn:
            on_event({"event": "picked"})
            process = await self._started()
            if job.get("canceled", lambda: False)():  # until now nobody could have interrupted it
                return {"event": "done", "aborted": True}
            self._running = job["id"]
            try:
                return await self._talk(process, {k: v for k, v in job.items() if k != "canceled"}, on_event)
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                await self._end(process)
                raise Lost(LOST) from error
            finally:
                self._running = ""

    async def _talk(
        self, process: asyncio.subprocess.Process, job: Message, on_event: Callable[[Message], None]
    ) -> Message:
        assert process.stdin and process.stdout
        process.stdin.write(pack({"do": "run", **job}))
        await process.stdin.drain()
        while True:
            (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
            message: Message = orjson.loads(await process.stdout.readexactly(length))
            if "ask" in message:
                # A task: the engine waits for the answer, but its other messages must not.
                task = asyncio.ensure_future(self._answer(process, message))
                self._questions.add(task)
                task.add_done_callback(self._questions.discard)
            elif message["event"] == "done":
                return message
            else:
                on_event(message)

    async def _answer(self, process: asyncio.subprocess.Process, question: Message) -> None:
        answer = await self._ask(question)
        with contextlib.suppress(OSError):
            assert process.stdin
            process.stdin.write(pack({"do": "answer", **answer}))
            await process.stdin.drain()

    async def cancel(self, job_id: str) -> None:
        """Interrupts a job that runs."""
        if self._running == job_id and self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.write(pack({"do": "cancel", "id": job_id}))
                await self._process.stdin.drain()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process and self._process.stdout and self._process.stdout.at_eof():
            await self._end(self._process)  # it died between two statements: the next one is not lost with it
        if self._process is None or self._process.returncode is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "helpers.localaws.warehouse.engine", str(self.folder),
                orjson.dumps(self.settings).decode(),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, limit=2**20,
            )  # fmt: skip
        return self._process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if self._process is process:
            self._process = None

    async def close(self) -> None:
        """Ends the process; the database stays in its folder."""
        if self._process:
            await self._end(self._process)
