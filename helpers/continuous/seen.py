"""Which rows have been counted already, in one bit a row: a stream delivers at least once.

A RowId is a source and a number (`online-retail:000142`), so what was seen is a line of bits for each source, cut into
chunks of 8,192 rows: 1 kB, and with its key two of the units in which DynamoDB writes. The real file has 67 chunks for
each shard, where a marker for every row would be half a million items.

What is remembered is bounded: a chunk is forgotten when for `remember` seconds no row of it has arrived. A duplicate
that comes later than that counts as a new row. Time is the time of arrival that the stream gives each record, so that
whoever reads it again decides the same.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .windows import Unreadable

ROWS = 8192  # a chunk
MOST_IN_MEMORY = 256  # chunks, of one shard
_ROW_ID = re.compile(r"([^#]{1,180}):([0-9]{1,15})", re.ASCII)

Key = tuple[str, int]  # source and number of the chunk


@dataclass(slots=True)
class Chunk:
    """The bits of 8,192 rows, and when (epoch seconds) the last of those that were new has arrived."""

    bits: bytearray
    arrived: float


Load = Callable[[str, int], Chunk | None]


class Seen:
    """What one shard has seen. `load` fetches a chunk that an earlier reader of the shard has stored."""

    def __init__(self, load: Load, remember: float) -> None:
        self._load, self._remember = load, remember
        self._chunks: OrderedDict[Key, Chunk] = OrderedDict()
        self._changed: dict[Key, Chunk] = {}

    @property
    def items(self) -> int:
        """How many chunks have changed since the last take."""
        return len(self._changed)

    def add(self, row_id: str, arrived: float) -> bool:
        """Whether the row is new; it is not from now on. Raises Unreadable for what is no RowId."""
        found = _ROW_ID.fullmatch(row_id)
        if not found:
            raise Unreadable(f"RowId is no source and number: {row_id!r:.60}")
        number, place = divmod(int(found[2]), ROWS)
        key = (found[1], number)
        chunk = self._chunk(key, arrived)
        byte, bit = place >> 3, 1 << (place & 7)
        if chunk.bits[byte] & bit:
            return False
        chunk.bits[byte] |= bit
        chunk.arrived = max(chunk.arrived, arrived)
        self._changed[key] = chunk
        return True

    def take(self) -> dict[Key, Chunk]:
        """The chunks that have changed since the last call."""
        taken, self._changed = self._changed, {}
        while len(self._chunks) > MOST_IN_MEMORY:
            self._chunks.popitem(last=False)
        return taken

    def _chunk(self, key: Key, arrived: float) -> Chunk:
        chunk = self._chunks.get(key) or self._load(*key)
        if chunk is None or arrived - chunk.arrived > self._remember:
            chunk = Chunk(bytearray(ROWS // 8), arrived)
        self._chunks[key] = chunk
        self._chunks.move_to_end(key)
        return chunk


def union(chunks: list[Chunk]) -> Chunk | None:
    """What several shards have seen of the same rows; None of none."""
    if not chunks:
        return None
    bits: Any = 0
    for chunk in chunks:
        bits |= int.from_bytes(chunk.bits, "little")
    return Chunk(bytearray(bits.to_bytes(ROWS // 8, "little")), max(chunk.arrived for chunk in chunks))
