"""The exercises of notebook 06: each asks the warehouse, and looks at the delivery stream as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3
import pandas as pd

from helpers.checks import Wrong, exercise, published
from helpers.warehouse import QueryFailed, run


@exercise("06-1", hint="SELECT weekday_name, SUM(revenue) FROM bi.sales GROUP BY weekday_name, and take the largest.")
def best_weekday(answer: str) -> str:
    """The weekday with the most revenue, returns included."""
    found = _ask("SELECT weekday_name, SUM(revenue) AS r, SUM(CASE WHEN is_return THEN 0 ELSE revenue END) AS gross, "
                 "COUNT(*) AS n FROM bi.sales GROUP BY weekday_name")  # fmt: skip
    best = {
        column: str(found.loc[found[column].astype(float).idxmax(), "weekday_name"]) for column in ("r", "gross", "n")
    }
    given = answer.strip().capitalize()
    if given == best["r"]:
        return f"{given} brings the most revenue, returns included."
    if given not in set(found["weekday_name"]):
        raise Wrong(f"there is no {answer!r} among the weekdays of bi.sales; the answer is a name such as Monday.")
    if given == best["gross"]:
        raise Wrong(f"{given} sells the most, but what came back is left out: returns are part of the revenue.")
    if given == best["n"]:
        raise Wrong(f"{given} has the most lines, but not the most revenue: sum up the revenue, do not count.")
    raise Wrong(f"another day than {given} has more revenue.")


@exercise("06-2", hint="CREATE VIEW bi.returns_by_month AS SELECT … WHERE is_return …, and then a GRANT SELECT.")
def returns_by_month(answer: object) -> str:
    """The view has the right sums, as positive money, and the analyst may read it."""
    wanted = _ask("SELECT year, month, SUM(-revenue) AS returned FROM bi.sales WHERE is_return GROUP BY year, month")
    found = _ask("SELECT * FROM bi.returns_by_month")
    if missing := {"year", "month", "returned"} - set(found.columns):
        raise Wrong(f"bi.returns_by_month has no column {', '.join(sorted(missing))}.")
    right, given = _sums(wanted), _sums(found)
    if given != right and given == {place: -value for place, value in right.items()}:
        raise Wrong("the amounts are negative; wanted is what came back as a positive sum.")
    if len(found) > len(given):
        raise Wrong("a month is there more than once: GROUP BY year, month.")
    if given != right:
        raise Wrong("the amounts differ: sum up the revenue of the lines that are returns (is_return), and no others.")
    try:
        run("SELECT COUNT(*) AS n FROM bi.returns_by_month", DbUser="analyst")
    except QueryFailed as refused:
        raise Wrong(f"the view is right, but analyst may not read it: {refused.error}") from None
    return f"{len(given)} months of returns, and analyst may read them."


@exercise("06-3", hint="update_destination with RedshiftDestinationUpdate: S3Update has the BufferingHints.")
def larger_files(answer: object) -> str:
    """The delivery stream gathers 64 MB or 300 s, retries for an hour, and is otherwise what it was."""
    name = published("06")["delivery_stream"]
    described = boto3.client("firehose").describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    if described["DeliveryStreamType"] != "KinesisStreamAsSource":
        raise Wrong(f"{name} no longer reads the stream: it was made anew. Change it where it runs.")
    if described["VersionId"] == "1":
        raise Wrong("the delivery stream is in its first version still: nothing has been changed.")
    shown = described["Destinations"][0].get("RedshiftDestinationDescription")
    if shown is None:
        raise Wrong("it delivers to S3 only now; its destination must stay Redshift (RedshiftDestinationUpdate).")
    hints, retry = shown["S3DestinationDescription"]["BufferingHints"], shown["RetryOptions"]["DurationInSeconds"]
    if hints != {"SizeInMBs": 64, "IntervalInSeconds": 300}:
        raise Wrong(f"it gathers {hints['SizeInMBs']} MB or {hints['IntervalInSeconds']} s; wanted are 64 MB or 300 s.")
    if retry != 3600:
        raise Wrong(f"the files are right, but it retries for {retry} s; wanted is an hour.")
    if shown["S3DestinationDescription"]["CompressionFormat"] != "GZIP":
        raise Wrong("the files are no longer gzipped, and the COPY still says GZIP: every load will fail.")
    return "fewer and larger files, and an hour's patience with the cluster."


def _ask(sql: str) -> pd.DataFrame:
    try:
        return run(sql)
    except QueryFailed as refused:
        raise Wrong(f"Redshift says: {refused.error}") from None


def _sums(table: pd.DataFrame) -> dict[tuple[int, int], Decimal]:
    rows: list[dict[str, Any]] = table.to_dict("records")
    return {(int(row["year"]), int(row["month"])): Decimal(str(row["returned"])) for row in rows}
