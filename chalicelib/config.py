"""The settings: environment variables, read and validated once per process. docs/settings.md describes them."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

import msgspec

APP = "vitrine"
VERSION = "0.1.0"

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_DECODING_BYTES = 1_300_000_000
"""The memory for the pictures that are decoded at the same time."""

LOCAL = "local"
"""The stage of `make run`."""
STAGE_NAME = r"[a-z][a-z0-9]{0,19}"
"""A stage's name: the same pattern as the parameter Stage in infra/resources.json."""
STAGE_NAME_RULE = "1 to 20 lowercase letters and digits, a letter first"

AuthMode = Literal["oidc", "local", "none"]
ContentType = Literal["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]
"""The types of pictures that are accepted."""
Fit = Literal["cover", "fit"]
Format = Literal["jpeg", "webp"]
LogOwner = Literal["plain", "hash", "none"]
Queue = Literal["jobs", "deliveries", "events-dead"]
"""The queues that functions send to: jobs, deliveries of webhooks, and events that a function failed on."""


class ConfigError(ValueError):
    """A setting is not valid. The message contains its name, its value and what is allowed."""


CENTRE = (0.5, 0.5)


class Size(msgspec.Struct, frozen=True):
    """A thumbnail size. ``cover`` fills a square of ``pixels`` × ``pixels``, ``fit`` fits inside it, not enlarged."""

    pixels: int
    fit: Fit
    format: Format = "jpeg"
    focus: tuple[float, float] = CENTRE
    """The point of the upright picture that ``cover`` keeps in the middle if it can.

    It is a fraction of the width, from the left, and a fraction of the height, from the top.
    """

    @property
    def content_type(self) -> str:
        """The content type of the thumbnails."""
        return f"image/{self.format}"


class Issuer(msgspec.Struct, frozen=True):
    """The issuer whose tokens are accepted, and their accepted audiences (OpenID Connect Core 1.0, section 2)."""

    url: str
    audiences: tuple[str, ...]
    jwks_url: str | None
    """The URL of its keys, or None to take it from the issuer's discovery document."""
    client_id: str | None = None
    """The console's client id (RFC 6749, section 2.2), or None if the user has to paste a token into the console."""
    owner_claim: str = "sub"
    """The claim whose value is the owner: a person's id by default, or for example the id of a company."""


class Cors(msgspec.Struct, frozen=True):
    """Origins that may call the API, and headers that they may use in addition to those of the API.

    The origins ``("*",)`` allow any origin, an empty tuple only the console's own.
    """

    origins: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a stage. Names of resources are derived from the stage, except that of the bucket."""

    stage: str
    bucket: str | None
    public_url: str | None
    """The base of public URLs, without a slash at its end: the stage's CloudFront distribution, or None without one."""
    auth_mode: AuthMode
    issuer: Issuer | None
    cors: Cors
    log_level: str
    log_owner: LogOwner
    """How log lines contain the owner: as in the token, as a keyed hash, or not at all."""
    log_owner_key: str
    """The key of the hash of ``log_owner``."""
    thumbnail_sizes: tuple[Size, ...]
    report_batch_item_failures: bool
    table_stream_arn: str
    """The ARN of the table's stream, which Chalice needs to deploy or package the app. The functions do not use it."""

    @property
    def table(self) -> str:
        """The table's name."""
        return f"{APP}-{self.stage}"

    def queue_name(self, queue: Queue) -> str:
        """Return the full name of a queue."""
        return f"{APP}-{self.stage}-{queue}"

    @property
    def event_bus(self) -> str:
        """The event bus's name."""
        return f"{APP}-{self.stage}"

    @property
    def bucket_prefix(self) -> str:
        """The beginning of the bucket's name. Account and region follow, which are unknown when the app is packaged."""
        return f"{APP}-{self.stage}-"


_STREAM_NOT_PROVISIONED = "arn:aws:dynamodb:::table/not-provisioned/stream/not-provisioned"
"""In a packaged template, the ARN that the resource stack exports takes its place (``infra/package.json``)."""


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings in ``environ``. Raise ConfigError if one of them is not valid."""
    stage = _stage(environ.get("STAGE", "dev"))
    return Settings(
        stage=stage,
        bucket=environ.get("BUCKET_NAME") or None,
        public_url=_public_url(environ.get("PUBLIC_URL") or "none"),
        auth_mode=_auth_mode(environ.get("AUTH_MODE") or "oidc", stage),
        issuer=_issuer(environ),
        cors=Cors(
            _origins(environ.get("CORS_ORIGINS") or ("" if stage == LOCAL or is_chalice_local() else "*")),
            _headers("CORS_ALLOW_HEADERS", environ),
            _headers("CORS_EXPOSE_HEADERS", environ),
        ),
        log_level=_log_level(environ.get("LOG_LEVEL") or "INFO"),
        log_owner=_log_owner(environ.get("LOG_OWNER") or "plain"),
        log_owner_key=_log_owner_key(environ),
        thumbnail_sizes=_sizes(environ.get("THUMBNAIL_SIZES") or "cover:200,fit:800"),
        report_batch_item_failures=environ.get("REPORT_BATCH_ITEM_FAILURES") == "true",
        table_stream_arn=environ.get("TABLE_STREAM_ARN") or _STREAM_NOT_PROVISIONED,
    )


@functools.cache
def settings() -> Settings:
    """Return the settings of the process. Raise ConfigError if one of them is not valid."""
    return load(os.environ)


def sign_in_required() -> bool:
    """Return whether the routes require a token: if AUTH_MODE is ``oidc``.

    Under ``chalice local``, the routes of a stage that is not provisioned require none. There is nothing to protect,
    and each route can respond with what is missing.
    """
    if settings().auth_mode != "oidc":
        return False
    return settings().bucket is not None or not is_chalice_local()


def is_started_early() -> bool:
    """Return whether Lambda starts this process before there is a request: to take a snapshot of it, or in advance."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("snap-start", "provisioned-concurrency")


def is_chalice_local() -> bool:
    """Return whether the process is ``chalice local``, not a deployed function or another Chalice command."""
    return "AWS_CHALICE_CLI_MODE" in os.environ and _command(sys.argv[1:]) == "local"


def _command(arguments: list[str]) -> str | None:
    """Return the Chalice command in ``arguments``: the first one that is neither an option nor an option's value."""
    previous = ""
    for argument in arguments:
        if not argument.startswith("-") and previous != "--project-dir":
            return argument
        previous = argument
    return None


def _stage(text: str) -> str:
    if not re.fullmatch(STAGE_NAME, text):
        raise ConfigError(f"STAGE is {text!r}: it must be {STAGE_NAME_RULE}.")
    return text


def _auth_mode(text: str, stage: str) -> AuthMode:
    if text not in get_args(AuthMode):
        raise ConfigError(f"AUTH_MODE is {text!r}: it must be oidc, local or none.")
    if text == "local" and stage != LOCAL:
        raise ConfigError(
            f"AUTH_MODE is 'local' in the stage {stage}: it must be oidc, or none for a stage without sign-in."
        )
    return cast("AuthMode", text)


def _issuer(environ: Mapping[str, str]) -> Issuer | None:
    """Return the issuer in OIDC_ISSUER, else the stage's user pool, else None: then no token is accepted."""
    pool, client = environ.get("USER_POOL_ISSUER"), environ.get("USER_POOL_CLIENT_ID")
    url, audience, jwks_url = (environ.get(f"OIDC_{name}") for name in ("ISSUER", "AUDIENCE", "JWKS_URL"))
    client_id, owner_claim = environ.get("OIDC_CLIENT_ID") or None, environ.get("OIDC_OWNER_CLAIM") or "sub"
    if not url and pool:
        # The URL of a user pool's keys is from AWS, "Verifying JSON web tokens".
        url, audience, jwks_url = pool, audience or client, jwks_url or f"{pool}/.well-known/jwks.json"
        client_id = client_id or client
    if not url:
        return None
    audiences = _split(audience or "")
    if not audiences:
        raise ConfigError(
            "OIDC_AUDIENCE is missing: with OIDC_ISSUER, it must contain the accepted audiences, comma-separated."
        )
    keys = require_https("OIDC_JWKS_URL", jwks_url) if jwks_url else None
    return Issuer(require_https("OIDC_ISSUER", url), audiences, keys, client_id, owner_claim)


def require_https(name: str, url: str) -> str:
    """Return ``url``, the setting ``name``. Raise ConfigError unless it is an https URL or one of this machine.

    Over plain http, an attacker on the network could replace the response, such as the issuer's keys.
    """
    parts = urlsplit(url)
    if not (parts.scheme == "https" and parts.hostname) and not (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    ):
        raise ConfigError(f"{name} is {url!r}: it must begin with https://, or be an address of this machine.")
    return url


def _public_url(text: str) -> str | None:
    if text == "none":
        return None
    if urlsplit(text).query or urlsplit(text).fragment:
        raise ConfigError(f"PUBLIC_URL is {text!r}: it must not contain a query or a fragment.")
    return require_https("PUBLIC_URL", text).rstrip("/")


def _origins(text: str) -> tuple[str, ...]:
    origins = _split(text)
    if origins != ("*",) and not all(re.fullmatch(r"https?://[^/\s*]+", origin) for origin in origins):
        raise ConfigError(
            f"CORS_ORIGINS is {text!r}: it must be *, or a list such as https://a.example,https://b.example."
        )
    return origins


def _headers(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    headers = _split(environ.get(name) or "")
    if not all(re.fullmatch(r"[A-Za-z0-9-]+", header) for header in headers):
        raise ConfigError(f"{name} is {environ[name]!r}: it must be a list such as X-One,X-Two.")
    return headers


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _log_level(text: str) -> str:
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError(f"LOG_LEVEL is {text!r}: it must be DEBUG, INFO, WARNING or ERROR.")
    return text


def _log_owner(text: str) -> LogOwner:
    if text not in get_args(LogOwner):
        raise ConfigError(f"LOG_OWNER is {text!r}: it must be plain, hash or none.")
    return cast("LogOwner", text)


def _log_owner_key(environ: Mapping[str, str]) -> str:
    key = environ.get("LOG_OWNER_KEY", "")
    # Owners can be guessed. If the key can be guessed too, the hash reveals the owner.
    if environ.get("LOG_OWNER") == "hash" and not 16 <= len(key.encode()) <= 64:
        raise ConfigError("LOG_OWNER is 'hash': LOG_OWNER_KEY must be a secret of 16 to 64 bytes.")
    return key


def _sizes(text: str) -> tuple[Size, ...]:
    found = [re.fullmatch(r"(cover|fit):([1-9]\d{1,3})(?::(jpeg|webp))?", part) for part in text.split(",")]
    if not all(found):
        raise ConfigError(
            f"THUMBNAIL_SIZES is {text!r}: it must be a list such as cover:200,fit:800, in pixels from 10 to 9999, "
            "each with :webp if it is to be a WebP."
        )
    sizes = tuple(
        Size(int(one[2]), cast("Fit", one[1]), cast("Format", one[3] or "jpeg")) for one in found if one is not None
    )
    if len({size.pixels for size in sizes}) < len(sizes):
        raise ConfigError(f"THUMBNAIL_SIZES is {text!r}: it must not contain the same number of pixels twice.")
    return sizes
