"""A picture file, brought down to its first picture before a decoder sees it.

What stands beside a picture's pixels knows no bound: text, previews, comments, frames, pages. Pillow reads it into
objects, some of it over and over: a TIFF of 20 MB whose tags all point at one place becomes gigabytes, a GIF of one
long comment takes minutes. Here it is left out, in one pass over at most MAX_PARTS parts, and no pixel is decoded. What
goes on is what the first picture needs: its pixels, palette, transparency, colour profile, and which side is up.
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from chalicelib.pictures import avif

MAX_PARTS = 100_000
"""How many segments, chunks or blocks a file may have: a picture of 20 MB in pieces of 200 bytes."""

MAX_SCANS = 100
"""How many times a JPEG may go over its pixels, as in libvips and libtiff. Ten is usual, and each costs a pass."""

MAX_PROFILE = 4 * 1024 * 1024
"""Bytes of a PNG's colour profile, unpacked; the largest that printers have take 3 MB."""


class Still(NamedTuple):
    """The first picture of a file, as a file of the same kind (Pillow's name of it)."""

    kind: str
    data: bytes
    buffered: bool = False
    """Whether all of it is in memory while it is decoded, even where only a smaller scale is asked for."""
    frames: tuple[tuple[int, int], ...] = ()
    """Width and height of what is decoded to get there, where that need not be the size that the file says it has."""


def still(data: bytes) -> Still | None:
    """The first picture in ``data``, or None where that is none of the kinds that are taken.

    Raises ValueError, KeyError, IndexError or struct.error for a file that is damaged before its pixels begin.
    """
    return next((bring_down(data) for head, bring_down in _KINDS.items() if re.match(head, data, re.DOTALL)), None)


class Segment(NamedTuple):
    """A part of a JPEG: its marker, where it begins, and where the next may."""

    marker: int
    start: int
    end: int


def _jpeg(data: bytes) -> Still:
    """ITU-T T.81, annex B. Of what applications add, only orientation, profile and kind of colours are needed."""
    head = list(itertools.takewhile(lambda segment: segment.marker != _SCAN, _segments(data, 2)))
    scans = (segment for segment in _segments(data, head[-1].end) if segment.marker == _SCAN)
    first, frame = next(scans, None), next((segment for segment in head if segment.marker in _FRAMES), None)
    if not first or not frame:
        raise ValueError("No picture begins.")
    # As libjpeg has it (jdinput.c): what comes in several scans is put together in memory.
    buffered = frame.marker % 4 == 2 or data[first.start + 4] != data[frame.start + 9]
    if buffered and sum(1 for _ in scans) >= MAX_SCANS:
        raise ValueError("Too many scans.")
    return Still("JPEG", b"".join((b"\xff\xd8", *_kept(data, head), memoryview(data)[first.start :])), buffered)


_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ADDED = frozenset(range(0xE0, 0xF0)) | {0xFE}
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte nor one to fill nor a restart


def _segments(data: bytes, at: int) -> Iterator[Segment]:
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if not found or data[found.start() + 1] == _END:
            return
        start, at = found.span()
        if data[start + 1] not in (0x01, 0xD8):
            at += max(2, int.from_bytes(data[at : at + 2]))
        yield Segment(data[start + 1], start, at)
    raise ValueError("Too many segments.")


def _kept(data: bytes, head: list[Segment]) -> Iterator[bytes]:
    """What the format itself has, Adobe's colours (TN 5116), profile (ICC.1, annex B.4), and EXIF's orientation."""
    told = False
    for marker, start, end in head:
        segment = data[start:end]
        if marker not in _ADDED or segment.startswith((b"Adobe", b"ICC_PROFILE\0"), 4):
            yield segment
        elif segment.startswith(b"Exif\0\0", 4) and not told:
            told = True
            exif = b"Exif\0\0" + _exif(_orientation(segment[10:]))
            yield struct.pack(">HH", 0xFFE1, 2 + len(exif)) + exif


def _png(data: bytes) -> Still:
    """PNG, third edition. Where the default image is no part of the animation, viewers show the first frame instead."""
    once: dict[bytes, memoryview] = {}
    default: list[memoryview] = []
    frames: list[list[memoryview]] = []
    for kind, chunk in _chunks(data):
        if kind == b"IDAT":
            default.append(chunk)
        elif kind == b"fcTL":
            frames.append([chunk])
        elif kind == b"fdAT" and frames:
            frames[-1].append(chunk)
        elif kind in _PNG_ONCE:
            once.setdefault(kind, chunk)
    if b"eXIf" in once:
        once[b"eXIf"] = memoryview(_chunk(b"eXIf", _exif(_orientation(bytes(once[b"eXIf"][8:-4])))))
    picture = frames[0] if b"acTL" in once and frames and len(frames[0]) > 1 else default
    header = (once[kind] for kind in _PNG_ONCE if kind in once and kind != b"acTL")
    return Still("PNG", b"".join((data[:8], *header, *picture, _chunk(b"IEND", b""))))


_PNG_ONCE = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 8
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, view[at : at + 12 + length]
        at += 12 + length
    raise ValueError("Too many chunks.")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _gif(data: bytes) -> Still:
    """GIF89a: the extensions before the first image are left out, but for the last word on its transparency."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    head, control = data[:at], b""
    for _ in range(MAX_PARTS):
        if data[at] == 0x2C:
            return Still("GIF", b"".join((head, control, memoryview(data)[at:])))
        if data[at] == 0x21:
            start, label, at = at, data[at + 1], at + 2
            while data[at]:
                at += data[at] + 1
            if label == 0xF9:
                control = data[start : at + 1]
        at += 1
    raise ValueError("Too many blocks.")


class Layout(NamedTuple):
    """How a TIFF writes numbers: which byte first, and offsets of 4 bytes, or of 8 where it is a BigTIFF."""

    order: str
    counts: str
    offset: str
    place: int

    @staticmethod
    def of(data: bytes) -> Layout:
        """That of a whole file, by its first four bytes."""
        order = "<" if data.startswith(b"II") else ">"
        return Layout(order, "Q", "Q", 8) if 43 in data[2:4] else Layout(order, "H", "I", 4)

    @property
    def tag(self) -> struct.Struct:
        """Number, type, how many values, and the values themselves or where they lie."""
        return struct.Struct(f"{self.order}HH{self.offset}{self.place}s")

    def number(self, kind: str, data: bytes, at: int = 0) -> int:
        """The number at that byte; ``kind`` is its format character of ``struct``. Raises struct.error past the end."""
        return int(struct.unpack_from(self.order + kind, data, at)[0])

    def tags(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """The tags of the first directory, as they stand there."""
        directory = self.number(self.offset, data, self.place)
        count = self.number(self.counts, data, directory)
        start = directory + struct.calcsize(self.order + self.counts)
        return self.tag.iter_unpack(data[start : start + count * self.tag.size])


def _tiff(data: bytes) -> Still:
    """TIFF 6.0, section 2, and BigTIFF: as it is, if its tags are not larger than it and its tiles are of its size."""
    layout = Layout.of(data)
    sides: dict[int, int] = {}
    said = 0
    for tag, kind, count, value in layout.tags(data):
        size = count * _TIFF_SIZES.get(kind, 8)
        said += size
        if tag in _SIDES:
            if tag in sides:
                raise ValueError("A side that is said twice.")
            sides[tag] = layout.number(_NUMBERS[kind], value)
    if said > len(data):
        raise ValueError("Tags that share their values.")
    width, height, tile_width, tile_height = (sides.get(tag, 0) for tag in _SIDES)
    if len(sides) % 2 or tile_width * tile_height > max((width + 15) * (height + 15), 1 << 22):
        raise ValueError("Tiles larger than the picture.")
    return Still("TIFF", data)


_SIDES = (256, 257, 322, 323)  # of the picture and of its tiles
_NUMBERS = {3: "H", 4: "I", 16: "Q"}
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def _webp(data: bytes) -> Still:
    """RFC 9649: of an animation its first frame, on a canvas that is transparent where the frame does not reach."""
    if data[12:16] != b"VP8X":
        return Still("WEBP", data)
    once: dict[bytes, bytes | memoryview] = {}
    for kind, chunk in _riff(data):
        if kind in _WEBP_ONCE:
            once.setdefault(kind, chunk)
    if b"EXIF" in once:
        exif = _exif(_orientation(bytes(once[b"EXIF"][8:]).removeprefix(b"Exif\0\0")))
        once[b"EXIF"] = struct.pack("<4sI", b"EXIF", len(exif)) + exif
    moves = data[20] & 0x02
    flags = data[20] & 0x10 | (moves | 0x10 if moves else 0) | 0x20 * (b"ICCP" in once) | 0x08 * (b"EXIF" in once)
    chunks = (once[kind] for kind in _WEBP_ONCE if kind in once)
    body = b"".join((b"WEBPVP8X\x0a\0\0\0", bytes((flags, 0, 0, 0)), data[24:30], *chunks))
    return Still("WEBP", struct.pack("<4sI", b"RIFF", len(body)) + body)


_WEBP_ONCE = (b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")


def _riff(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 30
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        yield kind, view[at:end]
        at = end
    raise ValueError("Too many chunks.")


def _avif(data: bytes) -> Still:
    slim, frames = avif.items_only(data)
    return Still("AVIF", slim, frames=frames)


def _bmp(data: bytes) -> Still:
    return Still("BMP", data)


def _orientation(exif: bytes) -> int:
    """Which side is up by EXIF (a TIFF of its own: JEITA CP-3451, section 4.6.4.A), or 1."""
    layout = Layout.of(exif)
    try:
        said = (layout.number("H", value) for tag, kind, _, value in layout.tags(exif) if (tag, kind) == (274, 3))
        return next(said, 1)
    except (struct.error, ValueError):
        return 1  # Viewers show a picture with broken EXIF as it lies.


def _exif(orientation: int) -> bytes:
    """EXIF that says nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


_KINDS = {
    rb"\xff\xd8\xff": _jpeg,
    rb"\x89PNG\r\n\x1a\n": _png,
    rb"RIFF....WEBP": _webp,
    rb"GIF8[79]a": _gif,
    rb"II[*+]\0|MM\0[*]": _tiff,
    rb"....ftyp(avif|avis|mif1|msf1)": _avif,
    rb"BM": _bmp,
}
