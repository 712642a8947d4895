"""Records the AWS calls of each function of the app while tests run."""

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

from chalicelib import aws
from chalicelib.aws import presigned_downloads
from chalicelib.catalogue import hourly_cleanup, item_pictures, job_queue_consumer, thumbnail_jobs
from chalicelib.events import change_feed, delivery_queue_consumer
from chalicelib.http import api, auth
from tests.function_operations import PRESIGNED_POST
from tests.rights import Called

if TYPE_CHECKING:
    import pytest

_NOBODY = ""
# What tests call: the handlers of app.py (see tests/integration/stage.py), or the functions that these call.
_ENTRY_POINTS: list[tuple[ModuleType | type, str, str]] = [
    (api.Api, "__call__", "api_handler"),
    (item_pictures, "record_upload", "on_upload"),
    (job_queue_consumer, "process_batch", "on_messages"),
    (job_queue_consumer, "process_message", "on_messages"),
    (thumbnail_jobs, "run", "on_messages"),
    (change_feed, "process_batch", "on_change"),
    (delivery_queue_consumer, "process_batch", "on_deliveries"),
    (delivery_queue_consumer, "process_message", "on_deliveries"),
    (hourly_cleanup, "run", "clean_up"),
    (auth, "authenticate", "authorize"),
]


class Recorder:
    """The AWS calls of the app's functions since ``forget``. Calls of the tests themselves are not recorded."""

    def __init__(self) -> None:
        self.calls: list[Called] = []
        self._running: list[str] = []

    def forget(self) -> None:
        """Forget the recorded calls."""
        self.calls.clear()

    @contextmanager
    def runs(self, function: str) -> Iterator[None]:
        """Attribute the calls inside the block to ``function``, unless another function is running."""
        self._running.append(self._now or function)
        try:
            yield
        finally:
            self._running.pop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not record the calls inside the block, although a function is running."""
        self._running.append(_NOBODY)
        try:
            yield
        finally:
            self._running.pop()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Record the calls of every client, and those that are only presigned."""
        emit, sign, sign_url = (
            BaseClient._emit_api_params,
            S3PostPresigner.generate_presigned_post,
            presigned_downloads.url,
        )

        def emitting(client: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
            if not context.get("is_presign_request"):  # recorded below
                self._record(client.meta.service_model.service_name, operation_model.name, api_params)
            return emit(client, api_params, operation_model, context)

        def signing_url(key: str, **overrides: str) -> str:
            self._record("s3", "GetObject", {"Bucket": aws.bucket_name(), "Key": key}, presigned=True)
            return sign_url(key, **overrides)

        def signing(presigner: Any, request_dict: Any, fields: Any, conditions: Any, *more: Any, **others: Any) -> Any:
            bucket = next(one["bucket"] for one in conditions if "bucket" in one)
            self._record("s3", PRESIGNED_POST, {"Bucket": bucket, "Key": fields["key"]}, presigned=True)
            return sign(presigner, request_dict, fields, conditions, *more, **others)

        patch.setattr(BaseClient, "_emit_api_params", emitting)
        patch.setattr(S3PostPresigner, "generate_presigned_post", signing)
        patch.setattr(presigned_downloads, "url", signing_url)
        for place, name, function in _ENTRY_POINTS:
            patch.setattr(place, name, self._watched(getattr(place, name), function))

    def _watched(self, do: Callable[..., Any], function: str) -> Callable[..., Any]:
        @functools.wraps(do)
        def watched(*arguments: Any, **options: Any) -> Any:
            with self.runs(function):
                return do(*arguments, **options)

        return watched

    def _record(self, service: str, operation: str, parameters: Mapping[str, Any], presigned: bool = False) -> None:
        if self._now and _called_by_the_app():
            self.calls.append(Called(self._now, service, operation, dict(parameters), presigned))

    @property
    def _now(self) -> str:
        return self._running[-1] if self._running else _NOBODY


def _called_by_the_app() -> bool:
    frame = sys._getframe(1)
    while frame.f_back and re.match(rf"(boto3|botocore)\.|{re.escape(__name__)}$", frame.f_globals["__name__"]):
        frame = frame.f_back
    return str(frame.f_globals["__name__"]).startswith("chalicelib.")


RECORDER = Recorder()
