"""The notebooks keep to their contract, and each prints again what is committed, alone, in a fresh lab."""

from __future__ import annotations

import ast
import copy
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.seeded import SEED, SOAK

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITISE = ROOT / "tests" / "sanitise.cfg"
NAMES = [p.stem for p in NOTEBOOKS]

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)


def cells(path: Path, kind: str) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    """`pytest --nbval` on one notebook as anybody's CI calls it; what it starts and leaves must be nothing."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(notebook.parent), "--nbval-cell-timeout", "300", str(notebook)]
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"TMPDIR": scratch}
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=900)
        left = [path.name for path in Path(scratch).glob("workbook-*")]
        assert not left, f"{left} left behind"
    return done


def test_there_are_notebooks() -> None:
    numbers = [n[:2] for n in NAMES]
    assert numbers == sorted(set(numbers)) and numbers[0] == "00", "two notebooks have one number"


def numbers(output: Any) -> list[tuple[list[Any], str]]:
    """Where an output shows a number: the path to a text that has one."""
    found: list[tuple[list[Any], str]] = []
    if output.output_type == "stream":
        found.append((["text"], output.text))
    elif "data" in output:
        found += [(["data", k], v) for k, v in output.data.items() if k == "text/plain"]
    return [(where, text) for where, text in found if re.search(r"\d", text)]


@every_notebook
def test_prints_what_is_committed_and_a_changed_number_is_noticed(path: Path, tmp_path: Path) -> None:
    """One run shows both: every cell prints again what is committed, but for the one in which a number was changed."""
    notebook = nbformat.read(path, as_version=4)
    places = [
        (i, j, where, text)
        for i, cell in enumerate(notebook.cells)
        for j, output in enumerate(cell.get("outputs", []))
        for where, text in numbers(output)
    ]
    assert places, "no output shows a number"
    i, j, where, text = random.Random(SEED).choice(places)
    spot = random.Random(SEED).choice([m.start() for m in re.finditer(r"\d", text)])
    changed = text[:spot] + str((int(text[spot]) + 1) % 10) + text[spot + 1 :]
    print(f"WORKBOOK_SEED={SEED}: cell {i}, output {j} shows {changed!r} instead of {text!r}")
    forged = copy.deepcopy(notebook)
    target = forged.cells[i].outputs[j]
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = changed
    place = tmp_path / path.name
    nbformat.write(forged, place)
    (tmp_path / "conftest.py").symlink_to(ROOT / "notebooks" / "conftest.py")
    done = nbval(place)
    number = sum(cell.cell_type == "code" for cell in notebook.cells[:i])
    failed = re.findall(r"^FAILED .*::Cell (\d+)", done.stdout, re.MULTILINE)
    assert failed == [str(number)], f"only cell {number} was to fail:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
    assert "mismatch" in done.stdout, done.stdout[-6000:]


@every_notebook
@pytest.mark.skipif(not SOAK, reason="the test above runs every cell, too; `make soak` runs this one as well")
def test_prints_what_is_committed(path: Path) -> None:
    done = nbval(path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_at_most_eight_anchored_sanitisers() -> None:
    patterns = re.findall(r"^regex: (.*)$", SANITISE.read_text(), re.MULTILINE)
    assert len(patterns) <= 8
    assert all(p.startswith("^") or p.endswith("$") for p in patterns), patterns


@every_notebook
def test_is_committed_with_outputs(path: Path) -> None:
    shown = [c for c in cells(path, "code") if c.outputs]
    assert len(shown) >= 3
    counts = [c.execution_count for c in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1)), "not run from top to bottom in one go"


@every_notebook
def test_keeps_to_the_contract(path: Path) -> None:
    text = "\n".join(c.source for c in cells(path, "markdown"))
    first = cells(path, "markdown")[0].source
    assert first.startswith("# ")
    head = text[: text.find("\n## ", 200)] if "\n## " in text else text
    for word in ("build", "learn", "need", "minutes", "cost"):
        assert re.search(word, head, re.IGNORECASE), f"the opening does not say what you {word}"
    assert re.search(r"^#+ On your own", text, re.MULTILINE)
    assert re.search(r"^#+ .*Recap", text, re.MULTILINE | re.IGNORECASE)
    at = NOTEBOOKS.index(path)
    for neighbour in NOTEBOOKS[max(0, at - 1) : at] + NOTEBOOKS[at + 1 : at + 2]:
        assert neighbour.name in text, f"no link to {neighbour.name}"
    code = "\n".join(c.source for c in cells(path, "code"))
    assert "if cleanup" in code or path.stem[:2] in ("00", "01")


@every_notebook
def test_parameters_are_typed_and_commented(path: Path) -> None:
    tagged = [c for c in cells(path, "code") if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0].source.splitlines():
        if line.strip() and not line.startswith("#"):
            assert re.fullmatch(r"\w+: \w[\w \[\],|.]* = .+ {2}# .+", line), f"untyped or uncommented: {line}"
    names = {n.target.id for n in ast.parse(tagged[0].source).body if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]
    assert "target" in names


@every_notebook
def test_pictures_have_alt_text(path: Path) -> None:
    for cell in cells(path, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data or "image/svg+xml" in data:
                assert (
                    data.get("text/html", "").count("alt=")
                    or output.metadata.get("image/png", {}).get("alt")
                    or (len(data.get("text/plain", "")) > 40 and "<Figure" not in data["text/plain"])
                ), f"a picture of {cell.source[:60]!r} has no alt text"
            if "<img" in data.get("text/html", ""):
                assert re.search(r'<img[^>]*alt="[^"]{20,}"', data["text/html"])
    for cell in cells(path, "markdown"):
        assert not re.search(r"!\[\s*\]\(", cell.source)


@every_notebook
def test_shows_nothing_of_the_machine(path: Path) -> None:
    shown = json.dumps([c.outputs for c in cells(path, "code")])
    for pattern in (
        r"/(home|root|Users|tmp|work)/",
        r"127\.0\.0\.1:\d",
        r"localhost:\d",
        r"AKIA[A-Z0-9]{12}",
        r"ASIA[A-Z0-9]{12}",
    ):
        assert not re.search(pattern, shown), re.search(f".{{40}}{pattern}.{{40}}", shown)


@every_notebook
def test_cells_are_small(path: Path) -> None:
    for cell in cells(path, "code"):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 30, f"{len(lines)} lines: {cell.source[:80]!r}"


@every_notebook
def test_calls_nothing_that_botocore_does_not_know(path: Path) -> None:
    """Every boto3 client is made plainly, with validation on: botocore checks each call against AWS's own model."""
    code = "\n".join(c.source for c in cells(path, "code"))
    assert "parameter_validation" not in code
    assert "endpoint_url" not in code, "a notebook must run on AWS as it stands"
    assert "localaws" not in code
