"""Make a sample in the Online Retail schema: invented rows with the shape, and the dirt, of the real file.

    python data/generate.py [--rows 5000] [--seed 7] [--out data/online-retail-sample.csv]

The figures below are distributions of the real file (Chen 2015, see data/README.md); no row and no product
of it is in here. The same rows and seed give the same bytes on every platform and Python version: all
chance comes from ``random.Random.random()``, and only + - * / touch a float (``math.log`` may differ
between C libraries, ``random.choice`` and ``sum`` of floats between versions). The time span is always the
whole year: 500,000 rows are a busy shop, 5,000 rows a small one with as long a history.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import random
import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

HEADER = [
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID",
    "Country",
]  # fmt: skip
SAMPLE = Path(__file__).with_name("online-retail-sample.csv")
REAL_ROWS = 541_909  # the counts below belong to this many rows and are scaled to the number asked for
PRODUCTS = 4_000
UK = "United Kingdom"

# ---- distributions of the real file ----------------------------------------------------------------------

# lines an invoice, as (share of invoices, lines): with a customer, without (web orders), cancelled
SALE_SIZES = (
    (0, 1), (0.08, 1), (0.1, 2), (0.2, 5), (0.3, 8), (0.4, 11), (0.5, 15), (0.6, 19), (0.7, 24), (0.8, 32),
    (0.9, 48), (0.95, 65), (0.98, 89), (0.99, 111), (0.995, 136), (0.999, 239), (1, 540),
)  # fmt: skip
WEB_SIZES = (
    (0, 1), (0.19, 1), (0.25, 3), (0.3, 5), (0.4, 15), (0.5, 36), (0.6, 55), (0.7, 93), (0.75, 145),
    (0.8, 174), (0.9, 249), (0.95, 406), (0.98, 552), (0.99, 622), (0.999, 749), (1, 1100),
)  # fmt: skip
CANCEL_SIZES = (
    (0, 1), (0.58, 1), (0.6, 2), (0.75, 2), (0.8, 3), (0.9, 5), (0.95, 7), (0.98, 12), (0.99, 18), (1, 60),
)  # fmt: skip
CUSTOMER_INVOICES = (
    (0, 1), (0.344, 1), (0.345, 2), (0.537, 2), (0.538, 3), (0.654, 3), (0.655, 4), (0.799, 5), (0.922, 10),
    (0.978, 20), (0.996, 50), (0.9993, 100), (1, 210),
)  # fmt: skip
STOCK_OUT = (
    (0, 1), (0.1, 2), (0.2, 6), (0.3, 11), (0.5, 30), (0.7, 66), (0.8, 110), (0.9, 270), (0.95, 664),
    (1, 3200),
)  # fmt: skip
STOCK_IN = ((0, 1), (0.1, 1), (0.3, 3), (0.5, 9), (0.7, 26), (0.8, 52), (0.9, 140), (0.95, 232), (1, 1300))
POPULARITY = (  # (rank of the product, its lines)
    (0, 2313), (1, 2203), (4, 1639), (9, 1350), (19, 1202), (49, 937), (99, 702), (199, 501), (499, 298),
    (999, 170), (1999, 64), (2999, 16), (3999, 1),
)  # fmt: skip
MONTH_LINES = {
    (2010, 12): 42481, (2011, 1): 35147, (2011, 2): 27707, (2011, 3): 36748, (2011, 4): 29916,
    (2011, 5): 37030, (2011, 6): 36874, (2011, 7): 39518, (2011, 8): 35284, (2011, 9): 50226,
    (2011, 10): 60742, (2011, 11): 84711, (2011, 12): 25525,
}  # fmt: skip
WEEKDAY_WEIGHT = (20, 20, 18, 20, 17, 0, 13)  # Monday first; the shop never sells on a Saturday
HOUR_LINES = (  # 6:00 to 20:59
    41, 383, 8909, 34332, 49037, 57674, 78709, 72259, 67471, 77519, 54516, 28509, 7974, 3705, 871,
)  # fmt: skip
FIRST, LAST = dt.datetime(2010, 12, 1, 8, 26), dt.datetime(2011, 12, 9, 12, 50)
CLOSED = {
    *(dt.date(2010, 12, day) for day in range(24, 32)), dt.date(2011, 1, 2), dt.date(2011, 1, 3),
    dt.date(2011, 4, 22), dt.date(2011, 4, 24), dt.date(2011, 4, 25), dt.date(2011, 4, 29),
    dt.date(2011, 5, 2), dt.date(2011, 5, 30), dt.date(2011, 8, 29),
}  # fmt: skip

# country: (lines, invoices, customers), the busiest first
COUNTRIES = {
    "Germany": (9495, 603, 95), "France": (8557, 461, 87), "EIRE": (8196, 360, 3), "Spain": (2533, 105, 31),
    "Netherlands": (2371, 101, 9), "Belgium": (2069, 119, 25), "Switzerland": (2002, 74, 21),
    "Portugal": (1519, 71, 19), "Australia": (1259, 69, 9), "Norway": (1086, 40, 10),
    "Italy": (803, 55, 15), "Channel Islands": (758, 33, 9), "Finland": (695, 48, 12),
    "Cyprus": (622, 20, 8), "Sweden": (462, 46, 8), "Unspecified": (446, 13, 4), "Austria": (401, 19, 11),
    "Denmark": (389, 21, 9), "Japan": (358, 28, 8), "Poland": (341, 24, 6), "Israel": (297, 9, 4),
    "USA": (291, 7, 4), "Singapore": (229, 10, 1), "Iceland": (182, 7, 1), "Canada": (151, 6, 4),
    "Greece": (146, 6, 4), "Malta": (127, 10, 2), "United Arab Emirates": (68, 3, 2),
    "European Community": (61, 5, 1), "RSA": (58, 1, 1), "Lebanon": (45, 1, 1), "Lithuania": (35, 4, 1),
    "Brazil": (32, 1, 1), "Czech Republic": (30, 5, 1), "Bahrain": (19, 4, 2), "Saudi Arabia": (10, 2, 1),
}  # fmt: skip


def _table(weights: str) -> list[str]:
    """'2.1:40 1:10' as a list in which each value stands as often as its weight: one draw, one look-up."""
    return [value for value, n in (pair.split(":") for pair in weights.split()) for _ in range(int(n))]


def _tables(text: str) -> tuple[list[str], ...]:
    return tuple(_table(part) for part in text.split(";"))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


LIST_PRICES = _table("""
    1.25:122 0.85:72 2.95:68 1.65:82 0.42:58 3.75:47 4.95:45 2.55:35 2.1:40 1.95:34 0.39:24 4.25:20
    5.95:20 0.65:20 2.08:34 7.95:18 1.45:28 0.29:14 9.95:15 0.83:15 8.5:13 0.79:9 0.19:8 4.15:12 12.75:9
    8.25:8 2.89:7 1.69:9 6.95:6 3.95:6 6.75:6 0.55:14 8.95:4 0.21:5 3.25:5 12.5:4 16.95:3 0.12:3 0.75:4
    14.95:3 6.25:3 2.25:3 2.49:3 5.45:3 19.95:2 29.95:2 39.95:1 165:1
""")
WEB_PRICES = {
    "1.25": "2.46", "0.85": "1.63", "2.08": "4.13", "2.1": "4.13", "0.42": "0.83", "1.65": "3.29",
    "2.95": "5.79", "3.75": "7.46", "2.55": "4.96", "4.95": "10.79", "0.55": "1.25", "1.95": "4.13",
    "1.45": "3.29", "4.25": "8.29", "4.15": "8.29", "0.39": "0.83", "0.65": "1.63", "0.29": "0.83",
    "7.95": "15.79", "8.5": "16.63", "5.95": "12.46",
}  # fmt: skip
BULK_PRICES = {
    "2.08": "1.95", "2.95": "2.55", "1.65": "1.45", "1.25": "1.06", "4.25": "3.75", "0.85": "0.72",
    "7.95": "6.75", "2.55": "2.1", "4.95": "4.25", "3.75": "3.39", "2.1": "1.85", "1.45": "1.25",
    "4.15": "3.75", "1.95": "1.65", "0.42": "0.36", "12.75": "10.95", "0.55": "0.42", "9.95": "8.5",
    "8.5": "7.65", "16.95": "14.95",
}  # fmt: skip
PRICE_CLASSES = (
    60,
    130,
    260,
    500,
    1050,
)  # pence: the quantities below stand in six classes of price
SALE_QUANTITIES = _tables("""
    24:213 12:160 25:104 1:101 2:71 48:50 6:38 3:36 4:35 36:31 5:20 10:16 72:13 8:11 20:11 16:10 96:8
    50:6 120:6 144:6 288:5 480:2 576:2 1152:1;
    12:276 1:146 2:103 24:87 3:56 6:54 10:51 4:47 8:30 5:21 16:19 48:17 20:16 36:14 72:8 96:8 18:5 144:5
    7:4 100:4 200:2 288:2 600:1;
    12:174 1:165 2:125 10:118 6:107 3:60 4:50 8:34 24:30 5:26 20:20 48:13 100:8 16:7 40:6 36:6 96:5 30:5
    32:4 9:3 18:3 7:3 144:2 200:3 480:1;
    1:219 6:184 4:178 2:134 3:96 12:55 8:41 5:20 24:19 10:7 16:6 18:6 48:5 9:3 36:3 72:3 7:2 50:2 20:2
    120:1 240:1;
    2:387 1:275 4:97 3:94 6:42 12:27 10:25 8:14 5:7 24:6 16:4 20:4 9:3 18:3 48:2 30:1 36:1 60:1;
    1:467 2:260 4:75 3:72 6:36 16:22 8:15 5:12 12:11 32:5 7:4 24:4 10:3 9:2 18:1 48:1
""")
WEB_QUANTITIES = _tables("""
    1:250 2:157 3:88 4:87 5:60 6:53 8:33 12:32 7:31 10:26 24:24 11:18 9:17 13:14 15:11 25:10 18:8 48:6
    96:2;
    1:468 2:186 3:91 4:60 5:38 6:34 12:17 8:17 7:16 10:13 9:9 11:7 15:5 16:5 24:4 36:2 100:1;
    1:508 2:192 3:86 4:54 5:31 6:30 7:13 8:13 10:10 12:9 9:7 11:5 15:4 20:3 24:3 36:1 100:2;
    1:576 2:186 3:77 4:48 5:24 6:21 7:12 8:10 9:6 10:5 12:4 15:3 20:2 24:2 96:1;
    1:653 2:167 3:66 4:34 5:19 6:14 7:8 8:6 9:5 10:5 12:3 20:2 72:1;
    1:759 2:140 3:40 4:20 5:10 6:7 7:4 8:4 10:2 12:1
""")

# ---- words: all of them invented -------------------------------------------------------------------------

ITEMS = _words("""
    TRINKET TRAY, SEED CADDY, EGG CODDLER, TEAPOT COSY, DOOR WEDGE, SPICE CADDY, STORM LANTERN,
    PICNIC RUG, BOOK REST, COAT PEG, PLANT LABEL, BREAD CROCK, JAM SPOON, OVEN MITT, WALL VASE,
    TOOTHBRUSH MUG, KEY RACK, PEN TUB, SOAP SAVER, TABLE SWAG, NAPKIN CLIP, CANDLE SNUFFER, FAIRY CLOAK,
    WIND SPINNER, FINCH FEEDER, WATERING JUG, TOOL POUCH, MARKET TOTE, PENCIL ROLL, COLOURING SCROLL,
    JIGSAW CUBE, HAND BELL, DESK CADDY, PHOTO LEDGE, GIFT SLEEVE, RIBBON SPOOL, PAPER CROWN, CAKE BANNER,
    COOKIE STAMP, PIE FUNNEL, CREAM JUG, CHEESE DOME, CRUMPET RACK, CLAY RAMEKIN, HERB PLANTER,
    SUGAR SHAKER, CUPBOARD PULL, CURTAIN TIE, SHELF LINER, FELT SLIPPER, EYE PILLOW, VANITY MIRROR,
    BEADED POUCH, LUGGAGE STRAP, TICKET HOLDER, UMBRELLA TUB, HEARTH BRUSH, LOG BASKET, KINDLING CRATE,
    KNITTED THROW, FLOOR POUFFE, STEP STOOL
""")
MOTIFS = _words("""
    HERON, BRAMBLE, PAISLEY, KINGFISHER, CLOVER, THISTLE, MEADOW, HARVEST, COCKLE, ANCHOR, LIGHTHOUSE,
    FOXGLOVE, HEDGEROW, ACORN, FERN, MARIGOLD, TULIP, COWSLIP, SWIFT, BADGER, HARE, OTTER, PUFFIN, WREN,
    FINCH, ORCHARD, CIDER APPLE, QUINCE, DAMSON, CHECKERED, TARTAN, CHEVRON, HERRINGBONE, SCALLOP,
    HARLEQUIN, PINSTRIPE, TERRAZZO, ATLAS, FJORD, ALPINE, PROMENADE, FAIRGROUND, CAROUSEL, LUNAR, COMET,
    STARLING, NORTH STAR, SNOWDROP, HOLLY SPRIG, MISTLETOE, PINE NEEDLE, SLEIGH, JUNIPER, SAFFRON, LARK,
    MAGPIE, BARLEY, CANDY CANE, MINARET, PEBBLE
""")
COLOURS = _words("RED,BLUE,GREEN,CREAM,TEAL,MUSTARD,CHARCOAL,ROSE,LILAC,COPPER")
OPERATIONAL = (
    ["check"] * 16 + ["?"] * 5 + ["damages"] * 5 + ["damaged"] * 5 + ["found"] * 3
    + ["adjustment", "adjustment", "thrown away", "??", "wet boxes", "missing", "smashed", "counted again"]
    + ["put aside", "test"]
)  # fmt: skip
EARLY_STOCK = ("", "check", "?", "damaged")  # so that the first thousand rows show each kind of stock line

# Lines that are no products: code, description, lines in the real file, row of the first one, least number
SALE_SERVICES = (
    ("M", "Manual", 330, 300, 1),
    ("free", "", 40, 360, 1),  # a product given away: price 0 with a customer
    ("C2", "CARRIAGE", 140, 420, 1),
    ("PADS", "INNER PADS, ANY CUSHION", 4, 520, 2),  # the one price with three decimals: 0.001
    ("m", "Manual", 1, 610, 1),
)
FEES = (
    ("D", "Discount", 77, 240),
    ("M", "Manual", 240, 460),
    ("BANK CHARGES", " Bank Charges", 37, 560),
    ("S", "SAMPLES", 63, 640),
    ("AMAZONFEE", "MARKETPLACE FEE", 34, 780),
)
FEE_PRICES = {
    "D": ((0, 150), (0.5, 2297), (0.9, 12990), (1, 30000)),
    "M": ((0, 25), (0.25, 100), (0.5, 795), (0.75, 6000), (1, 29000)),
    "BANK CHARGES": ((0, 1500), (0.4, 1500), (1, 9000)), "S": ((0, 280), (0.5, 1950), (1, 10400)),
    "AMAZONFEE": ((0, 6000), (1, 29000)), "DOT": ((0, 1200), (0.25, 6100), (0.5, 11500), (1, 32000)),
}  # fmt: skip
FIRST_ODD_ROW = 142  # a cancellation; before it there are only sales
PREPARED = 1000  # from this many rows on, every hazard has its place within the first thousand


def _at(points: Sequence[tuple[float, float]], share: float) -> int:
    """The value at ``share`` (0..1) of a piecewise linear quantile table."""
    i = min(max(bisect_right(points, (share, float("inf"))), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[i - 1], points[i]
    return int(y0 + (y1 - y0) * (share - x0) / (x1 - x0) + 0.5)


def _money(pence: int) -> str:
    """Pence as the shortest decimal, the way the file writes prices: 210 is '2.1', 16500 is '165'."""
    return f"{pence // 100}.{pence % 100:02d}".rstrip("0").rstrip(".")


def _pence(price: str) -> int:
    whole, _, part = price.partition(".")
    return int(whole) * 100 + int(part.ljust(2, "0"))


class _Chance(random.Random):
    """Draws that are made of ``random()`` alone."""

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def mix(self, items: list[int]) -> list[int]:
        """Shuffle in place (Fisher and Yates), and give the list back."""
        for i in range(len(items) - 1, 0, -1):
            j = int(self.random() * (i + 1))
            items[i], items[j] = items[j], items[i]
        return items


# ---- the catalogue ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Product:
    """One product. ``other`` is a second wording, ``lower`` the code in lower case, which is mixed in."""

    code: str
    text: str
    other: str
    lower: str
    price: str
    web: str
    bulk: str
    price_class: int


def catalogue() -> list[Product]:
    """All products by popularity, the same for every seed and size.

    The four of a family stand 4 ranks apart in a block of 16: ranks 0, 4, 8 and 12 are one family.
    """
    chance = _Chance(1_600)
    blocks = ((20000, 7800), (15000, 600), (35000, 400), (71000, 700), (82000, 1800), (90000, 400))
    numbers = chance.mix([first + i for first, n in blocks for i in range(n)])
    names: set[str] = set()
    products: list[Product] = []
    families: dict[int, tuple[str, int, int, str]] = {}  # family -> item, form, number, price
    for rank in range(PRODUCTS):
        family, member = rank // 16 * 4 + rank % 4, rank // 4 % 4
        if member == 0:
            item = ITEMS[chance.below(len(ITEMS))]
            form, price = chance.below(6), LIST_PRICES[chance.below(len(LIST_PRICES))]
            while rank < 600 and _pence(price) > 1000:  # what sells most is cheap
                price = LIST_PRICES[chance.below(len(LIST_PRICES))]
            families[family] = (item, form, numbers.pop(), price)
        item, form, number, price = families[family]
        suffixed = family % 10 == 3  # codes such as 84123A .. 84123D: one number, a letter for each sibling
        code = f"{number}{'ABCD'[member]}" if suffixed else str(number if member == 0 else numbers.pop())
        while (text := _name(chance, item, form, rank)) in names:
            pass
        names.add(text)
        cents = _pence(price)
        draw = chance.random()
        edge = f"{text[:34]} " if draw < 0.21 else f" {text}"[:35] if draw < 0.213 else text
        other = (f"NEW {text}" if member % 2 else f"{text}.")[:35] if chance.random() < 0.16 else ""
        products.append(
            Product(
                code=code,
                text=edge,
                other=other,
                lower=code.lower() if suffixed and rank < 1800 and chance.random() < 0.62 else "",
                price=price,
                web=WEB_PRICES.get(price, _money(cents * 2 - 4)),
                bulk=BULK_PRICES.get(price, _money(cents * 85 // 100 + 1)),
                price_class=bisect_right(PRICE_CLASSES, cents),
            )
        )
    return products


def _name(chance: _Chance, item: str, form: int, rank: int) -> str:
    """A product name of at most 35 characters; some ranks carry the marks that make trouble in a CSV."""
    motif, colour = MOTIFS[chance.below(len(MOTIFS))], COLOURS[chance.below(len(COLOURS))]
    n = (2, 3, 4, 6, 8, 10, 12)[chance.below(7)]
    if rank % 97 == 31:
        text = f"{item},{motif} {colour}"
    elif rank % 400 == 60:
        text = f'{item} {n + 4}" {motif}'
    elif rank % 60 == 17:
        text = f"COOK'S {motif} {item}" if rank % 120 == 17 else f"GARDENER'S {motif} {item}"
    elif rank % 190 == 75:
        text = f"{colour} & CREAM {motif} {item}"
    elif rank % 40 == 9:
        text = f"S/{n} {motif} {item}S"
    else:
        text = (
            f"{colour} {motif} {item}",
            f"{motif} {item} {colour}",
            f"SET OF {n} {motif} {item}S",
            f"PACK OF {n} {item}S {motif}",
            f"{item} {motif} {('DESIGN', 'PATTERN', 'TRIM')[chance.below(3)]}",
            f"{('LARGE', 'SMALL', 'MINI', 'TALL')[chance.below(4)]} {item} {motif}",
        )[form]
    if chance.random() < 0.04:
        text = text.replace(" ", "  ", 1)
    return text[:35].rstrip()


# ---- the plan: every invoice with its size, customer and minute, before the first line is made -----------


@dataclass(slots=True)
class Invoice:
    """An invoice to come. ``number`` counts within its kind; ``source``: where the sale taken back stands."""

    kind: str  # sale, web, stock, cancel, fee, adjust
    size: int
    number: int = 0
    source: int = -1
    code: str = ""  # fee: which; sale: "bulk" for an order of an extreme quantity; adjust: the sign
    taken: int = 0  # lines of this sale that a later invoice takes back
    customer: str = ""
    country: str = UK
    day: int = 0
    minute: int = 0


def _sizes(points: Sequence[tuple[float, float]], lines: int, cap: int, first_guess: int) -> list[int]:
    """Sizes that make ``lines`` together, spread evenly over the distribution, none larger than ``cap``."""
    n = max(1, first_guess)
    while sum(sizes := [min(cap, _at(points, (i + 0.5) / n)) for i in range(n)]) < lines:
        n += max(1, n // 200)
    extra = sum(sizes) - lines
    while extra > 0:
        # from the large ones: the small ones give the distribution its shape
        thick = [i for i in range(n - 1, n // 2 - 1, -1) if sizes[i] > 1]
        if not thick:
            return sizes[: n - extra]
        for i in thick[:extra]:
            sizes[i] -= 1
        extra -= min(extra, len(thick))
    return sizes


def _plan(rows: int, chance: _Chance) -> list[Invoice]:
    """The invoices of ``rows`` lines in time order."""
    full = rows >= PREPARED
    share = rows / REAL_ROWS
    start = FIRST_ODD_ROW / rows if full else 0.2
    pinned: list[tuple[float, Invoice]] = []  # invoices with a place of their own: (row, invoice)
    if full:
        pinned.append((FIRST_ODD_ROW, Invoice("cancel", 1)))
        for row in (700, *((rows - 4000,) if rows >= 50_000 else ())):
            bulk = Invoice("sale", 1, code="bulk")
            pinned += [(row, bulk), (row + 20, Invoice("cancel", 1, code="bulk"))]
        pinned += [(850, Invoice("adjust", 1, code="")), (851, Invoice("adjust", 1, code="-"))]
    spread: list[tuple[float, Invoice]] = []
    for code, _, count, first in FEES:
        n = max(1, round(count * share)) if full else 0
        for k in range(n):
            row = first if k == 0 else first + (rows - first) * (k + chance.random()) / n
            pinned.append((row, Invoice("fee", 1, code=code)))
    pinned.sort(key=lambda place: place[0])

    def scatter(kind: str, sizes: list[int], begin: float) -> None:
        for k, size in enumerate(sizes):
            place = begin + (1 - begin) * (k + chance.random()) / len(sizes)
            spread.append((place, Invoice(kind, size, number=k)))

    stock, cancels = round(2480 * share), round(3400 * share)
    scatter("stock", [1] * stock, start)
    cancel_sizes = [_at(CANCEL_SIZES, (i + 0.5) / cancels) for i in range(cancels)]
    scatter("cancel", chance.mix(cancel_sizes), start)
    cap = max(40, rows // 40)  # a small shop has no order of a thousand lines
    web_lines = round(132_200 * share)
    web_sizes = _sizes(WEB_SIZES, web_lines, cap, round(1427 * share)) if web_lines else []
    scatter("web", chance.mix(web_sizes), start)
    rest = rows - stock - sum(cancel_sizes) - web_lines - len(pinned)
    scatter("sale", chance.mix(_sizes(SALE_SIZES, rest, cap, round(18_536 * share))), 0)
    spread.sort(key=lambda place: place[0])
    plan = _merge(spread, pinned, FIRST_ODD_ROW if full else 0, chance)
    _dates(plan, rows)
    _customers(plan, chance)
    return plan


def _merge(
    spread: list[tuple[float, Invoice]], pinned: list[tuple[float, Invoice]], quiet: int, chance: _Chance
) -> list[Invoice]:
    """Both lists in one order, only sales before row ``quiet``; each cancellation is given its sale."""
    plan: list[Invoice] = []
    sales: list[int] = []  # places of the sales that nothing has been taken back from
    rows, owed, waiting, bulk = 0, 0, 0, -1

    def add(invoice: Invoice) -> None:
        nonlocal rows, owed, bulk
        if invoice.kind == "cancel" and invoice.code == "bulk":
            invoice.source, plan[bulk].taken = bulk, 1
        elif invoice.kind == "cancel" and sales:
            for _ in range(12):  # a recent sale more often than an old one, and one that is large enough
                draw = chance.random()
                at = len(sales) - 1 - int(draw * draw * len(sales))
                if plan[sales[at]].size >= invoice.size:
                    break
            invoice.source = sales.pop(at)
            kept = min(invoice.size, plan[invoice.source].size)
            owed += invoice.size - kept
            invoice.size = plan[invoice.source].taken = kept
        elif invoice.kind == "cancel":
            invoice.kind = "sale"
        if invoice.code == "bulk" and invoice.kind == "sale":
            bulk = len(plan)
        elif invoice.kind == "sale":
            invoice.size, owed = invoice.size + owed, 0
            sales.append(len(plan))
        plan.append(invoice)
        rows += invoice.size

    for place, invoice in spread:
        if invoice.kind != "sale" and rows < quiet:  # too early: its turn comes after the first cancellation
            insort(pinned, (quiet + 20 * place, invoice), key=lambda pin: pin[0])
            continue
        while waiting < len(pinned) and pinned[waiting][0] - rows < invoice.size / 2:
            add(pinned[waiting][1])
            waiting += 1
        add(invoice)
    for _, invoice in pinned[waiting:]:
        add(invoice)
    if owed:
        add(Invoice("sale", 0))
    return plan


def _dates(plan: list[Invoice], rows: int) -> None:
    """Give each invoice its minute: a walk through the year's lines by month, weekday and hour."""
    span = [FIRST.date() + dt.timedelta(days=i) for i in range((LAST.date() - FIRST.date()).days + 1)]
    days = [day for day in span if day.weekday() != 5 and day not in CLOSED]
    in_month: dict[tuple[int, int], int] = {}
    for day in days:
        in_month[day.year, day.month] = in_month.get((day.year, day.month), 0) + WEEKDAY_WEIGHT[day.weekday()]
    weights = [
        MONTH_LINES[day.year, day.month] * WEEKDAY_WEIGHT[day.weekday()] / in_month[day.year, day.month] for day in days
    ]
    ends, hours = list(accumulate(weights)), [0, *accumulate(HOUR_LINES)]

    def passed(minute: int) -> float:
        hour = minute // 60 - 6
        return hours[hour] + HOUR_LINES[hour] * (minute % 60) / 60

    opening, closing = passed(FIRST.hour * 60 + FIRST.minute), passed(LAST.hour * 60 + LAST.minute)
    done, clock = 0, (0, 0)
    last_place = (rows - plan[-1].size) / rows + (len(plan) - 1) / len(plan)
    for i, invoice in enumerate(plan):
        place = (done / rows + i / len(plan)) / last_place * ends[-1] if last_place else 0.0
        done += invoice.size
        at = min(bisect_right(ends, place), len(days) - 1)
        within = min(1.0, max(0.0, 1 - (ends[at] - place) / weights[at]))
        low = opening if at == 0 else 0.0
        high = closing if at == len(days) - 1 else float(hours[-1])
        lines = low + (high - low) * within
        hour = min(bisect_right(hours, lines), len(HOUR_LINES)) - 1
        minute = (hour + 6) * 60 + min(59, int(60 * (lines - hours[hour]) / HOUR_LINES[hour] + 1e-6))
        clock = max(clock, (at, minute))
        invoice.day, invoice.minute = clock
    for invoice in plan:
        invoice.day = (days[invoice.day] - FIRST.date()).days


def _customers(plan: list[Invoice], chance: _Chance) -> None:
    """Give the invoices their customers and countries: most come once or twice, a few every week."""
    sales = [invoice for invoice in plan if invoice.kind == "sale"]
    counts = sorted(_sizes(CUSTOMER_INVOICES, len(sales), max(12, len(sales) // 8), len(sales) * 10 // 44))
    ids = chance.mix([12346 + i for i in range(max(5942, len(counts)))])[: len(counts)]
    countries = _abroad(counts)
    slots = chance.mix([who for who, n in enumerate(counts) for _ in range(n)])
    for invoice, who in zip(sales, slots, strict=True):
        invoice.customer, invoice.country = str(ids[who]), countries[who]
    for invoice in plan:
        if invoice.kind == "cancel":
            source = plan[invoice.source]
            invoice.customer, invoice.country = source.customer, source.country
        elif invoice.kind == "fee" and invoice.code in "DM":
            some = sales[chance.below(len(sales))]
            invoice.customer, invoice.country = some.customer, some.country
        elif invoice.kind == "web" and chance.random() < 0.009:
            invoice.country = ("EIRE", "EIRE", "EIRE", "Hong Kong", "Unspecified")[chance.below(5)]


def _abroad(counts: list[int]) -> list[str]:
    """The country of each customer (``counts``: invoices each, ascending), in the shares of the real file."""
    countries = [UK] * len(counts)
    n = max(len(counts) * 422 // 4372, min(8, len(counts) // 5))
    names = list(COUNTRIES)[:n]
    quota = dict.fromkeys(names, 1)
    people = sum(c for _, _, c in COUNTRIES.values())
    invoices = sum(i for _, i, _ in COUNTRIES.values())
    while sum(quota.values()) < n:  # the country that is furthest behind gets the next customer
        quota[max(names, key=lambda name: COUNTRIES[name][2] * n / people - quota[name])] += 1
    free = [(count, who) for who, count in enumerate(counts)]
    budget = sum(counts) * 0.108
    for name in sorted(names, key=lambda name: -COUNTRIES[name][1] / quota[name]):
        left = budget * COUNTRIES[name][1] / invoices
        for k in range(quota[name], 0, -1):
            at = min(bisect_left(free, (max(1, round(left / k)), 0)), len(free) - 1)
            count, who = free.pop(at)
            countries[who] = name
            left -= count
    return countries


# ---- the lines -------------------------------------------------------------------------------------------


def generate(rows: int, seed: int = 7) -> Iterator[list[str]]:
    """Yield exactly ``rows`` data rows (no header) as 8 strings in the order of ``HEADER``, oldest first.

    Only the plan of the invoices is held in memory, 10 MB for 500,000 rows. ValueError: ``rows`` below 1.
    """
    if rows < 1:
        raise ValueError(f"rows must be 1 or more, not {rows}")
    return _lines(rows, seed)


def _lines(rows: int, seed: int) -> Iterator[list[str]]:
    chance = _Chance(seed)
    plan = _plan(rows, chance)
    products = catalogue()
    popularity = list(accumulate(_at(POPULARITY, rank) for rank in range(PRODUCTS)))
    services = _services(rows, chance)
    returned: dict[int, list[list[str]]] = {}  # place in the plan -> lines that a later invoice takes back
    number, done, bulks = 536_000, 0, 0
    for place, invoice in enumerate(plan):
        number += 1 + chance.below(2) + (chance.random() < 0.15) * chance.below(4)
        prefix = {"cancel": "C", "fee": "C", "adjust": "A"}.get(invoice.kind, "")
        head, tail = f"{prefix}{number}", [invoice.customer, invoice.country]
        when = _when(invoice.day, invoice.minute)
        lines: Iterable[list[str]]
        if invoice.kind in ("sale", "web"):
            lines = made = _basket(invoice, products, popularity, chance)
            if invoice.code == "bulk":
                bulks += 1
                made[0][2:] = [str((48_020, 80_640)[bulks - 1]), "0.09" if bulks == 1 else "0.85"]
            elif invoice.kind == "web":
                _web_extras(invoice, made, chance)
            else:
                if invoice.country != UK and len(made) > 1 and chance.random() < 0.66:
                    price = ("18", "18", "15", "28", "40")[chance.below(5)]
                    made[-1] = ["POST", "POSTAGE", str(1 + chance.below(3)), price]
                due = services[-1][0] if services else rows
                if len(made) > 2 and due <= done:
                    _, code, text = services.pop()
                    made[1] = _service(code, text, made[1], chance)
            if invoice.taken:
                returned[place] = _taken(made, invoice, chance)
        elif invoice.kind == "cancel":
            lines = returned.pop(invoice.source)
        elif invoice.kind == "stock":
            lines = [_stock(invoice, products, popularity, chance)]
        elif invoice.kind == "fee":
            text = next(text for code, text, _, _ in FEES if code == invoice.code)
            lines = [[invoice.code, text, "-1", _money(_at(FEE_PRICES[invoice.code], chance.random()))]]
        else:
            lines = [["B", "Adjust bad debt", "1", f"{invoice.code}7318.44"]]
        later = invoice.size // 2 if invoice.kind == "sale" and invoice.number % 400 == 61 else 0
        for i, (code, text, quantity, price) in enumerate(lines):
            if later and i == later:  # an invoice whose lines were booked over two minutes
                when = _when(invoice.day, min(invoice.minute + 1, _next_minute(plan, place)))
            yield [head, code, text, quantity, when, price, *tail]
        done += invoice.size


def _next_minute(plan: list[Invoice], place: int) -> int:
    """The latest minute that keeps the next invoice from going back in time."""
    following = plan[place + 1] if place + 1 < len(plan) else plan[place]
    return following.minute if following.day == plan[place].day else 24 * 60 - 1


def _when(day: int, minute: int) -> str:
    date = FIRST.date() + dt.timedelta(days=day)
    return f"{date.month}/{date.day}/{date.year} {minute // 60}:{minute % 60:02d}"


def _services(rows: int, chance: _Chance) -> list[tuple[float, str, str]]:
    """(row, code, description) of the sale lines that are no products, the last first."""
    due: list[tuple[float, str, str]] = []
    for code, text, count, first, least in SALE_SERVICES if rows >= PREPARED else ():
        n = max(least, round(count * rows / REAL_ROWS))
        for k in range(n):
            due.append((first + (rows - first) * (k + (chance.random() if k else 0)) / n, code, text))
    return sorted(due, reverse=True)


def _service(code: str, text: str, line: list[str], chance: _Chance) -> list[str]:
    if code == "free":
        return [*line[:3], "0"]
    if code == "PADS":
        return [code, text, "1", "0.001"]
    if code == "C2":
        return [code, text, "1", "50"]
    return [code, text, "1", _money(_at(FEE_PRICES["M"], chance.random()))]


def _basket(invoice: Invoice, products: list[Product], popularity: list[int], chance: _Chance) -> list[list[str]]:
    """``invoice.size`` product lines: [code, description, quantity, price]. Families sell together."""
    draw, total = chance.random, popularity[-1]
    web = invoice.kind == "web"
    tables = WEB_QUANTITIES if web else SALE_QUANTITIES
    lines: list[list[str]] = []
    seen: set[int] = set()
    rank = -1
    for _ in range(invoice.size):
        odd = draw()
        if odd < 0.0125 and lines and not web:  # booked twice: the whole line again
            lines.insert(int(draw() * len(lines)), list(lines[int(draw() * len(lines))]))
            continue
        if odd > 0.8 and rank >= 0:
            rank = rank // 16 * 16 + rank % 4 + int(draw() * 4) * 4
        else:
            rank = bisect_right(popularity, draw() * total)
        for _ in range(3 if odd < 0.98 else 0):
            if rank not in seen:
                break
            rank = bisect_right(popularity, draw() * total)
        seen.add(rank)
        product = products[rank]
        table = tables[product.price_class]
        quantity = table[int(draw() * len(table))]
        code, text, price = product.code, product.text, product.price
        odd = draw()
        if web:
            if odd < 0.88:
                price = product.web
            if product.lower and odd < 0.28:
                code = product.lower
        elif odd < 0.5 and int(quantity) >= 24:
            price = product.bulk
        elif odd > 0.955:
            price = product.web if odd > 0.985 else product.bulk
        if product.other and draw() < 0.1:
            text = product.other
        lines.append([code, text, quantity, price])
    return lines


def _web_extras(invoice: Invoice, lines: list[list[str]], chance: _Chance) -> None:
    """Postage at the end of most larger web orders, and now and then a gift voucher: the pound sign."""
    if len(lines) > 4 and chance.random() < 0.75:
        lines[-1] = ["DOT", "WEB ORDER POSTAGE", "1", _money(_at(FEE_PRICES["DOT"], chance.random()))]
    if invoice.number in (0, 3) or invoice.number % 40 == 17:
        value = (20, 10, 30, 50, 40)[chance.below(5)]
        price = _money(value * 10_000 // 120)  # before VAT
        lines[0] = [f"gift_0001_{value}", f"Shop Gift Voucher \u00a3{value}.00", "1", price]


def _taken(lines: list[list[str]], invoice: Invoice, chance: _Chance) -> list[list[str]]:
    """The lines that come back: code, words, price of the sale, all or a part of its quantity, negative."""
    places = sorted(chance.mix(list(range(len(lines))))[: invoice.taken])
    back: list[list[str]] = []
    for code, text, quantity, price in (lines[i] for i in places):
        n = int(quantity)
        n = n if invoice.code == "bulk" or chance.random() < 0.45 else 1 + chance.below(n) // 2
        back.append([code, text, str(-n), price])
    return back


def _stock(invoice: Invoice, products: list[Product], popularity: list[int], chance: _Chance) -> list[str]:
    """A stock correction: price 0, no customer, the description empty, a note or the product's."""
    product = products[bisect_right(popularity, chance.random() * popularity[-1])]
    even = invoice.number * 0.6180339887 % 1  # spread evenly, so that the shares are right in a small sample too
    if invoice.number < len(EARLY_STOCK):
        text = EARLY_STOCK[invoice.number]
    elif even < 0.82:
        text = "" if even < 0.58 else OPERATIONAL[chance.below(len(OPERATIONAL))]
    else:
        text = product.text
    outgoing = chance.random() < (0.21 if text == product.text else 0.74 if text else 0.59)
    quantity = -_at(STOCK_OUT, chance.random()) if outgoing else _at(STOCK_IN, chance.random())
    return [product.code, text, str(quantity), "0"]


def write(path: str | Path, rows: int, seed: int = 7) -> None:
    """Write header and ``rows`` rows to ``path``: CSV, ISO-8859-1, CRLF."""
    lines = generate(rows, seed)
    with open(path, "w", encoding="iso-8859-1", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(HEADER)
        writer.writerows(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a sample in the Online Retail schema.")
    parser.add_argument("--rows", type=int, default=5000, help="data rows (default: 5000)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another shop (default: 7)")
    parser.add_argument("--out", type=Path, default=SAMPLE, help=f"file to write (default: data/{SAMPLE.name})")
    args = parser.parse_args(argv)
    try:
        write(args.out, args.rows, args.seed)
    except ValueError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"generate.py: cannot write {args.out}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{args.rows:,} rows -> {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
