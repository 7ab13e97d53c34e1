"""Windows, watermark, duplicates and leases, each by itself; then what a worker makes of a file, next to pandas."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from helpers.continuous.leases import SHARD_END, Lease, LeaseLost, LeaseTable, Taker
from helpers.continuous.pictures import beyond_picture, day_picture, lateness_picture, window_picture
from helpers.continuous.replay import Replay, watch
from helpers.continuous.seen import ROWS, Chunk, Seen, union
from helpers.continuous.store import Record, Results, Shard
from helpers.continuous.windows import (
    HOUR,
    MINUTE,
    SLIDE,
    Unreadable,
    Windows,
    orders_by_hour,
    read_event,
    sliding,
    tumbling,
)
from helpers.continuous.worker import Worker
from helpers.lab import SAMPLE
from helpers.provision import wait_for
from helpers.rows import Selection, read_rows
from tests.continuous_lab import Desk, desk, disordered
from tests.seeded import SEED, seeded

T = dt.datetime.fromisoformat
REAL = os.environ.get("ONLINE_RETAIL_CSV")


def row(number: int = 1, when: str = "2010-12-01T08:26:00", **fields: Any) -> dict[str, Any]:
    return {
        "RowId": f"shop:{number:06d}",
        "InvoiceNo": "536000",
        "StockCode": "1",
        "Description": None,
        "Quantity": 2,
        "InvoiceDate": when,
        "UnitPrice": "2.55",
        "CustomerID": None,
        "Country": "Norway",
        **fields,
    }


# --- windows


def test_a_window_has_its_start_and_not_its_end() -> None:
    assert tumbling(T("2010-12-01T08:26:00"), MINUTE) == T("2010-12-01T08:26:00")
    assert tumbling(T("2010-12-01T08:26:59.999999"), MINUTE) == T("2010-12-01T08:26:00")
    assert tumbling(T("2010-12-01T08:59:59"), HOUR) == T("2010-12-01T08:00:00")
    hours = sliding(T("2010-12-01T08:26:00"), HOUR, SLIDE)
    assert [f"{start:%H:%M}" for start in hours] == ["07:30", "07:40", "07:50", "08:00", "08:10", "08:20"]


moments = st.datetimes(dt.datetime(1972, 1, 1), dt.datetime(2100, 1, 1))
sizes = st.integers(1, 5_000).map(lambda seconds: dt.timedelta(seconds=seconds))


@seeded(examples=200, soak=5_000)
@given(moments, sizes)
def test_every_moment_lies_in_one_tumbling_window(moment: dt.datetime, size: dt.timedelta) -> None:
    start = tumbling(moment, size)
    assert start <= moment < start + size
    assert tumbling(start, size) == start and tumbling(start + size, size) == start + size


@seeded(examples=200, soak=5_000)
@given(moments, sizes, sizes)
def test_sliding_windows_are_all_those_that_hold_the_moment(
    moment: dt.datetime, size: dt.timedelta, slide: dt.timedelta
) -> None:
    starts = sliding(moment, size, slide)
    candidates = [tumbling(moment, slide) + slide * n for n in range(-(size // slide) - 2, 3)]
    assert starts == [start for start in candidates if start <= moment < start + size]


events = st.lists(
    st.builds(
        lambda number, minutes, quantity, price, country, invoice: row(
            number,
            (dt.datetime(2010, 12, 1) + dt.timedelta(minutes=minutes)).isoformat(),
            Quantity=quantity,
            UnitPrice=str(price),
            Country=country,
            InvoiceNo=invoice,
        ),
        st.integers(1, 40),
        st.integers(0, 300),
        st.integers(-1000, 1000),
        st.decimals("-11062.06", "38970", places=3),
        st.sampled_from(["Norway", "EIRE", "United Kingdom"]),
        st.sampled_from(["536365", "536366", "C536367", "A536368"]),
    ),
    max_size=60,
)


@seeded(examples=300, soak=5_000)
@given(events, st.integers(0, 120), st.lists(st.integers(0, 60), max_size=5))
def test_shuffled_doubled_and_late_rows(rows: list[dict[str, Any]], delay: int, cuts: list[int]) -> None:
    """Each RowId counts once, in its window or as late; and no window changes behind the watermark."""
    windows, seen = Windows(dt.timedelta(minutes=delay)), Seen(lambda *_: None, 1e9)
    revenue: dict[Any, Decimal] = defaultdict(Decimal)
    counted: Counter[Any] = Counter()
    orders: dict[Any, set[str]] = defaultdict(set)
    late, first = [], {}

    def take() -> None:  # wherever a commit cuts, the sums are the same
        changes = windows.take()
        for key, window in changes.revenue.items():
            revenue[key] += window.revenue
            counted[key] += window.rows
        for pane, invoices in changes.orders.items():
            orders[pane] |= invoices
        late.extend(event.row["RowId"] for event in changes.late)

    for place, each in enumerate(rows):
        if place in cuts:
            take()
        if not seen.add(each["RowId"], 0.0):
            continue
        first[each["RowId"]] = each
        event, before = read_event(each), windows.watermark
        on_time = windows.add(event)
        closed = before is not None and tumbling(event.moment, MINUTE) + MINUTE <= before
        assert on_time is not closed
        if on_time and before is not None:
            ends = [start + HOUR for start in sliding(event.moment, HOUR, SLIDE)]
            assert min(ends) > before - HOUR and all(end > before for end in ends if end >= event.moment + MINUTE)
        assert windows.watermark is not None and (before is None or windows.watermark >= before)
    take()
    on_time_rows = [read_event(each) for each in first.values() if each["RowId"] not in late]
    expected: dict[Any, Decimal] = defaultdict(Decimal)
    for event in on_time_rows:
        expected[event.moment, event.row["Country"]] += event.amount
    assert revenue == expected
    assert sum(counted.values()) + len(late) == len(first)
    for start, number in orders_by_hour(orders).items():
        inside = {
            event.row["InvoiceNo"]
            for event in on_time_rows
            if start <= event.moment < start + HOUR and event.row["InvoiceNo"].isdigit()
        }
        assert number == len(inside), start


@seeded(examples=100, soak=2_000)
@given(events, st.randoms(use_true_random=False))
def test_disorder_within_the_delay_makes_nothing_late(rows: list[dict[str, Any]], chance: random.Random) -> None:
    delay = 30
    rows = sorted(rows, key=lambda each: T(each["InvoiceDate"]) + dt.timedelta(minutes=chance.uniform(0, delay)))
    windows = Windows(dt.timedelta(minutes=delay))
    assert all(windows.add(read_event(each)) for each in rows)


def test_sums_are_exact_where_floats_and_short_decimals_are_not() -> None:
    windows = Windows(MINUTE)
    for number, price in enumerate(["9999999999999999999.001", "0.002", "-9999999999999999999.001"]):
        windows.add(read_event(row(number, Quantity=10**5, UnitPrice=price)))
    [window] = windows.take().revenue.values()
    assert window.revenue == Decimal("200.000")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"InvoiceDate": "yesterday"}, "InvoiceDate is no date: 'yesterday'"),
        ({"InvoiceDate": "2010-12-01T08:26:00+01:00"}, "InvoiceDate is no local time"),
        ({"InvoiceDate": None}, "InvoiceDate is no date: None"),
        ({"Quantity": "2"}, "no amount: Quantity '2'"),
        ({"Quantity": True}, "no amount: Quantity True"),
        ({"UnitPrice": 2.55}, "no amount: Quantity 2, UnitPrice 2.55"),
        ({"UnitPrice": "NaN"}, "no amount"),
        ({"UnitPrice": "1e9"}, "no amount"),
        ({"UnitPrice": "1" * 40}, "no amount"),
        ({"Country": ""}, "Country is no text of 1 to 100 characters"),
        ({"InvoiceNo": 536365}, "InvoiceNo is no text"),
        ({"RowId": "x" * 201}, "RowId is no text"),
    ],
)
def test_what_is_no_row(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable, match="^" + reason.replace("(", r"\(").replace("+", r"\+")):
        read_event(row(**changed))
    with pytest.raises(Unreadable):
        read_event([row()])


# --- duplicates


@seeded(examples=200, soak=3_000)
@given(st.lists(st.tuples(st.sampled_from(["a", "b@2026-11-22"]), st.integers(0, 3 * ROWS)), max_size=80))
def test_seen_is_a_set(ids: list[tuple[str, int]]) -> None:
    """Also when what was stored is read again by another worker."""
    stored: dict[Any, Chunk] = {}

    def load(source: str, number: int) -> Chunk | None:
        found = stored.get((source, number))
        return found and Chunk(bytearray(found.bits), found.arrived)

    seen, known = Seen(load, 60), set()
    for place, (source, number) in enumerate(ids):
        assert seen.add(f"{source}:{number:06d}", place) is ((source, number) not in known)
        known.add((source, number))
        if place % 7 == 6:
            stored.update(seen.take())
            seen = Seen(load, 60 + len(ids))


def test_a_chunk_is_forgotten_when_nothing_of_it_has_arrived_for_long() -> None:
    seen = Seen(lambda *_: None, remember=100)
    assert seen.add("a:1", 0) and seen.add("a:2", 90)
    assert not seen.add("a:1", 190)
    assert seen.add("a:1", 191)


def test_seen_keeps_little_in_memory() -> None:
    seen = Seen(lambda *_: None, 100)
    for number in range(0, 1000 * ROWS, ROWS):
        seen.add(f"a:{number}", 0)
    assert seen.items == 1000
    seen.take()
    assert len(seen._chunks) == 256


def test_what_two_parents_have_seen() -> None:
    assert union([]) is None
    both = union([Chunk(bytearray([1] + [0] * 1023), 5), Chunk(bytearray([6] + [0] * 1023), 3)])
    assert both == Chunk(bytearray([7] + [0] * 1023), 5)


@pytest.mark.parametrize("name", ["shop", "shop:", ":1", "shop:1a", "shop:1 ", "a#b:1", "shop:" + "1" * 16])
def test_what_is_no_row_id(name: str) -> None:
    with pytest.raises(Unreadable):
        Seen(lambda *_: None, 1).add(name, 0)


# --- who takes which lease


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def leases(**owners: str | None) -> dict[str, Lease]:
    return {key: Lease(key, owner) for key, owner in owners.items()}


def test_what_belongs_to_nobody_is_taken_up_to_a_fair_share() -> None:
    taker = Taker("ann", 10)
    assert len(taker.wanted(leases(a=None, b=None, c=None), {})) == 3
    assert len(taker.wanted(leases(a=None, b=None, c="bob"), {})) == 2
    assert taker.wanted(leases(a=None, b="bob", c="ann", d="ann"), {"c", "d"}) == []


def test_a_silent_owner_loses_its_leases_and_one_that_renews_does_not() -> None:
    clock = Clock()
    taker, all_of_them = Taker("ann", 10, clock), leases(a="bob", b="cem")
    for clock.now in (0, 5, 10):
        all_of_them["b"].counter += 1
        assert taker.wanted(all_of_them, {}) == []
    clock.now = 10.1
    assert [lease.key for lease in taker.wanted(all_of_them, {})] == ["a"]


def test_one_lease_is_stolen_at_a_time_until_the_shares_are_even() -> None:
    taker = Taker("ann", 10)
    owned = leases(a="bob", b="bob", c="bob", d="bob", e="bob")
    holding: set[str] = set()
    for _ in range(4):
        for lease in taker.wanted(owned, holding):
            assert lease.owner == "bob"
            lease.owner = "ann"
            holding.add(lease.key)
    assert Counter(lease.owner for lease in owned.values()) == {"bob": 3, "ann": 2}


def test_leases_of_an_earlier_life_are_taken_again() -> None:
    assert [k.key for k in Taker("ann", 10).wanted(leases(a="ann", b="bob"), {})] == ["a"]


def test_children_wait_for_their_parents() -> None:
    known = leases(parent=None, other=None, child=None, orphan=None)
    known["child"].parents, known["orphan"].parents = ("parent", "other"), ("long gone",)
    taker = Taker("ann", 10)
    assert sorted(k.key for k in taker.wanted(known, {})) == ["orphan", "other", "parent"]
    known["parent"].checkpoint = SHARD_END
    assert sorted(k.key for k in taker.wanted(known, {})) == ["orphan", "other"]
    known["other"].checkpoint = SHARD_END
    assert sorted(k.key for k in taker.wanted(known, {})) == ["child", "orphan"]


# --- the lease table, and the fence


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("continuous")) as opened:
        yield opened


@pytest.fixture
def application(place: Desk, request: pytest.FixtureRequest) -> str:
    name = "app-" + str(abs(hash(request.node.name)))
    place.tables(name)
    return name


def table(place: Desk, application: str, worker: str) -> LeaseTable:
    return LeaseTable(place.dynamodb, application, worker)


def shard(leases: LeaseTable, lease: Lease, **options: Any) -> Shard:
    return Shard(leases, lease, **{"delay": MINUTE, "remember": 1e6, **options})


def record(position: int, each: dict[str, Any] | bytes) -> Record:
    return Record(str(position), 1.6e9, each if isinstance(each, bytes) else json.dumps(each).encode())


def test_a_lease_has_the_attributes_that_the_kcl_gives_it(place: Desk, application: str) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/kcl-dynamoDB.html"""
    ann, bob = table(place, application, "ann"), table(place, application, "bob")
    ann.create("shardId-000000000002", ["shardId-000000000001", "shardId-000000000000"])
    taken = bob.take(ann.take(ann.all()["shardId-000000000002"]))
    [item] = place.dynamodb.scan(TableName=application)["Items"]
    assert item == {
        "leaseKey": {"S": "shardId-000000000002"},
        "leaseOwner": {"S": "bob"},
        "leaseCounter": {"N": "2"},
        "checkpoint": {"S": "TRIM_HORIZON"},
        "checkpointSubSequenceNumber": {"N": "0"},
        "ownerSwitchesSinceCheckpoint": {"N": "1"},
        "parentShardId": {"SS": ["shardId-000000000000", "shardId-000000000001"]},
    }
    bob.release(bob.renew(taken))
    assert bob.all()["shardId-000000000002"].owner is None
    ann.create("shardId-000000000002")
    assert ann.all()["shardId-000000000002"].counter == 4, "a lease that exists stays as it is"


def test_of_two_that_take_one_lease_one_gets_it(place: Desk, application: str) -> None:
    ann, bob = table(place, application, "ann"), table(place, application, "bob")
    ann.create("a")
    as_both_saw_it = ann.all()["a"]
    assert ann.take(as_both_saw_it).owner == "ann"
    with pytest.raises(LeaseLost):
        bob.take(as_both_saw_it)


def test_who_has_lost_a_lease_writes_nothing(place: Desk, application: str) -> None:
    """Not its windows, not what it has seen, not its checkpoint; nor can it renew or release."""
    ann, bob = table(place, application, "ann"), table(place, application, "bob")
    ann.create("a")
    old = shard(ann, ann.take(ann.all()["a"]))
    old.add(record(1, row(1)))
    old.commit()
    old.add(record(2, row(2)))
    bob.take(bob.all()["a"])
    before = everything(place, application)
    for write in (old.commit, lambda: ann.renew(old.lease), lambda: ann.release(old.lease)):
        with pytest.raises(LeaseLost):
            write()
    assert everything(place, application) == before
    assert Results(place.dynamodb, application).records() == 1


def everything(place: Desk, application: str) -> list[Any]:
    names = (application, f"{application}-windows", f"{application}-seen")
    return [place.dynamodb.scan(TableName=name)["Items"] for name in names]


def test_the_next_owner_goes_on_where_the_checkpoint_is(place: Desk, application: str) -> None:
    """What was done and not committed is done again, by the next one, and counts once."""
    ann, bob = table(place, application, "ann"), table(place, application, "bob")
    ann.create("a")
    first = shard(ann, ann.take(ann.all()["a"]))
    first.add(record(1, row(1)))
    first.commit()
    first.add(record(2, row(2, "2010-12-01T09:00:00")))  # and then ann is gone
    second = shard(bob, bob.take(bob.all()["a"]))
    assert second.lease.checkpoint == "1" and second.windows.watermark == T("2010-12-01T08:25:00")
    second.add(record(2, row(2, "2010-12-01T09:00:00")))
    second.add(record(3, row(1)))  # a duplicate of what ann had counted
    second.add(record(4, row(3, "2010-12-01T08:30:00")))  # late
    second.add(record(5, b"no row"))
    second.commit()
    results = Results(place.dynamodb, application)
    assert results.numbers() == {"rows": 3, "late": 1, "duplicates": 1, "unreadable": 1}
    assert results.records() == 5
    assert results.totals() == (3, Decimal("15.30"))
    assert [late["RowId"] for late in results.late()] == ["shop:000003"]
    [(where, reason, shown)] = results.unreadable()
    assert (where, shown) == ("a#5", b"no row") and reason.startswith("no JSON: ")


def test_records_that_break_things_elsewhere_are_set_aside(place: Desk, application: str) -> None:
    ann = table(place, application, "ann")
    ann.create("a")
    one = shard(ann, ann.take(ann.all()["a"]))
    odd = [b"", b"\xff\xfe", b"[" * 40_000, b"null", b"1", json.dumps(row(9, Description="x" * 60_000)).encode()]
    odd.append(json.dumps(row(7, RowId="no number")).encode())
    for position, data in enumerate(odd):
        one.add(record(position, data))
    one.add(record(99, row(1, Country="a#b", Description="£")))
    one.commit()
    results = Results(place.dynamodb, application)
    assert results.numbers() == {"rows": 1, "late": 0, "duplicates": 0, "unreadable": len(odd)}
    assert results.revenue() == {(T("2010-12-01T08:26:00"), "a#b"): next(iter(results.revenue().values()))}


def test_more_than_a_transaction_takes_is_committed_in_parts(place: Desk, application: str) -> None:
    ann = table(place, application, "ann")
    ann.create("a")
    one = shard(ann, ann.take(ann.all()["a"]))
    start = dt.datetime(2010, 12, 1)
    for number in range(1, 400):
        when = (start + number * dt.timedelta(minutes=11)).isoformat()
        one.add(record(number, row(number * ROWS, when, InvoiceNo=str(number))))
    assert one.lease.counter > 5, "it has committed by itself"
    one.commit()
    assert Results(place.dynamodb, application).totals() == (399, 399 * Decimal("5.10"))


# --- the whole, next to pandas


def pandas_windows(rows: list[Any]) -> tuple[dict[Any, Decimal], dict[Any, int]]:
    """Revenue by minute and country, and orders by sliding hour, as pandas computes them."""
    frame = pd.DataFrame(rows)
    frame["minute"] = pd.to_datetime(frame["InvoiceDate"]).dt.floor("min")
    frame["amount"] = frame["Quantity"].map(Decimal) * frame["UnitPrice"].map(Decimal)
    revenue = frame.groupby(["minute", "Country"])["amount"].agg(lambda amounts: sum(amounts, Decimal(0)))
    orders = frame[frame["InvoiceNo"].str[0].str.isdigit()]
    hours = {}
    days = sorted({minute.floor("D") for minute in frame["minute"]})
    for start in [start for day in days for start in pd.date_range(day - HOUR, day + 24 * HOUR, freq=SLIDE)]:
        inside = orders[(orders["minute"] >= start) & (orders["minute"] < start + HOUR)]
        if len(inside):
            hours[start.to_pydatetime()] = inside["InvoiceNo"].nunique()
    return {(minute.to_pydatetime(), country): amount for (minute, country), amount in revenue.items()}, hours


def day_and_hour(path: Path) -> tuple[dt.date, dt.datetime, list[Any]]:
    """The day with the most rows and its rows, and the hour with the most rows of all."""
    days: Counter[str] = Counter()
    hours: Counter[str] = Counter()
    for each in read_rows(path):
        days[each["InvoiceDate"][:10]] += 1
        hours[each["InvoiceDate"][:13]] += 1
    day, hour = days.most_common(1)[0][0], hours.most_common(1)[0][0]
    rows = [each for each in read_rows(path) if each["InvoiceDate"][:10] in (day, hour[:10])]
    return dt.date.fromisoformat(day), T(hour + ":00:00"), rows


@pytest.mark.parametrize(
    "path",
    [
        SAMPLE,
        pytest.param(
            Path(REAL or "."),
            marks=pytest.mark.skipif(not REAL, reason="ONLINE_RETAIL_CSV names no file: the real data set"),
        ),
    ],
    ids=["sample", "real"],
)
def test_windows_are_what_pandas_computes_from_the_file(place: Desk, path: Path) -> None:
    """One whole day and the busiest hour, sent out of order and partly twice; with patience nothing is late."""
    day, hour, rows = day_and_hour(path)
    name = f"pandas-{path.name.partition('.')[0]}"
    place.kinesis.create_stream(StreamName=name, ShardCount=4)
    sent = disordered(rows, SEED, late=0)
    place.put(name, sent)
    results = place.calm(name, name, len(sent), delay=86_400 * 400)
    assert results.numbers() == {
        "rows": len(rows), "late": 0, "duplicates": len(sent) - len(rows), "unreadable": 0
    }  # fmt: skip
    for chosen in (
        [each for each in rows if each["InvoiceDate"][:10] == str(day)],
        [each for each in rows if T(each["InvoiceDate"]).replace(minute=0, second=0) == hour],
    ):
        expected, _ = pandas_windows(chosen)
        first, last = min(expected)[0], max(expected)[0]
        found = {key: window for key, window in results.revenue().items() if first <= key[0] <= last}
        assert {key: window.revenue for key, window in found.items()} == expected
        assert sum(window.rows for window in found.values()) == len(chosen)
    assert orders_by_hour(results.orders()) == pandas_windows(rows)[1]
    print(f"WORKBOOK_SEED={SEED}: {len(rows)} rows of {day} and {hour}, {len(results.revenue())} windows")


def test_a_shard_of_its_own_begins_where_its_slower_parent_ended(place: Desk, application: str) -> None:
    ann = table(place, application, "ann")
    for key in ("a", "b"):
        ann.create(key)
    for key, when in (("a", "2010-12-01T10:00:00"), ("b", "2010-12-01T09:00:00")):
        parent = shard(ann, ann.take(ann.all()[key]))
        parent.add(record(1, row(ord(key), when)))
        parent.commit(SHARD_END)
    ann.create("c", ["a", "b"])
    known = ann.all()
    child = shard(ann, ann.take(known["c"]), ancestors=[known["a"], known["b"]])
    assert child.windows.watermark == T("2010-12-01T08:59:00")
    child.add(record(1, row(ord("a"), "2010-12-01T10:00:00")))
    child.commit()
    assert Results(place.dynamodb, application).numbers()["duplicates"] == 1, "what its parents have seen"


# --- what AWS answers when it is busy


class Moody:
    """A client of boto3 that now and then answers with an error before it does what it is asked."""

    def __init__(self, client: Any, operation: str, errors: list[ClientError | None]) -> None:
        self._client, self._operation, self.errors = client, operation, errors
        self.raised: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name != self._operation:
            return call

        def moody(**arguments: Any) -> Any:
            error = self.errors.pop(0) if self.errors else None
            if error is not None:
                self.raised[error.response["Error"]["Code"]] += 1
                raise error
            return call(**arguments)

        return moody


def refusal(code: str, *reasons: str) -> ClientError:
    details = [{"Code": reason} for reason in reasons]
    return ClientError({"Error": {"Code": code, "Message": code}, "CancellationReasons": details}, "op")  # type: ignore[typeddict-unknown-key]


def test_a_commit_is_tried_again_when_the_tables_are_busy(place: Desk, application: str) -> None:
    busy = [
        refusal("TransactionCanceledException", "TransactionConflict", "None"),
        refusal("TransactionCanceledException", "None", "ThrottlingError"),
        refusal("ThrottlingException"),
    ]
    moody = Moody(place.dynamodb, "transact_write_items", [*busy])
    ann = LeaseTable(moody, application, "ann")
    ann.create("a")
    one = shard(ann, ann.take(ann.all()["a"]))
    one.add(record(1, row(1)))
    one.commit()
    assert sum(moody.raised.values()) == 3
    assert Results(place.dynamodb, application).totals() == (1, Decimal("5.10"))


def test_a_commit_that_is_refused_for_long_gives_the_shard_up(place: Desk, application: str) -> None:
    """By then another worker may have taken it; and what is wrong with the items themselves is raised as it is."""
    ann = LeaseTable(
        Moody(place.dynamodb, "transact_write_items", [refusal("ThrottlingException")] * 99), application, "a"
    )
    ann.create("a")
    one = shard(ann, ann.take(ann.all()["a"]), patience=0.3)
    one.add(record(1, row(1)))
    with pytest.raises(LeaseLost):
        one.commit()
    wrong = Moody(
        place.dynamodb, "transact_write_items", [refusal("TransactionCanceledException", "None", "ValidationError")]
    )
    bob = LeaseTable(wrong, application, "bob")
    two = shard(bob, bob.take(bob.all()["a"]))
    two.add(record(1, row(1)))
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        two.commit()
    assert Results(place.dynamodb, application).records() == 0


def test_reads_that_are_throttled_or_came_too_late_are_repeated(place: Desk, application: str) -> None:
    """A shard may be read five times a second by all its readers together; an iterator lives for five minutes."""
    stream, rows = application.replace("app", "moody"), list(read_rows(SAMPLE, Selection(first=400)))
    place.kinesis.create_stream(StreamName=stream, ShardCount=2)
    place.put(stream, rows)
    worker = Worker(stream, application, "ann", idle=0.2, failover=2, delay=dt.timedelta(days=400))
    chance = random.Random(SEED)
    errors = [
        chance.choice([refusal("ProvisionedThroughputExceededException"), refusal("ExpiredIteratorException"), None])
        for _ in range(12)
    ]
    worker.kinesis = Moody(worker.kinesis, "get_records", errors)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        results = Results(place.dynamodb, application)
        wait_for(lambda: results.records() == 400, timeout=60, what="the rows")
    finally:
        worker.stopping.set()
        thread.join()
    assert results.numbers() == {"rows": 400, "late": 0, "duplicates": 0, "unreadable": 0}
    print(f"WORKBOOK_SEED={SEED}: {dict(worker.kinesis.raised)}")


def test_a_worker_shares_a_shard_with_other_readers(place: Desk, application: str) -> None:
    """Somebody else reads the one shard far too often, so that both are refused again and again."""
    stream, rows = application.replace("app", "busy"), list(read_rows(SAMPLE, Selection(first=600)))
    place.kinesis.create_stream(StreamName=stream, ShardCount=1)
    place.put(stream, rows)
    done, refused = threading.Event(), Counter[str]()

    def hammer() -> None:
        kinesis = boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}))
        start = {"StreamName": stream, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**start)["ShardIterator"]
        while not done.wait(0.03):
            try:
                kinesis.get_records(ShardIterator=iterator, Limit=1)
            except ClientError as error:
                refused[error.response["Error"]["Code"]] += 1

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        results = Results(place.dynamodb, application)
        with place.fleet(stream, application, delay=400 * 86_400) as fleet:
            fleet.start("ann")
            place.wait(results, 600, fleet)
    finally:
        done.set()
        thread.join()
    assert refused["ProvisionedThroughputExceededException"] > 10
    assert results.numbers()["rows"] == 600


# --- a day replayed


def test_a_replay_puts_every_row_and_stops_when_it_is_told(place: Desk) -> None:
    place.kinesis.create_stream(StreamName="replayed", ShardCount=1)
    rows = list(read_rows(SAMPLE, Selection(first=200)))
    with Replay("replayed", rows, speed=60) as replay:  # nobody watches, so it does not wait
        wait_for(lambda: replay.done, timeout=60, what="the replay")
    assert replay.sent == 200


def test_a_replay_that_is_watched_keeps_time(place: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "a notebook")
    monkeypatch.setenv("WORKBOOK_PROGRESS", "1")
    place.kinesis.create_stream(StreamName="watched", ShardCount=1)
    rows = list(read_rows(SAMPLE, Selection(first=200)))
    with Replay("watched", rows, speed=60) as replay:
        wait_for(lambda: replay.sent, timeout=60, what="the first rows")
        assert 0 < replay.sent < 200 and not replay.done, "the next order is hours away"
    assert replay.done


def test_a_replay_tells_its_error(place: Desk) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"), Replay("nowhere", [row()], 60) as replay:  # type: ignore[list-item]
        wait_for(lambda: replay.done, timeout=60, what="the replay to fail")


def test_what_is_watched_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([False, False, True])
    assert watch(lambda: "a picture", until=lambda: next(turns)) == "a picture"
    with pytest.raises(TimeoutError):
        watch(lambda: "a picture", until=lambda: False, timeout=0.1)


# --- pictures


def test_pictures_say_what_they_show() -> None:
    windows = Windows(MINUTE)
    for number, when in enumerate(("08:00", "08:05", "08:07", "08:01")):
        windows.add(read_event(row(number, f"2010-12-01T{when}:00", InvoiceNo=str(number))))
    changes, day = windows.take(), dt.date(2010, 12, 1)
    drawn = day_picture(changes.revenue, orders_by_hour(changes.orders), windows.watermark, day)
    assert drawn.alt == (
        "Revenue by minute on 2010-12-01: 3 minutes with sales, 15.30 in all, most at 08:00 with 5.10. Orders in the "
        "last hour, below it: at most 3, from 07:10 to 08:10. The watermark stands at 08:06: 2 minutes are final."
    )
    assert day_picture({}, {}, None, day).alt == "Revenue by minute on 2010-12-01: nothing yet."
    arrivals = [(T("2010-12-01T08:00:00"), None, True), (T("2010-12-01T07:00:00"), T("2010-12-01T07:30:00"), False)]
    assert "row 2 of 07:00, watermark 07:30, late" in lateness_picture(arrivals).alt
    assert "09:00 1" in window_picture([T("2010-12-01T09:30:00")], HOUR, SLIDE).alt
    for name in ("KCL", "Flink", "Spark"):
        assert name in beyond_picture().alt
