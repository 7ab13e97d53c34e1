-- Do they come back? Customers by the month of their first purchase (cohort), and how many buy n months later.
WITH purchases AS (
    SELECT DISTINCT customer_id, DATE_TRUNC('month', invoiced_at) AS bought_in
    FROM fact_sales
    WHERE customer_id IS NOT NULL AND NOT is_return
),
cohorts AS (
    SELECT customer_id, MIN(bought_in) AS cohort
    FROM purchases
    GROUP BY customer_id
)
SELECT c.cohort::DATE AS cohort, DATEDIFF(month, c.cohort, p.bought_in) AS months_later, COUNT(*) AS customers
FROM purchases AS p
JOIN cohorts AS c ON c.customer_id = p.customer_id
GROUP BY c.cohort, DATEDIFF(month, c.cohort, p.bought_in)
ORDER BY cohort, months_later;
