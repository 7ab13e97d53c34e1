"""Where moto's S3 keeps the bytes of objects: small ones in memory, others on disk, as a cloud's memory is a laptop's.

moto gives each object a file of its own from 16 MB on, which stays open; a raw storage has thousands of smaller ones.
Here all share one file that has no name, so that nothing is left of it when the lab's process is gone, however it went.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import IO

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
    """Puts this in the place of moto's own files."""
    import moto.s3.models as models

    setattr(models, "tempfile", SimpleNamespace(SpooledTemporaryFile=Body))  # noqa: B010
