"""The batch job's transformation."""

from __future__ import annotations

import importlib.util
import os
import time
import tracemalloc
from typing import Any

from ..lab import ROOT
from ..localaws import server
from ..rows import Selection, read_rows, to_json
from .ground import Ground


def measure(ground: Ground) -> dict[str, Any]:
    """The batch job's transformation by itself: rows a second of a processor's time, memory for each row of a day."""
    os.environ.setdefault("AWS_DEFAULT_REGION", server.REGION)  # the handler makes its clients when it is imported
    spec = importlib.util.spec_from_file_location("batch_job", ROOT / "helpers" / "handlers" / "batch_job.py")
    assert spec and spec.loader
    batch_job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(batch_job)
    days: dict[str, list[bytes]] = {}
    for row in read_rows(ground.csv, Selection(first=2_000 if ground.quick else None), on_refused=lambda _: None):
        line = to_json(row).encode()
        days.setdefault(batch_job.day_of(line), []).append(line)
    rows, began = 0, time.process_time()
    for lines in days.values():
        rows += len(batch_job.transform(lines)["rows"])
    took = time.process_time() - began
    tracemalloc.start()
    largest = max(days.values(), key=len)
    made = batch_job.transform(largest)
    memory = tracemalloc.get_traced_memory()[1] / len(made["rows"]) + sum(map(len, largest)) / len(largest)
    tracemalloc.stop()
    found = {"rows": rows, "days": len(days), "rows_per_second": round(rows / took), "bytes_a_row": round(memory)}
    return {"batch": found}
