"""Firehose: in process with a store and a warehouse that the test plays, and through boto3 against a lab.

Each test names the page that its expectation rests on; guide: https://docs.aws.amazon.com/firehose/latest/dev/, API:
https://docs.aws.amazon.com/firehose/latest/APIReference/.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from platform_lab import wait_until

from helpers.localaws import firehose, server
from helpers.localaws.firehose import Firehose, Load, Needs
from helpers.localaws.firehose_config import evaluate
from helpers.localaws.kinesis import Kinesis
from helpers.localaws.types import AwsError
from tests.seeded import seeded

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/firehose"
SOURCE = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
BUCKET = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"}
JDBC = "jdbc:redshift://workbook.abc.us-east-1.redshift.amazonaws.com:5439/retail"
NEWLINES = {
    "Enabled": True,
    "Processors": [
        {
            "Type": "AppendDelimiterToRecord",
            "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}],
        }
    ],
}
NAME = re.compile(
    r"2\d{3}/\d\d/\d\d/\d\d/d-1-(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other within milliseconds."""
    monkeypatch.setattr(firehose, "PUT_EVERY", 0.002)
    monkeypatch.setattr(firehose, "COPY_EVERY", 0.01)


class Lab:
    """Firehose with a store, logs and a warehouse that the test looks at and makes fail."""

    def __init__(self, shards: int = 1) -> None:
        self.kinesis = Kinesis()
        self.kinesis.call("CreateStream", {"StreamName": "s", "ShardCount": shards}, REGION)
        self.objects: dict[str, bytes] = {}
        self.copies: list[Load] = []
        self.logs: list[dict[str, Any]] = []
        self.denied: set[str] = set()
        self.distrusted: set[str] = set()
        self.buckets = {"b", "backup"}
        self.copy_error: AwsError | None = None
        self.copying: Callable[[], Coroutine[Any, Any, None]] | None = None
        needs = Needs(self.kinesis, self.trusts, self.allowed, self.put_object, self.copy, self.log)
        self.firehose = Firehose(needs)

    async def trusts(self, role: str, arn: str) -> bool:
        return role not in self.distrusted and arn.endswith(":deliverystream/d")

    def allowed(self, role: str, action: str, resource: str) -> bool:
        return action not in self.denied

    async def put_object(self, bucket: str, key: str, body: bytes) -> None:
        await asyncio.sleep(0)
        if bucket not in self.buckets:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        self.objects[f"{bucket}/{key}"] = body

    async def copy(self, load: Load) -> None:
        self.copies.append(load)
        if self.copying:
            await self.copying()
        if self.copy_error:
            raise self.copy_error

    def log(self, region: str, group: str, stream: str, message: str) -> None:
        self.logs.append({"where": f"{group}/{stream}", **json.loads(message)})

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation != "ListDeliveryStreams":
            parameters.setdefault("DeliveryStreamName", "d")
        return await self.firehose.call(operation, parameters, REGION)

    async def to_s3(self, source: bool = False, size: int = 5, seconds: int = 0, **settings: Any) -> None:
        hints = {"SizeInMBs": size, "IntervalInSeconds": seconds}
        config = {**BUCKET, "BufferingHints": hints, **settings}
        await self.call("CreateDeliveryStream", ExtendedS3DestinationConfiguration=config, **self.reading(source))

    async def to_redshift(self, source: bool = False, retry: int = 0, s3: Any = None, **settings: Any) -> None:
        files = {**BUCKET, "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}, **(s3 or {})}
        config = {
            "RoleARN": ROLE,
            "ClusterJDBCURL": JDBC,
            "CopyCommand": {"DataTableName": "t", "DataTableColumns": "a, b", "CopyOptions": "JSON 'auto' GZIP;"},
            "Username": "admin",
            "Password": "Secret-1",
            "RetryOptions": {"DurationInSeconds": retry},
            "S3Configuration": files,
            "CloudWatchLoggingOptions": {"Enabled": True, "LogGroupName": "g", "LogStreamName": "r"},
            **settings,
        }
        await self.call("CreateDeliveryStream", RedshiftDestinationConfiguration=config, **self.reading(source))

    @staticmethod
    def reading(source: bool) -> dict[str, Any]:
        if not source:
            return {}
        read = {"KinesisStreamARN": SOURCE, "RoleARN": ROLE}
        return {"DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": read}

    async def put(self, *data: bytes) -> None:
        for at in range(0, len(data), 500):
            records = [{"Data": base64.b64encode(d).decode()} for d in data[at : at + 500]]
            answer = await self.call("PutRecordBatch", Records=records)
            assert answer["FailedPutCount"] == 0 and len(answer["RequestResponses"]) == len(records)

    def to_stream(self, *data: bytes) -> None:
        for at in range(0, len(data), 500):
            records = [
                {"Data": base64.b64encode(d).decode(), "PartitionKey": str(n)}
                for n, d in enumerate(data[at : at + 500], at)
            ]
            answer = self.kinesis.call("PutRecords", {"StreamName": "s", "Records": records}, REGION)
            assert answer["FailedRecordCount"] == 0

    def files(self, under: str = "b/2") -> dict[str, bytes]:
        return {key: body for key, body in self.objects.items() if key.startswith(under)}

    async def until(self, condition: Callable[[], Any], what: str = "the condition") -> Any:
        deadline = time.monotonic() + 60
        while not (value := condition()):
            assert time.monotonic() < deadline, (
                f"waited in vain for {what}: {list(self.objects)[-5:]}, {self.logs[-3:]}"
            )
            await asyncio.sleep(0.001)
        return value


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def in_process(test: Callable[[Lab], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def wrapped() -> None:
        async def go() -> None:
            lab = Lab()
            try:
                await test(lab)
            finally:
                await lab.firehose.close()

        run(go())

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


# --- files in S3: basic-deliver.html, s3-object-name.html


@in_process
async def test_records_run_into_each_other_without_a_delimiter(lab: Lab) -> None:
    await lab.to_s3()
    await lab.put(b'{"a":1}', b'{"a":2}')
    await lab.until(lab.files)
    [(key, body)] = lab.files().items()
    assert body == b'{"a":1}{"a":2}'
    match = NAME.fullmatch(key.removeprefix("b/"))
    assert match, key
    assert key.removeprefix("b/")[:13].replace("/", "-") == match[1][:13], "prefix and name have the same hour"


@in_process
async def test_a_delimiter_and_gzip(lab: Lab) -> None:
    """https://docs.aws.amazon.com/firehose/latest/APIReference/API_Processor.html"""
    await lab.to_s3(ProcessingConfiguration=NEWLINES, CompressionFormat="GZIP", Prefix="sales/")
    await lab.put(b"1", b"2")
    await lab.until(lambda: lab.files("b/sales/2"))
    [(key, body)] = lab.files("b/sales/").items()
    assert key.endswith(".gz") and gzip.decompress(body) == b"1\n2\n"


@in_process
async def test_a_file_is_written_when_its_size_is_reached(lab: Lab) -> None:
    await lab.to_s3(size=1, seconds=900)
    await lab.put(*[b"x" * 1024] * 2500)
    await lab.until(lambda: len(lab.files()) == 2)
    await asyncio.sleep(0.02)
    assert [len(body) for body in lab.files().values()] == [1024 * 1024] * 2, "the rest waits for its time"


@in_process
async def test_a_file_is_written_when_its_time_has_come(lab: Lab) -> None:
    await lab.to_s3(seconds=1)
    begun = time.monotonic()
    await lab.put(b"1")
    await asyncio.sleep(0.3)
    await lab.put(b"2")
    assert not lab.files()
    await lab.until(lab.files)
    assert list(lab.files().values()) == [b"12"] and 0.95 < time.monotonic() - begun < 30


@in_process
async def test_what_is_gathered_when_a_stream_is_deleted_is_written_once_more(lab: Lab) -> None:
    await lab.to_s3(seconds=900)
    await lab.put(b"1", b"2")
    await lab.call("DeleteDeliveryStream")
    await lab.until(lab.files)
    assert list(lab.files().values()) == [b"12"]
    with pytest.raises(AwsError, match="Firehose d under account 123456789012 not found"):
        await lab.call("DescribeDeliveryStream")


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("", "2026/01/02/03/"),
        ("raw", "raw2026/01/02/03/"),
        ("a/!{timestamp:yyyy-MM-dd}/", "a/2026-01-02/"),
        ("year=!{timestamp:yyyy}/month=!{timestamp:MM}/h!{timestamp:HH'h'mm}/", "year=2026/month=01/h03h04/"),
        ("!{timestamp:yyyy/MM/'day'dd}!{timestamp:ss}", "2026/01/day0205"),
    ],
)
def test_prefixes(prefix: str, wanted: str) -> None:
    """https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html"""
    assert evaluate(prefix, 1767323045.0) == wanted


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"Prefix": "!{timestamp:yyyy}/"},
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        ({"Prefix": "!{firehose:error-output-type}/"}, "Prefix cannot contain !{firehose:error-output-type}"),
        ({"ErrorOutputPrefix": "errors/"}, "ErrorOutputPrefix must contain !{firehose:error-output-type}"),
        (
            {"Prefix": "!{timestamp:QQQ}/", "ErrorOutputPrefix": "!{firehose:error-output-type}/"},
            "does not evaluate the expression !{timestamp:QQQ}",
        ),
        (
            {"Prefix": "!{partitionKeyFromQuery:x}/", "ErrorOutputPrefix": "!{firehose:error-output-type}/"},
            "does not evaluate the expression !{partitionKeyFromQuery:x}",
        ),
        ({"BufferingHints": {"SizeInMBs": 1}}, "BufferingHints must have both"),
        ({"CompressionFormat": "Snappy"}, "does not have the CompressionFormat Snappy"),
        ({"DynamicPartitioningConfiguration": {"Enabled": True}}, "does not have DynamicPartitioningConfiguration"),
        ({"DataFormatConversionConfiguration": {"Enabled": True}}, "does not have DataFormatConversionConfiguration"),
        ({"CustomTimeZone": "Mars/Olympus"}, "CustomTimeZone Mars/Olympus is not supported"),
        ({"S3BackupMode": "Enabled"}, "S3BackupConfiguration must be given"),
        (
            {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}},
            "does not have the processor Lambda",
        ),
    ],
)
def test_what_is_not_taken_is_refused_at_creation(settings: dict[str, Any], message: str) -> None:
    async def go() -> None:
        lab = Lab()
        with pytest.raises(AwsError) as caught:
            await lab.to_s3(**settings)
        assert caught.value.code == "InvalidArgumentException" and message in caught.value.message
        assert not lab.firehose.streams

    run(go())


@in_process
async def test_a_bucket_that_is_gone_is_waited_for_and_nothing_is_lost(lab: Lab) -> None:
    """retry.html: Firehose keeps trying for up to 24 hours; the log says why."""
    lab.buckets.clear()
    logging = {"Enabled": True, "LogGroupName": "g", "LogStreamName": "l"}
    await lab.to_s3(CloudWatchLoggingOptions=logging)
    await lab.put(b"1")
    await lab.until(lambda: len(lab.logs) > 3)
    await lab.put(b"2")
    lab.buckets.add("b")
    await lab.until(lambda: b"".join(lab.files().values()) == b"12")
    assert {(e["where"], e["errorCode"], e["destination"]) for e in lab.logs} == {
        ("g/l", "S3.NoSuchBucket", "arn:aws:s3:::b")
    }


@in_process
async def test_a_role_that_may_not_write(lab: Lab) -> None:
    lab.denied.add("s3:PutObject")
    await lab.to_s3(CloudWatchLoggingOptions={"Enabled": True, "LogGroupName": "g", "LogStreamName": "l"})
    await lab.put(b"1")
    assert (await lab.until(lambda: lab.logs))[0]["errorCode"] == "S3.AccessDenied"
    lab.denied.clear()
    await lab.until(lab.files)


@in_process
async def test_after_a_day_what_was_put_is_lost_as_on_aws(lab: Lab) -> None:
    lab.buckets.clear()
    await lab.to_s3()
    stream = next(iter(lab.firehose.streams.values()))
    stream.add([b"old"], time.time() - firehose.KEPT_SECONDS - 1)
    await lab.until(lambda: not stream.waiting)
    lab.buckets.add("b")
    await lab.put(b"new")
    await lab.until(lab.files)
    assert list(lab.files().values()) == [b"new"]


# --- a Kinesis stream as the source: writing-with-kinesis-streams.html


@in_process
async def test_a_stream_is_read_from_where_it_stands(lab: Lab) -> None:
    lab.to_stream(b"before")
    await lab.to_s3(source=True)
    lab.to_stream(b"after")
    await lab.until(lab.files)
    assert list(lab.files().values()) == [b"after"]
    with pytest.raises(AwsError, match="not permitted on KinesisStreamAsSource"):
        await lab.call("PutRecord", Record={"Data": "eA=="})


@in_process
async def test_shards_that_split_and_merge_are_read_to_the_end(lab: Lab) -> None:
    await lab.to_s3(source=True, ProcessingConfiguration=NEWLINES)
    lab.to_stream(*[f"a{n}".encode() for n in range(100)])
    lab.kinesis.call("UpdateShardCount", _scaled(2), REGION)
    lab.to_stream(*[f"b{n}".encode() for n in range(100)])
    lab.kinesis.call("UpdateShardCount", _scaled(3), REGION)
    lab.to_stream(*[f"c{n}".encode() for n in range(100)])
    wanted = sorted(f"{x}{n}".encode() for x in "abc" for n in range(100))
    await lab.until(lambda: sorted(b"".join(lab.files().values()).split()) == wanted)


def _scaled(shards: int) -> dict[str, Any]:
    return {"StreamName": "s", "TargetShardCount": shards, "ScalingType": "UNIFORM_SCALING"}


@in_process
async def test_a_role_that_may_no_longer_read_goes_on_later(lab: Lab) -> None:
    await lab.to_s3(source=True, CloudWatchLoggingOptions={"Enabled": True, "LogGroupName": "g", "LogStreamName": "l"})
    await asyncio.sleep(0.01)
    lab.denied.add("kinesis:GetRecords")
    lab.to_stream(b"1")
    await lab.until(lambda: lab.logs)
    assert lab.logs[0]["errorCode"] == "Kinesis.AccessDenied" and not lab.files()
    lab.denied.clear()
    await lab.until(lab.files)


@in_process
async def test_what_does_not_fit_stays_in_the_stream(lab: Lab) -> None:
    lab.buckets.clear()
    await lab.to_s3(source=True, size=1)
    stream = next(iter(lab.firehose.streams.values()))
    stream.add([b"x" * firehose.MOST_WAITING], time.time())
    lab.to_stream(b"1")
    await asyncio.sleep(0.05)
    assert stream.waiting == firehose.MOST_WAITING
    lab.buckets.add("b")
    await lab.until(lambda: b"1" in lab.files().values())


# --- Redshift: retry.html#dd-retry-redshift


@in_process
async def test_redshift_is_loaded_by_a_manifest_of_the_files(lab: Lab) -> None:
    await lab.to_redshift(ProcessingConfiguration=NEWLINES, s3={"CompressionFormat": "GZIP"})
    await lab.put(b"1", b"2")
    [load] = await lab.until(lambda: lab.copies)
    [(key, body)] = lab.files().items()
    assert gzip.decompress(body) == b"1\n2\n"
    match = re.fullmatch(
        r"COPY t \(a, b\) FROM 's3://(b/manifests/\d{4}/\d\d/\d\d/\d\d/d-1-[-0-9a-f]+)' "
        r"CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/firehose' MANIFEST JSON 'auto' GZIP",
        load.sql,
    )
    assert match, load.sql
    assert json.loads(lab.objects[match[1]]) == {"entries": [{"url": f"s3://{key}", "mandatory": True}]}
    assert (load.jdbc_url, load.user, load.password, load.region) == (JDBC, "admin", "Secret-1", REGION)
    await asyncio.sleep(0.01)
    assert not lab.files("b/errors/") and not lab.logs


@in_process
async def test_one_copy_at_a_time_takes_all_files_that_wait(lab: Lab) -> None:
    go_on = asyncio.Event()
    lab.copying = go_on.wait  # type: ignore[assignment]
    await lab.to_redshift()
    await lab.put(b"0")
    await lab.until(lambda: lab.copies)
    for n in (1, 2, 3):
        await lab.put(str(n).encode())
        await lab.until(lambda n=n: len(lab.files()) == n + 1)
    assert len(lab.copies) == 1
    go_on.set()
    await lab.until(lambda: len(lab.copies) == 2)
    counts = [len(json.loads(body)["entries"]) for body in lab.files("b/manifests/").values()]
    assert counts == [1, 3]


@in_process
async def test_without_retries_the_manifest_is_left_under_errors_and_the_next_file_is_tried(lab: Lab) -> None:
    lab.copy_error = AwsError("Redshift.DataLoadFailed", "")
    await lab.to_redshift()
    await lab.put(b"C536379")
    await lab.until(lambda: lab.files("b/errors/manifests/2"))
    [(key, body)] = lab.files("b/errors/manifests/").items()
    [file] = lab.files()
    assert json.loads(body) == {"entries": [{"url": f"s3://{file}", "mandatory": True}]}
    assert key.removeprefix("b/errors/") in {k.removeprefix("b/") for k in lab.files("b/manifests/")}
    assert [(e["where"], e["errorCode"], e["destination"], e["deliveryStreamVersionId"]) for e in lab.logs] == [
        ("g/r", "Redshift.DataLoadFailed", JDBC, 1)
    ]
    assert "Check STL_LOAD_ERRORS" in lab.logs[0]["message"]
    lab.copy_error = None
    await lab.put(b"536380")
    await lab.until(lambda: len(lab.copies) == 2)
    await asyncio.sleep(0.01)
    assert len(lab.files("b/errors/")) == 1


@in_process
async def test_a_copy_is_tried_again_until_its_time_is_over(lab: Lab) -> None:
    lab.copy_error = AwsError("Redshift.ConnectionFailed", "")
    await lab.to_redshift(retry=1)
    await lab.put(b"1")
    await lab.until(lambda: len(lab.copies) >= 3)
    assert not lab.files("b/errors/")
    lab.copy_error = None
    tried = len(lab.copies)
    await lab.until(lambda: len(lab.copies) > tried)
    await asyncio.sleep(0.05)
    assert len(lab.copies) == tried + 1 and not lab.files("b/errors/")
    assert len({load.sql for load in lab.copies}) == 1, "the same manifest each time"


@in_process
async def test_when_its_time_is_over_the_files_are_told_of_under_errors(lab: Lab) -> None:
    """retry.html#dd-retry-redshift; ErrorOutputPrefix is for what could not be processed, and changes nothing here."""
    lab.copy_error = AwsError("Redshift.ConnectionFailed", "")
    await lab.to_redshift(retry=1, s3={"ErrorOutputPrefix": "elsewhere/!{firehose:error-output-type}/"})
    begun = time.monotonic()
    await lab.put(b"1")
    [key] = await lab.until(lambda: list(lab.files("b/errors/manifests/")), "the manifest")
    assert 0.9 < time.monotonic() - begun < 30 and len(lab.copies) > 3
    [file] = lab.files()
    assert json.loads(lab.objects[key])["entries"] == [{"url": f"s3://{file}", "mandatory": True}]
    tried = len(lab.copies)
    await asyncio.sleep(0.05)
    assert len(lab.copies) == tried and not lab.files("b/elsewhere/")


@in_process
async def test_the_sources_records_are_kept_as_they_came(lab: Lab) -> None:
    """https://docs.aws.amazon.com/firehose/latest/APIReference/API_RedshiftDestinationConfiguration.html"""
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
    backup = {**BUCKET, "BucketARN": "arn:aws:s3:::backup", "Prefix": "source/", "BufferingHints": hints}
    await lab.to_redshift(S3BackupMode="Enabled", S3BackupConfiguration=backup, ProcessingConfiguration=NEWLINES)
    await lab.put(b"1", b"2")
    await lab.until(lambda: lab.files("backup/source/2") and lab.files())
    assert list(lab.files("backup/source/").values()) == [b"12"]
    assert list(lab.files().values()) == [b"1\n2\n"]


# --- control calls


@in_process
async def test_what_aws_checks_at_creation(lab: Lab) -> None:
    lab.distrusted.add(ROLE)
    with pytest.raises(AwsError, match=f"Firehose is unable to assume role {ROLE}. Please check the role provided."):
        await lab.to_s3()
    lab.distrusted.clear()
    lab.denied.add("kinesis:GetShardIterator")
    with pytest.raises(AwsError, match="is not authorized to perform: kinesis:GetShardIterator on resource"):
        await lab.to_s3(source=True)
    lab.denied.clear()
    lab.kinesis.call("DeleteStream", {"StreamName": "s"}, REGION)
    with pytest.raises(AwsError, match="Kinesis stream s under account 123456789012 not found"):
        await lab.to_s3(source=True)
    await lab.to_s3()
    with pytest.raises(AwsError, match="ResourceInUseException: Firehose d under accountId 123456789012 already"):
        await lab.to_s3()
    with pytest.raises(AwsError, match="The local AWS does not have SplunkDestinationConfiguration"):
        splunk = {"HECEndpoint": "https://x", "HECEndpointType": "Raw", "S3Configuration": BUCKET}
        await lab.call("CreateDeliveryStream", DeliveryStreamName="e", SplunkDestinationConfiguration=splunk)
    with pytest.raises(AwsError, match="Exactly one destination configuration"):
        await lab.call("CreateDeliveryStream", DeliveryStreamName="e")
    with pytest.raises(AwsError, match="does not have firehose:StartDeliveryStreamEncryption"):
        await lab.call("StartDeliveryStreamEncryption")


@in_process
async def test_a_stream_is_described_with_its_defaults_and_without_its_password(lab: Lab) -> None:
    await lab.call("CreateDeliveryStream", S3DestinationConfiguration=BUCKET)
    described = (await lab.call("DescribeDeliveryStream"))["DeliveryStreamDescription"]
    [destination] = described["Destinations"]
    shown = destination["ExtendedS3DestinationDescription"]
    assert (described["DeliveryStreamStatus"], described["DeliveryStreamType"], described["VersionId"]) == (
        "ACTIVE", "DirectPut", "1",
    )  # fmt: skip
    assert shown["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert (shown["CompressionFormat"], shown["S3BackupMode"]) == ("UNCOMPRESSED", "Disabled")
    assert destination["S3DestinationDescription"]["BucketARN"] == "arn:aws:s3:::b"
    await lab.call("DeleteDeliveryStream")
    await lab.to_redshift(source=True)
    described = (await lab.call("DescribeDeliveryStream"))["DeliveryStreamDescription"]
    assert described["Source"]["KinesisStreamSourceDescription"]["KinesisStreamARN"] == SOURCE
    assert "Secret-1" not in repr(described)
    [destination] = described["Destinations"]
    assert destination["RedshiftDestinationDescription"]["S3DestinationDescription"]["BucketARN"] == "arn:aws:s3:::b"


@in_process
async def test_an_update_is_merged_and_counts_and_what_is_gathered_goes_the_new_way(lab: Lab) -> None:
    await lab.to_s3(seconds=900, Prefix="old/")
    await lab.put(b"1")
    update = {"DestinationId": "destinationId-000000000001", "CurrentDeliveryStreamVersionId": "1"}
    change = {"Prefix": "new/", "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 0}}
    await lab.call("UpdateDestination", **update, ExtendedS3DestinationUpdate=change)
    await lab.until(lambda: lab.files("b/new/2"))
    [(key, body)] = lab.objects.items()
    assert "/d-2-" in key and body == b"1"
    with pytest.raises(AwsError, match="current version id: 2 and specified version id: 1 do not match"):
        await lab.call("UpdateDestination", **update, ExtendedS3DestinationUpdate=change)


@in_process
async def test_streams_are_listed_and_tagged(lab: Lab) -> None:
    await lab.to_s3()
    await lab.call("TagDeliveryStream", Tags=[{"Key": "workbook", "Value": "06"}, {"Key": "x"}])
    await lab.call("UntagDeliveryStream", TagKeys=["x"])
    assert (await lab.call("ListTagsForDeliveryStream"))["Tags"] == [{"Key": "workbook", "Value": "06"}]
    assert await lab.call("ListDeliveryStreams") == {"DeliveryStreamNames": ["d"], "HasMoreDeliveryStreams": False}
    assert not (await lab.call("ListDeliveryStreams", DeliveryStreamType="KinesisStreamAsSource"))[
        "DeliveryStreamNames"
    ]


@in_process
async def test_limits_of_a_call(lab: Lab) -> None:
    """limits.html: 500 records, 1,000 KiB each, 4 MiB a call."""
    await lab.to_s3(seconds=900)
    big = base64.b64encode(b"x" * firehose.RECORD_BYTES).decode()
    await lab.call("PutRecord", Record={"Data": big})
    for operation, parameters, message in (
        ("PutRecord", {"Record": {"Data": base64.b64encode(b"x" * (firehose.RECORD_BYTES + 1)).decode()}}, "1024000"),
        ("PutRecordBatch", {"Records": [{"Data": "eA=="}] * 501}, "length less than or equal to 500"),
        ("PutRecordBatch", {"Records": [{"Data": big}] * 5}, "Records size exceeds 4 MB limit"),
        ("PutRecordBatch", {"Records": [{"Data": "?"}]}, "A record is not one"),
    ):
        with pytest.raises(AwsError) as caught:
            await lab.call(operation, **parameters)
        assert message in caught.value.message


@seeded(25, 300)
@given(
    data=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=60),
    plan=st.lists(st.sampled_from(["put", "bucket gone", "bucket back", "update", "split", "wait"]), max_size=12),
)
def test_whatever_happens_every_record_arrives(data: list[bytes], plan: list[str]) -> None:
    """At least once: a file under way when something changes may come twice, never not at all."""
    numbered = [f"{n}:".encode() + d.replace(b"\n", b"") for n, d in enumerate(data)]

    async def go() -> None:
        lab = Lab()
        await lab.to_s3(source=True, ProcessingConfiguration=NEWLINES)
        rest, version, shards = list(numbered), 1, 1
        for step in [*plan, "bucket back"]:
            if step == "put":
                lab.to_stream(*rest[:10])
                rest = rest[10:]
            elif step == "bucket gone":
                lab.buckets.discard("b")
            elif step == "bucket back":
                lab.buckets.add("b")
            elif step == "update":
                update = {"DestinationId": "destinationId-000000000001", "CurrentDeliveryStreamVersionId": str(version)}
                await lab.call("UpdateDestination", **update, ExtendedS3DestinationUpdate={"Prefix": f"2{version}/"})
                version += 1
            elif step == "split" and shards < 4:
                shards += 1
                lab.kinesis.call("UpdateShardCount", _scaled(shards), REGION)
            else:
                await asyncio.sleep(0.003)
        lab.to_stream(*rest)
        await lab.until(lambda: set(b"".join(lab.objects.values()).split(b"\n")) - {b""} == set(numbered))
        await lab.firehose.close()

    run(go())


# --- through boto3


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    folder = tmp_path_factory.mktemp("firehose") / "lab"
    info = server.start(folder, idle_exit=300)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in info.environment().items():
            patched.setenv(name, value)
        yield boto3.Session()
    server.stop(folder)


def role(session: boto3.Session, name: str, *statements: dict[str, Any]) -> str:
    """A role as the guide's controlling-access.html makes it, with the account as the external id."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "firehose.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "123456789012"}},
    }
    iam = session.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=_policy(*statements))
    return str(made)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_from_a_stream_into_a_bucket_and_what_its_role_may_not(session: boto3.Session, tmp_path: Path) -> None:
    fire, s3, kinesis = session.client("firehose"), session.client("s3"), session.client("kinesis")
    logs, iam = session.client("logs"), session.client("iam")
    s3.create_bucket(Bucket="landing")
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    logs.create_log_group(logGroupName="/aws/kinesisfirehose/orders")
    logs.create_log_stream(logGroupName="/aws/kinesisfirehose/orders", logStreamName="DestinationDelivery")
    stream = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
    read = {"Effect": "Allow", "Action": ["kinesis:Get*", "kinesis:Describe*", "kinesis:List*"], "Resource": stream}
    log = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
    arn = role(session, "delivery", read, log)
    settings: dict[str, Any] = {
        "DeliveryStreamName": "orders",
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": stream, "RoleARN": arn},
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": arn,
            "BucketARN": "arn:aws:s3:::landing",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
            "ProcessingConfiguration": NEWLINES,
            "CloudWatchLoggingOptions": {
                "Enabled": True,
                "LogGroupName": "/aws/kinesisfirehose/orders",
                "LogStreamName": "DestinationDelivery",
            },
        },
        "Tags": [{"Key": "workbook", "Value": "06"}],
    }
    fire.create_delivery_stream(**settings)
    with pytest.raises(ClientError, match="ResourceInUseException"):
        fire.create_delivery_stream(**settings)
    kinesis.put_records(
        StreamName="orders", Records=[{"Data": str(n).encode(), "PartitionKey": str(n)} for n in range(100)]
    )

    def told() -> list[str]:
        events = logs.get_log_events(
            logGroupName="/aws/kinesisfirehose/orders", logStreamName="DestinationDelivery", startFromHead=True
        )["events"]
        return [json.loads(e["message"])["errorCode"] for e in events]

    assert wait_until(told, "an error in the log")[0] == "S3.AccessDenied"
    write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::landing/*"}
    iam.put_role_policy(RoleName="delivery", PolicyName="w", PolicyDocument=_policy(write))

    def lines() -> list[int]:
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket="landing").get("Contents", [])]
        return sorted(int(x) for k in keys for x in s3.get_object(Bucket="landing", Key=k)["Body"].read().split())

    wait_until(lambda: lines() == list(range(100)), "all records in S3")
    metrics = session.client("cloudwatch")
    wait_until(lambda: metrics.list_metrics(Namespace="AWS/Firehose")["Metrics"], "metrics")
    fire.delete_delivery_stream(DeliveryStreamName="orders")
    assert fire.list_delivery_streams()["DeliveryStreamNames"] == []


def test_callers_need_the_right_on_the_stream_and_may_pass_the_role_only_if_allowed(session: boto3.Session) -> None:
    arn = role(session, "passed", {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
    iam = session.client("iam")
    iam.create_user(UserName="clerk")
    key = iam.create_access_key(UserName="clerk")["AccessKey"]
    clerk = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION).client("firehose")
    config = {"RoleARN": arn, "BucketARN": "arn:aws:s3:::landing"}
    mine = {
        "Effect": "Allow",
        "Action": "firehose:*",
        "Resource": "arn:aws:firehose:us-east-1:123456789012:deliverystream/mine",
    }
    iam.put_user_policy(UserName="clerk", PolicyName="p", PolicyDocument=_policy(mine))
    with pytest.raises(ClientError, match="firehose:CreateDeliveryStream on resource: .*deliverystream/other"):
        clerk.create_delivery_stream(DeliveryStreamName="other", ExtendedS3DestinationConfiguration=config)
    with pytest.raises(ClientError, match="iam:PassRole on resource: arn:aws:iam::123456789012:role/passed"):
        clerk.create_delivery_stream(DeliveryStreamName="mine", ExtendedS3DestinationConfiguration=config)
    may_pass = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn}
    iam.put_user_policy(UserName="clerk", PolicyName="q", PolicyDocument=_policy(may_pass))
    clerk.create_delivery_stream(DeliveryStreamName="mine", ExtendedS3DestinationConfiguration=config)
    assert clerk.put_record(DeliveryStreamName="mine", Record={"Data": b"x"})["RecordId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        clerk.list_delivery_streams()
    clerk.delete_delivery_stream(DeliveryStreamName="mine")
