"""A start without garbage collection, as far as Python's is of no use then.

``app.py`` imports this before all else and calls :func:`over` at its end. What a start makes, it keeps: to look through
it for garbage 65 times took 7 % of a cold start.
"""

from __future__ import annotations

import gc

gc.disable()


def over() -> None:
    """What is there now is never looked through again (``gc.freeze``); what comes later is collected as ever."""
    gc.freeze()
    gc.enable()
