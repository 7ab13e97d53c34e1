"""The exercises of notebook 03: each looks at the trigger, the files and the permissions as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from helpers.checks import Wrong, exercise
from helpers.provision import error_code, until_propagated
from helpers.reconcile import object_rows


@exercise("03-1", hint="functions.update_event_source_mapping changes a trigger where it stands.")
def fewer_files(answer: object) -> str:
    """The published trigger has a window of 60 s and batches of at most 5,000, and is still the same trigger."""
    outputs = _outputs()
    mappings = boto3.client("lambda").list_event_source_mappings(FunctionName=outputs["function"])
    found = {m["UUID"]: m for m in mappings["EventSourceMappings"]}
    trigger = found.get(outputs["mapping"])
    if trigger is None:
        raise Wrong(
            "the trigger of part 6 is gone: a new one has its own place in the stream. Update, do not make anew."
        )
    if len(found) > 1:
        raise Wrong(f"the function has {len(found)} triggers now, so it gets every record {len(found)} times.")
    settings = trigger["BatchSize"], trigger["MaximumBatchingWindowInSeconds"]
    if settings == (60, 5_000):
        raise Wrong("the two numbers are the wrong way round.")
    if settings != (5_000, 60):
        raise Wrong(f"the batch size is {settings[0]:,} records and the window {settings[1]} seconds.")
    if trigger["State"] not in ("Enabled", "Updating"):
        raise Wrong(f"the trigger is {trigger['State']}: it reads nothing.")
    return "the same trigger, with larger and fewer batches from now on."


@exercise("03-2", hint="keys() lists the files, reconcile.object_rows(bucket, prefix) reads the rows below a prefix.")
def cancellations(answer: int) -> str:
    """The number of distinct cancelled rows in the newest hour's files."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise Wrong(f"the answer is a whole number, not a {type(answer).__name__}.")
    bucket = _outputs()["bucket"]
    hours = sorted({key.rpartition("/")[0] for key in _keys(bucket) if re.match(r"raw/\d{4}/\d\d/\d\d/\d\d/", key)})
    if not hours:
        raise Wrong("the bucket has no raw files: run part 6.")
    rows = list(object_rows(bucket, hours[-1] + "/"))
    distinct = {row["RowId"]: row for row in rows}
    cancelled = [row for row in distinct.values() if row["InvoiceNo"].startswith("C")]
    if answer == len(cancelled):
        return f"{answer} cancellations came in that hour."
    negative = sum(row["Quantity"] < 0 for row in distinct.values())
    everywhere = {row["RowId"] for row in object_rows(bucket, "raw/") if row["InvoiceNo"].startswith("C")}
    if answer == sum(row["InvoiceNo"].startswith("C") for row in rows):
        raise Wrong("you have counted some rows twice: delivery is at least once, so count each RowId once.")
    if answer == negative:
        raise Wrong("that is how many have a negative Quantity: goods also leave without a sale. Look at InvoiceNo.")
    if answer == len({row["InvoiceNo"] for row in cancelled}):
        raise Wrong("that is how many invoices are cancelled: an invoice has several rows.")
    if answer in (len(rows), len(distinct)):
        raise Wrong("that is every row of the hour, not only the cancellations.")
    if answer == len(everywhere):
        raise Wrong("that is the whole bucket, not only its newest hour.")
    raise Wrong("it is another number. Which rows have an InvoiceNo that begins with C?")


@exercise("03-3", hint="Effect Deny, Principal the role's ARN, one action, and the ARN of what lies below raw/.")
def never_delete(answer: object) -> str:
    """A role that is allowed everything on S3 still may not delete a raw file, and may do all that it needs."""
    bucket, iam, s3 = _outputs()["bucket"], boto3.client("iam"), boto3.client("s3")
    try:
        statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except ClientError as error:
        if error_code(error) != "NoSuchBucketPolicy":
            raise
        raise Wrong("the bucket has no policy yet.") from None
    role = iam.get_role(RoleName="raw-storage-role")["Role"]["Arn"]
    allowed = "arn:aws:s3:::" + bucket
    verdicts = {
        (action, resource): _denied(statements, role, action, resource)
        for action, resource in (
            ("s3:DeleteObject", f"{allowed}/raw/2026/11/22/23/a.jsonl"),
            ("s3:PutObject", f"{allowed}/raw/2026/11/22/23/a.jsonl"),
            ("s3:GetObject", f"{allowed}/raw/2026/11/22/23/a.jsonl"),
            ("s3:PutObject", f"{allowed}/aws/lambda/a"),
        )
    }
    deleting, *needed = verdicts.values()
    if any(statement["Effect"] == "Allow" for statement in statements):
        raise Wrong("the policy allows something: this one only has to deny.")
    if any(needed):
        blocked = next(action for (action, _), denied in list(verdicts.items())[1:] if denied)
        raise Wrong(f"it also denies {blocked}, which the function needs to store rows.")
    if not deleting:
        raise Wrong("the role could still delete a file below raw/: look at Principal, Action and Resource.")
    return "no policy of the role can ever let it delete a raw file."


def _outputs() -> dict[str, str]:
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/workbook/03")
    return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}


def _keys(bucket: str) -> Iterator[str]:
    for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/"):
        yield from (entry["Key"] for entry in page.get("Contents", []))
