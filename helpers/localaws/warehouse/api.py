"""boto3's `redshift-data`: statements are taken, run one after the other, described, and their results paged.

https://docs.aws.amazon.com/redshift-data/latest/APIReference/Welcome.html
A statement belongs to the IAM identity that ran it: for all others it does not exist.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from .. import constraints
from ..auth import Principal, Signed
from ..types import AwsError, Response
from . import passwords
from .clusters import Cluster, Clusters
from .process import Ask, Lost, Message, Process
from .sqltypes import SqlError

KEPT = 24 * 3600  # seconds that a statement and its result can be asked for
MAX_STATEMENTS, MAX_SQL, MAX_ACTIVE = 10_000, 100_000, 500
_ID = re.compile(r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d+)?")
_ENDED = ("FINISHED", "FAILED", "ABORTED")
_LOG = logging.getLogger("localaws")


@dataclass
class Part:
    """One SQL statement of a call, and what became of it."""

    sql: str
    status: str = "SUBMITTED"
    error: str = ""
    rows: int = -1
    size: int = -1
    duration: int = -1  # nanoseconds
    query_id: int = 0
    has_result: bool = False
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    pages: int = 0
    columns: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Statement:
    """What ExecuteStatement or BatchExecuteStatement made."""

    id: str
    owner: str  # the role's or user's ARN
    session_arn: str
    cluster: Cluster
    database: str
    user: str
    parts: list[Part]
    batch: bool
    name: str = ""
    secret: str = ""
    parameters: list[dict[str, str]] = field(default_factory=list)
    mode: str = "TRANSACTION"
    format: str = "JSON"
    session: str = ""
    status: str = "SUBMITTED"
    error: str = ""
    duration: int = -1
    pid: int = 0
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    canceled: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Warehouse:
    """The rooms for `redshift` and `redshift-data`.

    credentials(role, session) issues a role's; allowed(principal, action, resource) asks IAM; trusts(role) says whether
    Redshift may assume it.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        credentials: Callable[[str, str], dict[str, str]],
        require: Callable[[Principal, str, str], None],
        trusts: Callable[[str], Awaitable[bool]],
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # a lab that ended has lost its cloud
        self.folder, self.endpoint = folder, endpoint
        self._credentials, self._require, self._trusts = credentials, require, trusts
        self.clusters = Clusters(self._retire, trusts)
        self._processes: dict[str, Process] = {}
        self._statements: dict[str, Statement] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # The rooms

    async def redshift(self, operation: str, form: dict[str, str], signed: Signed) -> Response:
        return await self.clusters.call(operation, form, signed.region)

    async def redshift_data(self, operation: str, params: dict[str, Any], signed: Signed) -> Response:
        self._forget_old()
        calls: dict[str, Callable[[dict[str, Any], Signed], Awaitable[dict[str, Any]]]] = {
            "ExecuteStatement": self._execute,
            "BatchExecuteStatement": self._execute_batch,
            "DescribeStatement": self._describe,
            "GetStatementResult": self._result,
            "CancelStatement": self._cancel,
            "ListStatements": self._list,
            "ListDatabases": self._list_databases,
            "ListSchemas": self._list_schemas,
            "ListTables": self._list_tables,
            "DescribeTable": self._describe_table,
        }
        if operation not in calls:
            raise AwsError("UnknownOperationException", f"The local AWS does not have redshift-data:{operation}.")
        answer = await calls[operation](constraints.check("redshift-data", operation, params), signed)
        return Response(200, orjson.dumps(answer), {"Content-Type": "application/x-amz-json-1.1"})

    # Engines

    def process(self, cluster: Cluster) -> Process:
        """The engine of a cluster; it starts with its first job."""
        if cluster.namespace not in self._processes:
            settings = {
                "endpoint": self.endpoint, "region": cluster.region, "database": cluster.database,
                "admin": cluster.admin, "password": passwords.keep(cluster.password),
                "slices": cluster.slices, "nodes": cluster.nodes, "cluster": cluster.name,
            }  # fmt: skip
            folder = self.folder / cluster.namespace
            self._processes[cluster.namespace] = Process(folder, settings, self._asked(cluster))
        return self._processes[cluster.namespace]

    def _asked(self, cluster: Cluster) -> Ask:
        async def ask(question: Message) -> Message:
            """A role's credentials for COPY and UNLOAD.

            https://docs.aws.amazon.com/redshift/latest/mgmt/copy-unload-iam-role.html
            """
            role = cluster.default_role if question["role"] == "default" else question["role"]
            if not role:
                return {"error": "The default IAM role is not set on the cluster."}
            if question.get("brought"):
                return self._credentials(role, "FirehoseSession")
            if role not in cluster.roles:
                return {"error": f"The IAM role {role} is not valid: it is not associated with the cluster."}
            if not await self._trusts(role):
                user = (
                    f"arn:aws:redshift:{cluster.region}:{role.split(':')[4]}:dbuser:{cluster.name}/{question['user']}"
                )
                return {"error": f"User {user} is not authorized to assume IAM Role {role}"}
            return self._credentials(role, "RedshiftIamRoleSession")

        return ask

    async def _retire(self, cluster: Cluster, delete: bool) -> None:
        process = self._processes.pop(cluster.namespace, None)
        if process:
            await process.close()
        if delete:
            shutil.rmtree(self.folder / cluster.namespace, ignore_errors=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for process in self._processes.values():
            await process.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def sql(self, cluster: Cluster, database: str, user: str, password: str, sql: str, role: str = "") -> int:
        """Runs a statement as a client with a driver does, and returns the rows that it touched; raises SqlError.

        role: one whose credentials the client brings itself, as Firehose does, so that the cluster need not have it.
        """
        job = {
            "id": str(uuid.uuid4()), "database": database, "user": user, "password": password, "sqls": [sql],
            "mode": "TRANSACTION", "batch": False, "results": "", "brought": role,
        }  # fmt: skip
        rows = [-1]

        def event(message: Message) -> None:
            if message["event"] == "part":
                rows[0] = message["fields"].get("rows", -1)

        if cluster.status != "available":
            raise SqlError(f"FATAL: the cluster {cluster.name} is {cluster.status}")
        try:
            done = await self.process(cluster).run(job, event)
        except Lost as lost:
            raise SqlError(str(lost)) from None
        if done.get("error"):
            raise SqlError(done["error"])
        return rows[0]

    # Statements

    def _forget_old(self) -> None:
        now = time.time()
        for key, statement in list(self._statements.items()):
            old = now - statement.created > KEPT or len(self._statements) > MAX_STATEMENTS
            if not old:
                break
            if statement.status in _ENDED:
                del self._statements[key]
                shutil.rmtree(self._results(statement), ignore_errors=True)
        self._tokens = {k: v for k, v in self._tokens.items() if v in self._statements}

    def _results(self, statement: Statement) -> Path:
        return self.folder / "results" / statement.id

    def _where(self, params: dict[str, Any], signed: Signed) -> tuple[Cluster, str, str]:
        """Cluster, database and database user that a call names.

        https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-calling-considerations-authentication.html
        """
        if params.get("WorkgroupName"):
            raise _invalid("The local AWS has clusters, and no serverless workgroups.")
        if params.get("SecretArn"):
            raise _invalid("The local AWS has no Secrets Manager: give DbUser, or neither of them.")
        name, database = params.get("ClusterIdentifier"), params.get("Database")
        if not name:
            raise _invalid("Either ClusterIdentifier or WorkgroupName must be provided.")
        cluster = self.clusters.find(name, signed.region)
        if cluster is None:
            raise _invalid("Redshift endpoint doesn't exist in this region.")
        if cluster.status != "available":
            raise _invalid(f"Redshift cluster {cluster.name} is not available: it is {cluster.status}.")
        if not database:
            raise _invalid("Database is required.")
        user = params.get("DbUser")
        if not user:
            name = signed.principal.arn.partition("assumed-role/")[2].partition("/")[0]
            user = f"IAMR:{name}" if name else f"IAM:{signed.principal.user or 'root'}"
        account = cluster.arn.split(":")[4]
        here = f"arn:aws:redshift:{cluster.region}:{account}"
        if not signed.principal.is_root:
            if params.get("DbUser"):
                self._require(
                    signed.principal, "redshift:GetClusterCredentials", f"{here}:dbuser:{cluster.name}/{user}"
                )
                action = "redshift:GetClusterCredentials"
            else:
                action = "redshift:GetClusterCredentialsWithIAM"
            self._require(signed.principal, action, f"{here}:dbname:{cluster.name}/{database}")
        return cluster, database, user

    async def _execute(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        if not params["Sql"].strip():
            raise _invalid("Sql is required.")
        return await self._take([params["Sql"]], False, params, signed)

    async def _execute_batch(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        if not all(sql.strip() for sql in params["Sqls"]):
            raise _invalid("Sqls must hold at least one SQL statement.")
        for name in (p["name"] for p in params.get("Parameters", ())):
            if not any(re.search(rf"(?<!:):{re.escape(name)}\b", sql) for sql in params["Sqls"]):
                raise _invalid(f"The parameter {name} is not referenced by any of the SQL statements.")
        return await self._take(params["Sqls"], True, params, signed)

    async def _take(self, sqls: list[str], batch: bool, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        session = params.get("SessionId", "")
        if session:
            known = self._sessions.get(session)
            if known is None or known["until"] < time.time() or known["owner"] != _owner(signed):
                raise _invalid(f"Session {session} is not available.")
            params = {**params, "ClusterIdentifier": known["cluster"], "Database": known["database"]}
            params["DbUser"] = known["user"]
            cluster = self.clusters.find(known["cluster"], signed.region)
            if cluster is None or cluster.status != "available":
                raise _invalid("Redshift endpoint doesn't exist in this region.")
            database, user = known["database"], known["user"]
        else:
            cluster, database, user = self._where(params, signed)
        if sum(len(s.encode()) for s in sqls) > MAX_SQL:
            raise _invalid(f"The SQL is longer than {MAX_SQL} bytes.")
        if sum(s.status not in _ENDED for s in self._statements.values()) >= MAX_ACTIVE:
            text = "The number of active statements exceeds the limit."
            raise AwsError("ActiveStatementsExceededException", text)
        parameters = params.get("Parameters") or []
        if params.get("WithEvent"):
            raise _invalid("The local AWS sends no events to EventBridge: leave WithEvent out.")
        if params.get("ResultFormat", "JSON") != "JSON":
            raise _invalid("The local AWS gives results as JSON only.")
        keep = int(params.get("SessionKeepAliveSeconds") or 0)
        if keep or session:
            session = session or str(uuid.uuid4())
            until = time.time() + (keep or self._sessions[session]["keep"])
            self._sessions[session] = {
                "until": until, "owner": _owner(signed), "cluster": cluster.name, "database": database, "user": user,
                "keep": keep or self._sessions[session]["keep"],
            }  # fmt: skip
        token = params.get("ClientToken")
        key = (_owner(signed), str(token))
        if token and (earlier := self._statements.get(self._tokens.get(key, ""))):
            return self._taken(earlier)
        statement = Statement(
            str(uuid.uuid4()), _owner(signed), signed.principal.arn, cluster, database, user, [Part(s) for s in sqls],
            batch, params.get("StatementName", ""), params.get("SecretArn", ""), parameters,
            params.get("ExecutionMode", "TRANSACTION"), session=session,
        )  # fmt: skip
        self._statements[statement.id] = statement
        if token:
            self._tokens[key] = statement.id
        task = asyncio.ensure_future(self._run(statement))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if seconds := float(params.get("WaitTimeSeconds") or 0):
            await _wait(statement.ended, seconds)
            return {
                **self._taken(statement), "Status": statement.status, "RedshiftPid": statement.pid,
                "HasResultSet": any(p.has_result for p in statement.parts),
            }  # fmt: skip
        return self._taken(statement)

    @staticmethod
    def _taken(statement: Statement) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "Id": statement.id, "CreatedAt": statement.created, "ClusterIdentifier": statement.cluster.name,
            "Database": statement.database, "DbUser": statement.user, "DbGroups": [],
        }  # fmt: skip
        if statement.session:
            answer["SessionId"] = statement.session
        return answer

    async def _run(self, statement: Statement) -> None:
        begun = time.monotonic_ns()

        def event(message: Message) -> None:
            statement.updated = time.time()
            if message["event"] == "picked":
                statement.status = "PICKED" if statement.status == "SUBMITTED" else statement.status
            elif message["event"] == "started":
                statement.status = "STARTED"
                statement.pid = message["pid"]
                _update(statement.parts[message["part"]], status="STARTED")
            elif message["event"] == "part":
                _update(statement.parts[message["part"]], **message["fields"])

        job = {
            "id": statement.id, "database": statement.database, "user": statement.user, "session": statement.session,
            "sqls": [p.sql for p in statement.parts], "parameters": statement.parameters, "batch": statement.batch,
            "mode": statement.mode, "results": str(self._results(statement)),
            "canceled": lambda: statement.canceled,
        }  # fmt: skip
        try:
            done = await self.process(statement.cluster).run(job, event)
        except Lost as lost:
            done = {"error": str(lost)}
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _LOG.exception("the warehouse failed")
            done = {"error": f"The local warehouse failed: {type(error).__name__}: {error}"}
        status = "ABORTED" if done.get("aborted") else "FAILED" if done.get("error") else "FINISHED"
        for part in statement.parts:
            if part.status not in _ENDED:
                failed = part.status == "STARTED" and status == "FAILED"
                _update(part, status=status if failed or status == "ABORTED" else "ABORTED")
                part.error = done.get("error", "") if failed else ""
        statement.error, statement.duration = done.get("error", ""), time.monotonic_ns() - begun
        statement.status, statement.updated = status, time.time()
        statement.ended.set()

    # Looking at them

    def _own(self, params: dict[str, Any], signed: Signed) -> tuple[Statement, int]:
        """A statement of the caller's, and which part of it `id:2` names (0: the whole)."""
        given = params.get("Id")
        if not isinstance(given, str) or not _ID.fullmatch(given):
            raise _invalid("id must satisfy regex pattern: ^[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\\d+)?$")
        key, _, number = given.partition(":")
        statement = self._statements.get(key)
        part = int(number or 0)
        if statement is None or statement.owner != _owner(signed) or part > len(statement.parts):
            raise AwsError("ResourceNotFoundException", "Query does not exist.", ResourceId=given)
        return statement, part

    async def _describe(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        statement, number = self._own(params, signed)
        if seconds := float(params.get("WaitTimeSeconds") or 0):
            await _wait(statement.ended, seconds)
        last = statement.parts[number - 1 if number else -1]
        subject: Statement | Part = last if number else statement
        answer: dict[str, Any] = {
            "Id": params["Id"], "ClusterIdentifier": statement.cluster.name, "Database": statement.database,
            "DbUser": statement.user, "Status": subject.status, "CreatedAt": subject.created,
            "UpdatedAt": subject.updated, "Duration": subject.duration, "HasResultSet": last.has_result,
            "ResultRows": last.rows, "ResultSize": last.size, "RedshiftPid": statement.pid,
            "RedshiftQueryId": last.query_id, "ResultFormat": statement.format,
        }  # fmt: skip
        if not statement.batch or number:
            answer["QueryString"] = last.sql
        if subject.error:
            answer["Error"] = subject.error
        if statement.parameters:
            answer["QueryParameters"] = statement.parameters
        if statement.session:
            answer["SessionId"] = statement.session
        if statement.batch and not number:
            answer |= {"HasResultSet": any(p.has_result for p in statement.parts), "ExecutionMode": statement.mode}
            answer["SubStatements"] = [
                {
                    "Id": f"{statement.id}:{n}", "QueryString": part.sql, "Status": part.status,
                    "CreatedAt": part.created, "UpdatedAt": part.updated, "Duration": part.duration,
                    "HasResultSet": part.has_result, "ResultRows": part.rows, "ResultSize": part.size,
                    "RedshiftQueryId": part.query_id, **({"Error": part.error} if part.error else {}),
                }
                for n, part in enumerate(statement.parts, 1)
            ]  # fmt: skip
        return answer

    async def _result(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        statement, number = self._own(params, signed)
        if seconds := float(params.get("WaitTimeSeconds") or 0):
            await _wait(statement.ended, seconds)
        if statement.batch and not number:
            text = "The statement is a batch: ask for the result of one of its statements, by its Id."
            raise AwsError("ValidationException", text)
        index = number - 1 if number else 0
        part = statement.parts[index]
        status = part.status if statement.mode == "AUTO_COMMIT" else statement.status
        if status != "FINISHED" or not part.has_result:
            raise AwsError("ResourceNotFoundException", "Query does not have result. Please check query status with "
                           "DescribeStatement.", ResourceId=params["Id"])  # fmt: skip
        token = params.get("NextToken") or "0"
        if not token.isascii() or not token.isdigit() or int(token) >= max(part.pages, 1):
            raise _invalid("Invalid NextToken.")
        path = self._results(statement) / f"{index}-{token}.json"
        records = orjson.Fragment(path.read_bytes()) if part.pages else []
        answer = {"Records": records, "ColumnMetadata": part.columns, "TotalNumRows": part.rows}
        if int(token) + 1 < part.pages:
            answer["NextToken"] = str(int(token) + 1)
        return answer

    async def _cancel(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        statement, _ = self._own(params, signed)
        if statement.status in _ENDED:
            text = f"Could not cancel a query that is already in {statement.status} state."
            raise AwsError("ValidationException", text)
        statement.canceled = True
        await self.process(statement.cluster).cancel(statement.id)
        return {"Status": True}

    async def _list(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        wanted, name = params.get("Status", "ALL"), params.get("StatementName", "")
        role_level = params.get("RoleLevel", True)
        found = [
            s
            for s in reversed(self._statements.values())
            if s.owner == _owner(signed)
            and (role_level or s.session_arn == signed.principal.arn)
            and wanted in ("ALL", s.status)
            and s.name.startswith(name)
            and params.get("Database") in (None, s.database)
            and params.get("ClusterIdentifier") in (None, s.cluster.name)
            and "WorkgroupName" not in params  # nothing ran on one
        ]
        described = [
            {
                "Id": s.id, "Status": s.status, "StatementName": s.name, "CreatedAt": s.created, "UpdatedAt": s.updated,
                "IsBatchStatement": s.batch, "QueryStrings": [p.sql for p in s.parts], "ResultFormat": s.format,
                **({} if s.batch else {"QueryString": s.parts[0].sql}),
                **({"QueryParameters": s.parameters} if s.parameters else {}),
            }
            for s in found
        ]  # fmt: skip
        return _page("Statements", described, params, 100)

    # The catalogue: as in AWS's own, by SQL on the cluster, and waited for

    async def _ask(self, params: dict[str, Any], signed: Signed, what: str, **arguments: Any) -> Any:
        cluster, database, user = self._where(params, signed)
        job = {"id": str(uuid.uuid4()), "what": what, "arguments": arguments, "database": database, "user": user}
        job["database"] = params.get("ConnectedDatabase") or database
        try:
            done = await self.process(cluster).run(job, lambda _: None)
        except Lost as lost:
            raise AwsError("DatabaseConnectionException", str(lost), 500) from None
        if done.get("error"):
            raise _invalid(done["error"])
        return done["answer"]

    async def _list_databases(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        return _page("Databases", await self._ask(params, signed, "databases"), params)

    async def _list_schemas(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        found = await self._ask(params, signed, "schemas", pattern=params.get("SchemaPattern"))
        return _page("Schemas", found, params)

    async def _list_tables(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        patterns = {"schema": params.get("SchemaPattern"), "table": params.get("TablePattern")}
        return _page("Tables", await self._ask(params, signed, "tables", **patterns), params)

    async def _describe_table(self, params: dict[str, Any], signed: Signed) -> dict[str, Any]:
        if not params.get("Table"):
            raise _invalid("Table is required.")
        arguments = {"schema": params.get("Schema"), "table": params["Table"]}
        columns = await self._ask(params, signed, "columns", **arguments)
        return {**_page("ColumnList", columns, params), "TableName": params["Table"]}


def _invalid(text: str) -> AwsError:
    return AwsError("ValidationException", text)


def _owner(signed: Signed) -> str:
    return signed.principal.role or signed.principal.arn


def _update(part: Part, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(part, name, value)
    part.updated = time.time()


async def _wait(ended: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(ended.wait(), min(seconds, 30))
    except TimeoutError:
        return


def _page(name: str, found: list[Any], params: dict[str, Any], most: int = 1000) -> dict[str, Any]:
    token = str(params.get("NextToken") or "0")
    if not token.isascii() or not token.isdigit():
        raise _invalid("Invalid NextToken.")
    size, start = int(params.get("MaxResults") or most), int(token)
    answer: dict[str, Any] = {name: found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer
