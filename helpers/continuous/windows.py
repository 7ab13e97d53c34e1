"""Windows over event time: revenue a minute and country, orders an hour, and which rows came too late.

    windows = Windows(delay=timedelta(minutes=2))
    windows.add(read_event(row))
    windows.watermark      # no window that ends before it takes rows any more
    windows.take()         # what the rows since the last take have changed

Nothing here knows a stream or a table: rows in, numbers out. Money is Decimal, and the sums are exact.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from helpers.rows import EXACT

Row = Mapping[str, Any]

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
SLIDE = dt.timedelta(minutes=10)  # an hour's window begins every ten minutes
_ORIGIN = dt.datetime(1970, 1, 1)  # windows of any size are counted from here, so that all agree on their borders
_LONGEST = {"RowId": 200, "InvoiceNo": 100, "Country": 100}  # characters; they become keys of a table
_PRICE = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_MOST_DIGITS = 30  # of an amount: a table's number has 38, and a sum needs room to grow


class Unreadable(ValueError):
    """A record is no row; the message says why."""


def tumbling(moment: dt.datetime, size: dt.timedelta) -> dt.datetime:
    """The start of the one window of that size in which the moment lies: its start belongs to it, its end does not."""
    return moment - (moment - _ORIGIN) % size


def sliding(moment: dt.datetime, size: dt.timedelta, slide: dt.timedelta) -> list[dt.datetime]:
    """The starts of all windows in which the moment lies, when one of that size begins with every slide."""
    last = tumbling(moment, slide)
    return [last - slide * back for back in reversed(range(-(-size // slide))) if last - slide * back + size > moment]


@dataclass(slots=True)
class Sum:
    """What a window of revenue holds."""

    revenue: Decimal = Decimal(0)
    rows: int = 0


@dataclass(slots=True)
class Changes:
    """What some rows have changed: the sums to add, the invoices to unite, the rows that were set aside."""

    revenue: dict[tuple[dt.datetime, str], Sum] = field(default_factory=dict)  # by minute and country
    orders: dict[dt.datetime, set[str]] = field(default_factory=dict)  # by the slide in which they came: a pane
    late: list[Event] = field(default_factory=list)
    rows: int = 0  # the late ones too

    @property
    def items(self) -> int:
        """How many items of a table they touch."""
        return len(self.revenue) + len(self.orders) + len(self.late)


class Windows:
    """The windows of one shard. `watermark` is where an earlier reader of the shard left it.

    The watermark follows the latest event time by `delay`: so much disorder is expected. A row is late when the
    watermark has passed the end of its minute, and then it is in no window at all: every window of an hour in which a
    row lies ends with its minute or after it, so no window changes once the watermark has passed its end.
    """

    def __init__(self, delay: dt.timedelta, watermark: dt.datetime | None = None) -> None:
        self.delay, self.watermark = delay, watermark
        self.changes = Changes()

    def add(self, event: Event) -> bool:
        """Counts a row; False when it is late."""
        changes, row, moment = self.changes, event.row, event.moment
        changes.rows += 1
        minute = tumbling(moment, MINUTE)
        if self.watermark is not None and minute + MINUTE <= self.watermark:
            changes.late.append(event)
            return False
        window = changes.revenue.setdefault((minute, row["Country"]), Sum())
        window.revenue = EXACT.add(window.revenue, event.amount)
        window.rows += 1
        if event.is_order:
            changes.orders.setdefault(tumbling(moment, SLIDE), set()).add(row["InvoiceNo"])
        if self.watermark is None or moment - self.delay > self.watermark:
            self.watermark = moment - self.delay
        return True

    def take(self) -> Changes:
        """What has changed since the last call."""
        taken, self.changes = self.changes, Changes()
        return taken


def orders_by_hour(panes: Mapping[dt.datetime, set[str]]) -> dict[dt.datetime, int]:
    """Orders in each sliding hour, by its start: the different invoices of the six panes that it consists of."""
    starts = {start for pane in panes for start in sliding(pane, HOUR, SLIDE)}
    hours = {start: [start + SLIDE * n for n in range(HOUR // SLIDE)] for start in sorted(starts)}
    return {start: len(set().union(*(panes.get(pane, set()) for pane in six))) for start, six in hours.items()}


class Event(NamedTuple):
    """A row, when it happened in the shop (not when it arrived), and Quantity × UnitPrice."""

    row: Row
    moment: dt.datetime
    amount: Decimal

    @property
    def is_order(self) -> bool:
        """Cancellations (C…) and adjustments (A…) are invoices, too, but no orders."""
        return bool(self.row["InvoiceNo"][0].isdigit())


def read_event(row: Any) -> Event:
    """The row as an event. Raises Unreadable when it is none: a field is missing, no number, no date, too long."""
    if not isinstance(row, dict):
        raise Unreadable(f"no JSON object: {_short(row)}")
    for name, longest in _LONGEST.items():
        if not isinstance(row.get(name), str) or not 0 < len(row[name]) <= longest:
            raise Unreadable(f"{name} is no text of 1 to {longest} characters: {_short(row.get(name))}")
    return Event(row, _moment(row.get("InvoiceDate")), _amount(row.get("Quantity"), row.get("UnitPrice")))


def _moment(text: Any) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unreadable(f"InvoiceDate is no date: {_short(text)}") from None
    if moment.tzinfo is not None or not 1970 < moment.year < 9000:
        raise Unreadable(f"InvoiceDate is no local time since 1971: {_short(text)}")
    return moment


def _amount(quantity: Any, price: Any) -> Decimal:
    exact = Decimal(price) if isinstance(price, str) and _PRICE.fullmatch(price) else None
    if exact is None or type(quantity) is not int or len(str(quantity)) + len(price) > _MOST_DIGITS:
        raise Unreadable(f"no amount: Quantity {_short(quantity)}, UnitPrice {_short(price)}")
    return EXACT.multiply(Decimal(quantity), exact)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
