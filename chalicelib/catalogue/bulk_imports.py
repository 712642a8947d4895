"""Bulk imports: store the entries in the bucket, queue them in chunks, create the items, count the results.

Repeated requests and messages change nothing: a chunk's items and its result are written in one transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.aws import bucket, failures, queue, table
from chalicelib.catalogue import idempotency, import_parsing, items, validation
from chalicelib.catalogue.messages import ImportChunk
from chalicelib.catalogue.models import ChunkResult, Failure, Import
from chalicelib.values import exact_json, ids, times

MAX_FAILURES_SHOWN = 1_000

RETENTION = timedelta(days=30)

RESUME_INTERVAL = timedelta(hours=1)
"""How often the cleanup looks for chunks that are not processed."""

GIVE_UP_AFTER = timedelta(hours=24)

_NOT_PROCESSED = "This entry was not processed within a day, so no item was created."


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
    failed: int
    failures: list[Failure]


# ------------------------------------------------------------------------------------------------------------ requests


def start(owner: str, entries: list[bytes], at: datetime, key: str | None = None) -> Started:
    """Store an import and queue its chunks; or return what an earlier request with the same ``key`` started.

    Raise InvalidRequestError if there are no entries, ImportTooLargeError if there are too many,
    IdempotencyKeyReusedError if the key was used for other entries, BusyError.

    An import is accepted when its record is written. After an error there is none, so the client may send the entries
    again. If the queue fails, the cleanup queues the chunks within the hour.
    """
    import_parsing.check_number(entries)
    aws.queue_url()  # Raise before anything is stored if the stage has no queue.
    body = import_parsing.to_ndjson(entries)
    request = None if key is None else _keyed(owner, key, body)
    if request and (earlier := _find_started(request, at)):
        return earlier
    new = Import(
        owner=owner,
        id=ids.new_id(times.unix_ms(at)),
        created_at=times.format_time(at),
        total=len(entries),
        chunks=import_parsing.split_into_chunks(entries),
    )
    bucket.write(bucket.import_key(owner, new.id), body, "application/x-ndjson")
    started = _save(new, request, at)
    if not started.replayed:
        try:
            _queue(new, range(len(new.chunks)))
        except queue.FAILURES:
            telemetry.logger.exception("Queueing an import failed; the cleanup will retry", import_id=new.id)
    return started


def progress(owner: str, id_: str, at: datetime) -> Progress:
    """Return the progress of an import. Raise ImportNotFoundError if it does not exist or is older than 30 days."""
    known = _get(owner, id_)
    # TTL deletes late and in any order (AWS, "Using time to live"), so results may be missing by then.
    if times.parse_time(known.created_at) + RETENTION <= at:
        raise errors.ImportNotFoundError(id=id_)
    results = _results(owner, id_)
    failed = [failure for number in sorted(results) for failure in results[number].failures]
    created = sum(result.created for result in results.values())
    return Progress(
        _status(len(results), len(known.chunks)), known.total, created, len(failed), failed[:MAX_FAILURES_SHOWN]
    )


def _status(done: int, chunks: int) -> Literal["queued", "running", "done"]:
    if done == chunks:
        return "done"
    return "running" if done else "queued"


def _keyed(owner: str, key: str, body: bytes) -> idempotency.KeyedRequest:
    return idempotency.KeyedRequest(table.Key(owner, "IMPORTKEY", key), hashlib.sha256(body).hexdigest())


def _find_started(request: idempotency.KeyedRequest, at: datetime) -> Started | None:
    record = idempotency.find(request, at)
    return Started(record["id"], record["total"], replayed=True) if record else None


def _save(new: Import, request: idempotency.KeyedRequest | None, at: datetime) -> Started:
    """Write the record of an import together with that of its idempotency key.

    If another request with the same key was faster, return what that one started.
    """
    started = Started(new.id, new.total)
    writes = [_put(new, table.ABSENT, at + RESUME_INTERVAL)]
    if request:
        result = {"id": new.id, "total": new.total}
        writes.append(idempotency.prepare_record(request, result, at, at + idempotency.PERIOD))
    for _ in items.write_attempts():
        try:
            with contextlib.suppress(table.WriteRejectedError):
                table.write(*writes)
                return started
            # Another request has the same key, or this write succeeded before and its response was lost.
            if table.get(_key(new.owner, new.id)):
                return started
            if request and (earlier := _find_started(request, at)):
                return earlier
        except table.FAILURES:
            if not _was_written(new, at):
                raise
            return started
    raise errors.BusyError


def _was_written(new: Import, at: datetime) -> bool:
    """Return whether the record of an import exists although the write failed.

    The failed write may still be in progress. So write a placeholder record with the same key, which makes that write
    fail. If this also fails three times, the client may be told that the import failed although it starts later.
    """
    placeholder = table.Put(_key(new.owner, new.id), {"void": True}, table.ABSENT, delete_after=at + GIVE_UP_AFTER)
    unclear = False
    for _ in itertools.islice(items.write_attempts(), 3):
        try:
            table.write(placeholder)
        except table.ConditionFailedError as refused:
            if not (unclear or refused.may_be_applied):
                return True  # The id is new, and the placeholder was never written: this is the import's record.
            break
        except (table.TransactionConflictError, *table.FAILURES):
            unclear = True
            continue
        return False
    record = table.get(_key(new.owner, new.id))
    return record is not None and "void" not in record


# -------------------------------------------------------------------------------------------------------------- chunks


def process_chunk(owner: str, id_: str, number: int) -> None:
    """Create the items of one chunk. Repeating it changes nothing. An invalid entry does not stop the others.

    All items and the result are written in one transaction: an interrupted chunk has created nothing, and a finished
    one is never processed again. So an item that was deleted since stays deleted.

    A chunk that was given up is still processed if its message arrives later, such as a dead letter that was sent back.

    Raise ImportNotFoundError, and BusyError after eight attempts.
    """
    prepared: tuple[list[table.Put], ChunkResult] | None = None
    for _ in items.write_attempts():
        earlier = table.get(_result_key(owner, id_, number))
        if earlier is not None and not earlier.get("givenUp"):
            return
        puts, result = prepared = prepared or _prepare_chunk(owner, id_, number)
        try:
            table.write(*puts)
        except table.WriteRejectedError:
            continue  # Another function is processing the same message.
        except table.FAILURES as error:
            if not failures.is_transient(error):
                raise
            continue
        telemetry.add_count("ItemsCreated", result.created)
        telemetry.add_count("ImportEntriesFailed", len(result.failures))
        return
    raise errors.BusyError


def _prepare_chunk(owner: str, id_: str, number: int) -> tuple[list[table.Put], ChunkResult]:
    """Return the writes that create the items of a chunk and store its result, and the result."""
    known = _get(owner, id_)
    if not 0 <= number < len(known.chunks):
        raise errors.ImportNotFoundError(id=id_)
    chunk = known.chunks[number]
    lines = bucket.read_range(bucket.import_key(owner, id_), chunk.start, chunk.size).split(b"\n")
    puts: list[table.Put] = []
    failed: list[Failure] = []
    for index, line in enumerate(lines, chunk.first):
        try:
            puts.append(_prepare_item(known, index, line))
        except errors.ApiError as error:
            failed.append(Failure(index, error.code, error.message))
    result = ChunkResult(created=len(puts), failures=tuple(failed))
    return [*puts, _put_result(known, number, result, _NOT_DONE)], result


def _prepare_item(known: Import, index: int, line: bytes) -> table.Put:
    new = validation.validate_item(exact_json.object_from_json(line, "The entry"))
    return items.prepare_create(known.owner, _item_id(known, index), new, times.parse_time(known.created_at))


def _item_id(known: Import, index: int) -> str:
    """Return the id of the item for an entry. It is the same each time, and the ids sort like the entries."""
    tail = int.from_bytes(hashlib.sha256(f"{known.id}/{index}".encode()).digest()[:7])
    return ids.new_id(ids.id_time_ms(known.id), index << 58 | tail)


# ------------------------------------------------------------------------------------------------------------ work due


def resume(owner: str, id_: str, at: datetime) -> None:
    """Queue the chunks of an import that are not processed. After a day, record them as failed instead."""
    known = _get(owner, id_)
    missing = sorted(set(range(len(known.chunks))) - _results(owner, id_).keys())
    if missing and at <= times.parse_time(known.created_at) + GIVE_UP_AFTER:
        telemetry.logger.warning("Import chunks not processed: retrying", import_id=id_, chunks=len(missing))
        _queue(known, missing)
        table.write(_put(known, table.PRESENT, at + RESUME_INTERVAL))
        return
    if missing:
        _give_up(known, missing)
    table.write(_put(known, table.PRESENT, None))


def _give_up(known: Import, numbers: list[int]) -> None:
    """Record chunks as failed that were not processed. Skip those that are being processed now."""
    telemetry.logger.error("Import failed: chunks not processed within a day", import_id=known.id, chunks=numbers)
    telemetry.add_count("ImportsGivenUp")
    for number in numbers:
        chunk = known.chunks[number]
        indexes = range(chunk.first, chunk.first + chunk.entries)
        failed = tuple(Failure(index, errors.InternalError.code, _NOT_PROCESSED) for index in indexes)
        result = ChunkResult(created=0, failures=failed, given_up=True)
        # Do not suppress TransactionConflictError: the other transaction may still be cancelled, so try again later.
        with contextlib.suppress(table.ConditionFailedError):
            table.write(_put_result(known, number, result, table.ABSENT))


# ------------------------------------------------------------------------------------------------- queue and records


def _queue(known: Import, numbers: Iterable[int]) -> None:
    queue.send(*(ImportChunk(known.owner, known.id, number) for number in numbers))


def _get(owner: str, id_: str) -> Import:
    record = table.get(_key(owner, id_)) if ids.is_id(id_) else None
    if record is None or "createdAt" not in record:  # a placeholder record has no attributes of an import
        raise errors.ImportNotFoundError(id=id_)
    return msgspec.convert(record | {"owner": owner, "id": id_}, Import)


def _results(owner: str, id_: str) -> dict[int, ChunkResult]:
    return {
        int(chunk_id.rpartition("#")[2]): msgspec.convert(record, ChunkResult)
        for chunk_id, record in table.query_prefix(owner, "CHUNK", f"{id_}#")
    }


def _put(known: Import, condition: table.Condition, due_at: datetime | None) -> table.Put:
    values: table.Record = msgspec.to_builtins(known)
    values = {name: value for name, value in values.items() if name not in ("owner", "id")}
    until = times.parse_time(known.created_at) + RETENTION
    due = None if due_at is None else times.format_time(due_at)
    return table.Put(_key(known.owner, known.id), values, condition, due_at=due, delete_after=until)


def _put_result(known: Import, number: int, result: ChunkResult, condition: table.Condition) -> table.Put:
    until = times.parse_time(known.created_at) + RETENTION
    return table.Put(
        _result_key(known.owner, known.id, number), msgspec.to_builtins(result), condition, delete_after=until
    )


_NOT_DONE = table.Condition("attribute_not_exists(pk) OR givenUp = :true", {":true": {"BOOL": True}})


def _key(owner: str, id_: str) -> table.Key:
    return table.Key(owner, "IMPORT", id_)


def _result_key(owner: str, id_: str, number: int) -> table.Key:
    return table.Key(owner, "CHUNK", f"{id_}#{number:05d}")
