from datetime import datetime
from decimal import Decimal


def a_datetime(event, context):
    return {"at": datetime(2010, 12, 1, 8, 26)}


def a_set(event, context):
    return {"countries": {"France"}}


def a_decimal(event, context):
    return {"price": Decimal("2.550"), "total": Decimal("15.30")}


def some_bytes(event, context):
    return b'{"raw": true}'


def bytes_inside(event, context):
    return {"body": b"caf\xc3\xa9"}


def a_tuple(event, context):
    return 1, "two", None


def number_keys(event, context):
    return {1: "one", None: "none"}


def an_object(event, context):
    return context


def big(event, context):
    return "x" * event["size"]
