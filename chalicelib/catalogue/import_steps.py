"""Process the chunks of bulk imports: create the items of their entries, and record how far each chunk is processed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from chalicelib import errors, telemetry
from chalicelib.aws import failures, table
from chalicelib.catalogue import import_parsing, import_records, import_upserts, items, validation
from chalicelib.catalogue.import_upserts import Prepared
from chalicelib.catalogue.models import ChunkResult, Failure, Import, Item
from chalicelib.values import ids, times

MAX_PART_WRITES = table.MAX_TRANSACTION_WRITES - 1
MAX_PART_BYTES = table.MAX_TRANSACTION_BYTES - 512 * 1024
"""What one transaction of a chunk may write besides the chunk's result, which is a record of up to 400 KB."""


def process(owner: str, id_: str, number: int, has_time: Callable[[], bool] | None = None) -> bool:
    """Create or change the items of one chunk. Repeating it changes nothing. An invalid entry does not stop the others.

    Return whether it is completely processed. Otherwise ``has_time`` returned False, and the next call continues. As
    long as ``has_time`` returns True, a throttled transaction is tried again: an import can write more than a partition
    of the table takes.

    Several transactions write the items. Each also writes how many entries are processed, on the condition that they
    follow those that were processed before. So an interrupted chunk continues where it was interrupted, and no entry is
    processed twice: an item that was deleted since stays deleted.

    A chunk that was given up is still processed if its message arrives later, such as a dead letter that was sent back.

    Raise ImportNotFoundError; without ``has_time``, BusyError after eight attempts at one transaction.
    """
    result = import_records.find_result(owner, id_, number)
    chunk: _OpenChunk | None = None
    while not result.is_processed:
        if has_time and not has_time():
            return False
        chunk = chunk or _open_chunk(owner, id_, number)
        try:
            result = _process_part(chunk, result)
        except errors.BusyError:
            if has_time is None:
                raise
    return True


class _OpenChunk:
    """A chunk that is processed now: its entries, and what is prepared for them."""

    def __init__(self, known: Import, number: int) -> None:
        self.known = known
        self.number = number
        self.entries = import_records.read_entries(known, known.chunks[number])
        self._prepared: dict[int, Prepared | Failure] = {}

    def prepare(self, position: int) -> Prepared | Failure:
        """Return what is to be written for an entry, or why it fails."""
        if position not in self._prepared:
            index = self.known.chunks[self.number].first + position
            self._prepared[position] = _prepare(self.known, index, self.entries[position])
        return self._prepared[position]

    def forget(self) -> None:
        """Discard what is prepared, because items may have been changed since then."""
        self._prepared.clear()


def _open_chunk(owner: str, id_: str, number: int) -> _OpenChunk:
    known = import_records.get(owner, id_)
    if not 0 <= number < len(known.chunks):
        raise errors.ImportNotFoundError(id=id_)
    return _OpenChunk(known, number)


def _process_part(chunk: _OpenChunk, before: ChunkResult) -> ChunkResult:
    """Process as many entries as one transaction can, and return the result after it.

    If another function has processed some since ``before``, return its result. Raise BusyError after eight attempts.
    """
    known, number = chunk.known, chunk.number
    for _ in table.write_attempts():
        writes, changes, after = _prepare_part(chunk, before)
        try:
            table.write(*writes, import_records.prepare_put_result(known, number, before, after))
        except table.WriteRejectedError:
            pass  # Another function is processing the same chunk, or an earlier attempt succeeded.
        except table.FAILURES as error:
            if not failures.is_transient(error):
                raise
        else:
            telemetry.add_count("ItemsCreated", after.created - before.created)
            telemetry.add_count("ItemsUpdated", after.updated - before.updated)
            telemetry.add_count("ImportEntriesFailed", len(after.failures) - len(before.failures))
            items.queue_exposure_jobs(changes)
            return after
        stored = import_records.find_result(known.owner, known.id, number)
        if stored != before:
            return stored
        if known.key:
            chunk.forget()
    raise errors.BusyError


def _prepare_part(
    chunk: _OpenChunk, before: ChunkResult
) -> tuple[list[table.Write], list[tuple[Item, Item]], ChunkResult]:
    """Return the writes of the next entries, as many as fit into a transaction.

    Return also the items that they change, before and after, and the result after them.
    """
    writes: list[table.Write] = []
    changes: list[tuple[Item, Item]] = []
    failed = list(before.failures)
    created = 0
    position, size = before.next or 0, 0
    while position < len(chunk.entries):
        prepared = chunk.prepare(position)
        if isinstance(prepared, Failure):
            failed.append(prepared)
        else:
            size += sum(write.size for write in prepared.writes)
            if writes and (len(writes) + len(prepared.writes) > MAX_PART_WRITES or size > MAX_PART_BYTES):
                break
            writes += prepared.writes
            if prepared.change:
                changes.append(prepared.change)
            else:
                created += 1
        position += 1
    is_end = position == len(chunk.entries)
    return (
        writes,
        changes,
        ChunkResult(
            created=before.created + created,
            updated=before.updated + len(changes),
            failures=tuple(failed),
            next=None if is_end else position,
            given_up=before.given_up and not is_end,
        ),
    )


def _prepare(known: Import, index: int, line: bytes) -> Prepared | Failure:
    """Return what is to be written for an entry, or why it fails."""
    entry = import_parsing.stored_entry(known, line)
    created_at = times.parse_time(known.created_at)
    try:
        if known.key:
            return import_upserts.prepare(known, _item_id(known, index), entry)
        new = validation.validate_item(entry.fields(known.columns))
        return Prepared(items.prepare_create(known.owner, _item_id(known, index), new, created_at))
    except errors.BusyError:
        raise  # The chunk is processed again.
    except errors.ApiError as error:
        return Failure(index, error.code, entry.message(error, known.columns), entry.line)


def _item_id(known: Import, index: int) -> str:
    """Return the id of the item for an entry. It is the same each time, and the ids sort like the entries."""
    tail = int.from_bytes(hashlib.sha256(f"{known.id}/{index}".encode()).digest()[:7])
    return ids.new_id(ids.id_time_ms(known.id), index << 58 | tail)
