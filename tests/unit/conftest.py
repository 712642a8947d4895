"""How property tests run: the same examples each time, so that a failure is of the change that it came with."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("vitrine", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("vitrine")
