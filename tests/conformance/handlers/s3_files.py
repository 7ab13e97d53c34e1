import csv
import gzip
import io
import json
import os

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
bucket = boto3.resource("s3").Bucket(os.environ["BUCKET"])


def exists(key):
    try:
        s3.head_object(Bucket=bucket.name, Key=key)
        return True
    except ClientError as e:
        if e.response["Error"]["Code"] == "404":
            return False
        raise


def write_csv(event, context):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["id", "price"])
    writer.writerows(event["rows"])
    key = event["prefix"] + "rows.csv"
    before = exists(key)
    bucket.put_object(
        Key=key, Body=buffer.getvalue(), ContentType="text/csv", Metadata={"rows": str(len(event["rows"]))}
    )
    s3.put_object(
        Bucket=bucket.name, Key=key + ".gz", Body=gzip.compress(buffer.getvalue().encode()), ContentEncoding="gzip"
    )
    s3.copy_object(Bucket=bucket.name, Key=event["prefix"] + "copy.csv", CopySource={"Bucket": bucket.name, "Key": key})
    with open(f"/tmp/{context.aws_request_id}", "w") as f:
        f.write("from a file")
    s3.upload_file(f.name, bucket.name, event["prefix"] + "uploaded.txt", ExtraArgs={"ContentType": "text/plain"})
    os.remove(f.name)
    return {"before": before, "after": exists(key), "metadata": s3.head_object(Bucket=bucket.name, Key=key)["Metadata"]}


def read_back(event, context):
    keys = [o.key[len(event["prefix"]) :] for o in bucket.objects.filter(Prefix=event["prefix"])]
    raw = s3.get_object(Bucket=bucket.name, Key=event["prefix"] + "rows.csv.gz")["Body"].read()
    return {"keys": keys, "lines": gzip.decompress(raw).decode().splitlines()}


def pages(event, context):
    for i in range(event["count"]):
        s3.put_object(Bucket=bucket.name, Key=f"{event['prefix']}{i % 3}/{i:03}.json", Body=json.dumps(i))
    paginator = s3.get_paginator("list_objects_v2")
    sizes = []
    folders = set()
    for page in paginator.paginate(Bucket=bucket.name, Prefix=event["prefix"], PaginationConfig={"PageSize": 4}):
        sizes.append(len(page.get("Contents", [])))
    for page in paginator.paginate(Bucket=bucket.name, Prefix=event["prefix"], Delimiter="/"):
        folders |= {p["Prefix"] for p in page.get("CommonPrefixes", [])}
    response = bucket.objects.filter(Prefix=event["prefix"]).delete()
    return {"sizes": sizes, "folders": sorted(folders), "deleted": len(response[0]["Deleted"])}


def missing(event, context):
    try:
        s3.get_object(Bucket=bucket.name, Key="never/was")
    except s3.exceptions.NoSuchKey as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]]


def first_writer_wins(event, context):
    """Conditional writes, as locks are made of them."""
    answers = []
    for body in ("first", "second"):
        try:
            s3.put_object(Bucket=bucket.name, Key=event["key"], Body=body, IfNoneMatch="*")
            answers.append("written")
        except ClientError as e:
            answers.append(e.response["Error"]["Code"])
    return [*answers, s3.get_object(Bucket=bucket.name, Key=event["key"])["Body"].read().decode()]
