"""Bulk creation: a request is cut into chunks, kept in the bucket, worked off by the queue, and counted exactly.

Whatever comes twice is done once: an entry's item has an id that follows from the import and the entry's place in it,
and what became of a chunk is one record, written over by the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from chalicelib import aws, bucket, errors, items, models, primitives, queue, table, telemetry
from chalicelib.models import ChunkResult, Failure, Import, ImportChunk

MAX_BYTES = 5 * 1024 * 1024
_MAX_SIZE = f"{MAX_BYTES // 1024**2} MB"
MAX_ENTRIES = 10_000
MAX_FAILURES_SHOWN = 1_000
CHUNK = 100
"""Entries that one message creates: some seconds of work, well inside the consumer's time."""

KEPT = timedelta(days=30)
RESUME_PERIOD = timedelta(hours=1)
"""How long an import may take before the cleanup looks whether a chunk of it got lost."""

GIVE_UP_PERIOD = timedelta(hours=24)

_LOST = "This entry was not worked off within a day. Look whether its item is there before you send it again."


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
        raise models.invalid(problem) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise errors.InvalidJsonError(problem=f"{problem}.") from None
    # Chunks are kept as NDJSON. In JSON a line break stands between tokens only: in a string it is escaped.
    return [bytes(entry).replace(b"\n", b" ") for entry in entries]


def entries_of_ndjson(body: bytes) -> list[bytes]:
    """The lines of an NDJSON body that are not blank, unread. Raises ImportTooLargeError."""
    _limit(len(body), MAX_BYTES, _MAX_SIZE)
    return [line for line in body.splitlines() if line.strip()]


def start(owner: str, entries: list[bytes], at: datetime) -> Import:
    """Keeps an import and queues its chunks. Raises ImportTooLargeError, InvalidRequestError where there is nothing.

    Once it is kept, it is accepted: chunks that the queue does not take now are queued by the cleanup within the hour.
    Whoever was told of a failure would ask again, and what was queued before it would create the same items twice.
    """
    if not entries:
        raise errors.InvalidRequestError(problem="There is nothing to import.")
    _limit(len(entries), MAX_ENTRIES, f"{MAX_ENTRIES} items")
    aws.queue_url()  # Where there is no queue at all, nothing is kept that would wait for it.
    chunks = [entries[first : first + CHUNK] for first in range(0, len(entries), CHUNK)]
    new = Import(
        owner=owner, id=primitives.new_id(), created_at=primitives.timestamp(at), total=len(entries), chunks=len(chunks)
    )
    for number, chunk in enumerate(chunks):
        bucket.write(bucket.chunk_key(owner, new.id, number), b"\n".join(chunk), "application/x-ndjson")
    table.write(_put(new, at + RESUME_PERIOD))
    try:
        _queue(new, range(new.chunks))
    except queue.FAILURES:
        telemetry.logger.exception("An import could not be queued: the cleanup will do it", import_id=new.id)
    return new


def progress(owner: str, id_: str) -> Progress:
    """How far an import is. Raises ImportNotFoundError."""
    known, results = _known(owner, id_), _results(owner, id_)
    failures = [failure for number in sorted(results) for failure in results[number].failures]
    created = sum(result.created for result in results.values())
    return Progress(
        _status(len(results), known.chunks), known.total, created, len(failures), failures[:MAX_FAILURES_SHOWN]
    )


def work_off(owner: str, id_: str, number: int) -> None:
    """Creates the items of one chunk. Doing it again changes nothing; a bad entry never stops the others.

    A chunk that was given up is done all the same when its message comes after all, such as a dead letter sent back.

    Raises ImportNotFoundError.
    """
    earlier = table.get(_result_key(owner, id_, number))
    if earlier is not None and not earlier.get("given_up"):
        return
    known = _known(owner, id_)
    entries = bucket.read(bucket.chunk_key(owner, id_, number)).split(b"\n")
    first = number * CHUNK
    failures = [
        failure for index, entry in enumerate(entries, first) if (failure := _create(known, index, entry)) is not None
    ]
    result = ChunkResult(created=len(entries) - len(failures), failures=tuple(failures))
    table.write(_put_result(known, number, result))
    telemetry.count("ImportEntriesFailed", len(failures))


def resume(owner: str, id_: str, at: datetime) -> None:
    """Queues the chunks of an import that are not done after an hour, every hour for a day; then it gives them up."""
    known = _known(owner, id_)
    missing = sorted(set(range(known.chunks)) - _results(owner, id_).keys())
    if missing and at <= primitives.parse_time(known.created_at) + GIVE_UP_PERIOD:
        telemetry.logger.warning("Chunks of an import were not done", import_id=id_, chunks=len(missing))
        _queue(known, missing)
        table.write(_put(known, at + RESUME_PERIOD))
        return
    if missing:
        _give_up(known, missing)
    table.write(_put(known, None))


def _give_up(known: Import, numbers: list[int]) -> None:
    """Settles chunks that nobody worked off, unless that is done at this very moment; it may still be done later."""
    telemetry.logger.error("An import was given up", import_id=known.id, chunks=numbers)
    telemetry.count("ImportsGivenUp")
    for number in numbers:
        indexes = range(number * CHUNK, min((number + 1) * CHUNK, known.total))
        lost = tuple(Failure(index, errors.InternalError.code, _LOST) for index in indexes)
        with contextlib.suppress(table.RefusedError):
            table.write(_put_result(known, number, ChunkResult(created=0, failures=lost, given_up=True), table.ABSENT))


def _create(known: Import, index: int, entry: bytes) -> Failure | None:
    created = primitives.parse_time(known.created_at)
    try:
        draft = models.draft(primitives.json_object(entry))
        items.create_as(known.owner, _entry_id(known, index), draft, created)
    except errors.ApiError as error:
        if error.status >= 500:
            raise
        return Failure(index, error.code, error.message)
    return None


def _entry_id(known: Import, index: int) -> str:
    """An id of the import's own time, in the order of the entries, the same whenever the entry is worked off."""
    chance = int.from_bytes(hashlib.sha256(f"{known.id}/{index}".encode()).digest()[:7])
    return primitives.new_id(primitives.id_time_ms(known.id), index << 58 | chance)


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
    record = table.get(_key(owner, id_)) if primitives.is_id(id_) else None
    if record is None:
        raise errors.ImportNotFoundError(id=id_)
    return primitives.typed(record | {"owner": owner, "id": id_}, Import)


def _results(owner: str, id_: str) -> dict[int, ChunkResult]:
    return {
        int(chunk_id.rpartition("#")[2]): primitives.typed(record, ChunkResult)
        for chunk_id, record in table.every(owner, "CHUNK", f"{id_}#")
    }


def _put(known: Import, due_at: datetime | None) -> table.Put:
    values = {"created_at": known.created_at, "total": known.total, "chunks": known.chunks}
    until = primitives.parse_time(known.created_at) + KEPT
    due = None if due_at is None else primitives.timestamp(due_at)
    return table.Put(_key(known.owner, known.id), values, due_at=due, until=until)


def _put_result(known: Import, number: int, result: ChunkResult, condition: table.Condition | None = None) -> table.Put:
    until = primitives.parse_time(known.created_at) + KEPT
    return table.Put(_result_key(known.owner, known.id, number), msgspec.to_builtins(result), condition, until=until)


def _key(owner: str, id_: str) -> table.Key:
    return table.Key(owner, "IMPORT", id_)


def _result_key(owner: str, id_: str, number: int) -> table.Key:
    return table.Key(owner, "CHUNK", f"{id_}#{number:05d}")
