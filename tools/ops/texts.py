"""What the commands show, as lines for a person and as JSON."""

from __future__ import annotations

from collections.abc import Sized
from datetime import datetime
from typing import Any

import msgspec

from chalicelib.values.exact_json import to_json
from chalicelib.values.times import format_time
from tools.laptop.terminal import printable
from tools.ops.cleanup import Swept
from tools.ops.items import Traces
from tools.ops.letters import Letter
from tools.ops.reasons import Reason

_BODY = 120  # characters of a body that are shown
_WHY = 400  # and of what went wrong

KINDS = {
    "expired": "expired items, deleted",
    "pictures": "pictures settled: stuck renders, uploads whose event was lost, expired tickets",
    "purged": "deleted items whose last objects were deleted",
    "imports": "imports resumed",
    "gone": "items that no longer existed",
    "failed": "entries that failed and are left for the next run",
}


def missing(keys: list[str], queued: int) -> str:
    """Which loose files have no current thumbnail, and what happens to them."""
    if not keys:
        return "Every loose file has its thumbnail."
    what = f"{len(keys)} loose file{'' if len(keys) == 1 else 's'} without a current thumbnail"
    outcome = "all are queued; files that are not pictures stay without one" if queued else "nothing was queued"
    return "\n".join([*map(printable, keys), f"{what}: {outcome}."])


def pretty(data: Any) -> str:
    """``data`` as JSON that a person can read too, its numbers exact."""
    return msgspec.json.format(to_json(data), indent=2).decode()


def number(letters: Sized) -> str:
    """``1 letter``, ``2 letters``."""
    return f"{len(letters)} letter{'' if len(letters) == 1 else 's'}"


def how_many(found: int, queue: str, elsewhere: int) -> str:
    """How many letters there are, and that there may be some more."""
    said = f"{queue} is empty." if not found else f"{found} in {queue}, the oldest first:"
    if not elsewhere:
        return said
    return f"{said}\nAbout {elsewhere} more cannot be seen now: another command holds them, for 5 minutes at most."


def letter(one: Letter, now: datetime, why: str = "") -> str:
    """A letter in two lines, and a third that says why it failed."""
    head = f"\n{one.id}  {printable(one.type or 'no type')}  sent {format_time(one.sent_at)} ({age(one, now)} ago)"
    lines = [f"{head}, handed out {one.receives} times", f"  body  {shortened(one.body, _BODY)}"]
    return "\n".join([*lines, f"  why   {why}"] if why else lines)


def why(reason: Reason | str) -> str:
    """Why a letter failed, or why that is not known."""
    if isinstance(reason, str):
        return reason
    return f"{shortened(reason.last_line or reason.error, _WHY)} ({format_time(reason.at)})"


def why_data(reason: Reason | str) -> dict[str, Any]:
    """Why a letter failed, for a program."""
    if isinstance(reason, str):
        return {"why": None, "whyNot": reason}
    return {"why": {"error": reason.error, "lastLine": reason.last_line, "at": format_time(reason.at)}}


def letter_data(one: Letter, now: datetime) -> dict[str, Any]:
    """A letter for a program, with its whole body."""
    return {
        "id": one.id,
        "queue": one.queue,
        "type": one.type,
        "sentAt": format_time(one.sent_at),
        "ageSeconds": int((now - one.sent_at).total_seconds()),
        "receives": one.receives,
        "body": one.body,
    }


def age(one: Letter, now: datetime) -> str:
    """How long ago a letter was sent, in its two largest units."""
    minutes, seconds = divmod(max(int((now - one.sent_at).total_seconds()), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def shortened(text: str, length: int) -> str:
    """``text`` on one line, its end cut off where it is longer than ``length`` characters."""
    return printable(text) if len(text) <= length else f"{printable(text[:length])}… ({len(text)} characters)"


def swept(result: Swept) -> str:
    """What a cleanup did, a line for each kind."""
    counted = [f"{count:>7}  {kind}: {KINDS.get(kind, 'done')}" for kind, count in sorted(result.counts.items())]
    failures = [f"         {printable(f'{one.kind} {one.id}: {one.error}')}" for one in result.failures]
    unnamed = result.counts.get("failed", 0) - len(result.failures)
    if unnamed > 0:
        failures.append(f"         {unnamed} that the logs do not name (yet): `logs clean_up` shows them.")
    rest = [] if result.finished else ["It ran out of time: run it again, or leave the rest to the next hour."]
    return "\n".join([*(counted or ["Nothing was due."]), *failures, *rest])


def item(owner: str, id_: str, traces: Traces, now: datetime) -> str:
    """An item with its objects and what is to come of it."""
    lines = [f"Item {id_} of {owner}", "", "Record"]
    lines += _indented(pretty(traces.record)) if traces.record else ["  none: it was deleted or never existed"]
    lines += ["", "Due"]
    lines += [f"  {at}  {what}" for at, what in traces.due.items()]
    if traces.purge_due_at:
        lines.append(f"  {traces.purge_due_at}  the item is deleted, its last objects are not yet")
    if lines[-1] == "Due":
        lines.append("  nothing")
    lines += ["", f"Objects ({len(traces.objects)}, {sum(one.size for one in traces.objects)} bytes)"]
    lines += [f"  {one.size:>10}  {format_time(one.modified_at)}  {printable(one.key)}" for one in traces.objects]
    lines += ["", f"Dead letters that name it ({len(traces.letters)})"]
    return "\n".join([*lines, *(letter(one, now) for one in traces.letters)])


def _indented(text: str) -> list[str]:
    return [f"  {printable(line)}" for line in text.splitlines()]
