"""Stream records that cannot become events: of records that were written by hand, or that the bus refuses."""

from __future__ import annotations

import random
from typing import Any

from tests.simulation.dynamodb import Write
from tests.simulation.event_bus import REFUSED, REFUSED_AT_FIRST

OWNER = "eve"
"""Has no other items, so that every event of hers is wrong."""


def write(chance: random.Random, at: float, number: int) -> Write:
    """Return a write whose record cannot be processed."""
    pk, sk = f"OWNER#{OWNER}", f"ITEM#poisoned-{number}"
    good = {
        "pk": {"S": pk},
        "sk": {"S": sk},
        "version": {"N": "1"},
        "createdAt": {"S": "2026-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2026-01-01T00:00:00.000Z"},
        "fields": {"M": {}},
    }
    image = {**good, **chance.choice(_DAMAGES)}
    image = {name: value for name, value in image.items() if value is not None}
    return Write(at, pk, sk, *chance.choice(((None, image), (image, None), (good, image))))


def is_curable(write: Write) -> bool:
    """Return whether the events of a write can be on the bus in the end, if it is sent back when no call fails."""
    return REFUSED_AT_FIRST in str(write)


_DAMAGES: tuple[dict[str, Any], ...] = (
    {"version": None},
    {"version": {"S": "one"}},
    {"fields": {"S": "none"}},
    {"fields": None},
    {"createdAt": {"N": "1"}},
    {"image": {"M": {"status": {"S": "unknown"}}}},
    {"expiresAt": {"M": {}}},
    {"fields": {"M": {"title": {"S": REFUSED}}}},
    *({"fields": {"M": {"title": {"S": REFUSED_AT_FIRST}}}},) * 3,
)
