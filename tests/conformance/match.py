"""Values that stand in an expectation for what differs from run to run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


class Text:
    """Equal to every text that the pattern matches in full."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other, re.DOTALL) is not None

    def __repr__(self) -> str:
        return f"Text({self.pattern!r})"


class Has:
    """Equal to every mapping that has these members, whatever else it has."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and all(
            name in other and value == other[name] for name, value in self.members.items()
        )

    def __repr__(self) -> str:
        return f"Has({dict(self.members)!r})"


class HasItem:
    """Equal to every list in which this item stands."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and any(self.item == item for item in other)

    def __repr__(self) -> str:
        return f"HasItem({self.item!r})"


class Between:
    """Equal to every number from low to high."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and self.low <= other <= self.high

    def __repr__(self) -> str:
        return f"Between({self.low}, {self.high})"


UUID = Text("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
