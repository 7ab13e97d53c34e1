"""A lab with streams and the continuous process's tables, for tests that let its workers run and disturb them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from platform_lab import own_lab

from helpers.continuous.fleet import Fleet
from helpers.continuous.store import Results
from helpers.provision import wait_for
from helpers.rows import to_json

TABLES = {"": ("leaseKey",), "-windows": ("Kind", "Part"), "-seen": ("Shard", "Chunk")}


class Desk:
    """An opened lab and short words for what the tests do in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinesis, self.dynamodb = boto3.client("kinesis"), boto3.client("dynamodb")

    def tables(self, application: str) -> Results:
        """The three tables of an application, empty."""
        for suffix, keys in TABLES.items():
            self.dynamodb.create_table(
                TableName=application + suffix,
                KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
                AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        return Results(self.dynamodb, application)

    def fleet(self, stream: str, application: str, **options: float) -> Fleet:
        """Workers with a short failover, so that a test need not wait ten seconds for each."""
        settings = {"failover": 1.0, "idle": 0.25, **options}
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        log = self.folder / f"{application}.log"
        return Fleet("--stream", stream, "--application", application, *words, log=log)

    def put(self, stream: str, rows: Sequence[Mapping[str, Any]] | Sequence[bytes]) -> None:
        """All of them, in order for each shard: what is refused is put again before what follows."""
        entries = [
            {"Data": row, "PartitionKey": row[:40].hex()}
            if isinstance(row, bytes)
            else {"Data": to_json(row).encode(), "PartitionKey": row["InvoiceNo"]}  # type: ignore[arg-type]
            for row in rows
        ]
        for start in range(0, len(entries), 100):
            waiting = entries[start : start + 100]
            while waiting:
                results = self.kinesis.put_records(StreamName=stream, Records=waiting)["Records"]
                waiting = [e for e, result in zip(waiting, results, strict=True) if "ErrorCode" in result]
                if waiting:
                    time.sleep(0.1)

    def calm(self, stream: str, application: str, records: int, **options: float) -> Results:
        """What one worker that nobody disturbs makes of the same stream."""
        results = self.tables(application)
        with self.fleet(stream, application, **options) as fleet:
            fleet.start("calm")
            self.wait(results, records, fleet)
        return results

    @staticmethod
    def wait(results: Results, records: int, fleet: Fleet, timeout: float = 120) -> None:
        """Until that many records of the stream have been dealt with."""

        def done() -> bool:
            assert fleet.running(), f"no worker lives: {fleet.said()[-2000:]}"
            return results.records() >= records

        wait_for(done, timeout=timeout, what=f"{records} records; {fleet.said()[-1500:]}")
        assert results.records() == records, (results.numbers(), records)


def disordered(rows: Iterable[Any], seed: int, *, late: float = 0.02, twice: float = 0.05) -> list[Any]:
    """The rows as a bad day delivers them: neighbours swapped, some much later, some twice."""
    chance, waiting = random.Random(seed), []
    placed = []
    for place, row in enumerate(rows):
        at = place + chance.uniform(0, 30) + (chance.uniform(200, 900) if chance.random() < late else 0)
        placed.append((at, row))
        if chance.random() < twice:
            waiting.append((at + chance.choice([0.1, 5, 400]), row))
    return [row for _, row in sorted([*placed, *waiting], key=lambda pair: pair[0])]


def same(one: Results, other: Results) -> None:
    """Both have computed the same, in every window and in every count."""
    assert one.numbers() == other.numbers()
    assert one.revenue() == other.revenue()
    assert one.orders() == other.orders()
    assert one.late() == other.late()
    assert one.totals() == other.totals()
    assert one.watermark() == other.watermark()


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """A lab of its own in this process; no worker outlives it."""
    with own_lab(folder / "lab"):
        yield Desk(folder)
