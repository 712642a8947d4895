"""Each call to AWS on a picture's way fails once, in one way after the other: the end is always the same.

Events and messages are delivered again, as AWS does; people ask again; then the cleanup comes round. What is left must
be the newest upload's picture and objects, and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import cleanup, items
from chalicelib.catalogue.models import Image
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, batch, context, json_of, run

PHOTO, OTHER, BROKEN = jpeg(64, 48), jpeg(48, 64), b"not a picture at all"


class KilledError(BaseException):
    """The function's process is no more: nothing that it would have done next is done."""


def refused(count: int, at: int) -> None:
    if count == at:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": "provoked"}}, "provoked")


def killed(count: int, at: int) -> None:
    if count == at:
        raise KilledError


WAYS: dict[str, tuple[str, Callable[[int, int], None]]] = {
    "refused": ("before-call", refused),
    "done, and nothing after it": ("after-call", killed),
}


WRITING = ("Put", "Delete", "TransactWrite", "Send", "Change")


class World:
    """An item whose picture is on its way, among people, events and messages that do not give up at once."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.item = str(stage.item(title="Vase")["id"])
        self.calls = 0

    @contextmanager
    def failing(self, at: int, way: str) -> Iterator[None]:
        """The call of that number fails that way; counted from 1, over all services."""
        event, fail = WAYS[way]

        def step(model: Any, **_: Any) -> None:
            # One that only reads leaves nothing done that was not done before.
            if self._counting and (event == "before-call" or model.name.startswith(WRITING)):
                self.calls += 1
                fail(self.calls, at)

        emitters = [client.meta.events for client in (aws.dynamodb(), aws.s3(), aws.sqs())]
        for events in emitters:
            events.register(event, step, unique_id="failing")
        try:
            yield
        finally:
            for events in emitters:
                events.unregister(event, step, unique_id="failing")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Somebody asks, and asks once more where something went wrong."""
        for _ in range(2):
            with suppress(KilledError):
                answer = self.stage(method, path, body)
                if answer.status_code < 500:
                    return json_of(answer)
        raise AssertionError(f"{method} {path} failed twice")

    def ticket(self) -> str:
        asked = self.ask("POST", f"/items/{self.item}/image", {"contentType": "image/jpeg"})
        key: str = asked["upload"]["fields"]["key"]
        return key

    def put(self, key: str, data: bytes) -> None:
        """Somebody uploads: S3's own matter, in which nothing of ours can fail."""
        with self._unhindered():
            self.stage.put(key, data)

    def lose(self, key: str) -> None:
        with self._unhindered():
            aws.s3().delete_object(Bucket=aws.bucket_name(), Key=key)

    def event(self, key: str, sequencer: str | None = None) -> None:
        """An event is delivered up to three times (AWS, "Asynchronous invocation")."""
        for _ in range(3):
            with suppress(KilledError, ClientError):
                self.stage.notice(key, sequencer=sequencer)
                return

    def work(self) -> None:
        """The consumer is handed what is on the queue until nothing is left of it, or it went to the dead letters."""
        while True:
            with self._unhindered():
                messages = [
                    one for one in self.stage.receive() if int(one["Attributes"]["ApproximateReceiveCount"]) <= 6
                ]
            if not messages:
                return
            for message in messages:
                with self._unhindered():
                    self._deliver(message)

    def _deliver(self, message: dict[str, Any]) -> None:
        handle = {"QueueUrl": aws.queue_url(), "ReceiptHandle": message["ReceiptHandle"]}
        done = False
        with suppress(Exception, KilledError), self._hindered():
            run("on_messages", batch([message]))
            done = True
        if done:
            aws.sqs().delete_message(**handle)
        else:
            aws.sqs().change_message_visibility(**handle, VisibilityTimeout=0)

    def sweep(self, hours: int) -> None:
        """The cleanup comes round, that many hours later, and what it queues is worked off."""
        with suppress(KilledError, ClientError):
            cleanup.run(times.now() + timedelta(hours=hours), context("clean_up", 60_000))
        self.work()

    def picture(self) -> Image | None:
        """The item's picture, as kept."""
        item = items.find(OWNER, self.item)
        return item and item.image

    def objects(self) -> list[str]:
        """The objects of the item, whatever they are."""
        return bucket.item_keys(OWNER, self.item)

    def left_overs(self) -> list[Any]:
        """What should not be there any more: messages, a reminder of the item's end, work due on it."""
        item = items.find(OWNER, self.item)
        kept = [self.stage.on_queue(), table.get(table.Key(OWNER, "PURGE", self.item)), item and item.due_at]
        return [one for one in kept if one]

    # What S3 and SQS do by themselves cannot fail for us, so it is not counted.

    _counting = True

    @contextmanager
    def _unhindered(self) -> Iterator[None]:
        before, self._counting = self._counting, False
        try:
            yield
        finally:
            self._counting = before

    @contextmanager
    def _hindered(self) -> Iterator[None]:
        before, self._counting = self._counting, True
        try:
            yield
        finally:
            self._counting = before


# ------------------------------------------------------------------------------------------------------------- stories
# What happens, and what has to be left of it: the state of the picture and the key that it is of, or None.

End = tuple[str, str] | None


def one_upload(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    return "ready", key


def an_upload_whose_event_is_lost(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    return "ready", key


def two_uploads_whose_events_come_in_reverse_and_twice(world: World) -> End:
    older, newer = world.ticket(), world.ticket()
    world.put(older, OTHER)
    world.put(newer, PHOTO)
    for key in (newer, older, newer):
        world.event(key)
    world.work()
    world.event(older)
    world.work()
    return "ready", newer


def a_newer_upload_while_the_older_waits(world: World) -> End:
    older = world.ticket()
    world.put(older, OTHER)
    world.event(older)
    newer = world.ticket()
    world.put(newer, PHOTO)
    world.event(newer)
    world.work()
    return "ready", newer


def a_newer_upload_that_is_no_picture(world: World) -> End:
    older = world.ticket()
    world.put(older, PHOTO)
    world.event(older)
    world.work()
    newer = world.ticket()
    world.put(newer, BROKEN)
    world.event(newer)
    world.work()
    return "failed", newer


def an_object_that_is_gone_before_its_render(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    world.event(key)
    world.lose(key)
    world.work()
    return None


def an_item_that_is_deleted_before_the_render(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    world.event(key)
    world.ask("DELETE", f"/items/{world.item}")
    world.work()
    world.event(key)
    return None


def an_item_that_is_deleted_before_its_upload_comes(world: World) -> End:
    key = world.ticket()
    world.ask("DELETE", f"/items/{world.item}")
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    return None


def an_item_that_is_deleted_with_its_picture(world: World) -> End:
    one_upload(world)
    world.ask("DELETE", f"/items/{world.item}")
    return None


def a_picture_that_is_removed(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    world.ask("DELETE", f"/items/{world.item}/image")
    world.event(key)
    world.work()
    return None


def a_pending_picture_that_is_removed_before_its_event(world: World) -> End:
    key = world.ticket()
    world.put(key, PHOTO)
    world.ask("DELETE", f"/items/{world.item}/image")
    world.event(key)
    world.work()
    return None


def another_file_by_the_same_ticket(world: World) -> End:
    key = world.ticket()
    for data in (OTHER, PHOTO):
        world.put(key, data)
        world.event(key)
        world.work()
    return "ready", key


def a_good_file_by_the_ticket_of_a_broken_one_with_the_events_in_reverse(world: World) -> End:
    key = world.ticket()
    world.put(key, BROKEN)
    first = world.stage.sequencers[key]
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    world.event(key, first)
    world.work()
    return "ready", key


def another_file_by_the_same_ticket_whose_event_is_lost(world: World) -> End:
    key = world.ticket()
    world.put(key, OTHER)
    world.event(key)
    world.work()
    world.put(key, PHOTO)
    return "ready", key


STORIES: tuple[Callable[[World], End], ...] = (
    one_upload,
    an_upload_whose_event_is_lost,
    two_uploads_whose_events_come_in_reverse_and_twice,
    a_newer_upload_while_the_older_waits,
    a_newer_upload_that_is_no_picture,
    an_object_that_is_gone_before_its_render,
    an_item_that_is_deleted_before_the_render,
    an_item_that_is_deleted_before_its_upload_comes,
    an_item_that_is_deleted_with_its_picture,
    a_picture_that_is_removed,
    a_pending_picture_that_is_removed_before_its_event,
    another_file_by_the_same_ticket,
    a_good_file_by_the_ticket_of_a_broken_one_with_the_events_in_reverse,
    another_file_by_the_same_ticket_whose_event_is_lost,
)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_whatever_fails_the_end_is_the_same(api: Stage, story: Callable[[World], End], way: str) -> None:
    for at in itertools.count(1):
        world = World(api)
        with world.failing(at, way):
            end = story(world)
            world.sweep(1)
        for hours in (2, 3):
            if world.left_overs():
                world.sweep(hours)

        picture = world.picture()
        assert (picture and (picture.status, picture.upload_id)) == (end and (end[0], _upload(end[1]).id)), f"call {at}"
        assert sorted(world.objects()) == sorted(_kept(end, picture)), f"call {at}"
        assert picture is None or (picture.width, picture.height) in ((64, 48), (None, None)), f"call {at}"
        assert world.left_overs() == [], f"call {at}"
        if world.calls < at:
            break
    assert at > 3


def _upload(key: str) -> Upload:
    upload = Upload.from_key(key)
    assert upload is not None
    return upload


def _kept(end: End, picture: Image | None) -> list[str]:
    if end is None or picture is None:
        return []
    status, key = end
    thumbnails = [_upload(key).thumbnail_key(size, picture.sequencer, picture.etag) for size in (200, 800)]
    return [key] + (thumbnails if status == "ready" else [])
