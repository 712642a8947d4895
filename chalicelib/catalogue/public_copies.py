"""What visitors see of a public item: a copy with its public fields, in the partition of the owner's public catalogue.

``items`` writes the copy and its index records in the transaction of the item's own write. So visitors see an item
from the moment when it is published until it is private again, and their requests never read private items.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.aws import bucket, table
from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.models import Image, Item, Publication
from chalicelib.values import exact_json


def of(item: Item | None) -> Item | None:
    """Return the public copy that the table contains of an item, or None if it has none.

    Its ``owner`` is the partition of the catalogue; its version and ``updated_at`` are of the last change that visitors
    could see.
    """
    if item is None or item.visibility is None or item.hidden:
        return None
    if item.published is None or item.catalogue is None or item.indexed is None:
        return None
    declaration = search_index_keys.parse(item.indexed)
    return Item(
        owner=table.public_partition(item.catalogue),
        id=item.id,
        version=item.published.version,
        created_at=item.created_at,
        updated_at=item.published.at,
        expires_at=item.expires_at,
        fields=declaration.shown(item.fields),
        image=image_of(item),
        indexed=declaration.public.text,
    )


def of_shared(item: Item) -> Item:
    """Return the fields that people with a share link see of its item: the same as those of a public item."""
    return Item(
        owner="",
        id=item.id,
        version=item.version,
        created_at=item.created_at,
        updated_at=item.published.at if item.published else item.updated_at,
        fields=search_index_keys.current().shown(item.fields),
        image=image_of(item),
    )


def image_of(item: Item) -> Image | None:
    """Return the picture of an exposed item as visitors see it: its thumbnails, with their public keys.

    Return None if there is none, or if the thumbnails are not copied to the public keys yet.
    """
    image = item.image
    if image is None or not item.is_exposed or image.exposure == 0 or image.exposure != item.exposures:
        return None
    return Image(
        status="ready",
        width=image.width,
        height=image.height,
        focus=image.thumbnails_focus,
        placeholder=image.placeholder,
        thumbnails=tuple(msgspec.structs.replace(one, key=public_key(item, one.key)) for one in image.thumbnails),
    )


def public_key(item: Item, key: str) -> str:
    """Return the key of the copy of a thumbnail that visitors may load during the current exposure of its item."""
    return bucket.public_key(key, item.public_seed or "", item.exposures)


def last_publication(old: Item | None, new: Item, *, is_update: bool = True) -> Publication | None:
    """Return the last change of ``new`` that visitors could see, or None if it is not exposed.

    ``old`` is its previous version, or None if it is new. ``is_update`` says whether ``updated_at`` is the time of the
    change from ``old`` to ``new``.
    """
    if not new.is_exposed:
        return None
    if old is None or old.published is None:
        return Publication(new.version, new.updated_at)
    if _is_seen_the_same(old, new):
        return old.published
    # Without an update, such as when copies of thumbnails are ready, updated_at may be the time of a private change.
    return Publication(new.version, new.updated_at if is_update else old.published.at)


def _is_seen_the_same(one: Item, other: Item) -> bool:
    (fields, *rest), (other_fields, *other_rest) = _seen(one), _seen(other)
    return exact_json.equal(fields, other_fields) and rest == other_rest


def _seen(item: Item) -> tuple[Any, ...]:
    declared = search_index_keys.parse(item.indexed) if item.indexed else search_index_keys.current()
    return declared.shown(item.fields), item.hidden, image_of(item)
