"""What AWS's CloudWatch, CloudWatch Logs and Parameter Store refuse and moto takes; each rule names its page."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

from ..protocols import Call
from ..types import AwsError, Request
from . import alarms

_TWO_WEEKS = 14 * 24 * 3600


def _metrics(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html"""
    if str(parameters.get("Namespace", "")).startswith("AWS/"):
        raise AwsError("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.")
    for number, metric in enumerate(parameters.get("MetricData") or (), 1):
        where = f"MetricData.member.{number}"
        if not metric.keys() & {"Value", "Values", "StatisticValues"}:
            text = f"At least one of the parameters {where}.Value, {where}.Values and {where}.StatisticValues must be "
            raise AwsError("InvalidParameterCombination", text + "specified.")
        for value in (metric.get("Value", 0), *metric.get("Values", ())):
            if abs(float(value)) > 2.0**360:  # infinite ones, too
                raise AwsError("InvalidParameterValue", f"The value {value} for parameter {where}.Value is invalid.")
        at = None if metric.get("Timestamp") is None else _seconds(metric["Timestamp"])
        if at is not None and not time.time() - _TWO_WEEKS <= at <= time.time() + 7200:
            text = "must specify a time within the past two weeks and no more than two hours in the future"
            raise AwsError("InvalidParameterValue", f"The parameter MetricData.member.{number}.Timestamp {text}.")


def _statistics(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html; moto would answer with
    nothing for an expression that it cannot work out."""
    asked = parameters.get("MetricDataQueries") or ()
    statistics = [query["MetricStat"]["Stat"] for query in asked if "MetricStat" in query]
    if parameters.get("ExtendedStatistics") or any("Expression" in query for query in asked):
        raise AwsError("ValidationError", "The local AWS has no metric math and no percentiles.")
    if unknown := [statistic for statistic in statistics if statistic not in alarms.STATISTICS]:
        raise AwsError("ValidationError", f"The local AWS has no metric math and no percentiles: {unknown[0]}.")
    names = [query["Id"] for query in asked]
    for number, name in enumerate(names, 1):
        if not re.fullmatch("[a-z][a-zA-Z0-9_]*", name):
            text = f"The value {name} for parameter MetricDataQueries.member.{number}.Id is not matching the expected"
            raise AwsError("ValidationError", f"{text} pattern ^[a-z][a-zA-Z0-9_]*$.")
    if len(set(names)) < len(names):
        raise AwsError("ValidationError", "The values for parameter Id in MetricDataQueries are not unique.")
    for period in (parameters.get("Period", 60), *(q["MetricStat"]["Period"] for q in asked if "MetricStat" in q)):
        if period not in (1, 5, 10, 20, 30) and period % 60:
            text = "must be 1, 5, 10, 20, 30 or a multiple of 60"
            raise AwsError("InvalidParameterValue", f"The parameter Period {text}.")
    if call.operation == "GetMetricStatistics":
        points = (_seconds(parameters["EndTime"]) - _seconds(parameters["StartTime"])) / parameters["Period"]
        if points > 1440:
            text = (
                f"You have requested up to {int(points):,} datapoints, which exceeds the limit of 1,440. You may reduce"
            )
            text += " the datapoints requested by increasing Period, or decreasing the time range."
            raise AwsError("InvalidParameterCombination", text)


def _seconds(moment: float | str) -> float:
    return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else float(moment)


def _alarm(parameters: dict[str, Any], call: Call, request: Request) -> None:
    alarms.check(parameters)


def _pattern(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"""
    if parameters.get("startFromHead") is False:
        raise AwsError("InvalidParameterException", "The local AWS filters log events from the head only.")
    pattern = parameters.get("filterPattern", "").strip()
    if pattern and not re.fullmatch(r'"[^"]*"|[A-Za-z]\w*(\s+\w+)*', pattern):
        text = "The local AWS filters log events by words, or by one text in double quotes"
        raise AwsError("InvalidParameterException", f"{text}, not by {pattern!r}.")


def _events(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    events = parameters["logEvents"]
    empty = next((f"logEvents.{n}.member.message" for n, e in enumerate(events, 1) if e["message"] == ""), "")
    if not events or empty:
        at, shown = (empty, "") if events else ("logEvents", "[]")
        text = f"1 validation error detected: Value '{shown}' at '{at}' failed to satisfy constraint: Member must have"
        raise AwsError("InvalidParameterException", f"{text} length greater than or equal to 1")


def _parameter(parameters: dict[str, Any], call: Call, request: Request) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"""
    large = len(str(parameters.get("Value", "")).encode()) > 4096
    if large and parameters.get("Tier", "Standard") == "Standard":
        raise AwsError(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier.",
        )


RULES = {
    ("ssm", "PutParameter"): _parameter,
    ("monitoring", "PutMetricData"): _metrics,
    ("monitoring", "PutMetricAlarm"): _alarm,
    ("monitoring", "GetMetricData"): _statistics,
    ("monitoring", "GetMetricStatistics"): _statistics,
    ("logs", "FilterLogEvents"): _pattern,
    ("logs", "PutLogEvents"): _events,
}
