"""Which files are rejected instead of decoded, and with which error."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Size
from chalicelib.pictures import thumbnails
from chalicelib.pictures.decoding import FORMATS
from tests.builders import jpeg, png_head, quarters, saved

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


COVER = Size(200, "cover")


def render(data: bytes, size: Size = COVER) -> thumbnails.Rendered:
    return thumbnails.render(data, [size])


@pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (60_000, 60_000), (1, 50_000_001)])
def test_too_many_pixels_are_rejected_before_decoding(width: int, height: int) -> None:
    with pytest.raises(errors.ImageTooManyPixelsError, match=f"at most {MAX_IMAGE_PIXELS} pixels; .* {width} × "):
        render(png_head(width, height))


def test_most_pixels_allowed_are_decoded() -> None:
    with pytest.raises(errors.ImageUnreadableError):  # the file has no pixels
        render(png_head(10_000, 5_000))


def test_too_many_bytes_are_rejected() -> None:
    with pytest.raises(errors.ImageTooLargeError, match="at most 20971520 bytes; this one has 20971521"):
        render(bytes(MAX_IMAGE_BYTES + 1))


def test_most_bytes_allowed_are_read() -> None:
    rendered = render(jpeg() + bytes(MAX_IMAGE_BYTES - len(jpeg())))

    assert rendered.width == 400


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_rejected(kind: str) -> None:
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
def test_other_files_are_rejected(data: bytes) -> None:
    with pytest.raises(errors.ImageUnreadableError):
        render(data)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX"])
def test_other_formats_of_pillow_are_rejected(kind: str) -> None:
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
def test_known_unsupported_format_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(errors.ImageTypeUnsupportedError, match=f"^{kind} is not supported: save the picture as JPEG"):
        render(data)


def test_heic_names_the_setting_of_the_iphone() -> None:
    with pytest.raises(
        errors.ImageTypeUnsupportedError, match="; on an iPhone: Settings, Camera, Formats, Most Compatible"
    ):
        render(b"\0\0\0\x18ftypheic" + bytes(40))


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_avif_with_a_generic_major_brand_is_shown(brand: bytes) -> None:
    # The compatible brands tell the codec (ISO/IEC 23008-12, section 10).
    data = saved(quarters(), "AVIF")
    assert data[8:12] == b"avif"

    assert render(data[:8] + brand + data[12:]).content_type == "image/avif"


def test_damaged_avif_is_not_reported_as_heic() -> None:
    with pytest.raises(errors.ImageUnreadableError):
        render(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf" + bytes(40))


def test_other_xml_is_not_reported_as_svg() -> None:
    with pytest.raises(errors.ImageUnreadableError):
        render(b"<?xml version='1.0'?><note/>")


@given(st.sampled_from(FORMATS), st.floats(0, 0.999), st.binary(min_size=1, max_size=6))
def test_damaged_file_is_shown_or_rejected(kind: str, place: float, noise: bytes) -> None:
    data = bytearray(saved(quarters(48, 36), kind))
    start = int(place * len(data))
    data[start : start + len(noise)] = noise

    with contextlib.suppress(errors.ImageError):
        rendered = render(bytes(data), Size(16, "cover"))
        assert len(rendered.thumbnails) == 1
