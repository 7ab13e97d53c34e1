"""DynamoDB's transactions."""

from __future__ import annotations

import statistics
from typing import Any

import boto3

from .ground import Ground, rate


def measure(ground: Ground) -> dict[str, Any]:
    """What an item in a transaction costs, with more and more items in the table."""
    result: dict[str, Any] = {}
    with ground.lab():
        db, held = boto3.client("dynamodb"), 0
        key = [{"AttributeName": "id", "KeyType": "HASH"}]
        kinds = [{"AttributeName": "id", "AttributeType": "S"}]
        db.create_table(TableName="items", KeySchema=key, AttributeDefinitions=kinds, BillingMode="PAY_PER_REQUEST")

        def item(name: str) -> dict[str, Any]:
            return {"id": {"S": name}, "Quantity": {"N": "6"}, "Country": {"S": "United Kingdom"}}

        for size in (1_000, 3_000) if ground.quick else (1_000, 10_000, 100_000, 500_000):
            while held < size:
                requests = [{"PutRequest": {"Item": item(f"{held + n}")}} for n in range(25)]
                db.batch_write_item(RequestItems={"items": requests})
                held += 25
            times = []
            for n in range(40):
                puts = [{"Put": {"TableName": "items", "Item": item(f"{n}-{m}")}} for m in range(25)]
                times.append(1 / rate(25, lambda of=puts: db.transact_write_items(TransactItems=of)))  # type: ignore[misc]
            result[f"ms_an_item_at_{size}"] = round(statistics.median(times) * 1000, 3)
    values = list(result.values())
    return {"transactions": {**result, "last_to_first": round(values[-1] / values[0], 2)}}
