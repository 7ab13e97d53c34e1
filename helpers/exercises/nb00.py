"""The checks of notebook 00: sizes, tools and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from helpers.checks import Wrong, exercise


@exercise("00-1", hint="Work out both: records a second over 1,000, and bytes a second over 1 MB. The larger counts.")
def shards(answer: Any) -> str:
    if isinstance(answer, bool) or int(answer) != answer:
        raise Wrong("a number of shards is a whole number: round up.")
    if answer < 3:
        raise Wrong("that many shards do not even take the 2,500 records a second.")
    if answer == 3:
        raise Wrong("the records fit, the bytes do not: 2,500 × 1,500 bytes are 3.6 MB a second.")
    if answer > 4:
        raise Wrong("they would take it, but fewer will do, and each costs by the hour.")
    return "the bytes decide: 3.6 MB a second need 4 shards, although 3 would take the records."


_CASES = {
    "thumbnails": ("sqs", "who keeps jobs for one worker each, and forgets what is done?"),
    "orders": ("kinesis", "several readers of the same rows, on AWS, with no servers to run."),
    "bank": ("kafka", "which one is an open protocol, and runs in a data centre, too?"),
}


@exercise("00-2", hint="Ask of each: how many read the same message, where does it run, and who looks after it?")
def buffers(answer: Any) -> str:
    if set(answer) != set(_CASES):
        raise Wrong(f"give a dict with the keys {', '.join(_CASES)}.")
    for case, (right, hint) in _CASES.items():
        if str(answer[case]).lower() != right:
            raise Wrong(f"{case}: {hint}")
    return "a queue for jobs, a stream for many readers on AWS, Kafka where the open protocol counts."


@exercise("00-3", hint="API Gateway counts requests, not rows: 3.50 USD for a million of them.")
def price_of_the_door(answer: Any) -> str:
    if isinstance(answer, float):
        raise Wrong("a float is no money, even when it looks right: give a Decimal.")
    dollars = Decimal(answer)
    if dollars == Decimal("35.00"):
        raise Wrong("that is the price of a request for each row; 250 rows share one.")
    if dollars != Decimal("0.14"):
        raise Wrong("10,000,000 rows ÷ 250 rows a request = how many requests? A million of them cost 3.50 USD.")
    return "40,000 requests cost 14 cents; a request for each row would cost 35 dollars."
