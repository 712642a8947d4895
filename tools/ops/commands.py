"""The commands: each works on a deployed stage, prints the result and returns the exit code."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chalicelib.config import LOCAL
from chalicelib.values import ids, times
from tools.interruption import Interruption
from tools.ops import (
    app_functions,
    cleanup,
    dead_letter_queues,
    failure_reasons,
    invocation,
    item_lookup,
    missing_thumbnails,
    output,
    reindexing,
)
from tools.ops.dead_letter_queues import DeadLetterQueue, Report
from tools.ops.dead_letters import DeadLetter
from tools.ops.deployed_stage import Stage
from tools.stage import search_index
from tools.stage.errors import StageError

PROGRESS_INTERVAL = 10
"""How many messages are done between two lines about the progress."""

REINDEX_PROGRESS_INTERVAL = 1000
"""How many items are read between two lines about the progress of a reindex."""

MAX_SHOWN = 20
"""How many dead letters are shown before they are sent back, the oldest first."""


class CommandCall(NamedTuple):
    """One call of a command."""

    stage: Stage
    options: argparse.Namespace
    interruption: Interruption

    @property
    def queues(self) -> list[DeadLetterQueue]:
        """Return the stage's dead-letter queues."""
        return dead_letter_queues.of_stage(self.stage, self.interruption)

    def print_progress(self, text: str) -> None:
        """Print a line on the way to the result; with ``--json``, to stderr."""
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def print_result(self, data: Any, text: str) -> None:
        """Print the result: ``data`` with ``--json``, otherwise ``text``."""
        print(output.json_text(data) if self.options.json else text, flush=True)


Command = Callable[[CommandCall], int]


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
    deployed = search_index.state(stage.name, stage.client).deployed
    # `make run` deploys the code of this folder whenever it changes.
    if stage.name != LOCAL and deployed not in (None, search_index.declared()):
        raise StageError(
            f"ItemFields in this folder marks other fields than in the code that is deployed as {stage.name}: "
            "check out the revision that is deployed."
        )
    stage.set_environment()
    counts = reindexing.run(times.now(), _reindex_progress(call), repair=not check)
    if not check and not counts.failed:
        search_index.record_built(stage.name, stage.client)
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


def invoke(call: CommandCall) -> int:
    """Run one function with an event, deployed or in this process; or print a sample of its event."""
    name = call.options.function
    if call.options.sample or call.options.here:
        functions = app_functions.load(call.stage.name)
        if name not in functions:
            raise StageError(f"app.py has no function {name}. It has: {', '.join(sorted(functions))}.")
    if call.options.sample:
        print(output.json_text(functions[name].sample(call.stage, times.now())))
        return 0
    event = _read_event(call.options.event)
    if call.options.here:
        return _run_here(call, functions[name], event)
    function = call.stage.function(name)
    if call.options.dry_run:
        invocation.check(call.stage, function)
        call.print_result({"function": function.name}, f"{name} would be invoked, as {function.name}. It was not run.")
        return 0
    _confirm_invocation(call, name)
    outcome = invocation.invoke(call.stage, function, event)
    data = {**outcome._asdict(), "function": function.name}
    call.print_result(data, output.invocation_text(name, call.stage.name, outcome))
    return 1 if outcome.error else 0


def _run_here(call: CommandCall, function: app_functions.AppFunction, event: Any) -> int:
    """Run a function in this process, where a debugger can stop it. Its exceptions end the command with exit code 1."""
    _confirm_invocation(call, function.name)
    try:
        result = function.run(event)
    except Exception:  # noqa: BLE001 - any error of the function is shown, as Lambda would report it
        traceback.print_exc()
        return 1
    call.print_result({"result": result}, f"Result: {output.json_text(result)}")
    return 0


def _read_event(path: str | None) -> Any:
    """Return the JSON of a file, or of standard input if ``path`` is a hyphen. Raise StageError if it is not valid."""
    if path is None:
        raise StageError("An event is missing: --event FILE, or --event - for standard input (--sample prints one).")
    try:
        return json.loads(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise StageError(f"{path} is not JSON: {error}.") from error


def _confirm_invocation(call: CommandCall, name: str) -> None:
    """Ask before a function runs with the data of a deployed stage. Raise StageError unless the user agrees."""
    if call.stage.name == LOCAL or call.options.yes:
        return
    if not _ask(f"{name} changes the data of the stage {call.stage.name}, as any event of it does. Run it?"):
        raise StageError(f"{name} was not run.")


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
    if not call.options.yes and not _ask(f"Send {where} back?"):
        raise StageError("Nothing was sent back.")


def _ask(question: str) -> bool:
    """Return whether the user answers yes. Without a terminal, nobody does."""
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes.", file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _progress(call: CommandCall, verb: str, total: int) -> Report:
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        if done >= reported + PROGRESS_INTERVAL and done < total:
            reported = done
            call.print_progress(f"{verb} {done} of {total} …")

    return report
