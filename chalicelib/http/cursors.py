"""Encode and decode the cursor of a list: the position at which its next page starts.

A cursor contains an id, and a digest of the list that it is valid for. The digest detects mistakes and is no secret: a
forged cursor can only move within the caller's own list, because the owner is not read from the cursor, and
``items.list_page`` refuses a position outside the list.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import TYPE_CHECKING

from chalicelib import errors

if TYPE_CHECKING:
    from chalicelib.http.schemas import ListQuery


def encode(id_: str, *scope: object) -> str:
    """Return the cursor of a page that starts after ``id_``; ``scope`` identifies the list."""
    digest = hashlib.sha256(repr((id_, *map(str, scope))).encode()).digest()
    # 30 bytes are 40 characters in Base64, without padding.
    return base64.urlsafe_b64encode(uuid.UUID(id_).bytes + digest[:14]).decode()


def decode(cursor: str, *scope: object) -> str:
    """Return the id after which the page starts. Raise InvalidCursorError if the cursor is not of this list."""
    try:
        id_ = str(uuid.UUID(bytes=base64.urlsafe_b64decode(cursor)[:16]))
    except ValueError:
        raise errors.InvalidCursorError from None
    if encode(id_, *scope) != cursor:
        raise errors.InvalidCursorError
    return id_


def scope(query: ListQuery, owner: str) -> tuple[object, ...]:
    """Return what identifies the list of a query: all that decides which items it contains, and in which order."""
    return owner, query.order, query.created_after, query.created_before


def start_after(query: ListQuery, owner: str) -> str | None:
    """Return the id after which a page starts, or None for the first page. Raise InvalidCursorError."""
    return None if query.cursor is None else decode(query.cursor, *scope(query, owner))
