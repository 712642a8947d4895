"""The entries of a bulk import: parse the body of its request, store them, and split them into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.catalogue import models, validation
from chalicelib.catalogue.models import Chunk, Import
from chalicelib.values import exact_json

MAX_BYTES = 5 * 1024 * 1024
MAX_ENTRIES = 10_000

MAX_COLUMNS_BYTES = 64 * 1024
"""The most bytes of the names of all columns of CSV. They are stored in the record of the import."""

CHUNK_ENTRIES = 50
"""Entries of a chunk, which one message processes in a few seconds."""

CHUNK_BYTES = 1024 * 1024
"""The most bytes of a chunk's entries as JSON. A single entry may be larger."""


class _Body(msgspec.Struct):
    items: list[msgspec.Raw]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of an import, not validated: JSON on one line as it was sent, or the cells of a row."""

    content: str | list[str]
    line: int | None = None
    """The line where the row begins."""
    repeats: int | None = None
    """The earlier entry with the same value of the import's key: its line if it is a row, otherwise its index."""

    def fields(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return the JSON object of the entry, with exact numbers. Raise InvalidJsonError or InvalidRequestError."""
        if isinstance(self.content, str):
            return exact_json.object_from_json(self.content, "The entry")
        from chalicelib.catalogue import csv_import_values  # noqa: PLC0415 - only imports of CSV need it

        return csv_import_values.fields(columns, self.content)

    def message(self, error: errors.ApiError, columns: Sequence[str]) -> str:
        """Return the message of an error in the entry, with its line and column if it is a row."""
        if self.line is None:
            return error.message
        path = next((detail["path"] for detail in error.details or ()), "")
        # A path continues with a dot or a bracket, which a name may contain too: so the longest name is the right one.
        places = [name for name in columns if path == f"$.{name}" or path.startswith((f"$.{name}.", f"$.{name}["))]
        column = f', column "{max(places, key=len)}"' if places else ""
        return f"Line {self.line}{column}: {error.message}"


class Entries(NamedTuple):
    """The entries of an import."""

    all: list[Entry]
    columns: tuple[str, ...] = ()
    """The names of the columns, if the entries are the rows of CSV."""


_entry_decoder = msgspec.json.Decoder(Entry)


def entries_from_json(body: bytes) -> Entries:
    """Return each element in ``{"items": […]}``.

    Raise ImportTooLargeError above MAX_BYTES, InvalidJsonError, and InvalidRequestError for another value.
    """
    _check_size(body)
    try:
        entries = msgspec.json.decode(body, type=_Body).items
    except msgspec.ValidationError as problem:
        raise validation.invalid_request(_Body, "The body", problem) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise exact_json.invalid_json(body, problem, "The body") from None
    # JSON has line breaks only between tokens: in a string they are escaped.
    return Entries([Entry(bytes(entry).replace(b"\n", b" ").decode()) for entry in entries])


def entries_from_ndjson(body: bytes) -> Entries:
    """Return the lines of an NDJSON body that are not blank. Raise ImportTooLargeError above MAX_BYTES.

    A byte order mark is ignored at the start of each line: files that were joined have several.
    """
    _check_size(body)
    lines = (line.removeprefix(exact_json.BYTE_ORDER_MARK) for line in body.splitlines())
    return Entries([Entry(line.decode()) for line in lines if line.strip()])


def entries_from_csv(body: bytes) -> Entries:
    """Return the rows of a CSV body that are not empty. Raise ImportTooLargeError above MAX_BYTES, InvalidCsvError."""
    from chalicelib.values import csv_parser  # noqa: PLC0415 - only imports of CSV need it

    _check_size(body)
    table = csv_parser.parse(body.decode())
    if sum(len(name.encode()) for name in table.columns) > MAX_COLUMNS_BYTES:
        raise errors.InvalidCsvError(problem=f"the names of its columns have more than {MAX_COLUMNS_BYTES} bytes")
    return Entries([Entry(row.cells, row.line) for row in table.rows], tuple(table.columns))


def check(entries: Entries, key: str | None = None) -> None:
    """Raise InvalidRequestError if there are no entries, ImportTooLargeError if there are more than MAX_ENTRIES.

    ``key`` is that of the import. Raise InvalidRequestError if it is not a column. Unless it is the id, raise
    ReservedFieldError for columns of managed fields, because each row would fail.
    """
    if reserved := [name for name in models.MANAGED_FIELDS if key != "id" and name in entries.columns]:
        raise errors.ReservedFieldError(*reserved)
    if key and entries.columns and key not in entries.columns:
        raise errors.InvalidRequestError(
            problem=f"The key of the import is {key}, but there is no column of that name.", details=[{"path": "$.key"}]
        )
    if not entries.all:
        raise errors.InvalidRequestError(problem="There is nothing to import: send at least one item.")
    if len(entries.all) > MAX_ENTRIES:
        raise errors.ImportTooLargeError(limit=f"{MAX_ENTRIES} items")


def stored_lines(entries: Entries, key: str | None = None) -> list[bytes]:
    """Return the entries as they are stored, each on a line of NDJSON. ``key`` is that of the import."""
    if entries.columns or key:
        return [msgspec.json.encode(entry) for entry in entries.all]
    return [str(entry.content).encode() for entry in entries.all]


def stored_entry(known: Import, line: bytes) -> Entry:
    """Return the entry that is stored on a line."""
    return _entry_decoder.decode(line) if known.columns or known.key else Entry(line.decode())


def split_into_chunks(lines: list[bytes]) -> tuple[Chunk, ...]:
    """Return the chunks of the entries, with their positions in the lines."""
    chunks: list[Chunk] = []
    first = start = end = 0
    for index, line in enumerate(lines):
        if index - first == CHUNK_ENTRIES or (index > first and end + len(line) - start > CHUNK_BYTES):
            chunks.append(Chunk(first, index - first, start, end - 1 - start))
            first, start = index, end
        end += len(line) + 1
    return (*chunks, Chunk(first, len(lines) - first, start, end - 1 - start))


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise errors.ImportTooLargeError(limit=f"{MAX_BYTES // 1024**2} MB")
