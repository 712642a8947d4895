"""The S3 bucket: its keys, objects and presigned URLs. No other module accesses it.

::

    uploads/items/{owner}/{item}/{upload}                   an original: the picture uploaded to an item
    uploads/…                                               a loose file: a file uploaded outside items/
    thumbnails/items/{owner}/{item}/{upload}/{sequencer}-{etag}/{size}[-{number of the focus}].{jpg or webp}
                                                            a thumbnail of an item's picture
    thumbnails/{rest of a loose file's key}.jpg             the thumbnail of a loose file
    imports/{owner}/{import}.ndjson                         the entries of an import; a lifecycle rule deletes it
    exports/{owner}/{export}/{name}                         a file of an export, or a part of one; deleted as above

Until its ticket expires, several objects can be put at an upload's key. S3 gives each a ``sequencer``, which is greater
for the later of two objects at one key (AWS, "Event message structure"). It is empty if the cleanup found the upload.
``etag`` is the entity tag of the original from which the thumbnail was made: if an event was lost, the sequencer alone
does not identify that object.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import aws, telemetry
from chalicelib.aws import failures, presigned_downloads
from chalicelib.config import Size, settings
from chalicelib.values import ids

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef, GetObjectOutputTypeDef

UPLOADS = "uploads/"
THUMBNAILS = "thumbnails/"
IMPORTS = "imports/"
EXPORTS = "exports/"
PUBLIC = "public/"
"""The prefix of copies of thumbnails that visitors may load. CloudFront, if there is one, serves them to everybody."""
_ITEMS = "items/"

# Owners are part of keys, and of the URLs made from them.
telemetry.add_owner_pattern(rf'((?:{UPLOADS}|{THUMBNAILS}){_ITEMS}|{IMPORTS}|{EXPORTS})[^/\s"\\]+(?=/)')

MIN_PART_BYTES = 5 * 1024**2
"""The fewest bytes of each part of :func:`join`, except the last one (AWS, "Amazon S3 multipart upload limits")."""

NO_CACHE = "private, no-cache"
"""``Cache-Control`` of an object that may change at its key: browsers keep it, and ask whether it has changed."""

IMMUTABLE = "private, max-age=31536000, immutable"
"""``Cache-Control`` of an object that never changes at its key: browsers keep it for a year (RFC 8246)."""

IMMUTABLE_FOR_ALL = "public, max-age=31536000, immutable"
"""``Cache-Control`` of a public object that never changes at its key: shared caches keep it too."""

FAILURES = (BotoCoreError, ClientError)
"""The exceptions of this module's functions if S3 rejects a call or does not respond."""


class ObjectNotFoundError(Exception):
    """There is no object at this key."""


class Object(msgspec.Struct, frozen=True):
    """The object at a key. ``data`` is empty if the object is larger than the limit of the read."""

    etag: str
    size: int
    data: bytes
    content_type: str = ""


class Upload(msgspec.Struct, frozen=True):
    """An upload to an item. Ids sort by time, so a newer upload has a greater id."""

    owner: str
    item_id: str
    id: str

    @property
    def key(self) -> str:
        """The key of the original."""
        return f"{UPLOADS}{_item_folder(self.owner, self.item_id)}{self.id}"

    def thumbnail_key(self, size: Size, sequencer: str, etag: str, focus_changes: int = 0) -> str:
        """Return the key of the thumbnail of ``size``, after the focus was changed ``focus_changes`` times.

        Each object put at ``key``, and each change of the focus, has separate thumbnails: a slow job cannot overwrite
        or delete those of a later one, not even with the same focus, and a browser does not show those of an earlier
        one.
        """
        focus = f"-{focus_changes}" if focus_changes else ""
        name = f"{size.pixels}{focus}.{'jpg' if size.format == 'jpeg' else size.format}"
        return f"{THUMBNAILS}{_item_folder(self.owner, self.item_id)}{self.id}/{sequencer}-{etag}/{name}"

    @staticmethod
    def from_key(key: str) -> Upload | None:
        """Return the upload whose original is at ``key``, or None for a loose file."""
        parts = key.removeprefix(UPLOADS + _ITEMS).split("/")
        if not key.startswith(UPLOADS + _ITEMS) or len(parts) != 3 or not all(map(ids.is_id, parts[1:])):
            return None
        upload = Upload(unquote(parts[0]), parts[1], parts[2])
        # Other percent-encodings of the same owner are not valid keys.
        return upload if upload.key == key else None


class PresignedPost(msgspec.Struct, frozen=True):
    """A presigned POST: the URL, and the form fields that must precede the file."""

    url: str
    fields: dict[str, str]


def loose_thumbnail_key(key: str) -> str:
    """Return the key of a loose file's thumbnail. It contains the extension, so that b.png and b.jpg do not collide."""
    return f"{THUMBNAILS}{key.removeprefix(UPLOADS)}.jpg"


def public_key(thumbnail_key: str, seed: str, exposure: int) -> str:
    """Return the key of the copy of an item's thumbnail that visitors may load during an exposure of the item.

    An exposure is a period in which people other than the owner can see the item; ``exposure`` is its number. Each has
    separate copies: a slow job of an earlier one cannot delete those of a later one. ``seed`` is the item's
    (``public_catalogues.Reference``). It hides the entity tag, which is usually the MD5 of the original: with that,
    visitors could recognise a file, or see that two items have the same file.
    """
    item_id, upload_id, put, name = thumbnail_key.split("/")[3:]
    sequencer, _, etag = put.partition("-")
    return f"{_public_folder(seed, item_id)}{upload_id}/{exposure}/{sequencer}-{_digest(seed, etag)}/{name}"


def exposure(public_key: str) -> int:
    """Return the number of the exposure of its item for which a public copy was made."""
    return int(public_key.split("/")[5])


def import_key(owner: str, import_id: str) -> str:
    """Return the key of the object with the entries of an import."""
    return f"{IMPORTS}{_owner_segment(owner)}/{import_id}.ndjson"


def export_key(owner: str, export_id: str, name: str) -> str:
    """Return the key of an object of an export."""
    return f"{EXPORTS}{_owner_segment(owner)}/{export_id}/{name}"


def read(key: str, limit: int | None = None) -> Object:
    """Return an object, without its data if it has more than ``limit`` bytes. Raise ObjectNotFoundError."""
    return _object(_get(key), limit)


def read_if_changed(key: str, etag: str, limit: int | None = None) -> Object | None:
    """Return an object as :func:`read` does, or None if its entity tag is ``etag``. Raise ObjectNotFoundError."""
    try:
        answer = _get(key, IfNoneMatch=f'"{etag}"')
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
            return None
        raise
    return _object(answer, limit)


def _object(answer: GetObjectOutputTypeDef, limit: int | None) -> Object:
    size = answer["ContentLength"]
    with answer["Body"] as body:
        data = body.read() if limit is None or size <= limit else b""
    return Object(answer["ETag"].strip('"'), size, data, answer.get("ContentType", ""))


def read_range(key: str, start: int, size: int) -> bytes:
    """Return ``size`` bytes of an object from offset ``start``. Raise ObjectNotFoundError."""
    with _get(key, Range=f"bytes={start}-{start + size - 1}")["Body"] as body:
        return body.read()


def _get(key: str, **options: Any) -> GetObjectOutputTypeDef:
    try:
        return aws.s3().get_object(Bucket=aws.bucket_name(), Key=key, **options)
    except ClientError as error:
        if failures.error_code(error) != "NoSuchKey":
            raise
        raise ObjectNotFoundError(key) from error


def write(key: str, data: bytes, content_type: str, cache_control: str = NO_CACHE) -> None:
    """Write an object, replacing any at this key. ``cache_control`` says how long browsers keep it."""
    aws.s3().put_object(
        Bucket=aws.bucket_name(), Key=key, Body=data, ContentType=content_type, CacheControl=cache_control
    )


def join(key: str, parts: Sequence[str], content_type: str) -> None:
    """Concatenate the objects at the keys ``parts`` into one object at ``key``. S3 copies the bytes.

    Each part except the last one must have at least MIN_PART_BYTES. If this is interrupted, a lifecycle rule deletes
    what was copied.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only large exports need it

    bucket = aws.bucket_name()
    upload = aws.s3().create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type)["UploadId"]

    def copy(number: int) -> CompletedPartTypeDef:
        source: CopySourceTypeDef = {"Bucket": bucket, "Key": parts[number - 1]}
        answer = aws.s3().upload_part_copy(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, CopySource=source
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    with ThreadPoolExecutor(aws.CONNECTIONS) as pool:
        copied = list(pool.map(copy, range(1, len(parts) + 1)))
    aws.s3().complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": copied})


def copy(key: str, target: str, content_type: str, cache_control: str) -> None:
    """Copy an object within the bucket, with new headers. Raise ObjectNotFoundError."""
    try:
        aws.s3().copy_object(
            Bucket=aws.bucket_name(),
            Key=target,
            CopySource={"Bucket": aws.bucket_name(), "Key": key},
            MetadataDirective="REPLACE",
            ContentType=content_type,
            CacheControl=cache_control,
        )
    except ClientError as error:
        if failures.error_code(error) != "NoSuchKey":
            raise
        raise ObjectNotFoundError(key) from error


def delete(keys: Iterable[str]) -> None:
    """Delete objects. Keys without an object are ignored."""
    for key in keys:
        aws.s3().delete_object(Bucket=aws.bucket_name(), Key=key)


def item_keys(owner: str, item_id: str) -> list[str]:
    """Return the keys of all originals and thumbnails of an item."""
    return [key for top in (UPLOADS, THUMBNAILS) for key, _ in _list(f"{top}{_item_folder(owner, item_id)}")]


def public_keys(seed: str, item_id: str) -> list[str]:
    """Return the keys of all objects of an item that visitors may load."""
    return [key for key, _ in _list(_public_folder(seed, item_id))]


def original_etags(owner: str, item_id: str) -> dict[str, str]:
    """Return the entity tags of all originals of an item, by key."""
    return dict(_list(f"{UPLOADS}{_item_folder(owner, item_id)}"))


def upload_id(key: str) -> str:
    """Return the id of the upload to which an original, thumbnail or public copy of an item belongs."""
    return key.split("/")[4]


def thumbnail_version(key: str) -> tuple[str, int]:
    """Return the sequencer of the object from which a thumbnail was made, and how often the focus was changed by then.

    A thumbnail with a greater version is newer. The sequencer is empty if it is not known.
    """
    put, name = ["", "", *key.split("/")[5:]][-2:]
    changes = name.partition(".")[0].partition("-")[2]
    return put.partition("-")[0], int(changes) if changes.isdecimal() else 0


def presigned_post(key: str, content_type: str, max_bytes: int, period: timedelta) -> PresignedPost:
    """Return a presigned POST of one object to ``key``, valid for ``period``.

    S3 rejects any other content type and files of 0 or more than ``max_bytes`` bytes. It also rejects each field
    without a condition, so every field has one (AWS, "Creating a POST Policy").
    """
    post = aws.s3().generate_presigned_post(
        aws.bucket_name(),
        key,
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, max_bytes]],
        ExpiresIn=int(period.total_seconds()),
    )
    return PresignedPost(post["url"], post["fields"])


def presigned_get(key: str, content_type: str | None = None) -> str:
    """Return a download URL (see ``presigned_downloads``).

    ``content_type`` overrides that of an upload. Browsers then revalidate the object, because another one may be put at
    the upload's key until its ticket expires.
    """
    return presigned_downloads.url(
        key, **({"content_type": content_type, "cache_control": NO_CACHE} if content_type else {})
    )


def public_url(key: str) -> str:
    """Return a URL of a public object: that of CloudFront, if the stage has it, or else a download URL."""
    base = settings().public_url
    return f"{base}/{key}" if base else presigned_downloads.url(key)


def presigned_file(key: str, content_type: str, name: str) -> str:
    """Return a download URL that browsers save as a file. Its ``name`` must be ASCII without quotes."""
    return presigned_downloads.url(key, content_type=content_type, content_disposition=f'attachment; filename="{name}"')


def _public_folder(seed: str, item_id: str) -> str:
    return f"{PUBLIC}{_ITEMS}{_digest(seed, 'folder')}/{item_id}/"


def _digest(seed: str, text: str) -> str:
    return hmac.digest(seed.encode(), text.encode(), "sha256").hex()[:32]


def _item_folder(owner: str, item_id: str) -> str:
    return f"{_ITEMS}{_owner_segment(owner)}/{item_id}/"


def _owner_segment(owner: str) -> str:
    # An OIDC subject may contain any character, also "/". Clients remove the segments "." and ".." from a URL before
    # they send it (RFC 3986, section 5.2.4).
    return owner.replace(".", "%2E") if owner in (".", "..") else quote(owner, safe="")


def _list(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the key and the entity tag of each object under ``prefix``."""
    for page in aws.s3().get_paginator("list_objects_v2").paginate(Bucket=aws.bucket_name(), Prefix=prefix):
        for found in page.get("Contents", []):
            yield found["Key"], found["ETag"].strip('"')
