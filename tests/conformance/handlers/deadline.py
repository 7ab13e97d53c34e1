"""Works until the time is nearly up and says how far it came."""

import time

RESERVE_MS = 700


def handler(event, context):
    done = []
    for item in event["items"]:
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            break
        time.sleep(0.1)
        done.append(item)
    return {"done": len(done), "next": event["items"][len(done)] if len(done) < len(event["items"]) else None}


def too_slow(event, context):
    print("starting")
    time.sleep(60)
