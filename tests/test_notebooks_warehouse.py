"""What is special to notebook 06: its exercises on the warehouse, its permissions, a second run, the clean-up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import nbformat
import pandas as pd
import papermill
import pytest
from platform_lab import own_lab

from helpers import reconcile
from helpers.inventory import inventory, refuse_foreign
from helpers.lab import Lab, LabError
from helpers.warehouse import run
from tests.notebooks import NOTEBOOKS, allowed_actions, execute, said

VIEW = "CREATE OR REPLACE VIEW bi.returns_by_month AS SELECT year, month, "


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which notebook 06 has run with its defaults, and its solutions."""
    folder = tmp_path_factory.mktemp("warehouse") / "lab"
    with own_lab(folder) as opened_lab:
        opened_lab.require("06", csv="", rows=1000, solutions=True)
        yield opened_lab


def test_the_solutions_solve(lab: Lab) -> None:
    best = run("SELECT weekday_name, SUM(revenue) AS r FROM bi.sales GROUP BY weekday_name ORDER BY r DESC LIMIT 1")
    for number, answer in (("06-1", best["weekday_name"][0]), ("06-2", "done"), ("06-3", "done")):
        assert said(number, answer).startswith("Right"), said(number, answer)
        assert said(number, ...).startswith("Not answered yet")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("Tuesday", "what came back is left out"),
        ("Sunday", "has the most lines, but not the most revenue"),
        ("friday", "another day than Friday has more revenue"),
        (" monday ", "Right (06-1): Monday brings the most revenue"),
    ],
)
def test_a_wrong_weekday_gets_its_hint(answer: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On rows in which each wrong way leads to a day of its own."""
    days = {"Monday": (90, 95, 3), "Tuesday": (80, 99, 4), "Sunday": (50, 50, 9), "Friday": (20, 30, 2)}
    rows = [{"weekday_name": day, "r": r, "gross": gross, "n": n} for day, (r, gross, n) in days.items()]
    monkeypatch.setattr("helpers.exercises.nb06.run", lambda sql: pd.DataFrame(rows))
    assert hint in said("06-1", answer)


def test_what_is_no_weekday_gets_its_hint(lab: Lab) -> None:
    assert "there is no 'Caturday'" in said("06-1", "Caturday")
    assert "cannot use this int" in said("06-1", 3)


@pytest.mark.parametrize(
    ("sqls", "hint"),
    [
        (["DROP VIEW bi.returns_by_month"], 'relation "bi.returns_by_month" does not exist'),
        (
            [VIEW + "SUM(revenue) AS returned FROM bi.sales WHERE is_return GROUP BY year, month"],
            "amounts are negative",
        ),
        ([VIEW + "SUM(-revenue) AS returned FROM bi.sales GROUP BY year, month"], "the amounts differ"),
        ([VIEW + "SUM(-revenue) AS amount FROM bi.sales WHERE is_return GROUP BY year, month"], "no column returned"),
        ([VIEW + "-revenue AS returned FROM bi.sales WHERE is_return"], "more than once"),
        (
            [
                "DROP VIEW bi.returns_by_month",
                VIEW + "SUM(-revenue) AS returned FROM bi.sales WHERE is_return GROUP BY year, month",
            ],
            "analyst may not read it: ERROR: permission denied",
        ),
    ],
)
def test_a_view_that_is_not_right_gets_its_hint(lab: Lab, sqls: list[str], hint: str) -> None:
    for sql in sqls if sqls[0].startswith("DROP") else ["DROP VIEW bi.returns_by_month", *sqls]:
        run(sql)
    try:
        assert said("06-2", "done").startswith("Not yet (06-2): ") and hint in said("06-2", "done"), said(
            "06-2", "done"
        )
    finally:
        run("DROP VIEW IF EXISTS bi.returns_by_month")
        run(VIEW + "SUM(-revenue) AS returned FROM bi.sales WHERE is_return GROUP BY year, month")
        run("GRANT SELECT ON bi.returns_by_month TO analyst")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"S3Update": {"BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60}}}, "wanted are 64 MB or 300 s"),
        ({"RetryOptions": {"DurationInSeconds": 60}}, "wanted is an hour"),
        ({"S3Update": {"CompressionFormat": "UNCOMPRESSED"}}, "no longer gzipped"),
    ],
)
def test_a_delivery_stream_that_is_not_right_gets_its_hint(lab: Lab, change: dict[str, Any], hint: str) -> None:
    def update(wanted: dict[str, Any]) -> None:
        fire, name = boto3.client("firehose"), lab.outputs("06")["delivery_stream"]
        described = fire.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
        fire.update_destination(
            DeliveryStreamName=name,
            CurrentDeliveryStreamVersionId=described["VersionId"],
            DestinationId=described["Destinations"][0]["DestinationId"],
            RedshiftDestinationUpdate=wanted,
        )

    update(change)
    try:
        assert said("06-3", "done").startswith("Not yet (06-3): ") and hint in said("06-3", "done"), said(
            "06-3", "done"
        )
    finally:
        files = {"BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 300}, "CompressionFormat": "GZIP"}
        update({"S3Update": files, "RetryOptions": {"DurationInSeconds": 3600}})
    assert said("06-3", "done").startswith("Right")


def test_every_policy_names_actions_that_aws_has_and_no_resource_at_large(lab: Lab) -> None:
    assert {"s3:GetObject", "s3:PutObject", "kinesis:GetRecords", "logs:PutLogEvents"} <= allowed_actions()


def test_what_someone_else_made_is_left_alone(lab: Lab) -> None:
    redshift, fire = boto3.client("redshift"), boto3.client("firehose")
    arn = "arn:aws:redshift:us-east-1:123456789012:cluster:workbook"
    redshift.create_tags(ResourceName=arn, Tags=[{"Key": "workbook", "Value": "not-ours"}])
    fire.tag_delivery_stream(DeliveryStreamName="sales-to-redshift", Tags=[{"Key": "team", "Value": "x"}])
    try:
        with pytest.raises(LabError, match="cluster workbook that notebook 06 did not make"):
            refuse_foreign("06", clusters=["workbook"])
        with pytest.raises(LabError, match="delivery stream sales-to-redshift that notebook 06 did not make"):
            refuse_foreign("06", delivery_streams=["sales-to-redshift"])
    finally:
        redshift.create_tags(ResourceName=arn, Tags=[{"Key": "workbook", "Value": "06"}])
        fire.untag_delivery_stream(DeliveryStreamName="sales-to-redshift", TagKeys=["team"])
    refuse_foreign("06", clusters=["workbook", "none"], delivery_streams=["sales-to-redshift", "none"])


def test_a_second_run_works_and_the_clean_up_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    """Also of a cluster that was paused for the night. Last in this file: it ends with an empty account."""
    standing = inventory()
    execute("06")
    assert inventory() == standing
    stages = reconcile.stages(lab)
    assert stages["client"] == stages["firehose"] == stages["redshift"] and stages["client"]["rows"] == 1000
    (path,) = NOTEBOOKS.glob("06-*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    (place,) = [n for n, cell in enumerate(notebook.cells) if cell.source.startswith("if cleanup:")]
    notebook.cells.insert(place, nbformat.v4.new_code_cell("redshift.pause_cluster(ClusterIdentifier=cluster)"))
    nbformat.write(notebook, tmp_path / path.name)
    papermill.execute_notebook(
        str(tmp_path / path.name),
        None,
        {"cleanup": True},
        kernel_name="python3",
        progress_bar=False,
        cwd=str(NOTEBOOKS),
    )
    assert not inventory()["Redshift clusters"] and not inventory()["Firehose streams"]
    execute("02", cleanup=True)
    assert {kind: names for kind, names in inventory().items() if names} == {}
