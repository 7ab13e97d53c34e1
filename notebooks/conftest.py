"""`pytest --nbval notebooks`: every notebook against its committed outputs, each in a fresh lab that ends with it.

nbval starts a notebook's kernel before the first cell; the kernel finds its lab by the environment.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.batch import own_lab
from helpers.cli import start_own
from helpers.localaws import server

SANITISE = Path(__file__).resolve().parent.parent / "tests" / "sanitise.cfg"


class FreshLabs:
    def __init__(self) -> None:
        self._notebook: Path | None = None
        self._lab = ExitStack()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.path == self._notebook:
            return
        self._lab.close()
        self._notebook = item.path
        folder = self._lab.enter_context(tempfile.TemporaryDirectory(prefix="workbook-nbval-"))
        self._lab.enter_context(own_lab(Path(folder) / "lab", start_own, server.stop, WORKBOOK_PROGRESS="0"))

    def pytest_sessionfinish(self) -> None:
        self._lab.close()


def pytest_configure(config: pytest.Config) -> None:
    if config.option.nbval:
        config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(SANITISE)
        config.pluginmanager.register(FreshLabs())
