"""Items, their pictures, bulk imports and exports, as they are stored.

A picture is called ``image`` in the API and in the table, and picture in all texts.

An item has managed fields, which Vitrine sets (ManagedFields); settings, which the caller sets and Vitrine acts on
(SETTINGS); and own fields, which are all others. The own fields that ``item_fields.ItemFields`` lists are declared
fields, and are validated.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from chalicelib.values import times

Fields = dict[str, Any]
"""JSON values by name. Numbers are int or Decimal, so that they keep their exact value."""


class Thumbnail(msgspec.Struct, frozen=True, rename="camel"):
    """One thumbnail of a picture. ``size`` is the configured size in pixels; ``key`` is its key in the bucket."""

    size: int
    width: int
    height: int
    key: str
    type: str = "image/jpeg"


class PictureFailure(msgspec.Struct, frozen=True):
    """Why a picture failed: an error code and a message (errors.ImageError)."""

    error: str
    message: str


class Focus(msgspec.Struct, frozen=True):
    """The point of a picture that crops keep in the middle: fractions of the width and height, from the top left.

    They have at most three decimal places.
    """

    x: Decimal
    y: Decimal


ImageStatus = Literal["pending", "processing", "ready", "failed"]


class Image(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The picture of an item. ``item_pictures.py`` describes the states and the transitions between them."""

    status: ImageStatus
    upload_id: str | None = None
    """The upload that the picture comes from. While it is pending, the upload of the newest ticket."""
    sequencer: str = ""
    """S3's sequencer of the object. Of several objects put at the upload's key, a later one has a greater sequencer."""
    etag: str = ""
    """The entity tag of the object from which the thumbnails were made, or that was refused.

    While the picture is processing, the one that the upload's event named.
    """
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
    focus: Focus | None = None
    focus_changes: int = 0
    """How often the focus was changed. It is part of the keys of thumbnails."""
    thumbnails_focus: Focus | None = None
    """The focus with which the thumbnails were made. While it differs, a thumbnail job is queued or running."""
    placeholder: str | None = None
    """The ThumbHash in base64."""
    warnings: tuple[str, ...] = ()
    """What is wrong with a picture that is ready nevertheless: TRUNCATED."""
    error: PictureFailure | None = None
    exposure: int = 0
    """``Item.exposures`` when the thumbnails were copied to public keys, or 0 if they were not."""
    attempts: int = 0
    """How often the cleanup has queued the thumbnail job again."""
    due_at: str | None = None
    """When the cleanup queues the thumbnail job again."""


class ManagedFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of an item that Vitrine sets and callers read. Each write increases ``version`` by one."""

    id: str
    version: int
    created_at: str
    updated_at: str
    image: Image | None = None


MANAGED_FIELDS = ManagedFields.__struct_encode_fields__
"""The names of managed fields in JSON."""

SETTINGS = ("expiresAt", "visibility")
"""The names in JSON of what a caller sets besides an item's own fields."""


class Share(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A link that shows an item to everybody who has it. ``hash`` is the SHA-256 of its token."""

    id: str
    hash: str
    created_at: str
    expires_at: str | None = None

    def is_expired(self, at: datetime) -> bool:
        """Return whether the link shows nothing any more at ``at``."""
        return _is_expired(self.expires_at, at)


class Publication(msgspec.Struct, frozen=True):
    """A change of what visitors see of an item."""

    version: int
    """The version of the item that the change made."""
    at: str


class Item(ManagedFields, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An item as stored."""

    owner: str
    fields: Fields
    expires_at: str | None = None
    visibility: Literal["public"] | None = None
    """``public`` if visitors may read the item, or None if it is private."""
    catalogue: str | None = None
    """The id of the owner's public catalogue, if the item is or was exposed."""
    published: Publication | None = None
    """The last change of an exposed item that people other than its owner could see."""
    shares: tuple[Share, ...] = ()
    """The links that show it, public or not. The cleanup removes those that have expired."""
    exposures: int = 0
    """How often it became exposed: public, or shown by a link. It is part of the public keys of thumbnails."""
    exposure_due_at: str | None = None
    """When the cleanup looks again for public objects that are missing, or left over."""
    public_seed: str | None = None
    """A secret that the keys of its public objects are made of, if it is or was exposed."""
    ticket_until: str | None = None
    """When the event of the last ticket's upload is overdue: then the cleanup looks for the upload itself."""
    last_upload: str | None = None
    """The newest upload that was recorded, or that was cancelled because its pending picture was deleted.

    It is kept when the picture is deleted, so that a late event cannot bring the picture back.
    """
    hidden: bool = False
    """Whether this is a public item that visitors do not see, because its public copy is not written yet."""
    indexed: str | None = None
    """The declaration that its index records were written with (``search_index_keys``), or None if it has none."""
    last_ticket: str | None = None
    """The upload of the newest ticket. The id of the next one is always greater, even if the clock is set back."""
    has_one_file: bool = False
    """Whether the bucket contains no superseded object of the item, and none can be written.

    That is so if it has had one ticket, at most one upload was recorded, and its thumbnails are made from the file that
    the upload's event named. Then its only objects are that file and these thumbnails: the bucket need not be listed.
    """

    @property
    def may_have_objects(self) -> bool:
        """Whether the bucket may contain objects of the item, now or after an upload that is still possible."""
        return bool(self.image or self.ticket_until or self.last_upload)

    @property
    def is_exposed(self) -> bool:
        """Whether people other than the owner can see the item."""
        return bool(self.visibility or self.shares)

    @property
    def needs_public_thumbnails(self) -> bool:
        """Whether the item is exposed, and its thumbnails are not yet copied to public keys."""
        ready = self.image if self.image and self.image.status == "ready" else None
        return self.is_exposed and ready is not None and ready.exposure != self.exposures

    @property
    def due_at(self) -> str | None:
        """When the cleanup has work to do on this item next, or None."""
        due = (
            self.expires_at,
            self.ticket_until,
            self.exposure_due_at,
            self.image and self.image.due_at,
            self.hidden and self.updated_at,
            *(share.expires_at for share in self.shares),
        )
        return min((at for at in due if at), default=None)

    def without_image(self) -> Item:
        """Return the item as it is shown without its picture."""
        return msgspec.structs.replace(self, image=None)

    def is_expired(self, at: datetime) -> bool:
        """Return whether the item has expired at ``at``."""
        return _is_expired(self.expires_at, at)


class ItemInput(msgspec.Struct, frozen=True):
    """What a caller sets in an item: its own fields, the expiry and the visibility."""

    fields: Fields
    """As they are stored: those that were sent, and the defaults of declared fields that were left out."""
    sent: Fields
    """As they were sent: without the defaults, which may differ the next time, such as the current time."""
    expires_at: str | None = None
    visibility: Literal["public"] | None = None

    def is_expired(self, at: datetime) -> bool:
        """Return whether an item made from it would have expired at ``at``."""
        return _is_expired(self.expires_at, at)


def _is_expired(expires_at: str | None, at: datetime) -> bool:
    return expires_at is not None and expires_at <= times.format_time(at)


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A part of an import, which one message processes."""

    first: int
    """The number of its first entry in the import, from 0."""
    entries: int
    """The number of its entries."""
    start: int
    """The position of its first byte in the import's object."""
    size: int
    """The number of its bytes there."""


class Import(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A bulk import, split into chunks."""

    owner: str
    id: str
    created_at: str
    total: int
    chunks: tuple[Chunk, ...]
    columns: tuple[str, ...] = ()
    """The names of the columns, if the entries are the rows of CSV."""
    key: str | None = None
    """The field by which an entry changes an existing item instead of creating one."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of an import that failed, and why."""

    index: int
    error: str
    message: str
    line: int | None = None
    """The line of CSV where the row begins."""


class ChunkResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The result of one chunk of an import: of those of its entries that are processed so far."""

    created: int
    failures: tuple[Failure, ...] = ()
    next: int | None = None
    """How many of its entries are processed, or None if all are."""
    updated: int = 0
    given_up: bool = False
    """It was not processed within a day. Its remaining entries count as failed, and may still be processed later."""

    @property
    def is_processed(self) -> bool:
        """Whether each entry is processed."""
        return self.next is None

    @property
    def has_ended(self) -> bool:
        """Whether each entry is processed, or counts as failed because the chunk was given up."""
        return self.is_processed or self.given_up


class ExportFailure(msgspec.Struct, frozen=True):
    """Why an export failed: an error code and a message (errors.ApiError)."""

    error: str
    message: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """An object in the bucket with a part of a file of an export. ``name`` is the end of its key."""

    name: str
    size: int


class OpenFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of an export that is being written: the objects with its parts so far."""

    parts: tuple[Part, ...] = ()
    directory: str | None = None
    """Of an archive: the name of the object with the entries of its directory so far."""
    entries: int = 0
    """Of an archive: how many files are in it."""

    @property
    def size(self) -> int:
        """The bytes of the file so far."""
        return sum(part.size for part in self.parts)


FileKind = Literal["rows", "items", "pictures"]


class ExportFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of an export that is complete. ``name`` is the end of its key in the bucket.

    Files of the kind ``rows`` have lines of JSON, from which the files of CSV are made. Clients do not get them.
    """

    kind: FileKind
    name: str
    size: int


ExportFormat = Literal["csv", "ndjson"]


class Export(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An export: which items it contains, and its progress."""

    owner: str
    id: str
    created_at: str
    format: ExportFormat
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """The conditions on the items' fields: those of a Query in ``search``."""
    words: str | None = None
    ids: tuple[str, ...] | None = None
    """The ids of the items, sorted, or None for all items."""
    pictures: bool = False
    end_id: str = ""
    """The newest item when the export began. Those with a greater id are not in it."""
    slot: int = 1
    """Which of the owner's slots it occupies until it has ended."""

    revision: int = 0
    """How often this record was written again."""
    turn: int = 0
    """How many messages were sent after the first one. Each continues where the previous one stopped."""
    failure: ExportFailure | None = None
    is_done: bool = False
    last_id: str = ""
    """The last item that was read."""
    is_read: bool = False
    """Whether all items are read."""
    items: int = 0
    picture_count: int = 0
    fields: tuple[str, ...] = ()
    """For CSV: the names of the items' own fields so far."""
    converted: tuple[int, int] = (0, 0)
    """For CSV: how many files of rows are converted, and how many bytes of the next one."""
    text: OpenFile = OpenFile()
    archive: OpenFile = OpenFile()
    files: tuple[ExportFile, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether it is done or has failed."""
        return self.is_done or self.failure is not None
