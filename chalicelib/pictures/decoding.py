"""Open and decode picture files with Pillow. Memory and time are limited by the process (``sandbox.py``)."""

from __future__ import annotations

import contextlib
import copy  # noqa: F401 - GifImagePlugin imports it at its first file
import io
from collections.abc import Iterator
from typing import NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES
from chalicelib.pictures import bit_depth, colour, tiff_tags, unsupported_formats

# The classes of the supported formats. Image.open would import all of Pillow's 40, and read previews in a JPEG (MPO).
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    plugin.format: plugin
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
        AvifImagePlugin.AvifImageFile,
        BmpImagePlugin.BmpImageFile,
    )
}
FORMATS = tuple(_PLUGINS)
"""Pillow's names of the supported formats. The content of a file decides which one it is."""

# Image.save does this at its first call. In a decoding process, nothing more can be imported.
Image.preinit()

# Pillow warns at its limit and raises an exception at twice that. Here, the memory is limited instead.
Image.MAX_IMAGE_PIXELS = None
# A decoding process cannot start threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# The colour profile of a PNG, uncompressed. The largest profiles of printers have 3 MB.
PngImagePlugin.MAX_TEXT_CHUNK = 4 * 1024 * 1024
# Have libtiff read the positions of a TIFF's strips and tiles: it reads no more of them than the picture has.
TiffImagePlugin.READ_LIBTIFF = True


class Picture(NamedTuple):
    """A decoded picture in a mode that can be resized.

    ``width`` and ``height`` are those of the visible area: if a JPEG is decoded at a smaller scale, its last column and
    row may be visible only in part. ``orientation`` is that of EXIF. ``to_srgb`` is None if viewers would not convert
    the colours.
    """

    image: Image.Image
    width: float
    height: float
    orientation: int
    to_srgb: ImageCms.ImageCmsTransform | None
    truncated: bool


@contextlib.contextmanager
def rejecting(data: bytes) -> Iterator[None]:
    """Turn every exception inside the block into an ImageError about ``data``, except MemoryError.

    Raise ImageTooLargeError, without entering the block, if ``data`` is too large.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=len(data))
    try:
        yield
    except (errors.ImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - for damaged files, Pillow raises almost every built-in exception
        raise unsupported_formats.rejection(data, FORMATS, error) from None


def open_picture(data: bytes) -> ImageFile.ImageFile:
    """Return the first picture in ``data``, with its header read and its pixels not decoded yet.

    Raise an ImageError if its format or its variant is not supported.
    """
    kind = next((kind for kind in FORMATS if Image.OPEN[kind][1](data[:16])), None)  # type: ignore[misc]
    if kind is None:
        raise unsupported_formats.rejection(data, FORMATS)
    if kind == "TIFF":
        unsupported_formats.check_tiff(data)
    with _tolerating_damage():  # Browsers ignore damaged chunks of a PNG, except those with its pixels.
        image = _PLUGINS[kind](io.BytesIO(_as_still(data)))
    if kind == "PNG":
        # Pillow stores a text under a name from the file, which may be the name of other data, such as icc_profile.
        image.info = {name: value for name, value in image.info.items() if not isinstance(value, str)}
    if image.tile and image.tile[0].codec_name == "bmp_rle":
        # Pillow decodes it in Python, byte by byte.
        raise errors.ImageVariantUnsupportedError(variant="Run-length encoded BMP")
    return image


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height in the header of a WebP (RFC 9649), or None if ``data`` is not a WebP.

    To open one, Pillow allocates 8 bytes for each pixel.
    """
    if not data.startswith(b"RIFF") or data[8:12] != b"WEBP":
        return None
    number = int.from_bytes(data[20:32].ljust(12, b"\0"), "little")
    if data[12:16] == b"VP8X":
        return (number >> 32 & 0xFFFFFF) + 1, (number >> 56 & 0xFFFFFF) + 1
    if data[12:16] == b"VP8L":
        return (number >> 8 & 0x3FFF) + 1, (number >> 22 & 0x3FFF) + 1
    return number >> 48 & 0x3FFF, number >> 64 & 0x3FFF


def _as_still(data: bytes) -> bytes:
    """Return an AVIF or WebP so that its first picture is decoded as viewers show it."""
    if data[4:8] == b"ftyp":
        return data[:8] + b"avif" + data[12:]  # The major brand avis stands for the animation.
    if data[8:16] == b"WEBPVP8X" and data[20] & 0x02:
        # The canvas outside the first frame of an animation is transparent (RFC 9649), so it has alpha.
        return data[:20] + bytes((data[20] | 0x10,)) + data[21:]
    return data


@contextlib.contextmanager
def _tolerating_damage() -> Iterator[None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode(image: ImageFile.ImageFile, data: bytes, smallest: tuple[int, int]) -> Picture:
    """Decode a picture at the smallest scale that the format offers with at least this width and height.

    If the file ends before the picture does, return the rows that there are, if they are at least MIN_ROWS of all.
    """
    try:
        return _decode(image, data, smallest)
    except (errors.ImageError, MemoryError):
        raise
    except Exception:
        image.close()  # releases its memory
        # With an end marker, libjpeg expects no more data, and fills the rest with grey.
        whole = data + b"\xff\xd9" if image.format == "JPEG" else data
        again = open_picture(whole)
        with _tolerating_damage():
            picture = _decode(again, whole, smallest)
        if _decoded_rows(again) < MIN_ROWS * again.height:
            raise
        return picture._replace(truncated=True)


MIN_ROWS = 0.1
"""The part of its rows that a truncated picture must have."""


def _decoded_rows(image: Image.Image) -> int:
    """Return the number of rows without those that the decoder only filled. A few columns are checked."""
    columns = image.resize((min(image.width, 64), image.height), Image.Resampling.NEAREST)
    if image.format == "JPEG":
        grey = Image.new(columns.mode, columns.size, (128,) * len(columns.getbands()))
        columns = ImageChops.difference(columns, grey)
    box = (columns.convert("L") if columns.mode.startswith("I") else columns).getbbox(alpha_only=False)
    return box[3] - box[1] if box else 0


def _decode(image: ImageFile.ImageFile, data: bytes, smallest: tuple[int, int]) -> Picture:
    width: float = image.width
    height: float = image.height
    if drafted := image.draft(None, smallest):
        _, _, width, height = drafted[1]
        # Pass the whole file at once: at the end of each of Pillow's 64 KiB blocks, libjpeg leaves its fast path.
        image.decodermaxblock = MAX_IMAGE_BYTES
    if image.info.get("default_image"):
        image = _at_first_frame(image, data)
    extents = image.tile[0].extents if image.tile else None
    picture = bit_depth.load(image, data)
    if image.format in ("GIF", "PNG") and extents and extents != (0, 0, *image.size):
        # The canvas outside the first frame of an animation is transparent.
        part = picture.crop(extents).convert("RGBA")
        picture = Image.new("RGBA", image.size)
        picture.paste(part, extents)
    picture = _resizable(picture)
    orientation = tiff_tags.orientation(image.info.get("exif", b""))  # Pillow has turned a TIFF upright.
    to_srgb = colour.to_srgb(image, data, picture.mode)
    return Picture(picture, width, height, orientation, to_srgb, truncated=False)


def _at_first_frame(image: ImageFile.ImageFile, data: bytes) -> ImageFile.ImageFile:
    """Return a PNG, whose default image is not part of its animation, at the first frame if there is one."""
    try:
        image.seek(1)
    except (EOFError, OSError, SyntaxError):
        return _PLUGINS["PNG"](io.BytesIO(data))
    return image


def _resizable(picture: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be resized: without a palette, with premultiplied alpha."""
    if picture.mode in ("LA", "RGBA"):
        return picture.convert(picture.mode[:-1] + "a")
    if picture.has_transparency_data:
        return picture.convert("RGBA").convert("RGBa")
    if picture.mode in ("L", "RGB", "CMYK"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")
