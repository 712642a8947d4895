"""Malicious and damaged pictures: each is shown or rejected, in limited time and memory, and affects no other.

They are rendered by the sandbox, as in production. The tests assert the outcome and the memory in bytes, no durations.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, Size
from chalicelib.pictures import sandbox
from chalicelib.pictures.sandbox import Sandbox
from tests.builders import (
    PNG,
    frame_control,
    grey_profile,
    ink_profile,
    jpeg,
    png,
    png_chunk,
    png_header,
    png_parts,
    quarters,
    rgb_profile,
    riff,
    saved,
    scene,
    tiff,
    webp_canvas,
    webp_frame,
)

SIZES = (Size(200, "cover"), Size(800, "fit"))
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP")
MIB = 1024 * 1024
SHOWN, UNREADABLE, MANY = "SHOWN", "IMAGE_UNREADABLE", "IMAGE_TOO_MANY_PIXELS"
UNSUPPORTED, VARIANT, COMPLEX = "IMAGE_TYPE_UNSUPPORTED", "IMAGE_VARIANT_UNSUPPORTED", "IMAGE_TOO_COMPLEX"
REFUSED = f"{UNREADABLE} {COMPLEX}"
"""Which of the two depends on what a decoder reports when it gets no more memory."""
SLOW = f"{SHOWN} {COMPLEX}"
"""Which of the two depends on the machine."""


class Renderer:
    """The sandbox, with the measures of its last process."""

    def __init__(self) -> None:
        self.sandbox = Sandbox()

    def render(self, data: bytes, sizes: Sequence[Size] = SIZES) -> str:
        """Return "SHOWN" or the code of the error."""
        try:
            self.sandbox.render(data, sizes, self.sandbox.memory_needed(data, sizes))
        except errors.ImageError as error:
            return error.code
        return SHOWN

    def peak(self) -> int:
        """Return the most memory that a living process needed so far, beyond the server's, in bytes."""
        server, *children = self.sandbox.processes()
        return max((_peak(child) - _peak(server) for child in children), default=0)


def _peak(process: int) -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    renderer = Renderer()
    yield renderer
    renderer.sandbox.stop()


# The files below are made on demand.


def flat_png(width: int, height: int, channels: int, *before: bytes, depth: int = 8) -> bytes:
    """Return a PNG of zeros: 50 megapixels take less than 2 MB."""
    rows = zlib.compressobj(1)
    row = bytes(1 + width * channels * depth // 8)
    packed = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return (
        PNG
        + png_header(width, height, depth, colours)
        + b"".join(before)
        + png_chunk(b"IDAT", packed)
        + png_chunk(b"IEND")
    )


@functools.cache
def bomb(megabytes: int) -> bytes:
    """Return compressed zeros."""
    packer = zlib.compressobj(6)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(megabytes)) + packer.flush()


@functools.cache
def small_png(*before: bytes) -> bytes:
    parts = [png_chunk(*part) for part in png_parts(saved(quarters(64, 48), "PNG"))]
    return PNG + parts[0] + b"".join(before) + b"".join(parts[1:])


def before_pixels(data: bytes, segments: bytes) -> bytes:
    """Return a JPEG with more segments at its start."""
    return data[:2] + segments + data[2:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def overlapping_tags(count: int, length: int, first: int = 0xC000) -> bytes:
    """Return a TIFF directory of tags whose values are all stored at the same offset."""
    entries = b"".join(struct.pack("<HHII", first + tag, 1, length, 8) for tag in range(count))
    return struct.pack("<H", count) + entries + bytes(4)


def exif_of_many_tags(length: int) -> bytes:
    """Return EXIF in which the value of each tag is the whole of it."""
    count = 2000
    directory = overlapping_tags(count, length)
    return b"II*\0" + struct.pack("<I", 8 + length) + bytes(length) + directory


def page(width: int, height: int, blocks: Sequence[bytes], **more: Any) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1, 278: height}
    return tiff({**tags, **{int(tag[1:]): value for tag, value in more.items()}}, blocks)


def scans(count: int, width: int, height: int) -> bytes:
    """Return a progressive JPEG with many scans of a few bytes."""
    data = jpeg(64, 48, progressive=True)
    frame = data.index(b"\xff\xc2") + 5
    data = data[:frame] + struct.pack(">HH", height, width) + data[frame + 4 :]
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - data.count(b"\xff\xda")) + data[-2:]


def scans_apart(count: int, width: int, height: int) -> bytes:
    """Return a baseline JPEG with many empty scans of one colour each."""
    data = jpeg(64, 48)
    frame, first = data.index(b"\xff\xc0") + 5, data.index(b"\xff\xda")
    head = data[:frame] + struct.pack(">HH", height, width) + data[frame + 4 : first]
    rounds = b"".join(segment(0xDA, bytes((1, colour, 0, 0, 63, 0))) for colour in (1, 2, 3))
    return head + rounds * (count // 3) + b"\xff\xd9"


def gif(*blocks: bytes, canvas: tuple[int, int] = (64, 48)) -> bytes:
    """Return a GIF with more blocks before its picture."""
    data = saved(quarters(64, 48), "GIF")
    image = 13 + (3 << (data[10] & 7) + 1)
    return data[:6] + struct.pack("<HH", *canvas) + data[10:image] + b"".join(blocks) + data[image:]


def sub_blocks(data: bytes, length: int = 255) -> bytes:
    parts = (data[start : start + length] for start in range(0, len(data), length))
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def flat_webp(width: int, height: int) -> bytes:
    """Return a lossless WebP of one colour, which takes 38 bytes at any size."""
    data = bytearray(saved(Image.new("RGB", (16, 16), (9, 99, 200)), "WEBP", lossless=True))
    place = data.index(b"VP8L") + 9
    fixed = int.from_bytes(data[place : place + 4], "little") >> 28
    data[place : place + 4] = (fixed << 28 | height - 1 << 14 | width - 1).to_bytes(4, "little")
    return bytes(data)


def bmp(width: int, height: int, pixels: bytes, *, bits: int = 8, packing: int = 0, colours: int = 0) -> bytes:
    palette = bytes(range(256)) * 4 if bits == 8 else b""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, len(pixels), 0, 0, colours, 0)
    return (
        b"BM" + struct.pack("<IHHI", 54 + len(palette) + len(pixels), 0, 0, 54 + len(palette)) + head + palette + pixels
    )


def avif_of_one_colour(width: int, height: int, box_size: tuple[int, int]) -> bytes:
    """Return an AVIF of one colour whose box has the size ``box_size`` instead of the correct size."""
    data = saved(Image.new("RGB", (width, height), (9, 99, 200)), "AVIF")
    assert data.count(struct.pack(">II", width, height)) == 1
    return data.replace(struct.pack(">II", width, height), struct.pack(">II", *box_size))


def avif_of_frames(count: int) -> bytes:
    """Return an AVIF of 12 megapixels in which the picture is coded many times."""
    return avif_storing(avif_of_one_colour(4_000, 3_000, (4_000, 3_000)), lambda stored: count * stored)


def avif_with_room() -> bytes:
    """Return an AVIF whose frames may have sizes of 16 bits (AV1, section 5.5.1)."""

    def widened(stored: bytes) -> bytes:
        assert stored.startswith(b"\x12\0\x0a")
        end = 4 + stored[3]
        bits = "".join(f"{byte:08b}" for byte in stored[4:end])
        after = 18 + int(bits[10:14], 2) + 1 + int(bits[14:18], 2) + 1
        bits = bits[:10] + 8 * "1" + f"{64 - 1:016b}{48 - 1:016b}" + bits[after:]
        header = bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
        return stored[:3] + bytes((len(header),)) + header + stored[end:]

    return avif_storing(avif_of_one_colour(64, 48, (64, 48)), widened)


def avif_storing(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return an AVIF with its stored data changed."""
    start = data.index(b"mdat") + 4
    stored = data[start:]
    changed = change(stored)
    place = struct.pack(">II", start, len(stored))
    assert data.count(place) == 1
    head = data[: start - 8].replace(place, struct.pack(">II", start, len(changed)))
    return head + box(b"mdat", changed)


def avif_boxes(iloc: bytes, stored: bytes = b"", more: bytes = b"", version: int = 0) -> bytes:
    """Return an AVIF whose picture is item 1."""
    infe = b"\2\0\0\0\0\1\0\0av01\0"
    boxes = box(b"iloc", bytes((version, 0, 0, 0)) + iloc) + box(b"infe", infe) + box(b"free", more)
    return box(b"ftyp", b"avif" + bytes(4)) + box(b"meta", bytes(4) + boxes) + box(b"mdat", stored)


def avif_of_extents(count: int) -> bytes:
    """Return an AVIF whose picture consists of the whole file, many times."""
    extents = struct.pack(">II", 0, 19_000_000) * count
    return avif_boxes(b"\x44\0" + struct.pack(">HHHH", 1, 1, 0, count) + extents, bytes(19_000_000))


def avif_of_nothings() -> bytes:
    """Return an AVIF with four billion extents of zero bits."""
    return avif_boxes(b"\0\0" + struct.pack(">H", 65_535) + struct.pack(">HHH", 2, 0, 65_535) * 65_535)


def avif_of_types() -> bytes:
    return avif_boxes(bytes(4), more=b"".join(struct.pack(">I", number) + b"\0\0av01" for number in range(1_900_000)))


def avif_of_units() -> bytes:
    place = struct.pack(">HHHHII", 1, 1, 0, 1, 88, 18_000_000)
    return avif_boxes(b"\x44\0" + place, b"\x12\0" * 9_000_000)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def a_byte_at_a_time() -> bytes:
    header, pixels, end = png_parts(saved(scene(360, 270), "PNG"))
    return PNG + b"".join(
        png_chunk(*part) for part in (header, *((b"IDAT", bytes((byte,))) for byte in pixels[1]), end)
    )


def endless_apng() -> bytes:
    header, pixels, end = png_parts(saved(quarters(64, 48), "PNG"))
    chunks = [png_chunk(*header), png_chunk(b"acTL", struct.pack(">II", 40_000, 0)), png_chunk(*pixels)]
    for number in range(40_000):
        chunks += [
            frame_control(2 * number, 64, 48, 0, 0),
            png_chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + pixels[1]),
        ]
    return PNG + b"".join(chunks) + png_chunk(*end)


def endless_gif() -> bytes:
    data = saved(quarters(64, 48), "GIF")
    image = 13 + (3 << (data[10] & 7) + 1)
    return data[:image] + data[image:-1] * 20_000 + b";"


def webp_parts() -> list[tuple[bytes, bytes]]:
    (kind, picture), *_ = [(saved(quarters(64, 48), "WEBP")[12:16], saved(quarters(64, 48), "WEBP")[20:])]
    return [webp_canvas(64, 48, 8), (kind, picture)]


def own_successor() -> bytes:
    data = page(64, 48, [zlib.compress(bytes(64 * 48))])
    return data[:-4] + data[4:8]


def many_pages() -> bytes:
    first = page(64, 48, [zlib.compress(bytes(64 * 48))])
    pages = [first[:-4] + struct.pack("<I", len(first))]
    at = len(first)
    for _ in range(90_000):
        at += 18
        pages.append(struct.pack("<HHHII", 1, 256, 4, 1, 64) + struct.pack("<I", at))
    return b"".join(pages)


def more_strips() -> bytes:
    """Return a TIFF with more strips than it has rows, all at the same offset."""
    return page(3_000, 3_001, [bytes(9_000_000)], _259=1, _278=3_000, _273=[8] * 100_000, _279=[9_000_000] * 100_000)


def elsewhere(data: bytes) -> bytes:
    """Return a TIFF in which the tile width is a signed number of 8 bytes."""
    return data.replace(struct.pack("<HHI", 322, 4, 2), struct.pack("<HHI", 322, 17, 1))


def two_tile_sizes() -> bytes:
    """Return a TIFF with two tile sizes."""
    data = page(64, 48, [bomb(100)], _322=10_000, _323=10_000, _326=64, _327=48)
    for tag, twice in ((326, 322), (327, 323)):
        data = data.replace(struct.pack("<HHI", tag, 4, 1), struct.pack("<HHI", twice, 4, 1))
    return data


def wrong_counts(count: int) -> bytes:
    block = zlib.compress(random.Random(1).randbytes(64 * 48))
    data = page(64, 48, [block])
    return data.replace(struct.pack("<HHII", 279, 4, 1, len(block)), struct.pack("<HHII", 279, 4, 1, count))


def avif_with_exif(exif: bytes) -> bytes:
    return saved(quarters(64, 48), "AVIF", exif=b"Exif\0\0" + exif)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # The largest pictures allowed, in the formats that need most memory.
    "png: 50 megapixels with alpha": (lambda: flat_png(10_000, 5_000, 4), SHOWN),
    "png: 12 megapixels of 16 bits, one of them clear": (
        lambda: flat_png(4_000, 3_000, 1, png_chunk(b"tRNS", b"\0\1"), depth=16),
        SHOWN,
    ),
    "jpeg: 50 megapixels, progressive": (lambda: scans(6, 10_000, 5_000), SHOWN),
    "webp: 50 megapixels": (lambda: flat_webp(10_000, 5_000), SHOWN),
    "avif: 12 megapixels": (lambda: avif_of_one_colour(4_000, 3_000, (4_000, 3_000)), SHOWN),
    # Headers with huge sizes.
    "png: all the pixels that a header can say": (
        lambda: png(png_header(0x7FFFFFFF, 0x7FFFFFFF), b""),
        MANY,
    ),
    "webp: all the pixels that a header can say": (
        lambda: riff(webp_canvas(1 << 24, 1 << 24, 2), (b"ANIM", bytes(6))),
        MANY,
    ),
    "webp: a canvas of 268 megapixels": (
        lambda: riff(webp_canvas(16_383, 16_383, 2), (b"ANIM", bytes(6)), webp_frame(quarters(64, 48))),
        MANY,
    ),
    "gif: a canvas of 4 gigapixels": (lambda: gif(canvas=(65_535, 65_535)), MANY),
    "gif: a large canvas with a tiny frame": (lambda: gif(canvas=(4_000, 3_000)), SHOWN),
    "avif: a box says 268 megapixels": (lambda: avif_of_one_colour(64, 48, (16_384, 16_384)), MANY),
    "avif: a box says less than its picture has": (lambda: avif_of_one_colour(4_000, 3_000, (64, 48)), REFUSED),
    "bmp: a header says 4 gigapixels": (lambda: bmp(65_535, 65_535, bytes(100)), MANY),
    "bmp: more rows than bytes": (lambda: bmp(7_000, 7_000, bytes(100)), UNREADABLE),
    "jpeg: no rows": (lambda: scans(6, 64, 0), UNREADABLE),
    # PNG's chunks.
    "png: compressed texts of four gigabytes": (
        lambda: small_png(*[png_chunk(b"zTXt", b"k%d\0\0" % n + bomb(40)) for n in range(100)]),
        SHOWN,
    ),
    "png: international texts of four gigabytes": (
        lambda: small_png(*[png_chunk(b"iTXt", b"k%d\0\1\0\0\0" % n + bomb(40)) for n in range(100)]),
        SHOWN,
    ),
    "png: texts that are called what Pillow calls its own": (
        lambda: small_png(
            *[
                png_chunk(b"tEXt", key + b"\0what")
                for key in (b"icc_profile", b"transparency", b"exif", b"interlace", b"bbox", b"xmp")
            ]
        ),
        UNREADABLE,
    ),
    "png: a profile of 100 MB": (lambda: small_png(png_chunk(b"iCCP", b"p\0\0" + bomb(100))), SHOWN),
    "png: profile after profile": (
        lambda: small_png(*[png_chunk(b"iCCP", b"p\0\0" + bomb(3))] * 400),
        SLOW,
    ),
    "png: tens of thousands of chunks": (lambda: small_png(*[png_chunk(b"prVt")] * 90_000), SHOWN),
    "png: more chunks than a picture has": (lambda: small_png(*[png_chunk(b"prVt")] * 1_600_000), SLOW),
    "png: pixels a byte at a time": (a_byte_at_a_time, SHOWN),
    "png: frames without end": (endless_apng, SHOWN),
    "png: EXIF whose tags repeat it": (lambda: small_png(png_chunk(b"eXIf", exif_of_many_tags(MIB))), SHOWN),
    # JPEG's segments and scans.
    "jpeg: a thousand scans": (lambda: scans(1_000, 7_000, 7_000), SLOW),
    "jpeg: a thousand scans, a colour each": (lambda: scans_apart(1_000, 7_000, 7_000), SLOW),
    "jpeg: 12 megapixels, a scan a colour": (lambda: scans_apart(3, 4_000, 3_000), SHOWN),
    "jpeg: a hundred scans": (lambda: scans(100, 2_000, 1_500), SHOWN),
    "jpeg: millions of empty segments": (
        lambda: before_pixels(jpeg(64, 48), segment(0xE5, b"") * 4_000_000),
        SLOW,
    ),
    "jpeg: EXIF in a hundred thousand pieces": (
        lambda: before_pixels(jpeg(64, 48), segment(0xE1, b"Exif\0\0" + bytes(150)) * 95_000),
        SLOW,
    ),
    "jpeg: EXIF whose tags repeat it": (
        lambda: before_pixels(jpeg(64, 48), segment(0xE1, b"Exif\0\0" + exif_of_many_tags(40_000))),
        COMPLEX,
    ),
    "jpeg: nothing but filling": (lambda: before_pixels(jpeg(64, 48), b"\xff" * 8_000_000), SLOW),
    "jpeg: no marker for megabytes": (
        lambda: before_pixels(jpeg(64, 48), segment(0xFE, b"") + bytes(19_000_000)),
        SLOW,
    ),
    "jpeg: comment after comment": (lambda: before_pixels(jpeg(64, 48), segment(0xFE, bytes(60_000)) * 300), SHOWN),
    "jpeg: a profile of 16 MB": (
        lambda: before_pixels(
            jpeg(64, 48),
            b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(65_000)) for n in range(1, 256)),
        ),
        SHOWN,
    ),
    # GIF's blocks.
    "gif: a comment of 19 MB": (lambda: gif(b"!\xfe" + sub_blocks(bytes(19_000_000))), COMPLEX),
    "gif: a comment a byte at a time": (lambda: gif(b"!\xfe" + b"\1\0" * 3_000_000 + b"\0"), SLOW),
    "gif: comment after comment": (lambda: gif((b"!\xfe" + sub_blocks(bytes(100))) * 90_000), SLOW),
    "gif: millions of blocks": (lambda: gif(b"!\xfe\0" * 6_000_000), SLOW),
    "gif: frames without end": (endless_gif, SHOWN),
    # WebP's chunks.
    "webp: frames without end": (
        lambda: riff(webp_canvas(64, 48, 2), (b"ANIM", bytes(6)), *[webp_frame(quarters(64, 48))] * 90_000),
        SHOWN,
    ),
    "webp: millions of chunks": (
        lambda: riff(webp_canvas(64, 48, 2)) + b"none\0\0\0\0" * 2_400_000,
        UNREADABLE,
    ),
    "webp: EXIF whose tags repeat it": (
        lambda: riff(*webp_parts(), (b"EXIF", exif_of_many_tags(MIB))),
        SHOWN,
    ),
    # TIFF's directories, strips and tiles.
    "tiff: tags that repeat the file": (
        lambda: (
            b"II*\0"
            + struct.pack("<I", 8 + 18_000_000)
            + bytes(18_000_000)
            + overlapping_tags(60_000, 17_000_000, 1000)
        ),
        None,
    ),
    "tiff: known tags that repeat the file": (
        lambda: (
            b"II*\0" + struct.pack("<I", 8 + 18_000_000) + bytes(18_000_000) + overlapping_tags(700, 17_000_000, 254)
        ),
        REFUSED,
    ),
    "tiff: a directory that is its own successor": (own_successor, SHOWN),
    "tiff: pages without end": (many_pages, SHOWN),
    "tiff: more strips than rows": (more_strips, SHOWN),
    "tiff: tiles of one pixel, all but one missing": (
        lambda: page(7_000, 7_000, [zlib.compress(b"\0")], _322=1, _323=1),
        UNREADABLE,
    ),
    "tiff: a tile of 100 megapixels": (lambda: page(64, 48, [bomb(100)], _322=10_000, _323=10_000), REFUSED),
    "tiff: a tile without one side": (
        lambda: page(64, 48, [bomb(100)], _322=32_000_000),
        REFUSED,
    ),
    "tiff: a tile whose side has another type": (
        lambda: elsewhere(page(64, 48, [bomb(100)], _322=[7_777_777, 0], _323=48)),
        REFUSED,
    ),
    "tiff: a tile whose side is two numbers": (
        lambda: page(64, 48, [bomb(100)], _322=[7_777_777, 0], _323=48),
        REFUSED,
    ),
    "tiff: a tile with two sets of sides": (two_tile_sizes, REFUSED),
    "tiff: a strip of 4 gigapixels": (lambda: page(64, 48, [bomb(100)], _278=0xFFFFFFFF), SHOWN),
    "tiff: 6 megapixels of 16 bits, differences": (
        lambda: page(3_000, 2_000, [bomb(47)], _258=[16] * 4, _262=2, _277=4, _317=2, _338=2),
        SHOWN,
    ),
    "tiff: strips of which none has a byte": (lambda: wrong_counts(0), None),
    "tiff: strips that end behind the file": (lambda: wrong_counts(0x7FFFFFFF), None),
    "tiff: strips that end too early": (lambda: wrong_counts(5), UNREADABLE),
    "tiff: a tag of 2^60 values": (
        lambda: tiff({256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 277: 1, 278: 48}, [bytes(64 * 48)], big=True).replace(
            struct.pack("<HHQ", 258, 4, 1), struct.pack("<HHQ", 258, 4, 1 << 60)
        ),
        None,
    ),
    # AVIF's boxes.
    "avif: EXIF whose tags repeat it": (lambda: avif_with_exif(exif_of_many_tags(20_000)), COMPLEX),
    "avif: one frame after the other": (lambda: avif_of_frames(20), SLOW),
    "avif: room for frames of 4 gigapixels": (avif_with_room, SHOWN),
    "avif: a picture made of all of the file, a hundred times": (lambda: avif_of_extents(100), UNREADABLE),
    "avif: a picture in too many pieces": (lambda: avif_of_extents(60_000), UNREADABLE),
    "avif: billions of pieces of nothing": (avif_of_nothings, UNREADABLE),
    "avif: millions of items": (avif_of_types, UNREADABLE),
    "avif: millions of units": (avif_of_units, UNREADABLE),
    "avif: a box that has no end": (
        lambda: b"\0\0\0\x18ftypavif" + bytes(12) + b"\0\0\0\x08free" * 500_000,
        UNREADABLE,
    ),
    # BMP's packing.
    "bmp: packed, one step over 12 gigabytes": (
        lambda: bmp(49_000_000, 1, b"\0\2\0\xff" * 100, packing=1),
        VARIANT,
    ),
    "bmp: packed, row after row of nothing": (lambda: bmp(40, 1_000_000, b"\0\0" * 900_000, packing=1), VARIANT),
    "bmp: the lowest height there is": (lambda: bmp(64, -(1 << 31), bytes(100)), MANY),
    "bmp: a palette of a billion colours": (lambda: bmp(64, 48, bytes(64 * 48), colours=1 << 30), UNREADABLE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_picture_affects_no_other(name: str, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    make, outcome = HOSTILE[name]
    data = make()
    assert len(data) <= MAX_IMAGE_BYTES

    with monkeypatch.context() as patch:
        if outcome in (SLOW, COMPLEX):
            patch.setattr(sandbox, "MAX_SECONDS", 0.5)  # because most of these take all the time that they get
        rendered = renderer.render(data)

    assert outcome is None or rendered in outcome
    assert renderer.render(jpeg()) == SHOWN


WHOLE: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(noise("RGB"), "JPEG", icc_profile=PROFILE, exif=ORIENTED),
    "JPEG, progressive": lambda: saved(noise("CMYK"), "JPEG", progressive=True),
    "PNG": lambda: saved(noise("RGBA"), "PNG", icc_profile=BROKEN, exif=ORIENTED),
    "PNG, palette": lambda: saved(noise("RGB").quantize(64), "PNG", transparency=3),
    "WEBP": lambda: saved(noise("RGBA"), "WEBP", icc_profile=BROKEN, exif=ORIENTED),
    "WEBP, lossless": lambda: saved(noise("RGB"), "WEBP", lossless=True),
    "GIF": lambda: saved(noise("RGB").quantize(64), "GIF"),
    "TIFF": lambda: saved(noise("RGB"), "TIFF", icc_profile=BROKEN, exif=ORIENTED),
    "TIFF, LZW": lambda: saved(noise("RGB"), "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": lambda: saved(noise("RGB"), "TIFF", compression="jpeg"),
    "TIFF, tiles": lambda: page(60, 45, [zlib.compress(bytes(32 * 32))] * 4, _322=32, _323=32),
    "AVIF": lambda: saved(noise("RGBA"), "AVIF", icc_profile=BROKEN, exif=ORIENTED),
    "BMP": lambda: saved(noise("RGB").quantize(64), "BMP"),
}
ANIMATED: dict[str, Callable[[], bytes]] = {
    kind: lambda kind=kind: saved(noise("RGB"), kind, save_all=True, append_images=[noise("RGBA").convert("RGB")])
    for kind in ("PNG", "WEBP", "GIF", "AVIF", "TIFF")
}
PROFILE = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
BROKEN = PROFILE[:140]  # A valid one would take time for each picture.
ORIENTED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def noise(mode: str) -> Image.Image:
    """Return a small picture that cannot be compressed."""
    bands = [Image.frombytes("L", (60, 45), random.Random(band).randbytes(60 * 45)) for band in range(len(mode))]
    return Image.merge(mode, bands)


@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_file_is_shown_or_rejected(kind: str, renderer: Renderer) -> None:
    data = WHOLE[kind]()

    assert renderer.render(data) == SHOWN
    assert {renderer.render(data[: len(data) * tenth // 10]) for tenth in range(10)} <= {SHOWN, UNREADABLE}
    assert renderer.peak() <= 32 * MIB


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=kind) for kind, make in WHOLE.items()]
    + [pytest.param(make, id=f"{kind}, animated") for kind, make in ANIMATED.items()],
)
def test_damaged_file_is_shown_or_rejected(make: Callable[[], bytes], renderer: Renderer) -> None:
    data, chance = make(), random.Random(1)

    outcomes = {renderer.render(damaged(data, chance), [Size(24, "cover")]) for _ in range(200)}

    assert outcomes <= {SHOWN, UNREADABLE, MANY, UNSUPPORTED, VARIANT, COMPLEX}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_picture_with_a_damaged_profile_is_shown(mode: str, renderer: Renderer) -> None:
    inks = {
        (c, m, y, k): (100.0 - 25 * (c + m + y + k), 0.0, 0.0) for c, m, y, k in itertools.product((0, 1), repeat=4)
    }
    profile = {"RGB": PROFILE, "L": grey_profile(1.8), "CMYK": ink_profile(inks)}[mode]
    chance = random.Random(2)
    count = 15 if mode == "CMYK" else 150  # a table for CMYK takes a tenth of a second to build
    batch = [saved(noise(mode), "JPEG", icc_profile=damaged(profile, chance)) for _ in range(count)]

    assert {renderer.render(data, [Size(24, "cover")]) for data in batch} == {SHOWN}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Flip one to four bits, half of the times in the header."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 400)
    bits = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        bits[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return with_valid_checksums(bytes(bits)) if data.startswith(PNG) else bytes(bits)


def with_valid_checksums(data: bytes) -> bytes:
    """Return a PNG with its checksums corrected."""
    with contextlib.suppress(struct.error):
        return PNG + b"".join(png_chunk(*part) for part in png_parts(data))
    return data
