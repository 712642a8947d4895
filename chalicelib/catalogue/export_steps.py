"""Make the files of exports, step by step. Only the consumer does this.

Items are read in the order of their ids, up to the newest one that existed when the export began, so the export has
each item once. A step does a bounded amount of work: it writes objects with new names, then replaces the export's
record on the condition that no other function has replaced it. So an interrupted step has no effect, and a repeated
step adds nothing twice. The steps of an export are:

1. Read items, and append their lines and pictures to the open files. A file that is large enough or complete
   is closed: S3 joins its parts.
2. For CSV, convert the lines. The header row names all fields, which are known only now.
3. Record that the export is done.

STEP_BYTES and the largest picture limit the memory, which does not depend on the number of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import export_records, export_rows, exports, items, search
from chalicelib.catalogue.import_parsing import MAX_COLUMNS_BYTES
from chalicelib.catalogue.models import Export, ExportFailure, ExportFile, FileKind, Item, OpenFile, Part
from chalicelib.catalogue.search import Condition, Query
from chalicelib.catalogue.search_criteria import Operator
from chalicelib.config import MAX_IMAGE_BYTES
from chalicelib.values import ids, times, zip_archives

STEP_BYTES = 8 * 1024**2
"""A step ends when it has added this many bytes to a file."""

MIN_PART_BYTES = STEP_BYTES
"""A part with fewer bytes is written again with the next bytes, because S3 joins only larger ones."""

FILE_BYTES = 512 * 1024**2
"""A file is closed when it has this many bytes. Closing takes one step: S3 copies its parts, at most 65, in seconds."""

MAX_ARCHIVE_ENTRIES = 10_000
"""The most pictures of an archive. Its directory, of about 90 bytes for each, is read and written in each step."""

STEP_PAGES = 8
"""The most pages of items that a step reads. It bounds a step in which few of the items match the filter."""

PAGE_ITEMS = 1_000
"""The most items of a page."""

PAGE_ITEMS_WITH_PICTURES = 25

PAGE_ITEMS_BY_ID = 10
"""The most items of a page that are read by their ids. They have 3.5 MB at most.

As Python objects, items of many small values take up to 50 times as many bytes. DynamoDB limits a page of a query to
1 MB, but not a page that is read by ids.
"""

MAX_STEPS = 5
"""The most steps for one message. Thumbnail jobs of the same batch wait for them."""

_PICTURE_ATTEMPTS = 3


def process(owner: str, id_: str, turn: int, has_time: Callable[[], bool] = lambda: True) -> None:
    """Continue an export. If it is not done after MAX_STEPS or when ``has_time`` returns False, send the next message.

    Another function may have continued it since the message was sent, or may continue it now: then only one of them
    has an effect.
    """
    try:
        known = export_records.get(owner, id_)
    except errors.ExportNotFoundError:
        telemetry.logger.info("Export skipped: it has expired", export_id=id_)
        return
    if known.has_ended or known.turn > turn + 1:
        return
    if known.turn > turn:
        exports.resend(known)  # The function that continued it may have failed before it sent the next message.
        return
    for _ in range(MAX_STEPS):
        if not has_time():
            break
        after = _do_step(known)
        if after is None or after.has_ended:
            return
        known = after
    exports.send_next(known, times.now())


class _Step(NamedTuple):
    """An export after a step, and the names of the objects that it no longer needs."""

    after: Export
    obsolete: tuple[str, ...] = ()


def _do_step(known: Export) -> Export | None:
    """Do the next step of an export, and return the export after it, or None if another function has continued it."""
    try:
        step = _next_step(known)
    except errors.ApiError as error:
        if error.status >= 500:
            raise
        # For example, a field of the filter is no longer findable because the code has changed.
        telemetry.logger.warning("Export failed", export_id=known.id, error=error.code)
        exports.fail(known, ExportFailure(error.code, error.message), times.now())
        return None
    except (bucket.ObjectNotFoundError, *bucket.FAILURES):
        if export_records.get(known.owner, known.id) == known:
            raise
        step = None  # Another function has continued the export, and deleted the parts that it replaced.
    after = exports.save(known, step.after, times.now()) if step else None
    if step is None or after is None:
        telemetry.logger.info("Export skipped: another function has continued it", export_id=known.id)
        return None
    if after.items > known.items:
        telemetry.add_count("ItemsExported", after.items - known.items)
    try:
        bucket.delete(export_records.object_key(known, name) for name in step.obsolete)
    except bucket.FAILURES as error:
        # The lifecycle rule deletes them.
        telemetry.logger.warning("Deleting parts of an export failed", export_id=known.id, error=str(error))
    return after


def _next_step(known: Export) -> _Step:
    is_csv = known.format == "csv"
    if known.archive.parts and (known.is_read or _is_full(known.archive)):
        return _close_archive(known)
    if known.text.parts and (_is_full(known.text) or _has_all(known)):
        return _close_text(known, "rows" if is_csv and not _is_converting(known) else "items")
    if not known.is_read:
        return _read_items(known)
    if is_csv and _unconverted(known):
        return _convert(known)
    rows = tuple(file.name for file in known.files if file.kind == "rows")
    return _Step(msgspec.structs.replace(known, is_done=True), rows)


def _is_full(file: OpenFile) -> bool:
    return file.size >= FILE_BYTES or file.entries >= MAX_ARCHIVE_ENTRIES


def _has_all(known: Export) -> bool:
    """Return whether the open text file is complete: it has all lines or, if they are converted, all rows of CSV."""
    return known.is_read and not (_is_converting(known) and _unconverted(known))


def _is_converting(known: Export) -> bool:
    return known.converted > (0, 0)


def _unconverted(known: Export) -> list[ExportFile]:
    return [file for file in known.files if file.kind == "rows"][known.converted[0] :]


# ---------------------------------------------------------------------------------------------------------- open files


class _Appended(NamedTuple):
    """An open file with more bytes, and the names of the objects that it no longer has."""

    file: OpenFile
    obsolete: tuple[str, ...] = ()


def _append(known: Export, file: OpenFile, data: bytes) -> _Appended:
    """Append bytes to an open file: to its last part if that is small, else as another part."""
    parts = list(file.parts)
    obsolete: tuple[str, ...] = ()
    if parts and parts[-1].size < MIN_PART_BYTES:
        obsolete = (parts.pop().name,)
        data = bucket.read(export_records.object_key(known, obsolete[0])).data + data
    part = Part(_write(known, data), len(data))
    return _Appended(msgspec.structs.replace(file, parts=(*parts, part)), obsolete)


def _write(known: Export, data: bytes) -> str:
    """Write an object with a new name, and return the name."""
    name = ids.new_id(times.unix_ms(times.now()))
    bucket.write(export_records.object_key(known, name), data, "application/octet-stream")
    return name


def _close(known: Export, file: OpenFile, kind: FileKind) -> tuple[ExportFile, tuple[str, ...]]:
    """Return the complete file that an open file becomes, and the names of the objects that it no longer needs."""
    if len(file.parts) == 1:
        return ExportFile(kind, *msgspec.structs.astuple(file.parts[0])), ()
    names = tuple(part.name for part in file.parts)
    name = ids.new_id(times.unix_ms(times.now()))
    keys = [export_records.object_key(known, one) for one in names]
    bucket.join(export_records.object_key(known, name), keys, "application/octet-stream")
    return ExportFile(kind, name, file.size), names


def _close_text(known: Export, kind: FileKind) -> _Step:
    closed, obsolete = _close(known, known.text, kind)
    return _Step(msgspec.structs.replace(known, text=OpenFile(), files=(*known.files, closed)), obsolete)


def _close_archive(known: Export) -> _Step:
    archive = known.archive
    directory = _directory(known)
    appended = _append(known, archive, zip_archives.end(directory, archive.entries, archive.size))
    closed, obsolete = _close(known, appended.file, "pictures")
    after = msgspec.structs.replace(known, archive=OpenFile(), files=(*known.files, closed))
    return _Step(after, (*obsolete, *appended.obsolete, *_names(archive.directory)))


def _directory(known: Export) -> bytes:
    name = known.archive.directory
    return b"" if name is None else bucket.read(export_records.object_key(known, name)).data


def _names(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


# --------------------------------------------------------------------------------------------------------------- items


class _Collected:
    """What a step adds to an export: lines, and files of an archive with the entries of its directory."""

    def __init__(self, known: Export, is_wanted: Callable[[Item], bool]) -> None:
        self.lines = bytearray()
        self.items = 0
        self.fields = dict.fromkeys(known.fields)
        self.files = bytearray()
        self.directory = bytearray()
        self.pictures = 0
        self._known = known
        self._is_wanted = is_wanted
        self._modified_at = times.parse_time(known.created_at)

    @property
    def is_full(self) -> bool:
        """Whether the step must end."""
        entries = self._known.archive.entries + self.pictures
        return max(len(self.lines), len(self.files)) >= STEP_BYTES or entries >= MAX_ARCHIVE_ENTRIES

    def add(self, item: Item) -> None:
        """Add an item with its picture, if it is wanted."""
        file = content_type = None
        original = None
        if self._known.pictures and self._is_wanted(item):
            item, original = _with_original(item)  # It may have been changed since it was read.
        if not self._is_wanted(item):
            return
        if original:
            content_type = (item.image and item.image.content_type) or original.content_type
            file = export_rows.file_name(item.id, content_type)
            self._add_file(file, original.data)
        self.lines += export_rows.line(item, file, content_type)
        self.items += 1
        if self._known.format == "csv":
            self.fields |= dict.fromkeys(item.fields)

    def _add_file(self, name: str, data: bytes) -> None:
        offset = self._known.archive.size + len(self.files)
        entry = zip_archives.entry(name, data, self._modified_at, offset)
        self.files += entry.header
        self.files += data
        self.directory += entry.directory_entry
        self.pictures += 1


def _read_items(known: Export) -> _Step:
    matches = search.matcher(_query(known))
    now = times.now()
    collected = _Collected(known, lambda item: not item.is_expired(now) and matches(item))
    last_id, is_read = known.last_id, False
    for page in _pages(known):
        for item in page.items:
            if collected.is_full:
                return _with_collected(known, collected, last_id, is_read=False)
            collected.add(item)
            last_id = item.id
        last_id, is_read = page.last_id, not page.more
        if collected.is_full:
            break
    return _with_collected(known, collected, last_id, is_read=is_read)


def _query(known: Export) -> Query:
    # The operators are those that search.matcher accepted.
    conditions = tuple(Condition(field, cast("Operator", name), values) for field, name, values in known.conditions)
    return Query(conditions, known.words)


class _Page(NamedTuple):
    """Items in the order of their ids. ``last_id`` is the last id that was looked for."""

    items: list[Item]
    last_id: str
    more: bool


def _pages(known: Export) -> Iterator[_Page]:
    """Yield the next pages of items that a step may read."""
    limit = PAGE_ITEMS_WITH_PICTURES if known.pictures else PAGE_ITEMS
    page = _Page([], known.last_id, more=True)
    for _ in range(STEP_PAGES):
        if page.more:
            page = _read_page(known, page.last_id, limit)
            yield page


def _read_page(known: Export, last_id: str, limit: int) -> _Page:
    if known.ids is None:
        records, more = table.query_page(
            known.owner,
            "ITEM",
            ("", known.end_id),
            backwards=False,
            limit=limit,
            start_after=last_id or None,
            consistent=True,
        )
        page = [items.from_record(known.owner, id_, record) for id_, record in records]
        return _Page(page, page[-1].id if page else last_id, more)
    left = [id_ for id_ in known.ids if id_ > last_id]
    chosen = left[: min(limit, PAGE_ITEMS_BY_ID)]
    found = table.get_all(known.owner, "ITEM", chosen)
    page = [items.from_record(known.owner, id_, found[id_]) for id_ in chosen if id_ in found]
    return _Page(page, chosen[-1], len(left) > len(chosen))


def _with_original(item: Item) -> tuple[Item, bucket.Object | None]:
    """Return an item with the file of its picture, or None if it has none.

    If the picture was replaced or deleted since the item was read, return the item as it is now.
    """
    for _ in range(_PICTURE_ATTEMPTS):
        image = item.image
        if image is None or image.status == "pending" or image.upload_id is None:
            break
        try:
            original = bucket.read(Upload(item.owner, item.id, image.upload_id).key, MAX_IMAGE_BYTES)
        except bucket.ObjectNotFoundError:
            now = items.find(item.owner, item.id)
            if now is None or now == item:
                break
            item = now
        else:
            return item, original if original.data else None
    return item, None


def _with_collected(known: Export, collected: _Collected, last_id: str, *, is_read: bool) -> _Step:
    after = msgspec.structs.replace(
        known,
        last_id=last_id,
        is_read=is_read,
        items=known.items + collected.items,
        picture_count=known.picture_count + collected.pictures,
        fields=tuple(collected.fields),
    )
    if sum(len(name.encode()) for name in after.fields) > MAX_COLUMNS_BYTES - 1_024:
        raise errors.TooManyColumnsError(limit=MAX_COLUMNS_BYTES - 1_024)
    obsolete: tuple[str, ...] = ()
    is_first = not (known.text.parts or known.files)
    if collected.lines or (is_read and is_first):
        text, replaced = _append(known, known.text, bytes(collected.lines))
        after = msgspec.structs.replace(after, text=text)
        obsolete += replaced
    if collected.files:
        archive, replaced = _append(known, known.archive, bytes(collected.files))
        name = _write(known, _directory(known) + collected.directory)
        entries = archive.entries + collected.pictures
        after = msgspec.structs.replace(
            after, archive=msgspec.structs.replace(archive, directory=name, entries=entries)
        )
        obsolete += (*replaced, *_names(known.archive.directory))
    return _Step(after, obsolete)


# ----------------------------------------------------------------------------------------------------------------- CSV


def _convert(known: Export) -> _Step:
    """Convert the next lines to CSV. Each file begins with the header row."""
    number, offset = known.converted
    source = _unconverted(known)[0]
    columns = export_rows.columns(known.fields)
    rows = bytearray() if known.text.parts else bytearray(export_rows.csv_row(columns))
    if offset < source.size:
        lines = bucket.read_range(export_records.object_key(known, source.name), offset, STEP_BYTES)
        for line in lines[: lines.rindex(b"\n") + 1].splitlines():
            rows += export_rows.csv_row_of(line, columns)
            offset += len(line) + 1
            if len(rows) >= STEP_BYTES:
                break
    converted = (number, offset) if offset < source.size else (number + 1, 0)
    text, obsolete = _append(known, known.text, bytes(rows))
    return _Step(msgspec.structs.replace(known, converted=converted, text=text), obsolete)
