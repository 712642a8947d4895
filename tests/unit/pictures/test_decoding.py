"""Which files are rejected instead of decoded, and with which error."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, Size
from chalicelib.pictures import thumbnails
from chalicelib.pictures.decoding import FORMATS
from tests.builders import jpeg, quarters, saved, tiff

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
UNICODE = ("utf-8", "utf-16-le", "utf-16-be")

COVER = Size(200, "cover")


def render(data: bytes, size: Size = COVER) -> thumbnails.Rendered:
    return thumbnails.render(data, [size])


def test_too_many_bytes_are_rejected() -> None:
    with pytest.raises(errors.ImageTooLargeError, match="at most 20971520 bytes; this one has 20971521"):
        render(bytes(MAX_IMAGE_BYTES + 1))


def test_most_bytes_allowed_are_read() -> None:
    rendered = render(jpeg() + bytes(MAX_IMAGE_BYTES - len(jpeg())))

    assert rendered.width == 400


@pytest.mark.parametrize("kind", FORMATS)
def test_twentieth_of_a_file_is_rejected(kind: str) -> None:
    options = {"interlace": 0} if kind == "GIF" else {}
    data = saved(Image.effect_noise((300, 300), 100).convert("RGB"), kind, **options)

    with pytest.raises(errors.ImageUnreadableError, match=r"^This \w+ file is damaged or incomplete: "):
        render(data[: len(data) // 20])


class TestTruncatedFiles:
    @pytest.mark.parametrize("percent", [15, 50, 90, 99])
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("JPEG", {}),
            ("JPEG", {"subsampling": 0}),
            ("JPEG", {"progressive": True}),
            ("PNG", {}),
            ("GIF", {"interlace": 0}),
        ],
    )
    def test_rows_that_are_there_are_shown(self, kind: str, options: dict[str, Any], percent: int) -> None:
        picture = Image.effect_noise((300, 300), 30).convert("RGB")
        data = saved(picture, kind, **options)

        rendered = render(data[: len(data) * percent // 100], Size(300, "fit"))

        assert rendered[1:3] == (300, 300)
        assert rendered.warnings == ["TRUNCATED"]
        shown, whole = (
            Image.open(io.BytesIO(one.thumbnails[0].data)).crop((0, 0, 300, 24))
            for one in (rendered, render(data, Size(300, "fit")))
        )
        if not options.get("progressive"):
            assert ImageStat.Stat(ImageChops.difference(shown, whole)).mean[0] < 3

    @pytest.mark.parametrize("missing", [1, 2, 3, 16, 512])
    @pytest.mark.parametrize("progressive", [False, True])
    def test_last_bytes_of_a_jpeg_may_be_missing(self, missing: int, progressive: bool) -> None:
        data = saved(Image.effect_noise((1600, 1200), 30).convert("RGB"), "JPEG", progressive=progressive)

        rendered = render(data[:-missing])

        assert rendered[1:3] == (1600, 1200)
        # Without the last two bytes, only the end marker is missing: all rows are there, and libjpeg may have them.
        assert rendered.warnings == ["TRUNCATED"] or (missing <= 2 and not rendered.warnings)

    def test_jpeg_that_ends_in_zeros_is_shown(self) -> None:
        data = saved(Image.effect_noise((400, 300), 30).convert("RGB"), "JPEG")

        assert render(data[: len(data) // 2] + bytes(len(data) // 2)).width == 400

    def test_missing_rows_of_a_jpeg_are_grey(self) -> None:
        data = saved(Image.new("RGB", (304, 304), (200, 40, 40)), "JPEG", restart_marker_rows=1)

        rendered = render(data[: data.index(b"\xff\xd3")], Size(304, "fit"))

        assert Image.open(io.BytesIO(rendered.thumbnails[0].data)).getpixel((100, 300)) == (128, 128, 128)

    def test_bmp_without_its_last_bytes_is_shown(self) -> None:
        data = saved(quarters(), "BMP")

        assert render(data[:-1200]).warnings == ["TRUNCATED"]

    @pytest.mark.parametrize("kind", FORMATS)
    def test_whole_file_has_no_warning(self, kind: str) -> None:
        assert render(saved(quarters(), kind)).warnings == []


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


def test_unknown_format_is_not_reported_as_damaged() -> None:
    with pytest.raises(
        errors.ImageUnreadableError, match=r"^This file is not a picture in a format that is recognised: .*JPEG, PNG, "
    ):
        render(b"This is a text, whatever its name says.")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ICO", "ICO"),
        ("PPM", "Netpbm"),
        ("TGA", "TGA"),
        ("PCX", "PCX"),
        ("JPEG2000", "JPEG 2000"),
        ("EPS", r"PostScript \(EPS\)"),
        ("PDF", "PDF"),
        ("DDS", "DDS"),
        ("ICNS", "ICNS"),
    ],
)
def test_other_formats_of_pillow_are_named(kind: str, name: str) -> None:
    with pytest.raises(errors.ImageTypeUnsupportedError, match=f"^{name} is not supported: save the picture as JPEG"):
        render(saved(quarters(64, 64), kind))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((b"\0\0\0\x18ftyp" + brand + bytes(40), "HEIC") for brand in HEIC_BRANDS),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40), "HEIC"),
        *((b"\0\0\0\x18ftyp" + brand + bytes(40), "HEIF") for brand in (b"avci", b"j2ki", b"jpeg", b"vvic")),
        *((b"\0\0\0\x18ftyp" + brand + bytes(40), "Video") for brand in (b"isom", b"mp42", b"qt  ", b"M4V ")),
        (b"\x1aE\xdf\xa3" + bytes(40), "Video"),
        (b"RIFF\0\0\0\0AVI LIST", "Video"),
        (b"\xff\x0a\xfa\x7f" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"\xff\x4f\xff\x51" + bytes(40), "JPEG 2000"),
        (b"8BPS\0\1" + bytes(40), r"Photoshop \(PSD\)"),
        (b"\0\0\2\0\1\0" + bytes(40), "ICO"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "Camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "Camera raw"),
        (b"IIU\0\x08\0\0\0", "Camera raw"),
        (b"gimp xcf v011\0", r"GIMP \(XCF\)"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", r"PostScript \(EPS\)"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), r"PostScript \(EPS\)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n  <SVG/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg/>", "SVG"),
        (b"<?xml version='1.0'?><!--" + b" <b> - -> " * 5000 + b"-->\n<!-- 2 --><svg>", "SVG"),
        (b"<!DOCTYPE svg PUBLIC 'a' 'b' [<!ENTITY ns 'c'> <!ENTITY d 'e'>]>\n<svg:svg xmlns:svg='f'>", "SVG"),
        *(("\ufeff<?xml version='1.0'?>\n<!-- é -->\n<svg/>".encode(code), "SVG") for code in UNICODE),
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


@pytest.mark.parametrize("data", [b"<?xml version='1.0'?><note/>", b"<!-- <svg> --><note/>", b"<!-- <svg>", b"<svgs/>"])
def test_other_xml_is_not_reported_as_svg(data: bytes) -> None:
    with pytest.raises(errors.ImageUnreadableError):
        render(data)


@pytest.mark.parametrize(
    ("tags", "start"),
    [
        ({50706: [1, 4, 0, 0]}, b""),
        ({254: 1, 330: [8]}, b""),
        ({262: 32803, 258: [14], 277: 1}, b""),
        ({}, b"CR\2\0"),
    ],
    ids=["DNG", "NEF", "TIFF/EP", "CR2"],
)
def test_camera_raw_is_not_shown_as_its_preview(tags: dict[int, Any], start: bytes) -> None:
    preview = {256: 16, 257: 16, 258: [8, 8, 8], 259: 1, 262: 2, 277: 3, 278: 16}
    assert render(tiff(preview, [bytes(768)])).width == 16

    with pytest.raises(errors.ImageTypeUnsupportedError, match=r"^Camera raw is not supported"):
        render(tiff(preview | tags, [start.ljust(768, b"\0")]))


@pytest.mark.parametrize(
    ("data", "variant"),
    [
        (
            saved(quarters(16, 16), "BMP")[:30] + struct.pack("<I", 4) + bytes(800),
            "BMP with this compression or colour layout",
        ),
        (jpeg(16, 16).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "12-bit JPEG"),
    ],
    ids=["BMP", "JPEG"],
)
def test_unsupported_variant_is_named(data: bytes, variant: str) -> None:
    with pytest.raises(errors.ImageVariantUnsupportedError, match=f"^{variant} is not supported: save the picture as"):
        render(data)


def test_bmp_with_masks_that_pillow_does_not_read_is_named() -> None:
    header = struct.pack("<IiiHHIIiiIIIII", 56, 8, 8, 1, 16, 3, 128, 0, 0, 0, 0, 0x7800, 0x0780, 0x0078) + bytes(4)
    data = b"BM" + struct.pack("<IHHI", 14 + len(header) + 128, 0, 0, 14 + len(header)) + header + bytes(128)

    with pytest.raises(errors.ImageVariantUnsupportedError, match=r"^BMP with this compression or colour layout"):
        render(data)


@given(st.sampled_from(FORMATS), st.floats(0, 0.999), st.binary(min_size=1, max_size=6))
def test_damaged_file_is_shown_or_rejected(kind: str, place: float, noise: bytes) -> None:
    data = bytearray(saved(quarters(48, 36), kind))
    start = int(place * len(data))
    data[start : start + len(noise)] = noise

    with contextlib.suppress(errors.ImageError):
        rendered = render(bytes(data), Size(16, "cover"))
        assert len(rendered.thumbnails) == 1
