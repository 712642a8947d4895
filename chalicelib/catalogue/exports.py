"""Exports: accept one, report its progress, resume it. ``export_steps`` makes the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.aws import bucket, queue, table
from chalicelib.catalogue import export_records, idempotency, job_records, search
from chalicelib.catalogue.messages import ExportChunk
from chalicelib.catalogue.models import Export, ExportFailure, ExportFile, ExportFormat
from chalicelib.catalogue.search import Query
from chalicelib.values import exact_json, ids, times

GIVE_UP_AFTER = timedelta(hours=24)
"""An export that is older than this and makes no progress has failed."""

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "zip": "application/zip"}
"""The content types of files by their extensions."""


class Options(NamedTuple):
    """What to export. The order of ``query`` is not used; ``ids`` are those of the items, or None for all."""

    format: ExportFormat
    query: Query
    ids: tuple[str, ...] | None = None
    pictures: bool = False


class Started(NamedTuple):
    """An accepted export. ``replayed`` is true if an earlier request with the same idempotency key started it."""

    id: str
    format: ExportFormat
    created_at: str
    pictures: bool
    replayed: bool = False


class File(NamedTuple):
    """A file to download."""

    name: str
    bytes: int
    url: str


class Progress(NamedTuple):
    """The progress of an export. ``total`` is known when all items are read, ``files`` when it is done."""

    id: str
    status: Literal["queued", "running", "done", "failed"]
    format: ExportFormat
    items: int
    total: int | None
    pictures: int | None
    files: list[File]
    created_at: str
    expires_at: str
    error: ExportFailure | None = None


# ------------------------------------------------------------------------------------------------------------ requests


def start(owner: str, options: Options, at: datetime, idempotency_key: str | None = None) -> Started:
    """Store an export and queue it; or return what an earlier request with the same idempotency key started.

    Raise FieldNotFindableError, InvalidRequestError for a condition that is not valid, TooManyExportsError if three
    are running, IdempotencyKeyReusedError if the key was used for another export, BusyError.

    An export is accepted when its record is written. If the queue fails, the cleanup sends the message within 2 hours.
    """
    search.matcher(options.query)
    aws.queue_url("jobs")  # Raise before anything is stored if the stage has no queue.
    new = Export(
        owner=owner,
        id=ids.new_id(times.unix_ms(at)),
        created_at=times.format_time(at),
        format=options.format,
        conditions=tuple((one.field, one.operator, one.values) for one in options.query.conditions),
        words=options.query.words,
        ids=None if options.ids is None else tuple(sorted(set(options.ids))),
        pictures=options.pictures,
        end_id=_newest_id(owner),
    )
    request = None if idempotency_key is None else _keyed(new, idempotency_key)
    result = {"id": new.id, "createdAt": new.created_at}
    earlier = idempotency.find(request, at) if request else None
    stored = earlier or job_records.save(lambda: export_records.prepare_create(new, at), result, request, at)
    started = Started(stored["id"], new.format, stored["createdAt"], new.pictures, replayed=stored["id"] != new.id)
    if not started.replayed:
        try:
            queue.send(ExportChunk(owner, new.id))
        except queue.FAILURES:
            telemetry.logger.exception("Queueing an export failed; the cleanup will retry", export_id=new.id)
    return started


def _newest_id(owner: str) -> str:
    """Return the greatest id of the owner's items, or an empty text if there are none.

    An id made from the current time would not do: the clock of the function that created an item may be ahead.
    """
    newest, _ = table.query_page(owner, "ITEM", ("", "~"), backwards=True, limit=1, consistent=True)
    return newest[0][0] if newest else ""


def progress(owner: str, id_: str, at: datetime) -> Progress:
    """Return the progress of an export. Raise ExportNotFoundError if it does not exist or has expired."""
    known = export_records.get(owner, id_)
    # TTL deletes late (AWS, "Using time to live").
    if export_records.end(known) <= at:
        raise errors.ExportNotFoundError(id=id_)
    return Progress(
        known.id,
        _status(known),
        known.format,
        known.items,
        known.items if known.is_read else None,
        known.picture_count if known.pictures else None,
        list(_files(known)) if known.is_done else [],
        known.created_at,
        times.format_time(export_records.end(known)),
        known.failure,
    )


def queued(started: Started) -> Progress:
    """Return the progress of an export that was just accepted."""
    new = Export(owner="", id=started.id, created_at=started.created_at, format=started.format)
    expires_at = times.format_time(export_records.end(new))
    pictures = 0 if started.pictures else None
    return Progress(started.id, "queued", started.format, 0, None, pictures, [], started.created_at, expires_at)


def _status(known: Export) -> Literal["queued", "running", "done", "failed"]:
    if known.failure:
        return "failed"
    if known.is_done:
        return "done"
    return "running" if known.last_id or known.is_read else "queued"


def _files(known: Export) -> Iterator[File]:
    extensions = {"items": known.format, "pictures": "zip"}
    shown = [file for file in known.files if file.kind in extensions]
    several = {kind for kind, number in Counter(file.kind for file in shown).items() if number > 1}
    numbers: Counter[str] = Counter()
    for file in shown:
        numbers[file.kind] += 1
        extension = extensions[file.kind]
        name = f"{file.kind}-{numbers[file.kind]}.{extension}" if file.kind in several else f"{file.kind}.{extension}"
        yield File(name, file.size, _url(known, file, name))


def _url(known: Export, file: ExportFile, name: str) -> str:
    content_type = CONTENT_TYPES[name.rpartition(".")[2]]
    return bucket.presigned_file(export_records.object_key(known, file.name), content_type, name)


def _keyed(new: Export, idempotency_key: str) -> idempotency.KeyedRequest:
    sent = [new.format, new.conditions, new.words, new.ids, new.pictures]
    digest = exact_json.digest(msgspec.to_builtins(sent))
    return idempotency.KeyedRequest(table.Key(new.owner, "EXPORTKEY", idempotency_key), digest)


# ------------------------------------------------------------------------------------------------------------ work due


def resume(owner: str, id_: str, at: datetime) -> None:
    """Send the message of an export again, because it makes no progress. After a day, record its failure instead."""
    known = export_records.get(owner, id_)
    if known.has_ended:
        return
    if at > times.parse_time(known.created_at) + GIVE_UP_AFTER:
        telemetry.logger.error("Export failed: it was not finished within a day", export_id=id_)
        fail(known, NOT_FINISHED, at)
        return
    telemetry.logger.warning("Export makes no progress: retrying", export_id=id_)
    send_next(known, at)


NOT_FINISHED = ExportFailure(errors.InternalError.code, "The export was not finished within a day: start it again.")


def resend(known: Export) -> None:
    """Send the message of an export's current turn."""
    queue.send(ExportChunk(known.owner, known.id, known.turn))


def send_next(known: Export, at: datetime) -> None:
    """Send the next message of an export, unless another function has continued it meanwhile."""
    if after := save(known, msgspec.structs.replace(known, turn=known.turn + 1), at):
        resend(after)


def fail(known: Export, failure: ExportFailure, at: datetime) -> None:
    """Record that an export has failed, unless another function has continued it meanwhile."""
    if save(known, msgspec.structs.replace(known, failure=failure), at):
        telemetry.add_count("ExportsFailed")


def save(before: Export, after: Export, at: datetime) -> Export | None:
    """Replace an export, and return it as it is stored; or None if another function has replaced it meanwhile.

    Raise BusyError after eight attempts.
    """
    after = msgspec.structs.replace(after, revision=before.revision + 1)
    for _ in table.write_attempts():
        try:
            table.write(*export_records.prepare_replace(before, after, at))
        except table.WriteRejectedError:
            stored = export_records.get(before.owner, before.id)
            if stored == after:
                return after  # An earlier attempt of the SDK had succeeded.
            if stored != before:
                return None
        else:
            return after
    raise errors.BusyError
