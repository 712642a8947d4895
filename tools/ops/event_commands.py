"""The command that shows the events of a stage's items."""

from __future__ import annotations

import sys
import time

from chalicelib.events import item_events
from tools.interruption import Interrupted
from tools.ops import output
from tools.ops.change_stream import ChangeStream, Record
from tools.ops.command_call import CommandCall

POLL_INTERVAL = 1.0  # seconds


def show_events(call: CommandCall) -> int:
    """Show the events of changes of items; with ``--follow``, until the user ends it.

    The code of this folder makes them again from the records of the table's stream. Return 1 if it cannot make events
    from some records.
    """
    options = call.options
    stream = ChangeStream(call.stage)
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
