"""Read the rows of a CSV file in the Online Retail schema, one after the other.

    for row in read_rows("data/online-retail-sample.csv", Selection(first=10)):
        print(to_json(row))

A row is a dict that is ready to become JSON, see `Row`. The file may be plain, gzip, xz or zip, in UTF-8 or
ISO-8859-1; it is streamed, so a file of any size needs the same small memory.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import inspect
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from pathlib import Path
from typing import BinaryIO, TextIO, TypedDict, cast

import orjson

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)

# What reading a damaged file or archive can raise; zipfile asks for a password with a RuntimeError.
_READ_ERRORS = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError)
_SUFFIXES = (".csv", ".gz", ".xz", ".zip")


class InputError(Exception):
    """The input cannot be used. The message is one line: what is wrong, where, and what to do about it."""

    def _render_traceback_(self) -> list[str]:
        """IPython prints this instead of a stack trace."""
        return [f"{type(self).__name__}: {self}"]


class Row(TypedDict):
    """One line of an invoice. The keys stand in this order, in JSON as well.

    RowId is the row's identity: source name, colon, the number of the data row in its file (from 1, at least
    six digits). UnitPrice is the decimal as the file writes it, in a string, because a JSON number would
    become a float. InvoiceDate is ISO 8601, without a time zone, as in the file.
    """

    RowId: str
    InvoiceNo: str
    StockCode: str
    Description: str | None
    Quantity: int
    InvoiceDate: str
    UnitPrice: str
    CustomerID: str | None
    Country: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of the file that is no `Row`: which one (`row_number` from 1, `line` in the file), and why.

    `column` is empty when the row as a whole is at fault; `fields` is the row as it was read.
    """

    row_number: int
    column: str
    value: str
    reason: str
    line: int
    row_id: str = ""
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"row {self.row_number} (line {self.line})"
        return f"{where}, column {self.column}: {self.reason}" if self.column else f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows to take; with nothing said, all of them.

    Dates first: one `date`, or the days `since` to `until`, both included, either may be left out, or the
    rows of `today`. Of the rows that remain, the first `offset` are skipped and at most `first` are taken, in
    the file's order. Dates are those of the row as it is handed out: of a replay, the shifted ones.
    """

    first: int | None = None
    offset: int = 0
    date: dt.date | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    today: bool = False

    def __post_init__(self) -> None:
        for name, number in (("first", self.first), ("offset", self.offset)):
            if number is not None and (type(number) is not int or number < 0):
                raise InputError(f"selection: {name} is {number!r}; give a whole number that is not negative")
        for name, day in (("date", self.date), ("since", self.since), ("until", self.until)):
            if day is not None and type(day) is not dt.date:
                raise InputError(f"selection: {name} is {day!r}; give a datetime.date, such as date(2010, 12, 1)")
        if self.since and self.until and self.since > self.until:
            raise InputError(f"selection: since {self.since} is after until {self.until}; swap them")
        if bool(self.date) + bool(self.since or self.until) + self.today > 1:
            raise InputError("selection: give one of date, since/until and today, not several")

    def on(self, today: dt.date) -> Selection:
        """The same selection with `today` replaced by that date."""
        return replace(self, date=today, today=False) if self.today else self

    def takes(self, day: dt.date) -> bool:
        """Whether rows of that day belong to the selection (after `on`)."""
        if self.date:
            return day == self.date
        return (self.since is None or day >= self.since) and (self.until is None or day <= self.until)

    def __str__(self) -> str:
        parts = [f"date {self.date}"] if self.date else []
        parts += ["today"] if self.today else []
        parts += [f"since {self.since}"] if self.since else []
        parts += [f"until {self.until}"] if self.until else []
        parts += [f"offset {self.offset}"] if self.offset else []
        parts += [f"first {self.first}"] if self.first is not None else []
        return ", ".join(parts) or "all rows"


def source_name(path: Path | str) -> str:
    """The logical name of a file: without its folder and without every suffix .csv, .gz, .xz and .zip."""
    name = Path(path).name
    while name.lower().endswith(_SUFFIXES):
        name = name[: name.rindex(".")]
    return name


class _Decoder(codecs.IncrementalDecoder):
    """UTF-8 (a byte order mark is dropped) up to the first bytes that are not, from there on ISO-8859-1.

    So a pound sign in the last row is read rightly without looking at the whole file first. Every byte is a
    character in ISO-8859-1: nothing is refused.
    """

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8-sig")()

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        if self._utf8 is None:
            return data.decode("iso-8859-1")
        try:
            return self._utf8.decode(data, final)
        except UnicodeDecodeError as error:
            self._utf8 = None
            good, rest = error.object[: error.start], error.object[error.start :]
            return good.decode("utf-8") + rest.decode("iso-8859-1")


def _find_codec(name: str) -> codecs.CodecInfo | None:
    if name != "utf_8_or_iso_8859_1":
        return None
    utf8 = codecs.lookup("utf-8")
    return codecs.CodecInfo(utf8.encode, utf8.decode, incrementaldecoder=_Decoder, name=name)


codecs.register(_find_codec)


def open_csv(path: Path | str) -> TextIO:
    """Open a .csv, .csv.gz, .csv.xz or .zip (that holds one .csv) as a stream of text; line ends stay as they
    are.

    Raises InputError if there is no such file, it cannot be read, or its name ends otherwise.
    """
    path = Path(path)
    try:
        binary = _open_binary(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name the CSV file in it") from None
    except _READ_ERRORS as error:
        raise InputError(f"{path}: cannot be read ({_one_line(error)}); check the file") from None
    return io.TextIOWrapper(binary, encoding="utf_8_or_iso_8859_1", newline="")


def _open_binary(path: Path) -> BinaryIO:
    match path.suffix.lower():
        case ".csv":
            return path.open("rb")
        case ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case ".xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        case ".zip":
            with zipfile.ZipFile(path) as archive:  # the member stays readable after this block
                names = [n for n in archive.namelist() if n.lower().endswith(".csv") and "__MACOSX" not in n]
                if len(names) != 1:
                    found = "no .csv file" if not names else f"{len(names)} .csv files"
                    raise InputError(f"{path}: holds {found}; give a .zip with exactly one")
                return cast(BinaryIO, archive.open(names[0]))
        case other:
            raise InputError(f"{path}: ends in {other or 'nothing'}; give a .csv, .csv.gz, .csv.xz or .zip file")


class Rows(Iterable[Row]):
    """The iterator that `read_rows` returns: each row is read when it is asked for, and only once.

    `source` is the first part of every RowId; `selection` has its dates filled in. `on_refused` may be set as
    long as no row has been read.
    """

    def __init__(
        self,
        path: Path,
        source: str,
        selection: Selection,
        replay_last_day: dt.date | None,
        on_refused: Callable[[Refused], None] | None,
    ) -> None:
        self.path, self.source, self.selection, self.on_refused = path, source, selection, on_refused
        self._replay_last_day = replay_last_day
        self._rows = self._read()

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def __next__(self) -> Row:
        return next(self._rows)

    @property
    def fresh(self) -> bool:
        """Whether no row has been asked for yet."""
        return inspect.getgeneratorstate(self._rows) == inspect.GEN_CREATED

    def close(self) -> None:
        """Close the file before its end."""
        self._rows.close()

    def _read(self) -> Generator[Row]:
        first, offset = self.selection.first, self.selection.offset
        if first == 0:
            return
        shift = dt.timedelta()
        if self._replay_last_day:
            shift = self._replay_last_day - _last_day(self.path)
        moments = _Moments(self.selection, shift)
        quantities, prices = _Quantities(), _Prices()
        source, number, skipped, taken, line = self.source, 0, 0, 0, 1
        with open_csv(self.path) as stream:
            reader = csv.reader(stream)
            _check_header(self.path, reader)
            for fields in _records(self.path, reader):
                number += 1
                before, line = line, reader.line_num
                try:
                    if line - before > 1 and _swallows_rows(fields):
                        raise ValueError
                    invoice, stock, description, quantity, moment, price, customer, country = fields
                    when, wanted = moments[moment]
                    if not wanted:
                        continue
                    units, exact = quantities[quantity], prices[price]
                except (ValueError, TypeError, OverflowError):
                    if fields == []:  # an empty line is no row
                        number -= 1
                    elif skipped == offset:  # before that, the row belongs to the part that was skipped
                        self._refuse(_diagnose(f"{source}:{number:06d}", number, fields, reader.line_num, moments))
                    continue
                if skipped < offset:
                    skipped += 1
                    continue
                yield {
                    "RowId": f"{source}:{number:06d}",
                    "InvoiceNo": invoice,
                    "StockCode": stock,
                    "Description": description or None,
                    "Quantity": units,
                    "InvoiceDate": when,
                    "UnitPrice": exact,
                    "CustomerID": customer or None,
                    "Country": country,
                }
                taken += 1
                if taken == first:
                    return

    def _refuse(self, refused: Refused) -> None:
        if self.on_refused is None:
            raise InputError(f"{self.path}: {refused}; correct the row, or pass on_refused to set it aside and go on")
        self.on_refused(refused)


def read_rows(
    path: Path | str,
    selection: Selection | None = None,
    *,
    source: str | None = None,
    replay_last_day: dt.date | None = None,
    on_refused: Callable[[Refused], None] | None = None,
) -> Rows:
    """Stream the selected rows of a CSV file.

    RowIds number the rows by their place in the file, whatever is selected. `source` replaces the name taken
    from the file name. With `replay_last_day` all dates move by whole days so that the last day in the file
    becomes that day; the result is a source of its own, `name@2026-11-22`.

    A broken row (a wrong number of columns, no number, no date) goes to `on_refused`, and reading goes on;
    without `on_refused` it raises InputError. It belongs to the same part of a selection as the next good
    row, so that files split by `offset` and `first` report it once. Rows with a readable date outside the
    selection are not looked at.

    Raises InputError, at once for a file that cannot be opened or has the wrong header, later where it is
    damaged.
    """
    path = Path(path)
    name = source or source_name(path)
    if not name:
        raise InputError(f"{path}: its name gives no source name; rename it or pass source=")
    if replay_last_day:
        name = f"{name}@{replay_last_day}"
    with open_csv(path) as stream:
        _check_header(path, csv.reader(stream))
    return Rows(path, name, (selection or Selection()).on(dt.date.today()), replay_last_day, on_refused)


def to_json(row: Row) -> str:
    """The row as one JSON object: no blanks between its parts, letters such as £ as they are.

    The same text as `json.dumps(row, ensure_ascii=False, separators=(",", ":"))`, several times as fast.
    """
    return orjson.dumps(row).decode()


# Exact or not at all: a sum that needed rounding raises Inexact instead.
EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])


def revenue(rows: Iterable[Row]) -> Decimal:
    """Σ Quantity × UnitPrice, exactly; 0 for no rows. Raises InputError for a row without these numbers."""
    total, fma = Decimal(0), EXACT.fma
    for row in rows:
        try:
            total = fma(Decimal(row["Quantity"]), Decimal(row["UnitPrice"]), total)
        except (KeyError, TypeError, InvalidOperation):
            name = row.get("RowId", "a row")
            raise InputError(f"{name}: no revenue without a Quantity and a UnitPrice that are numbers") from None
    return total


class _Moments(dict[str, tuple[str, bool]]):
    """The file's date and time → (ISO 8601, whether it is selected); each distinct text is converted once."""

    def __init__(self, selection: Selection, shift: dt.timedelta) -> None:
        super().__init__()
        self._selection, self._shift = selection, shift

    def __missing__(self, text: str) -> tuple[str, bool]:
        moment = _moment(text) + self._shift
        _keep_small(self)
        self[text] = result = moment.isoformat(), self._selection.takes(moment.date())
        return result


class _Quantities(dict[str, int]):
    def __missing__(self, text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise ValueError(text)
        _keep_small(self)
        self[text] = result = int(text)
        return result


class _Prices(dict[str, str]):
    def __missing__(self, text: str) -> str:
        if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
            raise ValueError(text)
        _keep_small(self)
        self[text] = text
        return text


def _keep_small(cache: dict[str, object] | dict[str, int] | dict[str, str] | _Moments) -> None:
    if len(cache) > 100_000:
        cache.clear()


def _moment(text: str) -> dt.datetime:
    """A date of the file, month first: 12/1/2010 8:26. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", text)
    if not found:
        raise ValueError(text)
    month, day, year, hour, minute, second = (int(part or 0) for part in found.groups())
    return dt.datetime(year, month, day, hour, minute, second)


def _last_day(path: Path) -> dt.date:
    """The latest day in the file, which need not stand in its last row."""
    with open_csv(path) as stream:
        reader = csv.reader(stream)
        _check_header(path, reader)
        texts, last = set[str](), None
        for fields in _records(path, reader):
            if isinstance(fields, csv.Error) or len(fields) != len(COLUMNS) or fields[4] in texts:
                continue
            if len(texts) > 100_000:
                texts.clear()
            texts.add(fields[4])
            try:
                day = _moment(fields[4]).date()
            except ValueError:
                continue
            last = day if last is None or day > last else last
    if last is None:
        raise InputError(f"{path}: has no row with a date, so there is nothing to replay; give a file with rows")
    return last


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The reader's records. What the csv module cannot take apart comes as its csv.Error (which does not
    unpack)."""
    while True:
        try:
            yield from reader
            return
        except csv.Error as error:
            yield cast(list[str], error)
        except _READ_ERRORS as error:
            where = f"cannot be read after line {reader.line_num}"  # type: ignore[attr-defined]
            raise InputError(f"{path}: {where} ({_one_line(error)}); the file is damaged, get it again") from None


def _check_header(path: Path, reader: Iterator[list[str]]) -> None:
    expected = f"expected the columns {', '.join(COLUMNS)}"
    try:
        header = next(reader, None)
    except csv.Error:
        header = []
    except _READ_ERRORS as error:
        raise InputError(f"{path}: cannot be read ({_one_line(error)}); the file is damaged, get it again") from None
    if header is None:
        raise InputError(f"{path}: is empty; {expected}")
    if tuple(header) == COLUMNS:
        return
    if header and re.search("[\0-\x08]|\ufffd|^ÿþ|^þÿ", header[0]):
        problem = "is no CSV text in UTF-8 or ISO-8859-1"
    elif len(header) == 1 and (separator := re.search("[;\t|]", header[0])):
        problem = f"its columns are separated by {separator[0]!r} instead of commas"
    elif missing := [name for name in COLUMNS if name not in header]:
        unknown = [_short(name) for name in header if name not in COLUMNS]
        problem = f"column {', '.join(missing)} is missing" + (f" (found {', '.join(unknown[:8])})" if unknown else "")
    elif len(header) > len(COLUMNS):
        unknown = [_short(name) for name in header if name not in COLUMNS] or ["a column twice"]
        problem = f"has a column too many: {', '.join(unknown[:8])}"
    else:
        problem = "has its columns in another order"
    raise InputError(f"{path}: {problem}; {expected}")


def _diagnose(row_id: str, number: int, fields: list[str] | csv.Error, line: int, moments: _Moments) -> Refused:
    """Say which part of a broken row is broken."""
    if isinstance(fields, csv.Error):
        reason = f"no CSV ({_one_line(fields)}); is a quote not closed?"
        return Refused(number, "", "", reason, line, row_id)
    start = line - sum(field.count("\n") for field in fields)
    span = f"; it runs from line {start} to {line}: is a quote not closed?" if line > start else ""
    if _swallows_rows(fields):
        return Refused(number, "", "", "holds other rows in one text" + span, start, row_id, tuple(fields))
    column = value = reason = ""
    if len(fields) != len(COLUMNS):
        reason = f"has {len(fields)} columns instead of {len(COLUMNS)}"
    else:
        checks = (
            ("Quantity", _Quantities(), "is no whole number, such as 6 or -1"),
            ("InvoiceDate", moments, "is no date, month first, such as 12/1/2010 8:26"),
            ("UnitPrice", _Prices(), "is no decimal number, such as 2.55"),
        )
        for column, cache, what in checks:
            value = fields[COLUMNS.index(column)]
            try:
                cache[value]
            except (ValueError, OverflowError):
                reason = f"{_short(value)} {what}"
                break
    return Refused(number, column, value, reason + span, start, row_id, tuple(fields))


def _swallows_rows(fields: list[str]) -> bool:
    """Whether a text over several lines has the commas of a whole row, as it has after a quote that is not
    closed."""
    return any("\n" in field and field.count(",") >= len(COLUMNS) - 1 for field in fields)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
