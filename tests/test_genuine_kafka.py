"""Starting a genuine Apache Kafka: with any cluster id, and with a reason when it cannot; and the ports it is given."""

from __future__ import annotations

import re
import secrets
import socket
from pathlib import Path

import pytest

from helpers import genuine_kafka, ports


@pytest.fixture(autouse=True)
def at_hand() -> None:
    if reason := genuine_kafka.why_not():
        pytest.skip(reason)


def test_an_id_that_begins_with_a_dash_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", lambda count: "-" * 21 + "A")
    genuine_kafka.Kafka(tmp_path)
    held = (tmp_path / "data" / "meta.properties").read_text()
    assert re.search(r"^cluster\.id=W-+A$", held, re.MULTILINE)


def test_a_folder_that_it_cannot_prepare_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where its folder is to be")
    with pytest.raises(genuine_kafka.Missing, match=r"^Apache Kafka did not prepare its folder: No available log dir"):
        genuine_kafka.Kafka(tmp_path)


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    kafka = genuine_kafka.Kafka(tmp_path)
    (tmp_path / "data" / "meta.properties").unlink()
    with pytest.raises(genuine_kafka.Missing, match=r"^Apache Kafka did not start: .*meta\.properties"):
        kafka.start()


class TestPorts:
    def test_no_port_is_given_twice(self) -> None:
        assert len(set(ports.free(50))) == 50

    def test_none_on_which_somebody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (taken,), (other,) = ports.free(), ports.free()
        monkeypatch.setattr(ports, "_PORTS", range(taken, taken + 1))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", taken))
            with pytest.raises(OSError, match=r"^no 1 free ports"):
                ports.free()
        assert ports.free() == [taken]
        assert other not in {0, taken}
