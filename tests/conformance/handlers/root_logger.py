import json
import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def lambda_handler(event, context):
    logger.debug("not shown")
    logger.info("## EVENT\n%s", json.dumps(event))
    logger.warning("stock is %d", event["stock"])
    try:
        1 / event["stock"]
    except ZeroDivisionError:
        logger.exception("division failed")
        logger.error("giving up", extra={"order": 1})
    return logger.level
