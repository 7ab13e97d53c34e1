"""Lambda has a handler on the root logger already, so basicConfig does nothing."""

import logging

logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(message)s")
log = logging.getLogger(__name__)


def handler(event, context):
    log.info("an order came in")
    log.warning("an order is late")


def forced(event, context):
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(message)s", force=True)
    log.info("an order came in")
