"""Managed fields in the body of a write: accepted if they equal the stored ones, so that an item can be sent back."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.models import MANAGED_FIELDS, Fields, Item
from chalicelib.http import serializers
from chalicelib.http.conditional_requests import Preconditions
from chalicelib.values import exact_json, ids, times


def split(body: Fields) -> tuple[Fields, Fields]:
    """Return the managed fields of a JSON object, and its other fields."""
    managed = {name: body[name] for name in MANAGED_FIELDS if name in body}
    return managed, {name: value for name, value in body.items() if name not in managed}


def write_check(conditions: Preconditions, managed: Fields) -> Check:
    """Return a check that ``conditions`` hold, and that ``managed`` fields equal those of the item to be written."""

    def check(item: Item) -> None:
        conditions.check_write(item)
        check_unchanged(item, managed)

    return check


def check_unchanged(item: Item, sent: Fields) -> None:
    """Raise ReservedFieldError for the fields in ``sent`` whose values differ from those of ``item``.

    These are equal: an id in upper and in lower case, a time with two offsets, 1 and 1.0, null and an absent field. The
    URLs in ``image`` are not compared, because they change with time.
    """
    if not sent:
        return
    stored = msgspec.to_builtins(serializers.managed_fields(item, url=lambda *_: ""))
    differing = [name for name, value in sent.items() if not _is_equal(value, stored.get(name))]
    if differing:
        raise errors.ReservedFieldError(*differing, stored=True)


def _is_equal(sent: Any, stored: Any) -> bool:
    # A value that no item can contain equals no stored value. It may be too large or too deeply nested to compare.
    if not validation.can_be_stored(sent):
        return False
    return exact_json.digest(_normalized(sent)) == exact_json.digest(_normalized(stored))


def _normalized(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_urls(value)
    if not isinstance(value, str):
        return value
    try:
        return ids.canonical_id(value) or times.format_time(times.parse_time(value))
    except ValueError:
        return value


def _without_urls(image: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in image.items() if name != "url"}
    thumbnails = kept.get("thumbnails")
    if isinstance(thumbnails, list):
        kept["thumbnails"] = [_without_urls(one) if isinstance(one, dict) else one for one in thumbnails]
    return kept
