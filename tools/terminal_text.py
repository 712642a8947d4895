"""Text from elsewhere, made safe to show on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return ``text`` on one line, with control characters escaped, so that it cannot control the terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
