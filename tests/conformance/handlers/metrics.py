import json
import time
from datetime import datetime, timezone

import boto3

cloudwatch = boto3.client("cloudwatch")


def lambda_handler(event, context):
    cloudwatch.put_metric_data(
        Namespace="Shop/Orders",
        MetricData=[
            {
                "MetricName": "Orders",
                "Dimensions": [{"Name": "Country", "Value": event["country"]}],
                "Timestamp": datetime.now(timezone.utc),  # noqa: UP017
                "Value": event["orders"],
                "Unit": "Count",
            },
            {"MetricName": "Latency", "Values": [10.0, 20.0, 30.0], "Counts": [1.0, 2.0, 1.0], "Unit": "Milliseconds"},
        ],
    )


def embedded(event, context):
    """CloudWatch's embedded metric format: a log line that becomes a metric."""
    print(
        json.dumps(
            {
                "_aws": {
                    "Timestamp": int(time.time() * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": "Shop/Embedded",
                            "Dimensions": [["Country"]],
                            "Metrics": [{"Name": "Revenue", "Unit": "None"}],
                        }
                    ],
                },
                "Country": event["country"],
                "Revenue": event["revenue"],
                "requestId": context.aws_request_id,
            }
        )
    )
