"""One attempt to deliver an event: a signed request to a webhook, and what its response means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from chalicelib.events import signatures, webhook_requests
from chalicelib.events.webhook_requests import RequestFailedError, Response

MAX_RETRY_AFTER = 3600
"""Seconds that a receiver can ask to wait for, by the header Retry-After of its response."""

MAX_STORED_CHARACTERS = 500
"""The most characters of a response's body that are kept."""

GONE = 410
"""The status by which a receiver says that it wants no more deliveries (Standard Webhooks)."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an attempt."""

    at: datetime
    duration_ms: int
    status: int | None = None
    """The status of the response, or None if there was none."""
    response: str = ""
    """The beginning of the response's body."""
    retry_after: int = 0
    """The seconds that the receiver asks to wait for."""
    error: str = ""
    """Why the attempt failed, or an empty string if it succeeded."""


def send(url: str, secrets: Sequence[str], event_id: str, event: bytes, at: datetime) -> Attempt:
    """Send an event to a webhook at ``at``, the present time, and return the result."""
    started = time.monotonic()
    try:
        response = webhook_requests.post(url, signatures.sign(secrets, event_id, event, at), event)
    except RequestFailedError as error:
        return Attempt(at=at, duration_ms=_milliseconds_since(started), error=str(error))
    return Attempt(
        at=at,
        duration_ms=_milliseconds_since(started),
        status=response.status,
        response=response.body.decode(errors="replace")[:MAX_STORED_CHARACTERS],
        retry_after=min(_retry_after(response, at), MAX_RETRY_AFTER),
        error=_problem(response),
    )


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _problem(response: Response) -> str:
    if 200 <= response.status < 300:
        return ""
    if response.status == GONE:
        return "The receiver responded with 410 Gone: it wants no more events."
    redirect = ": redirects are not followed" if 300 <= response.status < 400 else ""
    return f"The receiver responded with {response.status}, not with 2xx{redirect}."


def _retry_after(response: Response, at: datetime) -> int:
    """Return the seconds in the header Retry-After (RFC 9110, section 10.2.3), or 0 without a valid one."""
    text = (response.retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0, round((parsedate_to_datetime(text) - at).total_seconds()))
    return 0
