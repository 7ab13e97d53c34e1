from datetime import datetime, timedelta


def handler(event, context):
    if event.get("source") != "aws.events" or event["detail-type"] != "Scheduled Event":
        raise RuntimeError("not a schedule")
    at = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    rule = event["resources"][0].split("/")[-1]
    return {"rule": rule, "prefix": (at - timedelta(days=1)).strftime("raw/%Y/%m/%d/")}
