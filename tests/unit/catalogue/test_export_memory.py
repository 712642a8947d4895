"""The memory that an export takes does not depend on the number of items."""

from __future__ import annotations

import io
import sys
import tempfile
import tracemalloc
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from chalicelib import telemetry
from chalicelib.aws import bucket, queue, table
from chalicelib.catalogue import export_records, export_steps
from chalicelib.catalogue.messages import ExportChunk
from chalicelib.catalogue.models import Export
from chalicelib.values import ids

if TYPE_CHECKING:
    import pytest

TIME = "2026-03-01T08:00:00.000Z"
SMALL = {"STEP_BYTES": 64 * 1024, "MIN_PART_BYTES": 64 * 1024, "FILE_BYTES": 256 * 1024, "MAX_ARCHIVE_ENTRIES": 20}
IMAGE = {"status": "failed", "uploadId": ids.new_id(0, 0)}


class Storage:
    """A table with so many items, which are made when they are read, and a bucket whose objects are in one file."""

    def __init__(self, items: int, file: BinaryIO) -> None:
        self.items = items
        self.known = Export(owner="ann", id=ids.new_id(), created_at=TIME, format="csv", pictures=True, end_id="~")
        self.sent: list[ExportChunk] = [ExportChunk("ann", self.known.id)]
        self._file = file
        self._objects: dict[str, tuple[int, int]] = {}

    def query_page(self, *_: Any, limit: int, start_after: str | None, **__: Any) -> tuple[list[Any], bool]:
        first = int(start_after[-12:]) + 1 if start_after else 0
        end = min(first + limit, self.items)
        return [(f"00000000-0000-7000-8000-{number:012d}", _record(number)) for number in range(first, end)], (
            end < self.items
        )

    def get(self, *_: str) -> Export:
        return self.known

    def save(self, *writes: table.Write) -> None:
        put = next(one for one in writes if isinstance(one, table.Put))
        stored = {name: value for name, value in put.record.items() if name not in ("owner", "id")}
        self.known = msgspec.convert(stored | {"owner": "ann", "id": self.known.id}, Export)

    def write(self, key: str, data: bytes, _: str) -> None:
        self._objects[key] = (self._file.seek(0, io.SEEK_END), len(data))
        self._file.write(data)

    def read(self, key: str, _: int | None = None) -> bucket.Object:
        data = b"picture" if key.startswith(bucket.UPLOADS) else self.read_range(key, 0, sys.maxsize)
        return bucket.Object("", len(data), data, "image/png")

    def read_range(self, key: str, start: int, size: int) -> bytes:
        offset, length = self._objects[key]
        self._file.seek(offset + start)
        return self._file.read(min(size, length - start))

    def join(self, key: str, parts: list[str], _: str) -> None:
        start = self._file.seek(0, io.SEEK_END)
        for part in parts:
            self.write(part, self.read_range(part, 0, sys.maxsize), "")
        self._objects[key] = (start, self._file.seek(0, io.SEEK_END) - start)

    def delete(self, keys: Any) -> None:
        for key in keys:
            del self._objects[key]


def _record(number: int) -> dict[str, Any]:
    image = {"image": IMAGE} if number % 10 == 0 else {}
    return {"version": 1, "createdAt": TIME, "updatedAt": TIME, "fields": {"n": number, "text": "x" * 900}, **image}


def peak(items: int, file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the most bytes that an export takes at once, without those of its files."""
    storage = Storage(items, file)
    for place, name, replacement in (
        (table, "query_page", storage.query_page),
        (table, "write", storage.save),
        (export_records, "get", storage.get),
        *((bucket, name, getattr(storage, name)) for name in ("write", "read", "read_range", "join", "delete")),
        (queue, "send", storage.sent.append),
        (telemetry, "add_count", lambda *_: None),  # metrics are kept until 100 are written
        *((export_steps, name, value) for name, value in SMALL.items()),
    ):
        monkeypatch.setattr(place, name, replacement)
    tracemalloc.start()
    try:
        while storage.sent:
            message = storage.sent.pop()
            export_steps.process(message.owner, message.export_id, message.turn)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (storage.known.is_done, storage.known.items, storage.known.picture_count) == (True, items, items // 10)
    assert sum(file.size for file in storage.known.files if file.kind == "items") > 900 * items
    return most


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryFile() as file:
        few = peak(300, file, monkeypatch)
        many = peak(3_000, file, monkeypatch)

    assert many < few * 1.2
