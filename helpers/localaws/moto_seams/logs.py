"""moto's CloudWatch Logs: which groups, streams and events a reader finds, and what is said when there are none.

The words are those that localstack/localstack tests/aws/services/logs/*.snapshot.json recorded on AWS.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

from ..types import AwsError

_NO_STREAM = "The specified log stream does not exist."


def install() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html"""
    from moto.logs.exceptions import ResourceNotFoundException
    from moto.logs.models import LogGroup, LogsBackend, LogStream
    from moto.logs.responses import LogsResponse

    group_of = LogsBackend._find_log_group
    put, listed, created = LogsBackend.put_log_events, LogsResponse.describe_log_groups, LogGroup.create_log_stream
    removed, read, events = LogGroup.delete_log_stream, LogGroup.get_log_events, LogStream.get_log_events

    def find_log_group(self: Any, log_group_id: str | None = None, log_group_name: str | None = None) -> Any:
        """A group by its name, or by a name or an ARN as its identifier; in moto an identifier finds any group."""
        if log_group_id and log_group_name:
            text = "LogGroup name and LogGroup ARN are mutually exclusive parameters."
            raise AwsError("ValidationException", text)
        if not log_group_id and not log_group_name:
            return group_of(self)
        name = log_group_name or (log_group_id or "").rpartition(":log-group:")[2].removesuffix(":*")
        if name in self.groups:
            return self.groups[name]
        raise ResourceNotFoundException()

    def describe_log_groups(self: Any) -> Any:
        """By a part of the name, too, and by identifiers, which moto does not look at."""
        part, names = self._get_param("logGroupNamePattern"), self._get_param("logGroupIdentifiers")
        if part and self._get_param("logGroupNamePrefix"):
            text = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            raise AwsError("InvalidParameterException", text)
        backend = self.logs_backend
        everything = backend.groups
        backend.groups = {
            name: group
            for name, group in everything.items()
            if (part or "") in name and (not names or name in names or group.arn in names)
        }
        try:
            return listed(self)
        finally:
            backend.groups = everything

    def filter_log_events(self: Any) -> str:
        """In the order of their time, whichever stream they are of, as since 2019."""
        group = find_log_group(
            self.logs_backend, self._get_param("logGroupIdentifier"), self._get_param("logGroupName")
        )
        names, prefix = self._get_param("logStreamNames"), self._get_param("logStreamNamePrefix")
        if names and prefix:
            text = "LogStream name prefix and LogStream names are mutually exclusive parameters."
            raise AwsError("InvalidParameterException", text)
        if any(name not in group.streams for name in names or ()):
            raise AwsError("ResourceNotFoundException", _NO_STREAM)
        token = self._get_param("nextToken")
        if token and not re.fullmatch(re.escape(group.name) + r"@[^@]+@\d+", token):
            raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
        if prefix:
            names = [name for name in group.streams if name.startswith(prefix)] or [""]
        asked = [self._get_param(name) for name in ("startTime", "endTime", "limit")]
        found, following, searched = group.filter_log_events(
            group.name, names or [], *asked, token, self._get_param("filterPattern"), True
        )
        return json.dumps({"events": found, "nextToken": following, "searchedLogStreams": searched})

    def put_log_events(self: Any, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]) -> Any:
        """API_RejectedLogEventsInfo: where what is too old ends, exclusively, and what is too new begins"""
        token, rejected = put(self, log_group_name, log_stream_name, log_events)
        if "tooOldLogEventEndIndex" in rejected:
            rejected["tooOldLogEventEndIndex"] += 1
        if "tooNewLogEventStartIndex" in rejected:
            limit = (time.time() + 2 * 3600) * 1000
            late = (number for number, event in enumerate(log_events) if event["timestamp"] > limit)
            rejected["tooNewLogEventStartIndex"] = next(late, rejected["tooNewLogEventStartIndex"])
        return token, rejected

    def create_log_stream(self: Any, log_stream_name: str) -> None:
        if log_stream_name in self.streams:
            raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
        created(self, log_stream_name)

    def delete_log_stream(self: Any, log_stream_name: str) -> None:
        if log_stream_name not in self.streams:
            raise AwsError("ResourceNotFoundException", _NO_STREAM)
        removed(self, log_stream_name)

    def get_log_events(self: Any, log_stream_name: str, *args: Any) -> Any:
        if log_stream_name not in self.streams:
            raise AwsError("ResourceNotFoundException", _NO_STREAM)
        return read(self, log_stream_name, *args)

    def get_stream_events(self: Any, start_time: Any, end_time: Any, *args: Any) -> Any:
        """Up to the end, but not with it: API_GetLogEvents"""
        return events(self, start_time, end_time - 1 if end_time else end_time, *args)

    setattr(LogsBackend, "_find_log_group", find_log_group)  # noqa: B010
    setattr(LogsBackend, "put_log_events", put_log_events)  # noqa: B010
    setattr(LogStream, "get_log_events", get_stream_events)  # noqa: B010
    setattr(LogsResponse, "describe_log_groups", describe_log_groups)  # noqa: B010
    setattr(LogsResponse, "filter_log_events", filter_log_events)  # noqa: B010
    for function in (create_log_stream, delete_log_stream, get_log_events):
        setattr(LogGroup, function.__name__, function)
