"""Reading rows: formats, encodings, selections, broken rows, clear errors."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import lzma
import os
import tracemalloc
import zipfile
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.rows import (
    COLUMNS,
    InputError,
    Refused,
    Row,
    Selection,
    open_csv,
    read_rows,
    revenue,
    source_name,
    to_json,
)

GOOD = (
    "536365",
    "85123A",
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "6",
    "12/1/2010 8:26",
    "2.55",
    "17850",
    "France",
)


def line(**changes: str) -> tuple[str, ...]:
    """The fields of a good row, some of them changed."""
    return tuple(changes.get(name, value) for name, value in zip(COLUMNS, GOOD, strict=True))


def write(path: Path, records: list[tuple[str, ...]], encoding: str = "iso-8859-1", header: Any = COLUMNS) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([header, *records])
    return pack(path, text.getvalue().encode(encoding))


def pack(path: Path, content: bytes) -> Path:
    """Write bytes to a file in the format that its name asks for."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".xz":
        path.write_bytes(lzma.compress(content))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner/some data.csv", content)
    else:
        path.write_bytes(content)
    return path


def on_day(day: dt.date) -> str:
    return f"{day.month}/{day.day}/{day.year} 8:26"


# Texts for fields. The letters beyond ASCII are no UTF-8 when written as ISO-8859-1, as in real texts.
texts = st.text(st.sampled_from("aZ09 ,;.'\"\t\r\n£ü"), max_size=12)
days = st.dates(dt.date(2010, 12, 1), dt.date(2010, 12, 6))
quantities = st.integers(-(10**9), 10**9).map(str)
prices = st.decimals(-(10**6), 10**6, places=3).map(str) | st.sampled_from(["0", "2.50", "-11062.06"])
good_rows = st.builds(lambda *fields: fields, texts, texts, texts, quantities, days.map(on_day), prices, texts, texts)
broken_rows = st.sampled_from(
    [
        line(Quantity="six"),
        line(Quantity="1.5"),
        line(InvoiceDate="13/1/2010 8:26"),
        line(InvoiceDate=""),
        line(UnitPrice="2,55"),
        line(UnitPrice="NaN"),
        GOOD[:7],
        (*GOOD, "more"),
    ]
)
selections = st.builds(
    lambda first, offset, dates: Selection(first=first, offset=offset, **dates),
    st.none() | st.integers(0, 12),
    st.integers(0, 12),
    st.just({})
    | st.fixed_dictionaries({"date": days})
    | st.fixed_dictionaries({"since": days})
    | st.fixed_dictionaries({"until": days})
    | st.tuples(days, days).map(lambda two: {"since": min(two), "until": max(two)}),
)


def whole(path: Path) -> tuple[list[Row], list[Refused]]:
    refused: list[Refused] = []
    return list(read_rows(path, on_refused=refused.append)), refused


def test_a_row_is_what_the_contract_says(tmp_path: Path) -> None:
    path = write(tmp_path / "online-retail.csv", [GOOD, line(Description="", CustomerID="", Quantity="-1")])
    first, second = read_rows(path)
    assert to_json(first) == (
        '{"RowId":"online-retail:000001","InvoiceNo":"536365","StockCode":"85123A",'
        '"Description":"WHITE HANGING HEART T-LIGHT HOLDER","Quantity":6,"InvoiceDate":"2010-12-01T08:26:00",'
        '"UnitPrice":"2.55","CustomerID":"17850","Country":"France"}'
    )
    assert (second["Description"], second["CustomerID"], second["Quantity"]) == (None, None, -1)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("online-retail.csv", "online-retail"),
        ("folder.csv/online-retail.csv.xz", "online-retail"),
        ("Online Retail.CSV.GZ", "Online Retail"),
        ("online-retail.zip", "online-retail"),
        ("a.b.csv.zip", "a.b"),
    ],
)
def test_source_name(name: str, source: str) -> None:
    assert source_name(name) == source


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.xz", ".zip", ".csv.zip"])
@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8", "utf-8-sig"])
def test_formats_and_encodings_give_the_same_rows(tmp_path: Path, suffix: str, encoding: str) -> None:
    records = [line(Description=f" CARD £{n} é ", InvoiceNo=f"C{n}") for n in range(50)]
    rows = list(read_rows(write(tmp_path / f"shop{suffix}", records, encoding)))
    assert [row["Description"] for row in rows] == [record[2] for record in records]
    assert [row["RowId"] for row in rows] == [f"shop:{n:06d}" for n in range(1, 51)]


@settings(max_examples=60)
@given(records=st.lists(good_rows, max_size=8))
def test_rows_do_not_change_with_compression_and_encoding(
    records: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    expected, refused = whole(write(folder / "shop.csv", records))
    assert not refused
    assert [(r["StockCode"], str(r["Quantity"]), r["UnitPrice"]) for r in expected] == [
        (record[1], str(int(record[3])), record[5]) for record in records
    ]
    for suffix, encoding in ((".csv.gz", "utf-8"), (".csv.xz", "iso-8859-1"), (".zip", "utf-8-sig")):
        assert whole(write(folder / f"shop{suffix}", records, encoding))[0] == expected


def test_a_pound_sign_far_behind_is_read_in_either_encoding(tmp_path: Path) -> None:
    records = [GOOD] * 3000 + [line(Description="£"), line(Description="££é")]
    for encoding in ("iso-8859-1", "utf-8"):
        rows = list(read_rows(write(tmp_path / "shop.csv", records, encoding), Selection(offset=3000)))
        assert [row["Description"] for row in rows] == ["£", "££é"], encoding


@pytest.mark.parametrize("size", range(1, 9))
def test_utf8_letters_across_chunks(tmp_path: Path, size: int) -> None:
    # Padded differently, so that letters of two and three bytes fall on a border between the reader's chunks.
    text = "x" * size + "£€" * 20_000
    path = pack(tmp_path / "shop.csv", (",".join(COLUMNS) + "\n" + ",".join(line(Description=text))).encode())
    assert [row["Description"] for row in read_rows(path)] == [text]


@settings(max_examples=150)
@given(records=st.lists(good_rows | broken_rows, max_size=25), selection=selections)
def test_a_selection_is_what_filtering_the_whole_list_gives(
    records: list[tuple[str, ...]], selection: Selection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("rows") / "shop.csv", records)
    rows, _ = whole(path)
    matching = []
    for row in rows:
        day = row["InvoiceDate"][:10]  # ISO dates sort as texts
        if selection.date and day != selection.date.isoformat():
            continue
        if selection.since and day < selection.since.isoformat():
            continue
        if selection.until and day > selection.until.isoformat():
            continue
        matching.append(row)
    end = None if selection.first is None else selection.offset + selection.first
    taken = list(read_rows(path, selection, on_refused=lambda _: None))
    assert taken == matching[selection.offset : end]


@settings(max_examples=100)
@given(
    records=st.lists(good_rows | broken_rows, max_size=25),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=10),
    since=st.none() | days,
)
def test_parts_make_up_the_whole(
    records: list[tuple[str, ...]],
    sizes: list[int],
    since: dt.date | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = write(tmp_path_factory.mktemp("rows") / "shop.csv", records)
    refused: list[Refused] = []
    rows = list(read_rows(path, Selection(since=since), on_refused=refused.append))
    some: list[Row] = []
    some_refused: list[Refused] = []
    offset = 0
    for size in sizes:
        part = Selection(first=size, offset=offset, since=since)
        some += read_rows(path, part, on_refused=some_refused.append)
        offset += size
    some += read_rows(path, Selection(offset=offset, since=since), on_refused=some_refused.append)
    assert some == rows
    assert some_refused == refused


@settings(max_examples=100)
@given(records=st.lists(good_rows, min_size=1, max_size=8))
def test_json_round_trip(records: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    for row in read_rows(write(tmp_path_factory.mktemp("rows") / "shop.csv", records)):
        text = to_json(row)
        assert json.loads(text) == row
        assert list(json.loads(text)) == ["RowId", *COLUMNS]
        assert text == json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        assert "\n" not in text


@settings(max_examples=100)
@given(records=st.lists(good_rows, max_size=20))
def test_revenue_is_exact(records: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = list(read_rows(write(tmp_path_factory.mktemp("rows") / "shop.csv", records)))
    # Whole numbers cannot be rounded: count in thousandths.
    thousandths = sum(int(record[3]) * int(Decimal(record[5]) * 1000) for record in records)
    assert revenue(rows) * 1000 == thousandths


def test_revenue_keeps_digits_that_a_default_decimal_would_round() -> None:
    def row(quantity: int, price: str) -> Any:
        return {"RowId": "x:000001", "Quantity": quantity, "UnitPrice": price}

    rows = [row(999_999_999_999_999, "999999999999999.001"), row(1, "0.000000000000001")]
    assert str(revenue(rows)) == "999999999999998001000000000000.999000000000001"
    with pytest.raises(InputError, match="x:000001"):
        revenue([row(1, "two")])


def test_replay_moves_the_last_day_wherever_it_stands(tmp_path: Path) -> None:
    stamps = ["12/3/2010 23:59", "12/9/2010 0:01", "12/1/2010 8:26", "broken"]
    path = write(tmp_path / "shop.csv", [line(InvoiceDate=stamp) for stamp in stamps])
    refused: list[Refused] = []
    rows = list(read_rows(path, replay_last_day=dt.date(2026, 3, 1), on_refused=refused.append))
    assert [(row["RowId"], row["InvoiceDate"]) for row in rows] == [
        ("shop@2026-03-01:000001", "2026-02-23T23:59:00"),
        ("shop@2026-03-01:000002", "2026-03-01T00:01:00"),
        ("shop@2026-03-01:000003", "2026-02-21T08:26:00"),
    ]
    assert [one.row_id for one in refused] == ["shop@2026-03-01:000004"]
    selection = Selection(date=dt.date(2026, 3, 1))
    last = read_rows(path, selection, replay_last_day=dt.date(2026, 3, 1), on_refused=refused.append)
    assert [row["RowId"] for row in last] == ["shop@2026-03-01:000002"]


def test_today_is_the_day_on_which_rows_are_read(tmp_path: Path) -> None:
    today = dt.date.today()
    path = write(tmp_path / "shop.csv", [line(InvoiceDate=on_day(today - dt.timedelta(n))) for n in (2, 1, 0)])
    rows = read_rows(path, Selection(today=True))
    assert rows.selection in (Selection(date=today), Selection(date=dt.date.today()))  # at midnight
    assert [row["RowId"] for row in rows] == ["shop:000003"]


def test_a_source_can_be_named(tmp_path: Path) -> None:
    assert next(read_rows(write(tmp_path / "shop.csv", [GOOD]), source="other"))["RowId"] == "other:000001"


@pytest.mark.parametrize(
    ("record", "column", "words"),
    [
        (line(Quantity="six"), "Quantity", "'six' is no whole number"),
        (line(Quantity=""), "Quantity", "'' is no whole number"),
        (line(Quantity="1_000"), "Quantity", "no whole number"),
        (line(Quantity="٣"), "Quantity", "no whole number"),
        (line(Quantity="9" * 5000), "Quantity", "no whole number"),
        (line(UnitPrice="2,55"), "UnitPrice", "'2,55' is no decimal number"),
        (line(UnitPrice="1e3"), "UnitPrice", "no decimal number"),
        (line(UnitPrice="inf"), "UnitPrice", "no decimal number"),
        (line(InvoiceDate="2/30/2010 8:26"), "InvoiceDate", "no date, month first"),
        (line(InvoiceDate="31/12/2010 8:26"), "InvoiceDate", "no date, month first"),
        (line(InvoiceDate="12/1/2010"), "InvoiceDate", "no date, month first"),
        (GOOD[:7], "", "7 columns instead of 8"),
        ((*GOOD, "more"), "", "9 columns instead of 8"),
    ],
)
def test_a_broken_row_is_named_and_reading_goes_on(
    tmp_path: Path, record: tuple[str, ...], column: str, words: str
) -> None:
    path = write(tmp_path / "shop.csv", [GOOD, record, GOOD], "utf-8")
    rows, (refused,) = whole(path)
    assert [row["RowId"] for row in rows] == ["shop:000001", "shop:000003"]
    assert (refused.row_number, refused.line, refused.row_id) == (2, 3, "shop:000002")
    assert (refused.column, refused.fields) == (column, record)
    assert words in refused.reason and "\n" not in str(refused)
    with pytest.raises(InputError, match=r"row 2 \(line 3\).*set it aside"):
        list(read_rows(path))


def test_a_date_that_a_replay_moves_out_of_the_calendar_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", [line(InvoiceDate="1/1/0001 0:00"), GOOD])
    refused: list[Refused] = []
    rows = list(read_rows(path, replay_last_day=dt.date(1999, 1, 1), on_refused=refused.append))
    assert [row["InvoiceDate"] for row in rows] == ["1999-01-01T08:26:00"]
    assert [one.column for one in refused] == ["InvoiceDate"]


def test_an_unclosed_quote_names_the_lines_it_swallows(tmp_path: Path) -> None:
    good = ",".join(GOOD)
    body = "\n".join(
        [",".join(COLUMNS), good, good.replace("WHITE", '"WHITE'), good, good.replace("HEART", 'HEART"'), ""]
    )
    rows, (refused,) = whole(pack(tmp_path / "shop.csv", body.encode()))
    assert [row["RowId"] for row in rows] == ["shop:000001"]
    assert "from line 3 to 5: is a quote not closed?" in refused.reason


def test_a_field_beyond_the_csv_modules_limit_is_refused(tmp_path: Path) -> None:
    rows, refused = whole(write(tmp_path / "shop.csv", [GOOD, line(Description="x" * 200_000), GOOD]))
    assert [row["RowId"] for row in rows] == ["shop:000001", "shop:000003"]
    assert [one.row_number for one in refused] == [2]


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    text = ",".join(COLUMNS) + "\r\n\r\n" + ",".join(GOOD) + "\r\n\r\n" + ",".join(GOOD) + "\r\n\r\n"
    rows, refused = whole(pack(tmp_path / "shop.csv", text.encode()))
    assert [row["RowId"] for row in rows] == ["shop:000001", "shop:000002"] and not refused


def test_a_file_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", [])
    assert list(read_rows(path)) == []
    assert revenue(read_rows(path)) == 0
    with pytest.raises(InputError, match="nothing to replay"):
        list(read_rows(path, replay_last_day=dt.date(2026, 1, 1)))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ([*COLUMNS[:5], "Price", *COLUMNS[6:]], "column UnitPrice is missing (found 'Price')"),
        (COLUMNS[:7], "column Country is missing"),
        ([*COLUMNS, "Extra"], "a column too many: 'Extra'"),
        ([*COLUMNS, "Country"], "a column too many"),
        ([COLUMNS[1], COLUMNS[0], *COLUMNS[2:]], "another order"),
        ([";".join(COLUMNS)], "separated by ';'"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, header: list[str], words: str) -> None:
    path = write(tmp_path / "shop.csv", [GOOD], header=header)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    message = str(caught.value)
    assert words in message and "\n" not in message
    assert message.startswith(str(path)) and message.endswith("expected the columns " + ", ".join(COLUMNS))


def files_that_cannot_be_read(folder: Path) -> list[tuple[Path, str]]:
    good = gzip.compress(os.urandom(5000))
    two = folder / "two.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    none = folder / "none.zip"
    with zipfile.ZipFile(none, "w") as archive:
        archive.writestr("readme.txt", "x")
    folders = folder / "folder.csv"
    folders.mkdir()
    return [
        (folder / "missing.csv", "there is no such file"),
        (folders, "is a folder"),
        (pack(folder / "empty.csv", b""), "is empty"),
        (pack(folder / "rows.xlsx", b"PK"), "ends in .xlsx; give a .csv"),
        (pack(folder / "rows", b""), "ends in nothing"),
        (two, "2 .csv files"),
        (none, "no .csv file"),
        (pack(folder / "utf16.csv", ",".join(COLUMNS).encode("utf-16")), "no CSV text"),
        (pack(folder / "sheet.csv", b"PK\x03\x04\x14\x00\x06"), "no CSV text"),
        (broken(folder / "not.csv.gz", b"not gzip"), "cannot be read"),
        (broken(folder / "not.csv.xz", b"not xz"), "cannot be read"),
        (broken(folder / "not.zip", b"not zip"), "cannot be read"),
        (broken(folder / "cut.csv.gz", good[:15]), "cannot be read"),
    ]


def broken(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_that_cannot_be_read_give_one_clear_line(tmp_path: Path) -> None:
    for path, words in files_that_cannot_be_read(tmp_path):
        with pytest.raises(InputError) as caught:
            read_rows(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and words in message, message
        assert "\n" not in message and caught.value.__cause__ is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv", [GOOD])
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(path)


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.xz"])
def test_a_file_that_is_cut_off_gives_its_rows_and_then_an_error(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"shop{suffix}", [line(InvoiceNo=os.urandom(20).hex()) for _ in range(3000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    rows = read_rows(path)
    taken = []
    with pytest.raises(InputError, match="cannot be read after line .* the file is damaged"):
        for row in rows:
            taken.append(row)
    assert len(taken) > 500


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": -1},
        {"offset": -1},
        {"first": 1.5},
        {"first": True},
        {"date": "2010-12-01"},
        {"since": dt.datetime(2010, 12, 1)},
        {"since": dt.date(2010, 12, 2), "until": dt.date(2010, 12, 1)},
        {"date": dt.date(2010, 12, 1), "today": True},
        {"date": dt.date(2010, 12, 1), "until": dt.date(2010, 12, 1)},
    ],
)
def test_a_selection_without_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="^selection: "):
        Selection(**arguments)


def test_reading_streams(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.csv.gz", [line(InvoiceNo=str(n)) for n in range(60_000)])
    assert len(gzip.decompress(path.read_bytes())) > 4_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path)) == 60_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000, f"{peak} bytes at once"


def test_a_file_is_closed_when_not_read_to_its_end(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "shop.csv", [GOOD] * 3))
    assert rows.fresh
    assert [row["RowId"] for row in islice(rows, 2)] == ["shop:000001", "shop:000002"]
    assert not rows.fresh
    rows.close()
    assert list(rows) == []


def test_open_csv_gives_text_as_it_stands(tmp_path: Path) -> None:
    with open_csv(pack(tmp_path / "x.csv.xz", "a\r\n£\n".encode("iso-8859-1"))) as stream:
        assert stream.read() == "a\r\n£\n"


def test_the_real_file(request: pytest.FixtureRequest) -> None:
    name = os.environ.get("ONLINE_RETAIL_CSV")
    if not name:
        pytest.skip("ONLINE_RETAIL_CSV does not name the real Online Retail file")
    # Reckoned here without the module under test: thousandths as whole numbers.
    thousandths = count = 0
    with (lzma.open if name.endswith(".xz") else open)(name, "rb") as binary:
        text = io.TextIOWrapper(binary, encoding="iso-8859-1", newline="")  # type: ignore[arg-type]
        for record in csv.DictReader(text):
            count += 1
            whole_part, _, decimals = record["UnitPrice"].partition(".")
            thousandths += int(record["Quantity"]) * int(whole_part + decimals.ljust(3, "0"))
    names = set()
    total = Decimal(0)
    for row in read_rows(name):
        names.add(row["RowId"])
        total += row["Quantity"] * Decimal(row["UnitPrice"])
    assert len(names) == count == 541_909
    assert total * 1000 == thousandths
    assert revenue(read_rows(name)) == total
    assert "£" in next(d for r in read_rows(name) if not (d := r["Description"] or "").isascii())
    busiest = Selection(date=dt.date(2011, 12, 5))
    assert sum(1 for _ in read_rows(name, busiest)) == 5331
