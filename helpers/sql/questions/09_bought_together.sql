-- Which products are bought together? Pairs on the same invoice, among the 50 products that are on the most invoices.
WITH popular AS (
    SELECT stock_code
    FROM fact_sales
    WHERE NOT is_return AND stock_code ~ '^[0-9]{5}'
    GROUP BY stock_code
    ORDER BY COUNT(DISTINCT invoice_no) DESC, stock_code
    LIMIT 50
),
baskets AS (
    SELECT DISTINCT f.invoice_no, f.stock_code
    FROM fact_sales AS f
    JOIN popular AS p ON p.stock_code = f.stock_code
    WHERE NOT f.is_return
)
SELECT a.stock_code AS stock_code_1, pa.description AS product_1,
       b.stock_code AS stock_code_2, pb.description AS product_2,
       COUNT(*) AS invoices
FROM baskets AS a
JOIN baskets AS b ON b.invoice_no = a.invoice_no AND a.stock_code < b.stock_code
JOIN dim_product AS pa ON pa.stock_code = a.stock_code
JOIN dim_product AS pb ON pb.stock_code = b.stock_code
GROUP BY a.stock_code, pa.description, b.stock_code, pb.description
ORDER BY invoices DESC, stock_code_1, stock_code_2
LIMIT 10;
