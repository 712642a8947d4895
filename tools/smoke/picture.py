"""The picture that is uploaded: four areas in different colours, to recognize it in the thumbnail."""

from __future__ import annotations

import io

from PIL import Image

from tools.smoke.http_client import StepError, check

SIZE = (400, 300)
CONTENT_TYPE = "image/png"

_COLOURS = {(1, 1): (220, 30, 30), (3, 1): (30, 200, 60), (1, 3): (30, 60, 220), (3, 3): (230, 220, 40)}
"""The colour of each area by its centre, in quarters of the width and of the height."""
_TOLERANCE = 40  # of 255: how much JPEG may change a colour


def png() -> bytes:
    """Return the picture as PNG."""
    picture = Image.new("RGB", SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for (x, y), colour in _COLOURS.items():
        left, top = x // 2 * width, y // 2 * height
        picture.paste(colour, (left, top, left + width, top + height))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def check_thumbnail(thumbnail: bytes, size: tuple[int, int], content_type: str) -> None:
    """Raise StepError unless ``thumbnail`` is of that size and type and shows the picture."""
    try:
        with Image.open(io.BytesIO(thumbnail)) as file:
            found_type, image = file.get_format_mimetype(), file.convert("RGB")
    except OSError:
        raise StepError("the thumbnail cannot be read") from None
    check(found_type == content_type, f"the thumbnail is {found_type} instead of {content_type}")
    check(image.size == size, f"the thumbnail measures {image.width} × {image.height} instead of {size[0]} × {size[1]}")
    for (x, y), colour in _COLOURS.items():
        found = image.getpixel((image.width * x // 4, image.height * y // 4))
        similar = isinstance(found, tuple) and all(abs(a - b) <= _TOLERANCE for a, b in zip(found, colour, strict=True))
        check(similar, f"the thumbnail shows the colour {found} instead of {colour}")
