"""Lambda `bulk-import`, on a schedule: the files that a shop's till drops into S3, into DynamoDB and the warehouse.

    till/incoming/<file>.csv     what the till drops: RowId, InvoiceNo, StockCode, Description, Quantity, InvoiceDate
                                 (2011-12-08T09:15:00), UnitPrice, CustomerID, Country
    till/rows/…/<file>.jsonl     its good rows as JSON lines, for COPY and for the batch job
    till/processed/<file>.csv    the file, when everything is done
    till/rejected/<file>.csv     the file, when it cannot be read; <file>.reason.json says why
    till/rejected/<file>.rows.jsonl    single rows that are no rows, each with its line number and the reason

It may be interrupted anywhere, and the file is then done again: lines are known by their RowId in every store, so a row
that came through the stream as well is there once. dynamodb_writer.py, batch_job.py and merge_sales.sql lie beside this
file; BUCKET, TABLE, INVOICES, CUSTOMERS, CLUSTER and COPY_ROLE in the environment are theirs.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from typing import Any

import batch_job
import boto3
import dynamodb_writer

COLUMNS = [
    "RowId", "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"
]  # fmt: skip
IN, ROWS, DONE, REJECTED = "till/incoming/", "till/rows/", "till/processed/", "till/rejected/"

s3 = boto3.client("s3")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The event says nothing: whatever lies in the folder is imported. A file that fails does not stop the others."""
    result: dict[str, Any] = {"files": 0, "rows": 0, "rejected_files": 0, "rejected_rows": 0}
    failed = {}
    for key in batch_job.keys(batch_job.BUCKET, IN):
        name = key.removeprefix(IN)
        try:
            good, bad = read(s3.get_object(Bucket=batch_job.BUCKET, Key=key)["Body"].read())
        except ValueError as error:
            batch_job.put(f"{REJECTED}{name}.reason.json", json.dumps({"reason": str(error)}).encode())
            move(key, REJECTED + name)
            result["rejected_files"] += 1
            continue
        try:
            import_rows(name, good, context)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            continue
        if bad:
            batch_job.put(f"{REJECTED}{name}.rows.jsonl", batch_job.jsonl(bad))
        move(key, DONE + name)
        result["files"] += 1
        result["rows"] += len(good)
        result["rejected_rows"] += len(bad)
    print(json.dumps(result))
    if failed:
        raise RuntimeError(f"{len(failed)} files failed: " + "; ".join(f"{n}: {e}" for n, e in failed.items()))
    return result


def read(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(good rows, rows set aside with line and reason) of a till's file. Raises ValueError when it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: {error}") from None
    reader = csv.DictReader(io.StringIO(text), restkey="beyond", strict=True)
    if list(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"the header is {','.join(reader.fieldnames or ())[:200]}, not {','.join(COLUMNS)}")
    good, bad = [], []
    try:
        for fields in reader:
            try:
                good.append(row_of(fields))
            except ValueError as error:
                bad.append({"line": reader.line_num, "reason": str(error), "row": fields})
    except csv.Error as error:
        raise ValueError(f"no CSV after line {reader.line_num}: {error}") from None
    return good, bad


def row_of(fields: dict[str, Any]) -> dict[str, Any]:
    """The row as the client sends it. Raises ValueError, with the reason."""
    if "beyond" in fields or None in fields.values():
        raise ValueError("has another number of columns than the header")
    try:
        row = {**fields, "Quantity": int(fields["Quantity"])}
    except ValueError:
        raise ValueError("Quantity is no whole number") from None
    row |= {name: row[name] or None for name in ("Description", "CustomerID")}
    batch_job.clean(json.dumps(row).encode())  # raises for what the batch job would set aside
    return row


def import_rows(name: str, rows: list[dict[str, Any]], context: Any) -> None:
    """Into DynamoDB, into the warehouse, and as raw rows for the batch job, in this order; each may be done again."""
    lines = {}
    for row in rows:
        record = {"kinesis": {"data": base64.b64encode(json.dumps(row).encode())}}
        lines[row["RowId"]] = dynamodb_writer.line_of(record)
    there: set[str] = set()
    for pack in dynamodb_writer.packs(lines.values()):
        dynamodb_writer.write(pack, there, context)
    key = f"{ROWS}{name.removesuffix('.csv')}.jsonl"
    batch_job.put(key, batch_job.jsonl(rows))
    if os.environ.get("CLUSTER") and rows:
        batch_job.load([key])


def move(key: str, to: str) -> None:
    """S3 has no move: a copy, and then the original goes."""
    s3.copy_object(Bucket=batch_job.BUCKET, Key=to, CopySource={"Bucket": batch_job.BUCKET, "Key": key})
    s3.delete_object(Bucket=batch_job.BUCKET, Key=key)
