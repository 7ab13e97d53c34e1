import base64
import gzip
import json
from io import BytesIO


def lambda_handler(event, context):
    compressed = base64.b64decode(event["awslogs"]["data"])
    with gzip.GzipFile(fileobj=BytesIO(compressed)) as f:
        data = json.loads(f.read())
    return [e["message"].upper() for e in data["logEvents"]]
