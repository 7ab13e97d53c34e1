"""`make bench`: what the platform does on this machine, written as a table and to data/bench.json.

Machines differ and are noisy, so what can be compared is measured in one run, in turns, and given as a ratio; CPU time
is what depends least on the neighbours. The floor of the way of a single row is what it cannot do without: the same
client on a server that does nothing, and boto3's put_record on a server that does nothing.

Each group is a module, whose `measure` returns its figures. `--only rows,batches` measures these groups and leaves the
others' figures as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..lab import ROOT
from . import (
    api,
    batch,
    batches,
    continuous,
    invoke,
    items,
    kafka,
    latency,
    peer,
    row_by_row,
    start,
    transactions,
    trigger,
    warehouse,
)
from .ground import Ground

TARGET = ROOT / "data" / "bench.json"


def bench_figures() -> dict[str, Any]:
    """The figures of data/bench.json, for a notebook that shows them."""
    figures: dict[str, Any] = json.loads(TARGET.read_text())
    return figures


GROUPS: dict[str, Callable[[Ground], dict[str, Any]]] = {
    "batches": batches.measure,
    "rows": row_by_row.measure,
    "invoke": invoke.measure,
    "trigger": trigger.measure,
    "latency": latency.measure,
    "start": start.measure,
    "transactions": transactions.measure,
    "batch": batch.measure,
    "items": items.measure,
    "api": api.measure,
    "kafka": kafka.measure,
    "continuous": continuous.measure,
    "warehouse": warehouse.measure,
    "peer": peer.measure,
}


def measure(
    csv: Path, groups: list[str], *, quick: bool = False, keep: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """The figures of these groups; `quick` with few rows, to see that it works. `keep` gets them after each group."""
    machine = {"system": platform.system(), "python": platform.python_version(), "cores": os.cpu_count()}
    results: dict[str, Any] = {"machine": machine, "file": csv.name}
    with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
        for name in groups:
            print(f"{name} …", flush=True)
            results |= GROUPS[name](Ground(csv, Path(scratch), quick))
            if keep:
                keep(results)
    return results


def write(results: dict[str, Any]) -> None:
    """Puts these groups' figures into data/bench.json; the others' stay."""
    known = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    TARGET.write_text(json.dumps(known | results, indent=2) + "\n")


def table(results: dict[str, Any]) -> str:
    """The figures as lines of two columns."""
    lines = []
    for group, values in results.items():
        for name, value in values.items() if isinstance(values, dict) else [("", values)]:
            lines.append(f"{(group + '.' + name).rstrip('.'):<50} {value}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workbook bench", description=__doc__)
    parser.add_argument("--csv", type=Path, help="the file to send (default: 541,909 generated rows)")
    parser.add_argument("--only", default="", metavar="GROUPS", help=f"some of {','.join(GROUPS)}")
    goes = "installed into a folder that goes again"
    parser.add_argument("--peer", action="store_true", help=f"also {peer.PEER}, {goes}")
    parser.add_argument("--quick", action="store_true", help="few rows, nothing written")
    options = parser.parse_args(arguments)
    groups = [g for g in options.only.split(",") if g] or [g for g in GROUPS if g != "peer"]
    groups += ["peer"] * (options.peer and "peer" not in groups)
    if unknown := set(groups) - GROUPS.keys():
        parser.error(f"--only knows {', '.join(GROUPS)}, not {', '.join(sorted(unknown))}")
    before = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
            csv = options.csv
            if csv is None:
                csv = Path(scratch) / "generated.csv"
                rows = "20000" if options.quick else "541909"
                subprocess.run(
                    [sys.executable, ROOT / "data" / "generate.py", "--rows", rows, "--out", csv],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            # Written after each group: what was measured for minutes outlives one that fails.
            results = measure(csv.resolve(), groups, quick=options.quick, keep=None if options.quick else write)
    finally:
        os.environ.clear()
        os.environ.update(before)
    print(table(results))
    if not options.quick:
        print(f"Written to {TARGET.relative_to(ROOT)}")
    return 0
