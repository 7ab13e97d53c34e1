-- The star: one fact, a row an invoice line, and four dimensions around it. Redshift enforces no primary key; the merge
-- in merge_sales.sql is what keeps row_id unique. Dimensions are small: each node holds a whole copy (ALL). The fact is
-- spread by invoice, so that the lines of one invoice lie together, and sorted by day, so that a month is few blocks.
CREATE TABLE IF NOT EXISTS fact_sales (
    row_id      VARCHAR(64)   NOT NULL,
    invoice_no  VARCHAR(12)   NOT NULL,
    stock_code  VARCHAR(20)   NOT NULL,
    customer_id VARCHAR(12),
    country     VARCHAR(40)   NOT NULL,
    date_key    INTEGER       NOT NULL,
    invoiced_at TIMESTAMP     NOT NULL,
    quantity    INTEGER       NOT NULL,
    unit_price  DECIMAL(12,3) NOT NULL,
    revenue     DECIMAL(18,3) NOT NULL,
    is_return   BOOLEAN       NOT NULL,
    PRIMARY KEY (row_id)
)
DISTSTYLE KEY
DISTKEY (invoice_no)
SORTKEY (date_key);

CREATE TABLE IF NOT EXISTS dim_customer (
    customer_id   VARCHAR(12) NOT NULL,
    country       VARCHAR(40) NOT NULL,
    first_invoice TIMESTAMP   NOT NULL,
    last_invoice  TIMESTAMP   NOT NULL,
    PRIMARY KEY (customer_id)
)
DISTSTYLE ALL
SORTKEY (customer_id);

CREATE TABLE IF NOT EXISTS dim_product (
    stock_code   VARCHAR(20) NOT NULL,
    description  VARCHAR(255),
    described_by VARCHAR(64),
    PRIMARY KEY (stock_code)
)
DISTSTYLE ALL
SORTKEY (stock_code);

CREATE TABLE IF NOT EXISTS dim_date (
    date_key     INTEGER    NOT NULL,
    date         DATE       NOT NULL,
    year         INTEGER    NOT NULL,
    quarter      INTEGER    NOT NULL,
    month        INTEGER    NOT NULL,
    day          INTEGER    NOT NULL,
    weekday      INTEGER    NOT NULL,
    weekday_name VARCHAR(9) NOT NULL,
    PRIMARY KEY (date_key)
)
DISTSTYLE ALL
SORTKEY (date_key);

CREATE TABLE IF NOT EXISTS dim_country (
    country VARCHAR(40) NOT NULL,
    PRIMARY KEY (country)
)
DISTSTYLE ALL
SORTKEY (country);
