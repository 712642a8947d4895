"""The command line of ``python -m tools.ops``."""

from __future__ import annotations

import argparse
import functools
import os
import sys

import boto3
from botocore import exceptions

from chalicelib.config import ConfigError
from tools.interruption import Interrupted, Interruption
from tools.ops import commands, logs
from tools.ops.stage import find
from tools.stage import aws_session, chalice_config, provision
from tools.stage.errors import StageError
from tools.stage.names import check_stage_name

_EXAMPLES = """\
examples:
  python -m tools.ops --stage prod dead                    the dead letters, and why each failed
  python -m tools.ops --stage prod redrive --all           the cause is fixed: send all of them back
  python -m tools.ops --stage prod purge 5f0c…             this one can never succeed
  python -m tools.ops --stage dev cleanup                  run the hourly cleanup now
  python -m tools.ops --stage dev render-missing           make the thumbnails that loose files lack
  python -m tools.ops --stage dev logs --follow            the logs of all functions, until Ctrl-C
  python -m tools.ops --stage dev logs --since 2h on_messages
  python -m tools.ops --stage local item local 019a…       one item, with its objects and what is due

It uses your own AWS credentials (AWS_PROFILE); for the stage local, `make run` must be running.
Exit code: 0 if everything was done, 1 if not, 2 if the arguments are not valid."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parse(arguments)
    try:
        with Interruption() as interruption:
            variables = chalice_config.environment(provision.PROJECT_DIR, check_stage_name(options.stage))
            aws_session.apply_settings(options.stage, variables, provision.PROJECT_DIR)
            stage = find(options.stage, functools.partial(aws_session.make_client, boto3.Session()))
            done: int = options.command(commands.Job(stage, options, interruption))
            return done
    except (StageError, ConfigError, exceptions.BotoCoreError, exceptions.ClientError) as error:
        print(aws_session.describe_error(error, options.stage), file=sys.stderr)
        return 1
    except Interrupted:
        # Who follows the logs has no other way to end it.
        if getattr(options, "follow", False):
            return 0
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read this has seen enough. Python would complain at its end (docs, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options. Ends the process with code 2 if they are not valid."""
    options = parser().parse_args(arguments)
    if options.stage is None:  # argparse would demand that a required one stands before the command
        parser().error("the following arguments are required: --stage")
    return options


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.ops",
        description="Operate a running stage.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stage", help="required: dev, prod, your own stage, or local while `make run` is running")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs; progress messages go to stderr")
    names = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_dead_letter_commands(names)
    _add_other_commands(names)
    return parser


def _add_dead_letter_commands(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    dead = names.add_parser("dead", parents=[_common()], help="show the dead letters, and why each failed")
    dead.set_defaults(command=commands.dead)
    for name, command, what in (
        ("redrive", commands.redrive, "send dead letters back to the queue they came from"),
        ("purge", commands.purge, "delete dead letters permanently"),
    ):
        one = names.add_parser(name, parents=[_common()], help=what, description=f"{what.capitalize()}.")
        which = one.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", default=[], metavar="ID", help="a letter, as `dead` shows it")
        which.add_argument("--all", action="store_true", help="all of them")
        one.add_argument("--yes", action="store_true", help="do not ask")
        one.set_defaults(command=command)


def _add_other_commands(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cleanup = names.add_parser("cleanup", parents=[_common()], help="run the hourly cleanup now")
    cleanup.set_defaults(command=commands.clean_up)
    missing = names.add_parser(
        "render-missing", parents=[_common()], help="make the thumbnails of loose files that lack theirs"
    )
    missing.add_argument("--dry-run", action="store_true", help="only list the files")
    missing.set_defaults(command=commands.render_missing)
    tail = names.add_parser("logs", parents=[_common()], help="show the functions' logs, in order of time")
    tail.add_argument(
        "functions", nargs="*", metavar="FUNCTION", help="its name in app.py, or api_handler; default: all"
    )
    tail.add_argument("--follow", action="store_true", help="continue until Ctrl-C")
    tail.add_argument("--since", type=_period, default="10m", help="for example 90s, 10m, 2h, 1d; default: 10m")
    tail.set_defaults(command=commands.tail)
    item = names.add_parser(
        "item", parents=[_common()], help="show an item, its objects, and when it is due for cleanup"
    )
    item.add_argument("owner", metavar="OWNER", help="the user's sub; local on the laptop, none in an open stage")
    item.add_argument("id", metavar="ID")
    item.set_defaults(command=commands.item)


def _common() -> argparse.ArgumentParser:
    """What may stand behind a command as well as before it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stage", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _period(text: str) -> object:
    try:
        return logs.period(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
