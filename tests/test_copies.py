"""The learner's copies: made, followed, never overwritten, put back on request."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
import tiny_notebooks

from helpers import copies
from helpers.copies import CopyError

NAME = "03-raw.ipynb"


@pytest.fixture
def desk(tmp_path: Path) -> tuple[Path, Path]:
    originals = tmp_path / "notebooks"
    tiny_notebooks.write(originals / "02-pipe.ipynb", "2")
    tiny_notebooks.write(originals / NAME, "3")
    return originals, tmp_path / "work"


def test_first_time_copies_everything_and_second_time_nothing(desk: tuple[Path, Path]) -> None:
    assert copies.update(*desk) == ["new      02-pipe.ipynb", "new      03-raw.ipynb"]
    originals, work = desk
    assert (work / NAME).read_bytes() == (originals / NAME).read_bytes()
    assert copies.update(*desk) == []


def test_start_page_links_every_notebook_by_its_title(desk: tuple[Path, Path]) -> None:
    copies.update(*desk)
    page = (desk[1] / "Start.md").read_text()
    assert "- [02 · About 02-pipe](02-pipe.ipynb)\n- [03 · About 03-raw](03-raw.ipynb)\n" in page


def test_untouched_copy_follows_its_original(desk: tuple[Path, Path]) -> None:
    originals, work = desk
    copies.update(*desk)
    tiny_notebooks.write(originals / NAME, "33")
    assert copies.update(*desk) == ["updated  03-raw.ipynb: you had not changed it"]
    assert (work / NAME).read_bytes() == (originals / NAME).read_bytes()


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_changed_copy_is_never_overwritten(desk: tuple[Path, Path], memory: str) -> None:
    originals, work = desk
    copies.update(*desk)
    mine = tiny_notebooks.write(work / NAME, "my own work").read_bytes()
    if memory == "lost":
        (work / ".originals.json").write_text("[]")
    else:
        assert copies.update(*desk) == []  # no newer original: nothing to say
    tiny_notebooks.write(originals / NAME, "33")
    said = "kept     03-raw.ipynb: yours; there is a newer original, `workbook reset 03` takes it"
    assert copies.update(*desk) == copies.update(*desk) == [said]
    assert (work / NAME).read_bytes() == mine


def test_missing_copy_comes_back(desk: tuple[Path, Path]) -> None:
    copies.update(*desk)
    (desk[1] / NAME).unlink()
    assert copies.update(*desk) == ["new      03-raw.ipynb"]


def test_reset_keeps_every_version_of_the_learner(desk: tuple[Path, Path]) -> None:
    originals, work = desk
    copies.update(*desk)
    assert copies.reset("03", *desk) == "03-raw.ipynb already is as it was given out"
    for number in (1, 2):
        mine = tiny_notebooks.write(work / NAME, f"try {number}").read_bytes()
        said = f"03-raw.ipynb is again as it was given out; your version is 03-raw.bak{number}.ipynb"
        assert copies.reset("03", *desk) == said
        assert (work / f"03-raw.bak{number}.ipynb").read_bytes() == mine
        assert (work / NAME).read_bytes() == (originals / NAME).read_bytes()
    tiny_notebooks.write(originals / NAME, "newer")
    assert copies.update(*desk) == ["updated  03-raw.ipynb: you had not changed it"]


def test_reset_before_the_first_lab_and_of_no_notebook(desk: tuple[Path, Path]) -> None:
    assert copies.reset("03-raw.ipynb", *desk) == "03-raw.ipynb is again as it was given out"
    with pytest.raises(CopyError, match="there is no notebook '17': give one of 02, 03"):
        copies.reset("17", *desk)
    with pytest.raises(CopyError, match="holds no notebooks"):
        copies.update(desk[0] / "nowhere", desk[1])


def test_jupyter_gets_defaults_and_the_users_settings_stay(
    desk: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/their/own")
    copies.update(*desk)
    command, environment = copies.jupyter_command(["--no-browser"], desk[1])
    assert command[1:3] == ["-m", "jupyterlab"] and command[-1] == "--no-browser"
    assert environment["JUPYTER_CONFIG_PATH"] == f"{desk[1] / '.jupyter'}:/their/own"
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    written = desk[1] / ".jupyter" / "labconfig" / "default_setting_overrides.json"
    assert json.loads(written.read_text())["@jupyterlab/notebook-extension:tracker"] == {"recordTiming": True}


def test_port_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CopyError, match=rf"port {port} cannot be used \(.*\): `workbook lab --port {port + 1}`"):
            copies.check_port(port)
    copies.check_port(port)
