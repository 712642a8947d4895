"""Find a deployed stage's queues, bucket and functions, in AWS or in the emulator."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from chalicelib import config
from chalicelib.config import LOCAL
from tools.stage import stack
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name, resource_stack_name

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import FunctionConfigurationTypeDef

API_HANDLER = "api_handler"
"""The name of the function of all routes, which app.py does not define by name."""

_REQUIRED_OUTPUTS = ("BucketName", "QueueUrl", "DeadLetterQueueUrl")


class Function(NamedTuple):
    """A Lambda function of a stage."""

    handler: str
    """Its name in app.py."""
    name: str
    log_group: str
    timeout: int
    """Seconds."""
    runtime: str
    """Such as python3.12."""
    architecture: str
    """Such as arm64."""
    code_digest: str
    """The SHA-256 of its package, in Base64."""


class Stage(NamedTuple):
    """A deployed stage."""

    name: str
    client: ClientFactory
    bucket: str
    queue_url: str
    dead_letter_queue_url: str
    failed_event_queue_url: str | None
    """None if the resource stack is older than that queue."""
    delivery_queue_url: str | None = None
    """None if the resource stack is older than that queue."""
    delivery_dead_letter_queue_url: str | None = None
    """None if the resource stack is older than that queue."""

    def set_environment(self) -> None:
        """Set the variables from which ``chalicelib`` gets the names of its table and bucket, as in the functions."""
        os.environ |= {"STAGE": self.name, "BUCKET_NAME": self.bucket}
        config.settings.cache_clear()  # They were read when chalicelib was imported, for its logs.

    def functions(self) -> list[Function]:
        """Return the functions of this stage."""
        return functions(self.name, self.client)

    def function(self, handler: str) -> Function:
        """Return the function that app.py calls ``handler``. Raise StageError if it is not deployed."""
        deployed = self.functions()
        for function in deployed:
            if function.handler == handler:
                return function
        others = ", ".join(sorted(function.handler for function in deployed))
        raise StageError(
            f"The function {handler} of the stage {self.name} is not deployed in this account and region"
            + (f". It has: {others}." if others else ".")
        )


def functions(stage: str, client: ClientFactory) -> list[Function]:
    """Return the deployed functions of a stage."""
    # Chalice names one vitrine-dev-on_upload, CloudFormation vitrine-dev-OnUpload-1A2B3C.
    # A stage's name has no hyphen, so no other stage's functions have this prefix. Chalice names api_handler
    # vitrine-dev alone.
    stack_name = code_stack_name(stage)
    pages = client("lambda").get_paginator("list_functions").paginate()
    found = (_function(one) for page in pages for one in page["Functions"])
    return [one for one in found if one.name == stack_name or one.name.startswith(f"{stack_name}-")]


def find(name: str, client: ClientFactory) -> Stage:
    """Return the stage ``name``. Raise StageError if it is not deployed."""
    stack_name = resource_stack_name(name)
    outputs = stack.outputs(client("cloudformation"), stack_name)
    if any(output not in outputs for output in _REQUIRED_OUTPUTS):
        remedy = (
            "start it with `make run`"
            if name == LOCAL
            else f"use its account and region, or create it with `python -m tools.stage.provision --stage {name}`"
        )
        raise StageError(f"There is no stage {name} in this account and region (no stack {stack_name}): {remedy}.")
    bucket, queue_url, dead_letter_queue_url = (outputs[output] for output in _REQUIRED_OUTPUTS)
    others = (outputs.get(f"{queue}Url") for queue in ("FailedEventQueue", "DeliveryQueue", "DeliveryDeadLetterQueue"))
    return Stage(name, client, bucket, queue_url, dead_letter_queue_url, *others)


def _function(description: FunctionConfigurationTypeDef) -> Function:
    name = description["FunctionName"]
    handler = description.get("Handler", "").rpartition(".")[2]
    return Function(
        API_HANDLER if handler == "app" else handler,
        name,
        description.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}",
        description.get("Timeout", 0),
        description.get("Runtime", ""),
        next(iter(description.get("Architectures", ["x86_64"]))),
        description.get("CodeSha256", ""),
    )
