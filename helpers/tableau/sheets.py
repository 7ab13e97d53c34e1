"""What the workbook shows: the fields of the view bi.sales, what Tableau computes of them, and the sheets.

A sheet is said once, here: `workbook` writes it for Tableau, and `Sheet.sql` asks the extract the same question.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "federated.retail"  # the name of the one data source inside the files


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the extract, or, with a `formula`, one that Tableau computes; `sql` is the same for Hyper."""

    name: str
    caption: str
    datatype: str  # string | integer | real | boolean | datetime
    measure: bool = False
    formula: str = ""
    sql: str = ""

    @property
    def kind(self) -> str:
        if self.measure:
            return "quantitative"
        return "ordinal" if self.datatype in ("datetime", "integer") else "nominal"


# One line of an invoice each, as the view bi.sales shows it.
COLUMNS = (
    Field("row_id", "Row", "string"),
    Field("invoice_no", "Invoice", "string"),
    Field("stock_code", "Stock code", "string"),
    Field("product", "Product", "string"),
    Field("customer_id", "Customer", "string"),
    Field("country", "Country", "string"),
    Field("invoiced_at", "Time of sale", "datetime"),
    Field("quantity", "Quantity", "integer", measure=True),
    Field("unit_price", "Unit price", "real", measure=True),
    Field("revenue", "Revenue", "real", measure=True),
    Field("is_return", "Return", "boolean"),
)
CALCULATIONS = (
    Field(
        "Calculation_orders",
        "Orders",
        "integer",
        True,
        "COUNTD(IF NOT [is_return] THEN [invoice_no] END)",
        "COUNT(DISTINCT CASE WHEN NOT is_return THEN invoice_no END)",
    ),
    Field(
        "Calculation_customers",
        "Customers",
        "integer",
        True,
        "COUNTD(IF NOT [is_return] THEN [customer_id] END)",
        "COUNT(DISTINCT CASE WHEN NOT is_return THEN customer_id END)",
    ),
    Field(
        "Calculation_returned",
        "Returned share",
        "real",
        True,
        "-SUM(IF [is_return] THEN [revenue] ELSE 0 END) / SUM(IF [is_return] THEN 0 ELSE [revenue] END)",
        "-SUM(CASE WHEN is_return THEN revenue ELSE 0 END)::DOUBLE PRECISION "
        "/ NULLIF(SUM(CASE WHEN is_return THEN 0 ELSE revenue END)::DOUBLE PRECISION, 0)",
    ),
    Field(
        "Calculation_first",
        "First month",
        "datetime",
        formula="{FIXED [customer_id] : MIN(IF NOT [is_return] THEN DATETRUNC('month', [invoiced_at]) END)}",
        sql="MIN(CASE WHEN NOT is_return THEN DATE_TRUNC('month', invoiced_at) END) OVER (PARTITION BY customer_id)",
    ),
    Field(
        "Calculation_months",
        "Months since",
        "integer",
        formula="DATEDIFF('month', [Calculation_first], [invoiced_at])",
        sql='((EXTRACT(YEAR FROM invoiced_at) - EXTRACT(YEAR FROM "Calculation_first")) * 12 '
        '+ EXTRACT(MONTH FROM invoiced_at) - EXTRACT(MONTH FROM "Calculation_first"))',
    ),
)
FIELDS = {field.name: field for field in (*COLUMNS, *CALCULATIONS)}


# How a shelf uses a field -> Tableau's abbreviation in the name of the use, what kind of thing it then is, and the
# same in SQL.
_DERIVATIONS = {
    "None": ("none", "", "{}"),
    "Sum": ("sum", "quantitative", "SUM({})"),
    "User": ("usr", "quantitative", "{}"),  # a formula that aggregates by itself
    "Month-Trunc": ("tmn", "quantitative", "DATE_TRUNC('month', {})"),
    "Hour": ("hr", "ordinal", "EXTRACT(HOUR FROM {})"),
    "Weekday": ("wd", "ordinal", "EXTRACT(DOW FROM {})"),  # 0 is Sunday, as Tableau's week begins in the US
}


@dataclass(frozen=True, slots=True)
class Use:
    """A field on a shelf: `Use("revenue", "Sum")`."""

    field: str
    derivation: str = "None"

    @property
    def kind(self) -> str:
        return _DERIVATIONS[self.derivation][1] or FIELDS[self.field].kind

    @property
    def name(self) -> str:
        return f"[{_DERIVATIONS[self.derivation][0]}:{self.field}:{self.kind[0]}k]"

    @property
    def sql(self) -> str:
        field = FIELDS[self.field]
        return _DERIVATIONS[self.derivation][2].format(field.sql if self.derivation == "User" else f'"{field.name}"')

    @property
    def aggregates(self) -> bool:
        return self.derivation in ("Sum", "User")

    def __str__(self) -> str:
        return f"[{SOURCE}].{self.name}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: marks over rows and columns. `most` keeps that many of the rows' members, those with most revenue."""

    name: str
    mark: str  # Bar | Line | Square
    columns: Use
    rows: Use
    color: Use | None = None
    most: int = 0

    @property
    def sql(self) -> str:
        """The sheet's question to the extract, as Tableau asks it: columns "x", "y" and, if there is one, "color"."""
        uses = {"x": self.columns, "y": self.rows} | ({"color": self.color} if self.color else {})
        first, months = FIELDS["Calculation_first"], FIELDS["Calculation_months"]
        groups = ", ".join(use.sql for use in uses.values() if not use.aggregates)
        return (
            f'WITH dated AS (SELECT *, {first.sql} AS "{first.name}" FROM "Extract"."Extract"), '
            f'sales AS (SELECT *, {months.sql} AS "{months.name}" FROM dated) '
            f"SELECT {', '.join(f'{use.sql} AS {name}' for name, use in uses.items())} FROM sales GROUP BY {groups} "
            + (f"ORDER BY SUM(revenue) DESC, 1, 2 LIMIT {self.most}" if self.most else "ORDER BY 1, 2")
        )


REVENUE, _MONTH = Use("revenue", "Sum"), Use("invoiced_at", "Month-Trunc")
SHEETS = (
    Sheet("Revenue by month", "Line", _MONTH, REVENUE),
    Sheet("Revenue by country", "Bar", REVENUE, Use("country"), most=10),
    Sheet("Top products", "Bar", REVENUE, Use("product"), most=10),
    Sheet("Returned share by month", "Bar", _MONTH, Use("Calculation_returned", "User")),
    Sheet(
        "Orders by hour and weekday",
        "Square",
        Use("invoiced_at", "Hour"),
        Use("invoiced_at", "Weekday"),
        color=Use("Calculation_orders", "User"),
    ),
    Sheet(
        "Customers who come back",
        "Square",
        Use("Calculation_months"),
        Use("Calculation_first"),
        color=Use("Calculation_customers", "User"),
    ),
)
DASHBOARD = "Retail"
