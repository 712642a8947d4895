"""What every test may rely on: the stage ``local``, no credentials of yours, and settings read anew for each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

# Before anything of the app is imported: its logger and its routes read the stage once.
os.environ |= {
    "STAGE": "local",
    "CORS_ORIGINS": "*",  # as in a deployed stage: local itself has none
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
    """Coverage looks away, which halves the time of what makes many calls; pytest-cov's ``no_cover`` is deaf in xdist.

    For tests whose ways through the code others cover. Where coverage counts by ``sys.monitoring`` (Python 3.14) it
    does nothing, and is not needed.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)
