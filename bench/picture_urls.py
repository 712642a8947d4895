"""Measure the processor time of the download URLs of a page, compared with two ways of botocore.

A page has 25 items with pictures, each with the URLs of the original and of two thumbnails, and temporary credentials,
as in a deployed function. The three ways are measured in turns.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest

from bench import text_tables
from chalicelib import aws, config
from chalicelib.aws import presigned_downloads
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import item_pictures
from chalicelib.catalogue.models import Image, Item, Thumbnail
from chalicelib.config import Size
from chalicelib.http import serializers
from chalicelib.values import ids

VITRINE, AUTH_CLASS, CLIENT = "Vitrine", "botocore's class for signatures", "botocore's client"
AIM_MS = 1.5
AIM = f"Aim: the URLs of a page take at most {AIM_MS} ms."
PICTURES = 25
SIZES = (None, 200, 800)
"""The original and the thumbnails, as the items list them."""

PAGES = 10
"""The pages per turn: long enough for the clock, short enough for turns."""

COLUMNS = {"urls_ms": "URLs, ms", "page_ms": "page, ms", "of_vitrine": "URLs, ratio", "page_kb": "page, KB"}

Url = Callable[..., str]


def measure(turns: int, report: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return for each way the median milliseconds of a page's URLs and of a page's JSON, and the ratio of the URLs."""
    with _deployed():
        items = [_item(number) for number in range(PICTURES)]
        taken = [{name: _turn(items, url) for name, url in _ways().items()} for _ in range(turns)]
        size = sum(len(serializers.item(item)) for item in items)
    found = results(taken, size)
    report(text_tables.table(f"a page of {PICTURES} pictures", COLUMNS, list(found.items())))
    report(AIM)
    return found


def results(turns: Sequence[Mapping[str, tuple[float, float]]], page_bytes: int) -> dict[str, dict[str, float]]:
    """Return the medians of the turns, and the medians of the ratios within each turn."""
    return {
        name: {
            "urls_ms": round(statistics.median(turn[name][0] for turn in turns), 2),
            "page_ms": round(statistics.median(turn[name][1] for turn in turns), 2),
            "of_vitrine": round(statistics.median(turn[name][0] / turn[VITRINE][0] for turn in turns), 1),
            "page_kb": round(page_bytes / 1000, 1),
        }
        for name in turns[0]
    }


@contextlib.contextmanager
def _deployed() -> Iterator[None]:
    """Set the variables of a deployed function. The session token has the length of one of Lambda's."""
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": "api_handler",
        "BUCKET_NAME": "vitrine-prod-123456789012-eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "ASIA" + "A" * 16,
        "AWS_SECRET_ACCESS_KEY": "s" * 40,
        "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2Vj/" + "t+" * 350,
    }
    with mock.patch.dict(os.environ, variables):
        config.settings.cache_clear()
        yield
    config.settings.cache_clear()


def _item(number: int) -> Item:
    at = "2026-01-01T00:00:00.000Z"
    upload = Upload("0123-owner", ids.new_id(number), ids.new_id(number))
    sizes = [Size(pixels, "fit") for pixels in SIZES if pixels]
    keys = [upload.thumbnail_key(size, "0055AED6DCD90281E5", "d41d8cd98f00b204e9800998ecf8427e") for size in sizes]
    thumbnails = tuple(Thumbnail(size.pixels, 200, 200, key) for size, key in zip(sizes, keys, strict=True))
    image = Image(
        status="ready",
        upload_id=upload.id,
        content_type="image/jpeg",
        width=4,
        height=3,
        bytes=9,
        thumbnails=thumbnails,
    )
    common: Any = {"version": 1, "created_at": at, "updated_at": at, "fields": {"title": "Vase"}}
    return Item(owner=upload.owner, id=upload.item_id, image=image, **common)


def _ways() -> dict[str, Url]:
    return {VITRINE: presigned_downloads.url, AUTH_CLASS: _url_of_auth_class, CLIENT: _url_of_client}


def _turn(items: Sequence[Item], url: Url) -> tuple[float, float]:
    """Return the milliseconds of the URLs of a page, and of its whole JSON."""
    with mock.patch.object(presigned_downloads, "url", url):
        return (
            _milliseconds(lambda: [item_pictures.download_url(item, size) for item in items for size in SIZES]),
            _milliseconds(lambda: [serializers.item(item) for item in items]),
        )


def _milliseconds(do: Callable[[], object]) -> float:
    do()
    started = time.process_time()
    for _ in range(PAGES):
        do()
    return (time.process_time() - started) * 1000 / PAGES


def _url_of_auth_class(key: str, **overrides: str) -> str:
    auth = botocore.auth.S3SigV4QueryAuth(aws.credentials(), "s3", aws.region(), presigned_downloads.VALID_FOR)
    address = f"{aws.bucket_url()}/{quote(key, safe='/~')}"
    request = AWSRequest("GET", address, params={f"response-{name}": value for name, value in overrides.items()})
    auth.add_auth(request)
    return str(request.url)


def _url_of_client(key: str, **overrides: str) -> str:
    names = {"content_type": "ResponseContentType"}
    parameters = {"Bucket": aws.bucket_name(), "Key": key} | {names[name]: one for name, one in overrides.items()}
    return aws.s3().generate_presigned_url("get_object", Params=parameters, ExpiresIn=presigned_downloads.VALID_FOR)
