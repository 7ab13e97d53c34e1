"""COPY and UNLOAD: formats, conversions, bad rows, and what the role may do.

https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from warehouse_lab import BUCKET, Warehouse, warehouse

from helpers.localaws.warehouse import loading
from helpers.localaws.warehouse.catalog import Column, Relation
from helpers.localaws.warehouse.sqltypes import SqlError, parse_type
from helpers.localaws.warehouse.values import MACROS

LOAD_FAILED = "ERROR: Load into table '{}' failed.  Check 'stl_load_errors' system table for details."
COLUMNS = "(a INT, b VARCHAR(5), c DECIMAL(8,2), d TIMESTAMP)"


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("lab")) as made:
        yield made


def table(w: Warehouse, name: str, columns: str = COLUMNS) -> str:
    w.run(f"DROP TABLE IF EXISTS {name}")
    w.run(f"CREATE TABLE {name} {columns}")
    return name


def copy(w: Warehouse, name: str, key: str, options: str, columns: str = "") -> int:
    sql = f"COPY {name} {columns} FROM 's3://{BUCKET}/{key}' IAM_ROLE '{w.role}' {options}"
    return int(w.run(sql)["ResultRows"])


def errors(w: Warehouse, name: str) -> list[tuple[object, ...]]:
    return w.rows(
        "SELECT line_number, colname, raw_field_value, err_code, err_reason FROM stl_load_errors "
        f"WHERE tbl = (SELECT table_id FROM svv_table_info WHERE \"table\" = '{name}') ORDER BY line_number"
    )


def test_csv_and_its_options(w: Warehouse) -> None:
    t = table(w, "t_csv")
    w.put("csv/1", 'a,b,c,d\r\n1,"x,""y",2.5,2010-12-01 08:26:00\r\n2,,,\r\n3,"  ",1,2010-12-01 08:26:00.5\r\n')
    assert copy(w, t, "csv/1", "CSV IGNOREHEADER 1") == 3
    assert w.rows(f"SELECT * FROM {t} ORDER BY a") == [
        (1, 'x,"y', "2.50", "2010-12-01 08:26:00"), (2, "", None, None), (3, "  ", "1.00", "2010-12-01 08:26:00.5"),
    ]  # fmt: skip
    for options, values in (("EMPTYASNULL", [None, "  "]), ("EMPTYASNULL BLANKSASNULL", [None, None])):
        t = table(w, "t_csv")
        copy(w, t, "csv/1", f"FORMAT AS CSV IGNOREHEADER 1 {options} COMPUPDATE OFF STATUPDATE ON")
        assert [b for (b,) in w.rows(f"SELECT b FROM {t} WHERE a > 1 ORDER BY a")] == values
    t = table(w, "t_csv")
    w.put("csv/2", "b;a\n'é;x';7\n\\N;8\n")
    assert copy(w, t, "csv/2", "CSV QUOTE AS '''' DELIMITER ';' IGNOREHEADER 1", "(b, a)") == 2
    assert w.rows(f"SELECT a, b FROM {t} ORDER BY a") == [(7, "é;x"), (8, None)]


def test_delimited_text(w: Warehouse) -> None:
    t = table(w, "t_text")
    w.put("text/1", "1|x|20.259|2010-12-01 08:26:00\n2|y|-20.259|\n")
    copy(w, t, "text/1", "")
    assert w.rows(f"SELECT c FROM {t} ORDER BY a") == [("20.25",), ("-20.25",)]  # COPY cuts digits beyond the scale
    copy(w, table(w, "t_text"), "text/1", "ROUNDEC DELIMITER '|'")
    assert w.rows(f"SELECT c FROM {t} ORDER BY a") == [("20.26",), ("-20.26",)]
    w.put("text/2", "1\ta\\|b\t1\t\n")
    w.put("text/3", "1|a\\|b|1|\n")
    copy(w, table(w, "t_text"), "text/2", "DELIMITER '\\t'")
    copy(w, t, "text/3", "ESCAPE")
    assert w.rows(f"SELECT b FROM {t} ORDER BY b") == [("a\\|b",), ("a|b",)]


def test_json_by_name_and_by_paths(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-json.html"""
    t = table(w, "t_json")
    w.put("json/1", '{"a":1,"b":"x","c":1.255,"extra":[1]}{"B":"no","a":2}\n\n{"a":3,"b":7.50,"c":"2","d":null}')
    assert copy(w, t, "json/1", "JSON 'auto'") == 3
    assert w.rows(f"SELECT a, b, c FROM {t} ORDER BY a") == [(1, "x", "1.25"), (2, None, None), (3, "7.50", "2.00")]
    copy(w, table(w, "t_json"), "json/1", "FORMAT AS JSON 'auto ignorecase'")
    assert w.rows(f"SELECT b FROM {t} WHERE a = 2") == [("no",)]
    w.put("json/2", '{"order":{"id":5,"items":[{"sku":"A"},{"sku":"B"}]},"at":"2011-01-01T10:00:00"}')
    w.put("paths", json.dumps({"jsonpaths": ["$.order.id", "$['order']['items'][1]['sku']", "$.none", "$.at"]}))
    copy(w, table(w, "t_json"), "json/2", f"JSON 's3://{BUCKET}/paths' TIMEFORMAT 'auto'")
    assert w.rows(f"SELECT * FROM {t}") == [(5, "B", None, "2011-01-01 10:00:00")]
    assert "Number of jsonpaths" in w.error(
        f"COPY {t} (a) FROM 's3://{BUCKET}/json/2' IAM_ROLE default JSON 's3://{BUCKET}/paths'"
    )
    w.put("json/3", '{"a":1}\n{"a": oops}\n{"a":2}\n')
    assert copy(w, table(w, "t_json"), "json/3", "JSON 'auto' MAXERROR 1") == 2
    assert [(line, code) for line, _, _, code, _ in errors(w, t)] == [(2, 1216)]
    exact = table(w, "t_exact", "(n DECIMAL(38,20), s VARCHAR(40))")
    w.put("json/4", '{"n":0.12345678901234567891,"s":12345678901234567890.10}')
    copy(w, exact, "json/4", "JSON 'auto'")
    assert w.rows(f"SELECT * FROM {exact}") == [("0.12345678901234567891", "12345678901234567890.10")]


def test_parquet_must_fit_the_table(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html"""
    t = table(w, "t_parquet")

    def parquet(sql: str) -> bytes:
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({sql}) TO '{w.folder}/one.parquet' (FORMAT parquet)")
        return (w.folder / "one.parquet").read_bytes()

    w.put("pq/1", parquet("SELECT 1::INT x, 'é' y, 2.5::DECIMAL(8,2) z, TIMESTAMP '2011-01-01' w"))
    assert copy(w, t, "pq/1", "FORMAT AS PARQUET") == 1
    assert w.rows(f"SELECT * FROM {t}") == [(1, "é", "2.50", "2011-01-01 00:00:00")]
    w.put("bad/1", parquet("SELECT 'text' x, 'é' y, 2.5::DECIMAL(8,2) z, TIMESTAMP '2011-01-01' w"))
    w.put("bad/2", parquet("SELECT 1::INT x"))
    copying = f"COPY {t} FROM 's3://{BUCKET}/bad/{{}}' IAM_ROLE default FORMAT AS PARQUET"
    assert "incompatible Parquet schema" in w.error(copying.format(1))
    assert "number of columns" in w.error(copying.format(2))
    assert w.one(f"SELECT COUNT(*) FROM {t}") == 1


def test_packed_files_prefixes_and_manifests(w: Warehouse) -> None:
    t = table(w, "t_many", "(a INT)")
    w.put("many/1.gz", gzip.compress(b"1\n"))
    w.put("many/2.gz", gzip.compress(b"2\n"))
    w.put("bz/1", bz2.compress(b"3\n"))
    assert copy(w, t, "many/", "CSV GZIP") == 2  # a prefix names all that begins so
    assert copy(w, t, "bz/1", "CSV BZIP2") == 1
    entries = [{"url": f"s3://{BUCKET}/many/2.gz", "mandatory": True}, {"url": f"s3://{BUCKET}/none"}]
    w.put("manifest", json.dumps({"entries": entries}))
    assert copy(w, t, "manifest", "CSV GZIP MANIFEST") == 1
    entries[1]["mandatory"] = True
    w.put("manifest", json.dumps({"entries": entries}))
    assert "Mandatory url is not found" in w.error(
        f"COPY {t} FROM 's3://{BUCKET}/manifest' IAM_ROLE default CSV GZIP MANIFEST"
    )
    assert "is not compressed" in w.error(f"COPY {t} FROM 's3://{BUCKET}/manifest' IAM_ROLE default CSV GZIP")
    assert w.error(f"COPY {t} FROM 's3://{BUCKET}/nothing' IAM_ROLE default CSV") == (
        "ERROR: The specified S3 prefix 'nothing' does not exist"
    )


TIMES = [
    ("12/1/2010 8:26", "TIMEFORMAT 'MM/DD/YYYY HH:MI'", "2010-12-01 08:26:00"),
    ("12/1/2010 8:26", "TIMEFORMAT 'auto'", "2010-12-01 08:26:00"),
    ("2010-12-01T08:26:00Z", "TIMEFORMAT 'auto'", "2010-12-01 08:26:00"),
    ("20101201 082600", "TIMEFORMAT 'auto'", "2010-12-01 08:26:00"),
    ("1291191960", "TIMEFORMAT 'epochsecs'", "2010-12-01 08:26:00"),
    ("1291191960500", "TIMEFORMAT 'epochmillisecs'", "2010-12-01 08:26:00.5"),
    ("01 Dec 2010 08:26 PM", "TIMEFORMAT 'DD MON YYYY HH12:MI AM'", "2010-12-01 20:26:00"),
]


@pytest.mark.parametrize(("text", "options", "value"), TIMES)
def test_formats_of_time(w: Warehouse, text: str, options: str, value: str) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_DATEFORMAT_and_TIMEFORMAT_strings.html"""
    t = table(w, "t_time", "(d TIMESTAMP)")
    w.put("time/1", text + "\n")
    copy(w, t, "time/1", f"CSV {options}")
    assert w.rows(f"SELECT d FROM {t}") == [(value,)]


# A line of four fields -> the column, the reason. https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
BAD = [
    ("C536379,x,1,", "a", 1207, "Invalid digit, Value 'C', Pos 0, Type: Integer"),
    ("1.5,x,1,", "a", 1207, "Invalid digit, Value '.', Pos 1, Type: Integer"),
    ("99999999999,x,1,", "a", 1204, "Overflow, Column type: Integer"),
    ("1,abcdef,1,", "b", 1204, "String length exceeds DDL length"),
    ("1,ééé,1,", "b", 1204, "String length exceeds DDL length"),
    ("1,x,12a,", "c", 1207, "Invalid digit, Value 'a', Pos 2, Type: Decimal"),
    ("1,x,1234567.00,", "c", 1204, "Overflow for NUMERIC(8,2)"),
    ("1,x,1,12/1/2010 8:26", "d", 1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"),
    ("1,x,1,2010-02-30 08:26:00", "d", 1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"),
    ("1,x,1", "", 1214, "Delimiter not found"),
    ("1,x,1,,5", "", 1202, "Extra column(s) found"),
]


@pytest.mark.parametrize(("line", "column", "code", "reason"), BAD)
def test_a_bad_row_is_named_and_nothing_is_loaded(w: Warehouse, line: str, column: str, code: int, reason: str) -> None:
    t = table(w, "t_bad")
    w.run(f"INSERT INTO {t} (a) VALUES (0)")
    w.put("bad/rows", f"1,x,1,\n{line}\n3,x,1,\n")
    assert w.error(f"COPY {t} FROM 's3://{BUCKET}/bad/rows' IAM_ROLE default CSV") == LOAD_FAILED.format(t)
    ((number, name, _, found, text),) = errors(w, t)
    assert (number, name, found, text) == (2, column, code, reason)
    assert w.one(f"SELECT COUNT(*) FROM {t}") == 1
    assert copy(w, t, "bad/rows", "CSV MAXERROR 1") == 2


def test_a_bad_file_among_good_ones(w: Warehouse) -> None:
    """Which file, which line, which field: and either all good rows are loaded or none."""
    t = table(w, "t_among")
    for n in range(4):
        w.put(f"among/{n}", "".join(f"{n}{i},x,1,\n" for i in range(50)) + ("C1,x,1,\nC2,x,1,\n" if n == 2 else ""))
    assert w.error(f"COPY {t} FROM 's3://{BUCKET}/among/' IAM_ROLE default CSV MAXERROR 1") == LOAD_FAILED.format(t)
    assert w.one(f"SELECT COUNT(*) FROM {t}") == 0
    assert copy(w, t, "among/", "CSV MAXERROR 2") == 200
    found = w.rows(
        "SELECT file_name, line_number, error_message FROM sys_load_error_detail WHERE query_id = "
        "(SELECT MAX(query_id) FROM sys_load_error_detail) ORDER BY line_number"
    )
    assert [(f, n) for f, n, _ in found] == [(f"s3://{BUCKET}/among/2", 51), (f"s3://{BUCKET}/among/2", 52)]
    assert w.rows("SELECT status, loaded_rows FROM sys_load_history ORDER BY query_id DESC LIMIT 1") == [
        ("success", 200)
    ]


def test_what_is_no_utf8(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html"""
    t = table(w, "t_bytes")
    w.put("bytes/1", b"1,\xa35,1,\n")
    w.error(f"COPY {t} FROM 's3://{BUCKET}/bytes/1' IAM_ROLE default CSV")
    w.run(f"INSERT INTO {t} (a) VALUES (0)")
    assert errors(w, t)[0][3:] == (
        1220, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: a3 (error 4)",
    )  # fmt: skip
    copy(w, t, "bytes/1", "CSV ACCEPTINVCHARS AS '^'")
    copy(w, t, "bytes/1", "CSV ENCODING AS ISO88591")
    assert w.rows(f"SELECT b FROM {t} WHERE a = 1 ORDER BY b") == [("^5",), ("£5",)]


def test_options_that_let_more_pass(w: Warehouse) -> None:
    t = table(w, "t_more")
    w.put("more/1", "1,abcdefgh,1,\n\n2,éééé\n3,x,1,nonsense\n")
    copy(w, t, "more/1", "CSV TRUNCATECOLUMNS FILLRECORD IGNOREBLANKLINES ACCEPTANYDATE DATEFORMAT 'auto'")
    assert w.rows(f"SELECT * FROM {t} ORDER BY a") == [
        (1, "abcde", "1.00", None), (2, "éé", None, None), (3, "x", "1.00", None),
    ]  # fmt: skip
    strict = table(w, "t_strict", "(a INT NOT NULL, b VARCHAR(5) DEFAULT 'd', k INT IDENTITY(1,1))")
    w.put("more/2", "1\n")
    copy(w, strict, "more/2", "CSV", "(a)")
    assert w.rows(f"SELECT * FROM {strict}") == [(1, "d", 1)]
    w.put("more/3", ",x\n")
    assert "failed" in w.error(f"COPY {strict} (a, b) FROM 's3://{BUCKET}/more/3' IAM_ROLE default CSV")
    assert errors(w, strict)[0][3:] == (1213, "Missing data for not-null field")


def test_the_role_must_be_the_clusters_and_may_what_it_may(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/copy-unload-iam-role.html"""
    t = table(w, "t_role", "(a INT)")
    w.put("role/1", "1\n")
    denied = w.make_role("WithoutS3")
    copying = f"COPY {t} FROM 's3://{BUCKET}/role/1' IAM_ROLE '{denied}' CSV"
    assert "not associated with the cluster" in w.error(copying)
    w.redshift.modify_cluster_iam_roles(ClusterIdentifier="workbook", AddIamRoles=[denied])
    text = w.error(copying)
    assert text.startswith("ERROR: S3ServiceException:") and "Status 403,Error AccessDenied" in text
    w.allow("WithoutS3", ["s3:ListBucket"], BUCKET)
    assert "Error AccessDenied" in w.error(copying)  # it may list, and not read
    w.allow("WithoutS3", ["s3:ListBucket", "s3:GetObject"], BUCKET)
    assert w.run(copying)["ResultRows"] == 1
    assert "Error AccessDenied" in w.error(
        f"UNLOAD ('SELECT * FROM {t}') TO 's3://{BUCKET}/role/out_' IAM_ROLE '{denied}' CSV"
    )
    w.allow("WithoutS3", ["s3:ListBucket", "s3:GetObject"], "gone-by-now")
    assert "Status 404,Error NoSuchBucket" in w.error(copying.replace(f"{BUCKET}/role", "gone-by-now/role"))
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    w.iam.update_assume_role_policy(
        RoleName="WithoutS3", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert f"is not authorized to assume IAM Role {denied}" in w.error(copying)
    assert "IAM_ROLE must be specified" in w.error(f"COPY {t} FROM 's3://{BUCKET}/role/1' CSV")
    assert w.one(f"SELECT COUNT(*) FROM {t}") == 1


def keys(w: Warehouse, prefix: str) -> list[str]:
    return [o["Key"] for o in w.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def body(w: Warehouse, key: str) -> bytes:
    found: bytes = w.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return found


def test_unload_as_text_and_csv(w: Warehouse) -> None:
    t, rows = table(w, "t_out"), "WHERE b <> ''z'' OR b IS NULL ORDER BY a"
    w.run(f"INSERT INTO {t} VALUES (1, 'a,b', 2.5, '2011-01-01'), (2, NULL, NULL, NULL)")
    unload = f"UNLOAD ('SELECT * FROM {t} {rows}') TO 's3://{BUCKET}/{{}}' IAM_ROLE default"
    w.run(unload.format("out/text_") + " PARALLEL OFF")
    assert body(w, "out/text_000") == b"1|a,b|2.50|2011-01-01 00:00:00\n2|||\n"
    w.run(unload.format("out/csv_") + " CSV HEADER PARALLEL OFF GZIP")
    assert gzip.decompress(body(w, "out/csv_000.gz")) == b'a,b,c,d\n1,"a,b",2.50,2011-01-01 00:00:00\n2,,,\n'
    w.run(unload.format("out/many_") + " CSV MANIFEST")
    files = [k for k in keys(w, "out/many_") if not k.endswith("manifest")]
    assert files == [f"out/many_{n:04}_part_00" for n in range(len(files))]
    listed = json.loads(body(w, "out/many_manifest"))["entries"]
    assert [e["url"] for e in listed] == [f"s3://{BUCKET}/{k}" for k in files]
    back = table(w, "t_back")
    assert copy(w, back, "out/many_manifest", "CSV MANIFEST EMPTYASNULL") == 2
    assert w.rows(f"SELECT * FROM {t} EXCEPT SELECT * FROM {back}") == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("ESCAPE", r"""a|b\||c
it's "x"\||2011-01-01 10:00:00.25|0.000000100
#||
"""),
        ("ESCAPE ADDQUOTES", r""""a"|"b\|"|"c"
"it\'s \"x\"\|"|"2011-01-01 10:00:00.25"|"0.000000100"
"#"||
"""),
        ("CSV", """a,b|,c
"it's ""x""|",2011-01-01 10:00:00.25,0.000000100
#,,
"""),
    ],
)  # fmt: skip
def test_what_unload_encloses_and_escapes(w: Warehouse, options: str, text: str) -> None:
    """Quotes are escaped with ADDQUOTES only, the header as the rows are, and CSV encloses what would end a field.

    https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html
    """
    t = table(w, "t_quoted", '(a VARCHAR(20), "b|" TIMESTAMP, c DECIMAL(12,9))')
    w.run(f"INSERT INTO {t} VALUES ('it''s \"x\"|', '2011-01-01 10:00:00.25', 0.0000001), ('#', NULL, NULL)")
    place = f"'s3://{BUCKET}/quoted/{options.replace(' ', '_')}_' IAM_ROLE default"
    w.run(f"UNLOAD ('SELECT * FROM {t} ORDER BY a DESC') TO {place} HEADER PARALLEL OFF {options}")
    assert body(w, f"quoted/{options.replace(' ', '_')}_000").decode() == text


@pytest.mark.parametrize(
    ("query", "options", "text"),
    [
        ("SELECT a FROM {} LIMIT 1", "", "LIMIT clause in its outer SELECT"),
        ("SELECT a FROM {}", "PARQUET GZIP", "GZIP cannot be used with PARQUET"),
        ("SELECT a FROM {}", "ALLOWOVERWRITE CLEANPATH", "CLEANPATH cannot be used with ALLOWOVERWRITE"),
        ("SELECT a FROM {}", "CSV MAXFILESIZE 1 MB", "between 5 MB and 6.2 GB"),
        ("SELECT REPEAT('x', 60000) FROM {}, {} b, {} c", "CSV PARALLEL OFF MAXFILESIZE 5", "several files of a slice"),
        ("SELECT a FROM {}", "PARQUET PARTITION BY (a)", "needs a column that is no partition column"),
        ("SELECT a FROM {}", "ZSTD", "UNLOAD with ZSTD"),
        ("SELECT a FROM {}", "CSV IGNOREHEADER 1", 'syntax error at or near "ignoreheader"'),
        ("SELECT a FROM {}", "MANIFEST VERBOSE", "UNLOAD with MANIFEST VERBOSE"),
        ("SELECT a::FLOAT FROM {}", "CSV", "floating-point numbers as text"),
    ],
)
def test_unload_refuses(w: Warehouse, query: str, options: str, text: str) -> None:
    t = table(w, "t_not_out", "(a INT)")
    w.run(f"INSERT INTO {t} VALUES {', '.join(['(1)'] * 5)}")
    sql = query.replace("{}", t).replace("'", "''")
    assert text in w.error(f"UNLOAD ('{sql}') TO 's3://{BUCKET}/not_out/' IAM_ROLE default {options}")
    assert keys(w, "not_out/") == []
    assert 'near "parallel"' in w.error(f"COPY {t} FROM 's3://{BUCKET}/x' IAM_ROLE default CSV PARALLEL OFF")


def test_what_unload_escapes_copy_takes_back(w: Warehouse) -> None:
    """A line's end too: https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-conversion.html#copy-escape"""
    t, back = table(w, "t_there", "(a INT, b VARCHAR(20))"), table(w, "t_and_back", "(a INT, b VARCHAR(20))")
    w.run(f"INSERT INTO {t} VALUES (1, 'a|b'), (2, 'c\\nd'), (3, 'e\\\\'), (4, '\\\\\\n')")
    w.run(f"UNLOAD ('SELECT * FROM {t} ORDER BY a') TO 's3://{BUCKET}/there/' IAM_ROLE default ESCAPE PARALLEL OFF")
    assert body(w, "there/000") == b"1|a\\|b\n2|c\\\nd\n3|e\\\\\n4|\\\\\\\n\n"
    assert copy(w, back, "there/", "ESCAPE") == 4
    assert w.rows(f"SELECT b FROM {back} ORDER BY a") == [("a|b",), ("c\nd",), ("e\\",), ("\\\n",)]


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("1,x", "CSV ESCAPE", "CSV cannot be used with ESCAPE"),
        ("1|x", "QUOTE 'q'", "QUOTE can be used with CSV only"),
        ("1|x\0y", "", "a file with NUL characters"),
        ('{"a":1,"b":"x",}', "JSON 'auto'", "failed"),
        ('{"a":1,"b":NaN}', "JSON 'auto'", "failed"),
    ],
)
def test_copy_refuses(w: Warehouse, text: str, options: str, error: str) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html"""
    t = table(w, "t_not_in", "(a INT, b VARCHAR(20))")
    w.put("not_in/1", text)
    assert error in w.error(f"COPY {t} FROM 's3://{BUCKET}/not_in/' IAM_ROLE default {options}")
    assert w.rows(f"SELECT * FROM {t}") == []


def test_a_null_becomes_the_default_of_a_column_that_takes_none(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html#alter-table-default"""
    columns = "a INT NOT NULL DEFAULT 7, b VARCHAR(5) NOT NULL DEFAULT 'none', c INT DEFAULT 3"
    t = table(w, "t_default", f"({columns})")
    w.put("default/1", "1,x,2\n,\\N,\n")
    assert copy(w, t, "default/", "CSV") == 2
    w.put("default/2", "2,,x\n,,5\n")
    assert copy(w, t, "default/2", "CSV EMPTYASNULL MAXERROR 1") == 1
    assert w.rows(f"SELECT * FROM {t} ORDER BY c, a") == [(1, "x", 2), (7, "none", 5), (7, "none", None)]
    when = table(w, "t_when", "(a INT, at TIMESTAMP NOT NULL DEFAULT GETDATE())")
    w.put("when/1", "1,\n")
    assert copy(w, when, "when/", "CSV") == 1
    assert w.one(f"SELECT DATEDIFF(minute, at, GETDATE()) FROM {when}") in (0, 1)


def test_a_char_holds_single_bytes(w: Warehouse) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html"""
    t = table(w, "t_single", "(a INT, c CHAR(6))")
    w.put("single/1", "1,été\n2,abc\n")
    assert copy(w, t, "single/", "CSV MAXERROR 1") == 1
    assert w.rows(
        "SELECT err_code, err_reason FROM stl_load_errors WHERE colname = 'c' ORDER BY query DESC LIMIT 1"
    ) == [(1220, "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: c3 a9")]
    assert w.rows(f"SELECT a FROM {t}") == [(2,)]
    w.put("single/2", "12x,été\n")
    copy(w, t, "single/2", "CSV MAXERROR 1")
    told = "SELECT colname, position, raw_line FROM stl_load_errors WHERE filename LIKE '%/single/_' ORDER BY 1 DESC"
    assert w.rows(told) == [("c", 0, "1,.t."), ("a", 2, "12x,.t.")]  # r_STL_LOAD_ERRORS


@pytest.mark.parametrize("value", ["soon", "1" + "0" * 18, "1" + "0" * 20, "Infinity", "NaN"])
def test_epochs_that_are_none_are_bad_rows(w: Warehouse, value: str) -> None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_DATEFORMAT_and_TIMEFORMAT_strings.html"""
    t = table(w, "t_epoch", "(at TIMESTAMP)")
    w.run(f"TRUNCATE {t}")
    w.put("epochs/1", f"{value}\n1700000000\n")
    assert copy(w, t, "epochs/", "CSV TIMEFORMAT 'epochsecs' MAXERROR 1") == 1
    assert w.one(f"SELECT TO_CHAR(at, 'YYYY-MM-DD') FROM {t}") == "2023-11-14"


def test_a_load_error_names_the_type_as_the_catalog_does(w: Warehouse) -> None:
    """r_STL_LOAD_ERRORS: `type` and `col_length` are character(10);
    github.com/transferwise/pipelinewise-target-redshift issue 8 shows a row: "numeric", "18, 0"."""
    t = table(w, "t_kinds", "(n DECIMAL(18,0), i INT, v VARCHAR(3))")
    w.put("kinds/1", "x,1,a\n1,x,a\n1,1,abcd\n")
    copy(w, t, "kinds/", "CSV MAXERROR 3")
    told = "SELECT colname, type, col_length FROM stl_load_errors WHERE filename LIKE '%/kinds/1' ORDER BY line_number"
    assert w.rows(told) == [("n", "numeric", "18, 0"), ("i", "int4", ""), ("v", "varchar", "3")]


def test_unload_never_overwrites_unasked(w: Warehouse) -> None:
    t = table(w, "t_over", "(a INT)")
    w.run(f"INSERT INTO {t} VALUES (1)")
    w.put("over/000", "old")
    w.put("over/999", "old")
    unload = f"UNLOAD ('SELECT * FROM {t}') TO 's3://{BUCKET}/over/' IAM_ROLE default PARALLEL OFF"
    assert "Specified unload destination on S3 is not empty" in w.error(unload)
    assert body(w, "over/000") == b"old"
    w.run(unload + " ALLOWOVERWRITE")
    assert (body(w, "over/000"), body(w, "over/999")) == (b"1\n", b"old")
    w.run(unload + " CLEANPATH")
    assert keys(w, "over/") == ["over/000"]


def test_unload_as_parquet_and_by_partition(w: Warehouse) -> None:
    t = table(w, "t_lake")
    w.run(f"INSERT INTO {t} VALUES (1, 'UK', 2.5, '2011-01-01'), (2, 'EIRE', 1, NULL), (3, NULL, 7, NULL)")
    w.run(f"UNLOAD ('SELECT * FROM {t}') TO 's3://{BUCKET}/lake/' IAM_ROLE default PARQUET PARTITION BY (b)")
    found = keys(w, "lake/")
    assert {k.split("/")[1] for k in found} == {"b=UK", "b=EIRE", "b=__HIVE_DEFAULT_PARTITION__"}
    assert all(k.endswith(".parquet") for k in found)
    key = next(k for k in found if "b=UK" in k)
    (w.folder / "back.parquet").write_bytes(io.BytesIO(body(w, key)).getvalue())
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT a, c FROM '{w.folder}/back.parquet'").fetchall()
        names = [d[0] for d in connection.execute(f"FROM '{w.folder}/back.parquet'").description or ()]
    assert [(a, str(c)) for a, c in rows] == [(1, "2.50")] and names == ["a", "c", "d"]


KINDS = ["int", "smallint", "bigint", "decimal(8,2)", "decimal(18,0)", "varchar(5)", "char(4)", "bool", "float", "date"]
KINDS += ["timestamp"]
PIECES = [
    "",
    " ",
    "0",
    "1",
    "12",
    "-3",
    "+4",
    ".5",
    "1.",
    "1.25",
    "2.555",
    "-0.005",
    "1e3",
    "99999",
    "2147483648",
    "x",
    "é",
]
PIECES += [
    "abcdef",
    "ab ",
    "t",
    "TRUE",
    "no",
    "y",
    "2010-12-01",
    "2010-2-3",
    "2010-12-01 08:26:00",
    "2010-12-01T08:26:00",
]
PIECES += [
    "2010-12-01 08:26:00.123",
    "12/1/2010 8:26",
    "\\N",
    "NaN",
    "Infinity",
    "1,5",
    "'",
    "0x10",
    "1_000",
    "٣",
    "\t",
    "null",
]
OPTIONS = [{}, {"emptyasnull": ""}, {"blanksasnull": ""}, {"timeformat": "auto", "dateformat": "auto"}, {"roundec": ""}]


def test_the_fast_way_and_the_slow_way_agree(tmp_path: Path) -> None:
    """Every field is loaded by both with the same value, or refused by both: DuckDB's readers must not be laxer."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS stage")
    connection.execute(MACROS)
    taken = 0
    for number, kind in enumerate(KINDS):
        column = Column("c", parse_type(kind))
        for options in OPTIONS:
            for piece in PIECES:
                file = tmp_path / "one.csv"
                file.write_text('"' + piece.replace('"', '""') + '"\n' if piece != "\\N" else "\\N\n")
                found = []
                for slowly in (False, True):
                    relation = Relation("public", "t", "r", [column], "admin", oid=number)
                    load = loading.Load(relation, [column], "s3://b/k", {"format": "csv", **options})
                    try:
                        if slowly:
                            loading._slow(load, [("s3://b/k", file)], connection, None, tmp_path)
                        elif not loading._fast(load, [file], connection, None):
                            raise SqlError("refused")
                        found.append(connection.execute("SELECT c FROM stage.main.loaded").fetchall())
                    except SqlError:
                        found.append([("refused",)])
                fast, slow = found
                # What the fast way gives up is the slow way's to decide; what it takes must be the same.
                assert fast == slow or fast == [("refused",)], (kind, options, piece, fast, slow)
                taken += fast == slow
    assert taken > len(KINDS) * len(OPTIONS) * len(PIECES) * 0.9
