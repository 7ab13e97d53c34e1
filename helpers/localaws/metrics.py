"""What AWS's services measure of themselves, between two deliveries to CloudWatch."""

from __future__ import annotations

from typing import Any

_MILLISECONDS = {"IteratorAge", "GetRecords.IteratorAgeMilliseconds", "Duration", "Latency", "IntegrationLatency"}


class Metrics(dict[str, tuple[float, float, float, float]]):
    """What was measured since the last drain: name -> (SampleCount, Sum, Minimum, Maximum)."""

    def add(self, name: str, value: float) -> None:
        samples, total, least, most = self.get(name, (0, 0, value, value))
        self[name] = (samples + 1, total + value, min(least, value), max(most, value))

    def drain(self, **of: str) -> list[dict[str, Any]]:
        """As CloudWatch's metric data of these dimensions; what follows is measured anew."""
        data, dimensions = [], [{"Name": name, "Value": value} for name, value in of.items()]
        for name, numbers in self.items():
            unit = "Bytes" if name.endswith("Bytes") else "Milliseconds" if name in _MILLISECONDS else "Count"
            statistics = dict(zip(("SampleCount", "Sum", "Minimum", "Maximum"), numbers, strict=True))
            data.append({"MetricName": name, "Unit": unit, "Dimensions": dimensions, "StatisticValues": statistics})
        self.clear()
        return data
