-- How do the eight largest countries develop?
WITH largest AS (
    SELECT country
    FROM fact_sales
    GROUP BY country
    ORDER BY SUM(revenue) DESC, country
    LIMIT 8
)
SELECT d.year, d.month, f.country, SUM(f.revenue) AS revenue
FROM fact_sales AS f
JOIN largest AS l ON l.country = f.country
JOIN dim_date AS d ON d.date_key = f.date_key
GROUP BY d.year, d.month, f.country
ORDER BY d.year, d.month, f.country;
