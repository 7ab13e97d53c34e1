"""Random tests whose seed is printed, and can be set: WORKBOOK_SEED=123 pytest ...

In `make soak` there are more of them, from another seed each time. Otherwise the seed is always the same, so that a
change is what makes them fail.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import hypothesis

SOAK = os.environ.get("WORKBOOK_SOAK") == "1"
SEED = int(os.environ.get("WORKBOOK_SEED") or (random.SystemRandom().randrange(2**32) if SOAK else 20111209))


def seeded(examples: int, soak: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a hypothesis test `examples` times, `soak` times in a soak; pytest shows the seed of one that fails."""

    def wrap(test: Callable[..., Any]) -> Callable[..., Any]:
        settings = hypothesis.settings(
            max_examples=soak if SOAK else examples,
            print_blob=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        seeded_test: Callable[..., Any] = hypothesis.seed(SEED)(settings(test))

        def run(*args: Any, **kwargs: Any) -> None:
            print(f"WORKBOOK_SEED={SEED}")
            seeded_test(*args, **kwargs)

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return wrap
