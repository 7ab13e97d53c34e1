"""Rows and revenue at every stage, each read from that stage's own store with plain boto3.

A row counts once, by its RowId, however often it was delivered. Revenue is Σ Quantity × UnitPrice, exact.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.exceptions import ClientError

from .continuous.store import Results
from .fetch import fetch
from .lab import Lab, LabError
from .rows import Selection, read_rows, source_name

Row = dict[str, Any]


class Tally:
    """Counts rows by RowId; a RowId that comes with two different amounts is an error, not a duplicate."""

    def __init__(self) -> None:
        self.amounts: dict[str, Decimal] = {}
        self.delivered = 0

    def add(self, row: Row) -> None:
        amount = row["Quantity"] * Decimal(row["UnitPrice"])
        if self.amounts.setdefault(row["RowId"], amount) != amount:
            raise ValueError(f"{row['RowId']} comes with two amounts: {self.amounts[row['RowId']]} and {amount}")
        self.delivered += 1

    @property
    def rows(self) -> int:
        return len(self.amounts)

    @property
    def duplicates(self) -> int:
        return self.delivered - self.rows

    @property
    def revenue(self) -> Decimal:
        return sum(self.amounts.values(), Decimal(0))


def tally(rows: Iterator[Row]) -> Tally:
    """The tally of some rows."""
    result = Tally()
    for row in rows:
        result.add(row)
    return result


def sent_rows(csv: str | Path, rows: int = 0, refused: str | Path | None = None) -> Iterator[Row]:
    """The client's side: the rows that it selects from its file, less those that it set aside."""
    aside = set()
    if refused and Path(refused).exists():
        with Path(refused).open(encoding="utf-8") as lines:
            aside = {json.loads(line).get("RowId") for line in lines}
    for row in read_rows(csv, Selection(first=rows or None), on_refused=lambda _: None):
        if row["RowId"] not in aside:
            yield dict(row)


def stream_rows(stream: str) -> Iterator[Row]:
    """Every record of a Kinesis stream from TRIM_HORIZON on, shard by shard, up to where it stood when asked."""
    for rows in shard_rows(stream).values():
        yield from rows


def shard_rows(stream: str) -> dict[str, list[Row]]:
    """The same by the shard's id, each shard in its order."""
    kinesis = boto3.client("kinesis")
    shards = [
        s["ShardId"]
        for page in kinesis.get_paginator("list_shards").paginate(StreamName=stream)
        for s in page["Shards"]
    ]

    def read(shard: str) -> list[Row]:
        found: list[Row] = []
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        while iterator:
            try:
                page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ProvisionedThroughputExceededException":
                    raise
                time.sleep(0.2)  # a shard may be read five times and 2 MB a second
                continue
            found += [json.loads(record["Data"]) for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            if page["MillisBehindLatest"] == 0:
                break
        return found

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(shards, pool.map(read, shards), strict=True))


def topic_rows(connection: dict[str, Any], topic: str) -> Iterator[Row]:
    """Every record of a Kafka topic from its first offset on, up to where each partition stood when it was fetched.

    connection: `lab.kafka(bootstrap)`. Raises TimeoutError when a partition does not answer for ten seconds.
    """
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(**connection, max_partition_fetch_bytes=4 * 1024 * 1024, allow_auto_create_topics=False)
    try:
        waiting = {TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()}
        consumer.assign(waiting)
        consumer.seek_to_beginning()
        patience = time.monotonic() + 10
        while waiting:
            for records in consumer.poll(timeout_ms=200, max_records=10_000).values():
                patience = time.monotonic() + 10
                for record in records:
                    yield json.loads(record.value)
            ends = {partition: consumer.highwater(partition) for partition in waiting}
            waiting = {p for p, end in ends.items() if end is None or consumer.position(p) < end}
            if time.monotonic() > patience:
                raise TimeoutError(f"the topic {topic} did not answer for ten seconds")
    finally:
        consumer.close()


def object_rows(bucket: str, prefix: str) -> Iterator[Row]:
    """Every row of the JSON-lines objects below a prefix, gzipped or not."""
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            if entry["Key"].endswith(".gz"):
                body = gzip.decompress(body)
            for line in body.splitlines():
                yield json.loads(line)


def table_rows(table: str, source: str) -> Iterator[Row]:
    """Every invoice line of a DynamoDB table that comes from this source: its RowId begins so. Headers are left out."""
    pages = (
        boto3.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            ProjectionExpression="RowId, Quantity, UnitPrice",
            FilterExpression="begins_with(RowId, :source)",
            ExpressionAttributeValues={":source": {"S": f"{source}:"}},
            ConsistentRead=True,
        )
    )
    for page in pages:
        for item in page["Items"]:
            yield {
                "RowId": item["RowId"]["S"],
                "Quantity": Decimal(item["Quantity"]["N"]),
                "UnitPrice": item["UnitPrice"]["N"],
            }


@dataclass(frozen=True, slots=True)
class Total:
    """What a store that can count says itself: rows, each once, and their revenue."""

    rows: int
    revenue: Decimal


def warehouse_total(cluster: str, database: str, source: str) -> Total:
    """The lines in the warehouse's fact that come from this source; a row_id that is there twice is an error."""
    data, name = boto3.client("redshift-data"), f"{source}:"
    sql = "SELECT COUNT(*), COUNT(DISTINCT row_id), COALESCE(SUM(quantity * unit_price), 0) FROM public.fact_sales"
    asked = data.execute_statement(
        ClusterIdentifier=cluster,
        Database=database,
        DbUser="admin",
        Sql=f"{sql} WHERE SUBSTRING(row_id, 1, {len(name)}) = :name",
        Parameters=[{"name": "name", "value": name}],
    )
    while (done := data.describe_statement(Id=asked["Id"]))["Status"] not in ("FINISHED", "FAILED", "ABORTED"):
        time.sleep(0.02)
    if done["Status"] != "FINISHED":
        raise ValueError(f"the warehouse does not count its lines: {done.get('Error', done['Status'])}")
    (record,) = data.get_statement_result(Id=asked["Id"])["Records"]
    lines, rows, revenue = record[0]["longValue"], record[1]["longValue"], Decimal(record[2]["stringValue"])
    if lines != rows:
        raise ValueError(f"the warehouse's fact holds {lines} lines of {rows} rows: some are there twice")
    return Total(rows, revenue)


def extract_total(extract: str) -> Total | None:
    """What Hyper says of a Tableau extract; None where there is none, for want of a Hyper for the machine."""
    from .tableau import totals

    if not extract:
        return None
    found = totals(extract)
    return Total(found["rows"], found["revenue"])


def api_rows(lab: Lab, outputs: dict[str, str]) -> Iterator[Row]:
    """Every line of the client's invoices, fetched through the API: GET /invoices/{invoiceNo}, over 8 connections.

    The client's file says which invoices there must be. What was ordered through the API has a source of its own.
    """
    sent = lab.outputs("02")
    invoices = dict.fromkeys(row["InvoiceNo"] for row in sent_rows(sent["csv"], int(sent["rows"]), sent.get("refused")))
    key = boto3.client("apigateway").get_api_key(apiKey=sent["api_key_id"], includeValue=True)["value"]
    paths = (f"/invoices/{quote(invoice)}" for invoice in invoices)
    source = source_name(sent["csv"]) + ":"
    for answer in fetch(outputs["url"], paths, api_key=key, connections=8):
        if answer.status != 404:  # an invoice that is not there has no lines
            yield from (line for line in answer.json()["Items"] if line["RowId"].startswith(source))


def _plain(revenue: Decimal) -> str:
    """The number as text, the same whatever its store pads it with: 970.49, also of 970.490."""
    return format(revenue.normalize(), "f")


def of_source(rows: Iterator[Row], lab: Lab) -> Iterator[Row]:
    """Those of the client's own file: a batch also holds rows of tills and of whoever came late."""
    source = f"{source_name(lab.outputs('02')['csv'])}:"
    return (row for row in rows if row["RowId"].startswith(source))


def stages(lab: Lab, *only: str) -> dict[str, dict[str, Any]]:
    """Rows and revenue (an exact decimal string) of every stage, or of these, if it has run in this lab."""
    readers: dict[str, tuple[str, Callable[[dict[str, str]], Iterator[Row] | Total | None]]] = {
        "client": ("02", lambda o: sent_rows(o["csv"], int(o["rows"]), o.get("refused"))),
        "kinesis": ("02", lambda o: stream_rows(o["stream"])),
        "raw_storage": ("03", lambda o: object_rows(o["bucket"], o["prefix"])),
        "dynamodb": ("04", lambda o: table_rows(o["invoices_table"], source_name(lab.outputs("02")["csv"]))),
        "api": ("05", lambda o: api_rows(lab, o)),
        "firehose": ("06", lambda o: object_rows(o["bucket"], o["prefix"])),
        "redshift": (
            "06",
            lambda o: warehouse_total(o["cluster"], o["database"], source_name(lab.outputs("02")["csv"])),
        ),
        "tableau": ("07", lambda o: extract_total(o["extract"])),
        "continuous": ("10", lambda o: Total(*Results(boto3.client("dynamodb"), o["application"]).totals())),
        "kafka": ("09", lambda o: topic_rows(lab.kafka(o["bootstrap"]), o["topic"])),
        "kafka_raw_storage": ("09", lambda o: object_rows(o["bucket"], o["prefix"])),
        "kafka_dynamodb": ("09", lambda o: table_rows(o["invoices_table"], source_name(lab.outputs("02")["csv"]))),
    }
    readers["batch"] = ("08", lambda o: of_source(object_rows(o["bucket"], o["prefix"]), lab))
    result = {}
    for name, (stage, read) in readers.items():
        if only and name not in only:
            continue
        try:
            outputs = lab.outputs(stage)
        except LabError:
            continue
        if (found := read(outputs)) is None:
            continue
        counted = found if isinstance(found, Total) else tally(found)
        result[name] = {"rows": counted.rows, "revenue": _plain(counted.revenue)}
    return result
