"""The packaged app in an emulator, as for the other end-to-end tests."""

from __future__ import annotations

from tests.e2e.conftest import system

__all__ = ["system"]
