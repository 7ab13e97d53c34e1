"""The checks of notebook 01: selecting rows, naming one, adding up money. All are about the committed sample."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from helpers.checks import Wrong, exercise
from helpers.rows import Row, Selection, read_rows, revenue

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "online-retail-sample.csv"
MONDAY, FRIDAY = dt.date(2011, 11, 21), dt.date(2011, 11, 25)


def _ids(selection: Selection) -> list[str]:
    return [row["RowId"] for row in read_rows(SAMPLE, selection)]


@exercise("01-1", hint="Selection(since=…, until=…) with datetime.date; both days are included.")
def a_week(answer: Any) -> str:
    if not isinstance(answer, Selection):
        raise Wrong("give a Selection(...): it says which rows, read_rows then reads them.")
    chosen, wanted = _ids(answer), _ids(Selection(since=MONDAY, until=FRIDAY))
    if chosen == wanted:
        return f"{len(wanted)} rows, from the first of Monday to the last of Friday."
    if missing := set(wanted) - set(chosen):
        raise Wrong(f"{len(missing)} rows of that week are missing; since and until are both included.")
    raise Wrong(f"it takes {len(set(chosen) - set(wanted))} rows of other days, too.")


def _is_cancellation(row: Row) -> bool:
    return row["InvoiceNo"].startswith("C")


def _cancellations() -> Iterator[Row]:
    return filter(_is_cancellation, read_rows(SAMPLE))


@exercise("01-2", hint='Read until the first row whose InvoiceNo begins with "C", and look at its RowId.')
def first_cancellation(answer: Any) -> str:
    right = next(_cancellations())
    if answer == right["RowId"]:
        return f"{right['RowId']} takes back {-right['Quantity']} × {right['StockCode']}, whatever the file is called."
    if str(answer) == right["InvoiceNo"]:
        raise Wrong("that is its invoice, which may have many rows; which row is it?")
    name, _, number = right["RowId"].rpartition(":")
    if str(answer).rpartition(":")[2].lstrip("0") == number.lstrip("0"):
        raise Wrong(f"the right row, but a RowId is a string: the source {name}, a colon, six digits.")
    if answer in (f"{name}:{int(number) - 1:06d}", f"{name}:{int(number) + 1:06d}"):
        raise Wrong("one off: data rows are counted from 1, and the header is not one of them.")
    raise Wrong('that row is no cancellation, or not the first: its InvoiceNo begins with "C".')


@exercise("01-3", hint="Add up Quantity × Decimal(UnitPrice) over the rows you want, or give `revenue` only these.")
def sales(answer: Any) -> str:
    right = revenue(row for row in read_rows(SAMPLE) if not _is_cancellation(row))
    if isinstance(answer, float):
        raise Wrong("a float is no money; the last digits show it. Begin with Decimal(0), and Decimal(UnitPrice).")
    amount = Decimal(answer)
    if amount == right:
        taken_back = -revenue(_cancellations())
        return f"{right} without cancellations; they take back {taken_back}, and the difference is what is left."
    if amount == revenue(read_rows(SAMPLE)):
        raise Wrong("that is everything; leave out the rows that are cancellations.")
    raise Wrong("not the sum of Quantity × UnitPrice over all rows that are no cancellation.")
