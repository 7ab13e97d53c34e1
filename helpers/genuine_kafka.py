"""Genuine Apache Kafka on this machine: one node in KRaft mode, its jars by Maven, Java from the machine.

`workbook kafka` starts one and says how to use it, until Ctrl-C. The jars stay in the cache (WORKBOOK_CACHE, else
~/.cache/workbook); the node's data is a temporary folder, and gone with it.
https://kafka.apache.org/documentation/#kraft
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from helpers import ports

VERSION = "4.1.1"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>workbook</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""
_SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
"""

# A second listener, for tests of clients that must show who they are: TLS, and a name with a password on top.
# https://kafka.apache.org/documentation/#security_sasl_scram
_SECURED = """listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{secured}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secured}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module} required;
"""
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


class Missing(RuntimeError):
    """What this needs is not on the machine; the message is the one line to show."""


def why_not() -> str:
    """Why it cannot be started on this machine, or ""."""
    lacking = [name for name in ("java", "mvn") if not shutil.which(name)]
    wanted = [name for name in lacking if name == "java" or not _jars().is_dir()]
    return f"genuine Apache Kafka needs {' and '.join(wanted)} on the PATH" if wanted else ""


def _jars() -> Path:
    cache = os.environ.get("WORKBOOK_CACHE") or Path.home() / ".cache" / "workbook"
    return Path(cache) / f"kafka-{VERSION}"


def fetch() -> Path:
    """The folder of the jars (44 MB), fetched from Maven's repository the first time; raises Missing."""
    if reason := why_not():
        raise Missing(reason)
    target = _jars()
    if target.is_dir():
        return target
    print(f"Fetching Apache Kafka {VERSION} into {target}: once", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as scratch:
        (Path(scratch) / "pom.xml").write_text(_POM.format(version=VERSION))
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/jars"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
            raise Missing(f"Maven did not fetch Apache Kafka {VERSION}: {lines[0]}")
        with contextlib.suppress(OSError):  # another one was faster
            (Path(scratch) / "jars").rename(target)
    return target


class Kafka:
    """One node; it can be stopped, killed and started again with what it holds.

    With `users` (name to password) and a `keystore` (a PEM file with key and certificate) it answers on `secured`, too:
    with SASL_SSL and SCRAM-SHA-512, as MSK does on port 9096.
    """

    def __init__(self, folder: Path, *, users: Mapping[str, str] | None = None, keystore: Path | None = None) -> None:
        self.folder, self.jars = folder, fetch()
        self._process: subprocess.Popen[bytes] | None = None
        port, controller, secured = ports.free(3)
        self.bootstrap, self.secured = f"127.0.0.1:{port}", f"127.0.0.1:{secured}" if users else ""
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = folder / "server.properties"
        settings = _SETTINGS.format(port=port, controller=controller, logs=folder / "data")
        if users:  # of two lines for one setting the later one counts
            places = {"port": port, "controller": controller, "secured": secured, "keystore": keystore}
            settings += _SECURED.format(**places, module=_SCRAM)
        self.settings.write_text(settings)
        # 16 random bytes; one id in 64 would begin with a dash, which the tool takes for an option.
        cluster = "W" + secrets.token_urlsafe(16)[1:]
        given = (users or {}).items()
        accounts = [w for n, p in given for w in ("--add-scram", f"SCRAM-SHA-512=[name={n},password={p}]")]
        tool = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.settings), *accounts)
        if tool.wait():
            raise Missing(f"Apache Kafka did not prepare its folder: {self._reason()}")

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = self.folder / "kafka.log"
        quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Xmx512m", "-XX:+UseSerialGC"]
        with log.open("ab") as output:
            command = ["java", *quiet, "-cp", f"{self.jars}/*", *arguments]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _reason(self) -> str:
        """The log's last line that is not a step of a Java stack."""
        lines = (self.folder / "kafka.log").read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip() and not line[0].isspace()), "no output")

    def start(self, seconds: float = 60) -> None:
        """Returns when it answers as a broker; raises Missing with the log's reason when it ends instead."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        self._process = self._java("kafka.Kafka", str(self.settings))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Missing(f"Apache Kafka did not start: {self._reason()}")
            with contextlib.suppress(KafkaError, OSError):
                host, port = self.bootstrap.split(":")
                socket.create_connection((host, int(port)), 1).close()
                admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2_000)
                try:
                    if admin.describe_cluster()["brokers"]:
                        return
                finally:
                    admin.close()
            time.sleep(0.1)
        self.stop()
        raise Missing(f"Apache Kafka did not answer within {seconds:g} s: see {self.folder / 'kafka.log'}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it, and waits; SIGKILL for the tests of what a crash does."""
        if self._process:
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@contextlib.contextmanager
def running() -> Iterator[Kafka]:
    """A node in a temporary folder, which ends with the block and leaves nothing; raises Missing."""
    with tempfile.TemporaryDirectory(prefix="workbook-kafka-") as scratch:
        kafka = Kafka(Path(scratch))
        try:
            kafka.start()
            yield kafka
        finally:
            kafka.stop()


def main() -> int:
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: ended.append(number))
    try:
        with running() as kafka:
            print(f"Apache Kafka {VERSION} answers on {kafka.bootstrap}; Ctrl-C ends it. For a lab of its own on it:")
            print(f"  workbook stop; export KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}", flush=True)
            while not ended:
                time.sleep(0.1)
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    print("Apache Kafka has ended, and what it held is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
