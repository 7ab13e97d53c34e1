"""Run a job's script with Spark on this machine, in a process of its own, if Spark and Java are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

SCRIPT = Path(__file__).with_name("batch_days.py")
INSTALL = "pip install -r requirements-spark.lock"


def missing() -> str:
    """What keeps Spark from running here and how to mend it, in one line; "" when nothing does."""
    if find_spec("pyspark") is None:
        return f"Spark is not installed: {INSTALL}"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java or not Path(java).exists():
        return "Spark needs Java 17 or later, and there is none here (JAVA_HOME, or java on the PATH)"
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"Spark needs Java 17 or later, and {java} does not run"


def submit(days: Path, out: Path, *, memory: str = "1g") -> None:
    """spark-submit the batch job in local mode. Raises RuntimeError with Spark's last words."""
    if reason := missing():
        raise RuntimeError(reason)
    settings = {
        "spark.driver.memory": memory,
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # starts sooner
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.files.openCostInBytes": "10000",  # many small files: a few of them make a task
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    command = [sys.executable, "-m", "pyspark.find_spark_home"]
    home = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    arguments = [f"{home}/bin/spark-submit", "--master", "local[2]"]
    for name, value in settings.items():
        arguments += ["--conf", f"{name}={value}"]
    arguments += [str(SCRIPT), "--days", str(days), "--out", str(out)]
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = [line for line in (done.stderr + done.stdout).splitlines() if "Error" in line or "Exception" in line]
        raise RuntimeError(f"Spark failed: {(words or done.stderr.splitlines() or ['no output'])[-1]}")
