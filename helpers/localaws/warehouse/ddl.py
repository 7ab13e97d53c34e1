"""Everything that defines: CREATE, ALTER, DROP, TRUNCATE, GRANT, and what Redshift has for upkeep (VACUUM, ANALYZE).

https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_commands.html
"""

from __future__ import annotations

from dataclasses import replace

from . import parsing, passwords
from .catalog import Catalog, Column, Relation
from .compiler import Compiled, Compiler
from .parsing import Reader, TableText
from .sqltypes import SqlError, Type, quoted, refuse, varchar

# https://docs.aws.amazon.com/redshift/latest/dg/t_Compressing_data_on_disk.html
_AZ64 = ("int2", "int4", "int8", "numeric", "date", "timestamp", "timestamptz", "time")


class Definitions:
    """The DDL of one session."""

    def __init__(self, catalog: Catalog, compiler: Compiler) -> None:
        self.catalog, self.compiler, self.connection = catalog, compiler, catalog.connection

    def run(self, r: Reader) -> int:
        """Runs a statement; returns a number of rows, or -1. Raises SqlError."""
        word = r.take().text.lower()
        method = getattr(self, f"_{word}", None)
        if method is None:
            r.at -= 1
            if word in (
                "call",
                "declare",
                "fetch",
                "close",
                "prepare",
                "execute",
                "deallocate",
                "lock",
                "cancel",
                "use",
            ):
                raise refuse(word.upper())
            raise r.error()
        found = method(r)
        return -1 if found is None else int(found)

    # CREATE

    def _create(self, r: Reader) -> int | None:
        replaces = r.accept("or", "replace")
        r.accept("local")
        temporary = r.accept("temp") or r.accept("temporary")
        if r.accept("table"):
            return self._create_table(parsing.create_table(r, temporary))
        if r.accept("view"):
            self._create_view(r, replaces)
            return None
        if r.accept("schema"):
            self._create_schema(r)
            return None
        if r.accept("user"):
            self._create_user(r)
            return None
        if r.accept("group"):
            self._only_super()
            name = r.name()
            if (name,) in self.connection.execute("SELECT name FROM _rs.groups").fetchall():
                raise SqlError(f'group "{name}" already exists')
            self.connection.execute("INSERT INTO _rs.groups VALUES (?)", [name])
            if r.accept("with") or r.peek() == "user":
                r.expect("user")
                self._members(name, self._listed(r), True)
            r.end()
            return None
        for words, what in (
            (("materialized", "view"), "materialized views"), (("external",), "external schemas and tables (Spectrum)"),
            (("procedure",), "stored procedures"), (("function",), "user-defined functions"), (("role",), "roles"),
            (("model",), "Redshift ML"), (("datashare",), "datashares"), (("library",), "libraries"),
            (("database",), "CREATE DATABASE: a cluster has the one that it was created with"),
        ):  # fmt: skip
            if r.accept(*words):
                raise refuse(what)
        raise r.error()

    def _create_table(self, text: TableText) -> int | None:
        schema = text.schema or ("pg_temp" if text.temporary else "public")
        if text.temporary:
            schema = "pg_temp"
        else:
            self.catalog.need_schema(schema, "create")
        if (schema, text.name) in self.catalog.relations:
            if text.if_not_exists:
                return None
            raise SqlError(f'Relation "{text.name}" already exists')
        relation = Relation(schema, text.name, "r", text.columns, self.catalog.user, temporary=text.temporary)
        compiled: Compiled | None = None
        if text.query:
            compiled = self.compiler.query(text.query)
            if text.names and len(text.names) != len(compiled.columns):
                raise SqlError("CREATE TABLE AS specifies too many column names")
            names = text.names or [n for n, _ in compiled.columns]
            relation.columns = [
                Column(n, _stored(t), encoding="") for n, (_, t) in zip(names, compiled.columns, strict=True)
            ]
        elif text.like:
            parent = self.catalog.get(*text.like)
            relation = replace(
                parent, schema=schema, name=text.name, temporary=text.temporary, oid=0, owner=self.catalog.user,
                columns=[replace(c, default=c.default if text.like_defaults else "", identity=None)
                         for c in parent.columns] + text.columns, primary_key=[],
            )  # fmt: skip
        self._design(relation, text)
        self._check_names(relation)
        for column in relation.columns:
            if column.default:
                self.compiler.default(column)  # is refused now, not when the first row comes
        self.catalog.put(relation)
        self._make(relation)
        if compiled:
            columns = relation.columns
            self.connection.execute(self.compiler.insert_from(relation, columns, f"({compiled.sql}) AS q", ctas=True))
            return int(self.connection.execute(f"SELECT count(*) FROM {relation.engine_name}").fetchall()[0][0])
        return None

    @staticmethod
    def _check_names(relation: Relation) -> None:
        names = [c.name for c in relation.columns]
        if not names:
            raise SqlError("a table must have at least one column")
        for name in names:
            if names.count(name) > 1:
                raise SqlError(f'column "{name}" specified more than once')

    def _design(self, relation: Relation, text: TableText) -> None:
        """Distribution, sort order and encodings, by Redshift's defaults where nothing is said.

        https://docs.aws.amazon.com/redshift/latest/dg/c_choosing_dist_sort.html
        """
        if text.distkey or text.diststyle or not text.like:
            relation.distkey = text.distkey
            relation.diststyle = (
                f"KEY({text.distkey})"
                if text.distkey
                else "AUTO(ALL)"
                if text.diststyle in ("", "AUTO")
                else text.diststyle
            )
        if text.sortkeys is not None or not text.like:
            relation.sortkeys, relation.interleaved = text.sortkeys or [], text.interleaved
            relation.sort_auto = text.sort_auto
        if text.primary_key:
            relation.primary_key = text.primary_key
        for name in filter(None, [relation.distkey, *relation.sortkeys, *relation.primary_key]):
            relation.column(name)
        for column in relation.columns:
            column.not_null = column.not_null or column.name in relation.primary_key or bool(column.identity)
            if column.encoding in ("", "raw"):
                sorts = column.name in relation.sortkeys and not relation.interleaved
                raw = column.encoding == "raw" or sorts or relation.temporary
                raw = raw or column.type.name in ("bool", "float4", "float8")
                column.encoding = "none" if raw else "az64" if column.type.name in _AZ64 else "lzo"

    def _make(self, relation: Relation) -> None:
        """The DuckDB table for a relation."""
        columns = []
        for column in relation.columns:
            text = f"{quoted(column.name)} {column.type.engine}"
            if column.identity:
                sequence = self.compiler.sequence(relation, column)
                seed, step = column.identity
                self.connection.execute(f"CREATE OR REPLACE SEQUENCE {sequence} START {seed} INCREMENT {step} MINVALUE "
                                        f"{min(seed, 0)}")  # fmt: skip
            columns.append(text + (" NOT NULL" if column.not_null else ""))
        place = "TEMP TABLE " + quoted(relation.name) if relation.temporary else f"TABLE {relation.engine_name}"
        self.connection.execute(f"CREATE {place} ({', '.join(columns)})")

    def select_into(self, compiled: Compiled) -> int:
        schema, name, temporary = compiled.into or ("", "", False)
        text = TableText(schema, name, temporary, False, [], [])
        relation_schema = "pg_temp" if temporary else schema or "public"
        if (relation_schema, name) in self.catalog.relations:
            raise SqlError(f'Relation "{name}" already exists')
        columns = [Column(n, _stored(t), encoding="") for n, t in compiled.columns]
        relation = Relation(relation_schema, name, "r", columns, self.catalog.user, temporary=temporary)
        self._design(relation, text)
        self._check_names(relation)
        self.catalog.put(relation)
        self._make(relation)
        self.connection.execute(self.compiler.insert_from(relation, columns, f"({compiled.sql}) AS q", ctas=True))
        return int(self.connection.execute(f"SELECT count(*) FROM {relation.engine_name}").fetchall()[0][0])

    def _create_view(self, r: Reader, replaces: bool) -> None:
        schema, name = r.dotted()
        schema = schema or "public"
        named = r.names() if r.peek() == "(" else []
        r.expect("as")
        words = [t.text.lower() for t in r.tokens]
        late = words[-4:] == ["with", "no", "schema", "binding"]
        query = r.rest()
        if late:
            query = query[: query.lower().rindex("with")]
        self.catalog.need_schema(schema, "create")
        existing = self.catalog.find(schema, name)
        if existing and (existing.kind != "v" or not replaces):
            raise SqlError(f'Relation "{name}" already exists')
        if existing:
            self.catalog.need_owner(existing)
        compiled = self.compiler.query(query, late=late)
        if named and len(named) != len(compiled.columns):
            raise SqlError("CREATE VIEW specifies a wrong number of column names")
        names = named or [n for n, _ in compiled.columns]
        columns = [Column(n, _stored(t)) for n, (_, t) in zip(names, compiled.columns, strict=True)]
        before = existing.columns if existing and not existing.late else columns
        if [(c.name, c.type) for c in before] != [(c.name, c.type) for c in columns]:
            raise SqlError("CREATE OR REPLACE VIEW cannot change the names, types or number of the view's columns")
        owner, oid = (existing.owner, existing.oid) if existing else (self.catalog.user, 0)
        view = Relation(schema, name, "v", columns, owner, oid, sql=query.strip(), late=late)
        view.diststyle = ""
        self._check_names(view)
        self.catalog.put(view)

    def _create_schema(self, r: Reader) -> None:
        exists = r.accept("if", "not", "exists")
        name = r.name() if r.peek() != "authorization" else ""
        owner = r.name() if r.accept("authorization") else self.catalog.user
        name = name or owner
        if r.accept("quota"):
            raise refuse("a schema's QUOTA")
        r.end()
        if name.startswith(("pg_", "_rs")) or name in ("main", "temp", "information_schema"):
            raise SqlError(f'unacceptable schema name "{name}"')
        if name in self.catalog.schemas():
            if exists:
                return
            raise SqlError(f'schema "{name}" already exists')
        if owner not in self.catalog.users():
            raise SqlError(f'user "{owner}" does not exist')
        if not self.catalog.is_super:
            raise SqlError("permission denied for database")
        self.connection.execute(f"CREATE SCHEMA {quoted(name)}")
        self.connection.execute("INSERT INTO _rs.schemas VALUES (?, ?)", [name, owner])

    # ALTER

    def _alter(self, r: Reader) -> None:
        if r.accept("user"):
            self._alter_user(r)
            return
        if r.accept("group"):
            self._only_super()
            name = r.name()
            adds = r.accept("add")
            if not adds:
                r.expect("drop")
            r.expect("user")
            self._members(name, self._listed(r), adds)
            r.end()
            return
        if r.accept("default", "privileges"):
            raise refuse("ALTER DEFAULT PRIVILEGES")
        if r.accept("schema"):
            raise refuse("ALTER SCHEMA")
        r.expect("table")
        relation = self.catalog.get(*r.dotted())
        if relation.kind != "r":
            raise SqlError(f'"{relation.name}" is not a table')
        self.catalog.need_owner(relation)
        self._alter_table(r, relation)
        r.end()
        self.catalog.forget()

    def _standing(self, relation: Relation) -> list[Relation]:
        """The views that are bound to a table or view."""
        every = list(self.catalog.relations.values())
        return [v for v in every if v.kind == "v" and not v.late and self.compiler.stands_on(v, relation)]

    def _after_drop(self, relation: Relation, column: str, cascade: bool) -> None:
        """Views that used the column go with it, or keep it where it is."""
        for view in self._standing(relation):
            try:
                fits = len(self.compiler.query(view.sql).columns) == len(view.columns)
            except SqlError:
                fits = False
            if not fits and not cascade:
                text = f"cannot drop table {relation.name} column {column} because other objects depend on it"
                raise SqlError(text)
            if not fits:
                self._drop_dependents(view, True)
                self._forget(view)

    def _alter_table(self, r: Reader, relation: Relation) -> None:
        table = relation.engine_name
        if r.peek() == "rename" and self._standing(relation):
            raise refuse("renaming a table, or its columns, that views are bound to: on AWS they follow it")
        if r.accept("add"):
            if r.peek() in ("constraint", "primary", "unique", "foreign"):
                parsing._constraint(r, text := TableText("", "", False, False, [], []))
                for name in text.primary_key or []:
                    if not relation.column(name).not_null:
                        raise SqlError(f'cannot make a primary key of column "{name}": it is nullable')
                relation.primary_key = text.primary_key or relation.primary_key
            else:
                r.accept("column")
                column = parsing.column(r)
                if column.identity:
                    raise SqlError("Cannot add an identity column to a table")
                if column.not_null and not column.default:
                    raise SqlError("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
                relation.columns = [*relation.columns, column]
                self._check_names(relation)
                self._design(relation, TableText("", "", False, False, [], [], like=("", "")))
                value = f" DEFAULT {self.compiler.default(column)}" if column.default else ""
                self.connection.execute(
                    f"ALTER TABLE {table} ADD COLUMN {quoted(column.name)} {column.type.engine}{value}"
                )
                alters = f"ALTER TABLE {table} ALTER COLUMN {quoted(column.name)}"
                if column.not_null:
                    self.connection.execute(f"{alters} SET NOT NULL")
                if value:  # from here on, INSERT fills it in
                    self.connection.execute(f"{alters} DROP DEFAULT")
        elif r.accept("drop"):
            if r.accept("constraint"):
                r.name()
                relation.primary_key = []
            else:
                r.accept("column")
                column = relation.column(r.name())
                cascade = r.accept("cascade")
                r.accept("restrict")
                if column.name in relation.primary_key and not cascade:
                    raise SqlError(f'cannot drop column "{column.name}": the primary key depends on it')
                relation.primary_key = [k for k in relation.primary_key if k != column.name]
                if column.name == relation.distkey or column.name in relation.sortkeys:
                    raise SqlError(f'cannot drop column "{column.name}": it is a distribution key or sort key')
                relation.columns = [c for c in relation.columns if c.name != column.name]
                self._check_names(relation)
                self.connection.execute(f"ALTER TABLE {table} DROP COLUMN {quoted(column.name)}")
                self.catalog.put(relation)
                self._after_drop(relation, column.name, cascade)
        elif r.accept("rename", "column"):
            old = relation.column(r.name()).name
            r.expect("to")
            new = r.name()
            self.connection.execute(f"ALTER TABLE {table} RENAME COLUMN {quoted(old)} TO {quoted(new)}")
            relation.columns = [replace(c, name=new) if c.name == old else c for c in relation.columns]
            relation.sortkeys = [new if k == old else k for k in relation.sortkeys]
            if relation.distkey == old:
                relation.distkey, relation.diststyle = new, f"KEY({new})"
            self._check_names(relation)
        elif r.accept("rename", "to"):
            new = r.name()
            if self.catalog.find(relation.schema, new):
                raise SqlError(f'Relation "{new}" already exists')
            self.connection.execute(f"ALTER TABLE {table} RENAME TO {quoted(new)}")
            self.catalog.remove(relation)
            self.connection.execute(
                "UPDATE _rs.grants SET object=? WHERE kind='table' AND object=?",
                [f"{relation.schema}.{new}", f"{relation.schema}.{relation.name}"],
            )
            relation.name = new
        elif r.accept("owner", "to"):
            relation.owner = r.name()
        elif r.accept("alter"):
            self._alter_design(r, relation)
        else:
            raise r.error()
        self.catalog.put(relation)

    def _alter_design(self, r: Reader, relation: Relation) -> None:
        if r.accept("column"):
            column = relation.column(r.name())
            if r.accept("type"):
                kind = parsing.read_type(r)
                if kind.name != "varchar" or column.type.name != "varchar":
                    raise SqlError(f'cannot alter type of column "{column.name}": only the size of a VARCHAR')
                if column.default or column.name in relation.primary_key:
                    raise SqlError(f'cannot alter type of column "{column.name}": it has a default value or is a key')
                longest = self.connection.execute(
                    f"SELECT max(strlen({quoted(column.name)})) FROM {relation.engine_name}"
                ).fetchall()[0][0]
                if (longest or 0) > kind.length:
                    raise SqlError("cannot reduce the size of the column below the length of its values")
                column.type = kind
            else:
                r.expect("encode")
                column.encoding = r.take().text.lower()
        elif r.accept("diststyle"):
            style = r.take().text.upper()
            if style == "KEY":
                r.expect("distkey")
                self._distribute(relation, r.name())
            elif style in ("ALL", "EVEN", "AUTO"):
                relation.distkey, relation.diststyle = "", "AUTO(ALL)" if style == "AUTO" else style
            else:
                raise SqlError(f'invalid DISTSTYLE "{style.lower()}"')
        elif r.accept("distkey"):
            self._distribute(relation, r.name())
        elif r.accept("sortkey"):
            if r.accept("auto"):
                relation.sort_auto = True
            elif r.accept("none"):
                relation.sortkeys, relation.sort_auto = [], False
            else:
                relation.sortkeys, relation.interleaved, relation.sort_auto = r.names(), False, False
        elif r.peek() == "compound":
            r.expect("compound", "sortkey")
            relation.sortkeys, relation.interleaved, relation.sort_auto = r.names(), False, False
        elif r.accept("encode", "auto"):
            pass
        else:
            raise r.error()
        for key in relation.sortkeys:
            relation.column(key)

    @staticmethod
    def _distribute(relation: Relation, name: str) -> None:
        relation.distkey = relation.column(name).name
        relation.diststyle = f"KEY({name})"

    # DROP and the rest

    def _drop(self, r: Reader) -> None:
        kinds = {"table": "r", "view": "v"}
        kind = r.take().text.lower()
        exists = r.accept("if", "exists")
        if kind in kinds:
            while True:
                self._drop_relation(*r.dotted(), kind, exists, r)
                if not r.accept(","):
                    break
        elif kind == "schema":
            self._drop_schema(r.name(), exists, r.accept("cascade"))
            r.accept("restrict")
        elif kind in ("user", "group"):
            self._only_super()
            name = r.name()
            found = (name,) in self.connection.execute(f"SELECT name FROM _rs.{kind}s").fetchall()
            if not found and not exists:
                raise SqlError(f'{kind} "{name}" does not exist')
            if kind == "user" and any(x.owner == name for x in self.catalog.relations.values()):
                raise SqlError(f'user "{name}" cannot be dropped because some objects depend on it')
            self.connection.execute(f"DELETE FROM _rs.{kind}s WHERE name=?", [name])
            self.connection.execute(
                "DELETE FROM _rs.grants WHERE grantee=?", [name if kind == "user" else f"group {name}"]
            )
        else:
            raise refuse(f"DROP {kind.upper()}")
        r.accept("restrict")
        r.end()

    def _drop_relation(self, schema: str, name: str, kind: str, exists: bool, r: Reader) -> None:
        relation = self.catalog.find(schema, name.removeprefix("#"))
        cascade = "cascade" in [t.text.lower() for t in r.tokens[-2:]]
        if relation is None:
            if not exists:
                raise SqlError(f"{kind.capitalize()} {name} does not exist")
        elif relation.kind != {"table": "r", "view": "v"}[kind]:
            raise SqlError(f'"{name}" is not a {kind}')
        else:
            self.catalog.need_owner(relation)
            self._drop_dependents(relation, cascade)
            self._forget(relation)
        if cascade:
            r.accept("cascade")

    def _drop_dependents(self, relation: Relation, cascade: bool) -> None:
        """Views with schema binding stand on their tables. https://docs.aws.amazon.com/redshift/latest/dg/r_DROP_TABLE.html"""
        for view in self._standing(relation):
            if not cascade:
                text = f"cannot drop {'table' if relation.kind == 'r' else 'view'} {relation.name} because other"
                raise SqlError(f"{text} objects depend on it")
            self._drop_dependents(view, True)
            self._forget(view)

    def _forget(self, relation: Relation) -> None:
        self.catalog.remove(relation)
        if relation.kind == "r":
            self.connection.execute(f"DROP TABLE {relation.engine_name}")
        self.connection.execute(
            "DELETE FROM _rs.grants WHERE kind='table' AND object=?", [f"{relation.schema}.{relation.name}"]
        )

    def _drop_schema(self, name: str, exists: bool, cascade: bool) -> None:
        if name not in self.catalog.schemas():
            if exists:
                return
            raise SqlError(f'schema "{name}" does not exist')
        if self.catalog.schemas()[name] != self.catalog.user and not self.catalog.is_super:
            raise SqlError(f"must be owner of schema {name}")
        inside = [x for x in self.catalog.relations.values() if x.schema == name]
        if inside and not cascade:
            raise SqlError(f"cannot drop schema {name} because other objects depend on it")
        for relation in inside:
            if self.catalog.find(name, relation.name):
                self._drop_dependents(relation, True)
                self._forget(relation)
        self.connection.execute("DELETE FROM _rs.schemas WHERE name=?", [name])
        self.connection.execute("DELETE FROM _rs.grants WHERE kind='schema' AND object=?", [name])
        if name != "public":
            self.connection.execute(f"DROP SCHEMA {quoted(name)} CASCADE")

    def _truncate(self, r: Reader) -> None:
        """On Redshift TRUNCATE commits the transaction it stands in."""
        r.accept("table")
        relation = self.catalog.get(*r.dotted())
        r.end()
        if relation.kind != "r":
            raise SqlError(f'"{relation.name}" is not a table')
        self.catalog.need_owner(relation)
        self.connection.execute(f"DELETE FROM {relation.engine_name}")
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def _vacuum(self, r: Reader) -> None:
        """DuckDB keeps its files in order by itself: the statement is checked, and nothing is left to do."""
        r.accept("full") or r.accept("sort", "only") or r.accept("delete", "only") or r.accept("reindex") or r.accept(
            "recluster"
        )
        self._upkeep(r)

    def _analyze(self, r: Reader) -> None:
        if r.accept("compression"):
            raise refuse("ANALYZE COMPRESSION")
        r.accept("verbose")
        self._upkeep(r)

    def _upkeep(self, r: Reader) -> None:
        if r.kind in ("word", "quoted"):
            relation = self.catalog.get(*r.dotted())
            self.catalog.need_owner(relation)
            if r.peek() == "(":
                for name in r.names():
                    relation.column(name)
        if r.accept("to"):
            r.number()
            r.expect("percent")
        r.accept("boost")
        r.accept("predicate", "columns") or r.accept("all", "columns")
        r.end()

    def _comment(self, r: Reader) -> None:
        raise refuse("COMMENT")

    # Users and rights. https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html

    def _only_super(self) -> None:
        if not self.catalog.is_super:
            raise SqlError("permission denied: must be a superuser")

    def _create_user(self, r: Reader) -> None:
        self._only_super()
        name = r.name()
        r.accept("with")
        if name in self.catalog.users():
            raise SqlError(f'user "{name}" already exists')
        self.connection.execute("INSERT INTO _rs.users VALUES (?, false, [], NULL)", [name])
        self._user_options(r, name)

    def _alter_user(self, r: Reader) -> None:
        self._only_super()
        name = r.name()
        r.accept("with")
        if name not in self.catalog.users():
            raise SqlError(f'user "{name}" does not exist')
        self._user_options(r, name)

    def _user_options(self, r: Reader, name: str) -> None:
        while r.peek() not in ("", ";"):
            if r.accept("password"):
                password = None if r.accept("disable") else r.string()
                if password is not None:
                    self._check_password(password)
                kept = None if password is None else passwords.keep(password)
                self.connection.execute("UPDATE _rs.users SET password=? WHERE name=?", [kept, name])
            elif r.accept("in", "group"):
                for group in self._listed(r):
                    self._members(group, [name], True)
            elif r.peek() in ("createuser", "nocreateuser"):
                is_super = r.take().text.lower() == "createuser"
                self.connection.execute("UPDATE _rs.users SET super=? WHERE name=?", [is_super, name])
            elif r.accept("valid", "until"):
                r.string()
            elif r.accept("connection", "limit"):
                r.take()
            elif not (r.accept("createdb") or r.accept("nocreatedb") or r.accept("syslog", "access", "restricted")):
                raise r.error()
        r.end()

    @staticmethod
    def _check_password(password: str) -> None:
        """https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html"""
        if passwords.is_kept_form(password):
            return
        fits = 8 <= len(password) <= 64 and all(
            any(t(c) for c in password) for t in (str.isupper, str.islower, str.isdigit)
        )
        if not fits:
            text = "password must be 8 to 64 characters long and contain at least one uppercase letter, one lowercase"
            raise SqlError(f"{text} letter and one number")

    def _members(self, group: str, users: list[str], adds: bool) -> None:
        if (group,) not in self.connection.execute("SELECT name FROM _rs.groups").fetchall():
            raise SqlError(f'group "{group}" does not exist')
        for user in users:
            known = self.catalog.users()
            if user not in known:
                raise SqlError(f'user "{user}" does not exist')
            groups = [g for g in known[user][1] if g != group] + ([group] if adds else [])
            self.connection.execute("UPDATE _rs.users SET groups=? WHERE name=?", [groups, user])

    @staticmethod
    def _listed(r: Reader) -> list[str]:
        found = [r.name()]
        while r.accept(","):
            found.append(r.name())
        return found

    def _grant(self, r: Reader) -> None:
        self._rights(r, True)

    def _revoke(self, r: Reader) -> None:
        if r.accept("grant", "option", "for"):
            raise refuse("GRANT OPTION")
        self._rights(r, False)

    def _rights(self, r: Reader, gives: bool) -> None:
        privileges = []
        while True:
            privileges.append(r.take().text.lower())
            if r.peek() == "(":
                raise refuse("rights on single columns")
            if not r.accept(","):
                break
        if privileges == ["all"]:
            r.accept("privileges")
        r.expect("on")
        objects: list[tuple[str, str]] = []
        if r.accept("all", "tables", "in", "schema"):
            for schema in self._listed(r):
                if schema not in self.catalog.schemas():
                    raise SqlError(f'schema "{schema}" does not exist')
                objects += [("table", f"{s}.{n}") for s, n in self.catalog.relations if s == schema]
        elif r.accept("schema"):
            for schema in self._listed(r):
                if schema not in self.catalog.schemas():
                    raise SqlError(f'schema "{schema}" does not exist')
                objects.append(("schema", schema))
        elif r.peek() in ("database", "function", "procedure", "language", "all", "assumerole"):
            raise refuse(f"rights on a {r.peek()}")
        else:
            r.accept("table")
            while True:
                relation = self.catalog.get(*r.dotted())
                self.catalog.need_owner(relation)
                objects.append(("table", f"{relation.schema}.{relation.name}"))
                if not r.accept(","):
                    break
        r.expect("to" if gives else "from")
        grantees = []
        while True:
            if r.accept("public"):
                grantees.append("group public")
            elif r.accept("role"):
                raise refuse("roles")
            else:
                kind = "group" if r.accept("group") else "user"
                name = r.name()
                if (name,) not in self.connection.execute(f"SELECT name FROM _rs.{kind}s").fetchall():
                    raise SqlError(f'{kind} "{name}" does not exist')
                grantees.append(f"group {name}" if kind == "group" else name)
            if not r.accept(","):
                break
        if r.accept("with", "grant", "option"):
            raise refuse("GRANT OPTION")
        r.end()
        known = {"table": ("select", "insert", "update", "delete", "references", "drop"), "schema": ("usage", "create")}
        for kind, name in objects:
            for privilege in known[kind] if privileges == ["all"] else privileges:
                if privilege not in known[kind]:
                    raise SqlError(f"invalid privilege type {privilege.upper()} for {kind}")
                for grantee in grantees:
                    self.connection.execute(
                        "DELETE FROM _rs.grants WHERE kind=? AND object=? AND privilege=? AND grantee=?",
                        [kind, name, privilege, grantee],
                    )
                    if gives:
                        self.connection.execute(
                            "INSERT INTO _rs.grants VALUES (?,?,?,?)", [kind, name, privilege, grantee]
                        )


def _stored(kind: Type) -> Type:
    """The type that a column gets which a query makes."""
    return varchar() if kind.name == "unknown" else kind
