"""Pictures whose bytes state their kind, and a fast renderer that records what it rendered.

Only decoding is replaced; ``catalogue/thumbnail_jobs.py`` runs unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib import errors
from chalicelib.config import CENTRE, Size
from chalicelib.pictures.protocol import Rendered, Thumbnail
from tests.simulation.timeline import Timeline

KINDS = ("good", "good", "good", "good", "bad", "kills", "hangs")
MAX_BYTES = 2_000
"""Replaces the limit of 20 MB, so that pictures can be small."""


def picture(kind: str, name: str) -> bytes:
    """Return the bytes of a picture of a kind. No two pictures of a history are equal."""
    return f"{kind} {name} ".encode().ljust(MAX_BYTES + 1 if kind == "huge" else 40, b".")


class FakeSandbox:
    """A replacement for the processes that decode pictures."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def start(self) -> None:
        """Do nothing: no process is needed."""

    def memory_needed(self, data: bytes, sizes: Sequence[Size]) -> int:
        return 1000

    def render(self, data: bytes, sizes: Sequence[Size], memory: int) -> Rendered:
        kind = data.partition(b" ")[0].decode()
        self._timeline.note("render", data[:30].decode().strip("."))
        if kind == "kills":
            self._timeline.die("Runtime exited: out of memory")
        if kind == "hangs":
            self._timeline.pause(100_000)
        self._timeline.pause(self._timeline.chance.choice((0.05, 0.2, 3)))
        if kind != "good":
            raise errors.ImageUnreadableError
        thumbnails = [
            Thumbnail(size, size.pixels, size.pixels, thumbnail(data, size.pixels, size.focus)) for size in sizes
        ]
        return Rendered("image/jpeg", 4000, 3000, thumbnails, "", [])


def thumbnail(data: bytes, pixels: int, focus: tuple[float, float] = CENTRE) -> bytes:
    """Return the thumbnail of a picture, with the given number of pixels and focus."""
    return f"{pixels} at {focus} of ".encode() + data
