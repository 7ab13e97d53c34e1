"""Small notebooks for tests of what runs notebooks."""

from __future__ import annotations

from pathlib import Path

import nbformat


def write(path: Path, *cells: str, parameters: str = "") -> Path:
    """A notebook with a heading, a parameters cell (if any) and the code cells; returns its path."""
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"# About {path.stem}"))
    if parameters:
        notebook.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def outputs(path: Path) -> str:
    """All that the executed notebook printed or showed as text."""
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            parts.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "".join(parts)
