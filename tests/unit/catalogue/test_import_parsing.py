from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalogue import import_parsing
from chalicelib.values import dynamodb_limits, exact_json
from tests.json_values import objects


@given(objects | st.fixed_dictionaries({"n": st.lists(st.integers(0, 9), min_size=20)}))
def test_chunk_fits_into_a_transaction(own: dict[str, Any]) -> None:
    # DynamoDB allows 4 MB and 100 writes (AWS, "TransactWriteItems").
    json_bytes, managed = len(exact_json.to_json(own)), 1_000
    size = dynamodb_limits.stored_size(own)

    assert size <= 2 * json_bytes + 10
    assert 2 * import_parsing.CHUNK_BYTES + import_parsing.CHUNK_ENTRIES * (managed + 10) < 4 * 1024 * 1024
    assert import_parsing.CHUNK_ENTRIES + 1 <= 100
