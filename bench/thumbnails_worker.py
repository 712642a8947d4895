"""Have the sandbox make thumbnails, measured in processor time of all threads and of the sandbox's processes."""

from __future__ import annotations

import io
import os
import sys
import time

from PIL import Image

from bench.worker_process import Task, cpu_ms, serve
from chalicelib.config import Size
from chalicelib.pictures import decoding
from chalicelib.pictures.sandbox import Sandbox

COVER, FIT = Size(200, "cover"), Size(800, "fit")

_SANDBOX = Sandbox()


def _render(data: bytes, *sizes: Size) -> None:
    _SANDBOX.render(data, sizes, _SANDBOX.memory_needed(data, sizes))


def _processor_time() -> float:
    """Return the processor time in seconds. Except on Linux, it lacks that of the sandbox's processes."""
    return cpu_ms(os.getpid()) / 1000 if sys.platform == "linux" else time.process_time()


def _decode(data: bytes) -> None:
    """Decode completely: the lower bound for formats that Pillow cannot decode at a reduced scale."""
    with Image.open(io.BytesIO(data), formats=decoding.FORMATS) as image:
        image.load()


TASKS: dict[str, Task] = {
    "cover": lambda data: _render(data, COVER),
    "both": lambda data: _render(data, COVER, FIT),
    "decode": _decode,
}

if __name__ == "__main__":
    serve(TASKS, _processor_time)
