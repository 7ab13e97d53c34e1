"""A lab's start, and its rest."""

from __future__ import annotations

import statistics
import time
from typing import Any

import boto3
import psutil

from ..localaws import server
from .ground import Ground, deploy, rate


def measure(ground: Ground) -> dict[str, Any]:
    """From nothing to a lab that answers, and what one costs that has a function, a stream and nothing to do."""
    seconds = []
    for n in range(2 if ground.quick else 5):
        folder = ground.scratch / f"start{n}"
        seconds.append(1 / rate(1, lambda at=folder: server.start(at, idle_exit=60)))  # type: ignore[misc]
        server.stop(folder)
    with ground.lab() as info:
        deploy(info.endpoint, "pass")
        boto3.client("lambda").invoke(FunctionName="test", Payload='{"body": "{\\"InvoiceNo\\": \\"1\\"}"}')
        time.sleep(1.5)  # what was begun is done
        process, rest = psutil.Process(info.pid), 3 if ground.quick else 15
        before = sum(process.cpu_times()[:2])
        time.sleep(rest)
        idle = (sum(process.cpu_times()[:2]) - before) / rest * 100
    return {"start": {"ready_seconds": round(statistics.median(seconds), 2), "idle_cpu_percent": round(idle, 2)}}
