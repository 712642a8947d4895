"""ThumbHashes equal those of the reference implementation, thumbhash 0.1.1 in JavaScript."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

from chalicelib.pictures import thumbhash
from tests.builders import quarters


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), "HAkGbxpxeoawaIiIiKh2eIiGCLd9j9gI"),
        ((32, 24), "HAkGbZpxeoawaIiIeKiGiHDb+Ih9"),
        ((24, 32), "HAkGbRpxerBoiIindodoeHDb+Ih9"),
        ((32, 11), "XAkGWpxyeYawaJh3cOv3iH0="),
    ],
)
def test_quarters(size: tuple[int, int], expected: str) -> None:
    assert_alike(thumbhash.encode(reference_quarters(*size)), expected)


@pytest.mark.parametrize(
    ("size", "expected"), [((32, 20), "FygOHJZgdnhxiHiGeIb2mQ/ndw=="), ((9, 32), "UVgJKhKCkFiHiYVpjzpU98g=")]
)
def test_pattern(size: tuple[int, int], expected: str) -> None:
    picture = Image.new("RGB", size)
    picture.putdata([(x * 7 % 256, y * 9 % 256, x * y % 256) for y in range(size[1]) for x in range(size[0])])

    assert_alike(thumbhash.encode(picture), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 32), (32, 1), (32, 24)])
def test_picture_of_any_size_is_described(size: tuple[int, int]) -> None:
    assert 14 <= len(base64.b64decode(thumbhash.encode(quarters(*size)))) <= 25


def test_uniform_colour() -> None:
    grey = base64.b64decode(thumbhash.encode(Image.new("RGB", (32, 32), (128, 128, 128))))

    assert int.from_bytes(grey[:3], "little") & 63 == 32
    assert int.from_bytes(grey[:3], "little") >> 18 == 0  # no light and dark


def assert_alike(found: str, expected: str) -> None:
    """Compare two hashes. A wave that is not in the picture is 7 or 8 of 15, by the rounding of floats."""
    one, other = base64.b64decode(found), base64.b64decode(expected)
    assert one[:5] == other[:5]
    assert len(one) == len(other)
    waves = [[nibble for byte in text[5:] for nibble in (byte & 15, byte >> 4)] for text in (one, other)]
    assert all(a == b or {a, b} == {7, 8} for a, b in zip(*waves, strict=True))


def reference_quarters(width: int, height: int) -> Image.Image:
    """Return four quarters; a pixel in the middle is in the left or upper one, as in the reference's input."""
    colours = {(0, 0): (220, 30, 30), (1, 0): (30, 200, 60), (0, 1): (30, 60, 220), (1, 1): (230, 220, 40)}
    picture = Image.new("RGB", (width, height))
    picture.putdata([colours[x >= width / 2, y >= height / 2] for y in range(height) for x in range(width)])
    return picture
