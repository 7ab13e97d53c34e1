"""Calls that take their time. Each says in a file that it has begun."""

import subprocess
import sys
import time
from pathlib import Path


def handler(event, context):
    print("before", flush=True)
    Path(event["begun"]).write_text("begun")
    time.sleep(event["seconds"])
    return "done"


def with_child(event, context):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(event["begun"]).write_text(str(child.pid))
    time.sleep(event["seconds"])


def until(event, context):
    """Wait until the file exists."""
    Path(event["begun"]).write_text("begun")
    while not Path(event["go"]).exists():
        time.sleep(0.005)
    return "done"


def stubborn(event, context):
    """Hold on to the interpreter, deaf to everything but the end of the process."""
    Path(event["begun"]).write_text("begun")
    while True:
        sum(range(10_000))
