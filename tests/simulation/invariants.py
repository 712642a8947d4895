"""Register and check invariants, which must hold in every history after all faults have stopped.

To add an invariant, write a function of the world and the ledger that yields a sentence for each violation, in
the module ``…_invariants.py`` of its subject. Decorate it with ``@invariant`` (checked
when all faults have stopped) or ``@after_two_months``. ``evidence.py`` has the changes of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.acts import Ledger
from tests.simulation.world import World

Invariant = Callable[[World, Ledger], Iterator[str]]

_when_healed: list[Invariant] = []
_in_the_end: list[Invariant] = []


def invariant(check: Invariant) -> Invariant:
    """Check this function when all faults have stopped."""
    _when_healed.append(check)
    return check


def after_two_months(check: Invariant) -> Invariant:
    """Check this function two months later, when everything with a retention has expired."""
    _in_the_end.append(check)
    return check


def broken(world: World, ledger: Ledger) -> Iterator[str]:
    """Yield the violations, each with the name of its invariant."""
    for check in _when_healed:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))


def broken_in_the_end(world: World, ledger: Ledger) -> Iterator[str]:
    """Yield the violations two months later."""
    for check in _in_the_end:
        yield from (f"{check.__name__}: {problem}" for problem in check(world, ledger))
