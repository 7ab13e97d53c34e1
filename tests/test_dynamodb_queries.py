"""Queries, scans, batches, transactions and tables: what others recorded against the real DynamoDB, asked of the lab.

Each case names the recorded one by its path below tests/ of https://github.com/nubo-db/dynamodb-conformance, a suite
that is run against AWS, or of https://github.com/paritysuite/dynamodb-conformance, its newer captures ("parity:").
AWS's words differ by region where it says "1 validation error detected"; here they are those of one region.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conformance.lab import world

ONE, WERE = "1 validation error detected: ", "One or more parameter values were invalid: "
NOT_FOUND, MISFIT = "Requested resource not found", "The provided key element does not match the schema"
TWICE = "Transaction request cannot include multiple operations on one item"
LENGTH = "failed to satisfy constraint: Member must have length"
EM, VO = "tier3/error-messages/", "tier3/validation-ordering/"
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
Call = tuple[str, dict[str, Any]]
Case = tuple[str, Call, str]  # (source, call, the message, or "..." and its end; NOT_FOUND has a code of its own)


def s(text: str) -> dict[str, Any]:
    return {"S": text}


def n(number: float | str) -> dict[str, Any]:
    return {"N": str(number)}


def pk(text: str, **more: Any) -> dict[str, Any]:
    return {"pk": s(text), **more}


def index(name: str, *keys: str, kinds: str = "HRRRR", **projection: Any) -> dict[str, Any]:
    both = zip(keys, kinds, strict=False)
    schema = [{"AttributeName": key, "KeyType": {"H": "HASH", "R": "RANGE"}[kind]} for key, kind in both]
    return {"IndexName": name, "KeySchema": schema, "Projection": projection or {"ProjectionType": "ALL"}}


def table(name: str, keys: str, types: str = "", **more: Any) -> dict[str, Any]:
    """CreateTable's parameters: its keys and its other attributes are given as in "pk sk:N"."""
    kinds = dict((*key.split(":"), "S")[:2] for key in f"{keys} {types}".split())
    schema = index("", *(key.partition(":")[0] for key in keys.split()))["KeySchema"]
    attributes = [{"AttributeName": key, "AttributeType": kind} for key, kind in kinds.items()]
    given = {"TableName": name, "KeySchema": schema, "AttributeDefinitions": attributes}
    return {**given, "BillingMode": "PAY_PER_REQUEST", **more}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client that lets everything through, of a lab with the suite's tables."""
    with world(tmp_path_factory.mktemp("queries") / "lab") as lab:
        client = lab.client("dynamodb", config=Config(parameter_validation=False, retries={"max_attempts": 0}))
        some = {"ProjectionType": "INCLUDE"}
        local = [
            index("lsi1", "pk", "lsi1sk"),
            index("lsi2", "pk", "lsi2sk", **some, NonKeyAttributes=["lsi1sk"]),
        ]
        globals_ = [index("gsi1", "lsi1sk"), index("gsi2", "lsi1sk", "lsi2sk", **some, NonKeyAttributes=["data"])]
        indexes = {"LocalSecondaryIndexes": local, "GlobalSecondaryIndexes": globals_}
        client.create_table(**table("hash", "pk"))
        client.create_table(**table("hashB", "pk:B"))
        client.create_table(**table("compositeN", "pk sk:N"))
        client.create_table(**table("compositeB", "pk sk:B"))
        client.create_table(**table("composite", "pk sk", "lsi1sk lsi2sk", **indexes))
        yield client


def refusal(client: Any, call: Call) -> Any:
    with pytest.raises(ClientError) as caught:
        getattr(client, call[0])(**call[1])
    return caught.value.response


def check(client: Any, case: Case) -> None:
    _, call, words = case
    error = refusal(client, call)["Error"]
    assert error["Code"] == ("ResourceNotFoundException" if words == NOT_FOUND else "ValidationException")
    assert error["Message"].endswith(words[3:]) if words[:3] == "..." else error["Message"] == words


def named(case: Case) -> str:
    return f"{case[0]}-{case[1][0]}"


# Transactions


def act(kind: str, key: dict[str, Any], of: str = "hash", **more: Any) -> dict[str, Any]:
    if kind == "Update":
        more = {"UpdateExpression": "SET attr1 = :v", "ExpressionAttributeValues": {":v": s("x")}, **more}
    if kind == "ConditionCheck":
        more = {"ConditionExpression": "attribute_not_exists(pk)", **more}
    return {kind: {"TableName": of, "Item" if kind == "Put" else "Key": key, **more}}


def acts(*actions: dict[str, Any], **more: Any) -> Call:
    return "transact_write_items", {"TransactItems": list(actions), **more}


def reasons(client: Any, call: Call) -> list[tuple[str, str | None]]:
    response = refusal(client, call)
    assert response["Error"]["Code"] == "TransactionCanceledException"
    return [(reason["Code"], reason.get("Message")) for reason in response["CancellationReasons"]]


def test_a_cancelled_transaction_leaves_a_table_as_it_was_that_it_names_by_its_arn(db: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Put.html: a table's name may be its ARN."""
    arn = db.describe_table(TableName="hash")["Table"]["TableArn"]
    fails = act("ConditionCheck", pk("nobody"), arn, ConditionExpression="attribute_exists(pk)")
    told = reasons(db, acts(act("Put", pk("by-arn"), arn), fails))
    assert [code for code, _ in told] == ["None", "ConditionalCheckFailed"]
    assert "Item" not in db.get_item(TableName="hash", Key=pk("by-arn"))
