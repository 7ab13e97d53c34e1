"""From the warehouse into an extract: rows by UNLOAD, written and asked by Tableau's own engine, Hyper.

Hyper comes in the wheel of `pantab`. There is none for Linux on arm64, and `MISSING` then says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pandas as pd

from .sheets import COLUMNS

try:
    import pantab
    import pyarrow as pa

    MISSING = ""
except ImportError as error:  # no wheel for this machine
    MISSING = f"Tableau's Hyper engine is not to be had for this machine ({error})"

SCHEMA, TABLE = "Extract", "Extract"  # inside a .hyper, as Tableau itself names them


def read_unloaded(bucket: str, prefix: str) -> pd.DataFrame:
    """The rows of the Parquet files that UNLOAD wrote below a prefix; DECIMAL columns as exact Decimals."""
    s3 = boto3.client("s3")
    with tempfile.TemporaryDirectory(prefix="workbook-unloaded-") as folder:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for number, entry in enumerate(page.get("Contents", ())):
                s3.download_file(bucket, entry["Key"], f"{folder}/{number}.parquet")
        with duckdb.connect() as database:
            found = database.execute("SELECT * FROM read_parquet(?)", [f"{folder}/*.parquet"])
            names = [column[0] for column in found.description]
            table = pd.DataFrame(found.fetchall(), columns=pd.Index(names), dtype=object)
    return table.sort_values("row_id", ignore_index=True)


def write_duckdb(path: str | Path, sales: pd.DataFrame) -> None:
    """The table `sales` in a DuckDB file of its own, for Tableau's connector for DuckDB; an older file is replaced."""
    Path(path).unlink(missing_ok=True)
    kinds = {"string": "VARCHAR", "integer": "INTEGER", "real": "DECIMAL(18,3)", "boolean": "BOOLEAN"}
    columns = [f"{field.name} {kinds.get(field.datatype, 'TIMESTAMP')}" for field in COLUMNS]
    with tempfile.TemporaryDirectory(prefix="workbook-duckdb-") as folder, duckdb.connect(str(path)) as database:
        rows = f"{folder}/sales.csv"
        sales[[field.name for field in COLUMNS]].to_csv(rows, index=False)
        database.execute(f"CREATE TABLE sales ({', '.join(columns)})")
        database.execute("COPY sales FROM ? (HEADER, NULLSTR '')", [rows])


def write_extract(path: str | Path, sales: pd.DataFrame) -> None:
    """Writes the columns of `COLUMNS` as the extract's one table; an older file of that name is replaced.

    Money stays exact: NUMERIC(18,3) inside the extract. Raises KeyError for a missing column, pyarrow's ArrowInvalid
    for a value that does not fit its column's type.
    """
    types = {
        "string": pa.string(),
        "integer": pa.int32(),
        "real": pa.decimal128(18, 3),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us"),
    }
    schema = pa.schema([(field.name, types[field.datatype]) for field in COLUMNS])
    table = pa.Table.from_pandas(sales[[field.name for field in COLUMNS]], schema=schema, preserve_index=False)
    with _log_elsewhere() as settings:
        pantab.frame_to_hyper(table, path, table=(SCHEMA, TABLE), process_params=settings)


def query_extract(path: str | Path, sql: str) -> list[dict[str, Any]]:
    """Asks Hyper itself: rows as dicts. The table is `"Extract"."Extract"`."""
    with _log_elsewhere() as settings:
        answer = pantab.frame_from_hyper_query(path, sql, return_type="pyarrow", process_params=settings)
    rows: list[dict[str, Any]] = answer.to_pylist()
    return rows


@contextmanager
def _log_elsewhere() -> Iterator[dict[str, str]]:
    """Hyper leaves a log in the folder where one stands; it goes into one that is removed."""
    with tempfile.TemporaryDirectory(prefix="workbook-hyper-") as folder:
        yield {"log_dir": folder}


def totals(path: str | Path) -> Mapping[str, Any]:
    """Rows, quantity and revenue of an extract, exact, asked of Hyper in SQL."""
    sql = 'SELECT COUNT(*) AS rows, SUM(quantity) AS quantity, SUM(revenue) AS revenue FROM "Extract"."Extract"'
    (found,) = query_extract(path, sql)
    return {**found, "revenue": Decimal(found["revenue"] or 0)}
