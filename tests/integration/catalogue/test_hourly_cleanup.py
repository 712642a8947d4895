"""The hourly cleanup does all work that is due until its time limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from chalicelib import aws, config
from chalicelib.aws import table
from chalicelib.aws.bucket import Upload
from chalicelib.aws.table import Key
from chalicelib.catalogue import hourly_cleanup, item_pictures, items, models, thumbnail_jobs
from chalicelib.values import ids, times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, context, fails, item_input, json_of, meanwhile, run

HOUR = timedelta(hours=1)
WEBHOOK = ids.new_id()


@pytest.fixture
def now() -> datetime:
    return times.now()


def clean_up(at: datetime, milliseconds: int = 60_000) -> dict[str, int]:
    return dict(hourly_cleanup.run(at, context("clean_up", milliseconds)))


def expiring(at: datetime, after: timedelta = HOUR, **fields: Any) -> models.Item:
    item, _ = items.create(OWNER, item_input(expiresAt=times.format_time(at + after), **fields), at)
    return item


def picture_state(id_: str, at: datetime) -> dict[str, Any] | None:
    image = items.get(OWNER, id_, at).image
    return None if image is None else {"status": image.status, "error": image.error and image.error.error}


def test_nothing_due_does_nothing(api: Stage, now: datetime) -> None:
    api.item()
    expiring(now)

    assert clean_up(now) == {}
    assert len(api.records("ITEM")) == 2


def test_schedule_runs_the_cleanup(api: Stage, now: datetime) -> None:
    expiring(now - 2 * HOUR)
    event = api._client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [], region="us-east-1")

    assert run("clean_up", event) == {"expired": 1}
    assert api.records() == []


class TestClockAhead:
    """An item has expired by the clock of one function, but not by the clocks of the others."""

    def test_upload_is_kept_and_becomes_the_picture(
        self, api: Stage, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        item = expiring(now, 3 * HOUR)
        key = api.put(api.ticket(item.id), jpeg())
        with monkeypatch.context() as patch:
            patch.setattr(times, "now", lambda: now + 4 * HOUR)
            api.notice(key)

        clean_up(now + 2 * HOUR)  # the ticket and EVENT_TIMEOUT have expired
        api.work()

        assert picture_state(item.id, now) == {"status": "ready", "error": None}

    def test_render_keeps_the_original(self, api: Stage, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        item = expiring(now, 3 * HOUR)
        key = api.upload(item.id, jpeg())
        with monkeypatch.context() as patch:
            patch.setattr(times, "now", lambda: now + 4 * HOUR)
            thumbnail_jobs.run(key)

        clean_up(now + HOUR)  # queues the render again
        api.work()

        assert picture_state(item.id, now) == {"status": "ready", "error": None}


class TestExpiry:
    def test_only_expired_items_are_deleted(self, api: Stage, now: datetime) -> None:
        expired = [expiring(now, timedelta(minutes=minute)) for minute in range(1, 6)]
        stays = [expiring(now, 3 * HOUR), items.create(OWNER, item_input(), now)[0]]

        assert clean_up(now + HOUR) == {"expired": len(expired)}

        assert {record["sk"]["S"] for record in api.records("ITEM")} == {f"ITEM#{item.id}" for item in stays}

    def test_pictures_of_expired_items_are_deleted(self, api: Stage, now: datetime) -> None:
        item = expiring(now)
        api.picture(item.id, jpeg())

        clean_up(now + 2 * HOUR)
        assert api.objects() == []
        clean_up(now + 3 * HOUR)

        assert (api.objects(), api.records()) == ([], [])

    def test_upload_after_its_ticket_by_another_clock_is_deleted(self, api: Stage, now: datetime) -> None:
        item = expiring(now)
        key = api.ticket(item.id)
        assert clean_up(now + 2 * HOUR) == {"expired": 1}

        api.put(key, jpeg())  # the ticket is still valid by the clock of S3
        clean_up(now + 3 * HOUR)

        assert (api.objects(), api.records()) == ([], [])

    def test_purge_waits_until_no_upload_can_arrive(self, api: Stage, now: datetime) -> None:
        item = expiring(now, timedelta(minutes=1))
        key = api.ticket(item.id)

        assert clean_up(now + timedelta(minutes=2)) == {"expired": 1}
        api.put(key, jpeg())  # its event is lost
        assert clean_up(now + timedelta(minutes=3)) == {}
        assert clean_up(now + HOUR) == {"purged": 1}

        assert (api.objects(), api.records()) == ([], [])

    def test_item_with_a_later_expiry_stays(self, api: Stage, now: datetime) -> None:
        item = expiring(now)
        items.patch(OWNER, item.id, {"expiresAt": times.format_time(now + 5 * HOUR)}, now)

        assert clean_up(now + 2 * HOUR) == {}
        assert items.find(OWNER, item.id) is not None

    def test_restored_item_keeps_its_picture(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.ticket(id_)
        (record,) = api.records("ITEM#")
        api("DELETE", f"/items/{id_}")
        aws.dynamodb().put_item(TableName=config.settings().table, Item=record)
        api.picture(id_, jpeg())

        assert clean_up(now + HOUR) == {"purged": 1, "pictures": 1}

        assert picture_state(id_, now) == {"status": "ready", "error": None}
        assert len(api.objects()) == 3
        assert api.records("PURGE") == []

    def test_items_of_all_owners_are_cleaned_up(self, api: Stage, now: datetime) -> None:
        for owner in ("ann", "bob#1", OWNER):
            items.create(owner, item_input(expiresAt=times.format_time(now + HOUR)), now)

        assert clean_up(now + HOUR) == {"expired": 3}
        assert api.records() == []

    def test_more_than_one_page_is_cleaned_up(self, api: Stage, now: datetime) -> None:
        for _ in range(40):
            expiring(now)

        assert clean_up(now + HOUR) == {"expired": 40}


class TestTickets:
    def test_unused_ticket_is_closed(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.ticket(id_)
        assert clean_up(now + timedelta(minutes=20)) == {}

        assert clean_up(now + HOUR) == {"pictures": 1}

        assert picture_state(id_, now) is None
        assert clean_up(now + HOUR) == {}

    def test_expired_ticket_keeps_the_current_picture(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.picture(id_, jpeg())
        api.ticket(id_)

        clean_up(now + HOUR)

        assert picture_state(id_, now) == {"status": "ready", "error": None}
        assert len(api.objects()) == 3
        assert clean_up(now + 2 * HOUR) == {}

    def test_upload_with_a_lost_event_is_recorded(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.put(api.ticket(id_), jpeg())

        clean_up(now + HOUR)
        assert picture_state(id_, now) == {"status": "processing", "error": None}
        api.work()

        assert picture_state(id_, now) == {"status": "ready", "error": None}

    @pytest.mark.parametrize("first", [jpeg(300, 300), b"no picture"], ids=["ready", "failed"])
    def test_second_file_with_a_lost_event_is_recorded(self, api: Stage, now: datetime, first: bytes) -> None:
        id_ = api.item()["id"]
        key = api.picture(id_, first)
        last = api.put(key, jpeg(600, 200))

        clean_up(now + HOUR)
        api.work()

        image = items.get(OWNER, id_, now).image
        assert image is not None
        assert (image.status, image.width) == ("ready", 600)
        assert len(api.objects()) == 3
        assert clean_up(now + 2 * HOUR) == {}
        api.notice(last)  # its event was only late
        api.work()
        assert picture_state(id_, now) == {"status": "ready", "error": None}
        assert len(api.objects()) == 3

    def test_recorded_file_is_not_rendered_again(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.put(api.picture(id_, jpeg()), jpeg())

        clean_up(now + HOUR)

        assert picture_state(id_, now) == {"status": "ready", "error": None}
        assert api.on_queue() == 0

    def test_thumbnails_of_an_interrupted_render_are_deleted(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        key = api.upload(id_, jpeg())
        fails(aws.dynamodb(), "TransactWriteItems", "AccessDeniedException", times=1)
        with pytest.raises(aws.dynamodb().exceptions.ClientError):
            thumbnail_jobs.run(key)
        api.put(key, b"no picture")

        api.work()

        assert picture_state(id_, now) == {"status": "failed", "error": "IMAGE_UNREADABLE"}
        assert api.objects() == [key]

    def test_newest_lost_upload_becomes_the_picture(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.picture(id_, jpeg())
        api.put(api.ticket(id_), jpeg(300, 300))
        newest = api.put(api.ticket(id_), jpeg(600, 200))

        clean_up(now + HOUR)
        api.work()

        image = items.get(OWNER, id_, now).image
        assert image is not None
        assert (image.status, image.width) == ("ready", 600)
        assert api.objects("uploads/") == [newest]

    def test_newer_ticket_is_not_closed_early(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.ticket(id_)
        item_pictures.create_ticket(OWNER, id_, "image/png", now + timedelta(minutes=50))

        assert clean_up(now + HOUR) == {}
        assert picture_state(id_, now) == {"status": "pending", "error": None}

    def test_open_ticket_stays_when_a_render_is_retried(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.upload(id_, jpeg())
        api.drop()
        item_pictures.create_ticket(OWNER, id_, "image/png", now + timedelta(minutes=50))

        assert clean_up(now + HOUR) == {"pictures": 1}

        item = items.find(OWNER, id_)
        assert item is not None
        assert item.ticket_until is not None

    def test_ticket_created_while_closing_another_stays(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.ticket(id_)
        later = now + HOUR
        meanwhile(aws.dynamodb(), "PutItem", lambda: item_pictures.create_ticket(OWNER, id_, "image/png", later))

        clean_up(later)

        assert picture_state(id_, now) == {"status": "pending", "error": None}
        item = items.get(OWNER, id_, now)
        assert item.ticket_until is not None
        assert item.ticket_until > times.format_time(later)

    def test_objects_left_by_a_failed_delete_are_deleted(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.picture(id_, jpeg())
        fails(aws.s3(), "DeleteObject", "InternalError", times=1)
        with pytest.raises(aws.s3().exceptions.ClientError):
            item_pictures.delete(OWNER, id_, now)

        clean_up(now + HOUR)

        assert api.objects() == []
        assert api.read(id_)["id"] == id_


class TestOverdueThumbnailJobs:
    def overdue(self, api: Stage) -> str:
        """Return the id of an item whose thumbnail job was lost."""
        id_: str = api.item()["id"]
        api.upload(id_, jpeg())
        api.drop()
        return id_

    def test_lost_thumbnail_job_is_queued_again(self, api: Stage, now: datetime) -> None:
        id_ = self.overdue(api)
        assert clean_up(now + timedelta(minutes=25)) == {}

        assert clean_up(now + HOUR) == {"pictures": 1}
        api.work()

        assert picture_state(id_, now) == {"status": "ready", "error": None}

    def test_picture_fails_after_three_attempts(self, api: Stage, now: datetime) -> None:
        id_ = self.overdue(api)

        queued = []
        for hour in (1, 2, 3, 4):
            clean_up(now + hour * HOUR)
            queued.append(len(api.drop()))

        assert queued == [1, 1, 0, 0]
        assert picture_state(id_, now) == {"status": "failed", "error": "IMAGE_LOST"}
        assert "upload it again" in api.read(id_)["image"]["error"]["message"]

    def test_attempt_rejected_by_the_queue_is_not_counted(self, api: Stage, now: datetime) -> None:
        id_ = self.overdue(api)
        fails(aws.sqs(), "SendMessageBatch", "AccessDenied", times=4)
        for hour in (1, 2, 3, 4):
            assert clean_up(now + hour * HOUR) == {"failed": 1}

        clean_up(now + 5 * HOUR)
        api.work()

        assert picture_state(id_, now) == {"status": "ready", "error": None}

    def given_up(self, api: Stage, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return the id of an item whose picture used up its attempts, and the message of its render."""
        id_: str = api.item()["id"]
        api.upload(id_, jpeg())
        (message,) = api.drop()
        for hour in (1, 2, 3):
            clean_up(now + hour * HOUR)
            api.drop()
        assert picture_state(id_, now) == {"status": "failed", "error": "IMAGE_LOST"}
        return id_, message

    def test_dead_letter_sent_back_makes_the_picture_ready(self, api: Stage, now: datetime) -> None:
        id_, message = self.given_up(api, now)

        api.send(message)
        api.work()

        assert picture_state(id_, now) == {"status": "ready", "error": None}
        assert len(api.objects()) == 3

    def test_event_sent_back_makes_the_picture_ready(self, api: Stage, now: datetime) -> None:
        id_, message = self.given_up(api, now)

        api.notice(message["key"])
        api.work()

        assert picture_state(id_, now) == {"status": "ready", "error": None}

    def test_dead_letter_of_a_replaced_picture_changes_nothing(self, api: Stage, now: datetime) -> None:
        id_, message = self.given_up(api, now)
        api.picture(id_, jpeg(64, 48))

        api.send(message)
        api.work()

        image = items.get(OWNER, id_, now).image
        assert image is not None
        assert (image.status, image.width) == ("ready", 64)

    def test_new_upload_resets_the_attempts(self, api: Stage, now: datetime) -> None:
        id_ = self.overdue(api)
        for hour in (1, 2, 3):
            clean_up(now + hour * HOUR)

        api.picture(id_, jpeg())

        assert picture_state(id_, now) == {"status": "ready", "error": None}

    def test_render_that_ends_during_the_cleanup_is_kept(self, api: Stage, now: datetime) -> None:
        id_ = self.overdue(api)
        item = items.get(OWNER, id_, now)
        assert item.image is not None
        upload = Upload(OWNER, id_, item.image.upload_id or "")
        ready = models.Image(status="ready", upload_id=upload.id)

        def it_ends() -> None:
            items.change(OWNER, id_, lambda item: msgspec.structs.replace(item, image=ready), now)

        meanwhile(aws.dynamodb(), "TransactWriteItems", it_ends)
        clean_up(now + HOUR)
        api.work()  # the message that was queued before changes nothing

        assert picture_state(id_, now) == {"status": "ready", "error": None}


class TestImports:
    def test_import_with_lost_chunks_is_resumed(self, api: Stage, now: datetime) -> None:
        id_ = json_of(api("POST", "/imports", {"items": [{"title": "a"}]}))["id"]
        api.drop()

        assert clean_up(now + 2 * HOUR) == {"imports": 1}
        api.work()

        assert json_of(api("GET", f"/imports/{id_}"))["status"] == "done"

    def test_finished_import_is_checked_once(self, api: Stage, now: datetime) -> None:
        api("POST", "/imports", {"items": [{"title": "a"}]})
        api.work()

        assert clean_up(now + 2 * HOUR) == {"imports": 1}
        assert clean_up(now + 3 * HOUR) == {}


class Times:
    """The context of a function that has these times left, in milliseconds, and then no more."""

    def __init__(self, *left: int) -> None:
        self._left = list(left)

    def get_remaining_time_in_millis(self) -> int:
        return self._left.pop(0) if self._left else 0


@pytest.fixture
def due_keys_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the keys that were read from the index of work due."""
    read: list[str] = []
    due_keys = table.due_keys

    def recorded(at: datetime, *, deliveries: bool = False) -> Iterator[Key]:
        for key in due_keys(at, deliveries=deliveries):
            read.append(key.kind)
            yield key

    monkeypatch.setattr(table, "due_keys", recorded)
    return read


class TestTimeLimit:
    def test_cleanup_stops_in_time_and_continues_later(self, api: Stage, now: datetime) -> None:
        for _ in range(5):
            expiring(now)

        assert clean_up(now + HOUR, milliseconds=14_000) == {}
        assert len(api.records("ITEM")) == 5
        assert clean_up(now + HOUR) == {"expired": 5}

    def test_backlog_in_one_shard_delays_others_for_hours_at_most(self, api: Stage, now: datetime) -> None:
        def left() -> dict[str, str]:
            return {record["sk"]["S"]: record["dueShard"]["S"] for record in api.records("ITEM")}

        while Counter(left().values()) != dict.fromkeys("0123", 4):
            item = expiring(now)
            if Counter(left().values())[left()[f"ITEM#{item.id}"]] > 4:
                items.delete(OWNER, item.id, now)
        before, after = left(), []
        for hour in range(1, 5):
            hourly_cleanup.run(now + hour * HOUR, Times(60_000))
            after.append({before[key] for key in before.keys() - left().keys()})

        assert [len(shards) for shards in after] == [1, 2, 3, 4]

    def test_other_work_is_done_before_deliveries_are_read(
        self, api: Stage, now: datetime, due_keys_read: list[str], logged: Callable[[], str]
    ) -> None:
        """However many deliveries of one owner are due."""
        for number in range(9):
            key = Key("other", "DELIVERY", f"{WEBHOOK}#{number}")
            table.write(table.Put(key, {}, due_at=times.format_time(now)))
        for _ in range(2):
            expiring(now)

        assert hourly_cleanup.run(now + HOUR, Times(60_000)) == {"expired": 1}
        assert due_keys_read == ["ITEM"] * 2

        due_keys_read.clear()
        assert hourly_cleanup.run(now + HOUR, Times(60_000)) == {"expired": 1}
        assert due_keys_read == ["ITEM", "DELIVERY"]  # No time is left to read more.

        due_keys_read.clear()
        # 60 s are left for tasks, 30 s of them for reading. The seventh key comes too late; the others are processed.
        counts = hourly_cleanup.run(now + HOUR, Times(75_000, *[45_000] * 6, *[44_999] * 7))
        assert due_keys_read == ["DELIVERY"] * 7
        assert counts.total() == 6
        assert "Half of the time used to read deliveries" in logged()

    def test_time_limit_is_logged(self, api: Stage, now: datetime, logged: Callable[[], str]) -> None:
        expiring(now)

        clean_up(now + HOUR, milliseconds=0)

        assert "Time limit reached" in logged()

    def test_failed_task_does_not_stop_others_and_is_retried(self, api: Stage, now: datetime) -> None:
        for _ in range(5):
            expiring(now)
        fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError", times=1)

        assert clean_up(now + HOUR) == {"failed": 1, "expired": 4}
        assert clean_up(now + HOUR) == {"expired": 1}

    def test_failure_is_logged_with_its_record(self, api: Stage, now: datetime, logged: Callable[[], str]) -> None:
        item = expiring(now)
        fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError")

        clean_up(now + HOUR)

        lines = logged()
        assert item.id in lines
        assert "Traceback" in lines

    def test_concurrently_deleted_item_is_no_failure(self, api: Stage, now: datetime) -> None:
        item = expiring(now)
        meanwhile(aws.dynamodb(), "GetItem", lambda: items.delete(OWNER, item.id, now))

        assert clean_up(now + HOUR) == {"skipped": 1}

    @pytest.mark.parametrize("call", ["ListObjectsV2", "PutItem"])
    def test_item_deleted_while_closing_its_ticket_is_no_failure(
        self, api: Stage, now: datetime, logged: Callable[[], str], call: str
    ) -> None:
        id_ = api.item()["id"]
        api.ticket(id_)
        client = aws.s3() if call == "ListObjectsV2" else aws.dynamodb()
        meanwhile(client, call, lambda: items.delete(OWNER, id_, now))

        assert clean_up(now + HOUR) == {"skipped": 1}
        assert "Traceback" not in logged()

    def test_item_deleted_while_retrying_its_render_is_no_failure(self, api: Stage, now: datetime) -> None:
        id_ = api.item()["id"]
        api.upload(id_, jpeg())
        meanwhile(aws.dynamodb(), "PutItem", lambda: items.delete(OWNER, id_, now))

        assert clean_up(now + HOUR) == {"skipped": 1}


def test_interrupted_delete_is_completed(api: Stage, now: datetime) -> None:
    id_ = api.item()["id"]
    api.picture(id_, jpeg())
    fails(aws.s3(), "DeleteObject", "InternalError", times=1)
    assert api("DELETE", f"/items/{id_}").status_code == 503
    assert len(api.objects()) == 3

    assert clean_up(now + HOUR) == {"purged": 1}

    assert (api.objects(), api.records()) == ([], [])


def test_cleanup_reads_only_the_index_of_work_due(api: Stage, now: datetime) -> None:
    for _ in range(10):
        api.item()
    operations: list[str] = []
    events = aws.dynamodb().meta.events
    events.register("before-call.dynamodb.*", lambda model, **_: operations.append(model.name), unique_id="operations")
    try:
        clean_up(now + HOUR)
    finally:
        events.unregister("before-call.dynamodb.*", unique_id="operations")

    assert set(operations) == {"Query"}
    assert len(operations) == 2 * table.DUE_SHARDS
