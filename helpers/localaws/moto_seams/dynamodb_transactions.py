"""moto's DynamoDB: transactions, their tokens and the reasons to cancel them.

Below https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/ : API_TransactWriteItems.html,
API_TransactGetItems.html.
"""

from __future__ import annotations

import time
from typing import Any

import orjson

from ..types import AwsError
from . import dynamodb_plain, dynamodb_store
from .dynamodb_items import SCHEMA, check_filled, check_item, check_key, fits
from .dynamodb_values import check_values, invalid
from .replace import replace

_TWICE = "Transaction request cannot include multiple operations on one item"
_TOKEN_SECONDS = 600
_MOST_TRANSACTION = 4 * 1024 * 1024  # bytes of all items


def check_reads(reads: list[dict[str, Any]], table: Any) -> None:
    """The Gets of a transaction; keys that do not fit are reasons to cancel it."""
    from moto.dynamodb.exceptions import TransactionCanceledException

    reasons: list[tuple[Any, Any, Any]] = []
    items = set()
    for read in reads:
        if (found := table(read["TableName"])) is None:
            return
        known = fits(found, read["Key"])
        if known:
            check_key(found, read["Key"])
        reasons.append((None, None, None) if known else ("ValidationError", SCHEMA, None))
        items.add((found.name, repr(sorted(read["Key"].items()))))
    if any(code for code, _, _ in reasons):
        raise TransactionCanceledException(reasons)
    if len(items) < len(reads):
        raise invalid(_TWICE)


def _check_actions(backend: Any, actions: list[dict[str, Any]], size: int) -> None:
    """What of a transaction's writes is refused before any is looked at: values, tables, empty keys; `size` as JSON.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    for action in actions:
        if "" in (attributes := action.get("Item") or action["Key"]):
            raise invalid("Empty attribute name")
        check_values(attributes)
    items = set()
    for action in actions:
        table, attributes = backend.get_table(action["TableName"]), action.get("Item") or action["Key"]
        key = [attributes.get(name) for name in table.table_key_attrs]
        for name, value in zip(table.table_key_attrs, key, strict=True):
            check_filled(name, value)
        items.add((table.name, repr(key) if None not in key else object()))
    if len(items) < len(actions):  # moto does not know that a table's name and its ARN are the same
        raise invalid(_TWICE)
    if size > _MOST_TRANSACTION:  # as JSON they have more
        sizes = (dynamodb_store.checked_size(action["Item"]) for action in actions if "Item" in action)
        if sum(sizes) > _MOST_TRANSACTION:
            raise invalid("The aggregate size of the items in the transaction exceeds 4 MB")


def install() -> None:
    """Checks a transaction before moto begins it, and does it once for a token."""
    import moto.dynamodb.models as models
    import moto.dynamodb.responses as responses
    from moto.core.responses import ActionResult
    from moto.dynamodb.exceptions import TransactionCanceledException

    handler: Any = responses.DynamoHandler
    backend: Any = models.DynamoDBBackend
    transact, write, get_all = backend.transact_write_items, handler.transact_write_items, handler.transact_get_items
    setattr(responses, "TRANSACTION_MAX_ITEMS", dynamodb_plain.MOST_ACTIONS)  # noqa: B010

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        reasons: list[tuple[Any, Any, Any]] = []
        for operation in (op for item in transact_items for op in item.values()):
            table, problem = self.get_table(operation["TableName"]), None
            try:
                if "Item" in operation:
                    check_item(table, operation["Item"])
                elif not fits(table, operation["Key"]):
                    problem = SCHEMA
            except AwsError as error:
                problem = error.message
            reasons.append(("ValidationError", problem, None) if problem else (None, None, None))
        if any(code for code, _, _ in reasons):
            raise TransactionCanceledException(reasons)
        self.in_transaction = True
        try:
            transact(self, transact_items)
        finally:
            self.in_transaction = False

    def once(self: Any) -> Any:
        """A transaction whose token was used for the same in the last ten minutes has been done already."""
        token, now = self.body.get("ClientRequestToken"), time.monotonic()
        kept = self.dynamodb_backend.__dict__.setdefault("tokens", {})
        for old in list(kept):
            if kept[old][1] > now - _TOKEN_SECONDS:
                break
            del kept[old]
        sent = orjson.dumps(self.body["TransactItems"], default=repr)
        content = hash(sent)
        if token in kept:
            if kept[token][0] != content:
                raise AwsError(
                    "IdempotentParameterMismatchException",
                    "DynamoDB rejected the request because you retried a request with a different payload but with an "
                    "idempotent token that was already used.",
                )
            self.replayed = True  # which costs what reading the items does
            return ActionResult({})
        metrics = self.body.get("ReturnItemCollectionMetrics", "NONE") != "NONE"
        plain = not metrics and len(sent) <= _MOST_TRANSACTION
        if plain and dynamodb_plain.done(self.dynamodb_backend, self.body["TransactItems"]):
            answer = ActionResult({})
        else:
            actions = [action for item in self.body["TransactItems"] for action in item.values()]
            _check_actions(self.dynamodb_backend, actions, len(sent))
            answer = write(self)
        if token:
            kept[token] = content, now
        return answer

    def transact_get_items(self: Any) -> Any:
        """moto would give whole items."""
        answer = get_all(self)
        for got, (request,) in zip(
            answer.result["Responses"], map(dict.values, self.body["TransactItems"]), strict=True
        ):
            if "Item" in got and "ProjectionExpression" in request:
                names = request.get("ExpressionAttributeNames")
                paths = responses.ProjectionExpressionParser(request["ProjectionExpression"], names).parse()
                item = self.dynamodb_backend.get_item(request["TableName"], request["Key"], paths)
                got["Item"] = responses.DynamoResult(item.attrs).result
        return answer

    replace(
        (handler, {"transact_write_items": once, "transact_get_items": transact_get_items}),
        (backend, {"transact_write_items": transact_write_items}),
    )
