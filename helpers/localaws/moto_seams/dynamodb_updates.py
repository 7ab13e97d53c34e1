"""moto's DynamoDB: an update, as a whole or not at all, by AWS's grammar and in AWS's order.

Below https://docs.aws.amazon.com/amazondynamodb/latest/ : APIReference/API_UpdateItem.html,
developerguide/Expressions.UpdateExpressions.html.
"""

from __future__ import annotations

import decimal
import re
from typing import Any

from ..types import AwsError
from . import dynamodb_expressions, dynamodb_store
from .dynamodb_items import check_key_size, index_keys, types_of
from .dynamodb_undo import touched
from .dynamodb_values import EXACT, INVALID, check_number, in_order, trimmed
from .replace import replace

# What an update meets only when it looks at the item; within a transaction it is a reason to cancel.
_UPDATE_FAILURES = re.compile(
    "An operand in the update expression|Item size to update|The document path provided|The provided expression refers"
    "|The update expression attempted"
)
_MAKES = re.compile(r"(?<![#:.\w])(?:SET|ADD)\s", re.IGNORECASE)  # an item that is not there; others only take away
_EMPTY_INDEX_KEY = (
    "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a "
    "value that is not supported. The AttributeValue for a key attribute cannot contain an empty string value. "
    "IndexName: {}, IndexKey: {}"
)


class ValidationError(Exception):
    """A reason to cancel a transaction; moto takes the name of the class for the reason's code."""


def install() -> None:
    """Puts updates that undo what they began in the place of moto's, and AWS's grammar in that of its parser."""
    import moto.dynamodb.models as models
    import moto.dynamodb.parsing.ast_nodes as nodes
    import moto.dynamodb.parsing.executors as executors
    import moto.dynamodb.parsing.expressions as expressions
    from moto.dynamodb.exceptions import (
        IncorrectDataType,
        IncorrectOperandType,
        ItemSizeToUpdateTooLarge,
        MockValidationException,
    )
    from moto.dynamodb.models.dynamo_type import DynamoType

    node, removal, selector = (
        vars(nodes)[name] for name in ("Node", "UpdateExpressionRemoveAction", "ExpressionSelector")
    )
    backend: Any = models.DynamoDBBackend
    adder: Any = vars(executors)["AddExecutor"]
    update, appended, normalized = backend.update_item, adder.execute, node.normalize

    def check_paths(store: Any, table_name: str, key: dict[str, Any], rest: dict[str, Any]) -> None:
        """Paths of an update within something that has no such parts: moto would do nothing."""
        names, values = rest.get("expression_attribute_names"), rest.get("expression_attribute_values")
        part = {"UpdateExpression": rest.get("update_expression"), "ExpressionAttributeNames": names}
        if paths := [path for path in dynamodb_expressions.updated(part) if len(path) > 1]:
            item, condition = store.get_item(table_name, key), rest.get("condition_expression")
            holds = dynamodb_expressions.Condition(condition, names, values).expr(item)
            if holds and not all(dynamodb_expressions.leads(item, path) for path in paths):
                text = "The document path provided in the update expression is invalid for update"
                raise MockValidationException(text)

    def update_item(self: Any, table_name: str, key: dict[str, Any], **rest: Any) -> Any:
        """As a whole or not at all: moto makes the item first and leaves it when the update fails."""
        inside, expression = getattr(self, "in_transaction", False), rest.get("update_expression") or ""
        removes = bool(expression) and not _MAKES.search(expression) and self.get_item(table_name, key) is None
        undo = []
        if removes or not inside:
            undo = list(touched(self, [{"Update": {"TableName": table_name, "Key": key}}]))
        if not expression:
            rest["attribute_updates"] = {}  # an item of the key alone
        try:
            check_paths(self, table_name, key, rest)
            item = update(self, table_name, key, **rest)
            table = self.get_table(table_name)
            dynamodb_store.changed(table, (item.hash_key, item.range_key))
            for index, kind, name in index_keys(table):
                if name in item.attrs:
                    value = item.attrs[name]
                    if value.type != types_of(table)[name]:
                        text = "The update expression attempted to update the secondary index key to unsupported type"
                        raise MockValidationException(INVALID + text)
                    if value.type != "N" and not value.value:
                        raise MockValidationException(_EMPTY_INDEX_KEY.format(index, name))
                    try:
                        check_key_size(kind, {value.type: value.value})
                    except AwsError as error:
                        raise MockValidationException(error.message) from None
            if item.size() > dynamodb_store.MOST_BYTES:  # the new item: moto measures each step on the way there
                raise ItemSizeToUpdateTooLarge
            if removes:  # from an item that is not there, which does not make it
                for restore in undo:
                    restore()
            return item
        except Exception as error:
            for restore in undo:
                restore()
            if isinstance(error, IncorrectOperandType):  # of what lies at a path: those of values are known by now
                error = IncorrectDataType()
            message = str(getattr(error, "message", error))
            if inside and isinstance(error, MockValidationException) and _UPDATE_FAILURES.match(message):
                raise ValidationError(message) from None
            raise error from None

    def number(of: str) -> Any:
        original = getattr(DynamoType, of)

        def exact(self: Any, other: Any) -> Any:
            if self.type != "N" or other.type != "N":
                return original(self, other)
            left, right = decimal.Decimal(self.value), decimal.Decimal(other.value)
            total = trimmed(str(EXACT.add(left, right) if of == "__add__" else EXACT.subtract(left, right)))
            try:
                check_number(total)
            except AwsError as error:
                raise MockValidationException(error.message) from None
            return DynamoType({"N": total})

        return exact

    def one_operator(self: Any) -> Any:
        """`value` is one operand, or two with + or - between them; moto takes any number."""
        for following in (False, True):
            if following:
                self._parse_target_clause(self._binop_factory_class())
                if not self._operand_factory_class().is_possible_start(self.get_next_token()):
                    self.raise_unexpected_token()
            self._parse_target_clause(self._operand_factory_class())
            if not self._binop_factory_class().is_possible_start(self.get_next_token()):
                return self._create_node()
        return self.raise_unexpected_token()

    def normalize(self: Any) -> None:
        """All actions are on the item as it was: what is removed from a list goes last, from its end, and what is added
        to one is added in the order of the elements' numbers; moto does one after the other.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
        """
        normalized(self)
        if self.type == "UpdateExpression":
            removed = [a for a in self.children if isinstance(a, removal)]
            others = [a for a in self.children if a not in removed]
            self.children = sorted(others, key=element) + sorted(removed, reverse=True)

    def element(action: Any) -> int:
        last = action.children[0].children[-1]
        return int(last.get_index()) if isinstance(last, selector) else -1

    def add(self: Any, item: Any) -> None:
        """What is added to a set finds its place there; moto appends it."""
        appended(self, item)
        held = self.get_item_at_end_of_path(item)
        if held.is_set():
            held.value = in_order(held.type, held.value)

    replace(
        (backend, {"update_item": update_item}),
        (vars(expressions)["UpdateExpressionValueParser"], {"_parse": one_operator}),
        (node, {"normalize": normalize}),
        (adder, {"execute": add}),
        (expressions, {"UpdateExpressionGroupedValue": lambda children: children}),  # moto fails on parentheses
        (DynamoType, {of: number(of) for of in ("__add__", "__sub__")}),
    )
