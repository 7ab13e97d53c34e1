"""The project's own files agree: dependencies, commands that the pages name, lint, format and types."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import papermill
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers import cli, runner

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "data/README.md"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
PINS = [Requirement(line) for line in LOCK]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))


class TestDependencies:
    def test_each_has_its_reason(self) -> None:
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        lines = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1].splitlines()
        entries = [line.strip() for line in lines if line.strip().startswith('"')]
        assert len(entries) == len(PYPROJECT["project"]["dependencies"]) > 20
        assert [entry for entry in entries if not re.search(r'",  # \S+ \S+', entry)] == []

    def test_lock_holds_exact_versions_and_nothing_of_a_machine(self) -> None:
        name, version, marker = r"[a-z0-9-]+", r"[0-9][0-9a-z.]*", r"( ; [a-z_]+ .*)?"
        assert [line for line in LOCK if not re.fullmatch(f"{name}=={version}{marker}", line)] == []

    @pytest.mark.parametrize("wanted", PYPROJECT["project"]["dependencies"], ids=lambda d: re.split(r"\W", d)[0])
    def test_lock_has_a_version_in_range_for(self, wanted: str) -> None:
        dependency = Requirement(wanted)
        pins = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(dependency.name)]
        versions = [next(iter(pin.specifier)).version for pin in pins]
        assert versions and all(dependency.specifier.contains(version) for version in versions)

    def test_what_is_installed_is_the_lock(self) -> None:
        differ = []
        for pin in PINS:
            if pin.marker is None or pin.marker.evaluate():
                installed = importlib.metadata.version(pin.name)
                if not pin.specifier.contains(installed):
                    differ.append(f"{pin}, installed is {installed}")
        assert differ == []

    def test_conda_installs_the_same(self) -> None:
        environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
        python, *rest = environment["dependencies"]
        assert rest == ["pip", {"pip": ["-r requirements.lock", "-e ."]}]
        allowed = SpecifierSet(python.removeprefix("python "))
        needed = SpecifierSet(PYPROJECT["project"]["requires-python"])
        versions = [f"3.{minor}" for minor in range(8, 20)]
        supported = ["3.11", "3.12", "3.13"]
        assert [v for v in versions if allowed.contains(v)] == supported
        assert [v for v in supported if needed.contains(v)] == supported and not needed.contains("3.10")
        workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
        matrix = workflow["jobs"]["workbook"]["strategy"]["matrix"]
        assert matrix == {"os": ["ubuntu-latest", "macos-latest"], "python": supported}

    def test_every_file_that_helpers_need_is_packaged(self) -> None:
        data = PYPROJECT["tool"]["setuptools"].get("package-data", {}).get("helpers", [])
        others = [
            path.relative_to(ROOT / "helpers")
            for path in (ROOT / "helpers").rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        ]
        assert [str(path) for path in others if not any(path.match(pattern) for pattern in data)] == []


def commands_named() -> Iterator[tuple[str, str]]:
    """(page, command) for each command line in a page's code: blocks and inline."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        for line in [line for block in blocks for line in block.splitlines()] + inline:
            if found := re.search(r"\b(?:make|workbook)(?: [a-z][^#)]*)", line):
                yield page, found[0].strip()


COMMANDS = list(commands_named())


class TestCommands:
    @pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
    def test_that_a_page_names_exists(self, page: str, command: str) -> None:
        program, *arguments = shlex.split(command)
        if program == "make":
            made = self.made(*arguments)
            assert made, command
            return
        options = cli.parser().parse_args(arguments)  # SystemExit when it is not understood
        if options.command == "run":
            self.check_parameters(options)

    @staticmethod
    def check_parameters(options: argparse.Namespace) -> None:
        only = options.only.split(",") if options.only else []
        given = {p.partition("=")[0]: p.partition("=")[2] for p in options.parameter}
        given |= {k: v for k in ("rows", "target") if (v := getattr(options, k))}
        given = {k: v.replace("…", "127.0.0.1:4566") for k, v in given.items()}
        assert runner.plan(runner.find_notebooks(only), given)

    @staticmethod
    def made(*arguments: str) -> str:
        """What make would run, once the environment is there."""
        command = ["make", "--no-print-directory", "-n", "-o", ".venv/.stamp", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_pages_name_every_command(self) -> None:
        named = {tuple(shlex.split(command)[:2]) for _, command in COMMANDS}
        targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
        assert sorted(targets) == ["bench", "clean", "help", "lab", "run", "soak", "test"]
        assert {("make", target) for target in targets if target != "help"} <= named
        actions = cli.parser()._subparsers._group_actions[0].choices
        written = " ".join(command for _, command in COMMANDS) + " workbook bench"  # as `make bench`
        assert [command for command in actions if f"workbook {command}" not in written] == []

    def test_make_hands_its_variables_on(self) -> None:
        line = self.made("run", "CSV=../my orders.csv", "ROWS=all", "TARGET=local", "ONLY=02,03").strip()
        program, *arguments = shlex.split(line)
        options = cli.parser().parse_args(arguments)
        assert program == ".venv/bin/workbook"
        assert (options.csv, options.rows, options.target, options.only) == (
            "../my orders.csv",
            "all",
            "local",
            "02,03",
        )
        assert self.made("run").split() == [".venv/bin/workbook", "run"]
        assert self.made("soak").strip() == "WORKBOOK_SOAK=1 .venv/bin/python -m pytest -n 2 --dist loadfile"

    def test_make_says_when_python_is_too_old(self, tmp_path: Path) -> None:
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tmp_path)
        old = tmp_path / "python3.10"
        old.write_text("#!/bin/sh\nexit 1\n")
        old.chmod(0o755)
        command = ["make", "--no-print-directory", "test", f"PYTHON={old}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2 and not (tmp_path / ".venv").exists()
        assert "is missing or older than Python 3.11: make test PYTHON=" in done.stderr.splitlines()[0]

    @pytest.mark.parametrize(
        ("codes", "tries", "code"), [([0], 1, 0), ([1, 0], 2, 0), ([1, 1], 2, 2), ([2, 0], 1, 2), ([5, 0], 1, 2)]
    )
    def test_what_fails_is_tried_once_more(self, tmp_path: Path, codes: list[int], tries: int, code: int) -> None:
        """And only tests that failed: an interrupted run, or one that found no test, is no second try's business."""
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tmp_path)
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / "codes").write_text("".join(f"{one}\n" for one in codes))
        fake = tmp_path / ".venv" / "bin" / "python"
        fake.write_text(
            '#!/bin/sh\necho "$*" >> said\nread code < codes\ntail -n +2 codes > rest\nmv rest codes\nexit $code\n'
        )
        fake.chmod(0o755)
        (tmp_path / ".venv" / ".stamp").touch()
        done = subprocess.run(["make", "--no-print-directory", "test"], cwd=tmp_path, capture_output=True, text=True)
        said = (tmp_path / "said").read_text().splitlines()
        assert (len(said), done.returncode) == (tries, code)
        assert ["--last-failed" in line for line in said] == [False, True][:tries]
        assert ("Once more, alone" in done.stdout) == (tries == 2)

    @pytest.mark.parametrize("there", [True, False])
    def test_ci_runs_make_test_with_the_real_data_where_it_is(self, tmp_path: Path, there: bool) -> None:
        (tmp_path / "main" / ".ci").mkdir(parents=True)
        (tmp_path / "bin").mkdir()
        script = shutil.copy(ROOT / ".ci" / "run", tmp_path / "main" / ".ci" / "run")
        fake = tmp_path / "bin" / "make"
        fake.write_text('#!/bin/sh\necho "$@ in $PWD with ${ONLINE_RETAIL_CSV:-nothing}"\n')
        fake.chmod(0o755)
        data = tmp_path / "shared" / "data" / "online-retail.csv.xz"
        if there:
            data.parent.mkdir(parents=True)
            data.touch()
        environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
        environment.pop("ONLINE_RETAIL_CSV", None)
        done = subprocess.run([script], env=environment, capture_output=True, text=True)
        real = tmp_path / "main" / ".." / "shared" / "data" / "online-retail.csv.xz" if there else "nothing"
        assert done.stdout == f"test in {tmp_path / 'main'} with {real}\n"


class TestPages:
    @pytest.mark.parametrize("page", PAGES)
    def test_links_lead_somewhere(self, page: str) -> None:
        text = (ROOT / page).read_text(encoding="utf-8")
        targets = [t for t in re.findall(r"\]\(([^)#]+)", text) if "://" not in t]
        assert [t for t in targets if not ((ROOT / page).parent / t).exists()] == []

    def test_readme_maps_every_notebook(self) -> None:
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        mapped = re.findall(r"^\| \[\d\d\]\(notebooks/(.+)\)", text, re.MULTILINE)
        assert mapped == [path.name for path in NOTEBOOKS]

    def test_readme_places_the_twelve_pains(self) -> None:
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        table = text[text.index("## What learners trip over") :]
        rows = re.findall(r"^\| ([^|-][^|]*) \| ([^|]+) \|$", table, re.MULTILINE)
        assert len(rows) >= 12
        stems = {path.stem[:2] for path in NOTEBOOKS}
        unplaced = [pain for pain, where in rows if not where.startswith("not yet") and where[:2] not in stems]
        assert unplaced == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_sees_every_parameter(path: Path) -> None:
    """papermill reads parameters line by line and silently loses some, say one whose comment holds an equals sign."""
    assert set(papermill.inspect_notebook(str(path))) == set(runner.declared(path))


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]],
    ids=["lint", "format", "types"],
)
def test_code_is_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_git_ignores_what_the_commands_make() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    made = [".venv/x", ".lab/x", "runs/x", "work/03.ipynb", ".hypothesis/x", "helpers/__pycache__/x"]
    done = subprocess.run(["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == made


def test_the_figures_in_the_readme_are_the_benchmarks() -> None:
    figures = json.loads((ROOT / "data" / "bench.json").read_text())
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    whole, rows = figures["batches_all"], figures["row_by_row"]
    for said in (
        f"{whole['rows_in_s3']:,} rows were in Kinesis after {whole['ingestion_seconds']} s",
        f"in S3 after {whole['all_in_s3_seconds']} s",
        f"the lab took {whole['lab_memory_mb']} MB",
        f"it was {rows['platform_1_rows_per_second']} rows a second",
        f"{rows['platform_1_to_put_record']} of what boto3's `put_record` alone",
    ):
        assert said in text
