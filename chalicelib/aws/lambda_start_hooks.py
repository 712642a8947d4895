"""Prepare a process that Lambda starts before there is a request, and renew what was copied from another process.

With provisioned concurrency, Lambda starts processes in advance. With SnapStart, it starts one process when a version
is published, and makes each later one from a snapshot of its memory, weeks later if nothing is deployed.
docs/decisions/0058 lists what such a copy contains.

Sources: AWS Lambda Developer Guide, "Lambda SnapStart runtime hooks for Python" and "Handling uniqueness with Lambda
SnapStart".
"""

from __future__ import annotations

import os
import random

from botocore.exceptions import BotoCoreError

from chalicelib import aws, telemetry


def prepare() -> None:
    """Create the client that almost every request needs. With SnapStart, register :func:`renew`."""
    try:
        aws.create_first_client()
    except BotoCoreError:
        # The process works without it: then the first request creates the client.
        telemetry.logger.exception("Creating a client in advance failed")
    if os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start":
        # Lambda's runtime contains this library.
        from snapshot_restore_py import register_after_restore  # type: ignore[import-not-found]  # noqa: PLC0415

        register_after_restore(renew)


def renew() -> None:
    """Replace what all copies have in common and must not: pseudorandom numbers and connections.

    botocore itself replaces credentials that have expired.
    """
    random.seed()
    aws.close_connections()
