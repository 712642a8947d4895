"""Read the code blocks of the pages, by the comment before each: ``<!-- name -->``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"^( *)(?:<!-- ([\w -]+) -->\n\1)?```(\w*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced code block. ``name`` and ``language`` are empty if the page gives none."""

    name: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return all blocks of ``page``, a path relative to the project."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return [
        Block(name, language, re.sub(rf"(?m)^{indent}", "", code))
        for indent, name, language, code in FENCED.findall(text)
    ]


def block(page: str, name: str) -> str:
    """Return the text of the only block of that name. Raise AssertionError if there is none, or more than one."""
    found = [one.text for one in blocks(page) if one.name == name]
    assert len(found) == 1, f"{page} has {len(found)} blocks named <!-- {name} -->"
    return found[0]
