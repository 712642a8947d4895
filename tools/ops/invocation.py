"""Invoke one function of a deployed stage with an event, and read what it returned and logged."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, NamedTuple

from botocore.config import Config

from tools.ops.deployed_stage import Function, Stage


class Outcome(NamedTuple):
    """How an invocation ended."""

    result: Any
    """What the function returned; if it failed, None."""
    milliseconds: float
    log: list[str]
    """The last 4 KB of its log."""
    error: str | None = None
    """The exception's name and message."""
    stack: tuple[str, ...] = ()
    """The lines of its traceback."""


def invoke(stage: Stage, function: Function, event: Any) -> Outcome:
    """Invoke ``function`` once and wait for it. Raise botocore's errors if Lambda refuses the invocation."""
    # One attempt, because a second one would run beside the first; and as long as the function may take.
    config = Config(read_timeout=function.timeout + 30, retries={"total_max_attempts": 1})
    began = time.monotonic()
    response = stage.client("lambda", config=config).invoke(
        FunctionName=function.name, LogType="Tail", Payload=json.dumps(event)
    )
    result = json.load(response["Payload"])
    milliseconds = (time.monotonic() - began) * 1000
    log = base64.b64decode(response.get("LogResult", "")).decode(errors="replace").splitlines()
    if not response.get("FunctionError"):
        return Outcome(result, milliseconds, log)
    failure = result if isinstance(result, dict) else {"errorMessage": str(result)}
    error = f"{failure.get('errorType', '')}: {failure.get('errorMessage', '')}".strip(": ")
    stack = tuple(line for part in failure.get("stackTrace") or () for line in str(part).rstrip().splitlines())
    return Outcome(None, milliseconds, log, error, stack)


def check(stage: Stage, function: Function) -> None:
    """Raise botocore's error unless ``function`` exists and may be invoked. It is not run (Lambda's ``DryRun``)."""
    stage.client("lambda").invoke(FunctionName=function.name, InvocationType="DryRun", Payload="{}")
