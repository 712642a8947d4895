"""A number for each owner that increases whenever items of the owner have changed, so that a client can ask cheaply."""

from __future__ import annotations

from chalicelib.aws import table

FAILURES = table.FAILURES
"""The exceptions of this module's functions if DynamoDB rejects a call or does not respond."""


def increase(owner: str) -> None:
    """Increase the number. Raise one of FAILURES."""
    table.add(_key(owner), "number", 1)


def read(owner: str) -> int:
    """Return the number: 0 before the first change."""
    record = table.get(_key(owner))
    return record["number"] if record else 0


def _key(owner: str) -> table.Key:
    return table.Key(owner, "CHANGES", "")
