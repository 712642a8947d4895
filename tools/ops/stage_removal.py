"""Remove all of a stage: its code, its logs and its resources, and with ``--with-data`` its data.

Each step looks for what exists, so a removal that was interrupted is continued by the next one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from tools import processes
from tools.interruption import Interruption
from tools.ops import deployed_stage, output
from tools.stage import chalice_config, provision, retained_resources, stack
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name, resource_stack_name
from tools.stage.retained_resources import Content

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sqs import SQSClient

Report = Callable[[str], None]
"""A function that shows a line to the user."""


class Target(NamedTuple):
    """The stage to remove."""

    name: str
    client: ClientFactory
    project_dir: Path


class Remains(NamedTuple):
    """What exists of a stage."""

    functions: list[str]
    code_stack: bool
    """Whether CloudFormation deployed the code."""
    recorded: bool
    """Whether this folder has the record of ``chalice deploy``."""
    resource_stack: bool
    logs: dict[str, int]
    """The bytes that are stored in each log group."""
    queues: dict[str, int | None]
    """The number of messages in each queue, approximately; None if the user may not see it."""
    contents: list[Content]


def remove(target: Target, options: argparse.Namespace, interruption: Interruption) -> int:
    """Remove a stage, after the user has seen what is lost and typed its name. Return the exit code."""
    report = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    remains = find(target)
    if not any(remains):
        raise StageError(f"Nothing of a stage {target.name} exists in this account and region.")
    check_removable(target, remains)
    report(output.removal_text(target.name, remains, _kept(remains.contents, options)))
    if options.yes != target.name and not _ask_for_name(target.name):
        raise StageError("Nothing was removed.")
    _delete_code(target, remains, interruption, report)
    _delete_logs(target, report)
    # The code may have written until now.
    kept = _kept(_contents(target), options)
    provision.delete_resources(target.name, target.client, target.project_dir, report, {one.kind for one in kept})
    data = {"stage": target.name, "kept": [{"kind": one.kind, "name": one.name, "total": one.total} for one in kept]}
    print(output.json_text(data) if options.json else output.removed_text(target.name, kept), flush=True)
    return 0


def find(target: Target) -> Remains:
    """Return what exists of a stage, with the numbers of what is in it."""
    name, client, project_dir = target
    cloudformation = client("cloudformation")
    return Remains(
        functions=[function.name for function in deployed_stage.functions(name, client)],
        code_stack=stack.describe(cloudformation, code_stack_name(name)) is not None,
        recorded=bool(chalice_config.deployed_resources(project_dir, name)),
        resource_stack=stack.describe(cloudformation, resource_stack_name(name)) is not None,
        logs=dict(_log_groups(name, client("logs"))),
        queues=dict(_queues(name, client("sqs"))),
        contents=_contents(target),
    )


def check_removable(target: Target, remains: Remains) -> None:
    """Raise StageError if another stack uses the resources, or if another folder has the record of the code."""
    export = f"{resource_stack_name(target.name)}-BucketName"
    importers = set(stack.importers(target.client("cloudformation"), export)) - {code_stack_name(target.name)}
    if importers:
        raise StageError(f"{', '.join(sorted(importers))} uses these resources: delete that stack first.")
    if remains.functions and not remains.code_stack and not remains.recorded:
        raise StageError(
            f"{', '.join(remains.functions)}: no stack has these functions, and .chalice/deployed/{target.name}.json "
            "does not exist in this folder. Run this in the folder where `chalice deploy` ran, or copy that file."
        )


def _contents(target: Target) -> list[Content]:
    return retained_resources.contents(retained_resources.names(target.name, target.client), target.client)


def _kept(contents: list[Content], options: argparse.Namespace) -> list[Content]:
    """Return the resources that a removal keeps: without ``--with-data``, those that hold anything."""
    return [] if options.with_data else [content for content in contents if content.total]


def _delete_code(target: Target, remains: Remains, interruption: Interruption, report: Report) -> None:
    if remains.recorded:
        report("Deleting what `chalice deploy` created")
        command = [sys.executable, "-m", "tools.stage.chalice_deletion", target.name]
        with interruption.deferred():  # it takes seconds
            status, text = processes.run(command, env=os.environ, cwd=target.project_dir)
        for line in text.splitlines():
            report(line)
        if status != 0:
            raise StageError("Chalice could not delete the code: see above. The resources were not deleted.")
    stack.remove(target.client("cloudformation"), code_stack_name(target.name), report)


def _delete_logs(target: Target, report: Report) -> None:
    logs: CloudWatchLogsClient = target.client("logs")
    for name, _ in list(_log_groups(target.name, logs)):
        logs.delete_log_group(logGroupName=name)
        report(f"Deleted the log group {name}")


def _log_groups(stage: str, logs: CloudWatchLogsClient) -> Iterator[tuple[str, int]]:
    """Yield the name and the size in bytes of each log group of the stage's functions."""
    start = f"/aws/lambda/{code_stack_name(stage)}"
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=start):
        for group in page["logGroups"]:
            name = group["logGroupName"]
            if name == start or name.startswith(f"{start}-"):  # not those of the stage dev2
                yield name, group.get("storedBytes", 0)


def _queues(stage: str, sqs: SQSClient) -> Iterator[tuple[str, int | None]]:
    """Yield the name of each queue, and the number of its messages, or None if the user may not see it."""
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"{code_stack_name(stage)}-"):
        for url in page.get("QueueUrls", []):
            yield url.rpartition("/")[2], _count_messages(url, sqs)


def _count_messages(url: str, sqs: SQSClient) -> int | None:
    try:
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return None
    # In the queue, in flight and delayed.
    return sum(int(count) for name, count in counts.items() if name.startswith("ApproximateNumberOfMessages"))


def _ask_for_name(stage: str) -> bool:
    """Return whether the user types the stage's name. Without a terminal, nobody does."""
    if not sys.stdin.isatty():
        print(f"There is no terminal to ask: use --yes {stage}.", file=sys.stderr)
        return False
    print(f"Type the stage's name, {stage}, to remove it: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == stage
