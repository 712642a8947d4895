"""Bytes in, thumbnails out: Pillow, and nothing else.

All sizes come from one decode. A JPEG is decoded at the reduced scale that its largest thumbnail needs
(``Image.draft``), which is what makes a 12-megapixel photograph cost tens of milliseconds instead of hundreds.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Size

QUALITY = 80
CONTENT_TYPE = "image/jpeg"

BYTES_PER_PIXEL = 24
"""The most memory that one pixel of ``pixels`` takes while ``render`` works, whatever the format."""

# Named one by one, because Pillow otherwise imports all its forty-odd plugins to find out what a file is.
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
"""What is tried, by content and never by name."""

# Pillow's own limit warns at one size and raises at twice that. Ours is one number, checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_WHITE = (255, 255, 255)

# EXIF orientation to what makes it upright (JEITA CP-3451, section 4.6.4.A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}


class Thumbnail(NamedTuple):
    """A JPEG made for ``size``: its real width and height, and its bytes."""

    size: Size
    width: int
    height: int
    data: bytes


class Rendered(NamedTuple):
    """What a picture turned out to be, upright, and its thumbnails."""

    content_type: str
    width: int
    height: int
    thumbnails: list[Thumbnail]


def render(data: bytes, sizes: Sequence[Size]) -> Rendered:
    """The thumbnails of a picture: upright, in sRGB, over white, without metadata; its first frame, if it moves.

    Raises ImageTooLargeError over 20 MiB, ImageTooManyPixelsError over 50 megapixels, ImageTypeUnsupportedError for a
    kind that is known and not taken, ImageUnreadableError for everything else that is no whole picture.
    """
    with _opened(data) as image:
        width, height = image.size
        # Many a phone's .jpg is an MPO: a JPEG that more pictures follow.
        content_type = Image.MIME["JPEG" if image.format == "MPO" else image.format or ""]
        profile = image.info.get("icc_profile")
        image.draft(None, _least_needed(image, sizes))
        image.load()
        # Asked only now, as Pillow turns a TIFF upright itself while it loads, and says so by taking this away.
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        opaque = _over_white(image)
        if orientation in _SIDEWAYS:
            width, height = height, width
        thumbnails = [_thumbnail(opaque, size, orientation, profile) for size in sizes]
        return Rendered(content_type, width, height, thumbnails)


def pixels(data: bytes, sizes: Sequence[Size]) -> int:
    """How many pixels ``render`` holds in memory for these sizes, told from the header alone, without decoding.

    Each takes up to BYTES_PER_PIXEL. Raises as ``render`` does, as far as the header tells.
    """
    with _opened(data) as image:
        whole = image.width * image.height
        image.draft(None, _least_needed(image, sizes))
        # Every scan of a progressive JPEG adds to every pixel: all coefficients stay in memory, whatever the scale.
        return whole if "progressive" in image.info else image.width * image.height


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture in ``data``, its header read and found allowed. What goes wrong in it becomes an ImageError."""
    if len(data) > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_IMAGE_PIXELS:
                raise errors.ImageTooManyPixelsError(limit=MAX_IMAGE_PIXELS, width=width, height=height)
            yield image
    except (errors.ImageError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - Pillow's decoders raise nearly every built-in one on damaged files
        _refuse(data)


def _least_needed(image: Image.Image, sizes: Sequence[Size]) -> tuple[int, int]:
    """The smallest scale of the picture that every thumbnail can be made from without enlarging."""
    sides = {"cover": min(image.size), "fit": max(image.size)}
    scale = min(1.0, max(size.pixels / sides[size.fit] for size in sizes))
    return math.ceil(image.width * scale), math.ceil(image.height * scale)


def _over_white(image: Image.Image) -> Image.Image:
    """The decoded picture in a mode that can be resized, without transparency."""
    if image.mode.startswith("I"):
        # 16-bit grey; Pillow's own conversion to 8 bits cuts off instead of scaling.
        return image.convert("I").point([value >> 8 for value in range(0x10000)], "L")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", image.size, _WHITE)
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image.copy() if image.readonly else image
    return image.convert("RGB")


def _thumbnail(image: Image.Image, size: Size, orientation: int, profile: bytes | None) -> Thumbnail:
    # Both boxes are square and centred: turning the small result upright gives the same as turning the large picture.
    small = _upright(_in_srgb(_resized(image, size), profile), orientation)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY)
    return Thumbnail(size, small.width, small.height, out.getvalue())


def _resized(image: Image.Image, size: Size) -> Image.Image:
    width, height = image.size
    if size.fit == "cover":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((size.pixels, size.pixels), Image.Resampling.LANCZOS, box, reducing_gap=2.0)
    scale = min(1.0, size.pixels / max(width, height))
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image.resize(fitted, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            return converted or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # A broken profile, or one for other channels: viewers show such a picture as if it had none.
    return image.convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _refuse(data: bytes) -> NoReturn:
    head = data[:256].lstrip().lower()
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        raise errors.ImageTypeUnsupportedError(kind="HEIC") from None
    if head.startswith(b"%pdf"):
        raise errors.ImageTypeUnsupportedError(kind="PDF") from None
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in data[:1024].lower()):
        raise errors.ImageTypeUnsupportedError(kind="SVG") from None
    raise errors.ImageUnreadableError from None
