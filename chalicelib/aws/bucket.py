"""The S3 bucket. Nothing else knows what lies where in it, or speaks to it.

::

    uploads/items/{owner}/{item}/{upload}                   the original of an upload to an item
    uploads/…                                               any other upload: a loose file
    thumbnails/items/{owner}/{item}/{upload}/{put}-{etag}/{size}.jpg
                                                            a thumbnail of an item's picture
    thumbnails/{the rest of a loose file's key}.jpg         the thumbnail of a loose file
    imports/{owner}/{import}.ndjson                         the entries of an import; expires by lifecycle

An upload's key can be put to several times while its ticket is good. ``put`` is the *sequencer* that S3 gives each: of
two objects put at one key, the later has the greater one (AWS, "Amazon S3 event message structure"). It is empty for an
upload that the cleanup found. ``etag`` is the entity tag of the bytes that the thumbnail was made of: an event that is
lost says nothing of the object that it was about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from botocore.exceptions import ClientError

from chalicelib import aws, telemetry
from chalicelib.values import ids

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

UPLOADS = "uploads/"
THUMBNAILS = "thumbnails/"
IMPORTS = "imports/"
_OF_ITEMS = "items/"

# In keys, and in the addresses made of them.
telemetry.hide_owner(rf'((?:{UPLOADS}|{THUMBNAILS}){_OF_ITEMS}|{IMPORTS})[^/\s"\\]+(?=/)')

URL_PERIOD = timedelta(hours=2)
"""How long a presigned URL to download from is good for."""


class ObjectGoneError(Exception):
    """There is no object at this key any more."""


class Object(NamedTuple):
    """The object at a key; ``data`` is empty if it is larger than the limit of the read."""

    etag: str
    size: int
    data: bytes


class Upload(NamedTuple):
    """One upload to an item; ids sort by time, so a newer upload has a greater one."""

    owner: str
    item_id: str
    id: str

    @property
    def key(self) -> str:
        """Where the original lies."""
        return f"{UPLOADS}{_folder(self.owner, self.item_id)}{self.id}"

    def thumbnail_key(self, size: int, sequencer: str, etag: str) -> str:
        """Return where the thumbnail of so many pixels lies: both its edges if it covers, its longer one if it fits.

        Each object put at ``key`` has thumbnails of its own, so that a slow render of one cannot write over another's.
        """
        return f"{THUMBNAILS}{_folder(self.owner, self.item_id)}{self.id}/{sequencer}-{etag}/{size}.jpg"

    @staticmethod
    def at(key: str) -> Upload | None:
        """The upload whose original is at ``key``, or None for a loose file."""
        parts = key.removeprefix(UPLOADS + _OF_ITEMS).split("/")
        if not key.startswith(UPLOADS + _OF_ITEMS) or len(parts) != 3 or not all(map(ids.is_id, parts[1:])):
            return None
        upload = Upload(unquote(parts[0]), parts[1], parts[2])
        # One owner may be escaped in many ways, and only the one that we use is ours.
        return upload if upload.key == key else None


class Post(NamedTuple):
    """A presigned POST: where the form goes, and the fields that come before the file."""

    url: str
    fields: dict[str, str]


def loose_thumbnail_key(key: str) -> str:
    """Where the thumbnail of a loose file belongs; the whole name is kept, so that b.png and b.jpg cannot collide."""
    return f"{THUMBNAILS}{key.removeprefix(UPLOADS)}.jpg"


def import_key(owner: str, import_id: str) -> str:
    """Return where the entries of an import are kept."""
    return f"{IMPORTS}{_segment(owner)}/{import_id}.ndjson"


def read(key: str, limit: int | None = None) -> Object:
    """Return an object, without its bytes if it has more than ``limit``. Raise ObjectGoneError."""
    return _read(_get(key), limit)


def read_if_changed(key: str, etag: str, limit: int | None = None) -> Object | None:
    """Return the object at ``key``, or None if it has that entity tag still. Raise ObjectGoneError."""
    try:
        answer = _get(key, IfNoneMatch=f'"{etag}"')
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
            return None
        raise
    return _read(answer, limit)


def _read(answer: GetObjectOutputTypeDef, limit: int | None) -> Object:
    size = answer["ContentLength"]
    with answer["Body"] as body:
        data = body.read() if limit is None or size <= limit else b""
    return Object(answer["ETag"].strip('"'), size, data)


def read_part(key: str, start: int, size: int) -> bytes:
    """Return ``size`` bytes of an object, from the byte ``start``. Raise ObjectGoneError."""
    with _get(key, Range=f"bytes={start}-{start + size - 1}")["Body"] as body:
        return body.read()


def _get(key: str, **options: Any) -> GetObjectOutputTypeDef:
    try:
        return aws.s3().get_object(Bucket=aws.bucket_name(), Key=key, **options)
    except ClientError as error:
        if aws.code_of(error) != "NoSuchKey":
            raise
        raise ObjectGoneError(key) from error


def write(key: str, data: bytes, content_type: str) -> None:
    """Puts an object; doing it again leaves the same."""
    aws.s3().put_object(Bucket=aws.bucket_name(), Key=key, Body=data, ContentType=content_type)


def delete(keys: Iterable[str]) -> None:
    """Deletes objects; one that is gone already is no error."""
    for key in keys:
        aws.s3().delete_object(Bucket=aws.bucket_name(), Key=key)


def objects_of(owner: str, item_id: str) -> list[str]:
    """The keys of an item's objects, originals and thumbnails, of all its uploads."""
    return [key for top in (UPLOADS, THUMBNAILS) for key, _ in _found(f"{top}{_folder(owner, item_id)}")]


def originals_of(owner: str, item_id: str) -> dict[str, str]:
    """Return the entity tags of the originals of all uploads to an item, by their keys."""
    return dict(_found(f"{UPLOADS}{_folder(owner, item_id)}"))


def upload_id(key: str) -> str:
    """Which upload an object of an item belongs to, be it the original or a thumbnail."""
    return key.split("/")[4]


def thumbnail_sequencer(key: str) -> str:
    """Return which of the objects put at an upload's key a thumbnail is of; empty if that is not known."""
    put = key.split("/")[5:-1]
    return put[0].partition("-")[0] if put else ""


def presigned_post(key: str, content_type: str, max_bytes: int, period: timedelta) -> Post:
    """Leave to POST one object to ``key``, which S3 itself holds to that type, and to 1 to ``max_bytes`` bytes.

    AWS, "Creating a POST policy": a field without a condition is refused, so each has one.
    """
    post = aws.s3().generate_presigned_post(
        aws.bucket_name(),
        key,
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, max_bytes]],
        ExpiresIn=int(period.total_seconds()),
    )
    return Post(post["url"], post["fields"])


def presigned_get(key: str, content_type: str | None = None) -> str:
    """Where an object can be downloaded for two hours; as ``content_type``, whatever it was uploaded as."""
    served_as = {"ResponseContentType": content_type} if content_type else {}
    return aws.s3().generate_presigned_url(
        "get_object",
        Params={"Bucket": aws.bucket_name(), "Key": key, **served_as},
        ExpiresIn=int(URL_PERIOD.total_seconds()),
    )


def _folder(owner: str, item_id: str) -> str:
    return f"{_OF_ITEMS}{_segment(owner)}/{item_id}/"


def _segment(owner: str) -> str:
    # An OIDC subject may hold anything, a slash too. A segment "." or ".." is a step in a path: clients take it before
    # they ask (RFC 3986, section 5.2.4).
    return owner.replace(".", "%2E") if owner in (".", "..") else quote(owner, safe="")


def _found(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the key and the entity tag of each object under ``prefix``."""
    for one in aws.s3().get_paginator("list_objects_v2").paginate(Bucket=aws.bucket_name(), Prefix=prefix):
        for found in one.get("Contents", []):
            yield found["Key"], found["ETag"].strip('"')
