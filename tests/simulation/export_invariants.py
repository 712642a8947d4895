"""Invariants of exports: each item that exists throughout an export is in it once, with its picture."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from chalicelib.aws.bucket import Upload
from chalicelib.values import exact_json
from tests.simulation.acts import Act, Ledger
from tests.simulation.evidence import lives_of_items, states_between
from tests.simulation.invariants import invariant
from tests.simulation.world import World


class _Files(NamedTuple):
    """What is in the files of an export: the items, and the pictures by their names."""

    rows: list[dict[str, Any]]
    pictures: Counter[tuple[str, bytes]]


def check_exports(world: World, ledger: Ledger) -> None:
    """Check the exports three hours after all faults have stopped, before they expire."""
    known: set[str] = set()
    for act in ledger.of("export"):
        if act.done and act.body["id"] not in known:
            known.add(act.body["id"])
            world.exported += (f"{act} {problem}" for problem in _problems(world, ledger, act))


@invariant
def exports_are_exact(world: World, _: Ledger) -> Iterator[str]:
    yield from world.exported


def _problems(world: World, ledger: Ledger, act: Act) -> Iterator[str]:
    export = world.ask(act.owner, "GET", f"/exports/{act.body['id']}").body
    if export["status"] == "failed" and not world.was_calm:
        return
    if export["status"] != "done" or export["total"] != export["items"]:
        yield f"is not done: {export}"
        return
    files = _read(world, export)
    ids = [row["id"] for row in files.rows]
    if len(ids) != export["total"] or len(ids) != len(set(ids)):
        yield f"has {ids} instead of {export['total']} items"
    # The export may have been started by an earlier request with the same key, whose response was lost.
    same = [one for one in ledger.of("export") if one is act or (act.key and one.key == act.key)]
    started = min(one.started for one in same if one.owner == act.owner)
    by_id = {row["id"]: row for row in files.rows}
    for id_, life in lives_of_items(world).items():
        if life[0].owner == act.owner:
            states = states_between(life, started, world.timeline.now)
            yield from _problems_of_item(world, act, id_, states, by_id.pop(id_, None), files)
    if by_id:
        yield f"has unknown items: {by_id}"


def _problems_of_item(
    world: World, act: Act, id_: str, states: list[Any], row: dict[str, Any] | None, files: _Files
) -> Iterator[str]:
    """Yield what is wrong about an item, which had these ``states`` since before the export began."""
    is_unchanged = len(states) == 1 and states[0] is not None and "expiresAt" not in states[0]
    if row is None:
        if is_unchanged:
            yield f"has no {id_}, which is {states[0]}"
        return
    found = [state for state in states if state and _is_of(row, state)]
    if not found:
        yield f"has {row}, which was never so: {states}"
    image = found[0].get("image", {"status": "pending"}) if found else {"status": "pending"}
    name = (row.get("image") or {}).get("file")
    if name is None:
        if is_unchanged and act.details["pictures"] and image["status"] == "ready":
            yield f"has no picture of {id_}"
        return
    uploads = {put.data for put in world.s3.log if put.key == Upload(act.owner, id_, image["uploadId"]).key}
    if [files.pictures[name, data] for data in uploads if (name, data) in files.pictures] != [1]:
        yield f"has not one picture {name} of {uploads}: {files.pictures}"


def _is_of(row: dict[str, Any], state: dict[str, Any]) -> bool:
    if str(row["version"]) != str(state["version"]):
        return False
    own = {name: value for name, value in row.items() if name not in _MANAGED}
    if (row.get("visibility") or None) != state.get("visibility") and own.keys() != {"cells"}:
        return False
    return own == state["fields"] or own.keys() == {"cells"}


_MANAGED = {"id", "version", "createdAt", "updatedAt", "expiresAt", "visibility", "image"}


def _read(world: World, export: dict[str, Any]) -> _Files:
    files = _Files([], Counter())
    for file in export["files"]:
        key = unquote(urlsplit(file["url"]).path).split("/", 2)[2]
        data = world.s3.objects[key].data
        if file["name"].endswith(".ndjson"):
            files.rows.extend(exact_json.object_from_json(line) for line in data.splitlines())
        elif file["name"].endswith(".csv"):
            files.rows.extend(_row(cells) for cells in csv.DictReader(io.StringIO(data.decode(), newline="")))
        else:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                files.pictures.update((name, archive.read(name)) for name in archive.namelist())
    return files


def _row(cells: dict[str, str]) -> dict[str, Any]:
    image = exact_json.from_json(cells["image"]) if cells["image"] else None
    return {"id": cells["id"], "version": cells["version"], "image": image, "cells": cells}
