"""Presigned download URLs: the same signature as botocore's, and how long they are the same and valid."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import aws
from chalicelib.aws import presigned_downloads
from chalicelib.aws.presigned_downloads import UrlSigner
from tests import bundle_files
from tools.bundle import botocore_data

BUCKET = "vitrine-prod-123456789012-eu-central-1"
HOUR = 3600

pytestmark = pytest.mark.usefixtures("new_process")


@pytest.fixture
def new_process() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for cached in (
        aws._client,
        aws._session,
        aws.bucket_url,
        presigned_downloads._signer,
        presigned_downloads._first_use,
    ):
        cached.cache_clear()


# ----------------------------------------------------------------------------------------------------------- signature


@functools.cache
def session() -> Session:
    return Session()


@functools.cache
def client(region: str, endpoint_url: str | None, style: str) -> Any:
    s3 = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
    config = Config(signature_version="s3v4", s3=s3)  # type: ignore[arg-type]
    return session().create_client("s3", region, endpoint_url=endpoint_url, config=config, **KEYS)


KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


def botocores_url(
    s3: Any, credentials: ReadOnlyCredentials, as_of: int, valid_for: int, parameters: dict[str, str]
) -> str:
    """Return the URL that botocore's client presigns with these credentials at this time."""
    at = datetime.fromtimestamp(as_of, UTC)
    with (
        mock.patch.object(s3._request_signer, "_credentials", Credentials(*credentials[:3])),
        mock.patch.object(botocore.auth, "get_current_datetime", return_value=at),
    ):
        return str(s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=valid_for))


def parts_of(url: str) -> tuple[str, list[str]]:
    """Return the address in a URL, and the parameters as they are encoded, in any order."""
    address, _, query = url.partition("?")
    return address, sorted(query.split("&"))


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
keys = st.one_of(texts, st.text(" +%~/.é=&?#'()*!", min_size=1, max_size=8), st.just("uploads/items/a%2Fb/x"))
overrides = st.dictionaries(
    st.sampled_from(["content_type", "content_disposition", "cache_control"]),
    st.one_of(texts, st.just('attachment; filename="ä b.jpg"')),
)
credentials = st.builds(
    ReadOnlyCredentials,
    st.text("ABCXYZ0189", min_size=1, max_size=20),
    st.text("abcXYZ0189/+=", min_size=1, max_size=40),
    st.one_of(st.none(), st.text("abcXYZ0189/+=", min_size=1, max_size=900)),
)
ENDPOINTS = {
    f"https://{BUCKET}.s3.eu-central-1.amazonaws.com": (None, "virtual"),
    f"https://s3.eu-central-1.amazonaws.com/{BUCKET}": (None, "path"),
    f"http://127.0.0.1:4566/{BUCKET}": ("http://127.0.0.1:4566", "auto"),
    f"http://[::1]:4566/{BUCKET}": ("http://[::1]:4566", "path"),
    f"https://{BUCKET}.s3.example": ("https://s3.example:443", "virtual"),
    f"http://{BUCKET}.localhost:4566": ("http://localhost:4566", "virtual"),
}


@given(
    key=keys,
    replaced=overrides,
    signed_by=credentials,
    as_of=st.integers(0, 4_000_000_000),
    valid_for=st.integers(1, 604_800),
    bucket_url=st.sampled_from(list(ENDPOINTS)),
)
def test_url_is_that_of_botocore(
    key: str, replaced: dict[str, str], signed_by: ReadOnlyCredentials, as_of: int, valid_for: int, bucket_url: str
) -> None:
    names = {"content_type": "ResponseContentType", "content_disposition": "ResponseContentDisposition"}
    names["cache_control"] = "ResponseCacheControl"
    parameters = {"Bucket": BUCKET, "Key": key} | {names[name]: value for name, value in replaced.items()}
    s3 = client("eu-central-1", *ENDPOINTS[bucket_url])
    expected = botocores_url(s3, signed_by, as_of, valid_for, parameters)

    found = UrlSigner(bucket_url, "eu-central-1", signed_by, as_of, valid_for).url(key, **replaced)

    assert parts_of(found) == parts_of(expected.replace("s3.example:443", "s3.example"))


def regions() -> Iterator[str]:
    """Yield every region of every partition, and one that does not exist yet."""
    for partition in json.loads(bundle_files.aws_models()[f"{botocore_data.ROOT}endpoints.json"])["partitions"]:
        yield from partition["regions"]
    yield "eu-north-9"


@pytest.mark.parametrize("region", list(regions()))
def test_function_has_botocores_url_in_each_region(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_function(monkeypatch, region)
    at = 1_800_000_000
    monkeypatch.setattr(presigned_downloads.time, "time", lambda: at + 5)
    expected = botocores_url(
        client(region, None, "virtual"), aws.credentials(), at, 3 * HOUR, {"Bucket": aws.bucket_name(), "Key": "a b"}
    )

    found = presigned_downloads.url("a b")

    assert parts_of(found) == parts_of(expected)


def in_function(monkeypatch: pytest.MonkeyPatch, region: str = "us-east-1", token: str = "") -> None:
    """Set the environment variables of a deployed function."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "api_handler")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)


# ------------------------------------------------------------------------------------------------------------- address


def test_function_needs_no_client_for_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    in_function(monkeypatch)

    presigned_downloads.url("k")

    assert aws._client.cache_info().currsize == 0


@pytest.mark.parametrize("deployed", [True, False])
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_url_is_of_the_configured_endpoint(name: str, deployed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if deployed:
        in_function(monkeypatch)
    monkeypatch.setenv(name, "http://127.0.0.1:4566")

    assert presigned_downloads.url("k").startswith(f"http://127.0.0.1:4566/{aws.bucket_name()}/k?X-Amz-")


def test_url_has_the_configured_kind_of_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    in_function(monkeypatch)
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")

    assert urlsplit(presigned_downloads.url("k")).hostname == f"{aws.bucket_name()}.s3-fips.us-east-1.amazonaws.com"


def test_no_url_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "get_credentials", lambda _: None)

    with pytest.raises(NoCredentialsError):
        presigned_downloads.url("k")


# ---------------------------------------------------------------------------------------------------------------- time


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0  # a full hour
        monkeypatch.setattr(presigned_downloads.time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def times_of(url: str) -> tuple[float, float]:
    """Return as of when a URL is signed, and when it expires, in Unix seconds."""
    query = parse_qs(urlsplit(url).query)
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed.timestamp(), (signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))).timestamp()


def test_url_is_the_same_for_an_hour(clock: Clock) -> None:
    first = presigned_downloads.url("k")
    clock.now += HOUR - 0.1
    last = presigned_downloads.url("k")
    clock.now += 0.1

    assert first == last != presigned_downloads.url("k")
    assert times_of(last) == (clock.now - HOUR, clock.now + 2 * HOUR)


@pytest.mark.parametrize("token", ["", "token"])
@pytest.mark.parametrize("seconds", [0, 1, 1799, 3599])
def test_url_is_valid_for_two_hours(clock: Clock, seconds: int, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_function(monkeypatch, token=token)
    clock.now += seconds

    signed, expires = times_of(presigned_downloads.url("k"))

    assert signed <= clock.now <= expires - 2 * HOUR


def test_url_is_never_signed_as_of_before_its_temporary_credentials(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_function(monkeypatch, token="one")
    clock.now += 600
    issued = clock.now
    first = presigned_downloads.url("k")
    clock.now += 2400

    assert presigned_downloads.url("k") == first
    assert times_of(first)[0] == issued
    clock.now = issued + HOUR
    assert times_of(presigned_downloads.url("k"))[0] == issued - 600 + HOUR


def test_new_credentials_are_used_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    in_function(monkeypatch, token="one")
    clock.now += 600
    old = presigned_downloads.url("k")
    clock.now += 60
    monkeypatch.setattr(aws, "credentials", lambda: ReadOnlyCredentials("c", "d", "two"))

    new = presigned_downloads.url("k")

    assert ("Security-Token=one" in old, "Security-Token=two" in new) == (True, True)
    assert times_of(new)[0] == clock.now
    assert presigned_downloads._signer.cache_info().currsize == 1
