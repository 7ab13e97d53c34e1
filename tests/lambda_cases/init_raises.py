settings = {}
table = settings["TABLE"]


def handler(event, context):
    return table
