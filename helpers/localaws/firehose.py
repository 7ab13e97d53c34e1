"""Amazon Data Firehose: what comes in is gathered, and written to S3 in files; for Redshift, COPY loads the files.

Pages under https://docs.aws.amazon.com/firehose/latest/dev/: basic-deliver.html, s3-object-name.html, s3-prefixes.html,
retry.html, monitoring-with-cloudwatch-logs.html, writing-with-kinesis-streams.html; the API's at
https://docs.aws.amazon.com/firehose/latest/APIReference/Welcome.html.
Delivery is at least once. A file waits until it is written: as long as the stream keeps the records, or for 24 hours
after PutRecord. One COPY at a time takes all files that wait, by a manifest; when its retries are over, the manifest is
left under errors/. Otherwise than on AWS a change takes effect at once, records that are there are read at once, a
stream's buffer is one for all its shards, and calls have no quota but for what waits (see `MOST_WAITING`).
ErrorOutputPrefix is checked and kept, and no file ever lies under it: AWS puts there what transformation, conversion
or partitioning could not process. S3 that fails is tried again, Redshift's skipped files are told of under errors/.
Refused: other sources and destinations, transformation by Lambda, format conversion, dynamic partitioning, encryption,
Secrets Manager, compressions other than GZIP.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import logging
import re
import time
import uuid
import zoneinfo
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

import orjson

from . import constraints
from . import firehose_config as config_of
from .kinesis import Kinesis, Shard
from .kinesis import Stream as Source
from .metrics import Metrics
from .types import ACCOUNT_ID, AwsError

MiB = 1024 * 1024
# https://docs.aws.amazon.com/firehose/latest/dev/limits.html
RECORD_BYTES, BATCH_BYTES = 1_000 * 1024, 4 * MiB
KEPT_SECONDS = 24 * 3600  # what PutRecord has brought, when S3 does not take it
COPY_EVERY = 300.0  # seconds between two tries of a COPY
PUT_EVERY = 5.0  # seconds between two tries of a file; AWS does not document its own
MOST_WAITING = 256 * MiB  # of a stream's buffers; more is refused (PutRecord), or left in the source
_REFUSED = (
    "DeliveryStreamEncryptionConfigurationInput", "MSKSourceConfiguration", "DatabaseSourceConfiguration",
    "ElasticsearchDestinationConfiguration", "AmazonopensearchserviceDestinationConfiguration",
    "SplunkDestinationConfiguration", "HttpEndpointDestinationConfiguration", "SnowflakeDestinationConfiguration",
    "AmazonOpenSearchServerlessDestinationConfiguration", "IcebergDestinationConfiguration",
    "DirectPutSourceConfiguration",
)  # fmt: skip
_DESTINATION = "destinationId-000000000001"
_SOURCE_ACTIONS = ("DescribeStream", "GetShardIterator", "GetRecords", "ListShards")
_LOG = logging.getLogger("localaws")
_invalid = partial(AwsError, "InvalidArgumentException")
Parameters = dict[str, Any]
# What is told when a delivery fails: https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-logs.html
MESSAGES = {
    "S3.AccessDenied": "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to "
    "assume the role, and the access policy allows access to the S3 bucket.",
    "S3.NoSuchBucket": "The specified bucket does not exist. Create the bucket or use a different bucket that does "
    "exist.",
    "Redshift.TableNotFound": "The table to which to load data was not found. Ensure that the specified table exists.",
    "Redshift.SyntaxError": "The COPY command contains a syntax error. Retry the command.",
    "Redshift.AuthenticationFailed": "The provided user name and password failed authentication. Provide a valid user "
    "name and password.",
    "Redshift.S3BucketAccessDenied": "The COPY command was unable to access the S3 bucket. Ensure that the access "
    "policy for the provided IAM role allows access to the S3 bucket.",
    "Redshift.DataLoadFailed": "Loading data into the table failed. Check STL_LOAD_ERRORS system table for details.",
    "Redshift.ColumnNotFound": "A column in the COPY command does not exist in the table. Specify a valid column name.",
    "Redshift.DatabaseNotFound": "The database specified in the Amazon Redshift destination configuration or JDBC URL "
    "was not found. Specify a valid database name.",
    "Redshift.IncorrectJsonPathsFile": "The provided jsonpaths file is not in a supported JSON format. Retry the "
    "command.",
    "Redshift.MissingS3File": "One or more S3 files required by Amazon Redshift have been removed from the S3 bucket. "
    "Check the S3 bucket policies to remove any automatic deletion of S3 files.",
    "Redshift.InsufficientPrivilege": "The user does not have permissions to load data into the table. Check the "
    "Amazon Redshift user permissions for the INSERT privilege.",
    "Redshift.ConnectionFailed": "The connection to the specified Amazon Redshift cluster failed. Ensure that security "
    "settings allow Firehose connections, that the cluster or database specified in the Amazon Redshift destination "
    "configuration or JDBC URL is correct, and that the cluster is available.",
    "Kinesis.ResourceNotFound": "Kinesis stream was not found. Ensure that the stream exists.",
    "Kinesis.AccessDenied": "Access was denied when calling Kinesis. Ensure the access policy on the IAM role used "
    "allows access to the appropriate Kinesis APIs.",
}

# Redshift's words -> what a failed COPY is called.
_FAILURES = (
    (r"password authentication failed", "AuthenticationFailed"),
    (r"database .* does not exist", "DatabaseNotFound"),
    (r"relation .* does not exist|schema .* does not exist", "TableNotFound"),
    (r"column .* does not exist", "ColumnNotFound"),
    (r"syntax error", "SyntaxError"),
    (r"S3ServiceException.*AccessDenied", "S3BucketAccessDenied"),
    (r"S3ServiceException|Mandatory url is not found|S3 prefix .* does not exist", "MissingS3File"),
    (r"JSONPath", "IncorrectJsonPathsFile"),
    (r"permission denied", "InsufficientPrivilege"),
    (r"connection to the cluster was lost", "ConnectionFailed"),
)


def copy_failure(error: str) -> str:
    """Which of `MESSAGES` (without "Redshift.") tells of a COPY that failed with this error."""
    return next((name for pattern, name in _FAILURES if re.search(pattern, error)), "DataLoadFailed")


@dataclass(frozen=True, slots=True)
class Load:
    """A COPY for the warehouse: where, as whom, and the statement."""

    jdbc_url: str
    user: str
    password: str
    sql: str
    region: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What delivery streams ask of the lab. `put` raises AwsError NoSuchBucket, `copy` a code of `MESSAGES`."""

    kinesis: Kinesis
    trusts: Callable[[str, str], Awaitable[bool]]  # (role ARN, delivery stream's ARN)
    allowed: Callable[[str, str, str], bool]  # (role ARN, action, resource)
    put: Callable[[str, str, bytes], Awaitable[None]]  # (bucket, key, body)
    copy: Callable[[Load], Awaitable[None]]
    log: Callable[[str, str, str, str], None]  # (region, group, stream, message), where both are there


class Delivery:
    """One way into S3: records are gathered, and written as files whose names say when the first of them arrived.

    https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html
    """

    def __init__(self, stream: Stream, config: Parameters, delimiter: bytes, on_file: Callable[[str, int, int], None]):
        self.stream, self.config, self.delimiter, self.on_file = stream, config, delimiter, on_file
        self.bucket = config["BucketARN"].rpartition(":")[2]
        self.most = config["BufferingHints"]["SizeInMBs"] * MiB
        self.seconds = config["BufferingHints"]["IntervalInSeconds"]
        self.full: deque[tuple[list[bytes], float]] = deque()  # files to write: (records, arrival of the first)
        self.open: list[bytes] = []
        self.open_size, self.waiting, self.arrival, self.due = 0, 0, 0.0, 0.0
        self.changed, self.room = asyncio.Event(), asyncio.Event()

    def add(self, records: list[bytes], arrival: float) -> None:
        for data in records:
            if not self.open:
                self.arrival, self.due = arrival, time.monotonic() + self.seconds
                self.changed.set()
            self.open.append(data)
            self.open_size += len(data)
            self.waiting += len(data)
            if self.open_size >= self.most:
                self.close_file()

    def close_file(self) -> None:
        if self.open:
            self.full.append((self.open, self.arrival))
            self.open, self.open_size = [], 0
            self.changed.set()

    async def run(self) -> None:
        """Writes a file whenever one is full or its time has come."""
        while True:
            while not self.full:
                self.changed.clear()
                left = self.due - time.monotonic() if self.open else None
                if left is not None and left <= 0:
                    self.close_file()
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), left)
            records, arrival = self.full[0]
            await self.write(records, arrival)
            self.full.popleft()
            self.waiting -= sum(map(len, records))
            self.room.set()

    async def write(self, records: list[bytes], arrival: float, tries: int = 0) -> None:
        """Writes one file, trying until it is written; what PutRecord brought is lost after a day, as on AWS."""
        stream, config, tried = self.stream, self.config, 0
        body = b"".join([r + self.delimiter for r in records]) if self.delimiter else b"".join(records)
        zone = zoneinfo.ZoneInfo(config.get("CustomTimeZone") or "UTC")
        key = config_of.evaluate(config.get("Prefix") or "", arrival, zone) + stream.suffix(arrival, zone)
        if config["CompressionFormat"] == "GZIP":
            body = await asyncio.to_thread(gzip.compress, body, 1)
        key += config.get("FileExtension") or (".gz" if config["CompressionFormat"] == "GZIP" else "")
        while True:
            try:
                await stream.put(config, key, body)
                break
            except AwsError as error:
                stream.failed(config, config["BucketARN"], error)
                stream.metrics.add("DeliveryToS3.Success", 0)
                tried += 1
                kept = stream.source is not None or time.time() < arrival + KEPT_SECONDS
                if tried == tries or not kept:
                    return
            await asyncio.sleep(PUT_EVERY)
        for name, value in (("Records", len(records)), ("Bytes", len(body)), ("Success", 1)):
            stream.metrics.add(f"DeliveryToS3.{name}", value)
        stream.metrics.add("DeliveryToS3.DataFreshness", max(0.0, time.time() - arrival))
        self.on_file(f"s3://{self.bucket}/{key}", len(records), len(body))


class Loader:
    """Loads files into Redshift: one COPY after the other, each of all the files that have come meanwhile.

    https://docs.aws.amazon.com/firehose/latest/dev/retry.html#dd-retry-redshift
    """

    def __init__(self, stream: Stream, config: Parameters) -> None:
        self.stream, self.config = stream, config
        self.files: list[tuple[str, int, int]] = []  # (address, records, bytes)
        self.come, self.last = asyncio.Event(), False  # last: another destination has come, no more files will

    def add(self, address: str, records: int, size: int) -> None:
        self.files.append((address, records, size))
        self.come.set()

    async def run(self) -> None:
        while self.files or not self.last:
            self.come.clear()
            if not self.files:
                await self.come.wait()
                continue
            files, self.files = self.files, []
            await self.load(files)

    async def load(self, files: list[tuple[str, int, int]]) -> None:
        """One COPY with its retries; then what it could not load is told by a manifest under errors/manifests/."""
        stream, config, s3 = self.stream, self.config, self.config["S3Configuration"]
        entries = [{"url": address, "mandatory": True} for address, _, _ in files]
        manifest = orjson.dumps({"entries": entries}, option=orjson.OPT_INDENT_2)
        bucket, now = s3["BucketARN"].rpartition(":")[2], time.time()
        key = f"{config_of.evaluate('manifests/', now)}{stream.suffix(now)}"
        await self._keep(key, manifest)
        command, until = config["CopyCommand"], time.monotonic() + config["RetryOptions"]["DurationInSeconds"]
        columns = f" ({command['DataTableColumns']})" if command.get("DataTableColumns") else ""
        sql = f"COPY {command['DataTableName']}{columns} FROM 's3://{bucket}/{key}' "
        sql += f"CREDENTIALS 'aws_iam_role={config['RoleARN']}' MANIFEST {command.get('CopyOptions', '')}".rstrip("; ")
        load = Load(config["ClusterJDBCURL"], config["Username"], config["Password"], sql, stream.region)
        while True:
            try:
                await stream.needs.copy(load)
                break
            except AwsError as error:
                stream.failed(config, config["ClusterJDBCURL"], error)
                stream.metrics.add("DeliveryToRedshift.Success", 0)
            if time.monotonic() + COPY_EVERY > until:
                await self._keep(f"errors/{key}", manifest)
                return
            await asyncio.sleep(COPY_EVERY)
        records, size = sum(f[1] for f in files), sum(f[2] for f in files)
        for name, value in (("Records", records), ("Bytes", size), ("Success", 1)):
            stream.metrics.add(f"DeliveryToRedshift.{name}", value)

    async def _keep(self, key: str, manifest: bytes) -> None:
        while True:
            try:
                return await self.stream.put(self.config["S3Configuration"], key, manifest)
            except AwsError as error:
                self.stream.failed(self.config, self.config["S3Configuration"]["BucketARN"], error)
            await asyncio.sleep(PUT_EVERY)


class Stream:
    """A delivery stream: where it reads, where it delivers, and the tasks that do so."""

    def __init__(self, name: str, region: str, needs: Needs, source: Source | None, role: str, tags: dict[str, str]):
        self.name, self.region, self.needs, self.source = name, region, needs, source
        self.source_role, self.tags = role, tags
        self.arn = f"arn:aws:firehose:{region}:{ACCOUNT_ID}:deliverystream/{name}"
        self.version, self.created, self.updated = 1, time.time(), 0.0
        self.positions: dict[str, int] = {}  # shard id -> index of the next record
        self.done: set[str] = set()
        if source:  # https://docs.aws.amazon.com/firehose/latest/dev/writing-with-kinesis-streams.html: from LATEST on
            self.positions = {shard.id: shard.end_index for shard in source.shards.values()}
        self.kind, self.config, self.metrics = "", Parameters(), Metrics()
        self.deliveries: list[Delivery] = []
        self.loader: Loader | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.loads: list[asyncio.Task[None]] = []

    def deliver_to(self, kind: str, config: Parameters) -> None:
        """Takes a (new) destination: what waits goes to it, too."""
        kept = [[*d.full, *([(d.open, d.arrival)] if d.open else [])] for d in self.deliveries]
        for task in self.tasks:
            task.cancel()
        if self.loader:  # a COPY under way, and its retries, go on
            self.loader.last = True
            self.loader.come.set()
            self.loader = None
        self.kind, self.config, delimiter = kind, config, config_of.delimiter(config.get("ProcessingConfiguration"))
        if kind == "Redshift":
            self.loader = Loader(self, config)
            self.deliveries = [Delivery(self, config["S3Configuration"], delimiter, self.loader.add)]
            self.loads = [t for t in self.loads if not t.done()] + [asyncio.create_task(self.loader.run())]
        else:
            self.deliveries = [Delivery(self, config, delimiter, lambda *_: None)]
        if config.get("S3BackupMode") == "Enabled":  # the source's records, as they came
            self.deliveries.append(Delivery(self, config["S3BackupConfiguration"], b"", lambda *_: None))
        for delivery, files in zip(self.deliveries, kept, strict=False):
            for records, arrival in files:
                delivery.add(records, arrival)
        self.tasks = [asyncio.create_task(d.run()) for d in self.deliveries]
        if self.source:
            self.tasks.append(asyncio.create_task(self._follow(self.source)))

    def add(self, records: list[bytes], arrival: float) -> None:
        for delivery in self.deliveries:
            delivery.add(records, arrival)

    @property
    def waiting(self) -> int:
        return max(d.waiting for d in self.deliveries)

    async def _follow(self, source: Source) -> None:
        """Reads every shard; those that a split or merge has opened from their beginning on."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while not source.deleted:
                for shard in source.shards.values():
                    if shard.id not in tasks and shard.id not in self.done:
                        tasks[shard.id] = asyncio.create_task(self._read(source, shard))
                await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                for shard_id in [k for k, t in tasks.items() if t.done()]:
                    tasks.pop(shard_id).result()
                    self.done.add(shard_id)
            self.failed(self.config, source.arn, AwsError("Kinesis.ResourceNotFound", ""))
        except Exception:
            _LOG.exception("delivery stream %s failed", self.name)
        finally:
            for task in tasks.values():
                task.cancel()

    async def _read(self, source: Source, shard: Shard) -> None:
        """A shard from the stream's position on, as long as there is room for what it holds."""
        self.positions.setdefault(shard.id, shard.trimmed)
        while not source.deleted:
            if not all(self.needs.allowed(self.source_role, f"kinesis:{a}", source.arn) for a in _SOURCE_ACTIONS):
                self.failed(self.config, source.arn, AwsError("Kinesis.AccessDenied", ""))
                await asyncio.sleep(PUT_EVERY)
                continue
            if self.waiting >= MOST_WAITING:
                slowest = max(self.deliveries, key=lambda d: d.waiting)
                slowest.room.clear()
                await slowest.room.wait()
                continue
            first, records, size = shard.read(self.positions[shard.id], 10_000)
            if records:
                self.positions[shard.id] = first + len(records)
                self.add([record.data for record in records], records[0].arrival)
                self.metrics.add("DataReadFromKinesisStream.Records", len(records))
                self.metrics.add("DataReadFromKinesisStream.Bytes", size)
                await asyncio.sleep(0)
            elif shard.closed:
                return
            else:
                shard.news.clear()
                await shard.news.wait()

    async def put(self, config: Parameters, key: str, body: bytes) -> None:
        bucket = config["BucketARN"].rpartition(":")[2]
        if not self.needs.allowed(config["RoleARN"], "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}"):
            raise AwsError("S3.AccessDenied", "")
        try:
            await self.needs.put(bucket, key, body)
        except AwsError as error:
            raise AwsError(f"S3.{error.code}", error.message) from None
        except Exception as error:
            _LOG.exception("delivery stream %s could not write %s", self.name, key)
            raise AwsError("InternalError", str(error)) from error

    def suffix(self, arrival: float, zone: tzinfo = UTC) -> str:
        return f"{self.name}-{self.version}-{datetime.fromtimestamp(arrival, zone):%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"

    def failed(self, config: Parameters, destination: str, error: AwsError) -> None:
        """A delivery error, for the log group that the destination names, if the role may write there."""
        _LOG.info("delivery stream %s: %s", self.name, error)
        options = config.get("CloudWatchLoggingOptions") or {}
        group, stream = options.get("LogGroupName"), options.get("LogStreamName")
        arn = f"arn:aws:logs:{self.region}:{ACCOUNT_ID}:log-group:{group}:log-stream:{stream}"
        if options.get("Enabled") and self.needs.allowed(config["RoleARN"], "logs:PutLogEvents", arn):
            said = {
                "deliveryStreamARN": self.arn, "destination": destination, "deliveryStreamVersionId": self.version,
                "message": MESSAGES.get(error.code) or error.message, "errorCode": error.code,
            }  # fmt: skip
            self.needs.log(self.region, str(group), str(stream), orjson.dumps(said).decode())

    def describe(self) -> Parameters:
        """https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamDescription.html"""
        shown, plain = config_of.described(self.config), Parameters()
        if self.kind == "ExtendedS3":
            only = ("ProcessingConfiguration", "S3BackupMode", "S3BackupDescription", "FileExtension", "CustomTimeZone")
            plain["S3DestinationDescription"] = {k: v for k, v in shown.items() if k not in only}
        source: Parameters = {}
        if self.source:
            read = {"KinesisStreamARN": self.source.arn, "RoleARN": self.source_role}
            source = {"Source": {"KinesisStreamSourceDescription": {**read, "DeliveryStartTimestamp": self.created}}}
        return {
            "DeliveryStreamName": self.name, "DeliveryStreamARN": self.arn, "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": "KinesisStreamAsSource" if self.source else "DirectPut",
            "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
            "VersionId": str(self.version), "CreateTimestamp": self.created, "HasMoreDestinations": False, **source,
            **({"LastUpdateTimestamp": self.updated} if self.updated else {}),
            "Destinations": [{"DestinationId": _DESTINATION, f"{self.kind}DestinationDescription": shown, **plain}],
        }  # fmt: skip

    async def end(self) -> None:
        """Stops; what is gathered is tried once more. (AWS promises nothing for it.)"""
        for task in (tasks := [*self.tasks, *self.loads]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for delivery in self.deliveries:
            delivery.close_file()
            for records, arrival in delivery.full:
                await delivery.write(records, arrival, tries=1)


class Firehose:
    """The service: a method for each operation, named as AWS names it."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.streams: dict[str, Stream] = {}  # by ARN
        self._ending: set[asyncio.Task[None]] = set()

    async def call(self, operation: str, p: Parameters, region: str) -> Parameters:
        """What AWS answers to an operation's parameters, as boto3 sends them; raises AwsError."""
        handler = getattr(self, operation, None) if operation[:1].isupper() else None
        if handler is None:
            raise AwsError("UnknownOperationException", f"The local AWS does not have firehose:{operation}.")
        p = constraints.check("firehose", operation, p, skip="records")
        answer = handler(p, region)
        return (await answer if isinstance(answer, Awaitable) else answer) or {}

    def _find(self, p: Parameters, region: str) -> Stream:
        name = p["DeliveryStreamName"]
        stream = self.streams.get(f"arn:aws:firehose:{region}:{ACCOUNT_ID}:deliverystream/{name}")
        if stream is None:
            text = f"Firehose {name} under account {ACCOUNT_ID} not found."
            raise AwsError("ResourceNotFoundException", text)
        return stream

    async def CreateDeliveryStream(self, p: Parameters, region: str) -> Parameters:
        name, read = p["DeliveryStreamName"], p.get("KinesisStreamSourceConfiguration")
        if beyond := [member for member in _REFUSED if member in p]:
            raise _invalid(f"The local AWS does not have {beyond[0]} for a delivery stream.")
        if (p.get("DeliveryStreamType", "DirectPut") == "KinesisStreamAsSource") != (read is not None):
            raise _invalid("KinesisStreamSourceConfiguration is for a stream of the type KinesisStreamAsSource only.")
        if p.get("DeliveryStreamType") in ("MSKAsSource", "DatabaseAsSource"):
            raise _invalid(f"The local AWS does not have the source {p['DeliveryStreamType']}.")
        arn = f"arn:aws:firehose:{region}:{ACCOUNT_ID}:deliverystream/{name}"
        if arn in self.streams:
            raise AwsError("ResourceInUseException", f"Firehose {name} under accountId {ACCOUNT_ID} already exists")
        kind, config = config_of.destination(p, "Configuration")
        await self._check(config, arn)
        source = None
        if read:
            await self._check_role(read["RoleARN"], arn)
            for action in _SOURCE_ACTIONS:
                if not self.needs.allowed(read["RoleARN"], f"kinesis:{action}", read["KinesisStreamARN"]):
                    text = f"Role {read['RoleARN']} is not authorized to perform: kinesis:{action} on resource"
                    raise _invalid(f"{text} {read['KinesisStreamARN']}.")
            try:
                source = self.needs.kinesis.find({"StreamARN": read["KinesisStreamARN"]}, region)
            except AwsError:
                stream_name = read["KinesisStreamARN"].rpartition("/")[2]
                text = f"Kinesis stream {stream_name} under account {ACCOUNT_ID} not found."
                raise AwsError("ResourceNotFoundException", text) from None
        tags = {tag["Key"]: tag.get("Value", "") for tag in p.get("Tags", ())}
        stream = self.streams[arn] = Stream(name, region, self.needs, source, (read or {}).get("RoleARN", ""), tags)
        stream.deliver_to(kind, config)
        return {"DeliveryStreamARN": arn}

    async def _check(self, config: Parameters, arn: str) -> None:
        for part in (config, config.get("S3Configuration"), config.get("S3BackupConfiguration")):
            if part:
                await self._check_role(part["RoleARN"], arn)

    async def _check_role(self, role: str, arn: str) -> None:
        if not await self.needs.trusts(role, arn):
            text = f"Firehose is unable to assume role {role}. Please check the role provided."
            raise _invalid(text)

    async def UpdateDestination(self, p: Parameters, region: str) -> None:
        stream = self._find(p, region)
        if p["CurrentDeliveryStreamVersionId"] != str(stream.version):
            text = f"Cannot update firehose: {stream.name} since the current version id: {stream.version} and "
            text += f"specified version id: {p['CurrentDeliveryStreamVersionId']} do not match"
            raise AwsError("ConcurrentModificationException", text)
        if p["DestinationId"] != _DESTINATION:
            raise _invalid(f"Destination Id {p['DestinationId']} not found")
        kind, config = config_of.destination(p, "Update", stream.config if stream.kind else None, stream.kind)
        await self._check(config, stream.arn)
        stream.version, stream.updated = stream.version + 1, time.time()
        stream.deliver_to(kind, config)

    async def DeleteDeliveryStream(self, p: Parameters, region: str) -> None:
        stream = self._find(p, region)
        del self.streams[stream.arn]
        task = asyncio.create_task(stream.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def DescribeDeliveryStream(self, p: Parameters, region: str) -> Parameters:
        return {"DeliveryStreamDescription": self._find(p, region).describe()}

    def ListDeliveryStreams(self, p: Parameters, region: str) -> Parameters:
        after, kind = p.get("ExclusiveStartDeliveryStreamName", ""), p.get("DeliveryStreamType")
        found = [s for s in self.streams.values() if s.region == region and s.name > after]
        names = sorted(s.name for s in found if not kind or (kind == "KinesisStreamAsSource") == bool(s.source))
        page = names[: p.get("Limit", 10)]
        return {"DeliveryStreamNames": page, "HasMoreDeliveryStreams": len(page) < len(names)}

    def TagDeliveryStream(self, p: Parameters, region: str) -> None:
        self._find(p, region).tags |= {tag["Key"]: tag.get("Value", "") for tag in p["Tags"]}

    def UntagDeliveryStream(self, p: Parameters, region: str) -> None:
        stream = self._find(p, region)
        stream.tags = {key: value for key, value in stream.tags.items() if key not in p["TagKeys"]}

    def ListTagsForDeliveryStream(self, p: Parameters, region: str) -> Parameters:
        after, tags = p.get("ExclusiveStartTagKey", ""), sorted(self._find(p, region).tags.items())
        found = [{"Key": key, "Value": value} for key, value in tags if key > after]
        page = found[: p.get("Limit", 50)]
        return {"Tags": page, "HasMoreTags": len(page) < len(found)}

    def PutRecord(self, p: Parameters, region: str) -> Parameters:
        return {"Encrypted": False, **self._put(p, [p["Record"]], region)[0]}

    def PutRecordBatch(self, p: Parameters, region: str) -> Parameters:
        results = self._put(p, p["Records"], region)
        return {"FailedPutCount": 0, "Encrypted": False, "RequestResponses": results}

    def _put(self, p: Parameters, records: list[Any], region: str) -> list[dict[str, str]]:
        """https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html"""
        stream = self._find(p, region)
        if stream.source:
            text = "This operation is not permitted on KinesisStreamAsSource delivery stream type."
            raise _invalid(text)
        try:
            data = [base64.b64decode(record["Data"], validate=True) for record in records]
        except (LookupError, TypeError, ValueError) as error:
            raise AwsError("SerializationException", f"A record is not one: {error!r}") from None
        size = sum(map(len, data))
        if any(len(d) > RECORD_BYTES for d in data):
            text = "1 validation error detected: Value at 'record.data' failed to satisfy constraint: Member must have "
            raise AwsError("ValidationException", f"{text}length less than or equal to {RECORD_BYTES}")
        if size > BATCH_BYTES:
            raise _invalid("Records size exceeds 4 MB limit")
        if stream.waiting + size > MOST_WAITING:
            raise AwsError("ServiceUnavailableException", "Slow down.", 500)
        stream.add(data, time.time())
        stream.metrics.add("IncomingRecords", len(data))
        stream.metrics.add("IncomingBytes", size)
        return [{"RecordId": base64.b64encode(uuid.uuid4().bytes * 4).decode()} for _ in data]

    def drain_metrics(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """(region, metric data): https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-metrics.html"""
        for stream in self.streams.values():
            if stream.metrics:
                yield stream.region, stream.metrics.drain(DeliveryStreamName=stream.name)

    async def close(self) -> None:
        tasks = [*self._ending, *(t for s in self.streams.values() for t in (*s.tasks, *s.loads))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
