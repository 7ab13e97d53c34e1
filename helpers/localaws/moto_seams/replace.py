"""How the seams put their own functions in the place of moto's."""

from __future__ import annotations

from typing import Any


def replace(*changes: tuple[Any, dict[str, Any]]) -> None:
    """Of each class or module: these attributes, by name."""
    for owner, attributes in changes:
        for name, attribute in attributes.items():
            setattr(owner, name, attribute)
