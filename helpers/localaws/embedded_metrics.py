"""Metrics that a function prints: lines of its log in CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson


def find(messages: list[tuple[int, str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(namespace, metric data as PutMetricData takes it) of the log events (ms since epoch, message).

    An event that is not of the format gives nothing: CloudWatch stores it and extracts no metric.
    """
    for _, message in messages:
        if '"_aws"' in message:
            try:
                yield from list(_of(orjson.loads(message)))
            # OSError is fromtimestamp's for a time that is too large for the system.
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
                continue


def _of(document: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    at = datetime.fromtimestamp(document["_aws"]["Timestamp"] / 1000, UTC).replace(tzinfo=None)  # as moto keeps them
    for directive in document["_aws"]["CloudWatchMetrics"]:
        data = []
        for names in directive["Dimensions"]:
            dimensions = [{"Name": _text(name), "Value": str(document[name])} for name in names]
            for metric in directive["Metrics"]:
                given = document[metric["Name"]]
                values = [_number(value) for value in (given if isinstance(given, list) else [given])]
                unit = _text(metric.get("Unit", "None"))
                data.append(
                    {
                        "MetricName": _text(metric["Name"]),
                        "Dimensions": dimensions,
                        "Timestamp": at,
                        "Values": values,
                        "Unit": unit,
                    }
                )
        yield _text(directive["Namespace"]), data


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a name is a text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a metric's value is a number")
    return float(value)
