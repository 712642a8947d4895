"""The code that stands in the pages, by the comment before it: ``<!-- name -->``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"^( *)(?:<!-- ([\w -]+) -->\n\1)?```(\w*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """What stands between two fences; ``name`` and ``language`` are empty where none is said."""

    name: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All of a page, which is a path below the project's folder."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return [
        Block(name, language, re.sub(rf"(?m)^{indent}", "", code))
        for indent, name, language, code in FENCED.findall(text)
    ]


def block(page: str, name: str) -> str:
    """The one of that name."""
    found = [one.text for one in blocks(page) if one.name == name]
    assert len(found) == 1, f"{page} has {len(found)} pieces of code behind <!-- {name} -->"
    return found[0]
