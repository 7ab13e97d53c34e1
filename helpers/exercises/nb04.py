"""The exercises of notebook 04: each looks at the tables as they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3

from helpers.checks import Wrong, exercise


@exercise("04-1", hint="customers.scan() reads every customer, and each knows its Revenue.")
def best_customer(answer: str) -> str:
    """The CustomerID with the highest revenue."""
    if not isinstance(answer, str):
        raise Wrong(f"a CustomerID is a text, though it looks like a number: not a {type(answer).__name__}.")
    customers = {customer["CustomerID"]: customer for customer in _customers()}
    if not customers:
        raise Wrong("the table Customers is empty: run part 5.")
    best = {by: max(customers, key=lambda key: customers[key][by]) for by in ("Revenue", "Invoices", "Lines")}
    if answer == best["Revenue"]:
        return f"customer {answer} brought {customers[answer]['Revenue']}."
    for by in ("Invoices", "Lines"):
        if answer == best[by]:
            raise Wrong(f"that customer has the most {by}, not the most Revenue.")
    raise Wrong(f"customer {answer} is not the one." if answer in customers else f"there is no customer {answer!r}.")


def _customers() -> list[dict[str, Any]]:
    """Every customer, with numbers as Decimal."""
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=_outputs()["customers_table"])
    return [
        {name: Decimal(value["N"]) if "N" in value else value["S"] for name, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]


def _outputs() -> dict[str, str]:
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/workbook/04")
    return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}
