"""The exercises of notebook 09: each looks at the topic and the trigger as they are."""

from __future__ import annotations

from typing import Any

import boto3

from helpers.checks import Wrong, exercise, published
from helpers.lab import Lab
from helpers.reconcile import topic_rows


@exercise("09-1", hint="read_topic() gives every record; a record's value is the row's JSON.")
def cancellations(answer: int) -> str:
    """The number of different rows that are cancellations."""
    if not isinstance(answer, int) or isinstance(answer, bool):
        raise Wrong(f"give the number, not a {type(answer).__name__}.")
    outputs = published("09")
    found = list(topic_rows(Lab.kafka(outputs["bootstrap"]), outputs["topic"]))
    cancelled = [row for row in found if row["InvoiceNo"].startswith("C")]
    right = len({row["RowId"] for row in cancelled})
    if answer == right:
        return f"{right} cancellations are in the topic."
    if answer == len({row["InvoiceNo"] for row in cancelled}):
        raise Wrong("that is the number of invoices; an invoice has several rows.")
    if answer == len({row["RowId"] for row in found if row["Quantity"] < 0}):
        raise Wrong("those are the rows with a negative Quantity: not each of them is a cancellation.")
    if answer == len(cancelled):
        raise Wrong("some rows came twice: count each RowId once.")
    raise Wrong("the topic says another number.")


@exercise("09-2", hint="functions.update_event_source_mapping changes a trigger where it stands.")
def smaller_batches(answer: str) -> str:
    """Batch size and window of the running trigger."""
    outputs, functions = published("09"), boto3.client("lambda")
    found = functions.list_event_source_mappings(FunctionName="kafka-to-s3")["EventSourceMappings"]
    if len(found) != 1:
        raise Wrong(f"kafka-to-s3 has {len(found)} triggers now: change the one that is there.")
    (mapping,) = found
    if mapping["UUID"] != outputs["to_s3"]:
        raise Wrong("the trigger is a new one: its group begins again, and every row comes a second time.")
    size, window = mapping["BatchSize"], mapping.get("MaximumBatchingWindowInSeconds")
    if (size, window) != (2_000, 5):
        raise Wrong(f"the batch size is {size:,} records and the window {window} seconds.")
    if mapping["State"] in ("Disabled", "Disabling"):
        raise Wrong("it is disabled, and reads nothing.")
    return "the same group goes on, with at most 2,000 records a batch."


@exercise("09-3", hint="A partition belongs to one member of a group at a time.")
def idle_members(answer: int) -> str:
    """How many of six members have no partition."""
    outputs = published("09")
    described: dict[str, Any] = boto3.client("kafka").describe_topic(
        ClusterArn=outputs["cluster"], TopicName=outputs["topic"]
    )
    idle = max(0, 6 - described["PartitionCount"])
    if int(answer) == idle:
        return f"{described['PartitionCount']} partitions are shared by as many members; {idle} wait for one to fail."
    if int(answer) == 0:
        raise Wrong("a partition is never shared by two members of a group.")
    raise Wrong("compare the number of members with the number of partitions.")
