"""Statements that people who build a warehouse on this data write, in the order in which they run.

The list itself is not part of the project: `REDSHIFT_STATEMENTS` names the file (each statement behind a comment
`-- name (kind, single|batch)`). What is expected of each is here: it runs, it gives rows that were worked out by hand
from the documented rule, or it is refused, with the reason.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from warehouse_lab import BUCKET, Failed, Warehouse, warehouse

from helpers.localaws.warehouse.parsing import split

FILE = Path(os.environ.get("REDSHIFT_STATEMENTS", ""))
HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
# Three lines of one invoice and one of another, without a customer; loaded four times, by COPY's four formats.
LINES = [
    ("536365", "85123A", "HOLDER", 6, "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"),
    ("536365", "71053", "LANTERN", 6, "2010-12-01 08:26:00", "3.39", "17850", "United Kingdom"),
    ("536370", "22728", "CLOCK", 24, "2010-12-01 08:45:00", "3.75", "", "EIRE"),
    ("C536379", "D", "Discount", -1, "2011-12-09 12:50:00", "27.5", "14527", "United Kingdom"),
]
REFUSED = {
    "merge": "MERGE takes its rows from a table",  # as its grammar says: r_MERGE
    "super": "the type SUPER",
    "matview": "materialized views",
    "explain": "EXPLAIN: its plan would be DuckDB's",
    "spectrum": "external schemas and tables",
    "procedure": "stored procedures",
}
GUIDE = "https://docs.aws.amazon.com/redshift/latest/dg/"
# Each line is in retail_raw four times; fact_sales has those of a positive quantity: 12 lines.
# amount: 4 × (6 × 2.55 + 6 × 3.39) = 4 × 35.64 = 142.56 in the UK, 4 × 24 × 3.75 = 360 in EIRE
GOLDEN: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "datediff": ("r_DATEDIFF_function", [(0, 12, 25)]),  # boundaries that are crossed: no day, 12 months, 25 hours
    "nvl_decode": ("r_DECODE_expression", [("x", 2, "IE", 4), ("x", 2, "UK", 8)]),
    "listagg": ("r_LISTAGG", [("536365", "71053,85123A")]),
    "qualify": ("r_QUALIFY_clause", [
        ("EIRE", "22728", "360.000"), ("United Kingdom", "71053", "81.360"), ("United Kingdom", "85123A", "61.200"),
    ]),
    "json_extract": ("json-functions", [("c", "20", True, 2)]),
    "view_nsb": ("r_CREATE_VIEW", [("EIRE", "360.000"), ("United Kingdom", "142.560")]),
    "pg_table_def": ("r_PG_TABLE_DEF", [
        ("sale_id", "bigint", "az64", False, 0), ("invoice_no", "character varying(20)", "lzo", False, 0),
        ("stock_code", "character varying(20)", "lzo", False, 0),
        ("customer_id", "character varying(20)", "lzo", True, 0), ("quantity", "integer", "az64", False, 0),
        ("unit_price", "numeric(12,3)", "az64", False, 0), ("amount", "numeric(14,3)", "az64", False, 0),
        # sort keys are not encoded by default: c_Compression_encodings
        ("invoice_ts", "timestamp without time zone", "none", False, 1),
        ("country", "character varying(64)", "none", False, 2),
    ]),
    "stl_load_errors": ("r_STL_LOAD_ERRORS", []),
}  # fmt: skip


def statements() -> list[tuple[str, str, str]]:
    return re.findall(r"^-- (\w+) \(\w+, (single|batch)\)\n(.+)$", FILE.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("lab")) as made:
        made.run("CREATE USER awsuser PASSWORD 'Abcdef123'")  # AWS's own name for the admin
        yield made


def lay_out(w: Warehouse, name: str) -> None:
    """The file that a COPY names, and no other of its prefix: 'retail.csv' would load 'retail.csv.gz', too."""
    for found in w.s3.list_objects_v2(Bucket=BUCKET, Prefix="retail").get("Contents", []):
        w.s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    text = HEAD + "".join(",".join(map(str, line)) + "\n" for line in LINES)
    if name == "copy_csv":
        w.put("retail.csv", text)
    elif name == "copy_gzip":
        w.put("retail.csv.gz", gzip.compress(text.encode()))
    elif name == "copy_json":
        names = HEAD.strip().split(",")
        rows = [", ".join(f'"{n}": "{v}"' for n, v in zip(names, line, strict=True)) for line in LINES]
        w.put("retail1k.json", "\n".join("{" + row + "}" for row in rows))
    elif name == "copy_parquet":
        path, kinds = (
            w.folder / "retail.parquet",
            ("VARCHAR", "VARCHAR", "VARCHAR", "INT", "TIMESTAMP", "DECIMAL(12,3)"),
        )
        with duckdb.connect() as connection:
            values = ", ".join(f"({', '.join(repr(v) for v in line)})" for line in LINES)
            fields = ", ".join(f"CAST(c{n} AS {k})" for n, k in enumerate((*kinds, "VARCHAR", "VARCHAR")))
            table = f"(VALUES {values}) AS q({', '.join(f'c{n}' for n in range(8))})"
            connection.execute(f"COPY (SELECT {fields} FROM {table}) TO '{path}' (FORMAT parquet)")
        w.put("retail.parquet", path.read_bytes())


@pytest.mark.skipif(not FILE.is_file(), reason="REDSHIFT_STATEMENTS names no file")
def test_every_statement_runs_or_is_refused_with_its_reason(w: Warehouse) -> None:
    told: dict[str, str] = {}
    for name, kind, text in statements():
        if name.startswith("copy_"):
            lay_out(w, name)
        sqls = split(text) if kind == "batch" else [text]
        mode = {}
        if name == "vacuum":  # r_VACUUM_command: not within a transaction, which a batch is unless told otherwise
            assert "VACUUM cannot run inside a transaction block" in w.error(*sqls)
            mode = {"ExecutionMode": "AUTO_COMMIT"}
        try:
            done = w.run(*sqls, **mode)
        except Failed as failed:
            assert name in REFUSED and REFUSED[name] in str(failed), f"{name}: {failed}"
            told[name] = f"refused: {failed}"
            continue
        assert name not in REFUSED, name
        told[name] = "runs"
        if kind == "batch":
            assert "multiple commands" in w.error(text), f"{name} as one string: API_ExecuteStatement"
        if name.startswith("copy_"):
            assert done["ResultRows"] == len(LINES)
        if done["HasResultSet"]:
            part = f"{done['Id']}:{len(sqls)}" if kind == "batch" else done["Id"]
            check(name, w.result(part))
            told[name] += ", golden"
    print(*(f"{name}: {what}" for name, what in told.items()), sep="\n")
    assert len(told) == len(statements()) > 30
    assert [k["Key"] for k in w.s3.list_objects_v2(Bucket=BUCKET, Prefix="out/country_")["Contents"]] == [
        "out/country_000.parquet"
    ]


def test_a_learner_finds_what_is_refused_and_why() -> None:
    """Notebook 06 provokes each refusal of the list, and its printed answer is what the warehouse says."""
    path = Path(__file__).parent.parent / "notebooks" / "06-redshift-data-warehouse-pipeline.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    told = "".join(o.get("text", "") for c in cells if c.cell_type == "code" for o in c.outputs)
    missing = [name for name, reason in REFUSED.items() if reason not in told]
    assert not missing


def check(name: str, rows: list[tuple[Any, ...]]) -> None:
    """Compares a result with what was worked out by hand; the times of now, and ids, by what must hold for them."""
    if name == "getdate_dateadd":
        ((now, system, month_ago, added),) = rows
        assert now[:16] == system[:16] and month_ago[10:] == now[10:]
        assert added == "2011-02-28 00:00:00", GUIDE + "r_DATEADD_function"
    elif name == "convert_cast":
        assert rows[0][:6] == (12, "2011-01-01", 3.5, "2011-01-01", "12.5", "12.5") and len(rows[0][6]) == 10
    elif name == "svv_table_info":
        known = {t: (d, s, r) for t, d, s, r, _ in rows}
        assert known["fact_sales"] == ("KEY(customer_id)", "invoice_ts", "12"), GUIDE + "r_SVV_TABLE_INFO"
        assert known["dim_customer"] == ("ALL", "customer_id", "4")  # 17850, 14527, '' and NULL's unknown
        assert known["dim_product"] == ("EVEN", "INTERLEAVED", "4") and known["agg_country"][0] == "KEY(country)"
    elif name == "sys_query_history":
        assert len(rows) == 5 and "FROM stl_load_errors" in rows[0][1], GUIDE + "SYS_QUERY_HISTORY"
    else:
        page, wanted = GOLDEN[name]
        found = rows if name in ("pg_table_def",) else sorted(rows)
        assert found == wanted, GUIDE + page
