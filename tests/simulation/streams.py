"""The stream of the table: a record for each write that changed something (AWS, "DynamoDB Streams").

The records of one item are in one shard, in the order of its writes. Those of different items may be in different
shards, even if one transaction wrote them.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.dynamodb import Write
from tests.simulation.timeline import HOUR

RETENTION = 24 * HOUR


class StreamRecord(NamedTuple):
    """A record of a shard. ``number`` is its sequence number, ``event`` is what a function gets."""

    at: float
    number: str
    event: dict[str, Any]


class Shard:
    """A part of the stream."""

    def __init__(self, number: int) -> None:
        self.id = f"shardId-{number}"
        self.records: list[StreamRecord] = []

    def read(self, position: int, most: int) -> list[StreamRecord]:
        """Return up to ``most`` records from a position on."""
        return self.records[position : position + most]


class Stream:
    """The stream, with a few shards."""

    def __init__(self, clock: Callable[[], float], shards: int) -> None:
        self._clock = clock
        self._numbers = itertools.count(100_000)
        self.shards = [Shard(number) for number in range(shards)]

    def watch(self, writes: list[Write]) -> None:
        """Append the records of a call's writes."""
        for write in writes:
            if write.old != write.new:
                self.append(write)

    def append(self, write: Write) -> StreamRecord:
        """Append the record of a write."""
        number = str(next(self._numbers))
        images = {"OldImage": write.old, "NewImage": write.new}
        kind = "INSERT" if write.old is None else "REMOVE" if write.new is None else "MODIFY"
        event = {
            "eventID": hashlib.md5(number.encode(), usedforsecurity=False).hexdigest(),
            "eventName": kind,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": float(int(write.at)),
                "Keys": {"pk": {"S": write.pk}, "sk": {"S": write.sk}},
                **{name: image for name, image in images.items() if image is not None},
                "SequenceNumber": number,
                "SizeBytes": 1,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/vitrine-local/stream/1",
        }
        shard = self.shards[zlib.crc32(f"{write.pk} {write.sk}".encode()) % len(self.shards)]
        record = StreamRecord(write.at, number, event)
        shard.records.append(record)
        self.on_record(shard)
        return record

    def oldest(self) -> float:
        """Return how old a record can be that is still there: written at this time or later."""
        return self._clock() - RETENTION

    def on_record(self, shard: Shard) -> None:
        """Do nothing. The mapping replaces this method to learn that a shard has another record."""
