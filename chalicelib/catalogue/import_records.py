"""The records of imports in the table, and their entries in the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from chalicelib import errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue.models import Chunk, ChunkResult, Failure, Import
from chalicelib.values import ids, times

RETENTION = timedelta(days=30)

NOT_STARTED = ChunkResult(created=0, next=0)
"""The result of a chunk that has no record."""

_NOT_PROCESSED = "This entry was not processed within a day, so no item was created."


def get(owner: str, id_: str) -> Import:
    """Return an import. Raise ImportNotFoundError if it does not exist."""
    record = table.get(key(owner, id_)) if ids.is_id(id_) else None
    if record is None or "createdAt" not in record:  # a placeholder (job_records) has no attributes of an import
        raise errors.ImportNotFoundError(id=id_)
    return msgspec.convert(record | {"owner": owner, "id": id_}, Import)


def prepare_put(known: Import, condition: table.Condition, due_at: datetime | None) -> table.Put:
    """Return the write that stores an import, with work due at ``due_at``."""
    values: table.Record = msgspec.to_builtins(known)
    values = {name: value for name, value in values.items() if name not in ("owner", "id")}
    due = None if due_at is None else times.format_time(due_at)
    return table.Put(key(known.owner, known.id), values, condition, due_at=due, delete_after=_end(known))


def key(owner: str, id_: str) -> table.Key:
    """Return the key of the record of an import."""
    return table.Key(owner, "IMPORT", id_)


def find_results(known: Import) -> dict[int, ChunkResult]:
    """Return the results of the chunks that have one, by their numbers."""
    return {
        int(chunk_id.rpartition("#")[2]): msgspec.convert(record, ChunkResult)
        for chunk_id, record in table.query_prefix(known.owner, "CHUNK", f"{known.id}#")
    }


def find_result(owner: str, id_: str, number: int) -> ChunkResult:
    """Return the result of one chunk."""
    record = table.get(_result_key(owner, id_, number))
    return msgspec.convert(record, ChunkResult) if record else NOT_STARTED


def prepare_put_result(known: Import, number: int, before: ChunkResult, after: ChunkResult) -> table.Put:
    """Return the write that replaces the result ``before`` by ``after``. It is refused if another is stored."""
    is_before = table.attributes_are(next=before.next, givenUp=before.given_up or None)
    return table.Put(
        _result_key(known.owner, known.id, number),
        msgspec.to_builtins(after),
        table.ABSENT if before == NOT_STARTED else is_before,
        delete_after=_end(known),
    )


def failures(chunk: Chunk, result: ChunkResult) -> Iterator[Failure]:
    """Yield the failures of a chunk, including those of the entries that were given up."""
    yield from result.failures
    if result.given_up and result.next is not None:
        for index in range(chunk.first + result.next, chunk.first + chunk.entries):
            yield Failure(index, errors.InternalError.code, _NOT_PROCESSED)


def read_entries(known: Import, chunk: Chunk) -> list[bytes]:
    """Return the stored entries of a chunk."""
    return bucket.read_range(bucket.import_key(known.owner, known.id), chunk.start, chunk.size).split(b"\n")


def _end(known: Import) -> datetime:
    return times.parse_time(known.created_at) + RETENTION


def _result_key(owner: str, id_: str, number: int) -> table.Key:
    return table.Key(owner, "CHUNK", f"{id_}#{number:05d}")
