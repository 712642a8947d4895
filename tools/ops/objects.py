"""What lies in a stage's bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from tools.ops.stage import Stage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Object(NamedTuple):
    """What lies at one key of the bucket."""

    key: str
    size: int
    """Bytes."""
    modified_at: datetime


def under(stage: Stage, prefix: str) -> Iterator[Object]:
    """Yield the objects whose keys begin with ``prefix``: one request for a thousand."""
    s3: S3Client = stage.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=stage.bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            yield Object(found["Key"], found["Size"], found["LastModified"])
