def price(code):
    return {"85123A": "2.55"}[code]
