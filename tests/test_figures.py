"""Pictures: the same bytes each time, a description in words, readable on any background."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from PIL import Image

from helpers import figures
from helpers.figures import bars, heatmap, lines, platform_map, steps

NOTEBOOKS = [f"{number:02}" for number in range(11)]


def pixels(picture: figures.Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.png)).convert("RGB")


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_each_notebook_lights_its_part(number: str) -> None:
    picture = platform_map(number)
    lit = picture.alt.partition(f"Lit, as the part of notebook {number}: ")[2]
    assert lit.endswith(".") and len(lit) > 3
    orange = tuple(int(figures.HERE[i : i + 2], 16) for i in (1, 3, 5))
    colours = {colour: count for count, colour in pixels(picture).getcolors(100_000)}
    near = sum(n for colour, n in colours.items() if sum(abs(a - b) for a, b in zip(colour, orange, strict=True)) < 12)
    assert near > 10_000, "no box is lit"


def test_the_map_names_every_layer_and_store() -> None:
    alt = platform_map().alt
    for name in (*figures.LAYERS, "API Gateway", "Kinesis", "Kafka", "S3", "DynamoDB", "Redshift", "Tableau"):
        assert name in alt
    assert "Lit" not in alt


def test_everything_that_processes_gets_its_rows_from_kinesis() -> None:
    sources = {box: {start for start, end in figures._ARROWS if end == box} for box in figures._BOXES}

    def fed(box: str) -> bool:
        return box == "kinesis" or any(map(fed, sources[box]))

    process = figures.LAYERS.index("Process")
    assert [name for name, box in figures._BOXES.items() if box.layer >= process and not fed(name)] == []


def test_a_notebook_without_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no part of the map belongs to notebook '11'; these have one: 00, 01"):
        platform_map("11")


def test_the_same_picture_has_the_same_bytes_whatever_the_reader_has_set() -> None:
    before = platform_map("02").png, bars({"a": 1}, title="t").png
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "figure.dpi": 30, "font.family": "serif"}):
        assert (platform_map("02").png, bars({"a": 1}, title="t").png) == before
        assert matplotlib.rcParams["font.size"] == 30, "the reader's own settings are gone"


def test_every_picture_stands_on_a_card_of_its_own() -> None:
    for picture in (platform_map("02"), bars({"a": 1}, title="t"), steps({0: 1, 1: 2}, title="t", x="s")):
        image = Image.open(io.BytesIO(picture.png))
        assert "transparency" not in image.info and image.mode in ("P", "RGB")
        corner = pixels(picture).getpixel((2, 2))
        assert isinstance(corner, tuple) and min(corner) > 235, "text is dark, so the card must be light"
        assert image.width == 2 * picture.width
        assert len(picture.png) < 80_000


def test_alt_text_reaches_the_page() -> None:
    picture = bars({"client": 5_000, '"kinesis" <raw>': 4_999}, title="Rows & more", unit="rows")
    bundle = picture._repr_mimebundle_()
    assert bundle["text/plain"] == picture.alt
    notebook = nbformat.v4.new_notebook()
    notebook.cells.append(nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", bundle)]))
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (image,) = BeautifulSoup(page, "html.parser").find_all("img")
    assert (image["alt"], image["width"]) == (picture.alt, str(picture.width))


def test_a_picture_can_be_saved(tmp_path: Path) -> None:
    platform_map().save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_bars_say_every_number() -> None:
    alt = bars({"client": 5_000, "kinesis": 4_999}, title="Rows at each stage", unit="rows").alt
    assert alt == "Rows at each stage. Bars. client: 5,000 rows; kinesis: 4,999 rows."


def test_bars_side_by_side() -> None:
    table = pd.DataFrame({"before": [0, 10], "after": [900, 1_200.5]}, index=["shard 0", "shard 1"])
    alt = bars(table, title="Load", unit="records", limit=("a shard's limit", 1000)).alt
    assert "shard 0: before 0 records, after 900 records; shard 1: before 10 records, after 1,200.5 records." in alt
    assert alt.endswith("A line marks a shard's limit: 1,000 records.")


def test_money_is_shown_exactly() -> None:
    assert "price: 1,234.567 USD" in bars({"price": Decimal("1234.567")}, title="t", unit="USD").alt


def test_a_longer_bar_is_longer() -> None:
    def dark(count: int) -> int:
        picture = pixels(bars({"a": count, "b": 100}, title="t"))
        blue = tuple(int(figures.SERIES[0][i : i + 2], 16) for i in (1, 3, 5))
        return sum(
            n for n, c in picture.getcolors(100_000) if sum(abs(x - y) for x, y in zip(c, blue, strict=True)) < 12
        )

    assert dark(20) < dark(50) < dark(90)


def test_bars_of_nothing_much() -> None:
    assert "a: 0" in bars({"a": 0}, title="t").alt
    assert "a: -5" in bars({"a": -5, "b": 5}, title="t").alt
    with pytest.raises(ValueError, match="nothing to draw"):
        bars({}, title="t")


def test_steps_say_where_they_begin_end_and_peak() -> None:
    alt = steps(pd.Series([3, 40, 7], index=[0, 1, 2]), title="In flight", x="second", unit="rows").alt
    assert alt == "In flight. Steps. from 3 rows at second 0 to 7 rows at second 2, at most 40 rows at second 1."


def test_steps_of_several_lines() -> None:
    table = pd.DataFrame({"sent": [1, 2], "stored": [0, 2]}, index=[0, 1])
    alt = steps(table, title="Arrivals", x="second").alt
    assert "sent: from 1 at second 0 to 2" in alt and "stored: from 0 at second 0 to 2" in alt


def test_lines_say_where_they_begin_end_and_peak_also_with_gaps() -> None:
    table = pd.DataFrame({"UK": [1.0, 9.0, 4.0], "EIRE": [None, 2.0, None]}, index=["2010-12", "2011-01", "2011-02"])
    picture = lines(table, title="Revenue", x="month", unit="GBP")
    assert picture.alt == (
        "Revenue. Lines. UK: from 1 GBP at month 2010-12 to 4 GBP at month 2011-02, at most 9 GBP at month 2011-01. "
        "EIRE: from 2 GBP at month 2011-01 to 2 GBP at month 2011-01, at most 2 GBP at month 2011-01."
    )
    many = pd.DataFrame({f"country {n}": [n, 2 * n] for n in range(9)}, index=["a", "b"])
    assert lines(many, title="t", x="month").alt.count("at most") == 9


def test_a_heatmap_says_every_number_and_is_darker_where_it_is_more() -> None:
    table = pd.DataFrame({9: [1, None], 10: [100, -3]}, index=["Monday", "Tuesday"])
    picture = heatmap(table, title="Invoices", x="hour", y="weekday", unit="invoices")
    assert picture.alt == (
        "Invoices. A table of weekday by hour, in invoices; darker is more. Monday: 9 1, 10 100; Tuesday: 10 -3."
    )
    image = pixels(picture)
    light, dark = (image.getpixel((image.width * x // 100, image.height * 28 // 100)) for x in (35, 62))
    assert sum(light) - sum(dark) > 200, (light, dark)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to draw"):
        heatmap(pd.DataFrame(), title="t", x="x", y="y")


def test_a_page_is_live_where_a_person_looks_and_a_picture_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    elsewhere = figures.live_page("http://x.localhost:1/", shown="order-desk", alt="The order desk")
    assert isinstance(elsewhere, figures.Picture) and "localhost" not in str(elsewhere._repr_mimebundle_())
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    live = figures.live_page("http://x.localhost:1/?a=1&b", shown="order-desk", alt='The "desk"')
    html = live._repr_mimebundle_()["text/html"]
    assert '<iframe title="The &quot;desk&quot;" src="http://x.localhost:1/?a=1&amp;b"' in html
