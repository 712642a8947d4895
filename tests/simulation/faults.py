"""What may go wrong at a call of AWS. Each history has a mixture of its own, so that rare combinations occur."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.timeline import HOUR, START


class Fault(NamedTuple):
    """One thing that goes wrong with one attempt of a call."""

    kind: str
    has_effect: bool = False
    """Whether the call was carried out although the caller is not told."""


REFUSED = Fault("refused")
"""AWS answers with an error that asks to try again."""
UNREACHABLE = Fault("unreachable")
"""No connection comes about."""
LOST = Fault("timed out")
"""The request never arrives."""
ANSWER_LOST = Fault("answer lost", has_effect=True)
"""The request is carried out; its answer never arrives."""
CLOSED = Fault("connection closed", has_effect=True)
"""The same, noticed at once."""
DELAYED = Fault("delayed")
"""The request is carried out at some moment before the caller gives up waiting for its answer."""
CONFLICT = Fault("conflict")
"""A transaction on the same record is under way (DynamoDB)."""
HALF_DONE = Fault("half done", has_effect=True)
"""Some of the entries of a batch are taken (SQS)."""
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


SERVICES = ("dynamodb", "s3", "sqs")


class Outage(NamedTuple):
    """A time in which a service does nothing at all."""

    service: str
    start: float
    end: float


class Faults:
    """Which faults a history has, and how often."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.rate = chance.choice((0.0, 0.01, 0.05, 0.15, 0.3))
        """How often an attempt fails."""
        self._rate_again = chance.choice((0.5, 0.8))
        """How often an attempt fails after one that failed: faults come in company."""
        self.slow = chance.choice((0.0, 0.02, 0.2))
        """How often a call takes seconds."""
        self.events_lost = chance.choice((0.0, 0.1, 0.1, 0.4))
        self.events_strange = chance.choice((0.0, 0.1, 0.4))
        """How often an event comes late, or twice."""
        self._kinds = [fault for fault in ALL if chance.random() < 0.6] or [ANSWER_LOST]
        self._services = chance.choice((SERVICES, SERVICES, (chance.choice(SERVICES),)))
        self._outage = _outage(chance) if chance.random() < 0.4 else None

    @property
    def calm(self) -> bool:
        """Whether no call of AWS fails: then only messages that must fail may become dead letters."""
        return self.rate == 0 and self._outage is None

    def stop(self) -> None:
        """All heals."""
        self.rate = self.slow = self.events_lost = self.events_strange = 0.0
        self._outage = None

    def at(self, service: str, operation: str, attempt: int, now: float) -> Fault | None:
        """What goes wrong with this attempt of a call, or None."""
        if self._outage and self._outage.service == service and self._outage.start <= now < self._outage.end:
            return self._chance.choice((REFUSED, UNREACHABLE))
        rate = self.rate if attempt == 1 or not self.rate else self._rate_again
        if service not in self._services or not self.happens(rate):
            return None
        fault = self._chance.choice(self._kinds)
        if fault is CONFLICT and operation not in ("put_item", "delete_item", "transact_write_items"):
            return REFUSED
        if fault is HALF_DONE and not operation.endswith("_batch"):
            return ANSWER_LOST
        return fault

    def latency(self) -> float:
        """How many seconds a request takes to arrive, or its answer to come back."""
        if self.slow and self._chance.random() < self.slow:
            return self._chance.uniform(0.1, 2.4)
        return self._chance.uniform(0.001, 0.02)

    def happens(self, rate: float) -> bool:
        """Whether something that happens so often happens now."""
        return rate > 0 and self._chance.random() < rate


def _outage(chance: random.Random) -> Outage:
    start = START + chance.random() * chance.choice((60, HOUR))
    return Outage(chance.choice(SERVICES), start, start + chance.random() * chance.choice((600, 3 * HOUR)))
