"""The commands on one function of a deployed stage: run it, show its log, replace its code."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from chalicelib.config import LOCAL
from chalicelib.values import times
from tools.interruption import Interrupted
from tools.ops import function_code_update, function_log, in_process_functions, invocation, output
from tools.ops.command_context import CommandContext, ask
from tools.ops.deployed_stage import Function
from tools.ops.function_log import FunctionLog
from tools.stage import provision, stack
from tools.stage.errors import StageError
from tools.stage.names import code_stack_name

POLL_INTERVAL = 2.0
"""Seconds between two requests for new log lines, which AWS limits for an account and region (FilterLogEvents)."""

_UNASKED = "dev"
"""The stage in which code is replaced without a question."""


def invoke(context: CommandContext) -> int:
    """Run one function with an event, deployed or in this process; or print a sample of its event."""
    name = context.options.function
    if context.options.sample or context.options.here:
        functions = in_process_functions.load(context.stage.name)
        if name not in functions:
            raise StageError(f"app.py has no function {name}. It has: {', '.join(sorted(functions))}.")
    if context.options.sample:
        print(output.json_text(functions[name].sample(context.stage, times.now())))
        return 0
    event = _read_event(context.options.event)
    if context.options.here:
        return _run_here(context, functions[name], event)
    function = context.stage.function(name)
    if context.options.dry_run:
        invocation.check(context.stage, function)
        context.print_result(
            {"function": function.name}, f"{name} would be invoked, as {function.name}. It was not run."
        )
        return 0
    _confirm_invocation(context, name)
    outcome = invocation.invoke(context.stage, function, event)
    data = {**outcome._asdict(), "function": function.name}
    context.print_result(data, output.invocation_text(name, context.stage.name, outcome))
    return 1 if outcome.error else 0


def _run_here(context: CommandContext, function: in_process_functions.AppFunction, event: Any) -> int:
    """Run a function in this process, where a debugger can stop it. Its exceptions end the command with exit code 1."""
    _confirm_invocation(context, function.name)
    try:
        result = function.run(event)
    except Exception:  # noqa: BLE001 - any error of the function is shown, as Lambda would report it
        traceback.print_exc()
        return 1
    context.print_result({"result": result}, f"Result: {output.json_text(result)}")
    return 0


def _read_event(path: str | None) -> Any:
    """Return the JSON of a file, or of standard input if ``path`` is a hyphen. Raise StageError if it is not valid."""
    if path is None:
        raise StageError("An event is missing: --event FILE, or --event - for standard input (--sample prints one).")
    try:
        return json.loads(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise StageError(f"{path} is not JSON: {error}.") from error


def _confirm_invocation(context: CommandContext, name: str) -> None:
    """Ask before a function runs with the data of a deployed stage. Raise StageError unless the user agrees."""
    if context.stage.name == LOCAL or context.options.yes:
        return
    if not ask(f"{name} will change the data of the stage {context.stage.name}, like any other event. Run it?"):
        raise StageError(f"{name} was not run.")


def show_log(context: CommandContext) -> int:
    """Show the log of one function; with ``--follow``, until the user ends it."""
    options = context.options
    function = context.stage.function(options.function)
    log = FunctionLog(context.stage, function, function_log.Selection(options.since, options.level, options.request))
    try:
        if not _print_new_lines(log, as_json=options.json):
            print(output.empty_log_text(function, options, log_exists=log.exists), file=sys.stderr, flush=True)
        while options.follow:
            time.sleep(POLL_INTERVAL)
            _print_new_lines(log, as_json=options.json)
    except Interrupted:
        if not options.follow:
            raise
    return 0


def _print_new_lines(log: FunctionLog, *, as_json: bool) -> int:
    """Print the lines since the last call, and return their number."""
    count = 0
    for line in log.read_new():
        count += 1
        print(output.log_line_json(line) if as_json else output.log_line_text(line), flush=True)
    return count


def deploy_function(context: CommandContext) -> int:
    """Replace the code of one function by that of this folder."""
    stage, name = context.stage, context.options.function
    if stage.name == LOCAL:
        raise StageError("`make run` brings a saved file into effect in all functions of the stage local by itself.")
    function = stage.function(name)
    function_code_update.require_latest(stage, function)
    _confirm_deployment(context, function)
    archive = function_code_update.package(provision.PROJECT_DIR, stage, function, context.print_progress)
    done = function_code_update.update(stage, function, archive, dry_run=context.options.dry_run)
    others = sorted(one.handler for one in stage.functions() if one.handler != name)
    data = {**done._asdict(), "function": function.name, "others": others}
    lines = [output.update_text(function, done)]
    if done.outcome == "updated":
        lines += [
            f"Unchanged: its settings, rights and routes, and the code of {', '.join(others)}.",
            _next_step(context),
        ]
    context.print_result(data, "\n".join(lines))
    return 0


def _confirm_deployment(context: CommandContext, function: Function) -> None:
    """Ask unless the stage is for development. Raise StageError unless the user agrees."""
    if context.stage.name == _UNASKED or context.options.yes or context.options.dry_run:
        return
    if not ask(
        f"This replaces the code of {function.name} alone, without the tests and approvals of a deployment. Do it?"
    ):
        raise StageError("Nothing was changed.")


def _next_step(context: CommandContext) -> str:
    """Return a warning that says which deployment replaces the code."""
    name = code_stack_name(context.stage.name)
    if stack.describe(context.stage.client("cloudformation"), name) is None:
        return f"The next `make deploy STAGE={context.stage.name}` replaces this code."
    return (
        f"CloudFormation does not know of this code (drift): the stack {name} replaces it when another package "
        "than the last one is deployed. If the same package is deployed again, this code stays."
    )
