"""Find loose files without a thumbnail, and queue their thumbnail jobs.

A loose file is one in ``uploads/`` that belongs to no item. It has no thumbnail if its event or message was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws import bucket
from chalicelib.catalogue.messages import RenderImage
from chalicelib.values.exact_json import to_json
from tools.ops import s3_objects
from tools.ops.dead_letter_queues import Report
from tools.ops.deployed_stage import Stage
from tools.ops.s3_objects import S3Object
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BATCH_SIZE = 10
"""The most messages that SQS takes in one call (AWS, "SendMessageBatch")."""


def without_thumbnail(stage: Stage) -> list[str]:
    """Return the keys of loose files without a thumbnail, or with one that is older than the file.

    S3's times are in whole seconds, so a file that was replaced in the same second as its thumbnail was made is not
    found. Empty objects stand for folders and are skipped.
    """
    thumbnail_times = {one.key: one.modified_at for one in s3_objects.with_prefix(stage, bucket.THUMBNAILS)}

    def lacks_thumbnail(file: S3Object) -> bool:
        modified_at = thumbnail_times.get(bucket.loose_thumbnail_key(file.key))
        return modified_at is None or modified_at < file.modified_at

    return [
        file.key
        for file in s3_objects.with_prefix(stage, bucket.UPLOADS)
        if file.size and bucket.Upload.from_key(file.key) is None and lacks_thumbnail(file)
    ]


def queue_thumbnail_jobs(stage: Stage, keys: list[str], report: Report) -> None:
    """Queue a thumbnail job for each of the files at ``keys``. Raise StageError if the queue refuses some."""
    sqs: SQSClient = stage.client("sqs")
    for start in range(0, len(keys), _BATCH_SIZE):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(position), "MessageBody": to_json(RenderImage(key)).decode()}
            for position, key in enumerate(keys[start : start + _BATCH_SIZE])
        ]
        refused = sqs.send_message_batch(QueueUrl=stage.queue_url, Entries=entries).get("Failed", [])
        if refused:
            raise StageError(
                f"The queue refused {len(refused)} of {len(entries)} messages ({refused[0].get('Code')}); "
                f"{start} files before them are queued. Run the command again."
            )
        report(start + len(entries))
