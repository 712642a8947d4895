"""Entity tags, and the conditions that requests make with them (RFC 9110, sections 8.8.3 and 13.1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from chalicelib import errors

# An element of a list, which may be empty (RFC 9110, section 5.6.1.2): W/ and the tag, with its quotes. Spaces are
# matched once (*+), because a header that ends wrong after thousands of them would take seconds otherwise.
_ELEMENT = re.compile(r'[ \t]*+(?:(?:W/)?("[^\x00-\x20"\x7f]*"))?[ \t]*+(?:,|\Z)')

# An item's tag is its version. While it shows URLs that expire, the hour follows, so that a 304 never confirms a copy
# whose URLs have expired. What follows the version does not count in a write: web servers add the name of a
# compression there, such as "7-gzip" (Apache, mod_deflate: DeflateAlterETag).
_VERSION = re.compile(r'"(\d{1,18})(?:-[^"]*)?"')


class Tags(NamedTuple):
    """What a header names: some entity tags, each with its quotes and without W/, or any."""

    any: bool
    tags: frozenset[str]

    def names(self, tag: str) -> bool:
        """Return whether ``tag`` is one of these, by weak comparison (RFC 9110, section 8.8.3.2)."""
        return self.any or tag in self.tags

    def names_version(self, version: int) -> bool:
        """Return whether the tag of an item at ``version`` is one of these."""
        return self.any or any(_version(tag) == version for tag in self.tags)


class Preconditions(NamedTuple):
    """What a request demands of the current representation; None: nothing."""

    match: Tags | None = None
    none_match: Tags | None = None

    def check(self, item_id: str, version: int) -> None:
        """Raise VersionMismatchError if an item at ``version`` may not be written."""
        self.check_match(item_id, version)
        if self.none_match is not None and self.none_match.names_version(version):
            raise errors.VersionMismatchError(id=item_id, version=version, condition="If-None-Match excludes")

    def check_match(self, item_id: str, version: int) -> None:
        """Raise VersionMismatchError if ``If-Match`` does not name ``version``."""
        if self.match is not None and not self.match.names_version(version):
            raise errors.VersionMismatchError(id=item_id, version=version, condition="If-Match does not name")


NONE = Preconditions()


def parse(name: str, lines: list[str]) -> Tags | None:
    """Return what the lines of the header ``name`` name together, or None if there are none.

    A weak tag counts as the strong one, also in If-Match: see docs/decisions/0034. Raise InvalidRequestError if the
    header is malformed or empty.
    """
    if not lines:
        return None
    text = ", ".join(lines).strip(" \t")
    if text == "*":
        return Tags(any=True, tags=frozenset())
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
    return Tags(any=False, tags=frozenset(tags))


def _malformed(name: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        problem=f'{name} must be * or entity tags with their double quotes, such as "1": send the ETag as it came.',
        details=[{"path": name}],
    )


def _version(tag: str) -> int | None:
    found = _VERSION.fullmatch(tag)
    return int(found[1]) if found else None
