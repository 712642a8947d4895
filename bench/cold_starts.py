"""Measure cold starts: the time from the start of a process to its first answer, and its processor time.

Every turn starts each package and function once, so that other load on the machine affects all of them. Ratios are of
processor time, which other load changes least.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bench import cpu_quota, execution_environment, sample_events, text_tables
from bench.cpu_quota import FULL, Quota
from bench.function_packages import NODE_JS, STOCK, Variant
from bench.sample_events import Event
from tests.fake_aws import FakeAws
from tests.local_certificate import Authority

SMALL_MB = 512
"""The memory size whose share of a core is measured in addition to a whole core."""

AIMS = "Aims: the bundle takes at most 0.30 × the processor time of the stock package, and at most that of Node."

Report = Callable[[str], None]


class Start(NamedTuple):
    """One cold start: milliseconds from the start of the process, and its processor time in milliseconds."""

    init: float
    answered: float
    cpu: float


class Case(NamedTuple):
    """A function of a package, with the share of a core of a memory size in MB."""

    variant: str
    function: str
    memory: int


Starts = Mapping[Case, Sequence[Start]]


# ---------------------------------------------------------------------------------------------------------- evaluation


def summary(starts: Sequence[Start]) -> dict[str, float]:
    """Return the medians of a case, and the quartiles of its first answer."""
    low, middle, high = text_tables.quartiles([start.answered for start in starts])
    return {
        "init_ms": round(statistics.median(start.init for start in starts), 1),
        "answered_ms": round(middle, 1),
        "from_ms": round(low, 1),
        "to_ms": round(high, 1),
        "cpu_ms": round(statistics.median(start.cpu for start in starts), 1),
    }


def ratio(starts: Starts, case: Case, other: str) -> float | None:
    """Return the median ratio of a case's processor time to that of ``other`` in the same turns, or None."""
    compared = starts.get(case._replace(variant=other))
    if compared is None or other == case.variant:
        return None
    pairs = zip(starts[case], compared, strict=True)
    return round(statistics.median(one.cpu / another.cpu for one, another in pairs), 2)


def results(starts: Starts) -> list[dict[str, Any]]:
    """Return a dictionary of figures for each case, for bench/results.json."""
    return [
        {
            **case._asdict(),
            **summary(taken),
            "of_stock": ratio(starts, case, STOCK),
            "of_node": ratio(starts, case, NODE_JS),
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
    """Return the results as a table of text."""
    rows = [(f"{one['function']} {one['variant']}, {_core(one['memory'])}", one) for one in found]
    return text_tables.table("cold start to first answer", COLUMNS, rows)


def _core(memory: int) -> str:
    return "1 core" if memory == FULL else f"{memory} MB"


# --------------------------------------------------------------------------------------------------------- measurement


def measure(variants: Sequence[Variant], authority: Authority, turns: int, report: Report) -> list[dict[str, Any]]:
    """Measure the first answer of every function, on one core and with the share of SMALL_MB."""
    with cpu_quota.limited(SMALL_MB) as small:
        if small is None:
            report(f"This system allows no quota of processor time: cold starts with {SMALL_MB} MB are skipped.")
        quotas = [Quota(FULL), *([small] if small else [])]
        found = results(_take_turns(variants, sample_events.FIRST, quotas, authority, turns, report))
    report(table(sorted(found, key=lambda one: (-one["memory"], one["function"]))))
    report(AIMS)
    return found


def measure_steps(
    variants: Sequence[Variant], authority: Authority, turns: int, report: Report
) -> list[dict[str, Any]]:
    """Measure a GET of one item after each step of the bundle, on one core."""
    starts = _take_turns(variants, [sample_events.GET_ITEM], [Quota(FULL)], authority, turns, report)
    found = results(starts)
    report(text_tables.table("after each step", COLUMNS, [(one["variant"], one) for one in found]))
    return found


def _take_turns(
    variants: Sequence[Variant],
    events: Sequence[Event],
    quotas: Sequence[Quota],
    authority: Authority,
    turns: int,
    report: Report,
) -> dict[Case, list[Start]]:
    taken: dict[Case, list[Start]] = {}
    with FakeAws(sample_events.records(), sample_events.objects(), authority.context()) as aws:
        for turn in range(turns + 1):
            for quota, event, variant in itertools.product(quotas, events, variants):
                if event.function not in variant.handlers:
                    continue
                start = _start(variant, event, aws, quota)
                # The first turn fills the system's file cache, and is not counted.
                if turn:
                    taken.setdefault(Case(variant.name, event.function, quota.memory), []).append(start)
            report(f"  turn {turn} of {turns}" if turn else "  warmed up")
    return taken


def _start(variant: Variant, event: Event, aws: FakeAws, quota: Quota) -> Start:
    with execution_environment.running(variant, event.function, aws, quota) as running:
        answered = running.run(event)
        return Start(running.init_ms, (answered - running.started) * 1000, running.cpu_ms())
