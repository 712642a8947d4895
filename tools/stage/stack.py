"""Plan, execute and follow changes of a CloudFormation stack."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from tools.stage.errors import StageError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        ChangeTypeDef,
        DescribeChangeSetOutputTypeDef,
        ParameterTypeDef,
        StackEventTypeDef,
        StackTypeDef,
    )

Report = Callable[[str], None]
"""A function that shows a line to the user."""

_UPDATABLE = {"CREATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}
_REPLACEMENT = {"True": ": REPLACED", "Conditional": ": perhaps REPLACED"}
_ROLLS_BACK = {"CREATE_FAILED", "UPDATE_FAILED"}
# AWS, "Troubleshooting CloudFormation". A stack whose creation failed can only be deleted; its data is retained.
_REMEDIES = {"UPDATE_ROLLBACK_FAILED": "continue-update-rollback", "UPDATE_FAILED": "rollback-stack"}
_TIMEOUT = 30 * 60.0  # seconds; a table, a bucket and two queues take about one minute


class Plan(NamedTuple):
    """A change set, to be executed or discarded."""

    stack_id: str
    change_set_id: str
    creates: bool
    changes: list[str]
    """One line for each resource that would change."""


def prepare(
    cloudformation: CloudFormationClient, name: str, template: str, parameters: Mapping[str, str]
) -> Plan | None:
    """Return the change that makes stack ``name`` match ``template`` and ``parameters``, or None if it does already.

    A parameter that is left out keeps its current value, or else gets the template's default. Raise StageError if the
    stack cannot be updated in its current state, or if CloudFormation rejects the template.
    """
    current = describe(cloudformation, name)
    creates = _is_new(current)
    given: list[ParameterTypeDef] = [
        {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
    ]
    kept: list[ParameterTypeDef] = [
        {"ParameterKey": one["ParameterKey"], "UsePreviousValue": True}
        for one in (current.get("Parameters", []) if current else [])
        if one["ParameterKey"] not in parameters
    ]
    change_set = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"provision-{time.time_ns()}",
        ChangeSetType="CREATE" if creates else "UPDATE",
        TemplateBody=template,
        Parameters=[*given, *kept],
    )
    described = _await_change_set(cloudformation, name, change_set["Id"])
    changes = [_describe_change(change) for change in described.get("Changes", [])]
    plan = Plan(described["StackId"], change_set["Id"], creates, changes)
    if described["Status"] == "CREATE_COMPLETE":
        return plan
    reason = described.get("StatusReason", "")
    unchanged = "didn't contain changes" in reason or "No updates are to be performed" in reason
    problem = "" if unchanged else _validation_problem(cloudformation, change_set=plan.change_set_id)
    discard(cloudformation, plan)
    if unchanged:
        return None
    raise StageError(f"CloudFormation rejected the change to {name}: {_with_remedy(problem or reason)}")


def discard(cloudformation: CloudFormationClient, plan: Plan) -> None:
    """Delete a plan, and the empty stack that planning a new one creates."""
    cloudformation.delete_change_set(StackName=plan.stack_id, ChangeSetName=plan.change_set_id)
    if plan.creates:
        cloudformation.delete_stack(StackName=plan.stack_id)


def execute(cloudformation: CloudFormationClient, plan: Plan, report: Report) -> None:
    """Execute a plan, reporting each resource as it changes.

    A stack whose creation failed is deleted, so that the next attempt can create it. Raise StageError with the first
    cause of a failure.
    """
    seen = {event["EventId"] for event in _events(cloudformation, plan.stack_id)}
    cloudformation.execute_change_set(StackName=plan.stack_id, ChangeSetName=plan.change_set_id)
    try:
        _follow(cloudformation, plan.stack_id, seen, report)
    except StageError:
        if plan.creates:
            cloudformation.delete_stack(StackName=plan.stack_id)
        raise


def remove(cloudformation: CloudFormationClient, name: str, report: Report) -> None:
    """Delete the stack ``name`` if it exists, but not the resources that it retains.

    Raise StageError with the first cause of a failure.
    """
    stack = describe(cloudformation, name)
    if stack is None:
        return
    stack_id = stack["StackId"]
    seen = {event["EventId"] for event in _events(cloudformation, stack_id)}
    cloudformation.delete_stack(StackName=stack_id)
    _follow(cloudformation, stack_id, seen, report)


def describe(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Return CloudFormation's description of the stack ``name`` (or id), or None if it does not exist."""
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def outputs(cloudformation: CloudFormationClient, name: str) -> dict[str, str]:
    """Return the outputs of the stack ``name`` by key; none if it does not exist."""
    stack = describe(cloudformation, name)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])} if stack else {}


def parameters(cloudformation: CloudFormationClient, name: str) -> dict[str, str]:
    """Return the parameter values of the stack ``name`` by key; none if it does not exist."""
    stack = describe(cloudformation, name)
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])} if stack else {}


def importers(cloudformation: CloudFormationClient, export: str) -> list[str]:
    """Return the names of the stacks that import ``export``."""
    try:
        return cloudformation.list_imports(ExportName=export)["Imports"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return []  # nothing imports it, or there is no such export
        raise


def _is_new(stack: StackTypeDef | None) -> bool:
    if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        return True
    name, status = stack["StackName"], stack["StackStatus"]
    if status in _UPDATABLE:
        return False
    if status.endswith("_IN_PROGRESS"):
        raise StageError(f"The stack {name} is being changed ({status}): try again when that has finished.")
    remedy = _REMEDIES.get(status, "delete-stack")
    raise StageError(f"The stack {name} is stuck in {status}: aws cloudformation {remedy} --stack-name {name}")


def _await_change_set(cloudformation: CloudFormationClient, name: str, id_: str) -> DescribeChangeSetOutputTypeDef:
    for _ in _polls():
        change_set = cloudformation.describe_change_set(StackName=name, ChangeSetName=id_)
        if change_set["Status"] in ("CREATE_COMPLETE", "FAILED"):
            return change_set
    raise StageError("Timeout: CloudFormation did not compute the changes within half an hour. Try again.")


def _describe_change(change: ChangeTypeDef) -> str:
    resource = change["ResourceChange"]
    line = f"{resource['Action']:8}{resource['LogicalResourceId']} ({resource['ResourceType']})"
    return line + _REPLACEMENT.get(resource.get("Replacement", "False"), "")


def _follow(cloudformation: CloudFormationClient, stack_id: str, seen: set[str], report: Report) -> None:
    cause = ""
    for _ in _polls():
        for event in reversed(list(_unseen(_events(cloudformation, stack_id), seen))):
            seen.add(event["EventId"])
            status = event["ResourceStatus"]
            cause = cause or _cause(event)
            if event.get("PhysicalResourceId") != stack_id:
                report(f"{event['LogicalResourceId']}: {status.replace('_', ' ').lower()}")
            elif status in _DONE:
                return
            elif not status.endswith("_IN_PROGRESS") and status not in _ROLLS_BACK:
                cause = _validation_problem(cloudformation, stack=stack_id) or cause
                raise StageError(f"{event['StackName']} ended in {status}. {_with_remedy(cause)}".strip())
    raise StageError(
        "Timeout: CloudFormation did not finish within half an hour. Look at the stack in the AWS console."
    )


def _with_remedy(cause: str) -> str:
    if not re.search(r"already exists|is not available|is taken", cause):
        return cause
    return (
        f"{cause.rstrip('.')}. If it was left over from this stage, --delete removes it;"
        " if it belongs to somebody else, use another name for the stage."
    )


def _cause(event: StackEventTypeDef) -> str:
    """Return why the event's resource failed; empty if it did not, or if that is a consequence of another failure."""
    reason = event.get("ResourceStatusReason", "")
    if not event["ResourceStatus"].endswith("_FAILED") or "cancelled" in reason:
        return ""
    return f"{event['LogicalResourceId']}: {reason}"


def _validation_problem(cloudformation: CloudFormationClient, *, change_set: str = "", stack: str = "") -> str:
    """Return what CloudFormation's pre-deployment validation found, such as a name already taken; empty if nothing.

    The reason of a change set or a stack event only says how many problems there are.
    """
    try:
        if change_set:
            found = cloudformation.describe_events(ChangeSetName=change_set, Filters={"FailedEvents": True})
        else:
            found = cloudformation.describe_events(StackName=stack, Filters={"FailedEvents": True})
    except ClientError:
        return ""  # without that permission the short reason has to do
    failures = (event for event in found["OperationEvents"] if event.get("ValidationFailureMode") == "FAIL")
    return next((event["ValidationStatusReason"] for event in failures), "")


def _events(cloudformation: CloudFormationClient, stack_id: str) -> Iterator[StackEventTypeDef]:
    """Yield the stack's events, latest first."""
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        yield from page["StackEvents"]


def _unseen(events: Iterable[StackEventTypeDef], seen: set[str]) -> Iterator[StackEventTypeDef]:
    for event in events:
        if event["EventId"] in seen:
            return
        yield event


def _polls() -> Iterator[None]:
    """Yield at growing intervals until the timeout."""
    end = time.monotonic() + _TIMEOUT
    pause = 0.1
    while time.monotonic() < end:
        yield
        time.sleep(pause)
        pause = min(pause * 1.5, 3.0)
