"""List the objects of a stage's bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from tools.ops.deployed_stage import Stage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Object(NamedTuple):
    """One object of the bucket."""

    key: str
    size: int
    """Bytes."""
    modified_at: datetime


def with_prefix(stage: Stage, prefix: str) -> Iterator[S3Object]:
    """Yield the objects whose keys begin with ``prefix``, a thousand for each request."""
    s3: S3Client = stage.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=stage.bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            yield S3Object(found["Key"], found["Size"], found["LastModified"])
