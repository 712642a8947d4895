"""The names of stages and of their CloudFormation stacks."""

from __future__ import annotations

import re

from chalicelib.config import STAGE_NAME, STAGE_NAME_RULE
from tools.stage.errors import StageError


def check_stage_name(stage: str) -> str:
    """Return ``stage``. Raise StageError if it is not a valid stage name."""
    if not re.fullmatch(STAGE_NAME, stage):
        raise StageError(f"{stage!r} is not a stage name: it must be {STAGE_NAME_RULE}.")
    return stage


def resource_stack_name(stage: str) -> str:
    """Return the name of the stack that has the stage's resources."""
    return f"{code_stack_name(stage)}-resources"


def code_stack_name(stage: str) -> str:
    """Return the name of the stack that has the stage's API and functions."""
    return f"vitrine-{stage}"
