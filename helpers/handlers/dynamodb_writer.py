"""Lambda with a trigger on a Kinesis stream: each invoice line becomes an item in DynamoDB once, and totals stay right.

Kinesis hands a batch over again when anything failed. So a line is put only if it is not there, and the totals of its
invoice and of its customer change in the same transaction: all of it happens, or nothing. A transaction takes up to 100
actions on different items, so several invoices of a batch share one.

    Invoices   InvoiceNo, RowId                a line
               InvoiceNo, "#invoice"           the invoice's header: its totals, Buyer and At (which the index reads)
    Customers  CustomerID                      the customer's totals; guests have none

A record that is no line, or that is there already with other content, is reported by its sequence number (partial batch
response), with the reason in the log. What nobody foresaw raises, and the trigger splits the batch. The last line in
the log counts the batch: records, those of them that were new, those that failed.

INVOICES and CUSTOMERS in the environment name the tables. The role needs dynamodb:PutItem and UpdateItem on the first,
dynamodb:UpdateItem on the second, besides AWSLambdaKinesisExecutionRole's rights on the stream.
"""

from __future__ import annotations

import json
import os
import random
import time
from binascii import a2b_base64
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from itertools import chain
from typing import Any

import boto3
from botocore.config import Config

INVOICES = os.environ.get("INVOICES", "Invoices")
CUSTOMERS = os.environ.get("CUSTOMERS", "Customers")
GUEST = "GUEST"  # the Buyer of an invoice without a customer
HEADER = "#invoice"  # the RowId of an invoice's header; no line's begins with #
MOST_ACTIONS = 100  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
# Another transaction has the item, or there is no capacity just now: the same again, a little later.
BUSY = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}
FIRST_PAUSE, LONGEST_PAUSE, RESERVE = 0.05, 2.0, 1.0  # seconds

# What is sent is made below, and DynamoDB checks it; boto3's own look at a hundred actions would cost as much again.
settings = Config(retries={"mode": "standard", "max_attempts": 8}, parameter_validation=False)
dynamodb = boto3.client("dynamodb", config=settings)

EXACT = Context(prec=38, traps=[Inexact, InvalidOperation])  # as many digits as DynamoDB keeps, and never rounded

Item = dict[str, dict[str, str]]  # DynamoDB's JSON: {"Quantity": {"N": "6"}}


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html"""
    lines: dict[str, Item] = {}
    numbers: dict[str, str] = {}  # of the record that a line came with
    failed: dict[str, str] = {}  # a record's number -> why it is none of ours
    for record in event["Records"]:
        number = record["kinesis"]["sequenceNumber"]
        try:
            line = line_of(record)
            row_id = line["RowId"]["S"]
            if lines.setdefault(row_id, line) != line:
                raise ValueError(f"{row_id} comes twice, with different content")
            numbers.setdefault(row_id, number)
        except ValueError as error:
            failed[number] = str(error)
    there: set[str] = set()
    new = 0
    for pack in packs(lines.values()):
        written, others = write(pack, there, context)
        new += written
        failed |= {numbers[row_id]: f"{row_id} is there already, with other content" for row_id in others}
    for number, reason in failed.items():
        print(json.dumps({"failed": number, "reason": reason}))
    print(json.dumps({"records": len(event["Records"]), "new": new, "failed": len(failed)}))
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def line_of(record: dict[str, Any]) -> Item:
    """The item of a record. Raises ValueError, with the reason, when it is no invoice line."""
    data = a2b_base64(record["kinesis"]["data"])
    try:
        row = json.loads(data, parse_float=Decimal)
        texts = {name: row[name] for name in ("InvoiceNo", "RowId", "StockCode", "InvoiceDate", "Country")}
        quantity, price = row["Quantity"], row["UnitPrice"]
    except (ValueError, KeyError, TypeError) as error:
        shown = data[:80].decode("utf-8", "replace")
        raise ValueError(f"no JSON row, {type(error).__name__} {error}: {shown}") from None
    texts |= {name: row[name] for name in ("Description", "CustomerID") if row.get(name)}
    for name, text in texts.items():
        if not isinstance(text, str) or not text:
            raise ValueError(f"{row['RowId']}: {name} is {text!r}, not a text")
    try:
        amount = EXACT.plus(Decimal(price))
        fits = type(quantity) is int and not isinstance(price, bool) and abs(quantity) < 10**12 > abs(amount)
    except (ArithmeticError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{row['RowId']}: Quantity {quantity!r} or UnitPrice {price!r} is no number to count with")
    if texts["RowId"].startswith("#"):
        raise ValueError(f"{row['RowId']}: a RowId must not begin with #")
    numbers = {"Quantity": {"N": str(quantity)}, "UnitPrice": {"N": plain(amount)}}
    return {**{name: {"S": text} for name, text in texts.items()}, **numbers}


def plain(number: Decimal) -> str:
    """A number as DynamoDB gives it back: 8.50 is 8.5."""
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def packs(lines: Iterable[Item]) -> Iterator[list[Item]]:
    """Lines that fit into one transaction together with the totals that they change; an invoice's stay together."""
    pack: list[Item] = []
    changed: set[tuple[str, str]] = set()
    for line in chain.from_iterable(grouped(lines, "InvoiceNo").values()):
        totals = {(name, line[name]["S"]) for name in ("InvoiceNo", "CustomerID") if name in line}
        if len(pack) + 1 + len(changed | totals) > MOST_ACTIONS:
            yield pack
            pack, changed = [], set()
        pack.append(line)
        changed |= totals
    if pack:
        yield pack


def grouped(lines: Iterable[Item], name: str) -> dict[str, list[Item]]:
    """The lines by an attribute's value, without those that lack it."""
    groups: dict[str, list[Item]] = {}
    for line in lines:
        if name in line:
            groups.setdefault(line[name]["S"], []).append(line)
    return groups


def write(lines: list[Item], there: set[str], context: Any) -> tuple[int, list[str]]:
    """One transaction. AWS answers a cancelled one with a reason for each action, in order: what can be mended is.

    A line that is there already is left out. Returns how many were new, and the RowIds of those that are there with
    other content. `there` are invoices that are known to have a header; it grows.
    """
    attempt, others = 0, []
    while lines:
        try:
            dynamodb.transact_write_items(TransactItems=actions(lines, there))
        except dynamodb.exceptions.TransactionCanceledException as error:
            reasons = error.response["CancellationReasons"]
        else:
            there.update(grouped(lines, "InvoiceNo"))  # in place: the next pack needs to know
            break
        codes = {reason["Code"] for reason in reasons} - {"None"}
        if not codes <= {"ConditionalCheckFailed", *BUSY}:
            raise RuntimeError(f"the transaction was cancelled: {', '.join(sorted(codes))}")
        if codes <= BUSY:
            pause(attempt, context, codes)
            attempt += 1
        is_there = [reason["Code"] == "ConditionalCheckFailed" for reason in reasons]
        others += [
            line["RowId"]["S"]
            for line, reason, no in zip(lines, reasons, is_there, strict=False)
            if no and reason["Item"] != line
        ]
        there |= {key for key, no in zip(grouped(lines, "InvoiceNo"), is_there[len(lines) :], strict=False) if no}
        lines = [line for line, no in zip(lines, is_there, strict=False) if not no]
    return len(lines), others


def actions(lines: list[Item], there: set[str]) -> list[dict[str, Any]]:
    """A transaction's actions: the lines, the headers of their invoices, the totals of their customers."""
    result = [put_new(line) for line in lines]
    new_invoices: Counter[str] = Counter()
    for invoice, its_lines in grouped(lines, "InvoiceNo").items():
        if invoice in there:
            result.append(add(INVOICES, {"InvoiceNo": {"S": invoice}, "RowId": {"S": HEADER}}, sums(its_lines)))
        else:
            new = header(its_lines[0])
            result.append(put_new(new | sums(its_lines)))
            new_invoices[new["Buyer"]["S"]] += 1
    for customer, its_lines in grouped(lines, "CustomerID").items():
        totals = {"Invoices": {"N": str(new_invoices[customer])}, **sums(its_lines)}
        result.append(add(CUSTOMERS, {"CustomerID": {"S": customer}}, totals, Country=its_lines[0]["Country"]))
    return result


def header(line: Item) -> Item:
    """An invoice's header, made of its first line. Only headers have Buyer and At, so only they are in the index."""
    kept: Item = {name: line[name] for name in ("InvoiceNo", "InvoiceDate", "CustomerID", "Country") if name in line}
    at = f"{line['InvoiceDate']['S']}#{line['InvoiceNo']['S']}"
    return {**kept, "RowId": {"S": HEADER}, "Buyer": line.get("CustomerID", {"S": GUEST}), "At": {"S": at}}


def sums(lines: list[Item]) -> Item:
    quantities = [int(line["Quantity"]["N"]) for line in lines]
    with localcontext(EXACT):
        prices = (Decimal(line["UnitPrice"]["N"]) for line in lines)
        revenue = sum((n * price for n, price in zip(quantities, prices, strict=True)), Decimal(0))
    totals = {"Lines": len(lines), "Quantity": sum(quantities), "Revenue": plain(revenue)}
    return {name: {"N": str(value)} for name, value in totals.items()}


def put_new(item: Item) -> dict[str, Any]:
    """Puts an item only if it is not there; when it is, the answer shows what is."""
    condition = {"ConditionExpression": "attribute_not_exists(RowId)"}
    return {"Put": {"TableName": INVOICES, "Item": item, **condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}


def add(table: str, key: Item, totals: Item, **first: dict[str, str]) -> dict[str, Any]:
    """Adds to an item's numbers, which begin at nought; `first` is set when the item is new."""
    update = "ADD " + ", ".join(f"#{name} :{name}" for name in totals)
    if first:
        update += " SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in first)
    names = {f"#{name}": name for name in (*totals, *first)}  # Lines is a word of DynamoDB's own, so none stands bare
    values = {f":{name}": value for name, value in {**totals, **first}.items()}
    what = {
        "UpdateExpression": update,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    return {"Update": {"TableName": table, "Key": key, **what}}


def pause(attempt: int, context: Any, codes: set[str]) -> None:
    """Wait a random while, up to twice as long after each attempt; give up before the function's time is up.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    seconds = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
    if context.get_remaining_time_in_millis() / 1000 - seconds < RESERVE:
        raise RuntimeError(f"the transaction was cancelled {attempt + 1} times: {', '.join(sorted(codes))}")
    time.sleep(seconds)
