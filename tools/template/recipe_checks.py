"""Run all checks in a copy of the project after each recipe of docs/adapting.md.

python -m tools.template.recipe_checks [--only fields,route] [--targets "lint test"]
python -m tools.template.recipe_checks --write

A recipe is a diff of the page. ``--write`` writes the diffs into the page again, with the line numbers and the context
of the files now.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools import processes
from tools.template.scratch_copy import commit_all, copy_working_tree, share_environments

PROJECT_DIR = Path(__file__).resolve().parents[2]
PAGE = "docs/adapting.md"
DIFF = re.compile(r"<!-- ([\w -]+) -->\n```diff\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)

BUILDS_ON = {"company": "sign-in", "error": "route"}
"""The recipes that change what another recipe adds."""
ALTERNATIVES = ("no-fields",)
"""The recipes that do not apply after all others, because another one changes the same lines."""
BEGINNINGS = ("sns", "kinesis")
"""The recipes after which tests report what is still missing, as the page says. After them, only lint succeeds."""
NEW_PROJECT = "new"
"""The name of the only recipe that is not a diff: a project that ``make new`` makes."""
NAME = "shop"
"""The name of that project."""


class RecipeError(Exception):
    """A recipe is unknown, or cannot be applied. The message says why."""


def diffs(project: Path = PROJECT_DIR) -> dict[str, str]:
    """Return the diffs of the page by name, in its order."""
    return dict(DIFF.findall((project / PAGE).read_text(encoding="utf-8")))


def compatible(project: Path = PROJECT_DIR) -> list[str]:
    """Return the names of the diffs that apply one after another."""
    return [name for name in diffs(project) if name not in ALTERNATIVES]


def names() -> list[str]:
    """Return the names of the recipes, which ``--only`` accepts."""
    return [*diffs(), NEW_PROJECT]


def files(diff: str) -> list[str]:
    """Return the paths of the files that ``diff`` changes."""
    return re.findall(r"(?m)^\+\+\+ b/(.+)$", diff)


def apply(project: Path, name: str) -> None:
    """Apply the recipe ``name`` of the page to ``project`` with ``git apply``. Raise RecipeError if that fails."""
    done = subprocess.run(
        ["git", "apply"], cwd=project, input=diffs(project)[name], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RecipeError(f"{PAGE}: the diff {name} does not apply: {done.stderr.strip()}")


def with_its_basis(name: str) -> list[str]:
    """Return the recipe ``name``, after the one on which it builds."""
    return [*([BUILDS_ON[name]] if name in BUILDS_ON else []), name]


def prepare(name: str, folder: Path) -> Path:
    """Make a copy of the project in ``folder`` with the recipe ``name``. Return its path."""
    copy = folder / "project"
    copy_working_tree(PROJECT_DIR, copy)
    if name == NEW_PROJECT:
        share_environments(PROJECT_DIR, copy)
        identity = {"GIT_AUTHOR_NAME": NAME, "GIT_COMMITTER_NAME": NAME, "EMAIL": f"{NAME}@localhost"}
        command = ["make", "--silent", "new", f"NAME={NAME}"]
        subprocess.run(command, cwd=copy, env=os.environ | identity, check=True)
        copy = folder / NAME
    else:
        for one in with_its_basis(name):
            apply(copy, one)
    share_environments(PROJECT_DIR, copy)
    return copy


def rewritten(name: str) -> str:
    """Return the diff ``name`` with the line numbers and the context of the files as they are now."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copy_working_tree(PROJECT_DIR, copy)
        for one in with_its_basis(name)[:-1]:
            apply(copy, one)
        commit_all(copy)
        apply(copy, name)
        subprocess.run(["git", "add", "--all"], cwd=copy, check=True)  # Otherwise the diff lacks new files.
        diff = subprocess.run(["git", "diff", "--cached"], cwd=copy, capture_output=True, text=True, check=True).stdout
    return re.sub(r"(?m)^(?:diff --git|index|new file mode) .*\n", "", diff)


def write_page() -> None:
    """Write the diffs into the page again."""
    page = PROJECT_DIR / PAGE
    text = page.read_text(encoding="utf-8")
    page.write_text(
        DIFF.sub(lambda found: f"<!-- {found[1]} -->\n```diff\n{rewritten(found[1])}```", text), encoding="utf-8"
    )


def run_checks(name: str, targets: Sequence[str]) -> bool:
    """Run ``make openapi`` and ``targets`` in a copy with the recipe ``name``. Return whether they succeeded.

    After one of the BEGINNINGS, run ``make openapi lint`` instead.
    """
    started = time.monotonic()
    targets = ["lint"] if name in BEGINNINGS else targets
    with tempfile.TemporaryDirectory() as folder:
        print(f"== {name}: make openapi {' '.join(targets)}", flush=True)
        copy = prepare(name, Path(folder))
        done = subprocess.run(["make", "openapi", *targets], cwd=copy, env=_environ(), check=False)
    result = "succeeded" if done.returncode == 0 else "failed"
    print(f"== {name}: {result} in {time.monotonic() - started:.0f} s", flush=True)
    return done.returncode == 0


def _environ() -> dict[str, str]:
    """Return the environment without AWS variables, and without those of a make that runs this program."""
    return {name: value for name, value in processes.without_aws(os.environ).items() if not name.startswith("MAKE")}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.template.recipe_checks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    selected = parser.add_mutually_exclusive_group()
    selected.add_argument("--only", default="", help=f"some of {', '.join(names())}, comma-separated; by default all")
    selected.add_argument("--write", action="store_true", help="write the diffs into the page again")
    parser.add_argument("--targets", default="lint test", help="the targets of make to run; by default: lint test")
    return parser


def select(only: str) -> list[str]:
    """Return the recipes in ``only``, or all. Raise RecipeError for unknown names."""
    known = names()
    selected = only.split(",") if only else known
    if unknown := [name for name in selected if name not in known]:
        raise RecipeError(f"There is no recipe {unknown[0]!r}: choose from {', '.join(known)}.")
    return selected


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.write:
            write_page()
            return 0
        selected = select(options.only)
        failed = [name for name in selected if not run_checks(name, options.targets.split())]
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Recipes that failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
