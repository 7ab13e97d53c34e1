-- Which of the products that sell well come back? Returns are lines with a negative quantity.
SELECT f.stock_code, p.description,
       SUM(CASE WHEN f.is_return THEN 0 ELSE f.quantity END) AS sold,
       SUM(CASE WHEN f.is_return THEN -f.quantity ELSE 0 END) AS returned,
       ROUND(100.0 * SUM(CASE WHEN f.is_return THEN -f.quantity ELSE 0 END)
             / SUM(CASE WHEN f.is_return THEN 0 ELSE f.quantity END), 1)::DECIMAL(9,1) AS percent_returned
FROM fact_sales AS f
JOIN dim_product AS p ON p.stock_code = f.stock_code
WHERE f.stock_code ~ '^[0-9]{5}' AND f.unit_price > 0
GROUP BY f.stock_code, p.description
HAVING SUM(CASE WHEN f.is_return THEN 0 ELSE f.quantity END) >= 20
   AND SUM(CASE WHEN f.is_return THEN -f.quantity ELSE 0 END) > 0
ORDER BY percent_returned DESC, f.stock_code
LIMIT 10;
