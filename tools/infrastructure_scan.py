"""Scan the CloudFormation templates (checkov) and the GitHub workflows (zizmor, check-jsonschema) for problems.

python -m tools.infrastructure_scan
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from tools import processes
from tools.stage import fast_start, package_without_dependencies
from tools.stage.errors import StageError

PROJECT_DIR = Path(__file__).resolve().parent.parent
STAGES = ("local", "dev", "prod")
REST, HTTP = "rest", "http"
"""The kinds of API that a stage can be packaged with."""
IN_ALL_FORMS = ("dev",)
"""The stages whose template is also scanned with an HTTP API, and with fast starts. They differ only in names."""
TEMPLATES = ("infra/resources.json", "infra/deployer.json", "infra/pipeline.json")
"""The templates that are deployed as they are."""
WORKFLOWS = Path(".github/workflows")
DEPENDABOT = Path(".github/dependabot.yml")

_SYSTEM_VARIABLES = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")


def packaged_template(stage: str, scratch: Path, project_dir: Path = PROJECT_DIR, front: str = REST) -> dict[str, Any]:
    """Return the template that ``make package`` creates for ``stage``; without the dependencies, it takes a second.

    ``scratch`` is a folder to work in. ``front`` is the kind of API. Raise StageError with the output of Chalice or of
    the conversion if one of them fails.
    """
    package_without_dependencies.copy_app(project_dir, scratch, stage)
    # Without the shell's other variables, which could be settings of the app.
    environ = {name: value for name, value in os.environ.items() if name in _SYSTEM_VARIABLES}
    status, output = package_without_dependencies.run(scratch, stage, environ, "--merge-template", "infra/package.json")
    if status != 0:
        raise StageError(f"The stage {stage} cannot be packaged. {output}")
    path = scratch / "out" / "sam.json"
    if front == HTTP:
        command: list[str | Path] = [sys.executable, "-m", "tools.stage.http_api_conversion", path]
        status, output = processes.run(command, env=environ | {"PYTHONDONTWRITEBYTECODE": "1"}, cwd=project_dir)
        if status != 0:
            raise StageError(f"The stage {stage} cannot have an HTTP API. {output}")
    template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return template


def scan(programs: Path, project_dir: Path = PROJECT_DIR, stages: Sequence[str] = STAGES) -> bool:
    """Run the programs in the folder ``programs``. Return whether all of them found nothing."""
    workflows = sorted((project_dir / WORKFLOWS).glob("*.yml"))
    with tempfile.TemporaryDirectory() as folder:
        templates = [project_dir / name for name in TEMPLATES]
        fronts = [(stage, REST) for stage in stages] + [(stage, HTTP) for stage in stages if stage in IN_ALL_FORMS]
        for stage, front in fronts:
            made = {"": packaged_template(stage, Path(folder) / f"{stage}-{front}", project_dir, front)}
            if stage in IN_ALL_FORMS:
                later = _for_a_python_with_snapshots(made[""])
                made |= {f"-{kind}": fast_start.convert(later, kind) for kind in get_args(fast_start.Kind)}
            for suffix, content in made.items():
                template = Path(folder) / f"packaged-{stage}-{front}{suffix}.json"
                template.write_text(json.dumps(content, indent=2))
                templates.append(template)
        commands: list[list[str | Path]] = [
            ["checkov", "--framework", "cloudformation", "--skip-download", "--quiet", "--compact", "-f", *templates],
            ["zizmor", "--offline", "--no-progress", *workflows, project_dir / DEPENDABOT],
            ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows],
            ["check-jsonschema", "--builtin-schema", "vendor.dependabot", project_dir / DEPENDABOT],
        ]
        passed = [_run([programs / command[0], *command[1:]], project_dir) for command in commands]
        return all(passed)


def _for_a_python_with_snapshots(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template with a version of Python that has SnapStart: the one that packages it may have none."""
    functions = {
        name: {**one, "Properties": one["Properties"] | {"Runtime": "python3.13"}}
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    return {**template, "Resources": template["Resources"] | functions}


def main() -> int:
    """Run the command line. Return the exit code."""
    try:
        return 0 if scan(PROJECT_DIR / ".venv-scan" / "bin") else 1
    except StageError as error:
        print(error, file=sys.stderr)
        return 1


def _run(command: list[str | Path], project_dir: Path) -> bool:
    status, output = processes.run(command, env=processes.without_aws(os.environ), cwd=project_dir)
    print(f"{Path(command[0]).name}: {'found nothing' if status == 0 else f'exit status {status}'}")
    print(output.strip())
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
