"""Every kind of file that a person uploads looks as it should, measured as eyes would, and says nothing else."""

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

# XYZ under D50, as in the profiles that phones and cameras embed.
P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
ADOBE = rgb_profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2)
# The same two against sRGB's primaries, both in linear light under D65.
P3_TO_SRGB = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))
ADOBE_TO_SRGB = ((1.3984, -0.3984, 0.0), (0.0, 1.0, 0.0), (0.0, -0.0429, 1.0429))


def shown(data: bytes, size: Size = FIT) -> Image.Image:
    """The thumbnail of a file, as a viewer opens it."""
    return Image.open(io.BytesIO(thumbnails.render(data, [size]).thumbnails[0].data))


def small(picture: Image.Image, size: Size = FIT) -> Image.Image:
    """What a picture's thumbnail has to look like, made in the plain way."""
    picture = picture.convert("RGB")
    if size.fit == "cover":
        return ImageOps.fit(picture, (size.pixels, size.pixels), Image.Resampling.LANCZOS)
    scale = min(1.0, size.pixels / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def likeness(seen: Image.Image, expected: Image.Image) -> tuple[float, float]:
    """How alike two pictures are: PSNR in dB, both a little out of focus, and how far a channel's average is off."""
    seen, expected = (picture.convert("RGB").filter(ImageFilter.GaussianBlur(1.5)) for picture in (seen, expected))
    errors = ImageStat.Stat(ImageChops.difference(seen, expected)).sum2
    error = sum(errors) / len(errors) / (seen.width * seen.height)
    averages = (ImageStat.Stat(picture).mean for picture in (seen, expected))
    return 10 * math.log10(255**2 / max(error, 1e-9)), max(abs(a - b) for a, b in zip(*averages, strict=True))


def alike(seen: Image.Image, expected: Image.Image) -> bool:
    sharpness, shade = likeness(seen, expected)
    return seen.size == expected.size and sharpness >= 29 and shade <= 3


def assert_looks_like(data: bytes, picture: Image.Image, sizes: Sequence[Size] = (COVER, FIT)) -> None:
    """Each thumbnail of ``data`` looks like ``picture``, made small in the plain way."""
    for made in thumbnails.render(data, sizes).thumbnails:
        seen, expected = Image.open(io.BytesIO(made.data)), small(picture, made.size)
        assert seen.size == expected.size
        assert alike(seen, expected), likeness(seen, expected)


def over_white(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    return Image.composite(picture.convert("RGB"), Image.new("RGB", picture.size, WHITE), alpha)


def veil(size: tuple[int, int] = SIZE) -> Image.Image:
    """Alpha, from clear at the top to opaque at the bottom."""
    return Image.linear_gradient("L").resize(size)


class TestTheMeasure:
    @pytest.mark.parametrize("size", [COVER, FIT])
    @pytest.mark.parametrize(
        "wrong",
        [
            *(
                pytest.param(lambda picture, turn=turn: picture.transpose(turn), id=turn.name)
                for turn in Image.Transpose
            ),
            pytest.param(lambda picture: ImageChops.offset(picture, 1, 0), id="one pixel aside"),
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
    def test_it_tells_a_wrong_picture(self, wrong: Callable[[Image.Image], Image.Image], size: Size) -> None:
        right = small(scene(), size)

        assert alike(right, right)
        assert not alike(wrong(right), right)


def in_srgb(matrix: tuple[tuple[float, ...], ...]) -> Callable[..., Colour]:
    """A colour of a wider gamut in sRGB (IEC 61966-2-1), its tone curve taken as 2.2 (CSS Color 4, section 17)."""

    def converted(*colour: int) -> Colour:
        light = [(value / 255) ** 2.2 for value in colour]
        return tuple(encoded(sum(a * b for a, b in zip(row, light, strict=True))) for row in matrix)

    return converted


def encoded(light: float) -> int:
    """sRGB's transfer function."""
    light = min(1.0, max(0.0, light))
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


class TestWhichSideIsUp:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_however_the_camera_was_held(self, orientation: int, kind: str) -> None:
        stored = turned_for(scene(), orientation)
        data = saved(stored, kind, exif=oriented(orientation))
        assert alike(small(plainly_opened(data)), small(scene()))

        assert_looks_like(data, scene())
        assert thumbnails.render(data, [FIT])[1:3] == SIZE

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_in_a_compressed_tiff_that_writes_its_largest_byte_first(self, orientation: int) -> None:
        stored = turned_for(scene(), orientation)
        page = rgb_page(
            stored, compression=8, blocks=[zlib.compress(stored.tobytes())], order=">", orientation=orientation
        )

        assert_looks_like(page, scene())

    def test_what_exif_says_in_an_avif_does_not_count(self) -> None:
        # Its own way to say it is irot and imir (AVIF 1.1.0, section 2.4; HEIF leaves EXIF to be told only).
        exif = Image.Exif()
        exif[ExifTags.Base.ResolutionUnit] = 6
        data = saved(scene(), "AVIF", exif=exif)
        said = struct.pack(">HHI", ExifTags.Base.ResolutionUnit, 3, 1), struct.pack("<HHI", 296, 3, 1)
        assert sum(data.count(tag) for tag in said) == 1
        data = data.replace(said[0], struct.pack(">HHI", 274, 3, 1)).replace(said[1], struct.pack("<HHI", 274, 3, 1))

        assert_looks_like(data, scene())

    def test_the_first_of_two_exif_segments_counts(self) -> None:
        data = saved(turned_for(scene(), 6), "JPEG", quality=90, exif=oriented(6))
        other = b"Exif\0\0" + oriented(3).tobytes()[6:]

        assert_looks_like(data[:-2] + b"\xff\xd9", scene())
        assert_looks_like(after_first_segment(data, b"\xff\xe1" + struct.pack(">H", len(other) + 2) + other), scene())


def turned_for(picture: Image.Image, orientation: int) -> Image.Image:
    """What a camera stores for what it saw."""
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


def plainly_opened(data: bytes) -> Image.Image:
    """Decoded by the straightforward way there is."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def after_first_segment(data: bytes, segment: bytes) -> bytes:
    """A JPEG with another segment behind those that hold EXIF."""
    end = data.index(b"\xff\xdb")
    return data[:end] + segment + data[end:]


def rgb_page(picture: Image.Image, *, orientation: int = 1, order: str = "<", **tags: Any) -> bytes:
    """A TIFF of RGB in 8 bits, in one strip unless told otherwise."""
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
    def test_wider_gamuts_are_brought_to_srgb(
        self, profile: bytes, matrix: tuple[tuple[float, ...], ...], kind: str
    ) -> None:
        expected = each_colour(scene(), in_srgb(matrix))
        assert not alike(small(scene()), small(expected))

        assert_looks_like(saved(scene(), kind, icc_profile=profile), expected)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
    def test_half_transparent_colours_are_brought_to_srgb_before_they_come_over_white(self, kind: str) -> None:
        seen_through = scene().convert("RGBA")
        seen_through.putalpha(veil())
        expected = over_white(each_colour(scene(), in_srgb(P3_TO_SRGB)), veil())

        assert_looks_like(saved(seen_through, kind, icc_profile=P3), expected)

    def test_fully_transparent_pixels_are_white_whatever_the_profile(self) -> None:
        clear = Image.new("RGBA", (300, 300), (200, 30, 90, 0))

        assert shown(saved(clear, "PNG", icc_profile=P3)).getextrema() == ((255, 255),) * 3

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_colours_of_a_palette_are_brought_to_srgb(self, kind: str) -> None:
        assert_looks_like(saved(scene().quantize(64), kind, icc_profile=P3), each_colour(scene(), in_srgb(P3_TO_SRGB)))

    def test_colours_of_16_bits_are_brought_to_srgb(self) -> None:
        assert_looks_like(sixteen_bit_png(scene(), icc_profile=P3), each_colour(scene(), in_srgb(P3_TO_SRGB)))

    @pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16"), ("TIFF", "L")])
    def test_a_profile_for_grey_is_kept_to(self, kind: str, mode: str) -> None:
        grey = scene().convert("L")
        stored = Image.frombytes("I;16", grey.size, doubled(grey)) if mode == "I;16" else grey
        expected = grey.point([encoded(value / 255) for value in range(256)])
        assert not alike(small(grey), small(expected))

        assert_looks_like(saved(stored, kind, icc_profile=grey_profile(1.0)), expected)

    def test_a_profile_for_grey_is_kept_to_under_alpha(self) -> None:
        grey = scene().convert("L")
        expected = over_white(grey.point([encoded(value / 255) for value in range(256)]), veil())

        assert_looks_like(saved(Image.merge("LA", (grey, veil())), "PNG", icc_profile=grey_profile(1.0)), expected)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
    def test_grey_in_a_profile_for_colours_is_one_of_its_greys(self, kind: str) -> None:
        linear = rgb_profile((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 1.0)
        grey = scene().convert("L")

        assert_looks_like(
            saved(grey, kind, icc_profile=linear), grey.point([encoded(value / 255) for value in range(256)])
        )

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_inks_are_shown_as_their_profile_says_they_print(self, kind: str) -> None:
        # Lightness alone, and every ink and all of them together far from what inks are taken for without a profile.
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
        assert not alike(small(printed.convert("RGB")), small(expected))

        assert_looks_like(saved(printed, kind, icc_profile=ink_profile(inks), **BEST.get(kind, {})), expected)

    def test_a_profile_in_several_segments_is_put_together(self) -> None:
        long = P3 + bytes(150_000)
        long = struct.pack(">I", len(long)) + long[4:]
        data = saved(scene(), "JPEG", icc_profile=long, **BEST["JPEG"])
        assert data.count(b"ICC_PROFILE\0") == 3

        assert_looks_like(data, each_colour(scene(), in_srgb(P3_TO_SRGB)))

    def test_pictures_of_one_profile_may_be_rendered_at_once(self) -> None:
        scenes = [turned_for(scene(1600, 1200), turn) for turn in (1, 2, 3, 4)] * 3
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
    def test_a_profile_that_cannot_be_kept_to_is_passed_over(self, mode: str, profile: bytes) -> None:
        picture = scene().convert(mode)

        assert_looks_like(saved(picture, "JPEG", icc_profile=profile, **BEST["JPEG"]), picture.convert("RGB"))


BEST = {"JPEG": {"quality": 95, "subsampling": 0}}


def lightness(light: float) -> int:
    """The grey of sRGB of this L* (CIE 15)."""
    f = (light + 16) / 116
    return encoded(f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29))


def doubled(picture: Image.Image) -> bytes:
    """The pixels in 16 bits a channel, whichever byte comes first."""
    pixels = picture.tobytes()
    both = bytearray(2 * len(pixels))
    both[::2] = both[1::2] = pixels
    return bytes(both)


def sixteen_bit_png(picture: Image.Image, icc_profile: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, which Pillow writes for grey alone."""
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
            picture.putalpha(veil())
        alpha = picture.getchannel("A") if mode.endswith("A") else Image.new("L", picture.size, 255)

        assert_looks_like(sixteen_bit_png(picture), over_white(picture, alpha))

    def test_16_bits_of_grey_of_which_one_is_transparent(self) -> None:
        grey = scene().convert("L")
        clear = grey.getpixel((5, 5))
        expected = grey.point([255 if value == clear else value for value in range(256)])

        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear, clear)))), expected)
        # Of one that differs in one of its bytes alone, nothing is.
        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear, clear - 1)))), grey)
        assert_looks_like(sixteen_bit_png(grey, before=png_chunk(b"tRNS", bytes((clear - 1, clear)))), grey)

    def test_colours_of_16_bits_of_which_one_is_transparent(self) -> None:
        clear = scene().getpixel((5, 5))
        expected = each_colour(scene(), lambda *colour: WHITE if colour == clear else colour)
        sample = bytes(value for byte in clear for value in (byte, byte))

        assert_looks_like(sixteen_bit_png(scene(), before=png_chunk(b"tRNS", sample)), expected)

    @pytest.mark.parametrize("depth", [1, 2, 4])
    def test_few_bits_of_grey(self, depth: int) -> None:
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
            png(png_header(*numbers.size, depth, 3), packed, *chunks), over_white(numbers.convert("RGB"), alpha)
        )

    def test_a_png_that_comes_in_seven_passes(self) -> None:
        # One pass of the seven holds all of a picture of one column (PNG, section 8.2), two all of two rows.
        tall = scene(1, HEIGHT).tobytes()
        rows = passes(tall)
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, HEIGHT, 8, 2, 0, 0, 1))

        assert_looks_like(png(header, rows), scene(1, HEIGHT))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    def test_alpha(self, mode: str, kind: str) -> None:
        picture = scene().convert(mode)
        picture.putalpha(veil())

        assert_looks_like(saved(picture, kind), over_white(picture, veil()))

    def test_what_is_clear_does_not_shine_through_at_its_edges(self) -> None:
        picture = Image.new("RGBA", SIZE, (255, 0, 0, 0))
        picture.paste((255, 255, 255, 255), (0, 0, WIDTH // 2, HEIGHT))

        assert min(low for low, _ in shown(saved(picture, "PNG")).getextrema()) >= 250


def packed_rows(numbers: Image.Image, depth: int) -> bytes:
    """Rows of a PNG of less than a byte a pixel, each led by its filter's byte."""
    bits = [format(value % 2**depth, f"0{depth}b") for value in range(256)]
    rows = b""
    for row in range(numbers.height):
        packed = "".join(bits[value] for value in numbers.crop((0, row, numbers.width, row + 1)).tobytes())
        rows += b"\0" + int(packed, 2).to_bytes(-(-len(packed) // 8))
    return rows


def passes(column: bytes) -> bytes:
    """One column of RGB as Adam7 orders it."""
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
    def test_coded_in_every_way(self, options: dict[str, Any]) -> None:
        assert_looks_like(saved(scene(), "JPEG", quality=90, **options), scene())

    def test_coded_arithmetically(self) -> None:
        data = arithmetic_jpeg()
        assert data[data.index(b"\xff\xc9") :]

        assert_looks_like(data, quarters(64, 48), [Size(64, "fit"), Size(24, "cover")])

    def test_inks_as_adobe_has_them_upside_down(self) -> None:
        printed = scene().convert("CMYK")

        assert_looks_like(saved(printed, "JPEG", **BEST["JPEG"]), scene())

    def test_inks_as_luminance_and_black(self) -> None:
        # YCCK (Adobe TN 5116): the inks C, M and Y as if they were R, G and B, and K; Pillow turns what it writes.
        luminance, *chroma = ImageOps.invert(scene()).convert("YCbCr").split()
        stored = Image.merge("CMYK", (*map(ImageOps.invert, (luminance, *chroma)), Image.new("L", luminance.size)))
        data = saved(stored, "JPEG", **BEST["JPEG"])
        adobe = data.index(b"Adobe") + 11
        assert data[adobe] == 0
        data = data[:adobe] + b"\x02" + data[adobe + 1 :]

        assert_looks_like(data, scene())

    def test_the_first_of_several_pictures(self) -> None:
        data = saved(scene(), "MPO", save_all=True, append_images=[ImageOps.mirror(scene())], quality=90)

        assert_looks_like(data, scene())
        assert thumbnails.render(data, [FIT]).content_type == "image/jpeg"

    @pytest.mark.parametrize("scale", [2, 3, 4, 8, 9])
    def test_at_every_scale_that_is_decoded(self, scale: int) -> None:
        large = scene(180 * scale, 135 * scale)

        assert_looks_like(saved(large, "JPEG", quality=90), large, [FIT])
        assert_looks_like(saved(large, "JPEG", quality=90), large, [COVER])


class TestMovingPictures:
    """Of what moves, the first frame is shown, put together as viewers do."""

    PART = (90, 44, 270, 180)

    @property
    def part_only(self) -> Image.Image:
        """What is left where only a part of the canvas is painted."""
        canvas = Image.new("RGB", SIZE, WHITE)
        canvas.paste(scene().crop(self.PART), self.PART)
        return canvas

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
    def test_of_whole_frames_the_first(self, kind: str) -> None:
        later = [ImageOps.mirror(scene()), ImageOps.flip(scene())]

        assert_looks_like(saved(scene(), kind, save_all=True, append_images=later, duration=100), scene())

    @pytest.mark.parametrize("disposal", [0, 1, 2, 3])
    @pytest.mark.parametrize("clear", [None, 3])
    def test_of_a_gif_a_part_of_the_canvas(self, disposal: int, clear: int | None) -> None:
        part = scene().crop(self.PART).quantize(64)
        options = {} if clear is None else {"transparency": clear}
        data = bytearray(saved(part, "GIF", disposal=disposal, **options))
        data[6:10] = struct.pack("<HH", *SIZE)
        image = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
        data[image + 1 : image + 5] = struct.pack("<HH", *self.PART[:2])
        data[11] = 5  # its background, which viewers do not paint
        expected = self.part_only
        if clear is not None:
            opaque = Image.new("L", SIZE, 255)
            opaque.paste(part.point([255 * (value != clear) for value in range(256)], "L"), self.PART)
            expected = over_white(expected, opaque)

        assert_looks_like(bytes(data), expected)

    def test_of_a_webp_a_part_of_the_canvas(self) -> None:
        data = riff(
            webp_canvas(*SIZE, 2),
            (b"ANIM", bytes((200, 30, 30, 255, 0, 0))),
            webp_frame(scene().crop(self.PART), *self.PART[:2]),
            webp_frame(ImageOps.mirror(scene())),
        )

        assert_looks_like(data, self.part_only)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
    def test_of_a_png_a_part_of_the_canvas_where_the_still_picture_is_no_part_of_it(self, mode: str) -> None:
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

    def test_of_a_png_whose_animation_never_comes_the_still_picture(self) -> None:
        chunks = [png_chunk(*part) for part in png_parts(saved(scene(), "PNG"))]
        chunks.insert(1, png_chunk(b"acTL", struct.pack(">II", 1, 0)))

        assert_looks_like(PNG + b"".join(chunks), scene())


class TestTiff:
    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_compressed_in_every_way(self, compression: str | None, mode: str) -> None:
        picture = scene().convert(mode)

        assert_looks_like(saved(picture, "TIFF", compression=compression), picture)

    @pytest.mark.parametrize("compression", ["group3", "group4", "packbits"])
    def test_black_and_white(self, compression: str) -> None:
        picture = scene().convert("L").point([255 * (value > 128) for value in range(256)]).convert("1")

        assert_looks_like(saved(picture, "TIFF", compression=compression), picture)

    @pytest.mark.parametrize(("order", "big"), [("<", False), ("<", True), (">", False)])
    @pytest.mark.parametrize("compression", [1, 8])
    def test_in_tiles(self, compression: int, big: bool, order: str) -> None:
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
    def test_in_strips_of_few_rows(self, order: str) -> None:
        raw = scene().tobytes()
        strips = [raw[start : start + 7 * 3 * WIDTH] for start in range(0, len(raw), 7 * 3 * WIDTH)]

        assert_looks_like(rgb_page(scene(), blocks=strips, order=order, more={278: 7}), scene())

    def test_in_planes(self) -> None:
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
    def test_where_nothing_is_white(self, depth: int) -> None:
        grey = scene().convert("L")
        if depth == 1:
            grey = grey.point([255 * (value > 128) for value in range(256)])
        stored = {1: grey.convert("1", dither=Image.Dither.NONE).tobytes(), 8: grey.tobytes()}.get(depth, doubled(grey))
        data = rgb_page(grey, blocks=[stored], more={258: depth, 262: 0, 277: 1})

        assert_looks_like(data, ImageOps.invert(grey))

    @pytest.mark.parametrize("format_", [1, 2, 3], ids=["unsigned", "signed", "with a point"])
    def test_measurements_are_refused(self, format_: int) -> None:
        data = rgb_page(scene(), blocks=[bytes(4 * WIDTH * HEIGHT)], more={258: 32, 262: 1, 277: 1, 339: format_})

        with pytest.raises(errors.ImageTypeUnsupportedError, match=r"^32-bit grey is not supported"):
            thumbnails.render(data, [FIT])

    @pytest.mark.parametrize("alpha", [1, 2], ids=["multiplied in", "not multiplied in"])
    def test_alpha(self, alpha: int) -> None:
        picture = scene().convert("RGBA")
        picture.putalpha(veil())
        stored = (picture.convert("RGBa") if alpha == 1 else picture).tobytes()
        data = rgb_page(picture, blocks=[stored], more={258: [8] * 4, 277: 4, 338: alpha})

        assert_looks_like(data, over_white(scene(), veil()))

    def test_a_palette(self) -> None:
        assert_looks_like(saved(scene().quantize(64), "TIFF"), scene())

    def test_lightness_and_opponent_colours(self) -> None:
        assert_looks_like(saved(scene().convert("LAB"), "TIFF"), scene())

    def test_inks(self) -> None:
        assert_looks_like(saved(scene().convert("CMYK"), "TIFF"), scene())


class TestAvif:
    def test_10_bits_and_alpha(self) -> None:
        alpha = Image.new("L", (64, 48), 255)
        alpha.paste(0, (0, 0, 32, 24))
        alpha.paste(128, (32, 0, 64, 24))

        assert_looks_like(ten_bit_avif(), over_white(quarters(64, 48), alpha), [Size(64, "fit"), Size(32, "cover")])

    @pytest.mark.parametrize("brand", [b"avis", b"mif1", b"msf1"])
    def test_of_one_that_moves_the_picture_and_not_the_track(self, brand: bytes) -> None:
        data = saved(scene(), "AVIF", save_all=True, append_images=[ImageOps.mirror(scene())], quality=90)
        assert (data[8:12], data.count(b"stco")) == (b"avis", 1)

        assert_looks_like(data[:8] + brand + data[12:].replace(b"stco", b"free"), scene())

    @pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
    def test_chroma_at_every_resolution(self, subsampling: str) -> None:
        assert_looks_like(saved(scene(), "AVIF", quality=90, subsampling=subsampling), scene())


class TestBmp:
    def test_the_first_row_on_top(self) -> None:
        data = bytearray(saved(ImageOps.flip(scene()), "BMP"))
        data[22:26] = struct.pack("<i", -HEIGHT)

        assert_looks_like(bytes(data), scene())

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
    def test_every_depth(self, mode: str) -> None:
        picture = scene().quantize(64) if mode == "P" else scene().convert(mode)

        assert_looks_like(saved(picture, "BMP"), picture.convert("RGB"))


class TestShapes:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 16_000), (16_000, 1), (2, 3), (7, 1001)])
    def test_of_every_kind(self, size: tuple[int, int], kind: str) -> None:
        # Grey, as a JPEG keeps colours at half the resolution only, of which so small a picture has none to spare.
        grey = scene(*size).convert("L")

        rendered = thumbnails.render(saved(grey, kind, **BEST.get(kind, {})), [COVER, FIT])

        assert (rendered.width, rendered.height) == size
        for made in rendered.thumbnails:
            seen, expected = Image.open(io.BytesIO(made.data)), small(grey, made.size)
            assert alike(seen, expected), likeness(seen, expected)

    @pytest.mark.parametrize("size", [(801, 599), (333, 1000), (1000, 333), (481, 481)])
    def test_the_middle_is_shown_to_the_pixel(self, size: tuple[int, int]) -> None:
        assert_looks_like(saved(scene(*size), "PNG"), scene(*size))
        assert_looks_like(saved(scene(*size), "JPEG", quality=90), scene(*size))


class TestNothingElseIsSaid:
    """A thumbnail is a bare JPEG: not one segment of it is for anything but its pixels."""

    MARK = b"MARKER"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
    def test_whatever_stands_in_the_file(self, kind: str) -> None:
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
    """A picture in whose file everything is said that can be said."""
    mark = TestNothingElseIsSaid.MARK
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
    """What a JPEG's segments are for."""
    names = {0xC0: "frame", 0xC4: "tables", 0xDA: "scan", 0xDB: "tables"}
    found, at = set(), 2
    while data[at + 1] != 0xDA:
        found.add("JFIF" if data[at + 4 : at + 9] == b"JFIF\0" else names.get(data[at + 1], f"{data[at + 1]:02x}"))
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    rest = data[at + 2 :]
    assert rest.count(b"\xff") == rest.count(b"\xff\0") + 1
    assert rest.endswith(b"\xff\xd9")
    return found | {"scan"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
def test_a_kind_is_told_by_its_content(kind: str) -> None:
    # Neither a name nor a content type is ever given.
    assert thumbnails.render(saved(scene(), kind), [FIT]).content_type == f"image/{kind.lower()}"
