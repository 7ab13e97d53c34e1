"""One row a request, next to its floors."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from ..client import Report, send
from ..localaws import server
from ..rows import Selection, read_rows, to_json
from .ground import Cpu, Ground, Platform, helper_process, rate, ratio


def measure(ground: Ground) -> dict[str, Any]:
    """One row a request, in turns with its floors; medians. The trigger is off, so that nothing else is at work."""
    count, pairs = (200, 2) if ground.quick else (1_500, 5)
    folder = ground.scratch / "rows"
    stage = Platform(folder, 4, ground.csv)
    info = server.find(folder)
    assert info is not None
    stage.trigger(enabled=False)
    kinesis_rows = [(to_json(r).encode(), r["InvoiceNo"]) for r in read_rows(ground.csv, Selection(first=count))]
    samples: dict[str, list[float]] = {k: [] for k in ("platform_1", "platform_8", "echo_1", "echo_8", "put_record")}
    cpu: dict[str, list[int]] = {}
    with helper_process("helpers.echo") as echo, helper_process("helpers.bench.noop") as noop:
        bare = boto3.client("kinesis", endpoint_url=noop, config=Config(retries={"total_max_attempts": 1}))

        def put_all() -> None:
            for data, key in kinesis_rows:
                bare.put_record(StreamName=stage.stream, Data=data, PartitionKey=key)

        def client(url: str, connections: int) -> Callable[[], Report]:
            key, rows = stage.api_key if url == stage.url else None, Selection(first=count)
            return lambda: send(read_rows(ground.csv, rows), url, api_key=key, connections=connections, progress=False)

        client(stage.url, 8)()  # every worker is warm before anything is counted
        put_all()
        for _ in range(pairs):
            spent = Cpu(info.pid)
            samples["platform_1"].append(rate(count, client(stage.url, 1)))
            for who, microseconds in spent.spent(count).items():
                cpu.setdefault(who, []).append(microseconds)
            spent = Cpu(info.pid)
            samples["put_record"].append(rate(count, put_all))
            cpu.setdefault("put_record", []).append(spent.spent(count)["client"])
            samples["echo_1"].append(rate(count, client(echo, 1)))
            samples["platform_8"].append(rate(count, client(stage.url, 8)))
            samples["echo_8"].append(rate(count, client(echo, 8)))
    server.stop(folder)
    result = {
        "rows": count,
        "pairs": pairs,
        **{f"{k}_rows_per_second": round(statistics.median(v)) for k, v in samples.items()},
        "platform_1_to_put_record": ratio(samples["platform_1"], samples["put_record"], 3),
        "echo_1_to_platform_1": ratio(samples["echo_1"], samples["platform_1"], 2),
        "cpu_microseconds_a_row": {who: round(statistics.median(found)) for who, found in cpu.items()},
    }
    return {"row_by_row": result}
