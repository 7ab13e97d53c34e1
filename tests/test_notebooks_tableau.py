"""What is special to notebook 07: its exercises, a machine without Hyper, a second run and the clean-up."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import nbformat
import pytest
from platform_lab import own_lab

from helpers import reconcile, tableau
from helpers.checks import grade
from helpers.lab import Lab
from tests.notebooks import execute

pytestmark = pytest.mark.skipif(bool(tableau.MISSING), reason=tableau.MISSING or "-")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which the notebook, and those it needs, have run with their defaults."""
    folder = tmp_path_factory.mktemp("tableau") / "lab"
    with own_lab(folder) as opened_lab:
        opened_lab.require("07", rows=1000)
        yield opened_lab


def best(lab: Lab, where: str) -> tuple[str, Decimal]:
    sql = f"""SELECT customer_id, SUM(revenue) AS revenue FROM "Extract"."Extract" WHERE {where}
              GROUP BY customer_id ORDER BY 2 DESC, 1 LIMIT 1"""
    (line,) = tableau.query_extract(lab.outputs("07")["extract"], sql)
    return line["customer_id"], line["revenue"]


class TestExercises:
    def test_the_best_customer(self, lab: Lab) -> None:
        customer, revenue = best(lab, "customer_id IS NOT NULL")
        assert grade("07-1", (customer, revenue)).status == "right"
        assert "the last digits" in str(grade("07-1", (customer, float(revenue)))).replace("its last", "the last")
        assert "these are the guests" in str(grade("07-1", best(lab, "customer_id IS NULL")))
        assert "is not the sum of all lines" in str(grade("07-1", (customer, revenue + 1)))
        assert "is not the one with most" in str(grade("07-1", ("0", revenue)))
        assert grade("07-1", customer).status == "wrong"

    @pytest.mark.parametrize(
        ("change", "hint"),
        [
            ({}, ""),
            ({"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "everybody on earth"),
            ({"IpRanges": [{"CidrIp": "203.0.113.0/24"}]}, "/32"),
            ({"FromPort": 0, "ToPort": 65535}, "5439 alone"),
            ({"IpProtocol": "-1"}, "every protocol"),
            ({"IpRanges": []}, "nobody"),
            ({"IpRanges": ["203.0.113.7/32"]}, "cannot use"),
        ],
    )
    def test_one_door(self, change: dict[str, Any], hint: str) -> None:
        rule = {
            "IpProtocol": "tcp",
            "FromPort": 5439,
            "ToPort": 5439,
            "IpRanges": [{"CidrIp": "203.0.113.7/32"}],
        }
        verdict = grade("07-2", rule | change)
        assert verdict.status == ("wrong" if change else "right")
        assert hint in str(verdict)

    def test_a_seventh_sheet(self, lab: Lab) -> None:
        hour, revenue = tableau.Use("invoiced_at", "Hour"), tableau.Use("revenue", "Sum")

        def said(*shelves: Any) -> str:
            return str(grade("07-3", tableau.Sheet(*shelves)))

        assert grade("07-3", tableau.Sheet("Revenue by hour", "Bar", hour, revenue)).status == "right"
        assert "exchanged" in said("Revenue by hour", "Bar", revenue, hour)
        assert "every minute" in said("Revenue by hour", "Bar", tableau.Use("invoiced_at"), revenue)
        assert "about money" in said("Revenue by hour", "Bar", hour, tableau.Use("Calculation_orders", "User"))
        assert "not added up" in said("Revenue by hour", "Bar", hour, tableau.Use("revenue"))
        assert "bars were asked for" in said("Revenue by hour", "Line", hour, revenue)
        assert "already" in said("Revenue by month", "Bar", hour, revenue)
        assert "not a str" in str(grade("07-3", "Revenue by hour"))


class TestNotebook:
    def test_the_extract_is_a_stage_that_agrees(self, lab: Lab) -> None:
        stages = reconcile.stages(lab)
        assert stages["tableau"] == stages["redshift"] == stages["client"]

    def test_a_row_less_in_the_extract_shows_in_its_stage_alone(self, lab: Lab) -> None:
        path = Path(lab.outputs("07")["extract"])
        whole, before = path.read_bytes(), reconcile.stages(lab)
        sales = tableau.read_unloaded(lab.outputs("07")["bucket"], lab.outputs("07")["prefix"])
        tableau.write_extract(path, sales[1:])
        try:
            after = reconcile.stages(lab)
        finally:
            path.write_bytes(whole)
        assert after["tableau"]["rows"] == before["tableau"]["rows"] - 1
        assert after | {"tableau": before["tableau"]} == before

    def test_solutions_solve_and_without_hyper_it_goes_on(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Twice more in the same lab: with solutions, then as on a machine for which there is no wheel of Hyper."""
        execute("07", solutions=True, folder=str(tmp_path / "files"))
        assert {path.name for path in (tmp_path / "files").iterdir()} == {
            "retail.hyper",
            "retail-redshift.tds",
            "retail.twbx",
            "retail.duckdb",
        }
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "pantab.py").write_text("raise ImportError('no wheel for this machine')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "none"))
        execute("07", tmp_path / "without.ipynb", folder=str(tmp_path / "without"))
        assert {path.name for path in (tmp_path / "without").iterdir()} == {"retail-redshift.tds", "retail.duckdb"}
        printed = [
            output.get("text", "")
            for cell in nbformat.read(tmp_path / "without.ipynb", as_version=4).cells
            for output in cell.get("outputs", ())
        ]
        assert sum("not to be had for this machine" in text for text in printed) == 2
        assert "tableau" not in reconcile.stages(lab)

    def test_clean_up_leaves_nothing_of_it(self, lab: Lab, tmp_path: Path) -> None:
        role = lab.outputs("06")["role_arn"].rpartition("/")[2]
        bucket = lab.outputs("06")["bucket"]
        execute("07", cleanup=True, folder=str(tmp_path / "files"))
        assert list((tmp_path / "files").iterdir()) == []
        assert boto3.client("iam").list_role_policies(RoleName=role)["PolicyNames"] == []
        assert boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="tableau/")["KeyCount"] == 0
        assert "tableau" not in reconcile.stages(lab)
