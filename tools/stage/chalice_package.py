"""The app by itself in a folder of its own, for Chalice to package in a second: without its dependencies."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import processes
from tools.stage import app_sources


def copy_app(project_dir: Path, target: Path, stage: str) -> None:
    """Make ``target`` a folder of the sources, to be packaged for ``stage``, with no dependencies and no word of where
    AWS is. That is for ``chalice local``: a function is told by Lambda, and has the credentials of its role.
    """
    app_sources.copy(project_dir, target)
    (target / "requirements.txt").write_text("", encoding="utf-8")
    config_file = target / ".chalice" / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    variables = config["stages"][stage].get("environment_variables", {})
    for name in [name for name in variables if name.startswith("AWS_")]:
        del variables[name]
    config_file.write_text(json.dumps(config), encoding="utf-8")


def chalice_package(folder: Path, stage: str, environ: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run ``chalice package`` for ``stage`` in ``folder``, into its folder ``out``.

    ``environ`` is that of the process, of which AWS's variables are left out. Returns Chalice's exit status, and what
    it said.
    """
    # Chalice asks for a region, though nothing it writes has one in it.
    env = processes.without_aws(environ) | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    chalice = Path(sys.executable).with_name("chalice")
    return processes.run([chalice, "package", "--stage", stage, *options, "out"], env=env, cwd=folder)
