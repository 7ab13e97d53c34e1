"""What is special to notebook 10: its exercises on the cloud, a second run, the clean-up, and no process left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import psutil
import pytest
from platform_lab import own_lab

from helpers import reconcile
from helpers.continuous.store import Results
from helpers.inventory import inventory
from helpers.lab import Lab
from tests.notebooks import execute, said


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which the notebook has run; the last test runs it once more."""
    folder = tmp_path_factory.mktemp("continuous") / "lab"
    with own_lab(folder) as opened_lab:
        opened_lab.require("10", csv="", rows=300)
        yield opened_lab


def replay(lab: Lab) -> Results:
    return Results(boto3.client("dynamodb"), lab.outputs("10")["replay_application"])


def by_hour(lab: Lab) -> dict[int, Decimal]:
    day, hours = lab.outputs("10")["replayed_day"], {}
    for (minute, _), window in replay(lab).revenue().items():
        if f"{minute:%Y-%m-%d}" == day:
            hours[minute.hour] = hours.get(minute.hour, Decimal(0)) + window.revenue
    return hours


def test_no_worker_is_left(lab: Lab) -> None:
    mine = psutil.Process().pid
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = process.info["cmdline"] or []
        folder = (process.info["environ"] or {}).get("WORKBOOK_LAB")
        assert "helpers.continuous.worker" not in words or folder != os.environ["WORKBOOK_LAB"], (mine, words)


def test_the_stage_is_read_from_its_own_store(lab: Lab) -> None:
    """One window taken away, and one row less in this stage alone."""
    whole = reconcile.stages(lab)
    assert {(s["rows"], Decimal(s["revenue"])) for s in whole.values()} == {(300, Decimal(whole["client"]["revenue"]))}
    dynamodb, table = boto3.client("dynamodb"), lab.outputs("10")["application"] + "-windows"
    item = next(i for i in dynamodb.scan(TableName=table)["Items"] if i["Kind"]["S"].startswith("revenue#"))
    dynamodb.delete_item(TableName=table, Key={"Kind": item["Kind"], "Part": item["Part"]})
    try:
        less = reconcile.stages(lab)
        assert less["continuous"]["rows"] == 300 - int(item["Rows"]["N"])
        assert {name: stage for name, stage in less.items() if name != "continuous"} == {
            name: stage for name, stage in whole.items() if name != "continuous"
        }
    finally:
        dynamodb.put_item(TableName=table, Item=item)


def test_an_hour_is_the_sum_of_its_items(lab: Lab) -> None:
    right = by_hour(lab)
    assert said("10-1", right).startswith("Right (10-1): ")
    assert said("10-1", ...).startswith("Not answered yet")
    assert "these are floats" in said("10-1", {hour: float(amount) for hour, amount in right.items()})
    assert "the day has sales in the hours" in said("10-1", {str(hour): amount for hour, amount in right.items()})
    changed = dict(right) | {max(right): right[max(right)] + 1}
    assert f"the revenue of hour {max(right)} is another" in said("10-1", changed)
    assert "every hour is too low" in said("10-1", {hour: amount - 10**6 for hour, amount in right.items()})
    assert "a dict from the hour" in said("10-1", [1, 2])


def test_sessions_are_one_more_than_the_pauses(lab: Lab) -> None:
    answers = {number: said("10-2", number) for number in range(1, 40)}
    [right] = [number for number, words in answers.items() if words.startswith("Right")]
    assert "pauses there are: sessions are one more" in said("10-2", right - 1)
    assert "every minute with a sale" in said("10-2", 37)
    assert "whole number" in said("10-2", 2.0)
    assert "it is another number" in said("10-2", 100)


def test_a_lease_is_taken_as_a_worker_takes_it(lab: Lab) -> None:
    table = lab.outputs("10")["replay_application"]
    dynamodb, leases = boto3.client("dynamodb"), replay(lab).leases()
    ended = next(key for key, lease in leases.items() if lease.ended)
    key = next(key for key, lease in leases.items() if not lease.ended and lease.numbers["rows"])
    kept = {k: dynamodb.get_item(TableName=table, Key={"leaseKey": {"S": k}})["Item"] for k in (key, ended)}

    def with_item(key: str, **changes: Any) -> str:
        dynamodb.put_item(TableName=table, Item={**kept[key], **changes})
        try:
            return said("10-3", key)
        finally:
            dynamodb.put_item(TableName=table, Item=kept[key])

    you, counter = {"S": "you"}, {"N": str(int(kept[key]["leaseCounter"]["N"]) + 1)}
    assert "no lease has leaseOwner 'you'" in said("10-3", key)
    assert "the answer is the key" in said("10-3", "a lease")
    assert "has to grow by one" in with_item(key, leaseOwner=you)
    assert "read to its end" in with_item(ended, leaseOwner=you)
    assert "are gone: update the item" in with_item(
        key, leaseOwner=you, leaseCounter=counter, checkpoint={"S": "TRIM_HORIZON"}
    )
    assert with_item(key, leaseOwner=you, leaseCounter=counter).startswith("Right (10-3): ")


def test_solutions_solve_and_the_clean_up_leaves_nothing_of_it(lab: Lab) -> None:
    execute("10", rows=300, solutions=True, cleanup=True)
    left = inventory()
    assert left["Kinesis streams"] == ["APIdata"] and left["DynamoDB tables"] == []
    assert left["IAM roles"] == ["test-role"] and left["IAM policies"] == ["MyKinesisWriteAPIData"]
    assert left["SSM parameters"] == ["/workbook/02"]
