PRICES = {"85123A": "2.55"}


def price(code):
    return PRICES[code]
