"""What the client knows of the rows it sends: which are done, what became of them, and the checkpoint on
disk."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from io import FileIO
from pathlib import Path
from typing import Any, Self

import orjson

from helpers.rows import COLUMNS, EXACT, InputError, Refused, Row, Selection, revenue

MAX_SET_ASIDE = 1_000  # refused rows that a report holds when there is no file for them


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was refused for good, as it stands in the file of refused rows (one JSON object a line)."""

    RowId: str
    reason: str
    row: Any


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the rows.

    `accepted`, `refused` and `revenue` (exact, of the accepted rows) cover the whole job; `resumed` of its
    rows were done before this run, see `checkpoint` of `send`. `refused` counts broken rows of the file too.
    The rest is this run's: `sent`, the rows that the API decided on; `requests`, of which `retried` repeated
    an earlier one; `seconds`; `latency_ms`, from request to answer, p50, p95 and p99. Refused rows are in
    `refused_file`, or, if there is none, in `set_aside`.
    """

    sent: int
    accepted: int
    retried: int
    refused: int
    seconds: float
    rows_per_second: float
    revenue: Decimal
    requests: int
    resumed: int
    latency_ms: dict[str, float]
    refused_file: Path | None = None
    set_aside: tuple[RefusedRow, ...] = ()

    def __str__(self) -> str:
        text = f"{self.accepted:,} rows accepted, revenue {self.revenue:f}; {self.refused:,} refused"
        if self.refused_file and self.refused:
            text += f" (see {self.refused_file})"
        if self.resumed:
            text += f"; {self.resumed:,} of them in an earlier run"
        text += f"; {self.sent:,} sent in {self.seconds:.1f} s, {self.rows_per_second:,.0f} rows/s"
        text += f", {self.requests:,} requests, {self.retried:,} retried"
        if self.latency_ms:
            text += ", ms " + " ".join(f"{name} {value:.1f}" for name, value in self.latency_ms.items())
        return text


class SendError(Exception):
    """The client gave up: what the API said, how many rows are safe, how to go on, in one line.

    `report` says what had become of the rows by then.
    """

    report: Report | None = None

    def _render_traceback_(self) -> list[str]:
        """IPython prints this instead of a stack trace."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(slots=True)
class Batch:
    """Rows that travel together. `start` is the place of the first one among all rows of the job, from 0."""

    start: int
    rows: list[Row] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def halves(self) -> tuple[Batch, Batch]:
        """The same rows in two batches."""
        middle = len(self.rows) // 2
        left = Batch(self.start, self.rows[:middle], self.lines[:middle])
        return left, Batch(self.start + middle, self.rows[middle:], self.lines[middle:])


class Ledger:
    """Which rows are done, and what became of them; the checkpoint is its copy on disk.

    Each answer adds a line to the copy, and its last whole line counts: it is valid at every moment, and a
    killed client repeats at most what was in flight. (A file that has grown long is replaced by a rename.) It
    holds how long the file of refused rows was: what a killed client wrote there after that is cut off,
    because those rows come again.

    `job` names the rows that a checkpoint belongs to. `bar` has tqdm's `update`. Methods may be called from
    any thread.
    """

    def __init__(
        self,
        job: dict[str, str],
        selection: Selection | None,
        checkpoint: Path | None,
        refused: Path | None,
        bar: Any,
    ) -> None:
        self._job, self._selection, self._checkpoint, self._bar = job, selection, checkpoint, bar
        if checkpoint and not refused:
            refused = checkpoint.with_name(checkpoint.name + ".refused.jsonl")
        self._refused_path = refused
        self._refused_file: FileIO | None = None
        self._checkpoint_file: FileIO | None = None
        self._lock = threading.Lock()
        self._done = 0  # all rows before this place are done
        self._ahead: dict[int, int] = {}  # and these, start to end, which overtook others
        self._accepted = self._refused = self._broken_through = self._refused_bytes = 0
        self._revenue = Decimal(0)
        self._set_aside: list[RefusedRow] = []
        self._resumed = self._sent = self._requests = self._retried = 0
        self._durations: Counter[int] = Counter()
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        if self._checkpoint:
            try:
                self._load(self._checkpoint)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise InputError(f"{self._checkpoint}: cannot be used ({error.strerror}); check the path") from None
            except (ValueError, KeyError, TypeError, ArithmeticError):
                raise InputError(f"{self._checkpoint}: is no checkpoint; delete it or name another file") from None
            self._bar.update(self._resumed)
            self._save()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for file in (self._refused_file, self._checkpoint_file):
                if file:
                    file.close()

    def _load(self, checkpoint: Path) -> None:
        whole_lines = checkpoint.read_bytes().split(b"\n")[:-1]
        saved = orjson.loads(whole_lines[-1] if whole_lines else b"")
        if not isinstance(saved["job"], dict):
            raise ValueError(saved["job"])
        if saved["job"] != self._job:
            theirs, ours = (", ".join(map(str, job.values())) for job in (saved["job"], self._job))
            raise InputError(
                f"{checkpoint}: belongs to other rows ({theirs}) than these ({ours}); "
                "name another checkpoint, or delete this one to start anew"
            )
        self._done, self._ahead = int(saved["done"]), {int(start): int(end) for start, end in saved["ahead"]}
        self._accepted, self._refused = int(saved["accepted"]), int(saved["refused"])
        self._broken_through, self._revenue = int(saved["broken_through"]), Decimal(saved["revenue"])
        self._resumed = self._accepted + self._refused
        path, length = self._refused_path, int(saved["refused_bytes"])
        if path and str(path) == saved["refused_file"] and path.exists():
            self._refused_bytes = min(length, path.stat().st_size)
            os.truncate(path, self._refused_bytes)

    def _save(self) -> None:
        if not self._checkpoint:
            return
        state = {
            "job": self._job,
            "done": self._done,
            "ahead": sorted(self._ahead.items()),
            "accepted": self._accepted,
            "refused": self._refused,
            "revenue": str(self._revenue),
            "broken_through": self._broken_through,
            "refused_file": str(self._refused_path),
            "refused_bytes": self._refused_bytes,
        }
        line = orjson.dumps(state) + b"\n"
        try:
            if self._checkpoint_file and self._checkpoint_file.tell() < 1_000_000:
                self._checkpoint_file.write(line)
                return
            draft = self._checkpoint.with_name(self._checkpoint.name + ".new")
            file = draft.open("wb", buffering=0)
            file.write(line)
            draft.replace(self._checkpoint)
        except OSError as error:
            problem = f"{self._checkpoint}: cannot be written ({error.strerror})"
            raise InputError(f"{problem}; check the folder") from None
        if self._checkpoint_file:
            self._checkpoint_file.close()
        self._checkpoint_file = file

    def todo(self, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """The rows that are not done yet, each with its place among all."""
        end, ahead = self._done, dict(self._ahead)  # as they stand at the start
        for place, row in enumerate(rows):
            if place in ahead:
                end = ahead[place]
            if place >= end:
                yield place, row

    def accept(self, batch: Batch) -> None:
        """The API has taken these rows."""
        value = revenue(batch.rows)
        with self._lock:
            self._accepted += len(batch.rows)
            self._revenue = EXACT.add(self._revenue, value)
            self._settle(batch)

    def refuse(self, batch: Batch, reason: str) -> None:
        """The API has refused this one row for good."""
        row = batch.rows[0]
        with self._lock:
            self._put_aside(RefusedRow(row["RowId"], reason, row))
            self._settle(batch)

    def broken(self, refused: Refused) -> None:
        """The file has a row that cannot be sent."""
        with self._lock:
            if refused.row_number > self._broken_through:  # else an earlier run has set it aside
                fields = refused.fields
                row = dict(zip(COLUMNS, fields, strict=True)) if len(fields) == len(COLUMNS) else list(fields)
                self._put_aside(RefusedRow(refused.row_id, str(refused), row))
                self._broken_through = refused.row_number
                self._save()

    def count_request(self, seconds: float, again: bool) -> None:
        """A request was answered, or not, after so many seconds; `again` if it repeated an earlier one."""
        with self._lock:
            self._requests += 1
            self._retried += again
            self._durations[round(math.log(max(seconds, 1e-6)) * 50)] += 1

    def _settle(self, batch: Batch) -> None:
        count = len(batch.rows)
        self._sent += count
        self._ahead[batch.start] = batch.start + count
        while (reached := self._ahead.pop(self._done, None)) is not None:
            self._done = reached
        self._save()
        self._bar.update(count)

    def _put_aside(self, refused: RefusedRow) -> None:
        if self._refused_path:
            try:
                if not self._refused_file:
                    self._refused_file = self._refused_path.open("ab", buffering=0)
                self._refused_file.write(orjson.dumps(refused) + b"\n")
                self._refused_bytes = self._refused_file.tell()
            except OSError as error:
                problem = f"{self._refused_path}: cannot be written ({error.strerror})"
                raise InputError(f"{problem}; check the folder") from None
        elif len(self._set_aside) < MAX_SET_ASIDE:
            self._set_aside.append(refused)
        else:
            raise SendError(
                f"more than {MAX_SET_ASIDE:,} rows are refused, now {refused.RowId}: {refused.reason}; "
                "name a file for them (refused=, --refused)"
            )
        self._refused += 1

    def how_to_go_on(self) -> str:
        """How many rows are safe, and what to do for the rest."""
        with self._lock:
            safe = f"{self._accepted + self._refused:,} rows are safe"
            if self._checkpoint:
                return f"{safe}; run the same again with the checkpoint {self._checkpoint} to go on"
            offset, rest = self._done, ""
            if self._selection:
                offset += self._selection.offset
                if self._selection.first is not None:
                    rest = f" and first {self._selection.first - self._done}"
            return f"{safe}; go on with offset {offset}{rest}"

    def report(self) -> Report:
        """What has become of the rows so far."""
        with self._lock:
            seconds = time.perf_counter() - self._started
            return Report(
                sent=self._sent,
                accepted=self._accepted,
                retried=self._retried,
                refused=self._refused,
                seconds=seconds,
                rows_per_second=self._sent / seconds,
                revenue=self._revenue,
                requests=self._requests,
                resumed=self._resumed,
                latency_ms=_percentiles(self._durations, (50, 95, 99)),
                refused_file=self._refused_path,
                set_aside=tuple(self._set_aside),
            )


def _percentiles(logarithms: Counter[int], wanted: Iterable[int]) -> dict[str, float]:
    """Percentiles in ms of durations that were counted by 50 × ln(seconds), which is right to about 1 %."""
    total, result = sum(logarithms.values()), {}
    for percent in wanted if total else ():
        seen = 0
        for key in sorted(logarithms):
            seen += logarithms[key]
            if seen * 100 >= total * percent:
                result[f"p{percent}"] = round(math.exp(key / 50) * 1000, 2)
                break
    return result
