"""`workbook refresh`: the same notebook gives the same bytes, and nothing of when and where it ran."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
import tiny_notebooks

from helpers import refresh

LOUD = """
import os, sys, time
for word in ("one", "two", "three"):
    print(word, flush=True)
    print(word, file=sys.stderr, flush=True)
    time.sleep(0.05)  # so that the output arrives in pieces
os.environ["WORKBOOK_PROGRESS"]
"""


def again(*paths: Path) -> int:
    return refresh.refresh(paths, start_lab=lambda folder: None, stop_lab=lambda folder: None)


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tiny_notebooks.write(tmp_path / "01-loud.ipynb", LOUD, "rows", parameters="rows: int = 7")
    raw = json.loads(path.read_text())
    raw["metadata"]["papermill"] = {"duration": 1.5}
    raw["metadata"]["language_info"]["version"] = "3.99.1"
    raw["cells"][1]["metadata"]["execution"] = {"iopub.status.idle": "2026-11-22T10:00:00Z"}
    raw["cells"][2]["metadata"]["jupyter"] = {"source_hidden": True}
    for cell in raw["cells"][:2]:
        del cell["id"]
    raw["cells"][3]["id"] = raw["cells"][2]["id"]
    path.write_text(json.dumps(raw))
    return path


def test_same_notebook_same_bytes(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = notebook.parent
    untouched = notebook.read_bytes()
    assert again(notebook) == 0
    first = notebook.read_bytes()
    assert again(notebook) == 0
    assert notebook.read_bytes() == first != untouched
    assert capsys.readouterr().out.splitlines() == ["changed         01-loud.ipynb", "unchanged       01-loud.ipynb"]
    assert os.listdir(folder) == ["01-loud.ipynb"]

    executed = nbformat.read(notebook, as_version=4)
    nbformat.validate(executed)
    text = first.decode()
    assert "papermill" not in text and "iopub" not in text and "3.99.1" not in text
    assert executed.cells[2].metadata == {"jupyter": {"source_hidden": True}}
    assert executed.cells[1].metadata == {"tags": ["parameters"]}
    assert len({cell.id for cell in executed.cells}) == 4
    streams = [(o.name, o.text) for o in executed.cells[2].outputs if o.output_type == "stream"]
    assert streams == [("stdout", "one\ntwo\nthree\n"), ("stderr", "one\ntwo\nthree\n")]
    assert [cell.execution_count for cell in executed.cells[1:]] == [1, 2, 3]
    assert tiny_notebooks.outputs(notebook).endswith("'0'7")


def test_failing_notebook_stays_as_it_was(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tiny_notebooks.write(notebook.parent / "00-bad.ipynb", "1", 'raise KeyError(\n    "context"\n)')
    before = bad.read_bytes()
    assert again(bad, notebook) == 1
    assert bad.read_bytes() == before
    assert capsys.readouterr().out.splitlines() == [
        "left as it was  00-bad.ipynb: cell [2] `raise KeyError(`: KeyError: 'context'",
        "changed         01-loud.ipynb",
    ]


def test_each_notebook_has_a_lab_of_its_own(notebook: Path) -> None:
    other = tiny_notebooks.write(notebook.parent / "02-other.ipynb", 'import os\nos.environ["WORKBOOK_LAB"]')
    labs: list[tuple[str, Path]] = []
    code = refresh.refresh(
        [notebook, other],
        start_lab=lambda folder: labs.append(("start", folder)),
        stop_lab=lambda folder: labs.append(("stop", folder)),
    )
    assert code == 0 and [what for what, _ in labs] == ["start", "stop"] * 2
    folders = [folder for _, folder in labs]
    assert folders[0] == folders[1] != folders[2] == folders[3] and str(folders[2]) in tiny_notebooks.outputs(other)
    assert not any(folder.parent.exists() for folder in folders)
