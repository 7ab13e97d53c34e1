import csv
import io
import urllib.parse

import boto3

print("Loading function")

s3 = boto3.client("s3")


def lambda_handler(event, context):
    bucket = event["Records"][0]["s3"]["bucket"]["name"]
    key = urllib.parse.unquote_plus(event["Records"][0]["s3"]["object"]["key"], encoding="utf-8")
    try:
        response = s3.get_object(Bucket=bucket, Key=key)
    except Exception as e:
        print(e)
        print(f"Error getting object {key} from bucket {bucket}. Make sure they exist.")
        raise e
    rows = list(csv.DictReader(io.TextIOWrapper(response["Body"], encoding="utf-8")))
    return {"type": response["ContentType"], "rows": len(rows), "first": rows[0]}
