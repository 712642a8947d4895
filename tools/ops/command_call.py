"""A call of a command: its stage and options, what it prints, and what it asks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.interruption import Interruption
from tools.ops import dead_letter_queues, output
from tools.ops.dead_letter_queues import DeadLetterQueue
from tools.ops.deployed_stage import Stage


class CommandCall(NamedTuple):
    """One call of a command."""

    stage: Stage
    options: argparse.Namespace
    interruption: Interruption

    @property
    def queues(self) -> list[DeadLetterQueue]:
        """Return the stage's dead-letter queues."""
        return dead_letter_queues.of_stage(self.stage, self.interruption)

    def print_progress(self, text: str) -> None:
        """Print a line on the way to the result; with ``--json``, to stderr."""
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def print_result(self, data: Any, text: str) -> None:
        """Print the result: ``data`` with ``--json``, otherwise ``text``."""
        print(output.json_text(data) if self.options.json else text, flush=True)


Command = Callable[[CommandCall], int]
"""Prints the result and returns the exit code."""


def ask(question: str) -> bool:
    """Return whether the user answers yes. Without a terminal, nobody does."""
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes.", file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
