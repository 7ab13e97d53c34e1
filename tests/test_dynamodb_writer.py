"""The function that writes items, against a small DynamoDB of a dict that can be told to fail."""

from __future__ import annotations

import json
import os
import random
from base64 import b64encode
from collections import Counter
from decimal import Decimal
from importlib import import_module
from typing import Any

import botocore.session
import botocore.validate
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from helpers.lab import SAMPLE
from helpers.rows import Selection, read_rows, to_json
from tests.seeded import seeded

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
writer = import_module("helpers.handlers.dynamodb_writer")

Row = dict[str, Any]


class Cancelled(ClientError):
    pass


class Killed(Exception):
    """The function's process ends here."""


VALIDATOR = botocore.validate.ParamValidator()
INPUT = botocore.session.get_session().get_service_model("dynamodb").operation_model("TransactWriteItems").input_shape


class Store:
    """Transactions on dicts; `faults` says of each call what becomes of it: done, killed, answerless, or a reason."""

    class exceptions:
        TransactionCanceledException = Cancelled

    def __init__(self, faults: list[str] = ()) -> None:  # type: ignore[assignment]
        self.items: dict[tuple[str, ...], dict[str, Any]] = {}
        self.faults, self.calls, self.cancelled = list(faults), 0, 0

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        self.calls += 1
        assert 1 <= len(TransactItems) <= 100
        report = VALIDATOR.validate({"TransactItems": TransactItems}, INPUT)
        assert not report.has_errors(), report.generate_report()  # the writer's own client does not look
        fault = self.faults.pop(0) if self.faults else "done"
        if fault == "killed":
            raise Killed
        keys = [self.key(action) for action in TransactItems]
        assert len(set(keys)) == len(keys), "two actions on one item"
        codes = [
            "ConditionalCheckFailed" if "Put" in action and key in self.items else "None"
            for action, key in zip(TransactItems, keys, strict=True)
        ]
        if fault not in ("done", "answerless"):
            codes[-1] = fault
        if set(codes) != {"None"}:
            reasons = [
                {"Code": code, **({"Item": self.items[key]} if code == "ConditionalCheckFailed" else {})}
                for code, key in zip(codes, keys, strict=True)
            ]
            told = {"Error": {"Code": "TransactionCanceledException", "Message": ""}, "CancellationReasons": reasons}
            self.cancelled += 1
            raise Cancelled(told, "TransactWriteItems")
        for action, key in zip(TransactItems, keys, strict=True):
            self.apply(action, key)
        if fault == "answerless":
            raise Killed

    @staticmethod
    def key(action: dict[str, Any]) -> tuple[str, ...]:
        ((kind, what),) = action.items()
        key = what["Item"] if kind == "Put" else what["Key"]
        names = ("InvoiceNo", "RowId") if what["TableName"] == "Invoices" else ("CustomerID",)
        return what["TableName"], *(key[name]["S"] for name in names)

    def apply(self, action: dict[str, Any], key: tuple[str, ...]) -> None:
        ((kind, what),) = action.items()
        if kind == "Put":
            assert what["ConditionExpression"] == "attribute_not_exists(RowId)"
            self.items[key] = dict(what["Item"])
            return
        item, (adds, _, sets) = (
            self.items.setdefault(key, dict(what["Key"])),
            what["UpdateExpression"].partition(" SET "),
        )
        if key[0] == "Invoices":
            assert "Lines" in item, "a header is added to that is not there"
        for name, value in (part.split(" ") for part in adds.removeprefix("ADD ").split(", ")):
            old = Decimal(item.get(name[1:], {"N": "0"})["N"])
            item[name[1:]] = {"N": writer.plain(old + Decimal(what["ExpressionAttributeValues"][value]["N"]))}
        for name in filter(None, (part.split(" ")[0] for part in sets.split(", "))):
            if name.startswith("#"):
                item.setdefault(name[1:], what["ExpressionAttributeValues"][f":{name[1:]}"])


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def event(rows: list[Any], first: int = 0) -> dict[str, Any]:
    data = [row if isinstance(row, str) else to_json(row) for row in rows]
    return {
        "Records": [
            {"kinesis": {"sequenceNumber": str(first + n), "data": b64encode(text.encode()).decode()}}
            for n, text in enumerate(data)
        ]
    }


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(writer, "dynamodb", made)
    monkeypatch.setattr(writer.time, "sleep", lambda seconds: None)
    return made


def handle(rows: list[Any]) -> list[str]:
    """The numbers of the records that the function reports."""
    return [f["itemIdentifier"] for f in writer.lambda_handler(event(rows), Context())["batchItemFailures"]]


def expected(rows: list[Row]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What the tables hold of these rows, worked out in the plainest way; without what depends on their order."""
    found: dict[tuple[str, ...], Counter[str]] = {}
    invoices: dict[str, Row] = {}
    for row in {row["RowId"]: row for row in rows}.values():
        sums = {"Lines": 1, "Quantity": row["Quantity"], "Revenue": row["Quantity"] * Decimal(row["UnitPrice"])}
        keys = [("Invoices", row["InvoiceNo"], "#invoice")]
        keys += [("Customers", row["CustomerID"])] if row["CustomerID"] else []
        for key in keys:
            found.setdefault(key, Counter())
            for name, value in sums.items():
                found[key][name] += value  # type: ignore[assignment]
        invoices.setdefault(row["InvoiceNo"], row)
    for row in invoices.values():
        if row["CustomerID"]:
            found["Customers", row["CustomerID"]]["Invoices"] += 1
    return {key: {name: Decimal(value) for name, value in sums.items()} for key, sums in found.items()}


def totals(store: Store) -> dict[tuple[str, ...], dict[str, Any]]:
    names = ("Invoices", "Lines", "Quantity", "Revenue")
    return {
        key: {name: Decimal(item[name]["N"]) for name in names if name in item}
        for key, item in store.items.items()
        if key[0] == "Customers" or key[2] == "#invoice"
    }


def lines(store: Store) -> set[str]:
    return {key[2] for key in store.items if key[0] == "Invoices" and key[2] != "#invoice"}


SAMPLE_ROWS: list[Row] = [dict(row) for row in read_rows(SAMPLE, Selection(first=700))]


def test_a_batch_becomes_items_with_their_totals(store: Store) -> None:
    assert handle(SAMPLE_ROWS) == []
    assert totals(store) == expected(SAMPLE_ROWS)
    assert lines(store) == {row["RowId"] for row in SAMPLE_ROWS}
    row = SAMPLE_ROWS[0]
    item = store.items["Invoices", row["InvoiceNo"], row["RowId"]]
    assert item["CustomerID"] == {"S": "13433"} and item["UnitPrice"] == {"N": "8.25"} and "Buyer" not in item
    header = store.items["Invoices", row["InvoiceNo"], "#invoice"]
    assert header["Buyer"] == {"S": "13433"} and header["At"] == {"S": f"{row['InvoiceDate']}#{row['InvoiceNo']}"}
    guest = next(row for row in SAMPLE_ROWS if row["CustomerID"] is None)
    header = store.items["Invoices", guest["InvoiceNo"], "#invoice"]
    assert header["Buyer"] == {"S": "GUEST"} and "CustomerID" not in header
    assert store.calls <= len(SAMPLE_ROWS) / 50, "few transactions, many lines in each"
    assert store.cancelled == 0, "an invoice that goes on in the next transaction is known to have its header"


def test_a_batch_that_comes_twice_changes_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    handle(SAMPLE_ROWS)
    before = json.dumps(sorted(store.items.items()))
    assert handle(SAMPLE_ROWS) == [] and handle(SAMPLE_ROWS[100:300] * 2) == []
    assert json.dumps(sorted(store.items.items())) == before
    counts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(c["records"], c["new"], c["failed"]) for c in counts] == [(700, 700, 0), (700, 0, 0), (400, 0, 0)]


def test_totals_equal_the_lines_whatever_fails(store: Store) -> None:
    """Batches of any size that overlap and come again, functions that die before and after a transaction, conflicts."""
    faults = st.sampled_from(
        ["done", "done", "killed", "answerless", "TransactionConflict", "ProvisionedThroughputExceeded"]
    )

    @seeded(60, 3_000)
    @given(
        st.lists(st.tuples(st.integers(0, 699), st.integers(1, 260)), min_size=1, max_size=5),
        st.lists(faults, max_size=20),
        st.randoms(use_true_random=False),
    )
    def check(batches: list[tuple[int, int]], wrong: list[str], chance: random.Random) -> None:
        store.items.clear()
        store.faults[:] = wrong
        sent: list[Row] = []
        for start, size in batches:
            rows = SAMPLE_ROWS[start : start + size]
            if chance.random() < 0.3:
                rows = chance.sample(rows, len(rows))  # an invoice's lines need not be neighbours
            sent += rows
            while True:
                try:
                    assert handle(rows) == []
                    break
                except Killed:  # what was done until then is whole: totals equal the lines
                    done = lines(store)
                    assert totals(store) == expected([row for row in sent if row["RowId"] in done])
        assert totals(store) == expected(sent)

    check()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"UnitPrice": "8,25"}, "UnitPrice '8,25' is no number"),
        ({"UnitPrice": "NaN"}, "no number"),
        ({"UnitPrice": None}, "no number"),
        ({"UnitPrice": True}, "no number"),
        ({"UnitPrice": "0." + "1" * 39}, "no number"),
        ({"UnitPrice": "1e400000"}, "no number"),
        ({"Quantity": "6"}, "Quantity '6'"),
        ({"Quantity": 1.5}, "Quantity"),
        ({"Quantity": 10**12}, "Quantity"),
        ({"InvoiceNo": ""}, "InvoiceNo is '', not a text"),
        ({"InvoiceNo": 536365}, "InvoiceNo is 536365, not a text"),
        ({"CustomerID": 17850}, "CustomerID is 17850, not a text"),
        ({"Country": None}, "Country is None"),
        ({"RowId": "#invoice"}, "must not begin with #"),
    ],
)
def test_a_record_that_is_no_line_is_reported_with_its_reason_and_the_others_are_written(
    store: Store, capsys: pytest.CaptureFixture[str], change: Row, reason: str
) -> None:
    rows = [dict(row) for row in SAMPLE_ROWS[:5]]
    rows[2] |= change
    assert handle([json.dumps(row) for row in rows]) == ["2"]
    assert totals(store) == expected(rows[:2] + rows[3:])
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert told["failed"] == "2" and reason in told["reason"], told


@pytest.mark.parametrize("text", ["this is no JSON", "[]", "1", '{"RowId": "x:1"}', "", '{"RowId": 5}', "\ud7ff"])
def test_what_is_no_row_at_all_is_reported(store: Store, text: str) -> None:
    assert handle([to_json(SAMPLE_ROWS[0]), text]) == ["1"]
    assert len(lines(store)) == 1


def test_a_row_id_with_other_content_is_reported_not_swallowed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    row = SAMPLE_ROWS[0]
    other = row | {"Quantity": row["Quantity"] + 1}
    assert handle([row, other]) == ["1"]  # in one batch
    assert handle([SAMPLE_ROWS[1], other]) == ["1"]  # against what is stored
    assert "is there already, with other content" in capsys.readouterr().out
    assert totals(store) == expected(SAMPLE_ROWS[:2])


def test_a_reason_that_it_does_not_know_raises(store: Store) -> None:
    store.faults = ["ValidationError"]
    with pytest.raises(RuntimeError, match="the transaction was cancelled: ValidationError"):
        handle(SAMPLE_ROWS[:10])


def test_it_gives_up_before_its_time_is_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.faults = ["TransactionConflict"] * 10_000
    left = iter(range(5_000, 0, -100))
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda self: next(left))
    with pytest.raises(RuntimeError, match=r"cancelled \d+ times: TransactionConflict"):
        handle(SAMPLE_ROWS[:10])
    assert store.items == {}


@seeded(100, 5_000)
@given(st.lists(st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 20))), max_size=400))
def test_a_pack_is_never_more_than_a_transaction_takes(sold: list[tuple[int, int | None]]) -> None:
    made = [
        {"InvoiceNo": {"S": str(invoice)}, "RowId": {"S": str(n)}, **({"CustomerID": {"S": str(c)}} if c else {})}
        for n, (invoice, c) in enumerate(sold)
    ]
    packs = list(writer.packs(made))
    assert sorted(line["RowId"]["S"] for pack in packs for line in pack) == sorted(line["RowId"]["S"] for line in made)
    for pack in packs:
        customers = {line["CustomerID"]["S"] for line in pack if "CustomerID" in line}
        assert len(pack) + len({line["InvoiceNo"]["S"] for line in pack}) + len(customers) <= 100
