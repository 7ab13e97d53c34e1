class OrderRejected(Exception):
    def __init__(self, order_id, reason):
        self.order_id = order_id
        super().__init__(f"Order {order_id} rejected: {reason}")


def validate(order):
    if order["quantity"] < 1:
        raise OrderRejected(order["id"], "quantity must be positive")


def handler(event, context):
    validate(event)
    return {"accepted": event["id"]}
