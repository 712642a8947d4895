"""Bulk creation: a request is cut into chunks, kept in the bucket, worked off by the queue, and counted exactly.

Whatever comes twice is done once: a chunk's items and its result are written in one transaction.
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
from chalicelib.catalogue import idempotency, items, validation
from chalicelib.catalogue.messages import ImportChunk
from chalicelib.catalogue.models import Chunk, ChunkResult, Failure, Import
from chalicelib.values import exact_json, ids, times

MAX_BYTES = 5 * 1024 * 1024
_MAX_SIZE = f"{MAX_BYTES // 1024**2} MB"
MAX_ENTRIES = 10_000
MAX_FAILURES_SHOWN = 1_000
CHUNK = 50
"""Entries that one message creates, in one transaction: DynamoDB takes 100 writes (AWS, "TransactWriteItems")."""

CHUNK_BYTES = 1024 * 1024
"""Of its entries as JSON, unless it has only one. A transaction may have 4 MB, and DynamoDB counts at most
twice the bytes of JSON (``dynamodb_limits.stored_size``): a digit and its comma count 4."""

KEPT = timedelta(days=30)
RESUME_PERIOD = timedelta(hours=1)
"""How long an import may take before the cleanup looks whether a chunk of it got lost."""

GIVE_UP_PERIOD = timedelta(hours=24)

_LOST = "This entry was not processed within a day, so no item was created."


class Begun(NamedTuple):
    """An import that was accepted; ``replayed``: by an earlier request with the same idempotency key."""

    id: str
    total: int
    replayed: bool = False


class _Claim(NamedTuple):
    """The idempotency key of an import: where it is remembered, and the digest of the entries it came with."""

    key: table.Key
    said: str


class _Body(msgspec.Struct):
    items: list[msgspec.Raw]


class Progress(NamedTuple):
    """How far an import is: ``failures`` are the first thousand, ``failed`` counts all."""

    status: Literal["queued", "running", "done"]
    total: int
    created: int
    failed: int
    failures: list[Failure]


def entries_of_json(body: bytes) -> list[bytes]:
    """The entries of ``{"items": […]}``, unread. Raises InvalidJsonError, InvalidRequestError, ImportTooLargeError."""
    _limit(len(body), MAX_BYTES, _MAX_SIZE)
    try:
        entries = msgspec.json.decode(body, type=_Body).items
    except msgspec.ValidationError as problem:
        raise validation.invalid(_Body, "The body", problem) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise exact_json.invalid_json(body, problem, "The body") from None
    # Chunks are kept as NDJSON. In JSON a line break stands between tokens only: in a string it is escaped.
    return [bytes(entry).replace(b"\n", b" ") for entry in entries]


def entries_of_ndjson(body: bytes) -> list[bytes]:
    """The lines of an NDJSON body that are not blank, unread. Raises ImportTooLargeError."""
    _limit(len(body), MAX_BYTES, _MAX_SIZE)
    # Files that were joined bring a byte order mark each.
    lines = (line.removeprefix(exact_json.BYTE_ORDER_MARK) for line in body.splitlines())
    return [line for line in lines if line.strip()]


def start(owner: str, entries: list[bytes], at: datetime, key: str | None = None) -> Begun:
    """Keep an import and queue its chunks; or, if a request with the same ``key`` did before, return what that began.

    Raise ImportTooLargeError, InvalidRequestError if there is nothing to import, IdempotencyKeyReusedError if the key
    came with other entries before, BusyError.

    An import is accepted once its record is written, and never if that failed: a caller who was told of a failure sends
    the entries again. Chunks that the queue does not take now are queued by the cleanup within the hour.
    """
    if not entries:
        raise errors.InvalidRequestError(problem="There is nothing to import: send at least one item.")
    _limit(len(entries), MAX_ENTRIES, f"{MAX_ENTRIES} items")
    aws.queue_url()  # If there is no queue at all, nothing is kept that would wait for it.
    body = b"\n".join(entries)
    claim = None if key is None else _Claim(table.Key(owner, "IMPORTKEY", key), hashlib.sha256(body).hexdigest())
    if claim and (earlier := _begun_with(claim, at)):
        return earlier
    new = Import(
        owner=owner,
        id=ids.new_id(times.unix_ms(at)),
        created_at=times.format_time(at),
        total=len(entries),
        chunks=_cut(entries),
    )
    bucket.write(bucket.import_key(owner, new.id), body, "application/x-ndjson")
    begun = _accepted(new, claim, at)
    if not begun.replayed:
        try:
            _queue(new, range(len(new.chunks)))
        except queue.FAILURES:
            telemetry.logger.exception("An import could not be queued: the cleanup will do it", import_id=new.id)
    return begun


def progress(owner: str, id_: str, at: datetime) -> Progress:
    """Return how far an import is. Raise ImportNotFoundError; after 30 days, too."""
    known = _known(owner, id_)
    # TTL deletes late, and in any order (AWS, "Using time to live"): some of the results may be gone by now.
    if times.parse_time(known.created_at) + KEPT <= at:
        raise errors.ImportNotFoundError(id=id_)
    results = _results(owner, id_)
    failures = [failure for number in sorted(results) for failure in results[number].failures]
    created = sum(result.created for result in results.values())
    return Progress(
        _status(len(results), len(known.chunks)), known.total, created, len(failures), failures[:MAX_FAILURES_SHOWN]
    )


def work_off(owner: str, id_: str, number: int) -> None:
    """Create the items of one chunk. Doing it again changes nothing; a bad entry never stops the others.

    All items and the chunk's result are one transaction. So whatever was interrupted was not done, and what was done is
    never done again: an item that was deleted since stays deleted.

    A chunk that was given up is done all the same if its message comes after all, such as a dead letter sent back.

    Raise ImportNotFoundError, BusyError after eight tries.
    """
    work: tuple[list[table.Put], ChunkResult] | None = None
    for _ in items.tries():
        earlier = table.get(_result_key(owner, id_, number))
        if earlier is not None and not earlier.get("givenUp"):
            return
        puts, result = work = work or _work(owner, id_, number)
        try:
            table.write(*puts)
        except table.WriteRejectedError:
            continue  # The same message is processed elsewhere at this moment.
        except table.FAILURES as error:
            if not failures.is_transient(error):
                raise
            continue
        telemetry.add_count("ItemsCreated", result.created)
        telemetry.add_count("ImportEntriesFailed", len(result.failures))
        return
    raise errors.BusyError


def _work(owner: str, id_: str, number: int) -> tuple[list[table.Put], ChunkResult]:
    """Return the writes that create the items of a chunk and keep its result, and this result."""
    known = _known(owner, id_)
    if not 0 <= number < len(known.chunks):
        raise errors.ImportNotFoundError(id=id_)
    chunk = known.chunks[number]
    lines = bucket.read_range(bucket.import_key(owner, id_), chunk.start, chunk.size).split(b"\n")
    puts: list[table.Put] = []
    failures: list[Failure] = []
    for index, line in enumerate(lines, chunk.first):
        try:
            puts.append(_item(known, index, line))
        except errors.ApiError as error:
            failures.append(Failure(index, error.code, error.message))
    result = ChunkResult(created=len(puts), failures=tuple(failures))
    return [*puts, _put_result(known, number, result, _NOT_DONE)], result


def resume(owner: str, id_: str, at: datetime) -> None:
    """Queues the chunks of an import that are not done after an hour, every hour for a day; then it gives them up."""
    known = _known(owner, id_)
    missing = sorted(set(range(len(known.chunks))) - _results(owner, id_).keys())
    if missing and at <= times.parse_time(known.created_at) + GIVE_UP_PERIOD:
        telemetry.logger.warning("Chunks of an import were not done", import_id=id_, chunks=len(missing))
        _queue(known, missing)
        table.write(_put(known, table.PRESENT, at + RESUME_PERIOD))
        return
    if missing:
        _give_up(known, missing)
    table.write(_put(known, table.PRESENT, None))


def _give_up(known: Import, numbers: list[int]) -> None:
    """Record chunks as failed that were not processed, unless that is being done now; they may still be done later."""
    telemetry.logger.error("An import was given up", import_id=known.id, chunks=numbers)
    telemetry.add_count("ImportsGivenUp")
    for number in numbers:
        chunk = known.chunks[number]
        indexes = range(chunk.first, chunk.first + chunk.entries)
        lost = tuple(Failure(index, errors.InternalError.code, _LOST) for index in indexes)
        # Not for a conflict: a transaction that is in progress may be cancelled yet.
        with contextlib.suppress(table.ConditionFailedError):
            table.write(_put_result(known, number, ChunkResult(created=0, failures=lost, given_up=True), table.ABSENT))


def _cut(entries: list[bytes]) -> tuple[Chunk, ...]:
    """Return the chunks of an import whose object has one entry a line."""
    chunks: list[Chunk] = []
    first = start = end = 0
    for index, entry in enumerate(entries):
        if index - first == CHUNK or (index > first and end + len(entry) - start > CHUNK_BYTES):
            chunks.append(Chunk(first, index - first, start, end - 1 - start))
            first, start = index, end
        end += len(entry) + 1
    return (*chunks, Chunk(first, len(entries) - first, start, end - 1 - start))


def _begun_with(claim: _Claim, at: datetime) -> Begun | None:
    record = idempotency.earlier(claim.key, claim.said, at)
    return Begun(record["id"], record["total"], replayed=True) if record else None


def _accepted(new: Import, claim: _Claim | None, at: datetime) -> Begun:
    """Write the record of an import, and with it the one of its idempotency key.

    If another request with the same key was faster, return what that one began.
    """
    begun = Begun(new.id, new.total)
    writes = [_put(new, table.ABSENT, at + RESUME_PERIOD)]
    if claim:
        made = {"id": new.id, "total": new.total}
        writes.append(idempotency.claim(claim.key, claim.said, made, at, at + items.IDEMPOTENCY_PERIOD))
    for _ in items.tries():
        try:
            with contextlib.suppress(table.WriteRejectedError):
                table.write(*writes)
                return begun
            # By another request with the same key; or by this very write, if its first response got lost.
            if table.get(_key(new.owner, new.id)):
                return begun
            if claim and (earlier := _begun_with(claim, at)):
                return earlier
        except table.FAILURES:
            if not _was_written(new, at):
                raise
            return begun
    raise errors.BusyError


def _was_written(new: Import, at: datetime) -> bool:
    """Whether the record of an import is there, although writing it failed.

    The failed write may still be under way. So another record is put in its place, which has it refused; only if that
    fails three times, too, is an import possible that its caller was told has failed.
    """
    void = table.Put(_key(new.owner, new.id), {"void": True}, table.ABSENT, delete_after=at + GIVE_UP_PERIOD)
    unclear = False
    for _ in itertools.islice(items.tries(), 3):
        try:
            table.write(void)
        except table.ConditionFailedError as refused:
            if not (unclear or refused.may_be_applied):
                return True  # Nobody else has this id, and the other record was never put there.
            break
        except (table.TransactionConflictError, *table.FAILURES):
            unclear = True
            continue
        return False
    record = table.get(_key(new.owner, new.id))
    return record is not None and "void" not in record


def _item(known: Import, index: int, line: bytes) -> table.Put:
    draft = validation.draft(exact_json.object_from_json(line, "The entry"))
    return items.creation(known.owner, _entry_id(known, index), draft, times.parse_time(known.created_at))


def _entry_id(known: Import, index: int) -> str:
    """An id of the import's own time, in the order of the entries, the same whenever the entry is worked off."""
    chance = int.from_bytes(hashlib.sha256(f"{known.id}/{index}".encode()).digest()[:7])
    return ids.new_id(ids.id_time_ms(known.id), index << 58 | chance)


def _queue(known: Import, numbers: Iterable[int]) -> None:
    queue.send(*(ImportChunk(known.owner, known.id, number) for number in numbers))


def _status(done: int, chunks: int) -> Literal["queued", "running", "done"]:
    if done == chunks:
        return "done"
    return "running" if done else "queued"


def _limit(size: int, limit: int, words: str) -> None:
    if size > limit:
        raise errors.ImportTooLargeError(limit=words)


def _known(owner: str, id_: str) -> Import:
    record = table.get(_key(owner, id_)) if ids.is_id(id_) else None
    if record is None or "void" in record:
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
    until = times.parse_time(known.created_at) + KEPT
    due = None if due_at is None else times.format_time(due_at)
    return table.Put(_key(known.owner, known.id), values, condition, due_at=due, delete_after=until)


def _put_result(known: Import, number: int, result: ChunkResult, condition: table.Condition) -> table.Put:
    until = times.parse_time(known.created_at) + KEPT
    return table.Put(
        _result_key(known.owner, known.id, number), msgspec.to_builtins(result), condition, delete_after=until
    )


_NOT_DONE = table.Condition("attribute_not_exists(pk) OR givenUp = :true", {":true": {"BOOL": True}})


def _key(owner: str, id_: str) -> table.Key:
    return table.Key(owner, "IMPORT", id_)


def _result_key(owner: str, id_: str, number: int) -> table.Key:
    return table.Key(owner, "CHUNK", f"{id_}#{number:05d}")
