"""What `make run` writes: its own lines, and those of the programs it runs, each behind its name."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import IO

_METRICS = '{"_aws":'  # CloudWatch's embedded metric format
_WIDTH = 11  # of the longest name, on_messages and api_handler


class Terminal:
    """One place to write to, from several threads, line by line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def say(self, text: str = "") -> None:
        """Write ``text`` as it is."""
        # A terminal that was closed is no reason to leave the emulator unsaved.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def line(self, name: str, text: str) -> None:
        """Write ``text``, one line that the program ``name`` wrote; but no metrics, which are for CloudWatch."""
        if text.strip() and not text.startswith(_METRICS):
            self.say(f"{name:<{_WIDTH}} │ {text}")

    def follow(self, name: str, output: IO[bytes]) -> threading.Thread:
        """Write the lines of ``output`` as they come, in a thread of its own, until it ends."""

        def copy() -> None:
            with output:
                for line in output:
                    self.line(name, line.decode(errors="replace").rstrip())

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread
