"""Generate image files to upload, so that none is stored in the repository."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter


def photograph(width: int = 1600, height: int = 1200) -> bytes:
    """Return a JPEG of blurred noise, which compresses like a photograph; sizes in pixels."""
    soft = (
        Image.effect_noise((width // 8, height // 8), 120).resize((width, height)).filter(ImageFilter.GaussianBlur(4))
    )
    picture = Image.merge("RGB", (soft, soft.transpose(Image.Transpose.FLIP_LEFT_RIGHT), soft.point(lambda v: 255 - v)))
    return saved(picture, "JPEG")


def drawing(width: int = 640, height: int = 480) -> bytes:
    """Return a PNG whose left half is transparent; sizes in pixels."""
    picture = Image.new("RGBA", (width, height), (0, 90, 160, 255))
    picture.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    return saved(picture, "PNG")


def saved(picture: Image.Image, kind: str) -> bytes:
    """Return the picture encoded in the Pillow format ``kind``."""
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()
