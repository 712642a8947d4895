"""Property tests use the same examples in each run, so that a failure comes from the last change."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("vitrine", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("vitrine")
