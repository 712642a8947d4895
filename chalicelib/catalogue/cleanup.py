"""The hourly sweep: does what is due, and nothing else is read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from chalicelib import errors, telemetry
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import bulk_imports, item_pictures, items

MARGIN_MS = 15_000
"""What is left of the function's time when the sweep stops: more than one entry takes."""


def sweep(at: datetime, context: Any) -> Counter[str]:
    """Does everything that is due at ``at`` while the Lambda ``context`` has time, and counts what it did by kind.

    An entry that fails is logged, left for the next sweep, and stops nothing.
    """
    counts: Counter[str] = Counter()
    for key in table.due_keys(at):
        if context.get_remaining_time_in_millis() < MARGIN_MS:
            telemetry.logger.warning("The time is up: the next sweep goes on", done=counts)
            break
        telemetry.set_owner(key.owner)
        try:
            counts[_settle(key, at)] += 1
        except Exception:  # noqa: BLE001 - an entry stops nothing but itself
            telemetry.logger.exception("What was due could not be done", kind=key.kind, id=key.id)
            counts["failed"] += 1
        finally:
            telemetry.set_owner(None)
    for name, number in counts.items():
        telemetry.add_count(f"Cleanup.{name}", number)
    telemetry.logger.info("Swept", done=counts)
    return counts


def _settle(key: Key, at: datetime) -> str:
    try:
        return _done(key, at)
    except errors.NotFoundError:
        return "gone"  # or an item's end was put off since it was read


def _done(key: Key, at: datetime) -> str:
    """Does what is due on one record, and says of which kind it was. Raises NotFoundError if somebody was quicker."""
    if key.kind == "PURGE":
        item_pictures.purge(key.owner, key.id)
        return "purged"
    if key.kind == "IMPORT":
        bulk_imports.resume(key.owner, key.id, at)
        return "imports"
    item = items.find(key.owner, key.id)
    if item is None:
        return "gone"
    if item.over(at):
        item_pictures.remove_item(item.owner, item.id, at, over=True)
        return "expired"
    item_pictures.settle(item, at)
    return "pictures"
