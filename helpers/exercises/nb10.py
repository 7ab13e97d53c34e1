"""The exercises of notebook 10: each looks at the windows and the leases of the replayed day as they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import boto3

from helpers.checks import Wrong, exercise, published
from helpers.continuous.store import Results


@exercise("10-1", hint="Part begins with the minute; several items may have the same: add their Revenue up.")
def revenue_by_hour(answer: Mapping[int, Any]) -> str:
    """A dict from each hour of the replayed day to its revenue, exact."""
    results, day = _replay()
    expected: dict[int, Decimal] = {}
    for (minute, _), window in results.revenue(day).items():
        expected[minute.hour] = expected.get(minute.hour, Decimal(0)) + window.revenue
    if not isinstance(answer, Mapping) or not answer:
        raise Wrong("the answer is a dict from the hour, such as 9, to the revenue.")
    if any(isinstance(amount, float) for amount in answer.values()):
        raise Wrong("these are floats: money is Decimal, or cents get lost.")
    if set(answer) != set(expected):
        raise Wrong(f"the day has sales in the hours {', '.join(map(str, expected))}, as whole numbers.")
    wrong = [hour for hour, amount in expected.items() if answer[hour] != amount]
    if not wrong:
        return f"{len(expected)} hours, {sum(expected.values(), Decimal(0)):,} in all, to the last decimal."
    if all(answer[hour] < expected[hour] for hour in wrong) and len(wrong) == len(expected):
        raise Wrong("every hour is too low: did you keep one item of each hour, instead of adding them up?")
    raise Wrong(f"the revenue of hour {wrong[0]} is another. Are all items of the hour added up, of every shard?")


@exercise("10-2", hint="Sort the minutes, and look at the gaps between neighbours.")
def sessions(answer: int) -> str:
    """The number of stretches of the day without a gap of more than 30 minutes."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise Wrong(f"the answer is a whole number, not a {type(answer).__name__}.")
    results, day = _replay()
    minutes = sorted({minute for minute, _ in results.revenue(day)})
    long = dt.timedelta(minutes=30)
    gaps = [after - before for before, after in zip(minutes, minutes[1:], strict=False)]
    expected = 1 + sum(gap > long for gap in gaps)
    if answer == expected:
        return f"{expected} sessions: {expected - 1} pauses of more than half an hour divide the day."
    if answer == expected - 1:
        raise Wrong("that is how many pauses there are: sessions are one more.")
    if answer == len({minute.replace(minute=minute.minute // 30 * 30) for minute in minutes}):
        raise Wrong("that is how many half hours have a sale: those are tumbling windows.")
    if answer == len(minutes):
        raise Wrong("that is every minute with a sale: neighbours that are close belong together.")
    raise Wrong("it is another number. A gap of exactly 30 minutes does not end a session.")


@exercise(
    "10-3", hint="SET leaseOwner and leaseCounter, on condition that nobody has it and the counter is as you saw it."
)
def take_a_lease(answer: str) -> str:
    """One open lease belongs to `you`, with its checkpoint and counts as they were and its counter one higher."""
    results, _ = _replay()
    leases = results.leases()
    if not isinstance(answer, str) or answer not in leases:
        raise Wrong("the answer is the key of the lease, shardId-…")
    mine = [lease.key for lease in leases.values() if lease.owner == "you"]
    if not mine:
        raise Wrong("no lease has leaseOwner 'you' yet.")
    if len(mine) > 1:
        raise Wrong(f"you have taken {len(mine)} leases: one was asked for.")
    if mine != [answer]:
        raise Wrong(f"your lease is {mine[0]}, not {answer}.")
    lease = leases[answer]
    if lease.ended:
        raise Wrong("this shard has been read to its end: there is nothing left to do in it.")
    if lease.checkpoint == "TRIM_HORIZON" or not sum(lease.numbers.values()):
        raise Wrong("its checkpoint or its counts are gone: update the item, do not put a new one in its place.")
    if lease.counter != int(published("10")["counters"].split()[sorted(leases).index(answer)]) + 1:
        raise Wrong("leaseCounter has to grow by one: by it the others see that you live.")
    return "taken, as a worker takes it: whoever tries the same now is refused."


def _replay() -> tuple[Results, dt.date]:
    outputs = published("10")
    if "replay_application" not in outputs:
        raise Wrong("the notebook has not got to part 11 yet: run the cells above.")
    results = Results(boto3.client("dynamodb"), outputs["replay_application"])
    return results, dt.date.fromisoformat(outputs["replayed_day"])
