"""What goes over HTTP, as models: requests are held to them, and the OpenAPI document is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from chalicelib.models import Failure, ImageStatus, Problem

ContentType = Literal["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]


class HelloQuery(Struct):
    name: Annotated[str, Meta(max_length=100, description="Whom to greet.")] = "World"


class Hello(Struct, rename="camel"):
    message: str
    timestamp: str
    request_id: str


class Health(Struct):
    status: Literal["ok"]
    stage: str
    version: str


class ListQuery(Struct, rename="camel"):
    limit: Annotated[int, Meta(ge=1, le=100, description="Items a page holds at most.")] = 25
    cursor: Annotated[str | None, Meta(description="`nextCursor` of the page before.")] = None
    order: Annotated[Literal["desc", "asc"], Meta(description="By creation: newest first, or oldest.")] = "desc"
    created_after: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Only items created after this time.")
    ] = None
    created_before: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Only items created before it.")
    ] = None


class ImageQuery(Struct):
    size: Annotated[int | None, Meta(description="Of the thumbnail; left out: the original.")] = None


class TicketRequest(Struct, rename="camel"):
    content_type: Annotated[ContentType, Meta(description="What S3 will hold the upload to.")]


class ThumbnailShown(Struct, rename="camel"):
    size: int
    width: int
    height: int
    url: str


class ImageShown(Struct, rename="camel", omit_defaults=True):
    status: ImageStatus
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    url: str | None = None
    thumbnails: list[ThumbnailShown] | None = None
    error: Problem | None = None


class ManagedFields(Struct, rename="camel"):
    """What Vitrine adds to the caller's own fields."""

    id: str
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    image: ImageShown | None = None


class Deleted(Struct):
    message: str
    id: str


class PresignedPost(Struct):
    url: Annotated[str, Meta(description="Where the multipart/form-data goes.")]
    fields: Annotated[dict[str, str], Meta(description="Its first parts; the file comes last, as `file`.")]


class Ticket(Struct, rename="camel"):
    upload: PresignedPost
    max_bytes: int
    expires_at: str


class ImportShown(Struct):
    id: str
    status: Literal["queued", "running", "done"]
    total: int
    created: int
    failed: int
    errors: Annotated[list[Failure], Meta(description="The first thousand; `failed` counts all.")]


class Error(Struct, rename="camel", omit_defaults=True):
    error: Annotated[str, Meta(description="For programs: stays the same.")]
    message: Annotated[str, Meta(description="For people: may change.")]
    request_id: Annotated[str, Meta(description="Finds this request in the logs.")]
    details: list[dict[str, str]] | None = None


class ImportRequest(Struct):
    items: Annotated[list[dict[str, Any]], Meta(description="Each is checked on its own, when its turn comes.")]
