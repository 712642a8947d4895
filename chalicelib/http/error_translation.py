"""Translate exceptions to the errors that the API responds with."""

from __future__ import annotations

from chalicelib import aws, telemetry
from chalicelib.aws import failures
from chalicelib.config import LOCAL, settings
from chalicelib.errors import ApiError, BackendUnavailableError, BusyError, InternalError

HOW_TO_START = "start everything with `make run`, or provision the stage with `python -m tools.stage.provision`"


def logged_api_error(error: BaseException) -> ApiError:
    """Return the error to respond with, and log the exception if it is no fault of the client.

    An unexpected exception is logged with its traceback and becomes InternalError.
    """
    known = as_api_error(error)
    if known is None:
        telemetry.logger.error("Unexpected exception", exc_info=error)
        return InternalError()
    if known.status >= 500:
        telemetry.logger.error(known.message, error=known.code, cause=None if known is error else str(error))
    return known


def as_api_error(error: BaseException) -> ApiError | None:
    """Return the error that the client is sent for an exception, or None if the exception is unexpected.

    The error never contains the text of the exception, which may name endpoints, accounts and keys.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, aws.NotProvisionedError):
        return BackendUnavailableError(problem=f"{error}: {HOW_TO_START}")
    if failures.is_unreachable(error):
        return _unavailable(f"The backend of the stage {settings().stage} cannot be reached")
    if failures.is_transient(error):
        return BusyError(problem="AWS did not respond in time, or throttled the request")
    if failures.is_missing_resource(error):
        return _unavailable(f"Resources of the stage {settings().stage} are missing")
    return None


def _unavailable(problem: str) -> BackendUnavailableError:
    # In a deployed stage the client's developer cannot start anything.
    advice = f": {HOW_TO_START}" if settings().stage == LOCAL else ""
    return BackendUnavailableError(problem=f"{problem}{advice}")
