"""Event source mappings: in process with a function that the test plays, and through boto3 against a lab.

Each test names the page that its expectation rests on; guide: https://docs.aws.amazon.com/lambda/latest/dg/,
API: https://docs.aws.amazon.com/lambda/latest/api/.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import re
import time
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any
from zlib import crc32

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from played_lab import BUCKET, FAILED, FUNCTION, OK, QUEUE, REGION, ROLE, STREAM, Answer, Event, Played

from helpers.localaws import limits, protocols, server
from helpers.localaws.event_sources import EventSources, Needs, ordered
from helpers.localaws.kinesis import Kinesis, Record
from helpers.localaws.types import AwsError, Function, Invocation
from tests.seeded import seeded


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other within milliseconds."""
    monkeypatch.setattr(ordered, "MAX_BACKOFF", 0.002)


class Lab(Played):
    """A stream, mappings on it, and a function whose answers the test gives: `play(event)` is called for each batch."""

    def __init__(self, shards: int = 1, play: Callable[[Event], Answer | Awaitable[Answer]] = lambda _: None) -> None:
        self.ahead = 0.0  # seconds by which Kinesis' clock is before this machine's
        self.kinesis = Kinesis(clock=lambda: time.time() + self.ahead)
        self.call("CreateStream", ShardCount=shards)
        super().__init__(play)
        self.sources = EventSources(Needs(self.kinesis, self.lookup, self.invoke, self.allowed, self.deliver))

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.kinesis.call(operation, {"StreamName": "s", **parameters}, REGION)

    def put(self, *names: str, key: str = "k", **more: Any) -> None:
        entries = [{"Data": base64.b64encode(n.encode()).decode(), "PartitionKey": key, **more} for n in names]
        for at in range(0, len(entries), 500):
            assert self.call("PutRecords", Records=entries[at : at + 500])["FailedRecordCount"] == 0

    async def map(self, **parameters: Any) -> str:
        wanted = {"EventSourceArn": STREAM, "FunctionName": "f", "StartingPosition": "TRIM_HORIZON", **parameters}
        return str((await self.sources.create(wanted, REGION))["UUID"])

    def batches(self) -> list[list[str]]:
        return [names(e) for e in self.events]

    def seen(self) -> list[Any]:
        return self.batches()

    def state(self, key: str) -> str:
        return str(self.sources.get(key).config["State"])


def names(event: Event) -> list[str]:
    return [base64.b64decode(r["kinesis"]["data"]).decode() for r in event["Records"]]


def numbers(event: Event) -> list[str]:
    return [r["kinesis"]["sequenceNumber"] for r in event["Records"]]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def failing(*failed: str) -> Callable[[Event], Answer]:
    """A function that fails as long as one of these records is in its batch."""
    return lambda event: FAILED if set(failed) & set(names(event)) else OK


# What the function gets


def test_the_event_is_awss() -> None:
    """guide: with-kinesis.html, the example event"""

    async def test() -> None:
        lab = Lab()
        answer = lab.call("PutRecord", Data="SGVsbG8=", PartitionKey='ü"1')
        await lab.map()
        await lab.until(lambda: lab.events)
        record = lab.events[0]["Records"][0]
        arrival = record["kinesis"].pop("approximateArrivalTimestamp")
        assert abs(arrival - time.time()) < 60 and round(arrival, 3) == arrival
        number = answer["SequenceNumber"]
        assert record == {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": 'ü"1',
                "sequenceNumber": number,
                "data": "SGVsbG8=",
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000000:{number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": ROLE,
            "awsRegion": REGION,
            "eventSourceARN": STREAM,
        }
        await lab.sources.close()

    run(test())


def test_batches_hold_up_to_batch_size_in_order() -> None:
    """guide: services-kinesis-parameters.html: BatchSize, 100 by default"""

    async def test() -> None:
        lab = Lab()
        lab.put(*map(str, range(250)))
        await lab.map()
        await lab.until(lambda: len(lab.events) == 3)
        assert [len(b) for b in lab.batches()] == [100, 100, 50]
        assert sum(lab.batches(), []) == [str(n) for n in range(250)]
        await lab.sources.close()

    run(test())


def test_a_batch_keeps_to_the_payload_limit() -> None:
    """guide: with-kinesis.html: a batch is at most 6 MB as the function gets it"""

    async def test() -> None:
        lab = Lab(shards=1)
        shard = lab.kinesis.streams[STREAM].shards["shardId-000000000000"]
        for n in range(40):  # past the shard's write limit, which is not what this is about
            shard.records.append(Record(b"%02d" % n + b"x" * 499_998, "k", round(time.time(), 3)))
        sizes: list[int] = []
        invoke = lab.invoke

        async def measured(function: Function, payload: bytes) -> Invocation:
            sizes.append(len(payload))
            return await invoke(function, payload)

        lab.sources = EventSources(Needs(lab.kinesis, lab.lookup, measured, lab.allowed, lab.deliver))
        await lab.map(BatchSize=10_000)
        await lab.until(lambda: sum(len(e["Records"]) for e in lab.events) == 40)
        assert [n[:2] for b in lab.batches() for n in b] == [f"{n:02d}" for n in range(40)]
        assert max(sizes) <= limits.LAMBDA_PAYLOAD and len(sizes) == 5, "nine records of half a MB each, as base64"
        await lab.sources.close()

    run(test())


def test_a_payload_that_is_too_large_after_all_is_halved() -> None:
    async def test() -> None:
        lab = Lab(play=lambda e: AwsError("RequestEntityTooLargeException", "", 413) if len(names(e)) > 2 else OK)
        lab.put(*"abcdefg")
        await lab.map()
        await lab.until(lambda: sum(len(b) for b in lab.batches() if len(b) < 3) == 7)
        assert [b for b in lab.batches() if len(b) < 3] == [["a"], ["b", "c"], ["d", "e"], ["f", "g"]]
        await lab.sources.close()

    run(test())


def test_a_put_wakes_the_function_at_once() -> None:
    """Without a window (guide: with-kinesis.html: by default as soon as records are available), here in milliseconds"""

    async def test() -> None:
        lab = Lab()
        await lab.map()
        await asyncio.sleep(0.05)
        taken = []
        for n in range(50):
            put = time.perf_counter()
            lab.put(str(n))
            while len(lab.events) <= n:
                await asyncio.sleep(0)
            taken.append(time.perf_counter() - put)
        assert sorted(taken)[25] < 0.01
        await lab.sources.close()

    run(test())


def test_a_window_gathers() -> None:
    """guide: with-kinesis.html: until the batch is full, the window is over or the payload is reached"""

    async def test() -> None:
        lab = Lab()
        await lab.map(BatchSize=10, MaximumBatchingWindowInSeconds=2)
        start = time.monotonic()
        for n in range(6):
            lab.put(str(n))
            await asyncio.sleep(0.02)
        assert not lab.events
        await lab.until(lambda: lab.events)
        assert lab.batches() == [["0", "1", "2", "3", "4", "5"]] and 1.9 < time.monotonic() - start < 30
        start = time.monotonic()
        lab.put(*map(str, range(25)))
        await lab.until(lambda: len(lab.events) >= 3)
        assert time.monotonic() - start < 1.9, "full batches do not wait"
        assert [len(b) for b in lab.batches()[1:]] == [10, 10]
        await lab.until(lambda: len(lab.events) == 4)
        assert len(lab.batches()[3]) == 5 and time.monotonic() - start > 1.9
        await lab.sources.close()

    run(test())


# Where it starts


def test_starting_positions() -> None:
    """API: API_CreateEventSourceMapping.html: StartingPosition, StartingPositionTimestamp"""

    async def test() -> None:
        lab = Lab(shards=2)
        lab.put("old")
        lab.ahead += 10
        moment = lab.kinesis.clock()
        lab.ahead += 10
        lab.put("newer")
        await lab.map(FunctionName="all")
        await lab.map(FunctionName="since", StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=moment)
        await lab.map(FunctionName="latest", StartingPosition="LATEST")
        lab.put("newest")  # before any task has run: the position is that of the call
        await lab.until(lambda: sum(map(len, lab.batches())) == 6)
        got = {f: [n for e in lab.events if e["function"] == f for n in names(e)] for f in ("all", "since", "latest")}
        assert got == {"all": ["old", "newer", "newest"], "since": ["newer", "newest"], "latest": ["newest"]}
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
def test_resharding_is_followed_parents_first(start: str) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html: a key's order is
    kept by reading parents to the end before children; children are read from their beginning, whatever the start."""

    async def test() -> None:
        lab = Lab(shards=2)
        more = {"StartingPositionTimestamp": time.time() - 60} if start == "AT_TIMESTAMP" else {}
        await lab.map(StartingPosition=start, BatchSize=7, **more)
        keys = [f"key {n}" for n in range(20)]
        for step, count in enumerate((3, 5, 4, 2, 1, 2)):
            for key in keys:
                lab.put(f"{key}/{2 * step}", key=key)
            lab.call("UpdateShardCount", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
            for key in keys:
                lab.put(f"{key}/{2 * step + 1}", key=key)
            if step % 2:
                await asyncio.sleep(0.01)
        await lab.until(lambda: sum(map(len, lab.batches())) == 240)
        got = [n for b in lab.batches() for n in b]
        for key in keys:
            assert [n for n in got if n.startswith(f"{key}/")] == [f"{key}/{n}" for n in range(12)]
        await lab.sources.close()

    run(test())


def test_a_shard_that_is_split_while_nothing_comes() -> None:
    async def test() -> None:
        lab = Lab()
        lab.put("a")
        await lab.map(StartingPosition="TRIM_HORIZON")
        await lab.until(lambda: lab.events)
        await asyncio.sleep(0.01)
        lab.call("SplitShard", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
        await asyncio.sleep(0.01)
        lab.put("b")
        await lab.until(lambda: lab.batches() == [["a"], ["b"]])
        await lab.sources.close()

    run(test())


def test_a_child_waits_for_its_parents_while_they_fail() -> None:
    async def test() -> None:
        lab = Lab(play=failing("parent"))
        lab.put("parent")
        await lab.map()
        lab.call("SplitShard", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
        lab.put("child")
        await lab.until(lambda: len(lab.events) > 5)
        assert {n for b in lab.batches() for n in b} == {"parent"}
        lab.play = lambda _: None
        await lab.until(lambda: ["child"] in lab.batches())
        await lab.sources.close()

    run(test())


def test_several_mappings_read_a_stream_each_for_itself() -> None:
    """guide: with-kinesis.html: several functions may process the same data"""

    async def test() -> None:
        lab = Lab(shards=2, play=lambda e: FAILED if e["function"] == "bad" else OK)
        for name in ("good", "bad", "other"):
            await lab.map(FunctionName=name)
        lab.put(*map(str, range(150)), ExplicitHashKey="0")
        for name in ("good", "other"):
            await lab.until(lambda n=name: sum(len(e["Records"]) for e in lab.events if e["function"] == n) == 150)
        assert all(len(names(e)) <= 100 and names(e)[0] == "0" for e in lab.events if e["function"] == "bad")
        await lab.sources.close()

    run(test())


# Failures


@pytest.mark.parametrize("kind", ["Handled", "Unhandled"])
def test_a_failing_batch_is_retried_as_a_whole_and_blocks_its_shard_only(kind: str) -> None:
    """guide: kinesis-on-failure-destination.html: retried until it succeeds or expires, by default"""

    async def test() -> None:
        left = {"a": 3}

        def play(event: Event) -> Answer:
            if "a" in names(event) and left["a"]:
                left["a"] -= 1
                return Invocation(b"{}", kind)
            return OK

        lab = Lab(shards=2, play=play)
        lab.put("a", "b", "c", ExplicitHashKey="0")
        lab.put("x", ExplicitHashKey=str(2**127))
        await lab.map(BatchSize=2)
        await lab.until(lambda: ["c"] in lab.batches())
        assert [b for b in lab.batches() if b != ["x"]] == [["a", "b"]] * 4 + [["c"]]
        assert lab.batches().count(["x"]) == 1 and not lab.sent
        await lab.until(lambda: next(iter(lab.sources.mappings.values())).config["LastProcessingResult"] == "OK")
        await lab.sources.close()

    run(test())


def test_a_throttled_function_is_retried_without_using_up_retries() -> None:
    """guide: kinesis-on-failure-destination.html: before invocation, it is retried until the records are too old"""

    async def test() -> None:
        answers: list[Answer] = [AwsError("TooManyRequestsException", "Rate Exceeded.", 429)] * 8 + [FAILED, OK]
        lab = Lab(play=lambda _: answers.pop(0) if answers else OK)
        lab.put("a")
        await lab.map(MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
        await lab.until(lambda: len(lab.events) == 10)
        lab.put("b")
        await lab.until(lambda: len(lab.events) == 11)
        assert not lab.sent
        await lab.sources.close()

    run(test())


def test_a_lab_that_fails_itself_loses_nothing() -> None:
    async def test() -> None:
        calls = iter(range(10))

        def play(_: Event) -> Answer:
            if next(calls) < 3:
                raise RuntimeError("a fault of the lab")
            return OK

        lab = Lab(play=play)
        lab.put("a")
        await lab.map(MaximumRetryAttempts=0)
        await lab.until(lambda: len(lab.events) == 4)
        await lab.sources.close()

    run(test())


def test_a_function_that_was_deleted_and_comes_back() -> None:
    async def test() -> None:
        lab = Lab()
        key = await lab.map()
        lab.sources.get(key).config["FunctionArn"] = FUNCTION.arn[:-1] + "gone"
        lab.put("a")
        await asyncio.sleep(0.02)
        assert not lab.events
        lab.sources.get(key).config["FunctionArn"] = FUNCTION.arn
        await lab.until(lambda: lab.batches() == [["a"]])
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize("target", [QUEUE, "arn:aws:sns:us-east-1:123456789012:failed", BUCKET])
def test_a_batch_is_set_aside_when_its_retries_are_used_up(target: str) -> None:
    """guide: kinesis-on-failure-destination.html: the invocation record; S3 gets the payload and AWS's object name"""

    async def test() -> None:
        lab = Lab(play=failing("b"))
        lab.put("a", "b", "c")
        key = await lab.map(
            BatchSize=2, MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": target}}
        )
        await lab.until(lambda: ["c"] in lab.batches() and lab.sent)
        assert lab.batches() == [["a", "b"]] * 3 + [["c"]]
        [(destination, record, name)] = lab.sent
        times = {k: record["KinesisBatchInfo"].pop(f"approximateArrivalOf{k}Record") for k in ("First", "Last")}
        for stamp in (*times.values(), record.pop("timestamp")):
            assert len(stamp) == 24 and stamp[10] == "T" and stamp.endswith("Z")
        payload = record.pop("payload", None)
        assert destination == target
        assert record == {
            "requestContext": {
                "requestId": "id-failed",
                "functionArn": FUNCTION.arn,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 3,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000000",
                "startSequenceNumber": numbers(lab.events[0])[0],
                "endSequenceNumber": numbers(lab.events[0])[1],
                "batchSize": 2,
                "streamArn": STREAM,
            },
        }
        if target == BUCKET:
            assert names(json.loads(payload)) == ["a", "b"]
            prefix, _, day = name.partition("/shardId-000000000000/")
            assert prefix == f"aws/lambda/{key}"
            assert re.fullmatch(r"(\d{4})/(\d\d)/(\d\d)/\1-\2-\3T\d\d\.\d\d\.\d\d-[0-9a-f-]{36}", day)
        else:
            assert payload is None, "queues and topics get metadata only"
        await lab.sources.close()

    run(test())


def test_no_retries_at_all() -> None:
    async def test() -> None:
        lab = Lab(play=failing("a"))
        lab.put("a", "b")
        await lab.map(BatchSize=1, MaximumRetryAttempts=0)
        await lab.until(lambda: ["b"] in lab.batches())
        assert lab.batches() == [["a"], ["b"]] and not lab.sent, "without a destination it is dropped, as on AWS"
        await lab.sources.close()

    run(test())


def test_records_that_are_too_old_are_set_aside() -> None:
    """guide: services-kinesis-parameters.html: MaximumRecordAgeInSeconds; the record as in localstack/localstack,
    tests/aws/services/lambda_/event_source_mapping/test_lambda_integration_kinesis.snapshot.json
    """

    async def test() -> None:
        lab = Lab(play=failing("old"))
        lab.put("old 1", "old")
        lab.ahead = 55
        lab.put("new")
        await lab.map(MaximumRecordAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
        await lab.until(lambda: len(lab.events) > 3)
        assert set(map(tuple, lab.batches())) == {("old 1", "old", "new")}
        lab.ahead = 70
        await lab.until(lambda: ["new"] in lab.batches())
        [(_, record, _)] = lab.sent
        assert record["requestContext"]["condition"] == "RecordAgeExceeded"
        assert record["requestContext"]["approximateInvokeCount"] == 1 and "responseContext" not in record
        assert record["KinesisBatchInfo"]["batchSize"] == 2
        assert record["KinesisBatchInfo"]["endSequenceNumber"] == numbers(lab.events[0])[1]
        await lab.sources.close()

    run(test())


def test_a_batch_that_fails_for_ever_ends_with_the_streams_retention() -> None:
    """guide: kinesis-on-failure-destination.html: by default it is retried until the records expire"""

    async def test() -> None:
        lab = Lab(play=failing("a"))
        lab.put("a")
        await lab.map(DestinationConfig={"OnFailure": {"Destination": QUEUE}})
        await lab.until(lambda: len(lab.events) > 2)
        lab.ahead = 25 * 3600
        await lab.until(lambda: lab.sent)
        lab.put("b")
        await lab.until(lambda: ["b"] in lab.batches())
        await lab.sources.close()

    run(test())


def test_bisecting_isolates_a_poison_record() -> None:
    """guide: kinesis-on-failure-destination.html: splitting does not consume the retry quota"""

    async def test() -> None:
        lab = Lab(play=failing("37"))
        lab.put(*map(str, range(100)))
        await lab.map(
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        )
        done: list[str] = []
        await lab.until(lambda: "99" in [n for b in lab.batches() if "37" not in b for n in b])
        done = [n for b in lab.batches() if "37" not in b for n in b]
        assert done == [str(n) for n in range(100) if n != 37], "each once, in order"
        assert lab.batches().count(["37"]) == 2
        [(_, record, _)] = lab.sent
        assert record["KinesisBatchInfo"]["batchSize"] == 1
        assert record["KinesisBatchInfo"]["startSequenceNumber"] == numbers(lab.events[0])[37]
        await lab.sources.close()

    run(test())


def test_a_destination_that_is_gone_does_not_stop_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    """guide: monitoring-metrics-types.html: DestinationDeliveryFailures"""

    async def test() -> None:
        lab = Lab(play=failing("a"))

        async def gone(*_: Any) -> None:
            raise AwsError("QueueDoesNotExist", "The queue is gone.")

        lab.sources = EventSources(Needs(lab.kinesis, lab.lookup, lab.invoke, lab.allowed, gone))
        lab.put("a", "b")
        await lab.map(BatchSize=1, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
        await lab.until(lambda: ["b"] in lab.batches())
        shown = {m["MetricName"]: m["StatisticValues"]["Sum"] for _, d in lab.sources.drain_metrics() for m in d}
        assert shown["DestinationDeliveryFailures"] == 1
        await lab.sources.close()

    run(test())
    assert "QueueDoesNotExist" in caplog.text and "startSequenceNumber" in caplog.text


# Partial batch responses


REPORT = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


def report(*identifiers: Any) -> Invocation:
    return Invocation(json.dumps({"batchItemFailures": [{"itemIdentifier": i} for i in identifiers]}).encode())


def test_records_from_the_lowest_failure_on_are_retried() -> None:
    """guide: services-kinesis-batchfailurereporting.html"""

    async def test() -> None:
        lab = Lab()
        lab.play = lambda e: report(*numbers(e)[3:1:-1]) if len(lab.events) == 1 else OK
        lab.put(*"abcde")
        await lab.map(**REPORT)
        await lab.until(lambda: len(lab.events) == 2)
        lab.put("f")
        await lab.until(lambda: len(lab.events) == 3)
        assert lab.batches() == [list("abcde"), list("cde"), ["f"]]
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize(
    "payload",
    [b'{"batchItemFailures": []}', b'{"batchItemFailures": null}', b"{}", b"null", b"", b'{"statusCode": 200}'],
)
def test_answers_that_mean_success(payload: bytes) -> None:
    """guide: services-kinesis-batchfailurereporting.html#streams-batchfailurereporting-conditions"""

    async def test() -> None:
        lab = Lab(play=lambda _: Invocation(payload))
        lab.put("a", "b")
        await lab.map(BatchSize=1, **REPORT)
        await lab.until(lambda: ["b"] in lab.batches())
        assert lab.batches() == [["a"], ["b"]]
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize(
    "payload",
    [
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemId": "1"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "123"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "%s"}]}' % (b"9" * 56),
        b'{"batchItemFailures": [{}]}',
        b'{"batchItemFailures": "all"}',
        b'"done"',
        b"[1]",
        b"not json",
    ],
)
def test_answers_that_mean_failure_of_the_whole_batch(payload: bytes) -> None:
    """guide: services-kinesis-batchfailurereporting.html#streams-batchfailurereporting-conditions"""

    async def test() -> None:
        answers = [Invocation(payload)]
        lab = Lab(play=lambda _: answers.pop() if answers else OK)
        lab.put("a", "b")
        await lab.map(**REPORT)
        await lab.until(lambda: len(lab.events) == 2)
        assert lab.batches() == [["a", "b"]] * 2 and numbers(lab.events[0]) == numbers(lab.events[1])
        await lab.sources.close()

    run(test())


def test_a_report_is_not_read_unless_it_was_asked_for() -> None:
    """guide: services-kinesis-batchfailurereporting.html: only when it is turned on for the mapping"""

    async def test() -> None:
        lab = Lab(play=lambda e: report(numbers(e)[0]))
        lab.put("a")
        await lab.map()
        await lab.until(lambda: lab.events)
        lab.put("b")
        await lab.until(lambda: len(lab.events) == 2)
        assert lab.batches() == [["a"], ["b"]]
        await lab.sources.close()

    run(test())


def test_partial_responses_use_up_retries_and_set_aside_the_rest() -> None:
    async def test() -> None:
        lab = Lab(play=lambda e: report(numbers(e)[names(e).index("c")]) if "c" in names(e) else OK)
        lab.put(*"abcd")
        await lab.map(MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": QUEUE}}, **REPORT)
        await lab.until(lambda: lab.sent)
        assert lab.batches() == [list("abcd"), list("cd"), list("cd")]
        [(_, record, _)] = lab.sent
        assert record["KinesisBatchInfo"]["batchSize"] == 2
        assert record["responseContext"]["functionError"] is None
        await lab.sources.close()

    run(test())


def test_bisecting_at_the_reported_record() -> None:
    """guide: services-kinesis-batchfailurereporting.html#streams-batchfailurereporting-bisect"""

    async def test() -> None:
        lab = Lab(play=lambda e: report(numbers(e)[names(e).index("c")]) if "c" in names(e) else OK)
        lab.put(*"abcdef")
        await lab.map(
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": QUEUE}},
            **REPORT,
        )
        await lab.until(lambda: lab.sent and ["e", "f"] in lab.batches())
        assert lab.batches() == [list("abcdef"), list("cdef"), list("cd"), ["c"], ["d"], ["e", "f"]]
        assert lab.sent[0][1]["KinesisBatchInfo"]["batchSize"] == 1
        await lab.sources.close()

    run(test())


# Changes while it runs


def held(lab: Lab, log: list[str]) -> asyncio.Event:
    """Makes the function wait for the event that is returned, and log when it begins and ends."""
    gate = asyncio.Event()

    async def play(event: Event) -> Answer:
        log.append(f"begin {names(event)[0]}")
        await gate.wait()
        log.append(f"end {names(event)[0]}")
        return OK

    lab.play = play
    return gate


@pytest.mark.parametrize("change", ["disable", "update", "twice"])
def test_a_change_lets_the_batch_in_flight_finish(change: str) -> None:
    """guide: with-kinesis.html: Lambda keeps track of the last record processed and resumes from there"""

    async def test() -> None:
        lab, log = Lab(), []
        gate = held(lab, log)
        lab.put(*"abcd")
        key = await lab.map(BatchSize=2)
        await lab.until(lambda: log)
        if change == "disable":
            assert (await lab.sources.update(key, {"Enabled": False}, REGION))["State"] == "Disabling"
        else:
            await lab.sources.update(key, {"BatchSize": 1}, REGION)
        if change == "twice":
            await asyncio.sleep(0.01)
            await lab.sources.update(key, {"Enabled": False}, REGION)
            await lab.sources.update(key, {"Enabled": True, "BatchSize": 1}, REGION)
        await asyncio.sleep(0.02)
        state = {"disable": "Disabling", "update": "Updating", "twice": "Enabling"}[change]
        assert log == ["begin a"] and lab.state(key) == state, "the next batch waits for the one in flight"
        gate.set()
        if change == "disable":
            await lab.until(lambda: lab.state(key) == "Disabled")
            assert log == ["begin a", "end a"]
            lab.put("e")
            await asyncio.sleep(0.02)
            assert len(lab.events) == 1
            await lab.sources.update(key, {"Enabled": True}, REGION)
            await lab.until(lambda: len(lab.events) == 3)
            assert lab.batches() == [["a", "b"], ["c", "d"], ["e"]]
        else:
            await lab.until(lambda: len(lab.events) == 3)
            assert lab.batches() == [["a", "b"], ["c"], ["d"]], "nothing twice, nothing lost"
        assert lab.state(key) == "Enabled"
        await lab.sources.close()

    run(test())


def test_a_mapping_is_disabled_after_its_last_batch_too() -> None:
    async def test() -> None:
        lab, log = Lab(), []
        gate = held(lab, log)
        lab.put("a")
        key = await lab.map()
        await lab.until(lambda: log)
        await lab.sources.update(key, {"Enabled": False}, REGION)
        await asyncio.sleep(0.01)
        gate.set()
        await lab.until(lambda: lab.state(key) == "Disabled")
        await lab.until(lambda: not lab.sources._tasks)
        assert log == ["begin a", "end a"]

    run(test())


def test_a_failing_batch_goes_on_where_it_stood_after_an_update() -> None:
    async def test() -> None:
        lab = Lab(play=lambda e: report(numbers(e)[names(e).index("c")]) if "c" in names(e) else OK)
        lab.put(*"abcd")
        key = await lab.map(**REPORT)
        await lab.until(lambda: len(lab.events) > 3)
        await lab.sources.update(key, {"BatchSize": 1}, REGION)
        await lab.until(lambda: ["c"] in lab.batches())
        lab.play = lambda _: None
        await lab.until(lambda: ["d"] in lab.batches())
        assert [b for b in lab.batches() if "a" in b] == [list("abcd")], "what was done is not delivered again"
        await lab.sources.close()

    run(test())


def test_a_deleted_mapping_finishes_its_batch_and_reads_no_more() -> None:
    """API: API_DeleteEventSourceMapping.html"""

    async def test() -> None:
        lab, log = Lab(), []
        gate = held(lab, log)
        lab.put("a", "b")
        key = await lab.map(BatchSize=1)
        await lab.until(lambda: log)
        assert (await lab.sources.delete(key))["State"] == "Deleting"
        with pytest.raises(AwsError) as caught:
            lab.sources.get(key)
        assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
        gate.set()
        await lab.until(lambda: "end a" in log)
        await asyncio.sleep(0.02)
        assert len(lab.events) == 1 and not lab.sources._tasks
        await lab.map()
        await lab.until(lambda: len(lab.events) == 2)
        assert lab.batches()[1] == ["a", "b"], "a new mapping begins at its own starting position"
        await lab.sources.close()

    run(test())


def test_closing_does_not_wait_for_a_function() -> None:
    async def test() -> None:
        lab, log = Lab(), []
        held(lab, log)
        lab.put("a")
        key = await lab.map()
        await lab.until(lambda: log)
        await lab.sources.update(key, {"Enabled": False}, REGION)
        await asyncio.sleep(0.01)
        await asyncio.wait_for(lab.sources.close(), 2)
        assert log == ["begin a"]
        left = {str(t.get_coro()) for t in asyncio.all_tasks() if "EventSources" in str(t) or "play" in str(t)}
        assert not left

    run(test())


def test_children_that_came_while_it_was_disabled_are_read_from_their_beginning() -> None:
    async def test() -> None:
        lab = Lab()
        key = await lab.map(StartingPosition="LATEST")
        lab.put("a")
        await lab.until(lambda: lab.events)
        await lab.sources.update(key, {"Enabled": False}, REGION)
        lab.put("b")
        lab.call("SplitShard", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
        lab.put("c")
        await lab.sources.update(key, {"Enabled": True}, REGION)
        await lab.until(lambda: len(lab.events) == 3)
        assert lab.batches() == [["a"], ["b"], ["c"]]
        await lab.sources.close()

    run(test())


def test_a_stream_that_is_deleted() -> None:
    async def test() -> None:
        lab = Lab()
        key = await lab.map()
        await asyncio.sleep(0.01)
        lab.call("DeleteStream")
        config = lab.sources.get(key).config
        await lab.until(lambda: config["LastProcessingResult"] == "PROBLEM: Stream not found")
        await lab.sources.delete(key)
        await lab.sources.close()

    run(test())


def test_a_stream_that_is_deleted_while_its_batch_fails() -> None:
    async def test() -> None:
        lab = Lab(play=failing("a"))
        lab.put("a")
        config = lab.sources.get(await lab.map()).config
        await lab.until(lambda: len(lab.events) > 2)
        lab.call("DeleteStream")
        await lab.until(lambda: config["LastProcessingResult"] == "PROBLEM: Stream not found")
        count = len(lab.events)
        await asyncio.sleep(0.02)
        assert len(lab.events) == count
        await lab.sources.close()

    run(test())


def test_an_update_does_not_bring_a_deleted_mapping_back() -> None:
    async def test() -> None:
        lab = Lab()
        key = await lab.map(Tags={"workbook": "05"})
        gate, lookup = asyncio.Event(), lab.lookup

        async def slow(*arguments: Any) -> Function:
            await gate.wait()
            return await lookup(*arguments)

        lab.sources.needs = replace(lab.sources.needs, lookup=slow)
        update = asyncio.ensure_future(lab.sources.update(key, {"FunctionName": "g"}, REGION))
        await asyncio.sleep(0.01)
        await lab.sources.delete(key)
        gate.set()
        with pytest.raises(AwsError, match="does not exist"):
            await update
        await lab.until(lambda: not lab.sources._tasks)

    run(test())


@pytest.mark.parametrize("factors", [(1,), (4, 1, 10)])
def test_nothing_is_lost_and_a_keys_order_is_kept_whatever_happens(factors: tuple[int, ...]) -> None:
    """10,000 rows, a function that fails, is throttled, crashes and reports; resharding and updates all the while.

    With a ParallelizationFactor as well, and while that changes: guide: with-kinesis.html, order by partition key.
    """

    async def test() -> None:
        turn = iter(range(10**9))
        shards, log = 3, []

        def play(event: Event) -> Answer:
            n = next(turn)
            if n % 5 == 1:
                log.append(n)
                return FAILED
            if n % 7 == 2:
                return AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
            if n % 11 == 3:
                seen.extend(names(event)[: len(names(event)) // 2])
                return report(numbers(event)[len(names(event)) // 2])
            seen.extend(names(event))
            return OK

        seen: list[str] = []
        lab = Lab(shards=shards, play=play)
        key = await lab.map(BatchSize=64, ParallelizationFactor=factors[0], **REPORT)
        total = 0
        for step in range(40):
            lab.ahead += 1
            for k in range(10):
                lab.put(*(f"key {k}/{step * 25 + n}" for n in range(25)), key=f"key {k}")
                total += 25
            if step % 8 == 3:
                shards = 5 if shards == 3 else 3
                lab.call("UpdateShardCount", TargetShardCount=shards, ScalingType="UNIFORM_SCALING")
            if step % 6 == 5:
                changed = {"BatchSize": 20 + step, "ParallelizationFactor": factors[step % len(factors)]}
                await lab.sources.update(key, {**changed, "Enabled": step % 12 == 11}, REGION)
            await asyncio.sleep(0.002)
        await lab.sources.update(key, {"Enabled": True}, REGION)
        await lab.until(lambda: len(set(seen)) == total, f"{total} rows")
        assert log and total == 10_000
        for k in range(10):
            mine = [int(n.rpartition("/")[2]) for n in dict.fromkeys(seen) if n.startswith(f"key {k}/")]
            assert mine == list(range(1000))
        await lab.sources.close()

    run(test())


# Several batches of a shard at a time: guide: with-kinesis.html, services-kinesis-parameters.html


def keyed(lab: Lab, keys: str, count: int) -> None:
    """Rows "a0", "b0", …, "a1", …, each under the key that it begins with."""
    for n in range(count):
        for key in keys:
            lab.put(f"{key}{n}", key=key)


def test_a_shards_batches_run_side_by_side_and_a_keys_one_after_the_other() -> None:
    async def test() -> None:
        running: Counter[str] = Counter()
        most = []

        async def play(event: Event) -> Answer:
            mine = {name[0] for name in names(event)}
            running.update(mine)
            assert all(running[key] == 1 for key in mine), "one batch of a key at a time"
            most.append(sum(1 for key in running if running[key]))
            await asyncio.sleep(0.002)
            running.subtract(mine)
            return OK

        lab = Lab(play=play)
        await lab.map(BatchSize=5, ParallelizationFactor=10)
        keyed(lab, "abcdefghij", 40)
        await lab.until(lambda: sum(map(len, lab.batches())) == 400)
        got = sum(lab.batches(), [])
        for key in "abcdefghij":
            assert [name for name in got if name[0] == key] == [f"{key}{n}" for n in range(40)]
        assert max(most) > 3 and max(map(len, lab.batches())) == 5
        await lab.sources.close()

    run(test())


def test_a_poison_record_blocks_its_own_lane_only_and_is_set_aside_by_its_number() -> None:
    async def test() -> None:
        lab = Lab(play=failing("c7"))
        key = await lab.map(
            BatchSize=8, ParallelizationFactor=10, MaximumRetryAttempts=-1, BisectBatchOnFunctionError=True
        )
        keyed(lab, "abcdefghij", 30)
        lanes = crc32(b"c") % 10
        behind = [k for k in "abcdefghij" if crc32(k.encode()) % 10 == lanes]
        free = [k for k in "abcdefghij" if k not in behind]
        wanted = {f"{k}{n}" for k in free for n in range(30)}
        await lab.until(lambda: wanted <= set(sum(lab.batches(), [])), "all keys of the other lanes")
        done = [b for b in lab.batches() if "c7" not in b]
        assert not any(f"c{n}" in b for b in done for n in range(8, 30)), "nothing overtakes it"
        setting = {"MaximumRetryAttempts": 1, "DestinationConfig": {"OnFailure": {"Destination": QUEUE}}}
        await lab.sources.update(key, setting, REGION)
        await lab.until(lambda: "c29" in sum(lab.batches(), []), "the lane to go on")
        ((_, told, _),) = lab.sent
        number = next(n for e in lab.events for n, name in zip(numbers(e), names(e), strict=True) if name == "c7")
        info = told["KinesisBatchInfo"]
        assert (info["batchSize"], info["startSequenceNumber"], info["endSequenceNumber"]) == (1, number, number)
        got = [name for b in lab.batches() if "c7" not in b for name in b]
        for k in "abcdefghij":  # each once, in order
            assert [n for n in got if n[0] == k] == [f"{k}{n}" for n in range(30) if f"{k}{n}" != "c7"]
        await lab.sources.close()

    run(test())


def test_a_partial_response_names_a_record_of_a_lane() -> None:
    async def test() -> None:
        failed: list[str] = []

        def play(event: Event) -> Answer:
            if not failed and "b5" in names(event):
                failed.extend(names(event))
                return report(numbers(event)[names(event).index("b5")])
            return OK

        lab = Lab(play=play)
        keyed(lab, "abcdefg", 20)
        await lab.map(BatchSize=20, ParallelizationFactor=7, **REPORT)
        await lab.until(lambda: failed)
        await lab.until(lambda: sum(map(len, lab.batches())) == 140 + len(failed) - failed.index("b5"))
        after = next(b for b in lab.batches() if b[0] == "b5")
        assert after == failed[failed.index("b5") :] and all(f"b{n}" in sum(lab.batches(), []) for n in range(20))
        await lab.sources.close()

    run(test())


def test_what_is_done_is_not_done_again_when_a_mapping_with_lanes_changes() -> None:
    """While one lane waits, others are far ahead: nothing of theirs comes twice after updates of every kind."""

    async def test() -> None:
        open_again = False
        lab = Lab(play=lambda event: FAILED if not open_again and any(n[0] == "c" for n in names(event)) else OK)
        keyed(lab, "abcdefghij", 20)
        key = await lab.map(BatchSize=4, ParallelizationFactor=10, MaximumRetryAttempts=-1)
        behind = [k for k in "abcdefghij" if crc32(k.encode()) % 10 == crc32(b"c") % 10]
        free = [k for k in "abcdefghij" if k not in behind]
        for change in ({"Enabled": False}, {"Enabled": True, "ParallelizationFactor": 3}, {"ParallelizationFactor": 1}):
            await lab.until(lambda: {f"{k}19" for k in free} <= set(sum(lab.batches(), [])))
            await lab.sources.update(key, change, REGION)
            await lab.until(lambda: lab.state(key) in ("Enabled", "Disabled"))
        open_again = True
        keyed(lab, "c", 1)
        await lab.until(lambda: sum(lab.batches(), []).count("c0") > 1 and "c19" in sum(lab.batches(), []))
        done = [n for b in lab.batches() if not any(x[0] == "c" for x in b) for n in b]
        assert all(done.count(f"{k}{n}") == 1 for k in free for n in range(20)), Counter(done).most_common(3)
        await lab.sources.close()

    run(test())


# Control calls


def filtered(*patterns: Any) -> dict[str, Any]:
    return {"FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}}


@pytest.mark.parametrize(("factor", "window"), [(1, 1), (1, 0), (3, 0)])
def test_the_function_gets_only_records_that_a_filter_wants(factor: int, window: int) -> None:
    """guide: with-kinesis-filtering.html; invocation-eventfiltering.html: the others are passed by, a window's batch is
    made up of those that are wanted, and what is no JSON satisfies no filter on it"""

    async def test() -> None:
        lab = Lab()
        rows = [json.dumps({"n": n, "kind": "abc"[n % 3]}) for n in range(30)]
        for n, row in enumerate([*rows, "no JSON", "[1]"]):
            lab.put(row, key=str(n % 5))
        wanted = filtered({"data": {"kind": ["b"]}}, {"data": {"n": [{"numeric": ["<", 3]}]}})
        settings = {"ParallelizationFactor": factor, "MaximumBatchingWindowInSeconds": window}
        key = await lab.map(BatchSize=6, **settings, **wanted)
        due = [row for n, row in enumerate(rows) if n % 3 == 1 or n < 3]
        await lab.until(lambda: sum(map(len, lab.batches())) >= len(due))
        assert Counter(row for batch in lab.batches() for row in batch) == Counter(due)
        if window:
            assert lab.batches() == [due[:6], due[6:]]
        await lab.sources.update(key, {"FilterCriteria": {}, "MaximumBatchingWindowInSeconds": 0}, REGION)
        assert lab.sources.get(key).config["FilterCriteria"] is None
        lab.put("no JSON either")
        await lab.until(lambda: lab.batches()[-1] == ["no JSON either"])
        await lab.sources.update(key, filtered({"data": {"n": [1]}}), REGION)
        lab.put("one more", '{"n": 1}', '{"n": 1.0}')
        await lab.until(lambda: lab.batches()[-1] == ['{"n": 1}'])
        assert lab.sources.get(key).config["FilterCriteria"] == filtered({"data": {"n": [1]}})["FilterCriteria"]
        await lab.sources.close()

    run(test())


def test_a_filtered_batch_that_fails_is_told_of_by_its_own_records() -> None:
    """guide: kinesis-on-failure-destination.html; services-kinesis-batchfailurereporting.html"""

    async def test() -> None:
        lab = Lab(play=lambda event: FAILED)
        rows = [json.dumps({"n": n}) for n in range(6)]
        lab.put(*rows)
        found = lab.call("DescribeStream")["StreamDescription"]["Shards"][0]["SequenceNumberRange"]
        first = int(found["StartingSequenceNumber"]) + 1
        await lab.map(
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": QUEUE}},
            **filtered({"data": {"n": [1, 4]}}),
        )
        await lab.until(lambda: lab.sent)
        info = lab.sent[0][1]["KinesisBatchInfo"]
        assert (info["batchSize"], info["startSequenceNumber"], info["endSequenceNumber"]) == (
            2,
            str(first + 1),
            str(first + 4),
        )
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        (
            {"EventSourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026"},
            "InvalidParameterValue",
            "maps Kinesis streams, SQS queues and Kafka topics",
        ),
        ({"EventSourceArn": STREAM + "x"}, "InvalidParameterValue", "Stream not found: "),
        ({"FunctionName": "gone"}, "InvalidParameterValue", "Function does not exist"),
        ({"EventSourceArn": None}, "InvalidParameterValue", "Unrecognized event source."),
        ({"StartingPosition": None}, "InvalidParameterValue", "Value null at 'startingPosition'"),
        ({"StartingPosition": "NEWEST"}, "Validation", "[TRIM_HORIZON, LATEST, AT_TIMESTAMP]"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "InvalidParameterValue", "StartingPositionTimestamp must be given"),
        (
            {"StartingPositionTimestamp": 5.0},
            "InvalidParameterValue",
            "Timestamp only valid with StartingPosition AT_TIMESTAMP",
        ),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": -1},
            "InvalidParameterValue",
            "class java.lang.Long can not be converted to a Timestamp",
        ),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 4e9},
            "InvalidParameterValue",
            "cannot be in the future",
        ),
        ({"BatchSize": 0}, "Validation", "Value '0' at 'batchSize' failed to satisfy constraint: Member must have"),
        ({"BatchSize": 10_001}, "Validation", "Value '10001' at 'batchSize'"),
        ({"MaximumBatchingWindowInSeconds": 301}, "Validation", "'maximumBatchingWindowInSeconds'"),
        ({"MaximumRetryAttempts": 10_001}, "Validation", "'maximumRetryAttempts'"),
        ({"MaximumRecordAgeInSeconds": 59}, "InvalidParameterValue", "between 60 and 604800"),
        ({"ParallelizationFactor": 11}, "Validation", "Value '11' at 'parallelizationFactor'"),
        ({"FunctionResponseTypes": ["Report"]}, "Validation", "[ReportBatchItemFailures]"),
        ({"TumblingWindowInSeconds": 30}, "InvalidParameterValue", "does not have TumblingWindowInSeconds"),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}},
            "InvalidParameterValue",
            "OnSuccess is not supported",
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": FUNCTION.arn}}},
            "InvalidParameterValue",
            "SQS, SNS or S3",
        ),
        ({"DestinationConfig": {"OnFailure": {"Destination": "kafka://topic"}}}, "InvalidParameterValue", "SQS, SNS"),
        ({"Enabled": "yes"}, "Serialization", "enabled is not a boolean"),
    ],
)
def test_mappings_that_are_refused(parameters: dict[str, Any], code: str, words: str) -> None:
    """API: API_CreateEventSourceMapping.html (ranges, errors); MaximumRecordAgeInSeconds:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-eventsourcemapping.html"""

    async def test() -> None:
        lab = Lab()
        with pytest.raises(AwsError) as caught:
            await lab.map(**parameters)
        assert caught.value.code == f"{code}Exception" and words in caught.value.message
        assert not lab.sources.mappings

    run(test())


@pytest.mark.parametrize("action", ["GetRecords", "GetShardIterator", "DescribeStream", "ListShards"])
def test_a_role_that_cannot_read_the_stream(action: str) -> None:
    """guide: services-kinesis-create.html: the execution role's permissions"""

    async def test() -> None:
        lab = Lab()
        lab.denied = {f"kinesis:{action}"}
        with pytest.raises(AwsError) as caught:
            await lab.map()
        assert (caught.value.code, caught.value.message) == (
            "InvalidParameterValueException",
            f"Cannot access stream {STREAM}. Please ensure the role can perform the GetRecords, GetShardIterator, "
            "DescribeStream, ListShards, and ListStreams Actions on your stream in IAM.",
        )

    run(test())


@pytest.mark.parametrize(("target", "action"), [(QUEUE, "sqs:SendMessage"), (BUCKET, "s3:PutObject")])
def test_a_role_that_cannot_write_to_the_destination(target: str, action: str) -> None:
    """guide: kinesis-on-failure-destination.html: the execution role must have permissions for the destination"""

    async def test() -> None:
        lab = Lab()
        lab.denied = {action}
        wanted = {"DestinationConfig": {"OnFailure": {"Destination": target}}}
        with pytest.raises(AwsError, match=f"does not have permissions to call {action.partition(':')[2]} on"):
            await lab.map(**wanted)
        key = await lab.map()
        with pytest.raises(AwsError, match="does not have permissions"):
            await lab.sources.update(key, wanted, REGION)
        assert lab.sources.get(key).config["DestinationConfig"] == {"OnFailure": {}}
        await lab.sources.close()

    run(test())


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(QUEUE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@seeded(150, 10_000)
@given(st.data())
def test_nothing_that_a_stranger_sends_breaks_it(data: st.DataObject) -> None:
    """Whatever the members hold, the answer is AWS's or an AwsError, and a mapping that stands delivers as before."""
    shapes = protocols.model("lambda")["shapes"]
    junk = {
        name: data.draw(_JUNK | st.builds(lambda v: {"OnFailure": {"Destination": v}}, _JUNK))
        for name in data.draw(
            st.lists(st.sampled_from([*shapes["CreateEventSourceMappingRequest"]["members"]]), unique=True)
        )
    }

    async def test() -> None:
        lab = Lab()
        key = await lab.map(FunctionName="stands")
        for change in (lab.map(**junk), lab.sources.update(key, junk, REGION)):
            with contextlib.suppress(AwsError):
                await change
        await lab.sources.update(
            key, {"FunctionName": "stands", "Enabled": True, "MaximumBatchingWindowInSeconds": 0}, REGION
        )
        lab.put("a")
        await lab.until(lambda: any(e["function"] == "stands" for e in lab.events))
        await lab.sources.close()

    run(test())


def test_what_a_mapping_shows() -> None:
    """API: API_CreateEventSourceMapping.html, the response; API_ListEventSourceMappings.html"""

    async def test() -> None:
        lab = Lab()
        wanted = {"EventSourceArn": STREAM, "FunctionName": "f", "StartingPosition": "LATEST", "BatchSize": 7}
        shown = await lab.sources.create(wanted, REGION)
        key = shown["UUID"]
        arn = f"arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{key}"
        assert abs(shown.pop("LastModified") - time.time()) < 60
        assert shown == {
            "UUID": key,
            "EventSourceMappingArn": arn,
            "EventSourceArn": STREAM,
            "FunctionArn": FUNCTION.arn,
            "StartingPosition": "LATEST",
            "State": "Creating",
            "StateTransitionReason": "User action",
            "LastProcessingResult": "No records processed",
            "BatchSize": 7,
            "MaximumBatchingWindowInSeconds": 0,
            "ParallelizationFactor": 1,
            "MaximumRecordAgeInSeconds": -1,
            "MaximumRetryAttempts": -1,
            "BisectBatchOnFunctionError": False,
            "FunctionResponseTypes": [],
            "DestinationConfig": {"OnFailure": {}},
            "TumblingWindowInSeconds": 0,
            "FilterCriteria": None,
        }
        with pytest.raises(AwsError) as caught:
            await lab.sources.create(wanted, REGION)
        assert caught.value.code == "ResourceConflictException" and caught.value.status == 409
        assert f'(" {STREAM} ") and function (" f ") provided mapping already exists' in caught.value.message
        assert key in caught.value.message
        other = await lab.map(FunctionName="g", Enabled=False)
        await lab.until(lambda: (lab.state(key), lab.state(other)) == ("Enabled", "Disabled"))

        def listed(region: str = REGION, **asked: str) -> list[str]:
            return [m["UUID"] for m in lab.sources.list(asked, region)["EventSourceMappings"]]

        assert listed() == [key, other]
        for name in ("g", "123456789012:function:g", FUNCTION.arn[:-1] + "g"):
            assert listed(EventSourceArn=STREAM, FunctionName=name) == [other]
        assert listed(EventSourceArn=STREAM + "x") == listed(FunctionName="x") == listed("eu-west-1") == []
        first = lab.sources.list({"MaxItems": "1"}, REGION)
        assert [m["UUID"] for m in first["EventSourceMappings"]] == [key]
        assert listed(MaxItems="1", Marker=first["NextMarker"]) == [other] == listed(Marker=first["NextMarker"])
        assert "NextMarker" not in lab.sources.list({"Marker": first["NextMarker"]}, REGION)
        assert lab.sources.get(key, REGION) is lab.sources.get(key)
        with pytest.raises(AwsError, match="does not exist"):
            lab.sources.get(key, "eu-west-1")
        updated = await lab.sources.update(other, {"FunctionName": "h", "MaximumRetryAttempts": 3}, REGION)
        assert updated["FunctionArn"].endswith(":function:h") and updated["MaximumRetryAttempts"] == 3
        assert updated["BatchSize"] == 100
        await lab.sources.close()

    run(test())


def test_metrics() -> None:
    """guide: monitoring-metrics-types.html: IteratorAge; https://docs.aws.amazon.com/streams/latest/dev/
    monitoring-with-cloudwatch.html: GetRecords.IteratorAgeMilliseconds, 0 when all is read"""

    async def test() -> None:
        lab = Lab()
        lab.put("a", "b", "c")
        lab.ahead = 30
        await lab.map(BatchSize=2)
        await lab.until(lambda: len(lab.events) == 2)
        await asyncio.sleep(0.01)
        [(region, [age])] = list(lab.sources.drain_metrics())
        assert (region, age["MetricName"], age["Unit"]) == (REGION, "IteratorAge", "Milliseconds")
        assert age["Dimensions"] == [{"Name": "FunctionName", "Value": "f"}]
        assert age["StatisticValues"]["SampleCount"] == 2 and 29_000 < age["StatisticValues"]["Minimum"] < 40_000
        assert not list(lab.sources.drain_metrics())
        shown = {m["MetricName"]: m["StatisticValues"] for _, d in lab.kinesis.drain_metrics() for m in d}
        assert shown["GetRecords.Records"]["Sum"] == 3
        behind = shown["GetRecords.IteratorAgeMilliseconds"]
        assert behind["Minimum"] == 0 and 29_000 < behind["Maximum"] < 40_000
        await lab.sources.close()

    run(test())


@pytest.mark.parametrize("size", [100, 10_000])
def test_a_mapping_costs_less_than_twenty_microseconds_a_record(size: int) -> None:
    """Processor time, so that a busy machine does not fail it; a quiet one takes about three."""

    async def test() -> None:
        lab, count = Lab(), [0]
        shard = lab.kinesis.streams[STREAM].shards["shardId-000000000000"]
        shard.records += [Record(b"x" * 200, f"key {n}", round(time.time(), 3)) for n in range(50_000)]

        async def invoke(_: Function, payload: bytes) -> Invocation:
            count[0] += payload.count(b'"eventID"')
            return OK

        lab.sources = EventSources(Needs(lab.kinesis, lab.lookup, invoke, lab.allowed, lab.deliver))
        start = time.process_time()
        await lab.map(BatchSize=size)
        await lab.until(lambda: count[0] == 50_000)
        assert time.process_time() - start < 50_000 * 20e-6
        await lab.sources.close()

    run(test())


# Through boto3, with real functions


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    folder = tmp_path_factory.mktemp("sources") / "lab"
    info = server.start(folder, idle_exit=300)
    kept = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    for key in kept:
        del os.environ[key]
    os.environ.update(info.environment(), AWS_CONFIG_FILE=os.devnull)
    yield boto3.Session()
    for key in (*info.environment(), "AWS_CONFIG_FILE"):
        os.environ.pop(key, None)
    os.environ.update(kept)
    server.stop(folder)


HANDLER = """
import base64, json, os, boto3
s3 = boto3.client("s3")
def lambda_handler(event, context):
    rows = [base64.b64decode(r["kinesis"]["data"]).decode() for r in event["Records"]]
    first = event["Records"][0]["kinesis"]["sequenceNumber"]
    body = json.dumps(rows).encode()
    s3.put_object(Bucket="rows", Key=f"tries/{os.environ['NAME']}/{first}/{context.aws_request_id}", Body=body)
    tries = s3.list_objects_v2(Bucket="rows", Prefix=f"tries/{os.environ['NAME']}/{first}/")["KeyCount"]
    if os.environ["FAULT"] == "three" and tries <= 3:
        raise ValueError("not yet")
    if os.environ["FAULT"] == "killed" and tries == 1:
        os._exit(9)
    if os.environ["FAULT"] == "poison" and "row 77" in rows:
        raise ValueError("row 77")
    s3.put_object(Bucket="rows", Key=f"done/{os.environ['NAME']}/{first}-{len(rows)}", Body=body)
"""


def deploy(aws: boto3.Session, name: str, fault: str, *actions: str) -> str:
    """A function of its own with a role of its own and a stream of two shards; gives the stream's ARN."""
    iam, functions, kinesis, s3 = (aws.client(c) for c in ("iam", "lambda", "kinesis", "s3"))
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": ["s3:*", "sqs:*", *actions], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy)
    s3.create_bucket(Bucket="rows")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("f.py", HANDLER)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="f.lambda_handler",
        Code={"ZipFile": file.getvalue()},
        Timeout=30,
        Environment={"Variables": {"NAME": name, "FAULT": fault}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    kinesis.create_stream(StreamName=name, ShardCount=2)
    return str(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"])


def send(aws: boto3.Session, stream: str, count: int) -> set[str]:
    """Rows for both shards, spread over several calls."""
    kinesis, rows = aws.client("kinesis"), [f"row {n}" for n in range(count)]
    for at in range(0, count, 100):
        entries = [{"Data": r.encode(), "PartitionKey": r} for r in rows[at : at + 100]]
        assert kinesis.put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0
    return set(rows)


def stored(aws: boto3.Session, prefix: str) -> list[list[str]]:
    s3 = aws.client("s3")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="rows", Prefix=prefix).get("Contents", [])]
    return [json.loads(s3.get_object(Bucket="rows", Key=k)["Body"].read()) for k in keys]


def wait(condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


READ = ("kinesis:Get*", "kinesis:Describe*", "kinesis:List*")


@pytest.mark.parametrize(("fault", "factor"), [("none", 1), ("three", 1), ("killed", 1), ("killed", 4)])
def test_every_row_arrives(aws: boto3.Session, fault: str, factor: int) -> None:
    """With rows in flight: a function that fails three times, and one whose worker dies in its first call for each
    batch. guide: kinesis-on-failure-destination.html: retried until it succeeds, by default"""
    name = f"fault-{fault}-{factor}"
    stream = deploy(aws, name, fault, *READ)
    functions = aws.client("lambda")
    key = functions.create_event_source_mapping(
        EventSourceArn=stream, FunctionName=name, StartingPosition="TRIM_HORIZON", BatchSize=200,
        ParallelizationFactor=factor,
    )["UUID"]  # fmt: skip
    rows = send(aws, name, 500)
    wait(lambda: {r for b in stored(aws, f"done/{name}/") for r in b} >= rows, f"{len(rows)} rows")
    arrived = [r for b in stored(aws, f"done/{name}/") for r in b]
    assert sorted(arrived) == sorted(rows), "each once: no batch was delivered again after it had succeeded"
    tries, done = len(stored(aws, f"tries/{name}/")), len(stored(aws, f"done/{name}/"))
    assert tries == {"none": 1, "three": 4, "killed": 2}[fault] * done
    wait(lambda: functions.get_event_source_mapping(UUID=key)["LastProcessingResult"] == "OK", "the result")
    shown = functions.get_event_source_mapping(UUID=key)
    assert (shown["State"], shown["BatchSize"], shown["EventSourceArn"]) == ("Enabled", 200, stream)
    assert functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"][0]["UUID"] == key
    functions.delete_event_source_mapping(UUID=key)
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_event_source_mapping(UUID=key)


def test_a_poison_row_lands_in_the_queue_and_all_others_in_s3(aws: boto3.Session) -> None:
    """guide: kinesis-on-failure-destination.html: bisect, retries, an SQS destination, from which the row is found"""
    stream = deploy(aws, "poison", "poison", *READ)
    functions, sqs, kinesis = (aws.client(c) for c in ("lambda", "sqs", "kinesis"))
    queue = sqs.create_queue(QueueName="failed")["QueueUrl"]
    functions.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName="poison",
        StartingPosition="TRIM_HORIZON",
        BatchSize=100,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    rows = send(aws, "poison", 300)
    wait(lambda: {r for b in stored(aws, "done/poison/") for r in b} == rows - {"row 77"}, "299 rows")
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    batch = json.loads(message["Body"])["KinesisBatchInfo"]
    assert batch["batchSize"] == 1 and batch["streamArn"] == stream
    iterator = kinesis.get_shard_iterator(
        StreamName="poison",
        ShardId=batch["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=batch["startSequenceNumber"],
    )["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator, Limit=1)["Records"][0]["Data"] == b"row 77"


def test_refusals_through_boto3(aws: boto3.Session) -> None:
    """guide: services-kinesis-create.html: the role's permissions; API: API_CreateEventSourceMapping.html"""
    stream = deploy(aws, "blind", "none")
    functions = aws.client("lambda")
    wanted = {"EventSourceArn": stream, "FunctionName": "blind", "StartingPosition": "LATEST"}
    with pytest.raises(functions.exceptions.InvalidParameterValueException, match="Cannot access stream"):
        functions.create_event_source_mapping(**wanted)
    with pytest.raises(functions.exceptions.InvalidParameterValueException, match="Function does not exist"):
        functions.create_event_source_mapping(**{**wanted, "FunctionName": "nobody"})
    with pytest.raises(ClientError, match="Value '10001' at 'batchSize'") as caught:
        functions.create_event_source_mapping(**wanted, BatchSize=10_001)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
