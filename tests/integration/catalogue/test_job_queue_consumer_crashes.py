"""Messages that end the function do not prevent the other messages of their batch."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from PIL import Image

from chalicelib.aws import queue
from chalicelib.catalogue import job_queue_consumer, messages, sqs_batches, thumbnail_jobs
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.pictures import sandbox
from chalicelib.values import times
from tests.builders import fields, jpeg, saved
from tests.integration.stage import OWNER, Stage, batch, context, run

MAX_RECEIVES = 6
BOTH = pytest.mark.parametrize("reporting", [True, False], ids=["reporting", "not reporting"])


class KilledError(BaseException):
    """The function's process has ended."""


@pytest.fixture
def as_configured(configured: Callable[..., None], reporting: bool) -> None:
    configured(REPORT_BATCH_ITEM_FAILURES="true" if reporting else None)


class Waiting(NamedTuple):
    """A message on the queue: when it is visible again, how often it was received, and its body."""

    at: float
    receives: int
    body: str


class Queue:
    """SQS and Lambda in virtual time: deliveries, deletions and visibility timeouts.

    Some messages end the function at the worst moment: nothing is done of those that are processed in parallel.
    """

    def __init__(self, bodies: Sequence[str], killers: set[str]) -> None:
        self.now = 0.0
        self.messages = {str(number): Waiting(0, 0, body) for number, body in enumerate(bodies)}
        self.killers = killers
        self.done: list[str] = []
        self.dead: list[str] = []
        self._batch: list[ReceivedMessage] = []
        self._killed = False

    def run(self) -> None:
        """Deliver messages until the queue is empty."""
        while self.messages:
            self.now = max(self.now, min(message.at for message in self.messages.values()))
            self._batch = list(self._receive())
            if self._batch:
                self._invoke()

    def _receive(self) -> Iterator[ReceivedMessage]:
        visible = [handle for handle, message in self.messages.items() if message.at <= self.now]
        for handle in visible[:10]:
            message = self.messages[handle]
            if message.receives == MAX_RECEIVES:
                self.dead.append(self.messages.pop(handle).body)
                continue
            self.messages[handle] = message._replace(
                at=self.now + job_queue_consumer.VISIBILITY_TIMEOUT, receives=message.receives + 1
            )
            yield ReceivedMessage(handle, handle, message.body, message.receives + 1, times.now())

    def _invoke(self) -> None:
        self._killed = False
        try:
            answer = job_queue_consumer.process_batch(self._batch, context("on_messages"))
        except KilledError:
            self.now += 60  # It may have run until its timeout.
        except sqs_batches.PartialBatchError:
            pass
        else:
            failed = {one["itemIdentifier"] for one in (answer or {}).get("batchItemFailures", [])}
            self.delete([delivery.receipt_handle for delivery in self._batch if delivery.message_id not in failed])

    def process(self, delivery: ReceivedMessage, _: Any) -> None:
        alone = delivery.receives >= job_queue_consumer.SUSPECT_RECEIVES
        together = (
            [delivery] if alone else [one for one in self._batch if one.receives < job_queue_consumer.SUSPECT_RECEIVES]
        )
        if not alone and not job_queue_consumer._is_thumbnail_job(delivery):
            together = []  # These are processed before the first render starts.
        if any(one.body in self.killers for one in together):
            self._killed = True
        self._check()
        self.done.append(delivery.body)

    def delete(self, handles: Sequence[str], of: str = "jobs") -> None:
        assert of == "jobs"
        self._check()
        for handle in handles:
            self.messages.pop(handle, None)

    def set_visibility(self, seconds: dict[str, int], of: str = "jobs") -> None:
        assert of == "jobs"
        self._check()
        for handle, wait in seconds.items():
            self.messages[handle] = self.messages[handle]._replace(at=self.now + wait)

    def _check(self) -> None:
        if self._killed:
            raise KilledError


def render(number: int) -> str:
    return json.dumps({"type": "image.render", "key": f"uploads/{number}.jpg"})


def create(number: int) -> str:
    return json.dumps({"type": "item.create", "owner": OWNER, "item": fields(n=number)})


@pytest.mark.usefixtures("as_configured")
@BOTH
@pytest.mark.parametrize("killers", [0, 1, 3, 6, 9])
@pytest.mark.parametrize("body", [render, create], ids=["renders", "others"])
def test_messages_that_do_not_crash_are_processed(
    monkeypatch: pytest.MonkeyPatch, body: Callable[[int], str], killers: int
) -> None:
    for seed in range(20):
        bodies = [(render if number < killers else body)(number) for number in range(10)]
        fatal = set(bodies[:killers])
        random.Random(seed).shuffle(bodies)
        fake = Queue(bodies, fatal)
        monkeypatch.setattr(job_queue_consumer, "process_message", fake.process)
        monkeypatch.setattr(queue, "delete", fake.delete)
        monkeypatch.setattr(queue, "set_visibility", fake.set_visibility)

        fake.run()

        assert set(fake.dead) == fatal, f"seed {seed}"
        assert set(fake.done) == set(bodies) - fatal, f"seed {seed}"


def test_message_that_cannot_be_parsed_fails_alone(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    original = messages.parse

    def read(body: str) -> messages.Message:
        if body == "poison":
            raise RecursionError
        return original(body)

    monkeypatch.setattr(messages, "parse", read)
    api.send("poison", create(1))

    with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
        run("on_messages", batch(api.receive()))

    assert len(api.records("ITEM#")) == 1
    assert api.on_queue() == 1


class TestDeletingBeforeRenders:
    @pytest.fixture
    def killing(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], bool]], None]:
        """End the function in the render of a key as soon as a condition is true."""

        def kill(fatal: str, when: Callable[[], bool]) -> None:
            original = thumbnail_jobs.run

            def render(key: str, *more: Any) -> None:
                if key != fatal:
                    return original(key, *more)
                end = time.monotonic() + 10
                while not when() and time.monotonic() < end:
                    time.sleep(0.01)
                raise KilledError

            monkeypatch.setattr(thumbnail_jobs, "run", render)

        return kill

    @pytest.mark.usefixtures("as_configured")
    @BOTH
    def test_messages_without_a_picture_are_deleted_first(self, api: Stage, killing: Callable[..., None]) -> None:
        killing("uploads/fatal.jpg", lambda: True)
        api.send({"type": "image.render", "key": "uploads/fatal.jpg"}, *map(create, range(3)))

        with pytest.raises(KilledError):
            run("on_messages", batch(api.receive()))

        assert api.on_queue() == 1
        assert len(api.records("ITEM#")) == 3

    @pytest.mark.usefixtures("as_configured")
    @BOTH
    def test_render_is_deleted_when_it_ends(self, api: Stage, killing: Callable[..., None]) -> None:
        keys = [api.put(f"uploads/{number}.jpg", jpeg()) for number in range(3)]
        killing("uploads/fatal.jpg", lambda: api.on_queue() == 1)
        api.send(*({"type": "image.render", "key": key} for key in ("uploads/fatal.jpg", *keys)))

        with pytest.raises(KilledError):
            run("on_messages", batch(api.receive()))

        assert api.on_queue() == 1
        assert len(api.objects("thumbnails/")) == 3

    def test_single_render_is_deleted_by_lambda(self, api: Stage) -> None:
        api.send({"type": "image.render", "key": api.put("uploads/1.jpg", jpeg())})

        run("on_messages", batch(api.receive()))

        assert api.on_queue() == 1


class TestRemainingTime:
    def test_message_without_enough_time_is_deferred(self, api: Stage) -> None:
        api.send(create(1), render(1))
        messages = api.receive()

        with pytest.raises(sqs_batches.PartialBatchError, match="2 of 2"):
            run("on_messages", batch(messages), milliseconds=job_queue_consumer.MIN_REMAINING_MS - 1_000)

        assert api.records("ITEM#") == []
        assert api.on_queue() == 2

    def test_time_is_kept_for_a_suspect(self, api: Stage) -> None:
        api.send(create(1), create(2))
        messages = api.receive()
        messages[1]["Attributes"]["ApproximateReceiveCount"] = str(job_queue_consumer.SUSPECT_RECEIVES)

        with pytest.raises(sqs_batches.PartialBatchError, match="1 of 2"):
            run("on_messages", batch(messages), milliseconds=job_queue_consumer.MIN_REMAINING_MS * 2 - 1_000)

        (record,) = api.records("ITEM#")
        assert record["fields"]["M"]["n"]["N"] == str(json.loads(messages[1]["Body"])["item"]["n"])

    def test_picture_that_waited_too_long_is_not_decoded(self, api: Stage) -> None:
        key = api.put("uploads/1.jpg", jpeg())

        with pytest.raises(thumbnail_jobs.OutOfTimeError):
            thumbnail_jobs.run(key, lambda: False)

        assert api.objects("thumbnails/") == []


class TestPicturesThatEndTheirProcess:
    def slow_gif(self) -> bytes:
        """Return a GIF with a comment of 19 MB, for which Pillow takes minutes."""
        data = saved(Image.new("L", (64, 48)), "GIF")
        image = 13 + (3 << (data[10] & 7) + 1)
        return data[:image] + b"!\xfe" + (b"\xff" + bytes(255)) * 74_000 + b"\0" + data[image:]

    def test_nine_other_pictures_are_shown(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sandbox, "MAX_SECONDS", 3.0)
        keys = [api.put(f"uploads/{number}.jpg", self.slow_gif() if number == 4 else jpeg()) for number in range(10)]
        api.send(*({"type": "image.render", "key": key} for key in keys))

        run("on_messages", batch(api.receive()))

        assert len(api.objects("thumbnails/")) == 9
        assert "thumbnails/4.jpg.jpg" not in api.objects("thumbnails/")
