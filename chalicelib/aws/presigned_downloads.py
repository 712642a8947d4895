"""Presigned URLs to download objects, by AWS's Signature Version 4.

The source of the rules is AWS, "Authenticating requests: using query parameters (AWS Signature Version 4)". Why
botocore does not sign these URLs is in docs/decisions/0048.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from chalicelib import aws

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

SAME_FOR = 3600
"""The period in seconds in which the URLs of an object stay the same: until the next full hour."""

VALID_FOR = 2 * 3600
"""The least time in seconds for which a URL is valid after it was returned.

It expires earlier if it was signed with temporary credentials and these expire. Lambda does not tell when they do.
"""

_ALGORITHM = "AWS4-HMAC-SHA256"


def hour() -> int:
    """Return the number of the current hour. An object has another URL each hour."""
    return int(time.time() // SAME_FOR)


def url(key: str, **overrides: str) -> str:
    """Return the URL to download the object at ``key``.

    ``overrides`` are headers of S3's response, such as ``content_type`` (AWS, "GetObject").
    """
    return _signer(aws.credentials(), hour()).url(key, **overrides)


class UrlSigner:
    """Signs URLs of a bucket with one set of credentials, as of ``as_of`` in Unix seconds.

    ``bucket_url`` is what comes before the keys. The URLs expire ``valid_for`` seconds after ``as_of``.
    """

    def __init__(
        self, bucket_url: str, region: str, credentials: ReadOnlyCredentials, as_of: int, valid_for: int
    ) -> None:
        parts = urlsplit(bucket_url)
        self._origin, self._folder, self._host = f"{parts.scheme}://{parts.netloc}", f"{parts.path}/", _host(bucket_url)
        date = f"{datetime.fromtimestamp(as_of, UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{date[:8]}/{region}/s3/aws4_request"
        self._to_sign = f"{_ALGORITHM}\n{date}\n{scope}\n"
        self._key = f"AWS4{credentials.secret_key}".encode()
        for part in scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")
        # In the order of their names, as the signature needs them.
        parameters = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(valid_for),
            **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
            "X-Amz-SignedHeaders": "host",
        }
        self._query = _encoded(parameters)

    def url(self, key: str, **overrides: str) -> str:
        """Return the URL of the object at ``key``, with ``overrides`` of the headers of S3's response."""
        path = self._folder + quote(key, safe="/~")
        own = _encoded({f"response-{name.replace('_', '-')}": overrides[name] for name in sorted(overrides)})
        # Names are sorted by code point, and capitals come first.
        query = f"{self._query}&{own}" if own else self._query
        request = f"GET\n{path}\n{query}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        to_sign = self._to_sign + hashlib.sha256(request.encode()).hexdigest()
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return f"{self._origin}{path}?{own and f'{own}&'}{self._query}&X-Amz-Signature={signature}"


# A new hour or new credentials replace what is cached, so that no key is kept longer than it is used.
@functools.lru_cache(maxsize=1)
def _signer(credentials: ReadOnlyCredentials, hour: int) -> UrlSigner:
    start = hour * SAME_FOR
    # AWS documents no use of temporary credentials as of a time when they did not exist. So if these were issued in
    # this hour, URLs are signed as of the first use of them by this process.
    as_of = max(start, _first_use(credentials)) if credentials.token else start
    return UrlSigner(aws.bucket_url(), aws.region(), credentials, as_of, SAME_FOR + VALID_FOR)


@functools.lru_cache(maxsize=1)
def _first_use(_: ReadOnlyCredentials) -> int:
    return int(time.time())


def _encoded(parameters: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='~')}" for name, value in parameters.items())


def _host(url: str) -> str:
    """Return the header Host that clients send for ``url``: in lower case, without a port that is the default."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{host}:{parts.port}"
