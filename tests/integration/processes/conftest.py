"""Tests that start processes, package the app or lint templates. They need no AWS in memory."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def moto() -> None:
    """Do not start moto."""


@pytest.fixture(autouse=True)
def backend() -> None:
    """Create no resources."""


@pytest.fixture(autouse=True)
def calls() -> None:
    """Record no AWS calls."""
