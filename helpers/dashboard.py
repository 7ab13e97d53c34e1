"""The dashboard of the Tableau workbook, drawn here: the same sheets, asked of the same extract.

So that who has no Tableau sees it, and who has it can compare. Tableau draws it in its own way; the numbers are these.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from helpers import tableau
from helpers.figures import CARD, INK, LINE, PIXELS_AN_INCH, SERIES, SOFT, Picture, own_style, picture

Marks = Sequence[dict[str, Any]]  # {"x": …, "y": …, "color": …} for each mark of a sheet


@own_style()
def dashboard(extract: str | Path) -> Picture:
    """All sheets of `tableau.SHEETS`, two beside each other, with what they show told in the picture's alt text."""
    rows = -(-len(tableau.SHEETS) // 2)
    layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14)
    figure = Figure(figsize=(10.4, 2.7 * rows), dpi=2 * PIXELS_AN_INCH, facecolor=CARD, layout=layout)
    told = []
    for number, sheet in enumerate(tableau.SHEETS, 1):
        axes = figure.add_subplot(rows, 2, number)
        axes.set_title(sheet.name, loc="left", fontsize=10.5, weight="bold", color=INK, pad=8)
        axes.set_facecolor(CARD)
        axes.tick_params(length=0, colors=SOFT, labelsize=8)
        for side in ("left", "right", "top", "bottom"):
            axes.spines[side].set_color(LINE)
            axes.spines[side].set_visible(side in ("left", "bottom") and sheet.mark != "Square")
        marks = [mark for mark in tableau.query_extract(extract, sheet.sql) if None not in mark.values()]
        told.append(f"{sheet.name}: {_DRAW[_shape(sheet)](axes, sheet, marks)}")
    return picture(figure, f"Dashboard {tableau.DASHBOARD}. " + " ".join(told), colours=256)


def _shape(sheet: tableau.Sheet) -> str:
    if sheet.mark == "Square":
        return "squares"
    return "ranking" if sheet.most else "months"


def _months(axes: Any, sheet: tableau.Sheet, marks: Marks) -> str:
    places = range(len(marks))
    heights = [float(mark["y"]) for mark in marks]
    if sheet.mark == "Line":
        axes.plot(places, heights, color=SERIES[0], linewidth=1.8, marker="o", markersize=3.5)
    else:
        axes.bar(places, heights, color=SERIES[0], width=0.7)
    months = [mark["x"] for mark in marks]
    first = months[0] if months and months[0].month < 12 else None  # of December and January one year is enough
    names = [f"{m:%b\n%Y}" if m == first or m.month == 1 else f"{m:%b}" for m in months]
    axes.set_xticks(places, names)
    share = sheet.rows.derivation == "User"
    axes.yaxis.set_major_formatter((lambda value, _: f"{value:.0%}") if share else (lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=1.1 * min([0, *heights]))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    said = [f"{float(mark['y']):.1%}" if share else f"{mark['y']:,}" for mark in marks]
    return "; ".join(f"{month:%Y-%m} {words}" for month, words in zip(months, said, strict=True)) + "."


def _ranking(axes: Any, sheet: tableau.Sheet, marks: Marks) -> str:
    widths = [float(mark["x"]) for mark in marks]
    axes.barh(range(len(marks)), widths, color=SERIES[0], height=0.7)
    axes.set_yticks(range(len(marks)), [_short(mark["y"]) for mark in marks])
    axes.invert_yaxis()
    axes.set_xlim(0, max([*widths, 1]) * 1.25)
    axes.set_xticks([])
    for place, width in enumerate(widths):
        axes.text(max(width, 0), place, f" {width:,.0f}", va="center", fontsize=8, color=INK)
    return "; ".join(f"{mark['y'].strip()} {mark['x']:,}" for mark in marks) + "."


def _squares(axes: Any, sheet: tableau.Sheet, marks: Marks) -> str:
    marks = [mark for mark in marks if mark["color"]]
    columns, rows = sorted({mark["x"] for mark in marks}), sorted({mark["y"] for mark in marks})
    most = max(mark["color"] for mark in marks)
    shares = {(mark["y"], mark["x"]): mark["color"] / most for mark in marks}
    grid = [[shares.get((row, column), float("nan")) for column in columns] for row in rows]
    places = [n - 0.5 for n in range(len(columns) + 1)], [n - 0.5 for n in range(len(rows) + 1)]
    axes.pcolormesh(*places, grid, cmap=_shades(), vmin=0, vmax=1, edgecolors=CARD, linewidth=1.5)
    axes.set_xticks(range(len(columns)), [f"{column:g}" for column in columns])
    axes.set_yticks(range(len(rows)), [_named(row, sheet.rows) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(_caption(sheet.columns), color=SOFT, fontsize=8)
    best = max(marks, key=lambda mark: mark["color"])
    return (
        f"squares, darkest where {_caption(sheet.color)} are most: {best['color']} at {_named(best['y'], sheet.rows)}, "
        f"{_caption(sheet.columns)} {best['x']:g}; {sum(mark['color'] for mark in marks):,} in {len(marks)} squares."
    )


_DRAW: dict[str, Callable[[Any, tableau.Sheet, Marks], str]] = {
    "months": _months,
    "ranking": _ranking,
    "squares": _squares,
}


def _shades() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("workbook", ["#dbe7f3", SERIES[0]])


def _named(value: Any, use: tableau.Use) -> str:
    """0 is Sunday for Tableau and Hyper."""
    return calendar.day_abbr[(int(value) - 1) % 7] if use.derivation == "Weekday" else f"{value:%Y-%m}"


def _caption(use: tableau.Use | None) -> str:
    return "" if use is None else "hour" if use.derivation == "Hour" else tableau.FIELDS[use.field].caption.lower()


def _short(name: str) -> str:
    name = name.strip()
    return name if len(name) <= 26 else name[:25] + "…"
