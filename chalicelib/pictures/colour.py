"""Convert the colours of a picture to sRGB, as browsers do.

A file describes its colours by an ICC profile, by code points (ITU-T H.273: ``cICP`` in PNG, ``nclx`` in AVIF), or by
gamma and chromaticities (``gAMA`` and ``cHRM`` in PNG). From the last two, a profile is made, with a tone curve for
HDR.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image, ImageCms

Matrix = tuple[tuple[float, ...], ...]
Curve = tuple[float, ...] | str

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
# The mode to convert from, by the first letter of a picture's mode and the colour space of its profile (ICC.1,
# section 7.2.6). Profiles of other combinations are ignored.
_PROFILE_MODES = {("R", b"RGB "): "RGB", ("L", b"RGB "): "RGB", ("L", b"GRAY"): "L", ("C", b"CMYK"): "CMYK"}


class Coding(NamedTuple):
    """What the numbers of a picture mean.

    ``chromaticities`` are x and y of white, red, green and blue (CIE 1931). ``curve`` are the parameters of the curve
    from a number to light (g, a, b, c, d of ICC.1, section 10.18, function type 3), or the name of an HDR curve.
    """

    chromaticities: tuple[float, ...]
    curve: Curve


def to_srgb(image: Image.Image, data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion from the colours of a picture to sRGB, or None if browsers would not convert them.

    ``image`` is the opened picture, ``data`` its file, ``mode`` the mode in which the conversion gets it.
    """
    return next(filter(None, (_conversion(source, mode[0]) for source in _sources(image, data))), None)


def _sources(image: Image.Image, data: bytes) -> Iterator[bytes | Coding]:
    """Yield the profile and the codings of a picture, the preferred one first."""
    if image.format == "PNG":
        yield from _png_sources(image, data)
        return
    if profile := image.info.get("icc_profile"):
        yield profile
    elif image.format == "AVIF" and (found := _NCLX.search(data)):
        primaries, curve = struct.unpack(">HH", found[1])
        # Browsers show video's curves as sRGB: encoders write them for pictures that were sRGB.
        yield Coding(
            _PRIMARIES.get(primaries, _PRIMARIES[1]),
            _SRGB_CURVE if curve in _VIDEO else _CURVES.get(curve, _SRGB_CURVE),
        )


def _png_sources(image: Image.Image, data: bytes) -> Iterator[bytes | Coding]:
    """Yield cICP, iCCP, or gAMA with cHRM, unless sRGB precedes these (PNG, third edition, section 4.3)."""
    pixels = max(0, data.find(b"IDAT"))
    palette = data.find(b"PLTE", 0, pixels)
    found = _CICP.search(data, 0, pixels if palette < 0 else palette)
    if found and found[1][0] in _PRIMARIES and found[1][1] in _CURVES:
        yield Coding(_PRIMARIES[found[1][0]], _CURVES[found[1][1]])
        return
    if profile := image.info.get("icc_profile"):
        yield profile
    gamma, chromaticities = image.info.get("gamma"), image.info.get("chromaticity")
    if gamma and "srgb" not in image.info:
        # libpng's threshold: a smaller difference from sRGB is not visible.
        if chromaticities in (None, _PRIMARIES[1]) and abs(gamma * 2.2 - 1) < 0.05:
            return
        yield Coding(chromaticities or _PRIMARIES[1], (1 / gamma, 1, 0, 0, 0))


_CICP = re.compile(rb"\0\0\0\x04cICP(..)\0\x01", re.DOTALL)  # of RGB in full range
_NCLX = re.compile(rb"colrnclx(.{4})", re.DOTALL)

# By code point (ITU-T H.273, tables 2 and 3).
_D65 = (0.3127, 0.329)
_PRIMARIES: dict[int, tuple[float, ...]] = {
    1: (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_VIDEO = (1, 6, 14, 15)
_CURVES: dict[int, Curve] = {4: (2.2, 1, 0, 0, 0), 5: (2.8, 1, 0, 0, 0), 8: (1, 1, 0, 0, 0), 13: _SRGB_CURVE}
_CURVES |= dict.fromkeys(_VIDEO, _BT709_CURVE) | {16: "PQ", 18: "HLG"}


# Building a conversion takes as long as a thumbnail, and most pictures have the profile of one of a few phones.
@functools.lru_cache(maxsize=4)
def _conversion(source: bytes | Coding, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion from a profile or coding to sRGB, or None if it is sRGB or unusable."""
    if source == (_PRIMARIES[1], _SRGB_CURVE):
        return None
    try:
        profile = source if isinstance(source, bytes) else _profile(source)
        known = _PROFILE_MODES.get((mode, profile[16:20]))
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(opened, _SRGB, known, "RGB") if known else None
    except (ImageCms.PyCMSError, OSError, ArithmeticError, struct.error):
        return None


def _profile(coding: Coding) -> bytes:
    """Return an ICC profile (ICC.1, section 8.3): of three colourants and a curve, or of a table if it is HDR."""
    matrix = _to_xyz(coding.chromaticities)
    if isinstance(coding.curve, str):
        return _icc({b"A2B0": _hdr_table(coding.curve, matrix)})
    curve = b"para\0\0\0\0\0\x03\0\0" + _fixed(*coding.curve)
    colourants = (b"XYZ \0\0\0\0" + _fixed(*column) for column in zip(*matrix, strict=True))
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    return _icc(dict(zip(names, colourants, strict=True)) | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def _icc(tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of a display (ICC.1, section 7.2). Tags have whole multiples of 4 bytes."""
    start = 132 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(tag))
        data += tag
    # Version 2: LittleCMS assumes that black is not zero in a table of version 4, and would darken dark colours.
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _fixed(*_D50)).ljust(128, b"\0") + table + data


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _to_xyz(chromaticities: tuple[float, ...]) -> Matrix:
    """Return the matrix from linear RGB to XYZ, adapted to the white of profiles (ICC.1, annex E)."""
    white, *primaries = (_xyz(x, y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True))
    columns = tuple(zip(*primaries, strict=True))
    matrix = _product(columns, _diagonal(*_apply(_inverse(columns), white)))
    cones = zip(_apply(_BRADFORD, _D50), _apply(_BRADFORD, white), strict=True)
    adaptation = _product(_diagonal(*(wanted / given for wanted, given in cones)), _BRADFORD)
    return _product(_inverse(_BRADFORD), _product(adaptation, matrix))


_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _xyz(x: float, y: float) -> tuple[float, ...]:
    return (x / y, 1.0, (1 - x - y) / y)


def _diagonal(x: float, y: float, z: float) -> Matrix:
    return ((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z))


def _apply(matrix: Matrix, vector: tuple[float, ...]) -> tuple[float, ...]:
    x, y, z = vector
    return tuple([a * x + b * y + c * z for a, b, c in matrix])


def _product(left: Matrix, right: Matrix) -> Matrix:
    return tuple(zip(*(_apply(left, column) for column in zip(*right, strict=True)), strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple(tuple(value / determinant for value in row) for row in cofactors)


_GRID = 33


def _hdr_table(curve: str, matrix: Matrix) -> bytes:
    """Return the table from signals to XYZ in the range of sRGB (ICC.1, section 10.10)."""
    signals = [_HDR_CURVES[curve](step / (_GRID - 1)) for step in range(_GRID)]
    to_bt2020 = _product(_inverse(_to_xyz(_PRIMARIES[9])), matrix)
    values: list[int] = []
    for light in itertools.product(signals, repeat=3):
        xyz = _apply(matrix, light)
        # The system gamma of a display of 1,000 cd/m² (ITU-R BT.2100, table 5).
        brightness = _HLG_PEAK * xyz[1] ** 0.2 if curve == "HLG" else 1.0
        gain = 32768 * brightness * _gain(brightness * max(_apply(to_bt2020, light)))
        values.extend([min(65535, max(0, round(gain * value))) for value in xyz])
    straight = struct.pack(">6H", *(0, 65535) * 3)
    head = b"mft2\0\0\0\0\x03\x03" + bytes((_GRID, 0)) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + b"\0\x02\0\x02"
    table = head + straight + struct.pack(f">{len(values)}H", *values) + straight
    return table.ljust(-(-len(table) // 4) * 4, b"\0")


_WHITE = 203.0
"""The brightness of diffuse white in HDR, in cd/m² (ITU-R BT.2408, table 1). Light is measured in this unit."""
_HLG_PEAK = 1000 / _WHITE


def _pq(signal: float) -> float:
    """Return the light of a signal in PQ (ITU-R BT.2100, table 4)."""
    root = signal ** (32 / 2523)
    return float(10_000 / _WHITE * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610))


def _hlg(signal: float) -> float:
    """Return the light of the scene for a signal in HLG (ITU-R BT.2100, table 5)."""
    return signal * signal / 3 if signal <= 0.5 else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12


_HDR_CURVES = {"PQ": _pq, "HLG": _hlg}


def _gain(light: float) -> float:
    """Return the factor that brings light into the range of sRGB.

    Fitted to Chromium 156: up to diffuse white it is halved, 1,000 cd/m² becomes white, with a smooth curve in between.
    """
    if light <= 1 or light >= _HLG_PEAK:
        return min(0.5, 1 / max(light, 1))
    stops = math.log2(light)
    return float(0.5 * 2 ** -(0.3145 * stops + 0.109 * stops**2))
