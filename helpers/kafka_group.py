"""A member of a consumer group: KafkaConsumer with two faults of kafka-python 3.0.12 mended.

- A join goes on by itself when the time of the poll that began it runs out; the next poll is to pick up its answer. But
  a member that leads the group computes the assignment meanwhile, and with it the reason for the join has gone
  (`need_rejoin`: the topic's partitions are those that were assigned). Then no poll picks the answer up: the member has
  no partitions and sends no heartbeats, for ever, and nothing says so.
- `allow_auto_create_topics=False` does not reach the requests for metadata. A member that is on its way out then
  brings a topic to life again that has just been deleted, where the broker makes topics that are asked for.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer


class GroupConsumer(KafkaConsumer):  # type: ignore[misc]
    """A KafkaConsumer whose polls finish the join that an earlier one has begun, and that makes no topics."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_auto_create_topics=False)
        self._client.cluster.config["allow_auto_create_topics"] = False

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """As KafkaConsumer's."""
        coordinator = self._coordinator
        if coordinator is not None and coordinator.rejoining:
            coordinator.request_rejoin()
        return super().poll(*args, **kwargs)
