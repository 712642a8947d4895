"""Bulk imports: store the entries in the bucket, queue them in chunks, report the progress.

``import_steps`` processes the chunks.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.aws import bucket, queue, table
from chalicelib.catalogue import idempotency, import_parsing, import_records, import_upserts, job_records
from chalicelib.catalogue.import_parsing import Entries
from chalicelib.catalogue.messages import ImportChunk
from chalicelib.catalogue.models import ChunkResult, Failure, Import
from chalicelib.values import ids, times

MAX_FAILURES_SHOWN = 1_000

RESUME_INTERVAL = timedelta(hours=1)
"""How often the cleanup looks for chunks that are not processed."""

GIVE_UP_AFTER = timedelta(hours=24)
"""The age of an import at which its entries that are not processed count as failed."""


class Started(NamedTuple):
    """An accepted import. ``replayed`` is true if an earlier request with the same idempotency key started it."""

    id: str
    total: int
    replayed: bool = False


class Progress(NamedTuple):
    """The progress of an import. ``failures`` has the first MAX_FAILURES_SHOWN, ``failed`` counts all."""

    status: Literal["queued", "running", "done"]
    total: int
    created: int
    updated: int
    failed: int
    failures: list[Failure]


# ------------------------------------------------------------------------------------------------------------ requests


def start(
    owner: str, entries: Entries, at: datetime, idempotency_key: str | None = None, key: str | None = None
) -> Started:
    """Store an import and queue its chunks; or return what an earlier request with the same idempotency key started.

    With ``key``, the name of a field, an entry changes the item that has the same value there, if there is one.

    Raise the errors of :func:`import_parsing.check` and :func:`import_upserts.check_key`, IdempotencyKeyReusedError if
    the key was used for other entries, BusyError.

    An import is accepted when its record is written. After an error there is no record, so the client may send the
    entries again. If the queue fails, the cleanup queues the chunks within two hours.
    """
    if key:
        import_upserts.check_key(key)
    import_parsing.check(entries, key)
    aws.queue_url("jobs")  # Raise before anything is stored if the stage has no queue.
    if key:
        entries = import_upserts.mark_repeated(entries, key)
    lines = import_parsing.stored_lines(entries, key)
    new = Import(
        owner=owner,
        id=ids.new_id(times.unix_ms(at)),
        created_at=times.format_time(at),
        total=len(lines),
        chunks=import_parsing.split_into_chunks(lines),
        columns=entries.columns,
        key=key,
    )
    body = b"\n".join(lines)
    request = None if idempotency_key is None else _keyed(new, idempotency_key, body)
    if request and (earlier := _find_started(request, at)):
        return earlier
    bucket.write(bucket.import_key(owner, new.id), body, "application/x-ndjson")
    started = _save(new, request, at)
    if not started.replayed:
        try:
            _queue(new, range(len(new.chunks)))
        except queue.FAILURES:
            telemetry.logger.exception("Queueing an import failed; the cleanup will retry", import_id=new.id)
    return started


def queued(started: Started) -> Progress:
    """Return the progress of an import that was just accepted."""
    return Progress("queued", started.total, 0, 0, 0, [])


def progress(owner: str, id_: str, at: datetime) -> Progress:
    """Return the progress of an import. Raise ImportNotFoundError if it does not exist or is older than 30 days."""
    known = import_records.get(owner, id_)
    # TTL deletes late and in any order (AWS, "Using time to live"), so results may be missing by then.
    if times.parse_time(known.created_at) + import_records.RETENTION <= at:
        raise errors.ImportNotFoundError(id=id_)
    results = import_records.find_results(known)
    failed = [
        failure
        for number in sorted(results)
        for failure in import_records.failures(known.chunks[number], results[number])
    ]
    created, updated = (sum(getattr(result, name) for result in results.values()) for name in ("created", "updated"))
    return Progress(_status(known, results), known.total, created, updated, len(failed), failed[:MAX_FAILURES_SHOWN])


def _status(known: Import, results: Mapping[int, ChunkResult]) -> Literal["queued", "running", "done"]:
    if sum(result.has_ended for result in results.values()) == len(known.chunks):
        return "done"
    return "running" if results else "queued"


def _keyed(new: Import, idempotency_key: str, body: bytes) -> idempotency.KeyedRequest:
    digest = hashlib.sha256(body)
    if new.columns or new.key:
        digest.update(msgspec.json.encode((new.columns, new.key)))
    return idempotency.KeyedRequest(table.Key(new.owner, "IMPORTKEY", idempotency_key), digest.hexdigest())


def _find_started(request: idempotency.KeyedRequest, at: datetime) -> Started | None:
    record = idempotency.find(request, at)
    return Started(record["id"], record["total"], replayed=True) if record else None


def _save(new: Import, request: idempotency.KeyedRequest | None, at: datetime) -> Started:
    """Write the record of an import together with that of its idempotency key.

    If another request with the same key was faster, return what that one started.
    """
    record = import_records.prepare_put(new, table.ABSENT, at + RESUME_INTERVAL)
    result = job_records.save(lambda: [record], {"id": new.id, "total": new.total}, request, at)
    return Started(result["id"], result["total"], replayed=result["id"] != new.id)


# ------------------------------------------------------------------------------------------------------------ work due


def resume(owner: str, id_: str, at: datetime) -> None:
    """Queue the chunks of an import that are not completely processed. After a day, give them up instead."""
    known = import_records.get(owner, id_)
    due_at: datetime | None = at + RESUME_INTERVAL
    unfinished = _unfinished(known)
    if unfinished and at <= times.parse_time(known.created_at) + GIVE_UP_AFTER:
        telemetry.logger.warning("Import chunks not processed: retrying", import_id=id_, chunks=len(unfinished))
        _queue(known, unfinished)
    elif not unfinished or _give_up(known, unfinished):
        due_at = None
    table.write(import_records.prepare_put(known, table.PRESENT, due_at))


def _unfinished(known: Import) -> dict[int, ChunkResult]:
    """Return the chunks that are neither completely processed nor given up, with the results so far."""
    results = import_records.find_results(known)
    found = {number: results.get(number, import_records.NOT_STARTED) for number in range(len(known.chunks))}
    return {number: result for number, result in found.items() if not result.has_ended}


def _give_up(known: Import, unfinished: Mapping[int, ChunkResult]) -> bool:
    """Make the entries that are not processed count as failed. Return False if some are being processed now."""
    numbers = sorted(unfinished)
    telemetry.logger.error("Import failed: chunks not processed within a day", import_id=known.id, chunks=numbers)
    telemetry.add_count("ImportsGivenUp")
    for number, before in unfinished.items():
        # Do not suppress TransactionConflictError: the other transaction may still be cancelled, so try again later.
        with contextlib.suppress(table.ConditionFailedError):
            table.write(
                import_records.prepare_put_result(known, number, before, msgspec.structs.replace(before, given_up=True))
            )
    return not _unfinished(known)


def _queue(known: Import, numbers: Iterable[int]) -> None:
    queue.send(*(ImportChunk(known.owner, known.id, number) for number in numbers))
