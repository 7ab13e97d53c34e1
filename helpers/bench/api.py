"""The visualization API."""

from __future__ import annotations

import os
import time
from typing import Any

import boto3

from .. import reconcile
from ..lab import open_lab
from ..localaws import server
from .ground import Ground, put_back


def measure(ground: Ground) -> dict[str, Any]:
    """Notebook 05's API: how long a question takes at 1, 8 and 32 connections, and every invoice read through it."""
    from ..fetch import fetch, latency

    folder, before = ground.scratch / "api", dict(os.environ)
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_PROGRESS="0", WORKBOOK_IDLE_EXIT="1800")
    try:
        lab = open_lab("local")
        lab.require("02", "04", "05", csv=str(ground.csv), rows=1_000 if ground.quick else 0)
        sent, url = lab.outputs("02"), lab.outputs("05")["url"]
        key = boto3.client("apigateway").get_api_key(apiKey=sent["api_key_id"], includeValue=True)["value"]
        rows = reconcile.sent_rows(sent["csv"], int(sent["rows"]), sent["refused"])
        paths = [f"/invoices/{number}" for number in dict.fromkeys(row["InvoiceNo"] for row in rows)]
        some = [paths[n * len(paths) // 1000] for n in range(100 if ground.quick else 1000)]
        list(fetch(url, some[:100], api_key=key, connections=32))  # every worker is warm before anything is counted
        figures = {str(n): latency(url, some, api_key=key, connections=n) for n in (1, 8, 32)}
        started = time.perf_counter()
        lines = sum(len(answer.json()["Items"]) for answer in fetch(url, paths, api_key=key, connections=8))
        seconds = time.perf_counter() - started
        whole = {"invoices": len(paths), "lines": lines, "seconds": round(seconds, 1)}
        return {"api": {"connections": figures, "all": whole | {"lines_per_second": round(lines / seconds)}}}
    finally:
        server.stop(folder)
        put_back(before)
