"""The functions of notebook 09 by themselves: what they send, what they translate, what they raise."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from helpers.provision import HANDLERS, package
from tests.kafka_brokers import bootstrap, broker_kind, embedded, genuine, make_topic
from tests.test_kafka_source import Lab, run

if str(HANDLERS) not in sys.path:
    sys.path.insert(0, str(HANDLERS))  # as in the zip, where kafka_security.py lies beside it

from helpers.handlers import ingest_kafka  # noqa: E402

__all__ = ["bootstrap", "broker_kind", "embedded", "genuine"]
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 10_000)


def event(method: str, body: Any = None) -> dict[str, Any]:
    return {"context": {"http-method": method}, "body-json": body}


@pytest.fixture
def writer(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The ingestion function as a container of its own has it."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setattr(ingest_kafka, "TOPIC", make_topic(bootstrap, 4))
    monkeypatch.setattr(ingest_kafka, "_producer", None)
    yield ingest_kafka
    if ingest_kafka._producer:
        ingest_kafka._producer.close()


def test_rows_are_in_the_topic_when_it_answers(bootstrap: str, writer: Any) -> None:
    """Keyed by invoice, in order, one producer for all calls of a container"""
    rows = [{"RowId": f"x:{n:06d}", "InvoiceNo": f"53{n // 7}", "Description": "£ ✓"} for n in range(700)]
    for at in range(0, 700, 100):
        assert writer.lambda_handler(event("PUT", rows[at : at + 100]), CONTEXT) == {"accepted": 100}
    kept = writer._producer
    assert writer.lambda_handler(event("POST", rows[0]), CONTEXT) == {"accepted": 1}
    assert writer._producer is kept
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(writer.TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    found: list[Any] = []
    while len(found) < 701:
        found += [r for records in consumer.poll(timeout_ms=500).values() for r in records]
    consumer.close()
    assert {json.loads(r.value)["RowId"] for r in found} == {row["RowId"] for row in rows}
    assert all(r.key.decode() == json.loads(r.value)["InvoiceNo"] for r in found)
    for invoice in {row["InvoiceNo"] for row in rows}:
        its = [r for r in found if r.key.decode() == invoice and json.loads(r.value) != rows[0]]
        assert len({r.partition for r in its}) == 1
        assert [json.loads(r.value)["RowId"] for r in its] == sorted(json.loads(r.value)["RowId"] for r in its)


@pytest.mark.parametrize(
    "bad", [event("PUT", []), event("PUT", {}), event("PUT", ["x"]), event("POST", [1]), event("POST", {"a": 1})]
)
def test_what_is_no_row_is_refused_before_anything_is_sent(bad: Any) -> None:
    with pytest.raises(ValueError, match="Invalid request body"):
        ingest_kafka.lambda_handler(bad, CONTEXT)
    assert ingest_kafka.lambda_handler(event("GET"), CONTEXT)["message"] == "Hello from Lambda!"


def test_brokers_that_do_not_answer_become_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(timeout: float) -> None:
        raise KafkaTimeoutError("Batch expired")

    sender = SimpleNamespace(send=lambda *_: SimpleNamespace(get=get))
    monkeypatch.setattr(ingest_kafka, "_producer", sender)
    with pytest.raises(RuntimeError, match="^Throttled: KafkaTimeoutError"):
        ingest_kafka.lambda_handler(event("POST", {"InvoiceNo": "1"}), CONTEXT)


def test_the_producer_says_who_it_is_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"SECURITY_PROTOCOL": "SASL_SSL", "USERNAME": "alice", "PASSWORD": "secret", "BOOTSTRAP_SERVERS": "b:9096"}
    for name, value in wanted.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    monkeypatch.setattr(ingest_kafka, "_producer", None)
    monkeypatch.setattr(ingest_kafka, "KafkaProducer", dict)
    made = ingest_kafka.producer()
    assert (made["bootstrap_servers"], made["security_protocol"], made["sasl_mechanism"]) == (
        ["b:9096"],
        "SASL_SSL",
        "SCRAM-SHA-512",
    )
    assert (made["sasl_plain_username"], made["sasl_plain_password"]) == ("alice", "secret")
    assert made["ssl_context"].check_hostname


def test_the_zip_holds_the_client_and_nothing_compiled() -> None:
    import io
    import zipfile

    made = package("ingest_kafka", requirements=["kafka-python"], also=["kafka_security"])
    names = zipfile.ZipFile(io.BytesIO(made)).namelist()
    assert {"ingest_kafka.py", "kafka_security.py", "kafka/producer/kafka.py"} <= set(names)
    assert not [n for n in names if n.endswith((".so", ".pyc")) or ".dist-info" in n]
    both = zipfile.ZipFile(io.BytesIO(package("from_kafka", also=["raw_storage"]))).namelist()
    assert both == ["from_kafka.py", "raw_storage.py"]


def test_what_was_written_for_kinesis_gets_kinesis_event(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is the trigger's own; a partial answer comes back in Kafka's words."""
    code = "seen = []\ndef handler(event, context):\n    seen.append(event)\n    return answer\nanswer = None\n"
    (tmp_path / "for_kinesis.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(HANDLERS))
    monkeypatch.setenv("HANDLER", "for_kinesis.handler")
    for name in ("from_kafka", "for_kinesis"):
        sys.modules.pop(name, None)
    adapter, inner = importlib.import_module("from_kafka"), importlib.import_module("for_kinesis")

    async def test() -> None:
        lab = Lab(bootstrap)
        lab.put("a/1", "a/2", "a/3")
        await lab.map()
        await lab.until(lambda: len(lab.got()) == 3)
        inner.answer = {"batchItemFailures": [{"itemIdentifier": "00000000000000000001"}]}
        answer = adapter.lambda_handler(lab.events[0], CONTEXT)
        failed = {"partition": f"{lab.topic}-0", "offset": 1}
        assert answer["batchItemFailures"] == [{"itemIdentifier": failed}]
        (given,) = inner.seen
        second = given["Records"][1]
        assert second["eventID"] == f"{lab.topic}-0:00000000000000000001"
        assert base64.b64decode(second["kinesis"]["data"]) == b"a/2" and second["kinesis"]["partitionKey"] == "a"
        assert second["kinesis"]["approximateArrivalTimestamp"] > 1.7e9
        inner.answer = None
        assert adapter.lambda_handler(lab.events[0], CONTEXT)["batchItemFailures"] == []
        await lab.sources.close()

    run(test())
