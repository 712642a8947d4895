"""Each AWS call in the processing of a picture fails once, in each way: the result is always the same.

Events and messages are delivered again, as AWS does; clients repeat their requests; then the cleanup runs. Only the
newest upload's picture and its objects may remain.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import hourly_cleanup, items, public_copies
from chalicelib.catalogue.models import Image, Item
from chalicelib.config import settings
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, batch, context, json_of, run
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.failing_calls import Fault, KilledError, KillingClient, RefusingClient
from tests.simulation.functions import JOBS, QUEUES
from tests.simulation.s3 import S3
from tests.simulation.sqs import SQS

PHOTO, OTHER, BROKEN = jpeg(64, 48), jpeg(48, 64), b"not a picture at all"


class World:
    """An item whose picture is processed, with clients, events and messages that are repeated if they fail."""

    def __init__(self, stage: Stage, patch: pytest.MonkeyPatch, client: type[RefusingClient]) -> None:
        self.stage = stage
        self.fault = Fault()
        sqs = SQS(time.time, QUEUES)
        self._jobs = sqs.queues[JOBS]
        self._s3 = S3(time.time, time.time)
        services = {"dynamodb": DynamoDB(time.time), "s3": self._s3, "sqs": sqs}
        clients = {name: client(service, self.fault) for name, service in services.items()}
        patch.setattr(aws, "_client", lambda service, _: clients[service])
        self.item = str(stage.item(title="Vase")["id"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, and repeat it once if it fails."""
        for _ in range(2):
            with suppress(KilledError):
                answer = self.stage(method, path, body)
                if answer.status_code < 500:
                    return json_of(answer)
        raise AssertionError(f"{method} {path} failed twice")

    def ticket(self) -> str:
        ticket = self.ask("POST", f"/items/{self.item}/image", {"contentType": "image/jpeg"})
        key: str = ticket["upload"]["fields"]["key"]
        return key

    def put(self, key: str, data: bytes) -> None:
        with self.fault.count(False):
            self.stage.put(key, data)

    def upload(self, data: bytes) -> str:
        """Upload a file with a new ticket, deliver its event, and return its key."""
        key = self.ticket()
        self.put(key, data)
        self.event(key)
        return key

    def lose(self, key: str) -> None:
        with self.fault.count(False):
            bucket.delete([key])

    def event(self, key: str, sequencer: str | None = None) -> None:
        """Deliver an event up to three times (AWS, "Asynchronous invocation")."""
        for _ in range(3):
            with suppress(KilledError, ClientError):
                self.stage.notice(key, sequencer=sequencer)
                return

    def work(self) -> None:
        """Deliver messages until the queue is empty or has moved them to the dead-letter queue."""
        while True:
            with self.fault.count(False):
                messages = self.stage.receive()
            if not messages:
                return
            for message in messages:
                self._deliver(message)

    def _deliver(self, message: dict[str, Any]) -> None:
        receipt = message["ReceiptHandle"]
        done = False
        with suppress(Exception, KilledError):
            run("on_messages", batch([message]))
            done = True
        if done:
            self._jobs.delete(receipt)
        else:
            self._jobs.change_visibility(receipt, 0)

    def cleanup(self, hours: int) -> None:
        """Run the cleanup so many hours later, and process what it queues."""
        with suppress(KilledError, ClientError):
            hourly_cleanup.run(times.now() + timedelta(hours=hours), context("clean_up", 60_000))
        self.work()

    def picture(self) -> Image | None:
        item = items.find(OWNER, self.item)
        return item and item.image

    def objects(self) -> list[str]:
        return list(self._s3.objects)

    def show(self, visibility: str) -> None:
        self.ask("PATCH", f"/items/{self.item}", {"visibility": visibility})
        self.work()

    def unfinished(self) -> list[Any]:
        """Return unfinished work, which must not remain: messages, the item's purge record, work that is due on it."""
        item = items.find(OWNER, self.item)
        purge = table.get(table.Key(OWNER, "PURGE", self.item))
        return [one for one in (len(self._jobs.messages), purge, item and item.due_at) if one]


# ------------------------------------------------------------------------------------------------------------- stories
# Each returns the expected result: the status of the picture and its key, or None for no picture.

Result = tuple[str, str] | None


def one_upload(world: World) -> Result:
    key = world.upload(PHOTO)
    world.work()
    return "ready", key


def upload_with_a_lost_event(world: World) -> Result:
    key = world.ticket()
    world.put(key, PHOTO)
    return "ready", key


def two_uploads_with_reversed_and_repeated_events(world: World) -> Result:
    older, newer = world.ticket(), world.ticket()
    world.put(older, OTHER)
    world.put(newer, PHOTO)
    for key in (newer, older, newer):
        world.event(key)
    world.work()
    world.event(older)
    world.work()
    return "ready", newer


def newer_upload_before_the_older_is_rendered(world: World) -> Result:
    world.upload(OTHER)
    newer = world.upload(PHOTO)
    world.work()
    return "ready", newer


def newer_upload_that_is_not_a_picture(world: World) -> Result:
    world.upload(PHOTO)
    world.work()
    newer = world.upload(BROKEN)
    world.work()
    return "failed", newer


def object_deleted_before_its_render(world: World) -> Result:
    key = world.upload(PHOTO)
    world.lose(key)
    world.work()
    return None


def item_deleted_before_the_render(world: World) -> Result:
    key = world.upload(PHOTO)
    world.ask("DELETE", f"/items/{world.item}")
    world.work()
    world.event(key)
    return None


def item_deleted_before_the_upload(world: World) -> Result:
    key = world.ticket()
    world.ask("DELETE", f"/items/{world.item}")
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    return None


def item_deleted_with_its_picture(world: World) -> Result:
    one_upload(world)
    world.ask("DELETE", f"/items/{world.item}")
    return None


def picture_removed(world: World) -> Result:
    key = world.upload(PHOTO)
    world.work()
    world.ask("DELETE", f"/items/{world.item}/image")
    world.event(key)
    world.work()
    return None


def pending_picture_removed_before_its_event(world: World) -> Result:
    key = world.ticket()
    world.put(key, PHOTO)
    world.ask("DELETE", f"/items/{world.item}/image")
    world.event(key)
    world.work()
    return None


def two_files_with_one_ticket(world: World) -> Result:
    key = world.ticket()
    for data in (OTHER, PHOTO):
        world.put(key, data)
        world.event(key)
        world.work()
    return "ready", key


def broken_then_good_file_with_one_ticket_and_reversed_events(world: World) -> Result:
    key = world.ticket()
    world.put(key, BROKEN)
    first = world.stage.sequencers[key]
    world.put(key, PHOTO)
    world.event(key)
    world.work()
    world.event(key, first)
    world.work()
    return "ready", key


def second_file_with_one_ticket_and_a_lost_event(world: World) -> Result:
    key = world.upload(OTHER)
    world.work()
    world.put(key, PHOTO)
    return "ready", key


def picture_of_a_public_item(world: World) -> Result:
    world.show("public")
    world.upload(OTHER)
    world.work()
    return one_upload(world)


def item_published_and_unpublished(world: World) -> Result:
    result = one_upload(world)
    world.show("public")
    world.show("private")
    return result


def item_published_twice(world: World) -> Result:
    result = item_published_and_unpublished(world)
    world.show("public")
    return result


def public_item_deleted(world: World) -> Result:
    world.show("public")
    return item_deleted_with_its_picture(world)


STORIES: tuple[Callable[[World], Result], ...] = (
    one_upload,
    upload_with_a_lost_event,
    two_uploads_with_reversed_and_repeated_events,
    newer_upload_before_the_older_is_rendered,
    newer_upload_that_is_not_a_picture,
    object_deleted_before_its_render,
    item_deleted_before_the_render,
    item_deleted_before_the_upload,
    item_deleted_with_its_picture,
    picture_removed,
    pending_picture_removed_before_its_event,
    two_files_with_one_ticket,
    broken_then_good_file_with_one_ticket_and_reversed_events,
    second_file_with_one_ticket_and_a_lost_event,
    picture_of_a_public_item,
    item_published_and_unpublished,
    item_published_twice,
    public_item_deleted,
)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("client", [RefusingClient, KillingClient], ids=["refused", "killed afterwards"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_result_is_the_same_whichever_call_fails(
    tmp_path: Path, story: Callable[[World], Result], client: type[RefusingClient]
) -> None:
    for call in itertools.count(1):
        with pytest.MonkeyPatch.context() as patch:
            world = World(Stage(tmp_path), patch, client)
            if not story_holds(world, story, call):
                break
    assert call > 3


def story_holds(world: World, story: Callable[[World], Result], call: int) -> bool:
    """Run a story in which one call fails, and check its result. Return False if it has fewer calls."""
    world.fault.call = call
    with world.fault.count(True):
        result = story(world)
        world.cleanup(1)
    for hours in (2, 3):
        if world.unfinished():
            world.cleanup(hours)

    picture = world.picture()
    assert (picture and (picture.status, picture.upload_id)) == (result and (result[0], _upload(result[1]).id)), call
    assert sorted(world.objects()) == sorted(_expected_objects(result, items.find(OWNER, world.item))), call
    assert picture is None or (picture.width, picture.height) in ((64, 48), (None, None)), call
    assert world.unfinished() == [], call
    return world.fault.calls >= call


def _upload(key: str) -> Upload:
    upload = Upload.from_key(key)
    assert upload is not None
    return upload


def _expected_objects(result: Result, item: Item | None) -> list[str]:
    if result is None or item is None or item.image is None:
        return []
    status, key = result
    if status != "ready":
        return [key]
    thumbnails = [
        _upload(key).thumbnail_key(size, item.image.sequencer, item.image.etag) for size in settings().thumbnail_sizes
    ]
    public = [public_copies.public_key(item, one) for one in thumbnails] if item.visibility else []
    return [key, *thumbnails, *public]
