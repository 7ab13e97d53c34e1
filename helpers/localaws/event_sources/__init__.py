"""Event source mappings: what triggers a Lambda by being read.

`mappings` is the control plane that all share, `ordered` the delivery of what is read in order (a shard, a partition),
and each kind of source has a module of its own.
"""

from .mappings import EventSources, Mapping, Needs

__all__ = ["EventSources", "Mapping", "Needs"]
