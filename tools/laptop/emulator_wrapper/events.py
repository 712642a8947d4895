"""The queue of asynchronous invocations, which Lambda has in front of each function and ministack has not.

An event is a file until a save after its invocation. So neither a stop nor a crash loses one, and what an invocation
did in memory only, such as a message that it sent, is done again if it was not saved.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

_logger = logging.getLogger(__name__)


class Event(NamedTuple):
    """An event for a function, and how often the function has failed on it."""

    function: str
    """Its ARN."""
    payload: Any
    file: Path
    failures: int = 0


Invoke = Callable[[Event], "float | None"]
"""Invokes the function. Returns the seconds to wait before another attempt, or None if there will be none."""


class Events:
    """The events of all functions. Each function works on a bounded number of them at once, the rest waits."""

    def __init__(self, folder: Path, invoke: Invoke, at_once: int) -> None:
        self._folder = folder
        self._invoke = invoke
        self._at_once = at_once
        self._numbers = itertools.count()
        self._waiting: defaultdict[str, SimpleQueue[Event]] = defaultdict(SimpleQueue)
        self._threads: dict[str, list[threading.Thread]] = {}
        self._done: dict[Path, float] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Queue the events that the process before this one left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._folder.glob("*.json")):
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                self._queue(Event(content["function"], content["payload"], file))
            except (ValueError, KeyError, TypeError):
                _logger.exception("An event cannot be read and is skipped: %s", file)

    def put(self, function: str, payload: Any) -> None:
        """Queue an event for ``function``. It is on disk when this returns."""
        file = self._folder / f"{time.time_ns()}-{next(self._numbers):06}.json"
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps({"function": function, "payload": payload}), encoding="utf-8")
        unfinished.replace(file)
        self._queue(Event(function, payload, file))

    def stop(self) -> None:
        """Invoke nothing more. What is not done yet, or being done now, is left to the next process."""
        self._stopped.set()

    def forget_done(self, before: float) -> None:
        """Forget the events that were done before a save which began at ``before``, on the clock time.monotonic()."""
        with self._lock:
            saved = [file for file, done_at in self._done.items() if done_at < before]
            for file in saved:
                del self._done[file]
        for file in saved:
            file.unlink(missing_ok=True)

    def _queue(self, event: Event) -> None:
        with self._lock:
            self._waiting[event.function].put(event)
            threads = self._threads.setdefault(event.function, [])
            if len(threads) < self._at_once:
                threads.append(threading.Thread(target=self._work, args=(self._waiting[event.function],), daemon=True))
                threads[-1].start()

    def _work(self, waiting: SimpleQueue[Event]) -> None:
        while True:
            event = waiting.get()
            if self._stopped.is_set():
                return
            try:
                delay = self._invoke(event)
            except Exception:
                _logger.exception("An event for %s failed in the emulator and is skipped", event.function)
                delay = None
            with self._lock:
                if self._stopped.is_set():  # it may have failed because of that
                    return
                if delay is None:
                    self._done[event.file] = time.monotonic()
            if delay is not None:
                again = threading.Timer(delay, self._queue, [event._replace(failures=event.failures + 1)])
                again.daemon = True
                again.start()
