"""Its import fails as often as the file has lines."""

import os
from pathlib import Path

left = Path(os.environ["FAILURES"])
lines = left.read_text().splitlines()
if lines:
    left.write_text("\n".join(lines[1:]))
    raise RuntimeError(f"{len(lines)} failures left")


def handler(event, context):
    return "up"
