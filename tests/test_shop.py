"""The visualization API of notebook 05, deployed in a lab: its contract, its transactions under fire, its page.

One lab for all of it, in which notebooks 02, 04 and 05 have run: the notebook's own code made what is tested here.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import openapi_spec_validator
import psutil
import pytest
import schemathesis
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from platform_lab import own_lab
from playwright.sync_api import Browser, Page, expect, sync_playwright
from schemathesis import GenerationMode
from test_website import OPEN

from helpers import reconcile
from helpers.figures import PICTURES, LivePage
from helpers.inventory import inventory
from helpers.lab import Lab
from helpers.localaws import server
from helpers.provision import PAGE, ensure, package, wait_for
from tests.notebooks import execute, said
from tests.seeded import SEED, SOAK, seeded

Answer = tuple[int, Any]


class Shop:
    """The deployed API, and the tables behind it."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder, self.lab, self.outputs = folder, lab, lab.outputs("05")
        api, ingestion = boto3.client("apigateway"), lab.outputs("02")
        self.key = api.get_api_key(apiKey=ingestion["api_key_id"], includeValue=True)["value"]
        self.url, self.customer = self.outputs["url"], self.outputs["customer"]
        tables = boto3.resource("dynamodb")
        self.invoices, self.customers = tables.Table("Invoices"), tables.Table("Customers")
        self.stock = tables.Table("Stock")
        self.http = urllib3.PoolManager(maxsize=32, retries=False, timeout=60)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Content-Type": "application/json", "x-api-key": self.key}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        answer = self.http.request(method, self.url + path, body=content, headers=sent)
        return answer.status, json.loads(answer.data or b"null")

    def order(self, lines: dict[str, int], key: str | None = None, customer: str | None = None) -> Answer:
        buyer = {"CustomerID": customer} if customer else {"Country": "France"}
        body = buyer | {"Lines": [{"StockCode": code, "Quantity": n} for code, n in lines.items()]}
        return self.call("POST", "/invoices", body, Idempotency_Key=key or uuid.uuid4().hex)

    def put_products(self, **quantities: int) -> None:
        for code, quantity in quantities.items():
            item = {"StockCode": code, "UnitPrice": Decimal("1.255"), "Quantity": quantity, "Description": f"A {code}"}
            self.stock.put_item(Item=item)

    def in_stock(self, *codes: str) -> list[int]:
        return [int(self.stock.get_item(Key={"StockCode": c}, ConsistentRead=True)["Item"]["Quantity"]) for c in codes]

    def kill_workers(self, function: str) -> int:
        """SIGKILL to every process that runs this function; how many there were."""
        info, killed = server.find(self.folder), 0
        assert info is not None
        for child in psutil.Process(info.pid).children(recursive=True):
            try:
                if child.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function:
                    child.send_signal(signal.SIGKILL)
                    killed += 1
            except psutil.Error:
                continue
        return killed

    def expect_agreement(self) -> None:
        """Every header has the totals of its lines, every line a header, every customer the totals of the headers."""
        lines: dict[str, list[Any]] = defaultdict(list)
        headers: dict[str, Any] = {}
        for item in scan(self.invoices):
            if item["RowId"] == "#invoice":
                headers[item["InvoiceNo"]] = item
            else:
                lines[item["InvoiceNo"]].append(item)
        assert headers.keys() == lines.keys()
        of_customers: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
        for number, header in headers.items():
            totals = sums(lines[number])
            assert [header["Lines"], header["Quantity"], header["Revenue"]] == totals, number
            if "CustomerID" in header:
                mine = of_customers[header["CustomerID"]]
                of_customers[header["CustomerID"]] = [a + b for a, b in zip(mine, [Decimal(1), *totals], strict=True)]
        for customer in scan(self.customers):
            told = [customer[name] for name in ("Invoices", "Lines", "Quantity", "Revenue")]
            assert told == of_customers[customer["CustomerID"]], customer["CustomerID"]
        assert all(item["Quantity"] >= 0 for item in scan(self.stock))


def scan(table: Any) -> list[Any]:
    items, start = [], {}
    while True:
        page = table.scan(ConsistentRead=True, **start)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def sums(lines: list[Any]) -> list[Decimal]:
    quantity = sum(line["Quantity"] for line in lines)
    return [Decimal(len(lines)), quantity, sum((line["Quantity"] * line["UnitPrice"] for line in lines), Decimal(0))]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop") / "lab"
    with own_lab(folder) as lab:
        lab.require("02", "04", "05", csv="", rows=1000)
        yield Shop(folder, lab)


# --- answers


GOOD = {"Country": "France", "Lines": [{"StockCode": "DRY1", "Quantity": 1}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[" * 100_000, "body"),
        (b"", "body"),
        ([], "body"),
        ({}, "CustomerID"),
        (GOOD | {"CustomerID": "12345"}, "CustomerID"),
        (GOOD | {"CustomerID": 12345, "Country": None}, "CustomerID"),
        (GOOD | {"Country": None, "CustomerID": "nobody"}, "CustomerID"),
        (GOOD | {"Country": "a\ud800"}, "Country"),
        (GOOD | {"Country": "x" * 41}, "Country"),
        (GOOD | {"Discount": 10}, "Discount"),
        (GOOD | {"Lines": []}, "Lines"),
        (GOOD | {"Lines": GOOD["Lines"] * 49}, "Lines"),
        (GOOD | {"Lines": [GOOD["Lines"][0], 1]}, "Lines[1]"),  # type: ignore[index]
        (GOOD | {"Lines": [{"StockCode": "DRY1"}]}, "Lines[0]"),
        (GOOD | {"Lines": GOOD["Lines"] * 2}, "Lines[1].StockCode"),
        (GOOD | {"Lines": [{"StockCode": "no such", "Quantity": 1}]}, "Lines[0].StockCode"),
        (GOOD | {"Lines": [{"StockCode": "", "Quantity": 1}]}, "Lines[0].StockCode"),
        *((GOOD | {"Lines": [{"StockCode": "DRY1", "Quantity": q}]}, "Lines[0].Quantity") for q in (0, -1, 1.0, True)),
        (GOOD | {"Lines": [{"StockCode": "DRY1", "Quantity": float("nan")}]}, "Lines[0].Quantity"),
        (GOOD | {"Lines": [{"StockCode": "DRY1", "Quantity": 10**30}]}, "Lines[0].Quantity"),
    ],
)
def test_an_order_that_is_none_names_the_field(shop: Shop, body: Any, field: str) -> None:
    shop.put_products(DRY1=5)
    status, answer = shop.call("POST", "/invoices", body, Idempotency_Key=uuid.uuid4().hex)
    assert (status, answer["field"]) == (400, field), answer
    assert shop.in_stock("DRY1") == [5]


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "with a blank", "é" * 8])
def test_an_order_without_a_key_of_its_own_is_none(shop: Shop, key: str) -> None:
    status, answer = shop.call("POST", "/invoices", GOOD, Idempotency_Key=key)
    assert (status, answer["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/customers/nobody", 404, "customerId"),
        ("/customers/nobody/invoices", 404, "customerId"),
        ("/customers/a%20b", 400, "customerId"),
        ("/customers/%F0%9F%98%80", 400, "customerId"),
        ("/invoices/nothing", 404, "invoiceNo"),
        ("/invoices/%23invoice", 400, "invoiceNo"),
        ("/products/nothing", 404, "stockCode"),
        ("/products/%2F", 400, "stockCode"),
        *((f"/customers/GUEST/invoices?limit={n}", 400, "limit") for n in ("0", "101", "-1", "1.0", "", "%C2%B2")),
        *((f"/customers/GUEST/invoices?next={t}", 400, "next") for t in ("", "x", "%00", "AAAA", "W" * 3000)),
    ],
)
def test_a_question_that_is_none_names_the_field(shop: Shop, path: str, status: int, field: str) -> None:
    got, answer = shop.call("GET", path)
    assert (got, answer["field"]) == (status, field), answer


def test_pages_show_each_invoice_once_while_orders_come_in(shop: Shop) -> None:
    shop.put_products(PAGES=100)
    before = {i["InvoiceNo"] for i in pages(shop, shop.customer, 100)}
    assert len(before) > 5
    seen = Counter[str]()
    for invoice in pages(shop, shop.customer, 2, between=lambda: shop.order({"PAGES": 1}, customer=shop.customer)):
        seen[invoice["InvoiceNo"]] += 1
    assert set(seen) == before and set(seen.values()) == {1}


def pages(shop: Shop, customer: str, limit: int, between: Callable[[], Any] = lambda: None) -> Iterator[Any]:
    token = ""
    while True:
        status, page = shop.call("GET", f"/customers/{customer}/invoices?limit={limit}{token}")
        assert status == 200 and len(page["Invoices"]) <= limit
        yield from page["Invoices"]
        if "Next" not in page:
            return
        token = f"&next={page['Next']}"
        between()


def test_a_token_opens_no_other_customers_invoices(shop: Shop) -> None:
    _, page = shop.call("GET", f"/customers/{shop.customer}/invoices?limit=1")
    for other in (c["CustomerID"] for c in scan(shop.customers)[:5]):
        _, found = shop.call("GET", f"/customers/{other}/invoices?next={page['Next']}")
        for invoice in found["Invoices"]:
            assert shop.call("GET", f"/invoices/{invoice['InvoiceNo']}")[1]["CustomerID"] == other


def test_money_keeps_every_decimal(shop: Shop) -> None:
    shop.put_products(EXACT=1000)
    status, made = shop.order({"EXACT": 7})
    assert (status, made["Revenue"], made["Items"][0]["UnitPrice"]) == (201, "8.785", "1.255")
    assert shop.call("GET", f"/invoices/{made['InvoiceNo']}")[1] == made


def test_the_tutorials_way_gives_the_same_items(shop: Shop) -> None:
    number = next(pages(shop, shop.customer, 1))["InvoiceNo"]
    assert shop.call("GET", f"/hello?InvoiceNo={number}") == (200, shop.call("GET", f"/invoices/{number}")[1]["Items"])
    status, found = shop.call("GET", f"/hello?CustomerID={shop.customer}")
    assert status == 200 and found == list(pages(shop, shop.customer, 100))
    assert shop.call("GET", "/hello?InvoiceNo=nothing") == (404, {"message": "404 there is no invoice nothing"})
    assert shop.call("GET", "/hello?InvoiceNo=no%20number")[0] == 400
    assert shop.call("GET", "/hello")[0] == 200
    row = {"InvoiceNo": "1"}
    assert shop.call("POST", "/hello", row)[0] == 400  # notebook 02's methods are as they were


def test_the_two_roles_may_what_they_need_and_no_more(shop: Shop) -> None:
    iam, account = boto3.client("iam"), shop.lab.account_id
    may: dict[str, set[str]] = {}
    for policy in ("MyShopRead", "MyShopWrite"):
        arn = f"arn:aws:iam::{account}:policy/{policy}"
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        assert "*" not in json.dumps(document)
        may[policy] = {action for statement in document["Statement"] for action in statement["Action"]}
    assert may["MyShopRead"] == {"dynamodb:GetItem", "dynamodb:Query"}
    assert not {action for action in may["MyShopWrite"] if "Delete" in action or "Scan" in action}


TRIES = """\
import boto3

def lambda_handler(event, context):
    answers = {}
    for number, (service, operation, parameters) in enumerate(event["calls"]):
        try:
            getattr(boto3.client(service), operation)(**parameters)
            answers[f"{number} {operation} {parameters}"] = "done"
        except Exception as error:
            answers[f"{number} {operation} {parameters}"] = error.response["Error"]["Code"]
    return answers
"""


def test_the_reading_role_can_change_nothing_and_read_nothing_else(shop: Shop, tmp_path: Path) -> None:
    """In a function of its own, with the reading role's own credentials: each call that there is for writing."""
    (tmp_path / "tries.py").write_text(TRIES)
    text = {"S": "x"}
    keys = {
        "Invoices": {"InvoiceNo": text, "RowId": text}, "Customers": {"CustomerID": text}, "Stock": {"StockCode": text}
    }  # fmt: skip
    elsewhere = "workbook-elsewhere"
    ensure(
        boto3.client("dynamodb").create_table,
        TableName=elsewhere,
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    refused: list[tuple[str, str, dict[str, Any]]] = []
    for table, key in keys.items():
        one, put = {"TableName": table, "Key": key}, {"TableName": table, "Item": key}
        check = {"ConditionExpression": f"attribute_not_exists({next(iter(key))})"}
        provisioned = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
        calls: list[tuple[str, dict[str, Any]]] = [
            ("put_item", put),
            ("update_item", one),
            ("delete_item", one),
            ("batch_write_item", {"RequestItems": {table: [{"PutRequest": {"Item": key}}]}}),
            ("batch_write_item", {"RequestItems": {table: [{"DeleteRequest": {"Key": key}}]}}),
            ("transact_write_items", {"TransactItems": [{"Put": put}]}),
            ("transact_write_items", {"TransactItems": [{"Delete": one}]}),
            ("transact_write_items", {"TransactItems": [{"Update": one | {"UpdateExpression": "REMOVE v"}}]}),
            ("transact_write_items", {"TransactItems": [{"ConditionCheck": one | check}]}),
            ("update_table", {"TableName": table, "BillingMode": "PROVISIONED", "ProvisionedThroughput": provisioned}),
            ("update_time_to_live", {
                "TableName": table, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "v"}
            }),
            ("delete_table", {"TableName": table}),
            ("scan", {"TableName": table}),
        ]  # fmt: skip
        refused += [("dynamodb", operation, parameters) for operation, parameters in calls]
    refused += [
        ("dynamodb", "get_item", {"TableName": elsewhere, "Key": {"a": text}}),
        ("dynamodb", "query", {
            "TableName": elsewhere, "KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": text}
        }),
        ("dynamodb", "list_tables", {}),
        ("s3", "put_object", {"Bucket": shop.outputs["bucket"], "Key": "index.html", "Body": "defaced"}),
        ("kinesis", "put_record", {"StreamName": "APIdata", "Data": "x", "PartitionKey": "x"}),
        ("lambda", "invoke", {"FunctionName": "shop-write"}),
        ("iam", "attach_role_policy", {
            "RoleName": "shop-read-role", "PolicyArn": f"arn:aws:iam::{shop.lab.account_id}:policy/MyShopWrite"
        }),
    ]  # fmt: skip
    allowed: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "get_item", {"TableName": name, "Key": keys[name]}) for name in ("Customers", "Stock")
    ]
    number = {"KeyConditionExpression": "InvoiceNo = :no", "ExpressionAttributeValues": {":no": text}}
    buyer = {"KeyConditionExpression": "Buyer = :no", "ExpressionAttributeValues": {":no": text}}
    allowed += [
        ("dynamodb", "query", {"TableName": "Invoices", **number}),
        ("dynamodb", "query", {"TableName": "Invoices", "IndexName": "ByBuyer", **buyer}),
    ]
    functions = boto3.client("lambda")
    role = functions.get_function_configuration(FunctionName="shop-read")["Role"]
    functions.create_function(
        FunctionName="tries", Runtime="python3.13", Handler="tries.lambda_handler", Role=role,
        Code={"ZipFile": package(tmp_path / "tries.py")}, Timeout=60,
    )  # fmt: skip
    try:
        functions.get_waiter("function_active_v2").wait(FunctionName="tries")
        answers = [
            json.loads(functions.invoke(FunctionName="tries", Payload=json.dumps({"calls": calls}))["Payload"].read())
            for calls in (refused, allowed)
        ]
    finally:
        functions.delete_function(FunctionName="tries")
        boto3.client("dynamodb").delete_table(TableName=elsewhere)
    assert len(answers[0]) == len(refused) and len(answers[1]) == len(allowed)
    not_refused = {call: code for call, code in answers[0].items() if not code.startswith("AccessDenied")}
    assert not_refused == {}
    assert set(answers[1].values()) == {"done"}, answers[1]
    shop.expect_agreement()


# --- transactions


def test_orders_in_parallel_never_oversell(shop: Shop) -> None:
    chance = random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")
    for _ in range(20 if SOAK else 2):
        codes = [f"RACE{n}" for n in range(4)]
        there = {code: chance.randrange(0, 40) for code in codes}
        shop.put_products(**there)
        customers = [shop.customer, None]
        orders = [
            (
                {code: chance.randrange(1, 9) for code in chance.sample(codes, chance.randrange(1, 5))},
                chance.choice(customers),
            )
            for _ in range(40)
        ]
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda order: shop.order(order[0], customer=order[1]), orders))
        assert {status for status, _ in answers} <= {201, 409}
        sold = Counter[str]()
        for (lines, _), (status, answer) in zip(orders, answers, strict=True):
            if status == 201:
                sold.update(lines)
                got = shop.call("GET", f"/invoices/{answer['InvoiceNo']}")[1]
                assert got == answer and {i["StockCode"]: i["Quantity"] for i in got["Items"]} == lines
            else:
                assert answer["available"] < 9
        assert shop.in_stock(*codes) == [there[code] - sold[code] for code in codes]
        assert sold, "no order came through"
        shop.expect_agreement()


def test_one_key_at_the_same_moment_makes_one_order(shop: Shop) -> None:
    shop.put_products(ONCE=50)
    for _ in range(20 if SOAK else 3):
        before, key = shop.in_stock("ONCE")[0], uuid.uuid4().hex
        if before < 10:
            shop.put_products(ONCE=50)
            before = 50
        quantities = [2] * 8 + [3] * 8
        random.Random(SEED).shuffle(quantities)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n, key=key: (n, *shop.order({"ONCE": n}, key=key)), quantities))
        won = {quantity for quantity, status, _ in answers if status == 201}
        assert len(won) == 1, "two orders of one key"
        (quantity,) = won
        assert {status for n, status, _ in answers if n == quantity} == {201}
        assert {status for n, status, _ in answers if n != quantity} == {422}
        assert len({json.dumps(answer) for n, _, answer in answers if n == quantity}) == 1
        assert shop.in_stock("ONCE") == [before - quantity]
    shop.expect_agreement()


def test_a_repeated_order_gets_its_first_answer_whatever_has_happened_since(shop: Shop) -> None:
    shop.put_products(LATER=5)
    key = uuid.uuid4().hex
    first = shop.order({"LATER": 2}, key=key)
    assert shop.call("PUT", f"/invoices/{first[1]['InvoiceNo']}/cancellation")[0] == 200
    shop.stock.delete_item(Key={"StockCode": "LATER"})
    assert shop.order({"LATER": 2}, key=key) == first


def test_a_cancellation_is_written_once_at_the_same_moment(shop: Shop) -> None:
    shop.put_products(BACK1=30, BACK2=30)
    for _ in range(20 if SOAK else 3):
        _, made = shop.order({"BACK1": 3, "BACK2": 4}, customer=shop.customer)
        path = f"/invoices/{made['InvoiceNo']}/cancellation"
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _, path=path: shop.call("PUT", path), range(12)))
        assert Counter(status for status, _ in answers) == {200: 1, 409: 11}
        assert shop.in_stock("BACK1", "BACK2") == [30, 30]
        cancelled = next(answer for status, answer in answers if status == 200)
        assert shop.call("GET", f"/invoices/C{made['InvoiceNo']}")[1] == cancelled
        assert Decimal(cancelled["Revenue"]) == -Decimal(made["Revenue"])
        assert shop.call("GET", f"/invoices/{made['InvoiceNo']}")[1]["CancelledBy"] == cancelled["InvoiceNo"]
        assert shop.call("PUT", f"/invoices/{cancelled['InvoiceNo']}/cancellation")[0] == 409
    assert shop.call("PUT", "/invoices/nothing/cancellation")[0] == 404
    shop.expect_agreement()


def test_the_largest_order_fits_into_a_transaction_and_back(shop: Shop) -> None:
    codes = [f"MANY{n:02}" for n in range(48)]
    shop.put_products(**dict.fromkeys(codes, 2))
    status, made = shop.order(dict.fromkeys(codes, 2), customer=shop.customer)
    assert (status, made["Lines"], sum(shop.in_stock(*codes))) == (201, 48, 0)
    assert shop.call("PUT", f"/invoices/{made['InvoiceNo']}/cancellation")[0] == 200
    assert shop.in_stock(*codes) == [2] * 48
    shop.expect_agreement()


def large_invoice(shop: Shop, lines: int) -> str:
    """An invoice of the client's file that is larger than a transaction, written as notebook 04's function writes."""
    number = f"L{uuid.uuid4().hex[:8]}"
    common = {"InvoiceNo": number, "InvoiceDate": "2011-01-01T10:00:00", "Country": "France"}
    items = [
        common
        | {"RowId": f"test-{number}:{n:06d}", "StockCode": f"LARGE{n % 7}", "Quantity": n, "UnitPrice": Decimal("0.5")}
        for n in range(1, lines + 1)
    ]
    names = ("Lines", "Quantity", "Revenue")
    header = common | dict(zip(names, sums(items), strict=True)) | {"RowId": "#invoice", "Buyer": "GUEST"}
    with shop.invoices.batch_writer() as batch:
        for item in [*items, header | {"At": f"{common['InvoiceDate']}#{number}"}]:
            batch.put_item(Item=item)
    return number


def test_an_invoice_larger_than_a_transaction_is_cancelled_in_parts(shop: Shop) -> None:
    shop.put_products(**{f"LARGE{n}": 0 for n in range(7)})
    number = large_invoice(shop, 150)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: shop.call("PUT", f"/invoices/{number}/cancellation"), range(6)))
    assert Counter(status for status, _ in answers) == {200: 1, 409: 5}
    assert sum(shop.in_stock(*(f"LARGE{n}" for n in range(7)))) == sum(range(1, 151))
    _, cancelled = shop.call("GET", f"/invoices/C{number}")
    assert cancelled["Lines"] == 150 and cancelled in [answer for _, answer in answers]
    shop.expect_agreement()


def test_a_worker_killed_in_between_leaves_orders_whole_or_absent(shop: Shop) -> None:
    """Killed at random moments while orders and cancellations are under way; whoever gets no answer sends again."""
    chance = random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")
    codes = [f"KILL{n}" for n in range(5)]
    shop.put_products(**dict.fromkeys(codes, 100_000))
    kills, answered, over, lost = 0, 0, threading.Event(), Counter[str]()

    def until_answered(what: str, send: Callable[[], Answer]) -> Answer:
        nonlocal answered
        for _ in range(200):
            status, answer = send()
            if status < 500 and status != 429:
                answered += 1
                return status, answer
            lost[what] += 1
            time.sleep(0.02)  # a caller's pause, not a wait for a condition
        raise AssertionError(f"{what} was never answered: {status} {answer}")

    def buy_and_return(n: int) -> tuple[dict[str, int], Answer, Answer | None]:
        lines = {code: 1 + n % 5 for code in codes[: 1 + n % 5]}
        key, who = uuid.uuid4().hex, shop.customer if n % 2 else None
        bought = until_answered("order", lambda: shop.order(lines, key=key, customer=who))
        if n % 3:
            return lines, bought, None
        path = f"/invoices/{bought[1]['InvoiceNo']}/cancellation"
        return lines, bought, until_answered("cancellation", lambda: shop.call("PUT", path))

    def kill() -> None:
        nonlocal kills
        while not over.is_set():
            goal = answered + chance.randrange(5, 15)  # the workers are up again, and busy
            while answered < goal and not over.wait(0.005):
                pass
            over.wait(chance.uniform(0, 0.03))
            kills += (killed := shop.kill_workers("shop-write"))
            print(f"killed {killed} after {answered} answers; lost so far: {dict(lost)}")

    killer = threading.Thread(target=kill)
    killer.start()
    wanted = 50 if SOAK else 4
    deadline, results, n = time.monotonic() + 300, [], 0
    try:
        with ThreadPoolExecutor(6) as pool:
            while sum(lost.values()) < wanted and time.monotonic() < deadline:  # until kills have hit work in flight
                results += pool.map(buy_and_return, range(n, n + 30))
                n += 30
    finally:
        over.set()
        killer.join()
    print(f"{kills} workers killed, {dict(lost)} requests lost, {len(results)} orders")
    assert sum(lost.values()) >= wanted
    taken = Counter[str]()
    for lines, (status, _), cancelled in results:
        assert status == 201
        if cancelled is None:
            taken.update(lines)
        else:
            assert cancelled[0] in (200, 409)  # 409: written, but the answer was lost
    assert shop.in_stock(*codes) == [100_000 - taken[code] for code in codes]
    numbers = {answer["InvoiceNo"] for _, (_, answer), _ in results}
    assert len(numbers) == len(results)
    shop.expect_agreement()


def test_a_killed_cancellation_of_a_large_invoice_goes_on_where_it_stopped(shop: Shop) -> None:
    shop.put_products(**{f"LARGE{n}": 0 for n in range(7)})
    stopped = 0
    attempts = 0
    while attempts < 40 and stopped < (10 if SOAK else 1):
        attempts += 1
        number = large_invoice(shop, 300)
        results: list[Answer] = []
        thread = threading.Thread(
            target=lambda n=number, into=results: into.append(shop.call("PUT", f"/invoices/{n}/cancellation"))
        )
        thread.start()
        mark = {"InvoiceNo": f"C{number}", "RowId": "#invoice"}
        there = partial(shop.invoices.get_item, Key=mark)
        wait_for(lambda there=there, t=thread: "Item" in there() or not t.is_alive(), timeout=60, what="its first part")
        shop.kill_workers("shop-write")
        thread.join()
        lines = int(shop.invoices.get_item(Key=mark, ConsistentRead=True)["Item"]["Lines"])
        stopped += lines < 300
        shop.expect_agreement()  # also half-way
        while results[-1][0] >= 500:
            results.append(shop.call("PUT", f"/invoices/{number}/cancellation"))
        assert results[-1][0] in (200, 409)
        assert shop.call("GET", f"/invoices/C{number}")[1]["Lines"] == 300
    print(f"{stopped} of {attempts} were stopped half-way")
    assert stopped
    shop.expect_agreement()


# --- the exported description


@pytest.fixture(scope="module")
def exported(shop: Shop) -> dict[str, Any]:
    where = {"restApiId": shop.outputs["api_id"], "stageName": "P", "accepts": "application/json"}
    found = boto3.client("apigateway").get_export(exportType="oas30", **where)
    return dict(json.loads(found["body"].read()))


def test_the_export_is_valid_and_complete(shop: Shop, exported: dict[str, Any]) -> None:
    theirs = {"Row", "Rows"}  # notebook 02's models, whose `"type": ["string", "null"]` OpenAPI has from 3.1 on
    schemas = {name: schema for name, schema in exported["components"]["schemas"].items() if name not in theirs}
    paths = {path: operations for path, operations in exported["paths"].items() if path != "/hello"}
    components = exported["components"] | {"schemas": schemas}
    openapi_spec_validator.validate(exported | {"paths": paths, "components": components})
    where = {"restApiId": shop.outputs["api_id"], "stageName": "P", "accepts": "application/json"}
    old = json.loads(boto3.client("apigateway").get_export(exportType="swagger", **where)["body"].read())
    assert old["basePath"] == "/P" and old["paths"].keys() == exported["paths"].keys()
    order = exported["paths"]["/invoices"]["post"]
    assert order["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert order["security"] == [{"api_key": []}]
    assert {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}} in order[
        "parameters"
    ]
    assert "security" not in exported["paths"]["/invoices"]["options"]
    of_customer = exported["paths"]["/customers/{customerId}/invoices"]["get"]["parameters"]
    assert {(p["name"], p["in"], p["required"]) for p in of_customer} == {
        ("customerId", "path", True),
        ("limit", "query", False),
        ("next", "query", False),
    }


def test_no_request_that_the_description_allows_or_forbids_breaks_it(shop: Shop, exported: dict[str, Any]) -> None:
    """schemathesis makes the requests up; each answer must be one that the description promises, and no 5xx."""
    shop.put_products(A=10**9, B=10**9)
    schema = schemathesis.openapi.from_dict(exported)
    cases = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/hello" and operation.method.upper() in ("POST", "PUT"):
            continue  # these put rows into the stream: notebook 02's
        modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        for mode in modes if operation.method.upper() != "OPTIONS" else modes[:1]:
            cases.append(operation.as_strategy(generation_mode=mode))
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.load_all_checks() or schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
    ]
    seen = Counter[str]()
    headers = {"x-api-key": shop.key}

    @seeded(250, 10_000)
    @given(case=st.one_of(cases), known=st.sampled_from(["", "customer", "product"]))
    def run(case: Any, known: str) -> None:
        if known == "customer" and "customerId" in case.path_parameters:
            case.path_parameters["customerId"] = shop.customer
        if known == "product" and isinstance(case.body, dict) and "Lines" in case.body:
            case.body = {"Country": "France", "Lines": [{"StockCode": "A", "Quantity": 1}]}
            case.headers["Idempotency-Key"] = uuid.uuid4().hex
        response = case.call(base_url=shop.url, headers=headers)
        seen[f"{case.method} {case.path} {response.status_code}"] += 1
        case.validate_response(response, checks=checks)

    run()
    for line, count in sorted(seen.items()):
        print(f"{count:6} {line}")
    statuses = {int(line.rpartition(" ")[2]) for line in seen}
    assert {200, 400, 404} <= statuses and max(statuses) < 500
    shop.expect_agreement()


# --- the page, in a browser


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    return next((p for p in map(shutil.which, names) if p), mac if Path(mac).exists() else None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if (path := chromium()) is None:
        pytest.skip("no chromium or chrome is installed, so the page is not tried in a browser")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(shop: Shop, browser: Browser) -> Iterator[Page]:
    """A tab in which the page may fail at nothing but what the API itself refused."""
    tab = browser.new_page(viewport={"width": 1100, "height": 720}, device_scale_factor=2)
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(  # aborted is what the browser was still asking when the test went on to another page
        "requestfailed",
        lambda request: None if "ERR_ABORTED" in str(request.failure) else complaints.append(f"{request.url} failed"),
    )
    tab.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type in ("error", "warning") and "Failed to load resource: the server responded" not in said.text
            else None
        ),
    )
    tab.set_default_timeout(20_000)
    yield tab
    tab.close()
    assert complaints == []


def find(page: Page, shop: Shop, customer: str) -> None:
    page.goto(shop.outputs["page_url"])
    page.get_by_label("Customer number").fill(customer)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Customer {customer}")).to_be_visible()


def test_a_person_finds_orders_and_cancels(shop: Shop, page: Page) -> None:
    shop.put_products(TEAPOT=10)
    find(page, shop, shop.customer)
    count = int(shop.call("GET", f"/customers/{shop.customer}")[1]["Invoices"])
    expect(page.get_by_role("status")).to_have_text(f"Customer {shop.customer} has {count} invoices.")
    expect(page.locator("#invoices tr")).to_have_count(min(20, count))
    page.get_by_label("Product code").fill("TEAPOT")
    page.get_by_label("Quantity").fill("4")
    expect(page.get_by_text("A TEAPOT · 1.255 each · 10 in stock")).to_be_visible()
    page.get_by_role("button", name="Place order").click()
    expect(page.get_by_role("status")).to_contain_text("Order placed: invoice W")
    number = (page.locator("#invoice-title").text_content() or "").removeprefix("Invoice ")
    assert shop.call("GET", f"/invoices/{number}")[1]["Items"][0]["Quantity"] == 4
    assert shop.in_stock("TEAPOT") == [6]
    expect(page.locator("#invoices tr").first).to_contain_text(number)

    page.get_by_role("button", name="Cancel this invoice").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    assert shop.in_stock("TEAPOT") == [6]
    page.get_by_role("button", name="Cancel this invoice").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the invoice").click()
    expect(page.get_by_role("status")).to_have_text(f"Invoice {number} is cancelled by C{number}.")
    assert shop.in_stock("TEAPOT") == [10]
    expect(page.locator(f"[data-invoice={number}] .badge")).to_have_text("cancelled")
    expect(page.get_by_role("button", name="Cancel this invoice")).to_be_hidden()
    shop.expect_agreement()


@contextmanager
def served(html: str, **headers: str) -> Iterator[str]:
    """A page on a port of this machine; gives its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{site.server_port}/lab"
        finally:
            site.shutdown()


def test_the_page_works_inside_a_notebook(shop: Shop, page: Page) -> None:
    """In the frame that the notebook shows, within a page of another origin, as JupyterLab's is."""
    frame = LivePage(f"{shop.outputs['page_url']}/?customer={shop.customer}", "The order desk", 640)
    icon = '<link rel="icon" href="data:,">'
    html = f"<!doctype html><title>Lab</title>{icon}{frame._repr_mimebundle_()['text/html']}"
    with served(html, Content_Security_Policy="frame-ancestors 'self'; report-uri /csp-report") as address:  # Jupyter's
        page.goto(address)
        desk = page.frame_locator("iframe")
        expect(desk.get_by_role("heading", name=f"Customer {shop.customer}")).to_be_visible(timeout=20_000)
        shop.put_products(FRAMED=5)
        desk.get_by_label("Product code").fill("FRAMED")
        desk.get_by_role("button", name="Place order").click()
        expect(desk.get_by_role("status")).to_contain_text("Order placed", timeout=20_000)
    assert shop.in_stock("FRAMED") == [4]


def test_a_second_click_orders_once(shop: Shop, page: Page) -> None:
    shop.put_products(CLICKS=10)
    find(page, shop, shop.customer)
    page.get_by_label("Product code").fill("CLICKS")
    page.get_by_role("button", name="Place order").dblclick()
    expect(page.get_by_role("status")).to_contain_text("Order placed")
    assert shop.in_stock("CLICKS") == [9]


def test_the_same_order_is_sent_again_when_its_answer_was_lost(shop: Shop, page: Page) -> None:
    """The order arrives, its answer does not; the person clicks again, and has bought once."""
    shop.put_products(LOST=10)
    find(page, shop, shop.customer)
    page.get_by_label("Product code").fill("LOST")
    page.get_by_label("Product code").blur()
    expect(page.get_by_text("10 in stock")).to_be_visible()

    def lose(route: Any) -> None:
        if route.request.method != "POST":
            return route.fallback()
        route.fetch()
        return route.fulfill(status=502, json={"message": "lost"}, headers={"Access-Control-Allow-Origin": "*"})

    page.route("**/invoices", lose)
    page.get_by_role("button", name="Place order").click()
    expect(page.get_by_text("lost", exact=True)).to_be_visible()
    assert shop.in_stock("LOST") == [9]
    page.unroute("**/invoices")
    page.get_by_role("button", name="Place order").click()
    expect(page.get_by_role("status")).to_contain_text("Order placed")
    assert shop.in_stock("LOST") == [9]


def test_what_is_refused_is_said_where_it_is_wrong(shop: Shop, page: Page) -> None:
    shop.put_products(SCARCE=3)
    page.goto(shop.outputs["page_url"])
    page.get_by_label("Customer number").fill("nobody")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#find-error")).to_have_text("there is no customer nobody")
    find(page, shop, shop.customer)
    page.get_by_label("Product code").fill("SCARCE")
    page.get_by_label("Quantity").fill("4")
    page.get_by_role("button", name="Place order").click()
    expect(page.locator("#order-error")).to_have_text("only 3 of SCARCE are in stock")
    expect(page.get_by_label("Quantity")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Quantity")).to_be_focused()
    page.get_by_label("Quantity").fill("3")
    page.get_by_role("button", name="Place order").click()
    expect(page.get_by_role("status")).to_contain_text("Order placed")


def test_errors_of_the_gateway_reach_the_page_too(shop: Shop, page: Page) -> None:
    """Without CORS headers on gateway responses a page would only see that fetch failed."""
    page.route("**/customers/**", lambda route: route.continue_(headers=route.request.headers | {"x-api-key": "wrong"}))
    page.goto(f"{shop.outputs['page_url']}/?customer={shop.customer}")
    expect(page.locator("#find-error")).to_have_text("Forbidden")
    page.unroute("**/customers/**")

    api = boto3.client("apigateway")
    plan = next(p["id"] for p in api.get_usage_plans()["items"] if p["name"] == "shop-page")

    def set_throttle(rate: int, burst: int) -> None:
        values = {"/throttle/rateLimit": str(rate), "/throttle/burstLimit": str(burst)}
        changes = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
        api.update_usage_plan(usagePlanId=plan, patchOperations=changes)

    set_throttle(1, 1)  # a search asks two questions at once
    try:
        page.get_by_role("button", name="Find").click()
        expect(page.locator("#find-error")).to_contain_text("Too many requests")
    finally:
        set_throttle(20, 40)


def test_what_comes_from_the_api_is_text_and_never_markup(shop: Shop, page: Page) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    item = {"StockCode": "EVIL", "UnitPrice": Decimal(1), "Quantity": 9, "Description": evil}
    shop.stock.put_item(Item=item)
    find(page, shop, shop.customer)
    page.get_by_label("Product code").fill("EVIL")
    page.get_by_role("button", name="Place order").click()
    expect(page.locator("#lines")).to_contain_text(evil)
    assert page.title() == "Order desk" and page.locator("main img").count() == 0


def test_earlier_invoices_come_page_by_page(shop: Shop, page: Page) -> None:
    """The last page is a full one, so that DynamoDB tells of another, which is empty."""
    shop.put_products(PAGING=100)
    before = int(shop.call("GET", f"/customers/{shop.customer}")[1]["Invoices"])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: shop.order({"PAGING": 1}, customer=shop.customer), range(40 - before % 20)))
    count = int(shop.call("GET", f"/customers/{shop.customer}")[1]["Invoices"])
    assert count % 20 == 0 and count >= 40
    find(page, shop, shop.customer)
    expect(page.locator("#invoices tr")).to_have_count(20)
    while page.get_by_role("button", name="Earlier invoices").is_visible():
        shown = page.locator("#invoices tr").count()
        page.get_by_role("button", name="Earlier invoices").click()
        # it rests until the answer is there: the page after a last full one has no rows
        expect(page.locator("#more")).to_be_enabled()
        expect(page.locator("#invoices tr")).to_have_count(min(count, shown + 20))
    numbers = [row.get_attribute("data-invoice") for row in page.locator("#invoices tr").all()]
    assert len(numbers) == len(set(numbers)) == count


def test_a_page_of_another_origin_reads_nothing(shop: Shop, browser: Browser) -> None:
    """The same files under another bucket's name: there the browser keeps the answers from the page. CORS is real."""
    s3, bucket = boto3.client("s3"), "a-copy-of-the-page"
    s3.create_bucket(Bucket=bucket)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    files = {file.name: file.read_bytes() for file in PAGE.iterdir() if file.suffix in kinds}
    files["config.js"] = s3.get_object(Bucket=shop.outputs["bucket"], Key="config.js")["Body"].read()
    for name, body in files.items():
        s3.put_object(Bucket=bucket, Key=name, Body=body, ContentType=kinds[Path(name).suffix])
    tab, said = browser.new_page(), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    try:
        tab.goto(f"{shop.lab.website_url(bucket)}/?customer={shop.customer}")
        expect(tab.locator("#find-error")).to_have_text("The API cannot be reached. Try again.")
        assert any("blocked by CORS policy" in line for line in said), said
    finally:
        tab.close()
        for name in files:
            s3.delete_object(Bucket=bucket, Key=name)
        s3.delete_bucket(Bucket=bucket)


CONTRAST = """() => {
  const part = x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(x => part(x / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!(own || (e.tagName === 'INPUT' && e.value)) || !e.checkVisibility() || e.closest('.skip, :disabled')) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_read_it_and_use_it_without_a_mouse(shop: Shop, page: Page, scheme: Any) -> None:
    """WCAG 2.2: contrast of 4.5 to 1, a name for every control, all by keyboard; and pictures of it, on demand."""
    old = [i for i in scan(shop.invoices) if i["RowId"] == "#invoice" and i["InvoiceNo"][0] not in "CWL"]
    known = [
        i for i in old if i["Lines"] > 1 and i["Revenue"] > 0 and i.get("CustomerID", shop.customer) != shop.customer
    ]
    small = min(known, key=lambda i: (i["Lines"], i["InvoiceNo"]))
    customer, invoice = small["CustomerID"], small["InvoiceNo"]
    page.emulate_media(color_scheme=scheme)
    find(page, shop, customer)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) > 380) == (scheme == "light")
    page.get_by_role("button", name=invoice, exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#invoice-title")).to_be_focused()
    page.get_by_role("button", name="Order these again").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Product code").first).to_be_focused()
    expect(page.get_by_text("in stock").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    if scheme == "light":
        picture(page, "order-desk")
    page.get_by_label("Quantity").first.fill("1000")
    page.keyboard.press("Enter")
    expect(page.locator("#order-error")).to_contain_text("are in stock")
    if scheme == "dark":
        picture(page, "order-desk-refused")
    assert page.evaluate(CONTRAST) == []
    for control in page.locator("button:visible, input:visible").all():
        name = control.evaluate("e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent")
        assert name.strip(), control.evaluate("e => e.outerHTML")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "it must not scroll sideways on a phone"


def picture(page: Page, name: str) -> None:
    """With WORKBOOK_PICTURES=1: the picture that the notebook shows."""
    if os.environ.get("WORKBOOK_PICTURES") == "1":
        from PIL import Image

        page.screenshot(path=PICTURES / f"{name}.png")
        with Image.open(PICTURES / f"{name}.png") as image:
            image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


# --- the notebook: reconciliation, exercises, a second run, the clean-up


def test_what_was_ordered_is_not_counted_and_a_line_taken_away_is_missed(shop: Shop) -> None:
    stages = reconcile.stages(shop.lab, "client", "dynamodb", "api")
    assert stages["client"] == stages["dynamodb"] == stages["api"]
    source = "online-retail-sample:"
    line = next(item for item in scan(shop.invoices) if item["RowId"].startswith(source) and item["UnitPrice"] > 0)
    shop.invoices.delete_item(Key={"InvoiceNo": line["InvoiceNo"], "RowId": line["RowId"]})
    try:
        assert reconcile.stages(shop.lab, "api")["api"]["rows"] == stages["client"]["rows"] - 1
    finally:
        shop.invoices.put_item(Item=line)


def test_other_sums_get_their_hint(shop: Shop) -> None:
    found = list(pages(shop, shop.customer, 100))

    def revenue(keep: Callable[[Any], bool]) -> Decimal:
        return sum((Decimal(invoice["Revenue"]) for invoice in found if keep(invoice)), Decimal(0))

    def stands(invoice: Any) -> bool:
        return not invoice["InvoiceNo"].startswith("C") and "CancelledBy" not in invoice

    assert said("05-1", revenue(stands)).startswith("Right (05-1)")
    first = {invoice["InvoiceNo"] for invoice in found[:5]}
    assert "first page only" in said("05-1", revenue(lambda i: stands(i) and i["InvoiceNo"] in first))
    assert "cancellations included" in said("05-1", revenue(lambda i: True))
    assert "cancelled later" in said("05-1", revenue(lambda i: not i["InvoiceNo"].startswith("C")))
    assert "begins with C" in said("05-1", revenue(lambda i: "CancelledBy" not in i))
    assert "float is no money" in said("05-1", 1.0)
    assert "another sum" in said("05-1", Decimal(1))
    assert "not a str" in said("05-1", "1")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (None, "no usage plan shop-partner"),
        ({"throttle": {"rateLimit": 5, "burstLimit": 2}}, "5.0 requests a second and 2 at once"),
        ({"throttle": {}}, "not 2 and 5"),
        ({"quota": {"limit": 1_000, "period": "WEEK"}}, "1000 a WEEK"),
        ({"apiStages": []}, "opens no stage"),
        ({"key": None}, "no key is in the plan"),
        ({"key": False}, "not enabled"),
        ({"tags": {}}, "tag of this notebook"),
        ({}, "Right (05-2)"),
    ],
)
def test_another_plan_gets_its_hint(shop: Shop, change: Any, hint: str) -> None:
    api, made = boto3.client("apigateway"), []
    stage = {"apiId": shop.outputs["api_id"], "stage": "P"}
    plan = {"apiStages": [stage], "throttle": {"rateLimit": 2, "burstLimit": 5}, "tags": {"workbook": "05"}}
    plan |= {"quota": {"limit": 1_000, "period": "DAY"}, "key": True}
    if change is not None:
        plan |= change
        enabled = plan.pop("key")
        made = [api.create_usage_plan(name="shop-partner", **plan)["id"]]
        if enabled is not None:
            key = api.create_api_key(name="shop-partner", enabled=enabled)["id"]
            api.create_usage_plan_key(usagePlanId=made[0], keyId=key, keyType="API_KEY")
    try:
        assert hint in said("05-2", "done")
    finally:
        for plan_id in made:
            for stage in plan["apiStages"]:
                gone = [{"op": "remove", "path": "/apiStages", "value": f"{stage['apiId']}:P"}]
                api.update_usage_plan(usagePlanId=plan_id, patchOperations=gone)
            for key in api.get_usage_plan_keys(usagePlanId=plan_id)["items"]:
                api.delete_api_key(apiKey=key["id"])
            api.delete_usage_plan(usagePlanId=plan_id)


TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/"


@pytest.mark.parametrize(
    ("action", "resource", "hint"),
    [
        ("dynamodb:GetItem", TABLE + "Invoices", "GetItem on Stock is still denied"),
        ("dynamodb:GetItem", "*", "read other tables"),
        (["dynamodb:GetItem", "dynamodb:Scan"], TABLE + "Stock", "also allows Scan"),
        (["dynamodb:GetItem", "dynamodb:UpdateItem"], TABLE + "Stock", "also allows changes"),
        (["dynamodb:GetItem", "dynamodb:BatchGetItem"], TABLE + "Stock", "also allows BatchGetItem"),
        ("dynamodb:GetItem", TABLE + "Stock", "Right (05-3)"),
    ],
)
def test_a_policy_that_is_not_the_least_gets_its_hint(shop: Shop, action: Any, resource: str, hint: str) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    assert hint in said("05-3", {"Version": "2012-10-17", "Statement": [statement]})


def test_not_a_dict_gets_its_hint(shop: Shop) -> None:
    assert "as a dict" in said("05-3", "dynamodb:GetItem")


def test_a_second_run_works_with_its_solutions_and_the_clean_up_leaves_nothing(shop: Shop) -> None:
    """Last in this file: what notebook 05 made is gone afterwards."""
    execute("05", solutions=True, cleanup=True)
    left = json.dumps(inventory())
    assert "shop" not in left.replace("workbook", "").lower() and "MyShop" not in left
    assert "Stock" not in left and "workbook-page" not in left and "/workbook/05" not in left
    api, rest = boto3.client("apigateway"), shop.outputs["api_id"]
    assert sorted(r["path"] for r in api.get_resources(restApiId=rest)["items"]) == ["/", "/hello"]
    assert not {m["name"] for m in api.get_models(restApiId=rest)["items"]} & {"Order", "Invoice", "Customer"}
    assert "api" not in reconcile.stages(shop.lab, "api")
