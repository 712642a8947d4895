"""Read the tables of the pages."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def table_rows(page: str, section: str = "") -> list[list[str]]:
    """Return the cells of each table row below the heading ``section``, or above the first heading of level 2."""
    parts = re.split(r"^## ", (PROJECT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = next(part for part in parts[1:] if part.startswith(section)) if section else parts[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if not set(row[0]) <= {"-", " "}][1:]
