"""Files that people upload come out as in browsers, or as their format says if browsers do not show it."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from PIL import Image

from chalicelib import errors
from chalicelib.config import Size
from chalicelib.pictures import thumbnails
from tests.builders import BLUE, GREEN, RED, YELLOW, jpeg, png_chunk, quarters, saved, tiff

Colour = tuple[int, ...]
WIDTH, HEIGHT, SIDE = 400, 300, 64
QUARTERS = (RED, GREEN, BLUE, YELLOW)
END = png_chunk(b"IEND")


def shown(data: bytes) -> tuple[Colour, ...]:
    """Return the colours of the quarters of the thumbnail."""
    made = thumbnails.render(data, [Size(200, "cover")]).thumbnails[0]
    picture = Image.open(io.BytesIO(made.data)).convert("RGB")
    places = [(x, y) for y in (0.2, 0.8) for x in (0.2, 0.8)]
    pixels = [picture.getpixel((int(x * picture.width), int(y * picture.height))) for x, y in places]
    return tuple(pixel for pixel in pixels if isinstance(pixel, tuple))


def assert_shows(data: bytes, colours: Sequence[Colour], tolerance: int = 6) -> None:
    found = shown(data)
    difference = max(abs(a - b) for one, two in zip(found, colours, strict=True) for a, b in zip(one, two, strict=True))
    assert difference <= tolerance, found


def chart_png(**options: Any) -> bytes:
    return saved(quarters(WIDTH, HEIGHT), "PNG", **options)


def with_crc_of_zero(data: bytes, kind: bytes) -> bytes:
    """Return a PNG with the first chunk of this kind not matching its CRC."""
    at = data.index(kind)
    (length,) = struct.unpack_from(">I", data, at - 4)
    end = at + 4 + length
    return data[:end] + bytes(4) + data[end + 4 :]


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_crc_of_zero(chart_png().replace(b"\0\0\0\0IEND", gama() + b"\0\0\0\0IEND"), b"gAMA"),
        lambda: with_crc_of_zero(chart_png()[:33] + gama() + chart_png()[33:], b"gAMA"),
        lambda: chart_png() + b"trailing rubbish" * 1000,
        lambda: jpeg() + b"\0\0\0\x18ftypmp42" + bytes(5000),
        lambda: saved(quarters(), "JPEG", quality=95, keep_rgb=True),
        lambda: saved(quarters().convert("CMYK"), "JPEG", quality=95),
        lambda: saved(quarters(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (50, 50))]),
        lambda: saved(quarters(), "BMP"),
        lambda: saved(quarters().quantize(8), "GIF"),
    ],
    ids=[
        "PNG, ancillary chunk at the end with a wrong CRC",
        "PNG, ancillary chunk with a wrong CRC",
        "PNG, data after its end",
        "JPEG, video after its end",
        "JPEG, RGB",
        "JPEG, CMYK without a profile",
        "JPEG, two pictures",
        "BMP",
        "GIF",
    ],
)
def test_usual_file_is_shown(make: Callable[[], bytes]) -> None:
    data = make()

    assert_shows(data, QUARTERS)
    assert thumbnails.render(data, [Size(200, "cover")])[1:3] == (WIDTH, HEIGHT)


def gama() -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", 45_455))


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + jpeg(),
        b"\xef\xbb\xbf" + chart_png(),
        with_crc_of_zero(chart_png(), b"IDAT"),
        with_crc_of_zero(chart_png(), b"IHDR"),
    ],
    ids=["line break before a JPEG", "byte order mark before a PNG", "CRC of pixels", "CRC of the header"],
)
def test_file_that_browsers_disagree_about_is_shown_or_rejected(data: bytes) -> None:
    with contextlib.suppress(errors.ImageUnreadableError):
        assert_shows(data, QUARTERS)


@pytest.mark.parametrize(
    ("kind", "size"), [("PNG", (1, 10_000)), ("JPEG", (10_000, 1)), ("GIF", (1, 1))], ids=["tall", "wide", "tiny"]
)
def test_extreme_shape_is_shown(kind: str, size: tuple[int, int]) -> None:
    data = saved(Image.new("RGB", size, RED), kind)

    assert thumbnails.render(data, [Size(200, "cover")])[1:3] == size
    assert_shows(data, [RED] * 4)


def test_transparent_colour_of_a_gif_is_white() -> None:
    numbers = quarters().quantize(8)
    clear = numbers.getpixel((WIDTH - 5, HEIGHT - 5))

    assert_shows(saved(numbers, "GIF", transparency=clear), [RED, GREEN, BLUE, (255, 255, 255)])


def page(pixel: bytes, bits: Sequence[int], photometric: int, **tags: Any) -> bytes:
    """Return a TIFF of one colour, in one strip. ``tags`` are named t and the number."""
    basic = {256: SIDE, 257: SIDE, 258: list(bits), 259: 1, 262: photometric, 277: len(bits), 278: SIDE}
    return tiff(basic | {int(name[1:]): values for name, values in tags.items()}, [pixel * SIDE**2])


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        pytest.param(page(b"\x80\xff", [8, 8], 1, t338=2), (128, 128, 128), id="grey with alpha"),
        pytest.param(page(b"\0\xc8\0\x28\0\x28", [16] * 3, 2), (200, 40, 40), id="16-bit RGB"),
        pytest.param(page(b"\0\xc8\0\x28\0\x28\xff\x7f", [16] * 4, 2, t338=2), (228, 148, 148), id="16-bit RGBA"),
        pytest.param(page(b"\x64\x14\x14\x80", [8] * 4, 2, t338=1), (227, 147, 147), id="premultiplied alpha"),
        pytest.param(page(b"\xc8\x28\x28\0", [8] * 4, 2, t338=0), (200, 40, 40), id="a sample without meaning"),
        pytest.param(page(b"\xc8\x28\x28\xff\0", [8] * 5, 2, t338=[2, 0]), (200, 40, 40), id="alpha and another"),
        pytest.param(page(b"\0\xff\xff\0", [8] * 4, 5), (255, 0, 0), id="CMYK"),
        pytest.param(page(b"\0\0\xff\xff\xff\xff\0\0", [16] * 4, 5), (255, 0, 0), id="16-bit CMYK"),
    ],
)
def test_tiff_is_shown(data: bytes, colour: Colour) -> None:
    assert_shows(data, [colour] * 4)


def test_tiff_of_few_bits_is_shown() -> None:
    bits = tiff({256: SIDE, 257: SIDE, 258: 1, 259: 1, 262: 0, 277: 1, 278: SIDE}, [(b"\xff" * 4 + bytes(4)) * SIDE])
    nibbles = tiff({256: SIDE, 257: SIDE, 258: 4, 259: 1, 262: 1, 277: 1, 278: SIDE}, [b"\x55" * 32 * SIDE])

    assert_shows(bits, [(0, 0, 0), (255, 255, 255)] * 2)
    assert_shows(nibbles, [(85, 85, 85)] * 4)


def test_second_exif_segment_is_ignored() -> None:
    # As Chromium does.
    exif = Image.Exif()
    exif[274] = 6
    data = jpeg(exif=exif)
    segment = b"Exif\0\0MM\0*\0\0\0\x08\0\0"  # without an orientation

    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]

    assert thumbnails.render(data, [Size(200, "cover")])[1:3] == (WIDTH, HEIGHT)
