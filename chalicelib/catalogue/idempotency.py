"""Idempotency keys: which ones are valid, and records of what a request with a key created."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from chalicelib import errors
from chalicelib.aws import table

PERIOD = timedelta(hours=24)
"""How long a key that came over HTTP is remembered."""

MAX_KEY_LENGTH = 255
"""Characters."""

# In a header, other characters are ambiguous: bytes beyond ASCII have no agreed encoding (RFC 9110, section 5.5), and
# a comma may be the result of joining two lines (section 5.3).
KEY_RULE = f"1 to {MAX_KEY_LENGTH} visible ASCII characters without a comma"
KEY_PATTERN = rf"[!-+\--~]{{1,{MAX_KEY_LENGTH}}}"
_KEY = re.compile(KEY_PATTERN)


def is_key(text: str) -> bool:
    """Return whether ``text`` is a valid key, in the header ``Idempotency-Key`` or in a message."""
    return _KEY.fullmatch(text) is not None


def find(key: table.Key, request_digest: str, at: datetime) -> table.Record | None:
    """Return the record that :func:`claim` wrote for ``key``, or None if there is none or it has expired.

    Raise IdempotencyKeyReusedError if it was written for another request than the one with this digest.
    """
    record = table.get(key)
    # TTL deletes late, within days (AWS, "Using time to live").
    if record is None or record["ttl"] <= at.timestamp():
        return None
    if record.get("requestDigest") != request_digest:
        raise errors.IdempotencyKeyReusedError
    return record


def claim(key: table.Key, request_digest: str, result: table.Record, at: datetime, until: datetime) -> table.Put:
    """Return the write that records ``result`` for ``key``. It is refused if the key has a record already.

    Write it in one transaction with what the request creates.
    """
    return table.Put(key, {"requestDigest": request_digest, **result}, table.absent_or_expired(at), delete_after=until)


def extend(key: table.Key, record: table.Record, until: datetime) -> None:
    """Keep a record that :func:`find` returned until ``until``. Raise WriteRejectedError if it has changed since."""
    values = {name: value for name, value in record.items() if name not in ("pk", "sk", "ttl")}
    table.write(table.Put(key, values, table.ttl_is(record["ttl"]), delete_after=until))
