"""The models of requests and responses. Requests are validated with them, and the OpenAPI document lists them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib import config, errors
from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.models import ExportFormat
from chalicelib.config import ContentType
from chalicelib.http import cursors
from chalicelib.values import words

_Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Moment = Annotated[datetime, Meta(tz=True)]
_Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
_Pixels = Annotated[int, Meta(ge=1)]
_Version = Annotated[int, Meta(ge=1)]
_Count = Annotated[int, Meta(ge=0)]

MAX_OPERATIONS = 100
"""The most operations of a batch."""

MAX_EXPORT_IDS = 1_000
"""The most items of which a request for an export can send the ids."""

EXAMPLE_CURSOR = cursors.encode("019ca7b4-e400-7abc-8def-0123456789ab", "somebody", "desc", None, None)


def _one_of(*kinds: type[errors.ApiError] | type[errors.ImageError]) -> dict[str, Any]:
    return {"enum": [kind.code for kind in kinds]}


# --------------------------------------------------------------------------------------------------------------- about


class HelloQuery(Struct):
    """The parameters of `GET /hello`."""

    name: Annotated[str, Meta(max_length=100, description="The name to greet.", examples=["Ann"])] = "World"


class Hello(Struct, rename="camel"):
    """A greeting."""

    message: Annotated[str, Meta(description="`Hello, `, the name, and an exclamation mark.")]
    timestamp: Annotated[_Time, Meta(description="When this was sent.")]
    request_id: Annotated[str, Meta(description="The header `X-Request-Id`.")]


class Health(Struct):
    """The API responds. It does not check the table, the bucket or the queue."""

    status: Annotated[
        Literal["ok"], Meta(description="Always `ok`. If the API does not work, there is no such response.")
    ]
    stage: Annotated[str, Meta(description="The stage, such as `prod`.")]
    version: Annotated[str, Meta(description="The version of Vitrine.")]


# --------------------------------------------------------------------------------------------------------------- items


_Words = Annotated[str, Meta(max_length=words.MAX_QUERY_LENGTH)]
_ImageChoice = Annotated[
    Literal["none"] | None,
    Meta(description="`none` leaves out `image`. Then the entity tag does not change with its URLs."),
]


class ItemQuery(Struct):
    """What to return of an item."""

    image: _ImageChoice = None


class ListQuery(Struct, rename="camel"):
    """Which items, and how many at a time."""

    limit: Annotated[int, Meta(ge=1, le=100, description="The maximum number of items on a page.", examples=[2])] = 25
    cursor: Annotated[
        str | None,
        Meta(description="`nextCursor` of the previous page; omit it for the first page.", examples=[EXAMPLE_CURSOR]),
    ] = None
    filter: Annotated[
        dict[str, dict[str, str]],
        Meta(
            description="Only items whose fields have these values: `filter[FIELD]=VALUE`, or with an operator "
            "`filter[FIELD][OPERATOR]=VALUE`. An item must match all of them."
        ),
    ] = {}
    q: Annotated[
        _Words | None,
        Meta(
            description=f"Only items with all of these words, {words.MAX_IN_QUERY} at most, regardless of case and "
            "accents. The last one may be the beginning of a word. Refused if no field is searchable.",
        ),
    ] = None
    sort: Annotated[
        str | None,
        Meta(
            description="The field that the items are sorted by, with a `-` before it for descending order. By "
            "default `-createdAt`: newest first."
        ),
    ] = None
    order: Annotated[
        Literal["desc", "asc"] | None,
        Meta(
            description="`asc` is the same as `sort=createdAt`, and `desc` as `sort=-createdAt`. It cannot be "
            "combined with `sort`.",
            examples=["asc"],
        ),
    ] = None
    created_after: Annotated[
        _Moment | None, Meta(description="Only items created after this time.", examples=["2026-01-01T00:00:00Z"])
    ] = None
    created_before: Annotated[
        _Moment | None, Meta(description="Only items created before this time.", examples=["2100-01-01T00:00:00Z"])
    ] = None
    image: _ImageChoice = None


class PublicListQuery(ListQuery):
    """Which items of a public catalogue, and how many at a time."""


class CataloguePageQuery(Struct):
    """What a page of a public catalogue shows."""

    q: Annotated[
        _Words | None,
        Meta(description="Only items with all of these words, as in the list of items. Without words, all items."),
    ] = None
    cursor: Annotated[
        str | None, Meta(description="The position at which the page begins, from the link on the previous page.")
    ] = None


class Thumbnail(Struct):
    """A smaller copy of the picture: upright, in sRGB, on white, without any of the original's metadata."""

    size: Annotated[
        _Pixels, Meta(description="Its name: the side, in pixels, of the square that it fills or fits into.")
    ]
    width: Annotated[_Pixels, Meta(description="In pixels.")]
    height: Annotated[_Pixels, Meta(description="In pixels.")]
    url: Annotated[_Url, Meta(description="A temporary URL to download it.")]
    type: Annotated[Literal["image/jpeg", "image/webp"], Meta(description="Its content type.")]


class Focus(Struct):
    """The point of the picture that square thumbnails keep in the middle if they can."""

    x: Annotated[float, Meta(ge=0, le=1, description="From the left, rounded to thousandths.", examples=[0.3])]
    y: Annotated[float, Meta(ge=0, le=1, description="From the top, rounded to thousandths.", examples=[0.25])]


class ImageProblem(Struct):
    """Why there are no thumbnails."""

    error: Annotated[
        str,
        Meta(
            description="A code for programs. It does not change.",
            extra_json_schema=_one_of(*errors.ImageError.__subclasses__()),
        ),
    ]
    message: Annotated[str, Meta(description="A message for people. It may change.")]


class ImagePending(Struct, rename="camel", tag_field="status", tag="pending"):
    """There is a ticket but no upload yet. If no upload arrives, `image` is removed from the item."""

    content_type: Annotated[ContentType, Meta(description="The type that the ticket was requested for.")]


class ImageProcessing(Struct, tag_field="status", tag="processing"):
    """A picture was uploaded, and its thumbnails are being made; this takes a few seconds."""


class ImageReady(Struct, rename="camel", tag_field="status", tag="ready"):
    """A picture and its thumbnails."""

    content_type: Annotated[ContentType, Meta(description="The type of the picture, detected from its content.")]
    width: Annotated[_Pixels, Meta(description="The width of the upright picture, in pixels.")]
    height: Annotated[_Pixels, Meta(description="The height of the upright picture, in pixels.")]
    bytes: Annotated[int, Meta(ge=1, le=config.MAX_IMAGE_BYTES, description="The size of the uploaded file.")]
    url: Annotated[_Url, Meta(description="A temporary URL to download the picture as it was uploaded.")]
    thumbnails: Annotated[list[Thumbnail], Meta(description="One in each size that the stage is configured to make.")]
    focus: Annotated[
        Focus | UnsetType,
        Meta(
            description="Absent unless it was set. After a change, the previous thumbnails stay for the few seconds "
            "until the new ones are made, which have other URLs."
        ),
    ] = UNSET
    placeholder: Annotated[
        str | UnsetType,
        Meta(
            description="A ThumbHash in base64, about 28 characters, from which a client can draw a blurred picture "
            "until a thumbnail is loaded. Absent if an older version of Vitrine made the thumbnails."
        ),
    ] = UNSET
    warnings: Annotated[
        list[Literal["TRUNCATED"]] | UnsetType,
        Meta(
            description="`TRUNCATED`: the file is cut off or damaged, and only the first part of the picture is shown."
        ),
    ] = UNSET


class ImageFailed(Struct, tag_field="status", tag="failed"):
    """No thumbnails can be made from the uploaded picture. The next upload replaces it."""

    error: Annotated[ImageProblem, Meta(description="Why there are no thumbnails.")]


Image = ImagePending | ImageProcessing | ImageReady | ImageFailed


class Item(Struct, rename="camel"):
    """The managed fields of an item. The JSON of an item also contains its own fields."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case: ids sort by the time of creation.")]
    version: Annotated[_Version, Meta(description="Starts at 1 and increases by one with every change.")]
    created_at: Annotated[_Time, Meta(description="When the item was created.")]
    updated_at: Annotated[
        _Time,
        Meta(
            description="When the own fields, the expiry or the picture last changed. A ticket or an upload changes "
            "`version` at once, but `updatedAt` only when the thumbnails are made or the picture has failed."
        ),
    ]
    expires_at: Annotated[
        _Time | UnsetType, Meta(description="When the item expires, if it does: from then on it is not found.")
    ] = UNSET
    visibility: Annotated[
        Literal["public"] | UnsetType,
        Meta(description="`public` if visitors of the public catalogue see the item. Absent if it is private."),
    ] = UNSET
    image: Annotated[
        Image | UnsetType,
        Meta(description="The item's picture; its shape depends on its `status`. Absent if there is none."),
    ] = UNSET


class ItemPage(Struct, rename="camel"):
    """Some of the caller's items."""

    items: Annotated[
        list[Any],
        Meta(description="In the requested order. A page may contain fewer items than `limit` even if more follow."),
    ]
    count: Annotated[_Count, Meta(description="The number of items on this page.")]
    next_cursor: Annotated[str | None, Meta(description="The `cursor` of the next page; null at the end.")]


# --------------------------------------------------------------------------------------------------- public catalogues

MAX_CATALOGUE_TITLE = 200
MAX_CATALOGUE_TEXT = 2000


class PublicCatalogue(Struct):
    """A public catalogue, as visitors see it."""

    id: Annotated[_Id, Meta(description="A random UUID.")]
    title: Annotated[str, Meta(description="Its title, or an empty text.")]
    text: Annotated[str, Meta(description="A text about it, or an empty text.")]


class Catalogue(Struct, rename="camel"):
    """The caller's public catalogue."""

    id: Annotated[_Id, Meta(description="A random UUID, which says nothing about the owner.")]
    title: Annotated[str, Meta(description="Its title, or an empty text.")]
    text: Annotated[str, Meta(description="A text about it, or an empty text.")]
    enabled: Annotated[bool, Meta(description="Whether visitors can read it.")]
    url: Annotated[_Url, Meta(description="The address of its page for visitors.")]
    item_count: Annotated[
        _Count, Meta(description="The number of public items. It may count those that expired within the last hour.")
    ]


class CataloguePatch(Struct, forbid_unknown_fields=True):
    """A change of a public catalogue. Fields that are left out do not change."""

    title: Annotated[str, Meta(max_length=MAX_CATALOGUE_TITLE, description="Its title.")] | UnsetType = UNSET
    text: Annotated[str, Meta(max_length=MAX_CATALOGUE_TEXT, description="A text about it.")] | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="Whether visitors can read it.")] | UnsetType = UNSET


class PublicImage(Struct, tag_field="status", tag="ready", rename="camel"):
    """What visitors see of a picture: its thumbnails."""

    width: Annotated[_Pixels, Meta(description="The width of the upright picture, in pixels.")]
    height: Annotated[_Pixels, Meta(description="The height of the upright picture, in pixels.")]
    thumbnails: Annotated[list[Thumbnail], Meta(description="One in each size that the stage is configured to make.")]
    focus: Annotated[Focus | UnsetType, Meta(description="Absent unless it was set.")] = UNSET
    placeholder: Annotated[
        str | UnsetType,
        Meta(description="A ThumbHash in base64, from which a client can draw a blurred picture."),
    ] = UNSET


class PublicItem(Struct, rename="camel"):
    """What visitors see of an item besides its public fields."""

    id: Annotated[_Id, Meta(description="The item's id.")]
    created_at: Annotated[_Time, Meta(description="When the item was created.")]
    updated_at: Annotated[_Time, Meta(description="When a public field was last changed.")]
    image: Annotated[
        PublicImage | UnsetType,
        Meta(description="Absent if there is no picture, and during the seconds until visitors can load it."),
    ] = UNSET


class PublicItemPage(ItemPage, rename="camel"):
    """Some of the items of a public catalogue."""


# --------------------------------------------------------------------------------------------------------- share links


class ShareRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """A share link to be made."""

    expires_at: Annotated[
        _Time | None, Meta(description="When the link stops showing the item, in the future; by default, never.")
    ] = None


class Share(Struct, rename="camel"):
    """A link that shows one item to everybody who has it."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case, with which the link can be deleted.")]
    created_at: Annotated[_Time, Meta(description="When the link was made.")]
    expires_at: Annotated[
        _Time | UnsetType, Meta(description="When the link stops showing the item; absent if it never does.")
    ] = UNSET


class NewShare(Share, rename="camel", kw_only=True):
    """A new share link, with its URL."""

    url: Annotated[_Url, Meta(description="The link. It is a secret, is not stored, and cannot be read again.")]


class ShareList(Struct):
    """The share links of an item that have not expired, oldest first."""

    shares: Annotated[list[Share], Meta(description="Without their URLs, which cannot be read again.")]


class SharedItem(PublicItem, rename="camel"):
    """What a share link shows of an item besides its public fields."""


# --------------------------------------------------------------------------------------------------------------- batch

_Sent = Annotated[str, Meta(max_length=36)]
_IfMatch = Annotated[
    str | UnsetType, Meta(description="The header `If-Match` of a single request: entity tags, or `*`.")
]


class BatchCreate(Struct, tag_field="op", tag="create", forbid_unknown_fields=True):
    """Create an item, as `POST /items` does."""

    body: Annotated[dict[str, Any], Meta(description="The item. It is validated when the operation runs.")]


class BatchPatch(Struct, rename="camel", tag_field="op", tag="patch", forbid_unknown_fields=True):
    """Change some of an item's own fields, as `PATCH /items/{item_id}` does."""

    id: Annotated[_Sent, Meta(description="The item's `id`.")]
    body: Annotated[dict[str, Any], Meta(description="A JSON Merge Patch.")]
    if_match: _IfMatch = UNSET


class BatchReplace(Struct, rename="camel", tag_field="op", tag="replace", forbid_unknown_fields=True):
    """Replace an item's own fields, as `PUT /items/{item_id}` does."""

    id: Annotated[_Sent, Meta(description="The item's `id`.")]
    body: Annotated[dict[str, Any], Meta(description="The item's own fields.")]
    if_match: _IfMatch = UNSET


class BatchDelete(Struct, rename="camel", tag_field="op", tag="delete", forbid_unknown_fields=True):
    """Delete an item, as `DELETE /items/{item_id}` does."""

    id: Annotated[_Sent, Meta(description="The item's `id`.")]
    if_match: _IfMatch = UNSET


class BatchRequest(Struct, forbid_unknown_fields=True):
    """Operations on items. Each succeeds or fails on its own."""

    operations: Annotated[
        list[BatchCreate | BatchPatch | BatchReplace | BatchDelete],
        Meta(
            min_length=1,
            max_length=MAX_OPERATIONS,
            description="Operations on the same item run in this order, the others in any order.",
        ),
    ]


class Deleted(Struct):
    """What was deleted: an item, the picture of an item, a share link or a webhook."""

    message: Annotated[str, Meta(description="A message for people. It may change.")]
    id: Annotated[_Id, Meta(description="The id of the item, the share link or the webhook.")]


# ------------------------------------------------------------------------------------------------------------ pictures


class ImageQuery(Struct):
    """Which picture of an item to download."""

    size: Annotated[
        int | None,
        Meta(description="A thumbnail's `size`, as the item lists it; omit it for the original.", examples=[200]),
    ] = None


class TicketRequest(Struct, rename="camel"):
    """The picture to be uploaded."""

    content_type: Annotated[
        ContentType,
        Meta(
            description="The type of the file, in upper or lower case; S3 rejects any other. `image/jpg` is accepted "
            "for `image/jpeg`."
        ),
    ]


class ImagePatch(Struct):
    """A change of a picture."""

    focus: Annotated[
        Focus | None, Meta(description="The new focus, or null for the centre.", examples=[{"x": 0.3, "y": 0.25}])
    ]


class PresignedPost(Struct):
    """A form that S3 accepts."""

    url: Annotated[_Url, Meta(description="The URL to POST the form to, as `multipart/form-data`.")]
    fields: Annotated[
        dict[str, str],
        Meta(description="The fields of the form. Send all of them, then the file as the last field, `file`."),
    ]


class Ticket(Struct, rename="camel"):
    """Permission to upload one picture."""

    upload: Annotated[PresignedPost, Meta(description="The form to send to S3.")]
    max_bytes: Annotated[int, Meta(description="The largest file that S3 accepts with this ticket.")]
    expires_at: Annotated[_Time, Meta(description="When the ticket expires.")]


# ------------------------------------------------------------------------------------------------------- bulk imports


class ImportQuery(Struct):
    """How entries are matched with existing items."""

    key: Annotated[
        str | None,
        Meta(
            description="`id` or the name of a findable field. An entry changes the item that has the same value "
            "there, as a `PATCH` does, or creates an item if there is none. Omit it to create an item from each entry.",
            examples=["id"],
            extra_json_schema={"enum": search_index_keys.current().import_keys},
        ),
    ] = None


class ImportRequest(Struct):
    """The items to create or to change."""

    items: Annotated[list[Any], Meta(min_length=1, description="Each is validated separately, when it is processed.")]


ImportLines = Annotated[
    str,
    Meta(
        # U+FFFD replaces bytes that are not UTF-8, so it is rejected: see requests.body.
        pattern="^[^\ufffd]*[^ \\t\\n\\v\\f\\r\ufffd][^\ufffd]*$",
        description="One JSON object per line (NDJSON); blank lines are ignored.",
    ),
]


ImportRows = Annotated[
    str,
    Meta(
        pattern="^[^\ufffd]*[^ \\t\\n\\v\\f\\r\ufffd][^\ufffd]*$",
        description="A header row with the names of the fields, then one row per item (CSV, RFC 4180). Fields are "
        "separated by commas, semicolons or tabs. Empty cells and empty rows are ignored.",
        examples=["title,price,tags\nVase,12.50,blue|glass\n"],
    ),
]


class ImportFailure(Struct):
    """An entry of an import that failed."""

    index: Annotated[
        _Count,
        Meta(description="Its position among the entries, from 0; blank lines and the header row are not counted."),
    ]
    error: Annotated[
        str,
        Meta(
            description="The error that `POST /items` would have returned.",
            extra_json_schema=_one_of(
                errors.InvalidJsonError,
                errors.InvalidRequestError,
                errors.ReservedFieldError,
                errors.FieldNotFindableError,
                errors.InvalidExpiryError,
                errors.ItemTooLargeError,
                errors.InternalError,
            ),
        ),
    ]
    message: Annotated[
        str,
        Meta(description="A message for people. It may change. For a row of CSV, it begins with the line and column."),
    ]
    line: Annotated[
        Annotated[int, Meta(ge=2)] | UnsetType, Meta(description="For a row of CSV: the line where it begins, from 1.")
    ] = UNSET


class Import(Struct):
    """The progress of an import. Once it is done, `created`, `updated` and `failed` add up to `total`."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case.")]
    status: Annotated[
        Literal["queued", "running", "done"],
        Meta(description="`queued`: no entry is processed yet. `running`: some are. `done`: all are."),
    ]
    total: Annotated[int, Meta(ge=1, description="The number of entries.")]
    created: Annotated[_Count, Meta(description="The number of items created.")]
    updated: Annotated[
        _Count,
        Meta(description="The number of items that entries changed, or that already had the values of the entries."),
    ]
    failed: Annotated[_Count, Meta(description="The number of entries that failed.")]
    errors: Annotated[
        list[ImportFailure],
        Meta(
            description="Why entries failed, in the order of the entries: the first 1,000, or fewer if their messages "
            "are too long for one response."
        ),
    ]


# ------------------------------------------------------------------------------------------------------------- exports


class ExportRequest(Struct, forbid_unknown_fields=True):
    """Which items to export, and how."""

    format: Annotated[
        ExportFormat,
        Meta(
            description="`ndjson` has one JSON object per line; `POST /imports?key=id` makes the same items from it. "
            "`csv` is for spreadsheets: lists and objects are JSON in their cells."
        ),
    ]
    filter: Annotated[
        dict[str, Any],
        Meta(
            description="Only items whose fields have these values: `{FIELD: VALUE}`, or `{FIELD: {OPERATOR: VALUE}}` "
            "with the operators of `GET /items`. An item must match all of them.",
        ),
    ] = {}
    q: Annotated[
        _Words | None,
        Meta(description="Only items with all of these words, as in `GET /items`."),
    ] = None
    ids: Annotated[
        Annotated[list[_Id], Meta(min_length=1, max_length=MAX_EXPORT_IDS)] | None,
        Meta(description="Only these items; those that do not exist are left out."),
    ] = None
    pictures: Annotated[bool, Meta(description="Whether to export the pictures too, as they were uploaded.")] = False


class ExportedFile(Struct):
    """A file of an export."""

    name: Annotated[str, Meta(description="Its name when it is saved, such as `items.ndjson` or `pictures-2.zip`.")]
    bytes: Annotated[_Count, Meta(description="Its size.")]
    url: Annotated[
        _Url, Meta(description="A URL to download it, valid for two hours. Read the export again for another.")
    ]


class ExportProblem(Struct):
    """Why an export failed."""

    error: Annotated[
        str,
        Meta(
            description="A code for programs. It does not change.",
            extra_json_schema=_one_of(
                errors.InvalidRequestError,
                errors.FieldNotFindableError,
                errors.TooManyColumnsError,
                errors.InternalError,
            ),
        ),
    ]
    message: Annotated[str, Meta(description="A message for people. It may change.")]


class Export(Struct, rename="camel"):
    """The progress of an export, and its files once it is done."""

    id: Annotated[_Id, Meta(description="A UUIDv7 in lower case.")]
    status: Annotated[
        Literal["queued", "running", "done", "failed"],
        Meta(
            description="`queued`: the export is not started yet. `running`: it is in progress. `done`, `failed`: "
            "it has ended."
        ),
    ]
    format: Annotated[ExportFormat, Meta(description="As requested.")]
    items: Annotated[_Count, Meta(description="The number of items that are exported so far.")]
    files: Annotated[
        list[ExportedFile],
        Meta(
            description="Empty unless the status is `done`. Large exports have several files of about 500 MB. Each "
            "picture is in one of the archives, under the name that `image.file` of its item has."
        ),
    ]
    created_at: Annotated[_Time, Meta(description="When the export was requested. Items created later may be missing.")]
    expires_at: Annotated[_Time, Meta(description="When the export and its files are deleted.")]
    total: Annotated[
        _Count | UnsetType, Meta(description="The number of items in the export; absent until all are found.")
    ] = UNSET
    pictures: Annotated[
        _Count | UnsetType, Meta(description="The number of pictures so far; absent if none were requested.")
    ] = UNSET
    error: Annotated[ExportProblem | UnsetType, Meta(description="Absent unless the status is `failed`.")] = UNSET


# ------------------------------------------------------------------------------------------------------------- changes


class Changes(Struct):
    """Whether items of the caller have changed."""

    number: Annotated[_Count, Meta(description="It increases a few seconds after items have changed.")]


# -------------------------------------------------------------------------------------------------------------- errors


class Detail(Struct):
    """One problem."""

    path: Annotated[
        str,
        Meta(description="The place in the body (`$` is the whole body), the parameter, or the name of the header."),
    ]
    message: Annotated[
        str | UnsetType, Meta(description="What is wrong, and what is allowed: a message for people. It may change.")
    ] = UNSET


class Error(Struct, rename="camel"):
    """Why a request failed. Every error response has this body."""

    error: Annotated[str, Meta(description="A code for programs. It does not change.")]
    message: Annotated[str, Meta(description="A message for people. It may change.")]
    request_id: Annotated[str, Meta(description="The header `X-Request-Id`: finds this request in the logs.")]
    details: Annotated[
        list[Detail] | UnsetType,
        Meta(description="The problems and their places; absent if the message describes everything."),
    ] = UNSET


class BatchError(Struct):
    """Why an operation failed."""

    error: Annotated[
        str,
        Meta(
            description="The code that a single request would have returned, or `NOT_TRIED`.",
            extra_json_schema=_one_of(
                errors.InvalidRequestError,
                errors.ReservedFieldError,
                errors.InvalidExpiryError,
                errors.ItemNotFoundError,
                errors.VersionMismatchError,
                errors.ItemTooLargeError,
                errors.IdempotencyKeyReusedError,
                errors.InternalError,
                errors.BusyError,
                errors.NotTriedError,
                errors.BackendUnavailableError,
            ),
        ),
    ]
    message: Annotated[str, Meta(description="A message for people. It may change.")]
    details: Annotated[
        list[Detail] | UnsetType,
        Meta(
            description="The problems and their places in the `body`. Absent if there are none, or if all errors "
            "together have too many."
        ),
    ] = UNSET


class BatchResult(Struct):
    """The result of one operation."""

    status: Annotated[
        int,
        Meta(
            description="The status that a single request would have returned. If it is 500 or more, the operation "
            "can be sent again."
        ),
    ]
    id: Annotated[_Sent | UnsetType, Meta(description="The item's `id`; absent if none was created.")] = UNSET
    version: Annotated[_Version | UnsetType, Meta(description="The item's version; absent if it was deleted.")] = UNSET
    error: Annotated[BatchError | UnsetType, Meta(description="Absent if the operation succeeded.")] = UNSET


class BatchResults(Struct):
    """The results of the operations."""

    results: Annotated[list[BatchResult], Meta(description="One for each operation, in the same order.")]
