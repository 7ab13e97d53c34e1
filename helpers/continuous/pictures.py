"""The pictures of notebook 10, in the language of `helpers.figures`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from matplotlib.dates import DateFormatter, HourLocator
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from helpers.figures import (
    CARD,
    DONE,
    HERE,
    INK,
    LINE,
    SERIES,
    SOFT,
    Picture,
    _card,
    _frame,
    own_style,
    picture,
)

from .windows import HOUR, SLIDE, Sum, sliding, tumbling

_MINUTE = dt.timedelta(minutes=1)


@own_style()
def window_picture(moments: Sequence[dt.datetime], size: dt.timedelta, slide: dt.timedelta) -> Picture:
    """Events on a line of time, the tumbling windows above them and the sliding ones below, with their counts."""
    tumbles = sorted({tumbling(moment, size) for moment in moments})
    slides = sorted({start for moment in moments for start in sliding(moment, size, slide)})
    figure, axes = _card(9.4, 2.2 + 0.17 * len(slides))
    depth = len(slides) * 0.42
    axes.set_ylim(depth + 1.0, -2.3)
    for start in tumbles:
        count = sum(start <= moment < start + size for moment in moments)
        _window(axes, start, size, -1.5, 0.75, DONE, f"{count}")
    for place, start in enumerate(slides):
        count = sum(start <= moment < start + size for moment in moments)
        _window(axes, start, size, 0.85 + place * 0.42, 0.32, SERIES[1], f"{count}")
    axes.axhline(0, color=SOFT, linewidth=1)
    axes.plot(list(moments), [0] * len(moments), "o", color=HERE, markersize=7, zorder=5)
    axes.text(
        min(slides), -1.75, f"tumbling, {_length(size)}: each event in one", color=DONE, fontsize=9.5, va="bottom"
    )
    axes.text(
        max(slides) + size, 0.6, f"sliding, {_length(size)} every {_length(slide)}: each event in {size // slide}",
        color=SERIES[1], fontsize=9.5, ha="right", va="bottom",
    )  # fmt: skip
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.set_xlim(min(slides) - slide / 2, max(slides) + size + slide / 2)
    axes.set_yticks([])
    axes.tick_params(labelsize=9)
    _frame(axes, bottom=True)
    counts = ", ".join(f"{start:%H:%M} {sum(start <= m < start + size for m in moments)}" for start in tumbles)
    slid = ", ".join(f"{start:%H:%M} {sum(start <= m < start + size for m in moments)}" for start in slides)
    return picture(
        figure,
        f"{len(moments)} events on a line of time. Tumbling windows of {_length(size)} and their events: {counts}. "
        f"Sliding windows of {_length(size)}, one every {_length(slide)}, and their events: {slid}.",
    )


def _window(axes: Any, start: dt.datetime, size: dt.timedelta, top: float, height: float, ink: str, text: str) -> None:
    gap = size * 0.015
    axes.barh(
        top + height / 2, size - 2 * gap, height, left=start + gap, color=ink, alpha=0.22, edgecolor=ink, linewidth=1.1
    )
    axes.text(start + size / 2, top + height / 2, text, ha="center", va="center", fontsize=9, color=INK)


def _length(size: dt.timedelta) -> str:
    minutes = int(size.total_seconds() // 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


@own_style()
def lateness_picture(arrivals: Sequence[tuple[dt.datetime, dt.datetime | None, bool]]) -> Picture:
    """Rows in the order in which they arrived: when they happened, where the watermark stood, and which were late.

    arrivals: (event time, watermark before it or None, whether it counts).
    """
    figure, axes = _card(8.4, 3.4)
    places = range(1, len(arrivals) + 1)
    marks = [(place, mark) for place, (_, mark, _) in zip(places, arrivals, strict=True) if mark]
    for counts, ink, words in ((True, DONE, "counted"), (False, HERE, "late: set aside")):
        chosen = [(place, when) for place, (when, _, ok) in zip(places, arrivals, strict=True) if ok is counts]
        if chosen:
            axes.plot(
                *zip(*chosen, strict=True), "o" if counts else "X", color=ink, markersize=8, label=words, zorder=4
            )
    if marks:
        axes.step(*zip(*marks, strict=True), where="mid", color=SERIES[1], linewidth=1.8, label="watermark", zorder=3)
        lowest = min([mark for _, mark in marks] + [when for when, _, _ in arrivals])
        axes.fill_between(
            [place for place, _ in marks], [mark for _, mark in marks], lowest,
            step="mid", color=SERIES[1], alpha=0.12, linewidth=0,
        )  # fmt: skip
    axes.set_xticks(list(places))
    axes.set_xlabel("the rows in order of arrival", color=SOFT)
    axes.set_ylabel("when it happened", color=SOFT)
    axes.yaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.tick_params(labelsize=8.5)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0.1)
    _frame(axes, left=True, bottom=True)
    rows = "; ".join(
        f"row {place} of {when:%H:%M}, watermark {mark.strftime('%H:%M') if mark else 'none'}, "
        f"{'counted' if ok else 'late'}"
        for place, (when, mark, ok) in zip(places, arrivals, strict=True)
    )
    return picture(figure, f"Rows in order of arrival against the time when they happened. {rows}.")


@own_style()
def day_picture(
    revenue: Mapping[tuple[dt.datetime, str], Sum],
    hours: Mapping[dt.datetime, int],
    watermark: dt.datetime | None,
    day: dt.date,
) -> Picture:
    """A day of the shop as far as it has gone by: revenue a minute, and orders in the hour that ends there.

    Minutes behind the watermark are final; those before it may still grow.
    """
    figure, axes = _card(9.4, 4.4)
    axes.remove()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    minutes: dict[dt.datetime, Decimal] = {}
    for (minute, _), window in revenue.items():
        minutes[minute] = minutes.get(minute, Decimal(0)) + window.revenue
    for chosen, ink, words in ((True, DONE, "final"), (False, SERIES[1], "may still grow")):
        some = {m: r for m, r in minutes.items() if (watermark is not None and m + _MINUTE <= watermark) is chosen}
        above.bar(list(some), [float(r) for r in some.values()], width=dt.timedelta(minutes=3), color=ink, label=words)
    if hours:
        count = (max(hours) - min(hours)) // SLIDE + 2  # hours without an order, and the one after the last
        starts = [min(hours) + SLIDE * n for n in range(count)]
        ends = {start + HOUR: hours.get(start, 0) for start in starts}
        below.step(list(ends), list(ends.values()), where="pre", color=SERIES[2], linewidth=1.8)
    if watermark is not None:
        for axis in (above, below):
            axis.axvline(watermark, color=HERE, linewidth=1.3, linestyle=(0, (4, 2)))
        above.text(watermark, above.get_ylim()[1], " watermark", color=HERE, fontsize=8.5, va="top")
    start = dt.datetime.combine(day, dt.time(7))
    below.set_xlim(start, start + 14 * HOUR)
    below.xaxis.set_major_locator(HourLocator())
    below.xaxis.set_major_formatter(DateFormatter("%H"))
    above.set_title(f"Revenue by minute, {day}", loc="left", fontsize=11, weight="bold", color=INK, pad=10)
    below.set_title("Orders in the last hour", loc="left", fontsize=10, color=INK)
    below.set_xlabel("o'clock, in the shop", color=SOFT)
    below.set_ylim(bottom=0)
    above.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=9, borderaxespad=0.1)
    for axis in (above, below):
        axis.set_facecolor(CARD)
        axis.tick_params(length=0, colors=SOFT, labelsize=8.5)
        axis.grid(axis="y", color=LINE, linewidth=0.6)
        axis.set_axisbelow(True)
        _frame(axis, left=True, bottom=True)
    return picture(figure, _describe_day(minutes, hours, watermark, day))


def _describe_day(
    minutes: Mapping[dt.datetime, Decimal],
    hours: Mapping[dt.datetime, int],
    watermark: dt.datetime | None,
    day: dt.date,
) -> str:
    if not minutes:
        return f"Revenue by minute on {day}: nothing yet."
    best = max(minutes, key=lambda minute: minutes[minute])
    full = max(hours, key=lambda start: hours[start]) if hours else None
    text = (
        f"Revenue by minute on {day}: {len(minutes)} minutes with sales, {sum(minutes.values(), Decimal(0)):,} in all, "
    )
    text += f"most at {best:%H:%M} with {minutes[best]:,}. "
    if full is not None:
        text += f"Orders in the last hour, below it: at most {hours[full]}, from {full:%H:%M} to {full + HOUR:%H:%M}. "
    final = sum(watermark is not None and minute + _MINUTE <= watermark for minute in minutes)
    mark = f"stands at {watermark:%H:%M}" if watermark else "does not stand anywhere yet"
    return f"{text}The watermark {mark}: {final} minutes are final."


_WAYS = (
    (
        "KCL workers on many hosts",
        "what you have built",
        ("a process on each host,\nin any number", "leases share the shards", "lease table\nin DynamoDB"),
        "you run the hosts; state is\nyours to keep",
    ),
    (
        "Managed Service for Apache Flink",
        "the same ideas as a service",
        ("a job of windows and\nwatermarks, declared", "AWS shares the work", "checkpoints\nin S3"),
        "state of any size; you write\nSQL or Java, and pay by the hour",
    ),
    (
        "Spark Structured Streaming",
        "the batch engine, again and again",
        ("a query over a table\nthat grows", "a driver cuts micro-batches", "offsets and state\nin S3"),
        "one code for batch and stream;\nseconds of delay",
    ),
)


@own_style()
def beyond_picture() -> Picture:
    """Three ways beyond one machine, side by side: who runs what, who shares the work, where the state lies."""
    figure, axes = _card(10.0, 4.3)
    axes.set_axis_off()
    axes.set_xlim(0, 3)
    axes.set_ylim(5.15, -0.25)
    for place, (name, kind, boxes, price) in enumerate(_WAYS):
        middle = place + 0.5
        axes.text(middle, 0.0, name, ha="center", weight="bold", fontsize=10.5)
        axes.text(middle, 0.3, kind, ha="center", color=SOFT, fontsize=9)
        stations = (("stream: shards or partitions", 0.6, LINE), (boxes[0], 1.55, HERE if place == 0 else DONE),
                    (boxes[2], 3.3, SERIES[2]))  # fmt: skip
        for text, top, ink in stations:
            dark = ink is not LINE
            axes.add_patch(
                FancyBboxPatch(
                    (place + 0.1, top),
                    0.8,
                    0.62,
                    boxstyle="round,pad=0,rounding_size=0.06",
                    facecolor=ink if dark else CARD,
                    edgecolor=ink,
                    linewidth=1.2,
                )  # fmt: skip
            )
            axes.text(middle, top + 0.31, text, ha="center", va="center", fontsize=9, color="#ffffff" if dark else INK)
        for top, bottom in ((1.22, 1.55), (2.17, 3.3)):
            axes.add_patch(
                FancyArrowPatch(
                    (middle, top),
                    (middle, bottom),
                    arrowstyle="<|-|>" if top > 2 else "-|>",
                    mutation_scale=10,
                    color=SOFT,
                    linewidth=1.3,
                    shrinkA=1,
                    shrinkB=1,
                )  # fmt: skip
            )
        axes.text(
            middle, 2.73, boxes[1], ha="center", va="center", fontsize=9, color=INK,
            bbox={"facecolor": CARD, "edgecolor": "none", "pad": 2},
        )  # fmt: skip
        axes.text(middle, 4.5, price, ha="center", va="center", fontsize=9, color=SOFT)
        if place:
            axes.plot([place, place], [-0.15, 4.95], color=LINE, linewidth=0.7, linestyle=(0, (2, 3)))
    ways = " ".join(
        f"{name}, {kind}: {boxes[0]}; {boxes[1]}; {boxes[2]}; {price}.".replace("\n", " ")
        for name, kind, boxes, price in _WAYS
    )
    return picture(figure, f"Three ways beyond one machine. {ways}")
