"""Virtual time: tasks that run one at a time, in an order that follows from the seed alone.

A :class:`Process` is one invocation of a function, or one client. Its tasks are greenlets: ordinary code that switches
only in :meth:`Timeline.pause` and :meth:`Timeline.wait`, so nothing else happens between two AWS calls. All tasks of a
process end together: at its timeout, or when something kills it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

import greenlet

HOUR = 3600.0

START = 1_780_000_000.0
"""When every history starts, in Unix seconds."""


class KilledError(BaseException):
    """The process of this task was killed: no further call has an effect. ``except Exception`` does not catch it."""


class Process:
    """One invocation of a function, or a client. Its tasks end together."""

    def __init__(self, name: str, on_end: Callable[[Process], None] | None = None) -> None:
        self.name = name
        self.tasks: list[Task] = []
        self.has_ended = False
        self.value: Any = None
        self.error: str | None = None
        """Why it ended without a value: the exception, or what killed it."""
        self.on_end = on_end
        self.code: str | None = None
        """The version of the code that it runs."""


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, work: Callable[[], Any]) -> None:
        self.process = process
        self.work = work
        self.greenlet: Any = None
        self.has_ended = False
        self.value: Any = None
        self.error: Exception | None = None
        self.turn = 0
        """How often it was resumed. A timer names the number that it is for, so nothing resumes a task too early."""
        self.watchers: list[Task] = []

    def done(self) -> bool:
        """Return whether the task has ended."""
        return self.has_ended


class Awaited(Protocol):
    """An object for which a task can wait."""

    watchers: list[Task]

    def done(self) -> bool: ...


class Timeline:
    """The clock and the scheduler."""

    def __init__(self, chance: random.Random) -> None:
        self.now = START
        self.skew = 0.0
        """How far the wall clock is off. It may be set back; ``now`` never decreases."""
        self.chance = chance
        self.running: Task | None = None
        self.trace: list[tuple[Any, ...]] = []
        self.silent = False
        """Whether events are left out of the trace."""
        self._hub = greenlet.getcurrent()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    # ------------------------------------------------------------------------------------------------- for the world

    def wall(self) -> float:
        """Return the time of the wall clock in Unix seconds."""
        return self.now + self.skew

    def note(self, *what: Any) -> None:
        """Add a line to the trace: the process and the event."""
        if not self.silent:
            self.trace.append((self.now, self.running.process.name if self.running else "world", *what))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call ``action`` after so many seconds."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._numbers), action))

    def next_at(self) -> float | None:
        """Return when the next action is scheduled, or None if there is none."""
        return self._agenda[0][0] if self._agenda else None

    def step(self) -> None:
        """Run the next scheduled action."""
        at, _, action = heapq.heappop(self._agenda)
        self.now = max(self.now, at)
        action()

    def start(
        self,
        name: str,
        work: Callable[[], Any],
        timeout: float | None = None,
        on_end: Callable[[Process], None] | None = None,
    ) -> Process:
        """Start a process, which is killed after ``timeout`` seconds. ``on_end`` is called once when it ends."""
        process = Process(name, on_end)
        self.spawn(process, work)
        if timeout is not None:
            self.later(timeout, lambda: self.kill(process, "Task timed out"))
        return process

    def spawn(self, process: Process, work: Callable[[], Any]) -> Task:
        """Start another task of a process."""
        task = Task(process, work)
        process.tasks.append(task)
        self._resume_later(task, 0)
        return task

    def kill(self, process: Process, why: str) -> None:
        """Kill a process at once, in whatever state its tasks are. Its own tasks call die instead."""
        if process.has_ended:
            return
        process.has_ended = True
        process.error = why
        self.note("killed", process.name, why)
        for task in process.tasks:
            if not task.has_ended and task.greenlet:
                self.running = task
                task.greenlet.throw(KilledError)
                self.running = None
            task.has_ended = True
        if process.on_end:
            process.on_end(process)

    # -------------------------------------------------------------------------------------------------- for the tasks

    def pause(self, seconds: float) -> None:
        """Suspend the running task for this many seconds."""
        self._resume_later(self.alive(), seconds)
        self._hub.switch()

    def wait(self, thing: Awaited, timeout: float | None = None) -> bool:
        """Wait for a task or a result. Return False if the timeout comes first."""
        task = self.alive()
        if not thing.done():
            thing.watchers.append(task)
            if timeout is not None:
                self._resume_later(task, timeout)
            self._hub.switch()
        return thing.done()

    def wake(self, watchers: list[Task]) -> None:
        """Resume the tasks that wait for this."""
        for watcher in watchers:
            self._resume_later(watcher, 0)
        watchers.clear()

    def die(self, why: str) -> None:
        """Kill the process of the running task, as if it had crashed at this point."""
        process = self.alive().process
        self.later(0, lambda: self.kill(process, why))
        self._hub.switch()

    def alive(self) -> Task:
        """Return the running task. Raise KilledError if its process was killed."""
        task = self.running
        assert task is not None, "only tasks can wait"
        if task.process.has_ended:
            raise KilledError
        return task

    def _resume_later(self, task: Task, seconds: float) -> None:
        turn = task.turn
        self.later(seconds, lambda: self._resume(task, turn))

    def _resume(self, task: Task, turn: int) -> None:
        if task.has_ended or task.process.has_ended or task.turn != turn:
            return
        task.turn += 1
        if task.greenlet is None:
            task.greenlet = greenlet.greenlet(lambda: self._main(task), self._hub)
        self.running = task
        task.greenlet.switch()
        self.running = None
        if task.has_ended:
            self._finish(task)

    def _main(self, task: Task) -> None:
        try:
            task.value = task.work()
        except KilledError:
            return
        except Exception as error:  # noqa: BLE001 - the waiting task raises it
            task.error = error
        task.has_ended = True

    def _finish(self, task: Task) -> None:
        self.wake(task.watchers)
        process = task.process
        if task is not process.tasks[0] or process.has_ended:
            return
        process.value = task.value
        process.error = None if task.error is None else f"{type(task.error).__name__}: {task.error}"
        process.has_ended = True
        for other in process.tasks[1:]:
            # Lambda freezes threads that still run after the response, and they may never continue.
            if not other.has_ended and other.greenlet:
                self.running = other
                other.greenlet.throw(KilledError)
                self.running = None
            other.has_ended = True
        if process.on_end:
            process.on_end(process)


class Pool:
    """A replacement for ThreadPoolExecutor in the app. Its workers are tasks of the process that created it."""

    timeline: Timeline

    def __init__(self, max_workers: int = 4, *_: Any, **__: Any) -> None:
        self._room = max_workers
        self._waiting: list[tuple[_Result, Callable[[], Any]]] = []
        self._tasks: list[Task] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def submit(self, work: Callable[..., Any], *args: Any, **options: Any) -> _Result:
        """Run ``work`` as soon as a worker is free."""
        result = _Result()
        self._waiting.append((result, lambda: work(*args, **options)))
        if self._room:
            self._room -= 1
            self._tasks.append(self.timeline.spawn(self.timeline.alive().process, self._work))
        return result

    def map(self, work: Callable[..., Any], *each: Iterable[Any]) -> Iterator[Any]:
        """Yield the results in order."""
        results = [self.submit(work, *args) for args in zip(*each, strict=False)]
        return (result.result() for result in results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait until all work is done."""
        if cancel_futures:
            self._waiting.clear()
        while wait and (busy := [task for task in self._tasks if not task.has_ended]):
            self.timeline.wait(busy[0])

    def _work(self) -> None:
        while self._waiting:
            result, work = self._waiting.pop(0)
            self.timeline.pause(self.timeline.chance.uniform(0, 0.001))
            try:
                result.set_result(work())
            except Exception as error:  # noqa: BLE001 - the future raises it
                result.set_exception(error)
        self._room += 1


class _Result(Future[Any]):
    """A future whose result is awaited in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers: list[Task] = []
        self.add_done_callback(lambda _: Pool.timeline.wake(self.watchers))

    def result(self, timeout: float | None = None) -> Any:
        if not Pool.timeline.wait(self, timeout):
            raise TimeoutError
        return super().result(0)
