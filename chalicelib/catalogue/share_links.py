"""Share links: each shows one item, private or not, to everybody who has its URL, until it expires or is deleted.

The URL ends with a random token. Only its SHA-256 is stored, in the item (``Item.shares``) and in the key of a record
that leads to the item. The item decides: a record whose hash is not in its item shows nothing. So a link shows
nothing from the moment when the item is written without it. A record that is left over has no effect.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from chalicelib import errors, telemetry
from chalicelib.aws import table
from chalicelib.catalogue import items, public_copies
from chalicelib.catalogue.models import Item, Share
from chalicelib.values import ids, times

MAX_SHARES = 20
"""The most links of one item. Each takes about 200 bytes of the item's record, which is read with each list."""

# The token is in paths, which web servers log, and error messages may quote.
telemetry.add_secret_pattern(r"(/s(?:hares)?/+)[\w%-]{16,}")


def create(owner: str, item_id: str, expires_at: str | None, at: datetime) -> tuple[Share, str]:
    """Make a link to an item, and return it with its token, which cannot be read again.

    Raise ItemNotFoundError, InvalidExpiryError if the link would have expired at ``at``, TooManySharesError, and
    BusyError after eight attempts.
    """
    token = ids.new_token()
    share = Share(ids.new_id(times.unix_ms(at)), _hash(token), times.format_time(at), expires_at)
    if share.is_expired(at):
        raise errors.InvalidExpiryError

    def with_share(item: Item) -> Item:
        others = live(item, at)
        if share in others:
            return item  # An earlier attempt has succeeded although it seemed to fail.
        if len(others) >= MAX_SHARES:
            raise errors.TooManySharesError(limit=MAX_SHARES)
        # Write the record before the item, so that each link that the item has works.
        _write_record(share, item)
        return msgspec.structs.replace(items.make_exposable(item), shares=(*others, share))

    items.change(owner, item_id, with_share, at, is_update=False)
    return share, token


def live(item: Item, at: datetime) -> tuple[Share, ...]:
    """Return the links to an item that have not expired at ``at``, oldest first."""
    return tuple(share for share in item.shares if not share.is_expired(at))


def revoke(owner: str, item_id: str, share_id: str, at: datetime) -> None:
    """Delete a link to an item. Raise ItemNotFoundError, ShareNotFoundError, and BusyError after eight attempts."""
    revoked: set[Share] = set()

    def without_share(item: Item) -> Item:
        shares = live(item, at)
        revoked.update(share for share in shares if share.id == share_id)
        if not revoked:
            raise errors.ShareNotFoundError
        kept = tuple(share for share in shares if share not in revoked)
        # An earlier attempt may have succeeded although it seemed to fail.
        return item if kept == item.shares else msgspec.structs.replace(item, shares=kept)

    items.change(owner, item_id, without_share, at, is_update=False)
    delete_records(revoked)


def find_item(token: str, at: datetime) -> Item:
    """Return what the link with this token shows of its item.

    Raise ShareNotFoundError if there is no such link, or if it or the item has expired at ``at`` or was deleted.
    """
    hash_ = _hash(token) if ids.is_token(token) else None
    record = table.get(_key(hash_)) if hash_ else None
    item = items.find(record["owner"], record["item"]) if record else None
    if item is None or item.is_expired(at) or all(share.hash != hash_ for share in live(item, at)):
        raise errors.ShareNotFoundError
    return public_copies.of_shared(item)


def remove_expired(item: Item, at: datetime) -> Item:
    """Remove the links that have expired at ``at``, and return the item. DynamoDB deletes their records.

    Raise ItemNotFoundError if the item has been deleted or has expired, and BusyError after eight attempts.
    """
    if live(item, at) == item.shares:
        return item

    def with_live_shares(now: Item) -> Item:
        shares = live(now, at)
        return now if shares == now.shares else msgspec.structs.replace(now, shares=shares)

    return items.change(item.owner, item.id, with_live_shares, at, is_update=False)


def delete_records(shares: Iterable[Share]) -> None:
    """Delete the records of links that their items do not have any more. If that fails, they stay, and show nothing."""
    deletions = [table.Delete(_key(share.hash)) for share in shares]
    if not deletions:
        return
    try:
        table.write(*deletions)
    except (table.WriteRejectedError, *table.FAILURES):
        telemetry.logger.exception("Deleting records of share links failed: they stay, and show nothing")


def _write_record(share: Share, item: Item) -> None:
    expires_at = times.parse_time(share.expires_at) if share.expires_at else None
    put = table.Put(_key(share.hash), {"owner": item.owner, "item": item.id}, delete_after=expires_at)
    for _ in table.write_attempts():
        with contextlib.suppress(table.WriteRejectedError):
            table.write(put)
            return
    raise errors.BusyError


def _key(hash_: str) -> table.Key:
    return table.Key(table.share_partition(hash_), "SHARE", "")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
