"""The depth, sign and transparency of samples are read from the file's header."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from chalicelib import errors
from chalicelib.config import Size
from chalicelib.pictures import thumbnails
from tests.builders import png, png_chunk, png_header, tiff

Colour = tuple[int, ...]

SIDE = 64
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (85, 85, 85)
RAMP = range(0, 256, 4)


def shown(data: bytes) -> Image.Image:
    """Return the thumbnail of a file at its own size."""
    made = thumbnails.render(data, [Size(SIDE, "fit")]).thumbnails[0]
    return Image.open(io.BytesIO(made.data)).convert("RGB")


def pixel(picture: Image.Image, x: int, y: int = SIDE // 2) -> Colour:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def assert_near(found: Colour, expected: Colour, tolerance: int = 4) -> None:
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= tolerance, found


def assert_halves(data: bytes, left: Colour, right: Colour) -> None:
    picture = shown(data)
    assert_near(pixel(picture, SIDE // 4), left)
    assert_near(pixel(picture, SIDE * 3 // 4), right)


def assert_colour(data: bytes, colour: Colour) -> None:
    assert_halves(data, colour, colour)


def assert_ramp(data: bytes, values: Sequence[int] = RAMP) -> None:
    picture = shown(data)
    for x in range(0, SIDE, 7):
        assert_near(pixel(picture, x), (values[x],) * 3)


class TestPngTransparency:
    """The left half is transparent: the tRNS chunk has its sample as it is stored."""

    @pytest.mark.parametrize(
        ("depth", "halves", "clear"),
        [
            (1, b"\xff\xff\xff\xff\0\0\0\0", 1),
            (2, b"\x55" * 8 + b"\0" * 8, 1),
            (4, b"\x55" * 16 + b"\0" * 16, 5),
            (8, b"\x55" * 32 + b"\0" * 32, 0x55),
            (16, b"\x55\x20" * 32 + b"\0\0" * 32, 0x5520),
        ],
    )
    def test_grey(self, depth: int, halves: bytes, clear: int) -> None:
        data = png(png_header(SIDE, SIDE, depth, 0), (b"\0" + halves) * SIDE, trns(clear))

        assert_halves(data, WHITE, BLACK)

    def test_other_grey_of_few_bits_is_opaque(self) -> None:
        data = png(png_header(SIDE, SIDE, 4, 0), (b"\0" + b"\x55" * 16 + b"\0" * 16) * SIDE, trns(4))

        assert_halves(data, GREY, BLACK)

    @pytest.mark.parametrize(
        ("clear", "left"), [((0x8010, 0x4020, 0x2030), WHITE), ((0x8010, 0x4020, 0x2031), (128, 64, 32))]
    )
    def test_16_bit_colours_are_compared_in_full(self, clear: Colour, left: Colour) -> None:
        rows = (b"\0" + struct.pack(">HHH", 0x8010, 0x4020, 0x2030) * 32 + b"\0\0\0\0\xff\xff" * 32) * SIDE

        assert_halves(png(png_header(SIDE, SIDE, 16, 2), rows, trns(*clear)), left, (0, 0, 255))

    @pytest.mark.parametrize("order", ["after the pixels", "before the palette"])
    def test_misplaced_trns_is_ignored(self, order: str) -> None:
        palette, clear = png_chunk(b"PLTE", bytes((85, 85, 85, 0, 0, 0))), png_chunk(b"tRNS", b"\0\0")
        rows = (b"\0" + b"\0" * 32 + b"\1" * 32) * SIDE
        if order == "before the palette":
            data = png(png_header(SIDE, SIDE, 8, 3), rows, clear, palette)
        else:
            end = png_chunk(b"IEND")
            data = png(png_header(SIDE, SIDE, 8, 3), rows, palette).removesuffix(end) + clear + end

        assert_halves(data, GREY, BLACK)


def trns(*samples: int) -> bytes:
    return png_chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def page(pixels: bytes, bits: Sequence[int], photometric: int, order: str = "<", **tags: Any) -> bytes:
    """Return a TIFF of 64 × 64 pixels in one strip. ``tags`` are named t and the number."""
    basic = {256: SIDE, 257: SIDE, 258: list(bits), 259: 1, 262: photometric, 277: len(bits), 278: SIDE}
    return tiff(basic | {int(name[1:]): values for name, values in tags.items()}, [pixels], order)


def twelve_bits(values: Sequence[int]) -> bytes:
    return int("".join(f"{value:012b}" for value in values), 2).to_bytes(len(values) * 12 // 8)


class TestTiff:
    def test_12_bit_grey(self) -> None:
        assert_ramp(page(twelve_bits([value * 4095 // 255 for value in RAMP]) * SIDE, [12], 1))

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_grey(self, order: str) -> None:
        row = struct.pack(f"{order}{SIDE}H", *(value * 257 for value in RAMP))

        assert_ramp(page(row * SIDE, [16], 1, order))
        assert_ramp(page(row * SIDE, [16], 0, order), [255 - value for value in RAMP])

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_signed_grey_shows_its_whole_range(self, order: str) -> None:
        values = [value * 5 - 300 for value in RAMP]
        expected = [(value - RAMP[0]) * 255 // RAMP[-1] for value in RAMP]

        assert_ramp(page(struct.pack(f"{order}{SIDE}h", *values) * SIDE, [16], 1, order, t339=[2]), expected)
        values = [value - 128 for value in RAMP]
        assert_ramp(page(struct.pack(f"{SIDE}b", *values) * SIDE, [8], 1, order, t339=[2]), expected)

    def test_compressed_signed_grey(self) -> None:
        pixels = zlib.compress(struct.pack(f"<{SIDE}h", *RAMP) * SIDE)

        assert_ramp(page(pixels, [16], 1, t339=[2], t259=[8]), [value * 255 // RAMP[-1] for value in RAMP])

    def test_uniform_signed_grey_is_shown(self) -> None:
        assert_colour(page(struct.pack("<h", -7) * SIDE**2, [16], 1, t339=[2]), BLACK)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_grey_with_alpha(self, order: str) -> None:
        halves = struct.pack(f"{order}HH", 0x5520, 0xFFFF) * 32 + struct.pack(f"{order}HH", 0, 0x7FFF) * 32

        assert_halves(page(halves * SIDE, [16, 16], 1, order, t338=[2]), GREY, (128, 128, 128))

    def test_compressed_16_bit_grey_with_alpha(self) -> None:
        for order in "<>":
            pixels = zlib.compress(struct.pack(f"{order}HH", 0x5520, 0xFFFF) * SIDE**2)
            assert_colour(page(pixels, [16, 16], 1, order, t338=[2], t259=[8]), GREY)

    def test_8_bit_colour_map_in_16_bit_fields(self) -> None:
        colours = [0] * 768
        colours[7], colours[256 + 7], colours[512 + 7] = 200, 40, 60

        assert_colour(page(b"\7" * SIDE**2, [8], 3, t320=colours), (200, 40, 60))

    def test_cmyk_with_alpha_is_on_white(self) -> None:
        halves = b"\0\xff\xff\0\xff" * 32 + b"\0\xff\xff\0\0" * 32

        assert_halves(page(halves * SIDE, [8] * 5, 5, t338=[2]), (255, 0, 0), WHITE)

    def test_cmyk_with_alpha_is_turned_upright(self) -> None:
        # Stored from left to right: opaque, transparent. Orientation 2 mirrors the picture.
        halves = b"\0\xff\xff\0\xff" * 32 + b"\0\xff\xff\0\0" * 32

        assert_halves(page(halves * SIDE, [8] * 5, 5, t338=[2], t274=[2]), WHITE, (255, 0, 0))

    def test_lab(self) -> None:
        # L* 53.3, a* 80, b* 67, in D50.
        assert_colour(page(bytes((136, 80, 67)) * SIDE**2, [8] * 3, 8), (250, 0, 8))

    @pytest.mark.parametrize(
        ("bits", "photometric", "tags", "name"),
        [
            ([32], 1, {"t339": [3]}, "32-bit float grey TIFF"),
            ([32] * 3, 2, {"t339": [3] * 3}, "32-bit float RGB TIFF"),
            ([16] * 3, 8, {}, "16-bit Lab TIFF"),
            ([8] * 3, 2, {"t339": [2] * 3}, "8-bit signed RGB TIFF"),
            ([16] * 5, 5, {"t338": [2]}, "16-bit CMYK with alpha TIFF"),
            ([8] * 5, 5, {"t338": [2], "t259": [8]}, "8-bit CMYK with alpha TIFF with compression 8"),
            ([14], 1, {}, "14-bit grey TIFF"),
            ([8] * 3, 2, {"t259": [34712]}, "8-bit RGB TIFF with compression 34712"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_other_samples_are_named(self, bits: list[int], photometric: int, tags: dict[str, Any], name: str) -> None:
        data = page(bytes(len(bits) * max(bits) // 8 * SIDE**2), bits, photometric, **tags)

        with pytest.raises(errors.ImageVariantUnsupportedError, match=f"^{name} is not supported: save"):
            shown(data)

    def test_damaged_samples_are_not_reported_as_unsupported(self) -> None:
        data = page(b"\0" * SIDE**2, [8], 1, t259=[8])

        with pytest.raises(errors.ImageUnreadableError, match=r"^This TIFF file is damaged or incomplete"):
            shown(data)
