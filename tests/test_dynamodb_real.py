"""The real file through the stream into DynamoDB: every line once, every total exact, also after all came twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import nbformat
import pytest
from platform_lab import Platform, platform, wait_until

from helpers import reconcile
from helpers.rows import read_rows, source_name
from tests.seeded import SOAK

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "04-stream-to-dynamodb-pipeline.ipynb"
REAL = os.environ.get("ONLINE_RETAIL_CSV")


def table(name: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=name, **parameters):
        yield from page["Items"]


def counted(function: str) -> int:
    """The records of all batches that ended well, as the function counts them in its log."""
    pages = boto3.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=f"/aws/lambda/{function}", filterPattern='"records"')
    return sum(json.loads(event["message"])["records"] for page in found for event in page["events"])


def switch(mapping: str, on: bool) -> None:
    client = boto3.client("lambda")
    client.update_event_source_mapping(UUID=mapping, Enabled=on)
    wanted = "Enabled" if on else "Disabled"
    wait_until(lambda: client.get_event_source_mapping(UUID=mapping)["State"] == wanted, f"the trigger {wanted}")


def totals(invoices: str, customers: str) -> dict[str, Any]:
    """What headers and customers say."""
    headers, buyers = list(table(invoices, IndexName="ByBuyer")), list(table(customers))
    return {
        "invoices": len(headers),
        "customers": len(buyers),
        "lines": sum(int(h["Lines"]["N"]) for h in headers),
        "revenue": sum((Decimal(h["Revenue"]["N"]) for h in headers), Decimal(0)),
        "guests": sum(int(h["Lines"]["N"]) for h in headers if h["Buyer"]["S"] == "GUEST"),
        "customers' invoices": sum(int(c["Invoices"]["N"]) for c in buyers),
        "customers' lines": sum(int(c["Lines"]["N"]) for c in buyers),
        "customers' revenue": sum((Decimal(c["Revenue"]["N"]) for c in buyers), Decimal(0)),
    }


def cpu(stage: Platform) -> float:
    """Processor seconds of the lab and its workers so far."""
    spent = 0.0
    for process in (stage.process, *stage.workers()):
        times = process.cpu_times()
        spent += times.user + times.system
    return spent


@pytest.mark.skipif(not REAL, reason="needs the real file: ONLINE_RETAIL_CSV")
def test_the_figures_that_notebook_04_tells_of_the_real_file_are_its_figures() -> None:
    rows = list(read_rows(Path(str(REAL))))
    overwritten = len(rows) - len({(row["InvoiceNo"], row["StockCode"]) for row in rows})
    refused = sum(not row["InvoiceNo"].isdigit() or not row["CustomerID"] for row in rows)
    cancelled = next(row["InvoiceNo"] for row in rows if not row["InvoiceNo"].isdigit())
    first = [row for row in rows if row["InvoiceNo"] == "536365"]
    revenue = sum((row["Quantity"] * Decimal(row["UnitPrice"]) for row in first), Decimal(0))
    assert (len(rows), overwritten, refused, cancelled) == (541_909, 10_684, 143_985, "C536379")
    told = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "markdown")
    for figure in (f"{overwritten:,}", f"{refused:,} rows", f"{len(rows):,} rows"):
        assert figure in told
    header = f"`Lines` {len(first)}, `Quantity` {sum(row['Quantity'] for row in first)}, `Revenue` {revenue}"
    assert f"{header}, `Buyer` {first[0]['CustomerID']}, `At` {first[0]['InvoiceDate']}#536365" in told
    for row in first[:2]:
        goods = f"`StockCode` {row['StockCode']}, `Quantity` {row['Quantity']}, `UnitPrice` {row['UnitPrice']}"
        assert f"| 536365 | {row['RowId']} | {goods}" in told


@pytest.mark.skipif(not (SOAK and REAL), reason="minutes long: needs WORKBOOK_SOAK=1 and ONLINE_RETAIL_CSV")
def test_every_line_of_the_real_file_once_and_again_after_all_came_twice(tmp_path: Path) -> None:
    assert REAL
    csv = Path(REAL).resolve()
    with platform(tmp_path / "lab", shards=64, csv=csv, rows=1) as stage:
        stage.lab.require("04")
        outputs = stage.lab.outputs("04")
        invoices, customers, function = (outputs[n] for n in ("invoices_table", "customers_table", "function"))
        switch(outputs["mapping"], False)
        started = time.perf_counter()
        report = stage.send(csv, batch=500)
        print(f"{report.accepted} rows ingested in {time.perf_counter() - started:.1f} s (both in S3 and here)")
        held = boto3.client("lambda").get_event_source_mapping(UUID=outputs["mapping"])
        settings = {
            name: held[name]
            for name in (
                "BatchSize",
                "MaximumBatchingWindowInSeconds",
                "BisectBatchOnFunctionError",
                "MaximumRetryAttempts",
                "FunctionResponseTypes",
                "DestinationConfig",
            )
        }
        mapping, seen = outputs["mapping"], counted(function)
        for round_ in ("first", "again"):
            if round_ == "again":  # from the beginning of the stream: every batch comes a second time
                boto3.client("lambda").delete_event_source_mapping(UUID=mapping)
                mapping = boto3.client("lambda").create_event_source_mapping(
                    EventSourceArn=held["EventSourceArn"],
                    FunctionName=function,
                    StartingPosition="TRIM_HORIZON",
                    **settings,
                )["UUID"]
            else:
                switch(mapping, True)
            began, spent = time.perf_counter(), cpu(stage)
            wanted = seen + report.accepted + (round_ == "again")
            wait_until(lambda wanted=wanted: counted(function) >= wanted, f"all records, {round_}", 3_600)
            seconds, seen = time.perf_counter() - began, counted(function)
            print(
                f"{round_}: {seconds:.1f} s, {report.accepted / seconds:.0f} rows/s, {cpu(stage) - spent:.1f} s of "
                f"processor; the lab holds {stage.process.memory_info().rss / 1e6:.0f} MB"
            )
            rows = list(read_rows(csv))
            revenue = sum((row["Quantity"] * Decimal(row["UnitPrice"]) for row in rows), Decimal(0))
            known = [row for row in rows if row["CustomerID"]]
            assert totals(invoices, customers) == {
                "invoices": len({row["InvoiceNo"] for row in rows}),
                "customers": len({row["CustomerID"] for row in known}),
                "lines": len(rows),
                "revenue": revenue,
                "guests": len(rows) - len(known),
                "customers' invoices": len({row["InvoiceNo"] for row in known}),
                "customers' lines": len(known),
                "customers' revenue": sum((r["Quantity"] * Decimal(r["UnitPrice"]) for r in known), Decimal(0)),
            }
            kept = reconcile.tally(reconcile.table_rows(invoices, source_name(csv)))
            assert (kept.rows, kept.revenue, kept.duplicates) == (len(rows), revenue, 0)
            print(f"{kept.rows} lines, {len({row['InvoiceNo'] for row in rows})} invoices, revenue {kept.revenue}")
            del rows, known, kept
