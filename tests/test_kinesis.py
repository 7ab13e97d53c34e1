"""Kinesis Data Streams: in process against a clock of the test's own, and through boto3 against a lab.

Each test names the page that its expectation rests on; API: https://docs.aws.amazon.com/kinesis/latest/APIReference/,
guide: https://docs.aws.amazon.com/streams/latest/dev/.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from helpers.localaws import protocols, server
from helpers.localaws.kinesis import Kinesis
from helpers.localaws.types import AwsError
from tests.seeded import seeded

REGION = "us-east-1"
ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
TOP = 2**128 - 1
SHARD = "shardId-{:012d}".format


class Lab:
    """Kinesis with a clock that the test moves, and short ways to call it."""

    def __init__(self, shards: int = 1, **more: Any) -> None:
        self.now = 1_700_000_000.0
        self.tags: list[Any] = []
        self.kinesis = Kinesis(lambda *a: self.tags.append(a), clock=lambda: self.now)
        self("CreateStream", ShardCount=shards, **more)

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if not {"NextToken", "ShardIterator", "StreamARN", "ResourceARN"} & parameters.keys():
            parameters.setdefault("StreamName", "s")
        if operation in ("DescribeLimits", "ListStreams"):
            parameters.pop("StreamName", None)
        return self.kinesis.call(operation, parameters, REGION)

    def put(self, data: str | bytes, key: str = "k", **more: Any) -> dict[str, Any]:
        return self("PutRecord", **entry(data, key, **more))

    def iterator(self, shard: int = 0, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        self.now += 1  # no test of positions is about rates
        return str(self("GetShardIterator", ShardId=SHARD(shard), ShardIteratorType=kind, **more)["ShardIterator"])

    def get(self, iterator: str, **more: Any) -> dict[str, Any]:
        return self("GetRecords", ShardIterator=iterator, **more)

    def read(self, shard: int = 0, kind: str = "TRIM_HORIZON", **more: Any) -> list[str]:
        return texts(self.get(self.iterator(shard, kind, **more)))

    def shards(self, **more: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("ListShards", **more)["Shards"]
        return found

    def metric(self) -> dict[str, dict[str, float]]:
        return {m["MetricName"]: m["StatisticValues"] for _, data in self.kinesis.drain_metrics() for m in data}


def entry(data: str | bytes, key: str = "k", **more: Any) -> dict[str, Any]:
    raw = data if isinstance(data, bytes) else data.encode()
    return {"Data": base64.b64encode(raw).decode(), "PartitionKey": key, **more}


def texts(answer: dict[str, Any]) -> list[str]:
    return [base64.b64decode(r["Data"]).decode() for r in answer["Records"]]


def refused(lab: Lab, operation: str, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        lab(operation, **parameters)
    return caught.value.code, caught.value.message


# Streams


def test_a_new_stream_divides_the_hash_keys_evenly() -> None:
    """guide: key-concepts.html#partition-key; the borders are those that AWS gives three shards."""
    shards = Lab(shards=3).shards()
    ranges = [(s["HashKeyRange"]["StartingHashKey"], s["HashKeyRange"]["EndingHashKey"]) for s in shards]
    assert ranges == [
        ("0", "113427455640312821154458202477256070484"),
        ("113427455640312821154458202477256070485", "226854911280625642308916404954512140969"),
        ("226854911280625642308916404954512140970", "340282366920938463463374607431768211455"),
    ]
    assert [s["ShardId"] for s in shards] == [SHARD(n) for n in range(3)]
    assert all(len(s["SequenceNumberRange"]["StartingSequenceNumber"]) == 56 for s in shards)
    assert not any("EndingSequenceNumber" in s["SequenceNumberRange"] or "ParentShardId" in s for s in shards)


def test_descriptions() -> None:
    """API: API_DescribeStreamSummary.html, API_DescribeStream.html, API_DescribeLimits.html"""
    lab = Lab(shards=2, Tags={"team": "blue"})
    brief = lab("DescribeStreamSummary")["StreamDescriptionSummary"]
    assert (brief["StreamName"], brief["StreamARN"], brief["StreamStatus"]) == ("s", ARN, "ACTIVE")
    assert (brief["RetentionPeriodHours"], brief["OpenShardCount"], brief["ConsumerCount"]) == (24, 2, 0)
    assert brief["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and brief["EncryptionType"] == "NONE"
    assert lab("DescribeStream", StreamARN=ARN)["StreamDescription"]["Shards"] == lab.shards()
    assert lab("DescribeLimits")["OpenShardCount"] == 2 and lab("DescribeLimits")["OnDemandStreamCount"] == 0


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"StreamName": "s", "ShardCount": 1}, "ResourceInUseException", "Stream s under account 123456789012 already"),
        (
            {"StreamName": "t", "StreamModeDetails": {"StreamMode": "PROVISIONED"}},
            "ValidationException",
            "ShardCount must be given",
        ),
        ({"StreamName": "t", "ShardCount": 500}, "LimitExceededException", "would exceed the shard limit"),
        (
            {"StreamName": "t", "ShardCount": 2, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
            "ValidationException",
            "not for one that is ON_DEMAND",
        ),
        ({"StreamName": "t", "ShardCount": 1, "MaxRecordSizeInKiB": 2048}, "InvalidArgumentException", "does not have"),
    ],
)
def test_streams_that_are_not_created(parameters: dict[str, Any], code: str, words: str) -> None:
    """API: API_CreateStream.html (errors); guide: service-sizes-and-limits.html (500 shards a region)"""
    lab = Lab()
    found, message = refused(lab, "CreateStream", **parameters)
    assert found == code and words in message
    assert lab("ListStreams")["StreamNames"] == ["s"]


def test_a_stream_on_demand_has_four_shards_and_reshards_by_itself_only() -> None:
    """guide: how-do-i-size-a-stream.html: 4 MB/s and 4,000 records/s to begin with; API: API_SplitShard.html,
    API_MergeShards.html, API_UpdateShardCount.html (all for the provisioned mode only); localstack/localstack,
    tests/aws/services/kinesis/test_kinesis.snapshot.json: four shards, too, when a call says nothing of them"""
    lab = Lab()
    lab("CreateStream", StreamName="unsaid")
    unsaid = lab("DescribeStreamSummary", StreamName="unsaid")["StreamDescriptionSummary"]
    assert (unsaid["OpenShardCount"], unsaid["StreamModeDetails"]) == (4, {"StreamMode": "ON_DEMAND"})
    lab("CreateStream", StreamName="d", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(lab("ListShards", StreamName="d")["Shards"]) == 4
    assert lab("DescribeLimits")["OnDemandStreamCount"] == 2
    for operation, more in [
        ("SplitShard", {"ShardToSplit": SHARD(0), "NewStartingHashKey": "1000"}),
        ("MergeShards", {"ShardToMerge": SHARD(0), "AdjacentShardToMerge": SHARD(1)}),
        ("UpdateShardCount", {"TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
    ]:
        code, message = refused(lab, operation, StreamName="d", **more)
        assert code == "ValidationException" and "is in On-Demand mode" in message
    lab("UpdateStreamMode", StreamARN=ARN.replace("/s", "/d"), StreamModeDetails={"StreamMode": "PROVISIONED"})
    lab("UpdateShardCount", StreamName="d", TargetShardCount=8, ScalingType="UNIFORM_SCALING")
    assert lab("DescribeStreamSummary", StreamName="d")["StreamDescriptionSummary"]["OpenShardCount"] == 8


def test_a_deleted_stream_is_gone_for_its_iterators_too() -> None:
    """API: API_DeleteStream.html"""
    lab = Lab()
    lab.put("old")
    iterator = lab.iterator()
    lab("DeleteStream")
    assert refused(lab, "GetRecords", ShardIterator=iterator)[0] == "ResourceNotFoundException"
    assert refused(lab, "PutRecord", **entry("x")) == (
        "ResourceNotFoundException",
        "Stream s under account 123456789012 not found.",
    )
    lab("CreateStream", ShardCount=1)
    assert refused(lab, "GetRecords", ShardIterator=iterator)[0] == "ResourceNotFoundException"
    assert lab.read() == []


def test_pages() -> None:
    """API: API_ListStreams.html, API_ListShards.html, API_DescribeStream.html, API_ListTagsForStream.html"""
    lab = Lab(shards=5)
    for name in ("c", "a", "b"):
        lab("CreateStream", StreamName=name, ShardCount=1)
    first = lab("ListStreams", Limit=2)
    assert first["StreamNames"] == ["a", "b"] and first["HasMoreStreams"] is True
    rest = lab("ListStreams", NextToken=first["NextToken"])
    assert rest["StreamNames"] == ["c", "s"] and rest["HasMoreStreams"] is False and "NextToken" not in rest
    assert lab("ListStreams", ExclusiveStartStreamName="b")["StreamNames"] == ["c", "s"]

    page = lab("ListShards", MaxResults=3)
    assert [s["ShardId"] for s in page["Shards"]] == [SHARD(n) for n in range(3)]
    last = lab("ListShards", NextToken=page["NextToken"])
    assert [s["ShardId"] for s in last["Shards"]] == [SHARD(3), SHARD(4)] and "NextToken" not in last
    assert refused(lab, "ListShards", NextToken=page["NextToken"], StreamName="s")[0] == "InvalidArgumentException"
    assert refused(lab, "ListShards", NextToken="nonsense")[0] == "ResourceNotFoundException"
    assert refused(lab, "ListShards", ShardFilter={"Type": "AT_TIMESTAMP"})[0] == "InvalidArgumentException"

    described = lab("DescribeStream", Limit=4)["StreamDescription"]
    assert len(described["Shards"]) == 4 and described["HasMoreShards"] is True
    described = lab("DescribeStream", ExclusiveStartShardId=SHARD(3))["StreamDescription"]
    assert [s["ShardId"] for s in described["Shards"]] == [SHARD(4)] and described["HasMoreShards"] is False


def test_tags() -> None:
    """API: API_AddTagsToStream.html, API_TagResource.html, API_ListTagsForStream.html"""
    lab = Lab(Tags={"a": "1"})
    lab("AddTagsToStream", Tags={"b": "2", "a": "0"})
    lab("TagResource", ResourceARN=ARN, Tags={"c": "3"})
    assert lab("ListTagsForStream", Limit=2) == {
        "Tags": [{"Key": "a", "Value": "0"}, {"Key": "b", "Value": "2"}],
        "HasMoreTags": True,
    }
    assert lab("ListTagsForStream", ExclusiveStartTagKey="b")["Tags"] == [{"Key": "c", "Value": "3"}]
    lab("RemoveTagsFromStream", TagKeys=["a", "nothing"])
    lab("UntagResource", ResourceARN=ARN, TagKeys=["b"])
    assert lab("ListTagsForResource", ResourceARN=ARN)["Tags"] == [{"Key": "c", "Value": "3"}]
    lab("DeleteStream")
    assert lab.tags == [
        (REGION, "s", {"a": "1"}),
        (REGION, "s", {"a": "0", "b": "2"}),
        (REGION, "s", {"a": "0", "b": "2", "c": "3"}),
        (REGION, "s", {"b": "2", "c": "3"}),
        (REGION, "s", {"c": "3"}),
        (REGION, "s", None),
    ]


# Putting


def test_a_key_goes_where_its_md5_points() -> None:
    """API: API_PutRecord.html. MD5("1") = c4ca…, MD5("user-1") = 5a0d…: the upper and the lower half."""
    lab = Lab(shards=2)
    assert lab.put("x", "1")["ShardId"] == SHARD(1)
    assert lab.put("x", "a")["ShardId"] == SHARD(0), "MD5 of 'a' is 0cc1…"
    assert lab.put("x", "1", ExplicitHashKey="0")["ShardId"] == SHARD(0)
    assert lab.put("x", "a", ExplicitHashKey=str(TOP))["ShardId"] == SHARD(1)


def test_sequence_numbers_grow_within_a_shard() -> None:
    """guide: key-concepts.html#sequence-number"""
    lab = Lab()
    numbers = [int(lab.put(str(n))["SequenceNumber"]) for n in range(50)]
    assert numbers == sorted(set(numbers)) and len(str(numbers[0])) == 56
    assert int(lab.shards()[0]["SequenceNumberRange"]["StartingSequenceNumber"]) < numbers[0]


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"PartitionKey": ""}, "ValidationException", "'partitionKey' failed to satisfy constraint: Member must have"),
        ({"PartitionKey": "k" * 257}, "ValidationException", "'partitionKey' failed to satisfy constraint"),
        ({"ExplicitHashKey": str(TOP + 1)}, "InvalidArgumentException", "must be in the range: [0, 2^128-1]"),
        ({"ExplicitHashKey": "01"}, "ValidationException", "'explicitHashKey' failed to satisfy constraint"),
        ({"Data": "=not base64"}, "SerializationException", "is not one"),
        ({"Data": entry(b"x" * (2**20))["Data"]}, "ValidationException", "'data' failed to satisfy constraint"),
        ({"DryRun": True}, "InvalidArgumentException", "does not have DryRun"),
    ],
)
def test_records_that_no_shard_takes(more: dict[str, Any], code: str, words: str) -> None:
    """API: API_PutRecord.html: key 1–256 characters, hash key below 2^128, data and key at most 1 MiB together"""
    lab = Lab()
    found, message = refused(lab, "PutRecord", **{**entry("x"), **more})
    assert found == code and words in message
    assert lab.read() == []


def test_the_largest_record_is_a_mebibyte_with_its_key() -> None:
    """API: API_PutRecord.html; a key counts as its UTF-8 bytes."""
    lab = Lab()
    lab.put(b"x" * (2**20 - 2), "ü")
    assert refused(lab, "PutRecord", **entry(b"x" * (2**20 - 1), "ü"))[0] == "ValidationException"


def test_one_bad_record_refuses_the_whole_call() -> None:
    """API: API_PutRecords.html: up to 500 records and 10 MiB a call"""
    lab = Lab(shards=20)
    code, message = refused(lab, "PutRecords", Records=[entry("a"), entry("b", "")])
    assert code == "ValidationException" and "'records.2.member.partitionKey'" in message
    assert refused(lab, "PutRecords", Records=[entry("a"), {"Data": "eA=="}])[0] == "SerializationException"
    assert (
        refused(lab, "PutRecords", Records=[entry("a"), entry("b", ExplicitHashKey=5)])[0] == "SerializationException"
    )
    assert refused(lab, "PutRecords", Records=[entry("a")] * 501)[0] == "ValidationException"
    large = [entry(b"x" * 1_000_000, str(n)) for n in range(11)]
    assert refused(lab, "PutRecords", Records=large)[0] == "InvalidArgumentException"
    assert all(lab.read(n) == [] for n in range(20))


def test_put_records_fails_in_part_and_says_which() -> None:
    """API: API_PutRecords.html: a full shard refuses its records, the others are stored, answers stand in order"""
    lab = Lab(shards=2)
    for _ in range(2):
        lab("PutRecords", Records=[entry("old", "a")] * 499)
    answer = lab("PutRecords", Records=[entry(str(n), "a" if n % 2 else "1") for n in range(20)])
    assert answer["FailedRecordCount"] == 8, "998 of the shard's 1,000 were used up"
    for n, result in enumerate(answer["Records"]):
        if n % 2 and n > 3:
            assert result == {
                "ErrorCode": "ProvisionedThroughputExceededException",
                "ErrorMessage": f"Rate exceeded for shard {SHARD(0)} in stream s under account 123456789012.",
            }
        else:
            assert result["ShardId"] == SHARD(int(not n % 2)) and result["SequenceNumber"]
    assert lab.read(1) == [str(n) for n in range(0, 20, 2)]
    assert lab.read(0)[-2:] == ["1", "3"]


def test_put_record_is_refused_by_a_full_shard_until_there_is_room() -> None:
    """guide: service-sizes-and-limits.html: 1,000 records and 1 MB a second, each way to fill it"""
    lab = Lab()
    lab.put(b"x" * 1_000_000)
    code, message = refused(lab, "PutRecord", **entry(b"x" * 100_000))
    assert code == "ProvisionedThroughputExceededException" and f"Rate exceeded for shard {SHARD(0)}" in message
    lab.put(b"x" * 40_000)
    lab.now += 0.1
    lab.put(b"x" * 100_000)
    lab.now += 10
    for _ in range(2):
        lab("PutRecords", Records=[entry("x")] * 500)
    assert refused(lab, "PutRecord", **entry("x"))[0] == "ProvisionedThroughputExceededException"


# Reading


def test_the_positions_of_an_iterator() -> None:
    """API: API_GetShardIterator.html, each ShardIteratorType"""
    lab = Lab()
    start = lab.shards()[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    numbers, times = [], []
    for n in range(5):
        lab.now += 1.5
        numbers.append(lab.put(str(n))["SequenceNumber"])
        times.append(lab.now)
    latest = lab.iterator(kind="LATEST")
    lab.put("5")
    assert lab.read() == ["0", "1", "2", "3", "4", "5"]
    assert texts(lab.get(latest)) == ["5"]
    assert lab.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == ["2", "3", "4", "5"]
    assert lab.read(kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == ["3", "4", "5"]
    assert lab.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=start)[0] == "0"
    assert lab.read(kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=start)[0] == "0"
    assert lab.read(kind="AT_TIMESTAMP", Timestamp=times[3]) == ["3", "4", "5"]
    assert lab.read(kind="AT_TIMESTAMP", Timestamp=times[3] + 0.001) == ["4", "5"]
    assert lab.read(kind="AT_TIMESTAMP", Timestamp=5.0) == lab.read(), "older than the stream: TRIM_HORIZON"
    shown = lab.get(lab.iterator())["Records"][3]
    assert shown["ApproximateArrivalTimestamp"] == times[3] and shown["SequenceNumber"] == numbers[3]
    assert shown["PartitionKey"] == "k"


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("AT_SEQUENCE_NUMBER", {}, "and no StartingSequenceNumber"),
        ("LATEST", {"StartingSequenceNumber": "1"}, "LATEST and also a StartingSequenceNumber"),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": "17"}, "did not come from this shard"),
        ("AT_TIMESTAMP", {}, "Must specify timestampInMillis"),
        ("AT_TIMESTAMP", {"Timestamp": 1_800_000_000}, "cannot be greater than the currentTimestampInMillis"),
    ],
)
def test_iterators_that_are_not_given(kind: str, more: dict[str, Any], words: str) -> None:
    """API: API_GetShardIterator.html: InvalidArgumentException"""
    code, message = refused(Lab(), "GetShardIterator", ShardId=SHARD(0), ShardIteratorType=kind, **more)
    assert code == "InvalidArgumentException" and words in message


def test_a_shards_number_is_not_anothers() -> None:
    lab = Lab(shards=2)
    number = lab.put("x", "1")["SequenceNumber"]
    wrong = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
    assert "did not come from this shard" in refused(lab, "GetShardIterator", ShardId=SHARD(0), **wrong)[1]
    code, message = refused(lab, "GetShardIterator", ShardId=SHARD(7), ShardIteratorType="LATEST")
    assert code == "ResourceNotFoundException"
    assert message == f"Shard {SHARD(7)} in stream s under account 123456789012 does not exist"


def test_reading_on_and_falling_behind() -> None:
    """API: API_GetRecords.html: Limit, NextShardIterator, MillisBehindLatest"""
    lab = Lab()
    for n in range(10):
        lab.put(str(n))
        lab.now += 1
    answer = lab.get(lab.iterator(), Limit=4)
    assert texts(answer) == ["0", "1", "2", "3"]
    assert answer["MillisBehindLatest"] == 8_000, "record 3 arrived at second 3, it is now second 11"
    rest = lab.get(answer["NextShardIterator"])
    assert texts(rest) == ["4", "5", "6", "7", "8", "9"] and rest["MillisBehindLatest"] == 0
    empty = lab.get(rest["NextShardIterator"])
    assert empty["Records"] == [] and empty["MillisBehindLatest"] == 0
    lab.put("10")
    assert texts(lab.get(empty["NextShardIterator"])) == ["10"]


def test_an_iterator_lives_for_five_minutes() -> None:
    """API: API_GetShardIterator.html; ExpiredIteratorException in API_GetRecords.html"""
    lab = Lab()
    iterator = lab.iterator()
    lab.now += 299
    assert lab.get(iterator)["Records"] == []
    lab.now += 2
    code, message = refused(lab, "GetRecords", ShardIterator=iterator)
    assert code == "ExpiredIteratorException"
    assert message == (
        "Iterator expired. The iterator was created at time Tue Nov 14 22:13:21 UTC 2023 while right now it is Tue Nov "
        "14 22:18:22 UTC 2023 which is further in the future than the tolerated delay of 300000 milliseconds."
    )


def test_an_iterator_cannot_be_made_up() -> None:
    """API: API_GetRecords.html: InvalidArgumentException"""
    lab, other = Lab(), Lab()
    iterator = lab.iterator()
    middle = len(iterator) // 2
    forged = iterator[:middle] + ("A" if iterator[middle] != "A" else "B") + iterator[middle + 1 :]
    for bad in ("x", "AAAA", "=", forged, other.iterator()):
        assert refused(lab, "GetRecords", ShardIterator=bad) == ("InvalidArgumentException", "Invalid ShardIterator.")


def test_five_reads_a_second_and_five_iterators() -> None:
    """API: API_GetRecords.html and API_GetShardIterator.html: five transactions a second for each shard"""
    lab = Lab(shards=2)
    iterators = [lab.iterator(n) for n in (0, 1)]
    for _ in range(5):
        lab.get(iterators[0])
    assert refused(lab, "GetRecords", ShardIterator=iterators[0])[0] == "ProvisionedThroughputExceededException"
    assert lab.get(iterators[1])["Records"] == [], "the other shard has its own"
    lab.now += 0.2
    lab.get(iterators[0])
    lab.now += 1
    ask = {"ShardId": SHARD(0), "ShardIteratorType": "LATEST"}
    for _ in range(5):
        lab("GetShardIterator", **ask)
    assert refused(lab, "GetShardIterator", **ask)[0] == "ProvisionedThroughputExceededException"


def test_a_read_gives_ten_mebibytes_and_then_nothing_for_five_seconds() -> None:
    """API: API_GetRecords.html: 10 MiB a call; calls within the next 5 seconds are refused"""
    lab = Lab()
    for _ in range(12):
        lab.now += 1
        lab.put(b"x" * 1_000_000)
    answer = lab.get(lab.iterator())
    assert len(answer["Records"]) == 10 and answer["MillisBehindLatest"] > 0
    lab.now += 4.7
    assert (
        refused(lab, "GetRecords", ShardIterator=answer["NextShardIterator"])[0]
        == "ProvisionedThroughputExceededException"
    )
    lab.now += 0.4
    assert len(lab.get(answer["NextShardIterator"])["Records"]) == 2


def test_retention() -> None:
    """guide: kinesis-extended-retention.html; API: API_IncreaseStreamRetentionPeriod.html (24 to 8,760 hours)"""
    lab = Lab()
    first = lab.put("day 0")["SequenceNumber"]
    lab.now += 23 * 3600
    lab.put("day 1")
    lab.kinesis.trim()
    assert lab.read() == ["day 0", "day 1"]
    lab.now += 2 * 3600
    old = lab.iterator()
    lab.kinesis.trim()
    assert lab.read() == ["day 1"]
    assert texts(lab.get(old)) == ["day 1"], "an iterator that points at what has gone reads what is left"
    assert lab.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=first) == ["day 1"]
    second = lab.put("day 2")["SequenceNumber"]
    assert lab.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=second) == ["day 2"], "numbers stay as they are"

    lab("IncreaseStreamRetentionPeriod", RetentionPeriodHours=48)
    lab.now += 23 * 3600
    lab.kinesis.trim()
    assert lab.read() == ["day 1", "day 2"]
    lab("DecreaseStreamRetentionPeriod", RetentionPeriodHours=24)
    assert lab.read() == ["day 2"], "what is older is gone at once"


@pytest.mark.parametrize(
    ("operation", "hours", "words"),
    [
        ("IncreaseStreamRetentionPeriod", 23, "Minimum allowed retention period is 24 hours."),
        ("IncreaseStreamRetentionPeriod", 8761, "Maximum allowed retention period is 8760 hours."),
        ("IncreaseStreamRetentionPeriod", 24, "can not be shorter than existing retention period (48 hours)"),
        ("DecreaseStreamRetentionPeriod", 72, "can not be longer than existing retention period (48 hours)"),
    ],
)
def test_retention_periods_that_are_refused(operation: str, hours: int, words: str) -> None:
    """API: API_IncreaseStreamRetentionPeriod.html, API_DecreaseStreamRetentionPeriod.html"""
    lab = Lab()
    lab("IncreaseStreamRetentionPeriod", RetentionPeriodHours=48)
    code, message = refused(lab, operation, RetentionPeriodHours=hours)
    assert code == "InvalidArgumentException" and words in message
    assert lab("DescribeStreamSummary")["StreamDescriptionSummary"]["RetentionPeriodHours"] == 48


# Resharding


def test_a_split_leaves_the_records_in_the_parent() -> None:
    """guide: kinesis-using-sdk-java-after-resharding.html; API: API_SplitShard.html, API_GetRecords.html"""
    lab = Lab()
    lab.put("before")
    iterator = lab.iterator()
    lab("SplitShard", ShardToSplit=SHARD(0), NewStartingHashKey=str(2**127))
    parent, low, high = lab.shards()
    assert parent["SequenceNumberRange"]["EndingSequenceNumber"]
    assert (low["HashKeyRange"], high["HashKeyRange"]) == (
        {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)},
        {"StartingHashKey": str(2**127), "EndingHashKey": str(TOP)},
    )
    assert low["ParentShardId"] == high["ParentShardId"] == SHARD(0) and "AdjacentParentShardId" not in low
    after = [lab.put("low", "a"), lab.put("high", "1")]
    assert [a["ShardId"] for a in after] == [SHARD(1), SHARD(2)]
    assert all(int(a["SequenceNumber"]) > int(parent["SequenceNumberRange"]["EndingSequenceNumber"]) for a in after)
    answer = lab.get(iterator)
    assert texts(answer) == ["before"] and "NextShardIterator" not in answer
    assert [c["ShardId"] for c in answer["ChildShards"]] == [SHARD(1), SHARD(2)]
    assert [list(c["ParentShards"]) for c in answer["ChildShards"]] == [[SHARD(0)], [SHARD(0)]]
    assert answer["ChildShards"][0]["HashKeyRange"] == low["HashKeyRange"]
    assert lab.read(1) == ["low"] and lab.read(2) == ["high"]
    assert [s["ShardId"] for s in lab.shards(ShardFilter={"Type": "AT_LATEST"})] == [SHARD(1), SHARD(2)]
    assert len(lab.shards(ShardFilter={"Type": "FROM_TRIM_HORIZON"})) == 3
    assert lab("DescribeStreamSummary")["StreamDescriptionSummary"]["OpenShardCount"] == 2
    assert lab.read(kind="LATEST") == [], "a closed shard has a valid iterator still"


def test_shards_are_found_by_when_they_were_open() -> None:
    """API: API_ShardFilter.html"""
    lab = Lab()
    made = lab.now
    lab.now += 3600
    lab("SplitShard", ShardToSplit=SHARD(0), NewStartingHashKey="5")
    split = lab.now
    lab.now += 3600
    lab("MergeShards", ShardToMerge=SHARD(1), AdjacentShardToMerge=SHARD(2))

    def found(kind: str, **more: Any) -> list[int]:
        pages = [lab("ListShards", ShardFilter={"Type": kind, **more}, MaxResults=1)]
        while "NextToken" in pages[-1]:
            pages.append(lab("ListShards", NextToken=pages[-1]["NextToken"], MaxResults=1))
        return [int(shard["ShardId"][-12:]) for page in pages for shard in page["Shards"]]

    assert found("AT_TRIM_HORIZON") == [0] and found("FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert found("AT_TIMESTAMP", Timestamp=made + 60) == [0] and found("AT_TIMESTAMP", Timestamp=split + 60) == [1, 2]
    assert found("AT_TIMESTAMP", Timestamp=lab.now + 1) == found("AT_LATEST") == [3]
    assert found("FROM_TIMESTAMP", Timestamp=split + 60) == [1, 2, 3]
    assert found("FROM_TIMESTAMP", Timestamp=0) == [0, 1, 2, 3]
    assert found("AFTER_SHARD_ID", ShardId=SHARD(1)) == [2, 3]
    lab.now = split + 24 * 3600 + 60
    assert found("AT_TRIM_HORIZON") == [1, 2]
    for wrong in ({"Type": "AT_TIMESTAMP"}, {"Type": "AFTER_SHARD_ID"}, {"Type": "AT_LATEST", "Timestamp": 1}):
        assert refused(lab, "ListShards", ShardFilter=wrong)[0] == "InvalidArgumentException"


def test_a_closed_shard_is_read_to_its_end_before_its_children_are_named() -> None:
    lab = Lab()
    for n in range(3):
        lab.put(str(n))
    lab("SplitShard", ShardToSplit=SHARD(0), NewStartingHashKey="5")
    answer = lab.get(lab.iterator(), Limit=2)
    assert "ChildShards" not in answer
    answer = lab.get(answer["NextShardIterator"], Limit=2)
    assert texts(answer) == ["2"] and len(answer["ChildShards"]) == 2 and "NextShardIterator" not in answer


def test_a_merge_has_two_parents() -> None:
    """API: API_MergeShards.html"""
    lab = Lab(shards=3)
    lab("MergeShards", ShardToMerge=SHARD(1), AdjacentShardToMerge=SHARD(2))
    child = lab.shards()[3]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (SHARD(1), SHARD(2))
    assert child["HashKeyRange"]["EndingHashKey"] == str(TOP)
    answer = lab.get(lab.iterator(2))
    assert [list(c["ParentShards"]) for c in answer["ChildShards"]] == [[SHARD(1), SHARD(2)]]


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "words"),
    [
        (
            "SplitShard",
            {"ShardToSplit": SHARD(9), "NewStartingHashKey": "5"},
            "ResourceNotFound",
            "Could not find shard",
        ),
        ("SplitShard", {"ShardToSplit": SHARD(0), "NewStartingHashKey": "1"}, "InvalidArgument", "is not both greater"),
        ("SplitShard", {"ShardToSplit": SHARD(0), "NewStartingHashKey": str(TOP)}, "InvalidArgument", "less than"),
        ("SplitShard", {"ShardToSplit": SHARD(3), "NewStartingHashKey": "9"}, "InvalidArgument", "already been merged"),
        ("MergeShards", {"ShardToMerge": SHARD(0), "AdjacentShardToMerge": SHARD(2)}, "InvalidArgument", "adjacent"),
        ("MergeShards", {"ShardToMerge": SHARD(3), "AdjacentShardToMerge": SHARD(2)}, "InvalidArgument", "already"),
        ("UpdateShardCount", {"TargetShardCount": 11}, "LimitExceeded", "cannot scale up over double"),
        ("UpdateShardCount", {"TargetShardCount": 2}, "LimitExceeded", "cannot scale down below half"),
    ],
)
def test_reshardings_that_are_refused(operation: str, parameters: dict[str, Any], code: str, words: str) -> None:
    """API: API_SplitShard.html, API_MergeShards.html, API_UpdateShardCount.html"""
    lab = Lab(shards=4)
    middle = int(lab.shards()[3]["HashKeyRange"]["StartingHashKey"]) + 100
    lab("SplitShard", ShardToSplit=SHARD(3), NewStartingHashKey=str(middle))
    before = lab.shards()
    if operation == "UpdateShardCount":
        parameters = {**parameters, "ScalingType": "UNIFORM_SCALING"}
    found, message = refused(lab, operation, **parameters)
    assert found == f"{code}Exception" and words in message
    assert lab.shards() == before


@pytest.mark.parametrize(
    ("current", "target"), [(1, 2), (2, 4), (4, 2), (2, 3), (3, 5), (5, 3), (3, 3), (7, 11), (9, 5)]
)
def test_update_shard_count_gives_shards_of_equal_size(current: int, target: int) -> None:
    """API: API_UpdateShardCount.html: uniform scaling, by splits and merges of single shards"""
    lab = Lab(shards=current)
    answer = lab("UpdateShardCount", TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"], answer["StreamARN"]) == (current, target, ARN)
    every = {s["ShardId"]: s for s in lab.shards()}
    is_open = [s for s in every.values() if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    ranges = sorted(
        (int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in is_open
    )
    assert len(ranges) == target and ranges[0][0] == 0 and ranges[-1][1] == TOP
    assert all(a[1] + 1 == b[0] for a, b in zip(ranges, ranges[1:], strict=False))
    sizes = [end - start for start, end in ranges]
    assert max(sizes) - min(sizes) <= 1
    for shard in every.values():  # every shard that was not there at first comes of shards that are closed
        parents = [shard[k] for k in ("ParentShardId", "AdjacentParentShardId") if k in shard]
        assert bool(parents) == (shard["ShardId"] >= SHARD(current))
        assert all("EndingSequenceNumber" in every[p]["SequenceNumberRange"] for p in parents)


def test_closed_shards_are_listed_until_their_records_expire() -> None:
    """guide: kinesis-using-sdk-java-after-resharding.html: OPEN, CLOSED, EXPIRED"""
    lab = Lab()
    lab("SplitShard", ShardToSplit=SHARD(0), NewStartingHashKey=str(2**127))
    iterator = lab.iterator()
    lab.now += 23 * 3600
    lab.kinesis.trim()
    assert len(lab.shards()) == 3
    lab.now += 2 * 3600
    lab.kinesis.trim()
    assert [s["ShardId"] for s in lab.shards()] == [SHARD(1), SHARD(2)]
    assert lab.shards()[0]["ParentShardId"] == SHARD(0)
    assert refused(lab, "GetRecords", ShardIterator=iterator)[0] == "ResourceNotFoundException"
    lab("SplitShard", ShardToSplit=SHARD(1), NewStartingHashKey="99")
    assert [s["ShardId"] for s in lab.shards()] == [SHARD(n) for n in (1, 2, 3, 4)], "an id is not given twice"


@seeded(30, 3_000)
@given(st.lists(st.tuples(st.sampled_from(["put", "split", "merge", "scale"]), st.integers(0, 10**6)), max_size=40))
def test_whatever_is_resharded_every_record_is_found_once_and_in_the_order_of_its_key(
    steps: list[tuple[str, int]],
) -> None:
    """guide: kinesis-using-sdk-java-after-resharding.html: parents first gives the order in which records were put"""
    lab, put = Lab(shards=2), []
    for step, number in steps:
        lab.now += 1
        is_open = [s for s in lab.shards(ShardFilter={"Type": "AT_LATEST"})]
        is_open.sort(key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
        chosen = is_open[number % len(is_open)]
        low, high = (int(chosen["HashKeyRange"][k]) for k in ("StartingHashKey", "EndingHashKey"))
        if step == "put":
            key = f"key {number % 7}"
            lab.put(f"{key}/{len(put)}", key)
            put.append((key, len(put)))
        elif step == "split" and len(is_open) < 12:
            lab("SplitShard", ShardToSplit=chosen["ShardId"], NewStartingHashKey=str((low + high) // 2))
        elif step == "merge" and chosen is not is_open[-1]:
            other = is_open[is_open.index(chosen) + 1]["ShardId"]
            lab("MergeShards", ShardToMerge=chosen["ShardId"], AdjacentShardToMerge=other)
        elif step == "scale":
            count = max(1, min(12, (len(is_open) + 1) // 2 + number % (len(is_open) + 1)))
            lab("UpdateShardCount", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
    found: list[tuple[str, int]] = []
    for shard in lab.shards():  # by id: parents come before their children
        for text in lab.read(int(shard["ShardId"][8:])):
            key, _, number_text = text.rpartition("/")
            found.append((key, int(number_text)))
    assert sorted(found) == sorted(put)
    for key in {key for key, _ in put}:
        assert [x for x in found if x[0] == key] == [x for x in put if x[0] == key]


def test_what_it_costs() -> None:
    """Processor time at its best, with room for a busy machine: it must not grow with what is stored."""
    lab, puts, gets = Lab(), [], []
    for n in range(20):
        lab.now += 1
        records = [entry(b"x" * 200, f"key {n} {m}") for m in range(500)]
        start = time.process_time()
        lab("PutRecords", Records=records)
        puts.append(time.process_time() - start)
    for _ in range(10):
        lab.now += 10
        iterator = lab.iterator()
        start = time.process_time()
        assert len(lab.get(iterator)["Records"]) == 10_000
        gets.append(time.process_time() - start)
    assert min(puts[10:]) < 0.006 and min(gets) < 0.1


# Metrics, strangers' input


def test_metrics() -> None:
    """guide: monitoring-with-cloudwatch.html: stream-level metrics and their statistics"""
    lab = Lab()
    lab.put(b"x" * 99)
    lab("PutRecords", Records=[entry(b"x" * 9, "kk")] * 500)
    lab("PutRecords", Records=[entry(b"x" * 9, "kk")] * 500)  # 499 of them fit
    assert refused(lab, "PutRecord", **entry("x"))[0] == "ProvisionedThroughputExceededException"
    metric = lab.metric()
    assert metric["IncomingRecords"] == {"SampleCount": 3, "Sum": 1000, "Minimum": 1, "Maximum": 500}
    assert metric["IncomingBytes"]["Sum"] == 100 + 999 * 11
    assert metric["WriteProvisionedThroughputExceeded"] == {"SampleCount": 4, "Sum": 2, "Minimum": 0, "Maximum": 1}
    assert metric["PutRecord.Success"] == {"SampleCount": 2, "Sum": 1, "Minimum": 0, "Maximum": 1}
    assert metric["PutRecords.Success"]["Sum"] == 2
    assert lab.metric() == {}, "what was drained is not told again"

    iterator = lab.iterator()
    lab.now += 60
    answer = lab.get(iterator, Limit=600)
    lab.get(answer["NextShardIterator"])
    for _ in range(3):
        lab.get(iterator, Limit=1)
    assert refused(lab, "GetRecords", ShardIterator=iterator)[0] == "ProvisionedThroughputExceededException"
    metric = lab.metric()
    assert metric["GetRecords.Records"] == {"SampleCount": 5, "Sum": 1003, "Minimum": 1, "Maximum": 600}
    assert metric["GetRecords.Bytes"]["Sum"] == 99 + 999 * 9 + 3 * 99
    age = metric["GetRecords.IteratorAgeMilliseconds"]
    assert age["Maximum"] == 61_000 and age["Minimum"] == 0, "zero once everything was read"
    assert metric["ReadProvisionedThroughputExceeded"] == {"SampleCount": 6, "Sum": 1, "Minimum": 0, "Maximum": 1}
    assert "WriteProvisionedThroughputExceeded" not in metric


def test_units_and_dimensions() -> None:
    lab = Lab()
    lab.put("x")
    lab.read()
    [(region, data)] = list(lab.kinesis.drain_metrics())
    units = {m["MetricName"]: m["Unit"] for m in data}
    assert region == REGION and all(m["Dimensions"] == [{"Name": "StreamName", "Value": "s"}] for m in data)
    assert (units["IncomingBytes"], units["IncomingRecords"]) == ("Bytes", "Count")
    assert units["GetRecords.IteratorAgeMilliseconds"] == "Milliseconds"


def test_what_is_not_built_is_refused() -> None:
    lab = Lab()
    built = {o for o in protocols.model("kinesis")["operations"] if hasattr(lab.kinesis, o)}
    assert {"PutRecord", "GetRecords", "UpdateShardCount"} <= built and "SubscribeToShard" not in built
    for operation in (*(protocols.model("kinesis")["operations"].keys() - built), "call", "_put", "Nonsense", ""):
        assert refused(lab, operation)[0] == "UnknownOperationException"


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(ARN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@seeded(300, 20_000)
@given(st.data())
def test_nothing_that_a_stranger_sends_breaks_it(data: st.DataObject) -> None:
    """Whatever the members hold, the answer is AWS's or an AwsError, and the stream is as good as before."""
    lab = Lab()
    operations = [o for o in protocols.model("kinesis")["operations"] if hasattr(lab.kinesis, o)]
    operation = data.draw(st.sampled_from(operations))
    model = protocols.model("kinesis")
    members = list(model["shapes"][model["operations"][operation]["input"]["shape"]].get("members", {}))
    real = {"StreamName": "s", "StreamARN": ARN, "ShardId": SHARD(0), "ShardIterator": lab.iterator(), "Limit": 3}
    parameters = {m: data.draw(_JUNK) for m in data.draw(st.lists(st.sampled_from(members or ["x"]), unique=True))}
    parameters |= {m: v for m, v in real.items() if m in members and data.draw(st.booleans())}
    if "Records" in parameters and data.draw(st.booleans()):
        names = st.sampled_from(["Data", "PartitionKey", "ExplicitHashKey"])
        parameters["Records"] = [data.draw(st.dictionaries(names, _JUNK | st.just("eA=="), max_size=3))]
    try:
        lab.kinesis.call(operation, parameters, REGION)
    except AwsError:
        pass
    if lab.kinesis.streams:
        lab.now += 10
        lab.put("still there")
        assert "still there" in [t for s in lab.shards() for t in lab.read(int(s["ShardId"][8:]))]


# Through boto3


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    folder = tmp_path_factory.mktemp("kinesis") / "lab"
    info = server.start(folder, idle_exit=300)
    kept = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    for key in kept:
        del os.environ[key]
    os.environ.update(info.environment(), AWS_CONFIG_FILE=os.devnull)
    yield boto3.Session()
    for key in (*info.environment(), "AWS_CONFIG_FILE"):
        os.environ.pop(key, None)
    os.environ.update(kept)
    server.stop(folder)


def test_a_stream_through_boto3(aws: boto3.Session) -> None:
    """The life of a stream with boto3's own waiters, paginators and types; API: API_CreateStream.html and on"""
    kinesis = aws.client("kinesis", config=Config(retries={"max_attempts": 0}))
    kinesis.create_stream(StreamName="life", ShardCount=3, Tags={"workbook": "test"})
    kinesis.get_waiter("stream_exists").wait(StreamName="life")
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.create_stream(StreamName="life", ShardCount=1)
    page = kinesis.list_shards(StreamName="life", MaxResults=2)
    shards = [s["ShardId"] for p in (page, kinesis.list_shards(NextToken=page["NextToken"])) for s in p["Shards"]]
    assert shards == [SHARD(n) for n in range(3)]
    described = kinesis.get_paginator("describe_stream").paginate(StreamName="life", PaginationConfig={"PageSize": 2})
    assert [s["ShardId"] for page in described for s in page["StreamDescription"]["Shards"]] == shards

    records = [{"Data": f"row {n}".encode(), "PartitionKey": str(n)} for n in range(300)]
    answer = kinesis.put_records(StreamName="life", Records=records)
    assert answer["FailedRecordCount"] == 0
    numbers = {r["SequenceNumber"] for r in answer["Records"]}
    found = []
    for shard in shards:
        iterator = kinesis.get_shard_iterator(StreamName="life", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        page = kinesis.get_records(ShardIterator=iterator["ShardIterator"], Limit=10_000)
        found += page["Records"]
        assert page["MillisBehindLatest"] == 0 and page["NextShardIterator"]
    assert {r["SequenceNumber"] for r in found} == numbers
    assert {r["Data"] for r in found} == {f"row {n}".encode() for n in range(300)}
    newest = max(r["ApproximateArrivalTimestamp"] for r in found)
    assert abs(datetime.now(UTC) - newest) < timedelta(seconds=60)
    again = kinesis.get_shard_iterator(
        StreamName="life", ShardId=SHARD(0), ShardIteratorType="AT_TIMESTAMP", Timestamp=newest - timedelta(hours=1)
    )
    assert kinesis.get_records(ShardIterator=again["ShardIterator"])["Records"]

    kinesis.update_shard_count(StreamName="life", TargetShardCount=6, ScalingType="UNIFORM_SCALING")
    kinesis.get_waiter("stream_exists").wait(StreamName="life")
    assert kinesis.describe_stream_summary(StreamName="life")["StreamDescriptionSummary"]["OpenShardCount"] == 6
    kinesis.delete_stream(StreamName="life")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="life")
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException, match="Stream life under account .* not found"):
        kinesis.put_record(StreamName="life", Data=b"x", PartitionKey="k")


def test_throttling_through_boto3_and_what_cloudwatch_shows(aws: boto3.Session) -> None:
    """API: API_PutRecords.html; guide: monitoring-with-cloudwatch.html"""
    kinesis = aws.client("kinesis", config=Config(retries={"max_attempts": 0}))
    cloudwatch = aws.client("cloudwatch")
    kinesis.create_stream(StreamName="narrow", ShardCount=1)
    batch = [{"Data": b"x" * 100, "PartitionKey": "k"}] * 500
    answers = [kinesis.put_records(StreamName="narrow", Records=batch) for _ in range(6)]
    failed = sum(a["FailedRecordCount"] for a in answers)
    assert 0 < failed < 3000 - 999
    codes = {r.get("ErrorCode") for a in answers for r in a["Records"]}
    assert codes == {None, "ProvisionedThroughputExceededException"}
    with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException, match=f"Rate exceeded.*{SHARD(0)}"):
        for _ in range(3000):
            kinesis.put_record(StreamName="narrow", Data=b"x" * 60_000, PartitionKey="k")

    def total(name: str, what: str = "Sum") -> float:
        dimension = [{"Name": "StreamName", "Value": "narrow"}]
        span = {
            "StartTime": datetime.now(UTC) - timedelta(hours=1),
            "EndTime": datetime.now(UTC) + timedelta(minutes=5),
        }
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Kinesis", MetricName=name, Dimensions=dimension, Period=7200, Statistics=[what], **span
        )["Datapoints"]
        return float(sum(p[what] for p in points))

    deadline = time.monotonic() + 60
    while total("WriteProvisionedThroughputExceeded") < failed + 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert total("WriteProvisionedThroughputExceeded") == failed + 1
    assert total("IncomingRecords") >= 3000 - failed
    assert total("PutRecords.Success", "SampleCount") == 6


def test_errors_through_boto3(aws: boto3.Session) -> None:
    """The codes reach botocore as its exceptions; API: API_GetRecords.html, CommonErrors.html"""
    kinesis = aws.client("kinesis", config=Config(retries={"max_attempts": 0}))
    kinesis.create_stream(StreamName="errors", ShardCount=1)
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="Invalid ShardIterator"):
        kinesis.get_records(ShardIterator="x")
    with pytest.raises(ClientError, match="Value '10001' at 'limit'") as caught:
        kinesis.get_records(ShardIterator="x", Limit=10_001)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as caught:
        kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="fan")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
