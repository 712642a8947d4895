"""Colours described by code points, gamma and chromaticities are shown as in Chromium."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from chalicelib.config import Size
from chalicelib.pictures import colour, thumbnails
from tests.builders import png, png_chunk, png_header, rgb_profile, saved

Colour = tuple[int, ...]

RED, GREEN, BLUE, GREY = COLOURS = ((200, 40, 40), (40, 160, 40), (40, 60, 200), (128, 128, 128))
"""The colours of the test picture, from left to right."""

P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)

# What Chromium 156 shows for these colours, read from a canvas in sRGB.
LINEAR = ((229, 110, 110), (110, 208, 110), (110, 133, 229), (188, 188, 188))
GAMMA_18 = ((210, 53, 53), (53, 176, 53), (53, 77, 210), (146, 146, 146))
DISPLAY_P3 = ((218, 0, 26), (0, 163, 0), (34, 61, 208), (128, 128, 128))
P3_GAMMA_22 = ((220, 0, 18), (0, 164, 0), (28, 58, 209), (129, 129, 129))
BT2020 = ((249, 0, 27), (0, 169, 0), (0, 60, 208), (128, 128, 128))
PQ = ((255, 0, 0), (0, 226, 0), (0, 0, 255), (132, 132, 132))
HLG = ((230, 0, 13), (0, 138, 0), (0, 40, 177), (99, 99, 99))


def bars(mode: str = "RGB") -> Image.Image:
    """Return a picture of four vertical bars in COLOURS."""
    picture = Image.new("RGB", (160, 40))
    for index, value in enumerate(COLOURS):
        picture.paste(value, (40 * index, 0, 40 * index + 40, 40))
    return picture.convert(mode)


def shown(data: bytes) -> tuple[Colour, ...]:
    """Return the colours of the bars in the thumbnail."""
    made = thumbnails.render(data, [Size(160, "fit")]).thumbnails[0]
    seen = Image.open(io.BytesIO(made.data)).convert("RGB")
    pixels = [seen.getpixel((40 * index + 20, 20)) for index in range(4)]
    return tuple(pixel for pixel in pixels if isinstance(pixel, tuple))


def assert_shows(data: bytes, colours: tuple[Colour, ...], tolerance: int = 4) -> None:
    found = shown(data)
    difference = max(abs(a - b) for one, two in zip(found, colours, strict=True) for a, b in zip(one, two, strict=True))
    assert difference <= tolerance, found


def png_bars(*chunks: bytes, after: bytes = b"") -> bytes:
    """Return the bars as a PNG with chunks before, and chunks after, the pixels."""
    pixels = bars().tobytes()
    rows = b"".join(b"\0" + pixels[start : start + 480] for start in range(0, len(pixels), 480))
    data = png(png_header(160, 40), rows, *chunks)
    end = png_chunk(b"IEND")
    return data.removesuffix(end) + after + end


def cicp(primaries: int, curve: int, matrix: int = 0, *, full_range: bool = True) -> bytes:
    return png_chunk(b"cICP", bytes((primaries, curve, matrix, full_range)))


def gama(value: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value))


def chrm(values: tuple[int, ...]) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *values))


def iccp(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


SRGB = png_chunk(b"sRGB", b"\0")
PLTE = png_chunk(b"PLTE", bytes(6))


def avif_bars(primaries: int, curve: int, profile: bytes | None = None) -> bytes:
    """Return the bars as an AVIF with these code points in its nclx box."""
    data = saved(bars(), "AVIF", quality=95, subsampling="4:4:4", icc_profile=profile)
    assert data.count(b"nclx") == 1
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, curve) + data[at + 4 :]


class TestPng:
    @pytest.mark.parametrize(
        ("chunks", "colours"),
        [
            ([cicp(1, 13)], COLOURS),
            ([cicp(1, 8)], LINEAR),
            ([cicp(12, 13)], DISPLAY_P3),
            ([gama(100_000)], LINEAR),
            ([gama(55_556)], GAMMA_18),
            ([gama(45_455)], COLOURS),
            ([gama(45_455), chrm(P3_CHROMATICITIES)], P3_GAMMA_22),
            ([gama(100_000), chrm(SRGB_CHROMATICITIES)], LINEAR),
            ([chrm(P3_CHROMATICITIES)], COLOURS),
            ([SRGB], COLOURS),
        ],
        ids=str,
    )
    def test_colours_are_converted(self, chunks: list[bytes], colours: tuple[Colour, ...]) -> None:
        assert_shows(png_bars(*chunks), colours)

    @pytest.mark.parametrize(("curve", "colours"), [(16, PQ), (18, HLG)])
    def test_hdr_gets_a_tone_curve(self, curve: int, colours: tuple[Colour, ...]) -> None:
        assert_shows(png_bars(cicp(9, curve)), colours)

    def test_gamma_of_srgb_with_its_chromaticities_is_srgb(self) -> None:
        # The values that writers add to an sRGB chunk (PNG, third edition, section 11.3.2.5).
        assert_shows(png_bars(gama(45_455), chrm(SRGB_CHROMATICITIES)), COLOURS)

    @pytest.mark.parametrize(
        ("chunks", "colours"),
        [
            ([cicp(1, 8), iccp(P3), SRGB, gama(55_556)], LINEAR),
            ([iccp(P3), gama(100_000)], P3_GAMMA_22),
            ([SRGB, gama(100_000)], COLOURS),
            ([cicp(1, 99), iccp(P3)], P3_GAMMA_22),
            ([cicp(2, 2), iccp(P3)], P3_GAMMA_22),
            ([iccp(bytes(200)), gama(100_000)], LINEAR),
        ],
        ids=["cICP", "iCCP", "sRGB", "unknown cICP", "unspecified cICP", "damaged iCCP"],
    )
    def test_preferred_chunk_is_used(self, chunks: list[bytes], colours: tuple[Colour, ...]) -> None:
        assert_shows(png_bars(*chunks), colours)

    @pytest.mark.parametrize("chunk", [cicp(1, 8), iccp(P3), gama(100_000)], ids=["cICP", "iCCP", "gAMA"])
    def test_chunk_after_the_pixels_is_ignored(self, chunk: bytes) -> None:
        assert_shows(png_bars(after=chunk), COLOURS)

    def test_cicp_after_the_palette_is_ignored(self) -> None:
        assert_shows(png_bars(PLTE, cicp(1, 8)), COLOURS)

    @pytest.mark.parametrize(
        "chunk", [gama(0), gama(1), gama(45_455)[:-4] + bytes(4), chrm((0,) * 8), cicp(1, 8, 1)], ids=str
    )
    def test_invalid_chunk_is_ignored(self, chunk: bytes) -> None:
        assert_shows(png_bars(chunk), COLOURS)

    def test_impossible_chromaticities_are_ignored(self) -> None:
        assert_shows(png_bars(gama(100_000), chrm((0,) * 8)), COLOURS)
        assert_shows(png_bars(gama(100_000), chrm((31_270,) * 8)), COLOURS)

    @pytest.mark.parametrize("curve", [8, 16])
    def test_grey_is_converted(self, curve: int) -> None:
        grey = bars("L").tobytes()
        rows = b"".join(b"\0" + grey[start : start + 160] for start in range(0, len(grey), 160))
        data = png(png_header(160, 40, 8, 0), rows, cicp(1, curve))

        assert shown(data)[3] == {8: (188, 188, 188), 16: (132, 132, 132)}[curve]


class TestAvif:
    @pytest.mark.parametrize(
        ("primaries", "curve", "colours"),
        [
            (1, 13, COLOURS),
            (1, 8, LINEAR),
            (12, 13, DISPLAY_P3),
            (9, 14, BT2020),
            (9, 16, PQ),
            (9, 18, HLG),
            # Video's curves, and what is unspecified, are shown as sRGB.
            (1, 1, COLOURS),
            (1, 6, COLOURS),
            (2, 2, COLOURS),
            (12, 2, DISPLAY_P3),
            (2, 8, LINEAR),
        ],
    )
    def test_code_points(self, primaries: int, curve: int, colours: tuple[Colour, ...]) -> None:
        assert_shows(avif_bars(primaries, curve), colours)

    def test_profile_precedes_code_points(self) -> None:
        assert_shows(avif_bars(1, 8, P3), P3_GAMMA_22)


@pytest.mark.parametrize("curve", ["PQ", "HLG"])
def test_hdr_scale_is_continuous(curve: str) -> None:
    """From black to white, no number is darker than the one before, and all of the range is used."""
    code = cicp(9, {"PQ": 16, "HLG": 18}[curve])
    data = png(png_header(256, 1, 8, 0), b"\0" + bytes(range(256)), code)
    convert = colour.to_srgb(Image.open(io.BytesIO(data)), data, "L")
    assert convert

    ramp = list(convert.apply(Image.open(io.BytesIO(data)).convert("RGB")).convert("L").tobytes())

    assert ramp == sorted(ramp)
    assert (ramp[0], ramp[255]) == (0, 255)
