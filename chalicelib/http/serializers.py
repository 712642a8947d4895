"""Build the response models of :mod:`chalicelib.http.schemas` from stored models, and encode them as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib import errors
from chalicelib.aws import bucket
from chalicelib.catalogue import item_pictures, search_index_keys
from chalicelib.catalogue.models import Image, Item, Share
from chalicelib.catalogue.public_catalogues import Catalogue
from chalicelib.http import schemas
from chalicelib.values import exact_json

if TYPE_CHECKING:
    from chalicelib.catalogue import batches, bulk_imports, exports

_Schema = TypeVar("_Schema", bound=msgspec.Struct)

MAX_LIST_BYTES = 6 * 1024 * 1024 - 64 * 1024
"""The most bytes of a list in a response, as Lambda encodes it. Lambda allows 6 MB with headers (AWS, "Lambda quotas").

One item always fits: 350 KB take 2.1 MB if each byte is encoded as six.
"""


def item(stored: Item) -> bytes:
    """Return the JSON of an item: its managed fields, then its own fields, with exact numbers."""
    return joined(exact_json.to_json(managed_fields(stored)), exact_json.to_json(stored.fields))


def joined(managed: bytes, own: bytes) -> bytes:
    """Return a JSON object with the fields of two others: the managed fields, then the own fields."""
    # The two objects have no name in common (validation.validate_item), so they can be joined as text.
    return managed if own == b"{}" else b"%b,%b" % (managed[:-1], own[1:])


def public_item(copy: Item) -> bytes:
    """Return the JSON of the public copy of an item. A field that is no longer declared as public is left out."""
    managed = schemas.PublicItem(
        id=copy.id,
        created_at=copy.created_at,
        updated_at=copy.updated_at,
        image=_public_image(copy.image) if copy.image else UNSET,
    )
    return joined(exact_json.to_json(managed), exact_json.to_json(search_index_keys.current().shown(copy.fields)))


def new_share(share: Share, url: str) -> schemas.NewShare:
    """Return a new share link, with its URL."""
    return to_schema(share, schemas.NewShare, url=url)


def shares(stored: Iterable[Share]) -> schemas.ShareList:
    """Return the share links of an item."""
    return schemas.ShareList([to_schema(one, schemas.Share) for one in stored])


def catalogue(stored: Catalogue, url: str, item_count: int) -> schemas.Catalogue:
    """Return a public catalogue as its owner sees it."""
    return to_schema(stored, schemas.Catalogue, url=url, item_count=item_count)


def public_catalogue(stored: Catalogue) -> schemas.PublicCatalogue:
    """Return a public catalogue as visitors see it."""
    return to_schema(stored, schemas.PublicCatalogue)


def managed_fields(stored: Item, url: Callable[[Item, int | None], str] = item_pictures.download_url) -> schemas.Item:
    """Return the managed fields of an item.

    ``url`` returns the URL of the thumbnail of a size or, for None, of the original.
    """
    # to_schema would take half a microsecond longer for each of the hundred items of a list.
    return schemas.Item(
        id=stored.id,
        version=stored.version,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        expires_at=stored.expires_at or UNSET,
        visibility=stored.visibility or UNSET,
        image=_image(stored, stored.image, url) if stored.image else UNSET,
    )


def _image(stored: Item, image: Image, url: Callable[[Item, int | None], str]) -> schemas.Image:
    if image.status == "pending":
        return to_schema(image, schemas.ImagePending)
    if image.status == "processing":
        return schemas.ImageProcessing()
    if image.status == "failed":
        return schemas.ImageFailed(to_schema(image.error, schemas.ImageProblem))
    thumbnails = [to_schema(one, schemas.Thumbnail, url=url(stored, one.size)) for one in image.thumbnails]
    return to_schema(
        image,
        schemas.ImageReady,
        url=url(stored, None),
        thumbnails=thumbnails,
        warnings=list(image.warnings) or UNSET,
        focus=_focus(image),
    )


def _public_image(image: Image) -> schemas.PublicImage:
    thumbnails = [to_schema(one, schemas.Thumbnail, url=bucket.public_url(one.key)) for one in image.thumbnails]
    return to_schema(image, schemas.PublicImage, thumbnails=thumbnails, focus=_focus(image))


def _focus(image: Image) -> schemas.Focus | UnsetType:
    return schemas.Focus(float(image.focus.x), float(image.focus.y)) if image.focus else UNSET


def import_progress(id_: str, progress: bulk_imports.Progress) -> schemas.Import:
    """Return the progress of an import, with as many of its failures as fit into a response."""
    failures = [to_schema(failure, schemas.ImportFailure) for failure in progress.failures]
    shown = failures[: len(fit(map(exact_json.to_json, failures)))]
    counts = (progress.total, progress.created, progress.updated, progress.failed)
    return schemas.Import(id_, progress.status, *counts, shown)


def export_progress(progress: exports.Progress) -> schemas.Export:
    """Return the progress of an export."""
    files = [to_schema(file, schemas.ExportedFile) for file in progress.files]
    problem = UNSET if progress.error is None else to_schema(progress.error, schemas.ExportProblem)
    return to_schema(progress, schemas.Export, files=files, error=problem)


def batch_results(results: list[batches.Result]) -> schemas.BatchResults:
    """Return the results of a batch."""
    return schemas.BatchResults([_batch_result(result) for result in results])


def _batch_result(result: batches.Result) -> schemas.BatchResult:
    if result.error is None:
        return to_schema(result, schemas.BatchResult)
    details = _details(result.error.details)
    return to_schema(result, schemas.BatchResult, error=to_schema(result.error, schemas.BatchError, details=details))


def _details(details: list[Any] | None) -> list[schemas.Detail] | UnsetType:
    return [schemas.Detail(**detail) for detail in details] if details else UNSET


def error(raised: errors.ApiError, request_id: str) -> schemas.Error:
    """Return the body of an error response."""
    return schemas.Error(raised.code, raised.message, request_id, _details(raised.details))


def fit(encoded: Iterable[bytes], limit: int = MAX_LIST_BYTES) -> list[msgspec.Raw]:
    """Return the first JSON values that fit together into ``limit`` bytes, at least one."""
    fitting: list[msgspec.Raw] = []
    left = limit
    for value in encoded:
        left -= _encoded_size(value)
        if left < 0 and fitting:
            break
        fitting.append(msgspec.Raw(value))
    return fitting


def _encoded_size(part: bytes) -> int:
    """Return how many bytes a part of a body takes in the response that Lambda's runtime sends.

    There the body is a string in another JSON document, which the runtime for Python 3.11 writes in ASCII
    (awslambdaric, lambda_runtime_marshaller.py): a quote becomes 2 bytes, a character beyond ASCII 6 or 12.
    """
    return len(json.dumps(part.decode()))


def to_schema(stored: object, schema: type[_Schema], **computed: Any) -> _Schema:
    """Return a ``schema``. Its values are ``computed``, or else the attributes of ``stored`` that are not None."""
    for name in schema.__struct_fields__:
        if name not in computed and (value := getattr(stored, name)) is not None:
            computed[name] = value
    return schema(**computed)
