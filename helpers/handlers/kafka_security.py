"""How kafka-python connects to brokers that ask who one is: the settings, from the environment.

It lies beside ingest_kafka.py in that function's zip; triggers and the continuous process ask it as well.
"""

from __future__ import annotations

import os
import ssl
from typing import Any


def security() -> dict[str, Any]:
    """KAFKA_SECURITY_PROTOCOL is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; KAFKA_SASL_MECHANISM (MSK: SCRAM-SHA-512)
    with KAFKA_USERNAME and KAFKA_PASSWORD; KAFKA_CA_FILE where the broker's certificate is not a public one.

    https://docs.aws.amazon.com/msk/latest/developerguide/msk-password.html
    """
    protocol = os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    settings: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        settings["ssl_context"] = ssl.create_default_context(cafile=os.environ.get("KAFKA_CA_FILE"))
    if protocol.startswith("SASL"):
        settings["sasl_mechanism"] = os.environ.get("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
        settings["sasl_plain_username"] = os.environ["KAFKA_USERNAME"]
        settings["sasl_plain_password"] = os.environ["KAFKA_PASSWORD"]
    return settings
