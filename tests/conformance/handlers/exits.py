import os
import sys


def handler(event, context):
    if not event.get("rows"):
        print("nothing to do")
        sys.exit(event.get("code", 0))
    return "done"


def at_once(event, context):
    os._exit(3)
