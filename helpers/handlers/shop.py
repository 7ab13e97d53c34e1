"""The Lambdas `shop-read` and `shop-write`, behind API Gateway: what apps ask, and what they order.

Two functions of one file, because their *roles* differ: `shop.read` may read the tables and nothing else.

read   GET /customers/{customerId}
       GET /customers/{customerId}/invoices?limit=20&next=...   newest first; `Next` is the next page's token
       GET /invoices/{invoiceNo}
       GET /products/{stockCode}
       GET /hello?CustomerID=... and GET /hello?InvoiceNo=...   by the passthrough template, not as a proxy
write  POST /invoices                          an order: {"CustomerID": "12345", "Lines": [{"StockCode", "Quantity"}]}
       PUT  /invoices/{invoiceNo}/cancellation

An order happens with all its lines or not at all, in one transaction, which also takes the goods out of stock. Its
number is made of the caller's Idempotency-Key: the same key can only ever make the same invoice.

INVOICES, CUSTOMERS and STOCK in the environment name the tables, ORIGIN the web page that may call from a browser.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, Inexact, InvalidOperation, setcontext
from typing import Any, cast
from urllib.parse import unquote

import boto3
from botocore.config import Config

INVOICES = os.environ.get("INVOICES", "Invoices")
CUSTOMERS = os.environ.get("CUSTOMERS", "Customers")
STOCK = os.environ.get("STOCK", "Stock")
INDEX = "ByBuyer"  # the invoices of a customer, by time
ORIGIN = os.environ.get("ORIGIN", "")

HEADER, GUEST = "#invoice", "GUEST"  # the RowId of an invoice's header; the Buyer of an invoice without a customer
# A transaction takes 100 actions: a line and its stock are two, invoice, customer and cancelled invoice are three.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MOST_LINES = 48
MOST_QUANTITY = 100_000
MOST_INVOICES = 100  # on a page
MOST_LOOKS = 50  # how often a transaction is built anew when what it rests on has changed
BUSY = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}
FIRST_PAUSE, LONGEST_PAUSE, RESERVE = 0.02, 1.0, 1.0  # seconds

dynamodb = boto3.client(
    "dynamodb", config=Config(retries={"mode": "standard", "max_attempts": 5}, parameter_validation=False)
)
setcontext(Context(prec=38, traps=[Inexact, InvalidOperation]))  # DynamoDB's digits, and never rounded

Item = dict[str, Any]
Answer = tuple[int, Any, dict[str, str]]  # status, body, headers


class Refused(Exception):
    """The caller's fault, or nobody's: an answer with this status, which names the field that is to blame."""

    def __init__(self, status: int, message: str, field: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"message": message, **({"field": field} if field else {}), **more}


# The way in and out


def read(event: dict[str, Any], context: Any) -> Any:
    """The entry of `shop-read`. Two kinds of integration call it, and their events differ."""
    if "params" in event:  # the passthrough template of notebook 02: what we return is the answer's body
        return hello(event["params"]["querystring"])
    path, query = event["pathParameters"] or {}, event["queryStringParameters"] or {}
    routes: dict[str, Callable[[], Item]] = {
        "/customers/{customerId}": lambda: customer(path),
        "/customers/{customerId}/invoices": lambda: invoices_of(path, query),
        "/invoices/{invoiceNo}": lambda: invoice(path),
        "/products/{stockCode}": lambda: product(path),
    }
    return proxied(lambda: (200, routes[event["resource"]](), {}))


def write(event: dict[str, Any], context: Any) -> Any:
    """The entry of `shop-write`."""
    if event["resource"] == "/invoices":
        return proxied(lambda: order(event, context))
    return proxied(lambda: cancellation(event["pathParameters"], context))


def proxied(answer: Callable[[], Answer]) -> dict[str, Any]:
    """A proxy integration wants status, headers and body, and the headers that a browser's page needs are ours to set.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    What is not Refused is our fault: it raises, stands in the log, and API Gateway answers 502.
    """
    try:
        status, body, headers = answer()
    except Refused as refused:
        status, body, headers = refused.status, refused.body, {}
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **headers}
    if ORIGIN:
        headers |= {"Access-Control-Allow-Origin": ORIGIN, "Access-Control-Expose-Headers": "Location"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body, separators=(",", ":"))}


def hello(query: dict[str, str]) -> Any:
    """The answer's body. A failure is an exception, which the integration responses turn into a status by its words."""
    try:
        if "InvoiceNo" in query:
            return invoice({"invoiceNo": query["InvoiceNo"]})["Items"]
        if "CustomerID" in query:
            return invoices_of({"customerId": query["CustomerID"]}, {"limit": "100"})["Invoices"]
    except Refused as refused:
        raise ValueError(f"{refused.status} {refused}") from None
    return {"message": "Hello from Lambda! Ask me for ?CustomerID=... or ?InvoiceNo=..."}


# Questions


def customer(path: dict[str, str]) -> Item:
    key = {"CustomerID": {"S": named(path, "customerId", "[0-9A-Za-z-]{1,20}")}}
    found = dynamodb.get_item(TableName=CUSTOMERS, Key=key).get("Item")
    if not found:
        raise Refused(404, f"there is no customer {key['CustomerID']['S']}", "customerId")
    return shown(found, "CustomerID", "Country", "Invoices", "Lines", "Quantity", "Revenue")


def invoices_of(path: dict[str, str], query: dict[str, str]) -> Item:
    """A page of a customer's invoices, the newest first, read from the index."""
    buyer = named(path, "customerId", "[0-9A-Za-z-]{1,20}")
    limit = query.get("limit", "20")
    if not re.fullmatch("[0-9]{1,3}", limit, re.ASCII) or not 1 <= int(limit) <= MOST_INVOICES:
        raise Refused(400, f"limit is a number from 1 to {MOST_INVOICES}", "limit")
    start = {"ExclusiveStartKey": place_of(query["next"], buyer)} if "next" in query else {}
    page = dynamodb.query(
        TableName=INVOICES,
        IndexName=INDEX,
        KeyConditionExpression="#buyer = :buyer",
        ExpressionAttributeNames={"#buyer": "Buyer"},
        ExpressionAttributeValues={":buyer": {"S": buyer}},
        ScanIndexForward=False,
        Limit=int(limit),
        **start,
    )
    if not page["Items"] and not start and buyer != GUEST:
        customer(path)  # raises 404 for one that nobody knows
    names = ("InvoiceNo", "InvoiceDate", "Country", "Lines", "Quantity", "Revenue", "CancelledBy")
    answer: Item = {"Invoices": [shown(item, *names) for item in page["Items"]]}
    if "LastEvaluatedKey" in page:
        answer["Next"] = base64.urlsafe_b64encode(page["LastEvaluatedKey"]["At"]["S"].encode()).decode().rstrip("=")
    return answer


def place_of(token: str, buyer: str) -> Item:
    """The place in the index at which a page begins. Only where in *this* customer's invoices comes from the token."""
    try:
        at = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        at = ""
    found = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d#([0-9A-Za-z]{1,20})", at, re.ASCII)
    if not found:
        raise Refused(400, "next is a token that an earlier page gave", "next")
    return {"Buyer": {"S": buyer}, "At": {"S": at}, "InvoiceNo": {"S": found[1]}, "RowId": {"S": HEADER}}


def invoice(path: dict[str, str]) -> Item:
    header, lines = items_of(named(path, "invoiceNo", "[0-9A-Za-z]{1,20}"))
    return whole(header, lines)


def items_of(number: str, consistent: bool = False) -> tuple[Item, list[Item]]:
    """An invoice's header and lines as DynamoDB gives them; it has one page for each MB."""
    items: list[Item] = []
    start: Item = {}
    while True:
        page = dynamodb.query(
            TableName=INVOICES,
            KeyConditionExpression="#no = :no",
            ExpressionAttributeNames={"#no": "InvoiceNo"},
            ExpressionAttributeValues={":no": {"S": number}},
            ConsistentRead=consistent,
            **start,
        )
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    headers = [item for item in items if item["RowId"]["S"] == HEADER]
    if not headers:
        raise Refused(404, f"there is no invoice {number}", "invoiceNo")
    return headers[0], [item for item in items if item["RowId"]["S"] != HEADER]


def whole(header: Item, lines: list[Item]) -> Item:
    names = ("InvoiceNo", "InvoiceDate", "CustomerID", "Country", "Lines", "Quantity", "Revenue", "CancelledBy")
    of_line = ("RowId", "StockCode", "Description", "Quantity", "UnitPrice")
    return shown(header, *names) | {"Items": [shown(line, *of_line) for line in lines]}


def product(path: dict[str, str]) -> Item:
    code = named(path, "stockCode", "[0-9A-Za-z _.-]{1,20}")
    found = dynamodb.get_item(TableName=STOCK, Key={"StockCode": {"S": code}}).get("Item")
    if not found:
        raise Refused(404, f"there is no product {code}", "stockCode")
    return shown(found, "StockCode", "Description", "UnitPrice", "Quantity")


def named(path: dict[str, str], name: str, form: str) -> str:
    """A path's parameter, or 400 with its name."""
    value = unquote(path.get(name) or "")
    if not re.fullmatch(form, value, re.ASCII):
        raise Refused(400, f"{name} has another form than {form}", name)
    return value


def shown(item: Item, *names: str) -> Item:
    """These attributes, as JSON: money as text, which no reader turns into a float."""
    found = {name: item[name] for name in names if name in item}
    return {name: value["S"] if "S" in value else number(name, value["N"]) for name, value in found.items()}


def number(name: str, text: str) -> int | str:
    if name in ("UnitPrice", "Revenue"):
        amount = Decimal(text).normalize()  # 2.510 as it was computed is 2.51 as DynamoDB keeps it
        return format(amount if cast(int, amount.as_tuple().exponent) < -2 else amount.quantize(Decimal("0.01")), "f")
    return int(Decimal(text))


# Transactions


def order(event: dict[str, Any], context: Any) -> Answer:
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    key = headers.get("idempotency-key", "")
    if not re.fullmatch("[!-~]{8,64}", key, re.ASCII):
        raise Refused(
            400, "Idempotency-Key is a text of 8 to 64 characters, a new one for each order", "Idempotency-Key"
        )
    wanted = wanted_of(event)
    digest = hashlib.sha256(key.encode()).digest()
    invoice_no = "W" + base64.b32encode(digest).decode()[:10]
    request = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    for _ in range(MOST_LOOKS):
        found = dynamodb.get_item(TableName=INVOICES, Key=header_key(invoice_no), ConsistentRead=True).get("Item")
        if found:
            return placed_before(found, request)
        header, lines = priced(invoice_no, wanted)
        reasons = transact(order_actions(header | {"Request": {"S": request}}, lines), context)
        if not reasons:
            return placed(header, lines)
        for at, (line, reason) in enumerate(zip(lines, reasons[1 + len(lines) :], strict=False)):
            left = reason.get("Item")
            if reason["Code"] == "ConditionalCheckFailed" and (not left or short(left, line)):
                available = int(left["Quantity"]["N"]) if left else 0
                what = f"only {available} of {line['StockCode']['S']} are in stock"
                raise Refused(409, what, f"Lines[{at}].Quantity", available=available)
        # Somebody placed this very order in between, or a price has changed: look again.
    raise busy()


def short(left: Item, line: Item) -> bool:
    return int(left["Quantity"]["N"]) < int(line["Quantity"]["N"])


def placed(header: Item, lines: list[Item]) -> Answer:
    header = {name: value for name, value in header.items() if name != "CancelledBy"}  # as it was when it was placed
    return 201, whole(header, lines), {"Location": f"/invoices/{header['InvoiceNo']['S']}"}


def placed_before(header: Item, request: str) -> Answer:
    """The same answer as the first time; another order with a used key is a mistake of the caller's."""
    if header["Request"]["S"] != request:
        raise Refused(422, "this Idempotency-Key belongs to another order", "Idempotency-Key")
    return placed(*items_of(header["InvoiceNo"]["S"], consistent=True))


def wanted_of(event: dict[str, Any]) -> dict[str, Any]:
    """What the body asks for, or 400 with the name of the field that is wrong."""
    try:
        text = event["body"] or ""
        body = json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON", "body") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is a JSON object", "body")
    for name in body.keys() - {"CustomerID", "Country", "Lines"}:
        raise Refused(400, "an order has no such field", str(name)[:40])
    for name, form in (("CustomerID", "[0-9A-Za-z-]{1,20}"), ("Country", ".{1,40}")):
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and value.isprintable() and re.fullmatch(form, value)):
            raise Refused(400, f"{name} is a text of the form {form}", name)
    if (body.get("CustomerID") is None) == (body.get("Country") is None):
        raise Refused(400, "an order has a CustomerID, or, for a guest, a Country", "CustomerID")
    lines = body.get("Lines")
    if not isinstance(lines, list) or not 1 <= len(lines) <= MOST_LINES:
        raise Refused(400, f"Lines is a list of 1 to {MOST_LINES} lines", "Lines")
    return {name: body[name] for name in ("CustomerID", "Country") if body.get(name)} | {"Lines": list(checked(lines))}


def checked(lines: list[Any]) -> Iterator[dict[str, Any]]:
    seen = set()
    for at, line in enumerate(lines):
        if not isinstance(line, dict) or line.keys() != {"StockCode", "Quantity"}:
            raise Refused(400, "a line has a StockCode and a Quantity", f"Lines[{at}]")
        code, quantity = line["StockCode"], line["Quantity"]
        if not isinstance(code, str) or not re.fullmatch("[0-9A-Za-z _.-]{1,20}", code, re.ASCII):
            raise Refused(400, "StockCode is a product's code", f"Lines[{at}].StockCode")
        if code in seen:
            raise Refused(400, f"{code} stands in an earlier line", f"Lines[{at}].StockCode")
        if type(quantity) is not int or not 1 <= quantity <= MOST_QUANTITY:
            raise Refused(400, f"Quantity is a whole number from 1 to {MOST_QUANTITY}", f"Lines[{at}].Quantity")
        seen.add(code)
        yield {"StockCode": code, "Quantity": quantity}


def priced(invoice_no: str, wanted: dict[str, Any]) -> tuple[Item, list[Item]]:
    """The invoice: what things cost and are called is the shop's to say, and the country the customer's record's."""
    stock = in_stock({line["StockCode"] for line in wanted["Lines"]})
    if "CustomerID" in wanted:
        key = {"CustomerID": {"S": wanted["CustomerID"]}}
        known = dynamodb.get_item(TableName=CUSTOMERS, Key=key).get("Item")
        if not known:
            raise Refused(400, f"there is no customer {wanted['CustomerID']}", "CustomerID")
        buyer: Item = {**key, "Country": known["Country"]}
    else:
        buyer = {"Country": {"S": wanted["Country"]}}
    buyer["InvoiceDate"] = now()
    lines = []
    for at, line in enumerate(wanted["Lines"]):
        found = stock.get(line["StockCode"])
        if not found:
            raise Refused(400, f"there is no product {line['StockCode']}", f"Lines[{at}].StockCode")
        goods = {name: found[name] for name in ("StockCode", "Description", "UnitPrice") if name in found}
        identity = {"InvoiceNo": {"S": invoice_no}, "RowId": {"S": f"shop-{invoice_no}:{at + 1:06d}"}}
        lines.append(identity | goods | buyer | {"Quantity": {"N": str(line["Quantity"])}})
    return header_of(lines), lines


def in_stock(codes: set[str]) -> dict[str, Item]:
    """The products of these codes that there are."""
    keys = [{"StockCode": {"S": code}} for code in sorted(codes)]
    items: list[Item] = []
    while keys:  # what did not fit into an answer is asked for again
        answer = dynamodb.batch_get_item(RequestItems={STOCK: {"Keys": keys, "ConsistentRead": True}})
        items += answer["Responses"][STOCK]
        keys = answer["UnprocessedKeys"].get(STOCK, {}).get("Keys", [])
    return {item["StockCode"]["S"]: item for item in items}


def cancellation(path: dict[str, str], context: Any) -> Answer:
    """Writes the C-invoice: every line once more, with its quantity turned round. Once, whoever asks at the same time.

    A large invoice needs several transactions. After each of them totals and lines agree, and whoever asks again
    (after a crash, say) goes on where it stopped; done is done, and is refused with 409.
    """
    number = named(path, "invoiceNo", "[0-9A-Za-z]{1,20}")
    if number.startswith("C"):
        raise Refused(409, f"{number} is a cancellation itself", "invoiceNo")
    for _ in range(MOST_LOOKS):
        header, lines = items_of(number, consistent=True)
        try:
            before, written = items_of(f"C{number}", consistent=True)
        except Refused:
            before, written = {}, []
        there = {line["RowId"]["S"] for line in written}
        began = before.get("InvoiceDate") or now()
        turned = [turned_round(line, f"shop-C{number}:{at:06d}", began) for at, line in enumerate(lines, 1)]
        missing = [line for line in turned if line["RowId"]["S"] not in there]
        if not missing or bool(before) != ("CancelledBy" in header):
            raise Refused(409, f"{number} is cancelled already", "invoiceNo")
        part = missing[:MOST_LINES]
        done = not transact(cancel_actions(number, before, part), context)
        if done and len(part) == len(missing):
            return 200, whole(header_of(turned), turned), {"Location": f"/invoices/C{number}"}
    raise busy()


def turned_round(line: Item, row_id: str, began: Item) -> Item:
    numbers = {"InvoiceNo": {"S": f"C{line['InvoiceNo']['S']}"}, "Quantity": {"N": str(-int(line["Quantity"]["N"]))}}
    return line | numbers | {"InvoiceDate": began, "RowId": {"S": row_id}}


def now() -> Item:
    return {"S": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}"}


def busy() -> Refused:
    return Refused(503, "too many orders for the same goods at this moment: try again")


# What transactions are made of


def order_actions(header: Item, lines: list[Item]) -> list[Item]:
    """The header, the lines, the stock (in the lines' order, so that reasons can be told apart), the customer."""
    actions = [put_new(header), *({"Put": {"TableName": INVOICES, "Item": line}} for line in lines)]
    for line in lines:
        values = {":wanted": line["Quantity"], ":price": line["UnitPrice"]}
        actions.append(
            {
                "Update": {
                    "TableName": STOCK,
                    "Key": {"StockCode": line["StockCode"]},
                    "UpdateExpression": "SET #quantity = #quantity - :wanted",
                    "ConditionExpression": "#quantity >= :wanted AND #price = :price",
                    "ExpressionAttributeNames": {"#quantity": "Quantity", "#price": "UnitPrice"},
                    "ExpressionAttributeValues": values,
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        )
    return [*actions, *customer_totals(header, lines, new=1)]


def cancel_actions(number: str, before: Item, lines: list[Item]) -> list[Item]:
    """The C-invoice's header, or its growth; the mark on what is cancelled; the lines; the goods back; the customer."""
    header = header_of(lines)
    mark = add(INVOICES, header_key(number), {}, "attribute_not_exists(#CancelledBy)", CancelledBy=header["InvoiceNo"])
    if before:  # the same as when it was looked at, or else somebody has been quicker
        grown = add(INVOICES, header_key(f"C{number}"), sums(lines), "#Lines = :before")
        grown["Update"]["ExpressionAttributeValues"][":before"] = before["Lines"]
        actions = [grown]
    else:
        actions = [put_new(header), mark]
    actions += [{"Put": {"TableName": INVOICES, "Item": line}} for line in lines]
    back: Counter[str] = Counter()
    for line in lines:
        back[line["StockCode"]["S"]] -= int(line["Quantity"]["N"])
    for code in in_stock(set(back)):
        if back[code] > 0:
            actions.append(add(STOCK, {"StockCode": {"S": code}}, {"Quantity": {"N": str(back[code])}}))
    return [*actions, *customer_totals(header, lines, new=0 if before else 1)]


def customer_totals(header: Item, lines: list[Item], new: int) -> list[Item]:
    """The customer's totals change with the invoice; a guest has none."""
    if "CustomerID" not in header:
        return []
    totals = {"Invoices": {"N": str(new)}, **sums(lines)}
    return [add(CUSTOMERS, {"CustomerID": header["CustomerID"]}, totals, "attribute_exists(#CustomerID)")]


def header_key(number: str) -> Item:
    return {"InvoiceNo": {"S": number}, "RowId": {"S": HEADER}}


def header_of(lines: list[Item]) -> Item:
    """An invoice's header, with its totals. Only headers have Buyer and At, so only they are in the index."""
    line = lines[0]
    kept: Item = {name: line[name] for name in ("InvoiceNo", "InvoiceDate", "CustomerID", "Country") if name in line}
    at = f"{line['InvoiceDate']['S']}#{line['InvoiceNo']['S']}"
    buyer = line.get("CustomerID", {"S": GUEST})
    return {**kept, "RowId": {"S": HEADER}, "Buyer": buyer, "At": {"S": at}, **sums(lines)}


def sums(lines: list[Item]) -> Item:
    quantity = sum(int(line["Quantity"]["N"]) for line in lines)
    revenue = sum((int(line["Quantity"]["N"]) * Decimal(line["UnitPrice"]["N"]) for line in lines), Decimal(0))
    return {"Lines": {"N": str(len(lines))}, "Quantity": {"N": str(quantity)}, "Revenue": {"N": format(revenue, "f")}}


def put_new(item: Item) -> Item:
    return {"Put": {"TableName": INVOICES, "Item": item, "ConditionExpression": "attribute_not_exists(RowId)"}}


def add(table: str, key: Item, totals: Item, condition: str = "", **fields: Any) -> Item:
    """Adds to an item's numbers and sets fields, if the condition holds; # stands before every attribute's name."""
    update = " ".join(
        [
            *(["ADD " + ", ".join(f"#{name} :{name}" for name in totals)] if totals else []),
            *(["SET " + ", ".join(f"#{name} = :{name}" for name in fields)] if fields else []),
        ]
    )
    names = {*totals, *fields, *re.findall(r"#(\w+)", condition)}
    change: Item = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": update,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": value for name, value in (totals | fields).items()},
    }
    return {"Update": change | ({"ConditionExpression": condition} if condition else {})}


def transact(actions: list[Item], context: Any) -> list[Item]:
    """Does all of it, or nothing: then the reasons, one an action. Who comes in another's way tries again for a while.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
    """
    attempt = 0
    while True:
        try:
            dynamodb.transact_write_items(TransactItems=actions)
            return []
        except dynamodb.exceptions.TransactionCanceledException as error:
            reasons: list[Item] = error.response["CancellationReasons"]
            codes = {reason["Code"] for reason in reasons} - {"None"}
            if "ConditionalCheckFailed" in codes:
                return reasons
            if not codes <= BUSY:
                raise
        seconds = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
        if context.get_remaining_time_in_millis() / 1000 - seconds < RESERVE:
            raise busy()
        time.sleep(seconds)
        attempt += 1
