"""Files for Tableau: an extract (.hyper), a live connection (.tds), and a packaged workbook (.twbx) on the extract.

The extract is written by Tableau's own Hyper engine, which comes in the wheel of `pantab`; there is none for Linux on
arm64, and `MISSING` then says so. The workbook is XML, whose form Tableau publishes:
https://github.com/tableau/tableau-document-schemas. That form does not see a field that does not exist, or a dashboard
that shows no sheet: `problems` looks for these.
"""

from __future__ import annotations

import re
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pandas as pd
from lxml import etree
from lxml.builder import E

try:
    import pantab
    import pyarrow as pa

    MISSING = ""
except ImportError as error:  # no wheel for this machine
    MISSING = f"Tableau's Hyper engine is not to be had for this machine ({error})"

VERSION = "26.1"  # of the workbook's form; Tableau 2026.1 and later open it
EXTRACT = ("Extract", "Extract")  # schema and table inside a .hyper, as Tableau itself names them
_SOURCE = "federated.retail"
_USER = "http://www.tableausoftware.com/xml/user"
_IDS = uuid.UUID("6f0c1e52-5a43-4c11-9d0c-6d3c0f5a1e77")  # what the identifiers of sheets are derived from


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the extract, or, with a `formula`, one that Tableau computes; `sql` is the same for Hyper."""

    name: str
    caption: str
    datatype: str  # string | integer | real | boolean | datetime
    measure: bool = False
    formula: str = ""
    sql: str = ""

    @property
    def kind(self) -> str:
        if self.measure:
            return "quantitative"
        return "ordinal" if self.datatype in ("datetime", "integer") else "nominal"


# One line of an invoice each, as the view bi.sales shows it.
COLUMNS = (
    Field("row_id", "Row", "string"),
    Field("invoice_no", "Invoice", "string"),
    Field("stock_code", "Stock code", "string"),
    Field("product", "Product", "string"),
    Field("customer_id", "Customer", "string"),
    Field("country", "Country", "string"),
    Field("invoiced_at", "Time of sale", "datetime"),
    Field("quantity", "Quantity", "integer", measure=True),
    Field("unit_price", "Unit price", "real", measure=True),
    Field("revenue", "Revenue", "real", measure=True),
    Field("is_return", "Return", "boolean"),
)
CALCULATIONS = (
    Field(
        "Calculation_orders",
        "Orders",
        "integer",
        True,
        "COUNTD(IF NOT [is_return] THEN [invoice_no] END)",
        "COUNT(DISTINCT CASE WHEN NOT is_return THEN invoice_no END)",
    ),
    Field(
        "Calculation_customers",
        "Customers",
        "integer",
        True,
        "COUNTD(IF NOT [is_return] THEN [customer_id] END)",
        "COUNT(DISTINCT CASE WHEN NOT is_return THEN customer_id END)",
    ),
    Field(
        "Calculation_returned",
        "Returned share",
        "real",
        True,
        "-SUM(IF [is_return] THEN [revenue] ELSE 0 END) / SUM(IF [is_return] THEN 0 ELSE [revenue] END)",
        "-SUM(CASE WHEN is_return THEN revenue ELSE 0 END)::DOUBLE PRECISION "
        "/ NULLIF(SUM(CASE WHEN is_return THEN 0 ELSE revenue END)::DOUBLE PRECISION, 0)",
    ),
    Field(
        "Calculation_first",
        "First month",
        "datetime",
        formula="{FIXED [customer_id] : MIN(IF NOT [is_return] THEN DATETRUNC('month', [invoiced_at]) END)}",
        sql="MIN(CASE WHEN NOT is_return THEN DATE_TRUNC('month', invoiced_at) END) OVER (PARTITION BY customer_id)",
    ),
    Field(
        "Calculation_months",
        "Months since",
        "integer",
        formula="DATEDIFF('month', [Calculation_first], [invoiced_at])",
        sql='((EXTRACT(YEAR FROM invoiced_at) - EXTRACT(YEAR FROM "Calculation_first")) * 12 '
        '+ EXTRACT(MONTH FROM invoiced_at) - EXTRACT(MONTH FROM "Calculation_first"))',
    ),
)
_FIELDS = {field.name: field for field in (*COLUMNS, *CALCULATIONS)}


def caption(field: str) -> str:
    """How Tableau calls a field."""
    return _FIELDS[field].caption


# How a shelf uses a field -> Tableau's abbreviation in the name of the use, what kind of thing it then is, and the
# same in SQL.
_DERIVATIONS = {
    "None": ("none", "", "{}"),
    "Sum": ("sum", "quantitative", "SUM({})"),
    "User": ("usr", "quantitative", "{}"),  # a formula that aggregates by itself
    "Month-Trunc": ("tmn", "quantitative", "DATE_TRUNC('month', {})"),
    "Hour": ("hr", "ordinal", "EXTRACT(HOUR FROM {})"),
    "Weekday": ("wd", "ordinal", "EXTRACT(DOW FROM {})"),  # 0 is Sunday, as Tableau's week begins in the US
}


@dataclass(frozen=True, slots=True)
class Use:
    """A field on a shelf: `Use("revenue", "Sum")`."""

    field: str
    derivation: str = "None"

    @property
    def kind(self) -> str:
        return _DERIVATIONS[self.derivation][1] or _FIELDS[self.field].kind

    @property
    def name(self) -> str:
        return f"[{_DERIVATIONS[self.derivation][0]}:{self.field}:{self.kind[0]}k]"

    @property
    def sql(self) -> str:
        field = _FIELDS[self.field]
        return _DERIVATIONS[self.derivation][2].format(field.sql if self.derivation == "User" else f'"{field.name}"')

    @property
    def aggregates(self) -> bool:
        return self.derivation in ("Sum", "User")

    def __str__(self) -> str:
        return f"[{_SOURCE}].{self.name}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: marks over rows and columns. `most` keeps that many of the rows' members, those with most revenue."""

    name: str
    mark: str  # Bar | Line | Square
    columns: Use
    rows: Use
    color: Use | None = None
    most: int = 0

    @property
    def sql(self) -> str:
        """The sheet's question to the extract, as Tableau asks it: columns "x", "y" and, if there is one, "color"."""
        uses = {"x": self.columns, "y": self.rows} | ({"color": self.color} if self.color else {})
        first, months = _FIELDS["Calculation_first"], _FIELDS["Calculation_months"]
        groups = ", ".join(use.sql for use in uses.values() if not use.aggregates)
        return (
            f'WITH dated AS (SELECT *, {first.sql} AS "{first.name}" FROM "Extract"."Extract"), '
            f'sales AS (SELECT *, {months.sql} AS "{months.name}" FROM dated) '
            f"SELECT {', '.join(f'{use.sql} AS {name}' for name, use in uses.items())} FROM sales GROUP BY {groups} "
            + (f"ORDER BY SUM(revenue) DESC, 1, 2 LIMIT {self.most}" if self.most else "ORDER BY 1, 2")
        )


_REVENUE, _MONTH = Use("revenue", "Sum"), Use("invoiced_at", "Month-Trunc")
SHEETS = (
    Sheet("Revenue by month", "Line", _MONTH, _REVENUE),
    Sheet("Revenue by country", "Bar", _REVENUE, Use("country"), most=10),
    Sheet("Top products", "Bar", _REVENUE, Use("product"), most=10),
    Sheet("Returned share by month", "Bar", _MONTH, Use("Calculation_returned", "User")),
    Sheet(
        "Orders by hour and weekday",
        "Square",
        Use("invoiced_at", "Hour"),
        Use("invoiced_at", "Weekday"),
        color=Use("Calculation_orders", "User"),
    ),
    Sheet(
        "Customers who come back",
        "Square",
        Use("Calculation_months"),
        Use("Calculation_first"),
        color=Use("Calculation_customers", "User"),
    ),
)
DASHBOARD = "Retail"


# From the warehouse


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


# The extract


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
        pantab.frame_to_hyper(table, path, table=EXTRACT, process_params=settings)


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


# The live connection


def write_datasource(path: str | Path, *, server: str, database: str, username: str, port: int = 5439) -> None:
    """A .tds: Tableau opens it, asks for the password, and reads the view bi.sales live from Redshift over TLS.

    No password is in it. https://help.tableau.com/current/pro/desktop/en-us/examples_amazonredshift.htm
    """
    connection = E.connection(
        {"class": "redshift", "server": server, "port": str(port), "dbname": database, "schema": "bi"},
        {"username": username, "authentication": "username-password", "sslmode": "verify-full"},
    )
    relation = E.relation(connection="redshift.retail", name="sales", table="[bi].[sales]", type="table")
    _write(path, _datasource("retail (Redshift)", "redshift.retail", server, connection, relation, formatted=True))


def read_connection(path: str | Path) -> dict[str, str]:
    """The connection that a .tds describes, by attribute."""
    return dict(etree.parse(path).find(".//named-connection/connection").attrib)


def _datasource(
    caption: str, key: str, label: str, connection: Any, relation: Any, *, formatted: bool = False
) -> etree._Element:
    named = {"formatted-name": _SOURCE} if formatted else {"name": _SOURCE, "caption": caption}
    return E.datasource(
        {"inline": "true", "version": "18.1", **named},
        E.connection(
            {"class": "federated"},
            E("named-connections", E("named-connection", connection, caption=label, name=key)),
            relation,
        ),
        E.aliases(enabled="yes"),
        *(_column(field) for field in _FIELDS.values()),
        E.layout({"dim-ordering": "alphabetic", "measure-ordering": "alphabetic", "show-structure": "true"}),
    )


def _column(field: Field) -> etree._Element:
    role = "measure" if field.measure else "dimension"
    column = E.column(
        name=f"[{field.name}]", caption=field.caption, datatype=field.datatype, role=role, type=field.kind
    )
    if field.formula:
        column.append(E.calculation({"class": "tableau", "formula": field.formula}))
    return column


# The workbook


def write_workbook(path: str | Path, extract: str | Path) -> None:
    """A .twbx: the sheets of `SHEETS`, a dashboard with all of them, and the extract itself, in one file.

    The same extract gives the same bytes.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in (
            ("retail.twb", _text(_workbook())),
            ("Data/retail.hyper", Path(extract).read_bytes()),
        ):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, content)


def read_workbook(path: str | Path) -> etree._Element:
    """The workbook's XML out of a .twbx, or of a bare .twb."""
    path = Path(path)
    if path.suffix == ".twb":
        return etree.fromstring(path.read_bytes())
    with zipfile.ZipFile(path) as package:
        return etree.fromstring(package.read("retail.twb"))


def _workbook() -> etree._Element:
    connection = E.connection(
        {"class": "hyper", "dbname": "Data/retail.hyper", "schema": EXTRACT[0], "tablename": EXTRACT[1]},
        {"authentication": "auth-none", "server": "", "username": "", "sslmode": "", "default-settings": "yes"},
    )
    table = "".join(f".[{part}]" for part in EXTRACT)[1:]
    relation = E.relation(connection="hyper.retail", name=EXTRACT[1], table=table, type="table")
    book = etree.Element("workbook", nsmap={"user": _USER})
    attributes = {"version": VERSION, "original-version": VERSION, "source-build": "0.0.0 (0000.0.0.0)"}
    for name, value in (attributes | {"source-platform": "win"}).items():
        book.set(name, value)
    parts = (
        E("document-format-change-manifest", E.ManifestByVersion()),
        E.preferences(),
        E.datasources(_datasource("retail", "hyper.retail", "retail.hyper", connection, relation)),
        E.worksheets(*(_worksheet(sheet) for sheet in SHEETS)),
        E.dashboards(_dashboard()),
        E.windows(*_windows()),
        E(
            "explain-data",
            {"enabled-for-viewer": "false", "extreme-values-enabled-for-all": "false"},
            E("explanation-types"),
        ),
    )
    book.extend(parts)
    return book


def _worksheet(sheet: Sheet) -> etree._Element:
    uses = [use for use in (sheet.columns, sheet.rows, sheet.color) if use] + ([_REVENUE] if sheet.most else [])
    view = E.view(
        E.datasources(E.datasource(name=_SOURCE, caption="retail")),
        E("datasource-dependencies", *_dependencies(uses), datasource=_SOURCE),
        *(_most(sheet) if sheet.most else ()),
        E.aggregation(value="true"),
    )
    pane = E.pane(E.view(E.breakdown(value="auto")), E.mark({"class": sheet.mark}))
    if sheet.color:
        pane.append(E.encodings(E.color(column=str(sheet.color))))
    table = E.table(view, E.style(), E.panes(pane), E.rows(str(sheet.rows)), E.cols(str(sheet.columns)))
    return E.worksheet(table, _identity("sheet", sheet.name), name=sheet.name)


def _dependencies(uses: Sequence[Use]) -> Iterator[etree._Element]:
    """What a sheet takes from the data source: its fields, those in their formulas, and how it uses them."""
    needed: dict[str, Field] = {}

    def need(name: str) -> None:
        if name not in needed:
            needed[name] = _FIELDS[name]
            for other in _referred(_FIELDS[name].formula):
                need(other)

    for use in uses:
        need(use.field)
    yield from (_column(needed[name]) for name in sorted(needed))
    for use in sorted(set(uses), key=lambda use: use.name):
        yield E(
            "column-instance",
            column=f"[{use.field}]",
            derivation=use.derivation,
            name=use.name,
            pivot="key",
            type=use.kind,
        )


def _referred(formula: str) -> list[str]:
    return re.findall(r"\[(\w+)\]", formula)


def _most(sheet: Sheet) -> Iterator[etree._Element]:
    """Keeps the members with most revenue, the largest first."""
    member = sheet.rows
    marked = f"{{{_USER}}}"
    levels = E.groupfilter(
        {"function": "level-members", "level": member.name},
        {f"{marked}ui-enumeration": "all", f"{marked}ui-marker": "enumerate"},
    )
    order = E.groupfilter(
        {"function": "order", "direction": "DESC", "expression": "SUM([revenue])", f"{marked}ui-marker": "order"},
        levels,
    )
    end = E.groupfilter(
        {"function": "end", "end": "top", "count": str(sheet.most), "units": "records"},
        {f"{marked}ui-marker": "end", f"{marked}ui-top-by-field": "true"},
        order,
    )
    yield E.filter({"class": "categorical", "column": str(member)}, end)
    yield E("computed-sort", column=str(member), direction="DESC", using=str(_REVENUE))
    yield E.slices(E.column(str(member)))


def _dashboard() -> etree._Element:
    """Two sheets beside each other in each row; a zone's place is in hundred-thousandths of the dashboard."""
    rows, whole = -(-len(SHEETS) // 2), 100_000
    zones = [
        E.zone(
            id=str(number + 2),
            name=sheet.name,
            x=str(number % 2 * whole // 2),
            y=str(number // 2 * whole // rows),
            w=str(whole // 2),
            h=str(whole // rows),
        )
        for number, sheet in enumerate(SHEETS)
    ]
    size = {"minwidth": "1200", "minheight": "1000", "maxwidth": "1200", "maxheight": "1000"}
    layout = E.zone(
        {"id": "1", "type-v2": "layout-basic", "x": "0", "y": "0", "w": str(whole), "h": str(whole)}, *zones
    )
    return E.dashboard(
        E.style(),
        E.size(size | {"sizing-mode": "fixed"}),
        E.zones(layout),
        _identity("sheet", DASHBOARD),
        name=DASHBOARD,
    )


def _windows() -> Iterator[etree._Element]:
    views = (E.viewpoint(E.zoom(type="entire-view"), name=sheet.name) for sheet in SHEETS)
    first = {"class": "dashboard", "name": DASHBOARD, "maximized": "true"}
    yield E.window(E.viewpoints(*views), E.active(id="-1"), _identity("window", DASHBOARD), first)
    for sheet in SHEETS:
        yield E.window(E.cards(), _identity("window", sheet.name), {"class": "worksheet", "name": sheet.name})


def _identity(kind: str, name: str) -> etree._Element:
    return E("simple-id", uuid="{" + str(uuid.uuid5(_IDS, f"{kind}:{name}")).upper() + "}")


def _text(element: etree._Element) -> bytes:
    return bytes(etree.tostring(element, xml_declaration=True, encoding="utf-8", pretty_print=True))


def _write(path: str | Path, element: etree._Element) -> None:
    Path(path).write_bytes(_text(element))


# What the published form does not see


def problems(book: etree._Element, columns: Sequence[str]) -> list[str]:
    """One line for each reference in a workbook that leads nowhere. `columns`: those that the extract has."""
    return [
        *_field_problems(book, set(columns)),
        *(problem for sheet in book.iterfind("worksheets/worksheet") for problem in _sheet_problems(sheet)),
        *_dashboard_problems(book),
    ]


def _field_problems(book: etree._Element, columns: set[str]) -> Iterator[str]:
    own = book.findall("datasources/datasource/column")
    computed = {column.get("name", "")[1:-1] for column in own if column.find("calculation") is not None}
    stored = {column.get("name", "")[1:-1] for column in own} - computed
    for name in sorted(stored - columns):
        yield f"the data source has a field {name} that the extract has not"
    for calculation in book.iterfind("datasources/datasource/column/calculation"):
        for name in _referred(calculation.get("formula", "")):
            if name not in stored | computed:
                yield f"the formula {calculation.get('formula')} names {name}, which does not exist"
    for column in book.iterfind("worksheets//datasource-dependencies/column"):
        if (name := column.get("name", "")[1:-1]) not in stored | computed:
            yield f"a sheet depends on {name}, which does not exist"


def _sheet_problems(sheet: etree._Element) -> Iterator[str]:
    where = f"the sheet {sheet.get('name')}"
    known = {column.get("name") for column in sheet.iterfind(".//datasource-dependencies/column")}
    uses = {}
    for instance in sheet.iterfind(".//column-instance"):
        uses[instance.get("name")] = instance
        if instance.get("column") not in known:
            yield f"{where} uses {instance.get('column')} without depending on it"
    shelves = [element.text or "" for tag in ("rows", "cols") for element in sheet.iter(tag)]
    shelves += [element.get("column", "") for element in sheet.iterfind(".//encodings/*")]
    shelves += [element.get(name, "") for element in sheet.iter("computed-sort") for name in ("column", "using")]
    shelves += [element.get("column", "") for element in sheet.iter("filter")]
    for source, use in re.findall(r"\[([^\]]+)\]\.(\[[^\]]+\])", " ".join(shelves)):
        if source != _SOURCE or use not in uses:
            yield f"{where} shows [{source}].{use}, which it does not define"
    if not any(shelves[:2]):
        yield f"{where} shows nothing"


def _dashboard_problems(book: etree._Element) -> Iterator[str]:
    sheets = [sheet.get("name") for sheet in book.iterfind("worksheets/worksheet")]
    dashboards = [dashboard.get("name") for dashboard in book.iterfind("dashboards/dashboard")]
    if not sheets:
        yield "the workbook has no sheets"
    for dashboard in book.iterfind("dashboards/dashboard"):
        shown = [zone.get("name") for zone in dashboard.iter("zone") if zone.get("name")]
        if not shown:
            yield f"the dashboard {dashboard.get('name')} shows no sheet"
        yield from (f"the dashboard shows {name}, which does not exist" for name in shown if name not in sheets)
    windows = [window.get("name") for window in book.iterfind("windows/window")]
    yield from (f"{name} has no window" for name in [*sheets, *dashboards] if name not in windows)
    yield from (f"the window {name} shows nothing" for name in windows if name not in [*sheets, *dashboards])


def totals(path: str | Path) -> Mapping[str, Any]:
    """Rows, quantity and revenue of an extract, exact, asked of Hyper in SQL."""
    sql = 'SELECT COUNT(*) AS rows, SUM(quantity) AS quantity, SUM(revenue) AS revenue FROM "Extract"."Extract"'
    (found,) = query_extract(path, sql)
    return {**found, "revenue": Decimal(found["revenue"] or 0)}
