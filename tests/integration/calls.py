"""Takes down what each of the app's functions calls of AWS, while tests run."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient
from botocore.signers import S3PostPresigner

from chalicelib.catalogue import cleanup, consumer, item_pictures, thumbnail_jobs
from chalicelib.http import api, auth
from tests.rights import Called
from tools.aws_calls import PRESIGNED_POST

if TYPE_CHECKING:
    import pytest

_NOBODY = ""
# Where tests go in: by app.py's handlers (tests/integration/stage.py names those), or right behind them.
_WAYS_IN: list[tuple[ModuleType | type, str, str]] = [
    (api.Api, "__call__", "api_handler"),
    (item_pictures, "record_upload", "on_upload"),
    (consumer, "process_batch", "on_messages"),
    (consumer, "process_message", "on_messages"),
    (thumbnail_jobs, "render", "on_messages"),
    (cleanup, "run", "clean_up"),
    (auth, "authenticate", "authorize"),
]


class Recorder:
    """What the app's functions called since ``forget``. Calls that a test itself makes are nobody's."""

    def __init__(self) -> None:
        self.calls: list[Called] = []
        self._running: list[str] = []

    def forget(self) -> None:
        """Begin anew."""
        self.calls.clear()

    @contextmanager
    def runs(self, function: str) -> Iterator[None]:
        """Until the end of this the app's calls are ``function``'s, if no other runs already."""
        self._running.append(self._now or function)
        try:
            yield
        finally:
            self._running.pop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Until the end of this somebody else is at work, in the midst of a function."""
        self._running.append(_NOBODY)
        try:
            yield
        finally:
            self._running.pop()

    def put_in_place(self, patch: pytest.MonkeyPatch) -> None:
        """From now on every client tells of its calls, those included that it only signs for others to make."""
        emit, sign = BaseClient._emit_api_params, S3PostPresigner.generate_presigned_post

        def emitting(client: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
            presigned = bool(context.get("is_presign_request"))
            if not (presigned and operation_model.name == "CreateBucket"):  # that is a POST, taken down below
                self._take_down(client.meta.service_model.service_name, operation_model.name, api_params, presigned)
            return emit(client, api_params, operation_model, context)

        def signing(presigner: Any, request_dict: Any, fields: Any, conditions: Any, *more: Any, **others: Any) -> Any:
            bucket = next(one["bucket"] for one in conditions if "bucket" in one)
            self._take_down("s3", PRESIGNED_POST, {"Bucket": bucket, "Key": fields["key"]}, presigned=True)
            return sign(presigner, request_dict, fields, conditions, *more, **others)

        patch.setattr(BaseClient, "_emit_api_params", emitting)
        patch.setattr(S3PostPresigner, "generate_presigned_post", signing)
        for place, name, function in _WAYS_IN:
            patch.setattr(place, name, self._watched(getattr(place, name), function))

    def _watched(self, do: Callable[..., Any], function: str) -> Callable[..., Any]:
        @functools.wraps(do)
        def watched(*arguments: Any, **options: Any) -> Any:
            with self.runs(function):
                return do(*arguments, **options)

        return watched

    def _take_down(self, service: str, operation: str, parameters: Mapping[str, Any], presigned: bool) -> None:
        if self._now and _asked_by_the_app():
            self.calls.append(Called(self._now, service, operation, dict(parameters), presigned))

    @property
    def _now(self) -> str:
        return self._running[-1] if self._running else _NOBODY


def _asked_by_the_app() -> bool:
    frame = sys._getframe(1)
    while frame.f_back and re.match(rf"(boto3|botocore)\.|{re.escape(__name__)}$", frame.f_globals["__name__"]):
        frame = frame.f_back
    return str(frame.f_globals["__name__"]).startswith("chalicelib.")


RECORDER = Recorder()
