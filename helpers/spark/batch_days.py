"""The batch job's transformation on Spark: the same days, the same rows, the same figures as `batch-job`'s.

    spark-submit batch_days.py --days s3://bucket/days/ --out s3://bucket/spark/

`--days` holds date=…/*.jsonl, the parts that the regrouping made. Below `--out` it writes clean/ and aside/ (JSON lines
by date) and daily/ (one file). It is written for EMR Serverless (as its entry point) and as a Glue job; here it runs in
local mode, on copies of the files, for Spark's own wheel has no driver for s3://.

Nothing of it is Python at work on rows: all is Spark's own functions, so that Spark can spread it over many machines.
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html
"""

from __future__ import annotations

import argparse

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f

TEXTS = ("RowId", "InvoiceNo", "StockCode", "Country", "InvoiceDate", "Description", "CustomerID")
REQUIRED = TEXTS[:4]
PRICE = r"^-?\d{1,9}(\.\d{1,3}0*)?$"
MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$"
UNKNOWN = "unknown"


def read(spark: SparkSession, days: str) -> DataFrame:
    """(line, date), with the date out of the folder's name."""
    return spark.read.text(days).withColumnRenamed("value", "line").where(f.col("line") != "")


def parse(lines: DataFrame) -> DataFrame:
    """Each line with its fields, and `reason`: why it is set aside, or null."""
    fields = ", ".join(f"{name} STRING" for name in (*TEXTS, "UnitPrice"))
    whole = f.from_json("line", "Quantity INT")
    parsed = lines.withColumn("raw", f.from_json("line", f"{fields}, _corrupt_record STRING")).select(
        "line",
        "date",
        f.col("raw._corrupt_record").alias("broken"),
        *(f.nullif(f.trim(f"raw.{name}"), f.lit("")).alias(name) for name in TEXTS),
        f.col("raw.UnitPrice").alias("Price"),
        whole.getField("Quantity").alias("Quantity"),
    )
    reasons: list[tuple[Column, str]] = [
        (f.col("broken").isNotNull() | ~f.col("line").rlike(r"^\s*\{"), "no JSON object"),
        *((f.col("line").rlike(rf'"{name}"\s*:\s*[^"n\s]'), f"{name} is no text") for name in TEXTS),
        *((f.col(name).isNull(), f"{name} is missing") for name in REQUIRED),
        (
            ~f.coalesce(f.col("InvoiceDate").rlike(MOMENT), f.lit(False))
            | f.try_to_timestamp("InvoiceDate", f.lit("yyyy-MM-dd'T'HH:mm:ss")).isNull(),
            "InvoiceDate is no date",
        ),
        (f.col("Quantity").isNull(), "Quantity is no whole number"),
        (~f.coalesce(f.col("Price").rlike(PRICE), f.lit(False)), "UnitPrice is no price of up to three decimals"),
    ]
    reason: Column = f.lit(None).cast("string")
    for condition, text in reversed(reasons):
        reason = f.when(condition, text).otherwise(reason)
    return parsed.withColumn("reason", reason)


def transform(lines: DataFrame) -> tuple[DataFrame, DataFrame]:
    """(clean rows, what is set aside with its reason). A RowId counts once a day: the first line in the alphabet."""
    parsed = parse(lines).cache()
    price = f.col("Price").cast("decimal(12,3)")
    good = parsed.where("reason IS NULL").select(
        "line",
        "date",
        *TEXTS,
        "Quantity",
        price.alias("UnitPrice"),
        (price * f.col("Quantity")).cast("decimal(18,3)").alias("Revenue"),
        (f.col("Quantity") < 0).alias("IsReturn"),
    )
    content = f.struct(*(name for name in good.columns if name != "line"))
    one = Window.partitionBy("date", "RowId").orderBy("line")
    placed = good.withColumn("place", f.row_number().over(one)).withColumn(
        "same", content == f.first(content).over(one)
    )
    other = placed.where("place > 1 AND NOT same").select(
        "date", "line", f.lit("RowId is there with other content").alias("reason")
    )
    clean = placed.where("place = 1").drop("line", "place", "same")
    return clean, parsed.where("reason IS NOT NULL").select("date", "line", "reason").unionByName(other)


def daily(clean: DataFrame) -> DataFrame:
    """A line a day and country. A customer is new on the first of all days, in the country of the day's first row."""
    cancelled = f.col("InvoiceNo").startswith("C")
    sums = clean.groupBy("date", "Country").agg(
        f.count("*").alias("lines"),
        f.sum("Quantity").alias("quantity"),
        f.sum("Revenue").cast("decimal(20,3)").cast("string").alias("revenue"),
        f.countDistinct(f.when(~cancelled, f.col("InvoiceNo"))).alias("orders"),
        f.countDistinct(f.when(cancelled, f.col("InvoiceNo"))).alias("returns"),
    )
    buyers = (
        clean.where("CustomerID IS NOT NULL").groupBy("date", "CustomerID").agg(f.min_by("Country", "RowId").alias("c"))
    )
    first = buyers.withColumn("n", f.row_number().over(Window.partitionBy("CustomerID").orderBy("date")))
    new = first.where("n = 1").groupBy("date", f.col("c").alias("Country")).agg(f.count("*").alias("new_customers"))
    joined = sums.join(new, ["date", "Country"], "left").fillna(0, ["new_customers"])
    return joined.withColumnRenamed("Country", "country").orderBy("date", "country")


def main() -> None:
    parser = argparse.ArgumentParser(description="days of raw rows into clean rows and daily figures")
    parser.add_argument("--days", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    spark = (
        SparkSession.builder.appName("batch-days")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # date=unknown is a day as well
        .getOrCreate()
    )
    clean, aside = transform(read(spark, options.days))
    clean = clean.cache()
    shown = clean.withColumn("UnitPrice", f.col("UnitPrice").cast("string"))
    shown = shown.withColumn("Revenue", f.col("Revenue").cast("string"))
    keep_nulls = {"ignoreNullFields": "false"}
    shown.repartition("date").write.mode("overwrite").partitionBy("date").options(**keep_nulls).json(
        f"{options.out}/clean"
    )
    aside.coalesce(1).write.mode("overwrite").partitionBy("date").json(f"{options.out}/aside")
    daily(clean).coalesce(1).write.mode("overwrite").json(f"{options.out}/daily")
    spark.stop()


if __name__ == "__main__":
    main()
