"""The files for Tableau: exact, valid, and with nothing that leads nowhere."""

from __future__ import annotations

import copy
import datetime as dt
import os
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lxml import etree

from helpers import tableau
from helpers.dashboard import dashboard
from helpers.lab import SAMPLE
from helpers.rows import read_rows
from tests import tableau_schema

pytestmark = pytest.mark.skipif(bool(tableau.MISSING), reason=tableau.MISSING or "-")
NAMES = [field.name for field in tableau.COLUMNS]


def sales(csv: str | Path = SAMPLE) -> pd.DataFrame:
    """The rows of a file as the view bi.sales has them."""
    return pd.DataFrame(
        {
            "row_id": row["RowId"],
            "invoice_no": row["InvoiceNo"],
            "stock_code": row["StockCode"],
            "product": row["Description"],
            "customer_id": row["CustomerID"],
            "country": row["Country"],
            "invoiced_at": dt.datetime.fromisoformat(row["InvoiceDate"]),
            "quantity": row["Quantity"],
            "unit_price": Decimal(row["UnitPrice"]),
            "revenue": row["Quantity"] * Decimal(row["UnitPrice"]),
            "is_return": row["InvoiceNo"].startswith("C"),
        }
        for row in read_rows(csv, on_refused=lambda _: None)
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def document_api() -> Any:
    """Tableau's own library for its files; it still asks for distutils, which Python 3.12 has no more."""
    if sys.version_info >= (3, 12):
        pytest.importorskip("setuptools", reason="tableaudocumentapi needs distutils: setuptools brings it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import tableaudocumentapi

        return tableaudocumentapi


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return sales()


@pytest.fixture(scope="module")
def extract(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tableau") / "retail.hyper"
    tableau.write_extract(path, rows)
    return path


@pytest.fixture(scope="module")
def packaged(extract: Path) -> Path:
    path = extract.with_suffix(".twbx")
    tableau.write_workbook(path, extract)
    return path


@pytest.fixture
def book(packaged: Path) -> etree._Element:
    return copy.deepcopy(tableau.read_workbook(packaged))


class TestExtract:
    def test_holds_the_rows_to_the_last_decimal(self, extract: Path, rows: pd.DataFrame) -> None:
        assert tableau.totals(extract) == {
            "rows": len(rows),
            "quantity": rows["quantity"].sum(),
            "revenue": sum(rows["revenue"]),
        }
        assert len(rows) == 5000

    def test_sums_agree_by_month_and_country(self, extract: Path, rows: pd.DataFrame) -> None:
        sql = """SELECT DATE_TRUNC('month', invoiced_at) AS month, country, SUM(revenue) AS revenue
                 FROM "Extract"."Extract" GROUP BY 1, 2"""
        found = {(f"{r['month']:%Y-%m}", r["country"]): r["revenue"] for r in tableau.query_extract(extract, sql)}
        expected = rows.groupby([rows["invoiced_at"].dt.strftime("%Y-%m"), "country"])["revenue"].sum().to_dict()
        assert found == expected

    def test_a_guest_and_an_empty_description_stay_empty(self, extract: Path, rows: pd.DataFrame) -> None:
        sql = 'SELECT COUNT(*) - COUNT(customer_id) AS guests FROM "Extract"."Extract"'
        assert tableau.query_extract(extract, sql) == [{"guests": int(rows["customer_id"].isna().sum())}]

    def test_writing_again_replaces_and_leaves_no_log(self, rows: pd.DataFrame, tmp_path: Path) -> None:
        for _ in range(2):
            tableau.write_extract(tmp_path / "a.hyper", rows[:7])
        assert tableau.totals(tmp_path / "a.hyper")["rows"] == 7
        assert [path.name for path in tmp_path.iterdir()] == ["a.hyper"]

    def test_a_missing_column_is_named(self, rows: pd.DataFrame, tmp_path: Path) -> None:
        with pytest.raises(KeyError, match="country"):
            tableau.write_extract(tmp_path / "a.hyper", rows.drop(columns="country"))

    @pytest.mark.skipif("ONLINE_RETAIL_CSV" not in os.environ, reason="ONLINE_RETAIL_CSV names no file")
    def test_the_real_file(self, tmp_path: Path) -> None:
        tableau.write_extract(tmp_path / "real.hyper", sales(os.environ["ONLINE_RETAIL_CSV"]))
        found = tableau.totals(tmp_path / "real.hyper")
        assert (found["rows"], found["revenue"]) == (541_909, Decimal("9747747.934"))


class TestWorkbook:
    def test_is_valid_in_tableaus_published_form(self, book: etree._Element, tmp_path: Path) -> None:
        path = tableau_schema.find()
        if path is None:
            pytest.skip("no XSD: `python tests/tableau_schema.py` fetches it")
        schema = tableau_schema.load(path, tmp_path)
        schema.assertValid(book)
        book.find("worksheets/worksheet/table/panes/pane/mark").set("class", "Lines")
        assert not schema.validate(book)

    def test_nothing_leads_nowhere(self, book: etree._Element) -> None:
        assert tableau.problems(book, NAMES) == []

    def test_has_at_least_six_sheets_on_one_dashboard(self, book: etree._Element) -> None:
        sheets = [sheet.get("name") for sheet in book.iterfind("worksheets/worksheet")]
        assert len(sheets) >= 6
        assert [zone.get("name") for zone in book.iter("zone") if zone.get("name")] == sheets

    def test_zones_fill_the_dashboard_without_overlap(self, book: etree._Element) -> None:
        zones = [zone for zone in book.iter("zone") if zone.get("name")]
        places = [tuple(int(zone.get(key)) for key in "xywh") for zone in zones]
        assert all(x + w <= 100_000 and y + h <= 100_000 for x, y, w, h in places)
        for number, (x, y, w, h) in enumerate(places):
            for u, v, width, height in places[number + 1 :]:
                assert x + w <= u or u + width <= x or y + h <= v or v + height <= y

    def test_the_same_extract_gives_the_same_bytes(self, packaged: Path, extract: Path, tmp_path: Path) -> None:
        again = tmp_path / "again.twbx"
        tableau.write_workbook(again, extract)
        assert again.read_bytes() == packaged.read_bytes()

    def test_reopens_by_tableaus_own_library(self, packaged: Path) -> None:
        opened = document_api().Workbook(str(packaged))
        assert opened.dashboards == [tableau.DASHBOARD]
        assert opened.worksheets == [sheet.name for sheet in tableau.SHEETS]
        (source,) = opened.datasources
        assert source.connections[0].dbclass == "hyper"
        assert source.fields["[revenue]"].caption == "Revenue"
        used = {name.strip("[]") for name, field in source.fields.items() if field.worksheets}
        assert {"revenue", "country", "invoiced_at", "Calculation_orders"} <= used

    def breakages() -> Any:  # type: ignore[misc]  # noqa: N805
        def drop(path: str) -> Any:
            def change(book: etree._Element) -> None:
                for element in book.findall(path):
                    element.getparent().remove(element)

            return change

        def replace(path: str, attribute: str, value: str) -> Any:
            return lambda book: book.find(path).set(attribute, value)

        def text(path: str, value: str) -> Any:
            return lambda book: setattr(book.find(path), "text", value)

        source = "datasources/datasource"
        return {
            "a column that the extract has not": (
                replace(f"{source}/column", "name", "[rowid]"),
                "a field rowid that the extract has not",
            ),
            "a formula on nothing": (
                replace(f"{source}/column/calculation", "formula", "SUM([turnover])"),
                "names turnover, which does not exist",
            ),
            "a shelf without its use": (
                text("worksheets/worksheet/table/rows", "[federated.retail].[sum:turnover:qk]"),
                "which it does not define",
            ),
            "a sheet with empty shelves": (
                lambda book: [setattr(e, "text", "") for t in ("rows", "cols") for e in book.iter(t)],
                "shows nothing",
            ),
            "a zone without its sheet": (
                replace("dashboards/dashboard/zones/zone/zone", "name", "Turnover"),
                "the dashboard shows Turnover, which does not exist",
            ),
            "a dashboard without zones": (drop("dashboards/dashboard/zones/zone"), "shows no sheet"),
            "no sheets": (drop("worksheets/worksheet"), "the workbook has no sheets"),
            "no windows": (drop("windows/window"), "Retail has no window"),
        }

    @pytest.mark.parametrize(("change", "said"), breakages().values(), ids=breakages())  # type: ignore[call-arg]
    def test_what_leads_nowhere_is_found(self, book: etree._Element, change: Any, said: str) -> None:
        change(book)
        assert said in "\n".join(tableau.problems(book, NAMES))


class TestLiveConnection:
    def test_names_the_cluster_tls_and_no_password(self, tmp_path: Path) -> None:
        path = tmp_path / "retail-redshift.tds"
        tableau.write_datasource(path, server="workbook.example", database="retail", username="tableau")
        connection = etree.parse(path).find(".//named-connection/connection")
        assert dict(connection.attrib) == {
            "class": "redshift",
            "server": "workbook.example",
            "port": "5439",
            "dbname": "retail",
            "schema": "bi",
            "username": "tableau",
            "authentication": "username-password",
            "sslmode": "verify-full",
        }
        assert "password" not in path.read_text().replace("username-password", "")

    def test_reopens_by_tableaus_own_library(self, tmp_path: Path) -> None:
        path = tmp_path / "retail-redshift.tds"
        tableau.write_datasource(path, server="workbook.example", database="retail", username="tableau")
        opened = document_api().Datasource.from_file(str(path))
        assert [(c.server, c.port, c.dbname) for c in opened.connections] == [("workbook.example", "5439", "retail")]
        assert set(NAMES) <= {name.strip("[]") for name in opened.fields}


class TestSheets:
    """What a sheet asks, next to the same worked out in pandas."""

    @staticmethod
    def asked(extract: Path, name: str) -> list[dict[str, Any]]:
        (sheet,) = [sheet for sheet in tableau.SHEETS if sheet.name == name]
        return tableau.query_extract(extract, sheet.sql)

    def test_countries_are_ranked_by_revenue(self, extract: Path, rows: pd.DataFrame) -> None:
        sums = rows.groupby("country")["revenue"].sum()
        expected = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:10]
        assert [(mark["y"], mark["x"]) for mark in self.asked(extract, "Revenue by country")] == expected

    def test_an_invoice_counts_as_one_order(self, extract: Path, rows: pd.DataFrame) -> None:
        sold = rows[~rows["is_return"]]
        weekday = (sold["invoiced_at"].dt.weekday + 1) % 7  # from Monday as 0 to Sunday as 0
        expected = sold.groupby([sold["invoiced_at"].dt.hour, weekday])["invoice_no"].nunique().to_dict()
        found = {(m["x"], m["y"]): m["color"] for m in self.asked(extract, "Orders by hour and weekday")}
        assert {place: count for place, count in found.items() if count} == expected

    def test_customers_come_back_counted_from_their_first_month(self, extract: Path, rows: pd.DataFrame) -> None:
        sold = rows[~rows["is_return"] & rows["customer_id"].notna()]
        month = sold["invoiced_at"].dt.year * 12 + sold["invoiced_at"].dt.month
        first = month.groupby(sold["customer_id"]).transform("min")
        expected = sold.groupby([first, month - first])["customer_id"].nunique().to_dict()
        marks = [mark for mark in self.asked(extract, "Customers who come back") if mark["color"]]
        found = {(mark["y"].year * 12 + mark["y"].month, mark["x"]): mark["color"] for mark in marks}
        assert found == expected

    def test_the_returned_share_is_of_what_was_sold(self, extract: Path, rows: pd.DataFrame) -> None:
        month = rows["invoiced_at"].dt.strftime("%Y-%m")
        back = rows[rows["is_return"]].groupby(month)["revenue"].sum()
        sold = rows[~rows["is_return"]].groupby(month)["revenue"].sum()
        found = {f"{m['x']:%Y-%m}": m["y"] for m in self.asked(extract, "Returned share by month")}
        for name, amount in sold.items():
            assert found[name] == pytest.approx(float(-back.get(name, Decimal(0)) / amount))

    def test_the_drawing_tells_every_sheet(self, extract: Path) -> None:
        drawn = dashboard(extract)
        assert all(f"{sheet.name}: " in drawn.alt for sheet in tableau.SHEETS)
        assert dashboard(extract).png == drawn.png
        assert drawn.width > 900, "as wide as the other pictures: its small letters must be readable"
