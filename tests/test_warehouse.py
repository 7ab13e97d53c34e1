"""The Data API and the clusters: statements, results, who may see them, faults."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from warehouse_lab import Warehouse, warehouse


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("lab")) as made:
        yield made


def test_statements_results_and_their_types(w: Warehouse) -> None:
    w.run("CREATE TABLE typed (a INTEGER, b VARCHAR(5), c DECIMAL(12,3), d TIMESTAMP, e BOOLEAN, f DATE)")
    done = w.run(
        "INSERT INTO typed VALUES (1, 'x', 2.5, '2011-01-01 10:00', true, '2011-01-02'), "
        "(2, NULL, 3, NULL, false, NULL)"
    )
    assert done["ResultRows"] == 2 and not done["HasResultSet"]
    done = w.run("SELECT * FROM typed ORDER BY a")
    assert w.result(done["Id"]) == [
        (1, "x", "2.500", "2011-01-01 10:00:00", True, "2011-01-02"),
        (2, None, "3.000", None, False, None),
    ]
    described = w.data.get_statement_result(Id=done["Id"])["ColumnMetadata"]
    assert [c["typeName"] for c in described] == ["int4", "varchar", "numeric", "timestamp", "bool", "date"]
    assert (described[2]["precision"], described[2]["scale"]) == (12, 3)


def test_copies_json_csv_and_gzip(w: Warehouse) -> None:
    w.run("CREATE TABLE loaded (a INTEGER, b VARCHAR(5), c DECIMAL(12,3))")
    w.put("json/1", '{"a":1,"b":"x","c":1.25}{"a":2,"b":"y","c":2.50}\n{"a":3}')
    w.put("csv/1", 'a,b,c\r\n4,"x,y",2\r\n')
    w.put("gz/1", gzip.compress(b"5,z,\n"))
    assert w.run(f"COPY loaded FROM 's3://lab/json/' IAM_ROLE '{w.role}' FORMAT AS JSON 'auto'")["ResultRows"] == 3
    w.run("COPY loaded FROM 's3://lab/csv/' IAM_ROLE default CSV IGNOREHEADER 1")
    w.run("COPY loaded FROM 's3://lab/gz/' IAM_ROLE default CSV GZIP")
    assert w.rows("SELECT * FROM loaded ORDER BY a") == [
        (1, "x", "1.250"), (2, "y", "2.500"), (3, None, None), (4, "x,y", "2.000"), (5, "z", None),
    ]  # fmt: skip


def test_the_engine_starts_with_the_first_statement_only(tmp_path: Path) -> None:
    with warehouse(tmp_path / "lab") as made:
        assert made.engine() is None
        assert made.one("SELECT 1") == 1
        assert made.engine() is not None
