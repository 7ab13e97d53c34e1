"""All kinds of results."""

import math
from datetime import date
from decimal import Decimal


def decimals(event, context):
    return {"price": Decimal("2.550"), "all": [Decimal("1E+3"), Decimal(0)], "none": Decimal("NaN")}


def bytes_within(event, context):
    return {"body": "prix £".encode()}


def plain_bytes(event, context):
    return b"\x00 not JSON \xff"


def nothing(event, context):
    return None


def text(event, context):
    return 'a "quoted" £ text'


def numbers(event, context):
    return [1, 2.5, True, math.inf, (3, 4)]


def a_set(event, context):
    return {"set": {1}}


def a_date(event, context):
    return date(2010, 12, 1)


def broken_bytes(event, context):
    return {"body": b"\xff"}


def large(event, context):
    return "x" * (event["size"] - 2)
