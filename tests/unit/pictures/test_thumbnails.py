"""Thumbnails: their sizes and order, and how much memory a picture needs."""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

import pytest
from PIL import Image

from chalicelib import errors
from chalicelib.config import MAX_DECODING_BYTES, MAX_IMAGE_BYTES, Size
from chalicelib.pictures import thumbnails
from tests.builders import BLUE, GREEN, RED, jpeg, png_head, quarters, saved

COVER, FIT = Size(200, "cover"), Size(800, "fit")
Colour = tuple[int, ...]


def render(data: bytes, *sizes: Size) -> thumbnails.Rendered:
    return thumbnails.render(data, sizes or (COVER, FIT))


def opened(thumbnail: thumbnails.Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail.data))


def pixel(picture: Image.Image, x: int, y: int) -> Colour:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def alike(one: Colour, other: Colour, tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def hash_fields(placeholder: str) -> Colour:
    """Return the numbers in a ThumbHash: means, scales and sides, and then the waves."""
    number = int.from_bytes(base64.b64decode(placeholder), "little")
    widths = (6, 6, 6, 5, 1, 3, 6, 6, 1, *[4] * 27)
    starts = [sum(widths[:index]) for index in range(len(widths))]
    return tuple(number >> start & (1 << width) - 1 for start, width in zip(starts, widths, strict=True))


def test_placeholder_is_upright_and_on_white() -> None:
    exif = Image.Exif()
    exif[274] = 6
    upright = jpeg(300, 400)
    turned = saved(quarters(300, 400).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    clear = saved(Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "PNG")
    white = saved(Image.new("RGB", (64, 48), (255, 255, 255)), "PNG")

    assert alike(hash_fields(render(turned).placeholder), hash_fields(render(upright).placeholder), 1)
    assert render(clear).placeholder == render(white).placeholder


@pytest.mark.parametrize("sizes", [(COVER,), (FIT,), (COVER, FIT)])
def test_placeholder_shows_the_whole_picture(sizes: tuple[Size, ...]) -> None:
    wide = render(jpeg(800, 200), *sizes).placeholder

    assert alike(hash_fields(wide), hash_fields(render(jpeg(800, 200)).placeholder), 1)
    assert base64.b64decode(wide)[4] >> 7 == 1  # landscape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cover_keeps_the_focus_in_the_middle(orientation: int) -> None:
    """A wide and a tall picture with one mark; the mark is in the middle of the thumbnail, however it is stored."""
    turns = [None, *(Image.Transpose(turn) for turn in (0, 3, 1, 5, 2, 6, 4))]
    for width, height, x, y in ((400, 100, 0.25, 0.5), (100, 400, 0.5, 0.7), (400, 100, 0.8, 0.5)):
        upright = Image.new("RGB", (width, height), GREEN)
        left, top = int(x * width), int(y * height)
        upright.paste(RED, (left - 15, top - 15, left + 15, top + 15))
        turn = turns[orientation - 1]
        exif = Image.Exif()
        exif[274] = orientation
        data = saved(upright.transpose(turn) if turn is not None else upright, "JPEG", quality=95, exif=exif)

        made = opened(render(data, Size(50, "cover", focus=(x, y))).thumbnails[0])

        assert alike(pixel(made, 25, 25), RED), (width, height, x, y)
        assert alike(pixel(made, 3, 25), GREEN)
        assert alike(pixel(made, 46, 25), GREEN)


@pytest.mark.parametrize(("focus", "colour"), [((0.0, 0.0), RED), ((1.0, 1.0), BLUE)])
def test_cover_stays_inside_the_picture(focus: tuple[float, float], colour: Colour) -> None:
    picture = Image.new("RGB", (400, 100), GREEN)
    picture.paste(RED, (0, 0, 100, 100))
    picture.paste(BLUE, (300, 0, 400, 100))

    made = opened(render(saved(picture, "PNG"), Size(50, "cover", focus=focus)).thumbnails[0])

    assert all(alike(pixel(made, x, 25), colour) for x in (2, 25, 47))


class TestSizes:
    @pytest.mark.parametrize(
        ("size", "cover", "fit"),
        [
            ((1600, 1200), (200, 200), (800, 600)),
            ((1200, 1600), (200, 200), (600, 800)),
            ((900, 900), (200, 200), (800, 800)),
            ((801, 3), (200, 200), (800, 3)),
            ((400, 300), (200, 200), (400, 300)),
            ((100, 50), (200, 200), (100, 50)),
            ((1, 1), (200, 200), (1, 1)),
            ((1, 20_000), (200, 200), (1, 800)),
            ((20_000, 1), (200, 200), (800, 1)),
        ],
    )
    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_cover_fills_a_square_and_fit_stays_inside_it(
        self, size: tuple[int, int], cover: tuple[int, int], fit: tuple[int, int], kind: str
    ) -> None:
        rendered = render(saved(quarters(*size), kind))

        assert (rendered.width, rendered.height) == size
        for thumbnail, expected in zip(rendered.thumbnails, (cover, fit), strict=True):
            assert (thumbnail.width, thumbnail.height) == expected
            assert opened(thumbnail).size == expected

    def test_cover_crops_to_the_middle(self) -> None:
        picture = Image.new("RGB", (900, 300), RED)
        picture.paste(GREEN, (300, 0, 600, 300))

        thumbnail = opened(render(saved(picture, "PNG"), COVER).thumbnails[0])

        assert alike(pixel(thumbnail, 5, 100), GREEN)
        assert alike(pixel(thumbnail, 194, 100), GREEN)

    def test_thumbnails_are_in_the_order_of_the_sizes(self) -> None:
        sizes = (Size(64, "cover"), Size(300, "fit"), Size(1000, "cover"))

        rendered = render(jpeg(1500, 1000), *sizes)

        assert [thumbnail.size for thumbnail in rendered.thumbnails] == list(sizes)
        assert [(thumbnail.width, thumbnail.height) for thumbnail in rendered.thumbnails] == [
            (64, 64),
            (300, 200),
            (1000, 1000),
        ]


def needed(data: bytes, *sizes: Size) -> int:
    """Return the memory that the pixels of a picture need."""
    return thumbnails.memory_needed(data, sizes or [COVER]) - 4 * len(data) - thumbnails.OVERHEAD


class TestMemoryNeeded:
    @pytest.mark.parametrize(
        ("kind", "each"), [("PNG", 16), ("WEBP", 24), ("GIF", 16), ("TIFF", 16), ("AVIF", 24), ("BMP", 16)]
    )
    def test_all_pixels_of_other_formats_are_counted(self, kind: str, each: int) -> None:
        assert needed(saved(quarters(), kind)) == 400 * 300 * each

    @pytest.mark.parametrize(
        ("sizes", "held"),
        [
            ([COVER], 300 * 200),
            ([COVER, Size(800, "fit")], 1200 * 800),
            ([Size(2400, "fit")], 2400 * 1600),
            ([Size(9000, "fit")], 2400 * 1600),
        ],
    )
    def test_jpeg_is_counted_at_its_decoded_scale(self, sizes: list[Size], held: int) -> None:
        assert needed(jpeg(2400, 1600), *sizes) == held * 12 + 2400 * 1600 * 7

    @pytest.mark.parametrize(
        ("width", "height"), [(8160, 6144), (8192, 6144), (8688, 5792), (9504, 6336), (16382, 3628), (11648, 8736)]
    )
    def test_jpegs_of_large_cameras_and_panoramas_are_accepted(self, width: int, height: int) -> None:
        head = bytearray(jpeg(64, 48))
        at = head.index(b"\xff\xc0") + 5
        head[at : at + 4] = struct.pack(">HH", height, width)

        assert needed(bytes(head), COVER, Size(800, "fit")) < MAX_DECODING_BYTES

    @pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}], ids=["VP8", "VP8L", "VP8X"])
    def test_size_of_a_webp_is_in_its_header(self, options: dict[str, Any]) -> None:
        head = saved(Image.new("RGB", (301, 207), RED), "WEBP", **options)[:32]

        assert needed(head) == 301 * 207 * 24

    def test_only_the_header_is_read(self) -> None:
        assert needed(png_head(10_000, 8_125)) == MAX_DECODING_BYTES

    @pytest.mark.parametrize(("width", "height"), [(10_000, 8_126), (60_000, 60_000), (1, 81_250_001)])
    def test_message_has_the_limit_of_the_format(self, width: int, height: int) -> None:
        with pytest.raises(
            errors.ImageTooManyPixelsError, match=f"A PNG picture .* at most 81,2[45]\\d,\\d+ pixels; .* {width:,} × "
        ):
            needed(png_head(width, height))

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (bytes(MAX_IMAGE_BYTES + 1), errors.ImageTooLargeError),
            (png_head(10_000, 8_126), errors.ImageTooManyPixelsError),
            (b"%PDF-1.7\n", errors.ImageTypeUnsupportedError),
            (b"", errors.ImageUnreadableError),
        ],
    )
    def test_rejections_by_header_are_raised(self, data: bytes, error: type[errors.ImageError]) -> None:
        with pytest.raises(error):
            thumbnails.memory_needed(data, [COVER])


def test_gif_has_the_size_of_its_canvas() -> None:
    gif = bytearray(saved(Image.new("RGB", (300, 200), RED), "GIF"))
    gif[6:10] = struct.pack("<HH", 600, 400)

    rendered = render(bytes(gif))

    assert (rendered.width, rendered.height) == (600, 400)
