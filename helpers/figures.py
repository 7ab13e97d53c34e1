"""The pictures of the workbook, in one visual language: the platform's map, bars, steps, lines, heatmaps.

    platform_map("02")
    bars({"client": 5000, "kinesis": 5000}, title="Rows at each stage", unit="rows")

Every picture is a `Picture`: a PNG on a card of its own, so that it reads the same in a light and a dark
theme, with its description in words. The description is the picture's alt text, and the text that a test
compares.
"""

from __future__ import annotations

import io
import os
from base64 import b64encode
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

INK, SOFT, LINE, CARD = "#1f2933", "#52606d", "#c3ccd5", "#f7f9fb"
HERE, DONE, TO_COME = "#b45309", "#1d5b8f", "#ffffff"
SERIES = ("#1d5b8f", "#d98324", "#4d8b57", "#8a5a9e")  # told apart also by those who see no red or green

PICTURES = Path(__file__).parent / "pictures"
_FRAME = 'width="100%" style="border: 1px solid #c3ccd5; border-radius: 6px; color-scheme: normal"'
PIXELS_AN_INCH = 100  # as shown; the file has twice as many
_STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.edgecolor": LINE}

_CENTERED: Any = {"ha": "center", "va": "center", "zorder": 4}

Number = int | float | Decimal


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and its description. `width` is in CSS pixels; the file has two for each, for sharp screens."""

    png: bytes
    alt: str
    width: int

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # JupyterLab and nbconvert drop the alt text of an image/png output; of an <img> they keep it.
        source = f"data:image/png;base64,{b64encode(self.png).decode()}"
        picture = f'<img alt="{escape(self.alt)}" width="{self.width}" src="{source}">'
        return {"text/html": picture, "text/plain": self.alt}

    def save(self, path: str | Path) -> None:
        """Write the PNG to a file."""
        Path(path).write_bytes(self.png)


@dataclass(frozen=True, slots=True)
class _Box:
    layer: int
    row: float
    name: str
    notebook: str
    note: str = ""


LAYERS = ("Client", "Connect", "Buffer", "Process", "Store", "Visualize")

_BOXES = {
    "client": _Box(0, 1, "Python client", "01", "reads the CSV"),
    "gateway": _Box(1, 0, "API Gateway", "02", "test, /hello"),
    "lambda": _Box(1, 1, "Lambda", "02", "test"),
    "kinesis": _Box(2, 1, "Kinesis", "02", "APIdata"),
    "kafka": _Box(2, 4, "Kafka", "09", "the alternative"),
    "items": _Box(3, 0, "Lambda", "04", "writes items"),
    "files": _Box(3, 1, "Lambda", "03", "writes files"),
    "firehose": _Box(3, 2, "Firehose", "06", "loads by COPY"),
    "batch": _Box(3, 3, "Lambda", "08", "on a schedule"),
    "continuous": _Box(3, 4, "Process", "10", "runs all the time"),
    "dynamodb": _Box(4, 0, "DynamoDB", "04", "wide columns"),
    "s3": _Box(4, 1, "S3", "03", "raw files"),
    "redshift": _Box(4, 2, "Redshift", "06", "warehouse"),
    "api": _Box(5, 0, "API, web page", "05", "for apps"),
    "tableau": _Box(5, 2, "Tableau", "07", "for analysts"),
}
_ARROWS = (
    ("client", "gateway"),
    ("gateway", "lambda"),
    ("lambda", "kinesis"),
    ("kinesis", "items"),
    ("kinesis", "files"),
    ("kinesis", "firehose"),
    ("kinesis", "continuous"),
    ("kafka", "continuous"),
    ("items", "dynamodb"),
    ("files", "s3"),
    ("firehose", "redshift"),
    ("s3", "batch"),
    ("batch", "redshift"),
    ("dynamodb", "api"),
    ("redshift", "tableau"),
)
_DESIGN = ("Design: which tool for what, and at what price", "00")
_IAM = ("IAM: every part may do its one job, and no more", "02")


@contextmanager
def own_style() -> Generator[None]:
    """Whatever the reader has set in matplotlib changes no picture of ours, and ours change none of theirs."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


@own_style()
def platform_map(lit: str | None = None) -> Picture:
    """The platform with what one notebook builds lit up; earlier notebooks' parts are filled, later ones'
    empty.

    `lit` is the notebook's number ("02"); None draws the whole platform as built. Raises ValueError for a
    number that builds nothing.
    """
    numbers = {box.notebook for box in _BOXES.values()} | {_DESIGN[1], _IAM[1]}
    if lit is not None and lit not in numbers:
        known = ", ".join(sorted(numbers))
        raise ValueError(f"no part of the map belongs to notebook {lit!r}; these have one: {known}")
    figure, axes = _card(10.4, 5.6)
    axes.set_axis_off()
    axes.set_xlim(-0.06, 6.06)
    axes.set_ylim(5.95, -1.05)
    for layer, name in enumerate(LAYERS):
        axes.text(layer + 0.5, -0.2, name, ha="center", va="center", color=SOFT, fontsize=11, weight="bold")
        if layer:
            axes.plot([layer, layer], [-0.3, 4.9], color=LINE, linewidth=0.7, linestyle=(0, (2, 3)))
    for start, end in _ARROWS:
        _arrow(axes, _BOXES[start], _BOXES[end])
    for box in _BOXES.values():
        _box(axes, box.layer + 0.11, box.row + 0.16, 0.78, 0.62, box.notebook, lit, box.name, box.note)
    _box(axes, 0.11, -0.98, 5.78, 0.42, _DESIGN[1], lit, _DESIGN[0])
    _box(axes, 0.11, 5.12, 5.78, 0.42, _IAM[1], lit, _IAM[0])
    if lit:
        for x, colour, words in ((0.3, HERE, "this notebook"), (1.5, DONE, "earlier"), (2.3, TO_COME, "still to come")):
            edge = SOFT if colour == TO_COME else colour
            axes.plot(x - 0.12, 5.78, "s", markersize=8, color=colour, markeredgecolor=edge, markeredgewidth=0.8)
            axes.text(x, 5.79, words, color=SOFT, fontsize=8.5, va="center")
    return picture(figure, _describe_map(lit))


def _describe_map(lit: str | None) -> str:
    layers = []
    for number, layer in enumerate(LAYERS):
        parts = [f"{box.name} ({box.note})" for box in _BOXES.values() if box.layer == number]
        layers.append(f"{layer}: {', '.join(parts)}")
    text = "Map of the platform. " + ". ".join(layers) + "."
    if lit is None:
        return text
    here = [f"{box.name} ({box.note})" for box in _BOXES.values() if box.notebook == lit]
    here += [words.partition(":")[0] for words, number in (_DESIGN, _IAM) if number == lit]
    return f"{text} Lit, as the part of notebook {lit}: {', '.join(here)}."


def _box(
    axes: Any,
    x: float,
    y: float,
    width: float,
    height: float,
    notebook: str,
    lit: str | None,
    name: str,
    note: str = "",
) -> None:
    here, done = notebook == lit, lit is None or notebook < lit
    fill = HERE if here else DONE if done else TO_COME
    ink = "#ffffff" if here or done else SOFT
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=fill,
            edgecolor=fill if here or done else LINE,
            linewidth=1.2,
            zorder=3,
        )
    )
    center, middle = x + width / 2, y + height / 2
    if note:
        axes.text(center, middle - 0.11, name, color=ink, weight="bold", fontsize=9.5, **_CENTERED)
        axes.text(center, middle + 0.12, f"{notebook} · {note}", color=ink, fontsize=8.2, **_CENTERED)
    else:
        axes.text(center, middle, f"{notebook} · {name}", color=ink, weight="bold", fontsize=9.5, **_CENTERED)


def _arrow(axes: Any, start: _Box, end: _Box) -> None:
    """From the side of one box to the facing side of another."""
    along = (end.layer > start.layer) - (end.layer < start.layer)
    if along:
        apart = 0.16 if along < 0 else 0.0  # an arrow back does not end where another begins
        begin = (start.layer + 0.5 + 0.39 * along, start.row + 0.47 + apart)
        finish = (end.layer + 0.5 - 0.39 * along, end.row + 0.47 - apart)
    else:
        begin, finish = (start.layer + 0.5, start.row + 0.78), (end.layer + 0.5, end.row + 0.16)
    axes.add_patch(
        FancyArrowPatch(
            begin,
            finish,
            arrowstyle="-|>",
            mutation_scale=10,
            color=SOFT,
            linewidth=1.3,
            shrinkA=1,
            shrinkB=1,
            zorder=2,
        )
    )


@own_style()
def bars(
    values: Mapping[str, Number] | pd.Series | pd.DataFrame,
    *,
    title: str,
    unit: str = "",
    limit: tuple[str, Number] | None = None,
) -> Picture:
    """Horizontal bars with their numbers: rows at each stage, records on each shard, rows a second.

    A DataFrame draws one bar a column beside each other in every row of the table. `limit` is a line to
    measure the bars against: ("a shard's limit", 1000).
    """
    table = _table(values)
    count, groups = len(table.columns), len(table)
    figure, axes = _card(8.4, 1.05 + groups * max(0.34, 0.26 * count) + 0.3 * (count > 1))
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=INK, pad=22 if count > 1 else 10)
    thickness = 0.7 / count
    most = max([float(number) for column in table for number in table[column]] + [1e-9])
    if limit:
        most = max(most, float(limit[1]))
    for place, column in enumerate(table):
        heights = [float(number) for number in table[column]]
        middles = [row + (place - (count - 1) / 2) * thickness for row in range(groups)]
        axes.barh(middles, heights, thickness * 0.92, color=SERIES[place % len(SERIES)], label=str(column))
        for middle, height, number in zip(middles, heights, table[column], strict=True):
            axes.text(
                max(height, 0) + most * 0.008,
                middle,
                _text(number, unit),
                va="center",
                fontsize=9,
                bbox={"facecolor": CARD, "edgecolor": "none", "pad": 1.5},
            )
    axes.set_yticks(range(groups), [str(name) for name in table.index], fontsize=9.5, color=INK)
    axes.set_ylim(groups - 0.5, -0.5)
    axes.set_xlim(0, most * 1.22)
    axes.set_xticks([])
    _frame(axes, left=True)
    if count > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=count, frameon=False, fontsize=9, borderaxespad=0.1)
    if limit:
        axes.axvline(float(limit[1]), color=HERE, linewidth=1.3, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{limit[0]}: {_text(limit[1], unit)}",
            (float(limit[1]), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            color=HERE,
            fontsize=8.5,
        )
    return picture(figure, _describe_bars(table, title, unit, limit))


def _describe_bars(table: pd.DataFrame, title: str, unit: str, limit: tuple[str, Number] | None) -> str:
    single = len(table.columns) == 1
    parts = [
        f"{name}: " + ", ".join((("" if single else f"{c} ") + _text(row[c], unit)) for c in table.columns)
        for name, row in table.iterrows()
    ]
    text = f"{title}. Bars. " + "; ".join(parts) + "."
    return f"{text} A line marks {limit[0]}: {_text(limit[1], unit)}." if limit else text


@own_style()
def steps(values: Mapping[Any, Number] | pd.Series | pd.DataFrame, *, title: str, x: str, unit: str = "") -> Picture:
    """Numbers that change at moments, as stairs: rows arrived by second, orders by day.

    The index is the horizontal axis (numbers or dates), `x` its name; each column of a DataFrame is a line.
    """
    table = _table(values)
    figure, axes = _card(8.4, 3.0)
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=INK, pad=10)
    for place, column in enumerate(table):
        heights = [float(number) for number in table[column]]
        axes.step(list(table.index), heights, where="post", color=SERIES[place % len(SERIES)], linewidth=1.8)
        if len(table.columns) > 1:
            axes.annotate(
                str(column),
                (table.index[-1], heights[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=SERIES[place % len(SERIES)],
            )
    axes.set_xlabel(x, color=SOFT)
    axes.set_ylabel(unit, color=SOFT)
    axes.tick_params(labelsize=8.5)
    axes.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,g}"))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _frame(axes, left=True, bottom=True)
    lines = [_describe_line(table[column], str(column), x, unit, len(table.columns) > 1) for column in table]
    return picture(figure, f"{title}. Steps. {' '.join(lines)}")


def _describe_line(line: pd.Series, name: str, x: str, unit: str, named: bool) -> str:
    highest = line.astype(float).idxmax()
    return (
        f"{name + ': ' if named else ''}from {_text(line.iloc[0], unit)} at {x} {line.index[0]} "
        f"to {_text(line.iloc[-1], unit)} at {x} {line.index[-1]}, "
        f"at most {_text(line[highest], unit)} at {x} {highest}."
    )


@own_style()
def lines(values: Mapping[Any, Number] | pd.Series | pd.DataFrame, *, title: str, x: str, unit: str = "") -> Picture:
    """How numbers develop: revenue by month, a line for each column of a DataFrame.

    The index is the horizontal axis, evenly spaced, with its labels as they are; `x` is its name. A missing number
    leaves a gap.
    """
    table = _table(values)
    figure, axes = _card(8.4, 3.4)
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=INK, pad=10)
    places = list(range(len(table)))
    ends = []
    for place, column in enumerate(table):
        colour, style = SERIES[place % len(SERIES)], ("-", "--", ":")[place // len(SERIES) % 3]
        heights = [float("nan") if pd.isna(number) else float(number) for number in table[column]]
        axes.plot(places, heights, style, color=colour, linewidth=1.8, marker="o", markersize=3.5)
        drawn = [height for height in heights if height == height]
        ends.append((drawn[-1] if drawn else 0.0, str(column), colour))
    axes.set_xticks(places, [str(name) for name in table.index], rotation=45 if len(table) > 8 else 0)
    axes.set_xlabel(x, color=SOFT)
    axes.set_ylabel(unit, color=SOFT)
    axes.tick_params(labelsize=8.5)
    axes.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,g}"))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _frame(axes, left=True, bottom=True)
    if len(ends) > 1:
        _name_ends(axes, places[-1], ends)
    told = [_describe_line(table[column].dropna(), str(column), x, unit, len(table.columns) > 1) for column in table]
    return picture(figure, f"{title}. Lines. {' '.join(told)}")


def _name_ends(axes: Any, at: float, ends: list[tuple[float, str, str]]) -> None:
    """The lines' names at their right ends, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    step, free = (high - low) * 0.065, float("-inf")
    for height, name, colour in sorted(ends):
        free = max(height, free + step)
        where = {"xytext": (at, free), "textcoords": "data", "va": "center", "fontsize": 9, "color": colour}
        axes.annotate(f"   {name}", (at, height), annotation_clip=False, **where)


_BLUES = LinearSegmentedColormap.from_list("blues", ["#eef3f8", "#7fa8cc", DONE, "#0d2f4d"])


@own_style()
def heatmap(table: pd.DataFrame, *, title: str, x: str, y: str, unit: str = "") -> Picture:
    """A table in which a darker cell is more: customers by cohort and month, invoices by weekday and hour.

    Columns lie along the horizontal axis, which `x` names, rows along `y`. A missing number leaves its cell empty; a
    negative one is drawn as nothing, with its number.
    """
    if table.empty:
        raise ValueError("there is nothing to draw: the table has no rows")
    grid = [[float("nan") if pd.isna(number) else float(number) for number in row] for row in table.to_numpy()]
    most = max([number for row in grid for number in row if number == number], default=0.0) or 1.0
    figure, axes = _card(8.4, 1.3 + 0.36 * len(table))
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=INK, pad=10)
    axes.imshow(grid, cmap=_BLUES, vmin=0, vmax=most, aspect="auto")
    small = 7.0 if len(table.columns) > 10 else 8.5
    for row, numbers in enumerate(grid):
        for column, number in enumerate(numbers):
            if number == number:
                ink = "#ffffff" if number > most * 0.45 else INK
                axes.text(column, row, _short(number), ha="center", va="center", fontsize=small, color=ink)
    axes.set_xticks(range(len(table.columns)), [str(name) for name in table.columns], fontsize=8.5)
    axes.set_yticks(range(len(table)), [str(name) for name in table.index], fontsize=9, color=INK)
    axes.set_xticks([n - 0.5 for n in range(1, len(table.columns))], minor=True)
    axes.set_yticks([n - 0.5 for n in range(1, len(table))], minor=True)
    axes.grid(which="minor", color=CARD, linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel(x, color=SOFT)
    axes.set_ylabel(y, color=SOFT)
    said = []
    for name, row in table.iterrows():
        cells = [f"{column} {_text(number, '')}" for column, number in row.items() if not pd.isna(number)]
        said.append(f"{name}: {', '.join(cells) or 'nothing'}")
    counted = f", in {unit}" if unit else ""
    return picture(figure, f"{title}. A table of {y} by {x}{counted}; darker is more. {'; '.join(said)}.")


def _short(number: float) -> str:
    """1.2 M, 13 k, 340: what fits into a cell."""
    for size, letter in ((1e6, " M"), (1e4, " k")):
        if abs(number) >= size:
            return f"{number / (1e6 if size == 1e6 else 1e3):,.{1 if size == 1e6 else 0}f}{letter}"
    return f"{number:,.0f}"


def _table(values: Mapping[Any, Number] | pd.Series | pd.DataFrame) -> pd.DataFrame:
    table = values if isinstance(values, pd.DataFrame) else pd.Series(values, dtype=object).to_frame("value")
    if table.empty:
        raise ValueError("there is nothing to draw: the table has no rows")
    return table


def _text(number: Any, unit: str) -> str:
    """1,234 rows; fractions with one decimal, money exactly as it is."""
    exact = isinstance(number, Decimal) or float(number).is_integer()
    words = f"{number:,}" if isinstance(number, Decimal) else f"{float(number):,.{0 if exact else 1}f}"
    return f"{words} {unit}".strip()


def _card(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of that many inches, with one set of axes."""
    layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=2 * PIXELS_AN_INCH, facecolor=CARD, layout=layout)
    axes = figure.add_subplot()
    _frame(axes)
    axes.set_facecolor(CARD)
    axes.tick_params(length=0, colors=SOFT)
    return figure, axes


def _frame(axes: Any, **sides: bool) -> None:
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(sides.get(side, False))


def screenshot(name: str, alt: str) -> Picture:
    """A picture of a screen that the workbook brings along, helpers/pictures/<name>.png; `alt` says what is on it."""
    file = PICTURES / f"{name}.png"
    with Image.open(file) as image:
        return Picture(file.read_bytes(), alt, image.width // 2)


@dataclass(frozen=True, slots=True)
class LivePage:
    """A web page inside the notebook."""

    url: str
    alt: str
    height: int

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        frame = f'<iframe title="{escape(self.alt)}" src="{escape(self.url)}" height="{self.height}" {_FRAME}></iframe>'
        return {"text/html": frame, "text/plain": self.alt}


def live_page(url: str, *, shown: str, alt: str, height: int = 640) -> LivePage | Picture:
    """The page itself in JupyterLab, to click on; its picture where nobody looks (a batch run, a test)."""
    if os.environ.get("JPY_SESSION_NAME"):  # Jupyter's server sets it for the kernels that it starts for people
        return LivePage(url, alt, height)
    return screenshot(shown, alt)


def picture(figure: Figure, alt: str, colours: int = 64) -> Picture:
    """Render it: the same figure gives the same bytes. Few colours are in it, so a palette makes the file small."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")
    file = io.BytesIO()
    pixels.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return Picture(file.getvalue(), alt, pixels.width // 2)
