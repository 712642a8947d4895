"""AWS in memory, as for the other integration tests."""

from __future__ import annotations

from tests.integration.conftest import backend, calls, moto, stage

__all__ = ["backend", "calls", "moto", "stage"]
