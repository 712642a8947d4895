"""Decode a picture to 8 bits per sample, if Pillow would not scale its samples as the header of the file says."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

from PIL import Image, ImageChops, ImageOps, ImagePalette, TiffImagePlugin

from chalicelib import errors
from chalicelib.pictures import tiff_tags, unsupported_formats

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# Pillow cannot open grey with alpha in 16 bits, nor CMYK with alpha. Have it read them as modes with as many bytes.
for _order in (b"II", b"MM"):
    TiffImagePlugin.OPEN_INFO[_order, 1, (1,), 1, (16, 16), (2,)] = ("RGBA", "RGBA")
    TiffImagePlugin.OPEN_INFO[_order, 5, (1,), 1, (8, 8, 8, 8, 8), (2,)] = ("CMYK", "CMYKX")
# In big-endian files, Pillow does not know grey whose zero is white, and swaps the bytes of signed grey a second time.
TiffImagePlugin.OPEN_INFO[b"MM", 0, (1,), 1, (16,), ()] = ("I;16B", "I;16B")
TiffImagePlugin.OPEN_INFO[b"MM", 1, (2,), 1, (16,), ()] = ("I", "I;16NS")

SIGNED = (2,)
"""The value of the tag SampleFormat for signed samples."""


def load(image: ImageFile, data: bytes) -> Image.Image:
    """Decode a picture from its file ``data``, and return it with samples of 8 bits and with its transparency."""
    if image.format == "PNG":
        return _load_png(image, data)
    if image.format == "TIFF":
        return _load_tiff(image, data)
    image.load()
    return image


def _load_png(image: ImageFile, data: bytes) -> Image.Image:
    """Decode a PNG. Its tRNS chunk has samples as they are stored (third edition, section 11.3.1.1)."""
    _, _, offset, raw_mode = image.tile[0]
    info = image.info.copy()
    clear = info.get("transparency")
    if raw_mode in _STEPS and clear is not None:
        info["transparency"] = clear % (255 // _STEPS[raw_mode] + 1) * _STEPS[raw_mode]  # only its lower bits count
    if image.mode == "P" and data.find(b"tRNS", 0, offset) < data.find(b"PLTE", 0, offset):
        info.pop("transparency", None)
    image.load()
    image.info = info  # without chunks that follow the pixels, which browsers ignore
    if image.mode.startswith("I;16"):
        return _grey(image, 16, clear)
    if raw_mode == "RGB;16B" and clear:
        image.putalpha(_differing(image, data, clear))
    return image


_STEPS = {"L;2": 0x55, "L;4": 0x11}
"""The difference in 8 bits that one step of a sample makes, by Pillow's name of the layout of the samples."""


def _differing(image: Image.Image, data: bytes, clear: tuple[int, ...]) -> Image.Image:
    """Return a mask of the pixels of a 16-bit PNG that differ from one colour, also in the lower bytes."""
    lower = Image.open(io.BytesIO(data), formats=["PNG"])
    lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
    mask = Image.new("L", image.size)
    for band, sample in zip((*image.split(), *lower.split()), (*(v >> 8 for v in clear), *clear), strict=True):
        mask = ImageChops.lighter(mask, band.point([255 * (value != sample & 255) for value in range(256)]))
    return mask


def _load_tiff(image: ImageFile, data: bytes) -> Image.Image:
    """Decode a TIFF (TIFF 6.0), according to the depth and format of its samples."""
    tags = tiff_tags.read(data)
    bits, zero_is_white = tags.get(tiff_tags.BITS, (1,)), tags.get(tiff_tags.PHOTOMETRIC) == (0,)
    low_byte_first = data.startswith(b"II") or image.tile[0].codec_name == "libtiff"
    every_tag: Any = getattr(image, "tag_v2", {})
    if image.mode == "P" and max(colours := every_tag[TiffImagePlugin.COLORMAP]) < 256:
        # Colours have 16 bits, but some writers store 8.
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))
    alpha = _cmyk_alpha(every_tag, data) if image.mode == "CMYK" and tags.get(tiff_tags.EXTRA_SAMPLES) == (2,) else None
    image.load()
    if tags.get(tiff_tags.SAMPLE_FORMAT) == SIGNED:
        grey = _stretched(image)
    elif image.mode.startswith("I;16"):
        grey = _grey(image, bits[0])
    elif bits == (16, 16):
        bands = image.split()
        return Image.merge("LA", bands[1::2] if low_byte_first else bands[0::2])
    elif alpha:
        # White has no ink.
        return Image.merge("CMYK", [ImageChops.multiply(band, alpha) for band in image.split()])
    else:
        return image
    return ImageOps.invert(grey) if zero_is_white else grey


def _grey(image: Image.Image, bits: int, clear: int | None = None) -> Image.Image:
    """Return grey of more than 8 bits scaled to 8, because Pillow's own conversion clips it.

    ``clear`` is the value of transparent pixels.
    """
    values = image.convert("I")
    grey = values.point([min(255, value >> bits - 8) for value in range(0x10000)], "L")
    if clear is None:
        return grey
    return Image.merge("LA", (grey, values.point([255 * (value != clear) for value in range(0x10000)], "L")))


def _stretched(image: Image.Image) -> Image.Image:
    """Return signed grey with its lowest value black and its highest white, because the file names neither."""
    values = image.point([value ^ 128 for value in range(256)]).convert("I") if image.mode == "L" else image
    low, high = cast("tuple[int, int]", values.getextrema())
    scale = 255 / max(1, high - low)
    return values.point(lambda value: value * scale + -low * scale).convert("L")


def _cmyk_alpha(tags: Any, data: bytes) -> Image.Image:
    """Return the fifth sample of each pixel, upright. Raise ImageVariantUnsupportedError if they are compressed."""
    if tags.get(tiff_tags.COMPRESSION) != 1 or _STRIPS not in tags:
        raise errors.ImageVariantUnsupportedError(variant=unsupported_formats.tiff_variant(tiff_tags.read(data)))
    strips = b"".join(data[at : at + size] for at, size in zip(tags[_STRIPS], tags[_STRIP_SIZES], strict=True))
    alpha = Image.frombytes("L", (tags[tiff_tags.WIDTH], tags[tiff_tags.HEIGHT]), strips[4::5])
    alpha.getexif()[tiff_tags.ORIENTATION] = tags.get(tiff_tags.ORIENTATION, 1)
    return ImageOps.exif_transpose(alpha)


_STRIPS, _STRIP_SIZES = 273, 279
