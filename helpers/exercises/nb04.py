"""The exercises of notebook 04: each looks at the tables as they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

from helpers.checks import Wrong, exercise, published

FIRST_DAY, LAST_DAY, DAY_AFTER = "2010-12-05", "2010-12-09", "2010-12-10"


@exercise("04-1", hint="customers.scan() reads every customer, and each item knows its Invoices and its Revenue.")
def most_invoices(answer: str) -> str:
    """The CustomerID with the most invoices, of several the one with the most revenue."""
    if not isinstance(answer, str):
        raise Wrong(f"a CustomerID is a text, though it looks like a number; not a {type(answer).__name__}.")
    found = {customer["CustomerID"]: customer for customer in _customers()}
    if not found:
        raise Wrong("the table Customers is empty: run part 5.")
    most = max(found.values(), key=lambda customer: (customer["Invoices"], customer["Revenue"]))
    if answer == most["CustomerID"]:
        return f"customer {answer} has {most['Invoices']} invoices."
    if answer not in found:
        raise Wrong(f"there is no customer {answer!r}.")
    for name in ("Revenue", "Lines", "Quantity"):
        if answer == max(found.values(), key=lambda customer: customer[name])["CustomerID"]:
            raise Wrong(f"that customer has the most {name}, not the most Invoices.")
    if found[answer]["Invoices"] == most["Invoices"]:
        raise Wrong("another one has as many invoices, and more revenue.")
    raise Wrong(f"customer {answer} has {found[answer]['Invoices']} invoices; somebody has more.")


@exercise("04-2", hint='Key("At").between(first, last): At begins with the date, and as a text it goes on behind it.')
def five_days(answer: Decimal) -> str:
    """What the customer with the most revenue spent on the five days."""
    if not isinstance(answer, Decimal | int) or isinstance(answer, bool):
        raise Wrong(f"money is a Decimal, as boto3 gives it, not a {type(answer).__name__}.")
    table = boto3.resource("dynamodb").Table(published("04")["invoices_table"])
    best = max(_customers(), key=lambda customer: customer["Revenue"])["CustomerID"]
    found = table.query(IndexName="ByBuyer", KeyConditionExpression=Key("Buyer").eq(best))["Items"]

    def spent(first: str, last: str) -> Decimal:
        return sum((i["Revenue"] for i in found if first <= i["At"] < last), Decimal(0))

    if answer == spent(FIRST_DAY, DAY_AFTER):
        return f"customer {best} spent {answer} on those days."
    if answer == spent(FIRST_DAY, LAST_DAY):
        raise Wrong(f'the {LAST_DAY} itself is missing: "{LAST_DAY}T09:00" comes after "{LAST_DAY}" as a text.')
    if answer == spent("", "9"):
        raise Wrong("those are all the invoices of this customer.")
    raise Wrong("it is another amount. Add up the Revenue of the invoices that the query finds.")


@exercise("04-3", hint="Create an index in GlobalSecondaryIndexUpdates, and define the types of its keys beside it.")
def by_stock_code(answer: object) -> str:
    """The index ByStockCode: StockCode, then InvoiceNo; the keys and Quantity only; and it finds what there is."""
    client, name = boto3.client("dynamodb"), published("04")["invoices_table"]
    indexes = {
        index["IndexName"]: index
        for index in client.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
    }
    index = indexes.get("ByStockCode")
    if index is None:
        raise Wrong(f"the table has {', '.join(sorted(indexes)) or 'no index'}; there is no ByStockCode.")
    keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
    if keys == [("StockCode", "HASH")]:
        raise Wrong("it has no sort key: within a product it is to be sorted by InvoiceNo.")
    if keys != [("StockCode", "HASH"), ("InvoiceNo", "RANGE")]:
        raise Wrong(f"its keys are {', '.join(f'{key} ({kind})' for key, kind in keys)}.")
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        raise Wrong("it holds every attribute, so each line is paid for and stored twice in full.")
    if projection.get("NonKeyAttributes") != ["Quantity"]:
        raise Wrong("besides the keys it is to hold the Quantity, and no more.")
    if "ByBuyer" not in indexes:
        raise Wrong("but ByBuyer is gone, and notebook 05 asks it.")
    return "one more question has a key; each line costs one more write for it."


def _customers() -> list[dict[str, Any]]:
    """Every customer, with numbers as Decimal."""
    table = boto3.resource("dynamodb").Table(published("04")["customers_table"])
    page = table.scan()
    found = page["Items"]
    while "LastEvaluatedKey" in page:
        page = table.scan(ExclusiveStartKey=page["LastEvaluatedKey"])
        found += page["Items"]
    return list(found)
