"""``python -m tools.bundle --stage dev`` puts the bundle where Chalice looks; ``--stock`` lets Chalice make its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.bundle import cache
from tools.bundle.archive import CompileError
from tools.bundle.calls import UnclearCallError
from tools.bundle.contents import UnknownImportError
from tools.bundle.patterns import RecordError
from tools.stage.errors import StageError
from tools.wheel_hashes import WheelError


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    asked = parser().parse_args(arguments)
    try:
        if asked.stock:
            cache.clear(asked.project_dir, asked.stage)
        else:
            cache.fill(asked.project_dir, asked.stage, print)
    except (StageError, CompileError, UnclearCallError, UnknownImportError, RecordError, WheelError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description=__doc__)
    parser.add_argument("--stage", required=True, help="a stage in .chalice/config.json")
    parser.add_argument("--stock", action="store_true", help="no bundle: the package as Chalice makes it")
    parser.add_argument("--project-dir", type=Path, default=Path.cwd(), help="the project; this folder by default")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
