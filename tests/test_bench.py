"""The benchmark's command; what it measures is run by `make bench`, and two of its groups quickly here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from helpers import bench

SAMPLE = Path(__file__).parents[1] / "data" / "online-retail-sample.csv"


def test_a_group_leaves_the_others_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "TARGET", tmp_path / "bench.json")
    bench.TARGET.write_text(json.dumps({"one": {"x": 1}, "two": {"x": 2}}))
    monkeypatch.setattr(bench, "GROUPS", {"a": lambda _: {"one": {"x": 3}}, "b": lambda _: {"two": {"x": 4}}})
    assert bench.main(["--csv", str(SAMPLE), "--only", "a"]) == 0
    assert json.loads(bench.TARGET.read_text()) | {"machine": 0, "file": 0} == {
        "one": {"x": 3}, "two": {"x": 2}, "machine": 0, "file": 0,
    }  # fmt: skip
    with pytest.raises(SystemExit):
        bench.main(["--only", "c"])
    monkeypatch.setitem(bench.GROUPS, "b", lambda _: 1 // 0)
    monkeypatch.setitem(bench.GROUPS, "a", lambda _: {"one": {"x": 5}})
    with pytest.raises(ZeroDivisionError):
        bench.main(["--csv", str(SAMPLE)])
    assert json.loads(bench.TARGET.read_text())["one"] == {"x": 5}, "lost with a group that failed after it"


def test_groups_measure_something_and_leave_the_environment(tmp_path: Path) -> None:
    before = dict(os.environ)
    results = bench.measure(SAMPLE, ["invoke", "latency"], quick=True)
    assert 0 < results["lambda"]["warm_ms"] and 0 < results["put_to_s3"]["p99_ms"] < 30_000
    assert dict(os.environ) == before
