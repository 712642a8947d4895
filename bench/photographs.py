"""Generate photographs to measure with, from a seed, so that they are the same on every machine.

The time to decode a file depends on how much detail it contains. These pictures resemble what a camera records:
contrast at every scale, weaker at finer ones; shapes with soft edges; grain, stronger in brightness than in colour. A
JPEG of quality 90 takes 2.3 bits per pixel, like a photograph taken with a phone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import ExifTags, Image, ImageChops, ImageDraw

from tests.builders import rgb_profile

FOLDER = Path(__file__).parents[1] / ".local" / "bench"
"""The folder where the files are kept."""


class Picture(NamedTuple):
    """A photograph: its size, its format, and Pillow's options to write it."""

    name: str
    width: int
    height: int
    kind: str
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed

    @property
    def path(self) -> Path:
        """Return the path of the file, which depends on this module's text."""
        digest = hashlib.sha256(repr(self).encode() + Path(__file__).read_bytes()).hexdigest()
        return FOLDER / f"{digest[:12]}.{self.kind.lower()}"


# DCI-P3 primaries under D50 (ICC, "Display P3"), the profile of the photographs of most phones.
_DISPLAY_P3 = rgb_profile((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407), 2.2)

_ROTATED = Image.Exif()
_ROTATED[ExifTags.Base.Orientation] = 6

_JPEG = {"quality": 90}
_PROGRESSIVE = {"quality": 90, "progressive": True}

PICTURES = (
    Picture("2 MP JPEG", 1632, 1224, "JPEG", _JPEG),
    Picture("2 MP JPEG, progressive", 1632, 1224, "JPEG", _PROGRESSIVE),
    Picture("12 MP JPEG", 4000, 3000, "JPEG", _JPEG),
    Picture("12 MP JPEG, progressive", 4000, 3000, "JPEG", _PROGRESSIVE),
    Picture(
        "12 MP JPEG, as a telephone's",
        4000,
        3000,
        "JPEG",
        _JPEG | {"exif": _ROTATED.tobytes(), "icc_profile": _DISPLAY_P3},
    ),
    Picture("24 MP JPEG", 6000, 4000, "JPEG", _JPEG),
    Picture("24 MP JPEG, progressive", 6000, 4000, "JPEG", _PROGRESSIVE),
    Picture("3 MP PNG", 2048, 1536, "PNG"),
    Picture("12 MP WebP", 4000, 3000, "WEBP", {"quality": 80}),
    Picture("12 MP AVIF", 4000, 3000, "AVIF", {"quality": 60, "speed": 9}),
)


def create(pictures: Sequence[Picture]) -> None:
    """Write the files that do not exist yet."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        if picture.path.exists():
            continue
        # Renamed when complete, so that a file of an interrupted run is not used later.
        unfinished = picture.path.with_suffix(".part")
        photograph(picture.width, picture.height).save(unfinished, picture.kind, **picture.options)
        unfinished.rename(picture.path)


_SMALLEST = 6
_SHAPES = 24
"""The number of shapes that are drawn at each scale."""


def photograph(width: int, height: int, seed: int = 4) -> Image.Image:
    """Return a picture of this size. The same seed gives the same picture."""
    rng = random.Random(seed)
    sizes = _sizes(width, height)
    picture = Image.new("RGB", sizes[0], (118, 124, 128))
    for finer, size in zip(reversed(range(len(sizes))), sizes, strict=True):
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        # Not at the two finest scales: enlarging afterwards softens the edges.
        if finer >= 2:
            _draw_shapes(picture, rng, reach=0.01 * 1.6**finer)
        picture = _with_grain(picture, rng, brightness=min(11 + 7 * finer, 56), colour=min(4 * finer, 20))
    return picture


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return sizes from a few pixels to the full size, each twice as wide as the one before."""
    sizes = [(width, height)]
    while min(sizes[0]) > _SMALLEST:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


def _with_grain(picture: Image.Image, rng: random.Random, brightness: int, colour: int) -> Image.Image:
    grain = _noise(picture.size, rng, brightness)
    picture = ImageChops.add(picture, Image.merge("RGB", (grain, grain, grain)), offset=-brightness // 2)
    if not colour:
        return picture
    tint = Image.merge("RGB", [_noise(picture.size, rng, colour) for _ in range(3)])
    return ImageChops.add(picture, tint, offset=-colour // 2)


def _noise(size: tuple[int, int], rng: random.Random, amplitude: int) -> Image.Image:
    noise = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
    return noise.point([value * amplitude // 255 for value in range(256)])


def _draw_shapes(picture: Image.Image, rng: random.Random, reach: float) -> None:
    """Draw ellipses and polygons that extend up to ``reach`` of the picture's width in each direction."""
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(_SHAPES):
        x, y, r = rng.random() * width, rng.random() * height, min(reach, 0.2) * rng.uniform(0.2, 1.0) * width
        grey = rng.randrange(50, 206)
        colour = tuple(grey + rng.randrange(-40, 41) for _ in range(3))
        if rng.random() < 0.5:
            draw.ellipse((x - r, y - r / 2, x + r, y + r / 2), fill=colour)
        else:
            draw.polygon([(x + rng.uniform(-r, r), y + rng.uniform(-r, r)) for _ in range(5)], fill=colour)
