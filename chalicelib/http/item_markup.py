"""Render items for visitors, from the JSON that the API returns to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from chalicelib.catalogue import search_index_keys
from chalicelib.catalogue.models import Fields
from chalicelib.http import schemas
from chalicelib.http.markup import Markup, clipped, h, line
from chalicelib.values import exact_json

_UNTITLED = "Untitled"
_USUAL_NAMES = ("title", "name", "label")
_MANAGED = schemas.PublicItem.__struct_encode_fields__

_MAX_SHORT = 40
_MAX_CARD_NAME = 120
_MAX_CARD_LINE = 160
_MAX_LINKED = 2_000
"""The most characters: of a short value, of a card's name, of a card's line, of an address that becomes a link."""

_CARD_SIZES = "(min-width: 40rem) 18rem, 46vw"
_LARGE_SIZES = "(min-width: 60rem) 55vw, 100vw"
_SEEN_AT_FIRST = 6
"""How many pictures of a page are probably seen without scrolling."""


# -------------------------------------------------------------------------------------------------------------- fields


def name_of(item: Fields) -> str:
    """Return an item's name in a line: its first declared text, a field that usually is a name, or "Untitled"."""
    field = _name_field(item)
    return line(item[field]) if field else _UNTITLED


def fields_of(item: Fields) -> list[tuple[str, Any]]:
    """Return the public fields that have a value, besides the name: the declared ones first."""
    others = (*_MANAGED, _name_field(item))
    own = {name: value for name, value in item.items() if name not in others and not _is_empty(value)}
    declared = [one.name for one in search_index_keys.current().public.fields if one.name in own]
    return [(name, own[name]) for name in dict.fromkeys((*declared, *own))]


def description_of(item: Fields) -> str:
    """Return an item's first text besides its name, else its :func:`summary_of`."""
    return next((line(value) for _, value in fields_of(item) if _is_text(value)), summary_of(item))


def summary_of(item: Fields) -> str:
    """Return an item's first three short values in a line, or its first value if none is short."""
    lines = [text for name, value in fields_of(item) if (text := _in_line(name, value))]
    short = [text for text in lines if len(text) <= _MAX_SHORT]
    return " · ".join(short[:3] or lines[:1])


def _name_field(item: Fields) -> str | None:
    declared = (one.name for one in search_index_keys.current().public.fields)
    return next((name for name in (*declared, *_USUAL_NAMES) if _is_text(item.get(name))), None)


def _is_empty(value: Any) -> bool:
    return value in (None, [], {}) or (isinstance(value, str) and line(value) == "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and line(value) != ""


def _is_time(value: str) -> bool:
    """Return whether a text is a time with a zone, which cards do not show. See isTimestamp in field-metadata.js."""
    return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,20}(Z|[+-][0-9]{2}:[0-9]{2})", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _in_line(name: str, value: Any) -> str:
    """Return a field as a card shows it, or an empty text if cards do not show it."""
    if value is True:
        return label(name)
    if _is_number(value):
        return f"{label(name)} {value_text(value)}"
    is_readable = all(map(_is_text, value)) if isinstance(value, list) else _is_text(value) and not _is_time(value)
    return line(value_text(value)) if is_readable else ""


def label(name: str) -> str:
    """Return ``Pixels per inch`` for ``pixelsPerInch``, ``pixels_per_inch`` or ``pixels-per-inch``.

    ``fieldLabel`` in ``web/field-metadata.js`` has the same rules.
    """
    words = re.sub("[_-]+", " ", name).strip()
    words = re.sub("([a-z0-9])([A-Z])(?=[a-z])", lambda found: f"{found[1]} {found[2].lower()}", words)
    words = re.sub("([a-z0-9])([A-Z])", r"\1 \2", words)
    return words[:1].upper() + words[1:] if words else name


def value_text(value: Any) -> str:
    """Return a value in words: text, Yes or No, numbers with all digits, lists with commas, others as JSON."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) or _is_number(one) for one in value):
        return ", ".join(map(value_text, value))
    return exact_json.to_json(value).decode()


# ASCII, and no user name before the host, so that the text of a link shows where it leads.
_ADDRESS = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][!-~]*)?")


def field_list(item: Fields) -> Markup | None:
    """Return the list of an item's public fields besides its name, or None if there are none."""
    rows = [
        h("div", {}, h("dt", {"dir": "auto"}, label(name)), h("dd", {"dir": "auto"}, _value(value)))
        for name, value in fields_of(item)
    ]
    return h("dl", {}, rows) if rows else None


def _value(value: Any) -> str:
    text = value_text(value)
    if not isinstance(value, str) or len(text) > _MAX_LINKED or not _ADDRESS.fullmatch(text):
        return text
    return h("a", {"href": text, "rel": "noopener noreferrer nofollow ugc"}, text)


# ------------------------------------------------------------------------------------------------------------ pictures


def card(item: Fields, url: str, position: int) -> Markup:
    """Return an item's card in the gallery; ``url`` leads to its page."""
    name, summary = clipped(name_of(item), _MAX_CARD_NAME), clipped(summary_of(item), _MAX_CARD_LINE)
    return h(
        "li",
        {"class": "card"},
        h("div", {"class": "frame"}, _card_picture(item, name, position)),
        h("h2", {"dir": "auto"}, h("a", {"href": url}, name)),
        h("p", {"class": "line", "dir": "auto"}, summary) if summary else None,
    )


def _card_picture(item: Fields, name: str, position: int) -> Markup:
    image = item.get("image")
    if image is None:
        return h("span", {"class": "letter", "aria-hidden": "true"}, name[0].upper())
    focus = image.get("focus")
    # The page's policy allows no style attribute, so visitors.css has a class for each tenth.
    at = focus and f"x{round(float(focus['x']) * 10)} y{round(float(focus['y']) * 10)}"
    loading = None if position < _SEEN_AT_FIRST else "lazy"
    return _picture(image, image["thumbnails"], name, _CARD_SIZES, {"class": at, "loading": loading})


def large_picture(item: Fields) -> Markup | None:
    """Return an item's whole picture in its frame, or None if it has none."""
    image = item.get("image")
    if image is None:
        return None
    name = clipped(name_of(item), _MAX_CARD_NAME)
    return h("div", {"class": "frame"}, _picture(image, _uncropped(image), name, _LARGE_SIZES, {}))


def largest(image: Fields) -> Fields:
    """Return the largest thumbnail, of those that are not cropped if there are any."""
    return max(_uncropped(image), key=lambda one: int(one["width"]))


def _uncropped(image: Fields) -> Sequence[Fields]:
    """Return the thumbnails with the picture's proportions, or all if there are none.

    See ``sourcesOf`` in ``web/item-card-and-row.js``.
    """
    ratio = image["width"] / image["height"]
    thumbnails: list[Fields] = image["thumbnails"]
    return [one for one in thumbnails if abs(one["width"] / one["height"] - ratio) < 0.03 * ratio] or thumbnails


def _picture(image: Fields, thumbnails: Sequence[Fields], name: str, sizes: str, more: dict[str, str | None]) -> Markup:
    return h(
        "img",
        {
            "src": thumbnails[0]["url"],
            "srcset": ", ".join(f"{one['url']} {one['width']}w" for one in thumbnails),
            "sizes": sizes,
            "width": image["width"],
            "height": image["height"],
            "alt": name,
            "decoding": "async",
            "data-placeholder": image.get("placeholder"),
            **more,
        },
    )
