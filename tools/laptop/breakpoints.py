"""Let ``breakpoint()`` in the code of the HTTP server open the debugger on the terminal of ``make run``.

The server has no terminal of its own: its output is copied line by line, and it has no input.
"""

from __future__ import annotations

import inspect
import os
import pdb  # noqa: T100 - this module is for debugging
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

_HOOK = "PYTHONBREAKPOINT"  # PEP 553
_TERMINAL = "DEBUGGER_TERMINAL"
_INTERVAL = 0.1  # seconds

_debugged: threading.Thread | None = None
"""The thread of the last request that the debugger stopped."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a child process uses this module; none if ``environ`` has another debugger."""
    if environ.get(_HOOK):
        return {}
    try:
        terminal = os.ttyname(sys.stdin.fileno())
    except (OSError, ValueError):
        terminal = ""
    return {_HOOK: f"{__name__}.{debug_caller.__name__}", _TERMINAL: terminal}


def debug_caller() -> None:
    """Stop in the caller of ``breakpoint()``, on the terminal of ``make run``, one thread at a time."""
    terminal = os.environ.get(_TERMINAL)
    if not terminal:
        print("breakpoint() skipped: make run has no terminal", file=sys.stderr, flush=True)
        return
    _await_turn()
    opened = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    # A terminal has no position, so one object cannot read and write.
    keyboard, screen = os.fdopen(opened, "r"), Path(terminal).open("w")  # noqa: SIM115 - pdb uses them after the return
    _Debugger(stdin=keyboard, stdout=screen, nosigint=True).set_trace(_caller())


def _caller() -> FrameType | None:
    """Return the frame that called ``breakpoint()``."""
    here = inspect.currentframe()
    return here and here.f_back and here.f_back.f_back


class _Debugger(pdb.Pdb):
    """A debugger that lets the next thread in when it is done."""

    def set_continue(self) -> None:
        super().set_continue()
        _end_turn()

    def set_quit(self) -> None:
        super().set_quit()
        _end_turn()


_turn = threading.Lock()


def _await_turn() -> None:
    global _debugged
    while True:
        with _turn:
            if _debugged is None or not _debugged.is_alive() or _debugged is threading.current_thread():
                _debugged = threading.current_thread()
                return
        time.sleep(_INTERVAL)


def _end_turn() -> None:
    global _debugged
    _debugged = None
