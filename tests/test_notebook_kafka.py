"""What is special to notebook 09, on the lab's own broker and on a genuine Apache Kafka: its exercises, a second run
with their solutions, and the clean-up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import boto3
import pytest

import helpers.lab
from helpers import reconcile
from helpers.inventory import inventory, refuse_foreign
from helpers.lab import Lab, LabError, open_lab
from helpers.localaws import server
from helpers.provision import wait_for
from tests.kafka_brokers import bootstrap, broker_kind, embedded, genuine
from tests.notebooks import execute, printed, said
from tests.seeded import SOAK

__all__ = ["bootstrap", "broker_kind", "embedded", "genuine"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, broker_kind: str, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab in which notebook 09 has run; the second time on the genuine broker."""
    folder = tmp_path_factory.mktemp("kafka") / "lab"
    before, opened = dict(os.environ), helpers.lab._opened
    helpers.lab._opened = None
    os.environ |= {"WORKBOOK_LAB": str(folder), "WORKBOOK_PROGRESS": "0", "WORKBOOK_IDLE_EXIT": "600"}
    if broker_kind == "genuine":
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = str(request.getfixturevalue("genuine").bootstrap)
    try:
        opened_lab = open_lab()
        opened_lab.require("02", "09", csv="", rows=1000)
        yield opened_lab
    finally:
        server.stop(folder)
        helpers.lab._opened = opened
        os.environ.clear()
        os.environ.update(before)
        boto3.DEFAULT_SESSION = None


def test_the_stages_agree(lab: Lab, broker_kind: str) -> None:
    outputs, stages = lab.outputs("09"), reconcile.stages(lab)
    assert (outputs["bootstrap"] == os.environ.get("KAFKA_BOOTSTRAP_SERVERS")) == (broker_kind == "genuine")
    assert {name: stages[name] for name in ("kafka", "kafka_raw_storage", "kafka_dynamodb")} == dict.fromkeys(
        ("kafka", "kafka_raw_storage", "kafka_dynamodb"), stages["client"]
    )
    assert stages["client"]["rows"] == 1000


def test_other_numbers_than_the_cancellations_get_their_hint(lab: Lab) -> None:
    outputs = lab.outputs("09")
    rows = list(reconcile.topic_rows(lab.kafka(outputs["bootstrap"]), outputs["topic"]))
    cancelled = [row for row in rows if row["InvoiceNo"].startswith("C")]
    assert said("09-1", len(cancelled)).startswith("Right")
    assert "another number" in said("09-1", 10_000) and "not a str" in said("09-1", "3")
    invoices = {row["InvoiceNo"] for row in cancelled}
    negative = [row for row in rows if row["Quantity"] < 0]
    assert len({len(cancelled), len(invoices), len(negative)}) == 3, "the sample's first rows tell these apart"
    assert "an invoice has several rows" in said("09-1", len(invoices))
    assert "negative Quantity" in said("09-1", len(negative))


def test_a_trigger_that_was_not_changed_so_gets_its_hint(lab: Lab) -> None:
    functions, outputs = boto3.client("lambda"), lab.outputs("09")
    assert "the batch size is 10,000 records and the window 1 seconds" in said("09-2", "done")
    functions.update_event_source_mapping(UUID=outputs["to_s3"], BatchSize=2_000, MaximumBatchingWindowInSeconds=5)
    assert said("09-2", "done").startswith("Right")
    functions.update_event_source_mapping(UUID=outputs["to_s3"], Enabled=False)
    state = partial(functions.get_event_source_mapping, UUID=outputs["to_s3"])
    wait_for(lambda: state()["State"] == "Disabled", timeout=60, what="the trigger to be disabled")
    assert "it is disabled" in said("09-2", "done")
    wanted = {"EventSourceArn": outputs["cluster"], "Topics": ["other"], "StartingPosition": "TRIM_HORIZON"}
    second = functions.create_event_source_mapping(FunctionName="kafka-to-s3", Enabled=False, **wanted)["UUID"]
    assert "has 2 triggers now" in said("09-2", "done")
    functions.delete_event_source_mapping(UUID=second)


def test_how_many_members_wait(lab: Lab) -> None:
    assert said("09-3", 2).startswith("Right")
    assert "never shared by two" in said("09-3", 0) and "compare" in said("09-3", 4)


def test_what_the_notebook_did_not_make_is_not_touched(lab: Lab) -> None:
    refuse_foreign("09", kafka_clusters=["workbook"], functions=["kafka-to-s3"], tables=["KafkaInvoices"])
    with pytest.raises(LabError, match="Kafka cluster workbook that notebook 10 did not make"):
        refuse_foreign("10", kafka_clusters=["workbook"])


def test_the_continuous_process_reads_the_topic(lab: Lab, broker_kind: str) -> None:
    """Notebook 10 with buffer="kafka". Its cells themselves assert that topic and windows agree."""
    if broker_kind == "genuine" and not SOAK:
        pytest.skip("here on the lab's own broker; in `make soak` on both")
    seen = printed(execute("10", buffer="kafka", rows=1000, cleanup=True))
    assert all(f"APIdata-{n}" in seen for n in range(4)), "its leases are those of the topic's partitions"
    assert "1,000 rows in the buffer in 1,000 records" in seen


def test_a_second_run_with_the_solutions_and_the_clean_up(lab: Lab) -> None:
    """Last in this file: nothing of the notebook is left. Its cells themselves assert that all stages agree."""
    execute("09", solutions=True, cleanup=True, rows=1000)
    left = {
        kind: [n for n in names if "afka" in n or n in ("workbook", "/workbook/09")]
        for kind, names in inventory().items()
    }
    assert {kind: names for kind, names in left.items() if names} == {}
    rest = boto3.client("apigateway").get_resources(restApiId=lab.outputs("02")["api_id"])["items"]
    assert sorted(resource["path"] for resource in rest) == ["/", "/hello"]
