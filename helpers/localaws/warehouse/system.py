"""Redshift's system views, as far as lessons and people who look around ask for them.

https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html
A view is filled when a query names it, from the catalogue and from the rows. One process holds all rows here; which
slice of a cluster would hold which is computed, by Redshift's rules of distribution and a hash of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .catalog import Catalog, Relation
from .sqltypes import Type, parse_type, quoted
from .values import quote

BLOCK = 1024 * 1024  # bytes: https://docs.aws.amazon.com/redshift/latest/dg/c_columnar_storage_disk_mem_mgmnt.html
_DATABASE = "current"


@dataclass(frozen=True)
class View:
    """A system view: its columns, and what makes its rows. `rows` gets the catalogue and the cluster's settings."""

    name: str
    columns: list[tuple[str, Type]]
    rows: Callable[[Catalog, dict[str, Any]], list[tuple[Any, ...]]] | str  # or a DuckDB table of ours

    def table(self, catalog: Catalog, settings: dict[str, Any]) -> str:
        """Fills a temporary table with the view's rows and returns its name."""
        names = ", ".join(f'"{n}" {t.engine}' for n, t in self.columns)
        if isinstance(self.rows, str):  # a user sees what is its own, a superuser all
            mine = "true" if catalog.is_super else f"username = {quote(catalog.user)}"
            return f"({self.rows} {'AND' if ' WHERE ' in self.rows else 'WHERE'} {mine})"
        catalog.connection.execute(f"CREATE OR REPLACE TEMP TABLE _system_{self.name} ({names})")
        if found := self.rows(catalog, settings):
            marks = ", ".join("?" * len(self.columns))
            catalog.connection.executemany(f"INSERT INTO _system_{self.name} VALUES ({marks})", found)
        return f"temp._system_{self.name}"


VIEWS: dict[str, View] = {}


def find(schema: str, name: str) -> View | None:
    """The view of that name; they live in pg_catalog, or in information_schema."""
    if schema == "information_schema":
        return VIEWS.get({"tables": "svv_tables", "columns": "svv_columns"}.get(name, ""))
    return VIEWS.get(name) if schema in ("", "pg_catalog") else None


def _view(name: str, columns: str) -> Callable[[Any], Any]:
    fields = [tuple(c.strip().split(" ", 1)) for c in columns.split(";")]

    def keep(rows: Any) -> Any:
        VIEWS[name] = View(name, [(n, parse_type(t)) for n, t in fields], rows)
        return rows

    return keep


def _visible(catalog: Catalog) -> list[Relation]:
    """What the user may know of: a superuser all, others what they own or may read."""
    every = catalog.relations.values()
    if catalog.is_super:
        return sorted(every, key=lambda r: (r.schema, r.name))
    mine = (r for r in every if r.owner == catalog.user or catalog.may("table", f"{r.schema}.{r.name}", "select"))
    return sorted(mine, key=lambda r: (r.schema, r.name))


def _count(catalog: Catalog, relation: Relation) -> int:
    return int(catalog.connection.execute(f"SELECT count(*) FROM {relation.engine_name}").fetchall()[0][0])


# Distribution. https://docs.aws.amazon.com/redshift/latest/dg/c_choosing_dist_sort.html


def slice_of(relation: Relation, slices: int) -> str:
    """DuckDB's SQL for the slice on which a row lies: EVEN deals rows out in turn, KEY by a hash of the column's value.

    Redshift does not tell its hash; equal values meet on one slice, as there, and NULLs too.
    """
    if relation.distkey:
        key = quoted(relation.distkey)
        key = f"rs_bare({key})" if relation.column(relation.distkey).type.is_text else key
        return f"CAST(coalesce(hash({key}), 0) % {slices} AS INTEGER)"
    return f"CAST(rowid % {slices} AS INTEGER)"


def rows_by_slice(catalog: Catalog, relation: Relation, slices: int, nodes: int) -> list[int]:
    """How many rows of a table each slice holds."""
    if "ALL" in relation.diststyle:  # a whole copy on the first slice of each node
        count = _count(catalog, relation)
        return [count if n % (slices // nodes) == 0 else 0 for n in range(slices)]
    sql = f"SELECT {slice_of(relation, slices)} AS s, count(*) FROM {relation.engine_name} GROUP BY 1"
    found = dict(catalog.connection.execute(sql).fetchall())
    return [int(found.get(n, 0)) for n in range(slices)]


_WIDTH = {"int2": 2, "int4": 4, "int8": 8, "float4": 4, "float8": 8, "bool": 1, "date": 4, "timestamp": 8, "time": 8,
          "timestamptz": 8}  # fmt: skip


def _bytes(catalog: Catalog, relation: Relation) -> list[float]:
    """Bytes of a value of each column, on average, without compression."""
    if not relation.columns:
        return []
    texts = ", ".join(
        f"coalesce(avg(strlen({quoted(c.name)})), 0) + 4" if c.type.is_text else str(_WIDTH.get(c.type.name, 16))
        for c in relation.columns
    )
    found = catalog.connection.execute(f"SELECT count(*), {texts} FROM {relation.engine_name}").fetchall()[0]
    return [float(v) for v in found[1:]]


@_view("stv_slices", "node integer; slice integer; localslice integer; type varchar(1)")
def _slices(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    per_node = settings["slices"] // settings["nodes"]
    return [(n // per_node, n, n % per_node, "D") for n in range(settings["slices"])]


@_view(
    "stv_tbl_perm",
    "slice integer; id integer; name varchar(72); rows bigint; sorted_rows bigint; temp integer; db_id integer",
)
def _tbl_perm(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (n, r.oid, r.name, rows, rows if r.sortkeys else 0, int(r.temporary), 100)
        for r in _visible(catalog)
        if r.kind == "r"
        for n, rows in enumerate(rows_by_slice(catalog, r, settings["slices"], settings["nodes"]))
    ]


@_view(
    "stv_blocklist",
    "slice integer; col integer; tbl integer; blocknum integer; num_values integer; minvalue bigint; maxvalue bigint",
)
def _blocklist(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Blocks of 1 MB with the smallest and largest value of each (zone maps), for numbers and dates, in sort order."""
    found: list[tuple[Any, ...]] = []
    for relation in _visible(catalog):
        if relation.kind == "r":
            for number, width in enumerate(_bytes(catalog, relation)):
                found += blocks(catalog, relation, number, int(BLOCK // max(width, 1)), settings)
    return found


def blocks(
    catalog: Catalog, relation: Relation, number: int, size: int, settings: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """The blocks of one column when each holds `size` values: slice, column, table, block, values, least, greatest."""
    column = relation.columns[number]
    spot = slice_of(relation, settings["slices"])
    if "ALL" in relation.diststyle:
        spot = f"unnest(range(0, {settings['slices']}, {settings['slices'] // settings['nodes']}))::INTEGER"
    order = ", ".join(quoted(k) for k in relation.sortkeys) or "rowid"
    value = quoted(column.name)
    if column.type.name == "date":
        value = f"date_diff('day', DATE '2000-01-01', {value})"
    elif column.type.name in ("timestamp", "timestamptz"):
        value = f"date_diff('microsecond', TIMESTAMP '2000-01-01', CAST({value} AS TIMESTAMP))"
    elif not column.type.is_integer:
        value = "NULL"
    sql = (
        f"SELECT s, {number}, {relation.oid}, CAST(b AS INTEGER), count(*), min(v), max(v) FROM (SELECT s, v, "
        f"(row_number() OVER (PARTITION BY s ORDER BY {order}) - 1) // {size} AS b FROM (SELECT {spot} AS s, "
        f"CAST({value} AS BIGINT) AS v, *, rowid FROM {relation.engine_name})) GROUP BY s, b ORDER BY s, b"
    )
    return catalog.connection.execute(sql).fetchall()


@_view("svv_diskusage", "name varchar(72); slice integer; col integer; tbl integer; blocknum integer; "
       "num_values integer; minvalue bigint; maxvalue bigint")  # fmt: skip
def _diskusage(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = {r.oid: r.name for r in catalog.relations.values()}
    return [(names[row[2]], *row) for row in _blocklist(catalog, settings)]


# Tables and columns


@_view(
    "svv_table_info",
    "database varchar(128); schema varchar(128); table_id integer; table varchar(128); encoded varchar(32); "
    "diststyle varchar(160); sortkey1 varchar(128); max_varchar integer; sortkey_num integer; size bigint; "
    "pct_used numeric(10,4); unsorted numeric(5,2); stats_off numeric(5,2); tbl_rows numeric(38,0); "
    "skew_rows numeric(19,2); estimated_visible_rows numeric(38,0)",
)
def _table_info(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Tables that hold rows: empty ones are not in it. `size` is in blocks of 1 MB."""
    found: list[tuple[Any, ...]] = []
    for relation in _visible(catalog):
        if relation.kind != "r" or relation.temporary or not (rows := _count(catalog, relation)):
            continue
        spread = rows_by_slice(catalog, relation, settings["slices"], settings["nodes"])
        copies = settings["nodes"] if "ALL" in relation.diststyle else 1
        used = sum(1 for n in spread if n)
        size = sum(max(used, int(width * rows * copies // BLOCK) + 1) for width in _bytes(catalog, relation))
        first = ("INTERLEAVED" if relation.interleaved else relation.sortkeys[0]) if relation.sortkeys else (
            "AUTO(SORTKEY)" if relation.sort_auto else None)  # fmt: skip
        longest = max([c.type.length for c in relation.columns if c.type.name == "varchar"], default=0)
        encoded = "Y" if any(c.encoding != "none" for c in relation.columns) else "N"
        skew = round(max(spread) / min(spread), 2) if "KEY" in relation.diststyle and min(spread) else None
        if "KEY" in relation.diststyle and not min(spread):
            skew = 100.0
        found.append(
            (settings["database"], relation.schema, relation.oid, relation.name, encoded, relation.diststyle, first,
             longest, len(relation.sortkeys), size, 0, 0 if relation.sortkeys else None, 0, rows, skew, rows)
        )  # fmt: skip
    return found


@_view(
    "pg_table_def",
    "schemaname varchar(128); tablename varchar(128); column varchar(128); type varchar(128); encoding varchar(32); "
    "distkey boolean; sortkey integer; notnull boolean",
)
def _table_def(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Tables of the schemas in the search path: of `public`."""
    return [
        (r.schema, r.name, c.name, str(c.type), c.encoding, c.name == r.distkey, _sort_place(r, c.name), c.not_null)
        for r in _visible(catalog)
        if r.kind == "r" and r.schema in ("public", "pg_temp")
        for c in r.columns
    ]


def _sort_place(relation: Relation, column: str) -> int:
    """1, 2, 3 …; for interleaved keys every second is negative."""
    if column not in relation.sortkeys:
        return 0
    place = relation.sortkeys.index(column) + 1
    return -place if relation.interleaved and place % 2 == 0 else place


@_view(
    "svv_columns",
    "table_catalog varchar(128); table_schema varchar(128); table_name varchar(128); column_name varchar(128); "
    "ordinal_position integer; column_default varchar(4000); is_nullable varchar(3); data_type varchar(128); "
    "character_maximum_length integer; numeric_precision integer; numeric_scale integer; remarks varchar(256)",
)
def _columns(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (settings["database"], r.schema, r.name, c.name, n, c.default or None, "NO" if c.not_null else "YES",
         str(c.type).partition("(")[0], c.type.length or None, c.type.precision or None,
         c.type.scale if c.type.name == "numeric" else None, None)
        for r in _visible(catalog)
        for n, c in enumerate(r.columns, 1)
    ]  # fmt: skip


@_view("svv_tables", "table_catalog varchar(128); table_schema varchar(128); table_name varchar(128); "
       "table_type varchar(128); remarks varchar(128)")  # fmt: skip
def _tables(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    kinds = {"r": "BASE TABLE", "v": "VIEW"}
    return [(settings["database"], r.schema, r.name, kinds[r.kind], None) for r in _visible(catalog)]


@_view("pg_tables", "schemaname varchar(128); tablename varchar(128); tableowner varchar(128)")
def _pg_tables(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(r.schema, r.name, r.owner) for r in _visible(catalog) if r.kind == "r"]


@_view("pg_views", "schemaname varchar(128); viewname varchar(128); viewowner varchar(128); definition varchar(65535)")
def _pg_views(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(r.schema, r.name, r.owner, r.sql) for r in _visible(catalog) if r.kind == "v"]


@_view("pg_user", "usename varchar(128); usesysid integer; usesuper boolean")
def _pg_user(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(n, 100 + i, s) for i, (n, (s, _)) in enumerate(catalog.users().items())]


@_view("pg_group", "groname varchar(128); grosysid integer")
def _pg_group(catalog: Catalog, settings: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = catalog.connection.execute("SELECT name FROM _rs.groups").fetchall()
    return [(n, 100 + i) for i, (n,) in enumerate(found)]


# Loads and queries: kept beside the transactions, so that what failed is in them, too

_LOAD = "userid integer; slice integer; tbl integer; starttime timestamp; session integer; query integer; "
_view(
    "stl_load_errors",
    _LOAD
    + "filename varchar(256); line_number bigint; colname varchar(127); type varchar(32); col_length varchar(10); "
    "position integer; raw_line varchar(1024); raw_field_value varchar(1024); err_code integer; "
    "err_reason varchar(100)",
)(
    "SELECT userid, slice, tbl, starttime, session, query, filename, line_number, colname, type, col_length, position, "
    "raw_line, raw_field_value, err_code, err_reason FROM _rs.load_errors"
)
_view(
    "sys_load_error_detail",
    "user_id integer; query_id bigint; table_id integer; start_time timestamp; file_name varchar(256); "
    "line_number bigint; column_name varchar(127); column_type varchar(10); column_length varchar(10); "
    "position integer; error_code integer; error_message varchar(512)",
)(
    "SELECT userid, CAST(query AS BIGINT), tbl, starttime, filename, line_number, colname, type, col_length, position, "
    "err_code, err_reason FROM _rs.load_errors"
)
_view(
    "sys_query_history",
    "query_id bigint; username varchar(128); query_type varchar(32); query_text varchar(4000); status varchar(10); "
    "start_time timestamp; end_time timestamp; elapsed_time bigint; returned_rows bigint; error_message varchar(512)",
)(
    "SELECT query_id, username, query_type, query_text, status, start_time, end_time, elapsed_time, returned_rows, "
    "error_message FROM _rs.queries"
)
_view("sys_load_history", "query_id bigint; status varchar(10); start_time timestamp; end_time timestamp; "
      "loaded_rows bigint; error_message varchar(512)")(
    "SELECT query_id, status, start_time, end_time, loaded_rows, error_message FROM _rs.queries "
    "WHERE query_type = 'COPY'"
)  # fmt: skip
