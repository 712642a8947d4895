"""Settings: read from the environment once, checked once, immutable from then on."""

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
MAX_IMAGE_PIXELS = 50_000_000

LOCAL = "local"
"""The stage of the laptop, which is deployed nowhere else."""

AuthMode = Literal["oidc", "local", "none"]
Fit = Literal["cover", "fit"]
LogOwner = Literal["plain", "hash", "none"]


class ConfigError(ValueError):
    """A setting has a value that cannot be meant; the message names it and what it may be."""


class Size(msgspec.Struct, frozen=True):
    """A thumbnail to make: ``cover`` fills a square of ``pixels`` a side, ``fit`` stays inside one, never enlarged."""

    pixels: int
    fit: Fit


class Issuer(msgspec.Struct, frozen=True):
    """Whose tokens are good (OpenID Connect Core 1.0, section 2): ``iss``, and whom they have to be for."""

    url: str
    audiences: tuple[str, ...]
    jwks_url: str | None
    """Where its keys lie, or None where its discovery document says so."""
    client_id: str | None = None
    """Which of its clients the console is (RFC 6749, section 2.2), or None where it is none: then it takes tokens."""


class Cors(msgspec.Struct, frozen=True):
    """The origins whose pages may call the API, and the headers that they may use besides the API's own.

    ``("*",)`` is any origin; an empty tuple is the console's own only.
    """

    origins: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a function of this stage has to know. Names follow from the stage; only the bucket's has to be told."""

    stage: str
    bucket: str | None
    auth_mode: AuthMode
    issuer: Issuer | None
    cors: Cors
    log_level: str
    log_owner: LogOwner
    """How log lines name the owner: as tokens do, by a keyed hash, or not at all."""
    log_owner_key: str
    """The key of that hash."""
    thumbnail_sizes: tuple[Size, ...]
    report_batch_item_failures: bool

    @property
    def table(self) -> str:
        """The table's name."""
        return f"{APP}-{self.stage}"

    @property
    def queue(self) -> str:
        """The queue's name."""
        return f"{APP}-{self.stage}-jobs"

    @property
    def bucket_prefix(self) -> str:
        """How the bucket's name begins: the account and region that follow are not known when the app is packaged."""
        return f"{APP}-{self.stage}-"


def load(environ: Mapping[str, str]) -> Settings:
    """The settings that ``environ`` holds. Raises ConfigError where one of them cannot be meant."""
    stage = _stage(environ.get("STAGE", "dev"))
    return Settings(
        stage=stage,
        bucket=environ.get("BUCKET_NAME") or None,
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
    )


@functools.cache
def settings() -> Settings:
    """This process's settings."""
    return load(os.environ)


def sign_in_required() -> bool:
    """Whether the routes stand behind the authorizer.

    They do in every stage but those that say ``AUTH_MODE=local`` or ``AUTH_MODE=none``. Under ``chalice local`` a stage
    that nobody provisioned has nothing to guard: there, each route answers what is missing, to anybody.
    """
    if settings().auth_mode != "oidc":
        return False
    return settings().bucket is not None or not is_chalice_local()


def is_chalice_local() -> bool:
    """Whether this is ``chalice local``, and neither a deployed function nor another Chalice command."""
    return "AWS_CHALICE_CLI_MODE" in os.environ and _command(sys.argv[1:]) == "local"


def _command(arguments: list[str]) -> str | None:
    """Which of Chalice's commands ``arguments`` call: before it come options only, one of which takes a value."""
    before = ""
    for argument in arguments:
        if not argument.startswith("-") and before != "--project-dir":
            return argument
        before = argument
    return None


def _stage(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", text):
        raise ConfigError(f"STAGE is {text!r}: up to 20 lower-case letters and digits, a letter first.")
    return text


def _auth_mode(text: str, stage: str) -> AuthMode:
    if text not in get_args(AuthMode):
        raise ConfigError(f"AUTH_MODE is {text!r}: it may be oidc, local or none.")
    if text == "local" and stage != LOCAL:
        raise ConfigError(f"AUTH_MODE is 'local' in the stage {stage}: to open a stage to everybody, it says none.")
    return cast("AuthMode", text)


def _issuer(environ: Mapping[str, str]) -> Issuer | None:
    """The issuer that is named, or else the stage's own user pool, or None: then nobody gets in."""
    pool, client = environ.get("USER_POOL_ISSUER"), environ.get("USER_POOL_CLIENT_ID")
    url, audience, jwks_url = (environ.get(f"OIDC_{name}") for name in ("ISSUER", "AUDIENCE", "JWKS_URL"))
    client_id = environ.get("OIDC_CLIENT_ID") or None
    if not url and pool:
        # AWS, "Verifying JSON web tokens": where a user pool has its keys.
        url, audience, jwks_url = pool, audience or client, jwks_url or f"{pool}/.well-known/jwks.json"
        client_id = client_id or client
    if not url:
        return None
    audiences = _listed(audience or "")
    if not audiences:
        raise ConfigError("OIDC_AUDIENCE is missing: it names whom the tokens of OIDC_ISSUER have to be for.")
    keys = https("OIDC_JWKS_URL", jwks_url) if jwks_url else None
    return Issuer(https("OIDC_ISSUER", url), audiences, keys, client_id)


def https(name: str, url: str) -> str:
    """``url`` itself. Raises ConfigError where somebody on the way could put keys of their own in its place."""
    parts = urlsplit(url)
    if not (parts.scheme == "https" and parts.hostname) and not (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    ):
        raise ConfigError(f"{name} is {url!r}: it begins with https://, or stands on this very machine.")
    return url


def _origins(text: str) -> tuple[str, ...]:
    origins = _listed(text)
    if origins != ("*",) and not all(re.fullmatch(r"https?://[^/\s*]+", origin) for origin in origins):
        raise ConfigError(f"CORS_ORIGINS is {text!r}: it is *, or looks like https://a.example,https://b.example.")
    return origins


def _headers(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    headers = _listed(environ.get(name) or "")
    if not all(re.fullmatch(r"[A-Za-z0-9-]+", header) for header in headers):
        raise ConfigError(f"{name} is {environ[name]!r}: it looks like X-One,X-Two.")
    return headers


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _log_level(text: str) -> str:
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError(f"LOG_LEVEL is {text!r}: it may be DEBUG, INFO, WARNING or ERROR.")
    return text


def _log_owner(text: str) -> LogOwner:
    if text not in get_args(LogOwner):
        raise ConfigError(f"LOG_OWNER is {text!r}: it may be plain, hash or none.")
    return cast("LogOwner", text)


def _log_owner_key(environ: Mapping[str, str]) -> str:
    key = environ.get("LOG_OWNER_KEY", "")
    # Owners can be guessed, and so can a short key: then the hash tells who it is.
    if environ.get("LOG_OWNER") == "hash" and not 16 <= len(key.encode()) <= 64:
        raise ConfigError("LOG_OWNER is 'hash': it needs a LOG_OWNER_KEY, a secret of 16 to 64 bytes.")
    return key


def _sizes(text: str) -> tuple[Size, ...]:
    if not re.fullmatch(r"(cover|fit):[1-9]\d{1,3}(,(cover|fit):[1-9]\d{1,3})*", text):
        raise ConfigError(f"THUMBNAIL_SIZES is {text!r}: it looks like cover:200,fit:800, in pixels.")
    pairs = (part.split(":") for part in text.split(","))
    sizes = tuple(Size(int(pixels), "cover" if fit == "cover" else "fit") for fit, pixels in pairs)
    if len({size.pixels for size in sizes}) < len(sizes):
        raise ConfigError(f"THUMBNAIL_SIZES is {text!r}: each number of pixels may stand in it once.")
    return sizes
