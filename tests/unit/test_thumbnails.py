"""Thumbnails of whatever is uploaded: how they look, what they say, and what is refused instead."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Size
from chalicelib.pictures import thumbnails
from tests.builders import BLUE, GREEN, RED, YELLOW, jpeg, png_head, quarters, rgb_profile, saved

COVER, FIT = Size(200, "cover"), Size(800, "fit")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP")
Colour = tuple[int, ...]


def render(data: bytes, *sizes: Size) -> thumbnails.Rendered:
    return thumbnails.render(data, sizes or (COVER, FIT))


def shown(data: bytes, size: Size = COVER) -> Image.Image:
    """The thumbnail of a file, as a viewer opens it."""
    return Image.open(io.BytesIO(render(data, size).thumbnails[0].data))


def corners(picture: Image.Image) -> list[Colour]:
    width, height = picture.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [pixel(picture, *place) for place in places]


def pixel(picture: Image.Image, x: int, y: int) -> Colour:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def middle(picture: Image.Image) -> Colour:
    return pixel(picture, picture.width // 2, picture.height // 2)


def alike(one: Colour, other: Colour, tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


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
    def test_cover_fills_a_square_and_fit_stays_inside_one_and_is_never_enlarged(
        self, size: tuple[int, int], cover: tuple[int, int], fit: tuple[int, int], kind: str
    ) -> None:
        rendered = render(saved(quarters(*size), kind))

        assert (rendered.width, rendered.height) == size
        for thumbnail, expected in zip(rendered.thumbnails, (cover, fit), strict=True):
            assert (thumbnail.width, thumbnail.height) == expected
            assert Image.open(io.BytesIO(thumbnail.data)).size == expected

    def test_cover_shows_the_middle(self) -> None:
        picture = Image.new("RGB", (900, 300), RED)
        picture.paste(GREEN, (300, 0, 600, 300))

        thumbnail = shown(saved(picture, "PNG"))

        assert alike(pixel(thumbnail, 5, 100), GREEN)
        assert alike(pixel(thumbnail, 194, 100), GREEN)

    def test_thumbnails_come_in_the_order_asked_for(self) -> None:
        sizes = (Size(64, "cover"), Size(300, "fit"), Size(1000, "cover"))

        rendered = render(jpeg(1500, 1000), *sizes)

        assert [thumbnail.size for thumbnail in rendered.thumbnails] == list(sizes)
        assert [(thumbnail.width, thumbnail.height) for thumbnail in rendered.thumbnails] == [
            (64, 64),
            (300, 200),
            (1000, 1000),
        ]


class TestKinds:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_kind_is_shown_as_it_looks(self, kind: str) -> None:
        rendered = render(saved(quarters(), kind))

        assert rendered.content_type == f"image/{kind.lower()}"
        for thumbnail in rendered.thumbnails:
            opened = Image.open(io.BytesIO(thumbnail.data))
            assert (opened.format, opened.mode) == ("JPEG", "RGB")
            for seen, painted in zip(corners(opened), (RED, GREEN, BLUE, YELLOW), strict=True):
                assert alike(seen, painted, 24)

    def test_a_progressive_jpeg_is_shown(self) -> None:
        assert alike(corners(shown(jpeg(1600, 1200, progressive=True)))[0], RED)

    def test_of_a_moving_gif_the_first_frame_is_shown(self) -> None:
        frames = [Image.new("RGB", (300, 300), colour) for colour in (RED, GREEN, BLUE)]
        gif = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

        assert alike(middle(shown(gif)), RED, 24)

    @pytest.mark.parametrize("kind", ["WEBP", "AVIF", "PNG", "TIFF"])
    def test_of_several_pictures_in_one_file_the_first_is_shown(self, kind: str) -> None:
        frames = [Image.new("RGB", (300, 300), colour) for colour in (RED, GREEN)]

        assert alike(middle(shown(saved(frames[0], kind, save_all=True, append_images=frames[1:]))), RED, 24)

    def test_of_a_phones_jpeg_with_more_behind_it_the_first_is_shown(self) -> None:
        mpo = saved(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (400, 300), BLUE)])

        rendered = render(mpo)

        assert rendered.content_type == "image/jpeg"
        assert alike(corners(Image.open(io.BytesIO(rendered.thumbnails[0].data)))[0], RED)

    def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off(self) -> None:
        # Without interpolation between the two shades: a JPEG of 8 bits is not exact about either.
        picture = Image.new("I;16", (300, 300), 0x8000)

        assert alike(middle(shown(saved(picture, "PNG"))), (128, 128, 128), 2)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
    def test_black_and_white_is_shown(self, kind: str) -> None:
        assert alike(middle(shown(saved(Image.new("1", (300, 300), 1), kind))), (255, 255, 255))

    def test_grey_is_shown(self) -> None:
        assert alike(middle(shown(saved(Image.new("L", (300, 300), 90), "JPEG"))), (90, 90, 90))

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_printers_colours_are_shown(self, kind: str) -> None:
        assert alike(middle(shown(saved(Image.new("CMYK", (300, 300), (0, 255, 255, 0)), kind))), (255, 0, 0))

    def test_the_name_and_the_content_type_of_a_file_do_not_matter(self) -> None:
        # Nothing but the bytes is ever asked for.
        assert render(saved(quarters(), "PNG")).content_type == "image/png"


class TestTransparency:
    def test_what_is_transparent_is_white(self) -> None:
        picture = Image.new("RGBA", (300, 300), (0, 0, 0, 0))

        assert alike(middle(shown(saved(picture, "PNG"))), (255, 255, 255), 2)

    def test_what_is_half_transparent_is_half_white(self) -> None:
        picture = Image.new("RGBA", (300, 300), (0, 0, 0, 128))

        assert alike(middle(shown(saved(picture, "PNG"))), (127, 127, 127), 3)

    @pytest.mark.parametrize(("mode", "clear"), [("LA", (0, 0)), ("RGBA", (255, 0, 0, 0))])
    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    def test_it_is_so_in_every_kind(self, mode: str, clear: Colour, kind: str) -> None:
        assert alike(middle(shown(saved(Image.new(mode, (300, 300), clear), kind))), (255, 255, 255), 4)

    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_a_transparent_palette_colour_is_white(self, kind: str) -> None:
        picture = Image.new("P", (300, 300), 0)
        picture.putpalette([0, 0, 0, 255, 0, 0])

        assert alike(middle(shown(saved(picture, kind, transparency=0))), (255, 255, 255), 2)

    def test_one_colour_that_stands_for_transparent_is_white(self) -> None:
        picture = Image.new("RGB", (300, 300), RED)

        assert alike(middle(shown(saved(picture, "PNG", transparency=RED))), (255, 255, 255), 2)


class TestOrientation:
    STORED = {  # noqa: RUF012 - what a camera stores, for what it saw, by EXIF orientation
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_picture_is_shown_upright_however_the_camera_was_held(self, orientation: int, kind: str) -> None:
        turn = self.STORED[orientation]
        stored = quarters() if turn is None else quarters().transpose(turn)
        data = saved(stored, kind, exif=oriented(orientation))
        assert ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size == (400, 300)

        rendered = render(data)

        assert (rendered.width, rendered.height) == (400, 300)
        cover, fit = (Image.open(io.BytesIO(thumbnail.data)) for thumbnail in rendered.thumbnails)
        assert (cover.size, fit.size) == ((200, 200), (400, 300))
        for picture in (cover, fit):
            for seen, painted in zip(corners(picture), (RED, GREEN, BLUE, YELLOW), strict=True):
                assert alike(seen, painted, 20)

    @pytest.mark.parametrize("orientation", [0, 9, 65_535])
    def test_an_orientation_that_does_not_exist_is_passed_over(self, orientation: int) -> None:
        assert alike(corners(shown(jpeg(exif=oriented(orientation))))[0], RED)

    @pytest.mark.parametrize(
        "exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense"]
    )
    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    def test_a_picture_with_broken_exif_is_shown_as_it_lies(self, exif: bytes) -> None:
        assert alike(corners(shown(jpeg(exif=exif)))[0], RED)


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


class TestColours:
    # The primaries of Display P3 in XYZ under D50, as in the profile that phones embed.
    P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    def test_a_wider_gamut_is_brought_to_srgb(self, kind: str) -> None:
        picture = Image.new("RGB", (300, 300), (200, 100, 100))

        seen = middle(shown(saved(picture, kind, icc_profile=self.P3)))

        assert alike(seen, in_srgb((200, 100, 100)), 5)
        assert not alike(seen, (200, 100, 100), 5)

    def test_a_broken_profile_is_passed_over(self) -> None:
        picture = Image.new("RGB", (300, 300), (200, 100, 100))

        assert alike(middle(shown(saved(picture, "JPEG", icc_profile=b"nonsense"))), (200, 100, 100), 5)

    @pytest.mark.parametrize(
        ("mode", "colour", "seen"), [("L", 90, (90, 90, 90)), ("CMYK", (0, 255, 255, 0), (255, 0, 0))]
    )
    def test_a_profile_for_other_channels_is_passed_over(self, mode: str, colour: int | Colour, seen: Colour) -> None:
        picture = Image.new(mode, (300, 300), colour)

        assert alike(middle(shown(saved(picture, "JPEG", icc_profile=self.P3))), seen)


def in_srgb(p3: Colour) -> Colour:
    """A colour of Display P3 in sRGB (CSS Color 4, section 10: sample code), the tone curve taken as 2.2."""
    red, green, blue = ((value / 255) ** 2.2 for value in p3)
    linear = (
        1.2249 * red - 0.2247 * green,
        -0.0420 * red + 1.0419 * green,
        -0.0197 * red - 0.0786 * green + 1.0979 * blue,
    )
    return tuple(round(255 * value ** (1 / 2.2)) for value in linear)


def test_nothing_that_a_camera_wrote_is_kept() -> None:
    exif = oriented(1)
    exif[ExifTags.Base.Make] = "MARKER camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = b"MARKER place"
    marked = jpeg(exif=exif, comment=b"MARKER comment", xmp=b"<x>MARKER</x>", icc_profile=TestColours.P3)
    assert marked.count(b"MARKER") == 4

    for thumbnail in render(marked).thumbnails:
        opened = Image.open(io.BytesIO(thumbnail.data))
        assert not opened.getexif()
        assert not {"icc_profile", "exif", "xmp", "comment"} & opened.info.keys()
        assert b"MARKER" not in thumbnail.data


def test_nothing_that_a_program_wrote_into_a_png_is_kept() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "MARKER")

    assert b"MARKER" not in render(saved(quarters(), "PNG", pnginfo=text)).thumbnails[0].data


class TestPixels:
    @pytest.mark.parametrize("kind", FORMATS[1:])
    def test_a_picture_is_held_whole(self, kind: str) -> None:
        assert thumbnails.pixels_in_memory(saved(quarters(), kind), [COVER]) == 400 * 300

    @pytest.mark.parametrize(
        ("sizes", "held"),
        [
            ([COVER], 300 * 200),
            ([COVER, Size(800, "fit")], 1200 * 800),
            ([Size(2400, "fit")], 2400 * 1600),
            ([Size(9000, "fit")], 2400 * 1600),
        ],
    )
    def test_a_jpeg_is_held_at_the_scale_that_its_thumbnails_need(self, sizes: list[Size], held: int) -> None:
        assert thumbnails.pixels_in_memory(jpeg(2400, 1600), sizes) == held

    def test_a_progressive_jpeg_is_held_whole_whatever_the_scale(self) -> None:
        assert thumbnails.pixels_in_memory(jpeg(2400, 1600, progressive=True), [COVER]) == 2400 * 1600

    def test_not_one_pixel_is_decoded_to_tell(self) -> None:
        assert thumbnails.pixels_in_memory(png_head(10_000, 5_000), [COVER]) == MAX_IMAGE_PIXELS

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (bytes(MAX_IMAGE_BYTES + 1), errors.ImageTooLargeError),
            (png_head(10_000, 5_001), errors.ImageTooManyPixelsError),
            (b"%PDF-1.7\n", errors.ImageTypeUnsupportedError),
            (b"", errors.ImageUnreadableError),
        ],
    )
    def test_what_is_refused_for_its_header_is_refused_here_already(
        self, data: bytes, error: type[errors.ImageError]
    ) -> None:
        with pytest.raises(error):
            thumbnails.pixels_in_memory(data, [COVER])


class TestRefusals:
    @pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (60_000, 60_000), (1, 50_000_001)])
    def test_too_many_pixels_are_refused_before_one_is_decoded(self, width: int, height: int) -> None:
        with pytest.raises(errors.ImageTooManyPixelsError, match=f"at most {MAX_IMAGE_PIXELS} pixels; .* {width} × "):
            render(png_head(width, height))

    def test_as_many_pixels_as_are_allowed_are_decoded(self) -> None:
        with pytest.raises(errors.ImageUnreadableError):  # for there are none
            render(png_head(10_000, 5_000))

    def test_too_many_bytes_are_refused(self) -> None:
        with pytest.raises(errors.ImageTooLargeError, match="at most 20971520 bytes; this one has 20971521"):
            render(bytes(MAX_IMAGE_BYTES + 1))

    def test_as_many_bytes_as_are_allowed_are_read(self) -> None:
        rendered = render(jpeg() + bytes(MAX_IMAGE_BYTES - len(jpeg())))

        assert rendered.width == 400

    @pytest.mark.parametrize("kind", FORMATS)
    def test_half_a_file_is_refused(self, kind: str) -> None:
        data = saved(Image.effect_noise((300, 300), 100).convert("RGB"), kind)

        with pytest.raises(errors.ImageUnreadableError, match="damaged, or not a picture"):
            render(data[: len(data) // 2])

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\0",
            b"This is a text, whatever its name says.\n",
            b"PK\x03\x04" + bytes(100),
            b"<html></html>",
            b"GIF89a",
        ],
    )
    def test_what_is_no_picture_is_refused(self, data: bytes) -> None:
        with pytest.raises(errors.ImageUnreadableError):
            render(data)

    @pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX"])
    def test_a_kind_that_is_not_listed_is_not_even_tried(self, kind: str) -> None:
        with pytest.raises(errors.ImageUnreadableError):
            render(saved(quarters(64, 64), kind))

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            *((b"\0\0\0\x18ftyp" + brand + bytes(40), "HEIC") for brand in HEIC_BRANDS),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40), "HEIC"),
            (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (b"\n  <SVG/>", "SVG"),
            (b"<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg/>", "SVG"),
        ],
    )
    def test_a_known_kind_that_is_not_taken_is_called_by_its_name(self, data: bytes, kind: str) -> None:
        with pytest.raises(
            errors.ImageTypeUnsupportedError, match=f"^{kind} is not supported: save the picture as JPEG"
        ):
            render(data)

    def test_who_has_an_iphone_is_told_how_it_makes_pictures_that_are_taken(self) -> None:
        with pytest.raises(
            errors.ImageTypeUnsupportedError, match="; on an iPhone: Settings, Camera, Formats, Most Compatible"
        ):
            render(b"\0\0\0\x18ftypheic" + bytes(40))

    @pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
    def test_an_avif_that_first_says_it_is_any_picture_is_shown(self, brand: bytes) -> None:
        # ISO/IEC 23008-12, section 10: which codec is told by the brands it is compatible with.
        data = saved(quarters(), "AVIF")
        assert data[8:12] == b"avif"

        assert render(data[:8] + brand + data[12:]).content_type == "image/avif"

    def test_an_avif_that_is_damaged_is_not_called_heic(self) -> None:
        with pytest.raises(errors.ImageUnreadableError):
            render(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf" + bytes(40))

    def test_xml_that_is_no_drawing_is_refused_as_no_picture(self) -> None:
        with pytest.raises(errors.ImageUnreadableError):
            render(b"<?xml version='1.0'?><note/>")

    @given(st.sampled_from(FORMATS), st.floats(0, 0.999), st.binary(min_size=1, max_size=6))
    def test_a_damaged_file_is_shown_or_refused_and_nothing_else(self, kind: str, place: float, noise: bytes) -> None:
        data = bytearray(saved(quarters(48, 36), kind))
        start = int(place * len(data))
        data[start : start + len(noise)] = noise

        with contextlib.suppress(errors.ImageError):
            rendered = render(bytes(data), Size(16, "cover"))
            assert len(rendered.thumbnails) == 1


def test_a_gif_that_says_it_is_larger_than_its_frame_keeps_its_size() -> None:
    gif = bytearray(saved(Image.new("RGB", (300, 200), RED), "GIF"))
    gif[6:10] = struct.pack("<HH", 600, 400)

    rendered = render(bytes(gif))

    assert (rendered.width, rendered.height) == (600, 400)
