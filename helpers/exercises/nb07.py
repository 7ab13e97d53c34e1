"""The exercises of notebook 07: the extract is asked by Hyper, the warehouse by the Data API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3

from helpers import tableau
from helpers.checks import Wrong, exercise
from helpers.warehouse import QueryFailed, run

_ADDRESS = "203.0.113.7/32"


@exercise("07-1", hint='SELECT customer_id, SUM(revenue) FROM "Extract"."Extract" … GROUP BY … ORDER BY 2 DESC LIMIT 1')
def best_customer(answer: tuple[str, Decimal]) -> str:
    """The customer with most revenue, and the exact sum, of all of the customer's lines."""
    if tableau.MISSING:
        raise Wrong(tableau.MISSING)
    customer, revenue = answer
    sql = """SELECT customer_id AS customer, SUM(revenue) AS revenue,
                    SUM(CASE WHEN is_return THEN 0 ELSE revenue END) AS sold
             FROM "Extract"."Extract" GROUP BY customer_id ORDER BY 2 DESC, 1"""
    found = tableau.query_extract(_outputs()["extract"], sql)
    best = next(line for line in found if line["customer"] is not None)
    if customer is None or customer == "":
        raise Wrong("these are the guests, all of them together: they are no customer. WHERE customer_id IS NOT NULL")
    if isinstance(revenue, float):
        raise Wrong(
            "the revenue is a float: its last digits are not the extract's. Keep the Decimal that Hyper answers."
        )
    if str(customer) != best["customer"]:
        if any(line["customer"] == str(customer) and line["sold"] >= best["sold"] for line in found):
            raise Wrong("you have left out what came back: returns count, with their negative revenue.")
        raise Wrong(f"customer {customer} is not the one with most revenue.")
    if Decimal(revenue) != best["revenue"]:
        raise Wrong(f"the customer is right; {revenue} is not the sum of all lines of customer {customer}.")
    return f"customer {customer} brought {revenue}."


@exercise("07-2", hint="an entry of IpPermissions has IpProtocol, FromPort, ToPort and IpRanges, a list of CidrIp.")
def one_door(answer: dict[str, Any]) -> str:
    """A rule that lets one address in at Redshift's port, and nobody else."""
    if not isinstance(answer, dict):
        raise Wrong(f"give the entry as a dict, not as a {type(answer).__name__}.")
    ranges = [entry["CidrIp"] for entry in answer.get("IpRanges", [])]
    if answer.get("IpProtocol") != "tcp":
        raise Wrong(
            f"the protocol is {answer.get('IpProtocol')!r}: Redshift speaks TCP ('-1' would be every protocol)."
        )
    if (answer.get("FromPort"), answer.get("ToPort")) != (5439, 5439):
        raise Wrong(f"ports {answer.get('FromPort')} to {answer.get('ToPort')} are open: Redshift needs 5439 alone.")
    if "0.0.0.0/0" in ranges or answer.get("Ipv6Ranges"):
        raise Wrong("0.0.0.0/0 is everybody on earth.")
    if ranges != [_ADDRESS]:
        raise Wrong(f"open to {', '.join(ranges) or 'nobody'}: one address is written with /32 behind it.")
    return "one address, one port."


@exercise(
    "07-3", hint="CREATE VIEW … AS SELECT … FROM bi.sales WHERE NOT is_return GROUP BY weekday; then GRANT SELECT."
)
def view_for_a_sheet(answer: object) -> str:
    """bi.orders_by_weekday has the right numbers, and the analysts may read it."""
    expected = _by_weekday("bi.sales WHERE NOT is_return")
    try:
        found = run("SELECT weekday, orders, revenue FROM bi.orders_by_weekday ORDER BY weekday")
    except QueryFailed as error:
        raise Wrong(f"the view cannot be read: {error.error}") from None
    lines = [tuple(line) for line in found.itertuples(index=False)]
    if lines != expected:
        if lines == _by_weekday("bi.sales"):
            raise Wrong("the cancellations are in it: an order is an invoice that was not cancelled.")
        if [line[1] for line in lines] != [line[1] for line in expected] and len(lines) == len(expected):
            raise Wrong("the orders are not right: an invoice has several lines, and is one order. COUNT(DISTINCT …)")
        raise Wrong("its numbers are not those of bi.sales.")
    try:
        run("SELECT COUNT(*) FROM bi.orders_by_weekday", DbUser=_bi_user())
    except QueryFailed as error:
        raise Wrong(f"{_bi_user()} cannot read it: {error.error}") from None
    return "the analysts have a new view."


def _by_weekday(source: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT weekday, COUNT(DISTINCT invoice_no), SUM(revenue) FROM {source} GROUP BY weekday ORDER BY weekday"
    return [tuple(line) for line in run(sql).itertuples(index=False)]


def _outputs() -> dict[str, str]:
    return _published("07")


def _bi_user() -> str:
    return _published("06")["bi_user"]


def _published(stage: str) -> dict[str, str]:
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/workbook/{stage}")
    return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}
