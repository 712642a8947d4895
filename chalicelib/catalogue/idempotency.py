"""Idempotency keys: which of them are valid, and the records of what a request with a key created."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from chalicelib import errors
from chalicelib.aws import table

PERIOD = timedelta(hours=24)
"""How long a key that came over HTTP is remembered."""

MAX_KEY_LENGTH = 255
"""The most characters of a key."""

# In a header, other characters are ambiguous: bytes beyond ASCII have no agreed encoding (RFC 9110, section 5.5), and
# a comma may be the result of joining two lines (section 5.3).
KEY_RULE = f"1 to {MAX_KEY_LENGTH} visible ASCII characters without a comma"
KEY_PATTERN = rf"[!-+\--~]{{1,{MAX_KEY_LENGTH}}}"
_KEY = re.compile(KEY_PATTERN)


class KeyedRequest(msgspec.Struct, frozen=True):
    """A request with an idempotency key: the key of the record that remembers it, and a digest of its body."""

    record_key: table.Key
    digest: str


def is_key(text: str) -> bool:
    """Return whether ``text`` is a valid key, in the header ``Idempotency-Key`` or in a message."""
    return _KEY.fullmatch(text) is not None


def find(request: KeyedRequest, at: datetime) -> table.Record | None:
    """Return the record of a request with this key, or None if there is none or it has expired.

    Raise IdempotencyKeyReusedError if the key was used for a request with another digest.
    """
    record = table.get(request.record_key)
    # TTL deletes late, within days (AWS, "Using time to live").
    if record is None or record["ttl"] <= at.timestamp():
        return None
    if record.get("requestDigest") != request.digest:
        raise errors.IdempotencyKeyReusedError
    return record


def prepare_record(request: KeyedRequest, result: table.Record, at: datetime, until: datetime) -> table.Put:
    """Return the write that records the result of a request. The write is refused if the key has a record already.

    Write the record in the same transaction as what the request creates.
    """
    values = {"requestDigest": request.digest, **result}
    return table.Put(request.record_key, values, table.absent_or_expired(at), delete_after=until)


def extend(request: KeyedRequest, record: table.Record, until: datetime) -> None:
    """Set the expiry of a record from :func:`find` to ``until``. Raise WriteRejectedError if the record has changed."""
    values = {name: value for name, value in record.items() if name not in ("pk", "sk", "ttl")}
    table.write(table.Put(request.record_key, values, table.ttl_is(record["ttl"]), delete_after=until))
