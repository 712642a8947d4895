"""Name the formats, and the variants of supported formats, that are recognised but not supported."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PIL import Image, TiffImagePlugin

from chalicelib import errors
from chalicelib.pictures import tiff_tags
from chalicelib.pictures.tiff_tags import Tags

MAX_HEAD = 256
"""How many bytes of a file are read to recognise it."""

MAX_TEXT = 1 << 20
"""How many bytes are read for formats of text, which may begin with comments."""


def rejection(data: bytes, supported: Sequence[str], cause: Exception | None = None) -> errors.ImageError:
    """Return the error about a file that Pillow cannot decode because of ``cause``.

    ``supported`` are the formats by Pillow's names.
    """
    if unsupported := _unsupported_type(data):
        return unsupported
    name = next((name for name in supported if Image.OPEN[name][1](data[:16])), "")  # type: ignore[misc]
    if variant := _variant(name, data, cause):
        return errors.ImageVariantUnsupportedError(variant=variant)
    return errors.ImageUnreadableError(kind=name)


def _unsupported_type(data: bytes) -> errors.ImageTypeUnsupportedError | None:
    """Return the error about a file in a format that is recognised but not supported, else None."""
    # In UTF-16, the characters that matter are ASCII and zero bytes.
    text = re.sub(rb"\A(\xff\xfe|\xfe\xff|\xef\xbb\xbf)", b"", data[:MAX_TEXT]).replace(b"\0", b"")
    for name, head in UNSUPPORTED.items():
        if re.match(head, text if name in _TEXTS else data[:MAX_HEAD], re.DOTALL | re.IGNORECASE):
            return errors.ImageTypeUnsupportedError(kind=name, hint=HINTS.get(name, ""))
    if data.endswith(b"TRUEVISION-XFILE.\0"):
        return errors.ImageTypeUnsupportedError(kind="TGA")
    return None


def check_tiff(data: bytes) -> None:
    """Raise an ImageError if a TIFF is not a picture for viewers.

    Camera raw begins with a small preview. It has a DNGVersion (DNG 1.7), a colour filter array (TIFF/EP), Canon's
    mark, or a preview first and others below. Samples of more than 16 bits are measurements: the file does not say
    which values are black and white.
    """
    tags = tiff_tags.read(data)
    below_preview = tags.get(_SUBFILE_TYPE) == (1,) and _SUB_DIRECTORIES in tags
    is_raw = below_preview or _DNG_VERSION in tags or tags.get(tiff_tags.PHOTOMETRIC) in ((32803,), (34892,))
    if is_raw or data[8:12] == b"CR\2\0":
        raise errors.ImageTypeUnsupportedError(kind=CAMERA_RAW)
    if tags.get(tiff_tags.BITS, (1,))[0] in (32, 64):
        raise errors.ImageVariantUnsupportedError(variant=tiff_variant(tags) or "TIFF with 32 or 64 bits")


_SUBFILE_TYPE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706

CAMERA_RAW = "Camera raw"
UNSUPPORTED = {
    # By brand (ISO/IEC 23008-12, annex B). mif1 and msf1 allow any codec; AVIF is recognised by its compatible brands.
    "HEIC": rb"....ftyp(hei[cmsx]|hev[cmsx]|(mif[12]|msf1)(?!.{0,80}avi[fs]))",
    "HEIF": rb"....ftyp(avc[is]|j2k[is]|jpeg|jpgs|vvi[cs]|1pic|miaf)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "JPEG XR": rb"II\xbc",
    "Photoshop (PSD)": rb"8BPS",
    "PDF": rb"\s*%pdf",
    "PostScript (EPS)": rb"\s*%!PS|\xc5\xd0\xd3\xc6",
    # After any declaration, comments and document type (XML 1.0, section 2.8), and with any prefix.
    "SVG": rb"\s*+(?>(?:<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*+(?:\[.*?\]\s*)?>)\s*+)*+<(?:\w+:)?svg[\s/>]",
    "ICO": rb"\0\0[\x01\x02]\0[^\0]\0",
    CAMERA_RAW: rb"....ftypcrx |FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR|FOVb|\0MRM",
    "GIMP (XCF)": rb"gimp xcf",
    "DDS": rb"DDS ",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "Radiance HDR": rb"#\?(RADIANCE|RGBE)",
    "QOI": rb"qoif",
    "Netpbm": rb"P[1-6]\s+[#\d]|P7\s",
    "PCX": rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]",
    "ICNS": rb"icns",
    "Windows metafile": rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF",
    "DICOM": rb".{128}DICM",
    # Any other brand of ISO/IEC 14496-12, QuickTime, Matroska and WebM, AVI, MPEG, Flash.
    "Video": rb"....(ftyp(?!avi[fs]|mif1|msf1)|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]|FLV\x01",
}
"""Formats that are not supported, by the first bytes of their files."""

HINTS = {"HEIC": "; on an iPhone: Settings, Camera, Formats, Most Compatible"}
"""How to get a supported file instead."""

_TEXTS = {"PDF", "PostScript (EPS)", "SVG"}


def _variant(name: str, data: bytes, cause: Exception | None) -> str:
    """Return the name of the variant of a supported format that Pillow does not support, or an empty string."""
    if name == "JPEG" and re.search(rb"\xff[\xc1-\xc2\xc9\xca]\0.\x0c", data, re.DOTALL):
        return "12-bit JPEG"
    if name == "BMP" and re.match("Unsupported BMP (pixel depth|bitfields|compression)", str(cause)):  # Pillow's words
        return "BMP with this compression or colour layout"
    tags = tiff_tags.read(data) if name == "TIFF" else {}
    return "" if not tags or _is_supported(data[:2], tags) else tiff_variant(tags)


def _is_supported(order: bytes, tags: Tags) -> bool:
    """Return whether Pillow can open a TIFF of this byte order with these samples."""
    form, fill, extra = tags.get(tiff_tags.SAMPLE_FORMAT, (1,)), tags.get(_FILL_ORDER, (1,)), tags.get(_EXTRA, ())
    bits, photometric = tags.get(tiff_tags.BITS, (1,)), tags.get(tiff_tags.PHOTOMETRIC, (0,))
    samples = (order, photometric[0], form[:1], fill[0], bits, extra)
    method = tags.get(tiff_tags.COMPRESSION, (1,))[0]
    return samples in TiffImagePlugin.OPEN_INFO and method in TiffImagePlugin.COMPRESSION_INFO


_FILL_ORDER, _EXTRA = 266, tiff_tags.EXTRA_SAMPLES


def tiff_variant(tags: Tags) -> str:
    """Return the name of the samples of a TIFF, such as "32-bit float RGB TIFF", or an empty string if unknown."""
    colours, count = _COLOURS.get(tags.get(tiff_tags.PHOTOMETRIC, (-1,))[0], ("", 0))
    bits = tags.get(tiff_tags.BITS)
    if not colours or not bits or len(bits) > 2 * count:  # more is damage
        return ""
    form = _SAMPLE_FORMATS.get(tags.get(tiff_tags.SAMPLE_FORMAT, (1,))[0], "")
    extra = " with alpha" if len(bits) > count else ""
    method = tags.get(tiff_tags.COMPRESSION, (1,))[0]
    return f"{bits[0]}-bit {form}{colours}{extra} TIFF" + (f" with compression {method}" if method != 1 else "")


_COLOURS = {0: ("grey", 1), 1: ("grey", 1), 2: ("RGB", 3), 3: ("palette", 1), 5: ("CMYK", 4), 6: ("YCbCr", 3)}
_COLOURS |= {8: ("Lab", 3), 9: ("Lab", 3), 10: ("Lab", 3), 32844: ("LogL", 1), 32845: ("LogLuv", 3)}
_SAMPLE_FORMATS = {2: "signed ", 3: "float ", 5: "complex ", 6: "complex "}
