"""What is special to notebook 08: its exercises, its permissions, `workbook run` on a standing cloud with the executed
notebook stored in S3, a second run, and the clean-up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import nbformat
import psutil
import pytest
from platform_lab import own_lab

from helpers.inventory import inventory
from helpers.lab import Lab
from helpers.localaws import server
from helpers.provision import empty_bucket
from helpers.spark import local
from tests.notebooks import allowed_actions, execute, printed, said
from tests.seeded import SOAK

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "08-batch-processing-pipeline.ipynb"
MENDED = "till/incoming/shop-18-mended.csv"


DAY, NO_DAY = "2011-02-22", "2010-12-24"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What stands before notebook 08, in a lab in which it has run then: by `workbook run` for the rows of a table,
    one of which fails half-way, on this lab as an endpoint. There is no clock to move there, as on AWS."""
    folder = tmp_path_factory.mktemp("batch") / "lab"
    with own_lab(folder) as lab:
        lab.require("02", "03", "04", "06", csv="", rows=1000)
        stood = {"lab": lab, "inventory": inventory(), "roles": cluster_roles()}
        boto3.client("s3").create_bucket(Bucket="every-morning")
        (folder.parent / "days.csv").write_text(f"date,from\n{NO_DAY},\n{DAY},2011-02-01\n")
        output = ["--grid", str(folder.parent / "days.csv"), "--output", "s3://every-morning/{date}"]
        run = ["run", "--only", "08", "--rows", "1000", "-p", "spark=true", "--target", str(lab.endpoint), *output]
        runs = folder.parent / "runs"
        yield stood | {"done": workbook(runs, *run), "runs": runs}


@pytest.fixture(scope="module")
def lab(before: dict[str, Any]) -> Lab:
    found: Lab = before["lab"]
    return found


def cluster_roles() -> list[str]:
    (cluster,) = boto3.client("redshift").describe_clusters()["Clusters"]
    return sorted(role["IamRoleArn"] for role in cluster["IamRoles"])


def workbook(runs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed, with its runs in a folder of the test's."""
    script = "import sys, pathlib; from helpers import cli, runner; runner.RUNS = pathlib.Path(sys.argv.pop(1)); "
    command = [sys.executable, "-c", script + "sys.exit(cli.main(sys.argv[1:]))", str(runs), *arguments]
    without_java = os.environ | {"JAVA_HOME": str(runs / "nowhere")}
    return subprocess.run(command, capture_output=True, text=True, timeout=1500, env=without_java)


# --- the exercises


def test_what_is_not_attempted_stays_green(lab: Lab) -> None:
    for number in ("08-1", "08-2", "08-3"):
        assert said(number, ...).startswith(f"Not answered yet ({number}): ")


@pytest.mark.parametrize(
    ("expression", "state", "hint"),
    [
        ("", "", "there is no rule month-end yet"),
        ("rate(30 days)", "ENABLED", "a month's end needs cron"),
        ("cron(30 23 L * ? *)", "DISABLED", "it is disabled"),
        (
            "cron(30 23 31 * ? *)",
            "ENABLED",
            "it fires 2027-03-31 23:30:00+00:00; wanted is 28 February 2027",
        ),
        ("cron(30 23 28 * ? *)", "ENABLED", "it fires 2027-01-28 23:30:00+00:00; wanted is 31 January 2027"),
        ("cron(30 23 28-31 * ? *)", "ENABLED", "it fires 2027-01-28 23:30:00+00:00; wanted is 31 January 2027"),
        ("cron(23 30 L * ? *)", "", "there is no rule month-end yet"),
        ("cron(0 23 L * ? *)", "ENABLED", "it fires 2027-01-31 23:00:00+00:00; wanted is 31 January 2027 at 23:30"),
        ("cron(30 23 ? * L *)", "ENABLED", "wanted is 31 January 2027"),
        ("cron(30 23 L * ? 2027)", "ENABLED", "after 31 December 2027 it fires never"),
    ],
)
def test_a_rule_for_another_time_gets_its_hint(lab: Lab, expression: str, state: str, hint: str) -> None:
    events = boto3.client("events")
    if state:
        events.put_rule(Name="month-end", ScheduleExpression=expression, State=state)
    elif expression:
        with pytest.raises(events.exceptions.ClientError, match="ScheduleExpression is not valid"):
            events.put_rule(Name="month-end", ScheduleExpression=expression)
    try:
        assert said("08-1").startswith("Not yet (08-1): ") and hint in said("08-1"), said("08-1")
    finally:
        events.delete_rule(Name="month-end")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("EIRE", "the most lines, not the most new customers"),
        ("Norway", "the most revenue, not the most new customers"),
        ("United Kingdom", "other than the United Kingdom"),
        ("Germany", "from Germany came 1; there is a country with more"),
        ("france", "there is no country 'france'"),
        (5, "not a int"),
        ("France", "Right (08-2): 5 customers came from France"),
    ],
)
def test_another_country_gets_its_hint(answer: Any, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On figures in which each wrong way leads to a country of its own."""
    figures = {"United Kingdom": (99, 900, "9000"), "France": (5, 20, "300"), "EIRE": (2, 90, "400"),
               "Norway": (1, 10, "900.5"), "Germany": (1, 30, "200")}  # fmt: skip
    lines = [{"country": c, "new_customers": n, "lines": k, "revenue": r} for c, (n, k, r) in figures.items()]
    monkeypatch.setattr("helpers.exercises.nb08._daily", lambda: lines)
    assert hint in said("08-2", answer)


def test_without_figures_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.exercises.nb08._daily", list)
    assert "there are no daily figures" in said("08-2", "France")


def test_a_row_that_was_not_brought_back_gets_its_hint(lab: Lab) -> None:
    s3, functions, table = boto3.client("s3"), boto3.client("lambda"), boto3.resource("dynamodb").Table("Invoices")
    bucket = lab.outputs("08")["bucket"]
    rejected = s3.get_object(Bucket=bucket, Key="till/rejected/shop-18.csv.rows.jsonl")["Body"].read()
    row = json.loads(rejected.splitlines()[0])["row"]
    key = {"InvoiceNo": row["InvoiceNo"], "RowId": row["RowId"]}

    def drop(changed: dict[str, Any]) -> None:
        body = f"{','.join(changed)}\n" + ",".join(f'"{value or ""}"' for value in changed.values())
        s3.put_object(Bucket=bucket, Key=MENDED, Body=body.encode())

    def call_import() -> None:
        assert "FunctionError" not in functions.invoke(FunctionName="bulk-import", Payload=b"{}")

    assert "the row is not in the table yet" in said("08-3")
    drop(row | {"Quantity": 6})
    assert "the file lies in the folder, and nobody has come for it" in said("08-3")
    drop({"Quantity": 6})
    call_import()
    assert "could not read the file: see the reason beside it" in said("08-3")
    for name in ("", ".reason.json"):
        s3.delete_object(Bucket=bucket, Key=f"till/rejected/shop-18-mended.csv{name}")
    drop(row)  # the same `six` again: a file that is read, with a row that is set aside
    call_import()
    assert "the row is not in the table yet" in said("08-3")
    s3.delete_object(Bucket=bucket, Key="till/processed/shop-18-mended.csv")
    table.put_item(Item=key | {"Quantity": 7})
    assert "with a quantity of 7" in said("08-3")
    table.put_item(Item=key | {"Quantity": 6})
    assert "did not come by a file shop-18-mended.csv" in said("08-3")
    table.delete_item(Key=key)
    drop(row | {"Quantity": 6})
    call_import()
    assert said("08-3").startswith("Right (08-3)")


# --- what it may, and the notebook as a job


def test_every_policy_names_actions_that_aws_has_and_no_resource_at_large(lab: Lab) -> None:
    allowed = allowed_actions(["MyBulkImport", "MyBatchJob", "MyS3BatchCopy"])
    assert {"s3:PutObject", "dynamodb:Scan", "sqs:SendMessage", "redshift-data:ExecuteStatement"} <= allowed


def stored(address: str) -> Any:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return nbformat.reads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode(), as_version=4)


def test_a_run_on_a_standing_cloud_stores_the_executed_notebook_in_its_s3(before: dict[str, Any]) -> None:
    done, s3 = before["done"], boto3.client("s3")
    assert done.returncode == 1, done.stderr
    bad, good = done.stdout.split("parameters ")[-1].splitlines()[1:3]
    assert f"date={NO_DAY}" in bad and " failed " in bad
    assert f"there is nothing of {NO_DAY}: the days lie between 2010-12-01 and 2011-12-09" in done.stderr
    assert f"date={DAY} from=2011-02-01" in good and " ok " in good, done.stderr
    executed = stored(f"s3://every-morning/{DAY}/{NOTEBOOK.name}")
    assert f"1 day, {DAY} · " in printed(executed) and executed.metadata.papermill.exception is None
    assert executed.metadata.papermill.parameters.date_from == "2011-02-01"
    assert re.search(
        "Spark needs Java 17 or later, and there is none here|Spark is not installed: pip", printed(executed)
    )
    assert f"{DAY} " in printed(stored(f"s3://{before['lab'].outputs('08')['bucket']}/reports/{DAY}.ipynb"))
    assert stored(f"s3://every-morning/{NO_DAY}/{NOTEBOOK.name}").metadata.papermill.exception is True
    summary = json.loads((before["runs"] / "latest" / "summary.json").read_text())
    assert summary["stages"]["batch"] == summary["stages"]["client"] == {"rows": 1000, "revenue": "15139.391"}
    empty_bucket(s3, "every-morning")
    s3.delete_bucket(Bucket="every-morning")


def test_a_second_run_with_the_solutions_and_the_clean_up_leaves_nothing(before: dict[str, Any]) -> None:
    """Last in this file. The notebook's own cells assert that all stages agree; with Spark, if it is here."""
    seen = printed(execute("08", solutions=True, cleanup=True, rows=1000, spark=True))
    assert seen.count("nothing differs: True") == 2
    assert seen.count(" by Spark · equal: True") == (0 if local.missing() else 2)
    assert inventory() == before["inventory"]
    assert cluster_roles() == before["roles"]


# --- runs for the rows of a table, each in a lab of its own


def no_lab_is_left(runs: Path) -> None:
    folders = [path for path in runs.iterdir() if not path.is_symlink()]
    assert len(folders) == 2
    assert [path.name for path in folders if server.find(path / "lab")] == []
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(runs) in " ".join(p.info["cmdline"] or [])] == []


def grid(runs: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What the command did, and the lines of its closing table."""
    done = workbook(runs, "run", "--grid", str(runs.parent / "grid.csv"), *arguments)
    assert done.stdout.count("\nparameters ") == 1, done
    return done, done.stdout.split("\nparameters ")[-1].splitlines()[1:]


def test_a_run_for_each_row_in_real_labs_and_one_of_them_fails(tmp_path: Path) -> None:
    """A stream of less than no shard cannot be made. The second run goes on in a cloud of its own."""
    (tmp_path / "grid.csv").write_text("rows,shards\n20,-1\n30,2\n")
    done, (bad, good) = grid(tmp_path / "runs", "--only", "02,03")
    assert done.returncode == 1
    assert bad.startswith("rows=20 shards=-1") and " failed " in bad
    assert good.startswith("rows=30 shards=2") and " ok " in good and " 30 " in good
    assert "02-data-ingestion-pipeline failed in cell" in done.stderr and "Traceback" not in done.stderr
    no_lab_is_left(tmp_path / "runs")


@pytest.mark.skipif(not SOAK, reason="two runs of notebook 08 with all that it needs: `make soak`")
def test_the_report_of_a_day_for_each_row_in_real_labs(tmp_path: Path) -> None:
    """As notebook 08 says it, on the whole sample."""
    (tmp_path / "grid.csv").write_text("date\n2011-12-08\n2012-01-01\n")
    done, (good, bad) = grid(tmp_path / "runs", "--only", "08")
    assert done.returncode == 1
    assert good.startswith("date=2011-12-08") and " ok " in good and " 5,000 " in good
    assert bad.startswith("date=2012-01-01") and " failed " in bad
    assert "there is nothing of 2012-01-01" in done.stderr
    first = min(path for path in (tmp_path / "runs").iterdir() if not path.is_symlink())
    said = printed(nbformat.read(first / NOTEBOOK.name, as_version=4))
    assert "1 day, 2011-12-08 · " in said and "NO_PERMISSIONS" in said
    no_lab_is_left(tmp_path / "runs")
