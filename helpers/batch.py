"""What batch commands share: a lab of their own that always ends, and errors in one line."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

LabAction = Callable[[Path], object]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CommandError(Exception):
    """What was asked for cannot be done. The message is one line: what is wrong, and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or a closed terminal: of the kind that an event loop lets through from wherever it strikes."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        self.exit_code = 128 + number
        super().__init__(f"interrupted by {self.signal.name}")


@contextmanager
def own_lab(folder: Path, start: LabAction, stop: LabAction, **environment: str) -> Generator[None]:
    """A lab in `folder`, named to every kernel by WORKBOOK_LAB; stopped in the end, also on Ctrl-C.

    Signals raise Interrupted within. The environment is afterwards what it was before.
    """
    before = dict(os.environ)
    os.environ.update(environment, WORKBOOK_LAB=str(folder))
    try:
        with _on_signals(_interrupt):
            try:
                with _deferred():  # a lab that was half started would be nobody's to stop
                    start(folder)
                yield
            finally:
                with _on_signals(signal.SIG_IGN):
                    stop(folder)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # tasks that this ends would each complain
    raise Interrupted(number)


@contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _deferred() -> Generator[None]:
    """Signals within are heard at the end of the block."""
    heard: list[int] = []
    with _on_signals(lambda number, frame: heard.append(number)):
        yield
    if heard:
        raise Interrupted(heard[0])


def logging_kernels(log: Path) -> type[AsyncKernelManager]:
    """A class of kernels whose own words (warnings at start, a crash's last lines) go to the end of that file.

    What cells print is not among them: that becomes the notebook's output.
    """

    from jupyter_client.manager import AsyncKernelManager  # here, because it is slow and few commands need it

    class LoggingKernelManager(AsyncKernelManager):
        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            with log.open("ab") as file:
                await super().start_kernel(stdout=file, stderr=file, **options)

    return LoggingKernelManager


def cell_name(number: int | None, source: str) -> str:
    """How a message names a cell: the number in its brackets and its first line."""
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return f"cell [{number if number is not None else ' '}] `{shorten(first, 120)}`"


def shorten(text: str, limit: int = 500) -> str:
    """The text in one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(error: BaseException) -> str:
    """Class and message, in one line."""
    return shorten(f"{type(error).__name__}: {error}")


def short_path(path: Path) -> str:
    """The path as the user would type it: relative when it lies below where they stand."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
