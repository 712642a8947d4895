"""Every error has one code, one status, one message and one response."""

from __future__ import annotations

import json
import string

import pytest

from chalicelib import errors
from chalicelib.http import responses


def family(top: type[Exception]) -> list[type]:
    return [cls for child in top.__subclasses__() for cls in (child, *family(child))]


API = family(errors.ApiError)
IMAGE = family(errors.ImageError)


def example(cls: type) -> errors.ApiError | errors.ImageError:
    """Return an error of this class, with a word for each value in its message."""
    if cls is errors.ReservedFieldError:
        return errors.ReservedFieldError("WORD")
    names = {name for _, name, _, _ in string.Formatter().parse(cls.sentence) if name}
    return cls(**dict.fromkeys(names, "WORD"))


def test_codes_are_unique() -> None:
    codes = [cls.__dict__["code"] for cls in API + IMAGE]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("cls", API, ids=lambda cls: cls.__name__)
def test_response_has_the_common_shape(cls: type[errors.ApiError]) -> None:
    error = example(cls)
    assert isinstance(error, errors.ApiError)

    answer = responses.error_response(error, "request-1")

    assert 400 <= cls.status < 600
    assert answer.status_code == cls.status
    assert answer.headers["Content-Type"] == "application/json"
    shape = {"error": cls.code, "message": error.message, "requestId": "request-1"}
    assert json.loads(answer.body) == shape | ({"details": error.details} if error.details else {})


@pytest.mark.parametrize("cls", API, ids=lambda cls: cls.__name__)
def test_retry_after_is_sent_with_429_and_503(cls: type[errors.ApiError]) -> None:
    error = example(cls)
    assert isinstance(error, errors.ApiError)

    answer = responses.error_response(error, "request-1")

    assert ("Retry-After" in answer.headers) is (cls.status in (429, 503))
    assert all(isinstance(value, str) for value in answer.headers.values())


def test_response_contains_details() -> None:
    details = [{"path": "$.a", "message": "no"}]

    answer = responses.error_response(errors.InvalidRequestError(problem="No.", details=details), "request-1")

    assert json.loads(answer.body)["details"] == details
