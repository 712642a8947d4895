"""Package the app with Chalice but without its dependencies, which takes a second."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import processes
from tools.stage import app_sources


def copy_app(project_dir: Path, target: Path, stage: str) -> None:
    """Copy the sources to ``target``, without requirements and without the stage's AWS variables.

    Those variables are for ``chalice local``: in Lambda a function has the credentials of its role.
    """
    app_sources.copy(project_dir, target)
    (target / "requirements.txt").write_text("", encoding="utf-8")
    config_file = target / ".chalice" / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    variables = config["stages"][stage].get("environment_variables", {})
    for name in [name for name in variables if name.startswith("AWS_")]:
        del variables[name]
    config_file.write_text(json.dumps(config), encoding="utf-8")


def run(folder: Path, stage: str, environ: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run ``chalice package`` for ``stage`` in ``folder``, with ``environ`` without its AWS variables.

    The result is in the subfolder ``out``. Return Chalice's exit status and its output.
    """
    # Chalice requires a region, but its output contains none.
    env = processes.without_aws(environ) | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    chalice = Path(sys.executable).with_name("chalice")
    return processes.run([chalice, "package", "--stage", stage, *options, "out"], env=env, cwd=folder)
