-- The schema that analysts and Tableau see: names that explain themselves, no keys to join, nothing to get wrong.
-- Tables may change behind it. Returns count: revenue is what remained after them.
CREATE SCHEMA IF NOT EXISTS bi;

-- One row an invoice line, with what is known about its product and its day.
CREATE OR REPLACE VIEW bi.sales AS
SELECT f.row_id, f.invoice_no, f.invoiced_at, d.date, d.year, d.month, d.weekday, d.weekday_name,
       f.country, f.customer_id, f.stock_code, p.description AS product,
       f.quantity, f.unit_price, f.revenue, f.is_return
FROM public.fact_sales AS f
JOIN public.dim_date AS d ON d.date_key = f.date_key
JOIN public.dim_product AS p ON p.stock_code = f.stock_code;

-- One row a month and country.
CREATE OR REPLACE VIEW bi.revenue_by_month_and_country AS
SELECT d.year, d.month, f.country,
       COUNT(DISTINCT f.invoice_no) AS invoices, COUNT(*) AS lines,
       SUM(f.quantity) AS quantity, SUM(f.revenue) AS revenue
FROM public.fact_sales AS f
JOIN public.dim_date AS d ON d.date_key = f.date_key
GROUP BY d.year, d.month, f.country;

-- One row a customer; guests have no number, and so no row.
CREATE OR REPLACE VIEW bi.customers AS
SELECT c.customer_id, c.country, c.first_invoice, c.last_invoice,
       COUNT(DISTINCT CASE WHEN NOT f.is_return THEN f.invoice_no END) AS invoices, SUM(f.revenue) AS revenue
FROM public.dim_customer AS c
JOIN public.fact_sales AS f ON f.customer_id = c.customer_id
GROUP BY c.customer_id, c.country, c.first_invoice, c.last_invoice;

-- One row a product, with what was sold of it and what came back.
CREATE OR REPLACE VIEW bi.products AS
SELECT p.stock_code, p.description AS product,
       SUM(CASE WHEN f.is_return THEN 0 ELSE f.quantity END) AS sold,
       SUM(CASE WHEN f.is_return THEN -f.quantity ELSE 0 END) AS returned,
       SUM(f.revenue) AS revenue
FROM public.dim_product AS p
JOIN public.fact_sales AS f ON f.stock_code = p.stock_code
GROUP BY p.stock_code, p.description;
