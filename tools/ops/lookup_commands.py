"""The commands that show data of a deployed stage: events, webhooks, one item."""

from __future__ import annotations

import sys
import time

from chalicelib.events import item_events
from chalicelib.values import ids, times
from tools.interruption import Interrupted
from tools.ops import failing_webhooks, item_lookup, output
from tools.ops.command_context import CommandContext
from tools.ops.failing_webhooks import InvalidRecord, OwnedWebhook
from tools.ops.stream_records import ChangeStream, Record
from tools.stage.errors import StageError

POLL_INTERVAL = 1.0  # seconds


def show_events(context: CommandContext) -> int:
    """Show the events of changes of items; with ``--follow``, until the user ends it.

    The code of this folder makes them again from the records of the table's stream. Return 1 if it cannot make events
    from some records.
    """
    options = context.options
    stream = ChangeStream(context.stage)
    failed = 0
    try:
        while True:
            for record in stream.read_new():
                failed += _print_events(record, since=options.since.timestamp(), as_json=options.json)
            if not options.follow:
                break
            time.sleep(POLL_INTERVAL)
    except Interrupted:
        if not options.follow:
            raise
    return 1 if failed else 0


def show_webhooks(context: CommandContext) -> int:
    """Show the webhooks that are failing or switched off; with ``--all``, the others too.

    Show the invalid records of webhooks too, and return 1 if there is one.
    """
    found: list[OwnedWebhook] = []
    invalid: list[InvalidRecord] = []
    for one in failing_webhooks.find(context.stage, everything=context.options.all):
        if isinstance(one, InvalidRecord):
            invalid.append(one)
        else:
            found.append(one)
    data = {
        "webhooks": [output.webhook_json(one) for one in found],
        "invalidRecords": [one._asdict() for one in invalid],
    }
    context.print_result(data, output.webhooks_text(found, invalid, everything=context.options.all))
    return 1 if invalid else 0


def show_item(context: CommandContext) -> int:
    """Show what is stored about an item: its record, its objects, and dead letters about it."""
    owner, id_ = context.options.owner, ids.canonical_id(context.options.id)
    if id_ is None:
        raise StageError(f"{context.options.id} is not an item id: an id is a UUID.")
    letters = [letter for queue in context.queues for letter in queue.list_all()]
    found = item_lookup.find(context.stage, owner, id_, letters)
    if not any(found):
        raise StageError(f"Nothing is stored about an item {id_} of {owner}: no record, no object, no dead letter.")
    now = times.now()
    data = {
        "owner": owner,
        "id": id_,
        "record": found.record,
        "due": [{"at": at, "reason": reason} for at, reason in found.due],
        "purgeDueAt": found.purge_due_at,
        "objects": [
            {"key": one.key, "size": one.size, "modifiedAt": times.format_time(one.modified_at)}
            for one in found.objects
        ],
        "deadLetters": [output.dead_letter_json(letter, now) for letter in found.dead_letters],
    }
    context.print_result(data, output.item_text(owner, id_, found, now))
    return 0


def _print_events(record: Record, *, since: float, as_json: bool) -> int:
    """Print the events of a record, unless it is older. Return how many records have failed: 0 or 1."""
    change = record["dynamodb"]
    if change["ApproximateCreationDateTime"] < int(since):
        return 0
    try:
        events = item_events.from_record(record)
    except Exception as error:  # noqa: BLE001 - the function goes on with the next record too
        print(output.failed_change_text(change["Keys"], error), file=sys.stderr, flush=True)
        return 1
    for event in events:
        print(event.json.decode() if as_json else output.event_text(event), flush=True)
    return 0
