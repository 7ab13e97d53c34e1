"""Scheduled rules: when they fire, what they deliver, and a clock that can be moved; alarms on real metrics."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError

from helpers.lab import Clock, Lab, LabError
from helpers.localaws.scheduler import Schedule, Scheduler
from helpers.localaws.types import AwsError
from helpers.provision import wait_for
from tests.platform_lab import own_lab
from tests.seeded import SOAK

# (expression, asked at, what comes next), worked out from the page that `scheduler` names and a calendar.
CRON = [
    ("0 10 * * ? *", "2026-11-25 10:00", "2026-11-26 10:00, 2026-11-27 10:00, 2026-11-28 10:00"),
    ("15 12 * * ? *", "2026-12-31 12:15", "2027-01-01 12:15, 2027-01-02 12:15, 2027-01-03 12:15"),
    ("0 18 ? * MON-FRI *", "2026-11-27 18:00", "2026-11-30 18:00, 2026-12-01 18:00, 2026-12-02 18:00"),
    ("0 8 1 * ? *", "2026-12-01 08:00", "2027-01-01 08:00, 2027-02-01 08:00, 2027-03-01 08:00"),
    ("0/15 * * * ? *", "2026-11-25 23:50", "2026-11-26 00:00, 2026-11-26 00:15, 2026-11-26 00:30"),
    ("0/10 * ? * MON-FRI *", "2026-11-27 23:55", "2026-11-30 00:00, 2026-11-30 00:10, 2026-11-30 00:20"),
    ("0/5 8-17 ? * MON-FRI *", "2026-11-27 17:55", "2026-11-30 08:00, 2026-11-30 08:05, 2026-11-30 08:10"),
    ("0 2 * * ? *", "2024-02-28 02:00", "2024-02-29 02:00, 2024-03-01 02:00, 2024-03-02 02:00"),
    ("0 2 * * ? *", "2023-02-28 02:00", "2023-03-01 02:00, 2023-03-02 02:00, 2023-03-03 02:00"),
    ("59 23 L * ? *", "2024-02-01 00:00", "2024-02-29 23:59, 2024-03-31 23:59, 2024-04-30 23:59"),
    ("59 23 L * ? *", "2023-02-01 00:00", "2023-02-28 23:59, 2023-03-31 23:59, 2023-04-30 23:59"),
    ("0 0 L 2 ? *", "2097-01-01 00:00", "2097-02-28 00:00, 2098-02-28 00:00, 2099-02-28 00:00"),
    ("0 0 29 2 ? *", "2024-02-29 00:00", "2028-02-29 00:00, 2032-02-29 00:00, 2036-02-29 00:00"),
    ("0 0 29 2 ? *", "2096-03-01 00:00", "2104-02-29 00:00, 2108-02-29 00:00, 2112-02-29 00:00"),
    ("0 6 31 * ? *", "2026-01-31 06:00", "2026-03-31 06:00, 2026-05-31 06:00, 2026-07-31 06:00"),
    ("0 6 30 * ? *", "2026-01-30 06:00", "2026-03-30 06:00, 2026-04-30 06:00, 2026-05-30 06:00"),
    ("0 0 L-2 * ? *", "2024-02-01 00:00", "2024-02-27 00:00, 2024-03-29 00:00, 2024-04-28 00:00"),
    ("0 9 1W * ? *", "2026-07-31 09:00", "2026-08-03 09:00, 2026-09-01 09:00, 2026-10-01 09:00"),
    ("0 9 15W * ? *", "2026-08-01 00:00", "2026-08-14 09:00, 2026-09-15 09:00, 2026-10-15 09:00"),
    ("0 9 31W * ? *", "2026-05-01 00:00", "2026-05-29 09:00, 2026-07-31 09:00, 2026-08-31 09:00"),
    ("0 9 30W * ? *", "2026-08-15 00:00", "2026-08-31 09:00, 2026-09-30 09:00, 2026-10-30 09:00"),
    ("0 9 1W 8 ? *", "2026-01-01 00:00", "2026-08-03 09:00, 2027-08-02 09:00, 2028-08-01 09:00"),
    ("15 10 ? * 6L *", "2026-11-25 00:00", "2026-11-27 10:15, 2026-12-25 10:15, 2027-01-29 10:15"),
    ("15 10 ? * FRIL 2026-2027", "2027-11-26 10:15", "2027-12-31 10:15"),
    ("0 12 ? * L *", "2026-11-25 00:00", "2026-11-28 12:00, 2026-12-05 12:00, 2026-12-12 12:00"),
    ("0 12 ? * 3#2 *", "2026-11-25 00:00", "2026-12-08 12:00, 2027-01-12 12:00, 2027-02-09 12:00"),
    ("0 12 ? * MON#1 *", "2026-12-07 12:00", "2027-01-04 12:00, 2027-02-01 12:00, 2027-03-01 12:00"),
    ("0 12 ? * 1#5 *", "2026-11-25 00:00", "2026-11-29 12:00, 2027-01-31 12:00, 2027-05-30 12:00"),
    ("0 12 ? 2 1#5 *", "2024-03-01 00:00", "2032-02-29 12:00, 2060-02-29 12:00, 2088-02-29 12:00"),
    ("0 12 ? * 7 *", "2026-11-25 00:00", "2026-11-28 12:00, 2026-12-05 12:00, 2026-12-12 12:00"),
    ("0 12 ? * 1,7 *", "2026-11-25 00:00", "2026-11-28 12:00, 2026-11-29 12:00, 2026-12-05 12:00"),
    ("0 12 ? * SUN,WED *", "2026-11-25 12:00", "2026-11-29 12:00, 2026-12-02 12:00, 2026-12-06 12:00"),
    ("1/10 * * * ? *", "2026-11-25 10:11", "2026-11-25 10:21, 2026-11-25 10:31, 2026-11-25 10:41"),
    ("5,35 14 * * ? *", "2026-11-25 14:05", "2026-11-25 14:35, 2026-11-26 14:05, 2026-11-26 14:35"),
    ("0 0 1 1/3 ? *", "2026-11-25 00:00", "2027-01-01 00:00, 2027-04-01 00:00, 2027-07-01 00:00"),
    ("0 0 1 JAN,JUL ? *", "2026-11-25 00:00", "2027-01-01 00:00, 2027-07-01 00:00, 2028-01-01 00:00"),
    ("0 0 1/10 * ? *", "2026-02-21 00:00", "2026-03-01 00:00, 2026-03-11 00:00, 2026-03-21 00:00"),
    ("30 4 1,15 6-8 ? *", "2026-08-15 04:30", "2027-06-01 04:30, 2027-06-15 04:30, 2027-07-01 04:30"),
    ("0 0 1 1 ? 2030", "2026-11-25 00:00", "2030-01-01 00:00"),
    ("0 0 1 1 ? 2026", "2026-11-25 00:00", ""),
    ("0 0 1 1 ? 2028/4", "2026-11-25 00:00", "2028-01-01 00:00, 2032-01-01 00:00, 2036-01-01 00:00"),
    ("* * * * ? *", "2026-12-31 23:58", "2026-12-31 23:59, 2027-01-01 00:00, 2027-01-01 00:01"),
    ("0 0 30 2 ? *", "2026-01-01 00:00", ""),
    ("59 23 31 12 ? *", "2026-12-31 23:58", "2026-12-31 23:59, 2027-12-31 23:59, 2028-12-31 23:59"),
    ("0 */6 * * ? *", "2026-11-25 18:00", "2026-11-26 00:00, 2026-11-26 06:00, 2026-11-26 12:00"),
    ("10-12 3 * * ? *", "2026-11-25 03:10", "2026-11-25 03:11, 2026-11-25 03:12, 2026-11-26 03:10"),
    ("0 0 * 2 ? 2024", "2024-02-27 12:00", "2024-02-28 00:00, 2024-02-29 00:00"),
]


def moment(text: str) -> float:
    return dt.datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(("expression", "asked", "expected"), CRON, ids=[f"{e} after {at}" for e, at, _ in CRON])
def test_cron_fires_when_aws_says(expression: str, asked: str, expected: str) -> None:
    schedule, at = Schedule(f"cron({expression})"), moment(asked)
    times = [moment(text) for text in expected.split(", ")] if expected else []
    for time_ in times:
        assert schedule.after(at, 0) == time_
        at = time_
    if len(times) < 3:
        assert schedule.after(at, 0) is None


def test_at_least_forty_expressions() -> None:
    assert len(CRON) >= 40


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "cron(0 10 * * ?)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 10 32 * ? *)",
        "cron(0 10 * 13 ? *)",
        "cron(0 10 ? * 8 *)",
        "cron(0 10 ? * 3#6 *)",
        "cron(0 10 ? * 3#1,6#3 *)",
        "cron(0 10 * * ? 1969)",
        "cron(*/0 * * * ? *)",
        "cron(*-5 0 * * ? *)",
        "cron(0 0 LW * ? *)",
        "cron(0 0 ? * L-2 *)",
        "cron(0 0 ? * FRI-MON *)",
        "cron(0 20-2 * * ? *)",
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(5 seconds)",
        "rate(1.5 hours)",
        "rate( 10 minutes )",  # localstack/localstack tests/aws/services/events/test_events_schedule.py saw it on AWS
        " rate(10 minutes)",
        "rate(10 MINUTES)",
        "rate(10)",
        "cron(7 20 * * NOT *)",
        "at(2026-11-25T10:00:00)",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(AwsError, match="ScheduleExpression is not valid"):
        Schedule(expression)


def test_a_rate_counts_from_the_moment_it_was_switched_on() -> None:
    schedule = Schedule("rate(5 minutes)")
    assert schedule.after(1000.0, 1000.0) == 1300.0
    assert schedule.after(1299.9, 1000.0) == 1300.0
    assert schedule.after(1300.0, 1000.0) == 1600.0
    assert Schedule("rate(1 hour)").after(0, 0) == 3600
    assert Schedule("rate(7 days)").after(0, 0) == 7 * 86400


# --- the scheduler by itself


def test_ticks_come_in_order_once_each_whoever_is_slow() -> None:
    """Two rules over a month of days: a moment's functions have ended before the next moment comes."""
    came: list[tuple[str, str]] = []
    running = 0

    async def deliver(target: str, payload: bytes, rule: str) -> asyncio.Task[None]:
        nonlocal running
        assert running == 0, "the last moment's function is still at work"
        running += 1
        came.append((json.loads(payload)["time"], target[-1]))

        async def work() -> None:
            nonlocal running
            await asyncio.sleep(0.001)
            running -= 1

        return asyncio.ensure_future(work())

    async def main() -> None:
        scheduler = Scheduler(deliver, lambda *a: asyncio.sleep(0))
        base = scheduler.now()
        for name, expression in (("a", "cron(0 2 * * ? *)"), ("b", "cron(30 1 ? * MON *)")):
            scheduler.call("PutRule", {"Name": name, "ScheduleExpression": expression}, "us-east-1")
            arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
            scheduler.call("PutTargets", {"Rule": name, "Targets": [{"Id": "1", "Arn": arn}]}, "us-east-1")
        fired = await scheduler.advance(28 * 86400)
        assert list(fired.items()) == [("a", 28), ("b", 4)], "sorted, whatever the time of day is"
        assert 28 * 86400 <= scheduler.now() - base < 28 * 86400 + 60
        assert await scheduler.advance(0) == {}
        await scheduler.close()

    asyncio.run(main())
    assert came == sorted(came) and len(set(came)) == 32


def attempts(
    *outcomes: Exception | None, jump: float = 0.0, **policy: int
) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[float]]:
    """One tick to a target that answers so, call by call: the events delivered, what was set aside, and when.

    `jump` seconds go by with each call.
    """
    delivered: list[dict[str, Any]] = []
    aside: list[dict[str, str]] = []
    moments: list[float] = []

    async def deliver(target: str, payload: bytes, rule: str) -> None:
        delivered.append(json.loads(payload))
        moments.append(time.monotonic())
        outcome = outcomes[min(len(delivered), len(outcomes)) - 1]
        if outcome:
            raise outcome

    async def set_aside(queue: str, body: str, attributes: dict[str, str], rule: str) -> None:
        aside.append(attributes | {"body": body})

    async def main() -> None:
        scheduler = Scheduler(deliver, set_aside, lambda: time.time() + jump * len(delivered))
        scheduler.call("PutRule", {"Name": "a", "ScheduleExpression": "rate(1 day)"}, "us-east-1")
        target: dict[str, Any] = {"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}
        target |= {"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:dead"}, "RetryPolicy": policy}
        scheduler.call("PutTargets", {"Rule": "a", "Targets": [target]}, "us-east-1")
        assert await scheduler.advance(86400) == {"a": 1}
        await scheduler.close()

    asyncio.run(main())
    return delivered, aside, moments


def test_what_is_tried_again_is_the_same_event_and_comes_to_an_end_when_it_is_taken() -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    throttled = AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
    delivered, aside, moments = attempts(throttled, AwsError("InternalFailure", "not now", 500), None)
    assert len(delivered) == 3 and aside == []
    assert delivered[0] == delivered[1] == delivered[2], "another id would be another event to the function"
    first, second = (later - earlier for earlier, later in pairwise(moments))
    assert first >= 0.9 and second >= 1.8, "each pause is longer than the last"


@pytest.mark.parametrize(
    ("error", "policy", "jump", "tries", "condition"),
    [
        (AwsError("InternalFailure", "no", 500), {"MaximumRetryAttempts": 0}, 0, 1, "MaximumRetryAttempts"),
        (AwsError("ServiceException", "no", 503), {"MaximumEventAgeInSeconds": 60}, 40, 2, "MaximumEventAgeInSeconds"),
        (AwsError("ResourceNotFoundException", "no", 404), {}, 0, 1, None),
        (AwsError("AccessDeniedException", "no", 403), {}, 0, 1, None),
    ],
)
def test_a_tick_that_nobody_takes_is_given_up_and_says_why(
    error: AwsError, policy: dict[str, int], jump: float, tries: int, condition: str | None
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    delivered, (aside,), _ = attempts(error, jump=jump, **policy)
    assert len(delivered) == tries and aside["RETRY_ATTEMPTS"] == str(tries - 1)
    assert (aside.get("EXHAUSTED_RETRY_CONDITION"), aside["ERROR_CODE"]) == (condition, error.code)
    assert json.loads(aside["body"]) == delivered[0]


# --- in the lab

HANDLER = """
import json
def handler(event, context):
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("as asked")
    print("TICK", json.dumps(event))
"""


def policy(principal: str, action: str, resource: str = "*") -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": action}
    if principal != "lambda.amazonaws.com":
        statement["Resource"] = resource
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("scheduler") / "lab"
    with own_lab(folder) as found:
        role = boto3.client("iam").create_role(
            RoleName="ticks", AssumeRolePolicyDocument=policy("lambda.amazonaws.com", "sts:AssumeRole")
        )["Role"]["Arn"]
        basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        boto3.client("iam").attach_role_policy(RoleName="ticks", PolicyArn=basic)
        boto3.client("logs").create_log_group(logGroupName="/aws/lambda/ticks")  # whichever test is first
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("ticks.py", HANDLER)
        boto3.client("lambda").create_function(
            FunctionName="ticks", Runtime="python3.13", Handler="ticks.handler", Role=role,
            Code={"ZipFile": zipped.getvalue()},
        )  # fmt: skip
        yield found


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:ticks"


@pytest.fixture
def rule(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes rules whose ARNs the function lets in, and takes them down again."""
    events, functions, made = boto3.client("events"), boto3.client("lambda"), []

    def make(expression: str, **target: Any) -> str:
        name = f"rule-{len(made)}-{abs(hash(request.node.name)) % 10**6}"
        arn = events.put_rule(Name=name, ScheduleExpression=expression)["RuleArn"]
        functions.add_permission(
            FunctionName="ticks", StatementId=name, Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com", SourceArn=arn,
        )  # fmt: skip
        made.append(name)
        answer = events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": FUNCTION, **target}])
        assert answer["FailedEntryCount"] == 0
        return name

    yield make
    for name in made:
        events.remove_targets(Rule=name, Ids=["1"])
        events.delete_rule(Name=name)
        functions.remove_permission(FunctionName="ticks", StatementId=name)


def ticks(since: int) -> list[Any]:
    """The events that the function has printed since then (ms), in the order of the log."""
    pages = boto3.client("logs").get_paginator("filter_log_events")
    found = []
    for page in pages.paginate(logGroupName="/aws/lambda/ticks", filterPattern="TICK", startTime=since):
        found += [json.loads(event["message"].removeprefix("TICK ")) for event in page["events"]]
    return found


def now_ms() -> int:
    time.sleep(0.3)  # what is still on its way into the log belongs to the test before
    return int(time.time() * 1000)


def test_the_event_is_aws_own(lab: Lab, rule: Any) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html"""
    since, name = now_ms(), rule("cron(0 2 * * ? *)")
    assert lab.clock.advance(days=1) == {name: 1}
    (event,) = wait_for(lambda: ticks(since), timeout=60, what="the tick")
    assert event.pop("id")
    assert event.pop("time").endswith("T02:00:00Z")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [f"arn:aws:events:us-east-1:123456789012:rule/{name}"],
        "detail": {},
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"Input": '{"date_from": "2011-12-08"}'}, {"date_from": "2011-12-08"}),
        ({"InputPath": "$.resources[0]"}, "arn:aws:events:us-east-1:123456789012:rule/NAME"),
        ({"InputPath": "$.detail-type"}, "Scheduled Event"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"source": "$.source", "detail": "$.detail"},
                    "InputTemplate": '{"from": <source>, "said": "by <source>!", "detail": <detail>, "n": 1,'
                    ' "rule": <aws.events.rule-name>}',
                }
            },
            {"from": "aws.events", "said": "by aws.events!", "detail": {}, "n": 1, "rule": "NAME"},
        ),
        ({"InputTransformer": {"InputTemplate": '"a plain text"'}}, "a plain text"),
        (  # what is not in the event: localstack/localstack tests/aws/services/events/test_events_inputs.snapshot.json
            {"InputTransformer": {"InputPathsMap": {"no": "$.no"}, "InputTemplate": '{"a": <no>, "b": "detail <no>"}'}},
            {"a": "", "b": "detail "},
        ),
    ],
)
def test_what_the_function_gets_can_be_chosen(lab: Lab, rule: Any, target: dict[str, Any], expected: Any) -> None:
    since, name = now_ms(), rule("rate(1 day)", **target)
    lab.clock.advance(days=1)
    (event,) = wait_for(lambda: ticks(since), timeout=60, what="the tick")
    assert event == json.loads(json.dumps(expected).replace("NAME", name))


@contextmanager
def busy() -> Iterator[None]:
    """Eight threads of other calls in flight: functions at work, and moto's one thread."""
    functions, done = boto3.client("lambda"), threading.Event()

    def load() -> None:
        while not done.is_set():
            functions.invoke(FunctionName="ticks", Payload=b'{"load": true}')
            boto3.client("sts").get_caller_identity()

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def ticked(since: int) -> list[str]:
    """The moments of the ticks in the log, in its order; what the load has printed is none."""
    return [event["time"] for event in ticks(since) if "time" in event]


def test_a_year_of_nights_in_seconds_while_the_lab_is_busy(lab: Lab, rule: Any) -> None:
    """Each night once, none lost, none doubled."""
    since, name = now_ms(), rule("cron(0 2 * * ? *)")
    start = lab.clock.now()
    with busy():
        began = time.monotonic()
        fired = sum((lab.clock.advance(days=73)[name] for _ in range(5)), 0)
        took = time.monotonic() - began
    assert fired == 365
    wait_for(lambda: len(ticked(since)) >= 365, timeout=60, what="all nights in the log")
    first = start.replace(hour=2, minute=0, second=0, microsecond=0)
    first += dt.timedelta(days=first <= start)
    expected = [(first + dt.timedelta(days=n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in range(365)]
    assert sorted(ticked(since)) == expected
    print(f"365 nights in {took:.1f} s")
    assert took < 120


def test_real_time_goes_on_after_the_clock_was_moved(lab: Lab, rule: Any) -> None:
    """The clock is moved to two seconds before the full minute; then the tick comes by itself, and not before it."""
    since, name = now_ms(), rule("cron(* * * * ? *)")
    now = lab.clock.now()
    lab.clock.advance(seconds=(58 - now.second - now.microsecond / 1e6) % 60)
    before = len(ticks(since))
    minute = (lab.clock.now() + dt.timedelta(seconds=5)).replace(second=0, microsecond=0)
    assert lab.clock.now() < minute
    wait_for(lambda: len(ticks(since)) > before, timeout=60, what="the tick of the full minute")
    assert lab.clock.now() >= minute
    assert ticks(since)[-1]["time"] == minute.strftime("%Y-%m-%dT%H:%M:%SZ"), name


@pytest.mark.skipif(not SOAK, reason="three minutes of real time, each: `make soak`")
@pytest.mark.parametrize("loaded", [False, True], ids=["idle", "busy"])
def test_three_ticks_in_real_time(lab: Lab, rule: Any, loaded: bool) -> None:
    since = now_ms()
    rule("rate(1 minute)")
    began = time.time()
    arrived = []
    with busy() if loaded else nullcontext():
        for number in (1, 2, 3):
            wait_for(lambda: len(ticked(since)) >= number, timeout=75, what=f"tick {number}")  # noqa: B023
            arrived.append(time.time() - began)
    print("ticks after", [round(seconds, 2) for seconds in arrived])
    moments = sorted(moment_of(text) for text in ticked(since))  # the log is in order within a stream only
    assert [later - earlier for earlier, later in pairwise(moments)] == [60, 60]
    latest = 60 if loaded else 2  # seconds: AWS promises no more than the minute
    assert all(0 <= seconds - 60 * n < latest for n, seconds in enumerate(arrived, 1)), arrived


def moment_of(text: str) -> float:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").timestamp()


def test_disabled_rules_are_silent_and_count_anew_when_enabled(lab: Lab, rule: Any) -> None:
    events, name = boto3.client("events"), rule("rate(2 hours)")
    events.disable_rule(Name=name)
    assert events.describe_rule(Name=name)["State"] == "DISABLED"
    assert lab.clock.advance(hours=3) == {}
    events.enable_rule(Name=name)
    assert lab.clock.advance(hours=1.9) == {}
    assert lab.clock.advance(hours=0.2) == {name: 1}


def test_changing_the_schedule_keeps_targets_and_an_unchanged_one_goes_on_counting(lab: Lab, rule: Any) -> None:
    events, name = boto3.client("events"), rule("rate(2 hours)")
    lab.clock.advance(hours=1)
    events.put_rule(Name=name, ScheduleExpression="rate(2 hours)", Description="the same")
    assert lab.clock.advance(hours=1.1) == {name: 1}
    events.put_rule(Name=name, ScheduleExpression="rate(1 day)")
    assert lab.clock.advance(hours=23) == {}
    assert lab.clock.advance(hours=2) == {name: 1}
    assert [t["Arn"] for t in events.list_targets_by_rule(Rule=name)["Targets"]] == [FUNCTION]
    assert name in events.list_rule_names_by_target(TargetArn=FUNCTION)["RuleNames"]
    assert name in [r["Name"] for r in events.list_rules(NamePrefix="rule-")["Rules"]]


def queue(name: str, allow: str = "") -> tuple[str, str]:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    if allow:
        sqs.set_queue_attributes(
            QueueUrl=url, Attributes={"Policy": policy("events.amazonaws.com", "sqs:SendMessage", arn)}
        )
    return url, arn


def rule_metric(rule: str, metric: str) -> float:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"""
    now, dimensions = dt.datetime.now(dt.UTC), [{"Name": "RuleName", "Value": rule}]
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events", MetricName=metric, Dimensions=dimensions, Period=3600, Statistics=["Sum"],
        StartTime=now - dt.timedelta(hours=1), EndTime=now + dt.timedelta(minutes=1),
    )["Datapoints"]  # fmt: skip
    return sum(float(point["Sum"]) for point in points)


def test_a_function_that_does_not_let_the_rule_in_is_not_called(lab: Lab) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    events, since = boto3.client("events"), now_ms()
    url, arn = queue("dead", "yes")
    stranger = events.put_rule(Name="stranger", ScheduleExpression="rate(1 day)")["RuleArn"]
    events.put_targets(Rule="stranger", Targets=[{"Id": "1", "Arn": FUNCTION, "DeadLetterConfig": {"Arn": arn}}])
    lab.clock.advance(days=1)
    (message,) = boto3.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert (attributes["RULE_ARN"], attributes["TARGET_ARN"]) == (stranger, FUNCTION)
    assert json.loads(message["Body"])["detail-type"] == "Scheduled Event"
    assert ticks(since) == []
    for metric in ("TriggeredRules", "InvocationAttempts", "FailedInvocations", "InvocationsSentToDlq"):
        wait_for(lambda: rule_metric("stranger", metric) == 1, timeout=60, what=metric)  # noqa: B023
    assert rule_metric("stranger", "Invocations") == 0
    with pytest.raises(ClientError, match="has targets"):
        events.delete_rule(Name="stranger")
    events.remove_targets(Rule="stranger", Ids=["1"])
    events.delete_rule(Name="stranger")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        events.describe_rule(Name="stranger")


def test_queues_and_topics_are_told_when_their_policy_lets_the_rule_in(lab: Lab) -> None:
    events, sqs, sns = boto3.client("events"), boto3.client("sqs"), boto3.client("sns")
    open_url, open_arn = queue("open", "yes")
    closed_url, closed_arn = queue("closed")
    topic = sns.create_topic(Name="ticks")["TopicArn"]
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=policy("events.amazonaws.com", "sns:Publish", topic),
    )
    told_url, told_arn = queue("told")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    events.put_rule(Name="many", ScheduleExpression="rate(1 day)")
    targets = [{"Id": str(n), "Arn": arn} for n, arn in enumerate((open_arn, closed_arn, topic))]
    events.put_targets(Rule="many", Targets=targets)
    assert lab.clock.advance(days=1) == {"many": 1}
    found = {url: sqs.receive_message(QueueUrl=url).get("Messages", []) for url in (open_url, closed_url, told_url)}
    assert [len(messages) for messages in found.values()] == [1, 0, 1]
    events.remove_targets(Rule="many", Ids=["0", "1", "2"])
    events.delete_rule(Name="many")


def test_what_this_aws_does_not_have_is_refused(lab: Lab, rule: Any) -> None:
    events = boto3.client("events")
    with pytest.raises(ClientError, match="no EventPattern"):
        events.put_rule(Name="pattern", EventPattern='{"source": ["aws.s3"]}')
    with pytest.raises(ClientError, match="UnknownOperationException"):
        events.put_events(Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}])
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        events.put_rule(Name="bus", ScheduleExpression="rate(1 day)", EventBusName="mine")
    name = rule("rate(1 day)")
    with pytest.raises(ClientError, match="InputTemplate for target 2 contains invalid placeholder unknown."):
        transformer = {"InputPathsMap": {"a": "$.time"}, "InputTemplate": '"at <a>, of <unknown>"'}
        events.put_targets(Rule=name, Targets=[{"Id": "2", "Arn": FUNCTION, "InputTransformer": transformer}])
    for target in (
        {"Arn": "no-arn"},
        {"Arn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"},
        {"Arn": FUNCTION, "RoleArn": "arn:aws:iam::123456789012:role/x"},
        {"Arn": FUNCTION, "Input": "no json"},
        {"Arn": FUNCTION, "Input": "{}", "InputPath": "$.x"},
        {"Arn": FUNCTION, "InputPath": "$..x"},
        {"Arn": FUNCTION, "InputTransformer": {"InputTemplate": "<unknown>"}},
        {"Arn": FUNCTION, "RetryPolicy": {"MaximumRetryAttempts": 186}},
    ):
        with pytest.raises(ClientError, match="ValidationException"):
            events.put_targets(Rule=name, Targets=[{"Id": "2", **target}])


def test_the_clock_is_not_for_everyone(lab: Lab) -> None:
    assert urllib3.request("POST", f"{lab.endpoint}/_aws/clock", body=b'{"seconds": 1}').status == 403
    with pytest.raises(LabError, match="forward"):
        lab.clock.advance(days=-1)
    for target in ("aws", "http://127.0.0.1:1"):
        with pytest.raises(LabError, match="only the local lab's clock can be moved"):
            Lab(target, "us-east-1", "123456789012", None).clock.advance(days=1)
    assert isinstance(lab.clock, Clock)
    iam = boto3.client("iam")
    user = iam.create_user(UserName="visitor")["User"]["UserName"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=json.dumps(everything))
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    try:
        with pytest.raises(LabError, match="Only who opened the lab"):
            lab.clock.advance(days=1)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_rules_are_permitted_by_name(lab: Lab) -> None:
    iam = boto3.client("iam")
    iam.create_user(UserName="planner")
    key = iam.create_access_key(UserName="planner")["AccessKey"]
    mine = "arn:aws:events:us-east-1:123456789012:rule/mine"
    statement = {"Effect": "Allow", "Action": ["events:PutRule", "events:DeleteRule"], "Resource": mine}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="planner", PolicyName="mine", PolicyDocument=document)
    events = boto3.client("events", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    events.put_rule(Name="mine", ScheduleExpression="rate(1 day)")
    with pytest.raises(ClientError, match="AccessDeniedException.*rule/other"):
        events.put_rule(Name="other", ScheduleExpression="rate(1 day)")
    events.delete_rule(Name="mine")


# --- metrics and alarms


def test_an_alarm_rings_when_the_function_fails_and_tells_its_topic(lab: Lab) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
    watch, sqs, sns = boto3.client("cloudwatch"), boto3.client("sqs"), boto3.client("sns")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    url, arn = queue("rung")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm = {
        "AlarmName": "job-failed", "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum",
        "Dimensions": [{"Name": "FunctionName", "Value": "ticks"}], "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
        "AlarmActions": [topic],
    }  # fmt: skip
    watch.put_metric_alarm(**alarm)

    def state() -> str:
        return str(watch.describe_alarms(AlarmNames=["job-failed"])["MetricAlarms"][0]["StateValue"])

    assert state() in ("INSUFFICIENT_DATA", "OK")
    wait_for(lambda: state() == "OK", timeout=60, what="the alarm to be evaluated")
    boto3.client("lambda").invoke(FunctionName="ticks", Payload=b'{"fail": true}')
    wait_for(lambda: state() == "ALARM", timeout=60, what="the alarm to ring")
    watch.put_metric_alarm(**alarm)
    assert state() == "ALARM"  # a change does not silence it
    (message,) = wait_for(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), timeout=60, what="the message")
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["AlarmName"], told["OldStateValue"], told["NewStateValue"]) == ("job-failed", "OK", "ALARM")
    for metric in ("Invocations", "Errors", "Duration"):
        now = dt.datetime.now(dt.UTC)
        points = watch.get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Dimensions=alarm["Dimensions"], Period=3600,
            StartTime=now - dt.timedelta(hours=1), EndTime=now + dt.timedelta(minutes=1), Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        assert sum(point["Sum"] for point in points) > 0, metric


@pytest.mark.parametrize(
    "change",
    [
        {"ComparisonOperator": "LessThanLowerThreshold"},
        {"ExtendedStatistic": "p99", "Statistic": None},
        {"Period": 90},
        {"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]},
    ],
)
def test_an_alarm_that_could_not_ring_is_refused(lab: Lab, change: dict[str, Any]) -> None:
    alarm = {
        "AlarmName": "never", "Namespace": "a", "MetricName": "b", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", **change,
    }  # fmt: skip
    with pytest.raises(ClientError, match="ValidationError"):
        boto3.client("cloudwatch").put_metric_alarm(**{k: v for k, v in alarm.items() if v is not None})
