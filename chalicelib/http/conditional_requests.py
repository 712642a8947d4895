"""Entity tags, and preconditions of requests (RFC 9110, sections 8.8.3 and 13.1)."""

from __future__ import annotations

import hashlib
import re

import msgspec

from chalicelib import errors
from chalicelib.aws import presigned_downloads
from chalicelib.catalogue.models import Item

# An element of a list, which may be empty (RFC 9110, section 5.6.1.2): an optional W/, and the tag with its quotes.
# Possessive quantifiers (*+): without them, a malformed header with thousands of spaces would take seconds.
_ELEMENT = re.compile(r'[ \t]*+(?:(?:W/)?("[^\x00-\x20"\x7f]*"))?[ \t]*+(?:,|\Z)')

# A write ignores what follows the version: the hour (see item_etag), or the name of a compression that a web server
# has added, such as "7-gzip" (Apache, mod_deflate: DeflateAlterETag).
_ITEM_TAG = re.compile(r'"(\d{1,18})(?:-[^"]*)?"')


class EntityTags(msgspec.Struct, frozen=True):
    """The value of a header: entity tags with their quotes but without W/, or ``*``."""

    tags: frozenset[str]
    any: bool = False

    def include(self, tag: str) -> bool:
        """Return whether ``tag`` is one of these, by weak comparison (RFC 9110, section 8.8.3.2)."""
        return self.any or tag in self.tags

    def include_version(self, version: int) -> bool:
        """Return whether a tag of an item at ``version`` is one of these."""
        return self.any or any(_version(tag) == version for tag in self.tags)


class Preconditions(msgspec.Struct, frozen=True):
    """The preconditions of a request. Each is None if the request does not have the header."""

    if_match: EntityTags | None = None
    if_none_match: EntityTags | None = None

    def check_read(self, item: Item) -> None:
        """Raise VersionMismatchError if ``If-Match`` does not include the version of ``item``."""
        if self.if_match is not None and not self.if_match.include_version(item.version):
            raise errors.VersionMismatchError(id=item.id, version=item.version, condition="If-Match does not name")

    def check_write(self, item: Item) -> None:
        """Raise VersionMismatchError if the preconditions exclude a write to ``item``."""
        self.check_read(item)
        if self.if_none_match is not None and self.if_none_match.include_version(item.version):
            raise errors.VersionMismatchError(id=item.id, version=item.version, condition="If-None-Match excludes")


def parse(name: str, lines: list[str]) -> EntityTags | None:
    """Return the entity tags in all lines of the header ``name``, or None if there are no lines.

    A weak tag counts as the strong one, in If-Match too: see docs/decisions/0034. Raise InvalidRequestError if the
    header is malformed or empty.
    """
    if not lines:
        return None
    text = ", ".join(lines).strip(" \t")
    if text == "*":
        return EntityTags(frozenset(), any=True)
    tags, position = set(), 0
    while position < len(text):
        element = _ELEMENT.match(text, position)
        if element is None:
            raise _malformed(name)
        tags.add(element[1])
        position = element.end()
    tags.discard(None)
    if not tags:
        raise _malformed(name)
    return EntityTags(frozenset(tags))


def item_etag(item: Item) -> str:
    """Return the entity tag of an item's JSON: its version.

    If the JSON contains URLs that expire, the hour follows, so that a 304 never confirms a copy with expired URLs. In
    the same hour, the URLs are the same.
    """
    if item.image is None or item.image.status != "ready":
        return f'"{item.version}"'
    return f'"{item.version}-{presigned_downloads.hour()}"'


def text_etag(text: str) -> str:
    """Return an entity tag that changes with ``text``."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def _malformed(name: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        problem=f'{name} must be * or entity tags with their double quotes, such as "1": send the ETag as it came.',
        details=[{"path": name}],
    )


def _version(tag: str) -> int | None:
    found = _ITEM_TAG.fullmatch(tag)
    return int(found[1]) if found else None
