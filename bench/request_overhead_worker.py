"""Run one handler, named ``module:attribute`` on the command line, for each request of bench/request_overhead.py."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.worker_process import serve

REQUESTS = 500
"""The number of requests per task: long enough for the clock, short enough for turns."""

_CONTEXT = SimpleNamespace(
    aws_request_id="00000000-0000-4000-8000-000000000000",
    function_name="measured",
    function_version="$LATEST",
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:measured",
    memory_limit_in_mb=512,
    get_remaining_time_in_millis=lambda: 29_000,
)


def main() -> None:
    """Import the handler and serve requests."""
    name, folders = sys.argv[1], sys.argv[2:]
    sys.path[:0] = folders
    module, _, attribute = name.partition(":")
    # Log lines are formatted and written, which is part of the measurement, but not kept.
    with Path(os.devnull).open("w", encoding="utf-8") as discarded:
        with contextlib.redirect_stdout(discarded):
            handler = getattr(importlib.import_module(module), attribute)

        def requests(event: bytes) -> None:
            request: dict[str, Any] = json.loads(event)
            with contextlib.redirect_stdout(discarded):
                for _ in range(REQUESTS):
                    answer = handler(request, _CONTEXT)
            if answer["statusCode"] != 200 or json.loads(answer["body"])["message"] != "Hello, Vase!":
                raise RuntimeError(f"{name} answered {answer}.")

        serve({"requests": requests}, time.process_time)


if __name__ == "__main__":
    main()
