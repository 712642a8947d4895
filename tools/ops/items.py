"""One item, with everything that lies somewhere because of it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.aws.table import Key
from chalicelib.catalogue import messages
from tools.ops import objects
from tools.ops.letters import Letter
from tools.ops.objects import Object
from tools.ops.stage import Stage

DUE = {"expiresAt": "its time is up", "ticketUntil": "its upload ticket is over", "image.dueAt": "its render is stuck"}
"""What the cleanup comes for: the part of a record that says when, and what is the matter then."""


class Traces(NamedTuple):
    """All that there is of an item."""

    record: dict[str, Any] | None
    """As it lies in the table, with exact numbers."""
    purge_due_at: str | None
    """The item is gone, and at this time the cleanup makes sure that its objects are."""
    objects: list[Object]
    letters: list[Letter]
    """The dead letters that name it."""

    @property
    def due(self) -> dict[str, str]:
        """What the cleanup will come for, the first first: what is the matter, by the time."""
        record = self.record or {}
        times = {**record, "image.dueAt": record.get("image", {}).get("dueAt")}
        found = {str(times[name]): meaning for name, meaning in DUE.items() if times.get(name)}
        return dict(sorted(found.items()))


def look(stage: Stage, owner: str, id_: str, dead_letters: list[Letter]) -> Traces:
    """What there is of an item in the table, in the bucket and among ``dead_letters``."""
    # chalicelib finds its table where it does in the functions: by the environment.
    os.environ |= {"STAGE": stage.name, "BUCKET_NAME": stage.bucket}
    purge = table.get(Key(owner, "PURGE", id_))
    return Traces(
        table.get(Key(owner, "ITEM", id_)),
        purge["dueAt"] if purge else None,
        _objects(stage, owner, id_),
        [letter for letter in dead_letters if names(letter, owner, id_)],
    )


def names(letter: Letter, owner: str, id_: str) -> bool:
    """Whether a message is about that item."""
    match letter.job:
        case messages.RenderImage(key=key):
            upload = Upload.from_key(key)
            return upload is not None and (upload.owner, upload.item_id) == (owner, id_)
        case messages.DeleteItem(owner=its_owner, id=its_id):
            return (its_owner, its_id) == (owner, id_)
        case _:
            return False


def _objects(stage: Stage, owner: str, id_: str) -> list[Object]:
    originals = Upload(owner, id_, "").key
    thumbnails = bucket.THUMBNAILS + originals.removeprefix(bucket.UPLOADS)
    return [one for prefix in (originals, thumbnails) for one in objects.under(stage, prefix)]
