import os
from concurrent.futures import ThreadPoolExecutor, as_completed

import boto3

s3 = boto3.client("s3")
BUCKET = os.environ["BUCKET"]


def upload(key):
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    return key


def lambda_handler(event, context):
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = [pool.submit(upload, f"{event['prefix']}{i}.txt") for i in range(event["count"])]
        done = sorted(f.result() for f in as_completed(futures))
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=event["prefix"])
    return {"uploaded": len(done), "listed": listed["KeyCount"]}
