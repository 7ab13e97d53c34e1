"""Whatever strangers hand in: zips, a function's answers, records, log lines, schedules. Refused in words, or taken.

By the thousand here, by the hundred thousand in `make soak`; the seed is printed. Requests and signatures have theirs
in test_protocols, test_auth, test_front_door and test_security, templates in test_vtl and test_gateway, policies in
test_auth.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from played_lab import FUNCTION

from helpers.localaws import embedded_metrics, lambda_runtime, scheduler
from helpers.localaws.event_sources import kafka, kinesis, ordered, sqs
from helpers.localaws.kinesis import Record
from helpers.localaws.moto_seams import lambdas
from helpers.localaws.types import AwsError, Invocation
from tests.seeded import SEED, SOAK, seeded

COUNT = 100_000 if SOAK else 1_000

# Zips. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

NAMES = [
    "a.py", "pkg/__init__.py", "../outside.py", "../../../../tmp/outside.py", "/etc/outside.py", "a.py/below.py",
    "pkg/", "..", ".", "", "x" * 300, "é/ü.py", "a\\b.py", "C:/c.py", "nul\0l.py", "a//b.py", "pkg/./x.py", " ",
]  # fmt: skip


def archive(chance: random.Random) -> bytes:
    """A zip of odd names, modes and kinds, most often with some of its bytes changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as made:
        for _ in range(chance.randrange(4)):
            entry = zipfile.ZipInfo(chance.choice(NAMES))
            entry.external_attr = chance.choice([0, 0o644, 0o100755, 0o120777, 0o000, 0o177777]) << 16
            entry.flag_bits |= chance.choice([0, 0, 0, 1, 0x800])
            made.writestr(entry, chance.randbytes(chance.randrange(40)))
    data = bytearray(out.getvalue())
    for _ in range(chance.choice([0, 0, 1, 2, 8])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(4)
        if kind == 0 and data:
            data[at - 1] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = chance.choice([b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\xff\xff\xff\xff", b"\0"])
        elif kind == 2:
            del data[at : at + chance.randrange(30)]
        else:
            data = data[:at]
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_zip_is_refused_or_unpacked_in_its_place() -> None:
    print(f"WORKBOOK_SEED={SEED}")
    taken = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(COUNT):
            code = archive(random.Random(f"{SEED}.{number}"))
            try:
                lambdas.check_zip(code)
            except AwsError as error:
                assert error.code == "InvalidParameterValueException" and error.status == 400
                continue
            taken += 1
            place = Path(folder, str(number), "task")
            place.mkdir(parents=True)
            with contextlib.suppress(OSError, ValueError):  # a file that is a folder, too; a name that is too long
                lambda_runtime.extract(code, place)
            assert {path.name for path in place.parent.iterdir()} == {"task"}, f"case {number}"
            lambda_runtime._remove(place.parent)
    assert COUNT / 10 < taken < COUNT
    assert not Path("/etc/outside.py").exists() and not Path("/tmp/outside.py").exists()


def test_a_zip_cannot_change_what_lies_outside(tmp_path: Path) -> None:
    """Not even the mode of a file that is there already."""
    outside = tmp_path / "outside.py"
    outside.write_text("mine")
    outside.chmod(0o600)
    (tmp_path / "task").mkdir()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in ("../outside.py", str(outside)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100777 << 16
            made.writestr(entry, "yours")
    lambda_runtime.extract(out.getvalue(), tmp_path / "task")
    assert outside.read_text() == "mine" and outside.stat().st_mode & 0o777 == 0o600


def test_a_zip_that_would_fill_the_disk_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(27):
            made.writestr(f"{number}", b"\0" * 10_000_000)
    with pytest.raises(AwsError, match="Unzipped size must be smaller than 262144000 bytes"):
        lambdas.check_zip(out.getvalue())


# What a function answers to a batch. https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
    | st.sampled_from(["0", "1", "2", "49", "id-1", "id-0"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["batchItemFailures", "itemIdentifier", "partition", "offset", "x"]), inner),
    max_leaves=6,
)  # fmt: skip
reports = st.lists(st.fixed_dictionaries({"itemIdentifier": values}) | values, max_size=3).map(
    lambda found: {"batchItemFailures": found}
)
answers = st.one_of(st.binary(max_size=30), (values | reports).map(lambda v: json.dumps(v).encode()))


@seeded(1_000, 100_000)
@given(answers, st.integers(1, 4))
def test_any_answer_to_a_batch_is_read(answer: bytes, size: int) -> None:
    """All, none, or what comes before the first failure: never more than there was, and never an exception."""
    source: Any = SimpleNamespace(
        positions={}, arn="arn:aws:kinesis:us-east-1:123456789012:stream/s", bootstrap="b",
        parent=None, stream=SimpleNamespace(region="us-east-1", arn="s", retention_hours=24),
    )  # fmt: skip
    shard: Any = SimpleNamespace(id="shardId-000000000000", base=0, sequence=str)
    records = [Record(b"", "k", 0.0)] * size
    for part in (kinesis._Part(source, shard), kinesis._Lane(source, shard)):
        if isinstance(part, kinesis._Lane):
            for place, record in enumerate(records):
                part.add(3 * place, record)
        done = ordered._processed(answer, part, ordered.Batch(0, records))
        assert 0 <= done <= size
    config = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
    messages = [{"messageId": f"id-{n}", "receiptHandle": f"h{n}"} for n in range(size)]
    handles = sqs._processed(cast(Any, SimpleNamespace(config=config)), Invocation(answer), messages)
    assert set(handles) <= {f"h{n}" for n in range(size)}


# What comes to a function

keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@seeded(1_000, 100_000)
@given(
    st.lists(st.tuples(st.binary(max_size=60), keys, st.floats(0, 4e9)), min_size=1, max_size=5),
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=30), st.none() | st.binary(max_size=30),
            st.lists(st.tuples(keys, st.binary(max_size=9)), max_size=2), st.integers(-1, 2**62),
        ),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
def test_any_record_becomes_an_event_that_holds_it(stream: list[Any], topic: list[Any]) -> None:
    source: Any = SimpleNamespace(arn="arn", bootstrap="b:9092", stream=SimpleNamespace(region="r", arn="s"))
    shard: Any = SimpleNamespace(id="shardId-000000000000", base=7, sequence=str)
    lane = kinesis._Lane(source, shard)
    records = [Record(*given) for given in stream]
    for place, record in enumerate(records):
        lane.add(place, record)
    for part in (kinesis._Part(source, shard), lane):
        event = json.loads(part.event(FUNCTION, ordered.Batch(0, records)))
        got = [(base64.b64decode(r["kinesis"]["data"]), r["kinesis"]["partitionKey"]) for r in event["Records"]]
        assert got == [(data, key) for data, key, _ in stream]
        assert [r["kinesis"]["sequenceNumber"] for r in event["Records"]] == [str(8 + n) for n in range(len(records))]
    partition = object.__new__(kafka._Partition)
    partition.source, partition.id = source, "t-0"
    rows: list[Any] = [
        SimpleNamespace(
            topic="t", partition=0, offset=n, timestamp=at, timestamp_type=0, key=key, value=value, headers=h
        )
        for n, (key, value, h, at) in enumerate(topic)
    ]
    (found,) = json.loads(partition.event(FUNCTION, ordered.Batch(0, rows)))["records"].values()
    for row, shown in zip(topic, found, strict=True):
        assert [base64.b64decode(shown[n]) if n in shown else None for n in ("key", "value")] == list(row[:2])
        assert [(k, bytes(v)) for header in shown["headers"] for k, v in header.items()] == row[2]


# What a function prints, and what a schedule says

words = st.sampled_from(
    ["_aws", "CloudWatchMetrics", "Timestamp", "Dimensions", "Metrics", "Namespace", "Name", "Unit", "n", "x"]
)
documents = st.recursive(
    st.none() | st.integers() | st.floats() | words | st.sampled_from([1_790_000_000_000, 1e300, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=5,
)
metrics = st.fixed_dictionaries(
    {
        "_aws": st.fixed_dictionaries(
            {
                "Timestamp": st.integers(0, 2**53) | documents,
                "CloudWatchMetrics": st.lists(
                    st.fixed_dictionaries(
                        {
                            "Namespace": st.just("n") | documents,
                            "Dimensions": st.lists(st.lists(words, max_size=2), max_size=2) | documents,
                            "Metrics": st.lists(st.fixed_dictionaries({"Name": words}) | documents, max_size=2),
                        }
                    ),
                    max_size=2,
                ),
            }
        ),
        "n": documents, "x": documents,
    }
)  # fmt: skip


@seeded(1_000, 100_000)
@given((documents | metrics).map(json.dumps) | st.text(max_size=30).map(lambda t: '"_aws"' + t))
@example('{"_aws": {"Timestamp": 6.8e+19, "CloudWatchMetrics": []}}')
def test_any_log_line_is_a_metric_or_is_none(line: str) -> None:
    for namespace, data in embedded_metrics.find([(0, line)]):
        assert isinstance(namespace, str)
        for metric in data:
            assert isinstance(metric["MetricName"], str) and all(isinstance(v, float) for v in metric["Values"])


fields = st.sampled_from(
    ["*", "?", "0", "1", "7", "31", "59", "60", "L", "LW", "W", "15W", "MON", "MON-FRI", "JAN", "2#3", "6#5", "6L",
     "L-3", "1-5", "5-1", "*/5", "0/0", "1/7", "1,2,3", "2199", "2026-2030", "2026/4", "", "#", "-", "/", ",", "é"]
)  # fmt: skip
schedules = st.one_of(
    st.lists(fields, min_size=5, max_size=7).map(lambda f: f"cron({' '.join(f)})"),
    st.tuples(
        st.integers(-1, 10**9) | st.text(max_size=3), st.sampled_from(["minute", "minutes", "hours", "day", "days"])
    ).map(lambda p: f"rate({p[0]} {p[1]})"),
    st.text(st.sampled_from("cronrate(0 1*?/-,)L#W"), max_size=25),
)  # fmt: skip


@seeded(1_000, 100_000)
@given(schedules, st.floats(0, 4e9))
def test_any_schedule_ticks_later_or_never_or_is_refused(text: str, now: float) -> None:
    try:
        schedule = scheduler.Schedule(text)
    except AwsError as error:
        assert error.code == "ValidationException"
        return
    if (tick := schedule.after(now, now)) is not None:
        assert tick > now


# What a caller sends to a function


@seeded(1_000, 100_000)
@given(st.binary(max_size=40) | values.map(lambda v: json.dumps(v).encode()), answers)
def test_any_payload_and_client_context_is_taken_or_refused(payload: bytes, context: bytes) -> None:
    for check in (
        lambda: lambda_runtime._check_json(payload),
        lambda: lambda_runtime._context_header(payload.decode("latin-1")),
        lambda: lambda_runtime._context_header(base64.b64encode(context).decode()),
    ):
        try:
            header = check()
        except AwsError as error:
            assert error.code == "InvalidRequestContentException" and error.status == 400
        else:
            assert header is None or (header.endswith("\r\n") and header.count("\n") == 1)
