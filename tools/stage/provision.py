"""Create, update or delete the resources of a stage, and record what its code needs to know about them.

python -m tools.stage.provision --stage dev
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore import exceptions

from chalicelib.config import LOCAL, STAGE_NAME_RULE
from tools.stage import aws_clients, chalice_config, policies, retained_resources, search_index_state, stack
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError, describe_error
from tools.stage.names import check_stage_name, code_stack_name, resource_stack_name

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from tools.stage.stack import Report

PROJECT_DIR = Path(__file__).resolve().parents[2]

Confirm = Callable[[str], bool]
"""A function that asks the user a question, and returns whether they agree."""


def always(question: str) -> bool:  # noqa: ARG001 (the question is not shown)
    """Agree without asking."""
    return True


def provision(
    stage: str,
    client: ClientFactory,
    project_dir: Path = PROJECT_DIR,
    report: Report = print,
    confirm: Confirm = always,
) -> dict[str, str]:
    """Create or update the resources of ``stage`` from ``infra/resources.json``, and record what its code needs.

    ``report`` is called with each change, and ``confirm`` if there are changes. Return the outputs of the resource
    stack. Raise StageError, or an error of botocore, which ``errors.describe_error`` turns into a sentence.

    Report also if the search index was built with other fields than those that the code declares.
    """
    cloudformation = client("cloudformation")
    _check_endpoint(check_stage_name(stage), cloudformation.meta.endpoint_url)
    name = resource_stack_name(stage)
    template = (project_dir / "infra" / "resources.json").read_text(encoding="utf-8")
    parameters = {"Stage": stage}
    if urls := console_urls(stage, cloudformation, project_dir):
        parameters["ConsoleUrls"] = ",".join(urls)
    plan = stack.prepare(cloudformation, name, template, parameters)
    if plan is None:
        report(f"{name} is up to date.")
    else:
        for change in plan.changes:
            report(change)
        confirmed = False
        try:
            confirmed = confirm(f"Make these changes to {name}?")
        finally:
            if not confirmed:
                stack.discard(cloudformation, plan)
        if not confirmed:
            raise StageError("Nothing was changed.")
        stack.execute(cloudformation, plan, report)
    outputs = stack.outputs(cloudformation, name)
    written = [*chalice_config.record_outputs(project_dir, stage, outputs), *policies.write(project_dir, stage)]
    _report_written(written, project_dir, report)
    if missing := search_index_state.record_deployment(stage, client, created=plan is not None and plan.creates):
        report(missing)
    return outputs


def console_urls(stage: str, cloudformation: CloudFormationClient, project_dir: Path = PROJECT_DIR) -> list[str]:
    """Return the URLs that the sign-in page may redirect to: the deployed console, and those that somebody added.

    There are none before the code is deployed, and none in the stage local, which has no sign-in page.
    """
    if stage == LOCAL:
        return []
    current = stack.parameters(cloudformation, resource_stack_name(stage)).get("ConsoleUrls", "")
    deployed = [
        stack.outputs(cloudformation, code_stack_name(stage)).get("EndpointURL"),
        chalice_config.deployed_url(project_dir, stage),
    ]
    urls = [*current.split(","), *(f"{url.rstrip('/')}/" for url in deployed if url)]
    return list(dict.fromkeys(url for url in urls if url))


def delete(
    stage: str,
    client: ClientFactory,
    project_dir: Path = PROJECT_DIR,
    report: Report = print,
    confirm: Confirm = always,
    *,
    delete_data: bool = False,
) -> None:
    """Delete the resource stack of ``stage``, and what CloudFormation retains (``retained_resources``).

    Raise StageError if code is deployed that uses them, or if they hold data and ``delete_data`` is not set. After an
    interruption, run it again.
    """
    cloudformation = client("cloudformation")
    _check_endpoint(check_stage_name(stage), cloudformation.meta.endpoint_url)
    name = resource_stack_name(stage)
    known = chalice_config.stage_names(project_dir)
    if stage not in known and stack.describe(cloudformation, name) is None:
        raise StageError(f"There is no stage {stage}: .chalice/config.json has {', '.join(known)}.")
    if importers := stack.importers(cloudformation, f"{name}-BucketName"):
        raise StageError(f"{', '.join(importers)} uses these resources: delete that stack first.")
    if chalice_config.deployed_resources(project_dir, stage):
        raise StageError(f"Code deployed by Chalice uses these resources: run chalice delete --stage {stage} first.")
    retained = retained_resources.names(stage, client)
    with_data = retained_resources.with_data(retained, client)
    if with_data and not delete_data:
        raise StageError(f"There is data in {' and '.join(with_data)}, so nothing was deleted: add --delete-data.")
    if not confirm(f"Delete {name}{', and all data in ' + ' and '.join(with_data) if with_data else ''}?"):
        raise StageError("Nothing was deleted.")
    delete_resources(stage, client, project_dir, report)


def delete_resources(
    stage: str, client: ClientFactory, project_dir: Path, report: Report, kept: Collection[str] = ()
) -> None:
    """Delete the resource stack of ``stage``, and what it retains, except the kinds in ``kept``.

    Raise StageError if CloudFormation refuses, such as while another stack uses these resources.
    """
    stack.remove(client("cloudformation"), resource_stack_name(stage), report)
    retained_resources.delete(retained_resources.names(stage, client), client, report, kept)
    _report_written(chalice_config.forget_outputs(project_dir, stage), project_dir, report)


def describe_access(stage: str, variables: Mapping[str, str] | None = None) -> str:
    """Return a sentence that says whose requests the API of ``stage`` accepts.

    ``variables`` are the stage's environment variables; default: those in ``.chalice/config.json``.
    """
    if variables is None:
        variables = chalice_config.environment(PROJECT_DIR, stage)
    if variables.get("AUTH_MODE", "oidc") != "oidc":
        return f"The API of stage {stage} has no sign-in: anyone who can reach it may read, change and delete."
    if issuer := variables.get("OIDC_ISSUER"):
        return f"The API of stage {stage} accepts tokens from {issuer} for {variables.get('OIDC_AUDIENCE')}."
    return (
        f"The API of stage {stage} accepts tokens from its own user pool, vitrine-{stage}:"
        " only users you add to it get in (docs/deploying.md)."
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    options = parser().parse_args(arguments)
    stage = options.stage
    confirm: Confirm = always if options.yes else _ask
    try:
        variables = chalice_config.environment(PROJECT_DIR, check_stage_name(stage))
        aws_clients.apply_settings(stage, variables, PROJECT_DIR)
        client = functools.partial(aws_clients.make_client, boto3.Session())
        if options.delete:
            delete(stage, client, PROJECT_DIR, print, confirm, delete_data=options.delete_data)
            print(f"Deleted the resources of the stage {stage}.")
        else:
            print(describe_access(stage, variables))
            provision(stage, client, PROJECT_DIR, print, confirm)
            print(_next_step(stage, console_urls(stage, client("cloudformation"))))
    except (StageError, exceptions.BotoCoreError, exceptions.ClientError) as error:
        print(describe_error(error, stage), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. CloudFormation completes what it has started; run this again to check.", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stage.provision", description="Create, update or delete the resources of a stage."
    )
    parser.add_argument("--stage", required=True, help=f"{STAGE_NAME_RULE}; a new stage is added")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--delete", action="store_true", help="delete the resources, if they hold no data")
    parser.add_argument("--delete-data", action="store_true", help="with --delete: also delete the data, permanently")
    return parser


def _next_step(stage: str, consoles: list[str]) -> str:
    if consoles:
        return f"The console: {' or '.join(consoles)}"
    return "Next: make run" if stage == LOCAL else f"Next: chalice deploy --stage {stage}, then run this again"


def _check_endpoint(stage: str, endpoint: str) -> None:
    """Raise StageError if the stage local would be created in AWS, where its API would need no sign-in."""
    host = urlsplit(endpoint).hostname or ""
    if stage == LOCAL and ".amazonaws." in f"{host}.":
        raise StageError("The stage local lives in the emulator, not in AWS: start it with `make run`.")


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes, or make deploy YES=1.", file=sys.stderr)
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print(file=sys.stderr)
        return False


def _report_written(paths: list[Path], project_dir: Path, report: Report) -> None:
    for path in dict.fromkeys(paths):
        report(f"Wrote {path.relative_to(project_dir)}")


if __name__ == "__main__":
    sys.exit(main())
