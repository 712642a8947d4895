"""Handle SIGINT (Ctrl-C), SIGTERM and SIGHUP: stop once, and not in the middle of a critical section."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks this program to stop. Not an Exception, so that no general handler catches it."""


class Interruption:
    """While entered, the first signal raises Interrupted in the main thread; later ones are ignored."""

    def __init__(self) -> None:
        self._requested = False
        self._raises = False

    def __enter__(self) -> Self:
        self._previous_handlers = [signal.signal(number, self._handle) for number in _SIGNALS]
        self._raises = True
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(_SIGNALS, self._previous_handlers, strict=True):
            signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer a signal until this block ends, for example while a process is started and recorded.

        If the block raises an error, that error is raised, and the deferred signal raises Interrupted at the end of
        the next deferred block. Another signal in between interrupts at once.
        """
        raised, self._raises = self._raises, False
        try:
            yield
        finally:
            self._raises = raised
        if self._requested and raised:
            self._raise()

    def ignore(self) -> None:
        """Ignore signals from now on, because the program is stopping already."""
        self._raises = False

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (the signature of a signal handler)
        self._requested = True
        if self._raises:
            self._raise()

    def _raise(self) -> None:
        self._raises = False
        raise Interrupted
