"""Cold starts: from the start of a process to its first answer, under AWS's runtime interface client.

Every turn takes each package and each function once, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import ssl
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bench import environment, events, tables
from bench.environment import Quota
from bench.events import Event
from bench.packages import Variant
from bench.stand_in import Services

SMALL_MB = 512
"""The share of a core that is measured beside a whole one."""

AIMS = "Aims, at one core: the bundle at or under Node, and at or under 0.30 × the stock package."


class Start(NamedTuple):
    """One cold start, in milliseconds from the start of the process, and the processor time that it took."""

    init: float
    answered: float
    cpu: float


class Case(NamedTuple):
    """What is started: a package's function, with the core or the share of one of so many MB."""

    variant: str
    function: str
    memory: int

    def __str__(self) -> str:
        return f"{self.variant} {self.function} {self.memory}"


Starts = Mapping[Case, Sequence[Start]]


# -------------------------------------------------------------------------------------------------- what is worked out


def said(starts: Sequence[Start]) -> dict[str, float]:
    """What is said of a case: medians, and the quartiles between which half of the answers lie.

    Of processor time the mean: the system tells it in steps of 10 ms.
    """
    answered = sorted(start.answered for start in starts)
    low, middle, high = statistics.quantiles(answered, n=4, method="inclusive") if len(answered) > 1 else answered * 3
    return {
        "init_ms": round(statistics.median(start.init for start in starts), 1),
        "answered_ms": round(middle, 1),
        "from_ms": round(low, 1),
        "to_ms": round(high, 1),
        "cpu_ms": round(statistics.mean(start.cpu for start in starts), 1),
    }


def ratio(starts: Starts, case: Case, other: str) -> float | None:
    """How many times as long a case takes as the other variant in the same turn (median), None where there is none."""
    beside = starts.get(case._replace(variant=other))
    if beside is None or other == case.variant:
        return None
    pairs = zip(starts[case], beside, strict=True)
    return round(statistics.median(ours.answered / theirs.answered for ours, theirs in pairs), 2)


def results(starts: Starts) -> list[dict[str, Any]]:
    return [
        {
            **case._asdict(),
            **said(taken),
            "of_stock": ratio(starts, case, "stock"),
            "of_node": ratio(starts, case, "node"),
        }
        for case, taken in starts.items()
    ]


COLUMNS = {
    "init_ms": "init ms",
    "answered_ms": "answer ms",
    "from_ms": "from",
    "to_ms": "to",
    "cpu_ms": "cpu ms",
    "of_stock": "of stock",
    "of_node": "of node",
}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [(f"{one['function']} {one['variant']}, {core(one['memory'])}", one) for one in found]
    return tables.table("cold start to first answer", COLUMNS, rows)


def core(memory: int) -> str:
    return "1 core" if memory == environment.FULL else f"{memory} MB"


# -------------------------------------------------------------------------------------------------------- the measuring


def measure(
    variants: Sequence[Variant], tls: ssl.SSLContext | None, turns: int, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Starts everything ``turns`` times, with the services behind ``tls``.

    Raises FunctionError where an answer is wrong.
    """
    taken: dict[Case, list[Start]] = {}
    with (
        environment.quota(SMALL_MB) as small,
        Services(events.records(), events.objects(), tls) as services,
    ):
        quotas = [Quota(environment.FULL), *([small] if small else [])]
        if small is None:
            report(f"This system gives no quota of processor time: no cold starts as with {SMALL_MB} MB.")
        for turn in range(turns + 1):
            for quota in quotas:
                for event, variant in _cases(variants):
                    start = _start(variant, event, services, quota)
                    # The first fills the system's cache of files, and counts for nothing.
                    if turn:
                        taken.setdefault(Case(variant.name, event.function, quota.memory), []).append(start)
            report(f"  turn {turn} of {turns}" if turn else "  warmed up")
    found = results(taken)
    report(table(sorted(found, key=lambda one: (-one["memory"], one["function"]))))
    report(AIMS)
    return found


def _cases(variants: Sequence[Variant]) -> list[tuple[Event, Variant]]:
    return [(event, variant) for event in events.FIRST for variant in variants if event.function in variant.functions]


def _start(variant: Variant, event: Event, services: Services, quota: Quota) -> Start:
    with environment.running(variant, event.function, services, quota) as running:
        answered = running.run(event)
        return Start(running.init_ms, (answered - running.started) * 1000, running.cpu_ms())
