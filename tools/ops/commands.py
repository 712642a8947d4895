"""The commands: each does its work on a stage, and says what came of it to a person or to a program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from chalicelib.values import ids, times
from tools.interruption import Interruption
from tools.ops import cleanup, items, logs, loose, queues, reasons, texts
from tools.ops.letters import Letter
from tools.ops.queues import Queue, Report
from tools.ops.stage import Stage
from tools.stage.errors import StageError

PROGRESS_EVERY = 10
"""Letters between two lines that say how far a command is."""

SHOWN = 20
"""Letters that are shown before they are sent back or deleted: of more, the oldest."""


class Job(NamedTuple):
    """What a command is to do, where, and whom it tells."""

    stage: Stage
    options: argparse.Namespace
    interruption: Interruption

    @property
    def queues(self) -> list[Queue]:
        """The stage's dead-letter queues."""
        return list(queues.of(self.stage, self.interruption))

    def say(self, text: str) -> None:
        """Tell a person something on the way; where the output is for a program, beside it."""
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def show(self, data: Any, text: str) -> None:
        """Give the result: ``data`` to a program, ``text`` to a person."""
        print(texts.pretty(data) if self.options.json else text, flush=True)


# -------------------------------------------------------------------------------------------------------- dead letters


class Part(NamedTuple):
    """What was chosen of one queue."""

    queue: Queue
    letters: list[Letter]


class Tally:
    """How far a command is that works through letters."""

    def __init__(self, chosen: int) -> None:
        self.chosen = chosen
        self.ids: list[str] = []
        self.by_sqs = 0
        """How many SQS moved by itself, which does not say which."""

    @property
    def count(self) -> int:
        """How many are done."""
        return len(self.ids) + self.by_sqs


def dead(job: Job) -> int:
    """Shows the dead letters, and why each failed."""
    looked = [(queue, queue.held_elsewhere(), queue.look()) for queue in job.queues]
    now = times.now()
    why = reasons.why(job.stage, [letter for *_, letters in looked for letter in letters], now)
    data = {
        "count": sum(len(letters) for *_, letters in looked),
        "heldElsewhere": sum(elsewhere for _, elsewhere, _ in looked),
        "letters": [
            texts.letter_data(letter, now) | texts.why_data(why[letter.id])
            for *_, letters in looked
            for letter in letters
        ],
    }
    lines = []
    for queue, elsewhere, letters in looked:
        lines.append(texts.how_many(len(letters), queue.name, elsewhere))
        lines += [texts.letter(letter, now, texts.why(why[letter.id])) for letter in letters]
    job.show(data, "\n".join(lines))
    return 0


def redrive(job: Job) -> int:
    """Sends dead letters back: jobs to their queue, events to their function."""
    chosen = _choose(job)
    _make_sure(job, chosen, "Send {} back?", "Nothing was sent back.", "y", "yes")

    def send_back(part: Part, tally: Tally, report: Report) -> None:
        if job.options.all and part.queue.url == job.stage.dead_letter_queue_url and _stay_the_same(part.letters):
            moved = part.queue.move_all(report)
            if moved is not None:
                tally.by_sqs = moved
                return
        part.queue.try_again([letter.id for letter in part.letters], tally.ids, report)

    return _work_through(job, chosen, "sentBack", "Sent back", send_back)


def _stay_the_same(letters: list[Letter]) -> bool:
    """Whether all of them ask for the same under a new id, which they get when SQS moves them."""
    return all(letter.job_again == letter.body for letter in letters)


def purge(job: Job) -> int:
    """Deletes dead letters for good."""
    chosen = _choose(job)
    _make_sure(job, chosen, "Delete {} for good?", "Nothing was deleted.", "yes")

    def delete(part: Part, tally: Tally, report: Report) -> None:
        part.queue.delete([letter.id for letter in part.letters], tally.ids, report)

    return _work_through(job, chosen, "deleted", "Deleted", delete)


def _choose(job: Job) -> list[Part]:
    """The letters that were named, or all. Raises StageError where one that was named is not there."""
    found = [Part(queue, queue.look()) for queue in job.queues]
    if not job.options.all:
        wanted = {ids.canonical_id(id_) or id_ for id_ in job.options.ids}
        missing = wanted - {letter.id for part in found for letter in part.letters}
        if missing:
            raise StageError(f"There is no dead letter {' and no '.join(sorted(missing))}. Nothing was done.")
        found = [Part(queue, [letter for letter in letters if letter.id in wanted]) for queue, letters in found]
    return [part for part in found if part.letters]


def _make_sure(job: Job, chosen: list[Part], question: str, otherwise: str, *accepted: str) -> None:
    """Show what was chosen, and ask. Raises StageError, saying ``otherwise``, unless somebody agrees."""
    letters = [letter for part in chosen for letter in part.letters]
    now = times.now()
    for letter in letters[:SHOWN]:
        job.say(texts.letter(letter, now))
    if letters[SHOWN:]:
        job.say(f"\nand {len(letters) - SHOWN} more: `dead` shows all of them.")
    where = " and ".join(f"{texts.number(part.letters)} of {part.queue.url}" for part in chosen)
    if chosen and not agreed(job, question.format(where), *accepted):
        raise StageError(otherwise)


def _work_through(
    job: Job, chosen: list[Part], name: str, word: str, act: Callable[[Part, Tally, Report], None]
) -> int:
    """Let ``act`` do it to what was shown, and say how many it did, even where it is stopped."""
    tally = Tally(sum(len(part.letters) for part in chosen))
    try:
        for part in chosen:
            act(part, tally, _report(job, word, tally.chosen))
    finally:
        missed = tally.chosen - tally.count
        data = {name: tally.count, "chosen": tally.chosen, "ids": tally.ids}
        text = f"{word} {tally.count} of {tally.chosen}." if chosen else "There are no dead letters."
        job.show(data, f"{text} {missed} not: look again with `dead`." if missed > 0 else text)
    return 1 if missed > 0 else 0


def _report(job: Job, word: str, number: int) -> Report:
    said = 0

    def report(done: int) -> None:
        nonlocal said
        if done >= said + PROGRESS_EVERY and done < number:
            said = done
            job.say(f"{word} {done} of {number} …")

    return report


def agreed(job: Job, question: str, *accepted: str) -> bool:
    """Whether somebody says one of ``accepted``, or has said ``--yes``. Where nobody can answer, the answer is no."""
    if job.options.yes:
        return True
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes.", file=sys.stderr)
        return False
    hint = "[y/N]" if "y" in accepted else f"Type {accepted[-1]}:"
    print(f"{question} {hint} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in accepted


# ------------------------------------------------------------------------------------------------------ everything else


def clean_up(job: Job) -> int:
    """Has the cleanup run now, and shows what it did."""
    job.say("The cleanup is running; it may take minutes.")
    swept = cleanup.run(job.stage)
    failed = swept.counts.get("failed", 0)
    data = {
        "counts": swept.counts,
        "finished": swept.finished,
        "failures": [one._asdict() for one in swept.failures],
    }
    job.show(data, texts.swept(swept))
    return 1 if failed else 0


def render_missing(job: Job) -> int:
    """Queue the render of each loose file that lacks its thumbnail; with ``--dry-run``, only list them."""
    keys = loose.without_thumbnail(job.stage)
    queued = 0
    if keys and not job.options.dry_run:
        loose.render(job.stage, keys, _report(job, "Queued", len(keys)))
        queued = len(keys)
    job.show({"missing": len(keys), "queued": queued, "keys": keys}, texts.missing(keys, queued))
    return 0


def tail(job: Job) -> int:
    """Shows what the functions log, in the order of time; with ``--follow`` until it is stopped."""
    functions = job.stage.functions(*job.options.functions)
    since = datetime.now(UTC) - cast("timedelta", job.options.since)
    client = job.stage.client("logs")
    found = logs.follow(client, functions, since) if job.options.follow else logs.read(client, functions, since)
    shown = 0
    for entry in found:
        line = logs.as_it_is(entry) if job.options.json else logs.readable(entry)
        if line is not None:
            print(line, flush=True)
            shown += 1
    if not shown:
        job.say("Nothing was logged in that time.")
    return 0


def item(job: Job) -> int:
    """Shows all that there is of an item."""
    owner, id_ = job.options.owner, ids.canonical_id(job.options.id)
    if id_ is None:
        raise StageError(f"{job.options.id} is no item id: an id is a UUID.")
    traces = items.look(job.stage, owner, id_, [letter for queue in job.queues for letter in queue.look()])
    if not any(traces):
        raise StageError(f"There is nothing of an item {id_} of {owner}: no record, no object, no dead letter.")
    now = times.now()
    data = {
        "owner": owner,
        "id": id_,
        "record": traces.record,
        "due": [{"at": at, "what": what} for at, what in traces.due.items()],
        "purgeDueAt": traces.purge_due_at,
        "objects": [
            {"key": one.key, "size": one.size, "modifiedAt": times.format_time(one.modified_at)}
            for one in traces.objects
        ],
        "deadLetters": [texts.letter_data(letter, now) for letter in traces.letters],
    }
    job.show(data, texts.item(owner, id_, traces, now))
    return 0
