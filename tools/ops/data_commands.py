"""The commands on the data of a deployed stage: dead letters, cleanup, missing thumbnails, search index, one item."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from chalicelib.config import LOCAL
from chalicelib.values import ids, times
from tools.ops import cleanup, failure_reasons, item_lookup, missing_thumbnails, output, reindexing, webhook_listing
from tools.ops.command_call import CommandCall, ask
from tools.ops.dead_letter import DeadLetter
from tools.ops.dead_letter_queues import DeadLetterQueue, Report
from tools.ops.webhook_listing import InvalidRecord, OwnedWebhook
from tools.stage import search_index_state
from tools.stage.errors import StageError

PROGRESS_INTERVAL = 10
"""How many messages are done between two lines about the progress."""

REINDEX_PROGRESS_INTERVAL = 1000
"""How many items are read between two lines about the progress of a reindex."""

MAX_SHOWN = 20
"""How many dead letters are shown before they are sent back, the oldest first."""


class Selection(NamedTuple):
    """Dead letters of one queue."""

    queue: DeadLetterQueue
    letters: list[DeadLetter]


def show_dead_letters(call: CommandCall) -> int:
    """Show all dead letters, and why each failed."""
    listed = [(queue, queue.count_in_flight(), queue.list_all()) for queue in call.queues]
    letters = [letter for _, _, of_queue in listed for letter in of_queue]
    reasons = failure_reasons.find(call.stage, letters)
    now = times.now()
    data = {
        "count": len(letters),
        "inFlight": sum(in_flight for _, in_flight, _ in listed),
        "deadLetters": [
            {**output.dead_letter_json(letter, now), "reason": output.reason_json(reasons[letter.id])}
            for letter in letters
        ],
    }
    lines = []
    for queue, in_flight, of_queue in listed:
        lines.append(output.queue_heading(queue.name, len(of_queue), in_flight))
        lines += [output.dead_letter_text(letter, now, reasons[letter.id]) for letter in of_queue]
    call.print_result(data, "\n".join(lines))
    return 0


def redrive(call: CommandCall) -> int:
    """Send dead letters back: messages to their queue, failed events to their function."""
    selected = _select(call)
    total = sum(len(one.letters) for one in selected)
    _confirm(call, selected)
    done: list[str] = []
    try:
        for one in selected:
            one.queue.redrive([letter.id for letter in one.letters], done, _progress(call, "Sent back", total))
    finally:
        missed = total - len(done)
        text = f"Sent back {len(done)} of {total}." if selected else "There are no dead letters."
        if missed:
            text += f" {missed} skipped: run `dead-letters` to see them."
        call.print_result({"sentBack": len(done), "selected": total, "ids": done}, text)
    return 1 if missed else 0


def run_cleanup(call: CommandCall) -> int:
    """Run the cleanup now, and show what it did."""
    call.print_progress("The cleanup is running; it may take minutes.")
    result = cleanup.run(call.stage)
    data = {
        "counts": result.counts,
        "finished": result.finished,
        "failures": [failure._asdict() for failure in result.failures],
    }
    call.print_result(data, output.cleanup_text(result))
    return 1 if result.counts.get("failed") else 0


def render_missing(call: CommandCall) -> int:
    """Queue thumbnail jobs for loose files that lack a thumbnail; with ``--dry-run``, only list the files."""
    keys = missing_thumbnails.without_thumbnail(call.stage)
    queued = 0
    if keys and not call.options.dry_run:
        missing_thumbnails.queue_thumbnail_jobs(call.stage, keys, _progress(call, "Queued", len(keys)))
        queued = len(keys)
    data = {"missing": len(keys), "queued": queued, "keys": keys}
    call.print_result(data, output.missing_thumbnails_text(keys, queued))
    return 0


def reindex(call: CommandCall) -> int:
    """Build or repair the search index; with ``--check``, only compare it with the items."""
    stage, check = call.stage, call.options.check
    deployed = search_index_state.state(stage.name, stage.client).deployed
    # `make run` deploys the code of this folder whenever it changes.
    if stage.name != LOCAL and deployed not in (None, search_index_state.declared()):
        raise StageError(
            f"ItemFields in this folder marks other fields than in the code that is deployed as {stage.name}: "
            "check out the revision that is deployed."
        )
    stage.set_environment()
    counts = reindexing.run(times.now(), _reindex_progress(call), repair=not check)
    if not check and not counts.failed:
        search_index_state.record_built(stage.name, stage.client)
    call.print_result(msgspec.to_builtins(counts), output.reindex_text(counts, repaired=not check))
    return 1 if counts.failed or (check and counts.wrong) else 0


def _reindex_progress(call: CommandCall) -> reindexing.Report:
    reported = 0

    def report(counts: reindexing.Counts) -> None:
        nonlocal reported
        if counts.items >= reported + REINDEX_PROGRESS_INTERVAL:
            reported = counts.items
            call.print_progress(f"{counts.items:,} items read, {counts.wrong:,} differences …")

    return report


def show_webhooks(call: CommandCall) -> int:
    """Show the webhooks that are failing or switched off; with ``--all``, the others too.

    Show the invalid records of webhooks too, and return 1 if there is one.
    """
    found: list[OwnedWebhook] = []
    invalid: list[InvalidRecord] = []
    for one in webhook_listing.find(call.stage, everything=call.options.all):
        if isinstance(one, InvalidRecord):
            invalid.append(one)
        else:
            found.append(one)
    data = {
        "webhooks": [output.webhook_json(one) for one in found],
        "invalidRecords": [one._asdict() for one in invalid],
    }
    call.print_result(data, output.webhooks_text(found, invalid, everything=call.options.all))
    return 1 if invalid else 0


def show_item(call: CommandCall) -> int:
    """Show everything that is stored about an item."""
    owner, id_ = call.options.owner, ids.canonical_id(call.options.id)
    if id_ is None:
        raise StageError(f"{call.options.id} is not an item id: an id is a UUID.")
    letters = [letter for queue in call.queues for letter in queue.list_all()]
    found = item_lookup.find(call.stage, owner, id_, letters)
    if not any(found):
        raise StageError(f"Nothing is stored about an item {id_} of {owner}: no record, no object, no dead letter.")
    now = times.now()
    data = {
        "owner": owner,
        "id": id_,
        "record": found.record,
        "due": [{"at": at, "reason": reason} for at, reason in found.due.items()],
        "purgeDueAt": found.purge_due_at,
        "objects": [
            {"key": one.key, "size": one.size, "modifiedAt": times.format_time(one.modified_at)}
            for one in found.objects
        ],
        "deadLetters": [output.dead_letter_json(letter, now) for letter in found.dead_letters],
    }
    call.print_result(data, output.item_text(owner, id_, found, now))
    return 0


def _select(call: CommandCall) -> list[Selection]:
    """Return the dead letters with the given ids, or all. Raise StageError if one of the ids is not found."""
    found = [Selection(queue, queue.list_all()) for queue in call.queues]
    if not call.options.all:
        wanted = {ids.canonical_id(id_) or id_ for id_ in call.options.ids}
        missing = wanted - {letter.id for one in found for letter in one.letters}
        if missing:
            raise StageError(f"There is no dead letter {' and no '.join(sorted(missing))}. Nothing was sent back.")
        found = [Selection(queue, [letter for letter in letters if letter.id in wanted]) for queue, letters in found]
    return [one for one in found if one.letters]


def _confirm(call: CommandCall, selected: list[Selection]) -> None:
    """Show what is selected, and ask. Raise StageError unless the user agrees."""
    if not selected:
        return
    letters = [letter for one in selected for letter in one.letters]
    now = times.now()
    for letter in letters[:MAX_SHOWN]:
        call.print_progress(output.dead_letter_text(letter, now))
    if letters[MAX_SHOWN:]:
        call.print_progress(f"\nand {len(letters) - MAX_SHOWN} more: `dead-letters` shows all of them.")
    where = " and ".join(f"{output.dead_letter_count_text(one.letters)} of {one.queue.url}" for one in selected)
    if not call.options.yes and not ask(f"Send {where} back?"):
        raise StageError("Nothing was sent back.")


def _progress(call: CommandCall, verb: str, total: int) -> Report:
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        if done >= reported + PROGRESS_INTERVAL and done < total:
            reported = done
            call.print_progress(f"{verb} {done} of {total} …")

    return report
