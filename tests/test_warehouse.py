"""The Data API and the clusters: statements and results, who may run and see them, what happens when the engine dies.

https://docs.aws.amazon.com/redshift-data/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from warehouse_lab import ENDED, Warehouse, warehouse

from helpers.localaws import server
from helpers.localaws.warehouse import passwords
from helpers.localaws.warehouse.engine import Engine
from helpers.localaws.warehouse.process import Message, Process
from tests.seeded import SEED, SOAK


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("lab")) as made:
        yield made


def refused(call: Any, **arguments: Any) -> str:
    """What AWS's error says: `Code: message`."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


# Statements and results


def test_statements_results_and_their_types(w: Warehouse) -> None:
    w.run("CREATE TABLE typed (a INTEGER, b VARCHAR(5), c DECIMAL(12,3), d TIMESTAMP, e BOOLEAN, f DATE)")
    done = w.run(
        "INSERT INTO typed VALUES (1, 'x', 2.5, '2011-01-01 10:00', true, '2011-01-02'), "
        "(2, NULL, 3, NULL, false, NULL)"
    )
    assert done["ResultRows"] == 2 and not done["HasResultSet"] and done["Duration"] > 0
    done = w.run("SELECT * FROM typed ORDER BY a")
    assert w.result(done["Id"]) == [
        (1, "x", "2.500", "2011-01-01 10:00:00", True, "2011-01-02"),
        (2, None, "3.000", None, False, None),
    ]
    described = w.data.get_statement_result(Id=done["Id"])["ColumnMetadata"]
    assert [c["typeName"] for c in described] == ["int4", "varchar", "numeric", "timestamp", "bool", "date"]
    assert (described[2]["precision"], described[2]["scale"]) == (12, 3)
    failed = w.wait(w.start("SELECT * FROM nowhere"))
    assert (failed["Status"], failed["Error"]) == ("FAILED", 'ERROR: relation "nowhere" does not exist')
    assert "ResourceNotFoundException" in refused(w.data.get_statement_result, Id=failed["Id"])


def test_what_describe_says_of_time_and_size(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_DescribeStatement.html"""
    before, begun = time.time(), time.monotonic_ns()
    done = w.run("SELECT COUNT(*) AS n, 'x' AS s FROM (SELECT 1 AS a UNION ALL SELECT 2) AS q")
    after, took = time.time(), time.monotonic_ns() - begun
    assert before - 0.01 <= done["CreatedAt"].timestamp() <= done["UpdatedAt"].timestamp() <= after + 0.01
    assert 0 < done["Duration"] <= took  # nanoseconds
    assert (done["ResultRows"], done["HasResultSet"], done["RedshiftPid"] > 0) == (1, True, True)
    assert done["ResultSize"] > 0 and done["QueryString"].startswith("SELECT COUNT(*)")
    logged = f"SELECT elapsed_time FROM sys_query_history WHERE query_id = {done['RedshiftQueryId']}"
    assert 0 < w.one(logged) <= took // 1000  # microseconds
    failed = w.wait(w.start("SELECT 1/0"))
    assert failed["Error"] == "ERROR: Divide by zero error" and failed["Duration"] > 0 and not failed["HasResultSet"]


def test_long_results_come_in_pages(w: Warehouse) -> None:
    digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)"
    crossed = " CROSS JOIN ".join(f"{digits} d{n}" for n in range(5))
    sql = f"SELECT d0.n + 5*d1.n + 25*d2.n + 125*d3.n + 625*d4.n AS n FROM {crossed} ORDER BY 1"
    done = w.run(sql)
    first = w.data.get_statement_result(Id=done["Id"])
    assert (first["TotalNumRows"], len(first["Records"])) == (3125, 1000) and first["NextToken"]
    assert [n for (n,) in w.result(done["Id"])] == list(range(3125))
    assert w.rows("SELECT 1 AS n WHERE 1 = 0") == []
    assert "ValidationException" in refused(w.data.get_statement_result, Id=done["Id"], NextToken="99")


def test_a_batch_and_its_parts(w: Warehouse) -> None:
    done = w.run("SELECT 1", "SELECT 2, 3", StatementName="both")
    assert [s["Id"] for s in done["SubStatements"]] == [f"{done['Id']}:1", f"{done['Id']}:2"]
    assert w.result(f"{done['Id']}:2") == [(2, 3)]
    assert "ValidationException" in refused(w.data.get_statement_result, Id=done["Id"])
    (listed,) = w.data.list_statements(StatementName="both", Status="FINISHED")["Statements"]
    assert listed["Id"] == done["Id"] and listed["IsBatchStatement"]


def test_a_client_token_runs_a_statement_once(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-calling-considerations-idempotency.html"""
    w.run("CREATE TABLE once (n INT)")
    token = str(uuid.uuid4())
    first = w.start("INSERT INTO once VALUES (1)", ClientToken=token)
    assert w.start("INSERT INTO once VALUES (1)", ClientToken=token) == first
    w.wait(first)
    assert w.one("SELECT COUNT(*) FROM once") == 1


def test_sessions_keep_temporary_tables(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-calling-considerations.html"""
    begun = w.data.execute_statement(
        Sql="CREATE TEMP TABLE mine AS SELECT 7 AS n", SessionKeepAliveSeconds=60, **w.where
    )
    w.wait(begun["Id"])
    kept = w.data.execute_statement(Sql="SELECT n FROM mine", SessionId=begun["SessionId"])
    w.wait(kept["Id"])
    assert w.result(kept["Id"]) == [(7,)]
    assert "does not exist" in w.error("SELECT n FROM mine")


def test_a_transaction_that_failed_does_nothing_until_it_is_rolled_back(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_ROLLBACK.html"""
    w.run("CREATE TABLE tried (n INT)")
    session = w.run("BEGIN", SessionKeepAliveSeconds=60)["SessionId"]

    def tell(sql: str) -> dict[str, Any]:
        return w.wait(w.data.execute_statement(Sql=sql, SessionId=session)["Id"])

    assert tell("INSERT INTO tried VALUES (1)")["Status"] == "FINISHED"
    assert tell("SELECT 1/0")["Status"] == "FAILED"
    assert "current transaction is aborted" in tell("INSERT INTO tried VALUES (2)")["Error"]
    assert tell("COMMIT")["Status"] == "FINISHED"  # which rolls back what failed
    assert w.one("SELECT COUNT(*) FROM tried") == 0
    assert tell("INSERT INTO tried VALUES (3)")["Status"] == "FINISHED"
    assert w.one("SELECT n FROM tried") == 3


def test_each_statement_by_itself(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_BatchExecuteStatement.html (ExecutionMode)"""
    insert = "INSERT INTO single VALUES (:n)"
    sqls = [
        "CREATE TABLE single (n INT)",
        insert,
        "SELECT 1/0",
        "SELECT n FROM single",
        "INSERT INTO nowhere VALUES (1)",
    ]
    given = [{"name": "n", "value": "7"}]
    started = w.start(*sqls, ExecutionMode="AUTO_COMMIT", Parameters=given)
    described = w.wait(started)
    assert described["Error"] == "ERROR: Divide by zero error" and described["ExecutionMode"] == "AUTO_COMMIT"
    assert [s["Status"] for s in described["SubStatements"]] == ["FINISHED"] * 2 + ["FAILED", "FINISHED", "FAILED"]
    assert w.result(f"{started}:4") == [(7,)] == w.rows("SELECT n FROM single")
    done = w.run(insert, "SELECT COUNT(*) FROM single", ExecutionMode="AUTO_COMMIT", Parameters=given)
    assert w.result(f"{done['Id']}:2") == [(2,)]
    unused = {"Sqls": ["SELECT 1", "SELECT 2"], "Parameters": given, **w.where}
    assert "n is not referenced" in refused(w.data.batch_execute_statement, **unused)


def test_what_is_in_the_database(w: Warehouse) -> None:
    w.run("CREATE SCHEMA IF NOT EXISTS mart")
    w.run("CREATE TABLE mart.sold (id INT NOT NULL, p DECIMAL(12,3) DEFAULT 0, note VARCHAR(20))")
    assert w.data.list_databases(**w.where)["Databases"] == ["retail"]
    assert {"public", "mart"} <= set(w.data.list_schemas(**w.where)["Schemas"])
    assert w.data.list_tables(SchemaPattern="mart", **w.where)["Tables"] == [
        {"name": "sold", "schema": "mart", "type": "TABLE"}
    ]
    columns = w.data.describe_table(Schema="mart", Table="sold", **w.where)["ColumnList"]
    assert [(c["name"], c["typeName"], c["nullable"], c["length"]) for c in columns] == [
        ("id", "int4", 0, 10), ("p", "numeric", 1, 12), ("note", "varchar", 1, 20),
    ]  # fmt: skip


def test_lists_come_in_pages(w: Warehouse) -> None:
    """Each page's MaxResults and NextToken: https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_ListTables.html"""
    w.run("CREATE SCHEMA IF NOT EXISTS paged")
    for name in ("one", "three", "two"):
        w.run(f"CREATE TABLE paged.{name} (a INT, b INT)", StatementName="paging")

    def pages(operation: str, member: str, **more: Any) -> list[list[str]]:
        found = w.data.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}, **more)
        return [[item["name"] if isinstance(item, dict) else item for item in page[member]] for page in found]

    assert pages("list_tables", "Tables", SchemaPattern="pag%", **w.where) == [["one", "three"], ["two"]]
    assert pages("describe_table", "ColumnList", Schema="paged", Table="one", **w.where) == [["a", "b"]]
    assert [n for page in pages("list_schemas", "Schemas", **w.where) for n in page] == w.data.list_schemas(**w.where)[
        "Schemas"
    ]
    listed = w.data.get_paginator("list_statements").paginate(
        StatementName="paging", Status="FINISHED", PaginationConfig={"PageSize": 2}
    )
    sizes = [len(page["Statements"]) for page in listed]
    assert sizes == [2, 1]
    assert "ValidationException: Invalid NextToken." in refused(w.data.list_schemas, NextToken="x", **w.where)


def test_an_answer_that_waits_says_what_became_of_the_statement(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_ExecuteStatement.html (WaitTimeSeconds)"""
    answer = w.data.execute_statement(Sql="SELECT 1", WaitTimeSeconds=30, **w.where)
    assert (answer["Status"], answer["HasResultSet"]) == ("FINISHED", True) and answer["RedshiftPid"] > 0
    assert w.data.list_statements(WorkgroupName="serverless")["Statements"] == []  # none ran on one


def test_a_statement_can_be_canceled(w: Warehouse) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT MAX(i) FROM n"
    )
    running, waiting = w.start(endless), w.start("SELECT 1")
    while w.data.describe_statement(Id=running)["Status"] != "STARTED":
        time.sleep(0.01)
    assert w.data.cancel_statement(Id=waiting)["Status"]
    assert w.data.cancel_statement(Id=running)["Status"]
    assert {w.wait(running)["Status"], w.wait(waiting)["Status"]} == {"ABORTED"}
    assert w.one("SELECT 1") == 1
    assert "ValidationException" in refused(w.data.cancel_statement, Id=running)


@pytest.mark.parametrize("moment", ["before the job", "before its query"])
def test_a_cancellation_that_meets_no_query_is_not_lost(tmp_path: Path, moment: str) -> None:
    """DuckDB forgets an interrupt between two queries."""
    canceling: list[threading.Thread] = []

    def cancel() -> None:
        canceling.append(threading.Thread(target=engine.cancel, args=["job"]))
        canceling[-1].start()
        while engine._to_cancel != "job":
            time.sleep(0.001)

    def send(message: Message) -> None:
        if message["event"] == "started":
            cancel()

    settings = {"database": "retail", "admin": "admin", "password": "", "region": "us-east-1", "slices": 2}
    engine = Engine(tmp_path, settings, send, lambda question: {})
    seconds_long = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT MAX(i) FROM n"
    )
    job = {"id": "job", "database": "retail", "user": "admin", "sqls": [seconds_long], "batch": False, "mode": ""}
    if moment == "before the job":
        cancel()
    done = engine.run({**job, "results": str(tmp_path / "results")})
    assert done == {"event": "done", "error": "", "aborted": True}
    canceling[0].join(10)
    assert not canceling[0].is_alive()
    done = engine.run({**job, "id": "next", "sqls": ["SELECT 1"], "results": str(tmp_path / "next")})
    assert done == {"event": "done", "error": ""}


def test_a_cancellation_while_the_engine_starts_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"database": "retail", "admin": "admin", "password": "", "region": "us-east-1", "slices": 2}
    canceled: list[str] = []
    started = Process._started

    async def canceled_meanwhile(self: Process) -> Any:
        canceled.append("job")
        await self.cancel("job")
        return await started(self)

    async def nobody_asks(question: Message) -> Message:
        return {}

    async def run() -> Message:
        process = Process(tmp_path, settings, nobody_asks)
        job = {"id": "job", "database": "retail", "user": "admin", "sqls": ["SELECT 1"], "batch": False, "mode": ""}
        try:
            return await process.run({**job, "results": "", "canceled": lambda: bool(canceled)}, lambda event: None)
        finally:
            await process.close()

    monkeypatch.setattr(Process, "_started", canceled_meanwhile)
    assert asyncio.run(run()) == {"event": "done", "aborted": True}


def test_calls_that_are_wrong(w: Warehouse) -> None:
    execute = w.data.execute_statement
    assert "Redshift endpoint doesn't exist" in refused(execute, Sql="SELECT 1", ClusterIdentifier="no", Database="x")
    assert "ValidationException" in refused(execute, Sql="SELECT 1", Database="retail")
    assert "no serverless workgroups" in refused(execute, Sql="SELECT 1", Database="retail", WorkgroupName="serverless")
    assert "ResourceNotFoundException: Query does not exist." in refused(
        w.data.describe_statement, Id=str(uuid.uuid4())
    )
    assert "sends no events to EventBridge" in refused(execute, Sql="SELECT 1", WithEvent=True, **w.where)
    for call, given, text in (  # boto3 itself checks only what is too short
        (execute, {"Sql": "SELECT 1", "SessionKeepAliveSeconds": 86_401}, "less than or equal to 86400"),
        (w.data.batch_execute_statement, {"Sqls": ["SELECT 1"] * 41}, "less than or equal to 40"),
        (w.data.batch_execute_statement, {"Sqls": ["SELECT 1"], "ExecutionMode": "AUTO"}, "satisfy enum value set"),
        (w.data.batch_execute_statement, {"Sqls": ["SELECT 1", " "]}, "at least one SQL statement"),
    ):
        assert f"ValidationException: {'' if 'least' in text else '1 validation error'}" in refused(
            call, **given, **w.where
        )
        assert text in refused(call, **given, **w.where)
    assert "less than or equal to 100" in refused(w.data.list_statements, MaxResults=101)
    failed = w.wait(w.start("SELECT 1", Database="other"))
    assert failed["Error"] == 'FATAL: database "other" does not exist'


# Clusters


def test_clusters_are_created_paused_resumed_and_deleted(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/managing-cluster-operations.html"""
    made = {
        "ClusterIdentifier": "second", "NodeType": "ra3.large", "MasterUsername": "admin",
        "MasterUserPassword": "Abcdef123", "Tags": [{"Key": "workbook", "Value": "06"}],
        "AllowVersionUpgrade": False, "AutomatedSnapshotRetentionPeriod": 7,
    }  # fmt: skip
    redshift, where = w.redshift, {"ClusterIdentifier": "second", "Database": "dev", "DbUser": "admin"}
    assert redshift.create_cluster(**made)["Cluster"]["ClusterStatus"] == "creating"
    redshift.get_waiter("cluster_available").wait(ClusterIdentifier="second")
    assert "ClusterAlreadyExists" in refused(redshift.create_cluster, **made)
    kept = w.run("CREATE TABLE kept AS SELECT 1 AS n", **where)["Id"]
    assert redshift.pause_cluster(ClusterIdentifier="second")["Cluster"]["ClusterStatus"] == "pausing"
    (found,) = redshift.describe_clusters(ClusterIdentifier="second")["Clusters"]
    assert (found["AllowVersionUpgrade"], found["AutomatedSnapshotRetentionPeriod"]) == (False, 7)
    assert (found["ClusterStatus"], found["Tags"]) == ("paused", made["Tags"])
    for call, arguments in (
        (w.data.execute_statement, {"Sql": "SELECT 1"}), (w.data.batch_execute_statement, {"Sqls": ["SELECT 1"]}),
        (w.data.list_tables, {}), (w.data.list_schemas, {}), (w.data.list_databases, {}),
        (w.data.describe_table, {"Table": "kept"}),
    ):  # fmt: skip
        assert "ValidationException: Redshift cluster second is not available: it is paused" in refused(
            call, **arguments, **where
        )
    assert w.data.describe_statement(Id=kept)["Status"] == "FINISHED"  # what was asked before is still known
    assert "InvalidClusterState" in refused(redshift.pause_cluster, ClusterIdentifier="second")
    redshift.resume_cluster(ClusterIdentifier="second")
    redshift.get_waiter("cluster_available").wait(ClusterIdentifier="second")
    assert w.rows("SELECT n FROM kept", **where) == [(1,)]
    redshift.create_tags(ResourceName=arn("cluster:second"), Tags=[{"Key": "a", "Value": "b"}])
    redshift.delete_tags(ResourceName=arn("cluster:second"), TagKeys=["workbook"])
    tags = redshift.describe_tags(ResourceName=arn("cluster:second"))["TaggedResources"]
    assert [t["Tag"] for t in tags] == [{"Key": "a", "Value": "b"}]
    assert "InvalidParameterCombination" in refused(redshift.delete_cluster, ClusterIdentifier="second")
    redshift.delete_cluster(ClusterIdentifier="second", SkipFinalClusterSnapshot=True)
    redshift.get_waiter("cluster_deleted").wait(ClusterIdentifier="second")
    assert "ClusterNotFound" in refused(redshift.describe_clusters, ClusterIdentifier="second")
    assert [c["ClusterIdentifier"] for c in redshift.describe_clusters()["Clusters"]] == ["workbook"]
    assert redshift.get_cluster_credentials(DbUser="admin", ClusterIdentifier="workbook")["DbPassword"]
    weak = {**made, "MasterUserPassword": "weak"}
    assert "InvalidParameterValue" in refused(redshift.create_cluster, **weak)
    for member in ("ClusterParameterGroupName", "PreferredMaintenanceWindow", "MaintenanceTrackName"):
        assert f"has no {member} for a cluster" in refused(redshift.create_cluster, **made, **{member: "mine"})
    assert "does not have redshift:CreateClusterSnapshot" in refused(
        redshift.create_cluster_snapshot, SnapshotIdentifier="s", ClusterIdentifier="workbook"
    )


# Permissions


def arn(rest: str) -> str:
    return f"arn:aws:redshift:us-east-1:123456789012:{rest}"


def user(w: Warehouse, name: str, *allowed: tuple[str, str]) -> Any:
    """A client of `redshift-data` for a new IAM user that may do these things."""
    w.iam.create_user(UserName=name)
    statements = [{"Effect": "Allow", "Action": a, "Resource": r} for a, r in allowed]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    w.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = w.iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    return session.client("redshift-data", endpoint_url=w.lab.endpoint)


def test_statements_are_allowed_by_cluster_database_and_user(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/redshift-iam-access-control-identity-based.html"""
    run = ("redshift-data:ExecuteStatement", arn("cluster:workbook"))
    look = ("redshift-data:DescribeStatement", "*")
    credentials = [
        ("redshift:GetClusterCredentials", arn("dbname:workbook/retail")),
        ("redshift:GetClusterCredentials", arn("dbuser:workbook/reader")),
    ]
    w.run("CREATE USER reader PASSWORD 'Abcdef123'")
    analyst = user(w, "analyst", run, look, *credentials)
    as_reader = {**w.where, "DbUser": "reader"}
    started = analyst.execute_statement(Sql="SELECT 1", **as_reader)["Id"]
    assert w.wait(started, analyst)["Status"] == "FINISHED"
    assert "AccessDenied" in refused(analyst.get_statement_result, Id=started)
    assert "GetClusterCredentials" in refused(analyst.execute_statement, Sql="SELECT 1", **w.where)  # as admin
    plain = {k: v for k, v in w.where.items() if k != "DbUser"}
    assert "GetClusterCredentialsWithIAM" in refused(analyst.execute_statement, Sql="SELECT 1", **plain)
    stranger = user(w, "stranger", ("redshift-data:ExecuteStatement", arn("cluster:other")), look)
    assert "AccessDenied" in refused(stranger.execute_statement, Sql="SELECT 1", **as_reader)


def test_a_statement_belongs_to_who_ran_it(w: Warehouse) -> None:
    everything = ("redshift-data:*", "*")
    one, other = (user(w, n, everything, ("redshift:*", "*")) for n in ("one", "other"))
    started = one.execute_statement(Sql="SELECT 42 AS secret", **w.where)["Id"]
    w.wait(started, one)
    for call in (other.describe_statement, other.get_statement_result, other.cancel_statement):
        assert "ResourceNotFoundException: Query does not exist." in refused(call, Id=started)
    assert started not in [s["Id"] for s in other.list_statements()["Statements"]]
    assert started in [s["Id"] for s in one.list_statements()["Statements"]]
    named = one.execute_statement(Sql="SELECT CURRENT_USER", ClusterIdentifier="workbook", Database="retail")["Id"]
    w.wait(named, one)
    assert one.get_statement_result(Id=named)["Records"] == [[{"stringValue": "IAM:one"}]]


def test_awss_own_policies_can_be_attached(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/redshift-iam-access-control-identity-based.html"""
    client = user(w, "managed", ("sts:GetCallerIdentity", "*"))
    w.iam.attach_user_policy(UserName="managed", PolicyArn="arn:aws:iam::aws:policy/AmazonRedshiftDataFullAccess")
    w.run("CREATE USER redshift_data_api_user PASSWORD DISABLE")  # the name that this policy allows
    where = {**w.where, "DbUser": "redshift_data_api_user"}
    started = client.execute_statement(Sql="SELECT CURRENT_USER", **where)["Id"]
    w.wait(started, client)
    assert client.get_statement_result(Id=started)["Records"] == [[{"stringValue": "redshift_data_api_user"}]]
    assert "GetClusterCredentials" in refused(client.execute_statement, Sql="SELECT 1", **w.where)


def test_a_role_is_passed_to_a_cluster_only_by_who_may(w: Warehouse) -> None:
    role = w.make_role("ForTheCluster")
    w.iam.create_user(UserName="operator")
    statement = [{"Effect": "Allow", "Action": "redshift:*", "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    w.iam.put_user_policy(UserName="operator", PolicyName="p", PolicyDocument=document)
    key = w.iam.create_access_key(UserName="operator")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    operator = session.client("redshift", endpoint_url=w.lab.endpoint)
    change = {"ClusterIdentifier": "workbook", "AddIamRoles": [role]}
    assert "iam:PassRole" in refused(operator.modify_cluster_iam_roles, **change)
    other = w.make_role("ForLambda", "lambda.amazonaws.com")
    assert "cannot be assumed by Redshift" in refused(
        w.redshift.modify_cluster_iam_roles, ClusterIdentifier="workbook", AddIamRoles=[other]
    )


# Faults


def test_the_engine_starts_with_the_first_statement_only(tmp_path: Path) -> None:
    with warehouse(tmp_path / "lab") as made:
        assert made.engine() is None
        assert made.one("SELECT 1") == 1
        engine = made.engine()
        assert engine is not None
    assert not engine.is_running() and not (tmp_path / "lab" / "warehouse").exists()


def test_the_engine_ends_with_its_lab(tmp_path: Path) -> None:
    with warehouse(tmp_path / "lab") as made:
        assert made.one("SELECT 1") == 1
        engine, info = made.engine(), server.find(tmp_path / "lab")
        assert engine is not None and info is not None
        psutil.Process(info.pid).kill()
        engine.wait(60)
        assert not engine.is_running()


def killed(w: Warehouse, sql: str, after: float) -> bool:
    """Kills the engine some time after a statement began; False when the statement was done before."""
    statement = w.start(sql)
    while w.data.describe_statement(Id=statement)["Status"] not in ("STARTED", *ENDED):
        time.sleep(0.001)
    time.sleep(after)  # the moment is what is drawn, it waits for nothing
    if w.data.describe_statement(Id=statement)["Status"] in ENDED:
        return False
    engine = w.engine()
    assert engine is not None
    engine.kill()
    engine.wait(60)  # a kill that came too late must not hit the question that follows
    status = w.wait(statement)["Status"]
    print(f"killed {after:.3f} s after {sql[:5]} began: {status}")
    return status == "FAILED"


def test_a_killed_engine_leaves_all_or_nothing(w: Warehouse) -> None:
    """It dies during a COPY and during a MERGE: unchanged or complete, and the next statement starts it again."""
    rng = random.Random(SEED)
    print(f"WORKBOOK_SEED={SEED}")
    rows = 40_000
    w.put("big/1.gz", gzip.compress("".join(f"{n},name {n}\n" for n in range(rows)).encode()))
    w.run("CREATE TABLE target (id INT, v VARCHAR(20))")
    w.run("CREATE TABLE source (id INT, v VARCHAR(20))")
    copying = f"COPY source FROM 's3://lab/big/' IAM_ROLE '{w.role}' CSV GZIP"
    merge = "MERGE INTO target USING source ON target.id = source.id WHEN MATCHED THEN UPDATE SET v = source.v "
    merge += "WHEN NOT MATCHED THEN INSERT (id, v) VALUES (source.id, source.v)"
    for sql, name in ((copying, "source"), (merge, "target")):
        began, hits = time.monotonic(), 0
        w.run(sql)
        took = time.monotonic() - began
        for _ in range(100):
            w.run(f"DELETE FROM {name}")
            if killed(w, sql, rng.uniform(0, took)):
                hits += 1
            else:
                took *= 0.8
            assert w.one(f"SELECT COUNT(*) FROM {name}") in (0, rows)
            if hits == (10 if SOAK else 2):
                break
        assert hits, f"seed {SEED}: no kill hit {name} at work"
        w.run(f"DELETE FROM {name}", sql)
        assert w.rows(f"SELECT COUNT(*), COUNT(DISTINCT id) FROM {name}") == [(rows, rows)]


def test_statements_wait_for_their_turn_through_a_crash(w: Warehouse) -> None:
    """What was running is lost and told so; what was waiting runs on the new process."""
    w.run("CREATE TABLE queued (n INT)")
    w.start("SELECT 1")
    waiting = [w.start(f"INSERT INTO queued VALUES ({n})") for n in range(20)]
    engine = w.engine()
    assert engine is not None
    engine.kill()
    ended = [w.wait(s) for s in waiting]
    lost = [s for s in ended if s["Status"] == "FAILED"]
    assert all("connection to the cluster was lost" in s["Error"] for s in lost) and len(lost) <= 1
    assert len(ended) - len(lost) <= w.one("SELECT COUNT(*) FROM queued") <= len(ended)


@pytest.mark.parametrize(
    ("given", "password"),
    [
        ("Readonly1", "Readonly1"),
        ("sha256|Readonly1", "Readonly1"),
        ("md5" + hashlib.md5(b"Readonly1tableau").hexdigest(), "Readonly1"),
        (f"sha256|{hashlib.sha256(b'Readonly1salt').hexdigest()}|salt", "Readonly1"),
    ],
)
def test_a_password_is_kept_as_a_digest(given: str, password: str) -> None:
    """The forms that CREATE USER takes: https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html"""
    kept = passwords.keep(given)
    assert "Readonly1" not in kept and kept.startswith(("md5", "sha256|"))
    assert passwords.fits(kept, "tableau", password)
    assert not passwords.fits(kept, "tableau", "Readonly2") and not passwords.fits(kept, "tableau", kept)
    assert not passwords.fits(None, "tableau", "")


def test_no_password_is_to_be_seen_from_outside(w: Warehouse) -> None:
    """Neither on the engine's command line nor in what it stores."""
    w.run("CREATE USER hidden PASSWORD 'Hidden4Sure'")
    engine = w.engine()
    assert engine is not None
    told = " ".join(engine.cmdline())
    stored = b"".join(path.read_bytes() for path in w.folder.rglob("*") if path.is_file())
    for secret in ("Abcdef123", "Hidden4Sure"):  # the first is the admin's
        assert secret not in told
        assert secret.encode() not in stored
