-- From staging into the star, in one transaction: all of it is there afterwards, or nothing has changed. It may run as
-- often as one likes, on the same rows too: a line is known by its row_id, and counts once.
-- MERGE takes a table, no query (https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html), and stops when two of
-- its rows match the same one: so each step first makes a table that holds every key once.
CREATE TEMP TABLE incoming AS
SELECT row_id,
       invoice_no,
       stock_code,
       NULLIF(TRIM(description), '') AS description,
       customer_id,
       country,
       EXTRACT(year FROM invoiced_at)::INTEGER * 10000
           + EXTRACT(month FROM invoiced_at)::INTEGER * 100
           + EXTRACT(day FROM invoiced_at)::INTEGER AS date_key,
       invoiced_at,
       quantity,
       unit_price,
       (quantity * unit_price)::DECIMAL(18,3) AS revenue,
       quantity < 0 AS is_return
FROM (
    SELECT row_id, invoice_no, stock_code, description, customer_id, country,
           invoice_date::TIMESTAMP AS invoiced_at,
           quantity::INTEGER AS quantity,
           unit_price::DECIMAL(12,3) AS unit_price,
           ROW_NUMBER() OVER (PARTITION BY row_id ORDER BY invoice_no, stock_code) AS n
    FROM staging_sales
) AS typed
WHERE n = 1;

MERGE INTO fact_sales
USING incoming
ON fact_sales.row_id = incoming.row_id
WHEN MATCHED THEN UPDATE SET
    invoice_no = incoming.invoice_no, stock_code = incoming.stock_code, customer_id = incoming.customer_id,
    country = incoming.country, date_key = incoming.date_key, invoiced_at = incoming.invoiced_at,
    quantity = incoming.quantity, unit_price = incoming.unit_price, revenue = incoming.revenue,
    is_return = incoming.is_return
WHEN NOT MATCHED THEN INSERT
    (row_id, invoice_no, stock_code, customer_id, country, date_key, invoiced_at, quantity, unit_price, revenue,
     is_return)
VALUES
    (incoming.row_id, incoming.invoice_no, incoming.stock_code, incoming.customer_id, incoming.country,
     incoming.date_key, incoming.invoiced_at, incoming.quantity, incoming.unit_price, incoming.revenue,
     incoming.is_return);

-- A customer is what all its lines in the fact say, not only those that have just come.
CREATE TEMP TABLE incoming_customers AS
SELECT customer_id, country, first_invoice, last_invoice
FROM (
    SELECT customer_id, country,
           MIN(invoiced_at) OVER (PARTITION BY customer_id) AS first_invoice,
           MAX(invoiced_at) OVER (PARTITION BY customer_id) AS last_invoice,
           ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY invoiced_at DESC, row_id DESC) AS place
    FROM fact_sales
    WHERE customer_id IN (SELECT customer_id FROM incoming)
) AS ranked
WHERE place = 1;

MERGE INTO dim_customer
USING incoming_customers
ON dim_customer.customer_id = incoming_customers.customer_id
WHEN MATCHED THEN UPDATE SET
    country = incoming_customers.country, first_invoice = incoming_customers.first_invoice,
    last_invoice = incoming_customers.last_invoice
WHEN NOT MATCHED THEN INSERT (customer_id, country, first_invoice, last_invoice)
VALUES (incoming_customers.customer_id, incoming_customers.country, incoming_customers.first_invoice,
        incoming_customers.last_invoice);

-- A product is called what the last of its lines that says anything calls it, in whatever order they come.
CREATE TEMP TABLE incoming_products AS
SELECT stock_code, description, CASE WHEN description IS NULL THEN '' ELSE row_id END AS described_by
FROM (
    SELECT stock_code, description, row_id,
           ROW_NUMBER() OVER (PARTITION BY stock_code
                              ORDER BY CASE WHEN description IS NULL THEN 1 ELSE 0 END, row_id DESC) AS place
    FROM incoming
) AS ranked
WHERE place = 1;

MERGE INTO dim_product
USING incoming_products
ON dim_product.stock_code = incoming_products.stock_code
WHEN MATCHED THEN UPDATE SET
    description = CASE WHEN incoming_products.described_by > dim_product.described_by
                       THEN incoming_products.description ELSE dim_product.description END,
    described_by = CASE WHEN incoming_products.described_by > dim_product.described_by
                        THEN incoming_products.described_by ELSE dim_product.described_by END
WHEN NOT MATCHED THEN INSERT (stock_code, description, described_by)
VALUES (incoming_products.stock_code, incoming_products.description, incoming_products.described_by);

CREATE TEMP TABLE incoming_dates AS
SELECT date_key, date, year, quarter, month, day, weekday,
       CASE weekday WHEN 1 THEN 'Monday' WHEN 2 THEN 'Tuesday' WHEN 3 THEN 'Wednesday' WHEN 4 THEN 'Thursday'
                    WHEN 5 THEN 'Friday' WHEN 6 THEN 'Saturday' ELSE 'Sunday' END AS weekday_name
FROM (
    SELECT DISTINCT date_key,
           invoiced_at::DATE AS date,
           EXTRACT(year FROM invoiced_at)::INTEGER AS year,
           EXTRACT(quarter FROM invoiced_at)::INTEGER AS quarter,
           EXTRACT(month FROM invoiced_at)::INTEGER AS month,
           EXTRACT(day FROM invoiced_at)::INTEGER AS day,
           CASE EXTRACT(dow FROM invoiced_at) WHEN 0 THEN 7 ELSE EXTRACT(dow FROM invoiced_at)::INTEGER END AS weekday
    FROM incoming
) AS days;

MERGE INTO dim_date
USING incoming_dates
ON dim_date.date_key = incoming_dates.date_key
WHEN MATCHED THEN UPDATE SET date = incoming_dates.date
WHEN NOT MATCHED THEN INSERT (date_key, date, year, quarter, month, day, weekday, weekday_name)
VALUES (incoming_dates.date_key, incoming_dates.date, incoming_dates.year, incoming_dates.quarter, incoming_dates.month,
        incoming_dates.day, incoming_dates.weekday, incoming_dates.weekday_name);

CREATE TEMP TABLE incoming_countries AS
SELECT DISTINCT country FROM incoming;

MERGE INTO dim_country
USING incoming_countries
ON dim_country.country = incoming_countries.country
WHEN MATCHED THEN UPDATE SET country = incoming_countries.country
WHEN NOT MATCHED THEN INSERT (country) VALUES (incoming_countries.country);

DROP TABLE incoming;
DROP TABLE incoming_customers;
DROP TABLE incoming_products;
DROP TABLE incoming_dates;
DROP TABLE incoming_countries;
