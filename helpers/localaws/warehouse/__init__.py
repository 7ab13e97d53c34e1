"""Redshift and its Data API, answered by DuckDB in a process of its own.

In the lab's process:
    clusters.py    boto3's `redshift`: clusters and what can be done with them
    api.py         boto3's `redshift-data`: statements, their results and who may see them
    process.py     the engine's process behind a pipe
In the engine's:
    engine.py      sessions, transactions, one statement after the other
    parsing.py     Redshift's own statements: CREATE TABLE with its attributes, COPY, UNLOAD
    ddl.py         everything that defines, and rights
    passwords.py   kept as digests
    compiler.py    queries and changes, typed and written anew for DuckDB; all else is refused
    values.py      conversions, comparisons, arithmetic
    functions.py   the functions that there are
    loading.py     COPY and UNLOAD
    catalog.py     what is known of tables beyond their rows
    system.py      system views; what would lie on which slice
    sqltypes.py    Redshift's types
"""
