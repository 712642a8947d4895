"""Builders of test data: fields of items, requests and picture files."""

from __future__ import annotations

import base64
import functools
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalice.app import Request
from PIL import Image

from chalicelib.catalogue import validation

REQUIRED: dict[str, Any] = {}
"""Values of the fields that ``ItemFields`` requires. All test items have them."""


def fields(**own: Any) -> dict[str, Any]:
    """Return valid fields of an item: the required ones, the defaults of the others, and ``own``."""
    return {**validation.validate_item(REQUIRED).fields, **own}


def as_json(members: str = "") -> bytes:
    """Return the required fields as a JSON body, with more members as JSON text, such as ``"n": 1E2``."""
    required = json.dumps(REQUIRED)[1:-1]
    return f"{{{', '.join(part for part in (required, members) if part)}}}".encode()


RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 60), (30, 60, 220), (230, 220, 40)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **(_SAVED.get(kind, {}) | options))
    return out.getvalue()


_SAVED = {"AVIF": {"speed": 10}}  # takes a tenth of the time; files are slightly larger


def quarters(width: int = 400, height: int = 300) -> Image.Image:
    """Return a picture of four quarters: red and green above blue and yellow."""
    picture = Image.new("RGB", (width, height))
    for index, colour in enumerate((RED, GREEN, BLUE, YELLOW)):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        picture.paste(colour, (left, top, left + width - width // 2, top + height - height // 2))
    return picture


def jpeg(width: int = 400, height: int = 300, **options: Any) -> bytes:
    return saved(quarters(width, height), "JPEG", quality=95, **options)


def scene(width: int = 360, height: int = 270) -> Image.Image:
    """Return 432 squares in 64 colours, in which every rotation, shift and change of colour is visible."""
    return _squares().resize((width, height), Image.Resampling.NEAREST)


@functools.cache
def _squares() -> Image.Image:
    chance = random.Random(4)
    squares = Image.new("RGB", (24, 18))
    squares.putdata([tuple(chance.choice((40, 100, 160, 220)) for _ in range(3)) for _ in range(24 * 18)])
    return squares


def each_colour(picture: Image.Image, change: Callable[..., tuple[int, ...]], mode: str = "RGB") -> Image.Image:
    """Return a picture with few colours with each colour changed."""
    seen: list[Any] = list(picture.get_flattened_data())
    known = {colour: change(*colour) for colour in set(seen)}
    changed = Image.new(mode, picture.size)
    changed.putdata([known[colour] for colour in seen])
    return changed


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
    """Return an IHDR chunk. ``colours``: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))


def png(header: bytes, rows: bytes, *before: bytes) -> bytes:
    """Return a PNG of these rows (each after its filter byte), with other chunks before them."""
    return PNG + header + b"".join(before) + png_chunk(b"IDAT", zlib.compress(rows, 1)) + png_chunk(b"IEND")


def png_head(width: int, height: int) -> bytes:
    """Return a PNG that ends before its pixels."""
    return PNG + png_header(width, height) + b"\0\0\x10\0IDAT"


def png_parts(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the kinds and bodies of a PNG's chunks."""
    parts, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


PNG = b"\x89PNG\r\n\x1a\n"


def frame_control(number: int, width: int, height: int, left: int, top: int) -> bytes:
    """Return an APNG's fcTL chunk: 0.1 s, blended over the previous frame."""
    return png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, left, top, 1, 10, 0, 1))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of these chunks."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(width: int, height: int, flags: int) -> tuple[bytes, bytes]:
    """Return a VP8X chunk. ``flags``: 2 animation, 4 XMP, 8 EXIF, 16 alpha, 32 profile."""
    return b"VP8X", bytes((flags, 0, 0, 0)) + _three(width - 1) + _three(height - 1)


def webp_frame(picture: Image.Image, left: int = 0, top: int = 0) -> tuple[bytes, bytes]:
    """Return an ANMF chunk: 0.1 s."""
    place = _three(left // 2) + _three(top // 2) + _three(picture.width - 1) + _three(picture.height - 1) + _three(100)
    return b"ANMF", place + b"\0" + saved(picture, "WEBP", lossless=True)[12:]


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def tiff(tags: Mapping[int, Any], blocks: Sequence[bytes], order: str = "<", *, big: bool = False) -> bytes:
    """Return a TIFF of one page with these tags, and these strips, or tiles if there is a tag 322.

    ``order`` is ``<`` (little-endian) or ``>``. ``big`` makes it a BigTIFF.
    """
    offset, width = ("Q", 8) if big else ("I", 4)
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,)))
    data = bytearray(head + bytes(width))
    places = []
    for block in blocks:
        places.append(len(data))
        data += block
    offset_and_size_tags = (324, 325) if 322 in tags else (273, 279)
    entries = b""
    for tag, value in sorted(
        {offset_and_size_tags[0]: places, offset_and_size_tags[1]: [len(block) for block in blocks], **tags}.items()
    ):
        numbers = [value] if isinstance(value, int) else value
        packed = numbers if isinstance(numbers, bytes) else struct.pack(f"{order}{len(numbers)}I", *numbers)
        entries += struct.pack(order + "HH" + offset, tag, 7 if isinstance(numbers, bytes) else 4, len(numbers))
        if len(packed) > width:
            entries += struct.pack(order + offset, len(data))
            data += packed
        else:
            entries += packed.ljust(width, b"\0")
    directory = (
        struct.pack(order + ("Q" if big else "H"), len(entries) // (12 + 2 * width - 8)) + entries + bytes(width)
    )
    data[len(head) : len(head) + width] = struct.pack(order + offset, len(data))
    return bytes(data + directory)


def arithmetic_jpeg() -> bytes:
    """Return ``quarters(64, 48)`` with arithmetic coding, made by libjpeg-turbo's jpegtran: Pillow cannot write it."""
    return base64.b64decode(_ARITHMETIC_JPEG)


def ten_bit_avif() -> bytes:
    """Return ``quarters(64, 48)`` in 10 bits, red transparent and green half so, made by libavif's avifenc."""
    return base64.b64decode(_TEN_BIT_AVIF)


def rgb_profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float) -> bytes:
    """Return an ICC profile (ICC.1:2004, matrix and tone curve) with these primaries, in XYZ (D50)."""
    tags = {name: b"XYZ \0\0\0\0" + _fixed(*at) for name, at in {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}.items()}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey_profile(gamma: float) -> bytes:
    """Return an ICC profile (ICC.1:2004, monochrome input) with this tone curve."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def ink_profile(inks: Mapping[tuple[int, ...], tuple[float, float, float]]) -> bytes:
    """Return an ICC profile for CMYK (ICC.1:2004, lut8Type) from the L*a*b* of the 16 combinations of full inks."""
    ramp = bytes(range(256))
    corners = [inks[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    table = bytes(value for light, a, b in corners for value in (round(light * 2.55), round(a) + 128, round(b) + 128))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + table + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def _profile(device: bytes, colours: bytes, between: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {**tags, b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)}
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    size = struct.pack(">I", start + len(data))
    head = size + bytes(4) + b"\x02\x10\0\0" + device + colours + between + bytes(12) + b"acsp" + bytes(28)
    return (head + _fixed(0.9642, 1.0, 0.8249)).ljust(128, b"\0") + table + data


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def request(method: str = "GET", **event: Any) -> Request:
    """Return a request as a view gets it from Chalice."""
    context = {"httpMethod": method, "resourcePath": "/items", "path": "/items", "requestId": "request-1"}
    return Request(
        {
            "requestContext": context,
            "headers": {},
            "pathParameters": {},
            "stageVariables": {},
            "multiValueQueryStringParameters": None,
            "body": None,
            "isBase64Encoded": False,
            **event,
        }
    )


_ARITHMETIC_JPEG = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/
2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQARCAAwAEADASIAAhEBAxEB/8wA
CgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANHthsM/axo8xPcAUuC+e0DWB8lnszqP0OyeAXpwWDqdBaAL4P8AEIvaAFg7R7Ohu8Q8jPr9pn7tO1biUmAfMiVy
1qxy+lIAikVn6DhYUmVMEUZVVv/Z
"""
_TEN_BIT_AVIF = """
AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAAGNbWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAGxpYmF2aWYAAAAADnBp
dG0AAAAAAAEAAAAsaWxvYwAAAABEAAACAAEAAAABAAAB7QAAAF0AAgAAAAEAAAG1AAAAOAAAAEJpaW5mAAAAAAACAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xv
cgAAAAAaaW5mZQIAAAAAAgAAYXYwMUFscGhhAAAAABppcmVmAAAAAAAAAA5hdXhsAAIAAQABAAAAw2lwcnAAAACdaXBjbwAAABRpc3BlAAAAAAAAAEAAAAAw
AAAAEHBpeGkAAAAAAwoKCgAAAAxhdjFDgSBAAAAAABNjb2xybmNseAABAA0ABoAAAAAOcGl4aQAAAAABCgAAAAxhdjFDgQBcAAAAADhhdXhDAAAAAHVybjpt
cGVnOm1wZWdCOmNpY3A6c3lzdGVtczphdXhpbGlhcnk6YWxwaGEAAAAAHmlwbWEAAAAAAAAAAgABBAECgwQAAgQBBYYHAAAAnW1kYXQSAAoGGBV/vY1AMixE
AADZteSEGfvrEy1Nznx0JMlMr8Kp/NrGwP2cYsRBWob2IzK2ewYnNurgURIACgk4FX+9jAQ0GkAyTkWQAkkkkQDYAKcFKWlymQ5Frd5r/Ijn3gVTpu7FfZld
eAxUv3t6B1rZefsTF8OonTs+PxGMDwOZd1g6D2KvNYxfZHUBXLVhieBqfK33gA==
"""
