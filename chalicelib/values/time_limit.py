"""A time limit for a function that waits for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def run_within(seconds: float, run: Callable[[], _Result], abort: Callable[[], object]) -> _Result:
    """Return what ``run`` returns. Raise what it raises, or TimeoutError after that many seconds.

    A socket timeout applies to each read, and not to name resolution. So ``run`` runs in a thread, which is abandoned
    at the deadline. ``abort`` is called then: it must make the thread end soon, for example by closing a connection.
    """
    results: list[_Result] = []
    failures: list[Exception] = []

    def run_in_thread() -> None:
        try:
            results.append(run())
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=run_in_thread, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if failures:
        raise failures[0]
    abort()
    raise TimeoutError(f"Not finished within {seconds} s.")
