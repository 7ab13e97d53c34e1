"""The XML files: a live connection (.tds), and the workbook with its extract in one file (.twbx).

Tableau publishes their form: https://github.com/tableau/tableau-document-schemas.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.builder import E

from .extract import SCHEMA, TABLE
from .sheets import DASHBOARD, FIELDS, REVENUE, SHEETS, SOURCE, Field, Sheet, Use

VERSION = "26.1"  # of the workbook's form; Tableau 2026.1 and later open it
_USER = "http://www.tableausoftware.com/xml/user"
_IDS = uuid.UUID("6f0c1e52-5a43-4c11-9d0c-6d3c0f5a1e77")  # what the identifiers of sheets are derived from


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
    named = {"formatted-name": SOURCE} if formatted else {"name": SOURCE, "caption": caption}
    return E.datasource(
        {"inline": "true", "version": "18.1", **named},
        E.connection(
            {"class": "federated"},
            E("named-connections", E("named-connection", connection, caption=label, name=key)),
            relation,
        ),
        E.aliases(enabled="yes"),
        *(_column(field) for field in FIELDS.values()),
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
        {"class": "hyper", "dbname": "Data/retail.hyper", "schema": SCHEMA, "tablename": TABLE},
        {"authentication": "auth-none", "server": "", "username": "", "sslmode": "", "default-settings": "yes"},
    )
    relation = E.relation(connection="hyper.retail", name=TABLE, table=f"[{SCHEMA}].[{TABLE}]", type="table")
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
    uses = [use for use in (sheet.columns, sheet.rows, sheet.color) if use] + ([REVENUE] if sheet.most else [])
    view = E.view(
        E.datasources(E.datasource(name=SOURCE, caption="retail")),
        E("datasource-dependencies", *_dependencies(uses), datasource=SOURCE),
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
            needed[name] = FIELDS[name]
            for other in referred(FIELDS[name].formula):
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


def referred(formula: str) -> list[str]:
    """The fields that a formula names."""
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
    yield E("computed-sort", column=str(member), direction="DESC", using=str(REVENUE))
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
