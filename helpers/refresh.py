"""Execute the committed notebooks again, each alone in a fresh lab: unchanged work gives unchanged files.

What depends on when and where a notebook ran (times, versions, random cell ids, how output was cut into
pieces) does not go into the file. Same lock, same Python, same operating system: the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from helpers.batch import Interrupted, LabAction, cell_name, logging_kernels, one_line, own_lab, shorten

_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_PASSING = {"execution", "papermill", "ExecuteTime", "execute_time", "trusted", "scrolled", "collapsed"}


class CellFailed(Exception):
    """A cell raised. The message is one line: the cell and the cause."""


def refresh(paths: Sequence[Path], *, start_lab: LabAction, stop_lab: LabAction) -> int:
    """Execute and rewrite the notebooks, with a line for each: changed, unchanged, or why it was left alone.

    Parameters keep their defaults. Returns the exit code: 0 when every notebook ran.
    """
    failed = 0
    for path in paths:
        with tempfile.TemporaryDirectory(prefix="workbook-refresh-") as folder:
            try:
                with own_lab(Path(folder) / "lab", start_lab, stop_lab, WORKBOOK_PROGRESS="0"):
                    text = execute(path, Path(folder) / "kernel.log")
            except Interrupted as stopped:
                print(f"left as it was  {path.name}: {stopped}", flush=True)
                return stopped.exit_code
            except Exception as error:  # whatever a cell, the kernel or the lab raised: the file stays as it is
                failed = 1
                cause = str(error) if isinstance(error, CellFailed) else one_line(error)
                print(f"left as it was  {path.name}: {cause}", flush=True)
                continue
        before = path.read_text(encoding="utf-8")
        if text != before:
            _replace(path, text)
        print(f"{'unchanged' if text == before else 'changed':<14}  {path.name}", flush=True)
    return failed


def execute(path: Path, log: Path) -> str:
    """The notebook's text after running it in its folder. CellFailed names the cell that did."""
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        kernel_manager_class=logging_kernels(log),
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        stopped = [c for c in notebook.cells if c.cell_type == "code" and c.execution_count is not None][-1]
        where = cell_name(stopped.execution_count, stopped.source)
        raise CellFailed(f"{where}: {shorten(f'{error.ename}: {error.evalue}')}") from None
    return normalised(notebook)


def read(path: Path) -> Any:
    """The notebook, every cell with an id: its own, or one made of the notebook's name and its place."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    seen = set[str]()
    for place, each in enumerate(raw["cells"]):
        if not each.get("id") or each["id"] in seen:
            each["id"] = hashlib.sha256(f"{path.stem}:{place}".encode()).hexdigest()[:12]
        seen.add(each["id"])
    raw["nbformat"], raw["nbformat_minor"] = 4, max(5, raw.get("nbformat_minor", 5))
    return nbformat.reads(json.dumps(raw), as_version=4)


def normalised(notebook: Any) -> str:
    """The text of the notebook's file, without what depends on when and where it ran."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    for each in notebook.cells:
        each.metadata = {key: value for key, value in each.metadata.items() if key not in _PASSING}
        if each.cell_type == "code":
            each.outputs = _merged(each.outputs)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=nbformat.NO_CONVERT)).rstrip("\n") + "\n"


def _merged(outputs: Sequence[Any]) -> list[Any]:
    """Neighbouring streams as one each, stdout before stderr: how they arrive in pieces is chance."""
    merged: list[Any] = []
    for is_stream, group in itertools.groupby(outputs, lambda output: output.output_type == "stream"):
        pieces = list(group)
        if not is_stream:
            merged += pieces
            continue
        for name in ("stdout", "stderr"):
            text = "".join(piece.text for piece in pieces if piece.name == name)
            if text:
                merged.append(nbformat.v4.new_output("stream", name=name, text=text))
    return merged


def _replace(path: Path, text: str) -> None:
    """Write beside it and swap: an interruption leaves the old file or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
