"""EventBridge's scheduled rules, on real time and on a clock that a lesson can move.

Pages under https://docs.aws.amazon.com/eventbridge/latest/userguide/: eb-create-rule-schedule.html,
eb-scheduled-rule-pattern.html, eb-rule-retry-policy.html, eb-rule-dlq.html, eb-transform-target-input.html,
eb-use-resource-based.html.

The clock is this machine's plus what `advance` has added. It moves the rules and nothing else: signatures, retention,
retries and logs go on in real time. When it is moved, every tick that lies between fires, in order, and the next moment
comes only when the functions called by the last one have ended once; on AWS a night lies between.
Refused: event patterns, PutEvents, buses of one's own, targets other than Lambda, SQS (not FIFO) and SNS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
from aws_croniter import AwsCroniter

from . import constraints
from .metrics import Metrics
from .types import ACCOUNT_ID, AwsError

_LOG = logging.getLogger("localaws")
_invalid = partial(AwsError, "ValidationException")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0  # seconds between two tries of a delivery
# Hands a payload to a target: (target ARN, payload, rule ARN) -> what ends with the function's first attempt, or None.
Deliver = Callable[[str, bytes, str], Awaitable[Awaitable[None] | None]]
# Puts an event that was given up into a queue: (queue ARN, body, message attributes, rule ARN).
SetAside = Callable[[str, str, dict[str, str], str], Awaitable[None]]


class Schedule:
    """rate(...) or cron(...): when a rule fires. Raises AwsError ValidationException for what is neither."""

    def __init__(self, expression: str) -> None:
        wrong = _invalid("Parameter ScheduleExpression is not valid.")
        self.period, self.cron = 0, None
        if found := re.fullmatch(r"rate\(([1-9]\d{0,8})\s+(minute|hour|day)(s?)\)", expression):
            if (found[1] == "1") == bool(found[3]):
                raise wrong  # 1 minute, 2 minutes
            self.period = int(found[1]) * _SECONDS[found[2]]
        elif found := re.fullmatch(r"cron\(\s*(\S+(?:\s+\S+){5})\s*\)", expression):
            self.cron = _cron(found[1].split(), wrong)
        else:
            raise wrong

    def after(self, moment: float, anchor: float) -> float | None:
        """The first tick later than `moment` (epoch seconds); a rate counts from `anchor`. None: never again."""
        if self.period:
            return anchor + ((moment - anchor) // self.period + 1) * self.period
        at: datetime | None = datetime.fromtimestamp(moment, UTC)
        while at and at.year < 2200 and self.cron:
            (found,) = self.cron.get_next(at)
            if found:
                return float(found.timestamp())
            # The library gives up after ten steps, and a step is a month at least but for the first three; 29 February
            # may be eight years away, the fifth Sunday of a February twenty-eight.
            at = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=185)
            at = at.replace(day=1) - timedelta(minutes=1)
        return None


def _cron(fields: list[str], wrong: AwsError) -> AwsCroniter:
    """The library's parser, held to what AWS documents.

    Corrected: `L` as the day of the week (Saturday) would never come, a step in years would be
    refused. Refused, since AWS does not say what they mean: LW, L-n as a day of the week, ranges that run
    backwards.
    """
    if fields[4].upper() == "L":
        fields[4] = "7"
    if found := re.fullmatch(r"(?:\*|(\d{4})(?:-(\d{4}))?)/([1-9]\d*)", fields[5]):
        years = range(int(found[1] or 1970), int(found[2] or 2199) + 1, int(found[3]))
        fields[5] = ",".join(map(str, years))
    if fields[2].upper() == "LW" or fields[4].upper().startswith("L-"):
        raise wrong
    try:
        cron = AwsCroniter(" ".join(fields))
        names = {3: AwsCroniter.MONTH_REPLACES, 4: AwsCroniter.DAY_WEEK_REPLACES}
        for number, text in enumerate(fields):
            for name, value in names.get(number, ()):
                text = text.upper().replace(name, value)
            if any(int(a) > int(b) for a, b in re.findall(r"(\d+)-(\d+)", text)):
                raise wrong
    except AwsError:
        raise
    except Exception:  # the library's own kinds, and ValueError for a step of 0 and the like
        raise wrong from None
    return cron


@dataclass
class Rule:
    """A rule; `config` is what DescribeRule shows of it."""

    config: dict[str, Any]
    region: str
    schedule: Schedule
    anchor: float  # when a rate began to count
    due: float | None = None  # the next tick
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return str(self.config["Arn"])


class Scheduler:
    """The rules of all regions, what ticks, and the calls of the service `events`."""

    def __init__(self, deliver: Deliver, set_aside: SetAside, clock: Callable[[], float] = time.time) -> None:
        self.deliver, self.set_aside, self._real = deliver, set_aside, clock
        self.offset = 0.0
        self.rules: dict[tuple[str, str], Rule] = {}
        self.metrics: defaultdict[tuple[str, str], Metrics] = defaultdict(Metrics)  # by region and rule name
        self._turn = asyncio.Lock()  # ticks are fired one after the other
        self._news = asyncio.Event()
        self._deliveries: set[asyncio.Future[Any]] = set()
        self._task = asyncio.ensure_future(self._run())

    def now(self) -> float:
        """The rules' time, in epoch seconds."""
        return self._real() + self.offset

    async def advance(self, seconds: float) -> dict[str, int]:
        """Moves the clock and fires what falls due on the way; how many ticks each rule had, sorted by name.

        Which one comes first depends on the time of day at which it is asked.
        """
        fired: Counter[str] = Counter()
        async with self._turn:
            until = self.now() + seconds
            while (rule := self._next()) and (rule.due or 0) <= until:
                due = rule.due or 0
                self.offset += max(0.0, due - self.now())
                fired[rule.config["Name"]] += 1
                await asyncio.gather(*self._fire(rule, due, through=True))
            self.offset += max(0.0, until - self.now())
        self._news.set()
        return dict(sorted(fired.items()))

    async def close(self) -> None:
        self._task.cancel()
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(self._task, *self._deliveries, return_exceptions=True)

    def drain_metrics(self) -> Iterator[tuple[str, Any]]:
        """(region, metric data of AWS/Events): https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"""
        for (region, name), metrics in self.metrics.items():
            if metrics:
                yield region, metrics.drain(RuleName=name)

    # Ticks

    def _next(self) -> Rule | None:
        return min((r for r in self.rules.values() if r.due is not None), key=lambda r: r.due or 0, default=None)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            async with self._turn:
                while (rule := self._next()) and (rule.due or 0) <= self.now():
                    self._fire(rule, rule.due or 0)
            wait = None if rule is None else min(60.0, max(0.0, (rule.due or 0) - self.now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for may lose a cancellation (Python 3.11)
                    await self._news.wait()

    def _fire(self, rule: Rule, due: float, through: bool = False) -> list[asyncio.Future[None]]:
        """One tick: the rule's next is set before anything else, so that none comes twice."""
        rule.due = rule.schedule.after(due, rule.anchor)
        self._count(rule, "TriggeredRules")
        event = {
            "version": "0", "id": str(uuid.uuid4()), "detail-type": "Scheduled Event", "source": "aws.events",
            "account": ACCOUNT_ID, "time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": rule.region, "resources": [rule.arn], "detail": {},
        }  # fmt: skip
        found: list[asyncio.Future[None]] = []
        for target in rule.targets.values():
            delivery: asyncio.Future[None] = asyncio.ensure_future(self._to(rule, dict(target), event, through))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)
            found.append(delivery)
        return found

    async def _to(self, rule: Rule, target: dict[str, Any], event: dict[str, Any], through: bool) -> None:
        """Delivers to one target: what AWS calls retriable is tried again, the rest goes to the dead-letter queue."""
        policy, since, tries = target.get("RetryPolicy", {}), self._real(), 0
        most, oldest = policy.get("MaximumRetryAttempts", 185), policy.get("MaximumEventAgeInSeconds", 86400)
        while True:
            self._count(rule, "InvocationAttempts")
            try:
                payload = _payload(target, event, rule)
                attempt = await self.deliver(target["Arn"], payload, rule.arn)
                self._count(rule, "Invocations")
                if attempt and through:
                    await attempt
                return
            except AwsError as error:
                failure, condition = error, ""
            except Exception as error:
                _LOG.exception("delivering to %s failed", target["Arn"])
                failure, condition = AwsError("InternalException", str(error), 500), ""
            if failure.status >= 500 or failure.code in ("TooManyRequestsException", "ThrottlingException"):
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(tries, 10))
                if tries >= most:
                    condition = "MaximumRetryAttempts"
                elif self._real() + pause - since > oldest:
                    condition = "MaximumEventAgeInSeconds"
                else:
                    tries += 1
                    self._count(rule, "RetryInvocationAttempts")
                    await asyncio.sleep(pause)
                    continue
            return await self._given_up(rule, target, event, failure, condition, tries)

    async def _given_up(
        self, rule: Rule, target: dict[str, Any], event: dict[str, Any], error: AwsError, condition: str, tries: int
    ) -> None:
        self._count(rule, "FailedInvocations")
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            _LOG.warning("%s: %s was not called: %s", rule.config["Name"], target["Arn"], error)
            return
        attributes = {"RULE_ARN": rule.arn, "TARGET_ARN": target["Arn"], "ERROR_CODE": error.code,
                      "ERROR_MESSAGE": error.message, "RETRY_ATTEMPTS": str(tries)}  # fmt: skip
        if condition:
            attributes["EXHAUSTED_RETRY_CONDITION"] = condition
        try:
            await self.set_aside(queue, orjson.dumps(event).decode(), attributes, rule.arn)
            self._count(rule, "InvocationsSentToDlq")
        except Exception:
            self._count(rule, "InvocationsFailedToBeSentToDlq")
            _LOG.exception("%s did not take the event of %s", queue, rule.config["Name"])

    def _count(self, rule: Rule, name: str) -> None:
        self.metrics[rule.region, rule.config["Name"]].add(name, 1)

    # Calls

    def call(self, operation: str, parameters: dict[str, Any], region: str) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html"""
        does: Callable[[dict[str, Any], str], dict[str, Any]] | None = getattr(self, f"_{operation}", None)
        if does is None:
            raise AwsError("UnknownOperationException", f"The local AWS does not have events:{operation}.")
        parameters = constraints.check("events", operation, parameters)
        bus = parameters.get("EventBusName", "default").rpartition("/")[2]
        if bus != "default":
            raise AwsError("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        return does(parameters, region)

    def _rule(self, name: str, region: str) -> Rule:
        if rule := self.rules.get((region, name)):
            return rule
        raise AwsError("ResourceNotFoundException", f"Rule {name} does not exist on EventBus default.")

    def _PutRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        name, expression, state = p["Name"], p.get("ScheduleExpression"), p.get("State", "ENABLED")
        if "EventPattern" in p or "RoleArn" in p or state not in ("ENABLED", "DISABLED"):
            raise _invalid("The local AWS has rules with a ScheduleExpression only: no EventPattern, no RoleArn.")
        if not expression:
            raise _invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        schedule, known = Schedule(expression), self.rules.get((region, name))
        if known and "Tags" in p:
            p["Tags"] = []  # AWS: the tags of an existing rule are not changed
        arn = f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{name}"
        config = {"Name": name, "Arn": arn, "ScheduleExpression": expression, "State": "DISABLED",
                  "EventBusName": "default"} | {k: p[k] for k in ("Description",) if k in p}  # fmt: skip
        rule = self.rules[region, name] = Rule(config, region, schedule, self.now())
        if known:
            rule.targets, rule.tags = known.targets, known.tags
            if known.config["ScheduleExpression"] == expression and known.config["State"] == state == "ENABLED":
                rule.anchor, rule.due, rule.config["State"] = known.anchor, known.due, state  # it goes on counting
        rule.tags |= {tag["Key"]: tag["Value"] for tag in p.get("Tags", ())}
        self._switch(rule, state)
        return {"RuleArn": arn}

    def _switch(self, rule: Rule, state: str) -> None:
        if rule.config["State"] != state:
            rule.config["State"], rule.anchor = state, self.now()
            rule.due = rule.schedule.after(rule.anchor, rule.anchor) if state == "ENABLED" else None
            self._news.set()

    def _EnableRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        self._switch(self._rule(p["Name"], region), "ENABLED")
        return {}

    def _DisableRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        self._switch(self._rule(p["Name"], region), "DISABLED")
        return {}

    def _DescribeRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return self._rule(p["Name"], region).config | {"CreatedBy": ACCOUNT_ID}

    def _DeleteRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        if (rule := self.rules.get((region, p["Name"]))) and rule.targets:
            raise _invalid("Rule can't be deleted since it has targets.")
        self.rules.pop((region, p["Name"]), None)  # AWS: no error when it is not there
        return {}

    def _ListRules(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        found = sorted(n for r, n in self.rules if r == region and n.startswith(p.get("NamePrefix", "")))
        return _page("Rules", [self.rules[region, name].config for name in found], p)

    def _PutTargets(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        rule = self._rule(p["Rule"], region)
        for target in p["Targets"]:
            _check_target(target)
        if len(rule.targets.keys() | {t["Id"] for t in p["Targets"]}) > 5:
            text = "The requested resource exceeds the maximum number allowed."
            raise AwsError("LimitExceededException", text)
        rule.targets |= {target["Id"]: target for target in p["Targets"]}
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _RemoveTargets(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        rule, failed = self._rule(p["Rule"], region), []
        for name in p["Ids"]:
            if rule.targets.pop(name, None) is None:
                text = f"Rule {p['Rule']} does not have a target with the ID: {name}."
                failed.append({"TargetId": name, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": text})
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def _ListTargetsByRule(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return _page("Targets", list(self._rule(p["Rule"], region).targets.values()), p)

    def _ListRuleNamesByTarget(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        here = sorted((n, rule) for (r, n), rule in self.rules.items() if r == region)
        found = [n for n, rule in here if any(t["Arn"] == p["TargetArn"] for t in rule.targets.values())]
        return _page("RuleNames", found, p)

    def _tagged(self, p: dict[str, Any], region: str) -> Rule:
        return self._rule(p["ResourceARN"].rpartition(":rule/")[2], region)

    def _ListTagsForResource(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        return {"Tags": [{"Key": k, "Value": v} for k, v in self._tagged(p, region).tags.items()]}

    def _TagResource(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        self._tagged(p, region).tags.update({tag["Key"]: tag["Value"] for tag in p["Tags"]})
        return {}

    def _UntagResource(self, p: dict[str, Any], region: str) -> dict[str, Any]:
        for key in p["TagKeys"]:
            self._tagged(p, region).tags.pop(key, None)
        return {}


def _page(name: str, items: list[Any], p: dict[str, Any]) -> dict[str, Any]:
    try:
        start = int(p.get("NextToken", "0"))
    except ValueError:
        raise _invalid("Parameter NextToken is not valid.") from None
    end = start + p.get("Limit", 100)
    return {name: items[start:end]} | ({"NextToken": str(end)} if end < len(items) else {})


def _check_target(target: dict[str, Any]) -> None:
    """Raises AwsError ValidationException for a target that AWS, or this AWS, does not take.

    Words: localstack/localstack tests/aws/services/events/test_events_inputs.snapshot.json, recorded on AWS.
    """
    where = f"Parameter {target['Arn']} is not valid. Reason: "
    if not re.fullmatch(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", target["Arn"]):
        raise _invalid(where + "Provided Arn is not in correct format.")
    service = (target["Arn"].split(":") + [""] * 3)[2]
    if service not in ("lambda", "sqs", "sns") or target["Arn"].endswith(".fifo"):
        raise _invalid(where + "The local AWS has Lambda functions, standard SQS queues and SNS topics as targets.")
    others = target.keys() - {
        "Id", "Arn", "Input", "InputPath", "InputTransformer", "DeadLetterConfig", "RetryPolicy"
    }  # fmt: skip
    if others:
        raise _invalid(f"{', '.join(sorted(others))} is not supported for target {target['Arn']}.")
    if len(target.keys() & {"Input", "InputPath", "InputTransformer"}) > 1:
        text = "Only one of Input, InputPath, or InputTransformer must be provided for target "
        raise _invalid(text + target["Id"] + ".")
    transformer = target.get("InputTransformer", {})
    paths = [target["InputPath"]] if "InputPath" in target else list(transformer.get("InputPathsMap", {}).values())
    for path in paths:
        if not re.fullmatch(rf"\$({_STEP.pattern})*", path):
            raise _invalid(f"Reason: Invalid JSON path {path}.")
    if "Input" in target:
        try:
            orjson.loads(target["Input"])
        except ValueError:
            raise _invalid(f"JSON syntax error in input for target {target['Id']}") from None
    if transformer:
        known = _RESERVED | transformer.get("InputPathsMap", {}).keys()
        for name in re.findall(r"<([\w.-]+)>", transformer["InputTemplate"]):
            if name not in known:
                text = f"InputTemplate for target {target['Id']} contains invalid placeholder {name}."
                raise _invalid(text)
    queue = target.get("DeadLetterConfig", {}).get("Arn", "arn:aws:sqs:::")
    if not queue.startswith("arn:aws:sqs:") or queue.endswith(".fifo"):
        raise _invalid(f"Parameter {queue} is not valid. Reason: the dead-letter queue is a standard SQS queue.")


_STEP = re.compile(r"(?:\.[\w-]+|\['[^']+'\]|\[\d+\])")
_RESERVED = {
    "aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event.json"
}  # fmt: skip


def _payload(target: dict[str, Any], event: dict[str, Any], rule: Rule) -> bytes:
    """What the target gets: the event, a part of it, a constant, or what the template makes of it."""
    if "Input" in target:
        return bytes(target["Input"].encode())
    if "InputPath" in target:
        return orjson.dumps(_at(event, target["InputPath"]))
    if not (transformer := target.get("InputTransformer")):
        return orjson.dumps(event)
    values = {name: _at(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {"aws.events.rule-arn": rule.arn, "aws.events.rule-name": rule.config["Name"],
               "aws.events.event.ingestion-time": event["time"], "aws.events.event.json": event}  # fmt: skip
    text, made, at = transformer["InputTemplate"], "", 0
    for found in re.finditer(r"<([\w.-]+)>", text):
        made += text[at : found.start()]
        at = found.end()
        value = values[found[1]]
        quoted = len(re.findall(r'(?<!\\)"', made)) % 2 == 1
        if quoted:  # a text goes in without quotes of its own; AWS does not say what an object becomes there
            made += orjson.dumps(value).decode()[1:-1] if isinstance(value, str) else _plain(value)
        else:  # what is not in the event is an empty text
            made += orjson.dumps("" if value is None else value).decode()
    made += text[at:]
    try:
        orjson.loads(made)
    except ValueError:
        raise AwsError("INVALID_JSON", f"The input template makes no JSON: {made[:200]}") from None
    return str(made).encode()


def _plain(value: Any) -> str:
    if isinstance(value, dict | list):
        raise AwsError("INVALID_JSON", "The local AWS puts no objects and lists into a quoted text.")
    return "" if value is None else orjson.dumps(value).decode()


def _at(event: Any, path: str) -> Any:
    """The value at a JSON path such as $.detail.state or $.resources[0]; None where there is nothing."""
    for step in _STEP.findall(path[1:]):
        key = step.strip(".[]'")
        try:
            event = event[int(key)] if isinstance(event, list) else event[key]
        except (LookupError, TypeError, ValueError):
            return None
    return event
