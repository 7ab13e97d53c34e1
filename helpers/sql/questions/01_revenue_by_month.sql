-- How does revenue develop, month by month, and on how many invoices?
SELECT d.year, d.month,
       COUNT(DISTINCT f.invoice_no) AS invoices,
       COUNT(*) AS lines,
       SUM(f.quantity) AS quantity,
       SUM(f.revenue) AS revenue
FROM fact_sales AS f
JOIN dim_date AS d ON d.date_key = f.date_key
GROUP BY d.year, d.month
ORDER BY d.year, d.month;
