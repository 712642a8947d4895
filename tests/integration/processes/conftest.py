"""Tests that start processes, package the app or lint templates, and need no AWS: none is set up for them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def moto() -> None:
    """No AWS in memory."""


@pytest.fixture(autouse=True)
def backend() -> None:
    """No table, bucket and queue."""


@pytest.fixture(autouse=True)
def calls() -> None:
    """Nobody who takes down calls of AWS."""
