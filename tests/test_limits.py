"""What AWS refuses: rates against a clock of their own, and members against AWS's models."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.localaws import limits, protocols
from helpers.localaws.types import AwsError

MIB = 1024 * 1024


def test_a_shard_takes_a_thousand_records_a_second() -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html"""
    limit = limits.WriteLimit()
    assert [limit.take(10, 100.0) for _ in range(1_001)] == [True] * 1_000 + [False]
    assert [limit.take(10, 100.5) for _ in range(501)] == [True] * 500 + [False]
    assert [limit.take(10, 200.0) for _ in range(1_001)].count(True) == 1_000, "rest is not saved up"


def test_a_shard_takes_a_mebibyte_a_second() -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html"""
    limit = limits.WriteLimit()
    assert limit.take(MIB, 100.0), "one record of the full size fits"
    assert not limit.take(1, 100.0)
    assert limit.take(MIB // 2, 100.5)


def test_what_is_refused_uses_up_neither_allowance() -> None:
    limit = limits.WriteLimit()
    assert limit.take(MIB - 10, 100.0)
    assert not any(limit.take(11, 100.0) for _ in range(5_000)), "bytes are used up"
    assert limit.records == 999
    assert limit.take(10, 100.0)

    full = limits.WriteLimit()
    assert all(full.take(1, 100.0) for _ in range(1_000))
    assert not any(full.take(1, 100.0) for _ in range(5_000)), "records are used up"
    assert full.bytes == MIB - 1_000


def test_a_clock_that_is_set_back_does_not_block_a_shard_for_ever() -> None:
    limit, bucket = limits.WriteLimit(), limits.Bucket(5)
    assert limit.take(MIB, 10_000.0) and not limit.take(1, 5_000.0) and limit.take(MIB, 5_001.0)
    assert all(bucket.take(10_000.0) for _ in range(5)) and not bucket.take(5_000.0) and bucket.take(5_001.0)


def test_five_reads_a_second() -> None:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html: five transactions a second"""
    limit = limits.ReadLimit()
    assert [limit.take(7.0) for _ in range(6)] == [True] * 5 + [False]
    assert not limit.take(7.1) and limit.take(7.21)


@pytest.mark.parametrize(("size", "seconds"), [(10 * MIB, 5.0), (4 * MIB, 2.0), (2 * MIB, 1.0)])
def test_a_large_read_closes_the_shard_until_it_has_made_up_for_it(size: int, seconds: float) -> None:
    """API_GetRecords.html: after 10 MiB calls within 5 s are refused; when throughput is used up, within 1 s."""
    limit = limits.ReadLimit()
    assert limit.take(50.0)
    limit.spend(size, 50.0)
    assert not limit.take(50.0 + seconds - 0.01)
    assert limit.take(50.0 + seconds + 0.01)


def test_small_reads_do_not_close_the_shard() -> None:
    limit = limits.ReadLimit()
    for _ in range(5):
        assert limit.take(50.0)
        limit.spend(MIB // 3, 50.0)
    assert limit.take(50.2)


def refusal(operation: str, parameters: dict[str, Any], service: str = "kinesis") -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        limits.check(service, operation, parameters)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("CreateStream", {}, "Value null at 'streamName' failed to satisfy constraint: Member must not be null"),
        (
            "CreateStream",
            {"StreamName": "s", "ShardCount": 0},
            "Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "CreateStream",
            {"StreamName": "a b"},
            "Value 'a b' at 'streamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            "DeleteStream",
            {"StreamName": "a" * 129},
            f"Value '{'a' * 129}' at 'streamName' failed to satisfy constraint: "
            "Member must have length less than or equal to 128",
        ),
        (
            "GetRecords",
            {"ShardIterator": "i", "Limit": 10_001},
            "Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
        ),
        (
            "PutRecords",
            {"StreamName": "s", "Records": []},
            "Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            "RemoveTagsFromStream",
            {"StreamName": "s", "TagKeys": ["fine", ""]},
            "Value '' at 'tagKeys.2.member' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_a_violated_constraint_is_told_in_awss_words(operation: str, parameters: dict[str, Any], message: str) -> None:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html: ValidationError; the words are those
    that AWS's services share."""
    assert refusal(operation, parameters) == ("ValidationException", f"1 validation error detected: {message}")


def test_an_unknown_word_is_told_with_the_words_there_are() -> None:
    code, message = refusal("GetShardIterator", {"StreamName": "s", "ShardId": "x", "ShardIteratorType": "NEWEST"})
    assert code == "ValidationException"
    assert "Value 'NEWEST' at 'shardIteratorType'" in message
    assert "Member must satisfy enum value set: [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER" in message


def test_all_violations_are_counted() -> None:
    _, message = refusal("SplitShard", {"StreamName": "", "ShardToSplit": "s", "NewStartingHashKey": "-1"})
    assert message.startswith("3 validation errors detected: Value '' at 'streamName'")
    assert message.count("; ") == 2 and "'newStartingHashKey'" in message


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("CreateStream", {"StreamName": 5}),
        ("CreateStream", {"StreamName": "s", "ShardCount": "2"}),
        ("CreateStream", {"StreamName": "s", "ShardCount": True}),
        ("CreateStream", {"StreamName": "s", "Tags": ["a"]}),
        ("AddTagsToStream", {"StreamName": "s", "Tags": {"a": None}}),
        ("RemoveTagsFromStream", {"StreamName": "s", "TagKeys": [None]}),
        ("DescribeStream", []),
    ],
)
def test_a_wrong_type_is_a_serialization_exception(operation: str, parameters: Any) -> None:
    assert refusal(operation, parameters)[0] == "SerializationException"


def test_of_a_rest_call_only_the_body_is_asked_for() -> None:
    limits.check("lambda", "UpdateEventSourceMapping", {"BatchSize": 10})
    limits.check("lambda", "CreateEventSourceMapping", {"FunctionName": "f", "Tags": {"städte": "Zürich 1"}})
    code, message = refusal("UpdateEventSourceMapping", {"BatchSize": 10_001}, "lambda")
    assert code == "ValidationException" and "Value '10001' at 'batchSize'" in message
    assert (
        "at 'functionResponseTypes.1.member'"
        in refusal("UpdateEventSourceMapping", {"FunctionResponseTypes": ["Some"]}, "lambda")[1]
    )


@pytest.mark.parametrize(("service", "word"), [("kinesis", ""), ("lambda", "EventSourceMapping")])
def test_python_reads_every_pattern_that_is_checked(service: str, word: str) -> None:
    model = protocols.model(service)
    names = {o["input"]["shape"] for name, o in model["operations"].items() if word in name}
    reached: set[str] = set()
    while names:
        reached.add(name := names.pop())
        shape = model["shapes"][name]
        inner = [*shape.get("members", {}).values(), *(shape[k] for k in ("member", "value") if k in shape)]
        names |= {m["shape"] for m in inner} - reached
    patterns = {model["shapes"][name]["pattern"] for name in reached if "pattern" in model["shapes"][name]}
    assert len(patterns) > 5
    assert all(limits._regex(pattern) for pattern in patterns)


@pytest.mark.parametrize("service", sorted(protocols.SERVICES))
def test_no_pattern_of_a_model_stops_the_check(service: str) -> None:
    """Some say more in Java's words than Python reads, and are not checked."""
    for shape in protocols.model(service)["shapes"].values():
        limits._problems({"pattern": shape.get("pattern", "")}, "string", "x")
