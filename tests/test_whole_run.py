"""`workbook run`: all notebooks one after the other in one lab, as `make run` does it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest

from helpers import cli, runner
from helpers.lab import SAMPLE
from helpers.localaws import server
from helpers.rows import Selection, read_rows, revenue
from tests.notebooks import children, exercises_in, printed
from tests.seeded import SOAK

ROWS = 1_500
STAGES = {
    *("client", "kinesis", "raw_storage", "dynamodb", "api", "firehose", "redshift", "tableau", "batch"),
    *("kafka", "kafka_raw_storage", "kafka_dynamodb", "continuous"),
}


def test_all_notebooks_in_a_row_and_every_stage_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notebook finds the platform as the ones before it left it, not as its own prerequisites would make it.

    With the exercises' solutions, so that it is seen that they solve. In a soak all of them run a second time in the
    same lab, and every stage still holds each row once.
    """
    monkeypatch.setattr(runner, "RUNS", tmp_path / "runs")
    once, others = runner.plan, children()
    monkeypatch.setattr(runner, "plan", lambda *of: once(*of) * (2 if SOAK else 1))
    assert cli.main(["run", "--rows", str(ROWS), "-p", "solutions=true"]) == 0
    latest = tmp_path / "runs" / "latest"
    summary = json.loads((latest / "summary.json").read_text())
    ran = [each["name"] for each in summary["notebooks"] if each["status"] == "ok"]
    assert ran == [path.stem for path in runner.find_notebooks()] * (2 if SOAK else 1)
    for path in runner.find_notebooks():
        seen = printed(nbformat.read(latest / path.name, as_version=4))
        for number in exercises_in(path):
            assert f"Right ({number}): " in seen
    sent = list(read_rows(SAMPLE, Selection(first=ROWS)))
    expected = (len(sent), revenue(sent))
    stages = {name: (stage["rows"], Decimal(stage["revenue"])) for name, stage in summary["stages"].items()}
    assert stages == dict.fromkeys(STAGES, expected)
    assert server.find(latest / "lab") is None
    assert children() <= others
