"""The `workbook` command: the lab process, batch runs, the learner's copies.

Each command says in one line what it did, can be given twice, asks nothing, and ends non-zero with one clear
line when it cannot do what was asked.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.batch import CommandError
from helpers.lab import Lab, lab_folder, open_lab
from helpers.localaws import server

if TYPE_CHECKING:
    from helpers import runner

# Seconds without a call until a batch command's lab ends: its run was killed. A learner's lab never ends so.
IDLE_EXIT = 900.0


def start_own(folder: Path) -> server.LabInfo:
    """Start the lab of a batch command."""
    return server.start(folder, idle_exit=IDLE_EXIT)


def start(options: argparse.Namespace) -> int:
    folder = lab_folder()
    try:
        info, died = server.find(folder), ""
    except server.DeadLab as error:
        info, died = (
            None,
            f"{error}; an empty one takes its place: notebooks run their earlier stages again\n",
        )
    if info and options.port not in (0, info.port):
        raise server.LabError(f"the lab already runs on port {info.port}: `workbook stop` first")
    again = info is not None
    info = info or server.start(folder, port=options.port)
    print(f"{died}the lab {'already runs' if again else 'runs'} on {info.endpoint} (pid {info.pid})")
    return 0


def stop(options: argparse.Namespace) -> int:
    print("the lab is stopped and its cloud is gone" if server.stop(lab_folder()) else "no lab was running")
    return 0


def status(options: argparse.Namespace) -> int:
    info = server.find(lab_folder())
    if info is None:
        print("no lab is running: `workbook start`, or any notebook, starts one")
        return 0
    minutes = int(time.time() - info.started) // 60
    since = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    print(f"the lab has been running on {info.endpoint} (pid {info.pid}) for {since}")
    return 0


def env(options: argparse.Namespace) -> int:
    info = server.find(lab_folder())
    if info is None:
        raise server.LabError("no lab is running: `workbook start` first")
    ours = info.environment() | {"AWS_REGION": server.REGION}
    # Whatever else is set could lead a call past the lab, AWS_ENDPOINT_URL_KINESIS or a session token, say.
    others = {name for name in os.environ if name.startswith("AWS_")} | {"AWS_PROFILE", "AWS_SESSION_TOKEN"}
    print(f"unset {' '.join(sorted(others - set(ours)))}")
    for name, value in ours.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def reset(options: argparse.Namespace) -> int:
    from helpers import copies

    print(copies.reset(options.notebook, copies.NOTEBOOKS, copies.WORK))
    return 0


def lab(options: argparse.Namespace) -> int:
    from helpers import copies

    extra = ["--no-browser"] * options.no_browser + ["--allow-root"] * options.allow_root
    if options.port is not None:
        copies.check_port(options.port)
        extra += [f"--port={options.port}", "--ServerApp.port_retries=0"]
    for line in copies.update(copies.NOTEBOOKS, copies.WORK):
        print(line)
    command, environment = copies.jupyter_command(extra, copies.WORK)
    environment["WORKBOOK_LAB"] = str(lab_folder())
    print("JupyterLab on work/: Ctrl-C ends it; the lab process goes on until `workbook stop`", flush=True)
    os.execve(command[0], command, environment)


def refresh(options: argparse.Namespace) -> int:
    from helpers import refresh as refreshing
    from helpers import runner

    paths = runner.find_notebooks(options.notebook, runner.NOTEBOOKS)
    return refreshing.refresh(paths, start_lab=start_own, stop_lab=server.stop)


def run(options: argparse.Namespace) -> int:
    from helpers import runner

    given = {name: getattr(options, name) for name in ("csv", "rows", "target") if getattr(options, name)}
    for text in options.parameter:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise runner.RunError(f"-p {text}: give name=value")
        if name in given:
            raise runner.RunError(f"parameter {name} is given twice")
        given[name] = value
    only = [name for name in options.only.split(",") if name.strip()]
    notebooks = runner.find_notebooks(only, runner.NOTEBOOKS)
    if options.grid:
        rows = runner.grid_rows(Path(options.grid), given)
        # All of them are checked before the first one runs.
        plans = [runner.plan(notebooks, row, options.output) for row in rows]
        return runner.run_grid(rows, [partial(_run, *each) for each in zip(plans, rows, strict=True)])
    return _run(runner.plan(notebooks, given, options.output), given).exit_code


def _run(planned: Sequence[runner.Planned], given: dict[str, str]) -> runner.Result:
    """One run in a lab of its own."""
    from helpers import runner

    target = given.get("target", "local")
    local = target == "local"
    values = {name: value for notebook in planned for name, value in notebook.parameters.items()}

    def connect() -> Lab:
        if local:
            server.find(lab_folder())  # raises DeadLab: a new lab would hold nothing, and agree with itself
        return open_lab(target, accept_costs=bool(values.get("accept_costs")))

    def read_stages() -> dict[str, runner.Stage]:
        from helpers import reconcile

        stages = reconcile.stages(connect())
        return {name: runner.Stage(rows=s["rows"], revenue=s["revenue"]) for name, s in stages.items()}

    return runner.run(
        planned,
        start_lab=start_own if local else lambda folder: None,
        stop_lab=server.stop,
        read_stages=None if values.get("cleanup") else read_stages,
        connect=connect,
        runs=runner.RUNS,
    )


def kafka(options: argparse.Namespace) -> int:
    from helpers import genuine_kafka

    return genuine_kafka.main()


def bench(options: argparse.Namespace) -> int:
    from helpers import bench as benching

    flags = ["--quick"] * options.quick + ["--peer"] * options.peer
    given = [f"--{name}={value}" for name in ("csv", "only") if (value := getattr(options, name))]
    return benching.main([*given, *flags])


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="workbook", description="Data engineering on AWS, on this machine.")
    commands = top.add_subparsers(metavar="command", required=True)

    def command(name: str, does: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(does=does, command=name)
        return sub

    sub = command("start", start, "start the lab process, the AWS on this machine")
    sub.add_argument("--port", type=int, default=0, help="a fixed port (default: a free one)")
    command("stop", stop, "stop the lab process; its cloud is gone")
    command("status", status, "say whether the lab process runs, and where")
    command("env", env, 'print the variables that lead other tools to the lab: eval "$(workbook env)"')

    sub = command("lab", lab, "open JupyterLab on your copies of the notebooks, in work/")
    sub.add_argument("--no-browser", action="store_true", help="only print the address")
    sub.add_argument("--port", type=int, help="JupyterLab's port (default: 8888 or the next free one)")
    sub.add_argument("--allow-root", action="store_true", help="run as root, say in a container")
    sub = command("reset", reset, "put one notebook in work/ back to its original, keeping yours beside it")
    sub.add_argument("notebook", help="its number or name: 03")

    sub = command("run", run, "run the notebooks in order on a fresh lab, and report")
    sub.add_argument("--csv", metavar="FILE", help=".csv, .csv.gz, .csv.xz or .zip (default: the sample)")
    sub.add_argument("--rows", metavar="N", help="how many rows of it (default: all)")
    sub.add_argument("--target", help="local, aws or an http:// address (default: local)")
    sub.add_argument("--only", default="", metavar="02,03", help="these notebooks (default: every one)")
    sub.add_argument("--grid", metavar="FILE", help="a CSV of parameters: a run for each of its rows")
    sub.add_argument(
        "--output",
        default="",
        metavar="s3://BUCKET/{date}",
        help="store the executed notebooks there too, in the S3 of the target; {date} is that parameter's value",
    )
    sub.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="any declared parameter"
    )
    sub = command("refresh", refresh, "execute committed notebooks again, each in a fresh lab, and rewrite them")
    sub.add_argument("notebook", nargs="*", help="numbers or names (default: every one)")
    command("kafka", kafka, "run a genuine Apache Kafka (it needs Java and Maven) until Ctrl-C")
    sub = command("bench", bench, "measure the pipeline and write data/bench.json")
    sub.add_argument("--csv", metavar="FILE", help="the file to send (default: 541,909 generated rows)")
    sub.add_argument("--only", metavar="rows,batches", help="these groups; the others' figures stay (default: all)")
    sub.add_argument("--peer", action="store_true", help="compare with MiniStack too, installed for the while")
    sub.add_argument("--quick", action="store_true", help="few rows, nothing written")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code: 0, 1 for what failed, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    try:
        return int(options.does(options))
    except (server.LabError, CommandError) as error:
        print(f"workbook {options.command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"workbook {options.command}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:  # a folder that cannot be written, say
        print(f"workbook {options.command}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
