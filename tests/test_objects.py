"""Where the bytes of S3's objects lie: the small ones in memory, the others in parts of one file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from helpers.localaws.moto_seams.objects import Body, Disk
from tests.seeded import SEED

KB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk()
    made.folder = tmp_path
    return made


def body(disk: Disk, data: bytes) -> Body:
    made = Body(0, disk)
    made.seek(0)
    made.truncate()
    made.write(data)
    return made


@pytest.mark.parametrize("size", [0, 1, 16 * KB, 16 * KB + 1, 100 * KB, 5 * KB * KB])
def test_what_was_written_is_read_whole_and_in_parts(disk: Disk, size: int) -> None:
    data = random.Random(SEED).randbytes(size)
    made = body(disk, data)
    made.seek(0)
    assert made.read() == data
    assert made.read() == b""
    made.seek(0)
    blocks = list(iter(lambda: made.read(7 * KB), b""))
    assert b"".join(blocks) == data


def test_the_file_has_no_name_and_its_room_is_used_again(disk: Disk, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    held: dict[int, tuple[Body, bytes]] = {}
    for n in range(400):
        data = chance.randbytes(chance.randrange(60 * KB))
        key = chance.randrange(20)
        if key in held and chance.random() < 0.3:
            again, _ = held.pop(key)
            again.seek(0)
            again.truncate()
            again.write(data)
            held[key] = again, data
        else:
            held[key] = body(disk, data), data  # what was there before is gone, and its room free
        if n % 50 == 0:
            for made, wanted in held.values():
                made.seek(0)
                assert made.read() == wanted
    assert os.listdir(tmp_path) == []
    assert disk._end <= 64 * KB * 2 * 21, "rooms of objects that are gone are not used again"


def test_an_object_whose_write_failed_leaves_its_room(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            body(disk, bytes(50 * KB))
    end = disk._end
    made = body(disk, bytes(50 * KB))
    assert disk._end == end
    made.seek(0)
    assert made.read() == bytes(50 * KB)


def test_a_short_write_and_a_short_read_are_gone_on_with(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read, data = os.pwrite, os.pread, random.Random(SEED).randbytes(100 * KB)
    monkeypatch.setattr(os, "pwrite", lambda file, rest, place: write(file, rest[: 9 * KB], place))
    monkeypatch.setattr(os, "pread", lambda file, size, place: read(file, min(size, 7 * KB), place))
    made = body(disk, data)
    made.seek(0)
    assert made.read() == data
