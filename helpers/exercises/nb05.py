"""The exercises of notebook 05: each looks at the tables, the API's plans and the permissions as they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

from helpers.checks import Wrong, exercise, published
from helpers.exercises.nb02 import _may, _role_with, _soon
from helpers.provision import find_by


@exercise("05-1", hint="Follow Next from page to page until an answer has none; Decimal takes a Revenue as it is.")
def all_pages(answer: Decimal) -> str:
    """The revenue of the example customer's invoices that stand."""
    outputs, table = published("05"), boto3.resource("dynamodb").Table(published("04")["invoices_table"])
    buyer = {"IndexName": "ByBuyer", "KeyConditionExpression": Key("Buyer").eq(outputs["customer"])}
    found = _all(table, ScanIndexForward=False, **buyer)
    sold = [invoice for invoice in found if not invoice["InvoiceNo"].startswith("C")]
    standing = [invoice for invoice in sold if "CancelledBy" not in invoice]
    if isinstance(answer, float):
        raise Wrong("a float is no money: Decimal(invoice['Revenue']) takes the text as it is.")
    if not isinstance(answer, Decimal):
        raise Wrong(f"the answer is a Decimal, not a {type(answer).__name__}.")
    if answer == _revenue(standing):
        return f"{answer} in {len(standing)} invoices that stand, read page by page."
    if answer == _revenue(i for i in found[:5] if i in standing):
        raise Wrong("that is the first page only: the answer has a Next, which goes into the next request.")
    if answer == _revenue(found):
        raise Wrong("that is all of it, cancellations included: wanted are the invoices that stand.")
    if answer == _revenue(sold):
        raise Wrong("an invoice that was cancelled later is in it: such a one has a CancelledBy.")
    if answer == _revenue(i for i in found if "CancelledBy" not in i):
        raise Wrong("the cancellations themselves are in it: their number begins with C.")
    raise Wrong("it is another sum. Did every page come in once, and its Next into the following request?")


def _all(table: Any, **query: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        page = table.query(**query)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _revenue(invoices: Any) -> Decimal:
    return sum((invoice["Revenue"] for invoice in invoices), Decimal(0))


@exercise("05-2", hint="create_api_key, create_usage_plan, create_usage_plan_key: part 6 makes all three.")
def partners_plan(answer: object) -> str:
    """The plan shop-partner has the wanted limits, this API's stage, and an enabled key in it."""
    api, outputs = boto3.client("apigateway"), published("02")
    plan = find_by(api.get_usage_plans, name="shop-partner")
    if not plan:
        raise Wrong("there is no usage plan shop-partner yet.")
    throttle, quota = plan.get("throttle", {}), plan.get("quota", {})
    if (throttle.get("rateLimit"), throttle.get("burstLimit")) != (2, 5):
        found = (
            f"{throttle.get('rateLimit', 'any number of')} requests a second and {throttle.get('burstLimit', 'any')}"
        )
        raise Wrong(f"the plan allows {found} at once, not 2 and 5.")
    if (quota.get("limit"), quota.get("period")) != (1_000, "DAY"):
        raise Wrong(f"the quota is {quota.get('limit', 'unlimited')} a {quota.get('period', 'day')}, not 1,000 a DAY.")
    if {"apiId": outputs["api_id"], "stage": outputs["stage"]} not in [
        {name: stage[name] for name in ("apiId", "stage")} for stage in plan.get("apiStages", [])
    ]:
        raise Wrong("the plan opens no stage of this API: apiStages.")
    keys = api.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    if not keys:
        raise Wrong("no key is in the plan: a key alone opens nothing. create_usage_plan_key puts it in.")
    if not any(api.get_api_key(apiKey=key["id"])["enabled"] for key in keys):
        raise Wrong("the plan's key is not enabled.")
    if plan.get("tags") != {"workbook": "05"}:
        raise Wrong('the plan has not the tag of this notebook, tags("05"): the clean-up would leave it behind.')
    return "the partner has a key of its own, and its own limits."


@exercise("05-3", hint="One action, GetItem, on the ARN of one table.")
def label_policy(answer: dict[str, Any]) -> str:
    """A role with the policy may get single items of Stock, and may do nothing else."""
    if not isinstance(answer, dict):
        raise Wrong("give the policy as a dict, such as in notebook 02.")
    with _role_with(answer) as session:
        dynamodb = session.client("dynamodb")
        product, invoice = {"StockCode": {"S": "none"}}, {"InvoiceNo": {"S": "none"}, "RowId": {"S": "none"}}
        customer = {"CustomerID": {"S": "none"}}
        if not _soon(lambda: _may(lambda: dynamodb.get_item(TableName="Stock", Key=product))):
            raise Wrong("GetItem on Stock is still denied. Which ARN does the table have?")
        if _may(lambda: dynamodb.get_item(TableName="Invoices", Key=invoice)) or _may(
            lambda: dynamodb.get_item(TableName="Customers", Key=customer)
        ):
            raise Wrong("it also lets the function read other tables: name the one.")
        if _may(lambda: dynamodb.scan(TableName="Stock", Limit=1)):
            raise Wrong("it also allows Scan, the whole table at once: name the one action.")
        change = {"UpdateExpression": "REMOVE nothing", "ConditionExpression": "attribute_exists(StockCode)"}
        if _may(lambda: dynamodb.update_item(TableName="Stock", Key=product, **change)):
            raise Wrong("it also allows changes: price labels only read.")
        if _may(lambda: dynamodb.batch_get_item(RequestItems={"Stock": {"Keys": [product]}})):
            raise Wrong("it also allows BatchGetItem: name the one action.")
        if _may(lambda: session.client("s3").list_buckets()):
            raise Wrong("it also allows other services' calls: name the one action of DynamoDB.")
    return "the role gets single products, and every other call that was tried is denied."
