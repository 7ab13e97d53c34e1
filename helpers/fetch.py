"""Many GETs to an API at the same time, over connections that stay open, and how long each took.

for answer in fetch(url, paths, api_key=secret, connections=8):
    ...
latency(url, paths, api_key=secret, connections=8)  # {"p50_ms": 4.1, "p95_ms": ..., ...}
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
import urllib3

# Also what passes by itself: too many requests, a function that is just being replaced.
_RETRIES = urllib3.Retry(
    6, backoff_factor=0.1, backoff_jitter=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
)


@dataclass(frozen=True, slots=True)
class Got:
    """One answer: `seconds` from sending to the last byte, repetitions included."""

    path: str
    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        return orjson.loads(self.body)


def fetch(url: str, paths: Iterable[str], *, api_key: str, connections: int = 8) -> Iterator[Got]:
    """GETs `url + path` for each path, in order. Raises RuntimeError for what in the end is neither 2xx nor 404."""
    headers = {"x-api-key": api_key}
    pool = urllib3.connection_from_url(url, maxsize=connections, block=True, retries=_RETRIES, timeout=60)
    prefix = urllib3.util.parse_url(url).path or ""

    def get(path: str) -> Got:
        started = time.perf_counter()
        answer = pool.urlopen("GET", prefix + path, headers=headers)
        got = Got(path, answer.status, answer.data, time.perf_counter() - started)
        if got.status >= 300 and got.status != 404:
            raise RuntimeError(f"GET {path}: HTTP {got.status} {got.body[:200]!r}")
        return got

    waiting: deque[Future[Got]] = deque()
    with pool, ThreadPoolExecutor(connections) as threads:
        for path in paths:
            waiting.append(threads.submit(get, path))
            while len(waiting) >= 4 * connections:  # neither all paths nor all answers are held at once
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def latency(url: str, paths: Sequence[str], *, api_key: str, connections: int) -> dict[str, float]:
    """Requests a second, and how long half, 95 % and 99 % of them took at most, in ms, at this many connections."""
    started = time.perf_counter()
    took = sorted(got.seconds for got in fetch(url, paths, api_key=api_key, connections=connections))
    elapsed = time.perf_counter() - started
    percentiles = {f"p{p}_ms": round(took[min(len(took) - 1, len(took) * p // 100)] * 1000, 1) for p in (50, 95, 99)}
    return {"requests": len(took), **percentiles, "requests_per_second": round(len(took) / elapsed)}


def visit(url: str) -> urllib3.BaseHTTPResponse:
    """GETs a page as a browser does, for whom every name below `localhost` is this machine; not every system knows.

    https://www.rfc-editor.org/rfc/rfc6761#section-6.3. Redirects are not followed.
    """
    parts = urllib3.util.parse_url(url)
    headers = {"Host": parts.netloc or ""}
    if (parts.host or "").endswith(".localhost"):
        url = parts._replace(host="127.0.0.1").url
    return urllib3.request("GET", url, headers=headers, redirect=False, retries=False)
