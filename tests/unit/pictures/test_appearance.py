"""Thumbnails of every kind of file look like the picture, and contain no metadata."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageChops, ImageFilter, ImageOps, ImageStat, PngImagePlugin

from chalicelib import errors
from chalicelib.config import Size
from chalicelib.pictures import thumbnails
from tests.builders import (
    PNG,
    arithmetic_jpeg,
    each_colour,
    frame_control,
    grey_profile,
    ink_profile,
    png,
    png_chunk,
    png_header,
    png_parts,
    quarters,
    rgb_profile,
    riff,
    saved,
    scene,
    ten_bit_avif,
    tiff,
    webp_canvas,
    webp_frame,
)

COVER, FIT = Size(90, "cover"), Size(180, "fit")
WIDTH, HEIGHT = SIZE = (360, 270)
WHITE = (255, 255, 255)
Colour = tuple[int, ...]

# Primaries in XYZ (D50), as in the profiles that phones and cameras embed.
P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
ADOBE = rgb_profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2)
# The matrices from their linear RGB to that of sRGB (D65).
P3_TO_SRGB = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))
ADOBE_TO_SRGB = ((1.3984, -0.3984, 0.0), (0.0, 1.0, 0.0), (0.0, -0.0429, 1.0429))


def thumbnail(data: bytes, size: Size = FIT) -> Image.Image:
    """Return the thumbnail of a file, opened."""
    return Image.open(io.BytesIO(thumbnails.render(data, [size]).thumbnails[0].data))


def expected_thumbnail(picture: Image.Image, size: Size = FIT) -> Image.Image:
    """Return the expected thumbnail, made by Pillow in the simplest way."""
    picture = picture.convert("RGB")
    if size.fit == "cover":
        return ImageOps.fit(picture, (size.pixels, size.pixels), Image.Resampling.LANCZOS)
    scale = min(1.0, size.pixels / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def similarity(seen: Image.Image, expected: Image.Image) -> tuple[float, float]:
    """Return the PSNR of two blurred pictures in dB, and the largest difference of a channel's average."""
    seen, expected = (picture.convert("RGB").filter(ImageFilter.GaussianBlur(1.5)) for picture in (seen, expected))
    errors = ImageStat.Stat(ImageChops.difference(seen, expected)).sum2
    error = sum(errors) / len(errors) / (seen.width * seen.height)
    averages = (ImageStat.Stat(picture).mean for picture in (seen, expected))
    return 10 * math.log10(255**2 / max(error, 1e-9)), max(abs(a - b) for a, b in zip(*averages, strict=True))


def alike(seen: Image.Image, expected: Image.Image) -> bool:
    psnr, shade = similarity(seen, expected)
    return seen.size == expected.size and psnr >= 29 and shade <= 3


def assert_looks_like(data: bytes, picture: Image.Image, sizes: Sequence[Size] = (COVER, FIT)) -> None:
    """Assert that each thumbnail of ``data`` looks like ``picture``."""
    for made in thumbnails.render(data, sizes).thumbnails:
        seen, expected = Image.open(io.BytesIO(made.data)), expected_thumbnail(picture, made.size)
        assert seen.size == expected.size
        assert alike(seen, expected), similarity(seen, expected)


def on_white(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    return Image.composite(picture.convert("RGB"), Image.new("RGB", picture.size, WHITE), alpha)


def gradient(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return alpha from transparent at the top to opaque at the bottom."""
    return Image.linear_gradient("L").resize(size)


class TestSimilarity:
    @pytest.mark.parametrize("size", [COVER, FIT])
    @pytest.mark.parametrize(
        "wrong",
        [
            *(
                pytest.param(lambda picture, turn=turn: picture.transpose(turn), id=turn.name)
                for turn in Image.Transpose
            ),
            pytest.param(lambda picture: ImageChops.offset(picture, 1, 0), id="one pixel right"),
            pytest.param(lambda picture: ImageChops.offset(picture, 0, 1), id="one pixel down"),
            pytest.param(lambda picture: picture.point(lambda value: 255 * (value / 255) ** 1.1), id="gamma"),
            pytest.param(
                lambda picture: each_colour(picture.quantize(64).convert("RGB"), in_srgb(P3_TO_SRGB)), id="profile"
            ),
            pytest.param(lambda picture: Image.merge("RGB", picture.split()[::-1]), id="channels"),
            pytest.param(ImageOps.invert, id="inverted"),
            pytest.param(lambda picture: Image.blend(picture, Image.new("RGB", picture.size), 0.05), id="alpha"),
        ],
    )
    def test_wrong_picture_is_detected(self, wrong: Callable[[Image.Image], Image.Image], size: Size) -> None:
        right = expected_thumbnail(scene(), size)

        assert alike(right, right)
        assert not alike(wrong(right), right)


def in_srgb(matrix: tuple[tuple[float, ...], ...]) -> Callable[..., Colour]:
    """Return a conversion to sRGB (IEC 61966-2-1) from a gamut with gamma 2.2 (CSS Color 4, section 17)."""

    def converted(*colour: int) -> Colour:
        light = [(value / 255) ** 2.2 for value in colour]
        return tuple(encoded(sum(a * b for a, b in zip(row, light, strict=True))) for row in matrix)

    return converted


def encoded(light: float) -> int:
    """Return the value of linear light in sRGB."""
    light = min(1.0, max(0.0, light))
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


class TestOrientation:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_picture_is_shown_upright(self, orientation: int, kind: str) -> None:
        stored = as_stored(scene(), orientation)
        data = saved(stored, kind, exif=oriented(orientation))
        assert alike(expected_thumbnail(opened_by_pillow(data)), expected_thumbnail(scene()))

        assert_looks_like(data, scene())
        assert thumbnails.render(data, [FIT])[1:3] == SIZE

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_compressed_big_endian_tiff_is_shown_upright(self, orientation: int) -> None:
        stored = as_stored(scene(), orientation)
        page = rgb_page(
            stored, compression=8, blocks=[zlib.compress(stored.tobytes())], order=">", orientation=orientation
        )

        assert_looks_like(page, scene())

    @pytest.mark.parametrize("orientation", [0, 9, 65_535])
    def test_invalid_orientation_is_ignored(self, orientation: int) -> None:
        assert_looks_like(saved(scene(), "JPEG", quality=90, exif=oriented(orientation)), scene())

    @pytest.mark.parametrize(
        "exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense"]
    )
    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    def test_damaged_exif_is_ignored(self, exif: bytes) -> None:
        assert_looks_like(saved(scene(), "JPEG", quality=90, exif=exif), scene())

    @pytest.mark.parametrize(
        ("entries", "count"),
        [
            (struct.pack("<HHIHH", 274, 3, 1, 6, 0), 9),
            (struct.pack("<HHIHH", 274, 3, 1, 6, 0) + bytes(4), 9),
            (struct.pack("<HHII", 274, 4, 1, 6), 1),
            (struct.pack("<HHII", 274, 1, 1, 6), 1),
            (struct.pack("<HHI4s", 271, 2, 4, b"Abc\0") + struct.pack("<HHIHH", 274, 3, 1, 6, 0), 2),
        ],
        ids=["too high a count", "an entry cut off", "LONG", "BYTE", "after another tag"],
    )
    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    def test_whole_entries_of_exif_count(self, entries: bytes, count: int) -> None:
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + entries

        assert_looks_like(saved(as_stored(scene(), 6), "JPEG", quality=90, exif=exif), scene())

    def test_exif_orientation_of_an_avif_is_ignored(self) -> None:
        # AVIF has irot and imir for it (AVIF 1.1.0, section 2.4).
        exif = Image.Exif()
        exif[ExifTags.Base.ResolutionUnit] = 6
        data = saved(scene(), "AVIF", exif=exif)
        tags = struct.pack(">HHI", ExifTags.Base.ResolutionUnit, 3, 1), struct.pack("<HHI", 296, 3, 1)
        assert sum(data.count(tag) for tag in tags) == 1
        data = data.replace(tags[0], struct.pack(">HHI", 274, 3, 1)).replace(tags[1], struct.pack("<HHI", 274, 3, 1))

        assert_looks_like(data, scene())

    def test_first_of_two_exif_segments_is_used(self) -> None:
        data = saved(as_stored(scene(), 6), "JPEG", quality=90, exif=oriented(6))
        other = b"Exif\0\0" + oriented(3).tobytes()[6:]

        assert_looks_like(data[:-2] + b"\xff\xd9", scene())
        assert_looks_like(after_first_segment(data, b"\xff\xe1" + struct.pack(">H", len(other) + 2) + other), scene())


def as_stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that a camera stores with this EXIF orientation."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return picture.transpose(turns[orientation]) if orientation in turns else picture


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def opened_by_pillow(data: bytes) -> Image.Image:
    """Return the picture upright, decoded by Pillow alone."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def after_first_segment(data: bytes, segment: bytes) -> bytes:
    """Return a JPEG with another segment after those with EXIF."""
    end = data.index(b"\xff\xdb")
    return data[:end] + segment + data[end:]


def rgb_page(picture: Image.Image, *, orientation: int = 1, order: str = "<", **tags: Any) -> bytes:
    """Return a TIFF, by default of 8-bit RGB in one strip."""
    blocks = tags.pop("blocks", [picture.tobytes()])
    page = {
        256: picture.width,
        257: picture.height,
        258: [8, 8, 8],
        259: tags.pop("compression", 1),
        262: 2,
        274: orientation,
        277: 3,
        278: picture.height,
    }
    return tiff({**page, **tags.pop("more", {})}, blocks, order, **tags)


class TestColourProfiles:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize(
        ("profile", "matrix"),
        [pytest.param(P3, P3_TO_SRGB, id="Display P3"), pytest.param(ADOBE, ADOBE_TO_SRGB, id="Adobe RGB")],
    )
    def test_wide_gamuts_are_converted_to_srgb(
        self, profile: bytes, matrix: tuple[tuple[float, ...], ...], kind: str
    ) -> None:
        expected = each_colour(scene(), in_srgb(matrix))
        assert not alike(expected_thumbnail(scene()), expected_thumbnail(expected))

        assert_looks_like(saved(scene(), kind, icc_profile=profile), expected)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
    def test_transparent_colours_are_converted_before_blending(self, kind: str) -> None:
        translucent = scene().convert("RGBA")
        translucent.putalpha(gradient())
        expected = on_white(each_colour(scene(), in_srgb(P3_TO_SRGB)), gradient())

        assert_looks_like(saved(translucent, kind, icc_profile=P3), expected)

    def test_transparent_pixels_are_white_with_any_profile(self) -> None:
        transparent = Image.new("RGBA", (300, 300), (200, 30, 90, 0))

        assert thumbnail(saved(transparent, "PNG", icc_profile=P3)).getextrema() == ((255, 255),) * 3

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_palettes_are_converted_to_srgb(self, kind: str) -> None:
        assert_looks_like(saved(scene().quantize(64), kind, icc_profile=P3), each_colour(scene(), in_srgb(P3_TO_SRGB)))

    def test_16_bit_colours_are_converted_to_srgb(self) -> None:
        assert_looks_like(sixteen_bit_png(scene(), icc_profile=P3), each_colour(scene(), in_srgb(P3_TO_SRGB)))

    @pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16"), ("TIFF", "L")])
    def test_grey_profile_is_applied(self, kind: str, mode: str) -> None:
        grey = scene().convert("L")
        stored = Image.frombytes("I;16", grey.size, doubled(grey)) if mode == "I;16" else grey
        expected = grey.point([encoded(value / 255) for value in range(256)])
        assert not alike(expected_thumbnail(grey), expected_thumbnail(expected))

        assert_looks_like(saved(stored, kind, icc_profile=grey_profile(1.0)), expected)

    def test_grey_profile_is_applied_with_alpha(self) -> None:
        grey = scene().convert("L")
        expected = on_white(grey.point([encoded(value / 255) for value in range(256)]), gradient())

        assert_looks_like(saved(Image.merge("LA", (grey, gradient())), "PNG", icc_profile=grey_profile(1.0)), expected)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
    def test_grey_with_a_colour_profile_is_converted(self, kind: str) -> None:
        linear = rgb_profile((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 1.0)
        grey = scene().convert("L")

        assert_looks_like(
            saved(grey, kind, icc_profile=linear), grey.point([encoded(value / 255) for value in range(256)])
        )

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_cmyk_profile_is_applied(self, kind: str) -> None:
        # A profile of grey inks, which differ much from the default conversion of CMYK.
        inks = {
            (c, m, y, k): (100.0 - 25 * c - 30 * m - 10 * y - 35 * k, 0.0, 0.0)
            for c in (0, 1)
            for m in (0, 1)
            for y in (0, 1)
            for k in (0, 1)
        }
        printed = each_colour(
            scene().quantize(16).convert("RGB"),
            lambda *colour: (*tuple(255 * (v > 127) for v in colour), 255 * (sum(colour) % 3 == 0)),
            "CMYK",
        )
        expected = each_colour(printed, lambda *ink: (lightness(inks[tuple(v // 255 for v in ink)][0]),) * 3)
        assert not alike(expected_thumbnail(printed.convert("RGB")), expected_thumbnail(expected))

        assert_looks_like(saved(printed, kind, icc_profile=ink_profile(inks), **BEST.get(kind, {})), expected)

    def test_profile_in_several_segments_is_applied(self) -> None:
        long = P3 + bytes(150_000)
        long = struct.pack(">I", len(long)) + long[4:]
        data = saved(scene(), "JPEG", icc_profile=long, **BEST["JPEG"])
        assert data.count(b"ICC_PROFILE\0") == 3

        assert_looks_like(data, each_colour(scene(), in_srgb(P3_TO_SRGB)))

    def test_threads_may_share_a_profile(self) -> None:
        scenes = [as_stored(scene(800, 600), turn) for turn in (1, 2, 3, 4)] * 2
        files = [saved(picture, "PNG", icc_profile=P3, compress_level=1) for picture in scenes]
        one_by_one = [thumbnails.render(data, [FIT]) for data in files]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda data: thumbnails.render(data, [FIT]), files)) == one_by_one

    @pytest.mark.parametrize(
        ("mode", "profile"),
        [
            ("RGB", grey_profile(1.0)),
            ("CMYK", P3),
            ("RGB", P3[:150]),
            ("L", P3[:150]),
            ("RGB", b""),
            ("RGB", bytes(3000)),
            ("RGB", P3[:16] + b"\xc7GB " + P3[20:]),
        ],
    )
    def test_unusable_profile_is_ignored(self, mode: str, profile: bytes) -> None:
        picture = scene().convert(mode)

        assert_looks_like(saved(picture, "JPEG", icc_profile=profile, **BEST["JPEG"]), picture.convert("RGB"))


BEST = {"JPEG": {"quality": 95, "subsampling": 0}}


def lightness(light: float) -> int:
    """Return the sRGB grey of this L* (CIE 15)."""
    f = (light + 16) / 116
    return encoded(f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29))


def doubled(picture: Image.Image) -> bytes:
    """Return the pixels with 16 bits per channel; both bytes are equal, so their order does not matter."""
    pixels = picture.tobytes()
    both = bytearray(2 * len(pixels))
    both[::2] = both[1::2] = pixels
    return bytes(both)


def sixteen_bit_png(picture: Image.Image, icc_profile: bytes = b"", before: bytes = b"") -> bytes:
    """Return a PNG with 16 bits per channel. Pillow writes such files only for grey."""
    colours = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[picture.mode]
    row = picture.width * len(picture.mode)
    deep = doubled(picture)
    rows = b"".join(b"\0" + deep[start : start + 2 * row] for start in range(0, len(deep), 2 * row))
    profile = png_chunk(b"iCCP", b"P3\0\0" + zlib.compress(icc_profile)) if icc_profile else b""
    return png(png_header(*picture.size, 16, colours), rows, profile, before)


class TestDepths:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
    def test_16_bits(self, mode: str) -> None:
        picture = scene().convert(mode)
        if mode.endswith("A"):
            picture.putalpha(gradient())
        alpha = picture.getchannel("A") if mode.endswith("A") else Image.new("L", picture.size, 255)

        assert_looks_like(sixteen_bit_png(picture), on_white(picture, alpha))

    def test_16_bit_grey_with_a_transparent_value(self) -> None:
        grey = scene().convert("L")
        clear = grey.getpixel((5, 5))
        expected = grey.point([255 if value == clear else value for value in range(256)])

        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear, clear)))), expected)
        # A value that differs in only one byte is not transparent.
        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear, clear - 1)))), grey)
        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear - 1, clear)))), grey)

    def test_16_bit_colours_with_a_transparent_one(self) -> None:
        clear = scene().getpixel((5, 5))
        expected = each_colour(scene(), lambda *colour: WHITE if colour == clear else colour)
        sample = bytes(value for byte in clear for value in (byte, byte))

        assert_looks_like(sixteen_bit_png(scene(), before=png_chunk(b"tRNS", sample)), expected)

    def test_8_bit_colours_with_a_transparent_one(self) -> None:
        transparent = scene().getpixel((5, 5))
        expected = each_colour(scene(), lambda *colour: WHITE if colour == transparent else colour)

        assert_looks_like(saved(scene(), "PNG", transparency=transparent), expected)

    @pytest.mark.parametrize("depth", [1, 2, 4])
    def test_grey_of_few_bits(self, depth: int) -> None:
        grey = scene().convert("L").point([value >> 8 - depth for value in range(256)])
        packed = packed_rows(grey, depth)
        expected = grey.point([min(value, 2**depth - 1) * 255 // (2**depth - 1) for value in range(256)])

        assert_looks_like(png(png_header(*grey.size, depth, 0), packed), expected)

    @pytest.mark.parametrize("depth", [1, 2, 4, 8])
    @pytest.mark.parametrize("clear", [b"", b"\0", b"\xff\0", b"\x80\x40"], ids=["opaque", "first", "second", "half"])
    def test_palettes(self, depth: int, clear: bytes) -> None:
        numbers = scene().quantize(min(64, 2**depth), dither=Image.Dither.NONE)
        palette = (numbers.getpalette() + [0] * 768)[: 3 * 2**depth]
        packed = packed_rows(numbers, depth)
        chunks = [png_chunk(b"PLTE", bytes(palette)), png_chunk(b"tRNS", clear) if clear else b""]
        alpha = numbers.point(list(clear) + [255] * (256 - len(clear)), "L")

        assert_looks_like(
            png(png_header(*numbers.size, depth, 3), packed, *chunks), on_white(numbers.convert("RGB"), alpha)
        )

    def test_interlaced_png(self) -> None:
        # A picture of one column needs only some of the seven passes (PNG, section 8.2).
        tall = scene(1, HEIGHT).tobytes()
        rows = passes(tall)
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, HEIGHT, 8, 2, 0, 0, 1))

        assert_looks_like(png(header, rows), scene(1, HEIGHT))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    def test_alpha(self, mode: str, kind: str) -> None:
        picture = scene().convert(mode)
        picture.putalpha(gradient())

        assert_looks_like(saved(picture, kind), on_white(picture, gradient()))

    def test_colour_of_transparent_pixels_does_not_bleed(self) -> None:
        picture = Image.new("RGBA", SIZE, (255, 0, 0, 0))
        picture.paste((255, 255, 255, 255), (0, 0, WIDTH // 2, HEIGHT))

        assert min(low for low, _ in thumbnail(saved(picture, "PNG")).getextrema()) >= 250


def packed_rows(numbers: Image.Image, depth: int) -> bytes:
    """Return the rows of a PNG with less than 8 bits per pixel, each after its filter byte."""
    bits = [format(value % 2**depth, f"0{depth}b") for value in range(256)]
    rows = b""
    for row in range(numbers.height):
        packed = "".join(bits[value] for value in numbers.crop((0, row, numbers.width, row + 1)).tobytes())
        rows += b"\0" + int(packed, 2).to_bytes(-(-len(packed) // 8))
    return rows


def passes(column: bytes) -> bytes:
    """Return one column of RGB in the order of Adam7."""
    pixels = [column[start : start + 3] for start in range(0, len(column), 3)]
    order = (pixels[0::8], pixels[4::8], pixels[2::4], pixels[1::2])
    return b"".join(b"\0" + pixel for part in order for pixel in part)


class TestJpeg:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"progressive": True},
            {"subsampling": 0},
            {"subsampling": 1},
            {"restart_marker_rows": 1},
            {"optimize": True},
            {"keep_rgb": True},
        ],
        ids=str,
    )
    def test_encoder_options(self, options: dict[str, Any]) -> None:
        assert_looks_like(saved(scene(), "JPEG", quality=90, **options), scene())

    def test_arithmetic_coding(self) -> None:
        data = arithmetic_jpeg()
        assert data[data.index(b"\xff\xc9") :]

        assert_looks_like(data, quarters(64, 48), [Size(64, "fit"), Size(24, "cover")])

    def test_inverted_cmyk_of_adobe(self) -> None:
        printed = scene().convert("CMYK")

        assert_looks_like(saved(printed, "JPEG", **BEST["JPEG"]), scene())

    def test_ycck(self) -> None:
        # YCCK is CMY converted like RGB, and K (Adobe TN 5116). Pillow inverts what it writes.
        luminance, *chroma = ImageOps.invert(scene()).convert("YCbCr").split()
        stored = Image.merge("CMYK", (*map(ImageOps.invert, (luminance, *chroma)), Image.new("L", luminance.size)))
        data = saved(stored, "JPEG", **BEST["JPEG"])
        adobe = data.index(b"Adobe") + 11
        assert data[adobe] == 0
        data = data[:adobe] + b"\x02" + data[adobe + 1 :]

        assert_looks_like(data, scene())

    def test_first_of_several_pictures(self) -> None:
        data = saved(scene(), "MPO", save_all=True, append_images=[ImageOps.mirror(scene())], quality=90)

        assert_looks_like(data, scene())
        assert thumbnails.render(data, [FIT]).content_type == "image/jpeg"

    @pytest.mark.parametrize("scale", [2, 3, 4, 8, 9])
    def test_every_scale_of_decoding(self, scale: int) -> None:
        large = scene(180 * scale, 135 * scale)

        assert_looks_like(saved(large, "JPEG", quality=90), large, [FIT])
        assert_looks_like(saved(large, "JPEG", quality=90), large, [COVER])


class TestAnimations:
    """The first frame is shown, on its canvas."""

    PART = (90, 44, 270, 180)

    @property
    def part_only(self) -> Image.Image:
        """Return the canvas on which only a part is painted."""
        canvas = Image.new("RGB", SIZE, WHITE)
        canvas.paste(scene().crop(self.PART), self.PART)
        return canvas

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
    def test_first_of_full_frames(self, kind: str) -> None:
        later = [ImageOps.mirror(scene()), ImageOps.flip(scene())]

        assert_looks_like(saved(scene(), kind, save_all=True, append_images=later, duration=100), scene())

    @pytest.mark.parametrize("disposal", [0, 1, 2, 3])
    @pytest.mark.parametrize("clear", [None, 3])
    def test_gif_frame_on_a_part_of_the_canvas(self, disposal: int, clear: int | None) -> None:
        part = scene().crop(self.PART).quantize(64)
        options = {} if clear is None else {"transparency": clear}
        data = bytearray(saved(part, "GIF", disposal=disposal, **options))
        data[6:10] = struct.pack("<HH", *SIZE)
        image = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
        data[image + 1 : image + 5] = struct.pack("<HH", *self.PART[:2])
        data[11] = 5  # the background colour, which viewers ignore
        expected = self.part_only
        if clear is not None:
            opaque = Image.new("L", SIZE, 255)
            opaque.paste(part.point([255 * (value != clear) for value in range(256)], "L"), self.PART)
            expected = on_white(expected, opaque)

        assert_looks_like(bytes(data), expected)

    def test_webp_frame_on_a_part_of_the_canvas(self) -> None:
        data = riff(
            webp_canvas(*SIZE, 2),
            (b"ANIM", bytes((200, 30, 30, 255, 0, 0))),
            webp_frame(scene().crop(self.PART), *self.PART[:2]),
            webp_frame(ImageOps.mirror(scene())),
        )

        assert_looks_like(data, self.part_only)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
    def test_png_frame_on_a_part_of_the_canvas(self, mode: str) -> None:
        picture = scene().quantize(64) if mode == "P" else scene().convert(mode)
        still = [part for part in png_parts(saved(ImageOps.mirror(picture), "PNG")) if part[0] != b"IEND"]
        frame = b"".join(body for kind, body in png_parts(saved(picture.crop(self.PART), "PNG")) if kind == b"IDAT")
        left, top, right, bottom = self.PART
        chunks = [png_chunk(*part) for part in still]
        chunks.insert(1, png_chunk(b"acTL", struct.pack(">II", 1, 0)))
        chunks += [
            frame_control(0, right - left, bottom - top, left, top),
            png_chunk(b"fdAT", struct.pack(">I", 1) + frame[:1000]),
            png_chunk(b"fdAT", struct.pack(">I", 2) + frame[1000:]),
            png_chunk(b"IEND"),
        ]
        canvas = Image.new("RGB", SIZE, WHITE)
        canvas.paste(picture.convert("RGB").crop(self.PART), self.PART)

        assert_looks_like(PNG + b"".join(chunks), canvas)

    def test_png_without_its_frames_shows_the_default_image(self) -> None:
        chunks = [png_chunk(*part) for part in png_parts(saved(scene(), "PNG"))]
        chunks.insert(1, png_chunk(b"acTL", struct.pack(">II", 1, 0)))

        assert_looks_like(PNG + b"".join(chunks), scene())


class TestTiff:
    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_compressions(self, compression: str | None, mode: str) -> None:
        picture = scene().convert(mode)

        assert_looks_like(saved(picture, "TIFF", compression=compression), picture)

    @pytest.mark.parametrize("compression", ["group3", "group4", "packbits"])
    def test_black_and_white(self, compression: str) -> None:
        picture = scene().convert("L").point([255 * (value > 128) for value in range(256)]).convert("1")

        assert_looks_like(saved(picture, "TIFF", compression=compression), picture)

    @pytest.mark.parametrize(("order", "big"), [("<", False), ("<", True), (">", False)])
    @pytest.mark.parametrize("compression", [1, 8])
    def test_tiles(self, compression: int, big: bool, order: str) -> None:
        side = 128
        tiles = [
            scene().crop((left, top, left + side, top + side)).tobytes()
            for top in range(0, HEIGHT, side)
            for left in range(0, WIDTH, side)
        ]
        blocks = [zlib.compress(tile) for tile in tiles] if compression == 8 else tiles

        data = rgb_page(
            scene(), compression=compression, blocks=blocks, order=order, big=big, more={322: side, 323: side}
        )

        assert_looks_like(data, scene())

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_strips(self, order: str) -> None:
        raw = scene().tobytes()
        strips = [raw[start : start + 7 * 3 * WIDTH] for start in range(0, len(raw), 7 * 3 * WIDTH)]

        assert_looks_like(rgb_page(scene(), blocks=strips, order=order, more={278: 7}), scene())

    def test_planes(self) -> None:
        planes = [band.tobytes() for band in scene().split()]

        assert_looks_like(rgb_page(scene(), blocks=planes, more={284: 2}), scene())

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("compression", [1, 8])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_16_bits(self, mode: str, compression: int, order: str) -> None:
        picture = scene().convert(mode)
        deep = doubled(picture)
        block = zlib.compress(deep) if compression == 8 else deep
        tags = {258: [16] * len(mode), 262: 2 if mode == "RGB" else 1, 277: len(mode)}

        assert_looks_like(rgb_page(picture, blocks=[block], compression=compression, order=order, more=tags), picture)

    @pytest.mark.parametrize("depth", [1, 8, 16])
    def test_zero_is_white(self, depth: int) -> None:
        grey = scene().convert("L")
        if depth == 1:
            grey = grey.point([255 * (value > 128) for value in range(256)])
        stored = {1: grey.convert("1", dither=Image.Dither.NONE).tobytes(), 8: grey.tobytes()}.get(depth, doubled(grey))
        data = rgb_page(grey, blocks=[stored], more={258: depth, 262: 0, 277: 1})

        assert_looks_like(data, ImageOps.invert(grey))

    @pytest.mark.parametrize(("format_", "name"), [(1, ""), (2, "signed "), (3, "float ")])
    def test_32_bit_grey_is_rejected(self, format_: int, name: str) -> None:
        data = rgb_page(scene(), blocks=[bytes(4 * WIDTH * HEIGHT)], more={258: 32, 262: 1, 277: 1, 339: format_})

        with pytest.raises(errors.ImageVariantUnsupportedError, match=f"^32-bit {name}grey TIFF is not supported"):
            thumbnails.render(data, [FIT])

    @pytest.mark.parametrize("alpha", [1, 2], ids=["premultiplied", "straight"])
    def test_alpha(self, alpha: int) -> None:
        picture = scene().convert("RGBA")
        picture.putalpha(gradient())
        stored = (picture.convert("RGBa") if alpha == 1 else picture).tobytes()
        data = rgb_page(picture, blocks=[stored], more={258: [8] * 4, 277: 4, 338: alpha})

        assert_looks_like(data, on_white(scene(), gradient()))

    def test_palette(self) -> None:
        assert_looks_like(saved(scene().quantize(64), "TIFF"), scene())

    def test_lab(self) -> None:
        assert_looks_like(saved(scene().convert("LAB"), "TIFF"), scene())

    def test_cmyk(self) -> None:
        assert_looks_like(saved(scene().convert("CMYK"), "TIFF"), scene())


class TestAvif:
    def test_10_bits_and_alpha(self) -> None:
        alpha = Image.new("L", (64, 48), 255)
        alpha.paste(0, (0, 0, 32, 24))
        alpha.paste(128, (32, 0, 64, 24))

        assert_looks_like(ten_bit_avif(), on_white(quarters(64, 48), alpha), [Size(64, "fit"), Size(32, "cover")])

    @pytest.mark.parametrize("brand", [b"avis", b"mif1", b"msf1"])
    def test_animated_avif_shows_its_primary_picture(self, brand: bytes) -> None:
        data = saved(scene(), "AVIF", save_all=True, append_images=[ImageOps.mirror(scene())], quality=90)
        assert (data[8:12], data.count(b"stco")) == (b"avis", 1)

        assert_looks_like(data[:8] + brand + data[12:].replace(b"stco", b"free"), scene())

    @pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
    def test_chroma_subsampling(self, subsampling: str) -> None:
        assert_looks_like(saved(scene(), "AVIF", quality=90, subsampling=subsampling), scene())


class TestBmp:
    def test_top_down_rows(self) -> None:
        data = bytearray(saved(ImageOps.flip(scene()), "BMP"))
        data[22:26] = struct.pack("<i", -HEIGHT)

        assert_looks_like(bytes(data), scene())

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
    def test_modes(self, mode: str) -> None:
        picture = scene().quantize(64) if mode == "P" else scene().convert(mode)

        assert_looks_like(saved(picture, "BMP"), picture.convert("RGB"))


class TestShapes:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 16_000), (16_000, 1), (2, 3), (7, 1001)])
    def test_extreme_sizes(self, size: tuple[int, int], kind: str) -> None:
        # Grey, because JPEG halves the resolution of colours, which so small a picture would lose.
        grey = scene(*size).convert("L")

        rendered = thumbnails.render(saved(grey, kind, **BEST.get(kind, {})), [COVER, FIT])

        assert (rendered.width, rendered.height) == size
        for made in rendered.thumbnails:
            seen, expected = Image.open(io.BytesIO(made.data)), expected_thumbnail(grey, made.size)
            assert alike(seen, expected), similarity(seen, expected)

    @pytest.mark.parametrize("size", [(801, 599), (333, 1000), (1000, 333), (481, 481)])
    def test_odd_sizes_are_cropped_exactly(self, size: tuple[int, int]) -> None:
        assert_looks_like(saved(scene(*size), "PNG"), scene(*size))
        assert_looks_like(saved(scene(*size), "JPEG", quality=90), scene(*size))


class TestMetadata:
    """A thumbnail contains no segments except those for its pixels."""

    MARK = b"MARKER"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
    def test_no_metadata_is_kept(self, kind: str) -> None:
        data = marked(kind)
        if kind != "BMP":
            assert self.MARK in data

        for made in thumbnails.render(data, [COVER, FIT]).thumbnails:
            assert self.MARK not in made.data
            assert segments(made.data) == {"JFIF", "tables", "frame", "scan"}
            opened = Image.open(io.BytesIO(made.data))
            assert not opened.getexif()
            assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def marked(kind: str) -> bytes:
    """Return a file with every kind of metadata that the format allows."""
    mark = TestMetadata.MARK
    exif = oriented(6)
    exif[ExifTags.Base.Make] = "MARKER camera"
    exif[ExifTags.Base.ImageDescription] = "MARKER description"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = b"MARKER place"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"MARKER note"
    profile = P3.replace(b"mntrRGB ", b"mntrRGB ") + mark
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "MARKER")
    text.add_itxt("XML:com.adobe.xmp", "<x>MARKER</x>")
    text.add(b"prVt", mark)
    photoshop = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(mark)) + mark
    options: dict[str, dict[str, Any]] = {
        "JPEG": {
            "exif": exif,
            "icc_profile": profile,
            "xmp": b"<x>MARKER</x>",
            "comment": mark,
            "extra": b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop,
        },
        "PNG": {"exif": exif, "icc_profile": profile, "pnginfo": text},
        "WEBP": {"exif": exif, "icc_profile": profile, "xmp": b"<x>MARKER</x>"},
        "AVIF": {"exif": exif, "icc_profile": profile, "xmp": b"<x>MARKER</x>"},
        "TIFF": {
            "exif": exif,
            "icc_profile": profile,
            "tiffinfo": {700: b"<x>MARKER</x>", 33723: mark, 34377: mark, 315: "MARKER"},
        },
        "GIF": {"comment": mark},
        "BMP": {},
    }
    return saved(scene(), kind, **options[kind])


def segments(data: bytes) -> set[str]:
    """Return the purposes of a JPEG's segments."""
    names = {0xC0: "frame", 0xC4: "tables", 0xDA: "scan", 0xDB: "tables"}
    found, at = set(), 2
    while data[at + 1] != 0xDA:
        found.add("JFIF" if data[at + 4 : at + 9] == b"JFIF\0" else names.get(data[at + 1], f"{data[at + 1]:02x}"))
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    rest = data[at + 2 :]
    assert rest.count(b"\xff") == rest.count(b"\xff\0") + 1
    assert rest.endswith(b"\xff\xd9")
    return found | {"scan"}
