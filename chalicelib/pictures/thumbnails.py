"""Thumbnails of a picture: all sizes from one decode, as JPEG or WebP. No AWS, no HTTP.

A JPEG is decoded at the smallest scale that its largest thumbnail needs, which takes tens instead of hundreds of
milliseconds for 12 megapixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Literal, cast

from PIL import Image, ImageCms

from chalicelib import errors
from chalicelib.config import MAX_DECODING_BYTES, ContentType, Size
from chalicelib.pictures import decoding, thumbhash
from chalicelib.pictures.decoding import Picture
from chalicelib.pictures.protocol import Rendered, Thumbnail

# A higher method of WebP takes more than twice the time for 5 % fewer bytes.
_OPTIONS: dict[str, dict[str, int]] = {"jpeg": {"quality": 80}, "webp": {"quality": 80, "method": 2}}

DEFAULT_BYTES_PER_PIXEL = 16
BYTES_PER_PIXEL = {"JPEG": 12, "WEBP": 24, "AVIF": 24}
"""The most memory that :func:`render` needs for each decoded pixel, by format.

Measured: 22 for WebP with alpha, 17 for AVIF of 8 bits with alpha, 12 for others. libwebp and libavif keep copies.
"""

OVERHEAD = 16 * 1024 * 1024
"""The memory that :func:`render` needs besides the pixels and copies of the file."""

_WHITE = (255, 255, 255)

# The operation that turns a picture upright, by its EXIF orientation (JEITA CP-3451, section 4.6.4.A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = {5, 6, 7, 8}


def render(data: bytes, sizes: Sequence[Size]) -> Rendered:
    """Return the thumbnails of a picture: upright, in sRGB, on white, without metadata, of its first frame.

    A picture whose file is cut off has the warning TRUNCATED. Raise the ImageError that says why there are none.
    """
    with decoding.rejecting(data):
        image = decoding.open_picture(data)
        width, height = image.size
        picture = decoding.decode(image, data, _smallest_scale(image, sizes))
        if picture.orientation in _SWAPS_SIDES:
            width, height = height, width
        content_type = cast("ContentType", Image.MIME[image.format or ""])
        warnings: list[Literal["TRUNCATED"]] = ["TRUNCATED"] if picture.truncated else []
        return Rendered(content_type, width, height, *_thumbnails(picture, sizes), warnings)


def memory_needed(data: bytes, sizes: Sequence[Size]) -> int:
    """Return how many bytes of memory :func:`render` needs, from the header of the picture.

    Raise ImageTooManyPixelsError if they are more than MAX_DECODING_BYTES, or another ImageError.
    """
    with decoding.rejecting(data):
        if size := decoding.webp_size(data):
            return _checked_memory("WEBP", *size, BYTES_PER_PIXEL["WEBP"], data)
        image = decoding.open_picture(data)
        kind, width, height = image.format or "", image.width, image.height
        each = float(BYTES_PER_PIXEL.get(kind, DEFAULT_BYTES_PER_PIXEL))
        if kind == "JPEG":
            image.draft(None, _smallest_scale(image, sizes))
            # If a JPEG has several scans, libjpeg keeps all coefficients, of 2 bytes each (jdcoefct.c).
            each = each * image.width * image.height / (width * height) + 2 * len(image.getbands()) + 1
        return _checked_memory(kind, width, height, each, data)


def _checked_memory(kind: str, width: int, height: int, bytes_per_pixel: float, data: bytes) -> int:
    """Return the bytes of memory for a picture. Raise ImageTooManyPixelsError if they are too many."""
    needed = math.ceil(width * height * bytes_per_pixel)
    if needed > MAX_DECODING_BYTES:
        limit = int(MAX_DECODING_BYTES / bytes_per_pixel)
        raise errors.ImageTooManyPixelsError(kind=kind, limit=limit, width=width, height=height)
    return needed + 4 * len(data) + OVERHEAD


def _smallest_scale(image: Image.Image, sizes: Sequence[Size]) -> tuple[int, int]:
    """Return the width and height to decode at, so that no thumbnail has to be enlarged."""
    scale = min(1.0, max(_scale(image, size) for size in sizes))
    return math.ceil(image.width * scale), math.ceil(image.height * scale)


def _thumbnails(picture: Picture, sizes: Sequence[Size]) -> tuple[list[Thumbnail], str]:
    """Return a thumbnail for each size, and the ThumbHash.

    A larger thumbnail is the source of each one at most half its size. That is faster than to resize the
    whole picture each time. The results look the same.
    """
    made: dict[Size, Thumbnail] = {}
    larger = picture
    for size in sorted(sizes, key=lambda size: _scale(picture, size), reverse=True):
        source = larger if _scale(larger, size) <= 0.5 else picture
        resized = _resize(source, size)
        made[size] = _thumbnail(size, picture._replace(image=resized))
        if size.fit == "fit":  # "cover" crops, so it cannot be the source of another thumbnail
            larger = picture._replace(image=resized, width=resized.width, height=resized.height)
    return [made[size] for size in sizes], thumbhash.encode(_finished(_tiny(larger)))


def _tiny(picture: Picture) -> Picture:
    """Return the picture at the size of its ThumbHash.

    If it is large, only some of its pixels count: the average of 12 million takes 10 ms, and looks the same.
    """
    scale = min(1.0, _scale(picture, Size(32 * thumbhash.MAX_SIDE, "fit")))
    width, height = (max(1, round(side * scale)) for side in picture.image.size)
    sample = picture._replace(
        image=picture.image.resize((width, height), Image.Resampling.NEAREST), width=width, height=height
    )
    return sample._replace(image=_resize(sample, Size(thumbhash.MAX_SIDE, "fit")))


def _scale(picture: Picture | Image.Image, size: Size) -> float:
    """Return the scale of a thumbnail: its length divided by that of the picture. Over 1 it would be enlarged."""
    sides = (picture.width, picture.height)
    return size.pixels / (min(sides) if size.fit == "cover" else max(sides))


def _resize(picture: Picture, size: Size) -> Image.Image:
    width, height = picture.width, picture.height
    if size.fit == "cover":
        side = min(width, height)
        left, top = (
            min(max(0.0, at * length - side / 2), length - side)
            for at, length in zip(_stored(size.focus, picture.orientation), (width, height), strict=True)
        )
        target, box = (size.pixels, size.pixels), (left, top, left + side, top + side)
    else:
        scale = min(1.0, _scale(picture, size))
        target, box = (max(1, round(width * scale)), max(1, round(height * scale))), (0, 0, width, height)
    return picture.image.resize(target, Image.Resampling.LANCZOS, box, reducing_gap=2.0)


def _stored(point: tuple[float, float], orientation: int) -> tuple[float, float]:
    """Return where a point of the upright picture is in the stored one, from 0 to 1."""
    x, y = point
    return {
        2: (1 - x, y), 3: (1 - x, 1 - y), 4: (x, 1 - y), 5: (y, x), 6: (y, 1 - x), 7: (1 - y, 1 - x), 8: (1 - y, x)
    }.get(orientation, point)  # fmt: skip


def _thumbnail(size: Size, resized: Picture) -> Thumbnail:
    image = _finished(resized)
    image.info.clear()
    out = io.BytesIO()
    image.save(out, size.format, **_OPTIONS[size.format])
    return Thumbnail(size, image.width, image.height, out.getvalue())


def _finished(resized: Picture) -> Image.Image:
    """Return a picture in sRGB on white, and upright."""
    image = _flatten(resized.image, resized.to_srgb)
    # Turn the thumbnail, not the picture: that costs less, and the result is the same.
    return image.transpose(_UPRIGHT[resized.orientation]) if resized.orientation in _UPRIGHT else image


def _flatten(image: Image.Image, to_srgb: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """Return the picture in sRGB on white. Colours are converted before they are blended, as browsers do."""
    alpha = None
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    flat = to_srgb.apply(image.convert(to_srgb.input_mode)) if to_srgb else image.convert("RGB")
    if alpha:
        white = Image.new("RGB", image.size, _WHITE)
        white.paste(flat, mask=alpha)
        return white
    return flat
