"""The engine's process: DuckDB behind a pipe, one statement after the other.

Started as `python -m helpers.localaws.warehouse.engine FOLDER SETTINGS`. It ends when its standard input does, and with
it the transaction that runs: what was not committed is gone, what was is in the database's file.
"""

from __future__ import annotations

import math
import os
import queue
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import orjson

from . import loading, parsing, passwords
from .catalog import Catalog, Relation
from .compiler import Compiler
from .ddl import Definitions
from .functions import STATEMENT
from .parsing import Reader
from .process import Message, pack
from .sqltypes import SqlError, Type, refuse
from .values import MACROS

PAGE = 1000  # rows of a page of a result
MAX_RESULT = 500 * 2**20  # bytes: https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html


@dataclass
class Result:
    """What a statement gave: rows of these columns (None: no result set), or a number of rows that it touched."""

    columns: list[tuple[str, Type]] | None = None
    rows: Iterator[Any] = field(default_factory=lambda: iter(()))
    count: int = -1
    kind: str = "UTILITY"
    loaded: int = 0


@dataclass
class Session:
    """A connection of a user's to a database; temporary tables are its own."""

    connection: duckdb.DuckDBPyConnection
    catalog: Catalog
    database: str
    user: str
    explicit: bool = False  # BEGIN was said
    failed: bool = False  # and a statement after it failed: nothing is done until ROLLBACK


class Engine:
    """A cluster's databases. `ask` puts a question to the lab, `send` tells it something."""

    def __init__(
        self, folder: Path, settings: Message, send: Callable[[Message], None], ask: Callable[[Message], Message]
    ) -> None:
        self.folder, self.settings, self.send, self.ask = folder, settings, send, ask
        self._databases: dict[str, duckdb.DuckDBPyConnection] = {}
        self._sessions: dict[str, Session] = {}
        self._job = self._to_cancel = ""
        self._ended = threading.Event()  # the job has
        self._interrupting = threading.Lock()
        self._interruptible: duckdb.DuckDBPyConnection | None = None
        self._brought: str | None = None  # a role whose credentials the client has
        self.open(settings["database"], create=True)

    # Databases and sessions

    def databases(self) -> list[str]:
        return sorted(p.stem for p in self.folder.glob("*.duckdb"))

    def open(self, name: str, create: bool = False) -> duckdb.DuckDBPyConnection:
        if name in self._databases:
            return self._databases[name]
        path = self.folder / f"{name}.duckdb"
        if not create and name not in self.databases():
            raise SqlError(f'FATAL: database "{name}" does not exist')
        connection = duckdb.connect(
            str(path),
            config={
                "memory_limit": "1500MB", "temp_directory": str(self.folder / "spill"), "threads": 2,
                "default_null_order": "nulls_last_on_asc_first_on_desc", "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )  # fmt: skip
        connection.execute("SET TimeZone='UTC'; SET GLOBAL ieee_floating_point_ops=false; ATTACH ':memory:' AS stage")
        connection.execute(MACROS)
        Catalog.prepare(connection, self.settings["admin"], self.settings["password"])
        self._databases[name] = connection
        return connection

    def session(self, job: Message) -> Session:
        key = job.get("session") or ""
        if key and key in self._sessions:
            return self._sessions[key]
        connection = self.open(job["database"]).cursor()
        user = job["user"]
        catalog = Catalog(connection, user)
        if user not in catalog.users():
            if not user.startswith(("IAM:", "IAMR:")):
                raise SqlError(f'FATAL: password authentication failed for user "{user}"')
            connection.execute("INSERT INTO _rs.users VALUES (?, false, [], NULL)", [user])
        if "password" in job and not catalog.password_fits(user, job["password"]):
            raise SqlError(f'FATAL: password authentication failed for user "{user}"')
        session = Session(connection, catalog, job["database"], user)
        if key:
            self._sessions[key] = session
        return session

    def cancel(self, job: str) -> None:
        """Called from another thread, perhaps before the job has begun; returns when it does not run (any more).

        DuckDB forgets an interrupt that comes between two queries, so it is said again until the job has ended.
        """
        self._to_cancel = job
        while self._job == job:
            with self._interrupting:
                if self._interruptible:
                    self._interruptible.interrupt()
            if self._ended.wait(0.01):
                break

    @property
    def _canceled(self) -> bool:
        return self._to_cancel == self._job

    def _may_interrupt(self, connection: duckdb.DuckDBPyConnection | None) -> None:
        """A statement may be interrupted; what ends its transaction may not."""
        with self._interrupting:
            self._interruptible = connection

    # Jobs

    def run(self, job: Message) -> Message:
        """One call of the Data API, from its first statement to its commit."""
        self._ended.clear()
        self._job, self._brought = job["id"], job.get("brought")
        part, alone, failure = 0, job.get("mode") == "AUTO_COMMIT", ""
        session: Session | None = None
        try:
            session = self.session(job)
            if "what" in job:
                return {"event": "done", "answer": self._look(session, job["what"], job["arguments"])}
            for part, sql in enumerate(job["sqls"]):
                if part == 0 or alone:
                    self._begin(session)
                if self._canceled:
                    raise duckdb.InterruptException("canceled")
                self.send({"event": "started", "part": part, "pid": os.getpid()})
                try:
                    self._part(session, job, part, sql)
                    if alone and not session.explicit:
                        self._end(session, "COMMIT")
                except (SqlError, duckdb.Error) as error:
                    if not alone or isinstance(error, duckdb.InterruptException):
                        raise
                    failure = failure or self._failed(session, part, _told(error))["error"]  # the others go on
            if session.explicit and not job.get("session") or not session.explicit and not alone:
                self._end(session, "COMMIT" if not session.explicit or job["batch"] else "ROLLBACK")
            return {"event": "done", "error": failure}
        except duckdb.InterruptException:
            return self._failed(session, part, "Query canceled on user's request", aborted=self._canceled)
        except (SqlError, duckdb.Error) as error:
            return self._failed(session, part, _told(error))
        except RecursionError:
            return self._failed(session, part, "ERROR: stack depth limit exceeded")
        finally:
            self._ended.set()
            if session and not job.get("session"):
                session.connection.close()

    def _begin(self, session: Session) -> None:
        session.catalog.forget()
        if not session.explicit:
            session.connection.execute("BEGIN")

    def _end(self, session: Session, word: str) -> None:
        session.explicit = session.failed = False
        session.catalog.forget()
        session.connection.execute(word)

    def _failed(self, session: Session | None, part: int, error: str, aborted: bool = False) -> Message:
        if session:
            waits = session.explicit and session in self._sessions.values()
            try:
                self._end(session, "ROLLBACK")
                if waits:
                    session.connection.execute("BEGIN")
                    session.explicit = session.failed = True
            except duckdb.Error:
                pass  # nothing had begun
        self.send(
            {"event": "part", "part": part, "fields": {"status": "ABORTED" if aborted else "FAILED", "error": error}}
        )
        return {"event": "done", "error": "" if aborted else error, "aborted": aborted}

    def _part(self, session: Session, job: Message, part: int, sql: str) -> None:
        begun, started = time.monotonic_ns(), loading.clock()
        query = self._next_query(session)
        log = ["UTILITY", sql, "failed", started, 0, "", 0]
        self._may_interrupt(session.connection)
        try:
            if job["batch"] and job["mode"] == "TRANSACTION" or session.explicit:
                _check_alone(sql)
            result = self._statement(session, sql, job.get("parameters") or [], query)
            log[0], log[6] = result.kind, result.loaded
            pages, size, rows = 0, 0, result.count
            columns = []
            if result.columns is not None:
                folder = Path(job["results"])
                folder.mkdir(parents=True, exist_ok=True)
                pages, size, rows = _write_pages(result, folder, part)
                columns = [kind.metadata(name) for name, kind in result.columns]
            log[2], log[4] = "success", max(rows, 0)
            fields = {
                "status": "FINISHED", "duration": time.monotonic_ns() - begun, "rows": rows, "size": size,
                "has_result": result.columns is not None, "pages": pages, "columns": columns, "query_id": query,
            }  # fmt: skip
            self.send({"event": "part", "part": part, "fields": fields})
        except (SqlError, duckdb.Error) as error:
            log[5] = str(error) if isinstance(error, SqlError) else spoken(error)
            raise
        finally:
            self._may_interrupt(None)
            self._log(session, query, log, begun)

    def _next_query(self, session: Session) -> int:
        """Numbers come from outside of the statement's transaction, which may be rolled back."""
        beside = self.open(session.database).cursor()
        return int(beside.execute("SELECT nextval('_rs.queries_seq')").fetchall()[0][0])

    def _log(self, session: Session, query: int, log: list[Any], begun: int) -> None:
        beside = self.open(session.database).cursor()
        kind, sql, status, started, rows, error, loaded = log
        elapsed, text = (time.monotonic_ns() - begun) // 1000, passwords.hide(sql)[:4000]
        beside.execute(
            "INSERT INTO _rs.queries VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [query, session.user, kind, text, status, started, loading.clock(), elapsed, rows, error, loaded],
        )

    # Statements

    def _statement(self, session: Session, sql: str, parameters: list[dict[str, str]], query: int) -> Result:
        texts = parsing.split(sql)
        if len(texts) != 1:
            if not texts:
                raise SqlError("syntax error at end of input")
            raise SqlError("cannot insert multiple commands into a prepared statement")
        sql = texts[0]
        r = Reader(sql)
        word = r.peek()
        if session.failed and word not in ("commit", "end", "rollback", "abort"):
            raise SqlError("current transaction is aborted, commands ignored until end of transaction block")
        compiler = Compiler(session.catalog, parameters, self.settings)
        _begins(session.connection)
        if word in ("select", "with", "(", "values"):
            compiled = compiler.query(sql)
            if compiled.into:
                return Result(count=Definitions(session.catalog, compiler).select_into(compiled), kind="CTAS")
            cursor = session.connection.execute(compiled.sql)
            return Result(compiled.columns, iter(cursor.fetchone, None), kind="SELECT")
        if word in ("insert", "update", "delete", "merge"):
            count = 0
            for step in compiler.change(sql):
                rows = session.connection.execute(step).fetchall()
                count = max(count, int(rows[0][0])) if rows and isinstance(rows[0][0], int) else count
            return Result(count=count, kind=word.upper())
        if r.accept("copy"):
            return self._copy(session, r, query, compiler)
        if r.accept("unload"):
            return self._unload(session, r, compiler)
        if word in ("begin", "start", "commit", "end", "rollback", "abort"):
            return self._transaction(session, word)
        if r.accept("explain"):
            return self._explain(session, compiler, r.rest())
        if r.accept("show") or r.accept("set") or r.accept("reset"):
            raise refuse(f"{word.upper()}")
        definitions = Definitions(session.catalog, compiler)
        count = definitions.run(r)
        session.catalog.forget()
        return Result(count=count, kind="CTAS" if count >= 0 else "DDL")

    def _transaction(self, session: Session, word: str) -> Result:
        """A call of the Data API is a transaction already; in a batch COMMIT ends it and begins the next."""
        if word in ("begin", "start"):
            session.explicit = True
        else:
            self._end(session, "COMMIT" if word in ("commit", "end") else "ROLLBACK")
            session.connection.execute("BEGIN")
        return Result()

    def _copy(self, session: Session, r: Reader, query: int, compiler: Compiler) -> Result:
        relation = session.catalog.get(*r.dotted())
        if relation.kind != "r":
            raise SqlError(f'"{relation.name}" is not a table')
        session.catalog.need(relation, "insert")
        named = r.names() if r.peek() == "(" else None
        r.expect("from")
        url, options = r.string(), parsing.copy_options(r)
        r.end()
        loading.check_options(options)
        columns = [relation.column(n) for n in named] if named else [
            c for c in relation.columns if not c.identity or c.by_default and not named
        ]  # fmt: skip
        for column in columns:
            if named and column.identity and not column.by_default:
                raise SqlError(f"cannot set an identity column to a value: {column.name}")
        defaults = {c.name: compiler.default(c) for c in columns if c.not_null and c.default}
        load = loading.Load(relation, columns, url, options, defaults=defaults)
        files = self._files(session, str(options["iam_role"]))
        beside = self.open(session.database).cursor()
        _begins(beside)
        try:
            table, rows = loading.copy(load, files, beside)
            if self._canceled:
                raise duckdb.InterruptException("canceled")
            session.connection.execute(compiler.insert_from(relation, columns, table))
        finally:
            self._load_errors(session, load, query)
            beside.execute("DROP TABLE IF EXISTS stage.main.loaded")
        return Result(count=rows, kind="COPY", loaded=rows)

    def _load_errors(self, session: Session, load: loading.Load, query: int) -> None:
        beside = self.open(session.database).cursor()
        now, user = loading.clock(), session.catalog.user_id()
        rows = [
            (user, 0, load.relation.oid, now, os.getpid(), query, e.filename, e.line, e.column, e.type, e.length,
             e.position, e.raw_line, e.raw_field, e.code, e.reason, session.user)
            for e in load.errors[: load.max_errors + 1]
        ]  # fmt: skip
        if rows:  # a column at a time: row by row it would take a millisecond each
            marks = ", ".join(["unnest(?)"] * len(rows[0]))
            beside.execute(f"INSERT INTO _rs.load_errors SELECT {marks}", [list(c) for c in zip(*rows, strict=True)])

    def _unload(self, session: Session, r: Reader, compiler: Compiler) -> Result:
        r.expect("(")
        query = r.string()
        r.expect(")", "to")
        url, options = r.string(), parsing.copy_options(r)
        r.end()
        loading.check_options(options, unloads=True)
        if compiler.parse(query).args.get("limit"):
            raise SqlError("UNLOAD does not take a LIMIT clause in its outer SELECT: nest it")
        compiled = compiler.query(query)
        files = self._files(session, str(options["iam_role"]))
        slices = int(self.settings["slices"])
        count = loading.unload(compiled.sql, compiled.columns, url, options, files, slices, session.connection)
        return Result(count=count, kind="UNLOAD")

    def _files(self, session: Session, role: str) -> loading.Files:
        answer = self.ask({"ask": "role", "role": role, "user": session.user, "brought": role == self._brought})
        if "error" in answer:
            raise SqlError(answer["error"])
        return loading.Files(self.settings["endpoint"], self.settings["region"], answer)

    def _explain(self, session: Session, compiler: Compiler, sql: str) -> Result:
        raise refuse("EXPLAIN: its plan would be DuckDB's, not Redshift's")

    # What the Data API asks besides

    def _look(self, session: Session, what: str, arguments: dict[str, Any]) -> Any:
        relations = session.catalog.relations.values()
        if what == "databases":
            return self.databases()
        if what == "schemas":
            names = [*session.catalog.schemas(), "pg_catalog", "information_schema"]
            return sorted(n for n in names if _like(n, arguments["pattern"]))
        if what == "tables":
            return [
                {"name": r.name, "schema": r.schema, "type": {"r": "TABLE", "v": "VIEW"}[r.kind]}
                for r in sorted(relations, key=lambda r: (r.schema, r.name))
                if _like(r.schema, arguments["schema"]) and _like(r.name, arguments["table"])
            ]
        relation = session.catalog.find(arguments["schema"] or "", arguments["table"])
        return [] if relation is None else [_described(relation, n) for n in range(len(relation.columns))]


def _described(relation: Relation, number: int) -> dict[str, Any]:
    column = relation.columns[number]
    fields = column.type.metadata(column.name)
    length = column.type.length or column.type.precision
    more = {
        "nullable": int(not column.not_null),
        "length": length or fields["precision"],
        "columnDefault": column.default,
    }
    return {**fields, **more, "schemaName": relation.schema, "tableName": relation.name}


def _begins(connection: duckdb.DuckDBPyConnection) -> None:
    """Tells a connection when the statement began, for GETDATE."""
    connection.execute(f"SET VARIABLE {STATEMENT} = TIMESTAMP '{loading.clock()}'")


def _told(error: SqlError | duckdb.Error) -> str:
    """An error as the Data API gives it."""
    text = str(error) if isinstance(error, SqlError) else spoken(error)
    return text if text.startswith("FATAL") else f"ERROR: {text}"


def _check_alone(sql: str) -> None:
    """Raises SqlError for what a transaction of several statements does not take.

    https://docs.aws.amazon.com/redshift/latest/dg/r_VACUUM_command.html and r_ALTER_TABLE.html
    """
    words = [t.text.lower() for t in parsing.tokens(sql)]
    if words[:1] == ["vacuum"]:
        raise SqlError("VACUUM cannot run inside a transaction block")
    if words[:2] == ["alter", "table"] and "type" in words and "column" in words and words[3:4] != ["add"]:
        raise SqlError("ALTER TABLE ALTER COLUMN cannot run inside a transaction block")


def _like(text: str, pattern: str | None) -> bool:
    return pattern is None or bool(re.fullmatch(re.escape(pattern).replace("%", ".*").replace("_", "."), text))


def _write_pages(result: Result, folder: Path, part: int) -> tuple[int, int, int]:
    """Writes a result's pages as the Data API's records; returns pages, bytes and rows."""
    pages = size = rows = 0
    assert result.columns is not None
    kinds = [kind for _, kind in result.columns]
    page: list[Any] = []
    for row in result.rows:
        page.append([_field(v, k) for v, k in zip(row, kinds, strict=True)])
        rows += 1
        if len(page) == PAGE:
            size += _write_page(page, folder / f"{part}-{pages}.json")
            pages, page = pages + 1, []
            if size > MAX_RESULT:
                raise SqlError("The size of the result exceeds the limit of 500 MB")
    if page:
        size += _write_page(page, folder / f"{part}-{pages}.json")
        pages += 1
    return pages, size, rows


def _write_page(page: list[Any], path: Path) -> int:
    return path.write_bytes(orjson.dumps(page))


def _field(value: Any, kind: Type) -> dict[str, Any]:
    """https://docs.aws.amazon.com/redshift-data/latest/APIReference/API_Field.html"""
    if value is None:
        return {"isNull": True}
    if kind.name == "bool":
        return {"booleanValue": bool(value)}
    if kind.is_integer:
        return {"longValue": int(value)}
    if kind.is_float:
        if not math.isfinite(value):
            raise refuse("NaN and infinity in a result")
        return {"doubleValue": float(value)}
    if kind.name == "numeric":
        return {"stringValue": format(value, "f")}
    if isinstance(value, datetime):
        return {"stringValue": shown(value)}
    if kind.name == "bpchar":
        value += " " * (kind.length - len(value.encode()))
    return {"stringValue": value.isoformat() if isinstance(value, date) else str(value)}


def shown(value: datetime) -> str:
    """A timestamp as Redshift prints it."""
    text = value.replace(tzinfo=None).isoformat(" ")
    return (text.rstrip("0") if value.microsecond else text) + ("+00" if value.tzinfo else "")


_SPOKEN = (
    (r"Division by zero|divide by zero", "Divide by zero error"),
    (r"NOT NULL constraint failed: \S*?(\w+)$", r"Cannot insert a NULL value into column \1"),
    (r"Overflow in \w+ of (INT16|INT32|INT64|INT128)", "Integer out of range"),
    (r"Overflow in \w+ of DECIMAL|(Could not cast|Casting) value .* to (type )?DECIMAL", "Numeric data overflow"),
    (r"Could not convert string '(.*)' to (INT\d+|DECIMAL.*|DOUBLE|FLOAT)", r'invalid input syntax for number: "\1"'),
    (r"(?:timestamp|date) field value out of range: \"(.*?)\"", r'date/time field value out of range: "\1"'),
    (r"invalid (timestamp|date) field format: \"(.*?)\"", r'invalid input syntax for type \1: "\2"'),
    (r"out of range for the destination type (\w+)", "value out of range for its type"),
    (r"Conflict|TransactionContext Error", "1023 DETAIL: Serializable isolation violation on table"),
)  # fmt: skip


def spoken(error: duckdb.Error) -> str:
    """DuckDB's error in Redshift's words."""
    text = str(error).partition("\n")[0]
    for pattern, words in _SPOKEN:
        if match := re.search(pattern, text):
            return match.expand(words)
    return re.sub(r"^[A-Z][\w ]*? Error: ", "", text)


# The pipe


def main() -> None:
    folder, settings = Path(sys.argv[1]), orjson.loads(sys.argv[2])
    pipe_in, pipe_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed must not get between the messages
    jobs: queue.Queue[Message] = queue.Queue()
    answers: queue.Queue[Message] = queue.Queue()
    engine: list[Engine] = []

    def send(message: Message) -> None:
        pipe_out.write(pack(message))
        pipe_out.flush()

    def ask(question: Message) -> Message:
        send(question)
        return answers.get()

    def listen(source: BinaryIO) -> None:
        while head := source.read(4):
            message = orjson.loads(source.read(struct.unpack(">I", head)[0]))
            if message["do"] == "cancel":
                if engine:  # beside: the statement may need an answer to end
                    threading.Thread(target=engine[0].cancel, args=[message["id"]], daemon=True).start()
            else:
                (answers if message["do"] == "answer" else jobs).put(message)
        os._exit(0)  # the lab is gone

    threading.Thread(target=listen, args=[pipe_in], daemon=True).start()
    engine.append(Engine(folder, settings, send, ask))
    while True:
        job = jobs.get()
        try:
            send(engine[0].run(job))
        except Exception as error:  # a fault of ours is the statement's error, not the end of the process
            import traceback

            traceback.print_exc()
            what = f"ERROR: The local warehouse failed: {type(error).__name__}: {error}"
            send({"event": "done", "error": what})


if __name__ == "__main__":
    main()
