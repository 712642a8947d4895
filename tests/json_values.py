"""Hypothesis strategies for JSON values that DynamoDB can store."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from chalicelib.catalogue import item_fields, models

# DynamoDB's numbers: 38 digits, 1E-130 to 9.99…E+125, either sign, and zero.
_digits = st.integers(1, 10**38 - 1)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.builds(
        lambda digits, place, sign: Decimal(f"{sign}{digits}E{place - len(str(digits)) + 1}"),
        _digits,
        st.integers(-130, 125),
        st.sampled_from(("", "-")),
    ),
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Hypothesis also draws texts from the source, such as the name of a field with a meaning.
_known = {*models.MANAGED_FIELDS, *models.SETTINGS, *item_fields.ItemFields.__struct_encode_fields__}
_names = _texts.filter(lambda name: name and name not in _known)
values = st.recursive(
    st.none() | st.booleans() | numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(_names, values, max_size=5)
