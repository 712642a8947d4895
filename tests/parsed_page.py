"""Parse pages for visitors, for tests that look at their elements."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = ("img", "input", "link", "meta")


class Element:
    """An element of a parsed page: its tag, its attributes, all text in it, and the elements directly in it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.text = ""
        self.elements: list[Element] = []

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements inside this one with a tag and attributes, in their order. Write class as class_."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        own = [self] if self.tag == tag and wanted.items() <= self.attributes.items() else []
        return own + [found for inner in self.elements for found in inner.all(tag, **attributes)]

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def __getitem__(self, name: str) -> str:
        value = self.attributes[name]
        assert value is not None
        return value

    @property
    def shape(self) -> tuple[object, ...]:
        """The tags and the names of the attributes of this element and of those in it."""
        return (self.tag, *self.attributes, *(inner.shape for inner in self.elements))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.path = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        element = Element(tag, dict(attrs))
        self.path[-1].elements.append(element)
        if tag not in _VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.path:
            element.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def parse(html: str) -> Element:
    """Return a page. All its elements must be closed, in order."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    (document,) = parser.path
    return document


def about(page: Element) -> dict[str, str]:
    """Return what a page says of itself to other programs: its description, its rules for robots, and its preview."""
    named = {one.attributes.get("name") or one.attributes.get("property"): one for one in page.all("meta")}
    return {name: one["content"] for name, one in named.items() if name and re.match("description|robots|.*:", name)}
