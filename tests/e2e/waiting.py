"""Waiting for what happens by itself: as long as it takes, within reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Seen = TypeVar("_Seen")


def eventually(look: Callable[[], _Seen | None], seconds: float = 30) -> _Seen:
    """What ``look`` finds, once it finds something. Raises AssertionError with what it saw last after ``seconds``."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"Nothing came of it within {seconds} s; last seen: {seen!r}"
        time.sleep(0.2)
    return seen
