"""The functions that the warehouse has, and no others; each by the page that AWS has of it.

https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .sqltypes import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    MAX_VARCHAR,
    TIMESTAMP,
    TIMESTAMPTZ,
    SqlError,
    Type,
    numeric,
    refuse,
    varchar,
)  # fmt: skip
from .values import (
    NULL,
    Typed,
    arithmetic,
    as_moment,
    as_text,
    bare,
    cast,
    compared,
    cut,
    quote,
    shifted,
    unify,
    units,
)  # fmt: skip

Function = Callable[..., Typed]
FUNCTIONS: dict[str, tuple[Function, int, int]] = {}  # name -> (what makes it, fewest arguments, most)
_MANY = 99


def _has(names: str, least: int, most: int = -1) -> Callable[[Function], Function]:
    def keep(function: Function) -> Function:
        for one in names.split():
            FUNCTIONS[one] = (function, least, least if most < 0 else most)
        return function

    return keep


def call(name: str, arguments: list[Typed]) -> Typed:
    """A scalar function's value; raises SqlError for what Redshift, or this warehouse, does not have."""
    if name not in FUNCTIONS:
        shown = ", ".join(str(a.type).partition("(")[0] for a in arguments)
        raise refuse(f"the function {name.upper()}({shown})")
    function, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise SqlError(f"function {name} takes {least} to {most} arguments, not {len(arguments)}")
    made = function(*arguments)
    return Typed(made.sql, made.type, all(a.const for a in arguments) and bool(arguments))


def constant(value: Typed, what: str) -> str:
    if value.text is None:
        raise refuse(f"{what} that is no literal")
    return value.text


def _number(value: Typed, what: str) -> int:
    found = re.fullmatch(r"(?:CAST\((\d+) AS \w+\)|\(- CAST\((\d+) AS \w+\)\))", value.sql)
    if not found:
        raise refuse(f"{what} that is no literal")
    return int(found[1]) if found[1] else -int(found[2])


# Conditions


@_has("coalesce nvl", 1, _MANY)
def _coalesce(*values: Typed) -> Typed:
    unified, kind = unify(list(values))
    return Typed(f"coalesce({', '.join(v.sql for v in unified)})", kind)


@_has("nvl2", 3)
def _nvl2(test: Typed, there: Typed, missing: Typed) -> Typed:
    (there, missing), kind = unify([there, missing])
    return Typed(f"CASE WHEN {test.sql} IS NOT NULL THEN {there.sql} ELSE {missing.sql} END", kind)


@_has("nullif", 2)
def _nullif(a: Typed, b: Typed) -> Typed:
    x, y = compared(a, b, "=")
    kind = varchar() if a.type.name == "unknown" else a.type
    return Typed(f"CASE WHEN {x} = {y} THEN NULL ELSE {a.sql} END", kind)


@_has("decode", 3, _MANY)
def _decode(value: Typed, *rest: Typed) -> Typed:
    """Unlike CASE, DECODE finds a NULL equal to a NULL: https://docs.aws.amazon.com/redshift/latest/dg/r_DECODE_expression.html"""
    pairs, default = (
        list(zip(rest[::2], rest[1::2], strict=False)),
        rest[-1] if len(rest) % 2 else NULL,
    )
    results, kind = unify([r for _, r in pairs] + [default])
    whens = []
    for (search, _), result in zip(pairs, results, strict=False):
        x, y = compared(value, search, "=")
        whens.append(f"WHEN {x} IS NOT DISTINCT FROM {y} THEN {result.sql}")
    return Typed(f"CASE {' '.join(whens)} ELSE {results[-1].sql} END", kind)


def _greatest(function: str) -> Function:
    def make(*values: Typed) -> Typed:
        unified, kind = unify(list(values))
        return Typed(f"{function}({', '.join(v.sql for v in unified)})", kind)

    return make


FUNCTIONS["greatest"] = (_greatest("greatest"), 1, _MANY)
FUNCTIONS["least"] = (_greatest("least"), 1, _MANY)


# Numbers


def _need_number(value: Typed) -> Typed:
    if value.type.name == "unknown":
        return cast(value, FLOAT8)
    if not value.type.is_number:
        raise SqlError(f"function does not exist for {value.type}")
    return value


@_has("abs", 1)
def _abs(x: Typed) -> Typed:
    x = _need_number(x)
    return Typed(f"CAST(abs({x.sql}) AS {x.type.engine})", x.type)


@_has("sign", 1)
def _sign(x: Typed) -> Typed:
    """A DECIMAL's is a NUMERIC(1,0): https://docs.aws.amazon.com/redshift/latest/dg/r_SIGN.html"""
    x = _need_number(x)
    kind = numeric(1, 0) if x.type.name == "numeric" else x.type
    return Typed(f"CAST(sign({x.sql}) AS {kind.engine})", kind)


def _to_whole(function: str) -> Function:
    def make(x: Typed) -> Typed:
        x = _need_number(x)
        if x.type.is_integer:
            return x
        kind = FLOAT8 if x.type.is_float else numeric(min(x.type.precision - x.type.scale + 1, 38), 0)
        return Typed(f"CAST({function}({x.sql}) AS {kind.engine})", kind)

    return make


FUNCTIONS["ceil"] = FUNCTIONS["ceiling"] = (_to_whole("ceil"), 1, 1)
FUNCTIONS["floor"] = (_to_whole("floor"), 1, 1)


@_has("round", 1, 2)
def _round(x: Typed, places: Typed | None = None) -> Typed:
    x = _need_number(x)
    digits = _number(places, "ROUND with a number of places") if places else 0
    if x.type.is_float:
        return Typed(f"rs_round(CAST({x.sql} AS DOUBLE), {digits})", FLOAT8)
    kind = x.type.as_numeric()
    if x.type.is_integer:  # "returns the same numeric data type as the input"
        return Typed(f"CAST(round(CAST({x.sql} AS {kind.engine}), {min(digits, 0)}) AS {x.type.engine})", x.type)
    scale = max(min(digits, kind.scale), 0)
    to = numeric(min(kind.precision - kind.scale + scale + 1, 38), scale)
    return Typed(f"CAST(round(CAST({x.sql} AS {kind.engine}), {digits}) AS {to.engine})", to)


@_has("trunc", 1, 2)
def _trunc(x: Typed, places: Typed | None = None) -> Typed:
    if x.type.is_time:
        return cast(x, DATE)
    x = _need_number(x)
    digits = _number(places, "TRUNC with a number of places") if places else 0
    if x.type.is_float:
        if digits:
            raise refuse("TRUNC of a floating-point number to a number of places")
        return Typed(f"trunc({x.sql})", FLOAT8)
    if x.type.is_integer:
        unit = 10 ** -min(digits, 0)
        return Typed(f"CAST(CAST({x.sql} AS HUGEINT) // {unit} * {unit} AS {x.type.engine})", x.type)
    return cut(Typed(x.sql, x.type.as_numeric(), x.const), digits)


@_has("mod", 2)
def _mod(a: Typed, b: Typed) -> Typed:
    return arithmetic("%", a, b)


def _double(function: str) -> Function:
    def make(*values: Typed) -> Typed:
        return Typed(f"rs_finite({function}({', '.join(cast(_need_number(v), FLOAT8).sql for v in values)}))", FLOAT8)

    return make


for _name, _duck, _count in (
    ("sqrt", "sqrt", 1), ("exp", "exp", 1), ("ln", "ln", 1), ("log", "log10", 1), ("power", "pow", 2),
    ("pow", "pow", 2), ("pi", "pi", 0), ("random", "random", 0),
):  # fmt: skip
    FUNCTIONS[_name] = (_double(_duck), _count, _count)


@_has("to_number", 2)
def _to_number(text: Typed, pattern: Typed) -> Typed:
    """Formats of 9, 0, a point and commas: https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_formating.html"""
    wanted = constant(pattern, "TO_NUMBER with a format").upper().replace("D", ".").replace("G", ",")
    if not re.fullmatch(r"[90,]+(\.[90]*)?", wanted):
        raise refuse(f"the format {pattern.text!r} of TO_NUMBER")
    whole, _, fraction = wanted.partition(".")
    kind = numeric(len(whole.replace(",", "")) + len(fraction), len(fraction))
    return cast(Typed(f"replace({as_text(text).sql}, ',', '')", varchar(), text.const), kind)


# Strings


def _text_function(names: str, duck: str, least: int, kind: Type | None = None) -> None:
    def make(*values: Typed) -> Typed:
        texts = ", ".join(as_text(v).sql for v in values)
        return Typed(f"CAST({duck}({texts}) AS {(kind or varchar()).engine})", kind or varchar())

    for one in names.split():
        FUNCTIONS[one] = (make, least, least)


_text_function("lower", "lower", 1)
_text_function("upper", "upper", 1)
_text_function("reverse", "reverse", 1)
_text_function("len length char_length character_length textlen", "length", 1, INT4)
_text_function("ascii", "ascii", 1, INT4)
_text_function("strpos", "strpos", 2, INT4)
_text_function("replace", "replace", 3)
_text_function("translate", "translate", 3)
_text_function("md5", "md5", 1)


@_has("octet_length", 1)
def _octet_length(text: Typed) -> Typed:
    """Of a CHAR its whole length: https://docs.aws.amazon.com/redshift/latest/dg/r_OCTET_LENGTH.html"""
    x = as_text(text).sql
    if text.type.name == "bpchar":
        return Typed(f"CASE WHEN {x} IS NOT NULL THEN {text.type.length} END", INT4)
    return Typed(f"CAST(strlen({x}) AS INTEGER)", INT4)


@_has("charindex", 2)
def _charindex(part: Typed, text: Typed) -> Typed:
    return Typed(f"CAST(strpos({as_text(text).sql}, {as_text(part).sql}) AS INTEGER)", INT4)


@_has("concat", 2)
def _concat(a: Typed, b: Typed) -> Typed:
    """With a NULL the result is NULL: https://docs.aws.amazon.com/redshift/latest/dg/r_CONCAT.html"""
    return Typed(f"({as_text(a).sql} || {as_text(b).sql})", varchar())


def _trimmed(function: str) -> Function:
    def make(text: Typed, characters: Typed | None = None) -> Typed:
        which = as_text(characters).sql if characters else "' '"
        return Typed(f"{function}({as_text(text).sql}, {which})", varchar())

    return make


for _name, _duck in (("btrim", "trim"), ("trim", "trim"), ("ltrim", "ltrim"), ("rtrim", "rtrim")):
    FUNCTIONS[_name] = (_trimmed(_duck), 1, 2)


@_has("substring substr", 2, 3)
def _substring(text: Typed, start: Typed, count: Typed | None = None) -> Typed:
    """A start at 0 or before the text shortens the result: https://docs.aws.amazon.com/redshift/latest/dg/r_SUBSTRING.html"""
    x, s = as_text(text).sql, cast(start, INT4).sql
    if count is None:
        return Typed(f"substr({x}, rs_not_below({s}, 1))", varchar())
    n = f"rs_at_least({cast(count, INT4).sql}, 0, 'negative substring length not allowed')"
    return Typed(f"substr({x}, rs_not_below({s}, 1), rs_not_below({n} + least({s} - 1, 0), 0))", varchar())


def _side(function: str) -> Function:
    def make(text: Typed, count: Typed) -> Typed:
        refused = quote(f"The local warehouse does not have {function.upper()} with a negative length.")
        n = f"rs_at_least({cast(count, INT4).sql}, 0, {refused})"
        return Typed(f"{function}({as_text(text).sql}, {n})", varchar())

    return make


FUNCTIONS["left"], FUNCTIONS["right"] = (_side("left"), 2, 2), (_side("right"), 2, 2)


def _bounded(count: Typed) -> str:
    refused = quote(f"The local warehouse does not have texts of more than {MAX_VARCHAR} bytes.")
    return f"rs_at_most({cast(count, INT4).sql}, {MAX_VARCHAR}, {refused})"


def _padded(function: str) -> Function:
    def make(text: Typed, count: Typed, fill: Typed | None = None) -> Typed:
        by = as_text(fill).sql if fill else "' '"
        return Typed(f"{function}({as_text(text).sql}, rs_not_below({_bounded(count)}, 0), {by})", varchar())

    return make


FUNCTIONS["lpad"], FUNCTIONS["rpad"] = (_padded("lpad"), 2, 3), (_padded("rpad"), 2, 3)


@_has("repeat replicate", 2)
def _repeat(text: Typed, count: Typed) -> Typed:
    refused = quote(f"The local warehouse does not have texts of more than {MAX_VARCHAR} bytes.")
    x, n = as_text(text).sql, cast(count, INT4).sql
    size = f"greatest(strlen({x}), 1) * CAST({n} AS BIGINT)"
    return Typed(f"repeat({x}, CASE WHEN {size} > {MAX_VARCHAR} THEN error({refused}) ELSE {n} END)", varchar())


@_has("chr", 1)
def _chr(code: Typed) -> Typed:
    return Typed(f"chr({cast(code, INT4).sql})", varchar(4))


@_has("split_part", 3)
def _split_part(text: Typed, delimiter: Typed, position: Typed) -> Typed:
    n = f"rs_at_least({cast(position, INT4).sql}, 1, 'field position must be greater than zero')"
    empty = quote(str(refuse("SPLIT_PART with an empty delimiter")))
    by = f"CASE {as_text(delimiter).sql} WHEN '' THEN error({empty}) ELSE {as_text(delimiter).sql} END"
    return Typed(f"split_part({as_text(text).sql}, {by}, {n})", varchar())


def pattern(value: Typed, found: bool = False) -> str:
    """A POSIX pattern that means the same in RE2; `found`: also which part of the text it finds."""
    text = constant(value, "a regular expression")
    if found and re.search(r"\||[*+?}]\?", text):  # POSIX takes the longest of several, RE2 the first
        raise refuse(f"the regular expression {text!r} here: its alternatives may be of several lengths")
    if re.search(
        r"\(\?|\\[1-9]|\[\[[:.=](?!(?:alpha|digit|alnum|upper|lower|space|punct|xdigit|blank):\])|\\[mMyYAZ<>]", text
    ):
        raise refuse(f"the regular expression {text!r}")
    return quote(text)


@_has("regexp_replace", 2, 3)
def _regexp_replace(text: Typed, wanted: Typed, by: Typed | None = None) -> Typed:
    new = constant(by, "REGEXP_REPLACE with a replacement") if by else ""
    if "$" in new or "\\" in new:
        raise refuse("REGEXP_REPLACE with references in the replacement")
    return Typed(f"regexp_replace({as_text(text).sql}, {pattern(wanted, True)}, {quote(new)}, 'gs')", varchar())


@_has("regexp_substr", 2)
def _regexp_substr(text: Typed, wanted: Typed) -> Typed:
    return Typed(f"regexp_extract({as_text(text).sql}, {pattern(wanted, True)}, 0, 's')", varchar())


@_has("regexp_count", 2)
def _regexp_count(text: Typed, wanted: Typed) -> Typed:
    return Typed(
        f"CAST(len(regexp_extract_all({as_text(text).sql}, {pattern(wanted, True)}, 0, 's')) AS INTEGER)", INT4
    )


# JSON


@_has("json_extract_path_text", 2, 7)
def _json_path(text: Typed, *steps: Typed) -> Typed:
    """NULL for a path that is not there: https://docs.aws.amazon.com/redshift/latest/dg/JSON_EXTRACT_PATH_TEXT.html"""
    path = quote("$" + "".join('."' + constant(s, "a JSON path").replace('"', '\\"') + '"' for s in steps))
    x = f"rs_json({as_text(text).sql})"
    return Typed(f"rs_found({x}, json_extract_string({x}, {path}), json_type({x}, {path}))", varchar())


@_has("json_extract_array_element_text", 2)
def _json_element(text: Typed, position: Typed) -> Typed:
    """NULL for a position that is negative or not there: https://docs.aws.amazon.com/redshift/latest/dg/JSON_EXTRACT_ARRAY_ELEMENT_TEXT.html"""
    at, x = _number(position, "a JSON position"), f"rs_json({as_text(text).sql})"
    path = quote(f"$[{max(at, 0)}]")
    found = f"rs_found({x}, json_extract_string({x}, {path}), json_type({x}, {path}))"
    return Typed(f"CASE WHEN {at} >= 0 THEN {found} END", varchar())


@_has("json_array_length", 1)
def _json_length(text: Typed) -> Typed:
    x = f"rs_json({as_text(text).sql})"
    wrong = "error('invalid json array object')"
    known = f"WHEN json_type({x}) = 'ARRAY' THEN json_array_length({x}) WHEN {x} IS NULL THEN NULL"
    return Typed(f"CAST(CASE {known} ELSE {wrong} END AS INTEGER)", INT4)


def _valid(kind: str) -> Function:
    def make(text: Typed) -> Typed:
        x = as_text(text).sql
        return Typed(f"CASE WHEN rs_is_json({x}) THEN json_type({x}) = '{kind}' ELSE {x} IS NULL AND NULL END", BOOL)

    return make


FUNCTIONS["is_valid_json"] = (_valid("OBJECT"), 1, 1)
FUNCTIONS["is_valid_json_array"] = (_valid("ARRAY"), 1, 1)


# Dates. https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html

_PARTS = {
    name: part
    for part, names in {
        "millennium": "millennium millennia mil mils", "century": "century centuries c cent cents",
        "decade": "decade decades dec decs", "year": "year years y yr yrs", "quarter": "quarter quarters qtr qtrs",
        "month": "month months mon mons", "week": "week weeks w",
        "dow": "dayofweek dow dw weekday", "doy": "dayofyear doy dy yearday", "day": "day days d",
        "hour": "hour hours h hr hrs", "minute": "minute minutes m min mins", "second": "second seconds s sec secs",
        "millisecond": "millisecond milliseconds ms msec msecs msecond mseconds millisec millisecs millisecon",
        "microsecond": "microsecond microseconds us microsec microsecs microsecond usecond useconds usec usecs",
        "epoch": "epoch",
    }.items()
    for name in names.split()
}  # fmt: skip
_SPANS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond")


def date_part(name: str, allowed: tuple[str, ...]) -> str:
    part = _PARTS.get(name.lower())
    if part is None:
        raise SqlError(f'timestamp units "{name}" not recognized')
    if part not in allowed:
        raise refuse(f"the date part {name} here")
    return part


def part_function(name: str, part: str, arguments: list[Typed]) -> Typed:
    """DATEADD, DATEDIFF, DATE_PART, EXTRACT, DATE_TRUNC: functions whose first argument is a word."""
    const = all(a.const for a in arguments)
    if name in ("dateadd", "date_add"):
        unit = date_part(part, _SPANS)
        count, moment = cast(arguments[0], INT8).sql, as_moment(arguments[1])
        if arguments[1].type.name == "timestamptz":
            raise refuse("DATEADD of a TIMESTAMPTZ")
        if unit == "year":  # 29 February and a year is 1 March; and twelve months are 28 February, as AWS's page shows
            x, y = moment.sql, f"(year({moment.sql}) + {count})"
            leap = f"(month({x}) = 2 AND day({x}) = 29 AND day(last_day(make_date({y}, 2, 1))) = 28)"
            days = f"to_days(CASE WHEN {leap} THEN 1 ELSE 0 END)"
            return Typed(f"({x} + to_years(CAST({count} AS INTEGER)) + {days})", TIMESTAMP, const)
        if unit == "quarter":
            count, unit = f"({count} * 3)", "month"
        cut_to = "BIGINT" if unit not in ("month", "week", "day") else "INTEGER"
        return Typed(f"({moment.sql} + to_{unit}s(CAST({count} AS {cut_to})))", TIMESTAMP, const)
    if name in ("datediff", "date_diff"):
        unit = date_part(part, _SPANS)
        a, b = (as_moment(v) for v in arguments)
        if unit == "week":
            return Typed(f"rs_weeks({a.sql}, {b.sql})", INT8, const)
        return Typed(f"date_diff('{unit}', {a.sql}, {b.sql})", INT8, const)
    if name == "date_trunc":
        unit = date_part(part, (*_SPANS, "decade", "century", "millennium"))
        if arguments[0].type.name == "timestamptz":
            raise refuse("DATE_TRUNC of a TIMESTAMPTZ")
        x = as_moment(arguments[0]).sql
        if unit in ("century", "millennium"):  # they begin with the years 1901 and 2001
            return Typed(f"(date_trunc('{unit}', {x} - to_years(1)) + to_years(1))", TIMESTAMP, const)
        return Typed(f"CAST(date_trunc('{unit}', {x}) AS TIMESTAMP)", TIMESTAMP, const)
    unit = date_part(
        part, ("year", "quarter", "month", "week", "dow", "doy", "day", "hour", "minute", "second", "epoch")
    )
    if arguments[0].type.name == "timestamptz":
        raise refuse(f"{name.upper()} of a TIMESTAMPTZ")
    x = as_moment(arguments[0]).sql
    if name == "date_part":  # of seconds, it "returns the complete seconds portion", with its fraction
        found = f"date_part('microsecond', {x}) / 1000000" if unit == "second" else f"date_part('{unit}', {x})"
        return Typed(f"CAST({found} AS DOUBLE)", FLOAT8, const)
    kind = INT8 if unit == "epoch" else INT4
    return Typed(f"CAST(floor(date_part('{unit}', {x})) AS {kind.engine})", kind, const)


NOW = "CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP)"  # when the transaction began
STATEMENT = "rs_statement"  # the session's variable for when its statement began


@_has("getdate", 0)
def _getdate() -> Typed:
    """When the statement began, in whole seconds: https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html"""
    return Typed(f"date_trunc('second', CAST(getvariable('{STATEMENT}') AS TIMESTAMP))", TIMESTAMP)


@_has("sysdate", 0)
def _sysdate() -> Typed:
    return Typed(NOW, TIMESTAMP)


@_has("last_day", 1)
def _last_day(moment: Typed) -> Typed:
    return Typed(f"last_day({as_moment(moment, DATE).sql})", DATE)


@_has("add_months", 2)
def _add_months(moment: Typed, count: Typed) -> Typed:
    """The last day of a month stays one: https://docs.aws.amazon.com/redshift/latest/dg/r_ADD_MONTHS.html"""
    x, n = as_moment(moment).sql, f"to_months({cast(count, INT4).sql})"
    last = f"CAST(last_day(CAST({x} + {n} AS DATE)) AS TIMESTAMP) + ({x} - date_trunc('day', {x}))"
    return Typed(f"CASE WHEN last_day({x}) = CAST({x} AS DATE) THEN {last} ELSE {x} + {n} END", TIMESTAMP)


@_has("convert_timezone", 2, 3)
def _convert_timezone(*values: Typed) -> Typed:
    """https://docs.aws.amazon.com/redshift/latest/dg/CONVERT_TIMEZONE.html"""
    zones = ["UTC", *(constant(v, "CONVERT_TIMEZONE with a zone") for v in values[:-1])][-2:]
    if not all(re.fullmatch(r"UTC|[A-Z]\w+/[A-Za-z_/]+", z) for z in zones):
        raise refuse("CONVERT_TIMEZONE with other than zones' full names")
    if values[-1].type.name == "timestamptz":
        raise refuse("CONVERT_TIMEZONE of a TIMESTAMPTZ")
    x = as_moment(values[-1]).sql
    return Typed(f"(({x} AT TIME ZONE {quote(zones[0])}) AT TIME ZONE {quote(zones[1])})", TIMESTAMP)


# Formats of dates: https://docs.aws.amazon.com/redshift/latest/dg/r_FORMAT_strings.html
_TOKENS = re.compile(
    r'"[^"]*"|FM|YYYY|YY|MONTH|Month|month|MON|Mon|mon|MM|DDD|DD|DAY|Day|day|DY|Dy|dy|HH24|HH12|HH|MI|SSSSS?|SS|MS|US|AM|PM|am|pm|'
    r"Q|[A-Za-z]+|[^A-Za-z\"]+"
)
_OUT = {
    "YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d", "DDD": "%j", "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M",
    "SS": "%S", "MS": "%g", "US": "%f", "AM": "%p", "PM": "%p", "Mon": "%b", "Dy": "%a",
}  # fmt: skip
_NAMES = {"MON": ("upper", "%b"), "mon": ("lower", "%b"), "DY": ("upper", "%a"), "dy": ("lower", "%a"),
          "am": ("lower", "%p"), "pm": ("lower", "%p")}  # fmt: skip
_FULL = {"MONTH": ("upper", "%B"), "Month": ("", "%B"), "month": ("lower", "%B"), "DAY": ("upper", "%A"),
         "Day": ("", "%A"), "day": ("lower", "%A")}  # fmt: skip


@_has("to_char", 2)
def _to_char(value: Typed, wanted: Typed) -> Typed:
    """Names of months and days are padded to nine characters: https://docs.aws.amazon.com/redshift/latest/dg/r_TO_CHAR.html"""
    if value.type.is_number:
        raise refuse("TO_CHAR of numbers")
    if value.type.name not in ("date", "timestamp"):
        raise SqlError("function to_char needs a date, a timestamp or a number")
    text, x = constant(wanted, "TO_CHAR with a format"), as_moment(value).sql
    parts, fill = [], True
    for token in _TOKENS.findall(text):
        if token == "FM":
            fill = False
        elif token.startswith('"'):
            parts.append(quote(token[1:-1]))
        elif token in _OUT:
            if not fill:
                raise refuse("the modifier FM with numbers in TO_CHAR")
            parts.append(f"strftime({x}, '{_OUT[token]}')")
        elif token in _NAMES:
            parts.append(f"{_NAMES[token][0]}(strftime({x}, '{_NAMES[token][1]}'))")
        elif token in _FULL:
            found = f"{_FULL[token][0]}(strftime({x}, '{_FULL[token][1]}'))"
            parts.append(f"rpad({found}, 9, ' ')" if fill else found)
            fill = True
        elif token == "Q":
            parts.append(f"CAST(quarter({x}) AS VARCHAR)")
        elif token[0].isalpha():
            raise refuse(f"{token!r} in a format of TO_CHAR")
        else:
            parts.append(quote(token))
    return Typed(f"({' || '.join(parts) or quote('')})", varchar())


_IN = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "HH": "%I", "HH12": "%I", "MI": "%M", "SS": "%S", "AM": "%p",
       "PM": "%p", "MON": "%b", "Mon": "%b", "mon": "%b", "MONTH": "%B", "Month": "%B"}  # fmt: skip


def _read(text: Typed, wanted: Typed, name: str) -> str:
    made = ""
    for token in _TOKENS.findall(constant(wanted, f"{name} with a format")):
        if token not in _IN and token[0].isalpha():
            raise refuse(f"{token!r} in a format of {name}")
        made += _IN.get(token, token.replace("%", "%%"))
    x = as_text(text).sql
    why = f"error('The local warehouse does not read ' || {x} || {quote(f' by the format of {name}.')})"
    return f"CASE WHEN {x} IS NULL THEN NULL ELSE coalesce(try_strptime({x}, {quote(made)}), {why}) END"


@_has("to_date", 2)
def _to_date(text: Typed, wanted: Typed) -> Typed:
    return Typed(f"CAST({_read(text, wanted, 'TO_DATE')} AS DATE)", DATE)


@_has("to_timestamp", 2)
def _to_timestamp(text: Typed, wanted: Typed) -> Typed:
    return Typed(f"CAST({_read(text, wanted, 'TO_TIMESTAMP')} AS TIMESTAMPTZ)", TIMESTAMPTZ)


# Aggregates. `over` is "" or the window that each aggregate in them gets.

AGGREGATES = (
    "count sum avg min max median listagg stddev stddev_samp stddev_pop variance var_samp var_pop bool_and bool_or "
    "any_value percentile_cont"
).split()


def _no_function(name: str, arguments: list[Typed]) -> SqlError:
    return SqlError(f"function {name}({', '.join(str(a.type).partition('(')[0] for a in arguments)}) does not exist")


def aggregate(name: str, arguments: list[Typed], distinct: bool, over: str, order: list[str]) -> Typed:
    """https://docs.aws.amazon.com/redshift/latest/dg/c_Aggregate_Functions.html"""
    unique = "DISTINCT " if distinct else ""
    if name == "count" and len(arguments) < 2:
        if not arguments:
            return Typed(f"count(*){over}", INT8)
        return Typed(f"count({unique}{bare(arguments[0])}){over}", INT8)
    if not arguments or len(arguments) > (2 if name == "listagg" else 1):
        raise _no_function(name, arguments)
    x = arguments[0]
    if name in ("min", "max", "any_value"):
        if x.type.name == "bool" and name != "any_value":
            raise _no_function(name, arguments)
        if x.type.name == "unknown":
            x = cast(x, varchar())
        return Typed(f"{name}({x.sql}){over}", x.type)
    if name in ("bool_and", "bool_or"):
        return Typed(f"{name}({x.sql}){over}", BOOL)
    if name == "listagg":
        return _listagg(arguments, distinct, over, order)
    x = _need_number(x) if not (name == "median" and x.type.is_time) else x
    if name == "sum":
        kind = INT8 if x.type.is_integer else FLOAT8 if x.type.is_float else numeric(38, x.type.scale)
        return Typed(f"CAST(sum({unique}{x.sql}){over} AS {kind.engine})", kind)
    if name == "avg":
        total, count = f"sum({unique}{x.sql}){over}", f"nullif(count({unique}{x.sql}){over}, 0)"
        if x.type.is_float:
            return Typed(f"avg({unique}{x.sql}){over}", FLOAT8)
        if x.type.is_integer:  # "BIGINT for any integer type argument"
            return Typed(f"CAST(CAST({total} AS HUGEINT) // {count} AS BIGINT)", INT8)
        kind = numeric(38, x.type.scale)  # the argument's scale; digits beyond it are cut, as in a division
        return Typed(shifted(f"({units(Typed(total, kind))} // {count})", kind), kind)
    if name == "median":
        if distinct:
            raise refuse("MEDIAN with DISTINCT")
        return _median(x, over)
    if name == "percentile_cont":
        raise refuse("PERCENTILE_CONT: use MEDIAN")
    full = {"stddev": "stddev_samp", "variance": "var_samp"}.get(name, name)
    return Typed(f"{full}({unique}CAST({x.sql} AS DOUBLE)){over}", FLOAT8)


def _listagg(arguments: list[Typed], distinct: bool, over: str, order: list[str]) -> Typed:
    """NULLs and empty strings are left out: https://docs.aws.amazon.com/redshift/latest/dg/r_LISTAGG.html"""
    if over:
        raise refuse("LISTAGG as a window function")
    x = f"nullif({as_text(arguments[0]).sql}, '')"
    separator = quote(constant(arguments[1], "LISTAGG with a delimiter")) if len(arguments) > 1 else "''"
    if distinct:
        x = f"nullif({bare(as_text(arguments[0]))}, '')"
        if order and [o.rpartition(" NULLS ")[0].rpartition(" ")[0] for o in order] != [bare(arguments[0])]:
            raise refuse("LISTAGG(DISTINCT …) in another order than its own")
        down = " DESC" if order and " DESC" in order[0] else ""
        order = [x + down] if order else []
    sort = f" ORDER BY {', '.join(order)}" if order else ""
    made = f"string_agg({'DISTINCT ' if distinct else ''}{x}, {separator}{sort})"
    limit = f"CASE WHEN strlen({made}) > {MAX_VARCHAR} THEN error('Result size exceeds LISTAGG limit') ELSE {made} END"
    return Typed(limit, varchar())


def _median(x: Typed, over: str) -> Typed:
    """The middle, or what lies between the two in the middle: exactly, also of a DECIMAL."""
    if x.type.is_float:
        return Typed(f"median({x.sql}){over}", FLOAT8)
    if x.type.is_time:
        raise refuse("MEDIAN of dates")
    if over:
        raise refuse("MEDIAN of integers and DECIMAL as a window function")
    kind = x.type.as_numeric()
    to = numeric(min(kind.precision + 1, 38), kind.scale + 1)
    values = f"list(CAST({x.sql} AS {kind.engine}) ORDER BY {x.sql}) FILTER (WHERE {x.sql} IS NOT NULL)"
    count = f"count({x.sql})"
    pair = f"(({values})[({count} + 1) // 2] + ({values})[({count} + 2) // 2])"
    return Typed(f"CAST({pair} * CAST(0.5 AS DECIMAL(1,1)) AS {to.engine})", to)


WINDOWS = (
    "row_number rank dense_rank ntile lag lead first_value last_value nth_value percent_rank cume_dist ratio_to_report"
).split()


_OF_ONE = ("ntile", "first_value", "last_value", "ratio_to_report")


def window(name: str, arguments: list[Typed], nulls: str, over: str) -> Typed:
    """https://docs.aws.amazon.com/redshift/latest/dg/c_Window_functions.html"""
    if len(arguments) > {"lag": 3, "lead": 3, "nth_value": 2}.get(name, int(name in _OF_ONE)):
        raise _no_function(name, arguments)
    if name in ("row_number", "rank", "dense_rank"):
        return Typed(f"{name}(){over}", INT8)
    if name == "ntile":
        return Typed(f"ntile({cast(arguments[0], INT8).sql}){over}", INT8)
    if name in ("percent_rank", "cume_dist"):
        return Typed(f"{name}(){over}", FLOAT8)
    if not arguments:
        raise SqlError(f"function {name}() does not exist")
    x = cast(arguments[0], varchar()) if arguments[0].type.name == "unknown" else arguments[0]
    if name == "ratio_to_report":
        y = f"CAST({_need_number(x).sql} AS DOUBLE)"
        return Typed(f"({y} / nullif(sum({y}){over}, 0))", FLOAT8)
    rest = "".join(f", {cast(a, INT4).sql}" for a in arguments[1:2])
    if len(arguments) > 2:
        raise refuse(f"{name.upper()} with a default")
    return Typed(f"{name}({x.sql}{rest}{nulls}){over}", x.type)
