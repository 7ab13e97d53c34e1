"""A server that answers every request as a successful put_record, at once: `python -m helpers.bench.noop`."""

from __future__ import annotations

import sys

NOOP_ANSWER = (
    b'{"ShardId":"shardId-000000000000","SequenceNumber":"49600000000000000000000000000000000000000000000000000000"}'
)


def serve() -> None:
    """Answers every request as a successful put_record, at once."""
    import asyncio

    from ..localaws import front_door
    from ..localaws.types import Response

    async def listen() -> None:
        answer = Response(200, NOOP_ANSWER, {"Content-Type": "application/x-amz-json-1.1"})
        listening, _ = await front_door.listen(lambda _: answer)
        print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(listen())


if __name__ == "__main__":
    serve()
