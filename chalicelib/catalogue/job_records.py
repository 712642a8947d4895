"""Accept a job, such as an import: write its record, so that the response tells reliably whether it was accepted."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.catalogue import idempotency

PLACEHOLDER_PERIOD = timedelta(hours=24)
"""How long a placeholder record is kept: longer than a write can be in progress."""


def save(
    prepare: Callable[[], list[table.Write]],
    result: table.Record,
    request: idempotency.KeyedRequest | None,
    at: datetime,
) -> table.Record:
    """Write the record of a job together with that of its idempotency key, and return ``result``.

    If another request with the same key was faster, return its result. ``prepare`` is called before each attempt and
    returns the writes: first that of the job's record, whose key is new.

    Raise what ``prepare`` raises, IdempotencyKeyReusedError, and BusyError after eight attempts. After an error, the
    job was not accepted and never will be; see :func:`_was_written`.
    """
    for _ in table.write_attempts():
        writes = prepare()
        key = writes[0].key
        if request:
            writes.append(idempotency.prepare_record(request, result, at, at + idempotency.PERIOD))
        try:
            with contextlib.suppress(table.WriteRejectedError):
                table.write(*writes)
                return result
            # Another request has the same key, or this write succeeded before and its response was lost.
            if table.get(key):
                return result
            if request and (earlier := idempotency.find(request, at)):
                return earlier
        except table.FAILURES:
            if not _was_written(key, at):
                raise
            return result
    raise errors.BusyError


def _was_written(key: table.Key, at: datetime) -> bool:
    """Return whether the record of a job exists although the write failed.

    The failed write may still be in progress. So write a placeholder record with the same key, which makes that write
    fail. If this also fails three times, the client may be told that the job failed although it starts later.
    """
    placeholder = table.Put(key, {"void": True}, table.ABSENT, delete_after=at + PLACEHOLDER_PERIOD)
    unclear = False
    for _ in itertools.islice(table.write_attempts(), 3):
        try:
            table.write(placeholder)
        except table.ConditionFailedError as refused:
            if not (unclear or refused.may_be_applied):
                return True  # The key is new, and the placeholder was never written: this is the job's record.
            break
        except (table.TransactionConflictError, *table.FAILURES):
            unclear = True
            continue
        return False
    record = table.get(key)
    return record is not None and "void" not in record
