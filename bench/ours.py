"""Our side: thumbnails made by :mod:`chalicelib.pictures.thumbnails`. Told in processor time of all its threads."""

from __future__ import annotations

import io
import time

from PIL import Image

from bench.worker import Task, serve
from chalicelib.config import Size
from chalicelib.pictures import decoding, thumbnails

COVER, FIT = Size(200, "cover"), Size(800, "fit")


def _decode(data: bytes) -> None:
    """What Pillow's full decode costs: the least for a format that it cannot decode at a reduced scale."""
    with Image.open(io.BytesIO(data), formats=decoding.FORMATS) as image:
        image.load()


TASKS: dict[str, Task] = {
    "nothing": lambda _: None,
    "cover": lambda data: thumbnails.render(data, [COVER]),
    "both": lambda data: thumbnails.render(data, [COVER, FIT]),
    "decode": _decode,
}

if __name__ == "__main__":
    serve(TASKS, time.process_time)
