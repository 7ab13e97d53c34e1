"""The batch job in the lab: late data, a day that fails, a kill half-way, the fan-out, and the real file."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from helpers import warehouse
from helpers.lab import SAMPLE, lab_folder
from helpers.localaws import server
from helpers.provision import wait_for
from helpers.rows import Selection, read_rows, to_json
from tests.batch_lab import BUCKET, Batch, batch
from tests.seeded import SEED, SOAK

ROWS = 200


def sample(rows: int = ROWS) -> list[dict[str, Any]]:
    return [dict(row) for row in read_rows(SAMPLE, Selection(first=rows))]


def raw(rows: list[dict[str, Any]]) -> list[bytes]:
    return [to_json(row).encode() for row in rows]  # type: ignore[arg-type]


def sums(rows: list[dict[str, Any]], *by: str) -> dict[tuple[str, ...], tuple[int, Decimal]]:
    """{(day, country): (rows, revenue)} and the like, exact."""
    found: dict[tuple[str, ...], tuple[int, Decimal]] = {}
    for row in rows:
        key = {"day": row["InvoiceDate"][:10], "month": row["InvoiceDate"][:7], "country": row["Country"]}
        place = tuple(key[name] for name in by)
        count, total = found.get(place, (0, Decimal(0)))
        found[place] = count + 1, total + row["Quantity"] * Decimal(row["UnitPrice"])
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    """A lab with a warehouse, in which the first rows of the sample lie in raw files of forty."""
    with batch(tmp_path_factory.mktemp("batch") / "lab", with_warehouse=True) as made:
        yield made


@pytest.fixture
def fresh(lab: Batch) -> Batch:
    """The same, empty again."""
    for prefix in (
        "raw/",
        "till/",
        "days/",
        "clean/",
        "aside/",
        "partial/",
        "daily/",
        "grouped/",
        "parquet/",
        "manifests/",
    ):
        for key in lab.keys(prefix):
            lab.s3.delete_object(Bucket=BUCKET, Key=key)
    for table, names in (("BatchDays", ["Day"]), ("Invoices", ["InvoiceNo", "RowId"]), ("Customers", ["CustomerID"])):
        stored = boto3.resource("dynamodb").Table(table)
        for item in stored.scan()["Items"]:
            stored.delete_item(Key={name: item[name] for name in names})
    warehouse.run_all([f"DELETE FROM {name}" for name in ("fact_sales", "dim_customer", "dim_product", "dim_date")])
    return lab


def put(lab: Batch, rows: list[dict[str, Any]], size: int = 40, hour: str = "2026/11/25/10") -> None:
    for start in range(0, len(rows), size):
        lab.raw(raw(rows[start : start + size]), f"{hour}/shard-{start:06}.jsonl")


def agree(lab: Batch, rows: list[dict[str, Any]]) -> None:
    """Clean files, daily figures and the warehouse hold these rows: per day, month and country, exactly."""
    clean = lab.lines("clean/")
    for by in (("day",), ("month",), ("country",), ("day", "country")):
        assert sums(clean, *by) == sums(rows, *by), by
    daily = {(d["date"], d["country"]): (d["lines"], Decimal(d["revenue"])) for d in lab.lines("daily/")}
    assert daily == sums(rows, "day", "country")
    found = warehouse.run(
        "SELECT date_key, country, COUNT(*) AS lines, SUM(quantity * unit_price) AS revenue "
        "FROM fact_sales GROUP BY 1, 2"
    )
    loaded = {
        (f"{k // 10000}-{k // 100 % 100:02}-{k % 100:02}", c): (n, r) for k, c, n, r in found.itertuples(index=False)
    }
    assert loaded == sums(rows, "day", "country")
    assert {key.split("/")[1] for key in lab.keys("parquet/")} == {
        f"date_key={day.replace('-', '')}" for (day,) in sums(rows, "day")
    }


def test_late_data_and_doubled_data_give_what_one_run_would_have_given(fresh: Batch) -> None:
    rows, rng = sample(), random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")
    rng.shuffle(rows)
    put(fresh, rows[:140])
    assert fresh.invoke()["rows"] == 140
    agree(fresh, rows[:140])
    put(fresh, rows[100:], hour="2026/11/25/11")  # 40 rows once more, and 60 that are late
    assert fresh.invoke()["failed"] == {}
    agree(fresh, rows)
    assert sum(int(day["Duplicates"]) for day in fresh.days().values()) == 40
    assert {day["Status"] for day in fresh.days().values()} == {"BUILT"}
    before = fresh.stores()
    assert fresh.invoke(date_from="2010-01-01", date_to="2012-01-01")["changed"] == 0
    assert fresh.stores() == before, "a second backfill has changed something"
    agree(fresh, rows)


def test_a_day_again_and_a_range(fresh: Batch) -> None:
    rows = sample()
    put(fresh, rows)
    fresh.invoke()
    days = sorted(day for (day,) in sums(rows, "day"))
    assert fresh.invoke(date=days[0])["rebuilt"] == 1
    assert fresh.invoke(date_from=days[1], date_to=days[3])["rebuilt"] == 3
    assert fresh.invoke(date_from="2030-01-01")["rebuilt"] == 0
    with pytest.raises(RuntimeError, match="no date such as"):
        fresh.invoke(date_from="yesterday")


def test_what_cannot_be_cleaned_is_counted_by_reason_and_kept(fresh: Batch) -> None:
    rows = sample(20)
    broken = [{**rows[0], "RowId": "x:1", "Quantity": "six"}, {**rows[0], "RowId": "x:2", "UnitPrice": "free"}]
    fresh.raw([*raw(rows), *raw(broken), b"this is no JSON"], "2026/11/25/10/a.jsonl")
    fresh.invoke()
    agree(fresh, rows)
    aside: Counter[str] = Counter()
    for day in fresh.days().values():
        aside.update({reason: int(count) for reason, count in day["Aside"].items()})
    assert aside == {
        "Quantity is no whole number": 1,
        "UnitPrice is no price of up to three decimals": 1,
        "no JSON object": 1,
    }
    assert sorted(item["reason"] for item in fresh.lines("aside/")) == sorted(aside.elements())
    assert fresh.days()["unknown"]["Aside"] == {"no JSON object": 1}


def test_a_day_that_fails_does_not_stop_the_others_and_heals(fresh: Batch) -> None:
    rows = sample(100)
    put(fresh, rows)
    first = min(day for (day,) in sums(rows, "day"))
    statement = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/clean/date={first}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = boto3.client("iam")
    iam.put_role_policy(RoleName="batch-job-role", PolicyName="deny", PolicyDocument=document)
    try:
        with pytest.raises(RuntimeError, match=f"1 of .* days failed: {first}: .*AccessDenied"):
            fresh.invoke()
    finally:
        iam.delete_role_policy(RoleName="batch-job-role", PolicyName="deny")
    states = {day: item["Status"] for day, item in fresh.days().items()}
    assert states.pop(first) == "FAILED" and set(states.values()) == {"BUILT"}
    assert "AccessDenied" in fresh.days()[first]["Error"]
    assert fresh.invoke()["rebuilt"] == 1
    agree(fresh, rows)


def workers() -> list[psutil.Process]:
    info = server.find(lab_folder())
    assert info
    found = []
    for child in psutil.Process(info.pid).children(recursive=True):
        try:
            found += [child] if any("worker.py" in part for part in child.cmdline()) else []
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("prefix", ["days/", "clean/", "manifests/"])
def test_a_killed_run_goes_on_where_it_stood(fresh: Batch, prefix: str) -> None:
    """The function's process dies in the regrouping, in the rebuilding, or while the warehouse loads."""
    rows = sample()
    put(fresh, rows)
    before = set(fresh.keys(prefix))
    ended: list[str] = []

    def go() -> None:
        try:
            ended.append(str(fresh.invoke()))
        except RuntimeError as error:
            ended.append(str(error))

    run = threading.Thread(target=go)
    run.start()
    wait_for(lambda: len(set(fresh.keys(prefix)) - before) >= 1, timeout=60, what=f"work in flight: {prefix}")
    for worker in workers():
        worker.send_signal(signal.SIGKILL)
    run.join()
    states = Counter(day["Status"] for day in fresh.days().values())
    done = len(set(fresh.keys(prefix)) - before)
    print(f"killed after {done} of {prefix}: {dict(states)}, the call said {ended[0][:80]}")
    assert "rebuilt" not in ended[0], "it was over before it was killed"
    assert fresh.invoke()["failed"] == {}
    agree(fresh, rows)


def test_days_fan_out_over_a_queue_to_many_functions(fresh: Batch) -> None:
    rows = sample()
    put(fresh, rows)
    fresh.invoke(step="regroup")
    mapping = fresh.functions.create_event_source_mapping(
        EventSourceArn="arn:aws:sqs:us-east-1:123456789012:days",
        FunctionName="batch-job",
        BatchSize=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    try:
        assert fresh.invoke(step="fan_out")["sent"] == len(sums(rows, "day"))
        wait_for(lambda: {day["Status"] for day in fresh.days().values()} == {"BUILT"}, timeout=90, what="all days")
    finally:
        fresh.functions.delete_event_source_mapping(UUID=mapping["UUID"])
    fresh.invoke(step="finish")
    agree(fresh, rows)


def test_streamed_and_imported_rows_stand_side_by_side_once_each(fresh: Batch) -> None:
    """A till's file holds rows that came through the stream as well: every store has each row once."""
    rows = sample(60)
    put(fresh, rows[:40])
    fresh.invoke()
    header = "RowId,InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

    def text(row: dict[str, Any]) -> str:
        values = ("" if row[name] is None else str(row[name]) for name in header.split(","))
        return ",".join('"' + value.replace('"', '""') + '"' for value in values)

    for _ in range(2):  # the same file again does no harm
        body = "\n".join([header, *map(text, rows[20:]), "broken,1,2,,x,2011-12-08T09:15:00,1,,United Kingdom"])
        fresh.s3.put_object(Bucket=BUCKET, Key="till/incoming/shop.csv", Body=body.encode())
        fresh.s3.put_object(Bucket=BUCKET, Key="till/incoming/notes.csv", Body=b"bread,milk\n")
        result = fresh.invoke("bulk-import")
        assert (result["files"], result["rows"], result["rejected_files"], result["rejected_rows"]) == (1, 40, 1, 1)
    assert fresh.keys("till/incoming/") == []
    assert fresh.keys("till/processed/") == ["till/processed/shop.csv"]
    assert json.loads(fresh.body("till/rejected/notes.csv.reason.json"))["reason"].startswith(
        "the header is bread,milk"
    )
    assert fresh.lines("till/rejected/shop.csv.rows.jsonl")[0]["reason"] == "Quantity is no whole number"
    assert len(warehouse.run("SELECT row_id FROM fact_sales")) == 60
    fresh.invoke()
    agree(fresh, rows)
    items = boto3.resource("dynamodb").Table("Invoices").scan()["Items"]
    assert {i["RowId"] for i in items if i["RowId"] != "#invoice"} == {row["RowId"] for row in rows[20:]}
    totals = defaultdict(Decimal)
    for row in rows[20:]:
        totals[row["InvoiceNo"]] += row["Quantity"] * Decimal(row["UnitPrice"])
    assert {i["InvoiceNo"]: i["Revenue"] for i in items if i["RowId"] == "#invoice"} == totals


@pytest.mark.skipif(not SOAK, reason="minutes, on the real file: `make soak`")
@pytest.mark.skipif(not os.environ.get("ONLINE_RETAIL_CSV"), reason="ONLINE_RETAIL_CSV does not name the real file")
def test_the_real_file_backfilled(fresh: Batch) -> None:
    rows = [dict(row) for row in read_rows(Path(os.environ["ONLINE_RETAIL_CSV"]))]
    put(fresh, rows, size=10_000)
    began = time.monotonic()
    result: dict[str, Any] = {"more": True}
    calls = 0
    while result.get("more") or result.get("left"):
        result, calls = fresh.invoke(), calls + 1
    took = time.monotonic() - began
    assert len(fresh.days()) == 305
    agree(fresh, rows)
    before, again = fresh.stores(), time.monotonic()
    assert fresh.invoke(date_from="2010-12-01", date_to="2011-12-09")["changed"] == 0
    assert fresh.stores() == before
    print(f"305 days, {len(rows):,} rows: {took:.1f} s in {calls} calls; again {time.monotonic() - again:.1f} s")
