"""Errors that a handler raises or ends by."""

import ctypes
import json
import os
import signal
import sys


class OutOfStock(Exception):
    """An error of the function's own."""


def missing_key(event, context):
    return event["context"]


def own_error(event, context):
    def check(code):
        raise OutOfStock(f"no {code} left")

    check("85123A")


def no_message(event, context):
    raise ValueError


def chained(event, context):
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError("two\nlines") from error


def exit_one(event, context):
    sys.exit(1)


def exit_zero(event, context):
    sys.exit(0)


def exit_text(event, context):
    sys.exit("out of here")


def plain_exit(event, context):
    exit(4)


def hard_exit(event, context):
    os._exit(3)


def segmentation_fault(event, context):
    ctypes.string_at(0)


def killed(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def interrupted(event, context):
    raise KeyboardInterrupt
