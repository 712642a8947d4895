"""Write the IAM policies of all stages from ``infra/policies.json``. It asks AWS nothing.

python -m tools.stage.policies
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.stage import chalice_config

PROJECT_DIR = Path(__file__).resolve().parents[2]


def write(project_dir: Path = PROJECT_DIR) -> list[Path]:
    """Write the policies of every stage that ``.chalice/config.json`` has. Returns the files written, each once."""
    written = [
        path
        for stage in chalice_config.names(project_dir)
        for path in chalice_config.write_policies(project_dir, stage)
    ]
    return list(dict.fromkeys(written))


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        written = write()
    except (chalice_config.StageError, OSError, ValueError) as error:
        print(f"The policies could not be written: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"Wrote {path.relative_to(PROJECT_DIR)}")
    if not written:
        print("The policies of all stages are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
