"""The queue of asynchronous invocations, which Lambda has for each function and ministack lacks.

An event is kept as a file until the state was saved after its invocation. So it survives a stop or a crash; and the
effects of an invocation that were in memory only, such as a message it sent, are repeated if they were not saved.
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
    """An event for a function."""

    function: str
    """The function's ARN."""
    payload: Any
    file: Path
    failures: int = 0
    """How often the function has failed on it."""


Invoke = Callable[[Event], "float | None"]
"""A function that invokes the Lambda function of an event. It returns the seconds until the retry, or None for none."""


class EventQueue:
    """The events of all functions. Each function processes at most ``concurrency`` of them at once."""

    def __init__(self, folder: Path, invoke: Invoke, concurrency: int) -> None:
        self._folder = folder
        self._invoke = invoke
        self._concurrency = concurrency
        self._numbers = itertools.count()
        self._waiting: defaultdict[str, SimpleQueue[Event]] = defaultdict(SimpleQueue)
        self._threads: dict[str, list[threading.Thread]] = {}
        self._done: dict[Path, float] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Queue the events that the previous process left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._folder.glob("*.json")):
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                self._queue(Event(content["function"], content["payload"], file))
            except (ValueError, KeyError, TypeError):
                _logger.exception("Reading an event failed; skipped: %s", file)

    def put(self, function: str, payload: Any) -> None:
        """Write an event for ``function`` to disk, and queue it."""
        file = self._folder / f"{time.time_ns()}-{next(self._numbers):06}.json"
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps({"function": function, "payload": payload}), encoding="utf-8")
        unfinished.replace(file)
        self._queue(Event(function, payload, file))

    def stop(self) -> None:
        """Stop invoking. Events that are waiting or running are left to the next process."""
        self._stopped.set()

    def delete_saved_events(self, before: float) -> None:
        """Delete the events that were processed before a save began at ``before`` (``time.monotonic()``)."""
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
            if len(threads) < self._concurrency:
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
                _logger.exception("An event for %s failed in the emulator; skipped", event.function)
                delay = None
            with self._lock:
                if self._stopped.is_set():  # the failure may be a result of the stop
                    return
                if delay is None:
                    self._done[event.file] = time.monotonic()
            if delay is not None:
                timer = threading.Timer(delay, self._queue, [event._replace(failures=event.failures + 1)])
                timer.daemon = True
                timer.start()
