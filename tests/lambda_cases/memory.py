def handler(event, context):
    held = bytearray(event["mb"] << 20)
    for place in range(0, len(held), 4096):
        held[place] = 1
    return len(held) >> 20
