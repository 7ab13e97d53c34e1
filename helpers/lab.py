"""Where the notebooks run: `open_lab(target)` prepares this kernel, and from there on all is plain boto3.

`target` is "local" (the embedded AWS, the default), "aws" (your account, by your profile) or the address of another
AWS-compatible endpoint (`http://…`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from .localaws import server
from .localaws.broker import client_settings
from .localaws.server import DeadLab, LabError

__all__ = ["DeadLab", "Lab", "LabError", "lab_folder", "open_lab"]

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SAMPLE = ROOT / "data" / "online-retail-sample.csv"

# US dollars an hour for what stands there, whether used or not; us-east-1, November 2026, from the services' pricing
# pages. What is paid by use (API Gateway 3.50 a million calls, Lambda, S3, logs) comes to cents for these notebooks.
HOURLY_COSTS = {
    "Kinesis, each provisioned shard": "0.015",
    "Redshift, each ra3.large node": "0.543",
    "MSK, each kafka.t3.small broker": "0.0456",
    "Lambda, each poller of a Kafka trigger in provisioned mode": "0.185",
}

_opened: Lab | None = None


@dataclass(frozen=True)
class Clock:
    """The clock of the schedules: a lesson moves it, so that a nightly job is seen without waiting for the night.

    It moves EventBridge's rules and nothing else: whatever fell due on the way fires, in order, once each. On AWS, and
    on other endpoints, time cannot be moved.
    """

    endpoint: str | None

    def now(self) -> dt.datetime:
        """The rules' time, in UTC."""
        return dt.datetime.fromtimestamp(self._ask("GET")["now"], dt.UTC)

    def advance(self, **duration: float) -> dict[str, int]:
        """advance(days=1, hours=2): moves on, as datetime.timedelta counts; {rule: how often it fired on the way}."""
        fired: dict[str, int] = self._ask("POST", seconds=dt.timedelta(**duration).total_seconds())["fired"]
        return fired

    def _ask(self, method: str, **body: float) -> dict[str, Any]:
        if self.endpoint is None:
            raise LabError("only the local lab's clock can be moved: here, wait, or invoke the function yourself")
        request = AWSRequest(method, f"{self.endpoint}/_aws/clock", data=json.dumps(body))
        session = boto3.Session()
        SigV4Auth(session.get_credentials(), "events", session.region_name).add_auth(request)
        sent = {"body": request.data, "headers": dict(request.headers), "retries": False, "timeout": 3600.0}
        answer = urllib3.request(method, request.url, **sent)
        if answer.status != 200:
            raise LabError(f"the clock was not moved: {answer.data.decode()}")
        told: dict[str, Any] = answer.json()
        return told


@dataclass(frozen=True)
class Lab:
    """An opened lab: the few things that boto3 does not know."""

    target: str
    region: str
    account_id: str
    endpoint: str | None  # None: AWS itself

    def url(self, api_id: str, stage: str) -> str:
        """The address of an API's stage, without a slash at its end."""
        if self.target == "aws":
            return f"https://{api_id}.execute-api.{self.region}.amazonaws.com/{stage}"
        return f"{self.endpoint}/_aws/execute-api/{api_id}/{stage}"

    @staticmethod
    def kafka(bootstrap: str) -> dict[str, Any]:
        """How kafka-python connects to these servers: KafkaConsumer(topic, **lab.kafka(bootstrap)).

        The environment says the rest, where brokers ask for TLS or a name: see `helpers/localaws/broker.py`.
        """
        return {"bootstrap_servers": bootstrap.split(","), **client_settings()}

    def website_url(self, bucket: str) -> str:
        """The address of a bucket's static website: a host name of its own, so that the page has its own origin.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html
        """
        if self.target == "aws":
            dashed = {
                "us-east-1",
                "us-west-1",
                "us-west-2",
                "ap-southeast-1",
                "ap-southeast-2",
                "ap-northeast-1",
                "eu-west-1",
                "sa-east-1",
            }
            return f"http://{bucket}.s3-website{'-' if self.region in dashed else '.'}{self.region}.amazonaws.com"
        return f"http://{bucket}.localhost:{(self.endpoint or '').rpartition(':')[2]}"

    @property
    def clock(self) -> Clock:
        """The schedules' clock, which a lesson may move here."""
        return Clock(self.endpoint if self.target == "local" else None)

    def publish(self, stage: str, outputs: dict[str, str], **parameters: Any) -> None:
        """Keeps a stage's outputs in SSM Parameter Store under /workbook/<stage>, for later stages and `require`.

        parameters: those of the notebook that shaped what it deployed.
        """
        ssm = boto3.client("ssm")
        made = {
            **outputs,
            "made-by": json.dumps({"notebook": _digest(stage), "parameters": parameters}, sort_keys=True),
        }
        for name, value in made.items():
            ssm.put_parameter(Name=f"/workbook/{stage}/{name}", Value=str(value) or "-", Type="String", Overwrite=True)

    def outputs(self, stage: str) -> dict[str, str]:
        """What a stage published; raises LabError when it has not run in this lab."""
        found = self._published(stage)
        if not found:
            raise LabError(f'stage {stage} has not run in this lab: lab.require("{stage}") runs it')
        found.pop("made-by", None)
        return {k: "" if v == "-" else v for k, v in found.items()}

    def forget(self, stage: str) -> None:
        """Removes a stage's published outputs: part of its clean-up."""
        ssm = boto3.client("ssm")
        for name in self._published(stage):
            ssm.delete_parameter(Name=f"/workbook/{stage}/{name}")

    def require(self, *stages: str, **parameters: Any) -> None:
        """Runs the notebooks of earlier stages that have not run in this lab yet, always from `notebooks/`.

        parameters: handed to those that run. A stage that has run from another version of its notebook, or with other
        parameters, stays as it is; the difference is said, and how to run it again.
        """
        for stage in stages:
            found = self._published(stage)
            if not found:
                self._run(stage, parameters)
            else:
                self._compare(stage, json.loads(found.get("made-by", "{}")), parameters)
        print(f"Ready: {', '.join(stages)}")

    def _published(self, stage: str) -> dict[str, str]:
        pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/workbook/{stage}")
        return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}

    def _run(self, stage: str, parameters: dict[str, Any]) -> None:
        import papermill

        notebook = _notebook(stage)
        known = papermill.inspect_notebook(str(notebook))
        # Whoever opened this lab has agreed to its costs; the notebook in between must not ask again.
        asked = {"target": self.target, "accept_costs": self.target == "aws", **parameters}
        given = {k: v for k, v in asked.items() if k in known}
        output = lab_folder() / "required" / notebook.name
        output.parent.mkdir(parents=True, exist_ok=True)
        quiet = os.environ.get("WORKBOOK_PROGRESS") == "0"
        if not quiet:
            print(f"Running {notebook.name} first …", file=sys.stderr)
        # A process of its own: a kernel's event loop is no place for another kernel's manager.
        command = [sys.executable, "-m", "papermill", str(notebook), str(output), "--cwd", str(NOTEBOOKS)]
        command += ["-k", "python3", "--no-progress-bar" if quiet else "--progress-bar"]
        command += ["-b", _base64_parameters(given)]
        done = subprocess.run(
            command, stderr=subprocess.PIPE if quiet else None, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise LabError(f"{notebook.name} failed, see {output}: run `workbook run --only {stage}` for its error")

    @staticmethod
    def _compare(stage: str, made_by: dict[str, Any], parameters: dict[str, Any]) -> None:
        before = made_by.get("parameters", {})
        differ = [
            f"{k}={before[k]!r} instead of {v!r}" for k, v in parameters.items() if k in before and before[k] != v
        ]
        if made_by.get("notebook") != _digest(stage):
            differ.append("an earlier version of the notebook")
        if differ:
            print(
                f"Stage {stage} stands as it ran: {', '.join(differ)}. To run it again: open its notebook, "
                "or begin anew with `workbook stop`."
            )


def _base64_parameters(parameters: dict[str, Any]) -> str:
    import base64

    return base64.b64encode(json.dumps(parameters).encode()).decode()


def _notebook(stage: str) -> Path:
    found = sorted(NOTEBOOKS.glob(f"{stage}-*.ipynb"))
    if not found:
        raise LabError(f"there is no notebook {stage}-… in {NOTEBOOKS}")
    return found[0]


def _digest(stage: str) -> str:
    """Of the notebook's code, so that new words or outputs do not count as another version."""
    cells = json.loads(_notebook(stage).read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def lab_folder() -> Path:
    """The folder of the lab: `WORKBOOK_LAB`, or `.lab` in the workbook's root."""
    return Path(os.environ.get("WORKBOOK_LAB") or ROOT / ".lab").resolve()


def open_lab(target: str = "local", *, accept_costs: bool = False) -> Lab:
    """Prepares this kernel for a target and returns the lab. Raises LabError with one line when it cannot.

    For "local" and another endpoint every other AWS_* variable is removed and AWS's config files are left aside: an
    inherited AWS_ENDPOINT_URL_KINESIS would otherwise send a cell to real AWS.
    """
    global _opened
    if _opened is not None and _opened.target != target:
        raise LabError(f"this kernel runs on {_opened.target!r}: restart the kernel to use {target!r}")
    if target == "local":
        _opened = _open_local()
    elif target == "aws":
        _opened = _open_aws(accept_costs)
    elif target.startswith(("http://", "https://")):
        _opened = _open_endpoint(target)
    else:
        raise LabError(f'target is "local", "aws" or the address of an endpoint (http://…), not {target!r}')
    return _opened


def _clean_environment(**values: str) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        **values,
    )
    here = [h for h in os.environ.get("NO_PROXY", "").split(",") if h]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(
        dict.fromkeys([*here, "127.0.0.1", "localhost", ".localhost"])
    )
    boto3.DEFAULT_SESSION = None


def _open_local() -> Lab:
    folder = lab_folder()
    try:
        server.find(folder)
    except DeadLab as dead:
        print(f"Note: {dead}. A new lab starts empty; lab.require(…) runs the earlier stages again.")
    idle = os.environ.get("WORKBOOK_IDLE_EXIT")
    info = server.start(folder, idle_exit=float(idle) if idle else None)
    _clean_environment(**info.environment())
    return Lab("local", server.REGION, _account_id(), info.endpoint)


def _open_endpoint(address: str) -> Lab:
    given = {k: os.environ.get(k, "test") for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    _clean_environment(AWS_ENDPOINT_URL=address.rstrip("/"), AWS_DEFAULT_REGION=server.REGION, **given)
    return Lab(address, server.REGION, _account_id(), address.rstrip("/"))


def _open_aws(accept_costs: bool) -> Lab:
    for name in [n for n in os.environ if n.startswith("AWS_ENDPOINT_URL")]:
        del os.environ[name]
    boto3.DEFAULT_SESSION = None
    session = boto3.Session()
    region = session.region_name
    if not region:
        raise LabError("no region: set one with `aws configure` or AWS_DEFAULT_REGION")
    account = _account_id()
    costs = "; ".join(f"{what}: {dollars} USD an hour" for what, dollars in HOURLY_COSTS.items())
    print(f"Account {account}, region {region}. Running costs until clean-up: {costs}; calls are paid by use.")
    if not accept_costs:
        raise LabError("nothing was created: to run on this account, set accept_costs=True and run the cell again")
    return Lab("aws", region, account, None)


def _account_id() -> str:
    try:
        return str(boto3.client("sts").get_caller_identity()["Account"])
    except Exception as error:
        raise LabError(f"AWS does not know who you are: {error}") from None
