"""The batch job in the lab: late data, a day that fails, a kill half-way, the fan-out, and the real file."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


Sums = dict[tuple[str, str], tuple[int, Decimal]]


def sums(rows: Iterable[dict[str, Any]]) -> Sums:
    """{(day, country): (rows, revenue)}, exact."""
    found: Sums = {}
    for row in rows:
        place = row["InvoiceDate"][:10], row["Country"]
        count, total = found.get(place, (0, Decimal(0)))
        found[place] = count + 1, total + row["Quantity"] * Decimal(row["UnitPrice"])
    return found


def days_of(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["InvoiceDate"][:10] for row in rows})


def rolled_up(fine: Sums, name: str) -> dict[str, tuple[int, Decimal]]:
    """The same by day, by month or by country."""
    found: dict[str, tuple[int, Decimal]] = {}
    for (day, country), (rows, revenue) in fine.items():
        place = {"day": day, "month": day[:7], "country": country}[name]
        count, total = found.get(place, (0, Decimal(0)))
        found[place] = count + rows, total + revenue
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    """A lab with a warehouse, in which the first rows of the sample lie in raw files of forty."""
    with batch(tmp_path_factory.mktemp("batch") / "lab", with_warehouse=True) as made:
        yield made


@pytest.fixture
def fresh(lab: Batch) -> Batch:
    """The same, empty again."""
    empty(lab)
    return lab


def empty(lab: Batch) -> None:
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
        found = [{"Key": key} for key in lab.keys(prefix)]
        for start in range(0, len(found), 1000):
            lab.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": found[start : start + 1000]})
    for table, names in (("BatchDays", ["Day"]), ("Invoices", ["InvoiceNo", "RowId"]), ("Customers", ["CustomerID"])):
        stored = boto3.resource("dynamodb").Table(table)
        for item in stored.scan()["Items"]:
            stored.delete_item(Key={name: item[name] for name in names})
    warehouse.run_all([f"DELETE FROM {name}" for name in ("fact_sales", "dim_customer", "dim_product", "dim_date")])


def put(lab: Batch, rows: list[dict[str, Any]], size: int = 40, hour: str = "2026/11/25/10") -> None:
    for start in range(0, len(rows), size):
        lab.raw(raw(rows[start : start + size]), f"{hour}/shard-{start:06}.jsonl")


def agree(lab: Batch, rows: list[dict[str, Any]]) -> None:
    """Clean files, daily figures and the warehouse hold these rows, each once: per day, month and country, exactly."""
    clean, wanted = lab.lines("clean/"), sums(rows)
    assert len(clean) == len({row["RowId"] for row in rows})
    assert {row["RowId"] for row in clean} == {row["RowId"] for row in rows}
    found = warehouse.run(
        "SELECT date_key, country, COUNT(*) AS lines, SUM(quantity * unit_price) AS revenue "
        "FROM fact_sales GROUP BY 1, 2"
    )
    stores: dict[str, Sums] = {
        "clean": sums(clean),
        "daily": {(d["date"], d["country"]): (d["lines"], Decimal(d["revenue"])) for d in lab.lines("daily/")},
        "warehouse": {
            (f"{k // 10000}-{k // 100 % 100:02}-{k % 100:02}", c): (n, r)
            for k, c, n, r in found.itertuples(index=False)
        },
    }
    for store, held in stores.items():
        for name in ("day", "month", "country"):
            assert rolled_up(held, name) == rolled_up(wanted, name), (store, name)
        assert held == wanted, store
    listed = {key.split("/")[1] for key in lab.keys("parquet/")}
    assert listed == {f"date_key={day.replace('-', '')}" for day in days_of(rows)}
    states = lab.days()
    assert {day: (states[day]["Rows"], states[day]["Revenue"]) for day in days_of(rows)} == rolled_up(wanted, "day")


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
    days = days_of(rows)
    assert fresh.invoke(date=days[0])["rebuilt"] == 1
    assert fresh.invoke(date_from=days[1], date_to=days[3])["rebuilt"] == 3
    assert fresh.invoke(date_from="2030-01-01")["rebuilt"] == 0
    with pytest.raises(RuntimeError, match="no date such as"):
        fresh.invoke(date_from="yesterday")


def test_the_watermark_says_where_it_need_not_look_any_more(fresh: Batch) -> None:
    """A file may come 25 hours late, by its name; each is regrouped once; older hours are not even listed."""
    rows = sample(100)
    put(fresh, rows[:20], hour="2026/11/25/10")
    assert fresh.invoke()["files"] == 1
    table = boto3.resource("dynamodb").Table("BatchDays")
    watermark = table.get_item(Key={"Day": "#watermark"})["Item"]["Hours"]
    assert watermark[f"{BUCKET}/raw/"] == "2026/11/24/09"
    put(fresh, rows[20:40], hour="2026/11/24/09")
    put(fresh, rows[40:60], hour="2026/11/24/08")
    assert fresh.invoke()["files"] == 1
    agree(fresh, rows[:40])
    put(fresh, rows[60:100], hour="2026/11/25/11")
    assert fresh.invoke()["files"] == 1
    agree(fresh, [*rows[:40], *rows[60:]])
    assert fresh.invoke()["files"] == 0


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


@contextmanager
def denied(day: str) -> Iterator[None]:
    """The job may not write this day."""
    statement = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/clean/date={day}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = boto3.client("iam")
    iam.put_role_policy(RoleName="batch-job-role", PolicyName="deny", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName="batch-job-role", PolicyName="deny")


def test_a_day_that_fails_does_not_stop_the_others_and_heals(fresh: Batch) -> None:
    rows = sample(100)
    put(fresh, rows)
    first = days_of(rows)[0]
    with denied(first), pytest.raises(RuntimeError, match=f"1 of .* days failed: {first}: .*AccessDenied"):
        fresh.invoke()
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


def kill_in_flight(lab: Batch, prefix: str, at_least: int = 1) -> None:
    """Calls the job, and kills its process when it has written so many objects of this kind."""
    before = set(lab.keys(prefix))
    ended: list[str] = []

    def go() -> None:
        try:
            ended.append(str(lab.invoke()))
        except RuntimeError as error:
            ended.append(str(error))

    def written() -> int:
        return len(set(lab.keys(prefix)) - before)

    run = threading.Thread(target=go)
    run.start()
    wait_for(lambda: written() >= at_least, timeout=300, what=f"work in flight: {prefix}")
    for worker in workers():
        worker.send_signal(signal.SIGKILL)
    run.join()
    states = Counter(day["Status"] for day in lab.days().values())
    print(f"killed after {written()} of {prefix}: {dict(states)}, the call said {ended[0][:80]}")
    assert "rebuilt" not in ended[0], "it was over before it was killed"


@pytest.mark.parametrize("prefix", ["days/", "clean/", "manifests/"])
def test_a_killed_run_goes_on_where_it_stood(fresh: Batch, prefix: str) -> None:
    """The function's process dies in the regrouping, in the rebuilding, or while the warehouse loads."""
    rows = sample()
    put(fresh, rows)
    kill_in_flight(fresh, prefix)
    assert fresh.invoke()["failed"] == {}
    agree(fresh, rows)


def test_days_fan_out_over_a_queue_to_many_functions(fresh: Batch) -> None:
    """One of them fails at first; its message comes again, and only its."""
    rows = sample()
    put(fresh, rows)
    fresh.invoke(step="regroup")
    mapping = fresh.functions.create_event_source_mapping(
        EventSourceArn="arn:aws:sqs:us-east-1:123456789012:days",
        FunctionName="batch-job",
        BatchSize=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    fresh.sqs.set_queue_attributes(QueueUrl=fresh.queue, Attributes={"VisibilityTimeout": "3"})
    bad = days_of(rows)[3]

    def states() -> Counter[str]:
        return Counter(day["Status"] for day in fresh.days().values())

    try:
        with denied(bad):
            assert fresh.invoke(step="fan_out")["sent"] == len(days_of(rows))
            rest = {"BUILT": len(days_of(rows)) - 1, "FAILED": 1}
            wait_for(lambda: states() == rest, timeout=90, what="all days but one")
            assert "AccessDenied" in fresh.days()[bad]["Error"]
        wait_for(lambda: set(states()) == {"BUILT"}, timeout=90, what="all days")
    finally:
        fresh.functions.delete_event_source_mapping(UUID=mapping["UUID"])
        fresh.sqs.set_queue_attributes(QueueUrl=fresh.queue, Attributes={"VisibilityTimeout": "900"})
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


class Stopwatch:
    """Seconds by the clock and of processor time: of the lab, its functions and its warehouse."""

    def __init__(self) -> None:
        info = server.find(lab_folder())
        assert info
        self.process = psutil.Process(info.pid)
        self.wall, self.cpu = time.monotonic(), self.spent()

    def spent(self) -> float:
        found = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            try:
                found += sum(process.cpu_times()[:4])  # of its own, and of children that have ended
            except psutil.Error:
                continue
        return found

    def __str__(self) -> str:
        return f"{time.monotonic() - self.wall:.1f} s, {self.spent() - self.cpu:.1f} s of processor time"


def backfill(lab: Batch) -> str:
    """Calls the job until nothing is left; how long it took."""
    watch, calls, result = Stopwatch(), 0, {"more": True}
    while result.get("more") or result.get("left"):
        result, calls = lab.invoke(), calls + 1
    return f"{watch} in {calls} calls"


@pytest.mark.skipif(not SOAK, reason="minutes, on the real file: `make soak`")
@pytest.mark.skipif(not os.environ.get("ONLINE_RETAIL_CSV"), reason="ONLINE_RETAIL_CSV does not name the real file")
def test_the_real_file_backfilled(fresh: Batch) -> None:
    """305 days; again, which changes nothing; and anew, killed in the regrouping and in the rebuilding."""
    rows = [dict(row) for row in read_rows(Path(os.environ["ONLINE_RETAIL_CSV"]))]
    put(fresh, rows, size=10_000)
    print(f"first: {backfill(fresh)}")
    assert len(fresh.days()) == 305
    agree(fresh, rows)
    before, watch = fresh.stores(), Stopwatch()
    again = fresh.invoke(date_from="2010-12-01", date_to="2011-12-09")
    assert (again["rebuilt"], again["changed"], again["rows"]) == (305, 0, len(rows))
    assert fresh.stores() == before
    print(f"again: {watch}")
    empty(fresh)
    put(fresh, rows, size=10_000)
    watch = Stopwatch()
    kill_in_flight(fresh, "days/", 150)  # of some 360: the file is in order of time
    kill_in_flight(fresh, "clean/", 100)
    print(f"killed twice: {watch}")
    print(f"resumed: {backfill(fresh)}")
    agree(fresh, rows)
    assert {key: tag for key, (tag, _) in fresh.stores()["objects"].items()} == {
        key: tag for key, (tag, _) in before["objects"].items()
    }
