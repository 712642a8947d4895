"""The classification of botocore's exceptions."""

from __future__ import annotations

from botocore.retries import standard

from chalicelib.aws import failures


def test_transient_failures_are_those_that_the_sdk_retries() -> None:
    checker = standard.TransientRetryableChecker

    assert set(checker._TRANSIENT_ERROR_CODES) == failures._TRANSIENT_CODES
    assert set(standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES) == failures._THROTTLING_CODES
    assert set(checker._TRANSIENT_STATUS_CODES) == failures._TRANSIENT_STATUSES
    assert set(checker._TRANSIENT_EXCEPTION_CLS) == set(failures._TRANSIENT)
