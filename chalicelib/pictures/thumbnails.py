"""Bytes in, thumbnails out: Pillow, and nothing else.

All sizes come from one decode. A JPEG is decoded at the reduced scale that its largest thumbnail needs
(``Image.draft``), which is what makes a 12-megapixel photograph cost tens of milliseconds instead of hundreds.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Size
from chalicelib.pictures import first_frame
from chalicelib.pictures.first_frame import Still

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

QUALITY = 80
CONTENT_TYPE = "image/jpeg"

BYTES_PER_PIXEL = 26
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
# Of a PNG's compressed chunks, only its profile comes as far as Pillow.
PngImagePlugin.MAX_TEXT_CHUNK = first_frame.MAX_PROFILE
# Where a TIFF's strips and tiles lie is read by libtiff, which takes no more of them than the picture has.
TiffImagePlugin.READ_LIBTIFF = True

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
# A picture's channels and its profile's (ICC.1, section 7.2.6), to the mode that both fit.
_INPUTS = {("R", b"RGB "): "RGB", ("L", b"RGB "): "RGB", ("L", b"GRAY"): "L", ("C", b"CMYK"): "CMYK"}
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


class Picture(NamedTuple):
    """A picture, ready to be resized.

    ``width`` and ``height`` are of what shows: where a JPEG is decoded at a scale, its last column and row may be
    filled in part only.
    """

    image: Image.Image
    width: float
    height: float
    orientation: int
    colours: ImageCms.ImageCmsTransform | None


def render(data: bytes, sizes: Sequence[Size]) -> Rendered:
    """The thumbnails of a picture: upright, in sRGB, over white, without metadata; its first frame, if it moves.

    Raises ImageTooLargeError over 20 MiB, ImageTooManyPixelsError over 50 megapixels, ImageTypeUnsupportedError for a
    kind that is known and not taken, ImageUnreadableError for everything else that is no whole picture.
    """
    with _refusing(data):
        image, still = _opened(data)
        width, height = image.size
        picture = _decoded(image, sizes)
        if picture.orientation in _SIDEWAYS:
            width, height = height, width
        return Rendered(Image.MIME[still.kind], width, height, _thumbnails(picture, sizes))


def pixels(data: bytes, sizes: Sequence[Size]) -> int:
    """How many pixels ``render`` holds in memory for these sizes, told from the header alone, without decoding.

    Each takes up to BYTES_PER_PIXEL. Raises as ``render`` does, as far as the header tells.
    """
    with _refusing(data):
        image, still = _opened(data)
        if not still.buffered:
            image.draft(None, _least_needed(image, sizes))
        return max(width * height for width, height in (image.size, *still.frames))


@contextlib.contextmanager
def _refusing(data: bytes) -> Iterator[None]:
    """Whatever goes wrong with ``data`` comes out as an ImageError."""
    if len(data) > MAX_IMAGE_BYTES:
        raise errors.ImageTooLargeError(limit=MAX_IMAGE_BYTES, size=len(data))
    try:
        yield
    except (errors.ImageError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - Pillow's decoders raise nearly every built-in one on damaged files
        _refuse(data)


def _opened(data: bytes) -> tuple[ImageFile, Still]:
    """The picture in ``data``, its header read and found allowed."""
    still = first_frame.still(data)
    if still is None:
        _refuse(data)
    _allow(still.frames)
    image = Image.open(io.BytesIO(still.data), formats=[still.kind])
    _allow([image.size])
    if image.tile and image.tile[0].codec_name == "bmp_rle":
        # Decoded in Python, a byte at a time, where four bytes can ask for gigabytes.
        raise errors.ImageTypeUnsupportedError(kind="Run-length encoded BMP")
    if image.mode in ("I", "F"):
        # Measurements: what is black in them, and what is white, is not said.
        raise errors.ImageTypeUnsupportedError(kind="32-bit grey")
    return image, still


def _allow(frames: Sequence[tuple[int, int]]) -> None:
    for width, height in frames:
        if width * height > MAX_IMAGE_PIXELS:
            raise errors.ImageTooManyPixelsError(limit=MAX_IMAGE_PIXELS, width=width, height=height)
    # Colours, alpha, and what is there besides for other screens; not one frame after the other that nobody sees.
    if sum(width * height for width, height in frames) > 4 * MAX_IMAGE_PIXELS:
        raise ValueError("More is decoded than is shown.")


def _least_needed(image: Image.Image, sizes: Sequence[Size]) -> tuple[int, int]:
    """The smallest scale of the picture that every thumbnail can be made from without enlarging."""
    scale = min(1.0, max(_scale(image, size) for size in sizes))
    return math.ceil(image.width * scale), math.ceil(image.height * scale)


def _decoded(image: ImageFile, sizes: Sequence[Size]) -> Picture:
    """The picture at the smallest scale that will do, and all that has to be known of it afterwards."""
    width: float = image.width
    height: float = image.height
    if drafted := image.draft(None, _least_needed(image, sizes)):
        _, _, width, height = drafted[1]
        # The whole file at once: in Pillow's blocks of 64 KiB, libjpeg leaves its fast path at the end of each.
        image.decodermaxblock = MAX_IMAGE_BYTES
    extents = image.tile[0].extents if image.tile else None
    image.load()
    picture = _eight_bits(image) if image.mode.startswith("I;16") else image
    if image.format in ("GIF", "PNG") and extents and extents != (0, 0, *image.size):
        # What the first frame of an animation does not reach is transparent.
        picture = Image.new("RGBA", image.size)
        picture.paste(image.crop(extents).convert("RGBA"), extents)
    picture = _resizable(picture)
    # Asked only now, as Pillow turns a TIFF upright itself while it loads, and says so by taking this away.
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return Picture(picture, width, height, orientation, _colours(image.info.get("icc_profile"), picture.mode))


def _resizable(picture: Image.Image) -> Image.Image:
    """In a mode that can be resized: without a palette, alpha multiplied in."""
    if picture.mode in ("LA", "RGBA"):
        return picture.convert(picture.mode[:-1] + "a")
    if picture.has_transparency_data:
        return picture.convert("RGBA").convert("RGBa")
    if picture.mode in ("L", "RGB", "CMYK"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _eight_bits(image: ImageFile) -> Image.Image:
    """Grey of 16 bits, brought to 8: Pillow's own conversion cuts off instead of scaling."""
    values = image.convert("I")
    grey = values.point([value >> 8 for value in range(0x10000)], "L")
    if (clear := image.info.get("transparency")) is not None:
        alpha = values.point([255 * (value != clear) for value in range(0x10000)], "L")
        return Image.merge("LA", (grey, alpha))
    nothing_is_white = getattr(image, "tag_v2", {}).get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    return ImageOps.invert(grey) if nothing_is_white else grey


# To make the tables takes as long as a thumbnail, and most pictures come from a few kinds of telephones.
@functools.lru_cache(maxsize=4)
def _colours(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings the colours of a profile to sRGB, or None where viewers show a picture as if it had no profile."""
    if not profile:
        return None
    try:
        known = _INPUTS.get((mode[0], profile[16:20]))
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, _SRGB, known, "RGB") if known else None
    except (ImageCms.PyCMSError, OSError):
        return None


def _thumbnails(picture: Picture, sizes: Sequence[Size]) -> list[Thumbnail]:
    """The largest is made first, and smaller ones of it, where it has twice enough.

    That costs less than to begin with the whole picture each time, and looks no worse: it goes through the same filter
    twice, instead of once after the averaging that ``reducing_gap`` stands for.
    """
    made: dict[Size, Thumbnail] = {}
    larger = picture
    for size in sorted(sizes, key=lambda size: _scale(picture, size), reverse=True):
        source = larger if _scale(larger, size) <= 0.5 else picture
        small = _resized(source, size)
        made[size] = _thumbnail(size, picture._replace(image=small))
        if size.fit == "fit":  # what covers a square does not show all of the picture
            larger = picture._replace(image=small, width=small.width, height=small.height)
    return [made[size] for size in sizes]


def _scale(picture: Picture | Image.Image, size: Size) -> float:
    """How many pixels of a thumbnail come of one of the picture, in each direction; over 1 it is enlarged."""
    sides = (picture.width, picture.height)
    return size.pixels / (min(sides) if size.fit == "cover" else max(sides))


def _resized(picture: Picture, size: Size) -> Image.Image:
    width, height = picture.width, picture.height
    if size.fit == "cover":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        target, box = (size.pixels, size.pixels), (left, top, left + side, top + side)
    else:
        scale = min(1.0, _scale(picture, size))
        target, box = (max(1, round(width * scale)), max(1, round(height * scale))), (0, 0, width, height)
    return picture.image.resize(target, Image.Resampling.LANCZOS, box, reducing_gap=2.0)


def _thumbnail(size: Size, small: Picture) -> Thumbnail:
    # Both boxes are square and centred: turning the small result upright gives the same as turning the large picture.
    shown = _over_white(small.image, small.colours)
    if small.orientation in _UPRIGHT:
        shown = shown.transpose(_UPRIGHT[small.orientation])
    shown.info.clear()
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=QUALITY)
    return Thumbnail(size, shown.width, shown.height, out.getvalue())


def _over_white(small: Image.Image, colours: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """In sRGB first and over white then, as viewers do it."""
    alpha = None
    if small.mode in ("La", "RGBa"):
        small = small.convert(small.mode.upper())
        alpha = small.getchannel("A")
        small = small.convert(small.mode[:-1])
    shown = colours.apply(small.convert(colours.input_mode)) if colours else small.convert("RGB")
    if alpha:
        white = Image.new("RGB", small.size, _WHITE)
        white.paste(shown, mask=alpha)
        return white
    return shown


def _refuse(data: bytes) -> NoReturn:
    for kind, head in _NOT_TAKEN.items():
        if re.match(head, data[:2048], re.DOTALL | re.IGNORECASE):
            raise errors.ImageTypeUnsupportedError(kind=kind, hint=_HINTS.get(kind, "")) from None
    raise errors.ImageUnreadableError from None


_NOT_TAKEN = {
    # Brands (ISO/IEC 23008-12, annex B). The last two are for any codec: AVIF is told by those it is compatible with.
    "HEIC": rb"....ftyp(hei[cmsx]|hev[cmsx]|(mif1|msf1)(?!.{0,80}avi[fs]))",
    "PDF": rb"\s*%pdf",
    "SVG": rb"(\xef\xbb\xbf)?\s*<(svg|[?!].{0,1000}<svg)",
}
"""Pictures that people have and that are not decoded here, by how their files begin."""

_HINTS = {"HEIC": "; on an iPhone: Settings, Camera, Formats, Most Compatible"}
