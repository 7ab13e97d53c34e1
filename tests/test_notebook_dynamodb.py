"""What is special to notebook 04: exercises, the writer killed at work, permissions, a second run and the clean-up."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from boto3.dynamodb.conditions import Key
from platform_lab import Platform, platform, wait_until
from test_dynamodb_real import table

from helpers import reconcile
from helpers.inventory import inventory
from helpers.provision import package
from helpers.rows import read_rows
from tests.notebooks import execute, said
from tests.seeded import SEED, SOAK

KILLS = 50 if SOAK else 4
SENT = 1_000  # rows that come in around each kill


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A lab in which notebooks 02, 03 and 04 have run with their defaults."""
    with platform(tmp_path_factory.mktemp("dynamodb") / "lab", shards=4, rows=1000) as built:
        built.lab.require("04", csv="", rows=1000)
        yield built


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        ("04-1", 16972, "a CustomerID is a text"),
        ("04-1", "nobody", "there is no customer 'nobody'"),
        ("04-2", 1094.66, "money is a Decimal"),
        ("04-2", Decimal("1128.40"), "2010-12-09 itself is missing"),
        ("04-2", Decimal("3056.6"), "all the invoices of this customer"),
        ("04-2", Decimal("7"), "another amount"),
        ("04-3", "done", "there is no ByStockCode"),
    ],
)
def test_a_wrong_answer_gets_its_hint(stage: Platform, number: str, answer: Any, hint: str) -> None:
    assert said(number, answer).startswith(f"Not yet ({number}): ")
    assert hint in said(number, answer)


def test_the_best_by_another_measure_is_told_so(stage: Platform) -> None:
    found = list(table("Customers"))
    most = {name: max(found, key=lambda c: Decimal(c[name]["N"]))["CustomerID"]["S"] for name in ("Revenue", "Lines")}
    right = max(found, key=lambda c: (Decimal(c["Invoices"]["N"]), Decimal(c["Revenue"]["N"])))["CustomerID"]["S"]
    assert said("04-1", right).startswith("Right")
    for name, customer in most.items():
        if customer != right:
            assert f"has the most {name}, not the most Invoices" in said("04-1", customer) or "Revenue" == name
    few = min(found, key=lambda c: Decimal(c["Invoices"]["N"]))["CustomerID"]["S"]
    assert "Not yet" in said("04-1", few)


@contextmanager
def index(keys: list[tuple[str, str]], projection: dict[str, Any]) -> Iterator[None]:
    dynamodb = boto3.client("dynamodb")
    made = {
        "IndexName": "ByStockCode",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        "Projection": projection,
    }
    types = [{"AttributeName": name, "AttributeType": "S"} for name, _ in keys]
    dynamodb.update_table(
        TableName="Invoices", AttributeDefinitions=types, GlobalSecondaryIndexUpdates=[{"Create": made}]
    )
    try:
        yield
    finally:
        gone = [{"Delete": {"IndexName": "ByStockCode"}}]
        dynamodb.update_table(TableName="Invoices", GlobalSecondaryIndexUpdates=gone)


@pytest.mark.parametrize(
    ("keys", "projection", "verdict"),
    [
        ([("StockCode", "HASH")], {"ProjectionType": "KEYS_ONLY"}, "it has no sort key"),
        ([("InvoiceNo", "HASH"), ("StockCode", "RANGE")], {"ProjectionType": "KEYS_ONLY"}, "its keys are InvoiceNo"),
        ([("StockCode", "HASH"), ("InvoiceNo", "RANGE")], {"ProjectionType": "ALL"}, "holds every attribute"),
        ([("StockCode", "HASH"), ("InvoiceNo", "RANGE")], {"ProjectionType": "KEYS_ONLY"}, "is to hold the Quantity"),
        (
            [("StockCode", "HASH"), ("InvoiceNo", "RANGE")],
            {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["Quantity"]},
            "Right",
        ),
    ],
)
def test_an_index(stage: Platform, keys: list[tuple[str, str]], projection: dict[str, Any], verdict: str) -> None:
    with index(keys, projection):
        assert verdict in said("04-3", "done")


# The writer at work


def assert_totals_equal_the_lines() -> None:
    """Headers and customers, all of them, against the lines."""
    items = list(table("Invoices", ConsistentRead=True))
    lines = [item for item in items if item["RowId"]["S"] != "#invoice"]
    by_invoice: defaultdict[str, Counter[str]] = defaultdict(Counter)
    by_customer: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        quantity = int(line["Quantity"]["N"])
        sums = {"Lines": 1, "Quantity": quantity, "Revenue": quantity * Decimal(line["UnitPrice"]["N"])}
        groups = [by_invoice[line["InvoiceNo"]["S"]]]
        groups += [by_customer[line["CustomerID"]["S"]]] if "CustomerID" in line else []
        for group in groups:
            for name, value in sums.items():
                group[name] += value  # type: ignore[assignment]
    for header in (item for item in items if item["RowId"]["S"] == "#invoice"):
        told = {name: Decimal(header[name]["N"]) for name in ("Lines", "Quantity", "Revenue")}
        assert told == by_invoice.pop(header["InvoiceNo"]["S"])
        if "CustomerID" in header:
            by_customer[header["CustomerID"]["S"]]["Invoices"] += 1
    assert not by_invoice, "lines without a header"
    for customer in table("Customers", ConsistentRead=True):
        told = {name: Decimal(customer[name]["N"]) for name in ("Lines", "Quantity", "Revenue", "Invoices")}
        its = by_customer.pop(customer["CustomerID"]["S"])
        assert told == {name: its[name] for name in told}
    assert not by_customer, "lines of a customer who is not there"


def assert_each_invoice_is_whole(invoices: set[str]) -> None:
    """One query is one moment: whatever has happened, a header says what its lines are."""
    resource = boto3.resource("dynamodb").Table("Invoices")
    for invoice in invoices:
        found = resource.query(
            KeyConditionExpression="InvoiceNo = :i", ExpressionAttributeValues={":i": invoice}, ConsistentRead=True
        )["Items"]
        headers = [item for item in found if item["RowId"] == "#invoice"]
        lines = [item for item in found if item["RowId"] != "#invoice"]
        assert len(headers) == bool(lines)
        for header in headers:
            assert header["Lines"] == len(lines)
            assert header["Revenue"] == sum(line["Quantity"] * line["UnitPrice"] for line in lines)


def writers(stage: Platform) -> list[psutil.Process]:
    found = []
    for worker in stage.workers():
        with suppress(psutil.Error):
            if worker.environ().get("AWS_LAMBDA_FUNCTION_NAME") == "stream-to-dynamodb":
                found.append(worker)
    return found


def new_file(stage: Platform, name: str, rows: int, number: int) -> Path:
    """A file whose invoices are no other file's."""
    path = stage.csv(name, rows, seed=number)
    text = path.read_text(encoding="latin-1")
    path.write_text(re.sub(r"(?m)^([A-Z]?)5", rf"\g<1>9{number}", text), encoding="latin-1")
    return path


def log_count(words: str) -> int:
    pages = boto3.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName="/aws/lambda/stream-to-dynamodb", filterPattern=f'"{words}"')
    return sum(len(page["events"]) for page in found)


def test_a_writer_killed_with_a_transaction_in_flight(stage: Platform) -> None:
    """At random points, until enough kills have hit a batch under way; totals equal the lines, always."""
    chance, hits, number, span = random.Random(SEED), 0, 0, 3.0
    mapping = stage.lab.outputs("04")["mapping"]
    functions = boto3.client("lambda")
    functions.update_event_source_mapping(UUID=mapping, MaximumBatchingWindowInSeconds=0, BatchSize=200)
    try:
        while hits < KILLS:
            number += 1
            assert number <= KILLS * 8, f"WORKBOOK_SEED={SEED}: {hits} of {number} kills hit a batch under way"
            csv = new_file(stage, f"killed-writer-{number}", SENT, number)
            rows = list(read_rows(csv))
            theirs = {row["InvoiceNo"] for row in rows}
            failed = log_count("Runtime.ExitError")
            assert written(theirs) == 0
            sender = threading.Thread(target=lambda csv=csv: stage.send(csv, batch=100, connections=1))
            began = time.monotonic()
            sender.start()  # rows go on coming in while the writer is killed
            time.sleep(chance.uniform(0, span))  # the point of the kill, which is to be anywhere
            if victims := writers(stage):
                with suppress(psutil.Error):
                    chance.choice(victims).send_signal(signal.SIGKILL)
            so_far = written(theirs)
            sender.join()
            assert_each_invoice_is_whole(theirs)
            wait_until(lambda theirs=theirs: written(theirs) == SENT, f"all lines of {csv.stem}", 120)
            hit = log_count("Runtime.ExitError") > failed
            hits += hit
            if not hit:  # as long as a file takes here that is not disturbed
                span = time.monotonic() - began
            print(f"WORKBOOK_SEED={SEED} kill {number}: {so_far} of {SENT} lines were written, hit a batch: {hit}")
            if hit or number % 5 == 0:
                assert_totals_equal_the_lines()
    finally:
        functions.update_event_source_mapping(UUID=mapping, MaximumBatchingWindowInSeconds=1, BatchSize=1_000)
    assert_totals_equal_the_lines()


def written(invoices: set[str]) -> int:
    """How many lines these invoices have."""
    table = boto3.resource("dynamodb").Table("Invoices")
    after = Key("RowId").gt("#invoice")
    return sum(
        table.query(KeyConditionExpression=Key("InvoiceNo").eq(i) & after, Select="COUNT", ConsistentRead=True)["Count"]
        for i in invoices
    )


def test_both_consumers_see_every_record(stage: Platform) -> None:
    csv = new_file(stage, "two-consumers", 400, 7777)
    stage.send(csv)
    stage.expect_everywhere(csv)
    invoices = {row["InvoiceNo"] for row in read_rows(csv)}
    wait_until(lambda: written(invoices) == 400, "all lines in DynamoDB", 60)
    sent = reconcile.tally(reconcile.sent_rows(csv))
    kept = reconcile.tally(reconcile.table_rows("Invoices", csv.stem))
    assert (kept.rows, kept.revenue) == (sent.rows, sent.revenue)


def test_other_sources_do_not_count_in_the_stage(stage: Platform) -> None:
    stages = reconcile.stages(stage.lab)
    assert stages["dynamodb"]["rows"] == 1000 and stages["dynamodb"]["revenue"] == stages["client"]["revenue"]


def test_the_role_may_write_and_nothing_else(stage: Platform, tmp_path: Path) -> None:
    """Its own credentials, in a function of its own: no reading, no deleting, no other table."""
    handler = tmp_path / "nosy.py"
    handler.write_text(
        "import boto3\n"
        "def lambda_handler(event, context):\n"
        "    client, answers = boto3.client('dynamodb'), {}\n"
        "    key = {'InvoiceNo': {'S': 'x'}, 'RowId': {'S': 'x'}}\n"
        "    calls = {'get_item': {'Key': key}, 'delete_item': {'Key': key}, 'scan': {}, 'delete_table': {},\n"
        "             'put_item': {'Item': {'CustomerID': {'S': 'x'}}}}\n"
        "    for name, given in calls.items():\n"
        "        table = 'Customers' if name == 'put_item' else 'Invoices'\n"
        "        try:\n"
        "            getattr(client, name)(TableName=table, **given)\n"
        "            answers[name] = 'done'\n"
        "        except Exception as error:\n"
        "            answers[name] = error.response['Error']['Code']\n"
        "    return answers\n"
    )
    functions = boto3.client("lambda")
    role = functions.get_function_configuration(FunctionName="stream-to-dynamodb")["Role"]
    functions.create_function(
        FunctionName="nosy", Runtime="python3.13", Handler="nosy.lambda_handler", Role=role,
        Code={"ZipFile": package(handler)}, Timeout=30,
    )  # fmt: skip
    try:
        functions.get_waiter("function_active_v2").wait(FunctionName="nosy")
        import json

        answers = json.loads(functions.invoke(FunctionName="nosy")["Payload"].read())
    finally:
        functions.delete_function(FunctionName="nosy")
    assert set(answers.values()) == {"AccessDeniedException"}, answers
    assert len(answers) == 5


def test_a_second_run_works_and_the_clean_up_leaves_nothing_of_it(tmp_path: Path) -> None:
    """In a lab of its own, in whose stream nothing else is; last in this file."""
    with platform(tmp_path / "lab", shards=1, rows=200) as own:
        own.lab.require("04", csv="", rows=200)
        standing = inventory()
        execute("04", solutions=True, cleanup=True)
        left = inventory()
        assert left["DynamoDB tables"] == left["SQS queues"] == []
        shown = str(left)
        for name in ("stream-to-dynamodb", "workbook-first", "workbook-trial", "/workbook/04", "MyDynamoDBWrite"):
            assert name not in shown
        for kind in ("Kinesis streams", "S3 buckets", "API Gateway APIs"):
            assert left[kind] == standing[kind]
