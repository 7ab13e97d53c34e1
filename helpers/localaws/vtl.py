"""API Gateway's mapping templates: Velocity with `$input`, `$util`, `$context` and `$stageVariables`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html

airspeed parses; `compile_template` then writes its tree down as one Python function, once a template:
walking the tree costs 0.33 ms a render, the function 0.06. Names and texts enter that function only as
literals (repr), and what a template can reach are the tables of methods below, nothing of Python. Where
AWS departs from Apache's Velocity it is followed as recorded against AWS in airspeed-ext's own tests: a
reference without a value renders as nothing, `#if` takes null for true and `!null` for false, `#macro`
calls, `#evaluate`, `#return`, `#parse`, `#include` stay plain text. Refused: JSONPath filters, slices, `..`.
"""

from __future__ import annotations

import base64
import json
import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson
from airspeed import operators as ast

Namespace = dict[str, Any]
Path = tuple[str | int | None, ...]

# Iterations of a #foreach: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_LOOPS = 1000
NOTHING = object()


class TemplateError(Exception):
    """The template cannot be parsed, or fails while it renders; AWS answers 500."""


class PayloadError(Exception):
    """The template reads the payload as JSON, and it is none; AWS answers 400."""


class _Break(ast._Element):  # type: ignore[misc]
    """Velocity's #break, added to airspeed's grammar by the hook that it has for such."""

    def parse(self) -> None:
        self.identity_match(re.compile(r"#(?:break\b|\{break\})(.*)$", re.S))


ast.UserDefinedDirective.DIRECTIVES.append(_Break)
_VERBATIM = (ast.MacroCall, ast.EvaluateDirective, ast.IncludeDirective, ast.ParseDirective)


class Items(list[Any]):
    """A list that a template made: it prints as Java's `[a, b]`, a list of the payload prints as JSON."""


class Util:
    """`$util`: its functions stand in the table of methods."""


UTIL = Util()


class Input:
    """`$input`: `text` is the payload, `params` holds the maps path, querystring and header.

    An empty payload reads as `{}`. Text that neither is JSON nor begins like an object or a list reads as
    a string (form data: `$input.path('$').split('&')`). `checked`: the caller knows the text to be JSON.
    """

    __slots__ = ("_checked", "_data", "_params", "body")

    def __init__(self, text: str, params: dict[str, dict[str, str]], checked: bool = False) -> None:
        self.body = text if text.strip() else "{}"
        self._params, self._checked, self._data = params, checked, NOTHING

    def _payload(self) -> Any:
        if self._data is NOTHING:
            try:  # not orjson, which makes floats of integers beyond 64 bits
                self._data = parse_json(self.body)
            except (ValueError, RecursionError) as error:
                if self.body.lstrip()[0] in "{[":
                    raise PayloadError(str(error)) from error
                self._data = self.body
        return self._data

    def json(self, path: str = "$") -> str:
        """What the path finds as JSON, `""` for nothing; for `$` the payload's own text, numbers as sent."""
        if path != "$":
            found = find(self._payload(), steps_of(path))
            return '""' if found is NOTHING else to_json(found)
        try:
            if not self._checked:
                load_json(self.body)
        except (ValueError, RecursionError):
            return to_json(self._payload())
        self._checked = True
        return self.body

    def path(self, path: str = "$") -> Any:
        found = find(self._payload(), steps_of(path))
        return "" if found is NOTHING else found

    def params(self, name: str | None = None) -> Any:
        if name is None:
            return self._params
        places = (self._params[place].get(name) for place in ("path", "querystring", "header"))
        return next((value for value in places if value is not None), "")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parse_json(text: str | bytes) -> Any:
    """As the standard says: without NaN and Infinity. Raises ValueError or RecursionError."""
    return json.loads(text, parse_constant=_refuse)


def load_json(text: str | bytes) -> Any:
    """The same in a quarter of the time, but integers beyond 64 bits become floats."""
    try:
        return orjson.loads(text)
    except ValueError:  # of lone surrogates too, which are JSON
        return parse_json(text)


def to_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, separators=(",", ":"))


_STEP = re.compile(r"\.([^.\[\]*\s()@?]+)|\[(-?\d+)\]|\[(?:'([^']*)'|\"([^\"]*)\")\]|(?:\.\*|\[\*\])")


@lru_cache(maxsize=512)
def steps_of(path: str) -> Path:
    """`$.a[0]['b'][*]` as keys, indexes and, for every one, None."""
    rest, steps = path.strip().removeprefix("$"), list[str | int | None]()
    rest = rest if rest[:1] in ("", ".", "[") else "." + rest
    while rest:
        if not (match := _STEP.match(rest)):
            raise TemplateError(f"JSONPath {path!r}: {rest!r} is not supported")
        key, index, single, double = match.groups()
        steps.append(int(index) if index else next((k for k in (key, single, double) if k is not None), None))
        rest = rest[match.end() :]
    return tuple(steps)


def find(data: Any, steps: Path) -> Any:
    """The value at a JSONPath, or a sentinel that `Input` turns into the empty string."""
    for at, step in enumerate(steps):
        if step is None:
            members = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
            return [found for m in members if (found := find(m, steps[at + 1 :])) is not NOTHING]
        data = _item(data, step, NOTHING) if isinstance(data, dict) == isinstance(step, str) else NOTHING
    return data


def to_text(value: Any, null: str = "") -> str:
    """A value as a reference prints it: maps as Java's `{a=1, b=null}`, the payload's lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={to_text(v, 'null')}" for key, v in value.items()) + "}"
    if isinstance(value, Items):
        return "[" + ", ".join(to_text(v, "null") for v in value) + "]"
    return to_json(value) if isinstance(value, list | bool | int | float) else null


# What templates call ------------------------------------------------------------------------------------


def _replace(text: str, pattern: str, by: str, count: int = 0) -> str:
    """By Java's rules: a regular expression; in the replacement `$1` is a group, `\\x` the character x."""
    mark = re.compile(r"\\(.)|\$(\d)", re.S)
    return re.sub(pattern, lambda m: mark.sub(lambda g: g[1] or m[int(g[2])] or "", by), text, count=count)


def _split(text: str, pattern: str) -> Items:
    parts = re.split(pattern, text)
    while len(parts) > 1 and not parts[-1]:  # Java drops the empty strings at the end
        parts.pop()
    return Items(parts)


def _escape(value: Any) -> str | None:
    """Escapes of JavaScript, `'` among them: AWS's page says how to turn that one back for JSON."""
    return None if value is None else encode_basestring_ascii(to_text(value))[1:-1].replace("'", "\\'")


def _item(target: Any, key: Any, default: Any = None) -> Any:
    if isinstance(target, dict):
        return target.get(key, default)
    inside = isinstance(target, list) and type(key) is int and -len(target) <= key < len(target)
    return target[key] if inside else default


def _equal(a: Any, b: Any) -> bool:
    """Velocity's `==`: numbers by value, values of different classes by their text."""
    if a is None or b is None:
        return a is b
    numbers = type(a) in (int, float) and type(b) in (int, float)
    return bool(a == b) if numbers or type(a) is type(b) else to_text(a) == to_text(b)


_Methods = dict[str, Callable[..., Any]]
_ANY: _Methods = {"toString": to_text, "equals": _equal}
_LIST: _Methods = _ANY | {
    "size": len, "isEmpty": operator.not_, "get": operator.getitem, "contains": operator.contains,
    "add": lambda s, *a: (s.insert if len(a) == 2 else s.append)(*a) is None, "remove": list.pop,
    "addAll": list.extend, "set": lambda s, i, v: (s[i], operator.setitem(s, i, v))[0],
    "indexOf": lambda s, x: s.index(x) if x in s else -1,
}  # fmt: skip
_MAP: _Methods = _ANY | {
    "size": len, "isEmpty": operator.not_, "get": _item, "keySet": Items, "containsKey": operator.contains,
    "put": lambda m, k, v: (m.get(k), operator.setitem(m, k, v))[0], "putAll": dict.update,
    "values": lambda m: Items(m.values()), "containsValue": lambda m, v: v in m.values(),
    "entrySet": lambda m: Items({"key": k, "value": v} for k, v in m.items()),
    "getKey": lambda entry: entry.get("key"), "getValue": lambda entry: entry.get("value"),
    "remove": lambda m, k: m.pop(k, None),
}  # fmt: skip
_METHODS: dict[type, _Methods] = {
    str: _ANY | {
        "length": len, "isEmpty": operator.not_, "contains": lambda s, x: to_text(x) in s,
        "startsWith": str.startswith, "endsWith": str.endswith, "indexOf": str.find, "lastIndexOf": str.rfind,
        "substring": lambda s, a, b=None: s[a:b], "replace": str.replace, "replaceAll": _replace,
        "replaceFirst": lambda s, pattern, by: _replace(s, pattern, by, 1), "split": _split,
        "matches": lambda s, pattern: bool(re.fullmatch(pattern, s)), "concat": operator.add,
        "toLowerCase": str.lower, "toUpperCase": str.upper, "trim": str.strip,
        "equalsIgnoreCase": lambda s, x: s.lower() == to_text(x).lower(),
    },
    bool: _ANY, int: _ANY, float: _ANY, list: _LIST, Items: _LIST, dict: _MAP,
    Input: {"json": Input.json, "path": Input.path, "params": Input.params},
    Util: {
        "escapeJavaScript": lambda _, x: _escape(x), "parseJson": lambda _, x: parse_json(x),
        "urlEncode": lambda _, x: quote_plus(to_text(x), safe="*"), "urlDecode": lambda _, x: unquote_plus(x),
        "base64Encode": lambda _, x: base64.b64encode(to_text(x).encode()).decode(),
        "base64Decode": lambda _, x: base64.b64decode(x).decode(),
    },
}  # fmt: skip


# What the written function calls ------------------------------------------------------------------------


def _get(target: Any, name: str) -> Any:
    if isinstance(target, dict):
        return target.get(name)
    return target.body if name == "body" and type(target) is Input else None


def _call(target: Any, name: str, *args: Any) -> Any:
    method = _METHODS.get(type(target), {}).get(name)
    return method(target, *args) if method else None


def _divide(a: Any, b: Any) -> Any:
    exact = type(a) is type(b) is int  # Java truncates towards zero
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if exact else a / b


_WORDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "and": "&&", "or": "||"}
_SIGNS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {  # and what comes of values that do not fit
    ">": (operator.gt, False), ">=": (operator.ge, False), "==": (_equal, False),
    "<": (operator.lt, False), "<=": (operator.le, False), "!=": (lambda a, b: not _equal(a, b), False),
    "+": (lambda a, b: to_text(a) + to_text(b) if str in (type(a), type(b)) else a + b, None),
    "-": (operator.sub, None), "*": (operator.mul, None), "/": (_divide, None),
    "%": (lambda a, b: a - b * _divide(a, b) if type(a) is type(b) is int else math.fmod(a, b), None),
}  # fmt: skip


def _binary(sign: str, a: Any, b: Any) -> Any:
    function, otherwise = _SIGNS[sign]
    try:
        return function(a, b)
    except (TypeError, ArithmeticError, ValueError):
        return otherwise


def _loop(ns: Namespace, name: str, items: Any) -> Iterator[None]:
    """One step an iteration; its own variables are put back afterwards, others stay as the body set them."""
    outer = {key: ns.get(key) for key in (name, "foreach", "velocityCount", "velocityHasNext")}
    items = list(items.values()) if isinstance(items, dict) else items  # Velocity: a map's values
    items = items if isinstance(items, list | range) else ()
    try:
        for at, item in enumerate(items[:MAX_LOOPS], 1):
            more = at < len(items)
            ns[name], ns["velocityCount"], ns["velocityHasNext"] = item, at, more
            ns["foreach"] = dict(index=at - 1, count=at, hasNext=more, first=at == 1, last=not more)
            yield
    finally:
        ns.update(outer)


_GLOBALS: dict[str, Any] = {
    "get": _get, "call": _call, "item": _item, "put": operator.setitem, "binary": _binary, "loop": _loop,
    "text": to_text, "Items": Items, "span": lambda a, b: range(a, b + 1) if a <= b else range(a, b - 1, -1),
}  # fmt: skip


class _Writer:
    """Writes airspeed's tree as Python: expressions as source, blocks as lines, functions as their names."""

    def __init__(self) -> None:
        self.functions = list[str]()
        self.sources: dict[type, Callable[[Any], str]] = {
            ast.Value: lambda n: self.source(n.expression),
            ast.FormalReference: lambda n: self.path(n.expression) if n.expression else repr(n.my_text()),
            ast.InterpolatedStringLiteral: lambda n: f"{self.function(n.block)}(ns)",
            ast.ArrayLiteral: lambda n: self.source(n.values),
            ast.ValueList: lambda n: f"Items([{', '.join(map(self.source, n.values))}])",
            ast._EmptyValues: lambda n: "Items()",
            ast.Range: lambda n: f"span({self.source(n.value1)}, {self.source(n.value2)})",
            ast.DictionaryLiteral: lambda n: (
                "{" + ", ".join(f"{self.source(k)}: {self.source(v)}" for k, v in n.local_data.items()) + "}"
            ),
            # It keeps of its expression only this bound method.
            ast.ParenthesizedExpression: lambda n: self.terms(n.calculate.__self__.expression),
            ast.UnaryOperatorValue: lambda n: f"((v := {self.source(n.value)}) is not None and not v)",
        }

    def source(self, node: Any) -> str:
        write = self.sources.get(type(node))
        return write(node) if write else repr(node.value)

    def terms(self, terms: list[Any]) -> str:
        """Values with operators between them: cut at the one that binds weakest, the last of its like."""
        if len(terms) == 1:
            return self.source(terms[0])
        at = max(range(1, len(terms), 2), key=lambda i: (terms[i].precedence, i))
        left, right = self.terms(terms[:at]), self.terms(terms[at + 1 :])
        sign = terms[at].my_text().strip()
        sign = _WORDS.get(sign, sign)
        if sign in ("&&", "||"):
            return f"(bool({left}) {'and' if sign == '&&' else 'or'} bool({right}))"
        return f"binary({sign!r}, {left}, {right})"

    def path(self, node: Any, base: str = "") -> str:
        """`$a.b(c)[d].e` from the left; `base` is the source of what stands left of this step."""
        if node is None:
            return base
        if isinstance(node, ast.SubExpression):
            if not isinstance(node.expression, ast.ArrayIndex):
                return self.path(node.expression, base)
            index = node.expression
        else:
            name, given, index = repr(node.part.name), node.part.parameters, node.part.index
            if given:
                arguments = ", ".join(map(self.source, getattr(given.values, "values", ())))
                base = f"call({base or None}, {name}, {arguments})"
            else:
                base = f"get({base}, {name})" if base else f"ns.get({name})"
        return self.path(node.subexpression, f"item({base}, {self.source(index.index)})" if index else base)

    def function(self, block: Any) -> str:
        at = len(self.functions)
        self.functions.append("")
        body = "\n".join(self.block(block, " ", False))
        self.functions[at] = f"def f{at}(ns):\n out = []\n show = out.append\n{body}\n return ''.join(out)"
        return f"f{at}"

    def block(self, node: Any, pad: str, looped: bool) -> list[str]:
        lines, text = list[str](), ""
        for child in node.children:
            if isinstance(child, ast.Text | ast.FallthroughHashText):
                text += child.text
            elif isinstance(child, _VERBATIM):
                text += child.my_text()
            elif isinstance(child, ast.Comment):  # AWS keeps the line's end behind `*#`
                text += child.my_text().rpartition("*#")[2] if child.my_text().startswith("#*") else ""
            elif not isinstance(child, ast.MacroDefinition):
                lines += [f"{pad}show({text!r})"] * bool(text) + self.statement(child, pad, looped)
                text = ""
        return [*lines, f"{pad}show({text!r})"]

    def statement(self, node: Any, pad: str, looped: bool) -> list[str]:
        inner, lines = pad + " ", list[str]()
        match node:
            case ast.FormalReference():
                return [f"{pad}show(text({self.source(node)}))"]
            case ast.IfDirective():
                for word, case in [("if", node), *(("elif", other) for other in node.elseifs)]:
                    lines += [f"{pad}{word} (v := {self.source(case.condition.expression)}) is None or v:"]
                    lines += self.block(case.block, inner, looped)
                if isinstance(node.else_block, ast.ElseBlock):
                    lines += [f"{pad}else:", *self.block(node.else_block.block, inner, looped)]
                return lines
            case ast.SetDirective(assignment=to):
                base, key = "ns", repr(to.root_term)
                for term in (t.term.value for t in to.terms):
                    base = f"item({base}, {key})"
                    key = repr(term) if isinstance(term, str) else self.source(term)
                return [f"{pad}put({base}, {key}, {self.terms(to.value.expression)})"]
            case ast.ForeachDirective(loop_var_name=name):
                head = f"{pad}for _ in loop(ns, {name!r}, {self.source(node.value)}):"
                return [head, *self.block(node.block, inner, True)]
            case ast.StopDirective():
                return [f"{pad}return ''.join(out)"]
            case ast.UserDefinedDirective():
                return [f"{pad}break" if looped else f"{pad}return ''.join(out)"]
        raise TemplateError(f"{node.my_text()!r} is not supported")  # #define


@lru_cache(maxsize=256)
def compile_template(text: str) -> Callable[[Namespace], str]:
    """The template as a function of its namespace. TemplateError from both, PayloadError from the function."""
    try:
        writer, scope = _Writer(), dict(_GLOBALS)
        main = writer.function(ast.TemplateBody("template", text).block)
        exec(compile("\n".join(writer.functions), "<mapping template>", "exec"), scope)
    except Exception as error:  # airspeed's own errors, and too deep nesting
        raise TemplateError(f"{type(error).__name__}: {error}") from error

    def render(ns: Namespace) -> str:
        try:
            return str(scope[main](ns))
        except (TemplateError, PayloadError):
            raise
        except Exception as error:  # a method that refuses its arguments, as in Java
            raise TemplateError(f"{type(error).__name__}: {error}") from error

    return render
