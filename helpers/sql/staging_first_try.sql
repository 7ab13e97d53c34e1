-- The staging table as it suggests itself when one looks at the first lines of the file.
CREATE TABLE IF NOT EXISTS staging_sales (
    row_id       VARCHAR(64),
    invoice_no   INTEGER,
    stock_code   VARCHAR(20),
    description  VARCHAR(255),
    quantity     INTEGER,
    invoice_date TIMESTAMP,
    unit_price   DECIMAL(12,3),
    customer_id  INTEGER,
    country      VARCHAR(40)
)
DISTSTYLE EVEN;
