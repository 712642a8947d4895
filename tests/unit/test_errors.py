"""Every error has one code, one status, one message and one response."""

from __future__ import annotations

import inspect
import json
import re
import string

import pytest

from chalicelib import errors
from chalicelib.http import responses


def family(top: type[Exception]) -> list[type]:
    return [cls for child in top.__subclasses__() for cls in (child, *family(child))]


API = family(errors.ApiError)
IMAGE = family(errors.ImageError)


def made(cls: type) -> errors.ApiError | errors.ImageError:
    """An error of this class, with a word for each gap in its sentence."""
    if cls is errors.ReservedFieldError:
        return errors.ReservedFieldError("WORD")
    gaps = {name for _, name, _, _ in string.Formatter().parse(cls.sentence) if name}
    return cls(**dict.fromkeys(gaps, "WORD"))


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.__dict__["code"] for cls in API + IMAGE]

    assert len(set(codes)) == len(codes)


def test_names_end_in_error_and_codes_follow_from_them() -> None:
    for cls in [*API, *IMAGE]:
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).upper()
        assert cls.__name__.endswith("Error")
        assert cls.code in (words, f"{words}_ERROR")


def test_the_tree_at_the_top_of_the_module_is_the_family() -> None:
    drawn = re.findall(r"(\w+Error) +(?:(\d{3}) )?([A-Z_]+)$", inspect.getdoc(errors) or "", re.MULTILINE)

    assert [name for name, _, _ in drawn] == [cls.__name__ for cls in API + IMAGE]
    assert [code for _, _, code in drawn] == [cls.code for cls in API + IMAGE]
    assert [status for _, status, _ in drawn] == [str(cls.status) for cls in API] + [""] * len(IMAGE)


def test_the_tree_shows_who_is_whose_child() -> None:
    for line in (inspect.getdoc(errors) or "").splitlines():
        if found := re.match(r"(│   )?[├└]── (\w+)", line):
            parents = [cls.__name__ for cls in getattr(errors, found[2]).__bases__]
            assert (parents in (["ApiError"], ["ImageError"])) is (found[1] is None)


@pytest.mark.parametrize("cls", API + IMAGE, ids=lambda cls: cls.__name__)
def test_every_error_is_said_in_a_sentence_for_a_person(cls: type) -> None:
    sentence = made(cls).message

    assert "{" not in sentence
    assert sentence[0].isupper() or sentence.startswith("expiresAt")
    assert sentence.endswith(".") or cls.sentence == "{problem}" or cls is errors.InvalidJsonError


@pytest.mark.parametrize("cls", API, ids=lambda cls: cls.__name__)
def test_every_error_has_its_answer_in_the_one_shape(cls: type[errors.ApiError]) -> None:
    error = made(cls)
    assert isinstance(error, errors.ApiError)

    answer = responses.error_response(error, "request-1")

    assert 400 <= cls.status < 600
    assert answer.status_code == cls.status
    assert answer.headers["Content-Type"] == "application/json"
    shape = {"error": cls.code, "message": error.message, "requestId": "request-1"}
    assert json.loads(answer.body) == shape | ({"details": error.details} if error.details else {})


@pytest.mark.parametrize("cls", API, ids=lambda cls: cls.__name__)
def test_whoever_should_come_again_is_told_when(cls: type[errors.ApiError]) -> None:
    error = made(cls)
    assert isinstance(error, errors.ApiError)

    answer = responses.error_response(error, "request-1")

    assert ("Retry-After" in answer.headers) is (cls.status in (429, 503))
    assert all(isinstance(value, str) for value in answer.headers.values())


def test_details_stand_beside_the_sentence() -> None:
    details = [{"path": "$.a", "message": "no"}]

    answer = responses.error_response(errors.InvalidRequestError(problem="No.", details=details), "request-1")

    assert json.loads(answer.body)["details"] == details
