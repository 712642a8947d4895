"""A stage as it stands in AWS, or in the emulator: where its queues, its bucket and its functions are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.stage import stack
from tools.stage.errors import StageError
from tools.stage.names import LOCAL, resource_stack_name

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import FunctionConfigurationTypeDef

Client = Callable[..., Any]
"""Makes the client of an AWS service from its name, as ``boto3.Session.client`` does."""

_NEEDED = ("BucketName", "QueueUrl", "DeadLetterQueueUrl")


class Function(NamedTuple):
    """One of a stage's functions, as Lambda has it."""

    handler: str
    """What app.py calls it."""
    name: str
    log_group: str
    timeout: int
    """Seconds."""


class Stage(NamedTuple):
    """Where a stage's things are."""

    name: str
    client: Client
    bucket: str
    queue_url: str
    dead_letter_queue_url: str
    failed_event_queue_url: str | None
    """None while the resource stack is older than that queue."""

    def functions(self, *handlers: str) -> list[Function]:
        """Its functions, or those that app.py calls ``handlers``. Raises StageError where one is not there."""
        found = sorted(self._all_functions())
        if not found:
            raise StageError(f"No code of the stage {self.name} is deployed in this account and region.")
        there = {function.handler for function in found}
        for handler in handlers:
            if handler not in there:
                raise StageError(f"The stage {self.name} has no function {handler}: it has {', '.join(sorted(there))}.")
        return [function for function in found if not handlers or function.handler in handlers]

    def _all_functions(self) -> list[Function]:
        # Chalice calls them vitrine-dev-on_upload, CloudFormation vitrine-dev-OnUpload-1A2B3C: the handler is the same.
        # A stage has no hyphen in its name, so no other stage's functions begin like this.
        whole, start = f"vitrine-{self.name}", f"vitrine-{self.name}-"
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        listed = [one for page in pages for one in page["Functions"]]
        return [
            _function(one) for one in listed if one["FunctionName"] == whole or one["FunctionName"].startswith(start)
        ]


def find(name: str, client: Client) -> Stage:
    """The stage ``name``, by what its resource stack says. Raises StageError where there is none."""
    wanted = resource_stack_name(name)
    outputs = stack.outputs(client("cloudformation"), wanted)
    if any(output not in outputs for output in _NEEDED):
        remedy = (
            "start it by `make run`"
            if name == LOCAL
            else f"sign in to where it is, or make it with `python -m tools.stage.provision --stage {name}`"
        )
        raise StageError(f"There is no stage {name} in this account and region (no stack {wanted}): {remedy}.")
    bucket, queue_url, dead_letter_queue_url = (outputs[output] for output in _NEEDED)
    return Stage(name, client, bucket, queue_url, dead_letter_queue_url, outputs.get("FailedEventQueueUrl"))


def _function(described: FunctionConfigurationTypeDef) -> Function:
    name, module_and_name = described["FunctionName"], described.get("Handler", "")
    handler = module_and_name.rpartition(".")[2]
    return Function(
        "api_handler" if handler == "app" else handler,
        name,
        described.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}",
        described.get("Timeout", 0),
    )
