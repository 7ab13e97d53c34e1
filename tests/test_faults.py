"""Nothing is lost: faults with records in flight, on the platform that the notebooks build; each stage read for itself.

Delivery is at least once, effects are exactly once: after each fault every RowId is in the stream and in S3, and the
revenue is the file's. The seed and the point of each kill are printed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import psutil
import pytest
from platform_lab import Platform, platform, wait_until

from data.generate import write
from helpers import reconcile
from tests.seeded import SEED, SOAK

ROWS = 20_000 if SOAK else 4_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("faults") / "lab", shards=2) as built:
        yield built


def test_a_worker_killed_in_the_middle_of_a_batch(stage: Platform) -> None:
    """Until a kill hits a batch under way: the client sees its call fail, and sends those rows again."""
    chance = random.Random(SEED)
    for number in range(6):
        csv = stage.csv(f"killed-worker-{number}", ROWS)
        hit = send_while_workers_die(stage, csv, chance, f"WORKBOOK_SEED={SEED}, file {number}")
        stage.expect_everywhere(csv)
        if hit:
            return
    raise AssertionError(f"WORKBOOK_SEED={SEED}: no worker was killed in the middle of a batch")


def send_while_workers_die(stage: Platform, csv: Path, chance: random.Random, label: str) -> bool:
    """Whether a request had to be sent again because of the kills."""
    done, began = threading.Event(), time.monotonic()
    kills: list[str] = []

    def kill_now_and_then() -> None:
        while not done.wait(chance.uniform(0.1, 0.3)):
            alive = [w for w in stage.workers() if w.is_running()]
            if alive and len(kills) < 12:
                victim = chance.choice(alive)
                with suppress(psutil.Error):
                    victim.send_signal(signal.SIGKILL)
                    kills.append(f"{time.monotonic() - began:.2f} s")

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        report = stage.send(csv, batch=50)
    finally:
        done.set()
        killer.join()
    print(f"{label}: workers killed at {', '.join(kills)} while rows came in; {report}")
    return bool(kills and report.retried)


def test_a_client_killed_and_resumed(stage: Platform, tmp_path: Path) -> None:
    csv = stage.csv("killed-client", ROWS)
    checkpoint = tmp_path / "checkpoint"
    command = [sys.executable, "-m", "helpers.client", str(csv), stage.url, "--api-key-env", "THE_KEY"]
    command += ["--batch", "50", "--connections", "4", "--checkpoint", str(checkpoint)]
    environment = os.environ | {"THE_KEY": stage.api_key}
    client = subprocess.Popen([*command, "--rate", str(ROWS // 4)], env=environment, stderr=subprocess.DEVNULL)
    # A line of its own for what the job is, then one for each answer.
    wait_until(lambda: checkpoint.exists() and checkpoint.read_text().count("\n") >= 4, "the first rows are through")
    client.send_signal(signal.SIGKILL)
    client.wait()
    so_far = stage.in_stream(csv.stem).rows
    print(f"killed after {so_far} of {ROWS} rows had arrived")
    assert 0 < so_far < ROWS, "the client was not killed in the middle"
    resumed = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120)
    assert resumed.returncode == 0, resumed.stderr
    stage.expect_everywhere(csv)
    again = stage.in_stream(csv.stem)
    assert again.duplicates <= 4 * 50 * 2, "more was sent again than was in flight"


def test_a_throttled_shard(stage: Platform) -> None:
    """2 shards take 2,000 records a second; more is offered at once, and PutRecords refuses a part of each call."""
    csv = stage.csv("throttled", ROWS)
    report = stage.send(csv, batch=500, connections=8)
    throttled = wait_until(
        lambda: _metric(stage.stream, "WriteProvisionedThroughputExceeded"), "the stream says that it refused records"
    )
    print(f"{throttled:.0f} records were refused at first; {report}")
    stage.expect_everywhere(csv)


def _metric(stream: str, name: str) -> float:
    import datetime as dt

    now = dt.datetime.now(dt.UTC)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Kinesis", MetricName=name, Dimensions=[{"Name": "StreamName", "Value": stream}],
        StartTime=now - dt.timedelta(hours=1), EndTime=now + dt.timedelta(minutes=1), Period=3600, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    return sum(p["Sum"] for p in points)


def test_the_triggers_function_fails_three_times(stage: Platform) -> None:
    """Its role may not write for a while: the batch blocks its shard, is tried again, and arrives once it may."""
    iam = boto3.client("iam")
    role = boto3.client("lambda").get_function_configuration(FunctionName=stage.storage_function)["Role"].split("/")[-1]
    iam.put_role_policy(
        RoleName=role,
        PolicyName="NotNow",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}]}
        ),
    )
    csv = stage.csv("failing-trigger", ROWS // 4)
    stage.send(csv)
    logs = boto3.client("logs")
    group = f"/aws/lambda/{stage.storage_function}"

    def failures() -> int:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        lines = [e["message"] for page in pages for e in page["events"]]
        return sum("[ERROR]" in line and "explicit deny" in line for line in lines)

    wait_until(lambda: failures() >= 3, "three failures in the function's log", 60)
    assert stage.in_storage(csv.stem).rows == 0
    iam.delete_role_policy(RoleName=role, PolicyName="NotNow")
    stage.expect_everywhere(csv)


def test_each_stage_is_read_from_its_own_store(tmp_path: Path) -> None:
    """One record is taken out of one stage, and exactly that stage drops."""
    csv = tmp_path / "shop.csv"
    write(csv, 60)
    with platform(tmp_path / "lab", shards=1, csv=csv, rows=0) as own:
        whole = reconcile.stages(own.lab)
        assert [s["rows"] for s in whole.values()] == [60, 60, 60]
        s3 = boto3.client("s3")
        for entry in s3.list_objects_v2(Bucket=own.bucket, Prefix=own.prefix)["Contents"]:
            lines = s3.get_object(Bucket=own.bucket, Key=entry["Key"])["Body"].read().splitlines(keepends=True)
            # It may lie in several files: the lessons send some rows twice.
            kept = [line for line in lines if json.loads(line)["RowId"] != "shop:000007"]
            s3.put_object(Bucket=own.bucket, Key=entry["Key"], Body=b"".join(kept))
        stored = reconcile.stages(own.lab)
        assert stored["raw_storage"]["rows"] == 59
        assert (stored["client"], stored["kinesis"]) == (whole["client"], whole["kinesis"])
        csv.write_bytes(b"".join(csv.read_bytes().splitlines(keepends=True)[:-1]))
        shorter = reconcile.stages(own.lab)
        assert shorter["client"]["rows"] == 59
        assert (shorter["kinesis"], shorter["raw_storage"]) == (stored["kinesis"], stored["raw_storage"])
        # Kinesis lets nobody take out one record: its stream goes as a whole.
        boto3.client("kinesis").delete_stream(StreamName=own.stream)
        boto3.client("kinesis").create_stream(StreamName=own.stream, ShardCount=1)
        empty = reconcile.stages(own.lab)
        assert empty["kinesis"] == {"rows": 0, "revenue": "0"}
        assert (empty["client"], empty["raw_storage"]) == (shorter["client"], shorter["raw_storage"])
