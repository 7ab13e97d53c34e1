"""The exercises of notebook 07: they ask the extract, by Hyper."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from helpers import tableau
from helpers.checks import Wrong, exercise, published

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
    found = tableau.query_extract(published("07")["extract"], sql)
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


@exercise("07-3", hint='tableau.Use("invoiced_at", "Hour") is the hour of the sale; look at tableau.SHEETS.')
def a_seventh_sheet(answer: tableau.Sheet) -> str:
    """A sheet of revenue by hour: the right fields, used in the right way, on the right shelves."""
    if not isinstance(answer, tableau.Sheet):
        raise Wrong(f"give a tableau.Sheet, not a {type(answer).__name__}.")
    hour, revenue = tableau.Use("invoiced_at", "Hour"), tableau.Use("revenue", "Sum")
    if (answer.columns, answer.rows) == (revenue, hour):
        raise Wrong("columns and rows are exchanged: the bars would lie.")
    if answer.columns != hour:
        raise Wrong(f"on the columns is {answer.columns.name}: the hour alone, or every minute gets a bar of its own.")
    if answer.rows.field != "revenue":
        raise Wrong(f"on the rows is {answer.rows.name}: the question is about money.")
    if answer.rows.derivation != "Sum":
        raise Wrong("the revenue is not added up: each line would be a mark of its own.")
    if answer.mark != "Bar":
        raise Wrong(f"the marks are {answer.mark}: bars were asked for.")
    if answer.name in {sheet.name for sheet in tableau.SHEETS}:
        raise Wrong(f"there is a sheet {answer.name!r} already.")
    if tableau.MISSING:
        raise Wrong(tableau.MISSING)
    best = max(tableau.query_extract(published("07")["extract"], answer.sql), key=lambda mark: mark["y"])
    return f"most comes in from {best['x']:g} o'clock on: {best['y']}."
