"""The hourly cleanup: do the work that is due. The table's index ``due`` lists it, so the table is not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from chalicelib import errors, telemetry
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import bulk_imports, exports, item_pictures, items, public_pictures, share_links

MIN_REMAINING_MS = 15_000
"""Start no task if the function has less time left, in milliseconds. A single task takes less."""


def run(at: datetime, context: Any) -> Counter[str]:
    """Do the work that is due at ``at`` while the Lambda ``context`` has time. Return the number of tasks by result.

    A task that fails is logged, does not stop the others, and is tried again in the next run.
    """
    counts: Counter[str] = Counter()
    for key in _due_keys(at, context):
        if context.get_remaining_time_in_millis() < MIN_REMAINING_MS:
            telemetry.logger.warning("Time limit reached; continuing in the next run", done=counts)
            break
        telemetry.set_owner(key.owner)
        try:
            counts[_do_task(key, at)] += 1
        except Exception:  # noqa: BLE001 - one task that fails must not stop the others
            telemetry.logger.exception("Cleanup task failed", kind=key.kind, id=key.id)
            counts["failed"] += 1
        finally:
            telemetry.set_owner(None)
    for result, number in counts.items():
        telemetry.add_count(f"Cleanup.{result}", number)
    telemetry.logger.info("Cleanup finished", done=counts)
    return counts


def _due_keys(at: datetime, context: Any) -> Iterator[Key]:
    """Yield the keys of what is due, deliveries last: there may be many, and nothing else must wait for them."""
    yield from table.due_keys(at)
    deliveries = _until_half_time(table.due_keys(at, deliveries=True), context)
    if first := next(deliveries, None):
        # Every function imports this module, but only the cleanup needs the imported one.
        from chalicelib.catalogue import delivery_records  # noqa: PLC0415

        yield from delivery_records.in_fair_order(chain([first], deliveries))


def _until_half_time(keys: Iterator[Key], context: Any) -> Iterator[Key]:
    """Yield keys for half of the time that is left for tasks, so that some time is left to process them."""
    stop_at = (context.get_remaining_time_in_millis() + MIN_REMAINING_MS) / 2
    for key in keys:
        if context.get_remaining_time_in_millis() < stop_at:
            telemetry.logger.warning("Half of the time used to read deliveries; reading the others in the next run")
            return
        yield key


def _do_task(key: Key, at: datetime) -> str:
    """Do what is due on one record. Return the name of the result."""
    try:
        if key.kind == "DELIVERY":
            return _resume_delivery(key, at)
        if key.kind == "PURGE":
            item_pictures.purge(key.owner, key.id)
            return "purged"
        if key.kind == "IMPORT":
            bulk_imports.resume(key.owner, key.id, at)
            return "imports"
        if key.kind == "EXPORT":
            exports.resume(key.owner, key.id, at)
            return "exports"
        return _do_item_task(key, at)
    except errors.NotFoundError:
        return "skipped"  # It was deleted or changed since the index was read.


def _resume_delivery(key: Key, at: datetime) -> str:
    from chalicelib.catalogue import delivery_records  # noqa: PLC0415 - see _due_keys

    delivery_records.resume(key.owner, key.id, at)
    return "deliveries"


def _do_item_task(key: Key, at: datetime) -> str:
    item = items.find(key.owner, key.id)
    if item is None:
        return "skipped"
    if item.is_expired(at):
        item_pictures.delete_item(item.owner, item.id, at, expired=True)
        return "expired"
    if item.hidden:
        items.write_index(item.owner, item.id)
        return "published"
    item = share_links.remove_expired(item, at)
    item_pictures.do_work_due(item, at)
    public_pictures.do_work_due(item, at)
    return "pictures"
