"""Handlers that are not plain functions."""

import asyncio
import functools


class Handler:
    def __init__(self, currency):
        self.currency = currency
        self.calls = 0

    def __call__(self, event, context):
        self.calls += 1
        return f"{event['amount']} {self.currency} ({self.calls})"

    def method(self, event, context):
        return self(event, context)

    @staticmethod
    def static(event, context):
        return "static"


instance = Handler("GBP")
bound = Handler("EUR").method
static = Handler.static

arrow = lambda event, context: event["amount"] * 2  # noqa: E731


def with_prefix(prefix, event, context):
    return prefix + str(event["amount"])


partial = functools.partial(with_prefix, "GBP ")


def logged(function):
    @functools.wraps(function)
    def wrapper(event, context):
        print(f"calling {function.__name__}")
        try:
            return function(event, context)
        finally:
            print(f"called {function.__name__}")

    return wrapper


@logged
def decorated(event, context):
    return event["amount"] + 1


def varargs(*args, **kwargs):
    return [len(args), sorted(kwargs)]


def generator(event, context):
    yield from range(3)


async def coroutine(event, context):
    return "never awaited"


async def fetch(number):
    await asyncio.sleep(0.01)
    return number * number


def run_async(event, context):
    async def all_of_them():
        return await asyncio.gather(*(fetch(n) for n in event["numbers"]))

    return asyncio.run(all_of_them())


def no_arguments():
    return "never called"
