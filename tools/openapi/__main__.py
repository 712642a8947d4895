"""Write ``chalicelib/openapi.json``, which the app serves, unless it is up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import app
from tools.openapi.document import document

FILE = Path(app.__file__).with_name("chalicelib") / "openapi.json"


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status, which is 1 if ``--check`` finds another document in the file."""
    only_check = parser().parse_args(arguments).check
    text = rendered()
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if only_check:
        print(STALE, file=sys.stderr)
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"Wrote {FILE.parent.name}/{FILE.name}: commit it with your change.")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is not up to date")
    return parser


STALE = "chalicelib/openapi.json is not what the code says: run `make openapi`, and commit the file."


def rendered() -> str:
    """Return the text of the file."""
    return json.dumps(document(app.app), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
