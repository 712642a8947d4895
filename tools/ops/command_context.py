"""What a command gets: its stage and options, and functions to print and to ask."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.interruption import Interruption
from tools.ops import dead_letter_queues, output
from tools.ops.dead_letter_queues import DeadLetterQueue, Report
from tools.ops.deployed_stage import Stage

PROGRESS_INTERVAL = 10
"""How many messages are processed between two lines about the progress."""


class CommandContext(NamedTuple):
    """The stage and the options of one run of a command."""

    stage: Stage
    options: argparse.Namespace
    interruption: Interruption

    @property
    def queues(self) -> list[DeadLetterQueue]:
        """Return the stage's dead-letter queues."""
        return dead_letter_queues.of_stage(self.stage, self.interruption)

    def print_progress(self, text: str) -> None:
        """Print a line about the progress; with ``--json``, to stderr."""
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def progress_report(self, verb: str, total: int) -> Report:
        """Return a function that prints, at intervals, how many of ``total`` messages are processed."""
        reported = 0

        def report(done: int) -> None:
            nonlocal reported
            if done >= reported + PROGRESS_INTERVAL and done < total:
                reported = done
                self.print_progress(f"{verb} {done} of {total} …")

        return report

    def print_result(self, data: Any, text: str) -> None:
        """Print the result: ``data`` with ``--json``, otherwise ``text``."""
        print(output.json_text(data) if self.options.json else text, flush=True)


Command = Callable[[CommandContext], int]
"""A function that prints the result of a command and returns the exit code."""


def ask(question: str) -> bool:
    """Return whether the user answers yes. Without a terminal, nobody does."""
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes.", file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
