"""The data client: sends rows to an API, over and over until each is accepted or refused for good.

    report = send(read_rows("data/online-retail-sample.csv"), url, api_key=key, batch=500, connections=4)
    print(report)

As a command: `python -m helpers.client CSV URL --api-key-env API_KEY --batch 500`.

Delivery is at least once. An answer that got lost on its way makes the client send the same rows again, with
the same RowIds, so whoever stores them can tell.
"""

from __future__ import annotations

import argparse
import datetime as dt
import email.utils
import math
import os
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import orjson
import urllib3
from tqdm import tqdm

from helpers.ledger import Batch, Ledger, RefusedRow, Report, SendError
from helpers.rows import InputError, Row, Rows, Selection, read_rows, to_json

__all__ = ["InputError", "RefusedRow", "Report", "Selection", "SendError", "read_rows", "send"]

MAX_BATCH = 500  # records that Kinesis PutRecords takes
MAX_BODY = 1_000_000  # bytes; far below the 6 MB of a Lambda call and the 10 MB of API Gateway
_FEW_ATTEMPTS = 5  # for a function that fails, and where nothing has ever answered
_LONGEST_PAUSE = 10.0  # seconds between two tries of a request, if the API does not ask for more
_LONGEST_RETRY_AFTER = 300.0  # seconds; what the API may ask for


def send(
    rows: Iterable[Row],
    url: str,
    *,
    api_key: str | None = None,
    batch: int = 1,
    connections: int = 1,
    rate: float | None = None,
    speed: float | None = None,
    checkpoint: Path | str | None = None,
    refused: Path | str | None = None,
    progress: bool = True,
    attempts: int = 10,
    backoff: float = 0.1,
    timeout: float = 60.0,
) -> Report:
    """Send rows to an API and wait until each is accepted or refused.

    With `batch` 1 each row is a POST of one JSON object, otherwise up to `batch` rows (500 at most, and about
    a megabyte) are a PUT of a JSON array. Requests run over `connections` kept-alive connections, at most
    `rate` rows a second. Rows are taken from `rows` only a few batches ahead, so memory does not grow with
    their number. With a `speed` the rows' own time goes by, that many times as fast as the clock: at 60 an hour of
    the shop takes a minute, and a batch holds rows of one moment only.

    Answers 429 and 5xx, broken connections and failures of the API's Lambda function are tried again, up to
    `attempts` times (a function that fails: 5 times), after a random pause of at most `backoff` seconds,
    doubled with each try up to 10 s, or what Retry-After asks for. Answers 400 and 413 refuse: a batch is
    halved until only the bad rows remain, and these are set aside in the file `refused`, as JSON lines
    {"RowId", "reason", "row"}, and so are broken rows of a CSV read by `read_rows`. Every other answer stops
    the client.

    `checkpoint` names a file that knows after each answer which rows are done. A client that was interrupted
    or killed goes on from it when started again with the same rows; what was in flight is sent again. Refused
    rows then go to a file beside it unless `refused` names another.

    Raises InputError for bad arguments or a bad file, SendError when the client gives up.
    https://docs.aws.amazon.com/apigateway/api-reference/handling-errors/
    """
    if not 1 <= batch <= MAX_BATCH:
        raise InputError(f"batch is {batch}; give 1 to {MAX_BATCH} rows, which is what Kinesis takes at once")
    if not 1 <= connections <= 64:
        raise InputError(f"connections is {connections}; give 1 to 64")
    if rate is not None and not rate > 0:
        raise InputError(f"rate is {rate}; give a number of rows per second above 0")
    if speed is not None and not speed > 0:
        raise InputError(f"speed is {speed}; give a number above 0, such as 60 for an hour in a minute")
    if attempts < 1:
        raise InputError(f"attempts is {attempts}; give at least 1")
    numbered = iter(rows)
    if isinstance(rows, Rows):
        if not rows.fresh:
            raise InputError(f"{rows.path}: these rows have been read before; call read_rows again")
        job, selection = {"source": rows.source, "selection": str(rows.selection)}, rows.selection
    else:  # rows of unknown origin: a checkpoint knows them again by the first one
        ahead = list(islice(numbered, 1))
        job, selection = {"first row": str(ahead[0].get("RowId")) if ahead else ""}, None
        numbered = chain(ahead, numbered)
    bar: Any = tqdm(total=_expected(rows), unit=" rows", disable=not (progress and _watched()))
    try:
        with Ledger(job, selection, _path(checkpoint), _path(refused), bar) as ledger:
            if isinstance(rows, Rows) and rows.on_refused is None:
                rows.on_refused = ledger.broken
            with _Sender(url, api_key, connections, batch > 1, attempts, backoff, timeout, ledger) as sender:
                try:
                    sender.run(_batches(ledger.todo(numbered), batch, speed is not None), rate, speed)
                except KeyboardInterrupt as interrupt:
                    interrupt.add_note(ledger.how_to_go_on())
                    raise
                except (SendError, InputError) as error:
                    stopped = type(error)(f"{error}. {ledger.how_to_go_on()}")
                    if isinstance(stopped, SendError):
                        stopped.report = ledger.report()
                    raise stopped from None
            return ledger.report()
    finally:
        bar.close()
        if isinstance(rows, Rows):
            rows.close()


def _path(path: Path | str | None) -> Path | None:
    return Path(path) if path else None


def _expected(rows: Iterable[Row]) -> int | None:
    """How many rows will come, if that is known beforehand."""
    if isinstance(rows, Rows):
        return rows.selection.first
    return len(rows) if isinstance(rows, Sized) else None


def _watched() -> bool:
    """Whether somebody sees a progress bar: in a terminal or a notebook, unless WORKBOOK_PROGRESS is 0."""
    return os.environ.get("WORKBOOK_PROGRESS") != "0" and (sys.stderr.isatty() or "ipykernel" in sys.modules)


class Pace:
    """When rows are due, if the first is now and their own time goes by `speed` times as fast as the clock."""

    def __init__(self, speed: float) -> None:
        self._speed, self._began, self._first = speed, time.monotonic(), ""

    def wait_for(self, row: Row) -> float:
        """Seconds until the row is due; 0 when it is, or should have been."""
        self._first = self._first or row["InvoiceDate"]
        shop = dt.datetime.fromisoformat(row["InvoiceDate"]) - dt.datetime.fromisoformat(self._first)
        return max(0.0, shop.total_seconds() / self._speed - (time.monotonic() - self._began))


def _batches(numbered: Iterable[tuple[int, Row]], size: int, one_moment: bool = False) -> Iterator[Batch]:
    """Rows in batches of neighbours, with at most `size` rows and, but for a single row, MAX_BODY bytes.

    `one_moment`: and with one InvoiceDate.
    """
    batch, length = Batch(0), 2
    for place, row in numbered:
        line = to_json(row).encode()
        count = len(batch.rows)
        apart = one_moment and count and row["InvoiceDate"] != batch.rows[-1]["InvoiceDate"]
        if count and (count == size or length + len(line) > MAX_BODY or place != batch.start + count or apart):
            yield batch
            batch, length, count = Batch(0), 2, 0
        if not count:
            batch.start = place
        batch.rows.append(row)
        batch.lines.append(line)
        length += len(line) + 1
    if batch.rows:
        yield batch


class _Verdict(Enum):
    ACCEPTED = "the rows are taken"
    REFUSED = "these rows will never be taken"
    AGAIN = "a later try may succeed"
    FUNCTION_FAILED = "the Lambda function behind the API raised; a later try may succeed"
    STOP = "nothing that is sent will succeed"


class _Stopped(Exception):
    """Another thread has failed or the user has interrupted: leave the batch as it is."""


class _Sender:
    """Delivers batches over a pool of connections."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        connections: int,
        arrays: bool,
        attempts: int,
        backoff: float,
        timeout: float,
        ledger: Ledger,
    ) -> None:
        self._target, self._pool = _connect(url, connections, timeout)
        self._url, self._api_key, self._connections, self._arrays = url, api_key, connections, arrays
        self._attempts, self._backoff, self._ledger = attempts, backoff, ledger
        # Accept-Encoding and User-Agent stand here because http.client works out its own otherwise.
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "workbook-client",
        }
        if api_key is not None:
            if not api_key.isascii() or not api_key.isprintable():
                raise InputError("the API key holds characters that a header cannot; copy it again")
            self._headers["x-api-key"] = api_key
        self._answered = False  # whether the API ever was
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def run(self, batches: Iterator[Batch], rate: float | None, speed: float | None = None) -> None:
        """Deliver all batches. Raises what ended it early; what was in flight has been settled by then."""
        paced = self._paced(batches, rate) if rate else batches
        paced = self._as_in_the_shop(paced, Pace(speed)) if speed else paced
        if self._connections == 1 and not self._arrays:
            # Nothing to overlap with, and handing a row to a thread would cost more than it brings.
            for batch in paced:
                self._deliver(batch)
            return
        # Two batches wait for each connection: enough that none is idle, and a bound for memory.
        waiting: queue.Queue[Batch | None] = queue.Queue(2 * self._connections)
        threads = [
            threading.Thread(target=self._work, args=(waiting,), name=f"client-{number}", daemon=True)
            for number in range(self._connections)
        ]
        for thread in threads:
            thread.start()
        try:
            for batch in paced:
                if self._stop.is_set():
                    break
                waiting.put(batch)
        except KeyboardInterrupt:
            self._stop.set()
            raise
        finally:
            for _ in threads:
                waiting.put(None)
            for thread in threads:
                thread.join()
        if self._failure:
            raise self._failure

    def _paced(self, batches: Iterator[Batch], rate: float) -> Iterator[Batch]:
        """Hold batches back so that rows do not leave faster than `rate`; time lost is not made up for."""
        due = time.monotonic()
        for batch in batches:
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            yield batch
            due = max(due, time.monotonic() - 0.1) + len(batch.rows) / rate

    def _as_in_the_shop(self, batches: Iterator[Batch], pace: Pace) -> Iterator[Batch]:
        """Hold back what is not due yet."""
        for batch in batches:
            if self._stop.wait(pace.wait_for(batch.rows[0])):
                return
            yield batch

    def _work(self, waiting: queue.Queue[Batch | None]) -> None:
        while (batch := waiting.get()) is not None:
            if self._stop.is_set():
                continue  # empty the queue, so that nobody waits for room in it
            try:
                self._deliver(batch)
            except _Stopped:
                pass
            except BaseException as error:
                self._failure = self._failure or error
                self._stop.set()

    def _deliver(self, batch: Batch) -> None:
        """Send a batch until each of its rows is accepted or set aside."""
        reason = self._request(batch)
        if reason is None:
            self._ledger.accept(batch)
        elif len(batch.rows) == 1:
            self._ledger.refuse(batch, reason)
        else:
            for half in batch.halves():
                self._deliver(half)

    def _request(self, batch: Batch) -> str | None:
        """Send one body until the API has decided: None if it is accepted, else why it is refused."""
        method = "PUT" if self._arrays else "POST"
        body = b"[" + b",".join(batch.lines) + b"]" if self._arrays else batch.lines[0]
        failed = 0
        for number in range(1, self._attempts + 1):
            if self._stop.is_set():
                raise _Stopped
            started, asked = time.perf_counter(), 0.0
            try:
                response = self._pool.urlopen(
                    method,
                    self._target,
                    body,
                    self._headers,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                )
            except (urllib3.exceptions.HTTPError, OSError) as error:
                verdict, message = _explain(error)
            else:
                self._answered = True
                verdict, message = _judge(response.status, response.data, len(batch.rows))
                if verdict is _Verdict.AGAIN:
                    asked = _retry_after(response.headers.get("Retry-After"))
            self._ledger.count_request(time.perf_counter() - started, number > 1)
            if verdict is _Verdict.ACCEPTED:
                return None
            if verdict is _Verdict.REFUSED:
                return message
            failed += verdict is _Verdict.FUNCTION_FAILED
            hopeless = failed >= _FEW_ATTEMPTS or (number >= _FEW_ATTEMPTS and not self._answered)
            if verdict is _Verdict.STOP or hopeless or number == self._attempts:
                break
            pause = random.uniform(0, min(_LONGEST_PAUSE, self._backoff * 2 ** (number - 1)))
            if self._stop.wait(max(pause, asked)):
                raise _Stopped
        tried = f" (tried {number} times)" if number > 1 else ""
        raise SendError(f"{self._url}: {message}{self._hint(message)}{tried}")

    def _hint(self, message: str) -> str:
        if "Missing Authentication Token" in message:
            return ", which it also says for an unknown path or method: check the address"
        if message.startswith(("401", "403")):
            if self._api_key is None:
                return ": missing API key (api_key=, --api-key-env)"
            return ": is the API key the right one, in a usage plan of this stage, and is there such a stage?"
        if "KeyError: 'context'" in message:
            return ": has the method a mapping template for application/json?"
        return "" if self._answered else ": is it running, and is the address right?"


class _OneWrite:
    """Sends a request's head and body together: as two packets they would wake the server twice."""

    _held: bytes | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._held = b""
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            whole, self._held = self._held, None
        super().send(whole)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held += data


class _Connection(_OneWrite, urllib3.connection.HTTPConnection):
    pass


class _SecureConnection(_OneWrite, urllib3.connection.HTTPSConnection):
    pass


def _connect(url: str, connections: int, timeout: float) -> tuple[str, urllib3.HTTPConnectionPool]:
    """The request target, and a pool that keeps at most `connections` connections alive."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise InputError(f"{url!r} is no address; give http://… or https://…, with stage and resource")
    secure = parts.scheme == "https"
    kind = urllib3.HTTPSConnectionPool if secure else urllib3.HTTPConnectionPool
    limits = urllib3.Timeout(connect=min(timeout, 10), read=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    pool = kind(host, port, maxsize=connections, block=True, timeout=limits)
    pool.ConnectionCls = _SecureConnection if secure else _Connection
    return target, pool


def _judge(status: int, body: bytes, count: int) -> tuple[_Verdict, str]:
    """What an answer to `count` rows means, and what it says."""
    content: Any = None
    with suppress(orjson.JSONDecodeError):
        content = orjson.loads(body)
    if 200 <= status < 300:
        if not isinstance(content, dict):
            return _Verdict.ACCEPTED, ""
        # A non-proxy integration answers 200 with whatever the function returns, and even if it raised:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
        if "errorMessage" in content or "errorType" in content:
            parts = [str(content[key]) for key in ("errorType", "errorMessage") if content.get(key)]
            return _Verdict.FUNCTION_FAILED, "the API's Lambda function failed: " + _line(": ".join(parts))
        inner = content.get("statusCode")
        if type(inner) is int and not 200 <= inner < 300:
            return _judge(inner, str(content.get("body", "")).encode(), count)
        accepted = content.get("accepted", count)
        if type(accepted) is int and accepted != count:
            return _Verdict.AGAIN, f"the API accepted {accepted} of {count} rows"
        return _Verdict.ACCEPTED, ""
    said = content.get("message") or content.get("Message") if isinstance(content, dict) else None
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    said = _line(str(said) if said else body.decode("utf-8", "replace")) or phrase
    message = f"{status} {phrase}" + (f": {said}" if said != phrase else "")
    if status in (400, 413):
        return _Verdict.REFUSED, message
    if status in (408, 429) or status >= 500:
        return _Verdict.AGAIN, message
    return _Verdict.STOP, message


def _explain(error: Exception) -> tuple[_Verdict, str]:
    """What a request without an answer means."""
    if isinstance(error, urllib3.exceptions.SSLError):
        return _Verdict.STOP, f"no trusted connection ({_line(str(error))})"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return _Verdict.AGAIN, "no answer in time"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return _Verdict.AGAIN, "this host name is not known"
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return _Verdict.AGAIN, "nothing answers there"
    return _Verdict.AGAIN, "the connection broke"


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After header asks for, which is a number or a date."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if math.isfinite(seconds) else 0.0


def _line(text: str) -> str:
    """At most 300 characters, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see --help\n")


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2010-12-01") from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m helpers.client", description="Send the rows of a CSV file to an API.")
    add: Callable[..., Any] = parser.add_argument
    add("csv", metavar="CSV", type=Path, help="a .csv, .csv.gz, .csv.xz or .zip in the Online Retail schema")
    add("url", metavar="URL", help="the resource behind the stage, https://…/P/hello")
    add("--api-key-env", metavar="NAME", help="environment variable that holds the API key")
    add("--first", metavar="N", type=int, help="take N rows")
    add("--offset", metavar="N", type=int, default=0, help="skip N rows")
    add("--date", metavar="D", type=_day, help="take the rows of this day, such as 2010-12-01")
    add("--since", metavar="D", type=_day, help="take the rows from this day on")
    add("--until", metavar="D", type=_day, help="take the rows up to this day, which is included")
    add("--today", action="store_true", help="take today's rows")
    replay = "move all dates so that the last day in the file becomes D (today if left out)"
    add("--replay", metavar="D", type=_day, nargs="?", const=dt.date.today(), help=replay)
    add("--batch", metavar="N", type=int, default=1, help="rows a request, 1 (POST) to 500 (PUT); default 1")
    add("--connections", metavar="N", type=int, default=1, help="requests at the same time; default 1")
    add("--rate", metavar="R", type=float, help="at most R rows a second")
    add("--speed", metavar="S", type=float, help="let the rows' own time go by, S times as fast as the clock")
    add("--checkpoint", metavar="F", type=Path, help="remember in F what is done, and go on from there")
    add("--refused", metavar="F", type=Path, help="append refused rows to F, as JSON lines")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0, 1 if the client gave up, 2 for bad input, 130 or 143 if it was
    interrupted."""
    options = _parser().parse_args(arguments)
    code = 130

    def terminate(*_: object) -> None:
        nonlocal code
        code = 143
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        key = os.environ.get(options.api_key_env) if options.api_key_env else None
        if options.api_key_env and not key:
            raise InputError(f"the environment variable {options.api_key_env} is empty; put the API key there")
        selection = Selection(options.first, options.offset, options.date, options.since, options.until, options.today)
        rows = read_rows(options.csv, selection, replay_last_day=options.replay)
        report = send(
            rows,
            options.url,
            api_key=key,
            batch=options.batch,
            connections=options.connections,
            rate=options.rate,
            speed=options.speed,
            checkpoint=options.checkpoint,
            refused=options.refused,
        )
    except (InputError, SendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as interrupt:
        print("stopped.", *getattr(interrupt, "__notes__", ()), file=sys.stderr)
        return code
    finally:
        signal.signal(signal.SIGTERM, before)
    print(report)
    for refused in report.set_aside[:10]:
        print(f"refused: {refused.RowId}: {refused.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
