"""Its import takes as long as the file says, the first time; later it is quick."""

import os
import time
from pathlib import Path

file = Path(os.environ["DELAYS"])
first, *rest = file.read_text().split()
file.write_text(" ".join(rest or [first]))
time.sleep(float(first))


def handler(event, context):
    return "up"
