"""A bare HTTP server that takes rows and does nothing else, for trying the client and for measuring its
floor.

    with EchoServer() as echo:
        send(read_rows(path), echo.url)
        print(len(echo.row_ids))

It answers as the workbook's API does: POST takes one row, PUT an array of rows, `{"accepted": n}` comes back.
It can be told to fail. `python -m helpers.echo` runs one in a process of its own, so that a measurement does
not share its interpreter.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Self

import httptools
import orjson

Answer = int | str | tuple[int, Any] | tuple[int, Any, dict[str, str]] | None
"""What to answer: None as usual; an HTTP status; (status, JSON body) or (status, JSON body, headers); "drop"
closes the connection instead of taking the rows, "lose" takes them and closes the connection instead of
answering."""


class EchoServer:
    """A server on 127.0.0.1, alive within its `with` block, in a thread of its own.

    `fail` is a list of answers, one for each request until it ends, or a function of the request's number
    (from 0) and its rows. `reject` names bad rows: a request with one of them is refused as a whole with
    status 400. `api_key`, if given, must come as x-api-key. `latency` in seconds delays each answer.

    What it counted: `row_ids`, the distinct RowIds it took; `rows`, the rows it took, repetitions included;
    `requests`, `methods`, `connections`, `in_flight`.
    """

    def __init__(
        self,
        *,
        fail: Iterable[Answer] | Callable[[int, list[dict[str, Any]]], Answer] = (),
        reject: Callable[[dict[str, Any]], bool] | None = None,
        api_key: str | None = None,
        latency: float = 0.0,
    ) -> None:
        self.row_ids: set[str] = set()
        self.methods: Counter[str] = Counter()
        self.rows = self.requests = self.connections = self.in_flight = 0
        self._script = fail if callable(fail) else None
        self._answers = iter(()) if callable(fail) else iter(fail)
        self._reject, self._api_key, self._latency = reject, api_key, latency
        self._paused = False
        self._waiting: list[Callable[[], None]] = []
        self._protocols: set[_Protocol] = set()
        self._changed, self._watchers = threading.Condition(), 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="echo", daemon=True)

    @property
    def url(self) -> str:
        """Where to send rows."""
        return f"http://127.0.0.1:{self._port}/hello"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(self._loop.create_server(lambda: _Protocol(self), "127.0.0.1", 0))
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pause(self) -> None:
        """From now on take rows, but hold the answers back until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Send the answers that were held back, and go on as usual."""
        self._loop.call_soon_threadsafe(self._release)

    def wait(self, condition: Callable[[EchoServer], bool], timeout: float = 30.0) -> None:
        """Wait until the condition holds; it is asked after each request. Raises TimeoutError."""
        with self._changed:
            self._watchers += 1
            try:
                if not self._changed.wait_for(lambda: condition(self), timeout):
                    raise TimeoutError(f"still waiting after {timeout} s")
            finally:
                self._watchers -= 1

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        for protocol in list(self._protocols):
            protocol.transport.abort()

    def _release(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer()

    def _notify(self) -> None:
        if self._watchers:
            with self._changed:
                self._changed.notify_all()

    def _take(self, method: str, key: str | None, body: bytes) -> Answer:
        """Count a request and decide on its answer."""
        number, self.requests = self.requests, self.requests + 1
        self.methods[method] += 1
        if self._api_key is not None and key != self._api_key:
            return 403, {"message": "Forbidden"}
        if method == "GET":
            return 200, {"rows": self.rows, "distinct": len(self.row_ids)}
        try:
            content = orjson.loads(body)
            rows = content if method == "PUT" else [content]
            names = [row["RowId"] for row in rows]
            if not names or not isinstance(rows, list):
                raise TypeError("an array of rows is expected")
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return 400, {"message": "Invalid request body"}
        answer = self._script(number, rows) if self._script else next(self._answers, None)
        if answer is not None and answer != "lose":
            return answer
        if len(rows) > 500 or (self._reject and any(map(self._reject, rows))):
            return 400, {"message": "Invalid request body"}
        self.row_ids.update(names)
        self.rows += len(rows)
        return answer or (200, {"accepted": len(rows)})


class _Protocol(asyncio.Protocol):
    """One connection; a request is answered before the next one on it is read, which is all our clients
    need."""

    def __init__(self, server: EchoServer) -> None:
        self.server = server
        self.body: list[bytes] = []
        self.key: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.server.connections += 1
        self.server._protocols.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server._protocols.discard(self)
        self.server._notify()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.body, self.key = [], None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-api-key":
            self.key = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        server = self.server
        server.in_flight += 1
        answer = server._take(self.parser.get_method().decode(), self.key, b"".join(self.body))
        keep = self.parser.should_keep_alive()
        if server._paused:
            server._waiting.append(lambda: self.reply(answer, keep))
        elif server._latency:
            server._loop.call_later(server._latency, self.reply, answer, keep)
        else:
            self.reply(answer, keep)
        server._notify()

    def reply(self, answer: Answer, keep: bool) -> None:
        self.server.in_flight -= 1
        self.server._notify()
        if answer is None or isinstance(answer, str):
            self.transport.close()
            return
        status, body, *more = (answer, None) if isinstance(answer, int) else answer
        content = orjson.dumps({"message": HTTPStatus(status).phrase} if body is None else body)
        extra = "".join(f"{name}: {value}\r\n" for headers in more for name, value in headers.items())
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n{extra}\r\n"
        )
        self.transport.write(head.encode("latin-1") + content)
        if not keep:
            self.transport.close()


def main() -> None:
    """Print the address; serve until standard input ends; then print what was counted, as JSON."""
    with EchoServer() as server:
        print(server.url, flush=True)
        sys.stdin.read()
        counts = {"requests": server.requests, "rows": server.rows, "distinct": len(server.row_ids)}
    print(orjson.dumps(counts).decode())


if __name__ == "__main__":
    main()
