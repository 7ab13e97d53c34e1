"""Files for Tableau: an extract (.hyper), a live connection (.tds), and a packaged workbook (.twbx) on the extract."""

from .extract import MISSING, query_extract, read_unloaded, totals, write_duckdb, write_extract
from .problems import problems
from .sheets import CALCULATIONS, COLUMNS, DASHBOARD, FIELDS, SHEETS, Field, Sheet, Use
from .workbook import read_connection, read_workbook, write_datasource, write_workbook

__all__ = [
    "CALCULATIONS",
    "COLUMNS",
    "DASHBOARD",
    "FIELDS",
    "MISSING",
    "SHEETS",
    "Field",
    "Sheet",
    "Use",
    "problems",
    "query_extract",
    "read_connection",
    "read_unloaded",
    "read_workbook",
    "totals",
    "write_datasource",
    "write_duckdb",
    "write_extract",
    "write_workbook",
]
