"""Files to upload, made here so that none has to be kept."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter


def photograph(width: int = 1600, height: int = 1200) -> bytes:
    """A JPEG with the look of a photograph: soft shapes and some grain."""
    soft = (
        Image.effect_noise((width // 8, height // 8), 120).resize((width, height)).filter(ImageFilter.GaussianBlur(4))
    )
    picture = Image.merge("RGB", (soft, soft.transpose(Image.Transpose.FLIP_LEFT_RIGHT), soft.point(lambda v: 255 - v)))
    return saved(picture, "JPEG")


def drawing(width: int = 640, height: int = 480) -> bytes:
    """A PNG with a transparent half."""
    picture = Image.new("RGBA", (width, height), (0, 90, 160, 255))
    picture.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    return saved(picture, "PNG")


def saved(picture: Image.Image, kind: str) -> bytes:
    """The bytes of a picture's file."""
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()
