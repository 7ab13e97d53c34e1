"""The configuration of a delivery stream's destination: checked, filled up with AWS's defaults, merged, described.

https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html and the pages it links to.
"""

from __future__ import annotations

import re
import uuid
import zoneinfo
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from .types import AwsError

Parameters = dict[str, Any]
_invalid = partial(AwsError, "InvalidArgumentException")


def destination(p: Parameters, ending: str, old: Parameters | None = None, was: str = "") -> tuple[str, Parameters]:
    """(ExtendedS3 | Redshift, its configuration with all defaults) of a call; an update is merged into what was."""
    if beyond := [k for k in p if k.endswith(f"Destination{ending}") and not k.startswith(("S3", "Extended", "Redsh"))]:
        raise _invalid(f"The local AWS does not have {beyond[0]} for a delivery stream.")
    given = {k.removesuffix(f"Destination{ending}"): v for k, v in p.items() if k.endswith(f"Destination{ending}")}
    if len(given) != 1:
        raise _invalid("Exactly one destination configuration is supported for a Firehose")
    ((kind, new),) = given.items()
    kind = "ExtendedS3" if kind == "S3" else kind
    new = {re.sub("^(S3|S3Backup)Update$", r"\1Configuration", k): v for k, v in new.items()}
    config = _merged(old if old and kind == was else {}, new)
    _check_s3(config if kind == "ExtendedS3" else config.get("S3Configuration", {}))
    if old and old.get("S3BackupMode") == "Enabled" and config.get("S3BackupMode") == "Disabled" and kind == was:
        raise _invalid("S3 backup cannot be disabled once it is enabled.")
    if config.setdefault("S3BackupMode", "Disabled") == "Enabled":
        if "S3BackupConfiguration" not in config:
            raise _invalid("S3BackupConfiguration must be given when S3BackupMode is Enabled.")
        _check_s3(config["S3BackupConfiguration"])
    delimiter(config.get("ProcessingConfiguration"))
    if kind == "Redshift":
        if "SecretsManagerConfiguration" in config or not {"Username", "Password"} <= config.keys():
            raise _invalid("The local AWS wants Username and Password for Redshift: it has no Secrets Manager.")
        if missing := {"RoleARN", "ClusterJDBCURL", "CopyCommand", "S3Configuration"} - config.keys():
            raise _invalid(f"Missing {', '.join(sorted(missing))} for the destination Redshift.")
        config["RetryOptions"] = {"DurationInSeconds": 3600, **config.get("RetryOptions", {})}
    return kind, config


def _merged(old: Parameters, new: Parameters) -> Parameters:
    merged = dict(old)
    for key, value in new.items():
        nested = isinstance(value, dict) and isinstance(old.get(key), dict) and key != "ProcessingConfiguration"
        merged[key] = _merged(old[key], value) if nested else value
    return merged


def _check_s3(config: Parameters) -> None:
    """Fills in the defaults of an S3 location; raises AwsError for what AWS or this AWS does not take."""
    for member in ("DataFormatConversionConfiguration", "DynamicPartitioningConfiguration"):
        if (config.get(member) or {}).get("Enabled", member in config):
            raise _invalid(f"The local AWS does not have {member} for a delivery stream.")
    if (config.get("EncryptionConfiguration") or {}).get("KMSEncryptionConfig"):
        raise _invalid("The local AWS does not have KMSEncryptionConfig for a delivery stream.")
    if config.setdefault("CompressionFormat", "UNCOMPRESSED") not in ("UNCOMPRESSED", "GZIP"):
        raise _invalid(f"The local AWS does not have the CompressionFormat {config['CompressionFormat']}.")
    if missing := {"RoleARN", "BucketARN"} - config.keys():
        raise _invalid(f"Missing {', '.join(sorted(missing))} for the destination S3.")
    hints = config.get("BufferingHints") or {"SizeInMBs": 5, "IntervalInSeconds": 300}
    if len(hints) == 1:
        raise _invalid("BufferingHints must have both SizeInMBs and IntervalInSeconds.")
    config["BufferingHints"] = hints
    config.setdefault("EncryptionConfiguration", {"NoEncryptionConfig": "NoEncryption"})
    config.setdefault("CloudWatchLoggingOptions", {"Enabled": False})
    prefix, error_prefix = config.get("Prefix") or "", config.get("ErrorOutputPrefix") or ""
    if "!{firehose:error-output-type}" in prefix:
        raise _invalid("Prefix cannot contain !{firehose:error-output-type}.")
    if "!{" in prefix and not error_prefix:
        raise _invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions.")
    if error_prefix and "!{firehose:error-output-type}" not in error_prefix:
        raise _invalid("ErrorOutputPrefix must contain !{firehose:error-output-type}.")
    for text in (prefix, error_prefix):
        evaluate(text.replace("!{firehose:error-output-type}", "e"), 0.0)
    try:
        zoneinfo.ZoneInfo(config.get("CustomTimeZone") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise _invalid(f"CustomTimeZone {config['CustomTimeZone']} is not supported.") from None


def delimiter(processing: Parameters | None) -> bytes:
    """What AppendDelimiterToRecord puts behind each record; nothing by default, so that records run into each other.

    https://docs.aws.amazon.com/firehose/latest/APIReference/API_Processor.html
    """
    if not processing or not processing.get("Enabled"):
        return b""
    found = b""
    for processor in processing.get("Processors", ()):
        if processor["Type"] != "AppendDelimiterToRecord":
            raise _invalid(f"The local AWS does not have the processor {processor['Type']}.")
        values = {x["ParameterName"]: x["ParameterValue"] for x in processor.get("Parameters", ())}
        found = values.get("Delimiter", "\n").replace("\\n", "\n").encode()
    return found


def described(config: Parameters) -> Parameters:
    """A configuration as DescribeDeliveryStream shows it: its parts under their other names, and no password."""
    names = {"S3Configuration": "S3DestinationDescription", "S3BackupConfiguration": "S3BackupDescription"}
    return {names.get(key, key): value for key, value in config.items() if key != "Password"}


# What a pattern of Java's DateTimeFormatter stands for. https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
_JAVA = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "DDD": "%j", "MMM": "%b",
    "MMMM": "%B", "EEE": "%a", "EEEE": "%A", "hh": "%I", "a": "%p",
}  # fmt: skip


def evaluate(prefix: str, arrival: float, zone: tzinfo = UTC) -> str:
    """A prefix with its expressions filled in; without one of time it is followed by YYYY/MM/DD/HH/.

    Raises AwsError for expressions that AWS, or this AWS, does not know.
    """
    at = datetime.fromtimestamp(arrival, zone)
    if "!{timestamp:" not in prefix:
        prefix += "!{timestamp:yyyy/MM/dd/HH/}"

    def fill(match: re.Match[str]) -> str:
        space, _, value = match[1].partition(":")
        if space == "timestamp":
            parts = re.findall(r"'([^']*)'|(([A-Za-z])\3*)|([^A-Za-z']+)", value)
            if all(not word or word in _JAVA for _, word, _, _ in parts):
                return "".join(text or (at.strftime(_JAVA[word]) if word else other) for text, word, _, other in parts)
        elif match[1] == "firehose:random-string":
            return uuid.uuid4().hex[:11]
        raise _invalid(f"The local AWS does not evaluate the expression {match[0]} in a prefix.")

    done = re.sub(r"!\{([^}]*)\}", fill, prefix)
    if "!{" in done or len(done) > 512:
        raise _invalid(f"The prefix {prefix} is not valid: an expression has the form !{{namespace:value}}.")
    return done
