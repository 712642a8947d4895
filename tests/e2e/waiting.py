"""Wait for the result of asynchronous work, up to a timeout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Seen = TypeVar("_Seen")


def eventually(look: Callable[[], _Seen | None], seconds: float = 30) -> _Seen:
    """Return the first true result of ``look``; raise AssertionError with the last result after ``seconds``."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"Nothing came of it within {seconds} s; last seen: {seen!r}"
        time.sleep(0.2)
    return seen
