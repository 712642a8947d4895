"""Items, their pictures and bulk imports, as they are stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from chalicelib.values import times

Fields = dict[str, Any]
"""The caller's own fields: JSON values, with numbers as int or Decimal so that each keeps its exact value."""


class Thumbnail(msgspec.Struct, frozen=True, rename="camel"):
    """One thumbnail of a picture: ``size`` names it (its box, in pixels), ``key`` is where it lies in the bucket."""

    size: int
    width: int
    height: int
    key: str


class Problem(msgspec.Struct, frozen=True):
    """Why a picture or an imported item failed: a code for programs and a sentence for people."""

    error: str
    message: str


ImageStatus = Literal["pending", "processing", "ready", "failed"]


class Image(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The picture of an item, as kept. The head of ``images.py`` says which status follows which."""

    status: ImageStatus
    upload_id: str | None = None
    """Whose picture it is; while it is pending, the newest upload that a ticket was given for."""
    sequencer: str = ""
    """Which of the objects put at that upload's key it is: S3 gives a later one a greater text."""
    etag: str = ""
    """The entity tag of the bytes that were rendered, or refused."""
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
    error: Problem | None = None
    attempts: int = 0
    due_at: str | None = None


class ManagedFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of an item that callers read and Vitrine sets. Every write makes the next ``version``."""

    id: str
    version: int
    created_at: str
    updated_at: str
    image: Image | None = None


MANAGED_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(ManagedFields))
"""Their names in JSON."""


class Item(ManagedFields, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An item as stored."""

    owner: str
    fields: Fields
    expires_at: str | None = None
    ticket_until: str | None = None
    """When the last upload ticket is surely over: then the cleanup looks whether its upload went unnoticed."""
    last_upload: str | None = None
    """The newest upload that was noted, or whose ticket is void as its pending picture was removed.

    It is kept when the picture is removed, so that a late event cannot bring it back.
    """
    last_ticket: str | None = None
    """The newest upload that a ticket was given for: the next ticket's is greater, whatever the clock says."""

    @property
    def may_have_objects(self) -> bool:
        """Whether objects of it may be in the bucket, now or by an upload still to come."""
        return bool(self.image or self.ticket_until or self.last_upload)

    def over(self, at: datetime) -> bool:
        """Whether its time is up."""
        return _over(self.expires_at, at)

    @property
    def due_at(self) -> str | None:
        """When the cleanup has to look at this item next, or None."""
        due = (self.expires_at, self.ticket_until, self.image and self.image.due_at)
        return min((at for at in due if at), default=None)


class Draft(msgspec.Struct, frozen=True):
    """What a caller may say of an item: its own fields, and when it ends."""

    fields: Fields
    expires_at: str | None = None

    def over(self, at: datetime) -> bool:
        """Whether its time is up, so that nothing can be made of it any more."""
        return _over(self.expires_at, at)


def _over(expires_at: str | None, at: datetime) -> bool:
    return expires_at is not None and expires_at <= times.format_time(at)


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A part of an import that is created at once: ``entries`` of them, ``size`` bytes of its object."""

    first: int
    """The number of its first entry in the import."""
    entries: int
    start: int
    size: int


class Import(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An import as kept: what came, cut into chunks that the queue works off."""

    owner: str
    id: str
    created_at: str
    total: int
    chunks: tuple[Chunk, ...]


class Failure(msgspec.Struct, frozen=True):
    """An entry of an import that made no item."""

    index: int
    error: str
    message: str


class ChunkResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What became of one chunk of an import."""

    created: int
    failures: tuple[Failure, ...] = ()
    given_up: bool = False
    """Nobody worked it off in time: how many of its items were created is not known, and counts as none."""
