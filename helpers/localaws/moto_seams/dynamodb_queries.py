"""moto's DynamoDB: what AWS asks of a query or a scan, and of its next page.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.html
"""

from __future__ import annotations

from typing import Any

from . import dynamodb_expressions
from .dynamodb_items import types_of
from .dynamodb_values import INVALID, invalid
from .replace import replace


def fetched(table: Any, body: dict[str, Any]) -> Any:
    """The index that a query or scan reads, if it is a local one and what is asked for must come from the table.

    Raises AwsError for attributes that a global one does not have, and for a filter on attributes that are not in it.
    On AWS each item that is fetched costs as much as a read of its own.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.Projections
    """
    if (name := body.get("IndexName")) is None:
        return None
    index = next((i for i in table.all_indexes() if i.name == name), None)
    if index is None:
        raise invalid(f"The table does not have the specified index: {name}")
    projection = index.projection or {}
    if projection.get("ProjectionType", "ALL") == "ALL":
        return None
    held = {*table.table_key_attrs, *index.schema_key_attrs, *projection.get("NonKeyAttributes", ())}
    asked, filtered = (
        sorted(dynamodb_expressions.attributes(kind, body.get(kind), body.get("ExpressionAttributeNames")) - held)
        for kind in ("ProjectionExpression", "FilterExpression")
    )
    if filtered:
        text = "does not project one or more filter attributes: "
        raise invalid(f"{INVALID}Secondary index {name} {text}[{', '.join(filtered)}]")
    if index in table.global_indexes:
        if asked:
            raise invalid(f"{INVALID}Global secondary index {name} does not project [{', '.join(asked)}]")
        return None
    return index if asked or body.get("Select") == "ALL_ATTRIBUTES" else None


def _check_order(conditions: list[tuple[str, str, list[Any]]], schema: list[dict[str, str]]) -> None:
    """Of several sort keys only the last that a query names may have a range."""
    asked = {name: comparison for name, comparison, _ in conditions}
    named = [k["AttributeName"] for k in schema if k["KeyType"] == "RANGE" and k["AttributeName"] in asked]
    for one, following in zip(named, named[1:], strict=False):
        if asked[one] != "=":
            text = (
                f"RANGE key attributes {one} must have equality conditions specified in the query because a condition "
            )
            raise invalid(f"{text}is present on key attribute {following}")


def install() -> None:
    """Reads key conditions by AWS's grammar, and checks what a query asks for before moto looks."""
    import moto.dynamodb.models as models
    import moto.dynamodb.responses as responses
    from moto.dynamodb.exceptions import MockValidationException
    from moto.dynamodb.models.dynamo_type import DynamoType
    from moto.dynamodb.parsing.key_condition_expression import validate_schema

    backend: Any = models.DynamoDBBackend
    query = backend.query

    def check_start(start: Any, hashes: list[Any], ranges: Any) -> None:
        """A page begins within what the query asks for; the words are those of architect/dynalite."""

        def within(conditions: Any) -> bool:
            return all(DynamoType(start[n]).compare(c, [DynamoType(v) for v in values]) for n, c, values in conditions)

        if not within(ranges):
            raise MockValidationException("The provided starting key does not match the range key predicate")
        if not within(hashes):
            raise MockValidationException(
                "The query can return at most one row and cannot be restarted"
                if ranges
                else "The provided starting key is outside query boundaries based on provided conditions"
            )

    def checked_query(self: Any, table_name: str, *args: Any, **rest: Any) -> Any:
        types = types_of(self.get_table(table_name))
        conditions = [(name, "=", [value]) for name, value in rest.get("hash_key_conditions") or ()]
        for name, _, values in (*conditions, *(rest.get("range_key_conditions") or ())):
            if any(types[name] not in value for value in values):
                raise MockValidationException(f"{INVALID}Condition parameter type does not match schema type")
        if start := args[4]:
            check_start(start, conditions, rest.get("range_key_conditions") or ())
        schema = self.get_schema(table_name=table_name, index_name=rest.get("index_name"))
        looked_at = dynamodb_expressions.attributes(
            "FilterExpression", rest.get("filter_expression"), rest.get("expr_names")
        )
        for name in sorted(looked_at & {key["AttributeName"] for key in schema}):
            text = "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
            raise MockValidationException(text + name)
        return query(self, table_name, *args, **rest)

    def key_conditions(
        key_condition_expression: str, expression_attribute_names: Any, expression_attribute_values: Any, schema: Any
    ) -> Any:
        names, values = expression_attribute_names, expression_attribute_values
        found = dynamodb_expressions.key_conditions(key_condition_expression, names, values)
        if len(found) > len(schema):
            text = f"The number of query conditions ({len(found)}) exceeds the number of key attributes defined in the "
            raise invalid(f"{text}schema ({len(schema)})")
        _check_order(found, schema)
        return *validate_schema(found, schema), list(names or ())

    replace(
        (backend, {"query": checked_query}),
        (
            responses,
            {"parse_expression": key_conditions, "ProjectionExpressionParser": dynamodb_expressions.Projection},
        ),
    )
