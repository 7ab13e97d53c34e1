-- When do people buy? Invoices by weekday and hour, without the cancellations.
SELECT d.weekday, d.weekday_name, EXTRACT(hour FROM f.invoiced_at)::INTEGER AS hour,
       COUNT(DISTINCT f.invoice_no) AS invoices
FROM fact_sales AS f
JOIN dim_date AS d ON d.date_key = f.date_key
WHERE NOT f.is_return
GROUP BY d.weekday, d.weekday_name, EXTRACT(hour FROM f.invoiced_at)::INTEGER
ORDER BY d.weekday, hour;
