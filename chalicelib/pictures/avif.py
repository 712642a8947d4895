"""What an AVIF holds, by its boxes and by its pictures themselves, before a decoder sees it.

A decoder believes the pictures: a box may say 64 × 48 where 268 megapixels are coded, and those are decoded first, and
scaled then. So the sizes are read where the decoder has them from.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

MAX_PARTS = 10_000
"""How many items an AVIF may have, and how many pieces they may be stored in."""


def items_only(data: bytes) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """An AVIF without its tracks, which animate, and without EXIF: it has boxes of its own for which side is up.

    With it, width and height of each picture that is coded in it. Raises ValueError, KeyError, IndexError or
    struct.error for a file that is damaged.
    """
    boxes = _boxes(data, 0, len(data))
    start, end = boxes[b"meta"]
    inside = _boxes(data, start + 4, end)
    slim = bytearray(data)
    slim[8:12] = b"avif"  # the major brand, by which a decoder chooses between pictures and tracks
    slim[start:end] = data[start:end].replace(b"Exif", b"free")
    # An item's number of two bytes or four stands so far before its type (infe, ISO/IEC 14496-12, section 8.11.6).
    if data.count(b"av01", start, end) > MAX_PARTS:
        raise ValueError("Too many items.")
    types = [found.start() for found in re.compile(b"av01").finditer(data, start, end)]
    pictures = {int.from_bytes(data[place - width - 2 : place - 2]) for place in types for width in (2, 4)}
    frames = tuple(size for stream in _items(data, *inside[b"iloc"], pictures) for size in _frames(stream))
    return bytes(slim), frames


def _boxes(data: bytes, at: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Where the first box of each kind has its content (ISO/IEC 14496-12, section 4.2)."""
    found: dict[bytes, tuple[int, int]] = {}
    while at < end:
        length, kind = struct.unpack_from(">I4s", data, at)
        after = at + length if length else end
        if after < at + 8:
            raise ValueError("A box without a length that it can have, or of gigabytes.")
        found.setdefault(kind, (at + 8, min(after, end)))
        at = after
    return found


def _items(data: bytes, at: int, end: int, pictures: set[int]) -> Iterator[bytes]:
    """What is stored of each of the pictures (ISO/IEC 14496-12, section 8.11.3)."""
    reader = Bits(data[at:end])
    version = reader.take(8)
    reader.take(24)
    of_place, of_length, of_base, of_index = (8 * reader.take(4) for _ in range(4))
    pieces, left = MAX_PARTS, 2 * len(data)
    for _ in range(reader.take(32 if version == 2 else 16)):
        item = reader.take(32 if version == 2 else 16)
        elsewhere = reader.take(16) & 15 if version else 0
        reader.take(16)
        base = reader.take(of_base)
        stored: list[slice] = []
        count = reader.take(16)
        pieces -= count
        if pieces < 0:
            raise ValueError("Too many pieces.")
        for _ in range(count):
            reader.take(of_index if version else 0)
            start = base + reader.take(of_place)
            stored.append(slice(start, start + reader.take(of_length)))
            left -= stored[-1].stop - start
        if left < 0 or (elsewhere and item in pictures):
            raise ValueError("Pictures of more bytes than the file has, or that lie in no box of theirs.")
        if item in pictures:
            yield b"".join(data[extent] for extent in stored)


def _frames(stream: bytes) -> Iterator[tuple[int, int]]:
    """The size of each frame of an AV1 stream, shown or not (AV1, section 5.3)."""
    at, size = 0, None
    while at < len(stream):
        kind, sized = stream[at] >> 3 & 15, stream[at] & 2
        at += 2 if stream[at] & 4 else 1
        length, at = _length(stream, at) if sized else (len(stream) - at, at)
        if kind == _SEQUENCE:
            size = _size(Bits(stream[at : at + length]))
        elif kind in _FRAMES:
            if not size:
                raise ValueError("A frame of no size.")
            yield size
        at += length


_SEQUENCE, _FRAMES = 1, (3, 6)


def _length(stream: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits (AV1, section 4.10.5), and where it ends."""
    number = 0
    for group in range(8):
        number |= (stream[at + group] & 127) << 7 * group
        if stream[at + group] < 128:
            return number, at + group + 1
    raise ValueError("A number without end.")


def _size(header: Bits) -> tuple[int, int]:
    """Width and height by a sequence header (AV1, section 5.5)."""
    header.take(4)
    if header.take(1):
        header.take(5)
    else:
        _pass_operating_points(header)
    of_width, of_height = header.take(4) + 1, header.take(4) + 1
    width, height = header.take(of_width) + 1, header.take(of_height) + 1
    if 1 << of_width + of_height > 4 * width * height:
        # A frame may have a size of its own, of so many bits.
        raise ValueError("Room for frames much larger than is announced.")
    return width, height


def _pass_operating_points(header: Bits) -> None:
    if header.take(1):
        raise ValueError("A still picture that keeps time.")
    delays = header.take(1)
    for _ in range(header.take(5) + 1):
        header.take(12)
        if header.take(5) > 7:
            header.take(1)
        if delays and header.take(1):
            header.take(4)


class Bits:
    """Numbers of so many bits, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, bits: int) -> int:
        """The next ``bits`` of them as one number. Raises ValueError where fewer are left."""
        start, end = self._at // 8, -(-(self._at + bits) // 8)
        if end > len(self._data):
            raise ValueError("Ends too early.")
        self._at += bits
        return int.from_bytes(self._data[start:end]) >> 8 * end - self._at & (1 << bits) - 1
