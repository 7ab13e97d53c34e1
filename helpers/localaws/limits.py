"""What AWS allows: rates and sizes."""

from __future__ import annotations

from dataclasses import dataclass

# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
SHARD_RECORDS_PER_SECOND = 1_000
SHARD_BYTES_PER_SECOND = 1024 * 1024
SHARD_READS_PER_SECOND = 5  # GetRecords, and as many GetShardIterator
SHARD_READ_BYTES_PER_SECOND = 2 * 1024 * 1024
GET_RECORDS_BYTES = 10 * 1024 * 1024
SHARD_QUOTA = 500  # of a region, by default
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html; a stream takes records of 1 MiB until
# UpdateMaxRecordSize raises it, which this AWS refuses.
PUT_RECORDS_BYTES = 10 * 1024 * 1024
RECORD_BYTES = 1024 * 1024
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
ITERATOR_SECONDS = 300
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the payload of an invocation
LAMBDA_PAYLOAD = 6 * 1024 * 1024


@dataclass(slots=True)
class Bucket:
    """A rate per second that lets a second's worth through at once. Times are seconds of any one clock."""

    rate: float
    level: float = 0.0
    at: float = float("-inf")

    def take(self, now: float) -> bool:
        """Takes one if one is there."""
        self.refill(now)
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def refill(self, now: float) -> None:
        self.level = min(self.rate, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now


@dataclass(slots=True)
class WriteLimit:
    """What a shard takes in a second, records and bytes; what it refuses uses up neither."""

    records: float = SHARD_RECORDS_PER_SECOND
    bytes: float = SHARD_BYTES_PER_SECOND
    at: float = float("-inf")

    def take(self, size: int, now: float) -> bool:
        if now != self.at:
            passed = max(0.0, now - self.at)
            self.records = min(SHARD_RECORDS_PER_SECOND, self.records + passed * SHARD_RECORDS_PER_SECOND)
            self.bytes = min(SHARD_BYTES_PER_SECOND, self.bytes + passed * SHARD_BYTES_PER_SECOND)
            self.at = now
        if self.records < 1 or self.bytes < size:
            return False
        self.records -= 1
        self.bytes -= size
        return True


class ReadLimit:
    """What GetRecords gives from a shard in a second: five calls and 2 MiB.

    A call is answered in full, up to 10 MiB; it may use up more than is left, and then the shard refuses until it has
    made up for it: a second after 2 MiB, five seconds after 10 MiB.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
    """

    def __init__(self) -> None:
        self.calls, self.bytes = Bucket(SHARD_READS_PER_SECOND), Bucket(SHARD_READ_BYTES_PER_SECOND)
        self.closed_until = float("-inf")

    def take(self, now: float) -> bool:
        """Whether a call may read now."""
        return now >= self.closed_until and self.calls.take(now)

    def spend(self, size: int, now: float) -> None:
        """Says how many bytes a call that was let through has returned."""
        self.bytes.refill(now)
        self.bytes.level -= size
        if self.bytes.level <= 0:
            self.closed_until = now + (self.bytes.rate - self.bytes.level) / self.bytes.rate
