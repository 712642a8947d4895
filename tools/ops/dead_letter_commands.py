"""The commands on the dead letters of a deployed stage: show them, send them back."""

from __future__ import annotations

from typing import NamedTuple

from chalicelib.values import ids, times
from tools.ops import failure_reasons, output
from tools.ops.command_context import CommandContext, ask
from tools.ops.dead_letter import DeadLetter
from tools.ops.dead_letter_queues import DeadLetterQueue
from tools.stage.errors import StageError

MAX_SHOWN = 20
"""How many dead letters are shown before they are sent back, the oldest first."""


class Selection(NamedTuple):
    """Dead letters of one queue."""

    queue: DeadLetterQueue
    letters: list[DeadLetter]


def show_dead_letters(context: CommandContext) -> int:
    """Show all dead letters, and why each failed."""
    listed = [(queue, queue.count_in_flight(), queue.list_all()) for queue in context.queues]
    letters = [letter for _, _, of_queue in listed for letter in of_queue]
    reasons = failure_reasons.find(context.stage, letters)
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
    context.print_result(data, "\n".join(lines))
    return 0


def redrive(context: CommandContext) -> int:
    """Send dead letters back: messages to their queue, failed events to their function."""
    selected = _select(context)
    total = sum(len(one.letters) for one in selected)
    _confirm(context, selected)
    done: list[str] = []
    try:
        for one in selected:
            one.queue.redrive([letter.id for letter in one.letters], done, context.progress_report("Sent back", total))
    finally:
        missed = total - len(done)
        text = f"Sent back {len(done)} of {total}." if selected else "There are no dead letters."
        if missed:
            text += f" {missed} skipped: run `dead-letters` to see them."
        context.print_result({"sentBack": len(done), "selected": total, "ids": done}, text)
    return 1 if missed else 0


def _select(context: CommandContext) -> list[Selection]:
    """Return the dead letters with the given ids, or all. Raise StageError if one of the ids is not found."""
    found = [Selection(queue, queue.list_all()) for queue in context.queues]
    if not context.options.all:
        wanted = {ids.canonical_id(id_) or id_ for id_ in context.options.ids}
        missing = wanted - {letter.id for one in found for letter in one.letters}
        if missing:
            raise StageError(f"There is no dead letter {' and no '.join(sorted(missing))}. Nothing was sent back.")
        found = [Selection(queue, [letter for letter in letters if letter.id in wanted]) for queue, letters in found]
    return [one for one in found if one.letters]


def _confirm(context: CommandContext, selected: list[Selection]) -> None:
    """Show what is selected, and ask. Raise StageError unless the user agrees."""
    if not selected:
        return
    letters = [letter for one in selected for letter in one.letters]
    now = times.now()
    for letter in letters[:MAX_SHOWN]:
        context.print_progress(output.dead_letter_text(letter, now))
    if letters[MAX_SHOWN:]:
        context.print_progress(f"\nand {len(letters) - MAX_SHOWN} more: `dead-letters` shows all of them.")
    where = " and ".join(f"{output.dead_letter_count_text(one.letters)} of {one.queue.url}" for one in selected)
    if not context.options.yes and not ask(f"Send {where} back?"):
        raise StageError("Nothing was sent back.")
