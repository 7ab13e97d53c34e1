"""The lab's one port: HTTP/1.1 with keep-alive on 127.0.0.1, parsed by httptools, answered on the asyncio loop.

A handler returns a `Response` at once (the hot calls) or an awaitable of one (all else); one connection's answers
leave in the order of its requests. What is not HTTP is refused as RFC 9112 says: https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import re
import time
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import httptools

from .types import Prompt, Request, Response

Handler = Callable[[Request], "Response | Awaitable[Response]"]

MAX_BODY = 256 * 1024 * 1024
MAX_HEAD = 64 * 1024  # request line and headers
PATIENCE = 60.0  # seconds that a request may take to arrive without progress
_LINGER = 5.0  # seconds for a refused client to read why
_QUEUE = 64  # requests of one connection that wait for their turn
_REASON = {s.value: s.phrase for s in http.HTTPStatus}
_TARGET = re.compile(r"(?:https?://([^/?#]*))?(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE)
_LOG = logging.getLogger("localaws")


class _Refused(Exception):
    """The request cannot be read on; its argument is the status."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, handler: Handler, open_connections: set[Connection]) -> None:
        self.handler = handler
        self.open_connections = open_connections
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpRequestParser(self)
        # What came and is not answered, in order: a request, or the refusal that ends the connection.
        self.waiting: deque[tuple[Request | Response, bool]] = deque()
        self.task: asyncio.Task[None] | None = None
        self.ended = False  # nothing more is read
        self.writable = True  # the client reads its answers
        self.since: float | None = None  # when the request that is arriving last made progress
        self.headers: dict[str, str] = {}
        self.sent: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.url, self.size, self.head, self.in_body = b"", 0, 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport, self.ended = None, True
        self.waiting.clear()
        self.open_connections.discard(self)

    def pause_writing(self) -> None:
        self.writable = False
        self._throttle()

    def resume_writing(self) -> None:
        self.writable = True
        self._throttle()

    def _throttle(self) -> None:
        """Who does not read the answers, or sends requests faster than they are answered, is not read from."""
        if self.transport:
            ready = self.writable and len(self.waiting) < _QUEUE
            (self.transport.resume_reading if ready else self.transport.pause_reading)()

    def eof_received(self) -> bool:
        self.ended = True
        return bool(self.task or self.waiting)  # who has only stopped sending still gets its answers

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        if not self.in_body:
            self.head += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # not offered here: RFC 9110 lets a server go on without
                self.parser = httptools.HttpRequestParser(self)
                self.data_received(data[upgrade.args[0] :])
            if self.head > MAX_HEAD:
                raise _Refused(431)
        except (httptools.HttpParserError, _Refused) as error:
            cause = error if isinstance(error, _Refused) else error.__context__
            if not self.ended:
                self._refuse(cause.args[0] if isinstance(cause, _Refused) else 400)
        self._answer()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self.headers, self.sent, self.body = {}, [], []
        self.url, self.size, self.head, self.in_body = b"", 0, 0, False
        self.since = time.monotonic()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        spelled, text = name.decode("latin-1"), value.decode("latin-1")
        key = spelled.lower()
        if self.in_body:  # a chunked body's trailer must not pass for a header
            return
        self.size += len(name) + len(value)
        if key == "host" and key in self.headers:
            raise _Refused(400)
        self.sent.append((spelled, text))
        self.headers[key] = f"{self.headers[key]},{text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self.size + len(self.url) > MAX_HEAD:
            raise _Refused(431)
        self.in_body, self.size = True, 0
        length, encoding = self.headers.get("content-length", "0"), self.headers.get("transfer-encoding", "chunked")
        if "host" not in self.headers and self.parser.get_http_version() == "1.1":
            raise _Refused(400)
        if encoding.lower() != "chunked":
            raise _Refused(501)
        if len(length) > 18 or int(length) > MAX_BODY:
            raise _Refused(413)
        if self.headers.get("expect", "").lower() == "100-continue" and not (self.task or self.waiting):
            if self.transport:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self.since = time.monotonic()
        self.size += len(body)
        if self.size > MAX_BODY:
            raise _Refused(413)
        self.body.append(body)

    def on_message_complete(self) -> None:
        method, target = self.parser.get_method().decode(), _TARGET.fullmatch(self.url.decode("latin-1"))
        if target is None or method == "CONNECT":
            raise _Refused(400)
        if target[1] is not None:  # the absolute form, as proxies send it: its host counts
            self.headers["host"] = target[1]
        keep_alive = self.parser.should_keep_alive()
        request = Request(method, target[2] or "/", target[3] or "", self.headers, b"".join(self.body), self.sent)
        self.waiting.append((request, keep_alive))
        self.ended = self.ended or not keep_alive
        self.in_body, self.head, self.since = False, 0, None
        self._answer()

    # Answers

    def _answer(self) -> None:
        """Answers what waits, up to the first request that has to be waited for."""
        while self.waiting and self.task is None and self.transport:
            request, keep_alive = self.waiting.popleft()
            if isinstance(request, Response):
                self._send(request, False, "GET")
                self.transport.write_eof()
                asyncio.get_running_loop().call_later(_LINGER, self.transport.abort)
                return
            try:
                answer = self.handler(request)
            except Exception:
                answer = self._failed(request)
            if isinstance(answer, Response):
                self._send(answer, keep_alive, request.method)
            else:
                work = self._wait_for(answer, request, keep_alive)
                task = _begin(work) if isinstance(answer, Prompt) else asyncio.ensure_future(work)
                self.task = task or self.task  # it may have come to the next request already
        if self.ended and self.task is None and self.transport:
            self.transport.close()
        self._throttle()

    async def _wait_for(self, answer: Awaitable[Response], request: Request, keep_alive: bool) -> None:
        try:
            response = await answer
        except Exception:
            response = self._failed(request)
        self._send(response, keep_alive, request.method)
        self.task = None
        self._answer()

    @staticmethod
    def _failed(request: Request) -> Response:
        _LOG.exception("the lab failed on %s %s", request.method, request.path)
        return Response(500, b'{"message": "Internal Server Error"}', {"Content-Type": "application/json"})

    def _refuse(self, status: int) -> None:
        message = f'{{"message": "{_REASON[status]}"}}'.encode()
        self.waiting.append((Response(status, message, {"Content-Type": "application/json"}), False))
        self.ended = True

    def _send(self, response: Response, keep_alive: bool, method: str) -> None:
        if self.transport is None:
            return
        status, body = response.status, response.body
        bodiless = status in (204, 304) or status < 200
        length = str(len(body))
        head = [f"HTTP/1.1 {status} {_REASON.get(status, 'Unknown')}\r\n"]
        for name, value in response.headers.items():
            if name.lower() == "content-length":
                length = value if method == "HEAD" else length  # the length that GET would answer
            else:
                for line in value.replace("\r", "").split("\n"):  # one that comes several times is held as lines
                    head.append(f"{name}: {line}\r\n")
        if not bodiless:
            head.append(f"Content-Length: {length}\r\n")
        head.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
        data = "".join(head).encode("latin-1", "replace")
        self.transport.write(data if bodiless or method == "HEAD" else data + body)


def _begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Runs a coroutine up to its first wait, and leaves the rest, if any, to a task. (`eager_start` of Python 3.12.)"""
    try:
        first = work.send(None)
    except StopIteration:
        return None

    @types.coroutine
    def rest() -> Generator[Any, Any, None]:
        waits_for = first
        with contextlib.suppress(StopIteration):
            while True:
                try:
                    given = yield waits_for
                except BaseException as error:
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(given)

    async def go_on() -> None:
        await rest()

    return asyncio.get_running_loop().create_task(go_on())


async def listen(handler: Handler, port: int = 0) -> tuple[asyncio.Server, set[Connection]]:
    """Opens the port on 127.0.0.1 (0: a free one); raises OSError when it is taken."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(handler, connections), "127.0.0.1", port)

    def sweep() -> None:
        """Ends the connections whose request stopped arriving."""
        for connection in list(connections):
            if connection.since is not None and time.monotonic() - connection.since > PATIENCE and connection.transport:
                connection.transport.abort()
        if server.is_serving():
            loop.call_later(PATIENCE / 4, sweep)

    loop.call_later(PATIENCE / 4, sweep)
    return server, connections
