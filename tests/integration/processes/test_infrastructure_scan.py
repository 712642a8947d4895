"""``make scan`` scans every template and workflow, and fails if a scanner finds something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import infrastructure_scan
from tools.stage import app_sources

PROGRAMS = ("checkov", "zizmor", "check-jsonschema")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder of fake scanners that record their arguments and find nothing."""
    for name in PROGRAMS:
        stand_in(tmp_path / name, 0)
    return tmp_path


def stand_in(path: Path, status: int) -> None:
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"$0.given"\nexit {status}\n', encoding="utf-8")
    path.chmod(0o755)


def given(programs: Path, name: str) -> set[str]:
    return {Path(one).name for one in (programs / f"{name}.given").read_text(encoding="utf-8").splitlines()}


def test_every_template_is_scanned(programs: Path) -> None:
    assert infrastructure_scan.scan(programs)
    templates = {
        "packaged-local-rest.json",
        "packaged-prod-rest.json",
    }
    starts = ("", "-snapstart", "-provisioned")
    templates |= {f"packaged-dev-{front}{start}.json" for front in ("rest", "http") for start in starts}
    templates |= {"resources.json", "deployer.json", "pipeline.json"}
    assert templates <= given(programs, "checkov")


def test_every_workflow_is_scanned(programs: Path) -> None:
    assert infrastructure_scan.scan(programs, stages=[])
    workflows = {path.name for path in (infrastructure_scan.PROJECT_DIR / ".github" / "workflows").iterdir()}
    assert workflows | {"dependabot.yml"} <= given(programs, "zizmor")
    assert workflows | {"dependabot.yml"} <= given(programs, "check-jsonschema")


@pytest.mark.parametrize("finding", PROGRAMS)
def test_one_finding_fails_after_all_scans(programs: Path, finding: str, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(programs / finding, 3)
    assert not infrastructure_scan.scan(programs, stages=[])
    assert all((programs / f"{name}.given").exists() for name in PROGRAMS)
    assert f"{finding}: exit status 3" in capsys.readouterr().out


def test_app_that_does_not_load_is_an_error(tmp_path: Path) -> None:
    project = tmp_path / "project"
    app_sources.copy(infrastructure_scan.PROJECT_DIR, project)
    (project / "app.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    with pytest.raises(
        infrastructure_scan.StageError, match=r"The stage dev cannot be packaged\.[\s\S]+nothing_of_that_name"
    ):
        infrastructure_scan.packaged_template("dev", tmp_path / "scratch", project)
