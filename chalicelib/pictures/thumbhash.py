"""Describe a picture in about 21 bytes, from which clients draw a blurred placeholder (evanw.github.io/thumbhash)."""

from __future__ import annotations

import base64
import math
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_SIDE = 16
"""The best length of the picture's longer side, in pixels. More take longer, and add no detail to the result."""


def encode(picture: Image.Image) -> str:
    """Return the ThumbHash of a small opaque RGB picture, in base64."""
    width, height = picture.size
    red, green, blue = ([value / 255 for value in band.tobytes()] for band in picture.split())
    light = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = list(map(float.__sub__, red, green))
    across, down = (max(1, _round(7 * side / max(width, height))) for side in (width, height))
    l_mean, l_scale, l_waves = _transform(light, width, max(3, across), max(3, down))
    p_mean, p_scale, p_waves = _transform(yellow_blue, width, 3, 3)
    q_mean, q_scale, q_waves = _transform(red_green, width, 3, 3)
    head = _round(63 * l_mean) | _round(31.5 + 31.5 * p_mean) << 6 | _round(31.5 + 31.5 * q_mean) << 12
    head |= _round(31 * l_scale) << 18
    is_landscape = width > height
    head |= (down if is_landscape else across) << 24 | _round(63 * p_scale) << 27 | _round(63 * q_scale) << 33
    number, bits = head | is_landscape << 39, 40
    for wave in (*l_waves, *p_waves, *q_waves):
        number |= _round(15 * wave) << bits
        bits += 4
    return base64.b64encode(number.to_bytes((bits + 7) // 8, "little")).decode()


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _transform(channel: list[float], width: int, across: int, down: int) -> tuple[float, float, list[float]]:
    """Return the mean of a channel, the largest of the waves in it (by the DCT), and the waves, from 0 to 1."""
    height = len(channel) // width
    rows = [channel[start : start + width] for start in range(0, len(channel), width)]
    # For each wave across, its strength in each row; then the waves down in these.
    strengths = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(across, width)]
    downwards = _waves(down, height)
    found = [
        sum(map(mul, strengths[x], downwards[y])) / len(channel)
        for y in range(down)
        for x in range(across)
        if x * down < across * (down - y)
    ]
    mean, *rest = found
    scale = max(map(abs, rest))
    return mean, scale, [0.5 + 0.5 / scale * value if scale else 0.0 for value in rest]


def _waves(count: int, length: int) -> list[list[float]]:
    return [[math.cos(math.pi / length * wave * (at + 0.5)) for at in range(length)] for wave in range(count)]
