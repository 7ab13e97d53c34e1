"""The committed sample and its generator: the same bytes, the real file's shape and dirt, none of its rows.

The expected shares are those of the whole real file (UCI id 352, 541,909 rows, its sha256 is in
data/README.md); the counts they come from stand next to them.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import importlib.util
import io
import lzma
import os
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "online-retail-sample.csv"
INVOICE, CODE, TEXT, QUANTITY, DATE, PRICE, CUSTOMER, COUNTRY = range(8)
REAL = 541_909
LARGE = 60_000  # enough rows for tight tolerances, made in half a second
Row = list[str]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_generator", ROOT / "data" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


generator = _load()


def _read(data: bytes) -> list[Row]:
    return list(csv.reader(io.StringIO(data.decode("iso-8859-1"), newline="")))


@pytest.fixture(scope="module")
def sample() -> list[Row]:
    return _read(SAMPLE.read_bytes())[1:]


@pytest.fixture(scope="module")
def large() -> list[Row]:
    return list(generator.generate(LARGE))


def _when(row: Row) -> dt.datetime:
    return dt.datetime.strptime(row[DATE], "%m/%d/%Y %H:%M")


def _invoices(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[INVOICE]].append(row)
    return found


def _cancelled(row: Row) -> bool:
    return row[INVOICE].startswith("C")


def _quantile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * len(values))]


# ---- the bytes -------------------------------------------------------------------------------------------


def test_the_committed_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    out = tmp_path / "again.csv"
    done = subprocess.run(
        [sys.executable, str(ROOT / "data" / "generate.py"), "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == SAMPLE.read_bytes(), "run `python data/generate.py` and commit the sample"


def test_another_seed_makes_another_sample(sample: list[Row]) -> None:
    other = list(generator.generate(5000, seed=8))
    assert len(other) == 5000
    assert other != sample


def test_encoding_line_ends_and_columns(sample: list[Row]) -> None:
    data = SAMPLE.read_bytes()
    head = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\r\n"
    assert data.startswith(head)
    assert data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r") == 5001
    assert {byte for byte in data if byte > 127} == {0xA3}, "the pound sign is the only non-ASCII character"
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    assert len(sample) == 5000
    assert {len(row) for row in sample} == {8}


def test_the_checkout_does_not_convert_the_sample() -> None:
    rules = (ROOT / ".gitattributes").read_text().splitlines()
    assert "*.csv -text" in rules


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 999, 1000, 1001, 12_345])
def test_every_size_gives_exactly_that_many_rows(rows: int) -> None:
    made = list(generator.generate(rows))
    assert len(made) == rows
    assert all(len(row) == 8 for row in made)


def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="rows must be 1 or more, not 0"):
        generator.generate(0)
    assert generator.main(["--rows", "-5", "--out", str(tmp_path / "x.csv")]) == 2
    assert capsys.readouterr().err == "generate.py: rows must be 1 or more, not -5\n"
    assert not (tmp_path / "x.csv").exists()
    missing = tmp_path / "no" / "x.csv"
    assert generator.main(["--out", str(missing)]) == 2
    assert capsys.readouterr().err == f"generate.py: cannot write {missing}: No such file or directory\n"


def test_it_streams() -> None:
    rows: Iterator[Row] = generator.generate(LARGE)
    assert not isinstance(rows, list)
    assert next(rows)[DATE] == "12/1/2010 8:26"


# ---- the shape -------------------------------------------------------------------------------------------

SHARES: dict[str, tuple[Callable[[Row], bool], float, float, float]] = {
    # name: (which rows, share in the real file, relative tolerance at 60,000 rows, at 5,000 rows)
    "no customer": (lambda r: not r[CUSTOMER], 135_080 / REAL, 0.02, 0.02),
    "cancelled": (_cancelled, 9_288 / REAL, 0.10, 0.15),
    "negative quantity": (lambda r: int(r[QUANTITY]) < 0, 10_624 / REAL, 0.10, 0.15),
    "no description": (lambda r: not r[TEXT], 1_454 / REAL, 0.05, 0.20),
    "price zero": (lambda r: Decimal(r[PRICE]) == 0, 2_515 / REAL, 0.05, 0.10),
    "edge blanks": (lambda r: r[TEXT] != r[TEXT].strip(), 113_452 / REAL, 0.15, 0.20),
    "double blanks": (lambda r: "  " in r[TEXT], 22_290 / REAL, 0.25, 0.35),
    "comma": (lambda r: "," in r[TEXT], 4_796 / REAL, 0.40, 0.70),
    "double quote": (lambda r: '"' in r[TEXT], 1_239 / REAL, 0.60, 1.0),
    "apostrophe": (lambda r: "'" in r[TEXT], 8_666 / REAL, 0.25, 0.40),
    "slash": (lambda r: "/" in r[TEXT], 13_227 / REAL, 0.25, 0.40),
    "United Kingdom": (lambda r: r[COUNTRY] == "United Kingdom", 495_478 / REAL, 0.02, 0.03),
    "quantity 1": (lambda r: r[QUANTITY] == "1", 148_227 / REAL, 0.10, 0.10),
    "quantity 12": (lambda r: r[QUANTITY] == "12", 61_063 / REAL, 0.15, 0.20),
    "price 1.25": (lambda r: r[PRICE] == "1.25", 50_496 / REAL, 0.15, 0.25),
    "lower-case code": (lambda r: r[CODE][-1] in "abcd", 1_943 / REAL, 0.30, 0.60),
    "postage": (lambda r: r[CODE] == "POST", 1_256 / REAL, 0.30, 0.50),
    "web postage": (lambda r: r[CODE] == "DOT", 710 / REAL, 0.30, 1.0),
}


@pytest.mark.parametrize("name", SHARES)
def test_shares_are_those_of_the_real_file(name: str, sample: list[Row], large: list[Row]) -> None:
    chosen, share, tight, wide = SHARES[name]
    for rows, tolerance in ((large, tight), (sample, wide)):
        assert sum(map(chosen, rows)) / len(rows) == pytest.approx(share, rel=tolerance), len(rows)


def test_identical_rows_are_as_common_as_in_the_real_file(sample: list[Row], large: list[Row]) -> None:
    for rows, tolerance in ((large, 0.15), (sample, 0.30)):
        extra = len(rows) - len(set(map(tuple, rows)))
        assert extra / len(rows) == pytest.approx(5_268 / REAL, rel=tolerance)
        same_code = len(rows) - len({(row[INVOICE], row[CODE]) for row in rows})
        assert same_code > extra, "a code twice in an invoice, and not the same line"


def test_baskets(sample: list[Row], large: list[Row]) -> None:
    for rows in (large, sample):
        invoices = _invoices(rows)
        sizes = [len(lines) for lines in invoices.values()]
        assert len(invoices) / len(rows) == pytest.approx(25_900 / REAL, rel=0.12)
        sales = [len(i) for number, i in invoices.items() if i[0][CUSTOMER] and number.isdigit()]
        # Sales with a customer in the real file: 15 lines in the median, 6 and 28 the quartiles, 48 at 90 %.
        assert 13 <= statistics.median(sales) <= 17
        assert 5 <= _quantile(sales, 0.25) <= 7
        assert 25 <= _quantile(sales, 0.75) <= 31
        assert 42 <= _quantile(sales, 0.9) <= 54
        # All invoices: mean 21; cancellations: 1 line in the median, 4 at 90 %.
        assert statistics.mean(sizes) == pytest.approx(REAL / 25_900, rel=0.12)
        cancelled = [len(lines) for number, lines in invoices.items() if number.startswith("C")]
        assert len(cancelled) / len(invoices) == pytest.approx(3_836 / 25_900, rel=0.12)
        assert statistics.median(cancelled) == 1
        assert 3 <= _quantile(cancelled, 0.9) <= 6


def test_quantities_and_prices(sample: list[Row], large: list[Row]) -> None:
    for rows in (large, sample):
        quantities = [int(row[QUANTITY]) for row in rows]
        assert 0 not in quantities
        assert _quantile(quantities, 0.5) in (3, 4)  # real: 3
        assert 9 <= _quantile(quantities, 0.75) <= 12  # real: 10
        assert 20 <= _quantile(quantities, 0.9) <= 24  # real: 24
        pence = [int(Decimal(row[PRICE]) * 100) for row in rows if Decimal(row[PRICE]) > 0]
        assert 195 <= _quantile(pence, 0.5) <= 215  # real: 2.08
        assert 106 <= _quantile(pence, 0.25) <= 135  # real: 1.25
        assert 375 <= _quantile(pence, 0.75) <= 425  # real: 4.13
        revenue = sum(int(row[QUANTITY]) * Decimal(row[PRICE]) for row in rows)
        assert 13 <= revenue / len(rows) <= 22  # real: 9,747,747.934 / 541,909 = 17.99 a line


def test_prices_are_written_as_in_the_file(large: list[Row]) -> None:
    for price in {row[PRICE] for row in large}:
        assert "E" not in price and not price.startswith((".", "+"))
        if "." in price:
            assert not price.endswith(("0", ".")), "2.1, not 2.10"


def test_time(sample: list[Row], large: list[Row]) -> None:
    closed = {dt.date(2010, 12, day) for day in range(24, 32)}
    closed |= {dt.date(2011, *day) for day in ((1, 1), (1, 2), (1, 3), (4, 22), (4, 24), (4, 25), (4, 29))}
    closed |= {dt.date(2011, *day) for day in ((5, 2), (5, 30), (8, 29))}
    for rows in (large, sample):
        times = [_when(row) for row in rows]
        assert all(a <= b for a, b in pairwise(times))
        assert (times[0], times[-1]) == (dt.datetime(2010, 12, 1, 8, 26), dt.datetime(2011, 12, 9, 12, 50))
        assert 5 not in {time.weekday() for time in times}, "the shop does not sell on Saturdays"
        assert not closed & {time.date() for time in times}
        assert {time.hour for time in times} <= set(range(6, 21))
        last_day = {row[INVOICE] for row in rows if row[DATE].startswith("12/9/2011 ")}
        assert len(last_day) >= 2, "a replay that makes the last day today needs invoices on it"
    assert len({_when(row).date() for row in large}) >= 290  # 305 in the real file
    assert len({_when(row).date() for row in sample}) > 180
    # not zero-padded: month and day first, minutes always with two digits
    assert {"12/1/2010 8:26", "12/9/2011 12:50"} <= {row[DATE] for row in sample}


def test_lines_by_month(large: list[Row]) -> None:
    lines = (42481, 35147, 27707, 36748, 29916, 37030, 36874, 39518, 35284, 50226, 60742, 84711, 25525)
    names = ["2010-12", *(f"2011-{month:02d}" for month in range(1, 13))]
    made = Counter(f"{_when(row):%Y-%m}" for row in large)
    assert sorted(made) == names
    for name, real in zip(names, lines, strict=True):  # one order of a thousand lines is 0.017 of these rows
        assert made[name] / LARGE == pytest.approx(real / REAL, abs=0.02), name


def test_customers_come_back(sample: list[Row], large: list[Row]) -> None:
    for rows, tolerance in ((large, 0.08), (sample, 0.15)):
        orders: dict[str, set[str]] = defaultdict(set)
        months: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row[CUSTOMER] and row[INVOICE].isdigit():
                orders[row[CUSTOMER]].add(row[INVOICE])
                months[row[CUSTOMER]].add(f"{_when(row):%Y-%m}")
        counts = [len(invoices) for invoices in orders.values()]
        assert statistics.mean(counts) == pytest.approx(4.272, rel=tolerance)
        assert sum(n > 1 for n in counts) / len(counts) == pytest.approx(0.6557, rel=tolerance)
        assert len({min(seen) for seen in months.values()}) >= 10, "cohorts: new customers in most months"
        assert all(12346 <= int(customer) <= 18287 for customer in orders)
    countries = {row[CUSTOMER]: row[COUNTRY] for row in large if row[CUSTOMER]}
    assert all(countries[row[CUSTOMER]] == row[COUNTRY] for row in large if row[CUSTOMER])


def test_countries(sample: list[Row], large: list[Row]) -> None:
    assert len({row[COUNTRY] for row in sample}) >= 8
    lines = Counter(row[COUNTRY] for row in large)
    assert len(lines) >= 25
    assert [name for name, _ in lines.most_common(1)] == ["United Kingdom"]
    assert {name for name, _ in lines.most_common(4)} == {"United Kingdom", "Germany", "France", "EIRE"}


# ---- the dirt --------------------------------------------------------------------------------------------

HAZARDS: dict[str, Callable[[Row], bool]] = {
    "cancellation": _cancelled,
    "adjustment": lambda r: r[INVOICE].startswith("A"),
    "empty customer": lambda r: not r[CUSTOMER],
    "empty description": lambda r: not r[TEXT],
    "negative quantity, no cancellation": lambda r: int(r[QUANTITY]) < 0 and not _cancelled(r),
    "price zero": lambda r: r[PRICE] == "0",
    "price zero with a customer": lambda r: r[PRICE] == "0" and bool(r[CUSTOMER]),
    "negative price": lambda r: r[PRICE].startswith("-"),
    "three decimals": lambda r: len(r[PRICE].partition(".")[2]) == 3,
    "price without decimals": lambda r: r[PRICE].isdigit() and r[PRICE] != "0",
    "pound sign": lambda r: "\u00a3" in r[TEXT],
    "comma": lambda r: "," in r[TEXT],
    "double quote": lambda r: '"' in r[TEXT],
    "apostrophe": lambda r: "'" in r[TEXT],
    "ampersand": lambda r: "&" in r[TEXT],
    "blank at the end": lambda r: r[TEXT].endswith(" "),
    "blank at the start": lambda r: r[TEXT].startswith(" "),
    "description ?": lambda r: r[TEXT] == "?",
    "description damaged": lambda r: r[TEXT] == "damaged",
    "description check": lambda r: r[TEXT] == "check",
    "huge quantity": lambda r: int(r[QUANTITY]) > 40_000,
    "huge negative quantity": lambda r: int(r[QUANTITY]) < -40_000,
    "lower-case code": lambda r: r[CODE] != r[CODE].upper() and not r[CODE].startswith("gift"),
    "code with a blank": lambda r: r[CODE] == "BANK CHARGES",
    "gift voucher": lambda r: r[CODE].startswith("gift_0001_"),
    "code POST": lambda r: r[CODE] == "POST",
    "code DOT": lambda r: r[CODE] == "DOT",
    "code M": lambda r: r[CODE] == "M",
    "code m": lambda r: r[CODE] == "m",
    "code D": lambda r: r[CODE] == "D",
    "code S": lambda r: r[CODE] == "S",
    "code C2": lambda r: r[CODE] == "C2",
}


@pytest.mark.parametrize("name", HAZARDS)
def test_every_hazard_is_met_within_the_first_thousand_rows(name: str, sample: list[Row], large: list[Row]) -> None:
    assert any(map(HAZARDS[name], sample[:1000]))
    assert any(map(HAZARDS[name], large))


def test_the_first_rows_are_clean_and_the_first_cancellation_stands_near_row_142(sample: list[Row]) -> None:
    first = {name: next(i for i, row in enumerate(sample, 1) if chosen(row)) for name, chosen in HAZARDS.items()}
    assert 120 <= first["cancellation"] <= 165
    assert first["cancellation"] < first["empty customer"] < 700
    assert first["empty description"] < 700
    thousand = list(map(tuple, sample[:1000]))
    assert len(set(thousand)) < 1000, "identical rows"


def test_codes_collide_when_case_is_ignored(sample: list[Row], large: list[Row]) -> None:
    for rows, least in ((sample[:1000], 1), (sample, 10), (large, 60)):  # 112 in the real file
        spellings: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            spellings[row[CODE].upper()].add(row[CODE])
        assert sum(len(codes) > 1 for codes in spellings.values()) >= least


def test_a_code_has_more_than_one_description(sample: list[Row]) -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    for row in sample:
        if row[TEXT] and Decimal(row[PRICE]):
            texts[row[CODE]].add(row[TEXT])
    assert sum(len(found) > 1 for found in texts.values()) >= 20


def test_cancellations_take_back_an_earlier_sale(sample: list[Row], large: list[Row]) -> None:
    fees = {"D", "M", "S", "BANK CHARGES", "AMAZONFEE"}  # discounts and charges: no sale came before
    for rows in (sample, large):
        sold: Counter[tuple[str, str, str, str]] = Counter()
        taken = 0
        for row in rows:
            key = (row[CUSTOMER], row[CODE], row[TEXT], row[PRICE])
            quantity = int(row[QUANTITY])
            if _cancelled(row):
                assert quantity < 0, row
                if row[CODE] not in fees:
                    taken += 1
                    assert sold[key] + quantity >= 0, row
            sold[key] += quantity
        assert taken > 0.7 * sum(map(_cancelled, rows))


def test_stock_corrections_carry_neither_price_nor_customer(large: list[Row]) -> None:
    for row in large:
        if not row[TEXT] or (int(row[QUANTITY]) < 0 and not _cancelled(row)):
            assert (row[PRICE], row[CUSTOMER]) == ("0", "")


def test_an_invoice_can_span_two_minutes(sample: list[Row]) -> None:
    spans = {len({row[DATE] for row in lines}) for lines in _invoices(sample).values()}
    assert spans == {1, 2}


def test_the_adjustments_and_the_extreme_orders_cancel_out(sample: list[Row]) -> None:
    odd = [row for row in sample if row[INVOICE].startswith("A") or abs(int(row[QUANTITY])) > 40_000]
    assert len(odd) == 4
    assert sum(int(row[QUANTITY]) * Decimal(row[PRICE]) for row in odd) == 0


def test_the_readme_counts_the_hazards_right(sample: list[Row]) -> None:
    readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines() if line[:1] == "|"]
    told = {row[0]: tuple(map(int, row[1:4])) for row in cells if row[0] in HAZARDS}
    found = {
        name: (
            sum(map(chosen, sample)),
            sum(map(chosen, sample[:1000])),
            next(i for i, row in enumerate(sample, 1) if chosen(row)),
        )
        for name, chosen in HAZARDS.items()
    }
    assert told == found
    revenue = sum(int(row[QUANTITY]) * Decimal(row[PRICE]) for row in sample)
    assert f"is exactly {revenue}." in readme
    extra = len(sample) - len(set(map(tuple, sample)))
    assert f"{extra} rows repeat another row" in readme


# ---- none of the real file's rows ------------------------------------------------------------------------


def test_no_row_and_no_product_of_the_real_file(sample: list[Row]) -> None:
    path = os.environ.get("ONLINE_RETAIL_CSV")
    if not path:
        pytest.skip("ONLINE_RETAIL_CSV does not name the real file (data/README.md says where to get it)")
    raw = Path(path).read_bytes()
    unpack = {".xz": lzma.decompress, ".gz": gzip.decompress}.get(Path(path).suffix, bytes)
    real = _read(unpack(raw))
    assert real[0] == generator.HEADER
    rows, words = set(map(tuple, real[1:])), {" ".join(row[TEXT].upper().split()) for row in real[1:]}
    assert len(real) - 1 == REAL
    assert not rows & set(map(tuple, sample))
    assert not words & {" ".join(product.text.upper().split()) for product in generator.catalogue()}
