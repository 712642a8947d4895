"""Bulk imports: store the entries in the bucket, queue them in chunks, create the items, count the results.

Repeated requests and messages change nothing: an item is written in one transaction with the result of its chunk, which
says how many of the chunk's entries are processed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.aws import bucket, failures, queue, table
from chalicelib.catalogue import idempotency, import_parsing, items, validation
from chalicelib.catalogue.messages import ImportChunk
from chalicelib.catalogue.models import Chunk, ChunkResult, Failure, Import
from chalicelib.values import exact_json, ids, times

MAX_FAILURES_SHOWN = 1_000

RETENTION = timedelta(days=30)

RESUME_INTERVAL = timedelta(hours=1)
"""How often the cleanup looks for chunks that are not processed."""

GIVE_UP_AFTER = timedelta(hours=24)

MAX_PART_WRITES = table.MAX_TRANSACTION_WRITES - 1
MAX_PART_BYTES = table.MAX_TRANSACTION_BYTES - 512 * 1024
"""What one transaction of a chunk may write besides the chunk's result, which is a record of up to 400 KB."""

_NOT_STARTED = ChunkResult(created=0, next=0)

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
    failed = [failure for number in sorted(results) for failure in _failures(known.chunks[number], results[number])]
    created = sum(result.created for result in results.values())
    return Progress(_status(known, results), known.total, created, len(failed), failed[:MAX_FAILURES_SHOWN])


def _status(known: Import, results: Mapping[int, ChunkResult]) -> Literal["queued", "running", "done"]:
    if sum(result.is_settled for result in results.values()) == len(known.chunks):
        return "done"
    return "running" if results else "queued"


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


def process_chunk(owner: str, id_: str, number: int, has_time: Callable[[], bool] = lambda: True) -> bool:
    """Create the items of one chunk. Repeating it changes nothing. An invalid entry does not stop the others.

    Return whether it is processed to its end. Otherwise ``has_time`` returned False, and the next call continues.

    Several transactions write the items. Each also writes how many entries are processed, on the condition that they
    follow those that were processed before. So an interrupted chunk continues where it was interrupted, and no entry is
    processed twice: an item that was deleted since stays deleted.

    A chunk that was given up is still processed if its message arrives later, such as a dead letter that was sent back.

    Raise ImportNotFoundError, and BusyError after eight attempts at one transaction.
    """
    result = _find_result(owner, id_, number)
    chunk: _OpenChunk | None = None
    while not result.is_processed:
        if not has_time():
            return False
        chunk = chunk or _open_chunk(owner, id_, number)
        result = _process_part(chunk, result)
    return True


class _OpenChunk:
    """A chunk that is processed now: its entries, and what is prepared for them."""

    def __init__(self, known: Import, number: int, lines: list[bytes]) -> None:
        self.known = known
        self.number = number
        self.lines = lines
        self._prepared: dict[int, list[table.Write] | Failure] = {}

    def prepare(self, position: int) -> list[table.Write] | Failure:
        """Return the writes that create the item for an entry, or why there can be no item."""
        if position not in self._prepared:
            index = self.known.chunks[self.number].first + position
            try:
                self._prepared[position] = _prepare_item(self.known, index, self.lines[position])
            except errors.ApiError as error:
                self._prepared[position] = Failure(index, error.code, error.message)
        return self._prepared[position]


def _open_chunk(owner: str, id_: str, number: int) -> _OpenChunk:
    known = _get(owner, id_)
    if not 0 <= number < len(known.chunks):
        raise errors.ImportNotFoundError(id=id_)
    chunk = known.chunks[number]
    lines = bucket.read_range(bucket.import_key(owner, id_), chunk.start, chunk.size).split(b"\n")
    return _OpenChunk(known, number, lines)


def _process_part(chunk: _OpenChunk, before: ChunkResult) -> ChunkResult:
    """Process as many entries as one transaction can, and return the result after it.

    If another function has processed some since ``before``, return its result. Raise BusyError after eight attempts.
    """
    known, number = chunk.known, chunk.number
    for _ in items.write_attempts():
        writes, after = _prepare_part(chunk, before)
        try:
            table.write(*writes, _put_result(known, number, before, after))
        except table.WriteRejectedError:
            pass  # Another function is processing the same chunk, or an earlier attempt succeeded.
        except table.FAILURES as error:
            if not failures.is_transient(error):
                raise
        else:
            telemetry.add_count("ItemsCreated", after.created - before.created)
            telemetry.add_count("ImportEntriesFailed", len(after.failures) - len(before.failures))
            return after
        stored = _find_result(known.owner, known.id, number)
        if stored != before:
            return stored
    raise errors.BusyError


def _prepare_part(chunk: _OpenChunk, before: ChunkResult) -> tuple[list[table.Write], ChunkResult]:
    """Return the writes of the next entries, as many as fit into a transaction, and the result after them."""
    writes: list[table.Write] = []
    failed = list(before.failures)
    created, position, size = before.created, before.next or 0, 0
    while position < len(chunk.lines):
        prepared = chunk.prepare(position)
        if isinstance(prepared, Failure):
            failed.append(prepared)
        else:
            size += sum(write.size for write in prepared)
            if writes and (len(writes) + len(prepared) > MAX_PART_WRITES or size > MAX_PART_BYTES):
                break
            writes += prepared
            created += 1
        position += 1
    is_end = position == len(chunk.lines)
    given_up = before.given_up and not is_end
    return writes, ChunkResult(created, tuple(failed), None if is_end else position, given_up)


def _prepare_item(known: Import, index: int, line: bytes) -> list[table.Write]:
    new = validation.validate_item(exact_json.object_from_json(line, "The entry"))
    return items.prepare_create(known.owner, _item_id(known, index), new, times.parse_time(known.created_at))


def _item_id(known: Import, index: int) -> str:
    """Return the id of the item for an entry. It is the same each time, and the ids sort like the entries."""
    tail = int.from_bytes(hashlib.sha256(f"{known.id}/{index}".encode()).digest()[:7])
    return ids.new_id(ids.id_time_ms(known.id), index << 58 | tail)


# ------------------------------------------------------------------------------------------------------------ work due


def resume(owner: str, id_: str, at: datetime) -> None:
    """Queue the chunks of an import that are not processed to their end. After a day, give them up instead."""
    known = _get(owner, id_)
    due_at: datetime | None = at + RESUME_INTERVAL
    unfinished = _unfinished(known)
    if unfinished and at <= times.parse_time(known.created_at) + GIVE_UP_AFTER:
        telemetry.logger.warning("Import chunks not processed: retrying", import_id=id_, chunks=len(unfinished))
        _queue(known, unfinished)
    elif not unfinished or _give_up(known, unfinished):
        due_at = None
    table.write(_put(known, table.PRESENT, due_at))


def _unfinished(known: Import) -> dict[int, ChunkResult]:
    """Return the chunks that are neither processed to their end nor given up, with the results so far."""
    results = _results(known.owner, known.id)
    found = {number: results.get(number, _NOT_STARTED) for number in range(len(known.chunks))}
    return {number: result for number, result in found.items() if not result.is_settled}


def _give_up(known: Import, unfinished: Mapping[int, ChunkResult]) -> bool:
    """Let the entries that are not processed count as failed. Return False if some are being processed now."""
    numbers = sorted(unfinished)
    telemetry.logger.error("Import failed: chunks not processed within a day", import_id=known.id, chunks=numbers)
    telemetry.add_count("ImportsGivenUp")
    for number, before in unfinished.items():
        # Do not suppress TransactionConflictError: the other transaction may still be cancelled, so try again later.
        with contextlib.suppress(table.ConditionFailedError):
            table.write(_put_result(known, number, before, msgspec.structs.replace(before, given_up=True)))
    return not _unfinished(known)


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


def _find_result(owner: str, id_: str, number: int) -> ChunkResult:
    record = table.get(_result_key(owner, id_, number))
    return msgspec.convert(record, ChunkResult) if record else _NOT_STARTED


def _failures(chunk: Chunk, result: ChunkResult) -> Iterator[Failure]:
    """Yield the failures of a chunk, including those of the entries that were given up."""
    yield from result.failures
    if result.given_up and result.next is not None:
        for index in range(chunk.first + result.next, chunk.first + chunk.entries):
            yield Failure(index, errors.InternalError.code, _NOT_PROCESSED)


def _put(known: Import, condition: table.Condition, due_at: datetime | None) -> table.Put:
    values: table.Record = msgspec.to_builtins(known)
    values = {name: value for name, value in values.items() if name not in ("owner", "id")}
    until = times.parse_time(known.created_at) + RETENTION
    due = None if due_at is None else times.format_time(due_at)
    return table.Put(_key(known.owner, known.id), values, condition, due_at=due, delete_after=until)


def _put_result(known: Import, number: int, before: ChunkResult, after: ChunkResult) -> table.Put:
    """Return the write that replaces the result ``before`` by ``after``. It is refused if the stored one is another."""
    is_before = table.attributes_are(next=before.next, givenUp=before.given_up or None)
    until = times.parse_time(known.created_at) + RETENTION
    return table.Put(
        _result_key(known.owner, known.id, number),
        msgspec.to_builtins(after),
        table.ABSENT if before == _NOT_STARTED else is_before,
        delete_after=until,
    )


def _key(owner: str, id_: str) -> table.Key:
    return table.Key(owner, "IMPORT", id_)


def _result_key(owner: str, id_: str, number: int) -> table.Key:
    return table.Key(owner, "CHUNK", f"{id_}#{number:05d}")
