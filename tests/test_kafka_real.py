"""The real file through Kafka, on both brokers: each row once in the topic, in S3 and in DynamoDB, to the last decimal.

A quarter of an hour each, so in `make soak` only; `workbook bench --only kafka` measures the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest

import helpers.lab
from helpers import genuine_kafka
from helpers.bench.kafka import through
from tests.seeded import SOAK

REAL = os.environ.get("ONLINE_RETAIL_CSV")


@pytest.mark.skipif(not SOAK, reason="half an hour: in `make soak`")
@pytest.mark.skipif(not REAL, reason="ONLINE_RETAIL_CSV does not name the real file")
@pytest.mark.parametrize("kind", ["embedded", "genuine"])
def test_the_whole_file_reconciles(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "genuine" and (reason := genuine_kafka.why_not()):
        pytest.skip(reason)
    before = dict(os.environ)
    monkeypatch.setattr(helpers.lab, "_opened", None)
    try:
        result = through(kind, Path(REAL or ""), 541_909, dynamodb=True)
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.DEFAULT_SESSION = None
    print(result)
    assert [result[f"rows_in_{place}"] for place in ("topic", "s3", "dynamodb")] == [541_909] * 3
    assert [result[f"revenue_in_{place}"] for place in ("topic", "s3", "dynamodb")] == ["9747747.934"] * 3
