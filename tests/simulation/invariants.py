"""What has to hold once all has healed, whatever happened before.

To add one, write a function of the world and the ledger that yields a sentence for each thing that is wrong, in
``item_invariants.py``, ``message_invariants.py`` or ``picture_invariants.py``, and decorate it with ``@invariant``
(looked at when all has healed) or ``@in_the_end`` (two months later). ``evidence.py`` tells what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.clients import Ledger
from tests.simulation.world import World

Invariant = Callable[[World, Ledger], Iterator[str]]

_when_healed: list[Invariant] = []
_in_the_end: list[Invariant] = []


def invariant(check: Invariant) -> Invariant:
    """Looked at when all has healed."""
    _when_healed.append(check)
    return check


def in_the_end(check: Invariant) -> Invariant:
    """Looked at two months later, when all that is kept for a while is gone."""
    _in_the_end.append(check)
    return check


def broken(world: World, ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong, each with the name of its invariant."""
    for check in _when_healed:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))


def broken_in_the_end(world: World, ledger: Ledger) -> Iterator[str]:
    """The same, two months later."""
    for check in _in_the_end:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))
