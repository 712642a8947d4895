"""The entries of a bulk import: parse the body of its request, and split the entries into chunks."""

from __future__ import annotations

import msgspec

from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.catalogue.models import Chunk
from chalicelib.values import exact_json

MAX_BYTES = 5 * 1024 * 1024
MAX_ENTRIES = 10_000

CHUNK_ENTRIES = 50
"""Entries of a chunk, which one message processes in a few seconds."""

CHUNK_BYTES = 1024 * 1024
"""The most bytes of a chunk's entries as JSON. A single entry may be larger."""


class _Body(msgspec.Struct):
    items: list[msgspec.Raw]


def entries_from_json(body: bytes) -> list[bytes]:
    """Return the JSON of each element in ``{"items": […]}``, on one line, not validated.

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
    return [bytes(entry).replace(b"\n", b" ") for entry in entries]


def entries_from_ndjson(body: bytes) -> list[bytes]:
    """Return the lines of an NDJSON body that are not blank, not validated. Raise ImportTooLargeError above MAX_BYTES.

    A byte order mark is ignored at the start of each line: files that were joined have several.
    """
    _check_size(body)
    lines = (line.removeprefix(exact_json.BYTE_ORDER_MARK) for line in body.splitlines())
    return [line for line in lines if line.strip()]


def check_number(entries: list[bytes]) -> None:
    """Raise InvalidRequestError if there are no entries, ImportTooLargeError if there are more than MAX_ENTRIES."""
    if not entries:
        raise errors.InvalidRequestError(problem="There is nothing to import: send at least one item.")
    if len(entries) > MAX_ENTRIES:
        raise errors.ImportTooLargeError(limit=f"{MAX_ENTRIES} items")


def to_ndjson(entries: list[bytes]) -> bytes:
    """Return the entries as they are stored: one on each line."""
    return b"\n".join(entries)


def split_into_chunks(entries: list[bytes]) -> tuple[Chunk, ...]:
    """Return the chunks of the entries, with their positions in what :func:`to_ndjson` returns."""
    chunks: list[Chunk] = []
    first = start = end = 0
    for index, entry in enumerate(entries):
        if index - first == CHUNK_ENTRIES or (index > first and end + len(entry) - start > CHUNK_BYTES):
            chunks.append(Chunk(first, index - first, start, end - 1 - start))
            first, start = index, end
        end += len(entry) + 1
    return (*chunks, Chunk(first, len(entries) - first, start, end - 1 - start))


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise errors.ImportTooLargeError(limit=f"{MAX_BYTES // 1024**2} MB")
