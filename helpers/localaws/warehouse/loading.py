"""COPY and UNLOAD: files of the lab's S3, read and written with the role's own permissions.

https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
A load first takes the fast way: DuckDB reads the files and converts every field by rules that are as strict as
Redshift's. When a field does not fit, the slow way reads the same files in Python, names line, column and reason of
each bad row, and gives the good ones to the fast way again.
"""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb

from .catalog import Column, Relation
from .sqltypes import SqlError, Type, quoted, refuse

_NOT_HERE = (
    "lzop avro orc shapefile ssh fixedwidth readratio encrypted access_key_id secret_access_key "
    "session_token kms_key_id master_symmetric_key removequotes explicit_ids noload comprows"
).split()
# What only one of the two commands knows: copy-parameters-alphabetical.html, r_UNLOAD.html
_COPY_ONLY = (
    "ignoreheader dateformat timeformat maxerror emptyasnull blanksasnull trimblanks truncatecolumns roundec "
    "acceptanydate acceptinvchars fillrecord ignoreblanklines removequotes explicit_ids noload compupdate statupdate "
    "comprows encoding quote readratio ssh"
).split()
_UNLOAD_ONLY = "header addquotes allowoverwrite cleanpath parallel maxfilesize rowgroupsize partition extension".split()
# stl_load_errors' `type` and `col_length` have ten characters each: "int4", "varchar", "numeric" with "18, 0", as in
# https://github.com/transferwise/pipelinewise-target-redshift/issues/8.
_LOGGED = {"bpchar": "char"}
_INTEGERS = {"int2": ("Short", 2**15), "int4": ("Integer", 2**31), "int8": ("Long", 2**63)}
_TRUE, _FALSE = ("1", "t", "true", "y", "yes"), ("0", "f", "false", "n", "no")
_ISO_DATE = r"\d{4}-\d{2}-\d{2}"
_ISO_TIME = r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?"
# JSON numbers that DuckDB would write anew, and what it takes for JSON: a comma too many, NaN, infinity
_LOOSE = r":\s*-?(\d+\.\d*0\b|\d+[eE]|\d+\.\d+[eE]|[\d.]{16,}|[Nn]a[Nn]|[Ii]nf)|,\s*[}\]]"


class BadField(Exception):
    """A field that cannot be loaded: `code` and `reason` as in stl_load_errors."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass
class LoadError:
    """A row of stl_load_errors."""

    filename: str
    line: int
    column: str
    type: str
    length: str
    position: int
    raw_line: str
    raw_field: str
    code: int
    reason: str


@dataclass
class Load:
    """One COPY: what is to be loaded where, and how."""

    relation: Relation
    columns: list[Column]
    url: str
    options: dict[str, Any]
    errors: list[LoadError] = field(default_factory=list)
    defaults: dict[str, str] = field(default_factory=dict)  # of columns that take no NULL, in DuckDB's SQL

    @property
    def format(self) -> str:
        return str(self.options.get("format", "text"))

    @property
    def max_errors(self) -> int:
        return int(self.options.get("maxerror", 0))

    @functools.cached_property
    def plain(self) -> list[re.Pattern[str]]:
        """For each column the texts that need no second look: nearly all."""
        found = []
        for column in self.columns:
            kind = column.type
            pattern = r"(?!)"
            if kind.is_integer:
                pattern = "-?[0-9]{1,4}" if kind.name == "int2" else "-?[0-9]{1,9}"
            elif kind.name == "numeric" and kind.precision > kind.scale:
                pattern = rf"-?[0-9]{{1,{kind.precision - kind.scale}}}(\.[0-9]{{1,{max(kind.scale, 1)}}})?"
                pattern = pattern if kind.scale else pattern.partition("(")[0]
            elif kind.name == "varchar":
                pattern = rf"[ -~]{{1,{kind.length}}}"
                if {"trimblanks", "blanksasnull"} & self.options.keys():
                    pattern = rf"[!-~]{{1,{kind.length}}}"
            found.append(re.compile(pattern))
        return found

    @property
    def null(self) -> str:
        return str(self.options.get("null", "\\N"))


# S3


class Files:
    """S3 as one role reaches it."""

    def __init__(self, endpoint: str, region: str, credentials: dict[str, str]) -> None:
        import boto3
        from botocore.config import Config

        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials["AWS_SESSION_TOKEN"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, proxies={}),
        )

    def _call(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as error:
            known = error.response["Error"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode")
            text = known.get("Message") or known["Code"]
            request = error.response["ResponseMetadata"].get("RequestId", "")
            raise SqlError(
                f"S3ServiceException:{text.rstrip('.')},Status {status},Error {known['Code']},Rid {request},CanRetry 1"
            ) from None

    def keys(self, bucket: str, prefix: str) -> list[str]:
        found: list[str] = []
        arguments = {"Bucket": bucket, "Prefix": prefix}
        while True:
            page = self._call("list_objects_v2", **arguments)
            found += [o["Key"] for o in page.get("Contents", []) if not o["Key"].endswith("/")]
            if not page.get("IsTruncated"):
                return found
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def read(self, bucket: str, key: str) -> bytes:
        body: bytes = self._call("get_object", Bucket=bucket, Key=key)["Body"].read()
        return body

    def write(self, bucket: str, key: str, path: Path) -> None:
        with path.open("rb") as body:
            self._call("put_object", Bucket=bucket, Key=key, Body=body)

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._call("put_object", Bucket=bucket, Key=key, Body=body)

    def delete(self, bucket: str, keys: list[str]) -> None:
        for key in keys:
            self._call("delete_object", Bucket=bucket, Key=key)


def s3_url(url: str) -> tuple[str, str]:
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", url, re.DOTALL)
    if not match:
        raise refuse(f"COPY or UNLOAD with {url.partition(':')[0]}: only s3://")
    return match[1], match[2]


# COPY


def check_options(options: dict[str, Any], unloads: bool = False) -> None:
    """Raises SqlError for what the command does not know, or is not here."""
    for name in _COPY_ONLY if unloads else _UNLOAD_ONLY:
        if name in options:
            raise SqlError(f'syntax error at or near "{name}"')
    if not unloads and options.get("format") == "csv" and "escape" in options:
        raise SqlError("CSV cannot be used with ESCAPE")
    if "quote" in options and options.get("format") != "csv":
        raise SqlError("QUOTE can be used with CSV only")
    for name in _NOT_HERE:
        if name in options:
            raise refuse(f"COPY or UNLOAD with {name.upper()}")
    if "iam_role" not in options:
        raise SqlError("IAM_ROLE must be specified: COPY and UNLOAD need the permissions of a role")


def copy(load: Load, files: Files, connection: duckdb.DuckDBPyConnection) -> tuple[str, int]:
    """Reads, checks and converts; returns the DuckDB table that holds the new rows, and their number.

    Raises SqlError when a file cannot be read or too many rows are bad; `load.errors` has them.
    """
    bucket, prefix = s3_url(load.url)
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        found = _sources(load, files, bucket, prefix)
        local: list[tuple[str, Path]] = []
        for number, (where, key) in enumerate(found):
            body = _decoded(files.read(where, key), load, key)
            path = Path(folder) / f"{number}.{'parquet' if load.format == 'parquet' else 'txt'}"
            path.write_bytes(body)
            local.append((f"s3://{where}/{key}", path))
        if load.format == "parquet":
            _parquet(load, local, connection)
        else:
            paths = _json_paths(load, files) if load.format == "json" else None
            if not _fast(load, [p for _, p in local], connection, paths):
                _slow(load, local, connection, paths, Path(folder))
    rows = connection.execute("SELECT count(*) FROM stage.main.loaded").fetchall()[0][0]
    return "stage.main.loaded", int(rows)


def _sources(load: Load, files: Files, bucket: str, prefix: str) -> list[tuple[str, str]]:
    if "manifest" not in load.options:
        keys = files.keys(bucket, prefix)
        if not keys:
            raise SqlError(f"The specified S3 prefix '{prefix}' does not exist")
        return [(bucket, key) for key in keys]
    try:
        entries = json.loads(files.read(bucket, prefix))["entries"]
        listed = [(*s3_url(e["url"]), bool(e.get("mandatory"))) for e in entries]
    except (ValueError, KeyError, TypeError):
        raise SqlError(f"Problem reading manifest file - {load.url}") from None
    found = []
    for where, key, mandatory in listed:
        if files.keys(where, key)[:1] == [key]:
            found.append((where, key))
        elif mandatory:
            raise SqlError(f"Mandatory url is not found: s3://{where}/{key}")
    return found


def _decoded(body: bytes, load: Load, key: str) -> bytes:
    if load.format == "parquet":
        return body
    try:
        if "gzip" in load.options:
            body = gzip.decompress(body)
        elif "bzip2" in load.options:
            body = bz2.decompress(body)
        elif "zstd" in load.options:
            raise refuse("COPY with ZSTD")
    except (OSError, EOFError):
        raise SqlError(f"The file s3://{s3_url(load.url)[0]}/{key} is not compressed as the COPY says") from None
    encoding = str(load.options.get("encoding", "utf8")).lower().replace("-", "")
    if encoding != "utf8":
        names = {"utf16": "utf-16", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "iso88591": "latin-1"}
        if encoding not in names:
            raise SqlError(f"Invalid encoding: {encoding}")
        try:
            body = body.decode(names[encoding]).encode()
        except UnicodeDecodeError:
            raise SqlError("Encoding of the file is not the same as that specified in the COPY command") from None
    if "acceptinvchars" in load.options:
        mark = str(load.options["acceptinvchars"])
        parts, start = [], 0
        while True:
            try:
                parts.append(body[start:].decode())
                break
            except UnicodeDecodeError as error:
                parts.append(body[start : start + error.start].decode() + mark * (error.end - error.start))
                start += error.end
        body = "".join(parts).encode()
    if b"\0" in body:  # for COPY it ends the record: copy-parameters-data-conversion.html#copy-null-as
        raise refuse("COPY of a file with NUL characters")
    return body


def _json_paths(load: Load, files: Files) -> dict[str, list[str | int]] | None:
    """Column -> path into the object, for a COPY with a JSONPaths file; None for 'auto'.

    https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html#copy-json
    """
    kind = str(load.options["json"])
    if kind in ("auto", "auto ignorecase"):
        return None
    if kind == "noshred":
        raise refuse("COPY with JSON 'noshred'")
    try:
        paths = json.loads(files.read(*s3_url(kind)))["jsonpaths"]
    except (ValueError, KeyError, TypeError):
        raise SqlError("Invalid JSONPaths file: it must be a JSON object with the list jsonpaths") from None
    if len(paths) != len(load.columns):
        text = "Number of jsonpaths and the number of columns should match. JSONPath size: "
        raise SqlError(f"{text}{len(paths)}, Number of columns in table or column list: {len(load.columns)}")
    found = {}
    for column, path in zip(load.columns, paths, strict=True):
        steps = re.findall(r"\.([A-Za-z_]\w*)|\[\s*'([^']*)'\s*\]|\[\s*(\d+)\s*\]", path)
        if not path.startswith("$") or not steps or re.sub(r"\.\w+|\[[^\]]*\]", "", path) != "$":
            raise SqlError(f"Invalid JSONPath format: {path}")
        found[column.name] = [int(n) if n else (a or b) for a, b, n in steps]
    return found


def _fast(
    load: Load, paths: list[Path], connection: duckdb.DuckDBPyConnection, json_paths: dict[str, list[str | int]] | None
) -> bool:
    """Loads with DuckDB's readers; False when that cannot be done, or not without doubt."""
    if {"fillrecord", "ignoreblanklines", "escape"} & load.options.keys():
        return False
    listed = ", ".join(_quote(str(p)) for p in paths)
    if load.format == "json":
        names = _member_names(load, json_paths)
        if names is None:
            return False
        fields = ", ".join(f"{_quote(name)}: 'VARCHAR'" for name in dict.fromkeys(names.values()))
        source = f"read_json([{listed}], format='unstructured', columns={{{fields}}}, maximum_object_size=4194304)"
        objects = f"read_json_objects([{listed}], format='unstructured', maximum_object_size=4194304)"
        texts = {column: quoted(name) for column, name in names.items()}
        try:
            doubt = connection.execute(
                f"SELECT 1 FROM {objects} WHERE json_type(json) <> 'OBJECT' OR regexp_matches(json, ?) LIMIT 1",
                [_LOOSE],
            ).fetchall()
        except duckdb.Error:
            return False
        if doubt:
            return False
        return _convert(load, source, texts, connection)
    if any(re.search(rb"^\r?\n|\n\r?\n", p.read_bytes()) for p in paths):
        return False
    return _convert(load, _csv_reader(load, listed), {c.name: f"c{n}" for n, c in enumerate(load.columns)}, connection)


def _member_names(load: Load, json_paths: dict[str, list[str | int]] | None) -> dict[str, str] | None:
    """Column -> member of the object that fills it; None where that is not all, or DuckDB could not tell two apart."""
    if json_paths is None and load.options["json"] != "auto":
        return None
    paths = json_paths or {c.name: [c.name] for c in load.columns}
    if not all(len(path) == 1 and isinstance(path[0], str) for path in paths.values()):
        return None
    names = {column: str(path[0]) for column, path in paths.items()}
    distinct = set(names.values())
    return names if len({name.lower() for name in distinct}) == len(distinct) else None


def _csv_reader(load: Load, listed: str, own: bool = False) -> str:
    """DuckDB's reader for the files, or for the CSV that the slow way writes (`own`)."""
    csv_format = load.format == "csv" or own
    delimiter = "," if own else _one(str(load.options.get("delimiter", "," if csv_format else "|")))
    quote = '"' if own else str(load.options.get("quote", '"')) if csv_format else ""
    skip = 0 if own else int(load.options.get("ignoreheader", 0))
    fields = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(load.columns)))
    null = "\\N" if own else load.null
    return (
        f"read_csv([{listed}], auto_detect=false, header=false, skip={skip}, delim={_quote(delimiter)}, "
        f"quote={_quote(quote)}, escape={_quote(quote)}, nullstr={_quote(null)}, columns={{{fields}}}, "
        f"allow_quoted_nulls={str(not csv_format).lower()}, max_line_size=4194304, null_padding=false, parallel=false)"
    )


def _one(delimiter: str) -> str:
    found = {"\\t": "\t"}.get(delimiter, delimiter)
    if re.fullmatch(r"\\[0-7]{3}", found):
        found = chr(int(found[1:], 8))
    return found


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _convert(load: Load, source: str, texts: dict[str, str], connection: duckdb.DuckDBPyConnection) -> bool:
    """Fills the stage from a reader; False when a field is not what its column takes."""
    fields = ", ".join(f"{_field(load, c, texts[c.name])} AS {quoted(c.name)}" for c in load.columns)
    try:
        connection.execute(f"CREATE OR REPLACE TABLE stage.main.loaded AS SELECT {fields} FROM {source}")
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return False
    return True


def _field(load: Load, column: Column, text: str) -> str:
    """The DuckDB expression that makes a column's value of a field's text, and fails where Redshift would."""
    kind = column.type
    if kind.name in ("varchar", "bpchar"):
        value = text
        if "trimblanks" in load.options or kind.name == "bpchar":
            value = f"rtrim({value}, ' ')"
        if "emptyasnull" in load.options:
            value = f"nullif({value}, '')"
        if "blanksasnull" in load.options:
            value = f"CASE WHEN regexp_full_match({value}, '\\s+') THEN NULL ELSE {value} END"
        fits = f"strlen({value}) <= {kind.length}"
        if "truncatecolumns" in load.options:
            fits = "true"
            value = f"rs_cut({value}, {kind.length})"
        if kind.name == "bpchar":
            fits += f" AND strlen({value}) = length({value})"
        return _not_null(load, column, f"CASE WHEN {fits} OR {value} IS NULL THEN {value} ELSE error('long') END")
    value = f"nullif(trim({text}, ' '), '')"
    cast = f"CAST({value} AS {kind.engine})"
    if kind.is_integer:
        guard = f"regexp_full_match({value}, '[+-]?\\d+')"
    elif kind.name == "numeric":
        scale = "" if "roundec" in load.options else f"{{0,{kind.scale}}}"
        guard = f"regexp_full_match({value}, '[+-]?(\\d+(\\.\\d{scale or '*'})?|\\.\\d{scale or '+'})')"
    elif kind.is_float:
        guard = f"regexp_full_match({value}, '[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?')"
    elif kind.name == "bool":
        lists = [", ".join(map(_quote, words)) for words in (_TRUE, _FALSE)]
        guard = "true"
        cast = f"CASE WHEN lower({value}) IN ({lists[0]}) THEN true WHEN lower({value}) IN ({lists[1]}) THEN false "
        cast += "ELSE error('bool') END"
    elif kind.name in ("date", "timestamp") and not _wanted_format(load, kind):
        guard = f"regexp_full_match({value}, '{_ISO_DATE if kind.name == 'date' else _ISO_TIME}')"
    elif kind.name in ("date", "timestamp") and _wanted_format(load, kind) == "auto":
        guard = f"regexp_full_match({value}, '{_ISO_DATE}([ T]\\d{{2}}:\\d{{2}}(:\\d{{2}}(\\.\\d{{1,6}})?)?Z?)?')"
        cast = f"CAST(CAST(replace({value}, 'Z', '') AS TIMESTAMP) AS {kind.engine})"
    else:
        guard = "false"  # formats that Python reads
    return _not_null(
        load, column, f"CASE WHEN {value} IS NULL THEN NULL WHEN {guard} THEN {cast} ELSE error('field') END"
    )


def _not_null(load: Load, column: Column, expression: str) -> str:
    """A NULL becomes the default of a column that has one and takes no NULL: r_ALTER_TABLE.html#alter-table-default"""
    instead = load.defaults.get(column.name, "error('null')")
    return f"coalesce({expression}, {instead})" if column.not_null else expression


def _wanted_format(load: Load, kind: Type) -> str:
    found = str(load.options.get("dateformat" if kind.name == "date" else "timeformat", ""))
    return "" if found in ("YYYY-MM-DD", "YYYY-MM-DD HH:MI:SS") else found


# The slow way


def _slow(
    load: Load,
    local: list[tuple[str, Path]],
    connection: duckdb.DuckDBPyConnection,
    json_paths: dict[str, list[str | int]] | None,
    folder: Path,
) -> None:
    good = folder / "good.csv"
    with good.open("w", encoding="utf-8", newline="") as out:
        for url, path in local:
            read = _json_rows(load, path, json_paths) if load.format == "json" else _text_rows(load, path)
            for line, raw, values in read:
                row = _checked(load, url, line, raw, values)
                if row is not None:
                    out.write(",".join("\\N" if v is None else '"' + v.replace('"', '""') + '"' for v in row) + "\n")
                elif len(load.errors) > load.max_errors:
                    raise failed(load)
    plain = Load(load.relation, load.columns, load.url, {"format": "csv"}, defaults=load.defaults)
    names = {c.name: f"c{n}" for n, c in enumerate(load.columns)}
    if not _convert(plain, _csv_reader(load, _quote(str(good)), own=True), names, connection):
        raise SqlError("The local warehouse could not load rows that it had checked.")


def failed(load: Load) -> SqlError:
    return SqlError(
        f"Load into table '{load.relation.name}' failed.  Check 'stl_load_errors' system table for details."
    )


Row = tuple[int, str, "list[str | None] | BadField"]


def _checked(load: Load, url: str, line: int, raw: str, values: list[str | None] | BadField) -> list[str | None] | None:
    """The values as the fast way reads them, or None when the row is bad, which is written down."""

    def note(bad: BadField, column: str = "", kind: str = "", length: str = "", value: str | None = None) -> None:
        """https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_ERRORS.html: multi-byte characters are periods"""
        at, shown = re.search(r", Pos (\d+),", bad.reason), re.sub(r"[^\x00-\x7f]", ".", raw)[:1024]
        load.errors.append(LoadError(
            url, line, column, kind, length, int(at[1]) if at else 0, shown, (value or "")[:1024], bad.code, bad.reason
        ))  # fmt: skip

    if isinstance(values, BadField):
        note(values)
        return None
    found: list[str | None] = []
    for column, value, plain in zip(load.columns, values, load.plain, strict=True):
        try:
            found.append(value if value is not None and plain.fullmatch(value) else _value(load, column, value))
        except BadField as bad:
            kind = column.type
            length = f"{kind.precision}, {kind.scale}" if kind.name == "numeric" else str(kind.length or "")
            note(bad, column.name, _LOGGED.get(kind.name, kind.name), length, value)
            return None
    return found


def _value(load: Load, column: Column, value: str | None) -> str | None:
    """A field's text made ready for DuckDB; raises BadField with Redshift's reason."""
    kind, options = column.type, load.options
    if value is not None and kind.name in ("varchar", "bpchar"):
        if "trimblanks" in options or kind.name == "bpchar":
            value = value.rstrip(" ")
        if ("emptyasnull" in options and value == "") or ("blanksasnull" in options and value and not value.strip()):
            value = None
        elif len(value.encode()) > kind.length:
            if "truncatecolumns" not in options:
                raise BadField(1204, "String length exceeds DDL length")
            value = value.encode()[: kind.length].decode(errors="ignore")
        if value is not None and kind.name == "bpchar" and not value.isascii():
            # https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html
            wrong = next(c for c in value if not c.isascii()).encode().hex(" ")
            text = "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char:"
            raise BadField(1220, f"{text} {wrong}")
    elif value is not None:
        value = value.strip(" ") or None
    if value is None:
        if column.not_null and column.name not in load.defaults:
            raise BadField(1213, "Missing data for not-null field")
        return None
    if kind.is_integer:
        return _integer(value, kind)
    if kind.name == "numeric":
        return _decimal(value, kind, "roundec" in options)
    if kind.is_float:
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
            raise _digit(1208, value, "Float" if kind.name == "float4" else "Double")
    elif kind.name == "bool":
        if value.lower() not in (*_TRUE, *_FALSE):
            raise BadField(1210, "Unknown boolean format")
    elif kind.is_time:
        try:
            return read_time(value, kind, _wanted_format(load, kind))
        except ValueError:
            if "acceptanydate" in options:
                return None
            if kind.name == "date":
                shown = options.get("dateformat", "YYYY-MM-DD")
                raise BadField(1205, "Invalid Date Format - length must be 10 or more"
                               if len(value) < 10 and not options.get("dateformat")
                               else f"Invalid date format or value [{shown}]") from None  # fmt: skip
            wanted = options.get("timeformat") or "YYYY-MM-DD HH24:MI:SS"
            raise BadField(1206, f"Invalid timestamp format or value [{wanted}]") from None
    return value


def _digit(code: int, value: str, kind: str, allowed: str = "0123456789") -> BadField:
    at = next((n for n, c in enumerate(value) if c not in allowed and not (n == 0 and c in "+-")), len(value) - 1)
    shown = value[at] if value else ""
    return BadField(code, f"Invalid digit, Value '{shown}', Pos {at}, Type: {kind}")


def _integer(value: str, kind: Type) -> str:
    name, limit = _INTEGERS[kind.name]
    if not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
        raise _digit(1207, value, name)
    if not -limit <= int(value) < limit:
        raise BadField(1204, f"Overflow, Column type: {name}")
    return value


def _decimal(value: str, kind: Type, roundec: bool) -> str:
    """COPY cuts digits beyond the scale off, unless ROUNDEC is given."""
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)", value, re.ASCII):
        raise _digit(1207, value, "Decimal", "0123456789.")
    try:
        number = Decimal(value)
        unit = Decimal(1).scaleb(-kind.scale)
        number = number.quantize(unit, "ROUND_HALF_UP" if roundec else "ROUND_DOWN")
    except InvalidOperation:
        number = Decimal("Infinity")
    if not number.is_finite() or abs(number) >= Decimal(10) ** (kind.precision - kind.scale):
        raise BadField(1204, f"Overflow for NUMERIC({kind.precision},{kind.scale})")
    return format(number, "f")


# Dates. https://docs.aws.amazon.com/redshift/latest/dg/r_DATEFORMAT_and_TIMEFORMAT_strings.html

_PARTS = {
    "YYYY": r"(?P<Y>\d{4})", "YY": r"(?P<y>\d{2})", "MM": r"(?P<m>\d{1,2})", "MON": r"(?P<b>[A-Za-z]{3,9})",
    "DD": r"(?P<d>\d{1,2})", "HH24": r"(?P<H>\d{1,2})", "HH12": r"(?P<I>\d{1,2})", "HH": r"(?P<H>\d{1,2})",
    "MI": r"(?P<M>\d{1,2})", "SS": r"(?P<S>\d{1,2})(?:\.(?P<f>\d{1,6})\d*)?", "AM": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "PM": r"(?P<p>[AaPp]\.?[Mm]\.?)",
}  # fmt: skip
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
# What 'auto' knows: https://docs.aws.amazon.com/redshift/latest/dg/automatic-recognition.html
_AUTO = (
    "YYYY-MM-DD", "YYYY/MM/DD", "YYYYMMDD", "MM/DD/YYYY", "MM-DD-YYYY", "DD.MM.YYYY", "MON-DD-YYYY", "DD-MON-YYYY",
    "MON DD YYYY", "MON DD, YYYY", "DD MON YYYY", "YYYY-MON-DD",
)  # fmt: skip
_CLOCK = ("", "HH:MI:SS", "HH:MI", "HHMISS")


def _pattern(wanted: str) -> re.Pattern[str]:
    parts = re.split("(" + "|".join(sorted(_PARTS, key=len, reverse=True)) + ")", wanted.upper())
    fixed = len(re.findall("[^A-Z0-9]", wanted)) == 0
    built = "".join(_PARTS[p] if p in _PARTS else re.escape(p) for p in parts)
    return re.compile(built.replace("{1,2}", "{2}") if fixed else built)


_PATTERNS: dict[str, re.Pattern[str]] = {}


def read_time(value: str, kind: Type, wanted: str) -> str:
    """A date or time in ISO's form; raises ValueError."""
    if wanted in ("epochsecs", "epochmillisecs"):
        try:
            seconds = Decimal(value) / (1000 if wanted == "epochmillisecs" else 1)
            whole = datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
        except (ArithmeticError, OSError):  # no number, or one that no calendar holds
            raise ValueError(value) from None
        return (whole.isoformat(" ") + (f".{int(seconds % 1 * 1000):03}" if seconds % 1 else ""))[:26]
    zone = ""
    if kind.name == "timestamptz":
        match = re.fullmatch(r"(.*?)\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?", value)
        assert match
        value, zone = match[1], match[2] or "+00"
        zone = "+00" if zone in ("Z", "UTC") else zone
        wanted = wanted or "auto"
    if wanted == "auto":
        plain = re.sub(r"(\d)T(\d)", r"\1 \2", value)
        plain = re.sub(r"(Z| ?UTC)$", "", plain)
        formats = [f"{day} {clock}".strip() for day in _AUTO for clock in _CLOCK]
    else:
        plain = value
        default = "YYYY-MM-DD" if kind.name == "date" else "YYYY-MM-DD HH:MI:SS"
        formats = [wanted or default]
    for form in formats:
        pattern = _PATTERNS.setdefault(form, _pattern(form))
        match = pattern.fullmatch(plain)
        if match is None and wanted != "auto":
            match = pattern.match(plain) if kind.name == "date" and "H" not in form.upper() else None
        if match:
            return _moment(match.groupdict(), kind) + zone
    raise ValueError(value)


def _moment(parts: dict[str, str | None], kind: Type) -> str:
    year = int(parts.get("Y") or 0) or (lambda y: y + (2000 if y < 70 else 1900))(int(parts.get("y") or 0))
    named = (parts.get("b") or "")[:3].lower()
    month = _MONTHS.index(named) + 1 if named else int(parts.get("m") or 1)
    hour = int(parts.get("H") or parts.get("I") or 0)
    if half := (parts.get("p") or "")[:1].lower():
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half == "p" else 0)
    micro = int((parts.get("f") or "").ljust(6, "0") or 0)
    found = datetime(
        year, month, int(parts.get("d") or 1), hour, int(parts.get("M") or 0), int(parts.get("S") or 0), micro
    )
    return found.date().isoformat() if kind.name == "date" else found.isoformat(" ")


def _text(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; a line that is no UTF-8 keeps its bytes as surrogates."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        yield from enumerate(lines, 1)


def _utf8(raw: str) -> BadField | None:
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        code = f"{ord(raw[error.start]) - 0xDC00:x}"
        return BadField(
            1220, f"String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {code} (error 4)"
        )
    return None


def _text_rows(load: Load, path: Path) -> Iterator[Row]:
    """CSV or delimited text: line number, the line, its fields."""
    csv_format = load.format == "csv"
    delimiter = _one(str(load.options.get("delimiter", "," if csv_format else "|")))
    quote, skip = str(load.options.get("quote", '"')), int(load.options.get("ignoreheader", 0))
    seen: list[str] = []
    last = 0

    def lines() -> Iterator[str]:
        nonlocal last
        for number, line in _text(path):
            if number > skip:
                seen.append(line)
                last = number
                yield line

    if csv_format:
        rows: Iterator[list[str]] = csv.reader(lines(), delimiter=delimiter, quotechar=quote, strict=True)
    else:
        escape = "escape" in load.options
        read = _unescaped_ends(lines()) if escape else (line.rstrip("\r\n") for line in lines())
        rows = (_split(line, delimiter, escape) for line in read)
    csv.field_size_limit(4 * 2**20)
    quoted_null = re.compile(re.escape(quote + load.null + quote)) if csv_format else None
    while True:
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error:
            raw = "".join(seen).rstrip("\r\n")
            seen.clear()
            yield last, raw, BadField(1214, "Invalid quote formatting for CSV")
            continue
        raw = "".join(seen).rstrip("\r\n")
        seen.clear()
        if not raw and "ignoreblanklines" in load.options:
            continue
        values: list[str | None] = list(fields)
        if not quoted_null or not quoted_null.search(raw):
            values = [None if v == load.null else v for v in fields]
        wanted = len(load.columns)
        if bad := _utf8(raw):
            yield last, raw.encode(errors="replace").decode(), bad
        elif len(values) > wanted:
            yield last, raw, BadField(1202, "Extra column(s) found")
        elif len(values) < wanted and "fillrecord" not in load.options:
            yield last, raw, BadField(1214, "Delimiter not found")
        else:
            missing = [None if "emptyasnull" in load.options or not c.type.is_text else "" for c in load.columns]
            yield last, raw, values + missing[len(values) :]


def _unescaped_ends(lines: Iterator[str]) -> Iterator[str]:
    """Lines without their ends, where a backslash before an end makes it part of the field."""
    held = ""
    for line in lines:
        held += line
        before = held.removesuffix("\n")
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            yield before.rstrip("\r")
            held = ""
    if held:
        raise refuse("COPY with ESCAPE of a file that ends with an escaped line's end")


def _split(line: str, delimiter: str, escape: bool) -> list[str]:
    if not escape:
        return line.split(delimiter)
    parts = re.findall(rf"((?:\\.|(?!{re.escape(delimiter)})[^\\])*)(?:{re.escape(delimiter)}|$)", line, re.DOTALL)
    count = (
        len(re.findall(rf"\\.|{re.escape(delimiter)}", line, re.DOTALL)) - len(re.findall(r"\\.", line, re.DOTALL)) + 1
    )
    return [p if p == "\\N" else re.sub(r"\\(.)", r"\1", p, flags=re.DOTALL) for p in parts[:count]]


def _no_json(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity


class _Number(str):
    """A JSON number as it was written."""


def _json_rows(load: Load, path: Path, paths: dict[str, list[str | int]] | None) -> Iterator[Row]:
    """The objects of a file, one behind the other, with or without line ends between them."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_no_json)
    space = re.compile(r"\s*")
    ignore_case = load.options["json"] == "auto ignorecase"
    at, line, counted = space.match(text).end(), 1, 0  # type: ignore[union-attr]
    while at < len(text):
        start = at
        try:
            found, at = decoder.raw_decode(text, at)
        except ValueError:
            stop = text.find("\n", at)
            at = len(text) if stop < 0 else stop + 1
            found = None
        line += text.count("\n", counted, min(at, len(text)))
        counted = at
        raw = text[start:at].rstrip("\n")
        shown = line if text[at - 1 : at] != "\n" else line - 1
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if bad := _utf8(raw):
            yield shown, raw.encode(errors="replace").decode(), bad
        elif paths is None and not isinstance(found, dict):
            yield shown, raw, BadField(1216, "Invalid value.")
        elif found is None:
            yield shown, raw, BadField(1216, "Invalid value.")
        elif paths is not None:
            yield shown, raw, [_spelled(_walk(found, paths[c.name])) for c in load.columns]
        else:
            object_ = {k.lower(): v for k, v in found.items()} if ignore_case else found
            yield shown, raw, [_spelled(object_.get(c.name)) for c in load.columns]


def _walk(found: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            found = found[step] if isinstance(found, list) and step < len(found) else None
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return found


def _spelled(value: Any) -> str | None:
    """A JSON value as the text that is loaded."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _dump(value)


def _dump(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


# Parquet


def _parquet(load: Load, local: list[tuple[str, Path]], connection: duckdb.DuckDBPyConnection) -> None:
    """Columns by position; a file's types must be those of the table.

    https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
    """
    if {"csv", "gzip", "maxerror", "delimiter", "ignoreheader"} & load.options.keys():
        raise SqlError("COPY from PARQUET takes neither compression nor the options of text files")
    listed = ", ".join(_quote(str(p)) for _, p in local)
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet([{listed}])").fetchall()
    except duckdb.Error:
        raise SqlError(f"Spectrum Scan Error: File {local[0][0]} is not a Parquet file") from None
    if len(described) != len(load.columns):
        text = "Spectrum Scan Error: The number of columns in the table and in the file do not match:"
        raise SqlError(f"{text} {len(load.columns)} and {len(described)}")
    for (name, found, *_), column in zip(described, load.columns, strict=True):
        if not _compatible(found, column.type):
            text = f"Spectrum Scan Error. File '{local[0][0]}' has an incompatible Parquet schema for column"
            raise SqlError(
                f"{text} '{load.url}.{name}'. Column type: {str(column.type).upper()}, Parquet schema: {found}"
            )
    fields = []
    for (name, *_), column in zip(described, load.columns, strict=True):
        value = quoted(name)
        if column.type.name in ("varchar", "bpchar"):
            value = f"rs_single({value})" if column.type.name == "bpchar" else value
            fits = f"strlen({value}) <= {column.type.length} OR {value} IS NULL"
            value = f"CASE WHEN {fits} THEN {value} ELSE error('The length of the data column {column.name} is longer "
            value += f"than the length defined in the table. Table: {column.type.length}') END"
        fields.append(f"CAST({_not_null(load, column, value)} AS {column.type.engine}) AS {quoted(column.name)}")
    try:
        connection.execute(
            f"CREATE OR REPLACE TABLE stage.main.loaded AS SELECT {', '.join(fields)} FROM read_parquet([{listed}])"
        )
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0].partition(": ")[2]
        raise SqlError(f"Spectrum Scan Error. {reason}") from None


def _compatible(found: str, wanted: Type) -> bool:
    kind = found.partition("(")[0]
    if kind == "DECIMAL":
        return wanted.name == "numeric" and wanted.engine == found
    return wanted.name in {
        "TINYINT": ("int2", "int4", "int8"), "SMALLINT": ("int2", "int4", "int8"), "INTEGER": ("int4", "int8"),
        "BIGINT": ("int8",), "FLOAT": ("float4", "float8"), "DOUBLE": ("float8",), "BOOLEAN": ("bool",),
        "VARCHAR": ("varchar", "bpchar"), "DATE": ("date",), "TIMESTAMP": ("timestamp",),
        "TIMESTAMP WITH TIME ZONE": ("timestamptz", "timestamp"), "TIMESTAMP_NS": ("timestamp",),
    }.get(kind, ())  # fmt: skip


# UNLOAD


def unload(
    query: str, columns: list[tuple[str, Type]], url: str, options: dict[str, Any], files: Files, slices: int,
    connection: duckdb.DuckDBPyConnection,
) -> int:  # fmt: skip
    """Writes the rows of a query (DuckDB's SQL) to S3 and returns how many.

    https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html
    """
    bucket, prefix = s3_url(url)
    form = str(options.get("format", "text"))
    limit = _check_unload(form, columns, options)
    existing = files.keys(bucket, prefix)
    if existing and "cleanpath" in options:
        if "partition" not in options:  # else only what lies in the folders that get new files, below
            files.delete(bucket, existing)
    elif existing and "allowoverwrite" not in options:
        raise SqlError(
            "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually "
            "removing the target files in S3, or using the ALLOWOVERWRITE option."
        )
    partition = list(options.get("partition", []))
    names = [n for n, _ in columns]
    if missing := [p for p in partition if p not in names]:
        raise SqlError(f'column "{missing[0]}" does not exist')
    connection.execute(f"CREATE OR REPLACE TABLE stage.main.unloaded AS {query}")
    kept = [c for c in columns if c[0] not in partition or options.get("include")]
    if not kept:
        raise SqlError("UNLOAD with PARTITION BY needs a column that is no partition column")
    written: list[dict[str, Any]] = []
    total = 0
    with tempfile.TemporaryDirectory(prefix="unload-") as folder:
        groups: list[tuple[str, str]] = [("", "true")]
        if partition:
            listed = ", ".join(map(quoted, partition))
            groups = []
            for values in connection.execute(
                f"SELECT DISTINCT {listed} FROM stage.main.unloaded ORDER BY ALL"
            ).fetchall():
                place = "/".join(
                    f"{n}={'__HIVE_DEFAULT_PARTITION__' if v is None else v}"
                    for n, v in zip(partition, values, strict=True)
                )
                same = " AND ".join(
                    f"{quoted(n)} IS NOT DISTINCT FROM {_literal(v)}" for n, v in zip(partition, values, strict=True)
                )
                groups.append((("" if prefix.endswith("/") or not prefix else "/") + place + "/", same))
        parts = 1 if options.get("parallel") in ("off", "false") else slices
        for place, condition in groups:
            if partition and "cleanpath" in options:
                files.delete(bucket, [key for key in existing if key.startswith(prefix + place)])
            fields = ", ".join(_unloaded(n, t, form) for n, t in kept)
            for part in range(parts):
                rows = f"SELECT {fields} FROM stage.main.unloaded WHERE ({condition}) AND rowid % {parts} = {part}"
                path = Path(folder) / "part"
                count = _write(rows, path, form, options, connection)
                if not count and (part or partition or form == "parquet"):
                    continue
                extension = str(options.get("extension", ""))
                ending = ".parquet" if form == "parquet" else f".{extension.lstrip('.')}" if extension else ""
                ending = ending or (".gz" if "gzip" in options else ".bz2" if "bzip2" in options else "")
                number = "000" if parts == 1 and not partition else f"{part:04}_part_00"
                key = f"{prefix}{place}{number}{ending}"
                if limit and path.stat().st_size > limit:
                    raise refuse("UNLOAD into several files of a slice, as this MAXFILESIZE would need")
                files.write(bucket, key, path)
                total += count
                entry = {"url": f"s3://{bucket}/{key}", "meta": {"content_length": path.stat().st_size}}
                written.append(entry)
    if "manifest" in options:
        files.put(bucket, f"{prefix}manifest", json.dumps({"entries": written}).encode())
    return total


def _check_unload(form: str, columns: list[tuple[str, Type]], options: dict[str, Any]) -> int:
    """Raises SqlError for options that do not go together, or are not here; returns MAXFILESIZE in bytes, or 0."""
    if "cleanpath" in options and "allowoverwrite" in options:
        raise SqlError("CLEANPATH cannot be used with ALLOWOVERWRITE")
    text = ("delimiter", "addquotes", "escape", "null", "header", "gzip", "bzip2", "zstd")
    for name in text if form == "parquet" else ():
        if name in options:
            raise SqlError(f"{name.upper()} cannot be used with PARQUET")
    for what, here in (
        ("as JSON", form == "json"),
        ("with ZSTD", "zstd" in options),
        ("with MANIFEST VERBOSE", options.get("manifest") == "verbose"),
        ("as CSV with ADDQUOTES or ESCAPE", form == "csv" and bool({"addquotes", "escape"} & options.keys())),
        # "You might encounter loss of precision": how many digits are written is not said.
        ("of floating-point numbers as text", form != "parquet" and any(t.is_float for _, t in columns)),
    ):
        if here:
            raise refuse(f"UNLOAD {what}")
    if "maxfilesize" not in options:
        return 0
    size, unit = str(options["maxfilesize"]).split()
    megabytes = Decimal(size) * (1024 if unit.lower() == "gb" else 1)
    if not 5 <= megabytes <= Decimal("6.2") * 1024:
        raise SqlError("MAXFILESIZE must be between 5 MB and 6.2 GB")
    return int(megabytes * 1024 * 1024)


def _literal(value: Any) -> str:
    return "NULL" if value is None else _quote(str(value)) if not isinstance(value, int | Decimal) else str(value)


def _unloaded(name: str, kind: Type, form: str) -> str:
    value = quoted(name)
    if form == "parquet":
        return value
    if kind.name == "bool":
        return f"CASE {value} WHEN true THEN 't' WHEN false THEN 'f' END AS {value}"
    return f"CAST({value} AS VARCHAR) AS {value}"


def _write(rows: str, path: Path, form: str, options: dict[str, Any], connection: duckdb.DuckDBPyConnection) -> int:
    if form == "parquet":
        return int(connection.execute(f"COPY ({rows}) TO {_quote(str(path))} (FORMAT parquet)").fetchall()[0][0])
    count = _write_text(rows, path, form == "csv", options, connection)
    for option, opened in (("gzip", gzip.open), ("bzip2", bz2.open)):
        if option in options:
            packed = path.with_suffix(".packed")
            with path.open("rb") as plain, opened(packed, "wb") as out:
                shutil.copyfileobj(plain, out)
            packed.replace(path)
    return count


def _write_text(
    rows: str, path: Path, csv_format: bool, options: dict[str, Any], connection: duckdb.DuckDBPyConnection
) -> int:
    """CSV encloses what holds a delimiter, a quote or a line's end; delimited text only by ADDQUOTES, and ESCAPE.

    The header, too, is written so.
    """
    delimiter, null = _one(str(options.get("delimiter", "," if csv_format else "|"))), str(options.get("null", ""))
    adds, escapes = "addquotes" in options, "escape" in options
    enclosed = re.compile("[" + re.escape('"\n\r' + delimiter) + "]")
    escaped = re.compile("([" + re.escape("\\\n\r" + delimiter + ("\"'" if adds else "")) + "])")

    def written(value: str | None) -> str:
        if value is None:
            return null
        if csv_format:
            return '"' + value.replace('"', '""') + '"' if enclosed.search(value) else value
        text = escaped.sub(r"\\\1", value) if escapes else value
        return f'"{text}"' if adds else text

    cursor, count = connection.execute(rows), 0
    with path.open("w", encoding="utf-8", newline="") as out:
        if "header" in options:
            out.write(delimiter.join(written(d[0]) for d in cursor.description or ()) + "\n")
        for row in iter(cursor.fetchone, None):
            out.write(delimiter.join(map(written, row)) + "\n")
            count += 1
    return count


def clock() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)
