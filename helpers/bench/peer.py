"""The same pipeline on the nearest project of its kind."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from ..client import send
from ..localaws import server
from ..rows import Selection, read_rows
from .ground import Ground, deploy, put_back, ratio

PEER = "ministack==1.5.33"  # the nearest project of its kind (MIT), as it comes from PyPI


@contextmanager
def _peer(scratch: Path, port: int) -> Iterator[str]:
    """MiniStack in an environment of its own, made here, with AUTH on."""
    home = scratch / "peer"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", PEER, "boto3"], check=True)
    keys = {"AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCH1", "AWS_SECRET_ACCESS_KEY": "bench"}
    region = {"AWS_DEFAULT_REGION": server.REGION}
    os.environ.update(keys | region)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    boto3.setup_default_session()
    with (scratch / "peer.log").open("wb") as log:
        path = f"{home / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "GATEWAY_PORT": str(port), "AUTH": "true", "PATH": path}
        process = subprocess.Popen([home / "bin" / "ministack"], env=environment, cwd=scratch, stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise server.LabError(f"{PEER} did not start: {(scratch / 'peer.log').read_text()[-300:]}")
            with suppress(BotoCoreError):
                boto3.client("sts", endpoint_url=endpoint).get_caller_identity()
                break
            time.sleep(0.1)
        yield endpoint
    finally:
        process.terminate()
        process.wait(20)


def measure(ground: Ground) -> dict[str, Any]:
    """The same pipeline on this lab and on MiniStack, in turns. Its handler prints a line: without one it waits."""
    count, pairs = (50, 2) if ground.quick else (1_500, 5)
    rates: dict[str, list[float]] = {f"{who}_{n}": [] for who in ("lab", "peer") for n in (1, 8)}
    before = dict(os.environ)
    try:
        with ground.lab() as info:
            ours = deploy(info.endpoint, "pass")
            with _peer(ground.scratch, info.port + 1 if info.port < 65_000 else 4_566) as endpoint:
                theirs = deploy(endpoint, "print('a row')")
                for turn in range(pairs + 1):
                    for who, url in (("lab", ours), ("peer", theirs)):
                        for n in (1, 8):
                            rows = Selection(first=count)
                            report = send(read_rows(ground.csv, rows), url, connections=n, progress=False)
                            if turn:  # the first one starts the workers
                                rates[f"{who}_{n}"].append(report.rows_per_second)
    finally:
        put_back(before)
    result = {f"{name}_rows_per_second": round(statistics.median(found)) for name, found in rates.items()}
    ratios = {f"lab_to_peer_{n}": ratio(rates[f"lab_{n}"], rates[f"peer_{n}"], 2) for n in (1, 8)}
    return {"peer": {"peer": PEER, "rows": count, **result, **ratios}}
