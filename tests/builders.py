"""What tests are made of: picture files, made here so that none has to be kept, and requests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from chalice.app import Request
from PIL import Image

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 60), (30, 60, 220), (230, 220, 40)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture's file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def quarters(width: int = 400, height: int = 300) -> Image.Image:
    """Red and green above blue and yellow: shows which side is up."""
    picture = Image.new("RGB", (width, height))
    for index, colour in enumerate((RED, GREEN, BLUE, YELLOW)):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        picture.paste(colour, (left, top, left + width - width // 2, top + height - height // 2))
    return picture


def jpeg(width: int = 400, height: int = 300, **options: Any) -> bytes:
    return saved(quarters(width, height), "JPEG", quality=95, **options)


def png_head(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and ends where its pixels would begin."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\x10\0IDAT"
    )


def rgb_profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float) -> bytes:
    """An ICC profile (ICC.1:2004, matrix and tone curve) with these primaries, in XYZ under D50."""
    tags = {name: b"XYZ \0\0\0\0" + _fixed(*at) for name, at in {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}.items()}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(data), len(tag))
        data += tag
    size = struct.pack(">I", start + len(data))
    head = size + bytes(4) + b"\x02\x10\0\0" + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + _fixed(0.9642, 1.0, 0.8249)).ljust(128, b"\0") + table + data


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def request(method: str = "GET", **event: Any) -> Request:
    """A request as Chalice hands it to a view."""
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
