"""DynamoDB's old parameters, whose place expressions have taken.

The expression for each: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
"""

from __future__ import annotations

from typing import Any

from .dynamodb_values import INVALID, invalid

EXPRESSIONS = (
    "ProjectionExpression", "UpdateExpression", "ConditionExpression", "FilterExpression", "KeyConditionExpression",
)  # fmt: skip
_CONDITIONS = {
    "EQ": "{0} = {1}", "NE": "{0} <> {1}", "LE": "{0} <= {1}", "LT": "{0} < {1}", "GE": "{0} >= {1}", "GT": "{0} > {1}",
    "NULL": "attribute_not_exists({0})", "NOT_NULL": "attribute_exists({0})", "BETWEEN": "{0} BETWEEN {1} AND {2}",
    "CONTAINS": "contains({0}, {1})", "NOT_CONTAINS": "NOT contains({0}, {1})", "BEGINS_WITH": "begins_with({0}, {1})",
}  # fmt: skip
_OPERANDS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2}  # IN has any number, all others have one
_OLD = {
    "AttributesToGet": "ProjectionExpression", "AttributeUpdates": "UpdateExpression",
    "Expected": "ConditionExpression", "QueryFilter": "FilterExpression", "ScanFilter": "FilterExpression",
    "ConditionalOperator": "", "KeyConditions": "KeyConditionExpression",
}  # fmt: skip
MIXED = (
    "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} "
    "Expression parameters: {{{}}}"
)


def modernize(body: dict[str, Any]) -> None:
    """Puts the expressions in place of the old parameters that they replaced, as AWS's pages translate them.

    What is refused, AWS refused for paritysuite/dynamodb-conformance (tests/tier3/error-messages/deleteItem.test.ts),
    ExtendDB/extenddb (tests/test_conditional_operator.py) or architect/dynalite.
    """
    old = [name for name in _OLD if name in body]
    if not old:
        return
    new = [name for name in EXPRESSIONS if name in body]
    if new and (old != ["KeyConditions"] or "KeyConditionExpression" in body):
        raise invalid(MIXED.format(", ".join(old), ", ".join(new)))
    if "ConditionalOperator" in body:
        conditions = max(len(body.get(name) or ()) for name in ("Expected", "QueryFilter", "ScanFilter"))
        if conditions < 2:
            text = "can only be used when Filter or Expected has two or more elements"
            raise invalid(f"ConditionalOperator {text if conditions else 'cannot be used without Filter or Expected'}")
    for kind in ("Names", "Values"):
        if f"ExpressionAttribute{kind}" in body and not new:
            raise invalid(f"ExpressionAttribute{kind} can only be specified when using expressions")
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def name(attribute: str) -> str:
        names[key := f"#old{len(names)}"] = attribute
        return key

    def value(given: Any) -> str:
        values[key := f":old{len(values)}"] = given
        return key

    def condition(attribute: str, given: dict[str, Any]) -> str:
        operator = given.get("ComparisonOperator") or ("EQ" if "Value" in given else "NULL")
        operands = given.get("AttributeValueList") or [given[k] for k in ("Value",) if k in given]
        wanted, problem = _OPERANDS.get(operator, 1), ""
        if {"Value", "AttributeValueList"} <= given.keys():
            problem = "Value and AttributeValueList cannot be used together"
        elif "ComparisonOperator" not in given and "AttributeValueList" in given:
            problem = "AttributeValueList can only be used with a ComparisonOperator"
        elif {"Exists", "ComparisonOperator"} <= given.keys():
            problem = "Exists and ComparisonOperator cannot be used together"
        elif given.get("Exists") is False and operands:
            problem = "Value cannot be used when Exists is false"
        elif "ComparisonOperator" not in given and given.get("Exists") is not False and not operands:
            problem = f"Value must be provided when Exists is {'true' if 'Exists' in given else 'null'}"
        elif wanted and not operands:
            problem = f"Value or AttributeValueList must be used with ComparisonOperator: {operator}"
        if problem:
            raise invalid(f"{INVALID}{problem} for Attribute: {attribute}")
        if operator != "IN" and len(operands) != wanted:
            raise invalid(f"{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator")
        keys = [value(operand) for operand in operands]
        if operator == "IN":
            return f"{name(attribute)} IN ({', '.join(keys)})"
        return _CONDITIONS[operator].format(name(attribute), *keys)

    def update(updates: dict[str, dict[str, Any]]) -> str:
        sections: dict[str, list[str]] = {}
        for attribute, given in updates.items():
            action, operand = given.get("Action", "PUT"), given.get("Value")
            kind = next(iter(operand), "") if operand else ""
            if not operand and action != "DELETE":
                raise invalid(f"{INVALID}Only DELETE action is allowed when no attribute value is specified")
            if action == "ADD" and kind not in ("N", "SS", "NS", "BS", "L"):
                raise invalid(f"{INVALID}ADD action is not supported for the type {kind}")
            if action == "DELETE" and operand and kind not in ("SS", "NS", "BS"):
                raise invalid(f"{INVALID}DELETE action with value is not supported for the type {kind}")
            key = name(attribute)
            if not operand:
                sections.setdefault("REMOVE", []).append(key)
            elif action == "PUT":
                sections.setdefault("SET", []).append(f"{key} = {value(operand)}")
            elif kind == "L":
                empty = value({"L": []})
                text = f"{key} = list_append(if_not_exists({key}, {empty}), {value(operand)})"
                sections.setdefault("SET", []).append(text)
            else:
                sections.setdefault(action, []).append(f"{key} {value(operand)}")
        return " ".join(f"{section} {', '.join(parts)}" for section, parts in sections.items())

    glue = f" {body.pop('ConditionalOperator', 'AND')} "
    for parameter in filter(_OLD.get, old):
        if not (given := body.pop(parameter)):
            continue
        if parameter == "AttributesToGet":
            text = ", ".join(map(name, given))
        elif parameter == "AttributeUpdates":
            text = update(given)
        else:
            between = " AND " if parameter == "KeyConditions" else glue
            text = between.join(condition(attribute, c) for attribute, c in given.items())
        body[_OLD[parameter]] = text
    for parameter, made in (("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)):
        if made:
            body[parameter] = body.get(parameter, {}) | made
