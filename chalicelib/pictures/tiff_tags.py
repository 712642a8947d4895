"""Read the tags of a TIFF. EXIF is a TIFF too (JEITA CP-3451, section 4.5.2)."""

from __future__ import annotations

import struct

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
ORIENTATION, EXTRA_SAMPLES, SAMPLE_FORMAT = 274, 338, 339

Tags = dict[int, tuple[int, ...]]

MAX_VALUES = 16
"""The most values of a tag that are read."""

_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I"}  # BYTE, SHORT, LONG, IFD


def read(data: bytes) -> Tags:
    """Return the first values of each tag in the first directory that has whole numbers.

    If the directory says that it has more tags than it has, those that are cut off are left out.
    """
    order = "<" if data.startswith(b"II") else ">"
    # A BigTIFF has offsets of 8 bytes.
    offset, counts, place = ("Q", "Q", 8) if data[2:4] in (b"+\0", b"\0+") else ("I", "H", 4)
    entry = struct.Struct(f"{order}HH{offset}{place}s")
    found: Tags = {}
    try:
        (start,) = struct.unpack_from(order + offset, data, place)
        (count,) = struct.unpack_from(order + counts, data, start)
        start += struct.calcsize(counts)
        for at in range(start, start + count * entry.size, entry.size):
            tag, kind, length, value = entry.unpack_from(data, at)
            if kind not in _FORMATS or not length:
                continue
            form = f"{order}{min(length, MAX_VALUES)}{_FORMATS[kind]}"
            if struct.calcsize(form) > place:
                (position,) = struct.unpack(order + offset, value)
                value = data[position : position + struct.calcsize(form)]
            found.setdefault(tag, struct.unpack_from(form, value))
    except (struct.error, OverflowError):
        pass  # The file ends.
    return found


def orientation(exif: bytes) -> int:
    """Return the orientation in EXIF, or 1 (upright) if there is none."""
    return next(iter(read(exif.removeprefix(b"Exif\0\0")).get(ORIENTATION, ())), 1)
