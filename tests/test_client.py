"""The client against a server that fails in every way: nothing is lost, nothing is hidden."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import client
from helpers.client import InputError, Report, SendError, send
from helpers.echo import Answer, EchoServer
from helpers.rows import COLUMNS, Selection, read_rows, revenue, to_json

ROOT = Path(__file__).parent.parent


def write(path: Path, count: int, broken: tuple[int, ...] = (), text: str = "A £5 CARD") -> Path:
    """A CSV of `count` rows; those in `broken` (numbers from 1) have a word for their Quantity."""
    lines = [",".join(COLUMNS)]
    for number in range(1, count + 1):
        quantity = "six" if number in broken else str(number % 7 - 1)
        lines.append(f"C{number},{number % 50},{text},{quantity},12/{1 + number % 9}/2010 8:26,2.125,,France")
    path.write_bytes("\r\n".join([*lines, ""]).encode("iso-8859-1"))
    return path


def fast(url: str, rows: Any, **options: Any) -> Report:
    """Send with pauses that do not hold a test up."""
    return send(rows, url, **{"backoff": 0.001, "progress": False, **options})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names(numbers: Any, source: str = "shop") -> set[str]:
    return {f"{source}:{number:06d}" for number in numbers}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path / "shop.csv", 1000)


FUNCTION_FAILED = (200, {"errorMessage": "x"})
SHAPES = [(1, 1), (1, 4), (7, 1), (64, 3), (500, 2)]


@pytest.mark.parametrize(("batch", "connections"), SHAPES)
def test_every_row_arrives_once(shop: Path, batch: int, connections: int) -> None:
    with EchoServer() as echo:
        report = fast(echo.url, read_rows(shop), batch=batch, connections=connections)
        assert echo.row_ids == names(range(1, 1001))
        assert echo.rows == 1000 == report.sent == report.accepted
        requests = -(-1000 // batch)
        assert echo.methods == ({"POST": 1000} if batch == 1 else {"PUT": requests})
        assert echo.connections <= connections, "connections are kept alive"
    assert (report.requests, report.retried, report.refused, report.resumed) == (requests, 0, 0, 0)
    assert report.revenue == sum(n % 7 - 1 for n in range(1, 1001)) * Decimal("2.125")
    assert report.rows_per_second == pytest.approx(1000 / report.seconds)
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["p95"] <= report.latency_ms["p99"]
    assert "1,000 rows accepted, revenue " in str(report)


def test_what_travels(shop: Path) -> None:
    seen: list[Any] = []
    rows = list(read_rows(shop, Selection(first=3)))
    with EchoServer(fail=lambda number, rows: seen.append(rows)) as echo:
        fast(echo.url, iter(rows))
        fast(echo.url, rows, batch=2)
    assert seen == [[rows[0]], [rows[1]], [rows[2]], rows[:2], rows[2:]]
    assert json.loads(to_json(rows[0])) == rows[0]


def hopeless(answers: list[Any]) -> bool:
    """Whether the client may give up: a function that fails five times, or nothing that answers in five tries."""
    return any(sum(answer in kinds for answer in answers) >= 5 for kinds in ((FUNCTION_FAILED,), ("drop", "lose")))


@settings(max_examples=40)
@given(
    count=st.integers(0, 60),
    batch=st.integers(1, 9),
    connections=st.integers(1, 4),
    answers=st.lists(
        st.sampled_from([None, 429, 500, 502, 503, "drop", "lose", FUNCTION_FAILED, (200, {"accepted": 0})]),
        max_size=8,
    ).filter(lambda answers: not hopeless(answers)),
    bad=st.sets(st.integers(1, 60), max_size=6),
    broken=st.sets(st.integers(1, 60), max_size=4),
)
def test_whatever_happens_each_row_is_accepted_or_set_aside(
    count: int,
    batch: int,
    connections: int,
    answers: list[Any],
    bad: set[int],
    broken: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("send")
    path = write(folder / "shop.csv", count, broken=tuple(broken))
    bad_names = names(bad)
    with EchoServer(fail=answers, reject=lambda row: row["RowId"] in bad_names) as echo:
        report = fast(
            echo.url,
            read_rows(path),
            batch=batch,
            connections=connections,
            checkpoint=folder / "checkpoint",
            attempts=20,
        )
        aside = names(n for n in bad | broken if n <= count)
        assert echo.row_ids == names(range(1, count + 1)) - aside
    assert report.refused == len(aside)
    assert report.accepted == count - len(aside)
    assert report.revenue == revenue(
        row for row in read_rows(path, on_refused=lambda _: None) if row["RowId"] not in aside
    )
    assert report.refused_file is not None
    found = lines(report.refused_file) if aside else []
    assert {one["RowId"] for one in found} == aside and len(found) == len(aside)


@pytest.mark.parametrize(
    "failure",
    [
        429,
        408,
        500,
        502,
        503,
        504,
        "drop",
        "lose",
        (200, {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": []}),
        (200, {"accepted": 1}),
        (200, {"statusCode": 503, "body": "{}"}),
    ],
)
@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (10, 2)])
def test_a_passing_failure_is_retried(shop: Path, failure: Any, batch: int, connections: int) -> None:
    if failure == (200, {"accepted": 1}) and batch == 1:
        failure = (200, {"accepted": 0})
    with EchoServer(fail=[None, failure, failure, failure]) as echo:
        report = fast(echo.url, read_rows(shop, Selection(first=40)), batch=batch, connections=connections)
        assert echo.row_ids == names(range(1, 41))
        repeated = 0 if failure != "lose" else 3 * batch
        assert echo.rows == 40 + repeated
    assert (report.accepted, report.retried, report.refused) == (40, 3, 0)


def test_retry_after_is_honoured(shop: Path) -> None:
    with EchoServer(fail=[(429, {"message": "slow down"}, {"Retry-After": "0.3"})]) as echo:
        report = fast(echo.url, read_rows(shop, Selection(first=1)))
    assert report.seconds >= 0.3 and report.retried == 1
    tomorrow = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 90 < client._retry_after(tomorrow) <= 100
    assert client._retry_after("86400") == 300
    assert [client._retry_after(value) for value in (None, "", "soon", "nan", "-5")] == [0, 0, 0, 0, 0]


def test_pauses_grow_are_random_and_have_a_cap(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    monkeypatch.setattr(client.random, "uniform", lambda low, high: limits.append(high) or low)  # type: ignore[func-returns-value]
    with EchoServer(fail=[None, *[503] * 10]) as echo:
        send(read_rows(shop, Selection(first=2)), echo.url, attempts=11, backoff=0.1, progress=False)
    assert limits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])


def test_giving_up_says_what_is_safe_and_how_to_go_on(shop: Path, tmp_path: Path) -> None:
    with EchoServer(fail=lambda number, rows: 503 if rows[0]["RowId"] >= "shop:000301" else None) as echo:
        with pytest.raises(SendError) as caught:
            fast(echo.url, read_rows(shop, Selection(first=500, offset=100)), batch=100, attempts=3)
        message = str(caught.value)
        assert "503 Service Unavailable (tried 3 times)" in message
        assert "200 rows are safe; go on with offset 300 and first 300" in message and "\n" not in message
        assert caught.value.report is not None and caught.value.report.accepted == 200
        assert caught.value.report.revenue == revenue(read_rows(shop, Selection(first=200, offset=100)))
        checkpoint = tmp_path / "checkpoint"
        with pytest.raises(SendError, match=f"200 rows are safe; run the same again with the checkpoint {checkpoint}"):
            fast(echo.url, read_rows(shop, Selection(offset=100)), batch=100, attempts=3, checkpoint=checkpoint)
    with EchoServer() as echo:
        report = fast(echo.url, read_rows(shop, Selection(offset=100)), batch=100, checkpoint=checkpoint)
        assert echo.row_ids == names(range(301, 1001))
    assert (report.accepted, report.sent, report.resumed) == (900, 700, 200)
    assert report.revenue == revenue(read_rows(shop, Selection(offset=100)))


@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (50, 4)])
def test_a_failing_function_stops_the_client_with_its_message(shop: Path, batch: int, connections: int) -> None:
    answer = (200, {"errorMessage": "'context'", "errorType": "KeyError", "stackTrace": ["…"]})
    with EchoServer(fail=lambda number, rows: answer) as echo:
        with pytest.raises(SendError, match="KeyError: 'context': has the method a mapping template .*tried 5 times"):
            fast(echo.url, read_rows(shop), batch=batch, connections=connections)
        assert echo.rows == 0
        assert echo.requests <= 5 * connections


def test_a_status_code_in_the_body_is_no_success(shop: Path) -> None:
    answer = (200, {"statusCode": 400, "body": '{"message": "no such thing"}'})
    with EchoServer(fail=[answer]) as echo:
        report = fast(echo.url, read_rows(shop, Selection(first=2)))
    assert (report.accepted, report.refused) == (1, 1)
    assert report.set_aside[0].reason == "400 Bad Request: no such thing"


@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (10, 4)])
def test_a_missing_key_stops_at_once(shop: Path, batch: int, connections: int) -> None:
    with EchoServer(api_key="secret") as echo:
        with pytest.raises(SendError, match=r"403 Forbidden: missing API key .*\. 0 rows are safe"):
            fast(echo.url, read_rows(shop), batch=batch, connections=connections)
        assert echo.requests <= connections
        with pytest.raises(SendError, match="403 Forbidden: is the API key the right one") as caught:
            fast(echo.url, read_rows(shop), api_key="wrong", batch=batch)
        assert "wrong" not in str(caught.value).replace("the wrong", ""), "a key is not printed"
        report = fast(echo.url, read_rows(shop), api_key="secret", batch=batch, connections=connections)
        assert report.accepted == 1000


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 415])
def test_an_answer_that_no_repetition_changes_stops_at_once(shop: Path, status: int) -> None:
    with EchoServer(fail=lambda number, rows: (status, {"message": "Missing Authentication Token"})) as echo:
        with pytest.raises(SendError, match=f": {status} .*Missing Authentication Token.*check the address"):
            fast(echo.url, read_rows(shop))
        assert echo.requests == 1


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("status", [400, 413])
def test_refused_rows_are_set_aside_and_the_others_arrive(shop: Path, tmp_path: Path, batch: int, status: int) -> None:
    bad = names([1, 2, 100, 101, 550, 551, 552, 1000])

    def judge(number: int, rows: list[dict[str, Any]]) -> Any:
        return (status, {"message": "Invalid request body"}) if any(r["RowId"] in bad for r in rows) else None

    aside = tmp_path / "refused.jsonl"
    with EchoServer(fail=judge) as echo:
        report = fast(echo.url, read_rows(shop), batch=batch, connections=2, refused=aside)
        assert echo.row_ids == names(range(1, 1001)) - bad
        assert echo.rows == 992, "a good row beside a bad one is accepted once"
    assert (report.accepted, report.refused, report.sent, report.refused_file) == (992, 8, 1000, aside)
    found = {one["RowId"]: one for one in lines(aside)}
    assert set(found) == bad and len(lines(aside)) == 8
    original = {row["RowId"]: row for row in read_rows(shop)}
    for name, one in found.items():
        assert list(one) == ["RowId", "reason", "row"]
        assert one["row"] == original[name] and one["reason"].endswith(": Invalid request body")
        assert one["reason"].startswith(str(status))
    assert "£" in aside.read_text(encoding="utf-8")


def test_without_a_file_the_report_holds_refused_rows_up_to_a_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", 1200)
    with EchoServer(reject=lambda row: True) as echo:
        report = fast(echo.url, read_rows(path, Selection(first=1000)))
        assert {one.RowId for one in report.set_aside} == names(range(1, 1001))
        with pytest.raises(SendError, match="more than 1,000 rows are refused.*name a file.*1,000 rows are safe"):
            fast(echo.url, read_rows(path), batch=50)


def test_broken_rows_of_the_file_are_set_aside_too(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", 30, broken=(1, 9, 30))
    aside = tmp_path / "refused.jsonl"
    with EchoServer() as echo:
        report = fast(echo.url, read_rows(path), batch=4, refused=aside)
        assert echo.row_ids == names(range(1, 31)) - names([1, 9, 30])
    assert (report.accepted, report.refused, report.sent) == (27, 3, 27)
    assert [one["RowId"] for one in lines(aside)] == sorted(names([1, 9, 30]))
    assert lines(aside)[1]["reason"].startswith("row 9 (line 10), column Quantity: 'six' is no whole number")
    assert lines(aside)[1]["row"]["InvoiceNo"] == "C9"


def test_a_damaged_file_sends_its_rows_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv.gz"
    plain = write(tmp_path / "plain.csv", 6000).read_bytes()
    path.write_bytes(gzip.compress(plain)[:-2000])
    with EchoServer() as echo:
        with pytest.raises(
            InputError, match=r"the file is damaged.*([\d,]+) rows are safe; go on with offset"
        ) as caught:
            fast(echo.url, read_rows(path), batch=500, connections=2)
        safe = re.search(r"([\d,]+) rows are safe", str(caught.value))
        assert safe and int(safe[1].replace(",", "")) == len(echo.row_ids) > 1000


def test_a_large_body_is_divided(tmp_path: Path) -> None:
    sizes: list[int] = []
    path = write(tmp_path / "shop.csv", 40, text="x" * 100_000)
    with EchoServer(fail=lambda number, rows: sizes.append(len(json.dumps(rows)))) as echo:
        report = fast(echo.url, read_rows(path), batch=500)
    assert report.accepted == 40 and len(sizes) == 5
    assert max(sizes) < 1_010_000


@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (1, 3), (20, 2)])
def test_rate(shop: Path, batch: int, connections: int) -> None:
    with EchoServer() as echo:
        report = fast(echo.url, read_rows(shop, Selection(first=120)), batch=batch, connections=connections, rate=200)
    # The first batch leaves at once; the rest takes its time, however fast the server is.
    assert report.seconds >= (120 - batch) / 200 * 0.8
    assert report.accepted == 120


@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (20, 2)])
def test_speed_lets_the_rows_own_time_go_by(shop: Path, batch: int, connections: int) -> None:
    """Each row leaves when it is due, as fast as the clock has been told to run, and not before."""
    day = [dict(row) for row in read_rows(shop, Selection(first=60))]
    for place, row in enumerate(day):  # three rows a minute, for twenty minutes
        row["InvoiceDate"] = f"2010-12-01T08:{place // 3:02}:00"
    arrived: list[tuple[float, list[dict[str, Any]]]] = []
    with EchoServer(fail=lambda _, rows: arrived.append((time.monotonic(), rows))) as echo:
        report = fast(echo.url, day, batch=batch, connections=connections, speed=19 * 60 / 1.5)
    assert report.accepted == 60
    began = arrived[0][0]
    for when, rows in arrived:
        [minute] = {int(row["InvoiceDate"][14:16]) for row in rows}
        assert when - began >= minute / 19 * 1.5 - 0.05
    assert len(arrived) == (60 if batch == 1 else 20)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for count in (5_000, 40_000):
        rows = read_rows(write(tmp_path / "shop.csv", count))
        with EchoServer() as echo:
            echo._take = lambda method, key, body: (200, {})  # type: ignore[method-assign]  # it shall not count names
            tracemalloc.start()
            try:
                fast(echo.url, rows, batch=100, connections=2)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 200_000, peaks


def test_no_more_than_a_few_batches_are_read_ahead(shop: Path) -> None:
    taken = 0

    def counted() -> Iterator[Any]:
        nonlocal taken
        for row in read_rows(shop):
            taken += 1
            yield row

    with EchoServer() as echo:
        echo.pause()
        thread = threading.Thread(target=fast, args=(echo.url, counted()), kwargs={"batch": 10, "connections": 2})
        thread.start()
        echo.wait(lambda server: server.in_flight == 2)
        # Two batches in flight, four in the queue, one that waits for room in it, one row that closed it.
        assert taken <= (2 + 4 + 1) * 10 + 1
        echo.resume()
        thread.join()
        assert echo.row_ids == names(range(1, 1001))


def test_a_connection_broken_while_idle_is_replaced(shop: Path) -> None:
    with EchoServer() as echo:

        def rows() -> Iterator[Any]:
            for number, row in enumerate(read_rows(shop, Selection(first=20))):
                if number == 10:
                    for protocol in list(echo._protocols):
                        echo._loop.call_soon_threadsafe(protocol.transport.abort)
                    echo.wait(lambda server: not server._protocols)
                yield row

        assert fast(echo.url, rows()).accepted == 20
        assert echo.rows == 20 and echo.connections == 2


def test_nobody_there_is_told_soon(shop: Path) -> None:
    with socket.socket() as placeholder:  # bound but not listening: connections are refused
        placeholder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{placeholder.getsockname()[1]}/hello"
        with pytest.raises(SendError, match=r"nothing answers there: is it running, .*\(tried 5 times\)\. 0 rows"):
            fast(url, read_rows(shop))


def test_a_server_that_never_answers_is_given_up(shop: Path) -> None:
    with EchoServer() as echo:
        echo.pause()
        with pytest.raises(SendError, match="no answer in time.*tried 2 times"):
            fast(echo.url, read_rows(shop), timeout=0.1, attempts=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"batch": 501}, "batch is 501"),
        ({"connections": 0}, "connections is 0"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": -1}, "rate is -1"),
        ({"speed": 0}, "speed is 0"),
        ({"attempts": 0}, "attempts is 0"),
        ({"api_key": "a\nb"}, "API key"),
        ({"checkpoint": "/nowhere/at/all"}, "cannot be written"),
        ({"refused": "/nowhere/at/all"}, "cannot be written"),
    ],
)
def test_bad_arguments(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "shop.csv", 3, broken=(1,))
    with EchoServer() as echo, pytest.raises(InputError) as caught:
        fast(echo.url, read_rows(path), **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "hello", "ftp://host/x", "http://", "http://host:port/x"])
def test_bad_addresses(shop: Path, url: str) -> None:
    with pytest.raises(InputError, match="is no address"):
        fast(url, read_rows(shop))


def test_rows_are_sent_only_once_by_mistake(shop: Path) -> None:
    rows = read_rows(shop)
    with EchoServer() as echo:
        fast(echo.url, rows)
        with pytest.raises(InputError, match="have been read before"):
            fast(echo.url, rows)


def test_a_checkpoint_of_other_rows_is_not_taken(shop: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    other = write(tmp_path / "other.csv", 10)
    with EchoServer() as echo:
        fast(echo.url, read_rows(shop, Selection(first=10)), checkpoint=checkpoint)
        for rows in (read_rows(other, Selection(first=10)), read_rows(shop, Selection(first=11))):
            before = checkpoint.read_bytes()
            with pytest.raises(InputError, match="belongs to other rows.*shop, first 10.*delete this one"):
                fast(echo.url, rows, checkpoint=checkpoint)
            assert checkpoint.read_bytes() == before
        again = fast(echo.url, read_rows(shop, Selection(first=10)), checkpoint=checkpoint)
        assert (again.sent, again.accepted, again.resumed) == (0, 10, 10) and echo.rows == 10
        for content in (b"", b"no checkpoint\n", b"[]\n", b'{"job": 1}\n', b"\xff\n"):
            checkpoint.write_bytes(content)
            with pytest.raises(InputError, match="is no checkpoint|belongs to other rows"):
                fast(echo.url, read_rows(shop, Selection(first=10)), checkpoint=checkpoint)


def test_plain_rows_have_checkpoints_too(shop: Path, tmp_path: Path) -> None:
    rows = list(read_rows(shop))
    with EchoServer(fail=[None] * 30 + [404]) as echo:
        with pytest.raises(SendError):
            fast(echo.url, iter(rows), batch=10, connections=3, checkpoint=tmp_path / "checkpoint")
        report = fast(echo.url, iter(rows), batch=7, connections=2, checkpoint=tmp_path / "checkpoint")
        assert echo.row_ids == names(range(1, 1001)) and report.accepted == 1000
        with pytest.raises(InputError, match="belongs to other rows"):
            fast(echo.url, rows[1:], checkpoint=tmp_path / "checkpoint")


def test_a_torn_last_line_of_a_checkpoint_does_not_count(shop: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    with EchoServer(fail=[None] * 5 + [404]) as echo:
        with pytest.raises(SendError):
            fast(echo.url, read_rows(shop), batch=10, checkpoint=checkpoint)
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content[:-20])  # as if killed while it wrote the fifth answer down
        report = fast(echo.url, read_rows(shop), batch=10, checkpoint=checkpoint)
        assert (report.accepted, report.resumed) == (1000, 40)
        assert echo.row_ids == names(range(1, 1001)) and echo.rows == 1010


@settings(max_examples=30)
@given(
    stops=st.lists(st.integers(0, 12), max_size=5),
    batches=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    connections=st.integers(1, 4),
    broken=st.sets(st.integers(1, 80), max_size=4),
    bad=st.sets(st.integers(1, 80), max_size=4),
)
def test_a_job_in_several_runs_is_as_one(
    stops: list[int],
    batches: list[int],
    connections: int,
    broken: set[int],
    bad: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    path, checkpoint = write(folder / "shop.csv", 80, broken=tuple(broken)), folder / "checkpoint"
    bad_names = names(bad)
    with EchoServer(reject=lambda row: row["RowId"] in bad_names) as echo:
        for stop, batch in zip(stops, batches, strict=False):
            start = echo.requests
            echo._script = lambda number, rows, end=start + stop: 404 if number >= end else None  # type: ignore[misc]
            try:
                fast(echo.url, read_rows(path), batch=batch, connections=connections, checkpoint=checkpoint)
            except SendError as error:
                assert "404" in str(error)
        echo._script = None
        report = fast(echo.url, read_rows(path), batch=batches[-1], connections=connections, checkpoint=checkpoint)
        aside = names(broken | bad)
        assert echo.row_ids == names(range(1, 81)) - aside
        assert echo.rows == len(echo.row_ids), "nothing was in flight, so nothing comes twice"
    assert (report.accepted, report.refused) == (80 - len(aside), len(aside))
    good = [row for row in read_rows(path, on_refused=lambda _: None) if row["RowId"] not in aside]
    assert report.revenue == revenue(good)
    found = [one["RowId"] for one in lines(folder / "checkpoint.refused.jsonl")] if aside else []
    assert sorted(found) == sorted(aside)


# The command, in a process of its own


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "WORKBOOK_PROGRESS": "0", **options.pop("environment", {})}
    words = [sys.executable, "-m", "helpers.client", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, **options)


@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (1, 4), (10, 1), (10, 4)])
@pytest.mark.parametrize("taken", [True, False])
def test_a_killed_client_goes_on(
    tmp_path: Path, batch: int, connections: int, taken: bool, record_property: Any
) -> None:
    """SIGKILL while requests are in flight, which the server has taken already, or not yet."""
    path = write(tmp_path / "shop.csv", 1000, broken=(3, 500))
    checkpoint = tmp_path / "checkpoint"
    arguments = [path, "--batch", batch, "--connections", connections, "--checkpoint", checkpoint]
    bad = names([5, 777])
    with EchoServer(reject=lambda row: row["RowId"] in bad) as echo:
        for at in (150, 400):

            def pausing(number: int, rows: list[dict[str, Any]], at: int = at) -> Answer:
                if echo.rows < at:
                    return None
                echo.pause()
                return None if taken else 503

            echo._script = pausing
            process = command(path, echo.url, *arguments[1:])
            echo.wait(lambda server: server._paused and server.in_flight > 0)
            in_flight, before = echo.in_flight, echo.rows
            process.send_signal(signal.SIGKILL)
            process.wait()
            echo._script = lambda number, rows: None if taken else 503
            echo.resume()
            echo.wait(lambda server: server.in_flight == 0)
            print(f"killed at {before} rows with {in_flight} requests in flight")
            assert 0 < in_flight <= connections
        echo._script = None
        process = command(path, echo.url, *arguments[1:])
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        aside = names([3, 5, 500, 777])
        assert echo.row_ids == names(range(1, 1001)) - aside
        # The answers to what was in flight at each of the two kills were lost, and no others.
        assert echo.rows - len(echo.row_ids) <= 2 * connections * batch
    assert "996 rows accepted" in output and "4 refused" in output
    found = [one["RowId"] for one in lines(tmp_path / "checkpoint.refused.jsonl")]
    assert sorted(found) == sorted(aside), "each refused row stands in the file once"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("batch", "connections"), [(1, 1), (10, 3)])
def test_an_interrupted_client_says_what_is_safe_and_goes_on(
    shop: Path, tmp_path: Path, number: signal.Signals, code: int, batch: int, connections: int
) -> None:
    checkpoint = tmp_path / "checkpoint"
    options = ["--batch", batch, "--connections", connections, "--checkpoint", checkpoint]
    with EchoServer(latency=0.002) as echo:
        process = command(shop, echo.url, *options)
        echo.wait(lambda server: server.rows >= 100 and server.in_flight > 0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code
        said = re.fullmatch(r"stopped\. ([\d,]+) rows are safe; run the same again with the checkpoint .*\n", errors)
        assert said, errors
        safe = int(said[1].replace(",", ""))
        assert 0 < safe <= echo.rows < 1000
        process = command(shop, echo.url, *options)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0 and f"{safe:,} of them in an earlier run" in output, errors
        assert echo.row_ids == names(range(1, 1001))
        assert echo.rows - 1000 <= connections * batch


def test_the_command_selects_replays_and_sends_its_key(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", 90)
    with EchoServer(api_key="k3y") as echo:
        calls = [
            (["--first", 5, "--offset", 2], names(range(3, 8))),
            (["--date", "2010-12-03", "--batch", 3], names(range(2, 91, 9))),
            (["--since", "2010-12-08", "--until", "2010-12-09", "--connections", 2], None),
            (["--today"], set()),
            (["--today", "--replay"], None),
            (["--replay", "2026-02-03", "--date", "2026-02-03"], names(range(8, 91, 9), "shop@2026-02-03")),
        ]
        found = []
        for arguments, _ in calls:
            echo.row_ids.clear()
            process = command(path, echo.url, *arguments, "--api-key-env", "MY_KEY", environment={"MY_KEY": "k3y"})
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            assert errors == ""
            found.append(set(echo.row_ids))
    for (arguments, expected), got in zip(calls, found, strict=True):
        assert expected is None or got == expected, arguments
    assert found[2] == names([*range(7, 91, 9), *range(8, 91, 9)])
    assert {name.partition(":")[2] for name in found[4]} == {f"{n:06d}" for n in range(8, 91, 9)}
    assert all(re.match(r"shop@\d{4}-\d\d-\d\d:", name) for name in found[4])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.csv", "http://127.0.0.1:1/x"], 2, "missing.csv: there is no such file"),
        (["{shop}", "nonsense"], 2, "'nonsense' is no address"),
        (["{shop}", "{url}", "--api-key-env", "NOT_SET_ANYWHERE"], 2, "NOT_SET_ANYWHERE is empty"),
        (["{shop}", "{url}", "--first", "x"], 2, "--first: invalid int value: 'x'"),
        (["{shop}", "{url}", "--first", "-1"], 2, "first is -1"),
        (["{shop}", "{url}", "--date", "12/1/2010"], 2, "'12/1/2010' is no date such as 2010-12-01"),
        (["{shop}", "{url}", "--rows", "5"], 2, "unrecognized arguments: --rows 5"),
        (["{shop}", "{url}", "--batch", "501"], 2, "batch is 501"),
        (["{shop}"], 2, "URL"),
        (["{shop}", "{url}"], 1, "403 Forbidden: missing API key"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(shop: Path, arguments: list[str], code: int, words: str) -> None:
    with EchoServer(api_key="k") as echo:
        process = command(*(word.format(shop=shop, url=echo.url) for word in arguments))
        output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    assert words in errors and output == ""


def test_the_command_names_refused_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", 12, broken=(4,))
    with EchoServer(reject=lambda row: row["RowId"] == "shop:000009") as echo:
        output, _ = command(path, echo.url, "--batch", 5).communicate(timeout=60)
    assert "10 rows accepted, revenue 42.500; 2 refused" in output
    assert "refused: shop:000004: row 4 (line 5), column Quantity: 'six' is no whole number" in output
    assert "refused: shop:000009: 400 Bad Request: Invalid request body" in output


def test_the_echo_server_runs_as_a_command(shop: Path) -> None:
    words, pipe = [sys.executable, "-m", "helpers.echo"], subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        url = process.stdout.readline().strip()
        assert fast(url, read_rows(shop), batch=100).accepted == 1000
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert json.load(answer) == {"rows": 1000, "distinct": 1000}
        process.stdin.close()
        assert json.loads(process.stdout.read()) == {"requests": 11, "rows": 1000, "distinct": 1000}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_echo_server_refuses_what_is_no_row(method: str) -> None:
    with EchoServer() as echo:
        for body in (b"{", b"[]" if method == "POST" else b"{}", b'{"x": 1}', b'[{"x": 1}]', b"3"):
            request = urllib.request.Request(echo.url, body, method=method)
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(request, timeout=60)
        assert echo.rows == 0


def test_progress_is_shown_to_those_who_watch(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with EchoServer() as echo:
        monkeypatch.setattr(client.sys.stderr, "isatty", lambda: True)
        monkeypatch.delenv("WORKBOOK_PROGRESS", raising=False)
        fast(echo.url, read_rows(shop, Selection(first=100)), batch=10, progress=True)
        assert "100/100" in capsys.readouterr().err
        fast(echo.url, read_rows(shop, Selection(first=100)), batch=10, progress=False)
        monkeypatch.setenv("WORKBOOK_PROGRESS", "0")
        fast(echo.url, read_rows(shop, Selection(first=100)), batch=10, progress=True)
        assert capsys.readouterr().err == ""


def test_the_real_file() -> None:
    name = os.environ.get("ONLINE_RETAIL_CSV")
    if not name:
        pytest.skip("ONLINE_RETAIL_CSV does not name the real Online Retail file")
    with EchoServer() as echo:
        report = fast(echo.url, read_rows(name), batch=500, connections=4)
        assert len(echo.row_ids) == echo.rows == report.accepted == 541_909
    assert report.refused == 0
    assert report.revenue == revenue(read_rows(name))
    print(report)
