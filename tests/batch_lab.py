"""What the batch job needs, made without its notebook: for tests of the functions themselves, on files of any size."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from platform_lab import own_lab

from helpers import warehouse
from helpers.provision import package

HANDLERS = str(Path(__file__).resolve().parent.parent / "helpers" / "handlers")
if HANDLERS not in sys.path:
    sys.path.insert(0, HANDLERS)
BUCKET, TABLE = "batch-tests", "BatchDays"
ACCOUNT = "123456789012"


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name: str, service: str, *actions: str) -> str:
    iam = boto3.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    return arn


class Batch:
    """The two functions, their bucket, tables, queue, and, if asked for, the warehouse."""

    def __init__(self, with_warehouse: bool) -> None:
        self.s3, self.sqs = boto3.client("s3"), boto3.client("sqs")
        # By itself boto3 waits a minute for an answer, and then calls again: the job would run twice, side by side.
        patient = Config(read_timeout=900, retries={"total_max_attempts": 1})
        self.functions = boto3.client("lambda", config=patient)
        self.s3.create_bucket(Bucket=BUCKET)
        dynamodb = boto3.client("dynamodb")
        for name, keys in (
            (TABLE, ["Day"]),
            ("Invoices", ["InvoiceNo", "RowId"]),
            ("Customers", ["CustomerID"]),
        ):
            dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
                AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        self.queue = self.sqs.create_queue(QueueName="days", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
        raw = f"{BUCKET}/raw/,{BUCKET}/till/rows/"
        environment = {"BUCKET": BUCKET, "TABLE": TABLE, "RAW": raw, "QUEUE": self.queue}
        self.copy_role = role("copy-role", "redshift.amazonaws.com", "s3:*")
        if with_warehouse:
            self.make_warehouse()
            environment |= {"CLUSTER": "workbook", "COPY_ROLE": self.copy_role}
        self.role = role(
            "batch-job-role",
            "lambda.amazonaws.com",
            *("s3:*", "dynamodb:*", "logs:*", "sqs:*", "redshift-data:*", "redshift:GetClusterCredentials"),
        )
        sql = warehouse.SQL / "merge_sales.sql"
        for name, beside in (("batch-job", ["batch_job"]), ("bulk-import", ["batch_job", "dynamodb_writer"])):
            module = name.replace("-", "_")
            others = [other for other in beside if other != module]
            self.functions.create_function(
                FunctionName=name,
                Runtime="python3.13",
                Handler=f"{module}.lambda_handler",
                Role=self.role,
                Code={"ZipFile": package(module, also=[*others, sql])},
                Timeout=900,
                MemorySize=1024,
                Environment={"Variables": environment},
            )

    def make_warehouse(self) -> None:
        redshift = boto3.client("redshift")
        redshift.create_cluster(
            ClusterIdentifier="workbook",
            NodeType="ra3.large",
            ClusterType="single-node",
            DBName="retail",
            MasterUsername="admin",
            MasterUserPassword="Secret-1234",
            IamRoles=[self.copy_role],
        )
        redshift.get_waiter("cluster_available").wait(ClusterIdentifier="workbook", WaiterConfig={"Delay": 1})
        warehouse.run_all([*warehouse.statements("staging"), *warehouse.statements("star_schema")])
        paths = (warehouse.SQL / "sales.jsonpaths.json").read_bytes()
        self.s3.put_object(Bucket=BUCKET, Key="config/sales.jsonpaths.json", Body=paths)

    def raw(self, lines: Iterable[bytes], name: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"raw/{name}", Body=b"".join(line + b"\n" for line in lines))

    def invoke(self, function: str = "batch-job", **event: Any) -> dict[str, Any]:
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        result = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise RuntimeError(result.get("errorMessage", result))
        return dict(result)

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def body(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def lines(self, prefix: str) -> list[dict[str, Any]]:
        return [json.loads(line) for key in self.keys(prefix) for line in self.body(key).splitlines()]

    def days(self) -> dict[str, dict[str, Any]]:
        table = boto3.resource("dynamodb").Table(TABLE)
        found, more = [], {}
        while True:
            page = table.scan(**more)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return {item["Day"]: item for item in found if not item["Day"].startswith("#")}
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def stores(self) -> dict[str, Any]:
        """Everything that a run could change, to be compared before and after."""
        objects = {}
        for prefix in ("days/", "clean/", "aside/", "partial/", "daily/", "grouped/"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            for page in pages:
                objects |= {e["Key"]: (e["ETag"], e["LastModified"]) for e in page.get("Contents", [])}
        return {"objects": objects, "days": self.days()}


@contextmanager
def batch(folder: Path, with_warehouse: bool = False) -> Iterator[Batch]:
    with own_lab(folder):
        yield Batch(with_warehouse)
