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
from tools.ops import commands
from tools.ops.deployed_stage import find
from tools.stage import aws_clients, chalice_config, provision
from tools.stage.errors import StageError, describe_error
from tools.stage.names import check_stage_name

_EXAMPLES = """\
examples:
  python -m tools.ops --stage prod dead-letters            show all dead letters, and why each failed
  python -m tools.ops --stage prod redrive --all           send all of them back, after the cause is fixed
  python -m tools.ops --stage prod redrive 5f0c…           send this one back
  python -m tools.ops --stage dev cleanup                  run the hourly cleanup now
  python -m tools.ops --stage dev render-missing           queue missing thumbnail jobs of files in uploads/ of no item
  python -m tools.ops --stage local invoke on_upload --sample > event.json
  python -m tools.ops --stage local invoke on_upload --event event.json
  python -m tools.ops --stage local invoke on_upload --event event.json --here   stop at a breakpoint() in the code
  python -m tools.ops --stage prod reindex                 index all items, after ItemFields has changed
  python -m tools.ops --stage local item local 019a…       show one item, its objects, and when it is due for cleanup

It uses your own AWS credentials (AWS_PROFILE); for the stage local, `make run` must be running.
Exit code: 0 if everything was done, 1 if something failed or was skipped, 2 if the arguments are not valid."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    options = parse(arguments)
    try:
        with Interruption() as interruption:
            variables = chalice_config.environment(provision.PROJECT_DIR, check_stage_name(options.stage))
            aws_clients.apply_settings(options.stage, variables, provision.PROJECT_DIR)
            stage = find(options.stage, functools.partial(aws_clients.make_client, boto3.Session()))
            code: int = options.command(commands.CommandCall(stage, options, interruption))
            return code
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


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options. Exit with code 2 if they are not valid."""
    options = parser().parse_args(arguments)
    if options.stage is None:  # argparse would require a mandatory option to stand before the command
        parser().error("the following arguments are required: --stage")
    return options


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

    def add(name: str, command: commands.Command, description: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            name, parents=[_common()], help=description, description=f"{description.capitalize()}."
        )
        added.set_defaults(command=command)
        return added

    add("dead-letters", commands.show_dead_letters, "show the dead letters, and why each failed")
    redrive = add("redrive", commands.redrive, "send dead letters back to where they came from")
    which = redrive.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID", help="the id that `dead-letters` shows")
    which.add_argument("--all", action="store_true", help="all of them")
    redrive.add_argument("--yes", action="store_true", help="do not ask")
    add("cleanup", commands.run_cleanup, "run the hourly cleanup now")
    missing = add(
        "render-missing",
        commands.render_missing,
        "queue missing thumbnail jobs of loose files: those in uploads/ that belong to no item",
    )
    missing.add_argument("--dry-run", action="store_true", help="only list the files")
    invoke = add("invoke", commands.invoke, "run one function with an event, and show its result and its log")
    invoke.add_argument("function", metavar="FUNCTION", help="its name in app.py, or api_handler for the routes")
    what = invoke.add_mutually_exclusive_group(required=True)
    what.add_argument("--event", metavar="FILE", help="the file with the event, as JSON; - for standard input")
    what.add_argument("--sample", action="store_true", help="print an event of this function, and run nothing")
    how = invoke.add_mutually_exclusive_group()
    how.add_argument(
        "--here", action="store_true", help="run the code of this folder in this process, where breakpoint() works"
    )
    how.add_argument("--dry-run", action="store_true", help="only check that the function may be invoked")
    invoke.add_argument("--yes", action="store_true", help="do not ask")
    reindex = add("reindex", commands.reindex, "build or repair the search index, while the app goes on writing")
    reindex.add_argument(
        "--check", action="store_true", help="change nothing: only count what is missing or orphaned in the index"
    )
    item = add("item", commands.show_item, "show one item, its objects, and when it is due for cleanup")
    item.add_argument(
        "owner", metavar="OWNER", help="the user's sub, or the word local (make run) or none (a stage without sign-in)"
    )
    item.add_argument("id", metavar="ID")
    return parser


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before or after the command."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stage", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
