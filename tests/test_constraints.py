"""What AWS refuses: members against AWS's own models."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.localaws import constraints, protocols
from helpers.localaws.types import AwsError


def refusal(operation: str, parameters: dict[str, Any], service: str = "kinesis") -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        constraints.check(service, operation, parameters)
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
    constraints.check("lambda", "UpdateEventSourceMapping", {"BatchSize": 10})
    constraints.check("lambda", "CreateEventSourceMapping", {"FunctionName": "f", "Tags": {"städte": "Zürich 1"}})
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
    assert all(constraints._regex(pattern) for pattern in patterns)


@pytest.mark.parametrize("service", sorted(protocols.SERVICES))
def test_no_pattern_of_a_model_stops_the_check(service: str) -> None:
    """Some say more in Java's words than Python reads, and are not checked."""
    for shape in protocols.model(service)["shapes"].values():
        constraints._problems({"type": "string", "pattern": shape.get("pattern", "")}, "x")
