"""From the stream by Firehose into staging, and by MERGE into the star: the same numbers, and nothing lost by a fault.

Each fault comes while rows are on their way; seeds and the points of the kills are printed. The statements are those of
helpers/sql/, in the lab's warehouse.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from platform_lab import wait_until
from warehouse_lab import Warehouse, warehouse

from data.generate import write
from helpers import reconcile
from helpers.rows import Row, read_rows, to_json
from helpers.warehouse import SQL, QueryFailed, question, questions, run, run_all, statements
from tests.seeded import SEED, SOAK

REAL = os.environ.get("ONLINE_RETAIL_CSV")
TABLES = ("staging_sales", "fact_sales", "dim_customer", "dim_product", "dim_date", "dim_country")
GROUP = "/aws/kinesisfirehose/sales"


class Pipeline:
    """A stream, Firehose and the star, without API and notebooks: `send` puts a file's rows into the stream."""

    def __init__(self, w: Warehouse, shards: int) -> None:
        self.w, self.s3, self.kinesis, self.firehose = w, w.s3, boto3.client("kinesis"), boto3.client("firehose")
        self.kinesis.create_stream(StreamName="sales", ShardCount=shards)
        boto3.client("logs").create_log_group(logGroupName=GROUP)
        boto3.client("logs").create_log_stream(logGroupName=GROUP, logStreamName="d")
        self.role = w.make_role("Firehose", "firehose.amazonaws.com")
        self.allow("s3:PutObject", "s3:GetObject", "s3:ListBucket", "kinesis:*", "logs:PutLogEvents")
        self.clear()

    def allow(self, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.w.iam.put_role_policy(RoleName="Firehose", PolicyName="p", PolicyDocument=document)

    def clear(self) -> None:
        """Empty tables, an empty bucket with the JSONPaths, no delivery stream."""
        for name in self.firehose.list_delivery_streams()["DeliveryStreamNames"]:
            self.firehose.delete_delivery_stream(DeliveryStreamName=name)
        for key in self.keys(""):
            self.s3.delete_object(Bucket="lab", Key=key)
        self.s3.put_object(Bucket="lab", Key="jsonpaths.json", Body=(SQL / "sales.jsonpaths.json").read_bytes())
        for table in TABLES:
            run(f"DROP TABLE IF EXISTS {table} CASCADE")
        for statement in [*statements("staging"), *statements("star_schema")]:
            run(statement)

    def deliver(self, name: str, megabytes: int = 5, seconds: int = 1, retry: int = 0) -> None:
        logging = {"Enabled": True, "LogGroupName": GROUP, "LogStreamName": "d"}
        address = self.w.redshift.describe_clusters()["Clusters"][0]["Endpoint"]["Address"]
        self.firehose.create_delivery_stream(
            DeliveryStreamName=name,
            DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration={
                "KinesisStreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/sales",
                "RoleARN": self.role,
            },
            RedshiftDestinationConfiguration={
                "RoleARN": self.role,
                "ClusterJDBCURL": f"jdbc:redshift://{address}:5439/retail",
                "Username": "admin",
                "Password": "Abcdef123",
                "CopyCommand": {
                    "DataTableName": "staging_sales",
                    "CopyOptions": "JSON 's3://lab/jsonpaths.json' GZIP",
                },
                "RetryOptions": {"DurationInSeconds": retry},
                "CloudWatchLoggingOptions": logging,
                "S3Configuration": {
                    "RoleARN": self.role,
                    "BucketARN": "arn:aws:s3:::lab",
                    "Prefix": "sales/",
                    "CompressionFormat": "GZIP",
                    "BufferingHints": {"SizeInMBs": megabytes, "IntervalInSeconds": seconds},
                    "CloudWatchLoggingOptions": logging,
                },
                "ProcessingConfiguration": {
                    "Enabled": True,
                    "Processors": [
                        {
                            "Type": "AppendDelimiterToRecord",
                            "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}],
                        }
                    ],
                },
            },
        )

    def send(self, rows: list[Row]) -> None:
        for at in range(0, len(rows), 500):
            left = [{"Data": to_json(r).encode(), "PartitionKey": r["RowId"]} for r in rows[at : at + 500]]
            while left:
                answer = self.kinesis.put_records(StreamName="sales", Records=left)
                left = [x for x, a in zip(left, answer["Records"], strict=True) if "ErrorCode" in a]

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="lab", Prefix=prefix)
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def errors(self) -> list[str]:
        """The error codes in the delivery stream's log, in order."""
        events = boto3.client("logs").get_log_events(logGroupName=GROUP, logStreamName="d", startFromHead=True)
        return [json.loads(e["message"])["errorCode"] for e in events["events"]]

    def load_by_hand(self, key: str) -> None:
        run(
            f"COPY staging_sales FROM 's3://lab/{key}' IAM_ROLE '{self.w.role}' MANIFEST "
            "JSON 's3://lab/jsonpaths.json' GZIP"
        )


def count(table: str) -> int:
    return int(run(f"SELECT COUNT(*) AS n FROM {table}")["n"][0])


def star() -> dict[str, Any]:
    """What the star says of itself, by every dimension."""
    by = "COUNT(*) AS lines, COUNT(DISTINCT row_id) AS rows, SUM(quantity) AS quantity, SUM(revenue) AS revenue"
    whole = run(f"SELECT {by} FROM fact_sales").iloc[0].tolist()
    parts = run(
        f"SELECT d.year * 100 + d.month AS m, country, {by} FROM fact_sales AS f JOIN dim_date AS d "
        "ON d.date_key = f.date_key GROUP BY d.year * 100 + d.month, country ORDER BY 1, 2"
    )
    dimensions = {t: run(f"SELECT * FROM {t} ORDER BY 1").to_numpy().tolist() for t in TABLES[2:]}
    return {"whole": whole, "parts": parts.to_numpy().tolist(), **dimensions}


def expected(rows: list[Row]) -> dict[str, Any]:
    """The same, worked out in Python from the client's rows."""
    parts: dict[tuple[int, str], list[Any]] = {}
    whole: list[Any] = [0, 0, 0, Decimal(0)]
    for row in rows:
        month, amount = int(row["InvoiceDate"][:7].replace("-", "")), row["Quantity"] * Decimal(row["UnitPrice"])
        for total in (whole, parts.setdefault((month, row["Country"]), [0, 0, 0, Decimal(0)])):
            total[0] += 1
            total[1] += 1
            total[2] += row["Quantity"]
            total[3] += amount
    return {"whole": whole, "parts": [[m, c, *v] for (m, c), v in sorted(parts.items())]}


def equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert [Decimal(str(x)) for x in found["whole"]] == [Decimal(str(x)) for x in wanted["whole"]]
    assert found["parts"] == wanted["parts"]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with warehouse(tmp_path_factory.mktemp("pipeline") / "lab") as w:
        yield Pipeline(w, shards=4)


@pytest.fixture
def clean(line: Pipeline) -> Pipeline:
    line.clear()
    return line


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    csv = tmp_path_factory.mktemp("rows") / "shop.csv"
    write(csv, 20_000 if SOAK else 3_000)
    return list(read_rows(csv))


def test_every_row_reaches_the_star_once_per_month_and_country(clean: Pipeline, rows: list[Row]) -> None:
    """Twice through Firehose and twice merged: staging holds duplicates, the star does not."""
    clean.deliver("twice")
    clean.send(rows)
    wait_until(lambda: count("staging_sales") >= len(rows), "the rows in staging")
    run_all(statements("merge_sales"))
    once = star()
    equal(once, expected(rows))
    clean.send(rows)
    wait_until(lambda: count("staging_sales") >= 2 * len(rows), "the rows in staging again")
    run_all(statements("merge_sales"))
    run_all(statements("merge_sales"))
    assert star() == once
    assert count("staging_sales") >= 2 * len(rows) > count("fact_sales") == len(rows)
    assert {r["StockCode"] for r in rows} == {x[0] for x in once["dim_product"]}
    assert {r["CustomerID"] for r in rows} - {None} == {x[0] for x in once["dim_customer"]}


def test_questions_and_views_answer_and_agree_with_the_whole(clean: Pipeline, rows: list[Row]) -> None:
    stage(clean, rows)
    run_all(statements("merge_sales"))
    run_all(statements("bi_views"))
    answers = {name: run(question(name)) for name in questions()}
    wanted = expected(rows)["whole"]
    for name in ("01_revenue_by_month", "02_revenue_by_country"):
        assert sum(answers[name]["revenue"]) == wanted[3] and sum(answers[name]["lines"]) == wanted[0], name
    both = answers["10_guests_and_customers"]
    assert sum(both["customers"]) + sum(both["guests"]) == wanted[3]
    invoices = {r["InvoiceNo"] for r in rows if r["Quantity"] >= 0}
    assert sum(answers["06_hour_and_weekday"]["invoices"]) >= len(invoices)
    buyers = {r["CustomerID"] for r in rows if r["Quantity"] >= 0} - {None}
    assert sum(answers["07_customer_segments"]["customers"]) == len(buyers)
    cohorts = answers["08_retention"]
    assert sum(cohorts[cohorts["months_later"] == 0]["customers"]) == len(buyers)
    pair = answers["09_bought_together"].iloc[0]
    baskets: dict[str, set[str]] = {}
    for r in rows:
        if r["Quantity"] >= 0:
            baskets.setdefault(r["InvoiceNo"], set()).add(r["StockCode"])
    together = sum({pair["stock_code_1"], pair["stock_code_2"]} <= basket for basket in baskets.values())
    assert pair["invoices"] == together > 0
    for view in ("sales", "revenue_by_month_and_country", "customers", "products"):
        assert len(run(f"SELECT * FROM bi.{view} LIMIT 5"))
    assert run("SELECT SUM(revenue) AS r, COUNT(*) AS n FROM bi.sales").iloc[0].tolist() == [wanted[3], wanted[0]]


def test_the_order_and_the_size_of_loads_change_nothing(clean: Pipeline, rows: list[Row]) -> None:
    """Pieces of the file, shuffled, some twice, merged after each or only now and then."""
    chance = random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")
    stage(clean, rows)
    run_all(statements("merge_sales"))
    whole = star()
    clean.clear()
    shuffled = rows[:]
    chance.shuffle(shuffled)
    while shuffled:
        piece, shuffled = shuffled[: chance.randrange(200, 1500)], shuffled[1:]
        shuffled = (
            shuffled[len(piece) - 1 :] if chance.random() < 0.8 else shuffled[len(piece) // 2 :]
        )  # or overlapping
        stage(clean, piece)
        if chance.random() < 0.5:
            run_all(statements("merge_sales"))
    run_all(statements("merge_sales"))
    assert star() == whole


def stage(pipeline: Pipeline, rows: list[Row]) -> None:
    """Loads rows into staging by a COPY of their own."""
    key = f"own/{time.monotonic_ns()}.jsonl"
    pipeline.s3.put_object(Bucket="lab", Key=key, Body="\n".join(map(to_json, rows)).encode())
    run(f"COPY staging_sales FROM 's3://lab/{key}' IAM_ROLE '{pipeline.w.role}' JSON 's3://lab/jsonpaths.json'")


# --- faults


def test_a_copy_that_iam_denies(clean: Pipeline, rows: list[Row]) -> None:
    """The role may write the files but not read them: the log says so, the manifests wait, and nothing is lost."""
    clean.deliver("denied")
    clean.allow("s3:PutObject", "kinesis:*", "logs:PutLogEvents")
    told = len(clean.errors())
    clean.send(rows)
    wait_until(lambda: clean.errors()[told:], "an error in the log")
    assert set(clean.errors()[told:]) == {"Redshift.S3BucketAccessDenied"}
    assert count("staging_sales") == 0
    clean.allow("s3:PutObject", "s3:GetObject", "s3:ListBucket", "kinesis:*", "logs:PutLogEvents")
    half = rows[: len(rows) // 2]
    clean.send(half)  # and rows that come now are loaded by Firehose itself
    wait_until(lambda: count("staging_sales") >= len(half), "the later rows in staging")
    for key in clean.keys("errors/manifests/"):
        clean.load_by_hand(key)
    assert count("staging_sales") == len(rows) + len(half)
    run_all(statements("merge_sales"))
    equal(star(), expected(rows))


def test_a_bucket_that_is_gone_while_rows_come(clean: Pipeline, rows: list[Row]) -> None:
    clean.deliver("gone")
    clean.send(rows[:100])
    wait_until(lambda: count("staging_sales") == 100, "the first rows in staging")
    for key in clean.keys(""):
        clean.s3.delete_object(Bucket="lab", Key=key)
    clean.s3.delete_bucket(Bucket="lab")
    told = len(clean.errors())
    clean.send(rows[100:])
    wait_until(lambda: clean.errors()[told:], "an error in the log")
    assert clean.errors()[-1] == "S3.NoSuchBucket"
    clean.s3.create_bucket(Bucket="lab")
    clean.s3.put_object(Bucket="lab", Key="jsonpaths.json", Body=(SQL / "sales.jsonpaths.json").read_bytes())
    wait_until(lambda: count("staging_sales") >= len(rows), "all rows in staging")
    run_all(statements("merge_sales"))
    equal(star(), expected(rows))


def test_a_bad_file_among_good_ones(clean: Pipeline, rows: list[Row]) -> None:
    """The good ones are loaded, the bad one is named, and is loaded when it has been mended."""
    clean.deliver("bad")
    third = len(rows) // 3
    clean.send(rows[:third])
    wait_until(lambda: count("staging_sales") == third, "the first file")
    broken = dict(rows[third])
    broken["StockCode"] = "X" * 21  # the column holds 20
    clean.send([broken, *rows[third + 1 : 2 * third]])  # type: ignore[list-item]
    [manifest] = wait_until(lambda: clean.keys("errors/manifests/"), "the manifest of the bad file")
    clean.send(rows[2 * third :])
    wait_until(lambda: count("staging_sales") == third + len(rows) - 2 * third, "the third file")
    told = run("SELECT TRIM(filename) AS file, TRIM(colname) AS name, TRIM(err_reason) AS reason FROM stl_load_errors")
    entries = json.loads(clean.s3.get_object(Bucket="lab", Key=manifest)["Body"].read())["entries"]
    assert told.iloc[-1]["file"] in {e["url"] for e in entries} and told.iloc[-1]["name"] == "stock_code"
    assert "exceeds DDL length" in told.iloc[-1]["reason"]
    with pytest.raises(QueryFailed, match="stl_load_errors"):
        clean.load_by_hand(manifest)
    assert count("staging_sales") == third + len(rows) - 2 * third, "a load is all or nothing"
    stage(clean, rows[third : 2 * third])
    run_all(statements("merge_sales"))
    equal(star(), expected(rows))


def test_the_warehouse_killed_in_the_middle_of_a_merge(clean: Pipeline, tmp_path: Path) -> None:
    """Until a kill hits a MERGE under way: the star is as it was or complete, and the next run completes it."""
    chance = random.Random(SEED)
    csv = tmp_path / "big.csv"
    write(csv, 60_000 if SOAK else 20_000, seed=3)
    many = list(read_rows(csv))
    stage(clean, many[: len(many) // 2])
    run_all(statements("merge_sales"))
    before = star()
    stage(clean, many[len(many) // 2 :])
    begun = time.monotonic()
    run_all(statements("merge_sales"))
    took, complete = time.monotonic() - begun, star()
    equal(complete, expected(many))
    found: Counter[str] = Counter()
    for number in range(40):
        clean.clear()
        stage(clean, many[: len(many) // 2])
        run_all(statements("merge_sales"))
        stage(clean, many[len(many) // 2 :])
        engine, after = clean.w.engine(), chance.uniform(0.05, 1) * took
        assert engine is not None
        started = clean.w.start(*statements("merge_sales"))
        time.sleep(after)  # the point of the kill
        engine.kill()
        ended = clean.w.wait(started)
        engine.wait(60)  # a kill that came too late must not hit the question below
        state = star()
        assert state in (before, complete), f"WORKBOOK_SEED={SEED}, kill {number}: neither what was nor what was to be"
        hit = ended["Status"] == "FAILED"
        assert state == (before if hit else complete)
        done = [p["Status"] for p in ended["SubStatements"]].count("FINISHED")
        found["in the middle" if hit and done else "at the start" if hit else "too late"] += 1
        print(f"WORKBOOK_SEED={SEED}: killed at {after:.3f} of {took:.3f} s, {done} statements done, {ended['Status']}")
        run_all(statements("merge_sales"))
        assert star() == complete
        if found["in the middle"] >= (5 if SOAK else 1):
            return
    raise AssertionError(f"WORKBOOK_SEED={SEED}: no kill in the middle of a MERGE: {found}")


# --- the real file


@pytest.mark.skipif(not REAL, reason="ONLINE_RETAIL_CSV names no file")
def test_the_real_file(tmp_path: Path) -> None:
    """All 541,909 rows through Firehose and COPY into the star: the same numbers, also per month and country."""
    file = list(read_rows(str(REAL)))
    with warehouse(tmp_path / "lab") as w:
        pipeline = Pipeline(w, shards=64)
        pipeline.deliver("real", megabytes=16)
        begun = time.monotonic()
        pipeline.send(file)
        sent = time.monotonic() - begun
        wait_until(lambda: count("staging_sales") >= len(file), "the file in staging", 300)
        staged = time.monotonic() - begun
        in_files = reconcile.tally(reconcile.object_rows("lab", "sales/"))
        assert (in_files.rows, in_files.revenue) == (541_909, Decimal("9747747.934"))
        run("CREATE TABLE copied (LIKE staging_sales)")
        seconds: dict[str, float] = {"sent": sent, "staged": staged}

        def timed(name: str, *sqls: str) -> None:
            started = time.monotonic()
            run_all(sqls) if len(sqls) > 1 else run(sqls[0])
            seconds[name] = time.monotonic() - started

        where = f"FROM 's3://lab/sales/' IAM_ROLE '{w.role}' JSON 's3://lab/jsonpaths.json' GZIP"
        timed("copy", f"COPY copied {where}")
        assert count("copied") == 541_909
        timed("merge", *statements("merge_sales"))
        once = star()
        equal(once, expected(file))
        assert once["whole"] == [541_909, 541_909, 5_176_450, Decimal("9747747.934")]
        assert len(once["dim_customer"]) == 4_372 and len(once["dim_country"]) == 38
        timed("merge again", *statements("merge_sales"))
        assert star() == once
        begun = time.monotonic()
        for name in questions():
            run(question(name))
        seconds["ten questions"] = time.monotonic() - begun
        print(", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
