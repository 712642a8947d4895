"""Where a list goes on: opaque to callers, bound to the owner and the list that it was given out for.

A cursor holds an id and a digest of what it belongs to. The digest is no secret: it finds out mistakes. Whoever forges
one only reads on elsewhere in a list of their own, for the owner never comes from the cursor, and items.page refuses a
place beyond the list's bounds.
"""

from __future__ import annotations

import base64
import hashlib
import uuid

from chalicelib import errors


def give(id_: str, *belongs_to: object) -> str:
    """A cursor that goes on after ``id_``."""
    place = uuid.UUID(id_).bytes
    digest = hashlib.sha256(repr((id_, *map(str, belongs_to))).encode()).digest()
    # 30 bytes: 40 letters, nothing to pad.
    return base64.urlsafe_b64encode(place + digest[:14]).decode()


def take(cursor: str, *belongs_to: object) -> str:
    """The id to go on after. Raises InvalidCursorError unless ``belongs_to`` is what it was given out for."""
    try:
        id_ = str(uuid.UUID(bytes=base64.urlsafe_b64decode(cursor)[:16]))
    except ValueError:
        raise errors.InvalidCursorError from None
    if give(id_, *belongs_to) != cursor:
        raise errors.InvalidCursorError
    return id_
