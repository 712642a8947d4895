"""EventBridge in memory: a bus that accepts events, some of those of a call, or none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.calls import refusal

MAX_ENTRIES = 10
"""The most entries of a call (AWS, "PutEvents")."""

MAX_BYTES = 256 * 1024
"""The most bytes of the entries of a call together (AWS, "Calculating PutEvents event entry size")."""

REFUSED = "refused-by-the-bus"
"""An event that contains this is never accepted."""

REFUSED_AT_FIRST = "refused-until-the-cause-is-removed"
"""An event that contains this is accepted when ``accepts_all``."""


class Published(NamedTuple):
    """An event that the bus accepted."""

    at: float
    source: str
    type: str
    detail: dict[str, Any]


class EventBus:
    """One bus. ``log`` has all events in the order in which they were accepted."""

    name = "events"
    refusals = ("ThrottlingException", "InternalException")

    def __init__(self, clock: Callable[[], float], chance: random.Random | None = None) -> None:
        self._clock = clock
        self._chance = chance
        self.log: list[Published] = []
        self.accepts_all = False

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if not 0 < len(Entries) <= MAX_ENTRIES:
            raise refusal("put_events", "ValidationException", "1 to 10 entries are allowed.")
        if sum(_size(entry) for entry in Entries) > MAX_BYTES:
            raise refusal(
                "put_events", "ValidationException", "Total size of the entries in the request is over the limit."
            )
        return _answer([self._put(entry) for entry in Entries])

    def half(self, _: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Accept only some of the entries, and refuse the others for now."""
        entries = parameters["Entries"]
        assert self._chance is not None
        return _answer(
            [
                self._put(entry) if self._chance.random() < 0.5 else _failed("ThrottlingException", "Try again.")
                for entry in entries
            ]
        )

    def _put(self, entry: dict[str, Any]) -> dict[str, str]:
        if entry.keys() - {"Source", "DetailType", "Detail", "Time", "EventBusName"}:
            raise NotImplementedError(f"an entry with {entry.keys()}")
        if REFUSED in entry["Detail"] or (REFUSED_AT_FIRST in entry["Detail"] and not self.accepts_all):
            return _failed("MalformedDetail", "Detail is malformed.")
        self.log.append(Published(self._clock(), entry["Source"], entry["DetailType"], json.loads(entry["Detail"])))
        return {"EventId": f"bus-{len(self.log)}"}


def _failed(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}


def _answer(results: list[dict[str, str]]) -> dict[str, Any]:
    return {"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results}


def _size(entry: dict[str, Any]) -> int:
    texts = (entry["Source"], entry["DetailType"], entry["Detail"])
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)
