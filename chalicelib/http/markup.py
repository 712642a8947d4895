"""Make HTML of elements. Text and values of attributes are always escaped, because visitors see what owners wrote."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

_VOID = ("img", "input", "link", "meta")
"""Elements without an end tag (HTML Standard, "Void elements")."""

_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in b"\t\n"]
_NOT_IN_TEXT = dict.fromkeys(_CONTROLS)
_NOT_IN_LINES = dict.fromkeys((*_CONTROLS, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Control characters; in a line, also those that change the direction of the text that follows (Unicode, UAX #9)."""


class Markup(str):
    """HTML."""

    __slots__ = ()


Child = str | Iterable[str] | None


def h(tag: str, attributes: Mapping[str, str | int | None] | None = None, *children: Child) -> Markup:
    """Return an element. Children that are not Markup are text. A None is left out; "" is an empty attribute.

    An element that shows what an owner wrote needs ``"dir": "auto"``: then its neighbours keep their direction.
    """
    present = ((name, value) for name, value in (attributes or {}).items() if value is not None)
    written = "".join(f' {name}="{html.escape(line(str(value)))}"' for name, value in present)
    start = f"<{tag}{written}>"
    return Markup(start) if tag in _VOID else Markup(f"{start}{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Return elements and texts one after the other."""
    parts = (part for child in children if child is not None for part in _parts(child))
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def _parts(child: str | Iterable[str]) -> Iterable[str]:
    return (child,) if isinstance(child, str) else child


def text(value: str) -> Markup:
    """Return HTML that shows a text, with its line breaks but without control characters."""
    if value.isprintable():  # Usual text: neither a line break nor a control character.
        return Markup(html.escape(value))
    return Markup(html.escape(value.replace("\r\n", "\n").replace("\r", "\n").translate(_NOT_IN_TEXT)))


def line(value: str) -> str:
    """Return a text in one line, without control characters: a text, not HTML."""
    if value.isprintable() and "  " not in value and value == value.strip():
        return value
    return " ".join(value.replace("\r", "\n").translate(_NOT_IN_LINES).split())


def clipped(value: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters, cut between words if possible."""
    if len(value) <= limit:
        return value
    start = value[: limit - 1]
    return f"{start.rpartition(' ')[0] if ' ' in start[limit // 2 :] else start}…"
