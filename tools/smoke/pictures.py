"""The picture that is uploaded: red and green above blue and yellow, so that a thumbnail shows what it was made of."""

from __future__ import annotations

import io

from PIL import Image

from tools.smoke.calls import BrokenError, check

SIZE = (400, 300)
CONTENT_TYPE = "image/png"

_COLOURS = {(1, 1): (220, 30, 30), (3, 1): (30, 200, 60), (1, 3): (30, 60, 220), (3, 3): (230, 220, 40)}
"""By the middle of each quarter, in fourths of the width and of the height."""
_TOLERANCE = 40  # of 255, by which JPEG may miss the middle of a plain area


def drawn() -> bytes:
    """The picture, as PNG."""
    picture = Image.new("RGB", SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for (x, y), colour in _COLOURS.items():
        left, top = x // 2 * width, y // 2 * height
        picture.paste(colour, (left, top, left + width, top + height))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def look_at(thumbnail: bytes, size: tuple[int, int]) -> None:
    """Raises BrokenError unless ``thumbnail`` is a JPEG of that size that shows the picture."""
    try:
        with Image.open(io.BytesIO(thumbnail)) as file:
            kind, seen = file.format, file.convert("RGB")
    except OSError:
        raise BrokenError("the thumbnail cannot be read") from None
    check(kind == "JPEG", f"the thumbnail is a {kind} instead of a JPEG")
    check(seen.size == size, f"the thumbnail measures {seen.width} × {seen.height} instead of {size[0]} × {size[1]}")
    for (x, y), colour in _COLOURS.items():
        found = seen.getpixel((seen.width * x // 4, seen.height * y // 4))
        alike = isinstance(found, tuple) and all(abs(a - b) <= _TOLERANCE for a, b in zip(found, colour, strict=True))
        check(alike, f"the thumbnail shows the colour {found} where {colour} was uploaded")
