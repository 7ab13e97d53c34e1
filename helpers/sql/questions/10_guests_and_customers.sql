-- How much is bought by guests, of whom no customer number is known, month by month?
SELECT d.year, d.month,
       SUM(CASE WHEN f.customer_id IS NULL THEN 0 ELSE f.revenue END) AS customers,
       SUM(CASE WHEN f.customer_id IS NULL THEN f.revenue ELSE 0 END) AS guests
FROM fact_sales AS f
JOIN dim_date AS d ON d.date_key = f.date_key
GROUP BY d.year, d.month
ORDER BY d.year, d.month;
