"""One history: clients act while calls fail, then all faults stop, and invariants are checked."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any, NamedTuple

from tests.simulation import (
    delivery_invariants,  # noqa: F401 - registers its invariants
    event_invariants,  # noqa: F401 - registers its invariants
    export_invariants,
    invariants,
    item_invariants,  # noqa: F401 - registers its invariants
    message_invariants,
    picture_invariants,  # noqa: F401 - registers its invariants
    share_invariants,  # noqa: F401 - registers its invariants
)
from tests.simulation.acts import OWNERS, Ledger
from tests.simulation.clients import Client
from tests.simulation.timeline import HOUR, START
from tests.simulation.world import World

DAY = 24 * HOUR


class Outcome(NamedTuple):
    """The result of a history."""

    seed: int
    problems: list[str]
    trace: list[tuple[Any, ...]]

    @property
    def digest(self) -> str:
        """Return a digest that is equal for two histories with the same events."""
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()

    def report(self, lines: int = 60, *, whole: bool = False) -> str:
        """Return a report: what is wrong, the last events related to it, and how to run the history again."""
        events = self.trace if whole else self._about()[-lines:]
        return "\n".join(
            (
                f"History {self.seed} violates {len(self.problems)} invariant(s):",
                *(f"  - {problem}" for problem in self.problems),
                f"{len(events)} of its {len(self.trace)} events:",
                *(_line(event) for event in events),
                f"Run it again: make simulate SEED={self.seed} HISTORIES=1 TRACE=all",
            )
        )

    def _about(self) -> list[tuple[Any, ...]]:
        """Return the events that contain an id from the problems, and all events of the same processes."""
        named = set(
            re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}|\bt\d+\b|loose/\d|[a-z]+_[a-z]+-\d+", " ".join(self.problems))
        )
        pattern = re.compile("|".join(rf"{re.escape(name)}\b" for name in named) or "$.")
        who = {event[1] for event in self.trace if pattern.search(_line(event))} - {"world"}
        always = ("all faults stop", "clock set", "dead letters sent back", "other fields declared")
        return [
            event
            for event in self.trace
            if event[1] in who or event[2] in always or who & set(map(str, event[3:4])) or pattern.search(_line(event))
        ]


def run(seed: int) -> Outcome:
    """Run the history of a seed, which is always the same."""
    world, ledger = World(seed), Ledger()
    with world.in_place():
        _act(world, ledger)
        _stop_faults(world, ledger)
        problems = [*invariants.broken(world, ledger)]
        _age(world, ledger)
        problems += invariants.broken_in_the_end(world, ledger)
    return Outcome(seed, problems, world.timeline.trace)


def _act(world: World, ledger: Ledger) -> None:
    """Run the clients in parallel, while calls fail, events are lost and the clock is changed."""
    chance, timeline = world.chance, world.timeline
    clients = [
        timeline.start(f"{owner}-{number}", Client(world, ledger, owner, chance.randint(2, 9)).work)
        for number in range(1, chance.randint(1, 3) + 1)
        for owner in (OWNERS if chance.random() < 0.5 else OWNERS[:1])
    ]
    if chance.random() < 0.3:
        timeline.later(chance.random() * chance.choice((10, HOUR)), lambda: _set_clock(world, -chance.random() * HOUR))
        timeline.later(HOUR + chance.random() * 2 * HOUR, lambda: _set_clock(world, 0))
    for _ in range(chance.choice((0, 0, 1, 2))):
        timeline.later(chance.random() * 2 * HOUR, world.send_back)
    if chance.random() < 0.3:
        timeline.later(chance.random() * chance.choice((10, HOUR)), world.redeclare)
    for _ in range(chance.choice((0, 0, 1, 3))):
        timeline.later(chance.random() * chance.choice((10, HOUR)), world.poison)
    while not all(client.has_ended for client in clients):
        world.run_until(timeline.now + 10 * 60)
    for client in clients:
        if client.error:
            raise RuntimeError(f"{client.name} of this history failed: {client.error}")
    world.run_until(timeline.now + chance.choice((0, 60, HOUR, 26 * HOUR)) * chance.random())


def _stop_faults(world: World, ledger: Ledger) -> None:
    """Stop all faults, and send back dead letters and failed events within their retention period."""
    world.faults.stop()
    world.bus.accepts_all = True
    world.timeline.note("all faults stop")
    _set_clock(world, 0)
    world.run_until(world.timeline.now + 3 * HOUR)
    world.remember_dead_letters()
    export_invariants.check_exports(world, ledger)
    # Dead letters are kept for 14 days, of which the faults may have taken more than one.
    world.run_until(world.timeline.now + world.chance.choice((0, 26 * HOUR, 12 * DAY * world.chance.random())))
    for _ in range(2):
        world.send_back()
        world.run_until(world.timeline.now + 27 * HOUR)


def _age(world: World, ledger: Ledger) -> None:
    """Let time pass until every retention period has ended. Check imports after day 30, when theirs ends."""
    until = START + 30 * DAY
    for late in (HOUR, DAY, 3 * DAY):
        world.run_until(max(until + late * world.chance.random(), world.timeline.now))
        message_invariants.check_imports(world, ledger)
    world.run_until(START + 60 * DAY)


def _set_clock(world: World, skew: float) -> None:
    if world.timeline.skew != skew:
        world.timeline.skew = skew
        world.timeline.note("clock set", round(skew))


def _line(event: tuple[Any, ...]) -> str:
    at, who, *what = event
    time = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%d %H:%M:%S.%f")[:-3]
    return f"{time}  {who:18} {' '.join(str(part) for part in what)}"
