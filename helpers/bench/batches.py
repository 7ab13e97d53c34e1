"""All rows in batches of 500 over 4 connections, into Kinesis and S3."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .. import reconcile
from ..localaws import server
from ..rows import Selection, read_rows, to_json
from .ground import Cpu, Ground, Platform, memory_mb


def _whole_file(csv: Path, first: int | None, shards: int, folder: Path) -> dict[str, Any]:
    """Batches of 500 over 4 connections through everything, in a lab of its own.

    As in the notebooks, the trigger comes when the rows are in the stream: each part has the machine to itself.
    """
    stage = Platform(folder, shards, csv)
    pid = server.find(folder)
    assert pid is not None
    before = stage.stored_bytes()
    # Row 1 has gone through with the notebooks; it is left out here, so that every row is stored once.
    expected = sum(len(to_json(r).encode()) + 1 for r in read_rows(csv, Selection(first=first and first - 1, offset=1)))
    stage.trigger(enabled=False)
    started, cpu = time.perf_counter(), Cpu(pid.pid)
    report = stage.send(csv, first and first - 1, 500, 4, offset=1)
    ingested, spent = time.perf_counter() - started, cpu.spent(report.accepted)
    stage.trigger(enabled=True)
    while stage.stored_bytes() < before + expected and time.perf_counter() - started < 600:
        time.sleep(0.25)
    stored = time.perf_counter() - started
    in_s3 = reconcile.tally(reconcile.object_rows(stage.bucket, stage.prefix))
    result = {
        "rows": report.accepted,
        "shards": shards,
        "ingestion_seconds": round(ingested, 2),
        "all_in_s3_seconds": round(stored, 2),
        "rows_per_second": round(report.accepted / ingested),
        "rows_per_second_into_s3": round(report.accepted / stored),
        "requests_sent_again": report.retried,
        "rows_in_s3": in_s3.rows,
        "revenue_in_s3": format(in_s3.revenue, "f"),
        "lab_memory_mb": memory_mb(pid.pid),
        "cpu_microseconds_a_row": spent,
    }
    server.stop(folder)
    return result


def measure(ground: Ground) -> dict[str, Any]:
    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    part = min(total, 2_000 if ground.quick else 50_000)
    shards = max(1, min(64, -(-total // 8_500)))
    some = _whole_file(ground.csv, part, shards, ground.scratch / "part")
    if total == part or ground.quick:
        return {"batches_part": some}
    whole = _whole_file(ground.csv, total, shards, ground.scratch / "all")
    ratio = whole["rows_per_second"] / some["rows_per_second"]
    return {"batches_part": some, "batches_all": whole, "all_to_part_rate": round(ratio, 3)}
