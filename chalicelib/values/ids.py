"""Ids (UUIDv7, which sort by time; UUIDv4, which reveal nothing), secret tokens and owner names."""

from __future__ import annotations

import base64
import os
import re
import time
import uuid


def new_id(at_ms: int | None = None, tail: int | None = None) -> str:
    """Return a UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits.

    ``at_ms`` defaults to the current time. ``tail`` replaces the random bits, so that repeated work gets the same id.
    """
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    tail = int.from_bytes(os.urandom(10)) if tail is None else tail
    tail &= (1 << 74) - 1
    bits = at_ms << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def random_id() -> str:
    """Return a UUIDv4 (RFC 9562, section 5.4): 122 random bits."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def new_token() -> str:
    """Return a secret that cannot be guessed: 192 random bits in 32 characters that a path may contain."""
    return base64.urlsafe_b64encode(os.urandom(24)).decode()


def is_token(text: str) -> bool:
    """Return whether ``text`` looks like a token that :func:`new_token` returns."""
    return _TOKEN.fullmatch(text) is not None


_TOKEN = re.compile(r"[\w-]{32}", re.ASCII)


def new_id_after(floor: str, at_ms: int) -> str:
    """Return a new id for the time ``at_ms`` that sorts after ``floor``, even if the clock was set back."""
    id_ = new_id(at_ms)
    return id_ if id_ > floor else new_id(id_time_ms(floor) + 1)


def id_time_ms(id_: str) -> int:
    """Return the Unix milliseconds that an id contains."""
    return int(id_.replace("-", "")[:12], 16)


def is_id(text: str) -> bool:
    """Return whether ``text`` is an id in the stored form: a UUID of any version, in lower case."""
    return (
        len(text) == 36 and [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12] and set(text) <= _ID_CHARACTERS
    )


def is_uuid7(text: str) -> bool:
    """Return whether ``text`` is an id in the stored form that contains a time, as :func:`new_id` makes them."""
    return is_id(text) and text[14] == "7" and text[19] in "89ab"


_ID_CHARACTERS = frozenset("0123456789abcdef-")


def canonical_id(text: str) -> str | None:
    """Return an id in the stored form, or None if ``text`` is not an id. Case is ignored (RFC 9562, section 4)."""
    lower = text.lower()
    return lower if is_id(lower) else None


def is_owner(text: str) -> bool:
    """Return whether ``text`` can be an owner: 1 to 255 printable ASCII characters.

    An owner is the subject of a token (OpenID Connect Core 1.0, section 2, ``sub``).
    """
    return _OWNER.fullmatch(text) is not None


_OWNER = re.compile(r"[\x20-\x7e]{1,255}")
