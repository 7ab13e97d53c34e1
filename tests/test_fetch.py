"""Many GETs at a time, against a server that counts and fails as it is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.fetch import fetch, latency, visit


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.connections, self.fails = Counter[str](), 0, Counter[str]()
        self.hosts: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/P"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.hosts.append(self.headers["Host"])
            failing = self.server.fails[self.path] >= self.server.asked[self.path]
        status = 404 if "none" in self.path else 400 if "bad" in self.path else 429 if failing else 200
        body = b'{"path": "%b", "key": "%b"}' % (self.path.encode(), str(self.headers["x-api-key"]).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_answers_come_in_order_over_connections_that_stay_open(server: Server) -> None:
    paths = [f"/invoices/{n}" for n in range(200)]
    got = list(fetch(server.url, paths, api_key="k", connections=4))
    assert [g.path for g in got] == paths
    assert got[7].json() == {"path": "/P/invoices/7", "key": "k"} and got[7].seconds > 0
    assert server.connections <= 4 and set(server.asked.values()) == {1}


def test_too_many_requests_are_sent_again_and_what_is_missing_is_an_answer(server: Server) -> None:
    server.fails["/P/busy"] = 2
    busy, none = fetch(server.url, ["/busy", "/none"], api_key="k")
    assert (busy.status, server.asked["/P/busy"], none.status) == (200, 3, 404)


def test_a_refusal_is_an_error_that_names_the_path(server: Server) -> None:
    with pytest.raises(RuntimeError, match="GET /bad: HTTP 400"):
        list(fetch(server.url, ["/bad"], api_key="k"))


def test_paths_are_read_as_they_are_needed(server: Server) -> None:
    taken = 0

    def paths() -> Iterator[str]:
        nonlocal taken
        for n in range(10_000):
            taken += 1
            yield f"/{n}"

    answers = fetch(server.url, paths(), api_key="k", connections=2)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert taken < 20


def test_percentiles_are_in_order(server: Server) -> None:
    found = latency(server.url, ["/x"] * 100, api_key="k", connections=2)
    assert found["requests"] == 100 and found["requests_per_second"] > 0
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]


def test_a_name_below_localhost_is_this_machine(server: Server) -> None:
    answer = visit(f"http://some-bucket.localhost:{server.server_port}/x?y=1")
    assert answer.json()["path"] == "/x?y=1"  # type: ignore[no-untyped-call]
    assert server.hosts == [f"some-bucket.localhost:{server.server_port}"]
