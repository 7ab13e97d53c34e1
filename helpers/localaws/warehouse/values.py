"""Values with their Redshift types: conversions and arithmetic, as the DuckDB SQL that computes what Redshift would.

https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
https://docs.aws.amazon.com/redshift/latest/dg/r_Type_conversion.html
Where AWS documents no answer and answers could differ, the statement fails instead, when such a value comes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .sqltypes import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT4,
    INT8,
    MAX_VARCHAR,
    TIMESTAMP,
    UNKNOWN,
    SqlError,
    Type,
    numeric,
    refuse,
    varchar,
)  # fmt: skip

# Conversions and checks that are too long to be written out each time.
MACROS = r"""
CREATE OR REPLACE MACRO rs_bare(x) AS CASE WHEN ends_with(x, ' ') THEN rtrim(x, ' ') ELSE x END;
CREATE OR REPLACE MACRO rs_cut(x, n) AS CASE WHEN strlen(x) <= n THEN x WHEN strlen(x) = length(x) THEN left(x, n)
    ELSE [left(x, i) for i in range(least(n, length(x))::BIGINT, -1, -1) if strlen(left(x, i)) <= n][1] END;
CREATE OR REPLACE MACRO rs_fit(x, n, kind) AS CASE WHEN x IS NULL OR strlen(x) <= n THEN x
    WHEN strlen(rtrim(x, ' ')) <= n THEN rs_cut(x, n)
    ELSE error('value too long for type ' || kind || '(' || n || ')') END;
CREATE OR REPLACE MACRO rs_single(x) AS CASE WHEN strlen(x) <> length(x) THEN error('Multibyte character not supported '
    || 'for CHAR (Hint: Try using VARCHAR).') ELSE x END;
CREATE OR REPLACE MACRO rs_digit(x, good, kind) AS error('Invalid digit, Value ''' || substr(x,
    length(regexp_extract(x, good)) + 1, 1) || ''', Pos ' || length(regexp_extract(x, good)) || ', Type: ' || kind);
CREATE OR REPLACE MACRO rs_undecided(x, what) AS error('The local warehouse does not decide how Redshift converts '
    || x || ' to ' || what || ': use ROUND, TRUNC or FLOOR first.');
CREATE OR REPLACE MACRO rs_integer(x, kind) AS CASE WHEN x IS NULL OR regexp_full_match(trim(x, ' '), '[+-]?\d+')
    THEN CAST(trim(x, ' ') AS HUGEINT) ELSE rs_digit(x, '^[+-]?\d*', kind) END;
CREATE OR REPLACE MACRO rs_plain(x, fits, what) AS CASE WHEN x IS NULL OR regexp_full_match(trim(x, ' '), fits)
    THEN trim(x, ' ') WHEN regexp_full_match(trim(x, ' '), '[+-]?(\d+(\.\d*)?|\.\d+)') THEN rs_undecided(x, what)
    ELSE rs_digit(x, '^[+-]?[\d.]*', 'Decimal') END;
CREATE OR REPLACE MACRO rs_real(x) AS CASE WHEN x IS NULL OR
    regexp_full_match(trim(x, ' '), '[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?') THEN CAST(trim(x, ' ') AS DOUBLE)
    ELSE error('invalid input syntax for type double precision: "' || x || '"') END;
CREATE OR REPLACE MACRO rs_boolean(x) AS CASE WHEN lower(trim(x, ' ')) IN ('t', 'true', 'y', 'yes', '1') THEN true
    WHEN lower(trim(x, ' ')) IN ('f', 'false', 'n', 'no', '0') THEN false
    WHEN x IS NULL THEN NULL ELSE error('invalid input syntax for type boolean: "' || x || '"') END;
CREATE OR REPLACE MACRO rs_moment(x) AS CASE WHEN x IS NULL THEN NULL
    WHEN regexp_full_match(trim(x, ' '), '\d{4}-\d{2}-\d{2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?')
        THEN CAST(trim(x, ' ') AS TIMESTAMP)
    WHEN regexp_full_match(trim(x, ' '), '\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|\+00(:00)?)')
        THEN CAST(regexp_extract(x, '\d[^Z+]*') AS TIMESTAMP)
    WHEN regexp_full_match(trim(x, ' '), '\d{8}') THEN strptime(trim(x, ' '), '%Y%m%d')
    WHEN regexp_full_match(trim(x, ' '), '\d{4}/\d{1,2}/\d{1,2}') THEN strptime(trim(x, ' '), '%Y/%m/%d')
    WHEN regexp_full_match(trim(x, ' '), '\d{1,2}[/-]\d{1,2}[/-]\d{4}( \d{1,2}:\d{2}(:\d{2})?)?') THEN
        strptime(replace(trim(x, ' '), '-', '/'), ['%m/%d/%Y', '%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S'])
    ELSE error('invalid input syntax for type timestamp: "' || x || '"') END;
CREATE OR REPLACE MACRO rs_exact(x, counted, what) AS CASE WHEN counted = trunc(counted) OR x IS NULL THEN x
    ELSE rs_undecided(x, what) END;
CREATE OR REPLACE MACRO rs_whole(x, what) AS rs_exact(x, x, what);
CREATE OR REPLACE MACRO rs_divide(a, b) AS CASE WHEN b = 0 THEN error('Divide by zero error') ELSE a // b END;
CREATE OR REPLACE MACRO rs_finite(x) AS CASE WHEN isfinite(x) OR x IS NULL THEN x
    ELSE error('value out of range: overflow') END;
CREATE OR REPLACE MACRO rs_fraction(a, b) AS CASE WHEN b = 0 THEN error('Divide by zero error')
    ELSE rs_finite(a / b) END;
CREATE OR REPLACE MACRO rs_round(x, n) AS CASE WHEN abs(x * pow(10, n)) % 1 = 0.5 THEN error('The local warehouse '
    || 'does not decide to which side Redshift rounds a floating-point half: make it DECIMAL.') ELSE round(x, n) END;
CREATE OR REPLACE MACRO rs_since(x, first) AS date_diff('day', first, date_trunc('day', x)) // 7;
CREATE OR REPLACE MACRO rs_weeks(a, b) AS CASE WHEN rs_since(b, TIMESTAMP '0001-01-01') - rs_since(a, TIMESTAMP
    '0001-01-01') = rs_since(b, TIMESTAMP '0000-12-31') - rs_since(a, TIMESTAMP '0000-12-31')
    THEN rs_since(b, TIMESTAMP '0001-01-01') - rs_since(a, TIMESTAMP '0001-01-01')
    WHEN a IS NULL OR b IS NULL THEN NULL
    ELSE error('The local warehouse does not decide whether Redshift''s week begins on Sunday or on Monday here: '
    || 'use DATE_TRUNC, whose weeks begin on Mondays.') END;
CREATE OR REPLACE MACRO rs_is_json(x) AS json_valid(x) AND NOT regexp_matches(regexp_replace(x, '"(\\.|[^"\\])*"', '""',
    'g'), ',\s*[}\]]|/|(?i:nan|inf)');
CREATE OR REPLACE MACRO rs_json(x) AS CASE WHEN x IS NULL OR rs_is_json(x) THEN x ELSE error('JSON parsing error') END;
CREATE OR REPLACE MACRO rs_found(x, v, kind) AS CASE WHEN v IS NULL OR contains(x, v)
    AND NOT (kind = 'DOUBLE' AND regexp_matches(x, '\.\d*0([^\d]|$)|\d[eE]')) THEN v
    ELSE error('The local warehouse does not decide how Redshift writes this value of a JSON text.') END;
CREATE OR REPLACE MACRO rs_not_below(n, least) AS CASE WHEN n < least THEN least ELSE n END;
CREATE OR REPLACE MACRO rs_ascii_lower(x) AS translate(x, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');
CREATE OR REPLACE MACRO rs_at_most(n, most, what) AS CASE WHEN n <= most OR n IS NULL THEN n ELSE error(what) END;
CREATE OR REPLACE MACRO rs_at_least(n, least, what) AS CASE WHEN n >= least OR n IS NULL THEN n ELSE error(what) END;
"""

_DIGITS = {"int2": "Short", "int4": "Integer", "int8": "Long"}
_ORDER = ("int2", "int4", "int8", "numeric", "float4", "float8")


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression: DuckDB's SQL, Redshift's type. `text` is a quoted literal's own, `const` says: no column in it."""

    sql: str
    type: Type
    const: bool = False
    text: str | None = None


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


NULL = Typed("NULL", UNKNOWN, True)


def literal(text: str) -> Typed:
    return Typed(quote(text), UNKNOWN, True, text)


def number(text: str) -> Typed:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_literals201.html"""
    if "e" in text.lower():
        if not math.isfinite(float(text)):
            raise SqlError(f'"{text}" is out of range for type double precision')
        return Typed(f"CAST({text} AS DOUBLE)", FLOAT8, True)
    whole, _, fraction = text.partition(".")
    if fraction or "." in text:
        digits, scale = len(whole.lstrip("0")) or 1, len(fraction)
        if digits + scale > 38:
            raise SqlError("Numeric data overflow")
        kind = numeric(digits + scale, scale)
    else:
        kind = INT4 if int(text) < 2**31 else INT8 if int(text) < 2**63 else numeric(38, 0)
    return Typed(f"CAST({text} AS {kind.engine})", kind, True)


def no_operator(a: Type, sign: str, b: Type) -> SqlError:
    def shown(kind: Type) -> str:
        return str(kind).partition("(")[0] if kind.name != "unknown" else '"unknown"'

    return SqlError(f"operator does not exist: {shown(a)} {sign} {shown(b)}")


# Conversions


def cast(value: Typed, to: Type, assigns: bool = False) -> Typed:
    """`value` as another type: explicitly, or as what INSERT and UPDATE put into a column (`assigns`)."""
    sql = _cast(value, to, assigns)
    return Typed(sql, to, value.const)


def _cast(value: Typed, to: Type, assigns: bool) -> str:
    kind, x = value.type, value.sql
    if kind == to or x == "NULL":
        return f"CAST({x} AS {to.engine})" if x == "NULL" else x
    if to.name in ("varchar", "bpchar"):
        return _to_text(value, to, assigns)
    if kind.is_text:
        return _from_text(x, to)
    if to.is_integer and kind.is_number:
        if not kind.is_integer:
            x = f"rs_whole({x}, '{str(to).upper()}')"
        return f"CAST({x} AS {to.engine})"
    if to.name == "numeric" and kind.is_number:
        if kind.is_float:
            raise refuse("a conversion of floating-point numbers to DECIMAL: keep such numbers DECIMAL from the start")
        if kind.name == "numeric" and kind.scale > to.scale and not assigns:
            # "results of explicit casts of values selected from tables are not rounded", of constants nothing is said:
            # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html
            counted = f"{x} * CAST({10**to.scale} AS {numeric(to.scale + 1, 0).engine})"
            kept = f"rs_exact({x}, {counted}, '{to}')" if value.const else cut(value, to.scale).sql
            return f"CAST({kept} AS {to.engine})"
        return f"CAST({x} AS {to.engine})"
    if to.is_float and kind.is_number:
        return f"CAST({x} AS {to.engine})"
    if to.name == "bool" and kind.is_integer or kind.name == "bool" and to.is_integer:
        return f"CAST({x} AS {to.engine})"
    if kind.is_time and to.is_time or (kind.name == "timestamp" and to.name == "time"):
        return f"CAST({x} AS {to.engine})"
    raise SqlError(f"cannot cast type {str(kind).partition('(')[0]} to {str(to).partition('(')[0]}")


def _to_text(value: Typed, to: Type, assigns: bool) -> str:
    kind, x = value.type, value.sql
    if kind.is_float:
        raise refuse("a conversion of floating-point numbers to text")
    if kind.name in ("bool", "interval"):
        raise SqlError(f"cannot cast type {kind} to {str(to).partition('(')[0]}")
    if not kind.is_text:
        x = f"CAST({x} AS VARCHAR)"
    if to.name == "bpchar":  # blanks at the end mean nothing in a CHAR, and it holds single-byte characters only
        x = f"rtrim({x}, ' ')"
        if kind.is_text and kind.name != "bpchar" and not (value.text or "é").isascii():
            x = f"rs_single({x})"
    if kind.is_text and kind.name != "unknown" and 0 < kind.length <= to.length or to.length == MAX_VARCHAR:
        return x
    if value.text is not None and len(value.text.encode()) <= to.length:
        return x
    return f"rs_fit({x}, {to.length}, {quote(str(to).partition('(')[0])})" if assigns else f"rs_cut({x}, {to.length})"


def _from_text(x: str, to: Type) -> str:
    if to.is_integer:
        return f"CAST(rs_integer({x}, '{_DIGITS[to.name]}') AS {to.engine})"
    if to.name == "numeric":
        fits = rf"[+-]?(\d+(\.\d{{0,{to.scale}}}0*)?|\.\d{{0,{to.scale}}}0*)"
        return f"CAST(rs_plain({x}, '{fits}', '{to}') AS {to.engine})"
    if to.is_float:
        return f"CAST(rs_real({x}) AS {to.engine})"
    if to.name == "bool":
        return f"rs_boolean({x})"
    if to.is_time:
        return f"CAST(rs_moment({x}) AS {to.engine})"
    if to.name == "time":
        return f"CAST({x} AS TIME)"
    raise SqlError(f"cannot cast type character varying to {to}")


def as_text(value: Typed) -> Typed:
    """For functions that take "non-character data types like a string"."""
    return value if value.type.is_text else Typed(_to_text(value, varchar(), False), varchar(), value.const)


def as_moment(value: Typed, to: Type = TIMESTAMP) -> Typed:
    """For functions of dates: a DATE, a TIMESTAMP or text that is one."""
    if not (value.type.is_time or value.type.is_text):
        raise SqlError(f"cannot cast type {value.type} to {to}")
    return cast(value, to)


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def unify(values: list[Typed]) -> tuple[list[Typed], Type]:
    """Values of one type, as CASE, COALESCE, UNION and the like want them."""
    kinds = [v.type for v in values if v.type.name != "unknown"]
    if not kinds:
        return values, UNKNOWN
    kind = kinds[0]
    for other in kinds[1:]:
        kind = common(kind, other)
    for literal in (v.text for v in values if v.type.name == "unknown" and v.text is not None):
        if kind.is_number and not _NUMBER.fullmatch(literal.strip()):  # at once, not only when its turn comes
            raise SqlError(f'invalid input syntax for number: "{literal}"')
    return [v if v.type == kind else cast(v, kind, True) for v in values], kind


def common(a: Type, b: Type) -> Type:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html (UNION, COALESCE, DECODE)"""
    if a == b:
        return a
    if a.is_text and b.is_text:
        return varchar(max(a.length or MAX_VARCHAR, b.length or MAX_VARCHAR))
    if a.is_number and b.is_number:
        if a.is_float or b.is_float:
            return FLOAT8
        if a.is_integer and b.is_integer:
            return max(a, b, key=lambda t: _ORDER.index(t.name))
        a, b = a.as_numeric(), b.as_numeric()
        scale = max(a.scale, b.scale)
        # AWS's page limits this precision to 19; values that need more would overflow there, so they are kept here.
        return numeric(min(max(a.precision - a.scale, b.precision - b.scale) + scale, 38), scale)
    if a.is_time and b.is_time:
        return max(a, b, key=lambda t: ("date", "timestamp", "timestamptz").index(t.name))
    raise SqlError(f"types {str(a).partition('(')[0]} and {str(b).partition('(')[0]} cannot be matched")


def compared(a: Typed, b: Typed, sign: str) -> tuple[str, str]:
    """Both sides of a comparison. Blanks at the end of strings mean nothing in it.

    https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html#r_Character_types-significance-of-trailing-blanks
    """
    if a.type.is_text and b.type.is_text:
        return bare(a), bare(b)
    if a.type.is_text and a.text is None and a.sql != "NULL" or b.type.is_text and b.text is None and b.sql != "NULL":
        raise no_operator(a.type, sign, b.type)
    if a.type.name == "unknown":
        a = cast(a, b.type)
    elif b.type.name == "unknown":
        b = cast(b, a.type)
    alike = a.type.is_number and b.type.is_number or a.type.is_time and b.type.is_time
    if not alike and a.type.name != b.type.name:
        raise no_operator(a.type, sign, b.type)
    if FLOAT4 in (a.type, b.type) and a.type != b.type:  # a REAL with another number is DOUBLE PRECISION, as in + and *
        a, b = cast(a, FLOAT8), cast(b, FLOAT8)
    return a.sql, b.sql


def bare(value: Typed) -> str:
    """A value as it is compared, grouped and sorted."""
    if not value.type.is_text:
        return value.sql
    return quote(value.text.rstrip(" ")) if value.text is not None else f"rs_bare({value.sql})"


# Arithmetic


def shifted(whole: str, kind: Type) -> str:
    """A DECIMAL of an integer that counts its smallest units."""
    if not kind.scale:
        return f"CAST({whole} AS {kind.engine})"
    unit = f"CAST(0.{'0' * (kind.scale - 1)}1 AS {numeric(kind.scale, kind.scale).engine})"
    return f"CAST(CAST({whole} AS DECIMAL(38,0)) * {unit} AS {kind.engine})"


def units(value: Typed) -> str:
    """A DECIMAL as the integer that counts its smallest units."""
    kind = value.type.as_numeric()
    if not kind.scale:
        return f"CAST({value.sql} AS HUGEINT)"
    return f"CAST(CAST({value.sql} AS DECIMAL(38,{kind.scale})) * CAST({10**kind.scale} AS DECIMAL(38,0)) AS HUGEINT)"


def cut(value: Typed, scale: int) -> Typed:
    """A DECIMAL without its digits beyond the scale (negative: tens, hundreds)."""
    kind = value.type.as_numeric()
    if scale >= kind.scale:
        return value
    to = numeric(max(kind.precision - kind.scale + max(scale, 0), 1), max(scale, 0))
    whole = f"{units(value)} // {10 ** (kind.scale - scale)}"
    return Typed(shifted(f"({whole}) * {10**-scale}" if scale < 0 else f"({whole})", to), to, value.const)


def arithmetic(sign: str, a: Typed, b: Typed) -> Typed:
    const = a.const and b.const
    if a.type.is_time or b.type.is_time:
        return _on_dates(sign, a, b)
    if a.type.name == "unknown" and b.type.is_number:
        a = cast(a, b.type)
    if b.type.name == "unknown" and a.type.is_number:
        b = cast(b, a.type)
    if not (a.type.is_number and b.type.is_number):
        raise no_operator(a.type, sign, b.type)
    if a.type.is_float or b.type.is_float:
        kind = FLOAT4 if a.type == b.type == FLOAT4 else FLOAT8
        x, y = (f"CAST({v.sql} AS {kind.engine})" for v in (a, b))
        if sign == "%":
            raise no_operator(a.type, sign, b.type)
        return Typed(f"rs_fraction({x}, {y})" if sign == "/" else f"rs_finite({x} {sign} {y})", kind, const)
    if a.type.is_integer and b.type.is_integer:
        kind = common(a.type, b.type)
        x, y = (v.sql if v.type == kind else f"CAST({v.sql} AS {kind.engine})" for v in (a, b))
        if sign == "%":
            return Typed(f"CASE WHEN {y} = 0 THEN error('Divide by zero error') ELSE {x} % {y} END", kind, const)
        return Typed(f"rs_divide({x}, {y})" if sign == "/" else f"({x} {sign} {y})", kind, const)
    p, q = a.type.as_numeric(), b.type.as_numeric()
    (p1, s1), (p2, s2) = (p.precision, p.scale), (q.precision, q.scale)
    if sign in "+-%":
        scale = max(s1, s2)
        kind = numeric(min(max(p1 - s1, p2 - s2) + 1 + scale, 38), scale)
        x, y = (f"CAST({v.sql} AS {kind.engine})" for v in (a, b))
        if sign == "%":
            return Typed(f"CASE WHEN {y} = 0 THEN error('Divide by zero error') ELSE {x} % {y} END", kind, const)
        return Typed(f"CAST({x} {sign} {y} AS {kind.engine})", kind, const)
    if sign == "*":
        if s1 + s2 > 37:
            raise SqlError("Numeric data overflow (scale)")
        kind = numeric(min(p1 + p2 + 1, 38), s1 + s2)
        x, y = (f"CAST({v.sql} AS {t.engine})" for v, t in ((a, p), (b, q)))
        return Typed(f"CAST({x} * {y} AS {kind.engine})", kind, const)
    scale = max(4, s1 + p2 - s2 + 1)
    precision = p1 - s1 + s2 + scale
    if precision > 38:
        precision, scale = 38, max(38 + scale - precision, 4)
    kind, more = numeric(precision, min(scale, 37)), scale - s1 + s2
    x, y = units(a), units(b)
    x, y = (f"({x} * {10**more}::HUGEINT)", y) if more >= 0 else (x, f"({y} * {10**-more}::HUGEINT)")
    return Typed(shifted(f"rs_divide({x}, {y})", kind), kind, const)


def _on_dates(sign: str, a: Typed, b: Typed) -> Typed:
    const = a.const and b.const
    if b.type.name == "interval" and sign in "+-" and a.type.is_time:
        kind = TIMESTAMP if a.type == DATE else a.type
        return Typed(f"(CAST({a.sql} AS {kind.engine}) {sign} {b.sql})", kind, const)
    if a.type.name == "interval" and sign == "+":
        return _on_dates(sign, b, a)
    if a.type == DATE and b.type.is_integer and sign in "+-":
        return Typed(f"({a.sql} {sign} CAST({b.sql} AS INTEGER))", DATE, const)
    if b.type == DATE and a.type.is_integer and sign == "+":
        return _on_dates(sign, b, a)
    if a.type == DATE and b.type == DATE and sign == "-":
        return Typed(f"CAST({a.sql} - {b.sql} AS INTEGER)", INT4, const)
    if sign == "-" and a.type.is_time and b.type.is_time:
        raise refuse("intervals as values: use DATEDIFF")
    raise no_operator(a.type, sign, b.type)
