-- Where does the revenue come from?
SELECT country,
       COUNT(DISTINCT customer_id) AS customers,
       COUNT(*) AS lines,
       SUM(quantity) AS quantity,
       SUM(revenue) AS revenue
FROM fact_sales
GROUP BY country
ORDER BY revenue DESC, country;
