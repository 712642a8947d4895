"""The names of stages and of their CloudFormation stacks."""

from __future__ import annotations

import re

from tools.stage.errors import StageError

LOCAL = "local"
"""The stage of ``make run``, which exists in the emulator only."""

_STAGE_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")  # the same as the parameter Stage of infra/resources.json


def check_stage_name(stage: str) -> str:
    """Return ``stage``. Raise StageError if it is not a valid stage name."""
    if not _STAGE_NAME.fullmatch(stage):
        raise StageError(f"{stage!r} is not a stage name: use up to 20 lower-case letters and digits, a letter first.")
    return stage


def resource_stack_name(stage: str) -> str:
    """Return the name of the stack that has the stage's resources."""
    return f"{code_stack_name(stage)}-resources"


def code_stack_name(stage: str) -> str:
    """Return the name of the stack that has the stage's API and functions."""
    return f"vitrine-{stage}"
