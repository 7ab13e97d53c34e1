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


# What a query or a scan may not be


def query(condition: str = "pk = :v", of: str = "composite", **more: Any) -> Call:
    """A query with a value for each placeholder: the text "val", or what is given as v=…"""
    names = sorted({word.strip("()") for word in condition.split() if word.strip("()").startswith(":")})
    values = {name: more.pop(name[1:], s("val")) for name in names}
    given = {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    return "query", {"TableName": of, **given, **more}


def scan(of: str = "hash", **more: Any) -> Call:
    return "scan", {"TableName": of, **more}


def operand(operator: str, kind: str) -> str:
    text = "Incorrect operand type for operator or function; operator or function: "
    return f"Invalid KeyConditionExpression: {text}{operator}, operand type: {kind}"


def not_in(what: str, value: str, *allowed: str) -> str:
    rule = f"Member must satisfy enum value set: [{', '.join(allowed)}]"
    return f"Value '{value}' at '{what}' failed to satisfy constraint: {rule}"


OPERANDS, TRUE = f"parity:{EM}queryKeyConditionOperands", {"BOOL": True}
SCHEMA = f"{WERE}Condition parameter type does not match schema type"
KEYS = "Invalid KeyConditionExpression: KeyConditionExpressions "
START = f"The provided starting key is invalid: {MISFIT}"
# https://github.com/architect/dynalite/blob/master/actions/query.js, whose tests were written against DynamoDB
DYNALITE, BEGIN, CONDITIONS = "dynalite:actions/query", "The provided starting key", " based on provided conditions"
GLOBAL = "Consistent reads are not supported on global secondary indexes"
LONG = " OR ".join(f"{'a' * 45}x{number} = :v" for number in range(90))
TOO_LONG = "Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: "
MINIMUM = f"{ONE}Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
CAPACITY = not_in("returnConsumedCapacity", "BOGUS", "INDEXES", "TOTAL", "NONE")
SIZES = not_in("returnItemCollectionMetrics", "BOGUS", "SIZE", "NONE")
CHOSEN = "...Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"
INDEXED = "...ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
SELECTED = not_in("select", "BOGUS", "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
NAMELESS = "An expression attribute name used in the document path is not defined; attribute name: #missing"
SEGMENT = "parameter is required but was not present in the request when"
NOT_LESS = "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
QUERIES: list[Case] = [
    (f"{EM}query", query("sk = :v"), "Query condition missed key schema element: pk"),
    (f"{EM}query", query("attr1 = :v"), "Query condition missed key schema element: pk"),
    (
        f"{EM}query",
        query(ExpressionAttributeNames={"#unused": "a"}),
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}",
    ),
    (f"{EM}query", query(Select="BOGUS"), ONE + SELECTED),
    (f"parity:{EM}indexReads", query("lsi1sk = :v", IndexName="gsi1", ConsistentRead=True), GLOBAL),
    (f"parity:{EM}indexReads", scan("composite", IndexName="gsi1", ConsistentRead=True), GLOBAL),
    (f"{EM}query", query(Limit=0), MINIMUM),
    (f"{EM}scan", scan(Limit=0), MINIMUM),
    (
        f"{EM}query",
        ("query", query()[1] | {"KeyConditionExpression": ""}),
        "Invalid KeyConditionExpression: The expression can not be empty;",
    ),
    (f"{EM}query", query(FilterExpression="#missing = :v"), f"Invalid FilterExpression: {NAMELESS}"),
    ("tier1/query/validation", query(of="not-there"), NOT_FOUND),
    ("tier1/query/validation", ("query", {"TableName": "composite"}), "..."),
    (OPERANDS, query("pk = :p AND begins_with(sk, :v)", v=n(1)), operand("begins_with", "N")),
    (OPERANDS, query("pk = :p AND begins_with(sk, :v)", "compositeN"), SCHEMA),
    (OPERANDS, query("pk = :p AND sk < :v", "compositeN", v=TRUE), operand("<", "BOOL")),
    (OPERANDS, query("pk = :p AND :v >= sk", "compositeN", v=TRUE), operand(">=", "BOOL")),
    (OPERANDS, query("pk = :p AND sk BETWEEN :a AND :b", "compositeN", a=TRUE, b=TRUE), operand("BETWEEN", "BOOL")),
    (OPERANDS, query("pk = :p AND sk = :v", "compositeN", v=TRUE), SCHEMA),
    (
        OPERANDS,
        query("pk = :p AND sk > :a AND sk < :b", "compositeN", a=n(1), b=n(5)),
        f"{KEYS}must only contain one condition per key",
    ),
    (
        OPERANDS,
        query("pk = :p AND sk > :a AND extra = :b", "compositeN", a=n(1), b=n(5)),
        "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
    ),
    (
        f"parity:{VO}queryKeyCondition",
        query("pk = :p AND begins_with(sk, :v)", "not-there", v=n(1)),
        operand("begins_with", "N"),
    ),
    (
        "tier1/query/keyConditionSemantics",
        query("pk = :p AND sk.foo = :v"),
        f"{KEYS}cannot have conditions on nested attributes",
    ),
    (
        "tier1/query/keyConditionParens",
        query("((pk = :p)) AND (sk = :v)"),
        "...The expression has redundant parentheses;",
    ),
    ("tier1/query/basic", query(ExclusiveStartKey={"bad": s("p")}), START),
    ("tier1/query/basic", query("lsi1sk = :v", IndexName="gsi1", ExclusiveStartKey=pk("x")), START),
    ("tier1/scan/basic", scan(ExclusiveStartKey={"bad": s("p")}), START),
    ("tier1/query/basic", query(ExclusiveStartKey=pk("val", sk=n(1))), START),
    ("tier1/scan/basic", scan(ExclusiveStartKey={"pk": n(1)}), START),
    (DYNALITE, query(ExclusiveStartKey=pk("other", sk=s("a"))), f"{BEGIN} is outside query boundaries{CONDITIONS}"),
    (
        DYNALITE,
        query("pk = :v AND sk > :w", ExclusiveStartKey=pk("val", sk=s("a"))),
        f"{BEGIN} does not match the range key predicate",
    ),
    (
        DYNALITE,
        query("pk = :v AND sk < :w", ExclusiveStartKey=pk("other", sk=s("a"))),
        "The query can return at most one row and cannot be restarted",
    ),
    ("tier1/query/select", query(Select="SPECIFIC_ATTRIBUTES"), "..."),
    ("tier1/query/select", query(Select="ALL_ATTRIBUTES", ProjectionExpression="sk"), CHOSEN),
    ("tier1/scan/select", scan(Select="ALL_ATTRIBUTES", ProjectionExpression="pk"), CHOSEN),
    ("tier1/scan/select", scan(Select="ALL_PROJECTED_ATTRIBUTES"), INDEXED),
    (f"{VO}query", query(of="abc!"), f"{ONE}Value 'abc!' at 'tableName' failed to satisfy constraint: {PATTERN}"),
    (f"{VO}query", query(ReturnConsumedCapacity="BOGUS", Select="BOGUS"), ONE + CAPACITY),
    (f"{EM}scan", scan(Segment=0), f"The TotalSegments {SEGMENT} Segment parameter is present"),
    (f"{EM}scan", scan(TotalSegments=4), f"The Segment {SEGMENT} parameter TotalSegments is present"),
    (f"{EM}scan", scan(Segment=5, TotalSegments=5), f"{NOT_LESS}Segment: 5 is not less than TotalSegments: 5"),
    (f"{VO}scan", scan(Segment=-1, TotalSegments=4), "...Member must have value greater than or equal to 0"),
    (f"{EM}scan", scan("not-there"), NOT_FOUND),
    (f"{VO}index", query(IndexName="nope"), "The table does not have the specified index: nope"),
    (f"{VO}index", scan(IndexName="nope"), "The table does not have the specified index: nope"),
    (
        "tier1/scan/filterOperandOrder",
        scan(FilterExpression="begins_with(a, :n)", ExpressionAttributeValues={":n": n(1)}),
        operand("begins_with", "N").replace("KeyCondition", "Filter"),
    ),
    ("parity:tier3/limits/expressionSize", query(FilterExpression=LONG), f"{TOO_LONG}{len(LONG)}"),
]


@pytest.mark.parametrize("case", QUERIES, ids=named)
def test_a_query_that_dynamodb_refuses(db: Any, case: Case) -> None:
    check(db, case)


# What a batch may not be


def read(*keys: dict[str, Any], of: str = "hash", **more: Any) -> Call:
    return "batch_get_item", {"RequestItems": {of: {"Keys": list(keys), **more}}}


def put(*items: dict[str, Any], of: str = "hash", **more: Any) -> Call:
    return "batch_write_item", {"RequestItems": {of: [{"PutRequest": {"Item": item}} for item in items]}, **more}


def delete(key: dict[str, Any], of: str = "hash") -> Call:
    return "batch_write_item", {"RequestItems": {of: [{"DeleteRequest": {"Key": key}}]}}


def empty(kind: str) -> str:
    text = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
    return f"{text}{kind} value. Key: pk"


def overlap(path: str) -> str:
    text = "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], "
    return f"Invalid ProjectionExpression: {text}path two: [{path}]"


def nested(levels: int) -> dict[str, Any]:
    return s("leaf") if levels == 1 else {"M": {"n": nested(levels - 1)}}


DEEP = "Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
NOTHING: dict[str, Any] = {"pk": {"B": b""}}
GET, WRITE, BATCH = f"parity:{EM}batchGetItem", f"parity:{EM}batchWriteItem", f"parity:{VO}batchOperations"
WITHOUT = f"{ONE}Value at 'RequestItems' {LENGTH} greater than or equal to 1"
OF_KEYS = f"{ONE}Value at 'RequestItems.hash.member.Keys' {LENGTH}"
DUPLICATES = "Provided list of item keys contains duplicates"
SAME = [{"PutRequest": {"Item": pk("d")}}, {"DeleteRequest": {"Key": pk("d")}}]
OLD_AND_NEW = {
    "hash": {"Keys": [pk("a")], "ProjectionExpression": "pk"},
    "composite": {"Keys": [pk("a", sk=s("b"))], "AttributesToGet": ["pk"]},
}
EMPTY_BATCH = "Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have "
BATCHES: list[Case] = [
    (GET, ("batch_get_item", {"RequestItems": {}}), WITHOUT),
    (GET, read(*(pk(str(i)) for i in range(101))), f"{OF_KEYS} less than or equal to 100"),
    (GET, read(), f"{OF_KEYS} greater than or equal to 1"),
    (GET, read(pk("a"), of="not-there"), NOT_FOUND),
    (GET, read(pk("a"), of="bad!name"), f"...{PATTERN}"),
    (GET, read(pk("a"), pk("a")), DUPLICATES),
    (
        GET,
        read(pk("a"), AttributesToGet=["pk"], ProjectionExpression="pk"),
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
        "{AttributesToGet} Expression parameters: {ProjectionExpression}",
    ),
    (GET, ("batch_get_item", {"RequestItems": OLD_AND_NEW}), "..."),
    (GET, read(NOTHING, of="hashB"), empty("binary")),
    (GET, read(pk("a"), ProjectionExpression="a, a"), overlap("a")),
    (GET, read(pk("a"), ProjectionExpression="a, a.b"), overlap("a, b")),
    (BATCH, ("batch_get_item", {**read(pk("a"), of="nope")[1], "ReturnConsumedCapacity": "BOGUS"}), ONE + CAPACITY),
    (WRITE, ("batch_write_item", {"RequestItems": {}}), WITHOUT),
    (
        WRITE,
        put(*(pk(str(i)) for i in range(26))),
        f"{ONE}Value at 'RequestItems.hash.member' {LENGTH} less than or equal to 25",
    ),
    (
        WRITE,
        put(),
        f"{ONE}Value '{{hash=[]}}' at 'requestItems' failed to satisfy constraint: {EMPTY_BATCH}length greater than or "
        "equal to 1]",
    ),
    (WRITE, ("batch_write_item", {"RequestItems": {"hash": SAME}}), DUPLICATES),
    ("dynalite:validations/batchWriteItem", ("batch_write_item", {"RequestItems": {"hash": [{}]}}), "..."),
    (WRITE, put(pk("d"), of="not-there"), NOT_FOUND),
    (WRITE, put(pk("d"), of="bad!name"), f"...{PATTERN}"),
    (WRITE, put({"pk": n(5)}), MISFIT),
    (WRITE, put({"pk": {"L": [s("x")]}}), MISFIT),
    (WRITE, put({"other": s("x")}), MISFIT),
    (WRITE, put(pk("")), empty("string")),
    (WRITE, put(NOTHING, of="hashB"), empty("binary")),
    (WRITE, delete({"other": s("x")}), MISFIT),
    (WRITE, delete(NOTHING, of="hashB"), empty("binary")),
    ("parity:tier3/limits/nestingDepth", put(pk("vo", deep=nested(33))), f"Nesting {DEEP}"),
    (BATCH, put(pk("vo"), ReturnConsumedCapacity="BOGUS"), ONE + CAPACITY),
    (BATCH, put(pk("vo"), ReturnItemCollectionMetrics="BOGUS"), ONE + SIZES),
    (
        BATCH,
        put(pk("vo"), ReturnConsumedCapacity="BOGUS", ReturnItemCollectionMetrics="BOGUS"),
        f"2 validation errors detected: {CAPACITY}; {SIZES}",
    ),
]


@pytest.mark.parametrize("case", BATCHES, ids=named)
def test_a_batch_that_dynamodb_refuses(db: Any, case: Case) -> None:
    check(db, case)
    assert "Item" not in db.get_item(TableName="hash", Key=pk("vo"))


# What a transaction may not be


def act(kind: str, key: dict[str, Any], of: str = "hash", **more: Any) -> dict[str, Any]:
    if kind == "Update":
        more = {"UpdateExpression": "SET attr1 = :v", "ExpressionAttributeValues": {":v": s("x")}, **more}
    if kind == "ConditionCheck":
        more = {"ConditionExpression": "attribute_not_exists(pk)", **more}
    return {kind: {"TableName": of, "Item" if kind == "Put" else "Key": key, **more}}


def gets(*keys: dict[str, Any], of: str = "hash", **more: Any) -> Call:
    return "transact_get_items", {"TransactItems": [act("Get", key, of) for key in keys], **more}


def acts(*actions: dict[str, Any], **more: Any) -> Call:
    return "transact_write_items", {"TransactItems": list(actions), **more}


GETS, WRITES, ORDER = f"parity:{EM}transactGetItems", f"parity:{EM}transactWriteItems", f"parity:{VO}transactions"
KINDS = ("Put", "Update", "Delete", "ConditionCheck")
FEW = f"{ONE}Value '[]' at 'transactItems' {LENGTH} greater than or equal to 1"
MANY = f"...' at 'transactItems' {LENGTH} less than or equal to 100"
ELSEWHERE = act("Put", pk("a"), "not-there")
BROKEN = act("ConditionCheck", pk("c"), ConditionExpression="attribute_not_exists(")
UNUSED = act("ConditionCheck", pk("c"), ExpressionAttributeValues={":v": s("x")})
BOGUS = {"ReturnConsumedCapacity": "BOGUS", "ReturnItemCollectionMetrics": "BOGUS"}
TRANSACTIONS: list[Case] = [
    (GETS, gets(), FEW),
    (GETS, gets(*(pk(str(i)) for i in range(101))), MANY),
    (GETS, gets(pk("x"), of="not-there"), NOT_FOUND),
    ("tier2/transactions/transactGet", gets(pk("x"), pk("x")), TWICE),
    (ORDER, gets(pk("x"), of="not-there", ReturnConsumedCapacity="BOGUS"), ONE + CAPACITY),
    (ORDER, gets(pk("x"), pk("x"), ReturnConsumedCapacity="BOGUS"), ONE + CAPACITY),
    (WRITES, acts(), FEW),
    (WRITES, acts(*(act("Put", pk(str(i))) for i in range(101))), MANY),
    (WRITES, acts(act("Put", pk("vo")), act("Put", pk("vo"))), TWICE),
    *((WRITES, acts(act(kind, pk("x"), "not-there")), NOT_FOUND) for kind in KINDS),
    *((WRITES, acts(act(kind, pk(""))), empty("string")) for kind in KINDS),
    *((WRITES, acts(act(kind, NOTHING, "hashB")), empty("binary")) for kind in KINDS),
    (ORDER, acts(ELSEWHERE, ReturnConsumedCapacity="BOGUS"), ONE + CAPACITY),
    (
        ORDER,
        acts(act("Put", pk("vo")), act("Delete", pk("vo")), **BOGUS),
        f"2 validation errors detected: {CAPACITY}; {SIZES}",
    ),
    (
        ORDER,
        acts(act("Put", pk("vo")), ClientRequestToken="x" * 37),
        f"{ONE}Value '{'x' * 37}' at 'clientRequestToken' {LENGTH} less than or equal to 36",
    ),
    (ORDER, acts(ELSEWHERE, BROKEN), 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("'),
    (ORDER, acts(ELSEWHERE, UNUSED), "...ExpressionAttributeValues unused in expressions: keys: {:v}"),
    (f"parity:{VO}deepRequests", acts(act("Put", {**pk("vo"), "": s("x")})), "Empty attribute name"),
    ("parity:tier3/limits/nestingDepth", acts(act("Put", pk("vo", deep=nested(33)))), f"Nesting {DEEP}"),
    (
        "tier3/limits/transactionLimits",
        acts(*(act("Put", pk(f"vo{i or ''}", p=s("x" * 350_000))) for i in range(12))),
        "...",
    ),
    (
        "parity:tier3/limits/itemSizeBySurface",
        acts(act("Put", pk("vo", p=s("x" * 409_600)))),
        "Item size has exceeded the maximum allowed size",
    ),
]


@pytest.mark.parametrize("case", TRANSACTIONS, ids=named)
def test_a_transaction_that_dynamodb_refuses(db: Any, case: Case) -> None:
    check(db, case)
    assert "Item" not in db.get_item(TableName="hash", Key=pk("vo"))


def reasons(client: Any, call: Call) -> list[tuple[str, str | None]]:
    response = refusal(client, call)
    assert response["Error"]["Code"] == "TransactionCanceledException"
    return [(reason["Code"], reason.get("Message")) for reason in response["CancellationReasons"]]


def test_a_transaction_that_dynamodb_cancels(db: Any) -> None:
    """parity:tier3/error-messages/transactGetItems and transactWriteItems; tier3/limits/itemSizeBySurface"""
    misfit = ("ValidationError", MISFIT)
    assert reasons(db, gets({})) == [misfit]
    assert reasons(db, gets(pk("a"), {"pk": n(5)})) == [("None", None), misfit]
    wrong: dict[str, Any] = {"N": "5", "L": [s("x")]}
    for kind, value in wrong.items():
        told = f"{WERE}Type mismatch for key pk expected: S actual: {kind}"
        assert reasons(db, acts(act("Put", {"pk": {kind: value}}))) == [("ValidationError", told)]
        for action in KINDS[1:]:
            assert reasons(db, acts(act(action, {"pk": {kind: value}}))) == [misfit]
    large = {"UpdateExpression": "SET p = :p", "ExpressionAttributeValues": {":p": s("x" * 409_600)}}
    told = "Item size to update has exceeded the maximum allowed size"
    assert reasons(db, acts(act("Update", pk("vo"), **large))) == [("ValidationError", told)]


def test_up_to_four_megabytes_are_written_at_once(db: Any) -> None:
    """tier3/limits/transactionLimits; parity:tier3/limits/nestingDepth: a leaf may be on the 32nd level"""
    db.transact_write_items(TransactItems=[act("Put", pk("deep", deep=nested(32)))])
    assert db.get_item(TableName="hash", Key=pk("deep"))["Item"]["deep"] == nested(32)
    items = [act("Put", pk(f"large{i}", p=s("x" * 350_000))) for i in range(10)]
    db.transact_write_items(TransactItems=items)
    assert len(db.get_item(TableName="hash", Key=pk("large9"))["Item"]["p"]["S"]) == 350_000


def test_a_cancelled_transaction_leaves_a_table_as_it_was_that_it_names_by_its_arn(db: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Put.html: a table's name may be its ARN."""
    arn = db.describe_table(TableName="hash")["Table"]["TableArn"]
    fails = act("ConditionCheck", pk("nobody"), arn, ConditionExpression="attribute_exists(pk)")
    told = reasons(db, acts(act("Put", pk("by-arn"), arn), fails))
    assert [code for code, _ in told] == ["None", "ConditionalCheckFailed"]
    assert "Item" not in db.get_item(TableName="hash", Key=pk("by-arn"))
    check(db, ("", acts(act("Put", pk("by-arn"), arn), act("Delete", pk("by-arn"))), TWICE))


# What is answered


def pages(client: Any, call: Call, limit: int) -> Iterator[dict[str, Any]]:
    operation, parameters = call
    page: dict[str, Any] = {}
    while not page or "LastEvaluatedKey" in page:
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}
        yield (page := getattr(client, operation)(**parameters, **start, Limit=limit))


def test_pages_of_an_index_whose_keys_are_all_the_same(db: Any) -> None:
    """tier1/query/gsi, gsiHashOnlyPagination and lsi; tier1/scan/gsiPagination, lsiPagination and parallel"""
    for number in range(9):
        item = pk("tied", sk=s(f"s{number}"), lsi1sk=s("h"), lsi2sk=s("r"), data=s("d"), more=s("m"))
        db.put_item(TableName="composite", Item=item)
    every = [f"s{number}" for number in range(9)]
    asked: list[tuple[Call, set[str]]] = [
        (query("lsi1sk = :h", h=s("h"), IndexName="gsi1"), {"pk", "sk", "lsi1sk"}),
        (query("lsi1sk = :h AND lsi2sk = :r", h=s("h"), r=s("r"), IndexName="gsi2"), {"pk", "sk", "lsi1sk", "lsi2sk"}),
        (query("pk = :p AND lsi1sk = :h", p=s("tied"), h=s("h"), IndexName="lsi1"), {"pk", "sk", "lsi1sk"}),
        *((scan("composite", IndexName=name), set[str]()) for name in ("gsi1", "gsi2", "lsi1", "lsi2")),
    ]
    for call, keys in asked:
        found = []
        for page in pages(db, call, 2):
            found += [item["sk"]["S"] for item in page["Items"]]
            assert not keys or set(page.get("LastEvaluatedKey", keys)) == keys
        assert sorted(found) == every
    for name in ({}, {"IndexName": "gsi1"}):
        segments = [scan("composite", Segment=number, TotalSegments=3, **name) for number in range(3)]
        found = [item["sk"]["S"] for call in segments for page in pages(db, call, 2) for item in page["Items"]]
        assert sorted(found) == every
    held = db.query(**query("lsi1sk = :h", h=s("h"), IndexName="gsi2")[1])["Items"]
    assert {frozenset(item) for item in held} == {frozenset(("pk", "sk", "lsi1sk", "lsi2sk", "data"))}
    for key in every:
        db.delete_item(TableName="composite", Key=pk("tied", sk=s(key)))


@pytest.mark.parametrize(
    ("of", "keys", "condition", "values", "found"),
    [
        ("compositeN", [n(i) for i in range(9)], "sk BETWEEN :a AND :b", (n(2), n(6)), 5),
        ("compositeN", [n(i) for i in range(9)], "sk >= :a", (n("2.5"),), 6),
        ("composite", [s(f"{i}") for i in range(25)], "begins_with(sk, :a)", (s("1"),), 11),
        ("compositeB", [{"B": bytes([i, 255 - i])} for i in range(9)], "begins_with(sk, :a)", ({"B": b"\x03"},), 1),
        ("compositeB", [{"B": bytes([i, 255 - i])} for i in range(9)], "sk <= :a", ({"B": b"\x03\xff"},), 4),
    ],
)
def test_a_range_page_by_page(
    db: Any, of: str, keys: list[Any], condition: str, values: tuple[Any, ...], found: int
) -> None:
    """tier1/query/basic, numericKeys and binaryKeys: where a page ends the next one may begin."""
    for key in keys:
        db.put_item(TableName=of, Item=pk("range", sk=key))
    for forward in (True, False):
        given = dict(zip("ab", values, strict=False))
        call = query(f"pk = :p AND {condition}", of, p=s("range"), ScanIndexForward=forward, **given)
        every = [item["sk"] for item in db.query(**call[1])["Items"]]
        assert len(every) == found
        assert [item["sk"] for page in pages(db, call, 2) for item in page["Items"]] == every
    for key in keys:
        db.delete_item(TableName=of, Key=pk("range", sk=key))


@pytest.mark.parametrize(
    ("of", "kind", "keys", "more", "found"),
    [
        ("compositeN", "N", ["10", "-5", "0.001", "5", "-100", "0", "1.5"], {}, "-100 -5 0 0.001 1.5 5 10"),
        ("compositeN", "N", ["10", "-5", "5", "-100"], {"ScanIndexForward": False}, "10 5 -5 -100"),
        ("compositeB", "B", [b"\xff", b"\x01\x02", b"\x02", b"\x80", b"\x01"], {}, "01 0102 02 80 ff"),
        ("composite", "S", ["é", "Z", "\U0001d11e", "a", "\uffee"], {}, "Z a é \uffee \U0001d11e"),
    ],
)
def test_the_order_of_sort_keys(db: Any, of: str, kind: str, keys: list[Any], more: dict[str, Any], found: str) -> None:
    """tier1/query/numericKeys and binaryKeys;
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html: UTF-8"""
    for key in keys:
        db.put_item(TableName=of, Item=pk("order", sk={kind: key}))
    page = db.query(**query("pk = :p", of, p=s("order"), **more)[1])
    values = [item["sk"][kind] for item in page["Items"]]
    assert [value.hex() if kind == "B" else value for value in values] == found.split()
    for key in keys:
        db.delete_item(TableName=of, Key=pk("order", sk={kind: key}))


def test_sizes_and_counts(db: Any) -> None:
    """tier1/query/expressions (a text's size is in UTF-16 units), select and consumedCapacity; tier1/query/basic"""
    for number in range(6):
        item = pk("sizes", sk=s(str(number)), keep=s("é\U0001d11e" if number == 0 else "no"), filler=s("x" * 2000))
        db.put_item(TableName="composite", Item=item)

    def asked(**more: Any) -> tuple[int, int, float]:
        page = db.query(**query("pk = :p", p=s("sizes"), **more)[1], ReturnConsumedCapacity="TOTAL")
        assert ("Items" in page) == (more.get("Select") != "COUNT")
        return page["Count"], page["ScannedCount"], page["ConsumedCapacity"]["CapacityUnits"]

    assert asked() == asked(ProjectionExpression="sk") == asked(Select="COUNT") == (6, 6, 1.5)
    for units, count in ((3, 1), (6, 0), (2, 5)):
        given = query("pk = :p", p=s("sizes"), FilterExpression="size(keep) = :n")[1]
        given["ExpressionAttributeValues"][":n"] = n(units)
        page = db.query(**given)
        assert (page["Count"], page["ScannedCount"]) == (count, 6)
        assert db.query(**given, Limit=2)["ScannedCount"] == 2


def test_what_batches_and_transactions_read(db: Any) -> None:
    """tier1/batchGetItem/basic (an item with nothing that is asked for is there, and empty; nothing is left over) and
    tier2/transactions/transactGet (an item that is not there costs the same)"""
    db.put_item(TableName="hash", Item=pk("read", a=s("x")))
    got = db.batch_get_item(**read(pk("read"), pk("nobody"), ProjectionExpression="nothing")[1])
    assert got["Responses"] == {"hash": [{}]} and got["UnprocessedKeys"] == {}
    assert db.batch_write_item(**put(pk("written"))[1])["UnprocessedItems"] == {}
    got = db.transact_get_items(**gets(pk("read"), pk("nobody"), ReturnConsumedCapacity="INDEXES")[1])
    assert got["Responses"] == [{"Item": pk("read", a=s("x"))}, {}]
    units = {"CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}
    assert got["ConsumedCapacity"] == [{"TableName": "hash", **units, "Table": units}]


def test_a_global_index_with_many_keys(db: Any) -> None:
    """parity:tier1/query/multiAttributeGsiKey"""
    by_many = index("many", "h", "a", "b", "c", "d")
    db.create_table(**table("many", "pk", "h a b c d", GlobalSecondaryIndexes=[by_many]))
    rows = ["p1 T live b r1", "p2 T live a r2", "p3 T live a r1", "p4 T draft c r1", "p5 F live a r0", "p6 T live - r1"]
    for row in rows:
        key, *others = row.split()
        attributes = {name: s(text) for name, text in zip("abcd", others, strict=True) if text != "-"}
        db.put_item(TableName="many", Item=pk(key, h=s("o1"), **attributes))
    known = {"h": s("o1"), "a": s("T"), "b": s("live"), "c": s("a"), "d": s("r"), "x": s("r1")}

    def ask(condition: str, **more: Any) -> Call:
        used = {name: value for name, value in known.items() if f":{name}" in condition}
        return query(condition, "many", IndexName="many", **used, **more)

    for condition, found in (
        ("h = :h", "p5 p4 p3 p2 p1"),
        ("h = :h AND a = :a", "p4 p3 p2 p1"),
        ("b = :b AND h = :h AND a = :a", "p3 p2 p1"),
        ("h = :h AND a = :a AND b = :b AND c > :c", "p1"),
        ("h = :h AND a = :a AND b < :b", "p4"),
        ("h = :h AND a = :a AND b = :b AND c = :c AND begins_with(d, :d)", "p3 p2"),
        ("h = :h AND a = :a AND b = :b AND c = :c AND d BETWEEN :x AND :x", "p3"),
    ):
        assert [item["pk"]["S"] for item in db.query(**ask(condition)[1])["Items"]] == found.split()
    page = db.query(**ask("h = :h AND a = :a", Limit=2)[1])
    assert set(page["LastEvaluatedKey"]) == {"pk", "h", "a", "b", "c", "d"}
    for condition, missing, present in (
        ("h = :h AND a = :a AND c = :c", "b", "c"),
        ("h = :h AND a = :a AND b > :b AND c = :c", "b", "c"),
        ("h = :h AND b = :b", "a", "b"),
    ):
        text = "must have equality conditions specified in the query because a condition is present on key attribute"
        check(db, ("", ask(condition), f"RANGE key attributes {missing} {text} {present}"))
    # https://docs.aws.amazon.com/cdk/api/v2/python/aws_cdk.aws_dynamodb/GlobalSecondaryIndexPropsV2.html
    two = index("two", "g", "h", kinds="HH")
    made = db.create_table(**table("two-hashes", "pk", "g h", GlobalSecondaryIndexes=[two]))
    assert [key["KeyType"] for key in made["TableDescription"]["GlobalSecondaryIndexes"][0]["KeySchema"]] == [
        "HASH"
    ] * 2


# Tables


def create(name: str = "new-table", keys: str = "pk", types: str = "", **more: Any) -> Call:
    return "create_table", table(name, keys, types, **more)


def of_index(**projection: Any) -> Call:
    return create(types="g", GlobalSecondaryIndexes=[index("gsi1", "g", **projection)])


TYPE = not_in("keySchema.1.member.keyType", "INVALID", "HASH", "RANGE")
WRONG_TYPE = [{"AttributeName": "pk", "KeyType": "INVALID"}]
TABLES, SPEC, GONE = f"{EM}createTable", "tier1/createTable/specValidation", {"Delete": {"IndexName": "nope"}}
HAS = {"Create": index("gsi1", "lsi1sk")}
LIFE = {"Enabled": True, "AttributeName": "ttl"}
NOBODYS = "arn:aws:dynamodb:us-east-1:123456789012:table/nobodys"
NEW_TABLES: list[Case] = [
    (TABLES, create("ab"), f"{ONE}Value 'ab' at 'tableName' {LENGTH} greater than or equal to 3"),
    ("tier1/createTable/basic", create("a" * 256), f"...{LENGTH} less than or equal to 255"),
    ("tier1/createTable/basic", create("invalid;name"), f"...{PATTERN}"),
    ("tier1/createTable/basic", create(KeySchema=[]), "..."),
    ("tier1/createTable/basic", create(types="extra:N"), "..."),
    (TABLES, create(keys="pk pk"), "Invalid KeySchema: Some index key attribute have no definition"),
    (
        TABLES,
        create(keys="pk sk extra"),
        f"{ONE}Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, "
        "keyType=RANGE), KeySchemaElement(attributeName=extra, keyType=RANGE)]' at 'keySchema' "
        f"{LENGTH} less than or equal to 2",
    ),
    (TABLES, create(KeySchema=WRONG_TYPE), ONE + TYPE),
    (
        TABLES,
        create(types="l", LocalSecondaryIndexes=[index("lsi1", "pk", "l")]),
        f"{WERE}Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
    ),
    (
        TABLES,
        create(types="a b", GlobalSecondaryIndexes=[index("same", "a"), index("same", "b")]),
        f"{WERE}Duplicate index name: same",
    ),
    ("tier1/createTable/lsi", create(keys="pk sk", types="o l", LocalSecondaryIndexes=[index("l12", "o", "l")]), "..."),
    (SPEC, of_index(ProjectionType="INCLUDE"), "..."),
    (SPEC, of_index(ProjectionType="KEYS_ONLY", NonKeyAttributes=["x"]), "..."),
    (SPEC, create(StreamSpecification={"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}), "..."),
    (f"{VO}createTable", create(BillingMode="BOGUS"), "...[PROVISIONED, PAY_PER_REQUEST]"),
    (
        "tier2/updateTable/gsi",
        ("update_table", {"TableName": "composite", "GlobalSecondaryIndexUpdates": [HAS]}),
        "...",
    ),
    (f"{VO}index", ("update_table", {"TableName": "hash", "GlobalSecondaryIndexUpdates": [GONE]}), NOT_FOUND),
    ("tier2/tags/basic", ("tag_resource", {"ResourceArn": "not-a-valid-arn", "Tags": []}), "..."),
    ("tier2/tags/basic", ("tag_resource", {"ResourceArn": NOBODYS, "Tags": [{"Key": "k", "Value": "v"}]}), NOT_FOUND),
]


@pytest.mark.parametrize("case", NEW_TABLES, ids=named)
def test_a_table_that_dynamodb_refuses(db: Any, case: Case) -> None:
    check(db, case)
    assert case[1][1].get("TableName", "new-table") not in {*db.list_tables()["TableNames"]} - {"hash", "composite"}


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("describe_time_to_live", {}), ("update_time_to_live", {"TimeToLiveSpecification": LIFE}), ("delete_table", {}),
        ("describe_table", {}), ("update_table", {"ProvisionedThroughput": UNITS}),
    ],
)  # fmt: skip
def test_a_table_that_is_not_there(db: Any, operation: str, more: dict[str, Any]) -> None:
    """tier1/deleteTable, describeTable and updateTable/basic; tier2/ttl/basic"""
    error = refusal(db, (operation, {"TableName": "not-there", **more}))["Error"]
    assert error["Code"] == "ResourceNotFoundException" and error["Message"].startswith(NOT_FOUND)


def test_a_tables_settings_are_told_and_changed(db: Any) -> None:
    """tier1/createTable/basic (TableId) and config; tier1/updateTable/basic and config"""
    most = {"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": 5}
    given = {"TableClass": "STANDARD_INFREQUENT_ACCESS", "OnDemandThroughput": most, "DeletionProtectionEnabled": True}
    made = db.create_table(**table("settings", "pk", **given))["TableDescription"]
    told = db.describe_table(TableName="settings")["Table"]
    assert told["TableId"] == made["TableId"] != db.describe_table(TableName="hash")["Table"]["TableId"]
    assert (
        told["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS" and told["OnDemandThroughput"] == most
    )
    changed = db.update_table(TableName="settings", OnDemandThroughput={**most, "MaxReadRequestUnits": 20})
    assert changed["TableDescription"]["OnDemandThroughput"] == {"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 5}
    assert "protected against deletion" in refusal(db, ("delete_table", {"TableName": "settings"}))["Error"]["Message"]
    db.update_table(TableName="settings", DeletionProtectionEnabled=False)
    db.update_table(TableName="settings", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    db.update_table(TableName="settings", BillingMode="PAY_PER_REQUEST")
    units = db.describe_table(TableName="settings")["Table"]["ProvisionedThroughput"]
    assert (units["ReadCapacityUnits"], units["WriteCapacityUnits"]) == (0, 0)
    db.delete_table(TableName="settings")


def test_tables_are_listed_by_name_and_have_each_tag_once(db: Any) -> None:
    """tier1/listTables/basic; tier2/tags/basic"""
    names = db.list_tables()["TableNames"]
    assert names == sorted(names)
    first = db.list_tables(Limit=2)
    assert first["TableNames"] == names[:2] and first["LastEvaluatedTableName"] == names[1]
    assert db.list_tables(ExclusiveStartTableName=names[1] + "-")["TableNames"] == names[2:]
    arn = db.describe_table(TableName="hash")["Table"]["TableArn"]
    for tags in ({"env": "test", "team": "a"}, {"env": "production"}):
        db.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    db.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert db.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "env", "Value": "production"}]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("execute_statement", {"Statement": 'SELECT * FROM "hash"'}),
        ("batch_execute_statement", {"Statements": [{"Statement": 'SELECT * FROM "hash"'}]}),
        ("execute_transaction", {"TransactStatements": [{"Statement": 'SELECT * FROM "hash"'}]}),
        ("create_global_table", {"GlobalTableName": "hash", "ReplicationGroup": [{"RegionName": "us-east-1"}]}),
        ("update_table", {"TableName": "hash", "ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}),
        ("restore_table_to_point_in_time", {"SourceTableName": "hash", "TargetTableName": "before"}),
    ],
)
def test_what_the_local_aws_cannot_do_it_refuses(db: Any, operation: str, parameters: dict[str, Any]) -> None:
    assert "The local AWS" in refusal(db, (operation, parameters))["Error"]["Message"]
