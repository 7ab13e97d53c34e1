"""A day of the shop put into a stream again, and a picture that moves while it goes by.

with Replay("workbook-replay", rows, speed=60) as replay:
    watch(lambda: day_picture(...), until=lambda: replay.done and results.records() >= replay.sent)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.exceptions import ClientError

from helpers.client import Pace
from helpers.rows import Row, to_json

MOST = 500  # records that PutRecords takes
_BUSY = ("ProvisionedThroughputExceededException", "InternalFailure")


def watched() -> bool:
    """Whether somebody sees this notebook move: a server has it open, and it is no batch run."""
    return os.environ.get("WORKBOOK_PROGRESS") != "0" and "JPY_SESSION_NAME" in os.environ


class Replay:
    """A thread that puts rows into a stream, each when it is due; at once when nobody watches.

    `sent` are the rows that the stream has; `done` is true when it has all, or `stop` was called. An error of the
    stream is raised when the `with` block ends.
    """

    def __init__(self, stream: str, rows: Iterable[Row], speed: float) -> None:
        self.sent, self.done = 0, False
        self._stream, self._rows, self._speed = stream, rows, speed
        self._kinesis: Any = boto3.client("kinesis")
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()
        if self._error and kind is None:
            raise self._error

    def stop(self) -> None:
        """Sends nothing more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            pace = Pace(self._speed)
            for _, moment in groupby(self._rows, key=lambda row: row["InvoiceDate"]):
                rows = list(moment)
                if self._stopped.wait(pace.wait_for(rows[0]) if watched() else 0):
                    return
                self.sent += put(self._kinesis, self._stream, rows)
        except Exception as error:
            self._error = error
        finally:
            self.done = True


def put(kinesis: Any, stream: str, rows: Iterable[Row]) -> int:
    """Puts rows into a stream as the ingestion Lambda does, in order for each invoice; returns how many."""
    entries = [{"Data": to_json(row).encode(), "PartitionKey": row["InvoiceNo"]} for row in rows]
    for start in range(0, len(entries), MOST):
        waiting = entries[start : start + MOST]
        while waiting:
            try:
                results = kinesis.put_records(StreamName=stream, Records=waiting)["Records"]
            except ClientError as error:
                if error.response["Error"]["Code"] not in _BUSY:
                    raise
                results = [{"ErrorCode": "busy"}] * len(waiting)
            waiting = [entry for entry, result in zip(waiting, results, strict=True) if "ErrorCode" in result]
            if waiting:
                time.sleep(0.2)
    return len(entries)


def watch(draw: Callable[[], Any], until: Callable[[], bool], every: float = 1.0, timeout: float = 7200.0) -> Any:
    """Shows a picture that is drawn anew every second, until the condition holds; returns the last one.

    In a batch nothing moves, only the last picture is drawn. Raises TimeoutError.
    """
    from IPython.display import clear_output, display

    deadline, alive = time.monotonic() + timeout, watched()
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout:g} s it was not over")
        if alive:
            picture = draw()
            clear_output(wait=True)
            display(picture)
        time.sleep(every if alive else 0.05)
    if alive:
        clear_output(wait=True)
    return draw()
