"""A process that has one handler, named as ``module:attribute``, and runs it as often as it is told."""

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

from bench.worker import serve

REQUESTS = 500
"""For each task: long enough for the clock, short enough to take turns."""

_CONTEXT = SimpleNamespace(
    aws_request_id="00000000-0000-4000-8000-000000000000",
    function_name="measured",
    function_version="$LATEST",
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:measured",
    memory_limit_in_mb=512,
    get_remaining_time_in_millis=lambda: 29_000,
)


def main() -> None:
    name, folders = sys.argv[1], sys.argv[2:]
    sys.path[:0] = folders
    module, _, attribute = name.partition(":")
    # What it logs goes nowhere: written, as its price is in the work before, and not kept.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        with contextlib.redirect_stdout(nowhere):
            handler = getattr(importlib.import_module(module), attribute)

        def requests(event: bytes) -> None:
            asked: dict[str, Any] = json.loads(event)
            with contextlib.redirect_stdout(nowhere):
                for _ in range(REQUESTS):
                    answer = handler(asked, _CONTEXT)
            if answer["statusCode"] != 200 or json.loads(answer["body"])["message"] != "Hello, Vase!":
                raise RuntimeError(f"{name} answered {answer}.")

        serve({"requests": requests}, time.process_time)


if __name__ == "__main__":
    main()
