-- Which products bring the most revenue? Products have five digits; POST, DOT, M and their like are fees and corrections.
SELECT f.stock_code, p.description, SUM(f.quantity) AS quantity, SUM(f.revenue) AS revenue
FROM fact_sales AS f
JOIN dim_product AS p ON p.stock_code = f.stock_code
WHERE f.stock_code ~ '^[0-9]{5}'
GROUP BY f.stock_code, p.description
ORDER BY revenue DESC, f.stock_code
LIMIT 10;
