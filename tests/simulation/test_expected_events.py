"""The events of any two versions of an item are those that the simulation expects of them."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from chalicelib.aws import dynamodb_json
from chalicelib.events import item_events
from chalicelib.values import exact_json, ids
from tests.simulation import expected_events
from tests.simulation.dynamodb import Write
from tests.simulation.evidence import Change
from tests.simulation.streams import Stream

AT = 1_780_000_000.0
OWNER, ITEM = "ann", ids.new_id(1_780_000_000_000)


def some_image(chance: random.Random) -> dict[str, Any] | None:
    """Return a picture after some changes."""
    image = None
    for _ in range(chance.randint(0, 6)):
        image = next_image(chance, image)
    return image


def next_image(chance: random.Random, image: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a picture after one change, which ``item_pictures`` describes."""
    uploaded = {"status": "processing", "uploadId": chance.choice("abcdef"), "sequencer": chance.choice("12")}
    if image is None:
        return chance.choice(({"status": "pending", "uploadId": "a", "contentType": "image/png"}, uploaded))
    if chance.random() < 0.3:
        return chance.choice((None, uploaded))
    if image["status"] == "pending":
        return uploaded
    if image["status"] == "processing":
        return chance.choice((image | READY, image | FAILED, image | {"attempts": 1}, None))
    if image["status"] == "failed":
        return chance.choice((image, {**image, **READY, "error": None}))
    focus, number = chance.choice((None, {"x": Decimal("0.5"), "y": 1}, {"x": 0, "y": 0})), image["focusChanges"]
    changes = (
        {"focus": focus, "focusChanges": number + (focus != image["focus"])},
        {"thumbnailsFocus": image["focus"]},
        {"focus": image["thumbnailsFocus"]},  # The picture could not be rendered with its new focus.
        {"exposure": 1},
    )
    return image | chance.choice(changes)


READY = {
    "status": "ready",
    "contentType": "image/png",
    "width": 3,
    "height": 2,
    "bytes": 10,
    "focus": None,
    "focusChanges": 0,
    "thumbnailsFocus": None,
}
FAILED = {"status": "failed", "error": {"error": "IMAGE_LOST", "message": "Lost."}}


def some_version(chance: random.Random) -> dict[str, Any] | None:
    if chance.random() < 0.2:
        return None
    record: dict[str, Any] = {
        "version": chance.randint(1, 3),
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "fields": {"title": chance.choice(("Vase", "Bowl")), "on": chance.choice((True, 1, Decimal("1.5"), None))},
    }
    optional = {
        "expiresAt": chance.choice(
            ("2026-05-28T20:26:40.500Z", "2026-05-28T20:26:45.000Z", "2026-05-28T20:26:30.000Z")
        ),
        "visibility": "public",
        "hidden": True,
        "shares": [{"id": "a", "hash": "b", "createdAt": "c"}],
        "exposureDueAt": "2026-05-28T20:26:40.500Z",
        "indexed": "title:word",
    }
    return record | {name: value for name, value in optional.items() if value is not None and chance.random() < 0.5}


def test_events_of_any_two_versions_are_those_expected() -> None:
    chance = random.Random(0)
    compared = 0
    for _ in range(1000):
        old, new = some_version(chance), some_version(chance)
        if old is None and new is None:
            continue
        images = [some_image(chance)]
        images.append(next_image(chance, images[0]))
        for version, image in zip((old, new), images, strict=True):
            if version is not None and image is not None:
                version["image"] = {name: value for name, value in image.items() if value is not None}
        expected = [*expected_events.of_life([Change(AT, OWNER, ITEM, old, new)])]

        found = [exact_json.from_json(one.json) for one in item_events.from_record(record(old, new))]

        assert sorted(map(brief, found), key=str) == sorted(map(wanted, expected), key=str), (old, new)
        compared += len(found)
    assert compared > 1000


def brief(event: dict[str, Any]) -> tuple[Any, ...]:
    changed = event["data"].get("changed")
    return event["type"], event["data"]["version"], None if changed is None else frozenset(changed)


def wanted(event: expected_events.Expected) -> tuple[Any, ...]:
    return event.type, event.version, event.changed


def record(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    """Return the stream's record of a change."""
    images = (
        None if one is None else {name: dynamodb_json.serialize(value) for name, value in one.items()}
        for one in (old, new)
    )
    write = Write(AT, f"OWNER#{OWNER}", f"ITEM#{ITEM}", *images)
    return Stream(lambda: AT, 1).append(write).event
