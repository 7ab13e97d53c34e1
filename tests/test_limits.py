"""What AWS allows: rates, against a clock of their own."""

from __future__ import annotations

import pytest

from helpers.localaws import limits

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
