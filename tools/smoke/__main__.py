"""The command line of ``python -m tools.smoke``, which ``make smoke`` calls."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tools.interruption import Interrupted, Interruption
from tools.smoke.http_client import StepError
from tools.smoke.steps import SmokeTest, Step

_DESCRIPTION = """\
Run a smoke test of a deployed stage over HTTP: sign-in, items, pictures, import.
It deletes everything it creates, even if it fails or is stopped; anything that remains expires after an hour.

  make smoke URL=https://abc123.execute-api.eu-west-1.amazonaws.com/api TOKEN=eyJ…

Exit code: 0 if every step passed, 1 if one failed, 2 if the arguments are not valid."""


class Result(NamedTuple):
    """The result of one step."""

    step: str
    ok: bool
    milliseconds: int
    problem: str | None = None


class Runner:
    """Runs steps, measures their time, and prints their results."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._start = time.monotonic()
        self.results: list[Result] = []

    @property
    def milliseconds(self) -> int:
        """Return the milliseconds since the start."""
        return round((time.monotonic() - self._start) * 1000)

    @property
    def failed(self) -> list[Result]:
        """Return the steps that failed."""
        return [result for result in self.results if not result.ok]

    def run(self, steps: Iterable[Step]) -> None:
        """Run ``steps`` until one of them fails."""
        for name, run in steps:
            start = time.monotonic()
            problem: str | None = "it was interrupted"
            try:
                run()
                problem = None
            except StepError as error:
                problem = str(error)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                problem = f"a response is not valid ({type(error).__name__}: {error})"
            finally:
                self._report(Result(name, problem is None, round((time.monotonic() - start) * 1000), problem))
            if problem:
                break

    def _report(self, result: Result) -> None:
        self.results.append(result)
        if not self._as_json:
            line = f"{'ok' if result.ok else 'FAILED':<7}{result.milliseconds:>6} ms  {result.step}"
            print(f"{line}: {result.problem}" if result.problem else line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    command = parser()
    options = command.parse_args(arguments)
    if not _is_http_url(options.url):
        command.error("the URL of the API is missing or not valid: make smoke URL=https://…")
    token = os.environ.get("TOKEN", "").strip()
    if not re.fullmatch(r"[!-~]*", token):
        command.error("TOKEN contains characters that are not allowed in a token")
    test = SmokeTest(options.url, token or None, options.fields, options.timeout)
    runner = Runner(as_json=options.json)
    with Interruption() as interruption:
        try:
            runner.run(test.steps())
        except Interrupted:
            pass
        finally:
            interruption.ignore()
            runner.run(test.final_steps())
    summary = _summary(options.url, test, runner)
    if options.json:
        print(json.dumps(_data(options.url, test, runner, summary), indent=2, ensure_ascii=False))
    else:
        print(summary)
    return 1 if runner.failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.smoke", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("URL", ""), help="the API's URL; default: the variable URL")
    parser.add_argument(
        "--fields",
        type=_json_object,  # argparse applies it to a default that is a string, too
        default=os.environ.get("FIELDS") or "{}",
        metavar="JSON",
        help="fields that items of this stage must have; default: the variable FIELDS",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=120,
        metavar="SECONDS",
        help="how long to wait for a picture or an import; default: 120",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.epilog = "For a stage with sign-in, set the variable TOKEN: other users of this machine can see arguments."
    return parser


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is not a number
        return False


def _json_object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return content


def _summary(url: str, test: SmokeTest, runner: Runner) -> str:
    if not runner.failed:
        seconds = runner.milliseconds / 1000
        return f"All {len(runner.results)} steps passed in {seconds:.1f} s: {url} works ({test.stage})."
    first = runner.failed[0]
    if remaining := test.remaining():
        after = f"These items may still exist, and expire within an hour: {', '.join(remaining)}."
    else:
        after = "Everything that was created is deleted."
    return f"{url} failed at '{first.step}': {first.problem}. {after}"


def _data(url: str, test: SmokeTest, runner: Runner, summary: str) -> dict[str, Any]:
    return {
        "url": url,
        "ok": not runner.failed,
        "milliseconds": runner.milliseconds,
        "steps": [result._asdict() for result in runner.results],
        "remaining": test.remaining(),
        "summary": summary,
    }


if __name__ == "__main__":
    sys.exit(main())
