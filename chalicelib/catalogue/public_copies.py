"""What visitors see of a public item: a copy with its public fields, in the partition of the owner's public catalogue.

``items`` writes the copy and its index records in the transaction of the item's own write. So visitors see an item as
soon as it is published, and no longer once it is private again, and private items cost them nothing.
"""

from __future__ import annotations

import msgspec

from chalicelib.aws import table
from chalicelib.catalogue import index_keys
from chalicelib.catalogue.models import Item, Publication
from chalicelib.values import exact_json


def of(item: Item | None) -> Item | None:
    """Return the public copy that the table contains of an item, or None if it has none.

    Its ``owner`` is the partition of the catalogue; its version and ``updated_at`` are of the last change that visitors
    could see.
    """
    if item is None or item.published is None or item.catalogue is None or item.indexed is None or item.hidden:
        return None
    declaration = index_keys.parse(item.indexed)
    return Item(
        owner=table.public_partition(item.catalogue),
        id=item.id,
        version=item.published.version,
        created_at=item.created_at,
        updated_at=item.published.at,
        expires_at=item.expires_at,
        fields=declaration.shown(item.fields),
        indexed=declaration.public.text,
    )


def last_publication(old: Item | None, new: Item) -> Publication | None:
    """Return the last change of ``new`` that visitors could see, or None if it is private.

    ``old`` is its previous version, or None if it is new.
    """
    if new.visibility is None:
        return None
    if old and old.published and _is_seen_alike(old, msgspec.structs.replace(new, published=old.published)):
        return old.published
    return Publication(new.version, new.updated_at)


def _is_seen_alike(one: Item, other: Item) -> bool:
    before, after = of(one), of(other)
    if before is None or after is None or not exact_json.equal(before.fields, after.fields):
        return False
    return msgspec.structs.replace(before, indexed=after.indexed) == after
