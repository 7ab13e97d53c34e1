-- What Firehose loads into: a column for each member of a row's JSON, all of them text, no keys, no constraints. It
-- takes whatever comes, duplicates too; what a value means is decided on the way from here into the star.
CREATE TABLE IF NOT EXISTS staging_sales (
    row_id       VARCHAR(64),
    invoice_no   VARCHAR(12),
    stock_code   VARCHAR(20),
    description  VARCHAR(255),
    quantity     VARCHAR(12),
    invoice_date VARCHAR(25),
    unit_price   VARCHAR(20),
    customer_id  VARCHAR(12),
    country      VARCHAR(40)
)
DISTSTYLE EVEN;
