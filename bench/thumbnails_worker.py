"""Render thumbnails with chalicelib.pictures.thumbnails, measured in processor time of all threads."""

from __future__ import annotations

import io
import time

from PIL import Image

from bench.worker_process import Task, serve
from chalicelib.config import Size
from chalicelib.pictures import decoding, thumbnails

COVER, FIT = Size(200, "cover"), Size(800, "fit")


def _decode(data: bytes) -> None:
    """Decode completely: the lower bound for formats that Pillow cannot decode at a reduced scale."""
    with Image.open(io.BytesIO(data), formats=decoding.FORMATS) as image:
        image.load()


TASKS: dict[str, Task] = {
    "cover": lambda data: thumbnails.render(data, [COVER]),
    "both": lambda data: thumbnails.render(data, [COVER, FIT]),
    "decode": _decode,
}

if __name__ == "__main__":
    serve(TASKS, time.process_time)
