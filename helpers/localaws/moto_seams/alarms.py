"""moto's CloudWatch alarms, evaluated against its metrics, which moto itself never does.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
Otherwise than on AWS an alarm is looked at every second, and the period that is not over yet counts as well, so that a
state comes within a second or two instead of a minute or two.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import botocore.loaders

from ..types import ACCOUNT_ID, AwsError
from . import stores

_COMPARED: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda value, limit: value >= limit),
    "GreaterThanThreshold": ("greater than", lambda value, limit: value > limit),
    "LessThanThreshold": ("less than", lambda value, limit: value < limit),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda value, limit: value <= limit),
}
STATISTICS = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"}


def install() -> None:
    """An alarm begins with INSUFFICIENT_DATA, and one that is changed keeps its state; a metric is its dimensions, too.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension
    """
    from moto.cloudwatch.models import CloudWatchBackend, Statistics

    put = CloudWatchBackend.put_metric_alarm

    def put_metric_alarm(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        before = self.alarms.get(name)
        alarm = put(self, name, *args, **kwargs)
        alarm.state_value = "INSUFFICIENT_DATA"
        if before:
            for member in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
                setattr(alarm, member, getattr(before, member))
        return alarm

    def get_metric_statistics(
        self: Any, namespace: str, metric_name: str, start_time: datetime, end_time: datetime, period: int,
        stats: list[str], dimensions: Any, unit: str | None = None,
    ) -> list[Any]:  # fmt: skip
        """Periods begin with the start, rounded down; in moto with whatever was measured first.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html (StartTime)
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/GetSingleMetricAllDimensions.html (an answer)
        """
        if start_time >= end_time:
            return list(statistics(self, namespace, metric_name, start_time, end_time, period, stats, dimensions, unit))
        step = min(period, 60)
        begin = int(start_time.replace(tzinfo=UTC).timestamp()) // step * step
        found: dict[tuple[int, str], Any] = {}  # each unit by itself
        for datum in _data(self.get_all_metrics(), namespace, metric_name, dimensions):
            at, of = datum.timestamp.replace(tzinfo=UTC).timestamp() // step * step, datum.unit or "None"
            if begin <= at < end_time.replace(tzinfo=UTC).timestamp() and unit in (None, of):
                number = int(at - begin) // period
                moment = datetime.fromtimestamp(begin + number * period, UTC).replace(tzinfo=None)
                point = found.setdefault((number, of), Statistics(stats, moment, of))
                point.metric_data.append(datum)
        return [found[place] for place in sorted(found)]

    def get_metric_data(
        self: Any, queries: list[dict[str, Any]], start_time: datetime, end_time: datetime, scan_by: str = ""
    ) -> Any:
        """The same periods as above. Of several units the first is told, with a message; a label says what differs.

        localstack/localstack tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json, recorded on AWS
        """
        data(self, [], start_time, end_time)  # which says what is wrong with the times
        asked = [query["MetricStat"] for query in queries]
        stats, periods = ({a[name] for a in asked} for name in ("Stat", "Period"))
        found = []
        for query, stat in zip(queries, asked, strict=True):
            metric, period = stat["Metric"], int(stat["Period"])
            points = self.get_metric_statistics(
                metric["Namespace"], metric["MetricName"], start_time, end_time, period, [stat["Stat"]],
                metric.get("Dimensions"), stat.get("Unit"),
            )  # fmt: skip
            units, messages = sorted({point.unit for point in points}), []
            if len(units) > 1:
                points = [point for point in points if point.unit == units[0]]
                text = f"Multiple units returned: '[{', '.join(units)}]'"
                messages.append({"code": "MultipleUnits", "value": text})
            if scan_by != "TimestampAscending":
                points.reverse()
            label = [metric["MetricName"], *[stat["Stat"]][: len(stats) - 1], *[str(period)][: len(periods) - 1]]
            if query.get("ReturnData", True):
                found.append({
                    "id": query["Id"], "label": query.get("Label") or " ".join(label), "status_code": "Complete",
                    "timestamps": [point.timestamp for point in points], "messages": messages,
                    "values": [point.get_statistics_for_type(stat["Stat"]) for point in points],
                })  # fmt: skip
        return found

    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """Does what the alarm does in that state: API_SetAlarmState"""
        before = self.alarms[alarm_name].state_value if alarm_name in self.alarms else ""
        state(self, alarm_name, reason, reason_data, state_value)
        if before != state_value:
            _tell(self.alarms[alarm_name], before, self.region_name)

    def get_filtered_metrics(self: Any, metric_name: str, namespace: str, dimensions: Any) -> list[Any]:
        """Each metric once, however often it was measured."""
        asked = {"namespace": namespace, "name": metric_name, "dimensions": dimensions, "already_present_metrics": []}
        found: dict[Any, Any] = {}
        for datum in self.get_all_metrics():
            if datum.filter(**asked):
                has = frozenset((d.name, d.value) for d in datum.dimensions)
                found.setdefault((datum.namespace, datum.name, has), datum)
        return list(found.values())

    statistics, data = CloudWatchBackend.get_metric_statistics, CloudWatchBackend.get_metric_data
    state = CloudWatchBackend.set_alarm_state
    replaced: tuple[Callable[..., Any], ...] = (
        put_metric_alarm, get_metric_statistics, get_metric_data, get_filtered_metrics, set_alarm_state,
    )  # fmt: skip
    for function in replaced:
        setattr(CloudWatchBackend, function.__name__, function)


def _data(data: list[Any], namespace: str, name: str, dimensions: list[dict[str, str]] | None) -> Iterator[Any]:
    """What was measured of a metric. Only Lambda counts for all its functions together, as without dimensions.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    wanted = {d["Name"]: d["Value"] for d in dimensions or ()}
    for datum in data:
        if datum.namespace == namespace and datum.name == name:
            has = {d.name: d.value for d in datum.dimensions}
            if has == wanted or (not wanted and namespace == "AWS/Lambda" and has.keys() == {"FunctionName"}):
                yield datum


def check(parameters: dict[str, Any]) -> None:
    """Raises AwsError ValidationError for an alarm that could not be evaluated."""
    plain = parameters.get("MetricName") and not parameters.get("Metrics") and not parameters.get("ThresholdMetricId")
    if (
        not plain
        or parameters.get("Threshold") is None
        or parameters.get("Statistic") not in STATISTICS
        or parameters.get("ComparisonOperator") not in _COMPARED
    ):
        text = "The local AWS has alarms on one metric with a Statistic and a fixed Threshold"
        raise AwsError("ValidationError", f"{text}; no metric math, percentiles or anomaly detection.")
    period, periods = int(parameters.get("Period", 0)), int(parameters.get("EvaluationPeriods", 1))
    if int(parameters.get("DatapointsToAlarm", periods)) > periods:
        raise AwsError("ValidationError", "DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if parameters.get("TreatMissingData", "missing") not in ("missing", "ignore", "breaching", "notBreaching"):
        raise AwsError("ValidationError", "TreatMissingData must be breaching, notBreaching, ignore or missing")
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        raise AwsError("ValidationError", "Period must be 10, 20, 30 or a multiple of 60")
    for kind in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for action in parameters.get(kind) or ():
            if not str(action).startswith("arn:aws:sns:"):
                raise AwsError("ValidationError", f"Invalid arn syntax: {action} (the local AWS tells SNS topics only)")


def evaluate(now: float | None = None) -> None:
    """Gives every alarm the state that its metric has now (epoch seconds), and tells the topics of a new one."""
    from moto.cloudwatch.models import cloudwatch_backends

    for region, backend in cloudwatch_backends[ACCOUNT_ID].items():
        for alarm in list(backend.alarms.values()):
            if not alarm.rule and alarm.statistic:
                state, reason = _state(alarm, backend.metric_data, time.time() if now is None else now)
                if state != alarm.state_value:
                    before = alarm.state_value
                    alarm.update_state(reason, "{}", state)
                    _tell(alarm, before, region)


def _state(alarm: Any, data: list[Any], now: float) -> tuple[str, str]:
    period, periods = int(alarm.period), int(alarm.evaluation_periods)
    wanted = int(alarm.datapoints_to_alarm or periods)
    dimensions = {d.name: d.value for d in alarm.dimensions}
    newest = int(now // period)
    buckets: dict[int, list[Any]] = {}
    for datum in reversed(data):  # the newest come last
        if datum.name != alarm.metric_name or datum.namespace != alarm.namespace:
            continue
        if {d.name: d.value for d in datum.dimensions} != dimensions or (alarm.unit and datum.unit != alarm.unit):
            continue
        number = int(datum.timestamp.replace(tzinfo=UTC).timestamp() // period)
        if newest - periods < number <= newest:
            buckets.setdefault(number, []).append(datum)
    points = {number: _statistic(alarm.statistic, buckets[number]) for number in sorted(buckets, reverse=True)}
    words, compare = _COMPARED[alarm.comparison_operator]
    breaching = sum(compare(value, float(alarm.threshold)) for value in points.values())
    missing, treat = periods - len(points), alarm.treat_missing_data or "missing"
    if missing == periods and treat in ("missing", "ignore"):
        if treat == "ignore":
            return alarm.state_value, ""
        return "INSUFFICIENT_DATA", f"Insufficient Data: {missing} datapoint{'s' * (missing > 1)} were unknown."
    if treat == "breaching":
        breaching += missing
    elif treat == "missing":
        wanted = min(wanted, len(points))
    state, many = "ALARM" if breaching >= wanted else "OK", "s" * (periods > 1)
    if missing == periods:
        kind = "Breaching" if treat == "breaching" else "NonBreaching"
        what = f"{missing} missing datapoint{many} {'were' if many else 'was'} treated as [{kind}]."
        return state, f"Threshold Crossed: no datapoints were received for {missing} period{many} and {what}"
    times = (f"{datetime.fromtimestamp(number * period, UTC):%d/%m/%y %H:%M:%S}" for number in points)
    shown = ", ".join(f"{value} ({at})" for value, at in zip(points.values(), times, strict=True))
    what = f"{breaching} out of the last {periods} datapoints"
    if breaching == periods == len(points):
        what = f"{periods} datapoint{many}"
    what = f"{what} [{shown}] {'was' if breaching == 1 else 'were'} {words}"
    return state, f"Threshold Crossed: {what} the threshold ({float(alarm.threshold)})."


def _statistic(name: str, found: list[Any]) -> float:
    samples = sum(float(getattr(d, "sample_count", 1)) for d in found)
    total = sum(float(d.sum if hasattr(d, "sum") else d.value) for d in found)
    if name == "Minimum":
        return min(float(d.min if hasattr(d, "min") else d.value) for d in found)
    if name == "Maximum":
        return max(float(d.max if hasattr(d, "max") else d.value) for d in found)
    return {"SampleCount": samples, "Sum": total}.get(name, total / max(samples, 1))


def _tell(alarm: Any, before: str, region: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html

    The message is the one of localstack/localstack tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json
    (test_put_metric_alarm), recorded on AWS.
    """
    actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(
        alarm.state_value, alarm.insufficient_data_actions
    )
    if not alarm.actions_enabled:
        return
    configured = alarm.configuration_updated_timestamp
    message = {
        "AlarmName": alarm.name, "AlarmDescription": alarm.description, "AWSAccountId": ACCOUNT_ID,
        "AlarmConfigurationUpdatedTimestamp": f"{configured.isoformat(timespec='milliseconds')[:23]}+0000",
        "NewStateValue": alarm.state_value, "NewStateReason": alarm.state_reason, "OldStateValue": before,
        "StateChangeTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
        "Region": _regions().get(region, region), "AlarmArn": alarm.alarm_arn,
        "OKActions": alarm.ok_actions or [], "AlarmActions": alarm.alarm_actions or [],
        "InsufficientDataActions": alarm.insufficient_data_actions or [],
        "Trigger": {
            "MetricName": alarm.metric_name, "Namespace": alarm.namespace, "StatisticType": "Statistic",
            "Statistic": _SHOUTED.get(alarm.statistic, alarm.statistic.upper()), "Unit": alarm.unit,
            "Dimensions": [{"name": d.name, "value": d.value} for d in alarm.dimensions],
            "Period": int(alarm.period), "EvaluationPeriods": int(alarm.evaluation_periods),
            "ComparisonOperator": alarm.comparison_operator, "Threshold": float(alarm.threshold),
            "TreatMissingData": alarm.treat_missing_data or "missing", "EvaluateLowSampleCountPercentile": "",
        },
    }  # fmt: skip
    for topic in actions or ():
        with contextlib.suppress(Exception):  # the topic is gone: the alarm goes on
            stores.publish(topic, json.dumps(message))


_SHOUTED = {"SampleCount": "SAMPLE_COUNT"}


@lru_cache
def _regions() -> dict[str, str]:
    """What the regions are called: us-east-1 -> US East (N. Virginia)."""
    partition = botocore.loaders.Loader().load_data("endpoints")["partitions"][0]
    return {name: region["description"] for name, region in partition["regions"].items()}
