"""What runs on Spark: a package of scripts, each of them a job."""
