"""What `make run` writes: its own lines, and those of the programs it runs, each behind its name.

Those programs log JSON. On a terminal, a person gets a short line of it; a pipe, and LOG=json, get the JSON itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any

from tools.terminal_text import printable

_METRICS = '{"_aws":'  # CloudWatch's embedded metric format
_WIDTH = 11  # of the longest name, on_messages and api_handler
_RED, _GREEN, _YELLOW, _CYAN = 31, 32, 33, 36  # ECMA-48, section 8.3.117
_BY_STATUS = {2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}
_BY_LEVEL = {"WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_HIDDEN = {
    "cold_start",
    "exception",
    "exception_name",
    "function",
    "level",
    "message",
    "service",
    "stack_trace",
    "stage",
    "timestamp",
    "xray_trace_id",
}
_IDS = {"request_id", "invocation_id"}  # shown with what may have to be looked for, which is not all that went well


class Terminal:
    """One place to write to, from several threads, line by line."""

    def __init__(self, stream: IO[str] | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._short = _is_terminal(self._stream) and environ.get("LOG") != "json"
        self._coloured = self._short and not environ.get("NO_COLOR")  # https://no-color.org

    def say(self, text: str = "") -> None:
        """Write ``text`` as it is."""
        # A terminal that was closed is no reason to leave the emulator unsaved.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def line(self, name: str, text: str) -> None:
        """Write ``text``, one line that the program ``name`` wrote; but no metrics, which are for CloudWatch."""
        if not text.strip() or text.startswith(_METRICS):
            return
        for line in short(text, self._coloured) if self._short else [text]:
            self.say(f"{name:<{_WIDTH}} │ {line}")

    def follow(self, name: str, output: IO[bytes]) -> threading.Thread:
        """Write the lines of ``output`` as they come, in a thread of its own, until it ends."""

        def copy() -> None:
            with output:
                for line in output:
                    self.line(name, line.decode(errors="replace").rstrip())

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread


def short(text: str, coloured: bool) -> Iterator[str]:
    """Yield what a person wants to see of a line that a program wrote: one line, and the stack of an error below it."""
    said = _fields(text)
    if "message" not in said:
        yield printable(text)
        return
    colour = _BY_LEVEL.get(said.get("level", ""))
    if {"method", "path"} <= said.keys() and isinstance(said.get("status"), int):
        colour = _BY_STATUS.get(said["status"] // 100)
        took = f" {said['duration_ms']} ms" if "duration_ms" in said else ""
        line = f"{said['status']} {said['method']} {said['path']}{took}"
    else:
        hidden = _HIDDEN if colour else _HIDDEN | _IDS
        rest = [f"{name}={value}" for name, value in said.items() if name not in hidden]
        line = "  ".join([*([said["level"]] if colour else []), str(said["message"]), *rest])
    yield _painted(printable(line), colour if coloured else None)
    yield from map(printable, str(said.get("exception", "")).splitlines())


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _fields(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _painted(text: str, colour: int | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"
