"""All the ways to write to the log."""

import logging
import os
import subprocess
import sys

logging.warning("at import")
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)


def lines(event, context):
    print("one")
    print("two", file=sys.stderr)
    os.write(1, b"three\n")
    subprocess.run(["echo", "four"], check=True)
    logger.info("five %d", 5)
    print("six £", end="")


def trace(event, context):
    try:
        {}["row"]
    except KeyError:
        logger.exception("no row")


def flood(event, context):
    for number in range(event["lines"]):
        print(number, "x" * event["width"])
    return "written"


def one_line(event, context):
    os.write(1, b"y" * 10)
    sys.stdout.write("x" * event["width"])
    return "written"


def plain(event, context):
    logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(aws_request_id)s %(message)s"))
    logging.error("bare")


def bad_format(event, context):
    logging.error("%d", "no number")
