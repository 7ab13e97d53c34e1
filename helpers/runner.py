"""Run the notebooks in order through papermill, and say whether every stage holds the same rows and revenue.

    workbook run --csv online-retail.csv.xz --rows all --only 02,03 -p cleanup=true

Everything a run makes lies under `runs/<time>/` (`runs/latest` points at the newest): the executed notebooks,
the same as HTML, `index.html`, `summary.json` and the lab's folder with its logs. Parameters are checked
against what the notebooks declare before anything runs.
"""

from __future__ import annotations

import ast
import csv
import datetime as dt
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import nbformat
import papermill
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError, PapermillMissingParameterException
from papermill.iorw import papermill_io
from papermill.parameterize import parameterize_path
from papermill.s3 import S3
from tqdm import tqdm

from helpers import report
from helpers.batch import (
    CommandError,
    Interrupted,
    LabAction,
    cell_name,
    logging_kernels,
    one_line,
    own_lab,
    short_path,
    shorten,
)
from helpers.rows import InputError, read_rows

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
RUNS = ROOT / "runs"

DEFAULTS = {"rows": "all"}  # a run takes the whole file unless told otherwise; a notebook by itself takes 1,000 rows
ALIASES = {"from": "date_from", "to": "date_to"}  # `from` is a word of Python's own: no parameter can be called so
DATES = ("date", "date_from", "date_to")
SAVE_EVERY = 10.0  # seconds
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class RunError(CommandError):
    """Refused before anything ran. The message is one line: what is wrong, and what to do."""


class Stage(TypedDict):
    """What one stage's own store holds: rows, and Σ Quantity × UnitPrice as an exact decimal string."""

    rows: int
    revenue: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One notebook, the values for those of its parameters that were given, and where it is stored besides."""

    path: Path
    parameters: dict[str, Any]
    output: str = ""  # s3://…; empty: in the run's folder only


@dataclass(slots=True)
class Outcome:
    """How one notebook ended. `cause` is one line, empty when it is ok."""

    name: str
    status: str  # ok | failed
    seconds: float
    cause: str = ""


@dataclass(slots=True)
class Result:
    """How a run ended. `problems` are the lines that make its exit code: 0 when there is none."""

    folder: Path
    notebooks: list[Outcome] = field(default_factory=list)
    stages: dict[str, Stage] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    exit_code: int = 0


def find_notebooks(only: Sequence[str] = (), folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks in order; `only` names some, by number ("02") or name. RunError names what is unknown."""
    every = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    if not every:
        raise RunError(f"{folder} holds no notebooks: run this in a complete copy of the workbook")
    chosen: set[Path] = set()
    for name in only:
        wanted = name.strip().removesuffix(".ipynb")
        found = [path for path in every if wanted in (path.stem, path.stem[:2])]
        if not found:
            raise RunError(f"there is no notebook {name!r}: give one of {', '.join(p.stem[:2] for p in every)}")
        chosen.update(found)
    return [path for path in every if path in chosen] if only else every


def parse_value(name: str, type_name: str, text: str) -> Any:
    """`text` as the declared type (str, int, float, bool; a date stays a str). RunError when it is none."""
    try:
        match type_name:
            case "str" if text and name in DATES:
                return dt.date.fromisoformat(text).isoformat()
            case "str":
                return text
            case "int" if name == "rows":
                return 0 if text == "all" else _not_negative(int(text))
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text.lower()]
            case "date" | "dt.date" | "datetime.date":
                return dt.date.fromisoformat(text).isoformat()
    except (ValueError, KeyError):
        wanted = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
        }.get(type_name, "a date such as 2010-12-01")
        if name == "rows":
            wanted = "a whole number that is not negative, or all"
        raise RunError(f"parameter {name} is {text!r}: give {wanted}") from None
    raise RunError(f"parameter {name} is declared as {type_name}: it can be set in the notebook only")


def _not_negative(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return number


def declared(path: Path) -> dict[str, str]:
    """The parameters of the notebook's cell tagged `parameters`: {"rows": "int", ...}.

    A type that is not written down is that of the default. RunError when the file is no notebook. (papermill's
    own inspect_notebook goes by lines, and loses a parameter whose comment holds an equals sign.)
    """
    try:
        cells = nbformat.read(path, as_version=4).cells
        sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        statements = ast.parse(sources[0]).body if sources else []
    except (OSError, ValueError, AttributeError, SyntaxError, nbformat.ValidationError) as error:
        raise RunError(f"{path} is no notebook that can run: {one_line(error)}") from None
    types = {}
    for statement in statements:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                types[name] = ast.unparse(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                types[name] = type(value).__name__
            case ast.Assign(targets=[ast.Name(id=name)]):
                types[name] = "an expression"
    return types


def plan(notebooks: Sequence[Path], given: Mapping[str, str], output: str = "") -> list[Planned]:
    """Which values go to which notebook: each to those that declare it, and at least one must.

    `given` is the text of the command line by parameter; `output` is s3://bucket/folder, in which {date} stands for
    that parameter's value. RunError when one is unknown, ill-typed or unusable.
    """
    for alias, name in ALIASES.items():
        if alias in given and name in given:
            raise RunError(f"parameter {name} is given twice, once as {alias}")
    spelt, given = given, {ALIASES.get(name, name): text for name, text in given.items()}
    types_of = {path: declared(path) for path in notebooks}
    known = sorted({name for types in types_of.values() for name in types})
    for name in given:
        if name not in known:
            raise RunError(f"no notebook of this run has a parameter {name!r}: they have {', '.join(known)}")
    texts = {**DEFAULTS, **given}
    if texts.get("csv"):
        texts["csv"] = _usable_csv(texts["csv"])
    if (target := texts.get("target", "local")) not in ("local", "aws") and not target.startswith(
        ("http://", "https://")
    ):
        raise RunError(f"target is {target!r}: give local, aws or the http:// address of an AWS-compatible endpoint")
    return [
        Planned(
            path,
            {name: parse_value(name, types[name], text) for name, text in texts.items() if name in types},
            output and _address(output, path, {**spelt, **texts}),
        )
        for path, types in types_of.items()
    ]


def _address(output: str, path: Path, texts: Mapping[str, str]) -> str:
    """s3://bucket/reports/{date} and 08-….ipynb: s3://bucket/reports/2011-12-08/08-….ipynb."""
    if not re.match(r"s3://[a-z0-9][a-z0-9.-]+(/|$)", output):
        raise RunError(f"--output {output}: give s3://bucket/folder")
    try:
        return f"{parameterize_path(output, texts).rstrip('/')}/{path.name}"
    except (PapermillMissingParameterException, ValueError, LookupError, AttributeError):
        raise RunError(f"--output {output}: in braces stands the name of a parameter that is given") from None


def _usable_csv(text: str) -> str:
    """The file's absolute path, once it could be opened and its columns are the right ones."""
    path = Path(text).expanduser().resolve()
    try:
        read_rows(path).close()
        return str(path)
    except InputError as error:
        raise RunError(str(error)) from None


def run(
    planned: Sequence[Planned],
    *,
    start_lab: LabAction,
    stop_lab: LabAction,
    read_stages: Callable[[], Mapping[str, Stage]] | None,
    connect: Callable[[], object] = lambda: None,
    runs: Path = RUNS,
) -> Result:
    """Run the notebooks in a lab of their own, write the report, print what happened. Leaves no lab behind.

    `start_lab` and `stop_lab` get the lab's folder. `read_stages` reads every stage's rows and revenue while
    the lab still lives; None when there is nothing to read. `connect` leads boto3 in this process to the target.
    """
    folder = _new_folder(runs)
    result = Result(folder)
    print(
        f"{len(planned)} notebook{'s' * (len(planned) != 1)} on a fresh lab, into {short_path(folder)}",
        flush=True,
    )
    lab = folder / "lab"
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        with own_lab(lab, start_lab, stop_lab, WORKBOOK_PROGRESS="0"):
            for number, notebook in enumerate(planned, 1):
                _execute(notebook, result, f"{number}/{len(planned)}")
                if notebook.output:
                    _store(result, notebook, connect)
                if result.problems:
                    break
            if read_stages and not result.problems:
                print("reading every stage's own store ...", flush=True)
                result.stages = dict(read_stages())
                result.problems += differences(result.stages)
            elif not result.problems:
                print("cleaned up: no stage is left to compare", flush=True)
    except Interrupted as stopped:
        if not result.problems:
            result.problems.append(str(stopped))
        result.exit_code = stopped.exit_code
    except Exception as error:  # the lab or the reconciliation: whatever it was, the report is still written
        result.problems.append(one_line(error))
    if result.problems:
        result.exit_code = result.exit_code or 1
    _write(result, [notebook.path.stem for notebook in planned], runs)
    _print_closing(result)
    return result


def grid_rows(path: Path, given: Mapping[str, str]) -> list[dict[str, str]]:
    """The parameters of each run: a row of the CSV file, whose header names them, over what is given for all of them.

    RunError when there are none, a row has another number of values, or a parameter is given twice.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = [line for line in csv.reader(file, skipinitialspace=True) if line] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read as CSV: {one_line(error)}") from None
    names = [name.strip() for name in header]
    if not lines:
        raise RunError(f"{path}: give a header with the parameters' names, and a row of values for each run")
    if twice := sorted({name for name in names if names.count(name) > 1 or name in given}):
        raise RunError(f"{path}: parameter {', '.join(twice)} is given twice")
    for number, line in enumerate(lines, 2):
        if len(line) != len(names):
            raise RunError(f"{path}: line {number} has {len(line)} values, and the header {len(names)} names")
    return [{**given, **{n: v.strip() for n, v in zip(names, line, strict=True) if v.strip()}} for line in lines]


def run_grid(rows: Sequence[Mapping[str, str]], runs: Sequence[Callable[[], Result]]) -> int:
    """One run after the other, each in a lab and a folder of its own, and one table at the end.

    A run that fails does not stop the others; the exit code is then 1, or that of what was interrupted.
    """
    results: list[Result] = []
    for number, (row, start) in enumerate(zip(rows, runs, strict=True), 1):
        print(f"\nrun {number}/{len(rows)}: {_shown(row)}", flush=True)
        results.append(start())
        if results[-1].exit_code > 128:
            break
    width = max(len(_shown(row)) for row in rows)
    print(f"\n{'parameters':<{width}}  {'status':<6}  {'seconds':>8}  {'rows':>9}  {'revenue':>16}  report")
    for row, result in zip(rows, results, strict=False):
        seconds = sum(notebook.seconds for notebook in result.notebooks)
        last = list(result.stages.values())[-1:]
        held = f"{last[0]['rows']:>9,}  {Decimal(last[0]['revenue']):>16,f}" if last else " " * 27
        told = f"{'failed' if result.exit_code else 'ok':<6}  {seconds:>8.1f}  {held}  {short_path(result.folder)}"
        print(f"{_shown(row):<{width}}  {told}", flush=True)
    for row in rows[len(results) :]:
        print(f"{_shown(row):<{width}}  not run")
    codes = [result.exit_code for result in results]
    return next((code for code in codes if code > 128), int(any(codes)))


def _shown(row: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items()) or "(defaults)"


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine, but it saves every few seconds and at the end: twice a cell is half of a run's time."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        save, saved = nb_man.save, 0.0

        def save_now_and_then(**arguments: Any) -> None:
            nonlocal saved
            if time.monotonic() - saved > SAVE_EVERY:
                save(**arguments)
                saved = time.monotonic()

        nb_man.save = save_now_and_then
        try:
            return super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.save = save
            save()


papermill_engines.register("workbook", _Engine)


def _execute(notebook: Planned, result: Result, position: str) -> None:
    """Run one notebook into the run's folder, note how it ended and print its line."""
    name, output = notebook.path.stem, result.folder / notebook.path.name
    began = time.perf_counter()
    cause = ""
    try:
        papermill.execute_notebook(
            str(notebook.path),
            str(output),
            parameters=notebook.parameters,
            engine_name="workbook",
            kernel_name="python3",
            cwd=str(notebook.path.parent),
            kernel_manager_class=logging_kernels(result.folder / "kernels.log"),
            progress_bar={
                "desc": f"{position} {name}",
                "leave": False,
                "file": sys.stderr,
                "mininterval": 0.1 if sys.stderr.isatty() else 5,
            },
        )
    except PapermillExecutionError as error:
        where = cell_name(error.exec_count, error.source)
        cause = f"{name} failed in {where}: {shorten(f'{error.ename}: {error.evalue}')}"
    except Exception as error:  # a kernel that died or did not start: no cell reported it
        cause = f"{name} failed in {_last_started(output)}: {one_line(error)}"
    except Interrupted as stopped:
        cause = f"{name} {stopped} in {_last_started(output)}"
        raise
    finally:
        outcome = Outcome(name, "failed" if cause else "ok", round(time.perf_counter() - began, 1), cause)
        result.notebooks.append(outcome)
        result.problems += [cause] if cause else []
        tqdm.write(f"{outcome.status:<6} {outcome.seconds:7.1f} s  {name}")


def _store(result: Result, notebook: Planned, connect: Callable[[], object]) -> None:
    """What was executed, also what failed, to where `papermill in.ipynb s3://…` would have written it, and by it."""
    executed = result.folder / notebook.path.name
    try:
        connect()
        S3.s3_session = (None, None, None)  # papermill keeps its first one, and every run has a lab of its own
        papermill_io.write(executed.read_text(encoding="utf-8"), notebook.output)
        tqdm.write(f"stored {notebook.output}")
    except Exception as error:  # no such bucket, not allowed, a notebook of which nothing was saved
        result.problems.append(f"{notebook.path.stem} was not stored in {notebook.output}: {one_line(error)}")


def _last_started(output: Path) -> str:
    """The cell that was running when the kernel went away, from what papermill saved."""
    try:
        cells = [each for each in nbformat.read(output, as_version=4).cells if each.cell_type == "code"]
    except (OSError, ValueError):
        return "its preparation"
    started = [each for each in cells if each.metadata.get("papermill", {}).get("start_time")]
    return cell_name(len(started), started[-1].source) if started else "the kernel's start"


def differences(stages: Mapping[str, Stage]) -> list[str]:
    """One line for each stage that does not hold what the first one holds."""
    if not stages:
        return []
    (first, expected), *others = stages.items()
    lines = []
    for name, stage in others:
        rows = stage["rows"] - expected["rows"]
        revenue = Decimal(stage["revenue"]) - Decimal(expected["revenue"])
        if rows or revenue:
            lines.append(f"{name} differs from {first} by {rows:+,} rows and {revenue:+,f} revenue")
    return lines


def _write(result: Result, planned: Sequence[str], runs: Path) -> None:
    """summary.json, the HTML of every executed notebook, index.html, and `latest`."""
    summary = {
        "notebooks": [{"name": n.name, "status": n.status, "seconds": n.seconds} for n in result.notebooks],
        "stages": result.stages,
    }
    (result.folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    pages = {name: report.to_html(result.folder / f"{name}.ipynb") for name in planned}
    rows = [(n.name, n.status, n.seconds, n.cause) for n in result.notebooks]
    missing = [(name, "not run", None, "") for name in planned[len(result.notebooks) :]]
    index = report.index(result.folder.name, [*rows, *missing], pages, result.stages, result.problems)
    (result.folder / "index.html").write_text(index, encoding="utf-8")
    pointer = runs / f".latest-{os.getpid()}"
    pointer.symlink_to(result.folder.name)
    os.replace(pointer, runs / "latest")


def _print_closing(result: Result) -> None:
    if result.stages:
        width = max(len(name) for name in result.stages)
        print(f"\n{'stage':<{width}}  {'rows':>10}  {'revenue':>18}")
        for name, stage in result.stages.items():
            print(f"{name:<{width}}  {stage['rows']:>10,}  {Decimal(stage['revenue']):>18,f}")
        if len(result.stages) > 1 and not result.problems:
            print("rows and revenue agree at every stage")
    print(f"\nreport    {short_path(result.folder / 'index.html')}")
    print(f"notebooks {short_path(result.folder)}/*.ipynb, the same as *.html")
    print(f"figures   {short_path(result.folder / 'summary.json')}", flush=True)
    for problem in result.problems:
        print(f"workbook run: {problem}", file=sys.stderr, flush=True)


def _new_folder(runs: Path) -> Path:
    """runs/<YYYYmmdd-HHMMSS>; two runs that begin in one second get a folder each."""
    runs.mkdir(parents=True, exist_ok=True)
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(1, 100):
        folder = runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise RunError(f"{runs} holds a hundred runs of this second")
