"""What leads nowhere in a workbook. The published form does not see a field that does not exist, or a dashboard that
shows no sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lxml import etree

from .sheets import SOURCE
from .workbook import referred


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
        for name in referred(calculation.get("formula", "")):
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
        if source != SOURCE or use not in uses:
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
