"""Mappings of event sources in this process, with a function that the test plays."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from helpers.localaws.types import AwsError, Function, Invocation

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/reader"
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"
BUCKET = "arn:aws:s3:::failed"
FUNCTION = Function(
    name="f",
    arn="arn:aws:lambda:us-east-1:123456789012:function:f",
    version="$LATEST",
    region=REGION,
    handler="f.lambda_handler",
    runtime="python3.13",
    role=ROLE,
    timeout=3,
    memory=128,
    environment={},
    code=b"",
    code_sha256="",
    log_group="/aws/lambda/f",
)
OK = Invocation(b"null", request_id="id-ok")
FAILED = Invocation(b'{"errorMessage": "no"}', "Unhandled", request_id="id-failed")
Answer = Invocation | AwsError | None
Event = dict[str, Any]


class Played:
    """What mappings ask of a lab. `play(event)` is called for each batch, and gives the function's answer."""

    def __init__(self, play: Callable[[Event], Answer | Awaitable[Answer]]) -> None:
        self.play, self.function = play, FUNCTION
        self.events: list[Event] = []
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.denied: set[str] = set()

    async def lookup(self, name: str, qualifier: str | None, region: str) -> Function:
        if name.rpartition(":")[2] == "gone":
            raise AwsError("ResourceNotFoundException", "Function not found: gone", 404)
        return replace(self.function, name=name.rpartition(":")[2], arn=FUNCTION.arn[:-1] + name.rpartition(":")[2])

    async def invoke(self, function: Function, payload: bytes) -> Invocation:
        event = json.loads(payload)
        event["function"] = function.name
        self.events.append(event)
        answer = self.play(event)
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, AwsError):
            raise answer
        await asyncio.sleep(0)
        return answer or OK

    def allowed(self, role: str, action: str, resource: str) -> bool:
        return action not in self.denied and role == ROLE and bool(resource)

    async def deliver(self, destination: str, body: bytes, key: str) -> None:
        self.sent.append((destination, json.loads(body), key))

    def seen(self) -> list[Any]:
        """What the function got, batch by batch, for a test that waits in vain."""
        return self.events

    async def until(self, condition: Callable[[], Any], what: str = "the condition", seconds: float = 90) -> None:
        """Lets the tasks run until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.seen()[-5:]}"
            await asyncio.sleep(0.001)
