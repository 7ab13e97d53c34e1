"""Where moto's S3 keeps the bytes of objects: small ones in memory, others on disk, as a cloud's memory is a laptop's;
how it lists and deletes them, and what a bucket tells of them.

moto gives each object a file of its own from 16 MB on, which stays open; a raw storage has thousands of smaller ones.
Here all share one file that has no name, so that nothing is left of it when the lab's process is gone, however it went.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
import urllib.parse
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ..types import ACCOUNT_ID, AwsError
from . import stores

_SMALL = 16 * 1024  # bytes of an object that stays in memory


class Disk:
    """Pieces of one file. A piece has the room of a power of two, of which the file system keeps what was written."""

    def __init__(self) -> None:
        self.folder: Path | None = None  # where the file lies; None: where temporary files do
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = defaultdict(list)  # room -> where there is such a room

    def put(self, data: bytes) -> int:
        """Writes, and says where. Raises OSError, of a disk that is full."""
        if self._file is None:
            folder = self.folder if self.folder and self.folder.is_dir() else None
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the process)
        room = _room(len(data))
        if free := self._free[room]:
            at = free.pop()
        else:
            at, self._end = self._end, self._end + room
        rest, place = memoryview(data), at
        try:
            while rest:
                written = os.pwrite(self._file.fileno(), rest, place)
                rest, place = rest[written:], place + written
        except OSError:
            self.free(at, len(data))
            raise
        return at

    def get(self, at: int, size: int) -> bytes:
        assert self._file is not None
        pieces, end = [], at + size
        while at < end:  # Linux reads two gigabytes at once at most
            pieces.append(os.pread(self._file.fileno(), end - at, at))
            if not pieces[-1]:
                raise OSError(f"the file of the objects ends at {at}, before {end}")
            at += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def free(self, at: int, size: int) -> None:
        self._free[_room(size)].append(at)


def _room(size: int) -> int:
    return 1 << max(size - 1, 1).bit_length()


DISK = Disk()


class Body:
    """An object's bytes, with as much of a file as moto uses: written at once, read in part or whole."""

    __slots__ = ("_at", "_data", "_disk", "_position", "_size")

    def __init__(self, max_size: int = 0, disk: Disk = DISK) -> None:
        self._data: bytes | None = b""
        self._at = self._size = self._position = 0
        self._disk = disk

    def write(self, data: bytes) -> int:
        self._drop()
        self._size = len(data)
        if self._size > _SMALL:
            self._at, self._data = self._disk.put(data), None
        else:
            self._data = bytes(data)
        return self._size

    def read(self, size: int = -1) -> bytes:
        begin = self._position
        end = self._size if size < 0 else min(begin + size, self._size)
        self._position = max(begin, end)
        if self._data is not None:
            return self._data[begin:end]
        return self._disk.get(self._at + begin, end - begin) if end > begin else b""

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def truncate(self) -> int:
        assert self._position == 0, "moto writes an object whole"
        self._drop()
        return 0

    def close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._data is None:
            self._disk.free(self._at, self._size)
        self._data, self._size = b"", 0

    def __del__(self) -> None:
        self._drop()


def install() -> None:
    """Puts this in the place of moto's own files, and lists and deletes as S3 does."""
    import moto.s3.models as models
    import moto.s3.notifications as notifications
    from moto.core.responses import ActionResult
    from moto.s3.responses import S3Response

    setattr(models, "tempfile", SimpleNamespace(SpooledTemporaryFile=Body))  # noqa: B010
    backend = models.S3Backend
    listed_versions, marked, removed = backend.list_object_versions, backend._set_delete_marker, backend.delete_object
    deleted, completed, sent = (
        S3Response._bucket_response_delete_keys, backend.complete_multipart_upload, notifications.send_event,
    )  # fmt: skip
    completing: list[bool] = []
    plain = {name: getattr(S3Response, name) for name in ("all_buckets", "list_objects_v2")}

    def told(self: Any, name: str) -> dict[str, Any]:
        """What an answer of moto's consists of, before it is written as XML."""
        self.serialized = lambda answer: answer.result
        try:
            result: dict[str, Any] = plain[name](self)
        finally:
            del self.serialized
        return result

    def all_buckets(self: Any) -> Any:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html: by name, in pages of MaxBuckets"""
        most = int(self.querystring.pop("max-buckets", ["10000"])[0])
        after = self.querystring.get("continuation-token", [""])[0]
        result = told(self, "all_buckets")
        found = sorted((b for b in result["Buckets"] if b["Name"] > after), key=lambda b: str(b["Name"]))
        result["Buckets"] = found[:most]
        if len(found) > most:
            result["ContinuationToken"] = found[most - 1]["Name"]
        return self.serialized(ActionResult(result))

    def list_objects_v2(self: Any) -> Any:
        token = self.querystring.get("continuation-token", [None])[0]
        if token and token not in self.backend._pagination_tokens:
            text = "The continuation token provided is incorrect"
            raise AwsError("InvalidArgument", text, ArgumentName="continuation-token")
        result = told(self, "list_objects_v2")
        return self.serialized(ActionResult(result | ({"ContinuationToken": token} if token else {})))

    def list_objects(self: Any) -> Any:
        """The older listing is the newer one, with a key for its token; in moto a page had all common prefixes.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html (NextMarker: only with a delimiter)
        """
        marker = self.querystring.get("marker", [""])[0]
        self.querystring |= {"start-after": [marker], "fetch-owner": ["true"]}
        result = told(self, "list_objects_v2")
        token = result.pop("NextContinuationToken", None)
        if token and result.get("Delimiter"):
            last = self.backend._pagination_tokens[token]
            result["NextMarker"] = urllib.parse.quote(last) if result.get("EncodingType") == "url" else last
        self.data["Action"] = "ListObjects"
        return self.serialized(ActionResult(result | {"Marker": marker}))

    def list_object_versions(self: Any, bucket_name: str, **asked: Any) -> Any:
        """After a key marker come the keys that follow it; in moto the rest of its own versions, too.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
        """
        if (marker := asked["key_marker"]) and not asked["version_id_marker"]:
            whole = asked["delimiter"] and marker.endswith(asked["delimiter"])  # a common prefix that was listed
            before = [k for k in self.get_bucket(bucket_name).keys if k <= marker or (whole and k.startswith(marker))]
            last = max(before, default=None)
            versions = self.get_bucket(bucket_name).keys.getlist(last, [])
            oldest = min(versions, key=lambda v: v.last_modified, default=None)
            asked |= {"key_marker": last, "version_id_marker": oldest.version_id if oldest else None}
        return listed_versions(self, bucket_name, **asked)

    def set_delete_marker(self: Any, bucket_name: str, key_name: str) -> Any:
        """Of a key that never was, too."""
        bucket = self.get_bucket(bucket_name)
        of: Any = SimpleNamespace(name=key_name)
        if key_name in bucket.keys:
            marker = marked(self, bucket_name, key_name)
        else:
            bucket.keys[key_name] = marker = models.FakeDeleteMarker(key=of)
        event = notifications.S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT
        notifications.send_event(self.account_id, event, bucket, marker)
        return marker

    def delete_object(self: Any, bucket_name: str, key_name: str, version_id: str | None = None, **rest: Any) -> Any:
        marker = version_id and stores.is_marker(bucket_name, key_name, version_id)
        done, told_of = removed(self, bucket_name, key_name, version_id=version_id, **rest)
        return done, told_of | ({"delete-marker": "true"} if marker else {})

    def delete_keys(self: Any, *args: Any, **kwargs: Any) -> Any:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html: quiet, it tells of errors only.

        A version that is not there is an error of its own; moto would delete the object that is. What is said of
        versions and markers: localstack/localstack tests/aws/services/s3/test_s3_api.snapshot.json, recorded on AWS.
        """
        root = ElementTree.fromstring(self.body)
        space = root.tag.partition("}")[0] + "}" if "}" in root.tag else ""
        markers, missing = set[str](), ""
        for entry in root.findall(f"{space}Object"):
            key, version = entry.findtext(f"{space}Key") or "", entry.findtext(f"{space}VersionId")
            if not version:
                continue
            if (marker := stores.is_marker(self.bucket_name, key, version)) is None:
                missing += "<Error><Code>NoSuchVersion</Code><Message>The specified version does not exist.</Message>"
                missing += f"<Key>{escape(key)}</Key><VersionId>{escape(version)}</VersionId></Error>"
                root.remove(entry)
            elif marker:
                markers.add(version)
        body: Any = "<DeleteResult></DeleteResult>"
        status, headers = 200, {"content-type": "application/xml"}
        quiet = re.search(rb"<Quiet>\s*true", self.body)
        if root.find(f"{space}Object") is not None or not missing:
            self.body = ElementTree.tostring(root) if missing else self.body
            status, headers, body = deleted(self, *args, **kwargs)
        text = body if isinstance(body, str) else body.decode()
        for version in markers:
            of = f"<VersionId>{version}</VersionId>"
            text = text.replace(
                of, f"{of}<DeleteMarker>true</DeleteMarker>{of.replace('VersionId', 'DeleteMarkerVersionId')}"
            )
        if quiet:
            text = re.sub("<Deleted>.*?</Deleted>", "", text, flags=re.DOTALL)
        return status, headers, text.replace("</DeleteResult>", f"{missing}</DeleteResult>")

    def complete_multipart_upload(self: Any, *args: Any, **kwargs: Any) -> Any:
        completing.append(True)
        try:
            return completed(self, *args, **kwargs)
        finally:
            completing.pop()

    def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        """An upload in parts that is completed is one event, and not a put as well."""
        if not completing or event_name.endswith(":CompleteMultipartUpload"):
            sent(account_id, event_name, bucket, key)

    setattr(notifications, "send_event", send_event)  # noqa: B010
    setattr(notifications, "_get_s3_event", _event)  # noqa: B010
    setattr(backend, "complete_multipart_upload", complete_multipart_upload)  # noqa: B010
    for function in (all_buckets, list_objects, list_objects_v2):
        setattr(S3Response, function.__name__, function)
    setattr(S3Response, "_bucket_response_delete_keys", delete_keys)  # noqa: B010
    setattr(backend, "_set_delete_marker", set_delete_marker)  # noqa: B010
    setattr(backend, "list_object_versions", list_object_versions)  # noqa: B010
    setattr(backend, "delete_object", delete_object)  # noqa: B010


def _event(event_name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, Any]:
    """What a bucket tells of an object; all members, and the key's slashes as they are.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and, recorded on AWS,
    localstack/localstack tests/aws/services/s3/test_s3_notifications_sqs.snapshot.json
    """
    name, version = event_name.removeprefix("s3:"), str(key.version_id)
    told: dict[str, Any] = {"key": urllib.parse.quote_plus(key.name, safe="/")}
    if name.startswith("ObjectCreated:"):
        told["size"] = key.size
    if not name.startswith("ObjectRemoved:"):
        told["eTag"] = key.etag.strip('"')
    if version != "null":
        told["versionId"] = version
    if not name.startswith("ObjectTagging:"):
        told["sequencer"] = f"{time.time_ns():018X}"
    request = uuid.uuid4().hex.upper()
    record = {
        "eventVersion": "2.3" if name.startswith("ObjectTagging:") else "2.1", "eventSource": "aws:s3",
        "awsRegion": bucket.region_name, "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z",
        "eventName": name, "userIdentity": {"principalId": ACCOUNT_ID},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": request[:16], "x-amz-id-2": request},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": notification_id, "object": told,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": ACCOUNT_ID}, "arn": bucket.arn},
        },
    }  # fmt: skip
    return {"Records": [record]}
