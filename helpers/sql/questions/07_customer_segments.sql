-- Who are the customers? Recency, frequency and money (RFM): each customer gets 1 to 4 for each, by quarters.
WITH customers AS (
    SELECT customer_id,
           DATEDIFF(day, MAX(invoiced_at), (SELECT MAX(invoiced_at) FROM fact_sales)) AS days_ago,
           COUNT(DISTINCT invoice_no) AS invoices,
           SUM(revenue) AS revenue
    FROM fact_sales
    WHERE customer_id IS NOT NULL AND NOT is_return
    GROUP BY customer_id
),
scores AS (
    SELECT customer_id, revenue,
           NTILE(4) OVER (ORDER BY days_ago DESC, customer_id) AS recency,
           NTILE(4) OVER (ORDER BY invoices, revenue, customer_id) AS frequency,
           NTILE(4) OVER (ORDER BY revenue, customer_id) AS money
    FROM customers
)
SELECT CASE WHEN recency >= 3 AND frequency >= 3 THEN 'regulars'
            WHEN recency >= 3 THEN 'new or occasional'
            WHEN frequency >= 3 THEN 'about to be lost'
            ELSE 'lost' END AS segment,
       COUNT(*) AS customers,
       SUM(CASE WHEN money = 4 THEN 1 ELSE 0 END) AS big_spenders,
       SUM(revenue) AS revenue
FROM scores
GROUP BY 1
ORDER BY revenue DESC, segment;
