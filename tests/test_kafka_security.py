"""Brokers that ask who one is: a genuine Apache Kafka with TLS and SASL/SCRAM, its certificate of an authority of ours.

What the environment says (KAFKA_SECURITY_PROTOCOL and so on) reaches everything that connects: the notebook's clients,
the ingestion function, the triggers and the continuous process.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from helpers import genuine_kafka
from helpers.continuous import kafka_worker
from helpers.lab import Lab
from helpers.provision import HANDLERS
from tests.kafka_brokers import make_topic
from tests.test_kafka_source import Lab as Triggers
from tests.test_kafka_source import run

if str(HANDLERS) not in sys.path:
    sys.path.insert(0, str(HANDLERS))  # as in the zip, where kafka_security.py lies beside it

from helpers.handlers import ingest_kafka  # noqa: E402

NAME, PASSWORD = "alice", "a long secret"


def certificate(name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, *more: object) -> tuple:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, signer = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    built = x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    built = built.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    built = built.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if issuer:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        built = built.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return built.sign(signer, hashes.SHA256()), key


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[genuine_kafka.Kafka]:
    if reason := genuine_kafka.why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("secured")
    authority = certificate("workbook's authority", None)
    own, key = certificate("broker", authority)
    (folder / "ca.pem").write_bytes(authority[0].public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "broker.pem").write_bytes(private + own.public_bytes(Encoding.PEM))
    kafka = genuine_kafka.Kafka(folder, users={NAME: PASSWORD}, keystore=folder / "broker.pem")
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture
def secured(broker: genuine_kafka.Kafka, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address at which the broker asks, and the environment with the answers."""
    variables = {"BOOTSTRAP_SERVERS": broker.secured, "SECURITY_PROTOCOL": "SASL_SSL", "CA_FILE": ca(broker)}
    for variable, value in (variables | {"USERNAME": NAME, "PASSWORD": PASSWORD}).items():
        monkeypatch.setenv(f"KAFKA_{variable}", str(value))
    return broker.secured


def ca(broker: genuine_kafka.Kafka) -> Path:
    return broker.folder / "ca.pem"


def read(topic: str, **connection: object) -> list[bytes]:
    consumer = KafkaConsumer(**connection, consumer_timeout_ms=3_000)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    try:
        return [record.value for record in consumer]
    finally:
        consumer.close()


def test_everything_that_connects_takes_the_environments_word(
    broker: genuine_kafka.Kafka, secured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic(broker.bootstrap)
    producer = KafkaProducer(**Lab.kafka(secured), acks="all")
    producer.send(topic, b"from the notebook", key=b"a").get(timeout=30)
    producer.close()
    monkeypatch.setattr(ingest_kafka, "TOPIC", topic)
    monkeypatch.setattr(ingest_kafka, "_producer", None)
    body = {"context": {"http-method": "POST"}, "body-json": {"InvoiceNo": "536365", "RowId": "a:000001"}}
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 30_000)
    assert ingest_kafka.lambda_handler(body, context) == {"accepted": 1}
    ingest_kafka._producer.close()
    values = [b"from the notebook", b'{"InvoiceNo":"536365","RowId":"a:000001"}']
    assert read(topic, **Lab.kafka(secured)) == values
    assert read(topic, **kafka_worker.connection(secured)) == values

    async def trigger() -> None:
        triggers = Triggers(broker.bootstrap)
        triggers.servers = secured
        await triggers.map(Topics=[topic])
        await triggers.until(lambda: [v.encode() for v in triggers.got()] == values)
        await triggers.sources.close()

    run(trigger())


@pytest.mark.parametrize("wrong", ["PASSWORD", "CA_FILE", "SECURITY_PROTOCOL"])
def test_who_is_not_known_does_not_get_in(secured: str, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    if wrong == "CA_FILE":
        monkeypatch.delenv("KAFKA_CA_FILE")
    else:
        monkeypatch.setenv(f"KAFKA_{wrong}", "PLAINTEXT" if wrong == "SECURITY_PROTOCOL" else "guessed")
    with pytest.raises(KafkaError):
        KafkaProducer(**Lab.kafka(secured), bootstrap_timeout_ms=3_000).close()
