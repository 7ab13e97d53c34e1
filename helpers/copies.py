"""The learner's own copies of the notebooks in work/, and JupyterLab set up on them.

A copy that its learner changed is never overwritten: `work/.originals.json` remembers what each copy was made
from, so that an untouched copy can follow a newer original.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sys
from pathlib import Path

from helpers.batch import CommandError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
WORK = ROOT / "work"
START = "Start.md"

# Defaults, not settings: what a learner chose in JupyterLab's own settings stays theirs and comes first.
_DEFAULTS = {
    "@jupyterlab/notebook-extension:tracker": {"recordTiming": True},
    "jupyterlab-execute-time:settings": {"enabled": True, "minTime": 0.1},
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"},
}


class CopyError(CommandError):
    """What was asked for cannot be done. The message is one line: what is wrong, and what to do."""


def update(notebooks: Path = NOTEBOOKS, work: Path = WORK) -> list[str]:
    """Bring work/ up to date: a line for each copy that was made, followed its original, or did not."""
    work.mkdir(parents=True, exist_ok=True)
    made_from = _made_from(work)
    lines = []
    for original in _originals(notebooks):
        name, copy = original.name, work / original.name
        now = _digest(original)
        if not copy.exists():
            lines.append(f"new      {name}")
        elif _digest(copy) == now or made_from.get(name) == now:
            if _digest(copy) == now:
                made_from[name] = now
            continue
        elif _digest(copy) == made_from.get(name):
            lines.append(f"updated  {name}: you had not changed it")
        else:
            number = name[:2]
            lines.append(f"kept     {name}: yours; there is a newer original, `workbook reset {number}` takes it")
            continue
        _copy(original, copy)
        made_from[name] = now
    _write(work / ".originals.json", json.dumps(made_from, indent=1, sort_keys=True) + "\n")
    _write(work / START, start_page(_originals(notebooks)))
    return lines


def reset(number: str, notebooks: Path = NOTEBOOKS, work: Path = WORK) -> str:
    """Put the original of one notebook ("03") back; the learner's version stays beside it as .bakN."""
    wanted = number.strip().removesuffix(".ipynb")
    found = [path for path in _originals(notebooks) if wanted in (path.stem, path.stem[:2])]
    if not found:
        known = ", ".join(path.stem[:2] for path in _originals(notebooks))
        raise CopyError(f"there is no notebook {number!r}: give one of {known}")
    original, copy = found[0], work / found[0].name
    work.mkdir(parents=True, exist_ok=True)
    if copy.exists() and _digest(copy) == _digest(original):
        return f"{copy.name} already is as it was given out"
    said = f"{copy.name} is again as it was given out"
    if copy.exists():
        backup = next(
            path
            for path in (work / f"{copy.stem}.bak{count}.ipynb" for count in range(1, sys.maxsize))
            if not path.exists()
        )
        os.replace(copy, backup)
        said += f"; your version is {backup.name}"
    _copy(original, copy)
    made_from = _made_from(work) | {copy.name: _digest(original)}
    _write(work / ".originals.json", json.dumps(made_from, indent=1, sort_keys=True) + "\n")
    return said


def start_page(originals: list[Path]) -> str:
    """The page that JupyterLab opens on: what there is to do, and a link to each notebook."""
    notebooks = "\n".join(f"- [{_title(path)}]({path.name})" for path in originals)
    return f"""# Data engineering on AWS

You build a data platform on AWS, layer by layer, and watch it run: on this machine, without an account.

{notebooks}

## How it goes

- Begin with 00 and go on in order; each notebook also runs by itself and first runs what it needs.
- **Shift + Enter** runs a cell and goes to the next. Beside each cell stands how long it took.
- These are your copies: change what you like. `workbook reset 03` in a terminal gives you a fresh one and
  keeps yours.
- The cloud lives as long as its process does, also when a kernel restarts. `workbook status` says whether it
  runs, `workbook stop` ends it and forgets everything in it.

This page is written anew by every `workbook lab`.
"""


def jupyter_command(extra: list[str], work: Path = WORK) -> tuple[list[str], dict[str, str]]:
    """The command line that opens JupyterLab on work/ and the environment it needs.

    `extra` is passed on. Raises CopyError when it names a port that is in use.
    """
    config = work / ".jupyter"
    settings = config / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    _write(settings, json.dumps(_DEFAULTS, indent=1) + "\n")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={work}"]
    command += [f"--LabApp.default_url=/lab/tree/{START}", f"--LabApp.workspaces_dir={config / 'workspaces'}"]
    command += extra
    theirs = os.environ.get("JUPYTER_CONFIG_PATH")
    path = str(config) + (os.pathsep + theirs if theirs else "")
    # So that `workbook` is found in JupyterLab's terminals and in `!workbook status`.
    programs = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", os.defpath)
    return command, {**os.environ, "JUPYTER_CONFIG_PATH": path, "PATH": programs}


def check_port(port: int) -> None:
    """Raise CopyError when something else answers on that port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise CopyError(f"port {port} cannot be used ({reason}): `workbook lab --port {port + 1}`") from None


def _originals(notebooks: Path) -> list[Path]:
    found = sorted(notebooks.glob("[0-9][0-9]-*.ipynb"))
    if not found:
        raise CopyError(f"{notebooks} holds no notebooks: run this in a complete copy of the workbook")
    return found


def _title(path: Path) -> str:
    """The first heading of the notebook, with the notebook's number before it."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        heading = re.search(r"^#\s+(.+)$", source, re.MULTILINE)
        if cell["cell_type"] == "markdown" and heading:
            title = heading[1].strip()
            return title if title.startswith(path.stem[:2]) else f"{path.stem[:2]} · {title}"
    return path.stem


def _made_from(work: Path) -> dict[str, str]:
    """Name → digest of the original that the copy was made from; empty when that is not known."""
    try:
        known = json.loads((work / ".originals.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(original: Path, copy: Path) -> None:
    _write(copy, original.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Write beside it and swap: an interruption leaves the old file or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8", newline="")
    os.replace(fresh, path)
