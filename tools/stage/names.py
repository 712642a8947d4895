"""The names of the app, of its stages and of their CloudFormation stacks."""

from __future__ import annotations

import re

from chalicelib.config import STAGE_NAME, STAGE_NAME_RULE
from tools.stage.errors import StageError

APP_NAME_RULE = "1 to 14 lowercase letters and digits, a letter first, without aws, amazon and cognito"
"""The bucket's name may have 63 characters: 20 for the stage, 12 for the account, 14 for the region, 3 for hyphens."""
# Amazon Cognito Developer Guide, "Configuring a user pool domain": the domain of the sign-in page has the app's name.
_APP_NAME = r"(?!.*(aws|amazon|cognito))[a-z][a-z0-9]{0,13}"


def is_app_name(name: str) -> bool:
    """Return whether an app can be called ``name``."""
    return re.fullmatch(_APP_NAME, name) is not None


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
