"""What goes over HTTP, as models: requests are held to them, and the OpenAPI document is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib import config, errors
from chalicelib.cursor import give
from chalicelib.models import Failure

ContentType = Literal["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]

_Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Moment = Annotated[datetime, Meta(tz=True)]
_Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
_Pixels = Annotated[int, Meta(ge=1)]
_Count = Annotated[int, Meta(ge=0)]

CURSOR = give("019ca7b4-e400-7abc-8def-0123456789ab", "somebody", "desc", None, None)
"""What a cursor looks like."""


def _one_of(*kinds: type[errors.ApiError] | type[errors.ImageError]) -> dict[str, Any]:
    return {"enum": [kind.code for kind in kinds]}


# --------------------------------------------------------------------------------------------------------------- about


class HelloQuery(Struct):
    """What `GET /hello` may be asked."""

    name: Annotated[str, Meta(max_length=100, description="Whom to greet.", examples=["Ann"])] = "World"


class Hello(Struct, rename="camel"):
    """A greeting."""

    message: Annotated[str, Meta(description="`Hello, `, who was named, and an exclamation mark.")]
    timestamp: Annotated[_Time, Meta(description="When this was said.")]
    request_id: Annotated[str, Meta(description="The header `X-Request-Id`.")]


class Health(Struct):
    """That the API answers. It asks neither the table nor the bucket nor the queue."""

    status: Annotated[Literal["ok"], Meta(description="Always `ok`: what is not well does not answer this.")]
    stage: Annotated[str, Meta(description="Which stage answers, such as `prod`.")]
    version: Annotated[str, Meta(description="Which version of Vitrine answers.")]


# --------------------------------------------------------------------------------------------------------------- items


class ListQuery(Struct, rename="camel"):
    """Which items, and how many at a time."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Items that a page holds at most.", examples=[2])] = 25
    cursor: Annotated[
        str | None,
        Meta(description="`nextCursor` of the page before; left out: the first page.", examples=[CURSOR]),
    ] = None
    order: Annotated[
        Literal["desc", "asc"], Meta(description="By creation: the newest first, or the oldest.", examples=["asc"])
    ] = "desc"
    created_after: Annotated[
        _Moment | None, Meta(description="Only items created after this time.", examples=["2026-01-01T00:00:00Z"])
    ] = None
    created_before: Annotated[
        _Moment | None, Meta(description="Only items created before this time.", examples=["2100-01-01T00:00:00Z"])
    ] = None


class ThumbnailShown(Struct):
    """A smaller copy of the picture: a JPEG, upright, in sRGB, with nothing of the original's metadata."""

    size: Annotated[_Pixels, Meta(description="Its name: the side of the square that it fills or stays inside.")]
    width: Annotated[_Pixels, Meta(description="In pixels.")]
    height: Annotated[_Pixels, Meta(description="In pixels.")]
    url: Annotated[_Url, Meta(description="Where to download it, for a while.")]


class ImageProblem(Struct):
    """Why there are no thumbnails."""

    error: Annotated[
        str,
        Meta(
            description="For programs: stays the same.", extra_json_schema=_one_of(*errors.ImageError.__subclasses__())
        ),
    ]
    message: Annotated[str, Meta(description="For people: may change.")]


class ImagePending(Struct, rename="camel", tag_field="status", tag="pending"):
    """There is a ticket to upload a picture, and none has come. If none comes, this goes away again."""

    content_type: Annotated[ContentType, Meta(description="What the ticket was asked for.")]


class ImageProcessing(Struct, tag_field="status", tag="processing"):
    """A picture has come, and its thumbnails are being made: that takes some seconds."""


class ImageReady(Struct, rename="camel", tag_field="status", tag="ready"):
    """A picture and its thumbnails."""

    content_type: Annotated[ContentType, Meta(description="What the picture is, by its content.")]
    width: Annotated[_Pixels, Meta(description="Of the picture held upright, in pixels.")]
    height: Annotated[_Pixels, Meta(description="Of the picture held upright, in pixels.")]
    bytes: Annotated[int, Meta(ge=1, le=config.MAX_IMAGE_BYTES, description="Of the picture as it was uploaded.")]
    url: Annotated[_Url, Meta(description="Where to download the picture as it was uploaded, for a while.")]
    thumbnails: Annotated[list[ThumbnailShown], Meta(description="One of each size that the stage makes.")]


class ImageFailed(Struct, tag_field="status", tag="failed"):
    """A picture came that no thumbnails can be made of. The next upload takes its place."""

    error: Annotated[ImageProblem, Meta(description="Why.")]


ImageShown = ImagePending | ImageProcessing | ImageReady | ImageFailed


class ManagedFields(Struct, rename="camel"):
    """What Vitrine adds to the caller's own fields."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case: ids sort by the time of creation.")]
    version: Annotated[int, Meta(ge=1, description="1 at first, and one more with every write.")]
    created_at: Annotated[_Moment, Meta(description="When the item was created.")]
    updated_at: Annotated[_Moment, Meta(description="When this version was written.")]
    expires_at: Annotated[
        _Moment | UnsetType, Meta(description="When the item ends, if it does: from then on it is not found.")
    ] = UNSET
    image: Annotated[
        ImageShown | UnsetType,
        Meta(description="The item's picture, by the `status` that it is in; left out where there is none."),
    ] = UNSET


class ItemPage(Struct, rename="camel"):
    """Some of the caller's items."""

    items: Annotated[list[Any], Meta(description="In the order asked for. A page may hold fewer although more follow.")]
    count: Annotated[_Count, Meta(description="How many items this page has.")]
    next_cursor: Annotated[str | None, Meta(description="What to ask for the next page with; null at the end.")]


class Deleted(Struct):
    """What is gone."""

    message: Annotated[str, Meta(description="For people: may change.")]
    id: Annotated[_Id, Meta(description="Of the item.")]


# ------------------------------------------------------------------------------------------------------------ pictures


class ImageQuery(Struct):
    """Which of an item's pictures."""

    size: Annotated[
        int | None,
        Meta(description="Which thumbnail, by the `size` that the item names; left out: the original.", examples=[200]),
    ] = None


class TicketRequest(Struct, rename="camel"):
    """What is to be uploaded."""

    content_type: Annotated[ContentType, Meta(description="What S3 holds the upload to.")]


class PresignedPost(Struct):
    """A form that S3 takes."""

    url: Annotated[_Url, Meta(description="Where to POST the form to, as `multipart/form-data`.")]
    fields: Annotated[dict[str, str], Meta(description="Its first parts, all of them; the file comes last, as `file`.")]


class Ticket(Struct, rename="camel"):
    """Leave to upload one picture."""

    upload: Annotated[PresignedPost, Meta(description="What to send to S3.")]
    max_bytes: Annotated[int, Meta(description="The largest file that S3 takes by this ticket.")]
    expires_at: Annotated[_Time, Meta(description="When the ticket ends.")]


# ------------------------------------------------------------------------------------------------------- bulk imports


class ImportRequest(Struct):
    """Items to create, all at once."""

    items: Annotated[list[Any], Meta(min_length=1, description="Each is checked by itself, when its turn comes.")]


Lines = Annotated[
    str, Meta(pattern=r"[^ \t\n\v\f\r]", description="One JSON object a line (NDJSON); blank lines are passed over.")
]


class ImportFailure(Struct):
    """An entry of an import that made no item."""

    index: Annotated[_Count, Meta(description="Its place among the entries, from 0; blank lines do not count.")]
    error: Annotated[
        str,
        Meta(
            description="What `POST /items` would have answered.",
            extra_json_schema=_one_of(
                errors.InvalidJsonError,
                errors.InvalidRequestError,
                errors.ReservedFieldError,
                errors.InvalidExpiryError,
                errors.ItemTooLargeError,
            ),
        ),
    ]
    message: Annotated[str, Meta(description="For people: may change.")]


class ImportShown(Struct):
    """How far an import is. Once it is done, `created` and `failed` add up to `total`."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case.")]
    status: Annotated[
        Literal["queued", "running", "done"], Meta(description="None of it is worked off, some of it, or all.")
    ]
    total: Annotated[int, Meta(ge=1, description="How many entries came.")]
    created: Annotated[_Count, Meta(description="How many of them are items.")]
    failed: Annotated[_Count, Meta(description="How many of them made no item.")]
    errors: Annotated[list[Failure], Meta(description="Why those made none, in the order of the entries.")]


# -------------------------------------------------------------------------------------------------------------- errors


class Detail(Struct):
    """One thing that is wrong."""

    path: Annotated[str, Meta(description="Where in the body or among the parameters; `$` is all of it.")]
    message: Annotated[str | UnsetType, Meta(description="What is expected there. For people: may change.")] = UNSET


class Error(Struct, rename="camel"):
    """Why a request was refused. Every error has this shape."""

    error: Annotated[str, Meta(description="For programs: stays the same.")]
    message: Annotated[str, Meta(description="For people: may change.")]
    request_id: Annotated[str, Meta(description="The header `X-Request-Id`: finds this request in the logs.")]
    details: Annotated[
        list[Detail] | UnsetType, Meta(description="What is wrong where; left out where that is plain.")
    ] = UNSET
