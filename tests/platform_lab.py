"""A lab in which notebooks 02 and 03 have built the platform, for tests that then disturb it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psutil

import helpers.lab
from data.generate import write
from helpers import reconcile
from helpers.client import Report, send
from helpers.lab import Lab, open_lab
from helpers.localaws import server
from helpers.rows import read_rows


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """Polls until the condition holds and returns its value; for half of the time at most, if asking takes long."""
    deadline = time.monotonic() + timeout
    while (asked := time.monotonic()) < deadline:
        if value := condition():
            return value
        time.sleep(max(0.02, time.monotonic() - asked))
    raise AssertionError(f"not within {timeout} s: {what}")


class Platform:
    """The deployed pipeline and the ways to look at it."""

    def __init__(self, folder: Path, shards: int, csv: Path | None, rows: int) -> None:
        self.folder = folder
        self.lab = open_lab("local")
        self.lab.require("02", "03", csv=str(csv or ""), rows=rows, shards=shards)
        ingest, storage = self.lab.outputs("02"), self.lab.outputs("03")
        self.url, self.stream = ingest["url"], ingest["stream"]
        self.ingest_function, self.storage_function = ingest["function"], storage["function"]
        self.bucket, self.prefix, self.mapping = storage["bucket"], storage["prefix"], storage["mapping"]
        key = boto3.client("apigateway").get_api_key(apiKey=ingest["api_key_id"], includeValue=True)
        self.api_key: str = key["value"]
        info = server.find(folder)
        assert info is not None
        self.process = psutil.Process(info.pid)

    def csv(self, name: str, rows: int, seed: int = 1) -> Path:
        """A file of its own name, so that its RowIds are its own."""
        path = self.folder.parent / f"{name}.csv"
        write(path, rows, seed)
        return path

    def send(self, csv: Path, **options: Any) -> Report:
        settings = {"batch": 100, "connections": 4, "progress": False, **options}
        return send(read_rows(csv), self.url, api_key=self.api_key, **settings)

    def workers(self) -> list[psutil.Process]:
        """The processes of Lambda's execution environments."""
        found = []
        for child in self.process.children(recursive=True):
            try:
                if any("worker.py" in part for part in child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def kill_workers(self) -> int:
        killed = 0
        for worker in self.workers():
            try:
                worker.send_signal(signal.SIGKILL)
                killed += 1
            except psutil.Error:
                continue
        return killed

    def in_stream(self, source: str) -> reconcile.Tally:
        return reconcile.tally(r for r in reconcile.stream_rows(self.stream) if r["RowId"].startswith(source + ":"))

    def in_storage(self, source: str) -> reconcile.Tally:
        rows = reconcile.object_rows(self.bucket, self.prefix)
        return reconcile.tally(r for r in rows if r["RowId"].startswith(source + ":"))

    def expect_everywhere(self, csv: Path) -> None:
        """Every row of the file is in the stream and in storage, and the revenue is the file's to the last decimal."""
        sent = reconcile.tally(reconcile.sent_rows(csv))
        assert sent.rows > 0
        stream = self.in_stream(csv.stem)
        assert (stream.rows, stream.revenue) == (sent.rows, sent.revenue)
        wait_until(lambda: self.in_storage(csv.stem).rows == sent.rows, f"all rows of {csv.stem} in S3", 90)
        stored = self.in_storage(csv.stem)
        assert stored.revenue == sent.revenue != Decimal(0)
        print(f"{csv.stem}: {sent.rows} rows, {stream.duplicates} twice in the stream, {stored.duplicates} twice in S3")


@contextmanager
def own_lab(folder: Path, **environment: str) -> Iterator[Lab]:
    """A lab of its own in this folder, open in this process; afterwards the environment is as it was before."""
    before, opened = dict(os.environ), helpers.lab._opened
    helpers.lab._opened = None
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="900")
    os.environ.update(environment)
    try:
        yield open_lab()
    finally:
        server.stop(folder)
        helpers.lab._opened = opened
        os.environ.clear()
        os.environ.update(before)
        boto3.DEFAULT_SESSION = None


@contextmanager
def platform(folder: Path, shards: int, csv: Path | None = None, rows: int = 1) -> Iterator[Platform]:
    with own_lab(folder):
        yield Platform(folder, shards, csv, rows)
