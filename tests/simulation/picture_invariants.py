"""Invariants of pictures, and of objects in the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.aws import bucket, dynamodb_json
from chalicelib.config import CENTRE
from tests.simulation.acts import Act, Ledger
from tests.simulation.evidence import changes, records, shown_item
from tests.simulation.invariants import invariant
from tests.simulation.pictures import thumbnail
from tests.simulation.s3 import Put
from tests.simulation.world import World


@invariant
def pictures_are_of_the_newest_upload(world: World, ledger: Ledger) -> Iterator[str]:
    tickets = {act.body["upload"]["fields"]["key"]: act for act in ledger.of("ticket") if act.done}
    void = _cancelled_uploads(world)
    for record in records(world, "ITEM"):
        owner, id_ = record["pk"]["S"][6:], record["sk"]["S"][5:]
        prefix = f"uploads/items/{owner}/{id_}/"
        valid = [
            put for put in world.s3.log if put.key.startswith(prefix) and put.key[len(prefix) :] > void.get(id_, "")
        ]
        newest = [put for put in valid if not any(_must_replace(other, put, tickets) for other in valid)]
        image = (shown_item(world, owner, id_) or {}).get("image")
        candidates: list[Put | None] = [*newest] or [None]
        problems = [_problems(world, f"items/{owner}/{id_}/", image, put) for put in candidates]
        if all(problems):
            yield f"{id_} shows {_brief(image)}: {'; or '.join(', '.join(each) for each in problems)}"


def _problems(world: World, folder: str, image: dict[str, Any] | None, put: Put | None) -> list[str]:
    """Return the problems of an item's picture and its folder. ``put`` is the newest upload, None if there is none."""
    nothing = "there is no upload" if image else None
    wrong = nothing if put is None else _wrong(put, image, world)
    return [*([wrong] if wrong else []), *_wrong_objects(world, folder, put, image)]


def _must_replace(later: Put, put: Put, tickets: dict[str, Act]) -> bool:
    """Return whether an upload must replace another: its ticket was requested when the other's existed."""
    if later.key == put.key:
        return later.sequencer > put.sequencer
    return tickets[later.key].started >= tickets[put.key].ended


def _cancelled_uploads(world: World) -> dict[str, str]:
    """Return, by item, the last upload that was cancelled because its picture was deleted."""
    found: dict[str, str] = {}
    for change in changes(world):
        # A picture also disappears if its object is deleted, but only a delete request cancels uploads permanently.
        if (
            change.old
            and change.new
            and "image" in change.old
            and "image" not in change.new
            and "lastUpload" in change.new
        ):
            found[change.id] = max(change.old["image"].get("uploadId", ""), change.old.get("lastUpload", ""))
    return found


def _wrong(put: Put, image: dict[str, Any] | None, world: World) -> str | None:
    """Return the problem of an item's picture if ``put`` is the newest upload, or None if it is right."""
    problem = f"the newest upload is {put.data[:20]!r} at {put.key}"
    if image is None or image["status"] != ("ready" if put.data.startswith(b"good") else "failed"):
        return problem
    if image["status"] == "failed":
        return None
    if f"{put.key}?" not in image["url"] or image["bytes"] != len(put.data):
        return problem
    focus = (image["focus"]["x"], image["focus"]["y"]) if "focus" in image else CENTRE
    for one in image["thumbnails"]:
        found = world.s3.objects.get(_key(one["url"]))
        if found is None or found.data != thumbnail(put.data, one["size"], focus):
            return f"{problem}, and thumbnail {one['size']} is {found and found.data!r}"
    return None


def _brief(image: dict[str, Any] | None) -> str:
    if image is None:
        return "no picture"
    return f"{image['status']} {_key(image['url']) if 'url' in image else image.get('error', '')}"


def _key(url: str) -> str:
    return url.partition("?")[0].split("/", 4)[4]


def _wrong_objects(world: World, folder: str, newest: Put | None, image: dict[str, Any] | None) -> Iterator[str]:
    """Yield the objects in an item's folder that do not belong to its picture."""
    belongs = set()
    if image and newest:
        belongs.add(newest.key)
    if image and image["status"] == "ready":
        belongs |= {_key(one["url"]) for one in image["thumbnails"]}
    there = {key for key in world.s3.objects if key.partition("/")[2].startswith(folder)}
    if newest and image and image.get("error", {}).get("error") == "IMAGE_LOST":
        # A render that was given up may have written thumbnails. They stay: it may be sent back and succeed.
        own = newest.key.replace("uploads/", "thumbnails/", 1)
        there = {key for key in there if not key.startswith(f"{own}/")}
    if there - belongs:
        yield f"left over: {sorted(there - belongs)}"
    if belongs - there:
        yield f"missing: {sorted(belongs - there)}"


@invariant
def public_objects_are_those_of_exposed_items(world: World, _: Ledger) -> Iterator[str]:
    expected: dict[str, bytes] = {}
    may_stay: set[str] = set()
    for record in records(world, "ITEM"):
        item, id_ = dynamodb_json.deserialize_all(record), record["sk"]["S"][5:]
        image = item.get("image", {})
        folder = f"/{id_}/{image.get('uploadId')}/{item.get('exposures')}/"
        if "visibility" not in item and not item.get("shares"):
            continue
        if image.get("error", {}).get("error") == "IMAGE_LOST":
            may_stay |= {key for key in world.s3.objects if key.startswith("public/") and folder in key}
        own = {
            bucket.public_key(one["key"], item["publicSeed"], int(item["exposures"])): world.s3.objects[one["key"]].data
            for one in image.get("thumbnails", [])
        }
        expected |= own
        copy = world.dynamodb.partition(f"PUBLIC#{item.get('catalogue')}").get(f"ITEM#{id_}")
        thumbnails = dynamodb_json.deserialize_all(copy).get("image", {}).get("thumbnails", []) if copy else []
        if copy and {one["key"] for one in thumbnails} != own.keys():
            yield f"visitors of {id_} see {thumbnails}, not {sorted(own)}"
    there = {
        key: put.data for key, put in world.s3.objects.items() if key.startswith("public/") and key not in may_stay
    }
    if there != expected:
        yield f"left over: {sorted(there.keys() - expected.keys())}, missing: {sorted(expected.keys() - there.keys())}"


@invariant
def deleted_items_have_no_objects(world: World, _: Ledger) -> Iterator[str]:
    living = {record["sk"]["S"][5:] for record in records(world, "ITEM")}
    for key in world.s3.objects:
        parts = key.split("/")
        if parts[1] == "items" and parts[3] not in living:
            yield key


@invariant
def loose_files_have_thumbnails(world: World, _: Ledger) -> Iterator[str]:
    for key, put in world.s3.objects.items():
        if (
            not key.startswith("uploads/loose/")
            or not put.data.startswith(b"good")
            or put.sequencer in world.events.lost
        ):
            continue
        found = world.s3.objects.get(f"thumbnails/{key.removeprefix('uploads/')}.jpg")
        if found is None or found.data != thumbnail(put.data, 200):
            yield f"{key} is {put.data[:20]!r}, its thumbnail is {found and found.data!r}"
