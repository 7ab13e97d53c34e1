"""Batch runs: parameters refused before anything runs, the report, failures named, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny_notebooks

from helpers import runner
from helpers.runner import Planned, RunError, Stage

PARAMETERS = 'target: str = "local"  # where\ncsv: str = ""\nrows: int = 1000  # 0 = all\n'
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\r\n"


class FakeLab:
    """Notes what was asked of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, Path]] = []
        self.error = error

    def start(self, folder: Path) -> None:
        self.calls.append(("start", folder))
        if self.error:
            raise self.error

    def stop(self, folder: Path) -> None:
        self.calls.append(("stop", folder))


def run(planned: list[Planned], runs: Path, stages: dict[str, Stage] | None = None, lab: FakeLab | None = None):
    lab = lab or FakeLab()
    result = runner.run(
        planned,
        start_lab=lab.start,
        stop_lab=lab.stop,
        read_stages=None if stages is None else lambda: stages,
        runs=runs,
    )
    assert [(what, folder) for what, folder in lab.calls] == [
        ("start", result.folder / "lab"),
        ("stop", result.folder / "lab"),
    ]
    return result


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    folder = tmp_path / "notebooks"
    tiny_notebooks.write(folder / "00-design.ipynb", "1 + 1")
    tiny_notebooks.write(folder / "01-client.ipynb", "rows", parameters=PARAMETERS)
    tiny_notebooks.write(
        folder / "02-pipeline.ipynb",
        "rows",
        parameters=PARAMETERS + 'speed: float = 1.5\ncleanup: bool = False\nday: date = "2010-12-01"\nshards = 1\n',
    )
    return folder


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "declared", "text", "value"),
        [
            ("rows", "int", "all", 0),
            ("rows", "int", "25", 25),
            ("offset", "int", "-3", -3),
            ("speed", "float", "2.5", 2.5),
            ("cleanup", "bool", "True", True),
            ("cleanup", "bool", "no", False),
            ("csv", "str", "all", "all"),
            ("day", "date", "2010-12-01", "2010-12-01"),
            ("date", "str", "2011-12-08", "2011-12-08"),
            ("date_from", "str", "", ""),
        ],
    )
    def test_is_read_as_its_declared_type(self, name: str, declared: str, text: str, value: object) -> None:
        parsed = runner.parse_value(name, declared, text)
        assert (parsed, type(parsed)) == (value, type(value))

    @pytest.mark.parametrize(
        ("name", "declared", "text", "message"),
        [
            (
                "rows",
                "int",
                "many",
                "parameter rows is 'many': give a whole number that is not negative, or all",
            ),
            ("rows", "int", "-1", "parameter rows is '-1': give a whole number that is not negative, or all"),
            ("offset", "int", "all", "parameter offset is 'all': give a whole number"),
            ("offset", "int", "1.5", "parameter offset is '1.5': give a whole number"),
            ("speed", "float", "fast", "parameter speed is 'fast': give a number"),
            ("cleanup", "bool", "maybe", "parameter cleanup is 'maybe': give true or false"),
            ("day", "date", "12/1/2010", "parameter day is '12/1/2010': give a date such as 2010-12-01"),
            ("date_to", "str", "yesterday", "parameter date_to is 'yesterday': give a date such as 2010-12-01"),
            ("keys", "list", "[1]", "parameter keys is declared as list: it can be set in the notebook only"),
        ],
    )
    def test_of_another_type_is_refused(self, name: str, declared: str, text: str, message: str) -> None:
        with pytest.raises(RunError) as refused:
            runner.parse_value(name, declared, text)
        assert str(refused.value) == message

    def test_goes_to_the_notebooks_that_declare_it(self, notebooks: Path) -> None:
        every = runner.find_notebooks(folder=notebooks)
        planned = runner.plan(every, {"rows": "7", "cleanup": "true", "shards": "2"})
        assert [(p.path.name, p.parameters) for p in planned] == [
            ("00-design.ipynb", {}),
            ("01-client.ipynb", {"rows": 7}),
            ("02-pipeline.ipynb", {"rows": 7, "cleanup": True, "shards": 2}),
        ]

    def test_rows_are_all_unless_given(self, notebooks: Path) -> None:
        planned = runner.plan(runner.find_notebooks(folder=notebooks), {})
        assert [p.parameters for p in planned] == [{}, {"rows": 0}, {"rows": 0}]

    def test_that_no_notebook_declares_is_refused(self, notebooks: Path) -> None:
        with pytest.raises(RunError, match="no notebook of this run has a parameter 'rowz': they have cleanup, csv,"):
            runner.plan(runner.find_notebooks(folder=notebooks), {"rowz": "7"})
        only = runner.find_notebooks(["01"], notebooks)
        with pytest.raises(RunError, match="'cleanup': they have csv, rows, target"):
            runner.plan(only, {"cleanup": "true"})

    def test_target_is_known(self, notebooks: Path) -> None:
        every = runner.find_notebooks(folder=notebooks)
        with pytest.raises(RunError, match="target is 'locl': give local, aws or the http:// address"):
            runner.plan(every, {"target": "locl"})
        assert runner.plan(every, {"target": "http://127.0.0.1:4566"})[1].parameters["target"].endswith(":4566")

    def test_csv_is_looked_at_and_made_absolute(
        self, notebooks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        every = runner.find_notebooks(folder=notebooks)
        (tmp_path / "good.csv").write_text(HEADER)
        assert runner.plan(every, {"csv": "good.csv"})[1].parameters["csv"] == str(tmp_path / "good.csv")
        with pytest.raises(RunError, match=r"missing\.csv: there is no such file; check the path"):
            runner.plan(every, {"csv": "missing.csv"})
        (tmp_path / "bad.csv").write_text("a,b\r\n1,2\r\n")
        with pytest.raises(RunError, match=r"bad\.csv: .*InvoiceNo"):
            runner.plan(every, {"csv": "bad.csv"})

    def test_from_and_to_are_words_of_the_command_line_only(self, tmp_path: Path) -> None:
        """`from` is a word of Python's own."""
        parameters = 'date_from: str = ""\ndate_to: str = ""'
        path = tiny_notebooks.write(tmp_path / "08-batch.ipynb", "date_from", parameters=parameters)
        given = {"from": "2010-12-01", "date_to": "2010-12-02"}
        (planned,) = runner.plan([path], given, "s3://reports/{from}/{date_from}/{date_to}")
        assert planned.parameters == {"date_from": "2010-12-01", "date_to": "2010-12-02"}
        assert planned.output == "s3://reports/2010-12-01/2010-12-01/2010-12-02/08-batch.ipynb"
        with pytest.raises(RunError, match="parameter date_to is given twice, once as to"):
            runner.plan([path], {"to": "2010-12-01", **given})
        with pytest.raises(RunError, match="parameter date_from is 'soon': give a date"):
            runner.plan([path], {"from": "soon"})

    def test_where_it_is_stored_follows_from_what_is_given(self, notebooks: Path) -> None:
        every = runner.find_notebooks(folder=notebooks)
        planned = runner.plan(every, {"shards": "2", "rows": "7"}, "s3://reports/{rows}/of-{shards}/")
        assert [p.output for p in planned][1:] == [
            "s3://reports/7/of-2/01-client.ipynb",
            "s3://reports/7/of-2/02-pipeline.ipynb",
        ]
        assert [p.output for p in runner.plan(every, {})] == ["", "", ""]
        for wrong in ("reports/", "s3:/reports", "s3:///x", "gs://reports"):
            with pytest.raises(RunError, match="give s3://bucket/folder"):
                runner.plan(every, {}, wrong)
        for wrong in ("s3://reports/{day}", "s3://reports/{", "s3://reports/{0}", "s3://reports/{rows.x}"):
            with pytest.raises(RunError, match="the name of a parameter that is given"):
                runner.plan(every, {}, wrong)

    def test_broken_notebook_is_named(self, tmp_path: Path) -> None:
        broken = tmp_path / "01-broken.ipynb"
        broken.write_text("{")
        with pytest.raises(RunError, match=r"01-broken\.ipynb is no notebook that can run"):
            runner.plan([broken], {})


class TestSelection:
    def test_by_number_and_by_name_in_order(self, notebooks: Path) -> None:
        found = runner.find_notebooks(["02-pipeline.ipynb", "00", "02"], notebooks)
        assert [path.stem for path in found] == ["00-design", "02-pipeline"]

    def test_unknown(self, notebooks: Path) -> None:
        with pytest.raises(RunError, match="there is no notebook '07': give one of 00, 01, 02"):
            runner.find_notebooks(["07"], notebooks)

    def test_none_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="holds no notebooks"):
            runner.find_notebooks(folder=tmp_path)


def test_run_writes_its_report(
    notebooks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen = 'import os; print(rows, os.environ["WORKBOOK_LAB"], os.environ["WORKBOOK_PROGRESS"])'
    tiny_notebooks.write(notebooks / "01-client.ipynb", seen, parameters=PARAMETERS)
    planned = runner.plan(runner.find_notebooks(["00", "01"], notebooks), {"rows": "7"})
    stages: dict[str, Stage] = {
        "client": {"rows": 5000, "revenue": "12345.670"},
        "kinesis": {"rows": 5000, "revenue": "12345.67"},
    }
    before = dict(os.environ)
    result = run(planned, tmp_path / "runs", stages)

    assert result.exit_code == 0 and os.environ == before
    summary = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    for notebook in summary["notebooks"]:
        assert 0 < notebook.pop("seconds") < 120
    assert summary == {
        "notebooks": [{"name": "00-design", "status": "ok"}, {"name": "01-client", "status": "ok"}],
        "stages": stages,
    }
    executed = result.folder / "01-client.ipynb"
    assert tiny_notebooks.outputs(executed) == f"7 {result.folder / 'lab'} 0\n"
    assert "About 01-client" in executed.with_suffix(".html").read_text()
    index = (result.folder / "index.html").read_text()
    assert "href='01-client.html'" in index and "12,345.670" in index and "agree at every stage" in index

    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines() if line.endswith(("00-design", "01-client"))] == [
        "ok",
        "ok",
    ]
    assert "kinesis       5,000           12,345.67" in said.out
    assert f"runs/{result.folder.name}/index.html" in said.out
    assert "2/2 01-client" in said.err  # the progress bar


def test_failure_names_notebook_cell_and_cause(
    notebooks: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cells = ("1 + 1", '\nint(\n"x")', "2 + 2")
    tiny_notebooks.write(notebooks / "01-client.ipynb", *cells, parameters=PARAMETERS)
    planned = runner.plan(runner.find_notebooks(folder=notebooks), {})
    result = run(planned, tmp_path / "runs", {})

    cause = "01-client failed in cell [4] `int(`: ValueError: invalid literal for int() with base 10: 'x'"
    assert (result.exit_code, result.problems) == (1, [cause])
    said = capfd.readouterr()
    assert said.err.splitlines()[-1] == f"workbook run: {cause}" and "Traceback" not in said.err + said.out
    summary = json.loads((result.folder / "summary.json").read_text())
    assert [(n["name"], n["status"]) for n in summary["notebooks"]] == [
        ("00-design", "ok"),
        ("01-client", "failed"),
    ]
    assert summary["stages"] == {}
    index = (result.folder / "index.html").read_text()
    assert "not run" in index and "invalid literal" in index and not (result.folder / "02-pipeline.html").exists()


def test_dead_kernel_is_a_failure_of_its_cell(notebooks: Path, tmp_path: Path) -> None:
    notebook = tiny_notebooks.write(notebooks / "00-design.ipynb", "1", "import os\nos._exit(1)", "2")
    result = run([Planned(notebook, {})], tmp_path / "runs")
    assert result.problems == ["00-design failed in cell [2] `import os`: DeadKernelError: Kernel died"]


def test_stages_that_differ_fail_the_run(notebooks: Path, tmp_path: Path) -> None:
    stages: dict[str, Stage] = {
        "client": {"rows": 5000, "revenue": "100.005"},
        "kinesis": {"rows": 5000, "revenue": "100.005"},
        "raw_storage": {"rows": 4999, "revenue": "97.455"},
    }
    result = run([Planned(notebooks / "00-design.ipynb", {})], tmp_path / "runs", stages)
    assert result.exit_code == 1
    assert result.problems == ["raw_storage differs from client by -1 rows and -2.550 revenue"]
    assert json.loads((result.folder / "summary.json").read_text())["stages"] == stages


def test_lab_that_does_not_start(notebooks: Path, tmp_path: Path) -> None:
    lab = FakeLab(OSError("no space left"))
    result = run([Planned(notebooks / "00-design.ipynb", {})], tmp_path / "runs", lab=lab)
    assert (result.exit_code, result.problems) == (1, ["OSError: no space left"])
    assert json.loads((result.folder / "summary.json").read_text()) == {"notebooks": [], "stages": {}}


def test_runs_of_one_second_do_not_meet(tmp_path: Path) -> None:
    folders = {runner._new_folder(tmp_path) for _ in range(3)}
    assert len(folders) == 3


DRIVER = """
import subprocess, sys
from pathlib import Path
from helpers import runner
folder = Path(sys.argv[1])
lab = []
def start(where):
    lab.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
    (folder / "lab.pid").write_text(str(lab[0].pid))
def stop(where):
    lab[0].kill(), lab[0].wait()
notebook = runner.Planned(folder / "01-slow.ipynb", {})
result = runner.run([notebook], start_lab=start, stop_lab=stop, read_stages=None, runs=folder / "runs")
sys.exit(result.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    pid_file = tmp_path / "kernel.pid"
    note = f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))"
    tiny_notebooks.write(tmp_path / "01-slow.ipynb", f"import os, pathlib, time\n{note}\ntime.sleep(600)")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        env={**os.environ, "TMPDIR": str(temporary), "JUPYTER_RUNTIME_DIR": str(temporary / "jupyter")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    pids = [int(pid_file.read_text()), int((tmp_path / "lab.pid").read_text())]
    assert all(psutil.pid_exists(pid) for pid in pids)

    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    line = f"01-slow interrupted by {number.name} in cell [1] `import os, pathlib, time`"
    assert errors.splitlines()[-1] == f"workbook run: {line}" and "Traceback" not in errors
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    summary = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    assert [(n["name"], n["status"]) for n in summary["notebooks"]] == [("01-slow", "failed")]


class TestGrid:
    def test_a_row_of_the_file_is_a_run_and_the_table_names_each(
        self, notebooks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One fails and does not stop the others; each has a lab and a folder of its own."""
        tiny_notebooks.write(notebooks / "01-client.ipynb", "assert rows != 2", parameters=PARAMETERS)
        table = tmp_path / "grid.csv"
        table.write_text("rows\n1\n2\n3\n")
        rows = runner.grid_rows(table, {"target": "local"})
        assert rows == [{"target": "local", "rows": str(number)} for number in (1, 2, 3)]
        path = [notebooks / "01-client.ipynb"]
        results = []

        def start(row: dict[str, str]) -> runner.Result:
            results.append(run(runner.plan(path, row), tmp_path / "runs", {"client": Stage(rows=7, revenue="1.5")}))
            return results[-1]

        assert runner.run_grid(rows, [lambda row=row: start(row) for row in rows]) == 1
        said = capsys.readouterr().out.split("parameters ")[-1].splitlines()
        assert [line.split()[2] for line in said[1:4]] == ["ok", "failed", "ok"]
        assert len({result.folder for result in results}) == 3
        assert "7" in said[1] and "1.5" in said[1]

    def test_all_ok_is_zero(self, notebooks: Path, tmp_path: Path) -> None:
        path = [notebooks / "00-design.ipynb"]
        assert runner.run_grid([{}], [lambda: run(runner.plan(path, {}), tmp_path / "runs")]) == 0

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "give a header"),
            ("rows\n", "give a header"),
            ("rows,rows\n1,2\n", "rows is given twice"),
            ("target\nlocal\n", "target is given twice"),
            ("rows,csv\n1\n", "line 2 has 1 values"),
        ],
    )
    def test_a_file_that_says_nothing_is_refused(self, tmp_path: Path, text: str, words: str) -> None:
        table = tmp_path / "grid.csv"
        table.write_text(text)
        with pytest.raises(RunError, match=words):
            runner.grid_rows(table, {"target": "local"})

    def test_a_file_that_is_missing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="cannot be read as CSV"):
            runner.grid_rows(tmp_path / "none.csv", {})
