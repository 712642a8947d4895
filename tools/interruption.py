"""Being asked to stop, by Ctrl-C, SIGTERM or SIGHUP: once is enough, and it may have to wait a moment."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked this program to stop. No Exception: nothing but its own handler is to catch it."""


class Interruption:
    """While entered, the first request to stop raises Interrupted in the main thread; others do nothing."""

    def __init__(self) -> None:
        self._asked = False
        self._raises = False

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._ask) for number in _SIGNALS]
        self._raises = True
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a request wait for the end of this block, which starts a process and notes that it runs.

        An error in the block comes first: the request then waits for the next block, and a new one interrupts at once.
        """
        raised, self._raises = self._raises, False
        try:
            yield
        finally:
            self._raises = raised
        if self._asked and raised:
            self._raise()

    def close(self) -> None:
        """From now on a request to stop changes nothing: it is being done."""
        self._raises = False

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (what a signal handler takes)
        self._asked = True
        if self._raises:
            self._raise()

    def _raise(self) -> None:
        self._raises = False
        raise Interrupted
