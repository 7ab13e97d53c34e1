"""Redshift's data types: how it writes them, how DuckDB keeps them, and how the Data API describes them.

https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


class SqlError(Exception):
    """What Redshift answers to a statement; the message is all there is of it (`Error` in the Data API)."""


def quoted(name: str) -> str:
    """A name as DuckDB reads it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def refuse(what: str) -> SqlError:
    """The error for what Redshift has and this warehouse does not."""
    return SqlError(f"The local warehouse does not have {what}.")


@dataclass(frozen=True, slots=True)
class Type:
    """`name` as in `pg_type`; `length` in bytes (char, varchar), `precision` and `scale` of a numeric.

    "unknown" is the type of a quoted literal and of NULL until something gives it one.
    """

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        """As pg_table_def shows it."""
        spelled = _SPELLED.get(self.name, self.name)
        if self.name in ("bpchar", "varchar"):
            return f"{spelled}({self.length})"
        return f"numeric({self.precision},{self.scale})" if self.name == "numeric" else spelled

    @property
    def engine(self) -> str:
        """DuckDB's type that holds it."""
        if self.name == "numeric":
            return f"DECIMAL({self.precision},{self.scale})"
        return _ENGINE[self.name]

    @property
    def is_integer(self) -> bool:
        return self.name in _INTEGERS

    @property
    def is_number(self) -> bool:
        return self.name in (*_INTEGERS, "numeric", "float4", "float8")

    @property
    def is_float(self) -> bool:
        return self.name in ("float4", "float8")

    @property
    def is_text(self) -> bool:
        return self.name in ("varchar", "bpchar", "unknown")

    @property
    def is_time(self) -> bool:
        return self.name in ("date", "timestamp", "timestamptz")

    def as_numeric(self) -> Type:
        """An integer as the DECIMAL that Redshift makes of it in computations."""
        return Type("numeric", precision=_INTEGERS[self.name]) if self.is_integer else self

    def metadata(self, name: str) -> dict[str, Any]:
        """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_ColumnMetadata.html"""
        precision = self.precision or self.length or _PRECISION.get(self.name, 0)
        scale = self.scale or _SCALE.get(self.name, 0)
        return {
            "isCaseSensitive": self.is_text, "isCurrency": False, "isSigned": self.is_number, "label": name,
            "length": 0, "name": name, "nullable": 1, "precision": precision, "scale": scale,
            "schemaName": "", "tableName": "", "typeName": self.name,
        }  # fmt: skip


_INTEGERS = {"int2": 5, "int4": 10, "int8": 19}
_ENGINE = {
    "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "float4": "FLOAT", "float8": "DOUBLE", "bool": "BOOLEAN",
    "bpchar": "VARCHAR", "varchar": "VARCHAR", "unknown": "VARCHAR", "date": "DATE", "time": "TIME",
    "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "interval": "INTERVAL",
}  # fmt: skip
_SPELLED = {
    "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision",
    "bool": "boolean", "bpchar": "character", "varchar": "character varying",
    "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
}  # fmt: skip
_PRECISION = {**_INTEGERS, "float4": 8, "float8": 17, "bool": 1, "date": 13, "timestamp": 29, "timestamptz": 35}
_SCALE = {"float4": 8, "float8": 17, "timestamp": 6, "timestamptz": 6}
_NAMES = {
    "smallint": "int2", "int2": "int2", "integer": "int4", "int": "int4", "int4": "int4", "bigint": "int8",
    "int8": "int8", "decimal": "numeric", "numeric": "numeric", "real": "float4", "float4": "float4",
    "double precision": "float8", "float8": "float8", "float": "float8", "boolean": "bool", "bool": "bool",
    "char": "bpchar", "character": "bpchar", "nchar": "bpchar", "bpchar": "bpchar", "varchar": "varchar",
    "character varying": "varchar", "nvarchar": "varchar", "text": "varchar", "date": "date", "time": "time",
    "time without time zone": "time", "timestamp": "timestamp", "timestamp without time zone": "timestamp",
    "timestamptz": "timestamptz", "timestamp with time zone": "timestamptz",
}  # fmt: skip

INT2, INT4, INT8, FLOAT4, FLOAT8 = (Type(n) for n in ("int2", "int4", "int8", "float4", "float8"))
BOOL, DATE, TIME, TIMESTAMP, TIMESTAMPTZ = (Type(n) for n in ("bool", "date", "time", "timestamp", "timestamptz"))
INTERVAL, UNKNOWN = Type("interval"), Type("unknown")
MAX_VARCHAR, MAX_CHAR = 65_535, 4096


def varchar(length: int = MAX_VARCHAR) -> Type:
    return Type("varchar", max(1, min(length, MAX_VARCHAR)))


def numeric(precision: int, scale: int) -> Type:
    return Type("numeric", precision=precision, scale=scale)


def parse_type(text: str) -> Type:
    """`varchar(20)`, `numeric(12,3)`, `double precision` …; raises SqlError."""
    match = re.fullmatch(r"\s*([a-z0-9_ ]+?)\s*(?:\(\s*(\w+)\s*(?:,\s*(\d+)\s*)?\)\s*([a-z ]*))?", text.lower())
    if not match:
        raise SqlError(f'type "{text.strip()}" does not exist')
    words, first, second, rest = match.groups()
    name = _NAMES.get(f"{words} {rest}".strip() if rest else words)
    if name is None:
        known = ("super", "geometry", "geography", "hllsketch", "varbyte", "varbinary", "timetz", "time with time zone")
        raise refuse(f"the type {words.upper()}") if words in known else SqlError(f'type "{words}" does not exist')
    if name == "numeric":
        precision, scale = int(first or 18), int(second or 0)
        if not 1 <= precision <= 38:
            raise SqlError(f"DECIMAL precision {precision} must be between 1 and 38")
        if not 0 <= scale <= min(precision, 37):
            raise SqlError(f"DECIMAL scale {scale} must be between 0 and precision {precision}")
        return numeric(precision, scale)
    if name in ("bpchar", "varchar"):
        most = MAX_VARCHAR if name == "varchar" else MAX_CHAR
        default = 256 if name == "varchar" or words == "bpchar" else 1
        length = most if first == "max" else int(first) if first else default
        if not 1 <= length <= most:
            raise SqlError(f"length for type {words} cannot exceed {most}")
        return Type(name, length)
    if name == "float8" and words == "float" and first:
        return FLOAT4 if int(first) <= 24 else FLOAT8
    if first and not name.startswith("time"):
        raise SqlError(f'type modifier is not allowed for type "{words}"')
    return Type(name)
