"""The rows into DynamoDB."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3

from .. import reconcile
from ..localaws import server
from ..rows import read_rows, source_name
from .ground import Cpu, Ground, Platform, memory_mb, put_back


def measure(ground: Ground) -> dict[str, Any]:
    """The file's rows from the stream into DynamoDB, by notebook 04's function and trigger, without a second reader."""
    total = sum(1 for _ in read_rows(ground.csv, on_refused=lambda _: None))
    first = min(total, 2_000) if ground.quick else total
    folder, before = ground.scratch / "items", dict(os.environ)
    stage = Platform(folder, max(1, min(64, -(-first // 8_500))), ground.csv)
    try:
        pid = server.find(folder)
        assert pid is not None
        stage.trigger(enabled=False)
        stage.lab.require("04")
        outputs = stage.lab.outputs("04")
        stage.mapping = outputs["mapping"]
        stage.trigger(enabled=False)
        report, group = stage.send(ground.csv, first, 500, 4), f"/aws/lambda/{outputs['function']}"

        def counted() -> int:
            pages = boto3.client("logs").get_paginator("filter_log_events")
            found = pages.paginate(logGroupName=group, filterPattern='"records"')
            return sum(json.loads(event["message"])["records"] for page in found for event in page["events"])

        wanted, started, cpu = counted() + report.accepted, time.perf_counter(), Cpu(pid.pid)
        stage.trigger(enabled=True)
        while counted() < wanted and time.perf_counter() - started < 1_800:
            time.sleep(0.5)
        seconds, spent = time.perf_counter() - started, cpu.spent(report.accepted)
        kept = reconcile.tally(reconcile.table_rows(outputs["invoices_table"], source_name(ground.csv)))
        return {
            "items": {
                "rows": kept.rows,
                "seconds": round(seconds, 1),
                "rows_per_second": round(report.accepted / seconds),
                "revenue": format(kept.revenue, "f"),
                "lab_memory_mb": memory_mb(pid.pid),
                "cpu_microseconds_a_row": spent,
            }
        }
    finally:
        server.stop(folder)
        put_back(before)
