"""S3 in memory: one bucket, its presigned forms, and the events of its objects."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.calls import ENDPOINT, refusal


class Put(NamedTuple):
    """An object. Of two objects put at one key, the later has the greater sequencer."""

    at: float
    key: str
    data: bytes
    content_type: str
    sequencer: str

    @property
    def etag(self) -> str:
        """Return the digest of the object's bytes as S3 does."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


class _Multipart(NamedTuple):
    """A multipart upload: where its object will be, and the parts by number. Parts of any size are accepted."""

    key: str
    content_type: str
    parts: dict[int, Put]


class S3:
    """One bucket."""

    name = "s3"
    refusals = ("SlowDown", "InternalError")

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], float], chance: random.Random | None = None
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self.objects: dict[str, Put] = {}
        self.log: list[Put] = []
        self._multipart: dict[str, _Multipart] = {}

    # ---------------------------------------------------------------------------------------------------- operations

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfNoneMatch: str = "") -> dict[str, Any]:  # noqa: N803
        found = self._found("get_object", Key)
        if IfNoneMatch == found.etag:
            raise refusal("get_object", "304", "Not Modified", 304)
        data = _part(found.data, Range) if Range else found.data
        return {
            "Body": io.BytesIO(data),
            "ContentLength": len(data),
            "ETag": found.etag,
            "ContentType": found.content_type,
        }

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        found = self.objects.get(Key)
        if found is None:
            # The response has no body that could contain a longer code.
            raise refusal("head_object", "404", "Not Found", 404)
        return {"ContentLength": len(found.data), "ETag": found.etag, "ContentType": found.content_type}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        ContentType: str = "",  # noqa: N803
        CacheControl: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        put = Put(self._clock(), Key, Body, ContentType, f"{len(self.log) + 1:018X}")
        self.objects[Key] = put
        self.log.append(put)
        self.on_put(put)
        return {"ETag": put.etag}

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
        MetadataDirective: str = "",  # noqa: N803
        ContentType: str = "",  # noqa: N803
        CacheControl: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        source = self._found("copy_object", CopySource["Key"])
        answer = self.put_object(Bucket=Bucket, Key=Key, Body=source.data, ContentType=ContentType)
        return {"CopyObjectResult": answer}

    def create_multipart_upload(self, *, Bucket: str, Key: str, ContentType: str = "") -> dict[str, Any]:  # noqa: N803
        id_ = f"upload-{len(self._multipart)}"
        self._multipart[id_] = _Multipart(Key, ContentType, {})
        return {"UploadId": id_}

    def upload_part_copy(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        PartNumber: int,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
    ) -> dict[str, Any]:
        part = self._multipart[UploadId].parts[PartNumber] = self._found("upload_part_copy", CopySource["Key"])
        return {"CopyPartResult": {"ETag": part.etag}}

    def complete_multipart_upload(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: dict[str, Any],  # noqa: N803
    ) -> dict[str, Any]:
        upload = self._multipart[UploadId]
        parts = [upload.parts[one["PartNumber"]] for one in MultipartUpload["Parts"]]
        if [part.etag for part in parts] != [one["ETag"] for one in MultipartUpload["Parts"]]:
            raise refusal("complete_multipart_upload", "InvalidPart", "An entity tag is another.")
        data = b"".join(part.data for part in parts)
        return self.put_object(Bucket=Bucket, Key=upload.key, Body=data, ContentType=upload.content_type)

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.objects.pop(Key, None)
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)
        return {} if Delete.get("Quiet") else {"Deleted": Delete["Objects"]}

    def list_objects_v2(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str = "",  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > ContinuationToken)
        size = self._chance.randint(1, 9) if self._chance else 1000
        page = [
            {"Key": key, "Size": len(self.objects[key].data), "ETag": self.objects[key].etag} for key in keys[:size]
        ]
        if not page:
            return {"KeyCount": 0, "IsTruncated": False}
        more = {"NextContinuationToken": page[-1]["Key"]} if len(keys) > size else {}
        return {"Contents": page, "KeyCount": len(page), "IsTruncated": bool(more), **more}

    def generate_presigned_post(
        self,
        bucket: str,
        key: str,
        *,
        Fields: dict[str, str],  # noqa: N803
        Conditions: list[Any],  # noqa: N803
        ExpiresIn: int,  # noqa: N803
    ) -> dict[str, Any]:
        ranges = [one for one in Conditions if isinstance(one, list) and one[0] == "content-length-range"]
        policy = {"until": self._wall() + ExpiresIn, "key": key, "range": ranges[0][1:], "type": Fields["Content-Type"]}
        return {"url": f"{ENDPOINT}/{bucket}", "fields": {**Fields, "key": key, "policy": json.dumps(policy)}}

    def generate_presigned_url(self, operation: str, *, Params: dict[str, str]) -> str:  # noqa: N803
        """Return an unsigned URL: the app asks for the bucket's address only."""
        return f"{ENDPOINT}/{Params['Bucket']}/{Params['Key']}?"

    # ------------------------------------------------------------------------------------------------- for the world

    def post(self, fields: dict[str, str], data: bytes) -> Put | None:
        """Accept an uploaded form if the policy allows it."""
        policy = json.loads(fields["policy"])
        low, high = policy["range"]
        allowed = self._wall() < policy["until"] and fields["key"] == policy["key"] and low <= len(data) <= high
        if not allowed or fields["Content-Type"] != policy["type"]:
            return None
        self.put_object(Bucket="", Key=fields["key"], Body=data, ContentType=policy["type"])
        return self.log[-1]

    def on_put(self, put: Put) -> None:
        """Do nothing. The world replaces this method to observe puts."""

    def _found(self, operation: str, key: str) -> Put:
        if key not in self.objects:
            raise refusal(operation, "NoSuchKey", "The specified key does not exist.", 404)
        return self.objects[key]


def _part(data: bytes, range_: str) -> bytes:
    """Return the bytes of a range such as ``bytes=0-9``, with its end (RFC 9110, section 14.1.2)."""
    first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", range_).groups()  # type: ignore[union-attr]
    if int(first) >= len(data):
        raise refusal("get_object", "InvalidRange", "The requested range is not satisfiable", 416)
    return data[int(first) : int(last) + 1]
