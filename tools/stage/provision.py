"""Create, update or delete the resources of a stage, and record what its code has to know about them.

python -m tools.stage.provision --stage dev
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore import exceptions
from botocore.config import Config

from tools.stage import chalice_config, retained_resources, stack
from tools.stage.chalice_config import LOCAL, StageError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from tools.stage.stack import Report

PROJECT_DIR = Path(__file__).resolve().parents[2]

Client = Callable[[str], Any]
"""Makes the client of an AWS service from its name, as ``boto3.Session.client`` does."""
Agree = Callable[[str], bool]
"""Asks a person a question; whether they say yes."""


def always(question: str) -> bool:  # noqa: ARG001 (it is not even read)
    """Yes."""
    return True


def provision(
    stage: str,
    client: Client,
    project_dir: Path = PROJECT_DIR,
    report: Report = print,
    agree: Agree = always,
) -> dict[str, str]:
    """Make the resources of ``stage`` what ``infra/resources.json`` says, and record what its code must know.

    Changes are shown by ``report`` and made if ``agree`` says so; without a change nothing is asked.
    Returns the resource stack's outputs. Raises StageError with a sentence for a person, and botocore's
    errors, of which ``sentence`` makes one.
    """
    cloudformation = client("cloudformation")
    _check_place(chalice_config.check_name(stage), cloudformation.meta.endpoint_url)
    name = stack_name(stage)
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
        agreed = False
        try:
            agreed = agree(f"Make these changes to {name}?")
        finally:
            if not agreed:
                stack.discard(cloudformation, plan)
        if not agreed:
            raise StageError("Nothing was changed.")
        stack.execute(cloudformation, plan, report)
    outputs = stack.outputs(cloudformation, name)
    _report_written(chalice_config.record(project_dir, stage, outputs), project_dir, report)
    return outputs


def console_urls(stage: str, cloudformation: CloudFormationClient, project_dir: Path = PROJECT_DIR) -> list[str]:
    """Where the user pool of ``stage`` is to send people back to: its console, once the code is deployed, and addresses
    that somebody has added. Empty before that, and in the stage local, where nobody signs in.
    """
    if stage == LOCAL:
        return []
    said = stack.parameters(cloudformation, stack_name(stage)).get("ConsoleUrls", "")
    found = [
        stack.outputs(cloudformation, f"vitrine-{stage}").get("EndpointURL"),
        chalice_config.deployed_url(project_dir, stage),
    ]
    urls = [*said.split(","), *(f"{url.rstrip('/')}/" for url in found if url)]
    return list(dict.fromkeys(url for url in urls if url))


def delete(
    stage: str,
    client: Client,
    project_dir: Path = PROJECT_DIR,
    report: Report = print,
    agree: Agree = always,
    *,
    delete_data: bool = False,
) -> None:
    """Delete the resources of ``stage``: the stack, and what holds data, which CloudFormation would keep.

    Raises StageError where code still uses them, or where they hold data and ``delete_data`` is not set.
    Can be run again after it was interrupted.
    """
    cloudformation = client("cloudformation")
    _check_place(chalice_config.check_name(stage), cloudformation.meta.endpoint_url)
    name = stack_name(stage)
    known = chalice_config.names(project_dir)
    if stage not in known and stack.describe(cloudformation, name) is None:
        raise StageError(f"There is no stage {stage}: .chalice/config.json has {', '.join(known)}.")
    if users := stack.importers(cloudformation, f"{name}-BucketName"):
        raise StageError(f"{', '.join(users)} runs on these resources: delete that stack first.")
    if chalice_config.deployed(project_dir, stage):
        raise StageError(
            f"Code that chalice deployed runs on these resources: run chalice delete --stage {stage} first."
        )
    kept = retained_resources.names(stage, client)
    full = retained_resources.holding_data(kept, client)
    if full and not delete_data:
        raise StageError(f"There is data in {' and '.join(full)}, so nothing was deleted: add --delete-data.")
    if not agree(f"Delete {name}{', and all data in ' + ' and '.join(full) if full else ''}?"):
        raise StageError("Nothing was deleted.")
    stack.remove(cloudformation, name, report)
    retained_resources.remove(kept, client, report)
    _report_written(chalice_config.forget(project_dir, stage), project_dir, report)


def sentence(error: Exception, stage: str) -> str:
    """What went wrong while provisioning ``stage``, and what to do about it, in one line for a person."""
    match error:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return f"There are no AWS credentials: {_SIGN_IN}."
        case exceptions.NoRegionError() | exceptions.InvalidRegionError() | exceptions.ProfileNotFound():
            return _WHAT_TO_SET[type(error)].format(str(error).rstrip("."))
        case exceptions.EndpointConnectionError() | exceptions.ConnectTimeoutError():
            return f"Nothing answers at {error.kwargs.get('endpoint_url')}: {_where_to_look(stage)}."
        case exceptions.ClientError():
            return _refusal(error)
        case exceptions.SSOTokenLoadError() | exceptions.TokenRetrievalError() | exceptions.CredentialRetrievalError():
            return f"{error} There are no valid AWS credentials: {_SIGN_IN}."
        case _:
            return str(error)


def _where_to_look(stage: str) -> str:
    if stage == LOCAL:
        return "start the emulator with `make run`"
    return "check AWS_ENDPOINT_URL" if os.environ.get("AWS_ENDPOINT_URL") else "check the region, and your network"


def _refusal(error: exceptions.ClientError) -> str:
    said = f"AWS refused {error.operation_name}: {error.response['Error'].get('Message') or error}"
    remedy = _REMEDIES.get(error.response["Error"].get("Code", ""))
    return f"{said.rstrip('.')}: {remedy}." if remedy else said


_WHAT_TO_SET: dict[type[Exception], str] = {
    exceptions.NoRegionError: "There is no AWS region: set AWS_DEFAULT_REGION, or a region in your AWS profile.",
    exceptions.InvalidRegionError: "{}: set AWS_DEFAULT_REGION to one such as eu-west-1.",
    exceptions.ProfileNotFound: "{}: set AWS_PROFILE to one that `aws configure list-profiles` shows.",
}
_SIGN_IN = "sign in (aws sso login), or set AWS_PROFILE"
# AWS, "Common error types", with S3's and STS's names for the same.
_REMEDIES = {
    "AccessDenied": "ask for that permission",
    "AccessDeniedException": "ask for that permission",
    "UnauthorizedOperation": "ask for that permission",
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidAccessKeyId": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "RequestExpired": _SIGN_IN,
    "SignatureDoesNotMatch": _SIGN_IN,
    "UnrecognizedClientException": _SIGN_IN,
}


def say_who_gets_in(stage: str, variables: Mapping[str, str] | None = None) -> None:
    """Say it before anything is done."""
    print(
        chalice_config.sign_in(
            stage, chalice_config.environment(PROJECT_DIR, stage) if variables is None else variables
        )
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    stage = options.stage
    agree: Agree = always if options.yes else _ask
    try:
        variables = chalice_config.environment(PROJECT_DIR, chalice_config.check_name(stage))
        point_to(stage, variables)
        client = functools.partial(make_client, boto3.Session())
        if options.delete:
            delete(stage, client, PROJECT_DIR, print, agree, delete_data=options.delete_data)
            print(f"The resources of the stage {stage} are deleted.")
        else:
            say_who_gets_in(stage, variables)
            provision(stage, client, PROJECT_DIR, print, agree)
            print(_next_step(stage, console_urls(stage, client("cloudformation"))))
    except (StageError, exceptions.BotoCoreError, exceptions.ClientError) as error:
        print(sentence(error, stage), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. CloudFormation completes what it has started; run this again to see.", file=sys.stderr)
        return 1
    return 0


def _next_step(stage: str, consoles: list[str]) -> str:
    if consoles:
        return f"The console: {' or '.join(consoles)}"
    return "Next: make run" if stage == LOCAL else f"Next: chalice deploy --stage {stage}, then run this again"


PATIENCE = Config(connect_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
"""How long the commands wait for AWS: a person looks on."""


def make_client(session: boto3.Session, service: str, config: Config = PATIENCE) -> Any:
    """A client of ``service``. Raises botocore's errors, and StageError for an address that is none."""
    try:
        return session.client(service, config=config)  # type: ignore[call-overload]
    except exceptions.BotoCoreError:
        raise
    except ValueError as error:  # botocore's for an address that is none
        raise StageError(f"{error}. AWS_ENDPOINT_URL takes an address such as http://127.0.0.1:4566.") from error


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="provision", description="Create or update a stage's resources.")
    parser.add_argument("--stage", required=True, help="lower-case letters and digits; a new stage is added")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--delete", action="store_true", help="delete the resources, if they hold no data")
    parser.add_argument("--delete-data", action="store_true", help="with --delete: also delete the data, permanently")
    return parser


def point_to(stage: str, variables: Mapping[str, str]) -> None:
    """Let boto3 see what the stage says about where AWS is, as Chalice does for its own commands."""
    for name, value in variables.items():
        if name.startswith("AWS_"):
            # A path is relative to the project, wherever this was started.
            os.environ[name] = str(PROJECT_DIR / value) if name.endswith("_FILE") else value
    config_file = Path(os.environ.get("AWS_CONFIG_FILE", ""))
    if stage == LOCAL and "AWS_CONFIG_FILE" in variables and not config_file.exists():
        raise StageError(f"There is no emulator yet ({config_file} is missing): start it with `make run`.")


def _check_place(stage: str, endpoint: str) -> None:
    """The local stage is open to everybody, so it may not come to stand in AWS."""
    host = urlsplit(endpoint).hostname or ""
    if stage == LOCAL and ".amazonaws." in f"{host}.":
        raise StageError("The stage local lives in the emulator, not in AWS: start it with `make run`.")


def stack_name(stage: str) -> str:
    """What the stack of a stage's resources is called."""
    return f"vitrine-{stage}-resources"


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to ask: use --yes.", file=sys.stderr)
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print(file=sys.stderr)
        return False


def _report_written(paths: list[Path], project_dir: Path, report: Report) -> None:
    for path in paths:
        report(f"Wrote {path.relative_to(project_dir)}")


if __name__ == "__main__":
    sys.exit(main())
