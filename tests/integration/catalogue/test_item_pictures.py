"""Pictures of items, from the ticket to the thumbnails, with late, repeated and reordered events."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from PIL import Image

from chalicelib import aws, config, errors
from chalicelib.aws import bucket
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import hourly_cleanup, item_pictures, items, thumbnail_jobs
from chalicelib.http import schemas
from chalicelib.values import exact_json, ids, times
from tests.builders import fields, jpeg, png_head, quarters, saved
from tests.integration.stage import OWNER, Stage, answers, context, fails, item_input, json_of, meanwhile, run
from tests.rights import Called

PHOTO = jpeg(1600, 1200)
OTHER = jpeg(300, 900)


def image(api: Stage, item: dict[str, Any]) -> dict[str, Any] | None:
    picture: dict[str, Any] | None = api.read(item["id"]).get("image")
    return picture


@pytest.fixture
def item(api: Stage) -> dict[str, Any]:
    return api.item(title="Vase")


class TestTickets:
    def ask(self, api: Stage, item: dict[str, Any], content_type: str = "image/png") -> Any:
        return api("POST", f"/items/{item['id']}/image", {"contentType": content_type})

    def test_ticket_has_url_size_limit_and_expiry(self, api: Stage, item: dict[str, Any]) -> None:
        before = times.now()

        answer = self.ask(api, item)

        ticket = msgspec.json.decode(answer.body, type=schemas.Ticket)
        until = times.parse_time(ticket.expires_at)
        assert answer.status_code == 201
        assert ticket.max_bytes == config.MAX_IMAGE_BYTES
        assert before + timedelta(minutes=14) < until < times.now() + timedelta(minutes=16)
        assert ticket.upload.url.startswith("https://")

    def test_policy_restricts_key_type_and_size(self, api: Stage, item: dict[str, Any]) -> None:
        fields = json_of(self.ask(api, item, "image/webp"))["upload"]["fields"]

        policy = json.loads(base64.b64decode(fields["policy"]))

        conditions = policy["conditions"]
        assert {"Content-Type": "image/webp"} in conditions
        assert ["content-length-range", 1, 20_971_520] in conditions
        assert {"key": fields["key"]} in conditions
        assert {"bucket": config.settings().bucket} in conditions
        named = {name for condition in conditions if isinstance(condition, dict) for name in condition}
        assert fields.keys() - {"policy", "x-amz-signature"} <= named
        assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"

    def test_every_ticket_has_its_own_key(self, api: Stage, item: dict[str, Any]) -> None:
        keys = [json_of(self.ask(api, item))["upload"]["fields"]["key"] for _ in range(3)]

        assert len(set(keys)) == 3
        for key in keys:
            upload = Upload.from_key(key)
            assert upload is not None
            assert (upload.owner, upload.item_id) == (OWNER, item["id"])

    def test_picture_is_pending_after_a_ticket(self, api: Stage, item: dict[str, Any]) -> None:
        self.ask(api, item, "image/png")

        assert image(api, item) == {"status": "pending", "contentType": "image/png"}

    def test_new_ticket_keeps_the_current_picture(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)
        before = image(api, item)

        self.ask(api, item)

        after = image(api, item)
        assert before is not None
        assert after is not None
        assert (after["status"], after["width"]) == ("ready", before["width"])

    @pytest.mark.parametrize(
        "kind", ["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]
    )
    def test_supported_types_are_accepted(self, api: Stage, item: dict[str, Any], kind: str) -> None:
        assert self.ask(api, item, kind).status_code == 201

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"contentType": "text/html"}, "$.contentType"),
            ({"contentType": "image/svg+xml"}, "$.contentType"),
            ({}, "$.contentType"),
            ({"contentType": 1}, "$.contentType"),
        ],
    )
    def test_other_types_are_refused(self, api: Stage, item: dict[str, Any], body: dict[str, Any], path: str) -> None:
        answer = api("POST", f"/items/{item['id']}/image", body)

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(answer)["details"][0]["path"] == path
        assert image(api, item) is None


class TestReady:
    def test_upload_becomes_a_picture_with_thumbnails(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        assert image(api, item) == {"status": "processing"}

        api.work()

        picture = msgspec.json.decode(exact_json.to_json(image(api, item)), type=schemas.Image)
        assert isinstance(picture, schemas.ImageReady)
        assert picture.content_type == "image/jpeg"
        assert (picture.width, picture.height, picture.bytes) == (1600, 1200, len(PHOTO))
        assert [(one.size, one.width, one.height) for one in picture.thumbnails] == [(200, 200, 200), (800, 800, 600)]
        assert api.objects("thumbnails/") == api.thumbnails(key)

    def test_thumbnails_are_jpegs_of_the_configured_sizes(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        for key, size in zip(api.objects("thumbnails/"), ((200, 200), (800, 600)), strict=True):
            stored = aws.s3().get_object(Bucket=aws.bucket_name(), Key=key)
            assert stored["ContentType"] == "image/jpeg"
            assert stored["CacheControl"] == "private, max-age=31536000, immutable"
            assert Image.open(io.BytesIO(stored["Body"].read())).size == size

    def test_urls_are_valid_for_two_hours(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], PHOTO)

        picture = image(api, item)

        assert picture is not None
        for url in (picture["url"], *(one["url"] for one in picture["thumbnails"])):
            assert f"X-Amz-Expires={3 * 3600}" in url  # from the start of the hour
            assert "X-Amz-Signature=" in url
        assert key in picture["url"]

    def test_original_has_the_detected_content_type(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.put(api.ticket(item["id"], "image/png"), PHOTO)
        api.notice(key)
        api.work()

        picture = image(api, item)

        assert picture is not None
        assert picture["contentType"] == "image/jpeg"
        query = parse_qs(urlsplit(picture["url"]).query)
        assert query["response-content-type"] == ["image/jpeg"]
        # Another file may be put at the key of the original.
        assert query["response-cache-control"] == ["private, no-cache"]

    @pytest.mark.parametrize(("query", "ending"), [("", ""), ("?size=200", "/200.jpg"), ("?size=800", "/800.jpg")])
    def test_image_route_redirects_to_signed_urls(
        self, api: Stage, item: dict[str, Any], query: str, ending: str
    ) -> None:
        key = api.picture(item["id"], PHOTO)

        answer = api("GET", f"/items/{item['id']}/image{query}")

        assert (answer.status_code, answer.body) == (302, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        place = next((one for one in api.thumbnails(key) if ending and one.endswith(ending)), key)
        assert f"/{place}?" in answer.headers["Location"]

    def test_unknown_size_is_not_found(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        answer = api("GET", f"/items/{item['id']}/image?size=300")

        assert (answer.status_code, json_of(answer)["error"]) == (404, "IMAGE_NOT_FOUND")
        assert api("GET", f"/items/{item['id']}/image?size=big").status_code == 400

    @pytest.mark.parametrize("status", [None, "pending", "processing", "failed"])
    def test_picture_that_is_not_ready_is_not_found(self, api: Stage, item: dict[str, Any], status: str | None) -> None:
        if status == "pending":
            api.ticket(item["id"])
        if status in ("processing", "failed"):
            api.upload(item["id"], b"no picture")
        if status == "failed":
            api.work()

        answer = api("GET", f"/items/{item['id']}/image")

        assert (answer.status_code, json_of(answer)["error"]) == (404, "IMAGE_NOT_FOUND")
        assert (image(api, item) or {}).get("status") == status

    def test_etag_with_hour_is_valid_for_if_match(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)
        tag = api("GET", f"/items/{item['id']}").headers["ETag"]

        assert tag.startswith(f'"{api.read(item["id"])["version"]}-')
        assert api("PATCH", f"/items/{item['id']}", {"title": "Lamp"}, if_match=tag).status_code == 200
        assert api("PATCH", f"/items/{item['id']}", {"title": "Lamp"}, if_match=tag).status_code == 412

    def test_item_with_urls_is_304_within_the_hour_only(
        self, api: Stage, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def at(moment: float) -> None:
            monkeypatch.setattr(time, "time", lambda: moment)

        hour = time.time() // 3600 * 3600
        api.picture(item["id"], PHOTO)
        at(hour)
        tag = api("GET", f"/items/{item['id']}").headers["ETag"]
        urls = image(api, item)

        at(hour + 3599)
        assert api("GET", f"/items/{item['id']}", if_none_match=tag).status_code == 304
        assert image(api, item) == urls
        at(hour + 3600)
        answer = api("GET", f"/items/{item['id']}", if_none_match=tag)
        assert answer.status_code == 200
        assert json_of(answer)["image"]["status"] == "ready"
        assert answer.headers["ETag"] != tag
        assert api("GET", f"/items/{item['id']}", if_none_match=answer.headers["ETag"]).status_code == 304

    def test_item_without_urls_is_304_without_limit(
        self, api: Stage, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tag = api("GET", f"/items/{item['id']}").headers["ETag"]
        later = time.time() + 24 * 3600
        monkeypatch.setattr(time, "time", lambda: later)

        assert api("GET", f"/items/{item['id']}", if_none_match=tag).status_code == 304

    def test_change_of_an_item_keeps_its_picture(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        api("PUT", f"/items/{item['id']}", {"title": "Lamp"})

        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "ready"

    def test_list_includes_pictures(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        (listed,) = json_of(api("GET", "/items"))["items"]

        assert listed["image"]["thumbnails"][0]["size"] == 200


class TestFailed:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"This is a text, whatever its name says.", "IMAGE_UNREADABLE"),
            (PHOTO[: len(PHOTO) // 20], "IMAGE_UNREADABLE"),
            (b"\0\0\0\x18ftypheic" + bytes(40), "IMAGE_TYPE_UNSUPPORTED"),
            (png_head(10_000, 10_000), "IMAGE_TOO_MANY_PIXELS"),
            (bytes(config.MAX_IMAGE_BYTES + 1), "IMAGE_TOO_LARGE"),
        ],
        ids=["text", "twentieth", "heic", "pixels", "bytes"],
    )
    def test_unsupported_picture_fails_without_retry(
        self, api: Stage, item: dict[str, Any], data: bytes, code: str
    ) -> None:
        api.picture(item["id"], data)

        picture = image(api, item)
        assert picture is not None
        assert picture.keys() == {"status", "error"}
        assert (picture["status"], picture["error"]["error"]) == ("failed", code)
        assert picture["error"]["message"].endswith(".")
        assert api.on_queue() == 0
        assert api.objects("thumbnails/") == []

    def test_next_upload_replaces_a_failed_picture(self, api: Stage, item: dict[str, Any]) -> None:
        failed = api.picture(item["id"], b"no picture")

        api.picture(item["id"], PHOTO)

        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "ready"
        assert failed not in api.objects()

    def test_failed_upload_replaces_the_previous_picture(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        failed = api.picture(item["id"], b"no picture")

        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "failed"
        assert api.objects() == [failed]


class TestEvents:
    """An upload is newer than another if its ticket is."""

    def test_repeated_event_changes_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        before = api.read(item["id"])

        api.notice(key)

        assert api.read(item["id"]) == before
        assert [message["key"] for message in api.drop()] == [key, key]

    def test_event_repeated_after_the_render_starts_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], PHOTO)
        version = api.read(item["id"])["version"]

        api.notice(key)

        assert api.on_queue() == 0
        assert api.read(item["id"])["version"] == version

    def test_render_queued_twice_decodes_once(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        api.notice(key)
        thumbnail_jobs.run(key)
        version = api.read(item["id"])["version"]

        api.work()

        assert api.read(item["id"])["version"] == version

    def test_older_upload_never_replaces_a_newer_one(self, api: Stage, item: dict[str, Any]) -> None:
        older = api.put(api.ticket(item["id"]), OTHER)
        newer = api.put(api.ticket(item["id"]), PHOTO)
        assert older < newer

        api.notice(newer)
        api.notice(older)
        api.work()
        api.notice(older)
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600

    def test_newer_upload_replaces_all_objects_of_an_older_one(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], OTHER)

        newer = api.picture(item["id"], PHOTO)

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600
        assert set(api.objects()) == {newer, *api.thumbnails(newer)}

    def test_newer_upload_during_a_render_wins(self, api: Stage, item: dict[str, Any]) -> None:
        older = api.upload(item["id"], OTHER)
        newer = api.put(api.ticket(item["id"]), PHOTO)
        meanwhile(aws.s3(), "GetObject", lambda: item_pictures.record_upload(newer, times.now()))

        thumbnail_jobs.run(older)
        assert image(api, item) == {"status": "processing"}
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600

    def test_render_of_an_older_upload_is_skipped(self, api: Stage, item: dict[str, Any]) -> None:
        older = api.upload(item["id"], OTHER)
        api.upload(item["id"], PHOTO)

        thumbnail_jobs.run(older)

        assert image(api, item) == {"status": "processing"}
        assert api.objects("thumbnails/") == []

    def test_event_of_another_bucket_is_ignored(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.put(api.ticket(item["id"]), PHOTO)

        api.notice(key, bucket="vitrine-local-another")

        assert api.on_queue() == 0

    def test_repeated_event_queues_a_render_that_was_not_queued(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.put(api.ticket(item["id"]), PHOTO)
        fails(aws.sqs(), "SendMessageBatch", "ServiceUnavailable", times=1)
        with pytest.raises(aws.sqs().exceptions.ClientError):
            api.notice(key)

        api.notice(key)
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "ready"


class TestClockSetBack:
    @pytest.fixture
    def ticket(self, monkeypatch: pytest.MonkeyPatch, api: Stage, item: dict[str, Any]) -> Callable[[int], str]:
        """Return the key of a ticket that is created while the clock is so many hours behind."""

        def give(hours: int) -> str:
            at = times.now() - timedelta(hours=hours)
            with monkeypatch.context() as patch:
                patch.setattr(time, "time_ns", lambda: int(at.timestamp() * 1e9))
                patch.setattr(times, "now", lambda: at)
                return api.ticket(item["id"])

        return give

    def test_upload_after_a_recorded_one_becomes_the_picture(
        self, api: Stage, item: dict[str, Any], ticket: Callable[[int], str]
    ) -> None:
        api.picture(item["id"], OTHER)

        key = ticket(1)
        api.notice(api.put(key, PHOTO))
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert (picture["status"], picture["width"]) == ("ready", 1600)
        assert key in api.objects()

    def test_upload_to_a_restored_item_becomes_the_picture(
        self, api: Stage, item: dict[str, Any], ticket: Callable[[int], str]
    ) -> None:
        api("DELETE", f"/items/{item['id']}")
        api("POST", "/imports?key=id", exact_json.to_json(item), content_type="application/x-ndjson")
        api.work()

        key = ticket(1)
        api.notice(api.put(key, PHOTO))
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "ready"

    @pytest.mark.parametrize("removed", [False, True], ids=["kept", "removed"])
    def test_later_of_two_tickets_wins(
        self, api: Stage, item: dict[str, Any], ticket: Callable[[int], str], removed: bool
    ) -> None:
        older = ticket(0)
        if removed:
            api("DELETE", f"/items/{item['id']}/image")
        newer = ticket(1)
        for key, data in ((newer, PHOTO), (older, OTHER)):
            api.notice(api.put(key, data))
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600

    def test_later_of_two_tickets_for_a_ready_picture_wins(
        self, api: Stage, item: dict[str, Any], ticket: Callable[[int], str]
    ) -> None:
        api.picture(item["id"], OTHER)
        tickets = [ticket(hours) for hours in (0, 1, 2)]

        assert tickets == sorted(tickets)

    def test_updated_at_changes_with_what_is_shown(self, api: Stage, item: dict[str, Any]) -> None:
        def updated_at() -> str:
            return str(api.read(item["id"])["updatedAt"])

        key = api.upload(item["id"], PHOTO)
        before, version = updated_at(), api.read(item["id"])["version"]
        api.work()
        ready = updated_at()
        api.put(key, b"no picture")
        api.notice(key)
        again = updated_at()
        api.work()

        assert item["updatedAt"] == before < ready == again < updated_at()
        assert version == 3  # the ticket and the upload are versions too

    def test_updated_at_never_decreases(self, api: Stage, item: dict[str, Any]) -> None:
        changed = items.replace(OWNER, item["id"], fields(title="Lamp"), times.now() - timedelta(hours=1))

        assert changed.updated_at == item["updatedAt"]


class TestListings:
    """Each listing of the bucket costs as much as ten objects that are read."""

    def listed(self, calls: list[Called]) -> list[str]:
        found = [
            called.parameters["Prefix"].partition("/")[0] for called in calls if called.operation == "ListObjectsV2"
        ]
        calls.clear()
        return found

    def test_bucket_is_listed_if_there_may_be_other_objects(
        self, api: Stage, item: dict[str, Any], calls: list[Called]
    ) -> None:
        key = api.upload(item["id"], PHOTO)
        for _ in range(2):
            api.notice(key)
        api.work()
        first = self.listed(calls)
        hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        closed = self.listed(calls)
        api.picture(item["id"], OTHER)

        assert (first, closed, self.listed(calls)) == ([], ["uploads"], ["uploads", "thumbnails"])

    def test_second_file_is_found_without_its_event(
        self, api: Stage, item: dict[str, Any], calls: list[Called]
    ) -> None:
        key = api.upload(item["id"], PHOTO)
        first = api.sequencers[key]
        api.put(key, OTHER)  # read instead of the first one, by which the event is late
        api.work()

        assert self.listed(calls) == ["uploads", "thumbnails"]
        assert api.objects() == [*(one.replace(api.sequencers[key], first) for one in api.thumbnails(key)), key]


class TestSecondFileWithTheSameTicket:
    """S3 accepts several files with one ticket until it expires; each replaces the previous one."""

    def test_second_file_becomes_the_picture(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], OTHER)

        api.notice(api.put(key, PHOTO))
        assert image(api, item) == {"status": "processing"}
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def test_valid_second_file_replaces_a_failed_one(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], b"no picture")

        api.notice(api.put(key, PHOTO))
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def test_invalid_second_file_replaces_a_ready_one(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], PHOTO)

        api.notice(api.put(key, b"no picture"))
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert (picture["status"], picture.get("width")) == ("failed", None)
        assert api.objects() == [key]

    @pytest.mark.parametrize("work", ["at once", "at the end"])
    @pytest.mark.parametrize(
        "events", [(1, 2), (2, 1), (1, 2, 1), (2, 1, 2), (2, 2, 1, 1)], ids=lambda events: "".join(map(str, events))
    )
    def test_last_file_wins_in_any_order_of_events(
        self, api: Stage, item: dict[str, Any], events: tuple[int, ...], work: str
    ) -> None:
        key = api.put(api.ticket(item["id"]), OTHER)
        first = api.sequencers[key]
        api.put(key, PHOTO)
        last = api.sequencers[key]

        for event in events:
            api.notice(key, sequencer=first if event == 1 else last)
            if work == "at once":
                api.work()
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def test_slow_render_of_the_first_file_keeps_the_last_processing(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], OTHER)
        api.drop()

        meanwhile(aws.s3(), "PutObject", lambda: api.notice(api.put(key, PHOTO)))
        thumbnail_jobs.run(key)
        assert image(api, item) == {"status": "processing"}
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def test_slow_render_of_the_first_file_keeps_the_last_ready(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], OTHER)
        api.drop()

        def overtake() -> None:
            api.notice(api.put(key, PHOTO))
            thumbnail_jobs.run(key)

        meanwhile(aws.s3(), "PutObject", overtake)
        thumbnail_jobs.run(key)

        self.assert_it_is_the_photo(api, item, key)

    def test_last_file_is_rendered_after_a_slow_render_of_the_first(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], OTHER)
        api.drop()

        def overtake() -> None:
            api.put(key, PHOTO)
            thumbnail_jobs.run(key)

        meanwhile(aws.s3(), "PutObject", overtake)
        thumbnail_jobs.run(key)
        api.notice(key)
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def test_retry_by_the_cleanup_keeps_what_a_slow_job_stored(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], OTHER)
        api.notice(api.put(key, PHOTO))
        later = times.now() + item_pictures.THUMBNAIL_JOB_TIMEOUT + timedelta(minutes=1)

        def retry() -> None:
            item_pictures.do_work_due(items.get(OWNER, item["id"], times.now()), later)

        meanwhile(aws.s3(), "PutObject", retry, "after-call")
        thumbnail_jobs.run(key)

        self.assert_it_is_the_photo(api, item, key)

    def test_second_file_does_not_restore_a_deleted_picture(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], OTHER)
        api("DELETE", f"/items/{item['id']}/image")
        api.ticket(item["id"])

        api.notice(api.put(key, PHOTO))
        api.work()

        assert image(api, item) == {"status": "pending", "contentType": "image/jpeg"}
        assert api.objects() == []

    def test_late_event_of_a_found_upload_changes_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.put(api.ticket(item["id"]), PHOTO)
        item_pictures.record_upload(key, times.now())
        api.work()

        api.notice(key)
        api.work()

        self.assert_it_is_the_photo(api, item, key)

    def assert_it_is_the_photo(self, api: Stage, item: dict[str, Any], key: str) -> None:
        picture = image(api, item)
        assert picture is not None
        assert (picture["status"], picture["width"], picture["height"], picture["bytes"]) == (
            "ready",
            1600,
            1200,
            len(PHOTO),
        )
        assert aws.s3().get_object(Bucket=aws.bucket_name(), Key=key)["Body"].read() == PHOTO
        _, thumbnail = thumbnails = api.objects("thumbnails/")
        data = aws.s3().get_object(Bucket=aws.bucket_name(), Key=thumbnail)["Body"].read()
        assert Image.open(io.BytesIO(data)).size == (800, 600)
        assert [urlsplit(one["url"]).path.partition("/thumbnails/")[2] for one in picture["thumbnails"]] == [
            one.removeprefix("thumbnails/") for one in thumbnails
        ]


class TestDeletedObjects:
    def test_upload_deleted_before_its_render_leaves_no_picture(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        bucket.delete([key])

        api.work()

        assert image(api, item) is None

    def test_upload_for_a_deleted_item_is_deleted(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.ticket(item["id"])
        api("DELETE", f"/items/{item['id']}")

        api.notice(api.put(key, PHOTO))

        assert api.objects() == []
        assert api.on_queue() == 0

    def test_item_deleted_before_its_render_leaves_no_objects(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        api("DELETE", f"/items/{item['id']}")
        api.put(key, PHOTO)

        api.work()

        assert api.objects() == []

    def test_item_deleted_during_its_render_leaves_no_objects(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        meanwhile(
            aws.dynamodb(), "TransactWriteItems", lambda: item_pictures.delete_item(OWNER, item["id"], times.now())
        )

        thumbnail_jobs.run(key)

        assert api.objects() == []
        assert api("GET", f"/items/{item['id']}").status_code == 404

    def test_deleted_item_leaves_no_objects(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        api("DELETE", f"/items/{item['id']}")

        assert api.objects() == []

    def test_delete_keeps_pictures_of_other_items(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)
        other = api.item()
        api.picture(other["id"], OTHER)

        api("DELETE", f"/items/{item['id']}")

        assert len(api.objects()) == 3
        assert all(other["id"] in key for key in api.objects())

    def test_purge_record_stays_while_an_upload_is_possible(self, api: Stage, item: dict[str, Any]) -> None:
        api.ticket(item["id"])

        api("DELETE", f"/items/{item['id']}")

        (reminder,) = api.records()
        assert reminder["sk"]["S"] == f"PURGE#{item['id']}"
        assert reminder["dueAt"]["S"] > times.format_time(times.now() + timedelta(minutes=25))

    def test_item_without_picture_leaves_no_purge_record(self, api: Stage, item: dict[str, Any]) -> None:
        api("DELETE", f"/items/{item['id']}")

        assert api.records() == []


class TestDeletePicture:
    def remove(self, api: Stage, item: dict[str, Any], **headers: str) -> Any:
        return api("DELETE", f"/items/{item['id']}/image", **headers)

    def test_picture_is_deleted_with_its_objects(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        answer = self.remove(api, item)

        assert (answer.status_code, json_of(answer)) == (200, {"message": "Image deleted", "id": item["id"]})
        assert image(api, item) is None
        assert api.objects() == []
        assert api.read(item["id"])["title"] == "Vase"

    def test_second_delete_is_not_found(self, api: Stage, item: dict[str, Any]) -> None:
        assert json_of(self.remove(api, item))["error"] == "IMAGE_NOT_FOUND"
        api.picture(item["id"], PHOTO)

        assert self.remove(api, item).status_code == 200
        assert self.remove(api, item).status_code == 404

    def test_delete_checks_if_match(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        assert self.remove(api, item, if_match='"1"').status_code == 412
        assert len(api.objects()) == 3
        assert self.remove(api, item, if_match=f'"{api.read(item["id"])["version"]}"').status_code == 200

    def test_late_event_does_not_restore_the_picture(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], PHOTO)
        self.remove(api, item)

        api.notice(key)
        api.work()

        assert image(api, item) is None

    def test_queued_render_does_not_restore_the_picture(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.upload(item["id"], PHOTO)
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: item_pictures.delete(OWNER, item["id"], times.now()))

        thumbnail_jobs.run(key)

        assert image(api, item) is None

    @pytest.mark.parametrize("arrives", ["before", "after"])
    def test_upload_of_a_deleted_pending_picture_is_deleted(
        self, api: Stage, item: dict[str, Any], arrives: str
    ) -> None:
        older, key = api.ticket(item["id"]), api.ticket(item["id"])
        if arrives == "before":
            api.put(key, PHOTO)

        assert self.remove(api, item).status_code == 200
        for one in (older, key):
            api.notice(api.put(one, PHOTO))
        api.work()

        assert image(api, item) is None
        assert api.objects() == []

    def test_ticket_after_a_deleted_pending_picture_is_valid(self, api: Stage, item: dict[str, Any]) -> None:
        api.ticket(item["id"])
        self.remove(api, item)

        api.picture(item["id"], PHOTO)

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600

    def test_upload_after_the_delete_becomes_the_picture(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], OTHER)
        newer = api.put(api.ticket(item["id"]), PHOTO)

        self.remove(api, item)
        api.notice(newer)
        api.work()

        picture = image(api, item)
        assert picture is not None
        assert picture["width"] == 1600


class TestLooseFiles:
    @pytest.mark.parametrize(
        ("key", "thumbnail"),
        [
            ("uploads/holiday/photo one+two.png", "thumbnails/holiday/photo one+two.png.jpg"),
            ("uploads/ü%20&.jpeg", "thumbnails/ü%20&.jpeg.jpg"),
            ("uploads/items/vase.png", "thumbnails/items/vase.png.jpg"),
        ],
    )
    def test_loose_file_gets_a_thumbnail_under_its_full_name(self, api: Stage, key: str, thumbnail: str) -> None:
        api.notice(api.put(key, saved(quarters(), "PNG")))
        api.work()

        assert api.objects("thumbnails/") == [thumbnail]
        data = aws.s3().get_object(Bucket=aws.bucket_name(), Key=thumbnail)["Body"].read()
        assert Image.open(io.BytesIO(data)).size == (200, 200)

    def test_loose_file_that_is_no_picture_is_ignored(self, api: Stage) -> None:
        api.notice(api.put("uploads/notes.txt", b"some text"))
        api.work()

        assert api.objects() == ["uploads/notes.txt"]
        assert api.on_queue() == 0

    def test_deleted_loose_file_is_no_failure(self, api: Stage) -> None:
        api.notice("uploads/gone.png")
        api.work()

        assert api.objects() == []

    @pytest.mark.parametrize(("operation", "event"), [("GetObject", "after-call"), ("PutObject", "before-call")])
    def test_slow_render_of_a_replaced_file_is_discarded(self, api: Stage, operation: str, event: str) -> None:
        key = api.put("uploads/vase.jpg", self.plain("red"))

        def overtake() -> None:
            api.put(key, self.plain("blue"))
            thumbnail_jobs.run(key)

        meanwhile(aws.s3(), operation, overtake, event)
        thumbnail_jobs.run(key)

        data = aws.s3().get_object(Bucket=aws.bucket_name(), Key="thumbnails/vase.jpg.jpg")["Body"].read()
        red, _, blue = Image.open(io.BytesIO(data)).getpixel((100, 100))  # type: ignore[misc]
        assert blue > red

    def test_file_replaced_during_each_render_is_retried(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        key, left = api.put("uploads/vase.jpg", self.plain("red")), [*range(10)]
        original = thumbnail_jobs._render

        def replaced_meanwhile(*arguments: Any) -> Any:
            if left:
                api.put(key, self.plain((left.pop() * 20, 0, 255)))
            return original(*arguments)

        monkeypatch.setattr(thumbnail_jobs, "_render", replaced_meanwhile)

        with pytest.raises(errors.BusyError):
            thumbnail_jobs.run(key)

        assert len(left) == 10 - thumbnail_jobs.MAX_LOOSE_RENDERS
        left.clear()
        thumbnail_jobs.run(key)
        assert api.objects("thumbnails/") == ["thumbnails/vase.jpg.jpg"]

    def test_file_deleted_during_its_render_gets_no_thumbnail(self, api: Stage) -> None:
        key = api.put("uploads/vase.jpg", PHOTO)
        meanwhile(aws.s3(), "GetObject", lambda: bucket.delete([key]), "after-call")

        thumbnail_jobs.run(key)

        assert api.objects() == []

    def plain(self, colour: str | tuple[int, int, int]) -> bytes:
        return saved(Image.new("RGB", (300, 300), colour), "JPEG")


def stored_bytes(key: str) -> bytes:
    data: bytes = aws.s3().get_object(Bucket=aws.bucket_name(), Key=key)["Body"].read()
    return data


class TestSizes:
    def test_thumbnails_have_the_sizes_of_the_setting(self, api: Stage, item: dict[str, Any], configured: Any) -> None:
        configured(THUMBNAIL_SIZES="fit:64,cover:32")

        api.picture(item["id"], PHOTO)

        picture = image(api, item)
        assert picture is not None
        assert [(one["size"], one["width"], one["height"]) for one in picture["thumbnails"]] == [
            (64, 64, 48),
            (32, 32, 32),
        ]

    def test_thumbnails_have_the_formats_of_the_setting(
        self, api: Stage, item: dict[str, Any], configured: Any
    ) -> None:
        configured(THUMBNAIL_SIZES="fit:64:webp,cover:32")

        api.picture(item["id"], PHOTO)

        picture = image(api, item)
        assert picture is not None
        assert [one["type"] for one in picture["thumbnails"]] == ["image/webp", "image/jpeg"]
        stored = {key.rpartition("/")[2]: key for key in api.objects() if key.startswith("thumbnails/")}
        assert sorted(stored) == ["32.jpg", "64.webp"]
        opened = Image.open(io.BytesIO(stored_bytes(stored["64.webp"])))
        assert (opened.format, opened.size) == ("WEBP", (64, 48))

    def test_thumbnail_of_a_loose_file_is_a_jpeg(self, api: Stage, configured: Any) -> None:
        configured(THUMBNAIL_SIZES="fit:64:webp")
        api.put("uploads/a/b.png", PHOTO)

        thumbnail_jobs.run("uploads/a/b.png")

        assert Image.open(io.BytesIO(stored_bytes("thumbnails/a/b.png.jpg"))).format == "JPEG"

    def test_change_of_the_setting_keeps_existing_thumbnails(
        self, api: Stage, item: dict[str, Any], configured: Any
    ) -> None:
        api.picture(item["id"], PHOTO)

        configured(THUMBNAIL_SIZES="fit:64")

        assert api("GET", f"/items/{item['id']}/image?size=800").status_code == 302


def test_render_is_retried_if_s3_fails(api: Stage, item: dict[str, Any]) -> None:
    key = api.upload(item["id"], PHOTO)
    fails(aws.s3(), "GetObject", "SlowDown", times=1)
    with pytest.raises(aws.s3().exceptions.ClientError):
        thumbnail_jobs.run(key)
    assert image(api, item) == {"status": "processing"}

    thumbnail_jobs.run(key)

    picture = image(api, item)
    assert picture is not None
    assert picture["status"] == "ready"


def test_item_that_expires_during_its_render_leaves_no_objects(api: Stage) -> None:
    at = times.now() - timedelta(hours=1)
    item, _ = items.create(OWNER, item_input(expiresAt=times.format_time(at + timedelta(minutes=30))), at)
    upload = Upload(OWNER, item.id, ids.new_id())
    item_pictures.create_ticket(OWNER, item.id, "image/jpeg", at)
    api.put(upload.key, PHOTO)
    item_pictures.record_upload(upload.key, at)

    api.work()
    run("clean_up", api._client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [], region="us-east-1"))

    assert api.objects() == []


FOCUS = {"x": 0.25, "y": 0.5}


class TestFocus:
    def ask(self, api: Stage, item: dict[str, Any], focus: Any, **headers: str) -> Any:
        return api("PATCH", f"/items/{item['id']}/image", {"focus": focus}, **headers)

    def ready(self, api: Stage, item: dict[str, Any]) -> dict[str, Any]:
        picture = image(api, item)
        assert picture is not None
        assert picture["status"] == "ready"
        return picture

    def marked(self) -> bytes:
        """Return a wide green picture with a red mark at a quarter of its width."""
        picture = Image.new("RGB", (800, 200), (0, 160, 0))
        picture.paste((220, 0, 0), (180, 80, 220, 120))
        return saved(picture, "PNG")

    def middle(self, api: Stage, item: dict[str, Any]) -> Any:
        key = next(key for key in api.objects() if re.search(r"/200(-\d+)?\.jpg$", key))
        return Image.open(io.BytesIO(stored_bytes(key))).convert("RGB").getpixel((100, 100))

    def test_thumbnails_are_cropped_around_the_focus(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        before = self.ready(api, item)
        assert self.middle(api, item)[0] < 50

        answer = self.ask(api, item, FOCUS)

        assert (answer.status_code, json_of(answer)["image"]["focus"]) == (200, FOCUS)
        assert self.ready(api, item)["thumbnails"][0]["url"].partition("?")[0] in before["thumbnails"][0]["url"]
        api.work()
        after = self.ready(api, item)
        assert after["focus"] == FOCUS
        assert {**after, "thumbnails": 0, "focus": 0, "url": 0} == {**before, "thumbnails": 0, "focus": 0, "url": 0}
        assert self.middle(api, item)[0] > 200
        assert len([key for key in api.objects() if key.startswith("thumbnails/")]) == 2

    def test_null_is_the_centre(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        self.ask(api, item, FOCUS)
        api.work()

        self.ask(api, item, None)
        api.work()

        assert "focus" not in self.ready(api, item)
        assert self.middle(api, item)[0] < 50

    def test_each_focus_has_thumbnails_with_other_urls(self, api: Stage, item: dict[str, Any]) -> None:
        """Browsers keep a thumbnail without asking again."""
        api.picture(item["id"], self.marked())
        seen = []
        for x in (0.9, 0.1, 0.25):
            self.ask(api, item, {"x": x, "y": 0.5})
            api.work()
            seen.append(self.ready(api, item)["thumbnails"][0]["url"].partition("?")[0])

        assert len(set(seen)) == 3
        assert self.middle(api, item)[0] > 200

    def test_negative_zero_is_zero(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())

        answer = self.ask(api, item, {"x": -0.0, "y": 0})

        assert b'"x":0.0' in answer.body.replace(b" ", b"")

    @pytest.mark.parametrize("number", ["NaN", "1e400", "1e-400", "null"])
    def test_impossible_number_is_refused_or_rounded(self, api: Stage, item: dict[str, Any], number: str) -> None:
        api.picture(item["id"], self.marked())

        body = f'{{"focus": {{"x": {number}, "y": 0}}}}'.encode()
        answer = api("PATCH", f"/items/{item['id']}/image", body)

        assert answer.status_code == (200 if number == "1e-400" else 400)

    def test_same_focus_changes_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        first = json_of(self.ask(api, item, FOCUS))
        api.work()
        version = api.read(item["id"])["version"]

        self.ask(api, item, {"x": 0.2501, "y": 0.5})

        assert version == first["version"] + 1
        assert api.read(item["id"])["version"] == version
        assert api.on_queue() == 0

    def test_last_of_two_changes_counts(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        self.ask(api, item, {"x": 0.9, "y": 0.5})
        self.ask(api, item, FOCUS)

        api.work()

        assert self.ready(api, item)["focus"] == FOCUS
        assert self.middle(api, item)[0] > 200
        assert len([key for key in api.objects() if key.startswith("thumbnails/")]) == 2

    def test_change_during_a_job_is_not_overwritten(self, api: Stage, item: dict[str, Any]) -> None:
        key = api.picture(item["id"], self.marked())
        self.ask(api, item, {"x": 0.9, "y": 0.5})
        meanwhile(aws.s3(), "GetObject", lambda: self.ask(api, item, FOCUS))

        thumbnail_jobs.run(key)
        assert self.ready(api, item)["focus"] == FOCUS
        api.work()

        assert self.middle(api, item)[0] > 200

    def test_rejected_job_is_left_to_the_cleanup(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        answers(aws.sqs(), "SendMessageBatch", {"Failed": [{"Id": "0", "SenderFault": False, "Code": "Internal"}]})

        assert self.ask(api, item, FOCUS).status_code == 200

        assert items.get(OWNER, item["id"], times.now()).due_at is not None

    def test_cleanup_queues_a_lost_job_again(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        self.ask(api, item, FOCUS)
        api.drop()
        later = times.now() + item_pictures.THUMBNAIL_JOB_TIMEOUT + timedelta(minutes=1)
        stored = items.get(OWNER, item["id"], times.now())

        item_pictures.do_work_due(stored, later)
        api.work()

        assert self.middle(api, item)[0] > 200

    def test_picture_stays_ready_if_its_jobs_are_lost(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        before = set(api.objects("thumbnails/"))
        self.ask(api, item, FOCUS)
        for key in before:  # as a job that failed before it could store the result
            bucket.write(key.replace("00.jpg", "00-250-500.jpg"), b"", "image/jpeg")
        at = times.now()
        for _ in range(item_pictures.MAX_THUMBNAIL_JOB_ATTEMPTS):
            at += item_pictures.THUMBNAIL_JOB_TIMEOUT + timedelta(minutes=1)
            item_pictures.do_work_due(items.get(OWNER, item["id"], times.now()), at)
        api.drop()

        assert "focus" not in self.ready(api, item)
        assert set(api.objects("thumbnails/")) == before
        assert items.get(OWNER, item["id"], times.now()).due_at is None

    def test_picture_stays_ready_if_it_is_refused_now(
        self, api: Stage, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = api.picture(item["id"], self.marked())
        self.ask(api, item, FOCUS)
        monkeypatch.setattr(thumbnail_jobs, "_render", raising(errors.ImageDecoderCrashedError()))

        thumbnail_jobs.run(key)

        assert "focus" not in self.ready(api, item)

    def test_new_upload_has_no_focus(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        self.ask(api, item, FOCUS)
        api.work()

        api.picture(item["id"], self.marked())

        assert "focus" not in self.ready(api, item)

    def test_item_with_a_focus_can_be_sent_back(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], self.marked())
        read = json_of(self.ask(api, item, FOCUS))

        changed = read | {"image": read["image"] | {"focus": {"x": 0, "y": 0}}}

        assert api("PUT", f"/items/{item['id']}", exact_json.to_json(read)).status_code == 200
        refused = api("PUT", f"/items/{item['id']}", exact_json.to_json(changed))
        assert json_of(refused)["error"] == "RESERVED_FIELD"

    @pytest.mark.parametrize(
        "focus",
        [{"x": 0.5}, {"x": -0.1, "y": 0}, {"x": 0, "y": 1.01}, {"x": "0", "y": 0}, 0.5, []],
        ids=str,
    )
    def test_invalid_focus_is_refused(self, api: Stage, item: dict[str, Any], focus: Any) -> None:
        api.picture(item["id"], PHOTO)

        answer = self.ask(api, item, focus)

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(answer)["details"][0]["path"].startswith("$.focus")

    def test_picture_must_be_ready(self, api: Stage, item: dict[str, Any]) -> None:
        assert json_of(self.ask(api, item, FOCUS))["error"] == "IMAGE_NOT_FOUND"
        api.upload(item["id"], PHOTO)
        assert json_of(self.ask(api, item, FOCUS))["error"] == "IMAGE_NOT_FOUND"

    def test_precondition_is_checked(self, api: Stage, item: dict[str, Any]) -> None:
        api.picture(item["id"], PHOTO)

        assert self.ask(api, item, FOCUS, if_match='"1"').status_code == 412


def raising(error: Exception) -> Any:
    """Return a function that raises ``error``."""

    def fail(*_: Any) -> None:
        raise error

    return fail
