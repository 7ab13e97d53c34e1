"""DynamoDB's condition, filter, key condition and projection expressions, in place of moto's parsers.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html (the grammar)
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.Attributes.html (document paths)
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
What these pages leave open is as scylladb/scylladb's test/alternator/ says, tests that pass on DynamoDB: what is not
there, or is of another type, equals nothing, differs from everything and is neither less nor greater; values in the
call that an operator or function does not take are refused; a path that leads nowhere projects nothing. The refusals'
words are those of architect/dynalite, whose tests were written against DynamoDB.
"""

from __future__ import annotations

import base64
import copy
import decimal
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from ..types import AwsError

Path = tuple[str | int, ...]  # of a map's members and a list's indexes
# ("path", Path) · ("value", ":v") · ("size" and the other functions, *operands) · (comparator, left, right) ·
# ("BETWEEN", operand, low, high) · ("IN", operand, *operands) · ("AND" | "OR", left, right) · ("NOT", condition)
Node = tuple[Any, ...]

_TOKEN = re.compile(r"\s*([#:]?[A-Za-z_]\w*|[#:]\w+|\d+|<=|>=|<>|\S)")
_FUNCTIONS = {
    "attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1,
}  # fmt: skip
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_ORDERED = frozenset("SNB")
_WORDS = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN"))
_TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"))
_SETS = frozenset(("SS", "NS", "BS"))
_TAKEN = dict.fromkeys("+-", frozenset("N")) | {"list_append": frozenset("L"), "ADD": _SETS | {"N"}, "DELETE": _SETS}
_SECTIONS = frozenset(("SET", "REMOVE", "ADD", "DELETE"))


class _Problem(Exception):
    """What is wrong with an expression; the words that follow "Invalid ...Expression: "."""


class _Parser:
    def __init__(self, text: str) -> None:
        self.found = list(_TOKEN.finditer(text))
        self.tokens = [found[1] for found in self.found]
        self.at = 0
        if not self.tokens:
            raise _Problem("The expression can not be empty;")

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else "<EOF>"

    def take(self, *wanted: str) -> str:
        """The next token, which must be one of these if any are given."""
        token = self.peek()
        if token == "<EOF>" or (wanted and token.upper() not in wanted):
            raise self.wrong()
        self.at += 1
        return token

    def wrong(self) -> _Problem:
        around = self.found[max(0, self.at - 1) : self.at + 2]
        near = around[0].string[around[0].start(1) : around[-1].end()]
        return _Problem(f'Syntax error; token: "{self.peek()}", near: "{near}"')

    def word(self, *words: str) -> bool:
        """Takes the keyword that comes next, if it does."""
        found = self.peek().upper() in words
        self.at += found
        return found

    def end(self) -> None:
        if self.peek() != "<EOF>":
            raise self.wrong()

    def disjunction(self) -> Node:
        left = self.conjunction()
        while self.word("OR"):
            left = ("OR", _condition(left), _condition(self.conjunction()))
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while self.word("AND"):
            left = ("AND", _condition(left), _condition(self.negation()))
        return left

    def negation(self) -> Node:
        return ("NOT", _condition(self.negation())) if self.word("NOT") else self.comparison()

    def comparison(self) -> Node:
        left = self.operand()
        if self.peek() in ("=", "<>", *_COMPARED):
            return self.take(), _operand(left), _operand(self.operand())
        if self.word("BETWEEN"):
            low = _operand(self.operand())
            self.take("AND")
            return "BETWEEN", _operand(left), low, _operand(self.operand())
        if self.word("IN"):
            return "IN", _operand(left), *self.arguments()
        return left

    def arguments(self) -> list[Node]:
        self.take("(")
        found = [_operand(self.operand())]
        while self.take(",", ")") == ",":
            found.append(_operand(self.operand()))
        return found

    def operand(self) -> Node:
        """A path, a value, a function, or whatever stands in parentheses."""
        token = self.peek()
        if token == "(":
            begin = self.at = self.at + 1
            node = self.disjunction()
            if self.tokens[begin] == "(" and _closing(self.tokens, begin) == self.at - 1 and self.peek() == ")":
                raise _Problem("The expression has redundant parentheses;")
            self.take(")")
            return node
        if token[0] == ":":
            return "value", self.take()
        if self.peek(1) == "(" and token.isidentifier() and token.upper() not in _WORDS:
            self.take()
            given = self.arguments()
            if token not in _FUNCTIONS:
                raise _Problem(f"Invalid function name; function: {token}")
            if len(given) != _FUNCTIONS[token]:
                text = "Incorrect number of operands for operator or function; operator or function: "
                raise _Problem(f"{text}{token}, number of operands: {len(given)}")
            return token, *given
        return "path", self.path()

    def path(self) -> Path:
        steps: list[str | int] = [self.name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                steps.append(self.name())
            elif not self.peek().isdigit():
                raise self.wrong()
            else:
                steps.append(int(self.take()))
                self.take("]")
        return tuple(steps)

    def name(self) -> str:
        token = self.peek()
        if not (token[0] == "#" and len(token) > 1) and (not token.isidentifier() or token.upper() in _WORDS):
            raise self.wrong()
        if token.upper() in _reserved():
            raise _Problem(f"Attribute name is a reserved keyword; reserved keyword: {token}")
        return self.take()

    def paths(self) -> list[Path]:
        found = [self.path()]
        while self.word(","):
            found.append(self.path())
        return found

    def updated(self) -> Iterator[Path]:
        """The paths that an update sets, removes, adds to or deletes from; its syntax is for moto to judge."""
        section = ""
        while self.peek() != "<EOF>":
            section = self.take(*_SECTIONS, ",").upper() if self.peek() != "," else self.take() and section
            yield self.path()
            depth = 0
            while (token := self.peek()) != "<EOF>" and (depth or (token != "," and token.upper() not in _SECTIONS)):
                depth += (self.take() == "(") - (token == ")")


@lru_cache
def _reserved() -> frozenset[str]:
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

    return frozenset(ReservedKeywords.get_reserved_keywords())


def _closing(tokens: Sequence[str], at: int) -> int:
    depth = 0
    while at < len(tokens):
        depth += (tokens[at] == "(") - (tokens[at] == ")")
        if not depth:
            break
        at += 1
    return at


def _condition(node: Node) -> Node:
    if node[0] in ("path", "value"):
        raise _Problem(f'Syntax error; token: "{_shown(node)}", near: "{_shown(node)}"')
    if node[0] == "size":
        raise _Problem("The function is not allowed to be used this way in an expression; function: size")
    return node


def _operand(node: Node) -> Node:
    if node[0] in ("path", "value", "size"):
        return node
    if node[0] in _FUNCTIONS:
        raise _Problem(f"The function is not allowed to be used this way in an expression; function: {node[0]}")
    raise _Problem(f'Syntax error; token: "{node[0]}", near: "{node[0]}"')


def _shown(node: Node) -> str:
    return str(node[1]) if node[0] == "value" else ".".join(map(str, node[1]))


@lru_cache(512)
def _parsed(kind: str, text: str) -> Any:
    """A condition's Node, or the paths of a projection or of what an update changes."""
    parser = _Parser(text)
    if kind == "ProjectionExpression":
        paths = parser.paths()
        parser.end()
        return paths
    if kind == "UpdateExpression":
        return list(parser.updated())
    node = parser.disjunction()
    parser.end()
    return _condition(node)


def _named(path: Path, names: dict[str, str] | None) -> Path:
    return tuple((names or {}).get(s, s) if isinstance(s, str) and s[0] == "#" else s for s in path)


@lru_cache(512)
def _paths(kind: str, text: str, names: frozenset[tuple[str, str]]) -> list[Path]:
    """The paths of a projection, or of what an update changes; none of an update whose syntax moto will refuse."""
    try:
        paths = [_named(path, dict(names)) for path in _parsed(kind, text)]
    except _Problem as problem:
        if kind == "UpdateExpression" and "reserved" not in str(problem):
            return []
        raise
    _check_paths(paths)
    return paths


# What can be told from an expression and its values


def check(part: dict[str, Any]) -> None:
    """Refuses the expressions of a call, or of one action of a transaction; raises AwsError ValidationException.

    That its placeholders are all there and all used has been checked.
    """
    names = part.get("ExpressionAttributeNames")
    for kind in ("UpdateExpression", "ProjectionExpression"):
        if (text := part.get(kind)) is not None:
            with _refused(kind):
                if not text.strip():
                    raise _Problem("The expression can not be empty;")
                if kind == "UpdateExpression":
                    _check_operands(_operands(text.strip()), part.get("ExpressionAttributeValues") or {})
                _paths(kind, text, frozenset((names or {}).items()))
    for kind in ("ConditionExpression", "FilterExpression", "KeyConditionExpression"):
        if part.get(kind) is not None:
            with _refused(kind):
                _check_node(_parsed(kind, part[kind]), names, part.get("ExpressionAttributeValues") or {})


@lru_cache(512)
def _operands(text: str) -> list[tuple[str, frozenset[str], str]]:
    """(operator or function, types that it takes, :value) of an update, whose syntax is moto's to judge."""
    from moto.dynamodb.exceptions import MockValidationException
    from moto.dynamodb.parsing import expressions

    try:
        waiting = [vars(expressions)["UpdateExpressionParser"].make(text)]
    except MockValidationException as error:
        raise AwsError("ValidationException", error.message) from None
    found, actions = [], {"UpdateExpressionAddAction": "ADD", "UpdateExpressionDeleteAction": "DELETE"}
    while waiting:
        node = waiting.pop()
        kind, parts = type(node).__name__, node.children or []
        what, given = actions.get(kind, ""), parts[1:]
        if kind == "UpdateExpressionValue" and len(parts) == 3:
            what, given = parts[1].get_operator(), parts[::2]
        elif kind == "UpdateExpressionFunction":
            what = parts[0]
        for part in given if what in _TAKEN else ():
            while type(part).__name__ == "UpdateExpressionValue" and len(part.children) == 1:
                part = part.children[0]
            if type(part).__name__ == "ExpressionAttributeValue":
                found.append((what, _TAKEN[what], part.get_value_name()))
        waiting += [part for part in parts if hasattr(part, "children")]
    return found


def _check_operands(operands: list[tuple[str, frozenset[str], str]], values: dict[str, Any]) -> None:
    """AWS's words: baopham/laravel-dynamodb#284, dynamoose/dynamoose#388, aws/aws-sdk-js-v3#7171."""
    for what, taken, name in operands:
        if (kind := next(iter(values[name]), "")) not in taken:
            text = f"operator or function: {what}, operand type: {kind}"
            if what in ("ADD", "DELETE"):
                from moto.dynamodb.models.dynamo_type import DDBTypeConversion

                text = f"operator: {what}, operand type: {DDBTypeConversion.get_human_type(kind)}"
            raise _Problem(f"Incorrect operand type for operator or function; {text}")


class _refused:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, _Problem):
            raise AwsError("ValidationException", f"Invalid {self.kind}: {error}") from None


def _check_paths(paths: list[Path]) -> None:
    for number, two in enumerate(paths):
        for one in paths[:number]:
            steps = [(a, b) for a, b in zip(one, two, strict=False) if a != b]
            if steps and type(steps[0][0]) is type(steps[0][1]):
                continue
            what = "conflict" if steps else "overlap"
            raise _Problem(
                f"Two document paths {what} with each other; must remove or rewrite one of these paths; "
                f"path one: {_bracketed(one)}, path two: {_bracketed(two)}"
            )


def _bracketed(path: Path) -> str:
    return f"[{', '.join(s if isinstance(s, str) else f'[{s}]' for s in path)}]"


def _check_node(node: Node, names: Any, values: dict[str, Any]) -> None:
    kind, *parts = node
    if kind in ("AND", "OR", "NOT"):
        for part in parts:
            _check_node(part, names, values)
        return
    if kind in ("path", "value"):
        return
    for part in parts:
        _check_node(part, names, values)
    if len(parts) == 2 and parts[0][0] == parts[1][0] == "path":
        one, two = (_named(part[1], names) for part in parts)
        if one == two:
            raise _Problem(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {kind}, first operand: {_bracketed(one)}"
            )
    types = [next(iter(values[part[1]]), "") if part[0] == "value" else None for part in parts]
    wrong = next((t for t in types if t and not _takes(kind, t)), None)
    if kind in ("attribute_exists", "attribute_not_exists") and parts[0][0] != "path":
        raise _Problem(f"Operator or function requires a document path; operator or function: {kind}")
    if kind == "attribute_type":
        wrong = types[1] if types[1] != "S" else None
        if types[1] is None:
            wrong = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
        elif types[1] == "S" and (given := values[parts[1][1]]["S"]) not in _TYPES:
            valid = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
            raise _Problem(f"Invalid attribute type name found; type: {given}, valid types: {valid}")
    if wrong:
        text = "Incorrect operand type for operator or function; operator or function: "
        raise _Problem(f"{text}{kind}, operand type: {wrong}")
    if kind == "BETWEEN" and types[1] and types[2]:
        low, high = (values[part[1]] for part in parts[1:])
        if types[1] != types[2]:
            what = "same data type for lower and upper bounds"
        elif _plain(types[1], low[types[1]]) > _plain(types[2], high[types[2]]):
            what = "upper bound to be greater than or equal to lower bound"
        else:
            return
        bounds = ["AttributeValue: {{{}:{}}}".format(*next(iter(bound.items()))) for bound in (low, high)]
        raise _Problem(
            f"The BETWEEN operator requires {what}; lower bound operand: {bounds[0]}, upper bound operand: {bounds[1]}"
        )


def _takes(kind: str, given: str) -> bool:
    """Whether an operator or function takes values of this type."""
    if kind in _COMPARED or kind == "BETWEEN":
        return given in _ORDERED
    if kind == "begins_with":
        return given in ("S", "B")
    return kind != "size" or given not in ("N", "BOOL", "NULL")


def attributes(kind: str, text: str | None, names: Any) -> set[str]:
    """The attributes of an item at which such an expression looks."""
    if kind == "ProjectionExpression":
        return {str(path[0]) for path in Projection(text, names).parse()}
    found, waiting = set(), [_parsed(kind, text)] if text else []
    while waiting:
        node = waiting.pop()
        if node[0] == "path":
            found.add(str(_named(node[1], names)[0]))
        elif node[0] != "value":
            waiting += node[1:]
    return found


def key_conditions(text: str, names: Any, values: dict[str, Any]) -> list[tuple[str, str, list[Any]]]:
    """(attribute, comparison, values) for each condition on a key; raises AwsError ValidationException."""
    found: dict[str, tuple[str, str, list[Any]]] = {}
    with _refused("KeyConditionExpression"):
        waiting = [_parsed("KeyConditionExpression", text)]
        while waiting:
            kind, *parts = waiting.pop()
            if kind == "AND":
                waiting += reversed(parts)
                continue
            if kind not in ("=", "BETWEEN", "begins_with", *_COMPARED):
                raise AwsError("ValidationException", f"Invalid operator used in KeyConditionExpression: {kind}")
            if parts[0][0] == "value" and parts[1][0] == "path" and kind in ("=", *_COMPARED):
                kind, parts = kind.translate(str.maketrans("<>", "><")), parts[::-1]
            if parts[0][0] != "path" or any(part[0] != "value" for part in parts[1:]):
                text = "Invalid condition in KeyConditionExpression: "
                many = sum(part[0] == "path" for part in parts) > 1
                raise AwsError(
                    "ValidationException",
                    text + ("Multiple attribute names used in one condition" if many else "No key attribute specified"),
                )
            path = _named(parts[0][1], names)
            if len(path) > 1:
                raise _Problem("KeyConditionExpressions cannot have conditions on nested attributes")
            if path[0] in found:
                raise _Problem("KeyConditionExpressions must only contain one condition per key")
            comparison = "BEGINS_WITH" if kind == "begins_with" else kind
            found[str(path[0])] = str(path[0]), comparison, [values[part[1]] for part in parts[1:]]
    return list(found.values())


# What an expression finds in an item


def _plain(kind: str, value: Any) -> Any:
    """A value as Python compares it. Binary values come as bytes, or as base64."""
    if kind == "N":
        return decimal.Decimal(value)
    if kind == "B":
        return base64.b64decode(value) if isinstance(value, str) else bytes(value)
    if len(kind) == 2 and kind != "M":  # a set
        return frozenset(_plain(kind[0], member) for member in value)
    if kind == "L":
        return [_typed(member) for member in value]
    return {name: _typed(member) for name, member in value.items()} if kind == "M" else value


def _typed(value: Any) -> tuple[str, Any]:
    """(type, value) of one of moto's values, or of one as it is in a call."""
    kind, content = next(iter(value.items())) if isinstance(value, dict) else (value.type, value.value)
    return kind, _plain(kind, content)


def _at(attrs: Any, path: Path) -> Any:
    """moto's value at a path, or None."""
    found = attrs.get(path[0])
    for step in path[1:]:
        if found is None or found.type != ("L" if isinstance(step, int) else "M"):
            return None
        if isinstance(step, int):
            found = found.value[step] if step < len(found.value) else None
        else:
            found = found.value.get(step)
    return found


class Condition:
    """A condition or filter, with as much of moto's parser and operators as moto uses."""

    def __init__(self, text: str | None, names: dict[str, str] | None, values: dict[str, Any] | None) -> None:
        self.node: Node | None = _parsed("ConditionExpression", text) if text else None
        self.names, self.values = names, values or {}
        self.expr_attr_names_found, self.expr_attr_values_found = list(names or ()), list(self.values)

    def parse(self) -> Condition:
        return self

    def expr(self, item: Any) -> bool:
        return self.node is None or self._holds(self.node, getattr(item, "attrs", None) or {})

    def _value(self, node: Node, attrs: Any) -> tuple[str, Any] | None:
        """(type, value) of an operand; None for what is not there."""
        if node[0] == "value":
            return _typed(self.values[node[1]])
        if node[0] == "path":
            found = _at(attrs, _named(node[1], self.names))
            return None if found is None else _typed(found)
        given = self._value(node[1], attrs)
        if given is None or given[0] in ("N", "BOOL", "NULL"):
            return None
        # A text's UTF-16 units: nubo-db/dynamodb-conformance tests/tier1/query/expressions.test.ts
        return "N", decimal.Decimal(len(given[1].encode("utf-16-le")) // 2 if given[0] == "S" else len(given[1]))

    def _holds(self, node: Node, attrs: Any) -> bool:
        kind, *parts = node
        if kind == "AND":
            return self._holds(parts[0], attrs) and self._holds(parts[1], attrs)
        if kind == "OR":
            return self._holds(parts[0], attrs) or self._holds(parts[1], attrs)
        if kind == "NOT":
            return not self._holds(parts[0], attrs)
        first, *others = [self._value(part, attrs) for part in parts]
        if kind in ("attribute_exists", "attribute_not_exists"):
            return bool((first is None) == (kind == "attribute_not_exists"))
        if kind == "<>":
            return first is None or first != others[0]
        if first is None:
            return False
        if kind in ("=", "IN"):
            return first in [other for other in others if other is not None]
        if kind == "attribute_type":
            return others[0] == ("S", first[0])
        if kind == "BETWEEN":
            return _ordered(">=", first, others[0]) and _ordered("<=", first, others[1])
        if kind in _COMPARED:
            return _ordered(kind, first, others[0])
        return _function(kind, first, others[0])


def _ordered(kind: str, left: tuple[str, Any], right: tuple[str, Any] | None) -> bool:
    return bool(right and left[0] == right[0] and left[0] in _ORDERED and _COMPARED[kind](left[1], right[1]))


def _function(kind: str, first: tuple[str, Any], second: tuple[str, Any] | None) -> bool:
    """begins_with and contains."""
    if second is None:
        return False
    if first[0] in ("S", "B"):
        if first[0] != second[0]:
            return False
        return bool(first[1].startswith(second[1]) if kind == "begins_with" else second[1] in first[1])
    if kind == "begins_with":
        return False
    return bool(second in first[1] if first[0] == "L" else first[0] == second[0] + "S" and second[1] in first[1])


class Projection:
    """The paths of a projection, as moto's parser gives them."""

    def __init__(self, text: str | None, names: dict[str, str] | None) -> None:
        self.text, self.names = text, names
        self.expr_attr_names_found = list(names or ())

    def parse(self) -> list[Path]:
        return _paths("ProjectionExpression", self.text, frozenset((self.names or {}).items())) if self.text else []


def updated(part: dict[str, Any]) -> list[Path]:
    """The paths that an update changes."""
    text, names = part.get("UpdateExpression"), part.get("ExpressionAttributeNames")
    return _paths("UpdateExpression", text, frozenset((names or {}).items())) if text else []


def leads(item: Any, path: Path) -> bool:
    """Whether a path in an item ends in a map or list that may have such a member."""
    held = _at(getattr(item, "attrs", None) or {}, path[:-1])
    return held is not None and held.type == ("L" if isinstance(path[-1], int) else "M")


def projected(attrs: Any, paths: Sequence[Path]) -> dict[str, Any]:
    """What lies at these paths, in the maps and lists in which it lies; of a list, the members that were asked for."""
    made: dict[Any, Any] = {}
    for path in paths:
        if (found := _at(attrs, path)) is not None:
            inside = made
            for step in path[:-1]:
                inside = inside.setdefault(step, {})
            inside[path[-1]] = copy.deepcopy(found)
    return {str(name): _held(value) for name, value in made.items()}


def _held(made: Any) -> Any:
    from moto.dynamodb.models.dynamo_type import DynamoType

    if not isinstance(made, dict):
        return made
    if any(isinstance(step, int) for step in made):
        return DynamoType({"L": [_held(made[step]) for step in sorted(made)]})
    return DynamoType({"M": {name: _held(value) for name, value in made.items()}})
