"""Open and decode picture files with Pillow, within limits on bytes and pixels."""

from __future__ import annotations

import contextlib
import copy  # noqa: F401 - GifImagePlugin imports it at its first file
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from chalicelib.pictures import colour, first_frame, kinds, samples, tiff_tags
from chalicelib.pictures.first_frame import FirstFrame

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# Import the plugins of the supported formats. Otherwise Pillow imports all of its 40 to identify a file.
_PLUGINS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    GifImagePlugin.GifImageFile,
    TiffImagePlugin.TiffImageFile,
    AvifImagePlugin.AvifImageFile,
    BmpImagePlugin.BmpImageFile,
)
FORMATS = tuple(plugin.format for plugin in _PLUGINS)
"""Pillow's names of the supported formats. The content of a file decides which one it is."""

# Image.open does this at its first call. In a decoding process, nothing more can be imported.
Image.preinit()

# Pillow warns at its limit and raises an exception at twice that. The limit here is checked before decoding.
Image.MAX_IMAGE_PIXELS = None
# A decoding process cannot start threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Of a PNG's compressed chunks, only the colour profile gets past first_frame.
PngImagePlugin.MAX_TEXT_CHUNK = first_frame.MAX_PROFILE
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


@contextlib.contextmanager
def rejecting(data: bytes) -> Iterator[None]:
    """Turn every exception inside the block into an ImageError about ``data``, except MemoryError."""
    if len(data) > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=len(data))
    try:
        yield
    except (errors.ImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - for damaged files, Pillow raises almost every built-in exception
        raise kinds.rejection(data, FORMATS, error) from None


def open_first_frame(data: bytes) -> tuple[ImageFile, FirstFrame]:
    """Return the first picture in ``data``, with its header read and its pixels not decoded yet."""
    frame = first_frame.extract(data)
    if frame is None:
        raise kinds.rejection(data, FORMATS)
    if frame.kind == "TIFF":
        kinds.check_tiff(data)
    _check_pixels(frame.coded_sizes)
    image = Image.open(io.BytesIO(frame.data), formats=[frame.kind])
    _check_pixels([image.size])
    if image.tile and image.tile[0].codec_name == "bmp_rle":
        # Pillow decodes it in Python, byte by byte, and 4 bytes can stand for gigabytes of pixels.
        raise errors.ImageVariantUnsupportedError(variant="Run-length encoded BMP")
    return image, frame


def _check_pixels(frames: Sequence[tuple[int, int]]) -> None:
    for width, height in frames:
        if width * height > MAX_IMAGE_PIXELS:
            raise errors.ImageTooManyPixelsError(limit=MAX_IMAGE_PIXELS, width=width, height=height)
    # A picture may consist of several frames: colours, alpha, a gain map. Any others are hidden, but would be decoded.
    if sum(width * height for width, height in frames) > 4 * MAX_IMAGE_PIXELS:
        raise ValueError("The frames have too many pixels together.")


def decode(image: ImageFile, data: bytes, smallest: tuple[int, int]) -> Picture:
    """Decode a picture at the smallest scale that the format offers with at least this width and height."""
    width: float = image.width
    height: float = image.height
    if drafted := image.draft(None, smallest):
        _, _, width, height = drafted[1]
        # Pass the whole file at once: at the end of each of Pillow's 64 KiB blocks, libjpeg leaves its fast path.
        image.decodermaxblock = MAX_IMAGE_BYTES
    extents = image.tile[0].extents if image.tile else None
    picture = samples.load(image, data)
    if image.format in ("GIF", "PNG") and extents and extents != (0, 0, *image.size):
        # The canvas outside the first frame of an animation is transparent.
        part = picture.crop(extents).convert("RGBA")
        picture = Image.new("RGBA", image.size)
        picture.paste(part, extents)
    picture = _resizable(picture)
    orientation = tiff_tags.orientation(image.info.get("exif", b""))  # Pillow has turned a TIFF upright.
    return Picture(picture, width, height, orientation, colour.to_srgb(image, data, picture.mode))


def _resizable(picture: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be resized: without a palette, with premultiplied alpha."""
    if picture.mode in ("LA", "RGBA"):
        return picture.convert(picture.mode[:-1] + "a")
    if picture.has_transparency_data:
        return picture.convert("RGBA").convert("RGBa")
    if picture.mode in ("L", "RGB", "CMYK"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")
