"""Build the bundle of a stage: ``python -m tools.bundle --stage dev``. With ``--stock``, remove it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.bundle import chalice_deployments
from tools.bundle.errors import BundleError
from tools.stage.errors import StageError
from tools.wheel_hashes import WheelError


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.stock:
            chalice_deployments.remove_bundle(options.project_dir, options.stage)
        else:
            chalice_deployments.write_bundle(options.project_dir, options.stage, print)
    except (BundleError, StageError, WheelError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description=__doc__)
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json")
    parser.add_argument("--stock", action="store_true", help="remove the bundle, so that Chalice makes its own package")
    parser.add_argument(
        "--project-dir", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
