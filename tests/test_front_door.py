"""The lab's HTTP: order, limits, malformed bytes. The rules are RFC 9110 and 9112 (https://www.rfc-editor.org/rfc/rfc9112)."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httptools
import pytest

from helpers.localaws import front_door
from helpers.localaws.types import Request, Response
from tests.seeded import SEED, SOAK

GOOD = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


def say(request: Request) -> Response:
    """What the handler was given, as JSON."""
    shown = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "body": request.body.decode("latin-1"),
    }
    return Response(200, json.dumps(shown).encode(), {"Content-Type": "application/json"})


class Answers:
    """Splits a stream of bytes into HTTP responses."""

    def __init__(self) -> None:
        self.done: list[tuple[int, dict[str, str], bytes]] = []
        self.headers: dict[str, str] = {}
        self.body = b""
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers, self.body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done.append((self.parser.get_status_code(), self.headers, self.body))


def responses(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    answers = Answers()
    answers.parser.feed_data(data)
    return answers.done


def exchange(
    data: bytes | list[bytes], handler: Callable[[Request], Response | Awaitable[Response]] = say, *, close: bool = True
) -> list[tuple[int, dict[str, str], bytes]]:
    """Sends bytes to a front door over a real socket, and reads until it closes (or, `close` False, is quiet)."""

    async def run() -> bytes:
        server, connections = await front_door.listen(handler)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in [data] if isinstance(data, bytes) else data:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.write_eof()
        got = b""
        while True:
            try:
                piece = await asyncio.wait_for(reader.read(65536), 5 if close else 0.3)
            except TimeoutError:
                break
            if not piece:
                break
            got += piece
        writer.close()
        for _ in range(200):
            if not connections:
                break
            await asyncio.sleep(0.01)
        assert not connections, "a connection stayed open"
        server.close()
        return got

    return responses(asyncio.run(run()))


def test_headers_as_they_were_sent() -> None:
    """Lower-case and joined for those who look one up, apart and as spelled for those who pass them on."""
    got = []

    def handler(request: Request) -> Response:
        got.append(request)
        return Response(200)

    exchange(b"GET / HTTP/1.1\r\nHost: x\r\nX-Two: a\r\nx-two: b\r\n\r\n" + GOOD, handler)
    assert got[0].headers == {"host": "x", "x-two": "a,b"}
    assert list(got[0].header_list) == [("Host", "x"), ("X-Two", "a"), ("x-two", "b")]
    assert list(got[1].header_list) == [("Host", "x")]


def test_keep_alive_and_pipelining_answer_in_order() -> None:
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(50))
    assert [json.loads(body)["path"] for _, _, body in exchange(data)] == [f"/{i}" for i in range(50)]


def test_a_request_that_arrives_while_another_is_awaited_waits_its_turn() -> None:
    order = []

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        order.append(request.path)
        return say(request)

    def handler(request: Request) -> Response | Awaitable[Response]:
        return slow(request) if request.path.startswith("/slow") else say(request)

    pieces = [b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % p for p in (b"/slow1", b"/fast1", b"/slow2", b"/fast2")]
    got = exchange(pieces, handler)
    assert [json.loads(body)["path"] for _, _, body in got] == ["/slow1", "/fast1", "/slow2", "/fast2"]
    assert order == ["/slow1", "/slow2"]


def test_a_failing_handler_answers_500_and_the_connection_goes_on() -> None:
    async def fails_later(request: Request) -> Response:
        await asyncio.sleep(0.01)
        raise RuntimeError("later")

    def handler(request: Request) -> Response | Awaitable[Response]:
        if request.path == "/now":
            raise RuntimeError("now")
        return fails_later(request) if request.path == "/later" else say(request)

    paths = (b"/now", b"/later", b"/ok", b"/later", b"/now", b"/ok")
    got = exchange(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % p for p in paths), handler)
    assert [status for status, _, _ in got] == [500, 500, 200, 500, 500, 200]


def test_chunked_body_and_its_trailer() -> None:
    data = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nAuthorization: forged\r\nHost: forged\r\n\r\n"
    )
    ((status, _, body),) = exchange(data)
    shown = json.loads(body)
    assert status == 200 and shown["body"] == "abcdefg"
    assert shown["headers"] == {"host": "x", "transfer-encoding": "chunked"}  # RFC 9110 6.5.1: trailers are no headers


def test_expect_100_continue() -> None:
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    got = exchange([head, b"hi"])
    assert [status for status, _, _ in got] == [100, 200]
    assert json.loads(got[1][2])["body"] == "hi"


def test_expect_100_does_not_come_before_an_earlier_answer() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return say(request)

    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    got = exchange([GOOD + head, b"hi"], slow)
    assert [status for status, _, _ in got] == [200, 200]


def test_head_has_the_length_and_no_body() -> None:
    def handler(request: Request) -> Response:
        return Response(200, b"", {"Content-Length": "123"}) if request.path == "/told" else Response(200, b"abc")

    async def run() -> bytes:
        server, _ = await front_door.listen(handler)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        data = b"HEAD /told HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        writer.write(data)
        got = await reader.read()
        server.close()
        return got

    got = asyncio.run(run())
    assert got.count(b"HTTP/1.1 200 OK") == 2 and b"Content-Length: 123\r\n" in got and b"Content-Length: 3\r\n" in got
    assert b"abc" not in got


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_leaves_none_on_the_wire(status: int) -> None:
    got = exchange(GOOD * 2, lambda request: Response(status, b"must not be sent"))
    assert [(s, b) for s, _, b in got] == [(status, b""), (status, b"")]


def test_a_handlers_own_content_length_and_line_breaks_do_no_harm() -> None:
    headers = {"content-length": "9999", "X-Twice": "a\nb", "X-Split": "a\r\nInjected: b"}
    got = exchange(GOOD * 2, lambda request: Response(200, b"abc", headers))
    assert [(s, b) for s, _, b in got] == [(200, b"abc")] * 2
    assert "injected" not in got[0][1]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host (RFC 9112 3.2)
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (b"GET /" + b"a" * 400_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 400_000, 431),
    ],
)
def test_what_is_refused_says_why_and_closes(data: bytes, status: int) -> None:
    got = exchange(data, close=False)
    assert [s for s, _, _ in got] == [status]
    assert got[0][1]["connection"] == "close" and "message" in json.loads(got[0][2])


def test_the_refusal_comes_after_the_answers_before_it() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return say(request)

    got = exchange(GOOD + GOOD + b"rubbish\r\n\r\n" + GOOD, slow, close=False)
    assert [s for s, _, _ in got] == [200, 200, 400]


def test_nothing_is_read_behind_connection_close() -> None:
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert [json.loads(b)["path"] for _, _, b in exchange(GOOD + last + GOOD)] == ["/ok", "/last"]


def test_an_oversized_body_is_told_413_while_it_is_still_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's http.client sends all before it reads: a bare close would show as a broken pipe."""
    monkeypatch.setattr(front_door, "MAX_BODY", 1_000_000)
    chunked = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"a" * 65536 + b"\r\n"
    )
    assert [s for s, _, _ in exchange([chunked, *([b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 60)], close=False)] == [413]
    told = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
    assert [s for s, _, _ in exchange([told, *([b"a" * 65536] * 60)], close=False)] == [413]


def test_absolute_form_counts_its_own_host() -> None:
    """RFC 9112 3.2.2: the Host header is ignored, so a proxy's request cannot smuggle another one past the check."""
    data = (
        b"GET http://evil.example:80/a?b=c HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET HTTPS://h HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    first, second = (json.loads(body) for _, _, body in exchange(data))
    assert (first["path"], first["query"], first["headers"]["host"]) == ("/a", "b=c", "evil.example:80")
    assert (second["path"], second["headers"]["host"]) == ("/", "h")


def test_an_offer_to_upgrade_is_passed_over() -> None:
    """RFC 9110 7.8: a server may ignore it; Java's HTTP client sends one with its first request."""
    offer = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    got = exchange(offer + GOOD)
    assert [json.loads(body)["path"] for _, _, body in got] == ["/a", "/ok"]


def test_http_1_0_closes() -> None:
    got = exchange(b"GET / HTTP/1.0\r\n\r\n", close=False)
    assert got[0][0] == 200 and got[0][1]["connection"] == "close"


def test_one_who_stalls_holds_up_nobody_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "PATIENCE", 2)

    async def run() -> None:
        server, connections = await front_door.listen(say)
        address = server.sockets[0].getsockname()
        stalled = []
        for piece in (
            b"GET /",
            b"GET / HTTP/1.1\r\nHost: x\r\n",
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        ):
            for _ in range(20):
                _, writer = await asyncio.open_connection(*address)
                writer.write(piece)
                stalled.append(writer)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GOOD)
        started = asyncio.get_running_loop().time()
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        assert asyncio.get_running_loop().time() - started < 1.5
        for _ in range(3000):
            if len(connections) == 1:
                break
            await asyncio.sleep(0.01)
        assert len(connections) == 1, "only the one that is merely idle may stay"
        for each in [*stalled, writer]:
            each.close()
        server.close()

    asyncio.run(run())


def test_one_who_does_not_read_its_answers_is_not_read_from() -> None:
    """The answers wait in the kernel and in one buffer, not without bound in the lab's memory."""

    async def run() -> None:
        handled = 0

        def handler(request: Request) -> Response:
            nonlocal handled
            handled += 1
            return Response(200, b"a" * 100_000)

        server, connections = await front_door.listen(handler)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        sent = 0
        for _ in range(400):
            try:
                sent += client.send(GOOD * 1000)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        (connection,) = connections
        assert connection.transport is not None and not connection.transport.is_reading()
        assert handled < sent // len(GOOD)
        before = handled
        client.setblocking(True)
        await loop.run_in_executor(None, client.recv, 50_000_000)
        client.close()
        for _ in range(500):
            if not connections:
                break
            await asyncio.sleep(0.01)
        assert not connections and handled >= before
        server.close()

    asyncio.run(run())


# Malformed bytes, by a grammar of what clients send and what they should not


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.closed, self.reading = b"", False, True

    def write(self, data: Any) -> None:
        self.out += data

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


METHODS = [b"GET"] * 6 + b"POST PUT HEAD DELETE OPTIONS CONNECT get PRI G\x00T".split() + [b""]
TARGETS = (
    [b"/"] * 6
    + b"/a?b=c * http://x/y // /%zz /\xff\xfe a:1 http:// /#f ?q https://x?y HTTP://X".split()
    + [b"", b"/ /"]
)
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.11", b"http/1.1", b"", b"HTTP/1.1 x"]
LINE_ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"", b"\x00\r\n"]
HEADERS = b"""host:y
Host : x
Connection: close
Connection: keep-alive
Connection: upgrade
Upgrade: h2c
Content-Length: 3
Content-Length: 0
Content-Length: 99
Content-Length: x
Content-Length: 999999999
Content-Length: 18446744073709551616
Transfer-Encoding: chunked
Transfer-Encoding: chunked
Transfer-Encoding: chunked, gzip
Transfer-Encoding: gzip, chunked
Expect: 100-continue
 folded
X: \xff
X:\x00
: empty""".split(b"\n")
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"0\r\nHost: z\r\n\r\n", b"3\nabc"]


def _message(chance: random.Random) -> bytes:
    """A request, mostly well-formed; its flaws are few, so that what comes behind them is reached, too."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(30))
    pick = chance.choice
    lines = [
        b" ".join((pick(METHODS), pick(TARGETS), pick(VERSIONS))),
        *([b"Host: x"] if chance.random() < 0.95 else []),
    ]
    lines += [pick(HEADERS) for _ in range(chance.randrange(4))]
    if chance.random() < 0.01:
        lines.append(b"X: " + b"a" * 100_000)
    return b"".join(line + pick(LINE_ENDS) for line in [*lines, b""]) + pick(BODIES)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _final(data: bytes, method_heads: bool) -> list[int]:
    """The statuses of what was answered; a response to HEAD has no body, which a parser cannot know."""
    if method_heads:
        return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
    return [status for status, _, _ in responses(data) if status != 100]


def test_any_bytes_are_answered_or_refused(loop: asyncio.AbstractEventLoop) -> None:
    """Whatever comes, in whatever pieces: no exception, well-formed answers, none after a close, never a 500."""

    async def feed(data: bytes, cuts: list[int], waits: bool) -> tuple[Wire, front_door.Connection]:
        async def later(request: Request) -> Response:
            await asyncio.sleep(0)
            return Response(200, b"later")

        handler: front_door.Handler = later if waits else (lambda request: Response(200, b"now"))
        connection, wire = front_door.Connection(handler, set()), Wire()
        connection.connection_made(wire)
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if not wire.closed:
                connection.data_received(data[start:end])
                await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
        return wire, connection

    print(f"WORKBOOK_SEED={SEED}")
    chance, seen = random.Random(SEED), set()
    for _ in range(200_000 if SOAK else 4_000):
        data = b"".join(_message(chance) for _ in range(chance.randrange(1, 5)))
        cuts, waits = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))), chance.random() < 0.5
        case = f"{data!r} cut at {cuts}, {waits=}"
        wire, connection = loop.run_until_complete(feed(data, cuts, waits))
        statuses = _final(wire.out, b"HEAD" in data)
        seen |= set(statuses)
        assert all(status in (200, 100) for status in statuses[:-1]), case  # only the last one may be a refusal
        assert connection.task is None and not connection.waiting, case
        assert not statuses or statuses[-1] in (200, 100) or wire.closed, case
        connection.connection_lost(None)
    assert seen - {100} == {200, 400, 413, 431, 501}
