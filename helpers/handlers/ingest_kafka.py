"""Lambda `ingest-kafka`, behind API Gateway: puts rows into a Kafka topic. It is `ingest` with another buffer.

GET   returns a greeting
POST  one row, a JSON object                -> {"accepted": 1}
PUT   a list of rows, a JSON array of 1-500 -> {"accepted": n}

An answer means that every row is in the topic: `acks=all` waits for all replicas that are in sync. When the brokers do
not say so in time it raises "Throttled: ...", which the API turns into 429, and the client sends the whole request
again; so a row may arrive twice, and RowId tells which. A row that is none raises "Invalid request body: ...", 400.

KAFKA_BOOTSTRAP_SERVERS and TOPIC in the environment say where; kafka_security.py says what else brokers may ask for.
The zip holds that file and kafka-python.
"""

from __future__ import annotations

import json
import os
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka_security import security

TOPIC = os.environ.get("TOPIC", "APIdata")
RESERVE = 1.5  # seconds kept back, to say what happened

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_producer: KafkaProducer | None = None


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    method = event["context"]["http-method"]
    if method == "GET":
        return {"message": "Hello from Lambda!", "topic": TOPIC}
    body = event["body-json"]
    if method == "POST":
        body = [body]
    elif method != "PUT" or not isinstance(body, list) or not body:
        raise ValueError("Invalid request body: PUT takes a list of one row or more")
    put([record(row) for row in body], context)
    return {"accepted": len(body)}


def record(row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Key and value of a row. An invoice's rows share a key, so they lie in one partition, in order."""
    try:
        return row["InvoiceNo"].encode(), to_json(row).encode()
    except (KeyError, TypeError, AttributeError):
        raise ValueError("Invalid request body: a row is a JSON object with an InvoiceNo") from None


def put(records: list[tuple[bytes, bytes]], context: Any) -> None:
    """Hands them to the producer, which sends them in batches, and waits until each is acknowledged."""
    try:
        sent = [producer().send(TOPIC, value, key) for key, value in records]
        for future in sent:
            future.get(timeout=max(0.0, context.get_remaining_time_in_millis() / 1000 - RESERVE))
    except KafkaError as error:
        raise RuntimeError(f"Throttled: {type(error).__name__}: {error}") from None


def producer() -> KafkaProducer:
    """One for the life of the container: connections and what it knows of the topic are kept from call to call.

    Idempotence numbers what is sent, so that a request that is repeated on a broken connection is stored once.
    """
    global _producer
    if _producer is None:
        _producer = KafkaProducer(
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(","),
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            batch_size=128 * 1024,
            max_block_ms=5_000,
            request_timeout_ms=5_000,
            delivery_timeout_ms=15_000,
            allow_auto_create_topics=False,
            **security(),
        )
    return _producer
