"""What the commands print: text for a person, JSON for a program."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sized
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.config import LOCAL
from chalicelib.events.item_events import Encoded
from chalicelib.values.exact_json import from_json, to_json
from chalicelib.values.times import format_time
from tools.log_reader import HIDDEN_FIELDS
from tools.ops.cleanup_now import Result
from tools.ops.dead_letter import DeadLetter
from tools.ops.deployed_stage import API_HANDLER, Function
from tools.ops.failing_webhooks import InvalidRecord, OwnedWebhook
from tools.ops.failure_reasons import Reason
from tools.ops.function_code_update import Update
from tools.ops.function_log import LEVELS, Line
from tools.ops.invocation import Outcome
from tools.ops.item_lookup import ItemData
from tools.ops.reindexing import Counts
from tools.stage.names import code_stack_name, resource_stack_name
from tools.stage.retained_resources import BUCKET, TABLE, USER_POOL, Content
from tools.terminal_text import printable

if TYPE_CHECKING:
    from tools.ops.stage_removal import Remains

_MAX_BODY = 120  # characters
_MAX_REASON = 400  # characters

_CONTENTS = {TABLE: "records", BUCKET: "objects", USER_POOL: "users"}

RESULTS = {
    "expired": "expired items deleted",
    "pictures": "pictures checked: overdue thumbnail jobs, lost upload events, expired tickets",
    "purged": "deleted items whose last objects were deleted",
    "imports": "imports resumed",
    "deliveries": "deliveries to webhooks sent again",
    "skipped": "skipped: the record no longer exists or has changed",
    "failed": "failed, to be retried in the next run",
}
"""The results by which the cleanup counts its tasks."""


def json_text(data: Any) -> str:
    """Return ``data`` as indented JSON, with exact numbers."""
    return msgspec.json.format(to_json(data), indent=2).decode()


def dead_letter_text(letter: DeadLetter, now: datetime, reason: Reason | None = None) -> str:
    """Return a dead letter in two lines, and its reason in a third."""
    head = f"\n{letter.id}  {printable(letter.type or 'no type')}"
    head += f"  sent {format_time(letter.sent_at)} ({age(letter, now)} ago), received {letter.receives} times"
    lines = [head, f"  body    {shorten(letter.body, _MAX_BODY)}"]
    if reason:
        at = f" ({format_time(reason.at)})" if reason.at else ""
        lines.append(f"  reason  {shorten(reason.message or reason.error or '', _MAX_REASON)}{at}")
    return "\n".join(lines)


def dead_letter_json(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    """Return a dead letter with its whole body."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "type": letter.type,
        "sentAt": format_time(letter.sent_at),
        "ageSeconds": int((now - letter.sent_at).total_seconds()),
        "receives": letter.receives,
        "body": letter.body,
    }


def reason_json(reason: Reason) -> dict[str, Any]:
    """Return a reason."""
    return {"error": reason.error, "message": reason.message, "at": reason.at and format_time(reason.at)}


def queue_heading(queue: str, count: int, in_flight: int) -> str:
    """Return the line before a queue's dead letters."""
    heading = f"{count} in {queue}, the oldest first:" if count else f"{queue} is empty."
    if not in_flight:
        return heading
    return f"{heading}\nAbout {in_flight} more are in flight: another command received them, for up to 5 minutes."


def dead_letter_count_text(letters: Sized) -> str:
    """Return ``1 dead letter``, ``2 dead letters``."""
    return f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}"


def cleanup_text(result: Result) -> str:
    """Return what a cleanup did, one line for each result and for each failure."""
    lines = [f"{count:>7}  {name}: {RESULTS.get(name, 'done')}" for name, count in sorted(result.counts.items())]
    lines += [f"         {printable(f'{one.kind} {one.id}: {one.error}')}" for one in result.failures]
    others = result.counts.get("failed", 0) - len(result.failures)
    if others > 0:
        lines.append(f"         {others} more failed: see the log of clean_up.")
    if not result.finished:
        lines.append("Time limit reached: run it again, or leave the rest to the next cleanup.")
    return "\n".join(lines or ["Nothing was due."])


def invocation_text(name: str, stage: str, outcome: Outcome) -> str:
    """Return how an invocation ended: its result, or its error with the traceback; and the end of its log."""
    took = f"after {outcome.milliseconds:.0f} ms"
    if outcome.error:
        lines = [f"{name} of the stage {stage} failed {took}: {printable(outcome.error)}"]
        lines += [f"  {printable(line)}" for line in outcome.stack]
    else:
        lines = [f"{name} of the stage {stage} succeeded {took}. Result:", *_indented(json_text(outcome.result))]
    return "\n".join([*lines, "Log (the last 4 KB):", *(f"  {printable(line)}" for line in outcome.log)])


def missing_thumbnails_text(keys: list[str], queued: int) -> str:
    """Return the loose files without a current thumbnail, and whether their jobs were queued."""
    if not keys:
        return "Every loose file (in uploads/, belonging to no item) has a current thumbnail."
    what = f"{len(keys)} loose file{'' if len(keys) == 1 else 's'} (belonging to no item) without a current thumbnail"
    outcome = "all queued; files that are not pictures stay without one" if queued else "none queued"
    return "\n".join([*map(printable, keys), f"{what}: {outcome}."])


def reindex_text(counts: Counts, *, repaired: bool) -> str:
    """Return what a reindex found, one line for each kind of difference and for each failure."""
    kinds = (
        (counts.outdated, "items that were indexed with other fields than now", "indexed again"),
        (counts.missing, "items without some of their index records", "indexed again"),
        (counts.orphaned, "index records that do not fit any present item", "deleted"),
    )
    lines = [f"{count:>9,}  {what}{f': {done}' if repaired else ''}" for count, what, done in kinds if count]
    lines += [f"           {printable(f'{item} failed: {reason}')}" for item, reason in counts.failed.items()]
    if not lines:
        return f"{counts.items:,} items read. Their index is complete."
    return "\n".join([f"{counts.items:,} items read:", *lines])


def webhooks_text(found: list[OwnedWebhook], invalid: list[InvalidRecord], *, everything: bool) -> str:
    """Return the webhooks, each with its owner, its host and its problem, and then the invalid records."""
    if not found and not invalid:
        return "There are no webhooks." if everything else "No webhook is failing or switched off."
    lines = []
    for one in found:
        lines.append(printable(f"{one.webhook.status:<8} {one.webhook.id} {one.host}, of {one.owner}"))
        since = f"since {one.webhook.failing_since}: " if one.webhook.failing_since else ""
        if one.webhook.problem:
            lines.append(printable(f"         {since}{one.webhook.problem}"))
    lines += [printable(f"invalid  record WEBHOOKS# of {one.owner}: {one.error}") for one in invalid]
    return "\n".join(lines)


def webhook_json(one: OwnedWebhook) -> dict[str, Any]:
    """Return a webhook for ``--json``."""
    webhook = one.webhook
    return {
        "owner": one.owner,
        "id": webhook.id,
        "host": one.host,
        "status": webhook.status,
        "failingSince": webhook.failing_since,
        "problem": webhook.problem,
    }


def item_text(owner: str, id_: str, found: ItemData, now: datetime) -> str:
    """Return what is stored about an item, as text."""
    lines = [f"Item {id_} of {owner}", "", "Record"]
    lines += _indented(json_text(found.record)) if found.record else ["  none: it was deleted or never existed"]
    lines += ["", "Due for cleanup"]
    due = [f"  {at}  {reason}" for at, reason in found.due]
    if found.purge_due_at:
        due.append(f"  {found.purge_due_at}  the item is deleted, its last objects are not")
    lines += due or ["  nothing"]
    lines += ["", f"Objects ({len(found.objects)}, {sum(one.size for one in found.objects)} bytes)"]
    lines += [f"  {one.size:>10}  {format_time(one.modified_at)}  {printable(one.key)}" for one in found.objects]
    lines += ["", f"Dead letters ({len(found.dead_letters)})"]
    return "\n".join([*lines, *(dead_letter_text(letter, now) for letter in found.dead_letters)])


def log_line_text(line: Line) -> str:
    """Return a line of a log: its time, level, message and other fields, then the lines of its traceback."""
    at = format_time(datetime.fromtimestamp(line.time / 1000, UTC))
    fields = line.fields
    if "message" not in fields:
        return f"{at}  {printable(line.text)}"
    rest = [f"{name}={_value_text(value)}" for name, value in fields.items() if name not in HIDDEN_FIELDS]
    first = "  ".join([at, f"{fields.get('level', ''):<8}", str(fields["message"]), *rest])
    return "\n".join([printable(first), *_indented(str(fields.get("exception", "")))])


def log_line_json(line: Line) -> str:
    """Return a line of a log as it was logged if it is JSON, otherwise as an object with its time."""
    if line.fields:
        return line.text
    at = format_time(datetime.fromtimestamp(line.time / 1000, UTC))
    return to_json({"timestamp": at, "message": line.text}).decode()


def empty_log_text(function: Function, options: argparse.Namespace, *, log_exists: bool) -> str:
    """Return a sentence or two that say why no line is shown."""
    if log_exists:
        selected = options.level != LEVELS[0] or options.request
        what = "nothing of this kind" if selected else "nothing"
        sentences = [f"{function.handler} has logged {what} since {format_time(options.since)}."]
    else:
        sentences = [
            f"{function.handler} has no log yet: Lambda creates {function.log_group} when the function runs first."
        ]
    if options.stage == LOCAL and function.handler == API_HANDLER:
        sentences.append("`make run` serves the requests itself, and shows their lines in its terminal.")
    if options.follow:
        sentences.append("Waiting for lines; Ctrl-C ends it.")
    return " ".join(sentences)


def update_text(function: Function, done: Update) -> str:
    """Return what was done to the code of a function."""
    name, size = f"{function.handler} ({function.name})", f"{done.size / 2**20:.1f} MiB"
    match done.outcome:
        case "updated":
            return f"{name} runs the code of this folder: {size}, {done.seconds:.1f} s after the upload began."
        case "unchanged":
            return f"{name} runs the code of this folder already: {size}. Nothing was changed."
        case "checked":
            return f"{name} would get the code of this folder: {size}. Nothing was changed."


def removal_text(stage: str, remains: Remains, kept: list[Content]) -> str:
    """Return what a removal deletes and what it keeps, with numbers."""
    deleted = []
    if remains.functions or remains.code_stack or remains.recorded:
        origin = [f"the stack {code_stack_name(stage)}"] if remains.code_stack else []
        origin += ["what `chalice deploy` created"] if remains.recorded else []
        deleted.append(f"the API and {len(remains.functions)} functions: {' and '.join(origin)}")
    if remains.logs:
        megabytes = sum(remains.logs.values()) / 1e6
        deleted.append(f"the logs of the functions: {len(remains.logs)} log groups, {megabytes:,.1f} MB")
    if remains.resource_stack:
        deleted.append(f"the stack {resource_stack_name(stage)}: queues, alarms with their subscriptions, sign-in page")
    for name, total in remains.queues.items():
        number = "an unknown number of" if total is None else f"about {total:,}"
        deleted.append(f"the queue {name}: {number} messages")
    deleted += [content_text(one) for one in remains.contents if one not in kept]
    lines = [f"To be deleted of the stage {stage}, permanently:", *(f"  {line}" for line in deleted)]
    if kept:
        lines += ["To be kept (--with-data deletes it too):", *(f"  {content_text(one)}" for one in kept)]
    return "\n".join(lines)


def removed_text(stage: str, kept: list[Content]) -> str:
    """Return a text that says that a stage was removed, and what was kept."""
    if not kept:
        return f"Removed the stage {stage}."
    sentence = f"Removed the stage {stage}, but not {' and '.join(str(one) for one in kept)}."
    if {one.kind for one in kept} == {USER_POOL}:
        return sentence
    return f"{sentence} The stage cannot be created again before they are deleted, because it needs their names."


def content_text(content: Content) -> str:
    """Return a resource and the number of what it holds."""
    about = "" if content.exact else "about " if content.kind != BUCKET else "more than "
    return f"{content}: {about}{content.total:,} {_CONTENTS[content.kind]}"


def age(letter: DeadLetter, now: datetime) -> str:
    """Return how long ago a dead letter was sent, in its two largest units."""
    minutes, seconds = divmod(max(int((now - letter.sent_at).total_seconds()), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def shorten(text: str, length: int) -> str:
    """Return ``text`` on one line, cut off after ``length`` characters."""
    return printable(text) if len(text) <= length else f"{printable(text[:length])}… ({len(text)} characters)"


def event_text(event: Encoded) -> str:
    """Return an event in one line."""
    data = from_json(event.json)["data"]
    head = f"{format_time(event.at)}  {event.type:<16}  {event.item_id}  version {data['version']}  {event.owner}"
    details = data.get("reason") or ", ".join(data.get("changed", ()))
    return printable(f"{head}  {shorten(details, _MAX_REASON)}".rstrip())


def failed_change_text(keys: Any, error: Exception) -> str:
    """Return a line that says that a change cannot be made into events."""
    item = f"{keys['pk']['S']} {keys['sk']['S']}"
    return printable(f"Change of {item} failed: {type(error).__name__}: {error}. on_change keeps it as a dead letter.")


def _value_text(value: Any) -> str:
    """Return the value of a field: text without spaces as it is, everything else as JSON."""
    return value if isinstance(value, str) and not re.search(r"[\s\"]|^$", value) else to_json(value).decode()


def _indented(text: str) -> list[str]:
    return [f"  {printable(line)}" for line in text.splitlines()]
