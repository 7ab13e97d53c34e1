"""The batch job's transformation: the handler's own, and Spark's, equal to the last decimal."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from helpers.lab import SAMPLE
from helpers.rows import Selection, read_rows, to_json
from helpers.spark import local
from tests.seeded import SEED, SOAK

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the handlers make their clients when they are imported
HANDLERS = str(Path(__file__).resolve().parent.parent / "helpers" / "handlers")
if HANDLERS not in sys.path:
    sys.path.insert(0, HANDLERS)

import batch_job  # noqa: E402
import bulk_import  # noqa: E402

GOOD = {
    "RowId": "a:000001",
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": " WHITE HANGING HEART ",
    "Quantity": 6,
    "InvoiceDate": "2010-12-01T08:26:00",
    "UnitPrice": "2.55",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_a_clean_row_is_typed_and_exact() -> None:
    assert batch_job.clean(line()) == {
        **GOOD,
        "Description": "WHITE HANGING HEART",
        "UnitPrice": "2.550",
        "Revenue": "15.300",
        "IsReturn": False,
    }
    odd = batch_job.clean(line(Quantity=-80995, UnitPrice="0.001", Description="  ", CustomerID=None))
    assert (odd["Revenue"], odd["Description"], odd["CustomerID"], odd["IsReturn"]) == ("-80.995", None, None, True)


DIRT = [
    (b"this is no JSON", "no JSON object"),
    (b'["a"]', "no JSON object"),
    (line(RowId=None), "RowId is missing"),
    (line(RowId=7), "RowId is no text"),
    (line(InvoiceNo=""), "InvoiceNo is missing"),
    (line(StockCode="  "), "StockCode is missing"),
    (line(Country=None), "Country is missing"),
    (line(InvoiceDate="2010-12-01"), "InvoiceDate is no date"),
    (line(InvoiceDate="2010-02-30T08:26:00"), "InvoiceDate is no date"),
    (line(InvoiceDate=None), "InvoiceDate is no date"),
    (line(Quantity="6"), "Quantity is no whole number"),
    (line(Quantity=6.5), "Quantity is no whole number"),
    (line(Quantity=2**31), "Quantity is no whole number"),
    (line(Quantity=None), "Quantity is no whole number"),
    (line(UnitPrice="2.5555"), "UnitPrice is no price of up to three decimals"),
    (line(UnitPrice="free"), "UnitPrice is no price of up to three decimals"),
    (line(UnitPrice="NaN"), "UnitPrice is no price of up to three decimals"),
    (line(UnitPrice=None), "UnitPrice is no price of up to three decimals"),
]


@pytest.mark.parametrize(("raw", "reason"), DIRT)
def test_what_is_no_row_is_set_aside_with_its_reason(raw: bytes, reason: str) -> None:
    made = batch_job.transform([raw, line()])
    assert [row["RowId"] for row in made["rows"]] == ["a:000001"]
    assert made["aside"] == [{"reason": reason, "line": raw.decode()}]


def test_a_row_counts_once_and_another_content_is_set_aside() -> None:
    other = line(Quantity=7)
    spaced = json.dumps(GOOD, indent=1).replace("\n", " ").encode()  # the same row, in other letters
    made = batch_job.transform([other, line(), line(), spaced])
    assert made["rows"] == [batch_job.clean(line())]
    assert made["duplicates"] == 2
    assert made["aside"] == [{"reason": "RowId is there with other content", "line": other.decode()}]


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = [to_json(row).encode() for row in read_rows(SAMPLE, Selection(first=500))]
    lines += lines[:50] + [raw for raw, _ in DIRT]
    expected = batch_job.transform(lines)
    random.Random(SEED).shuffle(lines)
    assert batch_job.transform(lines) == expected


def test_what_is_odd_is_counted_and_kept() -> None:
    made = batch_job.transform(
        [
            line(RowId="a:1", Description=None),
            line(RowId="a:2", UnitPrice="0"),
            line(RowId="a:3", UnitPrice="-11062.06"),
            line(RowId="a:4", Quantity=-1),
            line(RowId="a:5", Quantity=-1, InvoiceNo="C536379"),
        ]
    )
    assert len(made["rows"]) == 5
    assert made["warnings"] == {
        "no description": 1,
        "price 0": 1,
        "negative price": 1,
        "negative quantity, and no cancellation": 1,
    }


def test_daily_figures_are_exact_and_new_customers_count_once() -> None:
    first = batch_job.transform(
        [line(), line(RowId="a:2", Quantity=-1, InvoiceNo="C1", CustomerID="2"), line(RowId="a:3", CustomerID=None)]
    )
    second = batch_job.transform(
        [line(RowId="a:4", CustomerID="3"), line(RowId="a:5"), line(RowId="a:6", Country="EIRE")]
    )
    parts = [batch_job.partial("2010-12-02", second["rows"]), batch_job.partial("2010-12-01", first["rows"])]
    parts = json.loads(json.dumps(parts))
    keys = ("date", "country", "lines", "quantity", "revenue", "orders", "returns", "new_customers")
    assert [tuple(found[k] for k in keys) for found in batch_job.daily(parts)] == [
        ("2010-12-01", "United Kingdom", 3, 11, "28.050", 1, 1, 2),
        ("2010-12-02", "EIRE", 1, 6, "15.300", 1, 0, 0),
        ("2010-12-02", "United Kingdom", 2, 12, "30.600", 1, 0, 1),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2026/11/25/19/shard-1.jsonl", "2026/11/24/18"),
        ("2026/03/01/00/x", "2026/02/27/23"),
        ("sales.jsonl", ""),
        ("", ""),
    ],
)
def test_the_watermark_looks_back_a_day(name: str, expected: str) -> None:
    assert batch_job.look_back(name) == expected


def days(lines: list[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for each in lines:
        found.setdefault(batch_job.day_of(each), []).append(each)
    return found


def by_spark(by_day: dict[str, list[bytes]], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """{clean, aside, daily} as Spark makes them, from files as the regrouping writes them."""
    for day, lines in by_day.items():
        place = folder / "days" / f"date={day}"
        place.mkdir(parents=True)
        for number in range(2):  # a day has several parts
            (place / f"{number}.jsonl").write_bytes(b"\n".join([*lines[number::2], b""]))
    local.submit(folder / "days", folder / "out")

    def load(name: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((folder / "out" / name).rglob("*.json")):
            day = {"date": path.parent.name.removeprefix("date=")} if "date=" in path.parent.name else {}
            found += [json.loads(text) | day for text in path.read_text().splitlines()]
        return found

    return {name: load(name) for name in ("clean", "aside", "daily")}


def by_lambda(by_day: dict[str, list[bytes]]) -> dict[str, list[dict[str, Any]]]:
    clean, aside, parts = [], [], []
    for day, lines in by_day.items():
        made = batch_job.transform(lines)
        clean += [row | {"date": day} for row in made["rows"]]
        aside += [item | {"date": day} for item in made["aside"]]
        if day != batch_job.UNKNOWN:
            parts.append(json.loads(json.dumps(batch_job.partial(day, made["rows"]))))
    return {"clean": clean, "aside": aside, "daily": batch_job.daily(parts)}


def same(ours: dict[str, list[dict[str, Any]]], sparks: dict[str, list[dict[str, Any]]]) -> None:
    for name in ours:
        left, right = (Counter(json.dumps(row, sort_keys=True) for row in made[name]) for made in (ours, sparks))
        assert left == right, f"{name}: {list((left - right).items())[:2]} … {list((right - left).items())[:2]}"


needs_spark = pytest.mark.skipif(bool(local.missing()), reason=local.missing() or "Spark is here")


@needs_spark
def test_spark_gives_the_same_to_the_last_decimal(tmp_path: Path) -> None:
    """The whole sample, some rows twice, one with another content, and every kind of dirt."""
    lines = [to_json(row).encode() for row in read_rows(SAMPLE, Selection(first=5000 if SOAK else 600))]
    count = len(lines)
    lines += (
        lines[:100] + [b" " + lines[3]] + [raw for raw, _ in DIRT] + [lines[7].replace(b'"Quantity":', b'"Quantity":9')]
    )
    by_day = days(lines)
    ours, sparks = by_lambda(by_day), by_spark(by_day, tmp_path)
    assert len(ours["clean"]) == count and len(ours["aside"]) >= len(DIRT)
    same(ours, sparks)
    total = sum((Decimal(row["Revenue"]) for row in sparks["clean"]), Decimal(0))
    rows = read_rows(SAMPLE, Selection(first=count))
    assert total == sum((Decimal(row["UnitPrice"]) * row["Quantity"] for row in rows), Decimal(0))


@needs_spark
@pytest.mark.skipif(not SOAK, reason="minutes, on the real file: `make soak`")
@pytest.mark.skipif(not os.environ.get("ONLINE_RETAIL_CSV"), reason="ONLINE_RETAIL_CSV does not name the real file")
def test_spark_gives_the_same_on_the_real_file(tmp_path: Path) -> None:
    by_day = days([to_json(row).encode() for row in read_rows(os.environ["ONLINE_RETAIL_CSV"])])
    assert len(by_day) == 305
    began = time.process_time()
    ours = by_lambda(by_day)
    print(f"the Lambda's transformation: {time.process_time() - began:.1f} s of processor time")
    assert len(ours["clean"]) == 541_909 and not ours["aside"]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    sparks = by_spark(by_day, tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"Spark: {time.monotonic() - began:.1f} s, {spent:.1f} s of processor time")
    same(ours, sparks)


def test_without_java_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="needs Java 17|not installed"):
        local.submit(tmp_path, tmp_path)


def test_without_pyspark_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda name: None)
    assert local.missing() == "Spark is not installed: pip install -r requirements-spark.lock"


# --- the till's files

HEADER = ",".join(bulk_import.COLUMNS)


def test_a_tills_file_is_read_and_bad_rows_are_named() -> None:
    text = f"""{HEADER}
till:000001,600001,85123A,"HEART, WHITE",6,2011-12-08T09:15:00,2.55,17850,United Kingdom
till:000002,600001,85123A,,six,2011-12-08T09:15:00,2.55,,United Kingdom
till:000003,600001,85123A,,6,08.12.2011,2.55,,United Kingdom
till:000004,600001,85123A
till:000005,600001,85123A,,-6,2011-12-08T09:15:00,2.55,,United Kingdom
"""
    good, bad = bulk_import.read(text.encode())
    assert [row["RowId"] for row in good] == ["till:000001", "till:000005"]
    assert good[0]["Description"] == "HEART, WHITE" and good[1]["CustomerID"] is None and good[1]["Quantity"] == -6
    assert [(found["line"], found["reason"]) for found in bad] == [
        (3, "Quantity is no whole number"),
        (4, "InvoiceDate is no date"),
        (5, "has another number of columns than the header"),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the header is"),
        (b"InvoiceNo,StockCode\n1,2\n", "the header is InvoiceNo,StockCode"),
        (HEADER.encode() + b"\n\xa3\xa3", "no UTF-8"),
        (HEADER.encode() + b'\n"a"b,c', "no CSV after line"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bulk_import.read(data)


def test_a_moment_is_written_one_way() -> None:
    assert batch_job.moment("2011-12-08T09:15:00") == dt.datetime(2011, 12, 8, 9, 15)
    for text in ("2011-12-08", "20111208T091500", "2011-12-08T09:15:00Z", "2011-13-08T09:15:00"):
        with pytest.raises(ValueError):
            batch_job.moment(text)
