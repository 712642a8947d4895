"""Run the queue's consumer on ten pictures, one at a time or in one batch, measured in elapsed time.

Calls to S3, DynamoDB and SQS are replaced by waiting, to measure how well waiting and processing overlap. The process
uses one core, like a Lambda function of 1,769 MB (AWS, "Configure Lambda function memory").
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from bench.worker_process import serve
from chalicelib.aws import bucket, queue
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import items, job_queue_consumer
from chalicelib.catalogue.messages import RenderImage
from chalicelib.catalogue.models import Image, Item
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.values import exact_json, ids, times

S3_CALL, TABLE_CALL, QUEUE_CALL = 0.020, 0.005, 0.010
"""The assumed duration of each call within a region, in seconds."""

BATCH = 10
"""The largest batch of the event source mapping (app.py)."""

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


_CONTEXT = mock.Mock(get_remaining_time_in_millis=lambda: 60_000)


class FakeStores:
    """S3 with one original, and DynamoDB with the items that wait for its thumbnails."""

    def __init__(self, original: bytes) -> None:
        self._original = original
        self._items: dict[str, Item] = {}

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Replace both. Raise RuntimeError if not all pictures are ready at the end."""
        with (
            mock.patch.multiple(bucket, read=self._read, write=self._write, item_keys=self._item_keys),
            mock.patch.multiple(items, find=self._find, change=self._change),
            mock.patch.multiple(queue, delete=self._delete),
        ):
            yield
        if any(item.image is None or item.image.status != "ready" for item in self._items.values()):
            raise RuntimeError("Not all pictures were rendered.")

    def message(self) -> ReceivedMessage:
        """Return the message about a new upload to a new item."""
        upload = Upload("local", ids.new_id(), ids.new_id())
        self._items[upload.item_id] = Item(
            owner=upload.owner,
            id=upload.item_id,
            version=1,
            created_at=times.format_time(_NOW),
            updated_at=times.format_time(_NOW),
            fields={},
            image=Image(status="processing", upload_id=upload.id),
            last_upload=upload.id,
        )
        return ReceivedMessage(upload.id, "", exact_json.to_json(RenderImage(upload.key)).decode(), 1, _NOW)

    def _read(self, *_: Any) -> bucket.Object:
        time.sleep(S3_CALL)
        return bucket.Object("", len(self._original), self._original)

    def _write(self, *_: Any) -> None:
        time.sleep(S3_CALL)

    def _item_keys(self, *_: Any) -> list[str]:
        time.sleep(2 * S3_CALL)  # originals and thumbnails are listed by one call each
        return []

    def _delete(self, *_: Any) -> None:
        time.sleep(QUEUE_CALL)

    def _find(self, _: str, item_id: str) -> Item:
        time.sleep(TABLE_CALL)
        return self._items[item_id]

    def _change(self, owner: str, item_id: str, step: Any, *_: Any) -> Item:
        self._items[item_id] = step(self._find(owner, item_id))
        time.sleep(TABLE_CALL)
        return self._items[item_id]


def one_at_a_time(original: bytes) -> None:
    """Process each message in a separate batch."""
    _process(original, 1)


def at_once(original: bytes) -> None:
    """Process all messages as one batch."""
    _process(original, BATCH)


def _process(original: bytes, size: int) -> None:
    stores = FakeStores(original)
    messages = [stores.message() for _ in range(BATCH)]
    with stores.replacing():
        for start in range(0, BATCH, size):
            job_queue_consumer.process_batch(messages[start : start + size], _CONTEXT)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    serve({"one at a time": one_at_a_time, "at once": at_once}, time.perf_counter)
