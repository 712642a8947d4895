"""What was done with an idempotency key, so that doing it again with the same key changes nothing."""

from __future__ import annotations

from datetime import datetime

from chalicelib import errors
from chalicelib.aws import table


def earlier(key: table.Key, said: str, at: datetime) -> table.Record | None:
    """Return the record of what was done with ``key``, or None if there is none or it has expired.

    ``said`` is the digest of the request. Raise IdempotencyKeyReusedError if the recorded one is different.
    """
    record = table.get(key)
    # TTL deletes late, within days (AWS, "Using time to live").
    if record is None or record["ttl"] <= at.timestamp():
        return None
    if record.get("requestDigest") != said:
        raise errors.IdempotencyKeyReusedError
    return record


def claim(key: table.Key, said: str, made: table.Record, at: datetime, until: datetime) -> table.Put:
    """Return the write that keeps what ``key`` made until ``until``. It is refused if the key was used already."""
    return table.Put(key, {"requestDigest": said, **made}, table.absent_or_expired(at), delete_after=until)


def remember(key: table.Key, record: table.Record, until: datetime) -> None:
    """Keep a record that :func:`earlier` returned until ``until``. Raise WriteRejectedError if it has changed since."""
    values = {name: value for name, value in record.items() if name not in ("pk", "sk", "ttl")}
    table.write(table.Put(key, values, table.ttl_is(record["ttl"]), delete_after=until))
