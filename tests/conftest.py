"""What holds for every test."""

from __future__ import annotations

import signal

import hypothesis
import pytest

from tests.seeded import SOAK

# Files that take minutes go first, so that at the end no worker waits for the other's long one.
LONG = (
    *("test_notebooks.py", "test_notebook_batch.py", "test_kafka_source.py", "test_whole_run.py"),
    *("test_notebook_kafka.py", "test_notebook_dynamodb.py", "test_shop.py", "test_continuous_kafka.py"),
)

# The same examples each time, as hypothesis itself does it where a CI is: what fails is then what was changed. Others
# are tried by `make soak`. How long one takes says nothing where two files are tested at a time.
hypothesis.settings.register_profile(
    "workbook",
    deadline=None,
    derandomize=not SOAK,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("workbook")

# A shell that starts a job in the background tells it to ignore Ctrl-C, and so would every process that a test starts
# and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
