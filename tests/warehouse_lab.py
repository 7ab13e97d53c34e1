"""A lab with a cluster, a bucket and a role for COPY, for the tests of the warehouse."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil

from helpers.lab import open_lab
from helpers.localaws import server

ENDED = ("FINISHED", "FAILED", "ABORTED")
BUCKET = "lab"


class Failed(Exception):
    """A statement that FAILED; the text is the Data API's `Error`."""


class Warehouse:
    """A cluster `workbook` with the database `retail`, in a lab of its own."""

    def __init__(self, folder: Path, node_type: str = "ra3.xlplus", nodes: int = 2) -> None:
        self.folder = folder
        self.lab = open_lab("local")
        self.iam, self.s3 = boto3.client("iam"), boto3.client("s3")
        self.redshift, self.data = boto3.client("redshift"), boto3.client("redshift-data")
        self.role = self.make_role("RedshiftCopy")
        self.allow("RedshiftCopy", ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"], BUCKET)
        self.s3.create_bucket(Bucket=BUCKET)
        self.redshift.create_cluster(
            ClusterIdentifier="workbook", NodeType=node_type, NumberOfNodes=nodes, MasterUsername="admin",
            MasterUserPassword="Abcdef123", DBName="retail", IamRoles=[self.role], DefaultIamRoleArn=self.role,
        )  # fmt: skip
        self.redshift.get_waiter("cluster_available").wait(ClusterIdentifier="workbook")
        self.where = {"ClusterIdentifier": "workbook", "Database": "retail", "DbUser": "admin"}

    def make_role(self, name: str, service: str = "redshift.amazonaws.com") -> str:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return str(self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"])

    def allow(self, role: str, actions: list[str], bucket: str) -> None:
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName=role, PolicyName="s3", PolicyDocument=document)

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body if isinstance(body, bytes) else body.encode())

    def wait(self, statement: str, data: Any = None) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found: dict[str, Any] = (data or self.data).describe_statement(Id=statement)
            if found["Status"] in ENDED:
                return found
            time.sleep(0.005)
        raise AssertionError(f"{statement} has not ended")

    def start(self, *sqls: str, **options: Any) -> str:
        options = {**self.where, **options}
        if len(sqls) == 1:
            return str(self.data.execute_statement(Sql=sqls[0], **options)["Id"])
        return str(self.data.batch_execute_statement(Sqls=list(sqls), **options)["Id"])

    def run(self, *sqls: str, **options: Any) -> dict[str, Any]:
        """Runs one statement, or several in one transaction; raises Failed."""
        described = self.wait(self.start(*sqls, **options))
        if described["Status"] != "FINISHED":
            raise Failed(described.get("Error", described["Status"]))
        return described

    def rows(self, sql: str, **options: Any) -> list[tuple[Any, ...]]:
        return self.result(self.run(sql, **options)["Id"])

    def result(self, statement: str) -> list[tuple[Any, ...]]:
        """All pages of a result; a NULL is None, a numeric the text that the Data API gives."""
        pages = self.data.get_paginator("get_statement_result").paginate(Id=statement)
        return [
            tuple(None if f.get("isNull") else next(iter(f.values())) for f in record)
            for page in pages
            for record in page["Records"]
        ]

    def one(self, sql: str, **options: Any) -> Any:
        """The only value of the only row."""
        ((value,),) = self.rows(sql, **options)
        return value

    def error(self, *sqls: str, **options: Any) -> str:
        """What a statement fails with."""
        try:
            self.run(*sqls, **options)
        except Failed as failed:
            return str(failed)
        raise AssertionError(f"did not fail: {sqls}")

    def engine(self) -> psutil.Process | None:
        """The process of the cluster's engine."""
        info = server.find(self.folder)
        assert info is not None
        for child in psutil.Process(info.pid).children():
            if any("warehouse.engine" in part for part in child.cmdline()):
                return child
        return None


@contextmanager
def warehouse(folder: Path, **options: Any) -> Iterator[Warehouse]:
    before = dict(os.environ)
    os.environ.update(WORKBOOK_LAB=str(folder), WORKBOOK_IDLE_EXIT="600")
    try:
        yield Warehouse(folder, **options)
    finally:
        server.stop(folder)
        os.environ.clear()
        os.environ.update(before)
