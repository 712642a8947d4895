"""Times as ISO 8601 text in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def unix_ms(at: datetime) -> int:
    """Return ``at`` in Unix milliseconds."""
    return int(at.timestamp() * 1000)


def from_unix_ms(milliseconds: int) -> datetime:
    """Return a time in UTC. Raise OverflowError or ValueError for a time after the year 9999."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


def format_time(at: datetime) -> str:
    """Return ``at`` as ISO 8601 in UTC with milliseconds.

    The text is always 24 characters long, so sorting texts sorts times.
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the time in UTC that ``text`` states in ISO 8601 with an offset (RFC 3339).

    Raise ValueError for any other text, and for a time outside the years 1 to 9999 in UTC.
    """
    try:
        at = msgspec.convert(text, datetime)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
    if at.tzinfo is None:
        raise ValueError("The time has no offset.")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("The time is outside the years 1 to 9999 in UTC.") from None
