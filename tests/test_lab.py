"""The lab: a kernel made ready, one process found again, and clear words when something is in the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest

import helpers.lab
from helpers.lab import Lab, LabError, open_lab
from helpers.localaws import server
from helpers.localaws.server import DeadLab


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab folder of the test's own; environment and kernel state come back afterwards."""
    before = dict(os.environ)
    monkeypatch.setattr(helpers.lab, "_opened", None)
    os.environ["WORKBOOK_LAB"] = str(tmp_path / "lab")
    yield tmp_path / "lab"
    server.stop(tmp_path / "lab")
    os.environ.clear()
    os.environ.update(before)
    boto3.DEFAULT_SESSION = None


def test_an_inherited_environment_does_not_lead_out(folder: Path) -> None:
    os.environ |= {
        "AWS_ENDPOINT_URL_KINESIS": "https://kinesis.us-east-1.amazonaws.com",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "somebody's",
        "HTTP_PROXY": "http://proxy.example:3128",
    }
    lab = open_lab()
    client = boto3.client("kinesis")
    assert client.meta.endpoint_url == lab.endpoint
    assert client.list_streams()["StreamNames"] == []
    left = {n for n in os.environ if n.startswith("AWS_")}
    assert left == {
        "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED",
    }  # fmt: skip
    assert {"127.0.0.1", "localhost"} <= set(os.environ["NO_PROXY"].split(","))


def test_every_kernel_sees_the_same_cloud(folder: Path) -> None:
    open_lab()
    boto3.client("s3").create_bucket(Bucket="still-here")
    again = open_lab()
    assert [b["Name"] for b in boto3.client("s3").list_buckets()["Buckets"]] == ["still-here"]
    assert (again.region, again.account_id) == ("us-east-1", "123456789012")


def test_another_target_needs_another_kernel(folder: Path) -> None:
    open_lab()
    with pytest.raises(LabError, match="restart the kernel"):
        open_lab("aws", accept_costs=True)


def test_an_unknown_target_is_refused(folder: Path) -> None:
    with pytest.raises(LabError, match='target is "local", "aws" or'):
        open_lab("azure")


def test_another_endpoint_is_taken_as_it_is(folder: Path) -> None:
    info = server.start(folder)
    os.environ |= {"AWS_ACCESS_KEY_ID": info.access_key, "AWS_SECRET_ACCESS_KEY": info.secret_key}
    lab = open_lab(info.endpoint)
    assert lab.target == info.endpoint
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_aws_shows_account_region_and_costs_and_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(helpers.lab, "_account_id", lambda: "210987654321")
    os.environ |= {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    with pytest.raises(LabError, match="accept_costs=True"):
        open_lab("aws")
    shown = capsys.readouterr().out
    assert "210987654321" in shown and "eu-central-1" in shown and "0.015 USD an hour" in shown
    lab = open_lab("aws", accept_costs=True)
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert lab.url("abc", "P") == "https://abc.execute-api.eu-central-1.amazonaws.com/P"


def test_website_addresses() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html: dash or dot, by region."""
    assert Lab("aws", "us-east-1", "1", None).website_url("b") == "http://b.s3-website-us-east-1.amazonaws.com"
    assert Lab("aws", "eu-central-1", "1", None).website_url("b") == "http://b.s3-website.eu-central-1.amazonaws.com"
    assert Lab("local", "us-east-1", "1", "http://127.0.0.1:99").website_url("b") == "http://b.localhost:99"


def test_outputs_are_published_and_forgotten(folder: Path) -> None:
    lab = open_lab()
    with pytest.raises(LabError, match=r'stage 02 has not run in this lab: lab.require\("02"\)'):
        lab.outputs("02")
    lab.publish("02", {"url": "http://x", "refused": ""}, rows=10)
    assert lab.outputs("02") == {"url": "http://x", "refused": ""}
    lab.forget("02")
    with pytest.raises(LabError):
        lab.outputs("02")


def test_require_says_what_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = open_lab()
    lab.publish("02", {"stream": "APIdata"}, rows=5000)
    lab.require("02", rows=5000)
    assert capsys.readouterr().out == "Ready: 02\n"
    lab.require("02", rows=1000)
    assert "rows=5000 instead of 1000" in capsys.readouterr().out


def test_require_refuses_a_stage_without_a_notebook(folder: Path) -> None:
    with pytest.raises(LabError, match="there is no notebook 77"):
        open_lab().require("77")


def test_a_dead_lab_has_lost_its_cloud_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_lab()
    boto3.client("s3").create_bucket(Bucket="lost")
    info = server.find(folder)
    assert info is not None
    os.kill(info.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(info.pid)], 5)
    with pytest.raises(DeadLab, match=f"process {info.pid} has ended, and its cloud is lost"):
        server.find(folder)
    open_lab()
    assert "its cloud is lost" in capsys.readouterr().out
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_only_its_owner_reads_the_key(folder: Path) -> None:
    server.start(folder)
    assert stat.S_IMODE((folder / "lab.json").stat().st_mode) == 0o600
    assert json.loads((folder / "lab.json").read_text())["secret_key"] not in (folder / "lab.log").read_text()


def test_a_port_in_use_is_said_in_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} on 127.0.0.1 is in use") as refused:
            server.start(folder, port=port)
    assert "\n" not in str(refused.value)


def test_stop_leaves_nothing_and_can_be_said_twice(folder: Path) -> None:
    info = server.start(folder)
    process = psutil.Process(info.pid)
    assert server.start(folder).pid == info.pid
    assert server.stop(folder)
    assert not process.is_running()
    assert not (folder / "lab.json").exists() and not (folder / "lambda").exists()
    assert not server.stop(folder)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", info.port)) != 0


def test_an_idle_lab_of_a_run_ends_by_itself(folder: Path) -> None:
    info = server.start(folder, idle_exit=1.0)
    gone, _ = psutil.wait_procs([psutil.Process(info.pid)], 15)
    assert gone
    deadline = time.monotonic() + 5
    while (folder / "lab.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.find(folder) is None
