"""Lambda by boto3."""

from __future__ import annotations

import statistics
from typing import Any

import boto3

from .ground import Ground, make_function, rate


def measure(ground: Ground) -> dict[str, Any]:
    """Lambda by boto3, of a function that imports boto3: a warm call, and a cold one."""
    count, warm, cold = 50 if ground.quick else 300, [], []
    with ground.lab():
        make_function("test", "import boto3\nclient = boto3.client('kinesis')\ndef handler(*_): return 1", [])
        client = boto3.client("lambda")
        for n in range(5):
            client.update_function_configuration(FunctionName="test", Description=f"cold start {n}")
            cold.append(1 / rate(1, lambda: client.invoke(FunctionName="test")))
        for _ in range(count):
            warm.append(1 / rate(1, lambda: client.invoke(FunctionName="test")))
    result = {"warm_ms": round(statistics.median(warm) * 1000, 2), "cold_ms": round(statistics.median(cold) * 1000)}
    return {"lambda": result}
