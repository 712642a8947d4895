"""Functions that do not end in time are abandoned."""

from __future__ import annotations

import threading

import pytest

from chalicelib.values import time_limit


def test_function_that_hangs_is_aborted() -> None:
    aborted = threading.Event()

    with pytest.raises(TimeoutError):
        time_limit.run_within(0.05, lambda: aborted.wait(10), aborted.set)

    assert aborted.is_set()


def test_result_and_error_are_those_of_the_function() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert time_limit.run_within(10, lambda: 7, pytest.fail) == 7
    with pytest.raises(ValueError, match="no"):
        time_limit.run_within(10, fail, pytest.fail)
