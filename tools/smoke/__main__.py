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
from tools.smoke.calls import BrokenError
from tools.smoke.walk import Step, Walk

_DESCRIPTION = """\
Run a smoke test against a deployed stage, from outside and over HTTP only: sign-in, items, pictures, import.
It deletes everything it creates, even if it fails or is stopped half way; anything left expires after an hour.

  make smoke URL=https://abc123.execute-api.eu-west-1.amazonaws.com/api TOKEN=eyJ…

Exit code: 0 if every step passed, 1 if one failed, 2 if the arguments are not valid."""


class Result(NamedTuple):
    """What became of one step."""

    step: str
    ok: bool
    milliseconds: int
    problem: str | None = None


class Stopwatch:
    """Takes steps, and tells what became of each."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._began = time.monotonic()
        self.results: list[Result] = []

    @property
    def milliseconds(self) -> int:
        """Since it was made."""
        return round((time.monotonic() - self._began) * 1000)

    @property
    def failed(self) -> list[Result]:
        """The steps that did not end well."""
        return [result for result in self.results if not result.ok]

    def take(self, steps: Iterable[Step]) -> None:
        """Take ``steps`` until one of them fails."""
        for name, act in steps:
            began = time.monotonic()
            problem: str | None = "it was stopped"
            try:
                act()
                problem = None
            except BrokenError as broken:
                problem = str(broken)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                problem = f"an answer is not what it should look like ({type(error).__name__}: {error})"
            finally:
                self._tell(Result(name, problem is None, round((time.monotonic() - began) * 1000), problem))
            if problem:
                break

    def _tell(self, result: Result) -> None:
        self.results.append(result)
        if not self._as_json:
            said = f"{'ok' if result.ok else 'FAILED':<7}{result.milliseconds:>6} ms  {result.step}"
            print(f"{said}: {result.problem}" if result.problem else said, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    command = parser()
    options = command.parse_args(arguments)
    if not _is_address(options.url):
        command.error("say where the API is: make smoke URL=https://…")
    token = os.environ.get("TOKEN", "").strip()
    if not re.fullmatch(r"[!-~]*", token):
        command.error("TOKEN contains characters that no token contains")
    walk = Walk(options.url, token or None, options.fields, options.patience)
    watch = Stopwatch(as_json=options.json)
    with Interruption() as interruption:
        try:
            watch.take(walk.steps())
        except Interrupted:
            pass
        finally:
            interruption.ignore()
            watch.take(walk.last_steps())
    sentence = _sentence(options.url, walk, watch)
    if options.json:
        print(json.dumps(_data(options.url, walk, watch, sentence), indent=2, ensure_ascii=False))
    else:
        print(sentence)
    return 1 if watch.failed else 0


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.smoke", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("URL", ""), help="the API's address; default: the variable URL")
    parser.add_argument(
        "--fields",
        type=_object,  # which also reads the default, as it is a string
        default=os.environ.get("FIELDS") or "{}",
        metavar="JSON",
        help="fields that items of this stage must have; default: the variable FIELDS",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=120,
        metavar="SECONDS",
        help="how long to wait for a picture or an import; default: 120",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.epilog = "For a stage with sign-in, set the variable TOKEN: other users could see an argument."
    return parser


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket left open, or a port that is no number
        return False


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise argparse.ArgumentTypeError("it is not a JSON object")
    return said


def _sentence(url: str, walk: Walk, watch: Stopwatch) -> str:
    if not watch.failed:
        seconds = watch.milliseconds / 1000
        return f"All {len(watch.results)} steps passed in {seconds:.1f} s: {url} works ({walk.stage})."
    first = watch.failed[0]
    left = walk.left()
    if left:
        after = f"These items may be left; they expire within an hour: {', '.join(left)}."
    else:
        after = "Nothing that was created is left."
    return f"{url} does not work: it failed at '{first.step}', as {first.problem}. {after}"


def _data(url: str, walk: Walk, watch: Stopwatch, sentence: str) -> dict[str, Any]:
    return {
        "url": url,
        "ok": not watch.failed,
        "milliseconds": watch.milliseconds,
        "steps": [result._asdict() for result in watch.results],
        "left": walk.left(),
        "sentence": sentence,
    }


if __name__ == "__main__":
    sys.exit(main())
