"""Reduce a picture file to its first picture, before it is decoded.

A file may contain any amount of other data: text, previews, comments, frames, pages. Pillow reads that into objects,
some of it repeatedly: a TIFF of 20 MB whose tags all point to the same place takes gigabytes, a GIF with one long
comment takes minutes. This module removes it in one pass over at most MAX_PARTS parts, without decoding any pixels. It
keeps what the first picture needs: its pixels, palette, transparency, colour profile and orientation.
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from chalicelib.pictures import avif, tiff_tags

MAX_PARTS = 100_000
"""The segments, chunks or blocks that a file may have: 20 MB in pieces of 200 bytes."""

MAX_SCANS = 100
"""The scans that a JPEG may have, as in libvips and libtiff. Ten are usual; each is a pass over all pixels."""

MAX_PROFILE = 4 * 1024 * 1024
"""The uncompressed bytes that a PNG's colour profile may have. The largest profiles of printers have 3 MB."""


class FirstFrame(NamedTuple):
    """The first picture of a file, as a file of the same format. ``kind`` is Pillow's name of the format."""

    kind: str
    data: bytes
    buffered: bool = False
    """Whether decoding holds all pixels in memory, even at a smaller scale."""
    coded_sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of each coded image, if they may differ from the size in the file's header."""


def extract(data: bytes) -> FirstFrame | None:
    """Return the first picture in ``data``, or None if its format is not supported.

    Raise ValueError, KeyError, IndexError or struct.error if the file is damaged before its pixels begin.
    """
    return next((reduce(data) for head, reduce in _REDUCERS.items() if re.match(head, data, re.DOTALL)), None)


class Segment(NamedTuple):
    """A segment of a JPEG: its marker, its start, and the earliest start of the next."""

    marker: int
    start: int
    end: int


def _jpeg(data: bytes) -> FirstFrame:
    """Reduce a JPEG (ITU-T T.81, annex B). Of the application segments, keep orientation, profile and colour space."""
    head = list(itertools.takewhile(lambda segment: segment.marker != _SCAN, _segments(data, 2)))
    scans = (segment for segment in _segments(data, head[-1].end) if segment.marker == _SCAN)
    first, frame = next(scans, None), next((segment for segment in head if segment.marker in _FRAMES), None)
    if not first or not frame:
        raise ValueError("The file has no scan or no frame.")
    # libjpeg collects the coefficients in memory if there are several scans (jdinput.c, has_multiple_scans).
    buffered = frame.marker % 4 == 2 or data[first.start + 4] != data[frame.start + 9]
    if buffered and sum(1 for _ in scans) >= MAX_SCANS:
        raise ValueError("Too many scans.")
    kept = b"".join(_kept_segments(data, head))
    return FirstFrame("JPEG", b"".join((b"\xff\xd8", kept, memoryview(data)[first.start :])), buffered)


_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APPLICATION = frozenset(range(0xE0, 0xF0)) | {0xFE}
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not a stuffed byte, a fill byte or a restart


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


def _kept_segments(data: bytes, head: list[Segment]) -> Iterator[bytes]:
    """Yield the segments to keep. Of the application segments, these are Adobe's (TN 5116), the profile and EXIF.

    The profile is in segments as ICC.1, annex B.4 says. Of EXIF only the orientation is kept.
    """
    has_orientation = False
    for marker, start, end in head:
        segment = data[start:end]
        if marker not in _APPLICATION or segment.startswith((b"Adobe", b"ICC_PROFILE\0"), 4):
            yield segment
        elif segment.startswith(b"Exif\0\0", 4) and not has_orientation:
            has_orientation = True
            exif = b"Exif\0\0" + _exif(tiff_tags.orientation(segment[4:]))
            yield struct.pack(">HH", 0xFFE1, 2 + len(exif)) + exif


def _png(data: bytes) -> FirstFrame:
    """Reduce a PNG (third edition). If the default image is not part of the animation, viewers show the first frame."""
    found: dict[bytes, memoryview] = {}
    default: list[memoryview] = []
    frames: list[list[memoryview]] = []
    for kind, chunk in _png_chunks(data):
        if kind == b"IDAT":
            default.append(chunk)
        elif kind == b"fcTL":
            frames.append([chunk])
        elif kind == b"fdAT" and frames:
            frames[-1].append(chunk)
        elif kind in _PNG_CHUNKS and not default and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:]):
            found.setdefault(kind, chunk)
    if b"eXIf" in found:
        found[b"eXIf"] = memoryview(_png_chunk(b"eXIf", _exif(tiff_tags.orientation(bytes(found[b"eXIf"][8:-4])))))
    picture = frames[0] if b"acTL" in found and frames and len(frames[0]) > 1 else default
    header = (chunk for kind, chunk in found.items() if kind != b"acTL")
    return FirstFrame("PNG", b"".join((data[:8], *header, *picture, _png_chunk(b"IEND", b""))))


_PNG_CHUNKS = (b"IHDR", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"PLTE", b"tRNS", b"acTL")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 8
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, view[at : at + 12 + length]
        at += 12 + length
    raise ValueError("Too many chunks.")


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _gif(data: bytes) -> FirstFrame:
    """Reduce a GIF (GIF89a): remove the extensions before the first image, except the last graphic control."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    head, control = data[:at], b""
    for _ in range(MAX_PARTS):
        if data[at] == 0x2C:
            return FirstFrame("GIF", b"".join((head, control, memoryview(data)[at:])))
        if data[at] == 0x21:
            start, label, at = at, data[at + 1], at + 2
            while data[at]:
                at += data[at] + 1
            if label == 0xF9:
                control = data[start : at + 1]
        at += 1
    raise ValueError("Too many blocks.")


class Layout(NamedTuple):
    """The number formats of a TIFF: byte order, and offsets of 4 bytes, or 8 in a BigTIFF."""

    order: str
    counts: str
    offset: str
    place: int

    @staticmethod
    def from_header(data: bytes) -> Layout:
        """Return the layout of a file, from its first four bytes."""
        order = "<" if data.startswith(b"II") else ">"
        return Layout(order, "Q", "Q", 8) if 43 in data[2:4] else Layout(order, "H", "I", 4)

    @property
    def tag(self) -> struct.Struct:
        """The layout of a tag: its number, type and count, and its values or their offset."""
        return struct.Struct(f"{self.order}HH{self.offset}{self.place}s")

    def number(self, kind: str, data: bytes, at: int = 0) -> int:
        """Return the number at offset ``at``, of the ``struct`` format ``kind``. Raise struct.error past the end."""
        return int(struct.unpack_from(self.order + kind, data, at)[0])

    def tags(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Return the tags of the first directory: number, type, count, and values or offset."""
        directory = self.number(self.offset, data, self.place)
        count = self.number(self.counts, data, directory)
        start = directory + struct.calcsize(self.order + self.counts)
        return self.tag.iter_unpack(data[start : start + count * self.tag.size])


def _tiff(data: bytes) -> FirstFrame:
    """Return a TIFF (TIFF 6.0, section 2) or BigTIFF unchanged.

    Raise ValueError if the values of its tags are larger than the file, or its tiles larger than the picture.
    """
    layout = Layout.from_header(data)
    sides: dict[int, int] = {}
    total = 0
    for tag, kind, count, value in layout.tags(data):
        total += count * _TYPE_SIZES.get(kind, 8)
        if tag in _SIDES:
            if tag in sides:
                raise ValueError("A side occurs twice.")
            sides[tag] = layout.number(_STRUCT_FORMATS[kind], value)
    if total > len(data):
        raise ValueError("Tags share their values.")
    width, height, tile_width, tile_height = (sides.get(tag, 0) for tag in _SIDES)
    if len(sides) % 2 or tile_width * tile_height > max((width + 15) * (height + 15), 1 << 22):
        raise ValueError("The tiles are larger than the picture.")
    return FirstFrame("TIFF", data)


_SIDES = (256, 257, 322, 323)  # width and height of the picture and of its tiles
_STRUCT_FORMATS = {3: "H", 4: "I", 16: "Q"}
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def _webp(data: bytes) -> FirstFrame:
    """Reduce a WebP (RFC 9649). The canvas outside the first frame of an animation is transparent."""
    if data[12:16] != b"VP8X":
        return FirstFrame("WEBP", data)
    found: dict[bytes, bytes | memoryview] = {}
    for kind, chunk in _webp_chunks(data):
        if kind in _WEBP_CHUNKS:
            found.setdefault(kind, chunk)
    if b"EXIF" in found:
        exif = _exif(tiff_tags.orientation(bytes(found[b"EXIF"][8:])))
        found[b"EXIF"] = struct.pack("<4sI", b"EXIF", len(exif)) + exif
    animated = data[20] & 0x02
    flags = (
        data[20] & 0x10 | (animated | 0x10 if animated else 0) | 0x20 * (b"ICCP" in found) | 0x08 * (b"EXIF" in found)
    )
    chunks = (found[kind] for kind in _WEBP_CHUNKS if kind in found)
    body = b"".join((b"WEBPVP8X\x0a\0\0\0", bytes((flags, 0, 0, 0)), data[24:30], *chunks))
    return FirstFrame("WEBP", struct.pack("<4sI", b"RIFF", len(body)) + body)


_WEBP_CHUNKS = (b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 30
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        yield kind, view[at:end]
        at = end
    raise ValueError("Too many chunks.")


def _avif(data: bytes) -> FirstFrame:
    reduced, coded_sizes = avif.reduce(data)
    return FirstFrame("AVIF", reduced, coded_sizes=coded_sizes)


def _bmp(data: bytes) -> FirstFrame:
    return FirstFrame("BMP", data)


def _exif(orientation: int) -> bytes:
    """Return EXIF that contains only this orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


_REDUCERS = {
    rb"\xff\xd8\xff": _jpeg,
    rb"\x89PNG\r\n\x1a\n": _png,
    rb"RIFF....WEBP": _webp,
    rb"GIF8[79]a": _gif,
    rb"II[*+]\0|MM\0[*]": _tiff,
    rb"....ftyp(avif|avis|mif1|msf1)": _avif,
    rb"BM": _bmp,
}
