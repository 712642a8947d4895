"""Who may come in. Closed by default: a stage is open only where it says so."""

from __future__ import annotations

from chalicelib import telemetry
from chalicelib.config import serving_locally, settings


def demanded() -> bool:
    """Whether the routes stand behind the authorizer.

    They do in every stage but those that say ``AUTH_MODE=local`` or ``AUTH_MODE=none``. Under ``chalice local`` a stage
    that nobody provisioned has nothing to guard: there, each route answers what is missing, to anybody.
    """
    if settings().auth_mode != "oidc":
        return False
    return settings().bucket is not None or not serving_locally()


def refuse() -> None:
    """Says in the log why nobody gets in. Tokens are not checked yet, so no token is good enough."""
    telemetry.logger.error(
        "Nobody gets in: this stage has no sign-in. AUTH_MODE=none in its configuration opens it to everybody."
    )
