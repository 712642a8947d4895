"""Pictures that visitors see: copies of the thumbnails, which exist only while their item is public."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from chalicelib import aws
from chalicelib.catalogue import hourly_cleanup, items, public_pictures
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, context, fails, json_of, meanwhile

PHOTO = jpeg(1600, 1200)
OTHER = jpeg(300, 900)
PUBLIC = {"visibility": "public"}
PRIVATE = {"visibility": "private"}


@pytest.fixture
def item(api: Stage) -> dict[str, Any]:
    """Return a private item with a picture."""
    item = api.item(title="Vase")
    api.picture(item["id"], PHOTO)
    return item


def change(api: Stage, item: dict[str, Any], body: dict[str, Any]) -> None:
    answer = api("PATCH", f"/items/{item['id']}", body)
    assert answer.status_code == 200, answer.body


def seen(api: Stage, item: dict[str, Any]) -> dict[str, Any] | None:
    """Return the picture that visitors see of a public item."""
    catalogue = json_of(api("GET", "/catalogue"))["id"]
    answer = api("GET", f"/catalogues/{catalogue}/items/{item['id']}")
    assert answer.status_code == 200, answer.body
    picture: dict[str, Any] | None = json_of(answer).get("image")
    listed = json_of(api("GET", f"/catalogues/{catalogue}/items"))["items"]
    assert [one.get("image") for one in listed if one["id"] == item["id"]] == [picture]
    return picture


def keys(picture: dict[str, Any] | None) -> list[str]:
    """Return the keys of the thumbnails of a picture that visitors see."""
    assert picture is not None
    return [unquote(urlsplit(one["url"]).path).removeprefix("/") for one in picture["thumbnails"]]


def later(api: Stage, hours: float = 2) -> None:
    """Run the cleanup some hours later, and then the consumer."""
    hourly_cleanup.run(times.now() + timedelta(hours=hours), context("clean_up"))
    api.work()


class TestPublishing:
    def test_visitors_see_thumbnails_only(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        before = seen(api, item)
        api.work()

        picture = seen(api, item)
        assert before is None
        assert picture is not None
        assert picture.keys() == {"status", "width", "height", "placeholder", "thumbnails"}
        assert [one["size"] for one in picture["thumbnails"]] == [200, 800]
        assert sorted(keys(picture)) == sorted(api.objects("public/"))
        for key, thumbnail in zip(keys(picture), api.read(item["id"])["image"]["thumbnails"], strict=True):
            copied = aws.s3().get_object(Bucket=aws.bucket_name(), Key=key)
            original = aws.s3().get_object(
                Bucket=aws.bucket_name(), Key=unquote(urlsplit(thumbnail["url"]).path).removeprefix("/")
            )
            assert copied["Body"].read() == original["Body"].read()
            assert copied["ContentType"] == "image/jpeg"
            assert copied["CacheControl"] == "public, max-age=31536000, immutable"

    def test_urls_say_nothing_of_the_owner_or_the_catalogue(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        api.work()

        catalogue = json_of(api("GET", "/catalogue"))["id"]
        etag = hashlib.md5(PHOTO, usedforsecurity=False).hexdigest()
        for key in keys(seen(api, item)):
            assert not any(word in key for word in (f"/{OWNER}/", catalogue, etag))

    def test_urls_of_two_items_with_one_file_differ(self, api: Stage, item: dict[str, Any]) -> None:
        other = api.item(title="Vase", **PUBLIC)
        api.picture(other["id"], PHOTO)
        change(api, item, PUBLIC)
        api.work()

        digests = [keys(seen(api, one))[0].split("/")[6].partition("-")[2] for one in (item, other)]
        assert len({*digests}) == 2

    def test_urls_begin_with_the_setting(self, api: Stage, item: dict[str, Any], configured: Any) -> None:
        change(api, item, PUBLIC)
        api.work()

        configured(PUBLIC_URL="https://visitors.example")

        picture = seen(api, item)
        assert picture is not None
        assert [one["url"] for one in picture["thumbnails"]] == [
            f"https://visitors.example/{key}" for key in api.objects("public/")
        ]

    @pytest.mark.parametrize("unpublished", ["by visibility", "by deletion", "by deleting the picture"])
    def test_what_is_unpublished_is_deleted(self, api: Stage, item: dict[str, Any], unpublished: str) -> None:
        change(api, item, PUBLIC)
        api.work()
        assert api.objects("public/")

        if unpublished == "by visibility":
            change(api, item, PRIVATE)
        elif unpublished == "by deletion":
            api("DELETE", f"/items/{item['id']}")
        else:
            api("DELETE", f"/items/{item['id']}/image")
        api.work()

        assert api.objects("public/") == []

    def test_picture_of_a_public_item_is_seen_at_once(self, api: Stage) -> None:
        item = api.item(title="Vase", **PUBLIC)
        api.picture(item["id"], PHOTO)
        first = keys(seen(api, item))

        api.picture(item["id"], OTHER)

        second = keys(seen(api, item))
        assert api.objects("public/") == sorted(second)
        assert not {*first} & {*second}

    def test_new_focus_has_other_thumbnails(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        api.work()
        before = keys(seen(api, item))
        api("PATCH", f"/items/{item['id']}/image", {"focus": {"x": 0, "y": 1}})
        assert keys(seen(api, item)) == before

        api.work()

        picture = seen(api, item)
        assert picture is not None
        assert picture["focus"] == {"x": 0, "y": 1}
        assert api.objects("public/") == sorted(keys(picture))
        assert not {*before} & {*keys(picture)}

    def test_import_publishes_pictures_too(self, api: Stage, item: dict[str, Any]) -> None:
        answer = api("POST", "/imports?key=id", {"items": [{"id": item["id"], **PUBLIC}]})
        assert answer.status_code == 202, answer.body
        api.work()

        assert seen(api, item)
        assert len(api.objects("public/")) == 2


class TestFaults:
    def test_second_of_two_jobs_at_once_writes_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        api.work()
        change(api, item, PRIVATE)
        api.drop()
        read = items.get(OWNER, item["id"], times.now())

        for _ in range(2):
            public_pictures.synchronize(read, times.now())

        assert items.get(OWNER, item["id"], times.now()).version == read.version + 1

    @pytest.mark.parametrize("body", [PUBLIC, PRIVATE])
    def test_cleanup_repeats_what_was_lost(self, api: Stage, item: dict[str, Any], body: dict[str, str]) -> None:
        change(api, item, PUBLIC)
        if body == PRIVATE:
            api.work()
            change(api, item, PRIVATE)
        assert [message["type"] for message in api.drop()] == ["image.render"]

        later(api)

        assert bool(api.objects("public/")) == (body == PUBLIC)
        stored = items.find(OWNER, item["id"])
        assert stored is not None
        assert stored.exposure_due_at is None

    def test_publishing_succeeds_without_the_queue(self, api: Stage, item: dict[str, Any]) -> None:
        fails(aws.sqs(), "SendMessageBatch", "InternalError", times=1)
        change(api, item, PUBLIC)
        assert api.on_queue() == 0

        later(api)

        assert len(keys(seen(api, item))) == 2

    def test_item_unpublished_during_its_job_leaves_nothing(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        meanwhile(aws.s3(), "CopyObject", lambda: change(api, item, PRIVATE))

        api.work()

        assert api.objects("public/") == []

    def test_item_published_while_it_is_rendered_is_seen(self, api: Stage) -> None:
        item = api.item(title="Vase")
        api.upload(item["id"], PHOTO)
        meanwhile(aws.s3(), "PutObject", lambda: change(api, item, PUBLIC))

        api.work()

        assert api.objects("public/") == sorted(keys(seen(api, item)))

    def test_late_job_keeps_what_was_published_again(self, api: Stage, item: dict[str, Any]) -> None:
        change(api, item, PUBLIC)
        api.work()
        change(api, item, PRIVATE)

        def publish_again() -> None:
            change(api, item, PUBLIC)
            api.work()

        # The job of the unpublished item has read the item, and is about to delete its public objects.
        meanwhile(aws.s3(), "ListObjectsV2", publish_again)
        api.work()
        api.work()

        assert api.objects("public/") == sorted(keys(seen(api, item)))

    def test_item_that_expires_before_its_job_is_left_to_the_cleanup(
        self, api: Stage, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        soon = times.format_time(times.now() + timedelta(minutes=1))
        change(api, item, PUBLIC | {"expiresAt": soon})
        now = times.now() + timedelta(minutes=2)
        monkeypatch.setattr(times, "now", lambda: now)

        api.work()
        later(api)

        assert api.objects() == []

    def test_thumbnail_that_is_lost_ends_the_job(self, api: Stage, item: dict[str, Any]) -> None:
        for key in api.objects("thumbnails/"):
            aws.s3().delete_object(Bucket=aws.bucket_name(), Key=key)
        change(api, item, PUBLIC)

        api.work()

        stored = items.find(OWNER, item["id"])
        assert stored is not None
        assert stored.exposure_due_at is None
