"""The stream of a stage's table: its records of the last 24 hours, and new ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.events import item_events
from tools.ops.dead_letter import FailedBatch
from tools.ops.deployed_stage import Stage
from tools.stage.errors import StageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_EMPTY_PAGES = 100
"""The most empty pages in a row that are read at first in a shard.

Pages before a record may be empty (Amazon DynamoDB Streams API Reference, "GetRecords").
"""

Record = dict[str, Any]
"""A record as Lambda passes it to a function."""


class ChangeStream:
    """Reads all records that the stream still has, each once. The records of one item come in their order."""

    def __init__(self, stage: Stage) -> None:
        """Raise StageError if the table has no stream."""
        table = stage.client("dynamodb").describe_table(TableName=f"vitrine-{stage.name}")["Table"]
        if "LatestStreamArn" not in table:
            raise StageError(f"The table of the stage {stage.name} has no stream: deploy the resources first.")
        self._arn: str = table["LatestStreamArn"]
        self._client = stage.client("dynamodbstreams")
        self._iterators: dict[str, str | None] = {}
        """The position at which to continue in each shard, or None if the shard was read to its end."""

    def read_new(self) -> Iterator[Record]:
        """Yield the records that the last call did not."""
        for shard in self._shards():
            # The changes of a shard's items continue in its children (DynamoDB Developer Guide, "Reading and processing
            # a stream").
            if self._iterators.get(shard.get("ParentShardId", "")) is None:
                yield from self._read(shard["ShardId"])

    def _shards(self) -> Iterator[Any]:
        """Yield all shards, parents before their children."""
        start: dict[str, str] = {}
        while True:
            described = self._client.describe_stream(StreamArn=self._arn, **start)["StreamDescription"]
            yield from described["Shards"]
            if "LastEvaluatedShardId" not in described:
                return
            start = {"ExclusiveStartShardId": described["LastEvaluatedShardId"]}

    def _read(self, shard: str) -> Iterator[Record]:
        max_empty_pages = 1  # after the first call, because the next one reads on
        if shard not in self._iterators:
            self._iterators[shard] = _iterator(self._client, self._arn, shard, ShardIteratorType="TRIM_HORIZON")
            max_empty_pages = _MAX_EMPTY_PAGES
        empty_pages = 0
        while (iterator := self._iterators[shard]) and empty_pages < max_empty_pages:
            answer = self._client.get_records(ShardIterator=iterator)
            yield from (_as_event_record(record, self._arn) for record in answer["Records"])
            self._iterators[shard] = answer.get("NextShardIterator")
            empty_pages = 0 if answer["Records"] else empty_pages + 1


def records_of(stage: Stage, batch: FailedBatch) -> list[Record]:
    """Return the records of items in a batch that Lambda gave up on.

    Raise StageError if the stream no longer has them all.
    """
    try:
        found = _read_until(stage.client("dynamodbstreams"), batch)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ResourceNotFoundException", "TrimmedDataAccessException"):
            raise
        found = []
    if not _is_complete(found, batch):
        raise StageError("its changes are gone from the table's stream, which has those of the last 24 hours")
    return [record for record in found if _number(record) <= int(batch.last) and item_events.item_key(record)]


def _read_until(client: Any, batch: FailedBatch) -> list[Record]:
    """Return the records from the first one of a batch on, at least up to the last one, if they are there."""
    found: list[Record] = []
    position = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": batch.first}
    iterator: str | None = _iterator(client, batch.stream, batch.shard, **position)
    empty_pages = 0
    while iterator and empty_pages < _MAX_EMPTY_PAGES and not _is_complete(found, batch):
        answer = client.get_records(ShardIterator=iterator)
        found += [_as_event_record(record, batch.stream) for record in answer["Records"]]
        empty_pages = 0 if answer["Records"] else empty_pages + 1
        iterator = answer.get("NextShardIterator")
    return found


def _is_complete(found: list[Record], batch: FailedBatch) -> bool:
    return bool(found) and _number(found[-1]) >= int(batch.last)


def _iterator(client: Any, arn: str, shard: str, **position: str) -> str:
    found: str = client.get_shard_iterator(StreamArn=arn, ShardId=shard, **position)["ShardIterator"]
    return found


def _number(record: Mapping[str, Any]) -> int:
    return int(record["dynamodb"]["SequenceNumber"])


def _as_event_record(record: Any, arn: str) -> Record:
    """Return a record of GetRecords as Lambda passes it on."""
    at = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
    change = {**record["dynamodb"], "ApproximateCreationDateTime": at}
    return {**record, "dynamodb": change, "eventSourceARN": arn}
