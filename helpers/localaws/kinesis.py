"""Kinesis Data Streams: streams, shards and records, with the limits and errors that AWS documents.

It lives on the loop; moto's Kinesis is not used (it moves the records of a shard that is split, and knows no limits).
Pages: https://docs.aws.amazon.com/kinesis/latest/APIReference/Welcome.html, and those in limits.py. A change of a
stream is done when the call returns (AWS takes a while, and shows it in StreamStatus). A stream in ON_DEMAND mode has
AWS's four shards to begin with and does not scale by itself. Calls are limited by shard, not by account; a stream may
be resized and tagged as often as one likes (on AWS ten times a day, with 50 tags). Refused:
enhanced fan-out, encryption, enhanced monitoring, resource policies, dry runs, warm throughput, records above 1 MiB.
"""

from __future__ import annotations

import asyncio
import binascii
import bisect
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, partialmethod
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from . import constraints, limits
from .metrics import Metrics
from .types import ACCOUNT_ID, AwsError

_TOP = 2**128
_HASH_KEY = re.compile(r"0|[1-9]\d{0,38}")
_BEYOND = {"DryRun", "WarmThroughputMiBps", "MaxRecordSizeInKiB", "RecordDistributionStrategy"}
Parameters = dict[str, Any]
OnTags = Callable[[str, str, "dict[str, str] | None"], None]  # (region, stream, tags; None: the stream is gone)
_invalid = partial(AwsError, "InvalidArgumentException")
_missing = partial(AwsError, "ResourceNotFoundException")
_over_limit = partial(AwsError, "LimitExceededException")
_validation = partial(AwsError, "ValidationException")


class Record(NamedTuple):
    """One record as stored: `arrival` in epoch seconds, to the millisecond, as AWS shows it."""

    data: bytes
    partition_key: str
    arrival: float


class Shard:
    """One shard: a log of records, of which the first `trimmed` have left by retention.

    Sequence numbers have 56 digits and grow with the shard's opening time, its number and the record's index, so
    that a child's are greater than its parents'. The shard's own start comes before its first record's.
    """

    def __init__(self, number: int, start: int, end: int, parents: tuple[str, ...], now: float) -> None:
        self.id, self.start, self.end, self.parents = f"shardId-{number:012d}", start, end, parents
        self.base = 49 * 10**54 + int(now * 1_000_000) * 10**36 + number * 10**20
        self.records: list[Record] = []
        self.trimmed = 0
        self.opened, self.closed = now, None  # type: float, float | None
        self.news = asyncio.Event()  # set by a record that comes, and when the shard closes or its stream goes
        self.writes, self.reads = limits.WriteLimit(), limits.ReadLimit()
        self.iterators = limits.Bucket(limits.SHARD_READS_PER_SECOND)

    @property
    def end_index(self) -> int:
        """The index that the next record gets."""
        return self.trimmed + len(self.records)

    def sequence(self, index: int) -> str:
        return str(self.base + 1 + index)

    def read(self, index: int, count: int) -> tuple[int, list[Record], int]:
        """(index of the first record, records, bytes) from `index` on: at most `count` records and 10 MiB."""
        first, size = max(index, self.trimmed), 0
        chosen = self.records[first - self.trimmed : first - self.trimmed + count]
        for n, record in enumerate(chosen):
            size += len(record[0])
            if size > limits.GET_RECORDS_BYTES:
                return first, chosen[:n], size - len(record[0])
        return first, chosen, size

    def trim(self, before: float) -> None:
        """Drops what arrived before a time: retention."""
        gone = bisect.bisect_left(self.records, before, key=itemgetter(2))
        del self.records[:gone]
        self.trimmed += gone

    def describe(self) -> dict[str, Any]:
        numbers = {"StartingSequenceNumber": str(self.base)}
        if self.closed:
            numbers["EndingSequenceNumber"] = self.sequence(self.end_index)
        parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), self.parents, strict=False))
        keys = {"StartingHashKey": str(self.start), "EndingHashKey": str(self.end)}
        return {"ShardId": self.id, "HashKeyRange": keys, "SequenceNumberRange": numbers, **parents}


class Stream:
    """A stream and its shards, open and closed, by id."""

    def __init__(self, name: str, region: str, mode: str, now: float) -> None:
        self.name, self.region, self.mode, self.created = name, region, mode, now
        self.arn = f"arn:aws:kinesis:{region}:{ACCOUNT_ID}:stream/{name}"
        self.where = f"in stream {name} under account {ACCOUNT_ID}"
        self.retention_hours, self.opened, self.deleted = 24, 0, False
        self.tags: dict[str, str] = {}
        self.shards: dict[str, Shard] = {}
        self.metrics = Metrics()

    def replace(self, old: list[Shard], ranges: list[tuple[int, int]], now: float) -> None:
        """Closes `old` and opens a shard for each range of hash keys; the records stay where they are.

        https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
        """
        for start, end in ranges:
            child = Shard(self.opened, start, end, tuple(s.id for s in old), now)
            self.shards[child.id] = child
            self.opened += 1
        for shard in old:
            shard.closed = now
            shard.news.set()
        self.open_shards = sorted((s for s in self.shards.values() if not s.closed), key=lambda s: s.start)
        self.starts = [s.start for s in self.open_shards]

    def shard_for(self, hash_key: int) -> Shard:
        return self.open_shards[bisect.bisect_right(self.starts, hash_key) - 1]

    def trim(self, now: float) -> None:
        """Retention: records that are past it go, and shards that have been closed for as long (EXPIRED on AWS)."""
        oldest = now - self.retention_hours * 3600
        for shard in self.shards.values():
            shard.trim(oldest)
        self.shards = {k: s for k, s in self.shards.items() if not s.closed or s.closed >= oldest}

    def count_read(self, records: int, size: int, age: float) -> None:
        """`age`: seconds since the last record read arrived, 0 when nothing is left to read."""
        self.metrics.add("GetRecords.Records", records)
        self.metrics.add("GetRecords.Bytes", size)
        self.metrics.add("GetRecords.IteratorAgeMilliseconds", int(age * 1000))

    def summary(self) -> dict[str, Any]:
        return {
            "StreamName": self.name, "StreamARN": self.arn, "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": self.mode}, "StreamCreationTimestamp": round(self.created, 3),
            "RetentionPeriodHours": self.retention_hours, "EncryptionType": "NONE",
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        }  # fmt: skip


def _throttled(shard: Shard, stream: Stream) -> AwsError:
    return AwsError("ProvisionedThroughputExceededException", f"Rate exceeded for shard {shard.id} {stream.where}.")


@lru_cache(16_384)
def _hash_key(partition_key: str) -> int:
    """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html: the key's MD5, as a number."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def _uniform(count: int) -> list[tuple[int, int]]:
    """The hash keys of `count` shards of equal size."""
    return [(_TOP * i // count, _TOP * (i + 1) // count - 1) for i in range(count)]


class Kinesis:
    """The service: a method for each operation, named as AWS names it. `clock` gives epoch seconds."""

    def __init__(self, on_tags: OnTags = lambda *_: None, clock: Callable[[], float] = time.time) -> None:
        self.streams: dict[str, Stream] = {}  # by ARN
        self.clock, self._on_tags = clock, on_tags
        self._secret = os.urandom(16)  # iterators are opaque, and only this process's own are taken

    def call(self, operation: str, parameters: Parameters, region: str) -> dict[str, Any]:
        """What AWS answers to an operation's parameters, as boto3 sends them."""
        handler = getattr(self, operation, None) if operation[:1].isupper() else None
        if handler is None:
            raise AwsError("UnknownOperationException", f"The local AWS does not have kinesis:{operation}.")
        parameters = constraints.check("kinesis", operation, parameters, skip="records")
        if beyond := [name for name in parameters.keys() & _BEYOND if parameters[name]]:
            raise _invalid(f"The local AWS does not have {beyond[0]} for Kinesis.")
        if operation in ("CreateStream", "DescribeLimits", "ListStreams", "ListShards", "GetRecords"):
            answer = handler(parameters, region)
        else:
            answer = handler(self.find(parameters, region), parameters)
        return answer or {}

    def find(self, parameters: Parameters, region: str) -> Stream:
        """The stream that StreamName, StreamARN or ResourceARN names; raises ResourceNotFoundException."""
        name, arn = parameters.get("StreamName"), parameters.get("StreamARN") or parameters.get("ResourceARN")
        if not name and not arn:
            raise _invalid("Missing StreamName or StreamARN.")
        arn = arn or f"arn:aws:kinesis:{region}:{ACCOUNT_ID}:stream/{name}"
        if stream := self.streams.get(arn):
            return stream
        raise _missing(f"Stream {arn.rpartition('/')[2]} under account {ACCOUNT_ID} not found.")

    # Streams

    def CreateStream(self, p: Parameters, region: str) -> None:
        meant = "PROVISIONED" if "ShardCount" in p else "ON_DEMAND"  # by a call without StreamModeDetails
        name, mode = p["StreamName"], p.get("StreamModeDetails", {}).get("StreamMode", meant)
        if (mode == "ON_DEMAND") == ("ShardCount" in p):
            raise _validation("ShardCount must be given for a PROVISIONED stream, and not for one that is ON_DEMAND.")
        count, stream = p.get("ShardCount", 4), Stream(name, region, mode, self.clock())
        if stream.arn in self.streams:
            raise AwsError("ResourceInUseException", f"Stream {name} under account {ACCOUNT_ID} already exists.")
        self._check_quota(count, region)
        self.streams[stream.arn] = stream
        stream.replace([], _uniform(count), stream.created)
        self.AddTagsToStream(stream, p)

    def _open_in(self, region: str) -> int:
        return sum(len(s.open_shards) for s in self.streams.values() if s.region == region)

    def _check_quota(self, more: int, region: str) -> None:
        if (used := self._open_in(region)) + more > limits.SHARD_QUOTA:
            text = f"This request would exceed the shard limit for the account {ACCOUNT_ID} in {region}. Current shard "
            raise _over_limit(f"{text}count for the account: {used}. Limit: {limits.SHARD_QUOTA}. Asked for: {more}.")

    def DeleteStream(self, stream: Stream, p: Parameters) -> None:
        del self.streams[stream.arn]
        stream.deleted = True
        for shard in stream.shards.values():
            shard.news.set()
        self._on_tags(stream.region, stream.name, None)

    def DescribeStream(self, stream: Stream, p: Parameters) -> Parameters:
        shards = [s.describe() for s in stream.shards.values() if s.id > p.get("ExclusiveStartShardId", "")]
        page = shards[: min(p.get("Limit", 100), 100)]
        return {"StreamDescription": {**stream.summary(), "Shards": page, "HasMoreShards": len(page) < len(shards)}}

    def DescribeStreamSummary(self, stream: Stream, p: Parameters) -> Parameters:
        counts = {"OpenShardCount": len(stream.open_shards), "ConsumerCount": 0}
        return {"StreamDescriptionSummary": {**stream.summary(), **counts}}

    def DescribeLimits(self, p: Parameters, region: str) -> Parameters:
        on_demand = sum(s.mode == "ON_DEMAND" and s.region == region for s in self.streams.values())
        counts = {"OnDemandStreamCount": on_demand, "OnDemandStreamCountLimit": 50}
        return {"ShardLimit": limits.SHARD_QUOTA, "OpenShardCount": self._open_in(region), **counts}

    def ListStreams(self, p: Parameters, region: str) -> Parameters:
        after = p.get("NextToken") or p.get("ExclusiveStartStreamName", "")
        found = [s.summary() for _, s in sorted(self.streams.items()) if s.region == region and s.name > after]
        page = found[: p.get("Limit", 100)]
        names, more = [s["StreamName"] for s in page], len(page) < len(found)
        answer = {"StreamNames": names, "HasMoreStreams": more, "StreamSummaries": page}
        return {**answer, "NextToken": names[-1]} if more else answer

    def ListShards(self, p: Parameters, region: str) -> Parameters:
        """https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html"""
        arn, after, wanted = None, p.get("ExclusiveStartShardId", ""), p.get("ShardFilter", {})
        if token := p.get("NextToken"):
            arn, after, kind, at = (token.split("|") + [""] * 3)[:4]
            wanted = {"Type": kind, "Timestamp": float(at)} if re.fullmatch(r"\d+(\.\d+)?", at) else {"Type": kind}
            if {"StreamName", "StreamARN", "ExclusiveStartShardId"} & p.keys():
                raise _invalid("NextToken and StreamName cannot be provided together.")
        kind, stream = wanted.get("Type", ""), self.find({"StreamARN": arn} if arn else p, region)
        if kind == "AFTER_SHARD_ID":
            after = max(after, wanted.get("ShardId", ""))
        horizon = max(stream.created, self.clock() - stream.retention_hours * 3600)
        at = horizon if kind == "AT_TRIM_HORIZON" else wanted.get("Timestamp")
        for name, kinds in (("ShardId", "AFTER_SHARD_ID"), ("Timestamp", "AT_TIMESTAMP or FROM_TIMESTAMP")):
            if not token and (name in wanted) != (kind in kinds.split()):
                raise _invalid(f"{name} must be given with a ShardFilter of {kinds}, and with no other.")
        shards = [s for s in stream.shards.values() if s.id > after and not (kind == "AT_LATEST" and s.closed)]
        if at is not None:
            shards = [s for s in shards if not s.closed or s.closed >= max(at, horizon)]
            shards = [s for s in shards if kind == "FROM_TIMESTAMP" or s.opened <= at]
        page = [s.describe() for s in shards[: min(p.get("MaxResults", 1000), 1000)]]
        told = f"{stream.arn}|{page[-1]['ShardId']}|{kind}|{'' if at is None else at}" if page else ""
        return {"Shards": page, **({"NextToken": told} if len(page) < len(shards) else {})}

    def UpdateStreamMode(self, stream: Stream, p: Parameters) -> None:
        stream.mode = p["StreamModeDetails"]["StreamMode"]

    def IncreaseStreamRetentionPeriod(self, stream: Stream, p: Parameters, grows: bool = True) -> None:
        hours, old = p["RetentionPeriodHours"], stream.retention_hours
        asked, other = f"Requested retention period ({hours} hours)", "Decrease" if grows else "Increase"
        if hours < 24:
            raise _invalid(f"Minimum allowed retention period is 24 hours. {asked} is too short.")
        if hours > 8760:
            raise _invalid(f"Maximum allowed retention period is 8760 hours. {asked} is too long.")
        if hours != old and grows != (hours > old):
            text = f"can not be {'shorter' if grows else 'longer'} than existing retention period ({old} hours)."
            raise _invalid(f"{asked} for stream {stream.name} {text} Use {other}RetentionPeriod API.")
        stream.retention_hours = hours
        stream.trim(self.clock())

    DecreaseStreamRetentionPeriod = partialmethod(IncreaseStreamRetentionPeriod, grows=False)

    def AddTagsToStream(self, stream: Stream, p: Parameters) -> None:
        stream.tags = stream.tags | p.get("Tags", {})
        self._on_tags(stream.region, stream.name, stream.tags)

    def RemoveTagsFromStream(self, stream: Stream, p: Parameters) -> None:
        stream.tags = {k: v for k, v in stream.tags.items() if k not in p["TagKeys"]}
        self._on_tags(stream.region, stream.name, stream.tags)

    def ListTagsForStream(self, stream: Stream, p: Parameters) -> Parameters:
        after = p.get("ExclusiveStartTagKey", "")
        tags = [{"Key": k, "Value": v} for k, v in sorted(stream.tags.items()) if k > after]
        page = tags[: p.get("Limit", 50)]
        return {"Tags": page, "HasMoreTags": len(page) < len(tags)}

    TagResource, UntagResource, ListTagsForResource = AddTagsToStream, RemoveTagsFromStream, ListTagsForStream

    # Resharding

    @staticmethod
    def _provisioned(stream: Stream, *shard_ids: str) -> list[Shard]:
        """The shards to be changed; raises AwsError when they, or the stream's mode, do not allow it."""
        if stream.mode == "ON_DEMAND":
            text = f"Request is invalid. Stream {stream.name} under account {ACCOUNT_ID} is in On-Demand mode."
            raise _validation(text)
        for shard_id in shard_ids:
            if shard_id not in stream.shards:
                raise _missing(f"Could not find shard {shard_id} {stream.where}.")
            if stream.shards[shard_id].closed:
                text = f"Shard {shard_id} {stream.where} has already been merged or split, and thus is not eligible"
                raise _invalid(f"{text} for merging or splitting.")
        return [stream.shards[s] for s in shard_ids]

    def SplitShard(self, stream: Stream, p: Parameters) -> None:
        [shard], at = self._provisioned(stream, p["ShardToSplit"]), int(p["NewStartingHashKey"])
        if not shard.start + 1 < at < shard.end:
            text = f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} {stream.where} is not both"
            text += f" greater than one plus the shard's StartingHashKey {shard.start}"
            raise _invalid(f"{text} and less than the shard's EndingHashKey {shard.end}.")
        self._check_quota(1, stream.region)
        stream.replace([shard], [(shard.start, at - 1), (at, shard.end)], self.clock())

    def MergeShards(self, stream: Stream, p: Parameters) -> None:
        pair = self._provisioned(stream, p["ShardToMerge"], p["AdjacentShardToMerge"])
        low, high = sorted(pair, key=lambda s: s.start)
        if low.end + 1 != high.start:
            text = f"Shards {pair[0].id} and {pair[1].id} {stream.where} are not an adjacent pair of shards eligible "
            raise _invalid(text + "for merging")
        stream.replace(pair, [(low.start, high.end)], self.clock())

    def UpdateShardCount(self, stream: Stream, p: Parameters) -> Parameters:
        """Splits at every new border and merges across every old one, as AWS does, by way of short-lived shards."""
        self._provisioned(stream)
        target, current, now = p["TargetShardCount"], len(stream.open_shards), self.clock()
        if not current / 2 <= target <= current * 2:
            how = "down below half" if target < current else "up over double"
            text = f"UpdateShardCount cannot scale {how} your current open shard count. Current open shard count: "
            raise _over_limit(f"{text}{current}, Target shard count: {target}")
        self._check_quota(target - current, stream.region)
        for start, _ in _uniform(target):
            shard = stream.shard_for(start)
            if shard.start != start:
                stream.replace([shard], [(shard.start, start - 1), (start, shard.end)], now)
        for start, end in _uniform(target):
            while (shard := stream.shard_for(start)).end != end:
                other = stream.shard_for(shard.end + 1)
                stream.replace([shard, other], [(start, other.end)], now)
        counts = {"CurrentShardCount": current, "TargetShardCount": target}
        return {"StreamName": stream.name, "StreamARN": stream.arn, **counts}

    # Records

    @staticmethod
    def _prepared(entry: Any, place: int = 0) -> tuple[bytes, str, int, int]:
        """(data, partition key, hash key, bytes) of a record; raises AwsError for what no shard would take."""
        try:
            data, key, explicit = (
                binascii.a2b_base64(entry["Data"]),
                entry["PartitionKey"],
                entry.get("ExplicitHashKey"),
            )
            hash_key = _hash_key(key) if explicit is None else int(explicit) if _HASH_KEY.fullmatch(explicit) else _TOP
            size, length = len(data) + len(key.encode()), len(key)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise AwsError("SerializationException", f"Record {place or ''} is not one: {error!r}") from None
        if 1 <= length <= 256 and size <= limits.RECORD_BYTES and hash_key < _TOP:
            return data, key, hash_key, size
        if hash_key >= _TOP:
            text = "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was "
            raise _invalid(text + str(explicit))
        member = f"records.{place}.member." if place else ""
        name, most = ("data", limits.RECORD_BYTES) if 1 <= length <= 256 else ("partitionKey", 256)
        text = f"1 validation error detected: Value at '{member}{name}' failed to satisfy constraint: "
        raise _validation(f"{text}Member must have length between {int(name != 'data')} and {most}")

    def _put(self, stream: Stream, records: list[tuple[bytes, str, int, int]], operation: str) -> Parameters:
        """What PutRecords answers; a record that its shard's limits refuse leaves the others alone."""
        now, results, size_put, refused, add = self.clock(), [], 0, 0, stream.metrics.add
        arrival, opened, starts, new = round(now, 3), stream.open_shards, stream.starts, tuple.__new__
        for data, key, hash_key, size in records:
            shard = opened[bisect.bisect_right(starts, hash_key) - 1]
            if shard.writes.take(size, now):
                sequence = str(shard.base + 1 + shard.trimmed + len(shard.records))
                results.append({"SequenceNumber": sequence, "ShardId": shard.id})
                shard.records.append(new(Record, (data, key, arrival)))  # Record(…) takes twice as long
                shard.news.set()
                size_put += size
            else:
                refused += 1
                error = _throttled(shard, stream)
                results.append({"ErrorCode": error.code, "ErrorMessage": error.message})
        add("WriteProvisionedThroughputExceeded", refused)
        add(f"{operation}.Success", refused < len(records))
        if refused < len(records):
            add("IncomingRecords", len(records) - refused)
            add("IncomingBytes", size_put)
        return {"FailedRecordCount": refused, "Records": results}

    def PutRecord(self, stream: Stream, p: Parameters) -> Parameters:
        [result] = self._put(stream, [self._prepared(p)], "PutRecord")["Records"]
        if "ErrorCode" in result:
            raise AwsError(result["ErrorCode"], result["ErrorMessage"])
        return dict(result)

    def PutRecords(self, stream: Stream, p: Parameters) -> Parameters:
        records = [self._prepared(entry, place) for place, entry in enumerate(p["Records"], 1)]
        if sum([r[3] for r in records]) > limits.PUT_RECORDS_BYTES:
            raise _invalid(f"Records size exceeds {limits.PUT_RECORDS_BYTES // 2**20} MB limit")
        return self._put(stream, records, "PutRecords")

    def GetShardIterator(self, stream: Stream, p: Parameters) -> Parameters:
        shard, now, kind = stream.shards.get(p["ShardId"]), self.clock(), p["ShardIteratorType"]
        if shard is None:
            raise _missing(f"Shard {p['ShardId']} {stream.where} does not exist")
        if not shard.iterators.take(now):
            raise _throttled(shard, stream)
        index = start_index(shard, kind, p.get("StartingSequenceNumber"), p.get("Timestamp"), now)
        return {"ShardIterator": self._iterator(stream, shard, index, now)}

    def _iterator(self, stream: Stream, shard: Shard, index: int, now: float) -> str:
        content = orjson.dumps([stream.region, stream.name, shard.id, index, now, stream.created])
        return binascii.b2a_base64(self._mark(content) + content, newline=False).decode()

    def _mark(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._secret, digest_size=12).digest()

    def GetRecords(self, p: Parameters, region: str) -> Parameters:
        try:
            raw = binascii.a2b_base64(p["ShardIterator"])
        except ValueError:
            raw = b""
        if self._mark(raw[12:]) != raw[:12]:
            raise _invalid("Invalid ShardIterator.")
        region, name, shard_id, index, made, created = orjson.loads(raw[12:])
        stream, now = self.find({"StreamName": name}, region), self.clock()
        shard = stream.shards.get(shard_id)
        if shard is None or stream.created != created:
            raise _missing(f"Shard {shard_id} {stream.where} does not exist")
        if now - made > limits.ITERATOR_SECONDS:
            then, now_is = (time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(t)) for t in (made, now))
            text = f"Iterator expired. The iterator was created at time {then} while right now it is {now_is} which is"
            text += f" further in the future than the tolerated delay of {limits.ITERATOR_SECONDS * 1000} milliseconds."
            raise AwsError("ExpiredIteratorException", text)
        let_in = shard.reads.take(now)
        stream.metrics.add("ReadProvisionedThroughputExceeded", not let_in)
        if not let_in:
            raise _throttled(shard, stream)
        first, records, size = shard.read(index, p.get("Limit", 10_000))
        shard.reads.spend(size, now)
        end, encode, base = first + len(records), binascii.b2a_base64, shard.base + 1 + first
        behind = max(0.0, now - records[-1].arrival) if end < shard.end_index else 0.0
        stream.count_read(len(records), size, behind)
        shown = [
            {
                "SequenceNumber": str(base + n),
                "ApproximateArrivalTimestamp": arrival,
                "Data": encode(data, newline=False).decode("ascii"),
                "PartitionKey": key,
            }
            for n, (data, key, arrival) in enumerate(records)
        ]
        answer = {"Records": shown, "MillisBehindLatest": int(behind * 1000)}
        if not shard.closed or end < shard.end_index:
            return {**answer, "NextShardIterator": self._iterator(stream, shard, end, now)}
        children = [c for c in stream.shards.values() if shard_id in c.parents]
        return {**answer, "ChildShards": [{**c.describe(), "ParentShards": c.parents} for c in children]}

    # Upkeep

    def trim(self) -> None:
        """Drops what is past its retention."""
        for stream in self.streams.values():
            stream.trim(self.clock())

    def drain_metrics(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """(region, CloudWatch metric data) of what happened since the last call.

        https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
        """
        for stream in self.streams.values():
            if stream.metrics:
                yield stream.region, stream.metrics.drain(StreamName=stream.name)


def start_index(shard: Shard, kind: str, sequence: str | None, timestamp: float | None, now: float) -> int:
    """Where an iterator begins: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html."""
    numbered = kind.endswith("SEQUENCE_NUMBER")
    if numbered != (sequence is not None):
        text = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
        text += f"TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and "
        raise _invalid(f"{text}{'no' if numbered else 'also a'} StartingSequenceNumber.")
    if sequence is not None:
        index = int(sequence) - shard.base - 1  # -1: the shard's own start
        if not -1 <= index <= shard.end_index:
            text = f"StartingSequenceNumber {sequence} used in GetShardIterator on shard {shard.id} is invalid"
            raise _invalid(f"{text} because it did not come from this shard.")
        return max(0, index + (kind == "AFTER_SEQUENCE_NUMBER"))
    if kind == "AT_TIMESTAMP":
        if timestamp is None:
            raise _invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
        if timestamp > now:
            text = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            raise _invalid(f"{text}timestampInMillis: {timestamp * 1e3:.0f}, currentTimestampInMillis: {now * 1e3:.0f}")
        return shard.trimmed + bisect.bisect_left(shard.records, timestamp, key=itemgetter(2))
    return shard.trimmed if kind == "TRIM_HORIZON" else shard.end_index
