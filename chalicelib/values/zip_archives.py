"""The structures of ZIP archives whose files are not compressed (PKWARE, "APPNOTE.TXT", version 6.3.10).

An archive is written piece by piece: each file with its header, then the directory. It has no ZIP64 extensions, so it
must be smaller than 4 GB and have at most 65,535 files.
"""

from __future__ import annotations

import struct
import zlib
from datetime import datetime
from typing import NamedTuple

_VERSION = 20
_MADE_ON_UNIX = 3 << 8 | _VERSION
_ORDINARY_FILE = 0o100644 << 16
"""The mode of a file on Unix, in the upper half of its external attributes."""


class Entry(NamedTuple):
    """A file in an archive: the header before its bytes, and its entry in the directory at the end."""

    header: bytes
    directory_entry: bytes


def entry(name: str, data: bytes, modified_at: datetime, offset: int) -> Entry:
    """Return the entry of a file whose header begins ``offset`` bytes after the start of the archive.

    ``name`` must be ASCII.
    """
    encoded = name.encode("ascii")
    date = max(modified_at.year - 1980, 0) << 9 | modified_at.month << 5 | modified_at.day
    time = modified_at.hour << 11 | modified_at.minute << 5 | modified_at.second // 2
    common = struct.pack(
        "<HHHHHIIIHH", _VERSION, 0, 0, time, date, zlib.crc32(data), len(data), len(data), len(encoded), 0
    )
    header = struct.pack("<I", 0x04034B50) + common + encoded
    made = struct.pack("<IH", 0x02014B50, _MADE_ON_UNIX)
    rest = struct.pack("<HHHII", 0, 0, 0, _ORDINARY_FILE, offset)
    return Entry(header, made + common + rest + encoded)


def end(directory: bytes, entries: int, offset: int) -> bytes:
    """Return the end of an archive with this number of entries in its directory, which begins at ``offset``."""
    return directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, entries, entries, len(directory), offset, 0)
