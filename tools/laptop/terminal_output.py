"""Write the output of ``make run``: its own lines, and those of the programs that it runs, with their names.

The programs log JSON. On a terminal, each line is shortened; in a pipe, or with LOG=json, it stays JSON.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO

from tools.log_reader import HIDDEN_FIELDS, METRICS, fields_of
from tools.terminal_text import printable

_NAME_WIDTH = 13  # the longest name is on_deliveries
_RED, _GREEN, _YELLOW, _CYAN = 31, 32, 33, 36  # ECMA-48, section 8.3.117
_BY_STATUS = {2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}
_BY_LEVEL = {"WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_IDS = {"request_id", "invocation_id"}  # shown with warnings and errors only


class Terminal:
    """Writes lines to a stream. Thread-safe."""

    def __init__(self, stream: IO[str] | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._short = _is_terminal(self._stream) and environ.get("LOG") != "json"
        self._coloured = self._short and not environ.get("NO_COLOR")  # https://no-color.org

    def write(self, text: str = "") -> None:
        """Write ``text`` unchanged."""
        # If the terminal was closed, the emulator still has to be saved and stopped.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def write_line_of(self, name: str, text: str) -> None:
        """Write one line of the program ``name``. Metrics, which are for CloudWatch, are skipped."""
        if not text.strip() or text.startswith(METRICS):
            return
        for line in shorten(text, self._coloured) if self._short else [text]:
            self.write(f"{name:<{_NAME_WIDTH}} │ {line}")

    def follow(self, name: str, output: IO[bytes]) -> threading.Thread:
        """Write the lines of ``output`` until it ends, in a thread of its own. Return the thread."""

        def copy() -> None:
            with output:
                for line in output:
                    self.write_line_of(name, line.decode(errors="replace").rstrip())

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread


def shorten(text: str, coloured: bool) -> Iterator[str]:
    """Yield a log line in its short form, and the lines of its traceback."""
    fields = fields_of(text)
    if "message" not in fields:
        yield printable(text)
        return
    colour = _BY_LEVEL.get(fields.get("level", ""))
    if {"method", "path"} <= fields.keys() and isinstance(fields.get("status"), int):
        colour = _BY_STATUS.get(fields["status"] // 100)
        duration = f" {fields['duration_ms']} ms" if "duration_ms" in fields else ""
        line = f"{fields['status']} {fields['method']} {fields['path']}{duration}"
    else:
        hidden = HIDDEN_FIELDS if colour else HIDDEN_FIELDS | _IDS
        rest = [f"{name}={value}" for name, value in fields.items() if name not in hidden]
        line = "  ".join([*([fields["level"]] if colour else []), str(fields["message"]), *rest])
    yield _painted(printable(line), colour if coloured else None)
    yield from map(printable, str(fields.get("exception", "")).splitlines())


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _painted(text: str, colour: int | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"
