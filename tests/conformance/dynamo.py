"""Handlers on DynamoDB: client and resource, old and new parameters, transactions."""

from __future__ import annotations

from .cases import DYNAMODB, DYNAMODB_API, Invoke
from .match import Has, Text

RULES = DYNAMODB + "HowItWorks.NamingRulesDataTypes.html"
TRANSACTIONS = DYNAMODB_API + "API_TransactWriteItems.html"


def n(number: int) -> dict[str, str]:
    return {"N": str(number)}


CASES = [
    Invoke(
        "types come back as they went in, numbers trimmed",
        "ddb_client.put_and_get",
        {"id": "types", "price": "02.550"},
        {
            "pk": {"S": "types"},
            "price": {"N": "2.55"},
            "paid": {"BOOL": True},
            "note": {"NULL": True},
            "tags": {"SS": ["express", "gift"]},
            "raw": {"B": [0, 1]},
            "lines": {"L": [{"M": {"code": {"S": "85123A"}, "quantity": {"N": "6"}}}]},
            "empty": {"S": ""},
        },
        RULES,
        again=(
            ({"id": "types", "price": "1E+2"}, Has({"price": {"N": "100"}})),
            ({"id": "types", "price": "-0.0"}, Has({"price": {"N": "0"}})),
            ({"id": "types", "price": "1e-3"}, Has({"price": {"N": "0.001"}})),
        ),
    ),
    Invoke(
        "an item that is not there", "ddb_client.absent", {}, ["ResponseMetadata"], DYNAMODB_API + "API_GetItem.html"
    ),
    Invoke(
        "a projection into a map",
        "ddb_client.projected",
        {},
        {"name": "Ann", "m": "{'a': Decimal('1')}"},
        DYNAMODB + "Expressions.ProjectionExpressions.html",
    ),
    Invoke(
        "a scan, page by page",
        "ddb_client.scan_all",
        {},
        {"found": ["scan2", "scan3", "scan4"], "several": True},
        DYNAMODB + "Scan.html#Scan.Pagination",
    ),
    Invoke("Decimals, trimmed", "ddb_resource.decimals", {}, {"price": "2.55", "count": "3", "rate": "100"}, RULES),
    Invoke(
        "floats are boto3's to refuse",
        "ddb_resource.floats",
        {},
        Has({"errorType": "TypeError", "errorMessage": "Float types are not supported. Use Decimal types instead."}),
        "https://docs.aws.amazon.com/boto3/latest/reference/customizations/dynamodb.html",
        error="Unhandled",
    ),
    Invoke(
        "a batch writer, conditions, an index, a paginator",
        "ddb_resource.fill",
        {"pk": "batch"},
        {
            "all": 59,
            "between": [10, 12, 14],
            "counts": [3, 5],
            "last": [58, 57],
            "from": 57,
            "index": 29,
            "pages": [25, 25, 9],
        },
        DYNAMODB_API + "API_Query.html",
    ),
    Invoke(
        "an update with all four clauses",
        "ddb_resource.expressions",
        {},
        {
            "pk": "expressions",
            "seen": 2,
            "trail": ["made", "seen"],
            "tags": ["b"],
            "m": {"key with blank": "Ann"},
            "name": "Ann",
            "likes": 1,
        },
        DYNAMODB + "Expressions.UpdateExpressions.html",
    ),
    Invoke("sums are exact", "ddb_resource.money", {}, {"amount": "0.6", "updates": "3"}, RULES),
    Invoke(
        "optimistic locking",
        "ddb_resource.optimistic_lock",
        {},
        ["updated", "The conditional request failed", "updated"],
        DYNAMODB + "BestPractices_ImplementingVersionControl.html",
    ),
    Invoke(
        "a write that happens once",
        "ddb_resource.insert_once",
        {"id": "once"},
        ["inserted", {"N": "1"}],
        DYNAMODB_API + "API_PutItem.html",
    ),
    Invoke("old values", "ddb_resource.old_values", {}, [1, 2, False], DYNAMODB_API + "API_DeleteItem.html"),
    Invoke(
        "AttributeUpdates with every action",
        "ddb_legacy.attribute_updates",
        {},
        {
            "pk": "S=legacy",
            "title": "S=plain",
            "sold": "BOOL=True",
            "cover": r"B=b'\x01'",
            "views": "N=3.5",
            "likes": "N=1",
            "tags": "SS=['b']",
        },
        DYNAMODB + "LegacyConditionalParameters.AttributeUpdates.html",
    ),
    Invoke(
        "Expected",
        "ddb_legacy.expected",
        {},
        ["closed", "ConditionalCheckFailedException"],
        DYNAMODB + "LegacyConditionalParameters.Expected.html",
    ),
    Invoke(
        "KeyConditions, QueryFilter and AttributesToGet",
        "ddb_legacy.key_conditions",
        {},
        [{"v": n(20)}, {"v": n(30)}],
        DYNAMODB + "LegacyConditionalParameters.KeyConditions.html",
    ),
    Invoke(
        "AttributesToGet",
        "ddb_legacy.attributes_to_get",
        {},
        {"b": {"S": "2"}},
        DYNAMODB + "LegacyConditionalParameters.AttributesToGet.html",
    ),
    Invoke(
        "a transaction",
        "ddb_transaction.all_or_nothing",
        {"stock": 5, "quantity": 2},
        {
            "reasons": None,
            "state": [{"pk": {"S": "order#1"}, "quantity": n(2)}, {"pk": {"S": "stock#1"}, "left": n(3)}],
        },
        TRANSACTIONS,
        again=(
            (
                {"stock": 5, "quantity": 6},
                {
                    "reasons": [
                        {"Code": "None"},
                        {
                            "Code": "ConditionalCheckFailed",
                            "Message": "The conditional request failed",
                            "Item": {"pk": {"S": "stock#1"}, "left": n(5)},
                        },
                    ],
                    "state": [None, {"pk": {"S": "stock#1"}, "left": n(5)}],
                },
            ),
        ),
    ),
    Invoke(
        "a transaction's token",
        "ddb_transaction.idempotent",
        {},
        {"left": "8", "other": "IdempotentParameterMismatchException"},
        TRANSACTIONS + "#DDB-TransactWriteItems-request-ClientRequestToken",
    ),
    Invoke(
        "a transaction with an update that cannot be done",
        "ddb_transaction.bad_operand",
        {},
        {
            "code": "TransactionCanceledException",
            "reasons": ["None", "ValidationError"],
            "message": "The provided expression refers to an attribute that does not exist in the item",
            "state": None,
        },
        TRANSACTIONS,
    ),
    Invoke(
        "a transaction that reads a part",
        "ddb_transaction.read_a_part",
        {},
        [{"Item": {"name": {"S": "Ann"}}}],
        DYNAMODB_API + "API_TransactGetItems.html",
    ),
    Invoke(
        "updated values, also when they were so before",
        "ddb_resource.same_again",
        {},
        [{"status": "done", "tags": []}, {"status": "done", "tags": []}, {"pk": "bare"}],
        DYNAMODB_API + "API_UpdateItem.html",
    ),
    Invoke(
        "what calls cost",
        "ddb_client.consumed",
        {},
        {"single": [3, 0.5, 1, 3, 1], "transaction": 2, "unasked": False},
        DYNAMODB + "read-write-operations.html",
    ),
    Invoke(
        "rows with numbers, from JSON",
        "kinesis_to_dynamo.lambda_handler",
        {
            "Records": [
                {"kinesis": {"data": "eyJpZCI6ICJ0d2ljZSIsICJwcmljZSI6IDIuNTV9", "sequenceNumber": "1"}},
                {"kinesis": {"data": "eyJpZCI6ICJ0d2ljZSIsICJwcmljZSI6IDIuNTV9", "sequenceNumber": "2"}},
            ]
        },
        2,
        "https://docs.aws.amazon.com/boto3/latest/guide/dynamodb.html#batch-writing",
    ),
    Invoke(
        "the same with floats",
        "kinesis_to_dynamo.with_floats",
        {"Records": [{"kinesis": {"data": "eyJpZCI6ICJ0d2ljZSIsICJwcmljZSI6IDIuNTV9", "sequenceNumber": "1"}}]},
        Has({"errorType": "TypeError", "errorMessage": Text("Float types are not supported.*")}),
        "https://docs.aws.amazon.com/boto3/latest/reference/customizations/dynamodb.html",
        error="Unhandled",
    ),
]
