"""Which changes of items make which events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib.aws import table
from chalicelib.catalogue import webhooks
from chalicelib.catalogue.models import Focus, Image, Item, PictureFailure, Share, Thumbnail
from chalicelib.events import item_events
from chalicelib.http import serializers
from chalicelib.values import exact_json, ids, times
from tests import json_values
from tests.change_records import AT, record, record_of

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
SOON = times.format_time(AT + timedelta(hours=1))
UPLOAD, NEXT_UPLOAD = "019ca7b4-e400-7abc-8def-000000000001", "019ca7b4-e400-7abc-8def-000000000002"
PENDING = Image(status="pending", upload_id=UPLOAD, content_type="image/png")
PROCESSING = Image(status="processing", upload_id=UPLOAD, sequencer="1")
READY = Image(
    status="ready",
    upload_id=UPLOAD,
    sequencer="1",
    content_type="image/png",
    width=640,
    height=480,
    bytes=1000,
    thumbnails=(Thumbnail(200, 200, 200, "thumbnails/items/200"),),
    placeholder="AAAA",
)
FAILED = Image(
    status="failed", upload_id=UPLOAD, sequencer="1", error=PictureFailure("UNSUPPORTED_IMAGE", "Not a picture.")
)
FOCUSED = replace(READY, focus=Focus(Decimal("0.25"), Decimal("0.5")), focus_changes=1)


def item(**values: Any) -> Item:
    settings: dict[str, Any] = {
        "id": ID,
        "version": 1,
        "created_at": times.format_time(AT),
        "updated_at": times.format_time(AT),
        "owner": "ann",
        "fields": {"title": "Vase"},
    }
    return Item(**settings | values)


def events(old: Item | None, new: Item | None, at: Any = AT) -> list[dict[str, Any]]:
    """Return the events of a change."""
    return [exact_json.from_json(event.json) for event in item_events.from_record(record(old, new, at))]


def types(old: Item | None, new: Item | None) -> list[str]:
    return [event["type"] for event in events(old, new)]


def changed(old: Item, new: Item) -> list[str]:
    """Return what the only event of a change says has changed, or nothing if it makes no event."""
    made = events(old, new)
    assert [event["type"] for event in made] in (["item.updated"], [])
    return made[0]["data"]["changed"] if made else []


class TestCreation:
    def test_event_has_the_item_as_the_api_shows_it(self) -> None:
        new = item(fields={"title": "Vase", "price": Decimal("19.90"), "tags": ["glass"]}, expires_at=SOON)
        [event] = events(None, new)
        assert event["type"] == "item.created"
        assert (event["schema"], event["timestamp"]) == (1, "2026-11-27T12:00:00.000Z")
        assert event["data"] == {
            "owner": "ann",
            "itemId": ID,
            "version": 1,
            "item": exact_json.from_json(serializers.item(new)),
        }

    def test_public_item_is_published_too(self) -> None:
        assert types(None, item(visibility="public")) == ["item.created", "item.published"]

    def test_id_sorts_by_time_and_is_stable(self) -> None:
        made = record(None, item(visibility="public"))
        first, second = ([event.json for event in item_events.from_record(made)] for _ in range(2))
        assert first == second
        event_ids = [exact_json.from_json(one)["id"] for one in first]
        assert len(set(event_ids)) == 2
        assert all(ids.is_uuid7(one) and ids.id_time_ms(one) == times.unix_ms(AT) for one in event_ids)
        assert exact_json.from_json(first[0])["id"] != events(None, item(visibility="public"))[0]["id"]


class TestDeletion:
    @pytest.mark.parametrize(
        ("expires_at", "reason"),
        [
            (None, "asked"),
            (SOON, "asked"),
            (times.format_time(AT), "expired"),
            # A stream's time has whole seconds, rounded down.
            (times.format_time(AT + timedelta(milliseconds=999)), "expired"),
            (times.format_time(AT + timedelta(seconds=1)), "asked"),
        ],
    )
    def test_reason(self, expires_at: str | None, reason: str) -> None:
        [event] = events(item(version=7, expires_at=expires_at), None)
        assert event["type"] == "item.deleted"
        assert (event["data"]["reason"], event["data"]["version"]) == (reason, 7)
        assert event["data"]["item"]["title"] == "Vase"

    def test_public_item_is_unpublished_too(self) -> None:
        assert types(item(visibility="public"), None) == ["item.deleted", "item.unpublished"]


class TestUpdate:
    @pytest.mark.parametrize(
        ("old", "new", "names"),
        [
            ({"fields": {"a": 1, "b": 2, "c": 3}}, {"fields": {"a": 1, "b": 3, "d": 4}}, ["b", "c", "d"]),
            ({"fields": {"a": 1}}, {"fields": {"a": True}}, ["a"]),
            ({"fields": {"a": {"b": [1]}}}, {"fields": {"a": {"b": [2]}}}, ["a"]),
            ({"fields": {"a": None}}, {"fields": {}}, ["a"]),
            ({}, {"expires_at": SOON}, ["expiresAt"]),
            ({"expires_at": SOON}, {}, ["expiresAt"]),
            ({"image": READY}, {"image": FOCUSED}, ["image"]),
            ({"image": FOCUSED}, {"image": replace(FOCUSED, focus_changes=2, focus=None)}, ["image"]),
            *(({"image": image}, {}, ["image"]) for image in (READY, PROCESSING, FAILED)),
        ],
    )
    def test_changed_names(self, old: dict[str, Any], new: dict[str, Any], names: list[str]) -> None:
        assert changed(item(**old), item(version=2, **new)) == names

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ({}, {"image": PENDING, "ticket_until": SOON, "last_ticket": UPLOAD}),
            ({"image": PENDING}, {}),
            ({"image": PENDING}, {"image": PROCESSING, "last_upload": UPLOAD}),
            ({"image": READY}, {"image": replace(PROCESSING, upload_id=NEXT_UPLOAD)}),
            ({"image": FOCUSED}, {"image": replace(FOCUSED, thumbnails_focus=FOCUSED.focus, thumbnails=())}),
            ({"image": READY}, {"image": replace(READY, exposure=1, attempts=1, due_at=SOON)}),
            ({}, {"shares": (Share("1", "2", SOON),), "exposures": 1, "exposure_due_at": SOON, "public_seed": "s"}),
            ({"visibility": "public", "hidden": True}, {"visibility": "public", "catalogue": "c"}),
            ({"indexed": "1;a=s"}, {"indexed": "1;b=s", "has_one_file": True}),
            ({"fields": {"a": 1}}, {"fields": {"a": Decimal("1.0")}}),
        ],
    )
    def test_internal_change_makes_no_event(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        assert events(item(**old), item(version=2, **new)) == []

    def test_visibility_is_also_an_event_of_its_own(self) -> None:
        private, public = item(), item(version=2, visibility="public")
        assert types(private, public) == ["item.updated", "item.published"]
        assert types(public, private) == ["item.updated", "item.unpublished"]
        assert events(private, public)[0]["data"]["changed"] == ["visibility"]


class TestPicture:
    @pytest.mark.parametrize("old", [None, PENDING, PROCESSING, FAILED, replace(READY, upload_id=NEXT_UPLOAD)])
    def test_ready_picture_is_an_event(self, old: Image | None) -> None:
        [event] = events(item(image=old), item(version=2, image=READY))
        assert event["type"] == "picture.ready"
        assert event["data"]["item"]["image"] == {
            "status": "ready",
            "contentType": "image/png",
            "width": 640,
            "height": 480,
            "bytes": 1000,
            "thumbnails": [{"size": 200, "width": 200, "height": 200, "type": "image/jpeg"}],
            "placeholder": "AAAA",
        }

    def test_second_file_with_the_same_ticket_is_another_picture(self) -> None:
        assert types(item(image=READY), item(image=replace(READY, sequencer="2"))) == ["picture.ready"]

    def test_failed_picture_is_an_event_with_its_error(self) -> None:
        [event] = events(item(image=PROCESSING), item(version=2, image=FAILED))
        assert event["type"] == "picture.failed"
        assert event["data"]["item"]["image"]["error"]["error"] == "UNSUPPORTED_IMAGE"

    def test_event_has_no_url(self) -> None:
        [event] = item_events.from_record(record(item(image=PROCESSING), item(image=READY)))
        assert b"http" not in event.json
        assert b"url" not in event.json


class TestOtherRecords:
    @pytest.mark.parametrize(
        "key",
        [
            table.Key(table.public_partition("c"), "ITEM", ID),
            table.Key(table.share_partition("h"), "SHARE", ""),
            table.Key("ann", "FIND", f"title\t{ID}"),
            table.Key("ann", "CHANGES", ""),
            table.Key("ann", "KEY", "once"),
            table.Key("", "REINDEX", ""),
        ],
    )
    def test_make_no_event(self, key: table.Key) -> None:
        made = record_of(key.attributes, {"NewImage": key.attributes | {"version": {"N": "1"}}})
        assert item_events.from_record(made) == []

    def test_item_that_cannot_be_read_is_an_error(self) -> None:
        key = table.Key("ann", "ITEM", ID).attributes
        with pytest.raises(msgspec.ValidationError):
            item_events.from_record(record_of(key, {"NewImage": key | {"version": {"S": "one"}}}))
        with pytest.raises(ValueError, match="neither"):
            item_events.from_record(record_of(key, {}))


class TestSize:
    def test_item_is_left_out_of_a_large_event(self) -> None:
        [event] = events(item(), item(version=2, fields={"text": "x" * item_events.MAX_EVENT_BYTES}))
        assert event["data"] == {
            "owner": "ann",
            "itemId": ID,
            "version": 2,
            "changed": ["text", "title"],
            "itemOmitted": True,
        }

    def test_event_is_never_larger(self) -> None:
        names = {f"{number:0>100}": 0 for number in range(2500)}
        [event] = item_events.from_record(record(item(), item(fields=names)))
        assert len(event.json) < item_events.MAX_EVENT_BYTES
        data = exact_json.from_json(event.json)["data"]
        assert data == {"owner": "ann", "itemId": ID, "version": 1, "itemOmitted": True}


def test_webhooks_can_subscribe_to_every_type() -> None:
    listed = {str(event.__struct_config__.tag) for event in item_events.EVENTS}
    assert listed == set(webhooks.EventType.__args__)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------ histories

_STEPS = st.one_of(
    st.builds(lambda fields: {"fields": fields}, json_values.objects),
    st.builds(lambda at: {"expires_at": at}, st.sampled_from([None, SOON, times.format_time(AT)])),
    st.builds(lambda visibility: {"visibility": visibility}, st.sampled_from([None, "public"])),
    st.builds(lambda image: {"image": image}, st.sampled_from([None, PENDING, PROCESSING, READY, FOCUSED, FAILED])),
    # What only Vitrine uses.
    st.sampled_from(
        [{"hidden": True}, {"hidden": False}, {"indexed": "1;a=s"}, {"exposures": 2}, {"ticket_until": SOON}]
    ),
)


@given(st.lists(_STEPS, min_size=1, max_size=8), st.booleans())
def test_events_tell_every_change_that_the_owner_sees(steps: list[dict[str, Any]], is_deleted: bool) -> None:
    states = list(_states(item(), steps))
    made = [event for pair in _changes([None, *states, *([None] if is_deleted else [])]) for event in events(*pair)]

    # Whoever follows these events alone knows what the owner sees, except pictures.
    followed = [event for event in made if event["type"] in ("item.created", "item.updated", "item.deleted")]
    known = None if followed[-1]["type"] == "item.deleted" else followed[-1]["data"]["item"]
    assert without_picture(known) == (None if is_deleted else without_picture(shown(states[-1])))
    # `changed` names exactly what has changed.
    for old, new in _changes(states):
        before, after = without_picture(shown(old)), without_picture(shown(new))
        names = {
            name for name in before | after if not exact_json.equal(before.get(name, _NONE), after.get(name, _NONE))
        }
        names_in_events = [event["data"]["changed"] for event in events(old, new) if event["type"] == "item.updated"]
        assert set().union(*names_in_events) - {"image"} == names


_NONE = {"": "no value that an item can have here"}


def _states(first: Item, steps: list[dict[str, Any]]) -> Iterator[Item]:
    state = first
    yield state
    for step in steps:
        state = replace(state, version=state.version + 1, **step)
        yield state


def _changes(states: list[Item | None]) -> list[tuple[Any, Any]]:
    return list(itertools.pairwise(states))


def shown(state: Item) -> dict[str, Any]:
    """Return an item as the API shows it, without URLs."""
    return exact_json.from_json(item_events._item_json(state))  # type: ignore[no-any-return]


def without_picture(view: dict[str, Any] | None) -> Any:
    """Return the fields that the owner sets."""
    return view and {name: value for name, value in view.items() if name not in ("version", "image")}
