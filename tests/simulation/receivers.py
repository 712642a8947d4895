"""The receivers of webhooks: some always work, others fail at random, for hours, or for good."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import NamedTuple

from chalicelib.events.webhook_requests import MAX_SECONDS, RequestFailedError, Response
from tests.simulation.timeline import HOUR, START, Timeline

REFUSED, TIMEOUT = 0, -1
"""In place of a status: the connection was refused, or no answer came within the time limit."""


class Request(NamedTuple):
    """A request that a receiver got, and the status of its answer."""

    at: float
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def is_success(self) -> bool:
        """Return whether the answer was a success."""
        return 200 <= self.status < 300


class Receiver:
    """A receiver with a way of failing that its seed determines."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._failures = chance.choice(((500,), (500, 503, 429, TIMEOUT), (TIMEOUT,), (REFUSED,), (302, 404)))
        self._rate = chance.choice((0.0, 0.0, 0.0, 0.3, 0.8))
        """The rate at which it fails while it works."""
        down = START + chance.random() * 2 * HOUR
        hours = chance.choice((0, 0, 0.2, 3, 30, 2000))
        self._down = (down, down + hours * HOUR)
        self._gone_from = down if chance.random() < 0.1 else float("inf")
        self.requests: list[Request] = []

    def status(self, at: float) -> int:
        """Return the status of the answer to a request."""
        if at >= self._gone_from:
            return 410
        if self._down[0] <= at < self._down[1] or self._chance.random() < self._rate:
            return self._chance.choice(self._failures)
        return 204


class Receivers:
    """All receivers, by URL."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._numbers = itertools.count(1)
        self.by_url: dict[str, Receiver] = {}

    def new_url(self) -> str:
        """Return the URL of a new receiver."""
        url = f"https://receiver-{next(self._numbers)}.example.com/hooks"
        self.by_url[url] = Receiver(self._timeline.chance)
        return url

    def post(self, url: str, headers: Mapping[str, str], body: bytes, max_seconds: float = MAX_SECONDS) -> Response:
        """Send a request to a receiver. It replaces the function of ``webhook_requests``."""
        self._timeline.pause(self._timeline.chance.uniform(0.001, 0.1))
        receiver, at = self.by_url[url], self._timeline.now
        status = receiver.status(at)
        self._timeline.note("request", url, headers["webhook-id"], status)
        receiver.requests.append(Request(at, dict(headers), body, status))
        self._timeline.pause(max_seconds if status == TIMEOUT else self._timeline.chance.choice((0.1, 0.1, 3)))
        if status in (REFUSED, TIMEOUT):
            raise RequestFailedError("The connection was refused." if status == REFUSED else "There was no response.")
        return Response(status, self._timeline.chance.choice((None, "7", "600")) if status == 429 else None, b"Hello")
