"""The `workbook` command as it is typed: what it prints, its exit codes, given twice, and on a dead lab."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import tiny_notebooks

from helpers import cli, copies, reconcile, runner
from helpers.lab import Lab
from helpers.localaws import server
from tests.notebooks import children

SAMPLE = str(runner.ROOT / "data" / "online-retail-sample.csv")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a lab that no test shares and none leaves running."""
    folder = tmp_path / "lab"
    monkeypatch.setenv("WORKBOOK_LAB", str(folder))
    yield folder
    server.stop(folder)


def workbook(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "helpers.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def said(*arguments: str, code: int = 0) -> str:
    """What the command prints; with another code than 0, its one line on stderr."""
    done = workbook(*arguments)
    assert done.returncode == code, done
    if code:
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
        return done.stderr.strip()
    assert done.stderr == ""
    return done.stdout.strip()


def test_start_status_stop_each_twice(lab: Path) -> None:
    assert said("status") == "no lab is running: `workbook start`, or any notebook, starts one"
    first = said("start")
    info = server.find(lab)
    assert info is not None
    assert first == f"the lab runs on {info.endpoint} (pid {info.pid})"
    assert said("start") == f"the lab already runs on {info.endpoint} (pid {info.pid})"
    for _ in range(2):
        assert said("status") == f"the lab has been running on {info.endpoint} (pid {info.pid}) for 0 min"
    assert said("stop") == "the lab is stopped and its cloud is gone"
    assert not psutil.pid_exists(info.pid)
    assert said("stop") == "no lab was running"


def test_env_leads_another_tool_to_the_lab_and_nowhere_else(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said("env", code=1) == "workbook env: no lab is running: `workbook start` first"
    said("start")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
    call = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    script = f'eval "$({sys.executable} -m helpers.cli env)" && {sys.executable} -c "{call}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("123456789012\n", "")


def test_dead_lab_is_said_and_replaced(lab: Path) -> None:
    said("start")
    info = server.find(lab)
    assert info is not None
    os.kill(info.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], timeout=60)
    for command in ("status", "env"):
        line = said(command, code=1)
        assert line.startswith(f"workbook {command}: the lab process {info.pid} has ended, and its cloud is lost")
    lines = said("start").splitlines()
    assert lines[0].endswith("an empty one takes its place: notebooks run their earlier stages again")
    assert lines[1].startswith("the lab runs on http://127.0.0.1:")
    assert said("status").startswith("the lab has been running")


def test_port_in_use(lab: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = said("start", "--port", port, code=1)
        assert (
            line.startswith("workbook start: the lab did not start: ") and f"port {port}" in line and "in use" in line
        )
        line = said("lab", "--no-browser", "--port", port, code=1)
        assert line.startswith(f"workbook lab: port {port} cannot be used")
    assert said("start", "--port", port) == said("start", "--port", port).replace("already runs", "runs")
    assert "`workbook stop` first" in said("start", "--port", "1", code=1)


@pytest.fixture
def workbook_of_two(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two notebooks in place of the workbook's; what the commands write lands beside them."""
    folder = tmp_path / "notebooks"
    parameters = 'target: str = "local"\ncsv: str = ""\nrows: int = 1000'
    tiny_notebooks.write(folder / "01-client.ipynb", "(rows, csv)", parameters=parameters)
    account = 'print(boto3.client("sts").get_caller_identity()["Account"])'
    stream = 'boto3.client("kinesis").create_stream(StreamName="one", ShardCount=shards);'
    tiny_notebooks.write(
        folder / "02-pipeline.ipynb",
        "import boto3\nfrom helpers.lab import open_lab\nlab = open_lab(target)",
        account,
        stream,
        parameters=parameters + "\nshards: int = 1\ncleanup: bool = False",
    )
    for module in (runner, copies):
        monkeypatch.setattr(module, "NOTEBOOKS", folder)
    monkeypatch.setattr(runner, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(copies, "WORK", tmp_path / "work")
    return tmp_path


def test_run_on_a_lab_of_its_own(
    workbook_of_two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {"client": {"rows": 7, "revenue": "1.50"}, "kinesis": {"rows": 7, "revenue": "1.50"}}
    seen = []

    def read(lab: Lab) -> dict[str, Any]:
        seen.append((lab.target, boto3.client("kinesis").list_streams()["StreamNames"]))
        return stages

    monkeypatch.setattr(reconcile, "stages", read)
    learners, others = os.environ["WORKBOOK_LAB"], children()
    assert cli.main(["run", "--csv", SAMPLE, "--rows", "7", "-p", "shards=2"]) == 0
    assert seen == [("local", ["one"])]  # read while the run's lab lived
    assert os.environ["WORKBOOK_LAB"] == learners and server.find(Path(learners)) is None
    latest = workbook_of_two / "runs" / "latest"
    assert json.loads((latest / "summary.json").read_text())["stages"] == stages
    assert tiny_notebooks.outputs(latest / "01-client.ipynb") == f"(7, {str(Path(SAMPLE).resolve())!r})"
    assert tiny_notebooks.outputs(latest / "02-pipeline.ipynb") == "123456789012\n"
    assert server.find(latest / "lab") is None
    assert children() <= others
    assert "rows and revenue agree at every stage" in capsys.readouterr().out


def test_run_stores_what_was_executed_in_the_targets_s3(
    workbook_of_two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By papermill's own handler, in one lab after the other, also what failed; a bucket that is missing is said."""
    path = workbook_of_two / "notebooks" / "02-pipeline.ipynb"
    make = "import boto3\nfrom helpers.lab import open_lab\nlab = open_lab(target)\n"
    make += 'boto3.client("s3").create_bucket(Bucket="kept")'
    parameters = 'target: str = "local"\ndate_from: str = ""'
    tiny_notebooks.write(path, make, "print(date_from)", 'assert date_from != "2011-12-09"', parameters=parameters)
    found: list[str] = []

    def stop(folder: Path) -> bool:  # the last moment of a run's lab
        key = f"from-{('2011-12-08', '2011-12-09')[len(found)]}/02-pipeline.ipynb"
        found.append(boto3.client("s3").get_object(Bucket="kept", Key=key)["Body"].read().decode())
        return bool(stop_lab(folder))

    stop_lab = server.stop
    monkeypatch.setattr(server, "stop", stop)
    (workbook_of_two / "days.csv").write_text("from\n2011-12-08\n2011-12-09\n")
    grid = ["--grid", str(workbook_of_two / "days.csv"), "--output", "s3://kept/from-{date_from}"]
    monkeypatch.setattr(reconcile, "stages", lambda lab: {})
    assert cli.main(["run", "--only", "02", *grid]) == 1
    monkeypatch.setattr(server, "stop", stop_lab)
    assert ["2011-12-08\\n" in text for text in found] == [True, False]
    assert "AssertionError" in found[1] and "AssertionError" not in found[0]
    assert "stored s3://kept/from-2011-12-08/02-pipeline.ipynb" in capsys.readouterr().out
    assert cli.main(["run", "--only", "02", "-p", "from=2011-12-08", "--output", "s3://lost"]) == 1
    line = capsys.readouterr().err
    assert "02-pipeline was not stored in s3://lost/02-pipeline.ipynb: NoSuchBucket" in line and line.count("\n") == 1


def test_run_only_and_cleaned_up(
    workbook_of_two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reconcile, "stages", lambda lab: pytest.fail("nothing is left to read"))
    assert cli.main(["run", "--only", "02", "-p", "cleanup=true"]) == 0
    summary = json.loads((workbook_of_two / "runs" / "latest" / "summary.json").read_text())
    assert [n["name"] for n in summary["notebooks"]] == ["02-pipeline"] and summary["stages"] == {}
    assert "cleaned up: no stage is left to compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["-p", "rowz=7"],
            "no notebook of this run has a parameter 'rowz': they have cleanup, csv, rows, shards, target",
        ),
        (["-p", "shards=two"], "parameter shards is 'two': give a whole number"),
        (["-p", "shards"], "-p shards: give name=value"),
        (["--rows", "few"], "parameter rows is 'few': give a whole number that is not negative, or all"),
        (["--rows", "7", "-p", "rows=8"], "parameter rows is given twice"),
        (
            ["--target", "moon"],
            "target is 'moon': give local, aws or the http:// address of an AWS-compatible endpoint",
        ),
        (
            ["--output", "s3://bucket/{date}"],
            "--output s3://bucket/{date}: in braces stands the name of a parameter that is given",
        ),
        (["--only", "01,09"], "there is no notebook '09': give one of 01, 02"),
        (["--csv", "/no/such.csv"], "/no/such.csv: there is no such file; check the path"),
        (["--csv", __file__], "ends in .py; give a .csv, .csv.gz, .csv.xz or .zip file"),
    ],
)
def test_run_refuses_before_anything_runs(
    workbook_of_two: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", *arguments]) == 1
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("workbook run: ") and error.endswith(f"{line}\n") and error.count("\n") == 1
    assert not (workbook_of_two / "runs").exists()


def test_refresh_in_real_labs(workbook_of_two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["refresh", "02"]) == 0
    assert cli.main(["refresh", "02-pipeline"]) == 0
    changes = ["changed         02-pipeline.ipynb", "unchanged       02-pipeline.ipynb"]
    assert capsys.readouterr().out.splitlines() == changes
    assert tiny_notebooks.outputs(workbook_of_two / "notebooks" / "02-pipeline.ipynb") == "123456789012\n"
    assert cli.main(["refresh", "05"]) == 1
    assert capsys.readouterr().err == "workbook refresh: there is no notebook '05': give one of 01, 02\n"


def test_reset(workbook_of_two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [cli.main(["reset", "01"]) for _ in range(2)] == [0, 0]
    assert capsys.readouterr().out.splitlines()[1] == "01-client.ipynb already is as it was given out"
    assert cli.main(["reset", "09"]) == 1
    assert capsys.readouterr().err == "workbook reset: there is no notebook '09': give one of 01, 02\n"


def test_lab_opens_jupyterlab_on_the_copies(workbook_of_two: Path) -> None:
    """A real JupyterLab: start page, cell timings and the kernel's lab are what `workbook lab` promises."""
    work = workbook_of_two / "work"
    copies.update(copies.NOTEBOOKS, work)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, environment = copies.jupyter_command(["--no-browser", f"--port={port}", "--allow-root"], work)
    token = {"JUPYTER_TOKEN": "test", "JUPYTER_RUNTIME_DIR": str(workbook_of_two / "runtime")}
    process = subprocess.Popen(command, env=environment | token, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def get(path: str) -> Any:
        address = f"http://127.0.0.1:{port}{path}{'&' if '?' in path else '?'}token=test"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return json.load(answer) if "/api/" in path else answer.geturl()

    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                get("/api/status")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        assert "/lab/tree/Start.md" in get("/")
        names = [entry["name"] for entry in get("/api/contents")["content"]]
        assert sorted(names) == ["01-client.ipynb", "02-pipeline.ipynb", "Start.md"]
        for plugin, setting in (
            ("@jupyterlab/notebook-extension:tracker", ("recordTiming", True)),
            ("jupyterlab-execute-time:settings", ("enabled", True)),
            ("@jupyterlab/docmanager-extension:plugin", ("defaultViewers", {"markdown": "Markdown Preview"})),
        ):
            properties = get(f"/lab/api/settings/{plugin}")["schema"]["properties"]
            assert properties[setting[0]]["default"] == setting[1]
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert b"Traceback" not in log


def test_wrong_command_line_shows_usage() -> None:
    done = workbook("fly")
    assert done.returncode == 2 and done.stderr.startswith("usage: workbook")
    assert workbook("run", "--help").stdout.startswith("usage: workbook run")
