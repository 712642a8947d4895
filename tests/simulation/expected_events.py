"""The events that follow from the writes of items, worked out from the records alone, without the code of the app."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tests.simulation.evidence import Change


class Expected(NamedTuple):
    """An event of a change of an item."""

    owner: str
    item: str
    version: int
    type: str
    position: int
    """The number of the change among those of its item: events must first appear in this order."""
    at: float
    record: dict[str, Any]
    """The item after the change; of a deleted one, before it."""
    changed: frozenset[str] | None = None
    reasons: frozenset[str] | None = None
    """The reasons that are right. Within a second of its expiry, an item may have been deleted for either."""

    @property
    def name(self) -> tuple[str, str, int]:
        """Return what no two events have in common: the item, the type and the version."""
        return self.item, self.type, self.version


def of_life(changes: list[Change]) -> Iterator[Expected]:
    """Yield the events of all changes of one item."""
    for position, change in enumerate(changes):
        for type_, details in _types(change):
            record = change.new or change.old or {}
            version = int(record["version"])
            yield Expected(change.owner, change.id, version, type_, position, change.at, record, **details)


def _types(change: Change) -> Iterator[tuple[str, dict[str, Any]]]:
    old, new = change.old or {}, change.new or {}
    if not old:
        yield "item.created", {}
    elif not new:
        yield "item.deleted", {"reasons": _reasons(old, change.at)}
    elif changed := _changed(old, new):
        yield "item.updated", {"changed": changed}
    if bool(new.get("visibility")) != bool(old.get("visibility")):
        yield ("item.published" if new.get("visibility") else "item.unpublished"), {}
    picture, before = new.get("image", {}), old.get("image", {})
    if old and picture.get("status") in ("ready", "failed") and _identity(picture) != _identity(before):
        yield f"picture.{picture['status']}", {}


def _changed(old: dict[str, Any], new: dict[str, Any]) -> frozenset[str]:
    names = {name for name in {*old["fields"], *new["fields"]} if _value(old, name) != _value(new, name)}
    names |= {name for name in ("expiresAt", "visibility") if old.get(name) != new.get(name)}
    before, after = old.get("image"), new.get("image")
    # A picture that is pending is only a ticket for one.
    is_removed = before is not None and before["status"] != "pending" and after is None
    is_refocused = before and after and _identity(before) == _identity(after) and _focus(before) != _focus(after)
    return frozenset(names | ({"image"} if is_removed or is_refocused else set()))


def _value(record: dict[str, Any], name: str) -> Any:
    """Return a value so that it can be compared: true is not 1, and a missing value is not null."""
    return _typed(record["fields"][name]) if name in record["fields"] else "missing"


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    return isinstance(value, bool), value


def _focus(image: dict[str, Any]) -> Any:
    return image.get("focus")


def _identity(image: dict[str, Any]) -> tuple[Any, ...]:
    return image.get("status"), image.get("uploadId"), image.get("sequencer")


def _reasons(old: dict[str, Any], at: float) -> frozenset[str]:
    expires_at = old.get("expiresAt")
    left = datetime.fromisoformat(expires_at).timestamp() - at if expires_at else 60.0
    return frozenset(
        {name for name, holds in (("asked", left > -1), ("expired", left < 1)) if holds},
    )
