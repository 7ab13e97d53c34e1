"""A member of a consumer group: KafkaConsumer with two faults of kafka-python 3.0.12 mended, and one watched.

- A join goes on by itself when the time of the poll that began it runs out; the next poll is to pick up its answer. But
  a member that leads the group computes the assignment meanwhile, and with it the reason for the join has gone
  (`need_rejoin`: the topic's partitions are those that were assigned). Then no poll picks the answer up: the member has
  no partitions and sends no heartbeats, for ever, and nothing says so.
- `allow_auto_create_topics=False` does not reach the requests for metadata. A member that is on its way out then
  brings a topic to life again that has just been deleted, where the broker makes topics that are asked for.
- After its broker was killed and came back, and partitions had gone to and fro, a group that was settled again has
  once left records unread for minutes. What its member waited for is not known, and it did not happen again. That
  records wait and none come can be found out, and then another consumer is the remedy.
"""

from __future__ import annotations

import time
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

_SILENCE = 10.0  # seconds without a record after which it looks whether there are some


class Silent(KafkaError):  # type: ignore[misc]
    """No records come though some are there: only another consumer will get them."""


class GroupConsumer(KafkaConsumer):  # type: ignore[misc]
    """A KafkaConsumer whose polls finish the join that an earlier one has begun, and that makes no topics."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_auto_create_topics=False)
        self._heard = time.monotonic()
        self._stood: dict[Any, int] = {}  # partitions that records waited in when it last looked
        self._client.cluster.config["allow_auto_create_topics"] = False

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """As KafkaConsumer's; raises Silent when it has got nothing for a while, and stands before the end."""
        coordinator = self._coordinator
        if coordinator is not None and coordinator.rejoining:
            coordinator.request_rejoin()
        pages = super().poll(*args, **kwargs)
        if pages:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _SILENCE:
            self._look()
            self._heard = time.monotonic()
        return pages

    def _look(self) -> None:
        """Raises Silent when a partition stands where it stood the last time, with records behind it."""
        before = self._stood
        try:
            stand = {tp: self.position(tp, timeout_ms=1_000) for tp in self.assignment() - self.paused()}
            ends = self.end_offsets(list(stand), timeout_ms=1_000) if stand else {}
        except KafkaError:
            return  # the broker does not answer, which is no fault of the fetching
        self._stood = {tp: at for tp, at in stand.items() if at is not None and at < ends.get(tp, 0)}
        for tp, at in self._stood.items():
            if before.get(tp) == at:
                raise Silent(f"{tp.topic}-{tp.partition} stands at {at} of {ends[tp]}")
