"""Encode and decode the cursor of a list: the position at which its next page starts.

A cursor contains the position, and a digest of the list that it is valid for. The digest detects mistakes and is no
secret: a forged cursor can only move within the caller's own list, because the owner is not read from the cursor, and
``items.list_page`` and ``search.find_page`` refuse a position outside the list.
"""

from __future__ import annotations

import base64
import hashlib

from chalicelib import errors

_DIGEST_BYTES = 14


def encode(position: str, *scope: object) -> str:
    """Return the cursor of a page that starts after ``position``; ``scope`` identifies the list."""
    text = position.encode()
    digest = hashlib.sha256(repr((position, *map(str, scope))).encode()).digest()
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES] + text).decode().rstrip("=")


def decode(cursor: str, *scope: object) -> str:
    """Return the position after which the page starts. Raise InvalidCursorError if the cursor is not of this list."""
    try:
        data = base64.urlsafe_b64decode(f"{cursor}{'=' * (-len(cursor) % 4)}")
        position = data[_DIGEST_BYTES:].decode()
    except ValueError:
        raise errors.InvalidCursorError from None
    if encode(position, *scope) != cursor:
        raise errors.InvalidCursorError
    return position
