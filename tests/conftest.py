"""The environment of all tests: the stage ``local``, with test credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

# Set before the app is imported, because its logger and its routes read the settings then.
os.environ |= {
    "STAGE": "local",
    "CORS_ORIGINS": "*",  # the default of deployed stages
    "AUTH_MODE": "local",
    "BUCKET_NAME": "vitrine-local-000000000000-us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "REPORT_BATCH_ITEM_FAILURES"):
    os.environ.pop(name, None)


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Measure no coverage during the test, which halves the time of tests with many calls.

    For tests whose code is covered by others. pytest-cov's ``no_cover`` has no effect under xdist. If coverage uses
    ``sys.monitoring`` (Python 3.14), this has no effect and is not needed.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)
