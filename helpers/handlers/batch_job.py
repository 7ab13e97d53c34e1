"""Lambda `batch-job`, on a schedule: regroups raw files by day of business, rebuilds the days that changed, publishes.

    regroup   each raw file (by arrival) -> days/date=2011-12-08/<file>.jsonl, a part for each of its days, then stale
    rebuild   a stale day's parts -> clean/date=…/rows.jsonl, aside/date=…/rows.jsonl, partial/date=….json
    finish    all partials -> daily/daily.jsonl; the rebuilt days into the warehouse and, by UNLOAD, into parquet/

A day is always made anew, whole, from all its parts: running it twice, or a week later when more has come, gives what
running it once would have given. What cannot be cleaned is set aside with the reason, counted, and kept.

The event is one of
    a Scheduled Event of EventBridge, or {}         what is new: regroup, rebuild what is stale, finish
    {"date": "2011-12-08"}                          this day again
    {"date_from": …, "date_to": …}                  these days again, both included: a backfill (either may be left out)
    {"step": "regroup" | "rebuild" | "finish" | "fan_out", …}    one step of it; fan_out sends each day to QUEUE
    Records of SQS, each {"date": …}                the days of these messages; those that fail come again

State is in the table TABLE, an item a day: Status (STALE, BUILT, FAILED), Version (grows with each new part), Loaded
(the version in the warehouse), Rows, Revenue, Duplicates, Aside, Warnings, Error; and the item "#watermark".

BUCKET is the batch's bucket, RAW names where raw files lie ("bucket/prefix", several with commas), QUEUE the fan-out's
queue. With CLUSTER, DATABASE, DB_USER and COPY_ROLE the warehouse is loaded; merge_sales.sql lies beside this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

BUCKET, TABLE = os.environ.get("BUCKET", ""), os.environ.get("TABLE", "BatchDays")
RAW = [place.partition("/")[::2] for place in os.environ.get("RAW", "").split(",") if place]
MADE = ("clean/", "aside/", "partial/")  # what a rebuilt day consists of
UNKNOWN = "unknown"  # the day of lines whose day cannot be read
WATERMARK = "#watermark"
LOOK_BACK = timedelta(hours=25)  # a stream keeps records for 24 hours, so no file comes later than that
RESERVE = 15_000  # milliseconds kept back, to end in good order
NAMES = ("RowId", "InvoiceNo", "StockCode", "Country")

s3 = boto3.client("s3")
days_table = boto3.resource("dynamodb").Table(TABLE)

Row = dict[str, Any]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if "Records" in event:
        return from_queue(event["Records"])
    step = event.get("step", "all")
    chosen = {name: event[name] for name in ("date", "date_from", "date_to") if event.get(name)}
    result: dict[str, Any] = {}
    if step in ("all", "regroup") and not chosen:
        result |= regroup(context)
    days = known_days(**chosen) if chosen else stale_days()
    if step == "fan_out":
        return result | {"sent": fan_out(days)}
    if step in ("all", "rebuild"):
        result |= rebuild_all(days, context)
    if step in ("all", "finish"):
        result |= finish()
    print(json.dumps({"step": step, **chosen, **result}))
    if failed := result.get("failed"):
        # The others are done. The error makes the metric, and the metric the alarm.
        raise RuntimeError(
            f"{len(failed)} of {len(days)} days failed: " + "; ".join(f"{d}: {e}" for d, e in failed.items())
        )
    return result


def from_queue(records: list[dict[str, Any]]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    failed = []
    for record in records:
        try:
            day = json.loads(record["body"])["date"]
            rebuild(day, etags(*(f"{prefix}date={day}" for prefix in MADE)))
        except Exception as error:
            print(json.dumps({"failed": record["body"], "reason": f"{type(error).__name__}: {error}"}))
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


# Regroup: from arrival to day of business


def regroup(context: Any) -> dict[str, Any]:
    """Every raw file that is new; it may be interrupted anywhere, and goes on the next time."""
    watermark = days_table.get_item(Key={"Day": WATERMARK}).get("Item", {}).get("Hours", {})
    files = 0
    touched: set[str] = set()
    for bucket, prefix in RAW:
        place, newest = f"{bucket}/{prefix}", ""
        after = watermark.get(place, "")
        done = {key.removeprefix(f"grouped/{place}") for key in keys(BUCKET, f"grouped/{place}", after)}
        for key in keys(bucket, prefix, after):
            if time_is_up(context):
                return {"files": files, "touched": len(touched), "more": True}
            name = key.removeprefix(prefix)
            if name not in done:
                touched |= regroup_file(bucket, key)
                put(f"grouped/{place}{name}", b"")
                files += 1
            newest = max(newest, name)
        watermark[place] = max(after, look_back(newest))
    days_table.put_item(Item={"Day": WATERMARK, "Hours": watermark})
    return {"files": files, "touched": len(touched)}


def look_back(name: str) -> str:
    """The hour before which nothing new can come: 2026/11/25/19/… -> 2026/11/24/18."""
    if not (hour := re.match(r"\d{4}/\d\d/\d\d/\d\d(?=/)", name)):
        return ""
    return (datetime.strptime(hour[0], "%Y/%m/%d/%H") - LOOK_BACK).strftime("%Y/%m/%d/%H")


def regroup_file(bucket: str, key: str) -> set[str]:
    """A part for each day in the file. Its name is made of the file's, so a second time writes the same."""
    parts: dict[str, list[bytes]] = {}
    for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().split(b"\n"):
        if line:
            parts.setdefault(day_of(line), []).append(line)
    name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:16]
    for day, lines in parts.items():
        put(f"days/date={day}/{name}.jsonl", b"\n".join([*lines, b""]))
        days_table.update_item(
            Key={"Day": day},
            UpdateExpression="ADD Version :one SET #s = :stale",
            ExpressionAttributeNames={"#s": "Status"},
            ExpressionAttributeValues={":one": 1, ":stale": "STALE"},
        )
    return set(parts)


def day_of(line: bytes) -> str:
    try:
        return moment(json.loads(line)["InvoiceDate"]).date().isoformat()
    except (ValueError, KeyError, TypeError):
        return UNKNOWN


def moment(text: str) -> datetime:
    """2011-12-08T09:15:00, and nothing else. Raises ValueError."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


# Rebuild: a day, whole


def rebuild_all(days: list[str], context: Any) -> dict[str, Any]:
    """One day after the other. One that fails does not stop the others; what there is no time for stays stale."""
    rows = changed = 0
    failed: dict[str, str] = {}
    there = etags(*MADE) if days else {}
    for number, day in enumerate(days):
        if time_is_up(context):
            return {"rebuilt": number - len(failed), "rows": rows, "failed": failed, "left": days[number:]}
        try:
            built = rebuild(day, there)
            rows, changed = rows + built["rows"], changed + built["changed"]
        except Exception as error:
            failed[day] = f"{type(error).__name__}: {error}"
    return {"rebuilt": len(days) - len(failed), "rows": rows, "changed": changed, "failed": failed}


def rebuild(day: str, there: dict[str, str]) -> dict[str, Any]:
    """Makes a day anew from all its parts, and notes what became of it. `there`: ETags of what was made before."""
    version = days_table.get_item(Key={"Day": day}, ConsistentRead=True).get("Item", {}).get("Version", 0)
    try:
        lines = [
            line
            for key in keys(BUCKET, f"days/date={day}/")
            for line in s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().split(b"\n")
            if line
        ]
        made = transform(lines)
        changed = store(f"clean/date={day}/rows.jsonl", jsonl(made["rows"]), there)
        changed |= store(f"aside/date={day}/rows.jsonl", jsonl(made["aside"]), there)
        figures = json.dumps(partial(day, made["rows"]), sort_keys=True).encode()
        changed |= store(f"partial/date={day}.json", figures, there)
    except Exception as error:
        note(day, version, Status="FAILED", Error=f"{type(error).__name__}: {error}"[:500])
        raise
    revenue = sum((Decimal(row["Revenue"]) for row in made["rows"]), Decimal(0))
    note(
        day, version, Status="BUILT", Error="", Rows=len(made["rows"]), Revenue=revenue, Duplicates=made["duplicates"],
        Aside=dict(Counter(item["reason"] for item in made["aside"])), Warnings=made["warnings"],
    )  # fmt: skip
    return {"rows": len(made["rows"]), "changed": int(changed)}


def note(day: str, version: int, **state: Any) -> None:
    """Writes a day's state, unless more has come meanwhile: then it stays stale."""
    names = {f"#{name}": name for name in (*state, "Version")}
    try:
        days_table.update_item(
            Key={"Day": day},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in state),
            ConditionExpression="#Version = :version",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{name}": value for name, value in state.items()} | {":version": version},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def transform(lines: Iterable[bytes]) -> dict[str, Any]:
    """The whole transformation of a day's raw lines, in whatever order: rows, what is set aside, what was counted.

    Of several lines with one RowId the one that comes first in the alphabet is kept; the same again is a duplicate,
    another content is set aside.
    """
    rows: dict[str, Row] = {}
    aside, warnings, duplicates = [], Counter[str](), 0
    for line in sorted(lines):
        try:
            row = clean(line)
        except ValueError as error:
            aside.append({"reason": str(error), "line": line.decode("utf-8", "replace")})
            continue
        if rows.setdefault(row["RowId"], row) is row:
            continue
        if rows[row["RowId"]] == row:
            duplicates += 1
        else:
            aside.append({"reason": "RowId is there with other content", "line": line.decode("utf-8", "replace")})
    for row in rows.values():
        warnings.update(notable(row))
    ordered = [rows[name] for name in sorted(rows)]
    return {"rows": ordered, "aside": aside, "duplicates": duplicates, "warnings": dict(warnings)}


def clean(line: bytes) -> Row:
    """A raw line as a clean, typed row. Raises ValueError; its text is the reason for which it is set aside."""
    try:
        raw = json.loads(line, parse_float=str)
        texts = {name: raw.get(name) for name in (*NAMES, "InvoiceDate", "Description", "CustomerID")}
    except (ValueError, AttributeError):
        raise ValueError("no JSON object") from None
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{name} is no text")
        texts[name] = (text or "").strip(" ") or None
    for name in NAMES:
        if not texts[name]:
            raise ValueError(f"{name} is missing")
    try:
        at = moment(texts["InvoiceDate"] or "")
    except ValueError:
        raise ValueError("InvoiceDate is no date") from None
    quantity = raw.get("Quantity")
    if type(quantity) is not int or not -(2**31) <= quantity < 2**31:
        raise ValueError("Quantity is no whole number")
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,3}0*)?", str(raw.get("UnitPrice"))):
        raise ValueError("UnitPrice is no price of up to three decimals")
    price = Decimal(raw["UnitPrice"]) + 0  # without the minus of -0.00, and so below: -6 times 0 is 0
    return {
        "RowId": texts["RowId"], "InvoiceNo": texts["InvoiceNo"], "StockCode": texts["StockCode"],
        "Description": texts["Description"], "Quantity": quantity,
        "InvoiceDate": at.isoformat(), "UnitPrice": f"{price:.3f}",
        "CustomerID": texts["CustomerID"], "Country": texts["Country"],
        "Revenue": f"{price * quantity + 0:.3f}", "IsReturn": quantity < 0,
    }  # fmt: skip


def notable(row: Row) -> Iterator[str]:
    """What is odd about a row, and yet belongs to the day."""
    if row["Description"] is None:
        yield "no description"
    if Decimal(row["UnitPrice"]) < 0:
        yield "negative price"
    if Decimal(row["UnitPrice"]) == 0:
        yield "price 0"
    if row["IsReturn"] and not row["InvoiceNo"].startswith("C"):
        yield "negative quantity, and no cancellation"


def partial(day: str, rows: list[Row]) -> dict[str, Any]:
    """What the day adds to the daily figures: sums by country, and who bought."""
    countries: dict[str, dict[str, Any]] = {}
    customers: dict[str, str] = {}
    for row in rows:
        sums = countries.setdefault(
            row["Country"], {"lines": 0, "quantity": 0, "revenue": Decimal(0), "orders": set(), "returns": set()}
        )
        sums["lines"] += 1
        sums["quantity"] += row["Quantity"]
        sums["revenue"] += Decimal(row["Revenue"])
        sums["returns" if row["InvoiceNo"].startswith("C") else "orders"].add(row["InvoiceNo"])
        if row["CustomerID"]:
            customers.setdefault(row["CustomerID"], row["Country"])
    for sums in countries.values():
        sums |= {"revenue": f"{sums['revenue']:.3f}", "orders": len(sums["orders"]), "returns": len(sums["returns"])}
    return {"date": day, "countries": countries, "customers": customers}


# Finish: over all days


def finish() -> dict[str, Any]:
    """The daily figures of all days, and the rebuilt days into the warehouse."""
    partials = [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys(BUCKET, "partial/")]
    lines = daily([part for part in partials if part["date"] != UNKNOWN])
    store("daily/daily.jsonl", jsonl(lines), etags("daily/"))
    result = {"daily": len(lines)}
    if os.environ.get("CLUSTER"):
        result["loaded"] = load_days()
    return result


def daily(partials: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a day and country. A customer is new on the first of all days, which late data may change: so all are
    looked at each time."""
    seen: set[str] = set()
    lines = []
    for part in sorted(partials, key=lambda p: p["date"]):
        new = Counter(country for customer, country in part["customers"].items() if customer not in seen)
        seen |= part["customers"].keys()
        for country, sums in sorted(part["countries"].items()):
            lines.append({"date": part["date"], "country": country, **sums, "new_customers": new[country]})
    return lines


def load_days() -> int:
    """Replaces, in the warehouse, the days that were rebuilt since: deleted and inserted in one transaction."""
    days = [item for item in state() if item.get("Status") == "BUILT" and item.get("Loaded") != item["Version"]]
    days = [item for item in days if item["Day"] != UNKNOWN]
    if not days:
        return 0
    numbers = ", ".join(item["Day"].replace("-", "") for item in days)
    load(
        [f"clean/date={item['Day']}/rows.jsonl" for item in days],
        before=[f"DELETE FROM fact_sales WHERE date_key IN ({numbers})"],
        after=[
            f"UNLOAD ('SELECT * FROM fact_sales WHERE date_key IN ({numbers})') TO 's3://{BUCKET}/parquet/' "
            f"IAM_ROLE '{os.environ['COPY_ROLE']}' FORMAT PARQUET PARTITION BY (date_key) CLEANPATH"
        ],
    )
    for item in days:
        note(item["Day"], item["Version"], Loaded=item["Version"])
    return len(days)


def load(files: list[str], before: Iterable[str] = (), after: Iterable[str] = ()) -> None:
    """Files of JSON rows into the star by COPY and MERGE: all of it happens, or nothing. Raises RuntimeError.

    The staging table is this session's own, so that loads do not get into each other's way.
    """
    entries = [{"url": f"s3://{BUCKET}/{key}", "mandatory": True} for key in files]
    manifest = json.dumps({"entries": entries}).encode()
    name = f"manifests/{hashlib.sha256(manifest).hexdigest()[:16]}.json"
    put(name, manifest)
    merge = Path(__file__).with_name("merge_sales.sql").read_text().replace("staging_sales", "staging_batch")
    statements = [
        "CREATE TEMP TABLE staging_batch (LIKE public.staging_sales)",
        f"COPY staging_batch FROM 's3://{BUCKET}/{name}' IAM_ROLE '{os.environ['COPY_ROLE']}' MANIFEST "
        f"JSON 's3://{BUCKET}/config/sales.jsonpaths.json'",
        *before,
        *(text.strip() for text in re.split(r";\s*$", merge, flags=re.MULTILINE) if text.strip()),
        "DROP TABLE staging_batch",
    ]
    execute(statements)
    for statement in after:  # UNLOAD is no part of a transaction
        execute([statement])


def execute(statements: list[str]) -> None:
    """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_BatchExecuteStatement.html"""
    data = boto3.client("redshift-data")
    where = {"ClusterIdentifier": os.environ["CLUSTER"], "Database": os.environ.get("DATABASE", "retail")}
    where["DbUser"] = os.environ.get("DB_USER", "admin")
    asked = (
        data.batch_execute_statement(Sqls=statements, **where)
        if len(statements) > 1
        else data.execute_statement(Sql=statements[0], **where)
    )
    pause = 0.02
    while (done := data.describe_statement(Id=asked["Id"]))["Status"] not in ("FINISHED", "FAILED", "ABORTED"):
        time.sleep(pause)
        pause = min(pause * 1.5, 1)
    if done["Status"] != "FINISHED":
        raise RuntimeError(f"the warehouse refused: {done.get('Error', done['Status'])}")


# State


def state() -> list[dict[str, Any]]:
    """The items of all days, in order."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        page = days_table.scan(ConsistentRead=True, **more)
        found += [item for item in page["Items"] if not item["Day"].startswith("#")]
        if "LastEvaluatedKey" not in page:
            return sorted(found, key=lambda item: item["Day"])
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def stale_days() -> list[str]:
    return [item["Day"] for item in state() if item.get("Status") != "BUILT"]


def known_days(date: str = "", date_from: str = "", date_to: str = "") -> list[str]:
    """The days of which there is something. Raises ValueError for what is no date."""
    for text in (date, date_from, date_to):
        if text and not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError(f"{text!r} is no date such as 2011-12-08")
    first, last = date or date_from or "0", date or date_to or "9"
    return [item["Day"] for item in state() if first <= item["Day"] <= last and item["Day"] != UNKNOWN]


def fan_out(days: list[str]) -> int:
    """A message a day into QUEUE, ten a call."""
    sqs = boto3.client("sqs")
    for start in range(0, len(days), 10):
        entries = [{"Id": day, "MessageBody": json.dumps({"date": day})} for day in days[start : start + 10]]
        answer = sqs.send_message_batch(QueueUrl=os.environ["QUEUE"], Entries=entries)
        if refused := answer.get("Failed"):
            raise RuntimeError(f"{len(refused)} days were not sent: {refused[0]['Message']}")
    return len(days)


def keys(bucket: str, prefix: str, after: str = "") -> list[str]:
    return [entry["Key"] for entry in listing(bucket, prefix, after)]


def listing(bucket: str, prefix: str, after: str = "") -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=prefix + after):
        yield from page.get("Contents", [])


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in rows)


def put(key: str, body: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="application/x-ndjson")


def store(key: str, body: bytes, there: dict[str, str]) -> bool:
    """Writes an object unless `there`, which holds ETags by key, has it with this content; whether it wrote.

    Of what was written in one piece the ETag is the MD5 (with SSE-KMS it is not: then it is written again, no more):
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if there.get(key) == hashlib.md5(body, usedforsecurity=False).hexdigest():
        return False
    put(key, body)
    return True


def etags(*prefixes: str) -> dict[str, str]:
    """Of a thousand objects in one call; asking for each by itself would take a thousand."""
    return {entry["Key"]: entry["ETag"].strip('"') for prefix in prefixes for entry in listing(BUCKET, prefix)}


def time_is_up(context: Any) -> bool:
    return bool(context and context.get_remaining_time_in_millis() < RESERVE)
