"""COPY, MERGE and the ten questions."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil

from .. import reconcile
from ..lab import open_lab
from ..localaws import server
from .ground import Ground, memory_mb, put_back


def measure(ground: Ground) -> dict[str, Any]:
    """Notebook 06's warehouse: one COPY of all files of Firehose's, the MERGE of all lines, the ten questions.

    Each three times, in turns; the medians, in seconds by the clock and of the engine's processor time.
    """
    from ..warehouse import question, questions, run, run_all, statements

    folder, before = ground.scratch / "warehouse", dict(os.environ)
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="1800")
    try:
        lab = open_lab("local")
        lab.require("02", "06", csv=str(ground.csv), rows=1_000 if ground.quick else 0)
        out, info = lab.outputs("06"), server.find(folder)
        assert info is not None
        engine = next(
            child
            for child in psutil.Process(info.pid).children()
            if any("warehouse.engine" in part for part in child.cmdline())
        )
        run("CREATE TABLE bench_copy (LIKE staging_sales)")
        files = f"FROM 's3://{out['bucket']}/{out['prefix']}' IAM_ROLE '{out['role_arn']}'"
        load = f"COPY bench_copy {files} JSON 's3://{out['bucket']}/jsonpaths/sales.json' GZIP"
        work: dict[str, Callable[[], Any]] = {
            "copy": lambda: run(load),
            "merge": lambda: run_all(statements("merge_sales")),
            "ten_questions": lambda: [run(question(name)) for name in questions()],
        }
        samples: dict[str, list[float]] = {f"{name}_{kind}": [] for name in work for kind in ("seconds", "cpu_seconds")}
        for _ in range(3):
            run("DELETE FROM bench_copy")
            for name, step in work.items():
                started, used = time.perf_counter(), sum(engine.cpu_times()[:2])
                step()
                samples[f"{name}_seconds"].append(time.perf_counter() - started)
                samples[f"{name}_cpu_seconds"].append(sum(engine.cpu_times()[:2]) - used)
        staged = int(run("SELECT COUNT(*) AS n FROM bench_copy")["n"][0])
        found = reconcile.stages(lab, "client", "redshift")
        return {
            "warehouse": {
                "lines_copied": staged,
                **{name: round(statistics.median(values), 2) for name, values in samples.items()},
                "rows_in_fact": found["redshift"]["rows"],
                "revenue_in_fact": found["redshift"]["revenue"],
                "equal_to_the_file": found["redshift"] == found["client"],
                "engine_memory_mb": memory_mb(engine.pid),
            }
        }
    finally:
        server.stop(folder)
        put_back(before)
