"""The exercises of notebook 08: each looks at the rules, the daily figures and the till's folder as they are."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from typing import Any

import boto3
from aws_croniter import AwsCroniter

from helpers.checks import Wrong, exercise, published


@exercise(
    "08-1", hint='events.put_rule(Name="month-end", ScheduleExpression="cron(minute hour day month weekday year)").'
)
def month_end(answer: object) -> str:
    """The rule `month-end` fires at 23:30 on the last day of every month, and at no other time."""
    events = boto3.client("events")
    rules = {rule["Name"]: rule for rule in events.list_rules()["Rules"]}
    if "month-end" not in rules:
        raise Wrong("there is no rule month-end yet.")
    rule = rules["month-end"]
    expression = rule.get("ScheduleExpression", "")
    if not expression.startswith("cron("):
        raise Wrong(f"{expression} counts from the moment when it was switched on; a month's end needs cron.")
    if rule["State"] != "ENABLED":
        raise Wrong("the rule is there, but it is disabled.")
    start = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    found = [at for at in AwsCroniter(expression[5:-1]).get_next(start, 15) if at]
    for month in range(15):
        first = dt.datetime(2027 + (month + 1) // 12, (month + 1) % 12 + 1, 1, 23, 30, tzinfo=dt.UTC)
        wanted = first - dt.timedelta(days=1)
        at = found[month] if month < len(found) else None
        if at != wanted:
            raise Wrong(f"after {start:%d %B %Y} it fires {at or 'never'}; wanted is {wanted:%d %B %Y at %H:%M}.")
        start = wanted
    return "28, 29, 30 or 31: the last day of each month, whatever it is called."


@exercise("08-2", hint="A line of daily/daily.jsonl has date, country and new_customers: add them up by country.")
def best_newcomer(answer: str) -> str:
    """The country, other than the United Kingdom, with the most new customers over all days."""
    if not isinstance(answer, str):
        raise Wrong(f"a country's name is a text, not a {type(answer).__name__}.")
    figures = _daily()
    if not figures:
        raise Wrong("there are no daily figures: run part 4.")
    new, money, lines = Counter[str](), Counter[str](), Counter[str]()
    for line in figures:
        new[line["country"]] += line["new_customers"]
        lines[line["country"]] += line["lines"]
        money[line["country"]] += int(float(line["revenue"]))
    if answer == "United Kingdom":
        raise Wrong("other than the United Kingdom, where most customers are.")
    if answer not in new:
        raise Wrong(f"there is no country {answer!r} in the daily figures.")
    best = max(count for country, count in new.items() if country != "United Kingdom")
    if new[answer] == best:
        return f"{new[answer]} customers came from {answer}."
    for what, counted in (("lines", lines), ("revenue", money)):
        if answer == max((country for country in counted if country != "United Kingdom"), key=lambda c: counted[c]):  # noqa: B023
            raise Wrong(f"that country has the most {what}, not the most new customers.")
    raise Wrong(f"from {answer} came {new[answer]}; there is a country with more.")


@exercise("08-3", hint="drop(name, rows) writes a till's file; the import's function is called bulk-import.")
def brought_back(answer: object) -> str:
    """The row with the quantity `six` is in the table with 6, by way of a file of its own."""
    s3, bucket = boto3.client("s3"), _bucket()
    found = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="till/").get("Contents", [])]
    rejected = "till/rejected/shop-18.csv.rows.jsonl"
    if rejected not in found:
        raise Wrong("shop-18.csv has not been imported: run part 3.")
    row = json.loads(s3.get_object(Bucket=bucket, Key=rejected)["Body"].read().splitlines()[0])["row"]
    if "till/incoming/shop-18-mended.csv" in found:
        raise Wrong("the file lies in the folder, and nobody has come for it: call the import, or let the night pass.")
    if "till/rejected/shop-18-mended.csv" in found:
        raise Wrong("the import could not read the file: see the reason beside it in till/rejected/.")
    key = {"InvoiceNo": {"S": row["InvoiceNo"]}, "RowId": {"S": row["RowId"]}}
    item = boto3.client("dynamodb").get_item(TableName="Invoices", Key=key).get("Item")
    if item is None:
        raise Wrong("the row is not in the table yet: it keeps its RowId and its InvoiceNo, only the quantity changes.")
    if item["Quantity"]["N"] != "6":
        number = item["Quantity"]["N"]
        raise Wrong(
            f"the row is there, but with a quantity of {number}; it is written once, so delete that item first."
        )
    if "till/processed/shop-18-mended.csv" not in found:
        raise Wrong("the row is there, but it did not come by a file shop-18-mended.csv.")
    return "mended at its source, and imported like every other row."


def _bucket() -> str:
    return published("08")["bucket"]


def _daily() -> list[dict[str, Any]]:
    body = boto3.client("s3").get_object(Bucket=_bucket(), Key="daily/daily.jsonl")["Body"].read()
    return [json.loads(line) for line in body.splitlines()]
