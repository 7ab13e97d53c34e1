"""A container that is warm keeps what the module and the default arguments hold."""

import uuid

count = 0
CONTAINER = str(uuid.uuid4())
cache = {}


def handler(event, context, seen=[]):  # noqa: B006
    global count
    count += 1
    seen.append(event.get("id"))
    first = cache.setdefault("first_request", context.aws_request_id)
    return {"count": count, "seen": seen, "warm": first != context.aws_request_id, "container": CONTAINER}
