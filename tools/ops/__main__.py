"""The command line of ``python -m tools.ops``."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from datetime import UTC, datetime, timedelta

import boto3
from botocore import exceptions

from chalicelib.config import LOCAL, ConfigError
from tools.interruption import Interrupted, Interruption
from tools.ops import (
    dead_letter_commands,
    function_commands,
    function_log,
    lookup_commands,
    repair_commands,
    stage_removal,
)
from tools.ops.command_context import Command, CommandContext
from tools.ops.deployed_stage import find
from tools.stage import aws_clients, chalice_config, provision
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError, describe_error
from tools.stage.names import check_stage_name

_FUNCTION = "its name in app.py, or api_handler for the routes"

_EXAMPLES = """\
examples:
  python -m tools.ops --stage prod dead-letters            show all dead letters, and why each failed
  python -m tools.ops --stage prod redrive --all           send all of them back, after the cause is fixed
  python -m tools.ops --stage prod redrive 5f0c…           send this one back
  python -m tools.ops --stage dev cleanup                  run the hourly cleanup now
  python -m tools.ops --stage dev render-missing           queue thumbnail jobs of loose files without a thumbnail
  python -m tools.ops --stage local invoke on_upload --sample > event.json
  python -m tools.ops --stage local invoke on_upload --event event.json
  python -m tools.ops --stage local invoke on_upload --event event.json --here   stop at a breakpoint() in the code
  python -m tools.ops --stage prod logs api_handler --tail --level ERROR    follow the errors of the API
  python -m tools.ops --stage local logs on_messages --since 1h             what the consumer logged in the last hour
  python -m tools.ops --stage local events --follow        show the events of items as they happen
  python -m tools.ops --stage dev deploy-function on_upload                 try changed code in seconds
  python -m tools.ops --stage dev remove                                    remove the stage, and keep its data
  python -m tools.ops --stage prod reindex                 index all items, after ItemFields has changed
  python -m tools.ops --stage prod webhooks                show webhooks whose receivers fail, and those switched off
  python -m tools.ops --stage local item local 019a…       show one item, its objects, and when it is due for cleanup

It uses your own AWS credentials (AWS_PROFILE); for the stage local, `make run` must be running.
Exit code: 0 if everything was done, 1 if something failed or was skipped, 2 if the arguments are not valid."""


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    options = parse(arguments)
    try:
        with Interruption() as interruption:
            variables = chalice_config.environment(provision.PROJECT_DIR, check_stage_name(options.stage))
            aws_clients.apply_settings(options.stage, variables, provision.PROJECT_DIR)
            return _run(options, functools.partial(aws_clients.make_client, boto3.Session()), interruption)
    except (StageError, ConfigError, exceptions.BotoCoreError, exceptions.ClientError) as error:
        print(describe_error(error, options.stage), file=sys.stderr)
        return 1
    except Interrupted:
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe (Python documentation, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(options: argparse.Namespace, client: ClientFactory, interruption: Interruption) -> int:
    if options.removes:  # parts of the stage may be gone
        return stage_removal.remove(
            stage_removal.Target(options.stage, client, provision.PROJECT_DIR), options, interruption
        )
    command: Command = options.command
    return command(CommandContext(find(options.stage, client), options, interruption))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options. Exit with code 2 if they are not valid."""
    options = parser().parse_args(arguments)
    if options.stage is None:  # argparse would require a mandatory option to stand before the command
        parser().error("the following arguments are required: --stage")
    if options.removes:
        _check_removal(options)
    return options


def _check_removal(options: argparse.Namespace) -> None:
    if options.stage == LOCAL:
        parser().error("the stage local is removed by `make clean`, which deletes its data in .local")
    if options.yes not in (None, options.stage):
        parser().error(f"--yes takes the name of the stage to be removed, which is {options.stage}")


def _since(text: str) -> datetime:
    """Return the time that ``--since`` names. Raise ArgumentTypeError if it is not valid."""
    try:
        if text[-1:] in _UNITS:
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time: 30s, 10m, 2h, 7d, or such as 2026-01-31T09:00 (UTC)"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.ops",
        description="Operate a running stage.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stage", help="required: dev, prod, your own stage, or local while `make run` is running")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs; progress messages go to stderr")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command | None, description: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            name, parents=[_common()], help=description, description=f"{description.capitalize()}."
        )
        added.set_defaults(command=command, removes=command is None)
        return added

    add("dead-letters", dead_letter_commands.show_dead_letters, "show the dead letters, and why each failed")
    redrive = add("redrive", dead_letter_commands.redrive, "send dead letters back to where they came from")
    which = redrive.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID", help="the id that `dead-letters` shows")
    which.add_argument("--all", action="store_true", help="send all of them back")
    redrive.add_argument("--yes", action="store_true", help="do not ask")
    add("cleanup", repair_commands.run_cleanup, "run the hourly cleanup now")
    missing = add(
        "render-missing",
        repair_commands.render_missing,
        "queue missing thumbnail jobs of loose files: those in uploads/ that belong to no item",
    )
    missing.add_argument("--dry-run", action="store_true", help="only list the files")
    invoke = add("invoke", function_commands.invoke, "run one function with an event, and show its result and its log")
    invoke.add_argument("function", metavar="FUNCTION", help=_FUNCTION)
    what = invoke.add_mutually_exclusive_group(required=True)
    what.add_argument("--event", metavar="FILE", help="the file with the event, as JSON; - for standard input")
    what.add_argument("--sample", action="store_true", help="print an event of this function, and run nothing")
    how = invoke.add_mutually_exclusive_group()
    how.add_argument(
        "--here", action="store_true", help="run the code of this folder in this process, where breakpoint() works"
    )
    how.add_argument("--dry-run", action="store_true", help="only check that the function may be invoked")
    invoke.add_argument("--yes", action="store_true", help="do not ask")
    logs = add("logs", function_commands.show_log, "show the log of one function")
    logs.add_argument("function", metavar="FUNCTION", help=_FUNCTION)
    logs.add_argument("-f", "--follow", "--tail", action="store_true", help="continue with new lines, until Ctrl-C")
    logs.add_argument(
        "--since", type=_since, default="10m", help="30s, 10m, 2h, 7d, or a time in UTC (default: %(default)s)"
    )
    logs.add_argument(
        "--level",
        type=str.upper,
        choices=function_log.LEVELS,
        default=function_log.LEVELS[0],
        help="the lowest level (default: all); lines without a level, such as Lambda's errors, are always shown",
    )
    logs.add_argument("--request", metavar="ID", help="only lines of this request (X-Request-Id) or invocation")
    events = add("events", lookup_commands.show_events, "show the events of changes of items")
    events.add_argument("-f", "--follow", action="store_true", help="continue with new events, until Ctrl-C")
    events.add_argument(
        "--since",
        type=_since,
        default="10m",
        help="30s, 10m, 2h, or a time in UTC, in the last 24 hours (default: %(default)s)",
    )
    deploy = add(
        "deploy-function",
        function_commands.deploy_function,
        "for development: replace the code of one function by that of this folder",
    )
    deploy.add_argument("function", metavar="FUNCTION", help=_FUNCTION)
    deploy.add_argument("--dry-run", action="store_true", help="only package, and let Lambda check the request")
    deploy.add_argument("--yes", action="store_true", help="do not ask (for the stage dev, it never asks)")
    remove = add("remove", None, "remove a stage; without --with-data, its data is kept")
    remove.add_argument("--with-data", action="store_true", help="also delete table, bucket and users, permanently")
    remove.add_argument("--yes", metavar="NAME", help="do not ask; NAME is the name of the stage")
    reindex = add(
        "reindex", repair_commands.reindex, "build or repair the search index, while the app continues to write"
    )
    reindex.add_argument(
        "--check", action="store_true", help="change nothing: only count what is missing or orphaned in the index"
    )
    webhooks = add("webhooks", lookup_commands.show_webhooks, "show the webhooks that are failing or switched off")
    webhooks.add_argument("--all", action="store_true", help="also show those whose deliveries succeed")
    item = add("item", lookup_commands.show_item, "show one item, its objects, and when it is due for cleanup")
    item.add_argument(
        "owner", metavar="OWNER", help="the user's sub; with `make run`, local; in a stage without sign-in, none"
    )
    item.add_argument("id", metavar="ID", help="the item's id")
    return parser


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before or after the command."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stage", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
