"""Text for messages and logs."""

from __future__ import annotations


def truncate(text: str, max_characters: int) -> str:
    """Return ``text``, or its first ``max_characters`` characters and an ellipsis if it is longer."""
    return text if len(text) <= max_characters else f"{text[:max_characters]}…"
