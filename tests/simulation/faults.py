"""The faults of AWS calls. Each history has its own mix of faults, so that rare combinations occur."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.timeline import HOUR, START


class Fault(NamedTuple):
    """A fault of one attempt of a call."""

    kind: str
    has_effect: bool = False
    """Whether the call is applied although the caller gets no response."""


REFUSED = Fault("refused")
"""AWS returns an error that can be retried."""
UNREACHABLE = Fault("unreachable")
"""The connection fails."""
LOST = Fault("timed out")
"""The request does not arrive."""
ANSWER_LOST = Fault("answer lost", has_effect=True)
"""The request is applied; its response does not arrive."""
CLOSED = Fault("connection closed", has_effect=True)
"""The same, but the caller notices at once."""
DELAYED = Fault("delayed")
"""The request is applied at some moment before the caller's timeout."""
CONFLICT = Fault("conflict")
"""Another transaction on the same record is in progress (DynamoDB)."""
HALF_DONE = Fault("half done", has_effect=True)
"""Only some entries of a batch are accepted (SQS, EventBridge)."""
KILLED_BEFORE = Fault("killed before")
KILLED_AFTER = Fault("killed after", has_effect=True)

ALL = (
    REFUSED,
    UNREACHABLE,
    LOST,
    ANSWER_LOST,
    CLOSED,
    DELAYED,
    CONFLICT,
    HALF_DONE,
    KILLED_BEFORE,
    KILLED_AFTER,
)


SERVICES = ("dynamodb", "s3", "sqs", "events", "ssm")


class Outage(NamedTuple):
    """A time in which a service does not respond at all."""

    service: str
    start: float
    end: float


class Faults:
    """The faults of a history and their rates."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.rate = chance.choice((0.0, 0.01, 0.05, 0.15, 0.3))
        """The rate at which an attempt fails."""
        self._rate_again = chance.choice((0.5, 0.8))
        """The rate at which an attempt fails after a failed one: faults come in groups."""
        self.slow = chance.choice((0.0, 0.02, 0.2))
        """The rate at which a call takes seconds."""
        self.events_lost = chance.choice((0.0, 0.1, 0.1, 0.4))
        self.events_strange = chance.choice((0.0, 0.1, 0.4))
        """The rate at which an event is late or repeated."""
        self._kinds = [fault for fault in ALL if chance.random() < 0.6] or [ANSWER_LOST]
        self._services = chance.choice((SERVICES, SERVICES, (chance.choice(SERVICES),)))
        self._outage = _outage(chance) if chance.random() < 0.4 else None

    @property
    def calm(self) -> bool:
        """Return whether no AWS call fails, so that only invalid messages may become dead letters."""
        return self.rate == 0 and self._outage is None

    def stop(self) -> None:
        """Stop all faults."""
        self.rate = self.slow = self.events_lost = self.events_strange = 0.0
        self._outage = None

    def at(self, service: str, operation: str, attempt: int, now: float) -> Fault | None:
        """Return the fault of this attempt, or None."""
        if self._outage and self._outage.service == service and self._outage.start <= now < self._outage.end:
            return self._chance.choice((REFUSED, UNREACHABLE))
        rate = self.rate if attempt == 1 or not self.rate else self._rate_again
        if service not in self._services or not self.happens(rate):
            return None
        fault = self._chance.choice(self._kinds)
        if fault is CONFLICT and operation not in ("put_item", "delete_item", "transact_write_items"):
            return REFUSED
        if fault is HALF_DONE and not operation.endswith(("_batch", "put_events")):
            return ANSWER_LOST
        return fault

    def latency(self) -> float:
        """Return how many seconds a request or its response takes."""
        if self.slow and self._chance.random() < self.slow:
            return self._chance.uniform(0.1, 2.4)
        return self._chance.uniform(0.001, 0.02)

    def happens(self, rate: float) -> bool:
        """Return True at the given rate, by chance."""
        return rate > 0 and self._chance.random() < rate


def _outage(chance: random.Random) -> Outage:
    start = START + chance.random() * chance.choice((60, HOUR))
    return Outage(chance.choice(SERVICES), start, start + chance.random() * chance.choice((600, 3 * HOUR)))
