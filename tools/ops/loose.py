"""Loose files whose event or message was lost: found by what lies in the bucket, and rendered by the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws import bucket
from chalicelib.catalogue.messages import RenderImage
from chalicelib.values.exact_json import to_json
from tools.ops import objects
from tools.ops.objects import Object
from tools.ops.queues import Report
from tools.ops.stage import Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BATCH = 10
"""Messages that SQS takes in one call (AWS, "SendMessageBatch")."""


def without_thumbnail(stage: Stage) -> list[str]:
    """Return the keys of loose files that have no thumbnail, or one from before they were written.

    S3 gives times in whole seconds, so a file that was replaced within the second of its thumbnail is not found. Empty
    objects stand for folders and are skipped.
    """
    made_at = {one.key: one.modified_at for one in objects.under(stage, bucket.THUMBNAILS)}

    def is_missing(file: Object) -> bool:
        thumbnail = made_at.get(bucket.loose_thumbnail_key(file.key))
        return thumbnail is None or thumbnail < file.modified_at

    return [
        file.key
        for file in objects.under(stage, bucket.UPLOADS)
        if file.size and bucket.Upload.from_key(file.key) is None and is_missing(file)
    ]


def render(stage: Stage, keys: list[str], report: Report) -> None:
    """Queue the render of each of the files at ``keys``. Raise StageError if the queue refuses some."""
    sqs: SQSClient = stage.client("sqs")
    for start in range(0, len(keys), _BATCH):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": to_json(RenderImage(key)).decode()}
            for position, key in enumerate(keys[start : start + _BATCH])
        ]
        refused = sqs.send_message_batch(QueueUrl=stage.queue_url, Entries=entries).get("Failed", [])
        if refused:
            raise StageError(
                f"The queue refused {len(refused)} of {len(entries)} messages ({refused[0].get('Code')}); "
                f"{start} files before them are queued. Run the command again."
            )
        report(start + len(entries))
