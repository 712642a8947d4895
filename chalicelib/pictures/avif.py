"""Reduce an AVIF to its first picture, and read the sizes of the images coded in it.

A decoder decodes the coded size and scales it afterwards. It may be 268 megapixels in a file whose boxes say 64 × 48,
so the sizes are read from the AV1 data, as the decoder does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

MAX_PARTS = 10_000
"""The items that an AVIF may have, and the extents that they may be stored in."""


def reduce(data: bytes) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """Return an AVIF without animation and EXIF, and the width and height of each coded image.

    The orientation of an AVIF is in boxes of its own. Raise ValueError, KeyError, IndexError or struct.error if the
    file is damaged.
    """
    boxes = _boxes(data, 0, len(data))
    start, end = boxes[b"meta"]
    inside = _boxes(data, start + 4, end)
    reduced = bytearray(data)
    reduced[8:12] = b"avif"  # the major brand decides whether a decoder reads the picture or the animation
    reduced[start:end] = data[start:end].replace(b"Exif", b"free")
    # An item's id, of two or four bytes, ends two bytes before its type (infe: ISO/IEC 14496-12, section 8.11.6).
    if data.count(b"av01", start, end) > MAX_PARTS:
        raise ValueError("Too many items.")
    types = [found.start() for found in re.compile(b"av01").finditer(data, start, end)]
    pictures = {int.from_bytes(data[place - width - 2 : place - 2]) for place in types for width in (2, 4)}
    frames = tuple(size for stream in _items(data, *inside[b"iloc"], pictures) for size in _frames(stream))
    return bytes(reduced), frames


def _boxes(data: bytes, at: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Return the start and end of the content of the first box of each kind (ISO/IEC 14496-12, section 4.2)."""
    found: dict[bytes, tuple[int, int]] = {}
    while at < end:
        length, kind = struct.unpack_from(">I4s", data, at)
        after = at + length if length else end
        if after < at + 8:
            raise ValueError("The length of a box is less than its header's, or over 4 GiB.")
        found.setdefault(kind, (at + 8, min(after, end)))
        at = after
    return found


def _items(data: bytes, at: int, end: int, pictures: set[int]) -> Iterator[bytes]:
    """Yield the stored data of each picture (iloc: ISO/IEC 14496-12, section 8.11.3)."""
    reader = Bits(data[at:end])
    version = reader.take(8)
    reader.take(24)
    offset_bits, length_bits, base_bits, index_bits = (8 * reader.take(4) for _ in range(4))
    extents_left, bytes_left = MAX_PARTS, 2 * len(data)
    for _ in range(reader.take(32 if version == 2 else 16)):
        item = reader.take(32 if version == 2 else 16)
        construction_method = reader.take(16) & 15 if version else 0
        reader.take(16)
        base = reader.take(base_bits)
        stored: list[slice] = []
        count = reader.take(16)
        extents_left -= count
        if extents_left < 0:
            raise ValueError("Too many extents.")
        for _ in range(count):
            reader.take(index_bits if version else 0)
            start = base + reader.take(offset_bits)
            stored.append(slice(start, start + reader.take(length_bits)))
            bytes_left -= stored[-1].stop - start
        if bytes_left < 0 or (construction_method and item in pictures):
            raise ValueError("The pictures have more bytes than the file, or are not stored at file offsets.")
        if item in pictures:
            yield b"".join(data[extent] for extent in stored)


def _frames(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size of each frame of an AV1 stream, also of hidden ones (AV1, section 5.3)."""
    at, size = 0, None
    while at < len(stream):
        kind, sized = stream[at] >> 3 & 15, stream[at] & 2
        at += 2 if stream[at] & 4 else 1
        length, at = _length(stream, at) if sized else (len(stream) - at, at)
        if kind == _SEQUENCE:
            size = _size(Bits(stream[at : at + length]))
        elif kind in _FRAMES:
            if not size:
                raise ValueError("A frame precedes the sequence header.")
            yield size
        at += length


_SEQUENCE, _FRAMES = 1, (3, 6)


def _length(stream: bytes, at: int) -> tuple[int, int]:
    """Return a number in leb128 (AV1, section 4.10.5), and its end."""
    number = 0
    for group in range(8):
        number |= (stream[at + group] & 127) << 7 * group
        if stream[at + group] < 128:
            return number, at + group + 1
    raise ValueError("A number has more than 8 bytes.")


def _size(header: Bits) -> tuple[int, int]:
    """Return the width and height in a sequence header (AV1, section 5.5)."""
    header.take(4)
    if header.take(1):
        header.take(5)
    else:
        _skip_operating_points(header)
    width_bits, height_bits = header.take(4) + 1, header.take(4) + 1
    width, height = header.take(width_bits) + 1, header.take(height_bits) + 1
    if 1 << width_bits + height_bits > 4 * width * height:
        # Each frame may have a size of its own, with this number of bits.
        raise ValueError("The frames may be much larger than the sequence header says.")
    return width, height


def _skip_operating_points(header: Bits) -> None:
    if header.take(1):
        raise ValueError("The sequence header has timing info.")
    delays = header.take(1)
    for _ in range(header.take(5) + 1):
        header.take(12)
        if header.take(5) > 7:
            header.take(1)
        if delays and header.take(1):
            header.take(4)


class Bits:
    """A reader of consecutive numbers with a given number of bits."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, bits: int) -> int:
        """Return the next ``bits`` bits as a number. Raise ValueError if fewer are left."""
        start, end = self._at // 8, -(-(self._at + bits) // 8)
        if end > len(self._data):
            raise ValueError("The data ends too early.")
        self._at += bits
        return int.from_bytes(self._data[start:end]) >> 8 * end - self._at & (1 << bits) - 1
