"""Redshift and its Data API, answered by DuckDB in a process of its own.

clusters.py   boto3's `redshift`: clusters and what can be done with them
api.py        boto3's `redshift-data`: statements, their results and who may see them
process.py    the engine's process behind a pipe, as the lab sees it
engine.py     that process: sessions, transactions, one statement after the other
catalog.py    what the engine knows of tables beyond DuckDB: keys, encodings, bytes of a VARCHAR, grants
sqltypes.py   Redshift's types
"""
