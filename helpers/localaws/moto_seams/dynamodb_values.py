"""DynamoDB's attribute values: what AWS refuses and moto takes, or gives back otherwise than AWS.

Numbers are trimmed, and a set has no member twice:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html; exponents, of
zero as well, as paritysuite/dynamodb-conformance tests/tier3/limits/numberExponent.test.ts has them from AWS.
"""

from __future__ import annotations

import decimal
import re
from base64 import b64encode
from typing import Any

from ..protocols import Call
from ..types import AwsError

_TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"))
MANY_TYPES = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
INVALID = "One or more parameter values were invalid: "
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: levels of an item
_LEVELS = 32
EXACT = decimal.Context(prec=300, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_NUMBER = re.compile(r"[+-]?(\d*)\.?(\d*)([eE][+-]?\d{1,30})?", re.ASCII)
_LONG = 2**63  # an exponent that Java's long does not hold is no number


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def check(call: Call, parameters: dict[str, Any]) -> None:
    """Refuses numbers that AWS refuses, anywhere in a call; raises AwsError ValidationException."""
    waiting: list[Any] = [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            number = value.get("N") if len(value) == 1 else None
            if isinstance(number, str):
                check_number(number)
            elif len(value) == 1 and isinstance(value.get("NS"), list):
                for number in value["NS"]:
                    check_number(str(number))
            else:
                waiting += value.values()


def check_number(text: str) -> None:
    if len(text) <= 38 and text.isascii() and text.isdigit():
        return
    found = _NUMBER.fullmatch(text)
    exponent = int((found[3] or "e0")[1:]) if found else 0
    if not found or not (found[1] or found[2]) or not -_LONG <= exponent < _LONG:
        raise invalid("The parameter cannot be converted to a numeric value" + (f": {text}" if text else ""))
    digits = (found[1] + found[2]).lstrip("0")
    if len(digits.rstrip("0")) > 38:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    magnitude = len(digits) - len(found[2]) - 1 + exponent if digits else exponent
    if magnitude > 125:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if magnitude < -130:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")


def trimmed(text: str) -> str:
    """A number as DynamoDB gives it back: without leading and trailing zeros, sign of zero or exponent."""
    if text.isascii() and text.isdigit() and (text[0] != "0" or len(text) == 1):
        return text
    number = EXACT.create_decimal(text)
    return format(number.normalize(EXACT), "f") if number else "0"


def clean(parameters: Any) -> None:
    """Trims the numbers of a call in place; raises AwsError for values of two types and sets with a member twice."""
    waiting = [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if value.keys() <= _TYPES:
                if len(value) > 1 and not all(isinstance(v, dict) for v in value.values()):
                    raise invalid(MANY_TYPES)
                if isinstance(value.get("N"), str):
                    value["N"] = trimmed(value["N"])
                for kind in value.keys() & {"SS", "NS", "BS"}:
                    if isinstance(value[kind], list):
                        _clean_set(value, kind)
            waiting += value.values()


def _clean_set(value: dict[str, Any], kind: str) -> None:
    if not value[kind]:
        texts = {"SS": "An string set  may not be empty", "NS": "An number set  may not be empty"}
        raise invalid(INVALID + texts.get(kind, "Binary sets should not be empty"))
    if None in value[kind]:
        raise invalid(f"{INVALID}An string set may not have a null string as a member")
    sent, members = value[kind], [trimmed(m) for m in value[kind]] if kind == "NS" else value[kind]
    if len(set(members)) < len(sent):
        texts = {"SS": f"[{', '.join(map(str, sent))}] ", "NS": ""}
        shown = texts[kind] if kind in texts else f"[{', '.join(b64encode(m).decode() for m in sent)}]of type BS "
        raise invalid(f"{INVALID}Input collection {shown}contains duplicates.")
    value[kind] = in_order(kind, members)


def in_order(kind: str, members: list[Any]) -> list[Any]:
    """A set's members as DynamoDB gives them back: texts and bytes by their bytes, numbers by their value.

    As paritysuite/dynamodb-conformance tests/tier1/updateItem/basic.test.ts has it from AWS.
    """
    return sorted(members, key=decimal.Decimal if kind == "NS" else None)


def check_values(values: dict[str, Any]) -> None:
    """An item's attributes, or the values of an expression: each has a name, a type, and few levels.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    if "" in values:
        raise invalid("Empty attribute name")
    waiting = [(value, 1) for value in values.values()]
    while waiting:
        value, level = waiting.pop()
        if not value:
            raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        if level > _LEVELS:
            text = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
            raise invalid(text + "supported limit")
        ((kind, content),) = value.items()
        if kind == "NULL" and content is not True:
            raise invalid(f"{INVALID}Null attribute value types must have the value of true")
        if kind == "M" and "" in content:
            raise invalid("Empty attribute name")
        if kind in ("L", "M"):
            waiting += [(inner, level + 1) for inner in (content.values() if kind == "M" else content)]
