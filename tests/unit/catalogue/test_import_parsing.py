from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalogue import import_parsing


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), min_size=1, max_size=120))
def test_chunks_are_the_parts_of_the_stored_entries(entries: list[dict[str, Any]]) -> None:
    lines = [json.dumps(entry).encode() for entry in entries]
    stored = b"\n".join(lines)

    chunks = import_parsing.split_into_chunks(lines)

    parts = [stored[chunk.start : chunk.start + chunk.size].split(b"\n") for chunk in chunks]
    assert [line for part in parts for line in part] == lines
    assert [len(part) for part in parts] == [chunk.entries for chunk in chunks]
    assert all(chunk.entries <= import_parsing.CHUNK_ENTRIES for chunk in chunks)
    assert all(after.first == before.first + before.entries for before, after in pairwise(chunks))


def test_chunk_has_at_most_one_megabyte() -> None:
    chunks = import_parsing.split_into_chunks([b"x" * 400_000] * 5 + [b"x" * 2_000_000])

    assert [(chunk.first, chunk.entries) for chunk in chunks] == [(0, 2), (2, 2), (4, 1), (5, 1)]
