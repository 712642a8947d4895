"""Public catalogues: an owner has one, with an id that says nothing about the owner. Visitors read its items."""

from __future__ import annotations

import contextlib
import hmac
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.catalogue import search_index_keys
from chalicelib.values import ids


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public catalogue as stored."""

    id: str
    owner: str
    title: str = ""
    text: str = ""
    enabled: bool = True
    """Whether visitors can read it."""

    @property
    def partition(self) -> str:
        """What takes the place of the owner in the keys of its records."""
        return table.public_partition(self.id)


class Reference(NamedTuple):
    """The owner's record of the public catalogue: its id, and a secret that no response contains."""

    catalogue: str
    secret: str

    def seed(self, item_id: str) -> str:
        """Return what the keys of an item's public objects are made of, so that they say nothing about the owner."""
        return hmac.digest(self.secret.encode(), item_id.encode(), "sha256").hex()


def get_or_create_reference(owner: str) -> Reference:
    """Return the reference to the owner's public catalogue, and create it if there is none. Raise BusyError."""
    for _ in table.write_attempts():
        if found := find_reference(owner):
            return found
        new = Reference(ids.random_id(), ids.random_id())
        with contextlib.suppress(table.WriteRejectedError):  # Another request makes it.
            table.write_once(
                table.Put(_reference_key(owner), new._asdict(), table.ABSENT),
                _put(Catalogue(id=new.catalogue, owner=owner), table.ABSENT),
            )
            return new
    raise errors.BusyError


def find_reference(owner: str) -> Reference | None:
    """Return the reference to the owner's public catalogue, or None if there is none."""
    record = table.get(_reference_key(owner))
    return Reference(record["catalogue"], record["secret"]) if record else None


def get(id_: str) -> Catalogue:
    """Return a catalogue that visitors can read. Raise CatalogueNotFoundError if it does not exist or is disabled."""
    catalogue = find(id_)
    if catalogue is None or not catalogue.enabled:
        raise errors.CatalogueNotFoundError(id=id_)
    return catalogue


def find(id_: str) -> Catalogue | None:
    """Return a catalogue, even a disabled one, or None if it does not exist."""
    record = table.get(_key(id_)) if ids.is_id(id_) else None
    return msgspec.convert(record | {"id": id_}, Catalogue) if record else None


def get_or_create(owner: str) -> Catalogue:
    """Return the owner's public catalogue, and create it if there is none. Raise BusyError."""
    found = find(get_or_create_reference(owner).catalogue)
    if found is None:
        raise errors.BusyError
    return found


def change(owner: str, changes: dict[str, Any]) -> Catalogue:
    """Set some of the attributes of the owner's public catalogue, and return it.

    Raise BusyError after eight attempts.
    """
    for _ in table.write_attempts():
        old = get_or_create(owner)
        new = msgspec.structs.replace(old, **changes)
        unchanged = table.attributes_are(title=old.title or None, text=old.text or None, enabled=old.enabled and None)
        with contextlib.suppress(table.WriteRejectedError):
            table.write_once(_put(new, unchanged))
            return new
    raise errors.BusyError


def count_items(catalogue: Catalogue) -> int:
    """Return the number of a catalogue's items, including expired ones that are not deleted yet.

    One record of each is counted, of about 100 bytes: 80 items take a read unit.
    """
    return table.count(catalogue.partition, "FIND", search_index_keys.find_text(search_index_keys.UPDATED_AT, ""))


def _reference_key(owner: str) -> table.Key:
    return table.Key(owner, "CATALOGUE", "")


def _key(id_: str) -> table.Key:
    return table.Key(table.public_partition(id_), "CATALOGUE", "")


def _put(catalogue: Catalogue, condition: table.Condition) -> table.Put:
    record = msgspec.to_builtins(catalogue)
    return table.Put(_key(record.pop("id")), record, condition)
