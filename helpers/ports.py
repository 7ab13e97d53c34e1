"""Ports for servers that cannot be given a socket, only a number."""

from __future__ import annotations

import contextlib
import random
import socket

# Below what Linux (32768), macOS and Windows (49152) give to outgoing connections: a port from there may be taken by
# any client between our asking and the server's start. https://en.wikipedia.org/wiki/Ephemeral_port
_PORTS = range(20_000, 32_000)


def free(count: int = 1) -> list[int]:
    """`count` different ports of 127.0.0.1 on which nothing listens now; raises OSError when there are none."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            one = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")
