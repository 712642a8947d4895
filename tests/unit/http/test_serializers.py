"""The JSON of items, imports and errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from chalicelib import errors
from chalicelib.catalogue.models import MANAGED_FIELDS, Image, Item, PictureFailure, Thumbnail
from chalicelib.http import schemas, serializers

IMAGES = {
    "pending": Image(status="pending", upload_id="u", content_type="image/png"),
    "processing": Image(status="processing", upload_id="u", sequencer="1", due_at="2030-01-01T00:00:00.000Z"),
    "failed": Image(status="failed", upload_id="u", etag="e", error=PictureFailure("IMAGE_LOST", "Upload it again.")),
    "ready": Image(
        status="ready",
        upload_id="u",
        content_type="image/png",
        width=4,
        height=3,
        bytes=9,
        thumbnails=(Thumbnail(200, 4, 3, "thumbnails/secret"),),
    ),
}


def item(**values: Any) -> Item:
    times = {"created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-02T00:00:00.000Z"}
    return Item(**{"owner": "ann", "id": "i", "version": 2, "fields": {}, **times, **values})


def test_own_fields_follow_the_managed_fields() -> None:
    assert serializers.item(item(fields={"price": Decimal("1.50"), "big": 10**37})) == (
        b'{"id":"i","version":2,"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-02T00:00:00.000Z",'
        b'"price":1.50,"big":10000000000000000000000000000000000000}'
    )


def test_item_without_own_fields_is_valid_json() -> None:
    assert msgspec.json.decode(serializers.item(item())).keys() == set(MANAGED_FIELDS) - {"image"}


def test_expiry_is_included() -> None:
    assert msgspec.json.decode(serializers.item(item(expires_at="2030-01-01T00:00:00.000Z")))["expiresAt"]


@pytest.mark.parametrize("status", IMAGES)
def test_image_has_the_fields_of_its_status(status: str) -> None:
    managed = serializers.managed_fields(item(image=IMAGES[status]), url=lambda _, size: f"https://example.com/{size}")

    image = msgspec.to_builtins(managed.image)

    assert (
        image
        == {
            "pending": {"status": "pending", "contentType": "image/png"},
            "processing": {"status": "processing"},
            "failed": {"status": "failed", "error": {"error": "IMAGE_LOST", "message": "Upload it again."}},
            "ready": {
                "status": "ready",
                "contentType": "image/png",
                "width": 4,
                "height": 3,
                "bytes": 9,
                "url": "https://example.com/None",
                "thumbnails": [
                    {"size": 200, "width": 4, "height": 3, "url": "https://example.com/200", "type": "image/jpeg"}
                ],
            },
        }[status]
    )
    msgspec.convert(image, schemas.Image)


def test_error_without_details_has_none() -> None:
    assert msgspec.to_builtins(serializers.error(errors.ThrottledError(), "r")).keys() == {
        "error",
        "message",
        "requestId",
    }


def test_first_value_fits_whatever_its_size() -> None:
    huge = b'"' + b"x" * serializers.MAX_LIST_BYTES + b'"'

    assert serializers.fit([huge, b"1"]) == [msgspec.Raw(huge)]


def test_values_fit_up_to_the_limit() -> None:
    # Lambda encodes the body again: a quote takes 2 bytes.
    half = b'"' + b"x" * (serializers.MAX_LIST_BYTES // 2 - 6) + b'"'

    assert len(serializers.fit([half, half, b"1"])) == 2
