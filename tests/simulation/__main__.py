"""``make simulate``: run histories, and print those that violate an invariant."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests import conftest  # noqa: F401 - the environment of every test, before anything of the app is imported
from tests.simulation import history
from tests.simulation.history import Outcome

SHARE = 50
"""Histories that a process runs before it reports their results."""


def main() -> int:
    """Run the histories that the command line asks for. Return 1 if any violated an invariant."""
    arguments = _arguments()
    started, histories, failed = time.perf_counter(), 0, 0
    for outcomes in _shares(arguments):
        for outcome in outcomes:
            histories += 1
            if outcome.problems or arguments.trace == "all":
                failed += bool(outcome.problems)
                print(outcome.report(whole=arguments.trace == "all"), end="\n\n", flush=True)
        if failed >= arguments.stop:
            break
    took = time.perf_counter() - started
    print(f"{histories} histories in {took:.1f} s ({1000 * took / max(1, histories):.1f} ms each): {failed} failed")
    return 1 if failed else 0


def _shares(arguments: argparse.Namespace) -> Iterator[list[Outcome]]:
    seeds = range(arguments.seed, arguments.seed + arguments.histories)
    shares = [seeds[first : first + SHARE] for first in range(0, len(seeds), SHARE)]
    if arguments.workers == 1:
        yield from (_run(share) for share in shares)
        return
    with ProcessPoolExecutor(arguments.workers) as pool:
        waiting = [pool.submit(_run, share) for share in itertools.islice(shares, arguments.workers * 2)]
        for share in [*shares[len(waiting) :], *[None] * len(waiting)]:
            yield waiting.pop(0).result()
            if share is not None:
                waiting.append(pool.submit(_run, share))


def _run(seeds: range) -> list[Outcome]:
    return [history.run(seed) for seed in seeds]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--histories", type=int, default=300, help="how many (300)")
    parser.add_argument("--seed", type=int, default=0, help="the first; the next has the next number (0)")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument("--stop", type=int, default=3, help="stop after so many that fail (3)")
    parser.add_argument("--trace", choices=("last", "all"), default="last", help="how much of a history is printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
