"""The records of exports in the table, and the slots that limit how many of an owner's exports run at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chalicelib import errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue.models import Export
from chalicelib.values import ids, times

RETENTION = timedelta(days=7)
"""How long an export and its files are kept. A lifecycle rule deletes the files (``infra/resources.json``)."""

RESUME_INTERVAL = timedelta(hours=1)
"""How long an export may make no progress before the cleanup sends its message again."""

MAX_RUNNING = 3
"""The most exports of an owner that run at once."""


def get(owner: str, id_: str) -> Export:
    """Return an export. Raise ExportNotFoundError if it does not exist."""
    record = table.get(key(owner, id_)) if ids.is_id(id_) else None
    if record is None or "createdAt" not in record:  # a placeholder (job_records) has no attributes of an export
        raise errors.ExportNotFoundError(id=id_)
    return msgspec.convert(record | {"owner": owner, "id": id_}, Export)


def prepare_create(new: Export, at: datetime) -> list[table.Write]:
    """Return the writes that store a new export in a free slot of its owner.

    Raise TooManyExportsError if there is none.
    """
    taken = {id_ for id_, _ in table.query_prefix(new.owner, "EXPORTSLOT", "")}
    free = next((number for number in range(1, MAX_RUNNING + 1) if str(number) not in taken), None)
    if free is None:
        raise errors.TooManyExportsError(limit=MAX_RUNNING)
    stored = msgspec.structs.replace(new, slot=free)
    return [
        _put(stored, table.ABSENT, at),
        table.Put(_slot(stored), {"export": new.id}, table.ABSENT, delete_after=end(new)),
    ]


def prepare_replace(before: Export, after: Export, at: datetime) -> list[table.Write]:
    """Return the writes that replace an export. They are refused if the stored one is not ``before``.

    If ``after`` has ended, its slot becomes free.
    """
    condition = table.attributes_are(revision=before.revision or None, createdAt=before.created_at)
    writes: list[table.Write] = [_put(after, condition, at)]
    return [*writes, table.Delete(_slot(after))] if after.has_ended else writes


def key(owner: str, id_: str) -> table.Key:
    """Return the key of the record of an export."""
    return table.Key(owner, "EXPORT", id_)


def object_key(known: Export, name: str) -> str:
    """Return the key of an object of an export in the bucket."""
    return bucket.export_key(known.owner, known.id, name)


def end(known: Export) -> datetime:
    """Return when an export and its files are deleted."""
    return times.parse_time(known.created_at) + RETENTION


def _put(known: Export, condition: table.Condition, at: datetime) -> table.Put:
    values: table.Record = msgspec.to_builtins(known)
    values = {name: value for name, value in values.items() if name not in ("owner", "id")}
    due_at = None if known.has_ended else times.format_time(at + RESUME_INTERVAL)
    return table.Put(key(known.owner, known.id), values, condition, due_at=due_at, delete_after=end(known))


def _slot(known: Export) -> table.Key:
    return table.Key(known.owner, "EXPORTSLOT", str(known.slot))
