"""Times as text: ISO 8601 in UTC, whose text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, always 24 characters, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def unix_ms(at: datetime) -> int:
    """Return ``at`` as Unix milliseconds."""
    return int(at.timestamp() * 1000)


def parse_time(text: str) -> datetime:
    """A point in time from ISO 8601 with its offset (RFC 3339). Raises ValueError for anything else."""
    try:
        at = msgspec.convert(text, datetime)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time that is beyond the calendar in UTC") from None
