"""Which records of a source a function gets: a mapping's FilterCriteria.

Pages under https://docs.aws.amazon.com/lambda/latest/dg/: invocation-eventfiltering.html (the rules, five filters),
with-kinesis-filtering.html, with-sqs-filtering.html; arrays as in
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html. Numbers that are compared by
"equals" are compared as they are written: 300 is not 300.0. Refused: filters on other keys than the data's, and those
of EventBridge's operators that Lambda's page does not list.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .mappings import invalid

_MOST = 5  # filters of a mapping, by default
_NUMBERS = 5_000_000_000  # either way: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html
Wanted = Callable[[bytes | str], bool]


class _Number(str):
    """A number as it was written."""


def wanted(settings: dict[str, Any], key: str, *, plain: bool = False) -> Wanted | None:
    """Whether a record's data, which patterns call `key`, satisfies one of the filters; None when there are none.

    Data that is no JSON satisfies rules for a plain text only, which `plain` allows, and these nothing else: so the
    pages' tables. (They do not say what a text such as 12 or "a" is; here JSON means an object or an array.)
    """
    found = (settings.get("FilterCriteria") or {}).get("Filters") or []
    if len(found) > _MOST:
        raise invalid(f"An event source mapping has {_MOST} filters at most.")
    patterns = [_pattern(each.get("Pattern") or "", key, plain) for each in found]

    def passes(data: bytes | str) -> bool:
        try:
            document = json.loads(data, parse_int=_Number, parse_float=_Number)
        except ValueError:
            document = None
        if isinstance(document, (dict, list)):
            return any(isinstance(p, dict) and _node([document], p, [document]) for p in patterns)
        return any(isinstance(p, list) and any(_holds(rule, [data], False) for rule in p) for p in patterns)

    return passes if patterns else None


def _pattern(text: str, key: str, plain: bool) -> Any:
    """The rules for the data, checked: a dict of those for a document, a list of those for a plain text."""
    try:
        pattern = json.loads(text, parse_int=_Number, parse_float=_Number)
        checked = _checked(pattern)
        if checked.keys() - {key}:
            raise invalid(f"The local AWS filters by {key} only, as the guide says: {text}")
        rules = checked[key]
    except (ValueError, TypeError, ArithmeticError):
        raise invalid("Invalid filter pattern definition.") from None
    if isinstance(rules, list) and not plain:
        raise invalid(f"Invalid filter pattern definition: the pattern for {key} must be a JSON object.")
    return rules


def _checked(node: Any) -> dict[str, Any]:
    """A pattern with its alternatives ($or) as tuples; raises ValueError, TypeError, ArithmeticError if it is none."""
    if not isinstance(node, dict) or not node:
        raise ValueError(node)
    found: dict[str, Any] = {}
    for name, rules in node.items():
        if isinstance(rules, dict):
            found[name] = _checked(rules)
        elif name == "$or" and len(rules) > 1 and all(isinstance(rule, dict) for rule in rules):
            found[name] = tuple(_checked(rule) for rule in rules)
        elif isinstance(rules, list) and rules:
            found[name] = [_checked_rule(rule) for rule in rules]
        else:
            raise ValueError(rules)
    return found


def _checked_rule(rule: Any) -> Any:
    if isinstance(rule, list):
        raise ValueError(rule)
    if not isinstance(rule, dict):
        return rule
    [(operator, value)] = rule.items()
    if operator == "numeric":
        pairs = [(sign, Decimal(number)) for sign, number in zip(value[::2], value[1::2], strict=True)]
        if not pairs or any(sign not in _COMPARED or abs(number) > _NUMBERS for sign, number in pairs):
            raise ValueError(rule)
        return {operator: pairs}
    if operator == "anything-but" and not isinstance(value, dict):
        value = value if isinstance(value, list) else [value]
    elif operator not in ("exists", "prefix", "suffix", "equals-ignore-case") or isinstance(value, (dict, list)):
        raise invalid(f"The local AWS does not have this rule for filters: {json.dumps(rule)}")
    elif type(value) is not (bool if operator == "exists" else str):
        raise ValueError(rule)
    return {operator: value}


def _flat(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _flat(each)] if isinstance(value, list) else [value]


def _node(values: list[Any], pattern: dict[str, Any], everywhere: list[Any]) -> bool:
    """Whether one of the objects has all that a pattern asks for; `everywhere`: what stands at its place in all of the
    document's arrays, for a field that must not exist."""
    objects = [each for each in _flat(values) if isinstance(each, dict)] or [{}]
    others = [each for each in _flat(everywhere) if isinstance(each, dict)]

    def asked(name: str, rules: Any, given: dict[str, Any]) -> bool:
        if isinstance(rules, tuple):
            return any(_node([given], each, others) for each in rules)
        there = [each[name] for each in others if name in each]
        if isinstance(rules, dict):
            return _node([given[name]] if name in given else [], rules, there)
        leaves = [each for each in _flat(given.get(name, [])) if not isinstance(each, dict)]
        missing = all(isinstance(each, dict) for each in _flat(there))
        return any(_holds(rule, leaves, missing) for rule in rules)

    return any(all(asked(name, rules, given) for name, rules in pattern.items()) for given in objects)


def _holds(rule: Any, leaves: list[Any], missing: bool) -> bool:
    if not isinstance(rule, dict):
        return any(_same(leaf, rule) for leaf in leaves)
    [(operator, value)] = rule.items()
    if operator == "exists":
        return bool(leaves) if value else missing
    return any(_COMPARISONS[operator](leaf, value) for leaf in leaves)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _numeric(leaf: Any, pairs: list[tuple[str, Decimal]]) -> bool:
    if not isinstance(leaf, _Number) or abs(number := Decimal(leaf)) > _NUMBERS:
        return False
    return all(_COMPARED[sign](number, bound) for sign, bound in pairs)


_COMPARED: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": Decimal.__eq__, "<": Decimal.__lt__, "<=": Decimal.__le__, ">": Decimal.__gt__, ">=": Decimal.__ge__,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "anything-but": lambda leaf, values: not any(_same(leaf, value) for value in values),
    "equals-ignore-case": lambda leaf, value: type(leaf) is str and leaf.casefold() == value.casefold(),
    "numeric": _numeric,
    "prefix": lambda leaf, value: type(leaf) is str and leaf.startswith(value),
    "suffix": lambda leaf, value: type(leaf) is str and leaf.endswith(value),
}
