"""The exercises of notebook 03: each looks at the trigger, the files and the permissions as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from helpers.checks import Wrong, exercise, published
from helpers.provision import error_code
from helpers.reconcile import object_rows


@exercise("03-1", hint="functions.update_event_source_mapping changes a trigger where it stands.")
def fewer_files(answer: object) -> str:
    """The published trigger has a window of 60 s and batches of at most 5,000, and is still the same trigger."""
    outputs = published("03")
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
    bucket = published("03")["bucket"]
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


@exercise("03-3", hint="A rule has a Status, a Filter with a Prefix, and Transitions with Days and StorageClass.")
def cheaper_files(answer: object) -> str:
    """The bucket's lifecycle moves raw/ to STANDARD_IA after 30 days, and deletes nothing."""
    bucket = published("03")["bucket"]
    try:
        rules = boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        if error_code(error) != "NoSuchLifecycleConfiguration":
            raise
        raise Wrong("the bucket has no lifecycle yet.") from None
    enabled = [rule for rule in rules if rule["Status"] == "Enabled"]
    if not enabled:
        raise Wrong("the rule is there, but it is not Enabled.")
    if any("Expiration" in rule for rule in enabled):
        raise Wrong("it also deletes files (Expiration): raw files are what all else is computed from.")
    moves = [(_prefix(rule), move["Days"], move["StorageClass"]) for rule in enabled for move in rule["Transitions"]]
    if moves != [("raw/", 30, "STANDARD_IA")]:
        found = "; ".join(f"{prefix or 'the whole bucket'} to {kind} after {days} days" for prefix, days, kind in moves)
        raise Wrong(f"it moves {found}; wanted is raw/ to STANDARD_IA after 30 days.")
    return "raw files of more than 128 KB cost half from their 31st day on, and all of them stay."


def _prefix(rule: dict[str, Any]) -> str:
    return str(rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")))


def _keys(bucket: str) -> Iterator[str]:
    for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/"):
        yield from (entry["Key"] for entry in page.get("Contents", []))
